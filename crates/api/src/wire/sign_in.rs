//! Signing in.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use lockgate_model::facts::SubjectKind;
use lockgate_model::{GroupName, PersonId, UnixMillis};

/// `POST /v1/challenges`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChallengeRequest {
    /// Who wants to sign in.
    #[schemars(with = "String")]
    pub person: PersonId,
}

/// The server's challenge.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Challenge {
    /// The ledger's origin.
    pub ledger: String,
    /// Random; answered once, within two minutes.
    pub challenge: String,
}

/// `POST /v1/sessions`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionRequest {
    /// Who signs in.
    #[schemars(with = "String")]
    pub person: PersonId,
    /// The challenge.
    pub challenge: String,
    /// The signature over the sign-in document (SSHSIG, armored).
    pub signature: String,
}

/// A new session.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionReply {
    /// The bearer token; shown once.
    pub token: String,
    /// Whose.
    #[schemars(with = "String")]
    pub person: PersonId,
    /// Until when at the latest.
    #[schemars(with = "u64")]
    pub expires_at: UnixMillis,
}

/// `GET /v1/whoami`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Whoami {
    /// Who is signed in.
    #[schemars(with = "String")]
    pub person: PersonId,
    /// `person` or `machine`.
    #[schemars(with = "String")]
    pub subject: SubjectKind,
    /// Groups.
    #[schemars(with = "Vec<String>")]
    pub groups: Vec<GroupName>,
    /// What they may do.
    pub permissions: Vec<String>,
}
