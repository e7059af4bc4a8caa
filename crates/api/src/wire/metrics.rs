//! Metrics.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use lockgate_model::{EnvName, PersonId, UnixMillis};

/// `GET /v1/metrics`: counted from the ledger, of what the caller may read. Times of waiting are in whole seconds.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricsReply {
    /// Since when was asked for.
    #[schemars(with = "u64")]
    pub since: UnixMillis,
    /// Until when.
    #[schemars(with = "u64")]
    pub until: UnixMillis,
    /// Since when nothing is left out.
    #[schemars(with = "u64")]
    pub covered_from: UnixMillis,
    /// Whether that is all that was asked for.
    pub complete: bool,
    /// How many entries were read.
    pub entries: u64,
    /// How many promotions are counted.
    pub promotions: u64,
    /// Each environment, in policy order.
    pub environments: Vec<EnvironmentMetrics>,
    /// What granted promotions waited for; where it was several things at once, each has its share.
    pub waiting: Vec<WaitMetrics>,
    /// What became of promotions that were not granted at once.
    pub refusals: RefusalMetrics,
    /// Why promotions were denied or rejected, the most frequent first.
    pub reasons: Vec<ReasonMetrics>,
    /// Who approved how much; absent for who may not audit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approvers: Option<Vec<ApproverMetrics>>,
    /// Each week, oldest first.
    pub weeks: Vec<WeekMetrics>,
    /// How many freezes were ordered.
    pub freezes: u64,
    /// How many break-glasses took effect.
    pub break_glass: u64,
}

/// One environment.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnvironmentMetrics {
    /// Which.
    #[schemars(with = "String")]
    pub environment: EnvName,
    /// How many promotions were granted, without rollbacks.
    pub grants: u64,
    /// How many rollbacks were granted.
    pub rollbacks: u64,
    /// From request to grant: half of the promotions took no longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_secs: Option<u64>,
    /// From request to grant: nine of ten took no longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p90_secs: Option<u64>,
    /// How many grants were followed by a rollback of the service within 7 days.
    pub failed: u64,
    /// The same of a hundred grants; absent without grants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_percent: Option<u64>,
    /// From such a grant to the grant of the rollback that ended it: half of them took no longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_p50_secs: Option<u64>,
}

/// What was waited for.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WaitMetrics {
    /// `approval`, `evidence`, `window` or `other`.
    pub cause: String,
    /// How long in all.
    pub secs: u64,
    /// How many promotions did.
    pub promotions: u64,
}

/// What became of promotions that were not granted at once.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RefusalMetrics {
    /// Denied by a gate, at least once.
    pub denied: u64,
    /// Rejected by a person.
    pub rejected: u64,
    /// Withdrawn.
    pub withdrawn: u64,
    /// Expired.
    pub expired: u64,
    /// Superseded by another one.
    pub superseded: u64,
}

/// One reason.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReasonMetrics {
    /// Its code; `lockgate explain CODE` says what it means.
    pub code: String,
    /// How many promotions.
    pub promotions: u64,
}

/// One approver.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApproverMetrics {
    /// Who.
    #[schemars(with = "String")]
    pub person: PersonId,
    /// How many approvals.
    pub approvals: u64,
    /// How long half of the documents were open at most before they were signed; absent where none says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub median_review_secs: Option<u64>,
}

/// One week.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WeekMetrics {
    /// When it began.
    #[schemars(with = "u64")]
    pub from: UnixMillis,
    /// How many promotions were granted, without rollbacks.
    pub grants: u64,
    /// How many rollbacks were granted.
    pub rollbacks: u64,
    /// From request to grant: half of the promotions took no longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_secs: Option<u64>,
}
