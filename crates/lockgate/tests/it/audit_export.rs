//! Audit export: what was decided under each control, as JSON, CSV and OSCAL.

use std::fs;

use serde_json::Value;

use crate::instance::{Instance, Ran, text};

/// A granted release under a policy set whose gates of `gates/` answer to controls.
fn controlled() -> Instance {
    let lockgate = Instance::new();
    lockgate.policy("controlled", &[]);
    let (mut tagged, dir) = (0, lockgate.file("controlled").join("gates"));
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let before = fs::read_to_string(&path).unwrap();
        if before.contains("controls") {
            // A set that names controls already is used as it is.
            continue;
        }
        let after = before.replace("[[gate]]\n", "[[gate]]\ncontrols = [\"SOC2 CC8.1\", \"NIST 800-53 CM-3(2)\"]\n");
        tagged += after.matches("NIST 800-53").count();
        fs::write(path, after).unwrap();
    }
    assert!(tagged > 0, "no gate was given a control");
    lockgate.start(&["--demo", "--policy", "controlled"]).exits(0);
    lockgate.push("1.4.2", "trivy.json").exits(0);
    lockgate.promote("1.4.2").exits(5);
    lockgate.run(&["approve", "P-3", "--as", "sam", "--yes"]).exits(0);
    lockgate.stop();
    lockgate
}

fn export(lockgate: &Instance, more: &[&str]) -> Ran {
    lockgate.run(&[&["audit", "export"][..], more].concat())
}

#[test]
fn every_form_tells_the_same_decisions() {
    let lockgate = controlled();
    let report = export(&lockgate, &[]).exits(0).json();
    let controls = report["controls"].as_array().unwrap();
    let section = controls.iter().find(|one| one["control"] == "SOC2 CC8.1").unwrap();
    let lines = section["lines"].as_array().unwrap();
    let granted: Vec<&Value> =
        lines.iter().filter(|line| line["promotion"] == "P-3" && line["decided"] == "allow").collect();
    assert!(!granted.is_empty() && granted.iter().all(|line| line["approvers"][0]["person"] == "sam"), "{section}");
    assert!(granted.iter().any(|line| !line["evidence"].as_array().unwrap().is_empty()));

    let csv = export(&lockgate, &["--format", "csv", "--control", "soc2 cc8.1"]).exits(0).stdout;
    assert_eq!(csv.lines().count(), lines.len() + 1);
    assert!(csv.starts_with("control,gate,outcome,") && csv.contains("sam approved with SHA256:"), "{csv}");

    let oscal = export(&lockgate, &["--format", "oscal", "--control", "cm-3.2"]).exits(0).json();
    let results = &oscal["assessment-results"];
    assert_eq!(text(&results["metadata"]["oscal-version"]), "1.1.2");
    let result = &results["results"][0];
    assert_eq!(result["observations"].as_array().unwrap().len(), lines.len());
    let finding = &result["findings"][0];
    assert_eq!(
        (text(&finding["target"]["target-id"]), text(&finding["target"]["status"]["state"])),
        ("cm-3.2_smt".to_owned(), "satisfied".to_owned())
    );
    let related = finding["related-observations"].as_array().unwrap().len();
    assert_eq!(related, lines.len());
    // The same ledger gives the same document.
    let again = export(&lockgate, &["--format", "oscal", "--control", "cm-3.2"]).exits(0).json();
    assert_eq!(again, oscal);
}

#[test]
fn a_file_is_written_only_from_a_sound_ledger() {
    let lockgate = controlled();
    export(&lockgate, &["--out", "controls.json"]).exits(0).says("controls.json").says("satisfied");
    assert!(lockgate.file("controls.json").exists());
    export(&lockgate, &["--control", "SOC2 CC99"]).refused(6, "CONTROL_UNKNOWN").says("SOC2 CC8.1");
    let none = export(&lockgate, &["--since", "2099-01-01T00:00:00Z"]).exits(0).json();
    assert_eq!(none["decisions"], 0);
    assert!(none["controls"].as_array().unwrap().iter().all(|one| one["lines"].as_array().unwrap().is_empty()));

    let copy = lockgate.file("copy");
    crate::instance::copy_dir(&lockgate.home().join("data"), &copy);
    let database = rusqlite::Connection::open(copy.join("ledger.db")).unwrap();
    let forged = "DROP TRIGGER head_grows; UPDATE head SET root = zeroblob(32);";
    database.execute_batch(forged).unwrap();
    drop(database);
    let data = copy.display().to_string();
    let refused = export(&lockgate, &["--data", &data, "--out", "forged.json"]).refused(9, "AUDIT_FAILED");
    refused.says("  x ").says("`lockgate audit` names all problems");
    assert!(!lockgate.file("forged.json").exists());
}
