//! Practice copies: one moment of a store that somebody writes, and damage that stays in the copy.

use std::fs;
use std::io::Read;

use lockgate_model::{Digest, EntryIndex, StreamName, TreeSize};
use lockgate_store::conformance::Script;
use lockgate_store::{BlobStore, Head, LedgerStore, NewEntry, StoreError, StreamStore, TileWrite};
use lockgate_store_local::practice::PracticeCopy;
use lockgate_store_local::{LocalStore, Options};

use crate::{blob_path, open, put};

fn read_only(copy: &PracticeCopy) -> LocalStore {
    LocalStore::open_read_only(copy.dir(), Options::default()).unwrap()
}

fn hashes(count: u8) -> Vec<u8> {
    (0..count).flat_map(|number| [number; 32]).collect()
}

#[test]
fn a_copy_is_one_moment_and_its_writer_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (live, to) = (dir.path().join("live"), dir.path().join("copy"));
    let store = open(&live);
    let mut script = Script::new();
    script.commit(&store, &[("one", &[StreamName::governance()])]);
    let copy = PracticeCopy::take(&live, &to).unwrap();
    script.commit(&store, &[("two", &[])]);
    assert_eq!(store.head().unwrap().size, TreeSize(2));
    assert_eq!(read_only(&copy).head().unwrap().size, TreeSize(1));
    assert!(matches!(PracticeCopy::take(&dir.path().join("none"), &to), Err(StoreError::NotFound(_))));
    // Nobody but the drill itself writes to it.
    let refused = LocalStore::open(copy.dir(), Options::default()).err().unwrap();
    assert!(matches!(refused, StoreError::Practice(_)), "{refused}");
    assert_eq!(copy.open().unwrap().head().unwrap().size, TreeSize(1));
}

#[test]
fn rows_are_damaged_in_the_copy_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("live"));
    let mut script = Script::new();
    let governance = StreamName::governance();
    let governed = std::slice::from_ref(&governance);
    script.commit(&store, &[("one", governed), ("two", governed), ("three", &[])]);
    let base = PracticeCopy::take(&dir.path().join("live"), &dir.path().join("base")).unwrap();
    let copy = base.again(&dir.path().join("copy")).unwrap();

    let damage = copy.damage().unwrap();
    damage.entry_edit(EntryIndex(0), b"edited").unwrap();
    assert!(matches!(damage.entry_edit(EntryIndex(9), b"edited"), Err(StoreError::Contract(_))));
    damage.document_put(&Digest::of(b"name"), b"other bytes").unwrap();
    let streams = vec![(governance.clone(), 1)];
    let other = NewEntry { bytes: b"other".to_vec(), leaf_hash: Digest::of(b"leaf"), streams };
    damage.entries_from(EntryIndex(1), &[other]).unwrap();
    let tile = TileWrite { level: 0, index: 0, hashes: hashes(2) };
    let head = Head { size: TreeSize(2), root: Digest::of(b"root") };
    damage.tree_from(EntryIndex(1), &[tile], &head).unwrap();
    drop(damage);

    let damaged = read_only(&copy);
    assert_eq!(damaged.head().unwrap(), head);
    assert_eq!(damaged.entries(EntryIndex(0), 9).unwrap(), [b"edited".to_vec(), b"other".to_vec()]);
    assert_eq!(damaged.tile(0, 0).unwrap(), Some(hashes(2)));
    assert_eq!(damaged.document(&Digest::of(b"name")).unwrap().as_deref(), Some(b"other bytes".as_slice()));
    assert_eq!(damaged.stream_page(&governance, 0, 9).unwrap(), [(0, EntryIndex(0)), (1, EntryIndex(1))]);
    assert_eq!(damaged.stream_head(&governance).unwrap().map(|head| (head.seq, head.index)), Some((1, EntryIndex(1))));
    for sound in [&store, &read_only(&base)] {
        assert_eq!(sound.head().unwrap().size, TreeSize(3));
        assert_eq!(sound.entry(EntryIndex(0)).unwrap().as_deref(), Some(b"one".as_slice()));
    }
}

#[test]
fn a_shorter_ledger_has_shorter_tiles_and_streams() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("live"));
    let texts: Vec<String> = (0..300).map(|number| format!("entry {number}")).collect();
    let person: StreamName = "person:dana".parse().unwrap();
    let entries: Vec<(&str, &[StreamName])> =
        texts.iter().map(|text| (text.as_str(), std::slice::from_ref(&person))).collect();
    Script::new().commit(&store, &entries);
    let copy = PracticeCopy::take(&dir.path().join("live"), &dir.path().join("copy")).unwrap();
    let check = |size: u64, widths: [Option<usize>; 3]| {
        let copy = copy.again(&dir.path().join(format!("{size}"))).unwrap();
        let damage = copy.damage().unwrap();
        damage.entries_from(EntryIndex(size), &[]).unwrap();
        let head = Head { size: TreeSize(size), root: Digest::of(b"root") };
        damage.tree_from(EntryIndex(size), &[], &head).unwrap();
        let damaged = read_only(&copy);
        let width = |level, index| damaged.tile(level, index).unwrap().map(|tile| tile.len() / 32);
        assert_eq!([width(0, 0), width(0, 1), width(1, 0)], widths, "{size}");
        let newest = damaged.stream_head(&person).unwrap().map(|head| head.seq + 1);
        assert_eq!(newest, (size > 0).then_some(size), "{size}");
    };
    check(299, [Some(256), Some(43), Some(1)]);
    check(256, [Some(256), None, Some(1)]);
    check(255, [Some(255), None, None]);
    check(0, [None, None, None]);
}

#[test]
fn a_blob_is_damaged_in_the_copy_alone() {
    let dir = tempfile::tempdir().unwrap();
    let live = dir.path().join("live");
    let store = open(&live);
    let (boat, gate) = (put(&store, b"boat"), put(&store, b"gate"));
    let base = PracticeCopy::take(&live, &dir.path().join("base")).unwrap();
    let (flipped, removed) =
        (base.again(&dir.path().join("flipped")).unwrap(), base.again(&dir.path().join("removed")).unwrap());
    flipped.blob_flip(&boat).unwrap();
    removed.blob_remove(&boat).unwrap();
    let read = |copy: &PracticeCopy, digest: &Digest| {
        let mut bytes = Vec::new();
        let read = BlobStore::open(&read_only(copy), digest).unwrap().map(|mut reader| reader.read_to_end(&mut bytes));
        read.map(|read| read.is_ok())
    };
    assert_eq!((read(&flipped, &boat), read(&flipped, &gate)), (Some(false), Some(true)));
    assert_eq!((read(&removed, &boat), read(&removed, &gate)), (None, Some(true)));
    assert_eq!((read(&base, &boat), read(&base, &gate)), (Some(true), Some(true)));
    assert_eq!(fs::read(blob_path(&live, &boat)).unwrap(), b"boat");
    let unknown = Digest::of(b"unknown");
    assert!(matches!(base.again(&dir.path().join("none")).unwrap().blob_flip(&unknown), Err(StoreError::NotFound(_))));
    // Throwing the copies away follows no link.
    fs::remove_dir_all(flipped.dir()).unwrap();
    fs::remove_dir_all(removed.dir()).unwrap();
    assert_eq!(fs::read(blob_path(&live, &gate)).unwrap(), b"gate");
}
