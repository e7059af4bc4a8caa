//! CI identity: exchanging a pipeline's token, and the trusts that decide which pipelines count.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use lockgate_model::{GroupName, PersonId, ServiceName, UnixMillis};

/// `POST /v1/ci/tokens`.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CiTokenRequest {
    /// The token that the CI system issued to the job, as it came.
    pub token: String,
}

/// A token for a pipeline.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CiTokenReply {
    /// The bearer token; shown once.
    pub access_token: String,
    /// For how many seconds it counts.
    pub expires_in: u64,
    /// Until when it counts.
    #[schemars(with = "u64")]
    pub expires_at: UnixMillis,
    /// Whom the pipeline acts as.
    #[schemars(with = "String")]
    pub machine: PersonId,
    /// Which services it may act on.
    #[schemars(with = "Vec<String>")]
    pub services: Vec<ServiceName>,
}

/// Whose tokens they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CiIssuer {
    /// GitHub Actions.
    Github,
    /// GitLab CI.
    Gitlab,
    /// Any other issuer of OpenID Connect tokens.
    Oidc,
}

/// A signed trust: `POST /v1/ci/trusts`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CiTrustRequest {
    /// Whose tokens.
    pub provider: CiIssuer,
    /// The machine that such a pipeline acts as.
    #[schemars(with = "String")]
    pub machine: PersonId,
    /// The machine's groups.
    #[schemars(with = "Vec<String>")]
    pub groups: Vec<GroupName>,
    /// The issuer, byte for byte as in `iss`.
    pub issuer: String,
    /// The only audience that counts.
    pub audience: String,
    /// What each of these claims must be.
    pub claims: BTreeMap<String, String>,
    /// The services it may act on, in ascending order.
    #[schemars(with = "Vec<String>")]
    pub services: Vec<ServiceName>,
    /// Where the issuer's keys are; absent means where its discovery document says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_url: Option<String>,
    /// Random lower-case hex.
    pub nonce: String,
    /// Who signs.
    #[schemars(with = "String")]
    pub by: PersonId,
    /// Their signature over the trust document (SSHSIG, armored).
    pub signature: String,
}

/// A signed end: `POST /v1/ci/trusts/removals`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CiTrustEnd {
    /// The entry of the trust that ends.
    pub trust: u64,
    /// Why.
    pub reason: String,
    /// Who signs.
    #[schemars(with = "String")]
    pub by: PersonId,
    /// Their signature over the end document (SSHSIG, armored).
    pub signature: String,
}

/// `GET /v1/ci/trusts`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CiTrustRow {
    /// The entry that recorded it.
    pub trust: u64,
    /// Whose tokens.
    pub provider: CiIssuer,
    /// The machine.
    #[schemars(with = "String")]
    pub machine: PersonId,
    /// The issuer.
    pub issuer: String,
    /// The audience.
    pub audience: String,
    /// What each of these claims must be.
    pub claims: BTreeMap<String, String>,
    /// The services.
    #[schemars(with = "Vec<String>")]
    pub services: Vec<ServiceName>,
    /// Where the issuer's keys are, if that is pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_url: Option<String>,
    /// Who signed it first.
    #[schemars(with = "String")]
    pub by: PersonId,
}
