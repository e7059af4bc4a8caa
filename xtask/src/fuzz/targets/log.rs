//! Readers of the transparency log: notes, checkpoints, proofs, tiles, trust policies.

use lockgate_model::{Digest, EntryIndex, Limits, TreeSize};
use lockgate_sign::note::{Note, NoteKeyKind, NoteSignature, NoteSigner, VerifierKey};
use lockgate_tlog::tile::{decode_bundle, encode_bundle};
use lockgate_tlog::{Checkpoint, EntryBundleId, ProofFile, SignedCheckpoint, TileId, TrustPolicy};

use super::Target;
use crate::failure::Result;
use crate::fuzz::outcome::Outcome;
use crate::fuzz::samples::{Samples, texts};
use crate::fuzz::story::Story;

/// Every target.
///
/// # Errors
/// When a sample cannot be made.
pub fn targets(samples: &Samples, story: &Story) -> Result<Vec<Target>> {
    let signer = NoteSigner::from_seed("log.lockgate.example", NoteKeyKind::Ed25519, &[4; 32])?;
    let vkey: VerifierKey = signer.vkey().clone();
    let checkpoint =
        Checkpoint { origin: "log.lockgate.example".to_owned(), size: TreeSize(8), root: Digest::of(b"root") };
    let note = checkpoint.sign(&signer);
    let own = note.to_text().into_bytes();
    let notes = [vec![own], story.checkpoints.clone(), samples.attacks(&["checkpoint", "consistency"])].concat();
    let proof = ProofFile {
        extra: Some(b"extra".to_vec()),
        index: EntryIndex(4),
        hashes: vec![Digest::of(b"a"), Digest::of(b"b"), Digest::of(b"c")],
        checkpoint: note.to_text(),
    };
    let lines: Vec<Vec<u8>> = note.signatures.iter().map(|line| line.to_string().into_bytes()).collect();
    let tile = encode_bundle(&[b"one".as_slice(), b"two".as_slice()])?;
    let policy = format!("# pinned\nlog {vkey} https://log.lockgate.example/\nquorum none\n");
    let opened = vkey.clone();
    let mut all = vec![
        Target::new("note", notes.clone(), |input| {
            let read = |bytes: &[u8]| Note::parse(bytes, &Limits::DEFAULT);
            Outcome::again(input, read, |note| note.to_text().into_bytes())
        }),
        Target::new("checkpoint", notes, move |input| {
            Outcome::of(&SignedCheckpoint::open(input, &opened, &Limits::DEFAULT))
        }),
        Target::new("checkpoint-body", vec![checkpoint.body().into_bytes()], |input| {
            let Ok(text) = std::str::from_utf8(input) else { return Outcome::no_text() };
            let write = |read: &Checkpoint| Ok::<_, String>(read.body().into_bytes());
            Outcome::spelled(input, &Checkpoint::parse_body(text), write)
        }),
        Target::new("note-signature", lines, Outcome::text::<NoteSignature>),
        Target::new(
            "verifier-key",
            [vec![vkey.to_string().into_bytes()], samples.attacks(&["checkpoint"])].concat(),
            Outcome::text::<VerifierKey>,
        ),
    ];
    all.extend([
        Target::new(
            "proof-file",
            [vec![proof.to_text().into_bytes()], samples.attacks(&["proof"])].concat(),
            |input| {
                let read = ProofFile::parse(input, &Limits::DEFAULT);
                Outcome::spelled(input, &read, |proof| Ok::<_, String>(proof.to_text().into_bytes()))
            },
        ),
        Target::new("tile-path", texts(&["tile/0/x001/x234/067", "tile/1/000.p/3"]), Outcome::text::<TileId>),
        Target::new(
            "entry-bundle-path",
            texts(&["tile/entries/x001/067", "tile/entries/000.p/255"]),
            Outcome::text::<EntryBundleId>,
        ),
        Target::new("entry-bundle", vec![tile], |input| {
            let read = decode_bundle(input, &Limits::DEFAULT);
            Outcome::spelled(input, &read, |entries| encode_bundle(entries))
        }),
        Target::new(
            "trust-policy",
            [texts(&[&policy]), samples.attacks(&["witnesses"])].concat(),
            Outcome::text::<TrustPolicy>,
        ),
    ]);
    Ok(all)
}
