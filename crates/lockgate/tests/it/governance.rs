//! Governance that governs itself: changes that take two owners, and the life of keys, on the command line.

use lockgate_sign::ssh_signer::{FileSigner, SshSigner as _};

use crate::instance::{Instance, text};

/// A request to be enrolled, with a key of one's own.
fn request(lockgate: &Instance, name: &str, group: &str) -> String {
    let (key, file) = (format!("{name}.key"), format!("{name}.json"));
    lockgate.run(&["key", "generate", &key]).exits(0);
    lockgate.run(&["key", "enrol", name, "--group", group, "--key", &key, "--file", &file]).exits(0);
    file
}

/// A demo with a second owner, whom sam could still let in alone.
fn two_owners() -> Instance {
    let lockgate = Instance::demo();
    let kim = request(&lockgate, "kim", "owners");
    lockgate.run(&["invite", &kim, "--as", "sam", "--yes"]).exits(0).says("kim is enrolled");
    lockgate
}

#[test]
fn with_two_owners_an_enrolment_takes_both() {
    let lockgate = two_owners();
    let eve = request(&lockgate, "eve", "approvers");
    let proposed = lockgate.run(&["invite", &eve, "--as", "sam", "--yes"]).exits(5);
    proposed.says("needs 1 more signature: `lockgate change sign C-1`");
    lockgate.run(&["whoami", "--as", "eve"]).refused(4, "SIGN_IN_FAILED");
    lockgate.run(&["change", "list", "--as", "kim"]).exits(0).says("lockgate change sign C-1");
    let shown = lockgate.run(&["change", "show", "C-1", "--as", "kim"]).exits(0).says("ENROL eve").says("needs 1 more");
    let json = lockgate.json(&["change", "show", "C-1", "--as", "kim"], 0);
    assert!(shown.stdout.contains(&text(&json["code"])), "{shown}");
    lockgate.run(&["change", "sign", "C-1", "--as", "sam", "--yes"]).refused(7, "CHANGE_SIGNED");
    lockgate.run(&["change", "sign", "C-1", "--as", "dana", "--yes"]).refused(4, "NOT_PERMITTED");
    lockgate.run(&["change", "sign", "C-1", "--as", "kim"]).refused(2, "CONFIRMATION_NEEDED");
    lockgate.run(&["change", "sign", "C-1", "--as", "kim", "--yes"]).exits(0).says("C-1 is done: person.enrolled");
    lockgate.run(&["whoami", "--as", "eve"]).exits(0).says("approve");
    lockgate.run(&["change", "sign", "C-1", "--as", "kim", "--yes"]).refused(7, "CHANGE_CLOSED");
    lockgate.run(&["change", "show", "C-9", "--as", "kim"]).refused(6, "CHANGE_UNKNOWN");
}

#[test]
fn with_two_owners_a_policy_set_takes_both_and_one_can_say_no() {
    let lockgate = two_owners();
    let before = text(&lockgate.get("/v1/server", None).json()["policy"]);
    lockgate.policy("second", &[("policy.toml", "approval_ttl = \"72h\"", "approval_ttl = \"24h\"")]);
    let activate = ["policy", "activate", "second", "--reason", "shorter waits", "--yes", "--as"];
    lockgate.run(&[&activate[..], &["sam"]].concat()).exits(5).says("lockgate change sign C-1");
    assert_eq!(text(&lockgate.get("/v1/server", None).json()["policy"]), before);
    lockgate.run(&["change", "show", "C-1", "--as", "kim"]).exits(0).says("+   11  approval_ttl = \"24h\"");
    lockgate.run(&["status", "--as", "kim"]).exits(0).says("C-1 needs you");
    lockgate.run(&["status", "--as", "sam"]).exits(0).says("C-1 waits for others to sign");
    lockgate.run(&["change", "list", "--as", "sam"]).exits(0).says("needs 1 more");
    lockgate.run(&["change", "list", "--as", "kim"]).exits(0).says("needs you: lockgate change sign C-1");
    lockgate.run(&["change", "reject", "C-1", "--reason", "too short", "--as", "kim"]).exits(0).says("C-1 is rejected");
    lockgate.run(&["change", "sign", "C-1", "--as", "kim", "--yes"]).refused(7, "CHANGE_CLOSED");
    lockgate.run(&[&activate[..], &["sam"]].concat()).refused(7, "CHANGE_CLOSED");
    let again = ["policy", "activate", "second", "--reason", "shorter waits, as agreed", "--yes", "--as"];
    lockgate.run(&[&again[..], &["sam"]].concat()).exits(5).says("lockgate change sign C-2");
    // Asking for the same is signing it.
    lockgate.run(&[&again[..], &["kim"]].concat()).exits(0).says("is active");
    assert_ne!(text(&lockgate.get("/v1/server", None).json()["policy"]), before);
}

#[test]
fn a_suspended_person_is_out_at_once_and_comes_back() {
    let lockgate = two_owners();
    let session = lockgate.token("dana");
    let suspend = ["key", "suspend", "dana", "--reason", "left", "--as", "sam"];
    lockgate.run(&suspend).refused(2, "CONFIRMATION_NEEDED").says("SUSPEND dana");
    lockgate.run(&[&suspend[..], &["--yes"]].concat()).exits(5);
    assert_eq!(lockgate.get("/v1/whoami", Some(&session)).status, 200);
    lockgate.run(&["change", "sign", "C-1", "--as", "kim", "--yes"]).exits(0);
    assert_eq!(lockgate.get("/v1/whoami", Some(&session)).status, 401);
    lockgate.run(&["whoami", "--as", "dana"]).refused(4, "SIGN_IN_FAILED");
    lockgate.run(&["key", "list", "--as", "sam"]).exits(0).says("suspended");
    lockgate.run(&["key", "suspend", "dana", "--reason", "again", "--yes", "--as", "sam"]).refused(7, "STANDING_SAME");
    lockgate.run(&["key", "reinstate", "dana", "--reason", "back", "--yes", "--as", "kim"]).exits(5);
    lockgate.run(&["change", "sign", "C-2", "--as", "sam", "--yes"]).exits(0);
    lockgate.run(&["whoami", "--as", "dana"]).exits(0);
}

#[test]
fn keys_are_rotated_recovered_and_end_by_themselves() {
    let lockgate = two_owners();
    let fingerprint = |file: &str| FileSigner::load(&lockgate.file(file)).unwrap().public_key().fingerprint();
    lockgate.run(&["key", "generate", "kim2.key"]).exits(0);
    lockgate.run(&["key", "rotate", "--key", "kim2.key", "--expires", "20d", "--as", "kim"]).exits(0).says("has ended");
    lockgate.run(&["whoami", "--as", "kim"]).exits(0);
    let list = lockgate.run(&["key", "list", "--as", "kim"]).exits(0).says("ends within 30 days");
    let line = |fingerprint: String, words: &str| {
        let found = list.stdout.lines().any(|line| line.contains(&fingerprint) && line.contains(words));
        assert!(found, "{words}: {list}");
    };
    line(fingerprint("kim.key"), "ended at entry");
    line(fingerprint("kim2.key"), "valid until");
    lockgate.run(&["status", "--as", "kim"]).exits(0).says("ends within 30 days");

    // Whoever has lost all keys asks with a new one; the others vouch.
    lockgate.run(&["key", "generate", "kim3.key"]).exits(0);
    let recover = ["key", "recover", "kim", "--key", "kim3.key", "--reason", "lost", "--file", "recovery.json"];
    lockgate.run(&recover).exits(0).says("lockgate invite recovery.json");
    lockgate.run(&["invite", "recovery.json", "--as", "dana", "--yes"]).refused(4, "NOT_PERMITTED");
    lockgate.run(&["invite", "recovery.json", "--as", "sam", "--yes"]).exits(0).says("and no other");
    lockgate.run(&["whoami", "--as", "kim"]).exits(0);
    let signers = lockgate.run(&["key", "export-allowed-signers", "--as", "kim"]).exits(0);
    assert_eq!(signers.stdout.lines().filter(|line| line.starts_with("kim ")).count(), 1, "{signers}");
    assert!(!signers.stdout.lines().any(|line| line.starts_with("ci ")), "{signers}");
    let key = fingerprint("kim3.key");
    let end = ["key", "retire", "kim", "--fingerprint", &key, "--reason", "done", "--yes", "--as", "kim"];
    lockgate.run(&end).exits(0).says("has ended");
}

#[test]
fn a_key_signs_only_where_it_may() {
    let lockgate = Instance::demo();
    lockgate.policy("one", &[("gates/approvals.toml", "count = 2\nat_least = 1\n", "count = 1\n")]);
    lockgate.run(&["policy", "activate", "one", "--reason", "one is enough", "--yes", "--as", "sam"]).exits(0);
    lockgate.run(&["key", "generate", "staging.key"]).exits(0);
    lockgate.run(&["key", "add", "sam", "--key", "staging.key", "--only-for", "staging", "--as", "sam"]).exits(0);
    lockgate.push("1.4.2", "trivy.json").exits(0);
    lockgate.promote("1.4.2").exits(5);
    lockgate.run(&["approve", "P-3", "--as", "sam", "--key", "staging.key", "--yes"]).refused(3, "KEY_SCOPE");
    lockgate.run(&["approve", "P-3", "--as", "sam", "--yes"]).exits(0);
}

#[test]
fn a_compromised_key_is_told_wherever_one_looks() {
    let lockgate = Instance::demo();
    lockgate.policy("one", &[("gates/approvals.toml", "count = 2\nat_least = 1\n", "count = 1\n")]);
    lockgate.run(&["policy", "activate", "one", "--reason", "one is enough", "--yes", "--as", "sam"]).exits(0);
    let key = lockgate.enrol_approver("eve");
    lockgate.push("1.4.2", "trivy.json").exits(0);
    lockgate.promote("1.4.2").exits(5);
    lockgate.run(&["approve", "P-3", "--as", "eve", "--yes"]).exits(0);
    lockgate.run(&["bundle", "get", "P-3", "--file", "before.lockgate"]).exits(0);
    let fingerprint = FileSigner::load(&key).unwrap().public_key().fingerprint();
    let end = [
        "key",
        "compromised",
        "eve",
        "--fingerprint",
        &fingerprint,
        "--since",
        "6",
        "--reason",
        "stolen",
        "--yes",
        "--as",
        "sam",
    ];
    lockgate.run(&end).exits(0).says("approval.recorded").says("decision.recorded").says("grant.issued");
    // The bundle from before is what it was; whoever asks now is told.
    lockgate.verify("1.4.2", &["--bundle", "before.lockgate"]).exits(0);
    lockgate.verify("1.4.2", &[]).refused(3, "SUSPECT_KEY");
    lockgate.run(&["bundle", "get", "P-3", "--file", "after.lockgate"]).exits(0);
    lockgate.verify("1.4.2", &["--bundle", "after.lockgate"]).refused(3, "SUSPECT_KEY");
    // And does not take the bundle from before again.
    lockgate.verify("1.4.2", &["--bundle", "before.lockgate"]).refused(9, "ROLLBACK_DETECTED").says("found a key");
    lockgate.run(&["bundle", "show", "after.lockgate"]).exits(0).says("suspect");
    lockgate.run(&["why", "P-3"]).exits(0).says("suspect");
    lockgate.run(&["history", "--promotion", "P-3"]).exits(0).says("SUSPECT");
    lockgate.run(&["explain", "SUSPECT_KEY"]).exits(0);
    lockgate.stop();
    lockgate.run(&["audit"]).exits(0).says("is sound").says("SUSPECT_KEY");
}
