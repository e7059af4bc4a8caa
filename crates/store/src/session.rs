//! The session port: who is signed in, by the hash of a token.

use lockgate_model::{Digest, PersonId, UnixMillis};

use crate::Result;

/// A signed-in person or machine. The token itself is never stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The hash of the token.
    pub token_hash: Digest,
    /// Who signed in.
    pub subject: PersonId,
    /// When.
    pub created: UnixMillis,
    /// When the token was last seen, give or take.
    pub last_used: UnixMillis,
    /// From when on it counts no more.
    pub expires: UnixMillis,
}

/// Keeps sessions; not part of the ledger, and no approval rests on one.
///
/// A store compares no times: the caller checks `expires` against its own clock.
pub trait SessionStore {
    /// Inserts a session; durable when it returns `Ok`.
    ///
    /// # Errors
    /// `Conflict` when the token hash exists already; `Full`, `ReadOnly`, `Io`, `Fatal`.
    fn session_insert(&self, session: &Session) -> Result<()>;

    /// Reads a session, expired or not.
    ///
    /// # Errors
    /// `Io`, `Corrupt`.
    fn session_by_hash(&self, token_hash: &Digest) -> Result<Option<Session>>;

    /// Moves `last_used` forward, never back; says whether the session exists.
    ///
    /// Durable no later than the next commit. Call it once a minute for a session, not once a request.
    ///
    /// # Errors
    /// `Full`, `ReadOnly`, `Io`, `Fatal`.
    fn session_touch(&self, token_hash: &Digest, last_used: UnixMillis) -> Result<bool>;

    /// Removes a session; says whether it existed. Durable when it returns `Ok`.
    ///
    /// # Errors
    /// `Full`, `ReadOnly`, `Io`, `Fatal`.
    fn session_remove(&self, token_hash: &Digest) -> Result<bool>;

    /// Removes every session of a subject, and counts them. Durable when it returns `Ok`.
    ///
    /// # Errors
    /// `Full`, `ReadOnly`, `Io`, `Fatal`.
    fn sessions_remove_for(&self, subject: &PersonId) -> Result<u64>;

    /// Removes the sessions that expire before a moment, and counts them.
    ///
    /// # Errors
    /// `Full`, `ReadOnly`, `Io`, `Fatal`.
    fn sessions_expire(&self, before: UnixMillis) -> Result<u64>;
}
