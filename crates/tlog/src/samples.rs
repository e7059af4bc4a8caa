//! Samples for tests: the classic entries, cheap leaves, keys from fixed seeds, and tiles kept in memory.

use std::cell::Cell;
use std::collections::BTreeMap;

use lockgate_model::Digest;
use lockgate_sign::note::{NoteKeyKind, NoteSigner};

use crate::checkpoint::Checkpoint;
use crate::hash::{hash_list, leaf_hash, node_hash};
use crate::proof::TileSource;
use crate::tree::{TileWrite, Tree};

/// The eight entries that certificate transparency implementations test with.
pub(crate) fn classic_entries() -> Vec<Vec<u8>> {
    vec![
        vec![],
        vec![0x00],
        vec![0x10],
        vec![0x20, 0x21],
        vec![0x30, 0x31],
        (0x40..=0x43).collect(),
        (0x50..=0x57).collect(),
        (0x60..=0x6f).collect(),
    ]
}

/// The tree over the classic entries, and its tiles.
pub(crate) fn classic_tree() -> (Tree, MemoryTiles) {
    let (mut tree, mut tiles) = (Tree::empty(), MemoryTiles::default());
    classic_entries().iter().for_each(|entry| tree.append(leaf_hash(entry)));
    tiles.put(tree.take_tiles());
    (tree, tiles)
}

/// The checkpoint of the tree over the classic entries.
pub(crate) fn classic_checkpoint() -> Checkpoint {
    let (tree, _) = classic_tree();
    Checkpoint { origin: "lockgate.example/log/1".to_owned(), size: tree.size(), root: tree.root() }
}

/// The log's key, from the seed 00 01 .. 1f.
pub(crate) fn log_signer() -> NoteSigner {
    NoteSigner::from_seed("lockgate.example/log/1", NoteKeyKind::Ed25519, &seed(0x00)).unwrap()
}

/// The witness's key, from the seed 20 21 .. 3f.
pub(crate) fn witness_signer() -> NoteSigner {
    NoteSigner::from_seed("witness.example/w1", NoteKeyKind::CosignatureEd25519, &seed(0x20)).unwrap()
}

fn seed(first: u8) -> [u8; 32] {
    std::array::from_fn(|position| first + u8::try_from(position).unwrap())
}

/// A leaf hash that costs nothing: the number itself.
pub(crate) fn cheap_leaf(number: u64) -> Digest {
    let mut bytes = [0x5a; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    Digest::from_bytes(bytes)
}

/// The root by the recursive definition of RFC 6962, section 2.1.
pub(crate) fn naive_root(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => Digest::of(b""),
        [leaf] => *leaf,
        _ => {
            let mut split = 1;
            while split * 2 < leaves.len() {
                split *= 2;
            }
            node_hash(&naive_root(&leaves[..split]), &naive_root(&leaves[split..]))
        }
    }
}

/// Tiles in memory; refuses a write that does not extend what it has, and counts reads.
#[derive(Default)]
pub(crate) struct MemoryTiles {
    tiles: BTreeMap<(u8, u64), Vec<u8>>,
    pub(crate) reads: Cell<usize>,
}

impl MemoryTiles {
    pub(crate) fn put(&mut self, writes: Vec<TileWrite>) {
        for write in writes {
            let row = self.tiles.entry((write.level, write.index)).or_default();
            assert!(write.hashes.len() > row.len(), "a written tile has grown");
            assert!(write.hashes.starts_with(row.as_slice()), "a written tile extends what it was");
            assert!(write.hashes.len() <= 8192 && write.hashes.len() % 32 == 0, "a tile is 1 to 256 hashes");
            *row = write.hashes;
        }
    }

    pub(crate) fn get(&self, level: u8, index: u64) -> Option<Vec<u8>> {
        self.tiles.get(&(level, index)).cloned()
    }

    pub(crate) fn hashes(&self, level: u8, index: u64) -> Vec<Digest> {
        hash_list(&self.get(level, index).unwrap())
    }

    /// Level, index and width of every tile, sorted.
    pub(crate) fn shape(&self) -> Vec<(u8, u64, u16)> {
        let width = |row: &Vec<u8>| u16::try_from(row.len() / 32).unwrap();
        self.tiles.iter().map(|((level, index), row)| (*level, *index, width(row))).collect()
    }
}

impl TileSource for MemoryTiles {
    type Error = String;

    fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<u8>, String> {
        self.reads.set(self.reads.get() + 1);
        self.get(level, index).ok_or_else(|| format!("no tile {level}/{index} of width {width}"))
    }
}
