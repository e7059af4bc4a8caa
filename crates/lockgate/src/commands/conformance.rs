//! Conformance: the command line protocol by which Sigstore's conformance suite tests clients.
//!
//! `sigstore/sigstore-conformance`, `docs/cli_protocol.md`. Ends with 0 when verified, and with anything else when not.

use std::path::Path;

use lockgate_api::Exit;
use lockgate_model::{Digest, Limits};
use lockgate_sign::PublicKey;
use lockgate_sigstore::{
    Bundle, BundleVerifier, Expected, Instance, OfflineVerifier, Outcome, Reason, Subject, TrustRoot,
};

use crate::cli;
use crate::commands::signature::{BUNDLE_BYTES, ROOT_BYTES, refused};
use crate::failure::{Failure, Outcome as Ended};
use crate::home::read_file;
use crate::world::World;

/// `lockgate conformance`.
///
/// # Errors
/// Whatever does not verify, with its reason code.
pub fn conformance(world: &World, options: &cli::Conformance) -> Ended {
    match options {
        cli::Conformance::VerifyBundle {
            bundle,
            certificate_identity,
            certificate_oidc_issuer,
            key,
            staging,
            trusted_root,
            artifact,
        } => {
            let key = key.as_deref().map(read_key).transpose()?;
            let expected = match (&key, certificate_identity, certificate_oidc_issuer) {
                (Some(key), _, _) => Expected::Key(key),
                (None, Some(name), Some(issuer)) => Expected::Identity { name, issuer },
                _ => return Err(Failure::usage("IDENTITY_MISSING", "name an identity with its issuer, or a key")),
            };
            let root = root(*staging, trusted_root.as_deref())?;
            let bytes = read_file(bundle, BUNDLE_BYTES)?;
            let content;
            let subject = match artifact.parse::<Digest>() {
                Ok(digest) => Subject::Digest(digest),
                Err(_) => {
                    content = read_file(Path::new(artifact), Limits::DEFAULT.evidence_bytes)?;
                    Subject::Bytes(&content)
                }
            };
            let outcome = match (Bundle::parse(&bytes, &Limits::DEFAULT), OfflineVerifier::new(&root)) {
                (Ok(bundle), Ok(verifier)) => verifier.verify(&bundle, subject, expected),
                (Err(refusal), _) | (_, Err(refusal)) => refusal.into(),
            };
            end(world, &outcome)
        }
        cli::Conformance::Verify { .. } => {
            let detail = "a signature with its certificate alone does not say when it was made: it needs a bundle";
            end(world, &Outcome::refused(Reason::TimeMissing, detail))
        }
    }
}

fn end(world: &World, outcome: &Outcome) -> Ended {
    match outcome {
        Outcome::Verified(_) => {
            world.terminal.result("verified")?;
            Ok(Exit::Done)
        }
        other => Err(refused(other)),
    }
}

fn root(staging: bool, file: Option<&Path>) -> Result<TrustRoot, Failure> {
    let invalid =
        |refusal: lockgate_sigstore::Refusal| Failure::new(Exit::Denied, refusal.reason.code(), refusal.detail);
    match (file, staging) {
        (Some(path), _) => TrustRoot::parse(&read_file(path, ROOT_BYTES)?, &Limits::DEFAULT).map_err(invalid),
        (None, false) => Instance::PublicGood.root().map_err(invalid),
        (None, true) => Err(Failure::usage("TRUST_ROOT_MISSING", "this version does not hold the staging trust root")
            .hint("hand it in with --trusted-root")),
    }
}

fn read_key(path: &Path) -> Result<PublicKey, Failure> {
    let bytes = read_file(path, ROOT_BYTES)?;
    let text = String::from_utf8(bytes).map_err(|_| Failure::usage("KEY_INVALID", "the key is not UTF-8"))?;
    PublicKey::from_pem(&text).map_err(|error| Failure::usage("KEY_INVALID", error.to_string()))
}
