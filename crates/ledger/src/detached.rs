//! Detached signatures: those of minisign that name their artifact, verified from their own bytes.
//!
//! What is signed first is the artifact, by a hash that cannot be told from its SHA-256, and nobody who replays a decision
//! has the artifact at hand. But the key also signs that signature together with a comment, and a comment that begins
//! with the artifact's `sha256:` digest is the signer's own word for which artifact it is. That is what is verified here,
//! as [`crate::foreign`] verifies bundles: by everyone, from the policy set's keys and the bytes alone. No word of the
//! server is part of it.

use lockgate_model::Digest;
use lockgate_model::facts::{ARTIFACT_SIGNATURE, Claim};
use lockgate_policy::{PolicySet, Proof};
use lockgate_sigstore::minisign::MinisignSignature;
use lockgate_sigstore::{Outcome, Reason, Refusal};

use crate::foreign::ForeignRead;

/// Whether bytes look like a signature of minisign.
pub(crate) fn is_minisign(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(MinisignSignature::announced)
}

/// Reads a minisign signature from bytes; nothing in it is verified.
///
/// # Errors
/// [`Reason::Malformed`] or [`Reason::Unsupported`].
pub fn minisign_of(bytes: &[u8]) -> Result<MinisignSignature, Refusal> {
    let text = std::str::from_utf8(bytes).map_err(|_| Refusal::new(Reason::Malformed, "the signature is no text"))?;
    MinisignSignature::parse(text)
}

/// Reads a minisign signature and verifies it with the keys of the policy set.
///
/// It is total: one that does not verify, or that nobody trusted made, still yields a fact that says why.
pub(crate) fn read_minisign(bytes: &[u8], policy: &PolicySet) -> ForeignRead {
    let nobody = |subjects: Vec<Digest>, claim: Claim, outcome: &Outcome| ForeignRead {
        signers: Vec::new(),
        subjects,
        claim,
        signature: outcome.to_fact(None),
    };
    let signature = match minisign_of(bytes) {
        Ok(signature) => signature,
        Err(refusal) => {
            let claim = Claim::Malformed { reason: refusal.detail.clone() };
            return nobody(Vec::new(), claim, &refusal.into());
        }
    };
    let claim = Claim::Unknown { predicate_type: ARTIFACT_SIGNATURE.to_owned() };
    let Some(subject) = signature.subject() else {
        let detail = "the trusted comment does not begin with the SHA-256 of an artifact";
        return nobody(Vec::new(), claim, &Outcome::refused(Reason::SignatureType, detail));
    };
    let mut signers = Vec::new();
    let mut best: Option<Outcome> = None;
    // A key id chooses which key is tried, so that a broken signature is told from one by somebody unknown.
    for signer in policy.signers() {
        let Proof::Minisign(key) = &signer.proof else { continue };
        if !signature.names(key) {
            continue;
        }
        let outcome = signature.verify_comment(key);
        if outcome.class().proves_signer() {
            signers.push(signer.name.clone());
        }
        if best.as_ref().is_none_or(|other| outcome.rank() > other.rank()) {
            best = Some(outcome);
        }
    }
    let unknown = || Outcome::refused(Reason::KeyUnknown, "signed with a key that the policy set does not pin");
    let outcome = best.unwrap_or_else(unknown);
    ForeignRead { signers, subjects: vec![subject], claim, signature: outcome.to_fact(None) }
}

#[cfg(test)]
mod tests {
    use lockgate_model::facts::SignatureClass;

    use super::*;

    /// Made with minisign 0.11 over the text `the bytes of shop/web@1.0.0`.
    const SIGNATURE: &str = "untrusted comment: signature from minisign secret key\n\
RUR+fJKKzS7AOz3E3K1At5QvBmB9fmXLXe2KGRLaJll62YNvCIks3/RcHvMmA2Zk/8E8qzHX1vapsi0c2BVN2Yqf5gkkoyMQQgY=\n\
trusted comment: sha256:ec84a949f988636db7e38e587a1e29afa3c9397d4737e045a53d8571862d1a13\n\
ZOnTgF97BZsJ/cV0JFI+tTS+ZaWDC2bfCsiFgjw7scusI7410g6QN1ekYtpK6KjfA20htm9OjU2WzIFWOIWqDQ==\n";
    const KEY: &str = "RWR+fJKKzS7AO4wbeZEZrqq+FA4aBJiC8tXU0KDIX8qrZbS0X+kBHVGi";
    const OTHER_KEY: &str = "RWTupjzS65CUPlrCLxnTy4YF2pKWk2IEA8mdC2V+o1GSeMaWU3s8TfUg";

    fn policy(keys: &[(&str, &str)]) -> PolicySet {
        let mut files = PolicySet::starter("starter").unwrap();
        let signer = |(name, key): &(&str, &str)| {
            format!("[[signer]]\nname = \"{name}\"\nminisign = \"{key}\"\nsigns = [\"signature\"]\n")
        };
        files.insert("trust.toml".to_owned(), keys.iter().map(signer).collect());
        PolicySet::from_files(files).unwrap_or_else(|errors| panic!("{errors:#?}"))
    }

    #[test]
    fn the_comment_binds_the_artifact_to_a_pinned_key() {
        let artifact = Digest::of(b"the bytes of shop/web@1.0.0");
        let check = |text: &str, keys: &[(&str, &str)], signers: &[&str], class: SignatureClass, code: &str| {
            let read = read_minisign(text.as_bytes(), &policy(keys));
            let found: Vec<&str> = read.signers.iter().map(lockgate_model::SignerName::as_str).collect();
            assert_eq!((found.as_slice(), read.signature.class, read.signature.code.as_str()), (signers, class, code));
            assert_eq!(read.signature.key.is_some(), !signers.is_empty());
            read.subjects
        };
        let (own, other) = (("boxes", KEY), ("other", OTHER_KEY));
        let good = SignatureClass::WithoutLog;
        assert_eq!(check(SIGNATURE, &[own], &["boxes"], good, "LOG_MISSING"), [artifact]);
        assert_eq!(check(SIGNATURE, &[other, own], &["boxes"], good, "LOG_MISSING"), [artifact]);
        let unknown = SignatureClass::IdentityMismatch;
        check(SIGNATURE, &[other], &[], unknown, "SIGNING_KEY_UNKNOWN");
        check(SIGNATURE, &[], &[], unknown, "SIGNING_KEY_UNKNOWN");
        let invalid = SignatureClass::SignatureInvalid;
        let renamed = SIGNATURE.replace(&artifact.to_string(), &Digest::of(b"other").to_string());
        check(&renamed, &[own, other], &[], invalid, "SIGNATURE_INVALID");
        check(&SIGNATURE.replace("Zk/8E8qzHX", "Zk/8E9qzHX"), &[own, other], &[], invalid, "SIGNATURE_INVALID");
        let malformed = check(&SIGNATURE[..150], &[own], &[], SignatureClass::Malformed, "SIGNATURE_MALFORMED");
        assert!(malformed.is_empty());
    }
}
