//! Why: what keeps a promotion from its environment, every gate at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use lockgate_ledger::feed::FeedUsed;
use lockgate_ledger::release::{PromotionState, ReleaseState};
use lockgate_ledger::replay::deliberate;
use lockgate_ledger::suspect::{self, Suspect};
use lockgate_ledger::{PromotionStatus, State};
use lockgate_model::facts::{EvidenceFact, Facts, Running};
use lockgate_model::{Digest, EntryIndex, Limits, PromotionId, StreamName, UnixMillis, canonical};
use lockgate_policy::Decision;

use crate::approvers::burst_at;
use crate::bodies::StoreBodies;
use crate::engine::Engine;
use crate::fault::{Fault, Kind};
use crate::precedent::{Precedent, precedent};
use crate::reader;

/// One promotion with its decision.
#[derive(Debug, Clone)]
pub struct PromotionView {
    /// The release.
    pub release: Arc<ReleaseState>,
    /// The promotion.
    pub promotion: PromotionState,
    /// Where it stands.
    pub status: PromotionStatus,
    /// The decision: for an open promotion as it would come out now, else as recorded.
    pub decision: Decision,
    /// When that decision was made: the time of its entry, or now where it is recorded in none.
    pub decided_at: UnixMillis,
    /// Where it is recorded, with the same outcome; absent when it was made just now.
    pub decision_index: Option<EntryIndex>,
    /// The evidence that the decision saw, with who stands behind it.
    pub evidence: Vec<EvidenceFact>,
    /// The snapshots of feeds that the decision used.
    pub feeds: Vec<FeedUsed>,
    /// What runs in the target.
    pub running: Option<Running>,
    /// What ran in the target when it was granted, where that is recorded: what it replaced.
    pub replaced: Option<Running>,
    /// What went before it.
    pub precedent: Precedent,
    /// The approvals that were given faster than anybody can read, each with how many came together.
    pub stamped: BTreeMap<EntryIndex, usize>,
    /// What of it rested on keys that were found compromised later.
    pub suspects: Vec<Suspect>,
}

/// The slice of state that a decision about a promotion rests on, as the ledger stands.
///
/// # Errors
/// `PROMOTION_UNKNOWN`, or what the store says.
pub fn slice(engine: &Engine, promotion: PromotionId) -> Result<(State, Arc<ReleaseState>, PromotionState), Fault> {
    let store = engine.store();
    let published = engine.published();
    let governance = engine.governance()?;
    let name = reader::release_of(store, promotion)?;
    let release = reader::release(store, &governance, &name)?
        .ok_or_else(|| Fault::not_found("RELEASE_UNKNOWN", format!("no release {name} is published")))?;
    let asked = release.promotion(promotion)?.clone();
    let environment = asked.request.environment.clone();
    let mut heads = Vec::new();
    for stream in
        [StreamName::governance(), StreamName::release(&name), StreamName::running(&environment, &name.service)]
    {
        heads.extend(reader::head(store, &stream)?);
    }
    let running = reader::running(store, &environment, &name.service)?;
    let compares = governance.policy.compares_with_running(&environment, &name.service);
    let compared = match running.as_ref().filter(|_| compares) {
        Some(running) => reader::release(store, &governance, &running.release)?,
        None => None,
    };
    let mut neighbours = BTreeMap::new();
    if let Some(span) = governance.policy.neighbours_since(&environment, &name.service) {
        let now = engine.inner().now().max(published.time);
        neighbours = reader::grants_since(store, &environment, UnixMillis(now.0.saturating_sub(span.millis())))?;
        neighbours.remove(&name.service);
    }
    let mut state = State::resume(Some(governance), heads, Some(published.time));
    compared.into_iter().for_each(|compared| state.adopt_release(compared));
    state.adopt_release(release.clone());
    for running in neighbours.into_values().map(|(_, running)| running).chain(running) {
        state.adopt_running(environment.clone(), running);
    }
    Ok((state, release, asked))
}

/// Explains a promotion.
///
/// # Errors
/// `PROMOTION_UNKNOWN`, or what the store says.
pub fn why(engine: &Engine, promotion: PromotionId) -> Result<PromotionView, Fault> {
    let (state, release, asked) = slice(engine, promotion)?;
    let running = state.running(&asked.request.environment, &release.name.service).cloned();
    let status = asked.status();
    let mut replaced = None;
    let (decision, decided_at, decision_index, evidence, feeds) = match (status.is_open(), asked.decisions.last()) {
        (false, Some(last)) => {
            let (ran, evidence) = recorded_facts(engine, &last.event.facts)?
                .map_or_else(Default::default, |facts| (facts.running, facts.evidence));
            replaced = ran.filter(|ran| asked.grant.is_some() && ran.promotion != promotion);
            (recorded(engine, &last.event.decision)?, last.time, Some(last.index), evidence, last.event.feeds.clone())
        }
        _ => {
            let now = engine.time();
            let deliberation =
                deliberate(&state, promotion, now, &StoreBodies(engine.store()), &engine.inner().claims)?;
            let same = asked.decisions.last().filter(|last| last.event.outcome == deliberation.decision.outcome);
            // Beside an entry stands the time of that entry, and never that of whoever asks.
            let (decided_at, index) = same.map_or((now, None), |last| (last.time, Some(last.index)));
            let feeds = FeedUsed::of(&deliberation.facts.feeds);
            (deliberation.decision, decided_at, index, deliberation.facts.evidence, feeds)
        }
    };
    let own = |index: EntryIndex| {
        asked.approvals.iter().any(|record| record.index == index)
            || asked.decisions.iter().any(|record| record.index == index)
    };
    let mut suspects = suspect::in_release(state.governance()?, &release);
    suspects.retain(|suspect| own(suspect.index));
    let mut stamped = BTreeMap::new();
    for record in &asked.approvals {
        if let Some(burst) = burst_at(engine, &record.event.approver, record.time)? {
            stamped.insert(record.index, burst.approvals);
        }
    }
    let precedent = precedent(engine.store(), &release, &asked, &evidence)?;
    Ok(PromotionView {
        release,
        status,
        precedent,
        promotion: asked,
        decision,
        decided_at,
        decision_index,
        evidence,
        feeds,
        running,
        replaced,
        stamped,
        suspects,
    })
}

/// Recorded facts. Where they do not read, it is unknown who stands behind what and what ran before, and the decision says
/// the rest by itself; an audit says that they do not. Where they cannot be had now, nothing is said.
fn recorded_facts(engine: &Engine, facts: &Digest) -> Result<Option<Facts>, Fault> {
    let bytes = StoreBodies(engine.store()).lasting(facts)?;
    Ok(bytes.and_then(|bytes| canonical::from_slice(&bytes, &Limits::DEFAULT).ok()))
}

/// Reads a recorded decision.
pub(crate) fn recorded(engine: &Engine, digest: &Digest) -> Result<Decision, Fault> {
    let bodies = StoreBodies(engine.store());
    let bytes = lockgate_ledger::bodies::required(&bodies, digest)?;
    canonical::from_slice(&bytes, &Limits::DEFAULT).map_err(|error| {
        Fault::new(
            Kind::Integrity,
            "DECISION_INVALID",
            format!("the recorded decision {digest} does not read: {error}"),
        )
    })
}
