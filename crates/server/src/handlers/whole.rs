//! Whole things in memory: what is read or made as a whole, few at a time; a large reply has its place until its client has
//! taken it.

use std::future::Future;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::http::response::Parts;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use http_body_util::BodyExt as _;
use lockgate_engine::{Fault, Kind};

use super::blobs::paced;
use super::{heavy, joined};
use crate::call::Call;
use crate::compression::{self, Coding};
use crate::pace::Pace;
use crate::places::Place;

/// Why somebody finds no place.
const TOO_MUCH: &str = "too much evidence is read at the same time";
/// Up to how many bytes a reply keeps no place once it was made.
const SMALL_BYTES: u64 = 1 << 20;
/// How many bytes of a large one its client takes in a minute at least: nobody keeps others out by reading slowly.
const LARGE_BYTES_PER_MINUTE: u64 = 16 << 20;

/// How fast a client takes a large reply at least.
pub fn pace() -> Pace {
    Pace::of(LARGE_BYTES_PER_MINUTE, Duration::from_secs(60))
}

/// Checks evidence that is read whole, or decides on it, in one of the few places for that. What it needs of the call is
/// taken before the first wait.
pub fn checked<T, F>(call: &Call, work: F) -> impl Future<Output = Result<T, Fault>> + Send + use<T, F>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, Fault> + Send + 'static,
{
    let (app, person) = (call.app.clone(), call.person());
    async move {
        let person = person?;
        let place = app.checks.enter(&person, TOO_MUCH).await?;
        let placed = move || {
            // Until the work is done, also where the client has gone away.
            let _place = place;
            work()
        };
        heavy(placed).await
    }
}

/// Replies with what evidence says, in one of the few places for that. What it needs of the call is taken before the first
/// wait.
pub fn shown<F>(call: &Call, build: F) -> impl Future<Output = Result<Response, Fault>> + Send + use<F>
where
    F: FnOnce() -> Result<Response, Fault> + Send + 'static,
{
    let (app, person, coding) = (call.app.clone(), call.person(), compression::of_reply(call.route, &call.headers));
    async move {
        let person = person?;
        let place = app.readings.enter(&person, TOO_MUCH).await?;
        send(build, coding, place, pace()).await
    }
}

/// Replies with what is made as a whole, as fast as its client takes it.
///
/// The place is taken while it is made, also where the client goes away; and for as long as a large one is in memory.
pub async fn send(
    build: impl FnOnce() -> Result<Response, Fault> + Send + 'static,
    coding: Coding,
    place: Place,
    pace: Pace,
) -> Result<Response, Fault> {
    // In tasks of their own, which nobody's going away ends.
    let built = tokio::spawn(async move { heavy(build).await.map(|reply| (reply, place)) });
    let (plain, place) = joined(built).await?;
    if plain.body().size_hint().exact().is_some_and(|bytes| bytes <= SMALL_BYTES) {
        return Ok(plain);
    }
    let (mut head, whole, place) = joined(tokio::spawn(packed(plain, coding, place))).await?;
    head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(whole.len()));
    Ok(Response::from_parts(head, Body::new(paced(whole, pace, place))))
}

/// Writes a reply as its reader asked for, while it is there as a whole; a stream would stay as it is.
async fn packed(plain: Response, coding: Coding, place: Place) -> Result<(Parts, Bytes, Place), Fault> {
    let (head, body) = compression::apply(coding, plain).await.into_parts();
    let whole = body.collect().await.map_err(|error| Fault::new(Kind::Bug, "REPLY_INVALID", error.to_string()))?;
    Ok((head, whole.to_bytes(), place))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use axum::http::StatusCode;
    use flate2::read::GzDecoder;

    use super::*;
    use crate::places::Places;
    use crate::reply;

    /// More than what waits for a client that does not read.
    const BUNDLE_BYTES: usize = SMALL_BYTES as usize + 1;

    async fn place(places: &Places) -> Place {
        places.enter(&"dana".parse().unwrap(), TOO_MUCH).await.unwrap()
    }

    async fn sent(places: &Places, coding: Coding, pace: Pace) -> Response {
        let held = place(places).await;
        send(|| Ok(bundle()), coding, held, pace).await.unwrap()
    }

    fn bundle() -> Response {
        reply::typed(StatusCode::OK, "application/json", vec![b'a'; BUNDLE_BYTES])
    }

    #[tokio::test]
    async fn a_client_that_goes_away_frees_no_place_while_its_bundle_is_built() {
        let places = Places::new(1);
        let (go, told) = std::sync::mpsc::channel::<()>();
        let (begun, building) = tokio::sync::oneshot::channel();
        let build = move || -> Result<Response, Fault> {
            begun.send(()).unwrap();
            told.recv().unwrap();
            Ok(bundle())
        };
        let held = place(&places).await;
        let client = tokio::spawn(send(build, Coding::Gzip, held, pace()));
        building.await.unwrap();
        client.abort();
        assert!(client.await.unwrap_err().is_cancelled());
        assert!(places.take(&"sam".parse().unwrap(), Duration::from_millis(10)).await.is_none());
        go.send(()).unwrap();
        drop(place(&places).await);
    }

    #[tokio::test]
    async fn a_bundle_that_nobody_reads_gives_its_place_back() {
        let places = Places::new(1);
        let response = sent(&places, Coding::Identity, Pace::of(1 << 40, Duration::from_millis(50))).await;
        drop(place(&places).await);
        let told = response.into_body().collect().await.unwrap().to_bytes().len();
        assert!(told < BUNDLE_BYTES, "{told} bytes");
    }

    #[tokio::test]
    async fn a_bundle_that_is_read_comes_whole_and_as_it_was_asked_for() {
        let places = Places::new(1);
        for coding in [Coding::Identity, Coding::Gzip] {
            let response = sent(&places, coding, pace()).await;
            assert_eq!(response.headers().contains_key(header::CONTENT_ENCODING), coding == Coding::Gzip);
            assert_eq!(response.headers()[header::VARY], "Accept-Encoding");
            // Every reply goes through it afterwards.
            let before = response.headers().clone();
            let response = compression::apply(coding, response).await;
            assert_eq!(response.headers(), &before);
            let mut bytes = response.into_body().collect().await.unwrap().to_bytes().to_vec();
            assert_eq!(before[header::CONTENT_LENGTH], bytes.len().to_string());
            if coding == Coding::Gzip {
                let packed = std::mem::take(&mut bytes);
                GzDecoder::new(packed.as_slice()).read_to_end(&mut bytes).unwrap();
            }
            assert!(bytes == vec![b'a'; BUNDLE_BYTES], "{coding:?}: {} bytes", bytes.len());
            drop(place(&places).await);
        }
    }
}
