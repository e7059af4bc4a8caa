//! The verifier: the one place that knows the library behind it.
//!
//! Steps of the client specification (`sigstore/architecture-docs`, `client-spec.md`, section 4), all of them by
//! `sigstore-verify`: time, chain, certificate log, inclusion proof and checkpoint, signature, and that the log entry is
//! about this very bundle. What is decided here is which steps apply, what each failure means, and whom a certificate
//! names: that is read a second time by our own reader, and the two must agree.
//!
//! The library reads the machine's clock for one purpose: to refuse what lies in the future. A clock that is behind can
//! refuse a good bundle; no clock makes it accept a bad one.

use std::panic::{AssertUnwindSafe, catch_unwind};

use lockgate_model::json::{self, Numbers};
use lockgate_model::{Digest, Limits, UnixMillis};
use lockgate_sign::PublicKey;
use lockgate_sign::dsse::Envelope;
use serde_json::Value;
use sigstore_verify::crypto::{KeyAlgorithm, verify_signature_prehashed};
use sigstore_verify::trust_root::TrustedRoot;
use sigstore_verify::types::{
    Artifact, Bundle as LibraryBundle, DerPublicKey, HashAlgorithm, Sha256Hash, SignatureBytes,
};
use sigstore_verify::{
    CertificateError, Error, PublicKeyVerificationPolicy, TimestampError, TransparencyLogError, VerificationPolicy,
    VerificationResult, Verifier,
};

use crate::bundle::{Bundle, Content, Material};
use crate::certificate::CertificateFacts;
use crate::outcome::{Level, Log, Outcome, Reason, Refusal, Signed};
use crate::root::TrustRoot;

/// What a bundle has to be about.
#[derive(Debug, Clone, Copy)]
pub enum Subject<'a> {
    /// These bytes.
    Bytes(&'a [u8]),
    /// The bytes with this SHA-256.
    Digest(Digest),
}

/// Who has to have signed.
#[derive(Debug, Clone, Copy)]
pub enum Expected<'a> {
    /// Anyone with a certificate; the caller looks at the identity afterwards.
    AnyIdentity,
    /// Exactly this identity of this issuer.
    Identity {
        /// The certificate's subject alternative name.
        name: &'a str,
        /// The issuer of its OpenID token.
        issuer: &'a str,
    },
    /// This key.
    Key(&'a PublicKey),
}

/// Verifies bundles under one trust root, without a network.
pub trait BundleVerifier {
    /// Verifies that a bundle is about `subject` and signed as `expected`.
    ///
    /// It is total: whatever the bundle holds, there is an [`Outcome`].
    fn verify(&self, bundle: &Bundle, subject: Subject<'_>, expected: Expected<'_>) -> Outcome;
}

/// The verifier that everything here uses.
pub struct OfflineVerifier {
    verifier: Verifier,
    certificate_logs: bool,
}

impl OfflineVerifier {
    /// Makes a verifier of a trust root.
    ///
    /// # Errors
    /// [`Reason::TrustRootInvalid`] when a key, certificate or validity of the root cannot be used.
    pub fn new(root: &TrustRoot) -> Result<Self, Refusal> {
        let invalid = |detail: String| Refusal::new(Reason::TrustRootInvalid, format!("the trust root: {detail}"));
        guarded(|| {
            let parsed = TrustedRoot::from_json(root.text()).map_err(|error| invalid(error.to_string()))?;
            let verifier = Verifier::new(&parsed).map_err(|error| invalid(error.to_string()))?;
            Ok(Self { verifier, certificate_logs: root.logs_certificates() })
        })
        .unwrap_or_else(|| Err(invalid("the verifier failed on it".to_owned())))
    }

    fn keyless(&self, bundle: &Bundle, der: &[u8], subject: Subject<'_>) -> Result<Signed, Refusal> {
        let facts = CertificateFacts::parse(der)?;
        // The library takes a bundle without any proof of time for one that does not read.
        if bundle.is_bare() {
            let detail =
                "the bundle holds neither a log entry nor a timestamp, so that nothing proves when it was signed";
            return Err(Refusal::new(Reason::TimeMissing, detail));
        }
        let mut policy = VerificationPolicy::any_identity();
        // A private instance may have no certificate log, and no log at all; the outcome says so.
        if !self.certificate_logs {
            policy = policy.skip_sct();
        }
        if !bundle.is_logged() {
            policy = policy.skip_tlog_unsafe();
        }
        let library = library_bundle(bundle)?;
        let result = match subject {
            Subject::Bytes(bytes) => self.verifier.verify(Artifact::from(bytes), &library, &policy),
            Subject::Digest(digest) => self.verifier.verify(Artifact::from(hash(&digest)?), &library, &policy),
        }
        .map_err(|error| refusal(&error))?;
        // INVARIANT (one reading of a certificate): the library's and ours agree, or nothing is believed.
        let name = result.identity().map(|name| name.to_string());
        let issuer = result.issuer().map(|issuer| issuer.to_string());
        if name.as_deref() != Some(facts.identity.name.as_str())
            || issuer.as_deref() != Some(facts.identity.issuer.as_str())
        {
            let detail = "the certificate can be read in two ways, so that it names nobody";
            return Err(Refusal::new(Reason::Malformed, detail));
        }
        let time = earliest(&result)
            .ok_or_else(|| Refusal::new(Reason::TimeMissing, "nothing proves when the bundle was signed"))?;
        Ok(Signed {
            identity: Some(facts.identity),
            key: facts.key,
            level: Level::Keyless,
            time: Some(time),
            log: log_of(bundle),
        })
    }

    fn managed(&self, bundle: &Bundle, key: &PublicKey, subject: Subject<'_>) -> Result<Signed, Refusal> {
        let public = DerPublicKey::from_pem(&key.to_pem())
            .map_err(|error| Refusal::new(Reason::Unsupported, format!("the key: {error}")))?;
        if bundle.is_bare() {
            check_bare(bundle, key, &public, subject)?;
            let key = Digest::of(key.spki_der());
            return Ok(Signed { identity: None, key, level: Level::ManagedKey, time: None, log: Log::Absent });
        }
        let mut policy = PublicKeyVerificationPolicy::new(public);
        if !bundle.is_logged() {
            policy = policy.skip_tlog_unsafe();
        }
        let library = library_bundle(bundle)?;
        let result = match subject {
            Subject::Bytes(bytes) => self.verifier.verify(Artifact::from(bytes), &library, &policy),
            Subject::Digest(digest) => self.verifier.verify(Artifact::from(hash(&digest)?), &library, &policy),
        }
        .map_err(|error| refusal(&error))?;
        Ok(Signed {
            identity: None,
            key: Digest::of(key.spki_der()),
            level: Level::ManagedKey,
            time: earliest(&result),
            log: log_of(bundle),
        })
    }

    fn check(&self, bundle: &Bundle, subject: Subject<'_>, expected: Expected<'_>) -> Result<Outcome, Refusal> {
        match (bundle.material(), expected) {
            (Material::Key { .. }, Expected::Key(key)) => Ok(Outcome::proved(self.managed(bundle, key, subject)?)),
            (Material::Certificate(_), Expected::Key(_)) => {
                let detail = "the bundle was signed with a certificate, and a pinned key was expected";
                Err(Refusal::new(Reason::SignatureType, detail))
            }
            (Material::Key { .. }, Expected::AnyIdentity | Expected::Identity { .. }) => {
                let detail = "the bundle was signed with a key, and an identity was expected";
                Err(Refusal::new(Reason::SignatureType, detail))
            }
            (Material::Certificate(der), Expected::AnyIdentity) => {
                Ok(Outcome::proved(self.keyless(bundle, der, subject)?))
            }
            (Material::Certificate(der), Expected::Identity { name, issuer }) => {
                let signed = self.keyless(bundle, der, subject)?;
                let found = signed.identity.as_ref();
                match found.is_some_and(|identity| identity.name == name && identity.issuer == issuer) {
                    true => Ok(Outcome::proved(signed)),
                    false => {
                        let found = found
                            .map(|identity| format!("`{}` of {}", identity.name, identity.issuer))
                            .unwrap_or_default();
                        let detail = format!("signed by {found}, and not by `{name}` of {issuer}");
                        Err(Refusal::new(Reason::SignerMismatch, detail))
                    }
                }
            }
        }
    }
}

impl BundleVerifier for OfflineVerifier {
    fn verify(&self, bundle: &Bundle, subject: Subject<'_>, expected: Expected<'_>) -> Outcome {
        match guarded(|| self.check(bundle, subject, expected)) {
            Some(Ok(outcome)) => outcome,
            Some(Err(refusal)) => refusal.into(),
            None => Outcome::refused(Reason::Unsupported, "the verifier failed on this bundle"),
        }
    }
}

/// Whether a bundle's one signature is by a key, whatever its log entries and timestamps say; does not ask what else a
/// bundle needs to count.
///
/// `None` where only the artifact's bytes could tell, as for Ed25519 over a file.
pub fn is_signed_by(bundle: &Bundle, key: &PublicKey, subject: Digest) -> Option<bool> {
    guarded(|| match bundle.content() {
        Content::Envelope(envelope) => Some(!envelope.verify(std::slice::from_ref(key)).is_empty()),
        Content::Message { signature, .. } => {
            let public = DerPublicKey::from_pem(&key.to_pem()).ok()?;
            verify_digest(&public, &subject, signature).ok()
        }
    })
    .flatten()
}

/// Runs the library; a panic in it is an outcome like any other, and never an open door.
fn guarded<T>(run: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(run)).ok()
}

/// Checks a key's signature with nothing beside it: the library does not look at bundles without a log entry and without
/// a timestamp, and a pinned key needs neither to be proved.
fn check_bare(bundle: &Bundle, key: &PublicKey, public: &DerPublicKey, subject: Subject<'_>) -> Result<(), Refusal> {
    let invalid = |detail: &str| Err(Refusal::new(Reason::SignatureInvalid, detail));
    let mismatch = || Err(Refusal::new(Reason::ArtifactMismatch, "the bundle is about other bytes"));
    let digest = match subject {
        Subject::Bytes(bytes) => Digest::of(bytes),
        Subject::Digest(digest) => digest,
    };
    match bundle.content() {
        Content::Envelope(envelope) => {
            if envelope.verify(std::slice::from_ref(key)).is_empty() {
                return invalid("the envelope was not signed by this key");
            }
            match names(envelope, &digest) {
                true => Ok(()),
                false => mismatch(),
            }
        }
        Content::Message { digest: declared, signature } => {
            if declared.is_some_and(|declared| declared != digest) {
                return mismatch();
            }
            let verified = match subject {
                Subject::Bytes(bytes) => key.verify(bytes, signature).is_ok(),
                Subject::Digest(_) => verify_digest(public, &digest, signature)?,
            };
            match verified {
                true => Ok(()),
                false => invalid("this key did not sign these bytes"),
            }
        }
    }
}

/// Whether an envelope's statement names this artifact; what does not read names nothing.
fn names(envelope: &Envelope, digest: &Digest) -> bool {
    let is_statement = envelope.payload_type == "application/vnd.in-toto+json";
    let Ok(statement) = json::read(&envelope.payload, &Limits::DEFAULT, Numbers::Any) else { return false };
    let subjects = statement.get("subject").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let hex = digest.hex();
    let is_named = |subject: &Value| subject.pointer("/digest/sha256").and_then(Value::as_str) == Some(hex.as_str());
    is_statement && subjects.iter().any(is_named)
}

/// Whether a key signed the bytes with this SHA-256; only some kinds of keys sign a hash of that kind.
fn verify_digest(public: &DerPublicKey, digest: &Digest, signature: &[u8]) -> Result<bool, Refusal> {
    let unsupported = |detail: &str| Refusal::new(Reason::Unsupported, detail);
    let algorithm = KeyAlgorithm::from_spki(public).map_err(|error| unsupported(&error.to_string()))?;
    let scheme = algorithm.default_signing_scheme();
    if scheme.hash_algorithm() != Some(HashAlgorithm::Sha2256) {
        return Err(unsupported(
            "a signature by a key of this kind is verified over the file, and not over its digest",
        ));
    }
    let signature = SignatureBytes::from_bytes(signature);
    Ok(verify_signature_prehashed(public, digest.as_bytes(), &signature, scheme).is_ok())
}

fn library_bundle(bundle: &Bundle) -> Result<LibraryBundle, Refusal> {
    LibraryBundle::from_json(bundle.text()).map_err(|error| Refusal::new(Reason::Malformed, error))
}

fn hash(digest: &Digest) -> Result<Sha256Hash, Refusal> {
    Sha256Hash::from_hex(&digest.hex()).map_err(|error| Refusal::new(Reason::Unsupported, error))
}

/// What the log proves, given that verification has passed.
fn log_of(bundle: &Bundle) -> Log {
    match (bundle.is_logged(), bundle.is_promised()) {
        (true, _) => Log::Included,
        (false, true) => Log::Promised,
        (false, false) => Log::Absent,
    }
}

/// The earliest time that was proved, by a timestamp or by the log.
fn earliest(result: &VerificationResult) -> Option<UnixMillis> {
    let stamped = result.verified_timestamps().iter().map(|time| time.as_millisecond());
    let logged = result.integrated_time().map(|time| time.as_millisecond());
    let earliest = stamped.chain(logged).min()?;
    u64::try_from(earliest).ok().map(UnixMillis)
}

/// Whether a chain fails because one of its certificates was not valid at the proved time.
fn is_about_validity(detail: &str) -> bool {
    ["CertExpired", "CertNotValidYet"].iter().any(|word| detail.contains(word))
}

/// What each failure of the library means.
fn refusal(error: &Error) -> Refusal {
    let reason = match error {
        Error::IdentityMismatch { .. } | Error::IssuerMismatch { .. } => Reason::SignerMismatch,
        Error::SignatureInvalid(_) | Error::Crypto(_) => Reason::SignatureInvalid,
        Error::ArtifactMismatch(_) => Reason::ArtifactMismatch,
        Error::UnsupportedArtifact(_) | Error::UnsupportedBundle(_) => Reason::Unsupported,
        Error::Certificate(certificate) => match certificate {
            CertificateError::Malformed(_) => Reason::Malformed,
            CertificateError::Expired { .. } | CertificateError::NotYetValid { .. } => Reason::CertificateExpired,
            // What is wrong with a chain is told in words alone.
            CertificateError::ChainInvalid(detail) if is_about_validity(detail) => Reason::CertificateExpired,
            _ => Reason::ChainUntrusted,
        },
        Error::TransparencyLog(log) => match log {
            TransparencyLogError::UnknownLog { .. } => Reason::LogUnknown,
            TransparencyLogError::InclusionPromise(detail) if detail.starts_with("No log key valid") => {
                Reason::LogUnknown
            }
            _ => Reason::LogInvalid,
        },
        Error::Timestamp(timestamp) => match timestamp {
            TimestampError::NoVerifiedTimestamp(_) => Reason::TimeMissing,
            _ => Reason::TimeInvalid,
        },
        Error::InvalidBundle(_) | Error::Types(_) | Error::Bundle(_) => Reason::Malformed,
        Error::InvalidTrustRoot(_) | Error::TrustRoot(_) | Error::TrustedCertificate(_) => Reason::TrustRootInvalid,
        _ => Reason::SignatureInvalid,
    };
    Refusal::new(reason, error)
}

#[cfg(test)]
#[path = "verifier_tests.rs"]
mod tests;
