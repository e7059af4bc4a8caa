//! Blobs of the memory store.

use std::io::{self, Read};
use std::ops::Bound;
use std::sync::Arc;

use lockgate_model::{Digest, Limits};

use super::{MemoryStore, Spoil};
use crate::{BlobReader, BlobStore, Result, StagedBlob, StoreError, VerifyingReader};

impl BlobStore for MemoryStore {
    fn stage(&self) -> Result<Box<dyn StagedBlob>> {
        Ok(Box::new(Staged { store: self.clone(), bytes: Vec::new() }))
    }

    fn open(&self, digest: &Digest) -> Result<Option<Box<dyn BlobReader>>> {
        let bytes = self.read_spoilt(|state, spoil| match spoil == Spoil::BlobFails(*digest) {
            true => Err(StoreError::Io("a blob cannot be opened, on purpose".to_owned())),
            false => Ok(state.blobs.get(digest).cloned()),
        })?;
        Ok(bytes.map(|bytes| {
            let size = bytes.len() as u64;
            Box::new(VerifyingReader::new(Shared { bytes, read: 0 }, *digest, size)) as Box<dyn BlobReader>
        }))
    }

    fn stat(&self, digest: &Digest) -> Result<Option<u64>> {
        Ok(self.read(|state| state.blobs.get(digest).map(|bytes| bytes.len() as u64)))
    }

    fn blobs(&self, after: Option<Digest>, most: usize) -> Result<Vec<(Digest, u64)>> {
        let from: Bound<Digest> = after.map_or(Bound::Unbounded, Bound::Excluded);
        Ok(self.read(|state| {
            let blobs = state.blobs.range::<Digest, _>((from, Bound::Unbounded));
            blobs.take(most).map(|(digest, bytes)| (*digest, bytes.len() as u64)).collect()
        }))
    }
}

struct Staged {
    store: MemoryStore,
    bytes: Vec<u8>,
}

impl StagedBlob for Staged {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let size = (self.bytes.len() as u64).saturating_add(bytes.len() as u64);
        let most = Limits::DEFAULT.artifact_bytes;
        if size > most {
            return Err(StoreError::TooLarge { what: "a blob", size, most });
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn commit(self: Box<Self>, declared: Option<Digest>) -> Result<(Digest, u64)> {
        let Staged { store, bytes } = *self;
        let found = Digest::of(&bytes);
        if let Some(expected) = declared
            && expected != found
        {
            return Err(StoreError::DigestMismatch { expected, found });
        }
        let size = bytes.len() as u64;
        store.write(|state| {
            match state.blobs.get(&found) {
                Some(held) if **held != bytes => {
                    return Err(StoreError::CorruptBlob(found));
                }
                Some(_) => {}
                None => {
                    state.blobs.insert(found, Arc::new(bytes));
                }
            }
            Ok((found, size))
        })
    }
}

/// Reads shared bytes.
struct Shared {
    bytes: Arc<Vec<u8>>,
    read: usize,
}

impl Read for Shared {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut rest = self.bytes.get(self.read..).unwrap_or_default();
        let count = rest.read(into)?;
        self.read += count;
        Ok(count)
    }
}
