//! Who may open a store, and when.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use lockgate_model::{Digest, UnixMillis};
use lockgate_store::conformance::Script;
use lockgate_store::projection::DAMAGED;
use lockgate_store::{BlobStore, LedgerStore, Projection, ProjectionStore, Reply, SessionStore, StoreError};
use lockgate_store_local::{LocalStore, Mended, Options, Recheck};
use rusqlite::Connection;
use rustix::fs::{FileType, Mode};
use tempfile::TempDir;

use crate::{count, open, put, session};

#[test]
fn a_second_writer_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let error = LocalStore::open(dir.path(), Options::default()).err().unwrap();
    assert!(matches!(error, StoreError::Locked(_)), "{error}");
    assert!(error.to_string().contains(&dir.path().display().to_string()), "{error}");
    drop(store);
    open(dir.path());
}

/// A copy of the files of an open store is what a killed process leaves.
#[test]
fn what_a_killed_process_left_in_the_log_is_copied_by_the_next() {
    let (mut killed, mut script) = (tempfile::tempdir().unwrap(), Script::new());
    for entries in 0..3 {
        let store = open(killed.path());
        assert_eq!(size_without_log(killed.path()), entries);
        script.commit(&store, &[("one", &[])]);
        let left = copy_of(killed.path(), &["ledger.db", "ledger.db-wal"]);
        drop(store);
        killed = left;
    }
}

/// Bytes of a frame of the log: its header, and a page.
const FRAME_BYTES: usize = 24 + 8192;

#[test]
fn a_bit_that_turned_in_the_log_of_a_killed_process_is_noticed_by_all_who_open_it() {
    let dir = tempfile::tempdir().unwrap();
    let (store, mut script) = (open(dir.path()), Script::new());
    for _ in 0..4 {
        script.commit(&store, &[("one", &[])]);
    }
    let files = ["ledger.db", "ledger.db-wal", "DURABLE"];
    let killed = copy_of(dir.path(), &files);
    let log = std::fs::read(killed.path().join("ledger.db-wal")).unwrap();
    let frames = log[32..].chunks_exact(FRAME_BYTES).take_while(|frame| frame[8..16] == log[16..24]).count();
    let end = 32 + frames * FRAME_BYTES;
    for place in [0, 9, 20, 35, 41, 50, 90, 32 + 2 * FRAME_BYTES + 700, end - FRAME_BYTES + 7, end - 1] {
        let spoilt = copy_of(killed.path(), &files);
        let mut bytes = log.clone();
        bytes[place] ^= 8;
        std::fs::write(spoilt.path().join("ledger.db-wal"), bytes).unwrap();
        for outcome in [
            LocalStore::open(spoilt.path(), Options::default()),
            LocalStore::open_read_only(spoilt.path(), Options::default()),
        ] {
            let error = outcome.err().unwrap();
            assert!(matches!(error, StoreError::Corrupt(_)), "{place}: {error}");
        }
        let recheck = Recheck::begin(spoilt.path()).unwrap();
        assert!(matches!(recheck.rewrite(0), Err(StoreError::Corrupt(_))), "{place}");
        drop(recheck);
        // As after a power cut that took the note: the ledger is a shorter one that was once true.
        std::fs::remove_file(spoilt.path().join("DURABLE")).unwrap();
        assert!(open(spoilt.path()).head().unwrap().size.0 < 4, "{place}");
    }
    assert_eq!(open(killed.path()).head().unwrap().size.0, 4);
}

#[test]
fn a_log_that_lost_what_was_flushed_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let (store, mut script) = (open(dir.path()), Script::new());
    for _ in 0..3 {
        script.commit(&store, &[("one", &[])]);
    }
    let killed = copy_of(dir.path(), &["ledger.db", "ledger.db-wal", "DURABLE"]);
    let file = std::fs::OpenOptions::new().write(true).open(killed.path().join("ledger.db-wal")).unwrap();
    file.set_len(32 + FRAME_BYTES as u64).unwrap();
    let error = LocalStore::open(killed.path(), Options::default()).err().unwrap();
    assert!(matches!(error, StoreError::Corrupt(_)), "{error}");
}

/// How many entries the database of an open store has without its log.
fn size_without_log(dir: &Path) -> u64 {
    let alone = copy_of(dir, &["ledger.db"]);
    LocalStore::open_read_only(alone.path(), Options::default()).unwrap().head().unwrap().size.0
}

fn copy_of(dir: &Path, files: &[&str]) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for file in files {
        std::fs::copy(dir.join(file), copy.path().join(file)).unwrap();
    }
    copy
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let connection = Connection::open(dir.path().join("ledger.db")).unwrap();
    connection.execute_batch("PRAGMA user_version = 99").unwrap();
    for outcome in
        [LocalStore::open(dir.path(), Options::default()), LocalStore::open_read_only(dir.path(), Options::default())]
    {
        let error = outcome.err().unwrap();
        assert!(matches!(error, StoreError::Schema { found: 99, .. }), "{error}");
    }
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    assert_eq!(version, 99);
}

#[test]
fn what_is_not_a_database_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("ledger.db"), b"not a database, but long enough to look like a header of one")
        .unwrap();
    let error = LocalStore::open(dir.path(), Options::default()).err().unwrap();
    assert!(matches!(error, StoreError::Corrupt(_)), "{error}");
}

#[test]
fn a_changed_row_that_no_entry_proves_is_noticed() {
    let mended = |sessions: u64, projections: u64| Some(Mended { sessions, projections });
    for (change, expected) in [
        ("UPDATE session SET subject = 'sam'", mended(1, 0)),
        ("UPDATE session SET expires = expires + 1", mended(1, 0)),
        ("UPDATE session SET subject = CAST(x'ff' AS TEXT)", mended(1, 0)),
        ("UPDATE projection SET value = x'00'", mended(0, 1)),
        ("UPDATE projection SET key = CAST(x'ff' AS TEXT)", mended(0, 1)),
        // Without it a repeated request would be done twice.
        ("UPDATE reply SET body = x'00'", None),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let token_hash = Digest::of(b"token");
        store.session_insert(&session()).unwrap();
        assert!(store.session_touch(&token_hash, UnixMillis(9)).unwrap());
        assert_eq!(store.session_by_hash(&token_hash).unwrap().unwrap().last_used, UnixMillis(9));
        let mut batch = Script::new().batch(&[("one", &[])]);
        batch.projections = vec![Projection { kind: "k", key: "a".to_owned(), value: Some(b"v".to_vec()) }];
        let reply = Reply { key: "r".to_owned(), request: token_hash, body: b"b".to_vec(), at: UnixMillis(4) };
        batch.replies = vec![reply.clone()];
        store.commit(&batch).unwrap();
        assert_eq!(store.projection("k", "a").unwrap(), Some(b"v".to_vec()));
        assert_eq!(store.projections("k", None, 9).unwrap(), [("a".to_owned(), b"v".to_vec())]);
        assert_eq!(store.reply("r").unwrap(), Some(reply));
        drop(store);
        drop(open(dir.path()));
        Connection::open(dir.path().join("ledger.db")).unwrap().execute_batch(change).unwrap();
        let reader = LocalStore::open_read_only(dir.path(), Options::default()).unwrap();
        let read = [
            reader.session_by_hash(&token_hash).map(drop),
            reader.projection("k", "a").map(drop),
            reader.projections("k", None, 9).map(drop),
            reader.reply("r").map(drop),
        ];
        assert!(read.iter().any(|read| matches!(read, Err(StoreError::Corrupt(_)))), "{change}: {read:?}");
        drop(reader);
        let Some(expected) = expected else {
            let error = LocalStore::open(dir.path(), Options::default()).err().unwrap();
            assert!(matches!(error, StoreError::Corrupt(_)), "{change}: {error}");
            continue;
        };
        let store = open(dir.path());
        assert_eq!(store.mended(), expected, "{change}");
        assert_eq!(store.session_by_hash(&token_hash).unwrap().is_none(), expected.sessions == 1, "{change}");
        assert_eq!(store.projection("k", "a").unwrap().is_none(), expected.projections == 1, "{change}");
        assert_eq!(store.projection(DAMAGED.0, DAMAGED.1).unwrap().is_some(), expected.projections == 1, "{change}");
        drop(store);
        assert!(open(dir.path()).mended().is_nothing(), "{change}: a second start finds nothing");
    }
}

#[test]
fn a_start_compares_entries_with_the_tree_and_streams_with_their_heads() {
    for (trigger, change) in [
        ("tile_extends", "UPDATE tile SET hashes = zeroblob(length(hashes))"),
        ("entry_stands", "UPDATE entry SET bytes = x'00' WHERE idx = 0"),
        ("stream_entry_stands", "UPDATE stream SET seq = 0"),
        ("stream_entry_stands", "UPDATE stream SET idx = 0"),
        ("stream_entry_stands", "UPDATE stream_entry SET idx = 0"),
        ("stream_entry_stays", "DELETE FROM stream_entry WHERE seq = 0"),
        ("entry_stays", "DELETE FROM entry WHERE idx = 0"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let stream = ["release:shop/web@1.4.2".parse().unwrap()];
        Script::new().commit(&store, &[("one", &stream), ("two", &stream)]);
        drop(store);
        drop(open(dir.path()));
        let connection = Connection::open(dir.path().join("ledger.db")).unwrap();
        let sql = format!("SELECT sql FROM sqlite_master WHERE name = '{trigger}'");
        let guard: String = connection.query_row(&sql, [], |row| row.get(0)).unwrap();
        connection.execute_batch(&format!("DROP TRIGGER {trigger}; {change}; {guard};")).unwrap();
        drop(connection);
        let error = LocalStore::open(dir.path(), Options::default()).err().unwrap();
        assert!(error.to_string().contains("is not what was written"), "{change}: {error}");
    }
}

#[test]
fn a_session_whose_index_names_another_value_is_taken_out_too() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let session = session();
    store.session_insert(&session).unwrap();
    drop(store);
    // As a flipped bit does: the row is another, and its index is as it was. Only the row has the name behind the hash.
    let file = dir.path().join("ledger.db");
    let mut bytes = std::fs::read(&file).unwrap();
    let wanted = [session.token_hash.as_bytes().as_slice(), b"dana"].concat();
    let places: Vec<usize> =
        (0..bytes.len()).filter(|place| bytes[*place..].starts_with(&wanted)).map(|place| place + 32).collect();
    assert_eq!(places.len(), 1);
    bytes[places[0]] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let store = open(dir.path());
    assert_eq!(store.mended(), Mended { sessions: 1, projections: 0 });
    assert_eq!(store.sessions_remove_for(&session.subject).unwrap(), 0);
}

#[test]
fn reading_works_beside_a_writer() {
    let dir = tempfile::tempdir().unwrap();
    let writer = open(dir.path());
    let mut script = Script::new();
    script.commit(&writer, &[("one", &[])]);
    let digest = put(&writer, b"boat");
    let reader = LocalStore::open_read_only(dir.path(), Options::default()).unwrap();
    assert_eq!(reader.head().unwrap().size.0, 1);
    script.commit(&writer, &[("two", &[])]);
    assert_eq!(reader.head().unwrap().size.0, 2);
    assert_eq!(std::io::read_to_string(BlobStore::open(&reader, &digest).unwrap().unwrap()).unwrap(), "boat");

    let refused =
        |outcome: Result<(), StoreError>| assert!(matches!(outcome, Err(StoreError::ReadOnly(_))), "{outcome:?}");
    refused(reader.commit(&script.batch(&[("three", &[])])));
    refused(reader.checkpoint_put(b"note"));
    refused(reader.replies_expire(UnixMillis(1)).map(drop));
    refused(reader.session_remove(&Digest::of(b"token")).map(drop));
    refused(reader.stage().map(drop));
    drop(writer);
    assert_eq!(reader.head().unwrap().size.0, 2, "a reader goes on when the writer stops");
}

#[test]
fn reading_needs_a_store() {
    let dir = tempfile::tempdir().unwrap();
    let error = LocalStore::open_read_only(dir.path(), Options::default()).err().unwrap();
    assert!(matches!(error, StoreError::NotFound(_)), "{error}");
    assert_eq!(count(dir.path()), 0, "reading makes nothing");
}

#[test]
fn reading_works_when_nobody_writes() {
    let dir = tempfile::tempdir().unwrap();
    Script::new().commit(&open(dir.path()), &[("one", &[])]);
    let reader = LocalStore::open_read_only(dir.path(), Options::default()).unwrap();
    assert_eq!(reader.head().unwrap().size.0, 1);
}

#[test]
fn a_full_disk_refuses_writes_and_goes_on_reading() {
    let dir = tempfile::tempdir().unwrap();
    let mut script = Script::new();
    script.commit(&open(dir.path()), &[("one", &[])]);
    let store = LocalStore::open(dir.path(), Options { reserve_bytes: u64::MAX, ..Options::default() }).unwrap();
    let error = store.commit(&script.batch(&[("two", &[])])).unwrap_err();
    assert!(matches!(error, StoreError::Full(_)), "{error}");
    assert!(matches!(store.stage().map(drop), Err(StoreError::Full(_))));
    assert_eq!(store.head().unwrap().size.0, 1);
}

#[test]
fn a_failed_flush_is_remembered_until_the_host_restarts() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let mark = dir.path().join("SUSPECT");
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    std::fs::write(&mark, &boot).unwrap();
    let error = LocalStore::open(dir.path(), Options::default()).err().unwrap();
    assert!(error.is_fatal(), "{error}");
    LocalStore::open_read_only(dir.path(), Options::default()).unwrap().head().unwrap();
    if !boot.is_empty() {
        std::fs::write(&mark, "an earlier start of the host").unwrap();
        drop(open(dir.path()));
        assert!(!mark.exists());
    }
}

#[test]
fn a_write_that_fails_while_a_store_opens_is_remembered_too() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let session = session();
    store.session_insert(&session).unwrap();
    drop(store);
    // A row to be mended, and a log that nothing can be written to at a place, also by root.
    let connection = Connection::open(dir.path().join("ledger.db")).unwrap();
    connection.execute_batch("UPDATE session SET subject = 'sam'").unwrap();
    drop(connection);
    let log = dir.path().join("ledger.db-wal");
    if log.exists() {
        std::fs::remove_file(&log).unwrap();
    }
    rustix::fs::mknodat(rustix::fs::CWD, &log, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let error = LocalStore::open(dir.path(), Options::default()).err().unwrap();
    assert!(error.is_fatal(), "{error}");
    std::fs::remove_file(&log).unwrap();
    let error = LocalStore::open(dir.path(), Options::default()).err().unwrap();
    assert!(error.is_fatal() && error.to_string().contains("SUSPECT"), "the next start goes on: {error}");
}

/// What the kernel calls this start of the host.
fn boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}

#[test]
fn a_recheck_writes_everything_anew_and_ends_the_suspicion() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut script = Script::new();
    script.commit(&store, &[("one", &[])]);
    let digest = put(&store, b"boat");
    // A copy as a killed server leaves it: the newest entry is in the write-ahead log alone.
    let killed = tempfile::tempdir().unwrap();
    for name in ["ledger.db", "ledger.db-wal"] {
        std::fs::copy(dir.path().join(name), killed.path().join(name)).unwrap();
    }
    std::fs::rename(dir.path().join("blobs"), killed.path().join("blobs")).unwrap();
    assert!(!Recheck::is_due(killed.path()));
    std::fs::write(killed.path().join("SUSPECT"), boot()).unwrap();
    assert!(Recheck::is_due(killed.path()));
    let refused = |dir: &Path| LocalStore::open(dir, Options::default()).err().unwrap();
    assert!(refused(killed.path()).is_fatal());

    let before = std::fs::metadata(killed.path().join("ledger.db")).unwrap().ino();
    let recheck = Recheck::begin(killed.path()).unwrap();
    assert!(matches!(Recheck::begin(killed.path()).err().unwrap(), StoreError::Locked(_)));
    assert!(matches!(recheck.rewrite(u64::MAX), Err(StoreError::Full(_))), "there is no room for a second copy");
    recheck.rewrite(0).unwrap();
    assert_ne!(std::fs::metadata(killed.path().join("ledger.db")).unwrap().ino(), before, "a new file");
    drop(recheck);
    assert!(refused(killed.path()).is_fatal(), "the mark stays until somebody has looked");
    Recheck::begin(killed.path()).unwrap().clear().unwrap();
    let rewritten = open(killed.path());
    assert_eq!(rewritten.head().unwrap(), store.head().unwrap());
    assert_eq!(rewritten.head().unwrap().size.0, 1);
    assert_eq!(rewritten.blobs(None, 9).unwrap(), [(digest, 4)]);
    script.commit(&rewritten, &[("two", &[])]);
}

#[test]
fn a_recheck_that_was_cut_off_is_finished_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let mut script = Script::new();
    let store = open(dir.path());
    script.commit(&store, &[("one", &[])]);
    drop(store);
    std::fs::copy(dir.path().join("ledger.db"), dir.path().join("ledger.db.rewritten")).unwrap();
    // What is left of the old one would be read into the copy.
    for name in ["ledger.db", "ledger.db-wal"] {
        std::fs::write(dir.path().join(name), b"what the old file held").unwrap();
    }
    let store = open(dir.path());
    assert_eq!(store.head().unwrap().size.0, 1);
    assert!(!dir.path().join("ledger.db.rewritten").exists());
    script.commit(&store, &[("two", &[])]);
}
