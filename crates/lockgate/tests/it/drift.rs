//! Drift: what is granted against what was reported, on the command line, over HTTP and on the page; and the pages of
//! proposed changes.

use serde_json::json;

use crate::browser::driver::Browser;
use crate::dashboard::sign_in;
use crate::instance::{Instance, text};

/// Hands in that a release runs in production, or does not.
fn report(lockgate: &Instance, release: &str, outcome: &str, by: &str) {
    let document = json!({
        "schema": "https://lockgate.dev/check/v1", "name": "runs-in-production", "outcome": outcome, "detail": by,
    });
    lockgate.write("runs-in-production.json", document.to_string());
    lockgate.run(&["attest", release, "--report", "runs-in-production.json", "--as", by]).exits(0);
}

fn page(lockgate: &Instance, path: &str, token: &str) -> String {
    let reply = lockgate.get(path, Some(token));
    let body = String::from_utf8_lossy(&reply.body).into_owned();
    assert_eq!(reply.status, 200, "{path}: {body}");
    body
}

#[test]
fn what_runs_is_held_against_what_is_granted() {
    let lockgate = Instance::granted();
    lockgate.push("1.5.0", "trivy.json").exits(0);
    let sam = lockgate.token("sam");
    lockgate
        .run(&["drift", "--env", "production"])
        .exits(0)
        .says("not-reported")
        .says("lockgate attest shop/web@1.4.2");
    lockgate.run(&["key", "generate", "robot.key"]).exits(0);
    let robot = ["robot", "--machine", "--group", "deployers", "--key", "robot.key"];
    lockgate.run(&[["key", "enrol"].as_slice(), &robot, &["--file", "robot.json"]].concat()).exits(0);
    lockgate.run(&["invite", "robot.json", "--as", "sam", "--yes"]).exits(0);
    // Who publishes and does not deploy says nothing here.
    report(&lockgate, "shop/web@1.4.2", "fail", "ci");
    lockgate.run(&["drift", "--env", "production"]).exits(0).says("not-reported");
    report(&lockgate, "shop/web@1.4.2", "pass", "robot");
    lockgate.run(&["drift", "--env", "production"]).exits(0).says("in-step");
    report(&lockgate, "shop/web@1.4.2", "fail", "robot");
    lockgate.run(&["drift", "--env", "production"]).exits(3).says("not-running");
    report(&lockgate, "shop/web@1.5.0", "pass", "robot");
    let mend = "lockgate promote shop/web@1.5.0 --to production";
    lockgate.run(&["drift"]).exits(3).says("no-grant").says(mend);

    // What the command and the page show is what the API says.
    let told = lockgate.json(&["drift", "--state", "no-grant"], 3);
    let reply = lockgate.get("/v1/drift?state=no-grant", Some(&sam)).json();
    assert_eq!(told["rows"], reply["rows"]);
    let rows = reply["rows"].as_array().unwrap();
    assert_eq!((rows.len(), text(&rows[0]["environment"])), (1, "production".to_owned()));
    assert_eq!(text(&rows[0]["granted"]["release"]), "shop/web@1.4.2");
    let shown = page(&lockgate, "/drift?state=no-grant", &sam);
    let entry = format!("entry {}", rows[0]["reported"]["index"].as_u64().unwrap());
    for wanted in ["reported without a grant", "drift-shop/web-production", mend, entry.as_str()] {
        assert!(shown.contains(wanted), "{wanted}: {shown}");
    }
    assert!(!shown.contains("drift-shop/web-dev"), "{shown}");
    assert!(page(&lockgate, "/drift", &sam).contains("nothing reported"));
    lockgate.get("/v1/drift?state=drift", Some(&sam)).refused(400, "QUERY_INVALID");
    lockgate.run(&["drift", "--env", "moon"]).refused(6, "ENVIRONMENT_UNKNOWN");

    // The index is a projection: made again from the ledger, it says the same.
    lockgate.stop();
    lockgate.run(&["doctor", "--rebuild"]);
    lockgate.start(&[]).exits(0);
    let again = lockgate.get("/v1/drift?state=no-grant", Some(&lockgate.token("sam"))).json();
    assert_eq!(again["rows"], reply["rows"]);
}

#[test]
fn a_proposed_change_says_who_signed_and_who_may() {
    let lockgate = Instance::demo();
    for (name, group) in [("kim", "owners"), ("eve", "approvers")] {
        let (key, file) = (format!("{name}.key"), format!("{name}.json"));
        lockgate.run(&["key", "generate", &key]).exits(0);
        lockgate.run(&["key", "enrol", name, "--group", group, "--key", &key, "--file", &file]).exits(0);
        // The first one sam can still let in alone.
        lockgate.run(&["invite", &file, "--as", "sam", "--yes"]);
    }
    let (sam, kim) = (lockgate.token("sam"), lockgate.token_by("kim", &lockgate.file("kim.key")));
    let words = text(&lockgate.json(&["change", "show", "C-1", "--as", "sam"], 0)["code"]);
    let inbox = page(&lockgate, "/inbox", &kim);
    assert!(inbox.contains("href=\"/changes/C-1\""), "{inbox}");
    let listed = page(&lockgate, "/changes?state=open", &sam);
    assert!(listed.contains("href=\"/changes/C-1\"") && listed.contains("(you too)"), "{listed}");
    let shown = page(&lockgate, "/changes/C-1", &kim);
    for wanted in ["ENROL eve", words.as_str(), "lockgate change sign C-1", "may sign", "ends "] {
        assert!(shown.contains(wanted), "{wanted}: {shown}");
    }
    assert!(page(&lockgate, "/changes/C-1", &sam).contains("You signed it"));
    if let Some(mut browser) = Browser::start() {
        sign_in(&mut browser, &lockgate, "sam");
        for path in ["/changes", "/changes/C-1", "/drift"] {
            browser.open(&format!("{}{path}", lockgate.url().replace("127.0.0.1", "localhost")));
            browser.is_usable();
        }
        browser.was_clean(&[&lockgate.address().replace("127.0.0.1", "localhost")]);
    }
    lockgate.run(&["change", "sign", "C-1", "--as", "kim", "--yes"]).exits(0);
    let ended = page(&lockgate, "/changes/C-1", &kim);
    assert!(ended.contains("applied") && !ended.contains("lockgate change sign"), "{ended}");
}
