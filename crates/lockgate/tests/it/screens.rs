//! Screenshots of every page, for people to look at: written where `LOCKGATE_SCREENS` says, and nowhere without it.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_api::ROUTES;
use serde_json::json;

use crate::browser::driver::Browser;
use crate::instance::{Instance, text, variable};

/// The widths, each with the height of its screen.
const SCREENS: [(u32, u32); 2] = [(1440, 900), (390, 844)];
/// What people prefer.
const SCHEMES: [&str; 2] = ["light", "dark"];
/// How large a picture may be before a line says so.
const LARGE: usize = 60 * 1024;

/// A story with something of everything: running, waiting, denied, frozen, behind.
pub fn story() -> Instance {
    let lockgate = Instance::granted();
    lockgate.push("1.5.0", "trivy.json").exits(0);
    lockgate.promote("1.5.0").exits(5);
    for (service, version, scan, to) in [
        ("shop/api", "2.0.0", "trivy.json", "staging"),
        ("shop/api", "2.1.0", "trivy.json", "dev"),
        ("shop/search", "0.9.0", "trivy-critical.json", "production"),
        ("billing/ledger", "3.2.1", "trivy.json", "staging"),
    ] {
        let file = format!("{}-{version}.tar.gz", service.replace('/', "-"));
        lockgate.write(&file, format!("{service} {version}"));
        let evidence = ["--tests", "junit.xml", "--sbom", "sbom.cdx.json", "--scan", scan];
        let push = ["push", file.as_str(), "--service", service, "--version", version];
        lockgate.run(&[&push[..], &evidence[..]].concat()).exits(0);
        // What comes of it is part of the picture.
        lockgate.run(&["promote", &format!("{service}@{version}"), "--to", to, "--reason", "weekly release"]);
    }
    let freeze = ["freeze", "--service", "billing/ledger", "--reason", "month end", "--as", "sam", "--yes"];
    lockgate.run(&freeze);
    lockgate
}

/// The pages that there are, each with a name for its file.
pub fn pages(lockgate: &Instance) -> Vec<(String, String)> {
    let release = lockgate.get("/v1/releases/shop/web@1.4.2", Some(&lockgate.token("sam"))).json();
    let evidence = text(&release["evidence"][0]["digest"]);
    let mut pages: Vec<(String, String)> = [
        ("pipeline-open", "/?state=open"),
        ("pipeline-dense", "/?dense=1"),
        ("pipeline-empty", "/?q=nothing"),
        ("pipeline-graph", "/?view=graph"),
        ("service", "/services/shop/web"),
        ("release", "/releases/shop/web@1.4.2"),
        ("promotion-granted", "/promotions/P-3"),
        ("promotion-waiting", "/promotions/P-6"),
        ("approve", "/approve/P-6"),
        ("diff", "/diff?from=shop/web@1.4.2&to=shop/web@1.5.0"),
        ("timeline-filtered", "/timeline?event=approval"),
        ("enrol", "/enrol"),
    ]
    .map(|(name, path)| (name.to_owned(), path.to_owned()))
    .to_vec();
    pages.push(("evidence".to_owned(), format!("/evidence/{evidence}")));
    // Whatever page needs no more than its address.
    let plain = ROUTES.iter().filter(|route| route.is_page() && !route.path.contains('{'));
    for route in plain.filter(|route| !matches!(route.path, "/diff" | "/enrol" | "/sign-in")) {
        let name = route.name.strip_prefix("page-").unwrap_or(route.name);
        pages.push((name.to_owned(), route.path.to_owned()));
    }
    pages
}

/// Takes one page in every width and scheme.
fn take(browser: &mut Browser, folder: &Path, name: &str, url: &str) {
    for (width, height) in SCREENS {
        for scheme in SCHEMES {
            let screen = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
            browser.send("Emulation.setDeviceMetricsOverride", screen);
            let features = json!([
                { "name": "prefers-color-scheme", "value": scheme },
                { "name": "prefers-reduced-motion", "value": "reduce" },
            ]);
            browser.send("Emulation.setEmulatedMedia", json!({ "features": features }));
            browser.open(url);
            let picture = browser.send("Page.captureScreenshot", json!({ "format": "png" }));
            let bytes = STANDARD.decode(text(&picture["data"])).unwrap();
            let file: PathBuf = folder.join(format!("{name}-{width}-{scheme}.png"));
            if bytes.len() > LARGE {
                println!("{} has {} KiB", file.display(), bytes.len() / 1024);
            }
            fs::write(&file, bytes).unwrap();
        }
    }
}

#[test]
fn screens_of_every_page() {
    let Some(folder) = variable("LOCKGATE_SCREENS") else {
        println!("no screenshots: LOCKGATE_SCREENS names no folder");
        return;
    };
    let folder = PathBuf::from(folder);
    fs::create_dir_all(&folder).unwrap();
    let Some(mut browser) = Browser::start() else { return };
    let lockgate = story();
    let site = lockgate.url().replace("127.0.0.1", "localhost");
    // Before anybody is signed in.
    take(&mut browser, &folder, "sign-in", &format!("{site}/sign-in"));
    browser.open(&text(&lockgate.json(&["dashboard", "--print", "--as", "sam"], 0)["url"]));
    browser.click("take");
    browser.until("location.pathname === '/' && document.readyState === 'complete'");
    let pages = pages(&lockgate);
    for (name, path) in &pages {
        take(&mut browser, &folder, name, &format!("{site}{path}"));
    }
    let taken = fs::read_dir(&folder).unwrap().filter_map(Result::ok);
    let pictures = taken.filter(|file| file.path().extension().is_some_and(|end| end == "png")).count();
    println!("{pictures} screenshots of {} pages in {}", pages.len() + 1, folder.display());
    assert!(pictures >= (pages.len() + 1) * SCREENS.len() * SCHEMES.len());
}
