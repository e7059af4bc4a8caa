//! Drift: what is granted, compared with what was reported to run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::wire::RunningCell;
use lockgate_model::{Digest, EnvName, ReleaseName, ServiceName, UnixMillis};

/// `GET /v1/drift`: a page of services at a time.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DriftReply {
    /// The environments of the policy set, in its order.
    #[schemars(with = "Vec<String>")]
    pub environments: Vec<EnvName>,
    /// What fits, by service in order of name, and by environment in policy order.
    pub rows: Vec<DriftRow>,
    /// Ask for the next page with `after` set to this; a page may be empty and have a next one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub next: Option<ServiceName>,
}

/// One service in one environment.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DriftRow {
    /// Which service.
    #[schemars(with = "String")]
    pub service: ServiceName,
    /// Which environment.
    #[schemars(with = "String")]
    pub environment: EnvName,
    /// `in-step`; `other-release` for one that was granted there before, `no-grant` for one that never was, and
    /// `not-running`: these three are drift; `not-reported` since the grant; `report-old`.
    pub state: String,
    /// Whether what was reported differs from what is granted.
    pub drift: bool,
    /// What ought to run: the newest grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted: Option<RunningCell>,
    /// The report that counts: the newest that something runs, else the newest that the granted release does not; by
    /// somebody who might deploy there, and since the grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported: Option<DriftReport>,
    /// The command that mends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

/// What somebody reported to run.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DriftReport {
    /// Of which release.
    #[schemars(with = "String")]
    pub release: ReleaseName,
    /// `pass` or `warn` where it runs, `fail` where it does not.
    pub outcome: String,
    /// When the reporter looked, as the report says; never later than it was recorded.
    #[schemars(with = "u64")]
    pub at: UnixMillis,
    /// The entry that records it.
    pub index: u64,
    /// Who handed it in.
    pub by: String,
    /// What they handed in.
    #[schemars(with = "String")]
    pub evidence: Digest,
}
