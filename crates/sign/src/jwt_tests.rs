//! Tokens made with fresh keys, and every way to refuse one.

use super::*;
use crate::der;
use crate::public_key::PublicKey;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
    RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
};
use serde_json::json;

const ISSUER: &str = "https://ci.example";
const AUDIENCE: &str = "log1.lockgate.example";
const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

enum Signer {
    Ed25519(Ed25519KeyPair),
    Ecdsa(EcdsaKeyPair, bool),
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
}

impl Signer {
    fn ed25519() -> Self {
        Self::Ed25519(Ed25519KeyPair::generate().unwrap())
    }

    fn key(&self) -> PublicKey {
        match self {
            Self::Ed25519(pair) => PublicKey::from_ed25519(pair.public_key().as_ref().try_into().unwrap()),
            Self::Ecdsa(pair, false) => PublicKey::from_p256_uncompressed(pair.public_key().as_ref()).unwrap(),
            Self::Ecdsa(pair, true) => PublicKey::from_p384_uncompressed(pair.public_key().as_ref()).unwrap(),
            Self::Rsa(pair, _) => {
                // RSAPublicKey (RFC 8017, appendix A.1.1): modulus, then exponent.
                let der = pair.public_key().as_ref().to_vec();
                let mut numbers = der::Reader::new(der::Reader::new(&der).take(der::SEQUENCE).unwrap());
                let modulus = der::positive(numbers.take(der::INTEGER).unwrap()).unwrap();
                let exponent = der::positive(numbers.take(der::INTEGER).unwrap()).unwrap();
                PublicKey::from_rsa_components(modulus, exponent).unwrap()
            }
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Self::Ecdsa(pair, _) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &random, message, &mut signature).unwrap();
                signature
            }
        }
    }

    fn keys(&self) -> Jwks {
        Jwks::new(vec![Jwk::new(Some("k1".to_owned()), self.key())]).unwrap()
    }

    fn token(&self, header: &Value, claims: &Value) -> String {
        self.raw(&header.to_string(), &claims.to_string())
    }

    fn raw(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }
}

fn claims() -> Value {
    let now = NOW.secs();
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "repo:octo/web:ref:refs/heads/main", "jti": "j1",
        "iat": now - 5, "nbf": now - 5, "exp": now + 300, "repository_id": "456", "run": 7, "protected": true,
    })
}

fn header(alg: &str) -> Value {
    json!({ "alg": alg, "kid": "k1", "typ": "JWT" })
}

fn with(mut value: Value, name: &str, member: Value) -> Value {
    value[name] = member;
    value
}

fn without(mut value: Value, name: &str) -> Value {
    value.as_object_mut().unwrap().remove(name);
    value
}

fn expected() -> Expected<'static> {
    Expected { issuer: ISSUER, audience: AUDIENCE, now: NOW, skew: Span::from_secs(30) }
}

#[track_caller]
fn check(signer: &Signer, token: &str, code: &str) {
    let found = match verify(token, &signer.keys(), &expected()) {
        Ok(_) => "accepted",
        Err(error) => error.code(),
    };
    assert_eq!(found, code, "{token}");
}

#[test]
fn every_algorithm_verifies_with_its_own_key_and_no_other() {
    let rsa = || RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let p256 = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let p384 = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let signers = [
        ("RS256", Signer::Rsa(rsa(), &RSA_PKCS1_SHA256)),
        ("ES256", Signer::Ecdsa(p256, false)),
        ("ES384", Signer::Ecdsa(p384, true)),
        ("EdDSA", Signer::ed25519()),
    ];
    for (alg, signer) in &signers {
        check(signer, &signer.token(&header(alg), &claims()), "accepted");
        for (other_alg, other) in &signers {
            if alg != other_alg {
                // The token names the other algorithm, or the other key is the pinned one.
                check(signer, &signer.token(&header(other_alg), &claims()), "TOKEN_KEY_UNTRUSTED");
                check(other, &signer.token(&header(alg), &claims()), "TOKEN_KEY_UNTRUSTED");
            }
        }
    }
    let pss = Signer::Rsa(rsa(), &RSA_PSS_SHA256);
    let token = pss.token(&header("PS256"), &claims());
    check(&pss, &token, "TOKEN_KEY_UNTRUSTED");
    let keys = Jwks::new(vec![Jwk::new(Some("k1".to_owned()), pss.key().with_rsa_pss().unwrap())]).unwrap();
    assert!(verify(&token, &keys, &expected()).is_ok());
}

#[test]
fn the_key_never_comes_from_the_token() {
    let signer = Signer::ed25519();
    let unsigned =
        format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), URL_SAFE_NO_PAD.encode(claims().to_string()));
    check(&signer, &unsigned, "TOKEN_KEY_UNTRUSTED");
    for alg in ["none", "None", "NONE", "HS256", "RS256", "ES256", ""] {
        check(&signer, &signer.token(&header(alg), &claims()), "TOKEN_KEY_UNTRUSTED");
    }
    for name in ["jwk", "jku", "x5u", "x5c", "crit"] {
        for value in [json!("https://evil.example/keys"), json!(["exp"]), json!(null)] {
            let header = with(header("EdDSA"), name, value);
            check(&signer, &signer.token(&header, &claims()), "TOKEN_KEY_UNTRUSTED");
        }
    }
    // The key id of a trusted key, other key material.
    check(&signer, &Signer::ed25519().token(&header("EdDSA"), &claims()), "TOKEN_KEY_UNTRUSTED");
    // An unknown key id is told apart, so that the caller may ask the issuer again.
    let other = signer.token(&with(header("EdDSA"), "kid", json!("k2")), &claims());
    assert_eq!(verify(&other, &signer.keys(), &expected()), Err(JwtError::KeyUnknown));
    // Without a key id, only where the issuer has one key.
    let nameless = signer.token(&without(header("EdDSA"), "kid"), &claims());
    check(&signer, &nameless, "accepted");
    let second = Jwk::new(Some("k2".to_owned()), Signer::ed25519().key());
    let two = Jwks::new(vec![Jwk::new(Some("k1".to_owned()), signer.key()), second]).unwrap();
    assert_eq!(verify(&nameless, &two, &expected()).unwrap_err().code(), "TOKEN_KEY_UNTRUSTED");
}

#[test]
fn the_signature_covers_every_byte() {
    let signer = Signer::ed25519();
    let good = signer.token(&header("EdDSA"), &claims());
    let parts: Vec<&str> = good.split('.').collect();
    let raised = URL_SAFE_NO_PAD.encode(with(claims(), "repository_id", json!("457")).to_string());
    check(&signer, &format!("{}.{raised}.{}", parts[0], parts[2]), "TOKEN_KEY_UNTRUSTED");
    let retyped = URL_SAFE_NO_PAD.encode(r#"{"alg":"EdDSA","kid":"k1"}"#);
    check(&signer, &format!("{retyped}.{}.{}", parts[1], parts[2]), "TOKEN_KEY_UNTRUSTED");
    check(&signer, &format!("{}.{}.", parts[0], parts[1]), "TOKEN_KEY_UNTRUSTED");
}

#[test]
fn only_the_strict_form_is_read() {
    let signer = Signer::ed25519();
    let good = signer.token(&header("EdDSA"), &claims());
    let parts: Vec<&str> = good.split('.').collect();
    let broken = [
        String::new(),
        "..".to_owned(),
        parts[0].to_owned(),
        format!("{}.{}", parts[0], parts[1]),
        format!("{good}.x"),
        format!("{good}="),
        format!(" {good}"),
        format!("{good}\n"),
        good.replacen('.', "=.", 1),
        ".".repeat(100),
        "a".repeat(TOKEN_MAX_BYTES + 1),
        format!("{}.{}.{}", parts[0], parts[1], "A".repeat(TOKEN_MAX_BYTES)),
        signer.raw("[]", &claims().to_string()),
        signer.raw(r#"{"alg":"EdDSA","alg":"EdDSA","kid":"k1"}"#, &claims().to_string()),
        signer.raw(r#"{"kid":"k1"}"#, &claims().to_string()),
        signer.raw(r#"{"alg":1,"kid":"k1"}"#, &claims().to_string()),
        signer.raw(r#"{"alg":"EdDSA","kid":1}"#, &claims().to_string()),
        signer.token(&header("EdDSA"), &json!("a text")),
        signer.raw(&header("EdDSA").to_string(), r#"{"iss":"a","iss":"b"}"#),
        signer.raw(&header("EdDSA").to_string(), "not json"),
        signer.token(&with(header("EdDSA"), "enc", json!("A256GCM")), &claims()),
        signer.token(&with(header("EdDSA"), "b64", json!(false)), &claims()),
        signer.token(&with(header("EdDSA"), "cty", json!("JWT")), &claims()),
        signer.token(&header("EdDSA"), &with(claims(), "exp", json!(1_800_000_300.5))),
        signer.token(&header("EdDSA"), &with(claims(), "exp", json!("1800000300"))),
        signer.token(&header("EdDSA"), &with(claims(), "exp", json!(-1))),
        signer.token(&header("EdDSA"), &with(claims(), "nbf", json!(null))),
        signer.token(&header("EdDSA"), &without(claims(), "exp")),
        signer.token(&header("EdDSA"), &without(claims(), "iat")),
    ];
    for token in &broken {
        check(&signer, token, "TOKEN_MALFORMED");
    }
    for typ in [json!("at+jwt"), json!("logout+jwt"), json!(1)] {
        check(&signer, &signer.token(&with(header("EdDSA"), "typ", typ), &claims()), "TOKEN_AUDIENCE");
    }
    check(&signer, &signer.token(&without(header("EdDSA"), "typ"), &claims()), "accepted");
    // GitHub's own tokens carry the thumbprint of a certificate, which is not looked at.
    check(&signer, &signer.token(&with(header("EdDSA"), "x5t", json!("AAAA")), &claims()), "accepted");
}

#[test]
fn registered_claims_are_exact() {
    let signer = Signer::ed25519();
    let said = |name: &str, value: Value, code: &str| {
        check(&signer, &signer.token(&header("EdDSA"), &with(claims(), name, value)), code);
    };
    for issuer in
        ["https://ci.example/", "https://CI.example", "http://ci.example", "https://ci.example.evil.example", ""]
    {
        said("iss", json!(issuer), "TOKEN_ISSUER");
    }
    said("iss", json!([ISSUER]), "TOKEN_ISSUER");
    said("aud", json!([AUDIENCE]), "accepted");
    for audience in [
        json!("other"),
        json!(AUDIENCE.to_uppercase()),
        json!([]),
        json!([AUDIENCE, "other"]),
        json!([AUDIENCE, AUDIENCE]),
        json!({ "aud": AUDIENCE }),
        json!(null),
    ] {
        said("aud", audience, "TOKEN_AUDIENCE");
    }
    check(&signer, &signer.token(&header("EdDSA"), &without(claims(), "aud")), "TOKEN_AUDIENCE");
    let now = NOW.secs();
    said("exp", json!(now - 29), "accepted");
    said("exp", json!(now - 30), "TOKEN_EXPIRED");
    said("exp", json!(now - 31), "TOKEN_EXPIRED");
    said("nbf", json!(now + 30), "accepted");
    said("nbf", json!(now + 31), "TOKEN_NOT_YET_VALID");
    said("iat", json!(now + 30), "accepted");
    said("iat", json!(now + 31), "TOKEN_NOT_YET_VALID");
    said("exp", json!(now - 5 + 24 * 3600), "accepted");
    said("exp", json!(now - 4 + 24 * 3600), "TOKEN_LIFETIME");
}

#[test]
fn claims_are_compared_one_by_one() {
    let signer = Signer::ed25519();
    let claims = verify(&signer.token(&header("EdDSA"), &claims()), &signer.keys(), &expected()).unwrap();
    assert!(claims.is("repository_id", "456") && claims.is("run", "7") && claims.is("protected", "true"));
    for (name, wanted) in [("repository_id", "45"), ("repository_id", "4567"), ("run", "07"), ("missing", "")] {
        assert!(!claims.is(name, wanted), "{name} {wanted}");
    }
    assert_eq!((claims.issuer(), claims.token_id()), (Some(ISSUER), Some("j1")));
    assert_eq!((claims.integer("run"), claims.boolean("protected"), claims.texts("run")), (Some(7), Some(true), None));
    assert_eq!(claims.expires_at().secs(), NOW.secs() + 300);
}
