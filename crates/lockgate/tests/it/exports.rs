//! What people take away from the pages, and who stands behind it: CSV, Markdown, signers, and why one cannot sign.

use serde_json::json;

use crate::browser::driver::Browser;
use crate::dashboard::sign_in;
use crate::instance::{Instance, text};

#[test]
fn the_timeline_is_exported_with_its_filters() {
    let lockgate = Instance::pending();
    let sam = lockgate.token("sam");
    let reply = lockgate.get("/timeline.csv?event=decision", Some(&sam));
    assert_eq!(reply.status, 200, "{reply:?}");
    let head = reply.head.to_lowercase();
    for wanted in ["content-type: text/csv", "attachment; filename=\"timeline.csv\""] {
        assert!(head.contains(wanted), "{wanted}: {head}");
    }
    let csv = String::from_utf8(reply.body).unwrap();
    let lines: Vec<&str> = csv.split_terminator("\r\n").collect();
    assert_eq!(lines[0], "\"entry\",\"time\",\"who\",\"event\",\"what\",\"suspect\",\"checkpoint\"");
    let rows = lockgate.get("/v1/history?event=decision&limit=200", Some(&sam)).json();
    assert_eq!(lines.len() - 1, rows["items"].as_array().unwrap().len(), "{csv}");
    assert!(lines[1..].iter().all(|line| line.contains("\"decision.recorded\"")), "{csv}");
    // What was acknowledged is in a signed checkpoint.
    let size = rows["checkpoint_size"].as_u64().unwrap();
    assert!(size > 0 && lines[1..].iter().all(|line| line.ends_with(&format!("\"{size}\""))), "{csv}");
    let whole = String::from_utf8(lockgate.get("/timeline.csv", Some(&sam)).body).unwrap();
    assert!(whole.lines().count() > lines.len(), "{whole}");

    assert_eq!(lockgate.get("/timeline.csv", None).status, 401);
    lockgate.get("/timeline.csv?outcome=denied", Some(&sam)).refused(400, "QUERY_INVALID");
    let page = String::from_utf8(lockgate.get("/timeline?event=decision", Some(&sam)).body).unwrap();
    assert!(page.contains("href=\"/timeline.csv?event=decision\"") && page.contains("in a checkpoint"), "{page}");
    let printed = lockgate.run(&["history", "--event", "decision", "--limit", "1", "--csv"]).exits(0).stdout;
    assert!(printed.contains("\"decision.recorded\"") && printed.contains("this is not all"), "{printed}");
}

#[test]
fn a_comparison_is_pasted_into_a_ticket() {
    let lockgate = Instance::granted();
    lockgate.push("1.5.0", "trivy-critical.json").exits(0);
    let releases = ["diff", "shop/web@1.4.2", "shop/web@1.5.0", "--env", "production"];
    let printed = lockgate.run(&[&releases[..], &["--markdown"]].concat()).exits(0).stdout;
    for wanted in ["## `shop/web@1.4.2` → `shop/web@1.5.0`", "### Gates of `production`", "| new | `CVE-"] {
        assert!(printed.contains(wanted), "{wanted}: {printed}");
    }
    let sam = lockgate.token("sam");
    let page = |path: &str| String::from_utf8(lockgate.get(path, Some(&sam)).body).unwrap();
    let there = page("/diff?from=shop/web@1.4.2&to=shop/web@1.5.0&environment=production");
    assert!(there.contains("Copy as Markdown") && there.contains("### Gates of `production`"), "{there}");
    // Where the environment is known, the comparison asks its gates.
    assert!(page("/releases/shop/web@1.5.0").contains("&amp;environment=production"));
}

#[test]
fn pages_say_who_signed_what() {
    let lockgate = Instance::granted();
    let sam = lockgate.token("sam");
    let page = |path: &str| String::from_utf8(lockgate.get(path, Some(&sam)).body).unwrap();
    let promotion = lockgate.get("/v1/promotions/P-3", Some(&sam)).json();
    let sources = promotion["sources"].as_array().unwrap().clone();
    assert!(!sources.is_empty(), "{promotion}");
    let shown = page("/promotions/P-3");
    assert!(shown.contains("id=\"gate-counts\">0 blocking, "), "{shown}");
    assert!(shown.contains("not signed by its maker") && shown.contains("handed in by"), "{shown}");
    for source in &sources {
        let index = source["index"].as_u64().unwrap();
        assert!(page("/releases/shop/web@1.4.2").contains(&format!("/timeline?before={}", index + 1)), "{source}");
    }
    let release = lockgate.get("/v1/releases/shop/web@1.4.2", Some(&sam)).json();
    assert_eq!(release["sources"].as_array().unwrap().len(), release["evidence"].as_array().unwrap().len());
    let shown = page("/releases/shop/web@1.4.2");
    assert!(shown.contains("Where it comes from, and went") && shown.contains("production by "), "{shown}");
}

#[test]
fn who_cannot_sign_is_told_before_signing() {
    let lockgate = Instance::pending();
    let objection = |person: &str, verdict: &str| {
        let path = format!("/v1/promotions/P-3/document?verdict={verdict}");
        lockgate.get(&path, Some(&lockgate.token(person))).json()["objection"].clone()
    };
    assert_eq!(objection("sam", "approve"), json!(null));
    assert_eq!(objection("sam", "reject"), json!(null));
    let own = objection("dana", "approve");
    assert!(text(&own["message"]).contains("an approval by `dana` would not count"), "{own}");
    assert_eq!(text(&objection("dana", "reject")["reason"]), "NOT_PERMITTED");

    let Some(mut browser) = Browser::start() else { return };
    sign_in(&mut browser, &lockgate, "dana");
    browser.open(&format!("{}/approve/P-3", lockgate.url().replace("127.0.0.1", "localhost")));
    browser.shown("refused");
    assert_eq!(browser.text("refused-code"), text(&own["reason"]));
    assert!(browser.text("refused-why").contains("would not count"));
    assert!(browser.text("refused-who").contains("approvers"));
    assert_eq!(browser.evaluate("document.getElementById('sign').disabled"), json!(true));
    browser.is_usable();
    let host = lockgate.address().replace("127.0.0.1", "localhost");
    browser.was_clean(&[&host]);
}
