//! The dashboard, as people use it: the pages that the server serves, in a real browser where there is one.

use serde_json::json;

use crate::browser::driver::Browser;
use crate::instance::{Instance, text};

/// The address that `lockgate dashboard` prints for somebody.
fn address(lockgate: &Instance, person: &str) -> String {
    text(&lockgate.json(&["dashboard", "--print", "--as", person], 0)["url"])
}

/// Signs in by a hand-over, as the page asks for it.
pub fn sign_in(browser: &mut Browser, lockgate: &Instance, person: &str) {
    browser.open(&address(lockgate, person));
    browser.shown("handover");
    assert_eq!(browser.text("handover-who"), person);
    // The code has left the address.
    assert_eq!(browser.evaluate("location.hash + location.search"), json!(""));
    browser.is_usable();
    browser.click("take");
    browser.until("location.pathname === '/' && document.readyState === 'complete'");
}

/// Waits for a page of the dashboard.
pub fn at(browser: &mut Browser, path: &str) {
    browser.until(&format!("location.pathname === '{path}' && document.readyState === 'complete'"));
}

/// Waits until the page says this, beside what every page says.
pub fn says(browser: &mut Browser, words: &str) {
    browser.until(&format!("document.querySelector('main').textContent.includes({})", json!(words)));
}

#[test]
fn a_release_is_promoted_decided_and_taken_back_from_the_pages() {
    let Some(mut browser) = Browser::start() else { return };
    let lockgate = Instance::demo();
    lockgate.push("1.4.2", "trivy.json").exits(0);
    sign_in(&mut browser, &lockgate, "dana");
    says(&mut browser, "shop/web");
    browser.is_usable();

    // Forward, by the form of the service's page.
    browser.evaluate("document.querySelector('#matrix a[href=\"/services/shop/web\"]').click()");
    at(&mut browser, "/services/shop/web");
    browser.is_usable();
    browser.evaluate("document.getElementById('promote-environment').value = 'production'");
    browser.evaluate(
        "(() => { const field = document.getElementById('promote-reason'); field.value = 'weekly release'; \
         field.dispatchEvent(new Event('input', { bubbles: true })); })()",
    );
    browser.click("promote");
    at(&mut browser, "/promotions/P-3");
    says(&mut browser, "weekly release");
    browser.is_usable();
    assert_eq!(lockgate.status_of("P-3"), "pending");
    // dana asked, so she may take it back; deciding is for others, and the page says for whom.
    assert_eq!(browser.evaluate("document.querySelector('a[href=\"/approve/P-3\"]') === null"), json!(true));
    says(&mut browser, "approvers may");
    assert_eq!(browser.evaluate("document.querySelector('.top .count') === null"), json!(true));

    // What is refused is said in the form, with its code.
    browser.evaluate("document.querySelector('form[data-act]').dataset.act = '/v1/promotions/P-99/withdrawal'");
    browser.click("withdraw");
    browser.until("document.querySelector('[data-code]').textContent === 'PROMOTION_UNKNOWN'");
    browser.open(&format!("{}/promotions/P-3", lockgate.url().replace("127.0.0.1", "localhost")));

    // sam is who it waits for.
    browser.click("sign-out");
    browser.until("location.pathname === '/sign-in' && document.readyState === 'complete'");
    sign_in(&mut browser, &lockgate, "sam");
    assert_eq!(browser.evaluate("document.querySelector('.top .count').textContent"), json!("1"));
    browser.evaluate("document.querySelector('a[data-go=i]').click()");
    at(&mut browser, "/inbox");
    says(&mut browser, "P-3: shop/web@1.4.2 into production");
    browser.is_usable();
    // An approval on another machine takes it from the page that is open.
    lockgate.run(&["approve", "P-3", "--as", "sam", "--yes"]).exits(0);
    says(&mut browser, "Nothing waits for you");
    assert_eq!(lockgate.status_of("P-3"), "granted");

    browser.click("sign-out");
    browser.until("location.pathname === '/sign-in' && document.readyState === 'complete'");
    let host = lockgate.address().replace("127.0.0.1", "localhost");
    browser.was_clean(&[&host]);
}

/// A link with somebody else's code asks before anybody becomes them.
#[test]
fn nobody_becomes_somebody_else_by_following_a_link() {
    let Some(mut browser) = Browser::start() else { return };
    let lockgate = Instance::demo();
    sign_in(&mut browser, &lockgate, "dana");
    browser.open(&address(&lockgate, "sam"));
    browser.shown("handover-now");
    assert_eq!((browser.text("handover-who"), browser.text("handover-me")), ("sam".to_owned(), "dana".to_owned()));
    browser.click("leave");
    browser.shown("done");
    assert_eq!(browser.text("who"), "dana");
    // A code that was used says so, and opens nothing.
    let used = address(&lockgate, "sam");
    let code = used.split_once("#code=").unwrap().1;
    let claim = json!({ "code": code, "person": "sam" });
    assert_eq!(lockgate.post("/v1/handovers/claims", None, &claim).status, 200);
    browser.open(&format!("{}/enrol", lockgate.url().replace("127.0.0.1", "localhost")));
    browser.open(&used);
    browser.shown("problem");
    assert_eq!(browser.text("problem-code"), "HANDOVER_INVALID");
}

#[test]
fn every_page_says_what_the_ledger_holds() {
    let lockgate = Instance::granted();
    lockgate.push("1.5.0", "trivy.json").exits(0);
    lockgate.promote("1.5.0").exits(5);
    let sam = lockgate.token("sam");
    let page = |path: &str| {
        let reply = lockgate.get(path, Some(&sam));
        let body = String::from_utf8_lossy(&reply.body).into_owned();
        assert_eq!(reply.status, 200, "{path}: {body}");
        assert!(reply.head.to_lowercase().contains("content-security-policy: default-src 'none'; script-src 'self'"));
        body
    };
    let check = |path: &str, words: &[&str]| {
        let body = page(path);
        for wanted in words {
            assert!(body.contains(wanted), "{path}: {wanted}: {body}");
        }
    };
    let release = lockgate.get("/v1/releases/shop/web@1.4.2", Some(&sam)).json();
    let service = lockgate.get("/v1/services/shop/web", Some(&sam)).json();
    let inbox = lockgate.get("/v1/inbox", Some(&sam)).json();
    let waiting = text(&inbox["promotions"][0]["promotion"]);
    check("/inbox", &[&waiting, "shop/web@1.5.0 into production", "dana", "weekly release", "missing:"]);
    assert_eq!(lockgate.get("/v1/inbox", Some(&lockgate.token("dana"))).json()["promotions"], json!([]));
    lockgate.run(&["inbox", "--as", "sam"]).exits(0).says(&waiting);
    lockgate.run(&["inbox", "--as", "dana"]).exits(0).says("nothing waits for you");

    check("/services/shop/web", &["1.4.2", "1.5.0", "production", "/promotions/P-3", "not you"]);
    assert_eq!(service["releases"].as_array().unwrap().len(), 2);
    let production = service["environments"].as_array().unwrap().iter().find(|row| row["environment"] == "production");
    assert_eq!(production.unwrap()["running"]["release"], "shop/web@1.4.2");

    check(
        "/releases/shop/web@1.4.2",
        &[&text(&release["manifest"]), "app-1.4.2.tar.gz", "junit", "cyclonedx", "production"],
    );
    for evidence in release["evidence"].as_array().unwrap() {
        let digest = text(&evidence["digest"]);
        check(&format!("/evidence/{digest}"), &[&digest, "the bytes are what the digest names", "A claim of the kind"]);
    }
    let artifact = text(&release["artifacts"][0]["digest"]);
    check(&format!("/evidence/{artifact}"), &["it is no statement and no report", "Only the beginning is shown"]);
    check(
        "/diff?from=shop/web@1.4.2&to=shop/web@1.5.0",
        &["shop/web@1.4.2 → shop/web@1.5.0", "No component differs", " new", " gone"],
    );
    check("/timeline", &["promotion.requested", "P-3: shop/web@1.4.2 into production", "/v1/history?"]);

    check("/keys", &["SHA256:", "log key, ed25519", "attestation key", " this one", "Nobody approves in anybody"]);
    check("/keys?q=no-such-key", &["No key fits", "lockgate key enrol"]);
    let policy = text(&lockgate.get("/v1/server", Some(&sam)).json()["policy"]);
    check(
        "/policy",
        &[&policy, "/policy?file=gates", "id=\"policy-1\"", "lockgate policy backtest", "No change of the policy set"],
    );
    check(
        "/policy?release=shop/web@1.5.0&environment=production",
        &["trial-outcome", "needed", "lockgate promote shop/web@1.5.0"],
    );
    check("/policy?release=shop/none@1.0.0&environment=production", &["RELEASE_UNKNOWN"]);
    check("/timeline?stream=governance", &["policy", "lockgate history --governance"]);
    check("/changes", &["Nothing was ever proposed", "lockgate change list"]);
    check("/changes?state=stale", &["No change stands like that"]);
    assert_eq!(lockgate.get("/changes?state=any", Some(&sam)).status, 400);
    assert_eq!(lockgate.get("/changes/C-9", Some(&sam)).status, 404);
    check(&format!("/promotions/{waiting}"), &["Evaluate now", "not you", &format!("evaluate {waiting} again")]);
    check("/freeze", &["None is in force.", "None is open, and none waits for a review."]);

    // Each filter leaves in what it is for, and the next page goes on with it.
    let found = |query: &str| {
        let reply = lockgate.get(&format!("/v1/history?{query}"), Some(&sam)).json();
        let rows = reply["items"].as_array().unwrap().clone();
        assert!(!rows.is_empty(), "{query}: {reply}");
        rows
    };
    assert!(found("event=approval").iter().all(|row| row["event"] == "approval.recorded"));
    assert!(found("person=dana").iter().all(|row| row["actor"] == "dana"));
    assert!(found("person=dana&environment=&event=promotion&limit=2").len() == 2);
    assert!(found("outcome=allow").iter().all(|row| row["entry"]["event"]["body"]["outcome"] == "allow"));
    assert!(found("outcome=approve").iter().all(|row| row["event"] == "approval.recorded"));
    let beginning: String = policy.chars().take(19).collect();
    let under = found(&format!("policy={beginning}&limit=200"));
    assert!(under.iter().any(|row| row["event"] == "decision.recorded" && row["index"] != 0));
    assert!(under.iter().all(|row| row["entry"]["event"]["body"]["policy"] == json!(policy)));
    for (query, what) in [("outcome=denied", "is no outcome"), ("policy=abc", "begins no digest")] {
        let refused = lockgate.get(&format!("/v1/history?{query}"), Some(&sam));
        refused.refused(400, "QUERY_INVALID");
        assert!(String::from_utf8_lossy(&refused.body).contains(what), "{refused:?}");
    }
    assert!(found("text=WEEKLY").iter().all(|row| text(&row["summary"]).contains("weekly release")));
    assert!(found(&format!("artifact={artifact}")).len() >= 2);
    let all = found("service=shop/web&limit=200");
    let first = lockgate.get("/v1/history?service=shop/web&limit=3", Some(&sam)).json();
    let next = first["next"].as_u64().unwrap();
    let second = lockgate.get(&format!("/v1/history?service=shop/web&limit=3&before={next}"), Some(&sam)).json();
    let indices =
        |rows: &[serde_json::Value]| rows.iter().map(|row| row["index"].as_u64().unwrap()).collect::<Vec<_>>();
    let pages = [first["items"].as_array().unwrap().clone(), second["items"].as_array().unwrap().clone()].concat();
    assert_eq!(indices(&pages), indices(&all)[..6]);
    let nothing = lockgate.get("/v1/history?until=2001-01-01", Some(&sam)).json();
    assert_eq!(nothing["items"], json!([]));
    lockgate.get("/v1/history?since=yesterday", Some(&sam)).refused(400, "QUERY_INVALID");
    check(
        "/timeline?person=dana&event=promotion&before=5",
        &["Back to the newest", "/timeline?person=dana&amp;event=promotion"],
    );
    check("/timeline?text=nothing%20says%20that", &["Nothing that was looked at fits", "lockgate history"]);

    // What is not there is a page too, and nobody is let in without a session.
    for path in ["/services/shop/none", "/releases/shop/web@9.9.9", "/promotions/P-99"] {
        let reply = lockgate.get(path, Some(&sam));
        assert_eq!(reply.status, 404, "{path}: {reply:?}");
        assert!(reply.head.to_lowercase().contains("content-type: text/html"), "{path}");
    }
    for path in [
        "/",
        "/inbox",
        "/services/shop/web",
        "/releases/shop/web@1.4.2",
        "/timeline",
        "/keys",
        "/access",
        "/policy",
        "/freeze",
    ] {
        assert_eq!(lockgate.get(path, None).status, 303, "{path}");
    }
}
