//! Cases with several threads.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use lockgate_model::{Digest, EntryIndex, StreamName};

use super::{Script, blob};
use crate::{Store, StoreError};

const BATCHES: u64 = 40;

/// Ends the readers, also when the writer panics.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

pub(super) fn readers_beside_a_writer(store: &dyn Store) {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut size = 0;
                loop {
                    let last = done.load(Ordering::SeqCst);
                    size = check_moment(store, size);
                    if last {
                        break;
                    }
                }
            });
        }
        let _done = Done(&done);
        let mut script = Script::new();
        let governance = [StreamName::governance()];
        for number in 0..BATCHES {
            let (one, two) = (format!("{number} one"), format!("{number} two"));
            script.commit(store, &[(&one, &governance), (&two, &governance)]);
            assert_eq!(store.head().unwrap().size.0, (number + 1) * 2, "a commit is seen at once");
        }
    });
    assert_eq!(store.head().unwrap().size.0, BATCHES * 2);
}

/// Checks that everything a head promises is there, and returns its size.
fn check_moment(store: &dyn Store, before: u64) -> u64 {
    let head = store.head().unwrap();
    let size = head.size.0;
    assert!(size >= before, "the head went back from {before} to {size}");
    assert!(size.is_multiple_of(2), "half a batch is visible");
    if size == 0 {
        return size;
    }
    let expected = format!("{} two", size / 2 - 1);
    assert_eq!(store.entry(EntryIndex(size - 1)).unwrap().as_deref(), Some(expected.as_bytes()));
    assert!(store.entries(EntryIndex(0), usize::MAX).unwrap().len() as u64 >= size);
    assert!(store.tile(0, 0).unwrap().unwrap().len() as u64 >= size * 32);
    let stream = store.stream_head(&StreamName::governance()).unwrap().unwrap();
    assert!(stream.seq + 1 >= size);
    assert_eq!(stream.seq, stream.index.0);
    size
}

pub(super) fn one_of_two_commits_wins(store: &dyn Store) {
    let barrier = Barrier::new(2);
    let commit = |text: &str| {
        let batch = Script::new().batch(&[(text, &[])]);
        barrier.wait();
        store.commit(&batch)
    };
    let (left, right) = thread::scope(|scope| {
        let left = scope.spawn(|| commit("left"));
        let right = scope.spawn(|| commit("right"));
        (left.join().unwrap(), right.join().unwrap())
    });
    let (winner, loser) = match left {
        Ok(()) => ("left", right),
        Err(_) => ("right", left),
    };
    assert!(matches!(loser, Err(StoreError::Conflict { .. })), "{loser:?}");
    assert_eq!(store.entries(EntryIndex(0), 10).unwrap(), [winner.as_bytes().to_vec()]);
}

pub(super) fn same_blob_at_once(store: &dyn Store) {
    let bytes = blob::bytes(1_500_000, 9);
    let barrier = Barrier::new(4);
    thread::scope(|scope| {
        for piece in [65_536, 1000, 700_000, 1_500_000] {
            let (bytes, barrier) = (&bytes, &barrier);
            scope.spawn(move || {
                barrier.wait();
                assert_eq!(blob::put(store, bytes, piece), (Digest::of(bytes), 1_500_000));
            });
        }
    });
    assert_eq!(store.blobs(None, 10).unwrap(), [(Digest::of(&bytes), 1_500_000)]);
}
