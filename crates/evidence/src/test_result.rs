//! The in-toto test-result predicate, version 0.1 (`spec/predicates/test-result.md`).

use lockgate_model::Limits;
use lockgate_model::facts::Tests;
use serde_json::Value;

use crate::document::Object;
use crate::error::{EvidenceError, excerpt};

/// How many names of failed tests a claim carries.
pub(crate) const FAILED_NAMES: usize = 20;

/// Reads a predicate; tests that passed with a warning have passed.
///
/// # Errors
/// `EVIDENCE_MALFORMED`, `TOO_MANY_TESTS`, `DUPLICATE_KEY`.
pub(crate) fn read(predicate: &Value, limits: &Limits) -> Result<Tests, EvidenceError> {
    let root = Object::root(predicate)?;
    let result = root.required_text("result")?;
    if !matches!(result, "PASSED" | "WARNED" | "FAILED") {
        return Err(root.fault_at("result", &format!("is `{}`, not PASSED, WARNED or FAILED", excerpt(result))));
    }
    let (passed, _) = names(&root, "passedTests")?;
    let (warned, _) = names(&root, "warnedTests")?;
    let (failed, failed_names) = names(&root, "failedTests")?;
    // A run that failed without naming a test has failed all the same.
    let failed = if result == "FAILED" { failed.max(1) } else { failed };
    let tests = Tests {
        format: "test-result".to_owned(),
        passed: passed.saturating_add(warned),
        failed,
        skipped: 0,
        failed_names,
        finished_at: None,
    };
    match usize::try_from(tests.total()).is_ok_and(|total| total <= limits.tests_per_report) {
        true => Ok(tests),
        false => Err(EvidenceError::new(
            "TOO_MANY_TESTS",
            format!("more than {} tests in one report", limits.tests_per_report),
        )),
    }
}

/// How many tests a list names, and the first of them.
fn names(root: &Object<'_>, key: &'static str) -> Result<(u64, Vec<String>), EvidenceError> {
    let (mut count, mut first) = (0, Vec::new());
    if let Some(list) = root.list(key)? {
        for name in list.texts() {
            let name = name?;
            count += 1;
            if first.len() < FAILED_NAMES {
                first.push(shown(name));
            }
        }
    }
    Ok((count, first))
}

/// A test's name, at most 200 characters of it.
pub(crate) fn shown(name: &str) -> String {
    name.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn counts_what_the_lists_name() {
        let check = |predicate: Value, expected: (u64, u64)| {
            let read = read(&predicate, &Limits::DEFAULT).unwrap();
            assert_eq!((read.passed, read.failed), expected, "{predicate}");
        };
        check(json!({"result": "PASSED", "passedTests": ["a", "b"], "warnedTests": ["c"]}), (3, 0));
        check(json!({"result": "PASSED", "passedTests": ["a"], "failedTests": ["b"]}), (1, 1));
        check(json!({"result": "FAILED"}), (0, 1));
        check(json!({"result": "FAILED", "passedTests": ["a"], "failedTests": []}), (1, 1));
        check(json!({"result": "FAILED", "failedTests": ["a", "b"]}), (0, 2));
        check(json!({"result": "PASSED"}), (0, 0));
    }

    #[test]
    fn refuses_what_it_cannot_count() {
        for bad in [
            json!({"result": "passed"}),
            json!({"result": true}),
            json!({"passedTests": ["a"]}),
            json!({"result": "PASSED", "failedTests": "b"}),
            json!({"result": "PASSED", "failedTests": null}),
            json!({"result": "PASSED", "passedTests": [1]}),
        ] {
            assert_eq!(read(&bad, &Limits::DEFAULT).unwrap_err().code, "EVIDENCE_MALFORMED", "{bad}");
        }
        let few = Limits { tests_per_report: 1, ..Limits::DEFAULT };
        let two = json!({"result": "PASSED", "passedTests": ["a", "b"]});
        assert_eq!(read(&two, &few).unwrap_err().code, "TOO_MANY_TESTS");
    }

    #[test]
    fn names_the_first_failures() {
        let names: Vec<String> = (0..30).map(|number| format!("t{number}")).collect();
        let read = read(&json!({"result": "FAILED", "failedTests": names}), &Limits::DEFAULT).unwrap();
        assert_eq!(read.failed, 30);
        assert_eq!(read.failed_names, names[..20]);
    }
}
