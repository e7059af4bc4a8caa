//! What a write answers: the result and its proof.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use lockgate_model::Digest;

/// What an acknowledged write carries: the entry is durable, and this proves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Logged {
    /// The index of the first entry that the request appended.
    pub index: u64,
    /// Its RFC 6962 leaf hash.
    #[schemars(with = "String")]
    pub leaf: Digest,
    /// The inclusion path, leaf side first, base64.
    pub proof: Vec<String>,
    /// The signed checkpoint that the path leads to.
    pub checkpoint: String,
    /// Whether this repeats the reply to an earlier, equal request.
    pub repeated: bool,
}

/// A reply to a write.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Acknowledged<T> {
    /// The result.
    pub result: T,
    /// The proof; absent when nothing had to be appended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logged: Option<Logged>,
}
