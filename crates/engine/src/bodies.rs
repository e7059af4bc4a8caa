//! Bodies from the store: small ones are rows beside the entries, large ones are blobs.

use std::borrow::Cow;
use std::io::Read;

use lockgate_ledger::bodies::{Bodies, BodyError};
use lockgate_model::{Digest, Limits};
use lockgate_store::Store;

/// Up to this size a body that arrives with a request is kept as a row, in the same transaction as its entry.
pub const ROW_BYTES: usize = 64 * 1024;

/// The store as a source of bodies; what it returns has been hashed.
#[derive(Clone, Copy)]
pub struct StoreBodies<'a>(pub &'a dyn Store);

impl Bodies for StoreBodies<'_> {
    fn body(&self, digest: &Digest) -> Result<Option<Cow<'_, [u8]>>, BodyError> {
        let unreadable = |error: String| BodyError::Unreadable(*digest, error);
        if let Some(bytes) = self.0.document(digest).map_err(|error| unreadable(error.to_string()))? {
            let found = Digest::of(&bytes);
            return match found == *digest {
                true => Ok(Some(Cow::Owned(bytes))),
                false => Err(BodyError::DigestMismatch { expected: *digest, found }),
            };
        }
        let Some(reader) = self.0.open(digest).map_err(|error| unreadable(error.to_string()))? else { return Ok(None) };
        let limit = Limits::DEFAULT.evidence_bytes;
        if reader.len() > limit {
            return Err(unreadable(format!("{} bytes are over the limit of {limit} for a body", reader.len())));
        }
        let mut bytes = Vec::new();
        let mut bounded = reader.take(limit + 1);
        bounded.read_to_end(&mut bytes).map_err(|error| unreadable(error.to_string()))?;
        let found = Digest::of(&bytes);
        match found == *digest {
            true => Ok(Some(Cow::Owned(bytes))),
            false => Err(BodyError::DigestMismatch { expected: *digest, found }),
        }
    }
}

/// Where an uploaded body is.
#[derive(Debug, Clone)]
pub enum Upload {
    /// With the request: becomes a row.
    Inline(Vec<u8>),
    /// Sent before, as a blob.
    Stored(Digest),
}

impl Upload {
    /// Its digest.
    pub fn digest(&self) -> Digest {
        match self {
            Self::Inline(bytes) => Digest::of(bytes),
            Self::Stored(digest) => *digest,
        }
    }
}
