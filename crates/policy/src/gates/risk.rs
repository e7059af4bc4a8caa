//! Risk: a score from declared factors, which raises the number of approvals.

use std::collections::{BTreeMap, BTreeSet};

use lockgate_model::facts::{Claim, Origin, PromotionKind, Severity};
use serde::Deserialize;

use super::{Context, Problem};
use crate::environment::Risk;

/// What makes a promotion risky, and how many approvals it then takes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RiskRule {
    /// How many points each factor that holds adds to the score.
    pub factors: BTreeMap<RiskFactor, u64>,
    /// From which score on how many approvals are wanted.
    pub raise: Vec<Raise>,
}

/// How many approvals a score takes at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Raise {
    /// The lowest score that it is for.
    pub from: u64,
    /// How many different people have to approve then.
    pub approvals: u64,
}

/// Something that makes a promotion more risky.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RiskFactor {
    /// Nothing of the service runs there yet.
    FirstRelease,
    /// The major version is another than that of what runs.
    MajorVersion,
    /// It goes back to an earlier release.
    Rollback,
    /// A waiver for this service and environment is in force.
    Waivers,
    /// A test run reports skipped tests.
    SkippedTests,
    /// A scan reports a finding of high or critical severity.
    SevereFindings,
    /// Some evidence was handed in unsigned.
    UnsignedEvidence,
    /// The environment's own `risk` is `high`.
    HighRiskEnvironment,
}

impl RiskFactor {
    /// The word that policies use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FirstRelease => "first-release",
            Self::MajorVersion => "major-version",
            Self::Rollback => "rollback",
            Self::Waivers => "waivers",
            Self::SkippedTests => "skipped-tests",
            Self::SevereFindings => "severe-findings",
            Self::UnsignedEvidence => "unsigned-evidence",
            Self::HighRiskEnvironment => "high-risk-environment",
        }
    }

    fn holds(self, ctx: Context<'_>) -> bool {
        let facts = ctx.facts;
        let any = |holds: fn(&Claim) -> bool| facts.evidence.iter().any(|fact| holds(&fact.claim));
        match self {
            Self::FirstRelease => facts.running.is_none(),
            Self::MajorVersion => facts.running.as_ref().is_some_and(|running| {
                major(&running.release.version.to_string()) != major(&facts.release.version().to_string())
            }),
            Self::Rollback => facts.promotion.kind == PromotionKind::Rollback,
            Self::Waivers => facts.waivers.iter().any(|waiver| facts.time < waiver.expires_at),
            Self::SkippedTests => any(|claim| matches!(claim, Claim::Tests(tests) if tests.skipped > 0)),
            Self::SevereFindings => any(|claim| match claim {
                Claim::Vulnerabilities(scan) => scan.findings.iter().any(|finding| finding.severity >= Severity::High),
                _ => false,
            }),
            Self::UnsignedEvidence => facts.evidence.iter().any(|fact| matches!(fact.origin, Origin::OnBehalf { .. })),
            Self::HighRiskEnvironment => ctx.environment.risk == Risk::High,
        }
    }
}

/// The number before the first dot of a semantic version.
fn major(version: &str) -> &str {
    version.split('.').next().unwrap_or(version)
}

impl RiskRule {
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let most = self.factors.values().fold(0u64, |sum, points| sum.saturating_add(*points));
        if self.factors.is_empty() || self.raise.is_empty() {
            problems.push(Problem::new("`risk` demands nothing: write `factors` and at least one `raise`"));
        }
        if self.factors.values().any(|points| *points == 0) {
            problems.push(Problem::new("a factor of `risk` adds 0 points: write 1 or more, or remove it"));
        }
        for raise in self.raise.iter().filter(|raise| raise.from > most || raise.from == 0 || raise.approvals == 0) {
            problems.push(Problem::new(format!(
                "`raise` from {} to {} approvals: no score reaches it, every score does, or it wants nobody",
                raise.from, raise.approvals
            )));
        }
        let distinct: BTreeSet<u64> = self.raise.iter().map(|raise| raise.from).collect();
        if distinct.len() < self.raise.len() {
            problems.push(Problem::new("two entries of `raise` are from the same score"));
        }
        problems
    }

    /// The factors that hold, with their points.
    fn score(&self, ctx: Context<'_>) -> (u64, Vec<(RiskFactor, u64)>) {
        let holding: Vec<(RiskFactor, u64)> = self
            .factors
            .iter()
            .filter(|(factor, _)| factor.holds(ctx))
            .map(|(factor, points)| (*factor, *points))
            .collect();
        (holding.iter().fold(0u64, |sum, (_, points)| sum.saturating_add(*points)), holding)
    }

    /// How many approvals the score wants at least; none below every `raise`.
    pub(super) fn approvals(&self, ctx: Context<'_>) -> u64 {
        let (score, _) = self.score(ctx);
        self.raise.iter().filter(|raise| raise.from <= score).map(|raise| raise.approvals).max().unwrap_or(0)
    }

    /// The score as a demand says it, such as `risk score 5 (major-version 3, waivers 2)`.
    pub(super) fn worded(&self, ctx: Context<'_>) -> String {
        let (score, holding) = self.score(ctx);
        let factors: Vec<String> =
            holding.iter().map(|(factor, points)| format!("{} {points}", factor.as_str())).collect();
        match factors.is_empty() {
            true => format!("risk score {score}"),
            false => format!("risk score {score} ({})", factors.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::PolicySet;
    use crate::decision::GateOutcome::{Pass, Pending};
    use crate::explain::Reason;
    use crate::sample::{approval, check, running, waiver};
    use lockgate_model::facts::Facts;

    const GATE: &str = "kind = \"approvals\"\ngroups = [\"approvers\"]\nexclude = [\"requester\"]\n[gate.risk]\n\
        factors = { major-version = 3, waivers = 2, high-risk-environment = 1 }\n\
        raise = [{ from = 3, approvals = 2 }, { from = 6, approvals = 3 }]\n";

    #[test]
    fn a_risky_promotion_takes_more_people() {
        let row = |version: &str, waived: bool, people: &[&str], outcome, reason| {
            let change = |policy: &PolicySet, facts: &mut Facts| {
                facts.running = Some(running(version));
                facts.waivers = if waived { vec![waiver("g", "CVE-1")] } else { vec![] };
                facts.approvals = people.iter().map(|person| approval(policy, facts, person)).collect();
            };
            check(GATE, change, outcome, reason)
        };
        let result = row("1.4.1", false, &["sam"], Pass, Reason::Satisfied);
        assert!(result.needed.ends_with("risk score 1 (high-risk-environment 1)"), "{}", result.needed);
        let result = row("1.4.1", true, &["sam"], Pending, Reason::QuorumNotMet);
        assert!(result.needed.starts_with("2 approvals"), "{}", result.needed);
        row("1.4.1", true, &["sam", "ines"], Pass, Reason::Satisfied);
        row("0.9.0", true, &["sam", "ines"], Pending, Reason::QuorumNotMet);
        row("0.9.0", false, &["sam", "ines"], Pass, Reason::Satisfied);
    }

    #[test]
    fn refuses_scores_that_nothing_reaches() {
        let refused = |from: &str, to: &str, part: &str| {
            let gate = crate::sample::gate(&GATE.replace(from, to));
            let errors = PolicySet::from_files(crate::sample::files(&gate)).map(|_| ()).unwrap_err();
            assert!(errors[0].message.contains(part), "{errors:?}");
        };
        refused("from = 6", "from = 7", "no score reaches it");
        refused("from = 6", "from = 3", "the same score");
        refused("waivers = 2", "waivers = 0", "adds 0 points");
        refused("waivers", "wavers", "unknown variant");
    }
}
