//! One line for each event, for people.

use lockgate_ledger::Event;
use lockgate_ledger::entry::EvidenceForm;
use lockgate_model::facts::Verdict;

/// What happened, in one line.
pub fn summary(event: &Event) -> String {
    match event {
        Event::LedgerCreated(event) => format!("the ledger {} began", event.origin),
        Event::PersonEnrolled(event) => format!("{} was enrolled with {}", event.person, event.key.fingerprint()),
        Event::KeyAdded(event) => format!("{} has a further key {}", event.person, event.key.fingerprint()),
        Event::KeyRevoked(event) => format!("the key {} of {} ended: {}", event.key, event.person, event.reason),
        Event::PolicyActivated(event) => format!("the policy set {} became active: {}", event.policy, event.reason),
        Event::WaiverGranted(event) => format!(
            "{} waived {} of gate {} for {} in {} until {}: {}",
            event.granted_by,
            event.finding,
            event.gate,
            event.service,
            event.environment,
            event.expires_at,
            event.reason
        ),
        Event::ReleasePublished(event) => format!("{} was published", event.release),
        Event::EvidenceRecorded(event) => match &event.form {
            EvidenceForm::Envelope => format!("signed evidence {} for {}", event.evidence, event.release),
            EvidenceForm::Report { format, .. } => format!("{format} report {} for {}", event.evidence, event.release),
        },
        Event::PromotionRequested(event) => {
            format!("{}: {} into {}: {}", event.promotion, event.release, event.environment, event.reason)
        }
        Event::ApprovalRecorded(event) => {
            let verb = match event.verdict {
                Verdict::Approve => "approved",
                Verdict::Reject => "rejected",
            };
            format!("{} {verb} {} of {}", event.approver, event.promotion, event.release)
        }
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
