//! The `coverage` gate: tests ran enough of the source, and not much less than of what runs.

use lockgate_model::facts::{Artifact, Claim, Coverage};
use lockgate_model::{Digest, SignerName, Span};
use serde::Deserialize;

use super::coverage::{Counted, Covered, Demand, Shortfall, every_artifact, together};
use super::{Assessment, Context, Problem, is_fresh, is_from_future, signer_problems};
use crate::explain::Reason;
use crate::permission::Permission;
use crate::policy_set::PolicySet;
use crate::share::Share;
use crate::trust::EvidenceKind;
use crate::wording::{age, few};

/// Demands a coverage report about every artifact; the newest one counts. Of several that were handed in together each
/// has to hold, and all together are compared with what runs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestCoverageGate {
    /// Which share of the lines has to be covered.
    #[serde(default)]
    pub min_lines: Option<Share>,
    /// Which share of the branches has to be taken.
    #[serde(default)]
    pub min_branches: Option<Share>,
    /// By how many points the covered lines may be fewer than those of the release that runs, artifact by artifact.
    #[serde(default)]
    pub max_drop: Option<Share>,
    /// How old the report may be, by its own time or else by when it was recorded.
    #[serde(default)]
    pub max_age: Option<Span>,
    /// Whose signature it needs; empty accepts unsigned reports too.
    #[serde(default)]
    pub signed_by: Vec<SignerName>,
}

impl TestCoverageGate {
    pub(super) fn problems(&self, policy: &PolicySet) -> Vec<Problem> {
        let mut problems = signer_problems(&self.signed_by, EvidenceKind::Coverage, policy);
        let shares = [self.min_lines, self.min_branches, self.max_drop];
        if shares.iter().all(Option::is_none) {
            problems.push(Problem::new("demands nothing: write `min_lines`, `min_branches` or `max_drop`"));
        }
        if shares.iter().flatten().any(|share| share.is_more_than_all()) {
            problems.push(Problem::new("a share is more than 100%"));
        }
        if self.max_age.is_some_and(Span::is_zero) {
            problems.push(Problem::new("`max_age` is zero: no report would ever be young enough"));
        }
        problems
    }

    pub(super) fn compares(&self) -> bool {
        self.max_drop.is_some()
    }

    fn demand(&self) -> Demand<'_> {
        Demand {
            kind: EvidenceKind::Coverage,
            signed_by: &self.signed_by,
            noun: "coverage report",
            missing: Reason::CoverageMissing,
        }
    }

    pub(super) fn assess(&self, ctx: Context<'_>) -> Assessment {
        let result = every_artifact(ctx, |artifact| self.check(ctx, artifact));
        let who = || ctx.groups_that_may(Permission::Attest);
        Assessment::of_coverage(result, self.needed(), who, |reason| match reason {
            Reason::CoverageLow | Reason::CoverageDropped => {
                format!("test more of it, then: {}", ctx.push_next(""))
            }
            Reason::BaselineMissing => ctx.attest_running_report("coverage.xml"),
            Reason::CoverageStale => self.demand().anew(ctx, "measure it again", "--report coverage.xml"),
            _ => self.demand().fix(ctx, reason, "--report coverage.xml"),
        })
    }

    fn needed(&self) -> String {
        let mut parts = Vec::new();
        parts.extend(self.min_lines.map(|share| format!("at least {share} of the lines covered")));
        parts.extend(self.min_branches.map(|share| format!("at least {share} of the branches")));
        parts.extend(self.max_drop.map(|share| format!("at most {share} less than what runs")));
        let young = self.max_age.map(|age| format!(", not older than {age}")).unwrap_or_default();
        format!("{}{young}{}", parts.join(", "), self.demand().signed_by_text())
    }

    fn check(&self, ctx: Context<'_>, artifact: &Artifact) -> Result<Covered, Shortfall> {
        let reports = self.demand().newest_together(ctx, artifact, coverage)?;
        let evidence: Vec<Digest> = reports.iter().map(|(fact, _)| fact.evidence).collect();
        let mut texts = Vec::new();
        for report in &reports {
            let text = self.judge(ctx, *report);
            texts.push(text.map_err(|(reason, text)| Shortfall { reason, text, evidence: evidence.clone() })?);
        }
        let text = few(texts, "; ");
        let Some(most) = self.max_drop else { return Ok(Covered { text, evidence, waived: false }) };
        let Some(baseline) = self.demand().baseline(ctx, artifact, coverage)? else {
            return Ok(Covered { text: format!("{text}; nothing runs to compare with"), evidence, waived: false });
        };
        let (lines, before) = (lines_of(&reports), lines_of(&together(baseline)));
        let all = if reports.len() > 1 { format!(", {lines} of all lines") } else { String::new() };
        let text = format!("{text}{all}; {before} of the lines of what runs");
        match before.basis_points().saturating_sub(lines.basis_points()) > most.basis_points() {
            true => Err(Shortfall { reason: Reason::CoverageDropped, text, evidence }),
            false => Ok(Covered { text, evidence, waived: false }),
        }
    }

    /// Says what one report covers, or why that is not enough.
    fn judge(&self, ctx: Context<'_>, (fact, coverage): Counted<'_, Coverage>) -> Result<String, (Reason, String)> {
        let now = ctx.facts.time;
        let measured = coverage.measured_at.unwrap_or(fact.recorded_at);
        if is_from_future(coverage.measured_at, fact, now) {
            let text = format!("a report that says it is of {measured}, after it was recorded");
            return Err((Reason::EvidenceFromFuture, text));
        }
        let lines = Share::from_basis_points(coverage.line_basis_points.unwrap_or(0));
        let branches = coverage.branch_basis_points.map(Share::from_basis_points);
        let text = match branches {
            Some(branches) => format!("{lines} of the lines, {branches} of the branches"),
            None => format!("{lines} of the lines, no branches"),
        };
        // A report without branches proves nothing about them.
        let too_few = self.min_branches.is_some_and(|least| branches.is_none_or(|branches| branches < least));
        if self.min_lines.is_some_and(|least| lines < least) || too_few {
            return Err((Reason::CoverageLow, text));
        }
        if !is_fresh(coverage.measured_at, fact, self.max_age, now) {
            return Err((Reason::CoverageStale, format!("a report of {measured}, {} old", age(now.since(measured)))));
        }
        Ok(text)
    }
}

/// The share of the lines that reports cover together, rounded down; none of none.
fn lines_of(reports: &[Counted<'_, Coverage>]) -> Share {
    if let [(_, only)] = reports {
        return Share::from_basis_points(only.line_basis_points.unwrap_or(0));
    }
    let sum = |count: fn(&Coverage) -> u64| {
        reports.iter().fold(0u128, |sum, (_, coverage)| sum.saturating_add(u128::from(count(coverage))))
    };
    let (covered, valid) = (sum(|coverage| coverage.lines_covered), sum(|coverage| coverage.lines_valid));
    let share = covered.saturating_mul(10_000).checked_div(valid).unwrap_or(0);
    Share::from_basis_points(u64::try_from(share).unwrap_or(u64::MAX))
}

fn coverage(claim: &Claim) -> Option<&Coverage> {
    match claim {
        Claim::Coverage(coverage) => Some(coverage),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::GateOutcome::{Fail, Pass};
    use crate::sample::{check, evidence, on_behalf, running};
    use lockgate_model::facts::Facts;

    fn report(lines: u64, branches: Option<u64>) -> Claim {
        Claim::Coverage(Coverage {
            format: "lcov".to_owned(),
            files: 3,
            lines_covered: lines,
            lines_valid: 10_000,
            line_basis_points: Some(lines),
            branches_covered: branches.unwrap_or(0),
            branches_valid: if branches.is_some() { 10_000 } else { 0 },
            branch_basis_points: branches,
            stated_basis_points: Some(10_000),
            measured_at: None,
        })
    }

    #[test]
    fn is_absolute_and_against_what_runs() {
        let row = |fields: &str, ours: Claim, theirs: Option<Option<Claim>>, outcome, reason| {
            let change = |_: &PolicySet, facts: &mut Facts| {
                facts.evidence = vec![evidence(2, on_behalf("robot"), ours)];
                facts.running = theirs.as_ref().map(|_| running("1.4.1"));
                let theirs = theirs.flatten().map(|claim| evidence(1, on_behalf("robot"), claim));
                facts.running_evidence = theirs.into_iter().collect();
            };
            check(&format!("kind = \"coverage\"\n{fields}\n"), change, outcome, reason)
        };
        row("min_lines = \"80%\"", report(8000, None), None, Pass, Reason::Satisfied);
        let result = row("min_lines = \"80%\"", report(7999, None), None, Fail, Reason::CoverageLow);
        assert_eq!(result.found, "app.tar.gz: 79.99% of the lines, no branches");
        row("min_branches = \"50%\"", report(8000, Some(5000)), None, Pass, Reason::Satisfied);
        row("min_branches = \"50%\"", report(8000, Some(4999)), None, Fail, Reason::CoverageLow);
        row("min_branches = \"1%\"", report(8000, None), None, Fail, Reason::CoverageLow);
        let drop = "max_drop = \"1%\"";
        row(drop, report(7900, None), Some(Some(report(8000, None))), Pass, Reason::Satisfied);
        row(drop, report(7899, None), Some(Some(report(8000, None))), Fail, Reason::CoverageDropped);
        row(drop, report(9000, None), Some(Some(report(8000, None))), Pass, Reason::Satisfied);
        row(drop, report(0, None), None, Pass, Reason::Satisfied);
        row(drop, report(9000, None), Some(None), Fail, Reason::BaselineMissing);
        let tests = Claim::Tests(crate::sample::tests());
        row("min_lines = \"1%\"", tests, None, Fail, Reason::CoverageMissing);
    }

    #[test]
    fn reports_that_were_handed_in_together_hold_each_and_are_compared_as_one() {
        let row = |fields: &str, ours: &[u64], theirs: &[u64], outcome, reason| {
            let of = |lines: &[u64]| -> Vec<_> {
                let all = (1u64..).zip(lines);
                all.map(|(index, lines)| evidence(index, on_behalf("robot"), report(*lines, None))).collect()
            };
            let (ours, theirs) = (of(ours), of(theirs));
            let change = |_: &PolicySet, facts: &mut Facts| {
                facts.evidence = ours;
                facts.running = Some(running("1.4.1"));
                facts.running_evidence = theirs;
            };
            check(&format!("kind = \"coverage\"\n{fields}\n"), change, outcome, reason)
        };
        let least = "min_lines = \"80%\"";
        row(least, &[8000, 9000], &[], Pass, Reason::Satisfied);
        row(least, &[7000, 9000], &[], Fail, Reason::CoverageLow);
        row(least, &[9000, 7000], &[], Fail, Reason::CoverageLow);
        // Of 10,000 lines each: 75% together, before and after.
        let drop = "max_drop = \"1%\"";
        let same = row(drop, &[6000, 9000], &[6000, 9000], Pass, Reason::Satisfied);
        assert!(same.found.ends_with(", 75% of all lines; 75% of the lines of what runs"), "{}", same.found);
        row(drop, &[6000, 8800], &[6000, 9000], Pass, Reason::Satisfied);
        row(drop, &[6000, 8799], &[6000, 9000], Fail, Reason::CoverageDropped);
    }
}
