//! People: enrol, add a key, revoke a key. Every signature is made elsewhere and verified by the fold.

use lockgate_ledger::entry::{KeyAdded, KeyRevoked, PersonEnrolled, Sponsor};
use lockgate_ledger::{Actor, Event};
use lockgate_model::PersonId;
use serde_json::json;

use crate::fault::{Fault, Kind};
use crate::sequencer::Submission;

/// Enrols a person or machine that someone vouches for.
///
/// # Errors
/// `NOT_PERMITTED` when the one-time code is used outside set-up, or the sponsor is not who is signed in.
pub fn enrol(by: &PersonId, event: PersonEnrolled) -> Result<Submission, Fault> {
    match &event.sponsor {
        Sponsor::Countersigned { by: sponsor, .. } if sponsor == by => {
            Ok(append(by.clone(), Event::PersonEnrolled(event)))
        }
        Sponsor::Countersigned { by: sponsor, .. } => Err(not_you(sponsor, by)),
        Sponsor::SetupCode { .. } => {
            Err(Fault::new(Kind::NotPermitted, "NOT_PERMITTED", "the one-time code is for set-up alone"))
        }
    }
}

/// Adds a key to someone enrolled.
///
/// # Errors
/// `NOT_PERMITTED` when the sponsor is not who is signed in.
pub fn add_key(by: &PersonId, event: KeyAdded) -> Result<Submission, Fault> {
    match event.by == *by {
        true => Ok(append(by.clone(), Event::KeyAdded(event))),
        false => Err(not_you(&event.by, by)),
    }
}

/// Ends a key. Open promotions are decided again when something else about them changes, or by the scheduler.
///
/// # Errors
/// `NOT_PERMITTED` when the signer is not who is signed in.
pub fn revoke_key(by: &PersonId, event: KeyRevoked) -> Result<Submission, Fault> {
    match event.by == *by {
        true => Ok(append(by.clone(), Event::KeyRevoked(event))),
        false => Err(not_you(&event.by, by)),
    }
}

fn not_you(named: &PersonId, by: &PersonId) -> Fault {
    Fault::new(Kind::NotPermitted, "NOT_PERMITTED", format!("this was signed by `{named}`, but `{by}` is signed in"))
}

pub(crate) fn append(by: PersonId, event: Event) -> Submission {
    Submission::new(move |staging, _| {
        let name = event.name();
        let index = staging.append(Actor::Subject { id: by }, &[], event)?;
        Ok(json!({ "event": name, "index": index }))
    })
}
