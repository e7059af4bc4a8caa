//! What becomes of promotions: superseded, rejected, withdrawn, rolled back, waived, overtaken by another policy set.

use std::collections::BTreeSet;
use std::fs;

use lockgate_model::Digest;
use serde_json::{Value, json};

use crate::consent::approval;
use crate::instance::{Instance, artifact, artifact_name, text};

/// An instance in which 1.0.0 runs in production, and 1.1.0 and 1.2.0 wait for approval as `P-6` and `P-9`.
fn three_versions() -> Instance {
    let lockgate = Instance::demo();
    lockgate.push("1.0.0", "trivy.json").exits(0);
    lockgate.promote("1.0.0").exits(5);
    approve(&lockgate, "P-3");
    for version in ["1.1.0", "1.2.0"] {
        lockgate.push(version, "trivy.json").exits(0);
        lockgate.promote(version).exits(5);
    }
    lockgate
}

#[track_caller]
fn approve(lockgate: &Instance, promotion: &str) {
    lockgate.run(&["approve", promotion, "--as", "sam", "--yes"]).exits(0).says("it is granted");
}

fn rollback<'a>(release: &'a str, reason: &'a str) -> [&'a str; 6] {
    ["rollback", release, "--to", "production", "--reason", reason]
}

#[test]
fn a_grant_supersedes_what_else_was_open() {
    let lockgate = three_versions();
    lockgate.verify("1.0.0", &[]).exits(0);
    approve(&lockgate, "P-9");
    lockgate.run(&["why", "P-6"]).exits(3).says("superseded").says("shop/web@1.2.0");
    for command in ["approve", "reject"] {
        lockgate.run(&[command, "P-6", "--as", "sam", "--yes"]).refused(7, "PROMOTION_CLOSED");
    }
    lockgate.run(&["withdraw", "P-6"]).refused(7, "PROMOTION_CLOSED");
    // The bytes that were replaced may not be deployed any more, and 1.1.0 never might.
    lockgate.verify("1.0.0", &[]).refused(3, "GRANT_SUPERSEDED");
    lockgate.verify("1.1.0", &[]).refused(3, "DIGEST_NOT_GRANTED");
    // Nor with a bundle of the old grant that holds the new one, whoever serves it.
    lockgate.run(&["bundle", "get", "P-3", "--file", "old.lockgate"]).exits(0);
    lockgate.verify("1.0.0", &["--bundle", "old.lockgate"]).refused(3, "GRANT_SUPERSEDED");
    lockgate.verify("1.2.0", &[]).exits(0);
    // No version goes back by accident.
    let denied = lockgate.promote("1.1.0").exits(3);
    denied.says("VERSION_NOT_NEWER").says("1.1.0, while 1.2.0 runs").says("lockgate rollback shop/web@1.1.0");
}

#[test]
fn going_back_is_a_decision_of_its_own() {
    let lockgate = three_versions();
    approve(&lockgate, "P-9");
    lockgate.run(&rollback("shop/web@1.1.0", "errors")).refused(3, "ROLLBACK_NEVER_RAN");
    lockgate.run(&rollback("shop/web@9.9.9", "errors")).refused(6, "RELEASE_UNKNOWN");
    lockgate.run(&rollback("shop/web@1.2.0", "errors")).refused(7, "ALREADY_RUNNING");
    lockgate.run(&rollback("shop/web@1.0.0", " ")).refused(2, "REASON_MISSING");
    let asked = lockgate.json(&rollback("shop/web@1.0.0", "errors since 1.2.0"), 5);
    assert_eq!((&asked["why"]["kind"], &asked["promotions"][0]["promotion"]), (&json!("rollback"), &json!("P-10")));
    lockgate.run(&["approve", "P-10", "--as", "dana", "--yes"]).refused(3, "SOD_SELF");
    approve(&lockgate, "P-10");
    lockgate.verify("1.0.0", &[]).exits(0);
    lockgate.verify("1.2.0", &[]).refused(3, "GRANT_SUPERSEDED");
    lockgate.run(&rollback("shop/web@1.2.0", "it was not that")).refused(3, "ROLLBACK_FORWARD");
    let status = lockgate.json(&["status", "shop/web"], 0);
    assert_eq!(status["services"][0]["running"][2]["promotion"], "P-10");
}

/// Offline, with two bundles that both verify: what this machine has verified of a target does not go back, but by a
/// rollback that was granted.
#[test]
fn an_earlier_grant_does_not_pass_after_a_later_one_was_verified() {
    let lockgate = three_versions();
    let get = |promotion: &str, file: &str| lockgate.run(&["bundle", "get", promotion, "--file", file]).exits(0);
    let verify = |version: &str, file: &str| lockgate.verify(version, &["--bundle", file]);
    get("P-3", "first");
    approve(&lockgate, "P-9");
    get("P-9", "second");
    lockgate.stop();
    // A deployer's machine, which nobody else uses.
    let deployer = Instance::new();
    fs::create_dir(deployer.home()).unwrap();
    fs::copy(lockgate.home().join("trust.json"), deployer.home().join("trust.json")).unwrap();
    for version in ["1.0.0", "1.2.0"] {
        deployer.write(&artifact_name(version), artifact(version));
    }
    for file in ["first", "second"] {
        deployer.write(file, fs::read(lockgate.file(file)).unwrap());
    }
    let there = |version: &str, file: &str| deployer.verify(version, &["--bundle", file]);
    there("1.0.0", "first").exits(0);
    there("1.2.0", "second").exits(0);
    for _ in 0..2 {
        there("1.0.0", "first").refused(9, "ROLLBACK_DETECTED").says("granted shop/web in production anew");
        there("1.2.0", "second").exits(0);
    }
    lockgate.start(&[]).exits(0);
    let asked = lockgate.json(&rollback("shop/web@1.0.0", "errors since 1.2.0"), 5);
    let back = text(&asked["why"]["promotion"]);
    approve(&lockgate, &back);
    get(&back, "third");
    verify("1.0.0", "third").exits(0);
    deployer.write("third", fs::read(lockgate.file("third")).unwrap());
    there("1.0.0", "third").exits(0);
    there("1.2.0", "second").refused(9, "ROLLBACK_DETECTED");
    // What cannot be read is not taken for nothing; what is not there takes the memory away, and is the operator's.
    let known = deployer.home().join("known");
    let file = fs::read_dir(&known).unwrap().next().unwrap().unwrap().path();
    let kept = fs::read(&file).unwrap();
    fs::write(&file, &kept[..kept.len() / 2]).unwrap();
    there("1.0.0", "third").refused(3, "KNOWN_INVALID").says("NOT VERIFIED");
    fs::remove_file(&file).unwrap();
    there("1.2.0", "second").exits(0);
}

/// What the server said of a grant that was replaced is remembered with its proof, and holds offline too.
#[test]
fn a_grant_that_was_replaced_online_does_not_pass_offline_afterwards() {
    let lockgate = three_versions();
    lockgate.run(&["bundle", "get", "P-3", "--file", "old.lockgate"]).exits(0);
    approve(&lockgate, "P-9");
    let offline = || lockgate.verify("1.0.0", &["--bundle", "old.lockgate"]);
    offline().exits(0);
    let asked = format!("artifact={}&service=shop/web&environment=production", Digest::of(&artifact("1.0.0")));
    let refused = lockgate.get(&format!("/v1/grants?{asked}"), Some(&lockgate.token("dana")));
    refused.refused(403, "GRANT_SUPERSEDED");
    assert_eq!(refused.json()["replaced_by"], "P-9");
    lockgate.verify("1.0.0", &[]).refused(3, "GRANT_SUPERSEDED").says("lockgate rollback shop/web@1.0.0");
    offline().refused(9, "ROLLBACK_DETECTED").says("granted shop/web in production anew").says("NOT VERIFIED");
    lockgate.verify("1.2.0", &[]).exits(0);
}

/// `lockgate why` says: to go back on purpose, ask for a rollback. It has to work although the promotion is still open.
#[test]
fn a_denied_promotion_does_not_stand_in_the_way_of_a_rollback() {
    let lockgate = three_versions();
    approve(&lockgate, "P-9");
    lockgate.promote("1.0.0").exits(3).says("lockgate rollback shop/web@1.0.0");
    let asked = lockgate.json(&rollback("shop/web@1.0.0", "errors since 1.2.0"), 5);
    assert_eq!(asked["why"]["kind"], "rollback");
    approve(&lockgate, &text(&asked["why"]["promotion"]));
    lockgate.verify("1.0.0", &[]).exits(0);
}

#[test]
fn an_objection_and_a_withdrawal_end_it() {
    let lockgate = Instance::pending();
    lockgate.run(&["reject", "P-3", "--as", "dana", "--yes"]).refused(4, "NOT_PERMITTED");
    lockgate.run(&["reject", "P-3", "--as", "sam", "--yes", "--comment", "not on a Friday"]).exits(0);
    lockgate.run(&["why", "P-3"]).exits(3).says("rejected").says("not on a Friday");
    lockgate.run(&["approve", "P-3", "--as", "sam", "--yes"]).refused(7, "PROMOTION_CLOSED");
    lockgate.verify("1.4.2", &[]).refused(3, "DIGEST_NOT_GRANTED");

    lockgate.promote("1.4.2").exits(5).says("P-4");
    lockgate.run(&["withdraw", "P-4", "--as", "ci"]).refused(4, "NOT_PERMITTED");
    lockgate.run(&["withdraw", "P-4", "--reason", "found a typo"]).exits(0).says("P-4 is withdrawn");
    lockgate.run(&["why", "P-4"]).exits(3).says("withdrawn").says("found a typo");
    lockgate.run(&["withdraw", "P-4"]).refused(7, "PROMOTION_CLOSED");
    lockgate.run(&["withdraw", "P-99"]).refused(6, "PROMOTION_UNKNOWN");

    // Asking again is a new promotion; asking twice is not.
    lockgate.promote("1.4.2").exits(5).says("P-5");
    let entries = lockgate.entries();
    lockgate.promote("1.4.2").exits(5).says("P-5").says("asked before");
    assert_eq!(lockgate.entries(), entries);
    approve(&lockgate, "P-5");
    lockgate.promote("1.4.2").refused(7, "ALREADY_RUNNING");
}

#[test]
fn an_approval_that_is_not_enough_says_what_is_missing() {
    let lockgate = Instance::new();
    lockgate.policy("two", &[("gates/approvals.toml", "at_least = 1", "at_least = 2")]);
    lockgate.start(&["--demo", "--policy", "two"]).exits(0);
    lockgate.push("1.0.0", "trivy.json").exits(0);
    lockgate.promote("1.0.0").exits(5);
    let approve = |promotion: &str, exit: i32, words: &str| {
        let ran = lockgate.run(&["approve", promotion, "--as", "sam", "--yes"]).exits(exit).says(words);
        ran.says(&format!("  next       lockgate why {promotion}\n"))
    };
    approve("P-3", 5, "sam approved P-3: it is pending").says("  waits for  approvals (");
    let entries = lockgate.entries();
    approve("P-3", 5, "sam had already approved P-3, and signed once more: it is pending")
        .says("  waits for  approvals (");
    assert!(lockgate.entries() > entries, "what was signed is recorded");
    // One that was taken back does not stand.
    lockgate.run(&["approve", "P-3", "--withdraw", "--as", "sam", "--yes"]).exits(0);
    approve("P-3", 5, "sam approved P-3: it is pending");

    lockgate.push("1.1.0", "trivy-critical.json").exits(0);
    lockgate.promote("1.1.0").exits(3).says("P-6");
    let denied = approve("P-6", 3, "sam approved P-6: it is denied");
    denied.says("\n  denied by  ").says("vulnerabilities (VULNERABILITIES_FOUND)").says("\n  waits for  approvals (");
}

/// The time beside an entry is that entry's, whoever asks and whenever.
#[test]
fn a_decision_keeps_its_time() {
    let lockgate = Instance::pending();
    let why = || lockgate.json(&["why", "P-3"], 5);
    let (first, second) = (why(), why());
    assert!(first["decision_index"].is_u64(), "{first}");
    assert_eq!((&first["decided_at"], &first["decision_index"]), (&second["decided_at"], &second["decision_index"]));
    let history = lockgate.json(&["history", "--promotion", "P-3"], 0);
    let items = history["items"].as_array().unwrap();
    let entry = items.iter().find(|item| item["index"] == first["decision_index"]).unwrap();
    assert_eq!((&entry["event"], &entry["time"]), (&json!("decision.recorded"), &first["decided_at"]));
    lockgate.run(&["why", "P-3"]).exits(5).says("  evaluated   again just now").says("is not recorded");
    lockgate.run(&["approve", "P-3", "--as", "sam", "--yes"]).exits(0);
    assert!(!lockgate.run(&["why", "P-3"]).exits(0).stdout.contains("evaluated"));
}

#[test]
fn a_diff_names_what_changes() {
    let lockgate = Instance::demo();
    lockgate.push("1.0.0", "trivy.json").exits(0);
    let sbom = fs::read_to_string(lockgate.file("sbom.cdx.json")).unwrap();
    assert!(sbom.contains("acme-router@4.1.0"));
    lockgate.write("sbom.cdx.json", sbom.replace("4.1.0", "4.2.7"));
    lockgate.push("1.1.0", "trivy.json").exits(0);
    let diff = lockgate.json(&["diff", "shop/web@1.0.0", "shop/web@1.1.0"], 0);
    let digest = |version: &str| Digest::of(&artifact(version)).to_string();
    assert_eq!(diff["artifacts_removed"][0]["digest"], digest("1.0.0"));
    assert_eq!(diff["artifacts_added"][0]["digest"], digest("1.1.0"));
    let changed = diff["components"].as_array().unwrap();
    let [router] = changed.as_slice() else { panic!("{diff}") };
    assert!(text(&router["name"]).contains("acme-router"), "{diff}");
    assert_eq!((&router["before"], &router["after"]), (&json!("4.1.0"), &json!("4.2.7")));
    let same = lockgate.json(&["diff", "shop/web@1.0.0", "shop/web@1.0.0"], 0);
    assert_eq!((&same["components"], &same["artifacts_added"]), (&json!([]), &json!([])));
    lockgate.run(&["diff", "shop/web@1.0.0", "shop/web@7.0.0"]).refused(6, "RELEASE_UNKNOWN");
}

fn events(page: &Value) -> Vec<(u64, String)> {
    let row = |item: &Value| (item["index"].as_u64().unwrap(), text(&item["event"]));
    page["items"].as_array().unwrap().iter().map(row).collect()
}

#[test]
fn history_can_be_cut_in_every_way() {
    let lockgate = Instance::granted();
    let names = |filter: &[&str]| -> Vec<String> {
        let page = lockgate.json(&[&["history", "--limit", "100"][..], filter].concat(), 0);
        events(&page).into_iter().map(|(_, event)| event).collect()
    };
    let promotion =
        ["grant.issued", "decision.recorded", "approval.recorded", "decision.recorded", "promotion.requested"];
    let of_promotion: Vec<String> =
        names(&["--promotion", "P-3"]).into_iter().filter(|event| event != "attestations.issued").collect();
    assert_eq!(of_promotion, promotion);
    assert_eq!(names(&["--governance"]), ["person.enrolled", "person.enrolled", "person.enrolled", "ledger.created"]);
    assert_eq!(names(&["--service", "shop/web"]), ["release.published"]);
    let artifact = Digest::of(&artifact("1.4.2")).to_string();
    assert!(names(&["--artifact", &artifact]).contains(&"release.published".to_owned()));
    assert!(names(&["--person", "sam"]).contains(&"approval.recorded".to_owned()));
    assert!(!names(&["--person", "dana"]).contains(&"approval.recorded".to_owned()));
    assert!(names(&["--env", "production"]).contains(&"grant.issued".to_owned()));
    assert_eq!(names(&["--release", "shop/web@1.4.2"]).iter().filter(|event| *event == "grant.issued").count(), 3);
    lockgate.run(&["history", "--release", "shop/api@1.0.0"]).refused(6, "RELEASE_UNKNOWN");
    lockgate.run(&["history", "--env", "dev", "--person", "sam"]).exits(2);
}

#[test]
fn pages_of_history_leave_nothing_out() {
    let lockgate = Instance::granted();
    let whole: Vec<u64> =
        events(&lockgate.json(&["history", "--limit", "100"], 0)).into_iter().map(|(index, _)| index).collect();
    assert!(whole.is_sorted_by(|newer, older| newer > older), "{whole:?}");
    assert_eq!(whole.last(), Some(&0));
    let mut paged = Vec::new();
    let mut before: Option<String> = None;
    loop {
        let mut arguments = vec!["history", "--limit", "5"];
        if let Some(before) = &before {
            arguments.extend(["--before", before.as_str()]);
        }
        let page = lockgate.json(&arguments, 0);
        paged.extend(events(&page).into_iter().map(|(index, _)| index));
        match page["next"].as_u64() {
            Some(next) => before = Some(next.to_string()),
            None => break,
        }
        assert!(paged.len() <= whole.len(), "{paged:?}");
    }
    assert_eq!(paged, whole);
    let distinct: BTreeSet<u64> = paged.iter().copied().collect();
    assert_eq!(distinct.len(), paged.len());
}

/// A request that is handed over in a file, as policy sets without `two_people` take it.
const WAIVER: [&str; 12] = [
    "waive",
    "request",
    "--gate",
    "vulnerabilities",
    "--finding",
    "CVE-2099-10001",
    "--service",
    "shop/web",
    "--env",
    "production",
    "--reason",
    "the parser is never called",
];

#[test]
fn a_waiver_by_two_people_lifts_one_finding() {
    let lockgate = Instance::new();
    let handed_over = "two_people = false\nservice_wide = true";
    lockgate.policy("handed-over", &[("policy.toml", "two_people = true", handed_over)]);
    lockgate.start(&["--demo", "--policy", "handed-over"]).exits(0);
    lockgate.push("1.0.0", "trivy-critical.json").exits(0);
    let denied = lockgate.promote("1.0.0").exits(3).says("P-3 shop/web@1.0.0 into production: denied");
    denied.says("VULNERABILITIES_FOUND").says("upgrade acme-yaml to 1.2.9").says("QUORUM_NOT_MET");

    let ask = |more: &[&str]| lockgate.run(&[&WAIVER[..], more].concat()).exits(0);
    ask(&["--file", "own.json", "--as", "sam"]);
    lockgate.run(&["waive", "grant", "own.json", "--as", "sam", "--yes"]).refused(3, "SOD_SELF");
    ask(&["--file", "long.json", "--for", "400d"]);
    lockgate.run(&["waive", "grant", "long.json", "--as", "sam", "--yes"]).refused(2, "WAIVER_EXPIRY");
    ask(&["--file", "w.json", "--for", "7d"]);
    for nobody in ["dana", "ci"] {
        lockgate.run(&["waive", "grant", "w.json", "--as", nobody, "--yes"]).refused(4, "NOT_PERMITTED");
    }
    let request = fs::read_to_string(lockgate.file("w.json")).unwrap();
    lockgate.write("other.json", request.replace("CVE-2099-10001", "CVE-2099-10002"));
    lockgate.run(&["waive", "grant", "other.json", "--as", "sam", "--yes"]).refused(3, "SIGNATURE_INVALID");
    assert_eq!(lockgate.status_of("P-3"), "denied");

    lockgate.run(&["waive", "grant", "w.json", "--as", "sam", "--yes"]).exits(0).says("CVE-2099-10001 is waived");
    let why = lockgate.json(&["why", "P-3"], 5);
    let gates = why["gates"].as_array().unwrap();
    let gate = gates.iter().find(|gate| gate["gate"] == "vulnerabilities").unwrap();
    assert_eq!((&why["status"], &gate["outcome"]), (&json!("pending"), &json!("waived")));
    approve(&lockgate, "P-3");
    lockgate.verify("1.0.0", &[]).exits(0);

    // The waiver is for this environment and service alone.
    lockgate.write("api.tar.gz", "another service");
    let push = ["push", "api.tar.gz", "--service", "shop/api", "--version", "1.0.0", "--tests", "junit.xml"];
    lockgate.run(&[&push[..], &["--sbom", "sbom.cdx.json", "--scan", "trivy-critical.json"]].concat()).exits(0);
    let promote = ["promote", "shop/api@1.0.0", "--to", "production", "--reason", "weekly"];
    lockgate.run(&promote).exits(3).says("VULNERABILITIES_FOUND");
}

#[test]
fn another_policy_set_invalidates_approvals() {
    let lockgate = Instance::new();
    let two = ("gates/approvals.toml", "at_least = 1", "at_least = 2");
    lockgate.policy("first", &[two]);
    lockgate.policy("second", &[two, ("policy.toml", "promotion_ttl = \"30d\"", "promotion_ttl = \"20d\"")]);
    lockgate.start(&["--demo", "--policy", "first"]).exits(0);
    lockgate.enrol_approver("eve");
    lockgate.push("1.0.0", "trivy.json").exits(0);
    lockgate.promote("1.0.0").exits(5).says("2 approvals by group approvers");
    lockgate.run(&["approve", "P-3", "--as", "sam", "--yes"]).exits(5).says("it is pending");

    // What eve read and signed was for the first set; it arrives after the second became active.
    let early = approval(&lockgate, "P-3", "eve", &lockgate.file("eve.key"), |_| ());
    let activate = ["policy", "activate", "second", "--reason", "shorter waits", "--yes", "--as"];
    for nobody in ["dana", "eve"] {
        lockgate.run(&[&activate[..], &[nobody]].concat()).refused(4, "NOT_PERMITTED");
    }
    lockgate.run(&[&activate[..], &["sam"]].concat()).exits(0).says("is active");
    let eve = lockgate.token_by("eve", &lockgate.file("eve.key"));
    lockgate.post("/v1/promotions/P-3/approvals", Some(&eve), &early).refused(409, "APPROVAL_STALE");
    lockgate.run(&["why", "P-3"]).exits(5).says("given under another policy set");

    // One approval under each set are not two.
    lockgate.run(&["approve", "P-3", "--as", "eve", "--yes"]).exits(5).says("it is pending");
    approve(&lockgate, "P-3");
    lockgate.verify("1.0.0", &[]).exits(0);
}

#[test]
fn a_policy_set_that_is_not_sound_is_not_activated() {
    let lockgate = Instance::demo();
    lockgate.policy("typo", &[("gates/approvals.toml", "count = 2", "cuont = 2")]);
    lockgate.run(&["policy", "check", "typo"]).refused(2, "POLICY_INVALID").says("gates/approvals.toml").says("count");
    lockgate.run(&["init", "failing"]).exits(0);
    let path = lockgate.file("failing/gates/approvals.toml");
    let text = fs::read_to_string(&path).unwrap().replace("at_least = 1", "at_least = 2");
    fs::write(path, text).unwrap();
    lockgate.run(&["policy", "check", "failing"]).exits(0);
    lockgate.run(&["policy", "test", "failing"]).exits(3).says("FAIL");
    let entries = lockgate.entries();
    for (set, reason) in [("typo", "POLICY_INVALID"), ("failing", "POLICY_TESTS_FAILED")] {
        lockgate.run(&["policy", "activate", set, "--reason", "x", "--yes", "--as", "sam"]).refused(2, reason);
    }
    lockgate.run(&["policy", "activate", "nowhere", "--reason", "x", "--as", "sam"]).refused(6, "POLICY_MISSING");
    assert_eq!(lockgate.entries(), entries);
    lockgate.run(&["policy", "test", "."]).exits(2);
}
