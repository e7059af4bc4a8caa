//! More than one tab, and connections that break: each tab follows the ledger by itself, and says when it cannot.

use serde_json::{Value, json};

use crate::browser::driver::Browser;
use crate::dashboard::{at, sign_in};
use crate::dashboard_pages::{host, site, soon};
use crate::instance::Instance;

/// What a page says of its connection.
const LIVE: &str = "document.getElementById('live').textContent === 'live'";
const LOST: &str = "document.getElementById('live').textContent === 'not connected'";
const OUT: &str = "document.getElementById('live').textContent === 'signed out'";

/// Runs before the scripts of each page: the index of every event that reaches the page, in the order of arrival. What is
/// named is what [`what_happens_while_a_connection_is_lost_is_told_once`] does.
const LISTEN: &str = "window.got = []; const Own = window.EventSource; \
    window.EventSource = class extends Own { constructor(url) { super(url); \
    for (const name of ['release.published', 'evidence.recorded', 'promotion.requested', 'decision.recorded', \
    'attestations.issued', 'grant.issued', 'approval.recorded']) { \
    this.addEventListener(name, (event) => got.push(Number(event.lastEventId))); } } };";

/// The indices of the newest entries of a history, newest first.
fn history(lockgate: &Instance, query: &str) -> Vec<u64> {
    let reply = lockgate.get(&format!("/v1/history?limit=200&{query}"), Some(&lockgate.token("sam"))).json();
    reply["items"].as_array().unwrap().iter().map(|row| row["index"].as_u64().unwrap()).collect()
}

/// What the page's filters hold, as the form shows it.
fn filters(browser: &mut Browser) -> Value {
    browser.evaluate(
        "[location.pathname + location.search, ...[...new URLSearchParams(location.search)].map(([name]) => \
         document.querySelector(`form.filters [name=\"${name}\"]`).value)]",
    )
}

#[test]
fn two_tabs_of_one_person_are_both_live_and_each_keeps_its_filters() {
    let Some(mut browser) = Browser::start() else { return };
    let lockgate = Instance::granted();
    lockgate.push("1.5.0", "trivy.json").exits(0);
    sign_in(&mut browser, &lockgate, "dana");
    browser.open(&format!("{}/?q=web", site(&lockgate)));
    soon(&mut browser, LIVE);
    let pipeline = browser.another_tab();
    browser.open(&format!("{}/services/shop/web", site(&lockgate)));
    soon(&mut browser, LIVE);

    // What is done in one is seen in the other.
    browser.evaluate("document.getElementById('promote-environment').value = 'production'");
    browser.evaluate(
        "(() => { const field = document.getElementById('promote-reason'); field.value = 'weekly release'; \
         field.dispatchEvent(new Event('input', { bubbles: true })); })()",
    );
    browser.click("promote");
    at(&mut browser, "/promotions/P-6");
    let second = browser.switch_to(pipeline);
    soon(&mut browser, "document.getElementById('matrix').textContent.includes('1.5.0 waits')");

    // What is done elsewhere is seen in both, each by its own filter.
    let pipeline = browser.switch_to(second);
    browser.open(&format!("{}/timeline?text=1.5.0", site(&lockgate)));
    soon(&mut browser, LIVE);
    lockgate.run(&["approve", "P-6", "--as", "sam", "--yes"]).exits(0);
    let fitting = history(&lockgate, "text=1.5.0");
    soon(&mut browser, &format!("document.getElementById('entry-{}') !== null", fitting[0]));
    let shown = browser.evaluate("[...document.querySelectorAll('#timeline [data-row]')].map((row) => row.id)");
    assert_eq!(shown, json!(fitting.iter().map(|index| format!("entry-{index}")).collect::<Vec<_>>()));
    assert!(fitting.len() < history(&lockgate, "").len());
    assert_eq!(filters(&mut browser), json!(["/timeline?text=1.5.0", "1.5.0"]));
    let timeline = browser.switch_to(pipeline);
    soon(&mut browser, "!document.getElementById('matrix').textContent.includes('waits')");
    assert_eq!(filters(&mut browser), json!(["/?q=web", "web"]));

    sign_out_in_one(&mut browser, &lockgate);
    let pipeline = browser.switch_to(timeline);
    signed_out_in_the_other(&mut browser);

    // Whoever signs in again in one tab is signed in again in the other, on the page that it shows.
    browser.evaluate("window.kept = true");
    let timeline = browser.switch_to(pipeline);
    sign_in(&mut browser, &lockgate, "dana");
    let pipeline = browser.switch_to(timeline);
    soon(&mut browser, LIVE);
    assert!(!browser.is_shown("signed-out"));
    assert_eq!(browser.evaluate("window.kept"), json!(true));

    // Somebody else does not look at this person's page, nor act under this name.
    let timeline = browser.switch_to(pipeline);
    sign_in(&mut browser, &lockgate, "sam");
    let pipeline = browser.switch_to(timeline);
    browser.until("window.kept === undefined && document.querySelector('.who .person').textContent === 'sam'");
    browser.until(LIVE);
    assert_eq!(filters(&mut browser), json!(["/timeline?text=1.5.0", "1.5.0"]));

    // A session that ends on another machine is told by the server alone.
    let token = browser.cookie("lockgate_session");
    assert_eq!(lockgate.http("DELETE", "/v1/sessions", Some(&token), &[], b"").status, 200);
    soon(&mut browser, OUT);
    browser.switch_to(pipeline);
    browser.until(OUT);
    browser.was_clean(&[&host(&lockgate)]);
}

/// Signs out in the tab that is driven.
fn sign_out_in_one(browser: &mut Browser, lockgate: &Instance) {
    assert_eq!(lockgate.get("/v1/whoami", Some(&browser.cookie("lockgate_session"))).status, 200);
    browser.click("sign-out");
    at(browser, "/sign-in");
}

/// The other one says so, leads to where one signs in and back, and shows what it showed.
fn signed_out_in_the_other(browser: &mut Browser) {
    soon(browser, OUT);
    browser.shown("signed-out");
    browser.is_usable();
    let link =
        browser.evaluate("(({ pathname, search }) => pathname + search)(document.querySelector('#signed-out a'))");
    assert_eq!(link, json!("/sign-in?next=%2Ftimeline%3Ftext%3D1.5.0"));
    assert_ne!(browser.evaluate("document.querySelectorAll('#timeline [data-row]').length"), json!(0));
}

/// A network that swallows everything, and a server that is gone: both are shown within five seconds, and afterwards the
/// page has heard of each entry once.
#[test]
fn what_happens_while_a_connection_is_lost_is_told_once() {
    let Some(mut browser) = Browser::start() else { return };
    let lockgate = Instance::granted();
    sign_in(&mut browser, &lockgate, "sam");
    browser.meddle(LISTEN);
    browser.open(&format!("{}/timeline", site(&lockgate)));
    soon(&mut browser, LIVE);
    let from = browser.evaluate("Number(document.body.dataset.entries)").as_u64().unwrap();
    lockgate.push("1.5.0", "trivy.json").exits(0);
    browser.until("got.length === 4");

    // Nothing is closed, and nothing comes.
    let frozen = lockgate.frozen();
    soon(&mut browser, LOST);
    drop(frozen);
    lockgate.promote("1.5.0").exits(5);
    browser.until(LIVE);

    let address = lockgate.address();
    lockgate.stop();
    soon(&mut browser, LOST);
    lockgate.start_at(&address).exits(0);
    lockgate.run(&["approve", "P-6", "--as", "sam", "--yes"]).exits(0);
    browser.until(LIVE);
    lockgate.push("1.6.0", "trivy.json").exits(0);

    let mut indices = history(&lockgate, "");
    let newest = indices[0];
    browser.until(&format!("got.at(-1) === {newest} && document.getElementById('entry-{newest}') !== null"));
    let shown = browser.evaluate("[...document.querySelectorAll('#timeline [data-row]')].map((row) => row.id)");
    let shown = shown.as_array().unwrap().clone();
    let rows: Vec<Value> = indices.iter().map(|index| json!(format!("entry-{index}"))).collect();
    assert!(shown.len() > 20, "{shown:?}");
    assert_eq!(shown, rows[..shown.len()]);
    indices.retain(|index| *index >= from);
    indices.reverse();
    assert!(indices.len() > 15, "{indices:?}");
    // What was told came once and in order; what came with a page that was fetched anew is not told besides.
    let told: Vec<u64> = serde_json::from_value(browser.evaluate("got")).unwrap();
    assert!(told.is_sorted_by(|one, next| one < next), "{told:?}");
    assert!(told.iter().all(|index| indices.contains(index)), "{told:?}");
    assert!(told.len() > 8, "{told:?}");
    browser.was_clean(&[&host(&lockgate)]);
}
