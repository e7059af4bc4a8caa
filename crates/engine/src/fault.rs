//! Faults: what a caller is told, with a stable reason code.

use lockgate_ledger::ApplyError;
use lockgate_ledger::bodies::BodyError;
use lockgate_model::PromotionId;
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

/// What sort of fault a reason of the ledger is; every reason stands in one list.
const KINDS: [(Kind, &[&str]); 9] = [
    (
        Kind::Invalid,
        &[
            "ACTOR_MISSING",
            "ANCHOR_UNPROVEN",
            "APPROVAL_CHANGES",
            "ATTESTATION_INVALID",
            "ATTESTATION_KEY_UNKNOWN",
            "BACKTEST_FAILED",
            "BACKTEST_INVALID",
            "BREAK_GLASS_EXPIRY",
            "BREAK_GLASS_SCOPE",
            "BREAK_GLASS_TICKET",
            "BUNDLE_INCOMPLETE",
            "BUNDLE_INVALID",
            "CHANGE_INVALID",
            "CHECKPOINT_INVALID",
            "CHECKPOINT_MISSING",
            "CHECKPOINT_UNREADABLE",
            "CLOCK_BEHIND",
            "DECISION_MISSING",
            "DECISION_TARGET",
            "DELEGATION_EXPIRY",
            "DELEGATION_SCOPE",
            "DIGEST_NOT_GRANTED",
            "DOCUMENT_INVALID",
            "DRILL_INVALID",
            "ENTRY_INVALID",
            "ENTRY_MISSING",
            "ENTRY_SCHEMA",
            "ENTRY_UNREADABLE",
            "ENVIRONMENT_MISMATCH",
            "ENVIRONMENT_UNKNOWN",
            "FEED_FUTURE",
            "FEED_MALFORMED",
            "FREEZE_EXPIRY",
            "FREEZE_SCOPE",
            "GENESIS_MISMATCH",
            "GENESIS_MISSING",
            "GOVERNANCE_GAP",
            "GRANT_EXPIRED",
            "GRANT_SUPERSEDED",
            "GROUP_UNKNOWN",
            "IDENTITY_INVALID",
            "INCLUSION_PROOF",
            "LEDGER_EXISTS",
            "LOG_ENTRY_MISMATCH",
            "LOG_KEY_UNKNOWN",
            "MANIFEST_INVALID",
            "MANIFEST_MISMATCH",
            "NOT_GRANTED",
            "POLICY_INVALID",
            "PROMOTION_EXISTS",
            "PROMOTION_NUMBER",
            "REASON_MISSING",
            "ROLLBACK_DETECTED",
            "ROLLBACK_NEVER_RAN",
            "ROOT_KEY_UNKNOWN",
            "ROOT_MISMATCH",
            "SERVICE_MISMATCH",
            "SIGNATURE_MALFORMED",
            "SPONSOR_INVALID",
            "SUSPECT_KEY",
            "TEXT_TOO_LONG",
            "TRUST_INVALID",
            "WAIVER_EXPIRY",
            "WAIVER_SCOPE",
            "WAIVER_TICKET",
            "WAIVER_TOO_LONG",
            "WITNESS_QUORUM",
        ],
    ),
    (
        Kind::TooLarge,
        &["BACKTEST_TOO_LARGE", "FEED_TOO_LARGE", "TOO_MANY_APPROVALS", "TOO_MANY_ATTESTATIONS", "TOO_MANY_SIGNATURES"],
    ),
    (Kind::NotPermitted, &["NOT_PERMITTED", "SETUP_CODE_WRONG"]),
    (
        Kind::Denied,
        &[
            "APPROVAL_DIGEST",
            "APPROVAL_EXPIRED",
            "APPROVAL_TARGET",
            "BACKTEST_MISSING",
            "CHANGE_UNSIGNED",
            "DELEGATION_SELF",
            "DOCUMENT_MISMATCH",
            "FROZEN",
            "KEY_EXPIRED",
            "KEY_MISMATCH",
            "KEY_REVOKED",
            "KEY_SCOPE",
            "KEY_UNKNOWN",
            "PERSON_SUSPENDED",
            "QUORUM_GOVERNANCE",
            "REVIEW_TARGET",
            "REVIEW_TIME",
            "SIGNATURE_INVALID",
            "SOD_ROBOT",
            "SOD_SELF",
            "WAIVER_GATE",
            "WAIVER_MISMATCH",
        ],
    ),
    (
        Kind::NotFound,
        &[
            "BREAK_GLASS_UNKNOWN",
            "CHANGE_UNKNOWN",
            "CI_TRUST_UNKNOWN",
            "DELEGATION_UNKNOWN",
            "FREEZE_UNKNOWN",
            "GATE_UNKNOWN",
            "IDENTITY_UNKNOWN",
            "PERSON_UNKNOWN",
            "PROMOTION_UNKNOWN",
            "RELEASE_UNKNOWN",
            "WAIVER_UNKNOWN",
        ],
    ),
    (
        Kind::Conflict,
        &[
            "APPROVAL_REPLAYED",
            "APPROVAL_STALE",
            "APPROVAL_UNKNOWN",
            "BACKTEST_STALE",
            "BREAK_GLASS_OVER",
            "BREAK_GLASS_REPLAYED",
            "BREAK_GLASS_REVIEWED",
            "BREAK_GLASS_UNREVIEWED",
            "BREAK_GLASS_UNSIGNED",
            "CHANGE_CLOSED",
            "CHANGE_EXPIRED",
            "CHANGE_OPEN",
            "CHANGE_SIGNED",
            "CI_TRUST_EXISTS",
            "CI_TRUST_KEYS",
            "CI_TRUST_LIMIT",
            "CI_TRUST_REPLAYED",
            "DELEGATION_OVER",
            "DELEGATION_REPLAYED",
            "FEED_KNOWN",
            "FEED_OLDER",
            "FREEZE_OVER",
            "FREEZE_REPLAYED",
            "IDENTITY_STALE",
            "KEY_ALREADY_BOUND",
            "PERSON_EXISTS",
            "POLICY_STALE",
            "PROMOTION_CLOSED",
            "PROMOTION_OPEN",
            "RELEASE_EXISTS",
            "REVIEW_REPLAYED",
            "REVIEW_STALE",
            "REVOCATION_UNDERCUT",
            "SETUP_DONE",
            "STANDING_SAME",
            "STANDING_STALE",
            "WAIVER_OVER",
            "WAIVER_REPLAYED",
            "WAIVER_REQUEST",
        ],
    ),
    (Kind::Unavailable, &["LEDGER_EMPTY", "SETUP_NEEDED", "STORE_FAILED"]),
    (
        Kind::Integrity,
        &["BACKTEST_DIFFERS", "BODY_MISSING", "BODY_UNREADABLE", "DIGEST_MISMATCH", "FEED_MISMATCH", "STREAM_BROKEN"],
    ),
    (
        Kind::Bug,
        &[
            "CHANGE_NUMBER",
            "DECISION_INVALID",
            "FACTS_INVALID",
            "GRANT_UNFOUNDED",
            "SIGNING_FAILED",
            "STREAM_MISSING",
            "TIME_BACKWARDS",
        ],
    ),
];

/// What sort of fault a reason is; a reason that no list has is of an input, or of a passkey's signature.
fn kind_of(code: &str) -> Kind {
    let listed = KINDS.iter().find(|(_, codes)| codes.contains(&code)).map(|(kind, _)| *kind);
    match code.starts_with("WEBAUTHN_") {
        true => Kind::Denied,
        false => listed.unwrap_or(Kind::Invalid),
    }
}

/// What a caller is told of a store that fails.
const STORE_FAILED: &str = "the server's store failed; nothing was acknowledged";

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
    /// The promotion whose grant took the place of the one that was asked about; boxed to keep results small.
    pub replaced_by: Option<Box<PromotionId>>,
}

impl Fault {
    /// A fault.
    pub fn new(kind: Kind, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            kind,
            code,
            message: message.into(),
            hint: None,
            context: None,
            retry_after_secs: None,
            replaced_by: None,
        }
    }

    /// With what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With the promotion whose grant took the place of the one that was asked about.
    #[must_use]
    pub fn replaced_by(mut self, promotion: PromotionId) -> Self {
        self.replaced_by = Some(Box::new(promotion));
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
        match error.code {
            // What the machine says of its files is for the operator alone.
            "STORE_FAILED" => {
                Self { context: Some(error.message), ..Self::new(Kind::Unavailable, error.code, STORE_FAILED) }
            }
            code => Self::new(kind_of(code), code, error.message),
        }
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
            StoreError::CorruptBlob(digest) => {
                (Kind::Integrity, "STORE_CORRUPT", format!("what is stored is damaged: the blob `{digest}`"))
            }
            _ => (Kind::Unavailable, "STORE_FAILED", STORE_FAILED.to_owned()),
        };
        let hint = (code == "STORE_CORRUPT").then(|| "run `lockgate audit` on the data directory".to_owned());
        Self { context: Some(error.to_string()), hint, ..Self::new(kind, code, message) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    /// The reasons that the source of the ledger gives by name.
    fn given(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                given(&path, found);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let calls = text.split("ApplyError::new(").skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"'));
            found.extend(calls.filter_map(|rest| rest.split_once('"')).map(|(code, _)| code.to_owned()));
        }
    }

    #[test]
    fn every_reason_of_the_ledger_is_of_one_kind() {
        let mut found = BTreeSet::new();
        given(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../ledger/src"), &mut found);
        assert!(found.len() > 100, "{}", found.len());
        let listed = |code: &str| KINDS.iter().filter(|(_, codes)| codes.contains(&code)).count();
        let wrong: Vec<_> = found.iter().filter(|code| !code.starts_with("WEBAUTHN_") && listed(code) != 1).collect();
        assert!(wrong.is_empty(), "say in KINDS what these are: {wrong:?}");
        assert_eq!(kind_of("WEBAUTHN_ORIGIN"), Kind::Denied);
    }
}
