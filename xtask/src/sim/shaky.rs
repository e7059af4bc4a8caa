//! Shaky: the strict memory store behind a door that fails when the seed says so.
//!
//! A commit is refused, gives an error that leaves open whether it was kept, or stops the process before or after it was
//! kept. What is stopped stays stopped until the "process" has started again. A power cut also takes back the newest
//! checkpoint, which is durable no later than the next commit. For a while one kind of read fails, or the checkpoint
//! cannot be stored.

use std::io::Read as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use clap::ValueEnum;
use lockgate_model::{Digest, EntryIndex, PersonId, StreamName, UnixMillis};
use lockgate_store::{
    Batch, BlobReader, BlobStore, Head, LedgerStore, MemoryStore, ProjectionStore, Reply, Session, SessionStore,
    StagedBlob, StoreError, StreamHead, StreamStore,
};

use crate::failure::Result as TaskResult;

type Result<T> = lockgate_store::Result<T>;

/// How many blobs a run can have.
const BLOBS_MAX: usize = 100_000;
/// The entry that a store with a defect hides.
const HIDDEN: EntryIndex = EntryIndex(20);

/// What becomes of the next commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blow {
    /// It is refused, and nothing is written.
    Refused,
    /// It is lost, and the process has to stop.
    Lost,
    /// It is kept, and the process has to stop all the same.
    Kept,
    /// It is lost, and its error does not say so.
    DoubtedLost,
    /// It is kept, and its error does not say so.
    DoubtedKept,
}

/// What cannot be read for a while. Whole kinds, and entries by their places: which read comes first is not part of a
/// seed, and what the digest of a signed document is neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unread {
    /// The head.
    Head,
    /// The entries whose place leaves this rest when it is divided by four.
    Entries(u64),
    /// Tiles of hashes.
    Tiles,
    /// The heads and the pages of streams.
    Streams,
    /// Bodies that are rows.
    Documents,
    /// Bodies and artifacts that are blobs; nor can new ones be begun.
    Blobs,
    /// Projections.
    Projections,
    /// Replies to repeatable requests.
    Replies,
    /// The newest checkpoint.
    Checkpoint,
}

impl Unread {
    /// Every kind, the entries with one rest.
    pub const ALL: [Self; 9] = [
        Self::Head,
        Self::Entries(0),
        Self::Tiles,
        Self::Streams,
        Self::Documents,
        Self::Blobs,
        Self::Projections,
        Self::Replies,
        Self::Checkpoint,
    ];
}

/// What is wrong with a store on purpose, so that the simulation has something to catch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Defect {
    /// The newest commit was acknowledged before it was durable: a crash takes it away
    LosesTheLastBatch,
    /// One entry cannot be read once newer ones are there
    HidesAnEntry,
    /// Idempotency keys are not found again
    ForgetsReplies,
}

/// The store of one run.
pub struct Shaky {
    memory: MemoryStore,
    defect: Option<Defect>,
    plan: Mutex<Plan>,
    /// Whether some read may fail: most of the time none may, and nobody looks at the plan for it.
    fails_reads: AtomicBool,
}

struct Plan {
    next: Option<Blow>,
    fallen: Option<Blow>,
    stopped: bool,
    /// What the memory store refused of its own accord: then the engine broke the store's contract.
    complaint: Option<StoreError>,
    /// What was committed, in order.
    kept: Vec<Batch>,
    /// The checkpoint that survives a power cut.
    durable: Option<Vec<u8>>,
    /// Replies given before this moment are gone.
    forgotten: UnixMillis,
    /// What cannot be read, and how often that was tried.
    unread: Option<Unread>,
    missed: u64,
    /// Whether the checkpoint cannot be stored, and how often that was tried.
    keeps_no_note: bool,
    notes: u64,
}

impl Plan {
    fn new(kept: Vec<Batch>, durable: Option<Vec<u8>>, forgotten: UnixMillis) -> Self {
        Self {
            next: None,
            fallen: None,
            stopped: false,
            complaint: None,
            kept,
            durable,
            forgotten,
            unread: None,
            missed: 0,
            keeps_no_note: false,
            notes: 0,
        }
    }
}

impl Shaky {
    /// A store that holds these commits.
    ///
    /// # Errors
    /// What the memory store refuses.
    pub fn new(beginning: &[Batch], defect: Option<Defect>) -> TaskResult<Self> {
        let plan = Plan::new(Vec::new(), None, UnixMillis(0));
        let store =
            Self { memory: MemoryStore::new(), defect, plan: Mutex::new(plan), fails_reads: AtomicBool::new(false) };
        for batch in beginning {
            store.commit(batch)?;
        }
        Ok(store)
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every commit that was kept.
    pub fn batches(&self) -> Vec<Batch> {
        self.plan().kept.clone()
    }

    /// Says what becomes of the next commit.
    pub fn threaten(&self, blow: Option<Blow>) {
        self.plan().next = blow;
    }

    /// Takes the threat back, and tells the blow that fell since.
    pub fn calm(&self) -> Option<Blow> {
        let mut plan = self.plan();
        plan.next = None;
        plan.fallen.take()
    }

    /// Says what cannot be read from now on.
    pub fn hide(&self, unread: Option<Unread>) {
        self.plan().unread = unread;
        self.fails_reads.store(unread.is_some(), Ordering::SeqCst);
    }

    /// Lets everything be read again, and tells how often something could not since.
    pub fn show(&self) -> u64 {
        self.hide(None);
        std::mem::take(&mut self.plan().missed)
    }

    /// Says whether the checkpoint cannot be stored from now on, and tells how often it could not since the last time.
    pub fn keep_no_note(&self, no_note: bool) -> u64 {
        let mut plan = self.plan();
        plan.keeps_no_note = no_note;
        std::mem::take(&mut plan.notes)
    }

    /// Fails where what is read cannot be.
    fn read(&self, fails: impl Fn(Unread) -> bool) -> Result<()> {
        if !self.fails_reads.load(Ordering::SeqCst) {
            return Ok(());
        }
        let mut plan = self.plan();
        match plan.unread.is_some_and(fails) {
            false => Ok(()),
            true => {
                plan.missed += 1;
                Err(StoreError::Io("the simulated disk does not read".to_owned()))
            }
        }
    }

    /// Whether the process has to stop.
    pub fn is_stopped(&self) -> bool {
        self.plan().stopped
    }

    /// What the memory store refused although nothing was to fail.
    pub fn complaint(&self) -> Option<StoreError> {
        self.plan().complaint.clone()
    }

    /// Replies given before this moment may be gone.
    pub fn forgotten(&self) -> UnixMillis {
        self.plan().forgotten
    }

    /// What the next process finds.
    ///
    /// # Errors
    /// What the memory store refuses.
    pub fn reopened(&self, power_cut: bool) -> TaskResult<Self> {
        let plan = self.plan();
        let mut kept = plan.kept.clone();
        let memory = match self.defect {
            Some(Defect::LosesTheLastBatch) => {
                kept.pop();
                self.copied(&kept)?
            }
            _ => self.memory.clone(),
        };
        if let (true, Some(durable)) = (power_cut, &plan.durable) {
            memory.checkpoint_put(durable)?;
        }
        let next = Plan::new(kept, plan.durable.clone(), plan.forgotten);
        Ok(Self { memory, defect: self.defect, plan: Mutex::new(next), fails_reads: AtomicBool::new(false) })
    }

    /// A store of its own with these commits, and with all blobs.
    fn copied(&self, kept: &[Batch]) -> TaskResult<MemoryStore> {
        let copy = MemoryStore::new();
        for batch in kept {
            copy.commit(batch)?;
        }
        for (digest, _) in self.memory.blobs(None, BLOBS_MAX)? {
            let Some(mut reader) = self.memory.open(&digest)? else { continue };
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes)?;
            let mut staged = copy.stage()?;
            staged.write(&bytes)?;
            staged.commit(Some(digest))?;
        }
        Ok(copy)
    }

    fn check_running(&self) -> Result<()> {
        match self.plan().stopped {
            true => Err(StoreError::Fatal("the process should have stopped".to_owned())),
            false => Ok(()),
        }
    }

    fn is_hidden(&self, index: EntryIndex) -> bool {
        let newer = || self.memory.head().is_ok_and(|head| head.size.0 > HIDDEN.0 + 4);
        self.defect == Some(Defect::HidesAnEntry) && index == HIDDEN && newer()
    }
}

impl LedgerStore for Shaky {
    fn head(&self) -> Result<Head> {
        self.read(|unread| unread == Unread::Head)?;
        self.memory.head()
    }

    fn commit(&self, batch: &Batch) -> Result<()> {
        self.check_running()?;
        let mut plan = self.plan();
        let blow = plan.next.take();
        plan.fallen = blow.or(plan.fallen);
        plan.stopped = matches!(blow, Some(Blow::Lost | Blow::Kept));
        if blow == Some(Blow::Refused) {
            return Err(StoreError::Full("the simulated disk".to_owned()));
        }
        if blow == Some(Blow::DoubtedLost) {
            return Err(StoreError::Injected { persisted: false });
        }
        if blow != Some(Blow::Lost) {
            let durable = self.memory.checkpoint()?;
            if let Err(error) = self.memory.commit(batch) {
                plan.complaint = Some(error.clone());
                return Err(error);
            }
            plan.kept.push(batch.clone());
            plan.durable = durable;
        }
        match blow {
            _ if plan.stopped => Err(StoreError::Fatal("the simulated disk did not flush".to_owned())),
            Some(Blow::DoubtedKept) => Err(StoreError::Injected { persisted: true }),
            _ => Ok(()),
        }
    }

    fn entry(&self, index: EntryIndex) -> Result<Option<Vec<u8>>> {
        self.read(|unread| unread == Unread::Entries(index.0 % 4))?;
        match self.is_hidden(index) {
            true => Ok(None),
            false => self.memory.entry(index),
        }
    }

    fn entries(&self, first: EntryIndex, most: usize) -> Result<Vec<Vec<u8>>> {
        self.read(|unread| matches!(unread, Unread::Entries(_)))?;
        self.memory.entries(first, most)
    }

    fn tile(&self, level: u8, index: u64) -> Result<Option<Vec<u8>>> {
        self.read(|unread| unread == Unread::Tiles)?;
        self.memory.tile(level, index)
    }

    fn checkpoint(&self) -> Result<Option<Vec<u8>>> {
        self.read(|unread| unread == Unread::Checkpoint)?;
        self.memory.checkpoint()
    }

    fn checkpoint_put(&self, note: &[u8]) -> Result<()> {
        self.check_running()?;
        let mut plan = self.plan();
        if plan.keeps_no_note {
            plan.notes += 1;
            return Err(StoreError::Full("the simulated disk".to_owned()));
        }
        drop(plan);
        self.memory.checkpoint_put(note)
    }

    fn document(&self, digest: &Digest) -> Result<Option<Vec<u8>>> {
        self.read(|unread| unread == Unread::Documents)?;
        self.memory.document(digest)
    }
}

impl StreamStore for Shaky {
    fn stream_head(&self, name: &StreamName) -> Result<Option<StreamHead>> {
        self.read(|unread| unread == Unread::Streams)?;
        self.memory.stream_head(name)
    }

    fn stream_page(&self, name: &StreamName, from_seq: u64, most: usize) -> Result<Vec<(u64, EntryIndex)>> {
        self.read(|unread| unread == Unread::Streams)?;
        self.memory.stream_page(name, from_seq, most)
    }

    fn stream_page_newest(
        &self,
        name: &StreamName,
        before_seq: Option<u64>,
        most: usize,
    ) -> Result<Vec<(u64, EntryIndex)>> {
        self.read(|unread| unread == Unread::Streams)?;
        self.memory.stream_page_newest(name, before_seq, most)
    }

    fn stream_heads(&self, prefix: &str, after: Option<&str>, most: usize) -> Result<Vec<(StreamName, StreamHead)>> {
        self.read(|unread| unread == Unread::Streams)?;
        self.memory.stream_heads(prefix, after, most)
    }
}

impl ProjectionStore for Shaky {
    fn projection(&self, kind: &str, key: &str) -> Result<Option<Vec<u8>>> {
        self.read(|unread| unread == Unread::Projections)?;
        self.memory.projection(kind, key)
    }

    fn projections(&self, kind: &str, after: Option<&str>, most: usize) -> Result<Vec<(String, Vec<u8>)>> {
        self.read(|unread| unread == Unread::Projections)?;
        self.memory.projections(kind, after, most)
    }

    fn reply(&self, key: &str) -> Result<Option<Reply>> {
        self.read(|unread| unread == Unread::Replies)?;
        match self.defect {
            Some(Defect::ForgetsReplies) => Ok(None),
            _ => self.memory.reply(key),
        }
    }

    fn replies_expire(&self, before: UnixMillis) -> Result<u64> {
        self.check_running()?;
        let mut plan = self.plan();
        plan.forgotten = plan.forgotten.max(before);
        self.memory.replies_expire(before)
    }
}

impl SessionStore for Shaky {
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

impl BlobStore for Shaky {
    fn stage(&self) -> Result<Box<dyn StagedBlob>> {
        self.read(|unread| unread == Unread::Blobs)?;
        self.memory.stage()
    }

    fn open(&self, digest: &Digest) -> Result<Option<Box<dyn BlobReader>>> {
        self.read(|unread| unread == Unread::Blobs)?;
        self.memory.open(digest)
    }

    fn stat(&self, digest: &Digest) -> Result<Option<u64>> {
        self.read(|unread| unread == Unread::Blobs)?;
        self.memory.stat(digest)
    }

    fn blobs(&self, after: Option<Digest>, most: usize) -> Result<Vec<(Digest, u64)>> {
        self.read(|unread| unread == Unread::Blobs)?;
        self.memory.blobs(after, most)
    }
}

#[cfg(test)]
mod tests {
    use lockgate_model::TreeSize;

    use super::*;

    fn empty_batch() -> Batch {
        let reply = Reply { key: "k".to_owned(), request: Digest::of(b"r"), body: Vec::new(), at: UnixMillis(1) };
        Batch {
            first: EntryIndex(0),
            entries: Vec::new(),
            tiles: Vec::new(),
            root: Head::empty().root,
            documents: Vec::new(),
            replies: vec![reply],
            projections: Vec::new(),
        }
    }

    #[track_caller]
    fn check(blow: Option<Blow>, kept: bool, stopped: bool) {
        let store = Shaky::new(&[], None).unwrap();
        store.threaten(blow);
        assert_eq!(store.commit(&empty_batch()).is_ok(), blow.is_none());
        assert_eq!(store.calm(), blow);
        assert_eq!((store.reply("k").unwrap().is_some(), store.is_stopped()), (kept, stopped));
        assert_eq!(store.checkpoint_put(b"note").is_err(), stopped, "what is stopped writes nothing");
        let next = store.reopened(true).unwrap();
        assert_eq!((next.reply("k").unwrap().is_some(), next.is_stopped()), (kept, false));
        assert_eq!(next.head().unwrap().size, TreeSize(0));
    }

    #[test]
    fn a_blow_falls_once_and_a_restart_ends_it() {
        check(None, true, false);
        check(Some(Blow::Refused), false, false);
        check(Some(Blow::Lost), false, true);
        check(Some(Blow::Kept), true, true);
        check(Some(Blow::DoubtedLost), false, false);
        check(Some(Blow::DoubtedKept), true, false);
    }

    #[test]
    fn what_is_hidden_cannot_be_read_until_it_is_shown() {
        let store = Shaky::new(&[], None).unwrap();
        for unread in Unread::ALL {
            store.hide(Some(unread));
            let name: StreamName = StreamName::governance();
            let failed = [
                store.head().is_err(),
                store.entry(EntryIndex(4)).is_err(),
                store.tile(0, 0).is_err(),
                store.stream_head(&name).is_err(),
                store.document(&Digest::of(b"x")).is_err(),
                store.stage().is_err(),
                store.projection("a", "b").is_err(),
                store.reply("k").is_err(),
                store.checkpoint().is_err(),
            ];
            assert_eq!(failed.iter().filter(|failed| **failed).count(), 1, "{unread:?}");
            assert_eq!((store.show(), store.show()), (1, 0));
            assert!(store.head().is_ok() && store.reply("k").is_ok());
        }
    }

    #[test]
    fn a_checkpoint_that_cannot_be_stored_is_counted() {
        let store = Shaky::new(&[], None).unwrap();
        assert_eq!(store.keep_no_note(true), 0);
        assert!(store.checkpoint_put(b"note").is_err());
        assert_eq!(store.keep_no_note(false), 1);
        assert!(store.checkpoint_put(b"note").is_ok());
    }

    #[test]
    fn a_refusal_that_nobody_ordered_is_remembered() {
        let store = Shaky::new(&[], None).unwrap();
        store.commit(&empty_batch()).unwrap();
        assert!(store.commit(&empty_batch()).is_err());
        assert!(store.complaint().is_some());
    }
}
