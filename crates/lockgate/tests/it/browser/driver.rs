//! A real browser, driven: Debian's Chromium without a window, over the DevTools protocol on a pair of pipes.
//!
//! Nothing here sleeps: every wait is for a message of the browser, and has an end.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::instance::{skipped, text, variable};

/// How long the browser may take for one answer, and a page for what it is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the browser may take to end when it is asked to.
const CLOSING: Duration = Duration::from_secs(5);

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

/// A browser with one page, which has an authenticator of its own.
pub struct Browser {
    process: Child,
    input: ChildStdin,
    messages: Receiver<Value>,
    sent: u64,
    page: String,
    /// Everything that was told without being asked for.
    events: Vec<Value>,
    _profile: TempDir,
}

/// A tab that is not driven at the moment.
pub struct Tab(String);

impl Browser {
    /// Starts one; `None`, with a word about it, where Chromium is not installed.
    pub fn start() -> Option<Self> {
        let program = variable("LOCKGATE_CHROMIUM").unwrap_or_else(|| "chromium".to_owned());
        let found = Command::new("sh").args(["-c", "command -v \"$0\"", &program]).stdout(Stdio::null()).status();
        if !found.is_ok_and(|status| status.success()) {
            skipped("passkeys in a browser: Chromium is not installed");
            return None;
        }
        let profile = TempDir::new().unwrap();
        let mut process = Command::new("sh")
            .args(["-c", ON_PIPES, &program])
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .env("HOME", profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let input = process.stdin.take().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let (sender, messages) = channel();
        std::thread::spawn(move || {
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
        let page = String::new();
        let mut browser = Self { process, input, messages, sent: 0, page, events: Vec::new(), _profile: profile };
        browser.attach();
        Some(browser)
    }

    fn attach(&mut self) {
        let target = self.send("Target.createTarget", json!({ "url": "about:blank" }));
        let attached = self.send("Target.attachToTarget", json!({ "targetId": target["targetId"], "flatten": true }));
        self.page = text(&attached["sessionId"]);
        for domain in ["Page", "Runtime", "Log", "Network", "WebAuthn"] {
            self.send(&format!("{domain}.enable"), json!({}));
        }
        let options = json!({
            "protocol": "ctap2", "transport": "internal", "hasResidentKey": true, "hasUserVerification": true,
            "isUserVerified": true, "automaticPresenceSimulation": true,
        });
        self.send("WebAuthn.addVirtualAuthenticator", json!({ "options": options }));
        // A narrow screen, as telephones have.
        let screen = json!({ "width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": false });
        self.send("Emulation.setDeviceMetricsOverride", screen);
    }

    /// Opens a further tab, which is driven from then on; gives the one that was, for [`Browser::switch_to`].
    pub fn another_tab(&mut self) -> Tab {
        let before = Tab(std::mem::take(&mut self.page));
        self.attach();
        before
    }

    /// Drives this tab from now on; gives the one that was.
    pub fn switch_to(&mut self, tab: Tab) -> Tab {
        Tab(std::mem::replace(&mut self.page, tab.0))
    }

    /// Sends one command, to the page once there is one, and waits for its answer.
    #[track_caller]
    pub fn send(&mut self, method: &str, parameters: Value) -> Value {
        self.ask(method, parameters).unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// The same, with the browser's own error.
    #[track_caller]
    fn ask(&mut self, method: &str, parameters: Value) -> Result<Value, Value> {
        self.sent += 1;
        let mut command = json!({ "id": self.sent, "method": method, "params": parameters });
        if !self.page.is_empty() {
            command["sessionId"] = json!(self.page);
        }
        self.write(&command).unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let mut message = self.messages.recv_timeout(left).unwrap_or_else(|error| panic!("{method}: {error}"));
            if message["id"] != json!(self.sent) {
                self.events.push(message);
                continue;
            }
            return match message.get("error") {
                Some(error) => Err(error.clone()),
                None => Ok(message["result"].take()),
            };
        }
    }

    fn write(&mut self, command: &Value) -> std::io::Result<()> {
        let mut bytes = command.to_string().into_bytes();
        bytes.push(0);
        self.input.write_all(&bytes)?;
        self.input.flush()
    }

    /// Runs an expression in the page, as if a person had clicked for it, and gives its value; a promise is waited for.
    #[track_caller]
    pub fn evaluate(&mut self, expression: &str) -> Value {
        self.try_evaluate(expression).unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    #[track_caller]
    fn try_evaluate(&mut self, expression: &str) -> Result<Value, Value> {
        let parameters = json!({
            "expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true,
        });
        let mut answer = self.ask("Runtime.evaluate", parameters)?;
        match answer.get("exceptionDetails") {
            Some(exception) => Err(exception.clone()),
            None => Ok(answer["result"]["value"].take()),
        }
    }

    /// Waits until a condition holds in the page, whichever page that is by then.
    #[track_caller]
    pub fn until(&mut self, condition: &str) {
        // The page looks again and again for a second; a page that goes away meanwhile takes the question with it.
        let look = format!(
            "new Promise((answer) => {{ const end = Date.now() + 1000; const look = () => {{ \
             let so = false; try {{ so = Boolean({condition}); }} catch {{ so = false; }} \
             if (so || Date.now() > end) {{ answer(so); }} else {{ setTimeout(look, 10); }} }}; look(); }})"
        );
        let deadline = Instant::now() + PATIENCE;
        while self.try_evaluate(&look) != Ok(Value::Bool(true)) {
            if Instant::now() > deadline {
                let shown = self.evaluate("location.href + '\\n' + document.body.innerText");
                panic!("waited in vain for `{condition}` on {}", text(&shown));
            }
        }
    }

    /// Opens an address and waits until it has loaded with its scripts.
    #[track_caller]
    pub fn open(&mut self, url: &str) {
        self.evaluate("window.left = true");
        let answer = self.send("Page.navigate", json!({ "url": url }));
        assert_eq!(answer.get("errorText"), None, "{url}");
        self.until("window.left === undefined && document.readyState === 'complete'");
    }

    /// Waits until a part of the page can be seen.
    #[track_caller]
    pub fn shown(&mut self, id: &str) {
        self.until(&format!("document.getElementById('{id}').checkVisibility()"));
    }

    /// Whether a part of the page can be seen now.
    #[track_caller]
    pub fn is_shown(&mut self, id: &str) -> bool {
        self.evaluate(&format!("document.getElementById('{id}').checkVisibility()")) == json!(true)
    }

    /// The text of a part of the page.
    #[track_caller]
    pub fn text(&mut self, id: &str) -> String {
        text(&self.evaluate(&format!("document.getElementById('{id}').textContent")))
    }

    /// Clicks a button once it can be seen and clicked.
    #[track_caller]
    pub fn click(&mut self, id: &str) {
        self.shown(id);
        self.until(&format!("!document.getElementById('{id}').disabled"));
        self.evaluate(&format!("document.getElementById('{id}').click()"));
    }

    /// Presses a key and lets it go: a character, `Enter` or `Escape`.
    #[track_caller]
    pub fn press(&mut self, key: &str) {
        let (code, typed) = match key {
            "Enter" => (13, "\r"),
            "Escape" => (27, ""),
            character => (0, character),
        };
        let mut down = json!({ "type": "keyDown", "key": key, "windowsVirtualKeyCode": code });
        if typed.is_empty() {
            down["type"] = json!("rawKeyDown");
        } else {
            down["text"] = json!(typed);
        }
        self.send("Input.dispatchKeyEvent", down);
        self.send("Input.dispatchKeyEvent", json!({ "type": "keyUp", "key": key, "windowsVirtualKeyCode": code }));
    }

    /// Types into a field and leaves it.
    #[track_caller]
    pub fn write_into(&mut self, id: &str, content: &str) {
        self.evaluate(&format!(
            "(() => {{ const field = document.getElementById('{id}'); field.value = {}; \
             field.dispatchEvent(new Event('input')); field.dispatchEvent(new Event('change')); }})()",
            json!(content)
        ));
    }

    /// Runs a script in every page from now on, before the page's own; gives what [`Browser::stop_meddling`] takes.
    pub fn meddle(&mut self, script: &str) -> String {
        let answer = self.send("Page.addScriptToEvaluateOnNewDocument", json!({ "source": script }));
        text(&answer["identifier"])
    }

    /// Ends what [`Browser::meddle`] began.
    pub fn stop_meddling(&mut self, identifier: &str) {
        self.send("Page.removeScriptToEvaluateOnNewDocument", json!({ "identifier": identifier }));
    }

    /// The body of the newest request to an address that ends like this.
    #[track_caller]
    pub fn posted(&mut self, end: &str) -> Value {
        let sent = |event: &&Value| {
            event["method"] == "Network.requestWillBeSent"
                && event["params"]["request"]["method"] == "POST"
                && event["params"]["request"]["url"].as_str().is_some_and(|url| url.ends_with(end))
        };
        let id = self.events.iter().rev().find(sent).unwrap_or_else(|| panic!("nothing was sent to {end}"));
        let id = id["params"]["requestId"].clone();
        let answer = self.send("Network.getRequestPostData", json!({ "requestId": id }));
        serde_json::from_str(&text(&answer["postData"])).unwrap()
    }

    /// The value of a cookie, which scripts cannot read.
    #[track_caller]
    pub fn cookie(&mut self, name: &str) -> String {
        let answer = self.send("Network.getCookies", json!({}));
        let cookies = answer["cookies"].as_array().unwrap();
        let cookie =
            cookies.iter().find(|cookie| cookie["name"] == name).unwrap_or_else(|| panic!("no {name}: {answer}"));
        assert_eq!((&cookie["httpOnly"], &cookie["sameSite"]), (&json!(true), &json!("Strict")), "{cookie}");
        text(&cookie["value"])
    }

    /// The page fits the narrow screen, and every field has a label.
    #[track_caller]
    pub fn is_usable(&mut self) {
        // Where it does not fit, what holds more than its own width.
        let fits = "document.documentElement.scrollWidth <= document.documentElement.clientWidth || \
            location.pathname + [...document.body.querySelectorAll('*')]\
            .filter((one) => one.scrollWidth > one.clientWidth && one.clientWidth > 0)\
            .map((one) => `: ${one.tagName} ${one.className} ${one.textContent.trim().slice(0, 80)}`).join('')";
        let labelled = "[...document.querySelectorAll('input:not([type=hidden]), select, textarea')].every((field) => field.labels.length > 0)";
        for condition in [fits, labelled] {
            assert_eq!(self.evaluate(condition), json!(true), "{condition}");
        }
    }

    /// No page threw, complained, or was stopped by its own policy, and none asked anyone but these hosts.
    ///
    /// An answer that refuses something is no complaint of the page, although the browser lists it as one.
    #[track_caller]
    pub fn was_clean(&mut self, hosts: &[&str]) {
        // Whatever the browser still has to say comes before this answer.
        self.evaluate("1");
        let mut asked = 0;
        for event in &self.events {
            let parameters = &event["params"];
            match event["method"].as_str().unwrap_or_default() {
                "Runtime.exceptionThrown" => panic!("a page threw: {parameters}"),
                "Runtime.consoleAPICalled" if parameters["type"] == "error" => panic!("a page said: {parameters}"),
                "Log.entryAdded" => {
                    let entry = &parameters["entry"];
                    assert!(entry["level"] != "error" || entry["source"] == "network", "a page was told: {entry}");
                }
                "Network.requestWillBeSent" => {
                    let url = text(&parameters["request"]["url"]);
                    let host = url.split('/').nth(2).unwrap_or_default();
                    // The browser's own icons of its own controls are no request to anybody.
                    if url.starts_with("data:image/svg+xml") {
                        continue;
                    }
                    assert!(url == "about:blank" || hosts.contains(&host), "a page asked {url}");
                    asked += 1;
                }
                _ => {}
            }
        }
        assert!(asked > 0, "nothing was watched");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Asked first, so that it ends its own helpers; then ended by its own id, whatever it did.
        self.page.clear();
        let _ = self.write(&json!({ "id": 0, "method": "Browser.close" }));
        let deadline = Instant::now() + CLOSING;
        while self.messages.recv_timeout(deadline.saturating_duration_since(Instant::now())).is_ok() {}
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
