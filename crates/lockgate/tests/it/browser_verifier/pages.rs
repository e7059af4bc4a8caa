//! The pages that verify: the log page with files that are chosen on it, and the offline viewer.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::browser::driver::Browser;
use crate::instance::{Instance, artifact, artifact_name};

/// Writes the viewer of a bundle, as a user does.
fn viewer(lockgate: &Instance, bundle: &str, out: &str) -> String {
    lockgate.run(&["bundle", "view", bundle, "--out", out]).exits(0).says("verifies it in any browser, offline");
    fs::read_to_string(lockgate.file(out)).unwrap()
}

#[test]
fn the_viewer_verifies_itself_from_a_file() {
    let Some(mut browser) = Browser::start() else { return };
    let lockgate = Instance::demo();
    let hostile = "<img src=x onerror=alert(1)></script><script>window.hurt = 1</script>\u{202e}";
    lockgate.push("1.4.2", "trivy.json").exits(0);
    lockgate.run(&["promote", "shop/web@1.4.2", "--to", "production", "--reason", hostile]).exits(5);
    lockgate.run(&["approve", "P-3", "--as", "sam", "--yes"]).exits(0);
    lockgate.run(&["bundle", "get", "P-3", "--file", "p3.lockgate"]).exits(0);
    let page = viewer(&lockgate, "p3.lockgate", "viewer.html");
    lockgate.stop();

    let mut open = |name: &str| {
        browser.open(&format!("file://{}", lockgate.file(name).display()));
        browser.until("document.getElementById('verdict').className !== ''");
        (browser.text("verdict"), browser.text("about"), browser.evaluate("String(window.hurt)"))
    };
    let (verdict, about, hurt) = open("viewer.html");
    assert_eq!(verdict, "\u{2713} VERIFIED: this bundle is genuine");
    assert!(about.contains("<img src=x onerror=alert(1)></script>") && about.contains("\\u{202e}"), "{about}");
    assert_eq!(hurt, json!("undefined"));

    // One changed character of one entry.
    let leaf = page.find("\"leaf\":\"").unwrap() + 20;
    let mut changed = page.clone().into_bytes();
    changed[leaf] = if changed[leaf] == b'A' { b'B' } else { b'A' };
    lockgate.write("changed.html", &changed);
    let (verdict, about, _) = open("changed.html");
    assert_eq!((verdict.as_str(), about.as_str()), ("\u{2717} NOT VERIFIED: INCLUSION_PROOF", ""));

    // A script that somebody adds does not run: the page's own policy knows its own script alone.
    lockgate.write("added.html", page.replace("</body>", "<script>window.hurt = 1</script></body>"));
    assert_eq!(open("added.html").2, json!("undefined"));

    let shown = page.len();
    assert!(shown < 1_000_000, "{shown}");
}

/// Chooses files on the page, as a person does with the keyboard.
fn choose(browser: &mut Browser, id: &str, files: &[(&str, Vec<u8>)]) {
    let files: Vec<_> = files.iter().map(|(name, bytes)| json!([name, STANDARD.encode(bytes)])).collect();
    browser.evaluate(&format!(
        "(() => {{ const chosen = new DataTransfer(); for (const [name, content] of {}) {{ \
         chosen.items.add(new File([Uint8Array.from(atob(content), (c) => c.charCodeAt(0))], name)); }} \
         const field = document.getElementById('{id}'); field.files = chosen.files; \
         field.dispatchEvent(new Event('change')); }})()",
        json!(files)
    ));
}

#[test]
fn the_log_page_verifies_what_is_dropped_on_it() {
    let Some(mut browser) = Browser::start() else { return };
    let lockgate = Instance::granted();
    lockgate.run(&["bundle", "get", "P-3", "--file", "p3.lockgate"]).exits(0);
    let bundle = fs::read(lockgate.file("p3.lockgate")).unwrap();
    let trust = fs::read(lockgate.home().join("trust.json")).unwrap();
    let token = lockgate.token("dana");
    browser.send("Network.setCookie", json!({ "name": "lockgate_session", "value": token, "url": lockgate.url() }));
    browser.open(&format!("{}/log", lockgate.url()));
    browser.until("document.getElementById('seen').textContent.includes('saw no checkpoint')");
    browser.is_usable();

    let verdict = "document.getElementById('verdict').textContent";
    let name = artifact_name("1.4.2");
    // What the server says of itself is not called proven.
    choose(&mut browser, "files", &[("p3.lockgate", bundle.clone()), (&name, artifact("1.4.2"))]);
    browser.until(&format!("{verdict} === 'VERIFIED'"));
    assert!(browser.text("verdict-text").contains("As far as this server says itself"));
    assert!(browser.text("checks").contains("not run again here"), "{}", browser.text("checks"));
    choose(&mut browser, "trust-file", &[("trust.json", trust)]);
    browser.until("document.getElementById('trust-state').textContent.includes('Your own trust file')");
    browser.until("!document.getElementById('verdict-text').textContent.includes('As far as this server')");

    choose(&mut browser, "files", &[("p3.lockgate", bundle.clone()), ("other", b"another file".to_vec())]);
    browser.until("document.getElementById('verdict-text').textContent.includes('DIGEST_NOT_GRANTED')");
    assert_eq!(browser.text("verdict"), "NOT VERIFIED");
    choose(&mut browser, "files", &[("p3.lockgate", bundle[..1000].to_vec())]);
    browser.until("document.getElementById('verdict-text').textContent.includes('BUNDLE_INVALID')");

    // The ledger grew: this browser demands the proof.
    lockgate.push("1.4.3", "trivy.json").exits(0);
    browser.open(&format!("{}/log", lockgate.url()));
    browser.until("document.getElementById('seen').textContent.includes('Proven just now')");
    browser.was_clean(&[&lockgate.address()]);
}
