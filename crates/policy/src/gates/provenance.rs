//! The `provenance` gate: every artifact was built by an accepted builder from an accepted source, and the builder
//! signed for it (SLSA Build L2 and above).

use std::collections::BTreeSet;

use lockgate_model::SignerName;
use lockgate_model::facts::{Artifact, Claim, EvidenceFact, Origin, Provenance};
use serde::Deserialize;

use super::coverage::{Covered, Shortfall, every_artifact, proofs_text};
use super::ending::{Ending, next_step};
use super::mistyped::mistyped;
use super::{Assessment, Context, Problem, signer_problems};
use crate::explain::Reason;
use crate::pattern::Pattern;
use crate::permission::Permission;
use crate::policy_set::PolicySet;
use crate::trust::{EvidenceKind, TrustedSigner};
use crate::wording::{few, one_of, shown};

/// Demands signed provenance about every artifact; what somebody hands in unsigned never satisfies it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProvenanceGate {
    /// Whose signature counts; names of `trust.toml`.
    pub signers: Vec<SignerName>,
    /// Which builders are accepted, compared as whole texts; empty leaves it to the signers' own lists.
    #[serde(default)]
    pub builder_ids: Vec<String>,
    /// Which repositories are accepted, compared as whole texts.
    pub source_repositories: Vec<String>,
    /// Which refs are accepted; empty accepts every ref.
    #[serde(default)]
    pub source_refs: Vec<Pattern>,
    /// Whether the builder has to say that the forge protects the ref.
    #[serde(default)]
    pub protected_ref: bool,
    /// Which SLSA build level the builder has to reach, by what `trust.toml` says of its signer.
    #[serde(default)]
    pub slsa_level: Option<u8>,
}

/// How far a provenance comes; each step has all before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reached {
    Claimed,
    Ended(Ending),
    SignerAccepted,
    BuilderAccepted,
    SourceAccepted,
    RefAccepted,
    RefProtected,
    LevelAccepted,
}

impl ProvenanceGate {
    pub(super) fn problems(&self, policy: &PolicySet) -> Vec<Problem> {
        let mut problems = signer_problems(&self.signers, EvidenceKind::Provenance, policy);
        if self.signers.is_empty() {
            problems.push(Problem::new("`signers` is empty: name at least one signer of trust.toml"));
        }
        if self.source_repositories.is_empty() {
            problems.push(Problem::new("`source_repositories` is empty: name at least one repository"));
        }
        if self.builder_ids.is_empty() {
            let open = self
                .signers
                .iter()
                .filter_map(|name| policy.signer(name))
                .filter(|signer| signer.builder_ids.is_empty());
            for signer in open {
                let name = &signer.name;
                problems.push(Problem::new(format!(
                    "nothing says which builders `{name}` may sign for: set `builder_ids` here or in trust.toml"
                )));
            }
        }
        if let Some(level) = self.slsa_level {
            let reaches = |name: &SignerName| policy.signer(name).and_then(|signer| signer.slsa_level) >= Some(level);
            if !(1..=3).contains(&level) {
                problems.push(Problem::new("`slsa_level` is not a build level: write 1, 2 or 3"));
            } else if !self.signers.iter().any(reaches) {
                problems.push(Problem::new(format!(
                    "none of its signers is believed to reach SLSA build level {level}: set `slsa_level` in trust.toml"
                )));
            }
        }
        for pattern in &self.source_refs {
            // Attack A-88 of `tests/attacks`: a pattern that accepts every identity is a mistake unless it is left out
            // on purpose.
            if pattern.is_everything() || !pattern.as_str().starts_with("refs/") {
                problems.push(Problem::new(format!(
                    "`{pattern}` is not a full ref: write one such as `refs/heads/main` or `refs/tags/v*`"
                )));
            }
        }
        problems
    }

    pub(super) fn assess(&self, ctx: Context<'_>) -> Assessment {
        let result = every_artifact(ctx, |artifact| self.check(ctx, artifact));
        let hand_in = || ctx.attest("--provenance provenance.dsse.json");
        Assessment::of_coverage(
            result,
            self.needed(ctx),
            || ctx.groups_that_may(Permission::Attest),
            |reason| match reason {
                Reason::ProvenanceMissing | Reason::EvidenceUnsigned | Reason::EvidenceMalformed => hand_in(),
                Reason::EvidenceType => {
                    format!("sign it again under a predicate type that docs/evidence.md lists, then: {}", hand_in())
                }
                _ => next_step(ctx, reason, &one_of(&self.signers), &hand_in()).unwrap_or_else(|| {
                    format!("build from an accepted source on an accepted builder, then: {}", ctx.push_next(""))
                }),
            },
        )
    }

    fn needed(&self, ctx: Context<'_>) -> String {
        let mut needed = format!("provenance signed by {}", one_of(&self.signers));
        let builders = self.builders(ctx);
        if !builders.is_empty() {
            needed.push_str(&format!(", built by {}", few(builders.into_iter().map(shown), " or ")));
        }
        needed.push_str(&format!(", from {}", few(&self.source_repositories, " or ")));
        if !self.source_refs.is_empty() {
            needed.push_str(&format!(" at {}", few(&self.source_refs, " or ")));
        }
        if self.protected_ref {
            needed.push_str(", a protected ref");
        }
        if let Some(level) = self.slsa_level {
            needed.push_str(&format!(", SLSA build level {level} or more"));
        }
        needed
    }

    /// The builders that are accepted: those of the gate, as far as a signer may sign for them, or else all of the
    /// signers' own lists in `trust.toml`.
    fn builders<'a>(&'a self, ctx: Context<'a>) -> BTreeSet<&'a str> {
        let signers: Vec<&'a TrustedSigner> = self.signers.iter().filter_map(|name| ctx.policy.signer(name)).collect();
        let may_sign = |builder: &String| {
            signers.iter().any(|signer| signer.builder_ids.is_empty() || signer.builder_ids.contains(builder))
        };
        match self.builder_ids.is_empty() {
            true => signers.iter().copied().flat_map(|signer| &signer.builder_ids).map(String::as_str).collect(),
            false => self.builder_ids.iter().filter(|builder| may_sign(builder)).map(String::as_str).collect(),
        }
    }

    /// Finds the provenance that comes furthest.
    fn check(&self, ctx: Context<'_>, artifact: &Artifact) -> Result<Covered, Shortfall> {
        let claims = ctx.about(artifact.digest).filter_map(|fact| match &fact.claim {
            Claim::Provenance(claim) => Some((self.reached(ctx, fact, claim), fact, claim)),
            _ => None,
        });
        let Some((reached, fact, claim)) = claims.max_by_key(|(reached, fact, _)| (*reached, fact.index)) else {
            return Err(no_provenance(ctx, artifact));
        };
        let shortfall = |reason, text| Err(Shortfall { reason, text, evidence: vec![fact.evidence] });
        let builder = shown(&claim.builder_id);
        let repository = claim.source_repository.as_deref().map_or("no source".to_owned(), shown);
        let source_ref = claim.source_ref.as_deref().map_or("no ref".to_owned(), shown);
        match reached {
            Reached::Claimed => shortfall(Reason::EvidenceUnsigned, "unsigned provenance".to_owned()),
            Reached::Ended(Ending::SignerUntrusted) => {
                shortfall(Reason::SignerUntrusted, format!("provenance signed by {}", signed_by(fact)))
            }
            Reached::Ended(ending) => shortfall(ending.reason(), format!("provenance {}", ending.told(&[fact]))),
            Reached::SignerAccepted => shortfall(Reason::BuilderUntrusted, format!("built by {builder}")),
            Reached::BuilderAccepted => shortfall(Reason::SourceUntrusted, format!("built from {repository}")),
            Reached::SourceAccepted => {
                shortfall(Reason::RefUntrusted, format!("built from {source_ref} of {repository}"))
            }
            Reached::RefAccepted => {
                let says = match claim.build.as_ref().and_then(|build| build.ref_protected) {
                    Some(false) => "which is not protected",
                    _ => "and the provenance does not say whether it is protected",
                };
                shortfall(Reason::RefUnprotected, format!("built from {source_ref} of {repository}, {says}"))
            }
            Reached::RefProtected => {
                let level = match self.level(ctx, fact, claim) {
                    Some(level) => format!("is believed to reach SLSA build level {level}"),
                    None => "is believed to reach no SLSA build level".to_owned(),
                };
                shortfall(Reason::SlsaLevelLow, format!("built by {builder}, which {level}"))
            }
            Reached::LevelAccepted => {
                let level = match self.slsa_level.and_then(|_| self.level(ctx, fact, claim)) {
                    Some(level) => format!(", SLSA build level {level}"),
                    None => String::new(),
                };
                let text = format!(
                    "built by {builder} from {source_ref} of {repository}, signed by {}{level}",
                    signed_by(fact)
                );
                Ok(Covered { text, evidence: vec![fact.evidence], waived: false })
            }
        }
    }

    fn reached(&self, ctx: Context<'_>, fact: &EvidenceFact, claim: &Provenance) -> Reached {
        if !matches!(fact.origin, Origin::Signed { .. }) {
            return Reached::Claimed;
        }
        let accepted = self.accepted(ctx, fact);
        let lists = |list: &[String]| list.is_empty() || list.contains(&claim.builder_id);
        let has_ref = |given: &str| self.source_refs.iter().any(|pattern| pattern.matches(given));
        if accepted.is_empty() {
            Reached::Ended(Ending::of(ctx.policy, EvidenceKind::Provenance, &self.signers, fact.signature.as_deref()))
        } else if !lists(&self.builder_ids) || !accepted.iter().any(|signer| lists(&signer.builder_ids)) {
            Reached::SignerAccepted
        } else if !claim.source_repository.as_ref().is_some_and(|given| self.source_repositories.contains(given)) {
            Reached::BuilderAccepted
        } else if !self.source_refs.is_empty() && !claim.source_ref.as_deref().is_some_and(has_ref) {
            Reached::SourceAccepted
        } else if self.protected_ref && claim.build.as_ref().and_then(|build| build.ref_protected) != Some(true) {
            Reached::RefAccepted
        } else if self.slsa_level.is_some() && self.level(ctx, fact, claim) < self.slsa_level {
            Reached::RefProtected
        } else {
            Reached::LevelAccepted
        }
    }

    /// The signers whose signatures are on it, and count here.
    fn accepted<'a>(&self, ctx: Context<'a>, fact: &EvidenceFact) -> Vec<&'a TrustedSigner> {
        let Origin::Signed { signers } = &fact.origin else { return Vec::new() };
        signers
            .iter()
            .filter(|name| self.signers.contains(name))
            .filter_map(|name| ctx.policy.signer(name))
            .filter(|signer| signer.signs.contains(&EvidenceKind::Provenance))
            .collect()
    }

    /// The SLSA build level of the builder: the highest that `trust.toml` gives to a signer that may sign for it.
    fn level(&self, ctx: Context<'_>, fact: &EvidenceFact, claim: &Provenance) -> Option<u8> {
        let may_sign =
            |signer: &&TrustedSigner| signer.builder_ids.is_empty() || signer.builder_ids.contains(&claim.builder_id);
        self.accepted(ctx, fact).into_iter().filter(may_sign).filter_map(|signer| signer.slsa_level).max()
    }
}

fn signed_by(fact: &EvidenceFact) -> String {
    match &fact.origin {
        Origin::Signed { signers } if !signers.is_empty() => few(signers, ", "),
        _ => format!("nobody known here{}", proofs_text([fact])),
    }
}

fn no_provenance(ctx: Context<'_>, artifact: &Artifact) -> Shortfall {
    let unreadable: Vec<_> = ctx
        .about(artifact.digest)
        .filter(|fact| matches!(fact.claim, Claim::Malformed { .. }))
        .map(|fact| fact.evidence)
        .collect();
    let text = "no provenance".to_owned();
    if !unreadable.is_empty() {
        return Shortfall { reason: Reason::EvidenceMalformed, text, evidence: unreadable };
    }
    mistyped(ctx, artifact, EvidenceKind::Provenance, "provenance").unwrap_or(Shortfall {
        reason: Reason::ProvenanceMissing,
        text,
        evidence: unreadable,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::GateOutcome;
    use crate::sample::{check, evidence, on_behalf, other_artifact, provenance, signed};
    use lockgate_model::facts::{BuildDetails, SignatureClass, SignatureFact};

    const GATE: &str = r#"
kind = "provenance"
signers = ["ci"]
builder_ids = ["https://ci.example/builder@v1"]
source_repositories = ["https://git.example/shop/good"]
source_refs = ["refs/heads/main", "refs/tags/v*"]
"#;

    #[test]
    fn needs_every_part_to_match() {
        let row = |origin: Origin, change: fn(&mut Provenance), outcome: GateOutcome, reason: Reason| {
            let mut claim = provenance();
            change(&mut claim);
            check(
                GATE,
                |_, facts| facts.evidence = vec![evidence(1, origin, Claim::Provenance(claim))],
                outcome,
                reason,
            );
        };
        use GateOutcome::{Fail, Pass};
        let ci = || signed(&["ci"]);
        row(ci(), |_| {}, Pass, Reason::Satisfied);
        row(signed(&["scanner", "ci"]), |_| {}, Pass, Reason::Satisfied);
        row(ci(), |claim| claim.source_ref = Some("refs/tags/v1.4.2".to_owned()), Pass, Reason::Satisfied);
        row(on_behalf("robot"), |_| {}, Fail, Reason::EvidenceUnsigned);
        row(signed(&[]), |_| {}, Fail, Reason::SignerUntrusted);
        row(signed(&["scanner"]), |_| {}, Fail, Reason::SignerUntrusted);
        row(signed(&["unknown"]), |_| {}, Fail, Reason::SignerUntrusted);
        row(ci(), |claim| claim.builder_id.push_str(".1"), Fail, Reason::BuilderUntrusted);
        row(ci(), |claim| claim.source_repository = None, Fail, Reason::SourceUntrusted);
        row(ci(), |claim| claim.source_ref = None, Fail, Reason::RefUntrusted);
        row(ci(), |claim| claim.source_ref = Some("refs/heads/main/../evil".to_owned()), Fail, Reason::RefUntrusted);
        row(ci(), |claim| claim.source_ref = Some("main".to_owned()), Fail, Reason::RefUntrusted);
        // A-10: a longer name with a good beginning.
        for suffix in ["-evil", "/evil", "/", ".git", "@evil"] {
            let mut claim = provenance();
            claim.source_repository = Some(format!("https://git.example/shop/good{suffix}"));
            let fact = evidence(1, ci(), Claim::Provenance(claim));
            check(GATE, |_, facts| facts.evidence = vec![fact], Fail, Reason::SourceUntrusted);
        }
    }

    #[test]
    fn how_the_verification_of_a_bundle_ended_is_told() {
        let of = |index, class: SignatureClass, code: &str, identity: Option<&str>| {
            let signature = SignatureFact {
                class,
                code: code.to_owned(),
                root: None,
                identity: identity.map(str::to_owned),
                issuer: None,
                claims: std::collections::BTreeMap::new(),
                key: None,
                signed_at: None,
            };
            EvidenceFact {
                signature: Some(Box::new(signature)),
                ..evidence(index, signed(&[]), Claim::Provenance(provenance()))
            }
        };
        let row = |bundle, reason, expected: &str, step: &str| {
            let result = check(GATE, |_, facts| facts.evidence = vec![bundle], GateOutcome::Fail, reason);
            assert_eq!(result.found, format!("app.tar.gz: provenance {expected}"));
            assert!(result.fix.starts_with(step), "{}", result.fix);
            assert!(result.fix.contains("lockgate attest shop/web@1.4.2 --provenance "), "{}", result.fix);
        };
        use SignatureClass::{SignatureInvalid, UntrustedRoot, Verified, WithoutTime};
        let root = "whose signature is under an untrusted root (TRUST_ROOT_MISSING)";
        let step = "have it signed by ci under a trust root of the policy set, then: ";
        row(of(1, UntrustedRoot, "TRUST_ROOT_MISSING", None), Reason::SignatureRootUntrusted, root, step);
        let untimed = "whose signature has no proved time (TIME_MISSING)";
        let step = "have it signed again by ci with a timestamp or a log entry, then: ";
        row(of(1, WithoutTime, "TIME_MISSING", None), Reason::SignatureUntimed, untimed, step);
        let expired = "whose signature is expired (CERTIFICATE_EXPIRED)";
        let step = "have it signed again by ci, while the certificate is valid, then: ";
        row(of(1, SignatureInvalid, "CERTIFICATE_EXPIRED", None), Reason::SignatureExpired, expired, step);
        // What was broken was not signed by somebody unknown.
        let invalid = "whose signature is invalid (LOG_INVALID)";
        let step = "find out what was changed, have it made anew and signed by ci, then: ";
        row(of(1, SignatureInvalid, "LOG_INVALID", None), Reason::EvidenceSignatureInvalid, invalid, step);
        let somebody = "https://git.example/other/.ci/release.yml@refs/heads/main";
        let verified = format!("signed by nobody known here (verified: {somebody})");
        let other = of(1, Verified, "SIGNATURE_VERIFIED", Some(somebody));
        row(other.clone(), Reason::SignerUntrusted, &verified, "have it signed by ci, then: ");
        // What comes nearer is told, also where it was handed in earlier.
        let facts = vec![other, of(2, SignatureInvalid, "LOG_INVALID", None)];
        check(GATE, |_, known| known.evidence = facts, GateOutcome::Fail, Reason::SignerUntrusted);
    }

    #[test]
    fn names_the_builders_that_trust_toml_knows() {
        let needed = |trust: &str, gate: &str| {
            let mut files = crate::sample::files(&crate::sample::gate(gate));
            let known = files.entry("trust.toml".to_owned()).or_default();
            *known = known.replacen("slsa_level = 2\n", &format!("slsa_level = 2\n{trust}"), 1);
            let policy = crate::PolicySet::from_files(files).unwrap_or_else(|errors| panic!("{errors:#?}"));
            let mut facts = crate::sample::facts();
            let other = Provenance { builder_id: "https://evil.example".to_owned(), ..provenance() };
            facts.evidence = vec![evidence(1, signed(&["ci"]), Claim::Provenance(other))];
            let result = crate::decide(&policy, &facts).gates.remove(0);
            assert_eq!(result.reason, "BUILDER_UNTRUSTED", "{result:#?}");
            result.needed
        };
        let open = GATE.replace("builder_ids = [\"https://ci.example/builder@v1\"]\n", "");
        let two = "builder_ids = [\"https://ci.example/builder@v2\", \"https://ci.example/builder@v1\"]\n";
        let both = needed(two, &open);
        assert!(both.contains(", built by https://ci.example/builder@v1 or https://ci.example/builder@v2, "), "{both}");
        let one = needed(two, GATE);
        assert!(one.contains(", built by https://ci.example/builder@v1, from "), "{one}");
        let own = needed("", GATE);
        assert!(own.contains(", built by https://ci.example/builder@v1, from "), "{own}");
    }

    #[test]
    fn asks_for_a_protected_ref_and_a_build_level() {
        use GateOutcome::{Fail, Pass};
        let row = |more: &str, ref_protected: Option<bool>, outcome, reason| {
            let build = Some(Box::new(BuildDetails { ref_protected, ..BuildDetails::default() }));
            let claim = Provenance { build, ..provenance() };
            let fact = evidence(1, signed(&["ci"]), Claim::Provenance(claim));
            check(&format!("{GATE}{more}\n"), |_, facts| facts.evidence = vec![fact], outcome, reason)
        };
        row("protected_ref = true", Some(true), Pass, Reason::Satisfied);
        row("protected_ref = true", Some(false), Fail, Reason::RefUnprotected);
        row("protected_ref = true", None, Fail, Reason::RefUnprotected);
        let result = row("slsa_level = 2", None, Pass, Reason::Satisfied);
        assert!(result.found.ends_with("signed by ci, SLSA build level 2"), "{}", result.found);
        // What nobody of `trust.toml` reaches is refused at load already.
        let gates = crate::sample::gate(&format!("{GATE}slsa_level = 3\n"));
        let errors = crate::PolicySet::from_files(crate::sample::files(&gates)).map(|_| ()).unwrap_err();
        assert!(errors[0].message.contains("believed to reach SLSA build level 3"), "{errors:?}");
    }

    #[test]
    fn other_kinds_and_other_artifacts_do_not_count() {
        let fail = GateOutcome::Fail;
        let result = check(GATE, |_, facts| facts.evidence.clear(), fail, Reason::ProvenanceMissing);
        assert_eq!(result.fix, "lockgate attest shop/web@1.4.2 --provenance provenance.dsse.json");
        let unknown = Claim::Unknown { predicate_type: "https://slsa.dev/provenance/V1".to_owned() };
        check(
            GATE,
            |_, facts| facts.evidence = vec![evidence(1, signed(&["ci"]), unknown)],
            fail,
            Reason::EvidenceType,
        );
        let other = evidence(1, signed(&["scanner"]), Claim::Provenance(provenance()));
        let result = check(GATE, |_, facts| facts.evidence = vec![other], fail, Reason::SignerUntrusted);
        let by_ci = "have it signed by ci, then: lockgate attest shop/web@1.4.2 --provenance provenance.dsse.json";
        assert_eq!(result.fix, by_ci);
        let malformed = Claim::Malformed { reason: "no builder id".to_owned() };
        let fact = evidence(1, signed(&["ci"]), malformed);
        let result = check(GATE, |_, facts| facts.evidence = vec![fact], fail, Reason::EvidenceMalformed);
        assert!(result.found.contains("no builder id"), "{}", result.found);
        check(
            GATE,
            |_, facts| {
                facts.evidence = vec![evidence(1, signed(&["ci"]), Claim::Provenance(provenance()))];
                facts.release.artifacts.push(other_artifact());
            },
            fail,
            Reason::ProvenanceMissing,
        );
        check(GATE, |_, facts| facts.release.artifacts.clear(), fail, Reason::NoArtifacts);
    }
}
