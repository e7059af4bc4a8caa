//! Identity, people, keys, policy, waivers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use lockgate_model::facts::SubjectKind;
use lockgate_model::{ChangeId, Digest, EnvName, GroupName, PersonId, ReleaseName, ServiceName, UnixMillis};

/// `GET /v1/server`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerInfo {
    /// The software's version.
    pub version: String,
    /// The ledger's origin.
    pub origin: String,
    /// The log key as a note verifier key.
    pub log_key: String,
    /// How many entries the ledger has.
    pub entries: u64,
    /// The active policy set.
    #[schemars(with = "String")]
    pub policy: Digest,
    /// The entry that made it active.
    pub policy_at: u64,
    /// Whether the first owner is still to be enrolled.
    pub setup_needed: bool,
    /// Whether people may sign in through an identity provider.
    #[serde(default)]
    pub oidc: bool,
    /// Whether this is a demo instance, whose keys mean nothing.
    pub demo: bool,
}

/// An enrolment with its signatures: `POST /v1/setup` and `POST /v1/people`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Enrolment {
    /// The name.
    #[schemars(with = "String")]
    pub person: PersonId,
    /// `person` or `machine`.
    #[schemars(with = "String")]
    pub subject: SubjectKind,
    /// Groups of the policy set.
    #[schemars(with = "Vec<String>")]
    pub groups: Vec<GroupName>,
    /// The public key, as one OpenSSH line.
    pub key: String,
    /// The new key's own signature over the enrolment document (SSHSIG, armored).
    pub proof: String,
    /// Set-up only: the one-time code from the server's console.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Otherwise: who vouches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub by: Option<PersonId>,
    /// Otherwise: their signature over the same document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// From when on, in ledger time, the key's signatures do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u64>")]
    pub expires_at: Option<UnixMillis>,
    /// The environments that the key approves for; all where none is listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub environments: Vec<EnvName>,
}

/// `POST /v1/keys`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// Whose.
    #[schemars(with = "String")]
    pub person: PersonId,
    /// The further public key, as one OpenSSH line.
    pub key: String,
    /// Its own signature over the enrolment document.
    pub proof: String,
    /// Who vouches.
    #[schemars(with = "String")]
    pub by: PersonId,
    /// Their signature over the same document.
    pub signature: String,
    /// From when on, in ledger time, the key's signatures do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u64>")]
    pub expires_at: Option<UnixMillis>,
    /// The environments that the key approves for; all where none is listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub environments: Vec<EnvName>,
}

/// `POST /v1/keys/revocations`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// Whose key.
    #[schemars(with = "String")]
    pub person: PersonId,
    /// Its `SHA256:` fingerprint.
    pub key: String,
    /// Signatures recorded at this index or later do not count; absent means from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compromised_since: Option<u64>,
    /// Why.
    pub reason: String,
    /// Who signs.
    #[schemars(with = "String")]
    pub by: PersonId,
    /// Their signature over the revocation document.
    pub signature: String,
}

/// `POST /v1/policy`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Activation {
    /// The policy set's canonical document.
    pub document: String,
    /// The digest of the set that it replaces.
    #[schemars(with = "String")]
    pub previous: Digest,
    /// The entry that had made that one active.
    pub previous_at: u64,
    /// Why.
    pub reason: String,
    /// Who signs.
    #[schemars(with = "String")]
    pub by: PersonId,
    /// Their signature over the activation document.
    pub signature: String,
    /// The backtest of the policy set, as `lockgate policy backtest --report` wrote it; its digest stands in the document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backtest: Option<String>,
}

/// `POST /v1/waivers`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Waiver {
    /// The gate.
    pub gate: String,
    /// The finding, such as a CVE.
    pub finding: String,
    /// The service.
    #[schemars(with = "String")]
    pub service: ServiceName,
    /// The environment.
    #[schemars(with = "String")]
    pub environment: EnvName,
    /// Why.
    pub reason: String,
    /// Until when.
    #[schemars(with = "u64")]
    pub expires_at: UnixMillis,
    /// Who asks.
    #[schemars(with = "String")]
    pub asked_by: PersonId,
    /// Their signature over the waiver document.
    pub asked_signature: String,
    /// Who grants.
    #[schemars(with = "String")]
    pub granted_by: PersonId,
    /// Their signature over the same document.
    pub granted_signature: String,
    /// The entry that asked for it; absent where the request was handed over outside of the ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<u64>,
    /// The only release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub release: Option<ReleaseName>,
    /// The only artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub artifact: Option<Digest>,
    /// Where it is followed up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
}

/// The result of a governance change.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Changed {
    /// The event's name.
    pub event: String,
    /// Its ledger index.
    pub index: u64,
    /// The proposal that it belongs to, where several people sign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub change: Option<ChangeId>,
    /// How many more people have to sign before it happens; absent once it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<u64>,
    /// Until when their signatures are gathered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u64>")]
    pub expires_at: Option<UnixMillis>,
}

/// `GET /v1/people`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PersonRow {
    /// The name.
    #[schemars(with = "String")]
    pub person: PersonId,
    /// `person` or `machine`.
    #[schemars(with = "String")]
    pub subject: SubjectKind,
    /// Groups.
    #[schemars(with = "Vec<String>")]
    pub groups: Vec<GroupName>,
    /// Keys, ended ones included.
    pub keys: Vec<KeyRow>,
    /// The entry that suspended them; absent while they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspended_at: Option<u64>,
    /// The entry that changed their standing last: what a suspension or its end has to name.
    #[serde(default)]
    pub standing_at: u64,
}

/// One key.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyRow {
    /// Its fingerprint.
    pub fingerprint: String,
    /// The public key, as one OpenSSH line.
    pub key: String,
    /// The entry that enrolled it.
    pub enrolled_at: u64,
    /// From which index on it does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invalid_from: Option<u64>,
    /// `retired`, `compromised` or `suspect`; absent while it counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
    /// The entry that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<u64>,
    /// From when on, in ledger time, the key's signatures do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u64>")]
    pub expires_at: Option<UnixMillis>,
    /// The environments that the key approves for; all where none is listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub environments: Vec<EnvName>,
}
