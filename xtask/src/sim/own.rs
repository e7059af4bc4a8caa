//! Own: whether the entries that an acknowledgement names are what was asked for, field by field.
//!
//! An acknowledgement names the first entry that a request appended. Where a request had been made before, by somebody
//! else or under a key that is forgotten, nothing may be left to append, or only what the engine then decided anew.

use lockgate_ledger::change::draft_bytes;
use lockgate_ledger::entry::CloseCause;
use lockgate_ledger::{Actor, Entry, Event};
use lockgate_model::facts::PromotionKind;
use lockgate_model::{Digest, EntryIndex, EnvName};
use serde_json::{Value, json};

use super::act::{Act, Intent};
use super::cast::ENVIRONMENTS;
use super::model::Model;
use crate::failure::{Failure, Result};

impl Model {
    /// Whether the first entry of an acknowledged act is its own, or what follows from one that was there before.
    ///
    /// # Errors
    /// What the entry is instead.
    pub fn check_own(&self, intent: &Intent, entry: &Entry) -> Result<()> {
        let by_them = matches!(&entry.actor, Actor::Subject { id } if id == intent.act.by());
        match (by_them && is_own(intent, &entry.event)?) || self.only_follows(&intent.act, entry) {
            true => Ok(()),
            false => {
                let (event, actor, act) = (entry.event.name(), &entry.actor, intent.act.told());
                Err(Failure::new(format!(
                    "`{act}` is acknowledged by an entry about something else: {event}, {actor:?}"
                )))
            }
        }
    }

    /// Whether an act could be acknowledged without any entry: all of it was there before.
    ///
    /// # Errors
    /// That it was not.
    pub fn check_nothing(&self, act: &Act, value: &Value) -> Result<()> {
        let repeated = |row: &Value| row.get("repeated").and_then(Value::as_bool) == Some(true);
        let rows = value.get("promotions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let was_there = match act {
            Act::Push { .. } => repeated(value) && self.has_reports(act),
            Act::Attest { .. } => self.has_reports(act),
            Act::Promote { .. } | Act::Rollback { .. } => !rows.is_empty() && rows.iter().all(repeated),
            _ => false,
        };
        match was_there {
            true => Ok(()),
            false => Err(Failure::new(format!("`{}` is acknowledged without an entry", act.told()))),
        }
    }

    /// Whether every report of an act is recorded about its release.
    pub fn has_reports(&self, act: &Act) -> bool {
        let (release, tests) = match act {
            Act::Push { release, tests, .. } => (release, tests.as_slice()),
            Act::Attest { release, tests, .. } => (release, std::slice::from_ref(tests)),
            _ => return true,
        };
        let known = self.releases.get(release);
        known.is_some_and(|known| tests.iter().all(|tests| known.evidence.contains(&tests.digest())))
    }

    /// Whether an entry is what the engine decides anew about a release that is asked about again.
    fn only_follows(&self, act: &Act, entry: &Entry) -> bool {
        let (Act::Push { release, .. }
        | Act::Attest { release, .. }
        | Act::Promote { release, .. }
        | Act::Rollback { release, .. }) = act
        else {
            return false;
        };
        let follows = matches!(entry.event, Event::DecisionRecorded(_) | Event::PromotionClosed(_));
        follows && entry.actor == Actor::System && entry.event.release() == Some(release) && self.has_reports(act)
    }
}

/// Whether an entry says what an act asks for, or proposes or signs it where it takes more than one.
fn is_own(intent: &Intent, event: &Event) -> Result<bool> {
    let key = &intent.key;
    Ok(match (&intent.act, event) {
        (Act::Push { release, .. }, Event::ReleasePublished(event)) => event.release == *release,
        (Act::Push { release, tests, .. }, Event::EvidenceRecorded(event)) => {
            event.release == *release && tests.iter().any(|tests| tests.digest() == event.evidence)
        }
        (Act::Attest { release, tests, .. }, Event::EvidenceRecorded(event)) => {
            event.release == *release && event.evidence == tests.digest()
        }
        (Act::Promote { release, environment, .. }, Event::PromotionRequested(event)) => {
            let asked = event.release == *release && event.kind == PromotionKind::Promotion && event.reason == *key;
            asked && is_on_the_way(&event.environment, environment)
        }
        (Act::Rollback { release, environment, .. }, Event::PromotionRequested(event)) => {
            let asked = event.release == *release && event.kind == PromotionKind::Rollback && event.reason == *key;
            asked && event.environment == *environment
        }
        (Act::Withdraw { promotion, .. }, Event::PromotionClosed(event)) => {
            event.promotion == *promotion && event.cause == CloseCause::Withdrawn && event.reason == *key
        }
        (Act::Approve { request, .. }, Event::ApprovalRecorded(event)) => {
            let document = Digest::of(&request.document);
            event.promotion == request.promotion && event.document == document && event.signature == request.signature
        }
        (Act::Sign { change, signature, .. }, Event::ChangeSigned(event)) => {
            event.change == *change && event.signature == *signature
        }
        (act, Event::ChangeProposed(event)) => match (act.first_signature(), act.event()) {
            (Some(signature), Some(asked)) => {
                event.signature == signature && event.draft == Digest::of(&draft_bytes(&asked)?)
            }
            _ => false,
        },
        (act, Event::ChangeSigned(event)) => act.first_signature() == Some(event.signature.as_str()),
        // As they are written: what one of them does not keep is not compared.
        (act, event) => match act.event() {
            Some(asked) => draft_bytes(&asked)? == draft_bytes(event)?,
            None => false,
        },
    })
}

/// Whether a release passes an environment on its way into another, or ends there.
fn is_on_the_way(environment: &EnvName, target: &EnvName) -> bool {
    let place = |name: &EnvName| ENVIRONMENTS.iter().position(|known| *known == name.as_str());
    place(environment).zip(place(target)).is_some_and(|(own, last)| own <= last)
}

/// The entry that the reply to a change of governance names besides: what the change led to, and where that stands. The
/// last signature of a change is followed by the change itself.
///
/// # Errors
/// That it names none, or one that cannot be its own.
pub fn named_entry<'a>(act: &Act, value: &'a Value, first: EntryIndex) -> Result<Option<(&'a str, EntryIndex)>> {
    let of_change = match act {
        Act::Sign { change, .. } => Some(*change),
        Act::Refuse { event } => Some(event.change),
        Act::Freeze { .. }
        | Act::Lift { .. }
        | Act::Rotate { .. }
        | Act::Revoke { .. }
        | Act::Stand { .. }
        | Act::Activate { .. } => None,
        _ => return Ok(None),
    };
    let wrong = |what: &str| Err(Failure::new(format!("the reply to `{}` {what}: {value}", act.told())));
    if of_change.is_some_and(|change| value.get("change") != Some(&json!(change))) {
        return wrong("names another change");
    }
    let name = value.get("event").and_then(Value::as_str);
    let index = value.get("index").and_then(Value::as_u64).map(EntryIndex);
    match name.zip(index) {
        Some((name, index)) if index == first || Some(index.0) == first.0.checked_add(1) => Ok(Some((name, index))),
        _ => wrong("names no entry of its own"),
    }
}

#[cfg(test)]
mod tests {
    use lockgate_engine::approve::Approve;
    use lockgate_ledger::entry::{ApprovalRecorded, EvidenceForm, EvidenceRecorded, PromotionClosed, SCHEMA};
    use lockgate_ledger::freeze::{FreezeLifted, FreezeOrdered};
    use lockgate_model::facts::Verdict;
    use lockgate_model::{PersonId, PromotionId, UnixMillis};

    use super::*;
    use crate::sim::act::{Ending, Tests};

    fn person(name: &str) -> PersonId {
        name.parse().unwrap()
    }

    fn entry(actor: Actor, event: Event) -> Entry {
        let schema = SCHEMA.to_owned();
        Entry { schema, time: UnixMillis(7), actor, governance: None, streams: Vec::new(), event }
    }

    #[track_caller]
    fn check(act: Act, by: &str, event: Event, fine: bool) {
        let intent = Intent::new("k1".to_owned(), act);
        let entry = entry(Actor::Subject { id: person(by) }, event);
        let found = Model::new(&[]).check_own(&intent, &entry);
        assert_eq!(found.is_ok(), fine, "{intent:?}, {entry:?}");
    }

    fn freeze(nonce: &str) -> FreezeOrdered {
        FreezeOrdered {
            service: None,
            environment: None,
            reason: "incident".to_owned(),
            until: None,
            spares_rollbacks: false,
            nonce: nonce.to_owned(),
            by: person("olga"),
            signature: "signed".to_owned(),
        }
    }

    #[test]
    fn a_change_is_acknowledged_by_itself_and_by_nothing_else() {
        let act = || Act::Freeze { event: freeze("n1") };
        check(act(), "olga", Event::FreezeOrdered(freeze("n1")), true);
        check(act(), "olga", Event::FreezeOrdered(freeze("n2")), false);
        check(act(), "omar", Event::FreezeOrdered(freeze("n1")), false);
        let (by, reason, signature) = (person("olga"), "over".to_owned(), String::new());
        let lifted = FreezeLifted { freeze: EntryIndex(3), reason, by, signature };
        check(act(), "olga", Event::FreezeLifted(lifted), false);
    }

    #[test]
    fn a_withdrawal_is_acknowledged_by_its_own_end() {
        let closed = |promotion, cause, reason: &str| {
            let (promotion, release) = (PromotionId(promotion), "shop@1.1.0".parse().unwrap());
            Event::PromotionClosed(PromotionClosed { promotion, release, cause, reason: reason.to_owned() })
        };
        let act = || Act::Withdraw { by: person("dana"), promotion: PromotionId(1) };
        check(act(), "dana", closed(1, CloseCause::Withdrawn, "k1"), true);
        check(act(), "dana", closed(2, CloseCause::Withdrawn, "k1"), false);
        check(act(), "dana", closed(1, CloseCause::Rejected, "k1"), false);
        check(act(), "dana", closed(1, CloseCause::Withdrawn, "k2"), false);
        check(act(), "dirk", closed(1, CloseCause::Withdrawn, "k1"), false);
    }

    #[test]
    fn an_approval_is_acknowledged_with_what_was_signed() {
        let recorded = |document: &[u8], signature: &str| {
            Event::ApprovalRecorded(ApprovalRecorded {
                promotion: PromotionId(1),
                release: "shop@1.1.0".parse().unwrap(),
                verdict: Verdict::Approve,
                approver: person("ada"),
                key: "SHA256:x".to_owned(),
                document: Digest::of(document),
                signature: signature.to_owned(),
            })
        };
        let request =
            Approve { promotion: PromotionId(1), document: b"document".to_vec(), signature: "signed".to_owned() };
        let act = || Act::Approve { by: person("ada"), request: request.clone() };
        check(act(), "ada", recorded(b"document", "signed"), true);
        check(act(), "ada", recorded(b"another", "signed"), false);
        check(act(), "ada", recorded(b"document", "signed again"), false);
    }

    #[test]
    fn a_report_is_acknowledged_by_its_own_bytes() {
        let tests = |name: &str| Tests { name: name.to_owned(), ending: Ending::Passed };
        let act = || Act::Attest { by: person("ci"), release: "shop@1.1.0".parse().unwrap(), tests: tests("one") };
        let recorded = |tests: &Tests| {
            Event::EvidenceRecorded(EvidenceRecorded {
                release: "shop@1.1.0".parse().unwrap(),
                evidence: tests.digest(),
                size_bytes: 9,
                media_type: "application/xml".to_owned(),
                form: EvidenceForm::Envelope,
            })
        };
        check(act(), "ci", recorded(&tests("one")), true);
        check(act(), "ci", recorded(&tests("two")), false);
    }

    #[test]
    fn nothing_is_acknowledged_by_nothing_where_it_was_not_there() {
        let model = Model::new(&[]);
        let promote = Act::Promote {
            by: person("dana"),
            release: "shop@1.1.0".parse().unwrap(),
            environment: "dev".parse().unwrap(),
        };
        let row = |repeated: bool| json!({ "promotions": [{ "promotion": "P-1", "repeated": repeated }] });
        assert!(model.check_nothing(&promote, &row(true)).is_ok());
        assert!(model.check_nothing(&promote, &row(false)).is_err());
        assert!(model.check_nothing(&promote, &json!({ "promotions": [] })).is_err());
        let freeze = Act::Freeze { event: freeze("n1") };
        assert!(model.check_nothing(&freeze, &json!({ "repeated": true })).is_err());
        let tests = Tests { name: "one".to_owned(), ending: Ending::Passed };
        let attest = Act::Attest { by: person("ci"), release: "shop@1.1.0".parse().unwrap(), tests };
        assert!(model.check_nothing(&attest, &json!({})).is_err());
    }

    #[test]
    fn the_reply_to_a_change_names_what_it_led_to() {
        let freeze = Act::Freeze { event: freeze("n1") };
        let named = |value: &Value| named_entry(&freeze, value, EntryIndex(4)).is_ok_and(|named| named.is_some());
        assert!(named(&json!({ "event": "freeze.ordered", "index": 4 })));
        assert!(named(&json!({ "event": "freeze.ordered", "index": 5 })));
        assert!(!named(&json!({ "event": "freeze.ordered", "index": 3 })));
        assert!(!named(&json!({ "event": "freeze.ordered" })));
        assert!(!named(&json!({})));
        let (by, signature) = (person("olga"), "signed".to_owned());
        let change = "C-3".parse().unwrap();
        let sign = Act::Sign { by, change, signature };
        let value = json!({ "event": "change.signed", "index": 4, "change": change });
        assert!(named_entry(&sign, &value, EntryIndex(4)).is_ok());
        let other = json!({ "event": "change.signed", "index": 4, "change": "C-4" });
        assert!(named_entry(&sign, &other, EntryIndex(4)).is_err());
    }
}
