//! The pipeline matrix.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::wire::RunningCell;
use lockgate_model::{EnvName, PromotionId, ReleaseName, ServiceName, UnixMillis};

/// `GET /v1/matrix`: what runs where, and what is on its way, a page of services at a time.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MatrixReply {
    /// The environments, in policy order.
    pub columns: Vec<MatrixColumn>,
    /// The services of this page that fit, in order of name.
    pub services: Vec<MatrixRow>,
    /// Ask for the next page with `after` set to this; a page may have fewer rows than asked for, and a next one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub next: Option<ServiceName>,
    /// How many promotions are open, in all services.
    pub open: u64,
    /// Whether more are open than were counted.
    #[serde(default)]
    pub open_cut: bool,
    /// How many freezes are in force.
    pub freezes: u64,
    /// How many break-glasses took effect and wait for their review.
    pub unreviewed: u64,
    /// How many entries the ledger has.
    pub entries: u64,
}

/// One environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MatrixColumn {
    /// Which.
    #[schemars(with = "String")]
    pub environment: EnvName,
    /// Where its releases come from; cells are compared with that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub after: Option<EnvName>,
}

/// One service.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MatrixRow {
    /// Which.
    #[schemars(with = "String")]
    pub service: ServiceName,
    /// Its cells, in the order of the environments.
    pub cells: Vec<MatrixCell>,
}

/// One service in one environment.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MatrixCell {
    /// What runs there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<RunningCell>,
    /// Whether the same runs where it comes from.
    #[serde(default)]
    pub same: bool,
    /// Whether a newer version runs where it comes from.
    #[serde(default)]
    pub behind: bool,
    /// By how many releases of the service; absent where it is not behind, or where there are too many to count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behind_by: Option<u64>,
    /// How what was reported to run there differs from what is granted: `other-release`, `no-grant` or `not-running`, as
    /// in `GET /v1/drift`; absent where it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<String>,
    /// Whether that came back by a rollback.
    #[serde(default)]
    pub rollback: bool,
    /// Whether something is let past the gates there by a break-glass that nobody has reviewed.
    #[serde(default)]
    pub break_glass: bool,
    /// Whether a freeze is in force there.
    #[serde(default)]
    pub frozen: bool,
    /// The newest promotion that is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<MatrixOpen>,
}

/// An open promotion.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MatrixOpen {
    /// Which.
    #[schemars(with = "String")]
    pub promotion: PromotionId,
    /// Of what.
    #[schemars(with = "String")]
    pub release: ReleaseName,
    /// Whether it waits for the caller; only told with `state=mine`.
    #[serde(default)]
    pub mine: bool,
    /// Until when it stays open; absent where a page has too many to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u64>")]
    pub expires_at: Option<UnixMillis>,
    /// What was decided last, `pending` or `deny`; absent where a page has too many to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// How many different people have approved it; whether that counts is decided by the gate.
    pub approvals: u64,
    /// How many approvals the decision asks for; absent where no gate waits for any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needed: Option<u64>,
    /// The gates that fail or wait.
    pub gates: Vec<String>,
}

/// `POST /v1/pins`: `{"pin": "shop/web"}` or `{"unpin": "shop/web"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PinRequest {
    /// Show this service before all others.
    Pin(#[schemars(with = "String")] ServiceName),
    /// Show it where its name stands again.
    Unpin(#[schemars(with = "String")] ServiceName),
}
