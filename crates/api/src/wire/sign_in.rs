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
    /// The bearer token; shown once, and empty where the caller asked for a cookie instead.
    pub token: String,
    /// Whose.
    #[schemars(with = "String")]
    pub person: PersonId,
    /// Until when at the latest.
    #[schemars(with = "u64")]
    pub expires_at: UnixMillis,
}

/// `POST /v1/handovers`: nothing; the session is what is handed over.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HandoverRequest {}

/// A session's one-time code for a browser.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HandoverReply {
    /// The code; shown once.
    pub code: String,
    /// Until when it can be claimed.
    #[schemars(with = "u64")]
    pub expires_at: UnixMillis,
}

/// `POST /v1/handovers/claims`.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HandoverClaim {
    /// The code.
    pub code: String,
    /// Whose session it is, as the page showed it; without it, the reply says whose, and nothing is claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub person: Option<PersonId>,
}

/// Whose session a code hands over.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HandoverClaimed {
    /// Whose.
    #[schemars(with = "String")]
    pub person: PersonId,
    /// Whether the browser is signed in with it now.
    pub signed_in: bool,
    /// When that session ends at the latest.
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

/// One session: `GET /v1/sessions`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionRow {
    /// Its id, which is no secret.
    pub id: String,
    /// Whether it is the one that asks.
    pub current: bool,
    /// `key` or `oidc`.
    pub method: String,
    /// How strongly the person proved who they are (RFC 8176): `swk`, `hwk`, `user`, `mfa`.
    pub amr: Vec<String>,
    /// The fingerprint of the key, or a digest of the account, that it rests on.
    pub credential: String,
    /// When the person proved who they are.
    #[schemars(with = "u64")]
    pub auth_time: UnixMillis,
    /// When it began.
    #[schemars(with = "u64")]
    pub created: UnixMillis,
    /// When it was last used, give or take a minute.
    #[schemars(with = "u64")]
    pub last_used: UnixMillis,
    /// When it ends if nobody uses it.
    #[schemars(with = "u64")]
    pub expires_at: UnixMillis,
    /// Whether it would survive a restart of the server; not one that began while the disk was full.
    pub stored: bool,
}

/// `DELETE /v1/sessions/{id}`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EndedSessions {
    /// How many of the listed sessions have ended.
    pub ended: u64,
}

/// What a browser brought to the command line: `POST /v1/oidc/sessions` and `POST /v1/oidc/accounts`.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OidcCode {
    /// The code.
    pub code: String,
    /// What `cli_challenge` is the SHA-256 of (RFC 7636).
    pub verifier: String,
}

/// `POST /v1/oidc/accounts`: the account that someone has just signed in to.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountReply {
    /// The issuer.
    pub issuer: String,
    /// The account.
    pub subject: String,
}

/// `POST /v1/identities`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IdentityBinding {
    /// Whose.
    #[schemars(with = "String")]
    pub person: PersonId,
    /// The issuer.
    pub issuer: String,
    /// The account.
    pub subject: String,
    /// The entry that ended the last binding of this account; left out where it has never been bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// The person's signature over the binding document (SSHSIG, armored).
    pub signature: String,
}

/// `POST /v1/identities/ends`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IdentityEnd {
    /// Whose.
    #[schemars(with = "String")]
    pub person: PersonId,
    /// The issuer.
    pub issuer: String,
    /// The account.
    pub subject: String,
    /// Why.
    pub reason: String,
    /// Who signs.
    #[schemars(with = "String")]
    pub by: PersonId,
    /// Their signature over the unbinding document.
    pub signature: String,
}

/// One bound account: `GET /v1/identities`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IdentityRow {
    /// The issuer.
    pub issuer: String,
    /// The account.
    pub subject: String,
    /// The fingerprint of the key that bound it.
    pub key: String,
    /// The entry that bound it.
    pub bound_at: u64,
    /// The entry that ended the binding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unbound_at: Option<u64>,
}
