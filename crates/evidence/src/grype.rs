//! Grype's JSON report (`grype/presenter/models` of anchore/grype).
//!
//! Only `matches[]` count; `ignoredMatches[]` are what the caller had Grype ignore, and are not findings.

use std::collections::BTreeSet;

use lockgate_model::Limits;
use lockgate_model::facts::{Cvss, Finding, Kev, Severity, Vulnerabilities};
use serde_json::Value;

use crate::document::Object;
use crate::error::{EvidenceError, excerpt};
use crate::stream::{self, Shape, Source};
use crate::{cvss, feed, severity, trivy};

static REPORT: Shape = Shape::Fields(&[
    ("descriptor", Shape::Fields(&[("version", Shape::Whole), ("timestamp", Shape::Whole)])),
    ("matches", Shape::Stream("match", &MATCH)),
]);

static MATCH: Shape = Shape::Fields(&[
    ("vulnerability", VULNERABILITY),
    ("relatedVulnerabilities", Shape::Each(&VULNERABILITY)),
    ("artifact", Shape::Fields(&[("name", Shape::Whole), ("version", Shape::Whole), ("purl", Shape::Whole)])),
]);

const VULNERABILITY: Shape = Shape::Fields(&[
    ("id", Shape::Whole),
    ("namespace", Shape::Whole),
    ("severity", Shape::Whole),
    ("cvss", Shape::Whole),
    ("fix", Shape::Fields(&[("versions", Shape::Whole), ("state", Shape::Whole)])),
    ("knownExploited", Shape::Whole),
    ("epss", Shape::Whole),
]);

/// Reads a whole report.
///
/// # Errors
/// `EVIDENCE_MALFORMED`, `EVIDENCE_TIME`, `TOO_MANY_FINDINGS`, `DUPLICATE_KEY`.
pub(crate) fn read<'a>(source: impl Into<Source<'a>>, limits: &Limits) -> Result<Vulnerabilities, EvidenceError> {
    let mut findings = Vec::new();
    let document = stream::read(source.into(), &REPORT, limits, &mut |item| {
        trivy::check_count(findings.len(), 1, limits)?;
        findings.push(finding(&Object::part(&item.value, item.pointer)?)?);
        Ok(())
    })?;
    let root = Object::root(&document.value)?;
    let descriptor = root.required_object("descriptor")?;
    root.required_list("matches")?;
    document.check_items()?;
    Ok(Vulnerabilities {
        scanner: "grype".to_owned(),
        scanner_version: descriptor.text_or_empty("version")?.map(str::to_owned),
        scanned_at: descriptor.moment_or_zero("timestamp")?,
        findings,
    })
}

fn finding(found: &Object<'_>) -> Result<Finding, EvidenceError> {
    let vulnerability = found.required_object("vulnerability")?;
    let artifact = found.required_object("artifact")?;
    let severity = match vulnerability.text("severity")? {
        None => Severity::Unknown,
        Some(word) => severity::from_word(word).ok_or_else(|| {
            vulnerability.fault_at("severity", &format!("is `{}`, which is no severity", excerpt(word)))
        })?,
    };
    let fixes = fixes(&vulnerability)?;
    let fix_unknown = fixes.iter().all(String::is_empty) && !says_that_there_is_no_fix(&vulnerability)?;
    let mut finding = Finding {
        id: vulnerability.required_text("id")?.to_owned(),
        package: artifact.required_text("name")?.to_owned(),
        version: artifact.text("version")?.unwrap_or_default().to_owned(),
        fixed: fixes.first().filter(|version| !version.is_empty()).cloned(),
        fix_unknown,
        severity,
        severity_source: vulnerability.text_or_empty("namespace")?.map(str::to_owned),
        purl: artifact.text_or_empty("purl")?.map(str::to_owned),
        pointer: Some(found.pointer()),
        ..Finding::default()
    };
    if fixes.len() > 1 {
        finding.fixed_versions = fixes;
    }
    add_details(&mut finding, &vulnerability)?;
    if let Some(related) = found.list_or_null("relatedVulnerabilities")? {
        let mut known: BTreeSet<String> = finding.names().map(str::to_ascii_uppercase).collect();
        for other in related.objects() {
            let other = other?;
            let id = other.required_text("id")?;
            if known.insert(id.to_ascii_uppercase()) {
                finding.aliases.push(id.to_owned());
            }
            add_details(&mut finding, &other)?;
        }
    }
    Ok(finding)
}

/// Adds scores, KEV and EPSS: of each the worst.
fn add_details(finding: &mut Finding, vulnerability: &Object<'_>) -> Result<(), EvidenceError> {
    if let Some(scores) = vulnerability.list_or_null("cvss")? {
        for score in scores.objects() {
            finding.cvss = finding.cvss.take().max(score_of(&score?)?);
        }
    }
    if let Some(entries) = vulnerability.list_or_null("knownExploited")? {
        for entry in entries.objects() {
            let entry = entry?;
            let kev = Kev {
                added_at: feed::day(&entry, "dateAdded")?,
                due_at: feed::day(&entry, "dueDate")?,
                ransomware: entry.text("knownRansomwareCampaignUse")?.is_some_and(feed::is_ransomware),
            };
            finding.kev.get_or_insert(kev);
        }
    }
    if let Some(entries) = vulnerability.list_or_null("epss")? {
        for entry in entries.objects() {
            let probability = entry?.value("epss")?.and_then(Value::as_f64).and_then(cvss::millionths);
            finding.epss_millionths = finding.epss_millionths.max(probability);
        }
    }
    Ok(())
}

/// One score. Those of version 2 do not count beside newer ones, and there always are such.
fn score_of(score: &Object<'_>) -> Result<Option<Cvss>, EvidenceError> {
    if score.text("version")?.is_some_and(|version| version.starts_with("2.")) {
        return Ok(None);
    }
    let base = match score.object_or_null("metrics")? {
        Some(metrics) => metrics.value("baseScore")?.and_then(cvss::tenths),
        None => None,
    };
    Ok(cvss::score(base, score.text("vector")?, score.text("source")?))
}

/// `fix.versions`, which mean something only when `fix.state` is `fixed`.
fn fixes(vulnerability: &Object<'_>) -> Result<Vec<String>, EvidenceError> {
    let Some(fix) = vulnerability.object("fix")? else { return Ok(Vec::new()) };
    if fix.text("state")? != Some("fixed") {
        return Ok(Vec::new());
    }
    let Some(versions) = fix.list("versions")? else { return Ok(Vec::new()) };
    versions.texts().map(|version| Ok(version?.to_owned())).collect()
}

/// Whether `fix.state` says so; where it is `unknown` or absent, or names no version of a fix, nobody knows.
fn says_that_there_is_no_fix(vulnerability: &Object<'_>) -> Result<bool, EvidenceError> {
    let Some(fix) = vulnerability.object("fix")? else { return Ok(false) };
    Ok(matches!(fix.text("state")?, Some("not-fixed" | "wont-fix")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn report() -> Value {
        json!({
            "matches": [
                {
                    "vulnerability": {
                        "id": "CVE-2026-0001",
                        "namespace": "debian:distro:debian:12",
                        "severity": "Critical",
                        "cvss": null,
                        "fix": {"versions": ["3.0.2", "3.1.0"], "state": "fixed"},
                        "knownExploited": [{"cve": "CVE-2026-0001", "dateAdded": "2026-11-02", "knownRansomwareCampaignUse": "Known"}],
                        "epss": [{"cve": "CVE-2026-0001", "epss": 0.00043, "percentile": 0.1, "date": "2026-11-20"}],
                    },
                    "relatedVulnerabilities": [
                        {"id": "CVE-2026-0001", "cvss": [
                            {"source": "nvd", "version": "2.0", "vector": "AV:N", "metrics": {"baseScore": 10}},
                            {"source": "nvd", "version": "3.1", "vector": "CVSS:3.1/AV:N", "metrics": {"baseScore": 9.8}},
                        ]},
                        {"id": "GHSA-aaaa"},
                    ],
                    "artifact": {"name": "openssl", "version": "3.0.1", "purl": "pkg:deb/debian/openssl@3.0.1"},
                },
                {
                    "vulnerability": {"id": "CVE-2026-0002", "severity": "Negligible", "fix": {"versions": null, "state": "wont-fix"}},
                    "artifact": {"name": "zlib", "version": "1.3", "purl": ""},
                },
            ],
            "ignoredMatches": [{"vulnerability": {"id": "CVE-2026-0003", "severity": "Critical"}, "artifact": {"name": "x", "version": "1"}}],
            "descriptor": {"name": "grype", "version": "0.116.0", "timestamp": "2026-11-20T10:00:00Z"},
        })
    }

    #[test]
    fn reads_matches_and_leaves_ignored_ones() {
        let read = read(&report(), &Limits::DEFAULT).unwrap();
        assert_eq!((read.scanner.as_str(), read.scanner_version.as_deref()), ("grype", Some("0.116.0")));
        assert_eq!(read.scanned_at, Some("2026-11-20T10:00:00Z".parse().unwrap()));
        let first = &read.findings[0];
        assert_eq!(first.aliases, ["GHSA-aaaa"]);
        assert_eq!(first.cvss.as_ref().map(|cvss| cvss.score_tenths), Some(98));
        assert_eq!(first.epss_millionths, Some(430));
        assert!(first.kev.as_ref().is_some_and(|kev| kev.ransomware && kev.added_at.is_some() && kev.due_at.is_none()));
        assert_eq!(first.severity_source.as_deref(), Some("debian:distro:debian:12"));
        assert_eq!(first.fixed_versions, ["3.0.2", "3.1.0"]);
        assert_eq!(first.pointer.as_deref(), Some("/matches/0"));
        let rows: Vec<_> =
            read.findings.iter().map(|f| (f.id.as_str(), f.severity, f.fixed.as_deref(), f.purl.as_deref())).collect();
        assert_eq!(
            rows,
            [
                ("CVE-2026-0001", Severity::Critical, Some("3.0.2"), Some("pkg:deb/debian/openssl@3.0.1")),
                ("CVE-2026-0002", Severity::Negligible, None, None),
            ]
        );
    }

    #[test]
    fn only_the_states_that_say_so_are_no_fix() {
        let check = |fix: Value, unknown: bool, unfixed: bool| {
            let mut value = report();
            value["matches"][0]["vulnerability"]["fix"] = fix.clone();
            let read = read(&value, &Limits::DEFAULT).unwrap();
            let first = &read.findings[0];
            assert_eq!((first.fix_unknown, first.is_unfixed()), (unknown, unfixed), "{fix}");
        };
        check(json!({"versions": ["3.0.2"], "state": "fixed"}), false, false);
        check(json!({"versions": [], "state": "not-fixed"}), false, true);
        check(json!({"versions": null, "state": "wont-fix"}), false, true);
        check(json!({"versions": [], "state": "unknown"}), true, false);
        check(json!({"versions": ["3.0.2"], "state": ""}), true, false);
        check(json!({"versions": [], "state": "fixed"}), true, false);
        check(json!({"versions": [""], "state": "fixed"}), true, false);
        check(json!({"versions": []}), true, false);
        let mut without = report();
        without["matches"][0]["vulnerability"].as_object_mut().unwrap().remove("fix");
        assert!(read(&without, &Limits::DEFAULT).unwrap().findings[0].fix_unknown);
    }

    #[test]
    fn wrong_types_are_errors_not_zero() {
        let check = |pointer: &str, replacement: Value, code: &str| {
            let mut value = report();
            *value.pointer_mut(pointer).unwrap() = replacement;
            assert_eq!(read(&value, &Limits::DEFAULT).unwrap_err().code, code, "{pointer}");
        };
        check("/matches", json!(null), "EVIDENCE_MALFORMED");
        check("/matches", json!({}), "EVIDENCE_MALFORMED");
        check("/matches/0", json!(null), "EVIDENCE_MALFORMED");
        check("/matches/0/vulnerability", json!([]), "EVIDENCE_MALFORMED");
        check("/matches/0/vulnerability/id", json!(null), "EVIDENCE_MALFORMED");
        check("/matches/0/vulnerability/severity", json!("Severe"), "EVIDENCE_MALFORMED");
        check("/matches/0/vulnerability/fix/versions", json!("3.0.2"), "EVIDENCE_MALFORMED");
        check("/matches/0/artifact/version", json!(3), "EVIDENCE_MALFORMED");
        check("/descriptor", json!(null), "EVIDENCE_MALFORMED");
        check("/descriptor/timestamp", json!("now"), "EVIDENCE_TIME");
        let few = Limits { findings_per_report: 1, ..Limits::DEFAULT };
        assert_eq!(read(&report(), &few).unwrap_err().code, "TOO_MANY_FINDINGS");
    }
}
