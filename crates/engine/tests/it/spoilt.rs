//! A store of which a test says what is wrong with it when it is read; what is kept stays sound.

use std::sync::{Arc, Mutex};

use lockgate_model::{Digest, EntryIndex, PersonId, StreamName, UnixMillis};
use lockgate_store::{
    Batch, BlobReader, BlobStore, Head, LedgerStore, MemoryStore, ProjectionStore, Reply, Result, Session,
    SessionStore, StagedBlob, StoreError, StreamHead, StreamStore,
};

/// What is wrong.
#[derive(Debug, Clone, Copy, Default)]
pub enum Spoil {
    /// Nothing.
    #[default]
    Nothing,
    /// Tiles cannot be read now.
    TilesFail,
    /// The hash of the first leaf is another.
    TileChanged,
    /// An entry is another.
    EntryChanged(EntryIndex),
    /// A document is gone.
    DocumentLost(Digest),
}

/// The memory store, read through what is wrong.
pub struct Spoilt {
    pub memory: MemoryStore,
    pub spoil: Arc<Mutex<Spoil>>,
}

impl Spoilt {
    fn spoil(&self) -> Spoil {
        *self.spoil.lock().unwrap()
    }
}

fn flipped(bytes: Option<Vec<u8>>) -> Option<Vec<u8>> {
    bytes.map(|mut bytes| {
        bytes[0] ^= 1;
        bytes
    })
}

impl LedgerStore for Spoilt {
    fn head(&self) -> Result<Head> {
        self.memory.head()
    }

    fn commit(&self, batch: &Batch) -> Result<()> {
        self.memory.commit(batch)
    }

    fn entry(&self, index: EntryIndex) -> Result<Option<Vec<u8>>> {
        let entry = self.memory.entry(index)?;
        match self.spoil() {
            Spoil::EntryChanged(changed) if changed == index => Ok(flipped(entry)),
            _ => Ok(entry),
        }
    }

    fn entries(&self, first: EntryIndex, most: usize) -> Result<Vec<Vec<u8>>> {
        self.memory.entries(first, most)
    }

    fn tile(&self, level: u8, index: u64) -> Result<Option<Vec<u8>>> {
        let tile = self.memory.tile(level, index)?;
        match self.spoil() {
            Spoil::TilesFail => Err(StoreError::Io("on purpose".to_owned())),
            Spoil::TileChanged if (level, index) == (0, 0) => Ok(flipped(tile)),
            _ => Ok(tile),
        }
    }

    fn checkpoint(&self) -> Result<Option<Vec<u8>>> {
        self.memory.checkpoint()
    }

    fn checkpoint_put(&self, note: &[u8]) -> Result<()> {
        self.memory.checkpoint_put(note)
    }

    fn document(&self, digest: &Digest) -> Result<Option<Vec<u8>>> {
        match self.spoil() {
            Spoil::DocumentLost(lost) if lost == *digest => Ok(None),
            _ => self.memory.document(digest),
        }
    }
}

impl StreamStore for Spoilt {
    fn stream_head(&self, name: &StreamName) -> Result<Option<StreamHead>> {
        self.memory.stream_head(name)
    }

    fn stream_page(&self, name: &StreamName, from_seq: u64, most: usize) -> Result<Vec<(u64, EntryIndex)>> {
        self.memory.stream_page(name, from_seq, most)
    }

    fn stream_page_newest(
        &self,
        name: &StreamName,
        before_seq: Option<u64>,
        most: usize,
    ) -> Result<Vec<(u64, EntryIndex)>> {
        self.memory.stream_page_newest(name, before_seq, most)
    }

    fn stream_heads(&self, prefix: &str, after: Option<&str>, most: usize) -> Result<Vec<(StreamName, StreamHead)>> {
        self.memory.stream_heads(prefix, after, most)
    }
}

impl ProjectionStore for Spoilt {
    fn projection(&self, kind: &str, key: &str) -> Result<Option<Vec<u8>>> {
        self.memory.projection(kind, key)
    }

    fn projections(&self, kind: &str, after: Option<&str>, most: usize) -> Result<Vec<(String, Vec<u8>)>> {
        self.memory.projections(kind, after, most)
    }

    fn reply(&self, key: &str) -> Result<Option<Reply>> {
        self.memory.reply(key)
    }

    fn replies_expire(&self, before: UnixMillis) -> Result<u64> {
        self.memory.replies_expire(before)
    }
}

impl SessionStore for Spoilt {
    fn session_insert(&self, session: &Session) -> Result<()> {
        self.memory.session_insert(session)
    }

    fn session_by_hash(&self, token_hash: &Digest) -> Result<Option<Session>> {
        self.memory.session_by_hash(token_hash)
    }

    fn session_touch(&self, token_hash: &Digest, last_used: UnixMillis) -> Result<bool> {
        self.memory.session_touch(token_hash, last_used)
    }

    fn session_remove(&self, token_hash: &Digest) -> Result<bool> {
        self.memory.session_remove(token_hash)
    }

    fn sessions_remove_for(&self, subject: &PersonId) -> Result<u64> {
        self.memory.sessions_remove_for(subject)
    }

    fn sessions_expire(&self, before: UnixMillis) -> Result<u64> {
        self.memory.sessions_expire(before)
    }
}

impl BlobStore for Spoilt {
    fn stage(&self) -> Result<Box<dyn StagedBlob>> {
        self.memory.stage()
    }

    fn open(&self, digest: &Digest) -> Result<Option<Box<dyn BlobReader>>> {
        self.memory.open(digest)
    }

    fn stat(&self, digest: &Digest) -> Result<Option<u64>> {
        self.memory.stat(digest)
    }

    fn blobs(&self, after: Option<Digest>, most: usize) -> Result<Vec<(Digest, u64)>> {
        self.memory.blobs(after, most)
    }
}
