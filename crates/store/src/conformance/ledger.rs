//! Cases of the ledger port.

use lockgate_model::{Digest, EntryIndex, Limits, StreamName, UnixMillis};

use super::Script;
use crate::ledger::TILE_BYTES;
use crate::{Batch, Head, Projection, Reply, Store, StoreError, TileWrite};

pub(super) fn starts_empty(store: &dyn Store) {
    assert_eq!(store.head().unwrap(), Head::empty());
    assert_eq!(store.entry(EntryIndex(0)).unwrap(), None);
    assert_eq!(store.entries(EntryIndex(0), 10).unwrap(), Vec::<Vec<u8>>::new());
    assert_eq!(store.tile(0, 0).unwrap(), None);
    assert_eq!(store.checkpoint().unwrap(), None);
    assert_eq!(store.document(&Digest::of(b"")).unwrap(), None);
}

pub(super) fn keeps_what_was_committed(store: &dyn Store) {
    let mut script = Script::new();
    script.commit(store, &[("one", &[]), ("two", &[])]);
    let batch = script.commit(store, &[("three", &[])]);
    let head = store.head().unwrap();
    assert_eq!((head.size.0, head.root), (3, batch.root));
    assert_eq!(store.entry(EntryIndex(1)).unwrap().as_deref(), Some(b"two".as_slice()));
    assert_eq!(store.entry(EntryIndex(3)).unwrap(), None);
    assert_eq!(store.entry(EntryIndex(u64::MAX)).unwrap(), None);
    assert_eq!(store.entries(EntryIndex(1), 5).unwrap(), [b"two".to_vec(), b"three".to_vec()]);
    assert_eq!(store.entries(EntryIndex(0), 1).unwrap(), [b"one".to_vec()]);
    assert_eq!(store.entries(EntryIndex(0), 0).unwrap(), Vec::<Vec<u8>>::new());
    assert_eq!(store.entries(EntryIndex(3), usize::MAX).unwrap(), Vec::<Vec<u8>>::new());
    assert_eq!(store.entries(EntryIndex(u64::MAX), 5).unwrap(), Vec::<Vec<u8>>::new());
    assert_eq!(store.tile(0, 0).unwrap().map(|tile| tile.len()), Some(3 * 32));
}

pub(super) fn crosses_a_tile(store: &dyn Store) {
    let texts: Vec<String> = (0..600).map(|number| format!("entry {number}")).collect();
    let none: &[StreamName] = &[];
    let entries: Vec<(&str, &[StreamName])> = texts.iter().map(|text| (text.as_str(), none)).collect();
    let mut script = Script::new();
    for part in entries.chunks(200) {
        script.commit(store, part);
    }
    let width = |level, index| store.tile(level, index).unwrap().map(|tile| tile.len() / 32);
    assert_eq!((width(0, 0), width(0, 1), width(0, 2), width(0, 3)), (Some(256), Some(256), Some(88), None));
    assert_eq!((width(1, 0), width(1, 1), width(2, 0)), (Some(2), None, None));
    let page = store.entries(EntryIndex(255), 2).unwrap();
    assert_eq!(page, [b"entry 255".to_vec(), b"entry 256".to_vec()]);
}

pub(super) fn refuses_another_head(store: &dyn Store) {
    let mut script = Script::new();
    let stale = script.batch(&[("other", &[])]);
    script.commit(store, &[("one", &[])]);
    unchanged_by(store, &stale, |error| matches!(error, StoreError::Conflict { .. }));
    let mut ahead = script.clone();
    ahead.accept(&script.batch(&[("two", &[])]));
    let ahead = ahead.batch(&[("three", &[])]);
    unchanged_by(store, &ahead, |error| matches!(error, StoreError::Conflict { .. }));
    script.commit(store, &[("two", &[])]);
}

pub(super) fn refuses_a_broken_batch_whole(store: &dyn Store) {
    type Break = fn(&mut Batch);
    type Expected = fn(&StoreError) -> bool;
    let governance = [StreamName::governance()];
    let mut script = Script::new();
    let mut first = script.batch(&[("one", &governance)]);
    first.replies.push(reply("taken"));
    store.commit(&first).unwrap();
    script.accept(&first);

    let whole = || {
        let mut batch = script.batch(&[("two", &governance), ("three", &[])]);
        batch.documents.push((Digest::of(b"paper"), b"paper".to_vec()));
        batch.projections.push(Projection { kind: "broken", key: "row".to_owned(), value: Some(b"value".to_vec()) });
        batch.replies.push(reply("fresh"));
        batch
    };
    let breaks: [(Break, Expected); 11] = [
        (|batch| batch.replies.push(reply("taken")), |error| matches!(error, StoreError::Conflict { .. })),
        (|batch| batch.replies.push(reply("fresh")), |error| matches!(error, StoreError::Conflict { .. })),
        (|batch| renumber(batch, 2), |error| matches!(error, StoreError::Conflict { .. })),
        (|batch| renumber(batch, 0), |error| matches!(error, StoreError::Conflict { .. })),
        (repeat_stream, |error| matches!(error, StoreError::Contract(_))),
        (
            |batch| batch.documents.push((Digest::of(b"other"), b"paper".to_vec())),
            |error| matches!(error, StoreError::DigestMismatch { .. }),
        ),
        (|batch| resize(batch, 0), |error| matches!(error, StoreError::Contract(_))),
        (|batch| resize(batch, Limits::DEFAULT.entry_bytes + 1), |error| matches!(error, StoreError::TooLarge { .. })),
        (|batch| add_tile(batch, 8, 0, 32), |error| matches!(error, StoreError::Contract(_))),
        (|batch| add_tile(batch, 0, 1, 32), |error| matches!(error, StoreError::Contract(_))),
        (|batch| add_tile(batch, 0, 0, 31), |error| matches!(error, StoreError::Contract(_))),
    ];
    for (break_it, expected) in breaks {
        let mut batch = whole();
        break_it(&mut batch);
        unchanged_by(store, &batch, expected);
        assert_eq!(store.document(&Digest::of(b"paper")).unwrap(), None);
        assert_eq!(store.projection("broken", "row").unwrap(), None);
        assert_eq!(store.reply("fresh").unwrap(), None);
    }
    store.commit(&whole()).unwrap();
}

pub(super) fn tiles_only_grow(store: &dyn Store) {
    let mut script = Script::new();
    script.commit(store, &[("one", &[])]);
    let mut batch = script.batch(&[("two", &[])]);
    for tile in &mut batch.tiles {
        if let Some(byte) = tile.hashes.first_mut() {
            *byte ^= 1;
        }
    }
    unchanged_by(store, &batch, |error| matches!(error, StoreError::Contract(_)));
    let mut batch = script.batch(&[("two", &[])]);
    batch.tiles.push(TileWrite { level: 0, index: 0, hashes: vec![0; TILE_BYTES] });
    unchanged_by(store, &batch, |error| matches!(error, StoreError::Contract(_)));
    script.commit(store, &[("two", &[])]);
}

pub(super) fn documents_stand(store: &dyn Store) {
    let mut script = Script::new();
    let digest = Digest::of(b"paper");
    for text in ["one", "two"] {
        let mut batch = script.batch(&[(text, &[])]);
        batch.documents = vec![(digest, b"paper".to_vec()), (digest, b"paper".to_vec()), (Digest::of(b""), Vec::new())];
        store.commit(&batch).unwrap();
        script.accept(&batch);
    }
    assert_eq!(store.document(&digest).unwrap().as_deref(), Some(b"paper".as_slice()));
    assert_eq!(store.document(&Digest::of(b"")).unwrap().as_deref(), Some(b"".as_slice()));
    assert_eq!(store.document(&Digest::of(b"other")).unwrap(), None);
}

pub(super) fn keeps_the_newest_checkpoint(store: &dyn Store) {
    for note in [b"first".as_slice(), b"second"] {
        store.checkpoint_put(note).unwrap();
        assert_eq!(store.checkpoint().unwrap().as_deref(), Some(note));
    }
}

pub(super) fn takes_a_batch_without_entries(store: &dyn Store) {
    let mut script = Script::new();
    script.commit(store, &[("one", &[])]);
    let mut batch = script.batch(&[]);
    batch.projections.push(Projection { kind: "kind", key: "key".to_owned(), value: Some(b"rebuilt".to_vec()) });
    store.commit(&batch).unwrap();
    assert_eq!(store.projection("kind", "key").unwrap().as_deref(), Some(b"rebuilt".as_slice()));
    batch.root = Digest::of(b"another root");
    unchanged_by(store, &batch, |error| matches!(error, StoreError::Contract(_)));
}

/// Commits a batch that must be refused, and checks that the ledger stands as it stood.
fn unchanged_by(store: &dyn Store, batch: &Batch, expected: impl Fn(&StoreError) -> bool) {
    let state = || {
        let head = store.head().unwrap();
        let entries = store.entries(EntryIndex(0), usize::MAX).unwrap();
        let streams = store.stream_heads("", None, usize::MAX).unwrap();
        (head, entries, streams, store.tile(0, 0).unwrap())
    };
    let before = state();
    let error = store.commit(batch).unwrap_err();
    assert!(expected(&error), "{error:?}");
    assert_eq!(state(), before);
}

fn reply(key: &str) -> Reply {
    Reply { key: key.to_owned(), request: Digest::of(b"request"), body: b"body".to_vec(), at: UnixMillis(1) }
}

fn renumber(batch: &mut Batch, seq: u64) {
    for stream in batch.entries.iter_mut().flat_map(|entry| &mut entry.streams) {
        stream.1 = seq;
    }
}

fn repeat_stream(batch: &mut Batch) {
    for entry in &mut batch.entries {
        entry.streams.extend(entry.streams.first().map(|(name, seq)| (name.clone(), *seq + 1)));
    }
}

fn resize(batch: &mut Batch, size: usize) {
    for entry in &mut batch.entries {
        entry.bytes.resize(size, b'x');
    }
}

fn add_tile(batch: &mut Batch, level: u8, index: u64, size: usize) {
    batch.tiles.retain(|tile| (tile.level, tile.index) != (level, index));
    batch.tiles.push(TileWrite { level, index, hashes: vec![7; size] });
}
