//! Storage ports: what the engine may rely on, written as contracts, with a strict memory store and one conformance suite.
//!
//! A store keeps bytes; it is not trusted with meaning. Whatever is read back is checked again by the reader: entries
//! against the tree, documents and blobs against their digests. Five ports, one a noun: [`LedgerStore`], [`StreamStore`],
//! [`ProjectionStore`], [`SessionStore`] and [`BlobStore`]; [`Store`] is all of them together.
//!
//! Rules that hold for every port:
//! - **Consistency**: a read that starts after a write has returned sees that write, on any thread. Each read sees one
//!   moment; two reads may see two moments, the second never earlier than the first.
//! - **Durability**: a write that returned `Ok` survives power loss, unless its own text says less.
//! - **Atomicity**: a write that returned an error other than [`StoreError::Injected`] or [`StoreError::Fatal`] changed
//!   nothing. After those two the outcome is unknown: read the head again before the next step.
//! - **Retries**: no store retries a write. The caller reads the head and decides.
//! - **Trust**: a store may lose, change or invent bytes, and the readers must notice. It is trusted only to say `Ok`
//!   after, and never before, the bytes are durable.

pub mod blob;
#[expect(
    clippy::unwrap_used,
    reason = "the suite is test code that other crates link; a failed step must stop the test"
)]
pub mod conformance;
pub mod error;
pub mod ledger;
pub mod memory;
pub mod projection;
pub mod session;
pub mod stream;

pub use blob::{BlobReader, BlobStore, DIGEST_MISMATCH, StagedBlob, VerifyingReader};
pub use error::{DAMAGED, Result, StoreError};
pub use ledger::{Batch, Head, LedgerStore, NewEntry, TileWrite};
pub use memory::{Faults, MemoryStore, Spoil};
pub use projection::{Projection, ProjectionStore, Reply};
pub use session::{Session, SessionStore};
pub use stream::{StreamHead, StreamStore};

/// All ports together, shareable between threads.
///
/// One thread writes the ledger; any thread reads, stages blobs and keeps sessions.
pub trait Store: LedgerStore + StreamStore + ProjectionStore + SessionStore + BlobStore + Send + Sync {}

impl<T> Store for T where
    T: LedgerStore + StreamStore + ProjectionStore + SessionStore + BlobStore + Send + Sync + ?Sized
{
}
