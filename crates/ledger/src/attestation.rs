//! The attestations that Lockgate issues for each outcome, and for reports handed in on someone's behalf.

use serde_json::{Value, json};

use lockgate_model::facts::{Facts, Verdict};
use lockgate_model::{Digest, EntryIndex, PersonId, UnixMillis, canonical};
use lockgate_policy::{GateOutcome, Outcome};
use lockgate_sign::attestation_key::AttestationKey;
use lockgate_sign::dsse::Envelope;

use crate::approval::{self, Subject};
use crate::entry::{DecisionRecorded, EvidenceRecorded};
use crate::governance::Governance;
use crate::release::ReleaseState;
use crate::state::ApplyError;
use crate::vsa;

/// The in-toto predicate type of a promotion's outcome.
pub const PROMOTION_PREDICATE_TYPE: &str = "https://lockgate.dev/promotion/v1";
/// The DSSE payload type of every statement that Lockgate signs: the plain one, which all clients compare exactly.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// The subjects of a statement.
pub type Subjects = Vec<Subject>;

/// An in-toto Statement v1.
pub fn statement(subjects: &Subjects, predicate_type: &str, predicate: Value) -> Value {
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subjects,
        "predicateType": predicate_type,
        "predicate": predicate,
    })
}

/// The predicate of a promotion's outcome.
pub fn promotion_predicate(
    event: &DecisionRecorded,
    facts: &Facts,
    origin: &str,
    index: EntryIndex,
    time: UnixMillis,
    not_after: Option<UnixMillis>,
) -> Value {
    let check = |line: &crate::entry::GateLine| json!({ "gate": line.gate, "result": outcome_word(line.outcome) });
    let approval = |approval: &lockgate_model::facts::ApprovalFact| {
        json!({
            "approver": approval.person,
            "keyId": approval.key,
            "index": approval.index,
            "verdict": match approval.verdict { Verdict::Approve => "approve", Verdict::Reject => "reject" },
        })
    };
    let mut predicate = json!({
        "decisionId": format!("{}#{index}", event.promotion),
        "result": match event.outcome { Outcome::Allow => "allowed", Outcome::Deny => "denied", Outcome::Pending => "pending" },
        "release": event.release,
        "manifest": facts.release.manifest,
        "to": event.environment,
        "kind": facts.promotion.kind,
        "requester": facts.promotion.requester,
        "reason": facts.promotion.reason,
        "policy": { "digest": { "sha256": event.policy.hex() }, "engine": event.engine },
        "facts": event.facts,
        "inputs": facts.evidence.iter().map(|evidence| evidence.evidence).collect::<Vec<_>>(),
        "checks": event.gates.iter().map(check).collect::<Vec<_>>(),
        "approvals": facts.approvals.iter().map(approval).collect::<Vec<_>>(),
        "exceptions": facts.waivers.iter().map(|waiver| json!({
            "gate": waiver.gate, "finding": waiver.finding, "expiresAt": waiver.expires_at, "index": waiver.index,
        })).collect::<Vec<_>>(),
        "log": { "origin": origin, "index": index },
    });
    if let Some(object) = predicate.as_object_mut() {
        if !event.feeds.is_empty() {
            object.insert("feeds".to_owned(), json!(event.feeds));
        }
        if let Some(running) = &facts.running {
            object.insert(
                "from".to_owned(),
                json!({ "release": running.release, "manifest": running.manifest, "promotion": running.promotion }),
            );
        }
        if let Some(not_after) = not_after {
            object.insert("grant".to_owned(), json!({ "notBefore": time, "notAfter": not_after }));
        }
        if let Some(opened) = &facts.break_glass {
            object.insert(
                "breakGlass".to_owned(),
                json!({
                    "index": opened.index, "reason": opened.reason, "ticket": opened.ticket,
                    "signedBy": opened.signed_by, "expiresAt": opened.expires_at,
                }),
            );
        }
    }
    predicate
}

fn outcome_word(outcome: GateOutcome) -> &'static str {
    match outcome {
        GateOutcome::Pass => "pass",
        GateOutcome::Fail => "fail",
        GateOutcome::Pending => "pending",
        GateOutcome::Waived => "waived",
        GateOutcome::Warn => "warn",
        GateOutcome::Overridden => "overridden",
    }
}

/// Until when a grant lasts that follows from this decision; `None` when it allows nothing.
pub fn grant_end(event: &DecisionRecorded, governance: &Governance, time: UnixMillis) -> Option<UnixMillis> {
    let environment = governance.policy.environment(&event.environment)?;
    let end = time.plus(environment.grant_ttl);
    // What break-glass gives does not outlast it.
    let opened = event.break_glass.and_then(|index| governance.break_glass(index).ok());
    let end = opened.map_or(end, |opened| end.min(opened.event.expires_at));
    (event.outcome == Outcome::Allow).then_some(end)
}

/// Both statements about a decision: the promotion's outcome and the VSA. The same state gives the same statements,
/// which is how an audit checks what was signed.
pub fn outcome_statements(
    event: &DecisionRecorded,
    facts: &Facts,
    governance: &Governance,
    release: &ReleaseState,
    index: EntryIndex,
    time: UnixMillis,
) -> [(&'static str, Value); 2] {
    let subjects = approval::subjects(release);
    let end = grant_end(event, governance, time);
    let promotion = promotion_predicate(event, facts, governance.origin(), index, time, end);
    let summary = vsa::predicate(event, &governance.policy, governance.origin(), time, &inputs(facts));
    [
        (PROMOTION_PREDICATE_TYPE, statement(&subjects, PROMOTION_PREDICATE_TYPE, promotion)),
        (vsa::PREDICATE_TYPE, vsa::statement(&subjects, summary)),
    ]
}

/// The statement that wraps an unsigned report: Lockgate says who handed it in, and nothing more.
pub fn report_statement(subjects: &Subjects, event: &EvidenceRecorded, format: &str, by: &PersonId) -> Value {
    let predicate = json!({
        "format": format,
        "report": { "digest": { "sha256": event.evidence.hex() }, "sizeBytes": event.size_bytes, "mediaType": event.media_type },
        "handedInBy": by,
        "signedOnBehalf": true,
    });
    statement(subjects, lockgate_evidence::REPORT_PREDICATE, predicate)
}

/// Signs a statement as DSSE: one signature under both key ids that other tools look for (`slsa-verifier`'s SSH
/// fingerprint and securesystemslib's).
///
/// # Errors
/// `SIGNING_FAILED`.
pub fn sign(statement: &Value, key: &AttestationKey) -> Result<Envelope, ApplyError> {
    let failed = |message: String| ApplyError::new("SIGNING_FAILED", message);
    let payload = canonical::to_vec(statement).map_err(|error| failed(error.to_string()))?;
    let keyids = [key.public().keyid_ssh(), key.public().keyid_securesystemslib()];
    Envelope::sign(PAYLOAD_TYPE, &payload, key, &keyids).map_err(|error| failed(error.to_string()))
}

/// The digests of the evidence that a decision used, in ledger order.
pub fn inputs(facts: &Facts) -> Vec<Digest> {
    facts.evidence.iter().map(|evidence| evidence.evidence).collect()
}
