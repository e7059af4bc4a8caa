//! Every route with every kind of caller, held against the reviewed file `tests/attacks/routes.toml`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use lockgate_api::routes::BodyLimit;
use lockgate_api::step_up::step_up;
use lockgate_api::{Access, ROUTES, Route};
use lockgate_ledger::change::standing_bytes;
use lockgate_ledger::governance::ENROLMENT_NAMESPACE;
use lockgate_model::{Digest, EntryIndex};
use lockgate_sign::ssh_signer::{FileSigner, SshSigner as _};
use rusqlite::Connection;
use serde::Deserialize;
use serde_json::json;

use crate::instance::{Instance, Reply, artifact, text};

/// A developer of another service: the same role, elsewhere.
const OTHERS: &str = "[group.others]
description = \"Developers of another service\"

[[bindings]]
role = \"developer\"
groups = [\"others\"]
services = [\"other/*\"]

[group.auditors]";

/// The callers whose token counts.
const KNOWN: [&str; 4] = ["ci", "dana", "sam", "other"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reviewed {
    may: BTreeMap<String, Vec<String>>,
    hidden: Vec<Exception>,
    exception: Vec<Exception>,
    /// What a session alone is enough for.
    enough: Vec<Exception>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exception {
    routes: Vec<String>,
    caller: String,
    status: Option<u16>,
    reason: String,
}

impl Exception {
    fn is_for(&self, route: &Route, caller: &str) -> bool {
        (self.caller == "*" || self.caller == caller) && self.routes.iter().any(|name| name == route.name)
    }
}

fn reviewed() -> Reviewed {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/attacks/routes.toml");
    let reviewed: Reviewed = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for line in reviewed.hidden.iter().chain(&reviewed.exception).chain(&reviewed.enough) {
        assert!(!line.reason.is_empty());
        for name in &line.routes {
            assert!(ROUTES.iter().any(|route| route.name == name), "there is no route `{name}`");
        }
    }
    reviewed
}

/// A path that a route's pattern matches.
fn example(route: &Route) -> String {
    let digest = Digest::of(&artifact("1.4.2")).to_string();
    let part = |part: &str| match part {
        "{*path}" => "0/000.p/1".to_owned(),
        "{digest}" => digest.clone(),
        "{id}" => "P-3".to_owned(),
        "{person}" => "dana".to_owned(),
        "{permission}" => "approve".to_owned(),
        other if other.starts_with('{') => "1".to_owned(),
        other => other.to_owned(),
    };
    route.path.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// A request that is permitted or not, and otherwise as empty as can be. Where too much is asked at once, it waits.
fn call(lockgate: &Instance, route: &Route, token: Option<&str>) -> Reply {
    let body: &[u8] = if route.body == BodyLimit::None { b"" } else { b"{}" };
    for _ in 0..200 {
        let reply = lockgate.http(route.method, &example(route), token, &[], body);
        if reply.status != 429 {
            return reply;
        }
        std::thread::park_timeout(Duration::from_millis(50));
    }
    panic!("{} {} is never served", route.method, route.path)
}

fn enrol(lockgate: &Instance, name: &str, group: &str) -> String {
    let (key, request) = (format!("{name}.key"), format!("{name}.json"));
    lockgate.run(&["key", "generate", &key]).exits(0);
    lockgate.run(&["key", "enrol", name, "--group", group, "--key", &key, "--file", &request]).exits(0);
    lockgate.run(&["invite", &request, "--as", "sam", "--yes"]).exits(0);
    lockgate.token_by(name, &lockgate.file(&key))
}

fn suspend(lockgate: &Instance, name: &str) {
    let sam = lockgate.token("sam");
    let people = lockgate.get("/v1/people", Some(&sam)).json();
    let row = people.as_array().unwrap().iter().find(|row| row["person"] == name).unwrap().clone();
    let standing = row["standing_at"].as_u64().unwrap();
    let ledger = text(&lockgate.get("/v1/server", None).json()["origin"]);
    let bytes = standing_bytes(&ledger, &name.parse().unwrap(), true, EntryIndex(standing), "left").unwrap();
    let signature = FileSigner::load(&lockgate.key("sam")).unwrap().sign(ENROLMENT_NAMESPACE, &bytes).unwrap();
    let body = json!({
        "person": name, "previous_at": standing, "reason": "left", "by": "sam", "signature": signature.to_armored(),
    });
    let reply = lockgate.post("/v1/people/suspensions", Some(&sam), &body);
    assert_eq!(reply.status, 200, "{reply:?}");
}

/// Makes somebody's newest session as old as can be, behind the stopped server's back.
fn expire(lockgate: &Instance, person: &str) {
    lockgate.stop();
    let database = Connection::open(lockgate.home().join("data/ledger.db")).unwrap();
    let sql = "UPDATE session SET created = 1, last_used = 1, expires = 2, seal = NULL
               WHERE rowid = (SELECT rowid FROM session WHERE subject = ?1 ORDER BY created DESC LIMIT 1)";
    assert_eq!(database.execute(sql, [person]).unwrap(), 1);
    drop(database);
    lockgate.start(&[]).exits(0);
}

#[test]
fn every_route_asks_who_may_call_it() {
    let reviewed = reviewed();
    let lockgate = Instance::new();
    lockgate.policy("routes", &[("people.toml", "[group.auditors]", OTHERS)]);
    lockgate.start(&["--demo", "--policy", "routes"]).exits(0);
    lockgate.push("1.4.2", "trivy.json").exits(0);
    lockgate.promote("1.4.2").exits(5);
    enrol(&lockgate, "other", "others");
    let suspended = enrol(&lockgate, "gone", "approvers");
    let revoked = enrol(&lockgate, "lost", "approvers");
    let expired = lockgate.token("dana");
    expire(&lockgate, "dana");
    suspend(&lockgate, "gone");
    let fingerprint = FileSigner::load(&lockgate.file("lost.key")).unwrap().public_key().fingerprint();
    let revoke = ["key", "revoke", "lost", "--fingerprint", &fingerprint, "--reason", "lost", "--yes", "--as", "sam"];
    lockgate.run(&revoke).exits(0);

    let token_of = |person: &str| match person {
        "other" => lockgate.token_by("other", &lockgate.file("other.key")),
        person => lockgate.token(person),
    };
    let tokens: BTreeMap<&str, String> = KNOWN.iter().map(|person| (*person, token_of(person))).collect();
    let strangers = [
        ("nobody", None),
        ("a stranger", Some("made-up")),
        ("suspended", Some(suspended.as_str())),
        ("a revoked key", Some(revoked.as_str())),
        ("an expired session", Some(expired.as_str())),
    ];
    let entries = lockgate.entries();
    let (mut tried, mut permissions) = (0, BTreeSet::new());
    for route in ROUTES {
        for (who, token) in strangers {
            tried += 1;
            let reply = call(&lockgate, route, token);
            let label = format!("{} {} as {who}: {reply:?}", route.method, route.path);
            match route.access == Access::Public {
                true => assert!(!matches!(reply.status, 401 | 403) && reply.status < 500, "{label}"),
                // A page leads to where one signs in.
                false => assert_eq!(reply.status, if route.is_page() { 303 } else { 401 }, "{label}"),
            }
        }
        for person in KNOWN {
            tried += 1;
            // The token that signs itself out is spent.
            let spent = (route.name == "sign-out").then(|| token_of(person));
            let reply = call(&lockgate, route, Some(spent.as_ref().unwrap_or(&tokens[person]).as_str()));
            match route.access {
                Access::Public | Access::SignedIn => {}
                Access::Permission(name) => {
                    permissions.insert(name);
                }
                Access::AnyOf(names) => permissions.extend(names.iter().copied()),
            }
            check(&reviewed, route, person, &reply);
        }
    }
    let known: BTreeSet<&str> = reviewed.may.keys().map(String::as_str).collect();
    assert!(permissions.is_subset(&known) && !permissions.is_empty(), "{permissions:?}");
    assert_eq!(lockgate.entries(), entries, "an empty request wrote something");
    println!("{} routes x {} callers: {tried} requests", ROUTES.len(), KNOWN.len() + strangers.len());
    assert_eq!(tried, ROUTES.len() * 9);
}

/// Whoever adds a write says whether a stolen session is to be enough for it: it asks for more, or it is reviewed.
#[test]
fn every_write_asks_for_more_than_a_session_or_is_reviewed() {
    let reviewed = reviewed();
    let lists = reviewed.enough.iter().flat_map(|line| &line.routes);
    let listed: Vec<&str> = lists.map(String::as_str).collect();
    let is_write = |route: &&Route| !matches!(route.method, "GET" | "HEAD") && route.access != Access::Public;
    let without = ROUTES.iter().filter(is_write).filter(|route| step_up(route.name).is_none());
    let without: BTreeSet<&str> = without.map(|route| route.name).collect();
    assert_eq!(listed.iter().copied().collect::<BTreeSet<&str>>(), without);
    assert_eq!(listed.len(), without.len(), "a route stands twice: {listed:?}");
}

fn check(reviewed: &Reviewed, route: &Route, person: &str, reply: &Reply) {
    let label = format!("{} {} as {person}: {reply:?}", route.method, route.path);
    let special = reviewed.hidden.iter().chain(&reviewed.exception).find(|line| line.is_for(route, person));
    if let Some(status) = special.and_then(|line| line.status) {
        return assert_eq!(reply.status, status, "{label}");
    }
    let may = |name: &str| {
        let who = reviewed.may.get(name).unwrap_or_else(|| panic!("`{name}` is not in routes.toml"));
        who.iter().any(|known| known == person)
    };
    let allowed = match route.access {
        Access::Public | Access::SignedIn => true,
        Access::Permission(name) => may(name),
        Access::AnyOf(names) => names.iter().any(|name| may(name)),
    };
    match allowed {
        true => assert!(!matches!(reply.status, 401 | 403) && reply.status < 500, "{label}"),
        false => {
            assert_eq!(reply.status, 403, "{label}");
            // A page says it as a page.
            let told = match route.is_page() {
                true => String::from_utf8_lossy(&reply.body).contains("<code>NOT_PERMITTED</code>"),
                false => route.method == "HEAD" || reply.code() == "NOT_PERMITTED",
            };
            assert!(told, "{label}");
        }
    }
}
