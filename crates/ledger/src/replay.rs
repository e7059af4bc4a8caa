//! Replay: run a recorded decision again and compare bytes.

use lockgate_model::{Digest, EntryIndex, StreamName, UnixMillis, canonical};
use lockgate_policy::{Decision, decide};

use crate::bodies::{Bodies, required};
use crate::entry::DecisionRecorded;
use crate::facts::{ClaimCache, compared, facts_for};
use crate::feed::FeedUsed;
use crate::state::{ApplyError, State};

/// A decision made from state: the documents and their digests.
#[derive(Debug, Clone)]
pub struct Deliberation {
    /// The facts.
    pub facts: lockgate_model::facts::Facts,
    /// Their canonical bytes.
    pub facts_bytes: Vec<u8>,
    /// Their digest.
    pub facts_digest: Digest,
    /// The decision.
    pub decision: Decision,
    /// Its canonical bytes.
    pub decision_bytes: Vec<u8>,
    /// Their digest.
    pub decision_digest: Digest,
}

/// Decides on a promotion as the state stands, at ledger time `time`.
///
/// # Errors
/// [`ApplyError`] when the facts cannot be gathered whole.
pub fn deliberate(
    state: &State,
    promotion: lockgate_model::PromotionId,
    time: UnixMillis,
    bodies: &dyn Bodies,
    cache: &ClaimCache,
) -> Result<Deliberation, ApplyError> {
    let facts = facts_for(state, promotion, time, bodies, cache)?;
    let decision = decide(&state.governance()?.policy, &facts);
    let facts_bytes = canonical::to_vec(&facts).map_err(|error| ApplyError::new("FACTS_INVALID", error.to_string()))?;
    let decision_bytes = decision_bytes(&decision)?;
    Ok(Deliberation {
        facts_digest: Digest::of(&facts_bytes),
        decision_digest: Digest::of(&decision_bytes),
        facts,
        facts_bytes,
        decision,
        decision_bytes,
    })
}

fn decision_bytes(decision: &Decision) -> Result<Vec<u8>, ApplyError> {
    canonical::to_vec(decision).map_err(|error| ApplyError::new("DECISION_INVALID", error.to_string()))
}

impl Deliberation {
    /// The same under the engine that a record names, where another version of the time zone database is all that differs:
    /// it is still compared, but for that version's name.
    fn under_engine(self, recorded: &str) -> Result<Self, ApplyError> {
        if self.decision.engine == recorded {
            return Ok(self);
        }
        let decision = self.decision.under_engine(recorded);
        let decision_bytes = decision_bytes(&decision)?;
        Ok(Self { decision_digest: Digest::of(&decision_bytes), decision, decision_bytes, ..self })
    }
}

/// Runs the decision that the entry at `index` records again, on the state just before it.
///
/// # Errors
/// `REPLAY_FACTS`, `REPLAY_DECISION`, `REPLAY_POLICY` or `REPLAY_HEADS` when it does not come out the same.
pub fn replay(
    state: &State,
    index: EntryIndex,
    event: &DecisionRecorded,
    time: UnixMillis,
    bodies: &dyn Bodies,
    cache: &ClaimCache,
) -> Result<Deliberation, ApplyError> {
    let differs = |code: &'static str, what: &str| {
        Err(ApplyError::new(code, format!("decision {index} on {}: {what}", event.promotion)))
    };
    // 1. It relied on the newest entry of each stream.
    for position in &event.relied_on {
        if state.head(&position.stream) != Some(position) {
            return differs(
                "REPLAY_HEADS",
                &format!("it names another head of `{}` than the ledger has", position.stream),
            );
        }
    }
    if lockgate_failpoint::planted("replay-not-compared") {
        return deliberate(state, event.promotion, time, bodies, cache);
    }
    let named = |stream: &StreamName| event.relied_on.iter().any(|position| position.stream == *stream);
    if let Some(compared) = compared(state, &event.environment, &event.release.service)?
        && !named(&StreamName::release(compared))
    {
        return differs("REPLAY_HEADS", &format!("it does not name {compared}, which it compares with"));
    }
    // 2. It was made by the policy set that was active.
    if event.policy != state.governance()?.policy_digest {
        return differs("REPLAY_POLICY", "another policy set was active");
    }
    // 3. The facts and the decision come out with the same bytes.
    let again = deliberate(state, event.promotion, time, bodies, cache)?.under_engine(&event.engine)?;
    if again.facts_digest != event.facts {
        return differs("REPLAY_FACTS", "the facts come out differently");
    }
    if again.decision_digest != event.decision || again.decision.outcome != event.outcome {
        return differs("REPLAY_DECISION", "the decision comes out differently");
    }
    let gates_same = again.decision.gates.len() == event.gates.len()
        && again.decision.gates.iter().zip(&event.gates).all(|(a, b)| a.gate == b.gate && a.outcome == b.outcome);
    if !gates_same {
        return differs("REPLAY_DECISION", "the entry lists other gates");
    }
    if again.decision.engine != event.engine {
        return differs("REPLAY_DECISION", "the entry names another engine");
    }
    if again.decision.break_glass != event.break_glass {
        return differs("REPLAY_DECISION", "the entry names another break-glass");
    }
    if FeedUsed::of(&again.facts.feeds) != event.feeds {
        return differs("REPLAY_DECISION", "the entry names other snapshots of feeds");
    }
    // 4. The documents that were stored are these.
    for digest in [&event.facts, &event.decision] {
        required(bodies, digest)?;
    }
    Ok(again)
}
