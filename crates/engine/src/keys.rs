//! The server's own keys: one signs checkpoints, one signs attestations. Neither can approve anything.

use lockgate_model::{Digest, Hasher};
use lockgate_sign::attestation_key::AttestationKey;
use lockgate_sign::note::NoteSigner;

/// The server's own keys.
pub struct LedgerKeys {
    /// Signs checkpoints (Ed25519).
    pub log: NoteSigner,
    /// Signs attestations and wrapped reports (P-256).
    pub attestation: AttestationKey,
}

/// What is signed to make a [`TokenKey`]: no text of a note, which has more than one line.
const TOKEN_KEY: &[u8] = b"lockgate.dev/session-tokens/v1";

/// The key under which tokens of sessions are hashed before they are stored.
///
/// INVARIANT (a session is opened by the server): whoever can write the store and does not have the server's keys cannot
/// make a row that a token of theirs fits.
pub(crate) struct TokenKey([u8; 32]);

impl TokenKey {
    /// Derived from the log key, whose signatures come out the same each time (Ed25519, RFC 8032, section 5.1.6).
    pub(crate) fn new(keys: &LedgerKeys) -> Self {
        Self(*Digest::of(&keys.log.sign_raw(TOKEN_KEY)).as_bytes())
    }

    /// The hash that stands in the store for a token.
    pub(crate) fn hash(&self, token: &str) -> Digest {
        let mut hasher = Hasher::new();
        hasher.update(&self.0);
        // Of one length, so that nobody continues a hash that they have seen.
        hasher.update(Digest::of(token.as_bytes()).as_bytes());
        hasher.finish()
    }
}

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenKey")
    }
}

impl std::fmt::Debug for LedgerKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LedgerKeys({})", self.log.vkey())
    }
}
