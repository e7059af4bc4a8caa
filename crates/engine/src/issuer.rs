//! Issuers: the keys that token issuers publish, found by their discovery documents and kept for a while.
//!
//! INVARIANT (an issuer is asked where it was configured): what is fetched follows from the configured issuer alone. A
//! token may only cause that the same address is asked again, at most once a minute.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use lockgate_ledger::ci_trust::{Reach, reach};
use lockgate_model::json::{self, Numbers};
use lockgate_model::{Limits, Span, UnixMillis};
use lockgate_sign::jwks::Jwks;
use serde_json::Value;

use crate::fault::{Fault, Kind};
use crate::outbound::{Outbound, OutboundError};

/// How long keys and discovery documents are kept.
const KEPT: Span = Span::from_secs(3600);
/// How soon an issuer is asked again because of a key id that it did not publish.
const REFRESH: Span = Span::from_secs(60);
/// How soon an issuer that did not answer is asked again.
const RETRY: Span = Span::from_secs(10);
/// How many issuers are remembered.
const ISSUERS_MAX: usize = 1024;

/// What an issuer says of itself (OpenID Connect Discovery 1.0, section 3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovery {
    /// Where its keys are.
    pub jwks_uri: String,
    /// Where people sign in, if they can.
    pub authorization_endpoint: Option<String>,
    /// Where a code is exchanged for tokens.
    pub token_endpoint: Option<String>,
}

impl Discovery {
    /// Reads the discovery document of an issuer.
    ///
    /// # Errors
    /// When it does not read, is another issuer's, or leads to where a document of this issuer may not lead.
    pub fn read(issuer: &str, bytes: &[u8]) -> Result<Self, OutboundError> {
        let invalid = |why: String| OutboundError(format!("the discovery document of `{issuer}` {why}"));
        let limits = Limits { json_depth: 8, json_keys: 512, json_items: 4096, ..Limits::DEFAULT };
        let document = json::read(bytes, &limits, Numbers::Any)
            .map_err(|error| invalid(format!("does not read: {}", error.message)))?;
        let text = |name: &str| document.get(name).and_then(Value::as_str);
        if text("issuer") != Some(issuer) {
            return Err(invalid("names another issuer".to_owned()));
        }
        let place = |name: &str| match text(name) {
            None => Ok(None),
            // Another machine's document must not make this one ask itself.
            Some(url) if reach(url).is_some_and(|to| to == Reach::Remote || reach(issuer) == Some(Reach::Loopback)) => {
                Ok(Some(url.to_owned()))
            }
            Some(_) => Err(invalid(format!("has a `{name}` that is never asked"))),
        };
        Ok(Self {
            jwks_uri: place("jwks_uri")?.ok_or_else(|| invalid("has no `jwks_uri`".to_owned()))?,
            authorization_endpoint: place("authorization_endpoint")?,
            token_endpoint: place("token_endpoint")?,
        })
    }
}

/// What is known of one issuer.
#[derive(Debug, Default)]
struct Slot {
    discovery: Option<(Arc<Discovery>, UnixMillis)>,
    keys: Option<(Arc<Jwks>, UnixMillis)>,
    refreshed: Option<UnixMillis>,
    failed: Option<(OutboundError, UnixMillis)>,
}

type Slots = HashMap<(String, Option<String>), Arc<Mutex<Slot>>>;

/// Every issuer that was asked.
#[derive(Default)]
pub struct Issuers {
    outbound: OnceLock<Arc<dyn Outbound>>,
    slots: Mutex<Slots>,
}

impl std::fmt::Debug for Issuers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Issuers")
    }
}

impl Issuers {
    /// Lets issuers be asked; before, every question fails. A second call changes nothing.
    pub fn connect(&self, outbound: Arc<dyn Outbound>) {
        // Whoever came first stays.
        let _ = self.outbound.set(outbound);
    }

    /// The way outside.
    ///
    /// # Errors
    /// `ISSUER_UNREACHABLE` when this server has none.
    pub fn outbound(&self) -> Result<&Arc<dyn Outbound>, Fault> {
        self.outbound
            .get()
            .ok_or_else(|| Fault::new(Kind::Unavailable, "ISSUER_UNREACHABLE", "this server asks no other servers"))
    }

    /// The discovery document of an issuer, at most an hour old.
    ///
    /// # Errors
    /// `ISSUER_UNREACHABLE`.
    pub fn discovery(&self, issuer: &str, now: UnixMillis) -> Result<Arc<Discovery>, Fault> {
        let outbound = self.outbound()?;
        let slot = self.slot(issuer, None);
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        slot.discover(&**outbound, issuer, now).map_err(|error| unreachable(issuer, error))
    }

    /// The keys of an issuer, at most an hour old: from `jwks_url`, else from where its discovery document says.
    ///
    /// When `kid` is not among them they are fetched again, at most once a minute; the caller then finds it, or not.
    ///
    /// # Errors
    /// `ISSUER_UNREACHABLE`.
    pub fn keys(
        &self,
        issuer: &str,
        jwks_url: Option<&str>,
        kid: Option<&str>,
        now: UnixMillis,
    ) -> Result<Arc<Jwks>, Fault> {
        let outbound = self.outbound()?;
        let slot = self.slot(issuer, jwks_url);
        // Held while the issuer is asked: others who need the same keys wait for the same answer.
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(keys) = fresh(&slot.keys, now) {
            let known = kid.is_none_or(|kid| keys.holds(kid));
            if known || slot.refreshed.is_some_and(|at| now < at.plus(REFRESH)) {
                return Ok(keys);
            }
            slot.refreshed = Some(now);
            // An issuer that does not answer now has not taken its keys back.
            return Ok(slot.fetch(&**outbound, issuer, jwks_url, now).unwrap_or(keys));
        }
        slot.fetch(&**outbound, issuer, jwks_url, now).map_err(|error| unreachable(issuer, error))
    }

    fn slot(&self, issuer: &str, jwks_url: Option<&str>) -> Arc<Mutex<Slot>> {
        let mut slots: MutexGuard<'_, Slots> = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= ISSUERS_MAX {
            slots.clear();
        }
        slots.entry((issuer.to_owned(), jwks_url.map(str::to_owned))).or_default().clone()
    }
}

impl Slot {
    fn discover(
        &mut self,
        outbound: &dyn Outbound,
        issuer: &str,
        now: UnixMillis,
    ) -> Result<Arc<Discovery>, OutboundError> {
        if let Some(discovery) = fresh(&self.discovery, now) {
            return Ok(discovery);
        }
        self.pause(now)?;
        // OpenID Connect Discovery 1.0, section 4.1: a slash at the end goes before the path is added.
        let url = format!("{}/.well-known/openid-configuration", issuer.strip_suffix('/').unwrap_or(issuer));
        let read = outbound.get(&url).and_then(|bytes| Discovery::read(issuer, &bytes));
        let discovery = Arc::new(self.remember(read, now)?);
        self.discovery = Some((discovery.clone(), now));
        Ok(discovery)
    }

    fn fetch(
        &mut self,
        outbound: &dyn Outbound,
        issuer: &str,
        jwks_url: Option<&str>,
        now: UnixMillis,
    ) -> Result<Arc<Jwks>, OutboundError> {
        let url = match jwks_url {
            Some(url) => url.to_owned(),
            None => self.discover(outbound, issuer, now)?.jwks_uri.clone(),
        };
        self.pause(now)?;
        let read = outbound.get(&url).and_then(|bytes| {
            Jwks::from_bytes(&bytes).map_err(|error| OutboundError(format!("the keys of `{issuer}`: {error}")))
        });
        let keys = Arc::new(self.remember(read, now)?);
        self.keys = Some((keys.clone(), now));
        Ok(keys)
    }

    /// The last failure again, while it is too soon to ask once more.
    fn pause(&self, now: UnixMillis) -> Result<(), OutboundError> {
        match &self.failed {
            Some((error, at)) if now < at.plus(RETRY) => Err(error.clone()),
            _ => Ok(()),
        }
    }

    fn remember<T>(&mut self, outcome: Result<T, OutboundError>, now: UnixMillis) -> Result<T, OutboundError> {
        self.failed = outcome.as_ref().err().map(|error| (error.clone(), now));
        outcome
    }
}

fn fresh<T>(kept: &Option<(Arc<T>, UnixMillis)>, now: UnixMillis) -> Option<Arc<T>> {
    kept.as_ref().filter(|(_, at)| now < at.plus(KEPT)).map(|(value, _)| value.clone())
}

fn unreachable(issuer: &str, error: OutboundError) -> Fault {
    Fault {
        context: Some(error.to_string()),
        ..Fault::new(Kind::Unavailable, "ISSUER_UNREACHABLE", format!("the keys of `{issuer}` cannot be fetched now"))
    }
    .hint("try again in a moment; the server's log says what happened")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const ISSUER: &str = "https://ci.example";
    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

    /// An issuer whose key set has one key, with the id that is set.
    struct Fake {
        kid: Mutex<Option<&'static str>>,
        asked: AtomicUsize,
    }

    impl Fake {
        fn new() -> Arc<Self> {
            Arc::new(Self { kid: Mutex::new(Some("k1")), asked: AtomicUsize::new(0) })
        }
        fn says(&self, kid: Option<&'static str>) {
            *self.kid.lock().unwrap() = kid;
        }
        fn asked(&self) -> usize {
            self.asked.load(Ordering::SeqCst)
        }
    }

    impl Outbound for Fake {
        fn get(&self, url: &str) -> Result<Vec<u8>, OutboundError> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let kid = self.kid.lock().unwrap().ok_or_else(|| OutboundError("down".to_owned()))?;
            let document = match url {
                "https://ci.example/.well-known/openid-configuration" => {
                    format!(r#"{{"issuer":"{ISSUER}","jwks_uri":"https://keys.example/jwks"}}"#)
                }
                "https://keys.example/jwks" => {
                    // Any 32 bytes read as such a key.
                    let x = "CQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
                    format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"{kid}","x":"{x}"}}]}}"#)
                }
                other => panic!("{other} was asked"),
            };
            Ok(document.into_bytes())
        }
        fn post_form(&self, url: &str, _: &[(&str, &str)], _: Option<&str>) -> Result<(u16, Vec<u8>), OutboundError> {
            panic!("{url} was asked")
        }
    }

    fn issuers(fake: &Arc<Fake>) -> Issuers {
        let issuers = Issuers::default();
        issuers.connect(fake.clone());
        issuers
    }

    fn later(secs: u64) -> UnixMillis {
        NOW.plus(Span::from_secs(secs))
    }

    #[test]
    fn keys_are_kept_for_an_hour_and_rotate() {
        let fake = Fake::new();
        let issuers = issuers(&fake);
        let holds = |kid: &str, at: UnixMillis| issuers.keys(ISSUER, None, Some(kid), at).unwrap().holds(kid);
        assert!(holds("k1", NOW) && holds("k1", later(3599)));
        assert_eq!(fake.asked(), 2, "discovery and keys, once");
        assert!(holds("k1", later(3600)));
        assert_eq!(fake.asked(), 4, "both are an hour old");
        fake.says(Some("k2"));
        assert!(holds("k2", later(3610)));
        assert_eq!(fake.asked(), 5, "an unknown key id asks for the keys again");
        for attempt in 0..100 {
            assert!(!holds("made-up", later(3611 + attempt % 58)));
        }
        assert_eq!(fake.asked(), 5, "but at most once a minute");
        assert!(!holds("made-up", later(3670)));
        assert_eq!(fake.asked(), 6);
        // The old key is gone with the set that held it.
        assert!(!holds("k1", later(3671)));
    }

    #[test]
    fn an_issuer_that_is_down_is_not_asked_all_the_time() {
        let fake = Fake::new();
        fake.says(None);
        let issuers = issuers(&fake);
        let ask = |at: UnixMillis| issuers.keys(ISSUER, None, Some("k1"), at).map(drop).map_err(|fault| fault.code);
        assert_eq!(ask(NOW), Err("ISSUER_UNREACHABLE"));
        assert_eq!((ask(later(9)), fake.asked()), (Err("ISSUER_UNREACHABLE"), 1));
        fake.says(Some("k1"));
        assert_eq!(ask(later(10)), Ok(()));
        // Keys that are known stay good for their hour, also where an unknown key id finds the issuer down.
        fake.says(None);
        assert!(!issuers.keys(ISSUER, None, Some("k2"), later(20)).unwrap().holds("k2"));
        assert_eq!(ask(later(21)), Ok(()));
        assert_eq!(ask(later(10 + 3600)), Err("ISSUER_UNREACHABLE"));
        assert_eq!(Issuers::default().keys(ISSUER, None, None, NOW).unwrap_err().code, "ISSUER_UNREACHABLE");
    }

    #[test]
    fn a_discovery_document_speaks_for_its_own_issuer() {
        let read = |issuer: &str, document: &str| Discovery::read(issuer, document.as_bytes());
        assert!(read(ISSUER, r#"{"issuer":"https://ci.example","jwks_uri":"https://k.example"}"#).is_ok());
        let local = r#"{"issuer":"http://127.0.0.1:1","jwks_uri":"http://127.0.0.1:1/k"}"#;
        assert!(read("http://127.0.0.1:1", local).is_ok());
        for bad in [
            r#"{"issuer":"https://ci.example/","jwks_uri":"https://k.example"}"#,
            r#"{"issuer":"https://evil.example","jwks_uri":"https://k.example"}"#,
            r#"{"issuer":"https://ci.example"}"#,
            r#"{"issuer":"https://ci.example","jwks_uri":"http://k.example"}"#,
            r#"{"issuer":"https://ci.example","jwks_uri":"http://127.0.0.1/keys"}"#,
            r#"{"issuer":"https://ci.example","jwks_uri":"https://localhost/keys"}"#,
            r#"{"issuer":"https://ci.example","jwks_uri":"file:///etc/passwd"}"#,
            r#"{"issuer":"https://ci.example","issuer":"https://ci.example","jwks_uri":"https://k.example"}"#,
            "[]",
            "",
        ] {
            assert!(read(ISSUER, bad).is_err(), "{bad}");
        }
    }
}
