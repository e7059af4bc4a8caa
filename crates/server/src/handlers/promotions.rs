//! Promotions: ask, explain, approve, withdraw.

use axum::http::StatusCode;
use axum::response::Response;
use lockgate_api::wire::{
    ApprovalRequest, ApprovalRow, ArtifactRef, EvidenceSource, FeedUsedRow, FirstRow, GateRow, GrantReply,
    PastApprovalRow, PromoteRequest, PromotionReply, RunningCell, WithdrawRequest,
};
use lockgate_engine::authorise::{check_promotion, may_read};
use lockgate_engine::facts::facts as facts_of;
use lockgate_engine::precedent::{First, PastApproval};
use lockgate_engine::promote::Promote;
use lockgate_engine::why::{PromotionView, why as explain};
use lockgate_engine::{
    Engine, Fault, approve as approving, bundle as bundles, comparison, promote as promoting, withdraw as withdrawing,
};
use lockgate_ledger::feed::FeedUsed;
use lockgate_model::facts::{Claim, EvidenceFact, Origin, Running};
use lockgate_model::{Digest, EnvName, PersonId, PromotionId, ServiceName};
use lockgate_policy::Object;

use super::{heavy, whole, write};
use crate::call::Call;
use crate::reply;

fn request(request: PromoteRequest) -> Promote {
    Promote { release: request.release, environment: request.environment, reason: request.reason }
}

/// `POST /v1/promotions`.
pub async fn promote(call: Call) -> Result<Response, Fault> {
    let asked: PromoteRequest = call.body()?;
    call.check_service(&asked.release.service)?;
    let submission = promoting::promote(call.person()?, request(asked))?;
    write(&call, submission).await
}

/// `POST /v1/rollbacks`.
pub async fn rollback(call: Call) -> Result<Response, Fault> {
    let submission = promoting::rollback(call.person()?, request(call.body()?))?;
    write(&call, submission).await
}

/// `POST /v1/promotions/{id}/approvals`.
pub async fn approve(call: Call) -> Result<Response, Fault> {
    let promotion: PromotionId = call.part("id")?;
    let request: ApprovalRequest = call.body()?;
    let approve =
        approving::Approve { promotion, document: request.document.into_bytes(), signature: request.signature };
    let (engine, person, document) = (call.engine().clone(), call.person()?, approve.document.clone());
    let submission = approving::approve(call.person()?, approve)?;
    whole::checked(&call, move || comparison::check(&engine, &person, &document)).await?;
    write(&call, submission).await
}

/// `POST /v1/promotions/{id}/withdrawal`.
pub async fn withdraw(call: Call) -> Result<Response, Fault> {
    let promotion: PromotionId = call.part("id")?;
    let request: WithdrawRequest = call.body()?;
    write(&call, withdrawing::withdraw(call.person()?, promotion, request.reason)).await
}

/// `GET /v1/promotions/{id}`.
pub async fn why(call: Call) -> Result<Response, Fault> {
    let promotion: PromotionId = call.part("id")?;
    let engine = call.engine().clone();
    let (person, scope) = (call.person()?, call.scope().cloned());
    let reply = whole::checked(&call, move || {
        scope.map_or(Ok(()), |scope| scope.check_promotion(&engine, promotion))?;
        promotion_reply(&engine, &person, promotion)
    })
    .await?;
    reply::json(&reply)
}

/// A promotion with every gate, for somebody who may read it: what the API gives, and what the page shows.
pub fn promotion_reply(engine: &Engine, person: &PersonId, promotion: PromotionId) -> Result<PromotionReply, Fault> {
    check_promotion(engine, person, promotion)?;
    explain(engine, promotion).map(shown)
}

/// `GET /v1/promotions/{id}/facts`.
pub async fn facts(call: Call) -> Result<Response, Fault> {
    let promotion: PromotionId = call.part("id")?;
    let engine = call.engine().clone();
    let (person, scope) = (call.person()?, call.scope().cloned());
    let build = move || -> Result<Response, Fault> {
        check_promotion(&engine, &person, promotion)?;
        scope.map_or(Ok(()), |scope| scope.check_promotion(&engine, promotion))?;
        Ok(reply::typed(StatusCode::OK, "application/json", facts_of(&engine, promotion)?))
    };
    whole::shown(&call, build).await
}

/// `GET /v1/grants`.
pub async fn grant(call: Call) -> Result<Response, Fault> {
    let artifact: Digest = call.required_query("artifact")?;
    let service: ServiceName = call.required_query("service")?;
    let environment: EnvName = call.required_query("environment")?;
    call.check_service(&service)?;
    let engine = call.engine().clone();
    let governance = engine.governance()?;
    let readable = may_read(&governance, &call.person()?, Object::Target(&service, &environment));
    let promotion = heavy(move || {
        let found = bundles::find_grant(&engine, &artifact, &service, &environment);
        match found {
            // An environment that does not exist is no secret.
            Err(fault) if fault.code == "ENVIRONMENT_UNKNOWN" => Err(fault),
            _ if !readable => Err(bundles::not_granted(&artifact, &service, &environment)),
            found => found,
        }
    })
    .await?;
    reply::json(&GrantReply { promotion })
}

/// What runs, for the wire.
pub fn running_cell(running: Running) -> RunningCell {
    RunningCell { release: running.release, since: running.since, promotion: running.promotion }
}

/// One gate's outcome, for the wire.
pub fn gate_row(gate: lockgate_policy::GateResult) -> GateRow {
    GateRow {
        gate: gate.gate.to_string(),
        kind: gate.kind,
        outcome: gate.outcome.as_str().to_owned(),
        reason: gate.reason,
        file: gate.rule.file,
        line: gate.rule.line as u64,
        needed: gate.needed,
        found: gate.found,
        evidence: gate.evidence,
        who: gate.who,
        fix: gate.fix,
    }
}

/// Who stands behind a piece of evidence, for the wire.
pub fn evidence_source(fact: &EvidenceFact) -> EvidenceSource {
    let (signers, by) = match &fact.origin {
        Origin::Signed { signers } => (signers.iter().map(ToString::to_string).collect(), None),
        Origin::OnBehalf { by } => (Vec::new(), Some(by.clone())),
    };
    let signature = fact.signature.as_deref();
    let provenance = if let Claim::Provenance(provenance) = &fact.claim { Some(provenance) } else { None };
    EvidenceSource {
        evidence: fact.evidence,
        index: fact.index.0,
        claim: fact.claim.kind().to_owned(),
        signers,
        by,
        class: signature.map(|signature| signature.class.as_str().to_owned()),
        identity: signature.and_then(|signature| signature.identity.clone()),
        issuer: signature.and_then(|signature| signature.issuer.clone()),
        builder: provenance.map(|provenance| provenance.builder_id.clone()),
        commit: provenance.and_then(|provenance| provenance.source_commit.clone()),
    }
}

fn past_approval(past: PastApproval) -> PastApprovalRow {
    PastApprovalRow {
        person: past.person,
        release: past.release,
        promotion: past.promotion,
        recorded_at: past.time,
        index: past.index.0,
    }
}

fn first(first: First) -> FirstRow {
    match first {
        First::Release => FirstRow::Release {},
        First::Publisher { by, among } => FirstRow::Publisher { by, among: among as u64 },
        First::Builder { builder } => FirstRow::Builder { builder },
    }
}

fn feed_used(used: FeedUsed) -> FeedUsedRow {
    FeedUsedRow { feed: used.feed, digest: used.digest, date: used.date, index: used.index.0 }
}

fn shown(view: PromotionView) -> PromotionReply {
    let request = &view.promotion.request;
    let approval = |record: &lockgate_ledger::release::ApprovalRecord| ApprovalRow {
        person: record.event.approver.clone(),
        verdict: record.event.verdict,
        key: record.event.key.clone(),
        document: record.event.document,
        index: record.index.0,
        recorded_at: record.time,
        expires_at: record.approval.predicate.expires_at,
        review_seconds: record.approval.review_seconds(record.time),
        evidence_opened: record.approval.predicate.evidence_opened.len() as u64,
        evidence_listed: record.approval.predicate.evidence.len() as u64,
        comment: record.approval.predicate.comment.clone(),
        withdrawn: record.withdrawn.is_some(),
        rubber_stamp: view.stamped.get(&record.index).map(|count| *count as u64),
    };
    let artifact = |artifact: &lockgate_model::facts::Artifact| ArtifactRef {
        digest: artifact.digest,
        name: artifact.name.clone(),
        size_bytes: artifact.size_bytes,
    };
    PromotionReply {
        promotion: request.promotion,
        release: request.release.clone(),
        manifest: request.manifest,
        artifacts: view.release.manifest.artifacts.iter().map(artifact).collect(),
        environment: request.environment.clone(),
        kind: request.kind,
        requester: view.promotion.requester.clone(),
        reason: request.reason.clone(),
        requested_at: view.promotion.requested_at,
        expires_at: request.expires_at,
        status: view.status.as_str().to_owned(),
        closed: view.promotion.closed.as_ref().map(|(_, reason)| reason.clone()),
        running: view.running.map(running_cell),
        replaced: view.replaced.map(running_cell),
        outcome: view.decision.outcome.as_str().to_owned(),
        policy: view.decision.policy,
        decided_at: view.decided_at,
        decision_index: view.decision_index.map(|index| index.0),
        feeds: view.feeds.into_iter().map(feed_used).collect(),
        gates: view.decision.gates.into_iter().map(gate_row).collect(),
        sources: view.evidence.iter().map(evidence_source).collect(),
        approvals: view.promotion.approvals.iter().map(approval).collect(),
        approved_before: view.precedent.approvals.into_iter().map(past_approval).collect(),
        firsts: view.precedent.firsts.into_iter().map(first).collect(),
        granted_until: view.promotion.grant.as_ref().map(|grant| grant.event.not_after),
        suspects: view.suspects.into_iter().map(super::changes::suspect_row).collect(),
    }
}
