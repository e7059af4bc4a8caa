//! Break-glass: two people, one release, one environment, a while; it alarms until somebody else has reviewed it.

use crate::instance::{Instance, text};

const OPEN: [&str; 8] =
    ["break-glass", "shop/web@1.0.0", "production", "--reason", "payments are down", "--ticket", "INC-7", "--yes"];

/// Which break-glasses somebody's inbox lists, by their entries.
#[track_caller]
fn waiting(lockgate: &Instance, person: &str) -> Vec<u64> {
    let inbox = lockgate.json(&["inbox", "--as", person], 0);
    let rows = inbox["break_glass"].as_array();
    rows.into_iter().flatten().map(|row| row["break_glass"].as_u64().unwrap()).collect()
}

#[test]
fn two_people_let_a_release_past_the_gates_and_a_third_reviews_it() {
    let lockgate = Instance::demo();
    let eve = lockgate.enrol_approver("eve");
    lockgate.run(&["key", "generate", "ada.key"]).exits(0);
    lockgate.run(&["key", "enrol", "ada", "--group", "auditors", "--key", "ada.key", "--file", "ada.json"]).exits(0);
    lockgate.run(&["invite", "ada.json", "--as", "sam", "--yes"]).exits(0);
    lockgate.push("1.0.0", "trivy-critical.json").exits(0);
    lockgate.promote("1.0.0").exits(3).says("VULNERABILITIES_FOUND");

    let by = |name: &'static str| [&OPEN[..], &["--as", name]].concat();
    lockgate.run(&by("dana")).refused(4, "NOT_PERMITTED");
    lockgate.run(&by("ci")).refused(4, "NOT_PERMITTED");
    lockgate.run(&OPEN[..3]).refused(2, "ARGUMENT_MISSING");
    let nowhere: Vec<&str> =
        by("sam").into_iter().map(|word| if word == "production" { "prodution" } else { word }).collect();
    lockgate.run(&nowhere).refused(6, "ENVIRONMENT_UNKNOWN").says("dev, staging, production");
    let long = [&by("sam")[..], &["--expires", "9h"]].concat();
    lockgate.run(&long).refused(2, "BREAK_GLASS_EXPIRY");
    let first = lockgate.json(&by("sam"), 5);
    assert_eq!((first["result"]["needed"].as_u64(), first["result"]["signed"].as_u64()), (Some(2), Some(1)));
    let entry = first["result"]["break_glass"].as_u64().unwrap().to_string();
    assert_eq!(lockgate.status_of("P-3"), "denied");
    lockgate.run(&["break-glass", "sign", &entry, "--yes", "--as", "sam"]).refused(3, "SOD_SELF");
    lockgate.run(&["status"]).exits(0).says("waits for signatures");
    // It waits for those who may sign it and have not, and for nobody else.
    let sign = format!("lockgate break-glass sign {entry}");
    lockgate.run(&["inbox", "--as", "eve"]).exits(0).says(&sign).says("payments are down");
    for nobody in ["sam", "dana", "ada"] {
        assert!(waiting(&lockgate, nobody).is_empty(), "{nobody}");
    }
    assert!(eve.exists());
    lockgate.run(&["break-glass", "sign", &entry, "--yes", "--as", "eve"]).exits(0).says("P-3 is granted");

    let why = lockgate.json(&["why", "P-3"], 0);
    let gate = why["gates"].as_array().unwrap().iter().find(|gate| gate["gate"] == "vulnerabilities").unwrap();
    assert_eq!(text(&gate["outcome"]), "overridden");
    assert!(text(&gate["found"]).contains(&format!("break-glass of entry {entry}")), "{gate}");
    lockgate.verify("1.0.0", &[]).exits(0).says("BREAK-GLASS").says("NOT REVIEWED");
    lockgate.run(&["bundle", "get", "P-3", "--file", "p3.lockgate"]).exits(0);
    lockgate.verify("1.0.0", &["--bundle", "p3.lockgate"]).exits(0).says("payments are down");

    // Whoever explains it names what was not passed; and it is certified nowhere, so that what runs can be made regular.
    lockgate.run(&["policy", "explain", "P-3"]).exits(0).says("overridden by break-glass").says("vulnerabilities");
    lockgate.promote("1.0.0").exits(3).says("P-4").says("VULNERABILITIES_FOUND");
    let facts = lockgate.get("/v1/promotions/P-4/facts", Some(&lockgate.token("sam"))).json();
    let certified = facts["certified"].as_array().unwrap().iter().map(|fact| text(&fact["environment"]));
    assert_eq!(certified.collect::<Vec<_>>(), ["dev", "staging"]);

    // It alarms wherever somebody looks, and there is no next one.
    lockgate.run(&["status"]).exits(0).says("ALARM: break-glass of entry");
    lockgate.run(&["doctor"]).exits(1).says("1 not reviewed");
    // It waits for those who may review it, which nobody may who signed it.
    let review = format!("lockgate break-glass review {entry} --finding \"...\"");
    lockgate.run(&["inbox", "--as", "ada"]).exits(0).says(&review);
    assert_eq!(waiting(&lockgate, "ada"), [entry.parse::<u64>().unwrap()]);
    for nobody in ["sam", "eve", "dana"] {
        assert!(waiting(&lockgate, nobody).is_empty(), "{nobody}");
    }
    let ada = lockgate.token_by("ada", &lockgate.file("ada.key"));
    let page = lockgate.get("/inbox", Some(&ada));
    let page = String::from_utf8(page.body).unwrap();
    assert!(page.contains(&format!("lockgate break-glass review {entry} --finding FINDING")), "{page}");
    let token = lockgate.token("sam");
    let marked = || {
        let cells = lockgate.get("/v1/matrix", Some(&token)).json()["services"][0]["cells"].clone();
        cells.as_array().unwrap().iter().map(|cell| cell["break_glass"].as_bool().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(marked(), [false, false, true]);
    lockgate.push("1.1.0", "trivy-critical.json").exits(0);
    let next: Vec<&str> =
        by("sam").into_iter().map(|word| if word == "shop/web@1.0.0" { "shop/web@1.1.0" } else { word }).collect();
    lockgate.run(&next).refused(7, "BREAK_GLASS_UNREVIEWED");

    let review = |name: &str| {
        lockgate.run(&["break-glass", "review", &entry, "--finding", "a waiver would have done", "--yes", "--as", name])
    };
    for name in ["sam", "eve"] {
        review(name).refused(3, "SOD_SELF");
    }
    review("dana").refused(4, "NOT_PERMITTED");
    review("ada").exits(0).says("is reviewed");
    assert!(waiting(&lockgate, "ada").is_empty());
    assert_eq!(marked(), [false, false, false]);
    review("ada").refused(7, "BREAK_GLASS_REVIEWED");
    lockgate.run(&["break-glass", "list", "--all"]).exits(0).says("reviewed by ada, used");
    lockgate.run(&["break-glass", "list"]).exits(0).says("no break-glass waits");
    lockgate.run(&next).exits(5);
}

/// Whoever countersigns sees each field once, whatever the opener wrote; so does whoever asks afterwards why.
#[test]
fn what_is_opened_forges_nothing_of_what_is_signed() {
    let lockgate = Instance::demo();
    lockgate.enrol_approver("eve");
    lockgate.push("1.0.0", "trivy.json").exits(0);
    let forged = format!("payments are down{}  opened by  dana\n  asked by    dana", "\n".repeat(60));
    let open =
        ["break-glass", "shop/web@1.0.0", "production", "--reason", &forged, "--ticket", "INC-7\n  until      now"];
    let opened = lockgate.json(&[&open[..], &["--yes", "--as", "sam"]].concat(), 5);
    let entry = opened["result"]["break_glass"].as_u64().unwrap().to_string();
    let shown = lockgate.run(&["break-glass", "sign", &entry, "--as", "eve"]).refused(2, "CONFIRMATION_NEEDED");
    let fields = ["release", "manifest", "into", "until", "opened by", "ticket", "reason", "ledger", "code"];
    shown.asks_about(&fields).says("opened by  sam");
    let signed = lockgate.json(&["break-glass", "sign", &entry, "--yes", "--as", "eve"], 0);
    let why = lockgate.run(&["why", &text(&signed["result"]["promotion"])]).exits(0);
    assert_eq!(why.stdout.lines().filter(|line| line.trim_start().starts_with("asked by ")).count(), 1, "{why}");
    assert!(!why.stdout.lines().any(|line| line.trim_start().starts_with("opened by ")), "{why}");
}

/// Whoever audits may review it, but is told of nothing that they may not read.
#[test]
fn what_waits_for_a_review_is_told_to_nobody_who_may_not_read_it() {
    let lockgate = Instance::new();
    let scoped = "permissions = [\"audit\"]\n\n[role.reader]\ndescription = \"Reads\"\npermissions = [\"read\"]\n\n\
                  [[bindings]]\nrole = \"reader\"\ngroups = [\"auditors\"]\nservices = [\"bank/*\"]";
    lockgate.policy("scoped", &[("people.toml", "permissions = [\"read\", \"audit\"]", scoped)]);
    lockgate.start(&["--demo", "--policy", "scoped"]).exits(0);
    lockgate.run(&["key", "generate", "ada.key"]).exits(0);
    lockgate.run(&["key", "enrol", "ada", "--group", "auditors", "--key", "ada.key", "--file", "ada.json"]).exits(0);
    lockgate.run(&["invite", "ada.json", "--as", "sam", "--yes"]).exits(0);
    lockgate.push("1.0.0", "trivy.json").exits(0);
    // One is enough, where one may, and it waits for its review from then on.
    lockgate.run(&[&OPEN[..], &["--as", "sam"]].concat()).exits(0);
    assert!(waiting(&lockgate, "ada").is_empty());
    let page = lockgate.get("/inbox", Some(&lockgate.token_by("ada", &lockgate.file("ada.key"))));
    assert!(!String::from_utf8(page.body).unwrap().contains("shop/web@1.0.0"));
}

#[test]
fn alone_one_person_is_enough_and_cannot_review_it() {
    let lockgate = Instance::demo();
    lockgate.push("1.0.0", "trivy.json").exits(0);
    // Nobody has asked for it: break-glass asks itself.
    let made = lockgate.json(&[&OPEN[..], &["--as", "sam"]].concat(), 0);
    assert_eq!(made["result"]["status"], "granted");
    let entry = made["result"]["break_glass"].as_u64().unwrap().to_string();
    // What nobody can do yet is told with who could.
    let enrol = "lockgate key enrol";
    let review = ["break-glass", "review", &entry, "--finding", "fine", "--yes", "--as", "sam"];
    lockgate.run(&review).refused(3, "SOD_SELF").says(enrol);
    let again = [&OPEN[..], &["--as", "sam"]].concat();
    lockgate.run(&again).refused(7, "BREAK_GLASS_UNREVIEWED").says(enrol);
    lockgate.verify("1.0.0", &[]).exits(0).says("BREAK-GLASS");
}
