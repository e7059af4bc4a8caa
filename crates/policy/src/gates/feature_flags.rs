//! The `feature-flags` gate: flags stand as they should before the release is let in.

use std::collections::{BTreeMap, BTreeSet};

use lockgate_model::facts::{Artifact, Claim, Flag, Flags};
use lockgate_model::{Digest, SignerName, Span, UnixMillis};
use serde::Deserialize;

use super::coverage::{Counted, Covered, Demand, Shortfall, every_artifact};
use super::{Assessment, Context, Problem, is_fresh, is_from_future, signer_problems};
use crate::explain::Reason;
use crate::permission::Permission;
use crate::policy_set::PolicySet;
use crate::share::Share;
use crate::trust::EvidenceKind;
use crate::wording::{age, all_of, few, shown};

/// Demands a snapshot of the flags about every artifact; the newest one counts that is of the environment, with all that
/// were handed in together with it.
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
            Reason::FlagState => self.demand().anew(ctx, "set the flags, read them again", "--report flags.json"),
            Reason::FlagsStale => self.demand().anew(ctx, "read the flags again", "--report flags.json"),
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
        let young = self.max_age.map(|age| format!(", read not longer than {age} ago")).unwrap_or_default();
        format!("the flags {}{young}{}", parts.join(", "), self.demand().signed_by_text())
    }

    fn check(&self, ctx: Context<'_>, artifact: &Artifact) -> Result<Covered, Shortfall> {
        let here = |given: Option<&str>| given.is_none_or(|given| given == ctx.environment.name.as_str());
        let states = self.demand().newest_together(ctx, artifact, |claim| match claim {
            Claim::Flags(flags) if here(flags.environment.as_deref()) => Some(flags),
            _ => None,
        })?;
        let now = ctx.facts.time;
        let evidence: Vec<Digest> = states.iter().map(|(fact, _)| fact.evidence).collect();
        let taken = |(fact, flags): &Counted<'_, Flags>| flags.taken_at.unwrap_or(fact.recorded_at);
        if let Some(state) = states.iter().find(|(fact, flags)| is_from_future(flags.taken_at, fact, now)) {
            let text = format!("a state that says it is of {}, after it was recorded", taken(state));
            return Err(Shortfall { reason: Reason::EvidenceFromFuture, text, evidence });
        }
        if let Some(state) = states.iter().find(|(fact, flags)| !is_fresh(flags.taken_at, fact, self.max_age, now)) {
            let taken = taken(state);
            let text = format!("a state of {taken}, {} old", age(now.since(taken)));
            return Err(Shortfall { reason: Reason::FlagsStale, text, evidence });
        }
        let wrong = self.wrong(&states);
        match wrong.is_empty() {
            true => {
                let read: BTreeSet<UnixMillis> = states.iter().map(taken).collect();
                Ok(Covered { text: format!("as demanded, read {}", few(read, ", ")), evidence, waived: false })
            }
            false => Err(Shortfall { reason: Reason::FlagState, text: few(wrong, ", "), evidence }),
        }
    }

    /// What does not stand as it should in any of these states; a flag that stands in none of them is not known.
    fn wrong(&self, states: &[Counted<'_, Flags>]) -> Vec<String> {
        let named = |name: &str| -> Vec<&Flag> { states.iter().filter_map(|(_, flags)| flags.flag(name)).collect() };
        let unknown = |name: &str| format!("{} is not among the flags", shown(name));
        let mut wrong = Vec::new();
        for (names, enabled) in [(&self.on, true), (&self.off, false)] {
            for name in names {
                let flags = named(name);
                if flags.is_empty() {
                    wrong.push(unknown(name));
                } else if flags.iter().any(|flag| flag.enabled != enabled) {
                    wrong.push(format!("{} is {}", shown(name), if enabled { "off" } else { "on" }));
                }
            }
        }
        for (name, most) in &self.max_rollout {
            match named(name).into_iter().map(rollout).max() {
                None => wrong.push(unknown(name)),
                Some(widest) if widest > *most => {
                    wrong.push(format!("{} is on for {widest} of users", shown(name)));
                }
                Some(_) => {}
            }
        }
        wrong
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
    use crate::sample::{TIME, check, evidence, on_behalf};
    use lockgate_model::facts::EvidenceFact;

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

    #[test]
    fn a_state_that_is_old_is_told_from_none() {
        let gate = "kind = \"feature-flags\"\non = [\"checkout\"]\nmax_age = \"1h\"\n";
        let old = EvidenceFact {
            recorded_at: UnixMillis(TIME.0 - 39_216_546_000),
            ..evidence(1, on_behalf("robot"), flags(None, true, None))
        };
        let result = check(gate, |_, known| known.evidence = vec![old], Fail, Reason::FlagsStale);
        assert!(result.found.ends_with(", 453 days old"), "{}", result.found);
        let again = "read the flags again, then: lockgate attest shop/web@1.4.2 --report flags.json";
        assert_eq!(result.fix, again);
        check(gate, |_, known| known.evidence.clear(), Fail, Reason::FlagsMissing);
    }

    #[test]
    fn states_that_were_handed_in_together_are_one() {
        let row = |name: &str, enabled: [bool; 2], outcome, reason| {
            let other = Claim::Flags(Flags {
                system: Some("other".to_owned()),
                environment: None,
                flags: vec![Flag { name: name.to_owned(), enabled: enabled[1], rollout_basis_points: None }],
                taken_at: None,
            });
            let facts = vec![
                evidence(1, on_behalf("robot"), flags(None, enabled[0], None)),
                evidence(2, on_behalf("robot"), other),
            ];
            let gate = "kind = \"feature-flags\"\non = [\"checkout\"]\n";
            check(gate, |_, known| known.evidence = facts, outcome, reason);
        };
        row("search", [true, false], Pass, Reason::Satisfied);
        row("search", [false, true], Fail, Reason::FlagState);
        row("checkout", [false, true], Fail, Reason::FlagState);
        row("checkout", [true, false], Fail, Reason::FlagState);
        row("checkout", [true, true], Pass, Reason::Satisfied);
    }
}
