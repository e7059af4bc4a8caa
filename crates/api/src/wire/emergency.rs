//! Emergency freezes and break-glass.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use lockgate_model::{Digest, EnvName, PersonId, PromotionId, ReleaseName, ServiceName, UnixMillis};

/// `POST /v1/freezes`. What is left out means all.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewFreeze {
    /// The only service that it stops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub service: Option<ServiceName>,
    /// The only environment that it stops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub environment: Option<EnvName>,
    /// Why.
    pub reason: String,
    /// Until when; until it is lifted where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u64>")]
    pub until: Option<UnixMillis>,
    /// Whether rollbacks are let through.
    #[serde(default)]
    pub spares_rollbacks: bool,
    /// Something new each time.
    pub nonce: String,
    /// Who signs.
    #[schemars(with = "String")]
    pub by: PersonId,
    /// Their signature over the freeze document (SSHSIG, armored).
    pub signature: String,
}

/// `POST /v1/freezes/lifts`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FreezeLift {
    /// The entry that ordered it.
    pub freeze: u64,
    /// Why.
    pub reason: String,
    /// Who signs.
    #[schemars(with = "String")]
    pub by: PersonId,
    /// Their signature over the lift of the freeze (SSHSIG, armored).
    pub signature: String,
}

/// `GET /v1/freezes`: one of them.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FreezeRow {
    /// The entry that ordered it.
    pub freeze: u64,
    /// The only service that it stops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub service: Option<ServiceName>,
    /// The only environment that it stops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub environment: Option<EnvName>,
    /// What it stops, in words.
    pub what: String,
    /// Who ordered it.
    #[schemars(with = "String")]
    pub by: PersonId,
    /// Why.
    pub reason: String,
    /// Since when.
    #[schemars(with = "u64")]
    pub since: UnixMillis,
    /// Until when; until it is lifted where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u64>")]
    pub until: Option<UnixMillis>,
    /// Whether rollbacks are let through.
    pub spares_rollbacks: bool,
    /// Whether it is in force now.
    pub open: bool,
    /// Who lifted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub lifted_by: Option<PersonId>,
}

/// `POST /v1/break-glass`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBreakGlass {
    /// What is let past the gates.
    #[schemars(with = "String")]
    pub release: ReleaseName,
    /// Its manifest.
    #[schemars(with = "String")]
    pub manifest: Digest,
    /// Where to.
    #[schemars(with = "String")]
    pub environment: EnvName,
    /// Why.
    pub reason: String,
    /// The ticket or incident.
    pub ticket: String,
    /// Until when; the policy set says how long that may be.
    #[schemars(with = "u64")]
    pub expires_at: UnixMillis,
    /// Who signs.
    #[schemars(with = "String")]
    pub by: PersonId,
    /// Their signature over the break-glass document (SSHSIG, armored).
    pub signature: String,
}

/// `POST /v1/break-glass/signatures`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BreakGlassCountersignature {
    /// The entry that opened it.
    pub break_glass: u64,
    /// Who signs too.
    #[schemars(with = "String")]
    pub by: PersonId,
    /// Their signature over the same document (SSHSIG, armored).
    pub signature: String,
}

/// `POST /v1/break-glass/reviews`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BreakGlassReviewRequest {
    /// The entry that opened it.
    pub break_glass: u64,
    /// What the review found.
    pub finding: String,
    /// Who reviewed it: nobody who signed it.
    #[schemars(with = "String")]
    pub by: PersonId,
    /// Their signature over the review document (SSHSIG, armored).
    pub signature: String,
}

/// What became of a break-glass by a signature.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BreakGlassReply {
    /// What was recorded.
    pub event: String,
    /// Where.
    pub index: u64,
    /// The entry that opened the break-glass.
    pub break_glass: u64,
    /// How many different people have to sign it.
    pub needed: u64,
    /// How many have.
    pub signed: u64,
    /// The promotion that was decided under it, once enough people signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub promotion: Option<PromotionId>,
    /// Where that promotion stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
}

/// `GET /v1/break-glass`: one of them.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BreakGlassRow {
    /// The entry that opened it.
    pub break_glass: u64,
    /// What is let past the gates.
    #[schemars(with = "String")]
    pub release: ReleaseName,
    /// Its manifest.
    #[schemars(with = "String")]
    pub manifest: Digest,
    /// Where to.
    #[schemars(with = "String")]
    pub environment: EnvName,
    /// Why.
    pub reason: String,
    /// The ticket or incident.
    pub ticket: String,
    /// Since when.
    #[schemars(with = "u64")]
    pub opened_at: UnixMillis,
    /// Until when.
    #[schemars(with = "u64")]
    pub expires_at: UnixMillis,
    /// Who signed it, in ledger order.
    #[schemars(with = "Vec<String>")]
    pub signed_by: Vec<PersonId>,
    /// How many different people have to.
    pub needed: u64,
    /// `open`, `over`, `unreviewed` or `reviewed`.
    pub state: String,
    /// Whether something was granted under it.
    pub used: bool,
    /// Who reviewed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub reviewed_by: Option<PersonId>,
    /// What they found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finding: Option<String>,
}
