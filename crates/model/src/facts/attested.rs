//! Claims of in-toto predicates: how a build ran, what others verified, where source came from, what was published.

use serde::{Deserialize, Serialize};

use crate::{Digest, UnixMillis};

/// What provenance says about the build beyond [`super::Provenance`]: what a gate needs to judge a build level.
///
/// Everything here is the builder's word, and no better than the signature and the builder id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BuildDetails {
    /// The workflow or entry point, such as `.github/workflows/release.yml`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// The workflow with its own ref, such as `shop/web/.github/workflows/release.yml@refs/heads/main`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow_ref: Option<String>,
    /// What started the run, such as `push` or `workflow_dispatch`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
    /// Whose account started this very run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub triggering_actor: Option<String>,
    /// Where it ran, such as `github-hosted` or `self-hosted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner: Option<String>,
    /// Whether the forge protects the ref, where the builder says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ref_protected: Option<bool>,
    /// The run's id, such as its URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invocation: Option<String>,
    /// Who approved the change in the forge, as the event that started the run says it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reviewers: Vec<String>,
    /// The names of the top-level external parameters, sorted, at most 64; a strict gate refuses ones it does not know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub external_parameters: Vec<String>,
    /// How many resolved dependencies the provenance lists.
    pub dependencies: u64,
    /// How many of them have no digest.
    pub dependencies_without_digest: u64,
    /// When the build started, as the builder says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<UnixMillis>,
}

/// What someone else verified before: a SLSA verification summary, of an artifact or of source, or an in-toto Simple
/// Verification Result.
///
/// Counts as evidence of a known verifier; its levels are that verifier's word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VerificationSummary {
    /// `vsa` or `svr`.
    pub format: String,
    /// `verifier.id`.
    pub verifier: String,
    /// Whether it passed.
    pub passed: bool,
    /// `verifiedLevels`, or the properties of a Simple Verification Result.
    pub levels: Vec<String>,
    /// `resourceUri`; a Simple Verification Result has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_uri: Option<String>,
    /// `policy.uri`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_uri: Option<String>,
    /// The policy's SHA-256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_digest: Option<Digest>,
    /// How many attestations it names as inputs.
    pub inputs: u64,
    /// The commits that it is about, for summaries of source: full ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commits: Vec<String>,
    /// The full refs that it is about, for summaries of source.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refs: Vec<String>,
    /// When it was verified, as the verifier says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_at: Option<UnixMillis>,
}

/// How source came to be what it is: who wrote, reviewed and merged it, and what protects the ref.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceRecord {
    /// `lockgate-review`, `slsa-source` or `gittuf`.
    pub format: String,
    /// The repository's URL without `git+`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The full ref, such as `refs/heads/main`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_ref: Option<String>,
    /// The commits that it is about: full ids.
    pub commits: Vec<String>,
    /// Who wrote or pushed them.
    pub authors: Vec<String>,
    /// Who approved exactly these commits; nobody who also wrote them is left out here, the policy compares.
    pub reviewers: Vec<String>,
    /// Whether the ref was protected at the time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ref_protected: Option<bool>,
    /// Continuous controls in force, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub controls: Vec<String>,
    /// When, as the maker says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<UnixMillis>,
}

/// Attributes of an artifact or its making, as SCAI reports them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Attributes {
    /// The producer's URI or name, where it is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub producer: Option<String>,
    /// The attributes that hold for the subject without a condition, in order, such as `WITH_STACK_PROTECTION`.
    pub attributes: Vec<String>,
    /// The attributes that hold only under conditions, or for something else than the subject; never counted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditional: Vec<String>,
    /// How many of them point to evidence of their own.
    pub with_evidence: u64,
}

/// A statement that an artifact is part of a published release (in-toto release predicate).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseRecord {
    /// The package URL with its version, where the purl says one.
    pub purl: String,
    /// The id that the registry never gives to anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package_id: Option<String>,
}

/// A registry's statement that a package was published there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Publication {
    /// `npm` or `pypi`.
    pub format: String,
    /// The registry's URL, where the statement names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<String>,
    /// The package, or the file's name for PyPI.
    pub name: String,
    /// Its version; PyPI's statement carries it in the file's name only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// One step of a supply chain, as in-toto links record it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// The step's name.
    pub name: String,
    /// The command, word by word.
    pub command: Vec<String>,
    /// How many materials it used.
    pub materials: u64,
    /// The exit code, where the step recorded one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<u64>,
}

/// A pointer to documents that are kept elsewhere; they are not fetched, and prove nothing here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct References {
    /// `attester.id`.
    pub attester: String,
    /// The documents, in order.
    pub documents: Vec<ReferencedDocument>,
}

/// One document that a reference points to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReferencedDocument {
    /// Where it lies.
    pub location: String,
    /// Its media type.
    pub media_type: String,
    /// Its SHA-256, where it is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

/// A statement that a run was watched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuntimeTrace {
    /// The monitor's type or URI.
    pub monitor: String,
    /// What was watched.
    pub watched: String,
    /// How many process records the log has; absent when processes were not watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processes: Option<u64>,
    /// How many network records the log has; absent when the network was not watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<u64>,
    /// How many file records the log has; absent when files were not watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
    /// When the run ended, as the monitor says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<UnixMillis>,
}
