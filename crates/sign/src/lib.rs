//! Keys and signatures: public keys, DSSE envelopes, signed notes, SSH signatures, and the one way to count signers.
//!
//! Everything here verifies or makes signatures over bytes that the caller hands in. The algorithm always comes from
//! the key, never from the message, and a key id in a message is never a reason to believe anything: at most it chooses
//! which of the trusted keys is tried. All cryptography is `aws-lc-rs`. Nothing here decides whom to trust: that is the
//! policy's and the ledger's business.

mod armor;
pub mod attestation_key;
mod der;
pub mod dsse;
pub mod jwks;
pub mod jwt;
pub mod minisign_key;
pub mod note;
pub mod passkey;
pub mod public_key;
pub mod quorum;
pub mod ssh;
pub mod ssh_signer;

pub use attestation_key::AttestationKey;
pub use minisign_key::MinisignKey;
pub use public_key::{Algorithm, PublicKey, PublicKeyError, SignatureError};
