//! Feeds of vulnerabilities: recorded, demanded, named by decisions, proven by bundles.

use std::fs;
use std::path::Path;

use lockgate_model::{Digest, UnixMillis};
use serde_json::{Value, json};

use crate::instance::{Instance, skipped, text, variable};

/// The day that the ledger's clock shows, so many days earlier.
fn day(lockgate: &Instance, ago: u64) -> String {
    let newest = lockgate.json(&["history", "--limit", "1"], 0);
    let now = newest["items"][0]["time"].as_u64().unwrap();
    UnixMillis(now - ago * 86_400_000).rfc3339_secs()[..10].to_owned()
}

fn kev(day: &str, cves: &[&str]) -> String {
    let entry =
        |cve: &&str| json!({ "cveID": cve, "dateAdded": "2026-01-02", "knownRansomwareCampaignUse": "Unknown" });
    let entries: Vec<Value> = cves.iter().map(entry).collect();
    let released = format!("{day}T00:00:00Z");
    json!({ "catalogVersion": "1", "dateReleased": released, "count": entries.len(), "vulnerabilities": entries })
        .to_string()
}

fn epss(day: &str, rows: &[(&str, &str)]) -> String {
    let rows: String = rows.iter().map(|(cve, score)| format!("{cve},{score},0.5\n")).collect();
    format!("#model_version:v2025.03.14,score_date:{day}T00:00:00+0000\ncve,epss,percentile\n{rows}")
}

/// A demo whose scans are held against both feeds, with `P-3` of a release in which nothing is worse than medium.
fn demanding() -> Instance {
    let lockgate = Instance::new();
    let demand = "fix_available_only = true\nkev = true\nepss = \"50%\"\nfeed_max_age_days = 3";
    lockgate.policy("feeds", &[("gates/evidence.toml", "fix_available_only = true", demand)]);
    lockgate.start(&["--demo", "--policy", "feeds"]).exits(0);
    let scan = fs::read_to_string(lockgate.file("trivy-critical.json")).unwrap();
    lockgate.write("trivy-medium.json", scan.replace("CRITICAL", "MEDIUM"));
    lockgate.push("1.0.0", "trivy-medium.json").exits(0);
    lockgate.promote("1.0.0").exits(3).says("FEED_MISSING").says("lockgate feed update --kind kev");
    lockgate
}

fn update<'a>(kind: &'a str, file: &'a str, person: &'a str) -> [&'a str; 8] {
    ["feed", "update", "--kind", kind, "--file", file, "--as", person]
}

#[test]
fn decisions_ask_the_newest_snapshots_and_name_them() {
    let lockgate = demanding();
    let (today, before) = (day(&lockgate, 0), day(&lockgate, 9));
    lockgate.write("old.json", kev(&before, &["CVE-2098-1"]));
    lockgate.write("new.json", kev(&today, &["CVE-2098-1", "CVE-2098-2"]));
    lockgate.write("new.csv", epss(&today, &[("CVE-2098-1", "0.9")]));
    lockgate.run(&update("kev", "old.json", "sam")).exits(0).says("is recorded: 1 vulnerabilities");
    lockgate.run(&["why", "P-3"]).exits(3).says("FEED_STALE");
    lockgate.run(&update("kev", "new.json", "sam")).exits(0).says("is recorded: 2 vulnerabilities");
    lockgate.run(&["why", "P-3"]).exits(3).says("FEED_MISSING").says("--kind epss");
    lockgate.run(&update("epss", "new.csv", "sam")).exits(0);
    // Everything that was asked for is there: the rest waits for people.
    let why = lockgate.json(&["why", "P-3"], 5);
    let gates = why["gates"].as_array().unwrap();
    assert!(gates.iter().any(|gate| gate["gate"] == "vulnerabilities" && gate["outcome"] == "pass"), "{why}");

    // The same snapshot again is not recorded twice, and an older one never.
    let entries = lockgate.entries();
    lockgate.run(&update("kev", "new.json", "sam")).exits(0).says("was recorded already");
    lockgate.run(&update("kev", "old.json", "sam")).refused(7, "FEED_OLDER");
    assert_eq!(lockgate.entries(), entries);
    let rows = lockgate.json(&["feed", "list"], 0);
    assert_eq!(rows.as_array().unwrap().len(), 2);
    assert_eq!(lockgate.json(&["feed", "list", "--all"], 0).as_array().unwrap().len(), 3);

    // The approver's bundle holds the snapshots, and so does that of the grant; the decision names them.
    lockgate.run(&["approve", "P-3", "--as", "sam", "--yes"]).exits(0).says("it is granted");
    lockgate.verify("1.0.0", &[]).exits(0);
    lockgate.run(&["bundle", "get", "P-3", "--file", "p3.json"]).exits(0);
    lockgate.verify("1.0.0", &["--bundle", "p3.json"]).exits(0);
    let bundle: Value = serde_json::from_slice(&fs::read(lockgate.file("p3.json")).unwrap()).unwrap();
    for file in ["new.json", "new.csv"] {
        let digest = Digest::of(&fs::read(lockgate.file(file)).unwrap()).to_string();
        assert!(bundle["bodies"].get(&digest).is_some(), "{file}");
    }
    let old = Digest::of(&fs::read(lockgate.file("old.json")).unwrap()).to_string();
    assert!(bundle["bodies"].get(&old).is_none(), "a snapshot that nothing used is in no bundle");
    let history = lockgate.json(&["history", "--promotion", "P-3"], 0);
    let items = history["items"].as_array().unwrap();
    let decision = items.iter().find(|item| item["event"] == "decision.recorded").unwrap();
    let feeds = decision["entry"]["event"]["body"]["feeds"].as_array().unwrap();
    let named: Vec<String> = feeds.iter().map(|feed| text(&feed["feed"])).collect();
    assert_eq!(named, ["kev", "epss"]);
}

#[test]
fn what_the_feeds_list_is_blocked() {
    let lockgate = demanding();
    let today = day(&lockgate, 0);
    lockgate.write("kev.json", kev(&today, &["CVE-2099-10002"]));
    lockgate.write("epss.csv", epss(&today, &[("CVE-2098-1", "0.9")]));
    lockgate.run(&update("epss", "epss.csv", "sam")).exits(0);
    lockgate.run(&update("kev", "kev.json", "sam")).exits(0);
    lockgate.run(&["why", "P-3"]).exits(3).says("VULNERABILITIES_FOUND").says("known to be exploited");
}

#[test]
fn a_snapshot_that_does_not_read_or_may_not_be_recorded_is_refused() {
    let lockgate = Instance::demo();
    let (today, tomorrow) = (day(&lockgate, 0), "2999-01-01");
    lockgate.write("good.json", kev(&today, &["CVE-2098-1"]));
    lockgate.write("cut.json", &kev(&today, &["CVE-2098-1"])[..80]);
    lockgate.write("later.json", kev(tomorrow, &["CVE-2098-1"]));
    lockgate.write("empty.json", "");
    let entries = lockgate.entries();
    lockgate.run(&update("kev", "cut.json", "sam")).refused(2, "FEED_MALFORMED");
    lockgate.run(&update("epss", "good.json", "sam")).refused(2, "FEED_MALFORMED");
    lockgate.run(&update("kev", "later.json", "sam")).refused(2, "FEED_FUTURE");
    lockgate.run(&update("kev", "empty.json", "sam")).refused(2, "FILE_EMPTY");
    for nobody in ["dana", "ci"] {
        lockgate.run(&update("kev", "good.json", nobody)).refused(4, "NOT_PERMITTED");
    }
    assert_eq!(lockgate.entries(), entries);
    let sam = lockgate.token("sam");
    lockgate.http("PUT", "/v1/feeds/nvd", Some(&sam), &[], b"{}").refused(400, "PATH_INVALID");
    lockgate.run(&["feed", "list"]).exits(0).says("no snapshot of a feed is recorded");
}

/// A machine records what a pipeline fetched, where its role permits it.
#[test]
fn a_machine_may_record_snapshots() {
    let lockgate = Instance::new();
    let (from, to) =
        ("[\"read\", \"push\", \"attest\", \"request\"]", "[\"read\", \"push\", \"attest\", \"request\", \"feeds\"]");
    lockgate.policy("machine", &[("people.toml", from, to)]);
    lockgate.start(&["--demo", "--policy", "machine"]).exits(0);
    lockgate.write("kev.json", kev(&day(&lockgate, 0), &["CVE-2098-1"]));
    lockgate.run(&update("kev", "kev.json", "ci")).exits(0);
    let rows = lockgate.json(&["feed", "list"], 0);
    assert_eq!((&rows[0]["by"], &rows[0]["rows"], &rows[0]["newest"]), (&json!("ci"), &json!(1), &json!(true)));
}

/// The catalogue as CISA published it.
#[test]
fn the_vectors_catalogue_is_recorded() {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors");
    let folder = variable("LOCKGATE_VECTORS").map_or(default, Into::into).join("cisa-kev");
    let Ok(files) = fs::read_dir(&folder) else { return skipped("the KEV catalogue of the vectors") };
    let lockgate = Instance::demo();
    let mut count = 0;
    for file in files {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        lockgate.write("kev.json", &bytes);
        let reply = lockgate.json(&update("kev", "kev.json", "sam"), 0);
        let whole: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(reply["result"]["rows"], whole["count"]);
        assert_eq!(text(&reply["result"]["digest"]), Digest::of(&bytes).to_string());
        count += 1;
    }
    assert!(count > 0);
    println!("{count} catalogues recorded");
}
