//! The decision itself: every gate that applies, evaluated on facts.

use lockgate_model::facts::Facts;

use crate::decision::{Decision, GateOutcome, GateResult, Outcome, Rule};
use crate::environment::Environment;
use crate::explain::Reason;
use crate::gates::Context;
use crate::permission::Permission;
use crate::policy_set::PolicySet;
use crate::suggestion::did_you_mean;
use crate::wording::{self, few};

/// Decides on a promotion: total and pure, so that the same policy set and facts give the same bytes everywhere.
///
/// Every gate that applies is evaluated, also after one has failed. An environment that the policy set does not
/// define, or for which it demands nothing, denies. Does not check that the facts are true: the ledger gathers them
/// from verified evidence.
pub fn decide(policy: &PolicySet, facts: &Facts) -> Decision {
    let gates = results(policy, facts);
    Decision {
        schema: Decision::SCHEMA.to_owned(),
        engine: Decision::ENGINE.to_owned(),
        policy: policy.digest(),
        promotion: facts.promotion.id,
        release: facts.release.name.clone(),
        environment: facts.promotion.environment.clone(),
        outcome: Outcome::of(&gates),
        gates,
    }
}

// INVARIANT (something is always demanded): the results are never empty; what cannot be evaluated is one failed result.
fn results(policy: &PolicySet, facts: &Facts) -> Vec<GateResult> {
    if facts.schema != Facts::SCHEMA {
        return vec![facts_unknown(policy, facts)];
    }
    let Some(environment) = policy.environment(&facts.promotion.environment) else {
        return vec![environment_unknown(policy, facts)];
    };
    let gates = policy.gates_for(&environment.name, facts.release.service());
    if gates.is_empty() {
        return vec![no_gates(policy, facts, environment)];
    }
    let assessed = gates.into_iter().map(|gate| (gate, gate.kind.assess(Context { policy, gate, environment, facts })));
    assessed.map(|(gate, assessment)| assessment.into_result(gate)).collect()
}

/// What is wrong before any gate is evaluated.
struct Refusal {
    reason: Reason,
    rule: Rule,
    needed: String,
    found: String,
    fix: String,
}

impl Refusal {
    fn into_result(self, policy: &PolicySet) -> GateResult {
        GateResult {
            gate: policy.own_name().clone(),
            kind: policy.own_name().to_string(),
            outcome: GateOutcome::Fail,
            reason: self.reason.as_str().to_owned(),
            rule: self.rule,
            needed: self.needed,
            found: self.found,
            evidence: Vec::new(),
            who: policy.groups_text(Permission::Policy),
            fix: self.fix,
        }
    }
}

fn facts_unknown(policy: &PolicySet, facts: &Facts) -> GateResult {
    let refusal = Refusal {
        reason: Reason::FactsUnknown,
        rule: Rule { file: "policy.toml".to_owned(), line: 1 },
        needed: format!("facts of schema {}", Facts::SCHEMA),
        found: wording::shown(&facts.schema),
        fix: "decide with the version of Lockgate that wrote the facts, or a newer one".to_owned(),
    };
    refusal.into_result(policy)
}

fn environment_unknown(policy: &PolicySet, facts: &Facts) -> GateResult {
    let name = &facts.promotion.environment;
    let known = policy.environments().iter().map(|environment| environment.name.as_str());
    let hint = did_you_mean(name.as_str(), known.clone()).map(|hint| format!("; {hint}")).unwrap_or_default();
    let refusal = Refusal {
        reason: Reason::EnvironmentUnknown,
        rule: Rule { file: Environment::FILE.to_owned(), line: 1 },
        needed: format!("one of {}", few(known, ", ")),
        found: format!("`{name}` is not an environment of the policy set{hint}"),
        fix: format!("lockgate promote {} --to <environment>", facts.release.name),
    };
    refusal.into_result(policy)
}

fn no_gates(policy: &PolicySet, facts: &Facts, environment: &Environment) -> GateResult {
    let refusal = Refusal {
        reason: Reason::NoGates,
        rule: Rule { file: Environment::FILE.to_owned(), line: environment.line },
        needed: "at least one gate".to_owned(),
        found: format!("no gate applies to {} in {}", facts.release.service(), environment.name),
        fix: format!("add a gate for {} under gates/, then: lockgate policy test", environment.name),
    };
    refusal.into_result(policy)
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
