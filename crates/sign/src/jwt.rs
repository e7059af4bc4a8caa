//! Tokens: JSON Web Tokens (RFC 7519) as JWS compact serialisation (RFC 7515), verified strictly (RFC 8725).
//!
//! INVARIANT (the key decides): the algorithm is the pinned key's own. The token's `alg` is compared with it and never
//! chooses anything; a key, a certificate or an address inside the token is a reason to refuse it, and nothing in a
//! token ever causes a request.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lockgate_model::json::{self, Numbers};
use lockgate_model::{Limits, Span, UnixMillis};
use serde_json::{Map, Value};

use crate::jwks::{Jwk, Jwks};
use crate::public_key::Algorithm;

/// The longest token that is read, in bytes.
pub const TOKEN_MAX_BYTES: usize = 16 * 1024;
/// The longest that a token may last, from `iat` to `exp`.
pub const MAX_LIFETIME: Span = Span::from_secs(24 * 3600);

/// Header parameters that bring a key along, or ask for rules that we do not know.
const UNTRUSTED_PARAMETERS: [&str; 5] = ["jwk", "jku", "x5u", "x5c", "crit"];
/// Header parameters of encrypted, compressed, detached or nested tokens.
const OTHER_FORMS: [&str; 4] = ["enc", "zip", "b64", "cty"];

/// Why a token does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    /// Not a token of the one form that is read.
    #[error("the token is not a signed JWT: {0}")]
    Malformed(String),
    /// It names no key that is trusted for its issuer, brings its own, or is not signed by the key it names.
    #[error("the token's key is not trusted: {0}")]
    KeyUntrusted(String),
    /// It names a key id that the key set does not have: the issuer may have changed its keys.
    #[error("the token's key is not trusted: its issuer publishes no key with that id")]
    KeyUnknown,
    /// Another issuer than the one whose keys verified it.
    #[error("the token is of another issuer; issuers are compared byte for byte")]
    Issuer,
    /// Made for someone else, or for another use.
    #[error("the token is for another audience than `{0}`")]
    Audience(String),
    /// A type of token that is made for one use, which is not this one.
    #[error("the token is of a type that is made for another use")]
    Type,
    /// Its time has passed.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet; the issuer's clock and this one differ by more than the skew that is allowed")]
    NotYetValid,
    /// It would count for too long.
    #[error("the token lasts longer than {max}", max = MAX_LIFETIME)]
    Lifetime,
}

impl JwtError {
    /// The stable reason code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "TOKEN_MALFORMED",
            Self::KeyUntrusted(_) | Self::KeyUnknown => "TOKEN_KEY_UNTRUSTED",
            Self::Issuer => "TOKEN_ISSUER",
            Self::Audience(_) | Self::Type => "TOKEN_AUDIENCE",
            Self::Expired => "TOKEN_EXPIRED",
            Self::NotYetValid => "TOKEN_NOT_YET_VALID",
            Self::Lifetime => "TOKEN_LIFETIME",
        }
    }
}

/// What a token must say.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// Its issuer, byte for byte.
    pub issuer: &'a str,
    /// Its only audience.
    pub audience: &'a str,
    /// The time now.
    pub now: UnixMillis,
    /// How far the issuer's clock may be off.
    pub skew: Span,
}

/// A token that was taken apart, and nothing else: none of it is proven.
#[derive(Debug)]
pub struct Unverified<'a> {
    signed: &'a str,
    header: Map<String, Value>,
    claims: Map<String, Value>,
    signature: Vec<u8>,
}

impl<'a> Unverified<'a> {
    /// Takes a token apart: three parts in unpadded base64url, two of them JSON objects without duplicate members and
    /// with integers only.
    ///
    /// # Errors
    /// [`JwtError::Malformed`] for another form; [`JwtError::KeyUntrusted`] when it brings a key along, asks for
    /// rules that are not known, or is not signed; [`JwtError::Type`] for a type of token made for another use.
    pub fn parse(token: &'a str) -> Result<Self, JwtError> {
        let malformed = |what: &str| JwtError::Malformed(what.to_owned());
        if token.len() > TOKEN_MAX_BYTES {
            return Err(JwtError::Malformed(format!("it is longer than {TOKEN_MAX_BYTES} bytes")));
        }
        let (signed, signature) = token.rsplit_once('.').ok_or_else(|| malformed("it has no parts"))?;
        let (header, claims) = signed
            .split_once('.')
            .filter(|(_, claims)| !claims.contains('.'))
            .ok_or_else(|| malformed("it does not have three parts"))?;
        let header = object(header).map_err(|what| JwtError::Malformed(format!("its header {what}")))?;
        check_header(&header)?;
        let claims = object(claims).map_err(|what| JwtError::Malformed(format!("its claims {what}")))?;
        let signature =
            URL_SAFE_NO_PAD.decode(signature).map_err(|_| malformed("its signature is not unpadded base64url"))?;
        Ok(Self { signed, header, claims, signature })
    }

    /// Which issuer it says it is of: to look up that issuer's keys, and for nothing else.
    pub fn issuer(&self) -> Option<&str> {
        self.claims.get("iss").and_then(Value::as_str)
    }

    /// The id of the key that it says signed it.
    pub fn kid(&self) -> Option<&str> {
        self.header.get("kid").and_then(Value::as_str)
    }

    /// Verifies the signature with a pinned key, then every registered claim.
    ///
    /// # Errors
    /// [`JwtError`]; a claim is looked at only after the signature.
    pub fn verify(self, keys: &Jwks, expected: &Expected<'_>) -> Result<Claims, JwtError> {
        // 1. The key, by its id; without one, the only key of the set.
        let key = self.choose(keys)?;
        // 2. The algorithm is the key's; the token may only agree.
        if self.header.get("alg").and_then(Value::as_str) != Some(key.alg()) {
            return Err(JwtError::KeyUntrusted("it names another algorithm than its key has".to_owned()));
        }
        // 3. The signature over the parts as they came.
        let message = self.signed.as_bytes();
        let verdict = match key.key().algorithm() {
            Algorithm::EcdsaP256Sha256 | Algorithm::EcdsaP384Sha384 => key.key().verify_p1363(message, &self.signature),
            Algorithm::Ed25519 | Algorithm::RsaPkcs1Sha256 | Algorithm::RsaPssSha256 => {
                key.key().verify(message, &self.signature)
            }
        };
        verdict.map_err(|error| JwtError::KeyUntrusted(error.to_string()))?;
        // 4. What it says, now that someone trusted said it.
        let claims = Claims::read(self.claims)?;
        claims.check(expected)?;
        Ok(claims)
    }

    fn choose<'k>(&self, keys: &'k Jwks) -> Result<&'k Jwk, JwtError> {
        let Some(kid) = self.kid() else {
            return match keys.keys() {
                [only] => Ok(only),
                _ => Err(JwtError::KeyUntrusted("it names no key, and its issuer has several".to_owned())),
            };
        };
        let alg = self.header.get("alg").and_then(Value::as_str);
        let named: Vec<&Jwk> = keys.keys().iter().filter(|key| key.kid() == Some(kid)).collect();
        // RFC 7517, section 4.5: keys of different kinds may share an id.
        let fitting = named.iter().copied().find(|key| Some(key.alg()) == alg);
        fitting.or_else(|| named.first().copied()).ok_or(JwtError::KeyUnknown)
    }
}

/// Verifies a token: form, key, signature, issuer, audience and times.
///
/// It does not remember `jti`: single use is the caller's business.
///
/// # Errors
/// [`JwtError`].
pub fn verify(token: &str, keys: &Jwks, expected: &Expected<'_>) -> Result<Claims, JwtError> {
    Unverified::parse(token)?.verify(keys, expected)
}

fn object(part: &str) -> Result<Map<String, Value>, String> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| "is not unpadded base64url".to_owned())?;
    let limits = Limits { json_depth: 16, json_keys: 256, json_items: 1024, ..Limits::DEFAULT };
    match json::read(&bytes, &limits, Numbers::Integers) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err("is not a JSON object".to_owned()),
        Err(error) => Err(format!("does not read: {}", error.message)),
    }
}

fn check_header(header: &Map<String, Value>) -> Result<(), JwtError> {
    if let Some(name) = UNTRUSTED_PARAMETERS.iter().find(|name| header.contains_key(**name)) {
        return Err(JwtError::KeyUntrusted(format!("its header carries `{name}`; keys come from the issuer alone")));
    }
    if let Some(name) = OTHER_FORMS.iter().find(|name| header.contains_key(**name)) {
        return Err(JwtError::Malformed(format!("its header carries `{name}`")));
    }
    match header.get("alg").map(Value::as_str) {
        Some(Some(alg)) if alg.eq_ignore_ascii_case("none") => {
            return Err(JwtError::KeyUntrusted("it is not signed".to_owned()));
        }
        Some(Some(_)) => {}
        Some(None) | None => return Err(JwtError::Malformed("its header has no text `alg`".to_owned())),
    }
    if header.get("kid").is_some_and(|kid| !kid.is_string()) {
        return Err(JwtError::Malformed("its `kid` is not a text".to_owned()));
    }
    match header.get("typ") {
        None => Ok(()),
        Some(Value::String(typ)) if typ.eq_ignore_ascii_case("JWT") => Ok(()),
        // RFC 8725, section 3.11: a typed token is for one use, and this is not the one.
        Some(_) => Err(JwtError::Type),
    }
}

/// The claims of a token that verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    all: Map<String, Value>,
    issued_at: UnixMillis,
    not_before: Option<UnixMillis>,
    expires_at: UnixMillis,
}

impl Claims {
    fn read(all: Map<String, Value>) -> Result<Self, JwtError> {
        let date = |name: &str| match all.get(name) {
            None => Ok(None),
            Some(value) => value
                .as_u64()
                .and_then(|secs| secs.checked_mul(1000))
                .map(|millis| Some(UnixMillis(millis)))
                .ok_or_else(|| JwtError::Malformed(format!("its `{name}` is not a number of whole seconds"))),
        };
        let needed = |name: &str, value: Option<UnixMillis>| {
            value.ok_or_else(|| JwtError::Malformed(format!("it has no `{name}`")))
        };
        let issued_at = needed("iat", date("iat")?)?;
        let expires_at = needed("exp", date("exp")?)?;
        let not_before = date("nbf")?;
        Ok(Self { all, issued_at, not_before, expires_at })
    }

    fn check(&self, expected: &Expected<'_>) -> Result<(), JwtError> {
        if self.issuer() != Some(expected.issuer) {
            return Err(JwtError::Issuer);
        }
        let only = match self.all.get("aud") {
            Some(Value::String(audience)) => Some(audience.as_str()),
            Some(Value::Array(audiences)) => match audiences.as_slice() {
                [Value::String(audience)] => Some(audience.as_str()),
                _ => None,
            },
            _ => None,
        };
        if only != Some(expected.audience) {
            return Err(JwtError::Audience(expected.audience.to_owned()));
        }
        let latest_start = expected.now.plus(expected.skew);
        if self.expires_at.plus(expected.skew) <= expected.now {
            return Err(JwtError::Expired);
        }
        if self.issued_at > latest_start || self.not_before.is_some_and(|from| from > latest_start) {
            return Err(JwtError::NotYetValid);
        }
        if self.expires_at > self.issued_at.plus(MAX_LIFETIME) {
            return Err(JwtError::Lifetime);
        }
        Ok(())
    }

    /// A claim as it came.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.all.get(name)
    }

    /// A claim that is a text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.all.get(name)?.as_str()
    }

    /// A claim that is a whole number and not negative.
    pub fn integer(&self, name: &str) -> Option<u64> {
        self.all.get(name)?.as_u64()
    }

    /// A claim that is true or false.
    pub fn boolean(&self, name: &str) -> Option<bool> {
        self.all.get(name)?.as_bool()
    }

    /// A claim that is a list of texts, such as `amr`; nothing when an item is not a text.
    pub fn texts(&self, name: &str) -> Option<Vec<&str>> {
        self.all.get(name)?.as_array()?.iter().map(Value::as_str).collect()
    }

    /// Whether a claim is exactly this; a whole number or a truth value is compared as it is written in JSON.
    ///
    /// Each claim is compared by itself: nothing is joined, split or searched in.
    pub fn is(&self, name: &str, wanted: &str) -> bool {
        match self.all.get(name) {
            Some(Value::String(text)) => text == wanted,
            Some(Value::Number(number)) => number.to_string() == wanted,
            Some(Value::Bool(value)) => value.to_string() == wanted,
            _ => false,
        }
    }

    /// `iss`.
    pub fn issuer(&self) -> Option<&str> {
        self.text("iss")
    }

    /// `sub`.
    pub fn subject(&self) -> Option<&str> {
        self.text("sub")
    }

    /// `jti`.
    pub fn token_id(&self) -> Option<&str> {
        self.text("jti")
    }

    /// `iat`.
    pub fn issued_at(&self) -> UnixMillis {
        self.issued_at
    }

    /// `exp`.
    pub fn expires_at(&self) -> UnixMillis {
        self.expires_at
    }
}

#[cfg(test)]
#[path = "jwt_tests.rs"]
mod tests;
