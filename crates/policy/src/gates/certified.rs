//! The `certified` gate: this very release was allowed where it has to come from, and has been there long enough.

use lockgate_model::facts::Certified;
use lockgate_model::{EnvName, Span, UnixMillis};
use serde::Deserialize;

use super::{Assessment, Context, Problem};
use crate::decision::GateOutcome;
use crate::explain::Reason;
use crate::gate::Gate;
use crate::permission::Permission;
use crate::policy_set::PolicySet;
use crate::wording::{all_of, few};

/// Demands an earlier grant of the same release in every environment that it has to come from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertifiedGate {
    /// Where; the target's `after` where it is left out.
    #[serde(default)]
    pub certified_in: Option<Vec<EnvName>>,
    /// How long ago the newest grant there has to be; no time where it is left out.
    #[serde(default = "no_time")]
    pub soak: Span,
}

const fn no_time() -> Span {
    Span::from_secs(0)
}

impl CertifiedGate {
    pub(super) fn problems(&self, gate: &Gate, policy: &PolicySet) -> Vec<Problem> {
        let mut problems = Vec::new();
        for name in self.certified_in.iter().flatten() {
            if policy.environment(name).is_none() {
                let known = policy.environments().iter().map(|environment| environment.name.as_str());
                problems.push(Problem::unknown("environment", name.as_str(), "environments.toml", known));
            }
            if gate.environments.contains(name) {
                problems.push(Problem::new(format!("to enter `{name}`, a release would have to be there already")));
            }
        }
        for environment in gate.environments.iter().filter_map(|name| policy.environment(name)) {
            if self.wanted(&environment.after).is_empty() {
                let name = &environment.name;
                problems.push(Problem::new(format!(
                    "demands nothing in `{name}`, which comes after no environment: set `certified_in`"
                )));
            }
        }
        problems
    }

    fn wanted<'a>(&'a self, after: &'a [EnvName]) -> &'a [EnvName] {
        self.certified_in.as_deref().unwrap_or(after)
    }

    pub(super) fn assess(&self, ctx: Context<'_>) -> Assessment {
        let wanted = self.wanted(&ctx.environment.after);
        let soak = if self.soak.is_zero() { String::new() } else { format!(" for {}", self.soak) };
        let needed = format!("this release certified in {}{soak}", all_of(wanted));
        let missing: Vec<&EnvName> = wanted.iter().filter(|name| newest(ctx, name).is_none()).collect();
        if let Some(first) = missing.first() {
            return Assessment {
                outcome: GateOutcome::Fail,
                reason: Reason::NotCertified,
                needed,
                found: format!("not certified in {}", all_of(&missing)),
                evidence: Vec::new(),
                who: ctx.groups_that_may(Permission::Request),
                fix: format!("lockgate promote {} --to {first}", ctx.release()),
            };
        }
        let grants: Vec<&Certified> = wanted.iter().filter_map(|name| newest(ctx, name)).collect();
        let found = few(
            grants.iter().map(|grant| format!("in {} since {} ({})", grant.environment, grant.since, grant.promotion)),
            "; ",
        );
        match grants.iter().map(|grant| grant.since.plus(self.soak)).max() {
            Some(ready) if ctx.facts.time < ready => self.soaking(ctx, needed, found, ready),
            Some(_) => Assessment::passed(needed, found),
            // INVARIANT (fail closed): a gate that demands nothing is refused at load, and does not pass here either.
            None => Assessment {
                outcome: GateOutcome::Fail,
                reason: Reason::NotCertified,
                needed,
                found: "nothing to come from".to_owned(),
                evidence: Vec::new(),
                who: ctx.groups_that_may(Permission::Policy),
                fix: format!("set `certified_in` at {}", ctx.gate.rule),
            },
        }
    }

    fn soaking(&self, ctx: Context<'_>, needed: String, found: String, ready: UnixMillis) -> Assessment {
        Assessment {
            outcome: GateOutcome::Pending,
            reason: Reason::Soaking,
            needed,
            found: format!("{found}; can pass at {ready}"),
            evidence: Vec::new(),
            who: "nobody: it takes time".to_owned(),
            fix: format!("wait until {ready}, then: lockgate why {}", ctx.facts.promotion.id),
        }
    }
}

/// The newest grant in one environment. A release that was granted anew soaks anew.
fn newest<'a>(ctx: Context<'a>, environment: &EnvName) -> Option<&'a Certified> {
    ctx.facts.certified.iter().filter(|grant| grant.environment == *environment).max_by_key(|grant| grant.since)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::GateOutcome::{Fail, Pass, Pending};
    use crate::sample::{TIME, certified, check};

    const HOUR: u64 = 3_600_000;

    #[test]
    fn comes_from_where_it_has_to() {
        let row = |more: &str, grants: Vec<Certified>, outcome, reason| {
            check(&format!("kind = \"certified\"\n{more}\n"), |_, facts| facts.certified = grants, outcome, reason)
        };
        let staging = |ago: u64| certified("staging", TIME.0 - ago);
        let dev = |ago: u64| certified("dev", TIME.0 - ago);
        let result = row("", vec![], Fail, Reason::NotCertified);
        assert_eq!(result.fix, "lockgate promote shop/web@1.4.2 --to staging");
        row("", vec![dev(0)], Fail, Reason::NotCertified);
        row("", vec![staging(0)], Pass, Reason::Satisfied);
        row("certified_in = [\"dev\", \"staging\"]", vec![staging(0)], Fail, Reason::NotCertified);
        row("certified_in = [\"dev\", \"staging\"]", vec![staging(0), dev(0)], Pass, Reason::Satisfied);
        let soak = "soak = \"24h\"";
        row(soak, vec![staging(24 * HOUR)], Pass, Reason::Satisfied);
        let result = row(soak, vec![staging(24 * HOUR - 1)], Pending, Reason::Soaking);
        assert!(result.found.ends_with("can pass at 2026-01-01T00:00:00.001Z"), "{}", result.found);
        row(soak, vec![staging(48 * HOUR), staging(HOUR)], Pending, Reason::Soaking);
        row(soak, vec![certified("staging", TIME.0 + HOUR)], Pending, Reason::Soaking);
        let both = "soak = \"2h\"\ncertified_in = [\"dev\", \"staging\"]";
        row(both, vec![staging(3 * HOUR), dev(HOUR)], Pending, Reason::Soaking);
        row(both, vec![dev(HOUR)], Fail, Reason::NotCertified);
    }
}
