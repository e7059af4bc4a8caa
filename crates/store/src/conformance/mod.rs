//! The suite that every store passes: memory, local, and whatever comes next.
//!
//! [`run`] makes a fresh store for every case and panics at the first broken contract. A case uses only the ports, so it
//! says nothing about how a store keeps its bytes.

mod blob;
mod concurrency;
mod ledger;
mod projection;
mod session;
mod stream;

use std::collections::BTreeMap;

use lockgate_model::{Digest, EntryIndex, Hasher, StreamName};

use crate::{Batch, NewEntry, Store, TileWrite};

/// Runs every case, each over a store that `make` has just made.
///
/// # Panics
/// When a contract is broken.
pub fn run(make: impl Fn() -> Box<dyn Store>) {
    run_ledger(&make);
    run_streams(&make);
    run_projections(&make);
    run_sessions(&make);
    run_blobs(&make);
    run_concurrency(&make);
}

fn each(make: &impl Fn() -> Box<dyn Store>, cases: &[fn(&dyn Store)]) {
    for case in cases {
        let store = make();
        case(store.as_ref());
    }
}

/// Runs the cases of the ledger port.
///
/// # Panics
/// When a contract is broken.
pub fn run_ledger(make: &impl Fn() -> Box<dyn Store>) {
    each(
        make,
        &[
            ledger::starts_empty,
            ledger::keeps_what_was_committed,
            ledger::crosses_a_tile,
            ledger::refuses_another_head,
            ledger::refuses_a_broken_batch_whole,
            ledger::tiles_only_grow,
            ledger::documents_stand,
            ledger::keeps_the_newest_checkpoint,
            ledger::takes_a_batch_without_entries,
        ],
    );
}

/// Runs the cases of the stream port.
///
/// # Panics
/// When a contract is broken.
pub fn run_streams(make: &impl Fn() -> Box<dyn Store>) {
    each(make, &[stream::numbers_follow, stream::pages_have_edges, stream::lists_by_prefix]);
}

/// Runs the cases of the projection port.
///
/// # Panics
/// When a contract is broken.
pub fn run_projections(make: &impl Fn() -> Box<dyn Store>) {
    each(make, &[projection::rows_change_with_entries, projection::replies_stand_and_expire]);
}

/// Runs the cases of the session port.
///
/// # Panics
/// When a contract is broken.
pub fn run_sessions(make: &impl Fn() -> Box<dyn Store>) {
    each(make, &[session::lives_and_ends, session::ends_in_numbers]);
}

/// Runs the cases of the blob port.
///
/// # Panics
/// When a contract is broken.
pub fn run_blobs(make: &impl Fn() -> Box<dyn Store>) {
    each(
        make,
        &[blob::round_trips_sizes, blob::refuses_another_digest, blob::dropping_leaves_nothing, blob::pages_have_edges],
    );
}

/// Runs the cases with several threads.
///
/// # Panics
/// When a contract is broken.
pub fn run_concurrency(make: &impl Fn() -> Box<dyn Store>) {
    each(
        make,
        &[concurrency::readers_beside_a_writer, concurrency::one_of_two_commits_wins, concurrency::same_blob_at_once],
    );
}

/// Writes ledgers for tests: it keeps the leaf hashes and stream numbers that the next batch needs.
///
/// Leaf hashes and the tiles of level 0 are real; roots and the hashes of higher levels are only distinct, because no
/// store computes them.
#[derive(Debug, Clone, Default)]
pub struct Script {
    leaves: Vec<Digest>,
    streams: BTreeMap<StreamName, u64>,
}

impl Script {
    /// Starts at an empty ledger.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the batch that appends entries, each with its text and its streams, to what was accepted so far.
    pub fn batch(&self, entries: &[(&str, &[StreamName])]) -> Batch {
        let mut next = self.clone();
        let new = entries.iter().map(|(text, streams)| next.entry(text, streams)).collect();
        Batch {
            first: EntryIndex(self.leaves.len() as u64),
            entries: new,
            tiles: next.tiles_since(self.leaves.len()),
            root: next.root(),
            documents: Vec::new(),
            replies: Vec::new(),
            projections: Vec::new(),
        }
    }

    /// Takes over a batch that a store has kept.
    pub fn accept(&mut self, batch: &Batch) {
        for entry in &batch.entries {
            self.leaves.push(entry.leaf_hash);
            for (name, seq) in &entry.streams {
                self.streams.insert(name.clone(), *seq + 1);
            }
        }
    }

    /// Makes a batch, commits it and takes it over.
    ///
    /// # Panics
    /// When the store refuses the batch.
    pub fn commit(&mut self, store: &dyn Store, entries: &[(&str, &[StreamName])]) -> Batch {
        let batch = self.batch(entries);
        store.commit(&batch).unwrap();
        self.accept(&batch);
        batch
    }

    /// The root that batches name for the ledger so far.
    pub fn root(&self) -> Digest {
        match self.leaves.len() {
            0 => Digest::of(b""),
            size => Digest::of(format!("root of {size}").as_bytes()),
        }
    }

    fn entry(&mut self, text: &str, streams: &[StreamName]) -> NewEntry {
        let mut hasher = Hasher::new();
        hasher.update(&[0]);
        hasher.update(text.as_bytes());
        let leaf_hash = hasher.finish();
        self.leaves.push(leaf_hash);
        let mut numbered = Vec::new();
        for name in streams {
            let next = self.streams.entry(name.clone()).or_insert(0);
            numbered.push((name.clone(), *next));
            *next += 1;
        }
        NewEntry { bytes: text.as_bytes().to_vec(), leaf_hash, streams: numbered }
    }

    /// The tiles that entries from `before` on have changed.
    fn tiles_since(&self, before: usize) -> Vec<TileWrite> {
        let mut tiles = Vec::new();
        let (mut hashes, mut old, mut level) = (self.leaves.clone(), before, 0u8);
        while hashes.len() > old {
            for (index, chunk) in hashes.chunks(256).enumerate().skip(old / 256) {
                let bytes = chunk.iter().flat_map(|hash| hash.as_bytes().iter().copied()).collect();
                tiles.push(TileWrite { level, index: index as u64, hashes: bytes });
            }
            let above = 0..hashes.len() / 256;
            hashes = above.map(|index| Digest::of(format!("tile {level}/{index}").as_bytes())).collect();
            old /= 256;
            level += 1;
        }
        tiles
    }
}
