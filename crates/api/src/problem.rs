//! Problem bodies (RFC 9457) with stable reason codes.

use lockgate_model::PromotionId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What sort of problem it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProblemKind {
    /// The input is not acceptable.
    Invalid,
    /// The input is larger than allowed.
    TooLarge,
    /// Nobody is signed in, or the token does not count.
    Unauthenticated,
    /// Whoever is signed in may not do this.
    NotPermitted,
    /// A rule of separation of duties or of verification refuses it.
    Denied,
    /// It does not exist.
    NotFound,
    /// It contradicts what exists.
    Conflict,
    /// It is for another server's name.
    Misdirected,
    /// Too many requests from there; the same one is welcome later.
    RateLimited,
    /// The server cannot do it now.
    Unavailable,
    /// What is stored contradicts what was signed or hashed.
    Integrity,
    /// A bug of ours.
    Bug,
}

impl ProblemKind {
    /// The HTTP status.
    pub const fn status(self) -> u16 {
        match self {
            Self::Invalid => 400,
            Self::TooLarge => 413,
            Self::Unauthenticated => 401,
            Self::NotPermitted | Self::Denied => 403,
            Self::NotFound => 404,
            Self::Conflict => 409,
            Self::Misdirected => 421,
            Self::RateLimited => 429,
            Self::Unavailable => 503,
            Self::Integrity => 502,
            Self::Bug => 500,
        }
    }

    /// A short title.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Invalid => "not acceptable",
            Self::TooLarge => "too large",
            Self::Unauthenticated => "not signed in",
            Self::NotPermitted => "not permitted",
            Self::Denied => "denied",
            Self::NotFound => "not found",
            Self::Conflict => "conflict",
            Self::Misdirected => "for another server",
            Self::RateLimited => "too many requests",
            Self::Unavailable => "unavailable",
            Self::Integrity => "integrity alarm",
            Self::Bug => "internal error",
        }
    }
}

/// A problem body, `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// A URI that names the reason: `https://lockgate.dev/reasons/<code>`.
    #[serde(rename = "type")]
    pub uri: String,
    /// A short title for the kind.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong.
    pub detail: String,
    /// The stable reason code.
    pub code: String,
    /// What sort of problem it is.
    pub kind: ProblemKind,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The promotion whose grant took the place of the one that was asked about, where that is the problem.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<PromotionId>,
}

impl Problem {
    /// A problem.
    pub fn new(kind: ProblemKind, code: &str, detail: impl Into<String>, hint: Option<String>) -> Self {
        Self {
            uri: format!("https://lockgate.dev/reasons/{code}"),
            title: kind.title().to_owned(),
            status: kind.status(),
            detail: detail.into(),
            code: code.to_owned(),
            kind,
            hint,
            replaced_by: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_replaced_a_grant_is_named_and_may_be_left_out() {
        let bare = Problem::new(ProblemKind::Denied, "GRANT_SUPERSEDED", "P-3 was replaced by P-9", None);
        let text = serde_json::to_string(&bare).unwrap();
        assert!(!text.contains("replaced_by"), "{text}");
        assert_eq!(serde_json::from_str::<Problem>(&text).unwrap(), bare);
        let named = Problem { replaced_by: Some(PromotionId(9)), ..bare };
        let text = serde_json::to_string(&named).unwrap();
        assert!(text.contains(r#""replaced_by":"P-9""#), "{text}");
        assert_eq!(serde_json::from_str::<Problem>(&text).unwrap(), named);
    }
}
