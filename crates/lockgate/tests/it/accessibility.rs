//! Accessibility: every screen against the rules of axe-core, light and dark, on a wide screen and on a narrow one.
//!
//! What axe calls serious or critical fails. What it leaves undecided, such as the contrast of a mark of one character, is
//! for the tests of the colours in `crates/web`.

use std::collections::BTreeSet;
use std::fs;

use serde_json::json;

use crate::browser::driver::Browser;
use crate::dashboard_pages::{self, site};
use crate::instance::{Instance, skipped, text};
use crate::outside::outside;
use crate::screens;

/// The screens, each with its height.
const SCREENS: [(u32, u32); 2] = [(1440, 900), (390, 844)];
/// What people prefer.
const SCHEMES: [&str; 2] = ["light", "dark"];
/// What breaks a rule, and where.
const FINDINGS: &str = "axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations\
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')\
    .flatMap(({ id, impact, nodes }) => nodes.map(({ target, html }) => \
        `${id} (${impact}) at ${target.join(' ')}: ${html.slice(0, 300)}`)))";

/// The rules, as one script; none where nobody has installed them.
fn rules() -> Option<String> {
    let script = fs::read_to_string(outside("axe/node_modules/axe-core/axe.min.js"));
    if script.is_err() {
        skipped("accessibility: `npm ci` was not run in tests/outside/axe");
    }
    script.ok()
}

/// What breaks a rule on the page that is open, in every width and scheme.
fn findings(browser: &mut Browser, page: &str) -> Vec<String> {
    browser.until("typeof axe === 'object' && document.readyState === 'complete'");
    // What is folded up is a part of the screen as well.
    browser.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })");
    let mut found = Vec::new();
    for (width, height) in SCREENS {
        for scheme in SCHEMES {
            let screen = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
            browser.send("Emulation.setDeviceMetricsOverride", screen);
            let features = json!([
                { "name": "prefers-color-scheme", "value": scheme },
                { "name": "prefers-reduced-motion", "value": "reduce" },
            ]);
            browser.send("Emulation.setEmulatedMedia", json!({ "features": features }));
            let broken = browser.evaluate(FINDINGS);
            let broken = broken.as_array().unwrap_or_else(|| panic!("{page}: {broken}"));
            found.extend(broken.iter().map(|one| format!("{page}, {width} px, {scheme}: {}", text(one))));
        }
    }
    found
}

/// The addresses of all screens, those among them that people seldom see.
fn addresses(lockgate: &Instance) -> BTreeSet<String> {
    let every = dashboard_pages::pages(lockgate, &lockgate.token("sam"), "P-6", ["shop/web@1.4.2", "shop/web@1.5.0"]);
    let more = screens::pages(lockgate).into_iter().map(|(_, address)| address);
    let seldom = [
        "/promotions/P-12",
        "/promotions/P-99",
        "/services/shop/none",
        "/policy?file=gates",
        "/policy?release=shop/web@1.5.0&environment=production",
        "/timeline?text=nothing",
        "/access?person=nobody&permission=approve&service=shop/web",
        "/access/review?q=nothing",
        "/access/log?person=nobody",
    ];
    every.into_iter().flat_map(|page| page.addresses).chain(more).chain(seldom.map(str::to_owned)).collect()
}

#[test]
fn no_screen_keeps_anybody_out() {
    let Some(rules) = rules() else { return };
    let Some(mut browser) = Browser::start() else { return };
    let lockgate = screens::story();
    let mut found = Vec::new();
    // The rules come from outside of the pages, whose own policy lets no script in.
    browser.meddle(&rules);
    for address in ["/sign-in", "/enrol", "/approve/P-6"] {
        browser.open(&format!("{}{address}", site(&lockgate)));
        if address.starts_with("/approve/") {
            browser.until("location.pathname === '/sign-in'");
        }
        found.extend(findings(&mut browser, &format!("{address}, not signed in")));
    }
    browser.open(&text(&lockgate.json(&["dashboard", "--print", "--as", "sam"], 0)["url"]));
    browser.shown("handover");
    found.extend(findings(&mut browser, "a session that is handed over"));
    browser.click("take");
    browser.until("location.pathname === '/' && document.readyState === 'complete'");

    let addresses = addresses(&lockgate);
    assert!(addresses.len() >= 25, "{addresses:?}");
    for address in &addresses {
        browser.open(&format!("{}{address}", site(&lockgate)));
        found.extend(findings(&mut browser, address));
    }
    browser.open(&site(&lockgate));
    browser.evaluate("document.getElementById('signed-out').hidden = false");
    found.extend(findings(&mut browser, "a page that is signed out"));
    browser.evaluate("document.getElementById('keys-help').showModal()");
    found.extend(findings(&mut browser, "the list of keys"));
    lockgate.run(&["bundle", "get", "P-3", "--file", "p3.lockgate"]).exits(0);
    lockgate.run(&["bundle", "view", "p3.lockgate", "--out", "viewer.html"]).exits(0);
    browser.open(&format!("file://{}", lockgate.file("viewer.html").display()));
    browser.until("document.getElementById('verdict').className !== ''");
    found.extend(findings(&mut browser, "the offline viewer"));
    assert!(found.is_empty(), "{} findings:\n{}", found.len(), found.join("\n"));

    // And what is wrong is found: a field that nobody has named.
    browser.open(&site(&lockgate));
    browser.evaluate("document.getElementById('content').append(document.createElement('input'))");
    let wrong = findings(&mut browser, "/");
    assert_eq!(wrong.iter().filter(|one| one.contains("label (critical)")).count(), 4, "{wrong:?}");
}
