//! Limits on what one person may leave in the ledger, which every bundle carries, and on what lends or hands in.

use std::fs;

use crate::instance::{Instance, artifact};

#[test]
fn who_may_approve_nothing_lends_nothing() {
    let lockgate = Instance::demo();
    let lend = ["delegate", "add", "sam", "--reason", "away", "--yes", "--as", "dana"];
    lockgate.run(&lend).refused(4, "NOTHING_TO_LEND");
    assert!(lockgate.json(&["delegate", "list", "--as", "sam"], 0).to_string().find("dana").is_none());
}

#[test]
fn nobody_has_more_keys_than_every_bundle_can_carry() {
    let lockgate = Instance::demo();
    let add = |number: usize| {
        let file = format!("dana{number}.key");
        lockgate.run(&["key", "generate", &file]).exits(0);
        lockgate.run(&["key", "add", "dana", "--key", &file, "--as", "dana"])
    };
    for number in 2..=16 {
        add(number).exits(0);
    }
    add(17).refused(7, "TOO_MANY_OPEN").says("`dana` has 16 keys that count");
}

#[test]
fn one_person_leaves_room_for_others_approvals() {
    let lockgate = Instance::demo();
    // Now that there are two, it takes both.
    lockgate.enrol_approver("eve");
    lockgate.push("1.4.2", "trivy.json").exits(0);
    lockgate.promote("1.4.2").exits(5);
    let approve = |comment: &str| lockgate.run(&["approve", "P-3", "--comment", comment, "--as", "sam", "--yes"]);
    for number in 0..8 {
        assert!([0, 5].contains(&approve(&number.to_string()).code));
    }
    approve("once more").refused(2, "TOO_MANY_APPROVALS");
    lockgate.run(&["reject", "P-3", "--comment", "no", "--as", "sam", "--yes"]).exits(0);
}

/// Publishing a release again is no way around the right to hand in evidence.
#[test]
fn evidence_beside_a_repeated_push_takes_the_right_to_attest() {
    let lockgate = Instance::new();
    let own = "permissions = [\"read\", \"push\", \"attest\", \"request\"]";
    lockgate.policy("pushes", &[("people.toml", own, "permissions = [\"read\", \"push\", \"request\"]")]);
    lockgate.start(&["--demo", "--policy", "pushes"]).exits(0);
    fs::write(lockgate.file("app"), artifact("1.4.2")).unwrap();
    let push = ["push", "app", "--service", "shop/web", "--version", "1.4.2", "--tests", "junit.xml", "--as", "ci"];
    lockgate.run(&push).exits(0);
    lockgate.run(&push).exits(0);
    lockgate.run(&[&push[..], &["--sbom", "sbom.cdx.json"]].concat()).refused(4, "NOT_PERMITTED");
    lockgate.run(&["attest", "shop/web@1.4.2", "--sbom", "sbom.cdx.json", "--as", "ci"]).refused(4, "NOT_PERMITTED");
}
