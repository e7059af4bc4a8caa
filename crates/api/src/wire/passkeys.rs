//! Passkeys that wait to be enrolled, and documents that a page shows before they are signed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use lockgate_model::{GroupName, PersonId, UnixMillis};

/// `POST /v1/passkeys/document`: what a page wants to have enrolled.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PasskeyOffer {
    /// Whose passkey it is to be.
    #[schemars(with = "String")]
    pub person: PersonId,
    /// The groups of someone new; empty for a further key of someone who is enrolled.
    #[schemars(with = "Vec<String>")]
    pub groups: Vec<GroupName>,
    /// The passkey's public key, as one OpenSSH line.
    pub key: String,
}

/// `POST /v1/passkeys`: the same with the passkey's own signature.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PasskeyRequest {
    /// Whose passkey it is to be.
    #[schemars(with = "String")]
    pub person: PersonId,
    /// The groups of someone new; empty for a further key of someone who is enrolled.
    #[schemars(with = "Vec<String>")]
    pub groups: Vec<GroupName>,
    /// The passkey's public key, as one OpenSSH line.
    pub key: String,
    /// Its own signature over the enrolment document (SSHSIG, armored).
    pub proof: String,
}

/// Under which code a passkey waits.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PasskeyCode {
    /// What `lockgate key enrol --passkey` and `lockgate key add --passkey` take.
    pub code: String,
    /// Until when.
    #[schemars(with = "u64")]
    pub expires_at: UnixMillis,
}

/// `GET /v1/passkeys/{code}`: a passkey that waits. Nothing in it is to be believed before its signature is verified.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PasskeyWaiting {
    /// Whose it is to be.
    #[schemars(with = "String")]
    pub person: PersonId,
    /// The groups that stand in the document.
    #[schemars(with = "Vec<String>")]
    pub groups: Vec<GroupName>,
    /// Whether it is a further key of someone who is enrolled.
    pub further: bool,
    /// The public key, as one OpenSSH line.
    pub key: String,
    /// Its own signature over the enrolment document (SSHSIG, armored).
    pub proof: String,
    /// Until when it waits.
    #[schemars(with = "u64")]
    pub expires_at: UnixMillis,
}

/// `GET /v1/passkeys/keys/{person}`: empty for names that are not enrolled.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PasskeyKeys {
    /// The passkeys that count now, each as one OpenSSH line.
    pub keys: Vec<String>,
}

/// A document as it is signed, with what a page shows of it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignableDocument {
    /// The exact text whose bytes are signed.
    pub document: String,
    /// The document as people read it; absent where the page shows its fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Its six code words, for the page to compare with its own.
    pub words: String,
    /// The SSHSIG namespace that it is signed for.
    pub namespace: String,
    /// Why the signature would be refused, or count for nothing; absent where nothing stands against it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objection: Option<Objection>,
}

/// Why somebody's signature would be refused, or count for nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Objection {
    /// A stable reason code.
    pub reason: String,
    /// In words.
    pub message: String,
}
