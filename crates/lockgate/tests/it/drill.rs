//! Drills: attacks on copies beside a running server, what they report, and what becomes of the original.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use lockgate_ledger::drill::{DrillOutcome, DrillReport};
use lockgate_model::Digest;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::instance::{Instance, copy_dir, text};

/// What has to be among the reason codes of each attack.
const CODES: [(&str, &str); 26] = [
    ("approval-edited", "HISTORY_CHANGED"),
    ("approval-forged", "KEY_UNKNOWN"),
    ("approval-replayed", "APPROVAL_TARGET"),
    ("decision-edited", "REPLAY_DECISION"),
    ("deny-dropped", "STREAM_BROKEN"),
    ("grant-stretched", "GRANT_UNFOUNDED"),
    ("key-swapped", "SIGNATURE_INVALID"),
    ("policy-swapped", "GENESIS_MISMATCH"),
    ("policy-activated", "KEY_UNKNOWN"),
    ("time-turned-back", "TIME_BACKWARDS"),
    ("log-key-swapped", "GENESIS_MISMATCH"),
    ("document-edited", "DIGEST_MISMATCH"),
    ("index-edited", "STREAM_INDEX_MISMATCH"),
    ("artifact-edited", "DIGEST_MISMATCH"),
    ("artifact-removed", "BLOB_MISSING"),
    ("log-truncated", "ROLLBACK_DETECTED"),
    ("old-copy", "ROLLBACK_DETECTED"),
    ("old-copy-started", "LEDGER_ROLLED_BACK"),
    ("checkpoint-forged", "HISTORY_CHANGED"),
    ("checkpoint-foreign", "CHECKPOINT_INVALID"),
    ("bundle-elsewhere", "ENVIRONMENT_MISMATCH"),
    ("bundle-other-file", "DIGEST_NOT_GRANTED"),
    ("bundle-shortened", ""),
    ("bundle-policy-swapped", "DIGEST_MISMATCH"),
    ("bundle-forged", "INCLUSION_PROOF"),
    ("bundle-foreign", "CHECKPOINT_INVALID"),
];

/// A running server that has granted one release and denied another.
fn busy() -> Instance {
    let lockgate = Instance::granted();
    lockgate.push("1.5.0", "trivy-critical.json").exits(0);
    lockgate.promote("1.5.0").exits(3);
    lockgate
}

/// Whether a drill has left nothing in the directory for what may be lost.
fn is_tidy(lockgate: &Instance) -> bool {
    let names = fs::read_dir(lockgate.file(".")).unwrap().map(|entry| entry.unwrap().file_name());
    !names.into_iter().any(|name| name.to_string_lossy().starts_with("lockgate-drill"))
}

fn check_caught(attack: &Value) {
    let name = text(&attack["name"]);
    let (_, wanted) = CODES.into_iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("{attack}"));
    assert_eq!(attack["outcome"], "caught", "{attack}");
    let also = attack["also"].as_array().into_iter().flatten();
    let codes: BTreeSet<String> = std::iter::once(&attack["code"]).chain(also).map(text).collect();
    assert!(wanted.is_empty() || codes.contains(wanted), "wanted {wanted}: {attack}");
    assert!(attack["wanted"].as_array().unwrap().contains(&attack["code"]), "{attack}");
    assert!(attack["took_ms"].is_u64() && !text(&attack["did"]).is_empty(), "{attack}");
    assert!(["audit", "start", "verify"].contains(&text(&attack["check"]).as_str()), "{attack}");
}

#[test]
fn each_attack_is_caught_beside_a_running_server_and_the_result_is_recorded() {
    let lockgate = busy();
    let before = lockgate.entries();
    let drill = lockgate.json(&["drill", "--as", "sam", "--report", "report.json"], 0);
    let attacks = drill["attacks"].as_array().unwrap();
    attacks.iter().for_each(check_caught);
    let names: Vec<String> = attacks.iter().map(|attack| text(&attack["name"])).collect();
    assert_eq!(names, CODES.map(|(name, _)| name), "in the order of the list");
    let counts = ["tried", "caught", "missed", "failed", "skipped", "lacking"].map(|name| drill[name].as_u64());
    assert_eq!(counts, [26_u64, 26, 0, 0, 0, 0].map(Some));
    assert_eq!((&drill["entries"], &drill["recorded"]), (&json!(before), &json!(before)));
    let fields: BTreeSet<&str> = drill.as_object().unwrap().keys().map(String::as_str).collect();
    let known = "attacks caught digest entries failed lacking ledger missed ran_at recorded root schema skipped took_ms \
                 tool tried";
    assert_eq!(fields, known.split(' ').collect());

    // The report is what the ledger names.
    let bytes = fs::read(lockgate.file("report.json")).unwrap();
    let report = DrillReport::from_bytes(&bytes).unwrap();
    assert_eq!(text(&drill["digest"]), Digest::of(&bytes).to_string());
    assert_eq!((report.tried(), report.count(DrillOutcome::Missed)), (26, 0));

    // The original is what it was, with one entry more.
    assert_eq!(lockgate.entries(), before + 1);
    lockgate.run(&["history", "--person", "sam"]).exits(0).says("drill.recorded").says("26 of 26 attacks were caught");
    lockgate.verify("1.4.2", &[]).exits(0).says("VERIFIED");
    lockgate.run(&["audit"]).exits(0).says("is sound");
    lockgate.push("1.6.0", "trivy.json").exits(0);
    assert!(is_tidy(&lockgate));

    // In words, and without the server: what should be recorded and is not is no success.
    lockgate.stop();
    let ran = lockgate.run(&["drill", "--as", "sam"]).exits(8).says("26 of 26 attacks were caught");
    ran.says("NOT RECORDED in the ledger").says("ROLLBACK_DETECTED");
    lockgate.run(&["drill", "--as", "sam", "--record", "--only", "old-copy"]).exits(8);
    lockgate.run(&["drill", "--no-record", "--only", "old-copy"]).exits(0).says("NOT RECORDED in the ledger");
}

#[test]
fn a_ledger_without_anything_to_attack_is_no_success() {
    let lockgate = Instance::demo();
    let ran = lockgate.run(&["drill", "--only", "deny-dropped", "--only", "bundle-forged"]);
    ran.refused(1, "DRILL_NOTHING").says("skipped").says("nothing was denied in this ledger yet");
    let some = lockgate.json(&["drill", "--no-record"], 0);
    let skipped = some["attacks"].as_array().unwrap().iter().filter(|attack| attack["outcome"] == "skipped").count();
    assert!(skipped > 8 && some["skipped"] == json!(skipped), "{some}");
    assert_eq!((some["tried"].as_u64().unwrap() + skipped as u64, &some["recorded"]), (26, &Value::Null));
    let listed = lockgate.run(&["drill", "--list"]).exits(0).says("approval-replayed").says("bundle-elsewhere");
    listed.says("REPLAY_HEADS or BUNDLE_INCOMPLETE or NOT_GRANTED");
    lockgate.run(&["drill", "--only", "nothing"]).refused(2, "DRILL_UNKNOWN");
    Instance::new().run(&["drill"]).refused(6, "STORE_MISSING");
    assert!(is_tidy(&lockgate));
}

#[test]
fn only_who_may_audit_records_a_drill_and_only_of_this_ledger() {
    let lockgate = Instance::granted();
    let one = ["drill", "--only", "checkpoint-foreign", "--report", "report.json", "--as", "dana"];
    let refused = lockgate.run(&one).refused(4, "NOT_PERMITTED").says("1 of 1 attack was caught").says("NOT RECORDED");
    refused.says("sam may: `lockgate drill --as sam`");
    lockgate.run(&[one.as_slice(), ["--record"].as_slice()].concat()).refused(4, "NOT_PERMITTED");
    lockgate.run(&[one.as_slice(), ["--no-record"].as_slice()].concat()).exits(0);
    let entries = lockgate.entries();
    let good = DrillReport::from_bytes(&fs::read(lockgate.file("report.json")).unwrap()).unwrap();
    let sam = lockgate.token("sam");
    let hand_in = |report: &DrillReport| {
        let report = String::from_utf8(report.to_bytes().unwrap()).unwrap();
        lockgate.post("/v1/drills", Some(&sam), &json!({ "report": report }))
    };
    for bad in [
        DrillReport { ledger: "log1.other.example".to_owned(), ..good.clone() },
        DrillReport { entries: lockgate_model::TreeSize(entries + 1), ..good.clone() },
        DrillReport { attacks: Vec::new(), ..good.clone() },
        DrillReport { tool: String::new(), ..good.clone() },
    ] {
        assert_eq!(hand_in(&bad).code(), "DRILL_INVALID", "{bad:?}");
    }
    assert_eq!(lockgate.entries(), entries);
    assert_eq!(hand_in(&good).status, 200);
    assert_eq!(lockgate.entries(), entries + 1);
}

#[test]
fn data_that_is_not_sound_is_an_alarm_and_no_drill() {
    let lockgate = Instance::granted();
    lockgate.stop();
    let data = lockgate.file("damaged");
    copy_dir(&lockgate.home().join("data"), &data);
    let connection = Connection::open(data.join("ledger.db")).unwrap();
    connection.execute_batch("DROP TRIGGER tile_extends; UPDATE tile SET hashes = zeroblob(length(hashes));").unwrap();
    drop(connection);
    let data = data.display().to_string();
    lockgate
        .run(&["drill", "--data", &data])
        .refused(9, "DRILL_UNSOUND")
        .says("TILE_MISMATCH")
        .says("NOT RECORDED")
        .says("no attack was made");

    // That is a result like any other.
    lockgate.start(&[]).exits(0);
    let drill = ["drill", "--data", &data, "--as", "sam", "--record", "--report", "report.json"];
    lockgate.run(&drill).refused(9, "DRILL_UNSOUND").says("recorded in entry");
    lockgate.run(&["history", "--person", "sam"]).exits(0).says("0 of 1 attack was caught, 26 were skipped");
    let report = DrillReport::from_bytes(&fs::read(lockgate.file("report.json")).unwrap()).unwrap();
    let control = report.attacks.first().unwrap();
    assert_eq!((control.name.as_str(), control.outcome), ("control", DrillOutcome::Failed));
    assert_eq!((control.code.as_deref(), report.lacking()), (Some("TILE_MISMATCH"), 26));
}

/// What notices an older state is what this home remembers, and nothing that a drill makes up.
#[test]
fn an_older_state_is_caught_by_what_the_home_remembers() {
    let lockgate = Instance::granted();
    lockgate.stop();
    let drill = ["drill", "--no-record", "--only", "log-truncated", "--only", "old-copy", "--only", "old-copy-started"];
    let check = |exit: i32, expected: [&str; 3]| {
        let drill = lockgate.json(&drill, exit);
        let outcomes = drill["attacks"].as_array().unwrap().iter().map(|attack| text(&attack["outcome"]));
        assert_eq!(outcomes.collect::<Vec<_>>(), expected, "{drill}");
    };
    check(0, ["caught", "caught", "caught"]);
    // A server starts on what an administrator brings back, and nobody but the command line has seen more.
    fs::remove_file(lockgate.home().join("high-water")).unwrap();
    assert!(lockgate.home().join("checkpoints").is_dir());
    check(9, ["caught", "caught", "missed"]);
    // The log's own checkpoint is in the copy, and still notices that its end was cut off.
    fs::remove_dir_all(lockgate.home().join("checkpoints")).unwrap();
    check(9, ["caught", "missed", "missed"]);
    let ran = lockgate.run(&drill).refused(9, "DRILL_MISSED").says("NOT CAUGHT: old-copy, old-copy-started");
    ran.says("this home has no `high-water`: start its server");
    lockgate.start(&[]).exits(0);
    check(0, ["caught", "caught", "caught"]);
}

#[test]
fn what_a_home_should_have_and_has_not_is_no_success() {
    let lockgate = busy();
    lockgate.stop();
    let (key, away) = (lockgate.home().join("keys/log.key"), lockgate.file("log.key"));
    fs::rename(&key, &away).unwrap();
    let count = |drill: &Value| ["caught", "skipped", "lacking"].map(|name| drill[name].as_u64().unwrap());
    let drill = lockgate.json(&["drill", "--no-record"], 1);
    assert_eq!(count(&drill), [9, 17, 17], "{drill}");
    let attacks = drill["attacks"].as_array().unwrap();
    let lacking = attacks.iter().filter(|attack| attack["lacks"] == "the server's own keys").count();
    assert_eq!(lacking, 17);
    let ran = lockgate.run(&["drill", "--no-record"]).refused(1, "DRILL_SKIPPED").says("--allow-skips 17");
    ran.says("17 were SKIPPED FOR LACK of the server's own keys").says("restore `keys` of this home");
    lockgate.run(&["drill", "--no-record", "--allow-skips", "16"]).refused(1, "DRILL_SKIPPED");
    lockgate.run(&["drill", "--no-record", "--allow-skips", "17"]).exits(0).says("9 of 9 attacks were caught");
    lockgate.run(&["drill", "--no-record", "--only", "index-edited"]).exits(0);
    lockgate.run(&["drill", "--no-record", "--only", "approval-forged"]).refused(1, "DRILL_SKIPPED");
    fs::rename(&away, &key).unwrap();

    // Elsewhere nothing is remembered either.
    let elsewhere = Instance::new();
    let data = lockgate.home().join("data").display().to_string();
    let trust = lockgate.home().join("trust.json").display().to_string();
    let drill = elsewhere.json(&["drill", "--data", &data, "--trust", &trust], 1);
    assert_eq!(count(&drill), [8, 18, 18], "{drill}");
    let named = attack_named(&drill, "old-copy-started");
    assert_eq!((text(&named["outcome"]), text(&named["lacks"])), ("skipped".to_owned(), "high-water".to_owned()));
}

fn attack_named<'a>(drill: &'a Value, name: &str) -> &'a Value {
    drill["attacks"].as_array().unwrap().iter().find(|attack| attack["name"] == name).unwrap()
}

/// The database opens no file whose whole name has more than 504 bytes, so that in a directory with a long name there is
/// room for the copies of attacks with short names alone.
#[test]
fn an_attack_that_cannot_be_made_takes_no_other_with_it() {
    let lockgate = Instance::granted();
    let mut keep = fs::canonicalize(lockgate.file(".")).unwrap().join("k".repeat(200)).join("k".repeat(200));
    keep.push("k".repeat(481 - keep.as_os_str().len()));
    let keep = keep.display().to_string();
    let drill = ["drill", "--as", "sam", "--keep", &keep, "--report", "report.json"];
    let only = ["--only", "approval-edited", "--only", "old-copy"];
    let drill = lockgate.json(&[drill.as_slice(), only.as_slice()].concat(), 1);
    let failed = attack_named(&drill, "approval-edited");
    assert_eq!((&failed["outcome"], &failed["code"]), (&json!("failed"), &json!("STORE_FAILED")), "{drill}");
    assert!(text(&failed["did"]).contains(&keep), "{drill}");
    check_caught(attack_named(&drill, "old-copy"));
    assert_eq!((&drill["tried"], &drill["caught"], &drill["failed"]), (&json!(2), &json!(1), &json!(1)));
    assert!(drill["recorded"].is_u64(), "{drill}");
    let report = DrillReport::from_bytes(&fs::read(lockgate.file("report.json")).unwrap()).unwrap();
    assert_eq!((report.tried(), report.count(DrillOutcome::Failed)), (2, 1));
    lockgate.run(&["history", "--person", "sam"]).exits(0).says("1 of 2 attacks were caught");
}

/// What the log's real key signed about a history that never was is not among what is kept.
#[test]
fn kept_copies_are_damaged_and_hold_no_forged_checkpoint() {
    let lockgate = Instance::granted();
    let only = ["--only", "log-truncated", "--only", "artifact-edited", "--only", "checkpoint-forged"];
    let keep = ["drill", "--no-record", "--keep", "kept"];
    lockgate.run(&[keep.as_slice(), only.as_slice()].concat()).exits(0).says("3 of 3 attacks were caught");
    let audit = |name: &str| {
        let data = lockgate.file("kept").join(name).display().to_string();
        let trust = lockgate.home().join("trust.json").display().to_string();
        Instance::new().run(&["audit", "--data", &data, "--trust", &trust])
    };
    audit("log-truncated").refused(9, "AUDIT_FAILED").says("ROLLBACK_DETECTED");
    audit("artifact-edited").refused(9, "AUDIT_FAILED").says("DIGEST_MISMATCH");
    audit("sound").exits(0);
    audit("checkpoint-forged").exits(0);
    // Its blobs are the original's: nobody starts a server on it, also not by mistake.
    let other = Instance::new();
    fs::create_dir_all(other.home()).unwrap();
    fs::rename(lockgate.file("kept").join("sound"), other.home().join("data")).unwrap();
    other.run(&["serve", "--listen", "127.0.0.1:0"]).refused(7, "STORE_PRACTICE").says("a drill made");
    lockgate.run(&keep).refused(7, "FILE_EXISTS");
    assert!(Path::new(&lockgate.file("kept")).exists());
    lockgate.run(&["audit"]).exits(0);
}
