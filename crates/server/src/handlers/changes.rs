//! Changes that several people sign, the life of keys, standing, and what compromised keys leave behind.

use std::future::Future;

use axum::response::Response;
use lockgate_api::wire::{
    ChangeRejectionRequest, ChangeReply, ChangeRow, ChangeSignatureRequest, Recovery, Rotation, Standing, SuspectRow,
};
use lockgate_engine::change::ChangeView;
use lockgate_engine::sight::Sight;
use lockgate_engine::{
    Engine, Fault, Kind, Submission, change as changing, people, reader, session, suspects as doubts,
};
use lockgate_ledger::change::{ChangeRejected, KeyRecovered, KeyRotated, StandingChanged};
use lockgate_ledger::governance::ChangeStatus;
use lockgate_ledger::suspect::Suspect;
use lockgate_model::{ChangeId, EntryIndex, PersonId};
use serde_json::Value;

use super::governance::{check_reason, key};
use super::{heavy, submit};
use crate::call::Call;
use crate::reply;

/// How many proposed changes are listed.
pub(super) const CHANGES_MAX: usize = 200;

/// A change of governance and its reply; ends the sessions that end with it.
pub(super) fn change(
    call: &Call,
    submission: Submission,
) -> impl Future<Output = Result<Response, Fault>> + Send + use<> {
    let (engine, idempotency) = (call.engine().clone(), call.idempotency());
    async move {
        let mut receipt = submit(&engine, submission.keyed(idempotency?)).await?;
        let ended = receipt.value.as_object_mut().and_then(|value| value.remove("ends_sessions_of"));
        let person: Option<PersonId> = ended.as_ref().and_then(Value::as_str).and_then(|name| name.parse().ok());
        if let Some(person) = person {
            let engine = engine.clone();
            heavy(move || session::sign_out_everywhere(&engine, &person)).await?;
        }
        reply::acknowledged(&engine, receipt)
    }
}

/// `POST /v1/keys/rotations`.
pub async fn rotate(call: Call) -> Result<Response, Fault> {
    let request: Rotation = call.body()?;
    let event = KeyRotated {
        person: request.person,
        key: key(&request.key)?,
        proof: request.proof,
        replaces: request.replaces,
        signature: request.signature,
        expires_at: request.expires_at,
        environments: request.environments,
    };
    change(&call, people::rotate_key(&call.person()?, event)?).await
}

/// `POST /v1/keys/recoveries`.
pub async fn recover(call: Call) -> Result<Response, Fault> {
    let request: Recovery = call.body()?;
    check_reason(&request.reason)?;
    let (Some(by), Some(signature)) = (request.by, request.signature) else {
        return Err(Fault::invalid("SPONSOR_INVALID", "a recovery needs somebody who vouches, with a signature"));
    };
    let event = KeyRecovered {
        person: request.person,
        key: key(&request.key)?,
        proof: request.proof,
        reason: request.reason,
        by,
        signature,
        countersigned: Vec::new(),
        expires_at: request.expires_at,
        environments: request.environments,
    };
    change(&call, people::recover_key(&call.person()?, event)?).await
}

/// `POST /v1/people/suspensions`.
pub async fn suspend(call: Call) -> Result<Response, Fault> {
    let event = standing(&call)?;
    change(&call, people::change_standing(&call.person()?, event, true)?).await
}

/// `POST /v1/people/reinstatements`.
pub async fn reinstate(call: Call) -> Result<Response, Fault> {
    let event = standing(&call)?;
    change(&call, people::change_standing(&call.person()?, event, false)?).await
}

fn standing(call: &Call) -> Result<StandingChanged, Fault> {
    let request: Standing = call.body()?;
    check_reason(&request.reason)?;
    Ok(StandingChanged {
        person: request.person,
        previous_at: EntryIndex(request.previous_at),
        reason: request.reason,
        by: request.by,
        signature: request.signature,
        countersigned: Vec::new(),
    })
}

/// `GET /v1/suspects`.
pub async fn suspects(call: Call) -> Result<Response, Fault> {
    let since = call.query::<u64>("since")?.map(EntryIndex);
    let (engine, person) = (call.engine().clone(), call.person()?);
    reply::json(&heavy(move || suspects_reply(&engine, &person, since)).await?)
}

/// What is suspect, as far as somebody may read it, in ledger order.
pub(super) fn suspects_reply(
    engine: &Engine,
    person: &PersonId,
    since: Option<EntryIndex>,
) -> Result<Vec<SuspectRow>, Fault> {
    let governance = engine.governance()?;
    let mut sight = Sight::new(engine.store(), &governance, person);
    let mut rows = Vec::new();
    for suspect in doubts::suspects(engine, since)? {
        let event = reader::entry(engine.store(), suspect.index)?.event;
        if sight.event(&event)? {
            rows.push(suspect_row(suspect));
        }
    }
    Ok(rows)
}

/// A suspect entry, for the wire.
pub(super) fn suspect_row(suspect: Suspect) -> SuspectRow {
    SuspectRow {
        index: suspect.index.0,
        event: suspect.event.to_owned(),
        what: suspect.what,
        why: suspect.why,
        since: suspect.since.0,
    }
}

/// `GET /v1/changes`.
pub async fn list(call: Call) -> Result<Response, Fault> {
    let (engine, reader) = (call.engine().clone(), call.person()?);
    let views = heavy(move || changing::list_for(&engine, &reader, CHANGES_MAX)).await?;
    reply::json(&views.iter().map(row).collect::<Vec<ChangeRow>>())
}

/// `GET /v1/changes/{id}`.
pub async fn show(call: Call) -> Result<Response, Fault> {
    let id: ChangeId = call.part("id")?;
    let (engine, reader) = (call.engine().clone(), call.person()?);
    let view = heavy(move || changing::show_for(&engine, &reader, id)).await?;
    let text = |bytes: Vec<u8>| {
        String::from_utf8(bytes).map_err(|error| Fault::new(Kind::Integrity, "CHANGE_INVALID", error.to_string()))
    };
    let row = row(&view);
    reply::json(&ChangeReply {
        row,
        document: view.change.document,
        draft: text(view.draft)?,
        policy: view.policy.map(text).transpose()?,
    })
}

/// A proposed change, for the wire.
pub(super) fn row(view: &ChangeView) -> ChangeRow {
    let change = &view.change;
    ChangeRow {
        change: change.id,
        event: change.event.to_owned(),
        permission: change.permission.as_str().to_owned(),
        subject: change.subject.clone(),
        status: view.status.to_owned(),
        missing: view.missing as u64,
        signed_by: change.signatures.iter().map(|signature| signature.by.clone()).collect(),
        proposed_at: change.proposed_time,
        expires_at: change.expires_at,
        outcome: match &change.status {
            ChangeStatus::Open if view.status == "stale" => {
                Some("what it rests on has changed since it was proposed, so that it can only be rejected".to_owned())
            }
            ChangeStatus::Open => None,
            ChangeStatus::Applied { at } => Some(format!("happened in entry {at}")),
            ChangeStatus::Rejected { by, reason } => Some(format!("rejected by {by}: {reason}")),
        },
    }
}

/// `POST /v1/changes/{id}/signatures`.
pub async fn sign(call: Call) -> Result<Response, Fault> {
    let request: ChangeSignatureRequest = call.body()?;
    let id: ChangeId = call.part("id")?;
    change(&call, changing::sign(call.person()?, id, request.signature)).await
}

/// `POST /v1/changes/{id}/rejection`.
pub async fn reject(call: Call) -> Result<Response, Fault> {
    let request: ChangeRejectionRequest = call.body()?;
    check_reason(&request.reason)?;
    let by = call.person()?;
    let event = ChangeRejected {
        change: call.part("id")?,
        reason: request.reason,
        by: by.clone(),
        signature: request.signature,
    };
    change(&call, changing::reject(&by, event)?).await
}
