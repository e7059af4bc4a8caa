//! Tests of `docs/policy.md`: every example reads, every kind of gate has one, and all of them make a policy set.

use std::collections::{BTreeMap, BTreeSet};

use crate::gate::Gate;
use crate::source::SourceFile;
use crate::{GateKind, PolicySet, STARTERS, run_tests};

const PAGE: &str = include_str!("../../../docs/policy.md");

/// The fenced examples in one language, in order.
fn examples(language: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open: Option<(bool, String)> = None;
    for line in PAGE.lines() {
        open = match (open, line.strip_prefix("```")) {
            (None, Some(word)) => Some((word == language, String::new())),
            (None, None) => None,
            (Some((wanted, text)), Some(_)) => {
                if wanted {
                    found.push(text);
                }
                None
            }
            (Some((wanted, text)), None) => Some((wanted, format!("{text}{line}\n"))),
        };
    }
    assert!(open.is_none(), "an example is not closed");
    found
}

/// The file that an example says that it is, in its first line, such as `# policy.toml`.
fn file_of(example: &str) -> Option<&str> {
    let name = example.lines().next()?.strip_prefix("# ")?;
    [".toml", ".rego", ".json"].iter().any(|end| name.ends_with(end)).then_some(name)
}

fn gates() -> Vec<String> {
    examples("toml").into_iter().filter(|text| file_of(text).is_none() && text.contains("[[gate]]")).collect()
}

#[test]
fn every_kind_of_gate_has_an_example_that_reads() {
    let mut kinds = BTreeSet::new();
    for text in gates() {
        let gates = Gate::read_file(SourceFile { path: "gates/page.toml", text: &text })
            .unwrap_or_else(|errors| panic!("{errors:#?}\n{text}"));
        kinds.extend(gates.iter().map(|gate| gate.kind.name()));
    }
    let missing: Vec<&&str> = GateKind::NAMES.iter().filter(|name| !kinds.contains(**name)).collect();
    assert!(missing.is_empty(), "docs/policy.md has no example of {missing:?}");
    for name in GateKind::NAMES {
        assert!(PAGE.contains(&format!("### `{name}`\n")), "docs/policy.md has no section about `{name}`");
    }
}

#[test]
fn all_examples_together_are_a_policy_set_that_passes_its_tests() {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for text in examples("toml").into_iter().chain(examples("rego")) {
        let path = match file_of(&text) {
            Some(path) => path.to_owned(),
            None if text.contains("[[gate]]") => "gates/page.toml".to_owned(),
            None if text.contains("[[test]]") => "tests/page.toml".to_owned(),
            None => panic!("an example is of no file:\n{text}"),
        };
        files.entry(path).or_default().push_str(&text);
    }
    let set = PolicySet::from_files(files).unwrap_or_else(|errors| panic!("{errors:#?}"));
    let results = run_tests(&set);
    assert!(results.len() >= 3, "{}", results.len());
    let failed: Vec<_> = results.iter().filter(|result| !result.passed).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn every_starter_set_is_named() {
    for (name, _) in STARTERS {
        assert!(PAGE.contains(&format!("| `{name}` |")), "docs/policy.md does not name `{name}`");
    }
}
