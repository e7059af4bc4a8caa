//! SSH public keys: one line of text, one wire form, one fingerprint.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA512, RsaPublicKeyComponents};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use lockgate_model::Digest;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::der;
use crate::public_key::{PublicKey, PublicKeyError, RSA_MAX_BITS, is_small_order};
use crate::ssh::presence::{Presence, USER_PRESENT};
use crate::ssh::relying_party::{RpId, shown};
use crate::ssh::signature::SshSigError;
use crate::ssh::webauthn::{self, WebauthnError};
use crate::ssh::wire::{Reader, put_string};

/// The shortest RSA modulus, in bits, that a person may sign with.
pub const SSH_RSA_MIN_BITS: usize = 3072;

/// How the application of a security key begins that signs through SSH; any other application is an RP id.
const SSH_APPLICATION: &[u8] = b"ssh:";

/// The longest public key line in bytes.
const LINE_MAX_BYTES: usize = 16 * 1024;

/// The kinds of keys that people may sign with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SshKeyKind {
    /// `ssh-ed25519` (RFC 8709).
    Ed25519,
    /// `ecdsa-sha2-nistp256` (RFC 5656).
    EcdsaP256,
    /// `ecdsa-sha2-nistp384` (RFC 5656).
    EcdsaP384,
    /// `sk-ssh-ed25519@openssh.com`: Ed25519 in a security key (OpenSSH `PROTOCOL.u2f`).
    SkEd25519,
    /// `sk-ecdsa-sha2-nistp256@openssh.com`: P-256 in a security key (OpenSSH `PROTOCOL.u2f`).
    SkEcdsaP256,
    /// `ssh-rsa` (RFC 4253), only with `rsa-sha2-256` and `rsa-sha2-512` signatures (RFC 8332).
    Rsa,
}

impl SshKeyKind {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::Ed25519, Self::EcdsaP256, Self::EcdsaP384, Self::SkEd25519, Self::SkEcdsaP256, Self::Rsa];

    /// The name that SSH gives to keys of this kind.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ssh-ed25519",
            Self::EcdsaP256 => "ecdsa-sha2-nistp256",
            Self::EcdsaP384 => "ecdsa-sha2-nistp384",
            Self::SkEd25519 => "sk-ssh-ed25519@openssh.com",
            Self::SkEcdsaP256 => "sk-ecdsa-sha2-nistp256@openssh.com",
            Self::Rsa => "ssh-rsa",
        }
    }

    fn from_name(name: &str) -> Result<Self, SshKeyError> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| SshKeyError::Refused {
            kind: name.chars().filter(|character| !character.is_control()).take(64).collect(),
            reason: refusal(name),
        })
    }
}

fn refusal(name: &str) -> &'static str {
    match name {
        "ssh-dss" => "DSA is too weak",
        "ecdsa-sha2-nistp521" => "P-521 is not supported",
        _ if name.ends_with("-cert-v01@openssh.com") => "a certificate is not a key, give the key inside it",
        _ if name.starts_with("webauthn-") => "that names a signature, not a key",
        _ => "the kind is unknown",
    }
}

/// Why a text or bytes are not an acceptable SSH public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SshKeyError {
    /// Not `type base64 [comment]`.
    #[error("not an SSH public key: write one line `type base64 [comment]`, as in `~/.ssh/id_ed25519.pub`")]
    NotALine,
    /// A kind that is not accepted.
    #[error("`{kind}` keys are refused: {reason}; use ssh-ed25519, ecdsa-sha2-nistp256 or a security key")]
    Refused {
        /// The kind as the key names it.
        kind: String,
        /// Why.
        reason: &'static str,
    },
    /// The text and the key inside it name different kinds.
    #[error("the line says `{line}`, but the key inside it is `{inside}`: copy the line again")]
    KindMismatch {
        /// What stands before the base64.
        line: String,
        /// What the base64 says.
        inside: &'static str,
    },
    /// The bytes are not a key of the kind that they name.
    #[error("the `{kind}` key is damaged: copy the line again")]
    Damaged {
        /// The kind as SSH names it.
        kind: &'static str,
    },
    /// Anyone could forge signatures of this key.
    #[error("the Ed25519 key has small order, so that anyone could forge its signatures: use another key")]
    Weak,
    /// The RSA modulus is too short or too long.
    #[error("an RSA key of {bits} bits is refused: use ssh-ed25519, or RSA with 3072 to 8192 bits")]
    RsaSize {
        /// The length of the modulus in bits.
        bits: usize,
    },
    /// A passkey with another algorithm than ES256.
    #[error(
        "the passkey's key is not an ECDSA P-256 key: make one with the algorithm ES256 (-7), the others do not work"
    )]
    NotEs256,
}

/// A person's SSH public key, without comment.
///
/// Equality and hash are over the wire form, in which every key has exactly one spelling. Written as `type base64`.
#[derive(Clone)]
pub struct SshPublicKey {
    kind: SshKeyKind,
    wire: Vec<u8>,
    material: Material,
}

#[derive(Clone)]
enum Material {
    /// The key signs the data itself.
    Plain(PublicKey),
    /// The key signs a security key's assertion about the data.
    SecurityKey { key: PublicKey, application: Vec<u8> },
    /// Big-endian numbers without leading zeros.
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
}

impl SshPublicKey {
    /// Reads a key in SSH's wire format, with nothing after it.
    ///
    /// # Errors
    /// [`SshKeyError`] for kinds that are not accepted, invalid points, weak keys, and short RSA keys.
    pub fn from_wire(wire: &[u8]) -> Result<Self, SshKeyError> {
        let mut reader = Reader::new(wire);
        let kind = SshKeyKind::from_name(reader.text().ok_or(SshKeyError::NotALine)?)?;
        let damaged = SshKeyError::Damaged { kind: kind.name() };
        let material = match kind {
            SshKeyKind::Ed25519 => ed25519(&mut reader).map(Material::Plain),
            SshKeyKind::EcdsaP256 | SshKeyKind::EcdsaP384 => ecdsa(&mut reader, kind).map(Material::Plain),
            SshKeyKind::SkEd25519 => {
                ed25519(&mut reader).and_then(|key| security_key(&mut reader, key).ok_or(damaged.clone()))
            }
            SshKeyKind::SkEcdsaP256 => {
                ecdsa(&mut reader, kind).and_then(|key| security_key(&mut reader, key).ok_or(damaged.clone()))
            }
            SshKeyKind::Rsa => rsa(&mut reader),
        }?;
        reader.end().ok_or(damaged)?;
        Ok(Self { kind, wire: wire.to_vec(), material })
    }

    /// The record of a passkey: a `sk-ecdsa-sha2-nistp256@openssh.com` key whose application is the RP id.
    ///
    /// `point` is the public key as 65 bytes, `04 || X || Y`.
    ///
    /// # Errors
    /// [`SshKeyError::NotEs256`] when that is not a point of P-256.
    pub fn passkey_from_point(rp_id: &RpId, point: &[u8]) -> Result<Self, SshKeyError> {
        let mut wire = Vec::with_capacity(256);
        put_string(&mut wire, SshKeyKind::SkEcdsaP256.name().as_bytes());
        put_string(&mut wire, b"nistp256");
        put_string(&mut wire, point);
        put_string(&mut wire, rp_id.as_str().as_bytes());
        Self::from_wire(&wire).map_err(|_| SshKeyError::NotEs256)
    }

    /// The record of a passkey, from the SubjectPublicKeyInfo in DER that a browser gives at registration
    /// (`AuthenticatorAttestationResponse.getPublicKey()`).
    ///
    /// # Errors
    /// [`SshKeyError::NotEs256`] for keys of other algorithms, and for what is no key.
    pub fn passkey_from_spki(rp_id: &RpId, der: &[u8]) -> Result<Self, SshKeyError> {
        let key = PublicKey::from_spki_der(der).map_err(|_| SshKeyError::NotEs256)?;
        Self::passkey_from_point(rp_id, key.p256_point().ok_or(SshKeyError::NotEs256)?)
    }

    /// Whether the key is a passkey: it signs in a browser, and nothing that it signs through SSH counts.
    ///
    /// OpenSSH gives its own security keys applications that begin with `ssh:`, which no RP id does.
    pub fn is_passkey(&self) -> bool {
        self.kind == SshKeyKind::SkEcdsaP256 && self.application().is_some_and(|app| !app.starts_with(SSH_APPLICATION))
    }

    /// What a passkey was made for; absent for every other key.
    pub fn rp_id(&self) -> Option<RpId> {
        let application = self.application().filter(|_| self.is_passkey())?;
        std::str::from_utf8(application).ok()?.parse().ok()
    }

    fn application(&self) -> Option<&[u8]> {
        match &self.material {
            Material::SecurityKey { application, .. } => Some(application.as_slice()),
            Material::Plain(_) | Material::Rsa { .. } => None,
        }
    }

    /// What kind of key it is.
    pub fn kind(&self) -> SshKeyKind {
        self.kind
    }

    /// Whether the private half lives in a security key, which asks for a touch before it signs.
    pub fn is_security_key(&self) -> bool {
        matches!(self.kind, SshKeyKind::SkEd25519 | SshKeyKind::SkEcdsaP256)
    }

    /// The key in SSH's wire format.
    pub fn wire(&self) -> &[u8] {
        &self.wire
    }

    /// The fingerprint that `ssh-keygen -l` shows: `SHA256:` and unpadded base64.
    pub fn fingerprint(&self) -> String {
        format!("SHA256:{}", STANDARD_NO_PAD.encode(Digest::of(&self.wire).as_bytes()))
    }

    /// A digest of the bare key, the same for a key and for the same key dressed up as a security key's.
    ///
    /// Use it to see that two enrolled keys are one; it is not what other tools show.
    pub fn material(&self) -> Digest {
        match &self.material {
            Material::Plain(key) | Material::SecurityKey { key, .. } => Digest::of(key.spki_der()),
            Material::Rsa { .. } => Digest::of(&self.wire),
        }
    }

    /// Verifies a signature blob over `signed`, as SSHSIG and the agent protocol carry it, and gives what a security key
    /// or passkey says beside it.
    ///
    /// The blob's type must be the one that belongs to this key; it never chooses an algorithm the key does not have.
    ///
    /// INVARIANT (a passkey signs in browsers only): a key whose application is an RP id makes WebAuthn signatures and no
    /// others, although its device could sign as a security key does, without origin. `ssh-keygen` is not that strict.
    pub(super) fn verify_blob(&self, signed: &[u8], blob: &[u8]) -> Result<Option<Presence>, SshSigError> {
        let mut reader = Reader::new(blob);
        let name = reader.text().ok_or(SshSigError::Damaged)?;
        let signature = reader.string().ok_or(SshSigError::Damaged)?;
        match &self.material {
            Material::Rsa { modulus, exponent } => {
                reader.end().ok_or(SshSigError::Damaged)?;
                let parameters = match name {
                    "rsa-sha2-256" => &RSA_PKCS1_2048_8192_SHA256,
                    "rsa-sha2-512" => &RSA_PKCS1_2048_8192_SHA512,
                    _ => return Err(self.wrong_type(name)),
                };
                RsaPublicKeyComponents { n: modulus, e: exponent }
                    .verify(parameters, signed, signature)
                    .map_err(|_| SshSigError::Invalid)?;
                Ok(None)
            }
            Material::SecurityKey { key, application } if self.makes_webauthn(name) => {
                let assertion = webauthn::Assertion::parse(&mut reader).ok_or(SshSigError::Damaged)?;
                let (message, presence) = assertion.check(application, signed)?;
                self.verify_bare(key, &message, signature)?;
                Ok(Some(presence))
            }
            Material::SecurityKey { .. } if self.is_passkey() => Err(WebauthnError::NotPasskey(shown(name)).into()),
            Material::Plain(_) | Material::SecurityKey { .. } if name != self.kind.name() => Err(self.wrong_type(name)),
            Material::Plain(key) => {
                reader.end().ok_or(SshSigError::Damaged)?;
                self.verify_bare(key, signed, signature)?;
                Ok(None)
            }
            Material::SecurityKey { key, application } => {
                let (message, presence) = assertion(&mut reader, application, signed)?;
                self.verify_bare(key, &message, signature)?;
                Ok(Some(presence))
            }
        }
    }

    /// What a signature blob says beside the signature, unverified; absent for keys without a device, and for blobs
    /// that cannot be read.
    pub(super) fn claimed_presence(&self, blob: &[u8]) -> Option<Presence> {
        let mut reader = Reader::new(blob);
        let name = reader.text()?;
        let _signature = reader.string()?;
        if self.makes_webauthn(name) {
            return webauthn::Assertion::parse(&mut reader).map(|assertion| assertion.claimed());
        }
        if !self.is_security_key() || name != self.kind.name() {
            return None;
        }
        let (flags, counter) = (reader.byte()?, reader.uint32()?);
        reader.end()?;
        Some(Presence::new(flags, counter, None))
    }

    /// Whether this key makes signatures of this type, and the type is that of passkeys.
    fn makes_webauthn(&self, name: &str) -> bool {
        self.kind == SshKeyKind::SkEcdsaP256 && name == webauthn::SIGNATURE_TYPE
    }

    fn verify_bare(&self, key: &PublicKey, message: &[u8], signature: &[u8]) -> Result<(), SshSigError> {
        let outcome = match self.kind {
            SshKeyKind::Ed25519 | SshKeyKind::SkEd25519 => key.verify(message, signature),
            SshKeyKind::EcdsaP256 | SshKeyKind::EcdsaP384 | SshKeyKind::SkEcdsaP256 | SshKeyKind::Rsa => {
                key.verify(message, &ecdsa_der(signature).ok_or(SshSigError::Damaged)?)
            }
        };
        outcome.map_err(|_| SshSigError::Invalid)
    }

    fn wrong_type(&self, name: &str) -> SshSigError {
        SshSigError::WrongType { found: shown(name), kind: self.kind.name() }
    }
}

fn ed25519(reader: &mut Reader<'_>) -> Result<PublicKey, SshKeyError> {
    let damaged = SshKeyError::Damaged { kind: SshKeyKind::Ed25519.name() };
    let bytes = reader.string().ok_or_else(|| damaged.clone())?;
    let key: [u8; 32] = bytes.try_into().map_err(|_| damaged)?;
    match is_small_order(&key) {
        true => Err(SshKeyError::Weak),
        false => Ok(PublicKey::from_ed25519(key)),
    }
}

fn ecdsa(reader: &mut Reader<'_>, kind: SshKeyKind) -> Result<PublicKey, SshKeyError> {
    let damaged = || SshKeyError::Damaged { kind: kind.name() };
    let curve = reader.text().ok_or_else(damaged)?;
    let point = reader.string().ok_or_else(damaged)?;
    let key: Result<PublicKey, PublicKeyError> = match (kind, curve) {
        (SshKeyKind::EcdsaP256 | SshKeyKind::SkEcdsaP256, "nistp256") => PublicKey::from_p256_uncompressed(point),
        (SshKeyKind::EcdsaP384, "nistp384") => PublicKey::from_p384_uncompressed(point),
        _ => return Err(damaged()),
    };
    key.map_err(|_| damaged())
}

fn security_key(reader: &mut Reader<'_>, key: PublicKey) -> Option<Material> {
    let application = reader.text()?;
    Some(Material::SecurityKey { key, application: application.as_bytes().to_vec() })
}

fn rsa(reader: &mut Reader<'_>) -> Result<Material, SshKeyError> {
    let damaged = || SshKeyError::Damaged { kind: SshKeyKind::Rsa.name() };
    let exponent = reader.mpint().ok_or_else(damaged)?;
    let modulus = reader.mpint().ok_or_else(damaged)?;
    let bits = der::bit_length(modulus);
    if !(SSH_RSA_MIN_BITS..=RSA_MAX_BITS).contains(&bits) {
        return Err(SshKeyError::RsaSize { bits });
    }
    let odd = |number: &[u8]| number.last().is_some_and(|last| last & 1 == 1);
    match odd(exponent) && odd(modulus) && exponent != [1u8].as_slice() && exponent.len() <= 4 {
        true => Ok(Material::Rsa { modulus: modulus.to_vec(), exponent: exponent.to_vec() }),
        false => Err(damaged()),
    }
}

/// Rebuilds what a security key signs (OpenSSH `PROTOCOL.u2f`, "SSH U2F Signatures"): SHA-256 of the application,
/// flags, counter, SHA-256 of the signed data. The rest of `reader` must be flags and counter and nothing else.
fn assertion(reader: &mut Reader<'_>, application: &[u8], signed: &[u8]) -> Result<(Vec<u8>, Presence), SshSigError> {
    let flags = reader.byte().ok_or(SshSigError::Damaged)?;
    let counter = reader.uint32().ok_or(SshSigError::Damaged)?;
    reader.end().ok_or(SshSigError::Damaged)?;
    if flags & USER_PRESENT == 0 {
        return Err(SshSigError::NobodyTouched);
    }
    let mut message = Vec::with_capacity(69);
    message.extend_from_slice(Digest::of(application).as_bytes());
    message.push(flags);
    message.extend_from_slice(&counter.to_be_bytes());
    message.extend_from_slice(Digest::of(signed).as_bytes());
    Ok((message, Presence::new(flags, counter, None)))
}

/// Turns SSH's `mpint r, mpint s` (RFC 5656, section 3.1.2) into ASN.1 DER.
fn ecdsa_der(signature: &[u8]) -> Option<Vec<u8>> {
    let mut reader = Reader::new(signature);
    // An mpint and a DER INTEGER have the same content, so that only the frame changes once both are known to be
    // positive and in their shortest form.
    let mut numbers = Vec::with_capacity(signature.len() + 8);
    for _ in 0..2 {
        let content = reader.string()?;
        der::positive(content)?;
        der::put(&mut numbers, der::INTEGER, content);
    }
    reader.end()?;
    let mut out = Vec::with_capacity(numbers.len() + 4);
    der::put(&mut out, der::SEQUENCE, &numbers);
    Some(out)
}

impl FromStr for SshPublicKey {
    type Err = SshKeyError;

    /// Reads `type base64 [comment]`, one line; options before the type, as in `authorized_keys`, are refused.
    fn from_str(text: &str) -> Result<Self, SshKeyError> {
        let line = text.trim_ascii();
        if line.len() > LINE_MAX_BYTES || line.contains(['\n', '\r', '\0']) {
            return Err(SshKeyError::NotALine);
        }
        let mut parts = line.splitn(3, [' ', '\t']);
        let (Some(name), Some(body)) = (parts.next(), parts.next()) else { return Err(SshKeyError::NotALine) };
        let wire = STANDARD.decode(body).map_err(|_| SshKeyError::NotALine)?;
        let key = Self::from_wire(&wire)?;
        match name == key.kind.name() {
            true => Ok(key),
            false => Err(SshKeyError::KindMismatch { line: name.chars().take(64).collect(), inside: key.kind.name() }),
        }
    }
}

impl fmt::Display for SshPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.name(), STANDARD.encode(&self.wire))
    }
}

impl fmt::Debug for SshPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SshPublicKey({}, {})", self.kind.name(), self.fingerprint())
    }
}

impl PartialEq for SshPublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.wire == other.wire
    }
}
impl Eq for SshPublicKey {}

impl Hash for SshPublicKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.wire.hash(state);
    }
}

impl Serialize for SshPublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SshPublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ssh::wire::put_mpint;

    const ED: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4";
    const P256: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBMJGpMXgjf+ZgLWUelGCO\
        OQmYFKA0xLw2QVMD38xupPfIdEUPMliMH9KJXmXdwqhw1WQiYQB7y0UBgmJaPApZXA=";

    fn wire(parts: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        for part in parts {
            put_string(&mut out, part);
        }
        out
    }

    #[test]
    fn lines_round_trip_without_their_comment() {
        // Fingerprints as `ssh-keygen -l` of OpenSSH 9.2 shows them.
        let check = |line: &str, kind: SshKeyKind, fingerprint: &str| {
            let key: SshPublicKey = format!("{line} dana@example\n").parse().unwrap();
            assert_eq!(key.to_string(), line);
            assert_eq!(key.kind(), kind);
            assert_eq!(key.fingerprint(), fingerprint);
            assert_eq!(SshPublicKey::from_wire(key.wire()).unwrap(), key);
            let json = serde_json::to_string(&key).unwrap();
            assert_eq!(serde_json::from_str::<SshPublicKey>(&json).unwrap(), key);
            assert!(!key.is_security_key());
        };
        check(ED, SshKeyKind::Ed25519, "SHA256:lbmsoA0yIEcEiVDRnMWuzm+nV+3ZEEpVIURqFoeSspg");
        check(P256, SshKeyKind::EcdsaP256, "SHA256:auHsWeA0Im0XApFWdlCos4rXRIfrA7Cr8ijDX6dZ/kA");
    }

    #[test]
    fn refuses_lines_that_are_not_one_key() {
        for bad in [
            String::new(),
            "ssh-ed25519".to_owned(),
            format!("{ED}\n{ED}"),
            format!("no-pty {ED}"),
            ED.replacen(' ', "  ", 1),
            ED.trim_end_matches('4').to_owned(),
        ] {
            assert_eq!(bad.parse::<SshPublicKey>(), Err(SshKeyError::NotALine), "{bad}");
        }
        let body = ED.split_once(' ').unwrap().1;
        assert_eq!(
            format!("ssh-rsa {body}").parse::<SshPublicKey>(),
            Err(SshKeyError::KindMismatch { line: "ssh-rsa".to_owned(), inside: "ssh-ed25519" })
        );
    }

    #[test]
    fn refuses_kinds_by_name() {
        let check = |name: &str, reason: &'static str| {
            let refused = SshKeyError::Refused { kind: name.to_owned(), reason };
            assert_eq!(SshPublicKey::from_wire(&wire(&[name.as_bytes(), &[1; 32]])), Err(refused));
        };
        check("ssh-dss", "DSA is too weak");
        check("ecdsa-sha2-nistp521", "P-521 is not supported");
        check("ssh-ed25519-cert-v01@openssh.com", "a certificate is not a key, give the key inside it");
        check("webauthn-sk-ecdsa-sha2-nistp256@openssh.com", "that names a signature, not a key");
        check("ssh-quantum", "the kind is unknown");
    }

    #[test]
    fn refuses_damaged_and_weak_keys() {
        let check = |parts: &[&[u8]], expected: SshKeyError| {
            assert_eq!(SshPublicKey::from_wire(&wire(parts)), Err(expected));
        };
        check(&[b"ssh-ed25519", &[1; 31]], SshKeyError::Damaged { kind: "ssh-ed25519" });
        check(&[b"ssh-ed25519", &[3; 32], b"x"], SshKeyError::Damaged { kind: "ssh-ed25519" });
        check(&[b"ssh-ed25519", &[0; 32]], SshKeyError::Weak);
        check(&[b"sk-ssh-ed25519@openssh.com", &[3; 32]], SshKeyError::Damaged { kind: "sk-ssh-ed25519@openssh.com" });
        let point: Vec<u8> = P256.parse::<SshPublicKey>().unwrap().wire()[39..].to_vec();
        let damaged = SshKeyError::Damaged { kind: "ecdsa-sha2-nistp256" };
        check(&[b"ecdsa-sha2-nistp256", b"nistp384", &point], damaged.clone());
        let mut off_curve = point.clone();
        off_curve[64] ^= 1;
        check(&[b"ecdsa-sha2-nistp256", b"nistp256", &off_curve], damaged);
        assert!(SshPublicKey::from_wire(&wire(&[b"ecdsa-sha2-nistp256", b"nistp256", &point])).is_ok());
    }

    #[test]
    fn a_security_key_of_the_same_material_is_seen_as_one() {
        let plain: SshPublicKey = ED.parse().unwrap();
        let raw = &plain.wire()[19..];
        let dressed = SshPublicKey::from_wire(&wire(&[b"sk-ssh-ed25519@openssh.com", raw, b"ssh:"])).unwrap();
        assert!(dressed.is_security_key());
        assert_ne!(plain, dressed);
        assert_ne!(plain.fingerprint(), dressed.fingerprint());
        assert_eq!(plain.material(), dressed.material());
    }

    #[test]
    fn rsa_needs_3072_bits() {
        let key = |bytes: usize, exponent: &[u8]| {
            let mut out = Vec::new();
            put_string(&mut out, b"ssh-rsa");
            put_mpint(&mut out, exponent);
            put_mpint(&mut out, &vec![0xff; bytes]);
            SshPublicKey::from_wire(&out)
        };
        assert_eq!(key(256, &[1, 0, 1]), Err(SshKeyError::RsaSize { bits: 2048 }));
        assert_eq!(key(1025, &[1, 0, 1]), Err(SshKeyError::RsaSize { bits: 8200 }));
        assert_eq!(key(384, &[1]), Err(SshKeyError::Damaged { kind: "ssh-rsa" }));
        assert_eq!(key(384, &[1, 0, 0]), Err(SshKeyError::Damaged { kind: "ssh-rsa" }));
        assert!(key(384, &[1, 0, 1]).is_ok());
    }
}
