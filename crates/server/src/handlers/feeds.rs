//! Feeds of vulnerabilities: record a snapshot, list them.

use axum::response::Response;
use lockgate_api::wire::FeedRow;
use lockgate_engine::{Engine, Fault, feeds};
use lockgate_ledger::feed::Feed;
use lockgate_model::Limits;
use lockgate_model::facts::FeedKind;

use super::{blobs, heavy, submit};
use crate::call::Call;
use crate::reply;

/// `PUT /v1/feeds/{kind}`: the body is the snapshot as its maker published it.
pub async fn update(mut call: Call) -> Result<Response, Fault> {
    let feed: FeedKind = call.part("kind")?;
    let person = call.person()?;
    let engine = call.engine().clone();
    let (digest, _) = blobs::take(&mut call, Limits::DEFAULT.feed_bytes).await?;
    let reading = engine.clone();
    let event = heavy(move || feeds::check(&reading, feed, digest)).await?;
    let receipt = submit(&engine, feeds::record(person, event)).await?;
    let deciding = engine.clone();
    heavy(move || Ok(feeds::decide_again(&deciding, feed))).await?;
    reply::acknowledged(&engine, receipt)
}

/// `GET /v1/feeds`: newest first.
pub async fn list(call: Call) -> Result<Response, Fault> {
    reply::json(&feeds_reply(call.engine())?)
}

/// Recorded snapshots, newest first: what the API gives, and what the page shows.
pub fn feeds_reply(engine: &Engine) -> Result<Vec<FeedRow>, Fault> {
    let governance = engine.governance()?;
    let newest = |known: &Feed| governance.feed(known.event.feed).is_some_and(|newest| newest.index == known.index);
    let row = |known: &Feed| FeedRow {
        feed: known.event.feed,
        digest: known.event.digest,
        date: known.event.date,
        rows: known.event.rows,
        index: known.index.0,
        recorded_at: known.time,
        by: known.by.clone(),
        newest: newest(known),
    };
    Ok(governance.feeds().iter().rev().map(row).collect())
}
