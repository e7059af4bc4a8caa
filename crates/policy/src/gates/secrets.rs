//! The `secrets` gate: somebody looked for secrets, and found none that matter.

use std::collections::BTreeMap;

use lockgate_model::facts::{Artifact, Claim, Secrets};
use lockgate_model::{SignerName, Span};
use serde::Deserialize;

use super::coverage::{Covered, Demand, Shortfall, every_artifact, together_by};
use super::{Assessment, Context, Problem, is_fresh, signer_problems};
use crate::explain::Reason;
use crate::permission::Permission;
use crate::policy_set::PolicySet;
use crate::trust::EvidenceKind;
use crate::wording::{age, counted, few, shown};

/// Demands a search for secrets about every artifact; of each tool the newest one counts, with all that were handed in
/// together with it.
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
        let young = self.max_age.map(|age| format!(", searched not longer than {age} ago")).unwrap_or_default();
        let needed = format!("at most {} {word}{young}{}", self.max_found, self.demand().signed_by_text());
        let who = || ctx.groups_that_may(Permission::Attest);
        Assessment::of_coverage(result, needed, who, |reason| match reason {
            Reason::SecretsFound => {
                format!("revoke what was found, take it out of the source, then: {}", ctx.push_next(""))
            }
            Reason::SecretsStale => self.demand().anew(ctx, "search again", "--report gitleaks.json"),
            _ => self.demand().fix(ctx, reason, "--report gitleaks.json"),
        })
    }

    fn check(&self, ctx: Context<'_>, artifact: &Artifact) -> Result<Covered, Shortfall> {
        let searches = self.demand().counted(ctx, artifact, |claim| match claim {
            Claim::Secrets(secrets) => Some(secrets),
            _ => None,
        })?;
        let newest = together_by(searches, |secrets| secrets.tool.as_str());
        let evidence: Vec<_> = newest.iter().map(|(fact, _)| fact.evidence).collect();
        let count = |secrets: &Secrets| match secrets.verified {
            Some(verified) if self.verified_only => verified,
            _ => secrets.found,
        };
        // The same secret may be found by each tool, so that the tools are not added up.
        let mut by_tool: BTreeMap<&str, (u64, Vec<&String>)> = BTreeMap::new();
        for (_, secrets) in &newest {
            let (found, places) = by_tool.entry(secrets.tool.as_str()).or_default();
            *found = found.saturating_add(count(secrets));
            places.extend(&secrets.places);
        }
        if let Some((tool, (found, places))) = by_tool.iter().find(|(_, (found, _))| *found > self.max_found) {
            let places = few(places.iter().map(|place| shown(place)), ", ");
            let at = if places.is_empty() { String::new() } else { format!(": {places}") };
            let text = format!("{} by {}{at}", counted(*found, "secret"), shown(tool));
            return Err(Shortfall { reason: Reason::SecretsFound, text, evidence });
        }
        let now = ctx.facts.time;
        if let Some((fact, _)) = newest.iter().find(|(fact, _)| !is_fresh(None, fact, self.max_age, now)) {
            let text = format!("a search of {}, {} old", fact.recorded_at, age(now.since(fact.recorded_at)));
            return Err(Shortfall { reason: Reason::SecretsStale, text, evidence });
        }
        let text = few(by_tool.iter().map(|(tool, (found, _))| format!("{} found {found}", shown(tool))), ", ");
        Ok(Covered { text, evidence, waived: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::GateOutcome::{Fail, Pass};
    use crate::sample::{TIME, check, evidence, on_behalf};
    use lockgate_model::UnixMillis;
    use lockgate_model::facts::EvidenceFact;

    fn search(index: u64, ago: u64, tool: &str, found: u64, verified: Option<u64>) -> EvidenceFact {
        let places = vec!["aws-access-token src/main.rs:3".to_owned()];
        let secrets = Secrets { tool: tool.to_owned(), found, verified, places };
        EvidenceFact {
            recorded_at: UnixMillis(TIME.0 - ago * 1000),
            ..evidence(index, on_behalf("robot"), Claim::Secrets(secrets))
        }
    }

    #[test]
    fn counts_what_each_tool_found() {
        let row = |fields: &str, searches: &[(&str, u64, Option<u64>)], outcome, reason| {
            // Each is handed in by itself, a second after the one before.
            let facts: Vec<EvidenceFact> = (1u64..)
                .zip(searches)
                .map(|(index, (tool, found, verified))| search(index, 60 - index, tool, *found, *verified))
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

    #[test]
    fn searches_that_were_handed_in_together_are_one() {
        let row = |fields: &str, facts: Vec<EvidenceFact>, outcome, reason| {
            check(&format!("kind = \"secrets\"\n{fields}\n"), |_, known| known.evidence = facts, outcome, reason)
        };
        let both = |first, second| vec![search(1, 9, "gitleaks", first, None), search(2, 9, "gitleaks", second, None)];
        row("", both(1, 0), Fail, Reason::SecretsFound);
        row("", both(0, 1), Fail, Reason::SecretsFound);
        row("max_found = 1", both(1, 1), Fail, Reason::SecretsFound);
        let result = row("max_found = 2", both(1, 1), Pass, Reason::Satisfied);
        assert_eq!(result.found, "app.tar.gz: gitleaks found 2");
        let old = vec![search(1, 108_097, "gitleaks", 0, None)];
        let result = row("max_age = \"1h\"", old, Fail, Reason::SecretsStale);
        assert!(result.found.ends_with(", 30 hours old"), "{}", result.found);
        assert!(result.fix.starts_with("search again"), "{}", result.fix);
    }
}
