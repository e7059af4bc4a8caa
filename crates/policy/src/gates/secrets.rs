//! The `secrets` gate: somebody looked for secrets, and found none that matter.

use std::collections::BTreeMap;

use lockgate_model::facts::{Artifact, Claim, EvidenceFact, Secrets};
use lockgate_model::{SignerName, Span};
use serde::Deserialize;

use super::coverage::{Covered, Demand, Shortfall, every_artifact};
use super::{Assessment, Context, Problem, is_fresh, signer_problems};
use crate::explain::Reason;
use crate::permission::Permission;
use crate::policy_set::PolicySet;
use crate::trust::EvidenceKind;
use crate::wording::{counted, few, shown};

/// Demands a search for secrets about every artifact; of each tool the newest one counts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretsGate {
    /// How many may be found; none where it is left out.
    #[serde(default)]
    pub max_found: u64,
    /// Whether only those count that the tool saw working; a tool that does not try that counts all.
    #[serde(default)]
    pub verified_only: bool,
    /// How old a search may be, by when it was recorded.
    #[serde(default)]
    pub max_age: Option<Span>,
    /// Whose signature it needs; empty accepts unsigned reports too.
    #[serde(default)]
    pub signed_by: Vec<SignerName>,
}

impl SecretsGate {
    pub(super) fn problems(&self, policy: &PolicySet) -> Vec<Problem> {
        let mut problems = signer_problems(&self.signed_by, EvidenceKind::Secrets, policy);
        if self.max_age.is_some_and(Span::is_zero) {
            problems.push(Problem::new("`max_age` is zero: no search would ever be young enough"));
        }
        problems
    }

    fn demand(&self) -> Demand<'_> {
        Demand {
            kind: EvidenceKind::Secrets,
            signed_by: &self.signed_by,
            noun: "search for secrets",
            missing: Reason::SecretsMissing,
        }
    }

    pub(super) fn assess(&self, ctx: Context<'_>) -> Assessment {
        let result = every_artifact(ctx, |artifact| self.check(ctx, artifact));
        let word = if self.verified_only { "working secrets" } else { "secrets" };
        let age = self.max_age.map(|age| format!(", searched not longer than {age} ago")).unwrap_or_default();
        let needed = format!("at most {} {word}{age}{}", self.max_found, self.demand().signed_by_text());
        let who = || ctx.groups_that_may(Permission::Attest);
        Assessment::of_coverage(result, needed, who, |reason| match reason {
            Reason::SecretsFound => {
                format!("revoke what was found, take it out of the source, then: {}", ctx.push_next(""))
            }
            _ => self.demand().fix(ctx, reason, "--report gitleaks.json"),
        })
    }

    fn check(&self, ctx: Context<'_>, artifact: &Artifact) -> Result<Covered, Shortfall> {
        let searches = self.demand().counted(ctx, artifact, |claim| match claim {
            Claim::Secrets(secrets) => Some(secrets),
            _ => None,
        })?;
        let mut newest: BTreeMap<&str, (&EvidenceFact, &Secrets)> = BTreeMap::new();
        for (fact, secrets) in searches {
            let kept = newest.entry(secrets.tool.as_str()).or_insert((fact, secrets));
            if fact.index > kept.0.index {
                *kept = (fact, secrets);
            }
        }
        let evidence: Vec<_> = newest.values().map(|(fact, _)| fact.evidence).collect();
        let count = |secrets: &Secrets| match secrets.verified {
            Some(verified) if self.verified_only => verified,
            _ => secrets.found,
        };
        // The same secret may be found by each tool, so that the tools are not added up.
        if let Some((_, secrets)) = newest.values().find(|(_, secrets)| count(secrets) > self.max_found) {
            let places = few(secrets.places.iter().map(|place| shown(place)), ", ");
            let at = if places.is_empty() { String::new() } else { format!(": {places}") };
            let text = format!("{} by {}{at}", counted(count(secrets), "secret"), shown(&secrets.tool));
            return Err(Shortfall { reason: Reason::SecretsFound, text, evidence });
        }
        let now = ctx.facts.time;
        if let Some((fact, _)) = newest.values().find(|(fact, _)| !is_fresh(None, fact, self.max_age, now)) {
            let text = format!("a search of {}, {} old", fact.recorded_at, now.since(fact.recorded_at));
            return Err(Shortfall { reason: Reason::SecretsMissing, text, evidence });
        }
        let text =
            few(newest.values().map(|(_, secrets)| format!("{} found {}", shown(&secrets.tool), count(secrets))), ", ");
        Ok(Covered { text, evidence, waived: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::GateOutcome::{Fail, Pass};
    use crate::sample::{check, evidence, on_behalf};

    #[test]
    fn counts_what_each_tool_found() {
        let row = |fields: &str, searches: &[(&str, u64, Option<u64>)], outcome, reason| {
            let facts: Vec<EvidenceFact> = (1u64..)
                .zip(searches)
                .map(|(index, (tool, found, verified))| {
                    let places = vec!["aws-access-token src/main.rs:3".to_owned()];
                    let secrets = Secrets { tool: (*tool).to_owned(), found: *found, verified: *verified, places };
                    evidence(index, on_behalf("robot"), Claim::Secrets(secrets))
                })
                .collect();
            check(&format!("kind = \"secrets\"\n{fields}\n"), |_, known| known.evidence = facts, outcome, reason)
        };
        row("", &[("gitleaks", 0, None)], Pass, Reason::Satisfied);
        let result = row("", &[("gitleaks", 1, None)], Fail, Reason::SecretsFound);
        assert_eq!(result.found, "app.tar.gz: 1 secret by gitleaks: aws-access-token src/main.rs:3");
        row("max_found = 1", &[("gitleaks", 1, None)], Pass, Reason::Satisfied);
        row("verified_only = true", &[("trufflehog", 3, Some(0))], Pass, Reason::Satisfied);
        row("verified_only = true", &[("trufflehog", 3, Some(1))], Fail, Reason::SecretsFound);
        row("verified_only = true", &[("gitleaks", 1, None)], Fail, Reason::SecretsFound);
        row("", &[("gitleaks", 1, None), ("gitleaks", 0, None)], Pass, Reason::Satisfied);
        row("", &[("gitleaks", 0, None), ("trufflehog", 1, Some(1))], Fail, Reason::SecretsFound);
        row("", &[], Fail, Reason::SecretsMissing);
    }
}
