//! Who may open a store, and when.

use lockgate_model::{Digest, UnixMillis};
use lockgate_store::conformance::Script;
use lockgate_store::{BlobStore, LedgerStore, Projection, ProjectionStore, Reply, Session, SessionStore, StoreError};
use lockgate_store_local::{LocalStore, Options};
use rusqlite::Connection;

use crate::{count, open, put};

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
    for change in [
        "UPDATE session SET subject = 'sam'",
        "UPDATE session SET expires = expires + 1",
        "UPDATE projection SET value = x'00'",
        "UPDATE reply SET body = x'00'",
    ] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let token_hash = Digest::of(b"token");
        let session = Session {
            token_hash,
            subject: "dana".parse().unwrap(),
            created: UnixMillis(1),
            last_used: UnixMillis(2),
            expires: UnixMillis(30),
        };
        store.session_insert(&session).unwrap();
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
        let error = LocalStore::open(dir.path(), Options::default()).err().unwrap();
        assert!(matches!(error, StoreError::Corrupt(_)), "{change}: {error}");
    }
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
