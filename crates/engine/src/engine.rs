//! The engine: what every verb works with.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, RwLock};
use std::thread::JoinHandle;

use lockgate_ledger::{ClaimCache, Governance};
use lockgate_model::{Digest, EntryIndex, TreeSize, UnixMillis};
use lockgate_store::Store;
use lockgate_tlog::proof::{
    ProveError, prove_consistency, prove_inclusion, root_at, verify_consistency, verify_inclusion,
};
use lockgate_tlog::tree::{RestoreError, Tree};

use crate::attest::SubjectCache;
use crate::ci::CiSessions;
use crate::clock::{Clock, Entropy};
use crate::fault::{Fault, Kind};
use crate::integrity::Integrity;
use crate::keys::{LedgerKeys, TokenKey};
use crate::projections;
use crate::reader;
use crate::sequencer::{Answer, Job, Receipt, Sequencer, Submission, sign_head};
use crate::session::SessionCache;
use crate::tiles::{TileCache, Tiles, unproven};
use crate::where_index;

/// How many requests may wait for the sequencer.
const QUEUE: usize = 8192;

/// A signed tree head.
#[derive(Debug, Clone)]
pub struct TreeHead {
    /// How many entries.
    pub size: TreeSize,
    /// Their root.
    pub root: Digest,
    /// The signed checkpoint.
    pub checkpoint: String,
}

/// What readers see: always one batch as a whole.
#[derive(Clone)]
pub struct Published {
    /// The newest signed head.
    pub head: Arc<TreeHead>,
    /// The governance state at that head; absent before entry 0.
    pub governance: Option<Arc<Governance>>,
    /// The ledger time of that head.
    pub time: UnixMillis,
}

/// Called after each new head.
type Listener = Box<dyn Fn(&TreeHead) + Send + Sync>;

/// Called once when the process has to stop: after a failed flush.
pub type OnFatal = Box<dyn Fn(String) + Send + Sync>;

/// What the sequencer and the verbs share.
pub struct Inner {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) keys: LedgerKeys,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) claims: ClaimCache,
    pub(crate) subjects: SubjectCache,
    tiles: TileCache,
    pub(crate) sessions: SessionCache,
    tokens: TokenKey,
    pub(crate) ci: CiSessions,
    pub(crate) integrity: Integrity,
    published: RwLock<Published>,
    listeners: RwLock<Vec<Listener>>,
    on_fatal: OnFatal,
}

impl Inner {
    /// What readers see now.
    pub fn published(&self) -> Published {
        self.published.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// The hash by which the store knows the session of a token.
    pub fn token_hash(&self, token: &str) -> Digest {
        self.tokens.hash(token)
    }

    /// Where randomness comes from.
    pub fn entropy(&self) -> &dyn Entropy {
        &*self.entropy
    }

    /// The time now, as the engine's clock says; the ledger's own time may be later.
    pub fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    pub(crate) fn publish(&self, head: Arc<TreeHead>, governance: Option<Arc<Governance>>, time: UnixMillis) {
        let mut published = self.published.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        // INVARIANT (signed size never decreases): only the sequencer publishes, in order of commits.
        assert!(head.size >= published.head.size, "a smaller head after a larger one");
        *published = Published { head: head.clone(), governance, time };
        drop(published);
        for listener in self.listeners.read().unwrap_or_else(std::sync::PoisonError::into_inner).iter() {
            listener(&head);
        }
    }

    /// The tiles, for proofs.
    pub(crate) fn tiles(&self) -> Tiles<'_> {
        Tiles { store: &*self.store, cache: &self.tiles }
    }

    pub(crate) fn stop_for(&self, reason: String) {
        (self.on_fatal)(reason);
    }
}

/// The engine. Clone-free: share it in an `Arc`. Dropping it ends the sequencer after the queue is done.
pub struct Engine {
    inner: Arc<Inner>,
    queue: Option<SyncSender<Job>>,
    sequencer: Option<JoinHandle<()>>,
    /// The sequencer of an engine that has no thread for it.
    by_hand: Option<Mutex<Sequencer>>,
}

/// What an engine is made of.
pub struct Parts {
    /// The store; this engine must be its only writer.
    pub store: Arc<dyn Store>,
    /// The server's own keys.
    pub keys: LedgerKeys,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where randomness comes from.
    pub entropy: Arc<dyn Entropy>,
    /// What to do when the process has to stop.
    pub on_fatal: OnFatal,
}

impl Engine {
    /// Opens the ledger: restores the right edge, checks it against the stored head, folds the governance stream, and
    /// starts the sequencer.
    ///
    /// # Errors
    /// `HEAD_MISMATCH` when the tiles do not give the stored root; `LOG_KEY_MISMATCH` when the keys are another
    /// ledger's; `ENTRY_CHANGED`, `ENTRY_MISSING` or `ENTRY_INVALID` when the newest entry is damaged; whatever the
    /// governance fold refuses; what the store says.
    pub fn open(parts: Parts) -> Result<Self, Fault> {
        let mut engine = Self::open_by_hand(parts)?;
        if let Some(sequencer) = engine.by_hand.take() {
            let sequencer = sequencer.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
            let inner = engine.inner.clone();
            let thread = std::thread::Builder::new()
                .name("sequencer".to_owned())
                .spawn(move || run(&inner, sequencer))
                .map_err(|error| Fault::new(Kind::Unavailable, "THREAD_FAILED", error.to_string()))?;
            engine.sequencer = Some(thread);
        }
        Ok(engine)
    }

    /// Opens the ledger without a thread for the sequencer: nothing moves but by [`Engine::step`] and [`Engine::run`],
    /// so that a simulation says which requests make one batch. Dropping it stores no checkpoint, as after a crash.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub fn open_by_hand(parts: Parts) -> Result<Self, Fault> {
        let Parts { store, keys, clock, entropy, on_fatal } = parts;
        let stored = store.head()?;
        let edge = |level: u8, index: u64, _width: u16| store.tile(level, index);
        let tree = Tree::restore(stored.size, edge).map_err(|error| match error {
            RestoreError::Tile(error) => Fault::from(error),
            RestoreError::Tree(error) => {
                let message = format!("the right edge of the tree does not load: {error}");
                Fault::new(Kind::Integrity, "HEAD_MISMATCH", message)
            }
        })?;
        if tree.root() != stored.root {
            return Err(Fault::new(Kind::Integrity, "HEAD_MISMATCH", "the stored tiles do not give the stored root")
                .hint("the store was changed from outside; run `lockgate audit`"));
        }
        lockgate_failpoint::point("open.tree-restored");
        let governance = reader::governance(&*store)?;
        lockgate_failpoint::point("open.governance-folded");
        if governance.as_ref().is_some_and(|governance| governance.identity.log_key != keys.log.vkey().to_string()) {
            return Err(Fault::new(
                Kind::Integrity,
                "LOG_KEY_MISMATCH",
                "the keys beside the ledger are another ledger's",
            ));
        }
        projections::mend(&*store, governance.as_deref())?;
        where_index::ensure(&*store, governance.as_deref())?;
        lockgate_failpoint::point("open.index-ensured");
        let time = match stored.size.0.checked_sub(1) {
            // A batch never ends with the leaf of an attestation, which has no time: the entry that issues it follows.
            Some(last) => reader::entry(&*store, EntryIndex(last))?.time,
            None => UnixMillis(0),
        };
        clock.go_on_from(time);
        let empty = Arc::new(TreeHead { size: TreeSize(0), root: stored.root, checkpoint: String::new() });
        let published = Published { head: empty, governance: governance.clone(), time };
        let inner = Arc::new(Inner {
            store,
            tokens: TokenKey::new(&keys),
            keys,
            clock,
            entropy,
            claims: ClaimCache::default(),
            subjects: SubjectCache::default(),
            tiles: TileCache::default(),
            sessions: SessionCache::default(),
            ci: CiSessions::default(),
            integrity: Integrity::default(),
            published: RwLock::new(published),
            listeners: RwLock::new(Vec::new()),
            on_fatal,
        });
        let head = Arc::new(sign_head(&inner, stored.size, stored.root));
        inner.publish(head, governance, time);
        lockgate_failpoint::point("open.head-signed");
        let (queue, jobs) = sync_channel(QUEUE);
        let sequencer = Sequencer::new(inner.clone(), jobs, tree, time);
        Ok(Self { inner, queue: Some(queue), sequencer: None, by_hand: Some(Mutex::new(sequencer)) })
    }

    /// Takes what has queued as one batch, and says how many requests that were; where nothing has, stores the newest
    /// checkpoint. Does nothing where a thread does it.
    pub fn step(&self) -> usize {
        let Some(sequencer) = &self.by_hand else { return 0 };
        sequencer.lock().unwrap_or_else(std::sync::PoisonError::into_inner).step()
    }

    /// Hands a request to the sequencer; `answer` is called once, from its thread.
    pub fn submit(&self, submission: Submission, answer: Answer) {
        let Some(queue) = &self.queue else { return };
        if let Err(doubt) = self.inner.integrity.check_ledger() {
            return answer(Err(doubt));
        }
        if let Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) =
            queue.try_send(Job { submission, answer })
        {
            (job.answer)(Err(Fault::new(
                Kind::Unavailable,
                "OVERLOADED",
                "too many requests wait for the ledger; nothing was changed",
            )
            .hint("try again in a moment, with the same idempotency key")));
        }
    }

    /// Hands a request in and waits for the answer.
    ///
    /// # Errors
    /// The request's own fault.
    pub fn run(&self, submission: Submission) -> Result<Receipt, Fault> {
        let (sender, receiver) = std::sync::mpsc::channel();
        self.submit(
            submission,
            Box::new(move |result| {
                // The waiting side is below and outlives this.
                let _ = sender.send(result);
            }),
        );
        self.step();
        receiver.recv().unwrap_or_else(|_| Err(Fault::new(Kind::Unavailable, "STOPPING", "the server is stopping")))
    }

    /// What readers see now.
    pub fn published(&self) -> Published {
        self.inner.published()
    }

    /// The time of what is shown or judged now: the clock's, and never before the newest entry.
    pub fn time(&self) -> UnixMillis {
        self.inner.now().max(self.published().time)
    }

    /// The governance state.
    ///
    /// # Errors
    /// `LEDGER_EMPTY`.
    pub fn governance(&self) -> Result<Arc<Governance>, Fault> {
        self.published()
            .governance
            .ok_or_else(|| Fault::new(Kind::Unavailable, "LEDGER_EMPTY", "the ledger has no first entry"))
    }

    /// What was found damaged since the start; whoever meets such a fault outside the sequencer notes it here.
    pub fn integrity(&self) -> &Integrity {
        &self.inner.integrity
    }

    /// The store, for reading.
    pub fn store(&self) -> &dyn Store {
        &*self.inner.store
    }

    /// The parts that verbs share.
    pub fn inner(&self) -> &Inner {
        &self.inner
    }

    /// Calls `listener` after each new head, from the sequencer's thread; it must not block.
    pub fn listen(&self, listener: impl Fn(&TreeHead) + Send + Sync + 'static) {
        self.inner.listeners.write().unwrap_or_else(std::sync::PoisonError::into_inner).push(Box::new(listener));
    }

    /// Proves that the ledger of `head` holds the leaf at `index`.
    ///
    /// INVARIANT (proofs verify before they leave): the proof is checked here.
    ///
    /// # Errors
    /// `PROOF_FAILED` when the tiles are damaged.
    pub fn inclusion(&self, index: EntryIndex, leaf: &Digest, head: &TreeHead) -> Result<Vec<Digest>, Fault> {
        let what = format!("entry {index}");
        let path = prove_inclusion(index, head.size, &self.inner.tiles()).map_err(|error| unproven(&what, error))?;
        verify_inclusion(index, head.size, leaf, &path, &head.root)
            .map_err(|error| unproven(&what, ProveError::Range(error)))?;
        Ok(path)
    }

    /// Proves that the ledger of `head` grew from its first `old` entries, and tells their root.
    ///
    /// Relies on INVARIANT (proofs verify before they leave).
    ///
    /// # Errors
    /// `PROOF_RANGE` when `old` is zero or larger than the ledger; `PROOF_FAILED` when the tiles are damaged.
    pub fn consistency(&self, old: TreeSize, head: &TreeHead) -> Result<(Digest, Vec<Digest>), Fault> {
        if old.0 == 0 || old > head.size {
            return Err(Fault::invalid(
                "PROOF_RANGE",
                format!("a consistency proof starts between 1 and {} entries", head.size),
            ));
        }
        let what = format!("that the ledger grew from its first {old} entries");
        let tiles = self.inner.tiles();
        let root = root_at(old, &tiles).map_err(|error| unproven(&what, error))?;
        let path = prove_consistency(old, head.size, &tiles).map_err(|error| unproven(&what, error))?;
        verify_consistency(old, head.size, &path, &root, &head.root)
            .map_err(|error| unproven(&what, ProveError::Range(error)))?;
        Ok((root, path))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(sequencer) = self.sequencer.take() {
            // A panic there was reported when it happened.
            let _ = sequencer.join();
        }
    }
}

/// Runs the sequencer to its end. Without one, a server would go on to answer and never write again, so the process
/// stops when a defect ends it.
fn run(inner: &Inner, sequencer: Sequencer) {
    if catch_unwind(AssertUnwindSafe(|| sequencer.run())).is_err() {
        inner.stop_for("the sequencer broke off".to_owned());
    }
}
