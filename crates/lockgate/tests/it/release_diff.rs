//! Release diff: between releases and environments, with gates, and in what an approver signs.

use std::fs;

use serde_json::json;

use crate::instance::{Instance, artifact, artifact_name, text};

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
    let diff = lockgate.json(&[&releases[..], &["--env", "production"]].concat(), 0);
    let added = diff["findings_added"].as_array().unwrap();
    assert!(!added.is_empty() && added.iter().any(|finding| finding["severity"] == "critical"), "{diff}");
    assert_eq!(diff["findings_fixed"], json!([]));
    assert_eq!((&diff["components"][0]["before"], &diff["components"][0]["after"]), (&json!("4.1.0"), &json!("4.2.7")));
    assert_eq!(diff["tests"][0], diff["tests"][1]);
    assert_eq!((&diff["sboms"], &diff["scans"]), (&json!([true, true]), &json!([true, true])));
    let gates = diff["gates"].as_array().unwrap();
    let stopped = gates.iter().find(|gate| gate["before"] == "pass" && gate["after"] == "fail");
    assert!(stopped.is_some(), "{diff}");
    // What would happen is every gate, and changes by no more than what the list of changes says.
    let supposed = diff["supposed"]["gates"].as_array().unwrap();
    assert_eq!(diff["supposed"]["outcome"], "deny", "{diff}");
    for change in gates.iter().filter(|change| change["after"] != json!(null)) {
        let gate = supposed.iter().find(|gate| gate["gate"] == change["gate"]).unwrap();
        assert_eq!((&gate["outcome"], &gate["reason"]), (&change["after"], &change["reason"]), "{diff}");
    }
    assert!(supposed.iter().any(|gate| gate["outcome"] == "pass"), "{diff}");
    let (sam, query) = (lockgate.token("sam"), "from=shop/web@1.4.2&to=shop/web@1.5.0&environment=production");
    // Each is asked for by whoever looks, so that page and API are compared for one person.
    let reply = lockgate.get(&format!("/v1/diff?{query}"), Some(&sam)).json();
    let page = lockgate.get(&format!("/diff?{query}"), Some(&sam));
    let page = String::from_utf8_lossy(&page.body).into_owned();
    let gates = reply["supposed"]["gates"].as_array().unwrap();
    assert_eq!(gates.len(), supposed.len(), "{reply}");
    for gate in gates {
        let (_, shown) = page.split_once(&format!("id=\"supposed-gate-{}\"", text(&gate["gate"]))).unwrap();
        let (shown, _) = shown.split_once("</li>").unwrap();
        let outcome = format!("</span> {}</span>", text(&gate["outcome"]));
        assert!(shown.contains(&outcome) && shown.contains(&text(&gate["reason"])), "{gate}: {shown}");
    }
    // Back again it is the same the other way round.
    let back = lockgate.json(&["diff", "shop/web@1.5.0", "shop/web@1.4.2"], 0);
    assert_eq!((&back["findings_fixed"], &back["gates"]), (&diff["findings_added"], &json!([])));
    assert_eq!(back["supposed"], json!(null));
    // Asked where the first one runs, if nothing else is said.
    lockgate.run(&releases).exits(0).says("FINDING").says("4.2.7").says("size").says("GATE IN PRODUCTION");
    lockgate.run(&["diff", "shop/web@1.5.0", "shop/web@1.4.2"]).exits(0).says("gates were not asked");
    let entries = lockgate.entries();
    lockgate.run(&[&releases[..], &["--env", "nowhere"]].concat()).refused(6, "ENVIRONMENT_UNKNOWN");
    assert_eq!(lockgate.entries(), entries);
}

#[test]
fn what_no_scanner_looked_for_again_is_not_fixed() {
    let lockgate = two();
    let file = artifact_name("1.6.0");
    lockgate.write(&file, artifact("1.6.0"));
    lockgate.write("grype.json", r#"{"matches":[],"descriptor":{"name":"grype","version":"0.80.0"}}"#);
    let push = ["push", &file, "--service", "shop/web", "--version", "1.6.0", "--sbom", "sbom.cdx.json"];
    lockgate.run(&[&push[..], &["--scan", "grype=grype.json"]].concat()).exits(0);
    let releases = ["diff", "shop/web@1.5.0", "shop/web@1.6.0"];
    let count = |of: &str| {
        let diff = lockgate.json(&releases, 0);
        (diff["findings_added"].as_array().unwrap().len(), diff[of].as_array().map_or(0, Vec::len))
    };
    // Both list the package, and only another scanner looked at the second.
    assert_eq!(count("findings_fixed"), (0, 0));
    assert!(count("findings_unreported").1 > 0);
    lockgate.run(&releases).exits(0).says("No longer reported is not fixed");
    let markdown = lockgate.run(&[&releases[..], &["--markdown"]].concat()).exits(0);
    markdown.says("| no longer reported |");
    // What the same scanner does not find any more is fixed; what a report of it has found stays found.
    lockgate.run(&["attest", "shop/web@1.6.0", "--scan", "trivy.json"]).exits(0);
    assert!(count("findings_fixed").1 > 0);
    assert_eq!(count("findings_unreported").1, 0);
    lockgate.run(&["attest", "shop/web@1.6.0", "--scan", "trivy-critical.json"]).exits(0);
    lockgate.run(&["attest", "shop/web@1.6.0", "--scan", "trivy.json"]).exits(0);
    assert_eq!((count("findings_fixed"), count("findings_unreported")), ((0, 0), (0, 0)));
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
        .says("findings: 0 new, 0 fixed")
        .says("gates: none comes out otherwise");
    lockgate.run(&["attest", "shop/web@1.5.0", "--scan", "trivy-critical.json"]).exits(0);
    lockgate.run(&["audit"]).exits(0).says("is sound");
}

/// What stands behind a promotion besides its gates: the API and the page say the same, and the ledger says it.
#[test]
fn a_promotion_says_what_went_before_it() {
    let lockgate = Instance::pending();
    let sam = lockgate.token("sam");
    let told = |promotion: &str| {
        let reply = lockgate.get(&format!("/v1/promotions/{promotion}"), Some(&sam)).json();
        let page = lockgate.get(&format!("/promotions/{promotion}"), Some(&sam));
        assert_eq!(page.status, 200, "{page:?}");
        (reply, String::from_utf8_lossy(&page.body).into_owned())
    };
    let (reply, page) = told("P-3");
    assert_eq!((&reply["firsts"], &reply["approved_before"]), (&json!([{ "kind": "release" }]), &json!(null)));
    assert!(page.contains("It is the first release of shop/web.") && !page.contains("before-title"), "{page}");
    lockgate.run(&["approve", "P-3", "--as", "sam", "--yes", "--comment", "read it all"]).exits(0);
    let (reply, page) = told("P-3");
    assert_eq!(reply["approvals"][0]["comment"], "read it all", "{reply}");
    // Its own approval did not go before it.
    assert_eq!(reply["approved_before"], json!(null), "{reply}");
    assert!(page.contains("read it all"), "{page}");
    lockgate.run(&["why", "P-3"]).exits(0).says("saying: read it all");

    let sbom = fs::read_to_string(lockgate.file("sbom.cdx.json")).unwrap();
    lockgate.write("sbom.cdx.json", sbom.replace("4.1.0", "4.2.7"));
    lockgate.push("1.5.0", "trivy.json").exits(0);
    lockgate.promote("1.5.0").exits(5);
    let waiting = text(&lockgate.json(&["status"], 0)["open"][0]["promotion"]);
    let (reply, page) = told(&waiting);
    let before = reply["approved_before"].as_array().unwrap();
    assert_eq!(before.len(), 1, "{reply}");
    assert_eq!((&before[0]["person"], &before[0]["promotion"]), (&json!("sam"), &json!("P-3")), "{reply}");
    // The same machine published the release before.
    assert_eq!(reply["firsts"], json!(null), "{reply}");
    let row = format!("before-{}", before[0]["index"]);
    for wanted in ["What changes against", "/diff?from=", "All that changes", row.as_str()] {
        assert!(page.contains(wanted), "{wanted}: {page}");
    }
    // What bills of materials tell is not read for every view of it.
    assert!(!page.contains("0 new, 0 gone"), "{page}");

    // What became of the first one, once the second is granted.
    lockgate.run(&["approve", &waiting, "--as", "sam", "--yes"]).exits(0);
    let release = lockgate.get("/v1/releases/shop/web@1.4.2", Some(&sam)).json();
    let places = release["running"].as_array().unwrap();
    let production = places.iter().find(|row| row["environment"] == "production").unwrap();
    let decision = production["decision"].as_u64().unwrap();
    assert!(production["replaced_at"].as_u64() >= production["granted_at"].as_u64(), "{release}");
    assert!(production["replaced_at"].is_u64() && production["reported"].is_null(), "{release}");
    let page = lockgate.get("/releases/shop/web@1.4.2", Some(&sam));
    let page = String::from_utf8_lossy(&page.body).into_owned();
    for wanted in [format!("/timeline?before={}", decision + 1), " ran</span> until ".to_owned()] {
        assert!(page.contains(&wanted), "{wanted}: {page}");
    }
    let entry = lockgate.get(&format!("/v1/history?before={}&limit=1", decision + 1), Some(&sam)).json();
    assert_eq!(entry["items"][0]["event"], "decision.recorded", "{entry}");
}

#[test]
fn an_approver_signs_which_gates_change_and_the_audit_decides_again() {
    let lockgate = Instance::granted();
    lockgate.push("1.5.0", "trivy-critical.json").exits(0);
    lockgate.promote("1.5.0").exits(3);
    let status = lockgate.json(&["status"], 0);
    let promotion = text(&status["open"][0]["promotion"]);
    let sam = lockgate.token("sam");
    let page = lockgate.get(&format!("/v1/promotions/{promotion}/document"), Some(&sam)).json();
    let failing = "gates newly failing: vulnerabilities";
    assert!(text(&page["text"]).contains(failing), "{page}");
    // The same comes out here, of entries that were verified here.
    lockgate.run(&["approve", &promotion, "--as", "sam", "--yes"]).exits(3).says(failing);
    lockgate.run(&["audit"]).exits(0).says("is sound");
}
