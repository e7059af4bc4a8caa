//! The `vulnerabilities` gate: every artifact was scanned, recently enough, and nothing that matters was found.

use std::collections::{BTreeMap, BTreeSet};

use lockgate_model::facts::{
    Artifact, Claim, EvidenceFact, Finding, Severity, SubjectKind, Vulnerabilities, WaiverFact,
};
use lockgate_model::{Digest, SignerName, Span, UnixMillis};
use serde::Deserialize;

use super::coverage::{Covered, Demand, Shortfall, every_artifact};
use super::{Assessment, Context, Problem, is_fresh, is_from_future, signer_problems};
use crate::explain::Reason;
use crate::permission::Permission;
use crate::policy_set::PolicySet;
use crate::trust::EvidenceKind;
use crate::wording::{counted, few, shown};

/// Demands a scan of every artifact; of each scanner the newest one counts, and what any of them blocks is blocked.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VulnerabilitiesGate {
    /// Which severities block. `unknown` is blocked as well wherever `high` or `medium` is.
    pub block: BTreeSet<Severity>,
    /// Whether findings without a fixed version are let through.
    #[serde(default)]
    pub fix_available_only: bool,
    /// For how long after its disclosure a finding of some severity is let through; none without a known disclosure.
    #[serde(default)]
    pub leeway: BTreeMap<Severity, Span>,
    /// How old the newest scan may be, by its own time or else by when it was recorded.
    #[serde(default)]
    pub max_age: Option<Span>,
    /// Whose signature it needs; empty accepts unsigned reports too.
    #[serde(default)]
    pub signed_by: Vec<SignerName>,
}

type Scan<'a> = (&'a EvidenceFact, &'a Vulnerabilities);

impl VulnerabilitiesGate {
    pub(super) fn problems(&self, policy: &PolicySet) -> Vec<Problem> {
        let mut problems = signer_problems(&self.signed_by, EvidenceKind::Vulnerabilities, policy);
        if self.block.is_empty() {
            problems
                .push(Problem::new("`block` is empty: name at least one severity, such as [\"critical\", \"high\"]"));
        }
        for severity in self.leeway.keys().filter(|severity| !self.is_blocked(**severity)) {
            let word = severity_word(*severity);
            problems.push(Problem::new(format!(
                "`leeway` names {word}, which does not block: add it to `block` or remove it"
            )));
        }
        if self.max_age.is_some_and(Span::is_zero) {
            problems.push(Problem::new("`max_age` is zero: no scan would ever be young enough"));
        }
        problems
    }

    fn demand(&self) -> Demand<'_> {
        Demand {
            kind: EvidenceKind::Vulnerabilities,
            signed_by: &self.signed_by,
            noun: "vulnerability scan",
            missing: Reason::ScanMissing,
        }
    }

    pub(super) fn assess(&self, ctx: Context<'_>) -> Assessment {
        let waived = waived_findings(ctx);
        let result = every_artifact(ctx, |artifact| self.check(ctx, artifact, &waived));
        Assessment::of_coverage(
            result,
            self.needed(),
            || ctx.groups_that_may(Permission::Attest),
            |reason| match reason {
                Reason::VulnerabilitiesFound => self.upgrade(ctx, &waived),
                _ => ctx.attest("--scan trivy.json"),
            },
        )
    }

    fn needed(&self) -> String {
        let severities: Vec<&str> = self.block.iter().rev().map(|severity| severity_word(*severity)).collect();
        let fixable = if self.fix_available_only { " that has a fix" } else { "" };
        let age = self.max_age.map(|age| format!(", scanned not longer than {age} ago")).unwrap_or_default();
        let leeway: Vec<String> = self
            .leeway
            .iter()
            .rev()
            .filter(|(_, span)| !span.is_zero())
            .map(|(severity, span)| format!(", {} after {span}", severity_word(*severity)))
            .collect();
        let by = self.demand().signed_by_text();
        format!("no finding of {}{fixable}{}{age}{by}", severities.join(" or "), leeway.concat())
    }

    fn check(&self, ctx: Context<'_>, artifact: &Artifact, waived: &BTreeSet<&str>) -> Result<Covered, Shortfall> {
        let now = ctx.facts.time;
        let newest = self.newest_scans(ctx, artifact)?;
        let scans = newest.as_slice();
        let evidence: Vec<Digest> = scans.iter().map(|(fact, _)| fact.evidence).collect();
        let moment = |(fact, scan): &Scan<'_>| scan.scanned_at.unwrap_or(fact.recorded_at);
        if let Some(scan) = scans.iter().find(|(fact, scan)| is_from_future(scan.scanned_at, fact, now)) {
            let text = format!("a scan that says it is of {}, after it was recorded", moment(scan));
            return Err(Shortfall { reason: Reason::EvidenceFromFuture, text, evidence });
        }
        let blocked = || findings(scans).filter(move |finding| self.blocks(finding, now));
        let is_waived = |finding: &&Finding| waived.contains(finding.id.as_str());
        let (mut open, mut excepted) = (0, 0);
        for finding in blocked() {
            if is_waived(&finding) { excepted += 1 } else { open += 1 }
        }
        if open > 0 {
            let listed = few(blocked().filter(|finding| !is_waived(finding)).map(described), "; ");
            let text = format!("{}: {listed}", counted(open, "blocked finding"));
            return Err(Shortfall { reason: Reason::VulnerabilitiesFound, text, evidence });
        }
        if !scans.iter().any(|(fact, scan)| is_fresh(scan.scanned_at, fact, self.max_age, now)) {
            let latest = scans.iter().map(moment).max().unwrap_or(now);
            let text = format!("a scan of {latest}, {} old", now.since(latest));
            return Err(Shortfall { reason: Reason::ScanStale, text, evidence });
        }
        let scanners = few(scans.iter().map(|(_, scan)| shown(&scan.scanner)), ", ");
        if excepted > 0 {
            let listed = few(blocked().map(described), "; ");
            let text = format!("{scanners}: {} waived: {listed}", counted(excepted, "finding"));
            return Ok(Covered { text, evidence, waived: true });
        }
        let all = counted(u64::try_from(findings(scans).count()).unwrap_or(u64::MAX), "finding");
        Ok(Covered { text: format!("{scanners}: {all}, none blocked"), evidence, waived: false })
    }

    /// The newest scan of each scanner, by its place in the ledger; never empty.
    fn newest_scans<'a>(&self, ctx: Context<'a>, artifact: &Artifact) -> Result<Vec<Scan<'a>>, Shortfall> {
        let scans = self.demand().counted(ctx, artifact, |claim| match claim {
            Claim::Vulnerabilities(scan) => Some(scan),
            _ => None,
        })?;
        let mut newest: BTreeMap<&str, Scan<'a>> = BTreeMap::new();
        for (fact, scan) in scans {
            let kept = newest.entry(scan.scanner.as_str()).or_insert((fact, scan));
            if fact.index > kept.0.index {
                *kept = (fact, scan);
            }
        }
        Ok(newest.into_values().collect())
    }

    fn is_blocked(&self, severity: Severity) -> bool {
        let worse = || self.block.contains(&Severity::High) || self.block.contains(&Severity::Medium);
        self.block.contains(&severity) || (severity == Severity::Unknown && worse())
    }

    fn blocks(&self, finding: &Finding, now: UnixMillis) -> bool {
        self.is_blocked(finding.severity)
            && !(self.fix_available_only && finding.fixed.is_none())
            && !self.is_in_leeway(finding, now)
    }

    /// A disclosure that lies in the future is no known disclosure.
    fn is_in_leeway(&self, finding: &Finding, now: UnixMillis) -> bool {
        match (finding.disclosed_at, self.leeway.get(&finding.severity)) {
            (Some(disclosed), Some(leeway)) => disclosed <= now && now < disclosed.plus(*leeway),
            _ => false,
        }
    }

    /// What to upgrade: the first few packages with a fix, or a waiver where there is none.
    fn upgrade(&self, ctx: Context<'_>, waived: &BTreeSet<&str>) -> String {
        let now = ctx.facts.time;
        let mut upgrades = BTreeSet::new();
        for artifact in &ctx.facts.release.artifacts {
            let Ok(scans) = self.newest_scans(ctx, artifact) else { continue };
            let open =
                findings(&scans).filter(|finding| self.blocks(finding, now) && !waived.contains(finding.id.as_str()));
            upgrades.extend(open.filter_map(|finding| Some((finding.package.as_str(), finding.fixed.as_deref()?))));
        }
        if upgrades.is_empty() {
            let who = ctx.groups_that_may(Permission::Waive);
            return format!("no fix is known: replace the package, or ask {who} for a waiver of each finding");
        }
        let listed =
            few(upgrades.iter().map(|(package, fixed)| format!("{} to {}", shown(package), shown(fixed))), ", ");
        format!("upgrade {listed}, then: {}", ctx.push_next(""))
    }
}

fn findings<'a>(scans: &[Scan<'a>]) -> impl Iterator<Item = &'a Finding> {
    scans.iter().flat_map(|(_, scan)| &scan.findings)
}

fn severity_word(severity: Severity) -> &'static str {
    match severity {
        Severity::Negligible => "negligible",
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::Unknown => "unknown",
        Severity::High => "high",
        Severity::Critical => "critical",
    }
}

fn described(finding: &Finding) -> String {
    let fix = match &finding.fixed {
        Some(fixed) => format!("fixed in {}", shown(fixed)),
        None => "no fix".to_owned(),
    };
    let severity = severity_word(finding.severity);
    format!("{} in {} {} ({severity}, {fix})", shown(&finding.id), shown(&finding.package), shown(&finding.version))
}

/// The findings that somebody may except from this gate, and did.
fn waived_findings<'a>(ctx: Context<'a>) -> BTreeSet<&'a str> {
    let valid = ctx.facts.waivers.iter().filter(|waiver| waiver.gate == ctx.gate.name && is_valid(waiver, ctx));
    valid.filter_map(|waiver| waiver.finding.as_deref()).collect()
}

/// A waiver counts until, and not at, its expiry, and when another person than the one who asked granted it, who may.
fn is_valid(waiver: &WaiverFact, ctx: Context<'_>) -> bool {
    let may_grant = ctx.facts.people.get(&waiver.granted_by).is_some_and(|person| {
        person.kind == SubjectKind::Person && ctx.may(&waiver.granted_by, &person.groups, Permission::Waive)
    });
    let aliases = ctx.policy.aliases();
    let two_people = aliases.person(&waiver.granted_by) != aliases.person(&waiver.asked_by);
    may_grant && two_people && ctx.facts.time < waiver.expires_at
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::GateOutcome::{self, Fail, Pass, Waived};
    use crate::decision::GateResult;
    use crate::sample::{TIME, check, evidence, finding, on_behalf, scan, waiver};

    const GATE: &str = "kind = \"vulnerabilities\"\nblock = [\"critical\", \"high\"]\n";
    const DAY: u64 = 86_400_000;

    fn row(more: &str, findings: Vec<Finding>, outcome: GateOutcome, reason: Reason) -> GateResult {
        let claim = Claim::Vulnerabilities(scan("trivy", findings));
        let gate = format!("{GATE}{more}\n");
        check(&gate, |_, facts| facts.evidence = vec![evidence(1, on_behalf("robot"), claim)], outcome, reason)
    }

    #[test]
    fn blocks_by_severity_fix_and_leeway() {
        use Severity::{Critical, High, Low, Medium, Unknown};
        let with = |severity, fixed: Option<&str>, disclosed_at: Option<u64>| {
            let fixed = fixed.map(str::to_owned);
            let disclosed_at = disclosed_at.map(UnixMillis);
            vec![Finding { fixed, disclosed_at, ..finding("CVE-1", severity) }]
        };
        row("", vec![], Pass, Reason::Satisfied);
        row("", with(Critical, None, None), Fail, Reason::VulnerabilitiesFound);
        row("", with(High, None, None), Fail, Reason::VulnerabilitiesFound);
        row("", with(Medium, None, None), Pass, Reason::Satisfied);
        row("", with(Low, None, None), Pass, Reason::Satisfied);
        row("", with(Unknown, None, None), Fail, Reason::VulnerabilitiesFound);
        row("fix_available_only = true", with(Critical, None, None), Pass, Reason::Satisfied);
        let result =
            row("fix_available_only = true", with(Critical, Some("2.0.1"), None), Fail, Reason::VulnerabilitiesFound);
        assert_eq!(result.found, "app.tar.gz: 1 blocked finding: CVE-1 in example 2.0.0 (critical, fixed in 2.0.1)");
        assert_eq!(
            result.fix,
            "upgrade example to 2.0.1, then: lockgate push <file> --service shop/web --version <next>"
        );
        let leeway = "leeway = { critical = \"0d\", high = \"7d\" }";
        row(leeway, with(High, None, Some(TIME.0 - 7 * DAY + 1)), Pass, Reason::Satisfied);
        row(leeway, with(High, None, Some(TIME.0 - 7 * DAY)), Fail, Reason::VulnerabilitiesFound);
        row(leeway, with(High, None, Some(TIME.0 + 1)), Fail, Reason::VulnerabilitiesFound);
        row(leeway, with(High, None, None), Fail, Reason::VulnerabilitiesFound);
        row(leeway, with(Critical, None, Some(TIME.0)), Fail, Reason::VulnerabilitiesFound);
    }

    #[test]
    fn the_newest_scan_of_each_scanner_counts() {
        let bad = || vec![finding("CVE-1", Severity::Critical)];
        let of = |index, scanner: &str, findings| {
            evidence(index, on_behalf("robot"), Claim::Vulnerabilities(scan(scanner, findings)))
        };
        let rows = [
            (vec![of(1, "trivy", bad()), of(2, "trivy", vec![])], Pass, Reason::Satisfied),
            (vec![of(2, "trivy", vec![]), of(1, "trivy", bad())], Pass, Reason::Satisfied),
            (vec![of(1, "trivy", vec![]), of(2, "trivy", bad())], Fail, Reason::VulnerabilitiesFound),
            (vec![of(1, "grype", bad()), of(2, "trivy", vec![])], Fail, Reason::VulnerabilitiesFound),
            (vec![], Fail, Reason::ScanMissing),
        ];
        for (evidence, outcome, reason) in rows {
            check(GATE, |_, facts| facts.evidence = evidence, outcome, reason);
        }
    }

    #[test]
    fn scans_age_and_come_not_from_the_future() {
        let gate = format!("{GATE}max_age = \"1d\"\n");
        let at = |recorded: u64, scanned: Option<u64>| {
            let mut claim = scan("trivy", vec![]);
            claim.scanned_at = scanned.map(UnixMillis);
            let mut fact = evidence(1, on_behalf("robot"), Claim::Vulnerabilities(claim));
            fact.recorded_at = UnixMillis(recorded);
            fact
        };
        let rows = [
            (at(TIME.0 - DAY + 1, None), Pass, Reason::Satisfied),
            (at(TIME.0 - DAY, None), Fail, Reason::ScanStale),
            (at(TIME.0, Some(TIME.0 - DAY)), Fail, Reason::ScanStale),
            (at(TIME.0 - DAY, Some(TIME.0)), Fail, Reason::EvidenceFromFuture),
        ];
        for (fact, outcome, reason) in rows {
            check(&gate, |_, facts| facts.evidence = vec![fact], outcome, reason);
        }
    }

    #[test]
    fn waivers_except_one_finding_of_one_gate() {
        let row = |change: fn(&mut WaiverFact), findings: &[&str], outcome, reason| {
            let mut waiver = waiver("g", "CVE-1");
            change(&mut waiver);
            let findings = findings.iter().map(|id| finding(id, Severity::Critical)).collect();
            let claim = Claim::Vulnerabilities(scan("trivy", findings));
            let change = |_: &PolicySet, facts: &mut lockgate_model::facts::Facts| {
                facts.evidence = vec![evidence(1, on_behalf("robot"), claim)];
                facts.waivers = vec![waiver];
            };
            check(GATE, change, outcome, reason)
        };
        let found = Reason::VulnerabilitiesFound;
        let result = row(|_| {}, &["CVE-1"], Waived, Reason::Waived);
        assert!(result.found.contains("1 finding waived: CVE-1"), "{}", result.found);
        row(|_| {}, &["CVE-2"], Fail, found);
        row(|_| {}, &["CVE-1", "CVE-2"], Fail, found);
        row(|waiver| waiver.gate = "h".parse().unwrap(), &["CVE-1"], Fail, found);
        row(|waiver| waiver.finding = None, &["CVE-1"], Fail, found);
        row(|waiver| waiver.expires_at = TIME, &["CVE-1"], Fail, found);
        row(|waiver| waiver.asked_by = waiver.granted_by.clone(), &["CVE-1"], Fail, found);
        row(|waiver| waiver.granted_by = "eve".parse().unwrap(), &["CVE-1"], Fail, found);
        row(|waiver| waiver.granted_by = "robot".parse().unwrap(), &["CVE-1"], Fail, found);
        row(|waiver| waiver.granted_by = "kim".parse().unwrap(), &["CVE-1"], Fail, found);
    }
}
