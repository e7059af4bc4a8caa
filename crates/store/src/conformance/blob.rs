//! Cases of the blob port.

use std::io::Read;

use lockgate_model::Digest;

use crate::{Store, StoreError};

/// Bytes that do not repeat at any power of two.
pub(super) fn bytes(size: usize, seed: u8) -> Vec<u8> {
    (0..=250u8).map(|byte| byte ^ seed).cycle().take(size).collect()
}

pub(super) fn put(store: &dyn Store, bytes: &[u8], piece: usize) -> (Digest, u64) {
    let mut blob = store.stage().unwrap();
    for piece in bytes.chunks(piece) {
        blob.write(piece).unwrap();
    }
    blob.commit(Some(Digest::of(bytes))).unwrap()
}

fn get(store: &dyn Store, digest: &Digest) -> Option<Vec<u8>> {
    let mut reader = store.open(digest).unwrap()?;
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap();
    assert_eq!(reader.len(), bytes.len() as u64);
    assert_eq!(reader.is_empty(), bytes.is_empty());
    Some(bytes)
}

pub(super) fn round_trips_sizes(store: &dyn Store) {
    // From nothing to more than any buffer, and past the size from which a store may hash on another thread.
    for (size, piece) in [(0, 1), (1, 1), (4096, 1000), (262_144, 262_144), (262_145, 65_536), (3_500_000, 999_983)] {
        let bytes = bytes(size, 1);
        let digest = Digest::of(&bytes);
        assert_eq!(get(store, &digest), None);
        assert_eq!(store.stat(&digest).unwrap(), None);
        for _ in 0..2 {
            assert_eq!(put(store, &bytes, piece), (digest, size as u64), "a second copy is the same blob");
        }
        assert_eq!(store.stat(&digest).unwrap(), Some(size as u64));
        assert!(get(store, &digest) == Some(bytes), "{size} bytes did not come back");
    }
    assert_eq!(store.blobs(None, usize::MAX).unwrap().len(), 6);
}

pub(super) fn refuses_another_digest(store: &dyn Store) {
    for size in [0, 10, 2_500_000] {
        let mut blob = store.stage().unwrap();
        blob.write(&bytes(size, 2)).unwrap();
        let expected = Digest::of(b"something else");
        let found = Digest::of(&bytes(size, 2));
        assert_eq!(blob.commit(Some(expected)), Err(StoreError::DigestMismatch { expected, found }));
        assert_eq!(store.stat(&expected).unwrap(), None);
        assert_eq!(store.stat(&found).unwrap(), None);
    }
    assert_eq!(store.blobs(None, 10).unwrap(), []);
}

pub(super) fn dropping_leaves_nothing(store: &dyn Store) {
    for size in [10, 2_500_000] {
        let mut blob = store.stage().unwrap();
        blob.write(&bytes(size, 3)).unwrap();
        drop(blob);
    }
    assert_eq!(store.blobs(None, 10).unwrap(), []);
}

pub(super) fn pages_have_edges(store: &dyn Store) {
    let mut all: Vec<(Digest, u64)> = (0..20).map(|seed| put(store, &bytes(10 + usize::from(seed), seed), 7)).collect();
    all.sort();
    assert_eq!(store.blobs(None, usize::MAX).unwrap(), all);
    assert_eq!(store.blobs(None, 0).unwrap(), []);
    let mut paged = Vec::new();
    let mut after = None;
    loop {
        let page = store.blobs(after, 7).unwrap();
        assert!(page.len() <= 7);
        let Some((last, _)) = page.last() else { break };
        after = Some(*last);
        paged.extend(page);
    }
    assert_eq!(paged, all);
    assert_eq!(store.blobs(Some(Digest::from_bytes([0xff; 32])), 10).unwrap(), []);
}
