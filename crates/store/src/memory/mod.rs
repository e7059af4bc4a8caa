//! A store in memory: stricter than reality, able to fail at every write before or after keeping it, and to be read as
//! something else than what it keeps.
//!
//! On top of what every store checks, it refuses a leaf hash that is not the entry's and an entry whose leaf hash is not
//! in its tile, so that a caller's mistake shows in the first test and not in the first audit.

mod blob;
mod rows;
mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lockgate_model::{Digest, EntryIndex};

use crate::{Result, StoreError};
use state::State;

/// Which write fails, counted from 1 since the faults were set; each fault happens once.
///
/// A write is one call of `commit` (of a batch or of a staged blob), `checkpoint_put`, `replies_expire`, or a session
/// operation other than `session_by_hash`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// The write that fails before it is kept.
    pub fail_before: Option<usize>,
    /// The write that fails after it is kept.
    pub fail_after: Option<usize>,
}

/// What is wrong with what is read; what is kept stays sound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Spoil {
    /// Nothing.
    #[default]
    Nothing,
    /// Tiles cannot be read now.
    TilesFail,
    /// The hash of the first leaf is another.
    TileChanged,
    /// An entry is another.
    EntryChanged(EntryIndex),
    /// A document is gone.
    DocumentLost(Digest),
    /// A document cannot be read now.
    DocumentFails(Digest),
    /// A blob cannot be opened now.
    BlobFails(Digest),
}

/// The memory store. Clones share one content, so a clone is what a restarted process would find.
#[derive(Clone, Default)]
pub struct MemoryStore {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    state: State,
    faults: Faults,
    writes: usize,
    spoil: Spoil,
}

impl MemoryStore {
    /// Makes an empty store without faults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the faults, and counts writes from 1 again.
    pub fn faults_set(&self, faults: Faults) {
        let mut shared = self.lock();
        shared.faults = faults;
        shared.writes = 0;
    }

    /// Says what is wrong with what is read from now on.
    pub fn spoil(&self, spoil: Spoil) {
        self.lock().spoil = spoil;
    }

    /// How many writes were tried since the faults were set.
    pub fn writes(&self) -> usize {
        self.lock().writes
    }

    /// Flips one bit of a stored blob, as a bad disk or a tamperer would; says whether the blob has that bit.
    pub fn blob_flip_bit(&self, digest: &Digest, bit: usize) -> bool {
        let mut shared = self.lock();
        let byte = shared.state.blobs.get_mut(digest).and_then(|bytes| Arc::make_mut(bytes).get_mut(bit / 8));
        match byte {
            Some(byte) => {
                *byte ^= 1 << (bit % 8);
                true
            }
            None => false,
        }
    }

    /// A panic under the lock can only come from a test's own assertion; the state is replaced whole or not at all.
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.lock().state)
    }

    /// Reads something, together with what is wrong now.
    fn read_spoilt<T>(&self, read: impl FnOnce(&State, Spoil) -> T) -> T {
        let shared = self.lock();
        read(&shared.state, shared.spoil)
    }

    /// Runs one write. `work` must check everything before it changes anything.
    fn write<T>(&self, work: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        let mut shared = self.lock();
        shared.writes += 1;
        let this = Some(shared.writes);
        if shared.faults.fail_before == this {
            return Err(StoreError::Injected { persisted: false });
        }
        let value = work(&mut shared.state)?;
        if shared.faults.fail_after == this {
            return Err(StoreError::Injected { persisted: true });
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests;
