//! People: enrol, add, rotate, end and recover keys, suspend and reinstate. Every signature is made elsewhere and
//! verified by the fold; what takes several of them goes through [`crate::change`].

use lockgate_ledger::change::{KeyRecovered, KeyRotated, StandingChanged};
use lockgate_ledger::entry::{KeyAdded, KeyRevoked, PersonEnrolled, Sponsor};
use lockgate_ledger::{Actor, Event};
use lockgate_model::PersonId;
use serde_json::json;

use crate::authorise::remember_governing;
use crate::change;
use crate::ci;
use crate::fault::{Fault, Kind};
use crate::recordable;
use crate::sequencer::Submission;

/// Enrols a person or machine that someone vouches for.
///
/// # Errors
/// `NOT_PERMITTED` when the one-time code is used outside set-up, or the sponsor is not who is signed in;
/// `NAME_RESERVED`.
pub fn enrol(by: &PersonId, event: PersonEnrolled) -> Result<Submission, Fault> {
    ci::check_name(&event.person)?;
    match &event.sponsor {
        Sponsor::Countersigned { by: sponsor, .. } if sponsor == by => {
            Ok(change::submit(by.clone(), Event::PersonEnrolled(event), Vec::new()))
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
        true => Ok(change::submit(by.clone(), Event::KeyRevoked(event), Vec::new())),
        false => Err(not_you(&event.by, by)),
    }
}

/// Puts a new key in the place of one's own old one.
///
/// # Errors
/// `NOT_PERMITTED` when it is not the caller's own key.
pub fn rotate_key(by: &PersonId, event: KeyRotated) -> Result<Submission, Fault> {
    match event.person == *by {
        true => Ok(change::submit(by.clone(), Event::KeyRotated(event), Vec::new())),
        false => Err(not_you(&event.person, by)),
    }
}

/// Gives someone who lost their keys a new one, and ends the others.
///
/// # Errors
/// `NOT_PERMITTED` when the signer is not who is signed in.
pub fn recover_key(by: &PersonId, event: KeyRecovered) -> Result<Submission, Fault> {
    match event.by == *by {
        true => Ok(change::submit(by.clone(), Event::KeyRecovered(event), Vec::new())),
        false => Err(not_you(&event.by, by)),
    }
}

/// Suspends someone, or reinstates them.
///
/// # Errors
/// `NOT_PERMITTED` when the signer is not who is signed in.
pub fn change_standing(by: &PersonId, event: StandingChanged, suspended: bool) -> Result<Submission, Fault> {
    if event.by != *by {
        return Err(not_you(&event.by, by));
    }
    let event = if suspended { Event::PersonSuspended(event) } else { Event::PersonReinstated(event) };
    Ok(change::submit(by.clone(), event, Vec::new()))
}

pub(crate) fn not_you(named: &PersonId, by: &PersonId) -> Fault {
    Fault::new(Kind::NotPermitted, "NOT_PERMITTED", format!("this was signed by `{named}`, but `{by}` is signed in"))
}

pub(crate) fn append(by: PersonId, event: Event) -> Submission {
    Submission::new(move |staging, _| {
        let name = event.name();
        recordable::check(staging, &event)?;
        remember_governing(staging, &event);
        let index = staging.append(Actor::Subject { id: by }, &[], event)?;
        lockgate_failpoint::point("key.added");
        Ok(json!({ "event": name, "index": index }))
    })
}
