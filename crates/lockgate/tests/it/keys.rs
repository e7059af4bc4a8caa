//! Keys of people: further keys, aliases, revocation, and what a revocation does to what was signed before it.

use std::fs;

use lockgate_sign::ssh_signer::{FileSigner, SshSigner as _};

use crate::consent::approval;
use crate::instance::Instance;

fn fingerprint(lockgate: &Instance, key: &str) -> String {
    FileSigner::load(&lockgate.file(key)).unwrap().public_key().fingerprint()
}

fn revoke<'a>(person: &'a str, fingerprint: &'a str, by: &'a str) -> [&'a str; 10] {
    ["key", "revoke", person, "--fingerprint", fingerprint, "--reason", "lost", "--yes", "--as", by]
}

#[test]
fn a_new_key_takes_the_place_of_no_file() {
    let lockgate = Instance::new();
    let generate = |file: &str| lockgate.run(&["key", "generate", file]);
    generate("dana.pub").refused(2, "NAME_INVALID").says("private half");
    generate("dana").exits(0).says("dana.pub");
    let public = fs::read(lockgate.file("dana.pub")).unwrap();
    generate("dana.ci").exits(0).says("dana.ci.pub");
    assert_eq!(fs::read(lockgate.file("dana.pub")).unwrap(), public);
    generate("sam.key").exits(0).says("sam.pub");
    generate("dana").refused(7, "FILE_EXISTS");
    fs::remove_file(lockgate.file("dana")).unwrap();
    generate("dana").refused(7, "FILE_EXISTS").says("dana.pub");
    assert!(!lockgate.file("dana").exists());
}

#[test]
fn a_second_key_is_not_a_second_person() {
    let lockgate = Instance::pending();
    lockgate.run(&["key", "generate", "second"]).exits(0);
    // Nobody can give another person a key: it would be theirs to sign with.
    lockgate.run(&["key", "add", "dana", "--key", "second", "--as", "sam"]).refused(4, "NOT_PERMITTED");
    lockgate.run(&["key", "add", "dana", "--key", "second", "--as", "dana"]).exits(0).says("dana has a further key");
    lockgate.run(&["approve", "P-3", "--as", "dana", "--key", "second", "--yes"]).refused(3, "SOD_SELF");
    // Nor can the same key come back under another name.
    let enrol = ["key", "enrol", "eve", "--group", "approvers", "--key", "second", "--file", "eve.json"];
    lockgate.run(&enrol).exits(0);
    lockgate.run(&["invite", "eve.json", "--as", "sam", "--yes"]).refused(7, "KEY_ALREADY_BOUND");
    lockgate.run(&["invite", "eve.json", "--as", "dana", "--yes"]).refused(4, "NOT_PERMITTED");
    assert_eq!(lockgate.status_of("P-3"), "pending");
    lockgate.run(&["approve", "P-3", "--as", "sam", "--yes"]).exits(0);
}

#[test]
fn one_person_with_two_keys_is_one_approval() {
    let lockgate = Instance::new();
    lockgate.policy("two", &[("gates/approvals.toml", "at_least = 1", "at_least = 2")]);
    lockgate.start(&["--demo", "--policy", "two"]).exits(0);
    lockgate.push("1.4.2", "trivy.json").exits(0);
    lockgate.promote("1.4.2").exits(5);
    lockgate.run(&["key", "generate", "second"]).exits(0);
    lockgate.run(&["key", "add", "sam", "--key", "second", "--as", "sam"]).exits(0);
    for key in ["home/people/sam", "second", "second"] {
        lockgate.run(&["approve", "P-3", "--as", "sam", "--key", key, "--yes"]).exits(5).says("it is pending");
    }
    lockgate.enrol_approver("eve");
    lockgate.run(&["approve", "P-3", "--as", "eve", "--yes"]).exits(0).says("it is granted");
    lockgate.verify("1.4.2", &[]).exits(0);
}

#[test]
fn a_revoked_key_approves_nothing() {
    let lockgate = Instance::pending();
    let first = lockgate.enrol_approver("eve");
    lockgate.run(&["key", "generate", "second"]).exits(0);
    lockgate.run(&["key", "add", "eve", "--key", "second", "--as", "eve"]).exits(0);
    let session = lockgate.token_by("eve", &first);
    let made_before = approval(&lockgate, "P-3", "eve", &first, |_| ());
    let fingerprint = fingerprint(&lockgate, "eve.key");

    lockgate.run(&revoke("eve", &fingerprint, "dana")).refused(4, "NOT_PERMITTED");
    lockgate.run(&revoke("eve", &fingerprint, "sam")).exits(0).says("has ended");
    let list = lockgate.run(&["key", "list"]).exits(0);
    assert!(list.stdout.lines().any(|line| line.contains(&fingerprint) && line.contains("ended at entry")), "{list}");

    // Neither the session that it opened, nor a new one, nor what it signed before, counts any more.
    assert_eq!(lockgate.get("/v1/whoami", Some(&session)).status, 401);
    lockgate.run(&["approve", "P-3", "--as", "eve", "--yes"]).refused(4, "SIGN_IN_FAILED");
    let token = lockgate.token_by("eve", &lockgate.file("second"));
    let entries = lockgate.entries();
    let path = "/v1/promotions/P-3/approvals";
    lockgate.post(path, Some(&token), &made_before).refused(403, "KEY_REVOKED");
    lockgate.run(&["login", "eve", "--key", "second"]).exits(0);
    lockgate.run(&["approve", "P-3", "--as", "eve", "--key", "eve.key", "--yes"]).refused(3, "KEY_REVOKED");
    assert_eq!((lockgate.entries(), lockgate.status_of("P-3").as_str()), (entries, "pending"));
    // The person's other key still does.
    lockgate.run(&["approve", "P-3", "--as", "eve", "--key", "second", "--yes"]).exits(5).says("it is pending");
    lockgate.run(&["approve", "P-3", "--as", "sam", "--yes"]).exits(0).says("it is granted");
}

/// A key that turns out to have been stolen takes its approvals with it, and nothing else.
#[test]
fn a_key_found_compromised_takes_back_its_approval() {
    let lockgate = Instance::pending();
    lockgate.enrol_approver("eve");
    lockgate.run(&["approve", "P-3", "--as", "eve", "--yes"]).exits(5);
    lockgate.run(&["approve", "P-3", "--as", "sam", "--yes"]).exits(0);
    lockgate.verify("1.4.2", &[]).exits(0);
    let fingerprint = fingerprint(&lockgate, "eve.key");
    let revoke = revoke("eve", &fingerprint, "sam");
    lockgate.run(&[&revoke[..], &["--compromised-since", "1"]].concat()).exits(0);
    lockgate.verify("1.4.2", &[]).refused(3, "SUSPECT_KEY");

    // The release can still be explained and worked with.
    let why = lockgate.run(&["why", "P-3"]);
    assert!(!why.stderr.contains("error["), "{why}");
    lockgate.run(&["diff", "shop/web@1.4.2", "shop/web@1.4.2"]).exits(0);
    lockgate.stop();
    lockgate.start(&[]).exits(0);
    let why = lockgate.run(&["why", "P-3"]);
    assert!(!why.stderr.contains("error["), "{why}");
    lockgate.run(&["attest", "shop/web@1.4.2", "--scan", "trivy-critical.json"]).exits(0);
    lockgate.push("1.5.0", "trivy.json").exits(0);
    lockgate.promote("1.5.0").exits(5);
}

#[test]
fn an_enrolment_needs_both_signatures() {
    let lockgate = Instance::demo();
    lockgate.run(&["key", "generate", "eve.key"]).exits(0);
    let enrol = |file: &str, group: &str| {
        lockgate.run(&["key", "enrol", "eve", "--group", group, "--key", "eve.key", "--file", file])
    };
    enrol("eve.json", "approvers").exits(0);
    let request = std::fs::read_to_string(lockgate.file("eve.json")).unwrap();
    lockgate.write("raised.json", request.replace("\"approvers\"", "\"owners\""));
    lockgate.write("renamed.json", request.replace("\"eve\"", "\"mallory\""));
    let entries = lockgate.entries();
    for changed in ["raised.json", "renamed.json"] {
        lockgate.run(&["invite", changed, "--as", "sam", "--yes"]).refused(3, "SIGNATURE_INVALID");
    }
    enrol("nogroup.json", "wizards").exits(0);
    lockgate.run(&["invite", "nogroup.json", "--as", "sam", "--yes"]).refused(2, "GROUP_UNKNOWN").says("wizards");
    assert_eq!(lockgate.entries(), entries);
    lockgate.run(&["invite", "eve.json", "--as", "sam", "--yes"]).exits(0);
    lockgate.run(&["invite", "eve.json", "--as", "sam", "--yes"]).refused(7, "PERSON_EXISTS");
    lockgate.run(&["whoami", "--as", "eve"]).exits(0).says("approve");
}
