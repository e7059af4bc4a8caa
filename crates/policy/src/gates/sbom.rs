//! The `sbom` gate: every artifact has a bill of materials that is worth something.

use lockgate_model::SignerName;
use lockgate_model::facts::{Artifact, Claim, Completeness, Sbom};
use serde::Deserialize;

use super::coverage::{Counted, Covered, Demand, Shortfall, every_artifact};
use super::{Assessment, Context, Problem, signer_problems};
use crate::explain::Reason;
use crate::permission::Permission;
use crate::policy_set::PolicySet;
use crate::trust::EvidenceKind;
use crate::wording::{counted, few, named, shown};

/// Demands an SBOM about every artifact; the newest one counts, and of several that were handed in together each.
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
        Assessment::of_coverage(result, needed, who, |reason| self.fix(ctx, reason))
    }

    fn fix(&self, ctx: Context<'_>, reason: Reason) -> String {
        const SBOM: &str = "--sbom sbom.cdx.json";
        let anew = |step: &str| self.demand().anew(ctx, step, SBOM);
        match reason {
            Reason::SbomTooSmall => anew("make it anew from what is really shipped"),
            Reason::SbomIncomplete => anew("make it anew with every component, its version and its package URL"),
            Reason::SbomUnpinned => anew("pin the versions in the build and make it anew"),
            _ => self.demand().fix(ctx, reason, SBOM),
        }
    }

    fn check(&self, ctx: Context<'_>, artifact: &Artifact) -> Result<Covered, Shortfall> {
        let boms = self.demand().newest_together(ctx, artifact, |claim| match claim {
            Claim::Sbom(sbom) => Some(sbom),
            _ => None,
        })?;
        let each: Vec<Covered> = boms.into_iter().map(|bom| self.judge(bom)).collect::<Result<_, _>>()?;
        let text = few(each.iter().map(|one| one.text.as_str()), ", ");
        let evidence = each.iter().flat_map(|one| one.evidence.iter().copied()).collect();
        Ok(Covered { text, evidence, waived: false })
    }

    fn judge(&self, (fact, sbom): Counted<'_, Sbom>) -> Result<Covered, Shortfall> {
        let components = counted(sbom.components, "component");
        let shortfall = |reason, text| Err(Shortfall { reason, text, evidence: vec![fact.evidence] });
        if sbom.components < self.min_components {
            return shortfall(Reason::SbomTooSmall, format!("SBOM with {components}"));
        }
        let incomplete = sbom.completeness == Completeness::Incomplete;
        if self.complete && (incomplete || sbom.without_version > 0 || sbom.without_identifier > 0) {
            let says = if incomplete { ", says itself that it is incomplete" } else { "" };
            let text = format!(
                "SBOM with {components}, {} without version{}, {} without package URL or CPE{says}",
                sbom.without_version,
                names_without_version(sbom),
                sbom.without_identifier
            );
            return shortfall(Reason::SbomIncomplete, text);
        }
        // A reader that does not tell pinned versions from others says nothing, and what nobody says is not pinned.
        let unpinned = sbom.unpinned.unwrap_or(sbom.components);
        if self.pinned && unpinned > 0 {
            let names = named(&sbom.unpinned_names, unpinned);
            return shortfall(Reason::SbomUnpinned, format!("SBOM with {components}, {unpinned} not pinned{names}"));
        }
        let text = format!("{} SBOM with {components}", shown(&sbom.format));
        Ok(Covered { text, evidence: vec![fact.evidence], waived: false })
    }
}

/// The first components without a version, as far as facts name them: where every component that is not pinned has none.
fn names_without_version(sbom: &Sbom) -> String {
    if sbom.without_version == 0 || sbom.unpinned != Some(sbom.without_version) {
        return String::new();
    }
    named(&sbom.unpinned_names, sbom.without_version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::GateOutcome::{Fail, Pass};
    use crate::sample::{TIME, check, evidence, on_behalf, sbom, signed};
    use lockgate_model::UnixMillis;
    use lockgate_model::facts::{EvidenceFact, Origin};

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
            let earlier = EvidenceFact {
                recorded_at: UnixMillis(TIME.0 - 1),
                ..evidence(1, on_behalf("robot"), Claim::Sbom(first))
            };
            let facts = vec![evidence(2, on_behalf("robot"), Claim::Sbom(second)), earlier];
            check(gate, |_, known| known.evidence = facts, outcome, reason);
        }
        // None of several that were handed in together hides another one.
        for [first, second] in [[1, 6], [6, 1]] {
            let of =
                |index, components| evidence(index, on_behalf("robot"), Claim::Sbom(Sbom { components, ..sbom() }));
            let facts = vec![of(1, first), of(2, second)];
            check(gate, |_, known| known.evidence = facts, Fail, Reason::SbomTooSmall);
        }
        let both = vec![
            evidence(1, on_behalf("robot"), Claim::Sbom(sbom())),
            evidence(2, on_behalf("robot"), Claim::Sbom(Sbom { format: "spdx".to_owned(), ..sbom() })),
        ];
        let result = check(gate, |_, known| known.evidence = both, Pass, Reason::Satisfied);
        assert_eq!(result.found, "app.tar.gz: cyclonedx SBOM with 6 components, spdx SBOM with 6 components");
        assert_eq!(result.evidence.len(), 2);
        // the listing says what was found instead.
        let tests = evidence(1, on_behalf("robot"), Claim::Tests(crate::sample::tests()));
        let result = check(gate, |_, facts| facts.evidence = vec![tests], Fail, Reason::SbomMissing);
        assert_eq!(result.found, "app.tar.gz: no SBOM, only tests");
        assert_eq!(result.fix, "lockgate attest shop/web@1.4.2 --sbom sbom.cdx.json");
    }

    #[test]
    fn says_what_is_missing_and_how_to_make_it_anew() {
        let row = |gate: &str, change: fn(&mut Sbom), reason| {
            let mut claim = sbom();
            change(&mut claim);
            let gate = format!("kind = \"sbom\"\n{gate}\n");
            let fact = evidence(1, signed(&["scanner"]), Claim::Sbom(claim));
            check(&gate, |_, facts| facts.evidence = vec![fact], Fail, reason)
        };
        fn seven_without_version(sbom: &mut Sbom) {
            sbom.components = 9;
            sbom.without_version = 7;
            sbom.unpinned = Some(7);
            sbom.unpinned_names = ["a", "b", "c", "d", "e", "f", "g"].map(str::to_owned).to_vec();
        }
        let result = row("complete = true", seven_without_version, Reason::SbomIncomplete);
        let found = "app.tar.gz: SBOM with 9 components, 7 without version (a, b, c, d, e, and 2 more), 0 without \
                     package URL or CPE";
        assert_eq!(result.found, found);
        let anew = "make it anew with every component, its version and its package URL, ";
        assert_eq!(result.fix, format!("{anew}then: lockgate attest shop/web@1.4.2 --sbom sbom.cdx.json"));
        let by = "have that signed by scanner, then: lockgate attest shop/web@1.4.2 --attestation sbom.dsse.json";
        let signed_by = "signed_by = [\"scanner\"]\ncomplete = true";
        assert_eq!(row(signed_by, seven_without_version, Reason::SbomIncomplete).fix, format!("{anew}{by}"));
        // Names of components of which some only have a moving version would name the wrong ones.
        let moving = |sbom: &mut Sbom| {
            seven_without_version(sbom);
            sbom.unpinned = Some(8);
        };
        let result = row("complete = true", moving, Reason::SbomIncomplete);
        assert!(result.found.contains("7 without version, 0 without"), "{}", result.found);
    }
}
