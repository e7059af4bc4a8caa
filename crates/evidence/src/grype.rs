//! Grype's JSON report (`grype/presenter/models` of anchore/grype).
//!
//! Only `matches[]` count; `ignoredMatches[]` are what the caller had Grype ignore, and are not findings.

use lockgate_model::Limits;
use lockgate_model::facts::{Finding, Severity, Vulnerabilities};
use serde_json::Value;

use crate::document::Object;
use crate::error::{EvidenceError, excerpt};
use crate::{severity, trivy};

/// Reads a whole report.
///
/// # Errors
/// `EVIDENCE_MALFORMED`, `EVIDENCE_TIME`, `TOO_MANY_FINDINGS`, `DUPLICATE_KEY`.
pub(crate) fn read(value: &Value, limits: &Limits) -> Result<Vulnerabilities, EvidenceError> {
    let root = Object::root(value)?;
    let descriptor = root.required_object("descriptor")?;
    let matches = root.required_list("matches")?;
    trivy::check_count(0, matches.len(), limits)?;
    let findings = matches.objects().map(|found| finding(&found?)).collect::<Result<Vec<Finding>, EvidenceError>>()?;
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
    Ok(Finding {
        id: vulnerability.required_text("id")?.to_owned(),
        package: artifact.required_text("name")?.to_owned(),
        version: artifact.text("version")?.unwrap_or_default().to_owned(),
        fixed: first_fix(&vulnerability)?,
        severity,
        disclosed_at: None,
        purl: artifact.text_or_empty("purl")?.map(str::to_owned),
    })
}

/// The first of `fix.versions`, which means something only when `fix.state` is `fixed`.
fn first_fix(vulnerability: &Object<'_>) -> Result<Option<String>, EvidenceError> {
    let Some(fix) = vulnerability.object("fix")? else { return Ok(None) };
    if fix.text("state")? != Some("fixed") {
        return Ok(None);
    }
    let Some(versions) = fix.list("versions")? else { return Ok(None) };
    let first = versions.texts().next().transpose()?;
    Ok(first.filter(|version| !version.is_empty()).map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn report() -> Value {
        json!({
            "matches": [
                {
                    "vulnerability": {"id": "CVE-2026-0001", "severity": "Critical", "fix": {"versions": ["3.0.2", "3.1.0"], "state": "fixed"}},
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
