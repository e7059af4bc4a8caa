//! Tiles and entry bundles (C2SP tlog-tiles v0.1.0): their names, their widths, and the framing of entries.

use std::fmt;
use std::str::FromStr;

use lockgate_model::{Limits, TreeSize};

use crate::decimal;

/// How many hashes a full tile holds, and how many entries a full bundle holds.
pub const TILE_WIDTH: u16 = 256;
/// The length of a full tile in bytes.
pub const TILE_BYTES: usize = 8192;
/// The longest entry in bytes: its length is written in 16 bits.
pub const ENTRY_MAX_BYTES: usize = 65_535;
/// The highest level that a path may name.
const LEVEL_MAX: u8 = 63;
/// The levels that a tree of 64-bit size can fill.
pub(crate) const LEVELS: u8 = 8;

/// Why a tile or a bundle is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TileError {
    /// Not the one spelling of a tile's path.
    #[error("`{0}` is not a tile: write `tile/<level>/<index>` and, for a partial tile, `.p/<width>`")]
    NotTilePath(String),
    /// Not the one spelling of a bundle's path.
    #[error("`{0}` is not an entry bundle: write `tile/entries/<index>` and, for a partial bundle, `.p/<width>`")]
    NotBundlePath(String),
    /// A level above 63, or a width outside 1 to 256.
    #[error("no tile has level {level} and width {width}: levels are 0 to 63, widths 1 to 256")]
    OutOfRange {
        /// The level asked for.
        level: u8,
        /// The width asked for, in hashes.
        width: u16,
    },
    /// An entry does not fit the framing or the limits.
    #[error("an entry of {size_bytes} bytes is too long: at most {most_bytes} are accepted")]
    EntryTooLong {
        /// Its length.
        size_bytes: usize,
        /// The limit.
        most_bytes: usize,
    },
    /// More than 256 entries.
    #[error("a bundle holds at most 256 entries: split it at multiples of 256")]
    TooManyEntries,
    /// The bytes end inside an entry.
    #[error("the bundle ends inside entry {0}: it is cut off or damaged, fetch it again")]
    CutOff(usize),
}

/// How many complete hashes level `level` holds in a tree of `size` entries: `floor(size / 256^level)`.
pub(crate) fn hashes_at(size: TreeSize, level: u8) -> u64 {
    size.0.checked_shr(8 * u32::from(level)).unwrap_or(0)
}

/// The width of the partial tile at the right edge of a level, 0 to 255; 0 means that there is none (tlog-tiles).
pub fn partial_width(size: TreeSize, level: u8) -> u16 {
    let [low, ..] = hashes_at(size, level).to_le_bytes();
    u16::from(low)
}

/// The width of tile `index` at `level` in a tree of `size` entries; `None` when the tree has no such tile.
pub fn width_at(size: TreeSize, level: u8, index: u64) -> Option<u16> {
    let full = hashes_at(size, level) / u64::from(TILE_WIDTH);
    match partial_width(size, level) {
        _ if index < full => Some(TILE_WIDTH),
        width if index == full && width > 0 => Some(width),
        _ => None,
    }
}

/// All tiles of a tree of `size` entries, level by level from the leaves, each level from the left.
///
/// Lazy: a tree of n entries has about n / 255 tiles.
pub fn tiles_for(size: TreeSize) -> impl Iterator<Item = TileId> {
    (0..LEVELS).take_while(move |level| hashes_at(size, *level) > 0).flat_map(move |level| {
        let full = hashes_at(size, level) / u64::from(TILE_WIDTH);
        let partial = partial_width(size, level);
        let edge = (partial > 0).then_some(TileId { level, index: full, width: partial });
        (0..full).map(move |index| TileId { level, index, width: TILE_WIDTH }).chain(edge)
    })
}

/// One tile: level, index and width in hashes, written `tile/<L>/<N>[.p/<W>]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileId {
    level: u8,
    index: u64,
    width: u16,
}

impl TileId {
    /// Names a tile; `width` is 1 to 256 hashes, where 256 is a full tile.
    ///
    /// # Errors
    /// [`TileError::OutOfRange`].
    pub fn new(level: u8, index: u64, width: u16) -> Result<Self, TileError> {
        if level > LEVEL_MAX || width == 0 || width > TILE_WIDTH {
            return Err(TileError::OutOfRange { level, width });
        }
        Ok(Self { level, index, width })
    }

    /// The level, 0 for leaf hashes.
    pub fn level(&self) -> u8 {
        self.level
    }

    /// The position within its level.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The number of hashes, 1 to 256.
    pub fn width(&self) -> u16 {
        self.width
    }

    /// The path below the log's prefix.
    pub fn path(&self) -> String {
        format!("tile/{}/{}{}", self.level, index_path(self.index), width_path(self.width))
    }
}

impl fmt::Display for TileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path())
    }
}

impl FromStr for TileId {
    type Err = TileError;
    fn from_str(text: &str) -> Result<Self, TileError> {
        let parse = || {
            let (level, place) = text.strip_prefix("tile/")?.split_once('/')?;
            let level = u8::try_from(decimal::parse(level)?).ok()?;
            let (index, width) = parse_place(place)?;
            Self::new(level, index, width).ok()
        };
        parse().ok_or_else(|| TileError::NotTilePath(text.chars().take(96).collect()))
    }
}

/// One bundle of entries: index and width in entries, written `tile/entries/<N>[.p/<W>]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryBundleId {
    index: u64,
    width: u16,
}

impl EntryBundleId {
    /// Names a bundle; `width` is 1 to 256 entries, where 256 is a full bundle.
    ///
    /// # Errors
    /// [`TileError::OutOfRange`].
    pub fn new(index: u64, width: u16) -> Result<Self, TileError> {
        TileId::new(0, index, width).map(|tile| Self { index: tile.index, width: tile.width })
    }

    /// The position; its first entry has 256 times this index.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The number of entries, 1 to 256.
    pub fn width(&self) -> u16 {
        self.width
    }

    /// The path below the log's prefix.
    pub fn path(&self) -> String {
        format!("tile/entries/{}{}", index_path(self.index), width_path(self.width))
    }
}

impl fmt::Display for EntryBundleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path())
    }
}

impl FromStr for EntryBundleId {
    type Err = TileError;
    fn from_str(text: &str) -> Result<Self, TileError> {
        let parse = || {
            let (index, width) = parse_place(text.strip_prefix("tile/entries/")?)?;
            Self::new(index, width).ok()
        };
        parse().ok_or_else(|| TileError::NotBundlePath(text.chars().take(96).collect()))
    }
}

/// Writes an index in groups of three digits, all but the last marked with `x`: 1234067 is `x001/x234/067`.
fn index_path(index: u64) -> String {
    let mut groups = vec![format!("{:03}", index % 1000)];
    let mut rest = index / 1000;
    while rest > 0 {
        groups.push(format!("x{:03}", rest % 1000));
        rest /= 1000;
    }
    groups.reverse();
    groups.join("/")
}

fn width_path(width: u16) -> String {
    if width == TILE_WIDTH { String::new() } else { format!(".p/{width}") }
}

/// Reads `<N>[.p/<W>]`; a full tile has no width in its path, so that it has one spelling.
fn parse_place(text: &str) -> Option<(u64, u16)> {
    match text.split_once(".p/") {
        None => Some((parse_index(text)?, TILE_WIDTH)),
        Some((index, width)) => {
            let width = u16::try_from(decimal::parse(width)?).ok()?;
            (width < TILE_WIDTH).then_some((parse_index(index)?, width))
        }
    }
}

fn parse_index(text: &str) -> Option<u64> {
    let mut index = 0u64;
    for group in text.split('/') {
        let digits = group.strip_prefix('x').unwrap_or(group);
        if digits.len() != 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        index = index.checked_mul(1000)?.checked_add(digits.parse().ok()?)?;
    }
    (index_path(index) == text).then_some(index)
}

/// Joins entries into a bundle: each is preceded by its length in two bytes, big-endian (tlog-tiles).
///
/// # Errors
/// [`TileError::EntryTooLong`] beyond 65,535 bytes, [`TileError::TooManyEntries`] beyond 256.
pub fn encode_bundle<E: AsRef<[u8]>>(entries: &[E]) -> Result<Vec<u8>, TileError> {
    if entries.len() > usize::from(TILE_WIDTH) {
        return Err(TileError::TooManyEntries);
    }
    let mut bytes = Vec::new();
    for entry in entries {
        let entry = entry.as_ref();
        let length = u16::try_from(entry.len())
            .map_err(|_| TileError::EntryTooLong { size_bytes: entry.len(), most_bytes: ENTRY_MAX_BYTES })?;
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(entry);
    }
    Ok(bytes)
}

/// Splits a bundle into its entries, at most 256 and each within `limits.entry_bytes`.
///
/// It does not check that the entries are in the log: compare their leaf hashes with the tile at level 0.
///
/// # Errors
/// [`TileError::EntryTooLong`], [`TileError::TooManyEntries`], [`TileError::CutOff`].
pub fn decode_bundle(bytes: &[u8], limits: &Limits) -> Result<Vec<Vec<u8>>, TileError> {
    let mut entries = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        if entries.len() == usize::from(TILE_WIDTH) {
            return Err(TileError::TooManyEntries);
        }
        let (length, after) = rest.split_first_chunk::<2>().ok_or(TileError::CutOff(entries.len()))?;
        let length = usize::from(u16::from_be_bytes(*length));
        if length > limits.entry_bytes {
            return Err(TileError::EntryTooLong { size_bytes: length, most_bytes: limits.entry_bytes });
        }
        let (entry, after) = after.split_at_checked(length).ok_or(TileError::CutOff(entries.len()))?;
        entries.push(entry.to_vec());
        rest = after;
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check_path(id: TileId, path: &str) {
        assert_eq!(id.path(), path);
        assert_eq!(path.parse::<TileId>().unwrap(), id);
    }

    #[test]
    fn tile_paths_group_their_index() {
        check_path(TileId::new(0, 0, 256).unwrap(), "tile/0/000");
        check_path(TileId::new(0, 999, 256).unwrap(), "tile/0/999");
        check_path(TileId::new(0, 1000, 256).unwrap(), "tile/0/x001/000");
        check_path(TileId::new(2, 1_234_067, 256).unwrap(), "tile/2/x001/x234/067");
        check_path(TileId::new(63, 273, 112).unwrap(), "tile/63/273.p/112");
        assert!(TileId::new(64, 0, 256).is_err());
        assert!(TileId::new(0, 0, 0).is_err());
        assert!(TileId::new(0, 0, 257).is_err());
    }

    #[test]
    fn bundle_paths_group_their_index() {
        let id = EntryBundleId::new(1_234_067, 7).unwrap();
        assert_eq!(id.path(), "tile/entries/x001/x234/067.p/7");
        assert_eq!(id.path().parse::<EntryBundleId>().unwrap(), id);
        for bad in ["tile/0/000", "tile/entries/", "tile/entries/0", "tile/entries/000.p/256", "entries/000"] {
            assert!(bad.parse::<EntryBundleId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn refuses_other_spellings_of_a_path() {
        for bad in [
            "",
            "tile",
            "tile/0",
            "tile/0/",
            "tile/0/0",
            "tile/0/0000",
            "tile/00/000",
            "tile/64/000",
            "tile/256/000",
            "tile/-1/000",
            "tile/entries/000",
            "/tile/0/000",
            "tile/0/000/",
            "tile/0/x000/000",
            "tile/0/x000",
            "tile/0/001/000",
            "tile/0/x001/x000",
            "tile/0/X001/000",
            "tile/0/0x1",
            "tile/0/000.p",
            "tile/0/000.p/",
            "tile/0/000.p/0",
            "tile/0/000.p/01",
            "tile/0/000.p/256",
            "tile/0/000.p/1/2",
            "tile/0/000.p/1.p/1",
            "tile/0/../000",
            "tile/0/00é",
            "tile/0/x018/x446/x744/x073/x709/x551/616",
            "tile/0/000\n",
        ] {
            assert!(bad.parse::<TileId>().is_err(), "{bad:?}");
        }
        assert_eq!("tile/0/x018/x446/x744/x073/x709/x551/615".parse::<TileId>().unwrap().index(), u64::MAX);
    }

    #[test]
    fn a_tree_of_70_000_entries_has_the_shape_of_the_specification() {
        let size = TreeSize(70_000);
        let of_level = |level: u8| tiles_for(size).filter(move |id| id.level() == level).collect::<Vec<_>>();
        assert_eq!(of_level(0).len(), 274);
        assert_eq!(of_level(0).iter().filter(|id| id.width() == 256).count(), 273);
        assert_eq!(of_level(0).last().copied(), Some(TileId::new(0, 273, 112).unwrap()));
        assert_eq!(of_level(1), [TileId::new(1, 0, 256).unwrap(), TileId::new(1, 1, 17).unwrap()]);
        assert_eq!(of_level(2), [TileId::new(2, 0, 1).unwrap()]);
        assert_eq!(tiles_for(size).count(), 277);
        assert_eq!(
            tiles_for(TreeSize(256)).collect::<Vec<_>>(),
            [TileId::new(0, 0, 256).unwrap(), TileId::new(1, 0, 1).unwrap()]
        );
        assert_eq!(tiles_for(TreeSize(0)).count(), 0);
        assert_eq!(width_at(size, 0, 272), Some(256));
        assert_eq!(width_at(size, 0, 273), Some(112));
        assert_eq!(width_at(size, 0, 274), None);
        assert_eq!(width_at(size, 3, 0), None);
        assert_eq!(width_at(TreeSize(256), 0, 1), None);
        assert_eq!(partial_width(TreeSize(u64::MAX), 7), 255);
        assert_eq!(partial_width(TreeSize(u64::MAX), 8), 0);
        assert_eq!(partial_width(TreeSize(u64::MAX), 63), 0);
    }

    #[test]
    fn bundles_are_framed_and_bounded() {
        let limits = Limits::DEFAULT;
        let bytes = encode_bundle(&[b"".as_slice(), b"ab"]).unwrap();
        assert_eq!(bytes, [0, 0, 0, 2, b'a', b'b']);
        assert_eq!(decode_bundle(&bytes, &limits).unwrap(), [b"".to_vec(), b"ab".to_vec()]);
        assert_eq!(decode_bundle(&[0, 0, 0, 2, b'a'], &limits), Err(TileError::CutOff(1)));
        assert_eq!(decode_bundle(&[0], &limits), Err(TileError::CutOff(0)));
        assert!(encode_bundle(&[vec![0u8; ENTRY_MAX_BYTES]]).is_ok());
        assert!(encode_bundle(&[vec![0u8; ENTRY_MAX_BYTES + 1]]).is_err());
        let long = encode_bundle(&[vec![0u8; limits.entry_bytes + 1]]).unwrap();
        assert!(matches!(decode_bundle(&long, &limits), Err(TileError::EntryTooLong { .. })));
        assert_eq!(encode_bundle(&[b""; 257]), Err(TileError::TooManyEntries));
        assert_eq!(decode_bundle(&[0; 512], &limits).unwrap().len(), 256);
        assert_eq!(decode_bundle(&[0; 514], &limits), Err(TileError::TooManyEntries));
    }

    proptest! {
        #[test]
        fn paths_round_trip(level in 0u8..=63, index in any::<u64>(), width in 1u16..=256) {
            let tile = TileId::new(level, index, width).unwrap();
            prop_assert_eq!(tile.to_string().parse::<TileId>().unwrap(), tile);
            let bundle = EntryBundleId::new(index, width).unwrap();
            prop_assert_eq!(bundle.to_string().parse::<EntryBundleId>().unwrap(), bundle);
        }

        #[test]
        fn bundles_round_trip(entries in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..=256)) {
            let bytes = encode_bundle(&entries).unwrap();
            prop_assert_eq!(decode_bundle(&bytes, &Limits::DEFAULT).unwrap(), entries);
        }
    }
}
