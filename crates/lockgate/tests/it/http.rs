//! The HTTP API: who may call what, tokens, queries, idempotency, events, and the log that anyone can read.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use lockgate_api::routes::BodyLimit;
use lockgate_api::{Access, ROUTES, Route};
use lockgate_model::{Digest, Limits, TreeSize};
use lockgate_tlog::hash::leaf_hash;
use lockgate_tlog::tile::{EntryBundleId, TILE_WIDTH, decode_bundle, tiles_for, width_at};
use lockgate_tlog::tree::Tree;
use serde_json::{Value, json};

use crate::instance::{Instance, Reply, artifact, text};

/// Who has which permission in a demo.
const MAY: [(&str, &[&str]); 9] = [
    ("read", &["ci", "dana", "sam"]),
    ("push", &["ci", "dana"]),
    ("attest", &["ci", "dana"]),
    ("request", &["ci", "dana"]),
    ("withdraw", &["dana"]),
    ("rollback", &["dana"]),
    ("keys", &["sam"]),
    ("policy", &["sam"]),
    ("waive", &["sam"]),
];

/// A path that a route's pattern matches.
fn example(route: &Route) -> String {
    let digest = Digest::of(&artifact("1.4.2")).to_string();
    route.path.replace("{*path}", "0/000.p/1").replace("{digest}", &digest).replace("{id}", "P-3")
}

/// A request that is permitted or not, and otherwise as empty as can be.
fn call(lockgate: &Instance, route: &Route, token: Option<&str>) -> Reply {
    let body: &[u8] = if route.body == BodyLimit::None { b"" } else { b"{}" };
    lockgate.http(route.method, &example(route), token, &[], body)
}

#[test]
fn every_route_asks_who_may_call_it() {
    let lockgate = Instance::pending();
    let people = ["ci", "dana", "sam"];
    let tokens: BTreeMap<&str, String> = people.iter().map(|person| (*person, lockgate.token(person))).collect();
    let entries = lockgate.entries();
    let mut permissions = BTreeSet::new();
    for route in ROUTES {
        let allowed: &[&str] = match route.access {
            Access::Public | Access::SignedIn => &people,
            Access::Permission(name) => {
                permissions.insert(name);
                MAY.iter().find(|(permission, _)| *permission == name).unwrap_or_else(|| panic!("{name}")).1
            }
        };
        let label = |who: &str, reply: &Reply| format!("{} {} as {who}: {reply:?}", route.method, route.path);
        for (who, token) in [("nobody", None), ("a stranger", Some("made-up"))] {
            let reply = call(&lockgate, route, token);
            let status = if route.access == Access::Public { 200..=499 } else { 401..=401 };
            assert!(status.contains(&reply.status), "{}", label(who, &reply));
            assert!(route.access != Access::Public || !matches!(reply.status, 401 | 403), "{}", label(who, &reply));
        }
        for person in people {
            // The token that signs itself out is spent.
            let spent = (route.name == "sign-out").then(|| lockgate.token(person));
            let reply = call(&lockgate, route, Some(spent.as_ref().unwrap_or(&tokens[person]).as_str()));
            match allowed.contains(&person) {
                true => assert!(!matches!(reply.status, 401 | 403) && reply.status < 500, "{}", label(person, &reply)),
                false => {
                    assert_eq!(reply.status, 403, "{}", label(person, &reply));
                    assert!(route.method == "HEAD" || reply.code() == "NOT_PERMITTED", "{}", label(person, &reply));
                }
            }
        }
    }
    let known: BTreeSet<&str> = MAY.iter().map(|(permission, _)| *permission).collect();
    assert!(permissions.is_subset(&known) && !permissions.is_empty());
    assert_eq!(lockgate.entries(), entries, "an empty request wrote something");
}

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
