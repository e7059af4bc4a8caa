//! Evaluate: decide on a promotion inside the sequencer, and write down what follows.
//!
//! The only function that issues a grant. Everything that a decision rests on is read in the same batch.

use lockgate_ledger::entry::{
    AttestationsIssued, CloseCause, DecisionRecorded, GateLine, GrantIssued, Issued, PromotionClosed,
};
use lockgate_ledger::feed::FeedUsed;
use lockgate_ledger::release::PromotionState;
use lockgate_ledger::replay::{Deliberation, deliberate};
use lockgate_ledger::{Actor, Event, PromotionStatus, sigstore};
use lockgate_ledger::{attestation, facts};
use lockgate_model::{EntryIndex, PromotionId, StreamName};
use lockgate_policy::Outcome;

use crate::engine::Inner;
use crate::fault::Fault;
use crate::runs;
use crate::staging::{OPEN_PROMOTIONS, Staging, open_key};

/// Whether an evaluation is written down even when its outcome is the same as before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record {
    /// Only when the outcome changes.
    Changes,
    /// Always: for the first decision.
    Always,
}

/// Decides on an open promotion; writes the decision, its attestations, the grant and what it supersedes.
///
/// # Errors
/// When the facts cannot be gathered whole, or what follows cannot be written; the caller then goes back.
pub fn evaluate(
    staging: &mut Staging<'_>,
    inner: &Inner,
    promotion: PromotionId,
    record: Record,
) -> Result<Outcome, Fault> {
    let release = staging.release_of(promotion)?;
    let asked = release.promotion(promotion)?.clone();
    if !asked.status().is_open() {
        return Ok(asked.decisions.last().map_or(Outcome::Deny, |decision| decision.event.outcome));
    }
    let environment = &asked.request.environment;
    let time = staging.time();
    if asked.request.expires_at <= time {
        close(staging, &asked, Actor::System, CloseCause::Expired, "its time ran out")?;
        return Ok(Outcome::Deny);
    }
    let state = staging.slice(&release, environment)?;
    let deliberation = deliberate(&state, promotion, time, &*staging, &inner.claims)?;
    let outcome = deliberation.decision.outcome;
    let unchanged = asked.decisions.last().is_some_and(|last| last.event.outcome == outcome);
    if unchanged && record == Record::Changes {
        return Ok(outcome);
    }
    let mut relied_on = vec![
        StreamName::governance(),
        StreamName::release(&release.name),
        StreamName::running(environment, &release.name.service),
    ];
    let compared = facts::compared(&state, environment, &release.name.service)?;
    relied_on.extend(compared.filter(|compared| **compared != release.name).map(StreamName::release));
    let beside = deliberation.facts.neighbours.iter().flatten();
    relied_on.extend(beside.map(|other| StreamName::running(environment, &other.release.service)));
    let relied_on = relied_on.iter().filter_map(|stream| state.head(stream).cloned()).collect();
    staging.document(deliberation.facts_bytes.clone());
    staging.document(deliberation.decision_bytes.clone());
    let line = |gate: &lockgate_policy::GateResult| GateLine { gate: gate.gate.clone(), outcome: gate.outcome };
    let event = DecisionRecorded {
        promotion,
        release: release.name.clone(),
        environment: environment.clone(),
        outcome,
        decision: deliberation.decision_digest,
        facts: deliberation.facts_digest,
        policy: deliberation.decision.policy,
        engine: deliberation.decision.engine.clone(),
        break_glass: deliberation.decision.break_glass,
        feeds: FeedUsed::of(&deliberation.facts.feeds),
        gates: deliberation.decision.gates.iter().map(line).collect(),
        relied_on,
    };
    let index = staging.append(Actor::System, &[], Event::DecisionRecorded(event.clone()))?;
    lockgate_failpoint::point("evaluate.decided");
    conclude(staging, inner, &asked, &event, index, &deliberation)?;
    Ok(outcome)
}

/// What follows from a recorded decision.
fn conclude(
    staging: &mut Staging<'_>,
    inner: &Inner,
    asked: &PromotionState,
    event: &DecisionRecorded,
    index: EntryIndex,
    deliberation: &Deliberation,
) -> Result<(), Fault> {
    let key = open_key(&event.environment, &event.release.service, event.promotion);
    let not_after = attestation::grant_end(event, staging.governance()?, staging.time());
    if event.outcome != Outcome::Pending {
        attest(staging, inner, event, index, deliberation)?;
        lockgate_failpoint::point("evaluate.attested");
    }
    let Some(not_after) = not_after else {
        staging.project(OPEN_PROMOTIONS, key, Some(event.release.to_string().into_bytes()));
        return Ok(());
    };
    let grant = GrantIssued {
        promotion: event.promotion,
        release: event.release.clone(),
        manifest: asked.request.manifest,
        environment: event.environment.clone(),
        decision: index,
        not_after,
    };
    let granted = staging.append(Actor::System, &[], Event::GrantIssued(grant))?;
    lockgate_failpoint::point("evaluate.granted");
    runs::remember_grant(staging, &event.environment, &event.release, granted);
    staging.project(OPEN_PROMOTIONS, key, None);
    supersede(staging, event)
}

/// Signs the promotion statement and the VSA, each with a leaf of its own.
fn attest(
    staging: &mut Staging<'_>,
    inner: &Inner,
    event: &DecisionRecorded,
    index: EntryIndex,
    deliberation: &Deliberation,
) -> Result<(), Fault> {
    let governance = staging.governance()?.clone();
    let release = staging.release(&event.release)?;
    let time = staging.time();
    let statements = attestation::outcome_statements(event, &deliberation.facts, &governance, &release, index, time);
    let mut issued = Vec::with_capacity(statements.len());
    for (predicate_type, statement) in statements {
        let envelope = attestation::sign(&statement, &inner.keys.attestation)?;
        let leaf = sigstore::leaf_for(&envelope, inner.keys.attestation.public())
            .map_err(|error| Fault::new(crate::Kind::Bug, "SIGNING_FAILED", error.to_string()))?;
        let leaf = staging.append_leaf(leaf);
        let envelope = staging.document(envelope.to_json());
        issued.push(Issued { predicate_type: predicate_type.to_owned(), envelope, leaf });
    }
    let event =
        AttestationsIssued { promotion: event.promotion, release: event.release.clone(), decision: index, issued };
    staging.append(Actor::System, &[], Event::AttestationsIssued(event))?;
    Ok(())
}

/// A grant ends every other open promotion of the same service into the same environment: what they asked to
/// replace does not run there any more.
fn supersede(staging: &mut Staging<'_>, event: &DecisionRecorded) -> Result<(), Fault> {
    if lockgate_failpoint::planted("superseded-stays-open") {
        return Ok(());
    }
    for (other, name) in staging.open_promotions(&event.environment, &event.release.service)? {
        if other == event.promotion {
            continue;
        }
        let release = staging.release(&name)?;
        let asked = release.promotion(other)?.clone();
        if asked.status().is_open() {
            let reason = format!("{} was granted into {} by {}", event.release, event.environment, event.promotion);
            close(staging, &asked, Actor::System, CloseCause::Superseded, &reason)?;
        }
    }
    Ok(())
}

/// Ends a promotion without a grant.
///
/// # Errors
/// When it is not open any more.
pub fn close(
    staging: &mut Staging<'_>,
    asked: &PromotionState,
    by: Actor,
    cause: CloseCause,
    reason: &str,
) -> Result<(), Fault> {
    let request = &asked.request;
    let event = PromotionClosed {
        promotion: request.promotion,
        release: request.release.clone(),
        cause,
        reason: reason.to_owned(),
    };
    staging.append(by, &[], Event::PromotionClosed(event))?;
    lockgate_failpoint::point("promotion.closed");
    staging.project(OPEN_PROMOTIONS, open_key(&request.environment, &request.release.service, request.promotion), None);
    Ok(())
}

/// Evaluates every open promotion of a release again, because something about it changed.
///
/// # Errors
/// As [`evaluate`].
pub fn evaluate_open(
    staging: &mut Staging<'_>,
    inner: &Inner,
    release: &lockgate_model::ReleaseName,
) -> Result<(), Fault> {
    let open: Vec<PromotionId> = staging
        .release(release)?
        .promotions
        .values()
        .filter(|promotion| promotion.status().is_open())
        .map(|promotion| promotion.request.promotion)
        .collect();
    for promotion in open {
        evaluate(staging, inner, promotion, Record::Changes)?;
    }
    Ok(())
}

/// The status of a promotion as staged.
///
/// # Errors
/// `PROMOTION_UNKNOWN`.
pub fn status(staging: &mut Staging<'_>, promotion: PromotionId) -> Result<PromotionStatus, Fault> {
    Ok(staging.release_of(promotion)?.promotion(promotion)?.status())
}
