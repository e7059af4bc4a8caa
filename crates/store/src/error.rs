//! Why a store refused or failed.

use lockgate_model::Digest;

/// The result of a storage operation.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// How a message begins that tells of stored bytes which are not what was stored.
pub const DAMAGED: &str = "the store is damaged";

/// Why a store refused or failed.
///
/// `Fatal` asks the caller to stop the process: nothing may be built on a store whose flush failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The write was made for another state than the store is in; nothing was written.
    #[error("the store is at {found}, not at {expected}: read the state again and rebuild the write")]
    Conflict {
        /// What the write was made for.
        expected: String,
        /// What the store holds.
        found: String,
    },
    /// The thing that the operation needs is not there.
    #[error("the store does not hold {0}")]
    NotFound(String),
    /// No room is left; nothing was written, and reads keep working.
    #[error("the store is full: {0}; free space, then try again")]
    Full(String),
    /// The store was opened for reading, or its medium cannot be written.
    #[error("the store is read-only: {0}")]
    ReadOnly(String),
    /// Stored bytes are not what was stored.
    #[error("{DAMAGED}: {0}; keep it as it is and restore a backup beside it")]
    Corrupt(String),
    /// The bytes of a blob are not those that its digest names.
    #[error("{DAMAGED}: the blob `{0}` is not what was stored; keep it as it is and restore a backup beside it")]
    CorruptBlob(Digest),
    /// A flush or a commit failed: stop the process, retry nothing.
    #[error("a durable write failed: {0}; the process must stop, and its next start reads what was kept")]
    Fatal(String),
    /// The operating system failed an operation.
    #[error("the store cannot be reached: {0}")]
    Io(String),
    /// Something is larger than a limit of [`lockgate_model::Limits`].
    #[error("{what} has {size} bytes, more than the {most} allowed: make it smaller")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        most: u64,
    },
    /// Bytes do not hash to the digest that they were declared with; nothing was kept.
    #[error("the bytes hash to `{found}`, not to the declared `{expected}`: send the right bytes or the right digest")]
    DigestMismatch {
        /// The declared digest.
        expected: Digest,
        /// What the bytes hash to.
        found: Digest,
    },
    /// The caller broke a contract of a port; nothing was written.
    #[error("a write breaks the store's contract: {0}")]
    Contract(String),
    /// Another process owns the store.
    #[error("the store is in use: {0}")]
    Locked(String),
    /// The store is a copy that a drill made.
    #[error("`{0}` is a copy that a drill made, and parts of it are links to the original: no server runs on it")]
    Practice(String),
    /// The store was written by a version that this one does not know.
    #[error("the store has schema {found}, this version knows {known}: {hint}")]
    Schema {
        /// The schema on disk.
        found: i64,
        /// The newest schema that this version knows.
        known: i64,
        /// What to do next.
        hint: &'static str,
    },
    /// A fault that a test asked of the memory store.
    #[error("an injected fault: the write was {}", outcome(.persisted))]
    Injected {
        /// Whether the write had been kept before the fault.
        persisted: bool,
    },
}

fn outcome(persisted: &bool) -> &'static str {
    match persisted {
        true => "kept",
        false => "lost",
    }
}

impl StoreError {
    /// Whether the process must stop.
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::Fatal(_))
    }
}
