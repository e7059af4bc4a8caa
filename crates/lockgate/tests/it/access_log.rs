//! The access log: what was asked for, allowed and refused; that it can be taken along; and that nobody can change it.

use std::fs;
use std::path::{Path, PathBuf};

use lockgate_ledger::access_log::AccessEntry;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::instance::{Instance, Ran, copy_dir, text, until};

/// The newest records that fit, as sam.
fn log(lockgate: &Instance, filter: &[&str]) -> Vec<Value> {
    let reply = lockgate.json(&[&["access", "log", "--as", "sam"][..], filter].concat(), 0);
    reply["items"].as_array().unwrap().clone()
}

fn field(items: &[Value], name: &str) -> Vec<String> {
    items.iter().map(|item| item[name].as_str().unwrap_or("").to_owned()).collect()
}

#[test]
fn what_was_allowed_and_what_was_refused_is_there() {
    let lockgate = Instance::pending();
    let dana = lockgate.token("dana");
    lockgate.get("/v1/promotions/P-3", Some(&dana)).json();
    lockgate.post("/v1/waivers", Some(&dana), &json!({})).refused(403, "NOT_PERMITTED");
    lockgate.get("/v1/whoami", None).refused(401, "SIGN_IN_NEEDED");
    lockgate.get("/v1/whoami", Some("made-up")).refused(401, "TOKEN_UNKNOWN");
    lockgate.get("/v1/nothing?token=secret", None).refused(404, "ROUTE_UNKNOWN");
    lockgate.http("PATCH", "/v1/promotions", None, &[], b"");
    let wrong = lockgate.answer("sam", &lockgate.key("dana"));
    lockgate.post("/v1/sessions", None, &wrong).refused(401, "SIGN_IN_FAILED");

    let shown = log(&lockgate, &["--action", "promotions.show", "--limit", "1"]);
    assert_eq!(shown[0]["principal"], "dana");
    assert_eq!((text(&shown[0]["object"]), text(&shown[0]["outcome"])), ("P-3".to_owned(), "allowed".to_owned()));
    assert_eq!(shown[0]["status"], 200);
    // By this somebody finds the session that did it.
    let (seen, sessions) = (text(&shown[0]["session"]), lockgate.get("/v1/sessions", Some(&dana)).json());
    let ids = sessions.as_array().unwrap().iter().map(|session| text(&session["id"]));
    assert_eq!((seen.len(), ids.filter(|id| id.starts_with(&seen)).count()), (8, 1), "{seen}: {sessions}");
    let refused = log(&lockgate, &["--person", "dana", "--outcome", "refused"]);
    assert_eq!(field(&refused, "code"), ["NOT_PERMITTED"]);
    assert_eq!(field(&refused, "action"), ["waivers.grant"]);
    let nobody = log(&lockgate, &["--person", "-", "--outcome", "refused"]);
    let codes = field(&nobody, "code");
    for code in ["SIGN_IN_FAILED", "METHOD_UNKNOWN", "ROUTE_UNKNOWN", "TOKEN_UNKNOWN", "SIGN_IN_NEEDED"] {
        assert!(codes.iter().any(|found| found == code), "{code}: {codes:?}");
    }
    let failed = nobody.iter().find(|item| item["code"] == "SIGN_IN_FAILED").unwrap();
    assert_eq!((&failed["action"], &failed["object"]), (&json!("sign-in"), &json!("sam")));
    let unknown = nobody.iter().find(|item| item["code"] == "ROUTE_UNKNOWN").unwrap();
    assert_eq!(unknown["object"], "GET /v1/nothing", "without the query");
    // Only an auditor reads it, and that is recorded too.
    lockgate.get("/v1/access", Some(&dana)).refused(403, "NOT_PERMITTED");
    assert!(!log(&lockgate, &["--action", "access.", "--outcome", "refused"]).is_empty());
    lockgate.run(&["audit"]).exits(0).says("access log").says("signed by the log key");
}

#[test]
fn pages_and_times_lead_through_all_of_it() {
    let lockgate = Instance::demo();
    for _ in 0..5 {
        lockgate.get("/healthz", None);
    }
    let sam = lockgate.token("sam");
    let mut found = Vec::new();
    let mut before = String::new();
    loop {
        let page = lockgate.get(&format!("/v1/access?action=health&limit=2{before}"), Some(&sam)).json();
        found.extend(page["items"].as_array().unwrap().iter().map(|item| item["index"].as_u64().unwrap()));
        match page["next"].as_u64() {
            Some(next) => before = format!("&before={next}"),
            None => break,
        }
    }
    assert!(found.len() >= 5 && found.is_sorted_by(|newer, older| newer > older), "{found:?}");
    let newest = log(&lockgate, &["--limit", "1"])[0].clone();
    let time: lockgate_model::UnixMillis = serde_json::from_value(newest["time"].clone()).unwrap();
    let later = lockgate_model::UnixMillis(time.0 + 3_600_000).to_string();
    assert!(log(&lockgate, &["--since", &later]).is_empty());
    assert!(!log(&lockgate, &["--until", &later]).is_empty());
    for query in ["outcome=maybe", "since=yesterday", "before=x", "limit=-1"] {
        lockgate.get(&format!("/v1/access?{query}"), Some(&sam)).refused(400, "QUERY_INVALID");
    }
}

#[test]
fn it_goes_on_after_a_stop_and_after_a_power_cut() {
    let lockgate = Instance::demo();
    lockgate.get("/v1/whoami", Some("before-the-stop"));
    lockgate.stop();
    lockgate.run(&["audit"]).exits(0).says("access log");
    lockgate.start(&[]).exits(0);
    let kept = log(&lockgate, &["--action", "whoami", "--outcome", "refused"]);
    assert_eq!(field(&kept, "code"), ["TOKEN_UNKNOWN"]);
    lockgate.kill();
    lockgate.start(&[]).exits(0);
    assert_eq!(log(&lockgate, &["--action", "whoami", "--outcome", "refused"]), kept);
}

#[test]
fn an_export_is_verified_without_the_server() {
    let lockgate = Instance::granted();
    lockgate.run(&["access", "export", "access.jsonl", "--as", "dana"]).refused(4, "NOT_PERMITTED");
    assert!(!lockgate.file("access.jsonl").exists());
    lockgate.run(&["access", "export", "access.jsonl", "--as", "sam"]).exits(0).says("as signed");
    lockgate.run(&["access", "export", "access.jsonl", "--as", "sam"]).refused(7, "FILE_EXISTS");
    lockgate.stop();
    let verify = |file: &str| lockgate.run(&["access", "verify", file]);
    let report = lockgate.json(&["access", "verify", "access.jsonl"], 0);
    let lines = fs::read_to_string(lockgate.file("access.jsonl")).unwrap();
    assert_eq!(report["entries"].as_u64(), Some(lines.lines().count() as u64));
    for line in lines.lines() {
        AccessEntry::from_bytes(line.as_bytes()).unwrap();
    }
    let checkpoint = fs::read(lockgate.file("access.jsonl.checkpoint")).unwrap();
    let note = String::from_utf8(checkpoint.clone()).unwrap();
    assert!(note.starts_with("access."), "{note}");
    let cut: String = lines.split_inclusive('\n').skip(1).collect();
    let changed = lines.replacen("\"allowed\"", "\"refused\"", 1);
    let more = format!("{lines}{}\n", lines.lines().next().unwrap());
    for (name, bytes) in [("cut", cut), ("changed", changed), ("more", more), ("empty", String::new())] {
        lockgate.write(name, bytes);
        lockgate.write(&format!("{name}.checkpoint"), &checkpoint);
        verify(name).refused(9, "ACCESS_LOG_UNSOUND");
    }
    lockgate.write("forged", &lines);
    lockgate.write("forged.checkpoint", note.replacen("access.", "other.", 1));
    verify("forged").refused(9, "CHECKPOINT_INVALID");
    verify("absent").exits(6);
}

fn copy(lockgate: &Instance, name: &str) -> PathBuf {
    let to = lockgate.file(name);
    copy_dir(&lockgate.home().join("data"), &to);
    to
}

/// Changes the access log past the triggers that guard it, as whoever owns the file can.
fn sql(data: &Path, statements: &str) {
    let connection = Connection::open(data.join("access/ledger.db")).unwrap();
    connection.execute_batch(statements).unwrap();
    assert!(connection.total_changes() > 0, "nothing was changed: {statements}");
}

/// Changes the words of a row, and leaves everything else as it was.
const FLIPPED: &str = "DROP TRIGGER entry_stands; UPDATE entry SET bytes =
    CAST(replace(CAST(bytes AS TEXT), 'TOKEN_UNKNOWN', 'TOKEN_UNKNOWM') AS BLOB)
    WHERE instr(CAST(bytes AS TEXT), 'TOKEN_UNKNOWN');";

/// Whoever asks whether the server is ready does not turn what was found here into doubt of the ledger.
#[test]
fn damage_of_it_is_not_ready_and_stops_nothing() {
    let lockgate = Instance::demo();
    lockgate.get("/v1/whoami", Some("wrong")).refused(401, "TOKEN_UNKNOWN");
    lockgate.tampered();
    let asked = || lockgate.get("/v1/access", Some(&lockgate.token("sam")));
    until("the refusal is recorded", || asked().json().to_string().contains("TOKEN_UNKNOWN"));
    sql(&lockgate.home().join("data"), FLIPPED);
    asked().refused(502, "ENTRY_CHANGED");
    for version in ["1.4.2", "1.4.3"] {
        lockgate.get("/readyz", None).refused(503, "ENTRY_CHANGED");
        lockgate.push(version, "trivy.json").exits(0);
    }
}

fn audit(lockgate: &Instance, data: &Path) -> Ran {
    lockgate.run(&["audit", "--data", &data.display().to_string()])
}

#[test]
fn every_change_of_it_is_named() {
    let lockgate = Instance::granted();
    lockgate.get("/v1/whoami", Some("made-up"));
    lockgate.stop();
    audit(&lockgate, &copy(&lockgate, "untouched")).exits(0);
    let cases = [
        ("flipped", FLIPPED, "TILE_MISMATCH"),
        ("removed", "DROP TRIGGER entry_stays; DELETE FROM entry WHERE idx = 3;", "missing"),
        ("tile", "DROP TRIGGER tile_extends; UPDATE tile SET hashes = zeroblob(length(hashes));", "TILE_MISMATCH"),
        ("head", "DROP TRIGGER head_grows; UPDATE head SET root = zeroblob(32);", "ROOT_MISMATCH"),
        (
            "note",
            "UPDATE checkpoint SET note = CAST(replace(CAST(note AS TEXT), 'access.', 'excess.') AS BLOB);",
            "CHECKPOINT_INVALID",
        ),
        (
            "spelling",
            "DROP TRIGGER entry_stands; UPDATE entry SET bytes = CAST(CAST(bytes AS TEXT) || ' ' AS BLOB) WHERE idx = 2;",
            "ENTRY_INVALID",
        ),
    ];
    for (name, statements, code) in cases {
        let data = copy(&lockgate, name);
        sql(&data, statements);
        audit(&lockgate, &data).refused(9, "AUDIT_FAILED").says("NOT SOUND").says(code);
    }
    // Whoever takes it away, or puts an older one in its place, is noticed where it was seen.
    let gone = copy(&lockgate, "gone");
    fs::remove_dir_all(gone.join("access")).unwrap();
    audit(&lockgate, &gone).refused(9, "AUDIT_FAILED").says("ROLLBACK_DETECTED");
    fs::remove_dir_all(lockgate.home().join("data/access")).unwrap();
    lockgate.tampered();
    lockgate.start(&[]).refused(9, "ACCESS_LOG_ROLLED_BACK");
}

/// A row that is edited under a running server is not shown as if it were what happened, and no server starts on it.
#[test]
fn an_edited_row_is_not_shown() {
    let lockgate = Instance::demo();
    lockgate.get("/v1/whoami", Some("made-up"));
    lockgate.stop();
    lockgate.start(&[]).exits(0);
    sql(&lockgate.home().join("data"), FLIPPED);
    let ran = lockgate.run(&["access", "log", "--limit", "500", "--as", "sam"]).refused(9, "ENTRY_CHANGED");
    assert!(ran.stdout.is_empty(), "{ran}");
    assert!(text(&lockgate.get("/v1/server", None).json()["origin"]).contains('.'));
    lockgate.stop();
    lockgate.tampered();
    lockgate.start(&[]).refused(9, "STORE_CORRUPT");
}
