//! Acts that take a signature, done on the pages with a passkey: what is shown is what is signed, and what is sent is
//! what the command line would send.

use lockgate_ledger::ci_trust::{GITHUB_ISSUER, GITLAB_ISSUER};
use serde_json::{Value, json};

use crate::browser::driver::Browser;
use crate::browser::{SLOW, make_passkey, run, sign_in};
use crate::dashboard_pages::{host, site};
use crate::instance::{Instance, text};

/// Gives somebody who is enrolled a passkey, and signs them in with it.
fn with_passkey(browser: &mut Browser, lockgate: &Instance, person: &str) {
    let (add, _) = make_passkey(browser, lockgate, &format!("person={person}"));
    run(lockgate, &add, &["--as", person, "--yes"]).exits(0);
    sign_in(browser, lockgate, person);
}

/// Opens a page, with whatever is folded up in it.
fn open(browser: &mut Browser, lockgate: &Instance, path: &str) {
    browser.open(&format!("{}{path}", site(lockgate)));
    browser.evaluate("document.querySelectorAll('#content details').forEach((one) => { one.open = true; })");
}

/// Fills a field in, so that its form notices.
fn fill(browser: &mut Browser, id: &str, value: &str) {
    browser.evaluate(&format!(
        "(() => {{ const field = document.getElementById('{id}'); field.value = {}; \
         field.dispatchEvent(new Event('input', {{ bubbles: true }})); }})()",
        json!(value)
    ));
}

/// Presses the button of a form, and gives what would be signed, as the dialog shows it.
#[track_caller]
fn ask(browser: &mut Browser, button: &str) -> String {
    browser.click(button);
    browser.until("document.getElementById('signing').open");
    browser.is_usable();
    assert_eq!(browser.text("signing-words").split(' ').count(), 6);
    browser.text("signing-facts")
}

/// Presses the button of a form, compares what would be signed, and signs it; a page is loaded after it.
#[track_caller]
fn sign(browser: &mut Browser, button: &str, facts: &[&str]) {
    let shown = ask(browser, button);
    for fact in facts {
        assert!(shown.contains(fact), "{fact}: {shown}");
    }
    browser.evaluate("window.left = true");
    browser.click("signing-sign");
    browser.until("window.left === undefined && document.readyState === 'complete'");
}

#[test]
fn somebody_freezes_and_lifts_on_the_page_and_signs_what_is_shown() {
    let Some(mut browser) = Browser::start() else { return };
    let lockgate = Instance::granted();
    with_passkey(&mut browser, &lockgate, "sam");
    open(&mut browser, &lockgate, "/freeze");
    browser.is_usable();
    fill(&mut browser, "freeze-environment", "production");
    fill(&mut browser, "freeze-lasts", "1h");
    fill(&mut browser, "freeze-reason", "payments are <b>down</b>");
    // Who looks at it and signs nothing changes nothing, and can go on.
    let entries = lockgate.entries();
    ask(&mut browser, "freeze");
    browser.click("signing-leave");
    browser.until("!document.getElementById('signing').open && !document.getElementById('freeze').disabled");
    assert_eq!(lockgate.entries(), entries);
    assert_eq!(browser.evaluate("document.querySelector('form[data-dirty]')"), Value::Null);
    sign(
        &mut browser,
        "freeze",
        &["freeze.v1@lockgate.dev", "production", "every service", "payments are <b>down</b>", "sam"],
    );
    lockgate.run(&["freeze", "list"]).exits(0).says("everything in production").says("payments are");
    lockgate.verify("1.4.2", &[]).refused(3, "FROZEN");
    let made = lockgate.json(&["freeze", "list"], 0)[0].clone();
    assert!(made["until"].as_u64().unwrap() > made["since"].as_u64().unwrap(), "{made}");

    let entry = made["freeze"].as_u64().unwrap().to_string();
    fill(&mut browser, &format!("unfreeze-reason-{entry}"), "it is over");
    sign(&mut browser, &format!("unfreeze-{entry}"), &[&entry, "it is over"]);
    lockgate.verify("1.4.2", &[]).exits(0);
    // What is refused is said in the form.
    fill(&mut browser, "freeze-service", "shop/wep");
    fill(&mut browser, "freeze-reason", "a slip of the pen");
    ask(&mut browser, "freeze");
    browser.click("signing-sign");
    browser.until("document.querySelector('form[data-sign=freeze] [data-code]').textContent === 'SERVICE_UNKNOWN'");
    browser.was_clean(&[&host(&lockgate)]);
}

#[test]
fn somebody_without_a_passkey_is_told_what_to_do() {
    let Some(mut browser) = Browser::start() else { return };
    let lockgate = Instance::granted();
    crate::dashboard::sign_in(&mut browser, &lockgate, "sam");
    open(&mut browser, &lockgate, "/freeze");
    fill(&mut browser, "freeze-reason", "payments are down");
    let entries = lockgate.entries();
    browser.click("freeze");
    browser.until("document.querySelector('form[data-sign=freeze] [data-detail]').textContent.includes('no passkey for localhost')");
    assert_eq!(lockgate.entries(), entries);
}

#[test]
fn a_waiver_is_asked_for_granted_and_revoked_on_the_pages() {
    let Some(mut browser) = Browser::start() else { return };
    let lockgate = Instance::demo();
    lockgate.push("1.0.0", "trivy-critical.json").exits(0);
    lockgate.promote("1.0.0").exits(3).says("VULNERABILITIES_FOUND");
    let ask = ["waive", "request", "--gate", "vulnerabilities", "--finding", "CVE-2099-10001", "--env", "production"];
    lockgate.run(&[&ask[..], &["--release", "shop/web@1.0.0", "--reason", "never called"]].concat()).exits(0);
    let request = lockgate.json(&["waive", "list"], 0)[0]["request"].as_u64().unwrap().to_string();
    with_passkey(&mut browser, &lockgate, "sam");

    open(&mut browser, &lockgate, "/policy");
    sign(
        &mut browser,
        &format!("waiver-grant-{request}"),
        &["CVE-2099-10001", "shop/web@1.0.0", "never called", "dana"],
    );
    let granted = lockgate.json(&["waive", "list"], 0)[0].clone();
    assert_eq!((&granted["state"], &granted["granted_by"]), (&json!("open"), &json!("sam")));
    let waiver = granted["waiver"].as_u64().unwrap().to_string();
    open(&mut browser, &lockgate, "/policy");
    fill(&mut browser, &format!("waiver-revoke-reason-{waiver}"), "it is called after all");
    sign(&mut browser, &format!("waiver-revoke-{waiver}"), &[&waiver, "it is called after all"]);
    lockgate.run(&["waive", "list"]).exits(0).says("nothing is waived");
    lockgate.run(&["waive", "list", "--all"]).exits(0).says("revoked by sam");

    open(&mut browser, &lockgate, "/promotions/P-3");
    fill(&mut browser, "waive-vulnerabilities-finding", "CVE-2099-10001");
    fill(&mut browser, "waive-vulnerabilities-reason", "never called, really");
    sign(
        &mut browser,
        "waive-vulnerabilities",
        &["CVE-2099-10001", "vulnerabilities", "shop/web@1.0.0", "every artifact"],
    );
    let asked = lockgate.json(&["waive", "list"], 0)[0].clone();
    assert_eq!((&asked["state"], &asked["asked"]["asked_by"]), (&json!("asked"), &json!("sam")));
    open(&mut browser, &lockgate, "/policy");
    assert_eq!(browser.evaluate("document.querySelector('form[data-sign=waiver-grant]')"), Value::Null);
    browser.was_clean(&[&host(&lockgate)]);
}

/// What an answer of the API has besides the waiver that was asked for is not signed, and no answer says what is.
#[test]
fn an_answer_that_says_more_than_was_asked_adds_nothing_to_what_is_signed() {
    let Some(mut browser) = Browser::start() else { return };
    let lockgate = Instance::demo();
    lockgate.push("1.0.0", "trivy-critical.json").exits(0);
    let asked = ["waive", "request", "--gate", "vulnerabilities", "--finding", "CVE-2099-10001", "--env", "production"];
    lockgate.run(&[&asked[..], &["--release", "shop/web@1.0.0", "--reason", "never called"]].concat()).exits(0);
    let request = lockgate.json(&["waive", "list"], 0)[0]["request"].as_u64().unwrap().to_string();
    with_passkey(&mut browser, &lockgate, "sam");
    let meddling = browser.meddle(
        "const own = window.fetch; window.fetch = async (path, options) => { const reply = await own(path, options); \
         if (path !== '/v1/waivers' || (options.method ?? 'GET') !== 'GET') { return reply; } \
         const rows = await reply.json(); window.meddled = true; \
         for (const { asked } of rows) { asked.schema = 'https://lockgate.dev/recovery/v1'; \
         asked.namespace = 'key-enrolment.v1@lockgate.dev'; asked.person = 'mallory'; } \
         return new Response(JSON.stringify(rows), { status: reply.status }); };",
    );
    open(&mut browser, &lockgate, "/policy");
    let button = format!("waiver-grant-{request}");
    let shown = ask(&mut browser, &button);
    assert_eq!(browser.evaluate("window.meddled"), json!(true));
    assert!(shown.starts_with("kindwaiverpurposewaiver.v1@lockgate.dev"), "{shown}");
    for absent in ["recovery", "key-enrolment", "mallory"] {
        assert!(!shown.contains(absent), "{absent}: {shown}");
    }
    assert_eq!(browser.text("signing-title"), "You are about to sign a waiver that somebody else asked for");
    let exact = browser.text("signing-exact");
    assert!(exact.contains("https://lockgate.dev/waiver/v1") && !exact.contains("mallory"), "{exact}");
    browser.click("signing-leave");
    browser.until(&format!("!document.getElementById('{button}').disabled"));
    sign(&mut browser, &button, &["CVE-2099-10001", "waiver.v1@lockgate.dev"]);
    assert_eq!(lockgate.json(&["waive", "list"], 0)[0]["granted_by"], json!("sam"));
    browser.stop_meddling(&meddling);
    kinds(&mut browser, &lockgate);
}

/// Each kind of document that is signed in one dialog has a title of its own, and what is on no list is refused.
fn kinds(browser: &mut Browser, lockgate: &Instance) {
    open(browser, lockgate, "/policy");
    let mut kind = |document: Value| {
        text(&browser.evaluate(&format!(
            "import('/assets/signing.js').then(({{ kindOf }}) => {{ \
             try {{ return kindOf('change-sign', {document}, 'sam').title; }} catch ({{ message }}) {{ return message; }} }})"
        )))
    };
    let mut check = |name: &str, more: Value, title: &str| {
        let mut document = json!({ "schema": format!("https://lockgate.dev/{name}/v1") });
        document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let said = kind(document);
        assert!(said.contains(title), "{name}: {said}");
    };
    check("enrolment", json!({}), "enrolled");
    check("recovery", json!({}), "lost");
    check("revocation", json!({ "compromised_since": null }), "a key ends");
    check("revocation", json!({ "compromised_since": 0 }), "in someone else");
    check("standing", json!({ "suspended": true }), "suspended");
    check("standing", json!({ "suspended": false }), "reinstated");
    check("policy-activation", json!({}), "policy set");
    check("ci-trust", json!({}), "pipelines");
    for name in ["waiver", "freeze", "rotation", "recovery/v2", "x/recovery", ""] {
        check(name, json!({}), "nothing was signed");
    }
}

/// Whoever says no while the passkey is asked has signed nothing, whatever it answers; and one act at a time is signed.
#[test]
fn nothing_is_sent_once_the_dialog_is_closed() {
    let Some(mut browser) = Browser::start() else { return };
    let lockgate = Instance::granted();
    with_passkey(&mut browser, &lockgate, "sam");
    let meddling = browser.meddle(SLOW);
    open(&mut browser, &lockgate, "/freeze");
    let entries = lockgate.entries();
    let other = "document.querySelector('form[data-sign=break-glass]')";
    for leaves in ["signing-leave", "Escape"] {
        fill(&mut browser, "freeze-reason", "payments are down");
        ask(&mut browser, "freeze");
        browser.evaluate("window.go = undefined");
        browser.click("signing-sign");
        browser.until("window.go !== undefined");
        browser.evaluate(&format!(
            "{other}.dispatchEvent(new SubmitEvent('submit', {{ bubbles: true, cancelable: true }}))"
        ));
        browser.until(&format!("{other}.querySelector('[data-detail]').textContent.includes('another act')"));
        assert_eq!(browser.evaluate("document.getElementById('signing').open"), json!(true));
        if leaves == "Escape" {
            browser.press(leaves);
        } else {
            browser.click(leaves);
        }
        browser.until("!document.getElementById('signing').open && window.stops.aborted");
        browser.evaluate("window.go()");
        browser.until("!document.querySelector('form[data-sign=freeze]').hasAttribute('aria-busy')");
        assert_eq!(lockgate.entries(), entries, "{leaves}");
        // Nothing went wrong, and nothing holds the form any more.
        let form = "document.querySelector('form[data-sign=freeze]')";
        let state = format!("[{form}.querySelector('[data-problem]').hidden, {form}.hasAttribute('data-dirty')]");
        assert_eq!(browser.evaluate(&state), json!([true, false]), "{leaves}");
    }
    browser.stop_meddling(&meddling);
    open(&mut browser, &lockgate, "/freeze");
    fill(&mut browser, "freeze-reason", "payments are down");
    sign(&mut browser, "freeze", &["payments are down"]);
    lockgate.run(&["freeze", "list"]).exits(0).says("payments are down");
    browser.was_clean(&[&host(&lockgate)]);
}

/// An update puts other keys above the one whose form was begun: the form stays in that key's row.
#[test]
fn a_form_that_was_begun_stays_in_the_row_of_its_key() {
    let Some(mut browser) = Browser::start() else { return };
    let lockgate = Instance::demo();
    with_passkey(&mut browser, &lockgate, "sam");
    open(&mut browser, &lockgate, "/keys");
    let fingerprint = text(&person(&lockgate, "sam")["keys"][0]["fingerprint"]);
    let form = format!("form[data-sign=key-retire]:has(input[value=\"{fingerprint}\"])");
    let button = text(&browser.evaluate(&format!("document.querySelector({} + ' button').id", json!(form))));
    fill(&mut browser, &button.replace("retire-", "retire-reason-"), "a new laptop");
    lockgate.run(&["key", "generate", "ada.key"]).exits(0);
    lockgate.run(&["key", "enrol", "ada", "--group", "auditors", "--key", "ada.key", "--file", "ada.json"]).exits(0);
    lockgate.run(&["invite", "ada.json", "--as", "sam", "--yes"]).exits(0);
    let owner = "querySelector('th').firstChild.textContent.trim()";
    browser.until(&format!("document.querySelector('tr[id^=key-]').{owner} === 'ada'"));
    let held = browser.evaluate(&format!(
        "[...document.querySelectorAll('form[data-dirty]')].map((form) => {{ const row = form.closest('tr'); \
         return [form.elements.key.value, row.querySelector('p code').textContent, row.{owner}, form.elements.reason.value]; }})"
    ));
    assert_eq!(held, json!([[fingerprint, fingerprint, "sam", "a new laptop"]]));
    // No form but the ones of its own key is in a row.
    let strays = browser.evaluate(
        "[...document.querySelectorAll('tr[id^=key-] input[name=key]')].filter((field) => \
         field.value !== field.closest('tr').querySelector('p code').textContent).length",
    );
    assert_eq!(strays, json!(0));
    browser.was_clean(&[&host(&lockgate)]);
}

#[test]
fn glass_is_broken_by_one_and_reviewed_by_another_on_the_page() {
    let Some(mut browser) = Browser::start() else { return };
    let lockgate = Instance::demo();
    lockgate.run(&["key", "generate", "ada.key"]).exits(0);
    lockgate.run(&["key", "enrol", "ada", "--group", "auditors", "--key", "ada.key", "--file", "ada.json"]).exits(0);
    lockgate.run(&["invite", "ada.json", "--as", "sam", "--yes"]).exits(0);
    lockgate.push("1.0.0", "trivy.json").exits(0);
    lockgate.push("1.1.0", "trivy.json").exits(0);
    with_passkey(&mut browser, &lockgate, "sam");
    let form = |browser: &mut Browser| {
        open(browser, &lockgate, "/freeze");
        fill(browser, "glass-release", "shop/web@1.0.0");
        fill(browser, "glass-environment", "production");
        fill(browser, "glass-ticket", "INC-7");
        fill(browser, "glass-reason", "payments are down");
    };
    // A server that answers with another release gets no signature.
    let meddling = browser.meddle(
        "const own = window.fetch; window.fetch = (path, options) => own(path.replace('@1.0.0', '@1.1.0'), options);",
    );
    form(&mut browser);
    browser.click("glass");
    browser.until(
        "document.querySelector('form[data-sign=break-glass] [data-detail]').textContent.includes('another release')",
    );
    browser.stop_meddling(&meddling);
    form(&mut browser);
    let manifest = text(&lockgate.get("/v1/releases/shop/web@1.0.0", Some(&lockgate.token("sam"))).json()["manifest"]);
    sign(&mut browser, "glass", &["shop/web@1.0.0", &manifest, "production", "INC-7", "payments are down"]);
    browser.until("location.pathname.startsWith('/promotions/P-')");
    let list = ["break-glass", "list"];
    let entry = lockgate.json(&list, 0)[0]["break_glass"].as_u64().unwrap().to_string();
    open(&mut browser, &lockgate, "/freeze");
    assert_eq!(browser.evaluate("document.querySelector('form[data-sign=break-glass-review]')"), Value::Null);

    let Some(mut other) = Browser::start() else { return };
    with_passkey(&mut other, &lockgate, "ada");
    open(&mut other, &lockgate, "/freeze");
    fill(&mut other, &format!("glass-finding-{entry}"), "a rollback would have done");
    sign(&mut other, &format!("glass-review-{entry}"), &[&entry, "a rollback would have done"]);
    lockgate.run(&["break-glass", "list", "--all"]).exits(0).says("reviewed by ada, used");
    other.was_clean(&[&host(&lockgate)]);
}

/// A person as the API lists them.
fn person(lockgate: &Instance, name: &str) -> Value {
    let people = lockgate.get("/v1/people", Some(&lockgate.token("sam"))).json();
    people.as_array().unwrap().iter().find(|row| row["person"] == name).unwrap().clone()
}

#[test]
fn keys_end_and_people_are_suspended_and_signed_out_on_the_page() {
    let Some(mut browser) = Browser::start() else { return };
    let lockgate = Instance::demo();
    lockgate.enrol_approver("eve");
    with_passkey(&mut browser, &lockgate, "sam");

    let dana = lockgate.token("dana");
    open(&mut browser, &lockgate, "/keys");
    browser.is_usable();
    browser.evaluate("window.left = true");
    browser.evaluate("document.querySelector('form[data-act=\"/v1/sessions/all?person=dana\"] button').click()");
    browser.until("window.left === undefined && document.readyState === 'complete'");
    assert_eq!(lockgate.get("/v1/whoami", Some(&dana)).status, 401);

    open(&mut browser, &lockgate, "/keys");
    fill(&mut browser, "suspend-person", "dana");
    fill(&mut browser, "suspend-reason", "on leave");
    sign(&mut browser, "suspend", &["dana", "true", "on leave"]);
    assert!(person(&lockgate, "dana")["suspended_at"].is_u64());
    fill(&mut browser, "reinstate-person", "dana");
    fill(&mut browser, "reinstate-reason", "back again");
    sign(&mut browser, "reinstate", &["dana", "false", "back again"]);
    assert!(person(&lockgate, "dana")["suspended_at"].is_null());

    open(&mut browser, &lockgate, "/keys");
    let fingerprint = text(&person(&lockgate, "eve")["keys"][0]["fingerprint"]);
    let form = format!("form[data-sign=key-retire]:has(input[value=\"{fingerprint}\"])");
    let button = text(&browser.evaluate(&format!("document.querySelector({} + ' button').id", json!(form))));
    fill(&mut browser, &button.replace("retire-", "retire-reason-"), "a new laptop");
    sign(&mut browser, &button, &["eve", &fingerprint, "a new laptop"]);
    assert_eq!(person(&lockgate, "eve")["keys"][0]["ended"], "retired");
    browser.was_clean(&[&host(&lockgate)]);
}

#[test]
fn a_change_is_signed_and_another_rejected_on_its_page() {
    let Some(mut browser) = Browser::start() else { return };
    let lockgate = Instance::demo();
    let request = |name: &str, group: &str| {
        let (key, file) = (format!("{name}.key"), format!("{name}.json"));
        lockgate.run(&["key", "generate", &key]).exits(0);
        lockgate.run(&["key", "enrol", name, "--group", group, "--key", &key, "--file", &file]).exits(0);
        lockgate.run(&["invite", &file, "--as", "sam", "--yes"])
    };
    request("kim", "owners").exits(0);
    request("eve", "approvers").exits(5);
    request("ada", "auditors").exits(5);
    with_passkey(&mut browser, &lockgate, "kim");
    let status = |change: &str| text(&lockgate.json(&["change", "show", change, "--as", "kim"], 0)["change"]["status"]);

    open(&mut browser, &lockgate, "/changes/C-1");
    let shown = browser.text("text");
    let facts = ask(&mut browser, "sign");
    // The same words stand in the page's own text, which the server made.
    let words = browser.text("signing-words");
    assert!(shown.contains(&words) && facts.contains("eve") && facts.contains("approvers"), "{shown} {facts} {words}");
    assert!(facts.starts_with("kindenrolmentpurposekey-enrolment.v1@lockgate.dev"), "{facts}");
    assert!(browser.text("signing-title").contains("somebody is enrolled"), "{}", browser.text("signing-title"));
    browser.click("signing-leave");
    sign(&mut browser, "sign", &["eve", "approvers"]);
    assert_eq!(status("C-1"), "applied");
    open(&mut browser, &lockgate, "/changes/C-2");
    fill(&mut browser, "reject-reason", "nobody asked for it");
    sign(&mut browser, "reject", &["C-2", "nobody asked for it"]);
    assert_eq!(status("C-2"), "rejected");
    browser.was_clean(&[&host(&lockgate)]);
}

#[test]
fn the_right_to_approve_is_lent_and_what_was_lent_ended_on_the_page() {
    let Some(mut browser) = Browser::start() else { return };
    let lockgate = Instance::pending();
    lockgate.run(&["key", "generate", "eve.key"]).exits(0);
    let enrol = ["key", "enrol", "eve", "--group", "developers", "--key", "eve.key", "--file", "eve.json"];
    lockgate.run(&enrol).exits(0);
    lockgate.run(&["invite", "eve.json", "--as", "sam", "--yes"]).exits(0);
    with_passkey(&mut browser, &lockgate, "sam");
    let listed = || lockgate.json(&["delegate", "list", "--as", "sam"], 0);

    open(&mut browser, &lockgate, "/inbox");
    browser.is_usable();
    fill(&mut browser, "lend-P-3-to", "eve");
    fill(&mut browser, "lend-P-3-lasts", "24h");
    fill(&mut browser, "lend-P-3-reason", "away <b>sailing</b>");
    let facts = ["eve", "shop/web", "production", "all of yours", "away <b>sailing</b>", "sam"];
    sign(&mut browser, "lend-P-3", &facts);
    let made = listed()[0].clone();
    assert_eq!((&made["from"], &made["to"], &made["groups"]), (&json!("sam"), &json!("eve"), &json!([])));
    assert_eq!((&made["services"], &made["environments"]), (&json!(["shop/web"]), &json!(["production"])));
    lockgate.run(&["inbox", "--as", "eve"]).exits(0).says("P-3");

    let entry = made["delegation"].as_u64().unwrap().to_string();
    open(&mut browser, &lockgate, "/inbox");
    fill(&mut browser, &format!("delegation-reason-{entry}"), "back again");
    sign(&mut browser, &format!("delegation-end-{entry}"), &[&entry, "back again"]);
    assert_eq!(listed(), json!([]));

    open(&mut browser, &lockgate, "/inbox");
    fill(&mut browser, "lend-to", "eve");
    fill(&mut browser, "lend-groups", "approvers");
    fill(&mut browser, "lend-environments", "production, staging");
    fill(&mut browser, "lend-reason", "away once more");
    sign(&mut browser, "lend", &["eve", "approvers", "staging", "every service", "away once more"]);
    let made = listed()[0].clone();
    assert_eq!((&made["groups"], &made["services"]), (&json!(["approvers"]), &json!([])));
    assert_eq!(made["environments"], json!(["production", "staging"]));
    // The page of the keys ends it as well.
    let entry = made["delegation"].as_u64().unwrap().to_string();
    open(&mut browser, &lockgate, "/keys");
    fill(&mut browser, &format!("delegation-reason-{entry}"), "it rained");
    sign(&mut browser, &format!("delegation-end-{entry}"), &[&entry, "it rained"]);
    assert_eq!(listed(), json!([]));
    browser.was_clean(&[&host(&lockgate)]);
}

#[test]
fn an_approval_is_taken_back_on_the_page_of_its_promotion() {
    let Some(mut browser) = Browser::start() else { return };
    let lockgate = Instance::pending();
    // Two people could approve now, so two have to, and one alone grants nothing.
    lockgate.enrol_approver("eve");
    with_passkey(&mut browser, &lockgate, "sam");
    lockgate.run(&["approve", "P-3", "--as", "sam", "--yes"]).exits(5);
    let withdrawn = || lockgate.get("/v1/promotions/P-3", Some(&lockgate.token("sam"))).json()["approvals"][0].clone();
    let document = text(&withdrawn()["document"]);

    // A server that answers with another promotion gets no signature.
    let meddling = browser.meddle(
        "const own = window.fetch; \
         window.fetch = (path, options) => own(path.replace('/v1/promotions/P-3', '/v1/promotions/P-2'), options);",
    );
    open(&mut browser, &lockgate, "/promotions/P-3");
    browser.click("take-back");
    browser.until(
        "document.querySelector('form[data-sign=approval-withdraw] [data-detail]').textContent.includes('another promotion')",
    );
    browser.stop_meddling(&meddling);
    assert_eq!(withdrawn()["withdrawn"], json!(false));

    open(&mut browser, &lockgate, "/promotions/P-3");
    fill(&mut browser, "take-back-reason", "read it once more");
    sign(&mut browser, "take-back", &["P-3", "shop/web@1.4.2", &document, "read it once more", "sam"]);
    assert_eq!((&withdrawn()["withdrawn"], lockgate.status_of("P-3").as_str()), (&json!(true), "pending"));
    open(&mut browser, &lockgate, "/promotions/P-3");
    assert_eq!(browser.evaluate("document.querySelector('form[data-sign=approval-withdraw]')"), Value::Null);

    // Approved anew, it is taken back without a word about why.
    lockgate.run(&["approve", "P-3", "--as", "sam", "--yes"]).exits(5);
    open(&mut browser, &lockgate, "/promotions/P-3");
    let shown = ask(&mut browser, "take-back");
    assert!(shown.contains("none") && !shown.contains(&document), "{shown}");
    browser.click("signing-leave");
    browser.until("!document.getElementById('signing').open && !document.getElementById('take-back').disabled");
    sign(&mut browser, "take-back", &["P-3"]);
    lockgate.run(&["approve", "P-3", "--withdraw", "--as", "sam", "--yes"]).refused(7, "APPROVAL_UNKNOWN");
    browser.was_clean(&[&host(&lockgate)]);
}

#[test]
fn pipelines_are_trusted_and_trusted_no_more_on_the_page() {
    let Some(mut browser) = Browser::start() else { return };
    let lockgate = Instance::demo();
    with_passkey(&mut browser, &lockgate, "sam");
    let listed = || lockgate.json(&["ci", "trust", "list", "--as", "sam"], 0);
    let origin = text(&lockgate.get("/v1/server", None).json()["origin"]);
    open(&mut browser, &lockgate, "/keys");
    browser.is_usable();
    for (field, value) in [
        ("repository_owner_id", "123"),
        ("repository_id", "456"),
        ("ref", "refs/heads/main"),
        ("services", "shop/web, shop/api shop/web"),
        ("machine", "web-ci"),
    ] {
        fill(&mut browser, &format!("ci-github-{field}"), value);
    }
    sign(
        &mut browser,
        "ci-github",
        &["123", "456", "shop/web", "web-ci", GITHUB_ISSUER, "discovery document", &origin],
    );
    let made = listed()[0].clone();
    assert_eq!((&made["provider"], &made["issuer"]), (&json!("github"), &json!(GITHUB_ISSUER)));
    let claims = json!({ "repository_owner_id": "123", "repository_id": "456", "ref": "refs/heads/main" });
    assert_eq!((&made["claims"], &made["services"]), (&claims, &json!(["shop/api", "shop/web"])));
    assert_eq!((&made["audience"], &made["by"]), (&json!(origin), &json!("sam")));
    assert_eq!(person(&lockgate, "web-ci")["groups"], json!(["ci"]));

    open(&mut browser, &lockgate, "/keys");
    for (field, value) in [("namespace_id", "7"), ("project_id", "8"), ("services", "shop/web"), ("machine", "web-ci")]
    {
        fill(&mut browser, &format!("ci-gitlab-{field}"), value);
    }
    browser.click("ci-gitlab-ref_protected");
    sign(&mut browser, "ci-gitlab", &["ref_protected", GITLAB_ISSUER]);
    let claims = json!({ "namespace_id": "7", "project_id": "8", "ref_protected": "true" });
    assert_eq!(listed()[1]["claims"], claims);

    open(&mut browser, &lockgate, "/keys");
    fill(&mut browser, "ci-oidc-issuer", "https://ci.example");
    fill(&mut browser, "ci-oidc-services", "shop/web");
    fill(&mut browser, "ci-oidc-machine", "web-ci");
    fill(&mut browser, "ci-oidc-jwks_url", "https://ci.example/keys");
    fill(&mut browser, "ci-oidc-claims", "project=web\nproject=api");
    browser.click("ci-oidc");
    browser.until("document.querySelector('#ci-oidc-more [data-detail]').textContent.includes('given twice')");
    fill(&mut browser, "ci-oidc-claims", "project=web\nbranch=a=b\n");
    sign(&mut browser, "ci-oidc", &["https://ci.example", "a=b"]);
    let made = listed()[2].clone();
    assert_eq!(made["claims"], json!({ "project": "web", "branch": "a=b" }));
    assert_eq!(made["jwks_url"], json!("https://ci.example/keys"));

    for row in listed().as_array().unwrap() {
        let entry = row["trust"].as_u64().unwrap().to_string();
        open(&mut browser, &lockgate, "/keys");
        fill(&mut browser, &format!("ci-untrust-reason-{entry}"), "it moved away");
        sign(&mut browser, &format!("ci-untrust-{entry}"), &[&entry, "it moved away"]);
    }
    assert_eq!(listed(), json!([]));
    browser.was_clean(&[&host(&lockgate)]);
}

#[test]
fn an_access_review_is_signed_on_its_page_and_only_as_the_page_shows_it() {
    let Some(mut browser) = Browser::start() else { return };
    let lockgate = Instance::demo();
    with_passkey(&mut browser, &lockgate, "sam");
    open(&mut browser, &lockgate, "/access/review");
    browser.is_usable();
    // What the page shows is not what there is: nothing is signed.
    let entries = lockgate.entries();
    browser.evaluate("document.querySelector('form[data-sign=access-review] [name=shown]').value = 'sha256:00'");
    browser.click("review-sign");
    browser.until(
        "document.querySelector('form[data-sign=access-review] [data-detail]').textContent.includes('not what this page shows')",
    );
    assert_eq!(lockgate.entries(), entries);

    open(&mut browser, &lockgate, "/access/review");
    sign(&mut browser, "review-sign", &["role approver", "a person in developers", "people.toml:", "idle for 90 days"]);
    assert_eq!(lockgate.entries(), entries + 1);
    browser.until("document.getElementById('content').textContent.includes('reviewed by sam')");
    lockgate.run(&["access", "review", "--as", "sam"]).exits(0).says("by sam at entry");
    lockgate.run(&["audit"]).exits(0);
    browser.was_clean(&[&host(&lockgate)]);
}

#[test]
fn forms_that_sign_are_there_for_those_who_may_and_say_who_may_to_others() {
    let lockgate = Instance::granted();
    lockgate.run(&["freeze", "--env", "staging", "--reason", "a test", "--yes", "--as", "sam"]).exits(0);
    let check = |person: &str, path: &str, there: &[&str], absent: &[&str]| {
        let reply = lockgate.get(path, Some(&lockgate.token(person)));
        let page = String::from_utf8_lossy(&reply.body).into_owned();
        for (acts, wanted) in [(there, true), (absent, false)] {
            for act in acts {
                assert_eq!(page.contains(act), wanted, "{path} as {person}: {act}: {page}");
            }
        }
    };
    let signs = ["data-sign=\"freeze\"", "data-sign=\"unfreeze\"", "data-sign=\"break-glass\""];
    let says = ["disabled>Freeze</button>", "disabled>Break glass</button>", "not you: "];
    check("sam", "/freeze", &signs, &says);
    check("dana", "/freeze", &says, &signs);
    let (signs, says) = (["data-sign=\"access-review\""], ["disabled>Sign the review</button>"]);
    check("sam", "/access/review", &signs, &says);
    check("dana", "/access/review", &says, &signs);
    let signs = ["data-sign=\"suspend\"", "data-sign=\"reinstate\"", "/v1/sessions/all?person=dana"];
    check("sam", "/keys", &signs, &["disabled>Suspend</button>"]);
    check("dana", "/keys", &["disabled>Suspend</button>", "data-sign=\"key-retire\""], &signs);
    let says = ["disabled>Trust a pipeline</button>"];
    check("sam", "/keys", &["data-sign=\"ci-trust\""], &says);
    check("dana", "/keys", &says, &["data-sign=\"ci-trust\""]);
    let says = ["disabled>Lend it</button>"];
    check("sam", "/inbox", &["data-sign=\"delegate\""], &says);
    check("dana", "/inbox", &says, &["data-sign=\"delegate\""]);
}
