//! Delegate: record that somebody lent the right to approve, or that it ended.

use lockgate_ledger::delegation::{DelegationEnded, DelegationGranted};
use lockgate_ledger::{Actor, Event};
use lockgate_model::PersonId;
use serde_json::json;

use crate::environment;
use crate::fault::{Fault, Kind};
use crate::recordable;
use crate::sequencer::Submission;

/// Records a delegation, signed by the lender.
///
/// # Errors
/// `NOT_PERMITTED` when the lender is not who is signed in; the rest comes with the receipt.
pub fn grant(by: &PersonId, event: DelegationGranted) -> Result<Submission, Fault> {
    match event.from == *by {
        true => Ok(append(by.clone(), Event::DelegationGranted(event))),
        false => Err(not_you(&event.from, by)),
    }
}

/// Ends a delegation before its time.
///
/// # Errors
/// `NOT_PERMITTED` when the signer is not who is signed in; the rest comes with the receipt.
pub fn end(by: &PersonId, event: DelegationEnded) -> Result<Submission, Fault> {
    match event.by == *by {
        true => Ok(append(by.clone(), Event::DelegationEnded(event))),
        false => Err(not_you(&event.by, by)),
    }
}

fn not_you(named: &PersonId, by: &PersonId) -> Fault {
    Fault::new(Kind::NotPermitted, "NOT_PERMITTED", format!("this was signed by `{named}`, but `{by}` is signed in"))
}

/// Nothing is decided again: a delegation gives no approval, and its end leaves a promotion waiting as it was. The next
/// approval, or the scheduler, decides with what is in force then.
fn append(by: PersonId, event: Event) -> Submission {
    Submission::new(move |staging, _| {
        let name = event.name();
        if let Event::DelegationGranted(granted) = &event {
            let policy = &staging.governance()?.policy;
            granted.environments.iter().try_for_each(|wanted| environment::check(policy, wanted))?;
        }
        recordable::check(staging, &event)?;
        let index = staging.append(Actor::Subject { id: by }, &[], event)?;
        Ok(json!({ "event": name, "index": index }))
    })
}
