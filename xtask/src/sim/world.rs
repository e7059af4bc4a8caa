//! World: one run. The engine over a shaky store, a clock, and everyone who asks something of it, in one thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use lockgate_engine::audit::StoreSource;
use lockgate_engine::bodies::StoreBodies;
use lockgate_engine::engine::Parts;
use lockgate_engine::{Clock as _, Engine, Fault, Kind, Receipt, Submission, bundle, scheduler};
use lockgate_ledger::audit::{Anchor, audit};
use lockgate_ledger::bundle::{Query, open, verify};
use lockgate_ledger::{Entry, Leaf, TrustFile};
use lockgate_model::{Digest, EntryIndex, Limits, PromotionId, TreeSize, UnixMillis};
use lockgate_store::LedgerStore as _;
use lockgate_tlog::leaf_hash;
use lockgate_tlog::proof::verify_consistency;

use super::act::Intent;
use super::cast::{BEGIN, Cast, Hands, Seeded};
use super::journal::Journal;
use super::model::{Model, Status};
use super::own::named_entry;
use super::shaky::{Blow, Defect, Shaky, Unread};
use super::shape::Shape;
use super::trace::Trace;
use crate::failure::{During as _, Failure, Result};
use crate::random::Random;

/// The most requests of one batch.
const BATCH_MAX: u64 = 5;
/// With what a request fails that needs what cannot be read.
const UNREAD: [&str; 2] = ["STORE_FAILED", "BODY_UNREADABLE"];
/// How many tree heads are kept at most.
const KEPT_MAX: usize = 12;
const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// What happened, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Runs.
    pub seeds: u64,
    /// Steps.
    pub steps: u64,
    /// Requests that were acknowledged.
    pub acks: u64,
    /// Of these, repetitions.
    pub repeated: u64,
    /// Requests that were refused.
    pub refusals: u64,
    /// Commits that failed.
    pub faults: u64,
    /// Reads that failed, and checkpoints that could not be stored.
    pub missed: u64,
    /// Starts that failed because something could not be read.
    pub starts: u64,
    /// Crashes, with or without a power cut.
    pub crashes: u64,
    /// Grants.
    pub grants: u64,
    /// Entries.
    pub entries: u64,
    /// Decisions that were run again by an audit.
    pub replayed: u64,
    /// Bundles that verified.
    pub bundles: u64,
}

impl Counts {
    /// Adds what happened in another run.
    pub fn add(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.steps += other.steps;
        self.acks += other.acks;
        self.repeated += other.repeated;
        self.refusals += other.refusals;
        self.faults += other.faults;
        self.missed += other.missed;
        self.starts += other.starts;
        self.crashes += other.crashes;
        self.grants += other.grants;
        self.entries += other.entries;
        self.replayed += other.replayed;
        self.bundles += other.bundles;
    }
}

/// What one run came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Played {
    /// What happened.
    pub counts: Counts,
    /// The same for every run of the seed.
    pub shape: Digest,
}

/// How a request ended.
type Answer = std::result::Result<Receipt, Fault>;

/// One run.
pub struct World<'a> {
    pub(super) cast: &'a Cast,
    pub(super) random: Random,
    pub(super) model: Model,
    pub(super) journal: Journal,
    pub(super) store: Arc<Shaky>,
    pub(super) hands: Arc<Hands>,
    /// How many keys for repeating requests were given out.
    pub(super) keys: u64,
    engine: Option<Engine>,
    stopped: Arc<AtomicBool>,
    trust: Option<TrustFile>,
    kept: Vec<(TreeSize, Digest)>,
    counts: Counts,
    trace: &'a mut Trace,
}

impl<'a> World<'a> {
    /// Plays a seed to its end.
    ///
    /// # Errors
    /// The first thing that must not be.
    pub fn play(cast: &'a Cast, seed: u64, steps: u64, defect: Option<Defect>, trace: &'a mut Trace) -> Result<Played> {
        let mut world = Self::new(cast, seed, defect, trace)?;
        for step in 1..=steps {
            world.trace.begin(step);
            world.step()?;
            world.check()?;
            world.counts.steps += 1;
        }
        world.trace.begin(steps + 1);
        world.finish()
    }

    fn new(cast: &'a Cast, seed: u64, defect: Option<Defect>, trace: &'a mut Trace) -> Result<Self> {
        let mut world = Self {
            cast,
            random: Random::new(seed),
            model: Model::new(&cast.rules),
            journal: Journal::default(),
            store: Arc::new(Shaky::new(&cast.beginning, defect)?),
            hands: Arc::new(Hands::at(BEGIN)),
            keys: 0,
            engine: None,
            stopped: Arc::default(),
            trust: None,
            kept: Vec::new(),
            counts: Counts { seeds: 1, ..Counts::default() },
            trace,
        };
        world.open()?;
        world.read_on()?;
        let governance = world.engine()?.governance()?;
        let genesis = world.model.leaves.first().copied().ok_or_else(|| Failure::new("the ledger is empty"))?;
        world.trust = Some(TrustFile::of(&governance, genesis)?);
        // The first checkpoint is stored, so that there is one to fall back to.
        world.engine()?.step();
        Ok(world)
    }

    /// The engine that runs now.
    ///
    /// # Errors
    /// When none does.
    pub(super) fn engine(&self) -> Result<&Engine> {
        self.engine.as_ref().ok_or_else(|| Failure::new("no engine runs"))
    }

    fn trust(&self) -> Result<&TrustFile> {
        self.trust.as_ref().ok_or_else(|| Failure::new("there is no trust file"))
    }

    /// What the ledger would take for the time now.
    pub(super) fn now(&self) -> UnixMillis {
        self.hands.now().max(self.model.time)
    }

    /// Whether something with these odds in a hundred happens.
    pub(super) fn happens(&mut self, percent: u64) -> bool {
        self.random.between(1, 100) <= percent
    }

    /// Opens the ledger after a crash; now and then something cannot be read at first, and then it is tried again.
    fn start(&mut self) -> Result<()> {
        let gap = self.gap(20);
        self.store.hide(gap);
        let opened = self.open();
        match (opened, self.show(gap)) {
            (Err(_), 1..) => {
                self.counts.starts += 1;
                self.trace.say("the process does not start".to_owned());
                self.open()
            }
            (opened, _) => opened,
        }
    }

    fn open(&mut self) -> Result<()> {
        self.engine = None;
        self.stopped = Arc::new(AtomicBool::new(false));
        let stopped = self.stopped.clone();
        let engine = Engine::open_by_hand(Parts {
            store: self.store.clone(),
            keys: self.cast.keys()?,
            clock: self.hands.clone(),
            entropy: Arc::new(Seeded::new(self.random.draw())),
            on_fatal: Box::new(move |_| stopped.store(true, Ordering::SeqCst)),
        })
        .during("open the ledger")?;
        self.engine = Some(engine);
        Ok(())
    }

    fn step(&mut self) -> Result<()> {
        self.move_clock();
        let no_note = self.happens(5);
        self.counts.missed += self.store.keep_no_note(no_note);
        match self.random.between(1, 100) {
            1..=72 => self.batch(),
            73..=82 => self.tick(),
            83..=86 => self.crash(false),
            87..=88 => self.crash(true),
            89..=96 => self.look_up(),
            _ => {
                self.trace.say("a pause".to_owned());
                self.engine()?.step();
                Ok(())
            }
        }
    }

    /// The clock stands, goes on, jumps, or runs back.
    fn move_clock(&mut self) {
        let now = self.hands.now().0;
        let next = match self.random.between(1, 100) {
            1..=40 => now,
            41..=85 => now + self.random.between(1, HOUR),
            86..=91 => now + self.random.between(1, 4) * DAY,
            92 => now + 40 * DAY,
            93..=97 => now.saturating_sub(self.random.between(1, 2 * DAY)),
            _ => now.saturating_sub(1000),
        };
        if next.abs_diff(now) > HOUR {
            self.trace.say(format!("the clock jumps from {} to {}", UnixMillis(now), UnixMillis(next)));
        }
        self.hands.put(UnixMillis(next));
    }

    fn threat(&mut self) -> Option<Blow> {
        match self.random.between(1, 100) {
            1..=4 => Some(Blow::Refused),
            5..=8 => Some(Blow::Lost),
            9..=13 => Some(Blow::Kept),
            14..=15 => Some(Blow::DoubtedLost),
            16..=17 => Some(Blow::DoubtedKept),
            _ => None,
        }
    }

    /// What cannot be read while a batch is made, or time passes, or the process starts.
    fn gap(&mut self, percent: u64) -> Option<Unread> {
        if !self.happens(percent) {
            return None;
        }
        let kind = usize::try_from(self.random.between(0, Unread::ALL.len() as u64 - 1)).unwrap_or_default();
        match Unread::ALL.get(kind).copied() {
            Some(Unread::Entries(_)) => Some(Unread::Entries(self.random.between(0, 3))),
            other => other,
        }
    }

    /// What was hidden can be read again; how often it could not.
    fn show(&mut self, gap: Option<Unread>) -> u64 {
        let missed = self.store.show();
        if missed > 0 {
            self.trace.say(format!("{missed} reads fail: {gap:?}"));
        }
        self.counts.missed += missed;
        missed
    }

    /// Several requests, made of the same state, come to the sequencer at once.
    fn batch(&mut self) -> Result<()> {
        let mut intents = Vec::new();
        for _ in 0..self.random.between(1, BATCH_MAX) {
            intents.extend(self.intend()?);
        }
        let mut asked: Vec<(Intent, Submission)> = Vec::new();
        for intent in intents {
            self.trace.say(format!("{}: {}", intent.key, intent.act.told()));
            match intent.act.submission(self.engine()?, &intent.key) {
                Ok(submission) => {
                    let key = Some((intent.key.clone(), intent.request));
                    asked.push((intent, submission.keyed(key)));
                }
                Err(fault) => {
                    self.judge_fault(&intent, &fault)?;
                    self.model.check_refusal(&intent.act, fault.code)?;
                }
            }
        }
        let (blow, gap) = (self.threat(), self.gap(6));
        self.store.threaten(blow);
        self.store.hide(gap);
        let handed_in = self.hand_in(asked);
        let missed = self.show(gap);
        let (intents, answers) = handed_in?;
        let stopped = self.stopped.load(Ordering::SeqCst);
        match self.store.calm() {
            // The store's head told that all of it was kept, so nobody hears of the error.
            Some(Blow::DoubtedKept) if !stopped => {
                self.counts.faults += 1;
                self.settle(intents, answers, missed)
            }
            Some(blow) => self.after_blow(blow, intents, answers, missed),
            None => self.settle(intents, answers, missed),
        }
    }

    /// Hands requests in as one batch; returns them with their answers.
    fn hand_in(&self, asked: Vec<(Intent, Submission)>) -> Result<(Vec<Intent>, Vec<Answer>)> {
        let box_of_answers: Arc<Mutex<Vec<(usize, Answer)>>> = Arc::default();
        let mut intents = Vec::new();
        let engine = self.engine()?;
        for (place, (intent, submission)) in asked.into_iter().enumerate() {
            let answers = box_of_answers.clone();
            let answer = move |answer: Answer| {
                answers.lock().unwrap_or_else(PoisonError::into_inner).push((place, answer));
            };
            engine.submit(submission, Box::new(answer));
            intents.push(intent);
        }
        engine.step();
        let mut answers = std::mem::take(&mut *box_of_answers.lock().unwrap_or_else(PoisonError::into_inner));
        answers.sort_by_key(|(place, _)| *place);
        let places: Vec<usize> = answers.iter().map(|(place, _)| *place).collect();
        if places != (0..intents.len()).collect::<Vec<_>>() {
            return Err(Failure::new(format!("{} requests have the answers {places:?}", intents.len())));
        }
        Ok((intents, answers.into_iter().map(|(_, answer)| answer).collect()))
    }

    /// The commit failed: nobody may have been told that it did not.
    fn after_blow(&mut self, blow: Blow, intents: Vec<Intent>, answers: Vec<Answer>, missed: u64) -> Result<()> {
        self.counts.faults += 1;
        self.trace.say(format!("the commit fails: {blow:?}"));
        for (intent, answer) in intents.iter().zip(&answers) {
            if answer.is_ok() {
                return Err(Failure::new(format!("{} was acknowledged, and its commit failed", intent.key)));
            }
            self.journal.unanswered(intent);
        }
        let stopped = self.stopped.load(Ordering::SeqCst);
        match blow {
            Blow::Refused | Blow::DoubtedLost | Blow::DoubtedKept if !stopped => Ok(()),
            // Whether it was kept could not be read either: then the next process looks.
            Blow::DoubtedLost | Blow::DoubtedKept if missed > 0 => self.crash(false),
            Blow::Refused | Blow::DoubtedLost | Blow::DoubtedKept => {
                Err(Failure::new("the process stops, although it can know that nothing was kept"))
            }
            Blow::Lost | Blow::Kept => {
                if !self.stopped.load(Ordering::SeqCst) || !self.store.is_stopped() {
                    return Err(Failure::new("a flush failed, and the process goes on"));
                }
                self.crash(false)
            }
        }
    }

    /// Compares what everyone was told with what the model says, in the order of the ledger.
    ///
    /// Where reads failed, a request may have failed with them: then it counts as one that was not answered.
    fn settle(&mut self, intents: Vec<Intent>, answers: Vec<Answer>, missed: u64) -> Result<()> {
        let size = self.store.head()?.size.0;
        let mut end = size;
        let mut ends: Vec<Option<u64>> = answers
            .iter()
            .rev()
            .map(|answer| {
                let receipt = answer.as_ref().ok().filter(|receipt| !receipt.repeated)?;
                let start = receipt.index?.0;
                let own = end;
                end = start;
                Some(own)
            })
            .collect();
        ends.reverse();
        if end != self.model.size() {
            return Err(Failure::new(format!("the entries from {} to {end} were told to nobody", self.model.size())));
        }
        for ((intent, answer), end) in intents.into_iter().zip(answers).zip(ends) {
            match answer {
                Ok(receipt) => self.acknowledge(&intent, &receipt, end)?,
                Err(fault) if missed > 0 && UNREAD.contains(&fault.code) => {
                    self.trace.say(format!("{}: fails with {}", intent.key, fault.code));
                    self.journal.unanswered(&intent);
                    continue;
                }
                Err(fault) => self.refuse(&intent, &fault)?,
            }
            self.journal.asked.push(intent);
        }
        self.model.check_settled()
    }

    fn acknowledge(&mut self, intent: &Intent, receipt: &Receipt, end: Option<u64>) -> Result<()> {
        self.counts.acks += 1;
        if let Some(end) = end {
            if receipt.index.is_none_or(|index| index.0 != self.model.size() || index.0 >= end) {
                return Err(Failure::new(format!("{} is not where it is told to be", intent.key)));
            }
            self.read_until(end)?;
        }
        if receipt.repeated {
            self.counts.repeated += 1;
        } else {
            self.model.check_reply(intent, &receipt.value).during(&intent.key)?;
        }
        let told = receipt.index.zip(receipt.leaf);
        let held = told.and_then(|(index, leaf)| Some((self.model.leaves.get(usize::try_from(index.0).ok()?)?, leaf)));
        if told.is_some() && held.is_none_or(|(held, leaf)| *held != leaf) {
            return Err(Failure::new(format!("{} is acknowledged with another leaf than the ledger has", intent.key)));
        }
        if let Some((index, leaf)) = told {
            self.engine()?.inclusion(index, &leaf, &receipt.head)?;
        }
        self.check_entries(intent, receipt).during(&intent.key)?;
        self.trace.say(format!("{}: done{}", intent.key, if receipt.repeated { " before" } else { "" }));
        self.journal.acknowledged(intent, receipt, self.model.time, self.store.forgotten())
    }

    /// The entries that an acknowledgement names, now or earlier, are what was asked for.
    fn check_entries(&self, intent: &Intent, receipt: &Receipt) -> Result<()> {
        let Some(first) = receipt.index else { return self.model.check_nothing(&intent.act, &receipt.value) };
        let own = self.entry(first)?;
        self.model.check_own(intent, &own)?;
        let Some((name, index)) = named_entry(&intent.act, &receipt.value, first)? else { return Ok(()) };
        let found = self.entry(index)?;
        match found.event.name() == name {
            true => Ok(()),
            false => Err(Failure::new(format!("entry {index} is told to be {name}, and is {}", found.event.name()))),
        }
    }

    fn entry(&self, index: EntryIndex) -> Result<Box<Entry>> {
        let bytes = self.store.entry(index)?.ok_or_else(|| Failure::new(format!("entry {index} is missing")))?;
        match Leaf::decode(&bytes, &Limits::DEFAULT)? {
            Leaf::Entry(entry) => Ok(entry),
            Leaf::HashedRekord => Err(Failure::new(format!("entry {index} is none that anybody asked for"))),
        }
    }

    fn refuse(&mut self, intent: &Intent, fault: &Fault) -> Result<()> {
        self.judge_fault(intent, fault)?;
        self.journal.refused(intent, fault.code, self.store.forgotten())?;
        self.model.check_refusal(&intent.act, fault.code)
    }

    /// No request can make the engine find its own ledger damaged.
    fn judge_fault(&mut self, intent: &Intent, fault: &Fault) -> Result<()> {
        self.counts.refusals += 1;
        self.trace.say(format!("{}: refused with {}", intent.key, fault.code));
        let store = ["STORE_FAILED", "CONFLICT", "DISK_FULL", "DISK_READ_ONLY"].contains(&fault.code);
        match store || matches!(fault.kind, Kind::Integrity | Kind::Bug) {
            false => Ok(()),
            true => Err(Failure::new(format!("{}: {} {fault}: {:?}", intent.key, fault.code, fault.context))),
        }
    }

    /// Time is allowed to change decisions.
    fn tick(&mut self) -> Result<()> {
        self.trace.say("the scheduler looks".to_owned());
        let (blow, gap) = (self.threat(), self.gap(6));
        self.store.threaten(blow);
        self.store.hide(gap);
        let ticked = scheduler::tick(self.engine()?);
        let missed = self.show(gap);
        let fallen = self.store.calm();
        self.counts.faults += u64::from(fallen.is_some());
        if self.stopped.load(Ordering::SeqCst) {
            return self.crash(false);
        }
        match (ticked, fallen) {
            (Err(fault), None) if missed == 0 || !UNREAD.contains(&fault.code) => {
                Err(Failure::new(format!("the scheduler: {fault}")))
            }
            _ => self.read_on(),
        }
    }

    /// The process is gone, and another one starts with what was durable.
    fn crash(&mut self, power_cut: bool) -> Result<()> {
        self.counts.crashes += 1;
        let words = if power_cut { "the power fails" } else { "the process dies" };
        self.trace.say(words.to_owned());
        self.engine = None;
        self.store = Arc::new(self.store.reopened(power_cut)?);
        self.start()?;
        let size = self.store.head()?.size.0;
        if size < self.model.size() {
            return Err(Failure::new(format!("{} entries were there, and {size} are left", self.model.size())));
        }
        self.read_on()?;
        self.audit()
    }

    fn read_on(&mut self) -> Result<()> {
        let size = self.store.head()?.size.0;
        self.read_until(size)?;
        self.model.check_settled()
    }

    fn read_until(&mut self, end: u64) -> Result<()> {
        let store = self.store.clone();
        while self.model.size() < end {
            let index = EntryIndex(self.model.size());
            let bytes = store.entry(index)?.ok_or_else(|| Failure::new(format!("entry {index} is missing")))?;
            self.model.fold(&bytes, &StoreBodies(&*store))?;
        }
        Ok(())
    }

    /// What has to hold after every step.
    fn check(&mut self) -> Result<()> {
        let head = self.store.head()?;
        if head.size.0 != self.model.size() {
            return Err(Failure::new(format!("the ledger has {} entries of {}", head.size, self.model.size())));
        }
        if let Some(complaint) = self.store.complaint() {
            return Err(Failure::new(format!("the store refused a commit of its own accord: {complaint}")));
        }
        for (index, leaf) in (0..).map(EntryIndex).zip(&self.model.leaves) {
            if self.store.entry(index)?.map(|bytes| leaf_hash(&bytes)) != Some(*leaf) {
                return Err(Failure::new(format!("entry {index} is not what it was")));
            }
        }
        for (key, index, leaf) in self.journal.entries() {
            let held = usize::try_from(index.0).ok().and_then(|index| self.model.leaves.get(index));
            if held != Some(&leaf) {
                return Err(Failure::new(format!("entry {index}, acknowledged for {key}, is gone")));
            }
        }
        let forgotten = self.store.forgotten();
        if let Some((words, _)) = self.model.doubled.iter().find(|(_, first)| *first >= forgotten) {
            return Err(Failure::new(format!("{words} happened twice")));
        }
        self.check_growth()
    }

    /// The published head is the store's, and the ledger grew from the newest head that was kept and from one other; the
    /// audits look at all of them.
    fn check_growth(&mut self) -> Result<()> {
        let drawn = usize::try_from(self.random.between(0, KEPT_MAX as u64 - 1)).unwrap_or_default();
        let engine = self.engine()?;
        let head = engine.published().head;
        let stored = self.store.head()?;
        if (head.size, head.root) != (stored.size, stored.root) {
            return Err(Failure::new(format!("a head of {} is published, and {} stored", head.size, stored.size)));
        }
        for (size, root) in self.kept.last().into_iter().chain(self.kept.get(drawn)) {
            let (own, path) = engine.consistency(*size, &head)?;
            if own != *root {
                return Err(Failure::new(format!("the first {size} entries have another root now")));
            }
            verify_consistency(*size, head.size, &path, root, &head.root)?;
        }
        if self.kept.last().is_none_or(|(size, _)| *size < head.size) && self.happens(30) {
            if self.kept.len() >= KEPT_MAX {
                self.kept.remove(drawn.min(self.kept.len() - 1));
            }
            self.kept.push((head.size, head.root));
        }
        Ok(())
    }

    /// Somebody asks what may run.
    fn look_up(&mut self) -> Result<()> {
        let Some((release, environment)) = self.some_target()? else { return Ok(()) };
        let Some(artifact) = self.model.releases.get(&release).and_then(|release| release.artifacts.first().copied())
        else {
            return Ok(());
        };
        let expected = self.model.may_run(&release, &environment, self.now());
        let found = bundle::find_grant(self.engine()?, &artifact, &release.service, &environment);
        self.trace.say(format!("may {release} run in {environment}? {expected:?}"));
        match found.map_err(|fault| fault.code) == expected {
            true => Ok(()),
            false => Err(Failure::new(format!("{release} in {environment} should be {expected:?}"))),
        }
    }

    /// Reads the whole ledger as an auditor does, and runs every decision again.
    fn audit(&mut self) -> Result<()> {
        let kept = self.kept.iter().copied();
        let anchors = kept.map(|(size, root)| Anchor { source: "a head".to_owned(), size, root }).collect();
        let report = audit(&StoreSource(&*self.store), Some(self.trust()?), anchors, |_, _| {});
        if let Some(problem) = report.problems.first() {
            return Err(Failure::new(format!("audit, {}: {} ({:?})", problem.code, problem.message, problem.index)));
        }
        if (report.entries, report.decisions_replayed) != (self.model.size(), self.model.decisions) {
            return Err(Failure::new(format!(
                "the audit saw {} entries and {} decisions, of {} and {}",
                report.entries,
                report.decisions_replayed,
                self.model.size(),
                self.model.decisions
            )));
        }
        self.counts.replayed += report.decisions_replayed;
        Ok(())
    }

    /// Whoever takes a bundle of a grant can verify it, whatever became of it since.
    fn check_bundle(&mut self, id: PromotionId) -> Result<()> {
        let Some(promotion) = self.model.promotions.get(&id) else { return Ok(()) };
        let (service, environment) = (promotion.release.service.clone(), promotion.environment.clone());
        let release = self.model.releases.get(&promotion.release);
        let Some(artifact) = release.and_then(|release| release.artifacts.first().copied()) else { return Ok(()) };
        let bytes = bundle::build(self.engine()?, id).during(format!("the bundle of {id}"))?;
        open(&bytes, self.trust()?, &mut Vec::new()).during(format!("the bundle of {id}"))?;
        self.counts.bundles += 1;
        let running = self.model.running.get(&(environment.clone(), service.clone()));
        let Some(running) = running.filter(|running| running.promotion == id) else { return Ok(()) };
        let now = self.now();
        let expected = match (self.model.is_frozen(&service, &environment, now), now < running.not_after) {
            (_, false) => Some("GRANT_EXPIRED"),
            (true, true) => Some("FROZEN"),
            (false, true) => None,
        };
        let query = Query { artifact, service: &service, environment: &environment, now };
        let found = verify(&bytes, self.trust()?, &query).err().map(|refusal| refusal.code);
        match found == expected || (self.model.compromised && found == Some("SUSPECT_KEY")) {
            true => Ok(()),
            false => Err(Failure::new(format!("the bundle of {id} verifies with {found:?}, not with {expected:?}"))),
        }
    }

    fn finish(mut self) -> Result<Played> {
        self.trace.say("the end".to_owned());
        self.engine()?.step();
        self.audit()?;
        let granted = self.model.promotions.iter().filter(|(_, promotion)| promotion.status == Status::Granted);
        let granted: Vec<PromotionId> = granted.map(|(id, _)| *id).collect();
        for id in granted {
            self.check_bundle(id)?;
        }
        let mut shape = Shape::default();
        for index in 0..self.model.size() {
            shape.add(&self.store.entry(EntryIndex(index))?.unwrap_or_default())?;
        }
        self.counts.grants = self.model.grants;
        self.counts.entries = self.model.size();
        Ok(Played { counts: self.counts, shape: shape.finish() })
    }
}
