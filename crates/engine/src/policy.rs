//! Policy: activate another policy set.

use lockgate_ledger::entry::PolicyActivated;
use lockgate_ledger::{Actor, Event};
use lockgate_model::{Digest, PersonId};
use lockgate_policy::{PolicySet, run_tests};
use serde_json::json;

use crate::fault::{Fault, Kind};
use crate::sequencer::Submission;

/// Activates a policy set that loads and whose own tests pass. Open promotions are decided again by the scheduler;
/// approvals given under the old set do not count under the new one.
///
/// # Errors
/// `POLICY_INVALID`, `POLICY_TESTS_FAILED`, `POLICY_MISMATCH` or `NOT_PERMITTED`.
pub fn activate(by: &PersonId, document: Vec<u8>, event: PolicyActivated) -> Result<Submission, Fault> {
    if event.by != *by {
        return Err(Fault::new(
            Kind::NotPermitted,
            "NOT_PERMITTED",
            format!("this was signed by `{}`, but `{by}` is signed in", event.by),
        ));
    }
    let set = PolicySet::from_document(&document).map_err(|errors| {
        let all: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Fault::invalid("POLICY_INVALID", all.join("\n")).hint("`lockgate policy check DIR` shows each problem")
    })?;
    if Digest::of(&document) != event.policy {
        return Err(Fault::new(
            Kind::Denied,
            "POLICY_MISMATCH",
            "the signature is for another policy set than the one handed in",
        ));
    }
    let failed = run_tests(&set).into_iter().filter(|test| !test.passed).count();
    if failed > 0 {
        return Err(Fault::invalid("POLICY_TESTS_FAILED", format!("{failed} of the policy set's own tests fail"))
            .hint("`lockgate policy test DIR` shows them"));
    }
    Ok(Submission::new(move |staging, _| {
        let digest = staging.document(document);
        let actor = Actor::Subject { id: event.by.clone() };
        let index = staging.append(actor, &[], Event::PolicyActivated(event))?;
        Ok(json!({ "event": "policy.activated", "policy": digest, "index": index }))
    }))
}
