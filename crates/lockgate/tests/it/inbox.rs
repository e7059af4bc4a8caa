//! The inbox: what is snoozed is folded and counted, and what is there by a delegation says so.

use serde_json::{Value, json};

use crate::browser::driver::Browser;
use crate::dashboard::{at, says, sign_in};
use crate::dashboard_pages::{host, soon};
use crate::instance::{Instance, Reply, text};

/// Where promotions and changes are snoozed.
const SNOOZES: &str = "/v1/inbox/snoozes";

/// What a reply has the browser keep: the cookie's name and value, and what is said beside them.
#[track_caller]
fn cookie(reply: &Reply) -> (String, String) {
    assert_eq!(reply.status, 200, "{reply:?}");
    let line = reply.head.lines().find(|line| line.to_lowercase().starts_with("set-cookie: "));
    let (_, cookie) = line.unwrap_or_else(|| panic!("no cookie: {}", reply.head)).split_once(": ").unwrap();
    let (pair, more) = cookie.split_once("; ").unwrap();
    (pair.to_owned(), more.to_owned())
}

/// The inbox page as somebody's browser gets it.
#[track_caller]
fn page(lockgate: &Instance, token: &str, cookie: &str) -> String {
    let reply = lockgate.http("GET", "/inbox", Some(token), &[("Cookie", cookie)], b"");
    assert_eq!(reply.status, 200, "{reply:?}");
    String::from_utf8(reply.body).unwrap()
}

#[test]
fn what_is_snoozed_is_folded_counted_and_nowhere_but_in_the_browser() {
    let lockgate = Instance::pending();
    let (sam, entries) = (lockgate.token("sam"), lockgate.entries());
    let snooze = |subject: &str, cookie: &str, lasts: &str| {
        let body = json!({ "lasts": lasts }).to_string();
        lockgate.http("POST", &format!("{SNOOZES}/{subject}"), Some(&sam), &[("Cookie", cookie)], body.as_bytes())
    };
    assert!(!page(&lockgate, &sam, "other=1").contains("Snoozed"));
    let (kept, more) = cookie(&snooze("P-3", "other=1", "day"));
    assert!(kept.starts_with("lockgate_snoozed=") && kept.contains(".P-3:"), "{kept}");
    assert_eq!(more, "HttpOnly; SameSite=Strict; Path=/; Max-Age=604800");

    let folded = page(&lockgate, &sam, &kept);
    let (awake, snoozed) = folded.split_once("Snoozed (1)").unwrap_or_else(|| panic!("{folded}"));
    assert!(!awake.contains("id=\"row-P-3\"") && awake.contains("<span class=\"count\">1</span>"), "{folded}");
    for wanted in ["href=\"/promotions/P-3\"", "id=\"wake-P-3\"", "weekly release", "lockgate approve P-3"] {
        assert!(snoozed.contains(wanted), "{wanted}: {folded}");
    }
    // The ledger and the API know nothing of it.
    assert_eq!(lockgate.entries(), entries);
    assert_eq!(lockgate.get("/v1/inbox", Some(&sam)).json()["promotions"][0]["promotion"], "P-3");

    // Whatever is not what the server wrote shows everything.
    let (whose, when) = kept.split_once(".P-3:").unwrap();
    let when: u64 = when.parse().unwrap();
    let odd = [
        format!("{kept}; {kept}"),
        format!("{kept}."),
        format!("{kept}.P-3:{when}"),
        format!("{whose}.P-3:{}", when + 30 * 86_400),
        format!("{whose}.P-3:{}", when - 2 * 86_400),
        format!("lockgate_snoozed=0000000000000000.P-3:{when}"),
        format!("lockgate_snoozed=P-3:{when}"),
        format!("__Host-{kept}"),
        format!("lockgate_snoozed={}", "x".repeat(5000)),
    ];
    for cookie in odd {
        let shown = page(&lockgate, &sam, &cookie);
        assert!(shown.contains("id=\"snooze-P-3-day\"") && !shown.contains("Snoozed ("), "{cookie:.200}: {shown}");
    }

    // Snoozed again, it is for as long as was asked last; woken, it is as if it never was.
    let (week, _) = cookie(&snooze("P-3", &kept, "week"));
    assert!(week.starts_with(whose) && week != kept, "{week}");
    let wake = |subject: &str| {
        lockgate.http("DELETE", &format!("{SNOOZES}/{subject}"), Some(&sam), &[("Cookie", kept.as_str())], b"")
    };
    assert_eq!(cookie(&wake("C-1")).0, kept);
    assert_eq!(
        cookie(&wake("P-3")),
        ("lockgate_snoozed=".to_owned(), "HttpOnly; SameSite=Strict; Path=/; Max-Age=0".to_owned())
    );
    assert_eq!(lockgate.entries(), entries);
}

#[test]
fn only_what_waits_for_oneself_is_snoozed_and_only_by_ones_own_pages() {
    let lockgate = Instance::pending();
    let (sam, dana) = (lockgate.token("sam"), lockgate.token("dana"));
    let day = json!({ "lasts": "day" });
    lockgate.post(&format!("{SNOOZES}/P-3"), Some(&dana), &day).refused(404, "PROMOTION_UNKNOWN");
    lockgate.post(&format!("{SNOOZES}/P-99"), Some(&sam), &day).refused(404, "PROMOTION_UNKNOWN");
    lockgate.post(&format!("{SNOOZES}/C-1"), Some(&sam), &day).refused(404, "CHANGE_UNKNOWN");
    // Freezes and break-glass stand under the number of their entry, and no number can be snoozed.
    for alarm in ["12", "F-1", "freeze", "P-0", "p-3", "P-3:1"] {
        lockgate.post(&format!("{SNOOZES}/{alarm}"), Some(&sam), &day).refused(400, "PATH_INVALID");
    }
    for body in [json!({}), json!({ "lasts": "year" }), json!({ "lasts": "day", "until": 1 }), json!({ "lasts": 9 })] {
        assert_eq!(lockgate.post(&format!("{SNOOZES}/P-3"), Some(&sam), &body).status, 400, "{body}");
    }
    // A form of another site has the cookie of the session with it, and nothing more.
    let path = format!("{SNOOZES}/P-3");
    let session = format!("lockgate_session={sam}");
    let own: [(&str, &str); 3] =
        [("Cookie", session.as_str()), ("Content-Type", "application/json"), ("Lockgate-CSRF", "1")];
    let body = day.to_string();
    let send = |headers: &[(&str, &str)]| lockgate.http("POST", &path, None, headers, body.as_bytes());
    assert_eq!(send(&own).status, 200);
    send(&own[..2]).refused(403, "CSRF");
    send(&[own[0], ("Content-Type", "application/x-www-form-urlencoded"), own[2]]).refused(403, "CSRF");
    send(&[own[0], own[1], own[2], ("Origin", "https://evil.example")]).refused(403, "CSRF");
    lockgate.http("DELETE", &path, None, &own[..1], b"").refused(403, "CSRF");
    lockgate.http("POST", &path, None, &[], body.as_bytes()).refused(401, "SIGN_IN_NEEDED");
}

#[test]
fn what_is_there_by_a_delegation_says_whose_and_until_when() {
    let lockgate = Instance::demo();
    lockgate.run(&["key", "generate", "eve.key"]).exits(0);
    let enrol = ["key", "enrol", "eve", "--group", "developers", "--key", "eve.key", "--file", "eve.json"];
    lockgate.run(&enrol).exits(0);
    lockgate.run(&["invite", "eve.json", "--as", "sam", "--yes"]).exits(0);
    lockgate.push("1.4.2", "trivy.json").exits(0);
    lockgate.promote("1.4.2").exits(5);
    let (sam, eve) = (lockgate.token("sam"), lockgate.token_by("eve", &lockgate.file("eve.key")));
    let inbox = |token: &str| lockgate.get("/v1/inbox", Some(token)).json();
    assert_eq!((&inbox(&eve)["promotions"], &inbox(&eve)["delegations"]), (&json!([]), &Value::Null));
    let shown = page(&lockgate, &eve, "other=1");
    assert!(shown.contains("no right to approve of your own") && !shown.contains("id=\"delegate\""), "{shown}");

    // As the page of the lender says it, with the name filled in.
    let shown = page(&lockgate, &sam, "other=1");
    let wanted = "lockgate delegate add NAME --service shop/web --env production --for 7d --reason REASON --as sam";
    assert!(shown.contains(wanted), "{shown}");
    let command = wanted.replace("NAME", "eve").replace("REASON", "away");
    let words: Vec<&str> = command.split(' ').skip(1).chain(["--yes"]).collect();
    lockgate.run(&words).exits(0);

    let waiting = inbox(&eve);
    let lent = &waiting["promotions"][0]["lent"];
    let index = lent[0]["delegation"].as_u64().unwrap();
    assert_eq!((text(&lent[0]["from"]), lent.as_array().unwrap().len()), ("sam".to_owned(), 1));
    assert_eq!(waiting["delegations"][0]["expires_at"], lent[0]["expires_at"]);
    let shown = page(&lockgate, &eve, "other=1");
    for wanted in [
        "<strong>sam</strong> lent you the right to approve",
        "from <strong>sam</strong> to <strong>you</strong>",
        "all groups; shop/web; production; ends ",
        &format!("lockgate delegate end {index} --reason REASON --as eve"),
    ] {
        assert!(shown.contains(wanted), "{wanted}: {shown}");
    }
    assert!(!shown.contains("delegate-P-3"), "{shown}");
    lockgate.run(&["inbox", "--as", "eve", "--output", "json"]).exits(0).says("\"lent\"");
    // However many of one lender's delegations overlap, the table names the lender once.
    let again = ["delegate", "add", "eve", "--for", "5d", "--reason", "away again", "--as", "sam", "--yes"];
    let second = lockgate.json(&again, 0)["result"]["index"].as_u64().unwrap().to_string();
    assert_eq!(inbox(&eve)["promotions"][0]["lent"].as_array().unwrap().len(), 2);
    let table = lockgate.run(&["inbox", "--as", "eve"]).exits(0);
    assert_eq!(table.stdout.matches("by delegation from sam").count(), 1, "{table}");
    lockgate.run(&["delegate", "end", &second, "--reason", "too much", "--as", "eve"]).exits(0);
    // The lender's own line is theirs, and the page says to whom they lent.
    assert_eq!(inbox(&sam)["promotions"][0]["lent"], Value::Null);
    let shown = page(&lockgate, &sam, "other=1");
    assert!(shown.contains("from <strong>you</strong> to <strong>eve</strong>"), "{shown}");

    lockgate.run(&["delegate", "end", &index.to_string(), "--reason", "back", "--as", "eve"]).exits(0);
    assert_eq!((&inbox(&eve)["promotions"], &inbox(&sam)["delegations"]), (&json!([]), &Value::Null));
}

#[test]
fn a_line_is_snoozed_and_woken_in_a_browser() {
    let Some(mut browser) = Browser::start() else { return };
    let lockgate = Instance::pending();
    sign_in(&mut browser, &lockgate, "sam");
    browser.evaluate("document.querySelector('a[data-go=i]').click()");
    at(&mut browser, "/inbox");
    says(&mut browser, "P-3: shop/web@1.4.2 into production");
    let count = "document.querySelector('.top .count').textContent";
    assert_eq!(browser.evaluate(count), json!("1"));
    browser.click("snooze-P-3-week");
    says(&mut browser, "Snoozed (1)");
    browser.is_usable();
    assert!(browser.cookie("lockgate_snoozed").contains(".P-3:"));
    assert_eq!(browser.evaluate(count), json!("1"));
    assert_eq!(browser.evaluate("document.getElementById('row-P-3').checkVisibility()"), json!(false));

    // What is opened stays open while the ledger grows, and leads to the promotion.
    browser.evaluate("document.querySelector('#snoozed > summary').click()");
    soon(&mut browser, "document.getElementById('row-P-3').checkVisibility()");
    let entries = lockgate.entries();
    lockgate.push("1.5.0", "trivy.json").exits(0);
    soon(&mut browser, &format!("Number(document.body.dataset.entries) > {entries}"));
    assert_eq!(browser.evaluate("document.getElementById('snoozed').open"), json!(true));
    assert_eq!(
        browser.evaluate("document.querySelector('#snoozed .button').getAttribute('href')"),
        json!("/promotions/P-3")
    );
    browser.click("wake-P-3");
    browser.shown("snooze-P-3-day");
    assert_eq!(browser.evaluate("document.getElementById('snoozed') === null"), json!(true));

    // The command to lend one's right is folded up until it is asked for.
    assert!(!browser.is_shown("cli-delegate-P-3"));
    browser.evaluate("document.querySelector('#delegate-P-3 > summary').click()");
    browser.shown("cli-delegate-P-3");
    browser.is_usable();
    browser.was_clean(&[&host(&lockgate)]);
}
