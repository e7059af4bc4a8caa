//! Assets: the scripts, styles and icons of the pages, each compressed once and kept.
//!
//! They are the same for everyone and hold nothing of anybody. Their addresses do not change with what they hold, so a
//! browser keeps them, but asks each time whether they are still the same (RFC 9110, section 13.1.2); the answer is a
//! head and no body. So a page never runs with the scripts of another version of the server.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use lockgate_engine::{Fault, Kind};
use lockgate_ledger::code_words::WORDS;
use lockgate_model::Digest;
use lockgate_web::assets::{ASSETS, SCRIPT};

use crate::call::Call;
use crate::compression::{self, Coding};
use crate::events::ChannelBody;
use crate::reply;

/// The name of the list of code words, which is made from the code.
pub(super) const CODE_WORDS: &str = "code-words.js";
/// The level for what is compressed once: the smallest.
const LEVEL: u32 = 9;

/// `GET /assets/{name}`.
pub async fn get(call: Call) -> Result<Response, Fault> {
    let name = call.path.get("name").map(String::as_str).unwrap_or_default();
    let asset = READY.get(name).ok_or_else(|| Fault::not_found("ROUTE_UNKNOWN", "there is nothing here"))?;
    Ok(asset.reply(&call.headers))
}

/// Every asset by its name, made when the first one is asked for.
static READY: LazyLock<BTreeMap<&'static str, Ready>> = LazyLock::new(|| {
    let words = code_words().ok().map(|text| (CODE_WORDS, SCRIPT, Bytes::from(text)));
    let files = ASSETS.iter().map(|asset| (asset.name, asset.content_type, Bytes::from_static(asset.text.as_bytes())));
    let ready = files.chain(words).map(|(name, content_type, bytes)| Some((name, Ready::of(content_type, bytes)?)));
    ready.flatten().collect()
});

/// An asset in each way that it is written.
struct Ready {
    content_type: &'static str,
    plain: Written,
    gzip: Option<Written>,
}

/// Bytes and their validator, which is their digest: each way of writing has one of its own.
struct Written {
    bytes: Bytes,
    tag: HeaderValue,
}

impl Written {
    fn of(bytes: Bytes) -> Option<Self> {
        let tag = HeaderValue::try_from(format!("\"{}\"", Digest::of(&bytes).hex())).ok()?;
        Some(Self { bytes, tag })
    }
}

impl Ready {
    fn of(content_type: &'static str, bytes: Bytes) -> Option<Self> {
        let packed = compression::gzip(&bytes, LEVEL).ok().filter(|packed| packed.len() < bytes.len());
        let gzip = packed.and_then(|packed| Written::of(Bytes::from(packed)));
        Some(Self { content_type, plain: Written::of(bytes)?, gzip })
    }

    fn reply(&self, headers: &HeaderMap) -> Response {
        let gzip = self.gzip.as_ref().filter(|_| Coding::asked(headers) == Coding::Gzip);
        let written = gzip.unwrap_or(&self.plain);
        let mut response = match is_known(headers, &written.tag) {
            // A body whose length is not said: a length of nothing would be said of the file.
            true => reply::typed(StatusCode::NOT_MODIFIED, self.content_type, Body::new(ChannelBody::new(1).1)),
            false => reply::typed(StatusCode::OK, self.content_type, written.bytes.clone()),
        };
        let out = response.headers_mut();
        out.insert(header::ETAG, written.tag.clone());
        out.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        out.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        if gzip.is_some() {
            out.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }
}

/// Whether the reader has these bytes: `If-None-Match` names their validator, or says `*`. A weak validator counts too,
/// because a proxy may have made one of ours weak (RFC 9110, section 8.8.3.2).
fn is_known(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let lines = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|line| line.to_str().ok());
    let mut named = lines.flat_map(|line| line.split(',')).map(str::trim);
    named.any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one).as_bytes() == tag.as_bytes())
}

/// The word list as a module, from the same list that the server and the command line use.
fn code_words() -> Result<String, Fault> {
    let words = serde_json::to_string(&WORDS.as_slice())
        .map_err(|error| Fault::new(Kind::Bug, "REPLY_INVALID", error.to_string()))?;
    Ok(format!("// The code words, one for each byte.\nexport const WORDS = {words};\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_list_is_the_ledgers() {
        let text = code_words().unwrap();
        let list = text.split_once("WORDS = ").unwrap().1.trim_end().trim_end_matches(';');
        let words: Vec<String> = serde_json::from_str(list).unwrap();
        assert_eq!(words, WORDS);
    }

    #[test]
    fn every_asset_is_ready_and_large_ones_are_compressed() {
        assert_eq!(READY.len(), ASSETS.len() + 1);
        for (name, ready) in READY.iter() {
            let large = ready.plain.bytes.len() > 1024;
            assert!(!large || ready.gzip.as_ref().is_some_and(|gzip| gzip.tag != ready.plain.tag), "{name}");
        }
    }

    #[test]
    fn a_reader_that_has_the_bytes_gets_none() {
        let ready = &READY["verifier.js"];
        let gzip = ready.gzip.as_ref().unwrap();
        let text = |tag: &HeaderValue| tag.to_str().unwrap().to_owned();
        let (plain, packed) = (text(&ready.plain.tag), text(&gzip.tag));
        let check = |known: &str, coding: &str, status: u16, tag: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::try_from(coding).unwrap());
            headers.insert(header::IF_NONE_MATCH, HeaderValue::try_from(known).unwrap());
            let reply = ready.reply(&headers);
            assert_eq!(
                (reply.status().as_u16(), text(&reply.headers()[header::ETAG])),
                (status, tag.to_owned()),
                "{known}"
            );
            assert_eq!(reply.headers().contains_key(header::CONTENT_ENCODING), coding == "gzip", "{known}");
        };
        check(&plain, "identity", 304, &plain);
        check(&packed, "gzip", 304, &packed);
        check(&format!("\"other\", W/{packed}"), "gzip", 304, &packed);
        check("*", "gzip", 304, &packed);
        // The same file, written in another way, is other bytes.
        check(&plain, "gzip", 200, &packed);
        check(&packed, "identity", 200, &plain);
        check(plain.trim_matches('"'), "identity", 200, &plain);
        check("", "identity", 200, &plain);
    }
}
