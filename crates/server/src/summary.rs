//! One line for each event, for people.

use lockgate_ledger::Event;
use lockgate_ledger::break_glass::BreakGlassOpened;
use lockgate_ledger::ci_trust::CiTrusted;
use lockgate_ledger::drill::DrillRecorded;
use lockgate_ledger::entry::{ApprovalRecorded, EvidenceForm, EvidenceRecorded, WaiverGranted};
use lockgate_ledger::freeze::FreezeOrdered;
use lockgate_ledger::waiver::WaiverRequested;
use lockgate_model::facts::Verdict;
use lockgate_web::wording::plural;
use serde_json::Value;

/// What stands in the place of the services that a reader may not know of.
const HIDDEN: &str = "(services that you may not read)";

/// As [`summary`], for a reader who may not know of every service that the event names.
pub fn veiled_summary(event: &Event) -> String {
    match event {
        Event::CiTrusted(event) => trusted(event, HIDDEN),
        Event::FreezeOrdered(event) => froze(event, HIDDEN),
        other => summary(other),
    }
}

/// An entry as JSON for such a reader: it is not what was hashed, and has no signature, which would tell guesses apart.
pub fn veiled(mut entry: Value) -> Value {
    if let Some(body) = entry.pointer_mut("/event/body").and_then(Value::as_object_mut) {
        for name in ["service", "services"] {
            if body.contains_key(name) {
                body.insert(name.to_owned(), Value::from(HIDDEN));
            }
        }
        body.remove("signature");
        body.remove("countersigned");
    }
    entry
}

fn trusted(event: &CiTrusted, what: &str) -> String {
    format!("pipelines of {} may act as {} on {what}", event.issuer, event.machine)
}

fn froze(event: &FreezeOrdered, what: &str) -> String {
    let until = event.until.map(|until| format!(" until {until}")).unwrap_or_default();
    let place = event.environment.as_ref().map(|name| format!(" in {name}")).unwrap_or_default();
    format!("{} froze {what}{place}{until}: {}", event.by, event.reason)
}

/// What happened, in one line.
pub fn summary(event: &Event) -> String {
    match event {
        Event::LedgerCreated(event) => format!("the ledger {} began", event.origin),
        Event::PersonEnrolled(event) => format!("{} was enrolled with {}", event.person, event.key.fingerprint()),
        Event::KeyAdded(event) => format!("{} has a further key {}", event.person, event.key.fingerprint()),
        Event::KeyRevoked(event) => format!("the key {} of {} ended: {}", event.key, event.person, event.reason),
        Event::KeyRotated(event) => {
            format!("{} has the key {} in the place of {}", event.person, event.key.fingerprint(), event.replaces)
        }
        Event::KeyRecovered(event) => {
            let key = event.key.fingerprint();
            format!("{} has the new key {key}, and no earlier one: {}", event.person, event.reason)
        }
        Event::PersonSuspended(event) => format!("{} was suspended: {}", event.person, event.reason),
        Event::PersonReinstated(event) => format!("{} was reinstated: {}", event.person, event.reason),
        Event::ChangeProposed(event) => format!("{} was proposed by {}", event.change, event.by),
        Event::ChangeSigned(event) => format!("{} was signed by {}", event.change, event.by),
        Event::ChangeRejected(event) => format!("{} was rejected by {}: {}", event.change, event.by, event.reason),
        Event::PolicyActivated(event) => format!("the policy set {} became active: {}", event.policy, event.reason),
        Event::WaiverRequested(event) => asked_to_waive(event),
        Event::WaiverRevoked(event) => {
            format!("{} ended the waiver of entry {}: {}", event.by, event.waiver, event.reason)
        }
        Event::FeedRecorded(event) => {
            format!("a snapshot of the feed {} of {} tells of {} vulnerabilities", event.feed, event.date, event.rows)
        }
        Event::WaiverGranted(event) => waived(event),
        Event::IdentityBound(event) => format!("{} bound an account of {}", event.person, event.issuer),
        Event::IdentityUnbound(event) => {
            format!("an account of {} at {} was unbound by {}: {}", event.person, event.issuer, event.by, event.reason)
        }
        Event::CiTrusted(event) => {
            let services: Vec<&str> = event.services.iter().map(lockgate_model::ServiceName::as_str).collect();
            trusted(event, &services.join(", "))
        }
        Event::DelegationGranted(event) => {
            let (from, to) = (&event.from, &event.to);
            format!("{from} lent {to} the right to approve until {}: {}", event.expires_at, event.reason)
        }
        Event::DelegationEnded(event) => {
            format!("{} ended the delegation of entry {}: {}", event.by, event.delegation, event.reason)
        }
        Event::FreezeOrdered(event) => {
            froze(event, event.service.as_ref().map_or("everything", lockgate_model::ServiceName::as_str))
        }
        Event::FreezeLifted(event) => {
            format!("{} lifted the freeze of entry {}: {}", event.by, event.freeze, event.reason)
        }
        Event::BreakGlassOpened(event) => broke_glass(event),
        Event::BreakGlassSigned(event) => format!("{} signed the break-glass of entry {}", event.by, event.break_glass),
        Event::BreakGlassReviewed(event) => {
            format!("{} reviewed the break-glass of entry {}: {}", event.by, event.break_glass, event.finding)
        }
        Event::ApprovalWithdrawn(event) => {
            format!("{} took back the approval of {} of {}", event.approver, event.promotion, event.release)
        }
        Event::CiUntrusted(event) => format!("the CI trust of entry {} ended: {}", event.trust, event.reason),
        Event::AccessReviewed(event) => format!("{} reviewed who may do what: {}", event.by, event.review),
        Event::DrillRecorded(event) => drilled(event),
        Event::ReleasePublished(event) => format!("{} was published", event.release),
        Event::EvidenceRecorded(event) => handed_in(event),
        Event::PromotionRequested(event) => {
            format!("{}: {} into {}: {}", event.promotion, event.release, event.environment, event.reason)
        }
        Event::ApprovalRecorded(event) => judged(event),
        Event::PromotionClosed(event) => format!("{} of {} ended: {}", event.promotion, event.release, event.reason),
        Event::DecisionRecorded(event) => {
            format!("{}: {} for {} into {}", event.promotion, event.outcome, event.release, event.environment)
        }
        Event::AttestationsIssued(event) => {
            format!("{} attestations of the decision on {}", event.issued.len(), event.promotion)
        }
        Event::GrantIssued(event) => {
            format!("{} may run in {} until {}", event.release, event.environment, event.not_after)
        }
    }
}

fn asked_to_waive(event: &WaiverRequested) -> String {
    format!(
        "{} asked to waive {} of gate {} for {} in {} until {}: {}",
        event.asked_by,
        event.finding,
        event.gate,
        event.release.as_ref().map_or_else(|| event.service.to_string(), ToString::to_string),
        event.environment,
        event.expires_at,
        event.reason
    )
}

fn waived(event: &WaiverGranted) -> String {
    format!(
        "{} waived {} of gate {} for {} in {} until {}: {}",
        event.granted_by, event.finding, event.gate, event.service, event.environment, event.expires_at, event.reason
    )
}

fn broke_glass(event: &BreakGlassOpened) -> String {
    format!(
        "BREAK-GLASS by {} for {} into {} until {} ({}): {}",
        event.by, event.release, event.environment, event.expires_at, event.ticket, event.reason
    )
}

fn drilled(event: &DrillRecorded) -> String {
    let attacks = plural(event.tried, "attack was", "attacks were");
    let were = plural(event.skipped, "was", "were");
    format!(
        "a drill on a copy of {} entries: {} of {} {attacks} caught, {} {were} skipped",
        event.entries, event.caught, event.tried, event.skipped
    )
}

fn handed_in(event: &EvidenceRecorded) -> String {
    let kind = if matches!(event.form, EvidenceForm::Report { .. }) { " report" } else { "" };
    format!("{}{kind} {} for {}", event.form.label(), event.evidence, event.release)
}

fn judged(event: &ApprovalRecorded) -> String {
    let verb = match event.verdict {
        Verdict::Approve => "approved",
        Verdict::Reject => "rejected",
    };
    format!("{} {verb} {} of {}", event.approver, event.promotion, event.release)
}
