//! Vulnerability scans as statements: in-toto `vulns` 0.1 and 0.2, and cosign's older form around a raw report.

use lockgate_model::Limits;
use lockgate_model::facts::{Cvss, Finding, Severity, Vulnerabilities};
use serde_json::Value;

use crate::document::Object;
use crate::error::EvidenceError;
use crate::{cvss, grype, severity, trivy};

/// Reads an in-toto predicate (`spec/predicates/vulns_02.md`). It names no packages, so the findings have none, and no
/// fixes, so that nobody knows whether there is one. Their pointers lead into the predicate, as those of every
/// statement do.
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

/// One result, with the worst of its severities; what cannot be understood is unknown, and so is a finding without any.
fn finding(result: &Object<'_>) -> Result<Finding, EvidenceError> {
    let mut finding = Finding {
        id: result.required_text("id")?.to_owned(),
        fix_unknown: true,
        pointer: Some(result.pointer()),
        ..Finding::default()
    };
    let Some(list) = result.list("severity")? else { return Ok(finding) };
    let mut worst: Option<(Severity, Option<&str>)> = None;
    for item in list.objects() {
        let item = item?;
        let (method, score) = (item.any_text("method")?, item.value("score")?);
        if !matches!(score, None | Some(Value::Number(_) | Value::String(_))) {
            return Err(item.fault_at("score", "must be a string or a number"));
        }
        // A probability says how likely it is exploited, and not how bad that is.
        if method.is_some_and(|method| method.eq_ignore_ascii_case("epss")) {
            finding.epss_millionths = finding.epss_millionths.max(score.and_then(probability));
            continue;
        }
        let cvss = cvss_of(method, score);
        let scored = cvss.as_ref().map(|cvss| cvss::severity_of(cvss.score_tenths));
        let word = score.and_then(Value::as_str).and_then(severity::from_word);
        // A number of another method may be a score: it is believed where it makes the finding worse.
        let feared =
            || score.and_then(cvss::tenths).map(cvss::severity_of).filter(|feared| *feared > Severity::Unknown);
        let found = scored.or(word).or_else(feared).unwrap_or_default();
        if worst.is_none_or(|(known, _)| found > known) {
            worst = Some((found, method));
        }
        finding.cvss = finding.cvss.take().max(cvss);
    }
    if let Some((severity, method)) = worst {
        finding.severity = severity;
        finding.severity_source = method.map(str::to_owned);
    }
    Ok(finding)
}

/// The score of a number whose method says CVSS, and of a vector of version 3, which says so itself.
fn cvss_of(method: Option<&str>, score: Option<&Value>) -> Option<Cvss> {
    let is_cvss = method.is_some_and(|method| method.to_ascii_lowercase().contains("cvss"));
    let number = score.filter(|_| is_cvss).and_then(cvss::tenths);
    let vector = score.and_then(Value::as_str).filter(|text| text.trim_start().starts_with("CVSS:"));
    cvss::score(number, vector, method)
}

/// A probability from 0 to 1, as a number or a text, in millionths.
fn probability(score: &Value) -> Option<u32> {
    let number = score.as_f64().or_else(|| score.as_str()?.trim().parse().ok());
    number.and_then(cvss::millionths)
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
        let check = |severities: Value, expected: Severity, source: Option<&str>| {
            let read = in_toto(&predicate(json!([{"id": "CVE-2026-0001", "severity": severities}])), &Limits::DEFAULT)
                .unwrap();
            let finding = &read.findings[0];
            assert_eq!((finding.severity, finding.severity_source.as_deref()), (expected, source), "{severities}");
            assert!(finding.fix_unknown && !finding.is_unfixed(), "{severities}");
            assert_eq!((read.scanner.as_str(), read.scanner_version.as_deref()), ("trivy", Some("0.74.0")));
            assert!(read.scanned_at.is_some());
        };
        let vector = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H";
        check(json!([{"method": "nvd", "score": "medium"}]), Severity::Medium, Some("nvd"));
        let both = json!([{"method": "cvss_score", "score": "5.2"}, {"method": "nvd", "score": "high"}]);
        check(both, Severity::High, Some("nvd"));
        check(json!([{"method": "cvss_score", "score": 9.8}]), Severity::Critical, Some("cvss_score"));
        check(json!([{"method": "CVSS_V3", "score": "9.8"}]), Severity::Critical, Some("CVSS_V3"));
        check(json!([{"method": "CVSSv3.1", "score": vector}]), Severity::Critical, Some("CVSSv3.1"));
        check(json!([{"method": "nvd", "score": vector}]), Severity::Critical, Some("nvd"));
        let lower = json!([{"method": "nvd", "score": "low"}, {"method": "cvss", "score": vector}]);
        check(lower, Severity::Critical, Some("cvss"));
        check(json!([{"method": "nvd", "score": 9.8}]), Severity::Critical, Some("nvd"));
        // A vector that is not rated, and a small number that may be anything, say nothing.
        let cut = json!([{"method": "cvss", "score": "CVSS:3.1/AV:N/AC:L"}, {"method": "nvd", "score": "low"}]);
        check(cut, Severity::Unknown, Some("cvss"));
        check(json!([{"method": "priority", "score": 2}]), Severity::Unknown, Some("priority"));
        check(json!([{"score": "2.5"}]), Severity::Unknown, None);
        check(json!([{"method": "cvss", "score": 10.1}]), Severity::Unknown, Some("cvss"));
        check(json!([{"method": "epss", "score": "0.97"}]), Severity::Unknown, None);
        let likely = json!([{"method": "EPSS", "score": 0.97}, {"method": "nvd", "score": "low"}]);
        check(likely, Severity::Low, Some("nvd"));
        check(json!([]), Severity::Unknown, None);
        check(json!([{"method": "nvd"}]), Severity::Unknown, Some("nvd"));
    }

    #[test]
    fn scores_and_probabilities_are_told() {
        let check = |severities: Value, tenths: Option<u8>, epss: Option<u32>| {
            let result = json!([{"id": "CVE-2026-0001", "severity": severities}]);
            let read = in_toto(&predicate(result), &Limits::DEFAULT).unwrap();
            let finding = &read.findings[0];
            let found = finding.cvss.as_ref().map(|cvss| cvss.score_tenths);
            assert_eq!((found, finding.epss_millionths), (tenths, epss), "{severities}");
            assert_eq!(finding.pointer.as_deref(), Some("/scanner/result/0"));
        };
        check(json!([{"method": "cvss_score", "score": "5.2"}]), Some(52), None);
        check(json!([{"method": "cvss", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H"}]), Some(75), None);
        check(json!([{"method": "cvss", "score": 7}, {"method": "cvss", "score": 4}]), Some(70), None);
        check(json!([{"method": "nvd", "score": 9.8}]), None, None);
        check(json!([{"method": "epss", "score": 0.97}, {"method": "Epss", "score": "0.00043"}]), None, Some(970_000));
        check(json!([{"method": "epss", "score": 97}]), None, None);
        check(json!([{"method": "epss"}]), None, None);
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
        check("/scanner/result/0/severity", json!([{"method": "epss", "score": true}]), "EVIDENCE_MALFORMED");
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
