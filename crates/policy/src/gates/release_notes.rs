//! The `release-notes` gate: the release was published with notes.

use serde::Deserialize;

use super::{Assessment, Context};
use crate::decision::GateOutcome;
use crate::explain::Reason;
use crate::permission::Permission;

/// Demands release notes. They are named by the manifest, and so can neither be added nor changed afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseNotesGate {}

impl ReleaseNotesGate {
    pub(super) fn assess(&self, ctx: Context<'_>) -> Assessment {
        let needed = "release notes".to_owned();
        match ctx.facts.release.notes {
            Some(notes) => {
                let found = format!("release notes {}", notes.short());
                Assessment { evidence: vec![notes], ..Assessment::passed(needed, found) }
            }
            None => Assessment {
                outcome: GateOutcome::Fail,
                reason: Reason::ReleaseNotesMissing,
                needed,
                found: format!("{} was published without", ctx.release()),
                evidence: Vec::new(),
                who: ctx.groups_that_may(Permission::Push),
                fix: ctx.push_next(" --notes NOTES.md"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::GateOutcome::{Fail, Pass};
    use crate::sample::check;
    use lockgate_model::Digest;

    #[test]
    fn notes_are_there_or_not() {
        let gate = "kind = \"release-notes\"\n";
        check(gate, |_, facts| facts.release.notes = Some(Digest::of(b"notes")), Pass, Reason::Satisfied);
        let result = check(gate, |_, facts| facts.release.notes = None, Fail, Reason::ReleaseNotesMissing);
        assert!(result.fix.ends_with("--notes NOTES.md"), "{}", result.fix);
    }
}
