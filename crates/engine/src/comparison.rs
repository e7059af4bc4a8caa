//! Comparison: what changes against what runs in the target, in the counts and gates that an approver signs.
//!
//! Both sides are read with the evidence that the ledger of the approver's tree head held. History does not change, so
//! the same document compares the same way here, at the approver's and in every audit. Gates are decided on the facts of
//! now: they are compared before an approval is handed to the sequencer, and again there, at the time of its entry.

use std::sync::Arc;

use lockgate_ledger::approval::{ApprovalDocument, ApprovalPredicate};
use lockgate_ledger::contents::Contents;
use lockgate_ledger::gate_changes::GateChanges;
use lockgate_ledger::release_diff::{ChangeSummary, ReleaseDiff, compare};
use lockgate_ledger::{Governance, ReleaseState, facts_for};
use lockgate_model::facts::{Facts, Verdict};
use lockgate_model::text::visible;
use lockgate_model::{Digest, PersonId, PromotionId, ReleaseName, TreeSize, UnixMillis};
use lockgate_policy::{Decision, Object, Permission, decide};

use crate::authorise::{authorise, may_read, promotion_unknown};
use crate::bodies::StoreBodies;
use crate::engine::Engine;
use crate::fault::{Fault, Kind};
use crate::inbox::could_approve;
use crate::reader;
use crate::why::slice;

/// What changes for `release` against what runs in its target, as a ledger of `known` entries had it, with the gates
/// that come out otherwise on these facts: one decision, however many gates there are. `None` where nothing runs.
///
/// # Errors
/// What the store says.
pub fn against_running(
    engine: &Engine,
    governance: &Arc<Governance>,
    facts: &Facts,
    release: &ReleaseName,
    known: TreeSize,
) -> Result<Option<ChangeSummary>, Fault> {
    let Some(running) = &facts.running else { return Ok(None) };
    let Some(diff) = compared(engine, &running.release, release, known)? else { return Ok(None) };
    let other = reader::release(engine.store(), governance, &running.release)?;
    let decision = decide(&governance.policy, facts);
    let gates = other.and_then(|other| GateChanges::against(running, &other, &decision));
    Ok(Some(diff.summary().with_gates(gates)))
}

/// Compares two releases, as a ledger of `known` entries had them; `None` when one is not published.
fn compared(
    engine: &Engine,
    from: &ReleaseName,
    to: &ReleaseName,
    known: TreeSize,
) -> Result<Option<ReleaseDiff>, Fault> {
    let (Some(from), Some(to)) = (contents(engine, from, known)?, contents(engine, to, known)?) else {
        return Ok(None);
    };
    Ok(Some(compare(&from, &to)))
}

fn contents(engine: &Engine, name: &ReleaseName, known: TreeSize) -> Result<Option<Contents>, Fault> {
    let release = reader::release(engine.store(), &engine.governance()?, name)?;
    let read = release.map(|release| Contents::read(&release, known, &StoreBodies(engine.store())));
    Ok(read.transpose()?)
}

/// Checks what a signed document says of changes, before it is handed to the sequencer: reading two releases whole is
/// nothing to do there, and neither is deciding for somebody who made the gates up. An audit checks it again.
///
/// INVARIANT (counted before it is recorded): the verb does not count again, so that nobody gets past this to where it
/// would let them sign. Whoever may neither read nor sign there is told what the verb tells them. What is left to the
/// verb is what it refuses whoever hands it in: a document that does not read, or does not fit its request.
///
/// # Errors
/// `APPROVAL_CHANGES`, `APPROVAL_STALE`, `PROMOTION_UNKNOWN`, or what the store says.
pub fn check(engine: &Engine, caller: &PersonId, document: &[u8]) -> Result<(), Fault> {
    let digest = Digest::of(document);
    let Ok(document) = ApprovalDocument::from_bytes(document) else { return Ok(()) };
    let predicate = document.predicate;
    let (Some(changes), Some(replaced)) = (&predicate.changes, &predicate.replaces) else { return Ok(()) };
    let asked = reader::request_of(engine.store(), predicate.promotion)?;
    if asked.release != predicate.release || asked.environment != predicate.environment {
        return Ok(());
    }
    let governance = engine.governance()?;
    let now = engine.time();
    if !may_sign_or_read(&governance, caller, &predicate, now) {
        return Err(promotion_unknown(predicate.promotion));
    }
    match compared(engine, &replaced.release, &predicate.release, predicate.anchor.size)? {
        Some(diff) if changes.counts(&diff) => {}
        Some(_) => {
            return Err(Fault::new(
                Kind::Denied,
                "APPROVAL_CHANGES",
                format!(
                    "{} changes otherwise against {} than the signed document says",
                    predicate.release, replaced.release
                ),
            )
            .hint(look_again(predicate.promotion)));
        }
        // What is not published does not run.
        None => {
            return Err(Fault::new(
                Kind::Conflict,
                "APPROVAL_STALE",
                format!("{} does not run in {}", replaced.release, predicate.environment),
            )
            .hint(look_again(predicate.promotion)));
        }
    }
    check_gates_early(engine, &predicate, &digest, now)
}

/// Whether the verb would listen to somebody: they may read there, or give that verdict by their own or a lent right.
fn may_sign_or_read(
    governance: &Governance,
    caller: &PersonId,
    predicate: &ApprovalPredicate,
    now: UnixMillis,
) -> bool {
    let (service, environment) = (&predicate.release.service, &predicate.environment);
    let target = Object::Target(service, environment);
    let may = match predicate.verdict {
        Verdict::Approve => could_approve(governance, caller, service, environment, now),
        Verdict::Reject => authorise(governance, caller, Permission::Reject, target).is_ok(),
    };
    may || may_read(governance, caller, target)
}

/// The gates of an approval, as the ledger stands, so that the sequencer does not decide for what is plainly not so.
///
/// What is recorded already is left to the verb, which answers a repeated request as it did before; so is what it
/// refuses without a decision: where the promotion is over, or something else runs by now.
fn check_gates_early(
    engine: &Engine,
    predicate: &ApprovalPredicate,
    digest: &Digest,
    now: UnixMillis,
) -> Result<(), Fault> {
    if predicate.gates().is_none() || predicate.verdict != Verdict::Approve {
        return Ok(());
    }
    let (state, _, asked) = slice(engine, predicate.promotion)?;
    let recorded = asked.approvals.iter().any(|record| record.event.document == *digest);
    if recorded || !asked.status().is_open() {
        return Ok(());
    }
    let facts = facts_for(&state, predicate.promotion, now, &StoreBodies(engine.store()), &engine.inner().claims)?;
    let same_target = match (&facts.running, &predicate.replaces) {
        (Some(runs), Some(replaced)) => runs.release == replaced.release && runs.manifest == replaced.manifest,
        _ => false,
    };
    let governance = state.governance()?;
    if !same_target || predicate.policy != governance.policy_digest {
        return Ok(());
    }
    let runs = match &facts.running {
        Some(running) => reader::release(engine.store(), governance, &running.release)?,
        None => None,
    };
    check_gates(governance, &facts, runs.as_deref(), predicate)
}

/// The gates that an approval names have to be those that come out otherwise on these facts than when `runs`, the
/// release that runs in the target, was let in. A document that names none is from a tool that did not compare them.
///
/// # Errors
/// `APPROVAL_STALE`.
pub(crate) fn check_gates(
    governance: &Governance,
    facts: &Facts,
    runs: Option<&ReleaseState>,
    predicate: &ApprovalPredicate,
) -> Result<(), Fault> {
    let Some(shown) = predicate.gates() else { return Ok(()) };
    let stale = |message: String| {
        Err(Fault::new(Kind::Conflict, "APPROVAL_STALE", message).hint(look_again(predicate.promotion)))
    };
    // INVARIANT (gates are of this engine): nothing is recorded that no audit of this version would compare.
    if shown.engine != Decision::ENGINE {
        let engine = visible(&shown.engine);
        return stale(format!("`{engine}` decided on the gates in the signed document, not `{}`", Decision::ENGINE));
    }
    let found = match (&facts.running, runs) {
        (Some(running), Some(runs)) => GateChanges::against(running, runs, &decide(&governance.policy, facts)),
        _ => None,
    };
    match found.as_ref() == Some(shown) {
        true => Ok(()),
        false => stale(
            "other gates come out otherwise now than the signed document says; look again and sign again".to_owned(),
        ),
    }
}

fn look_again(promotion: PromotionId) -> String {
    format!("look again: lockgate approve {promotion}")
}
