//! The public conformance cases of Sigstore clients, for the file and for its digest.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use lockgate_model::{Digest, Limits};
use lockgate_sign::PublicKey;

use crate::bundle::Bundle;
use crate::outcome::{Outcome, Reason, Refusal};
use crate::root::TrustRoot;
use crate::verifier::{BundleVerifier, Expected, OfflineVerifier, Subject};

const IDENTITY: &str = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main";
const ISSUER: &str = "https://token.actions.githubusercontent.com";

#[expect(clippy::disallowed_methods, reason = "tests find their vectors through the environment")]
fn vectors() -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors");
    let root = std::env::var("LOCKGATE_VECTORS").unwrap_or_else(|_| default.to_owned());
    let dir = Path::new(&root).join("sigstore-conformance");
    if dir.is_dir() {
        return Some(dir);
    }
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "no vectors in {}", dir.display());
    eprintln!("no Sigstore vectors in {}: nothing was checked", dir.display());
    None
}

fn text(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// One case, as its README says it has to be read.
fn run(dir: &Path, root: &TrustRoot, by_digest: bool) -> Result<Outcome, Refusal> {
    let root = match fs::read(dir.join("trusted_root.json")) {
        Ok(bytes) => TrustRoot::parse(&bytes, &Limits::DEFAULT)?,
        Err(_) => root.clone(),
    };
    let bundle = Bundle::parse(&fs::read(dir.join("bundle.sigstore.json")).unwrap(), &Limits::DEFAULT)?;
    let artifact = fs::read(dir.join("artifact")).or_else(|_| fs::read(dir.join("../a.txt"))).unwrap();
    let digest = Digest::of(&artifact);
    let subject = if by_digest { Subject::Digest(digest) } else { Subject::Bytes(&artifact) };
    let verifier = OfflineVerifier::new(&root)?;
    let name = text(&dir.join("identity")).unwrap_or_else(|| IDENTITY.to_owned());
    let issuer = text(&dir.join("issuer")).unwrap_or_else(|| ISSUER.to_owned());
    let key = fs::read_to_string(dir.join("key.pub")).ok();
    let key = key.map(|pem| PublicKey::from_pem(&pem)).transpose();
    let key = key.map_err(|error| Refusal::new(Reason::Malformed, error))?;
    let expected = match &key {
        Some(key) => Expected::Key(key),
        None => Expected::Identity { name: &name, issuer: &issuer },
    };
    Ok(verifier.verify(&bundle, subject, expected))
}

#[test]
fn sigstore_conformance_vectors() {
    let Some(dir) = vectors() else { return };
    let root = fs::read(dir.join("trusted_root_public_good.json")).unwrap();
    let root = TrustRoot::parse(&root, &Limits::DEFAULT).unwrap();
    let mut cases: Vec<PathBuf> =
        fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    cases.sort();
    let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
    let (mut accepted, mut refused, mut wrong) = (0, 0, Vec::new());
    for case in &cases {
        let name = case.file_name().unwrap().to_str().unwrap();
        for by_digest in [false, true] {
            let outcome = run(case, &root, by_digest).unwrap_or_else(Outcome::from);
            let form = if by_digest { "digest" } else { "file" };
            let detail = outcome.refusal().map(ToString::to_string).unwrap_or_default();
            let (class, code) = (outcome.class().as_str(), outcome.code());
            println!("vectors | sigstore-conformance | {name} ({form}) | {class}: {code}");
            *counts.entry(outcome.class().as_str()).or_default() += 1;
            let good = matches!(outcome, Outcome::Verified(_));
            if good {
                accepted += 1;
            } else {
                refused += 1;
            }
            if good == name.ends_with("_fail") {
                wrong.push(format!("{name} ({form}): {} {detail}", outcome.code()));
            }
        }
    }
    eprintln!("{} cases, {} results: {accepted} accepted, {refused} refused", cases.len(), accepted + refused);
    for (class, count) in &counts {
        eprintln!("  {class:18} {count}");
    }
    eprintln!("{} as expected, {} not", accepted + refused - wrong.len(), wrong.len());
    assert!(!cases.is_empty());
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(accepted > 0 && refused > 0);
}

#[test]
fn signed_by_someone_else_is_told_from_not_signed_vectors() {
    let Some(dir) = vectors() else { return };
    let root = fs::read(dir.join("trusted_root_public_good.json")).unwrap();
    let verifier = OfflineVerifier::new(&TrustRoot::parse(&root, &Limits::DEFAULT).unwrap()).unwrap();
    let bytes = fs::read(dir.join("happy-path-v0.3/bundle.sigstore.json")).unwrap();
    let bundle = Bundle::parse(&bytes, &Limits::DEFAULT).unwrap();
    let artifact = fs::read(dir.join("a.txt")).unwrap();
    let check = |subject: Subject<'_>, expected: Expected<'_>, code: &str| {
        assert_eq!(verifier.verify(&bundle, subject, expected).code(), code);
    };
    let whole = Subject::Bytes(&artifact);
    let by = |name: &'static str, issuer: &'static str| Expected::Identity { name, issuer };
    check(whole, by(IDENTITY, ISSUER), "SIGNATURE_VERIFIED");
    check(whole, Expected::AnyIdentity, "SIGNATURE_VERIFIED");
    check(whole, by("dana@example.com", ISSUER), "SIGNER_MISMATCH");
    check(whole, by(IDENTITY, "https://accounts.example"), "SIGNER_MISMATCH");
    let key = lockgate_sign::AttestationKey::generate().unwrap();
    check(whole, Expected::Key(key.public()), "SIGNATURE_TYPE");
    let other = verifier.verify(&bundle, Subject::Bytes(b"other"), Expected::AnyIdentity);
    assert!(!other.class().proves_signer());
    let Outcome::Verified(signed) = verifier.verify(&bundle, whole, Expected::AnyIdentity) else { panic!() };
    let identity = signed.identity.unwrap();
    assert_eq!((identity.name.as_str(), identity.issuer.as_str()), (IDENTITY, ISSUER));
    assert!(identity.claims.contains_key("source_repository_uri"));
}

#[test]
fn a_certificate_without_a_proof_of_time_is_told_from_what_does_not_read_vectors() {
    let Some(dir) = vectors() else { return };
    let root = fs::read(dir.join("trusted_root_public_good.json")).unwrap();
    let verifier = OfflineVerifier::new(&TrustRoot::parse(&root, &Limits::DEFAULT).unwrap()).unwrap();
    let bytes = fs::read(dir.join("happy-path-v0.3/bundle.sigstore.json")).unwrap();
    let artifact = fs::read(dir.join("a.txt")).unwrap();
    let mut bundle: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    let material = bundle["verificationMaterial"].as_object_mut().unwrap();
    material.remove("tlogEntries").unwrap();
    material.remove("timestampVerificationData");
    let check = |bundle: &serde_json::Value| {
        let read = Bundle::parse(bundle.to_string().as_bytes(), &Limits::DEFAULT).unwrap();
        for subject in [Subject::Bytes(&artifact), Subject::Digest(Digest::of(&artifact))] {
            let outcome = verifier.verify(&read, subject, Expected::AnyIdentity);
            assert_eq!((outcome.class().as_str(), outcome.code()), ("without-time", "TIME_MISSING"));
        }
    };
    check(&bundle);
    bundle["verificationMaterial"]["tlogEntries"] = serde_json::json!([]);
    check(&bundle);
    bundle["verificationMaterial"]["timestampVerificationData"] = serde_json::json!({ "rfc3161Timestamps": [] });
    check(&bundle);
}

#[test]
fn a_timestamp_of_a_stranger_is_told_from_a_broken_one_vectors() {
    let Some(dir) = vectors() else { return };
    let artifact = fs::read(dir.join("a.txt")).unwrap();
    let root_of =
        |name: &str| -> serde_json::Value { serde_json::from_slice(&fs::read(dir.join(name)).unwrap()).unwrap() };
    let check = |case: &str, root: &serde_json::Value, class: &str, code: &str| {
        let root = TrustRoot::parse(root.to_string().as_bytes(), &Limits::DEFAULT).unwrap();
        let bytes = fs::read(dir.join(case).join("bundle.sigstore.json")).unwrap();
        let bundle = Bundle::parse(&bytes, &Limits::DEFAULT).unwrap();
        let verifier = OfflineVerifier::new(&root).unwrap();
        let outcome = verifier.verify(&bundle, Subject::Bytes(&artifact), Expected::AnyIdentity);
        assert_eq!((outcome.class().as_str(), outcome.code()), (class, code), "{case}");
        outcome
    };
    let own = root_of("rekor2-happy-path/trusted_root.json");
    check("rekor2-happy-path", &own, "verified", "SIGNATURE_VERIFIED");
    let other = root_of("trusted_root_public_good.json");
    let stranger = check("rekor2-happy-path", &other, "untrusted-root", "CHAIN_UNTRUSTED");
    let refusal = stranger.refusal().unwrap();
    assert!(refusal.reason.next_step().contains("pin its trust root"), "{refusal}");
    let mut none = own.clone();
    none["timestampAuthorities"] = serde_json::json!([]);
    check("rekor2-happy-path", &none, "untrusted-root", "CHAIN_UNTRUSTED");

    // A timestamp of other bytes is broken under whichever root.
    for root in [&own, &other] {
        check("rekor2-timestamp-payload-mismatch_fail", root, "signature-invalid", "TIME_INVALID");
    }
    // One by an authority of the root that had expired is no stranger's, wherever that authority stands among others.
    let case = "rekor2-timestamp-outside-tsa-cert-validity_fail";
    let mut root = root_of(&format!("{case}/trusted_root.json"));
    let expired = root["timestampAuthorities"][0].clone();
    let another = own["timestampAuthorities"][0].clone();
    for authorities in [vec![expired.clone()], vec![expired.clone(), another.clone()], vec![another, expired]] {
        root["timestampAuthorities"] = serde_json::json!(authorities);
        check(case, &root, "signature-invalid", "TIME_INVALID");
    }
}
