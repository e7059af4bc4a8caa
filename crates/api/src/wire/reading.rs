//! Status, history, diff, proofs of growth.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::wire::ArtifactRef;
use lockgate_model::{EnvName, PromotionId, ReleaseName, ServiceName, UnixMillis};

/// `GET /v1/status`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatusReply {
    /// The environments, in policy order.
    #[schemars(with = "Vec<String>")]
    pub environments: Vec<EnvName>,
    /// The services of this page.
    pub services: Vec<ServiceRow>,
    /// Ask for the next page with `after` set to this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub next: Option<ServiceName>,
    /// Open promotions.
    pub open: Vec<OpenRow>,
    /// How many entries the ledger has.
    pub entries: u64,
}

/// One service.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceRow {
    /// Which.
    #[schemars(with = "String")]
    pub service: ServiceName,
    /// What runs, in the order of the environments.
    pub running: Vec<Option<RunningCell>>,
}

/// What runs.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunningCell {
    /// Which release.
    #[schemars(with = "String")]
    pub release: ReleaseName,
    /// Since when.
    #[schemars(with = "u64")]
    pub since: UnixMillis,
    /// By which promotion.
    #[schemars(with = "String")]
    pub promotion: PromotionId,
}

/// An open promotion.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenRow {
    /// Which.
    #[schemars(with = "String")]
    pub promotion: PromotionId,
    /// Of what.
    #[schemars(with = "String")]
    pub release: ReleaseName,
    /// Into where.
    #[schemars(with = "String")]
    pub environment: EnvName,
}

/// `GET /v1/history`, newest first.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HistoryReply {
    /// The entries of this page.
    pub items: Vec<HistoryItem>,
    /// Ask for the next page with `before` set to this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// One entry.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HistoryItem {
    /// Where.
    pub index: u64,
    /// When.
    #[schemars(with = "u64")]
    pub time: UnixMillis,
    /// Who.
    pub actor: String,
    /// What.
    pub event: String,
    /// In words.
    pub summary: String,
    /// Why it is suspect: it rested on a key that was found compromised later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspect: Option<String>,
    /// The entry itself.
    pub entry: serde_json::Value,
}

/// `GET /v1/diff`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DiffReply {
    /// From.
    #[schemars(with = "String")]
    pub from: ReleaseName,
    /// To.
    #[schemars(with = "String")]
    pub to: ReleaseName,
    /// Source commits.
    pub commits: (Option<String>, Option<String>),
    /// Artifacts that are gone.
    pub artifacts_removed: Vec<ArtifactRef>,
    /// Artifacts that are new.
    pub artifacts_added: Vec<ArtifactRef>,
    /// Whether each side has an SBOM.
    pub sboms: (bool, bool),
    /// Components that differ.
    pub components: Vec<ComponentRow>,
}

/// One component that differs.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ComponentRow {
    /// Its name.
    pub name: String,
    /// The version before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// The version after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// `GET /v1/consistency`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConsistencyReply {
    /// The smaller size.
    pub from: u64,
    /// The consistency path, base64.
    pub proof: Vec<String>,
    /// The newest checkpoint.
    pub checkpoint: String,
}
