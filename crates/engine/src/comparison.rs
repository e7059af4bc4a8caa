//! Comparison: what changes against what runs in the target, in the counts and gates that an approver signs.
//!
//! Both sides are read with the evidence that the ledger of the approver's tree head held. History does not change, so
//! the same document compares the same way here, at the approver's and in every audit. Gates are decided on the facts of
//! now: they are compared again in the sequencer, where the approval is recorded.

use std::sync::Arc;

use lockgate_ledger::Governance;
use lockgate_ledger::approval::ApprovalDocument;
use lockgate_ledger::contents::Contents;
use lockgate_ledger::gate_changes::GateChanges;
use lockgate_ledger::release_diff::{ChangeSummary, ReleaseDiff, compare};
use lockgate_model::facts::Facts;
use lockgate_model::{PersonId, ReleaseName, TreeSize};
use lockgate_policy::{Object, decide};

use crate::authorise::may_read;
use crate::bodies::StoreBodies;
use crate::engine::Engine;
use crate::fault::{Fault, Kind};
use crate::reader;

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

/// Checks what a signed document counts of changes, before it is handed to the sequencer: reading two releases whole is
/// nothing to do there. An audit checks it again.
///
/// A document that does not read, or is about what the caller may not read, is left to the verb, which refuses it.
///
/// # Errors
/// `APPROVAL_CHANGES`, or what the store says.
pub fn check(engine: &Engine, caller: &PersonId, document: &[u8]) -> Result<(), Fault> {
    let Ok(document) = ApprovalDocument::from_bytes(document) else { return Ok(()) };
    let predicate = document.predicate;
    let (Some(changes), Some(replaced)) = (&predicate.changes, &predicate.replaces) else { return Ok(()) };
    let governance = engine.governance()?;
    let readable =
        |release: &ReleaseName| may_read(&governance, caller, Object::Target(&release.service, &predicate.environment));
    if !readable(&predicate.release) || !readable(&replaced.release) {
        return Ok(());
    }
    match compared(engine, &replaced.release, &predicate.release, predicate.anchor.size)? {
        Some(diff) if !changes.counts(&diff) => Err(Fault::new(
            Kind::Denied,
            "APPROVAL_CHANGES",
            format!(
                "{} changes otherwise against {} than the signed document says",
                predicate.release, replaced.release
            ),
        )
        .hint(format!("look again: lockgate approve {}", predicate.promotion))),
        _ => Ok(()),
    }
}
