//! Delegations, approvals that are taken back, and how people approve.

use axum::response::Response;
use lockgate_api::wire::{
    ApproverRow, ApproversReply, DelegationRow, EndDelegation, NewDelegation, PairRow, TakeBackRequest,
};
use lockgate_engine::approvers::{Pace, Pair};
use lockgate_engine::authorise::may_see_service;
use lockgate_engine::{Engine, Fault, approvers, delegate, take_back};
use lockgate_ledger::delegation::{Delegation, DelegationEnded, DelegationGranted};
use lockgate_ledger::withdrawal::ApprovalWithdrawn;
use lockgate_model::{EntryIndex, PersonId, PromotionId, UnixMillis};

use super::{heavy, write};
use crate::call::Call;
use crate::reply;

/// `GET /v1/delegations`: newest first.
pub async fn list(call: Call) -> Result<Response, Fault> {
    reply::json(&delegations_reply(call.engine(), &call.person()?)?)
}

/// Who has lent whom the right to approve, as far as somebody may know of it, newest first: what the API gives, and what
/// the page shows.
pub fn delegations_reply(engine: &Engine, reader: &PersonId) -> Result<Vec<DelegationRow>, Fault> {
    let governance = engine.governance()?;
    let now = engine.time();
    let shown = |known: &&Delegation| {
        let event = &known.event;
        // No service named means all of them, and one of those is the reader's.
        event.services.is_empty()
            || *reader == event.from
            || *reader == event.to
            || event.services.iter().any(|service| may_see_service(&governance, reader, service))
    };
    let mut rows: Vec<DelegationRow> =
        governance.delegations().iter().rev().filter(shown).map(|known| row(known, now)).collect();
    for row in rows.iter_mut().filter(|row| row.from != *reader && row.to != *reader) {
        row.services.retain(|service| may_see_service(&governance, reader, service));
    }
    Ok(rows)
}

/// The delegations in force from and to somebody, newest first.
pub fn delegations_of(engine: &Engine, person: &PersonId) -> Result<Vec<DelegationRow>, Fault> {
    let governance = engine.governance()?;
    let now = engine.time();
    let aliases = governance.policy.aliases();
    let same = |name: &PersonId| aliases.person(name) == aliases.person(person);
    let theirs =
        |known: &&Delegation| (same(&known.event.from) || same(&known.event.to)) && governance.is_in_force(known, now);
    Ok(governance.delegations().iter().rev().filter(theirs).map(|known| row(known, now)).collect())
}

fn row(known: &Delegation, now: UnixMillis) -> DelegationRow {
    DelegationRow {
        delegation: known.index.0,
        from: known.event.from.clone(),
        to: known.event.to.clone(),
        groups: known.event.groups.clone(),
        environments: known.event.environments.clone(),
        services: known.event.services.clone(),
        granted_at: known.time,
        expires_at: known.event.expires_at,
        reason: known.event.reason.clone(),
        open: known.is_open(now),
        ended_by: known.ended.as_ref().map(|(_, by)| by.clone()),
    }
}

/// `POST /v1/delegations`.
pub async fn grant(call: Call) -> Result<Response, Fault> {
    let request: NewDelegation = call.body()?;
    let event = DelegationGranted {
        from: request.from,
        to: request.to,
        groups: request.groups,
        environments: request.environments,
        services: request.services,
        expires_at: request.expires_at,
        reason: request.reason,
        signature: request.signature,
    };
    write(&call, delegate::grant(&call.person()?, event)?).await
}

/// `POST /v1/delegations/ends`.
pub async fn end(call: Call) -> Result<Response, Fault> {
    let request: EndDelegation = call.body()?;
    let event = DelegationEnded {
        delegation: EntryIndex(request.delegation),
        reason: request.reason,
        by: request.by,
        signature: request.signature,
    };
    write(&call, delegate::end(&call.person()?, event)?).await
}

/// `POST /v1/promotions/{id}/approvals/withdrawal`.
pub async fn withdraw_approval(call: Call) -> Result<Response, Fault> {
    let promotion: PromotionId = call.part("id")?;
    let request: TakeBackRequest = call.body()?;
    let approver = call.person()?;
    let event = ApprovalWithdrawn {
        promotion,
        release: request.release,
        approver: approver.clone(),
        approvals: request.approvals,
        reason: request.reason,
        signature: request.signature,
    };
    write(&call, take_back::take_back(&approver, promotion, event)?).await
}

/// `GET /v1/approvers`.
pub async fn approvers_list(call: Call) -> Result<Response, Fault> {
    let engine = call.engine().clone();
    let (paces, pairs) = heavy(move || Ok((approvers::paces(&engine)?, approvers::pairs(&engine)?))).await?;
    let pace = |pace: Pace| ApproverRow {
        person: pace.approver,
        approvals: pace.approvals,
        hasty: pace.hasty,
        untimed: pace.untimed,
        rubber_stamps: pace.bursts.len() as u64,
    };
    let pair = |pair: Pair| PairRow {
        requester: pair.requester,
        approver: pair.approver,
        approvals: pair.approvals,
        of: pair.of,
        always: pair.always,
        mutual: pair.mutual,
        newest: pair.newest,
    };
    reply::json(&ApproversReply {
        approvers: paces.into_iter().map(pace).collect(),
        pairs: pairs.into_iter().map(pair).collect(),
    })
}
