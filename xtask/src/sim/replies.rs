//! Replies: whether what somebody was told is what the model says at that place of the ledger.
//!
//! The ledger is the witness of the order: the requests of a batch stand in it one after the other, so that no order
//! has to be searched for. A reply is compared with the model just after the request's own entries; of those, the first
//! is compared with the request (the module `own`). A refusal is compared just where it was refused (`refusals`).

use lockgate_ledger::entry::CloseCause;
use lockgate_model::{EnvName, PersonId, PromotionId, ReleaseName, UnixMillis};
use lockgate_policy::Outcome;
use lockgate_sign::ssh::SshSignature;
use serde_json::Value;

use super::act::{Act, Ending, Intent};
use super::model::{Model, Status};
use crate::failure::{Failure, Result};

/// Something that is not so.
pub(super) fn wrong<T>(message: impl Into<String>) -> Result<T> {
    Err(Failure::new(message))
}

/// The fingerprint of the key that made a signature.
///
/// # Errors
/// When it does not parse.
pub(super) fn signer_of(armored: &str) -> Result<String> {
    Ok(SshSignature::parse_armored(armored)?.public_key().fingerprint())
}

impl Model {
    /// The word for where a promotion stands.
    fn word(&self, id: PromotionId) -> &'static str {
        match self.promotions.get(&id).map(|promotion| promotion.status) {
            None => "unknown",
            Some(Status::Granted) => "granted",
            Some(Status::Closed(CloseCause::Rejected)) => "rejected",
            Some(Status::Closed(CloseCause::Withdrawn)) => "withdrawn",
            Some(Status::Closed(CloseCause::Expired)) => "expired",
            Some(Status::Closed(CloseCause::Superseded)) => "superseded",
            Some(Status::Open) if self.decision(id) == Some(Outcome::Deny) => "denied",
            Some(Status::Open) => "pending",
        }
    }

    /// Whether an acknowledgement is true, just after what it acknowledges.
    ///
    /// # Errors
    /// What it says that is not so.
    pub fn check_reply(&self, intent: &Intent, value: &Value) -> Result<()> {
        match &intent.act {
            Act::Promote { by, release, environment } | Act::Rollback { by, release, environment } => {
                self.check_promoted(value, environment)?;
                self.check_asked(value, &intent.key, by, release)
            }
            Act::Approve { request, .. } => self.check_status(value, request.promotion),
            Act::TakeBack { event, .. } => self.check_status(value, event.promotion),
            Act::Withdraw { promotion, .. } => self.check_status(value, *promotion),
            Act::Push { tests, .. } if tests.iter().any(|tests| tests.ending == Ending::Garbage) => {
                wrong("a report that does not read is acknowledged")
            }
            Act::Push { release, content, .. } => {
                let known = self.releases.get(release);
                let told = value.get("manifest").and_then(Value::as_str);
                match known.filter(|known| known.artifacts == [content.digest()]) {
                    Some(known) if told == Some(known.manifest.to_string().as_str()) => self.check_reports(&intent.act),
                    _ => wrong(format!("{release} is acknowledged with other content than the ledger has")),
                }
            }
            Act::Attest { tests, .. } if tests.ending == Ending::Garbage => {
                wrong("a report that does not read is acknowledged")
            }
            Act::Attest { .. } => self.check_reports(&intent.act),
            // What they are told names entries, and says nothing else.
            Act::Freeze { .. }
            | Act::Lift { .. }
            | Act::Rotate { .. }
            | Act::Revoke { .. }
            | Act::Stand { .. }
            | Act::Activate { .. }
            | Act::Sign { .. }
            | Act::Refuse { .. } => Ok(()),
        }
    }

    fn check_reports(&self, act: &Act) -> Result<()> {
        match self.has_reports(act) {
            true => Ok(()),
            false => wrong("a report is acknowledged, and not recorded"),
        }
    }

    /// Whether each promotion of a reply is about the release, and was asked for by this very request where the reply
    /// does not say that it was there before.
    fn check_asked(&self, value: &Value, key: &str, by: &PersonId, release: &ReleaseName) -> Result<()> {
        for row in value.get("promotions").and_then(Value::as_array).into_iter().flatten() {
            let id = row.get("promotion").and_then(Value::as_str).unwrap_or_default().parse::<PromotionId>()?;
            let Some(promotion) = self.promotions.get(&id).filter(|promotion| promotion.release == *release) else {
                return wrong(format!("{id} is not about {release}"));
            };
            let named = (key.to_owned(), promotion.environment.clone());
            let is_theirs = promotion.requester == *by && self.requests.contains_key(&named);
            if !is_theirs && row.get("repeated").and_then(Value::as_bool) != Some(true) {
                return wrong(format!("{id} was not asked for under {key}"));
            }
        }
        Ok(())
    }

    fn check_promoted(&self, value: &Value, target: &EnvName) -> Result<()> {
        let rows = value.get("promotions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for row in rows {
            let id = row.get("promotion").and_then(Value::as_str).unwrap_or_default().parse::<PromotionId>()?;
            self.check_status(row, id)?;
            let place = row.get("environment").and_then(Value::as_str);
            if self.promotions.get(&id).map(|promotion| promotion.environment.as_str()) != place {
                return wrong(format!("{id} is not about {place:?}"));
            }
        }
        let last = rows.last();
        let text = |name: &str| last.and_then(|row| row.get(name)).and_then(Value::as_str);
        match text("environment") == Some(target.as_str()) || text("status").is_some_and(|status| status != "granted") {
            true => Ok(()),
            false => wrong("the way up ends before its end, and nothing stops it"),
        }
    }

    fn check_status(&self, value: &Value, id: PromotionId) -> Result<()> {
        let told = value.get("status").and_then(Value::as_str).unwrap_or_default();
        match told == self.word(id) {
            true => Ok(()),
            false => wrong(format!("{id} is told to be {told}, and is {}", self.word(id))),
        }
    }

    /// By which promotion a release may run in an environment now, or the reason why it may not.
    pub fn may_run(
        &self,
        release: &ReleaseName,
        environment: &EnvName,
        now: UnixMillis,
    ) -> std::result::Result<PromotionId, &'static str> {
        match self.running.get(&(environment.clone(), release.service.clone())) {
            Some(running) if running.release == *release => match self.is_frozen(&release.service, environment, now) {
                true => Err("FROZEN"),
                false => Ok(running.promotion),
            },
            Some(_) if self.ran_in(release, environment) => Err("GRANT_SUPERSEDED"),
            _ => Err("DIGEST_NOT_GRANTED"),
        }
    }
}
