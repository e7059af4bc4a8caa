//! Project Wycheproof's signatures, through our own wrappers.

use std::path::PathBuf;

use lockgate_sign::{PublicKey, PublicKeyError};
use serde_json::Value;

/// How one kind of file names its key and is verified.
#[derive(Clone, Copy)]
enum Family {
    EcdsaDer,
    EcdsaP1363,
    Ed25519,
    RsaPkcs1,
    RsaPss,
}

impl Family {
    const ALL: [Self; 5] = [Self::EcdsaDer, Self::EcdsaP1363, Self::Ed25519, Self::RsaPkcs1, Self::RsaPss];

    fn schema(self) -> &'static str {
        match self {
            Self::EcdsaDer => "ecdsa_verify_schema_v1.json",
            Self::EcdsaP1363 => "ecdsa_p1363_verify_schema_v1.json",
            Self::Ed25519 => "eddsa_verify_schema_v1.json",
            Self::RsaPkcs1 => "rsassa_pkcs1_verify_schema_v1.json",
            Self::RsaPss => "rsassa_pss_verify_schema_v1.json",
        }
    }

    fn key(self, spki: &[u8]) -> Result<PublicKey, PublicKeyError> {
        match self {
            Self::RsaPss => PublicKey::from_spki_der(spki)?.with_rsa_pss(),
            Self::EcdsaDer | Self::EcdsaP1363 | Self::Ed25519 | Self::RsaPkcs1 => PublicKey::from_spki_der(spki),
        }
    }

    fn verifies(self, key: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::EcdsaP1363 => key.verify_p1363(message, signature).is_ok(),
            Self::EcdsaDer | Self::Ed25519 | Self::RsaPkcs1 | Self::RsaPss => key.verify(message, signature).is_ok(),
        }
    }
}

/// The folder of the vectors, or `None` when it is missing outside of CI.
#[expect(clippy::disallowed_methods, reason = "tests find their vectors through the environment")]
fn folder() -> Option<PathBuf> {
    let root = std::env::var("LOCKGATE_VECTORS")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors").to_owned());
    let folder = PathBuf::from(root).join("wycheproof");
    if folder.is_dir() {
        return Some(folder);
    }
    let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(!in_ci, "no vectors in {}: set LOCKGATE_VECTORS", folder.display());
    eprintln!("skipped: no vectors in {}", folder.display());
    None
}

fn documents() -> Vec<(String, Value)> {
    let Some(folder) = folder() else { return Vec::new() };
    let mut documents = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let document: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            documents.push((path.file_name().unwrap().to_string_lossy().into_owned(), document));
        }
    }
    documents.sort_by(|a, b| a.0.cmp(&b.0));
    documents
}

fn bytes(value: &Value) -> Vec<u8> {
    let digits = value.as_str().unwrap();
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

fn check(family: Family) {
    let documents = documents();
    if documents.is_empty() {
        return;
    }
    let mut valid = 0;
    let mut refused = 0;
    for (name, document) in documents.iter().filter(|(_, document)| document["schema"] == family.schema()) {
        let (valid_before, refused_before) = (valid, refused);
        for group in document["testGroups"].as_array().unwrap() {
            let key = family.key(&bytes(&group["publicKeyDer"]));
            for case in group["tests"].as_array().unwrap() {
                let (message, signature) = (bytes(&case["msg"]), bytes(&case["sig"]));
                let verified = key.as_ref().is_ok_and(|key| family.verifies(key, &message, &signature));
                // "acceptable" cases are lax encodings: a strict verifier refuses them like the invalid ones.
                let expected = case["result"] == "valid";
                assert_eq!(verified, expected, "{name}: case {} ({})", case["tcId"], case["comment"]);
                match expected {
                    true => valid += 1,
                    false => refused += 1,
                }
            }
        }
        let (accepted, refused) = (valid - valid_before, refused - refused_before);
        println!("vectors | wycheproof | {name} | {accepted} accepted, {refused} refused");
    }
    assert!(valid > 0 && refused > 0, "no cases for {}", family.schema());
}

#[test]
fn wycheproof_vectors_ecdsa_der() {
    check(Family::EcdsaDer);
}

#[test]
fn wycheproof_vectors_ecdsa_p1363() {
    check(Family::EcdsaP1363);
}

#[test]
fn wycheproof_vectors_ed25519() {
    check(Family::Ed25519);
}

#[test]
fn wycheproof_vectors_rsa_pkcs1() {
    check(Family::RsaPkcs1);
}

#[test]
fn wycheproof_vectors_rsa_pss() {
    check(Family::RsaPss);
}

#[test]
fn wycheproof_vectors_are_all_used() {
    let documents = documents();
    let known = |document: &Value| Family::ALL.iter().any(|family| document["schema"] == family.schema());
    let mut used = 0;
    for (name, document) in &documents {
        // ML-DSA is not implemented yet.
        assert!(known(document) || name.starts_with("mldsa"), "{name} is not used by any test");
        used += usize::from(known(document));
    }
    eprintln!("{used} of {} files used", documents.len());
    assert!(documents.is_empty() || used > 0);
}
