//! Risk: a score from declared factors, which raises the number of approvals. What nobody reported is not taken for
//! good.

use std::collections::{BTreeMap, BTreeSet};

use lockgate_model::Digest;
use lockgate_model::facts::{Claim, EvidenceFact, Origin, PromotionKind, Severity};
use serde::Deserialize;

use super::{Context, Problem, Standing};
use crate::environment::Risk;
use crate::trust::EvidenceKind;
use crate::wording::{few, shown};

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
    /// A test run reports skipped tests, or none counts for an artifact.
    SkippedTests,
    /// A scan reports a finding of unknown, high or critical severity, or none counts for an artifact.
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
        match self {
            Self::FirstRelease => facts.running.is_none(),
            Self::MajorVersion => facts.running.as_ref().is_some_and(|running| {
                major(&running.release.version.to_string()) != major(&facts.release.version().to_string())
            }),
            Self::Rollback => facts.promotion.kind == PromotionKind::Rollback,
            Self::Waivers => facts.waivers.iter().any(|waiver| facts.time < waiver.expires_at),
            Self::SkippedTests => skips(ctx) || self.unreported(ctx).is_some(),
            Self::SevereFindings => worst(ctx) >= Some(Severity::Unknown) || self.unreported(ctx).is_some(),
            Self::UnsignedEvidence => facts.evidence.iter().any(|fact| matches!(fact.origin, Origin::OnBehalf { .. })),
            Self::HighRiskEnvironment => ctx.environment.risk == Risk::High,
        }
    }

    /// Why it holds, where that is not what its name says.
    fn why(self, ctx: Context<'_>) -> Option<String> {
        let plain = match self {
            Self::SkippedTests => skips(ctx),
            Self::SevereFindings => worst(ctx) >= Some(Severity::High),
            _ => true,
        };
        if plain {
            return None;
        }
        let why = self.unreported(ctx).unwrap_or_else(|| "a finding of unknown severity".to_owned());
        Some(format!("{why}: counts as {}", self.as_str()))
    }

    /// Which report is missing that could show that it does not hold; none where one counts for every artifact.
    fn unreported(self, ctx: Context<'_>) -> Option<String> {
        let (kind, noun) = match self {
            Self::SkippedTests => (EvidenceKind::Tests, "test run"),
            Self::SevereFindings => (EvidenceKind::Vulnerabilities, "scan"),
            _ => return None,
        };
        let counts = |fact: &&EvidenceFact| {
            fact.claim.kind() == kind.as_str() && ctx.standing(fact, kind, &[]) == Standing::Counts
        };
        let about: BTreeSet<&Digest> =
            ctx.facts.evidence.iter().filter(counts).flat_map(|fact| &fact.artifacts).collect();
        let artifacts = ctx.facts.release.artifacts.iter();
        let without =
            artifacts.filter(|artifact| !about.contains(&artifact.digest)).map(|artifact| shown(&artifact.name));
        match (about.is_empty(), few(without, ", ")) {
            (true, _) => Some(format!("no {noun}")),
            (false, named) if named.is_empty() => None,
            (false, named) => Some(format!("no {noun} of {named}")),
        }
    }
}

/// Whether any test run reports skipped tests.
fn skips(ctx: Context<'_>) -> bool {
    ctx.facts.evidence.iter().any(|fact| matches!(&fact.claim, Claim::Tests(tests) if tests.skipped > 0))
}

/// The worst severity that any scan reports.
fn worst(ctx: Context<'_>) -> Option<Severity> {
    let scans = ctx.facts.evidence.iter().filter_map(|fact| match &fact.claim {
        Claim::Vulnerabilities(scan) => Some(scan),
        _ => None,
    });
    scans.flat_map(|scan| &scan.findings).map(|finding| finding.severity).max()
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

    /// The score as a demand says it, such as `risk score 5 (major-version 3, severe-findings 2; no scan: counts as
    /// severe-findings)`.
    pub(super) fn worded(&self, ctx: Context<'_>) -> String {
        let (score, holding) = self.score(ctx);
        let factors: Vec<String> =
            holding.iter().map(|(factor, points)| format!("{} {points}", factor.as_str())).collect();
        let why: String =
            holding.iter().filter_map(|(factor, _)| factor.why(ctx)).map(|why| format!("; {why}")).collect();
        match factors.is_empty() {
            true => format!("risk score {score}"),
            false => format!("risk score {score} ({}{why})", factors.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::PolicySet;
    use crate::decision::GateOutcome::{Pass, Pending};
    use crate::explain::Reason;
    use crate::sample::{
        approval, check, evidence, finding, on_behalf, other_artifact, running, scan, signed, tests, waiver,
    };
    use lockgate_model::facts::{Claim, EvidenceFact, Facts, Origin, Severity, Tests};

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
    fn what_nobody_reported_is_not_taken_for_good() {
        let gate = GATE.replace("major-version = 3, waivers = 2", "skipped-tests = 3, severe-findings = 3");
        let row = |facts: Vec<EvidenceFact>, two: bool, count: &str, score: &str| {
            let change = |_: &PolicySet, known: &mut Facts| {
                known.evidence = facts;
                known.release.artifacts.extend(two.then(other_artifact));
            };
            let result = check(&gate, change, Pending, Reason::QuorumNotMet);
            assert!(result.needed.starts_with(&format!("{count} by group approvers,")), "{}", result.needed);
            assert!(result.needed.ends_with(&format!(", risk score {score}")), "{score}: {}", result.needed);
        };
        let run = |skipped| evidence(1, on_behalf("robot"), Claim::Tests(Tests { skipped, ..tests() }));
        let scanned = |origin: Origin, severities: &[Severity]| {
            let findings = severities.iter().map(|severity| finding("CVE-1", *severity)).collect();
            evidence(2, origin, Claim::Vulnerabilities(scan("trivy", findings)))
        };
        let by = |severities: &[Severity]| scanned(on_behalf("robot"), severities);
        const CLEAN: &str = "1 (high-risk-environment 1)";
        const NO_SCAN: &str = "4 (severe-findings 3, high-risk-environment 1; no scan: counts as severe-findings)";
        const SEVERE: &str = "4 (severe-findings 3, high-risk-environment 1)";
        row(vec![run(0), by(&[])], false, "1 approval", CLEAN);
        row(vec![run(0), by(&[Severity::Medium])], false, "1 approval", CLEAN);
        row(vec![run(0), by(&[Severity::Critical])], false, "2 approvals", SEVERE);
        row(vec![run(0), by(&[Severity::High, Severity::Unknown])], false, "2 approvals", SEVERE);
        let unknown = "4 (severe-findings 3, high-risk-environment 1; \
            a finding of unknown severity: counts as severe-findings)";
        row(vec![run(0), by(&[Severity::Unknown; 3])], false, "2 approvals", unknown);
        row(vec![run(1), by(&[])], false, "2 approvals", "4 (skipped-tests 3, high-risk-environment 1)");
        // No report, one that nobody who is believed signed, or one that could not be read.
        row(vec![run(0)], false, "2 approvals", NO_SCAN);
        row(vec![run(0), scanned(signed(&[]), &[])], false, "2 approvals", NO_SCAN);
        row(vec![run(0), scanned(signed(&["ci"]), &[])], false, "2 approvals", NO_SCAN);
        row(vec![run(0), scanned(signed(&["scanner"]), &[])], false, "1 approval", CLEAN);
        let broken = evidence(2, on_behalf("robot"), Claim::Malformed { reason: "broken".to_owned() });
        row(vec![run(0), broken], false, "2 approvals", NO_SCAN);
        let no_run = "4 (skipped-tests 3, high-risk-environment 1; no test run: counts as skipped-tests)";
        row(vec![by(&[])], false, "2 approvals", no_run);
        let neither = "7 (skipped-tests 3, severe-findings 3, high-risk-environment 1; \
            no test run: counts as skipped-tests; no scan: counts as severe-findings)";
        row(vec![], false, "3 approvals", neither);
        // About one of two artifacts.
        let one = neither.replace("run:", "run of other.tar.gz:").replace("scan:", "scan of other.tar.gz:");
        row(vec![run(0), by(&[])], true, "3 approvals", &one);
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
