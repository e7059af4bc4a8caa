//! Searches for secrets: Gitleaks' JSON and TruffleHog's JSON lines.
//!
//! What a secret is never becomes part of a claim; only the rule and the place do.

use lockgate_model::Limits;
use lockgate_model::facts::Secrets;
use serde_json::Value;

use crate::document::{self, List, Object};
use crate::error::EvidenceError;
use crate::test_result::shown;

/// How many places a claim carries.
const PLACES: usize = 20;

/// Reads a report of Gitleaks: a list, in which nothing stands when nothing was found.
///
/// # Errors
/// `EVIDENCE_MALFORMED`, `DUPLICATE_KEY`, `TOO_MANY_FINDINGS`.
pub(crate) fn gitleaks(value: &Value, limits: &Limits) -> Result<Secrets, EvidenceError> {
    let mut found = Found::new("gitleaks", None);
    for item in List::root(value)?.objects() {
        let item = item?;
        let (rule, file) = (item.required_text("RuleID")?, item.required_text("File")?);
        found.add(place(rule, Some(file), item.count("StartLine")?), None, limits)?;
    }
    Ok(found.secrets)
}

/// Reads the output of TruffleHog: one object a line, at least one.
///
/// An empty output says nothing: it is the same whether nothing was found or nothing was searched.
///
/// # Errors
/// As [`gitleaks`], and for lines that are not findings.
pub(crate) fn trufflehog(bytes: &[u8], limits: &Limits) -> Result<Secrets, EvidenceError> {
    document::check_size(bytes, limits)?;
    let mut found = Found::new("trufflehog", Some(0));
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        let at =
            |error: EvidenceError| EvidenceError::new(error.code, format!("line {}: {}", index + 1, error.message));
        let value = document::parse(line, limits).map_err(at)?;
        let (place, verified) = finding(&value).map_err(at)?;
        found.add(place, Some(verified), limits)?;
    }
    match found.secrets.found {
        0 => Err(EvidenceError::malformed(
            "there is no finding in it, which does not say that anything was searched: hand in a `https://lockgate.dev/check/v1` for a clean search",
        )),
        _ => Ok(found.secrets),
    }
}

fn finding(value: &Value) -> Result<(String, bool), EvidenceError> {
    let item = Object::root(value)?;
    let detector = item.required_text("DetectorName")?;
    let Some(verified) = item.flag("Verified")? else { return Err(item.fault("has no `Verified`")) };
    let source = item.required_object("SourceMetadata")?;
    // `Data` holds one object, named after the kind of source, such as `Git` or `Filesystem`.
    let data = source.object_or_null("Data")?;
    let inner = data.and_then(|data| data.fields().values().next()).and_then(Value::as_object);
    let file = inner.and_then(|inner| inner.get("file")).and_then(Value::as_str);
    let line = inner.and_then(|inner| inner.get("line")).and_then(Value::as_u64);
    Ok((place(detector, file, line), verified))
}

/// `rule path:line`.
fn place(rule: &str, file: Option<&str>, line: Option<u64>) -> String {
    let text = match (file, line) {
        (Some(file), Some(line)) => format!("{rule} {file}:{line}"),
        (Some(file), None) => format!("{rule} {file}"),
        (None, _) => rule.to_owned(),
    };
    shown(&text)
}

struct Found {
    secrets: Secrets,
}

impl Found {
    fn new(tool: &str, verified: Option<u64>) -> Self {
        Self { secrets: Secrets { tool: tool.to_owned(), found: 0, verified, places: Vec::new() } }
    }

    fn add(&mut self, place: String, verified: Option<bool>, limits: &Limits) -> Result<(), EvidenceError> {
        let secrets = &mut self.secrets;
        secrets.found += 1;
        if let (Some(count), Some(true)) = (secrets.verified.as_mut(), verified) {
            *count += 1;
        }
        if secrets.places.len() < PLACES {
            secrets.places.push(place);
        }
        match usize::try_from(secrets.found).is_ok_and(|found| found <= limits.findings_per_report) {
            true => Ok(()),
            false => Err(EvidenceError::new(
                "TOO_MANY_FINDINGS",
                format!("more than {} secrets in one report", limits.findings_per_report),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const LINES: &str = r#"{"SourceMetadata":{"Data":{"Git":{"commit":"c","file":"app.env","line":4}}},"DetectorName":"AWS","Verified":true,"Raw":"AKIA-never-shown","Redacted":""}

{"SourceMetadata":{"Data":{"Filesystem":{"file":"b.txt"}}},"DetectorName":"URI","Verified":false,"Raw":"also-never-shown"}"#;

    #[test]
    fn counts_findings_and_shows_no_secret() {
        let report = json!([{"RuleID": "aws-key", "File": "app.env", "StartLine": 4, "Secret": "AKIA-never-shown", "Match": "key=AKIA-never-shown", "Fingerprint": "x"}]);
        let claim = gitleaks(&report, &Limits::DEFAULT).unwrap();
        assert_eq!((claim.found, claim.verified), (1, None));
        assert_eq!(claim.places, ["aws-key app.env:4"]);
        let claim = trufflehog(LINES.as_bytes(), &Limits::DEFAULT).unwrap();
        assert_eq!((claim.found, claim.verified), (2, Some(1)));
        assert_eq!(claim.places, ["AWS app.env:4", "URI b.txt"]);
        assert!(!format!("{claim:?}").contains("never-shown"));
    }

    #[test]
    fn nothing_found_is_a_list_and_never_silence() {
        assert_eq!(gitleaks(&json!([]), &Limits::DEFAULT).unwrap().found, 0);
        for bad in [
            json!(null),
            json!({}),
            json!([null]),
            json!([{}]),
            json!([{"RuleID": "a"}]),
            json!([{"RuleID": "a", "File": "b", "StartLine": "4"}]),
        ] {
            assert_eq!(gitleaks(&bad, &Limits::DEFAULT).unwrap_err().code, "EVIDENCE_MALFORMED", "{bad}");
        }
        for bad in [
            "",
            "\n\n",
            "[]",
            "{}",
            "{\"level\":\"info-0\",\"msg\":\"finished\"}",
            "{\"DetectorName\":\"a\",\"Verified\":true}",
            "{\"DetectorName\":\"a\",\"SourceMetadata\":{}}",
            "{\"DetectorName\":\"a\",\"SourceMetadata\":{},\"Verified\":1}",
            "{\"DetectorName\":\"a\",\"SourceMetadata\":{},\"Verified\":true}\n{\"Detec",
        ] {
            assert_eq!(trufflehog(bad.as_bytes(), &Limits::DEFAULT).unwrap_err().code, "EVIDENCE_MALFORMED", "{bad}");
        }
        let few = Limits { findings_per_report: 1, ..Limits::DEFAULT };
        assert_eq!(trufflehog(LINES.as_bytes(), &few).unwrap_err().code, "TOO_MANY_FINDINGS");
    }

    #[test]
    fn names_the_first_twenty() {
        let many: Vec<Value> = (0..30).map(|line| json!({"RuleID": "r", "File": "f", "StartLine": line})).collect();
        let claim = gitleaks(&json!(many), &Limits::DEFAULT).unwrap();
        assert_eq!((claim.found, claim.places.len()), (30, 20));
    }
}
