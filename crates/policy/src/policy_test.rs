//! Policy tests: examples that stand beside the gates, and say what has to come of them.
//!
//! A test describes one release and what is known about it in a few words; they become facts, and the same
//! [`decide()`] answers as for a real promotion.

mod claim;
mod entry;
mod example;

use std::collections::BTreeMap;

use lockgate_model::facts::Facts;
use lockgate_model::{GateName, GroupName, PersonId, ReleaseName};
use toml::Spanned;
use toml::de::DeValue;

use self::entry::TestEntry;
use self::example::Example;
use crate::decide::decide;
use crate::decision::{Decision, GateOutcome, Outcome, Rule};
use crate::error::PolicyError;
use crate::explanation::{explanation, same_lines};
use crate::gates::Problem;
use crate::policy_set::PolicySet;
use crate::source::{SourceFile, TableEntry};

/// One example, with the outcome that is expected of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyTest {
    /// What it shows.
    pub name: String,
    /// Where it is written.
    pub rule: Rule,
    /// The outcome of the decision that is expected.
    pub expect: Outcome,
    /// The outcomes of single gates that are expected besides.
    pub gates: BTreeMap<GateName, GateOutcome>,
    /// The whole explanation that is expected besides; see [`explanation`].
    pub explain: Option<String>,
    example: Example,
}

/// What came of one policy test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestResult {
    /// The test's name.
    pub name: String,
    /// The file that it is written in.
    pub file: String,
    /// The line that it starts on, from 1.
    pub line: usize,
    /// Whether everything came out as expected.
    pub passed: bool,
    /// What was expected, such as `deny, tests fail`.
    pub expected: String,
    /// What came out, in the same form.
    pub found: String,
    /// Every gate with its outcome, reason and finding, a line each.
    pub detail: String,
    /// What came of it, whole.
    pub decision: Decision,
    /// The explanation of it, as [`explanation`] words it.
    pub explanation: String,
    /// The explanation that was expected, where the test names one that differs.
    pub explain: Option<String>,
}

/// Runs all tests of a policy set, in the order of file and line.
pub fn run_tests(policy: &PolicySet) -> Vec<TestResult> {
    policy.tests().iter().map(|test| test.run(policy)).collect()
}

impl PolicyTest {
    /// Reads the tests of one file, in the order in which they are written.
    pub(crate) fn read_file(source: SourceFile<'_>) -> Result<Vec<Self>, Vec<PolicyError>> {
        let mut tests: Vec<Self> = Vec::new();
        let mut errors = Vec::new();
        for entry in source.tables("test")? {
            match read_test(source, entry) {
                Ok(test) if tests.iter().any(|other| other.name == test.name) => errors.push(PolicyError {
                    file: test.rule.file,
                    line: Some(test.rule.line),
                    message: format!("another test of this file is named `{}` too", test.name),
                    hint: Some("give each its own name: results and differences are told by it".to_owned()),
                }),
                Ok(test) => tests.push(test),
                Err(more) => errors.extend(more),
            }
        }
        if errors.is_empty() { Ok(tests) } else { Err(errors) }
    }

    /// Names in a test that the policy set does not define.
    pub(crate) fn problems(&self, policy: &PolicySet) -> Vec<PolicyError> {
        let mut problems = Vec::new();
        let entry = &self.example.entry;
        for name in std::iter::once(&entry.environment).chain(entry.certified.keys()) {
            if policy.environment(name).is_none() {
                let known = policy.environments().iter().map(|environment| environment.name.as_str());
                problems.push(Problem::unknown("environment", name.as_str(), "environments.toml", known));
            }
        }
        let waived = entry.waivers.iter().map(|waiver| &waiver.gate);
        for name in
            self.gates.keys().chain(waived).filter(|name| !policy.gates().iter().any(|gate| gate.name == **name))
        {
            let known = policy.gates().iter().map(|gate| gate.name.as_str());
            problems.push(Problem::unknown("gate", name.as_str(), "gates/", known));
        }
        for name in entry.people.values().flatten().filter(|name| policy.group(name).is_none()) {
            let known = policy.groups().keys().map(GroupName::as_str);
            problems.push(Problem::unknown("group", name.as_str(), "people.toml", known));
        }
        for name in entry.signers().filter(|name| policy.signer(name).is_none()) {
            let known = policy.signers().iter().map(|signer| signer.name.as_str());
            problems.push(Problem::unknown("signer", name.as_str(), "trust.toml", known));
        }
        for name in entry.actors() {
            if !entry.people.contains_key(name) {
                let known = entry.people.keys().map(PersonId::as_str);
                problems.push(Problem::unknown("person", name.as_str(), "`people` of this test", known));
            }
        }
        let error = |problem: Problem| PolicyError {
            file: self.rule.file.clone(),
            line: Some(self.rule.line),
            message: format!("test `{}`: {}", self.name, problem.message),
            hint: problem.hint,
        };
        problems.into_iter().map(error).collect()
    }

    /// The facts that the test describes.
    pub fn facts(&self, policy: &PolicySet) -> Facts {
        self.example.facts(policy)
    }

    fn run(&self, policy: &PolicySet) -> TestResult {
        let decision = decide(policy, &self.facts(policy));
        let explanation = explanation(&decision);
        let explain = self.explain.clone().filter(|wanted| !same_lines(wanted, &explanation));
        let found_gates: Vec<(&GateName, Option<GateOutcome>)> =
            self.gates.keys().map(|name| (name, outcome_of(&decision, name))).collect();
        let as_expected = self.gates.iter().all(|(name, expected)| outcome_of(&decision, name) == Some(*expected));
        let line = |gate: &crate::GateResult| format!("{} {} {}: {}", gate.gate, gate.outcome, gate.reason, gate.found);
        TestResult {
            name: self.name.clone(),
            file: self.rule.file.clone(),
            line: self.rule.line,
            passed: decision.outcome == self.expect && as_expected && explain.is_none(),
            expected: worded(self.expect, self.gates.iter().map(|(name, outcome)| (name, Some(*outcome)))),
            found: worded(decision.outcome, found_gates),
            detail: decision.gates.iter().map(line).collect::<Vec<_>>().join("\n"),
            decision,
            explanation,
            explain,
        }
    }
}

fn outcome_of(decision: &Decision, name: &GateName) -> Option<GateOutcome> {
    decision.gates.iter().find(|gate| gate.gate == *name).map(|gate| gate.outcome)
}

fn worded<'a>(outcome: Outcome, gates: impl IntoIterator<Item = (&'a GateName, Option<GateOutcome>)>) -> String {
    let gates = gates.into_iter().map(|(name, outcome)| match outcome {
        Some(outcome) => format!(", {name} {outcome}"),
        None => format!(", {name} does not apply"),
    });
    std::iter::once(outcome.to_string()).chain(gates).collect()
}

fn read_test<'a>(source: SourceFile<'a>, entry: TableEntry<'a>) -> Result<PolicyTest, Vec<PolicyError>> {
    let TableEntry { line, span, table } = entry;
    let entry: TestEntry = source.read_value(Spanned::new(span, DeValue::Table(table)), &[])?;
    let wrong = |message: String| vec![source.error(Some(line), message, None)];
    let release = format!("{}@{}", entry.service, entry.version);
    let release = release.parse::<ReleaseName>().map_err(|error| wrong(error.to_string()))?;
    let requester = entry.requester.parse::<PersonId>().map_err(|error| wrong(error.to_string()))?;
    if let Some(excess) = entry.excess() {
        return Err(wrong(excess));
    }
    let rule = Rule { file: source.path.to_owned(), line };
    Ok(PolicyTest {
        name: entry.name.clone(),
        rule,
        expect: entry.expect,
        gates: entry.gates.clone(),
        explain: entry.explain.clone(),
        example: Example { release, requester, entry },
    })
}

#[cfg(test)]
mod checks {
    use super::*;
    use crate::sample::{files, gate, policy};

    fn with(test: &str) -> Result<PolicySet, Vec<PolicyError>> {
        let mut files = files(&gate("kind = \"tests\"\nmax_age = \"1h\"\n"));
        files.insert("tests/a.toml".to_owned(), test.to_owned());
        PolicySet::from_files(files)
    }

    #[test]
    fn results_say_what_was_expected_and_found() {
        let set = with(concat!(
            "[[test]]\nname = \"fresh\"\nenvironment = \"production\"\nexpect = \"allow\"\n",
            "tests = { passed = 12, age = \"59m\" }\ngates = { g = \"pass\" }\n",
            "[[test]]\nname = \"stale\"\nenvironment = \"production\"\nexpect = \"allow\"\n",
            "tests = { passed = 12, age = \"1h\" }\ngates = { g = \"pass\" }\n",
            "[[test]]\nname = \"other reason\"\nenvironment = \"dev\"\nexpect = \"deny\"\ngates = { g = \"fail\" }\n",
        ))
        .unwrap();
        let results = run_tests(&set);
        let passed: Vec<bool> = results.iter().map(|result| result.passed).collect();
        assert_eq!(passed, [true, false, false], "{results:#?}");
        let stale = &results[1];
        assert_eq!((stale.file.as_str(), stale.line), ("tests/a.toml", 7));
        assert_eq!((stale.expected.as_str(), stale.found.as_str()), ("allow, g pass", "deny, g fail"));
        assert!(stale.detail.starts_with("g fail TESTS_STALE: "), "{}", stale.detail);
        assert_eq!(results[2].found, "deny, g does not apply");
    }

    #[test]
    fn a_test_can_pin_the_whole_explanation() {
        let test = "[[test]]\nname = \"t\"\nenvironment = \"production\"\nexpect = \"deny\"\n";
        let found = run_tests(&with(test).unwrap()).remove(0).explanation;
        let pinned = |text: &str| {
            let test = format!("{test}explain = '''\n{text}'''\n");
            run_tests(&with(&test).unwrap()).remove(0)
        };
        assert!(pinned(&found).passed && pinned(&found).explain.is_none());
        let other = pinned("deny\n");
        assert!(!other.passed && other.explain.as_deref() == Some("deny\n"), "{other:#?}");
    }

    #[test]
    fn mistakes_in_tests_are_refused() {
        let check = |fields: &str, part: &str, hint: Option<&str>| {
            let test = format!("[[test]]\nname = \"t\"\nenvironment = \"production\"\nexpect = \"deny\"\n{fields}\n");
            let errors = with(&test).map(|_| ()).unwrap_err();
            assert!(errors[0].message.contains(part), "{errors:?}");
            assert_eq!(errors[0].hint.as_deref(), hint, "{errors:?}");
            assert!(errors[0].file == "tests/a.toml" && errors[0].line.is_some(), "{errors:?}");
        };
        check("sbon = { components = 1 }", "unknown field", Some("did you mean `sbom`?"));
        check("tests = { passd = 1 }", "unknown field", Some("did you mean `passed`?"));
        check("gates = { h = \"pass\" }", "no gate `h`", Some("did you mean `g`?"));
        check("certified = { stagin = \"1d\" }", "no environment `stagin`", Some("did you mean `staging`?"));
        check("people = { sam = [\"approver\"] }", "no group `approver`", Some("did you mean `approvers`?"));
        check("approvals = [\"sam\"]", "no person `sam`", None);
        check("provenance = { builder = \"b\", signer = \"cl\" }", "no signer `cl`", Some("did you mean `ci`?"));
        check("version = \"1.4\"", "is not a version", None);
        check("requester = \"Dana\"", "is not a person", None);
        check("vulnerabilities = { critical = 1001 }", "more than 1000", None);
    }

    #[test]
    fn a_policy_set_without_tests_has_no_results() {
        assert!(run_tests(&policy(&gate("kind = \"tests\"\n"))).is_empty());
    }
}
