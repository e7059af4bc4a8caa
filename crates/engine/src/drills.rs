//! Drills: record what came of attacks on a copy of this ledger.

use lockgate_ledger::drill::DrillReport;
use lockgate_ledger::{Actor, Event};
use lockgate_model::{Digest, Limits, PersonId};
use lockgate_policy::{Object, Permission};
use serde_json::json;

use crate::authorise::permit;
use crate::engine::Engine;
use crate::fault::{Fault, Kind};
use crate::sequencer::Submission;

/// Records the report of a drill: the entry has its counts, and the report is kept as a body.
///
/// What it says is not checked: the server that a drill is about could not vouch for it. An entry about another ledger, or
/// about more than this one has, is refused all the same, because it would mislead.
///
/// # Errors
/// `TOO_LARGE`, or `DRILL_INVALID`; the rest comes with the receipt.
pub fn record(engine: &Engine, by: PersonId, document: Vec<u8>) -> Result<Submission, Fault> {
    if document.len() > Limits::DEFAULT.json_body_bytes {
        return Err(Fault::new(Kind::TooLarge, "TOO_LARGE", "the report of the drill is too large"));
    }
    let report = DrillReport::from_bytes(&document)?;
    let governance = engine.governance()?;
    if report.ledger != governance.origin() || report.entries > engine.published().head.size {
        return Err(Fault::invalid(
            "DRILL_INVALID",
            format!("the report is about {} entries of `{}`", report.entries, report.ledger.escape_debug()),
        )
        .hint("record it at the server whose data was copied"));
    }
    let event = report.event(Digest::of(&document));
    Ok(Submission::new(move |staging, _| {
        permit(staging, &by, Permission::Audit, Object::Ledger, None)?;
        staging.document(document);
        let index = staging.append(Actor::Subject { id: by }, &[], Event::DrillRecorded(event))?;
        Ok(json!({ "event": "drill.recorded", "index": index }))
    }))
}
