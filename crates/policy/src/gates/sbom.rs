//! The `sbom` gate: every artifact has a bill of materials that is worth something.

use lockgate_model::SignerName;
use lockgate_model::facts::{Artifact, Claim, Completeness};
use serde::Deserialize;

use super::coverage::{Covered, Demand, Shortfall, every_artifact};
use super::{Assessment, Context, Problem, signer_problems};
use crate::explain::Reason;
use crate::permission::Permission;
use crate::policy_set::PolicySet;
use crate::trust::EvidenceKind;
use crate::wording::{counted, few, shown};

/// Demands an SBOM about every artifact; the newest one counts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SbomGate {
    /// How many components it has to list at least; 1 where it is left out, and never 0.
    #[serde(default = "one")]
    pub min_components: u64,
    /// Whether it must not say that something is missing, and every component needs a version and a package URL or CPE.
    #[serde(default)]
    pub complete: bool,
    /// Whether every component needs a version that pins it: no range, no `latest`, no snapshot.
    #[serde(default)]
    pub pinned: bool,
    /// Whose signature it needs; empty accepts unsigned ones too.
    #[serde(default)]
    pub signed_by: Vec<SignerName>,
}

const fn one() -> u64 {
    1
}

impl SbomGate {
    pub(super) fn problems(&self, policy: &PolicySet) -> Vec<Problem> {
        let mut problems = signer_problems(&self.signed_by, EvidenceKind::Sbom, policy);
        if self.min_components == 0 {
            problems.push(Problem::new("`min_components` is 0: an SBOM without components proves nothing"));
        }
        problems
    }

    fn demand(&self) -> Demand<'_> {
        Demand { kind: EvidenceKind::Sbom, signed_by: &self.signed_by, noun: "SBOM", missing: Reason::SbomMissing }
    }

    pub(super) fn assess(&self, ctx: Context<'_>) -> Assessment {
        let result = every_artifact(ctx, |artifact| match self.check(ctx, artifact) {
            Err(short) if short.reason == Reason::SbomMissing && lockgate_failpoint::planted("missing-sbom-passes") => {
                Ok(Covered { text: short.text, evidence: Vec::new(), waived: false })
            }
            checked => checked,
        });
        let word = if self.complete { "a complete SBOM" } else { "an SBOM" };
        let components = counted(self.min_components, "component");
        let pinned = if self.pinned { ", all of them pinned to a version" } else { "" };
        let needed = format!("{word} with at least {components}{pinned}{}", self.demand().signed_by_text());
        let who = || ctx.groups_that_may(Permission::Attest);
        Assessment::of_coverage(result, needed, who, |reason| self.demand().fix(ctx, reason, "--sbom sbom.cdx.json"))
    }

    fn check(&self, ctx: Context<'_>, artifact: &Artifact) -> Result<Covered, Shortfall> {
        let (fact, sbom) = self.demand().newest(ctx, artifact, |claim| match claim {
            Claim::Sbom(sbom) => Some(sbom),
            _ => None,
        })?;
        let components = counted(sbom.components, "component");
        let shortfall = |reason, text| Err(Shortfall { reason, text, evidence: vec![fact.evidence] });
        if sbom.components < self.min_components {
            return shortfall(Reason::SbomTooSmall, format!("SBOM with {components}"));
        }
        let incomplete = sbom.completeness == Completeness::Incomplete;
        if self.complete && (incomplete || sbom.without_version > 0 || sbom.without_identifier > 0) {
            let says = if incomplete { ", says itself that it is incomplete" } else { "" };
            let text = format!(
                "SBOM with {components}, {} without version, {} without package URL or CPE{says}",
                sbom.without_version, sbom.without_identifier
            );
            return shortfall(Reason::SbomIncomplete, text);
        }
        // A reader that does not tell pinned versions from others says nothing, and what nobody says is not pinned.
        let unpinned = sbom.unpinned.unwrap_or(sbom.components);
        if self.pinned && unpinned > 0 {
            let names = match sbom.unpinned_names.is_empty() {
                true => String::new(),
                false => format!(" ({})", few(sbom.unpinned_names.iter().map(|name| shown(name)), ", ")),
            };
            return shortfall(Reason::SbomUnpinned, format!("SBOM with {components}, {unpinned} not pinned{names}"));
        }
        let text = format!("{} SBOM with {components}", shown(&sbom.format));
        Ok(Covered { text, evidence: vec![fact.evidence], waived: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::GateOutcome::{Fail, Pass};
    use crate::sample::{check, evidence, on_behalf, sbom, signed};
    use lockgate_model::facts::{Origin, Sbom};

    #[test]
    fn counts_components_and_gaps() {
        let row = |gate: &str, origin: Origin, change: fn(&mut Sbom), outcome, reason| {
            let mut claim = sbom();
            change(&mut claim);
            let gate = format!("kind = \"sbom\"\n{gate}\n");
            check(&gate, |_, facts| facts.evidence = vec![evidence(1, origin, Claim::Sbom(claim))], outcome, reason);
        };
        let robot = || on_behalf("robot");
        row("", robot(), |_| {}, Pass, Reason::Satisfied);
        row("", robot(), |sbom| sbom.components = 0, Fail, Reason::SbomTooSmall);
        row("min_components = 7", robot(), |_| {}, Fail, Reason::SbomTooSmall);
        row("min_components = 6", robot(), |_| {}, Pass, Reason::Satisfied);
        row("", robot(), |sbom| sbom.completeness = Completeness::Incomplete, Pass, Reason::Satisfied);
        row("complete = true", robot(), |_| {}, Pass, Reason::Satisfied);
        row(
            "complete = true",
            robot(),
            |sbom| sbom.completeness = Completeness::Incomplete,
            Fail,
            Reason::SbomIncomplete,
        );
        row("complete = true", robot(), |sbom| sbom.without_version = 1, Fail, Reason::SbomIncomplete);
        row("complete = true", robot(), |sbom| sbom.without_identifier = 1, Fail, Reason::SbomIncomplete);
        row("pinned = true", robot(), |sbom| sbom.unpinned = Some(0), Pass, Reason::Satisfied);
        row("pinned = true", robot(), |sbom| sbom.unpinned = Some(1), Fail, Reason::SbomUnpinned);
        row("pinned = true", robot(), |sbom| sbom.unpinned = None, Fail, Reason::SbomUnpinned);
        row("signed_by = [\"scanner\"]", robot(), |_| {}, Fail, Reason::EvidenceUnsigned);
        row("signed_by = [\"scanner\"]", signed(&["scanner"]), |_| {}, Pass, Reason::Satisfied);
        row("signed_by = [\"scanner\"]", signed(&["ci"]), |_| {}, Fail, Reason::SignerUntrusted);
        // Signed by nobody who is trusted for it is worse than not signed, also where no signature is demanded.
        row("", signed(&[]), |_| {}, Fail, Reason::SignerUntrusted);
    }

    #[test]
    fn the_newest_counts_and_other_kinds_do_not() {
        let gate = "kind = \"sbom\"\nmin_components = 6\n";
        let small = || Sbom { components: 1, ..sbom() };
        let rows = [(small(), sbom(), Pass, Reason::Satisfied), (sbom(), small(), Fail, Reason::SbomTooSmall)];
        for (first, second, outcome, reason) in rows {
            let facts_of = |first, second| {
                vec![
                    evidence(2, on_behalf("robot"), Claim::Sbom(second)),
                    evidence(1, on_behalf("robot"), Claim::Sbom(first)),
                ]
            };
            check(gate, |_, facts| facts.evidence = facts_of(first, second), outcome, reason);
        }
        // the listing says what was found instead.
        let tests = evidence(1, on_behalf("robot"), Claim::Tests(crate::sample::tests()));
        let result = check(gate, |_, facts| facts.evidence = vec![tests], Fail, Reason::SbomMissing);
        assert_eq!(result.found, "app.tar.gz: no SBOM, only tests");
        assert_eq!(result.fix, "lockgate attest shop/web@1.4.2 --sbom sbom.cdx.json");
    }
}
