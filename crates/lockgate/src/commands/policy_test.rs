//! Policy test: the policy set's own tests, what they cover, and the explanations that they pin.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use lockgate_api::Exit;
use lockgate_model::Limits;
use lockgate_policy::{Coverage, TestResult, coverage, run_tests, same_lines};
use serde_json::json;

use crate::commands::change::line_differences;
use crate::commands::policy_check::read_set;
use crate::failure::{Failure, Outcome};
use crate::home::{read_file, write_file};
use crate::terminal::table;
use crate::world::World;

/// How `policy test` is asked for.
#[derive(Debug, Clone, Copy)]
pub struct TestOptions {
    /// The least coverage in percent.
    pub min_coverage: Option<u64>,
    /// Whether explanations are written rather than compared.
    pub update: bool,
}

/// A file of explanations that is not what comes out.
struct Mismatch {
    file: String,
    differences: Vec<String>,
}

/// `lockgate policy test`.
///
/// # Errors
/// `POLICY_TESTS_FAILED`, `POLICY_TESTS_MISSING`, `POLICY_SNAPSHOT_DIFFERS` or `POLICY_COVERAGE_LOW`.
pub fn test(world: &World, dir: &Path, options: TestOptions) -> Outcome {
    let set = read_set(dir, "test")?;
    let results = run_tests(&set);
    let failed = results.iter().filter(|result| !result.passed).count();
    let covered = coverage(&set, &results);
    let mismatches = match options.update {
        true => {
            update(world, dir, &results)?;
            Vec::new()
        }
        false => compare(dir, &results)?,
    };
    let tests: Vec<_> = results.iter().map(|result| json!({
        "name": result.name, "file": result.file, "line": result.line, "passed": result.passed, "expected": result.expected, "found": result.found, "detail": result.detail, "explanation": result.explanation,
    })).collect();
    let snapshots: Vec<_> =
        mismatches.iter().map(|one| json!({ "file": one.file, "differences": one.differences })).collect();
    let shown = json!({
        "tests": tests, "coverage": { "percent": covered.percent(), "gates": covered.gates }, "snapshots": snapshots,
    });
    world.terminal.show(&shown, || text(&results, failed, &covered, &mismatches))?;
    if results.is_empty() {
        return Err(Failure::usage("POLICY_TESTS_MISSING", "the policy set has no tests")
            .hint("put some beside it, in tests/*.toml"));
    }
    if failed > 0 {
        return Err(Failure::new(Exit::Denied, "POLICY_TESTS_FAILED", format!("{failed} policy tests fail")));
    }
    if let Some(first) = mismatches.first() {
        let message = format!("{} is not what the tests explain", first.file);
        return Err(Failure::new(Exit::Denied, "POLICY_SNAPSHOT_DIFFERS", message)
            .hint("look at each line; if all of them are meant, run `lockgate policy test --update`"));
    }
    match options.min_coverage {
        Some(least) if covered.percent() < least => {
            let message = format!("the tests cover {}% of the gates' sides, not {least}%", covered.percent());
            Err(Failure::new(Exit::Failed, "POLICY_COVERAGE_LOW", message)
                .hint("add a test in which each gate that is listed passes, and one in which it does not"))
        }
        _ => Ok(Exit::Done),
    }
}

fn text(results: &[TestResult], failed: usize, covered: &Coverage, mismatches: &[Mismatch]) -> String {
    let row = |result: &TestResult| {
        vec![
            if result.passed { "pass" } else { "FAIL" }.to_owned(),
            format!("{}:{}", result.file, result.line),
            result.name.clone(),
            format!("expected {}, found {}", result.expected, result.found),
            if result.passed { String::new() } else { detail(result) },
        ]
    };
    let mut text = format!(
        "{}\n{} passed, {failed} failed\n",
        table(&["", "where", "test", "outcome", ""], results.iter().map(row)),
        results.len() - failed
    );
    let row = |gate: &lockgate_policy::GateCoverage| {
        vec![
            if gate.is_whole() { "" } else { "!" }.to_owned(),
            gate.gate.to_string(),
            gate.rule.to_string(),
            seen(&gate.passes),
            seen(&gate.objects),
        ]
    };
    text.push_str(&format!(
        "\n{}\n{}% of the gates' sides are covered\n",
        table(&["", "gate", "where", "seen passing", "seen objecting"], covered.gates.iter().map(row)),
        covered.percent()
    ));
    for one in mismatches {
        text.push_str(&format!("\n{}\n", one.file));
        for line in &one.differences {
            text.push_str(&format!("  {line}\n"));
        }
    }
    text
}

fn detail(result: &TestResult) -> String {
    match &result.explain {
        None => result.detail.clone(),
        Some(wanted) => line_differences(wanted.trim(), result.explanation.trim()).join("\n"),
    }
}

fn seen(tests: &[String]) -> String {
    match tests {
        [] => "never".to_owned(),
        [one] => one.clone(),
        [first, more @ ..] => format!("{first}, and {} more", more.len()),
    }
}

/// The explanations of every file of tests, as they are kept beside it.
fn snapshots(results: &[TestResult]) -> BTreeMap<String, String> {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for result in results {
        let stem = result.file.strip_suffix(".toml").unwrap_or(&result.file);
        let text = files.entry(format!("{stem}.explain.txt")).or_insert_with(|| {
            format!("What the tests of {} explain. Written by `lockgate policy test --update`.\n", result.file)
        });
        text.push_str(&format!("\n== {}\n{}", result.name, result.explanation));
    }
    files
}

fn path_of(dir: &Path, file: &str) -> PathBuf {
    file.split('/').fold(dir.to_owned(), |path, part| path.join(part))
}

fn update(world: &World, dir: &Path, results: &[TestResult]) -> Result<(), Failure> {
    for (file, text) in snapshots(results) {
        let path = path_of(dir, &file);
        let same = fs::read(&path).is_ok_and(|bytes| bytes == text.as_bytes());
        if !same {
            write_file(&path, text.as_bytes(), 0o644)?;
            world.terminal.say(format!("wrote {}", path.display()));
        }
    }
    Ok(())
}

fn compare(dir: &Path, results: &[TestResult]) -> Result<Vec<Mismatch>, Failure> {
    let mut mismatches = Vec::new();
    for (file, text) in snapshots(results) {
        let path = path_of(dir, &file);
        if !path.exists() {
            continue;
        }
        let bytes = read_file(&path, Limits::DEFAULT.policy_bytes as u64 * 4)?;
        let kept = String::from_utf8_lossy(&bytes);
        if !same_lines(&kept, &text) {
            mismatches.push(Mismatch { file, differences: line_differences(kept.trim(), text.trim()) });
        }
    }
    Ok(mismatches)
}
