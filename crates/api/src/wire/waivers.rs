//! Waivers: asked for, listed, ended. Granting one is in the governance file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use lockgate_model::{Digest, EnvName, GateName, PersonId, ReleaseName, ServiceName, UnixMillis};

/// `POST /v1/waivers/requests`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WaiverRequest {
    /// The gate.
    #[schemars(with = "String")]
    pub gate: GateName,
    /// The finding: a CVE, a licence, a result, a name; never a whole gate.
    pub finding: String,
    /// The service.
    #[schemars(with = "String")]
    pub service: ServiceName,
    /// The environment.
    #[schemars(with = "String")]
    pub environment: EnvName,
    /// The only release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub release: Option<ReleaseName>,
    /// The only artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub artifact: Option<Digest>,
    /// Why.
    pub reason: String,
    /// Where it is followed up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// Until when.
    #[schemars(with = "u64")]
    pub expires_at: UnixMillis,
    /// Who asks.
    #[schemars(with = "String")]
    pub asked_by: PersonId,
    /// Their signature over the waiver document (SSHSIG, armored).
    pub signature: String,
}

/// `POST /v1/waivers/ends`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WaiverEnd {
    /// The entry that granted it, or asked for it.
    pub waiver: u64,
    /// Why.
    pub reason: String,
    /// Who signs.
    #[schemars(with = "String")]
    pub by: PersonId,
    /// Their signature over the end of the waiver (SSHSIG, armored).
    pub signature: String,
}

/// `GET /v1/waivers`: one of them.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WaiverRow {
    /// The entry that it goes by: its grant, or else its request.
    pub waiver: u64,
    /// The entry that asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<u64>,
    /// `asked`, `open`, `void`, `over` or `revoked`.
    pub state: String,
    /// Of a `void` one, which was granted, has not ended and does not count: the reason code that its gate gives. Of one
    /// that is `asked`: the reason code that its gate would give if it were granted now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub void: Option<String>,
    /// What was asked for, with the asker's signature.
    pub asked: WaiverRequest,
    /// Who granted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub granted_by: Option<PersonId>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u64>")]
    pub granted_at: Option<UnixMillis>,
    /// Who ended it before its time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub ended_by: Option<PersonId>,
}
