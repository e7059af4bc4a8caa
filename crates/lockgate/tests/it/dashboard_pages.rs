//! A walk through every page of the dashboard in a real browser: each is whole, leads nowhere that is not there, works
//! by keyboard, follows the ledger, shows what the API says, and takes no text for anything but text.

use std::collections::BTreeSet;
use std::time::Duration;

use lockgate_api::{Access, ROUTES, Route};
use lockgate_model::UnixMillis;
use serde_json::{Value, json};

use crate::browser::driver::Browser;
use crate::dashboard::{at, says, sign_in};
use crate::instance::{Instance, Reply, text};

/// What runs in each page before its own scripts: it notes what the page's policy stopped, and who asks for attention.
const WATCH: &str = "window.violations = []; \
    addEventListener('securitypolicyviolation', (event) => violations.push(event.violatedDirective + ' ' + event.blockedURI)); \
    window.alert = window.confirm = window.prompt = () => { window.hurt = 1; };";

/// What holds on every page.
const SOUND: [(&str, &str); 8] = [
    ("it has one heading", "document.querySelectorAll('h1').length === 1"),
    ("it has a title and a language", "document.title !== '' && document.documentElement.lang === 'en'"),
    (
        "nothing is styled or scripted inside a tag",
        "[...document.querySelectorAll('*')].every((one) => [...one.attributes].every(({ name }) => name !== 'style' && !name.startsWith('on')))",
    ),
    ("it holds no script or style", "document.querySelector('style, script:not([src])') === null"),
    ("its policy stopped nothing", "violations.length === 0"),
    (
        "its links lead to pages",
        "[...document.querySelectorAll('[href]')].every((one) => \
         ['http:', 'https:', 'blob:'].includes(new URL(one.getAttribute('href'), location.href).protocol))",
    ),
    (
        "no two parts go by one name",
        "(() => { const ids = [...document.querySelectorAll('[id]')].map((one) => one.id); return new Set(ids).size === ids.length; })()",
    ),
    ("nothing ran that was text", "window.hurt === undefined"),
];

/// Markup, a link that runs, and characters that turn text around or drive a terminal.
const HOSTILE: &str = "<script>window.hurt = 1</script><img src=x onerror=\"window.hurt = 1\">\
    <a href=\"javascript:window.hurt = 1\">x</a>\u{202e}\u{1b}]0;owned\u{7}";

/// The server by its name, as people open it.
pub fn site(lockgate: &Instance) -> String {
    lockgate.url().replace("127.0.0.1", "localhost")
}

/// The same with its port alone.
pub fn host(lockgate: &Instance) -> String {
    lockgate.address().replace("127.0.0.1", "localhost")
}

/// A page route with each of its addresses.
pub struct Pages {
    /// The route.
    pub route: &'static Route,
    /// Paths with their queries.
    pub addresses: Vec<String>,
}

/// Every page, about this promotion and these two releases. A route whose parameters nobody has thought of here fails.
pub fn pages(lockgate: &Instance, token: &str, promotion: &str, releases: [&str; 2]) -> Vec<Pages> {
    let [from, to] = releases;
    let release = lockgate.get(&format!("/v1/releases/{to}"), Some(token)).json();
    let digests = |list: &str| {
        let rows = release[list].as_array().unwrap().clone();
        rows.into_iter().map(|row| format!("/evidence/{}", text(&row["digest"])))
    };
    let addresses = |route: &Route| match route.name {
        "page-diff" => vec![format!("/diff?from={from}&to={to}")],
        "page-promotion" | "page-approve" => vec![route.path.replace("{id}", promotion)],
        "page-change" => {
            let changes = lockgate.get("/v1/changes", Some(token)).json();
            let rows = changes.as_array().unwrap().clone();
            rows.iter().map(|row| format!("/changes/{}", text(&row["change"]))).collect()
        }
        "page-service" => vec!["/services/shop/web".to_owned()],
        "page-release" => vec![format!("/releases/{from}"), format!("/releases/{to}")],
        "page-access" => {
            let asked = ["", "?person=ci", "?person=sam&permission=approve&service=shop%2Fweb&environment=production"];
            asked.map(|query| format!("{}{query}", route.path)).to_vec()
        }
        "page-evidence" => digests("evidence").chain(digests("artifacts")).collect(),
        other if route.path.contains('{') => panic!("say here with which parameters `{other}` is opened"),
        _ => vec![route.path.to_owned()],
    };
    ROUTES.iter().filter(|route| route.is_page()).map(|route| Pages { route, addresses: addresses(route) }).collect()
}

/// Opens a page, and holds it against everything that is asked of each.
#[track_caller]
fn look(browser: &mut Browser, lockgate: &Instance, address: &str) {
    browser.open(&format!("{}{address}", site(lockgate)));
    for (what, condition) in SOUND {
        let found = browser.evaluate(condition);
        let told = if found == json!(true) { Value::Null } else { browser.evaluate("violations") };
        assert_eq!(found, json!(true), "{address}: {what}: {told}");
    }
    browser.is_usable();
}

/// The status with which the browser got its page.
#[track_caller]
fn page_status(browser: &mut Browser) -> u64 {
    browser.evaluate("performance.getEntriesByType('navigation')[0].responseStatus").as_u64().unwrap()
}

/// Where a page leads on this server.
#[track_caller]
fn links(browser: &mut Browser) -> BTreeSet<String> {
    let found = browser.evaluate(
        "[...document.querySelectorAll('a[href]')].filter((link) => link.checkVisibility())\
         .map((link) => new URL(link.getAttribute('href'), location.href))\
         .filter((url) => url.origin === location.origin).map((url) => url.pathname + url.search)",
    );
    found.as_array().unwrap().iter().map(text).collect()
}

/// Asks until the server has time.
fn get(lockgate: &Instance, path: &str, token: &str) -> Reply {
    for _ in 0..200 {
        let reply = lockgate.get(path, Some(token));
        if reply.status != 429 {
            return reply;
        }
        std::thread::park_timeout(Duration::from_millis(50));
    }
    panic!("{path} is never served")
}

fn sign_out(browser: &mut Browser, lockgate: &Instance) {
    browser.open(&site(lockgate));
    browser.click("sign-out");
    browser.until("location.pathname === '/sign-in' && document.readyState === 'complete'");
}

/// Waits for at most five seconds.
#[track_caller]
pub fn soon(browser: &mut Browser, condition: &str) {
    let so = browser.evaluate(&format!(
        "new Promise((answer) => {{ const end = performance.now() + 5000; const look = () => {{ const so = Boolean({condition}); \
         if (so || performance.now() > end) {{ answer(so); }} else {{ setTimeout(look, 20); }} }}; look(); }})"
    ));
    assert_eq!(so, json!(true), "not within five seconds: {condition}");
}

#[track_caller]
fn reload(browser: &mut Browser) {
    browser.evaluate("window.left = true");
    browser.send("Page.reload", json!({}));
    browser.until("window.left === undefined && document.readyState === 'complete'");
}

/// Two releases of `shop/web`: 1.4.2 runs everywhere, and `P-6` of 1.5.0 waits before production.
fn world() -> (Instance, String) {
    let lockgate = Instance::granted();
    lockgate.push("1.5.0", "trivy.json").exits(0);
    lockgate.promote("1.5.0").exits(5);
    let waiting = lockgate.get("/v1/inbox", Some(&lockgate.token("sam"))).json();
    let waiting = text(&waiting["promotions"][0]["promotion"]);
    (lockgate, waiting)
}

#[test]
fn every_page_is_whole_and_leads_somewhere() {
    let Some(mut browser) = Browser::start() else { return };
    let (lockgate, waiting) = world();
    browser.meddle(WATCH);
    for person in ["dana", "sam"] {
        sign_in(&mut browser, &lockgate, person);
        let token = lockgate.token(person);
        let (mut led, mut seen) = (BTreeSet::new(), 0);
        for page in pages(&lockgate, &token, &waiting, ["shop/web@1.4.2", "shop/web@1.5.0"]) {
            for address in &page.addresses {
                look(&mut browser, &lockgate, address);
                let status = page_status(&mut browser);
                // What takes more than reading may be refused, and says so on a page.
                let refused =
                    !matches!(page.route.access, Access::Public | Access::SignedIn | Access::Permission("read"));
                assert!(status == 200 || (refused && status == 403), "{address} as {person}: {status}");
                led.append(&mut links(&mut browser));
                seen += 1;
            }
        }
        for link in &led {
            let reply = get(&lockgate, link, &token);
            assert!(reply.status < 400 || reply.status == 403, "{link} as {person}: {}", reply.status);
        }
        eprintln!("{seen} pages and {} links as {person}", led.len());
        assert!(seen >= 13 && led.len() > seen, "{seen} pages, {led:?}");
        sign_out(&mut browser, &lockgate);
    }
    browser.was_clean(&[&host(&lockgate)]);
}

#[test]
fn the_keyboard_is_enough() {
    let Some(mut browser) = Browser::start() else { return };
    let (lockgate, _) = world();
    browser.send("Emulation.setFocusEmulationEnabled", json!({ "enabled": true }));
    sign_in(&mut browser, &lockgate, "sam");
    says(&mut browser, "shop/web");

    browser.press("?");
    browser.until("document.getElementById('keys-help').open");
    browser.press("Escape");
    browser.until("!document.getElementById('keys-help').open");

    // A row is found and opened.
    browser.press("j");
    browser.until("document.querySelector('[data-row].at a') === document.activeElement");
    assert_eq!(browser.evaluate("document.querySelector('[data-row].at').id"), json!("row-shop/web"));
    browser.press("Enter");
    at(&mut browser, "/services/shop/web");

    // Rows are walked through in both directions, and not beyond their ends.
    browser.open(&format!("{}/timeline", site(&lockgate)));
    let place = "[...document.querySelectorAll('[data-row]')].findIndex((row) => row.classList.contains('at'))";
    for (key, expected) in [("j", 0), ("j", 1), ("j", 2), ("k", 1), ("k", 0), ("k", 0)] {
        browser.press(key);
        browser.until(&format!("{place} === {expected}"));
    }

    // What is searched for is typed where the key leads, and leads nowhere by itself.
    browser.open(&site(&lockgate));
    browser.press("/");
    browser.until("document.activeElement.matches('input[type=search]')");
    browser.press("g");
    browser.send("Input.insertText", json!({ "text": "web" }));
    assert_eq!(browser.evaluate("document.activeElement.value"), json!("gweb"));
    browser.press("Enter");
    browser.until("new URLSearchParams(location.search).get('q') === 'gweb' && document.readyState === 'complete'");
    assert_eq!(browser.evaluate("location.pathname"), json!("/"));

    // Every part of the menu has its letter.
    let menu = browser
        .evaluate("[...document.querySelectorAll('a[data-go]')].map((link) => [link.dataset.go, link.pathname])");
    let menu = menu.as_array().unwrap().clone();
    assert!(menu.len() >= 8, "{menu:?}");
    for part in menu {
        browser.press("g");
        browser.press(&text(&part[0]));
        at(&mut browser, &text(&part[1]));
        browser.until("document.querySelector('.top nav a[aria-current]') !== null");
    }
}

/// What the address says is what the form shows, after reloading and on the way back.
#[test]
fn filters_stay_on_the_way_back() {
    let Some(mut browser) = Browser::start() else { return };
    let (lockgate, _) = world();
    sign_in(&mut browser, &lockgate, "dana");
    let kept = "[...new URLSearchParams(location.search)].every(([name, value]) => { \
        const field = document.querySelector(`form.filters [name=\"${name}\"]`); \
        return field !== null && field.value === value && (field.type !== 'checkbox' || field.checked); })";
    for address in [
        "/?q=web&state=open&dense=1",
        "/?q=nothing&state=frozen",
        "/timeline?person=dana&event=promotion&environment=production",
        "/timeline?text=weekly&since=2020-01-01",
        "/timeline?stream=release%3Ashop%2Fweb%401.5.0",
        "/drift?q=web&environment=production&state=not-reported&days=3",
        "/changes?state=open",
        "/access?person=sam&permission=approve&service=shop%2Fweb&environment=production",
        "/access/review?q=dana",
    ] {
        let here =
            format!("location.pathname + location.search === {} && document.readyState === 'complete'", json!(address));
        browser.open(&format!("{}{address}", site(&lockgate)));
        assert_eq!(browser.evaluate(kept), json!(true), "{address}");
        let shown = browser.evaluate("document.querySelectorAll('[data-row]').length");
        reload(&mut browser);
        browser.until(&here);
        assert_eq!(browser.evaluate(kept), json!(true), "{address} loaded anew");
        assert_eq!(browser.evaluate("document.querySelectorAll('[data-row]').length"), shown, "{address}");
        browser.evaluate("document.querySelector('a[data-go=i]').click()");
        at(&mut browser, "/inbox");
        browser.evaluate("history.back()");
        browser.until(&here);
        browser.until(kept);
        assert_eq!(
            browser.evaluate("document.querySelectorAll('[data-row]').length"),
            shown,
            "{address} on the way back"
        );
    }
    browser.was_clean(&[&host(&lockgate)]);
}

#[test]
fn a_page_that_is_open_follows_the_ledger_and_says_when_it_cannot() {
    let Some(mut browser) = Browser::start() else { return };
    let lockgate = Instance::granted();
    lockgate.push("1.5.0", "trivy.json").exits(0);
    sign_in(&mut browser, &lockgate, "sam");
    soon(&mut browser, "document.getElementById('live').textContent === 'live'");
    browser.evaluate("window.kept = true");
    browser.evaluate("(window.cell = document.querySelector('#matrix td')) !== null");
    browser.evaluate("document.getElementById('q').value = 'half a name'");

    let ask = json!({ "release": "shop/web@1.5.0", "environment": "production", "reason": "weekly release" });
    let asked = lockgate.post("/v1/promotions", Some(&lockgate.token("dana")), &ask);
    soon(&mut browser, "document.getElementById('matrix').textContent.includes('1.5.0 waits')");
    // Only what differs was drawn anew, and what was begun is still there.
    assert_eq!(browser.evaluate("window.cell.isConnected"), json!(true));
    assert_eq!(browser.evaluate("document.getElementById('q').value"), json!("half a name"));
    let promotions = asked.json()["result"]["promotions"].as_array().unwrap().clone();
    let promotion = text(&promotions.last().unwrap()["promotion"]);
    soon(&mut browser, &format!("document.querySelector('#matrix a[href=\"/promotions/{promotion}\"]') !== null"));

    let address = lockgate.address();
    lockgate.stop();
    soon(&mut browser, "document.getElementById('live').textContent === 'not connected'");
    lockgate.start_at(&address).exits(0);
    browser.until("document.getElementById('live').textContent === 'live'");
    lockgate.run(&["approve", &promotion, "--as", "sam", "--yes"]).exits(0);
    soon(&mut browser, "!document.getElementById('matrix').textContent.includes('waits')");
    // It was the same page all the time.
    assert_eq!(browser.evaluate("window.kept"), json!(true));
    browser.was_clean(&[&host(&lockgate)]);
}

#[test]
fn every_cell_of_the_matrix_is_what_the_api_says() {
    let Some(mut browser) = Browser::start() else { return };
    let (lockgate, _) = world();
    lockgate.write("alone.tar.gz", "alone");
    let push = ["push", "alone.tar.gz", "--service", "alone", "--version", "0.1.0", "--tests", "junit.xml"];
    lockgate.run(&push).exits(0);
    sign_in(&mut browser, &lockgate, "sam");
    says(&mut browser, "alone");
    let status = lockgate.get("/v1/status", Some(&lockgate.token("sam"))).json();
    let columns =
        browser.evaluate("[...document.querySelectorAll('#matrix thead th')].slice(1).map((one) => one.textContent)");
    assert_eq!(columns, status["environments"]);
    let services = status["services"].as_array().unwrap();
    let shown = browser.evaluate("[...document.querySelectorAll('#matrix [data-row]')].map((row) => row.id)");
    assert_eq!(shown, json!(services.iter().map(|row| format!("row-{}", text(&row["service"]))).collect::<Vec<_>>()));
    let (mut running, mut open) = (0, 0);
    for row in services {
        let service = text(&row["service"]);
        for (place, environment) in status["environments"].as_array().unwrap().iter().enumerate() {
            let waits = status["open"].as_array().unwrap().iter().find(|one| {
                one["environment"] == *environment && text(&one["release"]).starts_with(&format!("{service}@"))
            });
            let runs = Some(&row["running"][place]).filter(|cell| !cell.is_null());
            running += usize::from(runs.is_some());
            open += usize::from(waits.is_some());
            check_cell(&mut browser, &service, place, runs, waits);
        }
    }
    assert!(running >= 3 && open == 1, "{running} {open}");
}

/// One cell names what runs with its promotion and time, and what waits with its promotion; and nothing else.
#[track_caller]
fn check_cell(browser: &mut Browser, service: &str, place: usize, runs: Option<&Value>, waits: Option<&Value>) {
    let cell = browser.evaluate(&format!(
        "(() => {{ const cell = document.getElementById({}).querySelectorAll('td')[{place}]; \
         return [[...cell.querySelectorAll('a')].map((link) => [link.getAttribute('href'), link.textContent]), cell.innerHTML]; }})()",
        json!(format!("row-{service}"))
    ));
    let links = cell[0].as_array().unwrap();
    let named: Vec<&Value> = [runs, waits].into_iter().flatten().collect();
    assert_eq!(links.len(), named.len(), "{service} {place}: {cell}");
    for (link, one) in links.iter().zip(named) {
        let release = text(&one["release"]);
        let version = release.split_once('@').unwrap().1;
        assert_eq!(link[0], json!(format!("/promotions/{}", text(&one["promotion"]))), "{service} {place}: {cell}");
        assert!(text(&link[1]).contains(version), "{service} {place}: {cell}");
    }
    if let Some(since) = runs.map(|cell| cell["since"].as_u64().unwrap()) {
        assert!(text(&cell[1]).contains(&UnixMillis(since).rfc3339_secs()), "{service} {place}: {cell}");
    }
}

#[test]
fn hostile_text_is_shown_as_text() {
    let Some(mut browser) = Browser::start() else { return };
    let lockgate = Instance::granted();
    // In the name of an artifact, in a component of a bill of materials, in a test, in reasons.
    let name = "<img src=x onerror=\"window.hurt = 1\">\u{202e}.tar.gz";
    lockgate.write(name, crate::instance::artifact("1.6.0"));
    let sbom = std::fs::read_to_string(lockgate.file("sbom.cdx.json")).unwrap();
    let mut sbom: Value = serde_json::from_str(&sbom).unwrap();
    sbom["components"][0]["name"] = json!(HOSTILE);
    lockgate.write("hostile.cdx.json", sbom.to_string());
    let push = ["push", name, "--service", "shop/web", "--version", "1.6.0", "--tests", "junit.xml"];
    lockgate.run(&[&push[..], &["--sbom", "hostile.cdx.json", "--scan", "trivy.json"]].concat()).exits(0);
    let dana = lockgate.token("dana");
    let ask = |reason: &str| {
        let body = json!({ "release": "shop/web@1.6.0", "environment": "production", "reason": reason });
        lockgate.post("/v1/promotions", Some(&dana), &body)
    };
    // As long as the ledger takes, and no longer.
    ask(&HOSTILE.repeat(1000)).refused(400, "TEXT_TOO_LONG");
    let asked = ask(&format!("{HOSTILE}{}", "A".repeat(4096 - HOSTILE.len())));
    let promotions = asked.json()["result"]["promotions"].as_array().unwrap().clone();
    let promotion = text(&promotions.last().unwrap()["promotion"]);
    let freeze = ["freeze", "--service", "shop/web", "--env", "dev", "--reason", HOSTILE, "--yes", "--as", "sam"];
    lockgate.run(&freeze).exits(0);

    browser.meddle(WATCH);
    sign_in(&mut browser, &lockgate, "sam");
    let sam = lockgate.token("sam");
    let mut addresses: Vec<String> = pages(&lockgate, &sam, &promotion, ["shop/web@1.4.2", "shop/web@1.6.0"])
        .into_iter()
        .flat_map(|page| page.addresses)
        .collect();
    let query = "%3Cimg%20src%3Dx%20onerror%3D%22window.hurt%3D1%22%3E%E2%80%AE";
    addresses.extend([format!("/?q={query}"), format!("/timeline?text={query}&event={query}&service={query}")]);
    addresses.extend([format!("/access?person={query}&permission={query}&service={query}&environment={query}")]);
    addresses.extend([format!("/access/review?q={query}"), format!("/access/log?person={query}&action={query}")]);
    // The place of what does not show, where there is one.
    let harmless = "document.querySelector('img[src=x], a[href^=\"javascript:\"]') === null && (document.documentElement\
        .outerHTML.match(/.{0,40}[\\u0000-\\u0008\\u000b-\\u001f\\u202a-\\u202e\\u2066-\\u2069]/)?.[0] ?? true)";
    for address in &addresses {
        look(&mut browser, &lockgate, address);
        assert_eq!(browser.evaluate(harmless), json!(true), "{address}");
    }
    let there = [format!("/promotions/{promotion}"), format!("/approve/{promotion}")];
    for address in ["/inbox".to_owned(), "/timeline".to_owned()].iter().chain(&there) {
        browser.open(&format!("{}{address}", site(&lockgate)));
        // What a script fills in comes after the page.
        says(&mut browser, "<script>window.hurt = 1</script>");
        if address.starts_with("/approve/") {
            browser.evaluate("document.getElementById('exact').closest('details').open = true");
            browser.until("document.getElementById('exact').textContent.length > 4096");
        }
        browser.is_usable();
        assert_eq!(browser.evaluate(harmless), json!(true), "{address}");
    }
    browser.was_clean(&[&host(&lockgate)]);
}
