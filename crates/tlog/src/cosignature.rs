//! Cosignatures: a witness's timestamped signature on a checkpoint (C2SP tlog-cosignature v1.0.1, Ed25519, type 0x04).

use lockgate_sign::note::{Note, NoteKeyKind, NoteSignature, NoteSigner, VerifierKey};
use lockgate_sign::public_key::PublicKey;

use crate::checkpoint::Checkpoint;

/// The latest time that a cosignature may carry: 2^63 - 1 seconds.
const TIME_MAX_SECS: u64 = u64::MAX >> 1;
/// The length of an Ed25519 signature in bytes.
const SIGNATURE_BYTES: usize = 64;

/// Why a cosignature does not count. Each variant carries the name of the witness's key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CosignatureError {
    /// The key is not an Ed25519 cosignature key.
    #[error("the key `{0}` does not cosign: give the witness's cosignature key (type 0x04)")]
    NotWitnessKey(String),
    /// The note has no signature line of this key.
    #[error("`{0}` has not cosigned this checkpoint: ask it to, or wait")]
    NotSigned(String),
    /// The signature line does not hold a time and a signature.
    #[error("the cosignature of `{0}` is malformed: it holds 8 bytes of time and 64 bytes of signature")]
    Malformed(String),
    /// The signature does not fit the checkpoint and the time.
    #[error("the cosignature of `{0}` does not fit this checkpoint: it was changed, or made for another one")]
    BadSignature(String),
}

/// Cosigns a checkpoint as seen at `time_secs` (seconds since 1970, capped at 2^63 - 1).
///
/// The signer's key is of kind `CosignatureEd25519`. Only a witness that has verified the consistency with everything
/// it signed before, and stored that it did, may call this. The signature does not bind the witness's name: two
/// witnesses must never share a key.
pub fn cosign(signer: &NoteSigner, checkpoint: &Checkpoint, time_secs: u64) -> NoteSignature {
    let time_secs = time_secs.min(TIME_MAX_SECS);
    let mut signature = time_secs.to_be_bytes().to_vec();
    signature.extend_from_slice(&signer.sign_raw(signed_message(&checkpoint.body(), time_secs).as_bytes()));
    NoteSignature { name: signer.vkey().name().to_owned(), key_id: signer.vkey().key_id(), signature }
}

/// Verifies the cosignature of `key` on a checkpoint note and returns its time in seconds since 1970.
///
/// Lines of other keys are ignored. If there are several lines of this key, all must verify, and the latest time is
/// returned; whether it is recent enough is for the caller to say.
///
/// # Errors
/// [`CosignatureError`]; a bad signature is never reported as an absent one.
pub fn verify(key: &VerifierKey, note: &Note) -> Result<u64, CosignatureError> {
    let name = || key.name().to_owned();
    if !matches!(key.kind(), NoteKeyKind::CosignatureEd25519) {
        return Err(CosignatureError::NotWitnessKey(name()));
    }
    let public_key = PublicKey::from_ed25519(key.public_key());
    let mut latest = None;
    for line in &note.signatures {
        if line.name != key.name() || line.key_id != key.key_id() {
            continue;
        }
        let (time, signature) =
            line.signature.split_first_chunk::<8>().ok_or_else(|| CosignatureError::Malformed(name()))?;
        let time_secs = u64::from_be_bytes(*time);
        if signature.len() != SIGNATURE_BYTES || time_secs > TIME_MAX_SECS {
            return Err(CosignatureError::Malformed(name()));
        }
        public_key
            .verify(signed_message(&note.text, time_secs).as_bytes(), signature)
            .map_err(|_| CosignatureError::BadSignature(name()))?;
        latest = latest.max(Some(time_secs));
    }
    latest.ok_or_else(|| CosignatureError::NotSigned(name()))
}

/// What an Ed25519 cosignature signs (tlog-cosignature, "Ed25519 signed message").
fn signed_message(text: &str, time_secs: u64) -> String {
    format!("cosignature/v1\ntime {time_secs}\n{text}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{classic_checkpoint, log_signer, witness_signer};
    use lockgate_model::Limits;

    const TIME_SECS: u64 = 1_700_000_000;
    const LINE: &str = "\u{2014} witness.example/w1 \
        IDJKvgAAAABlU/EAK20EzPPS4SCgPuB6bFMDtGNVTvVpXASmM220met3mG+eCHiG8LzRTbrRmQsfd0rEpaB287S6j4+jPATX7FsdBQ==\n";

    fn cosigned() -> Note {
        let mut note = classic_checkpoint().sign(&log_signer());
        note.signatures.push(cosign(&witness_signer(), &classic_checkpoint(), TIME_SECS));
        note
    }

    #[test]
    fn cosigns_the_sample_checkpoint() {
        let vkey = "witness.example/w1+20324abe+BCmsuuFBvMrwsi4alNNNC8c2HlJtC/4SyJeUvJMilm3X";
        assert_eq!(witness_signer().vkey().to_string(), vkey);
        let text = cosigned().to_text();
        assert!(text.ends_with(LINE), "{text}");
        let note = Note::parse(text.as_bytes(), &Limits::DEFAULT).unwrap();
        assert_eq!(verify(&vkey.parse().unwrap(), &note), Ok(TIME_SECS));
    }

    #[test]
    fn refuses_what_the_witness_did_not_sign() {
        let witness = witness_signer();
        let key = witness.vkey();
        let name = || "witness.example/w1".to_owned();
        let check = |change: &dyn Fn(&mut Note), expected: CosignatureError| {
            let mut note = cosigned();
            change(&mut note);
            assert_eq!(verify(key, &note), Err(expected));
        };
        check(&|note| note.text = note.text.replacen("\n8\n", "\n9\n", 1), CosignatureError::BadSignature(name()));
        check(&|note| note.signatures[1].signature[7] ^= 1, CosignatureError::BadSignature(name()));
        check(&|note| note.signatures[1].signature[8] ^= 1, CosignatureError::BadSignature(name()));
        check(&|note| note.signatures[1].signature[0] = 0x80, CosignatureError::Malformed(name()));
        check(&|note| note.signatures[1].signature.truncate(7), CosignatureError::Malformed(name()));
        check(&|note| note.signatures[1].signature.push(0), CosignatureError::Malformed(name()));
        check(&|note| note.signatures.truncate(1), CosignatureError::NotSigned(name()));
        check(&|note| note.signatures[1].name.push('x'), CosignatureError::NotSigned(name()));
        check(&|note| note.signatures[1].key_id[0] ^= 1, CosignatureError::NotSigned(name()));
        assert!(matches!(verify(log_signer().vkey(), &cosigned()), Err(CosignatureError::NotWitnessKey(_))));
    }

    #[test]
    fn the_latest_of_several_counts_and_one_bad_spoils_all() {
        let witness = witness_signer();
        let mut note = cosigned();
        note.signatures.push(cosign(&witness, &classic_checkpoint(), TIME_SECS + 60));
        note.signatures.push(cosign(&witness, &classic_checkpoint(), TIME_SECS + 30));
        assert_eq!(verify(witness.vkey(), &note), Ok(TIME_SECS + 60));
        note.signatures[2].signature[40] ^= 1;
        assert!(matches!(verify(witness.vkey(), &note), Err(CosignatureError::BadSignature(_))));
    }

    #[test]
    fn a_log_signature_under_the_witness_key_is_not_a_cosignature() {
        // The same key material signs the bare text: without header and time it must not count.
        let witness = witness_signer();
        let mut note = cosigned();
        let bare = witness.sign_raw(note.text.as_bytes());
        note.signatures[1].signature = [TIME_SECS.to_be_bytes().as_slice(), &bare].concat();
        assert!(matches!(verify(witness.vkey(), &note), Err(CosignatureError::BadSignature(_))));
    }
}
