//! The decision itself: every gate that applies, evaluated on facts.

use lockgate_model::UnixMillis;
use lockgate_model::facts::{Facts, FreezeFact, PromotionKind};

use crate::break_glass;
use crate::decision::{Decision, GateOutcome, GateResult, Outcome, Rule};
use crate::environment::Environment;
use crate::explain::Reason;
use crate::gate::{Enforcement, Gate};
use crate::gates::{Assessment, Context};
use crate::ledger_order::in_ledger_order;
use crate::permission::Permission;
use crate::policy_set::PolicySet;
use crate::rego::Answers;
use crate::settings::Settings;
use crate::suggestion::did_you_mean;
use crate::wording::{self, few};

/// Decides on a promotion: total and pure, so that the same policy set and facts give the same bytes everywhere.
///
/// Every gate that applies is evaluated, also after one has failed. An environment that the policy set does not
/// define, or for which it demands nothing, denies. Does not check that the facts are true: the ledger gathers them
/// from verified evidence.
pub fn decide(policy: &PolicySet, facts: &Facts) -> Decision {
    let ordered = in_ledger_order(facts);
    let facts: &Facts = &ordered;
    let mut gates = results(policy, facts);
    let break_glass = break_glass::apply(facts, &mut gates);
    let warnings = gates.iter().filter(|gate| gate.outcome == GateOutcome::Warn && gate.gate != *policy.own_name());
    Decision {
        schema: Decision::SCHEMA.to_owned(),
        engine: engine(policy, facts),
        policy: policy.digest(),
        promotion: facts.promotion.id,
        release: facts.release.name.clone(),
        environment: facts.promotion.environment.clone(),
        outcome: Outcome::of(&gates),
        would_block: u64::try_from(warnings.count()).unwrap_or(u64::MAX),
        break_glass,
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
    let Some(first) = gates.first() else {
        return vec![no_gates(policy, facts, environment)];
    };
    let mut results: Vec<GateResult> =
        facts.freezes.iter().filter_map(|freeze| frozen(policy, facts, freeze)).collect();
    results.extend(expiry(policy, facts.time));
    let mut context = Context { policy, gate: first, environment, facts, answers: None };
    // What is built in is assessed while the modules are evaluated.
    let asked = Answers::begin(policy, &gates, facts);
    let built_in = |gate: &&Gate| (!gate.kind.is_custom()).then(|| gate.kind.assess(Context { gate, ..context }));
    let assessments: Vec<Option<Assessment>> = gates.iter().map(built_in).collect();
    let answers = asked.answers();
    context.answers = Some(&answers);
    for (gate, assessment) in gates.iter().zip(assessments) {
        context.gate = gate;
        let assessment = assessment.unwrap_or_else(|| gate.kind.assess(context));
        results.push(enforced(gate, assessment.into_result(gate), facts.time));
    }
    results
}

/// The name of what decides, with its time zone database where a gate that applies looks at one.
fn engine(policy: &PolicySet, facts: &Facts) -> String {
    let gates = policy.gates_for(&facts.promotion.environment, facts.release.service());
    match gates.iter().any(|gate| gate.kind.looks_at_clocks()) {
        true => Decision::zoned_engine(),
        false => Decision::ENGINE.to_owned(),
    }
}

/// Turns what a gate objects to into a warning for as long as it does not block.
fn enforced(gate: &Gate, mut result: GateResult, now: UnixMillis) -> GateResult {
    result.controls.clone_from(&gate.controls);
    if !gate.enforcement.only_warns(now) {
        return result;
    }
    let until = match gate.enforcement {
        Enforcement::From(start) => {
            result.enforced_from = Some(start);
            format!(" until {start}")
        }
        Enforcement::Always | Enforcement::Never => String::new(),
    };
    if matches!(result.outcome, GateOutcome::Fail | GateOutcome::Pending) {
        result.outcome = GateOutcome::Warn;
        result.found.push_str(&format!("; only warns{until}"));
    }
    result
}

/// An emergency freeze that stops this promotion.
fn frozen(policy: &PolicySet, facts: &Facts, freeze: &FreezeFact) -> Option<GateResult> {
    let spared = freeze.spares_rollbacks && facts.promotion.kind == PromotionKind::Rollback;
    let stops = freeze.stops(facts.release.service(), &facts.promotion.environment, facts.time);
    if spared || !stops || lockgate_failpoint::planted("freeze-ignored") {
        return None;
    }
    let what = match (&freeze.service, &freeze.environment) {
        (None, None) => "everything".to_owned(),
        (Some(service), None) => format!("{service} everywhere"),
        (None, Some(environment)) => format!("everything in {environment}"),
        (Some(service), Some(environment)) => format!("{service} in {environment}"),
    };
    let until = freeze.until.map(|until| format!(" until {until}")).unwrap_or_default();
    let refusal = Refusal {
        reason: Reason::Frozen,
        rule: Rule { file: Settings::FILE.to_owned(), line: 1 },
        needed: "no emergency freeze".to_owned(),
        found: format!(
            "{what} is frozen by {} since {}{until} (entry {}): {}",
            freeze.by,
            freeze.since,
            freeze.index,
            wording::shown(&freeze.reason)
        ),
        fix: format!(
            "wait until {} or another who may lifts the freeze, then: lockgate why {}",
            freeze.by, facts.promotion.id
        ),
    };
    Some(GateResult { kind: "freeze".to_owned(), who: freeze.by.to_string(), ..refusal.into_result(policy) })
}

/// Whether the policy set itself is over, or will be soon.
fn expiry(policy: &PolicySet, now: UnixMillis) -> Option<GateResult> {
    let settings = policy.settings();
    let end = settings.expires_at?;
    let (outcome, reason, word) = match now < end {
        false => (GateOutcome::Fail, Reason::PolicyExpired, "ended"),
        true if end.0.saturating_sub(settings.expiry_warning.millis()) <= now.0 => {
            (GateOutcome::Warn, Reason::PolicyExpiresSoon, "ends")
        }
        true => return None,
    };
    let refusal = Refusal {
        reason,
        rule: Rule { file: Settings::FILE.to_owned(), line: policy.expiry_line() },
        needed: "a policy set that is in force".to_owned(),
        found: format!("the policy set `{}` {word} at {end}", wording::shown(&settings.name)),
        fix: "review the policy set, move its `expires_at`, then: lockgate policy activate <dir> --reason \"...\""
            .to_owned(),
    };
    Some(GateResult { outcome, ..refusal.into_result(policy) })
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
            controls: Vec::new(),
            enforced_from: None,
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
