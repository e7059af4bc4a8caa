use lockgate_model::{EntryIndex, PersonId, StreamName, UnixMillis};

use super::*;
use crate::conformance::{self, Script};
use crate::{Batch, BlobStore, LedgerStore, Session, SessionStore, Store};

#[test]
fn memory_conforms() {
    conformance::run(|| Box::new(MemoryStore::new()));
}

#[test]
fn a_clone_shares_the_content() {
    let store = MemoryStore::new();
    Script::new().commit(&store, &[("one", &[])]);
    assert_eq!(store.clone().head().unwrap().size.0, 1);
}

/// Every write of the store, and how to see whether it was kept.
struct Write {
    name: &'static str,
    run: fn(&dyn Store) -> Result<()>,
    kept: fn(&dyn Store) -> bool,
}

fn person() -> PersonId {
    "dana".parse().unwrap()
}

fn first_batch() -> Batch {
    Script::new().batch(&[("one", &[StreamName::governance()])])
}

fn session() -> Session {
    Session {
        token_hash: Digest::of(b"token"),
        subject: person(),
        created: UnixMillis(1),
        last_used: UnixMillis(1),
        expires: UnixMillis(9),
    }
}

const WRITES: [Write; 5] = [
    Write {
        name: "commit",
        run: |store| store.commit(&first_batch()),
        kept: |store| {
            let entry = store.entry(EntryIndex(0)).unwrap().is_some();
            assert_eq!(store.stream_head(&StreamName::governance()).unwrap().is_some(), entry, "commit is all");
            assert_eq!(store.tile(0, 0).unwrap().is_some(), entry, "commit is all");
            entry
        },
    },
    Write {
        name: "checkpoint_put",
        run: |store| store.checkpoint_put(b"note"),
        kept: |store| store.checkpoint().unwrap().is_some(),
    },
    Write {
        name: "session_insert",
        run: |store| store.session_insert(&session()),
        kept: |store| store.session_by_hash(&Digest::of(b"token")).unwrap().is_some(),
    },
    Write {
        name: "replies_expire",
        run: |store| store.replies_expire(UnixMillis(5)).map(drop),
        kept: |store| store.reply("key").unwrap().is_none(),
    },
    Write {
        name: "blob",
        run: |store| {
            let mut blob = store.stage()?;
            blob.write(b"boat")?;
            blob.commit(None).map(drop)
        },
        kept: |store| store.stat(&Digest::of(b"boat")).unwrap().is_some(),
    },
];

#[test]
fn every_write_fails_before_and_after_it_is_kept() {
    for write in WRITES {
        let store = MemoryStore::new();
        store.faults_set(Faults { fail_before: Some(1), fail_after: Some(2) });
        if write.name == "replies_expire" {
            let mut batch = first_batch();
            batch.replies.push(crate::Reply {
                key: "key".to_owned(),
                request: Digest::of(b"request"),
                body: Vec::new(),
                at: UnixMillis(1),
            });
            store.faults_set(Faults::default());
            store.commit(&batch).unwrap();
            store.faults_set(Faults { fail_before: Some(1), fail_after: Some(2) });
        }
        assert_eq!((write.run)(&store), Err(StoreError::Injected { persisted: false }), "{}", write.name);
        assert!(!(write.kept)(&store), "{}: kept although it failed before", write.name);
        assert_eq!((write.run)(&store), Err(StoreError::Injected { persisted: true }), "{}", write.name);
        assert!((write.kept)(&store), "{}: lost although it failed after", write.name);
        assert_eq!(store.writes(), 2);
    }
}

#[test]
fn session_writes_fail_before_and_after_too() {
    type Change = fn(&MemoryStore) -> Result<()>;
    let changes: [(Change, bool); 4] = [
        (|store| store.session_touch(&Digest::of(b"token"), UnixMillis(5)).map(drop), true),
        (|store| store.session_remove(&Digest::of(b"token")).map(drop), false),
        (|store| store.sessions_remove_for(&person()).map(drop), false),
        (|store| store.sessions_expire(UnixMillis(10)).map(drop), false),
    ];
    for (change, stays) in changes {
        let store = MemoryStore::new();
        store.session_insert(&session()).unwrap();
        store.faults_set(Faults { fail_before: Some(1), fail_after: Some(2) });
        assert_eq!(change(&store), Err(StoreError::Injected { persisted: false }));
        assert_eq!(store.session_by_hash(&Digest::of(b"token")).unwrap(), Some(session()));
        assert_eq!(change(&store), Err(StoreError::Injected { persisted: true }));
        let after = store.session_by_hash(&Digest::of(b"token")).unwrap();
        assert_eq!(after.is_some(), stays);
        assert_ne!(after, Some(session()));
    }
}

#[test]
fn leaf_hashes_are_checked() {
    let store = MemoryStore::new();
    let mut batch = first_batch();
    batch.entries[0].leaf_hash = Digest::of(b"other");
    assert!(matches!(store.commit(&batch), Err(StoreError::Contract(_))));
    let mut batch = first_batch();
    batch.tiles.clear();
    assert!(matches!(store.commit(&batch), Err(StoreError::Contract(_))));
    assert_eq!(store.head().unwrap().size.0, 0);
}

#[test]
fn a_flipped_bit_is_seen_by_the_reader() {
    let store = MemoryStore::new();
    let mut blob = store.stage().unwrap();
    blob.write(b"boat").unwrap();
    let (digest, _) = blob.commit(None).unwrap();
    assert!(store.blob_flip_bit(&digest, 31));
    assert!(!store.blob_flip_bit(&digest, 32));
    let error = std::io::read_to_string(store.open(&digest).unwrap().unwrap()).unwrap_err();
    assert!(error.to_string().starts_with(crate::DIGEST_MISMATCH));
    let mut again = store.stage().unwrap();
    again.write(b"boat").unwrap();
    assert_eq!(again.commit(None), Err(StoreError::CorruptBlob(digest)));
}
