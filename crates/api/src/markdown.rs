//! Markdown: a release diff as text for a change ticket.
//!
//! What comes from elsewhere stands in code spans, where no link, image, mention or markup of it comes alive.

use std::fmt::Write as _;

use lockgate_model::text::visible;

use crate::wire::{ArtifactRef, ComponentRow, DiffConfiguration, DiffFinding, DiffGate, DiffReply, DiffTests, GateRow};

/// How many rows of one table are written; of more, how many they are.
const ROWS: usize = 200;

/// What is said below a list with findings that are no longer reported.
pub const UNREPORTED: &str = "No longer reported is not fixed: no scanner that reported it has looked at all artifacts \
                              again, and nothing says that the package is gone";

/// A release diff as GitHub Flavored Markdown, without a word of its own beyond what the reply says.
pub fn diff(diff: &DiffReply) -> String {
    let mut text = format!("## {} → {}\n\n", code(&diff.from.to_string()), code(&diff.to.to_string()));
    text.push_str(&sides(diff));
    if let Some(environment) = &diff.environment {
        let _ = write!(text, "\n### Gates of {}\n\n", code(environment.as_str()));
        match diff.gates.is_empty() {
            true => text.push_str("No gate answers otherwise.\n"),
            false => text.push_str(&table(
                &["gate", "before", "after", "reason", "found"],
                diff.gates.iter().map(gate).collect(),
            )),
        }
    }
    text.push_str(&supposed(diff));
    text.push_str(&findings(diff));
    if !diff.configurations.is_empty() {
        text.push_str("\n### Configuration\n\n");
        let rows = diff.configurations.iter().map(configuration).collect();
        text.push_str(&table(&["name", "environment", "before", "after"], rows));
    }
    text.push_str("\n### Artifacts\n\n");
    match diff.artifacts_added.is_empty() && diff.artifacts_removed.is_empty() {
        true => text.push_str("The same bytes.\n"),
        false => {
            let added = diff.artifacts_added.iter().map(|one| artifact("new", one));
            let rows = added.chain(diff.artifacts_removed.iter().map(|one| artifact("gone", one))).collect();
            text.push_str(&table(&["", "artifact", "bytes", "digest"], rows));
        }
    }
    text.push_str(&components(diff));
    text
}

/// What there is one of on each side.
fn sides(diff: &DiffReply) -> String {
    let word = |text: &Option<String>| text.as_deref().map_or_else(|| "not named".to_owned(), cell);
    let rows = vec![
        vec!["repository".to_owned(), word(&diff.repositories.0), word(&diff.repositories.1)],
        vec!["commit".to_owned(), word(&diff.commits.0), word(&diff.commits.1)],
        vec!["bytes".to_owned(), diff.size_bytes.0.to_string(), diff.size_bytes.1.to_string()],
        vec!["tests".to_owned(), tests(diff.tests.0), tests(diff.tests.1)],
        vec!["coverage".to_owned(), share(diff.coverage.0), share(diff.coverage.1)],
    ];
    table(&["", "before", "after"], rows)
}

fn tests(tests: Option<DiffTests>) -> String {
    tests.map_or_else(
        || "none".to_owned(),
        |tests| format!("{} passed, {} failed, {} skipped", tests.passed, tests.failed, tests.skipped),
    )
}

/// A share in hundredths of a percent.
fn share(basis_points: Option<u64>) -> String {
    basis_points.map_or_else(|| "none".to_owned(), |share| format!("{}.{:02} %", share / 100, share % 100))
}

fn gate(gate: &DiffGate) -> Vec<String> {
    let word = |outcome: &Option<String>| outcome.as_deref().map_or_else(|| "—".to_owned(), cell);
    vec![cell(&gate.gate), word(&gate.before), word(&gate.after), cell(&gate.reason), cell(&gate.found)]
}

/// What would be decided on the second release.
fn supposed(diff: &DiffReply) -> String {
    let Some((environment, supposed)) = diff.environment.as_ref().zip(diff.supposed.as_ref()) else {
        return String::new();
    };
    let (objecting, passing) = supposed.objecting_and_passing();
    let mut text = format!("\n### What happens if it is promoted into {}\n\n", code(environment.as_str()));
    let (outcome, pass, object) = (code(&supposed.outcome), passing.len(), objecting.len());
    let _ = writeln!(
        text,
        "{outcome} as of the comparison, before anybody has approved: of the gates {pass} would pass, {object} would not."
    );
    if !objecting.is_empty() {
        let row = |gate: &&GateRow| vec![cell(&gate.gate), cell(&gate.outcome), cell(&gate.reason), cell(&gate.found)];
        text.push('\n');
        text.push_str(&table(&["gate", "outcome", "reason", "found"], objecting.iter().map(row).collect()));
    }
    text
}

fn findings(diff: &DiffReply) -> String {
    let mut text = "\n### Findings\n\n".to_owned();
    if !(diff.scans.0 && diff.scans.1) {
        text.push_str("Not both were scanned: this says nothing about what nobody looked for.\n\n");
    }
    if diff.findings_added.is_empty() && diff.findings_fixed.is_empty() && diff.findings_unreported.is_empty() {
        text.push_str("No finding differs.\n");
        return text;
    }
    let row = |word: &str, finding: &DiffFinding| {
        let fixed = finding.fixed.as_deref().map_or_else(|| "—".to_owned(), cell);
        vec![word.to_owned(), cell(&finding.id), cell(&finding.severity), cell(&finding.package), fixed]
    };
    let added = diff.findings_added.iter().map(|one| row("new", one));
    let fixed = diff.findings_fixed.iter().map(|one| row("fixed", one));
    let unreported = diff.findings_unreported.iter().map(|one| row("no longer reported", one));
    let rows = added.chain(fixed).chain(unreported).collect();
    text.push_str(&table(&["", "finding", "severity", "package", "fixed in"], rows));
    if !diff.findings_unreported.is_empty() {
        text.push_str(&format!("\n{UNREPORTED}.\n"));
    }
    text
}

fn configuration(one: &DiffConfiguration) -> Vec<String> {
    let digest = |digest: Option<lockgate_model::Digest>| {
        digest.map_or_else(|| "none".to_owned(), |digest| cell(&digest.to_string()))
    };
    let place = one.environment.as_deref().map_or_else(|| "—".to_owned(), cell);
    vec![cell(&one.name), place, digest(one.before), digest(one.after)]
}

fn artifact(word: &str, one: &ArtifactRef) -> Vec<String> {
    vec![word.to_owned(), cell(&one.name), one.size_bytes.to_string(), cell(&one.digest.to_string())]
}

fn components(diff: &DiffReply) -> String {
    let mut text = "\n### Components\n\n".to_owned();
    if !(diff.sboms.0 && diff.sboms.1) {
        text.push_str("Not both have a bill of materials: this says nothing about what is missing.\n\n");
    }
    if diff.components.is_empty() {
        text.push_str("No component differs.\n");
        return text;
    }
    let row = |one: &ComponentRow| {
        let word = |text: &Option<String>| text.as_deref().map_or_else(|| "—".to_owned(), cell);
        vec![cell(&one.name), word(&one.before), word(&one.after), word(&one.licence_before), word(&one.licence_after)]
    };
    let heads = ["component", "before", "after", "licence before", "licence after"];
    text.push_str(&table(&heads, diff.components.iter().map(row).collect()));
    text
}

/// A table of so many rows at most.
fn table(heads: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut text = format!("| {} |\n|{}\n", heads.join(" | "), "---|".repeat(heads.len()));
    for row in rows.iter().take(ROWS) {
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
    if let Some(more) = rows.len().checked_sub(ROWS).filter(|more| *more > 0) {
        let _ = write!(text, "\nAnd {more} more, which are not listed here.\n");
    }
    text
}

/// Text as a code span.
fn code(text: &str) -> String {
    match text.trim().is_empty() {
        true => "—".to_owned(),
        false => format!("`{}`", visible(text).replace('`', "'")),
    }
}

/// Text as a code span in a table, where a bar would end the cell; a backslash, which might free the bar after it again,
/// is written as the sign that looks like it.
fn cell(text: &str) -> String {
    code(text).replace('\\', "\u{2216}").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Supposed;

    #[test]
    fn text_from_elsewhere_stays_in_its_cell() {
        let check = |text: &str, wanted: &str| assert_eq!(cell(text), wanted, "{text}");
        check("MIT", "`MIT`");
        check("a|b", "`a\\|b`");
        check("a\\|b", "`a\u{2216}\\|b`");
        check("`](http://x) @team", "`'](http://x) @team`");
        check("two\nlines", "`two\u{2216}u{a}lines`");
        check(" ", "—");
        assert_eq!(code("a|b"), "`a|b`");
    }

    #[test]
    fn long_tables_are_cut_and_say_so() {
        let rows = |count: usize| (0..count).map(|at| vec![at.to_string()]).collect::<Vec<_>>();
        let text = table(&["n"], rows(ROWS + 3));
        assert_eq!(text.lines().count(), 2 + ROWS + 2, "{text}");
        assert!(text.ends_with("And 3 more, which are not listed here.\n"), "{text}");
        assert!(!table(&["n"], rows(ROWS)).contains("more"));
    }

    #[test]
    fn a_comparison_reads_as_a_ticket() {
        let gate = |name: &str, outcome: &str| GateRow {
            gate: name.to_owned(),
            kind: "approvals".to_owned(),
            outcome: outcome.to_owned(),
            reason: "QUORUM_NOT_MET".to_owned(),
            file: "gates.toml".to_owned(),
            line: 14,
            needed: String::new(),
            found: "0 of 1".to_owned(),
            evidence: Vec::new(),
            who: String::new(),
            fix: String::new(),
        };
        let reply = DiffReply {
            from: "shop/web@1.4.2".parse().unwrap(),
            to: "shop/web@1.5.0".parse().unwrap(),
            repositories: (None, None),
            commits: (None, Some("abc".to_owned())),
            artifacts_removed: Vec::new(),
            artifacts_added: Vec::new(),
            size_bytes: (0, 2048),
            sboms: (true, false),
            components: Vec::new(),
            scans: (true, true),
            findings_added: vec![DiffFinding {
                id: "CVE-2026-1".to_owned(),
                package: "pkg:npm/a".to_owned(),
                version: "1".to_owned(),
                severity: "high".to_owned(),
                fixed: None,
            }],
            findings_fixed: Vec::new(),
            findings_unreported: vec![DiffFinding {
                id: "CVE-2026-2".to_owned(),
                package: "pkg:npm/b".to_owned(),
                version: "1".to_owned(),
                severity: "low".to_owned(),
                fixed: None,
            }],
            tests: (None, Some(DiffTests { passed: 12, failed: 0, skipped: 1 })),
            coverage: (Some(8_050), None),
            configurations: Vec::new(),
            environment: Some("production".parse().unwrap()),
            gates: Vec::new(),
            supposed: Some(Supposed {
                outcome: "pending".to_owned(),
                gates: vec![gate("built", "pass"), gate("a|b", "pending")],
            }),
        };
        let text = diff(&reply);
        for wanted in [
            "## `shop/web@1.4.2` → `shop/web@1.5.0`\n",
            "| commit | not named | `abc` |",
            "| tests | none | 12 passed, 0 failed, 1 skipped |",
            "| coverage | 80.50 % | none |",
            "### Gates of `production`\n\nNo gate answers otherwise.",
            "`pending` as of the comparison, before anybody has approved: of the gates 1 would pass, 1 would not.",
            "| `a\\|b` | `pending` | `QUORUM_NOT_MET` | `0 of 1` |",
            "| new | `CVE-2026-1` | `high` | `pkg:npm/a` | — |",
            "| no longer reported | `CVE-2026-2` | `low` | `pkg:npm/b` | — |",
            "No longer reported is not fixed: no scanner",
            "The same bytes.",
            "Not both have a bill of materials",
        ] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
        let nowhere = diff(&DiffReply { environment: None, ..reply });
        assert!(!nowhere.contains("### Gates") && !nowhere.contains("promoted"), "{nowhere}");
    }
}
