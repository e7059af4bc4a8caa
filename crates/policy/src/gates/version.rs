//! The `version` gate: versions rise, by the order of semantic versions (semver.org 2.0.0, section 11).

use lockgate_model::facts::PromotionKind;
use serde::Deserialize;

use super::{Assessment, Context, Problem};
use crate::decision::GateOutcome;
use crate::explain::Reason;
use crate::permission::Permission;

/// Demands a version that rises. A rollback goes back on purpose and is exempt from that, and from nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VersionGate {
    /// Whether pre-releases such as 2.0.0-rc.1 are refused; they are where it is left out.
    #[serde(default = "yes")]
    pub no_prerelease: bool,
    /// Whether the version has to be newer than what runs; it has to where it is left out.
    #[serde(default = "yes")]
    pub newer_than_running: bool,
}

const fn yes() -> bool {
    true
}

impl VersionGate {
    pub(super) fn problems(&self) -> Vec<Problem> {
        match self.no_prerelease || self.newer_than_running {
            true => Vec::new(),
            false => vec![Problem::new("demands nothing: leave `no_prerelease` or `newer_than_running` on")],
        }
    }

    pub(super) fn assess(&self, ctx: Context<'_>) -> Assessment {
        let version = ctx.facts.release.version();
        if self.no_prerelease && version.is_prerelease() {
            let found = format!("{version}, a pre-release");
            return self.fail(ctx, Reason::VersionPrerelease, found, ctx.push_next(""));
        }
        let Some(running) = &ctx.facts.running else {
            return Assessment::passed(self.needed(), format!("{version}, and nothing of the service runs there"));
        };
        let current = &running.release.version;
        let rollback = ctx.facts.promotion.kind == PromotionKind::Rollback;
        let same = running.release == ctx.facts.release.name && running.manifest == ctx.facts.release.manifest;
        if self.newer_than_running && !rollback && !same && version <= current {
            let found = format!("{version}, while {current} runs");
            let fix = format!(
                "to go back on purpose: lockgate rollback {} --to {} --reason \"...\"",
                ctx.release(),
                ctx.environment.name
            );
            return self.fail(ctx, Reason::VersionNotNewer, found, fix);
        }
        let found = match (rollback, same) {
            (true, _) => format!("{version}, a rollback from {current}"),
            (false, true) => format!("{version}, which runs already"),
            (false, false) => format!("{version}, while {current} runs"),
        };
        Assessment::passed(self.needed(), found)
    }

    fn needed(&self) -> String {
        match (self.no_prerelease, self.newer_than_running) {
            (true, true) => "a final version that is newer than what runs",
            (true, false) => "a final version",
            (false, _) => "a version that is newer than what runs",
        }
        .to_owned()
    }

    fn fail(&self, ctx: Context<'_>, reason: Reason, found: String, fix: String) -> Assessment {
        Assessment {
            outcome: GateOutcome::Fail,
            reason,
            needed: self.needed(),
            found,
            evidence: Vec::new(),
            who: ctx.groups_that_may(Permission::Push),
            fix,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::GateOutcome::{Fail, Pass};
    use crate::sample::{check, running};

    #[test]
    fn rises_unless_it_is_a_rollback() {
        use PromotionKind::{Promotion, Rollback};
        let row = |more: &str, version: &str, current: Option<&str>, kind, outcome, reason| {
            let gate = format!("kind = \"version\"\n{more}\n");
            let (version, current) = (version.parse().unwrap(), current.map(running));
            let change = |_: &crate::PolicySet, facts: &mut lockgate_model::facts::Facts| {
                facts.release.name.version = version;
                facts.running = current;
                facts.promotion.kind = kind;
            };
            check(&gate, change, outcome, reason);
        };
        row("", "1.4.2", None, Promotion, Pass, Reason::Satisfied);
        row("", "1.4.2", Some("1.4.1"), Promotion, Pass, Reason::Satisfied);
        row("", "1.10.0", Some("1.9.9"), Promotion, Pass, Reason::Satisfied);
        row("", "1.9.9", Some("1.10.0"), Promotion, Fail, Reason::VersionNotNewer);
        row("", "1.4.2", Some("1.4.3"), Rollback, Pass, Reason::Satisfied);
        row("newer_than_running = false", "1.4.2", Some("1.4.3"), Promotion, Pass, Reason::Satisfied);
        row("", "2.0.0-rc.1", None, Promotion, Fail, Reason::VersionPrerelease);
        row("", "2.0.0-rc.1", Some("1.0.0"), Rollback, Fail, Reason::VersionPrerelease);
        row("no_prerelease = false", "2.0.0-rc.1", Some("1.0.0"), Promotion, Pass, Reason::Satisfied);
        row("no_prerelease = false", "2.0.0-rc.1", Some("2.0.0"), Promotion, Fail, Reason::VersionNotNewer);
    }

    #[test]
    fn the_same_release_may_come_again_and_another_manifest_may_not() {
        let same = |_: &crate::PolicySet, facts: &mut lockgate_model::facts::Facts| {
            let mut current = running("1.4.2");
            current.manifest = facts.release.manifest;
            facts.running = Some(current);
        };
        check("kind = \"version\"\n", same, Pass, Reason::Satisfied);
        let other =
            |_: &crate::PolicySet, facts: &mut lockgate_model::facts::Facts| facts.running = Some(running("1.4.2"));
        check("kind = \"version\"\n", other, Fail, Reason::VersionNotNewer);
    }
}
