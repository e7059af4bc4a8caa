//! Passkeys in a real browser: made, enrolled, signed in with and approved with, on the pages that the server serves.

pub mod driver;

use std::fs;
use std::process::{Command, Stdio};

use lockgate_ledger::approval::NAMESPACE;
use lockgate_ledger::governance::ENROLMENT_NAMESPACE;
use lockgate_sign::passkey::SoftPasskey;
use lockgate_sign::ssh_signer::SshSigner as _;
use serde_json::{Value, json};

use self::driver::Browser;
use crate::instance::{Instance, skipped, text};

/// The server by its name: passkeys belong to names.
fn site(lockgate: &Instance) -> String {
    lockgate.url().replace("127.0.0.1", "localhost")
}

/// Makes a passkey on the enrolment page; gives the command that the page shows, as arguments, and its code.
pub fn make_passkey(browser: &mut Browser, lockgate: &Instance, query: &str) -> (Vec<String>, String) {
    browser.open(&format!("{}/enrol?{query}", site(lockgate)));
    browser.click("make");
    browser.shown("document");
    browser.is_usable();
    let words = browser.text("words");
    assert_eq!(words.split(' ').count(), 6, "{words}");
    browser.click("sign");
    browser.shown("waiting");
    let command = browser.text("command");
    let arguments = command.strip_prefix("lockgate ").unwrap_or_else(|| panic!("{command}"));
    (arguments.split(' ').map(str::to_owned).collect(), words)
}

/// Signs in on the page.
pub fn sign_in(browser: &mut Browser, lockgate: &Instance, person: &str) {
    browser.open(&format!("{}/sign-in?person={person}", site(lockgate)));
    browser.is_usable();
    browser.click("sign");
    browser.shown("done");
    assert_eq!(browser.text("who"), person);
}

/// Runs what a page told to run.
pub fn run(lockgate: &Instance, arguments: &[String], more: &[&str]) -> crate::instance::Ran {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).chain(more.iter().copied()).collect();
    lockgate.run(&arguments)
}

/// Asks that another version be let into production, and gives the promotion.
fn another_promotion(lockgate: &Instance, version: &str) -> String {
    lockgate.push(version, "trivy.json").exits(0);
    let release = format!("shop/web@{version}");
    let asked =
        lockgate.json(&["promote", &release, "--to", "production", "--reason", "weekly release", "--as", "dana"], 5);
    text(&asked["why"]["promotion"])
}

#[test]
fn a_passkey_is_enrolled_signs_in_and_approves() {
    let Some(mut browser) = Browser::start() else { return };
    let lockgate = Instance::pending();
    let (enrol, words) = make_passkey(&mut browser, &lockgate, "person=eve&groups=approvers");
    // Somebody else's word is needed, and it is for what the page showed and nothing more.
    let mut raised = enrol.clone();
    let group = raised.iter().position(|argument| argument == "approvers").unwrap();
    raised[group] = "owners".to_owned();
    run(&lockgate, &raised, &["--as", "sam", "--yes"]).refused(3, "PASSKEY_MISMATCH");
    run(&lockgate, &enrol, &["--as", "dana", "--yes"]).refused(4, "NOT_PERMITTED");
    run(&lockgate, &enrol, &["--as", "sam"]).refused(2, "CONFIRMATION_NEEDED").says(&words).says("localhost");
    run(&lockgate, &enrol, &["--as", "sam", "--yes"]).exits(0).says(&words).says("eve is enrolled");

    // A page that needs a session leads to the one that gives it, and back.
    let approve = format!("{}/approve/P-3", site(&lockgate));
    browser.open(&approve);
    browser.until("location.pathname === '/sign-in' && document.readyState === 'complete'");
    browser.write_into("person", "eve");
    browser.click("sign");
    browser.until("location.pathname === '/approve/P-3' && document.readyState === 'complete'");
    browser.shown("document");
    browser.is_usable();
    let (shown, words) = (browser.text("text"), browser.text("words"));
    for said in ["APPROVE P-3", "shop/web@1.4.2", "production", "dana", "weekly release", "eve", &words] {
        assert!(shown.contains(said), "{said}: {shown}");
    }
    // No script can read the session.
    assert_eq!(browser.evaluate("document.cookie + sessionStorage.length + localStorage.length"), json!("00"));
    // What was looked at stands in what is signed.
    assert!(!shown.contains("(opened)"), "{shown}");
    browser.evaluate("document.querySelector('#evidence button').click()");
    browser.until("document.getElementById('text').textContent.includes('(opened)')");
    assert!(browser.is_shown("evidence-text") && !browser.text("evidence-text").is_empty());
    // Another reason is another document, with another code.
    browser.write_into("comment", "read it, it's fine");
    browser.until("document.getElementById('text').textContent.includes('read it')");
    assert_ne!(browser.text("words"), words);
    assert_eq!(browser.text("command"), r"lockgate approve P-3 --comment 'read it, it'\''s fine'");
    browser.click("sign");
    browser.shown("done");
    // Two people could approve now, so two have to.
    assert_eq!(browser.text("outcome"), "You approved P-3: it is pending");
    lockgate.run(&["approve", "P-3", "--as", "sam", "--yes"]).exits(0);
    assert_eq!(lockgate.status_of("P-3"), "granted");
    lockgate.verify("1.4.2", &[]).exits(0);

    replay_elsewhere(&mut browser, &lockgate);
    let host = site(&lockgate).replace("http://", "");
    browser.was_clean(&[&host]);
    openssh_verifies(&lockgate);
}

/// What the page sent counts for that promotion and for no other.
fn replay_elsewhere(browser: &mut Browser, lockgate: &Instance) {
    let sent = browser.posted("/v1/promotions/P-3/approvals");
    let token = browser.cookie("lockgate_session");
    let other = another_promotion(lockgate, "1.5.0");
    let path = format!("/v1/promotions/{other}/approvals");
    let entries = lockgate.entries();
    lockgate.post(&path, Some(&token), &sent).refused(403, "APPROVAL_TARGET");
    let document = text(&sent["document"]).replace("\"P-3\"", &format!("\"{other}\"")).replace("@1.4.2", "@1.5.0");
    let changed = json!({ "document": document, "signature": sent["signature"] });
    lockgate.post(&path, Some(&token), &changed).refused(403, "WEBAUTHN_CHALLENGE");
    assert_ne!(lockgate.post("/v1/promotions/P-3/approvals", Some(&token), &sent).status, 200);
    assert_eq!((lockgate.entries(), lockgate.status_of(&other).as_str()), (entries, "pending"));
}

/// Stock OpenSSH accepts the approval that a browser made, and nothing else in its place.
fn openssh_verifies(lockgate: &Instance) {
    if Command::new("ssh-keygen").arg("-?").stderr(Stdio::null()).stdout(Stdio::null()).status().is_err() {
        return skipped("approvals with ssh-keygen, which is not installed");
    }
    lockgate.run(&["bundle", "get", "P-3", "--file", "p3.lockgate"]).exits(0);
    lockgate.run(&["bundle", "extract", "p3.lockgate", "--to", "parts"]).exits(0);
    let parts = lockgate.file("parts");
    let signature = fs::read_to_string(parts.join("approvals/0.json.sig")).unwrap();
    assert!(signature.starts_with("-----BEGIN SSH SIGNATURE-----"), "{signature}");
    let verify = |person: &str, document: &str| {
        let output = Command::new("ssh-keygen")
            .args(["-Y", "verify", "-f", "allowed_signers", "-I", person, "-n", NAMESPACE])
            .args(["-s", "approvals/0.json.sig"])
            .current_dir(&parts)
            .stdin(fs::File::open(parts.join(document)).unwrap())
            .output()
            .unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (good, said) = verify("eve", "approvals/0.json");
    assert!(good && said.contains("ECDSA-SK"), "{said}");
    assert!(!verify("dana", "approvals/0.json").0, "another person's");
    let document = fs::read_to_string(parts.join("approvals/0.json")).unwrap();
    fs::write(parts.join("changed.json"), document.replace("production", "productiom")).unwrap();
    assert!(!verify("eve", "changed.json").0, "a changed document");
}

/// A server that shows one thing and has another one signed gets no signature.
#[test]
fn a_page_signs_nothing_that_it_did_not_ask_for() {
    let Some(mut browser) = Browser::start() else { return };
    let lockgate = Instance::pending();
    let other = another_promotion(&lockgate, "1.5.0");
    let (enrol, _) = make_passkey(&mut browser, &lockgate, "person=eve&groups=approvers");
    run(&lockgate, &enrol, &["--as", "sam", "--yes"]).exits(0);
    sign_in(&mut browser, &lockgate, "eve");
    let approve = format!("{}/approve/P-3", site(&lockgate));
    let entries = lockgate.entries();
    let elsewhere = format!("path = path.replace('P-3', '{other}')");
    for (before, after, complaint) in [
        ("", "content.words = 'acorn actor adult alarm album amber'", "does not fit its code words"),
        ("", "content.document = content.document.replace('production', 'productiom')", "does not fit its code words"),
        ("", "content.namespace = 'key-enrolment.v1@lockgate.dev'", "another purpose"),
        ("path = path.replace('verdict=approve', 'verdict=reject')", "", "another document"),
        ("path += '&comment=no'", "", "another document"),
        (elsewhere.as_str(), "", "another document"),
    ] {
        let script = format!(
            "const own = window.fetch; window.fetch = async (path, options) => {{ \
             if (!path.includes('/document?')) {{ return own(path, options); }} {before}; \
             const reply = await own(path, options); const content = await reply.json(); {after}; \
             return new Response(JSON.stringify(content), {{ status: reply.status }}); }};"
        );
        let meddling = browser.meddle(&script);
        browser.open(&approve);
        browser.shown("problem");
        let said = browser.text("problem-text");
        assert!(said.contains(complaint) && said.contains("nothing was signed"), "{before}{after}: {said}");
        assert!(!browser.is_shown("document"), "{before}{after}");
        assert_eq!(browser.evaluate("document.getElementById('sign').disabled"), json!(true), "{before}{after}");
        browser.stop_meddling(&meddling);
    }
    assert_eq!((lockgate.entries(), lockgate.status_of("P-3").as_str()), (entries, "pending"));
    // The same page of an honest server does sign.
    browser.open(&approve);
    browser.click("sign");
    browser.shown("done");
    assert_eq!(browser.text("outcome"), "You approved P-3: it is pending");
    assert_eq!(lockgate.entries(), entries + 1);
}

/// A passkey that answers when `go()` is called, whether it was told to stop or not; `stops` is what would tell it.
pub const SLOW: &str = "const own = CredentialsContainer.prototype.get; \
    CredentialsContainer.prototype.get = async function ({ signal, ...rest }) { window.stops = signal; \
    await new Promise((go) => { window.go = go; }); return own.call(this, rest); };";

/// What is decided while the passkey is asked is another document: what it answers to the one before is not sent.
#[test]
fn a_decision_that_changes_while_it_is_signed_is_not_handed_in() {
    let Some(mut browser) = Browser::start() else { return };
    let lockgate = Instance::pending();
    let (enrol, _) = make_passkey(&mut browser, &lockgate, "person=eve&groups=approvers");
    run(&lockgate, &enrol, &["--as", "sam", "--yes"]).exits(0);
    sign_in(&mut browser, &lockgate, "eve");
    let approve = format!("{}/approve/P-3", site(&lockgate));
    let entries = lockgate.entries();
    let meddling = browser.meddle(SLOW);
    browser.open(&approve);
    browser.click("sign");
    browser.until("window.go !== undefined");
    browser.click("reject");
    browser.until("document.getElementById('text').textContent.includes('REJECT P-3') && window.stops.aborted");
    // There is one signature at a time, and none in between.
    assert_eq!(browser.evaluate("document.getElementById('sign').disabled"), json!(true));
    browser.evaluate("window.go()");
    browser.shown("problem");
    assert!(browser.text("problem-text").contains("nothing was signed"), "{}", browser.text("problem-text"));
    assert_eq!((lockgate.entries(), lockgate.status_of("P-3").as_str()), (entries, "pending"));
    // What is on the screen now can be signed.
    browser.evaluate("window.go = undefined");
    browser.click("sign");
    browser.until("window.go !== undefined");
    browser.evaluate("window.go()");
    browser.shown("done");
    assert_eq!(browser.text("outcome"), "You rejected P-3: it is rejected");
    browser.stop_meddling(&meddling);
}

/// Someone who is enrolled vouches for their own passkey, with the key that they had before.
#[test]
fn a_passkey_is_a_further_key_and_rejects() {
    let Some(mut browser) = Browser::start() else { return };
    let lockgate = Instance::pending();
    let (add, words) = make_passkey(&mut browser, &lockgate, "person=sam");
    assert_eq!(add[..3], ["key", "add", "sam"]);
    let code = add.last().unwrap().as_str();
    lockgate.run(&["key", "add", "dana", "--passkey", code, "--as", "dana", "--yes"]).refused(3, "PASSKEY_MISMATCH");
    let enrol = ["key", "enrol", "sam", "--group", "approvers", "--passkey", code, "--as", "sam", "--yes"];
    lockgate.run(&enrol).refused(3, "PASSKEY_MISMATCH");
    lockgate
        .run(&["key", "add", "sam", "--passkey", "00000-00000", "--as", "sam", "--yes"])
        .refused(6, "PASSKEY_UNKNOWN");
    run(&lockgate, &add, &["--as", "dana", "--yes"]).refused(4, "NOT_PERMITTED");
    run(&lockgate, &add, &["--as", "sam", "--yes"]).exits(0).says(&words).says("sam has a further key");

    sign_in(&mut browser, &lockgate, "sam");
    browser.open(&format!("{}/approve/P-3", site(&lockgate)));
    browser.click("reject");
    browser.until("document.getElementById('text').textContent.includes('REJECT P-3')");
    assert_eq!(browser.text("sign"), "Sign and reject");
    browser.write_into("comment", "not today");
    browser.until("document.getElementById('text').textContent.includes('not today')");
    browser.click("sign");
    browser.shown("done");
    assert_eq!(browser.text("outcome"), "You rejected P-3: it is rejected");
    assert_eq!(lockgate.status_of("P-3"), "rejected");
    // What has ended is shown, and cannot be signed.
    browser.open(&format!("{}/approve/P-3", site(&lockgate)));
    browser.until("document.getElementById('standing').textContent.includes('rejected')");
    assert!(!browser.is_shown("decide"));

    // A stranger's passkey signs nobody in.
    make_passkey(&mut browser, &lockgate, "person=mallory&groups=owners");
    browser.open(&format!("{}/sign-in?person=mallory", site(&lockgate)));
    browser.shown("done");
    browser.click("out");
    browser.until("document.getElementById('ask').checkVisibility()");
    browser.click("sign");
    browser.shown("problem");
    assert!(browser.text("problem-text").contains("not one of this person"));

    // An address that is a number has no passkeys; the page says where to go.
    browser.open(&format!("{}/enrol?person=sam", lockgate.url()));
    browser.shown("problem");
    assert_eq!(browser.text("problem-hint"), format!("{}/enrol?person=sam", site(&lockgate)));
    let hosts = [lockgate.address(), site(&lockgate).replace("http://", "")];
    browser.was_clean(&[&hosts[0], &hosts[1]]);
}

/// The pages' own protection, which holds in any browser.
#[test]
fn pages_load_nothing_from_elsewhere_and_run_nothing_inline() {
    let lockgate = Instance::demo();
    for path in ["/enrol", "/sign-in", "/approve/P-3"] {
        let reply = lockgate.get(path, None);
        assert_eq!(reply.status, 200, "{path}");
        let head = reply.head.to_lowercase();
        let policy = head.lines().find_map(|line| line.strip_prefix("content-security-policy: ")).unwrap();
        for rule in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ] {
            assert!(policy.split("; ").any(|found| found == rule), "{path}: {rule}: {policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
        assert!(head.contains("x-content-type-options: nosniff"), "{head}");
    }
    let refused = lockgate.get("/approve/nothing", None);
    let page = String::from_utf8_lossy(&refused.body);
    assert!(refused.status == 400 && page.contains("<code>PATH_INVALID</code>"), "{page}");
    lockgate.get("/assets/nothing.js", None).refused(404, "ROUTE_UNKNOWN");
    lockgate.get("/assets/..%2f..%2fCargo.toml", None).refused(404, "ROUTE_UNKNOWN");
}

/// What waits to be enrolled is no way in: it counts for nothing, and only what verifies may wait.
#[test]
fn a_passkey_that_waits_counts_for_nothing() {
    let lockgate = Instance::demo();
    let entries = lockgate.entries();
    let post = |path: &str, body: &Value| lockgate.post(path, None, body);
    let ssh = fs::read_to_string(lockgate.key("sam").with_extension("pub")).unwrap();
    let offer = |person: &str, groups: &[&str], key: &str| json!({ "person": person, "groups": groups, "key": key });
    post("/v1/passkeys/document", &offer("eve", &["approvers"], ssh.trim())).refused(400, "KEY_INVALID");
    let point = "sk-ecdsa-sha2-nistp256@openssh.com AAAA";
    post("/v1/passkeys/document", &offer("eve", &["approvers"], point)).refused(400, "KEY_INVALID");
    // Names and groups are looked at before anybody is asked for a signature.
    let passkey = SoftPasskey::generate(&"http://localhost:7070".parse().unwrap()).unwrap();
    let key = passkey.public_key().to_string();
    let refusals: [(&str, &[&str], u16, &str); 4] = [
        ("eve", &["wizards"], 400, "GROUP_UNKNOWN"),
        ("eve", &[], 404, "PERSON_UNKNOWN"),
        ("sam", &["owners"], 409, "PERSON_EXISTS"),
        ("ci", &[], 400, "KEY_INVALID"),
    ];
    for (person, groups, status, code) in refusals {
        post("/v1/passkeys/document", &offer(person, groups, &key)).refused(status, code);
    }
    let mut request = offer("eve", &["owners"], &key);
    let document = text(&post("/v1/passkeys/document", &request).json()["document"]);
    let sign = |document: &str| passkey.sign(ENROLMENT_NAMESPACE, document.as_bytes()).unwrap().to_armored();
    request["proof"] = json!(sign(&document.replace("owners", "approvers")));
    post("/v1/passkeys", &request).refused(403, "WEBAUTHN_CHALLENGE");
    request["proof"] = json!(sign(&document));
    let code = text(&post("/v1/passkeys", &request).json()["code"]);
    let path = format!("/v1/passkeys/{code}");
    let waiting = lockgate.get(&path, Some(&lockgate.token("dana"))).json();
    assert_eq!((&waiting["person"], &waiting["key"]), (&json!("eve"), &json!(key)));
    lockgate.get(&path, None).refused(401, "SIGN_IN_NEEDED");
    assert_eq!(lockgate.get("/v1/passkeys/keys/eve", None).json(), json!({ "keys": [] }));
    assert_eq!(lockgate.entries(), entries, "what waits was written");
    lockgate.get("/v1/passkeys/00000-00000", None).refused(401, "SIGN_IN_NEEDED");
    lockgate.get("/v1/passkeys/00000-00000", Some(&lockgate.token("dana"))).refused(404, "PASSKEY_UNKNOWN");
    assert_eq!(lockgate.get("/v1/passkeys/keys/sam", None).json(), json!({ "keys": [] }));
    assert_eq!(lockgate.get("/v1/passkeys/keys/nobody", None).json(), json!({ "keys": [] }));
    lockgate.get("/v1/promotions/P-1/document", Some(&lockgate.token("sam"))).refused(404, "PROMOTION_UNKNOWN");
}
