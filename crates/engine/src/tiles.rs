//! The store's tile rows as a source for proofs, with the nodes of those that were asked for lately.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use lockgate_store::{Store, StoreError};
use lockgate_tlog::TileNodes;
use lockgate_tlog::proof::{ProveError, TileSource};

use crate::fault::{Fault, Kind};

/// Which tile, at which width: the first `width` hashes of a committed tile never change.
type Key = (u8, u64, u16);

/// The nodes of tiles that proofs were made from lately: all requests of a batch are proven in the same few tiles.
#[derive(Debug, Default)]
pub(crate) struct TileCache(Mutex<HashMap<Key, Arc<TileNodes>>>);

impl TileCache {
    /// How many tiles are kept, of 16 KiB at most.
    const TILES: usize = 64;

    fn get(&self, key: &Key) -> Option<Arc<TileNodes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn put(&self, key: Key, nodes: Arc<TileNodes>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= Self::TILES {
            kept.clear();
        }
        kept.insert(key, nodes);
    }
}

/// Reads tiles from the store, through the cache.
pub(crate) struct Tiles<'a> {
    pub(crate) store: &'a dyn Store,
    pub(crate) cache: &'a TileCache,
}

/// Why a tile cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TileError {
    /// The store failed; another time it may answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is not there.
    #[error("tile {index} of level {level} (width {width}) is missing")]
    Missing { level: u8, index: u64, width: u16 },
}

/// Why nothing could be proven: a store that fails says nothing of the ledger, and everything else is damage.
pub(crate) fn unproven(what: &str, error: ProveError<TileError>) -> Fault {
    match error {
        ProveError::Tile(TileError::Store(error)) => error.into(),
        error => Fault::new(Kind::Integrity, "PROOF_FAILED", format!("{what} cannot be proven: {error}")),
    }
}

impl TileSource for Tiles<'_> {
    type Error = TileError;

    fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<u8>, TileError> {
        let tile = self.store.tile(level, index)?;
        let mut bytes = tile.ok_or(TileError::Missing { level, index, width })?;
        // A later batch may have made it wider; what is beyond the width belongs to a later tree.
        bytes.truncate(usize::from(width) * 32);
        Ok(bytes)
    }

    fn nodes(&self, level: u8, index: u64, width: u16) -> Result<Arc<TileNodes>, TileError> {
        let key = (level, index, width);
        if let Some(nodes) = self.cache.get(&key) {
            return Ok(nodes);
        }
        let nodes = Arc::new(TileNodes::of(&self.tile(level, index, width)?));
        if nodes.width() == usize::from(width) {
            self.cache.put(key, nodes.clone());
        }
        Ok(nodes)
    }
}
