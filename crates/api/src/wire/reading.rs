//! Status, history, diff, proofs of growth.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::wire::{ArtifactRef, GateRow};
use lockgate_model::{Digest, EnvName, PromotionId, ReleaseName, ServiceName, UnixMillis};

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
    /// Emergency freezes in force.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub freezes: Vec<super::FreezeRow>,
    /// Break-glass that waits for signatures or for its review.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub break_glass: Vec<super::BreakGlassRow>,
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
    /// The oldest entry that was looked at, where a filter left some out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scanned_to: Option<u64>,
    /// The size of the newest signed checkpoint: every entry with a smaller number is in it.
    #[serde(default)]
    pub checkpoint_size: u64,
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
    /// Source repositories.
    pub repositories: (Option<String>, Option<String>),
    /// Source commits.
    pub commits: (Option<String>, Option<String>),
    /// Artifacts that are gone.
    pub artifacts_removed: Vec<ArtifactRef>,
    /// Artifacts that are new.
    pub artifacts_added: Vec<ArtifactRef>,
    /// How many bytes the artifacts of each side have together.
    pub size_bytes: (u64, u64),
    /// Whether each side has an SBOM.
    pub sboms: (bool, bool),
    /// Components that differ.
    pub components: Vec<ComponentRow>,
    /// Whether each side has a vulnerability scan.
    pub scans: (bool, bool),
    /// Findings that only the second side has.
    pub findings_added: Vec<DiffFinding>,
    /// Findings that only the first side has, and that are fixed: a scanner that reported them looked at all of the
    /// second side again, or its bill of materials no longer lists the package in that version.
    pub findings_fixed: Vec<DiffFinding>,
    /// Findings that only the first side has, of which nothing says that they are fixed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings_unreported: Vec<DiffFinding>,
    /// How the tests of each side came out.
    pub tests: (Option<DiffTests>, Option<DiffTests>),
    /// The line coverage of each side, in basis points.
    pub coverage: (Option<u64>, Option<u64>),
    /// Configurations whose digest differs.
    pub configurations: Vec<DiffConfiguration>,
    /// The environment that the gates were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub environment: Option<EnvName>,
    /// Gates that come out differently there, each side asked for now and approved by nobody.
    pub gates: Vec<DiffGate>,
    /// What would be decided there on the second release, asked for now and approved by nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supposed: Option<Supposed>,
}

/// What would be decided on a release if it were asked for now, and nobody had approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Supposed {
    /// `allow`, `deny` or `pending`.
    pub outcome: String,
    /// Every gate.
    pub gates: Vec<GateRow>,
}

impl Supposed {
    /// The gates that would stop it, and those that would not: passed, waived, overridden, or no more than a warning.
    pub fn objecting_and_passing(&self) -> (Vec<&GateRow>, Vec<&GateRow>) {
        self.gates.iter().partition(|gate| matches!(gate.outcome.as_str(), "fail" | "pending"))
    }
}

/// One finding that only one side has.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DiffFinding {
    /// Such as `CVE-2024-1234`.
    pub id: String,
    /// The package, by URL where there is one.
    pub package: String,
    /// Its version.
    pub version: String,
    /// How bad it is.
    pub severity: String,
    /// The first version that fixes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed: Option<String>,
}

/// How tests came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DiffTests {
    /// How many passed.
    pub passed: u64,
    /// How many failed.
    pub failed: u64,
    /// How many were skipped.
    pub skipped: u64,
}

/// One configuration that differs.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DiffConfiguration {
    /// Which.
    pub name: String,
    /// For which environment, where it is for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// Its digest before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub before: Option<Digest>,
    /// Its digest after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub after: Option<Digest>,
}

/// One gate that comes out differently.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DiffGate {
    /// The gate.
    pub gate: String,
    /// What comes of it for the first side; absent where it is not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// What comes of it for the second side; absent where it is not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Why, as a stable reason code.
    pub reason: String,
    /// What there is.
    pub found: String,
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
    /// Its package URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purl: Option<String>,
    /// The licences before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence_before: Option<String>,
    /// The licences after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence_after: Option<String>,
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
