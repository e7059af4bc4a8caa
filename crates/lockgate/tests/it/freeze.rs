//! Emergency freezes: effective at once, also for grants in use, online and offline.

use crate::instance::Instance;

#[test]
fn a_freeze_stops_grants_in_use_and_new_ones() {
    let lockgate = Instance::granted();
    lockgate.run(&["bundle", "get", "P-3", "--file", "before.lockgate"]).exits(0);
    lockgate.verify("1.4.2", &[]).exits(0);
    lockgate.run(&["freeze", "list"]).exits(0).says("nothing is frozen");

    let freeze = ["freeze", "--env", "production", "--reason", "payments are down", "--yes"];
    lockgate.run(&["freeze", "--env", "production", "--yes"]).refused(2, "REASON_MISSING");
    lockgate.run(&[&freeze[..], &["--as", "dana"]].concat()).refused(4, "NOT_PERMITTED");
    let made = lockgate.json(&[&freeze[..], &["--as", "sam"]].concat(), 0);
    let entry = made["result"]["index"].as_u64().unwrap().to_string();
    lockgate.run(&["freeze", "list"]).exits(0).says("everything in production").says("payments are down");
    lockgate.run(&["status"]).exits(0).says("FROZEN: everything in production by sam");
    assert_eq!(lockgate.json(&["status"], 0)["freezes"][0]["by"], "sam");
    lockgate.run(&["history", "--governance"]).exits(0).says("freeze.ordered");

    // Online it is known at once. A bundle from before cannot know it; one from after does.
    lockgate.verify("1.4.2", &[]).refused(3, "FROZEN").says("lockgate freeze list");
    lockgate.verify("1.4.2", &["--bundle", "before.lockgate"]).exits(0).says("what happened later is not known here");
    lockgate.run(&["bundle", "get", "P-3", "--file", "after.lockgate"]).exits(0);
    lockgate.verify("1.4.2", &["--bundle", "after.lockgate"]).refused(3, "FROZEN");
    // From here on this machine knows, and the one from before does not pass any more.
    lockgate.verify("1.4.2", &["--bundle", "before.lockgate"]).refused(9, "ROLLBACK_DETECTED");
    lockgate.push("1.5.0", "trivy.json").exits(0);
    lockgate.promote("1.5.0").exits(3).says("FROZEN").says("payments are down");

    lockgate.run(&["unfreeze", &entry, "--reason", "it is over", "--yes", "--as", "dana"]).refused(4, "NOT_PERMITTED");
    lockgate.run(&["unfreeze", "1", "--reason", "it is over", "--yes", "--as", "sam"]).refused(6, "FREEZE_UNKNOWN");
    lockgate.run(&["unfreeze", &entry, "--reason", "it is over", "--yes", "--as", "sam"]).exits(0).says("is lifted");
    lockgate.run(&["unfreeze", &entry, "--reason", "it is over", "--yes", "--as", "sam"]).refused(7, "FREEZE_OVER");
    lockgate.run(&["freeze", "list", "--all"]).exits(0).says("lifted by sam");
    lockgate.verify("1.4.2", &[]).exits(0);
    lockgate.run(&["bundle", "get", "P-3", "--file", "lifted.lockgate"]).exits(0);
    lockgate.verify("1.4.2", &["--bundle", "lifted.lockgate"]).exits(0);
    // Nothing stands against the same grant any more: an older head alone is no rollback.
    lockgate.verify("1.4.2", &["--bundle", "before.lockgate"]).exits(0);
}

#[test]
fn another_environment_is_not_frozen_and_a_typo_freezes_nothing() {
    let lockgate = Instance::granted();
    let freeze = |scope: &[&str]| {
        lockgate.run(&[&["freeze"][..], scope, &["--reason", "incident", "--yes", "--as", "sam"]].concat())
    };
    freeze(&["--env", "prodution"]).refused(6, "ENVIRONMENT_UNKNOWN").says("dev, staging, production");
    freeze(&["--service", "shop/wep"]).refused(6, "SERVICE_UNKNOWN");
    freeze(&["--env", "staging"]).exits(0);
    lockgate.verify("1.4.2", &[]).exits(0);
    freeze(&["--service", "shop/web"]).exits(0);
    lockgate.verify("1.4.2", &[]).refused(3, "FROZEN");
}
