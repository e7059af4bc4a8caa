//! One service with its releases, one release, one piece of evidence.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use lockgate_model::facts::PromotionKind;
use lockgate_model::{Digest, EnvName, PersonId, PromotionId, ReleaseName, ServiceName, UnixMillis};

use crate::wire::{ArtifactRef, DriftReport, EvidenceSource, RunningCell, SourceRef, SuspectRow};

/// `GET /v1/services/{name}`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceReply {
    /// Which.
    #[schemars(with = "String")]
    pub service: ServiceName,
    /// The environments that the caller may read, in policy order.
    pub environments: Vec<EnvironmentRow>,
    /// A page of its releases, newest first.
    pub releases: Vec<ReleaseLine>,
    /// The promotions of those releases, newest first.
    pub promotions: Vec<PromotionLine>,
    /// Ask for the next page with `before` set to this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// One service in one environment.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnvironmentRow {
    /// Which environment.
    #[schemars(with = "String")]
    pub environment: EnvName,
    /// What runs there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<RunningCell>,
    /// What was granted there, newest first, as far as one page goes.
    pub ran: Vec<RanRow>,
}

/// One grant of a release into an environment.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RanRow {
    /// Which release.
    #[schemars(with = "String")]
    pub release: ReleaseName,
    /// By which promotion.
    #[schemars(with = "String")]
    pub promotion: PromotionId,
    /// Since when.
    #[schemars(with = "u64")]
    pub since: UnixMillis,
    /// Until when, where something else was granted after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u64>")]
    pub until: Option<UnixMillis>,
    /// Whether one can go back to it: it is not what runs, and nothing that it rests on is suspect.
    pub rollback: bool,
}

/// One release of a service.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseLine {
    /// `service@version`.
    #[schemars(with = "String")]
    pub release: ReleaseName,
    /// Who published it.
    #[schemars(with = "String")]
    pub published_by: PersonId,
    /// When.
    #[schemars(with = "u64")]
    pub published_at: UnixMillis,
    /// How many artifacts it has.
    pub artifacts: u64,
    /// How many pieces of evidence it has.
    pub evidence: u64,
    /// Where it runs now.
    #[schemars(with = "Vec<String>")]
    pub runs_in: Vec<EnvName>,
    /// Where it was granted at some time.
    #[schemars(with = "Vec<String>")]
    pub ran_in: Vec<EnvName>,
}

/// One promotion, in short.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PromotionLine {
    /// Its id.
    #[schemars(with = "String")]
    pub promotion: PromotionId,
    /// What.
    #[schemars(with = "String")]
    pub release: ReleaseName,
    /// Where to.
    #[schemars(with = "String")]
    pub environment: EnvName,
    /// `promotion` or `rollback`.
    #[schemars(with = "String")]
    pub kind: PromotionKind,
    /// `pending`, `denied`, `granted`, `rejected`, `withdrawn`, `expired`, `superseded`.
    pub status: String,
    /// Who asked.
    #[schemars(with = "String")]
    pub requester: PersonId,
    /// Why.
    pub reason: String,
    /// When.
    #[schemars(with = "u64")]
    pub requested_at: UnixMillis,
    /// When it was granted, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u64>")]
    pub granted_at: Option<UnixMillis>,
}

/// `GET /v1/releases/{name}`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseReply {
    /// `service@version`.
    #[schemars(with = "String")]
    pub release: ReleaseName,
    /// The digest of its manifest.
    #[schemars(with = "String")]
    pub manifest: Digest,
    /// Who published it.
    #[schemars(with = "String")]
    pub published_by: PersonId,
    /// When.
    #[schemars(with = "u64")]
    pub published_at: UnixMillis,
    /// The entry.
    pub index: u64,
    /// Its artifacts.
    pub artifacts: Vec<ArtifactRef>,
    /// Where it was built from, as the publisher says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceRef>,
    /// The digest of the release notes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub notes: Option<Digest>,
    /// Its evidence, in ledger order.
    pub evidence: Vec<EvidenceLine>,
    /// Who stands behind it, under the active policy set and in ledger order; what cannot be read is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<EvidenceSource>,
    /// What runs in each environment that the caller may read, in policy order.
    pub running: Vec<PlaceRow>,
    /// Its promotions, newest first.
    pub promotions: Vec<PromotionLine>,
    /// What of it rested on keys that were found compromised later.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suspects: Vec<SuspectRow>,
}

/// A release in one environment.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlaceRow {
    /// Which environment.
    #[schemars(with = "String")]
    pub environment: EnvName,
    /// What of the service runs there: this release or another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<RunningCell>,
    /// When this release was granted there last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u64>")]
    pub granted_at: Option<UnixMillis>,
    /// By which promotion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub promotion: Option<PromotionId>,
    /// Until when that grant lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u64>")]
    pub granted_until: Option<UnixMillis>,
    /// The entry of the decision that the grant rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<u64>,
    /// When another release was granted after it, where one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u64>")]
    pub replaced_at: Option<UnixMillis>,
    /// The report that counts there, where it is about this release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported: Option<DriftReport>,
}

/// One piece of evidence of a release.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvidenceLine {
    /// Its digest.
    #[schemars(with = "String")]
    pub digest: Digest,
    /// The report's format, or `envelope` where its maker signed it.
    pub form: String,
    /// Its media type.
    pub media_type: String,
    /// How long it is.
    pub size_bytes: u64,
    /// Who handed it in.
    #[schemars(with = "String")]
    pub by: PersonId,
    /// When.
    #[schemars(with = "u64")]
    pub recorded_at: UnixMillis,
    /// The entry.
    pub index: u64,
}
