//! Bundles: built as a whole in memory, so few at a time, and a large one has its place until its client has taken it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::response::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use http_body_util::BodyExt as _;
use lockgate_engine::authorise::check_promotion;
use lockgate_engine::{Fault, Kind, bundle as bundles};
use lockgate_model::PromotionId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::blobs::paced;
use super::{heavy, joined};
use crate::call::Call;
use crate::compression::{self, Coding};
use crate::pace::Pace;
use crate::reply;

/// How long a request waits for a place.
const WAIT: Duration = Duration::from_secs(10);
/// Up to how many bytes a bundle is a reply like any other, which keeps no place once it was built.
const SMALL_BYTES: usize = 1 << 20;
/// How many bytes of a large one its client takes in a minute at least: nobody keeps others out by reading slowly.
const LARGE_BYTES_PER_MINUTE: u64 = 16 << 20;

/// `GET /v1/promotions/{id}/bundle`.
pub async fn get(call: Call) -> Result<Response, Fault> {
    let promotion: PromotionId = call.part("id")?;
    let (engine, person, scope) = (call.engine().clone(), call.person()?, call.scope().cloned());
    let (coding, places) = (compression::of_reply(call.route, &call.headers), call.app.bundles.clone());
    let check = {
        let engine = engine.clone();
        move || -> Result<(), Fault> {
            check_promotion(&engine, &person, promotion)?;
            scope.as_ref().map_or(Ok(()), |scope| scope.check_promotion(&engine, promotion))
        }
    };
    // Whoever may not read it is told so at once, and takes nobody's place.
    heavy(check.clone()).await?;
    let place = place(places, WAIT).await?;
    let build = move || -> Result<Vec<u8>, Fault> {
        // What somebody may read can have changed while they waited.
        check()?;
        bundles::build(&engine, promotion)
    };
    send(build, coding, place, Pace::of(LARGE_BYTES_PER_MINUTE, Duration::from_secs(60))).await
}

/// A place to build a bundle in, as soon as there is one.
async fn place(places: Arc<Semaphore>, wait: Duration) -> Result<OwnedSemaphorePermit, Fault> {
    match tokio::time::timeout(wait, places.acquire_owned()).await {
        Ok(Ok(place)) => Ok(place),
        Ok(Err(_)) | Err(_) => Err(Fault::new(Kind::Unavailable, "OVERLOADED", "too many bundles are built and sent")
            .hint("try again in a moment")),
    }
}

/// Replies with a bundle, as fast as its client takes it.
///
/// The place is taken while it is built, also where the client goes away; and for as long as a large one is in memory.
async fn send(
    build: impl FnOnce() -> Result<Vec<u8>, Fault> + Send + 'static,
    coding: Coding,
    place: OwnedSemaphorePermit,
    pace: Pace,
) -> Result<Response, Fault> {
    // In tasks of their own, which nobody's going away ends.
    let built = tokio::spawn(async move { heavy(build).await.map(|bundle| (bundle, place)) });
    let (bundle, place) = joined(built).await?;
    let is_small = bundle.len() <= SMALL_BYTES;
    let plain = reply::typed(StatusCode::OK, "application/json", bundle);
    if is_small {
        return Ok(plain);
    }
    let (mut head, whole, place) = joined(tokio::spawn(packed(plain, coding, place))).await?;
    head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(whole.len()));
    Ok(Response::from_parts(head, Body::new(paced(whole, pace, place))))
}

/// Writes a bundle as its reader asked for, while it is there as a whole; a stream would stay as it is.
async fn packed(
    plain: Response,
    coding: Coding,
    place: OwnedSemaphorePermit,
) -> Result<(Parts, Bytes, OwnedSemaphorePermit), Fault> {
    let (head, body) = compression::apply(coding, plain).await.into_parts();
    let whole = body.collect().await.map_err(|error| Fault::new(Kind::Bug, "REPLY_INVALID", error.to_string()))?;
    Ok((head, whole.to_bytes(), place))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;

    use super::*;

    /// More than what waits for a client that does not read.
    const BUNDLE_BYTES: usize = SMALL_BYTES + 1;

    fn one_place() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(1))
    }

    async fn sent(places: &Arc<Semaphore>, coding: Coding, pace: Pace) -> Response {
        let held = place(places.clone(), WAIT).await.unwrap();
        send(|| Ok(vec![b'a'; BUNDLE_BYTES]), coding, held, pace).await.unwrap()
    }

    #[tokio::test]
    async fn a_place_is_waited_for_and_not_for_ever() {
        let places = one_place();
        let held = place(places.clone(), WAIT).await.unwrap();
        let fault = place(places.clone(), Duration::from_millis(10)).await.unwrap_err();
        assert_eq!((fault.kind, fault.code), (Kind::Unavailable, "OVERLOADED"));
        assert_eq!(reply::problem(&fault).headers()[header::RETRY_AFTER], "1");
        let waiting = tokio::spawn(place(places, WAIT));
        drop(held);
        assert!(waiting.await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn a_client_that_goes_away_frees_no_place_while_its_bundle_is_built() {
        let places = one_place();
        let (go, told) = std::sync::mpsc::channel::<()>();
        let (begun, building) = tokio::sync::oneshot::channel();
        let build = move || -> Result<Vec<u8>, Fault> {
            begun.send(()).unwrap();
            told.recv().unwrap();
            Ok(vec![b'a'; BUNDLE_BYTES])
        };
        let held = place(places.clone(), WAIT).await.unwrap();
        let client =
            tokio::spawn(send(build, Coding::Gzip, held, Pace::of(LARGE_BYTES_PER_MINUTE, Duration::from_secs(60))));
        building.await.unwrap();
        client.abort();
        assert!(client.await.unwrap_err().is_cancelled());
        assert_eq!(places.available_permits(), 0);
        go.send(()).unwrap();
        drop(place(places, WAIT).await.unwrap());
    }

    #[tokio::test]
    async fn a_bundle_that_nobody_reads_gives_its_place_back() {
        let places = one_place();
        let response = sent(&places, Coding::Identity, Pace::of(1 << 40, Duration::from_millis(50))).await;
        drop(place(places, WAIT).await.unwrap());
        let told = response.into_body().collect().await.unwrap().to_bytes().len();
        assert!(told < BUNDLE_BYTES, "{told} bytes");
    }

    #[tokio::test]
    async fn a_bundle_that_is_read_comes_whole_and_as_it_was_asked_for() {
        let places = one_place();
        for coding in [Coding::Identity, Coding::Gzip] {
            let response = sent(&places, coding, Pace::of(LARGE_BYTES_PER_MINUTE, Duration::from_secs(60))).await;
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
            assert_eq!(places.available_permits(), 1);
        }
    }
}
