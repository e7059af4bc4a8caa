//! What the database itself refuses, and what outlives the process.

use lockgate_model::{Digest, EntryIndex, StreamName, UnixMillis};
use lockgate_store::conformance::Script;
use lockgate_store::{LedgerStore, Projection, ProjectionStore, Reply, SessionStore, StoreError, StreamStore};
use lockgate_store_local::{LocalStore, Options};
use rusqlite::Connection;

use crate::{open, session};

fn reply() -> Reply {
    Reply { key: "key".to_owned(), request: Digest::of(b"request"), body: b"body".to_vec(), at: UnixMillis(1) }
}

/// Commits 300 entries, so that tile 0/0 is full, with one of everything else.
fn fill(store: &LocalStore) -> Script {
    let texts: Vec<String> = (0..299).map(|number| format!("entry {number}")).collect();
    let none: &[StreamName] = &[];
    let entries: Vec<(&str, &[StreamName])> = texts.iter().map(|text| (text.as_str(), none)).collect();
    let mut script = Script::new();
    script.commit(store, &entries);
    let mut batch = script.batch(&[("last", &[StreamName::governance()])]);
    batch.documents.push((Digest::of(b"paper"), b"paper".to_vec()));
    batch.replies.push(reply());
    batch.projections.push(Projection { kind: "kind", key: "key".to_owned(), value: Some(b"value".to_vec()) });
    store.commit(&batch).unwrap();
    script.accept(&batch);
    store.checkpoint_put(b"note").unwrap();
    store.session_insert(&session()).unwrap();
    script
}

fn check_filled(store: &LocalStore, script: &Script) {
    let head = store.head().unwrap();
    assert_eq!((head.size.0, head.root), (300, script.root()));
    assert_eq!(store.entry(EntryIndex(299)).unwrap().as_deref(), Some(b"last".as_slice()));
    assert_eq!(store.entries(EntryIndex(0), 1000).unwrap().len(), 300);
    assert_eq!(store.stream_page(&StreamName::governance(), 0, 9).unwrap(), [(0, EntryIndex(299))]);
    assert_eq!(store.tile(0, 1).unwrap().map(|tile| tile.len()), Some(44 * 32));
    assert_eq!(store.document(&Digest::of(b"paper")).unwrap().as_deref(), Some(b"paper".as_slice()));
    assert_eq!(store.reply("key").unwrap(), Some(reply()));
    assert_eq!(store.projection("kind", "key").unwrap().as_deref(), Some(b"value".as_slice()));
    assert_eq!(store.checkpoint().unwrap().as_deref(), Some(b"note".as_slice()));
    assert_eq!(store.session_by_hash(&Digest::of(b"token")).unwrap(), Some(session()));
}

#[test]
fn reopening_keeps_everything() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut script = fill(&store);
    check_filled(&store, &script);
    drop(store);
    let log = std::fs::metadata(dir.path().join("ledger.db-wal")).map_or(0, |file| file.len());
    assert_eq!(log, 0, "closing moves the log into the database");
    let store = open(dir.path());
    check_filled(&store, &script);
    script.commit(&store, &[("one more", &[StreamName::governance()])]);
    assert_eq!(store.head().unwrap().size.0, 301);
}

#[test]
fn a_process_that_stops_without_closing_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let copy = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let script = fill(&store);
    // What a crash leaves: the files as they are now, with the log not yet copied.
    for name in ["ledger.db", "ledger.db-wal"] {
        std::fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
    }
    assert!(std::fs::metadata(copy.path().join("ledger.db-wal")).unwrap().len() > 0);
    check_filled(&open(copy.path()), &script);
}

#[test]
fn many_commits_pass_the_log_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut script = Script::new();
    for number in 0..300 {
        script.commit(&store, &[(&format!("entry {number}"), &[StreamName::governance(), StreamName::promotions()])]);
    }
    let database = std::fs::metadata(dir.path().join("ledger.db")).unwrap().len();
    assert!(database > 8 * 8192, "the log was never copied into the database, which has {database} bytes");
    drop(store);
    assert_eq!(open(dir.path()).stream_head(&StreamName::promotions()).unwrap().map(|head| head.seq), Some(299));
}

#[test]
fn triggers_refuse_edits() {
    let dir = tempfile::tempdir().unwrap();
    let script = fill(&open(dir.path()));
    let connection = Connection::open(dir.path().join("ledger.db")).unwrap();
    for sql in [
        "UPDATE entry SET bytes = x'00' WHERE idx = 0",
        "DELETE FROM entry WHERE idx = 299",
        "INSERT OR REPLACE INTO entry (idx, bytes) VALUES (0, x'00')",
        "INSERT INTO entry (idx, bytes) VALUES (301, x'00')",
        "UPDATE document SET bytes = x'00'",
        "DELETE FROM document",
        "INSERT OR REPLACE INTO document (digest, bytes) SELECT digest, x'00' FROM document",
        "UPDATE tile SET hashes = zeroblob(8192) WHERE level = 0 AND idx = 0",
        "UPDATE tile SET hashes = substr(hashes, 1, 32) WHERE level = 0 AND idx = 0",
        "UPDATE tile SET hashes = substr(hashes, 1, 32) WHERE level = 0 AND idx = 1",
        "UPDATE tile SET idx = 7 WHERE level = 0 AND idx = 0",
        "INSERT OR REPLACE INTO tile (level, idx, hashes) VALUES (0, 0, zeroblob(8192))",
        "DELETE FROM tile",
        "UPDATE stream_entry SET idx = 0",
        "DELETE FROM stream_entry",
        "UPDATE head SET size = 299",
        "UPDATE head SET root = zeroblob(32)",
        "INSERT OR REPLACE INTO head (one, size, root) VALUES (1, 0, zeroblob(32))",
        "DELETE FROM head",
    ] {
        let outcome = connection.execute(sql, []);
        let error = outcome.expect_err(sql);
        assert_eq!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::ConstraintViolation), "{sql}: {error}");
    }
    drop(connection);
    check_filled(&open(dir.path()), &script);
}

#[test]
fn a_head_that_miscounts_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    fill(&open(dir.path()));
    let connection = Connection::open(dir.path().join("ledger.db")).unwrap();
    connection.execute_batch("DROP TRIGGER entry_stays; DELETE FROM entry WHERE idx = 299").unwrap();
    drop(connection);
    let error = LocalStore::open(dir.path(), Options::default()).err().unwrap();
    assert!(matches!(error, StoreError::Corrupt(_)), "{error}");
}

#[test]
fn a_missing_entry_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    fill(&store);
    let connection = Connection::open(dir.path().join("ledger.db")).unwrap();
    connection.execute_batch("DROP TRIGGER entry_stays; DELETE FROM entry WHERE idx = 5").unwrap();
    drop(connection);
    let error = store.entries(EntryIndex(0), 10).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt(_)), "{error}");
    drop(store);
    let error = LocalStore::open(dir.path(), Options::default()).err().unwrap();
    assert!(error.to_string().contains("entry 5, which is missing"), "{error}");
}
