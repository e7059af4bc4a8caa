//! Where is it: which releases something is in, and which environments run them now or ran them at a time.

use std::fs;

use lockgate_model::Digest;
use serde_json::Value;

use crate::instance::{Instance, artifact, text};

fn rows(reply: &Value) -> Vec<Value> {
    reply["rows"].as_array().unwrap().clone()
}

fn runs_in(row: &Value) -> Vec<String> {
    row["runs"].as_array().unwrap().iter().map(|run| text(&run["environment"])).collect()
}

fn find(lockgate: &Instance, query: &str) -> Vec<Value> {
    rows(&lockgate.json(&["where", query], 0))
}

#[test]
fn a_package_is_found_where_it_runs() {
    let lockgate = Instance::granted();
    let found = find(&lockgate, "pkg:npm/acme-router@4.1.0");
    let [row] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((text(&row["release"]), text(&row["kind"])), ("shop/web@1.4.2".to_owned(), "sbom".to_owned()));
    assert_eq!(text(&row["artifacts"][0]["digest"]), Digest::of(&artifact("1.4.2")).to_string());
    assert_eq!(runs_in(row), ["dev", "production", "staging"]);
    assert_eq!(find(&lockgate, "pkg:npm/acme-router").len(), 1);
    assert_eq!(find(&lockgate, "pkg:npm/%40acme/session@0.9.4").len(), 1);
    assert!(find(&lockgate, "pkg:npm/acme-*").len() > 1);
    assert!(find(&lockgate, "pkg:npm/acme-router@4.1.1").is_empty());
    assert!(find(&lockgate, "pkg:npm/acme-rout").is_empty());
    lockgate
        .run(&["where", "pkg:npm/acme-router"])
        .exits(0)
        .says("shop/web@1.4.2")
        .says("production since")
        .says("note:");
    lockgate.run(&["where", "pkg:npm/nowhere"]).exits(0).says("nothing that you may read");
    lockgate.run(&["where", "acme-router"]).refused(2, "QUERY_INVALID");
    let only = rows(&lockgate.json(&["where", "pkg:npm/acme-router", "--env", "production"], 0));
    assert_eq!(only.len(), 1);
    let nowhere = lockgate.run(&["where", "pkg:npm/acme-router", "--env", "nowhere"]);
    nowhere.refused(6, "ENVIRONMENT_UNKNOWN").says("it has dev, staging, production");
}

#[test]
fn what_ran_at_a_time_is_told_with_its_end() {
    let lockgate = Instance::granted();
    let before =
        text(&lockgate.json(&["where", "pkg:npm/acme-router@4.1.0", "--at", "2020-01-01T00:00:00Z"], 0)["query"]);
    assert_eq!(before, "pkg:npm/acme-router@4.1.0");
    let at = |time: &str| rows(&lockgate.json(&["where", "pkg:npm/acme-router@4.1.0", "--at", time], 0));
    assert!(runs_in(&at("2020-01-01T00:00:00Z")[0]).is_empty());
    let sbom = fs::read_to_string(lockgate.file("sbom.cdx.json")).unwrap();
    lockgate.write("sbom.cdx.json", sbom.replace("4.1.0", "4.2.7"));
    let page = lockgate.json(&["history", "--promotion", "P-3", "--limit", "1"], 0);
    let granted = page["items"][0]["time"].as_u64().unwrap();
    lockgate.push("1.5.0", "trivy.json").exits(0);
    lockgate.run(&["promote", "shop/web@1.5.0", "--to", "dev", "--reason", "next"]).exits(0);
    let now = find(&lockgate, "pkg:npm/acme-router@4.1.0");
    assert_eq!(runs_in(&now[0]), ["production", "staging"]);
    assert_eq!(runs_in(&find(&lockgate, "pkg:npm/acme-router@4.2.7")[0]), ["dev"]);
    // What runs comes first, whatever its version.
    let both = find(&lockgate, "pkg:npm/acme-router");
    assert_eq!(both.len(), 2);
    let moment = lockgate_model::UnixMillis(granted).to_string();
    let then = at(&moment);
    let dev = then[0]["runs"].as_array().unwrap().iter().find(|run| run["environment"] == "dev").unwrap().clone();
    assert!(dev["since"].as_u64().unwrap() <= granted && dev["until"].as_u64().unwrap() >= granted, "{dev}");
}

#[test]
fn findings_keys_digests_and_builders_are_found() {
    let lockgate = Instance::granted();
    lockgate.push("1.4.3", "trivy-critical.json").exits(0);
    let scan: Value = serde_json::from_slice(&fs::read(lockgate.file("trivy-critical.json")).unwrap()).unwrap();
    let results = scan["Results"].as_array().unwrap();
    let id = results
        .iter()
        .filter_map(|result| result["Vulnerabilities"].as_array())
        .flatten()
        .map(|finding| text(&finding["VulnerabilityID"]))
        .next()
        .unwrap();
    for query in [format!("cve:{id}"), format!("cve:{}", id.to_lowercase())] {
        let found = find(&lockgate, &query);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((text(&found[0]["release"]), runs_in(&found[0]).len()), ("shop/web@1.4.3".to_owned(), 0));
    }
    let signed = find(&lockgate, "key:sam");
    assert_eq!((signed.len(), text(&signed[0]["promotion"])), (1, "P-3".to_owned()));
    let key = text(&lockgate.json(&["why", "P-3"], 0)["approvals"][0]["key"]);
    assert_eq!(find(&lockgate, &format!("key:{key}")).len(), 1);
    assert!(find(&lockgate, "key:dana").is_empty());
    lockgate.run(&["where", "key:dana"]).exits(0).says("nothing that you may read has key:dana");
    lockgate.run(&["where", "key:dan"]).exits(0).says("key:dan is no person, machine or signer");
    let digest = Digest::of(&artifact("1.4.2")).to_string();
    let bytes = find(&lockgate, &digest);
    assert_eq!((text(&bytes[0]["kind"]), bytes.len()), ("artifact".to_owned(), 1));
    let sbom = Digest::of(&fs::read(lockgate.file("sbom.cdx.json")).unwrap()).to_string();
    let evidence = find(&lockgate, &sbom);
    assert_eq!(evidence.len(), 2, "the same evidence about two releases: {evidence:?}");
    assert!(find(&lockgate, "builder:https://nobody.example").is_empty());
}

#[test]
fn the_index_can_be_made_again() {
    let lockgate = Instance::granted();
    let queries = ["pkg:npm/acme-*", "key:sam", &Digest::of(&artifact("1.4.2")).to_string()].map(str::to_owned);
    let answers =
        |lockgate: &Instance| queries.clone().map(|query| lockgate.json(&["where", &query], 0)["rows"].clone());
    let first = answers(&lockgate);
    lockgate.run(&["doctor", "--rebuild"]).refused(7, "STORE_LOCKED");
    lockgate.stop();
    // Thrown away behind the server's back, it is made again at the next start.
    let database = rusqlite::Connection::open(lockgate.home().join("data/ledger.db")).unwrap();
    database.execute_batch("DELETE FROM projection WHERE kind IN ('where', 'where-state');").unwrap();
    drop(database);
    lockgate.start(&[]).exits(0);
    assert_eq!(answers(&lockgate), first);
    lockgate.stop();
    lockgate.run(&["doctor", "--rebuild"]).exits(0).says("rows");
    lockgate.start(&[]).exits(0);
    assert_eq!(answers(&lockgate), first);
}

#[test]
fn another_services_packages_are_not_told() {
    let lockgate = Instance::new();
    let scoped = "roles = []\n\n[[bindings]]\nrole = \"developer\"\ngroups = [\"developers\"]\nservices = [\"bank/*\"]";
    lockgate.policy("scoped", &[("people.toml", "roles = [\"developer\"]", scoped)]);
    lockgate.start(&["--demo", "--policy", "scoped"]).exits(0);
    let file = crate::instance::artifact_name("1.4.2");
    lockgate.write(&file, artifact("1.4.2"));
    let push = ["push", &file, "--service", "shop/web", "--version", "1.4.2", "--sbom", "sbom.cdx.json", "--as", "ci"];
    lockgate.run(&push).exits(0);
    let digest = Digest::of(&artifact("1.4.2")).to_string();
    for query in ["pkg:npm/acme-router", "pkg:npm/acme-*", &digest] {
        let hidden = lockgate.json(&["where", query, "--as", "dana"], 0);
        assert!(rows(&hidden).is_empty() && !hidden.to_string().contains("shop"), "{hidden}");
        assert!(!rows(&lockgate.json(&["where", query, "--as", "sam"], 0)).is_empty(), "{query}");
    }
}

/// The history is picked by build, outcome and policy set, on the command line as on the page.
#[test]
fn a_build_leads_to_everything_that_happened_to_its_releases() {
    let lockgate = Instance::pending();
    let commit = "0123456789abcdef0123456789abcdef01234567";
    lockgate.write("built.tar.gz", "built");
    let push = ["push", "built.tar.gz", "--service", "shop/api", "--version", "1.0.0", "--tests", "junit.xml"];
    let source = ["--source-repository", "https://example.com/shop/api", "--source-commit", commit];
    lockgate.run(&[&push[..], &source[..]].concat()).exits(0);
    lockgate.run(&["promote", "shop/api@1.0.0", "--to", "dev", "--reason", "first"]).exits(0);
    let history = |arguments: &[&str]| {
        let reply = lockgate.json(&[&["history", "--limit", "200"][..], arguments].concat(), 0);
        reply["items"].as_array().unwrap().clone()
    };
    let about = |row: &Value| row["entry"]["event"]["body"]["release"] == "shop/api@1.0.0";
    for start in [commit, &commit[..7]] {
        let found = history(&["--build", start]);
        assert!(found.iter().all(about), "{found:?}");
        for event in ["release.published", "evidence.recorded", "promotion.requested", "grant.issued"] {
            assert!(found.iter().any(|row| row["event"] == event), "{event}: {found:?}");
        }
    }
    let one = lockgate.json(&["history", "--build", commit, "--limit", "1"], 0);
    let next = one["next"].as_u64().unwrap().to_string();
    let rest = history(&["--build", commit, "--before", &next]);
    assert_eq!(rest.len() + 1, history(&["--build", commit]).len());
    assert!(history(&["--build", "fedcba98"]).is_empty());
    let allowed = history(&["--build", commit, "--outcome", "allow"]);
    assert!(!allowed.is_empty() && allowed.iter().all(|row| row["event"] == "decision.recorded"), "{allowed:?}");
    assert!(history(&["--build", commit, "--outcome", "deny"]).is_empty());
    lockgate.run(&["history", "--outcome", "denied"]).refused(2, "QUERY_INVALID").says("allow, deny, pending");
    lockgate.run(&["history", "--event", "nope"]).refused(2, "QUERY_INVALID").says("access, approval, ");
    lockgate.run(&["history", "--since", "yesterday"]).refused(2, "QUERY_INVALID").says("YYYY-MM-DD");
    let page = lockgate.run(&["history", "--promotion", "P-1", "--limit", "1"]).exits(0);
    page.says("  older      lockgate history --promotion P-1 --limit 1 --before ");
    let url = lockgate.url();
    let page = lockgate.run(&["--server", &url, "history", "--promotion", "P-1", "--limit", "1"]).exits(0);
    page.says(&format!("  older      lockgate history --promotion P-1 --limit 1 --server {url} --before "));
    lockgate.run(&["history", "--promotion", "P-1", "--before", "999"]).exits(0).says("these are the newest");
}
