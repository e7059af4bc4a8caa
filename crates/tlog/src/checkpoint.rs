//! Checkpoints: the signed head of a log (C2SP tlog-checkpoint v1.0.0).

use lockgate_model::{Digest, Limits, TreeSize};
use lockgate_sign::note::{Note, NoteError, NoteKeyKind, NoteSigner, VerifierKey};

use crate::decimal;
use crate::hash::{empty_root, from_base64, to_base64};

/// Why a checkpoint is refused.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The bytes are not a signed note, or its signature is absent or bad.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// Not three lines, each ended by a line feed.
    #[error("not a checkpoint: its text is three lines (origin, size, root), each ended by a line feed")]
    NotThreeLines,
    /// There are lines after the root.
    #[error("the checkpoint has extension lines: logs of this kind have none, and nobody cosigns them")]
    Extension,
    /// The origin is empty or holds control characters.
    #[error("the checkpoint has no usable origin: its first line names the log")]
    Origin,
    /// The second line is not a size.
    #[error("`{0}` is not a tree size: write a decimal number without leading zeros")]
    Size(String),
    /// The third line is not a hash.
    #[error("`{0}` is not a root: write 32 bytes in standard base64")]
    Root(String),
    /// Size 0 with another root than that of the empty tree.
    #[error("the checkpoint has size 0, but not the root of the empty tree: the log is broken or lying")]
    EmptyRoot,
    /// The key's name is not the origin.
    #[error("the checkpoint is of `{origin}`, the key of `{key}`: use the key of that log")]
    OtherLog {
        /// The origin that the checkpoint names.
        origin: String,
        /// The name of the key.
        key: String,
    },
    /// The key is not a log's.
    #[error("the key `{0}` does not sign checkpoints: give the log's own key, not a witness's")]
    NotLogKey(String),
}

/// The head of a log: how many entries it holds, and the root over them.
///
/// INVARIANT (one root a size): a log never signs two roots for one origin and size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name, equal to the name of its key.
    pub origin: String,
    /// How many entries the tree holds.
    pub size: TreeSize,
    /// The root hash.
    pub root: Digest,
}

impl Checkpoint {
    /// The signed text: origin, size and root, one a line (tlog-checkpoint, "Note text").
    pub fn body(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, to_base64(&self.root))
    }

    /// Reads the one spelling of a body; extension lines are refused, because no cosignature has to cover them.
    ///
    /// # Errors
    /// [`CheckpointError`] with the line that is wrong.
    pub fn parse_body(text: &str) -> Result<Self, CheckpointError> {
        let mut lines = text.strip_suffix('\n').ok_or(CheckpointError::NotThreeLines)?.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(CheckpointError::NotThreeLines);
        };
        if lines.next().is_some() {
            return Err(CheckpointError::Extension);
        }
        if origin.is_empty() || origin.chars().any(char::is_control) {
            return Err(CheckpointError::Origin);
        }
        let shown = |text: &str| text.chars().take(64).collect::<String>();
        let size = decimal::parse(size).map(TreeSize).ok_or_else(|| CheckpointError::Size(shown(size)))?;
        let root = from_base64(root).ok_or_else(|| CheckpointError::Root(shown(root)))?;
        if size.0 == 0 && root != empty_root() {
            return Err(CheckpointError::EmptyRoot);
        }
        Ok(Self { origin: origin.to_owned(), size, root })
    }

    /// Signs the body with the log's key (note type 0x01); the key's name should be the origin.
    ///
    /// Sign only what is already durable: a signed head can never be taken back.
    pub fn sign(&self, signer: &NoteSigner) -> Note {
        let text = self.body();
        let signature = signer.sign_text(&text);
        Note { text, signatures: vec![signature] }
    }
}

/// A checkpoint whose log signature has been verified, with the note that carries it and any cosignatures.
#[derive(Debug, Clone)]
pub struct SignedCheckpoint {
    /// The verified head.
    pub checkpoint: Checkpoint,
    /// The whole note; its other signatures are not verified here.
    pub note: Note,
}

impl SignedCheckpoint {
    /// Reads a signed note and verifies it as a checkpoint of the log that `key` belongs to.
    ///
    /// It does not count witnesses: see `TrustPolicy::quorum_met`.
    ///
    /// # Errors
    /// [`CheckpointError`]; an absent signature of `key` is an error like a bad one.
    pub fn open(bytes: &[u8], key: &VerifierKey, limits: &Limits) -> Result<Self, CheckpointError> {
        // Step 1: the note and its body have the one accepted form.
        let note = Note::parse(bytes, limits)?;
        let checkpoint = Checkpoint::parse_body(&note.text)?;
        // Step 2: the key is a log key, of this log.
        if !matches!(key.kind(), NoteKeyKind::Ed25519) {
            return Err(CheckpointError::NotLogKey(key.name().to_owned()));
        }
        if checkpoint.origin != key.name() {
            return Err(CheckpointError::OtherLog { origin: checkpoint.origin, key: key.name().to_owned() });
        }
        // Step 3: the log signed exactly this text.
        if !lockgate_failpoint::planted("checkpoint-signature-unchecked") {
            note.verify_ed25519(key)?;
        }
        Ok(Self { checkpoint, note })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{classic_checkpoint, log_signer, witness_signer};

    const BODY: &str = "lockgate.example/log/1\n8\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\n";
    const SIGNATURE: &str = "\u{2014} lockgate.example/log/1 \
        +J7u6+dODtSyyo8UXiWfO91w3dZ0oneiwSMWW9Gu3pyJNFzbXtB0O4HJo7OJdRuFGbwqLdokd0lsfFPGMksF4yYitwg=\n";

    #[test]
    fn signs_the_sample_checkpoint() {
        let signer = log_signer();
        let vkey = "lockgate.example/log/1+f89eeeeb+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4";
        assert_eq!(signer.vkey().to_string(), vkey);
        let checkpoint = classic_checkpoint();
        assert_eq!(checkpoint.body(), BODY);
        let text = checkpoint.sign(&signer).to_text();
        assert_eq!(text, format!("{BODY}\n{SIGNATURE}"));
        let key: VerifierKey = vkey.parse().unwrap();
        let opened = SignedCheckpoint::open(text.as_bytes(), &key, &Limits::DEFAULT).unwrap();
        assert_eq!(opened.checkpoint, checkpoint);
        assert_eq!(opened.note.to_text(), text);
    }

    #[test]
    fn refuses_other_bodies() {
        assert_eq!(Checkpoint::parse_body(BODY).unwrap(), classic_checkpoint());
        let empty = Checkpoint { origin: "a".to_owned(), size: TreeSize(0), root: empty_root() };
        assert_eq!(Checkpoint::parse_body(&empty.body()).unwrap(), empty);
        let root = "XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=";
        for bad in [
            String::new(),
            "\n".to_owned(),
            format!("a\n8\n{root}"),
            "a\n8\n".to_owned(),
            format!("a\n8\n{root}\n\n"),
            format!("a\n8\n{root}\nextension\n"),
            format!("\n8\n{root}\n"),
            format!("a\r\n8\n{root}\n"),
            format!("a\n08\n{root}\n"),
            format!("a\n+8\n{root}\n"),
            format!("a\n\n{root}\n"),
            format!("a\n18446744073709551616\n{root}\n"),
            format!("a\n8\n{}\n", root.trim_end_matches('=')),
            format!("a\n8\n{root} \n"),
            "a\n8\nV3JvbmdSb290\n".to_owned(),
            format!("a\n0\n{root}\n"),
        ] {
            assert!(Checkpoint::parse_body(&bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn opens_only_with_the_key_of_the_origin() {
        let (signer, witness) = (log_signer(), witness_signer());
        let text = classic_checkpoint().sign(&signer).to_text();
        let open = |text: &str, key: &VerifierKey| SignedCheckpoint::open(text.as_bytes(), key, &Limits::DEFAULT);
        assert!(open(&text, signer.vkey()).is_ok());
        assert!(matches!(open(&text, witness.vkey()), Err(CheckpointError::NotLogKey(_))));

        let other = NoteSigner::from_seed("other.example", NoteKeyKind::Ed25519, &[9; 32]).unwrap();
        assert!(matches!(open(&text, other.vkey()), Err(CheckpointError::OtherLog { .. })));
        let same_name = NoteSigner::from_seed("lockgate.example/log/1", NoteKeyKind::Ed25519, &[9; 32]).unwrap();
        assert!(matches!(open(&text, same_name.vkey()), Err(CheckpointError::Note(_))));

        let larger = text.replacen("\n8\n", "\n9\n", 1);
        assert!(matches!(open(&larger, signer.vkey()), Err(CheckpointError::Note(_))));
        let resigned = classic_checkpoint().sign(&other).to_text();
        assert!(matches!(open(&resigned, other.vkey()), Err(CheckpointError::OtherLog { .. })));
        assert!(open(BODY, signer.vkey()).is_err());
    }
}
