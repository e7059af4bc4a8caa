//! Audit: the store as the auditor's source.

use std::borrow::Cow;
use std::io::Read;

use lockgate_ledger::audit::AuditSource;
use lockgate_ledger::backtest::History;
use lockgate_ledger::bodies::{Bodies, BodyError};
use lockgate_ledger::entry::StreamPosition;
use lockgate_model::{Digest, EntryIndex, StreamName, TreeSize};
use lockgate_store::Store;

use crate::bodies::{StoreBodies, failed};

/// A store, read by an auditor who believes none of it.
#[derive(Clone, Copy)]
pub struct StoreSource<'a>(pub &'a dyn Store);

impl Bodies for StoreSource<'_> {
    fn body(&self, digest: &Digest) -> Result<Option<Cow<'_, [u8]>>, BodyError> {
        Ok(StoreBodies(self.0).body(digest)?.map(|bytes| Cow::Owned(bytes.into_owned())))
    }

    fn body_reader(&self, digest: &Digest) -> Result<Option<Box<dyn Read + '_>>, BodyError> {
        Ok(StoreBodies(self.0).reader(digest)?.map(|reader| reader as Box<dyn Read + '_>))
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

impl History for StoreSource<'_> {
    fn size_and_root(&self) -> Result<(TreeSize, Digest), String> {
        self.0.head().map(|head| (head.size, head.root)).map_err(text)
    }
    fn page(&self, first: EntryIndex, most: usize) -> Result<Vec<Vec<u8>>, String> {
        self.0.entries(first, most).map_err(text)
    }
}

impl AuditSource for StoreSource<'_> {
    fn checkpoint(&self) -> Result<Option<Vec<u8>>, String> {
        self.0.checkpoint().map_err(text)
    }
    fn tile(&self, level: u8, index: u64) -> Result<Option<Vec<u8>>, String> {
        self.0.tile(level, index).map_err(text)
    }
    fn stream(&self, stream: &StreamName, from_seq: u64, most: usize) -> Result<Vec<(u64, EntryIndex)>, String> {
        self.0.stream_page(stream, from_seq, most).map_err(text)
    }
    fn stream_heads(&self, after: Option<&StreamName>, most: usize) -> Result<Vec<StreamPosition>, String> {
        let heads = self.0.stream_heads("", after.map(StreamName::as_str), most).map_err(text)?;
        Ok(heads
            .into_iter()
            .map(|(stream, head)| StreamPosition { stream, seq: head.seq, index: head.index })
            .collect())
    }
    fn artifact(&self, digest: &Digest) -> Result<bool, BodyError> {
        let Some(mut reader) = self.0.open(digest).map_err(|error| failed(digest, &error))? else { return Ok(false) };
        // The reader hashes as it goes and fails at the end when the bytes are others.
        let mut buffer = vec![0u8; 256 * 1024];
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return Ok(true),
                Ok(_) => {}
                Err(error) => return Err(BodyError::of_read(digest, error.kind(), error.to_string())),
            }
        }
    }
}
