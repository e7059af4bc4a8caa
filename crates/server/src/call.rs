//! One call: who calls, with what.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::HeaderMap;
use lockgate_api::Route;
use lockgate_engine::ci::Scope;
use lockgate_engine::sequencer::request_digest;
use lockgate_engine::session::Caller;
use lockgate_engine::{Engine, Fault, Kind};
use lockgate_model::json::{self, Numbers};
use lockgate_model::{Digest, Limits, PersonId, ServiceName};
use serde::de::DeserializeOwned;

use crate::app::App;

/// One call, after its permission was checked.
pub struct Call {
    /// What handlers share.
    pub app: Arc<App>,
    /// The route.
    pub route: &'static Route,
    /// Who is signed in, where the route asks for it.
    pub person: Option<PersonId>,
    /// The same with what their session rests on.
    pub caller: Option<Caller>,
    /// The token, from the header or the cookie, where there is one.
    pub token: Option<String>,
    /// The parts of the path.
    pub path: BTreeMap<String, String>,
    /// The query, each name once.
    pub query: BTreeMap<String, String>,
    /// The headers.
    pub headers: HeaderMap,
    /// A JSON body, read whole.
    pub json: Bytes,
    /// A streamed body.
    pub stream: Option<Body>,
}

impl Call {
    /// The engine.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.app.engine
    }

    /// Who is signed in.
    ///
    /// # Errors
    /// `SIGN_IN_NEEDED`; never on a route that asks for it.
    pub fn person(&self) -> Result<PersonId, Fault> {
        self.person.clone().ok_or_else(|| Fault::new(Kind::Unauthenticated, "SIGN_IN_NEEDED", "nobody is signed in"))
    }

    /// Refuses a service that the session is not for.
    ///
    /// # Errors
    /// `TOKEN_SCOPE`.
    pub fn check_service(&self, service: &ServiceName) -> Result<(), Fault> {
        match self.scope() {
            Some(scope) => scope.check_service(service),
            None => Ok(()),
        }
    }

    /// What the session is good for, where that is less than what its person or machine may do.
    pub fn scope(&self) -> Option<&Scope> {
        self.caller.as_ref()?.scope.as_ref()
    }

    /// The JSON body, read strictly.
    ///
    /// # Errors
    /// The reader's reason code.
    pub fn body<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        json::read_as(&self.json, &Limits::DEFAULT, Numbers::Integers)
            .map_err(|error| Fault::invalid(error.code, format!("the request does not read: {}", error.message)))
    }

    /// A part of the path, parsed.
    ///
    /// # Errors
    /// `PATH_INVALID`.
    pub fn part<T: std::str::FromStr<Err: std::fmt::Display>>(&self, name: &str) -> Result<T, Fault> {
        let text = self.path.get(name).map(String::as_str).unwrap_or_default();
        text.parse().map_err(|error: T::Err| Fault::invalid("PATH_INVALID", error.to_string()))
    }

    /// A query value, parsed, if it is there.
    ///
    /// # Errors
    /// `QUERY_INVALID`.
    pub fn query<T: std::str::FromStr<Err: std::fmt::Display>>(&self, name: &str) -> Result<Option<T>, Fault> {
        let parse = |text: &String| {
            text.parse().map_err(|error: T::Err| Fault::invalid("QUERY_INVALID", format!("`{name}`: {error}")))
        };
        self.query.get(name).map(parse).transpose()
    }

    /// A query value that must be there, parsed.
    ///
    /// # Errors
    /// `QUERY_INVALID`.
    pub fn required_query<T: std::str::FromStr<Err: std::fmt::Display>>(&self, name: &str) -> Result<T, Fault> {
        self.query(name)?.ok_or_else(|| Fault::invalid("QUERY_INVALID", format!("the query needs `{name}`")))
    }

    /// The idempotency key of this caller, with the digest of what was asked.
    ///
    /// # Errors
    /// `IDEMPOTENCY_KEY_INVALID`.
    pub fn idempotency(&self) -> Result<Option<(String, Digest)>, Fault> {
        let Some(value) = self.headers.get("idempotency-key") else { return Ok(None) };
        let key = value
            .to_str()
            .ok()
            .filter(|key| (1..=128).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic()))
            .ok_or_else(|| {
                Fault::invalid("IDEMPOTENCY_KEY_INVALID", "an idempotency key is 1 to 128 printable ASCII characters")
            })?;
        let person = self.person.as_ref().map(PersonId::as_str).unwrap_or_default();
        let path: String = self.path.values().map(|part| format!("/{part}")).collect();
        let digest = request_digest(&[self.route.name.as_bytes(), path.as_bytes(), &self.json]);
        Ok(Some((format!("{person}/{key}"), digest)))
    }
}
