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

/// Demands an SBOM about every artifact whose licences are accepted and known; the newest one counts, and all that were
/// handed in together with it. What is denied is denied, whatever is allowed, but for a licence that `allow` names with
/// the very exception that it has.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LicencesGate {
    /// Which licences are accepted; all that are not denied where it is left out.
    #[serde(default)]
    pub allow: Vec<Licence>,
    /// Which licences are not accepted.
    #[serde(default)]
    pub deny: Vec<Licence>,
    /// Licences beyond the lists of SPDX that are known, each as a `LicenseRef-`; accepted as the other lists say.
    #[serde(default)]
    pub known: Vec<Licence>,
    /// Whether components are let through whose licence nobody says, or that is no SPDX expression, or not known.
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
        for licence in self.known.iter().filter(|licence| !licence.is_reference()) {
            let message = format!("`{licence}` in `known` is no `LicenseRef-`: licences of SPDX are known already");
            let hint = Some(format!("write `LicenseRef-{licence}`, which stands for the bare name too"));
            problems.push(Problem { message, hint });
        }
        for licence in self.allow.iter().chain(&self.deny).filter(|licence| !licence.is_reference()) {
            let Some((name, list)) = licence.unlisted() else { continue };
            let Problem { message, hint } = Problem::unknown(list.noun, name, "the lists of SPDX", list.ids());
            let elsewhere = || "write an id of https://spdx.org/licenses, or a `LicenseRef-` of your own".to_owned();
            let hint = Some(hint.unwrap_or_else(elsewhere));
            problems.push(Problem { message, hint });
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
                Reason::LicenceUnknown => {
                    self.demand().anew(
                        ctx,
                        "make it anew with the licence of every component as an SPDX expression",
                        "--sbom sbom.cdx.json",
                    ) + &format!(
                        "\nor name what SPDX does not list in `known` at {}, or ask {} for a waiver of the licence expression",
                        ctx.gate.rule,
                        ctx.groups_that_may(Permission::Waive)
                    )
                }
                Reason::SbomTooSmall => {
                    self.demand().anew(ctx, "make it anew from what is really shipped", "--sbom sbom.cdx.json")
                }
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
        let is_denied = self.deny.iter().any(|entry| entry.denies(licence) || entry.is_written_as(licence));
        let allows = |entry: &Licence| entry.stands_for(licence) || entry.is_written_as(licence);
        let is_allowed = self.allow.is_empty() || self.allow.iter().any(allows);
        self.allow.iter().any(named) || (!is_denied && is_allowed)
    }

    /// Whether one licence is known: SPDX lists it, or a list of this gate names it as a `LicenseRef-`.
    fn knows(&self, licence: &Licence) -> bool {
        let mut named = self.allow.iter().chain(&self.deny).chain(&self.known);
        licence.unlisted().is_none() || named.any(|entry| entry.is_written_as(licence))
    }

    fn check(&self, ctx: Context<'_>, artifact: &Artifact, waived: &BTreeSet<&str>) -> Result<Covered, Shortfall> {
        let boms = self.demand().newest_together(ctx, artifact, |claim| match claim {
            Claim::Sbom(sbom) => Some(sbom),
            _ => None,
        })?;
        if let Some((fact, _)) = boms.iter().find(|(_, sbom)| sbom.components == 0) {
            let text = format!("SBOM with {}", counted(0, "component"));
            return Err(Shortfall { reason: Reason::SbomTooSmall, text, evidence: vec![fact.evidence] });
        }
        let evidence: Vec<Digest> = boms.iter().map(|(fact, _)| fact.evidence).collect();
        let mut unknown = boms.iter().fold(0u64, |sum, (_, sbom)| sum.saturating_add(without_licence(sbom)));
        let mut unreadable: Vec<&LicenceUse> = Vec::new();
        let mut unlisted: Vec<&LicenceUse> = Vec::new();
        let mut denied: Vec<&LicenceUse> = Vec::new();
        let mut excepted = 0u64;
        for found in boms.iter().flat_map(|(_, sbom)| &sbom.licences) {
            let is_waived = waived.contains(found.expression.as_str());
            match told(&found.expression) {
                _ if is_waived => excepted = excepted.saturating_add(found.components),
                None => {
                    unknown = unknown.saturating_add(found.components);
                    unreadable.push(found);
                }
                Some(expression) if expression.is_satisfied_by(&|one| self.accepts(one) && self.knows(one)) => {}
                Some(expression) if expression.is_satisfied_by(&|one| self.accepts(one)) => unlisted.push(found),
                Some(_) => denied.push(found),
            }
        }
        let listed = |uses: &[&LicenceUse]| few(uses.iter().map(|found| described(found)), "; ");
        let mut short = Vec::new();
        if !denied.is_empty() {
            short.push(listed(&denied));
        }
        if !self.allow_unknown && !unlisted.is_empty() {
            short.push(format!("{}, which SPDX does not list", listed(&unlisted)));
        }
        if !self.allow_unknown && unknown > 0 {
            let names = named(unreadable.iter().flat_map(|found| &found.names), unknown);
            short.push(format!("{} without a licence that can be read{names}", counted(unknown, "component")));
        }
        if !short.is_empty() {
            let reason = if denied.is_empty() { Reason::LicenceUnknown } else { Reason::LicenceDenied };
            return Err(Shortfall { reason, text: short.join("; "), evidence });
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
fn told(text: &str) -> Option<Expression> {
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
    use crate::decision::{GateOutcome, GateResult};
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

    fn row(fields: &str, claim: Sbom, outcome: GateOutcome, reason: Reason) -> GateResult {
        let gate = format!("kind = \"licences\"\n{fields}\n");
        let facts = vec![evidence(1, on_behalf("robot"), Claim::Sbom(claim))];
        check(&gate, |_, known| known.evidence = facts, outcome, reason)
    }

    #[test]
    fn what_spdx_does_not_list_can_be_named() {
        let deny = "deny = [\"GPL-3.0-only\"]";
        let known = "deny = [\"GPL-3.0-only\"]\nknown = [\"LicenseRef-Expat\", \"LicenseRef-public-domain\"]";
        let result = row(deny, licences(&["Expat"]), Fail, Reason::LicenceUnknown);
        assert!(result.fix.contains("`known` at ") && result.fix.contains("for a waiver"), "{}", result.fix);
        row(known, licences(&["Expat", "LicenseRef-Public-Domain AND MIT"]), Pass, Reason::Satisfied);
        row(known, licences(&["UNLICENSED"]), Fail, Reason::LicenceUnknown);
        row("allow = [\"LicenseRef-Expat\"]", licences(&["expat"]), Pass, Reason::Satisfied);
        row("deny = [\"LicenseRef-Expat\"]", licences(&["expat"]), Fail, Reason::LicenceDenied);
        // A reference never stands for what SPDX lists.
        row("allow = [\"LicenseRef-MIT\"]", licences(&["MIT"]), Fail, Reason::LicenceDenied);
    }

    #[test]
    fn accepts_what_the_lists_say() {
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
    fn what_spdx_does_not_list_is_unknown() {
        let deny = "deny = [\"GPL-3.0-only\", \"AGPL-3.0-or-later\", \"LicenseRef-theirs\"]";
        let lenient = &format!("{deny}\nallow_unknown = true");
        let unknown = [
            "GPLv3",
            "AGPLv3",
            "UNLICENSED",
            "(NOASSERTION)",
            "noassertion",
            "None",
            "MIT AND NOASSERTION",
            "MIT AND (none OR GPL-3.0-only)",
            "GPLv3 OR GPL-3.0-only",
            "MIT WITH Foo",
            "MIT-only",
            "LicenseRef-GNU-Affero-General-Public-License-v3.0",
            "DocumentRef-a:LicenseRef-theirs",
        ];
        for expression in unknown {
            row(deny, licences(&[expression]), Fail, Reason::LicenceUnknown);
            row(lenient, licences(&[expression]), Pass, Reason::Satisfied);
        }
        let denied = ["gpl-3.0-ONLY", "GPL-3.0+", "AGPL-3.0", "GPL-3.0-with-GCC-exception", "licenseref-theirs"];
        for expression in denied.into_iter().chain(["GPLv3 AND GPL-3.0-only", "NONE AND GPL-3.0-only"]) {
            row(deny, licences(&[expression]), Fail, Reason::LicenceDenied);
            row(lenient, licences(&[expression]), Fail, Reason::LicenceDenied);
        }
        for expression in ["mit", "MIT OR GPLv3", "MIT OR NOASSERTION", "MIT OR LicenseRef-theirs", "Apache-2.0+"] {
            row(deny, licences(&[expression]), Pass, Reason::Satisfied);
        }
        let result = row(deny, licences(&["GPLv3", "NONE", "MIT"]), Fail, Reason::LicenceUnknown);
        let told = "GPLv3 of left-pad 1.0.0, which SPDX does not list; 1 component without a licence that can be read \
                    (left-pad 1.0.0)";
        assert_eq!(result.found, format!("app.tar.gz: {told}"));

        // What may be unknown still has to be allowed.
        let allow = "allow = [\"MIT\", \"GPL-3.0-only\", \"LicenseRef-ours\"]";
        let lenient = &format!("{allow}\nallow_unknown = true");
        for expression in ["GPLv3", "noassertion", "MIT AND NOASSERTION", "LicenseRef-theirs"] {
            row(allow, licences(&[expression]), Fail, Reason::LicenceDenied);
            row(lenient, licences(&[expression]), Fail, Reason::LicenceDenied);
        }
        for expression in ["GPL-3", "MIT WITH Foo", "LicenseRef-ours+"] {
            row(allow, licences(&[expression]), Fail, Reason::LicenceUnknown);
            row(lenient, licences(&[expression]), Pass, Reason::Satisfied);
        }
        row(allow, licences(&["LicenseRef-ours", "GPLv3 OR MIT"]), Pass, Reason::Satisfied);
    }

    #[test]
    fn deprecated_ids_and_later_versions_are_denied_by_what_they_mean() {
        let check = |fields: &str, expression: &str, outcome: GateOutcome| {
            let reason = if outcome == Pass { Reason::Satisfied } else { Reason::LicenceDenied };
            row(fields, licences(&[expression]), outcome, reason);
        };
        let two = "deny = [\"GPL-2.0-only\"]";
        check(two, "GPL-2.0-with-GCC-exception", Fail);
        check(two, "gpl-2.0-with-classpath-exception+", Fail);
        check(two, "eCos-2.0", Fail);
        check(two, "GPL-2.0+", Fail);
        check(two, "GPL-3.0-with-GCC-exception", Pass);
        let excepted = "allow = [\"GPL-2.0-only WITH Classpath-exception-2.0\"]\ndeny = [\"GPL-2.0-only\"]";
        check(excepted, "GPL-2.0-with-classpath-exception", Pass);
        check(excepted, "GPL-2.0-with-GCC-exception", Fail);
        check("deny = [\"GPL-3.0-only\"]", "GPL-2.0-or-later", Pass);
        check("deny = [\"GPL-3.0-or-later\"]", "GPL-2.0-or-later", Pass);
        check("deny = [\"GPL-3.0-only\"]", "GPL-3.0-or-later", Fail);
        check("allow = [\"GPL-2.0-only\"]\ndeny = [\"GPL-3.0-only\"]", "GPL-2.0-or-later", Pass);
        check("allow = [\"GPL-2.0-or-later\"]\ndeny = [\"GPL-3.0-only\"]", "GPL-3.0-only", Fail);
        check("allow = [\"GPL-3.0-only\"]", "GPL-2.0-or-later", Pass);
    }

    #[test]
    fn an_empty_sbom_proves_nothing() {
        for fields in ["deny = [\"GPL-3.0-only\"]", "allow = [\"MIT\"]\nallow_unknown = true"] {
            let result = row(fields, licences(&[]), Fail, Reason::SbomTooSmall);
            assert_eq!(result.found, "app.tar.gz: SBOM with 0 components");
            assert!(result.fix.starts_with("make it anew from what is really shipped, then: "), "{}", result.fix);
        }
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
            let hint = errors[0].hint.as_deref().unwrap_or_default();
            assert!(format!("{}; {hint}", errors[0].message).contains(part), "{errors:?}");
        };
        refused("", "demands nothing");
        refused("allow = [\"MIT\"]\ndeny = [\"mit\"]", "allowed and denied");
        refused("allow = [\"MIT OR Apache-2.0\"]", "one licence an entry");
        refused(
            "deny = [\"GPLv3\"]",
            "no licence `GPLv3` in the lists of SPDX; write an id of https://spdx.org/licenses",
        );
        refused("deny = [\"AGPL-3.0-or-latter\"]", "; did you mean `AGPL-3.0-or-later`?");
        refused("allow = [\"MIT\"]\ndeny = [\"GPL-2.0-ony\"]", "; did you mean `GPL-2.0-only`?");
        refused("allow = [\"noassertion\"]", "no licence `noassertion`");
        refused("known = [\"Expat\"]\nallow = [\"MIT\"]", "`Expat` in `known` is no `LicenseRef-`");
        let exception =
            "no exception `Classpath-exception` in the lists of SPDX; did you mean `Classpath-exception-2.0`?";
        refused("allow = [\"GPL-2.0-only WITH Classpath-exception\"]", exception);
    }
}
