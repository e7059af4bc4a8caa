//! Blobs: streamed in and out, hashed on both ways.

use std::io::Read;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use http_body_util::BodyExt as _;
use lockgate_api::wire::Stored;
use lockgate_engine::ci::Scope;
use lockgate_engine::{Fault, Kind, authorise};
use lockgate_model::{Digest, Limits, PersonId};
use tokio::sync::mpsc;

use super::heavy;
use crate::app::App;
use crate::call::Call;
use crate::events::ChannelBody;
use crate::reply;

/// How long a client may take to send the next piece.
const PIECE_TIMEOUT: Duration = Duration::from_secs(60);
/// How much of a refused upload is taken in before the connection ends.
const DRAIN_BYTES: usize = 1 << 30;
/// How many pieces wait for the disk.
const PIECES: usize = 8;
/// How large the pieces of a download are, and how many wait for a client that reads slowly: about four are in memory for
/// each download, and there may be many.
const READ_BYTES: usize = 32 * 1024;
const READ_PIECES: usize = 1;

/// A place for one transfer.
fn place(call: &Call) -> Result<tokio::sync::OwnedSemaphorePermit, Fault> {
    call.app.transfers.clone().try_acquire_owned().map_err(|_| {
        Fault::new(Kind::Unavailable, "OVERLOADED", "too many uploads and downloads go on")
            .hint("try again in a moment")
    })
}

/// `PUT /v1/blobs`.
pub async fn put(mut call: Call) -> Result<Response, Fault> {
    let (app, person, trust) = (call.app.clone(), call.person()?, call.scope().map(|scope| scope.trust));
    let (digest, size_bytes) = take(&mut call, Limits::DEFAULT.artifact_bytes).await?;
    app.uploads.remember(&person, trust, digest);
    reply::json(&Stored { digest, size_bytes })
}

/// Takes the streamed body of a call into the store: its digest and its length, of at most `most` bytes.
pub(super) async fn take(call: &mut Call, most: u64) -> Result<(Digest, u64), Fault> {
    let place = place(call)?;
    let declared = declared(call)?;
    let body = call.stream.take().unwrap_or_else(Body::empty);
    let (sender, mut receiver) = mpsc::channel::<Bytes>(PIECES);
    let engine = call.engine().clone();
    let storing = tokio::task::spawn_blocking(move || {
        let _place = place;
        let mut staged = engine.store().stage()?;
        let mut left = most;
        while let Some(piece) = receiver.blocking_recv() {
            // An empty piece stands for a body that broke: what was staged is dropped.
            if piece.is_empty() {
                return Err(
                    Fault::invalid("BODY_BROKEN", "the upload ended early; nothing was kept").hint("upload it again")
                );
            }
            left = left
                .checked_sub(piece.len() as u64)
                .ok_or_else(|| Fault::new(Kind::TooLarge, "TOO_LARGE", "the upload is over the limit"))?;
            staged.write(&piece)?;
        }
        let stored = staged.commit(declared)?;
        lockgate_failpoint::point("upload.stored");
        Ok(stored)
    });
    pump(body, &sender).await;
    drop(sender);
    storing.await.unwrap_or_else(|error| {
        Err(Fault {
            context: Some(error.to_string()),
            ..Fault::new(Kind::Bug, "TASK_FAILED", "the upload failed inside the server")
        })
    })
}

/// Moves the body to the storing thread; it sees a broken body as an empty piece.
async fn pump(mut body: Body, sender: &mpsc::Sender<Bytes>) {
    loop {
        match tokio::time::timeout(PIECE_TIMEOUT, body.frame()).await {
            Ok(None) => return,
            Ok(Some(Ok(frame))) => {
                let Ok(data) = frame.into_data() else { continue };
                if !data.is_empty() && sender.send(data).await.is_err() {
                    return drain(body).await;
                }
            }
            Ok(Some(Err(_))) | Err(_) => {
                // The storing thread may have given up already; its own fault is told then.
                let _ = sender.send(Bytes::new()).await;
                return;
            }
        }
    }
}

/// Takes in the rest of a body that was refused, so that the client reads the answer instead of a broken connection;
/// in bounded time and size.
async fn drain(mut body: Body) {
    let mut left = DRAIN_BYTES;
    let reading = async {
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                return;
            }
        }
    };
    // A client that is still sending after that sees the connection end.
    let _ = tokio::time::timeout(PIECE_TIMEOUT, reading).await;
}

fn declared(call: &Call) -> Result<Option<Digest>, Fault> {
    let Some(value) = call.headers.get("lockgate-digest") else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    text.parse()
        .map(Some)
        .map_err(|error: lockgate_model::DigestError| Fault::invalid("DIGEST_INVALID", error.to_string()))
}

/// Whether somebody may know that these bytes are here: they have sent them, or may read what they belong to; with a
/// session that has a scope, what is in that scope alone.
///
/// # Errors
/// What the store says.
pub(super) fn is_visible(app: &App, person: &PersonId, scope: Option<&Scope>, digest: &Digest) -> Result<bool, Fault> {
    if app.uploads.has(person, scope.map(|scope| scope.trust), *digest) {
        return Ok(true);
    }
    let reached = scope.map_or(Ok(true), |scope| scope.holds_blob(&app.engine, digest))?;
    Ok(reached && authorise::may_read_blob(&app.engine, person, digest)?)
}

/// `HEAD /v1/blobs/{digest}`.
pub async fn head(call: Call) -> Result<Response, Fault> {
    let digest: Digest = call.part("digest")?;
    let stored = call.engine().store().stat(&digest)?.is_some() || call.engine().store().document(&digest)?.is_some();
    let known = stored && is_visible(&call.app, &call.person()?, call.scope(), &digest)?;
    Ok(reply::typed(
        if known { StatusCode::OK } else { StatusCode::NOT_FOUND },
        "application/octet-stream",
        Body::empty(),
    ))
}

/// `GET /v1/blobs/{digest}`: the bytes are hashed on the way; where they are others, the connection breaks before the
/// last piece, so that no client takes them for whole.
pub async fn get(call: Call) -> Result<Response, Fault> {
    let digest: Digest = call.part("digest")?;
    let unknown = || Fault::not_found("BLOB_UNKNOWN", format!("no bytes are stored as {digest}"));
    if !is_visible(&call.app, &call.person()?, call.scope(), &digest)? {
        return Err(unknown());
    }
    let store = call.engine().clone();
    if let Some(bytes) = store.store().document(&digest)? {
        return match Digest::of(&bytes) == digest {
            true => Ok(reply::typed(StatusCode::OK, "application/octet-stream", bytes)),
            false => {
                Err(Fault::new(Kind::Integrity, "DIGEST_MISMATCH", format!("the bytes stored as {digest} are others")))
            }
        };
    }
    let reader = heavy(move || Ok(store.store().open(&digest)?)).await?;
    let reader = reader.ok_or_else(unknown)?;
    let size = reader.len();
    let (sender, body) = ChannelBody::new(READ_PIECES);
    let place = place(&call)?;
    tokio::task::spawn_blocking(move || {
        let _place = place;
        send_blob(reader, &sender);
    });
    let mut response = reply::typed(StatusCode::OK, "application/octet-stream", Body::new(body));
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(size));
    Ok(response)
}

fn send_blob(mut reader: Box<dyn lockgate_store::BlobReader>, sender: &mpsc::Sender<Result<Bytes, std::io::Error>>) {
    let mut held: Option<Bytes> = None;
    let mut buffer = vec![0u8; READ_BYTES];
    loop {
        let read = reader.read(&mut buffer);
        let next = match &read {
            Ok(count) => held.replace(Bytes::copy_from_slice(buffer.get(..*count).unwrap_or_default())).map(Ok),
            Err(error) => Some(Err(std::io::Error::new(error.kind(), error.to_string()))),
        };
        let ended = !matches!(read, Ok(count) if count > 0);
        // One piece is held back until the reader has found the whole right.
        if next.is_some_and(|next| sender.blocking_send(next).is_err()) || ended {
            return;
        }
    }
}
