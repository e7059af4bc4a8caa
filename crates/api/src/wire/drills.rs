//! Drills.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `POST /v1/drills`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DrillRequest {
    /// The report, in its canonical bytes as text: the ledger keeps it under their digest.
    pub report: String,
}
