//! Inbox: what the caller can decide now.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use axum::response::Response;
use lockgate_api::wire::{BreakGlassRow, ChangeRow, InboxPromotion, InboxReply, LentBy, SnoozeRequest, SuspectRow};
use lockgate_engine::inbox::{self as waiting, PAGE_MAX};
use lockgate_engine::{Engine, Fault};
use lockgate_model::facts::DelegationFact;
use lockgate_model::{PersonId, PromotionId, UnixMillis};

use super::changes::{row, suspects_reply};
use super::delegations::delegations_of;
use super::emergency::break_glass_rows;
use super::{heavy, waivers};
use crate::call::Call;
use crate::cookie;
use crate::reply;
use crate::snooze::{Snoozes, Subject};

/// How many suspect entries are listed; `GET /v1/suspects` has all.
const SUSPECTS: usize = 50;

/// `GET /v1/inbox`.
pub async fn inbox(call: Call) -> Result<Response, Fault> {
    let after: Option<PromotionId> = call.query("after")?;
    let (engine, person) = (call.engine().clone(), call.person()?);
    reply::json(&heavy(move || inbox_reply(&engine, &person, after)).await?)
}

/// What somebody can decide now: what the API gives, and what the page shows.
pub fn inbox_reply(engine: &Engine, person: &PersonId, after: Option<PromotionId>) -> Result<InboxReply, Fault> {
    let (promotions, next) = waiting::promotions(engine, person, after, PAGE_MAX)?;
    let lent =
        |one: &DelegationFact| LentBy { delegation: one.index.0, from: one.from.clone(), expires_at: one.expires_at };
    let line = |found: waiting::Waiting| InboxPromotion {
        promotion: found.promotion.request.promotion,
        release: found.release,
        environment: found.promotion.request.environment.clone(),
        kind: found.promotion.request.kind,
        requester: found.promotion.requester.clone(),
        reason: found.promotion.request.reason.clone(),
        requested_at: found.promotion.requested_at,
        expires_at: found.promotion.request.expires_at,
        missing: found.missing,
        lent: found.lent.iter().map(lent).collect(),
    };
    let changes: Vec<ChangeRow> = waiting::changes(engine, person)?.iter().map(row).collect();
    let now = engine.time();
    let asked =
        waiting::waivers(engine, person)?.into_iter().filter_map(|known| waivers::row(known, None, now)).collect();
    let mut suspects: Vec<SuspectRow> = suspects_reply(engine, person, None)?;
    suspects.reverse();
    suspects.truncate(SUSPECTS);
    let promotions = promotions.into_iter().map(line).collect();
    let (break_glass, delegations) = (break_glass(engine, person)?, delegations_of(engine, person)?);
    Ok(InboxReply { promotions, changes, waivers: asked, break_glass, suspects, delegations, next })
}

/// The break-glasses that wait for somebody. The rows of all are made only where one does.
fn break_glass(engine: &Engine, person: &PersonId) -> Result<Vec<BreakGlassRow>, Fault> {
    let waiting: BTreeSet<u64> = waiting::break_glasses(engine, person)?.into_iter().map(|index| index.0).collect();
    if waiting.is_empty() {
        return Ok(Vec::new());
    }
    let mut rows = break_glass_rows(engine, person)?;
    rows.retain(|row| waiting.contains(&row.break_glass));
    Ok(rows)
}

/// `POST /v1/inbox/snoozes/{id}`: the browser keeps it in a cookie, and the ledger learns nothing of it.
pub async fn snooze(call: Call) -> Result<Response, Fault> {
    let subject: Subject = call.part("id")?;
    let request: SnoozeRequest = call.body()?;
    let (engine, person) = (call.engine().clone(), call.person()?);
    let ends = heavy(move || end_of(&engine, &person, subject)).await?;
    let now = call.engine().time();
    let mut snoozes = kept(&call, now)?;
    snoozes.snooze(subject, request.lasts, ends, now);
    keep(&call, &snoozes)
}

/// `DELETE /v1/inbox/snoozes/{id}`: also of what is in the inbox no more.
pub async fn wake(call: Call) -> Result<Response, Fault> {
    let subject: Subject = call.part("id")?;
    let mut snoozes = kept(&call, call.engine().time())?;
    snoozes.wake(subject);
    keep(&call, &snoozes)
}

/// What the browser that calls keeps folded.
pub fn kept(call: &Call, now: UnixMillis) -> Result<Snoozes, Fault> {
    let value = cookie::snoozed(&call.app.front.hosts, &call.headers);
    let governance = call.engine().governance()?;
    Ok(Snoozes::read(value.as_deref(), governance.origin(), &call.person()?, now))
}

fn keep(call: &Call, snoozes: &Snoozes) -> Result<Response, Fault> {
    let mut response = reply::typed(StatusCode::OK, "application/json", "{}");
    cookie::set_snoozed(&mut response, &call.app.front.hosts, &call.headers, &snoozes.value())?;
    Ok(response)
}

/// When a line of somebody's inbox ends by itself.
fn end_of(engine: &Engine, person: &PersonId, subject: Subject) -> Result<UnixMillis, Fault> {
    let (code, ends) = match subject {
        Subject::Promotion(id) => {
            let found = waiting::promotion(engine, person, id)?;
            ("PROMOTION_UNKNOWN", found.map(|found| found.promotion.request.expires_at))
        }
        Subject::Change(id) => {
            let found = waiting::changes(engine, person)?.into_iter().find(|view| view.change.id == id);
            ("CHANGE_UNKNOWN", found.map(|view| row(&view).expires_at))
        }
    };
    ends.ok_or_else(|| {
        Fault::not_found(code, format!("`{subject}` does not wait for you, so there is nothing to snooze"))
            .hint("see what does: lockgate inbox")
    })
}
