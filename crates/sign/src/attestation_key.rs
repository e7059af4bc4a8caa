//! The attestation key: the server's ECDSA P-256 key, the one kind that every verifier of bundles accepts.

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};

use crate::public_key::{PublicKey, SignatureError};

/// A private key that signs what Lockgate attests.
///
/// It never appears in `Debug` output. Keeping it safe at rest is the caller's business.
pub struct AttestationKey {
    pair: EcdsaKeyPair,
    pkcs8: Vec<u8>,
    public: PublicKey,
}

impl AttestationKey {
    /// Makes a new key with the cryptographic library's own generator.
    ///
    /// # Errors
    /// [`SignatureError::Failed`] when the library has no randomness.
    pub fn generate() -> Result<Self, SignatureError> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(|_| SignatureError::Failed)?;
        let document = pair.to_pkcs8v1().map_err(|_| SignatureError::Failed)?;
        Self::from_pkcs8(document.as_ref())
    }

    /// Reads a P-256 private key in unencrypted PKCS#8 (RFC 5208).
    ///
    /// # Errors
    /// [`SignatureError::BadPrivateKey`] for anything else.
    pub fn from_pkcs8(bytes: &[u8]) -> Result<Self, SignatureError> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, bytes)
            .map_err(|_| SignatureError::BadPrivateKey)?;
        let public =
            PublicKey::from_p256_uncompressed(pair.public_key().as_ref()).map_err(|_| SignatureError::BadPrivateKey)?;
        Ok(Self { pair, pkcs8: bytes.to_vec(), public })
    }

    /// The private key in unencrypted PKCS#8, as it was read or made.
    pub fn to_pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// The public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs a message with ECDSA P-256 and SHA-256; the signature is ASN.1 DER and differs each time.
    ///
    /// # Errors
    /// [`SignatureError::Failed`] when the library cannot sign.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignatureError> {
        let signature = self.pair.sign(&SystemRandom::new(), message).map_err(|_| SignatureError::Failed)?;
        Ok(signature.as_ref().to_vec())
    }
}

impl fmt::Debug for AttestationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AttestationKey({})", self.public.keyid_ssh())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_what_its_public_key_verifies() {
        let key = AttestationKey::generate().unwrap();
        let again = AttestationKey::from_pkcs8(key.to_pkcs8()).unwrap();
        assert_eq!(again.public(), key.public());
        let signature = again.sign(b"message").unwrap();
        assert_eq!(key.public().verify(b"message", &signature), Ok(()));
        assert_eq!(key.public().verify(b"messagf", &signature), Err(SignatureError::Invalid));
        let other = AttestationKey::generate().unwrap();
        assert_eq!(other.public().verify(b"message", &signature), Err(SignatureError::Invalid));
        let longer = [signature.as_slice(), &[0]].concat();
        assert_eq!(key.public().verify(b"message", &longer), Err(SignatureError::Invalid));
    }

    #[test]
    fn debug_does_not_leak() {
        let key = AttestationKey::generate().unwrap();
        assert_eq!(format!("{key:?}"), format!("AttestationKey({})", key.public().keyid_ssh()));
        assert_eq!(AttestationKey::from_pkcs8(b"nonsense").unwrap_err(), SignatureError::BadPrivateKey);
    }
}
