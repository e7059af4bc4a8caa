//! The log page.

use axum::http::StatusCode;
use axum::response::Response;
use lockgate_engine::{Engine, Fault};
use lockgate_ledger::Leaf;
use lockgate_model::{EntryIndex, Limits, PersonId, UnixMillis};
use lockgate_web::Section;
use lockgate_web::log::{self as log_page, LogView};

use super::shell;
use crate::call::Call;
use crate::handlers::heavy;
use crate::handlers::pages::page;

const DAY_MILLIS: u64 = 86_400_000;

/// `GET /log`.
pub async fn log(call: Call) -> Result<Response, Fault> {
    let person: PersonId = call.person()?;
    let app = call.app.clone();
    let text = heavy(move || {
        let shell = shell(&app, &person)?;
        let view = view(&app.engine, shell.now)?;
        Ok(shell.page(Some(Section::Log), "Log", &log_page::content(&view, shell.now)))
    })
    .await?;
    Ok(page(StatusCode::OK, text))
}

fn view(engine: &Engine, now: UnixMillis) -> Result<LogView, Fault> {
    let governance = engine.governance()?;
    let published = engine.published();
    let entries = published.head.size.0;
    let since = |days: u64| -> Result<u64, Fault> {
        let from = UnixMillis(now.0.saturating_sub(days * DAY_MILLIS));
        Ok(entries.saturating_sub(entries_before(engine, entries, from)?))
    };
    Ok(LogView {
        origin: governance.origin().to_owned(),
        log_key: governance.identity.log_key.clone(),
        entries,
        time: published.time,
        checkpoint: published.head.checkpoint.clone(),
        last_day: since(1)?,
        last_week: since(7)?,
    })
}

/// How many entries stand before the first that is not earlier than a moment: ledger time never goes back, so that a
/// few entries tell it.
fn entries_before(engine: &Engine, size: u64, time: UnixMillis) -> Result<u64, Fault> {
    let (mut low, mut high) = (0, size);
    while low < high {
        let middle = low + (high - low) / 2;
        match time_from(engine, middle, high)? {
            Some(found) if found < time => low = middle + 1,
            _ => high = middle,
        }
    }
    Ok(low)
}

/// The time of the first entry from an index on; leaves of attestations have none of their own.
fn time_from(engine: &Engine, from: u64, until: u64) -> Result<Option<UnixMillis>, Fault> {
    for index in from..until {
        let Some(bytes) = engine.store().entry(EntryIndex(index))? else { return Ok(None) };
        if let Ok(Leaf::Entry(entry)) = Leaf::decode(&bytes, &Limits::DEFAULT) {
            return Ok(Some(entry.time));
        }
    }
    Ok(None)
}
