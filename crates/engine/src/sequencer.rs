//! The sequencer: one thread that takes all that has queued, commits once, signs, and answers everyone.
//!
//! 1. Take the queue.
//! 2. Apply each request to the staged state, going back where one fails.
//! 3. Extend a copy of the tree.
//! 4. Commit: one flush.
//! 5. Sign the checkpoint of what is now durable.
//! 6. Answer everyone.
//!
//! A crash before 4 leaves nothing; after 4 the head can be signed again, because signing is deterministic. Nothing is
//! retried on a failed commit; where its outcome is unknown, the store's head tells it.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use lockgate_model::{Digest, EntryIndex, Hasher, PromotionId, TreeSize, UnixMillis, canonical};
use lockgate_store::{Batch, Head, Reply, Store, StoreError, TileWrite};
use lockgate_tlog::checkpoint::Checkpoint;
use lockgate_tlog::tree::Tree;
use serde_json::Value;

use crate::engine::{Inner, TreeHead};
use crate::evaluate::{Record, evaluate};
use crate::fault::{Fault, Kind};
use crate::integrity::Log;
use crate::staging::{Staging, Warm};

/// The most requests that one batch takes.
const BATCH_REQUESTS: usize = 2048;
/// How long the writer waits for more before it stores the newest checkpoint. Storing it costs no flush: it can be
/// signed again, and is for those who read the store without the server.
const IDLE: Duration = Duration::from_millis(5);
/// After how many batches without a pause it is stored all the same.
const UNSAVED_BATCHES: u32 = 64;

/// What a request wants to append: runs inside the sequencer, on current state.
pub type Plan = Box<dyn FnOnce(&mut Staging<'_>, &Inner) -> Result<Value, Fault> + Send>;
/// Which open promotions a request may have changed the outcome of: asked once it has appended something.
pub type Concerned = Box<dyn FnOnce(&Staging<'_>) -> Result<Vec<PromotionId>, Fault> + Send>;
/// Called once with what became of a request: its receipt, or why nothing of it was appended.
pub type Answer = Box<dyn FnOnce(Result<Receipt, Fault>) + Send>;

/// A request for the sequencer.
pub struct Submission {
    /// Appends its entries, and gives the request's own result.
    pub plan: Plan,
    /// The caller's key for repeating it safely, with the digest of what was asked.
    pub idempotency: Option<(String, Digest)>,
    /// What is decided again after it, in the same batch.
    pub concerned: Option<Concerned>,
}

impl Submission {
    /// A submission that is not repeatable by key.
    pub fn new(plan: impl FnOnce(&mut Staging<'_>, &Inner) -> Result<Value, Fault> + Send + 'static) -> Self {
        Self { plan: Box::new(plan), idempotency: None, concerned: None }
    }

    /// With open promotions that are decided again at once, each for itself: one that cannot be decided holds up neither
    /// the request nor the others.
    #[must_use]
    pub fn deciding(
        mut self,
        concerned: impl FnOnce(&Staging<'_>) -> Result<Vec<PromotionId>, Fault> + Send + 'static,
    ) -> Self {
        self.concerned = Some(Box::new(concerned));
        self
    }

    /// With an idempotency key: the same key and request give the same reply; another request is refused.
    #[must_use]
    pub fn keyed(mut self, key: Option<(String, Digest)>) -> Self {
        self.idempotency = key;
        self
    }
}

/// What an acknowledged request is told: durable, and covered by a signed checkpoint.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// The request's own result.
    pub value: Value,
    /// The first entry that it appended, if any.
    pub index: Option<EntryIndex>,
    /// The leaf hash of that entry.
    pub leaf: Option<Digest>,
    /// The tree head that covers it.
    pub head: Arc<TreeHead>,
    /// Whether this is the reply to an earlier, equal request.
    pub repeated: bool,
}

pub(crate) struct Job {
    pub(crate) submission: Submission,
    pub(crate) answer: Answer,
}

struct Done {
    value: Value,
    index: Option<EntryIndex>,
    leaf: Option<Digest>,
    repeated: bool,
}

pub(crate) struct Sequencer {
    inner: Arc<Inner>,
    queue: Receiver<Job>,
    tree: Tree,
    time: UnixMillis,
    warm: Warm,
    /// How many batches the stored checkpoint is behind.
    unsaved: u32,
}

impl Sequencer {
    pub(crate) fn new(inner: Arc<Inner>, queue: Receiver<Job>, tree: Tree, time: UnixMillis) -> Self {
        Self { inner, queue, tree, time, warm: Warm::default(), unsaved: 1 }
    }

    /// Runs until the engine is dropped; then stores the newest checkpoint.
    pub(crate) fn run(mut self) {
        loop {
            let next = match self.unsaved {
                0 => self.queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
                _ => self.queue.recv_timeout(IDLE),
            };
            match next {
                Ok(job) => {
                    let mut jobs = vec![job];
                    jobs.extend(self.queue.try_iter().take(BATCH_REQUESTS - 1));
                    self.batch(jobs);
                    if self.unsaved >= UNSAVED_BATCHES {
                        self.save_checkpoint();
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.save_checkpoint(),
                Err(RecvTimeoutError::Disconnected) => return self.save_checkpoint(),
            }
        }
    }

    /// Takes what has queued as one batch, and says how many requests that were; where nothing has, stores the newest
    /// checkpoint, as [`Self::run`] does in a pause.
    pub(crate) fn step(&mut self) -> usize {
        let jobs: Vec<Job> = self.queue.try_iter().take(BATCH_REQUESTS).collect();
        let count = jobs.len();
        match count {
            0 => self.save_checkpoint(),
            _ => self.batch(jobs),
        }
        if self.unsaved >= UNSAVED_BATCHES {
            self.save_checkpoint();
        }
        count
    }

    fn batch(&mut self, jobs: Vec<Job>) {
        let inner = self.inner.clone();
        lockgate_failpoint::point("sequencer.taken");
        self.time = match lockgate_failpoint::planted("clock-not-clamped") {
            true => inner.clock.now(),
            false => self.time.max(inner.clock.now()),
        };
        let size = self.tree.size();
        let governance = inner.published().governance.clone();
        let mut staging =
            Staging::begin(&*inner.store, EntryIndex(size.0), self.time, governance, std::mem::take(&mut self.warm));
        let mut replies: Vec<Reply> = Vec::new();
        let mut answers = Vec::with_capacity(jobs.len());
        for Job { mut submission, answer } in jobs {
            let concerned = submission.concerned.take();
            let done = one(&mut staging, &inner, submission, &mut replies, self.time);
            if let Err(fault) = &done {
                inner.integrity.note(Log::Ledger, fault);
            }
            if let (Some(concerned), Ok(Done { index: Some(_), repeated: false, .. })) = (concerned, &done) {
                decide_again(&mut staging, &inner, concerned);
            }
            answers.push((answer, done));
        }
        // Relies on INVARIANT (nothing is built on doubt): what was staged rests on what was read.
        if let Err(doubt) = inner.integrity.check_ledger() {
            return refuse_in_doubt(answers, &doubt, &inner.published().head);
        }
        let staged = staging.finish();
        if staged.entries.is_empty() {
            self.warm = staged.warm.bounded();
            let head = inner.published().head.clone();
            return answer_all(answers, &head);
        }
        // The tree is a copy until the commit has succeeded.
        let mut tree = self.tree.clone();
        for entry in &staged.entries {
            tree.append(entry.leaf_hash);
        }
        let tile = |tile: lockgate_tlog::tree::TileWrite| TileWrite {
            level: tile.level,
            index: tile.index,
            hashes: tile.hashes,
        };
        let batch = Batch {
            first: EntryIndex(size.0),
            tiles: tree.take_tiles().into_iter().map(tile).collect(),
            root: tree.root(),
            entries: staged.entries,
            documents: staged.documents,
            replies,
            projections: staged.projections,
        };
        if lockgate_failpoint::planted("acknowledge-before-commit") {
            let head = Arc::new(sign_head(&inner, tree.size(), batch.root));
            answer_all(std::mem::take(&mut answers), &head);
        }
        lockgate_failpoint::point("sequencer.before-commit");
        if let Err(error) = inner.store.commit(&batch) {
            match self.after(&error, &batch) {
                Failed::Kept => tracing::warn!(%error, "a commit gave an error and was kept"),
                Failed::Refused => return self.refuse_all(answers, &error, None),
                Failed::Stop(reason) => return self.refuse_all(answers, &error, Some(reason)),
            }
        }
        // Durable from here on: a crash now loses answers, never entries.
        lockgate_failpoint::point("sequencer.committed");
        self.tree = tree;
        self.unsaved = self.unsaved.saturating_add(1);
        let head = Arc::new(sign_head(&inner, self.tree.size(), batch.root));
        lockgate_failpoint::point("sequencer.signed");
        inner.publish(head.clone(), staged.governance, self.time);
        lockgate_failpoint::point("sequencer.published");
        self.warm = staged.warm.bounded();
        answer_all(answers, &head);
        lockgate_failpoint::point("sequencer.answered");
    }

    /// What a commit that gave an error means. A failed flush stops the process, because the kernel may have dropped the
    /// pages that it could not write; whoever restarts reads what really is there. So does a head that is neither before
    /// nor after the batch: then somebody else writes.
    fn after(&self, error: &StoreError, batch: &Batch) -> Failed {
        match error {
            StoreError::Fatal(_) => return Failed::Stop(error.to_string()),
            // The outcome is unknown, or the batch was perhaps made for another head than the store's.
            StoreError::Injected { .. } | StoreError::Conflict { .. } => {}
            // After all others nothing has changed.
            _ => return Failed::Refused,
        }
        let before = Head { size: self.tree.size(), root: self.tree.root() };
        match fate_of(batch, &before, &*self.inner.store) {
            Ok(Fate::Kept) => Failed::Kept,
            Ok(Fate::Lost) => Failed::Refused,
            Ok(Fate::Elsewhere(head)) => Failed::Stop(format!("the ledger has {} entries now: {error}", head.size)),
            Err(unread) => Failed::Stop(format!("{error}; the head cannot be read: {unread}")),
        }
    }

    /// The commit failed: nothing is acknowledged, and where there is a reason for it, the process stops.
    fn refuse_all(&mut self, answers: Vec<(Answer, Result<Done, Fault>)>, error: &StoreError, stop: Option<String>) {
        let fault = Fault::from(error.clone());
        // Also what was refused is told so: it may have been refused because of what was staged and is gone now.
        for (answer, _) in answers {
            answer(Err(fault.clone()));
        }
        match stop {
            Some(reason) => {
                tracing::error!(%reason, "a commit failed; stopping");
                self.inner.stop_for(reason);
            }
            None => tracing::warn!(%error, "a commit was refused"),
        }
    }

    fn save_checkpoint(&mut self) {
        if self.unsaved == 0 {
            return;
        }
        let head = self.inner.published().head.clone();
        lockgate_failpoint::point("checkpoint.before-save");
        match self.inner.store.checkpoint_put(head.checkpoint.as_bytes()) {
            Ok(()) => {
                self.unsaved = 0;
                lockgate_failpoint::point("checkpoint.saved");
            }
            Err(error) => {
                // Not tried again before the next batch: a full disk must not turn this into a busy loop.
                self.unsaved = 0;
                tracing::warn!(%error, "the checkpoint could not be stored; it will be signed again");
            }
        }
    }
}

/// What a commit that gave an error means for the sequencer.
enum Failed {
    /// The batch is durable all the same.
    Kept,
    /// Nothing was kept, and the next batch may succeed.
    Refused,
    /// The process has to stop.
    Stop(String),
}

/// What became of a batch whose commit gave an error, as the store's head tells.
pub(crate) enum Fate {
    /// All of it was kept.
    Kept,
    /// Nothing of it was kept.
    Lost,
    /// The head is neither: somebody else writes.
    Elsewhere(Head),
}

/// Reads what became of a batch that was made for the head `before`.
///
/// # Errors
/// What the store says.
pub(crate) fn fate_of(batch: &Batch, before: &Head, store: &dyn Store) -> Result<Fate, StoreError> {
    let head = store.head()?;
    let after = Head { size: batch.size_after(), root: batch.root };
    Ok(match head {
        head if head == after => Fate::Kept,
        head if head == *before => Fate::Lost,
        head => Fate::Elsewhere(head),
    })
}

/// Decides again on the open promotions that a request concerns, each for itself. What cannot be decided is logged and
/// left to the scheduler.
fn decide_again(staging: &mut Staging<'_>, inner: &Inner, concerned: Concerned) {
    let open = concerned(&*staging).unwrap_or_else(|fault| {
        tracing::warn!(code = fault.code, "open promotions could not be listed");
        inner.integrity.note(Log::Ledger, &fault);
        Vec::new()
    });
    for promotion in open {
        let mark = staging.mark();
        if let Err(fault) = evaluate(staging, inner, promotion, Record::Changes) {
            staging.go_back(mark);
            tracing::warn!(%promotion, code = fault.code, "an open promotion could not be decided again");
            inner.integrity.note(Log::Ledger, &fault);
        }
    }
}

/// Applies one request. Nothing stays of one that fails, nor of one that appends nothing: what it noted would be
/// committed with somebody else's entry.
fn one(
    staging: &mut Staging<'_>,
    inner: &Inner,
    submission: Submission,
    replies: &mut Vec<Reply>,
    now: UnixMillis,
) -> Result<Done, Fault> {
    let submission = Submission {
        idempotency: submission.idempotency.filter(|_| !lockgate_failpoint::planted("idempotency-key-ignored")),
        ..submission
    };
    if let Some((key, request)) = &submission.idempotency
        && let Some(reply) = known_reply(inner, replies, key)?
    {
        return repeat(&reply, *request);
    }
    let mark = staging.mark();
    let first = staging.next_index();
    let value = match (submission.plan)(staging, inner) {
        Ok(value) => value,
        Err(fault) => {
            if !lockgate_failpoint::planted("half-a-request-stays") {
                staging.go_back(mark);
            }
            return Err(fault);
        }
    };
    let appended = staging.next_index() > first;
    if !appended {
        staging.go_back(mark);
    }
    let done = Done { value, index: appended.then_some(first), leaf: staging.leaf_hash(first), repeated: false };
    if let (Some((key, request)), true) = (submission.idempotency, appended) {
        let body = serde_json::json!({ "value": done.value, "index": done.index, "leaf": done.leaf });
        match canonical::to_vec(&body) {
            Ok(body) => replies.push(Reply { key, request, body, at: now }),
            Err(error) => {
                staging.go_back(mark);
                return Err(Fault::new(Kind::Bug, "REPLY_INVALID", error.to_string()));
            }
        }
    }
    Ok(done)
}

fn known_reply(inner: &Inner, replies: &[Reply], key: &str) -> Result<Option<Reply>, Fault> {
    match replies.iter().find(|reply| reply.key == key) {
        Some(reply) => Ok(Some(reply.clone())),
        None => Ok(inner.store.reply(key)?),
    }
}

fn repeat(reply: &Reply, request: Digest) -> Result<Done, Fault> {
    if reply.request != request {
        return Err(Fault::new(
            Kind::Conflict,
            "IDEMPOTENCY_MISMATCH",
            "this idempotency key was used for another request",
        )
        .hint("use a new key for a new request"));
    }
    let broken = || Fault::new(Kind::Integrity, "REPLY_DAMAGED", "the kept reply is damaged");
    let mut body: Value = serde_json::from_slice(&reply.body).map_err(|_| broken())?;
    let index = body.get("index").and_then(Value::as_u64).map(EntryIndex);
    let leaf = body.get("leaf").and_then(Value::as_str).and_then(|text| text.parse().ok());
    let value = body.get_mut("value").map(Value::take).ok_or_else(broken)?;
    Ok(Done { value, index, leaf, repeated: true })
}

fn answer_all(answers: Vec<(Answer, Result<Done, Fault>)>, head: &Arc<TreeHead>) {
    for (answer, done) in answers {
        answer(done.map(|done| Receipt {
            value: done.value,
            index: done.index,
            leaf: done.leaf,
            head: head.clone(),
            repeated: done.repeated,
        }));
    }
}

/// Refuses a whole batch: whoever met the damage is told of it, all others that there is some. Only who repeats what was
/// durable before the batch, and not merely staged in it, has the same reply again.
fn refuse_in_doubt(answers: Vec<(Answer, Result<Done, Fault>)>, doubt: &Fault, head: &Arc<TreeHead>) {
    let is_durable = |done: &Done| done.repeated && done.index.is_some_and(|index| index.0 < head.size.0);
    let (kept, refused): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|(_, done)| done.as_ref().is_ok_and(is_durable));
    answer_all(kept, head);
    for (answer, done) in refused {
        answer(Err(done.err().unwrap_or_else(|| doubt.clone())));
    }
}

/// Signs a tree head that is durable.
pub(crate) fn sign_head(inner: &Inner, size: TreeSize, root: Digest) -> TreeHead {
    let checkpoint = Checkpoint { origin: inner.keys.log.vkey().name().to_owned(), size, root };
    let checkpoint = checkpoint.sign(&inner.keys.log).to_text();
    TreeHead { size, root, checkpoint }
}

/// The digest under which a repeated request is recognised: the parts, each with its length.
pub fn request_digest(parts: &[&[u8]]) -> Digest {
    let mut hasher = Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finish()
}
