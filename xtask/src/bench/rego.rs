//! Rego: decisions whose gates are modules, beside the interpreter alone on the same bytes.

use std::hint::black_box;
use std::time::Instant;

use lockgate_model::canonical;
use lockgate_policy::{Decision, GateOutcome, PolicySet, decide};
use regorus::{Engine, Value};

use super::decide::{self as decisions, FINDINGS};
use super::report::Row;
use super::samples::median;
use crate::failure::{During as _, Failure, Result};

/// How many gates of the large policy set are modules.
const MODULES: usize = 10;
/// How many gates of each built-in kind stand beside them, with the fields of the kind.
const BUILT_IN: [(&str, usize, &str); 6] = [
    ("vulnerabilities", 14, "block = [\"critical\", \"high\"]\nfix_available_only = true\n"),
    ("tests", 7, "min_passed = 1\n"),
    ("sbom", 6, "min_components = 1\n"),
    ("certified", 1, ""),
    ("version", 1, ""),
    ("approvals", 1, "count = 1\ngroups = [\"approvers\"]\n"),
];
/// How many of the modules of an ordinary policy set walk over all findings; the others look at one claim.
const WALKING: usize = 2;
/// How many gates the large policy set has.
const GATES: usize = 40;
/// How many milliseconds a decision with all of them may take.
const MOST_MS: f64 = 2.0;

/// The text of one module, which denies: it looks at every finding if it is one of those that walk, else at one claim.
fn module(number: usize, walking: usize) -> String {
    if number >= walking {
        return format!(
            "package lockgate.bench{number}\n\n\
             deny contains sprintf(\"%d of %d tests failed\", [fact.claim.failed, fact.claim.passed]) if {{\n\
             \tsome fact in input.evidence\n\
             \tfact.claim.kind == \"tests\"\n\
             \tfact.claim.failed < {number}\n\
             \tstartswith(input.release.name, \"\")\n\
             }}\n"
        );
    }
    format!(
        "package lockgate.bench{number}\n\n\
         deny contains sprintf(\"%s is in %s\", [finding.id, finding.package]) if {{\n\
         \tsome fact in input.evidence\n\
         \tfact.claim.kind == \"vulnerabilities\"\n\
         \tsome finding in fact.claim.findings\n\
         \tfinding.severity == \"high\"\n\
         \tfinding.package != \"library-{number}\"\n\
         }}\n"
    )
}

fn path(number: usize) -> String {
    format!("rego/bench{number}.rego")
}

/// A policy set of modules, some of which walk, and of the built-in gates that are asked for.
fn policy(built_in: &[(&str, usize, &str)], walking: usize) -> Result<PolicySet> {
    let mut files = decisions::files(built_in)?;
    let mut gates = String::new();
    for number in 0..MODULES {
        files.insert(path(number), module(number, walking));
        let own = path(number);
        gates.push_str(&format!(
            "[[gate]]\nname = \"rego-{number}\"\nkind = \"rego\"\nenvironments = [\"production\"]\nmodule = \"{own}\"\n\n"
        ));
    }
    files.insert("gates/rego.toml".to_owned(), gates);
    decisions::read(files)
}

/// Times a decision of 40 gates with modules that walk and modules that do not, and modules alone: in a decision and in
/// the bare interpreter.
///
/// # Errors
/// When a policy set, the facts or a module do not load, or a module cannot be evaluated.
pub fn measure(runs: usize) -> Result<Vec<Row>> {
    let facts = decisions::facts()?;
    let (usual, worst) = (policy(&BUILT_IN, WALKING)?, policy(&BUILT_IN, MODULES)?);
    let alone = policy(&[], MODULES)?;
    let input = String::from_utf8(canonical::to_vec(&facts)?).during("the facts")?;
    // As many as in the bench of decisions would take minutes.
    let runs = runs.div_ceil(10);
    let timed = |policy: &PolicySet, gates: usize, into: &mut Vec<f64>| -> Result<()> {
        let started = Instant::now();
        let decision = black_box(decide(policy, black_box(&facts)));
        into.push(started.elapsed().as_secs_f64() * 1e3);
        answered(&decision, gates)
    };
    let (mut ordinary, mut walking, mut modules, mut bare) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..runs {
        timed(&usual, GATES, &mut ordinary)?;
        timed(&worst, GATES, &mut walking)?;
        timed(&alone, MODULES, &mut modules)?;
        let started = Instant::now();
        black_box(interpreter(black_box(&input))?);
        bare.push(started.elapsed().as_secs_f64() * 1e3);
    }
    let (ordinary, walking, modules, bare) = (median(&ordinary), median(&walking), median(&modules), median(&bare));
    let what = format!(
        "`decide`, {GATES} gates, {MODULES} of them Rego, of which {WALKING} walk over all of {FINDINGS} findings and the \
         others look at one claim"
    );
    let all_walk = format!("`decide`, {GATES} gates, {MODULES} of them Rego, each of which walks over all findings");
    let beside = format!(
        "`decide`, {MODULES} Rego gates alone that all walk, {} KiB of facts ({:.2} × `regorus` alone, which reads and \
         evaluates the same modules on the same bytes in {bare:.2} ms)",
        input.len() / 1024,
        modules / bare
    );
    Ok(vec![
        Row::at_most(&what, ordinary, ordinary, MOST_MS, "2 ms", "ms"),
        Row::figure(&all_walk, walking, "ms"),
        Row::figure(&beside, modules, "ms"),
    ])
}

/// A gate that could not be evaluated would be fast, and would say nothing.
fn answered(decision: &Decision, gates: usize) -> Result<()> {
    let denied = decision.gates.iter().filter(|gate| gate.gate.as_str().starts_with("rego-"));
    let denied = denied.filter(|gate| gate.outcome == GateOutcome::Fail && gate.reason == "REGO_DENIED").count();
    match (decision.gates.len(), denied) {
        (found, MODULES) if found == gates => Ok(()),
        (found, denied) => {
            Err(Failure::new(format!("{found} gates of {gates} were decided, {denied} of them by Rego")))
        }
    }
}

/// Everything that answering ten questions takes in the interpreter alone: reading modules and input, and evaluating.
fn interpreter(input: &str) -> Result<Vec<Value>> {
    let mut engine = Engine::new();
    engine.set_strict_builtin_errors(true);
    for number in 0..MODULES {
        engine.add_policy(path(number), module(number, MODULES)).during("read a module")?;
    }
    engine.set_input(Value::from_json_str(input).during("read the facts")?);
    let evaluate = |number: usize| engine.eval_rule(format!("data.lockgate.bench{number}.deny"));
    (0..MODULES).map(evaluate).collect::<std::result::Result<Vec<Value>, _>>().during("evaluate a module")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_module_denies_in_a_decision_and_in_the_interpreter() {
        assert_eq!(BUILT_IN.iter().map(|(_, count, _)| count).sum::<usize>() + MODULES, GATES);
        let facts = decisions::facts().unwrap();
        for walking in [WALKING, MODULES] {
            answered(&decide(&policy(&BUILT_IN, walking).unwrap(), &facts), GATES).unwrap();
        }
        answered(&decide(&policy(&[], MODULES).unwrap(), &facts), MODULES).unwrap();
        let input = String::from_utf8(canonical::to_vec(&facts).unwrap()).unwrap();
        let values = interpreter(&input).unwrap();
        assert_eq!(values.len(), MODULES);
        let empty = Value::new_set();
        assert!(values.iter().all(|value| value.as_set().is_ok() && *value != empty), "{values:?}");
    }
}
