//! Waivers: ask, list, end.

use axum::response::Response;
use lockgate_api::wire::{WaiverEnd, WaiverRequest, WaiverRow};
use lockgate_engine::{Engine, Fault, waive};
use lockgate_ledger::waiver::{Waiver, WaiverRequested, WaiverRevoked};
use lockgate_model::{EntryIndex, PersonId, UnixMillis};

use super::{heavy, write};
use crate::call::Call;
use crate::reply;

/// `GET /v1/waivers`: newest first.
pub async fn list(call: Call) -> Result<Response, Fault> {
    let (engine, person) = (call.engine().clone(), call.person()?);
    reply::json(&heavy(move || waivers_reply(&engine, &person)).await?)
}

/// The waivers that somebody may know of, newest first: what the API gives, and what the page shows.
pub fn waivers_reply(engine: &Engine, person: &PersonId) -> Result<Vec<WaiverRow>, Fault> {
    let now = engine.time();
    let known = waive::waivers_for(engine, person)?;
    Ok(known.into_iter().filter_map(|(known, void)| row(known, void, now)).collect())
}

/// A waiver as it is told at a moment, with the reason code why one that is open does not count, or one that is asked for
/// would not; `None` for one without an entry, of which there is none in a ledger.
pub(super) fn row(known: Waiver, void: Option<&str>, now: UnixMillis) -> Option<WaiverRow> {
    let void = void.filter(|_| known.is_open(now) || known.is_waiting(now));
    let state = match (&known.ended, known.is_waiting(now), known.is_open(now), void) {
        (Some(_), ..) => "revoked",
        (None, true, ..) => "asked",
        (None, false, true, Some(_)) => "void",
        (None, false, true, None) => "open",
        (None, false, false, _) => "over",
    };
    let asked = known.asked.clone();
    Some(WaiverRow {
        waiver: known.index()?.0,
        request: known.request.map(|index| index.0),
        state: state.to_owned(),
        void: void.map(str::to_owned),
        asked: WaiverRequest {
            gate: asked.gate,
            finding: asked.finding,
            service: asked.service,
            environment: asked.environment,
            release: asked.release,
            artifact: asked.artifact,
            reason: asked.reason,
            ticket: asked.ticket,
            expires_at: asked.expires_at,
            asked_by: asked.asked_by,
            signature: asked.signature,
        },
        granted_by: known.granted.as_ref().map(|granted| granted.by.clone()),
        granted_at: known.granted.as_ref().map(|granted| granted.time),
        ended_by: known.ended.map(|(_, by)| by),
    })
}

/// `POST /v1/waivers/requests`.
pub async fn request(call: Call) -> Result<Response, Fault> {
    let request: WaiverRequest = call.body()?;
    let event = WaiverRequested {
        gate: request.gate,
        finding: request.finding,
        service: request.service,
        environment: request.environment,
        release: request.release,
        artifact: request.artifact,
        reason: request.reason,
        ticket: request.ticket,
        expires_at: request.expires_at,
        asked_by: request.asked_by,
        signature: request.signature,
    };
    write(&call, waive::request(&call.person()?, event)?).await
}

/// `POST /v1/waivers/ends`.
pub async fn revoke(call: Call) -> Result<Response, Fault> {
    let request: WaiverEnd = call.body()?;
    let event = WaiverRevoked {
        waiver: EntryIndex(request.waiver),
        reason: request.reason,
        by: request.by,
        signature: request.signature,
    };
    write(&call, waive::revoke(&call.person()?, event)?).await
}
