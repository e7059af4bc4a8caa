//! The `checks` gate: named checks ran and came out well, such as `accessibility` or `compatibility`.

use lockgate_model::facts::{Artifact, CheckOutcome, Claim};
use lockgate_model::{SignerName, Span};
use serde::Deserialize;

use super::coverage::{Covered, Demand, Shortfall, every_artifact};
use super::{Assessment, Context, Problem, is_fresh, is_from_future, signer_problems};
use crate::explain::Reason;
use crate::permission::Permission;
use crate::policy_set::PolicySet;
use crate::trust::EvidenceKind;
use crate::wording::{all_of, shown};

/// Demands every named check about every artifact; of each the newest result counts. A check that says what runs, which
/// whoever may deploy may hand in, is looked at only where it is named.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChecksGate {
    /// Which checks, by name.
    pub names: Vec<String>,
    /// Whether a check may come out with a warning.
    #[serde(default)]
    pub allow_warn: bool,
    /// How old a result may be, by its own time or else by when it was recorded.
    #[serde(default)]
    pub max_age: Option<Span>,
    /// Whose signature it needs; empty accepts unsigned reports too.
    #[serde(default)]
    pub signed_by: Vec<SignerName>,
}

impl ChecksGate {
    pub(super) fn problems(&self, policy: &PolicySet) -> Vec<Problem> {
        let mut problems = signer_problems(&self.signed_by, EvidenceKind::Check, policy);
        if self.names.is_empty() {
            problems.push(Problem::new("`names` is empty: name at least one check, such as [\"accessibility\"]"));
        }
        let is_name = |name: &String| {
            (1..=64).contains(&name.len())
                && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        for name in self.names.iter().filter(|name| !is_name(name)) {
            problems.push(Problem::new(format!("`{}` is no name of a check: use `a-z`, `0-9` and `-`", shown(name))));
        }
        if self.max_age.is_some_and(Span::is_zero) {
            problems.push(Problem::new("`max_age` is zero: no result would ever be young enough"));
        }
        problems
    }

    fn demand(&self) -> Demand<'_> {
        Demand {
            kind: EvidenceKind::Check,
            signed_by: &self.signed_by,
            noun: "result of a named check",
            missing: Reason::CheckMissing,
        }
    }

    pub(super) fn assess(&self, ctx: Context<'_>) -> Assessment {
        let result = every_artifact(ctx, |artifact| self.check(ctx, artifact));
        let word = if self.allow_warn { "passed, or passed with a warning" } else { "passed" };
        let age = self.max_age.map(|age| format!(", not older than {age}")).unwrap_or_default();
        let needed = format!("{} {word}{age}{}", all_of(&self.names), self.demand().signed_by_text());
        let who = || ctx.groups_that_may(Permission::Attest);
        Assessment::of_coverage(result, needed, who, |reason| match reason {
            Reason::CheckFailed => format!("repair what it found, then: {}", ctx.push_next("")),
            _ => self.demand().fix(ctx, reason, "--report check.json"),
        })
    }

    fn check(&self, ctx: Context<'_>, artifact: &Artifact) -> Result<Covered, Shortfall> {
        let results = self.demand().counted(ctx, artifact, |claim| match claim {
            Claim::Check(check) => Some(check),
            _ => None,
        })?;
        let now = ctx.facts.time;
        let mut texts = Vec::new();
        let mut evidence = Vec::new();
        for name in &self.names {
            let newest = results.iter().filter(|(_, check)| check.name == *name).max_by_key(|(fact, _)| fact.index);
            let Some((fact, check)) = newest else {
                let text = format!("no result of {name}");
                return Err(Shortfall { reason: Reason::CheckMissing, text, evidence });
            };
            let detail = check.detail.as_deref().map(|detail| format!(" ({})", shown(detail))).unwrap_or_default();
            let text = format!("{name} {}{detail}", check.outcome.as_str());
            let reason = match check.outcome {
                _ if is_from_future(check.checked_at, fact, now) => Some(Reason::EvidenceFromFuture),
                CheckOutcome::Fail => Some(Reason::CheckFailed),
                CheckOutcome::Warn if !self.allow_warn => Some(Reason::CheckFailed),
                CheckOutcome::NotRun => Some(Reason::CheckMissing),
                CheckOutcome::Pass | CheckOutcome::Warn => {
                    (!is_fresh(check.checked_at, fact, self.max_age, now)).then_some(Reason::CheckStale)
                }
            };
            if let Some(reason) = reason {
                return Err(Shortfall { reason, text, evidence: vec![fact.evidence] });
            }
            texts.push(text);
            evidence.push(fact.evidence);
        }
        Ok(Covered { text: texts.join(", "), evidence, waived: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::GateOutcome::{Fail as Failed, Pass as Passed};
    use crate::sample::{TIME, check, evidence, on_behalf};
    use lockgate_model::UnixMillis;
    use lockgate_model::facts::{EvidenceFact, NamedCheck};

    fn result(index: u64, name: &str, outcome: CheckOutcome) -> EvidenceFact {
        let claim = NamedCheck {
            name: name.to_owned(),
            outcome,
            detail: Some("3 pages".to_owned()),
            tool: None,
            tool_version: None,
            checked_at: None,
        };
        evidence(index, on_behalf("robot"), Claim::Check(claim))
    }

    #[test]
    fn every_named_check_passes() {
        use CheckOutcome::{Fail, NotRun, Pass, Warn};
        let row = |fields: &str, facts: Vec<EvidenceFact>, outcome, reason| {
            let gate = format!("kind = \"checks\"\nnames = [\"accessibility\"]\n{fields}\n");
            check(&gate, |_, known| known.evidence = facts, outcome, reason)
        };
        let one = |outcome| vec![result(1, "accessibility", outcome)];
        row("", one(Pass), Passed, Reason::Satisfied);
        let failed = row("", one(Fail), Failed, Reason::CheckFailed);
        assert_eq!(failed.found, "app.tar.gz: accessibility fail (3 pages)");
        row("", one(Warn), Failed, Reason::CheckFailed);
        row("allow_warn = true", one(Warn), Passed, Reason::Satisfied);
        row("allow_warn = true", one(NotRun), Failed, Reason::CheckMissing);
        row("", vec![result(1, "accessibility-old", Pass)], Failed, Reason::CheckMissing);
        row("", vec![], Failed, Reason::CheckMissing);
        row("", vec![result(1, "accessibility", Fail), result(2, "accessibility", Pass)], Passed, Reason::Satisfied);
        row("", vec![result(2, "accessibility", Fail), result(1, "accessibility", Pass)], Failed, Reason::CheckFailed);
        // Whoever may deploy says what runs: it is a result where the gate names it, and nowhere else.
        let runs = || result(3, "runs-in-production", Pass);
        let missed = row("", vec![runs()], Failed, Reason::CheckMissing);
        assert_eq!(missed.found, "app.tar.gz: no result of accessibility");
        row("", vec![result(1, "accessibility", Fail), runs()], Failed, Reason::CheckFailed);
        let named = "kind = \"checks\"\nnames = [\"runs-in-production\"]\n";
        check(named, |_, known| known.evidence = vec![runs()], Passed, Reason::Satisfied);
        let mut old = result(1, "accessibility", Pass);
        old.recorded_at = UnixMillis(TIME.0 - 3_600_000);
        row("max_age = \"1h\"", vec![old], Failed, Reason::CheckStale);
    }
}
