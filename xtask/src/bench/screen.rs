//! Screen: what a person sees of the dashboard, in a real browser: when it is painted, what it loads, whether it stays
//! responsive, and how soon an entry is shown.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use lockgate_model::ReleaseName;
use serde_json::Value;

use super::append::{Appender, CLIENTS};
use super::browser::{Browser, long_task};
use super::large::{Large, service};
use super::report::Row;
use super::samples::{median, quantile};
use crate::failure::{Failure, Result};
use crate::requests::{Request, junit};

/// The cookie of a session.
pub const COOKIE: &str = "lockgate_session";
/// Holds once a page has loaded with its scripts and shows something.
pub const PAINTED: &str = "location.href !== 'about:blank' && window.leftBehind === undefined && \
     document.readyState === 'complete' && performance.getEntriesByName('first-contentful-paint').length > 0";
/// When the browser first painted something of the page, in milliseconds since the navigation began.
const PAINT: &str = "performance.getEntriesByName('first-contentful-paint')[0].startTime";
/// How many entries the page says that there are.
const SHOWN_ENTRIES: &str = "Number(document.querySelector('.summary a[href=\"/log\"] strong').textContent)";
/// A task of 150 ms: if nothing tells of it, nothing would tell of the page's own.
const PLANTED: &str = "new Promise((done) => setTimeout(() => { \
     const end = performance.now() + 150; while (performance.now() < end); done(true); }, 0))";
/// Which task must have been told of, after the planted one.
const PLANTED_LEAST_MS: f64 = 140.0;
/// What is typed into the page's filter.
const FILTERS: [&str; 3] = ["team-7/", "service-1", ""];
/// How long a page that has loaded is listened to, until nothing more is on its way.
const SETTLE: Duration = Duration::from_millis(200);
/// How long that may take.
const SETTLING: Duration = Duration::from_secs(30);
/// How long the writer waits between entries while a page follows them.
const BETWEEN: Duration = Duration::from_millis(50);
/// One of so many of these is a new version that is let into the first environment of the page's first row.
const PROMOTES_EVERY: u64 = 10;
/// What a first visit may have, in bytes.
const VISIT_BYTES: f64 = 300.0 * 1024.0;
/// The goals of paint, tasks and updates, in milliseconds.
const PAINT_MS: f64 = 1000.0;
const TASK_MS: f64 = 100.0;
const UPDATE_MS: f64 = 1000.0;

/// What was seen besides figures, of all pages.
#[derive(Debug, Default)]
struct Seen {
    /// Main-thread tasks of 50 ms and more, in milliseconds.
    tasks_ms: Vec<f64>,
    /// Requests to others than the server.
    foreign: Vec<String>,
    /// What the console holds of errors.
    errors: Vec<String>,
}

impl Seen {
    /// Takes in what a browser told; `site` is all that a page may ask.
    fn take(&mut self, events: &[Value], site: &str) {
        for event in events {
            let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            self.tasks_ms.extend(long_task(event));
            match text("/method") {
                "Network.requestWillBeSent" => {
                    let url = text("/params/request/url");
                    // A picture inside the page, or the page before the first, asks nobody.
                    if !["data:", "about:", site].iter().any(|start| url.starts_with(start)) {
                        self.foreign.push(url.to_owned());
                    }
                }
                "Runtime.exceptionThrown" => self.errors.push(event.to_string()),
                "Runtime.consoleAPICalled" if text("/params/type") == "error" => self.errors.push(event.to_string()),
                "Log.entryAdded" if text("/params/entry/level") == "error" => self.errors.push(event.to_string()),
                _ => {}
            }
        }
    }

    fn rows(&self, live: Duration, loads: usize) -> Vec<Row> {
        for found in self.foreign.iter().chain(&self.errors) {
            eprintln!("a page should not do this: {found}");
        }
        let longest = self.tasks_ms.iter().copied().fold(0.0, f64::max);
        let what = format!(
            "longest main-thread task of {loads} loads, {} filters and {} s of live updates ({} of over 50 ms)",
            FILTERS.len(),
            live.as_secs(),
            self.tasks_ms.len()
        );
        let (foreign, errors) = (self.foreign.len() as f64, self.errors.len() as f64);
        vec![
            Row::at_most(&what, longest, longest, TASK_MS, "100 ms", "ms"),
            Row::at_most("requests of the pages to other hosts", foreign, foreign, 0.0, "0", "requests"),
            Row::at_most("errors on the console", errors, errors, 0.0, "0", "errors"),
        ]
    }
}

/// Visits the dashboard with an empty cache, filters it, and lets it follow what is written; says which browser did.
///
/// `writer` is the session of whoever writes, `reader` that of whoever looks. No row where there is no browser.
///
/// # Errors
/// When the browser does not start or answer, or the server refuses; a goal that is missed is no error.
pub fn measure(large: &Large, writer: &str, reader: &str, folder: &Path) -> Result<(Vec<Row>, String)> {
    let Some(mut browser) = Browser::start(folder)? else {
        let skipped = "no browser: skipped, because Chromium is not installed (`LOCKGATE_CHROMIUM` names another)";
        eprintln!("{skipped}");
        return Ok((Vec::new(), skipped.to_owned()));
    };
    let version = browser.version()?;
    let log_key = large.log_key()?;
    let site = large.server.url().trim_end_matches('/').to_owned();
    let appender = Appender { url: large.server.url(), token: writer, log_key: &log_key, clients: CLIENTS };
    let mut screen = Screen { browser: &mut browser, site, session: reader, seen: Seen::default() };
    let turns = large.extent.turns;
    let mut rows = screen.visits(turns)?;
    screen.filters()?;
    screen.follow(&appender, large.extent.live)?;
    rows.extend(screen.updates(&appender, turns)?);
    rows.extend(screen.seen.rows(large.extent.live, turns));
    Ok((rows, format!("{version}, headless, 1440 x 900, cache empty before each visit")))
}

/// A browser that looks at one server.
struct Screen<'a> {
    browser: &'a mut Browser,
    /// The server, without a slash at the end.
    site: String,
    session: &'a str,
    seen: Seen,
}

impl Screen<'_> {
    /// Visits the first view so many times.
    fn visits(&mut self, turns: usize) -> Result<Vec<Row>> {
        let (mut paints, mut bytes) = (Vec::new(), Vec::new());
        // The first turn warms the browser up and is thrown away, and shows that long tasks are told of.
        for turn in 0..=turns {
            let (paint, loaded) = self.visit()?;
            match turn {
                0 => self.check_observer()?,
                _ => {
                    paints.push(paint);
                    bytes.push(loaded);
                }
            }
        }
        let (p50, p95) = (median(&paints), quantile(&paints, 0.95));
        let paint = format!("first contentful paint of `GET /`, {turns} visits, p95 (p50 {p50:.0} ms)");
        let most = quantile(&bytes, 1.0);
        let visit = "first visit, over the network with its heads, as the browser counts it";
        Ok(vec![
            Row::at_most(&paint, p95, p95, PAINT_MS, "1 s", "ms"),
            Row::at_most(visit, most / 1024.0, most / 1024.0, VISIT_BYTES / 1024.0, "300 KiB", "KiB"),
        ])
    }

    /// One visit: when something was painted, and how many bytes were loaded.
    fn visit(&mut self) -> Result<(f64, f64)> {
        self.take();
        self.browser.fresh_page(&self.site, (COOKIE, self.session))?;
        self.browser.go(&format!("{}/", self.site))?;
        self.browser.until(PAINTED)?;
        if self.browser.evaluate("document.getElementById('matrix') !== null")? != Value::Bool(true) {
            return Err(Failure::new("the browser shows another page than the pipeline"));
        }
        let paint = self.browser.evaluate(PAINT)?.as_f64().ok_or_else(|| Failure::new("nothing was painted"))?;
        let deadline = Instant::now() + SETTLING;
        loop {
            self.browser.watch(SETTLE)?;
            if let Some(bytes) = loaded_bytes(self.browser.events()) {
                return Ok((paint, bytes));
            }
            if Instant::now() > deadline {
                return Err(Failure::new("a page does not finish loading"));
            }
        }
    }

    /// A task that is made to be long has to be told of.
    fn check_observer(&mut self) -> Result<()> {
        self.take();
        // What a browser does for the first time is its own; complaints stay.
        self.seen.tasks_ms.clear();
        self.browser.evaluate(PLANTED)?;
        self.browser.watch(SETTLE)?;
        let events = self.browser.take_events();
        match events.iter().filter_map(long_task).any(|millis| millis >= PLANTED_LEAST_MS) {
            true => Ok(()),
            false => Err(Failure::new("the browser does not tell of long tasks")),
        }
    }

    /// Filters as a person does, in the form of the page.
    fn filters(&mut self) -> Result<()> {
        for text in FILTERS {
            self.browser.evaluate(&format!(
                "(() => {{ window.leftBehind = true; const field = document.getElementById('q'); \
                 field.value = '{text}'; field.form.requestSubmit(); }})()"
            ))?;
            self.browser.until(PAINTED)?;
            self.take();
        }
        Ok(())
    }

    /// Lets the page stand for so long while entries are written.
    fn follow(&mut self, appender: &Appender<'_>, length: Duration) -> Result<()> {
        let (stop, stopped) = mpsc::channel::<()>();
        let before = self.shown()?;
        let watched = thread::scope(|scope| {
            let writer = scope.spawn(move || write(appender, &stopped));
            let watched = self.browser.watch(length);
            // The writer stops when this side is gone.
            drop(stop);
            writer.join().unwrap_or_else(|_| Err(Failure::new("the writer panicked")))?;
            watched
        });
        watched?;
        self.take();
        match self.shown()? > before {
            true => Ok(()),
            false => Err(Failure::new("the page did not follow what was written")),
        }
    }

    /// How long an acknowledged entry takes until the page counts it.
    fn updates(&mut self, appender: &Appender<'_>, turns: usize) -> Result<Vec<Row>> {
        let client = appender.client();
        let release: ReleaseName = "watch/updates@1.0.0".parse()?;
        appender.publish(&client, &release)?;
        let mut times = Vec::new();
        for turn in 0..=turns {
            let key = format!("update-{turn}");
            let reply = Request::attest(&release, &junit(&key)).send(&client, &key)?;
            let acknowledged = Instant::now();
            let logged = reply.logged.ok_or_else(|| Failure::new(format!("`{key}` appended nothing")))?;
            self.browser.until(&format!("{SHOWN_ENTRIES} > {}", logged.index))?;
            // What was written before is still on its way to the page during the first turn.
            if turn > 0 {
                times.push(acknowledged.elapsed().as_secs_f64() * 1000.0);
            }
            // Not always at the same moment of the page's own rhythm.
            self.browser.watch(Duration::from_millis(37 * (turn as u64 % 11)))?;
        }
        self.take();
        let (p50, longest) = (median(&times), quantile(&times, 1.0));
        let what =
            format!("from an entry's acknowledgement until the page shows it, longest of {turns} (p50 {p50:.0} ms)");
        Ok(vec![Row::at_most(&what, longest, longest, UPDATE_MS, "1 s", "ms")])
    }

    fn shown(&mut self) -> Result<f64> {
        let shown = self.browser.evaluate(SHOWN_ENTRIES)?;
        shown.as_f64().ok_or_else(|| Failure::new("the page does not say how many entries there are"))
    }

    fn take(&mut self) {
        let events = self.browser.take_events();
        self.seen.take(&events, &self.site);
    }
}

/// How many bytes a page has loaded, heads included; none while something is on its way, other than the events that a
/// page follows, which never end.
fn loaded_bytes(events: &[Value]) -> Option<f64> {
    let (mut open, mut bytes) = (BTreeSet::new(), 0.0);
    for event in events {
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let request = text("/params/requestId");
        match text("/method") {
            "Network.requestWillBeSent" if text("/params/type") != "EventSource" => {
                open.insert(request);
            }
            "Network.loadingFailed" => {
                open.remove(request);
            }
            "Network.loadingFinished" => {
                open.remove(request);
                bytes += event.pointer("/params/encodedDataLength").and_then(Value::as_f64).unwrap_or_default();
            }
            _ => {}
        }
    }
    open.is_empty().then_some(bytes)
}

/// Writes entry after entry until the other side of `stopped` is gone: reports, and now and then a version that is let
/// into the first environment.
fn write(appender: &Appender<'_>, stopped: &Receiver<()>) -> Result<()> {
    let client = appender.client();
    for number in 0u64.. {
        let key = format!("live-{number}");
        let release: ReleaseName = format!("{}@2.0.{}", service(0), number / PROMOTES_EVERY).parse()?;
        match number % PROMOTES_EVERY {
            0 => {
                appender.publish(&client, &release)?;
                Request::attest(&release, &junit(&key)).send(&client, &key)?;
                Request::promote(&release)?.send(&client, &format!("{key}-promote"))?;
            }
            _ => {
                Request::attest(&release, &junit(&key)).send(&client, &key)?;
            }
        }
        if stopped.recv_timeout(BETWEEN) == Err(RecvTimeoutError::Disconnected) {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(method: &str, parameters: &Value) -> Value {
        json!({ "method": method, "params": parameters })
    }

    #[test]
    fn others_and_errors_are_seen() {
        let asked = |url: &str| told("Network.requestWillBeSent", &json!({ "request": { "url": url } }));
        let check = |event: Value, foreign: usize, errors: usize| {
            let mut seen = Seen::default();
            seen.take(std::slice::from_ref(&event), "http://127.0.0.1:7430");
            assert_eq!((seen.foreign.len(), seen.errors.len()), (foreign, errors), "{event}");
        };
        check(asked("http://127.0.0.1:7430/assets/a.css"), 0, 0);
        check(asked("data:image/png;base64,AA"), 0, 0);
        check(asked("https://elsewhere.example/a.css"), 1, 0);
        check(told("Runtime.exceptionThrown", &json!({})), 0, 1);
        check(told("Runtime.consoleAPICalled", &json!({ "type": "error" })), 0, 1);
        check(told("Runtime.consoleAPICalled", &json!({ "type": "log" })), 0, 0);
        check(told("Log.entryAdded", &json!({ "entry": { "level": "error" } })), 0, 1);
        check(told("Log.entryAdded", &json!({ "entry": { "level": "info" } })), 0, 0);
    }

    #[test]
    fn bytes_count_when_everything_has_come() {
        let sent = |id: &str, kind: &str| told("Network.requestWillBeSent", &json!({ "requestId": id, "type": kind }));
        let done = |id: &str, bytes: u64| {
            told("Network.loadingFinished", &json!({ "requestId": id, "encodedDataLength": bytes }))
        };
        let page = [sent("1", "Document"), sent("2", "Script"), sent("3", "EventSource"), done("1", 1000)];
        assert_eq!(loaded_bytes(&page), None);
        let all = [page.as_slice(), &[done("2", 500)]].concat();
        assert_eq!(loaded_bytes(&all), Some(1500.0));
        let failed = told("Network.loadingFailed", &json!({ "requestId": "2" }));
        assert_eq!(loaded_bytes(&[page.as_slice(), &[failed]].concat()), Some(1000.0));
    }
}
