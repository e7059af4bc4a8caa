//! Slips: what people mistype is told as what it is, before anything is signed or recorded.

use lockgate_sign::ssh_signer::{FileSigner, SshSigner as _};
use serde_json::Value;

use crate::instance::{Instance, artifact_name, text};

#[test]
fn slips_are_told_as_what_they_are() {
    let lockgate = Instance::demo();
    let entries = lockgate.entries();
    let dana = FileSigner::load(&lockgate.key("dana")).unwrap().public_key().fingerprint();
    let end = |name: &str, key: &str, more: &[&str]| {
        let verb = if more.is_empty() { "retire" } else { "compromised" };
        let end = ["key", verb, name, "--fingerprint", key, "--reason", "a slip", "--yes", "--as", "sam"];
        lockgate.run(&[&end[..], more].concat())
    };
    end("dana", "SHA256:nothing", &[]).refused(6, "KEY_UNKNOWN");
    end("nobody", &dana, &[]).refused(6, "PERSON_UNKNOWN");
    end("dana", &dana, &["--since", "999999"]).refused(2, "KEY_SINCE");
    lockgate.run(&["init", "same"]).exits(0);
    let same = ["policy", "activate", "same", "--reason", "again", "--yes", "--as", "sam"];
    lockgate.run(&same).refused(7, "POLICY_SAME");
    lockgate.run(&["status", "shop/nothing"]).refused(6, "SERVICE_UNKNOWN");
    lockgate.run(&["history", "--service", "shop/nothing"]).refused(6, "SERVICE_UNKNOWN");
    lockgate.run(&["history", "--env", "nowhere"]).refused(6, "ENVIRONMENT_UNKNOWN");
    lockgate.run(&["history", "--env", "dev"]).exits(0);
    lockgate.run(&["history", "--person", "nobody"]).refused(6, "PERSON_UNKNOWN");
    lockgate.run(&["history", "--limit", "0"]).exits(2);
    lockgate.run(&["status", "--server", "nonsense"]).refused(2, "SERVER_URL");
    lockgate.run(&["login", "--oidc"]).refused(6, "OIDC_OFF");
    lockgate.run(&["reject", "--help"]).exits(0);
    assert!(!lockgate.run(&["reject", "--help"]).stdout.contains("withdraw"));
    let waive = ["waive", "request", "--gate", "scan", "--finding", "CVE-1", "--service", "shop/web", "--env", "dev"];
    let waive = |span: &str| lockgate.run(&[&waive[..], &["--reason", "x", "--for", span]].concat()).exits(2);
    waive("-1d").says("in the future");
    waive("999999d").says("at most");
    assert_eq!(lockgate.entries(), entries);
}

/// `--env` may be written out, in every command; and what one command calls `--file`, another calls `--out` or `--to`.
#[test]
fn either_name_of_an_option_is_taken() {
    let lockgate = Instance::granted();
    let run = |arguments: &[&str]| lockgate.run(arguments);
    run(&["history", "--environment", "dev"]).exits(0);
    run(&["history", "--environment", "nowhere"]).refused(6, "ENVIRONMENT_UNKNOWN");
    let app = artifact_name("1.4.2");
    run(&["verify", &app, "--service", "shop/web", "--environment", "production"]).exits(0).says("VERIFIED");
    run(&["access", "who", "approve", "--service", "shop/web", "--environment", "production"]).exits(0).says("sam");
    run(&["freeze", "--environment", "nowhere", "--reason", "x", "--yes", "--as", "sam"])
        .refused(6, "ENVIRONMENT_UNKNOWN");
    run(&["where", "pkg:npm/acme-router", "--environment", "production"]).exits(0);
    let waive = ["waive", "request", "--gate", "vulnerabilities", "--finding", "CVE-1", "--release", "shop/web@1.4.2"];
    let rest = ["--environment", "production", "--reason", "x", "--for", "7d", "--out", "waiver.json"];
    run(&[&waive[..], &rest].concat()).exits(0);
    run(&["waive", "revoke", "1", "--reason", "x", "--yes", "--as", "sam"]).refused(6, "WAIVER_UNKNOWN");
    for (file, option) in [("a", "--file"), ("b", "--out"), ("c", "--to")] {
        run(&["bundle", "get", "P-3", option, file]).exits(0);
        run(&["bundle", "view", "a", option, &format!("{file}.html")]).exits(0);
    }
    run(&["bundle", "extract", "a", "--out", "parts"]).exits(0);
    run(&["trust", "export", "--out", "trust"]).exits(0);
    // The directory stands for the trust file in it.
    let offline = ["verify", &app, "--service", "shop/web", "--env", "production", "--bundle", "a", "--trust", "trust"];
    run(&offline).exits(0).says("VERIFIED");
    run(&["trust", "pin", "trust", "--yes"]).exits(0);
    run(&["audit", "export", "--file", "audit.json"]).exits(0);
    for made in ["waiver.json", "a", "b", "c", "a.html", "b.html", "c.html", "parts", "trust", "audit.json"] {
        assert!(lockgate.file(made).exists(), "{made}");
    }
    // They are the same option under another name, and help names each once.
    assert!(!run(&["bundle", "get", "--help"]).exits(0).stdout.contains("--out "));
    assert!(!run(&["waive", "revoke", "--help"]).exits(0).stdout.contains("--yes"));
}

#[test]
fn a_pipeline_governs_nothing_and_is_named_exactly() {
    let lockgate = Instance::demo();
    let entries = lockgate.entries();
    let add = |more: &[&str]| {
        let trust =
            ["ci", "trust", "add", "github", "--owner-id", "1", "--repository-id", "2", "--service", "shop/web"];
        lockgate.run(&[&trust[..], &["--machine", "web-ci", "--yes", "--as", "sam"], more].concat())
    };
    for group in ["owners", "approvers"] {
        add(&["--group", group]).refused(2, "CI_TRUST_GROUP");
    }
    add(&["--ref", "main"]).refused(2, "CI_TRUST_REF");
    add(&["--workflow-ref", "release.yml"]).refused(2, "CI_TRUST_REF");
    assert_eq!(lockgate.entries(), entries);
    add(&["--ref", "refs/heads/main"]).exits(0);
}

/// Somebody who reads one team's services learns nothing of another's from what governs both.
#[test]
fn foreign_services_stand_in_no_list() {
    let lockgate = Instance::new();
    let scoped =
        "roles = []\n\n[[bindings]]\nrole = \"developer\"\ngroups = [\"developers\"]\nservices = [\"payments/*\"]";
    lockgate.policy("scoped", &[("people.toml", "roles = [\"developer\"]", scoped)]);
    lockgate.start(&["--demo", "--policy", "scoped"]).exits(0);
    lockgate.enrol_approver("eve");
    let trust = ["ci", "trust", "add", "github", "--owner-id", "1", "--repository-id", "2", "--machine", "team-ci"];
    let rest = ["--service", "shop/web", "--yes", "--as", "sam"];
    lockgate.run(&[&trust[..], &rest].concat()).exits(0);
    let lend = ["delegate", "add", "eve", "--service", "shop/web", "--reason", "away", "--yes", "--as", "sam"];
    lockgate.run(&lend).exits(0).says("where you may approve yourself");
    lockgate.write("app.tar.gz", "an app");
    let push = ["push", "app.tar.gz", "--service", "shop/web", "--version", "1.0.0", "--sbom", "sbom.cdx.json"];
    lockgate.run(&[&push[..], &["--as", "ci"]].concat()).exits(0);
    lockgate.run(&["freeze", "--service", "shop/web", "--reason", "an incident", "--yes", "--as", "sam"]).exits(0);
    let freezes = ["freeze", "list"];
    let own = [&["ci", "trust", "list"][..], &["delegate", "list"], &["change", "list"], &["history", "--governance"]];
    for list in own.into_iter().chain([&freezes[..]]) {
        let seen = |name: &str| lockgate.json(&[list, &["--as", name]].concat(), 0).to_string();
        assert!(!seen("dana").contains("shop/web"), "{list:?}: {}", seen("dana"));
    }
    for list in [&["ci", "trust", "list"][..], &["delegate", "list"], &["history", "--governance"], &freezes] {
        assert!(lockgate.json(&[list, &["--as", "sam"]].concat(), 0).to_string().contains("shop/web"), "{list:?}");
    }
    let history = lockgate.json(&["history", "--governance", "--as", "dana"], 0);
    let items: &Vec<Value> = history["items"].as_array().unwrap();
    let trusted = items.iter().find(|item| item["event"] == "ci.trusted").unwrap();
    assert!(text(&trusted["summary"]).ends_with("on (services that you may not read)"), "{trusted}");
    let frozen = items.iter().find(|item| item["event"] == "freeze.ordered").unwrap();
    assert_eq!(text(&frozen["summary"]), "sam froze (services that you may not read): an incident");
    lockgate.run(&["access", "review", "--as", "dana"]).refused(4, "NOT_PERMITTED");
    lockgate.run(&["access", "review", "--as", "sam"]).exits(0);
}

#[test]
fn a_change_that_can_only_fail_is_stale() {
    let lockgate = Instance::demo();
    lockgate.run(&["key", "generate", "kim.key"]).exits(0);
    let enrol = ["key", "enrol", "kim", "--group", "owners", "--key", "kim.key", "--file", "kim.json"];
    lockgate.run(&enrol).exits(0);
    lockgate.run(&["invite", "kim.json", "--as", "sam", "--yes"]).exits(0);
    for (dir, ttl) in [("one", "24h"), ("two", "36h")] {
        let other = format!("approval_ttl = \"{ttl}\"");
        lockgate.policy(dir, &[("policy.toml", "approval_ttl = \"72h\"", other.as_str())]);
        lockgate.run(&["policy", "activate", dir, "--reason", dir, "--yes", "--as", "sam"]).exits(5);
    }
    lockgate.run(&["change", "sign", "C-2", "--as", "kim", "--yes"]).exits(0);
    let list = lockgate.run(&["change", "list", "--as", "kim"]).exits(0);
    assert!(!list.stdout.contains("lockgate change sign"), "{list}");
    list.says("stale").says("lockgate change reject C-1 --reason stale");
    lockgate.run(&["change", "show", "C-1", "--as", "kim"]).exits(0).says("stale");
    assert!(!lockgate.run(&["status", "--as", "kim"]).exits(0).stderr.contains("C-1"));
    // What changes cannot be shown any more: it is not even asked whether to sign it.
    lockgate.run(&["change", "sign", "C-1", "--as", "kim"]).refused(7, "POLICY_STALE").says("nothing was signed");
    lockgate.run(&["change", "sign", "C-1", "--as", "kim", "--yes"]).refused(7, "POLICY_STALE");
    lockgate.run(&["change", "sign", "C-2", "--as", "kim", "--yes"]).refused(7, "CHANGE_CLOSED");
    lockgate.run(&["change", "reject", "C-1", "--reason", "stale", "--as", "kim"]).exits(0);
}
