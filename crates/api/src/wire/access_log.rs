//! The access log: who asked for what, and what came of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use lockgate_model::UnixMillis;

/// `GET /v1/access`, newest first.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessLogReply {
    /// The requests of this page; fewer than asked for, even none, when a long stretch held nothing that fits.
    pub items: Vec<AccessItem>,
    /// Ask for the next page with `before` set to this; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
    /// How many entries the log has.
    pub entries: u64,
}

/// One request.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessItem {
    /// Its index in the access log.
    pub index: u64,
    /// When.
    #[schemars(with = "u64")]
    pub time: UnixMillis,
    /// The person or machine that was signed in, or `-`.
    pub principal: String,
    /// The address of the connection's other end.
    pub address: String,
    /// What it asked for, such as `promotions.approve`.
    pub action: String,
    /// About what: the parts of the path, or the name that a sign-in is for.
    pub object: String,
    /// `allowed`, `refused` or `failed`.
    pub outcome: String,
    /// The HTTP status.
    pub status: u16,
    /// The reason code, when it was not allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The first eight hex digits of the token's hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
}
