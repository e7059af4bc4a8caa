//! Compression: replies leave as gzip where their reader asks for it and it is worth it (RFC 9110, sections 8.4 and 12.5.3).
//!
//! What a compressed reply weighs tells something of what it holds. That is of use to somebody who sees its length, makes
//! the reader ask again and again, and chooses a part of what is asked; so
//!
//! - no reply that is compressed holds a secret: sessions are opened by `POST`, whose replies stay as they are, no page
//!   holds a token against forged requests, since there is none (see `csrf.rs`), and no script can read the cookie;
//! - what a page of another site makes a browser ask for is not compressed. (Its session cookie is strict, too, so that
//!   such a request comes from nobody.)
//!
//! Only what is there as a whole is compressed: no event stream and no download. Tiles, artifacts and evidence are served
//! as the bytes that their digests name.

use std::collections::BTreeMap;
use std::io::{self, Write as _};

use axum::body::{Body, HttpBody as _};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::BodyExt as _;
use lockgate_api::Route;
use lockgate_engine::{Fault, Kind};

use crate::reply;

/// From how many bytes on it is worth it: what is less fits into a packet anyway.
const LEAST_BYTES: u64 = 1024;
/// What has more bytes is compressed away from the network threads.
const HEAVY_BYTES: usize = 64 * 1024;
/// The level for what is made anew for each request: fast.
const LEVEL: u32 = 3;
/// What becomes smaller: text of some kind.
const TEXTS: [&str; 6] =
    ["text/html", "text/css", "text/javascript", "image/svg+xml", "application/json", "application/problem+json"];
/// The white space of header values.
const SPACE: [char; 2] = [' ', '\t'];

/// How a reply is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// As it is.
    Identity,
    /// With gzip.
    Gzip,
}

impl Coding {
    /// What the reader likes best of what it takes. A header that does not read asks for nothing.
    pub fn asked(headers: &HeaderMap) -> Self {
        let Some(weights) = weights(headers) else { return Self::Identity };
        let of = |name: &str| weights.get(name).copied();
        // `*` stands for whatever is not named.
        let gzip = of("gzip").or(of("x-gzip")).or(of("*")).unwrap_or(0);
        match gzip > 0 && gzip >= of("identity").unwrap_or(0) {
            true => Self::Gzip,
            false => Self::Identity,
        }
    }
}

/// How the reply of a route may be written.
pub fn of_reply(route: &Route, headers: &HeaderMap) -> Coding {
    let foreign = headers.get_all("sec-fetch-site").iter();
    let foreign = foreign.map(HeaderValue::as_bytes).any(|site| site != b"same-origin" && site != b"none");
    match route.method == "GET" && !foreign {
        true => Coding::asked(headers),
        false => Coding::Identity,
    }
}

/// Writes a reply as its reader asked for; one that has a validator or a coding already stays as it is.
pub async fn apply(coding: Coding, mut response: Response) -> Response {
    if !is_worth_it(&response) {
        return response;
    }
    response.headers_mut().append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if coding == Coding::Identity {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Ok(whole) = body.collect().await else {
        return reply::problem(&Fault::new(Kind::Bug, "REPLY_INVALID", "the reply broke off"));
    };
    let whole = whole.to_bytes();
    let packed = match whole.len() > HEAVY_BYTES {
        true => {
            let bytes = whole.clone();
            tokio::task::spawn_blocking(move || gzip(&bytes, LEVEL)).await.map_err(io::Error::other).flatten()
        }
        false => gzip(&whole, LEVEL),
    };
    match packed {
        Ok(packed) if packed.len() < whole.len() => {
            parts.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            parts.headers.remove(header::CONTENT_LENGTH);
            Response::from_parts(parts, Body::from(packed))
        }
        // It became no smaller; nothing else can go wrong in memory.
        Ok(_) | Err(_) => Response::from_parts(parts, Body::from(whole)),
    }
}

/// Compresses bytes; the same bytes give the same bytes, because nothing about time or machine is written with them.
///
/// # Errors
/// Never in practice: it writes into memory.
pub fn gzip(bytes: &[u8], level: u32) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::new(level));
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn is_worth_it(response: &Response) -> bool {
    let headers = response.headers();
    let written = [header::CONTENT_ENCODING, header::CONTENT_RANGE, header::ETAG];
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim_matches(SPACE);
    // The length of a stream is not known before its end.
    let bytes = response.body().size_hint().exact().unwrap_or(0);
    bytes >= LEAST_BYTES
        && TEXTS.contains(&kind)
        && response.status() != StatusCode::PARTIAL_CONTENT
        && !written.iter().any(|name| headers.contains_key(name))
}

/// The codings that a reader names, in lower case, each with its weight in thousandths; none where a line does not read
/// or names one twice.
fn weights(headers: &HeaderMap) -> Option<BTreeMap<String, u16>> {
    let mut weights = BTreeMap::new();
    for line in headers.get_all(header::ACCEPT_ENCODING) {
        let elements = line.to_str().ok()?.split(',').map(|element| element.trim_matches(SPACE));
        for element in elements.filter(|element| !element.is_empty()) {
            let (coding, weight) = match element.split_once(';') {
                Some((coding, parameter)) => (coding.trim_end_matches(SPACE), weight(parameter)?),
                None => (element, 1000),
            };
            let named = !coding.is_empty() && coding.bytes().all(is_token_byte);
            if !named || weights.insert(coding.to_ascii_lowercase(), weight).is_some() {
                return None;
            }
        }
    }
    Some(weights)
}

/// A weight in thousandths: `q=0` to `q=1`, with three digits after the point at most (RFC 9110, section 12.4.2).
fn weight(parameter: &str) -> Option<u16> {
    let value = parameter.trim_matches(SPACE).strip_prefix(['q', 'Q'])?.strip_prefix('=')?;
    let (whole, digits) = value.split_once('.').unwrap_or((value, ""));
    if digits.len() > 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths: u16 = format!("{digits:0<3}").parse().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

/// A character of a token (RFC 9110, section 5.6.2).
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::ChannelBody;
    use flate2::read::GzDecoder;
    use lockgate_api::ROUTES;
    use std::io::Read as _;

    fn headers(name: header::HeaderName, lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name.clone(), HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        headers
    }

    #[test]
    fn a_reader_gets_what_it_asks_for() {
        let check = |lines: &[&str], gzip: bool| {
            let wanted = if gzip { Coding::Gzip } else { Coding::Identity };
            assert_eq!(Coding::asked(&headers(header::ACCEPT_ENCODING, lines)), wanted, "{lines:?}");
        };
        check(&[], false);
        check(&[""], false);
        check(&["gzip"], true);
        check(&["GZip"], true);
        check(&["x-gzip"], true);
        check(&["gzip, deflate, br, zstd"], true);
        check(&["br", "gzip"], true);
        check(&["deflate, br"], false);
        check(&[" ,gzip ,"], true);
        check(&["gzip;q=0"], false);
        check(&["gzip; q=0.000"], false);
        check(&["gzip ;\tQ=0.001"], true);
        check(&["*"], true);
        check(&["*;q=0"], false);
        check(&["*;q=0, gzip"], true);
        check(&["gzip;q=0, *"], false);
        check(&["gzip;q=0.5, identity"], false);
        check(&["gzip;q=0.5, identity;q=0.5"], true);
        check(&["identity;q=0"], false);
        check(&["identity;q=0, *;q=0.1"], true);
        // What does not read asks for nothing, as a whole.
        for bad in [
            "gzip;q",
            "gzip;q=",
            "gzip;q=2",
            "gzip;q=1.001",
            "gzip;q=0.1234",
            "gzip;q=-1",
            "gzip;q= 1",
            "gzip;q=.5",
            "gzip;q=1e0",
            "gzip;level=9",
            "gzip;q=1;q=1",
            ";q=1",
            "gzip deflate",
            "gzip, gzip",
            "gzip, br;q=x",
            "gz\u{ef}p, gzip",
        ] {
            check(&[bad], false);
        }
    }

    #[test]
    fn what_changes_something_and_what_others_make_a_browser_ask_for_stays_as_it_is() {
        let check = |method: &'static str, sites: &[&str], expected: Coding| {
            let route = Route { method, ..ROUTES[0] };
            let mut asked = headers(header::HeaderName::from_static("sec-fetch-site"), sites);
            asked.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
            assert_eq!(of_reply(&route, &asked), expected, "{method} {sites:?}");
        };
        check("GET", &[], Coding::Gzip);
        check("GET", &["none"], Coding::Gzip);
        check("GET", &["same-origin"], Coding::Gzip);
        check("GET", &["same-site"], Coding::Identity);
        check("GET", &["cross-site"], Coding::Identity);
        check("GET", &["same-origin", "cross-site"], Coding::Identity);
        check("POST", &[], Coding::Identity);
        check("DELETE", &["same-origin"], Coding::Identity);
    }

    fn response(kind: &'static str, body: impl Into<Body>) -> Response {
        reply::typed(StatusCode::OK, kind, body)
    }

    async fn bytes_of(response: Response) -> Vec<u8> {
        response.into_body().collect().await.unwrap().to_bytes().to_vec()
    }

    #[tokio::test]
    async fn text_is_the_same_after_it_was_unpacked() {
        for count in [LEAST_BYTES as usize, 5000, HEAVY_BYTES + 1] {
            let text: String = (0..count).map(|place| char::from(b'a' + (place % 23) as u8)).collect();
            let packed = apply(Coding::Gzip, response("text/html; charset=utf-8", text.clone())).await;
            assert_eq!(packed.headers()[header::CONTENT_ENCODING], "gzip");
            assert_eq!(packed.headers()[header::VARY], "Accept-Encoding");
            let bytes = bytes_of(packed).await;
            assert!(bytes.len() < count / 2, "{} of {count}", bytes.len());
            let mut unpacked = String::new();
            GzDecoder::new(bytes.as_slice()).read_to_string(&mut unpacked).unwrap();
            assert_eq!(unpacked, text);
            let plain = apply(Coding::Identity, response("text/html", text.clone())).await;
            assert_eq!(plain.headers()[header::VARY], "Accept-Encoding");
            assert!(!plain.headers().contains_key(header::CONTENT_ENCODING));
            assert_eq!(bytes_of(plain).await, text.into_bytes());
        }
    }

    #[tokio::test]
    async fn streams_downloads_and_what_is_small_stay_as_they_are() {
        let text = "a".repeat(4096);
        let with = |name: header::HeaderName, value: &'static str| {
            let mut response = response("application/json", text.clone());
            response.headers_mut().insert(name, HeaderValue::from_static(value));
            response
        };
        let mut part = response("application/json", text.clone());
        *part.status_mut() = StatusCode::PARTIAL_CONTENT;
        for untouched in [
            response("application/json", "a".repeat(LEAST_BYTES as usize - 1)),
            response("application/octet-stream", text.clone()),
            response("text/event-stream", text.clone()),
            response("text/html", Body::new(ChannelBody::new(1).1)),
            with(header::CONTENT_ENCODING, "br"),
            with(header::CONTENT_RANGE, "bytes 0-4095/9000"),
            with(header::ETAG, "\"a\""),
            part,
        ] {
            let before = untouched.headers().clone();
            assert_eq!(apply(Coding::Gzip, untouched).await.headers(), &before);
        }
        // What does not become smaller.
        let mut state = 1_u32;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .take(4096)
        .collect();
        let kept = apply(Coding::Gzip, response("application/json", noise.clone())).await;
        assert!(!kept.headers().contains_key(header::CONTENT_ENCODING));
        assert_eq!(bytes_of(kept).await, noise);
    }
}
