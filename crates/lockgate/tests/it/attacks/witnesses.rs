//! The target `witnesses`: a checkpoint with cosignatures, opened with a trust policy.

use lockgate_model::{Digest, TreeSize};
use lockgate_sign::note::{NoteKeyKind, NoteSignature, NoteSigner};
use lockgate_tlog::checkpoint::Checkpoint;
use lockgate_tlog::cosignature::cosign;
use lockgate_tlog::policy_file::{PolicyFileError, TrustPolicy};
use serde_json::Value;

use super::{Answer, LIMITS, text, trust_code};

const LOG: &str = "log1.lockgate.example";
/// How many witnesses there are: `$W1` to `$W6`, each with a key of its own.
const WITNESSES: u8 = 6;

fn log() -> NoteSigner {
    NoteSigner::from_seed(LOG, NoteKeyKind::Ed25519, &[99; 32]).unwrap()
}

/// The witness of a number under a name.
fn witness(number: u8, name: &str) -> NoteSigner {
    NoteSigner::from_seed(name, NoteKeyKind::CosignatureEd25519, &[number; 32]).unwrap()
}

/// The witness that an input names: `W1` is `w1.example`.
fn named(name: &str) -> NoteSigner {
    let number: u8 = name.strip_prefix('W').and_then(|number| number.parse().ok()).unwrap();
    assert!((1..=WITNESSES).contains(&number), "there is no witness {name}");
    witness(number, &format!("w{number}.example"))
}

/// Opens a cosigned checkpoint as the input's policy demands.
pub fn open(input: &Value) -> Result<(), Answer> {
    let mut policy = text(&input["policy"]).replace("$W1B", &witness(1, "w1b.example").vkey().to_string());
    for number in 1..=WITNESSES {
        let vkey = named(&format!("W{number}")).vkey().to_string();
        policy = policy.replace(&format!("$W{number}"), &vkey);
    }
    policy = policy.replace("$LOG", &log().vkey().to_string());
    let policy: TrustPolicy = policy.parse().map_err(|error: PolicyFileError| match &error {
        PolicyFileError::Line { .. } => Answer::refused("TRUST_POLICY_LINE", error),
        PolicyFileError::Whole(_) => Answer::refused("TRUST_POLICY_WHOLE", error),
    })?;
    let checkpoint = Checkpoint { origin: LOG.to_owned(), size: TreeSize(8), root: Digest::of(b"root") };
    let mut note = checkpoint.sign(&log());
    note.signatures.extend(input["cosigned"].as_array().unwrap().iter().map(|line| line_of(line, &checkpoint)));
    let opened = policy.open(note.to_text().as_bytes(), LIMITS);
    opened.map(drop).map_err(|error| Answer::refused(trust_code(&error), error))
}

/// One cosignature: `by` whom, when, under which name (`as` another witness, or any `name`), and with which `change`.
fn line_of(line: &Value, checkpoint: &Checkpoint) -> NoteSignature {
    let mut made = cosign(&named(&text(&line["by"])), checkpoint, line["time"].as_u64().unwrap());
    if let Some(other) = line["as"].as_str() {
        let other = named(other);
        other.vkey().name().clone_into(&mut made.name);
        if line["key_id"] == true {
            made.key_id = other.vkey().key_id();
        }
    }
    if let Some(name) = line["name"].as_str() {
        name.clone_into(&mut made.name);
    }
    match line["change"].as_str() {
        None => {}
        Some("flip") => made.signature[40] ^= 1,
        Some("time") => made.signature[7] ^= 1,
        Some("sign-bit") => made.signature[0] = 0x80,
        Some("cut") => made.signature.truncate(71),
        Some("longer") => made.signature.push(0),
        Some(other) => panic!("`{other}` is no change"),
    }
    made
}
