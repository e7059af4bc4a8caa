//! Coverage: which gates of a policy set its own tests have seen passing and objecting.

use lockgate_model::GateName;
use serde::Serialize;

use crate::decision::{GateOutcome, GateResult, Outcome, Rule};
use crate::gate::Gate;
use crate::policy_set::PolicySet;
use crate::policy_test::{PolicyTest, TestResult};

/// What tests have seen of every gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// Every gate, in the order of file and line.
    pub gates: Vec<GateCoverage>,
}

/// What tests have seen of one gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GateCoverage {
    /// The gate.
    pub gate: GateName,
    /// Where it is written.
    pub rule: Rule,
    /// The tests that would fail if it did not pass.
    pub passes: Vec<String>,
    /// The tests that would fail if it did not object: fail, wait or warn.
    pub objects: Vec<String>,
}

impl GateCoverage {
    /// Whether it is seen on both sides.
    pub fn is_whole(&self) -> bool {
        !self.passes.is_empty() && !self.objects.is_empty()
    }
}

impl Coverage {
    /// How many of the two sides of every gate are seen, in whole percent, rounded down; 100 where there is no gate.
    pub fn percent(&self) -> u64 {
        let seen = |gate: &GateCoverage| usize::from(!gate.passes.is_empty()) + usize::from(!gate.objects.is_empty());
        let sides: usize = self.gates.iter().map(seen).sum();
        let percent = (sides * 100).checked_div(self.gates.len() * 2).unwrap_or(100);
        u64::try_from(percent).unwrap_or(100)
    }
}

/// Measures what the tests of a policy set see of its gates; `results` are those of [`run_tests`](crate::run_tests).
///
/// Only tests that pass count, and only where a test depends on the gate: it names the gate in `gates` or `explain`,
/// it expects `allow`, for which every gate has to pass, or the gate alone keeps it from that.
pub fn coverage(policy: &PolicySet, results: &[TestResult]) -> Coverage {
    let tests: Vec<(&PolicyTest, &TestResult)> =
        policy.tests().iter().zip(results).filter(|(_, result)| result.passed).collect();
    let of_gate = |gate: &Gate| GateCoverage {
        gate: gate.name.clone(),
        rule: gate.rule.clone(),
        passes: seen(&tests, gate, |test, _, found| {
            found.outcome == GateOutcome::Pass && (names(test, gate) || test.expect == Outcome::Allow)
        }),
        objects: seen(&tests, gate, |test, result, found| {
            let alone = blocks(found) && result.decision.gates.iter().filter(|gate| blocks(gate)).count() == 1;
            is_objection(found.outcome) && (names(test, gate) || alone)
        }),
    };
    Coverage { gates: policy.gates().iter().map(of_gate).collect() }
}

/// The names of the tests that show something of a gate.
fn seen(
    tests: &[(&PolicyTest, &TestResult)],
    gate: &Gate,
    shows: impl Fn(&PolicyTest, &TestResult, &GateResult) -> bool,
) -> Vec<String> {
    let mut names = Vec::new();
    for (test, result) in tests {
        let found = result.decision.gates.iter().find(|found| found.gate == gate.name);
        if found.is_some_and(|found| shows(test, result, found)) {
            names.push(test.name.clone());
        }
    }
    names
}

fn names(test: &PolicyTest, gate: &Gate) -> bool {
    test.gates.contains_key(&gate.name) || test.explain.is_some()
}

fn blocks(gate: &GateResult) -> bool {
    matches!(gate.outcome, GateOutcome::Fail | GateOutcome::Pending)
}

/// Whether a gate found something to object to, whether or not that blocks.
pub(crate) fn is_objection(outcome: GateOutcome) -> bool {
    matches!(outcome, GateOutcome::Fail | GateOutcome::Pending | GateOutcome::Warn)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_tests;
    use crate::sample::{files, gate};

    fn measured(tests: &str) -> Coverage {
        let mut files = files(&gate("kind = \"tests\"\n"));
        files.insert("tests/a.toml".to_owned(), tests.to_owned());
        let set = PolicySet::from_files(files).unwrap_or_else(|errors| panic!("{errors:#?}"));
        coverage(&set, &run_tests(&set))
    }

    const GOOD: &str =
        "[[test]]\nname = \"good\"\nenvironment = \"production\"\nexpect = \"allow\"\ntests = { passed = 1 }\n";
    const BAD: &str = "[[test]]\nname = \"bad\"\nenvironment = \"production\"\nexpect = \"deny\"\n";

    #[test]
    fn a_gate_is_covered_when_it_is_seen_on_both_sides() {
        let check = |tests: &str, percent: u64, passes: &[&str], objects: &[&str]| {
            let coverage = measured(tests);
            let [gate] = <[GateCoverage; 1]>::try_from(coverage.gates.clone()).unwrap();
            assert_eq!(coverage.percent(), percent, "{tests}");
            assert_eq!((gate.passes, gate.objects), (strings(passes), strings(objects)), "{tests}");
        };
        check("", 0, &[], &[]);
        check(GOOD, 50, &["good"], &[]);
        check(BAD, 50, &[], &["bad"]);
        check(&format!("{GOOD}{BAD}"), 100, &["good"], &["bad"]);
        // A test that fails shows nothing, and neither does one of another environment.
        check(&GOOD.replace("allow", "deny"), 0, &[], &[]);
        check(&BAD.replace("production", "dev"), 0, &[], &[]);
    }

    fn strings(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn what_no_outcome_depends_on_has_to_be_named() {
        let gates = concat!(
            "[[gate]]\nname = \"g\"\nkind = \"tests\"\nenvironments = [\"production\"]\n",
            "[[gate]]\nname = \"h\"\nkind = \"sbom\"\nenvironments = [\"production\"]\n",
        );
        let objects = |test: &str| {
            let mut files = files(gates);
            files.insert("tests/a.toml".to_owned(), test.to_owned());
            let set = PolicySet::from_files(files).unwrap_or_else(|errors| panic!("{errors:#?}"));
            let coverage = coverage(&set, &run_tests(&set));
            coverage.gates.iter().map(|gate| gate.objects.len()).collect::<Vec<_>>()
        };
        assert_eq!(objects(BAD), [0, 0]);
        assert_eq!(objects(&format!("{BAD}gates = {{ g = \"fail\" }}\n")), [1, 0]);
        assert_eq!(objects(&format!("{BAD}tests = {{ passed = 1 }}\n")), [0, 1]);
    }
}
