//! What waits for one person.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use lockgate_model::facts::PromotionKind;
use lockgate_model::{EnvName, PersonId, PromotionId, ReleaseName, UnixMillis};

use crate::wire::{BreakGlassRow, ChangeRow, DelegationRow, SuspectRow, WaiverRow};

/// `GET /v1/inbox`: only what the caller can decide now.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InboxReply {
    /// Promotions that their approval would count for, oldest first.
    pub promotions: Vec<InboxPromotion>,
    /// Changes of keys, people and policy that their signature is missing under.
    pub changes: Vec<ChangeRow>,
    /// Waivers that others asked for and that they may grant, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waivers: Vec<WaiverRow>,
    /// Break-glasses that others signed and that they may sign too, or review, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub break_glass: Vec<BreakGlassRow>,
    /// What rested on keys that were found compromised later, newest first.
    pub suspects: Vec<SuspectRow>,
    /// The delegations in force from and to them, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delegations: Vec<DelegationRow>,
    /// Ask for the next page with `after` set to this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub next: Option<PromotionId>,
}

/// One promotion that waits for somebody's approval.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InboxPromotion {
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
    /// Who asked.
    #[schemars(with = "String")]
    pub requester: PersonId,
    /// Why.
    pub reason: String,
    /// When.
    #[schemars(with = "u64")]
    pub requested_at: UnixMillis,
    /// Until when it stays open.
    #[schemars(with = "u64")]
    pub expires_at: UnixMillis,
    /// What is missing: the demand of each gate that is not passed, approvals first.
    pub missing: Vec<String>,
    /// The delegations that it waits for them by; none where it does by their own right.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lent: Vec<LentBy>,
}

/// A delegation that a line of an inbox is there for.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LentBy {
    /// The entry that granted it.
    pub delegation: u64,
    /// Who lends.
    #[schemars(with = "String")]
    pub from: PersonId,
    /// Until when.
    #[schemars(with = "u64")]
    pub expires_at: UnixMillis,
}

/// `POST /v1/inbox/snoozes/{id}`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SnoozeRequest {
    /// For how long.
    pub lasts: SnoozeTime,
}

/// For how long a line of an inbox is snoozed, unless it ends before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SnoozeTime {
    /// Until this time tomorrow.
    Day,
    /// Until this time in a week.
    Week,
}
