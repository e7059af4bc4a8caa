//! Who signed a piece of evidence, where a bundle proves it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Digest, UnixMillis};

/// The predicate type by which facts name a signature over an artifact itself; such a signature says nothing else.
pub const ARTIFACT_SIGNATURE: &str = "https://lockgate.dev/artifact-signature/v1";

/// How the verification of a signature ended; never a bare yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SignatureClass {
    /// Signature, signer, log and time are all proved.
    Verified,
    /// Signature and signer are proved, but no log is.
    WithoutLog,
    /// Nothing proves when it was signed, so that a short-lived certificate proves nothing.
    WithoutTime,
    /// Something that was signed, or proved, is not what is shown.
    SignatureInvalid,
    /// Signed, but by someone else than expected.
    IdentityMismatch,
    /// Signed under authorities or logs that the trust root does not name.
    UntrustedRoot,
    /// Cannot be read.
    Malformed,
    /// Well formed, but of a kind that this version does not verify.
    Unsupported,
    /// There is no signature.
    Unsigned,
}

impl SignatureClass {
    /// The word of the class, as documents carry it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::WithoutLog => "without-log",
            Self::WithoutTime => "without-time",
            Self::SignatureInvalid => "signature-invalid",
            Self::IdentityMismatch => "identity-mismatch",
            Self::UntrustedRoot => "untrusted-root",
            Self::Malformed => "malformed",
            Self::Unsupported => "unsupported",
            Self::Unsigned => "unsigned",
        }
    }

    /// Whether the signature and its signer are proved.
    pub const fn proves_signer(self) -> bool {
        matches!(self, Self::Verified | Self::WithoutLog)
    }
}

/// What was found about the signature of a bundle.
///
/// INVARIANT (an identity is proved): `identity`, `issuer`, `claims` and `key` are empty unless the class is
/// [`SignatureClass::Verified`] or [`SignatureClass::WithoutLog`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignatureFact {
    /// How verification ended.
    pub class: SignatureClass,
    /// The reason code behind the class, such as `LOG_INVALID`.
    pub code: String,
    /// The digest of the trust root that it was verified with; absent for a pinned key without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<Digest>,
    /// The certificate's subject alternative name: a workflow or an e-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// Who vouches for the identity: the issuer of its OpenID token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// What the certificate says besides, by the names of Fulcio's extensions, such as `source_repository_uri`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub claims: BTreeMap<String, String>,
    /// The key that signed: the digest of its SubjectPublicKeyInfo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Digest>,
    /// The earliest time by which it was proved to exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_at: Option<UnixMillis>,
}

impl SignatureFact {
    /// The names of all claims, in the order of Fulcio's extensions from 9 to 24 (1.3.6.1.4.1.57264.1.n).
    pub const CLAIMS: [&'static str; 16] = [
        "build_signer_uri",
        "build_signer_digest",
        "runner_environment",
        "source_repository_uri",
        "source_repository_digest",
        "source_repository_ref",
        "source_repository_identifier",
        "source_repository_owner_uri",
        "source_repository_owner_identifier",
        "build_config_uri",
        "build_config_digest",
        "build_trigger",
        "run_invocation_uri",
        "source_repository_visibility",
        "deployment_environment",
        "token_subject",
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_written_as_they_are_called() {
        for class in [
            SignatureClass::Verified,
            SignatureClass::WithoutLog,
            SignatureClass::WithoutTime,
            SignatureClass::SignatureInvalid,
            SignatureClass::IdentityMismatch,
            SignatureClass::UntrustedRoot,
            SignatureClass::Malformed,
            SignatureClass::Unsupported,
            SignatureClass::Unsigned,
        ] {
            assert_eq!(serde_json::to_value(class).unwrap(), class.as_str());
        }
        assert!(SignatureClass::WithoutLog.proves_signer());
        assert!(!SignatureClass::WithoutTime.proves_signer());
    }
}
