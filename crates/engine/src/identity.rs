//! Identity: bind an account of an identity provider to oneself, and end a binding. The fold verifies the signatures.

use lockgate_ledger::Event;
use lockgate_ledger::identity::{IdentityBound, IdentityUnbound};
use lockgate_model::PersonId;

use crate::fault::{Fault, Kind};
use crate::people::append;
use crate::sequencer::Submission;

/// Binds an account. That the person controls it, the caller has checked: the ledger shows who claimed it.
///
/// # Errors
/// `NOT_PERMITTED` when the person is not who is signed in: nobody binds an account for somebody else.
pub fn bind(by: &PersonId, event: IdentityBound) -> Result<Submission, Fault> {
    match event.person == *by {
        true => Ok(append(by.clone(), Event::IdentityBound(event))),
        false => Err(not_you(&event.person, by)),
    }
}

/// Ends a binding: one's own, or with the permission to manage keys.
///
/// # Errors
/// `NOT_PERMITTED` when the signer is not who is signed in.
pub fn unbind(by: &PersonId, event: IdentityUnbound) -> Result<Submission, Fault> {
    match event.by == *by {
        true => Ok(append(by.clone(), Event::IdentityUnbound(event))),
        false => Err(not_you(&event.by, by)),
    }
}

fn not_you(named: &PersonId, by: &PersonId) -> Fault {
    Fault::new(Kind::NotPermitted, "NOT_PERMITTED", format!("this is about `{named}`, but `{by}` is signed in"))
}
