//! The `licences` gate: everything in an artifact may be used under licences that the policy set accepts.

use std::collections::BTreeSet;

use lockgate_model::facts::{Artifact, Claim, LicenceUse, Sbom};
use lockgate_model::{Digest, SignerName};
use serde::Deserialize;

use super::coverage::{Covered, Demand, Shortfall, every_artifact};
use super::waivers::waived;
use super::{Assessment, Context, Problem, signer_problems};
use crate::explain::Reason;
use crate::permission::Permission;
use crate::policy_set::PolicySet;
use crate::spdx::{Expression, Licence};
use crate::trust::EvidenceKind;
use crate::wording::{counted, few, named, shown};

/// Demands an SBOM about every artifact whose licences are accepted; the newest one counts, and all that were handed in
/// together with it. What is denied is denied, whatever is allowed, but for a licence that `allow` names with the very
/// exception that it has.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LicencesGate {
    /// Which licences are accepted; all that are not denied where it is left out.
    #[serde(default)]
    pub allow: Vec<Licence>,
    /// Which licences are not accepted.
    #[serde(default)]
    pub deny: Vec<Licence>,
    /// Whether components without a licence, or with one that is no SPDX expression, are let through.
    #[serde(default)]
    pub allow_unknown: bool,
    /// Whose signature the SBOM needs; empty accepts unsigned ones too.
    #[serde(default)]
    pub signed_by: Vec<SignerName>,
}

impl LicencesGate {
    pub(super) fn problems(&self, policy: &PolicySet) -> Vec<Problem> {
        let mut problems = signer_problems(&self.signed_by, EvidenceKind::Sbom, policy);
        if self.allow.is_empty() && self.deny.is_empty() {
            problems.push(Problem::new("demands nothing: name licences in `allow` or `deny`, such as [\"MIT\"]"));
        }
        for licence in self.allow.iter().filter(|licence| !self.accepts(licence)) {
            problems.push(Problem::new(format!("`{licence}` is allowed and denied: remove it from one of both")));
        }
        problems
    }

    fn demand(&self) -> Demand<'_> {
        Demand { kind: EvidenceKind::Sbom, signed_by: &self.signed_by, noun: "SBOM", missing: Reason::SbomMissing }
    }

    pub(super) fn assess(&self, ctx: Context<'_>) -> Assessment {
        let result = every_artifact(ctx, |artifact| self.check(ctx, artifact, &waived(ctx, artifact)));
        Assessment::of_coverage(
            result,
            self.needed(),
            || ctx.groups_that_may(Permission::Attest),
            |reason| match reason {
                Reason::LicenceDenied => format!(
                    "replace what has it, then: {}\nor ask {} for a waiver of the licence expression",
                    ctx.push_next(""),
                    ctx.groups_that_may(Permission::Waive)
                ),
                Reason::LicenceUnknown => self.demand().anew(
                    ctx,
                    "make it anew with the licence of every component as an SPDX expression",
                    "--sbom sbom.cdx.json",
                ),
                _ => self.demand().fix(ctx, reason, "--sbom sbom.cdx.json"),
            },
        )
    }

    fn needed(&self) -> String {
        let mut needed = match self.allow.is_empty() {
            true => "no licence".to_owned(),
            false => format!("no licence but {}", few(&self.allow, ", ")),
        };
        if !self.deny.is_empty() {
            let word = if self.allow.is_empty() { " of" } else { ", and none of" };
            needed.push_str(&format!("{word} {}", few(&self.deny, ", ")));
        }
        if !self.allow_unknown {
            needed.push_str(", and a known one for every component");
        }
        needed + &self.demand().signed_by_text()
    }

    /// Whether one licence is accepted.
    fn accepts(&self, licence: &Licence) -> bool {
        let named = |entry: &Licence| entry.exception().is_some() && entry.names(licence);
        let stands = |list: &[Licence]| list.iter().any(|entry| entry.stands_for(licence));
        self.allow.iter().any(named) || (!stands(&self.deny) && (self.allow.is_empty() || stands(&self.allow)))
    }

    fn check(&self, ctx: Context<'_>, artifact: &Artifact, waived: &BTreeSet<&str>) -> Result<Covered, Shortfall> {
        let boms = self.demand().newest_together(ctx, artifact, |claim| match claim {
            Claim::Sbom(sbom) => Some(sbom),
            _ => None,
        })?;
        let evidence: Vec<Digest> = boms.iter().map(|(fact, _)| fact.evidence).collect();
        let mut unknown = boms.iter().fold(0u64, |sum, (_, sbom)| sum.saturating_add(without_licence(sbom)));
        let mut unreadable: Vec<&LicenceUse> = Vec::new();
        let mut denied: Vec<&LicenceUse> = Vec::new();
        let mut excepted = 0u64;
        for found in boms.iter().flat_map(|(_, sbom)| &sbom.licences) {
            let is_waived = waived.contains(found.expression.as_str());
            match known(&found.expression) {
                _ if is_waived => excepted = excepted.saturating_add(found.components),
                None => {
                    unknown = unknown.saturating_add(found.components);
                    unreadable.push(found);
                }
                Some(expression) if expression.is_satisfied_by(&|licence| self.accepts(licence)) => {}
                Some(_) => denied.push(found),
            }
        }
        let objects_to_unknown = unknown > 0 && !self.allow_unknown;
        let names = named(unreadable.iter().flat_map(|found| &found.names), unknown);
        let unknown = format!("{} without a licence that can be read{names}", counted(unknown, "component"));
        if !denied.is_empty() {
            let listed = few(denied.iter().map(|found| described(found)), "; ");
            let text = if objects_to_unknown { format!("{listed}; {unknown}") } else { listed };
            return Err(Shortfall { reason: Reason::LicenceDenied, text, evidence });
        }
        if objects_to_unknown {
            return Err(Shortfall { reason: Reason::LicenceUnknown, text: unknown, evidence });
        }
        let total = |count: fn(&Sbom) -> u64| boms.iter().fold(0u64, |sum, (_, sbom)| sum.saturating_add(count(sbom)));
        let licences = total(|sbom| u64::try_from(sbom.licences.len()).unwrap_or(u64::MAX));
        let components = counted(total(|sbom| sbom.components), "component");
        let text = format!("{} in {components}, all accepted", counted(licences, "licence"));
        match excepted {
            0 => Ok(Covered { text, evidence, waived: false }),
            _ => Ok(Covered { text: format!("{text} or waived"), evidence, waived: true }),
        }
    }
}

/// Components whose licence nobody says. A reader that does not count them has only told the others.
fn without_licence(sbom: &Sbom) -> u64 {
    let told = sbom.licences.iter().fold(0u64, |sum, found| sum.saturating_add(found.components));
    sbom.without_licence.unwrap_or(sbom.components.saturating_sub(told))
}

/// The expression, unless it says nothing (`NOASSERTION`, `NONE`) or cannot be read.
fn known(text: &str) -> Option<Expression> {
    match text {
        "NOASSERTION" | "NONE" => None,
        text => text.parse().ok(),
    }
}

fn described(found: &LicenceUse) -> String {
    let names = few(found.names.iter().map(|name| shown(name)), ", ");
    let of = if names.is_empty() { counted(found.components, "component") } else { names };
    format!("{} of {of}", shown(&found.expression))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::GateOutcome::{Fail, Pass, Waived};
    use crate::sample::{check, evidence, on_behalf, sbom, waiver};
    use lockgate_model::facts::Facts;

    fn licences(expressions: &[&str]) -> Sbom {
        let one = |expression: &&str| LicenceUse {
            expression: (*expression).to_owned(),
            components: 1,
            names: vec!["left-pad 1.0.0".to_owned()],
        };
        let licences: Vec<LicenceUse> = expressions.iter().map(one).collect();
        Sbom { components: licences.len() as u64, without_licence: Some(0), licences, ..sbom() }
    }

    #[test]
    fn accepts_what_the_lists_say() {
        let row = |fields: &str, claim: Sbom, outcome, reason| {
            let gate = format!("kind = \"licences\"\n{fields}\n");
            check(
                &gate,
                |_, facts| facts.evidence = vec![evidence(1, on_behalf("robot"), Claim::Sbom(claim))],
                outcome,
                reason,
            )
        };
        let allow = "allow = [\"MIT\", \"Apache-2.0\", \"GPL-2.0-only WITH Classpath-exception-2.0\"]";
        let both = "allow = [\"GPL-2.0-only WITH Classpath-exception-2.0\", \"MIT\"]\ndeny = [\"GPL-2.0-only\"]";
        let deny = "deny = [\"GPL-3.0-or-later\", \"AGPL-3.0-only\"]";
        row(allow, licences(&["MIT", "MIT OR GPL-3.0-only"]), Pass, Reason::Satisfied);
        let result = row(allow, licences(&["MIT", "MIT AND GPL-3.0-only"]), Fail, Reason::LicenceDenied);
        assert_eq!(result.found, "app.tar.gz: MIT AND GPL-3.0-only of left-pad 1.0.0");
        row(allow, licences(&["GPL-2.0-only WITH Classpath-exception-2.0"]), Pass, Reason::Satisfied);
        row(allow, licences(&["GPL-2.0-only"]), Fail, Reason::LicenceDenied);
        row(both, licences(&["GPL-2.0-only WITH Classpath-exception-2.0"]), Pass, Reason::Satisfied);
        row(both, licences(&["GPL-2.0-only"]), Fail, Reason::LicenceDenied);
        row(deny, licences(&["BSD-3-Clause", "GPL-2.0-only"]), Pass, Reason::Satisfied);
        row(deny, licences(&["GPL-3.0-only"]), Fail, Reason::LicenceDenied);
        row(deny, licences(&["AGPL-3.0-only OR MIT"]), Pass, Reason::Satisfied);
        // What nobody says, or can read, is not accepted.
        for unknown in ["NOASSERTION", "NONE", "MIT/X11", ""] {
            row(deny, licences(&[unknown]), Fail, Reason::LicenceUnknown);
            row(&format!("{deny}\nallow_unknown = true"), licences(&[unknown]), Pass, Reason::Satisfied);
        }
        row(deny, Sbom { without_licence: Some(1), ..licences(&["MIT"]) }, Fail, Reason::LicenceUnknown);
        let unread = Sbom { without_licence: Some(2), ..licences(&["NOASSERTION", "MIT/X11"]) };
        let result = row(deny, unread, Fail, Reason::LicenceUnknown);
        let four = "4 components without a licence that can be read (left-pad 1.0.0, left-pad 1.0.0, and 2 more)";
        assert_eq!(result.found, format!("app.tar.gz: {four}"));
        assert!(result.fix.starts_with("make it anew with the licence of every component "), "{}", result.fix);
        let both = Sbom { without_licence: Some(1), ..licences(&["GPL-3.0-only", "NONE"]) };
        let result = row(deny, both, Fail, Reason::LicenceDenied);
        let told = "GPL-3.0-only of left-pad 1.0.0; 2 components without a licence that can be read (left-pad 1.0.0, \
                    and 1 more)";
        assert_eq!(result.found, format!("app.tar.gz: {told}"));
        row(deny, Sbom { without_licence: None, components: 2, ..licences(&["MIT"]) }, Fail, Reason::LicenceUnknown);
        check(&format!("kind = \"licences\"\n{deny}\n"), |_, _| {}, Fail, Reason::SbomMissing);
    }

    #[test]
    fn no_sbom_hides_another_one_of_the_same_time() {
        let of = |index, expression: &str| evidence(index, on_behalf("robot"), Claim::Sbom(licences(&[expression])));
        for [first, second] in [["MIT", "GPL-3.0-only"], ["GPL-3.0-only", "MIT"]] {
            let facts = vec![of(1, first), of(2, second)];
            let gate = "kind = \"licences\"\nallow = [\"MIT\"]\n";
            check(gate, |_, known| known.evidence = facts, Fail, Reason::LicenceDenied);
        }
        let facts = vec![of(1, "MIT"), of(2, "Apache-2.0")];
        let gate = "kind = \"licences\"\nallow = [\"MIT\", \"Apache-2.0\"]\n";
        let result = check(gate, |_, known| known.evidence = facts, Pass, Reason::Satisfied);
        assert_eq!(result.found, "app.tar.gz: 2 licences in 2 components, all accepted");
    }

    #[test]
    fn a_waiver_is_for_one_expression() {
        let row = |finding: &str, outcome, reason| {
            let claim = licences(&["MIT", "GPL-3.0-only"]);
            let waiver = waiver("g", finding);
            let change = |_: &PolicySet, facts: &mut Facts| {
                facts.evidence = vec![evidence(1, on_behalf("robot"), Claim::Sbom(claim))];
                facts.waivers = vec![waiver];
            };
            check("kind = \"licences\"\nallow = [\"MIT\"]\n", change, outcome, reason);
        };
        row("GPL-3.0-only", Waived, Reason::Waived);
        row("GPL-3.0-or-later", Fail, Reason::LicenceDenied);
    }

    #[test]
    fn refuses_lists_that_say_nothing_or_both() {
        let refused = |fields: &str, part: &str| {
            let gate = crate::sample::gate(&format!("kind = \"licences\"\n{fields}\n"));
            let errors = PolicySet::from_files(crate::sample::files(&gate)).map(|_| ()).unwrap_err();
            assert!(errors[0].message.contains(part), "{errors:?}");
        };
        refused("", "demands nothing");
        refused("allow = [\"MIT\"]\ndeny = [\"mit\"]", "allowed and denied");
        refused("allow = [\"MIT OR Apache-2.0\"]", "one licence an entry");
    }
}
