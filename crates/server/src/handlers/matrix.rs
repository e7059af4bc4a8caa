//! The matrix: what runs where, and what is on its way, filtered; and which services a browser shows first.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use axum::response::Response;
use lockgate_api::wire::{MatrixCell, MatrixColumn, MatrixOpen, MatrixReply, MatrixRow, PinRequest};
use lockgate_engine::matrix::{self as matrices, Cell, Column, Filter, Open, Row, Wanted};
use lockgate_engine::services::check_service;
use lockgate_engine::{Engine, Fault};
use lockgate_model::{EnvName, PersonId, ServiceName, Span};

use super::emergency::{break_glass_rows, freeze_rows};
use super::heavy;
use super::history::filled;
use super::promotions::running_cell;
use crate::call::Call;
use crate::cookie;
use crate::pins::Pins;
use crate::reply;

/// After how many days something is old where nobody says.
pub const OLD_DAYS: u64 = 30;
const DAYS_MAX: u64 = 3_650;
const DAY_SECS: u64 = 86_400;

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Which services.
    pub filter: Filter,
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
        let days = filled::<u64>(call, "days")?.unwrap_or(OLD_DAYS).min(DAYS_MAX);
        let releases = filled::<u64>(call, "releases")?.unwrap_or_default();
        let state = filled::<String>(call, "state")?;
        let wanted = match state.as_deref().map(str::trim) {
            None => call.query.get("open").filter(|value| value.as_str() == "1").map(|_| Wanted::Open),
            Some("open") => Some(Wanted::Open),
            Some("frozen") => Some(Wanted::Frozen),
            Some("mine") => Some(Wanted::Mine),
            Some("drift") => Some(Wanted::Drift),
            Some("behind") => Some(Wanted::Behind(releases)),
            Some("old") => Some(Wanted::Old(Span::from_secs(days * DAY_SECS))),
            Some(_) => {
                return Err(Fault::invalid(
                    "QUERY_INVALID",
                    "`state` is one of open, mine, frozen, drift, behind and old",
                ));
            }
        };
        let text = filled::<String>(call, "q")?.unwrap_or_default();
        let environment = filled::<EnvName>(call, "environment")?;
        let most = filled::<usize>(call, "limit")?.unwrap_or(matrices::PAGE).clamp(1, matrices::PAGE_MAX);
        // What a browser shows first is for its pages; the API answers everybody alike.
        let filter = Filter { text, environment, wanted, pinned: BTreeSet::new() };
        Ok(Self { filter, after: filled(call, "after")?, most })
    }
}

/// `GET /v1/matrix`.
pub async fn matrix(call: Call) -> Result<Response, Fault> {
    let asked = Asked::of(&call)?;
    let (engine, person) = (call.engine().clone(), call.person()?);
    reply::json(&heavy(move || matrix_reply(&engine, &person, &asked)).await?)
}

/// `POST /v1/pins`: the browser keeps it in a cookie, and the ledger learns nothing of it.
pub async fn pin(call: Call) -> Result<Response, Fault> {
    let request: PinRequest = call.body()?;
    let mut pins = pins(&call)?;
    match request {
        PinRequest::Pin(service) => {
            let (engine, person, name) = (call.engine().clone(), call.person()?, service.clone());
            heavy(move || check_service(&engine, &person, &name)).await?;
            pins.pin(service);
        }
        // Also one that is there no more.
        PinRequest::Unpin(service) => pins.unpin(&service),
    }
    let mut response = reply::typed(StatusCode::OK, "application/json", "{}");
    cookie::set_pinned(&mut response, &call.app.front.hosts, &call.headers, &pins.value())?;
    Ok(response)
}

/// What the browser that calls shows first.
pub fn pins(call: &Call) -> Result<Pins, Fault> {
    let value = cookie::pinned(&call.app.front.hosts, &call.headers);
    let governance = call.engine().governance()?;
    Ok(Pins::read(value.as_deref(), governance.origin(), &call.person()?))
}

/// What runs where, as far as somebody may read it: what the API gives, and what the page shows.
pub fn matrix_reply(engine: &Engine, person: &PersonId, asked: &Asked) -> Result<MatrixReply, Fault> {
    let page = matrices::page(engine, person, &asked.filter, asked.after.as_ref(), asked.most)?;
    let freezes = freeze_rows(engine, person)?.iter().filter(|row| row.open).count();
    let unreviewed = break_glass_rows(engine, person)?.iter().filter(|row| row.state == "unreviewed").count();
    let column = |column: Column| MatrixColumn { environment: column.environment, after: column.after };
    let row = |row: Row| MatrixRow { service: row.service, cells: row.cells.into_iter().map(cell).collect() };
    Ok(MatrixReply {
        columns: page.columns.into_iter().map(column).collect(),
        services: page.rows.into_iter().map(row).collect(),
        next: page.next,
        open: page.open,
        open_cut: page.open_cut,
        freezes: freezes as u64,
        unreviewed: unreviewed as u64,
        entries: engine.published().head.size.0,
    })
}

fn cell(cell: Cell) -> MatrixCell {
    MatrixCell {
        running: cell.running.map(running_cell),
        same: cell.same,
        behind: cell.behind,
        behind_by: cell.behind_by,
        drift: cell.drift.map(|standing| standing.as_str().to_owned()),
        rollback: cell.rollback,
        break_glass: cell.break_glass,
        frozen: cell.frozen,
        open: cell.open.map(open),
    }
}

fn open(open: Open) -> MatrixOpen {
    MatrixOpen {
        promotion: open.promotion,
        release: open.release,
        mine: open.mine,
        expires_at: open.expires_at,
        outcome: open.outcome.map(|outcome| outcome.as_str().to_owned()),
        approvals: open.approvals,
        needed: open.needed,
        gates: open.gates.iter().map(ToString::to_string).collect(),
    }
}
