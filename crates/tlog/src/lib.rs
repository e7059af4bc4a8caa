//! The transparency log without its storage: the RFC 6962 tree, C2SP tiles, proofs, checkpoints, cosignatures, and
//! the proof and policy files that an offline verifier reads.
//!
//! Nothing here reads a clock, a file or a socket. A prover reads tiles through [`TileSource`]; a verifier needs
//! nothing but the bytes in its hands. Formats are those of C2SP, unchanged: signed-note v1.0.0,
//! tlog-checkpoint v1.0.0, tlog-tiles v0.1.0, tlog-cosignature v1.0.1, tlog-proof and tlog-policy.

pub mod checkpoint;
pub mod cosignature;
mod decimal;
pub mod hash;
pub mod nodes;
pub mod policy_file;
pub mod proof;
pub mod proof_file;
pub mod tile;
pub mod tree;

#[cfg(test)]
mod merkle_vectors;
#[cfg(test)]
mod samples;

pub use checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint};
pub use cosignature::CosignatureError;
pub use hash::{empty_root, leaf_hash, node_hash};
pub use nodes::TileNodes;
pub use policy_file::{PolicyFileError, QuorumMet, TrustError, TrustPolicy};
pub use proof::{ProofError, ProveError, TileSource};
pub use proof_file::{ProofFile, ProofFileError, VerifiedEntry};
pub use tile::{EntryBundleId, TileError, TileId};
pub use tree::{RestoreError, TileWrite, Tree, TreeError};
