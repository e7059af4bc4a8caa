//! Metrics, counted from the ledger.

use axum::response::Response;
use lockgate_api::wire::{
    ApproverMetrics, EnvironmentMetrics, MetricsReply, ReasonMetrics, RefusalMetrics, WaitMetrics, WeekMetrics,
};
use lockgate_engine::metrics::{self as counts, ApproverFigures, EnvironmentFigures, WaitFigures, WeekFigures};
use lockgate_engine::{Fault, metrics::Figures};
use lockgate_model::{PersonId, Span};

use super::heavy;
use super::history::filled;
use crate::app::App;
use crate::call::Call;
use crate::reply;

/// How far back they go where nobody says.
pub const SINCE: Span = Span::from_secs(90 * 86_400);
/// How far back they go at most.
const SINCE_MAX: Span = Span::from_secs(731 * 86_400);

/// How far back a call asks for.
///
/// # Errors
/// `QUERY_INVALID`.
pub fn since(call: &Call) -> Result<Span, Fault> {
    let asked: Span = filled(call, "since")?.unwrap_or(SINCE);
    match asked.is_zero() || asked > SINCE_MAX {
        true => Err(Fault::invalid(
            "QUERY_INVALID",
            format!("`since` is a duration of 1s at least and {SINCE_MAX} at most, such as 90d"),
        )),
        false => Ok(asked),
    }
}

/// `GET /v1/metrics`.
pub async fn metrics(call: Call) -> Result<Response, Fault> {
    let (since, person) = (since(&call)?, call.person()?);
    let app = call.app.clone();
    reply::json(&heavy(move || metrics_reply(&app, &person, since)).await?)
}

/// The figures, of what somebody may read: what the API gives, and what the page shows.
pub fn metrics_reply(app: &App, person: &PersonId, since: Span) -> Result<MetricsReply, Fault> {
    let gathered = app.gathered.of(&app.engine, since)?;
    Ok(shown(counts::figures(&app.engine, person, &gathered)?))
}

fn shown(figures: Figures) -> MetricsReply {
    let refusals = figures.refusals;
    MetricsReply {
        since: figures.since,
        until: figures.until,
        covered_from: figures.covered_from,
        complete: figures.complete,
        entries: figures.entries,
        promotions: figures.promotions,
        environments: figures.environments.into_iter().map(environment).collect(),
        waiting: figures.waiting.into_iter().map(wait).collect(),
        refusals: RefusalMetrics {
            denied: refusals.denied,
            rejected: refusals.rejected,
            withdrawn: refusals.withdrawn,
            expired: refusals.expired,
            superseded: refusals.superseded,
        },
        reasons: figures.reasons.into_iter().map(|(code, promotions)| ReasonMetrics { code, promotions }).collect(),
        approvers: figures.approvers.map(|rows| rows.into_iter().map(approver).collect()),
        weeks: figures.weeks.into_iter().map(week).collect(),
        freezes: figures.freezes,
        break_glass: figures.break_glass,
    }
}

fn environment(row: EnvironmentFigures) -> EnvironmentMetrics {
    EnvironmentMetrics {
        environment: row.environment,
        grants: row.grants,
        rollbacks: row.rollbacks,
        p50_secs: row.p50_secs,
        p90_secs: row.p90_secs,
        failed: row.failed,
        failed_percent: row.failed.saturating_mul(100).checked_div(row.grants),
        recovery_p50_secs: row.recovery_p50_secs,
    }
}

fn wait(row: WaitFigures) -> WaitMetrics {
    WaitMetrics { cause: row.cause.as_str().to_owned(), secs: row.secs, promotions: row.promotions }
}

fn approver(row: ApproverFigures) -> ApproverMetrics {
    ApproverMetrics { person: row.person, approvals: row.approvals, median_review_secs: row.median_review_secs }
}

fn week(row: WeekFigures) -> WeekMetrics {
    WeekMetrics { from: row.from, grants: row.grants, rollbacks: row.rollbacks, p50_secs: row.p50_secs }
}
