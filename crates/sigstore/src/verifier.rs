//! The verifier: the one place that knows the library behind it, but for `root.rs` and the roots that come with it.
//!
//! Steps of the client specification (`sigstore/architecture-docs`, `client-spec.md`, section 4), all of them by
//! `sigstore-verify`: time, chain, certificate log, inclusion proof and checkpoint, signature, and that the log entry is
//! about this very bundle. What is decided here is which steps apply, what each failure means, and whom a certificate
//! names: that is read a second time by our own reader, and the two must agree.
//!
//! The library reads the machine's clock for one purpose: to refuse what lies in the future. A clock that is behind can
//! refuse a good bundle; no clock makes it accept a bad one.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use lockgate_model::json::{self, Numbers};
use lockgate_model::{Digest, Limits, UnixMillis};
use lockgate_sign::PublicKey;
use lockgate_sign::dsse::Envelope;
use serde_json::Value;
use sigstore_verify::crypto::{KeyAlgorithm, verify_signature_prehashed};
use sigstore_verify::trust_root::TrustedRoot;
use sigstore_verify::tsa::{Error as StampError, verify_timestamp_for_authority};
use sigstore_verify::types::{
    Artifact, Bundle as LibraryBundle, DerPublicKey, HashAlgorithm, Rfc3161Timestamp, Sha256Hash, SignatureBytes,
    SignatureContent, TsaAuthority,
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
    stampers: Vec<TsaAuthority>,
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
            let stampers = parsed.tsa_authorities();
            Ok(Self { verifier, stampers, certificate_logs: root.logs_certificates() })
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
        .map_err(|error| self.refusal(&error, &library))?;
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
            log: log_of(bundle, &result),
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
        .map_err(|error| self.refusal(&error, &library))?;
        Ok(Signed {
            identity: None,
            key: Digest::of(key.spki_der()),
            level: Level::ManagedKey,
            time: earliest(&result),
            // Of a key's bundle the library verifies inclusion, and no promise.
            log: if bundle.is_logged() { Log::Included } else { Log::Absent },
        })
    }

    /// What a failure of the library means for this bundle.
    ///
    /// A timestamp by a stranger is no changed one; the library tells of several authorities what the last one says.
    fn refusal(&self, error: &Error, bundle: &LibraryBundle) -> Refusal {
        match error {
            Error::Timestamp(TimestampError::Invalid(_)) if self.is_stamped_by_strangers(bundle) => {
                let detail = "the timestamp is by an authority that the trust root does not name";
                Refusal::new(Reason::ChainUntrusted, detail)
            }
            other => refusal(other),
        }
    }

    /// Whether each timestamp either verifies or is by none of the trust root's authorities: one that an authority of the
    /// root made, and that does not verify, is broken, and so is one that does not read or is of other bytes.
    fn is_stamped_by_strangers(&self, bundle: &LibraryBundle) -> bool {
        let signature = match &bundle.content {
            SignatureContent::MessageSignature(message) => &message.signature,
            SignatureContent::DsseEnvelope(envelope) => &envelope.signature.sig,
            _ => return false,
        };
        let passes = |stamp: &Rfc3161Timestamp| {
            let verify =
                |stamper: &TsaAuthority| verify_timestamp_for_authority(&stamp.signed_timestamp, signature, stamper);
            let tries: Vec<_> = self.stampers.iter().map(verify).collect();
            tries.iter().any(Result::is_ok) || tries.iter().all(|found| found.as_ref().is_err_and(is_by_a_stranger))
        };
        bundle.verification_material.timestamp_verification_data.rfc3161_timestamps.iter().all(passes)
    }

    fn check(&self, bundle: &Bundle, subject: Subject<'_>, expected: Expected<'_>) -> Result<Outcome, Refusal> {
        match (bundle.material(), expected) {
            (Material::Key { .. }, Expected::Key(key)) => Ok(Outcome::proved(self.managed(bundle, key, subject)?)),
            (Material::Certificate(_), Expected::Key(_)) => {
                let detail = "the bundle was signed with a certificate, and a pinned key was expected";
                Err(Refusal::new(Reason::SignatureType, detail))
            }
            (Material::Key { .. }, Expected::AnyIdentity) => {
                let detail = "the bundle was signed with a key, and none was given to verify it with";
                Err(Refusal::new(Reason::SignatureType, detail))
            }
            (Material::Key { .. }, Expected::Identity { .. }) => {
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
/// `None` where only the artifact's bytes could tell and a digest alone is given, as for Ed25519 over a file.
pub fn is_signed_by(bundle: &Bundle, key: &PublicKey, subject: Subject<'_>) -> Option<bool> {
    guarded(|| match (bundle.content(), subject) {
        (Content::Envelope(envelope), _) => Some(!envelope.verify(std::slice::from_ref(key)).is_empty()),
        (Content::Message { signature, .. }, Subject::Bytes(bytes)) => Some(key.verify(bytes, signature).is_ok()),
        (Content::Message { signature, .. }, Subject::Digest(digest)) => {
            let public = DerPublicKey::from_pem(&key.to_pem()).ok()?;
            verify_digest(&public, &digest, signature).ok()
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
fn log_of(bundle: &Bundle, result: &VerificationResult) -> Log {
    // Each promise that the library verified gave it a time; one without a time it did not look at.
    let promises = result.verified_timestamps().len().saturating_sub(bundle.timestamps());
    match (bundle.is_logged(), bundle.is_promised() && promises >= bundle.entries()) {
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

/// Whether an authority did not make a timestamp; the library has no type for it, and its text is pinned with its version.
fn is_by_a_stranger(error: &StampError) -> bool {
    let StampError::SignatureVerificationError(detail) = error else { return false };
    detail.contains("does not match any trusted TSA")
}

/// Whether a chain fails because one of its certificates was not valid at the proved time.
fn is_about_validity(detail: &str) -> bool {
    ["CertExpired", "CertNotValidYet"].iter().any(|word| detail.contains(word))
}

/// What is wrong with the validity of a certificate, in words; `None` for other failures.
fn validity(error: &Error) -> Option<String> {
    match error {
        Error::Certificate(CertificateError::NotYetValid { time, not_before }) => {
            Some(not_yet_valid("the certificate", time, not_before))
        }
        Error::Certificate(CertificateError::Expired { time, not_after }) => {
            Some(expired("the certificate", time, not_after))
        }
        Error::Certificate(CertificateError::ChainInvalid(detail)) => {
            validity_in_chain("a certificate of the chain", detail)
        }
        Error::Timestamp(TimestampError::Invalid(detail)) => {
            validity_in_chain("a certificate of the timestamp's authority", detail)
        }
        _ => None,
    }
}

/// The same of a chain, whose failures are told as their source writes them: `CertExpired { time: UnixTime(1), .. }`.
fn validity_in_chain(what: &str, detail: &str) -> Option<String> {
    let moment = |field: &str| {
        let (_, rest) = detail.split_once(format!("{field}: UnixTime(").as_str())?;
        let (digits, _) = rest.split_once(')')?;
        digits.parse::<u64>().ok()?.checked_mul(1000).map(UnixMillis)
    };
    let time = moment("time")?;
    match detail.contains("CertNotValidYet") {
        true => Some(not_yet_valid(what, &time, &moment("not_before")?)),
        false => Some(expired(what, &time, &moment("not_after")?)),
    }
}

fn not_yet_valid(what: &str, time: &dyn fmt::Display, from: &dyn fmt::Display) -> String {
    format!("{what} is not valid yet: it was used at {time}, and is valid from {from}")
}

fn expired(what: &str, time: &dyn fmt::Display, until: &dyn fmt::Display) -> String {
    format!("{what} has expired: it was used at {time}, and was valid until {until}")
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
    match validity(error) {
        Some(words) => Refusal::new(reason, words),
        None => Refusal::new(reason, error),
    }
}

#[cfg(test)]
#[path = "verifier_tests.rs"]
mod tests;
