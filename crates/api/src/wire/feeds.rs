//! Feeds of vulnerabilities: KEV and EPSS.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use lockgate_model::facts::FeedKind;
use lockgate_model::{Digest, PersonId, UnixMillis};

/// `PUT /v1/feeds/{kind}`: what was recorded.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FeedReply {
    /// `kev` or `epss`.
    #[schemars(with = "String")]
    pub feed: FeedKind,
    /// The digest of the snapshot's bytes.
    #[schemars(with = "String")]
    pub digest: Digest,
    /// The snapshot's own date.
    #[schemars(with = "u64")]
    pub date: UnixMillis,
    /// How many vulnerabilities it tells of.
    pub rows: u64,
    /// The entry that recorded it.
    pub index: u64,
    /// Whether it was the newest one already.
    pub repeated: bool,
}

/// `GET /v1/feeds`: one recorded snapshot.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FeedRow {
    /// `kev` or `epss`.
    #[schemars(with = "String")]
    pub feed: FeedKind,
    /// The digest of the snapshot's bytes.
    #[schemars(with = "String")]
    pub digest: Digest,
    /// The snapshot's own date.
    #[schemars(with = "u64")]
    pub date: UnixMillis,
    /// How many vulnerabilities it tells of.
    pub rows: u64,
    /// The entry that recorded it.
    pub index: u64,
    /// When, in ledger time.
    #[schemars(with = "u64")]
    pub recorded_at: UnixMillis,
    /// By whom.
    #[schemars(with = "String")]
    pub by: PersonId,
    /// Whether decisions use it now.
    pub newest: bool,
}

/// A recorded snapshot that a decision used.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FeedUsedRow {
    /// `kev` or `epss`.
    #[schemars(with = "String")]
    pub feed: FeedKind,
    /// The digest of the snapshot's bytes.
    #[schemars(with = "String")]
    pub digest: Digest,
    /// The snapshot's own date.
    #[schemars(with = "u64")]
    pub date: UnixMillis,
    /// The entry that recorded it.
    pub index: u64,
}
