//! Break-glass, freezes, waivers, feeds, and what decisions compare with: both verifiers say the same of them, and of
//! mutants of a ledger that is full of them.

use std::fs;

use lockgate_ledger::bundle;
use lockgate_model::Digest;
use serde_json::json;

use super::{Question, agree_on_mutants, assert_none, disagreements};
use crate::browser::driver::Browser;
use crate::forgery::forger::Forger;
use crate::instance::{Instance, artifact, text};

/// Gates that look at what runs, and at what else was let in.
const COMPARING: &str = "[[gate]]
name = \"coverage-kept\"
kind = \"coverage\"
environments = [\"staging\", \"production\"]
max_drop = \"5%\"
mode = \"warn\"

[[gate]]
name = \"room\"
kind = \"capacity\"
environments = [\"production\"]
at_once = 5
settle = \"1h\"
all_services = true
";

/// A demo with eve, who approves too, and ada, who audits; `P-3` of 1.4.2 is denied for one critical finding.
fn denied() -> Instance {
    let lockgate = Instance::demo();
    lockgate.enrol_approver("eve");
    lockgate.run(&["key", "generate", "ada.key"]).exits(0);
    lockgate.run(&["key", "enrol", "ada", "--group", "auditors", "--key", "ada.key", "--file", "ada.json"]).exits(0);
    lockgate.run(&["invite", "ada.json", "--as", "sam", "--yes"]).exits(0);
    lockgate.push("1.4.2", "trivy-critical.json").exits(0);
    lockgate.promote("1.4.2").exits(3);
    lockgate
}

/// Lets `P-3` past its gates, by sam and eve; gives the entry.
fn break_glass(lockgate: &Instance) -> String {
    let open = [
        "break-glass",
        "shop/web@1.4.2",
        "production",
        "--reason",
        "down",
        "--ticket",
        "INC-7",
        "--yes",
        "--as",
        "sam",
    ];
    let entry = lockgate.json(&open, 5)["result"]["break_glass"].as_u64().unwrap().to_string();
    lockgate.run(&["break-glass", "sign", &entry, "--yes", "--as", "eve"]).exits(0).says("P-3 is granted");
    entry
}

/// Freezes production, as sam; gives the entry.
fn freeze(lockgate: &Instance) -> String {
    let order = ["freeze", "--env", "production", "--reason", "stop", "--yes", "--as", "sam"];
    lockgate.json(&order, 0)["result"]["index"].as_u64().unwrap().to_string()
}

/// Both verifiers give this answer about a promotion of 1.4.2, as the ledger is now.
#[track_caller]
fn agree(browser: &mut Browser, lockgate: &Instance, promotion: &str, expected: Option<&str>) {
    lockgate.run(&["bundle", "get", promotion, "--file", "now.lockgate"]).exits(0);
    let good = fs::read(lockgate.file("now.lockgate")).unwrap();
    let trust = lockgate.trust();
    let now = bundle::open(&good, &trust, &mut Vec::new()).unwrap().state.time().unwrap();
    let question = Question {
        trust,
        artifact: Digest::of(&artifact("1.4.2")),
        service: "shop/web".parse().unwrap(),
        environment: "production".parse().unwrap(),
        now,
    };
    assert_eq!(question.kernel(&good), expected);
    question.pose(browser, &lockgate.url(), &good);
    let cases = [("the program's own".to_owned(), good.clone())];
    assert_none(&disagreements(browser, &question, &good, &cases), 1);
}

#[test]
fn the_browser_knows_break_glass_and_freezes() {
    let Some(mut browser) = Browser::start() else { return };
    let lockgate = denied();
    let entry = break_glass(&lockgate);
    agree(&mut browser, &lockgate, "P-3", None);
    lockgate.run(&["break-glass", "review", &entry, "--finding", "it was right", "--yes", "--as", "ada"]).exits(0);
    agree(&mut browser, &lockgate, "P-3", None);
    let frozen = freeze(&lockgate);
    agree(&mut browser, &lockgate, "P-3", Some("FROZEN"));
    lockgate.run(&["unfreeze", &frozen, "--reason", "over", "--yes", "--as", "eve"]).exits(0);
    agree(&mut browser, &lockgate, "P-3", None);
    // A lift by a stolen key lifts nothing, and a break-glass that one signed is suspect.
    let people = lockgate.get("/v1/people", Some(&lockgate.token("sam"))).json();
    let eve = people.as_array().unwrap().iter().find(|row| row["person"] == "eve").unwrap().clone();
    let key = text(&eve["keys"][0]["fingerprint"]);
    let end = |since: &str| {
        let stolen =
            ["--fingerprint", &key, "--compromised-since", since, "--reason", "stolen", "--as", "sam", "--yes"];
        lockgate.run(&[&["key", "revoke", "eve"][..], &stolen].concat()).exits(0);
    };
    end(&frozen);
    agree(&mut browser, &lockgate, "P-3", Some("FROZEN"));
    lockgate.run(&["unfreeze", &frozen, "--reason", "over", "--yes", "--as", "sam"]).exits(0);
    agree(&mut browser, &lockgate, "P-3", None);
    end(&entry);
    agree(&mut browser, &lockgate, "P-3", Some("SUSPECT_KEY"));
}

/// Asks for a waiver of the finding as dana, has it granted by sam, and gives the entry of the grant.
fn waive(lockgate: &Instance) -> String {
    let finding =
        ["waive", "request", "--gate", "vulnerabilities", "--finding", "CVE-2099-10001", "--env", "production"];
    let scope = ["--reason", "never called", "--release", "shop/web@1.4.2", "--ticket", "SEC-7", "--for", "7d"];
    lockgate.run(&[&finding[..], &scope].concat()).exits(0);
    let request = lockgate.json(&["waive", "list"], 0)[0]["request"].as_u64().unwrap().to_string();
    lockgate.run(&["waive", "grant", &request, "--as", "sam", "--yes"]).exits(0);
    lockgate.json(&["waive", "list"], 0)[0]["waiver"].as_u64().unwrap().to_string()
}

#[test]
fn the_browser_knows_waivers_and_backtests() {
    let Some(mut browser) = Browser::start() else { return };
    let lockgate = denied();
    let waiver = waive(&lockgate);
    // Two people could approve now, so both do.
    lockgate.run(&["approve", "P-3", "--as", "sam", "--yes"]);
    lockgate.run(&["approve", "P-3", "--as", "eve", "--key", "eve.key", "--yes"]);
    assert_eq!(lockgate.status_of("P-3"), "granted");
    agree(&mut browser, &lockgate, "P-3", None);
    lockgate.run(&["waive", "revoke", &waiver, "--reason", "it is called", "--as", "dana"]).exits(0);
    agree(&mut browser, &lockgate, "P-3", None);
    lockgate.policy("short", &[("policy.toml", "max_days = 90", "max_days = 14")]);
    lockgate.run(&["policy", "backtest", "short", "--report", "backtest.json"]);
    let activate =
        ["policy", "activate", "short", "--reason", "shorter", "--backtest", "backtest.json", "--as", "sam", "--yes"];
    lockgate.run(&activate).exits(0);
    agree(&mut browser, &lockgate, "P-3", None);
}

/// The chain of the release that ran, and the grants of other services, are followed by both.
#[test]
fn the_browser_follows_what_a_decision_compares_with() {
    let Some(mut browser) = Browser::start() else { return };
    let lockgate = Instance::new();
    lockgate.policy("comparing", &[]);
    lockgate.write("comparing/gates/comparing.toml", COMPARING);
    lockgate.start(&["--demo", "--policy", "comparing"]).exits(0);
    lockgate.push("1.4.1", "trivy.json").exits(0);
    lockgate.promote("1.4.1").exits(5);
    lockgate.run(&["approve", "P-3", "--as", "sam", "--yes"]).exits(0);
    lockgate.write("api.tar.gz", "another service");
    let push = ["push", "api.tar.gz", "--service", "shop/api", "--version", "1.0.0", "--tests", "junit.xml"];
    lockgate.run(&[&push[..], &["--sbom", "sbom.cdx.json", "--scan", "trivy.json"]].concat()).exits(0);
    lockgate.run(&["promote", "shop/api@1.0.0", "--to", "production", "--reason", "first"]).exits(5);
    lockgate.run(&["approve", "P-6", "--as", "sam", "--yes"]).exits(0);
    lockgate.push("1.4.2", "trivy.json").exits(0);
    lockgate.promote("1.4.2").exits(5);
    lockgate.run(&["approve", "P-9", "--as", "sam", "--yes"]).exits(0);
    agree(&mut browser, &lockgate, "P-9", None);
    agree(&mut browser, &lockgate, "P-3", Some("DIGEST_NOT_GRANTED"));
    agree(&mut browser, &lockgate, "P-6", Some("SERVICE_MISMATCH"));
}

/// A ledger with a waiver that ended, a feed, a break-glass that was reviewed, and a freeze that was lifted.
pub fn eventful() -> Instance {
    let lockgate = denied();
    let waiver = waive(&lockgate);
    lockgate.run(&["waive", "revoke", &waiver, "--reason", "it is called", "--as", "dana"]).exits(0);
    let entry = json!({ "cveID": "CVE-2098-1", "dateAdded": "2020-01-01", "knownRansomwareCampaignUse": "Unknown" });
    let kev = json!({
        "catalogVersion": "1", "dateReleased": "2020-01-02T00:00:00Z", "count": 1, "vulnerabilities": [entry],
    });
    lockgate.write("kev.json", kev.to_string());
    lockgate.run(&["feed", "update", "--kind", "kev", "--file", "kev.json", "--as", "sam"]).exits(0);
    let opened = break_glass(&lockgate);
    lockgate.run(&["break-glass", "review", &opened, "--finding", "it was right", "--yes", "--as", "ada"]).exits(0);
    let frozen = freeze(&lockgate);
    lockgate.run(&["unfreeze", &frozen, "--reason", "over", "--yes", "--as", "sam"]).exits(0);
    lockgate
}

#[test]
fn the_browser_agrees_on_mutants_of_an_emergency() {
    let Some(mut browser) = Browser::start() else { return };
    agree_on_mutants(&mut browser, &Forger::break_in(&eventful()));
}
