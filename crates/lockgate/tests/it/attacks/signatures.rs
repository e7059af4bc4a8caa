//! The targets `signature`, `minisign` and `image-signature`: signatures that other tools made, verified under what is pinned.
//!
//! The bundles are of an instance of Sigstore that was made for these cases alone. They stand in
//! `tests/attacks/base/sigstore`, with the roots of two instances and one key. Detached signatures stand in their cases.

use lockgate_ledger::entry::EvidenceForm;
use lockgate_ledger::signed::proven;
use lockgate_model::Digest;
use lockgate_policy::PolicySet;
use lockgate_sign::public_key::PublicKey;
use lockgate_sigstore::minisign::{MinisignKey, MinisignSignature};
use lockgate_sigstore::{
    Bundle, BundleVerifier as _, Expected, ImageSignature, OfflineVerifier, Outcome, Refusal, Subject, TrustRoot,
};
use serde_json::Value;

use super::{Answer, LIMITS, bytes, folder, read, text};
use crate::attack_steps::set;
use crate::instance::artifact;

/// Whom the certificate of a good bundle names, and who vouches for that.
const IDENTITY: &str = "https://git.example/shop/web/.ci/release.yml@refs/heads/main";
const ISSUER: &str = "https://token.ci.example";
/// The version whose artifact good bundles are about.
const VERSION: &str = "1.4.2";

fn base(name: &str) -> String {
    read(&folder().join("base/sigstore").join(name))
}

/// Verifies a bundle about the artifact of [`VERSION`], as the input says.
pub fn verify(input: &Value) -> Result<(), Answer> {
    let outcome = outcome(input).unwrap_or_else(Outcome::from);
    let counts = match &outcome {
        Outcome::Verified(_) => true,
        Outcome::WithoutLog(_) => input["without_log"] == true,
        _ => false,
    };
    let detail = || outcome.refusal().map(ToString::to_string).unwrap_or_default();
    if counts { Ok(()) } else { Err(Answer::refused(outcome.code(), detail())) }
}

/// Verifies a detached signature about the artifact of [`VERSION`] with a pinned key, as a decision does.
pub fn verify_minisign(input: &Value) -> Result<(), Answer> {
    let key = MinisignKey::parse(&text(&input["key"])).unwrap();
    let refused = |refusal: Refusal| Answer::refused(refusal.reason.code(), refusal);
    let signature = MinisignSignature::parse(&text(&input["signature"])).map_err(refused)?;
    let outcome = signature.verify_comment(&key);
    if let Some(refusal) = outcome.refusal() {
        return Err(Answer::refused(outcome.code(), refusal));
    }
    let version = input["artifact"].as_str().unwrap_or(VERSION);
    match signature.subject() == Some(Digest::of(&artifact(version))) {
        true => Ok(()),
        false => Err(Answer::refused("SUBJECT_MISMATCH", "about another artifact")),
    }
}

/// Verifies an image's signature about the artifact of [`VERSION`] under a policy set that pins a key, as a decision does.
pub fn verify_image(input: &Value) -> Result<(), Answer> {
    let mut files = PolicySet::starter("starter").unwrap();
    let key = text(&input["key"]);
    let trust = format!("[[signer]]\nname = \"own\"\nkey = \"\"\"\n{key}\"\"\"\nsigns = [\"signature\"]\n");
    files.insert("trust.toml".to_owned(), trust);
    let policy = PolicySet::from_files(files).unwrap_or_else(|errors| panic!("{errors:#?}"));
    let signature = text(&input["signature"]).into_bytes();
    let image = ImageSignature::parse(&signature, LIMITS)
        .map_err(|refusal| Answer::refused(refusal.reason.code(), refusal))?
        .image;
    let (signers, fact) = proven(&EvidenceForm::ImageSignature, &signature, &policy).unwrap();
    if signers.is_empty() {
        return Err(Answer::refused(&fact.code, "nobody who is pinned signed it"));
    }
    let version = input["artifact"].as_str().unwrap_or(VERSION);
    match image == Digest::of(&artifact(version)) {
        true => Ok(()),
        false => Err(Answer::refused("SUBJECT_MISMATCH", "about another image")),
    }
}

fn outcome(input: &Value) -> Result<Outcome, Refusal> {
    let root = TrustRoot::parse(&changed(&input["root"], "root.json", &input["set_root"]), LIMITS)?;
    let verifier = OfflineVerifier::new(&root)?;
    let bundle = Bundle::parse(&changed(&input["bundle"], "bundle.json", &input["set"]), LIMITS)?;
    let version = input["artifact"].as_str().unwrap_or(VERSION);
    let artifact = artifact(version);
    let subject = Subject::Bytes(&artifact);
    let (name, issuer) = (input["identity"].as_str().unwrap_or(IDENTITY), input["issuer"].as_str().unwrap_or(ISSUER));
    Ok(match input["key"].as_str() {
        Some(key) => verifier.verify(&bundle, subject, Expected::Key(&PublicKey::from_pem(&base(key)).unwrap())),
        None => verifier.verify(&bundle, subject, Expected::Identity { name, issuer }),
    })
}

/// A file of the base, or `{"is": bytes}`, changed at JSON pointers; `{"from": [file, pointer]}` is a part of another.
fn changed(given: &Value, usual: &str, changes: &Value) -> Vec<u8> {
    if !given["is"].is_null() {
        return bytes(&given["is"]);
    }
    let name = if given.is_null() { usual.to_owned() } else { text(given) };
    let mut document: Value = serde_json::from_str(&base(&name)).unwrap();
    for (at, change) in changes.as_object().into_iter().flatten() {
        let change = match change["from"].as_array() {
            Some(place) => {
                let other: Value = serde_json::from_str(&base(&text(&place[0]))).unwrap();
                other.pointer(&text(&place[1])).unwrap().clone()
            }
            None => change.clone(),
        };
        set(&mut document, at, &change);
    }
    document.to_string().into_bytes()
}
