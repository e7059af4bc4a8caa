//! Drift: what is granted, compared with what was reported to run.

use axum::response::Response;
use lockgate_api::wire::{DriftReply, DriftReport, DriftRow};
use lockgate_engine::drift::{self as drifts, Filter, Place, Report, Standing};
use lockgate_engine::{Engine, Fault};
use lockgate_model::{EnvName, PersonId, ServiceName, Span};

use super::heavy;
use super::history::filled;
use super::promotions::running_cell;
use crate::call::Call;
use crate::reply;

/// After how many days a report is old where nobody says.
pub const OLD_DAYS: u64 = 7;
const DAYS_MAX: u64 = 3_650;
const DAY_SECS: u64 = 86_400;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Which places.
    pub filter: Filter,
    /// After how many days a report is old.
    pub days: u64,
    /// After which name.
    pub after: Option<ServiceName>,
    /// How many.
    pub most: usize,
}

impl Asked {
    /// Reads it from a query; a value that is empty, as forms send it, asks for nothing.
    ///
    /// # Errors
    /// `QUERY_INVALID`.
    pub fn of(call: &Call) -> Result<Self, Fault> {
        let days = filled::<u64>(call, "days")?.unwrap_or(OLD_DAYS).clamp(1, DAYS_MAX);
        let standing = match filled::<String>(call, "state")? {
            None => None,
            Some(word) => Some(Standing::of(word.trim()).ok_or_else(|| {
                let words = Standing::ALL.map(Standing::as_str).join(", ");
                Fault::invalid("QUERY_INVALID", format!("`state` is one of {words}"))
            })?),
        };
        let filter = Filter {
            text: filled::<String>(call, "q")?.unwrap_or_default(),
            environment: filled::<EnvName>(call, "environment")?,
            standing,
            old: Span::from_secs(days * DAY_SECS),
        };
        let most = filled::<usize>(call, "limit")?.unwrap_or(drifts::PAGE_MAX).clamp(1, drifts::PAGE_MAX);
        Ok(Self { filter, days, after: filled(call, "after")?, most })
    }
}

/// `GET /v1/drift`.
pub async fn drift(call: Call) -> Result<Response, Fault> {
    let asked = Asked::of(&call)?;
    let (engine, person) = (call.engine().clone(), call.person()?);
    reply::json(&heavy(move || drift_reply(&engine, &person, &asked)).await?)
}

/// What drifts, as far as somebody may read it: what the API gives, and what the page shows.
pub fn drift_reply(engine: &Engine, person: &PersonId, asked: &Asked) -> Result<DriftReply, Fault> {
    let page = drifts::page(engine, person, &asked.filter, asked.after.as_ref(), asked.most)?;
    Ok(DriftReply {
        environments: page.environments,
        rows: page.places.into_iter().map(row).collect(),
        next: page.next,
    })
}

fn row(place: Place) -> DriftRow {
    let fix = place.fix();
    DriftRow {
        service: place.service,
        environment: place.environment,
        state: place.standing.as_str().to_owned(),
        drift: place.standing.is_drift(),
        granted: place.granted.map(running_cell),
        reported: place.reported.map(report),
        fix,
    }
}

/// One report, for the wire.
pub fn report(report: Report) -> DriftReport {
    DriftReport {
        release: report.release,
        outcome: report.outcome.as_str().to_owned(),
        at: report.at,
        index: report.index.0,
        by: report.by,
        evidence: report.evidence,
    }
}
