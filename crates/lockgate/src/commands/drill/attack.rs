//! Attacks: what can be done to a copy, and what a verifier is shown of it.

use lockgate_ledger::ApplyError;
use lockgate_ledger::bodies::BodyError;
use lockgate_model::{Digest, EnvName};
use lockgate_store::StoreError;

use super::scene::Scene;
use super::{bundles, history, log};
use crate::failure::Failure;

/// One attack.
#[derive(Clone, Copy)]
pub struct Attack {
    /// Its name.
    pub name: &'static str,
    /// What somebody who has the server does, in a few words.
    pub what: &'static str,
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
        /// Whether the auditor has kept a checkpoint from before the attack.
        kept: bool,
        /// The artifact that was changed, if one was: the others are the files that were hashed before.
        artifact: Option<Digest>,
    },
    /// The copy: a server is to start on it.
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

/// Why an attack was not made.
#[derive(Debug)]
pub enum Halt {
    /// There is nothing to attack in this way.
    Skipped(String),
    /// Something else stood in the way: the drill ends.
    Failed(Failure),
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
        Self::Failed(error.into())
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

const fn attack(name: &'static str, what: &'static str, commit: fn(&Scene<'_>) -> Result<Made, Halt>) -> Attack {
    Attack { name, what, commit }
}

/// Every attack, in the order in which they are made.
pub const ATTACKS: &[Attack] = &[
    attack("approval-edited", "edits the row of an approval", history::approval_edited),
    attack("approval-forged", "signs an approval in somebody's name, with another key", history::approval_forged),
    attack("approval-replayed", "records an approval again, under another promotion", history::approval_replayed),
    attack("decision-edited", "turns a decision round, and hashes and signs the log anew", history::decision_edited),
    attack("deny-dropped", "takes a denial out, and hashes and signs the log anew", history::deny_dropped),
    attack("grant-stretched", "lets a grant last ten years longer", history::grant_stretched),
    attack("key-swapped", "puts another key in the place of a person's", history::key_swapped),
    attack("policy-swapped", "swaps the first policy set", history::policy_swapped),
    attack("policy-activated", "makes another policy set active in somebody's name", history::policy_activated),
    attack("time-turned-back", "dates the newest entry back to 1970", history::time_turned_back),
    attack("log-key-swapped", "puts another log key into the first entry, and signs with it", history::log_key_swapped),
    attack("document-edited", "edits the stored policy set, under its own name", log::document_edited),
    attack("index-edited", "takes a row out of the index of streams", log::index_edited),
    attack("artifact-edited", "flips one bit of an artifact", log::artifact_edited),
    attack("artifact-removed", "removes an artifact", log::artifact_removed),
    attack("log-truncated", "cuts off the end of the log, and rolls its head back", log::log_truncated),
    attack("old-copy", "restores an older state, whole and signed as it was", log::old_copy),
    attack("old-copy-started", "restores an older state, and starts the server on it", log::old_copy_started),
    attack("checkpoint-forged", "signs another root with the log's own key", log::checkpoint_forged),
    attack("checkpoint-foreign", "signs the checkpoint with another key of the same name", log::checkpoint_foreign),
    attack("bundle-elsewhere", "shows a bundle of one environment in another", bundles::elsewhere),
    attack("bundle-other-file", "shows a bundle for a file that it is not about", bundles::other_file),
    attack("bundle-shortened", "takes the newest approval or grant out of a bundle", bundles::shortened),
    attack("bundle-policy-swapped", "swaps the policy set in a bundle", bundles::policy_swapped),
    attack("bundle-forged", "signs another root for a bundle, with the log's own key", bundles::forged),
    attack("bundle-foreign", "signs the checkpoint of a bundle with another key", bundles::foreign),
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
        assert!(ATTACKS.iter().all(|attack| !attack.what.is_empty()));
    }
}
