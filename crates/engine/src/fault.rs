//! Faults: what a caller is told, with a stable reason code.

use lockgate_ledger::ApplyError;
use lockgate_ledger::bodies::BodyError;
use lockgate_store::StoreError;

/// What sort of fault it is; maps to an HTTP status and an exit code in two exhaustive matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
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

/// A fault: a message for the caller, and context for the operator that never leaves the server.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// What sort.
    pub kind: Kind,
    /// A stable reason code.
    pub code: &'static str,
    /// What is wrong, for the caller.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
    /// What happened, for the operator's log.
    pub context: Option<String>,
    /// After how many seconds the same request is welcome again, where that is known.
    pub retry_after_secs: Option<u64>,
}

impl Fault {
    /// A fault.
    pub fn new(kind: Kind, code: &'static str, message: impl Into<String>) -> Self {
        Self { kind, code, message: message.into(), hint: None, context: None, retry_after_secs: None }
    }

    /// With what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// An input that is not acceptable.
    pub fn invalid(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, code, message)
    }

    /// Something that does not exist.
    pub fn not_found(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, code, message)
    }
}

impl From<ApplyError> for Fault {
    fn from(error: ApplyError) -> Self {
        let kind = match error.code {
            "PROMOTION_UNKNOWN" | "RELEASE_UNKNOWN" | "PERSON_UNKNOWN" | "IDENTITY_UNKNOWN" => Kind::NotFound,
            "RELEASE_EXISTS" | "PROMOTION_OPEN" | "PROMOTION_CLOSED" | "PERSON_EXISTS" | "KEY_ALREADY_BOUND"
            | "POLICY_STALE" | "REVIEW_STALE" | "APPROVAL_STALE" | "APPROVAL_REPLAYED" | "SETUP_DONE" => Kind::Conflict,
            "APPROVAL_UNKNOWN" | "DELEGATION_OVER" | "DELEGATION_REPLAYED" => Kind::Conflict,
            "REVIEW_TIME" | "DELEGATION_SELF" => Kind::Denied,
            "CHANGE_UNKNOWN" | "DELEGATION_UNKNOWN" => Kind::NotFound,
            "GATE_UNKNOWN" | "WAIVER_UNKNOWN" => Kind::NotFound,
            "WAIVER_OVER" | "WAIVER_REPLAYED" | "WAIVER_REQUEST" | "FEED_OLDER" | "FEED_KNOWN" => Kind::Conflict,
            "WAIVER_GATE" | "WAIVER_MISMATCH" => Kind::Denied,
            "FEED_TOO_LARGE" => Kind::TooLarge,
            "FEED_MISMATCH" => Kind::Integrity,
            "FREEZE_UNKNOWN" | "BREAK_GLASS_UNKNOWN" => Kind::NotFound,
            "FREEZE_OVER"
            | "FREEZE_REPLAYED"
            | "BREAK_GLASS_OVER"
            | "BREAK_GLASS_REPLAYED"
            | "BREAK_GLASS_REVIEWED"
            | "BREAK_GLASS_UNREVIEWED"
            | "BREAK_GLASS_UNSIGNED" => Kind::Conflict,
            "FROZEN" => Kind::Denied,
            "CHANGE_OPEN"
            | "CHANGE_CLOSED"
            | "CHANGE_EXPIRED"
            | "CHANGE_SIGNED"
            | "STANDING_STALE"
            | "STANDING_SAME"
            | "REVOCATION_UNDERCUT" => Kind::Conflict,
            "BACKTEST_STALE" => Kind::Conflict,
            "BACKTEST_DIFFERS" => Kind::Integrity,
            "BACKTEST_MISSING" => Kind::Denied,
            "BACKTEST_TOO_LARGE" => Kind::TooLarge,
            "QUORUM_GOVERNANCE" | "CHANGE_UNSIGNED" | "KEY_EXPIRED" | "KEY_SCOPE" | "PERSON_SUSPENDED" => Kind::Denied,
            "TOO_MANY_SIGNATURES" => Kind::TooLarge,
            "CHANGE_NUMBER" => Kind::Bug,
            "CI_TRUST_UNKNOWN" => Kind::NotFound,
            "CI_TRUST_EXISTS" | "CI_TRUST_REPLAYED" | "CI_TRUST_KEYS" | "CI_TRUST_LIMIT" => Kind::Conflict,
            "NOT_PERMITTED" | "SETUP_CODE_WRONG" => Kind::NotPermitted,
            "SIGNATURE_INVALID" | "KEY_UNKNOWN" | "KEY_REVOKED" | "KEY_MISMATCH" | "APPROVAL_TARGET"
            | "REVIEW_TARGET" | "APPROVAL_DIGEST" | "APPROVAL_EXPIRED" | "SOD_SELF" | "SOD_ROBOT"
            | "DOCUMENT_MISMATCH" => Kind::Denied,
            code if code.starts_with("WEBAUTHN_") => Kind::Denied,
            "DIGEST_MISMATCH" | "BODY_MISSING" | "BODY_UNREADABLE" | "STREAM_BROKEN" => Kind::Integrity,
            "TOO_MANY_APPROVALS" | "TOO_MANY_ATTESTATIONS" => Kind::TooLarge,
            "LEDGER_EMPTY" | "SETUP_NEEDED" => Kind::Unavailable,
            "TIME_BACKWARDS" | "STREAM_MISSING" | "GRANT_UNFOUNDED" | "SIGNING_FAILED" | "FACTS_INVALID"
            | "DECISION_INVALID" => Kind::Bug,
            _ => Kind::Invalid,
        };
        Self::new(kind, error.code, error.message)
    }
}

impl From<BodyError> for Fault {
    fn from(error: BodyError) -> Self {
        ApplyError::from(error).into()
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        let (kind, code, message) = match &error {
            StoreError::DigestMismatch { .. } => (Kind::Invalid, "DIGEST_MISMATCH", error.to_string()),
            StoreError::TooLarge { .. } => (Kind::TooLarge, "TOO_LARGE", error.to_string()),
            StoreError::Conflict { .. } => (Kind::Conflict, "CONFLICT", "the ledger moved on; try again".to_owned()),
            StoreError::Full(_) => {
                (Kind::Unavailable, "DISK_FULL", "the server's disk is full; nothing was changed".to_owned())
            }
            StoreError::ReadOnly(_) => {
                (Kind::Unavailable, "DISK_READ_ONLY", "the server's disk is read-only; nothing was changed".to_owned())
            }
            StoreError::Corrupt(_) => (Kind::Integrity, "STORE_CORRUPT", "what is stored is damaged".to_owned()),
            _ => (Kind::Unavailable, "STORE_FAILED", "the server's store failed; nothing was acknowledged".to_owned()),
        };
        let hint = (code == "STORE_CORRUPT").then(|| "run `lockgate audit` on the data directory".to_owned());
        Self { context: Some(error.to_string()), hint, ..Self::new(kind, code, message) }
    }
}
