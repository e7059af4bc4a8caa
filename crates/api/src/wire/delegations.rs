//! Delegations, approvals that are taken back, and how people approve.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use lockgate_model::{Digest, EnvName, GroupName, PersonId, PromotionId, ReleaseName, ServiceName, UnixMillis};

/// `POST /v1/delegations`. Empty lists mean all.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDelegation {
    /// Who lends.
    #[schemars(with = "String")]
    pub from: PersonId,
    /// Who may approve instead.
    #[schemars(with = "String")]
    pub to: PersonId,
    /// In which of the lender's groups.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub groups: Vec<GroupName>,
    /// For which environments.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub environments: Vec<EnvName>,
    /// For which services.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub services: Vec<ServiceName>,
    /// Until when; at most 30 days ahead.
    #[schemars(with = "u64")]
    pub expires_at: UnixMillis,
    /// Why.
    pub reason: String,
    /// The lender's signature over the delegation document (SSHSIG, armored).
    pub signature: String,
}

/// `POST /v1/delegations/ends`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EndDelegation {
    /// The entry that granted it.
    pub delegation: u64,
    /// Why.
    pub reason: String,
    /// Who signs: the lender, the delegate, or someone who may manage keys.
    #[schemars(with = "String")]
    pub by: PersonId,
    /// Their signature over the end of the delegation (SSHSIG, armored).
    pub signature: String,
}

/// `GET /v1/delegations`: one of them.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DelegationRow {
    /// The entry that granted it.
    pub delegation: u64,
    /// Who lends.
    #[schemars(with = "String")]
    pub from: PersonId,
    /// Who may approve instead.
    #[schemars(with = "String")]
    pub to: PersonId,
    /// In which of the lender's groups; empty means in all.
    #[schemars(with = "Vec<String>")]
    pub groups: Vec<GroupName>,
    /// For which environments; empty means for all.
    #[schemars(with = "Vec<String>")]
    pub environments: Vec<EnvName>,
    /// For which services; empty means for all.
    #[schemars(with = "Vec<String>")]
    pub services: Vec<ServiceName>,
    /// Since when.
    #[schemars(with = "u64")]
    pub granted_at: UnixMillis,
    /// Until when.
    #[schemars(with = "u64")]
    pub expires_at: UnixMillis,
    /// Why.
    pub reason: String,
    /// Whether it is in force now.
    pub open: bool,
    /// Who ended it before its time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub ended_by: Option<PersonId>,
}

/// `POST /v1/promotions/{id}/approvals/withdrawal`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TakeBackRequest {
    /// The release that it is about.
    #[schemars(with = "String")]
    pub release: ReleaseName,
    /// The digests of one's own approval documents.
    #[schemars(with = "Vec<String>")]
    pub approvals: Vec<Digest>,
    /// Why; may be empty.
    #[serde(default)]
    pub reason: String,
    /// The approver's signature over the withdrawal document (SSHSIG, armored).
    pub signature: String,
}

/// Approvals that were taken back.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TakenBack {
    /// Of which promotion.
    #[schemars(with = "String")]
    pub promotion: PromotionId,
    /// Which documents.
    #[schemars(with = "Vec<String>")]
    pub approvals: Vec<Digest>,
    /// Where the promotion stands now.
    pub status: String,
}

/// `GET /v1/approvers`: how people approve.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApproversReply {
    /// Everyone who has approved.
    pub approvers: Vec<ApproverRow>,
    /// Who approves whose requests.
    pub pairs: Vec<PairRow>,
}

/// How one person approves.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApproverRow {
    /// Who.
    #[schemars(with = "String")]
    pub person: PersonId,
    /// How many approvals.
    pub approvals: u64,
    /// How many of them within ten seconds and without opening any evidence.
    pub hasty: u64,
    /// How many do not say when their document was opened.
    pub untimed: u64,
    /// How often they gave 20 approvals or more within ten seconds.
    pub rubber_stamps: u64,
}

/// Who approves whose requests.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PairRow {
    /// Who asked.
    #[schemars(with = "String")]
    pub requester: PersonId,
    /// Who approved.
    #[schemars(with = "String")]
    pub approver: PersonId,
    /// How many of the requester's promotions.
    pub approvals: u64,
    /// Of how many that anybody approved.
    pub of: u64,
    /// Whether it is all of them, and more than a few.
    pub always: bool,
    /// Whether it is so in both directions.
    pub mutual: bool,
    /// The newest.
    #[schemars(with = "u64")]
    pub newest: UnixMillis,
}
