//! What an attack story leaves in the logs, judged when it is told: every request that came to a route is recorded,
//! each record is one line of what may stand in a log for ever, and nothing secret of any request stands in either log.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;

use lockgate_api::{ROUTES, Route};
use lockgate_ledger::access_log::{AccessEntry, FIELD_BYTES};
use lockgate_model::PersonId;
use rusqlite::Connection;
use serde_json::Value;

use crate::instance::{Instance, Reply, copy_dir};

/// Fields of bodies that are for nobody but who they are sent to.
const SECRET_FIELDS: [&str; 8] =
    ["signature", "granted_signature", "asked_signature", "challenge", "token", "verifier", "password", "document"];
/// What is shorter may stand somewhere by chance.
const SECRET_BYTES: usize = 16;
/// Actions that are no route's.
const OTHER_ACTIONS: [&str; 2] = ["unknown", "access-log.behind"];

/// What a story asked of its server, and what was secret in it.
#[derive(Default)]
pub struct Heard {
    asked: Vec<(&'static Route, u16)>,
    secrets: BTreeSet<String>,
}

impl Heard {
    /// This must stand in no log; of several lines, none.
    pub fn secret(&mut self, given: &str) {
        let lines = given.lines().map(str::trim);
        let lines = lines.filter(|line| line.len() >= SECRET_BYTES && !line.starts_with("-----"));
        self.secrets.extend(lines.map(str::to_owned));
    }

    /// A request that was answered, with what came along.
    pub fn note(&mut self, request: &str, token: Option<&str>, headers: &[(&str, &str)], body: &[u8], reply: &Reply) {
        self.secret(token.unwrap_or_default());
        for (name, value) in headers {
            match name.to_ascii_lowercase().as_str() {
                "authorization" => self.secret(value.rsplit(' ').next().unwrap_or_default()),
                "cookie" => {
                    let cookies = value.split(';').filter_map(|cookie| cookie.split_once('='));
                    for (_, session) in cookies.filter(|(name, _)| name.contains("session")) {
                        self.secret(session);
                    }
                }
                _ => {}
            }
        }
        if let Ok(document) = serde_json::from_slice::<Value>(body) {
            self.fields(&document);
        }
        // A flood is not recorded request by request, and what is no HTTP never comes to a route.
        let is_unread = reply.status == 400 && reply.body.is_empty();
        let came = !(matches!(reply.status, 429 | 431) || is_unread);
        if let Some(route) = route_of(request).filter(|_| came) {
            self.asked.push((route, reply.status));
        }
    }

    fn fields(&mut self, document: &Value) {
        match document {
            Value::Array(items) => items.iter().for_each(|item| self.fields(item)),
            Value::Object(fields) => {
                for (name, value) in fields {
                    match value.as_str() {
                        Some(given) if SECRET_FIELDS.contains(&name.as_str()) => self.secret(given),
                        _ => self.fields(value),
                    }
                }
            }
            _ => {}
        }
    }
}

/// The route that a request is for.
fn route_of(request: &str) -> Option<&'static Route> {
    let (method, target) = request.split_once(' ')?;
    let path = target.split('?').next()?;
    ROUTES.iter().find(|route| route.method == method && fits(route.path, path))
}

fn fits(pattern: &str, path: &str) -> bool {
    let (mut wanted, mut found) = (pattern.split('/'), path.split('/'));
    loop {
        match (wanted.next(), found.next()) {
            (None, None) => return true,
            (Some(part), Some(given)) if part.starts_with("{*") => return !given.is_empty(),
            (Some(part), Some(given)) if part.starts_with('{') && !given.is_empty() => {}
            (Some(part), Some(given)) if part == given => {}
            _ => return false,
        }
    }
}

/// Reads both logs of a server that has stopped.
pub fn judge(lockgate: &Instance, heard: &Heard, label: &str) {
    let told = fs::read(lockgate.home().join("server.log")).unwrap_or_default();
    let told = String::from_utf8_lossy(&told);
    for line in told.lines() {
        assert!(!line.chars().any(|c| c.is_control() && c != '\t'), "{label}: the server's log holds {line:?}");
    }
    check_no_secret(&told, heard, &format!("{label}: the server's log"));

    let lines = lines_of(lockgate);
    let mut found: BTreeMap<(String, u16), usize> = BTreeMap::new();
    for line in &lines {
        let text = String::from_utf8_lossy(line);
        let entry = AccessEntry::from_bytes(line).unwrap_or_else(|error| panic!("{label}: {text}: {}", error.message));
        let wrong = wrong_with(&entry);
        assert!(wrong.is_empty(), "{label}: {wrong:?} of a record: {text}");
        assert!(text.chars().all(|c| c == ' ' || c.is_ascii_graphic()), "{label}: a record is not one line: {text:?}");
        check_no_secret(&text, heard, &format!("{label}: the access log"));
        *found.entry((entry.action, entry.status)).or_default() += 1;
    }
    // A log that was exchanged or damaged on purpose holds what it holds.
    if lockgate.is_tampered() {
        return;
    }
    let mut asked: BTreeMap<(String, u16), usize> = BTreeMap::new();
    for (route, status) in &heard.asked {
        *asked.entry((route.event.to_owned(), *status)).or_default() += 1;
    }
    for (what, count) in asked {
        let recorded = found.get(&what).copied().unwrap_or(0);
        assert!(recorded >= count, "{label}: {count} requests, {recorded} records: {what:?}");
    }
}

fn check_no_secret(text: &str, heard: &Heard, place: &str) {
    for secret in &heard.secrets {
        assert!(!text.contains(secret.as_str()), "{place} holds a secret: {secret}");
    }
}

/// The records, oldest first, of a copy: nothing is opened that belongs to the server.
fn lines_of(lockgate: &Instance) -> Vec<Vec<u8>> {
    let data = lockgate.home().join("data/access");
    if !data.join("ledger.db").exists() {
        return Vec::new();
    }
    let copy = lockgate.file("access-log-judged");
    copy_dir(&data, &copy);
    let connection = Connection::open(copy.join("ledger.db")).unwrap();
    let mut statement = connection.prepare("SELECT bytes FROM entry ORDER BY idx").unwrap();
    let rows = statement.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap();
    rows.map(|row| row.unwrap()).collect()
}

/// The fields of a record that hold what has no place there.
fn wrong_with(entry: &AccessEntry) -> Vec<&'static str> {
    let is_code = |code: &String| code.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    let is_id = |id: &String| id.len() == 8 && id.chars().all(|c| c.is_ascii_hexdigit());
    let is_action = |action: &str| OTHER_ACTIONS.contains(&action) || ROUTES.iter().any(|route| route.event == action);
    let is_kept = |c: char| c.is_ascii_alphanumeric() || " -._/@:+".contains(c);
    let checks = [
        ("principal", entry.principal == "-" || entry.principal.parse::<PersonId>().is_ok()),
        ("address", entry.address == "-" || entry.address.parse::<IpAddr>().is_ok()),
        ("action", is_action(&entry.action)),
        ("object", entry.object.len() <= FIELD_BYTES && entry.object.chars().all(is_kept)),
        ("code", entry.code.as_ref().is_none_or(is_code)),
        ("session", entry.session.as_ref().is_none_or(is_id)),
    ];
    checks.iter().filter(|(_, good)| !good).map(|(name, _)| *name).collect()
}

#[test]
fn a_record_that_holds_more_than_it_may_is_noticed() {
    let record = |change: fn(&mut AccessEntry)| {
        let mut entry = AccessEntry {
            schema: AccessEntry::SCHEMA.to_owned(),
            time: lockgate_model::UnixMillis(1),
            principal: "dana".to_owned(),
            address: "127.0.0.1".to_owned(),
            action: "promotions.show".to_owned(),
            object: "P-3".to_owned(),
            outcome: lockgate_ledger::access_log::AccessOutcome::Refused,
            status: 403,
            code: Some("NOT_PERMITTED".to_owned()),
            session: Some("0123abcd".to_owned()),
        };
        change(&mut entry);
        wrong_with(&entry)
    };
    assert_eq!(record(|_| {}), Vec::<&str>::new());
    assert_eq!(record(|entry| entry.principal = "Dana?".to_owned()), ["principal"]);
    assert_eq!(record(|entry| entry.address = "localhost".to_owned()), ["address"]);
    assert_eq!(record(|entry| entry.action = "promotions.made-up".to_owned()), ["action"]);
    assert_eq!(record(|entry| entry.object = "P-3\n{}".to_owned()), ["object"]);
    assert_eq!(record(|entry| entry.object = "\u{1b}[31m".to_owned()), ["object"]);
    assert_eq!(record(|entry| entry.code = Some("why not".to_owned())), ["code"]);
    assert_eq!(record(|entry| entry.session = Some("0123abcd4567".to_owned())), ["session"]);
}

#[test]
fn requests_are_known_by_their_routes() {
    let check = |request: &str, expected: Option<&str>| {
        assert_eq!(route_of(request).map(|route| route.name), expected, "{request}");
    };
    check("GET /v1/promotions/P-3", Some("why"));
    check("GET /v1/promotions/P-3/document?verdict=approve", Some("approval-document"));
    check("GET /", Some("page-pipeline"));
    check("GET /tile/../../ledger.db", Some("tile"));
    check("GET /v1/services/shop/web", Some("service"));
    check("GET /v1/services/", None);
    check("PATCH /v1/promotions", None);
    check("GET /v1/promotions//bundle", None);
}
