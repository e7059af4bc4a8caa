//! Blobs: streamed in and out, hashed on both ways.

use std::io::Read;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use http_body_util::BodyExt as _;
use lockgate_api::wire::Stored;
use lockgate_engine::ci::Scope;
use lockgate_engine::integrity::Log;
use lockgate_engine::{Fault, Kind, authorise};
use lockgate_model::{Digest, Limits, PersonId};
use lockgate_store::{BlobReader, StoreError};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::heavy;
use crate::app::App;
use crate::call::Call;
use crate::events::ChannelBody;
use crate::pace::{Pace, TooSlow};
use crate::places::Place;
use crate::reply;

/// How much of a refused upload is taken in before the connection ends, and for how long.
const DRAIN_BYTES: usize = 1 << 30;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(60);
/// How many pieces wait for the disk.
const PIECES: usize = 8;
/// How large the pieces of a download are, and how many wait for a client that reads slowly: about four are in memory for
/// each download, and there may be many.
const READ_BYTES: usize = 32 * 1024;
const READ_PIECES: usize = 1;
/// Up to this size a blob is found whole before its first byte is sent.
const WHOLE_BYTES: u64 = 1024 * 1024;

/// A piece of a download.
type Piece = Result<Bytes, std::io::Error>;

/// A place for one transfer.
async fn place(app: &App, person: &PersonId) -> Result<Place, Fault> {
    app.transfers.enter(person, "too many uploads and downloads go on").await
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
    let (app, person, declared) = (call.app.clone(), call.person()?, declared(call)?);
    let place = place(&app, &person).await?;
    let body = call.stream.take().unwrap_or_else(Body::empty);
    let (sender, mut receiver) = mpsc::channel::<Result<Bytes, Fault>>(PIECES);
    let engine = call.engine().clone();
    let storing = tokio::task::spawn_blocking(move || {
        let _place = place;
        let mut staged = engine.store().stage()?;
        let mut left = most;
        while let Some(piece) = receiver.blocking_recv() {
            // A body that broke, or comes too slowly: what was staged is dropped.
            let piece = piece?;
            left = left
                .checked_sub(piece.len() as u64)
                .ok_or_else(|| Fault::new(Kind::TooLarge, "TOO_LARGE", "the upload is over the limit"))?;
            staged.write(&piece)?;
        }
        let stored = staged.commit(declared)?;
        lockgate_failpoint::point("upload.stored");
        Ok(stored)
    });
    pump(body, &sender, Pace::new(&Limits::DEFAULT)).await;
    drop(sender);
    storing.await.unwrap_or_else(|error| {
        Err(Fault {
            context: Some(error.to_string()),
            ..Fault::new(Kind::Bug, "TASK_FAILED", "the upload failed inside the server")
        })
    })
}

/// Moves the body to the storing thread, at the client's pace and no slower than it may be; the thread is told why a body
/// did not come whole.
async fn pump(mut body: Body, sender: &mpsc::Sender<Result<Bytes, Fault>>, mut pace: Pace) {
    let broken = loop {
        match pace.wait(body.frame()).await {
            Ok(None) => return,
            Ok(Some(Ok(frame))) => {
                let Ok(data) = frame.into_data() else { continue };
                pace.moved(data.len());
                if !data.is_empty() && sender.send(Ok(data)).await.is_err() {
                    return drain(body).await;
                }
            }
            Ok(Some(Err(_))) => {
                break Fault::invalid("BODY_BROKEN", "the upload ended early; nothing was kept")
                    .hint("upload it again");
            }
            Err(TooSlow) => {
                break Fault::invalid("BODY_TIMEOUT", "the upload comes too slowly; nothing was kept")
                    .hint("upload it again over a better connection");
            }
        }
    };
    // The storing thread may have given up already; its own fault is told then.
    let _ = sender.send(Err(broken)).await;
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
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, reading).await;
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

/// `GET /v1/blobs/{digest}`: the bytes are hashed first where there are few of them. Where there are more they are hashed on
/// the way, and the connection breaks before the last piece when they are others, so that no client takes them for whole.
pub async fn get(call: Call) -> Result<Response, Fault> {
    let digest: Digest = call.part("digest")?;
    let unknown = || Fault::not_found("BLOB_UNKNOWN", format!("no bytes are stored as {digest}"));
    let (app, person) = (call.app.clone(), call.person()?);
    if !is_visible(&app, &person, call.scope(), &digest)? {
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
    // Whoever waits for a place keeps no file open.
    let place = place(&app, &person).await?;
    let opened = heavy(move || {
        let Some(mut reader) = store.store().open(&digest)? else { return Ok(None) };
        let mut whole = Vec::new();
        if reader.len() <= WHOLE_BYTES {
            reader.read_to_end(&mut whole).map_err(|error| unreadable(&digest, &error))?;
            return Ok(Some(Opened::Whole(whole)));
        }
        Ok(Some(Opened::Large(reader)))
    });
    let (size, body) = match opened.await?.ok_or_else(unknown)? {
        Opened::Whole(bytes) => (bytes.len() as u64, paced(bytes.into(), Pace::new(&Limits::DEFAULT), place)),
        Opened::Large(reader) => {
            let size = reader.len();
            let (sender, body) = ChannelBody::new(READ_PIECES);
            let (runtime, engine) = (Handle::current(), call.engine().clone());
            tokio::task::spawn_blocking(move || {
                let _place = place;
                let sent = send_blob(reader, &sender, &runtime, Pace::new(&Limits::DEFAULT));
                if let Err(error) = sent {
                    let fault = unreadable(&digest, &error);
                    tracing::error!(code = fault.code, %error, "a download was broken off");
                    engine.integrity().note(Log::Ledger, &fault);
                    // Whoever reads is told by the connection alone, once `/readyz` can say why.
                    runtime.block_on(give(Err(error), &sender, &mut Pace::new(&Limits::DEFAULT)));
                }
            });
            (size, body)
        }
    };
    let mut response = reply::typed(StatusCode::OK, "application/octet-stream", Body::new(body));
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(size));
    Ok(response)
}

/// A blob that is about to be sent.
enum Opened {
    /// All of its bytes, which are its own.
    Whole(Vec<u8>),
    /// What is hashed while it is read.
    Large(Box<dyn BlobReader>),
}

/// A blob cannot be read to its end, or has other bytes than its name says.
pub(super) fn unreadable(digest: &Digest, error: &std::io::Error) -> Fault {
    match error.kind() {
        std::io::ErrorKind::InvalidData => {
            Fault::new(Kind::Integrity, "DIGEST_MISMATCH", format!("the bytes stored as {digest} are others"))
        }
        _ => Fault::from(StoreError::Io(error.to_string())),
    }
}

/// Reads a blob for a client, as fast as it takes the pieces; one that takes them too slowly gets no more of them.
///
/// # Errors
/// Why it cannot be read to its end; the last piece before that was not sent.
fn send_blob(
    mut reader: Box<dyn BlobReader>,
    sender: &mpsc::Sender<Piece>,
    runtime: &Handle,
    mut pace: Pace,
) -> std::io::Result<()> {
    let mut held: Option<Bytes> = None;
    let mut buffer = vec![0u8; READ_BYTES];
    loop {
        let count = reader.read(&mut buffer)?;
        // One piece is held back until the reader has found the whole right.
        let next = held.replace(Bytes::copy_from_slice(buffer.get(..count).unwrap_or_default()));
        let has_gone = next.is_some_and(|piece| !runtime.block_on(give(Ok(piece), sender, &mut pace)));
        if count == 0 || has_gone {
            return Ok(());
        }
    }
}

/// A body that sends what is there as a whole, as fast as its client takes the pieces. `held` is dropped once the client
/// has taken the last one, has gone, or is too slow and gets no more of them.
pub(super) fn paced<T: Send + 'static>(whole: Bytes, pace: Pace, held: T) -> ChannelBody {
    let (sender, body) = ChannelBody::new(READ_PIECES);
    tokio::spawn(async move {
        send_whole(whole, &sender, pace).await;
        drop(held);
    });
    body
}

async fn send_whole(whole: Bytes, sender: &mpsc::Sender<Piece>, mut pace: Pace) {
    for piece in whole.chunks(READ_BYTES) {
        // A copy: a piece that waits in a connection would keep the whole in memory after its place was given back.
        if !give(Ok(Bytes::copy_from_slice(piece)), sender, &mut pace).await {
            return;
        }
    }
}

/// Gives a client the next piece; not where it has gone, or takes it too slowly, so that others get its place. Fewer bytes
/// than were announced end the connection.
async fn give(piece: Piece, sender: &mpsc::Sender<Piece>, pace: &mut Pace) -> bool {
    let bytes = piece.as_ref().map_or(0, Bytes::len);
    match pace.wait(sender.send(piece)).await {
        Ok(Ok(())) => {
            pace.moved(bytes);
            true
        }
        Ok(Err(_)) | Err(TooSlow) => false,
    }
}

#[cfg(test)]
mod tests {
    use lockgate_store::{BlobReader, BlobStore as _, MemoryStore};
    use tokio::runtime::{Builder, Runtime};

    use super::*;

    /// More than what waits for a client that does not read.
    const BLOB_BYTES: usize = READ_BYTES * 8;

    fn runtime() -> Runtime {
        Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap()
    }

    fn blob() -> Box<dyn BlobReader> {
        let store = MemoryStore::new();
        let mut staged = store.stage().unwrap();
        staged.write(&[7; BLOB_BYTES]).unwrap();
        let (digest, _) = staged.commit(None).unwrap();
        store.open(&digest).unwrap().unwrap()
    }

    fn impatient() -> Pace {
        Pace::of(1 << 40, Duration::from_millis(50))
    }

    #[test]
    fn a_download_that_nobody_reads_gives_its_place_back() {
        let runtime = runtime();
        let (sender, body) = ChannelBody::new(READ_PIECES);
        send_blob(blob(), &sender, runtime.handle(), impatient()).unwrap();
        drop(sender);
        let told = runtime.block_on(body.collect()).unwrap().to_bytes().len();
        assert!(told < BLOB_BYTES, "{told} bytes");
    }

    #[test]
    fn a_download_that_is_read_comes_whole() {
        let runtime = runtime();
        let (sender, body) = ChannelBody::new(READ_PIECES);
        let reading = runtime.spawn(async move { body.collect().await.unwrap().to_bytes().len() });
        send_blob(blob(), &sender, runtime.handle(), Pace::new(&Limits::DEFAULT)).unwrap();
        drop(sender);
        assert_eq!(runtime.block_on(reading).unwrap(), BLOB_BYTES);
    }

    #[test]
    fn an_upload_that_does_not_come_whole_is_told_why() {
        /// What the storing thread sees of pieces, after which the body ends, breaks or stays open.
        fn check(then: Option<Result<Bytes, std::io::Error>>, stays_open: bool, expected: Result<(), &'static str>) {
            let (client, body) = ChannelBody::new(PIECES);
            client.try_send(Ok(Bytes::from_static(b"some"))).unwrap();
            if let Some(then) = then {
                client.try_send(then).unwrap();
            }
            let _open = stays_open.then_some(client);
            let (sender, mut receiver) = mpsc::channel(PIECES);
            runtime().block_on(pump(Body::new(body), &sender, impatient()));
            drop(sender);
            assert_eq!(receiver.blocking_recv().unwrap().unwrap(), "some");
            let last = receiver.blocking_recv().map_or(Ok(()), |piece| piece.map(drop).map_err(|fault| fault.code));
            assert_eq!(last, expected);
        }
        check(None, false, Ok(()));
        check(Some(Err(std::io::Error::other("cut"))), true, Err("BODY_BROKEN"));
        check(None, true, Err("BODY_TIMEOUT"));
    }
}
