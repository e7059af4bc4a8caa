//! Time and randomness, as parameters.

use lockgate_model::UnixMillis;

use crate::fault::{Fault, Kind};

/// Where the time comes from. The ledger's time is this, but never earlier than the newest entry.
///
/// A clock that a server runs on must not go back while it runs: what ends by it, such as a session, must not begin again.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> UnixMillis;

    /// Goes on from `time`, where it is behind: what a ledger has recorded is past. A clock that cannot, says what it says.
    fn go_on_from(&self, _time: UnixMillis) {}
}

/// Where randomness comes from.
pub trait Entropy: Send + Sync {
    /// Fills `bytes` with random bytes.
    ///
    /// # Errors
    /// When the generator fails; whoever needs randomness then refuses.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError>;
}

/// The generator failed.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the random generator failed")]
pub struct EntropyError;

impl From<EntropyError> for Fault {
    fn from(error: EntropyError) -> Self {
        Self::new(Kind::Unavailable, "RANDOM_FAILED", error.to_string())
    }
}
