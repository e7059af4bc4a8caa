//! Changes of governance: made at once where one signature is enough, else proposed and gathered.
//!
//! The ledger alone decides whether a change has enough signatures: the event itself is tried first, and only where
//! nothing but the quorum is missing a proposal takes its place. The last signature and the event that it completes
//! are one transaction, so that of two people who sign at once one finds it done.

use lockgate_ledger::bodies::required;
use lockgate_ledger::change::{
    CHANGE_TTL, ChangeProposed, ChangeRejected, ChangeSigned, Countersignature, draft_bytes, read_draft,
};
use lockgate_ledger::governance::Change;
use lockgate_ledger::{Actor, Event, Governance};
use lockgate_model::{ChangeId, Digest, EntryIndex, PersonId};
use serde_json::{Value, json};

use crate::authorise::{names_hidden_service, remember, remember_governing};
use crate::bodies::StoreBodies;
use crate::engine::Engine;
use crate::fault::{Fault, Kind};
use crate::recordable;
use crate::sequencer::Submission;
use crate::staging::Staging;

/// The reason code of a change that lacks nothing but signatures.
const QUORUM: &str = "QUORUM_GOVERNANCE";

/// Makes a change, or proposes it where it needs more signatures; a change that is proposed already is signed.
///
/// `documents` are bodies that the event names. The value is `{"event", "index"}`, with `change` and `missing` while
/// signatures are missing, and `ends_sessions_of` where somebody's sessions end with it.
pub fn submit(by: PersonId, event: Event, documents: Vec<Vec<u8>>) -> Submission {
    Submission::new(move |staging, _| {
        for document in documents {
            staging.document(document);
        }
        let actor = Actor::Subject { id: by.clone() };
        recordable::check(staging, &event)?;
        remember_governing(staging, &event);
        match staging.append(actor, &[], event.clone()) {
            Ok(index) => Ok(done(&event, index, None)),
            Err(fault) if fault.code == QUORUM => gather(staging, &by, &event),
            Err(fault) => Err(fault),
        }
    })
}

/// Signs a proposed change; the last signature makes it happen.
///
/// The value is as of [`submit`].
pub fn sign(by: PersonId, change: ChangeId, signature: String) -> Submission {
    Submission::new(move |staging, _| add_signature(staging, &by, change, signature))
}

/// Rejects a proposed change, which ends it.
///
/// # Errors
/// `NOT_PERMITTED` when the signer is not who is signed in.
pub fn reject(by: &PersonId, event: ChangeRejected) -> Result<Submission, Fault> {
    if event.by != *by {
        return Err(crate::people::not_you(&event.by, by));
    }
    let actor = Actor::Subject { id: by.clone() };
    Ok(Submission::new(move |staging, _| {
        let change = event.change;
        let index = staging.append(actor, &[], Event::ChangeRejected(event))?;
        Ok(json!({ "event": "change.rejected", "index": index, "change": change }))
    }))
}

/// A proposed change with what it would do.
#[derive(Debug, Clone)]
pub struct ChangeView {
    /// The proposal.
    pub change: Change,
    /// Where it stands now: `open`, `stale` where it could only fail, `applied`, `rejected` or `expired`.
    pub status: &'static str,
    /// How many more people have to sign, while it is open.
    pub missing: usize,
    /// The draft: the event with its first signature, as canonical JSON.
    pub draft: Vec<u8>,
    /// The policy set that it would activate, where it is about one.
    pub policy: Option<Vec<u8>>,
}

/// Every proposed change, newest first, up to `most`.
///
/// # Errors
/// What the store says.
pub fn list(engine: &Engine, most: usize) -> Result<Vec<ChangeView>, Fault> {
    let governance = engine.governance()?;
    governance.changes().iter().rev().take(most).map(|change| view(engine, change, false)).collect()
}

/// One proposed change, with the policy set that it would activate.
///
/// # Errors
/// `CHANGE_UNKNOWN`, or what the store says.
pub fn show(engine: &Engine, id: ChangeId) -> Result<ChangeView, Fault> {
    let governance = engine.governance()?;
    view(engine, governance.change(id)?, true)
}

/// As [`list`], without changes that name services which a reader may not know of.
///
/// # Errors
/// What the store says.
pub fn list_for(engine: &Engine, reader: &PersonId, most: usize) -> Result<Vec<ChangeView>, Fault> {
    let governance = engine.governance()?;
    let mut views = list(engine, most)?;
    views.retain(|view| may_see(&governance, reader, view));
    Ok(views)
}

/// As [`show`]; a change that names services which a reader may not know of does not exist for them.
///
/// # Errors
/// `CHANGE_UNKNOWN`, or what the store says.
pub fn show_for(engine: &Engine, reader: &PersonId, id: ChangeId) -> Result<ChangeView, Fault> {
    let view = show(engine, id)?;
    match may_see(&*engine.governance()?, reader, &view) {
        true => Ok(view),
        false => Err(Fault::not_found("CHANGE_UNKNOWN", format!("{id} is not a change of this ledger"))),
    }
}

fn may_see(governance: &Governance, reader: &PersonId, view: &ChangeView) -> bool {
    read_draft(&view.draft).is_ok_and(|event| !names_hidden_service(governance, reader, &event))
}

pub(crate) fn view(engine: &Engine, change: &Change, with_policy: bool) -> Result<ChangeView, Fault> {
    let governance = engine.governance()?;
    let now = engine.time();
    let bodies = StoreBodies(engine.store());
    let draft = required(&bodies, &change.draft)?.into_owned();
    let event = read_draft(&draft)?;
    let status = match change.status_at(now) {
        "open" if governance.is_stale(change, &event) || event.key_end().is_some_and(|end| end <= now) => "stale",
        other => other,
    };
    let policy = match event {
        Event::PolicyActivated(event) if with_policy => Some(required(&bodies, &event.policy)?.into_owned()),
        _ => None,
    };
    let missing = if status == "open" { governance.missing_signatures(change) } else { 0 };
    Ok(ChangeView { change: change.clone(), status, missing, draft, policy })
}

/// Proposes a change, or signs the open proposal of the same one.
fn gather(staging: &mut Staging<'_>, by: &PersonId, event: &Event) -> Result<Value, Fault> {
    let governance = staging.governance()?.clone();
    let demand = event
        .demand(governance.origin())?
        .ok_or_else(|| Fault::new(Kind::Bug, "CHANGE_INVALID", "nobody else has to sign this change"))?;
    if !demand.more.is_empty() {
        // Whoever hands in several signatures has gathered them elsewhere: too few are too few.
        return Err(Fault::new(Kind::Denied, QUORUM, "the change does not carry enough signatures")
            .hint("hand it in with one signature; the others then sign it with `lockgate change sign`"));
    }
    let document = Digest::of(&demand.document);
    if let Some(open) = governance.open_change(&document, staging.time()) {
        return add_signature(staging, by, open.id, demand.signature.to_owned());
    }
    let change = governance.next_change();
    let proposed = ChangeProposed {
        change,
        draft: staging.document(draft_bytes(event)?),
        document,
        by: by.clone(),
        signature: demand.signature.to_owned(),
        expires_at: staging.time().plus(CHANGE_TTL),
    };
    let index = staging.append(Actor::Subject { id: by.clone() }, &[], Event::ChangeProposed(proposed))?;
    waiting(staging, "change.proposed", change, index)
}

fn add_signature(staging: &mut Staging<'_>, by: &PersonId, id: ChangeId, signature: String) -> Result<Value, Fault> {
    let actor = Actor::Subject { id: by.clone() };
    let signed = ChangeSigned { change: id, by: by.clone(), signature };
    let index = staging.append(actor.clone(), &[], Event::ChangeSigned(signed))?;
    let governance = staging.governance()?.clone();
    let change = governance.change(id)?;
    remember(staging, by, change.permission);
    let event = completed(staging, change)?;
    let made = recordable::check(staging, &event).and_then(|()| staging.append(actor, &[], event.clone()));
    match made {
        Ok(index) => Ok(done(&event, index, Some(id))),
        Err(fault) if fault.code == QUORUM => waiting(staging, "change.signed", id, index),
        Err(fault) => Err(fault.hint(format!(
            "{id} can no longer be made as it was proposed: `lockgate change reject {id} --reason stale`, and propose anew"
        ))),
    }
}

/// The event of a proposed change with all signatures that it has.
fn completed(staging: &Staging<'_>, change: &Change) -> Result<Event, Fault> {
    let draft = read_draft(&required(staging, &change.draft)?)?;
    let more = change.signatures.iter().skip(1);
    let more = more.map(|one| Countersignature { by: one.by.clone(), signature: one.signature.clone() });
    Ok(draft.countersigned(more.collect()))
}

fn waiting(staging: &Staging<'_>, event: &str, id: ChangeId, index: EntryIndex) -> Result<Value, Fault> {
    let governance = staging.governance()?;
    let change = governance.change(id)?;
    Ok(json!({
        "event": event,
        "index": index,
        "change": id,
        "missing": governance.missing_signatures(change),
        "expires_at": change.expires_at,
    }))
}

fn done(event: &Event, index: EntryIndex, change: Option<ChangeId>) -> Value {
    match event {
        Event::PolicyActivated(_) => lockgate_failpoint::point("policy.activated"),
        Event::KeyRevoked(_) => lockgate_failpoint::point("key.revoked"),
        _ => {}
    }
    let mut value = json!({ "event": event.name(), "index": index });
    if let Some(object) = value.as_object_mut() {
        if let Some(change) = change {
            object.insert("change".to_owned(), json!(change));
        }
        let stays = lockgate_failpoint::planted("session-outlives-key");
        if let Some(person) = event.ends_sessions_of().filter(|_| !stays) {
            object.insert("ends_sessions_of".to_owned(), json!(person));
        }
    }
    value
}
