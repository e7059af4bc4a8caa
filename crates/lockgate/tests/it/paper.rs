//! Pages on paper: black on white, nothing to press, and digests in full.

use serde_json::json;

use crate::browser::driver::Browser;
use crate::dashboard::sign_in;
use crate::dashboard_pages::{host, site};
use crate::instance::Instance;

/// What is true of each page on paper, as a condition in the page.
const PAPER: [(&str, &str); 5] = [
    ("black", "getComputedStyle(document.body).color === 'rgb(0, 0, 0)'"),
    ("on white", "getComputedStyle(document.body).backgroundColor === 'rgb(255, 255, 255)'"),
    ("no menu", "!document.querySelector('.top').checkVisibility()"),
    (
        "nothing to press",
        "[...document.querySelectorAll('main button:not(.digest), main form')].every((one) => !one.checkVisibility())",
    ),
    (
        "digests in full",
        "[...document.querySelectorAll('main button.digest, main code[title^=\"sha256:\"]')].every((one) => \
         /^\"sha256:[0-9a-f]{64}\"$/.test(getComputedStyle(one, '::after').content))",
    ),
];

#[test]
fn pages_are_printed_black_on_white_with_whole_digests() {
    let Some(mut browser) = Browser::start() else { return };
    let lockgate = Instance::granted();
    sign_in(&mut browser, &lockgate, "sam");
    let dark = json!([{ "name": "prefers-color-scheme", "value": "dark" }]);
    for path in ["/timeline", "/promotions/P-3", "/log"] {
        browser.send("Emulation.setEmulatedMedia", json!({ "media": "", "features": dark }));
        browser.open(&format!("{}{path}", site(&lockgate)));
        assert_eq!(browser.evaluate("document.querySelector('.top').checkVisibility()"), json!(true), "{path}");
        browser.send("Emulation.setEmulatedMedia", json!({ "media": "print", "features": dark }));
        for (what, condition) in PAPER {
            assert_eq!(browser.evaluate(condition), json!(true), "{path}: {what}");
        }
        if path.starts_with("/promotions") {
            assert_eq!(browser.evaluate("document.querySelector('main button.digest') !== null"), json!(true));
        }
    }
    browser.was_clean(&[&host(&lockgate)]);
}
