//! The right edge of a growing log: all that is needed to append, in memory that grows with the logarithm of its size.

use lockgate_model::{Digest, TreeSize};

use crate::hash::{HASH_BYTES, hash_list, join_roots, node_hash, perfect_root};
use crate::tile::{LEVELS, TILE_BYTES, TILE_WIDTH, hashes_at, partial_width};

/// The largest tree that is restored: far beyond any log, and far from overflow.
const SIZE_MAX: u64 = u64::MAX >> 1;

/// Why a tree cannot be continued.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// The size is beyond 2^63 - 1.
    #[error("a tree of {0} entries is impossible: the stored size is damaged, run `lockgate audit`")]
    TooLarge(TreeSize),
    /// A tile of the right edge is not there.
    #[error("tile {index} of level {level} is missing: the store lost it, run `lockgate audit`")]
    MissingTile {
        /// The level.
        level: u8,
        /// The index within the level.
        index: u64,
    },
    /// A tile of the right edge has fewer hashes than the size demands.
    #[error(
        "tile {index} of level {level} has {size_bytes} bytes instead of {needed_bytes}: the store is damaged, run \
         `lockgate audit`"
    )]
    ShortTile {
        /// The level.
        level: u8,
        /// The index within the level.
        index: u64,
        /// What was found.
        size_bytes: usize,
        /// What the tree's size demands.
        needed_bytes: usize,
    },
}

/// Why a tree could not be restored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError<E> {
    /// What was read makes no tree of that size.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The source failed: that says nothing about what is stored.
    #[error("a tile cannot be read: {0}")]
    Tile(E),
}

/// New content of one tile: 1 to 256 joined hashes of 32 bytes.
///
/// INVARIANT (tiles only grow): content for the same level and index always extends what was written before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TileWrite {
    /// The level, 0 for leaf hashes.
    pub level: u8,
    /// The index within the level.
    pub index: u64,
    /// The joined hashes.
    pub hashes: Vec<u8>,
}

/// The partial tile at the right edge of one level: 0 to 255 joined hashes.
#[derive(Debug, Clone, Default)]
struct Edge {
    hashes: Vec<u8>,
    touched: bool,
}

/// A growing RFC 6962 tree, reduced to its right edge.
///
/// A clone is cheap (at most 8 KiB a level), so that a batch can be tried on one and thrown away on an error.
#[derive(Debug, Clone)]
pub struct Tree {
    size: u64,
    /// One per level that has ever held a hash, from the leaves up.
    edges: Vec<Edge>,
    /// INVARIANT (roots mirror the size): one root for each set bit of `size`, the largest subtree first.
    roots: Vec<Digest>,
    /// Tiles that were completed since the last [`Tree::take_tiles`].
    full: Vec<TileWrite>,
}

impl Tree {
    /// The tree without entries.
    pub fn empty() -> Self {
        Self { size: 0, edges: Vec::new(), roots: Vec::new(), full: Vec::new() }
    }

    /// Restores the tree of `size` entries from the partial tiles at its right edge.
    ///
    /// `edge_tiles` is asked for level, index and width in hashes, once for each level whose partial width is not 0;
    /// it may return more than that width, never less, and `None` for a tile that is not there. The content is not
    /// checked: compare [`Tree::root`] with the stored head before appending.
    ///
    /// # Errors
    /// [`RestoreError::Tree`] for a tile that is missing or short, or an impossible size; [`RestoreError::Tile`] with the
    /// error of `edge_tiles`.
    pub fn restore<E>(
        size: TreeSize,
        mut edge_tiles: impl FnMut(u8, u64, u16) -> Result<Option<Vec<u8>>, E>,
    ) -> Result<Self, RestoreError<E>> {
        if size.0 > SIZE_MAX {
            return Err(TreeError::TooLarge(size).into());
        }
        let mut edges = Vec::new();
        for level in (0..LEVELS).take_while(|level| hashes_at(size, *level) > 0) {
            let width = partial_width(size, level);
            let mut hashes = Vec::new();
            if width > 0 {
                let index = tile_index(size, level);
                let tile = edge_tiles(level, index, width).map_err(RestoreError::Tile)?;
                let tile = tile.ok_or(TreeError::MissingTile { level, index })?;
                let needed_bytes = usize::from(width) * HASH_BYTES;
                let short = TreeError::ShortTile { level, index, size_bytes: tile.len(), needed_bytes };
                hashes.extend_from_slice(tile.get(..needed_bytes).ok_or(short)?);
            }
            edges.push(Edge { hashes, touched: false });
        }
        let roots = edges.iter().rev().flat_map(|edge| edge_roots(&edge.hashes)).collect();
        Ok(Self { size: size.0, edges, roots, full: Vec::new() })
    }

    /// How many entries the tree holds.
    pub fn size(&self) -> TreeSize {
        TreeSize(self.size)
    }

    /// The root hash, with one hash operation for each set bit of the size (RFC 6962, section 2.1).
    pub fn root(&self) -> Digest {
        join_roots(&self.roots)
    }

    /// Appends one leaf hash.
    pub fn append(&mut self, leaf: Digest) {
        let mut hash = leaf;
        let mut level = 0;
        self.edge_push(level, &hash);
        // The new leaf completes one perfect subtree for each trailing set bit of the old size; every eighth of them
        // is a full tile, whose root is one hash of the level above.
        for height in 1..=self.size.trailing_ones() {
            // Relies on INVARIANT (roots mirror the size): there is one to take for each set bit.
            let Some(left) = self.roots.pop() else { break };
            hash = node_hash(&left, &hash);
            if height % 8 == 0 {
                level += 1;
                self.edge_push(level, &hash);
            }
        }
        self.roots.push(hash);
        self.size = self.size.saturating_add(1);
        debug_assert_eq!(u32::try_from(self.roots.len()), Ok(self.size.count_ones()), "roots mirror the size");
    }

    /// Takes every tile that changed since the last call, each once and with all it holds now.
    ///
    /// Completed tiles come first, in the order of completion, then the partial tiles at the right edge, from the
    /// leaves up. A partial tile is never hashed into the level above (tlog-tiles).
    pub fn take_tiles(&mut self) -> Vec<TileWrite> {
        let size = self.size();
        let mut tiles = std::mem::take(&mut self.full);
        for (level, edge) in (0..LEVELS).zip(&mut self.edges) {
            if edge.touched {
                edge.touched = false;
                tiles.push(TileWrite { level, index: tile_index(size, level), hashes: edge.hashes.clone() });
            }
        }
        tiles
    }

    fn edge_push(&mut self, level: u8, hash: &Digest) {
        let index = tile_index(self.size(), level);
        let place = usize::from(level);
        if self.edges.len() <= place {
            self.edges.resize_with(place + 1, Edge::default);
        }
        let Some(edge) = self.edges.get_mut(place) else { return };
        edge.hashes.extend_from_slice(hash.as_bytes());
        edge.touched = true;
        if edge.hashes.len() >= TILE_BYTES {
            edge.touched = false;
            let hashes = std::mem::take(&mut edge.hashes);
            self.full.push(TileWrite { level, index, hashes });
        }
    }
}

/// The index of the tile that takes the next hash of a level.
fn tile_index(size: TreeSize, level: u8) -> u64 {
    hashes_at(size, level) / u64::from(TILE_WIDTH)
}

/// The roots of the perfect subtrees that a partial tile is made of, the largest first.
fn edge_roots(bytes: &[u8]) -> Vec<Digest> {
    let mut rest = hash_list(bytes);
    let mut roots = Vec::new();
    while !rest.is_empty() {
        let after = rest.split_off(1 << rest.len().ilog2());
        roots.extend(perfect_root(rest));
        rest = after;
    }
    roots
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::leaf_hash;
    use crate::samples::{MemoryTiles, cheap_leaf, classic_entries, naive_root};
    use crate::tile::tiles_for;
    use proptest::prelude::*;

    #[test]
    fn roots_of_the_classic_eight_entries() {
        let roots = [
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let mut tree = Tree::empty();
        let mut entries = classic_entries().into_iter();
        for (size, root) in (0u64..).zip(roots) {
            assert_eq!(tree.size(), TreeSize(size));
            assert_eq!(tree.root().hex(), root, "size {size}");
            if let Some(entry) = entries.next() {
                tree.append(leaf_hash(&entry));
            }
        }
        assert_eq!(tree.size(), TreeSize(8));
    }

    #[test]
    fn tiles_of_70_000_entries_have_the_shape_of_the_specification() {
        let leaves: Vec<Digest> = (0..70_000).map(cheap_leaf).collect();
        let mut tree = Tree::empty();
        let mut tiles = MemoryTiles::default();
        for batch in leaves.chunks(4_999) {
            batch.iter().for_each(|leaf| tree.append(*leaf));
            tiles.put(tree.take_tiles());
            assert!(tree.take_tiles().is_empty(), "each change is handed out once");
        }
        let mut expected: Vec<_> = tiles_for(TreeSize(70_000)).map(|id| (id.level(), id.index(), id.width())).collect();
        expected.sort_unstable();
        assert_eq!(tiles.shape(), expected);
        assert_eq!(tree.root(), naive_root(&leaves));
        assert_eq!(tiles.hashes(0, 273), leaves[273 * 256..]);
        assert_eq!(tiles.hashes(1, 0)[3], naive_root(&leaves[3 * 256..4 * 256]));
        assert_eq!(tiles.hashes(1, 1)[16], naive_root(&leaves[272 * 256..273 * 256]));
        assert_eq!(tiles.hashes(2, 0), [naive_root(&leaves[..65_536])]);
    }

    #[test]
    fn restore_refuses_what_is_missing_or_short() {
        let (mut tree, mut tiles) = (Tree::empty(), MemoryTiles::default());
        (0..300).for_each(|number| tree.append(cheap_leaf(number)));
        tiles.put(tree.take_tiles());
        let size = tree.size();
        let mut asked = Vec::new();
        let again = Tree::restore(size, |level, index, width| {
            asked.push((level, index, width));
            Ok::<_, String>(tiles.get(level, index))
        });
        assert_eq!(again.unwrap().root(), tree.root());
        assert_eq!(asked, [(0, 1, 44), (1, 0, 1)]);
        let refused = |size: TreeSize, tile: &dyn Fn(u16) -> Result<Option<Vec<u8>>, String>| {
            Tree::restore(size, |_, _, width| tile(width)).unwrap_err()
        };
        let found = refused(size, &|_| Ok(None));
        assert_eq!(found, RestoreError::Tree(TreeError::MissingTile { level: 0, index: 1 }));
        let found = refused(size, &|width| Ok(Some(vec![0; usize::from(width) * 32 - 1])));
        let short = TreeError::ShortTile { level: 0, index: 1, size_bytes: 1407, needed_bytes: 1408 };
        assert_eq!(found, RestoreError::Tree(short));
        let found = refused(TreeSize(u64::MAX), &|_| Ok(None));
        assert_eq!(found, RestoreError::Tree(TreeError::TooLarge(TreeSize(u64::MAX))));
        // A source that fails is not a tile that is missing.
        let found = refused(size, &|_| Err("the disk".to_owned()));
        assert_eq!(found, RestoreError::Tile("the disk".to_owned()));
        let full = Tree::restore(TreeSize(256), |level, _, _| Ok::<_, String>((level == 1).then(|| vec![7; 32])));
        let root = full.unwrap().root();
        assert_eq!(root, Digest::from_bytes([7; 32]), "nothing is loaded for a level without a partial tile");
        let none = Tree::restore(TreeSize(0), |_, _, _| Ok::<_, String>(None)).unwrap();
        assert_eq!(none.root(), crate::hash::empty_root());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn grows_in_batches_like_the_definition(batches in prop::collection::vec(0usize..400, 1..6)) {
            let (mut tree, mut tiles) = (Tree::empty(), MemoryTiles::default());
            let mut leaves = Vec::new();
            for batch in batches {
                for _ in 0..batch {
                    let leaf = cheap_leaf(leaves.len() as u64);
                    leaves.push(leaf);
                    tree.append(leaf);
                }
                tiles.put(tree.take_tiles());
                prop_assert_eq!(tree.root(), naive_root(&leaves));
            }
            let mut expected: Vec<_> = tiles_for(tree.size()).map(|id| (id.level(), id.index(), id.width())).collect();
            expected.sort_unstable();
            prop_assert_eq!(tiles.shape(), expected);
        }

        #[test]
        fn restored_at_any_size_it_continues_alike(size in 0u64..2000, more in 0u64..600) {
            let (mut tree, mut tiles) = (Tree::empty(), MemoryTiles::default());
            (0..size).for_each(|number| tree.append(cheap_leaf(number)));
            tiles.put(tree.take_tiles());
            let tile = |level, index, _: u16| Ok::<_, String>(tiles.get(level, index));
            let mut again = Tree::restore(tree.size(), tile).unwrap();
            prop_assert_eq!(again.root(), tree.root());
            for number in size..size + more {
                tree.append(cheap_leaf(number));
                again.append(cheap_leaf(number));
            }
            prop_assert_eq!(again.root(), tree.root());
            prop_assert_eq!(again.size(), tree.size());
            prop_assert_eq!(again.take_tiles(), tree.take_tiles());
        }
    }
}
