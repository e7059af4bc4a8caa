//! Reading: identity, status, history, diff.

use axum::http::StatusCode;
use axum::response::Response;
use lockgate_api::openapi as document;
use lockgate_api::wire::{
    ArtifactRef, ComponentRow, DiffConfiguration, DiffFinding, DiffGate, DiffReply, DiffTests, OpenRow, ServerInfo,
    ServiceRow, StatusReply, Supposed,
};
use lockgate_engine::authorise::{check_release, may_read};
use lockgate_engine::integrity::Log;
use lockgate_engine::{Engine, Fault, Kind, diff as diffs, setup, status as statuses};
use lockgate_ledger::contents::TestCounts;
use lockgate_ledger::release_diff::{ComponentChange, ConfigurationChange, severity_word};
use lockgate_model::facts::{Artifact, Finding, Source};
use lockgate_model::{EnvName, PersonId, ReleaseName, ServiceName};
use lockgate_policy::{Decision, Object};

use super::emergency::{break_glass_rows, freeze_rows};
use super::promotions::{gate_row, running_cell};
use super::{heavy, whole};
use crate::call::Call;
use crate::reply;

/// `GET /healthz`: red as soon as the store cannot be read. Whether the process lives, and not whether all is well.
pub async fn health(call: Call) -> Result<Response, Fault> {
    check_head(call.engine())?;
    Ok(reply::typed(StatusCode::OK, "application/json", "{\"status\":\"ok\"}"))
}

/// `GET /readyz`: red also once something stored was found damaged, until the next start; with the reason as a problem.
pub async fn ready(call: Call) -> Result<Response, Fault> {
    let engine = call.engine();
    // What was found before has its log already.
    let head = check_head(engine).inspect_err(|fault| engine.integrity().note(Log::Ledger, fault));
    match head.and_then(|()| engine.integrity().check_ready()) {
        Ok(()) => Ok(reply::typed(StatusCode::OK, "application/json", "{\"status\":\"ready\"}")),
        Err(fault) if fault.kind == Kind::Integrity => Ok(reply::not_ready(&fault)),
        Err(fault) => Err(fault),
    }
}

/// Whether the stored ledger reaches as far as what was signed.
fn check_head(engine: &Engine) -> Result<(), Fault> {
    // First what was signed: the store grows meanwhile, and never shrinks.
    let signed = engine.published().head.size;
    let stored = engine.store().head()?;
    match stored.size >= signed {
        true => Ok(()),
        false => Err(Fault::new(Kind::Integrity, "LEDGER_SHRUNK", "the stored ledger is smaller than what was signed")),
    }
}

/// `GET /openapi.json`.
pub async fn openapi(_call: Call) -> Result<Response, Fault> {
    reply::json(&document::document())
}

/// `GET /v1/server`.
pub async fn server(call: Call) -> Result<Response, Fault> {
    let engine = call.engine();
    let governance = engine.governance()?;
    reply::json(&ServerInfo {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        origin: governance.origin().to_owned(),
        log_key: governance.identity.log_key.clone(),
        entries: engine.published().head.size.0,
        policy: governance.policy_digest,
        policy_at: governance.policy_at.0,
        setup_needed: setup::is_needed(engine)?,
        oidc: call.app.front.oidc.is_some(),
        demo: call.app.demo,
    })
}

/// `GET /v1/status`.
pub async fn status(call: Call) -> Result<Response, Fault> {
    let after: Option<ServiceName> = call.query("after")?;
    let only: Option<ServiceName> = call.query("service")?;
    let most = call.query::<usize>("limit")?.unwrap_or(100).clamp(1, statuses::PAGE_MAX);
    let engine = call.engine().clone();
    let person = call.person()?;
    reply::json(&heavy(move || status_reply(&engine, &person, only.as_ref(), after.as_ref(), most)).await?)
}

/// What runs where and what is open, as far as somebody may read it: what the API gives, and what the page shows.
pub fn status_reply(
    engine: &Engine,
    person: &PersonId,
    only: Option<&ServiceName>,
    after: Option<&ServiceName>,
    most: usize,
) -> Result<StatusReply, Fault> {
    let (rows, next) = match only {
        Some(service) => (statuses::service_for(engine, person, service)?.into_iter().collect(), None),
        None => statuses::services_for(engine, person, after, most)?,
    };
    let row = |row: statuses::ServiceRow| ServiceRow {
        service: row.service,
        running: row.cells.into_iter().map(|(_, running)| running.map(running_cell)).collect(),
    };
    let open = statuses::open_promotions_for(engine, person, statuses::PAGE_MAX)?
        .into_iter()
        .filter(|open| only.is_none_or(|service| open.release.service == *service))
        .map(|open| OpenRow { promotion: open.promotion, release: open.release, environment: open.environment })
        .collect();
    let mut freezes = freeze_rows(engine, person)?;
    freezes.retain(|row| row.open);
    let mut break_glass = break_glass_rows(engine, person)?;
    break_glass.retain(|row| matches!(row.state.as_str(), "open" | "unreviewed"));
    let policy = engine.governance()?.policy.clone();
    Ok(StatusReply {
        environments: policy.environments().iter().map(|environment| environment.name.clone()).collect(),
        services: rows.into_iter().map(row).collect(),
        next,
        open,
        freezes,
        break_glass,
        entries: engine.published().head.size.0,
    })
}

/// `GET /v1/diff`.
pub async fn diff(call: Call) -> Result<Response, Fault> {
    let from: ReleaseName = call.required_query("from")?;
    let to: ReleaseName = call.required_query("to")?;
    let environment: Option<EnvName> = call.query("environment")?;
    let engine = call.engine().clone();
    let person = call.person()?;
    let build = move || reply::json(&diff_reply(&engine, &person, &from, &to, environment.as_ref())?);
    whole::shown(&call, build).await
}

/// What changes between two releases that somebody may read: what the API gives, and what the page shows.
pub fn diff_reply(
    engine: &Engine,
    person: &PersonId,
    from: &ReleaseName,
    to: &ReleaseName,
    environment: Option<&EnvName>,
) -> Result<DiffReply, Fault> {
    for release in [from, to] {
        check_release(engine, person, release)?;
    }
    if let Some(environment) = environment {
        let governance = engine.governance()?;
        // What may not be read does not exist, and an environment that does not exist is told below.
        let hidden =
            |release: &ReleaseName| !may_read(&governance, person, Object::Target(&release.service, environment));
        if governance.policy.environment(environment).is_some() && (hidden(from) || hidden(to)) {
            return Err(Fault::new(
                Kind::NotPermitted,
                "NOT_PERMITTED",
                format!("you may not read about these releases in {environment}"),
            ));
        }
    }
    diffs::diff(engine, person, from, to, environment).map(shown)
}

fn shown(diff: diffs::Diff) -> DiffReply {
    let artifact = |artifact: Artifact| ArtifactRef {
        digest: artifact.digest,
        name: artifact.name,
        size_bytes: artifact.size_bytes,
    };
    let finding = |finding: Finding| DiffFinding {
        package: finding.purl.unwrap_or(finding.package),
        id: finding.id,
        version: finding.version,
        severity: severity_word(finding.severity).to_owned(),
        fixed: finding.fixed,
    };
    let component = |change: ComponentChange| ComponentRow {
        name: change.name,
        before: change.before,
        after: change.after,
        purl: change.purl,
        licence_before: change.licence_before,
        licence_after: change.licence_after,
    };
    let tests =
        |counts: TestCounts| DiffTests { passed: counts.passed, failed: counts.failed, skipped: counts.skipped };
    let configuration = |change: ConfigurationChange| DiffConfiguration {
        name: change.name,
        environment: change.environment,
        before: change.before,
        after: change.after,
    };
    let gate = |change: diffs::GateChange| DiffGate {
        gate: change.gate,
        before: change.before.map(|outcome| outcome.as_str().to_owned()),
        after: change.after.map(|outcome| outcome.as_str().to_owned()),
        reason: change.reason,
        found: change.found,
    };
    let supposed = |decision: Decision| Supposed {
        outcome: decision.outcome.as_str().to_owned(),
        gates: decision.gates.into_iter().map(gate_row).collect(),
    };
    let (environment, gates, supposed) = match diff.gates {
        None => (None, Vec::new(), None),
        Some(gates) => (Some(gates.environment), gates.changes, Some(supposed(gates.after))),
    };
    let contents = diff.contents;
    let repository = |source: &Option<Source>| source.as_ref().map(|source| source.repository.clone());
    let commit = |source: &Option<Source>| source.as_ref().map(|source| source.commit.clone());
    DiffReply {
        from: contents.from,
        to: contents.to,
        repositories: (repository(&contents.sources.0), repository(&contents.sources.1)),
        commits: (commit(&contents.sources.0), commit(&contents.sources.1)),
        artifacts_removed: contents.artifacts_removed.into_iter().map(artifact).collect(),
        artifacts_added: contents.artifacts_added.into_iter().map(artifact).collect(),
        size_bytes: contents.size_bytes,
        sboms: contents.sboms,
        components: contents.components.into_iter().map(component).collect(),
        scans: contents.scans,
        findings_added: contents.findings_added.into_iter().map(finding).collect(),
        findings_fixed: contents.findings_fixed.into_iter().map(finding).collect(),
        findings_unreported: contents.findings_unreported.into_iter().map(finding).collect(),
        tests: (contents.tests.0.map(tests), contents.tests.1.map(tests)),
        coverage: contents.coverage,
        configurations: contents.configurations.into_iter().map(configuration).collect(),
        environment,
        gates: gates.into_iter().map(gate).collect(),
        supposed,
    }
}
