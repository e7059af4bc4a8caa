//! What the memory store holds, and how a batch changes it.

use std::collections::BTreeMap;
use std::sync::Arc;

use lockgate_model::{Digest, EntryIndex, Hasher, Limits, TreeSize};

use crate::ledger::TILE_HASHES;
use crate::{Batch, Head, NewEntry, Reply, Result, Session, StoreError};

/// Everything that a memory store holds.
#[derive(Default)]
pub(super) struct State {
    pub(super) entries: Vec<Vec<u8>>,
    /// `None` before the first commit.
    pub(super) root: Option<Digest>,
    pub(super) tiles: BTreeMap<(u8, u64), Vec<u8>>,
    pub(super) checkpoint: Option<Vec<u8>>,
    pub(super) documents: BTreeMap<Digest, Vec<u8>>,
    /// The index of each entry of a stream; the position is the sequence number.
    pub(super) streams: BTreeMap<String, Vec<EntryIndex>>,
    pub(super) replies: BTreeMap<String, Reply>,
    /// Rows by kind, then by key.
    pub(super) projections: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
    pub(super) sessions: BTreeMap<Digest, Session>,
    pub(super) blobs: BTreeMap<Digest, Arc<Vec<u8>>>,
}

impl State {
    pub(super) fn head(&self) -> Head {
        let empty = Head::empty();
        Head { size: TreeSize(self.entries.len() as u64), root: self.root.unwrap_or(empty.root) }
    }

    /// Checks a batch against the state; changes nothing.
    pub(super) fn check(&self, batch: &Batch) -> Result<()> {
        batch.check_head(&self.head())?;
        batch.check(&Limits::DEFAULT)?;
        for (name, run) in batch.stream_runs()? {
            let newest = self.streams.get(name).and_then(|entries| (entries.len() as u64).checked_sub(1));
            run.check_follows(name, newest)?;
        }
        for tile in &batch.tiles {
            let held = self.tiles.get(&(tile.level, tile.index)).map(Vec::as_slice).unwrap_or_default();
            if !tile.hashes.starts_with(held) {
                return Err(StoreError::Contract(format!(
                    "tile `{}/{}` does not extend what it held",
                    tile.level, tile.index
                )));
            }
        }
        for (index, entry) in (batch.first.0..).zip(&batch.entries) {
            check_leaf(batch, index, entry)?;
        }
        for reply in &batch.replies {
            if self.replies.contains_key(&reply.key) {
                return Err(reply.conflict());
            }
        }
        Ok(())
    }

    /// Applies a batch that [`State::check`] let pass; cannot fail.
    pub(super) fn apply(&mut self, batch: &Batch) {
        for (index, entry) in (batch.first.0..).zip(&batch.entries) {
            self.entries.push(entry.bytes.clone());
            for (name, _) in &entry.streams {
                self.streams.entry(name.as_str().to_owned()).or_default().push(EntryIndex(index));
            }
        }
        for tile in &batch.tiles {
            self.tiles.insert((tile.level, tile.index), tile.hashes.clone());
        }
        self.root = Some(batch.root);
        for (digest, bytes) in &batch.documents {
            self.documents.entry(*digest).or_insert_with(|| bytes.clone());
        }
        for reply in &batch.replies {
            self.replies.insert(reply.key.clone(), reply.clone());
        }
        for row in &batch.projections {
            let rows = self.projections.entry(row.kind.to_owned()).or_default();
            match &row.value {
                Some(value) => rows.insert(row.key.clone(), value.clone()),
                None => rows.remove(&row.key),
            };
        }
    }
}

/// Checks that an entry's leaf hash is its own and stands in its tile at level 0.
fn check_leaf(batch: &Batch, index: u64, entry: &NewEntry) -> Result<()> {
    let mut hasher = Hasher::new();
    hasher.update(&[0]);
    hasher.update(&entry.bytes);
    if hasher.finish() != entry.leaf_hash {
        return Err(StoreError::Contract(format!("the leaf hash of entry {index} is not that of its bytes")));
    }
    let tile = batch.tiles.iter().find(|tile| tile.level == 0 && tile.index == index / TILE_HASHES);
    let place = usize::try_from(index % TILE_HASHES).unwrap_or(usize::MAX);
    let held = tile.and_then(|tile| tile.hashes.chunks_exact(32).nth(place));
    match held == Some(entry.leaf_hash.as_bytes().as_slice()) {
        true => Ok(()),
        false => Err(StoreError::Contract(format!("the leaf hash of entry {index} is not in its tile"))),
    }
}
