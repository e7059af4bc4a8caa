//! Bundles: built as a whole in memory, so few at a time, and a large one has its place until its client has taken it.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::response::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use http_body_util::BodyExt as _;
use lockgate_engine::authorise::check_promotion;
use lockgate_engine::{Fault, Kind, bundle as bundles};
use lockgate_model::PromotionId;

use super::blobs::paced;
use super::{heavy, joined};
use crate::call::Call;
use crate::compression::{self, Coding};
use crate::pace::Pace;
use crate::places::Place;
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
    let coding = compression::of_reply(call.route, &call.headers);
    let check = {
        let (engine, person) = (engine.clone(), person.clone());
        move || -> Result<(), Fault> {
            check_promotion(&engine, &person, promotion)?;
            scope.as_ref().map_or(Ok(()), |scope| scope.check_promotion(&engine, promotion))
        }
    };
    // Whoever may not read it is told so at once, and takes nobody's place.
    heavy(check.clone()).await?;
    let place = call.app.bundles.take(&person, WAIT).await.ok_or_else(overloaded)?;
    let build = move || -> Result<Vec<u8>, Fault> {
        // What somebody may read can have changed while they waited.
        check()?;
        bundles::build(&engine, promotion)
    };
    send(build, coding, place, Pace::of(LARGE_BYTES_PER_MINUTE, Duration::from_secs(60))).await
}

fn overloaded() -> Fault {
    Fault::new(Kind::Unavailable, "OVERLOADED", "too many bundles are built and sent").hint("try again in a moment")
}

/// Replies with a bundle, as fast as its client takes it.
///
/// The place is taken while it is built, also where the client goes away; and for as long as a large one is in memory.
async fn send(
    build: impl FnOnce() -> Result<Vec<u8>, Fault> + Send + 'static,
    coding: Coding,
    place: Place,
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
async fn packed(plain: Response, coding: Coding, place: Place) -> Result<(Parts, Bytes, Place), Fault> {
    let (head, body) = compression::apply(coding, plain).await.into_parts();
    let whole = body.collect().await.map_err(|error| Fault::new(Kind::Bug, "REPLY_INVALID", error.to_string()))?;
    Ok((head, whole.to_bytes(), place))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;

    use super::*;
    use crate::places::Places;

    /// More than what waits for a client that does not read.
    const BUNDLE_BYTES: usize = SMALL_BYTES + 1;

    async fn place(places: &Places) -> Place {
        places.take(&"dana".parse().unwrap(), WAIT).await.unwrap()
    }

    async fn sent(places: &Places, coding: Coding, pace: Pace) -> Response {
        let held = place(places).await;
        send(|| Ok(vec![b'a'; BUNDLE_BYTES]), coding, held, pace).await.unwrap()
    }

    #[test]
    fn whoever_finds_no_place_is_told_when_to_come_again() {
        assert_eq!(reply::problem(&overloaded()).headers()[header::RETRY_AFTER], "1");
    }

    #[tokio::test]
    async fn a_client_that_goes_away_frees_no_place_while_its_bundle_is_built() {
        let places = Places::new(1);
        let (go, told) = std::sync::mpsc::channel::<()>();
        let (begun, building) = tokio::sync::oneshot::channel();
        let build = move || -> Result<Vec<u8>, Fault> {
            begun.send(()).unwrap();
            told.recv().unwrap();
            Ok(vec![b'a'; BUNDLE_BYTES])
        };
        let held = place(&places).await;
        let client =
            tokio::spawn(send(build, Coding::Gzip, held, Pace::of(LARGE_BYTES_PER_MINUTE, Duration::from_secs(60))));
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
            drop(place(&places).await);
        }
    }
}
