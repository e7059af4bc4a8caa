//! The stream port: which entries belong to a named chain.

use lockgate_model::{EntryIndex, StreamName};

use crate::Result;

/// The newest entry of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamHead {
    /// Its sequence number in the stream, from 0.
    pub seq: u64,
    /// Its index in the ledger.
    pub index: EntryIndex,
}

/// Finds entries by stream; written only by [`crate::LedgerStore::commit`].
///
/// INVARIANT (streams have no gap): the numbers of a stream are 0, 1, 2 and so on, and their indices only grow.
///
/// A store is a finder here, not a witness: that a stream is complete is proved by the entries themselves, each of which
/// names the one before.
pub trait StreamStore {
    /// Reads the newest entry of a stream; `None` for a stream without entries.
    ///
    /// # Errors
    /// `Io`, `Corrupt`.
    fn stream_head(&self, name: &StreamName) -> Result<Option<StreamHead>>;

    /// Reads up to `most` pairs of number and index, oldest first, from number `from_seq` on.
    ///
    /// # Errors
    /// `Io`, `Corrupt`.
    fn stream_page(&self, name: &StreamName, from_seq: u64, most: usize) -> Result<Vec<(u64, EntryIndex)>>;

    /// Reads up to `most` pairs of number and index, newest first, before number `before_seq` or from the end.
    ///
    /// # Errors
    /// `Io`, `Corrupt`.
    fn stream_page_newest(
        &self,
        name: &StreamName,
        before_seq: Option<u64>,
        most: usize,
    ) -> Result<Vec<(u64, EntryIndex)>>;

    /// Reads up to `most` streams whose names start with `prefix`, in byte order, strictly after the name `after`.
    ///
    /// # Errors
    /// `Io`; `Corrupt` when a stored name is not a stream name.
    fn stream_heads(&self, prefix: &str, after: Option<&str>, most: usize) -> Result<Vec<(StreamName, StreamHead)>>;
}
