//! Dispatch: the one way from a request to a handler.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{RawPathParams, Request};
use axum::http::{HeaderMap, Method, header};
use axum::response::Response;
use axum::routing::{MethodFilter, on};
use http_body_util::{BodyExt as _, Limited};
use lockgate_api::routes::{BodyLimit, Rate};
use lockgate_api::{Access, ROUTES, Route};
use lockgate_engine::{Fault, Kind, session};
use lockgate_model::{Limits, PersonId};
use lockgate_policy::Permission;

use crate::app::App;
use crate::call::Call;
use crate::handlers::{self, Handler};
use crate::reply;

/// How long a client may take to send a JSON body.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// The router: every row of the table with its handler.
///
/// # Errors
/// When a row has no handler, or a method that is not known: then nothing is served.
pub fn router(app: Arc<App>) -> Result<Router, String> {
    let mut router = Router::new();
    for route in ROUTES {
        let handler =
            handlers::by_name(route.name).ok_or_else(|| format!("the route `{}` has no handler", route.name))?;
        let method = Method::from_bytes(route.method.as_bytes()).map_err(|error| error.to_string())?;
        let filter = MethodFilter::try_from(method).map_err(|error| error.to_string())?;
        let app = app.clone();
        let serve = move |params: RawPathParams, request: Request| {
            let path = params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            dispatch(app, route, handler, path, request)
        };
        router = router.route(route.path, on(filter, serve));
    }
    let unknown = || async {
        reply::problem(&Fault::not_found("ROUTE_UNKNOWN", "there is nothing here").hint("see /openapi.json"))
    };
    let method = || async { reply::method_unknown() };
    Ok(router.fallback(unknown).method_not_allowed_fallback(method))
}

async fn dispatch(
    app: Arc<App>,
    route: &'static Route,
    handler: Handler,
    path: BTreeMap<String, String>,
    request: Request,
) -> Response {
    let address = request.extensions().get::<IpAddr>().copied().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let (result, person) = match admit(app, route, path, address, request).await {
        Ok(call) => {
            let person = call.person.clone();
            (handler(call).await, person)
        }
        Err(fault) => (Err(fault), None),
    };
    let response = result.unwrap_or_else(|fault| {
        if let Some(context) = &fault.context {
            tracing::warn!(event = route.event, code = fault.code, %context, "refused");
        }
        tracing::info!(event = route.event, code = fault.code, %address, "refused");
        reply::problem(&fault)
    });
    let person = person.as_ref().map(PersonId::as_str).unwrap_or("-");
    tracing::debug!(event = route.event, person, %address, status = response.status().as_u16(), "served");
    response
}

/// Finds out who calls and whether they may, and takes in the body within its limit.
async fn admit(
    app: Arc<App>,
    route: &'static Route,
    path: BTreeMap<String, String>,
    address: IpAddr,
    request: Request,
) -> Result<Call, Fault> {
    let (parts, body) = request.into_parts();
    let now = app.engine.inner().now();
    if route.rate == Rate::SignIn && !app.may_sign_in(address, now) {
        return Err(Fault::new(
            Kind::Unavailable,
            "RATE_LIMITED",
            "too many sign-ins from this address; wait a minute",
        ));
    }
    let token = bearer(&parts.headers)?;
    let person = match route.access {
        Access::Public => None,
        Access::SignedIn => Some(authenticate(&app, token.as_deref())?),
        Access::Permission(name) => {
            let person = authenticate(&app, token.as_deref())?;
            authorise(&app, &person, name)?;
            Some(person)
        }
    };
    let query = parse_query(parts.uri.query().unwrap_or_default())?;
    let limits = &Limits::DEFAULT;
    let (json, stream) = match route.body {
        BodyLimit::None => (Bytes::new(), None),
        BodyLimit::Json => (read(body, &parts.headers, limits.json_body_bytes).await?, None),
        BodyLimit::LargeJson => (read(body, &parts.headers, limits.json_body_bytes * 4).await?, None),
        BodyLimit::Blob => {
            check_length(&parts.headers, limits.artifact_bytes)?;
            (Bytes::new(), Some(body))
        }
    };
    Ok(Call { app, route, person, token, path, query, headers: parts.headers, json, stream })
}

fn bearer(headers: &HeaderMap) -> Result<Option<String>, Fault> {
    let invalid =
        || Fault::new(Kind::Unauthenticated, "TOKEN_INVALID", "the authorization header is not `Bearer TOKEN`");
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(invalid());
    }
    let token = value.to_str().ok().and_then(|text| text.strip_prefix("Bearer ")).filter(|token| token.len() <= 256);
    token.map(|token| Some(token.to_owned())).ok_or_else(invalid)
}

fn authenticate(app: &App, token: Option<&str>) -> Result<PersonId, Fault> {
    let token = token.ok_or_else(|| {
        Fault::new(Kind::Unauthenticated, "SIGN_IN_NEEDED", "nobody is signed in")
            .hint("sign in: `lockgate login NAME`")
    })?;
    session::authenticate(&app.engine, token)
}

/// The one authorisation function.
fn authorise(app: &App, person: &PersonId, name: &'static str) -> Result<(), Fault> {
    let permission: Permission = name
        .parse()
        .map_err(|_| Fault::new(Kind::Bug, "PERMISSION_UNKNOWN", format!("`{name}` is not a permission")))?;
    match app.engine.governance()?.may(person, permission) {
        true => Ok(()),
        false => Err(Fault::new(
            Kind::NotPermitted,
            "NOT_PERMITTED",
            format!("`{person}` has no role with the permission `{name}`"),
        )
        .hint("`lockgate whoami` lists what you may do; `lockgate policy show` lists who may")),
    }
}

fn check_length(headers: &HeaderMap, most: u64) -> Result<(), Fault> {
    let Some(value) = headers.get(header::CONTENT_LENGTH) else { return Ok(()) };
    let length: u64 = value
        .to_str()
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| Fault::invalid("LENGTH_INVALID", "the content length is not a number"))?;
    match length <= most {
        true => Ok(()),
        false => Err(Fault::new(Kind::TooLarge, "TOO_LARGE", format!("{length} bytes are over the limit of {most}"))),
    }
}

async fn read(body: Body, headers: &HeaderMap, most: usize) -> Result<Bytes, Fault> {
    check_length(headers, most as u64)?;
    let whole = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, most).collect())
        .await
        .map_err(|_| Fault::invalid("BODY_TIMEOUT", "the body took too long"))?;
    match whole {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.downcast_ref::<http_body_util::LengthLimitError>().is_some() => {
            Err(Fault::new(Kind::TooLarge, "TOO_LARGE", format!("the body is over the limit of {most} bytes")))
        }
        Err(error) => Err(Fault::invalid("BODY_BROKEN", format!("the body ended early: {error}"))),
    }
}

/// Reads a query: each name at most once, percent-decoded UTF-8.
fn parse_query(text: &str) -> Result<BTreeMap<String, String>, Fault> {
    let invalid = || Fault::invalid("QUERY_INVALID", "the query is not `name=value&...`, each name once");
    let mut query = BTreeMap::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or_else(invalid)?;
        let name = decode(name).ok_or_else(invalid)?;
        let value = decode(value).ok_or_else(invalid)?;
        if query.insert(name, value).is_some() || query.len() > 32 {
            return Err(invalid());
        }
    }
    Ok(query)
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                u8::try_from(digit(rest.next())? * 16 + digit(rest.next())?).ok()?
            }
            b'+' => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_have_each_name_once() {
        let query = parse_query("a=1&b=x%2Fy+z").unwrap();
        assert_eq!((query["a"].as_str(), query["b"].as_str()), ("1", "x/y z"));
        for bad in ["a=1&a=2", "a", "a=%zz", "a=%ff", "a=%4"] {
            assert!(parse_query(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_route_has_a_handler_and_every_permission_exists() {
        for route in ROUTES {
            assert!(handlers::by_name(route.name).is_some(), "{}", route.name);
            if let Access::Permission(name) = route.access {
                assert!(name.parse::<Permission>().is_ok(), "{name}");
            }
        }
    }
}
