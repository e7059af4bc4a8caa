//! A software passkey: what an authenticator and a browser do together, without either.
//!
//! It has no hardware, asks nobody, and says that somebody was there all the same. It is for demonstrations and tests,
//! and for nothing else: whoever can read its file can sign. Everything but that is real: the signatures are those that
//! a browser's passkey makes, and verifiers cannot tell them apart.

use std::fmt;
use std::path::Path;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use lockgate_model::json::{self, Numbers};
use lockgate_model::{Digest, Limits};
use serde::{Deserialize, Serialize};

use crate::ssh::presence::{BACKED_UP, BACKUP_ELIGIBLE, USER_PRESENT, USER_VERIFIED};
use crate::ssh::webauthn::SIGNATURE_TYPE;
use crate::ssh::wire::{ecdsa_numbers, put_string, put_uint32};
use crate::ssh::{RpId, SshPublicKey, SshSignature, WebOrigin, signed_data};
use crate::ssh_signer::{HASH, SignerError, SshSigner, check_namespace};

/// What messages say instead of a path when the passkey did not come from a file.
const NO_PATH: &str = "FILE";

/// A passkey in software, for demonstrations and tests alone; the private half never appears in `Debug` output.
pub struct SoftPasskey {
    pair: EcdsaKeyPair,
    pkcs8: Vec<u8>,
    public: SshPublicKey,
    rp_id: RpId,
    origin: WebOrigin,
    flags: u8,
}

/// A software passkey as a file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PasskeyFile {
    /// Always [`SoftPasskey::SCHEMA`].
    schema: String,
    /// What the file is, for whoever finds it.
    note: String,
    rp_id: RpId,
    origin: WebOrigin,
    /// Whether it says that the device knew who used it.
    user_verified: bool,
    /// Whether it says that it is copied to other devices.
    synced: bool,
    /// The private key in unencrypted PKCS#8, base64.
    pkcs8: String,
}

impl SoftPasskey {
    /// The schema of a software passkey's file.
    pub const SCHEMA: &'static str = "https://lockgate.dev/soft-passkey/v1";
    /// How the name of a software passkey's file ends.
    pub const FILE_SUFFIX: &'static str = ".passkey.json";

    const NOTE: &'static str = "a software passkey for demonstrations and tests: it has no hardware and asks nobody";

    /// Makes a new passkey for the host of `origin`, with the cryptographic library's own generator.
    ///
    /// It says that the person in front of it was verified, and that it exists once.
    ///
    /// # Errors
    /// [`SignerError::Failed`] when the library has no randomness.
    pub fn generate(origin: &WebOrigin) -> Result<Self, SignerError> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| SignerError::Failed)?;
        let document = pair.to_pkcs8v1().map_err(|_| SignerError::Failed)?;
        Self::from_pkcs8(document.as_ref(), origin.host().clone(), origin.clone())
    }

    /// Reads the private key from unencrypted PKCS#8 (RFC 5208).
    ///
    /// # Errors
    /// [`SignerError::Damaged`] when it is not a P-256 key.
    pub fn from_pkcs8(bytes: &[u8], rp_id: RpId, origin: WebOrigin) -> Result<Self, SignerError> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, bytes)
            .map_err(|_| SignerError::Damaged("it is not a P-256 key in PKCS#8"))?;
        let public = SshPublicKey::passkey_from_point(&rp_id, pair.public_key().as_ref())?;
        Ok(Self { pair, pkcs8: bytes.to_vec(), public, rp_id, origin, flags: USER_PRESENT | USER_VERIFIED })
    }

    /// The private key in unencrypted PKCS#8, as it was read or made.
    pub fn to_pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// Reads the text of a software passkey's file.
    ///
    /// # Errors
    /// [`SignerError::NotPasskey`], or [`SignerError::Damaged`] when the key inside it is none.
    pub fn from_json(text: &str) -> Result<Self, SignerError> {
        Self::from_text(text, NO_PATH)
    }

    /// Loads a software passkey's file.
    ///
    /// # Errors
    /// [`SignerError::Unreadable`], or as [`SoftPasskey::from_json`].
    pub fn load(path: &Path) -> Result<Self, SignerError> {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| SignerError::Unreadable { path: shown.clone(), reason: error.to_string() })?;
        Self::from_text(&text, &shown)
    }

    /// The text of the passkey's file. Write it readable by its owner only.
    ///
    /// # Errors
    /// [`SignerError::Failed`] when it cannot be written as JSON.
    pub fn to_json(&self) -> Result<String, SignerError> {
        let file = PasskeyFile {
            schema: Self::SCHEMA.to_owned(),
            note: Self::NOTE.to_owned(),
            rp_id: self.rp_id.clone(),
            origin: self.origin.clone(),
            user_verified: self.flags & USER_VERIFIED != 0,
            synced: self.flags & BACKED_UP != 0,
            pkcs8: STANDARD.encode(&self.pkcs8),
        };
        let text = serde_json::to_string_pretty(&file).map_err(|_| SignerError::Failed)?;
        Ok(format!("{text}\n"))
    }

    /// Where the passkey pretends to be used.
    pub fn origin(&self) -> &WebOrigin {
        &self.origin
    }

    /// The same passkey, used at another origin: a browser would do this only for its own RP id.
    #[must_use]
    pub fn at(self, origin: WebOrigin) -> Self {
        Self { origin, ..self }
    }

    /// The same passkey, touched by someone whom it does not know: no PIN and no biometrics.
    #[must_use]
    pub fn without_user_verification(self) -> Self {
        Self { flags: self.flags & !USER_VERIFIED, ..self }
    }

    /// The same passkey, copied to the owner's other devices.
    #[must_use]
    pub fn synced(self) -> Self {
        Self { flags: self.flags | BACKUP_ELIGIBLE | BACKED_UP, ..self }
    }

    fn from_text(text: &str, path: &str) -> Result<Self, SignerError> {
        let refused = |reason: String| SignerError::NotPasskey { path: path.to_owned(), reason };
        let file: PasskeyFile = json::read_as(text.as_bytes(), &Limits::DEFAULT, Numbers::Integers)
            .map_err(|error| refused(error.to_string()))?;
        if file.schema != Self::SCHEMA {
            return Err(refused(format!("its schema is not `{}`", Self::SCHEMA)));
        }
        let pkcs8 = STANDARD.decode(&file.pkcs8).map_err(|_| refused("its key is not base64".to_owned()))?;
        let passkey = Self::from_pkcs8(&pkcs8, file.rp_id, file.origin)?;
        let passkey = if file.user_verified { passkey } else { passkey.without_user_verification() };
        Ok(if file.synced { passkey.synced() } else { passkey })
    }

    /// The client data that a browser makes for the bytes to sign (WebAuthn Level 3, section 5.8.1.1).
    fn client_data(&self, signed: &[u8]) -> String {
        let challenge = URL_SAFE_NO_PAD.encode(signed);
        let origin = &self.origin;
        format!(r#"{{"type":"webauthn.get","challenge":"{challenge}","origin":"{origin}","crossOrigin":false}}"#)
    }

    /// Signs client data as an authenticator does, and puts the answer into the form that SSHSIG carries.
    fn blob(&self, flags: u8, counter: u32, client_data: &[u8], extensions: &[u8]) -> Result<Vec<u8>, SignerError> {
        let mut message = Vec::with_capacity(69 + extensions.len());
        message.extend_from_slice(Digest::of(self.rp_id.as_str().as_bytes()).as_bytes());
        message.push(flags);
        put_uint32(&mut message, counter);
        message.extend_from_slice(extensions);
        message.extend_from_slice(Digest::of(client_data).as_bytes());
        let signature = self.pair.sign(&SystemRandom::new(), &message).map_err(|_| SignerError::Failed)?;
        let numbers = ecdsa_numbers(signature.as_ref()).ok_or(SignerError::Failed)?;

        let mut blob = Vec::with_capacity(client_data.len() + 256);
        put_string(&mut blob, SIGNATURE_TYPE.as_bytes());
        put_string(&mut blob, &numbers);
        blob.push(flags);
        put_uint32(&mut blob, counter);
        put_string(&mut blob, self.origin.to_string().as_bytes());
        put_string(&mut blob, client_data);
        put_string(&mut blob, extensions);
        Ok(blob)
    }
}

impl SshSigner for SoftPasskey {
    fn public_key(&self) -> &SshPublicKey {
        &self.public
    }

    fn sign(&self, namespace: &str, message: &[u8]) -> Result<SshSignature, SignerError> {
        check_namespace(namespace)?;
        let client_data = self.client_data(&signed_data(namespace, HASH, message));
        // Synced passkeys report a counter of 0, and so do most others.
        let blob = self.blob(self.flags, 0, client_data.as_bytes(), b"")?;
        Ok(SshSignature::new(self.public.clone(), namespace, HASH, blob))
    }
}

impl fmt::Debug for SoftPasskey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SoftPasskey({}, {})", self.rp_id, self.public.fingerprint())
    }
}

#[cfg(test)]
#[path = "passkey_tests.rs"]
mod tests;
