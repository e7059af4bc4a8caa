//! The inner nodes of one tile, hashed once, so that many proofs share them.

use lockgate_model::Digest;

use crate::hash::{hash_list, node_hash};

/// Every perfect subtree within one tile (C2SP tlog-tiles: a tile of width w holds w hashes, at most 256).
///
/// Row 0 is the tile's own hashes; row h has a hash for each 2^h of them that are there. At most 511 hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TileNodes {
    rows: Vec<Vec<Digest>>,
}

impl TileNodes {
    /// Hashes the rows above joined 32-byte hashes; a rest of fewer than 32 bytes is left out.
    pub fn of(bytes: &[u8]) -> Self {
        let mut rows = vec![hash_list(bytes)];
        while let Some(below) = rows.last().filter(|row| row.len() > 1) {
            let parent = |pair: &[Digest]| match pair {
                [left, right] => Some(node_hash(left, right)),
                _ => None,
            };
            rows.push(below.chunks_exact(2).filter_map(parent).collect());
        }
        Self { rows }
    }

    /// How many hashes the tile has.
    pub fn width(&self) -> usize {
        self.rows.first().map_or(0, Vec::len)
    }

    /// The root of the perfect subtree over 2^`height` of the tile's hashes, the `index`-th of its row; `None` where
    /// the tile is too narrow.
    pub fn perfect(&self, height: u32, index: usize) -> Option<Digest> {
        self.rows.get(usize::try_from(height).ok()?)?.get(index).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::perfect_root;
    use crate::samples::cheap_leaf;

    #[test]
    fn every_perfect_subtree_is_there_and_no_other() {
        for width in [1usize, 2, 3, 5, 8, 200, 256] {
            let leaves: Vec<Digest> = (0..width as u64).map(cheap_leaf).collect();
            let bytes: Vec<u8> = leaves.iter().flat_map(|leaf| *leaf.as_bytes()).collect();
            let nodes = TileNodes::of(&bytes);
            assert_eq!(nodes.width(), width);
            for height in 0..=8u32 {
                let count = 1usize << height;
                for index in 0..=width / count {
                    let expected = leaves.get(index * count..(index + 1) * count).map(<[Digest]>::to_vec);
                    assert_eq!(
                        nodes.perfect(height, index),
                        expected.and_then(perfect_root),
                        "{width} {height} {index}"
                    );
                }
            }
        }
        assert_eq!(TileNodes::of(b"short").width(), 0);
    }
}
