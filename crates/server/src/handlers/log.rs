//! The transparency log: checkpoint, tiles, proofs, events.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_api::wire::ConsistencyReply;
use lockgate_engine::integrity::Log;
use lockgate_engine::sight::Sight;
use lockgate_engine::{Engine, Fault, Kind, authorise, reader};
use lockgate_ledger::{Event, TrustFile};
use lockgate_model::{EntryIndex, PersonId, TreeSize};
use lockgate_policy::{Object, Permission};
use lockgate_tlog::hash::leaf_hash;
use lockgate_tlog::tile::{EntryBundleId, TileId, encode_bundle, width_at};

use super::heavy;
use crate::call::Call;
use crate::dispatch::ended;
use crate::events::{ChannelBody, event};
use crate::reply;
use crate::summary::veiled;

/// How often a silent event stream says that it is alive: pages say after twice this time that they are not connected.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// How many entries are read at a time for an event stream.
const EVENT_PAGE: usize = 64;

/// `GET /checkpoint` (C2SP tlog-tiles).
pub async fn checkpoint(call: Call) -> Result<Response, Fault> {
    let head = call.engine().published().head;
    Ok(reply::typed(StatusCode::OK, "text/plain; charset=utf-8", head.checkpoint.clone()))
}

/// `GET /tile/...` (C2SP tlog-tiles): tiles and entry bundles, as far as the published checkpoint reaches.
pub async fn tile(call: Call) -> Result<Response, Fault> {
    let path = format!("tile/{}", call.path.get("path").map(String::as_str).unwrap_or_default());
    let engine = call.engine().clone();
    let bytes = heavy(move || match path.starts_with("tile/entries/") {
        true => entry_bundle(&engine, &path),
        false => hash_tile(&engine, &path),
    })
    .await?;
    let mut response = reply::typed(StatusCode::OK, "application/octet-stream", bytes);
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    Ok(response)
}

fn unknown_tile() -> Fault {
    Fault::not_found("TILE_UNKNOWN", "the ledger has no such tile yet")
}

fn hash_tile(engine: &Engine, path: &str) -> Result<Vec<u8>, Fault> {
    let id: TileId = path.parse().map_err(|error| Fault::invalid("TILE_INVALID", format!("{error}")))?;
    let size = engine.published().head.size;
    let there = width_at(size, id.level(), id.index()).ok_or_else(unknown_tile)?;
    if id.width() > there {
        return Err(unknown_tile());
    }
    let bytes = engine.store().tile(id.level(), id.index())?.ok_or_else(unknown_tile)?;
    bytes.get(..usize::from(id.width()) * 32).map(<[u8]>::to_vec).ok_or_else(unknown_tile)
}

fn entry_bundle(engine: &Engine, path: &str) -> Result<Vec<u8>, Fault> {
    let id: EntryBundleId = path.parse().map_err(|error| Fault::invalid("TILE_INVALID", format!("{error}")))?;
    let size = engine.published().head.size;
    let there = width_at(size, 0, id.index()).ok_or_else(unknown_tile)?;
    if id.width() > there {
        return Err(unknown_tile());
    }
    let first = id.index().checked_mul(256).ok_or_else(unknown_tile)?;
    let entries = engine.store().entries(EntryIndex(first), usize::from(id.width()))?;
    encode_bundle(&entries).map_err(|error| Fault::new(Kind::Bug, "TILE_INVALID", error.to_string()))
}

/// `GET /v1/trust`.
pub async fn trust(call: Call) -> Result<Response, Fault> {
    let engine = call.engine();
    let governance = engine.governance()?;
    let first = engine
        .store()
        .entry(EntryIndex(0))?
        .ok_or_else(|| Fault::new(Kind::Unavailable, "LEDGER_EMPTY", "the ledger has no first entry"))?;
    reply::json(&TrustFile::of(&governance, leaf_hash(&first))?)
}

/// `GET /v1/consistency`.
pub async fn consistency(call: Call) -> Result<Response, Fault> {
    let from: u64 = call.required_query("from")?;
    let engine = call.engine().clone();
    let reply = heavy(move || {
        let head = engine.published().head;
        let (_, path) = engine.consistency(TreeSize(from), &head)?;
        let proof = path.iter().map(|hash| STANDARD.encode(hash.as_bytes())).collect();
        Ok(ConsistencyReply { from, proof, checkpoint: head.checkpoint.clone() })
    })
    .await?;
    reply::json(&reply)
}

/// `GET /v1/events`: entries from an index on, then live; resumes by `Last-Event-ID`.
pub async fn events(call: Call) -> Result<Response, Fault> {
    let resumed = call
        .headers
        .get("last-event-id")
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok())
        .map(|last| last.saturating_add(1));
    let from = match (resumed, call.query::<u64>("from")?) {
        (Some(from), _) | (None, Some(from)) => from,
        (None, None) => call.engine().published().head.size.0,
    };
    let from = match lockgate_failpoint::planted("event-skipped-on-resume") && from > 0 {
        true => from.saturating_add(1),
        false => from,
    };
    let person = call.person()?;
    let place = call.app.streams.take(&person, Duration::ZERO).await.ok_or_else(|| {
        Fault::new(Kind::Unavailable, "OVERLOADED", "too many streams of events are open")
            .hint("close one: many readers of one account can share a stream")
    })?;
    let (sender, body) = ChannelBody::new(16);
    let (engine, mut size) = (call.engine().clone(), call.app.size.clone());
    // INVARIANT (a stream is worth its session): whatever the sender waits for, it ends with the session.
    let ended = ended(call.app.clone(), call.route, call.token.clone().unwrap_or_default());
    let feed = async move {
        let mut next = from;
        loop {
            let target = *size.borrow_and_update();
            while next < target {
                let page = match event_page(&engine, &person, next, target).await {
                    Ok(page) => page,
                    // The stream ends; who resumes it is answered anew.
                    Err(fault) => {
                        tracing::info!(code = fault.code, context = ?fault.context, "a stream of events ended");
                        return engine.integrity().note(Log::Ledger, &fault);
                    }
                };
                next = (next + EVENT_PAGE as u64).min(target);
                if sender.send(Ok(page)).await.is_err() || sender.send(Ok(grown(next))).await.is_err() {
                    return;
                }
            }
            tokio::select! {
                changed = size.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(HEARTBEAT) => {
                    if sender.send(Ok(grown(next))).await.is_err() {
                        return;
                    }
                }
            }
        }
    };
    tokio::spawn(async move {
        let _place = place;
        tokio::select! {
            () = feed => {}
            () = ended => {}
        }
    });
    Ok(reply::typed(StatusCode::OK, "text/event-stream", Body::new(body)))
}

/// Whether the reader may see an event. One of which that cannot be found out, because something that it names is damaged,
/// is for nobody, and the damage is noted; a store that fails just now is asked again.
fn is_shown(engine: &Engine, sight: &mut Sight<'_>, event: &Event) -> Result<bool, Fault> {
    match sight.event(event) {
        Err(fault) if fault.kind == Kind::Unavailable => Err(fault),
        Err(fault) => {
            engine.integrity().note(Log::Ledger, &fault);
            Ok(false)
        }
        shown => shown,
    }
}

/// Tells how far the reader has come, also past entries that it may not read, and that the stream lives.
fn grown(size: u64) -> Bytes {
    match size.checked_sub(1) {
        Some(last) => event(last, "size", &size.to_string()),
        None => Bytes::from_static(b": nothing yet\n\n"),
    }
}

/// The entries that somebody may read now; whoever may read nothing any more has seen the end of the stream.
async fn event_page(engine: &Arc<Engine>, person: &PersonId, from: u64, target: u64) -> Result<Bytes, Fault> {
    let (engine, person) = (engine.clone(), person.clone());
    heavy(move || {
        let governance = engine.governance()?;
        authorise::check(&governance, &person, Permission::Read, Object::Anywhere, None)?;
        let end = TreeSize(target.min(from.saturating_add(EVENT_PAGE as u64)));
        let mut sight = Sight::new(engine.store(), &governance, &person);
        let mut page = Vec::new();
        reader::each_entry(engine.store(), EntryIndex(from), end, |index, entry, bytes| {
            if !is_shown(&engine, &mut sight, &entry.event)? {
                return Ok(());
            }
            let hidden = authorise::names_hidden_service(&governance, &person, &entry.event);
            let text = match hidden.then(|| serde_json::from_slice(bytes)) {
                None => String::from_utf8_lossy(bytes).into_owned(),
                Some(Ok(value)) => veiled(value).to_string(),
                Some(Err(_)) => return Ok(()),
            };
            page.extend_from_slice(&event(index.0, entry.event.name(), &text));
            Ok(())
        })?;
        Ok(Bytes::from(page))
    })
    .await
}
