//! Who may do what, where and why; access reviews.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use lockgate_model::facts::SubjectKind;
use lockgate_model::{Digest, GroupName, PersonId, RoleName, UnixMillis};

/// `GET /v1/people/{person}/access`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessReply {
    /// Who.
    #[schemars(with = "String")]
    pub person: PersonId,
    /// `person` or `machine`.
    #[schemars(with = "String")]
    pub subject: SubjectKind,
    /// Groups.
    #[schemars(with = "Vec<String>")]
    pub groups: Vec<GroupName>,
    /// Whether they are suspended, and so may do nothing.
    pub suspended: bool,
    /// What they may do, in order of permission.
    pub rights: Vec<RightRow>,
}

/// One permission, with where it reaches and why.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RightRow {
    /// What.
    pub permission: String,
    /// For which services, as patterns; absent stands for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub services: Option<Vec<String>>,
    /// In which environments, as patterns; absent stands for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environments: Option<Vec<String>>,
    /// Why.
    pub because: BecauseRow,
    /// When it was last used; absent means never, or that using it leaves no trace in the ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u64>")]
    pub last_used: Option<UnixMillis>,
    /// The entry that the last use wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_index: Option<u64>,
    /// Whether it was used last for something that the caller may not read, so that neither is told.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub last_use_hidden: bool,
}

/// Why somebody has a permission.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BecauseRow {
    /// The role.
    #[schemars(with = "String")]
    pub role: RoleName,
    /// The group through which it is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub group: Option<GroupName>,
    /// The name or pattern through which it is held, where that is no group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub named: Option<String>,
    /// The file of the policy set that says so.
    pub file: String,
    /// Its line, from 1.
    pub line: u64,
}

/// `GET /v1/permissions/{permission}`: everyone who has it for the object that was asked about.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldersReply {
    /// The permission.
    pub permission: String,
    /// Who has it, in order of name.
    pub holders: Vec<HolderRow>,
}

/// One person who has a permission.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HolderRow {
    /// Who.
    #[schemars(with = "String")]
    pub person: PersonId,
    /// Why.
    pub because: BecauseRow,
}

/// `GET /v1/access-reviews`: the document that a reviewer would sign now, and the newest review.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReviewReply {
    /// The review document, in canonical JSON.
    pub document: String,
    /// The newest review, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<ReviewMade>,
}

/// A review that was signed.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReviewMade {
    /// Who reviewed.
    #[schemars(with = "String")]
    pub by: PersonId,
    /// When.
    #[schemars(with = "u64")]
    pub time: UnixMillis,
    /// Its ledger index.
    pub index: u64,
    /// The document.
    #[schemars(with = "String")]
    pub review: Digest,
}

/// `POST /v1/access-reviews`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReviewRequest {
    /// The review document, exactly as it was signed.
    pub document: String,
    /// Who reviewed.
    #[schemars(with = "String")]
    pub by: PersonId,
    /// Their signature over the document (SSHSIG, armored).
    pub signature: String,
}
