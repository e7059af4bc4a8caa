//! Endings: how the signature ended of evidence that no signer of a gate counts for, and what comes next.
//!
//! None, one by somebody else, one that is expired and one that is broken are different things, and another step mends
//! each. The gate `signature` tells them apart of artifacts, every other gate of its evidence.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use lockgate_model::facts::{EvidenceFact, SignatureClass, SignatureFact};
use lockgate_model::{Digest, SignerName};

use super::Context;
use super::coverage::{Shortfall, proofs_text};
use crate::explain::Reason;
use crate::permission::Permission;
use crate::policy_set::PolicySet;
use crate::trust::{EvidenceKind, TrustedSigner};
use crate::trusted_identity::Proof;
use crate::wording::{few, shown};

/// The code of a signature that was made when its certificate was not valid.
const EXPIRED: &str = "CERTIFICATE_EXPIRED";

/// How a signature ended that does not count; what comes nearer to counting is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ending {
    /// There is none.
    Unsigned,
    /// It cannot be read, or is of a kind that is not verified.
    Unverifiable,
    /// It, its proof, or what it was made over was changed.
    Invalid,
    /// Its certificate was not valid when it was made.
    Expired,
    /// It was made under a root that the policy set does not name.
    RootUntrusted,
    /// It is good, and by somebody else.
    SignerUntrusted,
    /// Nothing proves when it was made.
    Untimed,
    /// It is by the right signer, and no log proves it.
    Unlogged,
}

impl Ending {
    /// How the signature ended that no signer of the gate counts for; of what came without a proof, only that.
    pub(super) fn of(
        policy: &PolicySet,
        kind: EvidenceKind,
        signed_by: &[SignerName],
        proof: Option<&SignatureFact>,
    ) -> Self {
        let Some(proof) = proof else { return Self::SignerUntrusted };
        match proof.class {
            SignatureClass::WithoutLog if is_named(policy, kind, signed_by, proof) => Self::Unlogged,
            SignatureClass::Verified | SignatureClass::WithoutLog | SignatureClass::IdentityMismatch => {
                Self::SignerUntrusted
            }
            SignatureClass::WithoutTime => Self::Untimed,
            SignatureClass::SignatureInvalid if proof.code == EXPIRED => Self::Expired,
            SignatureClass::SignatureInvalid => Self::Invalid,
            SignatureClass::UntrustedRoot => Self::RootUntrusted,
            SignatureClass::Malformed | SignatureClass::Unsupported => Self::Unverifiable,
            SignatureClass::Unsigned => Self::Unsigned,
        }
    }

    /// The reason of evidence whose signature ended so.
    pub(super) const fn reason(self) -> Reason {
        match self {
            Self::Unsigned => Reason::EvidenceUnsigned,
            Self::Unverifiable => Reason::SignatureUnverifiable,
            Self::Invalid => Reason::EvidenceSignatureInvalid,
            Self::Expired => Reason::SignatureExpired,
            Self::RootUntrusted => Reason::SignatureRootUntrusted,
            Self::SignerUntrusted => Reason::SignerUntrusted,
            Self::Untimed => Reason::SignatureUntimed,
            Self::Unlogged => Reason::SignatureUnlogged,
        }
    }

    /// What goes on after the name of such evidence in a sentence.
    pub(super) fn told(self, facts: &[&EvidenceFact]) -> String {
        let proofs = || proofs_text(facts.iter().copied());
        let ended = |how: &str| {
            let proofs = facts.iter().filter_map(|fact| fact.signature.as_deref());
            let codes: BTreeSet<String> = proofs.map(|proof| shown(&proof.code)).collect();
            format!("whose signature {how} ({})", few(codes, "; "))
        };
        match self {
            Self::Unsigned => "without a signature".to_owned(),
            Self::Unverifiable => ended("cannot be verified"),
            Self::Invalid => ended("is invalid"),
            Self::Expired => ended("is expired"),
            Self::RootUntrusted => ended("is under an untrusted root"),
            Self::SignerUntrusted => format!("signed by no signer that is trusted for it here{}", proofs()),
            Self::Untimed => ended("has no proved time"),
            Self::Unlogged => format!("whose signature is in no log{}", proofs()),
        }
    }
}

/// Whether a proved signature is by a signer who would count with a log.
fn is_named(policy: &PolicySet, kind: EvidenceKind, signed_by: &[SignerName], proof: &SignatureFact) -> bool {
    let is_by = |signer: &TrustedSigner| match &signer.proof {
        Proof::Identity(identity) => identity.is_named(proof),
        known @ (Proof::Key(_) | Proof::Minisign(_)) => {
            proof.key.is_some() && proof.key == known.key().map(|key| Digest::of(key.spki_der()))
        }
    };
    let is_asked = |signer: &&TrustedSigner| signed_by.is_empty() || signed_by.contains(&signer.name);
    let asked = policy.signers().iter().filter(is_asked);
    asked.filter(|signer| signer.signs.contains(&kind) && signer.root == proof.root).any(is_by)
}

/// The shortfall of signed evidence of a kind that nobody counts for: what comes nearest gives the reason, and the others
/// are told after it.
pub(super) fn shortfall(
    ctx: Context<'_>,
    kind: EvidenceKind,
    signed_by: &[SignerName],
    noun: &str,
    facts: &[&EvidenceFact],
) -> Shortfall {
    let mut ended: BTreeMap<Reverse<Ending>, Vec<&EvidenceFact>> = BTreeMap::new();
    for fact in facts.iter().copied() {
        let ending = Ending::of(ctx.policy, kind, signed_by, fact.signature.as_deref());
        ended.entry(Reverse(ending)).or_default().push(fact);
    }
    let reason = ended.keys().next().map_or(Reason::SignerUntrusted, |Reverse(ending)| ending.reason());
    let told = ended.iter().enumerate().map(|(position, (Reverse(ending), facts))| {
        let what = if position == 0 { noun } else { "others" };
        format!("{what} {}", ending.told(facts))
    });
    Shortfall { reason, text: few(told, ", "), evidence: facts.iter().map(|fact| fact.evidence).collect() }
}

/// What mends a signature that does not count, up to the command that hands in the new one; `None` for reasons that are
/// about something else.
pub(super) fn next_step(ctx: Context<'_>, reason: Reason, signers: &str, hand_in: &str) -> Option<String> {
    let step = match reason {
        Reason::SignerUntrusted => format!("have it signed by {signers}"),
        Reason::ArtifactSignatureInvalid => format!("have these very bytes signed again by {signers}"),
        Reason::EvidenceSignatureInvalid => {
            format!("find out what was changed, have it made anew and signed by {signers}")
        }
        Reason::SignatureExpired => format!("have it signed again by {signers}, while the certificate is valid"),
        Reason::SignatureRootUntrusted => {
            return Some(format!(
                "have it signed by {signers} under a trust root of the policy set, then: {hand_in}\nor, if the instance \
                 that signed is yours, have {} put its root into roots/",
                ctx.groups_that_may(Permission::Policy)
            ));
        }
        Reason::SignatureUntimed => format!("have it signed again by {signers} with a timestamp or a log entry"),
        Reason::SignatureUnlogged => format!("have it signed again by {signers} with an entry in the log"),
        Reason::SignatureUnverifiable => {
            format!("have it signed by {signers} with ECDSA P-256 into a Sigstore bundle")
        }
        _ => return None,
    };
    Some(format!("{step}, then: {hand_in}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::GateOutcome::{Fail, Pass};
    use crate::decision::GateResult;
    use crate::sample::{check, evidence, signed, tests};
    use lockgate_model::facts::Claim;

    fn run(index: u64, signers: &[&str], class: Option<(SignatureClass, &str)>) -> EvidenceFact {
        let proof = class.map(|(class, code)| {
            Box::new(SignatureFact {
                class,
                code: code.to_owned(),
                root: None,
                identity: None,
                issuer: None,
                claims: BTreeMap::new(),
                key: None,
                signed_at: None,
            })
        });
        EvidenceFact { signature: proof, ..evidence(index, signed(signers), Claim::Tests(tests())) }
    }

    fn row(fields: &str, facts: Vec<EvidenceFact>, reason: Reason) -> GateResult {
        check(&format!("kind = \"tests\"\n{fields}\n"), |_, known| known.evidence = facts, Fail, reason)
    }

    #[test]
    fn each_ending_is_another_error_with_another_step() {
        use SignatureClass::{
            IdentityMismatch, Malformed, SignatureInvalid, Unsigned, Unsupported, UntrustedRoot, Verified, WithoutTime,
        };
        let by_ci = "signed_by = [\"ci\"]";
        let of = |class, code: &str, reason, text: &str, step: &str| {
            for fields in [by_ci, ""] {
                let result = row(fields, vec![run(1, &[], Some((class, code)))], reason);
                assert_eq!(result.found, format!("app.tar.gz: test results {text}"));
                assert!(result.fix.contains(step), "{}", result.fix);
                let plain = result.fix.starts_with("lockgate attest shop/web@1.4.2 --tests junit.xml\nor ");
                assert_eq!(plain, fields.is_empty(), "{}", result.fix);
            }
        };
        let untimed = "whose signature has no proved time (TIME_MISSING)";
        of(WithoutTime, "TIME_MISSING", Reason::SignatureUntimed, untimed, "with a timestamp or a log entry");
        let expired = "whose signature is expired (CERTIFICATE_EXPIRED)";
        let again = "while the certificate is valid, then: ";
        of(SignatureInvalid, "CERTIFICATE_EXPIRED", Reason::SignatureExpired, expired, again);
        let invalid = "whose signature is invalid (LOG_INVALID)";
        let anew = "find out what was changed, have it made anew and signed by ";
        of(SignatureInvalid, "LOG_INVALID", Reason::EvidenceSignatureInvalid, invalid, anew);
        let root = "whose signature is under an untrusted root (LOG_UNKNOWN)";
        of(UntrustedRoot, "LOG_UNKNOWN", Reason::SignatureRootUntrusted, root, "put its root into roots/");
        for (class, code) in [(Malformed, "SIGNATURE_MALFORMED"), (Unsupported, "SIGNATURE_UNSUPPORTED")] {
            let text = format!("whose signature cannot be verified ({code})");
            of(class, code, Reason::SignatureUnverifiable, &text, "with ECDSA P-256");
        }
        let none = row(by_ci, vec![run(1, &[], Some((Unsigned, "SIGNATURE_MISSING")))], Reason::EvidenceUnsigned);
        assert!(none.found.ends_with("test results without a signature"), "{}", none.found);
        // A good signature by somebody else, and one of which nothing but that is known.
        for class in [None, Some((Verified, "SIGNATURE_VERIFIED")), Some((IdentityMismatch, "SIGNER_MISMATCH"))] {
            let other = row(by_ci, vec![run(1, &["scanner"], class)], Reason::SignerUntrusted);
            assert!(other.fix.starts_with("have it signed by ci, then: lockgate attest "), "{}", other.fix);
        }
    }

    #[test]
    fn what_comes_nearest_gives_the_reason_and_all_are_told() {
        let invalid = || run(1, &[], Some((SignatureClass::SignatureInvalid, "SIGNATURE_INVALID")));
        let untimed = run(2, &[], Some((SignatureClass::WithoutTime, "TIME_MISSING")));
        let result = row("", vec![invalid(), untimed], Reason::SignatureUntimed);
        assert_eq!(
            result.found,
            "app.tar.gz: test results whose signature has no proved time (TIME_MISSING), others whose signature is \
             invalid (SIGNATURE_INVALID)"
        );
        assert_eq!(result.evidence.len(), 2);
        // What is broken keeps nothing from counting.
        let good = run(2, &["ci"], None);
        check("kind = \"tests\"\n", |_, known| known.evidence = vec![invalid(), good], Pass, Reason::Satisfied);
    }
}
