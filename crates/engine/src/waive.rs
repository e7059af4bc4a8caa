//! Waive: a signed, scoped, expiring exception to one finding of one gate, by two people.

use lockgate_ledger::entry::WaiverGranted;
use lockgate_ledger::{Actor, Event};
use lockgate_model::PersonId;
use lockgate_policy::{Object, Permission};
use serde_json::json;

use crate::authorise::permit;
use crate::evaluate::{Record, evaluate};
use crate::fault::{Fault, Kind};
use crate::sequencer::Submission;

/// Records a waiver and decides again on the promotions that it may concern.
///
/// # Errors
/// `NOT_PERMITTED` when the grantor is not who is signed in.
pub fn waive(by: &PersonId, event: WaiverGranted) -> Result<Submission, Fault> {
    if event.granted_by != *by {
        return Err(Fault::new(
            Kind::NotPermitted,
            "NOT_PERMITTED",
            format!("this was granted by `{}`, but `{by}` is signed in", event.granted_by),
        ));
    }
    Ok(Submission::new(move |staging, inner| {
        let policy = staging.governance()?.policy.clone();
        if !policy.gates().iter().any(|gate| gate.name == event.gate) {
            return Err(Fault::not_found("GATE_UNKNOWN", format!("the policy set has no gate `{}`", event.gate)));
        }
        let (service, environment) = (event.service.clone(), event.environment.clone());
        permit(staging, &event.granted_by, Permission::Waive, Object::Target(&service, &environment), None)?;
        let actor = Actor::Subject { id: event.granted_by.clone() };
        let index = staging.append(actor, &[], Event::WaiverGranted(event))?;
        for (promotion, _) in staging.open_promotions(&environment, &service)? {
            evaluate(staging, inner, promotion, Record::Changes)?;
        }
        Ok(json!({ "event": "waiver.granted", "index": index }))
    }))
}
