//! Whoever has the server's disk, its log key and its attestation key, but no person's key, cannot make a promotion
//! that the offline verifier accepts.
//!
//! The [`Forger`] has all of that. It edits a real history, makes everything fit again that it can (links, heads,
//! facts, decisions, proofs, the checkpoint's signature), and shows the result to the verifier.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_ledger::bundle::Bundle;
use lockgate_ledger::entry::PersonEnrolled;
use lockgate_ledger::governance::{ENROLMENT_NAMESPACE, EnrolmentDocument, document_bytes};
use lockgate_model::{Digest, PromotionId, canonical};
use lockgate_sign::note::{NoteKeyKind, NoteSigner};
use lockgate_sign::ssh_signer::SshSigner as _;
use serde_json::{Value, json};

use crate::instance::{Instance, text};

pub mod forger;

use forger::Forger;

/// A forgery: what it is, the reason it must be refused for, and how it is made.
pub type Forgery = (&'static str, &'static str, fn(&Forger) -> Bundle);

/// Every forgery.
pub const FORGERIES: [Forgery; 34] = [
    ("a later revocation is shown", "SUSPECT_KEY", later_revocation_shown),
    ("a later revocation is left out", "GOVERNANCE_GAP", later_revocation_left_out),
    ("a later revocation is hidden behind an attestation", "BUNDLE_INCOMPLETE", later_revocation_hidden),
    ("the whole history again without the revocation", "APPROVAL_TARGET", shadow_chain),
    ("another requester under a real approval", "APPROVAL_TARGET", |forger| {
        forger.edited("promotion.requested", |entry| entry["actor"]["id"] = json!("ghost"))
    }),
    ("another reason under a real approval", "APPROVAL_TARGET", |forger| {
        forger.edited("promotion.requested", |entry| entry["event"]["body"]["reason"] = json!("something else"))
    }),
    ("a rollback under a real approval", "ROLLBACK_NEVER_RAN", |forger| {
        forger.edited("promotion.requested", |entry| entry["event"]["body"]["kind"] = json!("rollback"))
    }),
    ("an approval moved to another promotion", "APPROVAL_TARGET", renewed),
    ("a grant for ever", "GRANT_UNFOUNDED", |forger| {
        forger.edited("grant.issued", |entry| entry["event"]["body"]["not_after"] = json!(9_007_199_254_740_991_u64))
    }),
    ("a grant of another manifest", "GRANT_UNFOUNDED", |forger| {
        forger.edited("grant.issued", |entry| entry["event"]["body"]["manifest"] = json!(Digest::of(b"other")))
    }),
    ("a grant into another environment", "GRANT_UNFOUNDED", |forger| {
        forger.edited("grant.issued", |entry| entry["event"]["body"]["environment"] = json!("staging"))
    }),
    ("a grant of another release", "NOT_GRANTED", |forger| {
        forger.edited("grant.issued", |entry| entry["event"]["body"]["release"] = json!("shop/web@9.9.9"))
    }),
    ("a staging decision that was never made", "REPLAY_FACTS", empty_staging_decision),
    ("evidence is missing for staging", "REPLAY_DECISION", |forger| {
        forger.without(forger.honest.nth_last("evidence.recorded", 1))
    }),
    ("the approval is missing", "REPLAY_DECISION", |forger| forger.without(forger.honest.last("approval.recorded"))),
    ("a pending decision made an allow", "REPLAY_DECISION", pending_made_allow),
    ("other facts under their own digest", "REPLAY_FACTS", other_facts),
    ("a newcomer vouched for by nobody", "KEY_UNKNOWN", |forger| forger.newcomer(|_, _| ())),
    ("a newcomer with another's countersignature", "SIGNATURE_INVALID", |forger| {
        forger.newcomer(|theirs, own| own["sponsor"] = theirs["sponsor"].clone())
    }),
    ("a newcomer with the used one-time code", "SETUP_DONE", |forger| {
        let code = forger.history().entry(1)["event"]["body"]["sponsor"].clone();
        let mut history = forger.history();
        forger.invite(&mut history);
        history.edit(2, |entry| entry["event"]["body"]["sponsor"] = code);
        forger.approve(&mut history, "mallory");
        forger.bundle(&history)
    }),
    ("a further key that its owner did not sign", "KEY_UNKNOWN", further_key),
    ("an approval in another's name", "KEY_UNKNOWN", |forger| {
        let mut history = forger.history();
        forger.approve(&mut history, "sam");
        forger.bundle(&history)
    }),
    ("a policy set that nobody signed", "SIGNATURE_INVALID", made_up_policy),
    ("another first entry", "GENESIS_MISMATCH", |forger| {
        forger.edited("ledger.created", |entry| entry["event"]["body"]["software"] = json!("lockgate/forged"))
    }),
    ("another first owner", "ROOT_KEY_UNKNOWN", Forger::takeover),
    ("another artifact in the manifest", "APPROVAL_DIGEST", other_artifact),
    ("another scan under a real approval", "APPROVAL_DIGEST", other_scan),
    ("a past that reads the same to the rules", "ANCHOR_UNPROVEN", |forger| {
        forger.edited("evidence.recorded", |entry| entry["event"]["body"]["size_bytes"] = json!(1))
    }),
    ("two entries in the other order", "STREAM_BROKEN", |forger| {
        let mut history = forger.history();
        let at = history.last("evidence.recorded");
        history.leaves.swap(at - 1, at);
        forger.bundle(&history)
    }),
    ("another log key of the same name", "CHECKPOINT_INVALID", |forger| {
        forger.signed_by(&NoteSigner::from_seed(&forger.origin, NoteKeyKind::Ed25519, &[9; 32]).unwrap())
    }),
    ("a checkpoint of another ledger", "LOG_KEY_UNKNOWN", |forger| {
        forger.signed_by(&NoteSigner::from_seed("log1.other.example", NoteKeyKind::Ed25519, &[9; 32]).unwrap())
    }),
    ("a checkpoint of another tree", "INCLUSION_PROOF", |forger| {
        let checkpoint = forger.bundle(&forger.whole).checkpoint;
        Bundle { checkpoint, ..forger.bundle(&forger.history()) }
    }),
    ("the newest entry is missing", "BUNDLE_INCOMPLETE", |forger| {
        let mut history = forger.history();
        history.shown.pop();
        forger.bundle(&history)
    }),
    ("an anchor is not proven", "ANCHOR_UNPROVEN", |forger| {
        let mut bundle = forger.bundle(&forger.history());
        bundle.anchors.clear();
        bundle
    }),
];

#[test]
fn no_forgery_is_accepted() {
    let forger = Forger::new();
    forger.checks_itself();
    let mut wrong = Vec::new();
    for (what, code, forge) in FORGERIES {
        let bundle = forge(&forger);
        match forger.verdict(&bundle, &forger.trust) {
            Err((found, _)) if found == code => {}
            Err((found, message)) => wrong.push(format!("{what}: wanted {code}, got {found}: {message}")),
            Ok(()) => wrong.push(format!("{what}: ACCEPTED, wanted {code}")),
        }
    }
    assert!(wrong.is_empty(), "{} of {} are wrong:\n{}", wrong.len(), FORGERIES.len(), wrong.join("\n"));
}

#[test]
fn a_body_is_what_its_name_says() {
    let forger = Forger::new();
    let honest = forger.bundle(&forger.history());
    assert!(honest.bodies.len() > 8);
    for digest in honest.bodies.keys() {
        let mut bundle = honest.clone();
        bundle.bodies.insert(*digest, STANDARD.encode("other bytes"));
        assert_eq!(forger.verdict(&bundle, &forger.trust).unwrap_err().0, "DIGEST_MISMATCH", "{digest}");
    }
    let mut bundle = honest.clone();
    bundle.entries.swap(4, 5);
    assert_eq!(forger.verdict(&bundle, &forger.trust).unwrap_err().0, "BUNDLE_INVALID");
}

fn later_revocation_shown(forger: &Forger) -> Bundle {
    let mut history = forger.whole.clone();
    let revoked = history.last("key.revoked");
    history.leaves.truncate(revoked + 1);
    history.show_all();
    forger.bundle(&history)
}

fn later_revocation_left_out(forger: &Forger) -> Bundle {
    let mut history = forger.whole.clone();
    history.shown = forger.honest.shown.clone();
    history.shown.push(history.leaves.len() - 1);
    forger.bundle(&history)
}

/// The newest leaf is no entry, and so names no governance head.
fn later_revocation_hidden(forger: &Forger) -> Bundle {
    let mut history = forger.whole.clone();
    let attestation = (0..history.leaves.len()).find(|at| history.entry(*at)["kind"] == "hashedrekord").unwrap();
    history.leaves.push(history.leaves[attestation].clone());
    history.shown = forger.honest.shown.clone();
    history.shown.push(history.leaves.len() - 1);
    forger.bundle(&history)
}

/// Nothing that was ever signed for is changed: the same entries stand once more at the end, without the revocation.
fn shadow_chain(forger: &Forger) -> Bundle {
    let mut history = forger.whole.clone();
    let size = history.leaves.len();
    history.leaves.extend_from_slice(&forger.honest.leaves[1..]);
    history.shown = std::iter::once(0).chain(size..history.leaves.len()).collect();
    history.settle();
    forger.bundle(&history)
}

/// `P-4` asks for the same as `P-3`, and takes its approval, decision and grant.
fn renewed(forger: &Forger) -> Bundle {
    let mut history = forger.history();
    let time = history.entry(history.last("grant.issued"))["time"].clone();
    for kind in ["promotion.requested", "approval.recorded", "decision.recorded", "grant.issued"] {
        let mut entry = forger.honest.entry(forger.honest.last(kind));
        entry["time"] = time.clone();
        entry["event"]["body"]["promotion"] = json!("P-4");
        let end = history.leaves.len();
        history.insert(end, &entry);
    }
    history.promotion = PromotionId(4);
    history.settle();
    forger.bundle(&history)
}

fn empty_staging_decision(forger: &Forger) -> Bundle {
    let mut history = forger.history();
    // The last two decisions are about production: pending, then allow.
    let staging = history.nth_last("decision.recorded", 2);
    history.edit(staging, |entry| {
        let body = &mut entry["event"]["body"];
        assert_eq!((&body["environment"], &body["outcome"]), (&json!("staging"), &json!("allow")));
        body["facts"] = json!(Digest::of(b"facts"));
        body["decision"] = json!(Digest::of(b"decision"));
        body["gates"] = json!([]);
        body["relied_on"] = json!([]);
    });
    forger.bundle(&history)
}

/// The approval never came; the grant follows on the decision that waited for it.
fn pending_made_allow(forger: &Forger) -> Bundle {
    let mut history = forger.history();
    let mut grant = history.entry(history.last("grant.issued"));
    let pending = history.nth_last("decision.recorded", 1);
    history.leaves.truncate(pending + 1);
    history.edit(pending, |entry| entry["event"]["body"]["outcome"] = json!("allow"));
    grant["time"] = history.entry(pending)["time"].clone();
    history.insert(pending + 1, &grant);
    history.settle();
    forger.bundle(&history)
}

fn other_facts(forger: &Forger) -> Bundle {
    let mut history = forger.history();
    let at = history.last("decision.recorded");
    let mut facts: Value = serde_json::from_slice(&history.body(&history.entry(at)["event"]["body"]["facts"])).unwrap();
    facts["promotion"]["requester"] = json!("ghost");
    let digest = history.bodies.insert(canonical::to_vec(&facts).unwrap());
    history.edit(at, |entry| entry["event"]["body"]["facts"] = json!(digest));
    // What stands after the decision names its place, not its bytes: nothing else has to change.
    forger.bundle(&history)
}

/// A second key for sam, proven by itself alone, and an approval with it.
fn further_key(forger: &Forger) -> Bundle {
    let mut history = forger.history();
    let mut entry = history.entry(2);
    let sam: PersonEnrolled = serde_json::from_value(history.entry(1)["event"]["body"].clone()).unwrap();
    let key = forger.own.public_key();
    let document = EnrolmentDocument::new(&forger.origin, &sam.person, sam.subject, &sam.groups, key);
    let signature = forger.sign(ENROLMENT_NAMESPACE, &document_bytes(&document).unwrap());
    entry["event"] = json!({
        "type": "key.added",
        "body": { "person": "sam", "key": key, "proof": signature, "by": "sam", "signature": signature },
    });
    history.insert(2, &entry);
    forger.approve(&mut history, "sam");
    forger.bundle(&history)
}

/// An activation with a real signature by the owner, made for something else.
fn made_up_policy(forger: &Forger) -> Bundle {
    let mut history = forger.history();
    let mut entry = history.entry(3);
    let signature = history.entry(history.last("approval.recorded"))["event"]["body"]["signature"].clone();
    entry["event"] = json!({
        "type": "policy.activated",
        "body": {
            "policy": Digest::of(b"no gates"),
            "previous": history.entry(0)["event"]["body"]["policy"],
            "previous_at": 0,
            "reason": "lighter gates",
            "by": "sam",
            "signature": signature,
        },
    });
    history.insert(4, &entry);
    history.settle();
    forger.bundle(&history)
}

/// The manifest, and everything that names the artifact, names another one.
fn other_artifact(forger: &Forger) -> Bundle {
    let mut history = forger.history();
    let manifest = history.entry(history.last("release.published"))["event"]["body"]["manifest"].clone();
    let (from, to) = (forger.artifact, Digest::of(b"a back door"));
    let body = String::from_utf8(history.body(&manifest)).unwrap().replace(&from.hex(), &to.hex());
    let digest = history.bodies.insert(body.into_bytes());
    history.replace(&from.hex(), &to.hex());
    history.replace(&text(&manifest), &digest.to_string());
    history.settle();
    forger.bundle(&history)
}

/// The report is another one that says the same to the gates.
fn other_scan(forger: &Forger) -> Bundle {
    let mut history = forger.history();
    let at = history.last("evidence.recorded");
    let scan = history.body(&history.entry(at)["event"]["body"]["evidence"]);
    let digest = history.bodies.insert([scan.as_slice(), b"\n"].concat());
    history.edit(at, |entry| entry["event"]["body"]["evidence"] = json!(digest));
    history.settle();
    forger.bundle(&history)
}

/// A gate that looks at the clocks of a time zone, and never closes.
const ZONED: &str = "[[gate]]
name = \"hours\"
kind = \"windows\"
environments = [\"production\"]
time_zone = \"Europe/Berlin\"

[[gate.allow]]
start = \"2026-01-01T00:00\"
end = \"2026-01-02T00:00\"
repeat = \"FREQ=DAILY\"
reason = \"always\"
";

/// A decision that was made with another version of the time zone database comes out the same, where its rules did; one
/// by other rules of the program does not.
#[test]
fn another_time_zone_database_is_no_other_decision() {
    let lockgate = Instance::new();
    lockgate.policy("zoned", &[]);
    lockgate.write("zoned/gates/hours.toml", ZONED);
    lockgate.start(&["--demo", "--policy", "zoned"]).exits(0);
    lockgate.push("1.4.2", "trivy.json").exits(0);
    lockgate.promote("1.4.2").exits(5);
    lockgate.run(&["approve", "P-3", "--as", "sam", "--yes"]).exits(0);
    let forger = Forger::break_in(&lockgate);
    forger.checks_itself();
    let under = |engine: fn(&str) -> String| {
        let mut history = forger.history();
        let at = history.last("decision.recorded");
        let body = &history.entry(at)["event"]["body"];
        let mut decision: Value = serde_json::from_slice(&history.body(&body["decision"])).unwrap();
        let engine = engine(&text(&body["engine"]));
        decision["engine"] = json!(engine);
        let digest = history.bodies.insert(canonical::to_vec(&decision).unwrap());
        history.edit(at, |entry| {
            entry["event"]["body"]["engine"] = json!(engine);
            entry["event"]["body"]["decision"] = json!(digest);
        });
        forger.verdict(&forger.bundle(&history), &forger.trust).map_err(|(code, _)| code)
    };
    assert_eq!(under(str::to_owned), Ok(()));
    assert_eq!(under(|engine| format!("{}+tzdb-1999z", engine.split_once("+tzdb-").unwrap().0)), Ok(()));
    assert_eq!(under(|engine| engine.replace("decide/1", "decide/2")), Err("REPLAY_DECISION"));
}
