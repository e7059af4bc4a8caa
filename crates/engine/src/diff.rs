//! Diff: what changes between two releases, and which gates come out differently for them.

use std::sync::Arc;

use lockgate_ledger::contents::Contents;
use lockgate_ledger::entry::PromotionRequested;
use lockgate_ledger::release_diff::{ReleaseDiff, compare};
use lockgate_ledger::replay::deliberate;
use lockgate_ledger::{Governance, ReleaseState, State};
use lockgate_model::facts::PromotionKind;
use lockgate_model::{EntryIndex, EnvName, PersonId, PromotionId, ReleaseName, Span, StreamName, UnixMillis};
use lockgate_policy::{Decision, GateOutcome, GateResult, Object};

use crate::authorise::{check_release, may_read, release_unknown};
use crate::bodies::StoreBodies;
use crate::engine::Engine;
use crate::environment;
use crate::fault::{Fault, Kind};
use crate::reader;

/// How long the promotion that is supposed stays open: longer than deciding takes.
const SUPPOSED_OPEN: Span = Span::from_secs(3600);

/// What changes from one release to another.
#[derive(Debug, Clone)]
pub struct Diff {
    /// What they are made of.
    pub contents: ReleaseDiff,
    /// What the gates of an environment make of both, where one was asked for.
    pub gates: Option<GateDiff>,
}

/// What the gates of one environment make of two releases.
#[derive(Debug, Clone)]
pub struct GateDiff {
    /// Which environment.
    pub environment: EnvName,
    /// The gates that differ.
    pub changes: Vec<GateChange>,
    /// What would be decided on the second release.
    pub after: Decision,
}

/// One gate whose outcome differs; absent where the gate was not asked.
#[derive(Debug, Clone)]
pub struct GateChange {
    /// The gate.
    pub gate: String,
    /// What comes of it for the first release.
    pub before: Option<GateOutcome>,
    /// What comes of it for the second release.
    pub after: Option<GateOutcome>,
    /// Why, for the second release, or for the first where only that was asked.
    pub reason: String,
    /// What there is.
    pub found: String,
}

/// Compares two releases, and decides on each for one environment as if it were asked for now, by nobody's approval.
///
/// # Errors
/// `RELEASE_UNKNOWN`, `ENVIRONMENT_UNKNOWN`, or what the store says.
pub fn diff(
    engine: &Engine,
    caller: &PersonId,
    from: &ReleaseName,
    to: &ReleaseName,
    environment: Option<&EnvName>,
) -> Result<Diff, Fault> {
    let governance = engine.governance()?;
    let (old, new) = (release(engine, &governance, from)?, release(engine, &governance, to)?);
    let known = engine.published().head.size;
    let bodies = StoreBodies(engine.store());
    let contents = compare(&Contents::read(&old, known, &bodies)?, &Contents::read(&new, known, &bodies)?);
    let gates = match environment {
        None => None,
        Some(environment) => {
            environment::check(&governance.policy, environment)?;
            let (before, after) =
                (suppose(engine, caller, &old, environment)?, suppose(engine, caller, &new, environment)?);
            let changes = gate_changes(&before, &after);
            Some(GateDiff { environment: environment.clone(), changes, after })
        }
    };
    Ok(Diff { contents, gates })
}

/// What would be decided on a release if somebody asked for it now, by nobody's approval. Nothing is written down.
///
/// # Errors
/// `ENVIRONMENT_UNKNOWN`, `RELEASE_UNKNOWN` also for a release that the caller may not read, `NOT_PERMITTED`, or what the
/// store says.
pub fn supposed(
    engine: &Engine,
    caller: &PersonId,
    name: &ReleaseName,
    environment: &EnvName,
) -> Result<Decision, Fault> {
    let governance = engine.governance()?;
    environment::check(&governance.policy, environment)?;
    check_release(engine, caller, name)?;
    if !may_read(&governance, caller, Object::Target(&name.service, environment)) {
        return Err(Fault::new(
            Kind::NotPermitted,
            "NOT_PERMITTED",
            format!("you may not read about {name} in {environment}"),
        ));
    }
    suppose(engine, caller, &release(engine, &governance, name)?, environment)
}

fn release(engine: &Engine, governance: &Arc<Governance>, name: &ReleaseName) -> Result<Arc<ReleaseState>, Fault> {
    reader::release(engine.store(), governance, name)?.ok_or_else(|| release_unknown(name))
}

/// What would come of it if the release were asked for now. Nothing is written down, and nobody has approved.
fn suppose(
    engine: &Engine,
    caller: &PersonId,
    release: &Arc<ReleaseState>,
    environment: &EnvName,
) -> Result<Decision, Fault> {
    let (store, governance) = (engine.store(), engine.governance()?);
    let now = engine.time();
    // No promotion has this number: they count from 1.
    let promotion = PromotionId(0);
    let asked = PromotionRequested {
        promotion,
        release: release.name.clone(),
        manifest: release.manifest_digest,
        environment: environment.clone(),
        kind: PromotionKind::Promotion,
        reason: "what would come of it".to_owned(),
        expires_at: now.plus(SUPPOSED_OPEN),
    };
    let supposed = Arc::new(release.supposing(&asked, caller, now, EntryIndex(engine.published().head.size.0))?);
    let mut heads = Vec::new();
    let running = StreamName::running(environment, &release.name.service);
    for stream in [StreamName::governance(), StreamName::release(&release.name), running] {
        heads.extend(reader::head(store, &stream)?);
    }
    let mut state = State::resume(Some(governance.clone()), heads, Some(engine.published().time));
    if let Some(running) = reader::running(store, environment, &release.name.service)? {
        // Some gates compare with what runs.
        if running.release != release.name
            && let Some(other) = reader::release(store, &governance, &running.release)?
        {
            state.adopt_release(other);
        }
        state.adopt_running(environment.clone(), running);
    }
    state.adopt_release(supposed);
    if let Some(span) = governance.policy.neighbours_since(environment, &release.name.service) {
        let mut neighbours = reader::grants_since(store, environment, UnixMillis(now.0.saturating_sub(span.millis())))?;
        neighbours.remove(&release.name.service);
        for (_, running) in neighbours.into_values() {
            state.adopt_running(environment.clone(), running);
        }
    }
    Ok(deliberate(&state, promotion, now, &StoreBodies(store), &engine.inner().claims)?.decision)
}

fn gate_changes(before: &Decision, after: &Decision) -> Vec<GateChange> {
    let find = |gates: &[GateResult], name: &str| gates.iter().find(|gate| gate.gate.as_str() == name).cloned();
    let mut names: Vec<&str> = after.gates.iter().map(|gate| gate.gate.as_str()).collect();
    for gate in &before.gates {
        if !names.contains(&gate.gate.as_str()) {
            names.push(gate.gate.as_str());
        }
    }
    let change = |name: &str| {
        let (old, new) = (find(&before.gates, name), find(&after.gates, name));
        let outcomes = (old.as_ref().map(|gate| gate.outcome), new.as_ref().map(|gate| gate.outcome));
        let told = new.or(old).filter(|_| outcomes.0 != outcomes.1)?;
        Some(GateChange {
            gate: name.to_owned(),
            before: outcomes.0,
            after: outcomes.1,
            reason: told.reason,
            found: told.found,
        })
    };
    names.into_iter().filter_map(change).collect()
}
