//! Findings: known vulnerabilities in packages, from however many scanners, each told once.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use serde::{Deserialize, Serialize};

use super::{EvidenceFact, Finding, Severity, VexStatus};
use crate::{Digest, UnixMillis};

/// A score of the Common Vulnerability Scoring System.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cvss {
    /// The base score in tenths: 98 for 9.8.
    pub score_tenths: u8,
    /// Such as `CVSS:3.1/AV:N/...`, where the report has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vector: Option<String>,
    /// Who scored it, such as `nvd`, where the report says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// That a vulnerability is known to be exploited: an entry of the KEV catalogue.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Kev {
    /// Since when it stands in the catalogue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added_at: Option<UnixMillis>,
    /// Until when the catalogue wants it to be fixed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<UnixMillis>,
    /// Whether it is known to be used for ransomware.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub ransomware: bool,
}

/// Where a finding was read: the way back to the byte-exact original.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FindingSource {
    /// The scanner, such as `trivy`.
    pub scanner: String,
    /// The digest of the evidence as it was handed in.
    pub evidence: Digest,
    /// Where in that document: a JSON pointer (RFC 6901).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// How bad this scanner says it is.
    pub severity: Severity,
}

impl Finding {
    /// Whether it is about the vulnerability that goes by `id`, under its own or another name.
    ///
    /// That is enough for what makes it worse. What excuses it takes [`Finding::is_wholly_about`], or each of its
    /// [`Finding::parts`].
    pub fn is_about(&self, id: &str) -> bool {
        self.id.eq_ignore_ascii_case(id) || self.aliases.iter().any(|alias| alias.eq_ignore_ascii_case(id))
    }

    /// Whether `id` is a name of all that it is about. An advisory about several CVEs is known as a whole by its own id
    /// alone, and a CVE that has others among its aliases by none of its names.
    pub fn is_wholly_about(&self, id: &str) -> bool {
        match self.has_several_cves() {
            true => !is_cve(&self.id) && self.id.eq_ignore_ascii_case(id),
            false => self.is_about(id),
        }
    }

    /// Whether more than one CVE is among its names.
    pub fn has_several_cves(&self) -> bool {
        let mut cves = self.cves();
        cves.next().is_some_and(|first| cves.any(|cve| !cve.eq_ignore_ascii_case(first)))
    }

    /// What has to be excused for all of it to be: its CVEs, or its own id where no name is a CVE. Never empty.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        let own = self.cves().next().is_none().then_some(self.id.as_str());
        self.cves().chain(own)
    }

    /// Whether a statement about this finding speaks of each of its [`Finding::parts`], and not only of those that it
    /// names. One that names CVEs lowers these alone, and any other lowers what it names as a whole; one that does not
    /// lower speaks of every part, unless it names CVEs of this finding.
    ///
    /// `shared` are the names of this finding that the statement has, too, and `names_cves` says that it names any CVE.
    pub fn is_told_whole(&self, shared: &[&str], status: VexStatus, names_cves: bool) -> bool {
        let is_whole = |name: &&str| !is_cve(name) && self.id.eq_ignore_ascii_case(name);
        match status.lowers() {
            true if names_cves && self.cves().next().is_some() => false,
            true if self.has_several_cves() => shared.iter().any(is_whole),
            true => !shared.is_empty(),
            false => !shared.iter().any(|name| is_cve(name)),
        }
    }

    /// The CVEs among its names, in any case, and so perhaps more than once.
    fn cves(&self) -> impl Iterator<Item = &str> {
        self.names().filter(|name| is_cve(name))
    }

    /// All of its names, its own first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.id.as_str()).chain(self.aliases.iter().map(String::as_str))
    }

    /// Every fixed version that is known, the first one first.
    pub fn fixes(&self) -> impl Iterator<Item = &str> {
        let more = self.fixed_versions.iter().filter(|version| self.fixed.as_ref() != Some(*version));
        self.fixed.iter().chain(more).map(String::as_str)
    }

    /// Whether somebody says that there is no fix, and nobody names one. What nobody says is no fix that is missing.
    pub fn is_unfixed(&self) -> bool {
        !self.fix_unknown && self.fixes().next().is_none()
    }

    /// The same finding with where it was read, unless it says that already.
    #[must_use]
    pub fn sourced(mut self, scanner: &str, evidence: Digest) -> Self {
        if self.sources.is_empty() {
            let source = FindingSource {
                scanner: scanner.to_owned(),
                evidence,
                pointer: self.pointer.take(),
                severity: self.severity,
            };
            self.sources.push(source);
        }
        self
    }
}

/// Every finding of these pieces of evidence, each told once: see [`merge`].
pub fn findings_of<'a>(evidence: impl IntoIterator<Item = &'a EvidenceFact>) -> Vec<Finding> {
    let mut all = Vec::new();
    for fact in evidence {
        let super::Claim::Vulnerabilities(scan) = &fact.claim else { continue };
        all.extend(scan.findings.iter().map(|finding| finding.clone().sourced(&scan.scanner, fact.evidence)));
    }
    merge(all)
}

/// Tells every vulnerability of every package once.
///
/// Two findings are one when they are about the same package (see [`package_key`]) and the same vulnerability: by id,
/// or through an alias. An alias joins two names only as long as the names so joined hold at most one CVE, so that an
/// advisory about several CVEs never makes them one. What is left is the worst that any of them says: the highest
/// severity and scores, the earliest disclosure, every fix, KEV when one of them says so, and a VEX status that lowers
/// only when all of them have it. Where none names a fix, one that says that there is none is believed. The order of
/// the input does not matter, and merging again changes nothing.
pub fn merge(findings: Vec<Finding>) -> Vec<Finding> {
    let mut packages: BTreeMap<String, Vec<Finding>> = BTreeMap::new();
    for finding in findings {
        packages.entry(package_key(&finding)).or_default().push(finding);
    }
    let mut merged: Vec<Finding> = packages.into_values().flat_map(merge_package).collect();
    merged.sort_by_cached_key(order);
    merged
}

/// What two findings must share to be about the same package.
///
/// The package URL without qualifiers and subpath, in the spelling of the purl specification where case does not
/// matter; with the finding's version where the URL has none, and with versions of deb, rpm and golang in one spelling
/// where scanners have two. Without a URL: the package's name and version.
pub fn package_key(finding: &Finding) -> String {
    let Some(purl) = finding.purl.as_deref() else {
        return format!("{}@{}", finding.package, finding.version);
    };
    let (package, version) = bare_purl(purl);
    let version = version.as_deref().unwrap_or(&finding.version);
    format!("{package}@{}", one_spelling(purl, version))
}

/// The version of a package URL in the one spelling that tells it from others: of deb and rpm with the epoch in front,
/// also where it stands in a qualifier, and without one of 0; of golang without the leading `v`.
pub(super) fn one_spelling<'v>(purl: &str, version: &'v str) -> Cow<'v, str> {
    if has_epochs(purl) {
        return match (version.contains(':'), qualifiers(purl).find_map(epoch)) {
            (false, Some(epoch)) if epoch != "0" => Cow::Owned(format!("{epoch}:{version}")),
            _ => Cow::Borrowed(version.strip_prefix("0:").unwrap_or(version)),
        };
    }
    let number = version.strip_prefix('v').filter(|rest| rest.starts_with(|first: char| first.is_ascii_digit()));
    Cow::Borrowed(number.filter(|_| is_of(purl, "golang")).unwrap_or(version))
}

/// Whether versions of this kind of package have epochs.
pub(super) fn has_epochs(purl: &str) -> bool {
    is_of(purl, "deb") || is_of(purl, "rpm")
}

/// The epoch that a qualifier of a package URL is: a number.
pub(super) fn epoch(qualifier: &str) -> Option<&str> {
    let number = qualifier.strip_prefix("epoch=")?;
    (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(number)
}

/// The qualifiers of a package URL, such as `arch=amd64`.
pub(super) fn qualifiers(purl: &str) -> impl Iterator<Item = &str> {
    let bare = purl.split('#').next().unwrap_or(purl);
    let text = bare.split_once('?').map(|(_, text)| text).unwrap_or_default();
    text.split('&').filter(|pair| !pair.is_empty())
}

fn is_of(purl: &str, kind: &str) -> bool {
    let rest = purl.strip_prefix("pkg:").unwrap_or(purl);
    rest.split_once('/').is_some_and(|(its, _)| its.eq_ignore_ascii_case(kind))
}

/// A package URL without qualifiers and subpath: the package, and the version where it has one.
pub fn bare_purl(purl: &str) -> (String, Option<String>) {
    let bare = purl.split(['?', '#']).next().unwrap_or(purl);
    let (package, version) = match bare.rsplit_once('@') {
        // The `@` of an npm scope may stand unescaped before the name.
        Some((package, version)) if !version.contains('/') && !package.ends_with('/') => (package, Some(version)),
        _ => (bare, None),
    };
    let package = percent_decoded(package);
    let rest = package.strip_prefix("pkg:").unwrap_or(&package);
    let (kind, name) = rest.split_once('/').unwrap_or((rest, ""));
    let (kind, lower) = (kind.to_ascii_lowercase(), || name.to_ascii_lowercase());
    let name = match kind.as_str() {
        "pypi" => lower().replace('_', "-"),
        "npm" | "deb" | "apk" | "github" | "bitbucket" | "composer" | "oci" => lower(),
        _ => name.to_owned(),
    };
    let package = format!("pkg:{kind}/{name}");
    (package, version.map(percent_decoded).filter(|version| !version.is_empty()))
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = match (first, after) {
            (b'%', [high, low, ..]) => std::str::from_utf8(&[*high, *low])
                .ok()
                .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
                .and_then(|digits| u8::from_str_radix(digits, 16).ok()),
            _ => None,
        };
        match escaped {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

pub(super) fn is_cve(name: &str) -> bool {
    name.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("CVE-"))
}

/// Names in one case, because `cve-2026-1` is `CVE-2026-1`.
fn upper(name: &str) -> String {
    name.to_ascii_uppercase()
}

fn names_of(finding: &Finding) -> BTreeSet<String> {
    finding.names().map(upper).collect()
}

/// The CVEs among names in upper case; these stand together, so that no other name is looked at.
fn cves(names: &BTreeSet<String>) -> impl Iterator<Item = &String> {
    let from: (Bound<&str>, Bound<&str>) = (Bound::Included("CVE-"), Bound::Unbounded);
    names.range::<str, _>(from).take_while(|name| is_cve(name))
}

fn has_several(names: &BTreeSet<String>) -> bool {
    cves(names).nth(1).is_some()
}

/// Groups of names that aliases join, where they may.
#[derive(Default)]
struct Names {
    /// Which group a name is in.
    group: BTreeMap<String, usize>,
    /// The names of each group; empty once it was joined to another.
    members: Vec<BTreeSet<String>>,
}

impl Names {
    /// Moves these names and the groups that they are in to the largest of these groups, so that no name moves often.
    fn join(&mut self, names: BTreeSet<String>) {
        let old: BTreeSet<usize> = names.iter().filter_map(|name| self.group.get(name).copied()).collect();
        let size = |at: &usize| self.members.get(*at).map_or(0, BTreeSet::len);
        let largest = old.iter().copied().max_by_key(size);
        let at = largest.unwrap_or(self.members.len());
        if largest.is_none() {
            self.members.push(BTreeSet::new());
        }
        let mut moved = names;
        for other in old.into_iter().filter(|other| *other != at) {
            moved.extend(self.members.get_mut(other).map(std::mem::take).unwrap_or_default());
        }
        let Some(joined) = self.members.get_mut(at) else { return };
        for name in moved {
            if self.group.insert(name.clone(), at) != Some(at) {
                joined.insert(name);
            }
        }
    }

    fn of(&self, name: &str) -> Option<&BTreeSet<String>> {
        self.members.get(*self.group.get(name)?)
    }
}

/// Merges the findings of one package.
fn merge_package(findings: Vec<Finding>) -> Vec<Finding> {
    let mut names = Names::default();
    for finding in &findings {
        let own = upper(&finding.id);
        let mut all = names_of(finding);
        if has_several(&all) {
            all.retain(|name| !is_cve(name) || *name == own);
        }
        names.join(all);
    }
    let mut groups: BTreeMap<String, Vec<Finding>> = BTreeMap::new();
    for finding in findings {
        groups.entry(vulnerability_key(&finding, &names)).or_default().push(finding);
    }
    groups.into_iter().map(|(key, findings)| one(&key, findings)).collect()
}

/// The name under which a finding is merged: the one CVE of all names joined to it, else the first of these names.
fn vulnerability_key(finding: &Finding, names: &Names) -> String {
    let own = upper(&finding.id);
    let all = names_of(finding);
    // A CVE is itself; an advisory about several of them is none of them.
    if is_cve(&own) || has_several(&all) {
        return own;
    }
    let by_itself = || cves(&all).next().cloned().unwrap_or_else(|| own.clone());
    match names.of(&own) {
        // Aliases that join several CVEs join nothing.
        Some(joined) if has_several(joined) => by_itself(),
        Some(joined) => cves(joined).next().or_else(|| joined.first()).cloned().unwrap_or_else(by_itself),
        None => by_itself(),
    }
}

fn order(finding: &Finding) -> (String, String) {
    (finding.id.clone(), package_key(finding))
}

/// How far a VEX status lowers a finding; one without a status stands in the middle.
fn vex_rank(status: Option<VexStatus>) -> u8 {
    match status {
        Some(VexStatus::NotAffected) => 0,
        Some(VexStatus::Fixed) => 1,
        None => 2,
        Some(VexStatus::UnderInvestigation) => 3,
        Some(VexStatus::Affected) => 4,
    }
}

fn earliest(a: Option<UnixMillis>, b: Option<UnixMillis>) -> Option<UnixMillis> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// One finding of several that are about the vulnerability named `key`.
fn one(key: &str, mut findings: Vec<Finding>) -> Finding {
    if findings.len() > 1 {
        findings.sort_by_cached_key(|finding| serde_json::to_string(finding).unwrap_or_default());
    }
    let names: BTreeSet<String> = findings.iter().flat_map(Finding::names).map(str::to_owned).collect();
    let sources: BTreeSet<FindingSource> = findings.iter().flat_map(|finding| finding.sources.clone()).collect();
    let fixes: BTreeSet<String> = findings.iter().flat_map(Finding::fixes).map(str::to_owned).collect();
    // Who says that there is no fix knows more than who says nothing.
    let fix_unknown = fixes.is_empty() && findings.iter().all(|finding| finding.fix_unknown);
    let mut merged = findings.into_iter().reduce(worse).unwrap_or_default();
    merged.fix_unknown = fix_unknown;
    merged.id = names.iter().find(|name| name.eq_ignore_ascii_case(key)).cloned().unwrap_or(merged.id);
    let mut seen = BTreeSet::from([key.to_owned()]);
    merged.aliases = names.into_iter().filter(|name| seen.insert(upper(name))).collect();
    merged.fixed = merged.fixed.or_else(|| fixes.first().cloned());
    merged.fixed_versions = if fixes.len() > 1 { fixes.into_iter().collect() } else { Vec::new() };
    merged.sources = sources.into_iter().collect();
    merged
}

/// The worse of each thing that two findings say.
fn worse(ours: Finding, theirs: Finding) -> Finding {
    let (severity, severity_source) = match ours.severity.cmp(&theirs.severity) {
        std::cmp::Ordering::Less => (theirs.severity, theirs.severity_source),
        std::cmp::Ordering::Equal => (ours.severity, ours.severity_source.or(theirs.severity_source)),
        std::cmp::Ordering::Greater => (ours.severity, ours.severity_source),
    };
    let kev = match (ours.kev, theirs.kev) {
        (Some(a), Some(b)) => Some(Kev {
            added_at: earliest(a.added_at, b.added_at),
            due_at: earliest(a.due_at, b.due_at),
            ransomware: a.ransomware || b.ransomware,
        }),
        (a, b) => a.or(b),
    };
    Finding {
        severity,
        severity_source,
        kev,
        vex: if vex_rank(theirs.vex) > vex_rank(ours.vex) { theirs.vex } else { ours.vex },
        fixed: ours.fixed.or(theirs.fixed),
        purl: ours.purl.or(theirs.purl),
        cvss: ours.cvss.max(theirs.cvss),
        epss_millionths: ours.epss_millionths.max(theirs.epss_millionths),
        disclosed_at: earliest(ours.disclosed_at, theirs.disclosed_at),
        pointer: ours.pointer.or(theirs.pointer),
        ..ours
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::VexStatement;
    use proptest::prelude::*;

    fn finding(id: &str, aliases: &[&str], purl: &str, severity: Severity) -> Finding {
        Finding {
            id: id.to_owned(),
            aliases: aliases.iter().map(|alias| (*alias).to_owned()).collect(),
            purl: Some(purl.to_owned()),
            severity,
            ..Finding::default()
        }
    }

    /// Ids and severities after merging findings of one package.
    fn check(findings: &[(&str, &[&str], Severity)], expected: &[(&str, Severity)]) {
        let all = findings.iter().map(|(id, aliases, severity)| finding(id, aliases, "pkg:npm/a@1", *severity));
        let merged = merge(all.collect());
        let rows: Vec<(&str, Severity)> = merged.iter().map(|one| (one.id.as_str(), one.severity)).collect();
        assert_eq!(rows, expected, "{findings:?}");
    }

    #[test]
    fn the_same_vulnerability_is_told_once() {
        use Severity::{Critical, High, Low};
        check(&[("CVE-1", &[], Low), ("CVE-1", &[], High)], &[("CVE-1", High)]);
        check(&[("cve-1", &[], Low), ("CVE-1", &[], High)], &[("CVE-1", High)]);
        check(&[("CVE-1", &[], Low), ("CVE-2", &[], High)], &[("CVE-1", Low), ("CVE-2", High)]);
        check(&[("GHSA-1", &["CVE-1"], Critical), ("CVE-1", &[], Low)], &[("CVE-1", Critical)]);
        check(&[("GHSA-1", &[], Low), ("GHSA-1", &["CVE-1"], Low), ("CVE-1", &[], High)], &[("CVE-1", High)]);
        check(&[("GHSA-1", &["PYSEC-1"], Low), ("PYSEC-1", &[], High)], &[("GHSA-1", High)]);
    }

    #[test]
    fn an_advisory_about_several_makes_them_not_one() {
        use Severity::{High, Low};
        check(
            &[("RHSA-1", &["CVE-1", "CVE-2"], High), ("CVE-1", &[], Low), ("CVE-2", &[], Low)],
            &[("CVE-1", Low), ("CVE-2", Low), ("RHSA-1", High)],
        );
        check(
            &[("GHSA-1", &["CVE-1"], High), ("GHSA-1", &["CVE-2"], Low), ("CVE-2", &[], Low)],
            &[("CVE-1", High), ("CVE-2", Low)],
        );
        check(&[("CVE-1", &["DSA-1"], Low), ("CVE-2", &["DSA-1"], High)], &[("CVE-1", Low), ("CVE-2", High)]);
    }

    #[test]
    fn of_several_cves_each_is_a_part() {
        let check = |id: &str, aliases: &[&str], parts: &[&str], wholly: &[&str]| {
            let one = finding(id, aliases, "pkg:npm/a@1", Severity::Low);
            assert_eq!(one.parts().collect::<Vec<_>>(), parts, "{id} {aliases:?}");
            let names: Vec<&str> = one.names().filter(|name| one.is_wholly_about(name)).collect();
            assert_eq!(names, wholly, "{id} {aliases:?}");
            assert!(one.names().all(|name| one.is_about(&name.to_ascii_lowercase())) && !one.is_about("CVE-3"));
        };
        check("GHSA-1", &["GHSA-2"], &["GHSA-1"], &["GHSA-1", "GHSA-2"]);
        check("GHSA-1", &["CVE-1"], &["CVE-1"], &["GHSA-1", "CVE-1"]);
        check("CVE-1", &["cve-1", "DSA-1"], &["CVE-1", "cve-1"], &["CVE-1", "cve-1", "DSA-1"]);
        check("ELSA-1", &["CVE-1", "GHSA-1", "CVE-2"], &["CVE-1", "CVE-2"], &["ELSA-1"]);
        check("CVE-1", &["CVE-2", "DSA-1"], &["CVE-1", "CVE-2"], &[]);
    }

    #[test]
    fn a_statement_lowers_the_cves_that_it_names_or_what_it_names_as_a_whole() {
        use VexStatus::{Affected, NotAffected};
        let check = |(id, aliases): (&str, &[&str]), (names, status): (&[&str], VexStatus), expected: &[&str]| {
            let statement = VexStatement {
                vulnerability: names[0].to_owned(),
                aliases: names[1..].iter().map(|name| (*name).to_owned()).collect(),
                products: vec![],
                subcomponents: vec![],
                status,
                justification: None,
                text: None,
                stated_at: None,
                pointer: String::new(),
            };
            let one = finding(id, aliases, "pkg:npm/a@1", Severity::Low);
            let is_named = |part: &&str| statement.names().any(|name| name.eq_ignore_ascii_case(part));
            let shared: Vec<&str> = one.names().filter(is_named).collect();
            let is_whole = one.is_told_whole(&shared, status, statement.names_cves());
            let told: Vec<&str> = one.parts().filter(|part| is_whole || is_named(part)).collect();
            assert_eq!(told, expected, "{id} {aliases:?}: {names:?} {status:?}");
        };
        let several: (&str, &[&str]) = ("ELSA-1", &["CVE-1", "CVE-2", "GHSA-1"]);
        let both: &[&str] = &["CVE-1", "CVE-2"];
        check(several, (&["cve-1"], NotAffected), &["CVE-1"]);
        check(several, (&["CVE-1"], Affected), &["CVE-1"]);
        check(several, (&["elsa-1"], NotAffected), both);
        check(several, (&["ELSA-1"], Affected), both);
        check(several, (&["CVE-1", "ELSA-1"], NotAffected), &["CVE-1"]);
        check(several, (&["CVE-2", "CVE-1"], NotAffected), both);
        check(several, (&["GHSA-1"], NotAffected), &[]);
        check(several, (&["GHSA-1"], Affected), both);
        let one: (&str, &[&str]) = ("CVE-1", &["DSA-1"]);
        check(one, (&["DSA-1"], NotAffected), &["CVE-1"]);
        check(one, (&["OSV-1", "DSA-1"], NotAffected), &["CVE-1"]);
        check(one, (&["CVE-2", "DSA-1"], NotAffected), &[]);
        check(one, (&["CVE-2", "DSA-1"], Affected), &["CVE-1"]);
        check(("GHSA-1", &["GHSA-2"]), (&["CVE-1", "GHSA-2"], NotAffected), &["GHSA-1"]);
    }

    #[test]
    fn two_scanners_of_one_package_are_two_sources() {
        let trivy = Finding {
            fixed: Some("1.2".to_owned()),
            epss_millionths: Some(10),
            disclosed_at: Some(UnixMillis(5)),
            pointer: Some("/Results/0/Vulnerabilities/0".to_owned()),
            vex: Some(VexStatus::NotAffected),
            ..finding("CVE-1", &[], "pkg:deb/debian/a@1%2B2?arch=amd64&distro=debian-12", Severity::Low)
        };
        let grype = Finding {
            fixed: Some("1.3".to_owned()),
            epss_millionths: Some(20),
            disclosed_at: Some(UnixMillis(7)),
            kev: Some(Kev { added_at: None, due_at: None, ransomware: true }),
            ..finding("GHSA-1", &["CVE-1"], "pkg:deb/debian/a@1+2?upstream=b", Severity::Critical)
        };
        let digest = Digest::of(b"report");
        let merged = merge(vec![grype.sourced("grype", digest), trivy.sourced("trivy", digest)]);
        let [only] = merged.as_slice() else { panic!("{merged:?}") };
        assert_eq!((only.id.as_str(), only.severity), ("CVE-1", Severity::Critical));
        assert_eq!(only.aliases, ["GHSA-1"]);
        assert_eq!(only.fixed_versions, ["1.2", "1.3"]);
        assert_eq!((only.epss_millionths, only.disclosed_at), (Some(20), Some(UnixMillis(5))));
        assert!(only.kev.as_ref().is_some_and(|kev| kev.ransomware));
        // One of two says that it does not matter: that lowers nothing.
        assert_eq!(only.vex, None);
        let scanners: Vec<(&str, Severity)> =
            only.sources.iter().map(|source| (source.scanner.as_str(), source.severity)).collect();
        assert_eq!(scanners, [("grype", Severity::Critical), ("trivy", Severity::Low)]);
        assert_eq!(only.sources.iter().filter_map(|source| source.pointer.as_deref()).count(), 1);
    }

    #[test]
    fn packages_are_told_apart_by_name_and_version() {
        let check = |a: &str, b: &str, same: bool| {
            let two = vec![finding("CVE-1", &[], a, Severity::Low), finding("CVE-1", &[], b, Severity::Low)];
            assert_eq!(merge(two).len(), if same { 1 } else { 2 }, "{a} {b}");
        };
        check("pkg:npm/a@1", "pkg:npm/a@1?x=y#z", true);
        check("pkg:npm/%40s/a@1", "pkg:npm/@s/a@1", true);
        check("pkg:PyPI/A_b@1", "pkg:pypi/a-b@1", true);
        check("pkg:npm/a@1", "pkg:npm/a@2", false);
        check("pkg:npm/a@1", "pkg:npm/b@1", false);
        check("pkg:golang/Example.com/a@1", "pkg:golang/example.com/a@1", false);
        // Trivy writes an epoch as a qualifier, and Grype into the version.
        let deb = "pkg:deb/debian/bsdutils@2.33.1-0.1?arch=amd64&epoch=1";
        check(deb, "pkg:deb/debian/bsdutils@1%3A2.33.1-0.1?arch=amd64", true);
        check(deb, "pkg:deb/debian/bsdutils@1:2.33.1-0.1?epoch=1", true);
        check(deb, "pkg:deb/debian/bsdutils@2.33.1-0.1?arch=amd64", false);
        check(deb, "pkg:deb/debian/bsdutils@2%3A2.33.1-0.1", false);
        check("pkg:rpm/redhat/a@1-2?epoch=1", "pkg:rpm/redhat/a@1%3A1-2", true);
        check("pkg:rpm/redhat/a@1-2?epoch=0", "pkg:rpm/redhat/a@0%3A1-2", true);
        check("pkg:rpm/redhat/a@1-2?epoch=0", "pkg:rpm/redhat/a@1-2", true);
        check("pkg:rpm/redhat/a@1-2?epoch=x", "pkg:rpm/redhat/a@1-2", true);
        check("pkg:npm/a@1?epoch=1", "pkg:npm/a@1%3A1", false);
        // Trivy keeps the `v` of a Go module, and osv-scanner does not.
        check("pkg:golang/golang.org/x/net@v0.7.0", "pkg:golang/golang.org/x/net@0.7.0", true);
        check("pkg:golang/golang.org/x/net@v0.7.0", "pkg:golang/golang.org/x/net@0.7.1", false);
        check("pkg:golang/golang.org/x/net@vendored", "pkg:golang/golang.org/x/net@endored", false);
        check("pkg:npm/a@v1", "pkg:npm/a@1", false);
        let bare = |version: &str| Finding {
            id: "CVE-1".to_owned(),
            package: "a".to_owned(),
            version: version.to_owned(),
            ..Finding::default()
        };
        assert_eq!(merge(vec![bare("1"), bare("1"), bare("2")]).len(), 2);
    }

    #[test]
    fn no_fix_is_only_what_somebody_says() {
        let check = |rows: &[(&[&str], bool)], fixes: &[&str], unknown: bool, unfixed: bool| {
            let of = |(fixes, fix_unknown): &(&[&str], bool)| Finding {
                fixed_versions: fixes.iter().map(|fix| (*fix).to_owned()).collect(),
                fix_unknown: *fix_unknown,
                ..finding("CVE-1", &[], "pkg:npm/a@1", Severity::High)
            };
            let merged = merge(rows.iter().map(of).collect());
            let [only] = merged.as_slice() else { panic!("{merged:?}") };
            assert_eq!(only.fixes().collect::<Vec<_>>(), fixes, "{rows:?}");
            assert_eq!((only.fix_unknown, only.is_unfixed()), (unknown, unfixed), "{rows:?}");
        };
        check(&[(&["2"], false)], &["2"], false, false);
        check(&[(&[], false)], &[], false, true);
        check(&[(&[], true)], &[], true, false);
        check(&[(&[], true), (&[], true)], &[], true, false);
        check(&[(&[], true), (&[], false)], &[], false, true);
        check(&[(&["2"], false), (&[], true)], &["2"], false, false);
        check(&[(&["2"], false), (&[], false)], &["2"], false, false);
        check(&[(&["2"], true)], &["2"], false, false);
        // What was recorded before keeps its bytes and its meaning.
        let known = finding("CVE-1", &[], "pkg:npm/a@1", Severity::High);
        let text = serde_json::to_string(&known).unwrap();
        assert!(!text.contains("fix_unknown"), "{text}");
        assert_eq!(serde_json::from_str::<Finding>(&text).unwrap(), known);
        let unknown = Finding { fix_unknown: true, ..known };
        let text = serde_json::to_string(&unknown).unwrap();
        assert_eq!(serde_json::from_str::<Finding>(&text).unwrap(), unknown);
    }

    fn any_finding() -> impl Strategy<Value = Finding> {
        let name = || prop::sample::select(vec!["CVE-1", "CVE-2", "cve-1", "GHSA-1", "GHSA-2", "RHSA-1"]);
        let purl = prop::sample::select(vec![None, Some("pkg:npm/a@1"), Some("pkg:npm/a@1?x=y"), Some("pkg:npm/b")]);
        let severity = prop::sample::select(vec![Severity::Low, Severity::Unknown, Severity::Critical]);
        let status = prop::sample::select(vec![None, Some(VexStatus::NotAffected), Some(VexStatus::Affected)]);
        let rest = (any::<Option<u8>>(), any::<Option<bool>>(), "[a-c]?", any::<bool>(), any::<bool>());
        (name(), prop::collection::vec(name(), 0..3), purl, severity, status, rest).prop_map(
            |(id, aliases, purl, severity, vex, (epss, kev, text, fix_unknown, sourced))| {
                let finding = Finding {
                    id: id.to_owned(),
                    aliases: aliases.into_iter().map(str::to_owned).collect(),
                    version: text.clone(),
                    purl: purl.map(str::to_owned),
                    severity,
                    severity_source: Some(text.clone()).filter(|text| !text.is_empty()),
                    fixed: Some(text).filter(|text| !text.is_empty()),
                    fix_unknown,
                    epss_millionths: epss.map(u32::from),
                    kev: kev.map(|ransomware| Kev { added_at: None, due_at: None, ransomware }),
                    vex,
                    ..Finding::default()
                };
                if sourced { finding.sourced("scanner", Digest::of(b"report")) } else { finding }
            },
        )
    }

    proptest! {
        #[test]
        fn the_order_does_not_matter_and_nothing_gets_lost(
            (findings, shuffled) in prop::collection::vec(any_finding(), 0..12)
                .prop_flat_map(|findings| (Just(findings.clone()), Just(findings).prop_shuffle()))
        ) {
            let merged = merge(findings.clone());
            prop_assert_eq!(&merge(shuffled), &merged);
            prop_assert_eq!(&merge(merged.clone()), &merged);
            prop_assert!(merged.len() <= findings.len());
            for finding in &findings {
                let kept = merged.iter().find(|one| {
                    package_key(one) == package_key(finding) && one.is_about(&finding.id) && one.severity >= finding.severity
                });
                prop_assert!(kept.is_some(), "{:?} in {:?}", finding, merged);
            }
        }
    }
}
