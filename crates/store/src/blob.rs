//! The blob port: artifacts and evidence, named by their digests.

use std::io::{self, Read};

use lockgate_model::{Digest, Hasher};

use crate::Result;

/// How the message of a reader's error starts when the stored bytes are not the blob's.
pub const DIGEST_MISMATCH: &str = "digest mismatch";

/// Keeps blobs.
///
/// INVARIANT (blobs stand): a blob, once committed, is never changed or overwritten; its name is the SHA-256 of its bytes.
///
/// Any number of threads may stage and read at once, also the same blob. A blob that was staged and not committed leaves
/// nothing behind.
pub trait BlobStore {
    /// Starts a new blob.
    ///
    /// # Errors
    /// `Full`, `ReadOnly`, `Io`.
    fn stage(&self) -> Result<Box<dyn StagedBlob>>;

    /// Opens a blob; `None` when the store does not hold it.
    ///
    /// # Errors
    /// `Io`.
    fn open(&self, digest: &Digest) -> Result<Option<Box<dyn BlobReader>>>;

    /// Reads a blob's size in bytes, without reading the blob; `None` when the store does not hold it.
    ///
    /// # Errors
    /// `Io`.
    fn stat(&self, digest: &Digest) -> Result<Option<u64>>;

    /// Reads up to `most` blobs with their sizes, in order of their digests, strictly after `after`.
    ///
    /// # Errors
    /// `Io`; `Corrupt` when a name is not a digest.
    fn blobs(&self, after: Option<Digest>, most: usize) -> Result<Vec<(Digest, u64)>>;
}

/// A blob on its way in. Dropping it gives it up.
pub trait StagedBlob: Send {
    /// Adds bytes. After an error the blob can only be dropped.
    ///
    /// # Errors
    /// `TooLarge` over `Limits::artifact_bytes`; `Full`, `ReadOnly`, `Io`.
    fn write(&mut self, bytes: &[u8]) -> Result<()>;

    /// Keeps the blob under its digest, and returns the digest and the size in bytes; durable when it returns `Ok`.
    ///
    /// A blob that exists already is read and verified, and the new copy is dropped.
    ///
    /// # Errors
    /// `DigestMismatch` when the bytes do not hash to `declared`; `CorruptBlob` when the blob exists already with
    /// other bytes; `Full`, `ReadOnly`, `Io`; `Fatal` when a flush failed. After any of them but `Fatal` nothing was kept.
    fn commit(self: Box<Self>, declared: Option<Digest>) -> Result<(Digest, u64)>;
}

/// A blob on its way out, hashed again while it is read.
///
/// The bytes may be used only after the last one has been read without an error: an error of kind `InvalidData` whose
/// message starts with [`DIGEST_MISMATCH`] stands in place of the last bytes when they are not the blob's.
pub trait BlobReader: Read + Send {
    /// The blob's size in bytes.
    fn len(&self) -> u64;

    /// Whether the blob has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Reads `size` bytes and checks that they hash to a digest: the one reader of every store.
pub struct VerifyingReader<R> {
    inner: R,
    digest: Digest,
    size: u64,
    left: u64,
    /// `None` once the hash has been compared.
    hasher: Option<Hasher>,
    broken: bool,
}

impl<R: Read> VerifyingReader<R> {
    /// Reads the blob `digest` of `size` bytes from `inner`.
    pub fn new(inner: R, digest: Digest, size: u64) -> Self {
        Self { inner, digest, size, left: size, hasher: Some(Hasher::new()), broken: false }
    }

    fn mismatch(&mut self, what: &str) -> io::Error {
        self.broken = true;
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{DIGEST_MISMATCH}: the stored bytes of `{}` {what}", self.digest),
        )
    }

    /// Compares the hash once all bytes are in; later calls do nothing.
    fn finish(&mut self) -> io::Result<()> {
        let Some(hasher) = self.hasher.take() else { return Ok(()) };
        match hasher.finish() == self.digest || lockgate_failpoint::planted("blob-digest-unchecked") {
            true => Ok(()),
            false => Err(self.mismatch("were changed")),
        }
    }
}

impl<R: Read> Read for VerifyingReader<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.broken {
            return Err(self.mismatch("were changed"));
        }
        if into.is_empty() {
            return Ok(0);
        }
        if self.left == 0 {
            self.finish()?;
            return Ok(0);
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(into.len());
        let (window, _) = into.split_at_mut_checked(most).ok_or(io::ErrorKind::InvalidInput)?;
        let count = self.inner.read(window)?;
        if count == 0 {
            return Err(self.mismatch("end early"));
        }
        if let (Some(hasher), Some(bytes)) = (self.hasher.as_mut(), window.get(..count)) {
            hasher.update(bytes);
        }
        self.left = self.left.saturating_sub(count as u64);
        if self.left == 0 {
            // The last bytes are handed out only when all of them are right.
            self.finish()?;
        }
        Ok(count)
    }
}

impl<R: Read + Send> BlobReader for VerifyingReader<R> {
    fn len(&self) -> u64 {
        self.size
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(stored: &[u8], size: u64, named: &[u8], expected: Result<&[u8], io::ErrorKind>) {
        let mut read = Vec::new();
        let outcome = VerifyingReader::new(stored, Digest::of(named), size).read_to_end(&mut read);
        match expected {
            Ok(bytes) => {
                outcome.unwrap();
                assert_eq!(read, bytes);
            }
            Err(kind) => {
                let error = outcome.unwrap_err();
                assert_eq!(error.kind(), kind);
                assert!(error.to_string().starts_with(DIGEST_MISMATCH), "{error}");
            }
        }
    }

    #[test]
    fn reads_only_the_bytes_that_the_digest_names() {
        check(b"boat", 4, b"boat", Ok(b"boat"));
        check(b"", 0, b"", Ok(b""));
        check(b"goat", 4, b"boat", Err(io::ErrorKind::InvalidData));
        check(b"boa", 4, b"boat", Err(io::ErrorKind::InvalidData));
        check(b"boats", 5, b"boat", Err(io::ErrorKind::InvalidData));
        check(b"", 0, b"boat", Err(io::ErrorKind::InvalidData));
    }

    #[test]
    fn an_exact_read_cannot_miss_the_mismatch() {
        let mut bytes = [0u8; 4];
        let mut reader = VerifyingReader::new(b"goat".as_slice(), Digest::of(b"boat"), 4);
        assert!(reader.read_exact(&mut bytes).is_err());
        assert!(reader.read(&mut bytes).is_err(), "an error stays an error");
    }
}
