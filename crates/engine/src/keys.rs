//! The server's own keys: one signs checkpoints, one signs attestations. Neither can approve anything.

use lockgate_sign::attestation_key::AttestationKey;
use lockgate_sign::note::NoteSigner;

/// The server's own keys.
pub struct LedgerKeys {
    /// Signs checkpoints (Ed25519).
    pub log: NoteSigner,
    /// Signs attestations and wrapped reports (P-256).
    pub attestation: AttestationKey,
}

impl std::fmt::Debug for LedgerKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LedgerKeys({})", self.log.vkey())
    }
}
