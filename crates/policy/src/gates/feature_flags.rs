//! The `feature-flags` gate: flags stand as they should before the release is let in.

use std::collections::BTreeMap;

use lockgate_model::facts::{Artifact, Claim, Flag};
use lockgate_model::{SignerName, Span};
use serde::Deserialize;

use super::coverage::{Covered, Demand, Shortfall, every_artifact};
use super::{Assessment, Context, Problem, is_fresh, is_from_future, signer_problems};
use crate::explain::Reason;
use crate::permission::Permission;
use crate::policy_set::PolicySet;
use crate::share::Share;
use crate::trust::EvidenceKind;
use crate::wording::{all_of, few, shown};

/// Demands a snapshot of the flags about every artifact; the newest one counts that is of the environment.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureFlagsGate {
    /// Which flags have to be on.
    #[serde(default)]
    pub on: Vec<String>,
    /// Which flags have to be off.
    #[serde(default)]
    pub off: Vec<String>,
    /// For how many users a flag may be on at most.
    #[serde(default)]
    pub max_rollout: BTreeMap<String, Share>,
    /// How old the snapshot may be, by its own time or else by when it was recorded.
    #[serde(default)]
    pub max_age: Option<Span>,
    /// Whose signature it needs; empty accepts unsigned reports too.
    #[serde(default)]
    pub signed_by: Vec<SignerName>,
}

impl FeatureFlagsGate {
    pub(super) fn problems(&self, policy: &PolicySet) -> Vec<Problem> {
        let mut problems = signer_problems(&self.signed_by, EvidenceKind::Flags, policy);
        if self.on.is_empty() && self.off.is_empty() && self.max_rollout.is_empty() {
            problems.push(Problem::new("demands nothing: name flags in `on`, `off` or `max_rollout`"));
        }
        for name in self.on.iter().filter(|name| self.off.contains(name)) {
            problems.push(Problem::new(format!("`{}` has to be on and off", shown(name))));
        }
        if self.max_age.is_some_and(Span::is_zero) {
            problems.push(Problem::new("`max_age` is zero: no snapshot would ever be young enough"));
        }
        problems
    }

    fn demand(&self) -> Demand<'_> {
        Demand {
            kind: EvidenceKind::Flags,
            signed_by: &self.signed_by,
            noun: "state of the feature flags",
            missing: Reason::FlagsMissing,
        }
    }

    pub(super) fn assess(&self, ctx: Context<'_>) -> Assessment {
        let result = every_artifact(ctx, |artifact| self.check(ctx, artifact));
        let who = || ctx.groups_that_may(Permission::Attest);
        Assessment::of_coverage(result, self.needed(), who, |reason| match reason {
            Reason::FlagState => {
                format!("set the flags, then: {}", self.demand().fix(ctx, reason, "--report flags.json"))
            }
            _ => self.demand().fix(ctx, reason, "--report flags.json"),
        })
    }

    fn needed(&self) -> String {
        let mut parts = Vec::new();
        if !self.on.is_empty() {
            parts.push(format!("{} on", all_of(&self.on)));
        }
        if !self.off.is_empty() {
            parts.push(format!("{} off", all_of(&self.off)));
        }
        parts.extend(self.max_rollout.iter().map(|(name, share)| format!("{name} for at most {share} of users")));
        let age = self.max_age.map(|age| format!(", read not longer than {age} ago")).unwrap_or_default();
        format!("the flags {}{age}{}", parts.join(", "), self.demand().signed_by_text())
    }

    fn check(&self, ctx: Context<'_>, artifact: &Artifact) -> Result<Covered, Shortfall> {
        let here = |given: Option<&str>| given.is_none_or(|given| given == ctx.environment.name.as_str());
        let (fact, flags) = self.demand().newest(ctx, artifact, |claim| match claim {
            Claim::Flags(flags) if here(flags.environment.as_deref()) => Some(flags),
            _ => None,
        })?;
        let now = ctx.facts.time;
        let evidence = vec![fact.evidence];
        let taken = flags.taken_at.unwrap_or(fact.recorded_at);
        if is_from_future(flags.taken_at, fact, now) {
            let text = format!("a state that says it is of {taken}, after it was recorded");
            return Err(Shortfall { reason: Reason::EvidenceFromFuture, text, evidence });
        }
        if !is_fresh(flags.taken_at, fact, self.max_age, now) {
            let text = format!("a state of {taken}, {} old", now.since(taken));
            return Err(Shortfall { reason: Reason::FlagsMissing, text, evidence });
        }
        let mut wrong = Vec::new();
        let unknown = |name: &String| format!("{} is not among the flags", shown(name));
        for (names, enabled) in [(&self.on, true), (&self.off, false)] {
            for name in names {
                match flags.flag(name) {
                    Some(flag) if flag.enabled == enabled => {}
                    Some(_) => wrong.push(format!("{} is {}", shown(name), if enabled { "off" } else { "on" })),
                    None => wrong.push(unknown(name)),
                }
            }
        }
        for (name, most) in &self.max_rollout {
            match flags.flag(name) {
                None => wrong.push(unknown(name)),
                Some(flag) if rollout(flag) > *most => {
                    wrong.push(format!("{} is on for {} of users", shown(name), rollout(flag)));
                }
                Some(_) => {}
            }
        }
        match wrong.is_empty() {
            true => Ok(Covered { text: format!("as demanded, read {taken}"), evidence, waived: false }),
            false => Err(Shortfall { reason: Reason::FlagState, text: few(wrong, ", "), evidence }),
        }
    }
}

/// For how many users a flag is on; for all of them where the system does not say.
fn rollout(flag: &Flag) -> Share {
    match (flag.enabled, flag.rollout_basis_points) {
        (false, _) => Share::NONE,
        (true, Some(basis_points)) => Share::from_basis_points(basis_points),
        (true, None) => Share::from_basis_points(10_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::GateOutcome::{Fail, Pass};
    use crate::sample::{check, evidence, on_behalf};
    use lockgate_model::facts::Flags;

    fn flags(environment: Option<&str>, enabled: bool, rollout: Option<u64>) -> Claim {
        Claim::Flags(Flags {
            system: None,
            environment: environment.map(str::to_owned),
            flags: vec![Flag { name: "checkout".to_owned(), enabled, rollout_basis_points: rollout }],
            taken_at: None,
        })
    }

    #[test]
    fn stand_as_demanded() {
        let row = |fields: &str, claim: Claim, outcome, reason| {
            let gate = format!("kind = \"feature-flags\"\n{fields}\n");
            check(&gate, |_, facts| facts.evidence = vec![evidence(1, on_behalf("robot"), claim)], outcome, reason)
        };
        let (on, off) = ("on = [\"checkout\"]", "off = [\"checkout\"]");
        row(on, flags(None, true, None), Pass, Reason::Satisfied);
        let result = row(on, flags(None, false, None), Fail, Reason::FlagState);
        assert_eq!(result.found, "app.tar.gz: checkout is off");
        row(off, flags(None, false, None), Pass, Reason::Satisfied);
        row(off, flags(None, true, None), Fail, Reason::FlagState);
        row(on, flags(Some("production"), true, None), Pass, Reason::Satisfied);
        row(on, flags(Some("staging"), true, None), Fail, Reason::FlagsMissing);
        row("off = [\"other\"]", flags(None, false, None), Fail, Reason::FlagState);
        let most = "max_rollout = { checkout = \"10%\" }";
        row(most, flags(None, true, Some(1000)), Pass, Reason::Satisfied);
        row(most, flags(None, true, Some(1001)), Fail, Reason::FlagState);
        row(most, flags(None, true, None), Fail, Reason::FlagState);
        row(most, flags(None, false, Some(5000)), Pass, Reason::Satisfied);
    }
}
