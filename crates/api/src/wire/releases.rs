//! Releases, artifacts, evidence.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use lockgate_model::{Digest, ReleaseName, SignerName};

/// The reply to `PUT /v1/blobs`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stored {
    /// What the server hashed while it stored.
    #[schemars(with = "String")]
    pub digest: Digest,
    /// How many bytes.
    pub size_bytes: u64,
}

/// An artifact of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArtifactRef {
    /// What it is.
    #[schemars(with = "String")]
    pub digest: Digest,
    /// What people call it.
    pub name: String,
    /// How long it is.
    pub size_bytes: u64,
}

/// Bytes of a request: inside it, or sent before.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Body {
    /// Base64.
    Inline(String),
    /// The digest of a blob.
    Stored(#[schemars(with = "String")] Digest),
}

/// A piece of evidence.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvidenceBody {
    /// Its bytes.
    pub body: Body,
    /// `true` for a DSSE envelope, `false` for an unsigned report.
    pub signed: bool,
    /// The report's format; found from its content when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// What the caller says it is, such as `sbom`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<String>,
}

/// Where a release was built from.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceRef {
    /// The repository's URL.
    pub repository: String,
    /// The full commit id.
    pub commit: String,
}

/// `POST /v1/releases`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishRequest {
    /// `service@version`.
    #[schemars(with = "String")]
    pub release: ReleaseName,
    /// Artifacts, sent before.
    pub artifacts: Vec<ArtifactRef>,
    /// Where it was built from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceRef>,
    /// Release notes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<Body>,
    /// Evidence.
    #[serde(default)]
    pub evidence: Vec<EvidenceBody>,
}

/// `POST /v1/evidence`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AttestRequest {
    /// `service@version`.
    #[schemars(with = "String")]
    pub release: ReleaseName,
    /// Evidence.
    pub evidence: Vec<EvidenceBody>,
}

/// Recorded evidence.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvidenceRow {
    /// Such as `sbom`.
    pub kind: String,
    /// Its digest.
    #[schemars(with = "String")]
    pub digest: Digest,
    /// Whether it had been recorded before.
    pub repeated: bool,
    /// How the verification of its signature ended when it was handed in; absent for a report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<EvidenceSignature>,
}

/// How the verification of a signature ended, under the policy set of that moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvidenceSignature {
    /// `verified`, `without-log`, `without-time`, `signature-invalid`, `identity-mismatch`, `untrusted-root`,
    /// `malformed`, `unsupported` or `unsigned`.
    pub class: String,
    /// The reason code behind it, such as `LOG_MISSING`.
    pub code: String,
    /// The signers of the policy set for whom it verified; where there are none, it counts for nothing.
    #[schemars(with = "Vec<String>")]
    pub signers: Vec<SignerName>,
    /// With which keys, or as which identity, where that is proved.
    pub by: Vec<String>,
}

/// A published release.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// `service@version`.
    #[schemars(with = "String")]
    pub release: ReleaseName,
    /// The digest of its manifest.
    #[schemars(with = "String")]
    pub manifest: Digest,
    /// Whether it had been published before, the same.
    pub repeated: bool,
    /// Its evidence.
    pub evidence: Vec<EvidenceRow>,
}

/// Evidence that was handed in for a release.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Attested {
    /// `service@version`.
    #[schemars(with = "String")]
    pub release: ReleaseName,
    /// The evidence.
    pub evidence: Vec<EvidenceRow>,
}
