//! Refusals: with which reason codes an act may be refused, and whether what such a code says is so.
//!
//! The lists are what the engine can say to what is played here: a code that stands in none of them is a defect, of the
//! engine or of the list. Most codes are compared with the model as well.

use lockgate_model::{PromotionId, ServiceName};

use super::act::{Act, Ending};
use super::model::{Model, Status};
use super::replies::{signer_of, wrong};
use crate::failure::Result;

/// Whatever is asked: its key stood for something else.
const KEYED: &[&str] = &["IDEMPOTENCY_MISMATCH"];
/// Of what is signed: the key, or whose it is, does not count.
const SIGNED: &[&str] = &["KEY_REVOKED", "KEY_UNKNOWN", "PERSON_SUSPENDED"];
/// Of what may take several signatures: where its proposal stands.
const PROPOSED: &[&str] = &["CHANGE_CLOSED", "CHANGE_EXPIRED", "CHANGE_SIGNED", "CHANGE_UNSIGNED"];

/// The machine among the approvers.
const ROBOT: &str = "bot";

/// With which codes an act may be refused.
fn codes(act: &Act) -> impl Iterator<Item = &'static str> {
    own_codes(act).iter().chain(shared_codes(act).iter().copied().flatten()).chain(KEYED).copied()
}

/// Those that are of its kind alone.
fn own_codes(act: &Act) -> &'static [&'static str] {
    match act {
        Act::Push { .. } => &["EVIDENCE_MALFORMED", "NOT_PERMITTED", "RELEASE_EXISTS"],
        Act::Attest { .. } => &["EVIDENCE_MALFORMED", "RELEASE_UNKNOWN"],
        Act::Promote { .. } => &["ALREADY_RUNNING", "NOT_PERMITTED", "RELEASE_UNKNOWN"],
        Act::Rollback { .. } => {
            &["ALREADY_RUNNING", "NOT_PERMITTED", "RELEASE_UNKNOWN", "ROLLBACK_FORWARD", "ROLLBACK_NEVER_RAN"]
        }
        Act::Withdraw { .. } => &["NOT_PERMITTED", "PROMOTION_CLOSED", "PROMOTION_UNKNOWN"],
        Act::Approve { .. } => &[
            "APPROVAL_EXPIRED",
            "APPROVAL_REPLAYED",
            "APPROVAL_STALE",
            "PROMOTION_CLOSED",
            "PROMOTION_UNKNOWN",
            "REVIEW_TIME",
            "SOD_ROBOT",
            "SOD_SELF",
            "TOO_MANY_APPROVALS",
        ],
        Act::TakeBack { .. } => &["APPROVAL_UNKNOWN", "PROMOTION_CLOSED", "PROMOTION_UNKNOWN"],
        Act::Freeze { .. } => &["FREEZE_EXPIRY", "FREEZE_REPLAYED", "SERVICE_UNKNOWN"],
        Act::Lift { .. } => &["FREEZE_OVER"],
        Act::Rotate { .. } => &["KEY_ALREADY_BOUND"],
        Act::Revoke { .. } => &["REVOCATION_UNDERCUT"],
        Act::Stand { .. } => &["STANDING_SAME", "STANDING_STALE"],
        Act::Activate { .. } => &["POLICY_SAME", "POLICY_STALE", "QUORUM_GOVERNANCE"],
        Act::Sign { .. } => &["POLICY_SAME", "POLICY_STALE", "STANDING_SAME", "STANDING_STALE"],
        Act::Refuse { .. } => &["CHANGE_CLOSED", "CHANGE_EXPIRED"],
    }
}

/// Those of everything that is signed, or that may take several signatures.
fn shared_codes(act: &Act) -> &'static [&'static [&'static str]] {
    match act {
        Act::Push { .. } | Act::Attest { .. } | Act::Promote { .. } | Act::Rollback { .. } | Act::Withdraw { .. } => {
            &[]
        }
        Act::Stand { .. } | Act::Activate { .. } | Act::Sign { .. } => &[SIGNED, PROPOSED],
        _ => &[SIGNED],
    }
}

impl Model {
    /// Whether a refusal is true, just where it was refused: the act can be refused so, and what the code says is so.
    ///
    /// # Errors
    /// What it says that is not so.
    pub fn check_refusal(&self, act: &Act, code: &str) -> Result<()> {
        if !codes(act).any(|known| known == code) {
            return wrong(format!("`{}` was refused with {code}, which nothing of its kind is", act.told()));
        }
        let is_so = match code {
            "KEY_REVOKED" => match act.signed() {
                Some((person, signature)) => !self.is_good_key(person, &signer_of(signature)?),
                None => true,
            },
            "PERSON_SUSPENDED" => act.signed().is_none_or(|(person, _)| self.is_suspended(person)),
            _ => self.is_so(act, code),
        };
        match is_so {
            true => Ok(()),
            false => wrong(format!("`{}` was refused with {code}, which is not so", act.told())),
        }
    }

    /// Whether a code says what is so; `true` for codes about what the model does not keep.
    fn is_so(&self, act: &Act, code: &str) -> bool {
        match (code, act) {
            ("EVIDENCE_MALFORMED", Act::Push { tests, .. }) => tests.iter().any(|one| one.ending == Ending::Garbage),
            ("EVIDENCE_MALFORMED", Act::Attest { tests, .. }) => tests.ending == Ending::Garbage,
            ("RELEASE_EXISTS", Act::Push { release, content, .. }) => {
                self.releases.get(release).is_some_and(|known| known.artifacts != [content.digest()])
            }
            (
                "RELEASE_UNKNOWN",
                Act::Promote { by, release, .. } | Act::Rollback { by, release, .. } | Act::Attest { by, release, .. },
            ) => !self.releases.contains_key(release) || !self.may_read(by),
            (
                "ALREADY_RUNNING",
                Act::Promote { release, environment, .. } | Act::Rollback { release, environment, .. },
            ) => {
                let running = self.running.get(&(environment.clone(), release.service.clone()));
                running.is_some_and(|running| running.release == *release)
            }
            ("ROLLBACK_NEVER_RAN", Act::Rollback { release, environment, .. }) => !self.ran_in(release, environment),
            ("ROLLBACK_FORWARD", Act::Rollback { release, environment, .. }) => {
                let running = self.running.get(&(environment.clone(), release.service.clone()));
                running.is_some_and(|running| running.release.version < release.version)
            }
            ("NOT_PERMITTED", Act::Withdraw { by, promotion }) => {
                let asked = self.promotions.get(promotion);
                asked.is_none_or(|asked| asked.requester != *by) || !self.may_read(by)
            }
            ("PROMOTION_UNKNOWN", Act::Withdraw { by, .. } | Act::Approve { by, .. }) if !self.may_read(by) => true,
            ("PROMOTION_CLOSED" | "PROMOTION_UNKNOWN", Act::Withdraw { promotion, .. }) => self.is_over(*promotion),
            ("PROMOTION_CLOSED" | "PROMOTION_UNKNOWN", Act::Approve { request, .. }) => self.is_over(request.promotion),
            ("PROMOTION_CLOSED" | "PROMOTION_UNKNOWN", Act::TakeBack { event, .. }) => self.is_over(event.promotion),
            ("SOD_ROBOT", Act::Approve { by, .. }) => by.as_str() == ROBOT,
            ("SOD_SELF", Act::Approve { by, request }) => {
                self.promotions.get(&request.promotion).is_some_and(|asked| asked.requester == *by)
            }
            ("SERVICE_UNKNOWN", Act::Freeze { event }) => {
                let published = |service: &ServiceName| self.releases.keys().any(|release| release.service == *service);
                event.service.as_ref().is_some_and(|service| !published(service))
            }
            ("FREEZE_OVER", Act::Lift { event }) => self.freezes.get(&event.freeze).is_some_and(|freeze| freeze.lifted),
            _ => true,
        }
    }

    /// Whether a promotion is not open, or not there.
    fn is_over(&self, id: PromotionId) -> bool {
        self.promotions.get(&id).is_none_or(|promotion| promotion.status != Status::Open)
    }
}

#[cfg(test)]
mod tests {
    use lockgate_ledger::freeze::FreezeLifted;
    use lockgate_model::EntryIndex;

    use super::*;
    use crate::sim::act::{Content, Tests};

    /// In a ledger without entries.
    #[track_caller]
    fn check(act: &Act, code: &str, fine: bool) {
        assert_eq!(Model::new(&[]).check_refusal(act, code).is_ok(), fine, "{act:?}, {code}");
    }

    fn push(ending: Ending) -> Act {
        Act::Push {
            by: "ci".parse().unwrap(),
            release: "shop@1.1.0".parse().unwrap(),
            content: Content("build 1".to_owned()),
            tests: vec![Tests { name: "one".to_owned(), ending }],
        }
    }

    #[test]
    fn a_code_that_no_such_act_gets_is_a_lie() {
        let promote = Act::Promote {
            by: "dana".parse().unwrap(),
            release: "shop@1.1.0".parse().unwrap(),
            environment: "dev".parse().unwrap(),
        };
        check(&promote, "NOT_PERMITTED", true);
        check(&promote, "RELEASE_UNKNOWN", true);
        check(&promote, "IDEMPOTENCY_MISMATCH", true);
        check(&promote, "ALREADY_RUNNING", false);
        for code in ["KEY_REVOKED", "POLICY_STALE", "SETUP_DONE", "NOT_A_CODE", ""] {
            check(&promote, code, false);
        }
        check(&push(Ending::Passed), "RELEASE_UNKNOWN", false);
    }

    #[test]
    fn what_a_code_says_is_so_or_it_is_a_lie() {
        check(&push(Ending::Garbage), "EVIDENCE_MALFORMED", true);
        check(&push(Ending::Failed), "EVIDENCE_MALFORMED", false);
        check(&push(Ending::Passed), "RELEASE_EXISTS", false);
        let (by, signature) = ("olga".parse().unwrap(), String::new());
        let event = FreezeLifted { freeze: EntryIndex(3), reason: "over".to_owned(), by, signature };
        check(&Act::Lift { event: event.clone() }, "FREEZE_OVER", false);
        check(&Act::Lift { event: event.clone() }, "PERSON_SUSPENDED", false);
        check(&Act::Lift { event }, "KEY_UNKNOWN", true);
    }
}
