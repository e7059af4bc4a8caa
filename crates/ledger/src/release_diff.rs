//! Release diff: what changes from one release to another, and the counts of it that an approver signs.
//!
//! Pure: it compares [`Contents`], which everyone reads from the same evidence. A side without a bill of materials, or
//! without a scan, is told as such; nothing follows from what is not there.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use lockgate_model::facts::{Artifact, Finding, Severity, Source, bare_purl};
use lockgate_model::{Digest, ReleaseName};

use crate::contents::{ComponentUse, Contents, Package, TestCounts, packages_of};
use crate::gate_changes::GateChanges;

/// What changes from one release to another.
#[derive(Debug, Clone)]
pub struct ReleaseDiff {
    /// From.
    pub from: ReleaseName,
    /// To.
    pub to: ReleaseName,
    /// The manifest of `from`.
    pub against: Digest,
    /// Where each was built from.
    pub sources: (Option<Source>, Option<Source>),
    /// Artifacts that only `from` has.
    pub artifacts_removed: Vec<Artifact>,
    /// Artifacts that only `to` has.
    pub artifacts_added: Vec<Artifact>,
    /// How many bytes the artifacts of each have together.
    pub size_bytes: (u64, u64),
    /// Whether each side has a bill of materials; without both the list says nothing.
    pub sboms: (bool, bool),
    /// Components that differ, in order of name.
    pub components: Vec<ComponentChange>,
    /// Whether each side has a vulnerability scan; without both the lists say nothing.
    pub scans: (bool, bool),
    /// Findings that only `to` has.
    pub findings_added: Vec<Finding>,
    /// Findings that only `from` has, and that are fixed: somebody looked again, or the package is gone.
    pub findings_fixed: Vec<Finding>,
    /// Findings that only `from` has, of which nothing says that they are fixed.
    pub findings_unreported: Vec<Finding>,
    /// How the tests of each came out.
    pub tests: (Option<TestCounts>, Option<TestCounts>),
    /// The line coverage of each, in basis points.
    pub coverage: (Option<u64>, Option<u64>),
    /// Configurations whose digest differs.
    pub configurations: Vec<ConfigurationChange>,
}

/// One component that differs in version or licence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentChange {
    /// Its name.
    pub name: String,
    /// One of its package URLs, of `to` where it has one.
    pub purl: Option<String>,
    /// The versions before, joined; absent when it was not there.
    pub before: Option<String>,
    /// The versions after, joined; absent when it is gone.
    pub after: Option<String>,
    /// The licences before, joined.
    pub licence_before: Option<String>,
    /// The licences after, joined.
    pub licence_after: Option<String>,
}

/// One configuration that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigurationChange {
    /// Which.
    pub name: String,
    /// For which environment, where it is for one.
    pub environment: Option<String>,
    /// Its digest before; absent when it was not there.
    pub before: Option<Digest>,
    /// Its digest after; absent when it is gone.
    pub after: Option<Digest>,
}

/// Compares two releases.
pub fn compare(from: &Contents, to: &Contents) -> ReleaseDiff {
    let sboms = (from.components.is_some(), to.components.is_some());
    let scans = (from.findings.is_some(), to.findings.is_some());
    let (findings_added, ended) = match (&from.findings, &to.findings) {
        (Some(before), Some(after)) => (only_in(after, before), only_in(before, after)),
        _ => (Vec::new(), Vec::new()),
    };
    let (findings_fixed, findings_unreported) = ended.into_iter().partition(|finding| is_fixed(finding, from, to));
    let components = match (&from.components, &to.components) {
        (Some(before), Some(after)) => component_changes(before, after),
        _ => Vec::new(),
    };
    ReleaseDiff {
        from: from.name.clone(),
        to: to.name.clone(),
        against: from.manifest,
        sources: (from.source.clone(), to.source.clone()),
        artifacts_removed: artifacts_only_in(from, to),
        artifacts_added: artifacts_only_in(to, from),
        size_bytes: (from.size_bytes(), to.size_bytes()),
        sboms,
        components,
        scans,
        findings_added,
        findings_fixed,
        findings_unreported,
        tests: (from.tests, to.tests),
        coverage: (from.coverage, to.coverage),
        configurations: configuration_changes(from, to),
    }
}

fn artifacts_only_in(one: &Contents, other: &Contents) -> Vec<Artifact> {
    let elsewhere: BTreeSet<Digest> = other.artifacts.iter().map(|artifact| artifact.digest).collect();
    one.artifacts.iter().filter(|artifact| !elsewhere.contains(&artifact.digest)).cloned().collect()
}

fn joined(texts: &BTreeSet<String>) -> String {
    texts.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

fn component_changes(
    before: &BTreeMap<String, ComponentUse>,
    after: &BTreeMap<String, ComponentUse>,
) -> Vec<ComponentChange> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let licence =
        |uses: Option<&ComponentUse>| uses.map(|uses| joined(&uses.licences)).filter(|licences| !licences.is_empty());
    let change = |name: &String| {
        let (old, new) = (before.get(name), after.get(name));
        let same = matches!((old, new), (Some(old), Some(new)) if old.versions == new.versions && old.licences == new.licences);
        (!same).then(|| ComponentChange {
            name: name.clone(),
            purl: new.and_then(|uses| uses.purl.clone()).or_else(|| old.and_then(|uses| uses.purl.clone())),
            before: old.map(|uses| joined(&uses.versions)),
            after: new.map(|uses| joined(&uses.versions)),
            licence_before: licence(old),
            licence_after: licence(new),
        })
    };
    names.into_iter().filter_map(change).collect()
}

/// The package that a finding is in, whatever its version: an upgrade that keeps a finding fixes nothing.
fn package_of(finding: &Finding) -> String {
    match &finding.purl {
        Some(purl) => bare_purl(purl).0,
        None => finding.package.clone(),
    }
}

fn only_in(one: &[Finding], other: &[Finding]) -> Vec<Finding> {
    // By package, every name in one case, as `Finding::is_about` compares them.
    let mut elsewhere: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for finding in other {
        elsewhere.entry(package_of(finding)).or_default().extend(finding.names().map(str::to_ascii_uppercase));
    }
    let is_elsewhere = |finding: &Finding| {
        let known = elsewhere.get(&package_of(finding));
        known.is_some_and(|known| finding.names().any(|name| known.contains(&name.to_ascii_uppercase())))
    };
    one.iter().filter(|finding| !is_elsewhere(finding)).cloned().collect()
}

/// Whether a finding that nobody reports any more is fixed, and not only looked for by nobody.
///
/// It is where a scanner that reported it has looked at all artifacts again, or where the package was listed in that
/// version, and no artifact of the other release lists it so.
fn is_fixed(finding: &Finding, from: &Contents, to: &Contents) -> bool {
    finding.sources.iter().any(|source| to.scanners.contains(&source.scanner)) || is_gone(finding, from, to)
}

fn is_gone(finding: &Finding, from: &Contents, to: &Contents) -> bool {
    let (Some(before), Some(after)) = (&from.packages, &to.packages) else { return false };
    let listed = packages_of(&finding.package, finding.purl.as_deref(), Some(&finding.version));
    // A version that is not told may be this one.
    let is_there = |(name, _): &Package| after.contains(&(name.clone(), String::new()));
    listed.iter().any(|package| before.contains(package))
        && !listed.iter().any(|package| after.contains(package) || is_there(package))
}

fn configuration_changes(from: &Contents, to: &Contents) -> Vec<ConfigurationChange> {
    let keys: BTreeSet<&(String, Option<String>)> =
        from.configurations.keys().chain(to.configurations.keys()).collect();
    let change = |key: &(String, Option<String>)| {
        let (before, after) = (from.configurations.get(key).copied(), to.configurations.get(key).copied());
        let (name, environment) = key.clone();
        (before != after).then_some(ConfigurationChange { name, environment, before, after })
    };
    keys.into_iter().filter_map(change).collect()
}

/// The counts of a diff, and the gates that come out otherwise, as an approver signs them.
///
/// What both sides lack is absent, and so are lists that cannot be compared because one side lacks them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ChangeSummary {
    /// The manifest of the release that runs in the target.
    pub against: Digest,
    /// How many artifacts are new, and how many are gone.
    pub artifacts: Tally,
    /// How many bytes the artifacts had together, and have.
    pub size_bytes: Pair,
    /// The source commits, where they differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commits: Option<CommitChange>,
    /// How many dependencies are new, gone, or other ones; absent where a side has no bill of materials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dependencies: Option<DependencyTally>,
    /// How many findings are new and how many are fixed; absent where a side was not scanned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub findings: Option<FindingTally>,
    /// The tests before; absent without a report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tests_before: Option<TestCounts>,
    /// The tests after; absent without a report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tests_after: Option<TestCounts>,
    /// Line coverage before and after, in basis points; absent where neither side has a report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<CoverageChange>,
    /// How many configurations have another digest.
    pub configurations: u64,
    /// The gates that come out otherwise than when what runs was let in; absent where nobody decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gates: Option<GateChanges>,
}

/// Two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    /// Before.
    pub before: u64,
    /// After.
    pub after: u64,
}

/// Two shares in basis points. One that is absent was not measured, which an approver has to see: it is how a report
/// that showed too little goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CoverageChange {
    /// Before; absent without a report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// After; absent without a report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
}

/// What came and what went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    /// New.
    pub added: u64,
    /// Gone.
    pub removed: u64,
}

/// Two commits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommitChange {
    /// Before, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// After, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// Dependencies, counted by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DependencyTally {
    /// New.
    pub added: u64,
    /// Gone.
    pub removed: u64,
    /// In another version.
    pub changed: u64,
    /// Under another licence, new ones left out.
    pub relicensed: u64,
}

/// Findings, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FindingTally {
    /// New.
    pub added: u64,
    /// Fixed; what is only not reported any more is not counted.
    pub fixed: u64,
    /// The worst severity among the new ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst: Option<Severity>,
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

impl ReleaseDiff {
    /// The counts; of gates they say nothing yet.
    pub fn summary(&self) -> ChangeSummary {
        let commit = |source: &Option<Source>| source.as_ref().map(|source| source.commit.clone());
        let (before, after) = (commit(&self.sources.0), commit(&self.sources.1));
        let coverage = match self.coverage {
            (None, None) => None,
            (before, after) => Some(CoverageChange { before, after }),
        };
        ChangeSummary {
            against: self.against,
            artifacts: Tally { added: count(self.artifacts_added.len()), removed: count(self.artifacts_removed.len()) },
            size_bytes: Pair { before: self.size_bytes.0, after: self.size_bytes.1 },
            commits: (before != after).then_some(CommitChange { before, after }),
            dependencies: (self.sboms == (true, true)).then(|| self.dependencies()),
            findings: (self.scans == (true, true)).then(|| FindingTally {
                added: count(self.findings_added.len()),
                fixed: count(self.findings_fixed.len()),
                worst: self.findings_added.iter().map(|finding| finding.severity).max(),
            }),
            tests_before: self.tests.0,
            tests_after: self.tests.1,
            coverage,
            configurations: count(self.configurations.len()),
            gates: None,
        }
    }

    fn dependencies(&self) -> DependencyTally {
        let number =
            |is: fn(&ComponentChange) -> bool| count(self.components.iter().filter(|change| is(change)).count());
        DependencyTally {
            added: number(|change| change.before.is_none()),
            removed: number(|change| change.after.is_none()),
            changed: number(|change| {
                change.before.is_some() && change.after.is_some() && change.before != change.after
            }),
            relicensed: number(|change| {
                change.before.is_some() && change.after.is_some() && change.licence_before != change.licence_after
            }),
        }
    }
}

impl ChangeSummary {
    /// The same counts with these gates.
    #[must_use]
    pub fn with_gates(self, gates: Option<GateChanges>) -> Self {
        Self { gates, ..self }
    }

    /// Whether these are the counts of that diff. Gates come from a decision, and are compared where one is made.
    pub fn counts(&self, diff: &ReleaseDiff) -> bool {
        self.clone().with_gates(None) == diff.summary()
    }

    /// One line for each thing that is compared, for people.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "artifacts: {} new, {} gone; {} -> {} bytes",
            self.artifacts.added, self.artifacts.removed, self.size_bytes.before, self.size_bytes.after
        )];
        if let Some(commits) = &self.commits {
            let word = |commit: &Option<String>| commit.clone().unwrap_or_else(|| "unknown".to_owned());
            lines.push(format!("commit: {} -> {}", word(&commits.before), word(&commits.after)));
        }
        lines.push(match &self.dependencies {
            Some(tally) => format!(
                "dependencies: {} new, {} gone, {} in another version, {} under another licence",
                tally.added, tally.removed, tally.changed, tally.relicensed
            ),
            None => "dependencies: cannot be compared without a bill of materials of both".to_owned(),
        });
        lines.push(match &self.findings {
            Some(FindingTally { added, fixed, worst: Some(worst) }) => {
                format!("findings: {added} new (worst {}), {fixed} fixed", severity_word(*worst))
            }
            Some(tally) => format!("findings: {} new, {} fixed", tally.added, tally.fixed),
            None => "findings: cannot be compared without a scan of both".to_owned(),
        });
        if self.tests_before.is_some() || self.tests_after.is_some() {
            lines.push(format!("tests: {} -> {}", tests_word(self.tests_before), tests_word(self.tests_after)));
        }
        if let Some(coverage) = &self.coverage {
            let word = |share: Option<u64>| share.map_or_else(|| "no report".to_owned(), percent);
            lines.push(format!("coverage: {} -> {}", word(coverage.before), word(coverage.after)));
        }
        if self.configurations > 0 {
            lines.push(format!("configurations: {} differ", self.configurations));
        }
        lines.extend(self.gates.iter().flat_map(GateChanges::lines));
        lines
    }
}

fn tests_word(counts: Option<TestCounts>) -> String {
    match counts {
        Some(counts) => format!("{} passed, {} failed, {} skipped", counts.passed, counts.failed, counts.skipped),
        None => "no report".to_owned(),
    }
}

/// Basis points as a percentage with two digits, such as `81.25 %`.
pub fn percent(basis_points: u64) -> String {
    format!("{}.{:02} %", basis_points / 100, basis_points % 100)
}

/// The word for a severity.
pub const fn severity_word(severity: Severity) -> &'static str {
    match severity {
        Severity::Negligible => "negligible",
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::Unknown => "unknown",
        Severity::High => "high",
        Severity::Critical => "critical",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(version: &str) -> Contents {
        let digest = Digest::of(version.as_bytes());
        let artifact = Artifact { digest, name: "app".to_owned(), size_bytes: 10 };
        Contents::bare(format!("shop/web@{version}").parse().unwrap(), digest, vec![artifact])
    }

    fn uses(version: &str, licence: &str) -> ComponentUse {
        ComponentUse {
            versions: BTreeSet::from([version.to_owned()]),
            licences: BTreeSet::from([licence.to_owned()]),
            purl: None,
        }
    }

    /// A finding of the scanner that all releases are scanned by, where nothing else is said.
    fn finding(id: &str, purl: &str, severity: Severity) -> Finding {
        let finding = Finding { id: id.to_owned(), purl: Some(purl.to_owned()), severity, ..Finding::default() };
        finding.sourced("trivy", Digest::of(b"report"))
    }

    #[test]
    fn components_come_go_and_change() {
        let (mut from, mut to) = (contents("1.0.0"), contents("1.1.0"));
        let list = |items: &[(&str, &str, &str)]| -> Option<BTreeMap<String, ComponentUse>> {
            Some(items.iter().map(|(name, version, licence)| ((*name).to_owned(), uses(version, licence))).collect())
        };
        from.components =
            list(&[("gone", "1", "MIT"), ("same", "1", "MIT"), ("newer", "1", "MIT"), ("other", "1", "MIT")]);
        assert_eq!(compare(&from, &to).summary().dependencies, None);
        to.components =
            list(&[("new", "1", "MIT"), ("same", "1", "MIT"), ("newer", "2", "MIT"), ("other", "1", "ISC")]);
        let diff = compare(&from, &to);
        let names: Vec<&str> = diff.components.iter().map(|change| change.name.as_str()).collect();
        assert_eq!(names, ["gone", "new", "newer", "other"]);
        let tally = DependencyTally { added: 1, removed: 1, changed: 1, relicensed: 1 };
        assert_eq!(diff.summary().dependencies, Some(tally));
    }

    #[test]
    fn a_finding_that_stays_through_an_upgrade_is_not_new() {
        let check = |before: &[Finding], after: &[Finding], added: &[&str], fixed: &[&str]| {
            let (mut from, mut to) = (contents("1.0.0"), contents("1.1.0"));
            from.findings = Some(before.to_vec());
            to.findings = Some(after.to_vec());
            to.scanners = BTreeSet::from(["trivy".to_owned()]);
            let diff = compare(&from, &to);
            assert!(diff.findings_unreported.is_empty(), "{diff:?}");
            let ids = |findings: &[Finding]| findings.iter().map(|one| one.id.clone()).collect::<Vec<_>>();
            assert_eq!(
                (ids(&diff.findings_added), ids(&diff.findings_fixed)),
                (added.iter().map(|id| (*id).to_owned()).collect(), fixed.iter().map(|id| (*id).to_owned()).collect(),)
            );
        };
        let one = |id: &str, version: &str| finding(id, &format!("pkg:npm/a@{version}"), Severity::High);
        check(&[one("CVE-1", "1")], &[one("CVE-1", "2")], &[], &[]);
        check(&[one("CVE-1", "1")], &[one("CVE-2", "1")], &["CVE-2"], &["CVE-1"]);
        check(&[one("CVE-1", "1")], &[finding("CVE-1", "pkg:npm/b@1", Severity::Low)], &["CVE-1"], &["CVE-1"]);
        let aliased = Finding { aliases: vec!["CVE-1".to_owned()], ..one("GHSA-1", "1") };
        check(&[one("CVE-1", "1")], &[aliased], &[], &[]);
        check(&[], &[], &[], &[]);
    }

    #[test]
    fn what_nobody_looked_for_again_is_not_fixed() {
        let check = |scanner: &str, before: &[(&str, &str)], after: Option<&[(&str, &str)]>, fixed: bool| {
            let (mut from, mut to) = (contents("1.3.0"), contents("1.5.0"));
            let list = |items: &[(&str, &str)]| -> BTreeSet<Package> {
                items.iter().map(|(name, version)| ((*name).to_owned(), (*version).to_owned())).collect()
            };
            from.findings = Some(vec![finding("CVE-1", "pkg:npm/a@1", Severity::High)]);
            (from.packages, to.packages) = (Some(list(before)), after.map(list));
            to.findings = Some(Vec::new());
            to.scanners = BTreeSet::from([scanner.to_owned()]);
            let diff = compare(&from, &to);
            let counts = (diff.findings_fixed.len(), diff.findings_unreported.len());
            assert_eq!(counts, if fixed { (1, 0) } else { (0, 1) }, "{scanner} {before:?} {after:?}");
            let told = format!("findings: 0 new, {} fixed", counts.0);
            assert!(diff.summary().lines().contains(&told), "{:?}", diff.summary().lines());
        };
        let one = [("a", "1"), ("pkg:npm/a", "1")];
        // The package is in both releases, and only another scanner looked.
        check("grype", &one, Some(&one), false);
        check("trivy", &one, Some(&one), true);
        check("grype", &one, Some(&[("a", "2"), ("pkg:npm/a", "2")]), true);
        check("grype", &one, Some(&[]), true);
        // Nothing lists it, or not all of it, or without a version.
        check("grype", &[], Some(&[]), false);
        check("grype", &one, None, false);
        check("grype", &one, Some(&[("pkg:npm/a", "")]), false);
    }

    #[test]
    fn the_summary_counts_and_reads_back() {
        let (mut from, mut to) = (contents("1.0.0"), contents("1.1.0"));
        from.findings = Some(Vec::new());
        to.findings = Some(vec![finding("CVE-1", "pkg:npm/a@1", Severity::High)]);
        (from.coverage, to.coverage) = (Some(8_125), Some(7_900));
        from.tests = Some(TestCounts { passed: 3, failed: 0, skipped: 1 });
        to.configurations.insert(("app".to_owned(), None), Digest::of(b"c"));
        to.source = Some(Source { repository: "https://example.org/a".to_owned(), commit: "abc".to_owned() });
        let summary = compare(&from, &to).summary();
        let lines = summary.lines().join("\n");
        for part in [
            "artifacts: 1 new, 1 gone; 10 -> 10 bytes",
            "commit: unknown -> abc",
            "dependencies: cannot be compared",
            "findings: 1 new (worst high), 0 fixed",
            "tests: 3 passed, 0 failed, 1 skipped -> no report",
            "coverage: 81.25 % -> 79.00 %",
            "configurations: 1 differ",
        ] {
            assert!(lines.contains(part), "{part}:\n{lines}");
        }
        let bytes = lockgate_model::canonical::to_vec(&summary).unwrap();
        let again: ChangeSummary =
            lockgate_model::canonical::from_slice(&bytes, &lockgate_model::Limits::DEFAULT).unwrap();
        assert_eq!(again, summary);
    }

    #[test]
    fn a_coverage_report_that_is_gone_is_told() {
        let check = |before: Option<u64>, after: Option<u64>, expected: Option<&str>| {
            let (mut from, mut to) = (contents("1.0.0"), contents("1.1.0"));
            (from.coverage, to.coverage) = (before, after);
            let lines = compare(&from, &to).summary().lines();
            let told = lines.iter().find(|line| line.starts_with("coverage"));
            assert_eq!(told.map(String::as_str), expected);
        };
        check(Some(8_000), None, Some("coverage: 80.00 % -> no report"));
        check(None, Some(8_000), Some("coverage: no report -> 80.00 %"));
        check(None, None, None);
    }
}
