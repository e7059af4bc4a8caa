//! Inclusion and consistency proofs: verifying them with nothing but the bytes, and making them from tiles.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use lockgate_model::{Digest, EntryIndex, TreeSize};

use crate::hash::{HASH_BYTES, empty_root, join_roots, node_hash};
use crate::nodes::TileNodes;
use crate::tile::{TILE_WIDTH, width_at};

/// Why a proof proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The index is not below the size.
    #[error("entry {index} is not in a tree of {size} entries: use a checkpoint that is newer than the entry")]
    IndexOutOfRange {
        /// The index in question.
        index: EntryIndex,
        /// The size of the tree.
        size: TreeSize,
    },
    /// The sizes are not 1 <= old <= new.
    #[error("no proof leads from size {old} to size {new}: the older size is at least 1 and at most the newer one")]
    SizesOutOfOrder {
        /// The older size.
        old: TreeSize,
        /// The newer size.
        new: TreeSize,
    },
    /// A hash is not 32 bytes long.
    #[error("a hash of {0} bytes is not a SHA-256 hash: it must have 32 bytes")]
    HashLength(usize),
    /// Too many or too few hashes for the position and size.
    #[error("the proof has the wrong number of hashes for its position: it is cut off, or made for another tree")]
    PathLength,
    /// The hashes lead to another root.
    #[error("the proof does not lead to the expected root: the entry, its index or the log was changed")]
    RootMismatch,
}

/// Takes 32 raw bytes as a hash, for proofs that arrive as bytes of any length.
///
/// # Errors
/// [`ProofError::HashLength`] for any other length.
pub fn hash_from_slice(bytes: &[u8]) -> Result<Digest, ProofError> {
    <[u8; HASH_BYTES]>::try_from(bytes).map(Digest::from_bytes).map_err(|_| ProofError::HashLength(bytes.len()))
}

/// Verifies that `leaf` is the leaf hash at `index` in the tree of `size` entries with this `root`.
///
/// `path` goes from the leaf's sibling up to the root's child (RFC 6962, section 2.1.1; RFC 9162, section 2.1.3.2).
///
/// # Errors
/// [`ProofError::IndexOutOfRange`], [`ProofError::PathLength`], [`ProofError::RootMismatch`].
pub fn verify_inclusion(
    index: EntryIndex,
    size: TreeSize,
    leaf: &Digest,
    path: &[Digest],
    root: &Digest,
) -> Result<(), ProofError> {
    // Step 1: the entry lies in the tree, so that size - 1 below is at least 0.
    if index.0 >= size.0 {
        return Err(ProofError::IndexOutOfRange { index, size });
    }
    // Step 2: walk up from the leaf; `first` is the position of our node in its row, `last` that of the row's end.
    let (mut first, mut last) = (index.0, size.0 - 1);
    let mut hash = *leaf;
    for sibling in path {
        if last == 0 {
            return Err(ProofError::PathLength);
        }
        if is_odd(first) || first == last {
            hash = node_hash(sibling, &hash);
            // The last node of a row without sibling rises unchanged until it is a right child.
            while !is_odd(first) && first != 0 {
                first >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        first >>= 1;
        last >>= 1;
    }
    // Step 3: the walk ended at the root, and at the right one.
    if last != 0 {
        return Err(ProofError::PathLength);
    }
    let proven = hash == *root || lockgate_failpoint::planted("inclusion-unchecked");
    if proven { Ok(()) } else { Err(ProofError::RootMismatch) }
}

/// Verifies that the tree of `old` entries with `old_root` is a prefix of the tree of `new` entries with `new_root`.
///
/// `path` is that of RFC 6962, section 2.1.2 (verified as in RFC 9162, section 2.1.4.2). An older size of 0 is
/// refused: it is a prefix of everything, and proves nothing.
///
/// # Errors
/// [`ProofError::SizesOutOfOrder`], [`ProofError::PathLength`], [`ProofError::RootMismatch`].
pub fn verify_consistency(
    old: TreeSize,
    new: TreeSize,
    path: &[Digest],
    old_root: &Digest,
    new_root: &Digest,
) -> Result<(), ProofError> {
    // Step 1: sizes, and the case in which nothing needs a proof.
    if old.0 == 0 || old.0 > new.0 {
        return Err(ProofError::SizesOutOfOrder { old, new });
    }
    if old == new {
        return match path {
            [] if old_root == new_root => Ok(()),
            [] => Err(ProofError::RootMismatch),
            _ => Err(ProofError::PathLength),
        };
    }
    // Step 2: the node that both trees share: the old root itself when its tree is perfect, else the first hash.
    let (head, tail) = path.split_first().ok_or(ProofError::PathLength)?;
    let (seed, rest) = if old.0.is_power_of_two() { (*old_root, path) } else { (*head, tail) };
    let (mut first, mut last) = (old.0 - 1, new.0 - 1);
    while is_odd(first) {
        first >>= 1;
        last >>= 1;
    }
    // Step 3: walk up both trees at once.
    let (mut old_hash, mut new_hash) = (seed, seed);
    for sibling in rest {
        if last == 0 {
            return Err(ProofError::PathLength);
        }
        if is_odd(first) || first == last {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
            while !is_odd(first) && first != 0 {
                first >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        first >>= 1;
        last >>= 1;
    }
    // Step 4: both walks ended at their roots.
    if last != 0 {
        return Err(ProofError::PathLength);
    }
    let same = old_hash == *old_root && new_hash == *new_root;
    let proven = same || lockgate_failpoint::planted("consistency-unchecked");
    if proven { Ok(()) } else { Err(ProofError::RootMismatch) }
}

/// [`verify_inclusion`] for a proof that arrives as raw bytes, whose lengths are not known to be right.
///
/// # Errors
/// As [`verify_inclusion`], and [`ProofError::HashLength`].
pub fn verify_inclusion_bytes<H: AsRef<[u8]>>(
    index: EntryIndex,
    size: TreeSize,
    leaf: &[u8],
    path: &[H],
    root: &[u8],
) -> Result<(), ProofError> {
    verify_inclusion(index, size, &hash_from_slice(leaf)?, &hashes_from_slices(path)?, &hash_from_slice(root)?)
}

/// [`verify_consistency`] for a proof that arrives as raw bytes, whose lengths are not known to be right.
///
/// For two equal sizes nothing is hashed: equal roots are accepted whatever their length, as the public vectors ask.
///
/// # Errors
/// As [`verify_consistency`], and [`ProofError::HashLength`].
pub fn verify_consistency_bytes<H: AsRef<[u8]>>(
    old: TreeSize,
    new: TreeSize,
    path: &[H],
    old_root: &[u8],
    new_root: &[u8],
) -> Result<(), ProofError> {
    if old == new && old.0 > 0 && path.is_empty() && old_root == new_root {
        return Ok(());
    }
    let path = hashes_from_slices(path)?;
    verify_consistency(old, new, &path, &hash_from_slice(old_root)?, &hash_from_slice(new_root)?)
}

fn hashes_from_slices<H: AsRef<[u8]>>(path: &[H]) -> Result<Vec<Digest>, ProofError> {
    path.iter().map(|hash| hash_from_slice(hash.as_ref())).collect()
}

fn is_odd(number: u64) -> bool {
    number & 1 == 1
}

/// Where a prover reads tiles; a contract for stores and caches.
///
/// Consistency: for a size that has been committed, every tile of `tile::tiles_for` is there, and its first `width`
/// hashes are the same for ever. A source may return more than `width` hashes, never fewer. It is not trusted: a wrong
/// tile makes a proof that does not verify.
pub trait TileSource {
    /// Why a tile cannot be read.
    type Error;

    /// Reads a tile: at least `width` (1 to 256) joined hashes of 32 bytes.
    ///
    /// # Errors
    /// The source's own, also for a tile that it does not have.
    fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<u8>, Self::Error>;

    /// The nodes of a tile; a source that is asked often keeps them, so that a proof costs no hashing.
    ///
    /// # Errors
    /// As [`Self::tile`].
    fn nodes(&self, level: u8, index: u64, width: u16) -> Result<Arc<TileNodes>, Self::Error> {
        Ok(Arc::new(TileNodes::of(&self.tile(level, index, width)?)))
    }
}

/// Why a proof could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ProveError<E> {
    /// The index or the sizes are out of range.
    #[error(transparent)]
    Range(ProofError),
    /// The source has fewer hashes than the size demands.
    #[error("tile {index} of level {level} has fewer than {width} hashes: the store is damaged, run `lockgate audit`")]
    ShortTile {
        /// The level.
        level: u8,
        /// The index within the level.
        index: u64,
        /// The hashes that the tree's size demands.
        width: u16,
    },
    /// The source failed.
    #[error("a tile cannot be read: {0}")]
    Tile(E),
}

/// Makes the inclusion proof of `index` in the tree of `size` entries (RFC 6962, section 2.1.1).
///
/// Reads each tile at most once, and at most two a level. The proof is not verified here.
///
/// # Errors
/// [`ProveError`] when the index is out of range or a tile is missing or short.
pub fn prove_inclusion<S: TileSource + ?Sized>(
    index: EntryIndex,
    size: TreeSize,
    source: &S,
) -> Result<Vec<Digest>, ProveError<S::Error>> {
    if index.0 >= size.0 {
        return Err(ProveError::Range(ProofError::IndexOutOfRange { index, size }));
    }
    let mut tiles = Tiles::new(source, size);
    let mut path = Vec::new();
    let (mut start, mut end) = (0, size.0);
    while end - start > 1 {
        let middle = start + split(end - start);
        if index.0 < middle {
            path.push(tiles.range(middle, end)?);
            end = middle;
        } else {
            path.push(tiles.range(start, middle)?);
            start = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// Makes the proof that the tree of `old` entries is a prefix of the tree of `new` entries (RFC 6962, section 2.1.2).
///
/// Reads each tile at most once, and at most two a level. The proof is not verified here.
///
/// # Errors
/// [`ProveError`] unless 1 <= `old` <= `new`, and when a tile is missing or short.
pub fn prove_consistency<S: TileSource + ?Sized>(
    old: TreeSize,
    new: TreeSize,
    source: &S,
) -> Result<Vec<Digest>, ProveError<S::Error>> {
    if old.0 == 0 || old.0 > new.0 {
        return Err(ProveError::Range(ProofError::SizesOutOfOrder { old, new }));
    }
    let mut tiles = Tiles::new(source, new);
    let mut path = Vec::new();
    let (mut start, mut end) = (0, new.0);
    while old.0 < end {
        let middle = start + split(end - start);
        if old.0 <= middle {
            path.push(tiles.range(middle, end)?);
            end = middle;
        } else {
            path.push(tiles.range(start, middle)?);
            start = middle;
        }
    }
    // What is left is the old tree's last perfect subtree; the verifier knows it already when it is the whole old tree.
    if start > 0 {
        path.push(tiles.range(start, end)?);
    }
    path.reverse();
    Ok(path)
}

/// Computes the root of the tree of `size` entries from the tiles at its right edge, at most one a level.
///
/// # Errors
/// [`ProveError`] when a tile is missing or short.
pub fn root_at<S: TileSource + ?Sized>(size: TreeSize, source: &S) -> Result<Digest, ProveError<S::Error>> {
    if size.0 == 0 {
        return Ok(empty_root());
    }
    Tiles::new(source, size).range(0, size.0)
}

/// The largest power of two strictly below `count`, which is at least 2 (RFC 6962, section 2.1).
fn split(count: u64) -> u64 {
    1 << count.saturating_sub(1).max(1).ilog2()
}

/// The tiles of one tree, each read at most once.
struct Tiles<'a, S: ?Sized> {
    source: &'a S,
    size: TreeSize,
    read: BTreeMap<(u8, u64), Arc<TileNodes>>,
}

impl<'a, S: TileSource + ?Sized> Tiles<'a, S> {
    fn new(source: &'a S, size: TreeSize) -> Self {
        Self { source, size, read: BTreeMap::new() }
    }

    /// The root over the entries from `start` up to, not including, `end`; `start` is where a subtree starts.
    fn range(&mut self, start: u64, end: u64) -> Result<Digest, ProveError<S::Error>> {
        let mut roots = Vec::new();
        let mut at = start;
        while at < end {
            let height = (end - at).ilog2();
            roots.push(self.perfect(height, at >> height)?);
            at += 1 << height;
        }
        Ok(join_roots(&roots))
    }

    /// The root of the perfect subtree of 2^height entries at `index` in its row.
    fn perfect(&mut self, height: u32, index: u64) -> Result<Digest, ProveError<S::Error>> {
        let (level, within) = (u8::try_from(height / 8).unwrap_or(u8::MAX), height % 8);
        let first = index << within;
        let tile = first / u64::from(TILE_WIDTH);
        let width = width_at(self.size, level, tile).unwrap_or(TILE_WIDTH);
        let short = || ProveError::ShortTile { level, index: tile, width };
        let nodes = match self.read.entry((level, tile)) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let nodes = self.source.nodes(level, tile, width).map_err(ProveError::Tile)?;
                if nodes.width() < usize::from(width) {
                    return Err(short());
                }
                entry.insert(nodes)
            }
        };
        let [offset, ..] = first.to_le_bytes();
        nodes.perfect(within, usize::from(offset) >> within).ok_or_else(short)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::{from_base64, leaf_hash};
    use crate::samples::{MemoryTiles, cheap_leaf, classic_entries, classic_tree, naive_root};
    use crate::tree::Tree;
    use proptest::prelude::*;

    fn hashes(texts: &[&str]) -> Vec<Digest> {
        texts.iter().map(|text| from_base64(text).unwrap()).collect()
    }

    fn grown(size: u64) -> (Vec<Digest>, Tree, MemoryTiles) {
        let leaves: Vec<Digest> = (0..size).map(cheap_leaf).collect();
        let (mut tree, mut tiles) = (Tree::empty(), MemoryTiles::default());
        leaves.iter().for_each(|leaf| tree.append(*leaf));
        tiles.put(tree.take_tiles());
        (leaves, tree, tiles)
    }

    #[test]
    fn inclusion_of_entry_5_of_the_classic_eight() {
        let (tree, tiles) = classic_tree();
        let leaf = leaf_hash(&classic_entries()[5]);
        assert_eq!(Some(leaf), from_base64("QnGia+DYqE8L1UyMMC58s6O10fpngKQLzOKHNHfatlg="));
        let path = hashes(&[
            "vBoGQ7EuTS18d5GPROD095qDi2z57FtcKD4fTYhZnms=",
            "yoVOoSjtBQtBs1/8G4e46yveRh6eO1WW7Oa51ZdaCuA=",
            "037kGJdt2VdTwcc4Yrk5j6Kiz5tP8P3+izDNlSCWFLc=",
        ]);
        assert_eq!(prove_inclusion(EntryIndex(5), TreeSize(8), &tiles).unwrap(), path);
        let verify = |index: u64, size: u64, path: &[Digest]| {
            verify_inclusion(EntryIndex(index), TreeSize(size), &leaf, path, &tree.root())
        };
        assert_eq!(verify(5, 8, &path), Ok(()));
        assert_eq!(verify(4, 8, &path), Err(ProofError::RootMismatch));
        assert_eq!(verify(5, 8, &path[..2]), Err(ProofError::PathLength));
        assert_eq!(verify(5, 8, &[path.clone(), path.clone()].concat()), Err(ProofError::PathLength));
        assert!(matches!(verify(8, 8, &path), Err(ProofError::IndexOutOfRange { .. })));
        assert!(matches!(verify(0, 0, &[]), Err(ProofError::IndexOutOfRange { .. })));
    }

    #[test]
    fn consistency_of_the_classic_eight_with_their_first_three() {
        let (tree, tiles) = classic_tree();
        let old_root = root_at(TreeSize(3), &tiles).unwrap();
        let path = hashes(&[
            "ApjRIpBtz8EIkstTpzmS/FufST6kybrbJ7eRtBJ6f+c=",
            "B1Bqhf2d0vEg62lPhgEeW7RmLlxBWmKRcDPUqWJEh+c=",
            "+sVCA+fMaWzw38tCySodnbr3CtnmIfS9jZhmLwDjwSU=",
            "a0eq8p7jwq+a+Im8H7klTavTEXfxYjLdaqsDXKOb9uQ=",
        ]);
        assert_eq!(prove_consistency(TreeSize(3), TreeSize(8), &tiles).unwrap(), path);
        let verify = |old: u64, new: u64, path: &[Digest]| {
            verify_consistency(TreeSize(old), TreeSize(new), path, &old_root, &tree.root())
        };
        assert_eq!(verify(3, 8, &path), Ok(()));
        assert_eq!(verify(3, 8, &path[..3]), Err(ProofError::PathLength));
        assert_eq!(verify(3, 8, &[]), Err(ProofError::PathLength));
        assert_eq!(verify(2, 8, &path[1..]), Err(ProofError::PathLength));
        assert_eq!(verify(2, 8, &path[2..]), Err(ProofError::RootMismatch));
        assert_eq!(verify(8, 8, &[]), Err(ProofError::RootMismatch));
        assert!(matches!(verify(0, 8, &[]), Err(ProofError::SizesOutOfOrder { .. })));
        assert!(matches!(verify(8, 3, &path), Err(ProofError::SizesOutOfOrder { .. })));
        let same = |path: &[Digest]| verify_consistency(TreeSize(8), TreeSize(8), path, &tree.root(), &tree.root());
        assert_eq!(same(&[]), Ok(()));
        assert_eq!(same(&path), Err(ProofError::PathLength));
    }

    #[test]
    fn every_pair_of_small_sizes_proves_and_verifies() {
        for new in 1..=40 {
            let (leaves, tree, tiles) = grown(new);
            for other in 1..=new {
                let path = prove_consistency(TreeSize(other), TreeSize(new), &tiles).unwrap();
                let old_root = naive_root(&leaves[..usize::try_from(other).unwrap()]);
                assert_eq!(root_at(TreeSize(other), &tiles).unwrap(), old_root);
                verify_consistency(TreeSize(other), TreeSize(new), &path, &old_root, &tree.root()).unwrap();
                let index = EntryIndex(other - 1);
                let path = prove_inclusion(index, TreeSize(new), &tiles).unwrap();
                verify_inclusion(index, TreeSize(new), &cheap_leaf(index.0), &path, &tree.root()).unwrap();
            }
        }
    }

    #[test]
    fn reads_at_most_two_tiles_a_level() {
        let (_, tree, tiles) = grown(70_000);
        for index in [0, 255, 256, 65_535, 65_536, 69_887, 69_888, 69_999] {
            tiles.reads.set(0);
            let path = prove_inclusion(EntryIndex(index), tree.size(), &tiles).unwrap();
            assert!(tiles.reads.get() <= 6, "index {index}: {} reads", tiles.reads.get());
            verify_inclusion(EntryIndex(index), tree.size(), &cheap_leaf(index), &path, &tree.root()).unwrap();
        }
        for old in [1, 256, 257, 65_536, 69_000] {
            tiles.reads.set(0);
            let old_root = root_at(TreeSize(old), &tiles).unwrap();
            assert!(tiles.reads.get() <= 3, "size {old}: {} reads", tiles.reads.get());
            tiles.reads.set(0);
            let path = prove_consistency(TreeSize(old), tree.size(), &tiles).unwrap();
            assert!(tiles.reads.get() <= 6, "size {old}: {} reads", tiles.reads.get());
            verify_consistency(TreeSize(old), tree.size(), &path, &old_root, &tree.root()).unwrap();
        }
    }

    /// Gives the same bytes for every tile.
    struct Always(Vec<u8>);

    impl TileSource for Always {
        type Error = std::convert::Infallible;
        fn tile(&self, _level: u8, _index: u64, _width: u16) -> Result<Vec<u8>, Self::Error> {
            Ok(self.0.clone())
        }
    }

    #[test]
    fn provers_refuse_bad_ranges_and_short_tiles() {
        let (_, _, tiles) = grown(300);
        assert!(matches!(prove_inclusion(EntryIndex(300), TreeSize(300), &tiles), Err(ProveError::Range(_))));
        assert!(matches!(prove_consistency(TreeSize(0), TreeSize(300), &tiles), Err(ProveError::Range(_))));
        assert!(matches!(prove_consistency(TreeSize(301), TreeSize(300), &tiles), Err(ProveError::Range(_))));
        assert!(matches!(root_at(TreeSize(301), &tiles), Err(ProveError::ShortTile { level: 0, index: 1, width: 45 })));
        assert!(matches!(root_at(TreeSize(600), &tiles), Err(ProveError::ShortTile { .. } | ProveError::Tile(_))));
        let short = Always(vec![0; 31]);
        assert!(matches!(root_at(TreeSize(1), &short), Err(ProveError::ShortTile { .. })));
        // Every size is answered, also the impossible ones.
        let zeros = Always(vec![0; 8192]);
        for size in [1, 255, 1 << 32, (1 << 63) + 1, u64::MAX] {
            assert!(root_at(TreeSize(size), &zeros).is_ok(), "{size}");
            assert!(prove_inclusion(EntryIndex(size - 1), TreeSize(size), &zeros).is_ok(), "{size}");
            assert!(prove_consistency(TreeSize(size / 2 + 1), TreeSize(size), &zeros).is_ok(), "{size}");
        }
    }

    #[test]
    fn hashes_have_32_bytes() {
        assert!(hash_from_slice(&[0; 32]).is_ok());
        assert_eq!(hash_from_slice(&[0; 31]), Err(ProofError::HashLength(31)));
        assert_eq!(hash_from_slice(&[0; 33]), Err(ProofError::HashLength(33)));
        assert_eq!(hash_from_slice(&[]), Err(ProofError::HashLength(0)));
    }

    fn flipped(path: &[Digest], at: usize, bit: usize) -> Vec<Digest> {
        let mut path = path.to_vec();
        let mut bytes = *path[at].as_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        path[at] = Digest::from_bytes(bytes);
        path
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn proofs_verify_and_any_change_fails(
            size in 1u64..2000, at in any::<prop::sample::Index>(), older in any::<prop::sample::Index>(),
            step in any::<prop::sample::Index>(), bit in 0usize..256,
        ) {
            let (leaves, tree, tiles) = grown(size);
            let (root, size) = (tree.root(), tree.size());
            prop_assert_eq!(root, naive_root(&leaves));
            let place = at.index(leaves.len());
            let (index, leaf) = (EntryIndex(place as u64), leaves[place]);
            let path = prove_inclusion(index, size, &tiles).unwrap();
            prop_assert_eq!(verify_inclusion(index, size, &leaf, &path, &root), Ok(()));
            prop_assert!(verify_inclusion(index, size, &cheap_leaf(u64::MAX), &path, &root).is_err());
            if size.0 > 1 {
                let other = EntryIndex((index.0 + 1) % size.0);
                prop_assert!(verify_inclusion(other, size, &leaf, &path, &root).is_err());
                let changed = flipped(&path, step.index(path.len()), bit);
                prop_assert!(verify_inclusion(index, size, &leaf, &changed, &root).is_err());
                prop_assert!(verify_inclusion(index, size, &leaf, &path[1..], &root).is_err());
            }

            let old_place = older.index(leaves.len());
            let old = TreeSize(old_place as u64 + 1);
            let old_root = naive_root(&leaves[..=old_place]);
            let path = prove_consistency(old, size, &tiles).unwrap();
            prop_assert_eq!(root_at(old, &tiles).unwrap(), old_root);
            prop_assert_eq!(verify_consistency(old, size, &path, &old_root, &root), Ok(()));
            prop_assert!(verify_consistency(old, size, &path, &leaf_hash(b"other"), &root).is_err());
            prop_assert!(verify_consistency(old, size, &path, &old_root, &leaf_hash(b"other")).is_err());
            if !path.is_empty() {
                let changed = flipped(&path, step.index(path.len()), bit);
                prop_assert!(verify_consistency(old, size, &changed, &old_root, &root).is_err());
                prop_assert!(verify_consistency(old, size, &path[1..], &old_root, &root).is_err());
            }
        }
    }
}
