//! Attacks: what can be done to a copy, and what a verifier is shown of it.

use lockgate_ledger::ApplyError;
use lockgate_ledger::bodies::BodyError;
use lockgate_model::{Digest, EnvName};
use lockgate_store::StoreError;

use super::scene::Scene;
use super::{bundles, history, log};
use crate::failure::Failure;

/// Why a ledger that has just begun cannot be cut.
pub const TOO_SHORT: &str = "the ledger has too few entries yet";

/// One attack.
#[derive(Clone, Copy)]
pub struct Attack {
    /// Its name.
    pub name: &'static str,
    /// What somebody who has the server does, in a few words.
    pub what: &'static str,
    /// The reason codes of the defences that it is there to try. Whatever else objects may do so by chance, and counts
    /// for nothing.
    pub wanted: &'static [&'static str],
    /// Does it to a copy of its own.
    pub commit: fn(&Scene<'_>) -> Result<Made, Halt>,
}

/// An attack that was made.
#[derive(Debug)]
pub struct Made {
    /// What was done.
    pub did: String,
    /// What a verifier is shown.
    pub shown: Shown,
}

/// What a verifier is shown.
#[derive(Debug)]
pub enum Shown {
    /// The copy: it is audited against the pinned trust.
    Ledger {
        /// The checkpoint that is shown instead of the stored one.
        checkpoint: Option<Vec<u8>>,
        /// Whether the auditor has what this home has kept: its `high-water`, and its `checkpoints`.
        kept: bool,
        /// The artifact that was changed, if one was: the others are the files that were hashed before.
        artifact: Option<Digest>,
    },
    /// The copy: a server of this home is to start on it.
    Started,
    /// A bundle, to somebody who has an artifact and wants to run it somewhere.
    Bundle {
        /// The bundle.
        bytes: Vec<u8>,
        /// The digest of the artifact that they have.
        artifact: Digest,
        /// Where it is to run.
        environment: EnvName,
    },
}

/// Why an attack was not made, or not looked at.
#[derive(Debug, Clone)]
pub enum Halt {
    /// There is nothing to attack in this way.
    Skipped(String),
    /// Something is missing that should be there: the drill is less than it could be.
    Lacking {
        /// What is missing.
        what: &'static str,
        /// Why that counts, and what to do.
        why: String,
    },
    /// A copy could not be made, read or changed.
    Copy(StoreError),
    /// Something else stood in the way.
    Failed(Failure),
}

impl Halt {
    /// The server's own keys are not here, and why; `is_home` where they should be.
    pub fn keyless(why: &str, is_home: bool) -> Self {
        let next = match is_home {
            true => "restore `keys` of this home from its backup",
            false => "run it where the server runs, with its home",
        };
        Self::Lacking {
            what: "the server's own keys",
            why: format!("the server's own keys are not here: {next} ({why})"),
        }
    }
}

impl Made {
    /// The copy as it lies there, to an auditor who has kept nothing but the trust file.
    pub fn copy(did: String) -> Self {
        Self { did, shown: Shown::Ledger { checkpoint: None, kept: false, artifact: None } }
    }
}

impl Shown {
    /// What is run on it.
    pub fn check(&self) -> &'static str {
        match self {
            Self::Ledger { .. } => "audit",
            Self::Started => "start",
            Self::Bundle { .. } => "verify",
        }
    }
}

impl From<Failure> for Halt {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<StoreError> for Halt {
    fn from(error: StoreError) -> Self {
        Self::Copy(error)
    }
}

impl From<ApplyError> for Halt {
    fn from(error: ApplyError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<BodyError> for Halt {
    fn from(error: BodyError) -> Self {
        ApplyError::from(error).into()
    }
}

/// Any change of a row: it no longer hashes to what the tree holds, and what was kept of that.
const HASHES: &[&str] = &["HISTORY_CHANGED", "ROOT_MISMATCH", "TILE_MISMATCH"];
/// Somebody's signature, also one by passkey, does not vouch for the new key; the first owner's key is pinned.
const VOUCHED: &[&str] = &["SIGNATURE_INVALID", "WEBAUTHN_CHALLENGE", "ROOT_KEY_UNKNOWN"];
/// An approval leaves a gap before the decision, a grant one after it, or nothing that grants.
const LEFT_OUT: &[&str] = &["REPLAY_HEADS", "BUNDLE_INCOMPLETE", "NOT_GRANTED"];
/// The entries are not in that tree; where witnesses are pinned, they have not signed it either.
const ANOTHER_ROOT: &[&str] = &["INCLUSION_PROOF", "WITNESS_QUORUM"];

type Commit = fn(&Scene<'_>) -> Result<Made, Halt>;

const fn attack(name: &'static str, what: &'static str, wanted: &'static [&'static str], commit: Commit) -> Attack {
    Attack { name, what, wanted, commit }
}

/// Every attack, in the order in which they are made.
pub const ATTACKS: &[Attack] = &[
    attack("approval-edited", "edits the row of an approval", HASHES, history::approval_edited),
    attack(
        "approval-forged",
        "signs an approval in somebody's name, with another key",
        &["KEY_UNKNOWN"],
        history::approval_forged,
    ),
    attack(
        "approval-replayed",
        "records an approval again, under another promotion",
        &["APPROVAL_TARGET"],
        history::approval_replayed,
    ),
    attack(
        "decision-edited",
        "turns a decision round, and hashes and signs the log anew",
        &["REPLAY_DECISION"],
        history::decision_edited,
    ),
    attack(
        "deny-dropped",
        "takes a denial out, and hashes and signs the log anew",
        &["STREAM_BROKEN"],
        history::deny_dropped,
    ),
    attack("grant-stretched", "lets a grant last ten years longer", &["GRANT_UNFOUNDED"], history::grant_stretched),
    attack("key-swapped", "puts another key in the place of a person's", VOUCHED, history::key_swapped),
    attack("policy-swapped", "swaps the first policy set", &["GENESIS_MISMATCH"], history::policy_swapped),
    attack(
        "policy-activated",
        "makes another policy set active in somebody's name",
        &["KEY_UNKNOWN"],
        history::policy_activated,
    ),
    attack("time-turned-back", "dates the newest entry back to 1970", &["TIME_BACKWARDS"], history::time_turned_back),
    attack(
        "log-key-swapped",
        "puts another log key into the first entry, and signs with it",
        &["GENESIS_MISMATCH"],
        history::log_key_swapped,
    ),
    attack(
        "document-edited",
        "edits the stored policy set, under its own name",
        &["DIGEST_MISMATCH"],
        log::document_edited,
    ),
    attack("index-edited", "takes a row out of the index of streams", &["STREAM_INDEX_MISMATCH"], log::index_edited),
    attack("artifact-edited", "flips one bit of an artifact", &["DIGEST_MISMATCH"], log::artifact_edited),
    attack("artifact-removed", "removes an artifact", &["BLOB_MISSING"], log::artifact_removed),
    attack(
        "log-truncated",
        "cuts off the end of the log, and rolls its head back",
        &["ROLLBACK_DETECTED"],
        log::log_truncated,
    ),
    attack("old-copy", "restores an older state, whole and signed as it was", &["ROLLBACK_DETECTED"], log::old_copy),
    attack(
        "old-copy-started",
        "restores an older state, and starts the server on it",
        &["LEDGER_ROLLED_BACK"],
        log::old_copy_started,
    ),
    attack(
        "checkpoint-forged",
        "signs another root with the log's own key",
        &["HISTORY_CHANGED"],
        log::checkpoint_forged,
    ),
    attack(
        "checkpoint-foreign",
        "signs the checkpoint with another key of the same name",
        &["CHECKPOINT_INVALID"],
        log::checkpoint_foreign,
    ),
    attack(
        "bundle-elsewhere",
        "shows a bundle of one environment in another",
        &["ENVIRONMENT_MISMATCH"],
        bundles::elsewhere,
    ),
    attack(
        "bundle-other-file",
        "shows a bundle for a file that it is not about",
        &["DIGEST_NOT_GRANTED"],
        bundles::other_file,
    ),
    attack("bundle-shortened", "takes the newest approval or grant out of a bundle", LEFT_OUT, bundles::shortened),
    attack("bundle-policy-swapped", "swaps the policy set in a bundle", &["DIGEST_MISMATCH"], bundles::policy_swapped),
    attack("bundle-forged", "signs another root for a bundle, with the log's own key", ANOTHER_ROOT, bundles::forged),
    attack(
        "bundle-foreign",
        "signs the checkpoint of a bundle with another key",
        &["CHECKPOINT_INVALID"],
        bundles::foreign,
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_words_and_stand_once() {
        let names: BTreeSet<&str> = ATTACKS.iter().map(|attack| attack.name).collect();
        assert_eq!(names.len(), ATTACKS.len());
        let plain = |name: &&str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        assert!(names.iter().all(plain), "{names:?}");
        assert!(ATTACKS.iter().all(|attack| !attack.what.is_empty() && !attack.wanted.is_empty()));
    }
}
