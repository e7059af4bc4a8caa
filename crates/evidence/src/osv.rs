//! OSV: what `osv-scanner --format json` found, and plain records of the OSV schema, version 1.
//!
//! A plain record handed in as a report says that the artifact has this vulnerability, in a version that is not known.

use std::collections::{BTreeMap, BTreeSet};

use lockgate_model::Limits;
use lockgate_model::facts::{Cvss, Finding, Severity, Vulnerabilities};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::budget::Budget;
use crate::document::Object;
use crate::error::{EvidenceError, excerpt};
use crate::stream::{self, Shape, Source};
use crate::{cvss, severity, trivy};

static REPORT: Shape = Shape::Fields(&[
    ("results", Shape::Each(&Shape::Fields(&[("packages", Shape::Stream("package", &PACKAGE))]))),
    ("vulns", Shape::Stream("record", &RECORD)),
    ("schema_version", Shape::Whole),
    ("id", Shape::Whole),
    ("modified", Shape::Whole),
    ("published", Shape::Whole),
    ("withdrawn", Shape::Whole),
    ("aliases", Shape::Whole),
    ("upstream", Shape::Whole),
    ("severity", Shape::Whole),
    ("affected", Shape::Whole),
    ("database_specific", Shape::Fields(&[("severity", Shape::Whole)])),
]);

static PACKAGE: Shape = Shape::Fields(&[
    ("package", Shape::Fields(&[("name", Shape::Whole), ("version", Shape::Whole), ("ecosystem", Shape::Whole)])),
    ("vulnerabilities", Shape::Each(&RECORD)),
    (
        "groups",
        Shape::Each(&Shape::Fields(&[
            ("ids", Shape::Whole),
            ("aliases", Shape::Whole),
            ("max_severity", Shape::Whole),
        ])),
    ),
]);

/// What looking at one name of a finding counts for.
const LOOK_BYTES: usize = 32;

static RECORD: Shape = Shape::Fields(&[
    ("schema_version", Shape::Whole),
    ("id", Shape::Whole),
    ("modified", Shape::Whole),
    ("published", Shape::Whole),
    ("withdrawn", Shape::Whole),
    ("aliases", Shape::Whole),
    ("upstream", Shape::Whole),
    ("severity", Shape::Whole),
    ("affected", Shape::Whole),
    ("database_specific", Shape::Fields(&[("severity", Shape::Whole)])),
]);

/// Reads a whole report: of `osv-scanner`, a list of records under `vulns`, or one record.
///
/// # Errors
/// `EVIDENCE_MALFORMED`, `EVIDENCE_TIME`, `REPORT_VERSION`, `TOO_MANY_FINDINGS`, `DUPLICATE_KEY`.
pub(crate) fn read<'a>(source: impl Into<Source<'a>>, limits: &Limits) -> Result<Vulnerabilities, EvidenceError> {
    let (mut findings, mut budget) = (Vec::new(), Budget::new(limits));
    let document = stream::read(source.into(), &REPORT, limits, &mut |item| {
        let object = Object::part(&item.value, item.pointer)?;
        let more = match item.list {
            "package" => of_package(&object, &mut budget)?,
            _ => of_record(&object, &mut budget)?,
        };
        trivy::check_count(findings.len(), more.len(), limits)?;
        findings.extend(more);
        Ok(())
    })?;
    let root = Object::root(&document.value)?;
    let (results, vulns, id) = (root.list("results")?, root.list("vulns")?, root.value("id")?);
    let scanner = match (&results, vulns, id) {
        (Some(results), None, None) => {
            for result in results.objects() {
                result?.required_list("packages")?;
            }
            document.check_items()?;
            "osv-scanner"
        }
        (None, Some(_), None) => {
            document.check_items()?;
            "osv"
        }
        (None, None, Some(_)) => {
            findings = of_record(&root, &mut budget)?;
            trivy::check_count(0, findings.len(), limits)?;
            "osv"
        }
        _ => return Err(root.fault("must have one of `results`, `vulns` and `id`")),
    };
    Ok(Vulnerabilities { scanner: scanner.to_owned(), scanner_version: None, scanned_at: None, findings })
}

/// What the scanner found in one package.
fn of_package(object: &Object<'_>, budget: &mut Budget) -> Result<Vec<Finding>, EvidenceError> {
    let package = object.required_object("package")?;
    let name = package.required_text("name")?;
    let version = package.text("version")?.unwrap_or_default();
    let ecosystem = package.text("ecosystem")?.unwrap_or_default();
    let mut findings = Vec::new();
    let Some(records) = object.list_or_null("vulnerabilities")? else { return Ok(findings) };
    // The name stands in the package URL, too.
    budget.take_copies(&(name, name, version, ecosystem), records.len())?;
    for record in records.objects() {
        let record = record?;
        let affected = Affected::of(&record)?;
        let here: Vec<&Affected> = affected.iter().filter(|one| one.is(name, ecosystem)).collect();
        let mut finding = base_of(&record)?;
        finding.package = name.to_owned();
        finding.version = version.to_owned();
        set_fixes(&mut finding, here.iter().flat_map(|one| &one.fixes));
        let says_unfixed = !here.is_empty() && here.iter().all(|one| one.says_unfixed);
        finding.fix_unknown = finding.fixed.is_none() && !says_unfixed;
        let purl = here.iter().find_map(|one| one.purl.clone()).or_else(|| purl_of(ecosystem, name));
        finding.purl = purl.map(|purl| of_version(&purl, version));
        findings.push(finding);
    }
    if let Some(groups) = object.list_or_null("groups")? {
        let mut places: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (at, finding) in findings.iter().enumerate() {
            places.entry(finding.id.clone()).or_default().push(at);
        }
        for group in groups.objects() {
            add_group(&group?, &mut findings, &places, budget)?;
        }
    }
    Ok(findings)
}

/// A group names the same vulnerability under all of its ids, and its worst score; `places` says where the findings of an
/// id are.
fn add_group(
    group: &Object<'_>,
    findings: &mut [Finding],
    places: &BTreeMap<String, Vec<usize>>,
    budget: &mut Budget,
) -> Result<(), EvidenceError> {
    let mut ids = BTreeSet::new();
    for key in ["ids", "aliases"] {
        if let Some(list) = group.list_or_null(key)? {
            for id in list.texts() {
                ids.insert(id?.to_owned());
            }
        }
    }
    let score = group.value("max_severity")?.and_then(cvss::tenths);
    let in_one_case: Vec<(String, &String)> = ids.iter().map(|id| (id.to_ascii_uppercase(), id)).collect();
    for at in ids.iter().filter_map(|id| places.get(id)).flatten() {
        let Some(finding) = findings.get_mut(*at) else { continue };
        let known: BTreeSet<String> = finding.names().map(str::to_ascii_uppercase).collect();
        // Looking takes time, if not memory: a finding may be in many groups.
        budget.take(LOOK_BYTES * (ids.len() + known.len()))?;
        let is_other = |(upper, _): &&(String, &String)| !known.contains(upper);
        let other: Vec<&String> = in_one_case.iter().filter(is_other).map(|(_, id)| *id).collect();
        budget.take_texts(other.iter().map(|id| id.as_str()))?;
        finding.aliases.extend(other.into_iter().cloned());
        if let Some(score) = score.filter(|_| finding.cvss.is_none()) {
            finding.cvss = cvss::score(Some(score), None, Some("osv-scanner"));
            if finding.severity == Severity::Unknown {
                finding.severity = cvss::severity_of(score);
            }
        }
    }
    Ok(())
}

/// One finding for each package that a record is about; none when the record was withdrawn.
fn of_record(record: &Object<'_>, budget: &mut Budget) -> Result<Vec<Finding>, EvidenceError> {
    record.required_text("id")?;
    if record.moment("modified")?.is_none() {
        return Err(record.fault("has no `modified`"));
    }
    if record.moment("withdrawn")?.is_some() {
        return Ok(Vec::new());
    }
    let base = base_of(record)?;
    let (mut findings, affected) = (Vec::new(), Affected::of(record)?);
    budget.take_copies(&base, affected.len())?;
    for affected in affected {
        let mut finding = base.clone();
        finding.package.clone_from(&affected.name);
        set_fixes(&mut finding, affected.fixes.iter());
        finding.fix_unknown = finding.fixed.is_none() && !affected.says_unfixed;
        finding.purl = affected.purl.clone().or_else(|| purl_of(&affected.ecosystem, &affected.name));
        findings.push(finding);
    }
    match findings.is_empty() {
        true => Ok(vec![Finding { fix_unknown: true, ..base }]),
        false => Ok(findings),
    }
}

/// What a record says of the vulnerability, without a package.
fn base_of(record: &Object<'_>) -> Result<Finding, EvidenceError> {
    if let Some(version) = record.text("schema_version")?.filter(|version| !version.starts_with("1.")) {
        let message = format!("OSV schema `{}` is not read: write version 1", excerpt(version));
        return Err(EvidenceError::new("REPORT_VERSION", message));
    }
    let mut aliases: Vec<String> = Vec::new();
    let mut seen: BTreeSet<String> = BTreeSet::new();
    // What a distribution's advisory is about stands under `upstream`, and is no alias there (OSV schema 1.7).
    for key in ["aliases", "upstream"] {
        let Some(list) = record.list_or_null(key)? else { continue };
        for alias in list.texts() {
            let alias = alias?;
            if seen.insert(alias.to_owned()) {
                aliases.push(alias.to_owned());
            }
        }
    }
    let (cvss, ubuntu) = judgements(record)?;
    let word = match record.object_or_null("database_specific")? {
        Some(specific) => specific.any_text("severity")?.and_then(severity::from_word),
        None => None,
    };
    let scored = cvss.as_ref().map(|cvss| cvss::severity_of(cvss.score_tenths));
    let (severity, source) = match (word, ubuntu, scored) {
        (Some(word), _, _) => (word, Some("database")),
        (None, Some(ubuntu), scored) if scored.is_none_or(|scored| ubuntu >= scored) => (ubuntu, Some("ubuntu")),
        (None, _, Some(scored)) => (scored, Some("cvss")),
        (None, _, None) => (Severity::default(), None),
    };
    Ok(Finding {
        id: record.required_text("id")?.to_owned(),
        aliases,
        severity,
        severity_source: source.map(str::to_owned),
        cvss,
        disclosed_at: record.moment_or_zero("published")?,
        pointer: Some(record.pointer()),
        ..Finding::default()
    })
}

/// The highest score of the vectors of version 3, and the worst of Ubuntu's words; OSV records have no scores.
fn judgements(record: &Object<'_>) -> Result<(Option<Cvss>, Option<Severity>), EvidenceError> {
    let (mut highest, mut ubuntu): (Option<Cvss>, Option<Severity>) = (None, None);
    let Some(list) = record.list_or_null("severity")? else { return Ok((highest, ubuntu)) };
    for item in list.objects() {
        let item = item?;
        match (item.required_text("type")?, item.text("score")?) {
            ("Ubuntu", score) => ubuntu = ubuntu.max(score.and_then(severity::from_word)),
            (kind, vector) => highest = highest.max(cvss::score(None, vector, Some(kind))),
        }
    }
    Ok((highest, ubuntu))
}

fn set_fixes<'a>(finding: &mut Finding, fixes: impl Iterator<Item = &'a String>) {
    let (mut all, mut seen) = (Vec::new(), BTreeSet::new());
    for fix in fixes {
        if seen.insert(fix) {
            all.push(fix.clone());
        }
    }
    finding.fixed = all.first().cloned();
    if all.len() > 1 {
        finding.fixed_versions = all;
    }
}

/// One package of a record.
#[derive(Debug)]
struct Affected {
    name: String,
    ecosystem: String,
    /// Without a version: the one that a record names is that of a fix, and not of what was found.
    purl: Option<String>,
    fixes: Vec<String>,
    /// Whether its ranges of versions have a start and no end. One that ends with the last affected version has a fix
    /// that nobody names, and a record without such a range says nothing.
    says_unfixed: bool,
}

impl Affected {
    fn of(record: &Object<'_>) -> Result<Vec<Self>, EvidenceError> {
        let mut read = Vec::new();
        let Some(list) = record.list_or_null("affected")? else { return Ok(read) };
        for affected in list.objects() {
            let affected = affected?;
            let Some(package) = affected.object_or_null("package")? else { continue };
            let mut fixes = Vec::new();
            let (mut has_start, mut has_end) = (false, false);
            if let Some(ranges) = affected.list_or_null("ranges")? {
                for range in ranges.objects() {
                    let range = range?;
                    // Commits are no versions.
                    if range.text("type")? == Some("GIT") {
                        continue;
                    }
                    for event in range.required_list("events")?.objects() {
                        let event = event?;
                        fixes.extend(event.text_or_empty("fixed")?.map(str::to_owned));
                        has_start |= event.value("introduced")?.is_some();
                        has_end |= event.value("last_affected")?.is_some();
                    }
                }
            }
            read.push(Self {
                name: package.required_text("name")?.to_owned(),
                ecosystem: package.text("ecosystem")?.unwrap_or_default().to_owned(),
                purl: package.text_or_empty("purl")?.and_then(crate::sbom::purl).map(|purl| of_version(&purl, "")),
                fixes,
                says_unfixed: has_start && !has_end,
            });
        }
        Ok(read)
    }

    /// Ecosystems have a release behind a colon, such as `Debian:12`.
    fn is(&self, name: &str, ecosystem: &str) -> bool {
        let bare = |text: &str| text.split(':').next().unwrap_or(text).to_ascii_lowercase();
        self.name == name && (ecosystem.is_empty() || bare(&self.ecosystem) == bare(ecosystem))
    }
}

/// The package URL without a version, for the ecosystems whose names map onto one.
fn purl_of(ecosystem: &str, name: &str) -> Option<String> {
    let kind = match ecosystem.split(':').next().unwrap_or(ecosystem) {
        "npm" => "npm",
        "PyPI" => "pypi",
        "Go" => "golang",
        rust if rust.starts_with("crates.") => "cargo",
        "RubyGems" => "gem",
        "NuGet" => "nuget",
        "Packagist" => "composer",
        "Maven" => {
            let (group, artifact) = name.split_once(':')?;
            return Some(format!("pkg:maven/{group}/{artifact}"));
        }
        _ => return None,
    };
    Some(format!("pkg:{kind}/{}", name.replace('@', "%40")))
}

/// The same package URL of this version instead of its own; of none where that is empty.
fn of_version(purl: &str, version: &str) -> String {
    let end = purl.find(['?', '#']).unwrap_or(purl.len());
    let (bare, rest) = purl.split_at(end);
    let package = match bare.rsplit_once('@') {
        // The `@` of an npm scope may stand unescaped before the name.
        Some((package, old)) if !old.contains('/') && !package.ends_with('/') => package,
        _ => bare,
    };
    match version.is_empty() {
        true => format!("{package}{rest}"),
        false => format!("{package}@{}{rest}", escaped(version)),
    }
}

/// A version as a package URL writes it: all but letters, digits and `.-_~:` percent-encoded.
fn escaped(version: &str) -> String {
    let mut text = String::new();
    for byte in version.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' | b':' => text.push(char::from(byte)),
            other => text.push_str(&format!("%{other:02X}")),
        }
    }
    text
}

/// What tells the scanner's output from other documents with `results`.
#[derive(Deserialize)]
struct Scan {
    results: Vec<ScanResult>,
    experimental_config: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct ScanResult {
    packages: Vec<IgnoredAny>,
}

/// Whether a document has the form of `osv-scanner`'s output: results with packages, or none beside its settings.
pub(crate) fn is_scan(bytes: &[u8]) -> bool {
    serde_json::from_slice::<Scan>(bytes).is_ok_and(|scan| {
        scan.experimental_config.is_some() || scan.results.iter().any(|result| !result.packages.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn record(id: &str) -> Value {
        json!({
            "schema_version": "1.6.0",
            "id": id,
            "modified": "2026-11-20T10:00:00Z",
            "published": "2026-11-01T10:00:00Z",
            "aliases": ["CVE-2026-1"],
            "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H"}],
            "affected": [{
                "package": {"name": "@s/a", "ecosystem": "npm"},
                "ranges": [
                    {"type": "GIT", "events": [{"introduced": "0"}, {"fixed": "abcdef"}]},
                    {"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": "1.2.9"}, {"introduced": "2.0.0"}, {"fixed": "2.0.1"}]},
                ],
            }],
        })
    }

    fn scan() -> Value {
        json!({"results": [{
            "source": {"path": "package-lock.json", "type": "lockfile"},
            "packages": [{
                "package": {"name": "@s/a", "version": "1.0.0", "ecosystem": "npm"},
                "vulnerabilities": [record("GHSA-1"), {"id": "OSV-2", "modified": "2026-11-20T10:00:00Z"}],
                "groups": [{"ids": ["OSV-2"], "aliases": ["CVE-2026-2"], "max_severity": "9.8"}],
            }],
        }]})
    }

    #[test]
    fn reads_what_the_scanner_found() {
        let read = read(&scan(), &Limits::DEFAULT).unwrap();
        let [first, second] = read.findings.as_slice() else { panic!("{read:?}") };
        assert_eq!(
            (read.scanner.as_str(), first.id.as_str(), first.severity),
            ("osv-scanner", "GHSA-1", Severity::High)
        );
        assert_eq!(first.purl.as_deref(), Some("pkg:npm/%40s/a@1.0.0"));
        assert_eq!((first.fixed.as_deref(), first.fixed_versions.len()), (Some("1.2.9"), 2));
        assert_eq!(first.cvss.as_ref().map(|cvss| cvss.score_tenths), Some(75));
        assert_eq!(first.pointer.as_deref(), Some("/results/0/packages/0/vulnerabilities/0"));
        assert_eq!((second.severity, second.fixed.as_deref()), (Severity::Critical, None));
        assert_eq!(second.aliases, ["CVE-2026-2"]);
    }

    /// The one finding of a document.
    fn only(document: &Value) -> Finding {
        let mut findings = read(document, &Limits::DEFAULT).unwrap().findings;
        assert_eq!(findings.len(), 1, "{findings:?}");
        findings.remove(0)
    }

    /// A scan of curl 7.81.0-1ubuntu1.10 with one record in the form of Ubuntu's.
    fn ubuntu(severity: &Value) -> Value {
        json!({"results": [{"packages": [{
            "package": {"name": "curl", "version": "7.81.0-1ubuntu1.10", "ecosystem": "Ubuntu:22.04"},
            "vulnerabilities": [{
                "schema_version": "1.7.0", "id": "UBUNTU-CVE-2026-1", "modified": "2026-11-20T10:00:00Z",
                "aliases": ["USN-1"], "upstream": ["CVE-2026-1", "USN-1"], "severity": severity,
                "affected": [{
                    "package": {
                        "name": "curl", "ecosystem": "Ubuntu:22.04:LTS",
                        "purl": "pkg:deb/ubuntu/curl@7.81.0-1ubuntu1.14?arch=source&distro=jammy",
                    },
                    "ranges": [{"type": "ECOSYSTEM", "events": [{"fixed": "7.81.0-1ubuntu1.14"}]}],
                }],
            }],
        }]}]})
    }

    #[test]
    fn the_package_is_the_one_that_was_scanned_and_not_its_fix() {
        let finding = only(&ubuntu(&json!([])));
        let purl = "pkg:deb/ubuntu/curl@7.81.0-1ubuntu1.10?arch=source&distro=jammy";
        assert_eq!((finding.purl.as_deref(), finding.fixed.as_deref()), (Some(purl), Some("7.81.0-1ubuntu1.14")));
        assert_eq!(finding.aliases, ["USN-1", "CVE-2026-1"]);
        let record = ubuntu(&json!([]))["results"][0]["packages"][0]["vulnerabilities"][0].clone();
        for document in [record.clone(), json!({"vulns": [record]})] {
            let finding = only(&document);
            assert_eq!(finding.purl.as_deref(), Some("pkg:deb/ubuntu/curl?arch=source&distro=jammy"));
            assert_eq!(finding.aliases, ["USN-1", "CVE-2026-1"]);
        }
        for (purl, version, expected) in [
            ("pkg:npm/a", "1.0.0", "pkg:npm/a@1.0.0"),
            ("pkg:npm/a@2.0.0", "1.0.0", "pkg:npm/a@1.0.0"),
            ("pkg:npm/a@2.0.0", "", "pkg:npm/a"),
            ("pkg:npm/a@", "", "pkg:npm/a"),
            ("pkg:npm/@s/a", "1.0.0", "pkg:npm/@s/a@1.0.0"),
            ("pkg:npm/%40s/a@2#dist", "1.0.0", "pkg:npm/%40s/a@1.0.0#dist"),
            ("pkg:deb/ubuntu/a?arch=x@1", "1:2~rc1+b-0", "pkg:deb/ubuntu/a@1:2~rc1%2Bb-0?arch=x@1"),
            ("pkg:golang/x/y", "v0/1?", "pkg:golang/x/y@v0%2F1%3F"),
        ] {
            assert_eq!(of_version(purl, version), expected, "{purl} {version}");
        }
    }

    #[test]
    fn a_range_of_versions_without_an_end_says_that_there_is_no_fix() {
        let check = |affected: Value, unknown: bool, unfixed: bool| {
            let mut scan = ubuntu(&json!([]));
            let record = &mut scan["results"][0]["packages"][0]["vulnerabilities"][0];
            match affected.is_null() {
                true => drop(record.as_object_mut().unwrap().remove("affected")),
                false => record["affected"] = affected.clone(),
            }
            let record = record.clone();
            for document in [scan, record] {
                let finding = only(&document);
                assert_eq!((finding.fix_unknown, finding.is_unfixed()), (unknown, unfixed), "{affected}");
            }
        };
        let of = |ranges: Value| json!([{"package": {"name": "curl", "ecosystem": "Ubuntu"}, "ranges": ranges}]);
        let events = |kind: &str, events: Value| json!({"type": kind, "events": events});
        let open = || events("ECOSYSTEM", json!([{"introduced": "0"}]));
        let commits = || events("GIT", json!([{"introduced": "0"}, {"fixed": "abcdef"}]));
        check(of(json!([open()])), false, true);
        check(of(json!([commits(), open()])), false, true);
        check(of(json!([events("SEMVER", json!([{"introduced": "0"}, {"fixed": "2"}]))])), false, false);
        check(of(json!([events("SEMVER", json!([{"introduced": "0"}, {"last_affected": "1"}]))])), true, false);
        check(of(json!([commits()])), true, false);
        check(of(json!([])), true, false);
        check(of(json!(null)), true, false);
        check(json!([]), true, false);
        check(json!(null), true, false);
    }

    #[test]
    fn words_of_ubuntu_rate_a_finding() {
        let score = |vector: &str| json!({"type": "CVSS_V3", "score": vector});
        let high = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H";
        let word = |word: &str| json!({"type": "Ubuntu", "score": word});
        for (severity, expected, source) in [
            (json!([word("critical")]), Severity::Critical, Some("ubuntu")),
            (json!([word("medium")]), Severity::Medium, Some("ubuntu")),
            (json!([word("negligible")]), Severity::Negligible, Some("ubuntu")),
            (json!([word("untriaged")]), Severity::Unknown, None),
            // The worst counts.
            (json!([word("low"), score(high)]), Severity::High, Some("cvss")),
            (json!([score(high), word("critical")]), Severity::Critical, Some("ubuntu")),
            (json!([{"type": "Other", "score": "critical"}]), Severity::Unknown, None),
            (json!([]), Severity::Unknown, None),
        ] {
            let finding = only(&ubuntu(&severity));
            assert_eq!((finding.severity, finding.severity_source.as_deref()), (expected, source), "{severity}");
        }
        let mut rated = ubuntu(&json!([word("low")]));
        rated["results"][0]["packages"][0]["vulnerabilities"][0]["database_specific"] = json!({"severity": "HIGH"});
        let finding = only(&rated);
        assert_eq!((finding.severity, finding.severity_source.as_deref()), (Severity::High, Some("database")));
    }

    #[test]
    fn reads_plain_records() {
        let check = |value: &Value, expected: usize| {
            let read = read(value, &Limits::DEFAULT).unwrap();
            assert_eq!((read.scanner.as_str(), read.findings.len()), ("osv", expected), "{value}");
        };
        check(&record("GHSA-1"), 1);
        check(&json!({"vulns": [record("GHSA-1"), record("GHSA-2")]}), 2);
        check(&json!({"vulns": []}), 0);
        let mut withdrawn = record("GHSA-1");
        withdrawn["withdrawn"] = json!("2026-11-21T10:00:00Z");
        check(&withdrawn, 0);
        let mut bare = record("GHSA-1");
        bare["affected"] = json!([]);
        check(&bare, 1);
    }

    #[test]
    fn refuses_what_would_hide_a_finding() {
        let check = |pointer: &str, replacement: Value, code: &str| {
            let mut value = scan();
            *value.pointer_mut(pointer).unwrap() = replacement.clone();
            assert_eq!(read(&value, &Limits::DEFAULT).unwrap_err().code, code, "{pointer} {replacement}");
        };
        check("/results", json!(null), "EVIDENCE_MALFORMED");
        check("/results", json!({}), "EVIDENCE_MALFORMED");
        check("/results/0", json!({}), "EVIDENCE_MALFORMED");
        check("/results/0/packages", json!(null), "EVIDENCE_MALFORMED");
        check("/results/0/packages/0", json!("a"), "EVIDENCE_MALFORMED");
        check("/results/0/packages/0/package/name", json!(""), "EVIDENCE_MALFORMED");
        check("/results/0/packages/0/vulnerabilities", json!({}), "EVIDENCE_MALFORMED");
        check("/results/0/packages/0/vulnerabilities/0", json!("GHSA-1"), "EVIDENCE_MALFORMED");
        check("/results/0/packages/0/vulnerabilities/0/id", json!(null), "EVIDENCE_MALFORMED");
        check("/results/0/packages/0/vulnerabilities/0/schema_version", json!("2.0.0"), "REPORT_VERSION");
        check("/results/0/packages/0/vulnerabilities/0/published", json!("soon"), "EVIDENCE_TIME");
        let both = json!({"results": [], "vulns": []});
        assert_eq!(read(&both, &Limits::DEFAULT).unwrap_err().code, "EVIDENCE_MALFORMED");
        let few = Limits { findings_per_report: 1, ..Limits::DEFAULT };
        assert_eq!(read(&scan(), &few).unwrap_err().code, "TOO_MANY_FINDINGS");
    }

    #[test]
    fn what_is_said_once_takes_nothing_of_the_budget() {
        let none = Limits { claim_bytes: 0, ..Limits::DEFAULT };
        let affected = json!({"package": {"name": "a", "ecosystem": "npm"}});
        let record = |affected: &[Value]| json!({"id": "A", "modified": "2026-01-01T00:00:00Z", "aliases": ["B"], "affected": affected});
        let once = record(std::slice::from_ref(&affected));
        let found = read(&json!({"vulns": [once.clone(), once.clone()]}), &none).unwrap();
        assert_eq!(found.findings.len(), 2);
        let package = json!({"name": "a", "version": "1", "ecosystem": "npm"});
        let one = json!({"results": [{"packages": [{"package": package, "vulnerabilities": [once]}]}]});
        assert_eq!(read(&one, &none).unwrap().findings.len(), 1);
        let twice = record(&[affected.clone(), affected]);
        assert_eq!(read(&json!({"vulns": [twice]}), &none).unwrap_err().code, "EVIDENCE_TOO_LARGE");
    }
}
