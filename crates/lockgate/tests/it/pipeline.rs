//! The pipeline's filters and pins: what a filter leaves in is what the other pages say, what stands in the address stays
//! there, and what a browser shows first is its own matter.

use serde_json::{Value, json};

use crate::browser::driver::Browser;
use crate::dashboard::{says, sign_in};
use crate::dashboard_pages::{host, site, soon};
use crate::instance::{Instance, Reply, text};

/// A page as somebody's browser gets it.
#[track_caller]
fn page(lockgate: &Instance, path: &str, token: &str, cookie: &str) -> String {
    let reply = lockgate.http("GET", path, Some(token), &[("Cookie", cookie)], b"");
    assert_eq!(reply.status, 200, "{path}: {reply:?}");
    String::from_utf8(reply.body).unwrap()
}

/// The names of the services that a filter leaves in.
#[track_caller]
fn found(lockgate: &Instance, query: &str, token: &str) -> Vec<String> {
    let reply = lockgate.get(&format!("/v1/matrix?{query}"), Some(token));
    assert_eq!(reply.status, 200, "{query}: {reply:?}");
    reply.json()["services"].as_array().unwrap().iter().map(|row| text(&row["service"])).collect()
}

/// The cell of the only service in production.
fn production(lockgate: &Instance, query: &str, token: &str) -> Value {
    let reply = lockgate.get(&format!("/v1/matrix?{query}"), Some(token)).json();
    reply["services"][0]["cells"].as_array().unwrap().last().unwrap().clone()
}

/// The cookie that a reply sets.
#[track_caller]
fn cookie(reply: &Reply) -> String {
    assert_eq!(reply.status, 200, "{reply:?}");
    let line = reply.head.lines().find(|line| line.to_lowercase().starts_with("set-cookie: lockgate_pinned="));
    let line = line.unwrap_or_else(|| panic!("no cookie: {}", reply.head));
    line.split_once(": ").unwrap().1.split_once("; ").unwrap().0.to_owned()
}

#[test]
fn each_filter_leaves_in_what_the_other_pages_tell() {
    let lockgate = Instance::granted();
    lockgate.push("1.5.0", "trivy.json").exits(0);
    lockgate.promote("1.5.0").exits(5);
    let (sam, dana) = (lockgate.token("sam"), lockgate.token("dana"));
    let web = ["shop/web".to_owned()];

    // What waits for somebody is what their inbox has.
    let inbox = lockgate.get("/v1/inbox", Some(&sam)).json()["promotions"][0].clone();
    assert_eq!((found(&lockgate, "state=mine", &sam), found(&lockgate, "state=mine", &dana).len()), (web.to_vec(), 0));
    let open = production(&lockgate, "state=mine", &sam)["open"].clone();
    assert_eq!((&open["promotion"], &open["expires_at"]), (&inbox["promotion"], &inbox["expires_at"]));
    assert_eq!((&open["mine"], &production(&lockgate, "", &sam)["open"]["mine"]), (&json!(true), &json!(false)));
    assert!(found(&lockgate, "state=mine&environment=dev", &sam).is_empty());
    let shown = page(&lockgate, "/?state=mine", &sam, "other=1");
    assert!(shown.contains("1.5.0 waits 0 of 1 for you, ") && shown.contains(" left</a>"), "{shown}");

    // One release later than what runs there, and never more.
    assert_eq!(production(&lockgate, "", &sam)["behind_by"], json!(1));
    assert_eq!(found(&lockgate, "state=behind", &sam), web);
    assert_eq!(found(&lockgate, "state=behind&releases=0", &sam), web);
    assert!(found(&lockgate, "state=behind&releases=1", &sam).is_empty());
    lockgate.get("/v1/matrix?state=behind&releases=-1", Some(&sam)).refused(400, "QUERY_INVALID");
    lockgate.get("/v1/matrix?state=drifting", Some(&sam)).refused(400, "QUERY_INVALID");
    let shown = page(&lockgate, "/?state=behind&releases=0&days=30", &sam, "other=1");
    assert!(shown.contains("-1 behind") && shown.contains("older than in staging: 1 release\""), "{shown}");

    // Drift is what the drift page calls so.
    assert!(found(&lockgate, "state=drift", &sam).is_empty());
    lockgate.run(&["key", "generate", "robot.key"]).exits(0);
    let robot = ["robot", "--machine", "--group", "deployers", "--key", "robot.key", "--file", "robot.json"];
    lockgate.run(&[["key", "enrol"].as_slice(), &robot].concat()).exits(0);
    lockgate.run(&["invite", "robot.json", "--as", "sam", "--yes"]).exits(0);
    let check = json!({ "schema": "https://lockgate.dev/check/v1", "name": "runs-in-production", "outcome": "pass" });
    lockgate.write("runs-in-production.json", check.to_string());
    let attest = |release: &str| {
        lockgate.run(&["attest", release, "--report", "runs-in-production.json", "--as", "robot"]).exits(0);
    };
    attest("shop/web@1.4.2");
    assert!(found(&lockgate, "state=drift", &sam).is_empty());
    attest("shop/web@1.5.0");
    assert_eq!(found(&lockgate, "state=drift", &sam), web);
    let told = lockgate.get("/v1/drift?environment=production", Some(&sam)).json()["rows"][0].clone();
    assert_eq!((&told["state"], &told["drift"]), (&production(&lockgate, "", &sam)["drift"], &json!(true)));
    assert!(found(&lockgate, "state=drift&environment=staging", &sam).is_empty());
    let shown = page(&lockgate, "/?state=drift", &sam, "other=1");
    let link = "href=\"/drift?q=shop%2Fweb&amp;environment=production\"";
    assert!(shown.contains(link) && shown.contains("was never granted here"), "{shown}");
}

#[test]
fn a_pinned_service_comes_first_in_one_browser_and_nowhere_else() {
    let lockgate = Instance::granted();
    for name in ["alone", "pay/api"] {
        lockgate.write("one.tar.gz", name);
        let push = ["push", "one.tar.gz", "--service", name, "--version", "0.1.0", "--tests", "junit.xml"];
        lockgate.run(&push).exits(0);
    }
    let (sam, entries) = (lockgate.token("sam"), lockgate.entries());
    let pin = |body: Value, cookie: &str| {
        lockgate.http("POST", "/v1/pins", Some(&sam), &[("Cookie", cookie)], body.to_string().as_bytes())
    };
    let order = |path: &str, cookie: &str| {
        let page = page(&lockgate, path, &sam, cookie);
        let rows = page.split("id=\"row-").skip(1).map(|rest| rest.split_once('"').unwrap().0.to_owned());
        rows.collect::<Vec<_>>()
    };
    assert_eq!(order("/", "other=1"), ["alone", "pay/api", "shop/web"]);
    let kept = cookie(&pin(json!({ "pin": "shop/web" }), "other=1"));
    assert!(kept.ends_with(":shop/web"), "{kept}");
    assert_eq!(order("/", &kept), ["shop/web", "alone", "pay/api"]);
    // A filter is for all of them, and a later page has the rest.
    assert_eq!(order("/?q=a", &kept), ["alone", "pay/api"]);
    assert_eq!(order("/?after=alone", &kept), ["pay/api"]);
    let both = cookie(&pin(json!({ "pin": "pay/api" }), &kept));
    assert_eq!(order("/", &both), ["pay/api", "shop/web", "alone"]);
    let shown = page(&lockgate, "/", &sam, &both);
    assert!(shown.contains("aria-label=\"Unpin pay/api\"") && shown.contains("aria-label=\"Pin alone\""), "{shown}");

    // The ledger and the API know nothing of it, and what is odd is nothing.
    assert_eq!(lockgate.entries(), entries);
    assert_eq!(found(&lockgate, "", &sam), ["alone", "pay/api", "shop/web"]);
    let whose = kept.split_once(':').unwrap().0;
    let odd =
        [format!("{kept}; {kept}"), format!("{kept}:"), format!("{whose}:Shop"), "lockgate_pinned=shop/web".to_owned()];
    for cookie in odd {
        assert_eq!(order("/", &cookie), ["alone", "pay/api", "shop/web"], "{cookie}");
    }
    let dana = lockgate.token("dana");
    assert!(!page(&lockgate, "/", &dana, &kept).contains("Unpin"), "the pins of another person");

    assert_eq!(cookie(&pin(json!({ "unpin": "shop/web" }), &kept)), "lockgate_pinned=");
    pin(json!({ "pin": "shop/none" }), &kept).refused(404, "SERVICE_UNKNOWN");
    for body in [json!({}), json!({ "pin": "a", "unpin": "b" }), json!({ "pin": "A" }), json!("pin")] {
        assert_eq!(pin(body.clone(), &kept).status, 400, "{body}");
    }
    let session = format!("lockgate_session={sam}");
    let foreign = [("Cookie", session.as_str()), ("Content-Type", "application/json")];
    lockgate.http("POST", "/v1/pins", None, &foreign, b"{\"pin\":\"alone\"}").refused(403, "CSRF");
}

#[test]
fn a_graph_counts_what_the_matrix_shows_and_a_rollback_is_marked() {
    let lockgate = Instance::granted();
    lockgate.push("1.5.0", "trivy.json").exits(0);
    lockgate.promote("1.5.0").exits(5);
    let sam = lockgate.token("sam");
    let matrix = page(&lockgate, "/", &sam, "other=1");
    assert!(matrix.contains("href=\"/?view=graph\"") && matrix.contains(" log entries</a>, signed <time"), "{matrix}");
    let graph = page(&lockgate, "/?view=graph", &sam, "other=1");
    for wanted in [
        "dev: 1 service runs, 0 behind, 0 open promotions; ",
        "staging from dev: 1 service runs, 0 behind, 0 open promotions; ",
        "production from staging: 1 service runs, 1 behind, 1 open promotion</title>",
        "<svg class=\"graph\"",
        "<summary>As a table</summary>",
        "href=\"/?environment=production\"",
        " log entries</a>, signed <time",
    ] {
        assert!(graph.contains(wanted), "{wanted}: {graph}");
    }
    assert!(!graph.contains(" style=") && !graph.contains("<style"), "{graph}");
    assert_eq!(page(&lockgate, "/?view=matrix", &sam, "other=1").matches("id=\"row-").count(), 1);
    assert_eq!(lockgate.get("/?view=tree", Some(&sam)).status, 400);

    let open = text(&production(&lockgate, "", &sam)["open"]["promotion"]);
    lockgate.run(&["approve", &open, "--as", "sam", "--yes"]).exits(0);
    assert_eq!(production(&lockgate, "", &sam)["rollback"], json!(false));
    let back = ["rollback", "shop/web@1.4.2", "--to", "production", "--reason", "errors"];
    let asked = text(&lockgate.json(&back, 5)["promotions"][0]["promotion"]);
    assert_eq!(production(&lockgate, "", &sam)["rollback"], json!(false), "asked for, and not granted yet");
    lockgate.run(&["approve", &asked, "--as", "sam", "--yes"]).exits(0);
    assert_eq!(production(&lockgate, "", &sam)["rollback"], json!(true));
    let matrix = page(&lockgate, "/", &sam, "other=1");
    assert_eq!(matrix.matches("</span> rollback</span>").count(), 1, "{matrix}");
}

#[test]
fn a_filter_outlives_reloads_and_updates_and_a_service_is_pinned_by_a_press() {
    let Some(mut browser) = Browser::start() else { return };
    let lockgate = Instance::granted();
    lockgate.write("one.tar.gz", "alone");
    let push = ["push", "one.tar.gz", "--service", "alone", "--version", "0.1.0", "--tests", "junit.xml"];
    lockgate.run(&push).exits(0);
    lockgate.push("1.5.0", "trivy.json").exits(0);
    lockgate.promote("1.5.0").exits(5);
    sign_in(&mut browser, &lockgate, "sam");
    let rows = "[...document.querySelectorAll('#matrix [data-row]')].map((row) => row.id)";
    assert_eq!(browser.evaluate(rows), json!(["row-alone", "row-shop/web"]));
    browser.evaluate("document.querySelector('button[value=\"shop/web\"]').click()");
    browser.until(&format!("({rows})[0] === 'row-shop/web' && document.readyState === 'complete'"));
    assert!(browser.cookie("lockgate_pinned").ends_with(":shop/web"));
    browser.is_usable();

    browser.open(&format!("{}/?state=mine&environment=production", site(&lockgate)));
    says(&mut browser, "1.5.0 waits 0 of 1 for you");
    soon(&mut browser, "document.getElementById('live').textContent === 'live'");
    assert_eq!(browser.evaluate(rows), json!(["row-shop/web"]));
    assert_eq!(browser.evaluate("document.getElementById('filter-state').value"), json!("mine"));
    browser.is_usable();
    // Approved elsewhere, it goes from the page that is open.
    let waiting = lockgate.get("/v1/inbox", Some(&lockgate.token("sam"))).json();
    let promotion = text(&waiting["promotions"][0]["promotion"]);
    lockgate.run(&["approve", &promotion, "--as", "sam", "--yes"]).exits(0);
    says(&mut browser, "No service fits");
    assert_eq!(browser.evaluate("location.search"), json!("?state=mine&environment=production"));
    browser.was_clean(&[&host(&lockgate)]);
}
