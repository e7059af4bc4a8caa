//! Bodies from the store: small ones are rows beside the entries, large ones are blobs.

use std::borrow::Cow;
use std::io::{Cursor, Read};

use lockgate_ledger::bodies::{Bodies, BodyError};
use lockgate_model::{Digest, Limits};
use lockgate_store::{BlobReader, Store, StoreError};

/// Up to this size a body that arrives with a request is kept as a row, in the same transaction as its entry.
pub const ROW_BYTES: usize = 64 * 1024;

/// The store as a source of bodies; what it returns has been hashed.
#[derive(Clone, Copy)]
pub struct StoreBodies<'a>(pub &'a dyn Store);

impl StoreBodies<'_> {
    /// The body that is kept as a row, verified.
    fn row(&self, digest: &Digest) -> Result<Option<Vec<u8>>, BodyError> {
        let row = self.0.document(digest).map_err(|error| failed(digest, &error))?;
        row.map(|bytes| verified(digest, bytes)).transpose()
    }

    /// The body that is kept as a blob, within the limit; the reader verifies it on the way.
    fn blob(&self, digest: &Digest) -> Result<Option<Box<dyn BlobReader>>, BodyError> {
        let reader = self.0.open(digest).map_err(|error| failed(digest, &error))?;
        let limit = Limits::DEFAULT.evidence_bytes;
        match reader {
            Some(reader) if reader.len() > limit => {
                let why = format!("{} bytes are over the limit of {limit} for a body", reader.len());
                Err(BodyError::Unreadable(*digest, why))
            }
            reader => Ok(reader),
        }
    }

    /// The size in bytes of a body that is kept as a blob, without reading it; `None` for a row, and for what is unknown.
    ///
    /// # Errors
    /// [`BodyError::Unreadable`] or [`BodyError::Unreachable`].
    pub fn blob_size(&self, digest: &Digest) -> Result<Option<u64>, BodyError> {
        self.0.stat(digest).map_err(|error| failed(digest, &error))
    }

    /// What is made again from the ledger goes on without a body that is missing or damaged for good, as an audit says;
    /// one that cannot be had now is no reason to make it without.
    ///
    /// # Errors
    /// [`BodyError::Unreachable`].
    pub fn lasting(&self, digest: &Digest) -> Result<Option<Vec<u8>>, BodyError> {
        match self.body(digest) {
            Ok(bytes) => Ok(bytes.map(Cow::into_owned)),
            Err(error @ BodyError::Unreachable(..)) => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// As [`Bodies::body_reader`], for longer than this borrows.
    ///
    /// # Errors
    /// As there.
    pub fn reader(&self, digest: &Digest) -> Result<Option<Box<dyn Read>>, BodyError> {
        match self.row(digest)? {
            Some(bytes) => Ok(Some(Box::new(Cursor::new(bytes)))),
            None => Ok(self.blob(digest)?.map(|reader| Box::new(reader) as Box<dyn Read>)),
        }
    }
}

/// What a store's error says of a body: damage stays, all else may pass.
pub(crate) fn failed(digest: &Digest, error: &StoreError) -> BodyError {
    let why = error.to_string();
    match error {
        StoreError::Corrupt(_)
        | StoreError::CorruptBlob(_)
        | StoreError::DigestMismatch { .. }
        | StoreError::TooLarge { .. } => BodyError::Unreadable(*digest, why),
        _ => BodyError::Unreachable(*digest, why),
    }
}

fn verified(digest: &Digest, bytes: Vec<u8>) -> Result<Vec<u8>, BodyError> {
    let found = Digest::of(&bytes);
    match found == *digest {
        true => Ok(bytes),
        false => Err(BodyError::DigestMismatch { expected: *digest, found }),
    }
}

impl Bodies for StoreBodies<'_> {
    fn body(&self, digest: &Digest) -> Result<Option<Cow<'_, [u8]>>, BodyError> {
        if let Some(bytes) = self.row(digest)? {
            return Ok(Some(Cow::Owned(bytes)));
        }
        let Some(reader) = self.blob(digest)? else { return Ok(None) };
        let mut bytes = Vec::new();
        let mut bounded = reader.take(Limits::DEFAULT.evidence_bytes + 1);
        bounded.read_to_end(&mut bytes).map_err(|error| BodyError::of_read(digest, error.kind(), error.to_string()))?;
        verified(digest, bytes).map(|bytes| Some(Cow::Owned(bytes)))
    }

    fn body_reader(&self, digest: &Digest) -> Result<Option<Box<dyn Read + '_>>, BodyError> {
        Ok(self.reader(digest)?.map(|reader| reader as Box<dyn Read + '_>))
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
