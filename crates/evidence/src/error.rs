//! Why evidence cannot be read.

use lockgate_model::JsonError;

/// Why a piece of evidence was refused.
///
/// Codes: `EVIDENCE_MALFORMED`, `EVIDENCE_TOO_LARGE`, `EVIDENCE_READ`, `EVIDENCE_UNKNOWN`, `EVIDENCE_TIME`,
/// `FEED_MALFORMED`, `DUPLICATE_KEY`, `JSON_TOO_DEEP`, `JSON_TOO_MANY`, `STATEMENT_VERSION`, `SUBJECT_MISSING`,
/// `SUBJECT_DIGEST`, `TOO_MANY_SUBJECTS`, `SBOM_VERSION`, `TOO_MANY_COMPONENTS`, `TOO_MANY_LINES`, `TOO_MANY_METRICS`,
/// `REPORT_VERSION`, `SARIF_VERSION`, `TOO_MANY_FINDINGS`, `TOO_MANY_TESTS`, `XML_DOCTYPE`, `XML_ENTITY` and
/// `XML_TOO_DEEP`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EvidenceError {
    /// A stable reason code, such as `SARIF_VERSION`.
    pub code: &'static str,
    /// What is wrong, where, and what to do about it.
    pub message: String,
}

impl EvidenceError {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(crate) fn malformed(message: impl Into<String>) -> Self {
        Self::new("EVIDENCE_MALFORMED", message)
    }
}

impl From<JsonError> for EvidenceError {
    fn from(error: JsonError) -> Self {
        match error.code {
            "DUPLICATE_KEY" | "JSON_TOO_DEEP" | "JSON_TOO_MANY" => Self::new(error.code, error.message),
            _ => Self::malformed(format!("not a JSON document: {}", error.message)),
        }
    }
}

/// The first 80 characters of a text from outside, for a message.
pub(crate) fn excerpt(text: &str) -> String {
    text.chars().take(80).collect()
}
