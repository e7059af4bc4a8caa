//! The projection port: what can be rebuilt from the ledger, and replies kept for repeated requests.

use lockgate_model::{Digest, UnixMillis};

use crate::{Result, StoreError};

/// The reply to a request that carried an idempotency key.
///
/// INVARIANT (replies stand): a reply is never changed; it can only expire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The idempotency key.
    pub key: String,
    /// The digest of the request that it answered, so that another request with the same key is noticed.
    pub request: Digest,
    /// The reply's bytes.
    pub body: Vec<u8>,
    /// When it was given.
    pub at: UnixMillis,
}

impl Reply {
    /// The error for a key that exists already.
    pub fn conflict(&self) -> StoreError {
        let key: String = self.key.chars().take(128).collect();
        StoreError::Conflict {
            expected: format!("no reply for key `{key}`"),
            found: format!("a reply for key `{key}`"),
        }
    }
}

/// Kind and key of the row that a store puts where projections were, when it has found some of them damaged and has taken
/// them out: whoever has made them again removes it.
pub const DAMAGED: (&str, &str) = ("damaged", "projections");

/// One change of a projection: a row of a kind, by key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Projection {
    /// The kind of row, such as `release`.
    pub kind: &'static str,
    /// The row's key within its kind.
    pub key: String,
    /// The row's new bytes; `None` deletes it, and deleting what is not there does nothing.
    pub value: Option<Vec<u8>>,
}

/// Reads projections and replies; both are written by [`crate::LedgerStore::commit`].
///
/// A projection can be thrown away and rebuilt from the ledger, so no decision may rest on it alone.
pub trait ProjectionStore {
    /// Reads one row.
    ///
    /// # Errors
    /// `Io`, `Corrupt`.
    fn projection(&self, kind: &str, key: &str) -> Result<Option<Vec<u8>>>;

    /// Reads up to `most` rows of a kind in byte order of their keys, strictly after the key `after`.
    ///
    /// # Errors
    /// `Io`, `Corrupt`.
    fn projections(&self, kind: &str, after: Option<&str>, most: usize) -> Result<Vec<(String, Vec<u8>)>>;

    /// Reads the reply for an idempotency key.
    ///
    /// # Errors
    /// `Io`, `Corrupt`.
    fn reply(&self, key: &str) -> Result<Option<Reply>>;

    /// Removes the replies given before a moment, and counts them.
    ///
    /// # Errors
    /// `Full`, `ReadOnly`, `Io`, `Fatal`.
    fn replies_expire(&self, before: UnixMillis) -> Result<u64>;
}
