//! Browser: a real Chromium, driven over its DevTools protocol, with a fresh page for each visit.
//!
//! Commands and answers are JSON on two pipes, each ended by a zero byte (Chrome DevTools Protocol,
//! `--remote-debugging-pipe`). Nothing here knows the dashboard.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::failure::{During as _, Failure, Result};

/// How long the browser may take for one answer, and a page for what it is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the browser may take to end when it is asked to.
const CLOSING: Duration = Duration::from_secs(5);
/// How long is waited before a page is asked again that could not answer.
const PAUSE: Duration = Duration::from_millis(20);
/// The browser reads commands from descriptor 3 and writes answers to 4; here they are the process's own input and
/// output, so that no other pipe has to be handed down.
const ON_PIPES: &str = "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1";
/// Nothing that talks to anyone but the page's server, and no sandbox, which needs rights that a container lacks.
const FLAGS: [&str; 12] = [
    "--headless",
    "--remote-debugging-pipe",
    "--no-sandbox",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-breakpad",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-sync",
    "--metrics-recording-only",
];
/// What is told about each page.
const DOMAINS: [&str; 4] = ["Page", "Runtime", "Log", "Network"];
/// The size of the window, in pixels.
const WINDOW: (u32, u32) = (1440, 900);
/// The function by which a page tells how long a task took that was long.
const BINDING: &str = "benchLongTask";
/// Runs in every page before its own scripts (Long Tasks API: tasks of 50 ms and more).
const OBSERVER: &str = "new PerformanceObserver((list) => { \
     for (const task of list.getEntries()) { benchLongTask(String(task.duration)); } \
     }).observe({ type: 'longtask', buffered: true });";

/// A browser with at most one page.
pub struct Browser {
    process: Child,
    input: ChildStdin,
    messages: Receiver<Value>,
    sent: u64,
    page: Option<Page>,
    /// Everything that was told without being asked for.
    events: Vec<Value>,
}

/// A page, with a cache and cookies of its own.
struct Page {
    context: String,
    target: String,
    session: String,
}

impl Browser {
    /// Starts one with an empty profile in a folder; none where Chromium is not installed.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(folder: &Path) -> Result<Option<Self>> {
        let program = program();
        let found = Command::new("sh").args(["-c", "command -v \"$0\"", &program]).stdout(Stdio::null()).status();
        if !found.during("look for a browser")?.success() {
            return Ok(None);
        }
        fs::create_dir_all(folder).during("make the browser's folder")?;
        let mut process = Command::new("sh")
            .args(["-c", ON_PIPES, &program])
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", folder.display()))
            .arg("about:blank")
            .env("HOME", folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .during(format!("start `{program}`"))?;
        let (Some(input), Some(output)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(Failure::new("the browser has no pipes"));
        };
        let (sender, messages) = channel();
        thread::spawn(move || {
            let mut output = BufReader::new(output);
            let mut message = Vec::new();
            while output.read_until(0, &mut message).is_ok_and(|count| count > 0) {
                message.pop();
                let Ok(value) = serde_json::from_slice::<Value>(&message) else { break };
                if sender.send(value).is_err() {
                    break;
                }
                message.clear();
            }
        });
        Ok(Some(Self { process, input, messages, sent: 0, page: None, events: Vec::new() }))
    }

    /// Its name and version.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn version(&mut self) -> Result<String> {
        text(&self.exchange(None, "Browser.getVersion", json!({}))?, "product")
    }

    /// Closes the page, and opens an empty one with nothing in its cache and one cookie for a site.
    ///
    /// # Errors
    /// When the browser refuses.
    pub fn fresh_page(&mut self, site: &str, cookie: (&str, &str)) -> Result<()> {
        self.close_page()?;
        let context = text(&self.exchange(None, "Target.createBrowserContext", json!({}))?, "browserContextId")?;
        let wanted = json!({ "url": "about:blank", "browserContextId": context });
        let target = text(&self.exchange(None, "Target.createTarget", wanted)?, "targetId")?;
        let wanted = json!({ "targetId": target, "flatten": true });
        let session = text(&self.exchange(None, "Target.attachToTarget", wanted)?, "sessionId")?;
        self.page = Some(Page { context, target, session });
        for domain in DOMAINS {
            self.send(&format!("{domain}.enable"), json!({}))?;
        }
        self.resize(WINDOW)?;
        self.send("Runtime.addBinding", json!({ "name": BINDING }))?;
        self.send("Page.addScriptToEvaluateOnNewDocument", json!({ "source": OBSERVER }))?;
        let (name, value) = cookie;
        let cookie = json!({ "name": name, "value": value, "url": site, "httpOnly": true, "sameSite": "Strict" });
        self.send("Network.setCookie", cookie)?;
        Ok(())
    }

    /// Shows pages from here on in a window of another size, in pixels, to somebody who prefers `light` or `dark`.
    ///
    /// # Errors
    /// When the browser refuses.
    pub fn look_as(&mut self, window: (u32, u32), scheme: &str) -> Result<()> {
        self.resize(window)?;
        let features = json!([
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]);
        self.send("Emulation.setEmulatedMedia", json!({ "features": features })).map(drop)
    }

    /// What the window shows, as PNG.
    ///
    /// # Errors
    /// When the browser gives none.
    pub fn picture(&mut self) -> Result<Vec<u8>> {
        let picture = self.send("Page.captureScreenshot", json!({ "format": "png" }))?;
        STANDARD.decode(text(&picture, "data")?).during("read a picture")
    }

    fn resize(&mut self, (width, height): (u32, u32)) -> Result<()> {
        let screen = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.send("Emulation.setDeviceMetricsOverride", screen).map(drop)
    }

    fn close_page(&mut self) -> Result<()> {
        if let Some(page) = self.page.take() {
            self.exchange(None, "Target.closeTarget", json!({ "targetId": page.target }))?;
            self.exchange(None, "Target.disposeBrowserContext", json!({ "browserContextId": page.context }))?;
        }
        Ok(())
    }

    /// Goes to an address; the page may still be loading afterwards.
    ///
    /// # Errors
    /// When nothing answers there.
    pub fn go(&mut self, url: &str) -> Result<()> {
        let answer = self.send("Page.navigate", json!({ "url": url }))?;
        match answer.get("errorText").and_then(Value::as_str) {
            Some(error) => Err(Failure::new(format!("the browser cannot open `{url}`: {error}"))),
            None => Ok(()),
        }
    }

    /// Runs an expression in the page and gives its value; a promise is waited for.
    ///
    /// # Errors
    /// When it throws, or the page goes away meanwhile.
    pub fn evaluate(&mut self, expression: &str) -> Result<Value> {
        let wanted = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let answer = self.send("Runtime.evaluate", wanted)?;
        match answer.get("exceptionDetails") {
            Some(exception) => Err(Failure::new(format!("`{expression}` throws: {exception}"))),
            None => Ok(answer.pointer("/result/value").cloned().unwrap_or_default()),
        }
    }

    /// Waits until a condition holds in the page, whichever page that is by then; it is looked at every 5 ms.
    ///
    /// # Errors
    /// When it does not come to hold in time.
    pub fn until(&mut self, condition: &str) -> Result<()> {
        // The page looks again and again for a second; a page that goes away meanwhile takes the question with it.
        let look = format!(
            "new Promise((answer) => {{ const end = performance.now() + 1000; const look = () => {{ \
             let so = false; try {{ so = Boolean({condition}); }} catch {{ so = false; }} \
             if (so || performance.now() > end) {{ answer(so); }} else {{ setTimeout(look, 5); }} }}; look(); }})"
        );
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.evaluate(&look) {
                Ok(Value::Bool(true)) => return Ok(()),
                Ok(_) => {}
                Err(_) => self.watch(PAUSE)?,
            }
            if Instant::now() > deadline {
                return Err(Failure::new(format!("a browser waited in vain for `{condition}`")));
            }
        }
    }

    /// Listens for so long to what is told without being asked for.
    ///
    /// # Errors
    /// When the browser ends.
    pub fn watch(&mut self, length: Duration) -> Result<()> {
        let deadline = Instant::now() + length;
        loop {
            match self.messages.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(event) => self.events.push(event),
                Err(RecvTimeoutError::Timeout) => return Ok(()),
                Err(RecvTimeoutError::Disconnected) => return Err(Failure::new("the browser ended")),
            }
        }
    }

    /// What was told since this was asked last, oldest first.
    pub fn take_events(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.events)
    }

    /// What was told and not taken yet, oldest first.
    pub fn events(&self) -> &[Value] {
        &self.events
    }

    /// Sends one command to the page, and waits for its answer.
    fn send(&mut self, method: &str, parameters: Value) -> Result<Value> {
        let session = self.page.as_ref().map(|page| page.session.clone());
        self.exchange(session.as_deref(), method, parameters)
    }

    fn exchange(&mut self, session: Option<&str>, method: &str, parameters: Value) -> Result<Value> {
        self.sent += 1;
        let mut command = json!({ "id": self.sent, "method": method, "params": parameters });
        if let (Some(session), Some(fields)) = (session, command.as_object_mut()) {
            fields.insert("sessionId".to_owned(), json!(session));
        }
        self.write(&command).during(format!("tell the browser `{method}`"))?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let message = self.messages.recv_timeout(left).during(format!("the browser's answer to `{method}`"))?;
            if message.get("id").and_then(Value::as_u64) != Some(self.sent) {
                self.events.push(message);
                continue;
            }
            return match message.get("error") {
                Some(error) => Err(Failure::new(format!("the browser refuses `{method}`: {error}"))),
                None => Ok(message.get("result").cloned().unwrap_or_default()),
            };
        }
    }

    fn write(&mut self, command: &Value) -> std::io::Result<()> {
        let mut bytes = command.to_string().into_bytes();
        bytes.push(0);
        self.input.write_all(&bytes)?;
        self.input.flush()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Asked first, so that it ends its own helpers; then ended by its own id, whatever it did.
        let _ = self.write(&json!({ "id": 0, "method": "Browser.close" }));
        let deadline = Instant::now() + CLOSING;
        while self.messages.recv_timeout(deadline.saturating_duration_since(Instant::now())).is_ok() {}
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What a task that was long took, in milliseconds, where an event tells of one.
pub fn long_task(event: &Value) -> Option<f64> {
    let is_ours = event.pointer("/params/name").and_then(Value::as_str) == Some(BINDING);
    let payload = event.pointer("/params/payload").and_then(Value::as_str)?;
    if is_ours { payload.parse().ok() } else { None }
}

#[expect(clippy::disallowed_methods, reason = "the browser is named by the environment, as for the tests")]
fn program() -> String {
    std::env::var("LOCKGATE_CHROMIUM").unwrap_or_else(|_| "chromium".to_owned())
}

fn text(answer: &Value, field: &str) -> Result<String> {
    let missing = || Failure::new(format!("the browser's answer has no `{field}`"));
    answer.get(field).and_then(Value::as_str).map(str::to_owned).ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_observer_tells_of_long_tasks() {
        let check = |event: Value, expected: Option<f64>| assert_eq!(long_task(&event), expected, "{event}");
        let told = |name: &str, payload: &str| json!({ "method": "Runtime.bindingCalled", "params": { "name": name, "payload": payload } });
        check(told(BINDING, "123"), Some(123.0));
        check(told(BINDING, "50.5"), Some(50.5));
        check(told(BINDING, "x"), None);
        check(told("another", "123"), None);
        check(json!({ "method": "Page.loadEventFired", "params": {} }), None);
        assert!(OBSERVER.contains(BINDING));
    }
}
