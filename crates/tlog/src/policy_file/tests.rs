//! Tests of trust policies.

use super::*;
use crate::cosignature::cosign;
use crate::samples::{classic_checkpoint, log_signer};
use lockgate_sign::note::NoteSigner;
use proptest::prelude::*;

const NAMES: [&str; 6] = ["x1", "x2", "x3", "y1", "y2", "y3"];

fn witness(name: &str) -> NoteSigner {
    let mut seed = [0; 32];
    seed[..name.len()].copy_from_slice(name.as_bytes());
    NoteSigner::from_seed(&format!("{name}.example"), NoteKeyKind::CosignatureEd25519, &seed).unwrap()
}

/// The two-level example of the specification, with keys.
fn two_levels() -> String {
    let mut text = format!("# trust\n\nlog {} https://log.example/\n", log_signer().vkey());
    for name in NAMES {
        text.push_str(&format!("  witness\t{name}  {} \n", witness(name).vkey()));
    }
    text + "group x 2 x1 x2 x3\ngroup y any y1 y2 y3\ngroup x-and-y all x y\nquorum x-and-y\n"
}

fn parse(text: &str) -> Result<TrustPolicy, PolicyFileError> {
    text.parse()
}

fn cosigned(names: &[&str]) -> Note {
    let mut note = classic_checkpoint().sign(&log_signer());
    for (time_secs, name) in (100..).zip(names) {
        note.signatures.push(cosign(&witness(name), &classic_checkpoint(), time_secs));
    }
    note
}

fn check_quorum(policy: &str, names: &[&str], met: bool) {
    let policy = parse(policy).unwrap();
    match policy.quorum_met(&cosigned(names)) {
        Ok(found) => {
            let mut expected = names.to_vec();
            expected.sort_unstable();
            expected.dedup();
            assert_eq!(found.witnesses.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), expected);
            assert!(met, "{names:?}");
        }
        Err(TrustError::QuorumNotMet { .. }) => assert!(!met, "{names:?}"),
        Err(error) => panic!("{names:?}: {error}"),
    }
}

#[test]
fn quorums_count_witnesses_in_nested_groups() {
    let text = two_levels();
    check_quorum(&text, &["x1", "x2", "y3"], true);
    check_quorum(&text, &["y1", "x3", "x1"], true);
    check_quorum(&text, &NAMES, true);
    check_quorum(&text, &[], false);
    check_quorum(&text, &["x1", "y1"], false);
    check_quorum(&text, &["x1", "x2", "x3"], false);
    check_quorum(&text, &["y1", "y2", "y3"], false);
    check_quorum(&text, &["x1", "x1", "y1"], false);
}

#[test]
fn quorums_may_be_one_witness_or_none() {
    let one = format!("witness x1 {}\nwitness x2 {}\nquorum x1\n", witness("x1").vkey(), witness("x2").vkey());
    check_quorum(&one, &["x1"], true);
    check_quorum(&one, &["x2"], false);
    check_quorum("quorum none\n", &[], true);
    let none = one.replace("quorum x1", "quorum none");
    check_quorum(&none, &[], true);
    check_quorum(&none, &["x2"], true);
}

#[test]
fn a_bad_cosignature_of_a_trusted_witness_refuses_the_note() {
    let policy = parse(&two_levels()).unwrap();
    let mut note = cosigned(&["x1", "x2", "x3", "y1"]);
    assert!(policy.quorum_met(&note).is_ok());
    note.signatures[3].signature[20] ^= 1;
    assert!(matches!(policy.quorum_met(&note), Err(TrustError::Cosignature(_))));
    // A witness that the policy does not know is not looked at.
    let mut note = cosigned(&["x1", "x2", "y1", "stranger"]);
    note.signatures[4].signature[20] ^= 1;
    assert_eq!(policy.quorum_met(&note).unwrap().witnesses.len(), 3);
}

#[test]
fn opens_checkpoints_of_trusted_logs_only() {
    let limits = Limits::DEFAULT;
    let policy = parse(&two_levels()).unwrap();
    let note = cosigned(&["x1", "x2", "y1"]);
    let (signed, quorum) = policy.open(note.to_text().as_bytes(), &limits).unwrap();
    assert_eq!(signed.checkpoint, classic_checkpoint());
    assert_eq!(quorum.witnesses[2], Cosigned { name: "y1".to_owned(), time_secs: 102 });

    let unsigned = Note { signatures: note.signatures[1..].to_vec(), text: note.text.clone() };
    assert!(matches!(policy.open(unsigned.to_text().as_bytes(), &limits), Err(TrustError::UnknownLog(_))));
    let mut bad = Note { signatures: note.signatures.clone(), text: note.text.clone() };
    bad.signatures[0].signature[0] ^= 1;
    assert!(matches!(policy.open(bad.to_text().as_bytes(), &limits), Err(TrustError::Checkpoint(_))));
    let few = cosigned(&["x1"]);
    assert!(matches!(policy.open(few.to_text().as_bytes(), &limits), Err(TrustError::QuorumNotMet { found: 1, .. })));
    let no_logs = parse("quorum none\n").unwrap();
    assert!(matches!(no_logs.open(note.to_text().as_bytes(), &limits), Err(TrustError::UnknownLog(_))));
}

#[test]
fn display_round_trips() {
    let policy = parse(&two_levels()).unwrap();
    let text = policy.to_string();
    assert_eq!(parse(&text).unwrap(), policy);
    assert_eq!(parse(&text).unwrap().to_string(), text);
    assert_eq!(policy.logs()[0].url.as_deref(), Some("https://log.example/"));
    assert_eq!((policy.witnesses().len(), policy.groups().len()), (6, 3));
    assert_eq!(policy.quorum(), &Quorum::Of("x-and-y".to_owned()));
    let again = TrustPolicy::new(
        policy.logs().to_vec(),
        policy.witnesses().to_vec(),
        policy.groups().to_vec(),
        policy.quorum().clone(),
    );
    assert_eq!(again.unwrap(), policy);
    let undefined = TrustPolicy::new(Vec::new(), Vec::new(), Vec::new(), Quorum::Of("x".to_owned()));
    assert!(matches!(undefined, Err(PolicyFileError::Whole(_))));
    assert_eq!(parse("quorum none\n").unwrap().to_string(), "quorum none\n");
}

#[test]
fn refuses_what_the_specification_does_not_allow() {
    let (log, x1, x2) = (log_signer(), witness("x1"), witness("x2"));
    let other = |signer: &NoteSigner, kind: NoteKeyKind| {
        VerifierKey::new("other.example", kind, signer.vkey().public_key()).unwrap()
    };
    let log_again = other(&log, NoteKeyKind::Ed25519);
    let x1_again = other(&x1, NoteKeyKind::CosignatureEd25519);
    let (log, x1, x2) = (log.vkey(), x1.vkey(), x2.vkey());
    let two = format!("witness x1 {x1}\nwitness x2 {x2}\n");
    assert!(parse(&format!("log {log}\n{two}group g 2 x1 x2\nquorum g\n")).is_ok());
    for (bad, why) in [
        (String::new(), "empty"),
        ("\n".to_owned(), "no quorum"),
        (two.clone(), "no quorum"),
        ("quorum none".to_owned(), "last line not ended"),
        ("quorum none\nquorum none\n".to_owned(), "two quorums"),
        ("quorum\n".to_owned(), "no name"),
        ("quorum none none\n".to_owned(), "two names"),
        ("quorum x1\n".to_owned(), "undefined"),
        (format!("quorum x1\n{two}"), "defined after its use"),
        (format!("{two}group g any x1 h\ngroup h any x2\nquorum g\n"), "group defined after its use"),
        (format!("{two}group g any g\nquorum g\n"), "a group in itself"),
        (format!("{two}group g any none\nquorum g\n"), "none as a member"),
        (format!("{two}group none any x1\nquorum none\n"), "none as a group"),
        (format!("witness none {x1}\nquorum none\n"), "none as a witness"),
        (format!("{two}group g any\nquorum g\n"), "no members"),
        (format!("{two}group g all\nquorum g\n"), "no members, all of them"),
        (format!("{two}group g 0 x1 x2\nquorum g\n"), "threshold 0"),
        (format!("{two}group g 3 x1 x2\nquorum g\n"), "threshold above the members"),
        (format!("{two}group g 01 x1 x2\nquorum g\n"), "leading zero"),
        (format!("{two}group g most x1 x2\nquorum g\n"), "no threshold"),
        (format!("{two}group g 2 x1 x1\nquorum g\n"), "one member twice"),
        (format!("{two}group g any x1\ngroup h any x1 x2\nquorum h\n"), "a member of two groups"),
        (format!("{two}group x1 any x2\nquorum x1\n"), "a group named as a witness"),
        (format!("witness x1 {x1}\nwitness x1 {x2}\nquorum x1\n"), "one name twice"),
        (format!("witness x1 {x1}\nwitness x2 {x1_again}\nquorum x1\n"), "one witness key twice"),
        (format!("log {log}\nlog {log_again}\nquorum none\n"), "one log key twice"),
        (format!("log {x1}\nquorum none\n"), "a witness key as a log"),
        (format!("witness x1 {log}\nquorum none\n"), "a log key as a witness"),
        (format!("log {log} https://a.example b\nquorum none\n"), "an extra word"),
        ("log\nquorum none\n".to_owned(), "no key"),
        ("log nonsense\nquorum none\n".to_owned(), "not a key"),
        ("Quorum none\n".to_owned(), "upper case"),
        ("quorum none # comment\n".to_owned(), "a comment after words"),
        ("quorum none\r\n".to_owned(), "carriage return"),
        ("# \u{7f}\nquorum none\n".to_owned(), "a control character in a comment"),
        ("quorum\u{a0}none\n".to_owned(), "another space"),
        ("\u{feff}quorum none\n".to_owned(), "byte order mark"),
        (" \n".repeat(POLICY_MAX_BYTES / 2) + "quorum none\n", "too long"),
    ] {
        assert!(parse(&bad).is_err(), "{why}");
    }
    let error = parse("# first\n\nlog nonsense\nquorum none\n").unwrap_err();
    assert!(matches!(error, PolicyFileError::Line { line: 3, .. }), "{error}");
}

#[test]
fn holds_what_the_specification_asks_for() {
    let mut text = String::new();
    for number in 0..PARTS_MAX {
        let signer = witness(&format!("w{number}"));
        let key = VerifierKey::new(&format!("log{number}.example"), NoteKeyKind::Ed25519, signer.vkey().public_key());
        text.push_str(&format!("log {}\nwitness w{number} {}\n", key.unwrap(), signer.vkey()));
        text.push_str(&format!("group g{number} any w{number}\n"));
    }
    assert!(parse(&format!("{text}quorum none\n")).is_ok());
    let more = format!("{text}witness more {}\nquorum none\n", witness("more").vkey());
    assert!(parse(&more).is_err());
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "([a-z0-9# \t]{0,12}\n){0,6}") {
        let _ = parse(&text);
        let _ = parse(&format!("{text}quorum none\n"));
    }
}
