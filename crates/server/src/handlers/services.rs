//! Services and releases, one by one.

use axum::response::Response;
use lockgate_api::wire::{
    ArtifactRef, EnvironmentRow, EvidenceLine, PlaceRow, PromotionLine, RanRow, ReleaseLine, ReleaseReply,
    ServiceReply, SourceRef,
};
use lockgate_engine::authorise::may_read;
use lockgate_engine::services::{self as views, EnvironmentView, Ran, ReleasePlace};
use lockgate_engine::{Engine, Fault};
use lockgate_ledger::release::{EvidenceRecord, PromotionState, ReleaseState};
use lockgate_model::facts::Running;
use lockgate_model::{EnvName, PersonId, ReleaseName, ServiceName};
use lockgate_policy::Object;

use super::changes::suspect_row;
use super::drift::report;
use super::promotions::{evidence_source, running_cell};
use super::{heavy, whole};
use crate::call::Call;
use crate::reply;

/// `GET /v1/services/{name}`.
pub async fn service(call: Call) -> Result<Response, Fault> {
    let name: ServiceName = call.part("name")?;
    let before: Option<u64> = call.query("before")?;
    let (engine, person) = (call.engine().clone(), call.person()?);
    reply::json(&heavy(move || service_reply(&engine, &person, &name, before)).await?)
}

/// `GET /v1/releases/{name}`.
pub async fn release(call: Call) -> Result<Response, Fault> {
    let name: ReleaseName = call.part("name")?;
    let (engine, person) = (call.engine().clone(), call.person()?);
    whole::shown(&call, move || reply::json(&release_reply(&engine, &person, &name)?)).await
}

/// One service, as far as somebody may read it: what the API gives, and what the page shows.
pub fn service_reply(
    engine: &Engine,
    person: &PersonId,
    name: &ServiceName,
    before: Option<u64>,
) -> Result<ServiceReply, Fault> {
    let view = views::service(engine, person, name, before)?;
    let runs: Vec<(EnvName, Option<Running>)> =
        view.environments.iter().map(|row| (row.environment.clone(), row.running.clone())).collect();
    let mut promotions = Vec::new();
    for release in &view.releases {
        promotions.extend(promotion_lines(engine, person, release)?);
    }
    promotions.sort_by_key(|one| std::cmp::Reverse(one.promotion));
    let line = |release: &std::sync::Arc<ReleaseState>| {
        let here = |(_, running): &&(EnvName, Option<Running>)| {
            running.as_ref().is_some_and(|running| running.release == release.name)
        };
        ReleaseLine {
            release: release.name.clone(),
            published_by: release.published_by.clone(),
            published_at: release.published_at,
            artifacts: release.manifest.artifacts.len() as u64,
            evidence: release.evidence.len() as u64,
            runs_in: runs.iter().filter(here).map(|(name, _)| name.clone()).collect(),
            ran_in: runs.iter().map(|(name, _)| name).filter(|name| release.ran_in(name)).cloned().collect(),
        }
    };
    Ok(ServiceReply {
        service: name.clone(),
        releases: view.releases.iter().map(line).collect(),
        environments: view.environments.into_iter().map(environment_row).collect(),
        promotions,
        next: view.next,
    })
}

fn environment_row(view: EnvironmentView) -> EnvironmentRow {
    let ran = |ran: Ran| RanRow {
        release: ran.release,
        promotion: ran.promotion,
        since: ran.since,
        until: ran.until,
        rollback: ran.rollback,
    };
    EnvironmentRow {
        environment: view.environment,
        running: view.running.map(running_cell),
        ran: view.ran.into_iter().map(ran).collect(),
    }
}

/// One release, as far as somebody may read it: what the API gives, and what the page shows.
pub fn release_reply(engine: &Engine, person: &PersonId, name: &ReleaseName) -> Result<ReleaseReply, Fault> {
    let view = views::release(engine, person, name)?;
    let release = &view.release;
    let place = |place: ReleasePlace| {
        let grant = place.grant.as_ref();
        PlaceRow {
            running: place.running.map(running_cell),
            granted_at: grant.map(|grant| grant.time),
            promotion: grant.map(|grant| grant.event.promotion),
            granted_until: grant.map(|grant| grant.event.not_after),
            decision: grant.map(|grant| grant.event.decision.0),
            replaced_at: place.replaced_at,
            reported: place.reported.map(report),
            environment: place.environment,
        }
    };
    let artifact = |artifact: &lockgate_model::facts::Artifact| ArtifactRef {
        digest: artifact.digest,
        name: artifact.name.clone(),
        size_bytes: artifact.size_bytes,
    };
    let source = |source: &lockgate_model::facts::Source| SourceRef {
        repository: source.repository.clone(),
        commit: source.commit.clone(),
    };
    Ok(ReleaseReply {
        release: release.name.clone(),
        manifest: release.manifest_digest,
        published_by: release.published_by.clone(),
        published_at: release.published_at,
        index: release.published_index.0,
        artifacts: release.manifest.artifacts.iter().map(artifact).collect(),
        source: release.manifest.source.as_ref().map(source),
        notes: release.manifest.notes,
        evidence: release.evidence.iter().map(|record| evidence_line(record)).collect(),
        sources: view.evidence.iter().map(evidence_source).collect(),
        running: view.places.into_iter().map(place).collect(),
        promotions: promotion_lines(engine, person, release)?,
        suspects: view.suspects.into_iter().map(suspect_row).collect(),
    })
}

fn evidence_line(record: &EvidenceRecord) -> EvidenceLine {
    EvidenceLine {
        digest: record.event.evidence,
        form: record.event.form.label().to_owned(),
        media_type: record.event.media_type.clone(),
        size_bytes: record.event.size_bytes,
        by: record.by.clone(),
        recorded_at: record.time,
        index: record.index.0,
    }
}

/// The promotions of a release into environments that somebody may read, newest first.
fn promotion_lines(engine: &Engine, person: &PersonId, release: &ReleaseState) -> Result<Vec<PromotionLine>, Fault> {
    let governance = engine.governance()?;
    let readable = |asked: &&PromotionState| {
        may_read(&governance, person, Object::Target(&release.name.service, &asked.request.environment))
    };
    let line = |asked: &PromotionState| PromotionLine {
        promotion: asked.request.promotion,
        release: release.name.clone(),
        environment: asked.request.environment.clone(),
        kind: asked.request.kind,
        status: asked.status().as_str().to_owned(),
        requester: asked.requester.clone(),
        reason: asked.request.reason.clone(),
        requested_at: asked.requested_at,
        granted_at: asked.grant.as_ref().map(|grant| grant.time),
    };
    Ok(release.promotions.values().rev().filter(readable).map(line).collect())
}
