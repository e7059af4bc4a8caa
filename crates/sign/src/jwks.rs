//! JSON Web Key Sets (RFC 7517, RFC 7518 section 6, RFC 8037): the public keys that an issuer of tokens publishes.
//!
//! Where the document comes from is the caller's business; nothing here follows an address. Certificates in a key
//! (`x5c`, `x5u`) are not looked at: the key itself counts, because of whom it was fetched from.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lockgate_model::Limits;
use lockgate_model::json::{self, Numbers};
use serde_json::{Map, Value};

use crate::public_key::{Algorithm, PublicKey};

/// The longest key set that is read, in bytes.
pub const JWKS_MAX_BYTES: usize = 256 * 1024;
/// The most keys of one set.
pub const JWKS_MAX_KEYS: usize = 64;
/// The longest key id, in bytes.
const KEY_ID_MAX_BYTES: usize = 256;

/// Why bytes are not an acceptable key set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwksError {
    /// Over the size limit.
    #[error("a key set of {0} bytes is over the limit of {max}", max = JWKS_MAX_BYTES)]
    TooLarge(usize),
    /// More keys than are read.
    #[error("a key set of {0} keys is over the limit of {max}", max = JWKS_MAX_KEYS)]
    TooMany(usize),
    /// Not JSON, or not a key set.
    #[error("not a key set: {0}")]
    Malformed(String),
    /// Two keys that a token could not tell apart.
    #[error("the key set has two keys of one kind with the key id `{0}`")]
    Ambiguous(String),
    /// None of the keys can verify a signature here.
    #[error("the key set has no key for RS256, PS256, ES256, ES384 or EdDSA")]
    Empty,
}

/// One key of a set, with the only `alg` that its tokens may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jwk {
    kid: Option<String>,
    alg: &'static str,
    key: PublicKey,
}

impl Jwk {
    /// Pins a key that did not come out of a key set document.
    pub fn new(kid: Option<String>, key: PublicKey) -> Self {
        let alg = match key.algorithm() {
            Algorithm::RsaPkcs1Sha256 => "RS256",
            Algorithm::RsaPssSha256 => "PS256",
            Algorithm::EcdsaP256Sha256 => "ES256",
            Algorithm::EcdsaP384Sha384 => "ES384",
            Algorithm::Ed25519 => "EdDSA",
        };
        Self { kid, alg, key }
    }

    /// The key id, if the issuer gave it one.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The `alg` (RFC 7518, section 3.1; RFC 8037, section 3.1) that follows from the key.
    pub fn alg(&self) -> &'static str {
        self.alg
    }

    /// The key.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }
}

/// The keys of one issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jwks {
    keys: Vec<Jwk>,
}

impl Jwks {
    /// Reads a key set document.
    ///
    /// A key of another kind or for another use is left out, as RFC 7517, section 5 asks; so are symmetric keys, and
    /// keys whose private half was published with them.
    ///
    /// # Errors
    /// [`JwksError`]: over the limits, not a key set, two keys that cannot be told apart, or no usable key.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, JwksError> {
        if bytes.len() > JWKS_MAX_BYTES {
            return Err(JwksError::TooLarge(bytes.len()));
        }
        let limits = Limits { json_depth: 8, json_keys: 256, json_items: 256, ..Limits::DEFAULT };
        let document = json::read(bytes, &limits, Numbers::Any).map_err(|error| JwksError::Malformed(error.message))?;
        let listed = document
            .get("keys")
            .and_then(Value::as_array)
            .ok_or_else(|| JwksError::Malformed("it has no array `keys`".to_owned()))?;
        if listed.len() > JWKS_MAX_KEYS {
            return Err(JwksError::TooMany(listed.len()));
        }
        Self::new(listed.iter().filter_map(Value::as_object).filter_map(read_key).collect())
    }

    /// A set of pinned keys.
    ///
    /// # Errors
    /// [`JwksError::Ambiguous`] or [`JwksError::Empty`].
    pub fn new(keys: Vec<Jwk>) -> Result<Self, JwksError> {
        for (position, key) in keys.iter().enumerate() {
            let same = |other: &Jwk| other.kid == key.kid && other.alg == key.alg;
            if keys.iter().take(position).any(same) {
                return Err(JwksError::Ambiguous(key.kid.clone().unwrap_or_default()));
            }
        }
        match keys.is_empty() {
            true => Err(JwksError::Empty),
            false => Ok(Self { keys }),
        }
    }

    /// Every key.
    pub fn keys(&self) -> &[Jwk] {
        &self.keys
    }

    /// Whether a key with this id is in the set.
    pub fn holds(&self, kid: &str) -> bool {
        self.keys.iter().any(|key| key.kid() == Some(kid))
    }
}

/// One key, or nothing when it is not one that can verify tokens here.
fn read_key(jwk: &Map<String, Value>) -> Option<Jwk> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    // A member that is there must be a text; `"use": 1` is no permission.
    let fits = |name: &str, wanted: &[&str]| match jwk.get(name) {
        None => true,
        Some(value) => value.as_str().is_some_and(|value| wanted.contains(&value)),
    };
    if !fits("use", &["sig"]) || jwk.contains_key("d") {
        return None;
    }
    if let Some(operations) = jwk.get("key_ops") {
        operations.as_array()?.iter().find(|operation| operation.as_str() == Some("verify"))?;
    }
    let kid = match jwk.get("kid") {
        None => None,
        Some(kid) => Some(kid.as_str().filter(|kid| !kid.is_empty() && kid.len() <= KEY_ID_MAX_BYTES)?.to_owned()),
    };
    let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).ok();
    let (key, names): (PublicKey, &[&str]) = match text("kty")? {
        "RSA" => {
            let key = PublicKey::from_rsa_components(&bytes("n")?, &bytes("e")?).ok()?;
            match text("alg") {
                Some("PS256") => (key.with_rsa_pss().ok()?, &["PS256"]),
                _ => (key, &["RS256"]),
            }
        }
        "EC" => match text("crv")? {
            "P-256" => (PublicKey::from_p256_uncompressed(&point(&bytes("x")?, &bytes("y")?, 32)?).ok()?, &["ES256"]),
            "P-384" => (PublicKey::from_p384_uncompressed(&point(&bytes("x")?, &bytes("y")?, 48)?).ok()?, &["ES384"]),
            _ => return None,
        },
        "OKP" => {
            let raw: [u8; 32] = (text("crv")? == "Ed25519").then(|| bytes("x"))??.try_into().ok()?;
            (PublicKey::from_ed25519(raw), &["EdDSA", "Ed25519"])
        }
        _ => return None,
    };
    fits("alg", names).then(|| Jwk::new(kid, key))
}

/// `04 || X || Y`: both coordinates at full width (RFC 7518, sections 6.2.1.2 and 6.2.1.3).
fn point(x: &[u8], y: &[u8], width: usize) -> Option<Vec<u8>> {
    if x.len() != width || y.len() != width {
        return None;
    }
    let mut point = Vec::with_capacity(1 + 2 * width);
    point.push(0x04);
    point.extend_from_slice(x);
    point.extend_from_slice(y);
    Some(point)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
    use serde_json::json;

    fn b64(bytes: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn p256() -> Value {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let point = pair.public_key().as_ref().to_vec();
        json!({ "kty": "EC", "crv": "P-256", "kid": "ec", "use": "sig", "x": b64(&point[1..33]), "y": b64(&point[33..]) })
    }

    fn ed25519() -> Value {
        let pair = Ed25519KeyPair::generate().unwrap();
        json!({ "kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": b64(pair.public_key().as_ref()) })
    }

    fn read(keys: &[Value]) -> Result<Jwks, JwksError> {
        Jwks::from_bytes(json!({ "keys": keys }).to_string().as_bytes())
    }

    fn with(mut key: Value, name: &str, value: Value) -> Value {
        key[name] = value;
        key
    }

    #[test]
    fn the_algorithm_follows_from_the_key() {
        let rsa = json!({ "kty": "RSA", "kid": "rsa", "n": b64(&[0xc5; 256]), "e": "AQAB" });
        let set = read(&[p256(), ed25519(), rsa.clone()]).unwrap();
        let algs: Vec<_> = set.keys().iter().map(|key| (key.kid().unwrap(), key.alg())).collect();
        assert_eq!(algs, [("ec", "ES256"), ("ed", "EdDSA"), ("rsa", "RS256")]);
        assert_eq!(read(&[with(rsa.clone(), "alg", json!("PS256"))]).unwrap().keys()[0].alg(), "PS256");
        assert!(set.holds("ed") && !set.holds("Ed"));
    }

    #[test]
    fn what_cannot_verify_is_left_out() {
        let rsa = |bytes: usize, e: &str| json!({ "kty": "RSA", "kid": "rsa", "n": b64(&vec![0xc5; bytes]), "e": e });
        let unusable = [
            with(p256(), "use", json!("enc")),
            with(p256(), "use", json!(1)),
            with(p256(), "alg", json!("ES384")),
            with(p256(), "alg", json!("none")),
            with(p256(), "key_ops", json!(["sign"])),
            with(p256(), "d", json!("AAAA")),
            with(p256(), "x", json!(b64(&[1; 31]))),
            with(p256(), "y", json!(b64(&[1; 32]))),
            with(p256(), "crv", json!("secp256k1")),
            with(p256(), "kid", json!("k".repeat(257))),
            with(ed25519(), "crv", json!("X25519")),
            with(ed25519(), "x", json!(format!("{}=", ed25519()["x"].as_str().unwrap()))),
            rsa(128, "AQAB"),
            rsa(256, "AQ"),
            rsa(256, "Ag"),
            rsa(256, "AAEAAQ"),
            with(rsa(256, "AQAB"), "alg", json!("RS512")),
            json!({ "kty": "oct", "kid": "shared", "k": "c2VjcmV0" }),
        ];
        for key in unusable {
            assert_eq!(read(std::slice::from_ref(&key)), Err(JwksError::Empty), "{key}");
            assert_eq!(read(&[key, ed25519()]).unwrap().keys().len(), 1);
        }
        // Certificates are not looked at; the key itself counts.
        assert!(read(&[with(p256(), "x5c", json!(["not a certificate"]))]).is_ok());
    }

    #[test]
    fn sets_are_bounded_and_unambiguous() {
        let many: Vec<Value> = (0..65).map(|n| with(ed25519(), "kid", json!(n.to_string()))).collect();
        assert_eq!(read(&many), Err(JwksError::TooMany(65)));
        assert_eq!(read(&many[..64]).unwrap().keys().len(), 64);
        assert_eq!(read(&[ed25519(), ed25519()]), Err(JwksError::Ambiguous("ed".to_owned())));
        assert_eq!(Jwks::from_bytes(&vec![b' '; JWKS_MAX_BYTES + 1]), Err(JwksError::TooLarge(JWKS_MAX_BYTES + 1)));
        for bad in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#] {
            assert!(matches!(Jwks::from_bytes(bad.as_bytes()), Err(JwksError::Malformed(_))), "{bad}");
        }
    }
}
