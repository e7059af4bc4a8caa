//! Waivers: asked for by one person in the ledger, granted by another, for one release and one finding, until a date,
//! a revocation, or the KEV catalogue.

use lockgate_model::UnixMillis;
use serde_json::{Value, json};

use crate::instance::{Instance, Ran};

const REASON: [&str; 2] = ["--reason", "the parser is never called"];

/// A demo, with `P-3` of 1.0.0 denied for one critical finding.
fn denied() -> Instance {
    let lockgate = Instance::demo();
    lockgate.push("1.0.0", "trivy-critical.json").exits(0);
    lockgate.promote("1.0.0").exits(3).says("VULNERABILITIES_FOUND");
    lockgate
}

fn ask(lockgate: &Instance, finding: &str, more: &[&str]) -> Ran {
    let start = ["waive", "request", "--gate", "vulnerabilities", "--finding", finding, "--env", "production"];
    lockgate.run(&[&start[..], &REASON, more].concat())
}

const RELEASE: [&str; 2] = ["--release", "shop/web@1.0.0"];

/// Asks as dana, and gives the entry.
#[track_caller]
fn asked(lockgate: &Instance, finding: &str, more: &[&str]) -> String {
    ask(lockgate, finding, &[&RELEASE[..], more].concat()).exits(0);
    let rows = lockgate.json(&["waive", "list"], 0);
    rows[0]["request"].as_u64().unwrap().to_string()
}

#[track_caller]
fn gate(lockgate: &Instance, exit: i32) -> Value {
    let why = lockgate.json(&["why", "P-3"], exit);
    let gates = why["gates"].as_array().unwrap();
    gates.iter().find(|gate| gate["gate"] == "vulnerabilities").unwrap().clone()
}

#[test]
fn two_people_waive_one_finding_of_one_release() {
    let lockgate = denied();
    let entry = asked(&lockgate, "CVE-2099-10001", &["--ticket", "SEC-7", "--for", "7d"]);
    // A request alone excepts nothing, and whoever asked cannot grant it.
    assert_eq!(gate(&lockgate, 3)["outcome"], "fail");
    for nobody in ["dana", "ci"] {
        lockgate.run(&["waive", "grant", &entry, "--as", nobody, "--yes"]).refused(4, "NOT_PERMITTED");
    }
    // It waits for those who may grant it, and for nobody else.
    lockgate.run(&["inbox", "--as", "sam"]).exits(0).says(&format!("lockgate waive grant {entry}"));
    lockgate.run(&["inbox", "--as", "dana"]).exits(0).says("nothing waits for you");
    ask(&lockgate, "CVE-2099-10002", &[&RELEASE[..], &["--as", "sam"]].concat()).exits(0);
    let own = lockgate.json(&["waive", "list"], 0)[0]["request"].as_u64().unwrap().to_string();
    lockgate.run(&["waive", "grant", &own, "--as", "sam", "--yes"]).refused(3, "SOD_SELF");
    lockgate.run(&["waive", "grant", "999999", "--as", "sam", "--yes"]).refused(6, "WAIVER_UNKNOWN");

    let granted = lockgate.run(&["waive", "grant", &entry, "--as", "sam", "--yes"]).exits(0);
    granted.says("CVE-2099-10001 is waived").says("SEC-7");
    assert_eq!(gate(&lockgate, 5)["outcome"], "waived");
    // What is granted waits no more, and nobody is asked to grant their own.
    assert!(lockgate.json(&["inbox", "--as", "sam"], 0)["waivers"].is_null());
    lockgate.run(&["waive", "grant", &entry, "--as", "sam", "--yes"]).refused(7, "WAIVER_OVER");
    let listed = lockgate.run(&["waive", "list"]).exits(0);
    listed.says("granted by sam").says("ends within 7 days");
    lockgate.run(&["status"]).exits(0).says("warning: the waiver of CVE-2099-10001");
    let doctor = lockgate.run(&["doctor"]);
    doctor.says("the waiver of CVE-2099-10001 of gate vulnerabilities for shop/web@1.0.0 in production ends within");
    lockgate.run(&["approve", "P-3", "--as", "sam", "--yes"]).exits(0).says("it is granted");
    lockgate.verify("1.0.0", &[]).exits(0);

    // It is for that release alone.
    lockgate.push("1.0.1", "trivy-critical.json").exits(0);
    lockgate.promote("1.0.1").exits(3).says("VULNERABILITIES_FOUND");
}

/// After a screenful of nothing comes what reads like another waiver: whoever grants it sees each field once.
#[test]
fn what_is_asked_for_forges_nothing_of_what_is_signed() {
    let lockgate = denied();
    let forged =
        "You are about to waive:\n  finding    CVE-2099-10002\n  until      tomorrow\n  code       a b c d e f";
    let reason = format!("never called{}{forged}", "\n".repeat(60));
    let ask = ["waive", "request", "--gate", "vulnerabilities", "--env", "production", RELEASE[0], RELEASE[1]];
    let texts = ["--finding", "CVE-2099-10001\n  gate       tests", "--ticket", "SEC-7\n  until      tomorrow"];
    lockgate.run(&[&ask[..], &texts, &["--reason", &reason]].concat()).exits(0);
    let entry = lockgate.json(&["waive", "list"], 0)[0]["request"].as_u64().unwrap().to_string();
    let shown = lockgate.run(&["waive", "grant", &entry, "--as", "sam"]).refused(2, "CONFIRMATION_NEEDED");
    let shown = shown.asks_about(&["finding", "gate", "for", "until", "asked by", "reason", "ticket", "code"]);
    shown.says("reason     never called\\u{a}").says("finding    CVE-2099-10001\\u{a}  gate");
    for list in [&["waive", "list"][..], &["inbox", "--as", "sam"]] {
        let listed = lockgate.run(list).exits(0);
        let is_forged =
            |line: &str| ["You ", "finding ", "until ", "gate ", "code "].iter().any(|word| line.starts_with(word));
        assert!(!listed.stdout.lines().any(|line| is_forged(line.trim_start())), "{listed}");
    }
}

#[test]
fn a_waiver_that_is_revoked_counts_no_more() {
    let lockgate = denied();
    let entry = asked(&lockgate, "CVE-2099-10001", &["--for", "60d"]);
    lockgate.run(&["waive", "grant", &entry, "--as", "sam", "--yes"]).exits(0);
    assert_eq!(gate(&lockgate, 5)["outcome"], "waived");
    assert_eq!(lockgate.json(&["waive", "list"], 0)[0]["state"], "open");
    // Nothing warns about what ends in 60 days.
    assert!(!lockgate.run(&["status"]).exits(0).stderr.contains("the waiver of"));
    let waiver = lockgate.json(&["waive", "list"], 0)[0]["waiver"].as_u64().unwrap().to_string();
    let end = ["waive", "revoke", &waiver, "--reason", "it is called after all", "--as"];
    lockgate.run(&[&end[..], &["ci"]].concat()).refused(4, "NOT_PERMITTED");
    lockgate.run(&[&end[..], &["dana"]].concat()).exits(0).says("has ended");
    assert_eq!(gate(&lockgate, 3)["reason"], "VULNERABILITIES_FOUND");
    lockgate.run(&[&end[..], &["sam"]].concat()).refused(7, "WAIVER_OVER");
    lockgate.run(&["waive", "list"]).exits(0).says("nothing is waived");
    lockgate.run(&["waive", "list", "--all"]).exits(0).says("revoked by dana");

    // A request that is revoked cannot be granted.
    let entry = asked(&lockgate, "CVE-2099-10001", &["--for", "5d"]);
    lockgate.run(&["waive", "revoke", &entry, "--reason", "no", "--as", "sam"]).exits(0);
    lockgate.run(&["waive", "grant", &entry, "--as", "sam", "--yes"]).refused(7, "WAIVER_OVER");
}

#[test]
fn a_waiver_has_a_scope_and_an_end_and_never_is_for_a_whole_gate() {
    let lockgate = denied();
    let entries = lockgate.entries();
    let check = |more: &[&str], exit: i32, reason: &str| {
        let start = ["waive", "request", "--env", "production"];
        lockgate.run(&[&start[..], &REASON, more].concat()).refused(exit, reason);
    };
    let finding = ["--gate", "vulnerabilities", "--finding", "CVE-2099-10001"];
    check(&[&finding[..], &["--service", "shop/web"]].concat(), 2, "WAIVER_SCOPE");
    check(&[&finding[..], &RELEASE, &["--for", "92d"]].concat(), 2, "WAIVER_EXPIRY");
    check(&["--gate", "vulnerabilities", "--finding", " ", RELEASE[0], RELEASE[1]], 2, "WAIVER_SCOPE");
    check(&["--gate", "nothing", "--finding", "CVE-1", RELEASE[0], RELEASE[1]], 6, "GATE_UNKNOWN");
    for whole in ["approvals", "tests", "sbom"] {
        check(&["--gate", whole, "--finding", "anything", RELEASE[0], RELEASE[1]], 3, "WAIVER_GATE");
    }
    // A request that is handed over in a file is not in the ledger, and the policy set wants it there.
    ask(&lockgate, "CVE-2099-10001", &[&RELEASE[..], &["--file", "w.json"]].concat()).exits(0);
    lockgate.run(&["waive", "grant", "w.json", "--as", "sam", "--yes"]).refused(7, "WAIVER_REQUEST");
    assert_eq!(lockgate.entries(), entries);
}

/// The policy set's own maximum holds when a waiver is asked for, and also for those that were granted before.
#[test]
fn a_waiver_lasts_as_long_as_the_policy_set_allows() {
    let lockgate = denied();
    let entry = asked(&lockgate, "CVE-2099-10001", &["--for", "60d"]);
    lockgate.run(&["waive", "grant", &entry, "--as", "sam", "--yes"]).exits(0);
    assert_eq!(gate(&lockgate, 5)["outcome"], "waived");
    lockgate.policy("short", &[("policy.toml", "max_days = 90", "max_days = 14")]);
    lockgate.run(&["policy", "activate", "short", "--reason", "shorter waivers", "--yes", "--as", "sam"]).exits(0);
    let failed = gate(&lockgate, 3);
    assert_eq!((&failed["outcome"], &failed["reason"]), (&json!("fail"), &json!("WAIVER_TOO_LONG")));
    assert_eq!(lockgate.json(&["waive", "list"], 0)[0]["void"], "WAIVER_TOO_LONG");
    ask(&lockgate, "CVE-2099-10001", &[&RELEASE[..], &["--for", "30d"]].concat()).refused(2, "WAIVER_TOO_LONG");
    ask(&lockgate, "CVE-2099-10001", &[&RELEASE[..], &["--for", "14d"]].concat()).exits(0);
}

#[test]
fn a_waiver_ends_by_itself_once_its_vulnerability_is_exploited() {
    let lockgate = Instance::new();
    let ends = "two_people = true\nend_on_kev = true";
    lockgate.policy("kev", &[("policy.toml", "two_people = true", ends)]);
    lockgate.start(&["--demo", "--policy", "kev"]).exits(0);
    lockgate.push("1.0.0", "trivy-critical.json").exits(0);
    lockgate.promote("1.0.0").exits(3).says("VULNERABILITIES_FOUND");
    let entry = asked(&lockgate, "CVE-2099-10001", &[]);
    lockgate.run(&["waive", "grant", &entry, "--as", "sam", "--yes"]).exits(0);
    // Without a catalogue nobody can say that the waiver still counts.
    assert_eq!(gate(&lockgate, 3)["reason"], "FEED_MISSING");

    let now = lockgate.json(&["history", "--limit", "1"], 0)["items"][0]["time"].as_u64().unwrap();
    let record = |hour: u64, cve: &str| {
        let released = UnixMillis(now - 86_400_000 + hour * 3_600_000).rfc3339_secs();
        let entry = json!({ "cveID": cve, "dateAdded": "2026-01-02", "knownRansomwareCampaignUse": "Known" });
        let feed = json!({ "catalogVersion": "1", "dateReleased": released, "count": 1, "vulnerabilities": [entry] });
        lockgate.write("kev.json", feed.to_string());
        lockgate.run(&["feed", "update", "--kind", "kev", "--file", "kev.json", "--as", "sam"]).exits(0);
    };
    record(0, "CVE-2098-1");
    assert_eq!(gate(&lockgate, 5)["outcome"], "waived");
    record(1, "CVE-2099-10001");
    let ended = gate(&lockgate, 3);
    assert_eq!((&ended["outcome"], &ended["reason"]), (&json!("fail"), &json!("WAIVER_ENDED_KEV")));
    let listed = &lockgate.json(&["waive", "list"], 0)[0];
    assert_eq!((&listed["state"], &listed["void"]), (&json!("void"), &json!("WAIVER_ENDED_KEV")));
    lockgate.run(&["waive", "list"]).exits(0).says("does not count: WAIVER_ENDED_KEV");

    // Whoever asks for another is told, and whoever grants it before they sign. A finding nobody exploits is no matter.
    let counts = "counts     no: WAIVER_ENDED_KEV, see `lockgate explain WAIVER_ENDED_KEV`";
    ask(&lockgate, "CVE-2099-10001", &RELEASE).exits(0).says(counts);
    let again = &lockgate.json(&["waive", "list"], 0)[0];
    assert_eq!((&again["state"], &again["void"]), (&json!("asked"), &json!("WAIVER_ENDED_KEV")));
    let request = again["request"].as_u64().unwrap().to_string();
    let shown = lockgate.run(&["waive", "grant", &request, "--as", "sam"]).refused(2, "CONFIRMATION_NEEDED");
    let fields = ["finding", "gate", "for", "until", "asked by", "reason", "ticket", "code", "counts"];
    shown.asks_about(&fields).says(counts);
    let other = ask(&lockgate, "CVE-2099-10002", &RELEASE).exits(0);
    assert!(!other.stdout.contains("counts"), "{other}");
    lockgate.run(&["explain", "WAIVER_ENDED_KEV"]).exits(0);
}
