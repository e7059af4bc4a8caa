//! `vectors`: what becomes of other projects' test vectors, case by case, into `docs/vectors.md`.
//!
//! The tests judge; each prints a line `vectors | set | case | outcome`, and this command makes a table of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::process::{Command, Stdio};

use crate::failure::{During as _, Failure, Result};
use crate::workspace;

/// The table, relative to the workspace's root.
const TABLE: &str = "docs/vectors.md";
/// The rooms whose tests walk vectors.
const ROOMS: [&str; 4] = ["lockgate-sign", "lockgate-tlog", "lockgate-sigstore", "lockgate-evidence"];

/// One case of a set, and what the tests saw.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Case {
    set: String,
    name: String,
    outcome: String,
}

/// Runs the tests over vectors, prints how many cases each set has, and writes the table.
///
/// # Errors
/// When a test fails, or no vectors are there.
pub fn run() -> Result<()> {
    let rooms = ROOMS.iter().flat_map(|room| ["-p", room]);
    let output = Command::new("cargo")
        .args(["test", "-q"])
        .args(rooms)
        .args(["vectors", "--", "--nocapture", "--test-threads", "1"])
        .current_dir(workspace::root())
        .stderr(Stdio::inherit())
        .output()
        .during("start `cargo`")?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        return Err(Failure::new(format!("{text}\nthe vectors are not all as expected: {}", output.status)));
    }
    let cases: BTreeSet<Case> = text.lines().filter_map(case).collect();
    if cases.is_empty() {
        return Err(Failure::new("there are no vectors; set LOCKGATE_VECTORS to their folder"));
    }
    let summary = summary(&cases);
    print!("{summary}");
    workspace::write(TABLE, &page(&summary, &cases))
}

/// A line of a test's output; the harness may have begun the line with the name of the test.
fn case(line: &str) -> Option<Case> {
    let (_, said) = line.split_once("vectors | ")?;
    let mut parts = said.splitn(3, " | ").map(ToOwned::to_owned);
    Some(Case { set: parts.next()?, name: parts.next()?, outcome: parts.next()? })
}

/// A row a set: its lines, and how many there are of each outcome.
fn summary(cases: &BTreeSet<Case>) -> String {
    let mut sets: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
    for case in cases {
        // Counts within one file are words of their own; they stand in the rows below.
        let kind = case.outcome.split(':').next().unwrap_or_default();
        let kind = if kind.starts_with(|c: char| c.is_ascii_digit()) { "counted below" } else { kind };
        *sets.entry(&case.set).or_default().entry(kind).or_default() += 1;
    }
    let mut text = "| set | cases | outcomes |\n|---|---|---|\n".to_owned();
    for (set, kinds) in &sets {
        let total: usize = kinds.values().sum();
        let kinds: Vec<String> = kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| {set} | {total} | {} |", kinds.join(", "));
    }
    text
}

fn page(summary: &str, cases: &BTreeSet<Case>) -> String {
    let mut text = format!(
        "# What becomes of other projects' vectors\n\nWritten by `cargo xtask vectors`, which runs the tests that walk \
         the vectors: a case that does not end as its source says fails them, so that no table is written. Where the \
         vectors come from stands in the tests.\n\n{summary}\n| set | case | outcome |\n|---|---|---|\n"
    );
    for Case { set, name, outcome } in cases {
        let _ = writeln!(text, "| {set} | {name} | {outcome} |");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_tests_become_rows() {
        let output = "test x ... vectors | s | a.json | accepted: spdx\nvectors | s | b | refused: NO\n3 vectors\nok\n";
        let cases: BTreeSet<Case> = output.lines().filter_map(case).collect();
        assert_eq!(cases.len(), 2);
        assert!(summary(&cases).ends_with("| s | 2 | 1 accepted, 1 refused |\n"));
        assert!(page("", &cases).ends_with("| s | a.json | accepted: spdx |\n| s | b | refused: NO |\n"));
    }
}
