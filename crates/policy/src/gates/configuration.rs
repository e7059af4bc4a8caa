//! The `configuration` gate: the configuration that a release comes with is known by digest, and changes on purpose.

use std::collections::BTreeSet;

use lockgate_model::SignerName;
use lockgate_model::facts::{Artifact, Claim, Configuration, EvidenceFact};
use serde::Deserialize;

use super::coverage::{Covered, Demand, Shortfall, every_artifact};
use super::waivers::waived;
use super::{Assessment, Context, Problem, signer_problems};
use crate::explain::Reason;
use crate::permission::Permission;
use crate::policy_set::PolicySet;
use crate::trust::EvidenceKind;
use crate::wording::{all_of, few};

/// Demands every named configuration about every artifact; of each the newest one counts that is for the environment.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigurationGate {
    /// Which configurations, by name.
    pub names: Vec<String>,
    /// Whether they have to be those of the release that runs, of the artifact of the same name; a waiver of the
    /// configuration's name lets a change through.
    #[serde(default)]
    pub unchanged: bool,
    /// Whose signature it needs; empty accepts unsigned reports too.
    #[serde(default)]
    pub signed_by: Vec<SignerName>,
}

type Known<'a> = (&'a EvidenceFact, &'a Configuration);

impl ConfigurationGate {
    pub(super) fn problems(&self, policy: &PolicySet) -> Vec<Problem> {
        let mut problems = signer_problems(&self.signed_by, EvidenceKind::Configuration, policy);
        if self.names.is_empty() {
            problems.push(Problem::new("`names` is empty: name at least one configuration"));
        }
        problems
    }

    fn demand(&self) -> Demand<'_> {
        Demand {
            kind: EvidenceKind::Configuration,
            signed_by: &self.signed_by,
            noun: "configuration",
            missing: Reason::ConfigurationMissing,
        }
    }

    pub(super) fn assess(&self, ctx: Context<'_>) -> Assessment {
        let result = every_artifact(ctx, |artifact| self.check(ctx, artifact, &waived(ctx, artifact)));
        let word = if self.unchanged { ", unchanged from what runs" } else { "" };
        let needed = format!("the digest of {}{word}{}", all_of(&self.names), self.demand().signed_by_text());
        let who = || ctx.groups_that_may(Permission::Attest);
        Assessment::of_coverage(result, needed, who, |reason| match reason {
            Reason::ConfigurationChanged => format!(
                "promote with the configuration that runs, or ask {} for a waiver of each name that changes",
                ctx.groups_that_may(Permission::Waive)
            ),
            Reason::BaselineMissing => ctx.attest_running_report("configuration.json"),
            _ => self.demand().fix(ctx, reason, "--report configuration.json"),
        })
    }

    fn check(&self, ctx: Context<'_>, artifact: &Artifact, waived: &BTreeSet<&str>) -> Result<Covered, Shortfall> {
        let ours = self.demand().counted(ctx, artifact, configuration)?;
        let theirs = match self.unchanged {
            true => self.demand().baseline(ctx, artifact, configuration)?,
            false => None,
        };
        let mut evidence = Vec::new();
        let mut texts = Vec::new();
        let mut excepted = false;
        for name in &self.names {
            let Some((fact, configuration)) = newest(ctx, &ours, name) else {
                let text = format!("no configuration {name} for {}", ctx.environment.name);
                return Err(Shortfall { reason: Reason::ConfigurationMissing, text, evidence });
            };
            evidence.push(fact.evidence);
            let digest = configuration.digest.short();
            let Some(theirs) = &theirs else {
                texts.push(format!("{name} {digest}"));
                continue;
            };
            let Some((_, before)) = newest(ctx, theirs, name) else {
                let text = format!("{name} {digest}, and none is known of what runs");
                return Err(Shortfall { reason: Reason::BaselineMissing, text, evidence });
            };
            if before.digest == configuration.digest {
                texts.push(format!("{name} {digest}, unchanged"));
            } else if waived.contains(name.as_str()) {
                excepted = true;
                texts.push(format!("{name} {digest}, changed from {}, waived", before.digest.short()));
            } else {
                let text = format!("{name} {digest}, changed from {}", before.digest.short());
                return Err(Shortfall { reason: Reason::ConfigurationChanged, text, evidence });
            }
        }
        Ok(Covered { text: few(texts, "; "), evidence, waived: excepted })
    }
}

fn configuration(claim: &Claim) -> Option<&Configuration> {
    match claim {
        Claim::Configuration(configuration) => Some(configuration),
        _ => None,
    }
}

/// The newest configuration of a name that is for this environment, or for every one.
fn newest<'a>(ctx: Context<'_>, known: &[Known<'a>], name: &str) -> Option<Known<'a>> {
    let here = |configuration: &Configuration| {
        configuration.environment.as_deref().is_none_or(|given| given == ctx.environment.name.as_str())
    };
    let wanted = known.iter().filter(|(_, configuration)| configuration.name == name && here(configuration));
    wanted.max_by_key(|(fact, _)| fact.index).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::GateOutcome::{Fail, Pass, Waived};
    use crate::sample::{check, evidence, on_behalf, running, waiver};
    use lockgate_model::Digest;
    use lockgate_model::facts::Facts;

    fn known(index: u64, text: &str, environment: Option<&str>) -> EvidenceFact {
        let claim = Configuration {
            name: "app".to_owned(),
            digest: Digest::of(text.as_bytes()),
            environment: environment.map(str::to_owned),
        };
        evidence(index, on_behalf("robot"), Claim::Configuration(claim))
    }

    #[test]
    fn is_known_and_changes_on_purpose() {
        let row = |fields: &str, ours: EvidenceFact, theirs: Option<Vec<EvidenceFact>>, outcome, reason| {
            let change = |_: &PolicySet, facts: &mut Facts| {
                facts.evidence = vec![ours];
                facts.running = theirs.as_ref().map(|_| running("1.4.1"));
                facts.running_evidence = theirs.unwrap_or_default();
            };
            check(&format!("kind = \"configuration\"\nnames = [\"app\"]\n{fields}\n"), change, outcome, reason)
        };
        let unchanged = "unchanged = true";
        row("", known(1, "a", None), None, Pass, Reason::Satisfied);
        row("", known(1, "a", Some("production")), None, Pass, Reason::Satisfied);
        row("", known(1, "a", Some("staging")), None, Fail, Reason::ConfigurationMissing);
        row(unchanged, known(2, "a", None), Some(vec![known(1, "a", None)]), Pass, Reason::Satisfied);
        row(unchanged, known(2, "b", None), Some(vec![known(1, "a", None)]), Fail, Reason::ConfigurationChanged);
        row(unchanged, known(2, "b", None), None, Pass, Reason::Satisfied);
        row(unchanged, known(2, "b", None), Some(vec![]), Fail, Reason::BaselineMissing);
        row(unchanged, known(2, "b", None), Some(vec![known(1, "b", Some("dev"))]), Fail, Reason::BaselineMissing);
        let change = |_: &PolicySet, facts: &mut Facts| {
            facts.evidence = vec![known(2, "b", None)];
            facts.running = Some(running("1.4.1"));
            facts.running_evidence = vec![known(1, "a", None)];
            facts.waivers = vec![waiver("g", "app")];
        };
        check("kind = \"configuration\"\nnames = [\"app\"]\nunchanged = true\n", change, Waived, Reason::Waived);
        check("kind = \"configuration\"\nnames = [\"app\"]\n", |_, _| {}, Fail, Reason::ConfigurationMissing);
    }
}
