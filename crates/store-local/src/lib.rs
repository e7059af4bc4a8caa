//! The store of one machine: SQLite for the ledger and what goes with it, files for blobs.
//!
//! ```text
//! <dir>/LOCK                            held by the process that writes
//! <dir>/ledger.db                       SQLite, write-ahead log
//! <dir>/DURABLE                         how much of that log has been flushed
//! <dir>/blobs/sha256/ab/cd/<64 hex>     one file a blob, mode 0444, named by its bytes
//! <dir>/tmp/                            blobs on their way in; emptied at every start
//! <dir>/SUSPECT                         a flush failed; no writing before a restart of the host, or a recheck
//! <dir>/SUSPECT.ready                   that mark, written beforehand: setting it is a new name, and takes no room
//! <dir>/ledger.db.rewritten             the copy that a recheck has made, until it takes its place
//! <dir>/PRACTICE                        a copy that a drill made; no server writes to it
//! ```
//!
//! One process writes ([`LocalStore::open`]); others may read beside it ([`LocalStore::open_read_only`]). Within the
//! writing process one connection writes and a few read, so that readers never wait for the writer.

mod blob;
mod database;
mod durable;
mod fault;
mod halt;
mod hashing;
mod ledger;
mod migration;
pub mod practice;
mod projection;
mod recheck;
mod room;
mod seal;
mod session;
mod standing;
mod store;
mod stream;
mod suspect;
mod wal;

pub use recheck::Recheck;
pub use seal::Mended;
pub use store::{LocalStore, Options};
