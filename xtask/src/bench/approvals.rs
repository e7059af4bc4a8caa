//! Approvals: what it costs to verify the signature of one, beside the signature algorithm alone.
//!
//! Verifying is what every reader of an approval does: read the armored SSHSIG with the key inside it, hash the
//! document, rebuild what was signed, check what the device says, verify. The raw verification beside it is that of the
//! library, over as many bytes as the key signed.

use std::hint::black_box;
use std::time::Instant;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair as _, UnparsedPublicKey,
};
use lockgate_ledger::ApprovalDocument;
use lockgate_ledger::approval::NAMESPACE;
use lockgate_model::{Digest, canonical};
use lockgate_sign::passkey::SoftPasskey;
use lockgate_sign::ssh::{HashAlgorithm, SshPublicKey, SshSignature, WebOrigin, signed_data};
use lockgate_sign::ssh_signer::{FileSigner, SshSigner as _};
use serde_json::json;

use super::report::Row;
use super::samples::median;
use crate::failure::{During as _, Failure, Result};
use crate::random::Random;

/// How many times the raw verification an approval's may cost.
const MOST: f64 = 2.0;
/// How many pieces of evidence the approver saw.
const EVIDENCE: u64 = 8;
/// What a security key signs, in bytes: hash of the application, flags, counter, hash of the data.
const ASSERTION: usize = 32 + 1 + 4 + 32;
/// The application of OpenSSH's own security keys.
const APPLICATION: &[u8] = b"ssh:";
/// Somebody touched the security key.
const USER_PRESENT: u8 = 0x01;

/// A signature algorithm below SSH.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Ed25519,
    P256,
}

/// One approval with its signature.
struct Case {
    name: &'static str,
    algorithm: Algorithm,
    /// How many bytes the key itself signed.
    signed_bytes: usize,
    key: SshPublicKey,
    armored: String,
}

impl Case {
    fn new(name: &'static str, algorithm: Algorithm, signed_bytes: usize, signature: &SshSignature) -> Self {
        let key = signature.public_key().clone();
        Self { name, algorithm, signed_bytes, key, armored: signature.to_armored() }
    }

    /// Does what every reader of the approval does.
    fn verify(&self, document: &[u8]) -> Result<()> {
        let signature = SshSignature::parse_armored(black_box(&self.armored))?;
        signature.verify_presence(black_box(document), NAMESPACE, &self.key)?;
        Ok(())
    }
}

/// A signature that the library alone verifies.
struct Raw {
    key: UnparsedPublicKey<Vec<u8>>,
    message: Vec<u8>,
    signature: Vec<u8>,
}

impl Raw {
    fn new(algorithm: Algorithm, bytes: usize) -> Result<Self> {
        let message = Random::new(8).bytes(bytes);
        Ok(match algorithm {
            Algorithm::Ed25519 => {
                let pair = Ed25519KeyPair::generate()?;
                let signature = pair.try_sign(&message)?.as_ref().to_vec();
                let public: &[u8] = pair.public_key().as_ref();
                Self { key: UnparsedPublicKey::new(&ED25519, public.to_vec()), message, signature }
            }
            Algorithm::P256 => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)?;
                let signature = pair.sign(&SystemRandom::new(), &message)?.as_ref().to_vec();
                let public: &[u8] = pair.public_key().as_ref();
                Self { key: UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, public.to_vec()), message, signature }
            }
        })
    }

    fn verify(&self) -> Result<()> {
        Ok(self.key.verify(black_box(&self.message), black_box(&self.signature))?)
    }
}

/// Times an approval's signature and the raw one, turn by turn, for every kind of key.
///
/// # Errors
/// When a signature cannot be made, or does not verify.
pub fn measure(runs: usize) -> Result<Vec<Row>> {
    let document = document()?;
    cases(&document)?.iter().map(|case| row(case, &document, runs)).collect()
}

fn row(case: &Case, document: &[u8], runs: usize) -> Result<Row> {
    let raw = Raw::new(case.algorithm, case.signed_bytes)?;
    let (mut verified, mut alone, mut read) = (Vec::new(), Vec::new(), Vec::new());
    // The first turn warms up and is thrown away.
    for turn in 0..=runs {
        let figures = [
            micros(|| case.verify(document))?,
            micros(|| raw.verify())?,
            micros(|| ApprovalDocument::from_bytes(black_box(document)).map(drop).during("the document"))?,
        ];
        for (samples, figure) in [&mut verified, &mut alone, &mut read].into_iter().zip(figures) {
            if turn > 0 {
                samples.push(figure);
            }
        }
    }
    let (verified, alone) = (median(&verified), median(&alone));
    let what = format!(
        "SSHSIG approval verification, {}, a document of {:.1} KiB (the raw verification over {} bytes: {alone:.0} µs; \
         reading the document: {:.0} µs)",
        case.name,
        document.len() as f64 / 1024.0,
        case.signed_bytes,
        median(&read)
    );
    Ok(Row::at_most(&what, verified / alone, verified, MOST, "2 × the raw verification", "µs"))
}

fn micros(step: impl FnOnce() -> Result<()>) -> Result<f64> {
    let started = Instant::now();
    step()?;
    Ok(started.elapsed().as_secs_f64() * 1e6)
}

/// One approval by each kind of key.
fn cases(document: &[u8]) -> Result<Vec<Case>> {
    let signed = signed_data(NAMESPACE, HashAlgorithm::Sha512, document);
    let file = FileSigner::generate_ed25519("bench")?.sign(NAMESPACE, document)?;
    let origin: WebOrigin = "https://lockgate.example".parse()?;
    let passkey = SoftPasskey::generate(&origin)?.sign(NAMESPACE, document)?;
    Ok(vec![
        Case::new("ed25519", Algorithm::Ed25519, signed.len(), &file),
        Case::new("ecdsa-p256", Algorithm::P256, signed.len(), &ecdsa(&signed)?),
        Case::new("sk-ed25519", Algorithm::Ed25519, ASSERTION, &security_ed25519(&signed)?),
        Case::new("sk-ecdsa", Algorithm::P256, ASSERTION, &security_ecdsa(&signed)?),
        Case::new("webauthn", Algorithm::P256, ASSERTION, &passkey),
    ])
}

fn ecdsa(signed: &[u8]) -> Result<SshSignature> {
    const KIND: &str = "ecdsa-sha2-nistp256";
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
    let wire = strings(&[KIND.as_bytes(), b"nistp256", pair.public_key().as_ref()]);
    let blob = strings(&[KIND.as_bytes(), &numbers(pair.sign(&SystemRandom::new(), signed)?.as_ref())]);
    signature(&wire, blob)
}

fn security_ed25519(signed: &[u8]) -> Result<SshSignature> {
    const KIND: &str = "sk-ssh-ed25519@openssh.com";
    let pair = Ed25519KeyPair::generate()?;
    let wire = strings(&[KIND.as_bytes(), pair.public_key().as_ref(), APPLICATION]);
    let bare = pair.try_sign(&assertion(signed))?;
    signature(&wire, touched(strings(&[KIND.as_bytes(), bare.as_ref()])))
}

fn security_ecdsa(signed: &[u8]) -> Result<SshSignature> {
    const KIND: &str = "sk-ecdsa-sha2-nistp256@openssh.com";
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
    let wire = strings(&[KIND.as_bytes(), b"nistp256", pair.public_key().as_ref(), APPLICATION]);
    let bare = numbers(pair.sign(&SystemRandom::new(), &assertion(signed))?.as_ref());
    signature(&wire, touched(strings(&[KIND.as_bytes(), &bare])))
}

fn signature(wire: &[u8], blob: Vec<u8>) -> Result<SshSignature> {
    Ok(SshSignature::new(SshPublicKey::from_wire(wire)?, NAMESPACE, HashAlgorithm::Sha512, blob))
}

/// What a security key signs (OpenSSH `PROTOCOL.u2f`, "SSH U2F Signatures"), with the counter at 0.
fn assertion(signed: &[u8]) -> Vec<u8> {
    let (application, data) = (Digest::of(APPLICATION), Digest::of(signed));
    [application.as_bytes().as_slice(), &[USER_PRESENT], &[0; 4], data.as_bytes().as_slice()].concat()
}

/// Appends flags and counter.
fn touched(mut blob: Vec<u8>) -> Vec<u8> {
    blob.push(USER_PRESENT);
    blob.extend_from_slice(&[0; 4]);
    blob
}

/// Strings in SSH's encoding (RFC 4251, section 5), one after the other.
fn strings(parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for part in parts {
        out.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(part);
    }
    out
}

/// Both halves of an ECDSA signature as `mpint r, mpint s` (RFC 5656, section 3.1.2).
fn numbers(fixed: &[u8]) -> Vec<u8> {
    let (r, s) = fixed.split_at(fixed.len() / 2);
    let positive = |number: &[u8]| -> Vec<u8> {
        let mut content: Vec<u8> = number.iter().copied().skip_while(|byte| *byte == 0).collect();
        if content.first().is_some_and(|first| *first >= 0x80) {
            content.insert(0, 0);
        }
        content
    };
    strings(&[&positive(r), &positive(s)])
}

/// An approval document as an approver signs it.
fn document() -> Result<Vec<u8>> {
    let digest = |name: &str| Digest::of(name.as_bytes());
    let evidence = |number: u64| json!({ "kind": "junit", "digest": Digest::of(&number.to_be_bytes()) });
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{ "name": "app.tar.gz", "digest": { "sha256": digest("app").hex() } }],
        "predicateType": "https://lockgate.dev/approval/v1",
        "predicate": {
            "ledger": "log1.lockgate.example",
            "promotion": "P-3",
            "kind": "promotion",
            "release": "shop/web@1.4.2",
            "manifest": digest("manifest"),
            "environment": "production",
            "replaces": { "release": "shop/web@1.4.1", "manifest": digest("before") },
            "policy": digest("policy"),
            "evidence": (0..EVIDENCE).map(evidence).collect::<Vec<_>>(),
            "requester": "dana",
            "reason": "weekly release",
            "approver": "sam",
            "verdict": "approve",
            "expiresAt": 1_767_484_800_000_u64,
            "anchor": { "size": 28, "root": digest("root") },
        },
    });
    let bytes = canonical::to_vec(&statement)?;
    match ApprovalDocument::from_bytes(&bytes) {
        Ok(_) => Ok(bytes),
        Err(error) => Err(Failure::new(format!("the sample is no approval document: {}", error.message))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_key_is_measured_and_verifies_what_it_signed() {
        let document = document().unwrap();
        let cases = cases(&document).unwrap();
        let names: Vec<&str> = cases.iter().map(|case| case.name).collect();
        assert_eq!(names, ["ed25519", "ecdsa-p256", "sk-ed25519", "sk-ecdsa", "webauthn"]);
        for case in &cases {
            case.verify(&document).unwrap();
            assert!(case.verify(b"another document").is_err(), "{}", case.name);
            let mut raw = Raw::new(case.algorithm, case.signed_bytes).unwrap();
            assert_eq!(raw.message.len(), case.signed_bytes);
            raw.verify().unwrap();
            raw.message[0] ^= 1;
            assert!(raw.verify().is_err(), "{}", case.name);
        }
        assert_eq!(measure(1).unwrap().len(), 5);
    }
}
