//! The `freshness` gate: evidence is young enough, whatever it says.

use std::collections::BTreeMap;

use lockgate_model::facts::{Artifact, Claim};
use lockgate_model::{Span, UnixMillis};
use serde::Deserialize;

use super::coverage::{Covered, Shortfall, every_artifact};
use super::{Assessment, Context, Problem, Standing, is_fresh, is_from_future};
use crate::explain::Reason;
use crate::permission::Permission;
use crate::trust::EvidenceKind;
use crate::wording::few;

/// Demands evidence of some kinds about every artifact that is not too old; the newest one of each kind counts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FreshnessGate {
    /// How old evidence of each kind may be, by its own time or else by when it was recorded.
    pub max_age: BTreeMap<EvidenceKind, Span>,
}

impl FreshnessGate {
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.max_age.is_empty() {
            problems.push(Problem::new("`max_age` is empty: name at least one kind, such as { sbom = \"30d\" }"));
        }
        for (kind, _) in self.max_age.iter().filter(|(_, age)| age.is_zero()) {
            problems.push(Problem::new(format!("`max_age` of {kind} is zero: nothing would ever be young enough")));
        }
        problems
    }

    pub(super) fn assess(&self, ctx: Context<'_>) -> Assessment {
        let result = every_artifact(ctx, |artifact| self.check(ctx, artifact));
        let kinds = self.max_age.iter().map(|(kind, age)| format!("{kind} not older than {age}"));
        let who = || ctx.groups_that_may(Permission::Attest);
        Assessment::of_coverage(result, few(kinds, ", "), who, |_| ctx.attest_report("report.json"))
    }

    fn check(&self, ctx: Context<'_>, artifact: &Artifact) -> Result<Covered, Shortfall> {
        let now = ctx.facts.time;
        let mut evidence = Vec::new();
        let mut texts = Vec::new();
        for (kind, age) in &self.max_age {
            let counts = ctx.about(artifact.digest).filter(|fact| {
                fact.claim.kind() == kind.as_str() && ctx.standing(fact, *kind, &[]) == Standing::Counts
            });
            let Some(fact) = counts.max_by_key(|fact| fact.index) else {
                let text = format!("no {kind} evidence that counts");
                return Err(Shortfall { reason: Reason::EvidenceAbsent, text, evidence });
            };
            evidence.push(fact.evidence);
            let own = own_time(&fact.claim);
            let made = own.unwrap_or(fact.recorded_at);
            if is_from_future(own, fact, now) {
                let text = format!("{kind} that says it is of {made}, after it was recorded");
                return Err(Shortfall { reason: Reason::EvidenceFromFuture, text, evidence });
            }
            if !is_fresh(own, fact, Some(*age), now) {
                let text = format!("{kind} of {made}, {} old", now.since(made));
                return Err(Shortfall { reason: Reason::EvidenceStale, text, evidence });
            }
            texts.push(format!("{kind} of {made}"));
        }
        Ok(Covered { text: few(texts, ", "), evidence, waived: false })
    }
}

/// When a piece of evidence says that it was made.
fn own_time(claim: &Claim) -> Option<UnixMillis> {
    match claim {
        Claim::Provenance(claim) => claim.finished_at,
        Claim::Tests(claim) => claim.finished_at,
        Claim::Vulnerabilities(claim) => claim.scanned_at,
        Claim::Vex(claim) => claim.issued_at,
        Claim::Coverage(claim) => claim.measured_at,
        Claim::Performance(claim) => claim.measured_at,
        Claim::Rebuild(claim) => claim.rebuilt_at,
        Claim::Check(claim) => claim.checked_at,
        Claim::Flags(claim) => claim.taken_at,
        Claim::Summary(claim) => claim.verified_at,
        Claim::Source(claim) => claim.created_at,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::GateOutcome::{Fail, Pass};
    use crate::sample::{TIME, check, evidence, on_behalf, sbom, signed, tests};
    use lockgate_model::facts::{EvidenceFact, Tests};

    const HOUR: u64 = 3_600_000;

    #[test]
    fn the_newest_of_each_kind_is_young_enough() {
        let row = |facts: Vec<EvidenceFact>, outcome, reason| {
            let gate = "kind = \"freshness\"\nmax_age = { sbom = \"2h\", tests = \"1h\" }\n";
            check(gate, |_, known| known.evidence = facts, outcome, reason)
        };
        let sbom = |ago: u64| EvidenceFact {
            recorded_at: UnixMillis(TIME.0 - ago),
            ..evidence(1, on_behalf("robot"), Claim::Sbom(sbom()))
        };
        let run = |ago: u64| {
            let finished_at = Some(UnixMillis(TIME.0 - ago));
            evidence(2, on_behalf("robot"), Claim::Tests(Tests { finished_at, ..tests() }))
        };
        row(vec![sbom(2 * HOUR - 1), run(HOUR - 1)], Pass, Reason::Satisfied);
        row(vec![sbom(2 * HOUR), run(0)], Fail, Reason::EvidenceStale);
        row(vec![sbom(0), run(HOUR)], Fail, Reason::EvidenceStale);
        let result = row(vec![sbom(0)], Fail, Reason::EvidenceAbsent);
        assert_eq!(result.found, "app.tar.gz: no tests evidence that counts");
        // What nobody is believed about does not make anything fresh.
        let forged = EvidenceFact { origin: signed(&[]), ..run(0) };
        row(vec![sbom(0), forged], Fail, Reason::EvidenceAbsent);
    }
}
