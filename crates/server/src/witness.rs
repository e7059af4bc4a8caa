//! The witness of one request: sees to it that what came of it goes to the access log, whichever way it ends.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use lockgate_engine::access_log::{AccessLog, Place};
use lockgate_engine::{Fault, Kind};
use lockgate_ledger::access_log::{AccessEntry, AccessOutcome, field};
use lockgate_model::{PersonId, UnixMillis};

use crate::app::App;

/// How long a request waits for a place in the access log's queue.
const WAIT: Duration = Duration::from_secs(5);
/// The status of a request whose caller went away before it was answered; it is never sent.
const GONE: u16 = 499;

/// One request on its way. It takes its place in the queue before anything is done, so that its record is never
/// dropped for want of room; when it is dropped unanswered, because the caller went away, it records that.
pub struct Witness {
    app: Arc<App>,
    place: Option<Place>,
    entry: AccessEntry,
}

impl Witness {
    /// Takes a place in the queue.
    ///
    /// # Errors
    /// `ACCESS_LOG_BEHIND` when there is none: what cannot be recorded is not done.
    pub async fn begin(app: &Arc<App>, address: IpAddr, action: &str, object: &str) -> Result<Self, Fault> {
        let places = app.records.clone();
        let permit = match places.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => match tokio::time::timeout(WAIT, places.acquire_owned()).await {
                Ok(Ok(permit)) => permit,
                Ok(Err(_)) | Err(_) => {
                    return Err(Fault::new(
                        Kind::Unavailable,
                        "ACCESS_LOG_BEHIND",
                        "the access log cannot keep up, and nothing is done that it does not record",
                    )
                    .hint("try again in a moment; is the server's disk full?"));
                }
            },
        };
        let entry = AccessEntry {
            schema: AccessEntry::SCHEMA.to_owned(),
            time: UnixMillis(0),
            principal: "-".to_owned(),
            address: address.to_string(),
            action: action.to_owned(),
            object: field(object),
            outcome: AccessOutcome::Failed,
            status: GONE,
            code: Some("CLIENT_GONE".to_owned()),
            session: None,
        };
        Ok(Self { app: app.clone(), place: Some(Box::new(permit)), entry })
    }

    /// A token came with the request; only the beginning of its hash is kept.
    pub fn saw_token(&mut self, token: &str) {
        let hash = self.app.engine.inner().token_hash(token).hex();
        self.entry.session = hash.get(..8).map(str::to_owned);
    }

    /// The token counts: this is who is signed in.
    pub fn saw_person(&mut self, person: &PersonId) {
        self.entry.principal = person.as_str().to_owned();
    }

    /// Who a sign-in names, before anything is proven.
    pub fn saw_name(&mut self, name: &str) {
        self.entry.object = field(name);
    }

    /// Who a sign-in names.
    pub fn name(&self) -> &str {
        &self.entry.object
    }

    /// Nothing is recorded of it: a refusal for want of tokens, like many just before.
    pub fn forget(mut self) {
        self.place = None;
    }

    /// The answer is ready.
    pub fn answered(mut self, status: u16, code: Option<&str>) {
        self.entry.status = status;
        self.entry.outcome = AccessOutcome::of_status(status);
        self.entry.code = code.map(str::to_owned);
        // Dropping it records it.
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        let Some(place) = self.place.take() else { return };
        self.entry.time = self.app.engine.inner().now();
        let log: &AccessLog = &self.app.access;
        if !log.record(self.entry.clone(), place) {
            tracing::warn!(action = self.entry.action, "a request ended after the access log was closed");
        }
    }
}

/// What a route's path is about: its parts, joined.
pub fn object_of(path: &BTreeMap<String, String>) -> String {
    path.values().map(String::as_str).collect::<Vec<_>>().join("/")
}
