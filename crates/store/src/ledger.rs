//! The ledger port: entries, tiles, head and what is committed with them.

use std::collections::{BTreeMap, BTreeSet};

use lockgate_model::{Digest, EntryIndex, Limits, StreamName, TreeSize};

use crate::{Projection, Reply, Result, StoreError};

/// Hashes in a full tile (C2SP tlog-tiles, "Merkle tree").
pub const TILE_HASHES: u64 = 256;

/// Bytes in a full tile: 256 hashes of 32 bytes.
pub const TILE_BYTES: usize = 8192;

/// The highest tile level that a tree of 2^64 entries can have.
pub const TILE_LEVEL_MAX: u8 = 7;

/// How far the ledger reaches, and the root over all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Entries in the tree.
    pub size: TreeSize,
    /// The RFC 6962 root; the hash of nothing for an empty tree.
    pub root: Digest,
}

impl Head {
    /// The head of a ledger without entries (RFC 6962, section 2.1).
    pub fn empty() -> Self {
        Self { size: TreeSize(0), root: Digest::of(b"") }
    }
}

/// One entry to append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntry {
    /// The entry's canonical bytes, from 1 to `Limits::entry_bytes`.
    pub bytes: Vec<u8>,
    /// `SHA-256(0x00 || bytes)` (RFC 6962, section 2.1).
    pub leaf_hash: Digest,
    /// The streams that the entry extends, each at most once, with its sequence number there, from 0.
    pub streams: Vec<(StreamName, u64)>,
}

/// The whole new content of one tile (C2SP tlog-tiles).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TileWrite {
    /// The level, from 0 (leaf hashes) to 7.
    pub level: u8,
    /// The position in the level.
    pub index: u64,
    /// 1 to 256 hashes of 32 bytes; what the tile held before is a prefix of it.
    pub hashes: Vec<u8>,
}

/// Everything that one commit changes.
///
/// The replies, documents and projections of a batch exist exactly when its entries do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The index of the first entry: the size of the head that the batch was made for.
    pub first: EntryIndex,
    /// The entries, in order.
    pub entries: Vec<NewEntry>,
    /// Tiles that are new or wider than before.
    pub tiles: Vec<TileWrite>,
    /// The root over the ledger with these entries.
    pub root: Digest,
    /// Small documents that the entries name, by digest.
    pub documents: Vec<(Digest, Vec<u8>)>,
    /// Replies kept for idempotency keys.
    pub replies: Vec<Reply>,
    /// Changes of projections, applied in order.
    pub projections: Vec<Projection>,
}

impl Batch {
    /// Changes of projections alone: no entry is added, and the head stays what it is.
    pub const fn of_projections(head: &Head, projections: Vec<Projection>) -> Self {
        Self {
            first: EntryIndex(head.size.0),
            entries: Vec::new(),
            tiles: Vec::new(),
            root: head.root,
            documents: Vec::new(),
            replies: Vec::new(),
            projections,
        }
    }

    /// The tree size after the batch.
    pub fn size_after(&self) -> TreeSize {
        TreeSize(self.first.0.saturating_add(self.entries.len() as u64))
    }

    /// Checks what a batch must fulfil whatever the store holds; every store calls it first.
    ///
    /// # Errors
    /// `TooLarge` for an entry over its limit, `DigestMismatch` for a document that is not its digest, `Conflict` for a
    /// reply key that stands twice, `Contract` for an empty entry, a stream that stands twice in one entry, a tile of a
    /// wrong level, width or place, or one that stands twice.
    pub fn check(&self, limits: &Limits) -> Result<()> {
        for entry in &self.entries {
            check_entry(entry, limits)?;
        }
        let mut seen = BTreeSet::new();
        for tile in &self.tiles {
            check_tile(tile, self.size_after())?;
            if !seen.insert((tile.level, tile.index)) {
                return Err(StoreError::Contract(format!(
                    "tile `{}/{}` stands twice in one batch",
                    tile.level, tile.index
                )));
            }
        }
        for (expected, bytes) in &self.documents {
            let found = Digest::of(bytes);
            if found != *expected {
                return Err(StoreError::DigestMismatch { expected: *expected, found });
            }
        }
        let mut keys = BTreeSet::new();
        for reply in &self.replies {
            if !keys.insert(reply.key.as_str()) {
                return Err(reply.conflict());
            }
        }
        Ok(())
    }

    /// Checks that the batch was made for `head`.
    ///
    /// # Errors
    /// `Conflict` when the first index is not the head's size; `Contract` when a batch without entries changes the root.
    pub fn check_head(&self, head: &Head) -> Result<()> {
        if self.first.0 != head.size.0 {
            return Err(StoreError::Conflict {
                expected: format!("ledger size {}", self.first),
                found: format!("ledger size {}", head.size),
            });
        }
        if self.entries.is_empty() && self.root != head.root {
            return Err(StoreError::Contract("a batch without entries changes the root".to_owned()));
        }
        Ok(())
    }

    /// The distinct streams of the batch, each with its first sequence number here and its newest position afterwards.
    ///
    /// # Errors
    /// `Conflict` when the numbers of one stream do not follow each other within the batch.
    pub fn stream_runs(&self) -> Result<BTreeMap<&str, StreamRun>> {
        let mut runs: BTreeMap<&str, StreamRun> = BTreeMap::new();
        for (index, entry) in (self.first.0..).zip(&self.entries) {
            for (name, seq) in &entry.streams {
                let index = EntryIndex(index);
                match runs.get_mut(name.as_str()) {
                    None => {
                        runs.insert(name.as_str(), StreamRun { first_seq: *seq, last_seq: *seq, last_index: index });
                    }
                    Some(run) if run.last_seq.checked_add(1) == Some(*seq) => {
                        run.last_seq = *seq;
                        run.last_index = index;
                    }
                    Some(run) => return Err(stream_conflict(name.as_str(), *seq, Some(run.last_seq))),
                }
            }
        }
        Ok(runs)
    }
}

/// What one batch adds to one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamRun {
    /// The first sequence number.
    pub first_seq: u64,
    /// The last sequence number.
    pub last_seq: u64,
    /// The index of the entry with the last sequence number.
    pub last_index: EntryIndex,
}

impl StreamRun {
    /// Checks that the run follows the newest sequence number that the store holds, `None` for a new stream.
    ///
    /// # Errors
    /// `Conflict` when it does not.
    pub fn check_follows(&self, name: &str, newest: Option<u64>) -> Result<()> {
        let next = newest.map_or(Some(0), |seq| seq.checked_add(1));
        match next == Some(self.first_seq) {
            true => Ok(()),
            false => Err(stream_conflict(name, self.first_seq, newest)),
        }
    }
}

fn stream_conflict(name: &str, seq: u64, newest: Option<u64>) -> StoreError {
    let found = match newest {
        None => format!("stream `{name}` without entries"),
        Some(newest) => format!("stream `{name}` number {newest}"),
    };
    StoreError::Conflict { expected: format!("stream `{name}` just before number {seq}"), found }
}

fn check_entry(entry: &NewEntry, limits: &Limits) -> Result<()> {
    if entry.bytes.is_empty() {
        return Err(StoreError::Contract("an entry is empty".to_owned()));
    }
    if entry.bytes.len() > limits.entry_bytes {
        return Err(StoreError::TooLarge {
            what: "an entry",
            size: entry.bytes.len() as u64,
            most: limits.entry_bytes as u64,
        });
    }
    let mut names = BTreeSet::new();
    for (name, _) in &entry.streams {
        if !names.insert(name.as_str()) {
            return Err(StoreError::Contract(format!("an entry names stream `{name}` twice")));
        }
    }
    Ok(())
}

fn check_tile(tile: &TileWrite, size: TreeSize) -> Result<()> {
    let broken = |what: &str| Err(StoreError::Contract(format!("tile `{}/{}` {what}", tile.level, tile.index)));
    if tile.level > TILE_LEVEL_MAX {
        return broken("is above level 7");
    }
    if tile.hashes.is_empty() || tile.hashes.len() > TILE_BYTES || !tile.hashes.len().is_multiple_of(32) {
        return broken("does not hold 1 to 256 hashes of 32 bytes");
    }
    let in_level = size.0 >> (8 * u32::from(tile.level));
    let before = tile.index.checked_mul(TILE_HASHES);
    let width = before.and_then(|before| in_level.checked_sub(before)).unwrap_or(0).min(TILE_HASHES);
    match width == (tile.hashes.len() / 32) as u64 {
        true => Ok(()),
        false => broken(&format!("does not hold the {width} hashes that a tree of {size} entries has there")),
    }
}

/// Keeps the ledger.
///
/// INVARIANT (ledger only grows): an entry, once committed, is never changed or removed; the head's size never falls.
/// INVARIANT (full tiles stand): a tile only grows at its end, so that a full one never changes.
/// INVARIANT (documents stand): a document is never changed; committing it again does nothing.
/// INVARIANT (commit is all): entries, stream rows, stream heads, tiles, head, documents, replies and projections of a
/// batch become visible and durable together or not at all.
///
/// One thread at a time commits. A store refuses a batch that was made for another head, so a second writer does no harm.
pub trait LedgerStore {
    /// Reads the head: [`Head::empty`] before the first commit.
    ///
    /// # Errors
    /// `Io`, `Corrupt`.
    fn head(&self) -> Result<Head>;

    /// Appends a batch and applies everything that belongs to it; durable when it returns `Ok`.
    ///
    /// # Errors
    /// `Conflict` when the batch was made for another head, when a stream's next number is not the batch's, or when a
    /// reply key exists already; what [`Batch::check`] refuses; `Contract` when a tile does not extend what it held;
    /// `Full`, `ReadOnly`, `Io`. After all of these nothing has changed. `Fatal` when the commit itself failed: the
    /// outcome is unknown and the process must stop.
    fn commit(&self, batch: &Batch) -> Result<()>;

    /// Reads one entry; `None` at or beyond the head's size.
    ///
    /// # Errors
    /// `Io`, `Corrupt`.
    fn entry(&self, index: EntryIndex) -> Result<Option<Vec<u8>>>;

    /// Reads up to `most` entries from `first` on, in order and without a gap; fewer only at the end of the ledger.
    ///
    /// # Errors
    /// `Io`; `Corrupt` when an index is missing.
    fn entries(&self, first: EntryIndex, most: usize) -> Result<Vec<Vec<u8>>>;

    /// Reads a tile as wide as it is now; a narrower one is a prefix of it.
    ///
    /// # Errors
    /// `Io`, `Corrupt`.
    fn tile(&self, level: u8, index: u64) -> Result<Option<Vec<u8>>>;

    /// Reads the newest signed checkpoint.
    ///
    /// # Errors
    /// `Io`, `Corrupt`.
    fn checkpoint(&self) -> Result<Option<Vec<u8>>>;

    /// Replaces the newest signed checkpoint.
    ///
    /// Durable no later than the next commit: power loss may bring back an older one. The head is durable, so the caller
    /// signs it anew; the same head gives no second root.
    ///
    /// # Errors
    /// `Full`, `ReadOnly`, `Io`, `Fatal`.
    fn checkpoint_put(&self, note: &[u8]) -> Result<()>;

    /// Reads a document; the caller hashes it again.
    ///
    /// # Errors
    /// `Io`, `Corrupt`.
    fn document(&self, digest: &Digest) -> Result<Option<Vec<u8>>>;
}
