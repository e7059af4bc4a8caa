//! The local store against the conformance suite, and what only a store on a disk can get wrong.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed step of a test must stop it")]

mod blobs;
mod ledger;
mod opening;
mod practice;

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use lockgate_model::{Digest, UnixMillis};
use lockgate_store::{Session, Store, conformance};
use lockgate_store_local::{LocalStore, Options};
use tempfile::TempDir;

fn open(dir: &Path) -> LocalStore {
    LocalStore::open(dir, Options::default()).unwrap()
}

/// A session of somebody who signed in.
fn session() -> Session {
    Session {
        token_hash: Digest::of(b"token"),
        subject: "dana".parse().unwrap(),
        created: UnixMillis(1),
        last_used: UnixMillis(2),
        expires: UnixMillis(30),
    }
}

/// Stores a blob in pieces of 64 KiB.
fn put(store: &dyn Store, bytes: &[u8]) -> Digest {
    let mut blob = store.stage().unwrap();
    for piece in bytes.chunks(64 * 1024) {
        blob.write(piece).unwrap();
    }
    blob.commit(Some(Digest::of(bytes))).unwrap().0
}

fn blob_path(dir: &Path, digest: &Digest) -> PathBuf {
    let name = digest.hex();
    dir.join("blobs/sha256").join(&name[..2]).join(&name[2..4]).join(&name)
}

fn count(dir: &Path) -> usize {
    std::fs::read_dir(dir).unwrap().count()
}

#[test]
fn local_conforms() {
    let dirs: RefCell<Vec<TempDir>> = RefCell::default();
    conformance::run(|| {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        dirs.borrow_mut().push(dir);
        Box::new(store)
    });
    for dir in dirs.borrow().iter() {
        assert_eq!(count(&dir.path().join("tmp")), 0, "something was left in tmp");
    }
}
