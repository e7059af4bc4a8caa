//! The cases of `tests/attacks` that need a server and the command line: their stages and steps, as
//! `tests/attacks/README.md` describes them. Signing and changing files stands in `attack_steps`.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_model::Digest;
use rusqlite::Connection;
use serde_json::Value;

use crate::attack_logs::{Heard, judge};
use crate::attack_steps as steps;
use crate::attacks::{Case, Tried};
use crate::instance::{Instance, Ran, Reply, artifact, copy_dir, text, until};
use crate::python_verifier::agrees_with;

/// The version that the stories are about.
const VERSION: &str = "1.4.2";

/// Every kind of step, with what else may stand in one.
const KINDS: [(&str, &[&str]); 34] = [
    ("run", &["exit", "code", "says", "never", "env", "shows"]),
    (
        "http",
        &[
            "as",
            "key",
            "session",
            "headers",
            "body",
            "body_bytes",
            "body_text",
            "body_file",
            "with",
            "answer",
            "save_body",
            "keep",
            "status",
            "code",
            "says",
            "never",
            "fields",
            "like",
            "times",
            "first",
        ],
    ),
    ("raw", &["status", "within_ms", "unanswered"]),
    ("step_up", &["session", "status", "code"]),
    ("nulls", &["session", "as", "body", "status", "code"]),
    ("promotion", &["status"]),
    ("mark", &[]),
    ("unchanged", &[]),
    ("session", &["as", "key"]),
    ("open", &["session"]),
    ("ends", &["within_ms"]),
    ("approval", &["by", "key", "verdict", "set", "namespace", "file"]),
    ("passkey", &[]),
    ("enrol", &["group"]),
    ("push", &["scan"]),
    ("promote", &["exit"]),
    ("policy", &["changes"]),
    ("base", &["to"]),
    ("write", &["text"]),
    ("append", &["text"]),
    ("edit", &["at", "flip", "remove", "swap", "set", "from", "replace"]),
    ("mix", &["into", "of", "part"]),
    ("link", &["to"]),
    ("gone", &[]),
    ("flip", &["byte"]),
    ("delete", &[]),
    ("chmod", &["mode"]),
    ("absent", &["in"]),
    ("sql", &[]),
    ("copy", &["to"]),
    ("wait_ms", &[]),
    ("stop", &[]),
    ("start", &["exit", "code"]),
    ("serve", &[]),
];

/// A server that is not in the background; it ends with its story.
struct Foreground(Child);

impl Drop for Foreground {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One story while it is told.
pub struct Story {
    foreground: Option<Foreground>,
    pub lockgate: Instance,
    sessions: BTreeMap<String, String>,
    streams: BTreeMap<String, TcpStream>,
    /// What replies said, by the names under which it was kept.
    kept: BTreeMap<String, String>,
    /// What was asked, for the logs to be held against.
    heard: Heard,
    /// Some request was answered with a page.
    page: bool,
    marked: Option<u64>,
}

/// Tells a story; it panics at the first step that goes otherwise.
pub fn tell(case: &Case) -> Tried {
    let mut tried = Tried::default();
    let stage = case.stage.as_deref().unwrap_or_else(|| panic!("{}: a story has a stage", case.label()));
    let mut story = Story::begin(stage);
    assert!(!case.steps.is_empty(), "{}: a story has steps", case.label());
    for (number, step) in case.steps.iter().enumerate() {
        let kind = kind_of(step).unwrap_or_else(|| panic!("{}: not a step: {step}", case.label()));
        story.step(kind, &format!("{}, step {number} {step}", case.label()), step);
        let door = match kind {
            "run" => "cli",
            "http" | "open" | "raw" | "step_up" | "nulls" => "http",
            _ => continue,
        };
        tried.doors.insert(door);
        let many = steps::many(kind, step).map(|requests| requests.len());
        let many = many.or_else(|| step["raw"].as_array().map(Vec::len));
        tried.inputs += many.unwrap_or_else(|| usize::try_from(step["times"].as_u64().unwrap_or(1)).unwrap());
    }
    story.end(&case.label());
    if story.page {
        tried.doors.insert("page");
    }
    tried
}

/// Whether a request got a page for people: what is refused, or meant for a program, is none.
fn is_page(request: &str, reply: &Reply) -> bool {
    let is_html = |line: &str| line.to_lowercase().starts_with("content-type: text/html");
    request.starts_with("GET ") && reply.status == 200 && reply.head.lines().any(is_html)
}

/// The one kind that a step is of.
fn kind_of(step: &Value) -> Option<&'static str> {
    let fields: Vec<&str> = step.as_object()?.keys().map(String::as_str).collect();
    let mut found = Vec::new();
    for (kind, others) in KINDS {
        if fields.contains(&kind) && fields.iter().all(|field| *field == kind || others.contains(field)) {
            found.push(kind);
        }
    }
    let [only] = found.as_slice() else { return None };
    Some(*only)
}

/// One text, or several.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(items) => items.iter().map(text).collect(),
        one => vec![text(one)],
    }
}

impl Story {
    fn begin(stage: &str) -> Self {
        let lockgate = match stage {
            "none" => Instance::new(),
            "pending" => Instance::pending(),
            "granted" => Instance::granted(),
            other => panic!("`{other}` is not a stage"),
        };
        lockgate.write("app.tar.gz", artifact(VERSION));
        if stage == "granted" {
            lockgate.run(&["bundle", "get", "P-3", "--file", "bundle.json"]).exits(0);
        }
        let (sessions, streams, kept) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let heard = Heard::default();
        Self { foreground: None, lockgate, sessions, streams, kept, heard, page: false, marked: None }
    }

    /// The end of a story: its server stops, and both logs are read.
    fn end(&mut self, label: &str) {
        self.foreground = None;
        if self.lockgate.is_running() {
            self.lockgate.stop();
        }
        for token in self.sessions.values() {
            self.heard.secret(token);
        }
        judge(&self.lockgate, &self.heard, label);
    }

    fn step(&mut self, kind: &str, label: &str, step: &Value) {
        match kind {
            "run" => self.run(label, step),
            "http" => self.http(label, step),
            "raw" => steps::raw(self, label, step),
            "step_up" | "nulls" => self.each(label, &steps::many(kind, step).unwrap(), step),
            "promotion" => {
                let found = self.lockgate.status_of(&text(&step["promotion"]));
                assert_eq!(found, text(&step["status"]), "{label}");
            }
            "mark" => self.marked = Some(self.lockgate.entries()),
            "unchanged" => assert_eq!(Some(self.lockgate.entries()), self.marked, "{label}: something was written"),
            "session" => {
                let token = self.token(step).unwrap();
                self.sessions.insert(text(&step["session"]), token);
            }
            "open" => self.open(step),
            "ends" => self.ends(label, step),
            "approval" | "passkey" | "enrol" | "policy" => steps::prepare(self, kind, step),
            "base" => steps::base(self, step),
            "push" => {
                let scan = step["scan"].as_str().unwrap_or("trivy.json");
                self.lockgate.push(&text(&step["push"]), scan).exits(0);
            }
            "promote" => {
                self.lockgate.promote(&text(&step["promote"])).exits(exit(step, 5));
            }
            "write" | "append" | "edit" | "chmod" | "link" => steps::change(self, kind, step),
            "mix" => steps::mix(self, step),
            "absent" => steps::absent(self, label, step),
            "gone" => steps::gone(self, label, step),
            "flip" => {
                let path = self.place(&text(&step["flip"]));
                let at = usize::try_from(step["byte"].as_u64().unwrap()).unwrap();
                let mut bytes = fs::read(&path).unwrap();
                bytes[at] ^= 1;
                // Stored bytes are not writable, and are not named by what is in them from now on.
                fs::remove_file(&path).unwrap();
                fs::write(&path, bytes).unwrap();
            }
            "delete" => fs::remove_file(self.place(&text(&step["delete"]))).unwrap(),
            "sql" => {
                let connection = Connection::open(self.lockgate.home().join("data/ledger.db")).unwrap();
                connection.execute_batch(&text(&step["sql"])).unwrap();
                assert!(connection.total_changes() > 0, "{label}: nothing was changed");
                self.lockgate.tampered();
            }
            "copy" => self.copy(step),
            "wait_ms" => steps::wait(step["wait_ms"].as_u64().unwrap()),
            "stop" => self.lockgate.stop(),
            "start" => self.start(label, step),
            "serve" => self.serve(step),
            other => panic!("{label}: `{other}` is not a step"),
        }
    }

    fn run(&self, label: &str, step: &Value) {
        let command = self.fill(&text(&step["run"]));
        let arguments: Vec<&str> = command.split_whitespace().skip(1).collect();
        let variables = step["env"].as_object().into_iter().flatten();
        let variables = variables.map(|(name, value)| (name.clone(), self.fill(&text(value))));
        let output = self.lockgate.command().args(&arguments).envs(variables).output().unwrap();
        let ran = Ran::of(&arguments, &output);
        assert!(step["exit"].is_i64(), "{label}: how it ends is not said");
        check_ended(label, step, &ran);
        if step["env"].is_null() {
            agrees_with(&self.lockgate, &arguments, &ran);
        }
        let said = format!("{}{}", ran.stdout, ran.stderr);
        self.check_said(label, step, &said);
        if step["shows"].is_object() {
            self.check_shown(label, &step["shows"], &said);
        }
    }

    /// Every line of a text that was kept stands in what was said, one behind the other and with nothing between; of
    /// lines that tell the moment, only how they begin.
    fn check_shown(&self, label: &str, shows: &Value, said: &str) {
        let (name, but) = (text(&shows["kept"]), texts(&shows["but"]));
        let lines = |whole: &str| -> Vec<String> {
            let masked = |line: &str| {
                let start = but.iter().find(|start| line.trim_start().starts_with(start.as_str()));
                start.map_or_else(|| line.to_owned(), Clone::clone)
            };
            whole.lines().map(masked).collect()
        };
        let (wanted, found) = (lines(self.kept(&name)), lines(said));
        assert!(!wanted.is_empty(), "{label}: `{name}` is empty");
        let shown = found.windows(wanted.len()).any(|some| some == wanted);
        assert!(shown, "{label}: wanted these lines:\n{}\nof what was said:\n{said}", self.kept(&name));
    }

    /// What was kept under a name.
    fn kept(&self, name: &str) -> &str {
        self.kept.get(name).unwrap_or_else(|| panic!("nothing was kept as {name}"))
    }

    fn check_said(&self, label: &str, step: &Value, said: &str) {
        for words in texts(&step["says"]) {
            assert!(said.contains(&self.fill(&words)), "{label}: wanted `{words}`: {said}");
        }
        for words in texts(&step["never"]) {
            assert!(!said.contains(&self.fill(&words)), "{label}: must not say `{words}`: {said}");
        }
    }

    /// The token of a step: of a session that was kept, of somebody who signs in now, or none.
    fn token(&self, step: &Value) -> Option<String> {
        if let Some(person) = step["as"].as_str() {
            return Some(match step["key"].as_str() {
                Some(key) => self.lockgate.token_by(person, &self.lockgate.file(key)),
                None => self.lockgate.token(person),
            });
        }
        let kept = |name: &str| self.sessions.get(name).unwrap_or_else(|| panic!("no session {name}")).clone();
        step["session"].as_str().map(kept)
    }

    fn body(&self, step: &Value) -> Vec<u8> {
        let with = |mut document: Value| {
            for (name, value) in step["with"].as_object().into_iter().flatten() {
                document[name.as_str()] = self.filled(value);
            }
            document.to_string().into_bytes()
        };
        if let Some(count) = step["body_bytes"].as_u64() {
            vec![b' '; usize::try_from(count).unwrap()]
        } else if let Some(given) = step["body_text"].as_str() {
            self.fill(given).into_bytes()
        } else if let Some(name) = step["body_file"].as_str() {
            with(serde_json::from_slice(&fs::read(self.lockgate.file(name)).unwrap()).unwrap())
        } else if step["answer"].is_object() {
            let (person, key) = (text(&step["answer"]["person"]), text(&step["answer"]["key"]));
            self.lockgate.answer(&person, &self.lockgate.file(&key)).to_string().into_bytes()
        } else if step["body"].is_null() {
            Vec::new()
        } else {
            self.filled(&step["body"]).to_string().into_bytes()
        }
    }

    fn http(&mut self, label: &str, step: &Value) {
        let request = self.fill(&text(&step["http"]));
        let headers = step["headers"].as_array().into_iter().flatten();
        let headers: Vec<(String, String)> = headers.map(|pair| (text(&pair[0]), self.fill(&text(&pair[1])))).collect();
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let token = self.token(step);
        let mut last: Option<(Reply, Vec<u8>)> = None;
        for time in 0..step["times"].as_u64().unwrap_or(1) {
            let body = self.body(step);
            let reply = self.send(&request, token.as_deref(), &headers, &body);
            if let Some(code) = step["first"].as_str().filter(|_| time == 0) {
                assert_eq!(reply.code(), code, "{label}, the first time");
            }
            last = Some((reply, body));
        }
        let (reply, body) = last.unwrap();
        self.page |= is_page(&request, &reply);
        if let Some(name) = step["save_body"].as_str() {
            self.lockgate.write(name, &body);
        }
        let told = String::from_utf8_lossy(&reply.body).into_owned();
        assert_eq!(u64::from(reply.status), step["status"].as_u64().unwrap(), "{label}: {told}");
        if let Some(code) = step["code"].as_str() {
            assert_eq!(reply.code(), code, "{label}");
        }
        for (name, field) in step["keep"].as_object().into_iter().flatten() {
            self.kept.insert(name.clone(), text(&reply.json()[text(field).as_str()]));
        }
        self.check_said(label, step, &format!("{}\n{told}", reply.head));
        if !step["fields"].is_null() {
            check_fields(label, &reply.json(), &texts(&step["fields"]));
        }
        if step["like"].is_object() {
            let request = self.fill(&text(&step["like"]["http"]));
            let other = self.send(&request, token.as_deref(), &headers, &body);
            let mut same = told;
            for pair in step["like"]["but"].as_array().into_iter().flatten() {
                same = same.replace(&self.fill(&text(&pair[0])), &self.fill(&text(&pair[1])));
            }
            let other = (other.status, String::from_utf8_lossy(&other.body).into_owned());
            assert_eq!((reply.status, same), other, "{label}: it can be told apart");
        }
    }

    fn send(&mut self, request: &str, token: Option<&str>, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let (method, path) = request.split_once(' ').unwrap();
        let reply = self.lockgate.http(method, path, token, headers, body);
        self.heard.note(request, token, headers, body, &reply);
        reply
    }

    /// Many requests, each with the same answer.
    fn each(&mut self, label: &str, requests: &[(String, Value)], step: &Value) {
        let token = self.token(step);
        for (request, body) in requests {
            let reply = self.send(request, token.as_deref(), &[], body.to_string().as_bytes());
            let told = String::from_utf8_lossy(&reply.body);
            assert_eq!(u64::from(reply.status), step["status"].as_u64().unwrap(), "{label}: {request} {body}: {told}");
            if let Some(code) = step["code"].as_str() {
                assert_eq!(reply.code(), code, "{label}: {request} {body}");
            }
        }
    }

    /// An event stream of a session that was kept.
    fn open(&mut self, step: &Value) {
        let mut stream = self.lockgate.connect();
        let token = self.sessions.get(&text(&step["session"])).unwrap();
        let head = format!("Host: localhost\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n");
        stream.write_all(format!("GET /v1/events HTTP/1.1\r\n{head}").as_bytes()).unwrap();
        // The head has come: the stream is open.
        let mut first = [0; 12];
        stream.read_exact(&mut first).unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
        self.streams.insert(text(&step["open"]), stream);
    }

    fn ends(&mut self, label: &str, step: &Value) {
        let mut stream = self.streams.remove(&text(&step["ends"])).unwrap();
        let most = Duration::from_millis(step["within_ms"].as_u64().unwrap());
        stream.set_read_timeout(Some(most)).unwrap();
        let since = Instant::now();
        let ended = stream.read_to_end(&mut Vec::new());
        assert!(ended.is_ok() && since.elapsed() < most, "{label}: the stream stays open: {ended:?}");
    }

    fn copy(&self, step: &Value) {
        let home = self.lockgate.home();
        let to = home.join(text(&step["to"]));
        if to.exists() {
            fs::remove_dir_all(&to).unwrap();
        }
        copy_dir(&home.join(text(&step["copy"])), &to);
        self.lockgate.tampered();
    }

    fn start(&self, label: &str, step: &Value) {
        let arguments = if step["start"].is_array() { texts(&step["start"]) } else { Vec::new() };
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        check_ended(label, step, &self.lockgate.start(&arguments));
    }

    /// A server that nobody has set up yet.
    fn serve(&mut self, step: &Value) {
        let home = self.lockgate.home();
        fs::create_dir_all(home).unwrap();
        let log = fs::File::create(home.join("server.log")).unwrap();
        let mut command = self.lockgate.command();
        command.args(["serve", "--listen", "127.0.0.1:0"]).args(texts(&step["serve"]));
        let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        self.foreground = Some(Foreground(child));
        // It is killed at the end, and nobody has pinned anything to audit it with.
        self.lockgate.tampered();
        let running = home.join("server.json");
        until("the server answers", || running.exists() && TcpStream::connect(self.lockgate.address()).is_ok());
    }

    /// A file of the working directory, or a stored artifact as `blob:NAME`.
    fn place(&self, name: &str) -> PathBuf {
        let Some(artifact) = name.strip_prefix("blob:") else { return self.lockgate.file(name) };
        self.lockgate.tampered();
        let hex = Digest::of(&fs::read(self.lockgate.file(artifact)).unwrap()).hex();
        self.lockgate.home().join("data/blobs/sha256").join(&hex[..2]).join(&hex[2..4]).join(&hex)
    }

    /// `$FP(FILE)` and `$PUB(FILE)` stand for a key's fingerprint and its public line, `$DIGEST(FILE)` for the digest of
    /// a file and `$BASE64(FILE)` for its bytes, `$TOKEN(NAME)` for the token of a session that was kept, `$KEPT(NAME)` for
    /// a field of a reply that was kept, `$URL` for the server.
    pub fn fill(&self, given: &str) -> String {
        let mut filled = given.to_owned();
        for kind in ["FP", "PUB", "DIGEST", "BASE64", "TOKEN", "KEPT"] {
            let start = format!("${kind}(");
            while let Some(at) = filled.find(&start) {
                let end = at + filled[at..].find(')').unwrap();
                let name = filled[at + start.len()..end].to_owned();
                let value = match kind {
                    "TOKEN" => self.sessions.get(&name).unwrap_or_else(|| panic!("no session {name}")).clone(),
                    "KEPT" => self.kept(&name).to_owned(),
                    "DIGEST" => Digest::of(&fs::read(self.lockgate.file(&name)).unwrap()).to_string(),
                    "BASE64" => STANDARD.encode(fs::read(self.lockgate.file(&name)).unwrap()),
                    _ => steps::public_key(&self.lockgate.file(&name), kind),
                };
                filled.replace_range(at..=end, &value);
            }
        }
        if filled.contains("$URL") {
            filled = filled.replace("$URL", &self.lockgate.url());
        }
        filled
    }

    /// The same in every text of a JSON value.
    pub fn filled(&self, value: &Value) -> Value {
        match value {
            Value::String(given) => Value::String(self.fill(given)),
            Value::Array(items) => items.iter().map(|item| self.filled(item)).collect(),
            Value::Object(fields) => {
                Value::Object(fields.iter().map(|(name, value)| (name.clone(), self.filled(value))).collect())
            }
            other => other.clone(),
        }
    }
}

/// The exit code that a step expects.
fn exit(step: &Value, usual: i32) -> i32 {
    step["exit"].as_i64().map_or(usual, |code| i32::try_from(code).unwrap())
}

/// It ended with the exit code of the step and, where the step has one, with this reason.
fn check_ended(label: &str, step: &Value, ran: &Ran) {
    assert_eq!(ran.code, exit(step, 0), "{label}: {ran}");
    if let Some(code) = step["code"].as_str() {
        // An audit names each problem; every other command ends with one reason.
        let named = ran.stderr.contains(&format!("error[{code}]")) || ran.stdout.contains(&format!("x {code} "));
        assert!(named, "{label}: wanted {code}: {ran}");
    }
}

/// No object has a field that is not listed.
fn check_fields(label: &str, found: &Value, listed: &[String]) {
    let items = found.as_array().map_or_else(|| vec![found], |items| items.iter().collect());
    assert!(!items.is_empty(), "{label}: nothing was told");
    for item in items {
        let more: Vec<&String> = item.as_object().unwrap().keys().filter(|name| !listed.contains(name)).collect();
        assert!(more.is_empty(), "{label}: {more:?} is told too");
    }
}
