//! The witness of one request: sees to it that what came of it goes to the access log, whichever way it ends.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use lockgate_engine::access_log::AccessLog;
use lockgate_engine::{Fault, Kind};
use lockgate_ledger::access_log::{AccessEntry, AccessOutcome, field};
use lockgate_model::{ChangeId, Digest, PersonId, PromotionId, ReleaseName, ServiceName, UnixMillis};

use crate::app::App;
use crate::records::{Held, Stranger};

/// The principal of whoever is not signed in.
const NOBODY: &str = "-";
/// The action of a record that stands for requests that were only counted.
const COUNTED: &str = "access-log.behind";
/// The status of a request whose caller went away before it was answered; it is never sent.
const GONE: u16 = 499;
/// The longest word of a path that is kept.
const WORD_BYTES: usize = 128;
/// The longest release that is kept where it has letters of both cases: a token is longer.
const MIXED_BYTES: usize = 40;
/// What routes call a part that is a secret for a while.
const CODE: &str = "code";
/// From this length on hex may be a key; digests are told by their prefix.
const HEX_CHARS: usize = 32;
/// How long the hash in a key's fingerprint is.
const FINGERPRINT_CHARS: usize = 43;

/// One request on its way. It takes its place in the queue before anything is done, so that its record is never
/// dropped for want of room; when it is dropped unanswered, because the caller went away, it records that. What nobody
/// signed in asked for, and changed nothing, may be counted instead: see [`crate::records`].
pub struct Witness {
    app: Arc<App>,
    held: Option<Held>,
    stranger: Stranger,
    entry: AccessEntry,
}

impl Witness {
    /// Takes a place in the queue.
    ///
    /// # Errors
    /// `ACCESS_LOG_BEHIND` when there is none: what cannot be recorded is not done.
    pub async fn begin(
        app: &Arc<App>,
        address: IpAddr,
        action: &str,
        object: &str,
        stranger: Stranger,
    ) -> Result<Self, Fault> {
        let Some(held) = app.records.hold(stranger).await else {
            return Err(Fault::new(
                Kind::Unavailable,
                "ACCESS_LOG_BEHIND",
                "the access log cannot keep up, and nothing is done that it does not record",
            )
            .hint("try again in a moment; is the server's disk full?"));
        };
        let entry = AccessEntry {
            schema: AccessEntry::SCHEMA.to_owned(),
            time: UnixMillis(0),
            principal: NOBODY.to_owned(),
            address: address.to_string(),
            action: action.to_owned(),
            object: field(object),
            outcome: AccessOutcome::Failed,
            status: GONE,
            code: Some("CLIENT_GONE".to_owned()),
            session: None,
        };
        Ok(Self { app: app.clone(), held: Some(held), stranger, entry })
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
        self.held = None;
    }

    /// The answer is ready.
    pub fn answered(mut self, status: u16, code: Option<&str>) {
        self.entry.status = status;
        self.entry.outcome = AccessOutcome::of_status(status);
        self.entry.code = code.map(str::to_owned);
        // Dropping it records it.
    }
}

impl Witness {
    /// Whether it may be counted instead of recorded: nobody was signed in, and nothing was changed.
    fn may_count(&self) -> bool {
        let changed = self.stranger == Stranger::LetIn && self.entry.outcome != AccessOutcome::Refused;
        self.entry.principal == NOBODY && !changed
    }

    /// The record of how many were only counted until now.
    fn counted(&self, count: u64) -> AccessEntry {
        AccessEntry {
            schema: AccessEntry::SCHEMA.to_owned(),
            time: self.app.engine.inner().now(),
            principal: NOBODY.to_owned(),
            address: NOBODY.to_owned(),
            action: COUNTED.to_owned(),
            object: format!("{count} requests"),
            outcome: AccessOutcome::Failed,
            status: 503,
            code: Some("ACCESS_LOG_BEHIND".to_owned()),
            session: None,
        }
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        let Some(held) = self.held.take() else { return };
        self.entry.time = self.app.engine.inner().now();
        let log: &AccessLog = &self.app.access;
        if let Some(place) = self.app.records.keep(held, self.may_count())
            && !log.record(self.entry.clone(), place)
        {
            tracing::warn!(action = self.entry.action, "a request ended after the access log was closed");
        }
        if let Some((count, place)) = self.app.records.take_counted()
            && !log.record(self.counted(count), place)
        {
            tracing::warn!(count, "requests that were only counted are not in the access log, which was closed");
        }
    }
}

/// What a route's path is about: its parts, joined, as far as they may be kept.
pub fn object_of(path: &BTreeMap<String, String>) -> String {
    let part = |(name, part): (&String, &String)| if name == CODE { "-".to_owned() } else { kept(part) };
    path.iter().map(part).collect::<Vec<_>>().join("/")
}

/// A part of a path as it may stand in a log that is never cut: names, numbers, digests and codes. Whatever else somebody
/// put there, such as a token in the wrong place, becomes `-`.
pub fn kept(part: &str) -> String {
    let segment = |segment: &str| if is_telling(segment) { segment.to_owned() } else { "-".to_owned() };
    match is_telling(part) {
        true => part.to_owned(),
        false => part.split('/').map(segment).collect::<Vec<_>>().join("/"),
    }
}

fn is_telling(part: &str) -> bool {
    let of = |allowed: fn(char) -> bool| part.len() <= WORD_BYTES && part.chars().all(allowed);
    let fingerprint = part.strip_prefix("SHA256:").is_some_and(|hash| {
        hash.len() == FINGERPRINT_CHARS && hash.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '/'))
    });
    // A key, or what somebody took for one.
    if part.len() >= HEX_CHARS && part.chars().all(|c| c.is_ascii_hexdigit()) {
        return false;
    }
    part.is_empty()
        || fingerprint
        || of(|c| c.is_ascii_uppercase() || c == '_')
        || of(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-' | '_'))
        || part.parse::<PromotionId>().is_ok()
        || part.parse::<ChangeId>().is_ok()
        || part.parse::<Digest>().is_ok()
        || part.parse::<ServiceName>().is_ok()
        || part.parse::<ReleaseName>().is_ok_and(|release| {
            let version = release.version.to_string();
            version.len() <= MIXED_BYTES || !version.chars().any(|c| c.is_ascii_uppercase())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_secret_is_not_kept() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let fingerprint = format!("SHA256:{}", "aB+/".repeat(11).get(..43).unwrap());
        for telling in [
            "P-3",
            "C-3",
            "shop/web",
            "shop/web@1.4.2-RC1",
            "QUORUM_NOT_MET",
            "sam",
            "42",
            "x001/000.p/20",
            digest.as_str(),
            fingerprint.as_str(),
            "",
        ] {
            assert_eq!(kept(telling), telling);
        }
        let token = "khRjBOz_1cVq0Zf2hXyAQABAAABkhRjBOz_1cVq0Zf2hXyAQ";
        assert_eq!(kept(token), "-");
        assert_eq!(kept(&format!("v1/{token}/x")), "v1/-/x");
        assert_eq!(kept(&format!("shop/web@{token}")), "shop/-");
        assert_eq!(kept("eyJhbGciOiJub25lIn0.eyJpc3MiOiJ4In0."), "-");
        assert_eq!(kept("what is this"), "-");
        assert_eq!(kept(&"a1".repeat(16)), "-");
        let code = [("code".to_owned(), "abcd-efgh".to_owned()), ("person".to_owned(), "sam".to_owned())];
        assert_eq!(object_of(&BTreeMap::from(code)), "-/sam");
        assert_eq!(kept(&"a".repeat(WORD_BYTES + 1)), "-");
    }
}
