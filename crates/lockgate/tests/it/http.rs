//! The HTTP API: who may call what, tokens, queries, idempotency, events, and the log that anyone can read.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use lockgate_api::ROUTES;
use lockgate_model::{Digest, Limits, TreeSize};
use lockgate_tlog::hash::leaf_hash;
use lockgate_tlog::tile::{EntryBundleId, TILE_WIDTH, decode_bundle, tiles_for, width_at};
use lockgate_tlog::tree::Tree;
use serde_json::{Value, json};

use crate::instance::{Instance, text};

#[test]
fn the_description_lists_every_route() {
    let lockgate = Instance::demo();
    let document = lockgate.get("/openapi.json", None).json();
    assert!(text(&document["openapi"]).starts_with("3.1."));
    let paths = document["paths"].as_object().unwrap();
    let methods = |(path, methods): (&String, &Value)| -> Vec<String> {
        methods.as_object().unwrap().keys().map(|method| format!("{} {path}", method.to_uppercase())).collect()
    };
    let described: BTreeSet<String> = paths.iter().flat_map(methods).collect();
    let routes: BTreeSet<String> =
        ROUTES.iter().map(|route| format!("{} {}", route.method, route.path.replace("{*", "{"))).collect();
    assert_eq!(described, routes);
}

#[test]
fn a_page_for_everyone_never_sends_to_itself() {
    let lockgate = Instance::demo();
    let get = |path: &str, header: (&str, &str)| lockgate.http("GET", path, None, &[header], b"").status;
    for path in ["/sign-in", "/enrol", "/approve/P-1"] {
        for cookie in ["lockgate_session=", "lockgate_session=a; lockgate_session=b", "lockgate_session=ended"] {
            assert_eq!(get(path, ("Cookie", cookie)), 200, "{path} {cookie}");
            assert_eq!(get("/", ("Cookie", cookie)), 303, "{cookie}");
        }
        // As a proxy with a password of its own sends it.
        assert_eq!(get(path, ("Authorization", "Basic ZGFuYTpkYW5h")), 401, "{path}");
    }
}

#[test]
fn tokens_and_queries_are_read_strictly() {
    let lockgate = Instance::demo();
    let dana = lockgate.token("dana");
    let whoami =
        |headers: &[(&str, &str)], token: Option<&str>| lockgate.http("GET", "/v1/whoami", token, headers, b"");
    assert_eq!(whoami(&[], Some(&dana)).json()["person"], "dana");
    whoami(&[], None).refused(401, "SIGN_IN_NEEDED");
    whoami(&[], Some("unknown")).refused(401, "TOKEN_UNKNOWN");
    whoami(&[], Some(&dana[..dana.len() - 1])).refused(401, "TOKEN_UNKNOWN");
    whoami(&[], Some(&"x".repeat(300))).refused(401, "TOKEN_INVALID");
    for header in ["Basic ZGFuYTpkYW5h", "bearer", &dana] {
        whoami(&[("Authorization", header)], None).refused(401, "TOKEN_INVALID");
    }
    whoami(&[("Authorization", "Bearer second")], Some(&dana)).refused(401, "TOKEN_INVALID");
    // A session ends when it is told to.
    assert_eq!(lockgate.http("DELETE", "/v1/sessions", Some(&dana), &[], b"").status, 200);
    whoami(&[], Some(&dana)).refused(401, "TOKEN_UNKNOWN");

    let dana = lockgate.token("dana");
    for query in ["limit=1&limit=2", "limit", "limit=-1", "limit=1e3", "limit=%zz", "before=x", "stream=nonsense"] {
        lockgate.get(&format!("/v1/history?{query}"), Some(&dana)).refused(400, "QUERY_INVALID");
    }
    lockgate.get("/v1/diff?from=shop/web@1.0.0", Some(&dana)).refused(400, "QUERY_INVALID");
    lockgate.get("/v1/promotions/3", Some(&dana)).refused(400, "PATH_INVALID");
    lockgate.get("/v1/blobs/sha256:xyz", Some(&dana)).refused(400, "PATH_INVALID");
    lockgate.get("/v1/nothing", Some(&dana)).refused(404, "ROUTE_UNKNOWN");
}

/// A list in the place of an object would say the same in another spelling, and name no field.
#[test]
fn a_body_is_an_object_and_never_a_list() {
    let lockgate = Instance::demo();
    let ask =
        |body: &[u8]| lockgate.http("POST", "/v1/challenges", None, &[("Content-Type", "application/json")], body);
    assert_eq!(ask(br#"{"person":"sam"}"#).status, 200);
    ask(br#"["sam"]"#).refused(400, "JSON_FIELD");
}

/// Whatever is wrong: the status in the body is the status of the reply (RFC 9457, section 3.1.2).
#[test]
fn problem_bodies_agree_with_their_replies() {
    let lockgate = Instance::demo();
    for (method, path) in
        [("GET", "/v1/whoami"), ("GET", "/v1/nothing"), ("PATCH", "/v1/promotions"), ("GET", "/tile/x")]
    {
        let reply = lockgate.http(method, path, None, &[], b"");
        assert!(reply.head.to_lowercase().contains("content-type: application/problem+json"), "{reply:?}");
        let problem = reply.json();
        assert_eq!(problem["status"].as_u64(), Some(u64::from(reply.status)), "{method} {path}: {problem}");
        assert_eq!(text(&problem["type"]), format!("https://lockgate.dev/reasons/{}", reply.code()));
    }
}

/// A challenge is answered once, by the person it was made for, with a key of theirs.
#[test]
fn a_challenge_is_good_for_one_answer() {
    let lockgate = Instance::demo();
    let sign_in = |answer: &Value| lockgate.post("/v1/sessions", None, answer);
    let good = lockgate.answer("dana", &lockgate.key("dana"));
    assert_eq!(sign_in(&good).status, 200);
    sign_in(&good).refused(401, "SIGN_IN_FAILED");
    sign_in(&lockgate.answer("dana", &lockgate.key("sam"))).refused(401, "SIGN_IN_FAILED");
    let mut another = lockgate.answer("dana", &lockgate.key("dana"));
    another["person"] = json!("sam");
    sign_in(&another).refused(401, "SIGN_IN_FAILED");
    // Neither the challenge nor the answer to it tells who is enrolled.
    sign_in(&lockgate.answer("nobody-known", &lockgate.key("sam"))).refused(401, "SIGN_IN_FAILED");
    // The one-time code was for the first owner.
    assert_ne!(lockgate.post("/v1/setup", None, &json!({})).status, 200);
}

#[test]
fn a_repeated_request_gets_the_same_reply() {
    let lockgate = Instance::demo();
    let (ci, dana) = (lockgate.token("ci"), lockgate.token("dana"));
    assert_eq!(lockgate.http("PUT", "/v1/blobs", Some(&ci), &[], b"bytes").status, 200);
    let artifact = json!({ "digest": Digest::of(b"bytes"), "name": "a", "size_bytes": 5 });
    let publish = |token: &str, version: &str, key: &str| {
        let body = json!({ "release": format!("shop/web@{version}"), "artifacts": [&artifact] }).to_string();
        lockgate.http("POST", "/v1/releases", Some(token), &[("Idempotency-Key", key)], body.as_bytes())
    };
    let first = publish(&ci, "1.0.0", "one").json();
    let entries = lockgate.entries();
    let again = publish(&ci, "1.0.0", "one").json();
    assert_eq!((&first["logged"]["index"], &first["result"]), (&again["logged"]["index"], &again["result"]));
    assert_eq!((&first["logged"]["repeated"], &again["logged"]["repeated"]), (&json!(false), &json!(true)));
    publish(&ci, "1.0.1", "one").refused(409, "IDEMPOTENCY_MISMATCH");
    assert_eq!(lockgate.entries(), entries);
    // A key is its caller's own.
    let other = publish(&dana, "1.0.1", "one").json();
    assert_eq!(other["logged"]["repeated"], false);
    for key in ["", " ", "a b", &"k".repeat(129)] {
        publish(&ci, "1.0.2", key).refused(400, "IDEMPOTENCY_KEY_INVALID");
    }
    lockgate.stop();
    lockgate.start(&[]).exits(0);
    assert_eq!(publish(&ci, "1.0.0", "one").json()["logged"]["repeated"], true, "a restart forgets nothing");
}

/// An open event stream with all that has come on it.
struct Events {
    stream: TcpStream,
    raw: Vec<u8>,
}

impl Events {
    fn open(lockgate: &Instance, query: &str, token: &str, more: &str) -> Self {
        let mut stream = lockgate.connect();
        let head =
            format!("GET /v1/events{query} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n{more}\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        Self { stream, raw: Vec::new() }
    }

    /// Reads until the event of this index has come; gives all since the connection was opened.
    fn until(&mut self, last: u64) -> Vec<(u64, Value)> {
        let mut piece = vec![0u8; 64 * 1024];
        loop {
            let events = parse_events(&unchunked(&self.raw));
            if events.last().is_some_and(|(index, _)| *index >= last) {
                return events;
            }
            let count = self.stream.read(&mut piece).unwrap();
            assert!(count > 0, "the stream ended after {} events", events.len());
            self.raw.extend_from_slice(&piece[..count]);
        }
    }
}

/// The body of a chunked reply, as far as it has come in whole chunks (RFC 9112, section 7.1).
fn unchunked(raw: &[u8]) -> String {
    let find = |bytes: &[u8], end: &[u8]| bytes.windows(end.len()).position(|window| window == end);
    let Some(head) = find(raw, b"\r\n\r\n") else { return String::new() };
    let (mut rest, mut body) = (&raw[head + 4..], Vec::new());
    while let Some(end) = find(rest, b"\r\n") {
        let size = usize::from_str_radix(&String::from_utf8_lossy(&rest[..end]), 16).unwrap();
        // A chunk ends with a line break of its own.
        let Some(chunk) = rest.get(end + 2..end + 4 + size) else { break };
        body.extend_from_slice(&chunk[..size]);
        rest = &rest[end + 4 + size..];
    }
    String::from_utf8(body).unwrap()
}

fn parse_events(body: &str) -> Vec<(u64, Value)> {
    let event = |block: &str| {
        let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
        // How far the stream has come is told beside the entries.
        let told = field("event: ")?;
        (told != "size").then_some(())?;
        Some((field("id: ")?.parse().unwrap(), serde_json::from_str(field("data: ")?).unwrap()))
    };
    let whole = body.rfind("\n\n").map_or("", |end| &body[..end]);
    whole.split("\n\n").filter_map(event).collect()
}

#[test]
fn events_come_in_order_and_without_gaps() {
    let lockgate = Instance::granted();
    let dana = lockgate.token("dana");
    let size = lockgate.entries();
    let mut live = Events::open(&lockgate, "?from=0", &dana, "");
    let past = live.until(size - 1);
    assert!(past.is_sorted_by(|older, newer| older.0 < newer.0));

    // Together with the leaves of attestations, which an event names, they are the whole ledger.
    let mut indices: BTreeSet<u64> = past.iter().map(|(index, _)| *index).collect();
    let mut streams: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for (index, entry) in &past {
        for issued in entry["event"]["body"]["issued"].as_array().into_iter().flatten() {
            indices.insert(issued["leaf"].as_u64().unwrap());
        }
        for link in entry["streams"].as_array().unwrap() {
            let name = text(&link["stream"]);
            let (seq, prev) = (link["seq"].as_u64().unwrap(), link["prev"].as_u64());
            let before = streams.insert(name.clone(), (seq, *index));
            let wanted = before.map_or((0, None), |(seq, index)| (seq + 1, Some(index)));
            assert_eq!((seq, prev), wanted, "entry {index} in stream {name}");
        }
    }
    assert_eq!(indices, (0..size).collect());
    assert!(streams.contains_key("governance") && streams.contains_key("release:shop/web@1.4.2"));

    // What happens next comes on the same connection, and on one that resumes.
    lockgate.push("1.5.0", "trivy.json").exits(0);
    let newest = lockgate.entries() - 1;
    let all = live.until(newest);
    assert_eq!(all[..past.len()], past[..]);
    let last = past.last().unwrap().0;
    let mut resumed = Events::open(&lockgate, "?from=0", &dana, &format!("Last-Event-ID: {last}\r\n"));
    assert_eq!(resumed.until(newest), all[past.len()..]);
}

#[test]
fn anyone_can_rebuild_the_root_from_the_log() {
    let lockgate = Instance::granted();
    let ci = lockgate.token("ci");
    assert_eq!(lockgate.http("PUT", "/v1/blobs", Some(&ci), &[], b"bytes").status, 200);
    for number in 0..u64::from(TILE_WIDTH) {
        let artifact = json!({ "digest": Digest::of(b"bytes"), "name": "a", "size_bytes": 5 });
        let body = json!({ "release": format!("shop/n{number}@1.0.0"), "artifacts": [artifact] });
        assert_eq!(lockgate.post("/v1/releases", Some(&ci), &body).status, 200);
    }
    let checkpoint = lockgate.get("/checkpoint", None).body;
    let (signed, _) = lockgate.trust().open_checkpoint(&checkpoint).unwrap();
    let size = signed.checkpoint.size;
    assert!(size.0 > u64::from(TILE_WIDTH));

    let mut tree = Tree::empty();
    let mut index = 0;
    while let Some(width) = width_at(size, 0, index) {
        let path = format!("/{}", EntryBundleId::new(index, width).unwrap().path());
        let bundle = lockgate.get(&path, None);
        assert_eq!(bundle.status, 200, "{path}");
        for entry in decode_bundle(&bundle.body, &Limits::DEFAULT).unwrap() {
            tree.append(leaf_hash(&entry));
        }
        index += 1;
    }
    assert_eq!((tree.size(), tree.root()), (size, signed.checkpoint.root));
    // The tiles hold the same tree.
    let own: BTreeMap<(u8, u64), Vec<u8>> =
        tree.take_tiles().into_iter().map(|tile| ((tile.level, tile.index), tile.hashes)).collect();
    let mut tiles = 0;
    for id in tiles_for(size) {
        let tile = lockgate.get(&format!("/{}", id.path()), None);
        assert_eq!(tile.status, 200, "{id}");
        assert_eq!(Some(&tile.body), own.get(&(id.level(), id.index())), "{id}");
        tiles += 1;
    }
    assert!(tiles >= 3, "{tiles} tiles");

    let beyond = EntryBundleId::new(index, 1).unwrap().path();
    for (path, status, code) in [
        (format!("/{beyond}"), 404, "TILE_UNKNOWN"),
        ("/tile/5/000.p/1".to_owned(), 404, "TILE_UNKNOWN"),
        ("/tile/entries/x".to_owned(), 400, "TILE_INVALID"),
        ("/tile/../../etc/passwd".to_owned(), 400, "TILE_INVALID"),
    ] {
        lockgate.get(&path, None).refused(status, code);
    }
    assert_eq!(TreeSize(lockgate.entries()), size, "reading writes nothing");
}

/// Someone who connects and says nothing, or only half of it, does not stay.
#[test]
fn a_silent_connection_is_closed() {
    let lockgate = Instance::demo();
    let mut connections: Vec<TcpStream> = Vec::new();
    for said in ["", "GET / HTTP/1.1\r\nHos"] {
        let mut stream = lockgate.connect();
        stream.set_read_timeout(Some(Duration::from_secs(25))).unwrap();
        stream.write_all(said.as_bytes()).unwrap();
        connections.push(stream);
    }
    for mut stream in connections {
        let mut left = Vec::new();
        let closed = stream.read_to_end(&mut left).map_err(|error| error.kind());
        assert!(matches!(closed, Ok(_) | Err(std::io::ErrorKind::ConnectionReset)), "{closed:?}");
    }
    assert_eq!(lockgate.get("/healthz", None).status, 200);
}

/// Who somebody is says their token, and nothing that a proxy could have added or a caller can write.
#[test]
fn headers_that_name_somebody_are_ignored() {
    let lockgate = Instance::demo();
    let dana = lockgate.token("dana");
    let names: [&[(&str, &str)]; 6] = [
        &[("X-Forwarded-User", "sam")],
        &[("X-WEBAUTH-USER", "sam"), ("X-WEBAUTH-USER", "sam")],
        &[("X-Forwarded-For", "192.0.2.7")],
        &[("X-Real-IP", "192.0.2.7"), ("Forwarded", "for=192.0.2.7;by=sam")],
        &[("Remote-User", "sam"), ("X-Remote-User", "sam"), ("X-Forwarded-Email", "sam@example.com")],
        &[("Cookie", "session=sam; user=sam")],
    ];
    for headers in names {
        let whoami = |token: Option<&str>| lockgate.http("GET", "/v1/whoami", token, headers, b"");
        whoami(None).refused(401, "SIGN_IN_NEEDED");
        assert_eq!(whoami(Some(&dana)).json()["person"], "dana", "{headers:?}");
    }
    // What is recorded is the socket's own address and the token's own person.
    let log = lockgate.json(&["access", "log", "--action", "whoami", "--limit", "12", "--as", "sam"], 0);
    let items = log["items"].as_array().unwrap();
    assert!(items.len() >= 12, "{log}");
    for item in items {
        assert_eq!(item["address"], "127.0.0.1", "{item}");
    }
    assert!(items.iter().any(|item| item["principal"] == "-" && item["code"] == "SIGN_IN_NEEDED"), "{log}");
    assert!(items.iter().any(|item| item["principal"] == "dana" && item["outcome"] == "allowed"), "{log}");
}

#[test]
fn other_sites_cannot_write_through_a_browser() {
    let lockgate = Instance::demo();
    let dana = lockgate.token("dana");
    let own = lockgate.url();
    let post = |headers: &[(&str, &str)]| lockgate.http("POST", "/v1/promotions", Some(&dana), headers, b"{}");
    let foreign: [&[(&str, &str)]; 4] = [
        &[("Origin", "https://evil.example"), ("Content-Type", "text/plain")],
        &[("Origin", "null")],
        &[("Sec-Fetch-Site", "cross-site")],
        &[("Sec-Fetch-Site", "same-site")],
    ];
    for headers in foreign {
        post(headers).refused(403, "CSRF");
        let challenge = lockgate.http("POST", "/v1/challenges", None, headers, b"{\"person\":\"sam\"}");
        challenge.refused(403, "CSRF");
    }
    post(&[]).refused(400, "JSON_FIELD");
    // The test's own requests say `Host: localhost`.
    post(&[("Origin", "http://localhost"), ("Sec-Fetch-Site", "same-origin")]).refused(400, "JSON_FIELD");
    post(&[("Origin", &own)]).refused(403, "CSRF");
    // Nothing here may be read by other sites: no reply carries a permission to.
    let reply = lockgate.http("OPTIONS", "/v1/promotions", None, &[("Origin", "https://evil.example")], b"");
    assert!(!reply.head.to_lowercase().contains("access-control-"), "{reply:?}");
}

/// `Limits::header_bytes` holds on the wire: more is answered with 431, and the connection ends.
#[test]
fn a_header_block_has_a_size() {
    let lockgate = Instance::demo();
    let most = Limits::DEFAULT.header_bytes;
    let send = |total: usize| {
        let (start, end) = ("GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Long: ", "\r\nConnection: close\r\n\r\n");
        let filler = "x".repeat(total - start.len() - end.len());
        lockgate.raw(format!("{start}{filler}{end}").as_bytes()).status
    };
    assert_eq!(send(most / 2), 200);
    assert_eq!(send(most - 64), 200);
    assert_eq!(send(most + 16), 431);
    let many: String = (0..=Limits::DEFAULT.header_count).map(|number| format!("X-{number}: 1\r\n")).collect();
    assert_eq!(lockgate.raw(format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\n{many}\r\n").as_bytes()).status, 431);
    // Whoever sends megabytes of it gets no answer worth having, and the server goes on.
    let mut stream = lockgate.connect();
    let flood = format!("GET /healthz HTTP/1.1\r\nX-Long: {}", "x".repeat(4 * 1024 * 1024));
    let _ = stream.write_all(flood.as_bytes());
    let mut left = Vec::new();
    let _ = stream.read_to_end(&mut left);
    assert!(left.is_empty() || left.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&left));
    assert_eq!(lockgate.get("/healthz", None).status, 200);
}

/// Whoever asks too much is told to wait; whoever is signed in goes on.
#[test]
fn floods_are_told_to_wait() {
    let lockgate = Instance::demo();
    let dana = lockgate.token("dana");
    let mut stream = lockgate.connect();
    let (began, count) = (std::time::Instant::now(), 2_000);
    let mut requests = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(count - 1);
    requests.push_str("GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let mut writer = stream.try_clone().unwrap();
    let replies = std::thread::scope(|scope| {
        scope.spawn(move || writer.write_all(requests.as_bytes()).unwrap());
        let mut replies = String::new();
        stream.read_to_string(&mut replies).unwrap();
        replies
    });
    let (served, limited) = (replies.matches("HTTP/1.1 200").count(), replies.matches("HTTP/1.1 429").count());
    assert_eq!(served + limited, count);
    assert!(served >= 400 && limited > 0, "{served} served, {limited} limited");
    assert!(replies.to_lowercase().contains("retry-after: 1"));
    assert!(replies.contains("\"code\":\"RATE_LIMITED\""));
    let whoami = lockgate.get("/v1/whoami", Some(&dana));
    assert_eq!(whoami.status, 200, "{whoami:?}");
    // Of what was refused for that, one a second is recorded: nobody fills a disk with it.
    let secs = usize::try_from(began.elapsed().as_secs()).unwrap();
    let sam = lockgate.token("sam");
    let page = lockgate.get("/v1/access?action=health&outcome=refused&limit=500", Some(&sam)).json();
    let recorded = page["items"].as_array().unwrap().iter().filter(|item| item["code"] == "RATE_LIMITED").count();
    assert!((1..=secs + 2).contains(&recorded), "{recorded} of {limited} recorded in {secs} s");
}

/// Wrong answers are told to wait, longer each time; the right one is never refused because of them.
#[test]
fn guessing_locks_nobody_out() {
    let lockgate = Instance::demo();
    let mut codes = Vec::new();
    for _ in 0..20 {
        let wrong = lockgate.answer("sam", &lockgate.key("dana"));
        codes.push(lockgate.post("/v1/sessions", None, &wrong).code());
    }
    assert!(codes.starts_with(&["SIGN_IN_FAILED".to_owned()]), "{codes:?}");
    assert_eq!(codes.last().map(String::as_str), Some("RATE_LIMITED"));
    let good = lockgate.answer("sam", &lockgate.key("sam"));
    assert_eq!(lockgate.post("/v1/sessions", None, &good).status, 200);
    // Neither do challenges that nobody answers.
    let early = lockgate.answer("sam", &lockgate.key("sam"));
    for _ in 0..60 {
        assert_eq!(lockgate.post("/v1/challenges", None, &json!({ "person": "sam" })).status, 200);
    }
    assert_eq!(lockgate.post("/v1/sessions", None, &early).status, 200);
}
