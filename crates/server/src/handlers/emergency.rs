//! Emergency freezes and break-glass.

use axum::response::Response;
use lockgate_api::wire::{
    BreakGlassCountersignature, BreakGlassReviewRequest, BreakGlassRow, FreezeLift, FreezeRow, NewBreakGlass, NewFreeze,
};
use lockgate_engine::authorise::may_read;
use lockgate_engine::break_glass::BreakGlassView;
use lockgate_engine::{Engine, Fault, break_glass, freeze};
use lockgate_ledger::Governance;
use lockgate_ledger::break_glass::{BreakGlassOpened, BreakGlassReviewed, BreakGlassSigned};
use lockgate_ledger::freeze::{Freeze, FreezeLifted, FreezeOrdered};
use lockgate_model::{EntryIndex, PersonId, UnixMillis};
use lockgate_policy::Object;

use super::{heavy, write};
use crate::call::Call;
use crate::reply;

/// `GET /v1/freezes`: newest first.
pub async fn freezes(call: Call) -> Result<Response, Fault> {
    let rows = freeze_rows(call.engine(), &call.person()?)?;
    reply::json(&rows)
}

/// The freezes that somebody may know of, newest first; one that names no service is for everyone.
pub fn freeze_rows(engine: &Engine, person: &PersonId) -> Result<Vec<FreezeRow>, Fault> {
    let governance = engine.governance()?;
    let now = engine.time();
    let readable = |known: &&Freeze| {
        let service = known.event.service.as_ref();
        service.is_none_or(|service| may_read(&governance, person, Object::Service(service)))
    };
    Ok(governance.freezes().iter().rev().filter(readable).map(|known| freeze_row(&governance, known, now)).collect())
}

fn freeze_row(governance: &Governance, known: &Freeze, now: UnixMillis) -> FreezeRow {
    FreezeRow {
        freeze: known.index.0,
        service: known.event.service.clone(),
        environment: known.event.environment.clone(),
        what: known.what(),
        by: known.event.by.clone(),
        reason: known.event.reason.clone(),
        since: known.time,
        until: known.event.until,
        spares_rollbacks: known.event.spares_rollbacks,
        open: governance.is_frozen_by(known, now),
        lifted_by: governance.lift_of(known).map(|lift| lift.by.clone()),
    }
}

/// `POST /v1/freezes`.
pub async fn order(call: Call) -> Result<Response, Fault> {
    let request: NewFreeze = call.body()?;
    let event = FreezeOrdered {
        service: request.service,
        environment: request.environment,
        reason: request.reason,
        until: request.until,
        spares_rollbacks: request.spares_rollbacks,
        nonce: request.nonce,
        by: request.by,
        signature: request.signature,
    };
    write(&call, freeze::order(&call.person()?, event)?).await
}

/// `POST /v1/freezes/lifts`.
pub async fn lift(call: Call) -> Result<Response, Fault> {
    let request: FreezeLift = call.body()?;
    let event = FreezeLifted {
        freeze: EntryIndex(request.freeze),
        reason: request.reason,
        by: request.by,
        signature: request.signature,
    };
    write(&call, freeze::lift(&call.person()?, event)?).await
}

/// `GET /v1/break-glass`: newest first.
pub async fn break_glasses(call: Call) -> Result<Response, Fault> {
    let (engine, person) = (call.engine().clone(), call.person()?);
    let rows = heavy(move || break_glass_rows(&engine, &person)).await?;
    reply::json(&rows)
}

/// Every break-glass that somebody may read about, newest first.
pub fn break_glass_rows(engine: &Engine, person: &PersonId) -> Result<Vec<BreakGlassRow>, Fault> {
    let governance = engine.governance()?;
    let row = |view: BreakGlassView| {
        let review = governance.review_of(&view.opened);
        BreakGlassRow {
            break_glass: view.opened.index.0,
            release: view.opened.event.release.clone(),
            manifest: view.opened.event.manifest,
            environment: view.opened.event.environment.clone(),
            reason: view.opened.event.reason.clone(),
            ticket: view.opened.event.ticket.clone(),
            opened_at: view.opened.time,
            expires_at: view.opened.event.expires_at,
            signed_by: view.opened.signatures.iter().map(|signature| signature.by.clone()).collect(),
            needed: view.opened.needed as u64,
            state: view.state.to_owned(),
            used: view.used,
            reviewed_by: review.map(|review| review.by.clone()),
            finding: review.map(|review| review.finding.clone()),
        }
    };
    Ok(break_glass::list(engine, person)?.into_iter().map(row).collect())
}

/// `POST /v1/break-glass`.
pub async fn open(call: Call) -> Result<Response, Fault> {
    let request: NewBreakGlass = call.body()?;
    call.check_service(&request.release.service)?;
    let event = BreakGlassOpened {
        release: request.release,
        manifest: request.manifest,
        environment: request.environment,
        reason: request.reason,
        ticket: request.ticket,
        expires_at: request.expires_at,
        by: request.by,
        signature: request.signature,
    };
    write(&call, break_glass::open(&call.person()?, event)?).await
}

/// `POST /v1/break-glass/signatures`.
pub async fn sign(call: Call) -> Result<Response, Fault> {
    let request: BreakGlassCountersignature = call.body()?;
    let event =
        BreakGlassSigned { break_glass: EntryIndex(request.break_glass), by: request.by, signature: request.signature };
    write(&call, break_glass::sign(&call.person()?, event)?).await
}

/// `POST /v1/break-glass/reviews`.
pub async fn review(call: Call) -> Result<Response, Fault> {
    let request: BreakGlassReviewRequest = call.body()?;
    let event = BreakGlassReviewed {
        break_glass: EntryIndex(request.break_glass),
        finding: request.finding,
        by: request.by,
        signature: request.signature,
    };
    write(&call, break_glass::review(&call.person()?, event)?).await
}
