//! Results of static or dynamic analysis, one by one.

use serde::{Deserialize, Serialize};

/// How bad a result is; ordered, worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AnalysisLevel {
    /// `note`.
    Note,
    /// `warning`.
    Warning,
    /// `error`.
    Error,
}

/// One result that counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AnalysisResult {
    /// The tool that found it.
    pub tool: String,
    /// The rule's id, where the report names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// How bad it is.
    pub level: AnalysisLevel,
    /// What stays the same when the same problem is found again in another version: 32 hex digits.
    pub fingerprint: String,
    /// The file it is in, where the report names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Where in the report it stands: a JSON pointer (RFC 6901).
    pub pointer: String,
}
