//! Backtest: the whole history decided again under another policy set.
//!
//! The ledger is folded as an audit folds it, with every signature verified on the way. Where a decision is recorded,
//! the facts of that moment are gathered under the proposed policy set, and decided anew. What comes out differently
//! is a flip, told with the gates that made it. The report is a document: its digest stands in the change of policy
//! that it belongs to, and whoever signs that change signs it too. Who has the entries can make it again (`again.rs`).

mod again;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use lockgate_model::facts::Facts;
use lockgate_model::{
    Digest, EntryIndex, EnvName, GateName, Limits, PromotionId, ReleaseName, TreeSize, UnixMillis, canonical,
};
use lockgate_policy::{Decision, GateOutcome, GateResult, Outcome, PolicySet, Rule, decide};
use lockgate_tlog::hash::{empty_root, leaf_hash};
use lockgate_tlog::tree::Tree;
use serde::{Deserialize, Serialize};

use crate::bodies::{Bodies, required};
use crate::entry::{DecisionRecorded, Event, GateLine, Leaf, PolicyActivated};
use crate::facts::{ClaimCache, facts_for};
use crate::governance::Governance;
use crate::state::{ApplyError, Slice, State};

/// How many entries are read at a time.
const PAGE: usize = 1024;
/// How many decisions wait to be made again.
const QUEUE: usize = 64;
/// The largest report that a change of policy carries, in bytes: ten thousand flips, and as a text beside the policy
/// set less than a request may have.
pub const BACKTEST_MAX_BYTES: usize = 3 * 1024 * 1024;
/// The gate that stands for the policy set itself.
const OWN_GATE: &str = "policy";

/// What a backtest reads; its entries are hashed, and what they say is verified.
pub trait History: Bodies {
    /// How many entries there are, and the root that they have.
    ///
    /// # Errors
    /// A text for people.
    fn size_and_root(&self) -> Result<(TreeSize, Digest), String>;
    /// Up to `most` leaves from `first` on; at least one, where `first` is below the size.
    ///
    /// # Errors
    /// A text for people.
    fn page(&self, first: EntryIndex, most: usize) -> Result<Vec<Vec<u8>>, String>;
}

/// From where on decisions are made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// All of them.
    Start,
    /// From this entry on.
    Entry(EntryIndex),
    /// From this moment of ledger time on.
    Time(UnixMillis),
}

impl Since {
    fn includes(self, index: EntryIndex, time: UnixMillis) -> bool {
        match self {
            Self::Start => true,
            Self::Entry(first) => first <= index,
            Self::Time(first) => first <= time,
        }
    }
}

/// What another policy set would have decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BacktestReport {
    /// Always [`BacktestReport::SCHEMA`].
    pub schema: String,
    /// The ledger's origin.
    pub ledger: String,
    /// The policy set that was active at the end.
    pub base: Digest,
    /// The policy set that decided anew.
    pub proposed: Digest,
    /// The rules by which gates were evaluated, as decisions name them.
    pub engine: String,
    /// The first entry that was looked at.
    pub first_entry: EntryIndex,
    /// How many entries the ledger had.
    pub tree_size: TreeSize,
    /// The root that they have.
    pub root: Digest,
    /// How many decisions were made again; each is unchanged, a flip or an error.
    pub decisions: u64,
    /// How many came out the same.
    pub unchanged: u64,
    /// How many flips there are of each kind, such as `allow to deny`.
    pub totals: BTreeMap<String, u64>,
    /// What gates of the proposed policy set would have blocked that only warn, in order of name; absent in a report
    /// from before this was counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub would_block: Option<Vec<WouldBlock>>,
    /// The decisions that came out differently, in ledger order.
    pub flips: Vec<Flip>,
    /// The decisions that could not be made, in ledger order.
    pub errors: Vec<NotDecided>,
}

/// What a gate would have blocked that only warns, for now or altogether.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WouldBlock {
    /// Which.
    pub gate: GateName,
    /// In how many decisions it warned; at least one.
    pub decisions: u64,
    /// From when on it blocks; absent where it never does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enforced_from: Option<UnixMillis>,
}

/// A decision that comes out differently.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flip {
    /// The entry that recorded it.
    pub entry: EntryIndex,
    /// When.
    pub time: UnixMillis,
    /// About which promotion.
    pub promotion: PromotionId,
    /// Of what.
    pub release: ReleaseName,
    /// Into where.
    pub environment: EnvName,
    /// What it was.
    pub before: Outcome,
    /// What it would have been.
    pub after: Outcome,
    /// The gates that make the difference; never empty.
    pub gates: Vec<FlippedGate>,
}

/// A gate that makes the difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlippedGate {
    /// Which; `policy` stands for the policy set itself.
    pub gate: GateName,
    /// What came of it; absent where there was no such gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<GateOutcome>,
    /// What would have come of it; absent where there is no such gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<GateOutcome>,
    /// Why, as a stable code; absent where there is no such gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Where it is written in the proposed policy set; absent where there is no such gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Rule>,
}

/// A decision that could not be made again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotDecided {
    /// The entry that recorded it.
    pub entry: EntryIndex,
    /// About which promotion.
    pub promotion: PromotionId,
    /// Of what.
    pub release: ReleaseName,
    /// Into where.
    pub environment: EnvName,
    /// What it was.
    pub before: Outcome,
    /// Why not, as a stable code, such as `ENVIRONMENT_UNKNOWN`.
    pub code: String,
    /// Why not, in words.
    pub message: String,
}

/// A finished backtest.
#[derive(Debug, Clone)]
pub struct Backtested {
    /// What came out.
    pub report: BacktestReport,
    /// The state of governance at the end, to be compared with what is pinned.
    pub governance: Arc<Governance>,
    /// The hash of the first entry, to be compared with what is pinned.
    pub genesis: Digest,
}

impl BacktestReport {
    /// The schema that this version of Lockgate writes.
    pub const SCHEMA: &'static str = "https://lockgate.dev/backtest/v1";

    /// Reads a report; any other spelling of the same report is refused, because its digest is signed.
    ///
    /// # Errors
    /// `BACKTEST_TOO_LARGE` or `BACKTEST_INVALID`.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ApplyError> {
        let invalid = |why: String| ApplyError::new("BACKTEST_INVALID", format!("the backtest does not read: {why}"));
        if bytes.len() > BACKTEST_MAX_BYTES {
            let message = format!("the backtest has {} bytes, of at most {BACKTEST_MAX_BYTES}", bytes.len());
            return Err(ApplyError::new("BACKTEST_TOO_LARGE", message));
        }
        let report: Self =
            canonical::from_slice(bytes, &Limits::DEFAULT).map_err(|error| invalid(error.to_string()))?;
        let counted =
            (report.flips.len() as u64).saturating_add(report.errors.len() as u64).saturating_add(report.unchanged);
        if report.schema != Self::SCHEMA {
            return Err(invalid("its schema is not one that this version reads".to_owned()));
        }
        if report.to_bytes()? != bytes {
            return Err(invalid("it is spelled in another way than it is written".to_owned()));
        }
        if counted != report.decisions {
            return Err(invalid("it does not account for every decision that it counts".to_owned()));
        }
        if report.flips.iter().any(|flip| flip.before == flip.after) {
            return Err(invalid("it lists a decision as flipped that came out the same".to_owned()));
        }
        let warned = report.would_block.as_deref().unwrap_or_default();
        let counts = |row: &WouldBlock| (1..=report.decisions).contains(&row.decisions);
        if !warned.is_sorted_by(|a, b| a.gate < b.gate) || !warned.iter().all(counts) {
            return Err(invalid("it does not count each gate that only warns once, in order of name".to_owned()));
        }
        match report.totals == totals(&report.flips) {
            true => Ok(report),
            false => Err(invalid("its totals are not those of the flips that it lists".to_owned())),
        }
    }

    /// The canonical bytes (RFC 8785), whose digest is signed.
    ///
    /// # Errors
    /// `BACKTEST_INVALID`.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ApplyError> {
        canonical::to_vec(self).map_err(|error| ApplyError::new("BACKTEST_INVALID", error.to_string()))
    }
}

/// Decides the history again under a proposed policy set; `progress` is called with the entries read, and all of them.
///
/// One thread folds and gathers facts, another decides.
///
/// # Errors
/// What the fold refuses, `ROOT_MISMATCH` where the entries are not those that the source speaks of, or what the source
/// says. A decision that alone cannot be made again is no error of the backtest, but listed in its report.
pub fn backtest<S: History>(
    source: &S,
    proposed: &Arc<PolicySet>,
    since: Since,
    progress: impl FnMut(u64, u64),
) -> Result<Backtested, ApplyError> {
    let (sender, receiver) = sync_channel(QUEUE);
    let (folded, judged) = std::thread::scope(|scope| {
        let deciding = scope.spawn(move || Judged::of(proposed, &receiver));
        let folded = fold(source, proposed, since, progress, &sender);
        drop(sender);
        (folded, deciding.join())
    });
    let folded = folded?;
    let judged = judged
        .map_err(|_| ApplyError::new("BACKTEST_FAILED", "deciding ended before all decisions were made".to_owned()))?;
    let governance = folded.state.governance()?.clone();
    let report = BacktestReport {
        schema: BacktestReport::SCHEMA.to_owned(),
        ledger: governance.origin().to_owned(),
        base: governance.policy_digest,
        proposed: proposed.digest(),
        engine: Decision::zoned_engine(),
        first_entry: folded.first.unwrap_or(EntryIndex(folded.size.0)),
        tree_size: folded.size,
        root: folded.root,
        decisions: judged.decisions,
        unchanged: judged.unchanged,
        totals: totals(&judged.flips),
        would_block: Some(judged.warned.into_values().collect()),
        flips: judged.flips,
        errors: judged.errors,
    };
    Ok(Backtested { report, governance, genesis: folded.genesis.unwrap_or_else(empty_root) })
}

/// How many flips there are of each kind.
fn totals(flips: &[Flip]) -> BTreeMap<String, u64> {
    let mut totals = BTreeMap::new();
    for flip in flips {
        *totals.entry(format!("{} to {}", flip.before, flip.after)).or_default() += 1;
    }
    totals
}

/// A recorded decision with the facts of that moment under the proposed policy set.
struct Job {
    index: EntryIndex,
    time: UnixMillis,
    event: DecisionRecorded,
    facts: Result<Facts, ApplyError>,
}

/// What is left of the history once all of it was read.
struct Folded {
    state: State,
    first: Option<EntryIndex>,
    genesis: Option<Digest>,
    size: TreeSize,
    root: Digest,
}

fn fold<S: History>(
    source: &S,
    proposed: &Arc<PolicySet>,
    since: Since,
    mut progress: impl FnMut(u64, u64),
    sender: &SyncSender<Job>,
) -> Result<Folded, ApplyError> {
    let unreadable = |why: String| ApplyError::new("ENTRY_UNREADABLE", why);
    let (size, root) = source.size_and_root().map_err(unreadable)?;
    let mut tree = Tree::empty();
    let mut gathering = Gathering { source, proposed, cache: ClaimCache::default(), under: None };
    let mut folded = Folded { state: State::default(), first: None, genesis: None, size, root };
    let mut read = 0u64;
    while read < size.0 {
        let leaves = source.page(EntryIndex(read), PAGE).map_err(unreadable)?;
        if leaves.is_empty() {
            return Err(ApplyError::new("ENTRY_MISSING", format!("entry {read} is missing, of {size}")));
        }
        let left = usize::try_from(size.0 - read).unwrap_or(usize::MAX);
        for leaf in leaves.into_iter().take(left) {
            let index = EntryIndex(read);
            let hash = leaf_hash(&leaf);
            tree.append(hash);
            folded.genesis = folded.genesis.or(Some(hash));
            read += 1;
            let decoded = Leaf::decode(&leaf, &Limits::DEFAULT)
                .map_err(|error| ApplyError::new("ENTRY_INVALID", format!("entry {index}: {error}")))?;
            let Leaf::Entry(entry) = decoded else { continue };
            if since.includes(index, entry.time) {
                folded.first = folded.first.or(Some(index));
                if let Event::DecisionRecorded(event) = &entry.event {
                    let facts = gathering.facts(&mut folded.state, event, entry.time);
                    let job = Job { index, time: entry.time, event: event.clone(), facts };
                    sender
                        .send(job)
                        .map_err(|_| ApplyError::new("BACKTEST_FAILED", "deciding has ended".to_owned()))?;
                }
            }
            folded.state.apply(index, &entry, source, Slice::Whole)?;
        }
        // Only the root is needed.
        drop(tree.take_tiles());
        progress(read, size.0);
    }
    match tree.root() == root {
        true => Ok(folded),
        false => Err(ApplyError::new("ROOT_MISMATCH", format!("the entries do not have the root {root}"))),
    }
}

/// Gathers facts under the proposed policy set.
struct Gathering<'a, S> {
    source: &'a S,
    proposed: &'a Arc<PolicySet>,
    cache: ClaimCache,
    /// The governance state that was seen last, and the same with the proposed policy set in force.
    under: Option<(Arc<Governance>, Arc<Governance>)>,
}

impl<S: History> Gathering<'_, S> {
    /// The facts of a decision as they were, with what the proposed policy set makes of evidence and people.
    ///
    /// An approval binds the policy set that was active. Here it counts as given under the proposed one, or every
    /// approval of the history would be void; whether it described the evidence as it was stays as recorded.
    fn facts(&mut self, state: &mut State, event: &DecisionRecorded, time: UnixMillis) -> Result<Facts, ApplyError> {
        let own = state.governance()?.clone();
        let other = match &self.under {
            Some((known, other)) if Arc::ptr_eq(known, &own) => other.clone(),
            _ => {
                let mut other = Governance::clone(&own);
                other.policy = self.proposed.clone();
                other.policy_digest = self.proposed.digest();
                let other = Arc::new(other);
                self.under = Some((own.clone(), other.clone()));
                other
            }
        };
        let (source, cache) = (self.source, &self.cache);
        let mut facts =
            state.under_governance(&other, |state| facts_for(state, event.promotion, time, source, cache))?;
        let (was, is) = (&own.policy, self.proposed);
        let trusts_the_same = was.signers() == is.signers() && was.roots() == is.roots();
        let recorded = if trusts_the_same { None } else { Some(recorded_facts(source, &event.facts)?) };
        for approval in &mut facts.approvals {
            if approval.binds.policy == own.policy_digest {
                approval.binds.policy = is.digest();
            }
            let before = recorded.iter().flat_map(|facts| &facts.approvals).find(|one| one.index == approval.index);
            if let Some(before) = before {
                approval.misdescribed = before.misdescribed;
            }
        }
        Ok(facts)
    }
}

fn recorded_facts(bodies: &dyn Bodies, digest: &Digest) -> Result<Facts, ApplyError> {
    let bytes = required(bodies, digest)?;
    canonical::from_slice(&bytes, &Limits::DEFAULT)
        .map_err(|error| ApplyError::new("FACTS_INVALID", format!("the recorded facts {digest} do not read: {error}")))
}

/// What came of all decisions.
#[derive(Default)]
struct Judged {
    decisions: u64,
    unchanged: u64,
    warned: BTreeMap<GateName, WouldBlock>,
    flips: Vec<Flip>,
    errors: Vec<NotDecided>,
}

impl Judged {
    /// Decides every job, in the order in which they come.
    fn of(proposed: &PolicySet, jobs: &Receiver<Job>) -> Self {
        let mut judged = Self::default();
        for job in jobs.iter() {
            judged.job(proposed, job);
        }
        judged
    }

    fn job(&mut self, proposed: &PolicySet, job: Job) {
        let Job { index, time, event, facts } = job;
        self.decisions += 1;
        let facts = match facts {
            Ok(_) if proposed.environment(&event.environment).is_none() => Err(ApplyError::new(
                "ENVIRONMENT_UNKNOWN",
                format!("the proposed policy set has no environment `{}`", event.environment),
            )),
            facts => facts,
        };
        let decision = match facts {
            Ok(facts) => decide(proposed, &facts),
            Err(error) => {
                self.errors.push(NotDecided {
                    entry: index,
                    promotion: event.promotion,
                    release: event.release,
                    environment: event.environment,
                    before: event.outcome,
                    code: error.code.to_owned(),
                    message: error.message,
                });
                return;
            }
        };
        self.warnings(&decision);
        if decision.outcome == event.outcome {
            self.unchanged += 1;
            return;
        }
        self.flips.push(Flip {
            entry: index,
            time,
            promotion: event.promotion,
            gates: flipped(event.outcome, &event.gates, &decision),
            release: event.release,
            environment: event.environment,
            before: event.outcome,
            after: decision.outcome,
        });
    }

    /// Counts the gates that only warn; that the policy set itself ends soon is none of them.
    fn warnings(&mut self, decision: &Decision) {
        let warns = |gate: &&GateResult| gate.outcome == GateOutcome::Warn && gate.gate.as_str() != OWN_GATE;
        for gate in decision.gates.iter().filter(warns) {
            let none = || WouldBlock { gate: gate.gate.clone(), decisions: 0, enforced_from: gate.enforced_from };
            self.warned.entry(gate.gate.clone()).or_insert_with(none).decisions += 1;
        }
    }
}

/// How much an outcome stands in the way.
const fn weight(outcome: Option<GateOutcome>) -> u8 {
    match outcome {
        Some(GateOutcome::Fail) => 2,
        Some(GateOutcome::Pending) => 1,
        Some(GateOutcome::Pass | GateOutcome::Waived | GateOutcome::Warn | GateOutcome::Overridden) | None => 0,
    }
}

const fn strictness(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Allow => 0,
        Outcome::Pending => 1,
        Outcome::Deny => 2,
    }
}

/// The gates that stand more in the way than before, where the decision became stricter; else those that stand less.
fn flipped(before: Outcome, lines: &[GateLine], decision: &Decision) -> Vec<FlippedGate> {
    let stricter = strictness(decision.outcome) > strictness(before);
    let names: BTreeSet<&GateName> =
        lines.iter().map(|line| &line.gate).chain(decision.gates.iter().map(|gate| &gate.gate)).collect();
    // The policy set itself may have several results under one name: what stands most in the way counts.
    let heaviest = |a: &GateOutcome, b: &GateOutcome| weight(Some(*a)).cmp(&weight(Some(*b)));
    let mut gates = Vec::new();
    for name in names {
        let old = lines.iter().filter(|line| line.gate == *name).map(|line| line.outcome).max_by(heaviest);
        let new =
            decision.gates.iter().filter(|gate| gate.gate == *name).max_by(|a, b| heaviest(&a.outcome, &b.outcome));
        let after = new.map(|gate| gate.outcome);
        let differs = match stricter {
            true => weight(after) > weight(old),
            false => weight(after) < weight(old),
        };
        if differs {
            gates.push(FlippedGate {
                gate: name.clone(),
                before: old,
                after,
                reason: new.map(|gate| gate.reason.clone()),
                rule: new.map(|gate| gate.rule.clone()),
            });
        }
    }
    gates
}

impl Governance {
    /// Whether a change of policy, recorded at `index`, has the backtest that the active policy set asks for, which is
    /// one of the whole history; one that is there has to be about this very change. It is not made again here.
    ///
    /// # Errors
    /// `BACKTEST_MISSING`, `BACKTEST_STALE`, `BACKTEST_INVALID`, `BACKTEST_TOO_LARGE`, or that the body cannot be had.
    pub(crate) fn check_backtest(
        &self,
        event: &PolicyActivated,
        index: EntryIndex,
        bodies: &dyn Bodies,
    ) -> Result<(), ApplyError> {
        let demanded = self.policy.settings().governance.backtest;
        let missing = |found: &str| {
            let what = "the active policy set demands a backtest of the next one, over the whole history";
            let next = "`lockgate policy backtest DIR --report FILE`, then activate with `--backtest FILE`";
            ApplyError::new("BACKTEST_MISSING", format!("{what}{found}: {next}"))
        };
        let Some(digest) = &event.backtest else {
            return if demanded { Err(missing("")) } else { Ok(()) };
        };
        let report = BacktestReport::from_bytes(&required(bodies, digest)?)?;
        report.check(self.origin(), event.policy, event.previous)?;
        if report.tree_size.0 > index.0 {
            return Err(stale("it counts entries that the ledger does not have"));
        }
        match demanded && report.first_entry != EntryIndex(0) {
            true => Err(missing(&format!("; this one begins with entry {}", report.first_entry))),
            false => Ok(()),
        }
    }
}

fn stale(why: &str) -> ApplyError {
    ApplyError::new("BACKTEST_STALE", format!("the backtest is not of this change: {why}; run it again"))
}

impl BacktestReport {
    /// Whether it is about the change from one policy set to another, in a ledger.
    ///
    /// # Errors
    /// `BACKTEST_STALE`.
    pub fn check(&self, ledger: &str, proposed: Digest, base: Digest) -> Result<(), ApplyError> {
        if self.ledger != ledger {
            return Err(stale("it is about another ledger"));
        }
        if self.proposed != proposed {
            return Err(stale("it proposes another policy set"));
        }
        match self.base == base {
            true => Ok(()),
            false => Err(stale("another policy set has become active since")),
        }
    }
}

#[cfg(test)]
#[path = "backtest_tests.rs"]
mod tests;
