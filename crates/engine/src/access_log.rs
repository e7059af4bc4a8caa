//! The access log's writer and reader: one thread that takes what has queued, commits it once, and signs the head.
//!
//! Requests do not wait for it. A record is queued when the answer is ready; a batch is committed when 1,024 records
//! wait or one second has passed since the first of them. So a crash may lose up to one second of records, of reads and
//! of refused attempts; changes of state are in the ledger itself before they are acknowledged. What is queued when the
//! server stops is written. No record that was handed in is dropped for want of room: when [`QUEUE`] records wait,
//! whoever hands in one more waits. So the server takes a place for each beforehand, and says what it does without one.
//!
//! A commit that fails for good stops the process, as it does for the ledger. One that could not be made, on a full
//! disk, is made again with the same records; until then they wait, and the queue fills.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lockgate_ledger::access_log::{AccessEntry, AccessOutcome};
use lockgate_model::json::MAX_SAFE_INTEGER;
use lockgate_model::{EntryIndex, UnixMillis};
use lockgate_sign::note::NoteSigner;
use lockgate_store::{Batch, Head, NewEntry, Store, StoreError, TileWrite};
use lockgate_tlog::checkpoint::Checkpoint;
use lockgate_tlog::hash::leaf_hash;
use lockgate_tlog::tree::{RestoreError, Tree};

use crate::engine::{OnFatal, TreeHead};
use crate::fault::{Fault, Kind};
use crate::sequencer::{Fate, fate_of};

/// How many records may wait; whoever hands in one more waits for room.
pub const QUEUE: usize = 16_384;
/// The most records of one commit, and how many that wait are enough for one.
const BATCH: usize = 1024;
/// How long the first of fewer records waits for more.
const LINGER: Duration = Duration::from_secs(1);
/// How long a flush waits for the writer.
const FLUSH: Duration = Duration::from_secs(10);
/// The most entries that one page reads, whether they fit or not.
const SCAN_MAX: u64 = 10_000;
/// The most entries of one page.
pub const PAGE_MAX: usize = 500;
/// The most entries of one page of an export.
pub const EXPORT_MAX: usize = 4096;

/// What a record holds on to until it is durable; it is dropped then.
pub type Place = Box<dyn Any + Send>;

/// What an access log is made of.
pub struct Parts {
    /// A store of its own; this log must be its only writer.
    pub store: Arc<dyn Store>,
    /// The ledger's log key under the access log's name: see [`lockgate_ledger::access_log::origin_of`].
    pub signer: NoteSigner,
    /// What to do when the process has to stop.
    pub on_fatal: OnFatal,
}

/// The access log. Dropping it writes what waits.
pub struct AccessLog {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// What callers and the writer share.
struct Shared {
    store: Arc<dyn Store>,
    queue: Mutex<Queue>,
    /// Something came, or is asked for.
    came: Condvar,
    /// Something was written, or the writer has ended.
    written: Condvar,
    head: RwLock<Arc<TreeHead>>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<(AccessEntry, Place)>,
    /// How many the writer has taken and not yet written.
    taken: usize,
    /// How many records ever came, and how many of them are durable.
    came: u64,
    durable: u64,
    /// Up to which record somebody waits.
    wanted: u64,
    closing: bool,
    ended: bool,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn head(&self) -> Arc<TreeHead> {
        self.head.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Which entries a page is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of one person or machine; `-` for nobody signed in.
    pub principal: Option<String>,
    /// Of one action; one that ends with `.` stands for all that begin with it.
    pub action: Option<String>,
    /// With one outcome.
    pub outcome: Option<AccessOutcome>,
    /// Not before.
    pub since: Option<UnixMillis>,
    /// Not after.
    pub until: Option<UnixMillis>,
}

impl Filter {
    fn fits(&self, entry: &AccessEntry) -> bool {
        let action = |wanted: &String| match wanted.ends_with('.') {
            true => entry.action.starts_with(wanted.as_str()),
            false => entry.action == *wanted,
        };
        self.principal.as_ref().is_none_or(|wanted| entry.principal == *wanted)
            && self.action.as_ref().is_none_or(action)
            && self.outcome.is_none_or(|wanted| entry.outcome == wanted)
            && self.since.is_none_or(|since| entry.time >= since)
            && self.until.is_none_or(|until| entry.time <= until)
    }
}

/// A page of the access log, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// What fits.
    pub items: Vec<(EntryIndex, AccessEntry)>,
    /// Ask again before this index; absent when nothing older can fit.
    pub next: Option<u64>,
}

impl AccessLog {
    /// Opens the log: restores the right edge, checks it against the stored head, and starts the writer.
    ///
    /// # Errors
    /// `HEAD_MISMATCH` when the tiles do not give the stored root; `ENTRY_INVALID` when the newest entry does not read;
    /// what the store says.
    pub fn open(parts: Parts) -> Result<Self, Fault> {
        let Parts { store, signer, on_fatal } = parts;
        let stored = store.head()?;
        let damaged = |message: String| {
            Fault::new(Kind::Integrity, "HEAD_MISMATCH", format!("the access log: {message}"))
                .hint("the store was changed from outside; run `lockgate audit`")
        };
        let edge = |level: u8, index: u64, _width: u16| store.tile(level, index);
        let tree = Tree::restore(stored.size, edge).map_err(|error| match error {
            RestoreError::Tree(error) => damaged(error.to_string()),
            RestoreError::Tile(error) => Fault::from(error),
        })?;
        if tree.root() != stored.root {
            return Err(damaged("the stored tiles do not give the stored root".to_owned()));
        }
        let time = match stored.size.0.checked_sub(1) {
            Some(last) => entries(&*store, last, 1)?.first().map_or(UnixMillis(0), |(_, entry)| entry.time),
            None => UnixMillis(0),
        };
        let head = Arc::new(sign(&signer, &tree));
        let shared = Arc::new(Shared {
            store,
            queue: Mutex::default(),
            came: Condvar::new(),
            written: Condvar::new(),
            head: RwLock::new(head),
        });
        let writer = Writer { shared: shared.clone(), signer, on_fatal, tree, time };
        writer.save_checkpoint();
        let writer = std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || writer.run())
            .map_err(|error| Fault::new(Kind::Unavailable, "THREAD_FAILED", error.to_string()))?;
        Ok(Self { shared, writer: Mutex::new(Some(writer)) })
    }

    /// Queues a record; waits only when [`QUEUE`] records wait already. Its time is moved forward where an earlier
    /// record has a later one. `false` when the log has been closed, and then the record is not kept.
    pub fn record(&self, record: AccessEntry, place: Place) -> bool {
        let mut queue = self.shared.queue();
        while queue.waiting.len() + queue.taken >= QUEUE && !queue.ended {
            queue = self.shared.written.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        if queue.ended {
            return false;
        }
        queue.waiting.push_back((record, place));
        queue.came += 1;
        // Once for the first, so that its second begins, and once for enough.
        if queue.waiting.len() == 1 || queue.waiting.len() == BATCH {
            self.shared.came.notify_one();
        }
        true
    }

    /// Waits until everything that has been queued is durable.
    ///
    /// # Errors
    /// `ACCESS_LOG_BEHIND` when the writer does not get that far in ten seconds.
    pub fn flush(&self) -> Result<(), Fault> {
        let mut queue = self.shared.queue();
        let target = queue.came;
        queue.wanted = queue.wanted.max(target);
        self.shared.came.notify_one();
        let behind = |queue: &mut Queue| queue.durable < target && !queue.ended;
        let (next, _) =
            self.shared.written.wait_timeout_while(queue, FLUSH, behind).unwrap_or_else(PoisonError::into_inner);
        queue = next;
        match queue.durable >= target {
            true => Ok(()),
            false => Err(Fault::new(Kind::Unavailable, "ACCESS_LOG_BEHIND", "the access log cannot be written now")
                .hint("is the server's disk full? its log says what is wrong")),
        }
    }

    /// Writes what waits and ends the writer; nothing is recorded afterwards.
    pub fn close(&self) {
        self.shared.queue().closing = true;
        self.shared.came.notify_one();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            // A panic there was reported when it happened.
            let _ = writer.join();
        }
    }

    /// The newest signed head.
    pub fn head(&self) -> Arc<TreeHead> {
        self.shared.head()
    }

    /// Reads backward from `before` or from the end: up to `most` entries that fit, and at most 10,000 that are looked
    /// at; `next` goes on where this page ended.
    ///
    /// # Errors
    /// `ENTRY_CHANGED`, `ENTRY_MISSING` or `ENTRY_INVALID` when the store is damaged; what the store says.
    pub fn page(&self, filter: &Filter, before: Option<u64>, most: usize) -> Result<Page, Fault> {
        let most = most.clamp(1, PAGE_MAX);
        let mut end = before.unwrap_or(u64::MAX).min(self.head().size.0);
        let least = end.saturating_sub(SCAN_MAX);
        let mut items = Vec::new();
        while end > least {
            // One tile's entries at a time: they are compared with it.
            let first = ((end - 1) / 256 * 256).max(least);
            for (index, entry) in
                entries(&*self.shared.store, first, end - first)?.into_iter().rev().map(|(at, entry)| (at.0, entry))
            {
                if filter.since.is_some_and(|since| entry.time < since) {
                    return Ok(Page { items, next: None });
                }
                if filter.fits(&entry) {
                    items.push((EntryIndex(index), entry));
                }
                if items.len() == most {
                    return Ok(Page { items, next: Some(index).filter(|index| *index > 0) });
                }
            }
            end = first;
        }
        Ok(Page { items, next: Some(end).filter(|end| *end > 0) })
    }

    /// The canonical bytes of up to `most` entries from `first` on, as far as the newest head reaches; each was compared
    /// with the tree.
    ///
    /// # Errors
    /// As [`Self::page`].
    pub fn export(&self, first: u64, most: usize) -> Result<Vec<Vec<u8>>, Fault> {
        let size = self.head().size.0;
        let end = first.saturating_add(most.min(EXPORT_MAX) as u64).min(size);
        let mut lines = Vec::new();
        let mut at = first;
        while at < end {
            let count = (256 - at % 256).min(end - at);
            lines.extend(leaves(&*self.shared.store, at, count)?);
            at += count;
        }
        Ok(lines)
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.close();
    }
}

/// Reads leaves that lie in one tile, and compares them with it.
fn leaves(store: &dyn Store, first: u64, count: u64) -> Result<Vec<Vec<u8>>, Fault> {
    let damaged = |code, message: String| Fault::new(Kind::Integrity, code, message).hint("run `lockgate audit`");
    let leaves = store.entries(EntryIndex(first), usize::try_from(count).unwrap_or(256))?;
    if leaves.len() as u64 != count {
        return Err(damaged("ENTRY_MISSING", format!("the access log has lost entries after {first}")));
    }
    // INVARIANT (rows are not believed): an edited row is not what the tree was made of.
    let tile = store.tile(0, first / 256)?.unwrap_or_default();
    let skipped = usize::try_from(first % 256).unwrap_or_default();
    let mut hashes = tile.chunks_exact(32).skip(skipped);
    for (index, leaf) in (first..).zip(&leaves) {
        if hashes.next() != Some(leaf_hash(leaf).as_bytes().as_slice()) {
            return Err(damaged(
                "ENTRY_CHANGED",
                format!("entry {index} of the access log is not what the tree was made of"),
            ));
        }
    }
    Ok(leaves)
}

fn entries(store: &dyn Store, first: u64, count: u64) -> Result<Vec<(EntryIndex, AccessEntry)>, Fault> {
    let leaves = leaves(store, first, count)?;
    (first..)
        .zip(leaves)
        .map(|(index, leaf)| match AccessEntry::from_bytes(&leaf) {
            Ok(entry) => Ok((EntryIndex(index), entry)),
            Err(error) => {
                Err(Fault::new(Kind::Integrity, "ENTRY_INVALID", format!("entry {index}: {}", error.message))
                    .hint("run `lockgate audit`"))
            }
        })
        .collect()
}

fn sign(signer: &NoteSigner, tree: &Tree) -> TreeHead {
    let (size, root) = (tree.size(), tree.root());
    let checkpoint = Checkpoint { origin: signer.vkey().name().to_owned(), size, root }.sign(signer).to_text();
    TreeHead { size, root, checkpoint }
}

/// The one that writes.
struct Writer {
    shared: Arc<Shared>,
    signer: NoteSigner,
    on_fatal: OnFatal,
    tree: Tree,
    time: UnixMillis,
}

/// How a commit ended.
enum Committed {
    Durable,
    /// Nothing was kept; the same records are tried again.
    Again,
    /// The process has to stop.
    Fatal(String),
}

impl Writer {
    /// Runs until the log is closed and everything is written. Without a writer, whoever hands a record in would wait for
    /// ever once the queue is full, so the process stops when a defect ends it.
    fn run(mut self) {
        let ended = catch_unwind(AssertUnwindSafe(|| self.write()));
        // Whoever waits is let go first.
        self.end();
        let reason = match ended {
            Ok(Ok(())) => return,
            Ok(Err(reason)) => reason,
            Err(_) => "the access log's writer broke off".to_owned(),
        };
        tracing::error!(%reason, "the access log cannot be written any more; stopping");
        (self.on_fatal)(reason);
    }

    /// Writes until the log is closed and nothing waits, or gives the reason why nothing more can be written.
    fn write(&mut self) -> Result<(), String> {
        while let Some(mut batch) = self.next_batch() {
            match self.commit(&mut batch) {
                Committed::Durable => self.done(batch),
                Committed::Again => {
                    if !self.put_back(batch) {
                        break;
                    }
                }
                Committed::Fatal(reason) => return Err(reason),
            }
        }
        Ok(())
    }

    /// Waits for the next batch; `None` when the log is closed and nothing waits.
    fn next_batch(&self) -> Option<Vec<(AccessEntry, Place)>> {
        let none = |queue: &mut Queue| queue.waiting.is_empty() && !queue.closing;
        let mut queue = self.shared.came.wait_while(self.shared.queue(), none).unwrap_or_else(PoisonError::into_inner);
        // Also woken to be asked again: the second is counted from here, not from the last time that somebody came.
        let until = Instant::now() + LINGER;
        loop {
            let enough = queue.waiting.len() >= BATCH || queue.closing || queue.wanted > queue.durable;
            let left = until.saturating_duration_since(Instant::now());
            if enough || left.is_zero() {
                break;
            }
            queue = self.shared.came.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        if queue.waiting.is_empty() {
            return None;
        }
        let count = queue.waiting.len().min(BATCH);
        queue.taken = count;
        Some(queue.waiting.drain(..count).collect())
    }

    fn commit(&mut self, records: &mut [(AccessEntry, Place)]) -> Committed {
        let before = self.tree.size();
        let mut tree = self.tree.clone();
        let mut time = self.time;
        let mut entries = Vec::with_capacity(records.len());
        for (record, _) in records {
            // INVARIANT (the access log's time never goes back): threads queue their records in any order.
            time = UnixMillis(time.0.max(record.time.0).min(MAX_SAFE_INTEGER));
            record.time = time;
            let bytes = match record.to_bytes() {
                Ok(bytes) => bytes,
                Err(error) => return Committed::Fatal(error.message),
            };
            let leaf_hash = leaf_hash(&bytes);
            tree.append(leaf_hash);
            entries.push(NewEntry { bytes, leaf_hash, streams: Vec::new() });
        }
        let tile = |tile: lockgate_tlog::tree::TileWrite| TileWrite {
            level: tile.level,
            index: tile.index,
            hashes: tile.hashes,
        };
        let batch = Batch {
            first: EntryIndex(before.0),
            tiles: tree.take_tiles().into_iter().map(tile).collect(),
            root: tree.root(),
            entries,
            documents: Vec::new(),
            replies: Vec::new(),
            projections: Vec::new(),
        };
        lockgate_failpoint::point("access-log.before-commit");
        if let Err(error) = self.shared.store.commit(&batch)
            && let Some(ended) = self.undecided(&error, &batch)
        {
            return ended;
        }
        lockgate_failpoint::point("access-log.committed");
        self.tree = tree;
        self.time = time;
        Committed::Durable
    }

    /// After an error the head says what was kept; `None` when it was the whole batch.
    fn undecided(&self, error: &StoreError, batch: &Batch) -> Option<Committed> {
        if error.is_fatal() {
            return Some(Committed::Fatal(error.to_string()));
        }
        let before = Head { size: self.tree.size(), root: self.tree.root() };
        match fate_of(batch, &before, &*self.shared.store) {
            Ok(Fate::Kept) => None,
            Ok(Fate::Lost) => {
                tracing::error!(%error, "the access log could not be written; it is tried again");
                Some(Committed::Again)
            }
            Ok(Fate::Elsewhere(head)) => {
                Some(Committed::Fatal(format!("the access log has {} entries now: {error}", head.size)))
            }
            Err(_) => Some(Committed::Again),
        }
    }

    /// Publishes the new head and tells whoever waits.
    fn done(&self, batch: Vec<(AccessEntry, Place)>) {
        let head = Arc::new(sign(&self.signer, &self.tree));
        *self.shared.head.write().unwrap_or_else(PoisonError::into_inner) = head;
        self.save_checkpoint();
        lockgate_failpoint::point("access-log.saved");
        let mut queue = self.shared.queue();
        queue.taken = 0;
        queue.durable += batch.len() as u64;
        drop(queue);
        self.shared.written.notify_all();
        // The places of the batch are free from here on.
        drop(batch);
    }

    /// Puts a batch back to the front and waits a second; `false` when the log is being closed, because then nobody
    /// would come again.
    fn put_back(&self, batch: Vec<(AccessEntry, Place)>) -> bool {
        let mut queue = self.shared.queue();
        queue.taken = 0;
        for record in batch.into_iter().rev() {
            queue.waiting.push_front(record);
        }
        if queue.closing {
            tracing::error!(records = queue.waiting.len(), "the access log could not be written to its end");
            return false;
        }
        let open = |queue: &mut Queue| !queue.closing;
        let waited = self.shared.came.wait_timeout_while(queue, LINGER, open);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        true
    }

    /// Stores the newest checkpoint. It can be signed again, so that a failure is no loss.
    fn save_checkpoint(&self) {
        if let Err(error) = self.shared.store.checkpoint_put(self.shared.head().checkpoint.as_bytes()) {
            tracing::warn!(%error, "the access log's checkpoint could not be stored; it will be signed again");
        }
    }

    fn end(&self) {
        self.shared.queue().ended = true;
        self.shared.written.notify_all();
    }
}

#[cfg(test)]
#[path = "access_log_tests.rs"]
mod tests;
