//! The `capacity` gate: an environment takes in one promotion at a time, or a few, and needs time to settle after each.

use lockgate_model::Span;
use lockgate_model::facts::Running;
use serde::Deserialize;

use super::windows::{SPARED, is_spared};
use super::{Assessment, Context, Problem};
use crate::decision::GateOutcome;
use crate::explain::Reason;
use crate::permission::Permission;
use crate::wording::{counted, few};

/// Demands that not too many releases were let into the environment just now.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CapacityGate {
    /// How many releases may be on their way in at once, of each service the newest counting; 1 where it is left out,
    /// never 0, and more only with `all_services`.
    #[serde(default = "one")]
    pub at_once: u64,
    /// For how long after its grant a release is on its way in.
    pub settle: Span,
    /// Whether all services share the environment; each service counts for itself where it is left out.
    #[serde(default)]
    pub all_services: bool,
    /// Whether rollbacks are let in at any time.
    #[serde(default)]
    pub spare_rollbacks: bool,
}

const fn one() -> u64 {
    1
}

impl CapacityGate {
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.at_once == 0 {
            problems.push(Problem::new("`at_once` is 0: nothing could ever be let in"));
        }
        if self.at_once > 1 && !self.all_services {
            problems.push(Problem::new(format!(
                "`at_once` is {}, and of one service only the newest grant is known: use `at_once = 1` or \
                 `all_services = true`",
                self.at_once
            )));
        }
        if self.settle.is_zero() {
            problems
                .push(Problem::new("`settle` is zero, which demands nothing: say how long a release takes to settle"));
        }
        problems
    }

    pub(super) fn assess(&self, ctx: Context<'_>) -> Assessment {
        let now = ctx.facts.time;
        let whole = if self.all_services { "the environment" } else { "the service" };
        let which = if self.at_once > 1 { ", counting the newest of each service" } else { "" };
        let needed = format!("at most {} into {whole} within {}{which}", counted(self.at_once, "release"), self.settle);
        if is_spared(self.spare_rollbacks, ctx) {
            return Assessment::passed(needed, SPARED.to_owned());
        }
        let neighbours: &[Running] = match &ctx.facts.neighbours {
            _ if !self.all_services => &[],
            Some(known) => known,
            None => return self.unknown(ctx, needed),
        };
        let mut arriving: Vec<&Running> = ctx
            .facts
            .running
            .iter()
            .chain(neighbours)
            .filter(|grant| grant.promotion != ctx.facts.promotion.id && now < grant.since.plus(self.settle))
            .collect();
        // The newest last, so that the place becomes free when all but the newest few have settled.
        arriving.sort_by_key(|grant| (grant.since, grant.promotion));
        let count = u64::try_from(arriving.len()).unwrap_or(u64::MAX);
        let listed = few(
            arriving.iter().map(|grant| format!("{} since {} ({})", grant.release, grant.since, grant.promotion)),
            "; ",
        );
        let over = count.checked_sub(self.at_once).and_then(|over| usize::try_from(over).ok());
        match over.and_then(|over| arriving.get(over)) {
            None if listed.is_empty() => Assessment::passed(needed, "nothing is on its way in".to_owned()),
            None => Assessment::passed(needed, format!("on its way in: {listed}")),
            Some(last) => {
                let free = last.since.plus(self.settle);
                Assessment {
                    outcome: GateOutcome::Pending,
                    reason: Reason::EnvironmentBusy,
                    needed,
                    found: format!("on its way in: {listed}; free {free}"),
                    evidence: Vec::new(),
                    who: "nobody: it takes time".to_owned(),
                    fix: format!("wait until {free}, then: lockgate why {}", ctx.facts.promotion.id),
                }
            }
        }
    }

    /// What nobody gathered is not nothing.
    fn unknown(&self, ctx: Context<'_>, needed: String) -> Assessment {
        Assessment {
            outcome: GateOutcome::Fail,
            reason: Reason::NeighboursUnknown,
            needed,
            found: "the facts do not say what other services run there".to_owned(),
            evidence: Vec::new(),
            who: ctx.groups_that_may(Permission::Policy),
            fix: format!(
                "leave `all_services` out at {}, then: lockgate policy activate <dir> --reason \"...\"",
                ctx.gate.rule
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PolicySet;
    use crate::decision::GateOutcome::{Pass, Pending};
    use crate::sample::{TIME, check, running};
    use lockgate_model::facts::{Facts, PromotionKind};
    use lockgate_model::{PromotionId, UnixMillis};

    fn grant(release: &str, ago_secs: u64, promotion: u64) -> Running {
        Running {
            release: release.parse().unwrap(),
            since: UnixMillis(TIME.0 - ago_secs * 1000),
            promotion: PromotionId(promotion),
            ..running("1.0.0")
        }
    }

    #[test]
    fn one_at_a_time_until_it_has_settled() {
        let row = |more: &str, own: Option<Running>, others: Vec<Running>, outcome| {
            let reason = if outcome == Pass { Reason::Satisfied } else { Reason::EnvironmentBusy };
            let gate = format!("kind = \"capacity\"\nsettle = \"10m\"\n{more}\n");
            let change = |_: &PolicySet, facts: &mut Facts| {
                facts.running = own;
                facts.neighbours = Some(others);
            };
            check(&gate, change, outcome, reason).found
        };
        let web = |ago| Some(grant("shop/web@1.4.1", ago, 1));
        let api = |ago| grant("shop/api@2.0.0", ago, 2);
        let all = "all_services = true";
        assert_eq!(row("", None, vec![], Pass), "nothing is on its way in");
        row(all, web(600), vec![api(3600)], Pass);
        let found = row(all, web(599), vec![], Pending);
        assert!(found.ends_with("free 2026-01-01T00:00:01Z"), "{found}");
        row(all, None, vec![api(0)], Pending);
        row("", None, vec![api(0)], Pass);
        row("", web(0), vec![], Pending);
        // With two places, the first becomes free when the older of both has settled.
        let found = row(&format!("{all}\nat_once = 2"), web(10), vec![api(300)], Pending);
        assert!(found.ends_with("free 2026-01-01T00:05:00Z"), "{found}");
        row(&format!("{all}\nat_once = 2"), web(10), vec![], Pass);
    }

    #[test]
    fn rollbacks_are_spared_where_it_says_so() {
        let row = |more: &str, kind: PromotionKind, outcome: GateOutcome| {
            let reason = if outcome == Pass { Reason::Satisfied } else { Reason::EnvironmentBusy };
            let gate = format!("kind = \"capacity\"\nsettle = \"30m\"\n{more}\n");
            let change = |_: &PolicySet, facts: &mut Facts| {
                facts.promotion.kind = kind;
                facts.running = Some(grant("shop/web@1.5.0", 12, 1));
                facts.neighbours = Some(vec![]);
            };
            check(&gate, change, outcome, reason)
        };
        let spare = "spare_rollbacks = true";
        let spare_all = "spare_rollbacks = true\nall_services = true";
        row("", PromotionKind::Rollback, Pending);
        row("spare_rollbacks = false", PromotionKind::Rollback, Pending);
        assert_eq!(row(spare, PromotionKind::Rollback, Pass).found, SPARED);
        row(spare_all, PromotionKind::Rollback, Pass);
        row(spare, PromotionKind::Promotion, Pending);
        row(spare_all, PromotionKind::Promotion, Pending);
    }

    #[test]
    fn what_cannot_be_counted_is_refused() {
        let check = |fields: &str, expected: Option<&str>| {
            let gate = crate::sample::gate(&format!("kind = \"capacity\"\n{fields}"));
            let errors = PolicySet::from_files(crate::sample::files(&gate)).err().unwrap_or_default();
            let told = errors.first().map(|error| error.message.as_str());
            assert_eq!(told.is_some(), expected.is_some(), "{fields}: {told:?}");
            assert!(told.unwrap_or_default().contains(expected.unwrap_or_default()), "{fields}: {told:?}");
        };
        check("settle = \"10m\"\n", None);
        check("settle = \"10m\"\nat_once = 1\n", None);
        check("settle = \"10m\"\nat_once = 2\nall_services = true\n", None);
        check("settle = \"10m\"\nat_once = 2\n", Some("only the newest grant is known"));
        check("settle = \"10m\"\nat_once = 2\nall_services = false\n", Some("all_services = true"));
        check("settle = \"10m\"\nat_once = 0\n", Some("`at_once` is 0"));
        check("settle = \"0s\"\n", Some("`settle` is zero"));
    }

    #[test]
    fn what_nobody_gathered_is_not_nothing() {
        let gate = "kind = \"capacity\"\nsettle = \"10m\"\nall_services = true\n";
        check(gate, |_, facts| facts.neighbours = None, GateOutcome::Fail, Reason::NeighboursUnknown);
    }
}
