//! Bodies: the bytes that entries name by digest.

use std::borrow::Cow;
use std::collections::BTreeMap;

use lockgate_model::Digest;

/// Where bodies (manifests, evidence, policy sets, facts, decisions, approval documents) come from.
///
/// The source is not trusted with content: what it returns has been hashed, or is hashed by [`BodyMap`].
pub trait Bodies {
    /// The bytes whose digest is `digest`, or `None` when the source does not have them.
    ///
    /// # Errors
    /// [`BodyError`] when the source has bytes under that name, but cannot read them or they hash to another digest.
    fn body(&self, digest: &Digest) -> Result<Option<Cow<'_, [u8]>>, BodyError>;
}

/// Why a body cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The bytes under this name are others.
    #[error("the bytes stored as {expected} hash to {found}")]
    DigestMismatch {
        /// The name.
        expected: Digest,
        /// What is there.
        found: Digest,
    },
    /// The source failed.
    #[error("cannot read {0}: {1}")]
    Unreadable(Digest, String),
    /// Nothing is stored under this name.
    #[error("the body {0} is missing")]
    Missing(Digest),
}

/// Reads a body that must be there.
///
/// # Errors
/// [`BodyError::Missing`] too.
pub fn required<'a>(bodies: &'a dyn Bodies, digest: &Digest) -> Result<Cow<'a, [u8]>, BodyError> {
    bodies.body(digest)?.ok_or(BodyError::Missing(*digest))
}

/// Bodies in memory, as a bundle carries them.
///
/// INVARIANT (a body is its digest): every value hashes to its key, because `insert` computes the key.
#[derive(Debug, Clone, Default)]
pub struct BodyMap(BTreeMap<Digest, Vec<u8>>);

impl BodyMap {
    /// Adds bytes and returns their name.
    pub fn insert(&mut self, bytes: Vec<u8>) -> Digest {
        let digest = Digest::of(&bytes);
        self.0.insert(digest, bytes);
        digest
    }
    /// Every body, in order of digest.
    pub fn iter(&self) -> impl Iterator<Item = (&Digest, &Vec<u8>)> {
        self.0.iter()
    }
}

impl Bodies for BodyMap {
    fn body(&self, digest: &Digest) -> Result<Option<Cow<'_, [u8]>>, BodyError> {
        Ok(self.0.get(digest).map(|bytes| Cow::Borrowed(bytes.as_slice())))
    }
}
