//! Vulnerability scans as statements: in-toto `vulns` 0.1 and 0.2, and cosign's older form around a raw report.

use lockgate_model::Limits;
use lockgate_model::facts::{Cvss, Finding, Severity, Vulnerabilities};
use serde_json::Value;

use crate::document::Object;
use crate::error::EvidenceError;
use crate::{cvss, grype, severity, trivy};

/// Reads an in-toto predicate (`spec/predicates/vulns_02.md`). It names no packages, so the findings have none. Their
/// pointers lead into the predicate, as those of every statement do.
///
/// # Errors
/// `EVIDENCE_MALFORMED`, `EVIDENCE_TIME`, `TOO_MANY_FINDINGS`, `DUPLICATE_KEY`.
pub(crate) fn in_toto(predicate: &Value, limits: &Limits) -> Result<Vulnerabilities, EvidenceError> {
    let root = Object::root(predicate)?;
    let scanner = root.required_object("scanner")?;
    let metadata = root.required_object("metadata")?;
    let Some(scanned_at) = metadata.end_of("scanStartedOn", "scanFinishedOn")? else {
        return Err(metadata.fault("has no `scanFinishedOn`"));
    };
    let results = scanner.required_list("result")?;
    trivy::check_count(0, results.len(), limits)?;
    let findings =
        results.objects().map(|result| finding(&result?)).collect::<Result<Vec<Finding>, EvidenceError>>()?;
    Ok(Vulnerabilities {
        scanner: scanner_name(scanner.required_text("uri")?),
        scanner_version: scanner.text_or_empty("version")?.map(str::to_owned),
        scanned_at: Some(scanned_at),
        findings,
    })
}

/// Reads cosign's predicate, whose `scanner.result` is the scanner's own report: Trivy's or Grype's.
///
/// # Errors
/// As [`in_toto`], and `EVIDENCE_MALFORMED` for another scanner's report.
pub(crate) fn cosign(predicate: &Value, limits: &Limits) -> Result<Vulnerabilities, EvidenceError> {
    let root = Object::root(predicate)?;
    let scanner = root.required_object("scanner")?;
    let report = scanner.required_object("result")?;
    let inner = scanner.value("result")?.unwrap_or(&Value::Null);
    let mut read = if report.value("SchemaVersion")?.is_some() {
        trivy::read(inner, limits)?
    } else if report.value("matches")?.is_some() {
        grype::read(inner, limits)?
    } else {
        return Err(
            scanner.fault_at("result", "is neither a Trivy nor a Grype report: hand in the scanner's own JSON report")
        );
    };
    for finding in &mut read.findings {
        finding.pointer = finding.pointer.take().map(|pointer| format!("/scanner/result{pointer}"));
    }
    if let Some(metadata) = root.object("metadata")?
        && let Some(ended) = metadata.end_of("scanStartedOn", "scanFinishedOn")?
    {
        read.scanned_at = Some(ended);
    }
    Ok(read)
}

fn finding(result: &Object<'_>) -> Result<Finding, EvidenceError> {
    Ok(Finding {
        id: result.required_text("id")?.to_owned(),
        severity: worst(result)?,
        cvss: highest_score(result)?,
        pointer: Some(result.pointer()),
        ..Finding::default()
    })
}

/// The highest score of a method whose name says CVSS.
fn highest_score(result: &Object<'_>) -> Result<Option<Cvss>, EvidenceError> {
    let Some(list) = result.list("severity")? else { return Ok(None) };
    let mut highest: Option<Cvss> = None;
    for item in list.objects() {
        let item = item?;
        let (method, score) = (item.any_text("method")?, item.value("score")?);
        if method.is_some_and(|method| method.to_ascii_lowercase().contains("cvss")) {
            let vector = score.and_then(Value::as_str).filter(|text| text.starts_with("CVSS:"));
            highest = highest.max(cvss::score(score.and_then(cvss::tenths), vector, method));
        }
    }
    Ok(highest)
}

/// The worst of the severities given; one that cannot be understood is unknown, and so is a finding without any.
fn worst(result: &Object<'_>) -> Result<Severity, EvidenceError> {
    let Some(list) = result.list("severity")? else { return Ok(Severity::Unknown) };
    let mut worst: Option<Severity> = None;
    for item in list.objects() {
        let item = item?;
        let found = match item.value("score")? {
            None => Severity::Unknown,
            Some(Value::Number(number)) => number.as_f64().map_or(Severity::Unknown, severity::from_score),
            Some(Value::String(text)) => match text.trim().parse::<f64>() {
                Ok(score) => severity::from_score(score),
                Err(_) => severity::from_word(text).unwrap_or(Severity::Unknown),
            },
            Some(_) => return Err(item.fault_at("score", "must be a string or a number")),
        };
        worst = worst.max(Some(found));
    }
    Ok(worst.unwrap_or(Severity::Unknown))
}

/// `trivy` of `pkg:github/aquasecurity/trivy@0.74.0` or `https://github.com/aquasecurity/trivy`.
fn scanner_name(uri: &str) -> String {
    let bare = uri.split(['@', '?', '#']).next().unwrap_or(uri).trim_end_matches('/');
    bare.rsplit(['/', ':']).next().unwrap_or(bare).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn predicate(result: Value) -> Value {
        json!({
            "scanner": {"uri": "pkg:github/aquasecurity/trivy@0.74.0", "version": "0.74.0", "db": {}, "result": result},
            "metadata": {"scanStartedOn": "2026-11-20T10:00:00Z", "scanFinishedOn": "2026-11-20T10:01:00Z"},
        })
    }

    #[test]
    fn reads_in_toto_findings() {
        let check = |severities: Value, expected: Severity| {
            let read = in_toto(&predicate(json!([{"id": "CVE-2026-0001", "severity": severities}])), &Limits::DEFAULT)
                .unwrap();
            assert_eq!(read.findings[0].severity, expected, "{severities}");
            assert_eq!((read.scanner.as_str(), read.scanner_version.as_deref()), ("trivy", Some("0.74.0")));
            assert!(read.scanned_at.is_some());
        };
        check(json!([{"method": "nvd", "score": "medium"}]), Severity::Medium);
        check(json!([{"method": "cvss_score", "score": "5.2"}, {"method": "nvd", "score": "high"}]), Severity::High);
        check(json!([{"method": "cvss_score", "score": 9.8}]), Severity::Critical);
        check(
            json!([{"method": "cvss", "score": "CVSS:3.1/AV:N/AC:L"}, {"method": "nvd", "score": "low"}]),
            Severity::Unknown,
        );
        check(json!([]), Severity::Unknown);
        check(json!([{"method": "nvd"}]), Severity::Unknown);
        let scored = json!([{"id": "CVE-2026-0001", "severity": [{"method": "cvss_score", "score": "5.2"}]}]);
        let read = in_toto(&predicate(scored), &Limits::DEFAULT).unwrap();
        assert_eq!(read.findings[0].cvss.as_ref().map(|cvss| cvss.score_tenths), Some(52));
        assert_eq!(read.findings[0].pointer.as_deref(), Some("/scanner/result/0"));
    }

    #[test]
    fn refuses_what_would_hide_a_finding() {
        let check = |pointer: &str, replacement: Value, code: &str| {
            let mut value = predicate(json!([{"id": "CVE-2026-0001", "severity": []}]));
            *value.pointer_mut(pointer).unwrap() = replacement;
            assert_eq!(in_toto(&value, &Limits::DEFAULT).unwrap_err().code, code, "{pointer}");
        };
        check("/scanner/result", json!(null), "EVIDENCE_MALFORMED");
        check("/scanner/result", json!({}), "EVIDENCE_MALFORMED");
        check("/scanner/result/0", json!("CVE-2026-0001"), "EVIDENCE_MALFORMED");
        check("/scanner/result/0/id", json!(""), "EVIDENCE_MALFORMED");
        check("/scanner/result/0/severity", json!("high"), "EVIDENCE_MALFORMED");
        check("/metadata", json!({}), "EVIDENCE_MALFORMED");
        check("/metadata/scanFinishedOn", json!("2026-11-20T09:00:00Z"), "EVIDENCE_TIME");
        check("/metadata/scanFinishedOn", json!("2026-11-20"), "EVIDENCE_TIME");
    }

    #[test]
    fn reads_cosign_reports() {
        let trivy = json!({"SchemaVersion": 2, "Results": [{"Vulnerabilities": [{"VulnerabilityID": "CVE-2026-0001", "PkgName": "a", "Severity": "LOW"}]}]});
        let read = cosign(&predicate(trivy), &Limits::DEFAULT).unwrap();
        assert_eq!((read.scanner.as_str(), read.findings.len()), ("trivy", 1));
        assert_eq!(read.scanned_at, Some("2026-11-20T10:01:00Z".parse().unwrap()));
        let grype = json!({"matches": [], "descriptor": {"name": "grype", "version": "0.116.0"}});
        assert_eq!(cosign(&predicate(grype), &Limits::DEFAULT).unwrap().scanner, "grype");
        for other in [json!({}), json!([]), json!(null), json!("report"), json!({"runs": []})] {
            assert_eq!(
                cosign(&predicate(other.clone()), &Limits::DEFAULT).unwrap_err().code,
                "EVIDENCE_MALFORMED",
                "{other}"
            );
        }
    }

    #[test]
    fn scanners_have_short_names() {
        assert_eq!(scanner_name("https://github.com/anchore/grype/"), "grype");
        assert_eq!(scanner_name("pkg:github/aquasecurity/trivy@0.74.0"), "trivy");
        assert_eq!(scanner_name("Snyk"), "snyk");
    }
}
