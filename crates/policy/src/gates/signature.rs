//! The `signature` gate: every artifact is signed by somebody who is known here, whatever else is said about it.

use lockgate_model::SignerName;
use lockgate_model::facts::{Artifact, EvidenceFact, Origin, SignatureClass, SignatureFact};
use serde::Deserialize;

use super::coverage::{Covered, Shortfall, proofs_text, these_artifacts};
use super::ending::{Ending, next_step};
use super::mistyped::mistyped;
use super::{Assessment, Context, Problem, Standing, signer_problems};
use crate::explain::Reason;
use crate::pattern::{Pattern, is_plain};
use crate::permission::Permission;
use crate::policy_set::PolicySet;
use crate::trust::EvidenceKind;
use crate::trusted_identity::Proof;
use crate::wording::{few, one_of};

/// Demands a signature over every artifact itself: what a signature over something else says does not count here.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignatureGate {
    /// Whose signature counts; names of `trust.toml`.
    pub signed_by: Vec<SignerName>,
    /// Which artifacts have to be signed, by the names that their publisher gave them; all where it is left out. Every
    /// pattern has to find one, and a name that could be read in two ways is never left out.
    #[serde(default)]
    pub artifacts: Vec<Pattern>,
    /// Whether a transparency log has to prove the signature; what `trust.toml` says where it is left out.
    #[serde(default)]
    pub log: Proved,
    /// Whether it has to be proved when it was signed; certificates need that in any case.
    #[serde(default)]
    pub time: Proved,
}

/// Whether something about a signature has to be proved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proved {
    /// It has to be.
    Required,
    /// It is left to what the signer needs.
    #[default]
    Optional,
}

/// How far a signature comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reached {
    Ended(Ending),
    Accepted,
}

impl Reached {
    /// What a denial says of it; nothing of what counts.
    const fn shortfall(self) -> Option<(Reason, &'static str)> {
        let Self::Ended(ending) = self else { return None };
        Some(match ending {
            Ending::Unsigned => (Reason::ArtifactUnsigned, "unsigned"),
            Ending::Unverifiable => (Reason::SignatureUnverifiable, "a signature that cannot be verified"),
            Ending::Invalid => (Reason::ArtifactSignatureInvalid, "an invalid signature"),
            Ending::Expired => (Reason::SignatureExpired, "an expired signature"),
            Ending::RootUntrusted => (Reason::SignatureRootUntrusted, "a signature under an untrusted root"),
            Ending::SignerUntrusted => (Reason::SignerUntrusted, "a signature by the wrong signer"),
            Ending::Untimed => (Reason::SignatureUntimed, "a signature without a proved time"),
            Ending::Unlogged => (Reason::SignatureUnlogged, "a signature without a log entry"),
        })
    }
}

impl SignatureGate {
    /// The word for `kind`.
    pub(crate) const KIND: &'static str = "signature";

    pub(super) fn problems(&self, policy: &PolicySet) -> Vec<Problem> {
        let mut problems = signer_problems(&self.signed_by, EvidenceKind::Signature, policy);
        if self.signed_by.is_empty() {
            problems.push(Problem::new("`signed_by` is empty: name at least one signer of trust.toml"));
        }
        // Without a root there is no log and no timestamp that could prove anything.
        let provable = |name: &SignerName| policy.signer(name).is_none_or(|signer| signer.root.is_some());
        let demanded = [("log", self.log), ("time", self.time)];
        for (field, _) in demanded.into_iter().filter(|(_, proved)| *proved == Proved::Required) {
            if !self.signed_by.is_empty() && !self.signed_by.iter().any(provable) {
                problems.push(Problem::new(format!(
                    "`{field}` is required, and none of its signers has a `root` in trust.toml under which it could be \
                     proved"
                )));
            }
        }
        if self.artifacts.iter().any(Pattern::is_everything) {
            problems.push(Problem::new("`artifacts` names everything: leave it out, and every artifact is asked for"));
        }
        problems
    }

    pub(super) fn assess(&self, ctx: Context<'_>) -> Assessment {
        let result = match self.pattern_without_artifact(ctx) {
            Some(pattern) => Err(Shortfall {
                reason: Reason::ArtifactAbsent,
                text: format!("no artifact is called `{pattern}`"),
                evidence: Vec::new(),
            }),
            None => {
                let asked: Vec<&Artifact> =
                    ctx.facts.release.artifacts.iter().filter(|artifact| self.asks_for(artifact)).collect();
                these_artifacts(ctx, &asked, |artifact| self.check(ctx, artifact))
            }
        };
        let who = || ctx.groups_that_may(Permission::Attest);
        Assessment::of_coverage(result, self.needed(ctx), who, |reason| self.fix(ctx, reason))
    }

    fn asks_for(&self, artifact: &Artifact) -> bool {
        self.artifacts.is_empty()
            || !is_plain(&artifact.name)
            || self.artifacts.iter().any(|pattern| pattern.matches(&artifact.name))
    }

    fn pattern_without_artifact(&self, ctx: Context<'_>) -> Option<&Pattern> {
        let artifacts = &ctx.facts.release.artifacts;
        // A release without artifacts is told as that.
        if artifacts.is_empty() {
            return None;
        }
        self.artifacts.iter().find(|pattern| !artifacts.iter().any(|artifact| pattern.matches(&artifact.name)))
    }

    fn needed(&self, ctx: Context<'_>) -> String {
        let named = |name: &SignerName| match ctx.policy.signer(name).map(|signer| &signer.proof) {
            Some(Proof::Identity(identity)) => format!("{name} ({})", identity.described()),
            Some(Proof::Minisign(key)) => format!("{name} (the minisign key {})", key.id_text()),
            Some(Proof::Key(_)) | None => name.to_string(),
        };
        let signers: Vec<String> = self.signed_by.iter().map(named).collect();
        let artifacts = match self.artifacts.as_slice() {
            [] => "every artifact".to_owned(),
            patterns => few(patterns, ", "),
        };
        let log = if self.log == Proved::Required { ", in a transparency log" } else { "" };
        let time = if self.time == Proved::Required { ", at a proved time" } else { "" };
        format!("a signature of {artifacts} by {}{log}{time}", one_of(&signers))
    }

    fn fix(&self, ctx: Context<'_>, reason: Reason) -> String {
        let signers = one_of(&self.signed_by);
        let is_minisign = self.are_minisign(ctx.policy);
        let file = if is_minisign { "artifact.minisig" } else { "artifact.sigstore.json" };
        let hand_in = ctx.attest(&format!("--attestation {file}"));
        match reason {
            Reason::ArtifactAbsent | Reason::NoArtifacts => ctx.push_next(""),
            Reason::ArtifactUnsigned
            | Reason::EvidenceType
            | Reason::SignerUntrusted
            | Reason::SignatureUnverifiable
                if is_minisign =>
            {
                format!("have it signed by {signers} with minisign, `-t sha256:<its digest>`, then: {hand_in}")
            }
            _ => next_step(ctx, reason, &signers, &hand_in)
                .unwrap_or_else(|| format!("have it signed by {signers}, then: {hand_in}")),
        }
    }

    /// Whether only keys of minisign count.
    fn are_minisign(&self, policy: &PolicySet) -> bool {
        let is_minisign =
            |name: &SignerName| policy.signer(name).is_some_and(|signer| matches!(signer.proof, Proof::Minisign(_)));
        !self.signed_by.is_empty() && self.signed_by.iter().all(is_minisign)
    }

    /// One signature that counts is enough; without one, all that were found are told, and the best of them is the
    /// reason.
    fn check(&self, ctx: Context<'_>, artifact: &Artifact) -> Result<Covered, Shortfall> {
        let signatures: Vec<(Reached, &EvidenceFact)> = ctx
            .about(artifact.digest)
            .filter(|fact| EvidenceKind::Signature.is_of(&fact.claim))
            .map(|fact| (self.reached(ctx, fact), fact))
            .collect();
        let best = signatures.iter().max_by_key(|(reached, fact)| (*reached, fact.index));
        let Some((reached, best)) = best else {
            let unsigned =
                || Shortfall { reason: Reason::ArtifactUnsigned, text: "unsigned".to_owned(), evidence: Vec::new() };
            return Err(mistyped(ctx, artifact, EvidenceKind::Signature, "a signature").unwrap_or_else(unsigned));
        };
        let Some((reason, _)) = reached.shortfall() else {
            let text = format!("signed by {}", signers_text(best));
            return Ok(Covered { text, evidence: vec![best.evidence], waived: false });
        };
        let told = signatures.iter().filter_map(|(reached, fact)| {
            let (_, words) = reached.shortfall()?;
            Some(format!("{words}{}", found_text(fact)))
        });
        let evidence = signatures.iter().map(|(_, fact)| fact.evidence).collect();
        Err(Shortfall { reason, text: few(told, ", "), evidence })
    }

    fn reached(&self, ctx: Context<'_>, fact: &EvidenceFact) -> Reached {
        let proof = fact.signature.as_deref();
        match ctx.standing(fact, EvidenceKind::Signature, &self.signed_by) {
            // Somebody's word that it is signed is no signature.
            Standing::Unsigned => Reached::Ended(Ending::Unsigned),
            Standing::Untrusted => {
                Reached::Ended(Ending::of(ctx.policy, EvidenceKind::Signature, &self.signed_by, proof))
            }
            Standing::Counts => {
                // A log or a time that another root proves is none of this signer's.
                let proof = proof.filter(|proof| self.is_under_root(ctx.policy, fact, proof));
                let logged = proof.is_some_and(|proof| proof.class == SignatureClass::Verified);
                let timed = proof.is_some_and(|proof| proof.signed_at.is_some());
                if self.time == Proved::Required && !timed {
                    Reached::Ended(Ending::Untimed)
                } else if self.log == Proved::Required && !logged {
                    Reached::Ended(Ending::Unlogged)
                } else {
                    Reached::Accepted
                }
            }
        }
    }

    /// Whether the proof was found under the root of one of the gate's signers whose signature it is.
    fn is_under_root(&self, policy: &PolicySet, fact: &EvidenceFact, proof: &SignatureFact) -> bool {
        let Origin::Signed { signers } = &fact.origin else { return false };
        let mut accepted = signers.iter().filter(|name| self.signed_by.contains(name));
        accepted.any(|name| policy.signer(name).is_some_and(|signer| signer.root == proof.root))
    }
}

/// The signers whose signatures are on it, and as whom they are proved.
fn signers_text(fact: &EvidenceFact) -> String {
    match &fact.origin {
        Origin::Signed { signers } => format!("{}{}", few(signers, ", "), proofs_text([fact])),
        Origin::OnBehalf { by } => by.to_string(),
    }
}

/// What else was found about a signature that does not count.
fn found_text(fact: &EvidenceFact) -> String {
    let by = match &fact.origin {
        Origin::Signed { signers } if !signers.is_empty() => format!(", {}", few(signers, ", ")),
        Origin::Signed { .. } => String::new(),
        Origin::OnBehalf { by } => format!(", only the word of {by}"),
    };
    format!("{by}{}", proofs_text([fact]))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use lockgate_model::Digest;
    use lockgate_model::facts::{ARTIFACT_SIGNATURE, Claim, Facts};
    use lockgate_sign::MinisignKey;

    use super::*;
    use crate::decide::decide;
    use crate::decision::GateOutcome::{self, Fail, Pass};
    use crate::decision::GateResult;
    use crate::sample::{MINISIGN, PEM, TIME, evidence, facts, files, gate, on_behalf, other_artifact, signed};

    const ISSUER: &str = "https://token.ci.example";
    const WORKFLOW: &str = "https://ci.example/shop/web/release.yml@refs/heads/main";
    const ROOT: &str = "{}";

    /// A policy set that knows the identity `release`, under a root, and the key `ci`, under none.
    fn policy(fields: &str) -> Result<PolicySet, Vec<crate::PolicyError>> {
        let mut files = files(&gate(&format!("kind = \"signature\"\n{fields}\n")));
        let root = Digest::of(ROOT.as_bytes());
        let trust = format!(
            "[[signer]]\nname = \"ci\"\nkey = \"\"\"\n{PEM}\"\"\"\nsigns = [\"signature\", \"sbom\"]\n\
             [[signer]]\nname = \"release\"\nroot = \"{root}\"\nsigns = [\"signature\"]\n\
             [signer.sigstore]\nissuer = \"{ISSUER}\"\nidentity = \"https://ci.example/shop/web/release.yml@*\"\n\
             log = \"optional\"\n\
             [[signer]]\nname = \"boxes\"\nminisign = \"{MINISIGN}\"\nsigns = [\"signature\"]\n"
        );
        files.insert("trust.toml".to_owned(), trust);
        files.insert("roots/own.json".to_owned(), ROOT.to_owned());
        PolicySet::from_files(files)
    }

    fn proof(class: SignatureClass, code: &str) -> SignatureFact {
        let proved = class.proves_signer();
        SignatureFact {
            class,
            code: code.to_owned(),
            root: Some(Digest::of(ROOT.as_bytes())),
            identity: proved.then(|| WORKFLOW.to_owned()),
            issuer: proved.then(|| ISSUER.to_owned()),
            claims: BTreeMap::new(),
            key: None,
            signed_at: proved.then_some(TIME),
        }
    }

    fn signature(index: u64, signers: &[&str], proof: Option<SignatureFact>) -> EvidenceFact {
        let claim = Claim::Unknown { predicate_type: ARTIFACT_SIGNATURE.to_owned() };
        EvidenceFact { signature: proof.map(Box::new), ..evidence(index, signed(signers), claim) }
    }

    fn check(fields: &str, change: impl FnOnce(&mut Facts), outcome: GateOutcome, reason: Reason) -> GateResult {
        let policy = policy(fields).unwrap_or_else(|errors| panic!("{errors:#?}"));
        let mut facts = facts();
        change(&mut facts);
        let [result] = <[GateResult; 1]>::try_from(decide(&policy, &facts).gates).unwrap();
        assert_eq!((result.outcome, result.reason.as_str()), (outcome, reason.as_str()), "{fields}\n{result:#?}");
        assert_eq!(result.fix.is_empty(), outcome == Pass, "{result:#?}");
        result
    }

    const GATE: &str = "signed_by = [\"release\"]";

    #[test]
    fn every_class_is_told_apart() {
        use SignatureClass::{
            IdentityMismatch, Malformed, SignatureInvalid, Unsigned, Unsupported, UntrustedRoot, Verified, WithoutLog,
            WithoutTime,
        };
        let row = |signers: &[&str], proof, outcome, reason| {
            check(GATE, |facts| facts.evidence = vec![signature(1, signers, proof)], outcome, reason)
        };
        let verified = || Some(proof(Verified, "SIGNATURE_VERIFIED"));
        let passed = row(&["release"], verified(), Pass, Reason::Satisfied);
        assert_eq!(passed.found, format!("app.tar.gz: signed by release (verified: {WORKFLOW})"));
        assert_eq!(passed.evidence.len(), 1);
        row(&["release"], Some(proof(WithoutLog, "LOG_MISSING")), Pass, Reason::Satisfied);
        let other = row(&["ci"], None, Fail, Reason::SignerUntrusted);
        assert_eq!(other.found, "app.tar.gz: a signature by the wrong signer, ci");
        assert_eq!(
            other.needed,
            "a signature of every artifact by release (https://ci.example/shop/web/release.yml@* of \
             https://token.ci.example)"
        );
        assert!(other.fix.contains("have it signed by release, then: lockgate attest shop/web@1.4.2"), "{other:#?}");
        row(&[], None, Fail, Reason::SignerUntrusted);
        row(&[], verified(), Fail, Reason::SignerUntrusted);
        row(&[], Some(proof(IdentityMismatch, "SIGNING_KEY_UNKNOWN")), Fail, Reason::SignerUntrusted);
        // Of the right identity, which `trust.toml` would not count without a log.
        row(&[], Some(proof(WithoutLog, "LOG_MISSING")), Fail, Reason::SignatureUnlogged);
        row(&[], Some(proof(WithoutTime, "TIME_MISSING")), Fail, Reason::SignatureUntimed);
        let invalid = row(&[], Some(proof(SignatureInvalid, "LOG_INVALID")), Fail, Reason::ArtifactSignatureInvalid);
        assert_eq!(invalid.found, "app.tar.gz: an invalid signature (signature-invalid: LOG_INVALID)");
        let expired = row(&[], Some(proof(SignatureInvalid, "CERTIFICATE_EXPIRED")), Fail, Reason::SignatureExpired);
        assert_eq!(expired.found, "app.tar.gz: an expired signature (signature-invalid: CERTIFICATE_EXPIRED)");
        row(&[], Some(proof(UntrustedRoot, "CHAIN_UNTRUSTED")), Fail, Reason::SignatureRootUntrusted);
        row(&[], Some(proof(Malformed, "SIGNATURE_MALFORMED")), Fail, Reason::SignatureUnverifiable);
        row(&[], Some(proof(Unsupported, "SIGNATURE_UNSUPPORTED")), Fail, Reason::SignatureUnverifiable);
        row(&[], Some(proof(Unsigned, "SIGNATURE_MISSING")), Fail, Reason::ArtifactUnsigned);
    }

    #[test]
    fn a_key_of_minisign_counts_without_a_log_and_is_told_apart() {
        use SignatureClass::{IdentityMismatch, Malformed, SignatureInvalid, WithoutLog};
        const GATE: &str = "signed_by = [\"boxes\"]";
        let of = |class: SignatureClass, code: &str| {
            let key = MinisignKey::parse(MINISIGN).unwrap();
            let key = (class == WithoutLog).then(|| Digest::of(key.key().spki_der()));
            SignatureFact { root: None, identity: None, issuer: None, key, signed_at: None, ..proof(class, code) }
        };
        let row = |fields: &str, signers: &[&str], proof, outcome, reason| {
            check(fields, |facts| facts.evidence = vec![signature(1, signers, Some(proof))], outcome, reason)
        };
        let passed = row(GATE, &["boxes"], of(WithoutLog, "LOG_MISSING"), Pass, Reason::Satisfied);
        assert!(passed.found.starts_with("app.tar.gz: signed by boxes (without-log: the key sha256:"), "{passed:#?}");
        assert_eq!(passed.needed, "a signature of every artifact by boxes (the minisign key 3BC02ECD8A927C7E)");
        let unknown = of(IdentityMismatch, "SIGNING_KEY_UNKNOWN");
        let other = row(GATE, &[], unknown, Fail, Reason::SignerUntrusted);
        assert!(other.fix.contains("`-t sha256:<its digest>`, then: lockgate attest shop/web@1.4.2"), "{other:#?}");
        assert!(other.fix.contains("--attestation artifact.minisig"), "{other:#?}");
        row(GATE, &[], of(SignatureInvalid, "SIGNATURE_INVALID"), Fail, Reason::ArtifactSignatureInvalid);
        row(GATE, &[], of(Malformed, "SIGNATURE_MALFORMED"), Fail, Reason::SignatureUnverifiable);
        // By somebody else who is trusted, and for a gate that asks for others.
        let by_ci = SignatureFact { key: None, ..of(WithoutLog, "LOG_MISSING") };
        row(GATE, &["ci"], by_ci, Fail, Reason::SignerUntrusted);
        row("signed_by = [\"ci\"]", &["boxes"], of(WithoutLog, "LOG_MISSING"), Fail, Reason::SignerUntrusted);
        // No log and no clock stands behind it.
        let rooted = "signed_by = [\"boxes\", \"release\"]\n";
        let logged = format!("{rooted}log = \"required\"");
        row(&logged, &["boxes"], of(WithoutLog, "LOG_MISSING"), Fail, Reason::SignatureUnlogged);
        let timed = format!("{rooted}time = \"required\"");
        row(&timed, &["boxes"], of(WithoutLog, "LOG_MISSING"), Fail, Reason::SignatureUntimed);
    }

    #[test]
    fn nothing_else_is_a_signature() {
        let row =
            |facts: Vec<EvidenceFact>, outcome, reason| check(GATE, |known| known.evidence = facts, outcome, reason);
        let none = row(vec![], Fail, Reason::ArtifactUnsigned);
        assert_eq!(none.found, "app.tar.gz: unsigned");
        // A signed statement says something else, and somebody's word is none.
        let statement = evidence(1, signed(&["release"]), Claim::Sbom(crate::sample::sbom()));
        row(vec![statement], Fail, Reason::ArtifactUnsigned);
        let word = EvidenceFact { origin: on_behalf("robot"), ..signature(1, &[], None) };
        row(vec![word], Fail, Reason::ArtifactUnsigned);
        let near = Claim::Unknown { predicate_type: "https://sigstore.dev/cosign/sign/v2".to_owned() };
        row(vec![evidence(1, signed(&["release"]), near)], Fail, Reason::EvidenceType);
        let cosign = Claim::Unknown { predicate_type: "https://sigstore.dev/cosign/sign/v1".to_owned() };
        row(vec![evidence(1, signed(&["release"]), cosign)], Pass, Reason::Satisfied);
        // Of another artifact.
        let other = EvidenceFact { artifacts: vec![other_artifact().digest], ..signature(1, &["release"], None) };
        row(vec![other], Fail, Reason::ArtifactUnsigned);
    }

    #[test]
    fn one_that_counts_is_enough_and_all_others_are_told() {
        let invalid = || signature(2, &[], Some(proof(SignatureClass::SignatureInvalid, "SIGNATURE_INVALID")));
        let row =
            |facts: Vec<EvidenceFact>, outcome, reason| check(GATE, |known| known.evidence = facts, outcome, reason);
        let passed = row(vec![signature(1, &["release"], None), invalid()], Pass, Reason::Satisfied);
        assert_eq!(passed.evidence, [signature(1, &[], None).evidence]);
        let failed = row(vec![signature(1, &["ci"], None), invalid()], Fail, Reason::SignerUntrusted);
        assert_eq!(failed.evidence.len(), 2, "a broken signature stays named, so that no break-glass gets past it");
        assert!(failed.found.contains("an invalid signature"), "{failed:#?}");
    }

    #[test]
    fn asks_for_a_log_and_a_time() {
        let row = |fields: &str, proof: Option<SignatureFact>, outcome, reason| {
            let fields = format!("signed_by = [\"release\", \"ci\"]\n{fields}");
            check(&fields, |facts| facts.evidence = vec![signature(1, &["release"], proof)], outcome, reason)
        };
        let of = |class| Some(proof(class, "CODE"));
        let (verified, unlogged) = (SignatureClass::Verified, SignatureClass::WithoutLog);
        row("log = \"required\"", of(verified), Pass, Reason::Satisfied);
        row("log = \"required\"", of(unlogged), Fail, Reason::SignatureUnlogged);
        row("log = \"optional\"", of(unlogged), Pass, Reason::Satisfied);
        row("log = \"required\"", None, Fail, Reason::SignatureUnlogged);
        row("time = \"required\"", of(verified), Pass, Reason::Satisfied);
        row("time = \"required\"", None, Fail, Reason::SignatureUntimed);
        let timeless = SignatureFact { signed_at: None, ..proof(verified, "CODE") };
        row("time = \"required\"", Some(timeless), Fail, Reason::SignatureUntimed);
        // What another root proves is nothing that this signer's root proves.
        let elsewhere = SignatureFact { root: Some(Digest::of(b"other")), ..proof(verified, "CODE") };
        row("log = \"required\"", Some(elsewhere), Fail, Reason::SignatureUnlogged);
    }

    #[test]
    fn names_choose_artifacts_and_never_lose_them() {
        let row = |fields: &str, name: &str, outcome, reason| {
            let fields = format!("{GATE}\n{fields}");
            let other = Artifact { name: name.to_owned(), ..other_artifact() };
            let change = |facts: &mut Facts| {
                facts.evidence = vec![signature(1, &["release"], None)];
                facts.release.artifacts.push(other);
            };
            check(&fields, change, outcome, reason)
        };
        row("", "notes.txt", Fail, Reason::ArtifactUnsigned);
        row("artifacts = [\"*.tar.gz\"]", "notes.txt", Pass, Reason::Satisfied);
        row("artifacts = [\"*.tar.gz\"]", "other.tar.gz", Fail, Reason::ArtifactUnsigned);
        // A name that matches no pattern at all is asked for.
        row("artifacts = [\"*.tar.gz\"]", "other tar.gz", Fail, Reason::ArtifactUnsigned);
        let absent = row("artifacts = [\"*.tar.gz\", \"app.exe\"]", "notes.txt", Fail, Reason::ArtifactAbsent);
        assert_eq!(absent.found, "no artifact is called `app.exe`");
        check(GATE, |facts| facts.release.artifacts.clear(), Fail, Reason::NoArtifacts);
    }

    #[test]
    fn what_can_never_work_is_refused_at_load() {
        let refused = |fields: &str, part: &str| {
            let errors = policy(fields).map(|_| ()).unwrap_err();
            assert!(errors[0].message.contains(part), "{errors:?}");
        };
        refused("signed_by = []", "`signed_by` is empty");
        refused("signed_by = [\"relase\"]", "no signer `relase`");
        refused("signed_by = [\"ci\"]\nlog = \"required\"", "`log` is required, and none of its signers has a `root`");
        refused("signed_by = [\"ci\"]\ntime = \"required\"", "`time` is required");
        refused("signed_by = [\"boxes\"]\nlog = \"required\"", "`log` is required");
        refused("signed_by = [\"ci\"]\nartifacts = [\"**\"]", "`artifacts` names everything");
        refused("signed_by = [\"ci\"]\nlog = \"wanted\"", "unknown variant `wanted`");
    }
}
