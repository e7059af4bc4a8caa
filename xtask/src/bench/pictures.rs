//! Pictures: screenshots of pages over the large ledger, for people to look at.

use std::fs;
use std::path::Path;

use super::browser::Browser;
use super::large::{Large, service};
use super::screen::{COOKIE, PAINTED};
use crate::failure::{During as _, Failure, Result};

/// The widths, each with the height of its screen, in pixels.
const SCREENS: [(u32, u32); 2] = [(1440, 900), (390, 844)];
/// What people prefer.
const SCHEMES: [&str; 2] = ["light", "dark"];
/// Pages that need no more than their address.
const PAGES: [(&str, &str); 16] = [
    ("pipeline", "/"),
    ("pipeline-dense", "/?dense=1"),
    ("pipeline-graph", "/?view=graph"),
    ("pipeline-team", "/?q=team-7/"),
    ("pipeline-open", "/?state=open"),
    ("inbox", "/inbox"),
    ("timeline", "/timeline"),
    ("log", "/log"),
    ("keys", "/keys"),
    ("access", "/access"),
    ("policy", "/policy"),
    ("freeze", "/freeze"),
    ("metrics", "/metrics"),
    ("drift", "/drift"),
    ("changes", "/changes"),
    ("nothing-found", "/?q=nothing"),
];
/// The first promotion that waits for whoever is signed in, or nothing.
const WAITING: &str = "document.querySelector('main a[href^=\"/promotions/\"]')?.getAttribute('href') ?? ''";

/// Takes every page in each width and scheme into a folder, as `<page>-<width>-<scheme>.png`, and says how many; none
/// where there is no browser. `reader` is the session of whoever looks.
///
/// # Errors
/// When the browser does not answer, a page does not load, or a picture cannot be written.
pub fn take(large: &Large, reader: &str, profile: &Path, folder: &Path) -> Result<usize> {
    let Some(mut browser) = Browser::start(profile)? else { return Ok(0) };
    fs::create_dir_all(folder).during(format!("make `{}`", folder.display()))?;
    let site = large.server.url().trim_end_matches('/').to_owned();
    browser.fresh_page(&site, (COOKIE, reader))?;
    browser.go(&format!("{site}/inbox"))?;
    browser.until(PAINTED)?;
    let waiting = browser.evaluate(WAITING)?;
    let waiting = waiting.as_str().filter(|path| !path.is_empty());
    let waiting = waiting.ok_or_else(|| Failure::new("the inbox shows no promotion"))?.to_owned();
    let release = format!("{}@1.1.0", service(0));
    let mut pages: Vec<(&str, String)> = PAGES.map(|(name, path)| (name, path.to_owned())).to_vec();
    pages.push(("promotion", waiting));
    pages.push(("service", format!("/services/{}", service(0))));
    pages.push(("release", format!("/releases/{release}")));
    pages.push(("diff", format!("/diff?from={}@1.0.0&to={release}", service(0))));
    let mut taken = 0;
    for (name, path) in &pages {
        for (width, height) in SCREENS {
            for scheme in SCHEMES {
                browser.look_as((width, height), scheme)?;
                // Away first: a page that stays would still hold what is waited for.
                browser.evaluate("window.leftBehind = true")?;
                browser.go(&format!("{site}{path}"))?;
                browser.until(PAINTED)?;
                let file = folder.join(format!("{name}-{width}-{scheme}.png"));
                fs::write(&file, browser.picture()?).during(format!("write `{}`", file.display()))?;
                taken += 1;
            }
        }
    }
    Ok(taken)
}
