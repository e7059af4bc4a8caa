//! Changes of governance that several people sign, the life of keys, and what rested on compromised ones.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use lockgate_model::{ChangeId, Digest, EnvName, PersonId, UnixMillis};

/// `POST /v1/keys/rotations`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// Whose: the caller.
    #[schemars(with = "String")]
    pub person: PersonId,
    /// The new public key, as one OpenSSH line.
    pub key: String,
    /// Its own signature over the rotation document.
    pub proof: String,
    /// The fingerprint of the key that ends.
    pub replaces: String,
    /// That key's signature over the same document.
    pub signature: String,
    /// From when on, in ledger time, the new key's signatures do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u64>")]
    pub expires_at: Option<UnixMillis>,
    /// The environments that the new key approves for; all where none is listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub environments: Vec<EnvName>,
}

/// A recovery with its signatures: `POST /v1/keys/recoveries`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recovery {
    /// Who lost their keys.
    #[schemars(with = "String")]
    pub person: PersonId,
    /// The new public key, as one OpenSSH line.
    pub key: String,
    /// Its own signature over the recovery document.
    pub proof: String,
    /// Why.
    pub reason: String,
    /// Who vouches; absent in a request that nobody has countersigned yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub by: Option<PersonId>,
    /// Their signature over the same document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// From when on, in ledger time, the new key's signatures do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u64>")]
    pub expires_at: Option<UnixMillis>,
    /// The environments that the new key approves for; all where none is listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub environments: Vec<EnvName>,
}

/// `POST /v1/people/suspensions` and `POST /v1/people/reinstatements`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Standing {
    /// Who.
    #[schemars(with = "String")]
    pub person: PersonId,
    /// The entry that changed their standing last, as `GET /v1/people` gives it.
    pub previous_at: u64,
    /// Why.
    pub reason: String,
    /// Who signs.
    #[schemars(with = "String")]
    pub by: PersonId,
    /// Their signature over the standing document.
    pub signature: String,
}

/// A proposed change, in `GET /v1/changes`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeRow {
    /// Its id.
    #[schemars(with = "String")]
    pub change: ChangeId,
    /// What it would be, such as `policy.activated`.
    pub event: String,
    /// The permission that its signers need.
    pub permission: String,
    /// Whose keys or standing it is about; they cannot sign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub subject: Option<PersonId>,
    /// `open`, `stale` where it can only fail, `applied`, `rejected` or `expired`.
    pub status: String,
    /// How many more people have to sign; 0 unless it is open.
    pub missing: u64,
    /// Who has signed, the proposer first.
    #[schemars(with = "Vec<String>")]
    pub signed_by: Vec<PersonId>,
    /// When it was proposed.
    #[schemars(with = "u64")]
    pub proposed_at: UnixMillis,
    /// Until when it gathers signatures.
    #[schemars(with = "u64")]
    pub expires_at: UnixMillis,
    /// Why it ended, or where it happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
}

/// `GET /v1/changes/{id}`: everything that a signer needs to rebuild the document on their own machine.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeReply {
    /// Where it stands.
    pub row: ChangeRow,
    /// The event as it was drafted, with its first signature: canonical JSON as text.
    pub draft: String,
    /// The digest of the document that everyone signs.
    #[schemars(with = "String")]
    pub document: Digest,
    /// The canonical document of the policy set that it would activate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
}

/// `POST /v1/changes/{id}/signatures`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeSignatureRequest {
    /// The caller's signature over the document (SSHSIG, armored).
    pub signature: String,
}

/// `POST /v1/changes/{id}/rejection`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeRejectionRequest {
    /// Why.
    pub reason: String,
    /// The caller's signature over the rejection document (SSHSIG, armored).
    pub signature: String,
}

/// One entry that rested on a void signature: `GET /v1/suspects`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SuspectRow {
    /// Where it is recorded.
    pub index: u64,
    /// As what, such as `approval.recorded`.
    pub event: String,
    /// What it is about.
    pub what: String,
    /// Why it is suspect.
    pub why: String,
    /// The `key.revoked` entry that made it so.
    pub since: u64,
}
