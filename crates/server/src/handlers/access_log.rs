//! The access log, for auditors.

use axum::http::StatusCode;
use axum::response::Response;
use lockgate_api::wire::{AccessItem, AccessLogReply};
use lockgate_engine::Fault;
use lockgate_engine::access_log::{AccessLog, EXPORT_MAX, Filter, PAGE_MAX};
use lockgate_ledger::access_log::{AccessEntry, FIELD_BYTES};
use lockgate_model::EntryIndex;

use super::heavy;
use crate::call::Call;
use crate::reply;

/// `GET /v1/access`: everything that was answered before this request came is in it.
pub async fn list(call: Call) -> Result<Response, Fault> {
    let filter = Filter {
        principal: text(&call, "person")?,
        action: text(&call, "action")?,
        outcome: call.query("outcome")?,
        since: call.query("since")?,
        until: call.query("until")?,
    };
    let before: Option<u64> = call.query("before")?;
    let most = call.query::<usize>("limit")?.unwrap_or(50).clamp(1, PAGE_MAX);
    let log = call.app.access.clone();
    let reply = heavy(move || log_reply(&log, &filter, before, most)).await?;
    reply::json(&reply)
}

/// A page of the log: what the API gives, and what the page shows.
pub fn log_reply(log: &AccessLog, filter: &Filter, before: Option<u64>, most: usize) -> Result<AccessLogReply, Fault> {
    if before.is_none() {
        log.flush()?;
    }
    let page = log.page(filter, before, most)?;
    Ok(AccessLogReply {
        items: page.items.into_iter().map(item).collect(),
        next: page.next,
        entries: log.head().size.0,
    })
}

/// `GET /v1/access/checkpoint`: covers everything that was answered before this request came.
pub async fn checkpoint(call: Call) -> Result<Response, Fault> {
    let log = call.app.access.clone();
    let note = heavy(move || {
        log.flush()?;
        Ok(log.head().checkpoint.clone())
    })
    .await?;
    Ok(reply::typed(StatusCode::OK, "text/plain; charset=utf-8", note))
}

/// `GET /v1/access/entries`: canonical JSON, one entry a line, from an index on.
pub async fn entries(call: Call) -> Result<Response, Fault> {
    let from: u64 = call.required_query("from")?;
    let most = call.query::<usize>("limit")?.unwrap_or(EXPORT_MAX).clamp(1, EXPORT_MAX);
    let log = call.app.access.clone();
    let lines = heavy(move || {
        let mut lines = Vec::new();
        for entry in log.export(from, most)? {
            lines.extend_from_slice(&entry);
            lines.push(b'\n');
        }
        Ok(lines)
    })
    .await?;
    Ok(reply::typed(StatusCode::OK, "application/jsonl", lines))
}

/// A query value that is compared as text.
fn text(call: &Call, name: &str) -> Result<Option<String>, Fault> {
    let value: Option<String> = call.query(name)?;
    match value.as_ref().is_some_and(|value| value.len() > FIELD_BYTES) {
        true => Err(Fault::invalid("QUERY_INVALID", format!("`{name}` has more than {FIELD_BYTES} bytes"))),
        false => Ok(value),
    }
}

fn item((index, entry): (EntryIndex, AccessEntry)) -> AccessItem {
    AccessItem {
        index: index.0,
        time: entry.time,
        principal: entry.principal,
        address: entry.address,
        action: entry.action,
        object: entry.object,
        outcome: entry.outcome.to_string(),
        status: entry.status,
        code: entry.code,
        session: entry.session,
    }
}
