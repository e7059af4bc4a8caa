//! Release diff: between releases and environments, with gates, and in what an approver signs.

use std::fs;

use serde_json::json;

use crate::instance::{Instance, text};

/// 1.4.2 runs in production; 1.5.0 has another router and a critical finding, and runs in dev.
fn two() -> Instance {
    let lockgate = Instance::granted();
    let sbom = fs::read_to_string(lockgate.file("sbom.cdx.json")).unwrap();
    lockgate.write("sbom.cdx.json", sbom.replace("4.1.0", "4.2.7"));
    lockgate.push("1.5.0", "trivy-critical.json").exits(0);
    lockgate
}

#[test]
fn findings_components_and_gates_are_compared() {
    let lockgate = two();
    let releases = ["diff", "shop/web@1.4.2", "shop/web@1.5.0"];
    let diff = lockgate.json(&[&releases[..], &["--environment", "production"]].concat(), 0);
    let added = diff["findings_added"].as_array().unwrap();
    assert!(!added.is_empty() && added.iter().any(|finding| finding["severity"] == "critical"), "{diff}");
    assert_eq!(diff["findings_fixed"], json!([]));
    assert_eq!((&diff["components"][0]["before"], &diff["components"][0]["after"]), (&json!("4.1.0"), &json!("4.2.7")));
    assert_eq!(diff["tests"][0], diff["tests"][1]);
    assert_eq!((&diff["sboms"], &diff["scans"]), (&json!([true, true]), &json!([true, true])));
    let gates = diff["gates"].as_array().unwrap();
    let stopped = gates.iter().find(|gate| gate["before"] == "pass" && gate["after"] == "fail");
    assert!(stopped.is_some(), "{diff}");
    // Back again it is the same the other way round.
    let back = lockgate.json(&["diff", "shop/web@1.5.0", "shop/web@1.4.2"], 0);
    assert_eq!((&back["findings_fixed"], &back["gates"]), (&diff["findings_added"], &json!([])));
    lockgate.run(&releases).exits(0).says("FINDING").says("4.2.7").says("size");
    let entries = lockgate.entries();
    lockgate.run(&[&releases[..], &["--environment", "nowhere"]].concat()).refused(6, "ENVIRONMENT_UNKNOWN");
    assert_eq!(lockgate.entries(), entries);
}

#[test]
fn environments_are_compared_by_what_they_run() {
    let lockgate = Instance::granted();
    lockgate.push("1.5.0", "trivy.json").exits(0);
    lockgate.run(&["promote", "shop/web@1.5.0", "--to", "dev", "--reason", "next"]).exits(0);
    let diff = lockgate.json(&["diff", "shop/web", "--from", "production", "--to", "dev"], 0);
    assert_eq!((text(&diff["from"]), text(&diff["to"])), ("shop/web@1.4.2".to_owned(), "shop/web@1.5.0".to_owned()));
    assert_eq!(text(&diff["environment"]), "production");
    lockgate.run(&["diff", "shop/web", "--from", "production", "--to", "nowhere"]).refused(6, "ENVIRONMENT_UNKNOWN");
    lockgate.run(&["diff", "shop/api", "--from", "production", "--to", "dev"]).refused(6, "NOTHING_RUNS");
    lockgate.run(&["diff", "shop/web@1.4.2", "--from", "production", "--to", "dev"]).refused(2, "SERVICE_INVALID");
    lockgate.run(&["diff", "shop/web"]).exits(2);
    lockgate.run(&["diff", "shop/web", "--from", "production"]).exits(2);
    lockgate.run(&["diff", "shop", "shop/web@1.5.0"]).refused(2, "RELEASE_INVALID");
}

#[test]
fn an_approver_signs_what_changes_and_the_audit_counts_again() {
    let lockgate = Instance::granted();
    let sbom = fs::read_to_string(lockgate.file("sbom.cdx.json")).unwrap();
    lockgate.write("sbom.cdx.json", sbom.replace("4.1.0", "4.2.7"));
    lockgate.push("1.5.0", "trivy.json").exits(0);
    lockgate.promote("1.5.0").exits(5);
    let status = lockgate.json(&["status"], 0);
    let promotion = text(&status["open"][0]["promotion"]);
    let sam = lockgate.token("sam");
    let page = lockgate.get(&format!("/v1/promotions/{promotion}/document"), Some(&sam)).json();
    assert!(text(&page["text"]).contains("dependencies: 0 new, 0 gone, 1 in another version"), "{page}");
    // Evidence that comes after the document was signed changes nothing of what it says.
    lockgate
        .run(&["approve", &promotion, "--as", "sam", "--yes"])
        .exits(0)
        .says("dependencies: 0 new, 0 gone, 1 in another version")
        .says("findings: 0 new, 0 fixed");
    lockgate.run(&["attest", "shop/web@1.5.0", "--scan", "trivy-critical.json"]).exits(0);
    lockgate.run(&["audit"]).exits(0).says("is sound");
}
