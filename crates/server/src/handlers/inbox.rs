//! Inbox: what the caller can decide now.

use axum::response::Response;
use lockgate_api::wire::{ChangeRow, InboxPromotion, InboxReply, SuspectRow};
use lockgate_engine::inbox::{self as waiting, PAGE_MAX};
use lockgate_engine::{Engine, Fault};
use lockgate_model::{PersonId, PromotionId};

use super::changes::{row, suspects_reply};
use super::heavy;
use crate::call::Call;
use crate::reply;

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
    };
    let changes: Vec<ChangeRow> = waiting::changes(engine, person)?.iter().map(row).collect();
    let mut suspects: Vec<SuspectRow> = suspects_reply(engine, person, None)?;
    suspects.reverse();
    suspects.truncate(SUSPECTS);
    Ok(InboxReply { promotions: promotions.into_iter().map(line).collect(), changes, suspects, next })
}
