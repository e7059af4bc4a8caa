//! Outcomes: how the verification of a signature ended, and what to do next.

use std::fmt;

use lockgate_model::facts::{SignatureClass, SignatureFact};
use lockgate_model::{Digest, UnixMillis};

use crate::certificate::Identity;

/// How verification ended; the classes of [`SignatureClass`] with what each of them knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Signature, signer, log and time are all proved.
    Verified(Signed),
    /// Signature and signer are proved, but no log is.
    WithoutLog(Signed),
    /// Nothing proves when it was signed.
    WithoutTime(Refusal),
    /// Something that was signed, or proved, is not what is shown.
    SignatureInvalid(Refusal),
    /// Signed by someone else than expected.
    IdentityMismatch(Refusal),
    /// Signed under authorities or logs that the trust root does not name.
    UntrustedRoot(Refusal),
    /// Cannot be read.
    Malformed(Refusal),
    /// Of a kind that this version does not verify.
    Unsupported(Refusal),
    /// There is no signature.
    Unsigned(Refusal),
}

/// A proved signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// Whom the certificate names; absent for a pinned key.
    pub identity: Option<Identity>,
    /// The digest of the key's SubjectPublicKeyInfo; for OpenPGP of the fingerprint as text.
    pub key: Digest,
    /// How the signer is known.
    pub level: Level,
    /// The earliest time by which the signature was proved to exist; absent for a pinned key that needs none.
    pub time: Option<UnixMillis>,
    /// What a transparency log proves.
    pub log: Log,
}

/// How a signer is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// By a short-lived certificate for an identity, under a pinned authority.
    Keyless,
    /// By a key that the verifier pinned.
    ManagedKey,
}

impl Level {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Keyless => "keyless",
            Self::ManagedKey => "managed-key",
        }
    }
}

/// What a transparency log proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Log {
    /// The entry is in the log, under a signed checkpoint.
    Included,
    /// The log promised to include the entry, and nothing shows that it did.
    Promised,
    /// Nothing.
    Absent,
}

impl Log {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Included => "included",
            Self::Promised => "promised",
            Self::Absent => "absent",
        }
    }
}

/// Why a signature does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The stable reason.
    pub reason: Reason,
    /// What is wrong, for people.
    pub detail: String,
}

impl Refusal {
    /// A refusal; the detail is shortened, because parts of it come from the outside.
    pub fn new(reason: Reason, detail: impl fmt::Display) -> Self {
        let shown = |c: char| if c.is_control() { '?' } else { c };
        Self { reason, detail: detail.to_string().chars().map(shown).take(DETAIL_CHARS).collect() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Refusal {}

/// How many characters of a detail are kept.
const DETAIL_CHARS: usize = 400;

/// Why, as a stable code with a next step of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// There is no signature at all.
    SignatureMissing,
    /// A signature of another kind than was asked for.
    SignatureType,
    /// A good signature by someone else.
    SignerMismatch,
    /// The certificate had ended, or not begun, when it was used.
    CertificateExpired,
    /// No trusted time, where one is needed.
    TimeMissing,
    /// A timestamp that does not verify.
    TimeInvalid,
    /// A proved time that is later than the ledger's.
    TimeAhead,
    /// The signature does not verify.
    SignatureInvalid,
    /// The signature is about other bytes.
    ArtifactMismatch,
    /// The log entry, its proof or its checkpoint does not verify.
    LogInvalid,
    /// The log is not one of the trust root's.
    LogUnknown,
    /// The certificate, or a timestamp, does not lead to an authority of the trust root.
    ChainUntrusted,
    /// The trust root cannot be used.
    TrustRootInvalid,
    /// No trust root is pinned for this.
    TrustRootMissing,
    /// Cannot be read.
    Malformed,
    /// Well formed, and not verified by this version.
    Unsupported,
    /// The key has been revoked by its owner.
    KeyRevoked,
    /// The key is not among those that were given.
    KeyUnknown,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 18] = [
        Self::SignatureMissing,
        Self::SignatureType,
        Self::SignerMismatch,
        Self::CertificateExpired,
        Self::TimeMissing,
        Self::TimeInvalid,
        Self::TimeAhead,
        Self::SignatureInvalid,
        Self::ArtifactMismatch,
        Self::LogInvalid,
        Self::LogUnknown,
        Self::ChainUntrusted,
        Self::TrustRootInvalid,
        Self::TrustRootMissing,
        Self::Malformed,
        Self::Unsupported,
        Self::KeyRevoked,
        Self::KeyUnknown,
    ];

    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::SignatureMissing => "SIGNATURE_MISSING",
            Self::SignatureType => "SIGNATURE_TYPE",
            Self::SignerMismatch => "SIGNER_MISMATCH",
            Self::CertificateExpired => "CERTIFICATE_EXPIRED",
            Self::TimeMissing => "TIME_MISSING",
            Self::TimeInvalid => "TIME_INVALID",
            Self::TimeAhead => "TIME_AHEAD",
            Self::SignatureInvalid => "SIGNATURE_INVALID",
            Self::ArtifactMismatch => "ARTIFACT_MISMATCH",
            Self::LogInvalid => "LOG_INVALID",
            Self::LogUnknown => "LOG_UNKNOWN",
            Self::ChainUntrusted => "CHAIN_UNTRUSTED",
            Self::TrustRootInvalid => "TRUST_ROOT_INVALID",
            Self::TrustRootMissing => "TRUST_ROOT_MISSING",
            Self::Malformed => "SIGNATURE_MALFORMED",
            Self::Unsupported => "SIGNATURE_UNSUPPORTED",
            Self::KeyRevoked => "SIGNING_KEY_REVOKED",
            Self::KeyUnknown => "SIGNING_KEY_UNKNOWN",
        }
    }

    /// What to do next.
    pub const fn next_step(self) -> &'static str {
        match self {
            Self::SignatureMissing => "sign it in the build, and hand in the bundle that the signing tool wrote",
            Self::SignatureType => {
                "hand in the kind of signature that was asked for: a bundle, a statement or a detached signature"
            }
            Self::SignerMismatch => {
                "check which workflow signed; if it is the right one, name its identity and issuer in `trust.toml`"
            }
            Self::CertificateExpired => "sign again: the certificate was not valid when the signature was made",
            Self::TimeMissing => {
                "sign again with a log entry or a timestamp: a short-lived certificate needs a proof of time"
            }
            Self::TimeInvalid => {
                "sign again: the timestamp belongs to other bytes, or its authority was not valid then"
            }
            Self::TimeAhead => "check the clocks of the signer and of this ledger",
            Self::SignatureInvalid => "build and sign again: the bytes or the signature were changed",
            Self::ArtifactMismatch => "hand in the bundle of this artifact; this one is about another",
            Self::LogInvalid => "sign again: the proof of the log does not hold for this signature",
            Self::LogUnknown => "renew the trust root if the log is new; else the bundle comes from another instance",
            Self::ChainUntrusted => "check which instance signed, and pin its trust root in the policy set",
            Self::TrustRootInvalid => "get the trust root again from its owner and compare its digest",
            Self::TrustRootMissing => {
                "pin a trust root in the policy set: `lockgate signature root public-good` writes one"
            }
            Self::Malformed => "hand in the file as the signing tool wrote it",
            Self::Unsupported => {
                "sign with ECDSA P-256 into a bundle of version 0.3, with a certificate that names its issuer"
            }
            Self::KeyRevoked => "sign again with a key that counts, and remove this one",
            Self::KeyUnknown => "give the public key that belongs to the signature, after checking whose it is",
        }
    }

    /// The class that a refusal with this reason belongs to.
    pub const fn class(self) -> SignatureClass {
        match self {
            Self::SignatureMissing => SignatureClass::Unsigned,
            Self::SignatureType | Self::Unsupported => SignatureClass::Unsupported,
            Self::SignerMismatch | Self::KeyUnknown => SignatureClass::IdentityMismatch,
            Self::TimeMissing => SignatureClass::WithoutTime,
            Self::CertificateExpired
            | Self::TimeInvalid
            | Self::TimeAhead
            | Self::SignatureInvalid
            | Self::ArtifactMismatch
            | Self::LogInvalid
            | Self::KeyRevoked => SignatureClass::SignatureInvalid,
            Self::LogUnknown | Self::ChainUntrusted | Self::TrustRootInvalid | Self::TrustRootMissing => {
                SignatureClass::UntrustedRoot
            }
            Self::Malformed => SignatureClass::Malformed,
        }
    }
}

impl From<Refusal> for Outcome {
    fn from(refusal: Refusal) -> Self {
        match refusal.reason.class() {
            SignatureClass::WithoutTime => Self::WithoutTime(refusal),
            SignatureClass::IdentityMismatch => Self::IdentityMismatch(refusal),
            SignatureClass::UntrustedRoot => Self::UntrustedRoot(refusal),
            SignatureClass::Malformed => Self::Malformed(refusal),
            SignatureClass::Unsupported => Self::Unsupported(refusal),
            SignatureClass::Unsigned => Self::Unsigned(refusal),
            SignatureClass::Verified | SignatureClass::WithoutLog | SignatureClass::SignatureInvalid => {
                Self::SignatureInvalid(refusal)
            }
        }
    }
}

impl Outcome {
    /// A proved signature, in the class that its log evidence gives it.
    pub fn proved(signed: Signed) -> Self {
        match signed.log {
            Log::Included => Self::Verified(signed),
            Log::Promised | Log::Absent => Self::WithoutLog(signed),
        }
    }

    /// A refusal for a reason.
    pub fn refused(reason: Reason, detail: impl fmt::Display) -> Self {
        Refusal::new(reason, detail).into()
    }

    /// The class.
    pub const fn class(&self) -> SignatureClass {
        match self {
            Self::Verified(_) => SignatureClass::Verified,
            Self::WithoutLog(_) => SignatureClass::WithoutLog,
            Self::WithoutTime(_) => SignatureClass::WithoutTime,
            Self::SignatureInvalid(_) => SignatureClass::SignatureInvalid,
            Self::IdentityMismatch(_) => SignatureClass::IdentityMismatch,
            Self::UntrustedRoot(_) => SignatureClass::UntrustedRoot,
            Self::Malformed(_) => SignatureClass::Malformed,
            Self::Unsupported(_) => SignatureClass::Unsupported,
            Self::Unsigned(_) => SignatureClass::Unsigned,
        }
    }

    /// What was proved, where something was.
    pub const fn signed(&self) -> Option<&Signed> {
        match self {
            Self::Verified(signed) | Self::WithoutLog(signed) => Some(signed),
            _ => None,
        }
    }

    /// Why it does not count, where it does not.
    pub const fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Verified(_) | Self::WithoutLog(_) => None,
            Self::WithoutTime(refusal)
            | Self::SignatureInvalid(refusal)
            | Self::IdentityMismatch(refusal)
            | Self::UntrustedRoot(refusal)
            | Self::Malformed(refusal)
            | Self::Unsupported(refusal)
            | Self::Unsigned(refusal) => Some(refusal),
        }
    }

    /// The stable code: of the refusal, or `SIGNATURE_VERIFIED`, `LOG_MISSING`, `LOG_PROMISED`.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Verified(_) => "SIGNATURE_VERIFIED",
            Self::WithoutLog(Signed { log: Log::Promised, .. }) => "LOG_PROMISED",
            Self::WithoutLog(_) => "LOG_MISSING",
            Self::WithoutTime(refusal)
            | Self::SignatureInvalid(refusal)
            | Self::IdentityMismatch(refusal)
            | Self::UntrustedRoot(refusal)
            | Self::Malformed(refusal)
            | Self::Unsupported(refusal)
            | Self::Unsigned(refusal) => refusal.reason.code(),
        }
    }

    /// How close it came, for choosing among several attempts; larger is better.
    pub const fn rank(&self) -> u8 {
        match self {
            Self::Verified(_) => 8,
            Self::WithoutLog(_) => 7,
            Self::IdentityMismatch(_) => 6,
            Self::WithoutTime(_) => 5,
            Self::SignatureInvalid(_) => 4,
            Self::UntrustedRoot(_) => 3,
            Self::Unsupported(_) => 2,
            Self::Malformed(_) => 1,
            Self::Unsigned(_) => 0,
        }
    }

    /// The fact that a decision gets.
    pub fn to_fact(&self, root: Option<Digest>) -> SignatureFact {
        let signed = self.signed();
        let identity = signed.and_then(|signed| signed.identity.as_ref());
        SignatureFact {
            class: self.class(),
            code: self.code().to_owned(),
            root,
            identity: identity.map(|identity| identity.name.clone()),
            issuer: identity.map(|identity| identity.issuer.clone()),
            claims: identity.map(|identity| identity.claims.clone()).unwrap_or_default(),
            key: signed.map(|signed| signed.key),
            signed_at: signed.and_then(|signed| signed.time),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn signed(log: Log) -> Signed {
        Signed { identity: None, key: Digest::of(b"key"), level: Level::ManagedKey, time: None, log }
    }

    #[test]
    fn every_reason_has_a_code_and_a_next_step_of_its_own() {
        let codes: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.code()).collect();
        let steps: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.next_step()).collect();
        assert_eq!((codes.len(), steps.len()), (Reason::ALL.len(), Reason::ALL.len()));
        for reason in Reason::ALL {
            let outcome = Outcome::refused(reason, "x");
            assert_eq!(outcome.class(), reason.class());
            assert!(!outcome.class().proves_signer());
            assert_eq!(outcome.code(), reason.code());
        }
    }

    #[test]
    fn only_an_included_entry_is_verified() {
        assert_eq!(Outcome::proved(signed(Log::Included)).class(), SignatureClass::Verified);
        assert_eq!(Outcome::proved(signed(Log::Promised)).code(), "LOG_PROMISED");
        assert_eq!(Outcome::proved(signed(Log::Absent)).code(), "LOG_MISSING");
    }

    #[test]
    fn a_refusal_names_nobody() {
        let fact = Outcome::refused(Reason::SignatureInvalid, "x").to_fact(None);
        assert_eq!((fact.identity, fact.issuer, fact.key, fact.signed_at), (None, None, None, None));
        assert!(fact.claims.is_empty());
    }
}
