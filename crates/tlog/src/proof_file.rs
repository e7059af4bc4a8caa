//! Proof files: everything that proves offline that an entry is in a log (`c2sp.org/tlog-proof@v1`).

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_model::{Digest, EntryIndex, Limits};

use crate::checkpoint::Checkpoint;
use crate::decimal;
use crate::hash::{from_base64, leaf_hash, to_base64};
use crate::policy_file::{QuorumMet, TrustError, TrustPolicy};
use crate::proof::{ProofError, verify_inclusion};

/// The first line of every proof file.
const HEADER: &str = "c2sp.org/tlog-proof@v1";
/// What the lines before the checkpoint may take, `extra` included, in bytes.
const HEAD_MAX_BYTES: usize = 64 * 1024;

/// Why a proof file is refused.
#[derive(Debug, thiserror::Error)]
pub enum ProofFileError {
    /// Too large to be read.
    #[error("the proof file is too large: {size_bytes} bytes, at most {most_bytes} are accepted")]
    TooLarge {
        /// Its length.
        size_bytes: usize,
        /// The limit.
        most_bytes: usize,
    },
    /// More hashes than any tree needs.
    #[error("the proof has more than {0} hashes: no tree is that high")]
    TooManyHashes(usize),
    /// Not of the documented form.
    #[error("not a proof file: {0}")]
    Form(String),
    /// The checkpoint is not signed by a trusted log, or not witnessed as the policy demands.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The entry is not in the tree of the checkpoint.
    #[error(transparent)]
    Proof(#[from] ProofError),
}

/// One entry's proof: index, inclusion path, and the checkpoint that it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofFile {
    /// Opaque data beside the proof. It is not authenticated: never rely on it.
    pub extra: Option<Vec<u8>>,
    /// The entry's position.
    pub index: EntryIndex,
    /// The inclusion path, from the leaf's sibling up to the root's child.
    pub hashes: Vec<Digest>,
    /// The signed checkpoint, verbatim.
    pub checkpoint: String,
}

/// What a verified proof file has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedEntry {
    /// Where the entry stands.
    pub index: EntryIndex,
    /// The head of the log that holds it.
    pub checkpoint: Checkpoint,
    /// The witnesses that have seen this head.
    pub quorum: QuorumMet,
}

impl ProofFile {
    /// Reads a proof file strictly. Nothing is verified yet: see [`ProofFile::verify`].
    ///
    /// # Errors
    /// [`ProofFileError::TooLarge`], [`ProofFileError::TooManyHashes`], [`ProofFileError::Form`].
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, ProofFileError> {
        let form = |what: &str| ProofFileError::Form(what.to_owned());
        let most_bytes = limits.note_bytes.saturating_add(HEAD_MAX_BYTES);
        if bytes.len() > most_bytes {
            return Err(ProofFileError::TooLarge { size_bytes: bytes.len(), most_bytes });
        }
        let text = std::str::from_utf8(bytes).map_err(|_| form("it is not UTF-8"))?;
        let (head, checkpoint) =
            text.split_once("\n\n").ok_or_else(|| form("there is no empty line before the checkpoint"))?;
        if head.len() > HEAD_MAX_BYTES {
            return Err(ProofFileError::TooLarge { size_bytes: head.len(), most_bytes: HEAD_MAX_BYTES });
        }
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(HEADER) {
            return Err(form("its first line is `c2sp.org/tlog-proof@v1`"));
        }
        let extra = match lines.next_if(|line| line.starts_with("extra ")) {
            None => None,
            Some(line) => {
                let data = line.strip_prefix("extra ").unwrap_or_default();
                Some(STANDARD.decode(data).map_err(|_| form("`extra` is not standard base64"))?)
            }
        };
        let index = lines
            .next()
            .and_then(|line| line.strip_prefix("index "))
            .and_then(decimal::parse)
            .map(EntryIndex)
            .ok_or_else(|| form("there is no line `index <number>`"))?;
        let mut hashes = Vec::new();
        for line in lines {
            if hashes.len() >= limits.proof_hashes {
                return Err(ProofFileError::TooManyHashes(limits.proof_hashes));
            }
            hashes.push(from_base64(line).ok_or_else(|| form("a hash is not 32 bytes in standard base64"))?);
        }
        Ok(Self { extra, index, hashes, checkpoint: checkpoint.to_owned() })
    }

    /// Writes the file; what [`ProofFile::parse`] has read comes out byte for byte.
    pub fn to_text(&self) -> String {
        let mut text = format!("{HEADER}\n");
        // Writing to a `String` cannot fail.
        if let Some(extra) = &self.extra {
            let _ = writeln!(text, "extra {}", STANDARD.encode(extra));
        }
        let _ = writeln!(text, "index {}", self.index);
        for hash in &self.hashes {
            let _ = writeln!(text, "{}", to_base64(hash));
        }
        text.push('\n');
        text.push_str(&self.checkpoint);
        text
    }

    /// Verifies offline that `entry` is logged, by one of the policy's logs and witnessed as it demands.
    ///
    /// `extra` plays no part. Whether the checkpoint is recent is for the caller to say.
    ///
    /// # Errors
    /// [`ProofFileError::Trust`] for the checkpoint, [`ProofFileError::Proof`] for the path.
    pub fn verify(&self, entry: &[u8], policy: &TrustPolicy, limits: &Limits) -> Result<VerifiedEntry, ProofFileError> {
        // Step 1: the leaf hash is computed here, never taken from the file.
        let leaf = leaf_hash(entry);
        // Steps 2 and 3: origin and signature of the log, then the quorum of witnesses.
        let (signed, quorum) = policy.open(self.checkpoint.as_bytes(), limits)?;
        // Step 4: the path leads from the leaf to the signed root.
        let checkpoint = signed.checkpoint;
        verify_inclusion(self.index, checkpoint.size, &leaf, &self.hashes, &checkpoint.root)?;
        Ok(VerifiedEntry { index: self.index, checkpoint, quorum })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cosignature::cosign;
    use crate::samples::{classic_checkpoint, classic_entries, log_signer, witness_signer};
    use lockgate_model::TreeSize;
    use lockgate_sign::note::{NoteKeyKind, NoteSigner};
    use proptest::prelude::*;

    const SAMPLE: &str = "c2sp.org/tlog-proof@v1\n\
        index 5\n\
        vBoGQ7EuTS18d5GPROD095qDi2z57FtcKD4fTYhZnms=\n\
        yoVOoSjtBQtBs1/8G4e46yveRh6eO1WW7Oa51ZdaCuA=\n\
        037kGJdt2VdTwcc4Yrk5j6Kiz5tP8P3+izDNlSCWFLc=\n\
        \n\
        lockgate.example/log/1\n\
        8\n\
        XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\n\
        \n\
        \u{2014} lockgate.example/log/1 \
        +J7u6+dODtSyyo8UXiWfO91w3dZ0oneiwSMWW9Gu3pyJNFzbXtB0O4HJo7OJdRuFGbwqLdokd0lsfFPGMksF4yYitwg=\n\
        \u{2014} witness.example/w1 \
        IDJKvgAAAABlU/EAK20EzPPS4SCgPuB6bFMDtGNVTvVpXASmM220met3mG+eCHiG8LzRTbrRmQsfd0rEpaB287S6j4+jPATX7FsdBQ==\n";

    fn policy(quorum: &str) -> TrustPolicy {
        let (log, witness) = (log_signer(), witness_signer());
        format!("log {}\nwitness w1 {}\nquorum {quorum}\n", log.vkey(), witness.vkey()).parse().unwrap()
    }

    fn parse(text: &str) -> Result<ProofFile, ProofFileError> {
        ProofFile::parse(text.as_bytes(), &Limits::DEFAULT)
    }

    #[test]
    fn the_sample_proves_entry_5() {
        let file = parse(SAMPLE).unwrap();
        assert_eq!(file.to_text(), SAMPLE);
        let entry = &classic_entries()[5];
        let verified = file.verify(entry, &policy("w1"), &Limits::DEFAULT).unwrap();
        assert_eq!(verified.index, EntryIndex(5));
        assert_eq!(verified.checkpoint, classic_checkpoint());
        assert_eq!(verified.quorum.witnesses.len(), 1);
        assert_eq!(verified.quorum.witnesses[0].time_secs, 1_700_000_000);
    }

    #[test]
    fn any_change_is_refused() {
        let verify = |text: &str, entry: usize, quorum: &str| {
            parse(text)?.verify(&classic_entries()[entry], &policy(quorum), &Limits::DEFAULT)
        };
        assert!(verify(SAMPLE, 5, "none").is_ok());
        assert!(matches!(verify(SAMPLE, 4, "none"), Err(ProofFileError::Proof(ProofError::RootMismatch))));
        let other_index = SAMPLE.replacen("index 5", "index 4", 1);
        assert!(matches!(verify(&other_index, 5, "none"), Err(ProofFileError::Proof(ProofError::RootMismatch))));
        let other_hash = SAMPLE.replacen("vBoG", "vBoH", 1);
        assert!(matches!(verify(&other_hash, 5, "none"), Err(ProofFileError::Proof(ProofError::RootMismatch))));
        let other_size = SAMPLE.replacen("\n8\n", "\n9\n", 1);
        assert!(matches!(verify(&other_size, 5, "none"), Err(ProofFileError::Trust(_))));
        let without_witness = SAMPLE.lines().take(11).map(|line| format!("{line}\n")).collect::<String>();
        assert!(verify(&without_witness, 5, "none").is_ok());
        let unmet = verify(&without_witness, 5, "w1");
        assert!(matches!(unmet, Err(ProofFileError::Trust(TrustError::QuorumNotMet { found: 0, .. }))));
        let other = NoteSigner::from_seed("other.example", NoteKeyKind::Ed25519, &[1; 32]).unwrap();
        let other_log: TrustPolicy = format!("log {}\nquorum none\n", other.vkey()).parse().unwrap();
        let outcome = parse(SAMPLE).unwrap().verify(&classic_entries()[5], &other_log, &Limits::DEFAULT);
        assert!(matches!(outcome, Err(ProofFileError::Trust(TrustError::UnknownLog(_)))));
    }

    #[test]
    fn refuses_other_forms() {
        let changed = |from: &str, to: &str| SAMPLE.replacen(from, to, 1);
        let line = "vBoGQ7EuTS18d5GPROD095qDi2z57FtcKD4fTYhZnms=\n";
        for bad in [
            String::new(),
            changed("@v1", "@v2"),
            changed("c2sp", "\nc2sp"),
            changed("index 5", "index 05"),
            changed("index 5", "index  5"),
            changed("index 5", "Index 5"),
            changed("index 5\n", ""),
            changed("index 5", "index 5\nextra AAAA"),
            changed("index 5", "extra AAA\nindex 5"),
            changed("index 5", "extra AAAA\nextra AAAA\nindex 5"),
            changed("\nindex", "\r\nindex"),
            changed("vBoG", "vBo"),
            changed("nms=\n", "nms= \n"),
            changed("\n\n", "\n"),
            changed("index 5", &format!("extra {}\nindex 5", "AAAA".repeat(20_000))),
            changed("index 5\n", &format!("index 5\n{}", line.repeat(61))),
        ] {
            assert!(parse(&bad).is_err(), "{:?}", bad.chars().take(200).collect::<String>());
        }
        let mut bytes = SAMPLE.as_bytes().to_vec();
        bytes[30] = 0xff;
        assert!(ProofFile::parse(&bytes, &Limits::DEFAULT).is_err());
    }

    #[test]
    fn a_proof_without_hashes_is_of_the_first_entry_alone() {
        let checkpoint = Checkpoint { size: TreeSize(1), root: leaf_hash(b"one"), ..classic_checkpoint() };
        let mut note = checkpoint.sign(&log_signer());
        note.signatures.push(cosign(&witness_signer(), &checkpoint, 7));
        let extra = Some(b"beside".to_vec());
        let file = ProofFile { extra, index: EntryIndex(0), hashes: Vec::new(), checkpoint: note.to_text() };
        let again = parse(&file.to_text()).unwrap();
        assert_eq!(again, file);
        assert_eq!(again.verify(b"one", &policy("w1"), &Limits::DEFAULT).unwrap().checkpoint, checkpoint);
        assert!(again.verify(b"two", &policy("w1"), &Limits::DEFAULT).is_err());
    }

    proptest! {
        #[test]
        fn written_files_read_back(
            extra in prop::option::of(prop::collection::vec(any::<u8>(), 0..40)), index in any::<u64>(),
            hashes in prop::collection::vec(any::<[u8; 32]>(), 0..=63), checkpoint in "[a-z0-9 \n]{0,80}",
        ) {
            let hashes = hashes.into_iter().map(Digest::from_bytes).collect();
            let file = ProofFile { extra, index: EntryIndex(index), hashes, checkpoint };
            prop_assert_eq!(parse(&file.to_text()).unwrap(), file);
        }

        #[test]
        fn no_bytes_make_it_panic(tail in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = ProofFile::parse(&tail, &Limits::DEFAULT);
            let bytes = [b"c2sp.org/tlog-proof@v1\nindex 1\n".as_slice(), &tail].concat();
            let _ = ProofFile::parse(&bytes, &Limits::DEFAULT);
        }
    }
}
