//! The check of a policy set as a whole: names that are not defined, and demands that nothing can satisfy.

use std::collections::BTreeMap;

use lockgate_model::{GateName, GroupName, Limits};

use crate::environment::Environment;
use crate::error::PolicyError;
use crate::gate::Gate;
use crate::gates::Problem;
use crate::policy_set::{OWN_NAME, PolicySet};

/// Every mistake in how the files of a policy set fit together.
pub(crate) fn problems(policy: &PolicySet) -> Vec<PolicyError> {
    let allowed = Limits::DEFAULT.policy_gates;
    if policy.gates().len() > allowed {
        let message = format!("{} gates in all files together, of at most {allowed}", policy.gates().len());
        return vec![PolicyError { file: "gates/".to_owned(), line: None, message, hint: None }];
    }
    let environments = policy.environments().iter().flat_map(|environment| owner_problems(environment, policy));
    let gates = policy.gates().iter().flat_map(|gate| gate_problems(gate, policy));
    let tests = policy.tests().iter().flat_map(|test| test.problems(policy));
    environments.chain(gates).chain(names_taken_twice(policy)).chain(tests).collect()
}

fn owner_problems(environment: &Environment, policy: &PolicySet) -> Vec<PolicyError> {
    let unknown = environment.owners.iter().filter(|owner| policy.group(owner).is_none());
    unknown
        .map(|owner| {
            let known = policy.groups().keys().map(GroupName::as_str);
            let problem = Problem::unknown("group", owner.as_str(), "people.toml", known);
            PolicyError {
                file: Environment::FILE.to_owned(),
                line: Some(environment.line),
                message: format!("`{}` is owned by a group that is not defined: {}", environment.name, problem.message),
                hint: problem.hint,
            }
        })
        .collect()
}

fn gate_problems(gate: &Gate, policy: &PolicySet) -> Vec<PolicyError> {
    let mut problems = Vec::new();
    if gate.name.as_str() == OWN_NAME {
        let message = format!("`{OWN_NAME}` stands for the policy set itself in decisions: use another name");
        problems.push(Problem { message, hint: None });
    }
    if gate.environments.is_empty() {
        let message = "applies to no environment: name at least one in `environments`".to_owned();
        problems.push(Problem { message, hint: None });
    }
    if gate.services.as_ref().is_some_and(Vec::is_empty) {
        let message = "applies to no service: leave `services` out, and it applies to all".to_owned();
        problems.push(Problem { message, hint: None });
    }
    for name in gate.environments.iter().filter(|name| policy.environment(name).is_none()) {
        let known = policy.environments().iter().map(|environment| environment.name.as_str());
        problems.push(Problem::unknown("environment", name.as_str(), Environment::FILE, known));
    }
    problems.extend(gate.kind.problems(gate, policy));
    problems.into_iter().map(|problem| at_gate(gate, problem)).collect()
}

fn at_gate(gate: &Gate, problem: Problem) -> PolicyError {
    PolicyError {
        file: gate.rule.file.clone(),
        line: Some(gate.rule.line),
        message: format!("gate `{}`: {}", gate.name, problem.message),
        hint: problem.hint,
    }
}

fn names_taken_twice(policy: &PolicySet) -> Vec<PolicyError> {
    let mut first: BTreeMap<&GateName, &Gate> = BTreeMap::new();
    let mut errors = Vec::new();
    for gate in policy.gates() {
        match first.get(&gate.name) {
            None => {
                first.insert(&gate.name, gate);
            }
            Some(other) => {
                let message = format!("two gates are called `{}`: the other is at {}", gate.name, other.rule);
                errors.push(at_gate(gate, Problem { message, hint: None }));
            }
        }
    }
    errors
}
