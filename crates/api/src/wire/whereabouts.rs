//! Where: releases that something is in, and where they run or ran.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::wire::ArtifactRef;
use lockgate_model::{Digest, EnvName, PromotionId, ReleaseName, UnixMillis};

/// `GET /v1/where`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WhereReply {
    /// What was looked for, as it was understood.
    pub query: String,
    /// At which moment it ran; now, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u64>")]
    pub at: Option<UnixMillis>,
    /// What runs first, then by service, the newest version first.
    pub rows: Vec<WhereRow>,
    /// How many rows were left out because there are too many.
    pub left_out: u64,
    /// Whether there is more than one question reads: ask for less.
    pub cut: bool,
    /// Releases with evidence that is not indexed as a whole: they may belong here too.
    #[schemars(with = "Vec<String>")]
    pub partial: Vec<ReleaseName>,
    /// Whether a key or name was asked for that belongs to no person, machine or signer of the policy set.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unknown_key: bool,
    /// How many entries the ledger has.
    pub entries: u64,
}

/// One release, and what says that it belongs here.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WhereRow {
    /// Which.
    #[schemars(with = "String")]
    pub release: ReleaseName,
    /// What was found, such as a package with its version.
    pub matched: String,
    /// What says so: `sbom`, `vulnerabilities`, `vex`, `provenance`, `artifact`, `approval` and the like.
    pub kind: String,
    /// The evidence, or the bytes themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub via: Option<Digest>,
    /// The promotion, where a signature of an approver says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub promotion: Option<PromotionId>,
    /// In words.
    pub detail: String,
    /// Whether it rests on a signature that did not verify for a signer of the policy set when it was indexed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unverified: bool,
    /// The artifacts of the release that it is about.
    pub artifacts: Vec<ArtifactRef>,
    /// Where it runs, or ran at that moment.
    pub runs: Vec<WhereRun>,
}

/// How long a release ran in an environment.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WhereRun {
    /// Where.
    #[schemars(with = "String")]
    pub environment: EnvName,
    /// By which promotion.
    #[schemars(with = "String")]
    pub promotion: PromotionId,
    /// Since when.
    #[schemars(with = "u64")]
    pub since: UnixMillis,
    /// Until when another took its place; absent while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u64>")]
    pub until: Option<UnixMillis>,
}
