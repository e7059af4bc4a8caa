//! What is said of policy sets: lints, coverage, what differs between two of them, and words of reasons and permissions.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lockgate_model::PersonId;
use lockgate_model::facts::Facts;
use lockgate_policy::window::LocalTime;
use lockgate_policy::{
    Changed, ItemChange, LINTS, Permission, PolicyDiff, PolicySet, Reason, coverage, decide, expiry_lint, explanation,
    line_changes, lints, policy_diff, run_tests,
};

use super::Target;
use super::policy::{Files, Refused, starter, with_file, written};
use crate::bench;
use crate::failure::{Failure, Result};
use crate::fuzz::outcome::{NotRead, Outcome};
use crate::fuzz::samples::{Samples, texts};

/// The file that is another in each input.
const FILE: &str = "gates/fuzz.toml";
/// The longest such file: gates are compared with each other, and files are read again to tell what is a default, which a
/// build without optimisation does not do in time for any more.
const FILE_BYTES: usize = 16 * 1024;

/// Every target.
///
/// # Errors
/// When a sample cannot be read.
pub fn targets(samples: &Samples) -> Result<Vec<Target>> {
    let files: Files = starter("starter")?.into_iter().filter(|(path, _)| !path.contains('/')).collect();
    let gates = [written(|path| path.starts_with("gates/"))?, samples.attacks(&["policy", "lint"])].concat();
    let facts = bench::facts()?;
    let people: BTreeSet<PersonId> = facts.people.keys().cloned().collect();
    let with = files.clone();
    let lint = Target::new("policy-lint", gates.clone(), move |input| judged(&with, input, |set| linted(set, &people)));
    let (whole, with) = (set(starter("starter")?)?, files.clone());
    let diff = Target::new("policy-diff", gates.clone(), move |input| judged(&with, input, |set| differs(&whole, set)));
    let explain =
        Target::new("policy-explain", gates.clone(), move |input| judged(&files, input, |set| explained(set, &facts)));
    let two = |pair: &[Vec<u8>]| pair.join([0u8].as_slice());
    let lines = [texts(&["a\nb\nc\0a\nc\nd", "a\n\0", "\0a", "a\r\nb\0a\nb\n"]), gates.chunks(2).map(two).collect()];
    Ok(vec![
        lint,
        diff,
        explain,
        Target::new("line-diff", lines.concat(), line_diff),
        Target::new("reason-code", texts(&["TESTS_MISSING", "REGO_BUDGET"]), Outcome::text::<Reason>),
        Target::new("permission", texts(&["read", "break-glass"]), Outcome::text::<Permission>),
        Target::new("local-time", texts(&["2026-12-20T18:00", "2026-12-20T18:00:30"]), Outcome::text::<LocalTime>),
    ])
}

fn set(files: Files) -> Result<Arc<PolicySet>> {
    let read = PolicySet::from_files(files).map_err(Refused);
    read.map(Arc::new).map_err(|refused| Failure::new(refused.to_string()))
}

/// What is made of a policy set with other gates: what it says, and what is wrong with that.
type Judged = (String, Option<String>);

fn judged(files: &Files, input: &[u8], then: impl Fn(&PolicySet) -> Judged) -> Outcome {
    if input.len() > FILE_BYTES {
        return Outcome::refused(&NotRead("it is too long to be compared".to_owned()));
    }
    let broken = RefCell::new(None::<String>);
    let mut outcome = with_file(files, FILE, input, |set| {
        let (said, problem) = then(set);
        *broken.borrow_mut() = problem;
        said
    });
    outcome.broken = broken.into_inner();
    outcome
}

/// Lints and coverage: each lint has a known code, and stands on a line that there is.
fn linted(set: &PolicySet, people: &BTreeSet<PersonId>) -> Judged {
    let mut all = lints(set, Some(people));
    all.extend(lints(set, None));
    all.extend(set.settings().expires_at.and_then(|end| expiry_lint(set, end)));
    let covered = coverage(set, &run_tests(set));
    let files = set.files();
    let mut broken = (covered.percent() > 100).then(|| "more gates are covered than there are".to_owned());
    for lint in &all {
        let lines = files.get(&lint.file).map_or(usize::MAX, |text| text.lines().count().max(1));
        if LINTS.iter().all(|(code, _)| *code != lint.code) {
            broken = Some(format!("the lint `{}` is not explained", lint.code));
        } else if lint.line.is_some_and(|line| line == 0 || line > lines) {
            broken = Some(format!("the lint `{}` stands on a line that is not there", lint.code));
        }
    }
    (format!("{all:?} {covered:?}"), broken)
}

/// What differs: nothing between a set and itself, and the same both ways.
fn differs(base: &PolicySet, set: &PolicySet) -> Judged {
    let nobody = BTreeMap::new();
    let (there, back) = (policy_diff(base, set, &nobody), policy_diff(set, base, &nobody));
    let names = |items: &[ItemChange], change: Changed| -> Vec<String> {
        items.iter().filter(|item| item.change == change).map(|item| item.name.clone()).collect()
    };
    let turned = |of: fn(&PolicyDiff) -> &[ItemChange]| {
        names(of(&there), Changed::Added) == names(of(&back), Changed::Removed)
            && names(of(&there), Changed::Removed) == names(of(&back), Changed::Added)
    };
    let broken = if !policy_diff(set, set, &nobody).is_empty() {
        Some("a policy set differs from itself".to_owned())
    } else if !turned(|diff| diff.gates.as_slice()) || !turned(|diff| diff.files.as_slice()) {
        Some("what one set has more than another, the other does not lack".to_owned())
    } else {
        None
    };
    (format!("{there:?}"), broken)
}

/// A decision in words: the outcome first, and each gate below it.
fn explained(set: &PolicySet, facts: &Facts) -> Judged {
    let decision = decide(set, facts);
    let text = explanation(&decision);
    let missing = decision.gates.iter().find(|gate| !text.contains(&format!("{} {} ", gate.outcome, gate.gate)));
    let broken = match missing {
        Some(gate) => Some(format!("an explanation leaves the gate `{}` out", gate.gate)),
        None if text.lines().next() != Some(decision.outcome.as_str()) => {
            Some("an explanation does not begin with the outcome".to_owned())
        }
        None => None,
    };
    (text, broken)
}

/// Two texts, line by line: with what is gone taken out of the one, and what is new put in, it is the other.
fn line_diff(input: &[u8]) -> Outcome {
    let Ok(text) = std::str::from_utf8(input) else { return Outcome::no_text() };
    let (old, new) = text.split_once('\0').unwrap_or((text, ""));
    let changes = line_changes(old, new);
    let mut outcome = Outcome::accepted(&changes);
    let marked: BTreeMap<(bool, usize), &str> =
        changes.iter().map(|one| ((one.added, one.line), one.text.as_str())).collect();
    let kept = |text: &str, added: bool| -> Vec<String> {
        let rest = (1..).zip(text.lines()).filter(|(at, line)| marked.get(&(added, *at)) != Some(line));
        rest.map(|(_, line)| line.to_owned()).collect()
    };
    if kept(old, false) != kept(new, true) {
        outcome.broken = Some("without the lines that differ, two texts are not the same".to_owned());
    }
    outcome
}
