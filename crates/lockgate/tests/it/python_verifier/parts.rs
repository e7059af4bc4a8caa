//! The parts of a bundle by themselves: checkpoints, proofs, approvals and decisions. In a bundle a changed part mostly
//! ends at the digest or the path that names it; here both verifiers have to read it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_ledger::approval::NAMESPACE;
use lockgate_ledger::{ApprovalDocument, TrustFile};
use lockgate_model::{EntryIndex, Limits, TreeSize, canonical};
use lockgate_policy::Decision;
use lockgate_sign::note::{Note, NoteKeyKind, NoteSigner};
use lockgate_sign::ssh::{SshPublicKey, SshSignature};
use lockgate_sign::ssh_signer::SshSigner as _;
use lockgate_tlog::checkpoint::Checkpoint;
use lockgate_tlog::cosignature::cosign;
use lockgate_tlog::hash::leaf_hash;
use lockgate_tlog::proof::{prove_consistency, prove_inclusion, verify_consistency_bytes, verify_inclusion_bytes};
use serde_json::{Value, json};

use super::{Stranger, assert_none, how_many};
use crate::browser_verifier::mutants::Chance;
use crate::browser_verifier::{Question, difference};
use crate::forgery::forger::{Forger, Tiles};
use crate::instance::text;

/// The most leaves of a tree that proofs are made in.
const LEAVES: usize = 70;
/// One of so many mutants is a decision inside a bundle, which takes longer to read than a part.
const IN_BUNDLES: usize = 10;
/// What decisions say of a gate that is compared with ledger and policy set; the rest is for whoever runs the gate.
const COMPARED: [&str; 3] = ["gate", "kind", "outcome"];

/// A changed part: what was done to it, the question about it, and the answer that the kernel's own would be.
type Changed = (String, Value, Value);

/// Both verifiers answer alike on so many changed parts, of which some are accepted and some are not.
#[track_caller]
fn agree(stranger: &mut Stranger, most: usize, mut make: impl FnMut(usize) -> Changed) {
    let (mut wrong, mut refused) = (Vec::new(), 0);
    for number in 0..most {
        let (what, asked, kernel) = make(number);
        let answer = stranger.ask(&asked);
        // Where something is refused, the reason has to be the same, and not the words.
        let same = if kernel.is_string() { answer[0] == kernel } else { answer == kernel };
        if !same {
            wrong.push(format!("mutant {number}, {what}: the kernel says {kernel}, Python {answer}: {asked}"));
        }
        refused += usize::from(kernel.is_string() || kernel == json!(false));
    }
    eprintln!("{most} mutants, {refused} refused");
    assert!(refused > 0 && refused < most, "some are refused, and not all: {refused} of {most}");
    assert_none(&wrong, most);
}

#[test]
fn the_stranger_agrees_on_mutants_of_checkpoints() {
    let Some(mut stranger) = Stranger::start() else { return };
    let forger = Forger::new();
    let bundle = forger.bundle(&forger.history());
    let witness = NoteSigner::from_seed("witness.example", NoteKeyKind::CosignatureEd25519, &[3; 32]).unwrap();
    let demanded = format!("witness w {}\nquorum w", witness.vkey());
    let tlog_policy = forger.trust.tlog_policy.replace("quorum none", &demanded);
    let witnessed = TrustFile { tlog_policy, ..forger.trust.clone() };
    let mut chance = Chance::new(11);
    for trust in [forger.trust.clone(), witnessed] {
        let mut question = Question::of(&forger);
        question.trust = trust.clone();
        // Whether the bundle is accepted is asked elsewhere: this says which trust file is meant.
        stranger.pose(&question, &bundle.to_bytes().unwrap());
        agree(&mut stranger, how_many() / 2, |number| {
            let (what, bytes) = changed_note(&forger, &witness, &bundle.checkpoint, &mut chance, number);
            let kernel = match trust.open_checkpoint(&bytes) {
                Ok((signed, _)) => {
                    let Checkpoint { origin, size, root } = signed.checkpoint;
                    json!([null, format!("{origin} {size} {}", root.hex())])
                }
                Err(error) => json!(error.code),
            };
            (what, json!({ "checkpoint": STANDARD.encode(bytes) }), kernel)
        });
    }
}

/// A note that was changed by whoever has no key, by the log itself, or in its signatures alone.
fn changed_note(
    forger: &Forger,
    witness: &NoteSigner,
    good: &str,
    chance: &mut Chance,
    number: usize,
) -> (String, Vec<u8>) {
    let body = Note::parse(good.as_bytes(), &Limits::DEFAULT).unwrap().text;
    let signed = |text: String| {
        let mut signatures = vec![forger.note_signature(&text)];
        // Nobody cosigns what is no checkpoint.
        signatures.extend(Checkpoint::parse_body(&text).ok().map(|read| cosign(witness, &read, 1_800_000_000)));
        Note { text, signatures }.to_text()
    };
    match number % 4 {
        0 => chance.flip(signed(body).as_bytes()),
        1 => {
            let (what, text) = chance.flip(body.as_bytes());
            (format!("{what}, signed"), signed(String::from_utf8_lossy(&text).into_owned()).into_bytes())
        }
        2 => {
            let (what, text) = changed_body(&body, chance);
            (what.to_owned(), signed(text).into_bytes())
        }
        _ => {
            let note = Note::parse(signed(body).as_bytes(), &Limits::DEFAULT).unwrap();
            let (what, note) = changed_signatures(note, chance);
            (what.to_owned(), note.to_text().into_bytes())
        }
    }
}

fn changed_body(body: &str, chance: &mut Chance) -> (&'static str, String) {
    match chance.draw(8) {
        0 => ("a leading zero", body.replacen('\n', "\n0", 1)),
        1 => ("another size", body.replacen('\n', "\n1", 1)),
        2 => ("a sign", body.replacen('\n', "\n+", 1)),
        3 => ("another line", format!("{body}extension\n")),
        4 => ("another origin", format!("x{body}")),
        5 => ("no padding", body.replacen("=\n", "\n", 1)),
        6 => ("carriage returns", body.replace('\n', "\r\n")),
        _ => ("nothing", body.to_owned()),
    }
}

fn changed_signatures(mut note: Note, chance: &mut Chance) -> (&'static str, Note) {
    let name = note.signatures[0].name.clone();
    let at = chance.draw(note.signatures.len());
    let mut line = note.signatures[at].clone();
    let what = match chance.draw(6) {
        0 => {
            note.signatures.remove(at);
            "a signature less"
        }
        1 => {
            note.signatures.insert(at, line);
            "a signature twice"
        }
        2 => {
            note.signatures.reverse();
            "signatures in another order"
        }
        3 => {
            let other = NoteSigner::from_seed(&name, NoteKeyKind::Ed25519, &[9; 32]).unwrap();
            note.signatures.push(other.sign_text(&note.text));
            "another key of the same name"
        }
        4 => {
            let byte = chance.draw(line.signature.len());
            line.signature[byte] ^= 1;
            note.signatures.push(line);
            "a bad signature beside the good one"
        }
        _ => {
            line.key_id[chance.draw(4)] ^= 1;
            note.signatures[at] = line;
            "another key id"
        }
    };
    (what, note)
}

#[test]
fn the_stranger_agrees_on_mutants_of_proofs() {
    let Some(mut stranger) = Stranger::start() else { return };
    let mut chance = Chance::new(12);
    agree(&mut stranger, how_many(), |number| match number % 2 {
        0 => inclusion(&mut chance),
        _ => consistency(&mut chance),
    });
}

/// Two numbers, two hashes and a path, all as they travel.
struct Proof {
    numbers: [u64; 2],
    hashes: [Vec<u8>; 2],
    path: Vec<Vec<u8>>,
}

impl Proof {
    /// Changes it in one way, or in none.
    fn change(&mut self, chance: &mut Chance) -> &'static str {
        let Self { numbers, hashes, path } = self;
        let (one, at) = (chance.draw(2), chance.draw(path.len()));
        match chance.draw(10) {
            0 => numbers[one] = numbers[one].wrapping_add(1),
            1 => numbers[one] = numbers[one].wrapping_sub(1),
            2 => numbers[one] = [0, 1, u64::MAX][chance.draw(3)],
            3 if !path.is_empty() => drop(path.remove(at)),
            4 => path.insert(at, hashes[one].clone()),
            5 => path.reverse(),
            6 if !path.is_empty() => path[at][chance.draw(32)] ^= 1 << chance.draw(8),
            7 => hashes[one][0] ^= 1,
            8 => hashes[one].truncate(31),
            _ => return "nothing",
        }
        "a change"
    }

    fn encoded_path(&self) -> Vec<String> {
        self.path.iter().map(|hash| STANDARD.encode(hash)).collect()
    }
}

fn leaves(chance: &mut Chance) -> Vec<Vec<u8>> {
    (0..=chance.draw(LEAVES)).map(|number| format!("leaf {number}").into_bytes()).collect()
}

fn inclusion(chance: &mut Chance) -> Changed {
    let leaves = leaves(chance);
    let (tiles, at) = (Tiles::over(&leaves), chance.draw(leaves.len()));
    let path = prove_inclusion(EntryIndex(at as u64), tiles.size, &tiles).unwrap();
    let mut proof = Proof {
        numbers: [at as u64, tiles.size.0],
        hashes: [leaf_hash(&leaves[at]).as_bytes().to_vec(), tiles.root.as_bytes().to_vec()],
        path: path.iter().map(|hash| hash.as_bytes().to_vec()).collect(),
    };
    let what = proof.change(chance);
    let ([index, size], [leaf, root]) = (proof.numbers, &proof.hashes);
    let holds = verify_inclusion_bytes(EntryIndex(index), TreeSize(size), leaf, &proof.path, root).is_ok();
    let asked = json!({
        "index": index, "size": size, "leaf": STANDARD.encode(leaf), "path": proof.encoded_path(),
        "root": STANDARD.encode(root),
    });
    (format!("{what} of an inclusion proof"), json!({ "inclusion": asked }), json!(holds))
}

fn consistency(chance: &mut Chance) -> Changed {
    let leaves = leaves(chance);
    let before = 1 + chance.draw(leaves.len());
    let (tiles, older) = (Tiles::over(&leaves), Tiles::over(&leaves[..before]));
    let path = prove_consistency(older.size, tiles.size, &tiles).unwrap();
    let mut proof = Proof {
        numbers: [older.size.0, tiles.size.0],
        hashes: [older.root.as_bytes().to_vec(), tiles.root.as_bytes().to_vec()],
        path: path.iter().map(|hash| hash.as_bytes().to_vec()).collect(),
    };
    let what = proof.change(chance);
    let ([old, new], [old_root, new_root]) = (proof.numbers, &proof.hashes);
    let holds = verify_consistency_bytes(TreeSize(old), TreeSize(new), &proof.path, old_root, new_root).is_ok();
    let asked = json!({
        "old": old, "new": new, "path": proof.encoded_path(), "old_root": STANDARD.encode(old_root),
        "new_root": STANDARD.encode(new_root),
    });
    (format!("{what} of a consistency proof"), json!({ "consistency": asked }), json!(holds))
}

/// The kernel's answer on an approval without a ledger around it.
fn approval_code(document: &[u8], armored: &str, key: &SshPublicKey) -> Option<&'static str> {
    if let Err(error) = ApprovalDocument::from_bytes(document) {
        return Some(error.code);
    }
    let Ok(signature) = SshSignature::parse_armored(armored) else { return Some("SIGNATURE_MALFORMED") };
    signature.verify(document, NAMESPACE, key).err().map(|error| error.code())
}

#[test]
fn the_stranger_agrees_on_mutants_of_approvals() {
    let Some(mut stranger) = Stranger::start() else { return };
    let forger = Forger::new();
    let event = forger.honest.entry(forger.honest.last("approval.recorded"))["event"]["body"].clone();
    let document = forger.honest.body(&event["document"]);
    let honest = text(&event["signature"]);
    let sam = SshSignature::parse_armored(&honest).unwrap().public_key().clone();
    assert_eq!(approval_code(&document, &honest, &sam), None);
    let own = forger.own.public_key().clone();
    let mut chance = Chance::new(13);
    agree(&mut stranger, how_many(), |number| {
        let (what, bytes, armored, key) = match number % 4 {
            0 => {
                let (what, armored) = chance.flip(honest.as_bytes());
                let armored = String::from_utf8_lossy(&armored).into_owned();
                (format!("{what} of the signature"), document.clone(), armored, &sam)
            }
            1 => {
                let (what, bytes) = changed_document(&document, &mut chance, number / 4);
                (what, bytes, honest.clone(), &sam)
            }
            // Signed again by a key that is known, so that the form alone decides.
            _ => {
                let (what, bytes) = changed_document(&document, &mut chance, number / 4);
                let armored = forger.sign(NAMESPACE, &bytes);
                (format!("{what}, signed"), bytes, armored, &own)
            }
        };
        let kernel = approval_code(&bytes, &armored, key);
        let asked = json!({ "document": STANDARD.encode(&bytes), "armored": armored, "key": key.to_string() });
        (what, json!({ "approval": asked }), told(kernel))
    });
}

/// What a question about a single check is answered with: a reason, or nothing with nothing to add.
fn told(code: Option<&str>) -> Value {
    code.map_or_else(|| json!([null, ""]), |code| json!(code))
}

/// A canonical document that was changed as bytes or as JSON, or only spelled differently.
fn changed_document(document: &[u8], chance: &mut Chance, number: usize) -> (String, Vec<u8>) {
    if number.is_multiple_of(3) {
        return chance.flip(document);
    }
    let mut value: Value = serde_json::from_slice(document).unwrap();
    if number % 12 == 1 {
        return ("with spaces".to_owned(), serde_json::to_vec_pretty(&value).unwrap());
    }
    let what = chance.mutate(&mut value);
    (what, canonical::to_vec(&value).unwrap())
}

/// Whether bytes have the form of a decision.
fn decision_code(bytes: &[u8]) -> Option<&'static str> {
    let read: Option<Decision> = canonical::from_slice(bytes, &Limits::DEFAULT).ok();
    // A field that is written though it says nothing is another spelling.
    let sound = read.is_some_and(|decision| decision.schema == Decision::SCHEMA && decision.to_bytes() == bytes);
    (!sound).then_some("DECISION_INVALID")
}

/// The last decision of the honest history: its entry and its document.
fn decided(forger: &Forger) -> (usize, Vec<u8>) {
    let at = forger.honest.last("decision.recorded");
    (at, forger.honest.body(&forger.honest.entry(at)["event"]["body"]["decision"]))
}

#[test]
fn the_stranger_agrees_on_the_form_of_decisions() {
    let Some(mut stranger) = Stranger::start() else { return };
    let (_, document) = decided(&Forger::new());
    assert_eq!(decision_code(&document), None);
    let mut chance = Chance::new(14);
    agree(&mut stranger, how_many(), |number| {
        let (what, bytes) = changed_document(&document, &mut chance, number);
        let asked = json!({ "document": STANDARD.encode(&bytes) });
        (what, json!({ "decision": asked }), told(decision_code(&bytes)))
    });
}

/// What of a decision is compared by whoever does not run the gates.
fn compared(decision: &Value) -> Value {
    let mut rest = decision.clone();
    if let Some(members) = rest.as_object_mut() {
        members.remove("would_block");
    }
    for gate in rest.get_mut("gates").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(members) = gate.as_object_mut() {
            members.retain(|name, _| COMPARED.contains(&name.as_str()));
        }
    }
    rest
}

/// The entry names the changed decision, and the log's own key signs that: the kernel refuses each, and so does Python
/// unless only what a gate itself says was changed.
#[test]
fn no_changed_decision_passes_the_stranger() {
    let Some(mut stranger) = Stranger::start() else { return };
    let forger = Forger::new();
    let question = Question::of(&forger);
    let history = forger.history();
    let good = forger.bundle(&history).to_bytes().unwrap();
    assert_eq!(stranger.pose(&question, &good), None);
    let (at, document) = decided(&forger);
    let honest: Value = serde_json::from_slice(&document).unwrap();
    let (mut chance, mut wrong, mut tried) = (Chance::new(15), Vec::new(), 0);
    for number in 0..how_many() / IN_BUNDLES {
        let mut value = honest.clone();
        let what = chance.mutate(&mut value);
        if value == honest {
            continue;
        }
        tried += 1;
        let bytes = canonical::to_vec(&value).unwrap();
        let by_gates_alone = decision_code(&bytes).is_none() && compared(&value) == compared(&honest);
        let mut forged = history.clone();
        let digest = forged.bodies.insert(bytes);
        forged.edit(at, |entry| entry["event"]["body"]["decision"] = json!(digest));
        let bytes = forger.bundle(&forged).to_bytes().unwrap();
        assert_eq!(question.kernel(&bytes), Some("REPLAY_DECISION"), "mutant {number}, {what}");
        let answer = stranger.ask(&json!({ "edit": difference(&good, &bytes) }));
        if answer[0] != "REPLAY_DECISION" && !(by_gates_alone && answer[0].is_null()) {
            wrong.push(format!("mutant {number}, {what}: Python says {answer}"));
        }
    }
    assert!(tried > 0);
    assert_none(&wrong, tried);
}
