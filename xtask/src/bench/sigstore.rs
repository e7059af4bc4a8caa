//! Sigstore bundles: what it costs to verify one offline, beside the signatures and hashes that it consists of.
//!
//! The bundle is a case of the public conformance suite, which is not part of this repository. Where the vectors are
//! missing there is no row.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA384_ASN1_SIGNING,
    EcdsaKeyPair, EcdsaSigningAlgorithm, EcdsaVerificationAlgorithm, KeyPair as _, UnparsedPublicKey,
};
use lockgate_model::{Digest, Limits};
use lockgate_sigstore::{Bundle, BundleVerifier as _, Expected, OfflineVerifier, Outcome, Subject, TrustRoot};

use super::report::Row;
use super::samples::median;
use crate::failure::{During as _, Failure, Result};
use crate::random::Random;
use crate::workspace;

/// The case that is verified: a file's signature, with certificate, promise, inclusion proof and checkpoint.
const CASE: &str = "happy-path-v0.3";
/// The P-256 signatures in it: by the signer, of the certificate's log, of the log's promise, of the checkpoint.
const P256: usize = 4;
/// The P-384 signatures: the signer's certificate and the one above it.
const P384: usize = 2;
/// The hashes of nodes on the way to the root, and of the leaf.
const HASHES: usize = 12;
/// What a signature of the parts is over, in bytes: about a certificate.
const SIGNED_BYTES: usize = 600;

/// A signature that the library alone verifies.
struct Raw {
    key: UnparsedPublicKey<Vec<u8>>,
    message: Vec<u8>,
    signature: Vec<u8>,
}

impl Raw {
    fn new(signing: &'static EcdsaSigningAlgorithm, verifying: &'static EcdsaVerificationAlgorithm) -> Result<Self> {
        let message = Random::new(9).bytes(SIGNED_BYTES);
        let pair = EcdsaKeyPair::generate(signing)?;
        let signature = pair.sign(&SystemRandom::new(), &message)?.as_ref().to_vec();
        let public: &[u8] = pair.public_key().as_ref();
        Ok(Self { key: UnparsedPublicKey::new(verifying, public.to_vec()), message, signature })
    }

    fn verify(&self) -> Result<()> {
        Ok(self.key.verify(black_box(&self.message), black_box(&self.signature))?)
    }
}

/// Times reading and verifying a bundle, and its parts alone, turn by turn; no row without the vectors.
///
/// # Errors
/// When the vectors do not read, or the bundle does not verify.
pub fn measure(runs: usize) -> Result<Vec<Row>> {
    let folder = workspace::vectors().map(|folder| folder.join("sigstore-conformance"));
    let Some(folder) = folder.filter(|folder| folder.is_dir()) else {
        eprintln!("no Sigstore vectors beside the checkout: verification of bundles is not measured");
        return Ok(Vec::new());
    };
    let read = |path: &Path| fs::read(path).during(format!("read `{}`", path.display()));
    let root = TrustRoot::parse(&read(&folder.join("trusted_root_public_good.json"))?, &Limits::DEFAULT)?;
    let verifier = OfflineVerifier::new(&root)?;
    let bytes = read(&folder.join(CASE).join("bundle.sigstore.json"))?;
    let artifact = read(&folder.join("a.txt"))?;
    let (p256, p384) = (
        Raw::new(&ECDSA_P256_SHA256_ASN1_SIGNING, &ECDSA_P256_SHA256_ASN1)?,
        Raw::new(&ECDSA_P384_SHA384_ASN1_SIGNING, &ECDSA_P384_SHA384_ASN1)?,
    );
    let (mut whole, mut parts) = (Vec::new(), Vec::new());
    // The first turn warms up and is thrown away.
    for turn in 0..=runs {
        let started = Instant::now();
        verify(&verifier, black_box(&bytes), black_box(&artifact))?;
        let verified = started.elapsed().as_secs_f64() * 1e6;
        let started = Instant::now();
        raw(&p256, &p384, &bytes)?;
        let alone = started.elapsed().as_secs_f64() * 1e6;
        if turn > 0 {
            whole.push(verified);
            parts.push(alone);
        }
    }
    let (whole, parts) = (median(&whole), median(&parts));
    let what = format!(
        "Sigstore bundle of {:.1} KiB, read and verified offline ({:.2} × its parts alone, which take {parts:.0} µs: \
         {P256} P-256 and {P384} P-384 signatures, {HASHES} hashes, and one over its bytes)",
        bytes.len() as f64 / 1024.0,
        whole / parts
    );
    Ok(vec![Row::figure(&what, whole, "µs")])
}

fn verify(verifier: &OfflineVerifier, bytes: &[u8], artifact: &[u8]) -> Result<()> {
    let bundle = Bundle::parse(bytes, &Limits::DEFAULT)?;
    match verifier.verify(&bundle, Subject::Bytes(artifact), Expected::AnyIdentity) {
        Outcome::Verified(_) => Ok(()),
        other => Err(Failure::new(format!("the bundle does not verify: {}", other.code()))),
    }
}

fn raw(p256: &Raw, p384: &Raw, bytes: &[u8]) -> Result<()> {
    for _ in 0..P256 {
        p256.verify()?;
    }
    for _ in 0..P384 {
        p384.verify()?;
    }
    let mut node = Digest::of(black_box(bytes));
    for _ in 0..HASHES {
        node = Digest::of(&[node.as_bytes().as_slice(), node.as_bytes().as_slice()].concat());
    }
    black_box(node);
    Ok(())
}
