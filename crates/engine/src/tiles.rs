//! The store's tile rows as a source for proofs, with the nodes of those that were asked for lately.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use lockgate_store::Store;
use lockgate_tlog::TileNodes;
use lockgate_tlog::proof::TileSource;

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

impl TileSource for Tiles<'_> {
    type Error = String;

    fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<u8>, String> {
        let tile = self.store.tile(level, index).map_err(|error| error.to_string())?;
        let mut bytes = tile.ok_or_else(|| format!("tile {index} of level {level} (width {width}) is missing"))?;
        // A later batch may have made it wider; what is beyond the width belongs to a later tree.
        bytes.truncate(usize::from(width) * 32);
        Ok(bytes)
    }

    fn nodes(&self, level: u8, index: u64, width: u16) -> Result<Arc<TileNodes>, String> {
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
