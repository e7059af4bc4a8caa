//! Access: who may do what, where, why, and when they last did; and the signed review of it.

use std::collections::{BTreeMap, BTreeSet};

use lockgate_ledger::access_review::{AccessReview, AccessReviewed, REVIEW_SPAN, ReviewedUse, UnusedRight};
use lockgate_ledger::governance::Person;
use lockgate_ledger::{Actor, Event, Governance};
use lockgate_model::{Digest, EntryIndex, Limits, PersonId, UnixMillis};
use lockgate_policy::{Effective, Object, Permission, Permit, effective};
use serde_json::json;

use crate::authorise::{self, last_uses};
use crate::engine::Engine;
use crate::fault::{Fault, Kind};
use crate::integrity::Log;
use crate::reader;
use crate::sequencer::Submission;
use crate::sight::Sight;

/// What one person may do.
#[derive(Debug, Clone)]
pub struct PersonAccess {
    /// Each permission with where it reaches and why; none for whoever is suspended.
    pub rights: Vec<Effective>,
    /// The newest use of each, where it is known.
    pub uses: BTreeMap<Permission, (EntryIndex, UnixMillis)>,
}

impl PersonAccess {
    /// The same for a reader, with the permissions whose newest use is an entry that this reader may not read: not even
    /// when it was is told then.
    ///
    /// # Errors
    /// What the store says.
    pub fn for_reader(mut self, engine: &Engine, reader: &PersonId) -> Result<(Self, BTreeSet<Permission>), Fault> {
        let governance = engine.governance()?;
        let mut sight = Sight::new(engine.store(), &governance, reader);
        let mut hidden = BTreeSet::new();
        for (permission, (index, _)) in &self.uses {
            match reader::entry(engine.store(), *index).and_then(|entry| sight.event(&entry.event)) {
                Ok(true) => {}
                Err(fault) if fault.kind == Kind::Unavailable => return Err(fault),
                // Relies on INVARIANT (rows are not believed): one that names no sound entry tells nothing.
                Err(fault) => {
                    engine.integrity().note(Log::Ledger, &fault);
                    hidden.insert(*permission);
                }
                Ok(false) => {
                    hidden.insert(*permission);
                }
            }
        }
        self.uses.retain(|permission, _| !hidden.contains(permission));
        Ok((self, hidden))
    }
}

/// What one person may do, and when they last did.
///
/// # Errors
/// `PERSON_UNKNOWN`, or what the store says.
pub fn of_person(engine: &Engine, id: &PersonId) -> Result<PersonAccess, Fault> {
    let governance = engine.governance()?;
    let person =
        governance.person(id).ok_or_else(|| Fault::not_found("PERSON_UNKNOWN", format!("`{id}` is not enrolled")))?;
    let uses = last_uses(engine.store(), id)?.into_iter().map(|(permission, index, time)| (permission, (index, time)));
    Ok(PersonAccess { rights: rights_of(&governance, id, person), uses: uses.collect() })
}

fn rights_of(governance: &Governance, id: &PersonId, person: &Person) -> Vec<Effective> {
    match person.is_suspended() {
        true => Vec::new(),
        false => effective(&governance.policy, id, &person.groups),
    }
}

/// Everyone who may do something to an object, in order of name, with the reason.
///
/// # Errors
/// `LEDGER_EMPTY`.
pub fn who(engine: &Engine, permission: Permission, object: Object<'_>) -> Result<Vec<(PersonId, Permit)>, Fault> {
    let governance = engine.governance()?;
    let row = |(id, _): (&PersonId, &Person)| {
        let permit = authorise::authorise(&governance, id, permission, object).ok()?;
        Some((id.clone(), permit))
    };
    Ok(governance.people().filter_map(row).collect())
}

/// The review document as the ledger stands: what a reviewer looks at and signs.
///
/// # Errors
/// What the store says.
pub fn review(engine: &Engine) -> Result<AccessReview, Fault> {
    let published = engine.published();
    let governance = engine.governance()?;
    // The ledger's time may be later than the clock, never the other way around.
    let now = engine.inner().now().max(published.time);
    let (mut uses, mut unused) = (Vec::new(), Vec::new());
    for (id, person) in governance.people() {
        let known = last_uses(engine.store(), id)?;
        unused.extend(idle(engine, &governance, id, person, &known, now)?);
        let used = |(permission, index, time)| ReviewedUse { person: id.clone(), permission, index, time };
        uses.extend(known.into_iter().map(used));
    }
    uses.sort_by(|a, b| (&a.person, a.permission).cmp(&(&b.person, b.permission)));
    Ok(AccessReview {
        schema: AccessReview::SCHEMA.to_owned(),
        ledger: governance.origin().to_owned(),
        policy: governance.policy_digest,
        people: AccessReview::people_of(&governance),
        bindings: AccessReview::bindings_of(&governance.policy),
        uses,
        unused,
        reviewed_at_index: EntryIndex(published.head.size.0),
    })
}

/// The same for a reader. It tells of everyone what they did and when, wherever it was.
///
/// # Errors
/// `NOT_PERMITTED` for who may neither read everything nor audit nor manage keys, or what the store says.
pub fn review_for(engine: &Engine, reader: &PersonId) -> Result<AccessReview, Fault> {
    let governance = engine.governance()?;
    let whole = [Permission::Audit, Permission::Keys, Permission::Read];
    if !whole.into_iter().any(|permission| governance.may(reader, permission)) {
        let message = "a review tells when everyone did what, for every service; you may not read all of them";
        return Err(Fault::new(Kind::NotPermitted, "NOT_PERMITTED", message)
            .hint("`lockgate access show NAME` says who may do what, with what you may know of it"));
    }
    review(engine)
}

/// What somebody could have used for [`REVIEW_SPAN`] and did not.
fn idle(
    engine: &Engine,
    governance: &Governance,
    id: &PersonId,
    person: &Person,
    known: &[(Permission, EntryIndex, UnixMillis)],
    now: UnixMillis,
) -> Result<Vec<UnusedRight>, Fault> {
    let mut held: Vec<Permission> =
        rights_of(governance, id, person).into_iter().map(|right| right.permission).collect();
    held.dedup();
    held.retain(|permission| permission.leaves_a_trace());
    let mut unused = Vec::new();
    // Read once, and only where something was never used: since when it could have been.
    let mut enrolled: Option<UnixMillis> = None;
    for permission in held {
        let last_used = known.iter().find(|(used, ..)| *used == permission).map(|(_, _, time)| *time);
        let since = match (last_used, enrolled, person.keys.first()) {
            (Some(time), ..) | (None, Some(time), _) => time,
            (None, None, Some(key)) => *enrolled.insert(reader::entry(engine.store(), key.enrolled_at)?.time),
            (None, None, None) => now,
        };
        if since.plus(REVIEW_SPAN) <= now {
            unused.push(UnusedRight { person: id.clone(), permission, last_used });
        }
    }
    Ok(unused)
}

/// Records a review that somebody signed. The fold verifies the signature, the right, and that it shows what is so.
///
/// # Errors
/// `TOO_LARGE`, `DOCUMENT_INVALID`, or `NOT_PERMITTED` when the signer is not who is signed in; the rest comes with the
/// receipt.
pub fn record_review(
    by: &PersonId,
    signer: PersonId,
    document: Vec<u8>,
    signature: String,
) -> Result<Submission, Fault> {
    if signer != *by {
        return Err(Fault::new(
            Kind::NotPermitted,
            "NOT_PERMITTED",
            format!("this was signed by `{signer}`, but `{by}` is signed in"),
        ));
    }
    if document.len() > Limits::DEFAULT.json_body_bytes {
        return Err(Fault::new(Kind::TooLarge, "TOO_LARGE", "the review document is too large"));
    }
    AccessReview::from_bytes(&document)?;
    let review = Digest::of(&document);
    Ok(Submission::new(move |staging, _| {
        let may_audit = authorise::authorise(staging.governance()?, &signer, Permission::Audit, Object::Ledger).is_ok();
        let used = if may_audit { Permission::Audit } else { Permission::Keys };
        authorise::permit(staging, &signer, used, Object::Ledger, None)?;
        staging.document(document);
        let event = AccessReviewed { review, by: signer.clone(), signature };
        let index = staging.append(Actor::Subject { id: signer }, &[], Event::AccessReviewed(event))?;
        Ok(json!({ "event": "access.reviewed", "index": index }))
    }))
}
