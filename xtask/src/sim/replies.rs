//! Replies: whether what somebody was told is what the model says at that place of the ledger.
//!
//! The ledger is the witness of the order: the requests of a batch stand in it one after the other, so that no order
//! has to be searched for. A reply is compared with the model just after the request's own entries, a refusal just
//! there.

use lockgate_ledger::entry::CloseCause;
use lockgate_model::{EnvName, PromotionId, ReleaseName, UnixMillis};
use lockgate_policy::Outcome;
use lockgate_sign::ssh::SshSignature;
use serde_json::Value;

use super::act::Act;
use super::model::{Model, Status};
use crate::failure::{Failure, Result};

fn wrong<T>(message: impl Into<String>) -> Result<T> {
    Err(Failure::new(message))
}

/// The fingerprint of the key that made a signature.
fn signer_of(armored: &str) -> Result<String> {
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
    pub fn check_reply(&self, act: &Act, value: &Value) -> Result<()> {
        match act {
            Act::Promote { environment, .. } | Act::Rollback { environment, .. } => {
                self.check_promoted(value, environment)
            }
            Act::Approve { request, .. } => self.check_status(value, request.promotion),
            Act::TakeBack { event, .. } => self.check_status(value, event.promotion),
            Act::Withdraw { promotion, .. } => self.check_status(value, *promotion),
            Act::Push { release, content, .. } => {
                let known = self.releases.get(release);
                let told = value.get("manifest").and_then(Value::as_str);
                match known.filter(|known| known.artifacts == [content.digest()]) {
                    Some(known) if told == Some(known.manifest.to_string().as_str()) => Ok(()),
                    _ => wrong(format!("{release} is acknowledged with other content than the ledger has")),
                }
            }
            Act::Attest { .. }
            | Act::Freeze { .. }
            | Act::Lift { .. }
            | Act::Rotate { .. }
            | Act::Revoke { .. }
            | Act::Stand { .. }
            | Act::Activate { .. }
            | Act::Sign { .. }
            | Act::Refuse { .. } => Ok(()),
        }
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

    /// Whether a refusal is true, just where it was refused. Reasons that the model does not know are believed.
    ///
    /// # Errors
    /// What it says that is not so.
    pub fn check_refusal(&self, act: &Act, code: &str) -> Result<()> {
        let lie = || wrong(format!("`{}` was refused with {code}, which is not so", act.told()));
        match (code, act) {
            ("RELEASE_EXISTS", Act::Push { release, content, .. }) => match self.releases.get(release) {
                Some(known) if known.artifacts != [content.digest()] => Ok(()),
                _ => lie(),
            },
            ("RELEASE_UNKNOWN", Act::Promote { by, release, .. } | Act::Attest { by, release, .. }) => {
                match self.releases.contains_key(release) && self.may_read(by) {
                    true => lie(),
                    false => Ok(()),
                }
            }
            (
                "ALREADY_RUNNING",
                Act::Promote { release, environment, .. } | Act::Rollback { release, environment, .. },
            ) => match self.running.get(&(environment.clone(), release.service.clone())) {
                Some(running) if running.release == *release => Ok(()),
                _ => lie(),
            },
            ("ROLLBACK_NEVER_RAN", Act::Rollback { release, environment, .. }) => {
                match self.ran_in(release, environment) {
                    true => lie(),
                    false => Ok(()),
                }
            }
            ("PROMOTION_UNKNOWN", Act::Withdraw { by, .. } | Act::Approve { by, .. }) if !self.may_read(by) => Ok(()),
            ("PROMOTION_CLOSED" | "PROMOTION_UNKNOWN", Act::Withdraw { promotion, .. }) => {
                self.check_over(*promotion, lie)
            }
            ("PROMOTION_CLOSED" | "PROMOTION_UNKNOWN", Act::Approve { request, .. }) => {
                self.check_over(request.promotion, lie)
            }
            ("KEY_REVOKED", act) => match act.signed() {
                Some((person, signature)) if self.is_good_key(person, &signer_of(signature)?) => lie(),
                _ => Ok(()),
            },
            ("FREEZE_OVER", Act::Lift { event }) => match self.freezes.get(&event.freeze) {
                Some(freeze) if freeze.lifted => Ok(()),
                _ => lie(),
            },
            _ => Ok(()),
        }
    }

    fn check_over(&self, id: PromotionId, lie: impl FnOnce() -> Result<()>) -> Result<()> {
        match self.promotions.get(&id).map(|promotion| promotion.status) {
            Some(Status::Open) => lie(),
            _ => Ok(()),
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
