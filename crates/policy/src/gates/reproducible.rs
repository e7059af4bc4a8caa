//! The `reproducible` gate: builders that are independent of each other have built the same bytes.

use std::collections::{BTreeMap, BTreeSet};

use lockgate_model::SignerName;
use lockgate_model::facts::{Artifact, Claim, EvidenceFact, Origin, Rebuild};
use serde::Deserialize;

use super::coverage::{Covered, Demand, Shortfall, every_artifact};
use super::waivers::waived;
use super::{Assessment, Context, Problem, Standing, signer_problems};
use crate::explain::Reason;
use crate::permission::Permission;
use crate::policy_set::PolicySet;
use crate::trust::EvidenceKind;
use crate::wording::{few, shown};

/// Demands that enough builders, each with a signer of its own, agree about every artifact: those that signed its
/// provenance, and those that signed that they built it again.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReproducibleGate {
    /// How many builders have to agree; 2 where it is left out, and never fewer.
    #[serde(default = "two")]
    pub builders: u64,
    /// Whose signature on a rebuild counts; names of `trust.toml`.
    pub signed_by: Vec<SignerName>,
}

const fn two() -> u64 {
    2
}

impl ReproducibleGate {
    pub(super) fn problems(&self, policy: &PolicySet) -> Vec<Problem> {
        let mut problems = signer_problems(&self.signed_by, EvidenceKind::Rebuild, policy);
        if self.signed_by.is_empty() {
            problems.push(Problem::new("`signed_by` is empty: name at least one signer of trust.toml"));
        }
        if self.builders < 2 {
            problems.push(Problem::new("`builders` is less than 2: one builder always agrees with itself"));
        }
        problems
    }

    fn demand(&self) -> Demand<'_> {
        Demand {
            kind: EvidenceKind::Rebuild,
            signed_by: &self.signed_by,
            noun: "rebuild result",
            missing: Reason::RebuildMissing,
        }
    }

    pub(super) fn assess(&self, ctx: Context<'_>) -> Assessment {
        let result = every_artifact(ctx, |artifact| self.check(ctx, artifact, &waived(ctx, artifact)));
        let needed =
            format!("the same bytes from {} independent builders{}", self.builders, self.demand().signed_by_text());
        let who = || ctx.groups_that_may(Permission::Attest);
        Assessment::of_coverage(result, needed, who, |reason| match reason {
            Reason::RebuildDiverges => format!(
                "make the build reproducible, then: {}\nor ask {} for a waiver of each difference that is explained",
                ctx.push_next(""),
                ctx.groups_that_may(Permission::Waive)
            ),
            _ => self.demand().fix(ctx, reason, "--attestation rebuild.dsse.json"),
        })
    }

    fn check(&self, ctx: Context<'_>, artifact: &Artifact, waived: &BTreeSet<&str>) -> Result<Covered, Shortfall> {
        let rebuilds = self.demand().counted(ctx, artifact, |claim| match claim {
            Claim::Rebuild(rebuild) if rebuild.artifact == artifact.digest => Some(rebuild),
            _ => None,
        })?;
        // Of each builder the newest result counts.
        let mut newest: BTreeMap<&str, (&EvidenceFact, &Rebuild)> = BTreeMap::new();
        for (fact, rebuild) in rebuilds {
            let kept = newest.entry(rebuild.builder.as_str()).or_insert((fact, rebuild));
            if fact.index > kept.0.index {
                *kept = (fact, rebuild);
            }
        }
        let mut evidence: Vec<_> = newest.values().map(|(fact, _)| fact.evidence).collect();
        let mut agreeing: BTreeMap<&str, BTreeSet<&SignerName>> = BTreeMap::new();
        let mut excepted = false;
        for (builder, (fact, rebuild)) in &newest {
            if !rebuild.reproduced {
                if let Some(text) = objection(builder, rebuild, waived) {
                    return Err(Shortfall { reason: Reason::RebuildDiverges, text, evidence });
                }
                excepted = true;
            }
            agreeing.entry(builder).or_default().extend(self.signers(fact));
        }
        for fact in ctx.about(artifact.digest) {
            let Claim::Provenance(claim) = &fact.claim else { continue };
            if ctx.standing(fact, EvidenceKind::Provenance, &[]) == Standing::Counts {
                let signers = trusted(ctx, fact);
                if !signers.is_empty() {
                    agreeing.entry(claim.builder_id.as_str()).or_default().extend(signers);
                    evidence.push(fact.evidence);
                }
            }
        }
        let count = independent(&agreeing);
        let names = few(agreeing.keys().map(|builder| shown(builder)), ", ");
        if u64::try_from(count).unwrap_or(u64::MAX) < self.builders {
            let text = format!("{count} independent, of the builders {names}");
            return Err(Shortfall { reason: Reason::RebuildMissing, text, evidence });
        }
        let text = match excepted {
            true => format!("{names} agree, but for differences that are waived"),
            false => format!("{names} agree"),
        };
        Ok(Covered { text, evidence, waived: excepted })
    }

    fn signers<'a>(&self, fact: &'a EvidenceFact) -> impl Iterator<Item = &'a SignerName> {
        let signers: &[SignerName] = match &fact.origin {
            Origin::Signed { signers } => signers,
            Origin::OnBehalf { .. } => &[],
        };
        signers.iter().filter(move |name| self.signed_by.contains(name))
    }
}

/// The signers of a provenance that `trust.toml` believes about it.
fn trusted<'a>(ctx: Context<'_>, fact: &'a EvidenceFact) -> Vec<&'a SignerName> {
    let Origin::Signed { signers } = &fact.origin else { return Vec::new() };
    let believed = |name: &&SignerName| {
        ctx.policy.signer(name).is_some_and(|signer| signer.signs.contains(&EvidenceKind::Provenance))
    };
    signers.iter().filter(believed).collect()
}

/// Why a rebuild that came out differently counts against the artifact; `None` where every difference is explained, and
/// a waiver names it.
fn objection(builder: &str, rebuild: &Rebuild, waived: &BTreeSet<&str>) -> Option<String> {
    if rebuild.divergences.is_empty() {
        return Some(format!("{} built other bytes, and does not say where they differ", shown(builder)));
    }
    let open = rebuild
        .divergences
        .iter()
        .filter(|difference| difference.explanation.is_none() || !waived.contains(difference.path.as_str()));
    let listed = open.map(|difference| match difference.explanation {
        Some(_) => format!("{} (explained, not waived)", shown(&difference.path)),
        None => format!("{} (unexplained)", shown(&difference.path)),
    });
    let text = few(listed, ", ");
    (!text.is_empty()).then(|| format!("{} built other bytes: {text}", shown(builder)))
}

/// How many builders there are with a signer each that no other of them needs: the size of a greatest matching.
fn independent(agreeing: &BTreeMap<&str, BTreeSet<&SignerName>>) -> usize {
    fn place<'a>(
        builder: &'a str,
        agreeing: &'a BTreeMap<&str, BTreeSet<&SignerName>>,
        taken: &mut BTreeMap<&'a SignerName, &'a str>,
        tried: &mut BTreeSet<&'a SignerName>,
    ) -> bool {
        for signer in agreeing.get(builder).into_iter().flatten() {
            if !tried.insert(signer) {
                continue;
            }
            let free = match taken.get(signer).copied() {
                None => true,
                Some(other) => place(other, agreeing, taken, tried),
            };
            if free {
                taken.insert(signer, builder);
                return true;
            }
        }
        false
    }
    let mut taken = BTreeMap::new();
    agreeing.keys().filter(|builder| place(builder, agreeing, &mut taken, &mut BTreeSet::new())).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::GateOutcome::{Fail, Pass, Waived};
    use crate::sample::{check, evidence, on_behalf, provenance, signed, waiver};
    use lockgate_model::Digest;
    use lockgate_model::facts::{Divergence, Facts};

    const GATE: &str = "kind = \"reproducible\"\nsigned_by = [\"ci\", \"scanner\"]\n";

    fn rebuild(builder: &str, reproduced: bool, divergences: Vec<Divergence>) -> Rebuild {
        Rebuild {
            artifact: Digest::of(b"app"),
            builder: builder.to_owned(),
            reproduced,
            rebuilt: None,
            divergences,
            source_commit: None,
            rebuilt_at: None,
        }
    }

    fn built() -> EvidenceFact {
        evidence(1, signed(&["ci"]), Claim::Provenance(provenance()))
    }

    fn row(facts: Vec<EvidenceFact>, outcome: crate::GateOutcome, reason: Reason) -> String {
        check(GATE, |_, known| known.evidence = facts, outcome, reason).found
    }

    #[test]
    fn builders_and_their_signers_are_counted_apart() {
        let again =
            |index, origin, builder: &str| evidence(index, origin, Claim::Rebuild(rebuild(builder, true, vec![])));
        let own = "https://ci.example/builder@v1";
        row(vec![built(), again(2, signed(&["scanner"]), "https://other.example")], Pass, Reason::Satisfied);
        row(vec![built()], Fail, Reason::RebuildMissing);
        // The same builder, or the same signer under two names, agrees with itself.
        row(vec![built(), again(2, signed(&["scanner"]), own)], Fail, Reason::RebuildMissing);
        row(vec![built(), again(2, signed(&["ci"]), "https://other.example")], Fail, Reason::RebuildMissing);
        row(vec![built(), again(2, on_behalf("robot"), "https://other.example")], Fail, Reason::EvidenceUnsigned);
        row(vec![built(), again(2, signed(&[]), "https://other.example")], Fail, Reason::SignerUntrusted);
        let two =
            [again(1, signed(&["ci"]), "https://one.example"), again(2, signed(&["scanner"]), "https://two.example")];
        row(two.to_vec(), Pass, Reason::Satisfied);
        let other = Rebuild { artifact: Digest::of(b"other"), ..rebuild("https://other.example", true, vec![]) };
        row(vec![built(), evidence(2, signed(&["scanner"]), Claim::Rebuild(other))], Fail, Reason::RebuildMissing);
    }

    #[test]
    fn a_matching_needs_a_signer_for_each_builder() {
        let (ci, scanner): (SignerName, SignerName) = ("ci".parse().unwrap(), "scanner".parse().unwrap());
        let of = |lists: &[(&'static str, &[&'static str])]| {
            let signers = |names: &[&str]| {
                let known = [&ci, &scanner].into_iter().filter(|name| names.contains(&name.as_str()));
                known.collect::<BTreeSet<&SignerName>>()
            };
            let agreeing: BTreeMap<&str, BTreeSet<&SignerName>> =
                lists.iter().map(|(builder, names)| (*builder, signers(names))).collect();
            independent(&agreeing)
        };
        assert_eq!(of(&[]), 0);
        assert_eq!(of(&[("a", &["ci", "scanner"]), ("b", &["ci"])]), 2);
        assert_eq!(of(&[("a", &["ci"]), ("b", &["ci"])]), 1);
        assert_eq!(of(&[("a", &["ci", "scanner"]), ("b", &["ci", "scanner"]), ("c", &["ci"])]), 2);
        assert_eq!(of(&[("a", &[])]), 0);
    }

    #[test]
    fn differences_need_an_explanation_and_a_waiver() {
        let difference = |explained: bool| {
            vec![Divergence {
                path: "META-INF/MANIFEST.MF".to_owned(),
                explanation: explained.then(|| Digest::of(b"why")),
            }]
        };
        let row = |divergences: Vec<Divergence>, waived: bool, outcome, reason| {
            let claim = rebuild("https://other.example", false, divergences);
            let facts = vec![built(), evidence(2, signed(&["scanner"]), Claim::Rebuild(claim))];
            let change = |_: &PolicySet, known: &mut Facts| {
                known.evidence = facts;
                known.waivers = if waived { vec![waiver("g", "META-INF/MANIFEST.MF")] } else { vec![] };
            };
            check(GATE, change, outcome, reason);
        };
        row(vec![], true, Fail, Reason::RebuildDiverges);
        row(difference(false), true, Fail, Reason::RebuildDiverges);
        row(difference(true), false, Fail, Reason::RebuildDiverges);
        row(difference(true), true, Waived, Reason::Waived);
    }
}
