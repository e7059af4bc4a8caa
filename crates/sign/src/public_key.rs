//! Public keys and the verification of signatures: the algorithm is part of the key.

use std::fmt;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA384_FIXED, ED25519,
    ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use lockgate_model::Digest;
use lockgate_model::digest::hex;

use crate::armor;
use crate::der;
use crate::ssh::wire::{put_mpint, put_string};

/// The shortest RSA modulus, in bits, whose signatures still verify.
pub const RSA_MIN_BITS: usize = 2048;
/// The longest RSA modulus, in bits, that is worth the time.
pub const RSA_MAX_BITS: usize = 8192;

/// How a key signs: curve or scheme, and hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// ECDSA on NIST P-256 with SHA-256; signatures are ASN.1 DER.
    EcdsaP256Sha256,
    /// ECDSA on NIST P-384 with SHA-384; signatures are ASN.1 DER.
    EcdsaP384Sha384,
    /// Ed25519 (RFC 8032); signatures are 64 raw bytes.
    Ed25519,
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017).
    RsaPkcs1Sha256,
    /// RSASSA-PSS with SHA-256, MGF1 with SHA-256 and a salt of 32 bytes (RFC 8017).
    RsaPssSha256,
}

/// Why bytes are not an acceptable public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublicKeyError {
    /// Not exactly one PEM block of the right kind.
    #[error(
        "not a public key in PEM: write exactly one `-----BEGIN PUBLIC KEY-----` block with lines of 64 characters"
    )]
    NotPem,
    /// Not a SubjectPublicKeyInfo of an accepted kind.
    #[error("not an accepted public key: use ECDSA P-256 or P-384, Ed25519, or RSA, as SubjectPublicKeyInfo in DER")]
    Unsupported,
    /// The point is not on the curve, or is not written uncompressed.
    #[error("the key's point is not a valid uncompressed point of its curve: the key is damaged, export it again")]
    BadPoint,
    /// Anyone could forge signatures of this Ed25519 key.
    #[error("the Ed25519 key has small order, so that anyone could forge its signatures: use another key")]
    Weak,
    /// The RSA modulus is too short or too long.
    #[error("an RSA key of {bits} bits is refused: use 3072 bits (2048 to 8192 are accepted for verifying)")]
    RsaSize {
        /// The length of the modulus in bits.
        bits: usize,
    },
    /// RSASSA-PSS was asked for a key that is not RSA.
    #[error("RSASSA-PSS needs an RSA key")]
    NotRsa,
}

/// Why a signature does not count, or could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The signature is not one of this message by this key.
    #[error("the signature does not verify: the message was changed, or another key signed it")]
    Invalid,
    /// The key is worthless, so that no signature by it proves anything.
    #[error("the key has small order, so that anyone could forge its signatures: use another key")]
    WeakKey,
    /// Private key bytes cannot be read.
    #[error("not a private key for ECDSA P-256 in PKCS#8")]
    BadPrivateKey,
    /// The cryptographic library could not make a key or a signature.
    #[error("the cryptographic library could not make the key or the signature")]
    Failed,
}

/// A public key together with the only algorithm it may be used with.
///
/// Equality compares the algorithm and the SubjectPublicKeyInfo bytes.
///
/// INVARIANT (one spelling of a key): `spki` is the one DER encoding of the key, so that equal keys have equal bytes
/// and equal ids.
#[derive(Clone)]
pub struct PublicKey {
    algorithm: Algorithm,
    spki: Vec<u8>,
    verifier: Verifier,
}

#[derive(Clone)]
enum Verifier {
    Ed25519([u8; 32]),
    Parsed(ParsedPublicKey),
}

impl PublicKey {
    /// Reads a SubjectPublicKeyInfo in DER (RFC 5280, section 4.1; RFC 5480, RFC 8410, RFC 8017).
    ///
    /// An RSA key is taken for PKCS#1 v1.5; [`PublicKey::with_rsa_pss`] makes it one for PSS.
    ///
    /// # Errors
    /// [`PublicKeyError`] for other kinds and curves, compressed or invalid points, small-order Ed25519 keys, RSA
    /// outside 2048 to 8192 bits, and anything after the key.
    pub fn from_spki_der(der: &[u8]) -> Result<Self, PublicKeyError> {
        if let Some(point) = der.strip_prefix(P256_SPKI) {
            return Self::from_point(Algorithm::EcdsaP256Sha256, P256_SPKI, point, 65);
        }
        if let Some(point) = der.strip_prefix(P384_SPKI) {
            return Self::from_point(Algorithm::EcdsaP384Sha384, P384_SPKI, point, 97);
        }
        if let Some(raw) = der.strip_prefix(ED25519_SPKI) {
            let key: [u8; 32] = raw.try_into().map_err(|_| PublicKeyError::Unsupported)?;
            return match is_small_order(&key) {
                true => Err(PublicKeyError::Weak),
                false => Ok(Self::from_ed25519(key)),
            };
        }
        Self::from_rsa_spki(Algorithm::RsaPkcs1Sha256, der)
    }

    /// Reads one PEM block `PUBLIC KEY` (RFC 7468, section 13) in its strict form; LF and CRLF line ends are equal.
    ///
    /// # Errors
    /// [`PublicKeyError::NotPem`] for other labels, several blocks, text around the block or lines of other widths;
    /// else as [`PublicKey::from_spki_der`].
    pub fn from_pem(text: &str) -> Result<Self, PublicKeyError> {
        let der = armor::decode(PEM_LABEL, text).ok_or(PublicKeyError::NotPem)?;
        let strict = armor::encode(PEM_LABEL, &der, PEM_COLUMNS);
        match text.trim_ascii().replace("\r\n", "\n") == strict.trim_ascii() {
            true => Self::from_spki_der(&der),
            false => Err(PublicKeyError::NotPem),
        }
    }

    /// Wraps the 32 raw bytes of an Ed25519 public key.
    ///
    /// It does not refuse keys of small order; [`PublicKey::verify`] does, so that they never count.
    pub fn from_ed25519(key: [u8; 32]) -> Self {
        let spki = [ED25519_SPKI, &key].concat();
        Self { algorithm: Algorithm::Ed25519, spki, verifier: Verifier::Ed25519(key) }
    }

    /// Reads a P-256 point in uncompressed form: 65 bytes, `04 || X || Y` (SEC 1, section 2.3.3).
    ///
    /// # Errors
    /// [`PublicKeyError::BadPoint`] when it has another form or is not on the curve.
    pub fn from_p256_uncompressed(point: &[u8]) -> Result<Self, PublicKeyError> {
        Self::from_point(Algorithm::EcdsaP256Sha256, P256_SPKI, point, 65)
    }

    /// Reads a P-384 point in uncompressed form: 97 bytes, `04 || X || Y` (SEC 1, section 2.3.3).
    ///
    /// # Errors
    /// [`PublicKeyError::BadPoint`] when it has another form or is not on the curve.
    pub fn from_p384_uncompressed(point: &[u8]) -> Result<Self, PublicKeyError> {
        Self::from_point(Algorithm::EcdsaP384Sha384, P384_SPKI, point, 97)
    }

    /// Makes an RSA key of its modulus and public exponent, big-endian without leading zeros, as a JWK carries them
    /// (RFC 7518, section 6.3.1).
    ///
    /// # Errors
    /// [`PublicKeyError::Unsupported`] for leading zeros or an exponent that is not odd and from 3 to 2^32;
    /// [`PublicKeyError::RsaSize`] outside 2048 to 8192 bits.
    pub fn from_rsa_components(modulus: &[u8], exponent: &[u8]) -> Result<Self, PublicKeyError> {
        let odd = exponent.last().is_some_and(|last| last % 2 == 1);
        if !odd || exponent == [1] || exponent.len() > 4 || modulus.first() == Some(&0) || exponent.first() == Some(&0)
        {
            return Err(PublicKeyError::Unsupported);
        }
        if modulus.is_empty() || modulus.len() > RSA_MAX_BITS / 8 {
            return Err(PublicKeyError::RsaSize { bits: der::bit_length(modulus) });
        }
        let mut numbers = Vec::with_capacity(modulus.len() + 16);
        der::put(&mut numbers, der::INTEGER, &der::unsigned(modulus));
        der::put(&mut numbers, der::INTEGER, &der::unsigned(exponent));
        let mut key = vec![0];
        der::put(&mut key, der::SEQUENCE, &numbers);
        let mut parts = Vec::with_capacity(key.len() + 24);
        der::put(&mut parts, der::SEQUENCE, RSA_ENCRYPTION);
        der::put(&mut parts, der::BIT_STRING, &key);
        let mut spki = Vec::with_capacity(parts.len() + 4);
        der::put(&mut spki, der::SEQUENCE, &parts);
        Self::from_spki_der(&spki)
    }

    /// Turns an RSA key into one for RSASSA-PSS, because the record that names the key says so.
    ///
    /// # Errors
    /// [`PublicKeyError::NotRsa`] for other keys.
    pub fn with_rsa_pss(self) -> Result<Self, PublicKeyError> {
        match self.algorithm {
            Algorithm::RsaPkcs1Sha256 | Algorithm::RsaPssSha256 => {
                Self::from_rsa_spki(Algorithm::RsaPssSha256, &self.spki)
            }
            Algorithm::EcdsaP256Sha256 | Algorithm::EcdsaP384Sha384 | Algorithm::Ed25519 => Err(PublicKeyError::NotRsa),
        }
    }

    /// How this key signs.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The SubjectPublicKeyInfo in DER.
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// The uncompressed point of a P-256 key, 65 bytes; absent for other keys.
    pub(crate) fn p256_point(&self) -> Option<&[u8]> {
        self.spki.strip_prefix(P256_SPKI)
    }

    /// One PEM block `PUBLIC KEY` with lines of 64 characters, ending in a line feed.
    pub fn to_pem(&self) -> String {
        armor::encode(PEM_LABEL, &self.spki, PEM_COLUMNS)
    }

    /// Verifies a signature over a message; ECDSA signatures are ASN.1 DER.
    ///
    /// # Errors
    /// [`SignatureError::Invalid`] when it does not verify, [`SignatureError::WeakKey`] when the key is worthless.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        let outcome = match &self.verifier {
            Verifier::Ed25519(key) if is_small_order(key) => return Err(SignatureError::WeakKey),
            Verifier::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key).verify(message, signature),
            Verifier::Parsed(key) => key.verify_sig(message, signature),
        };
        outcome.map_err(|_| SignatureError::Invalid)
    }

    /// Verifies an ECDSA signature in the fixed-width form `r || s` (IEEE P1363), as DSSE's own example has it.
    ///
    /// # Errors
    /// [`SignatureError::Invalid`] when it does not verify, or when the key is not an ECDSA key.
    pub fn verify_p1363(&self, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        let algorithm: &'static dyn VerificationAlgorithm = match self.algorithm {
            Algorithm::EcdsaP256Sha256 => &ECDSA_P256_SHA256_FIXED,
            Algorithm::EcdsaP384Sha384 => &ECDSA_P384_SHA384_FIXED,
            Algorithm::Ed25519 | Algorithm::RsaPkcs1Sha256 | Algorithm::RsaPssSha256 => {
                return Err(SignatureError::Invalid);
            }
        };
        UnparsedPublicKey::new(algorithm, &self.spki).verify(message, signature).map_err(|_| SignatureError::Invalid)
    }

    fn from_point(
        algorithm: Algorithm,
        prefix: &[u8],
        point: &[u8],
        point_bytes: usize,
    ) -> Result<Self, PublicKeyError> {
        if point.len() != point_bytes || point.first() != Some(&0x04) {
            return Err(PublicKeyError::BadPoint);
        }
        let parsed = match algorithm {
            Algorithm::EcdsaP256Sha256 => ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point),
            _ => ParsedPublicKey::new(&ECDSA_P384_SHA384_ASN1, point),
        };
        let verifier = Verifier::Parsed(parsed.map_err(|_| PublicKeyError::BadPoint)?);
        Ok(Self { algorithm, spki: [prefix, point].concat(), verifier })
    }

    fn from_rsa_spki(algorithm: Algorithm, der: &[u8]) -> Result<Self, PublicKeyError> {
        let rsa = RsaComponents::from_spki(der).ok_or(PublicKeyError::Unsupported)?;
        let bits = der::bit_length(rsa.modulus);
        if !(RSA_MIN_BITS..=RSA_MAX_BITS).contains(&bits) {
            return Err(PublicKeyError::RsaSize { bits });
        }
        let parsed = match algorithm {
            Algorithm::RsaPssSha256 => ParsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, der),
            _ => ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der),
        };
        let verifier = Verifier::Parsed(parsed.map_err(|_| PublicKeyError::Unsupported)?);
        Ok(Self { algorithm, spki: der.to_vec(), verifier })
    }
}

/// Ids by which other tools know a key. They are hints: none of them is ever a reason to trust a signature.
impl PublicKey {
    /// The id that Sigstore clients use: standard base64 of the SHA-256 of the SubjectPublicKeyInfo.
    pub fn keyid_sigstore(&self) -> String {
        STANDARD.encode(Digest::of(&self.spki).as_bytes())
    }

    /// The OpenSSH fingerprint, `SHA256:` and unpadded base64, which slsa-verifier takes for the default id of a key.
    pub fn keyid_ssh(&self) -> String {
        format!("SHA256:{}", STANDARD_NO_PAD.encode(Digest::of(&self.ssh_wire()).as_bytes()))
    }

    /// The id that Python's securesystemslib computes by default: 64 hex digits.
    ///
    /// As of securesystemslib 1.6.0, `SSlibKey.from_crypto` with `compute_default_keyid`: SHA-256 over an OLPC
    /// canonical JSON of key type, scheme and key value. OLPC escapes only quote and backslash, so that the line feeds
    /// of the PEM text stand there as they are; this is not RFC 8785.
    pub fn keyid_securesystemslib(&self) -> String {
        let (keytype, scheme, public) = match self.algorithm {
            Algorithm::EcdsaP256Sha256 => ("ecdsa", "ecdsa-sha2-nistp256", self.to_pem()),
            Algorithm::EcdsaP384Sha384 => ("ecdsa", "ecdsa-sha2-nistp384", self.to_pem()),
            Algorithm::Ed25519 => ("ed25519", "ed25519", hex(self.spki.strip_prefix(ED25519_SPKI).unwrap_or_default())),
            Algorithm::RsaPkcs1Sha256 => ("rsa", "rsa-pkcs1v15-sha256", self.to_pem()),
            Algorithm::RsaPssSha256 => ("rsa", "rsassa-pss-sha256", self.to_pem()),
        };
        let key = format!(r#"{{"keytype":"{keytype}","keyval":{{"public":"{public}"}},"scheme":"{scheme}"}}"#);
        Digest::of(key.as_bytes()).hex()
    }

    /// The key in SSH's wire format (RFC 4253, section 6.6; RFC 5656, section 3.1; RFC 8709, section 4).
    fn ssh_wire(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.spki.len() + 64);
        if let Some(point) = self.spki.strip_prefix(P256_SPKI) {
            put_string(&mut out, b"ecdsa-sha2-nistp256");
            put_string(&mut out, b"nistp256");
            put_string(&mut out, point);
        } else if let Some(point) = self.spki.strip_prefix(P384_SPKI) {
            put_string(&mut out, b"ecdsa-sha2-nistp384");
            put_string(&mut out, b"nistp384");
            put_string(&mut out, point);
        } else if let Some(key) = self.spki.strip_prefix(ED25519_SPKI) {
            put_string(&mut out, b"ssh-ed25519");
            put_string(&mut out, key);
        } else if let Some(rsa) = RsaComponents::from_spki(&self.spki) {
            put_string(&mut out, b"ssh-rsa");
            put_mpint(&mut out, rsa.exponent);
            put_mpint(&mut out, rsa.modulus);
        }
        out
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.algorithm == other.algorithm && self.spki == other.spki
    }
}
impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({:?}, {})", self.algorithm, self.keyid_ssh())
    }
}

/// Modulus and exponent, big-endian without leading zeros.
struct RsaComponents<'a> {
    modulus: &'a [u8],
    exponent: &'a [u8],
}

impl<'a> RsaComponents<'a> {
    fn from_spki(der: &'a [u8]) -> Option<Self> {
        let mut outer = der::Reader::new(der);
        let mut spki = der::Reader::new(outer.take(der::SEQUENCE)?);
        outer.end()?;
        if spki.take(der::SEQUENCE)? != RSA_ENCRYPTION {
            return None;
        }
        let bits = spki.take(der::BIT_STRING)?;
        spki.end()?;
        let mut inner = der::Reader::new(bits.strip_prefix(&[0u8])?);
        let mut key = der::Reader::new(inner.take(der::SEQUENCE)?);
        inner.end()?;
        let modulus = der::positive(key.take(der::INTEGER)?)?;
        let exponent = der::positive(key.take(der::INTEGER)?)?;
        key.end()?;
        Some(Self { modulus, exponent })
    }
}

/// Whether a key is one of the points whose order divides eight, in any encoding that decoders accept.
///
/// The sign bit does not matter: both signs of each `y` have small order.
pub(crate) fn is_small_order(key: &[u8; 32]) -> bool {
    let mut y = *key;
    if let Some(last) = y.last_mut() {
        *last &= 0x7f;
    }
    SMALL_ORDER_Y.contains(&y)
}

const PEM_LABEL: &str = "PUBLIC KEY";
const PEM_COLUMNS: usize = 64;

// Everything of a SubjectPublicKeyInfo up to the key itself; the lengths in it fix the length of the key.
const P256_SPKI: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
const P384_SPKI: &[u8] = &[
    0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00,
    0x22, 0x03, 0x62, 0x00,
];
const ED25519_SPKI: &[u8] = &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
// The content of the AlgorithmIdentifier `rsaEncryption` with its NULL.
const RSA_ENCRYPTION: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];

// The y coordinates, little-endian, of the torsion points of edwards25519: 0, 1, the two of order eight, p - 1, and
// the non-canonical spellings p and p + 1. Derived by multiplying curve points by the order of the base point.
const SMALL_ORDER_Y: [[u8; 32]; 7] = [
    [0; 32],
    [
        0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, //
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ],
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, //
        0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, //
        0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
    near_p(0xec),
    near_p(0xed),
    near_p(0xee),
];

/// `2^255 - 256 + lowest`, little-endian: p is `2^255 - 19`, so that 0xed stands for p itself.
const fn near_p(lowest: u8) -> [u8; 32] {
    let ff = 0xff;
    [
        lowest, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, //
        ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, 0x7f,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const P256: &str = "-----BEGIN PUBLIC KEY-----\n\
        MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEwkakxeCN/5mAtZR6UYI45CZgUoDT\n\
        EvDZBUwPfzG6k98h0RQ8yWIwf0oleZd3CqHDVZCJhAHvLRQGCYlo8CllcA==\n\
        -----END PUBLIC KEY-----\n";
    const P384: &str = "-----BEGIN PUBLIC KEY-----\n\
        MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEwZMisMvHvEet7F6f54Tu+ejcz+snavIx\n\
        pjUTmoe2sdwPndBym6uNBNhLFUPPmpzSzXgdJLqUz+7/J36gkStNESdQyu5WCJqJ\n\
        Nsf72SA83nrKjCkBO0tTZmXO9E5WUzoW\n\
        -----END PUBLIC KEY-----\n";
    const ED: &str = "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEAA6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=\n\
        -----END PUBLIC KEY-----\n";
    const RSA_2048: &str = "-----BEGIN PUBLIC KEY-----\n\
        MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAqLY4R+2R1uh5kimxytSs\n\
        03NWUtTyNr/0E1YmPZAT7OO8NFCjj/u0x+ZfX4/Y5hIBohMCZ/J+ZsRKqfzw+soZ\n\
        M6bKMLZw4H4q3MMQl14Z4Natma7qdZ7iz1KXRblvaDKZz2kVVzRMc3+89xUBCCNQ\n\
        7peQrie3207eM4mNf62EJPniaoW8BX3lcR7kqQH6P+sCVgsHAb6SNjXs5WhGEOs+\n\
        ZiVflOLfa3it319ipKNgbr/KCOZ76+/ob/7y5YKfzPwaD4AWFagAUHBFjvA4O8SX\n\
        bruMT+2YxJHdThZIdsvyZzkkRzlnCyqgcyS10Oglwuhfbp4YB3ASaeny0BN3r3HE\n\
        fQIDAQAB\n\
        -----END PUBLIC KEY-----\n";
    const RSA_1024: &str = "-----BEGIN PUBLIC KEY-----\n\
        MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDISoPN6b6HsxkSBYWV4jKlf6ZS\n\
        VwbCl1evxFCDjCNmnr0sSyLMKgePVxs5utSQC/m+L2HqYdAc9MxqdXaPc7jt58Og\n\
        WQxX12mRmIhfU/GSXBaDTwDedMQEug9SVEM2v609xn/njcdbMe1CJsHx/HuPjQ2V\n\
        mAeK4husSTJrN00RnwIDAQAB\n\
        -----END PUBLIC KEY-----\n";

    #[test]
    fn ids_are_those_of_the_other_tools() {
        // Computed with pyca/cryptography 48.0.0, securesystemslib 1.6.0 and `ssh-keygen -l` of OpenSSH 9.2.
        let check = |pem: &str, algorithm: Algorithm, sigstore: &str, ssh: &str, securesystemslib: &str| {
            let mut key = PublicKey::from_pem(pem).unwrap();
            if algorithm == Algorithm::RsaPssSha256 {
                key = key.with_rsa_pss().unwrap();
            }
            assert_eq!(key.algorithm(), algorithm);
            assert_eq!(key.to_pem(), pem);
            assert_eq!(PublicKey::from_spki_der(key.spki_der()).unwrap().spki_der(), key.spki_der());
            assert_eq!(key.keyid_sigstore(), sigstore);
            assert_eq!(key.keyid_ssh(), ssh);
            assert_eq!(key.keyid_securesystemslib(), securesystemslib);
        };
        check(
            P256,
            Algorithm::EcdsaP256Sha256,
            "3OXAFjfqY00Ch9TFxjh49EDzQbqV/wYUuo16Ou8XynY=",
            "SHA256:auHsWeA0Im0XApFWdlCos4rXRIfrA7Cr8ijDX6dZ/kA",
            "a2250a674027783ab94581a8e5cdfd3d0a9d6a0f8fbc0f4848c0d05dbd2f2138",
        );
        check(
            P384,
            Algorithm::EcdsaP384Sha384,
            "TX5mPWF72yP+Q7PPm9faUdmOTrOgYm7B9l98nxsqRdM=",
            "SHA256:OY0abz94imuaaP3Via80gG/CjD7Ubk6QT4dJTNgq65M",
            "88edc72aaf4abed492641ba3efb2fcf4401da683fd89aa0a77addafef802a9b9",
        );
        check(
            ED,
            Algorithm::Ed25519,
            "oFCDfYUHBYLM9zlLCYiEfMMSy4glm4lImfbyOc8XkaU=",
            "SHA256:lbmsoA0yIEcEiVDRnMWuzm+nV+3ZEEpVIURqFoeSspg",
            "63d00ee3cf4f5c61ad94efa696c68f13b608fe56ecea13fb144a6fd18e9235b9",
        );
        check(
            RSA_2048,
            Algorithm::RsaPssSha256,
            "X5i/HBaO7v3RwKT4/8EyaKp/v5IAW3ofnt18Rph8y9w=",
            "SHA256:Q6dZqf0MZXcG0EijAzYzPM8tz5d1u2aHf6R6o8Vl/pY",
            "37eb1eac25fdb5eedbb99a485c1a53f2fc4d3ad1e4ec05a1400fe0b4844c968e",
        );
    }

    #[test]
    fn pem_is_strict() {
        assert!(PublicKey::from_pem(&P256.replace('\n', "\r\n")).is_ok());
        for bad in [
            String::new(),
            format!("{P256}{P256}"),
            format!("# key\n{P256}"),
            P256.replace("PUBLIC KEY", "CERTIFICATE"),
            P256.replace("PUBLIC KEY", "EC PUBLIC KEY"),
            P256.replace("UoDT\n", "UoDT"),
            P256.replace("MFkw", "MFkw\n"),
            P256.replace("cA==", "cA="),
            P256.replace("cA==", "cB=="),
        ] {
            assert_eq!(PublicKey::from_pem(&bad), Err(PublicKeyError::NotPem), "{bad}");
        }
    }

    #[test]
    fn refuses_keys_that_prove_nothing() {
        assert_eq!(PublicKey::from_pem(RSA_1024), Err(PublicKeyError::RsaSize { bits: 1024 }));
        assert_eq!(PublicKey::from_pem(P256).unwrap().with_rsa_pss(), Err(PublicKeyError::NotRsa));

        let good = PublicKey::from_pem(P256).unwrap();
        let mut off_curve = good.spki_der().to_vec();
        *off_curve.last_mut().unwrap() ^= 1;
        assert_eq!(PublicKey::from_spki_der(&off_curve), Err(PublicKeyError::BadPoint));
        let longer = [good.spki_der(), &[0]].concat();
        assert_eq!(PublicKey::from_spki_der(&longer), Err(PublicKeyError::BadPoint));

        let rsa = PublicKey::from_pem(RSA_2048).unwrap();
        let longer = [rsa.spki_der(), &[0]].concat();
        assert_eq!(PublicKey::from_spki_der(&longer), Err(PublicKeyError::Unsupported));
        assert_eq!(PublicKey::from_spki_der(&[]), Err(PublicKeyError::Unsupported));
    }

    #[test]
    fn a_small_order_key_never_counts() {
        // With the neutral element as key and as R, and s = 0, the equation holds for every message.
        let mut neutral = [0u8; 32];
        neutral[0] = 1;
        let forged = [neutral, [0; 32]].concat();
        for key in SMALL_ORDER_Y {
            for sign in [0x00, 0x80] {
                let mut key = key;
                key[31] |= sign;
                let spki = [ED25519_SPKI, &key].concat();
                assert_eq!(PublicKey::from_spki_der(&spki), Err(PublicKeyError::Weak));
                let verdict = PublicKey::from_ed25519(key).verify(b"any message", &forged);
                assert_eq!(verdict, Err(SignatureError::WeakKey));
            }
        }
        assert!(!is_small_order(&[3; 32]));
    }

    #[test]
    fn fixed_width_signatures_are_for_ecdsa_only() {
        let key = PublicKey::from_pem(ED).unwrap();
        assert_eq!(key.verify_p1363(b"x", &[0; 64]), Err(SignatureError::Invalid));
    }
}
