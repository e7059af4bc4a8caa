//! The audit, on copies of a data directory in which somebody changed something.

use std::fs;
use std::path::{Path, PathBuf};

use lockgate_model::Digest;
use lockgate_store_local::{LocalStore, Options};
use rusqlite::Connection;
use serde_json::json;

use crate::instance::{Instance, Ran, artifact, copy_dir};

/// A stopped instance whose ledger has let 1.4.2 into production.
fn stopped() -> Instance {
    let lockgate = Instance::granted();
    lockgate.stop();
    lockgate
}

fn copy(lockgate: &Instance, name: &str) -> PathBuf {
    let to = lockgate.file(name);
    copy_dir(&lockgate.home().join("data"), &to);
    to
}

fn audit(lockgate: &Instance, data: &Path, more: &[&str]) -> Ran {
    let data = data.display().to_string();
    lockgate.run(&[&["audit", "--data", &data][..], more].concat())
}

/// Changes a database past the triggers that guard it, as whoever owns the file can.
fn sql(data: &Path, statements: &str) {
    let connection = Connection::open(data.join("ledger.db")).unwrap();
    connection.execute_batch(statements).unwrap();
    let changed = connection.total_changes();
    assert!(changed > 0, "nothing was changed: {statements}");
}

fn blob(data: &Path) -> PathBuf {
    blob_of(data, &Digest::of(&artifact("1.4.2")))
}

fn blob_of(data: &Path, digest: &Digest) -> PathBuf {
    let name = digest.hex();
    data.join("blobs/sha256").join(&name[..2]).join(&name[2..4]).join(&name)
}

/// The audit finds this, says where, and ends with exit 9.
#[track_caller]
fn check_alarm(lockgate: &Instance, data: &Path, code: &str, names: &str) {
    let ran = audit(lockgate, data, &[]).refused(9, "AUDIT_FAILED").says("NOT SOUND");
    let start = format!("x {code} ");
    let mut lines = ran.stdout.lines().filter(|line| line.trim_start().starts_with(&start));
    assert!(lines.any(|line| line.contains(names)), "wanted {code} with `{names}`: {ran}");
}

#[test]
fn triggers_stand_in_the_way_of_an_edit() {
    let lockgate = stopped();
    let connection = Connection::open(copy(&lockgate, "guarded").join("ledger.db")).unwrap();
    for statement in [
        "UPDATE entry SET bytes = bytes WHERE idx = 3",
        "DELETE FROM entry WHERE idx = 3",
        "INSERT INTO entry (idx, bytes) VALUES (1000, x'00')",
        "REPLACE INTO entry (idx, bytes) VALUES (3, x'00')",
        "UPDATE head SET size = size - 1",
        "DELETE FROM document",
    ] {
        assert!(connection.execute_batch(statement).is_err(), "{statement}");
    }
}

#[test]
fn edited_rows_are_named() {
    let lockgate = stopped();
    let edit = |name: &str, statements: &str| {
        let data = copy(&lockgate, name);
        sql(&data, statements);
        data
    };
    let replace = "DROP TRIGGER entry_stands; UPDATE entry SET bytes = CAST(replace(CAST(bytes AS TEXT), ";
    let text = edit("text", &format!("{replace}'weekly release', 'secret release') AS BLOB);"));
    check_alarm(&lockgate, &text, "HISTORY_CHANGED", "another root");
    let decision = edit(
        "decision",
        &format!(
            "{replace}'\"pending\"', '\"allow\"') AS BLOB) WHERE instr(CAST(bytes AS TEXT), 'decision.recorded');"
        ),
    );
    check_alarm(&lockgate, &decision, "HISTORY_CHANGED", "another root");
    let swapped = edit(
        "swapped",
        "DROP TRIGGER entry_stands; CREATE TABLE kept AS SELECT * FROM entry;
         UPDATE entry SET bytes = (SELECT bytes FROM kept WHERE kept.idx = 11 - entry.idx) WHERE idx IN (5, 6);
         DROP TABLE kept;",
    );
    check_alarm(&lockgate, &swapped, "STREAM_BROKEN", "entry 5");
    let document = edit(
        "document",
        "DROP TRIGGER document_stands;
         UPDATE document SET bytes = CAST('{}' AS BLOB) WHERE rowid = (SELECT max(rowid) FROM document);",
    );
    check_alarm(&lockgate, &document, "DIGEST_MISMATCH", "sha256:");
    let tile = edit("tile", "DROP TRIGGER tile_extends; UPDATE tile SET hashes = zeroblob(length(hashes));");
    check_alarm(&lockgate, &tile, "TILE_MISMATCH", "tile 0 of level 0");
    let head = edit("head", "DROP TRIGGER head_grows; UPDATE head SET root = zeroblob(32);");
    check_alarm(&lockgate, &head, "ROOT_MISMATCH", "sha256:");
    let stream = edit(
        "stream",
        "DROP TRIGGER stream_entry_stays; DELETE FROM stream_entry WHERE stream_id =
             (SELECT id FROM stream WHERE name = 'governance') AND seq = 2;",
    );
    check_alarm(&lockgate, &stream, "STREAM_INDEX_MISMATCH", "governance");
    let newest = edit("newest", "UPDATE stream SET idx = idx - 1 WHERE name = 'governance';");
    check_alarm(&lockgate, &newest, "STREAM_INDEX_MISMATCH", "the newest entry of `governance`");
    let note = edit("note", "UPDATE checkpoint SET note = CAST(replace(CAST(note AS TEXT), '=', '+') AS BLOB);");
    audit(&lockgate, &note, &[]).exits(9);
    // The original is what it was.
    lockgate.run(&["audit"]).exits(0);
}

/// A hundred of one kind hide no other kind.
#[test]
fn many_problems_hide_none_of_another_kind() {
    let lockgate = Instance::granted();
    for version in ["1.4.3", "1.4.4", "1.4.5", "1.4.6", "1.4.7", "1.4.8"] {
        lockgate.push(version, "trivy.json").exits(0);
        lockgate.promote(version).exits(5);
    }
    lockgate.stop();
    let data = copy(&lockgate, "many");
    sql(&data, "DROP TRIGGER entry_stands; UPDATE entry SET bytes = x'00' WHERE idx > 0;");
    check_alarm(&lockgate, &data, "TILE_MISMATCH", "is not what the entries give");
    check_alarm(&lockgate, &data, "ROOT_MISMATCH", "but the stored head says");
    let listed = audit(&lockgate, &data, &[]).stdout.matches("x ENTRY_INVALID ").count();
    assert!((90..=100).contains(&listed), "{listed} are listed");
}

#[test]
fn removed_entries_are_named() {
    let lockgate = stopped();
    for (name, condition) in [("first", "idx = 0"), ("middle", "idx = 21"), ("last", "idx >= 24")] {
        let data = copy(&lockgate, name);
        sql(&data, &format!("DROP TRIGGER entry_stays; DELETE FROM entry WHERE {condition};"));
        audit(&lockgate, &data, &[]).refused(9, "AUDIT_FAILED").says("NOT SOUND").says("missing");
    }
    let half = copy(&lockgate, "half");
    let length = fs::metadata(half.join("ledger.db")).unwrap().len();
    fs::File::options().write(true).open(half.join("ledger.db")).unwrap().set_len(length / 2).unwrap();
    audit(&lockgate, &half, &[]).exits(9);
    let none = copy(&lockgate, "none");
    fs::remove_file(none.join("ledger.db")).unwrap();
    assert_ne!(audit(&lockgate, &none, &[]).code, 0);
    assert_ne!(audit(&lockgate, Path::new("nowhere"), &[]).code, 0);
}

#[test]
fn changed_and_missing_artifacts_are_named() {
    let lockgate = stopped();
    let changed = copy(&lockgate, "changed");
    let mut bytes = fs::read(blob(&changed)).unwrap();
    bytes[77] ^= 1;
    fs::remove_file(blob(&changed)).unwrap();
    fs::write(blob(&changed), bytes).unwrap();
    check_alarm(&lockgate, &changed, "DIGEST_MISMATCH", &Digest::of(&artifact("1.4.2")).to_string());
    let missing = copy(&lockgate, "missing");
    fs::remove_file(blob(&missing)).unwrap();
    check_alarm(&lockgate, &missing, "BLOB_MISSING", "shop/web@1.4.2");
}

#[test]
fn changed_notes_and_snapshots_of_feeds_are_named() {
    let lockgate = Instance::demo();
    fs::write(lockgate.file("notes.md"), "what is new").unwrap();
    lockgate.push("1.4.2", "trivy.json").exits(0);
    let snapshot = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../evidence/testdata/kev.json")).unwrap();
    lockgate.write("kev.json", snapshot.clone());
    lockgate.run(&["feed", "update", "--kind", "kev", "--file", "kev.json", "--as", "sam"]).exits(0);
    fs::write(lockgate.file("app-1.5.0"), artifact("1.5.0")).unwrap();
    let push = ["push", "app-1.5.0", "--service", "shop/web", "--version", "1.5.0", "--notes", "notes.md"];
    lockgate.run(&push).exits(0);
    lockgate.stop();
    audit(&lockgate, &copy(&lockgate, "untouched"), &[]).exits(0);
    let notes = Digest::of(b"what is new");
    let forged = copy(&lockgate, "forged");
    let row = format!("WHERE digest = x'{}'", notes.hex());
    sql(&forged, &format!("DROP TRIGGER document_stands; UPDATE document SET bytes = x'00' {row};"));
    check_alarm(&lockgate, &forged, "DIGEST_MISMATCH", &notes.to_string());
    let gone = copy(&lockgate, "gone");
    sql(&gone, &format!("DROP TRIGGER document_stays; DELETE FROM document {row};"));
    audit(&lockgate, &gone, &[]).refused(9, "AUDIT_FAILED").says(&notes.to_string());
    let snapshot = Digest::of(&snapshot);
    let unread = copy(&lockgate, "unread");
    fs::remove_file(blob_of(&unread, &snapshot)).unwrap();
    audit(&lockgate, &unread, &[]).refused(9, "AUDIT_FAILED").says(&snapshot.to_string());
}

#[test]
fn yesterdays_copy_is_sound_until_someone_remembers_today() {
    let lockgate = Instance::pending();
    lockgate.stop();
    let yesterday = copy(&lockgate, "yesterday");
    lockgate.start(&[]).exits(0);
    lockgate.run(&["approve", "P-3", "--as", "sam", "--yes"]).exits(0);
    lockgate.verify("1.4.2", &[]).exits(0);
    let today = lockgate.get("/checkpoint", None).body;
    lockgate.write("today", today);
    lockgate.stop();
    let laptop = Instance::new();
    audit(&laptop, &yesterday, &[]).exits(0);
    let kept = lockgate.file("today").display().to_string();
    audit(&laptop, &yesterday, &["--checkpoint", &kept]).refused(9, "AUDIT_FAILED").says("ROLLBACK_DETECTED");
    assert_ne!(
        audit(&laptop, &yesterday, &["--checkpoint", "forgotten"]).code,
        0,
        "a kept checkpoint that is not there"
    );
    // The home itself remembers; and so does the server, which does not sign on top of an older ledger.
    audit(&lockgate, &yesterday, &[]).refused(9, "AUDIT_FAILED").says("ROLLBACK_DETECTED");
    let data = lockgate.home().join("data");
    fs::remove_dir_all(&data).unwrap();
    copy_dir(&yesterday, &data);
    lockgate.tampered();
    lockgate.start(&[]).refused(9, "LEDGER_ROLLED_BACK");
    // Without the server's own memory it starts, and whoever has seen more notices.
    fs::remove_file(lockgate.home().join("high-water")).unwrap();
    lockgate.start(&[]).exits(0);
    lockgate.run(&["approve", "P-3", "--as", "sam", "--yes"]).refused(9, "ROLLBACK_DETECTED");
}

/// Restores older data into a home whose server remembers nothing newer, and starts it.
fn set_back(lockgate: &Instance, yesterday: &Path) {
    lockgate.stop();
    let data = lockgate.home().join("data");
    fs::remove_dir_all(&data).unwrap();
    copy_dir(yesterday, &data);
    fs::remove_file(lockgate.home().join("high-water")).unwrap();
    lockgate.tampered();
    lockgate.start(&[]).exits(0);
}

/// Pushes until the ledger has more entries than that, which this machine notices each time.
fn outgrow(lockgate: &Instance, seen: u64) {
    let mut count = 0;
    while lockgate.entries() <= seen {
        lockgate.push(&format!("1.4.{}", 10 + count), "trivy.json").exits(9);
        count += 1;
        assert!(count < 100, "the ledger does not grow");
    }
}

/// Offline, too: a bundle tells the governance stream whole, so that one of a longer ledger holds what was verified of it.
#[test]
fn a_longer_ledger_without_the_freeze_that_was_verified_is_refused_offline() {
    let lockgate = Instance::granted();
    lockgate.stop();
    let yesterday = copy(&lockgate, "yesterday");
    lockgate.start(&[]).exits(0);
    lockgate.run(&["freeze", "--env", "production", "--reason", "incident", "--yes", "--as", "sam"]).exits(0);
    lockgate.run(&["bundle", "get", "P-3", "--file", "frozen.lockgate"]).exits(0);
    let offline = |bundle: &str| lockgate.verify("1.4.2", &["--bundle", bundle]);
    offline("frozen.lockgate").refused(3, "FROZEN");
    let seen = lockgate.entries();
    set_back(&lockgate, &yesterday);
    outgrow(&lockgate, seen);
    let forked = lockgate.get("/v1/promotions/P-3/bundle", Some(&lockgate.token("dana")));
    lockgate.write("forked.lockgate", &forked.body);
    for _ in 0..2 {
        offline("forked.lockgate").refused(9, "EQUIVOCATION").says("NOT VERIFIED").says("another history of people");
    }
    offline("frozen.lockgate").refused(3, "FROZEN");
}

/// What a server acknowledged was seen, too: its receipt holds a signed checkpoint.
#[test]
fn a_receipt_is_enough_to_notice_a_rollback() {
    let lockgate = Instance::pending();
    lockgate.stop();
    let yesterday = copy(&lockgate, "yesterday");
    lockgate.start(&[]).exits(0);
    lockgate.push("1.4.8", "trivy.json").exits(0);
    lockgate.push("1.4.9", "trivy.json").exits(0);
    set_back(&lockgate, &yesterday);
    // By the next write, too: its receipt is of fewer entries than were seen.
    let ran = lockgate.push("1.4.9", "trivy.json").refused(9, "ROLLBACK_DETECTED");
    ran.says("shop/web@1.4.9 is published");
    lockgate.run(&["approve", "P-3", "--as", "sam", "--yes"]).refused(9, "ROLLBACK_DETECTED");
}

/// A server that was set back knows nothing of what it lost, and cannot say that it did: whoever has seen more notices by
/// its newest checkpoint.
#[test]
fn a_server_that_was_set_back_is_noticed_where_it_knows_nothing_of_it() {
    let lockgate = Instance::granted();
    lockgate.stop();
    let yesterday = copy(&lockgate, "yesterday");
    lockgate.start(&[]).exits(0);
    lockgate.push("1.5.0", "trivy.json").exits(0);
    lockgate.promote("1.5.0").exits(5);
    lockgate.run(&["approve", "P-6", "--as", "sam", "--yes"]).exits(0);
    lockgate.verify("1.5.0", &[]).exits(0);
    let seen = lockgate.entries();
    set_back(&lockgate, &yesterday);
    let get = |promotion: &str| lockgate.run(&["bundle", "get", promotion, "--file", "got.lockgate"]);
    let ran = lockgate.verify("1.5.0", &[]).refused(9, "ROLLBACK_DETECTED").says(&format!("seen {seen} entries"));
    assert!(ran.stdout.starts_with("NOT VERIFIED  "), "{ran}");
    get("P-3").refused(9, "ROLLBACK_DETECTED");
    get("P-6").refused(9, "ROLLBACK_DETECTED");
    assert!(!lockgate.file("got.lockgate").exists());
    lockgate.run(&["doctor"]).refused(9, "DOCTOR_FAILED").says("ROLLBACK_DETECTED");
    // What only reads shows what is there now.
    lockgate.run(&["why", "P-6"]).refused(6, "PROMOTION_UNKNOWN");
    // Once it has grown another way, that is what it is.
    outgrow(&lockgate, seen);
    lockgate.verify("1.5.0", &[]).refused(9, "EQUIVOCATION").says("NOT VERIFIED");
    get("P-3").refused(9, "EQUIVOCATION");
    lockgate.run(&["doctor"]).refused(9, "DOCTOR_FAILED").says("EQUIVOCATION");
}

#[test]
fn a_server_starts_again_where_it_was_told_to_listen() {
    let lockgate = Instance::demo();
    let address = lockgate.address();
    lockgate.stop();
    lockgate.start_at(&address).exits(0);
    lockgate.stop();
    // A port that the system chose is good for one start.
    lockgate.start(&[]).exits(0);
    lockgate.stop();
    let again = lockgate.run(&["up", "--detach"]);
    lockgate.stop();
    again.exits(0).says(&address);
}

#[test]
fn an_empty_store_beside_old_keys_is_an_alarm() {
    let lockgate = stopped();
    let (data, away) = (lockgate.home().join("data"), lockgate.file("away"));
    fs::rename(&data, &away).unwrap();
    lockgate.tampered();
    let refused = lockgate.start(&[]).refused(9, "LEDGER_MISSING");
    assert!(!refused.stderr.contains("away first"), "{refused}");
    assert!(!data.exists(), "what is restored goes where nothing is");
    drop(LocalStore::open(&data, Options::default()).unwrap());
    lockgate.start(&[]).refused(9, "LEDGER_MISSING").says("away first");
    let audited = audit(&lockgate, &data, &[]).refused(9, "AUDIT_FAILED").says("nothing was compared");
    assert!(!audited.stdout.contains("no trust file was pinned"), "{audited}");
    fs::remove_dir_all(&data).unwrap();
    fs::create_dir(&data).unwrap();
    lockgate.start(&[]).refused(9, "LEDGER_MISSING").says("away first");
    assert_eq!(fs::read_dir(&data).unwrap().count(), 0);
    fs::remove_dir(&data).unwrap();
    fs::rename(&away, &data).unwrap();
    lockgate.start(&[]).exits(0);
}

#[test]
fn an_auditor_needs_nothing_but_a_copy() {
    let lockgate = stopped();
    let data = copy(&lockgate, "handed-over");
    let laptop = Instance::new();
    laptop.write("trust.json", fs::read(lockgate.home().join("trust.json")).unwrap());
    let moved = laptop.file("data");
    fs::rename(data, &moved).unwrap();
    fs::remove_dir_all(lockgate.home()).unwrap();
    audit(&laptop, &moved, &[]).exits(0).says("no trust file was pinned");
    let path = moved.display().to_string();
    let report = laptop.json(&["audit", "--data", &path, "--trust", "trust.json"], 0);
    assert_eq!(
        (&report["problems"], &report["pinned"], &report["decisions_replayed"]),
        (&json!([]), &json!(true), &json!(4))
    );
    assert!(!laptop.home().exists(), "an audit writes nothing");
    let stranger = Instance::demo();
    let other = stranger.home().join("trust.json").display().to_string();
    audit(&laptop, &moved, &["--trust", &other]).exits(9).says("NOT found to be those of the trust file");
}

/// An audit beside a busy server looks at one moment of it, and is not alarmed by what comes later.
#[test]
fn an_audit_beside_a_busy_server_is_sound() {
    let lockgate = Instance::granted();
    let ci = lockgate.token("ci");
    let artifact = json!({
        "digest": Digest::of(&artifact("1.4.2")),
        "name": "app.tar.gz",
        "size_bytes": artifact("1.4.2").len(),
    });
    let done = std::sync::atomic::AtomicBool::new(false);
    let address = lockgate.address();
    std::thread::scope(|scope| {
        let done = &done;
        let writer = scope.spawn(move || {
            let mut count = 0_u32;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let body = json!({ "release": format!("shop/n{count}@1.0.0"), "artifacts": [artifact] }).to_string();
                publish(&address, &ci, &body);
                count += 1;
            }
            count
        });
        let audits: Vec<Ran> = (0..4).map(|_| lockgate.run(&["audit"])).collect();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(writer.join().unwrap() > 4, "the server was not busy");
        for ran in audits {
            ran.exits(0);
        }
    });
}

fn publish(address: &str, token: &str, body: &str) {
    use std::io::Write as _;
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let head = format!(
        "POST /v1/releases HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Authorization: Bearer {token}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    assert_eq!(crate::instance::Reply::read(&mut stream).status, 200);
}

#[test]
fn after_a_failed_flush_a_recheck_lets_the_server_start_again() {
    let lockgate = stopped();
    let recheck = || lockgate.run(&["doctor", "--recheck"]);
    recheck().exits(0).says("nothing to recheck");
    let marks = ["data/SUSPECT", "data/access/SUSPECT"].map(|mark| lockgate.home().join(mark));
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    marks.iter().for_each(|mark| fs::write(mark, &boot).unwrap());
    lockgate.start(&[]).refused(8, "STORE_FAILED").says("lockgate doctor --recheck");
    recheck().exits(0).says("a server may start");
    assert!(marks.iter().all(|mark| !mark.exists()));
    lockgate.start(&[]).exits(0);
    lockgate.run(&["why", "P-3"]).exits(0);
    lockgate.stop();
    // What is not sound stays as it is.
    fs::write(&marks[0], &boot).unwrap();
    let file = lockgate.home().join("data/ledger.db");
    let before = fs::read(&file).unwrap();
    fs::remove_file(blob(&lockgate.home().join("data"))).unwrap();
    lockgate.tampered();
    recheck().refused(9, "AUDIT_FAILED");
    assert!(marks[0].exists() && fs::read(&file).unwrap() == before);
}
