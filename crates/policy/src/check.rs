//! The check of a policy set as a whole: names that are not defined, and demands that nothing can satisfy.

use std::collections::BTreeMap;

use lockgate_model::{GateName, GroupName, Limits, RoleName};

use crate::binding::Binding;
use crate::environment::Environment;
use crate::error::PolicyError;
use crate::gate::Gate;
use crate::gates::Problem;
use crate::policy_set::{OWN_NAME, PolicySet};
use crate::settings::Settings;

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
    let bindings = policy.bindings().iter().flat_map(|binding| binding_problems(binding, policy));
    let all = environments.chain(bindings).chain(gates).chain(names_taken_twice(policy)).chain(tests);
    all.chain(sign_in_problems(policy)).collect()
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

/// Roles that `[sign-in]` demands a second factor of, and that nobody can have: a mistyped one would demand nothing.
fn sign_in_problems(policy: &PolicySet) -> Vec<PolicyError> {
    let held: Vec<&RoleName> = policy.bindings().iter().map(|binding| &binding.role).collect();
    let unknown = policy.settings().sign_in.mfa.roles().iter().filter(|role| !held.contains(role));
    unknown
        .map(|role| {
            let problem = Problem::unknown("role", role.as_str(), "people.toml", held.iter().map(|role| role.as_str()));
            PolicyError {
                file: Settings::FILE.to_owned(),
                line: None,
                message: format!("`mfa` of `[sign-in]` names a role that nobody has: {}", problem.message),
                hint: problem.hint,
            }
        })
        .collect()
}

/// Environments that a binding names and that do not exist: the role would be held nowhere.
fn binding_problems(binding: &Binding, policy: &PolicySet) -> Vec<PolicyError> {
    let nowhere =
        binding.environments.iter().flatten().filter(|pattern| {
            !policy.environments().iter().any(|environment| pattern.matches(environment.name.as_str()))
        });
    nowhere
        .map(|pattern| PolicyError {
            file: binding.rule.file.clone(),
            line: Some(binding.rule.line),
            message: format!("binding of `{}`: no environment matches `{pattern}`", binding.role),
            hint: None,
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
