//! Blobs as files.

use std::fs::{self, Permissions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use lockgate_model::Digest;
use lockgate_store::{BlobStore, DIGEST_MISMATCH, StoreError};
use lockgate_store_local::LocalStore;

use crate::{blob_path, count, open, put};

/// Flips the lowest bit of one byte of a stored blob.
fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    fs::write(path, bytes).unwrap();
}

fn read(store: &LocalStore, digest: &Digest) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    BlobStore::open(store, digest).unwrap().unwrap().read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[test]
fn a_blob_is_one_sealed_file_at_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let digest = put(&store, b"boat");
    let path = blob_path(dir.path(), &digest);
    assert_eq!(fs::read(&path).unwrap(), b"boat");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o444);
    assert_eq!(count(&dir.path().join("tmp")), 0);
}

#[test]
fn a_flipped_bit_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let bytes: Vec<u8> = (0..300_000u32).map(|number| (number % 251) as u8).collect();
    for at in [0, 150_000, 299_999] {
        let digest = put(&store, &bytes);
        assert_eq!(read(&store, &digest).unwrap(), bytes);
        let path = blob_path(dir.path(), &digest);
        flip(&path, at);
        let error = read(&store, &digest).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
        assert!(error.to_string().starts_with(DIGEST_MISMATCH), "{error}");
        let mut again = store.stage().unwrap();
        again.write(&bytes).unwrap();
        let outcome = again.commit(None);
        assert_eq!(outcome, Err(StoreError::CorruptBlob(digest)), "a damaged blob is reported, not replaced");
        fs::remove_file(&path).unwrap();
    }
    assert_eq!(count(&dir.path().join("tmp")), 0);
}

#[test]
fn a_shortened_blob_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let digest = put(&store, b"a long boat");
    let path = blob_path(dir.path(), &digest);
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    fs::write(&path, b"a long b").unwrap();
    assert!(read(&store, &digest).is_err());
}

#[test]
fn another_digest_is_refused_and_nothing_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for size in [4, 3_000_000] {
        let bytes = vec![7; size];
        let mut declared = *Digest::of(&bytes).as_bytes();
        declared[31] ^= 1;
        let mut blob = store.stage().unwrap();
        blob.write(&bytes).unwrap();
        assert_eq!(count(&dir.path().join("tmp")), 1);
        let outcome = blob.commit(Some(Digest::from_bytes(declared)));
        assert!(matches!(outcome, Err(StoreError::DigestMismatch { .. })), "{outcome:?}");
        assert_eq!(count(&dir.path().join("tmp")), 0);
    }
    assert_eq!(count(&dir.path().join("blobs/sha256")), 0);
}

#[test]
fn leftovers_are_removed_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    fs::write(dir.path().join("tmp/4242-0"), b"half a blob").unwrap();
    let store = open(dir.path());
    assert_eq!(count(&dir.path().join("tmp")), 0);
    drop(store);
}

#[test]
fn blobs_outlive_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = vec![9; 20 * 1024 * 1024 + 1];
    let digest = put(&open(dir.path()), &bytes);
    let store = open(dir.path());
    assert_eq!(store.stat(&digest).unwrap(), Some(bytes.len() as u64));
    assert!(read(&store, &digest).unwrap() == bytes);
    assert_eq!(store.blobs(None, 10).unwrap(), [(digest, bytes.len() as u64)]);
}

#[test]
fn a_foreign_name_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let digest = put(&store, b"boat");
    let place = blob_path(dir.path(), &digest);
    fs::write(place.with_file_name("README"), b"not a blob").unwrap();
    assert!(matches!(store.blobs(None, 10), Err(StoreError::Corrupt(_))));
}
