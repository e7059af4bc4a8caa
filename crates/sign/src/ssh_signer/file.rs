//! Signing with a key file.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use aws_lc_rs::encoding::{AsBigEndian as _, Curve25519SeedBin};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use lockgate_model::Limits;

use crate::ssh::wire::{ecdsa_numbers, put_string};
use crate::ssh::{SshKeyKind, SshPublicKey, SshSignature, signed_data};
use crate::ssh_signer::openssh_key::{self, Secret};
use crate::ssh_signer::{HASH, SignerError, SshSigner, check_namespace};

/// What messages say instead of a path when the key did not come from a file.
const NO_PATH: &str = "FILE";

/// Signs with an unencrypted Ed25519 or ECDSA key from a file; the private half never appears in `Debug` output.
pub struct FileSigner {
    public: SshPublicKey,
    key: PrivateKey,
    comment: String,
    pem: String,
}

enum PrivateKey {
    Ed25519(Ed25519KeyPair),
    Ecdsa(EcdsaKeyPair),
}

impl FileSigner {
    /// Loads a private key file as `ssh-keygen` writes it.
    ///
    /// # Errors
    /// [`SignerError`] when the file cannot be read, is encrypted, or holds something else; the message says what to do.
    pub fn load(path: &Path) -> Result<Self, SignerError> {
        let shown = path.display().to_string();
        let mut text = String::new();
        File::open(path)
            .and_then(|file| file.take(Limits::DEFAULT.key_file_bytes).read_to_string(&mut text))
            .map_err(|error| SignerError::Unreadable { path: shown.clone(), reason: error.to_string() })?;
        Self::from_text(&text, &shown)
    }

    /// Reads the text of a private key file (OpenSSH `PROTOCOL.key`).
    ///
    /// # Errors
    /// As [`FileSigner::load`], with `FILE` in the place of the path.
    pub fn from_openssh_pem(text: &str) -> Result<Self, SignerError> {
        Self::from_text(text, NO_PATH)
    }

    /// Makes a new Ed25519 key with the cryptographic library's own generator.
    ///
    /// # Errors
    /// [`SignerError::BadComment`], or [`SignerError::Failed`] when the library has no randomness.
    pub fn generate_ed25519(comment: &str) -> Result<Self, SignerError> {
        let pair = Ed25519KeyPair::generate().map_err(|_| SignerError::Failed)?;
        let seed = pair.seed().map_err(|_| SignerError::Failed)?;
        let bytes: Curve25519SeedBin<'static> = seed.as_be_bytes().map_err(|_| SignerError::Failed)?;
        let bytes: &[u8] = bytes.as_ref();
        let seed: [u8; 32] = bytes.try_into().map_err(|_| SignerError::Failed)?;
        Self::ed25519_from_seed(&seed, comment)
    }

    /// Makes the Ed25519 key that belongs to a seed of 32 random bytes.
    ///
    /// # Errors
    /// [`SignerError::BadComment`], or [`SignerError::Failed`] when the library refuses the seed.
    pub fn ed25519_from_seed(seed: &[u8; 32], comment: &str) -> Result<Self, SignerError> {
        if comment.chars().any(char::is_control) {
            return Err(SignerError::BadComment);
        }
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| SignerError::Failed)?;
        let public: &[u8] = pair.public_key().as_ref();
        let public: [u8; 32] = public.try_into().map_err(|_| SignerError::Failed)?;
        Self::from_openssh_pem(&openssh_key::encode_ed25519(seed, &public, comment))
    }

    /// The text of the private key file. Write it readable by its owner only.
    pub fn to_openssh_pem(&self) -> &str {
        &self.pem
    }

    /// The public key as one line with the comment, without line feed, as in a `.pub` file.
    pub fn public_line(&self) -> String {
        match self.comment.is_empty() {
            true => self.public.to_string(),
            false => format!("{} {}", self.public, self.comment),
        }
    }

    fn from_text(text: &str, path: &str) -> Result<Self, SignerError> {
        let decoded = openssh_key::decode(text, path)?;
        let mismatch = SignerError::Damaged("its private and public half do not belong together");
        let key = match decoded.secret {
            Secret::Ed25519 { seed, public } => {
                Ed25519KeyPair::from_seed_and_public_key(&seed, &public).map(PrivateKey::Ed25519)
            }
            Secret::Ecdsa { scalar, point } => {
                let algorithm = match decoded.public.kind() {
                    SshKeyKind::EcdsaP384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
                    _ => &ECDSA_P256_SHA256_FIXED_SIGNING,
                };
                EcdsaKeyPair::from_private_key_and_public_key(algorithm, &scalar, &point).map(PrivateKey::Ecdsa)
            }
        }
        .map_err(|_| mismatch)?;
        let comment = decoded.comment.chars().filter(|character| !character.is_control()).collect();
        Ok(Self { public: decoded.public, key, comment, pem: text.to_owned() })
    }

    /// Signs and puts the signature into SSH's form for the kind of key (RFC 8709, section 6; RFC 5656, section 3.1.2).
    fn bare_signature(&self, data: &[u8]) -> Result<Vec<u8>, SignerError> {
        match &self.key {
            PrivateKey::Ed25519(pair) => {
                let signature = pair.try_sign(data).map_err(|_| SignerError::Failed)?;
                Ok(signature.as_ref().to_vec())
            }
            PrivateKey::Ecdsa(pair) => {
                let signature = pair.sign(&SystemRandom::new(), data).map_err(|_| SignerError::Failed)?;
                ecdsa_numbers(signature.as_ref()).ok_or(SignerError::Failed)
            }
        }
    }
}

impl SshSigner for FileSigner {
    fn public_key(&self) -> &SshPublicKey {
        &self.public
    }

    fn sign(&self, namespace: &str, message: &[u8]) -> Result<SshSignature, SignerError> {
        check_namespace(namespace)?;
        let bare = self.bare_signature(&signed_data(namespace, HASH, message))?;
        let mut blob = Vec::with_capacity(bare.len() + 64);
        put_string(&mut blob, self.public.kind().name().as_bytes());
        put_string(&mut blob, &bare);
        Ok(SshSignature::new(self.public.clone(), namespace, HASH, blob))
    }
}

impl fmt::Debug for FileSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileSigner({})", self.public.fingerprint())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_round_trips() {
        let signer = FileSigner::ed25519_from_seed(&[7; 32], "dana@example").unwrap();
        let again = FileSigner::from_openssh_pem(signer.to_openssh_pem()).unwrap();
        assert_eq!(again.public_line(), signer.public_line());
        assert!(signer.public_line().ends_with(" dana@example"));
        assert_eq!(signer.public_line().parse::<SshPublicKey>().unwrap(), *signer.public_key());
        let signature = again.sign("ns", b"message").unwrap();
        assert_eq!(signature.verify(b"message", "ns", signer.public_key()), Ok(()));
        assert_eq!(format!("{signer:?}"), format!("FileSigner({})", signer.public_key().fingerprint()));
        for length in 0..9 {
            let comment = "c".repeat(length);
            let signer = FileSigner::ed25519_from_seed(&[7; 32], &comment).unwrap();
            assert_eq!(signer.public_line().trim_end(), format!("{} {comment}", signer.public_key()).trim_end());
        }
    }

    #[test]
    fn generated_keys_differ() {
        let (first, second) = (FileSigner::generate_ed25519("").unwrap(), FileSigner::generate_ed25519("").unwrap());
        assert_ne!(first.public_key(), second.public_key());
    }

    #[test]
    fn says_what_is_wrong() {
        let error = |text: &str| FileSigner::from_openssh_pem(text).unwrap_err();
        let good = FileSigner::ed25519_from_seed(&[7; 32], "c").unwrap();
        let not_openssh = SignerError::NotOpenSsh { path: "FILE".to_owned() };
        assert_eq!(error(""), not_openssh);
        assert_eq!(error(&good.to_openssh_pem().replace("OPENSSH", "EC")), not_openssh);
        assert_eq!(good.sign("", b"x"), Err(SignerError::NoNamespace));
        assert_eq!(FileSigner::ed25519_from_seed(&[7; 32], "a\nb").unwrap_err(), SignerError::BadComment);
        let missing = FileSigner::load(Path::new("/nonexistent/key")).unwrap_err();
        assert!(matches!(missing, SignerError::Unreadable { .. }));
    }

    #[test]
    fn refuses_every_changed_or_cut_file() {
        let pem = FileSigner::ed25519_from_seed(&[7; 32], "").unwrap().to_openssh_pem().to_owned();
        let bytes = crate::armor::decode("OPENSSH PRIVATE KEY", &pem).unwrap();
        let load = |bytes: &[u8]| FileSigner::from_openssh_pem(&crate::armor::encode("OPENSSH PRIVATE KEY", bytes, 70));
        assert!(load(&bytes).is_ok());
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x10;
            assert!(load(&changed).is_err(), "{at}");
            assert!(at == 0 || load(&bytes[..at]).is_err(), "{at}");
        }
    }
}
