//! Trivy's JSON report, schema version 2 (`pkg/types/report.go` of aquasecurity/trivy).
//!
//! Only `Results[].Vulnerabilities[]` count. Findings that the caller had Trivy ignore stand in
//! `ExperimentalModifiedFindings` and are not findings; misconfigurations, secrets and licences are other kinds of claim.
//! A report that looked for nothing but these is refused: it lists no vulnerability, and is no scan that found none.

use std::collections::BTreeSet;

use lockgate_model::Limits;
use lockgate_model::facts::{Cvss, Finding, Severity, VexStatus, Vulnerabilities};
use serde_json::Value;

use crate::document::Object;
use crate::error::{EvidenceError, excerpt};
use crate::stream::{self, Shape, Source};
use crate::{cvss, severity};

static REPORT: Shape = Shape::Fields(&[
    ("SchemaVersion", Shape::Whole),
    ("ArtifactType", Shape::Whole),
    ("CreatedAt", Shape::Whole),
    ("Trivy", Shape::Fields(&[("Version", Shape::Whole)])),
    ("Results", Shape::Each(&RESULT)),
]);

static RESULT: Shape =
    Shape::Fields(&[("Class", Shape::Whole), ("Vulnerabilities", Shape::Stream("vulnerability", &VULNERABILITY))]);

/// The classes of results in which Trivy looks for vulnerabilities (`pkg/types/report.go`, `ResultClass`).
const PACKAGE_CLASSES: [&str; 2] = ["os-pkgs", "lang-pkgs"];

static VULNERABILITY: Shape = Shape::Fields(&[
    ("VulnerabilityID", Shape::Whole),
    ("PkgName", Shape::Whole),
    ("PkgIdentifier", Shape::Fields(&[("PURL", Shape::Whole)])),
    ("InstalledVersion", Shape::Whole),
    ("FixedVersion", Shape::Whole),
    ("Severity", Shape::Whole),
    ("SeveritySource", Shape::Whole),
    ("Status", Shape::Whole),
    ("CVSS", Shape::Whole),
    ("PublishedDate", Shape::Whole),
]);

/// Reads a whole report.
///
/// # Errors
/// `EVIDENCE_MALFORMED`, `EVIDENCE_TIME`, `REPORT_VERSION`, `TOO_MANY_FINDINGS`, `DUPLICATE_KEY`, or `EVIDENCE_UNKNOWN` of a
/// report that looked for no vulnerabilities.
pub(crate) fn read<'a>(source: impl Into<Source<'a>>, limits: &Limits) -> Result<Vulnerabilities, EvidenceError> {
    let mut findings = Vec::new();
    let document = stream::read(source.into(), &REPORT, limits, &mut |item| {
        check_count(findings.len(), 1, limits)?;
        findings.push(finding(&Object::part(&item.value, item.pointer)?)?);
        Ok(())
    })?;
    let root = Object::root(&document.value)?;
    match root.value("SchemaVersion")? {
        Some(version) if version.as_u64() == Some(2) => {}
        Some(version) => {
            return Err(EvidenceError::new(
                "REPORT_VERSION",
                format!(
                    "schema version {} of Trivy is not read: write a report with Trivy 0.20 or newer",
                    excerpt(&version.to_string())
                ),
            ));
        }
        None => return Err(root.fault("has no `SchemaVersion`")),
    }
    let mut classes: BTreeSet<String> = BTreeSet::new();
    let mut looked_at = 0usize;
    if let Some(results) = &root.list("Results")? {
        for result in results.objects() {
            let result = result?;
            result.list("Vulnerabilities")?;
            classes.extend(result.text_or_empty("Class")?.map(str::to_owned));
            looked_at += 1;
        }
    }
    document.check_items()?;
    let scanner_version = match root.object("Trivy")? {
        Some(trivy) => trivy.text_or_empty("Version")?.map(str::to_owned),
        None => None,
    };
    let scanned_at = root.moment_or_zero("CreatedAt")?;
    match looked_at {
        // Trivy leaves `Results` out where it found nothing to look at, and always says what kind of thing that was.
        0 if root.text_or_empty("ArtifactType")?.is_none() => {
            return Err(root.fault("has neither `Results` nor `ArtifactType`: hand in the report as Trivy wrote it"));
        }
        0 => {}
        // Whatever is listed was looked for.
        _ if findings.is_empty() => check_classes(&classes)?,
        _ => {}
    }
    Ok(Vulnerabilities { scanner: "trivy".to_owned(), scanner_version, scanned_at, findings })
}

/// Refuses a report none of whose results are about packages: it looked for no vulnerabilities, so that it is no scan
/// that found none.
///
/// # Errors
/// `EVIDENCE_UNKNOWN`.
fn check_classes(classes: &BTreeSet<String>) -> Result<(), EvidenceError> {
    if PACKAGE_CLASSES.iter().any(|class| classes.contains(*class)) {
        return Ok(());
    }
    let found: Vec<String> = classes.iter().take(5).map(|class| format!("`{}`", excerpt(class))).collect();
    let found = match found.is_empty() {
        true => "say of no class what was looked for".to_owned(),
        false => format!("are of the class {} alone", found.join(", ")),
    };
    Err(EvidenceError::new(
        "EVIDENCE_UNKNOWN",
        format!(
            "this report of Trivy is no vulnerability scan: its results {found}, and not `os-pkgs` or `lang-pkgs`; make \
             one with `trivy image --scanners vuln --format json`, or with `trivy fs`, and hand that in"
        ),
    ))
}

/// Refuses more findings than `limits.findings_per_report`.
///
/// # Errors
/// `TOO_MANY_FINDINGS`.
pub(crate) fn check_count(so_far: usize, more: usize, limits: &Limits) -> Result<(), EvidenceError> {
    match so_far.saturating_add(more) <= limits.findings_per_report {
        true => Ok(()),
        false => Err(EvidenceError::new(
            "TOO_MANY_FINDINGS",
            format!("more than {} findings in one report", limits.findings_per_report),
        )),
    }
}

fn finding(vulnerability: &Object<'_>) -> Result<Finding, EvidenceError> {
    let severity = match vulnerability.text("Severity")? {
        None => Severity::Unknown,
        Some(word) => severity::from_word(word).ok_or_else(|| {
            vulnerability.fault_at("Severity", &format!("is `{}`, which is no severity", excerpt(word)))
        })?,
    };
    let purl = match vulnerability.object("PkgIdentifier")? {
        Some(identifier) => identifier.text_or_empty("PURL")?.map(str::to_owned),
        None => None,
    };
    // Several fixed versions stand in one text, separated by commas.
    let fixes = vulnerability.text("FixedVersion")?.unwrap_or_default().split(',').map(str::trim);
    let fixes: Vec<String> = fixes.filter(|fix| !fix.is_empty()).map(str::to_owned).collect();
    let word = vulnerability.text("Status")?.unwrap_or_default();
    Ok(Finding {
        id: vulnerability.required_text("VulnerabilityID")?.to_owned(),
        package: vulnerability.required_text("PkgName")?.to_owned(),
        version: vulnerability.text("InstalledVersion")?.unwrap_or_default().to_owned(),
        fixed: fixes.first().cloned(),
        // Without a fixed version there is none, unless the status says otherwise.
        fix_unknown: fixes.is_empty() && matches!(word, "fixed" | "unknown"),
        fixed_versions: if fixes.len() > 1 { fixes } else { Vec::new() },
        severity,
        severity_source: vulnerability.text_or_empty("SeveritySource")?.map(str::to_owned),
        cvss: highest_score(vulnerability)?,
        disclosed_at: vulnerability.moment_or_zero("PublishedDate")?,
        purl,
        vex: status(word),
        pointer: Some(vulnerability.pointer()),
        ..Finding::default()
    })
}

/// Whether the vendor says that the package is affected; `fixed` only tells that another version is not.
fn status(word: &str) -> Option<VexStatus> {
    match word {
        "not_affected" => Some(VexStatus::NotAffected),
        "under_investigation" => Some(VexStatus::UnderInvestigation),
        "affected" | "will_not_fix" | "fix_deferred" | "end_of_life" => Some(VexStatus::Affected),
        _ => None,
    }
}

/// The highest score of any source; one of version 2 only where there is no newer one.
fn highest_score(vulnerability: &Object<'_>) -> Result<Option<Cvss>, EvidenceError> {
    let Some(sources) = vulnerability.object_or_null("CVSS")? else { return Ok(None) };
    let of = |score: &str, vector: &str| {
        let scores = sources.fields().iter().filter_map(|(source, entry)| {
            let vector = entry.get(vector).and_then(Value::as_str);
            cvss::score(
                entry.get(score).and_then(cvss::tenths).filter(|tenths| *tenths > 0),
                vector,
                Some(source.as_str()),
            )
        });
        scores.max()
    };
    let newer = of("V3Score", "V3Vector").max(of("V40Score", "V40Vector"));
    Ok(newer.or_else(|| of("V2Score", "V2Vector")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn report(vulnerability: Value) -> Value {
        json!({
            "SchemaVersion": 2,
            "Trivy": {"Version": "0.74.0"},
            "CreatedAt": "2026-11-20T10:00:00.5+02:00",
            "ArtifactName": "app.tar.gz",
            "ArtifactType": "filesystem",
            "Results": [
                {"Target": "a", "Class": "os-pkgs"},
                {"Target": "b", "Class": "lang-pkgs", "Vulnerabilities": [vulnerability]},
            ],
        })
    }

    fn vulnerability() -> Value {
        json!({
            "VulnerabilityID": "CVE-2026-0001",
            "PkgName": "openssl",
            "PkgIdentifier": {"PURL": "pkg:deb/debian/openssl@3.0.1"},
            "InstalledVersion": "3.0.1",
            "FixedVersion": "3.0.2, 3.1.0",
            "Severity": "CRITICAL",
            "PublishedDate": "2026-11-01T00:00:00Z",
            "SeveritySource": "debian",
            "Status": "will_not_fix",
            "CVSS": {
                "ghsa": {"V3Score": 8.1, "V3Vector": "CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:U/C:H/I:H/A:H"},
                "nvd": {"V2Score": 10, "V3Score": 9.8, "V3Vector": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"},
            },
        })
    }

    #[test]
    fn reads_findings() {
        let read = read(&report(vulnerability()), &Limits::DEFAULT).unwrap();
        assert_eq!(read.scanner, "trivy");
        assert_eq!(read.scanner_version.as_deref(), Some("0.74.0"));
        assert_eq!(read.scanned_at, Some("2026-11-20T08:00:00.5Z".parse().unwrap()));
        assert_eq!(
            read.findings,
            [Finding {
                id: "CVE-2026-0001".to_owned(),
                package: "openssl".to_owned(),
                version: "3.0.1".to_owned(),
                fixed: Some("3.0.2".to_owned()),
                severity: Severity::Critical,
                disclosed_at: Some("2026-11-01T00:00:00Z".parse().unwrap()),
                purl: Some("pkg:deb/debian/openssl@3.0.1".to_owned()),
                fixed_versions: vec!["3.0.2".to_owned(), "3.1.0".to_owned()],
                severity_source: Some("debian".to_owned()),
                vex: Some(VexStatus::Affected),
                cvss: Some(Cvss {
                    score_tenths: 98,
                    vector: Some("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H".to_owned()),
                    source: Some("nvd".to_owned()),
                }),
                pointer: Some("/Results/1/Vulnerabilities/0".to_owned()),
                ..Finding::default()
            }]
        );
    }

    #[test]
    fn a_fix_is_never_lost() {
        let check = |text: &str, fixed: Option<&str>, count: usize| {
            let mut value = vulnerability();
            value["FixedVersion"] = json!(text);
            let read = read(&report(value), &Limits::DEFAULT).unwrap();
            let [only] = read.findings.as_slice() else { panic!("{read:?}") };
            assert_eq!((only.fixed.as_deref(), only.fixed_versions.len()), (fixed, count), "{text}");
        };
        check("", None, 0);
        check("3.0.2", Some("3.0.2"), 0);
        check(", 3.0.2", Some("3.0.2"), 0);
        check("3.0.2,3.1.0", Some("3.0.2"), 2);
    }

    #[test]
    fn without_a_fixed_version_there_is_none_unless_the_status_says_otherwise() {
        let check = |fixed: &str, status: Option<&str>, unknown: bool, unfixed: bool| {
            let mut value = vulnerability();
            value["FixedVersion"] = json!(fixed);
            match status {
                Some(word) => value["Status"] = json!(word),
                None => drop(value.as_object_mut().unwrap().remove("Status")),
            }
            let read = read(&report(value), &Limits::DEFAULT).unwrap();
            let [only] = read.findings.as_slice() else { panic!("{read:?}") };
            assert_eq!((only.fix_unknown, only.is_unfixed()), (unknown, unfixed), "{fixed} {status:?}");
        };
        for word in ["affected", "will_not_fix", "fix_deferred", "end_of_life", "under_investigation", "not_affected"] {
            check("", Some(word), false, true);
            check("3.0.2", Some(word), false, false);
        }
        for word in ["fixed", "unknown"] {
            check("", Some(word), true, false);
            check("3.0.2", Some(word), false, false);
        }
        check("", None, false, true);
    }

    #[test]
    fn absent_is_not_null_and_not_zero() {
        let check = |pointer: &str, replacement: Value, code: &str| {
            let mut value = report(vulnerability());
            *value.pointer_mut(pointer).unwrap() = replacement;
            assert_eq!(read(&value, &Limits::DEFAULT).unwrap_err().code, code, "{pointer}");
        };
        check("/SchemaVersion", json!(1), "REPORT_VERSION");
        check("/SchemaVersion", json!("2"), "REPORT_VERSION");
        check("/SchemaVersion", json!(2.5), "REPORT_VERSION");
        check("/Results", json!(null), "EVIDENCE_MALFORMED");
        check("/Results", json!({}), "EVIDENCE_MALFORMED");
        check("/Results/1", json!([]), "EVIDENCE_MALFORMED");
        check("/Results/1/Vulnerabilities", json!(null), "EVIDENCE_MALFORMED");
        check("/Results/1/Vulnerabilities", json!({}), "EVIDENCE_MALFORMED");
        check("/Results/1/Vulnerabilities/0", json!("CVE-2026-0001"), "EVIDENCE_MALFORMED");
        check("/Results/1/Vulnerabilities/0/Severity", json!("SEVERE"), "EVIDENCE_MALFORMED");
        check("/Results/1/Vulnerabilities/0/Severity", json!(9), "EVIDENCE_MALFORMED");
        check("/Results/1/Vulnerabilities/0/VulnerabilityID", json!(""), "EVIDENCE_MALFORMED");
        check("/Results/1/Vulnerabilities/0/FixedVersion", json!(["3"]), "EVIDENCE_MALFORMED");
        check("/Results/1/Vulnerabilities/0/PublishedDate", json!("2026-11-01"), "EVIDENCE_TIME");
        assert!(read(&json!({"SchemaVersion": 2}), &Limits::DEFAULT).is_err());
        let few = Limits { findings_per_report: 0, ..Limits::DEFAULT };
        assert_eq!(read(&report(vulnerability()), &few).unwrap_err().code, "TOO_MANY_FINDINGS");
    }

    #[test]
    fn what_looked_for_no_vulnerabilities_is_no_clean_scan() {
        let of = |results: Value| {
            let value = json!({
                "SchemaVersion": 2,
                "ArtifactName": "app.tar.gz",
                "ArtifactType": "filesystem",
                "Results": results,
            });
            read(&value, &Limits::DEFAULT)
        };
        let class = |class: &str| json!({"Target": "a", "Class": class});
        for other in ["config", "secret", "license", "license-file", "custom", "OS-PKGS", ""] {
            let refused = of(json!([class(other)])).unwrap_err();
            assert_eq!(refused.code, "EVIDENCE_UNKNOWN", "{other}");
            assert!(refused.message.contains("trivy image --scanners vuln"), "{}", refused.message);
        }
        assert_eq!(of(json!([class("config"), class("secret")])).unwrap_err().code, "EVIDENCE_UNKNOWN");
        assert_eq!(of(json!([{"Target": "a"}])).unwrap_err().code, "EVIDENCE_UNKNOWN");
        assert_eq!(of(json!([{"Target": "a", "Class": 1}])).unwrap_err().code, "EVIDENCE_MALFORMED");
        // A report may hold several kinds of results, and what is listed was looked for.
        for packages in ["os-pkgs", "lang-pkgs"] {
            assert!(of(json!([class(packages)])).unwrap().findings.is_empty(), "{packages}");
            assert!(of(json!([class("config"), class(packages)])).unwrap().findings.is_empty(), "{packages}");
        }
        assert_eq!(of(json!([{"Target": "a", "Vulnerabilities": [vulnerability()]}])).unwrap().findings.len(), 1);
    }

    #[test]
    fn a_report_without_results_says_what_it_looked_at() {
        let check = |value: Value, expected: Result<usize, &str>| {
            let read = read(&value, &Limits::DEFAULT);
            let found = read.as_ref().map(|scan| scan.findings.len()).map_err(|error| error.code);
            assert_eq!(found, expected, "{value}");
        };
        check(json!({"SchemaVersion": 2, "ArtifactName": "a", "ArtifactType": "filesystem"}), Ok(0));
        check(json!({"SchemaVersion": 2, "ArtifactName": "a", "ArtifactType": "filesystem", "Results": []}), Ok(0));
        check(json!({"SchemaVersion": 2, "ArtifactName": "x"}), Err("EVIDENCE_MALFORMED"));
        check(json!({"SchemaVersion": 2, "ArtifactName": "x", "Results": []}), Err("EVIDENCE_MALFORMED"));
        check(json!({"SchemaVersion": 2, "ArtifactName": "x", "ArtifactType": ""}), Err("EVIDENCE_MALFORMED"));
    }
}
