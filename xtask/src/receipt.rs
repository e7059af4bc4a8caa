//! Receipts: whether an acknowledgement proves what it says.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_api::wire::Logged;
use lockgate_model::{Digest, EntryIndex, Limits};
use lockgate_sign::note::VerifierKey;
use lockgate_tlog::SignedCheckpoint;
use lockgate_tlog::proof::{hash_from_slice, verify_inclusion};
use serde::{Deserialize, Serialize};

use crate::failure::{During as _, Result};

/// What a receipt proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proven {
    /// The first entry that the request appended.
    pub index: u64,
    /// Its leaf hash.
    pub leaf: Digest,
    /// How many entries the signed tree head covers: everything that the request appended is among them.
    pub size: u64,
    /// The root of that tree head.
    pub root: Digest,
}

/// Checks that the log signed a checkpoint that contains the acknowledged entry at its index.
///
/// # Errors
/// When the signature, the checkpoint or the inclusion path is not right.
pub fn check(key: &VerifierKey, logged: &Logged) -> Result<Proven> {
    let signed = SignedCheckpoint::open(logged.checkpoint.as_bytes(), key, &Limits::DEFAULT);
    let head = signed.during("the checkpoint of an acknowledgement")?.checkpoint;
    let path = logged.proof.iter().map(|hash| hash_of(hash)).collect::<Result<Vec<Digest>>>()?;
    let verified = verify_inclusion(EntryIndex(logged.index), head.size, &logged.leaf, &path, &head.root);
    verified.during(format!("the proof of the acknowledged entry {}", logged.index))?;
    Ok(Proven { index: logged.index, leaf: logged.leaf, size: head.size.0, root: head.root })
}

fn hash_of(text: &str) -> Result<Digest> {
    let bytes = STANDARD.decode(text).during("a hash of an acknowledgement")?;
    hash_from_slice(&bytes).during("a hash of an acknowledgement")
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_model::TreeSize;
    use lockgate_sign::note::{NoteKeyKind, NoteSigner};
    use lockgate_tlog::{Checkpoint, leaf_hash, node_hash};

    #[test]
    fn a_receipt_is_for_one_entry_at_one_index_of_one_log() {
        let signer = NoteSigner::from_seed("log.example", NoteKeyKind::Ed25519, &[7; 32]).unwrap();
        let other = NoteSigner::from_seed("log.example", NoteKeyKind::Ed25519, &[8; 32]).unwrap();
        let (left, right) = (leaf_hash(b"a"), leaf_hash(b"b"));
        let root = node_hash(&left, &right);
        let checkpoint = Checkpoint { origin: "log.example".to_owned(), size: TreeSize(2), root };
        let logged = Logged {
            index: 1,
            leaf: right,
            proof: vec![STANDARD.encode(left.as_bytes())],
            checkpoint: checkpoint.sign(&signer).to_text(),
            repeated: false,
        };
        let proven = Proven { index: 1, leaf: right, size: 2, root };
        assert_eq!(check(signer.vkey(), &logged).unwrap(), proven);
        assert!(check(other.vkey(), &logged).is_err());
        assert!(check(signer.vkey(), &Logged { index: 0, ..logged.clone() }).is_err());
        assert!(check(signer.vkey(), &Logged { leaf: left, ..logged.clone() }).is_err());
        assert!(check(signer.vkey(), &Logged { proof: vec![], ..logged }).is_err());
    }
}
