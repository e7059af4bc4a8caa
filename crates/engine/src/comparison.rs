//! Comparison: what changes against what runs in the target, in the counts that an approver signs.
//!
//! Both sides are read with the evidence that the ledger of the approver's tree head held. History does not change, so
//! the same document compares the same way here, at the approver's and in every audit.

use lockgate_ledger::approval::ApprovalDocument;
use lockgate_ledger::contents::Contents;
use lockgate_ledger::release_diff::{ChangeSummary, compare};
use lockgate_model::{PersonId, ReleaseName, TreeSize};
use lockgate_policy::Object;

use crate::authorise::may_read;
use crate::bodies::StoreBodies;
use crate::engine::Engine;
use crate::fault::{Fault, Kind};
use crate::reader;

/// Counts what changes between two releases, as a ledger of `known` entries had them; `None` when one is not published.
///
/// # Errors
/// What the store says.
pub fn summary(
    engine: &Engine,
    from: &ReleaseName,
    to: &ReleaseName,
    known: TreeSize,
) -> Result<Option<ChangeSummary>, Fault> {
    let (Some(from), Some(to)) = (contents(engine, from, known)?, contents(engine, to, known)?) else {
        return Ok(None);
    };
    Ok(Some(compare(&from, &to).summary()))
}

fn contents(engine: &Engine, name: &ReleaseName, known: TreeSize) -> Result<Option<Contents>, Fault> {
    let release = reader::release(engine.store(), &engine.governance()?, name)?;
    let read = release.map(|release| Contents::read(&release, known, &StoreBodies(engine.store())));
    Ok(read.transpose()?)
}

/// Checks what a signed document says of changes, before it is handed to the sequencer: reading two releases whole is
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
    match summary(engine, &replaced.release, &predicate.release, predicate.anchor.size)? {
        Some(found) if found != *changes => Err(Fault::new(
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
