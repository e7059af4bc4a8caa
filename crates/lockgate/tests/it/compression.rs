//! Compression: what a reader gets compressed is what it gets otherwise, and what must not be compressed is not.

use std::io::Read as _;

use flate2::read::GzDecoder;

use crate::instance::{Instance, Reply, text, until};

const GZIP: (&str, &str) = ("Accept-Encoding", "br, gzip;q=0.9, *;q=0.1");
/// Something that is large enough, and the same each time.
const HISTORY: &str = "/v1/history?limit=200";

/// The values of a header.
fn header(reply: &Reply, name: &str) -> Vec<String> {
    let named = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    let lines = reply.head.lines().filter_map(named);
    lines.filter(|(found, _)| found == name).map(|(_, value)| value).collect()
}

/// What a compressed reply holds.
#[track_caller]
fn unpacked(reply: &Reply) -> Vec<u8> {
    assert_eq!((reply.status, header(reply, "content-encoding")), (200, vec!["gzip".to_owned()]), "{}", reply.head);
    assert_eq!(header(reply, "vary"), ["Accept-Encoding"], "{}", reply.head);
    assert_eq!(header(reply, "content-length"), [reply.body.len().to_string()], "{}", reply.head);
    let mut bytes = Vec::new();
    GzDecoder::new(reply.body.as_slice()).read_to_end(&mut bytes).unwrap();
    bytes
}

/// A page without the moment that it was made at, which every page names once.
fn timeless(body: &[u8]) -> Vec<u8> {
    const NAME: &[u8] = b" data-now=\"";
    match body.windows(NAME.len()).position(|part| part == NAME) {
        Some(at) => {
            let (head, rest) = body.split_at(at + NAME.len());
            let moment = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            [head, &rest[moment..]].concat()
        }
        None => body.to_vec(),
    }
}

#[test]
fn what_is_compressed_is_the_same() {
    let lockgate = Instance::granted();
    let sam = lockgate.token("sam");
    for path in [
        "/",
        "/timeline",
        "/keys",
        "/access",
        "/policy",
        "/promotions/P-3",
        "/sign-in",
        HISTORY,
        "/v1/promotions/P-3/bundle",
        "/openapi.json",
        "/assets/verifier.js",
        "/assets/dashboard.css",
        "/assets/code-words.js",
    ] {
        let ask = |headers: &[(&str, &str)]| lockgate.http("GET", path, Some(&sam), headers, b"");
        // Pages say how long ago something was: the plain page before and after has to be the same.
        until("a page stands still", || {
            let (before, packed, after) = (ask(&[]), ask(&[GZIP]), ask(&[]));
            assert_eq!((before.status, header(&before, "content-encoding")), (200, Vec::new()), "{path}");
            assert_eq!(header(&before, "vary"), ["Accept-Encoding"], "{path}");
            let bytes = timeless(&unpacked(&packed));
            assert!(packed.body.len() < before.body.len(), "{path}: {} bytes", before.body.len());
            let (before, after) = (timeless(&before.body), timeless(&after.body));
            if before == after {
                assert!(bytes == before, "{path}: other bytes");
            }
            before == after
        });
    }
    // A head is the head of the same bytes.
    for headers in [&[][..], &[GZIP][..]] {
        let got = lockgate.http("GET", "/assets/verifier.js", None, headers, b"");
        let head = lockgate.http("HEAD", "/assets/verifier.js", None, headers, b"");
        assert_eq!((head.status, head.body.len()), (200, 0));
        for name in ["content-length", "content-encoding", "etag", "vary", "cache-control", "content-type"] {
            assert_eq!(header(&head, name), header(&got, name), "{name}");
        }
    }
}

#[test]
fn what_must_not_be_compressed_is_not() {
    let lockgate = Instance::granted();
    let sam = lockgate.token("sam");
    let release = lockgate.get("/v1/releases/shop/web@1.4.2", Some(&sam)).json();
    let (artifact, evidence) = (text(&release["artifacts"][0]["digest"]), text(&release["evidence"][0]["digest"]));
    let size = lockgate.entries();
    let plain = |path: &str, headers: &[(&str, &str)]| {
        let reply = lockgate.http("GET", path, Some(&sam), headers, b"");
        assert_eq!((reply.status, header(&reply, "content-encoding")), (200, Vec::new()), "{path}: {headers:?}");
        reply
    };
    for path in [
        format!("/v1/blobs/{artifact}"),
        format!("/v1/blobs/{evidence}"),
        format!("/tile/0/000.p/{size}"),
        format!("/tile/entries/000.p/{size}"),
        "/checkpoint".to_owned(),
        "/v1/events?from=0".to_owned(),
        // Less than what is worth it.
        "/v1/whoami".to_owned(),
    ] {
        plain(&path, &[GZIP]);
    }
    for asked in ["identity", "gzip;q=0", "gzip;q=0.5, identity", "br", "*;q=0", "gzip;q=7", "gzip;q=0.5;q=1", ""] {
        let reply = plain(HISTORY, &[("Accept-Encoding", asked)]);
        assert_eq!(header(&reply, "vary"), ["Accept-Encoding"], "{asked}");
    }
    // Another site learns nothing from a length.
    for site in ["cross-site", "same-site"] {
        plain(HISTORY, &[GZIP, ("Sec-Fetch-Site", site)]);
    }
    unpacked(&lockgate.http("GET", HISTORY, Some(&sam), &[GZIP, ("Sec-Fetch-Site", "same-origin")], b""));
}

/// A page that is loaded anew asks whether its files are still the same, and is not sent them again.
#[test]
fn files_of_pages_are_sent_once() {
    let lockgate = Instance::demo();
    let ask = |headers: &[(&str, &str)]| lockgate.http("GET", "/assets/dashboard.js", None, headers, b"");
    let (plain, packed) = (ask(&[]), ask(&[GZIP]));
    let tag = |reply: &Reply| header(reply, "etag").concat();
    assert_ne!(tag(&plain), tag(&packed));
    assert_eq!(unpacked(&packed), plain.body);
    assert_eq!(header(&packed, "cache-control"), ["no-cache"]);
    for (first, more) in [(&plain, None), (&packed, Some(GZIP))] {
        let known = tag(first);
        let headers: Vec<(&str, &str)> = more.into_iter().chain([("If-None-Match", known.as_str())]).collect();
        let again = ask(&headers);
        assert_eq!((again.status, again.body.len(), tag(&again)), (304, 0, known.clone()));
        assert_eq!(header(&again, "content-length"), Vec::<String>::new());
        for name in ["cache-control", "vary"] {
            assert_eq!(header(&again, name), header(first, name), "{name}");
        }
    }
    let other = ask(&[("If-None-Match", "\"0000\"")]);
    assert_eq!((other.status, other.body), (200, plain.body));
}
