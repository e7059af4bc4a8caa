//! SSHSIG: an SSH key's signature over a message for one purpose (OpenSSH `PROTOCOL.sshsig`).

use aws_lc_rs::digest;

use crate::armor;
use crate::ssh::presence::Presence;
use crate::ssh::public_key::{SshKeyError, SshPublicKey};
use crate::ssh::webauthn::WebauthnError;
use crate::ssh::wire::{Reader, put_string, put_uint32};

const MAGIC: &[u8] = b"SSHSIG";
const VERSION: u32 = 1;
const LABEL: &str = "SSH SIGNATURE";
/// The width that `ssh-keygen` writes.
const COLUMNS: usize = 70;
/// The longest armored signature in bytes; one with an RSA key of 8192 bits needs less than 4 KiB.
const ARMORED_MAX_BYTES: usize = 16 * 1024;

/// How the message is hashed before it is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HashAlgorithm {
    /// `sha256`.
    Sha256,
    /// `sha512`, what `ssh-keygen` and Lockgate use.
    Sha512,
}

impl HashAlgorithm {
    /// The name in the signature.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        match name {
            "sha256" => Some(Self::Sha256),
            "sha512" => Some(Self::Sha512),
            _ => None,
        }
    }

    fn hash(self, message: &[u8]) -> digest::Digest {
        match self {
            Self::Sha256 => digest::digest(&digest::SHA256, message),
            Self::Sha512 => digest::digest(&digest::SHA512, message),
        }
    }
}

/// Why an SSH signature cannot be read, or does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SshSigError {
    /// Not one armored block.
    #[error(
        "not an SSH signature: write exactly one `-----BEGIN SSH SIGNATURE-----` block, as `ssh-keygen -Y sign` does"
    )]
    NotArmored,
    /// The bytes are cut short, too long, or not an SSHSIG of version 1.
    #[error("the SSH signature is damaged or of another version: sign again")]
    Damaged,
    /// The hash is neither sha256 nor sha512.
    #[error("the SSH signature uses the hash `{0}`: only sha256 and sha512 are accepted")]
    Hash(String),
    /// The key inside the signature is not acceptable.
    #[error("the key inside the SSH signature is refused: {0}")]
    Key(#[from] SshKeyError),
    /// The key inside the signature is not the expected one.
    #[error("signed with the key `{found}`, but the key `{expected}` was expected")]
    OtherKey {
        /// The fingerprint of the key inside the signature.
        found: String,
        /// The fingerprint of the expected key.
        expected: String,
    },
    /// The signature was made for another purpose.
    #[error(
        "signed for the namespace `{found}`, but `{expected}` was expected: a signature counts for one purpose only"
    )]
    OtherNamespace {
        /// The namespace inside the signature.
        found: String,
        /// The expected namespace.
        expected: String,
    },
    /// A namespace must not be empty.
    #[error("the namespace of an SSH signature must not be empty")]
    NoNamespace,
    /// The signature's type is not one that the key makes.
    #[error("a signature of type `{found}` does not count for a `{kind}` key")]
    WrongType {
        /// The type inside the signature.
        found: String,
        /// The kind of the key.
        kind: &'static str,
    },
    /// Nobody touched the security key.
    #[error("the security key signed without a touch: sign again and touch the key when it blinks")]
    NobodyTouched,
    /// A passkey's signature that does not count.
    #[error(transparent)]
    Webauthn(#[from] WebauthnError),
    /// The cryptographic check failed.
    #[error("the SSH signature does not verify: the message was changed, or another key signed it")]
    Invalid,
}

impl SshSigError {
    /// The stable reason code of a signature that did not verify: a passkey's own, else `SIGNATURE_INVALID`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Webauthn(error) => error.code(),
            _ => "SIGNATURE_INVALID",
        }
    }
}

/// A signature together with the key and the purpose that it claims; nothing is believed before [`SshSignature::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshSignature {
    public_key: SshPublicKey,
    namespace: String,
    hash_algorithm: HashAlgorithm,
    blob: Vec<u8>,
}

/// The bytes that an SSH key signs for a message: `SSHSIG`, namespace, reserved, hash algorithm, hash of the message.
pub fn signed_data(namespace: &str, hash_algorithm: HashAlgorithm, message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(namespace.len() + 96);
    out.extend_from_slice(MAGIC);
    put_string(&mut out, namespace.as_bytes());
    put_string(&mut out, b"");
    put_string(&mut out, hash_algorithm.name().as_bytes());
    put_string(&mut out, hash_algorithm.hash(message).as_ref());
    out
}

impl SshSignature {
    /// Puts a signature together from what a key or an agent returned.
    ///
    /// `blob` is in SSH's wire format: type, signature, and what that type adds, such as a security key's counter.
    pub fn new(public_key: SshPublicKey, namespace: &str, hash_algorithm: HashAlgorithm, blob: Vec<u8>) -> Self {
        Self { public_key, namespace: namespace.to_owned(), hash_algorithm, blob }
    }

    /// The key that is said to have signed.
    pub fn public_key(&self) -> &SshPublicKey {
        &self.public_key
    }

    /// The purpose that the signature claims; part of what is signed.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// How the message was hashed.
    pub fn hash_algorithm(&self) -> HashAlgorithm {
        self.hash_algorithm
    }

    /// The signature blob in SSH's wire format.
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// What a security key or passkey says beside the signature; absent for other keys.
    ///
    /// A claim, as everything here: use [`SshSignature::verify_presence`] for what was verified.
    pub fn presence(&self) -> Option<Presence> {
        self.public_key.claimed_presence(&self.blob)
    }

    /// Reads the armored form; white space may stand around it, lines may be of any width.
    ///
    /// # Errors
    /// [`SshSigError`] when it is not one block, or as [`SshSignature::from_bytes`].
    pub fn parse_armored(text: &str) -> Result<Self, SshSigError> {
        if text.len() > ARMORED_MAX_BYTES {
            return Err(SshSigError::NotArmored);
        }
        Self::from_bytes(&armor::decode(LABEL, text).ok_or(SshSigError::NotArmored)?)
    }

    /// Writes the armored form as `ssh-keygen` does, with lines of 70 characters.
    pub fn to_armored(&self) -> String {
        armor::encode(LABEL, &self.to_bytes(), COLUMNS)
    }

    /// Reads the binary form (`PROTOCOL.sshsig`, section 3), with nothing after it.
    ///
    /// Deviation: a reserved field that is not empty is refused, where the specification ignores it; otherwise the same
    /// signature would have many spellings.
    ///
    /// # Errors
    /// [`SshSigError`] for bytes that are not an SSHSIG of version 1, other hashes, and unacceptable keys.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SshSigError> {
        let mut reader = Reader::new(bytes.strip_prefix(MAGIC).ok_or(SshSigError::Damaged)?);
        if reader.uint32() != Some(VERSION) {
            return Err(SshSigError::Damaged);
        }
        let key = reader.string().ok_or(SshSigError::Damaged)?;
        let namespace = reader.text().ok_or(SshSigError::Damaged)?;
        let reserved = reader.string().ok_or(SshSigError::Damaged)?;
        let hash = reader.text().ok_or(SshSigError::Damaged)?;
        let blob = reader.string().ok_or(SshSigError::Damaged)?;
        reader.end().ok_or(SshSigError::Damaged)?;
        if !reserved.is_empty() {
            return Err(SshSigError::Damaged);
        }
        let hash_algorithm = HashAlgorithm::from_name(hash)
            .ok_or_else(|| SshSigError::Hash(hash.chars().filter(|c| !c.is_control()).take(32).collect()))?;
        Ok(Self::new(SshPublicKey::from_wire(key)?, namespace, hash_algorithm, blob.to_vec()))
    }

    /// Writes the binary form.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.public_key.wire().len() + self.blob.len() + 96);
        out.extend_from_slice(MAGIC);
        put_uint32(&mut out, VERSION);
        put_string(&mut out, self.public_key.wire());
        put_string(&mut out, self.namespace.as_bytes());
        put_string(&mut out, b"");
        put_string(&mut out, self.hash_algorithm.name().as_bytes());
        put_string(&mut out, &self.blob);
        out
    }

    /// Verifies that `key` signed `message` for `namespace`.
    ///
    /// A security key must have been touched, and a passkey must have been used at an origin of its RP id. Whether the
    /// device also checked who touched it ([`SshSignature::verify_presence`]), and whether the key is enrolled, is for
    /// the caller.
    ///
    /// # Errors
    /// [`SshSigError`]: another key is never reported as a bad signature, nor the other way round.
    pub fn verify(&self, message: &[u8], namespace: &str, key: &SshPublicKey) -> Result<(), SshSigError> {
        self.verify_presence(message, namespace, key).map(|_| ())
    }

    /// Verifies as [`SshSignature::verify`] does, and gives what a security key or passkey says beside the signature.
    ///
    /// It is absent for keys that are neither.
    ///
    /// # Errors
    /// As [`SshSignature::verify`].
    pub fn verify_presence(
        &self,
        message: &[u8],
        namespace: &str,
        key: &SshPublicKey,
    ) -> Result<Option<Presence>, SshSigError> {
        // 1. The key inside is only a claim: it must be the expected one.
        if self.public_key != *key {
            return Err(SshSigError::OtherKey { found: self.public_key.fingerprint(), expected: key.fingerprint() });
        }
        // 2. A signature for one purpose does not count for another.
        if namespace.is_empty() {
            return Err(SshSigError::NoNamespace);
        }
        if self.namespace != namespace {
            return Err(SshSigError::OtherNamespace {
                found: self.namespace.chars().filter(|c| !c.is_control()).take(160).collect(),
                expected: namespace.to_owned(),
            });
        }
        // 3. What was signed is rebuilt from the caller's own message and namespace.
        let signed = signed_data(namespace, self.hash_algorithm, message);
        // 4. The blob is read strictly and checked with the algorithm of the expected key.
        key.verify_blob(&signed, &self.blob)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
    use lockgate_model::Digest;

    use crate::ssh::wire::put_mpint;

    const NAMESPACE: &str = "promotion-approval.v1@lockgate.dev";

    fn strings(parts: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        for part in parts {
            put_string(&mut out, part);
        }
        out
    }

    fn assertion(application: &[u8], flags: u8, counter: u32, signed: &[u8]) -> Vec<u8> {
        let counter = counter.to_be_bytes();
        let digests = (Digest::of(application), Digest::of(signed));
        [digests.0.as_bytes().as_slice(), &[flags], &counter, digests.1.as_bytes()].concat()
    }

    /// A software stand-in for a security key of either kind.
    fn touch(kind: &str, flags: u8, counter: u32) -> SshSignature {
        let signed = signed_data(NAMESPACE, HashAlgorithm::Sha512, b"message");
        let asserted = assertion(b"ssh:", flags, counter, &signed);
        let (wire, bare) = if kind.contains("ed25519") {
            let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
            let wire = strings(&[kind.as_bytes(), pair.public_key().as_ref(), b"ssh:"]);
            (wire, pair.sign(&asserted).as_ref().to_vec())
        } else {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
            let wire = strings(&[kind.as_bytes(), b"nistp256", pair.public_key().as_ref(), b"ssh:"]);
            let fixed = pair.sign(&SystemRandom::new(), &asserted).unwrap().as_ref().to_vec();
            let (r, s) = fixed.split_at(32);
            let mut numbers = Vec::new();
            put_mpint(&mut numbers, r);
            put_mpint(&mut numbers, s);
            (wire, numbers)
        };
        let mut blob = strings(&[kind.as_bytes(), &bare]);
        blob.push(flags);
        blob.extend_from_slice(&counter.to_be_bytes());
        SshSignature::new(SshPublicKey::from_wire(&wire).unwrap(), NAMESPACE, HashAlgorithm::Sha512, blob)
    }

    #[test]
    fn security_keys_count_only_when_touched() {
        for kind in ["sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"] {
            let check =
                |signature: &SshSignature, message: &[u8]| signature.verify(message, NAMESPACE, &signature.public_key);
            let good = touch(kind, 0x01, 42);
            assert_eq!(check(&good, b"message"), Ok(()), "{kind}");
            assert_eq!(check(&touch(kind, 0x05, 0), b"message"), Ok(()), "{kind}");
            assert_eq!(check(&good, b"messagf"), Err(SshSigError::Invalid), "{kind}");
            assert_eq!(check(&touch(kind, 0x00, 42), b"message"), Err(SshSigError::NobodyTouched), "{kind}");
            assert_eq!(check(&touch(kind, 0x04, 42), b"message"), Err(SshSigError::NobodyTouched), "{kind}");

            // Flags and counter are signed, and nothing may follow them.
            let edit = |change: fn(&mut Vec<u8>)| {
                let mut edited = good.clone();
                change(&mut edited.blob);
                check(&edited, b"message")
            };
            assert_eq!(edit(|blob| *blob.last_mut().unwrap() ^= 1), Err(SshSigError::Invalid), "{kind}");
            assert_eq!(edit(|blob| blob.push(0)), Err(SshSigError::Damaged), "{kind}");
            assert_eq!(edit(|blob| blob.truncate(blob.len() - 1)), Err(SshSigError::Damaged), "{kind}");
        }
    }

    #[test]
    fn armored_form_round_trips_and_is_strict() {
        let signature = touch("sk-ssh-ed25519@openssh.com", 1, 1);
        let text = signature.to_armored();
        assert!(text.lines().all(|line| line.len() <= 70));
        assert_eq!(SshSignature::parse_armored(&text), Ok(signature.clone()));
        assert_eq!(SshSignature::parse_armored(&text[..text.len() / 2]), Err(SshSigError::NotArmored));
        assert_eq!(SshSignature::parse_armored(&text.repeat(2)), Err(SshSigError::NotArmored));

        let bytes = signature.to_bytes();
        for cut in 0..bytes.len() {
            assert_eq!(SshSignature::from_bytes(&bytes[..cut]), Err(SshSigError::Damaged), "{cut}");
        }
        assert_eq!(SshSignature::from_bytes(&[&bytes[..], &[0]].concat()), Err(SshSigError::Damaged));
        let mut version_2 = bytes.clone();
        version_2[9] = 2;
        assert_eq!(SshSignature::from_bytes(&version_2), Err(SshSigError::Damaged));
    }

    #[test]
    fn refuses_other_hashes_and_a_reserved_field() {
        let signature = touch("sk-ssh-ed25519@openssh.com", 1, 1);
        let build = |reserved: &[u8], hash: &[u8]| {
            let rest = strings(&[signature.public_key.wire(), b"ns", reserved, hash, &signature.blob]);
            SshSignature::from_bytes(&[b"SSHSIG\0\0\0\x01".as_slice(), &rest].concat())
        };
        assert!(build(b"", b"sha256").is_ok());
        assert_eq!(build(b"", b"sha1"), Err(SshSigError::Hash("sha1".to_owned())));
        assert_eq!(build(b"x", b"sha512"), Err(SshSigError::Damaged));
    }

    #[test]
    fn refuses_another_key_purpose_or_type() {
        let signature = touch("sk-ecdsa-sha2-nistp256@openssh.com", 1, 1);
        let other = touch("sk-ecdsa-sha2-nistp256@openssh.com", 1, 1).public_key;
        let key = &signature.public_key;
        assert!(matches!(signature.verify(b"message", NAMESPACE, &other), Err(SshSigError::OtherKey { .. })));
        assert!(matches!(signature.verify(b"message", "waiver", key), Err(SshSigError::OtherNamespace { .. })));
        assert_eq!(signature.verify(b"message", "", key), Err(SshSigError::NoNamespace));

        let mut retyped = signature.clone();
        retyped.blob = strings(&[b"ecdsa-sha2-nistp256", b"x"]);
        let refused = SshSigError::WrongType {
            found: "ecdsa-sha2-nistp256".to_owned(),
            kind: "sk-ecdsa-sha2-nistp256@openssh.com",
        };
        assert_eq!(retyped.verify(b"message", NAMESPACE, key), Err(refused));
    }
}
