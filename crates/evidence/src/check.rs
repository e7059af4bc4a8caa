//! Named checks (`https://lockgate.dev/check/v1`): accessibility, compatibility, licence review and whatever else a
//! tool or a person looks at and answers with a word.

use lockgate_model::facts::{CheckOutcome, NamedCheck};
use serde_json::Value;

use crate::error::{EvidenceError, excerpt};
use crate::own;

/// How long a check's name may be.
const NAME_BYTES: usize = 64;
/// How much of its detail is kept.
const DETAIL_CHARS: usize = 2000;

/// Reads a document.
///
/// # Errors
/// `REPORT_VERSION`, `EVIDENCE_MALFORMED`, `EVIDENCE_TIME`.
pub(crate) fn read(value: &Value) -> Result<NamedCheck, EvidenceError> {
    let fields = ["name", "outcome", "detail", "tool", "tool_version", "checked_at"];
    let root = own::open(value, own::CHECK, &fields)?;
    let name = root.required_text("name")?;
    if !is_name(name) {
        return Err(
            root.fault_at("name", &format!("must be 1 to {NAME_BYTES} of a-z, 0-9 and -, such as `accessibility`"))
        );
    }
    let outcome = match root.required_text("outcome")? {
        "pass" => CheckOutcome::Pass,
        "warn" => CheckOutcome::Warn,
        "fail" => CheckOutcome::Fail,
        "not-run" => CheckOutcome::NotRun,
        other => {
            return Err(root.fault_at("outcome", &format!("is `{}`, not pass, warn, fail or not-run", excerpt(other))));
        }
    };
    Ok(NamedCheck {
        name: name.to_owned(),
        outcome,
        detail: root.text_or_empty("detail")?.map(beginning),
        tool: root.label("tool")?.map(str::to_owned),
        tool_version: root.label("tool_version")?.map(str::to_owned),
        checked_at: root.moment("checked_at")?,
    })
}

fn beginning(text: &str) -> String {
    match text.len() <= DETAIL_CHARS {
        true => text.to_owned(),
        false => text.chars().take(DETAIL_CHARS).collect(),
    }
}

fn is_name(text: &str) -> bool {
    (1..=NAME_BYTES).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_an_outcome() {
        for (word, outcome) in [
            ("pass", CheckOutcome::Pass),
            ("warn", CheckOutcome::Warn),
            ("fail", CheckOutcome::Fail),
            ("not-run", CheckOutcome::NotRun),
        ] {
            let claim = read(&json!({"name": "accessibility", "outcome": word, "tool": "axe"})).unwrap();
            assert_eq!((claim.outcome, claim.outcome.as_str()), (outcome, word));
        }
    }

    #[test]
    fn keeps_the_beginning_of_a_long_detail() {
        for (length, kept) in [(1, 1), (1999, 1999), (2000, 2000), (2001, 2000)] {
            for letter in ["a", "\u{e9}"] {
                let claim = read(&json!({"name": "a", "outcome": "pass", "detail": letter.repeat(length)})).unwrap();
                assert_eq!(claim.detail, Some(letter.repeat(kept)));
            }
        }
    }

    #[test]
    fn refuses_what_is_no_outcome() {
        for bad in [
            json!({"name": "accessibility"}),
            json!({"outcome": "pass"}),
            json!({"name": "accessibility", "outcome": "passed"}),
            json!({"name": "accessibility", "outcome": true}),
            json!({"name": "Accessibility", "outcome": "pass"}),
            json!({"name": "a b", "outcome": "pass"}),
            json!({"name": "a".repeat(65), "outcome": "pass"}),
            json!({"name": "a", "outcome": "pass", "result": "fail"}),
            json!({"name": "a", "outcome": "pass", "Outcome": "fail"}),
        ] {
            let code = read(&bad).unwrap_err().code;
            assert!(matches!(code, "EVIDENCE_MALFORMED" | "DUPLICATE_KEY"), "{bad} {code}");
        }
    }
}
