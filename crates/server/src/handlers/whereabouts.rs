//! Where: which releases something is in, and where they run or ran.

use axum::response::Response;
use lockgate_api::wire::{ArtifactRef, WhereReply, WhereRow, WhereRun};
use lockgate_engine::Fault;
use lockgate_engine::whereabouts::{self, Hit, Query, Question, Spell};
use lockgate_model::facts::Artifact;
use lockgate_model::{EnvName, UnixMillis};

use super::heavy;
use crate::call::Call;
use crate::reply;

/// How many rows are sent where the caller does not say.
const ROWS: usize = 200;

/// `GET /v1/where`.
pub async fn find(call: Call) -> Result<Response, Fault> {
    let query: Query = call.required_query("query")?;
    let at: Option<UnixMillis> = call.query("at")?;
    let environment: Option<EnvName> = call.query("environment")?;
    let most = call.query::<usize>("limit")?.unwrap_or(ROWS).clamp(1, whereabouts::ROWS_MAX);
    let engine = call.engine().clone();
    let person = call.person()?;
    let reply = heavy(move || {
        let question = Question { query, at, environment, most };
        let answer = whereabouts::find(&engine, &person, &question)?;
        Ok(WhereReply {
            query: question.query.to_string(),
            at: question.at,
            rows: answer.hits.into_iter().map(row).collect(),
            left_out: answer.left_out,
            cut: answer.cut,
            partial: answer.partial,
            unknown_key: answer.unknown_key,
            entries: engine.published().head.size.0,
        })
    })
    .await?;
    reply::json(&reply)
}

fn row(hit: Hit) -> WhereRow {
    let artifact = |artifact: Artifact| ArtifactRef {
        digest: artifact.digest,
        name: artifact.name,
        size_bytes: artifact.size_bytes,
    };
    let run = |spell: Spell| WhereRun {
        environment: spell.environment,
        promotion: spell.promotion,
        since: spell.since,
        until: spell.until,
    };
    WhereRow {
        release: hit.release,
        matched: hit.matched,
        kind: hit.kind,
        via: hit.via,
        promotion: hit.promotion,
        detail: hit.detail,
        unverified: hit.unverified,
        artifacts: hit.artifacts.into_iter().map(artifact).collect(),
        runs: hit.runs.into_iter().map(run).collect(),
    }
}
