//! An instance of the whole program in a sealed world: a home and a working directory of its own, no inherited
//! environment, and a port that the system chooses.
//!
//! When it is dropped, its server stops and its ledger is audited with the program's own `audit`, whatever the test
//! was about.

use std::cell::Cell;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use lockgate_engine::session::{ChallengeDocument, NAMESPACE};
use lockgate_ledger::TrustFile;
use lockgate_ledger::governance::document_bytes;
use lockgate_model::PersonId;
use lockgate_sign::ssh_signer::{FileSigner, SshSigner as _};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long a condition may take to come true.
const PATIENCE: Duration = Duration::from_secs(20);
/// The reports that every working directory holds.
const SAMPLES: [&str; 5] = ["junit.xml", "sbom.cdx.json", "trivy.json", "trivy-critical.json", "provenance-v1.json"];

/// A home, a working directory and, once started, a server.
pub struct Instance {
    work: TempDir,
    home: PathBuf,
    running: Cell<bool>,
    tampered: Cell<bool>,
}

impl Instance {
    /// A home that does not exist yet.
    pub fn new() -> Self {
        let work = TempDir::new().unwrap();
        let home = work.path().join("home");
        Self::at(work, home)
    }

    /// The same with its home in a directory of the test's choice.
    pub fn with_home(home: &Path) -> Self {
        Self::at(TempDir::new().unwrap(), home.to_owned())
    }

    fn at(work: TempDir, home: PathBuf) -> Self {
        for name in SAMPLES {
            let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../evidence/testdata").join(name);
            fs::copy(from, work.path().join(name)).unwrap();
        }
        Self { work, home, running: Cell::new(false), tampered: Cell::new(false) }
    }

    /// A demo with dana, sam and the machine `ci`, up and running.
    pub fn demo() -> Self {
        let instance = Self::new();
        instance.start(&["--demo"]).exits(0);
        instance
    }

    /// A demo whose `P-3` of `shop/web@1.4.2` waits for approval.
    pub fn pending() -> Self {
        let instance = Self::demo();
        instance.push("1.4.2", "trivy.json").exits(0);
        instance.promote("1.4.2").exits(5);
        instance
    }

    /// The same with sam's approval.
    pub fn granted() -> Self {
        let instance = Self::pending();
        instance.run(&["approve", "P-3", "--as", "sam", "--yes"]).exits(0);
        instance
    }

    /// Where data, keys and context are.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// A file of the working directory.
    pub fn file(&self, name: &str) -> PathBuf {
        self.work.path().join(name)
    }

    /// Writes a file of the working directory.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.file(name), bytes).unwrap();
    }

    /// From now on the ledger is not what the server wrote: it is not audited at the end.
    pub fn tampered(&self) {
        self.tampered.set(true);
    }

    /// Whether it is not what the server wrote.
    pub fn is_tampered(&self) -> bool {
        self.tampered.get()
    }

    /// Whether its server is in the background.
    pub fn is_running(&self) -> bool {
        self.running.get()
    }

    /// The program, not yet started, in this world.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lockgate"));
        command
            .env_clear()
            .env("PATH", search_path())
            .env("HOME", self.work.path())
            .env("TMPDIR", self.work.path())
            .env("LOCKGATE_HOME", &self.home)
            .envs(variable("LOCKGATE_PLANT").map(|plant| ("LOCKGATE_PLANT", plant)))
            .current_dir(self.work.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs one command to its end.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        let output = self.command().args(arguments).output().unwrap();
        Ran::of(arguments, &output)
    }

    /// Runs one command with `--output json` and gives what it printed.
    #[track_caller]
    pub fn json(&self, arguments: &[&str], exit: i32) -> Value {
        let ran = self.run(&[&["--output", "json"][..], arguments].concat()).exits(exit);
        serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran}"))
    }

    /// `lockgate up` in the background, on a free port.
    pub fn start(&self, arguments: &[&str]) -> Ran {
        let ran = self.run(&[&["up", "--detach", "--listen", "127.0.0.1:0"][..], arguments].concat());
        if ran.code == 0 {
            self.running.set(true);
        }
        ran
    }

    /// The same on an address that it had before, so that whoever waits there finds it again.
    pub fn start_at(&self, address: &str) -> Ran {
        let ran = self.run(&["up", "--detach", "--listen", address]);
        if ran.code == 0 {
            self.running.set(true);
        }
        ran
    }

    /// `lockgate down`.
    #[track_caller]
    pub fn stop(&self) {
        self.run(&["down"]).exits(0);
        self.running.set(false);
    }

    /// Ends the server as a power cut would.
    pub fn kill(&self) {
        let pid = self.server()["pid"].as_u64().unwrap().to_string();
        assert!(Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
        self.running.set(false);
        until("the server is gone", || TcpStream::connect(self.address()).is_err());
    }

    /// Stops the server's process where it stands, as a network that swallows everything looks from outside; it goes on
    /// when what this gives is dropped.
    pub fn frozen(&self) -> Frozen {
        let pid = self.server()["pid"].as_u64().unwrap().to_string();
        assert!(Command::new("kill").args(["-STOP", &pid]).status().unwrap().success());
        Frozen(pid)
    }

    /// Publishes `shop/web` with an artifact of its own, as `ci`.
    pub fn push(&self, version: &str, scan: &str) -> Ran {
        let file = artifact_name(version);
        self.write(&file, artifact(version));
        self.run(&[
            "push",
            &file,
            "--service",
            "shop/web",
            "--version",
            version,
            "--tests",
            "junit.xml",
            "--sbom",
            "sbom.cdx.json",
            "--scan",
            scan,
        ])
    }

    /// Asks for production, as dana.
    pub fn promote(&self, version: &str) -> Ran {
        let release = format!("shop/web@{version}");
        self.run(&["promote", &release, "--to", "production", "--reason", "weekly release"])
    }

    /// Verifies the artifact of a version for production.
    pub fn verify(&self, version: &str, more: &[&str]) -> Ran {
        let file = artifact_name(version);
        self.run(&[&["verify", &file, "--service", "shop/web", "--env", "production"][..], more].concat())
    }

    /// How a promotion stands.
    #[track_caller]
    pub fn status_of(&self, promotion: &str) -> String {
        let ran = self.run(&["--output", "json", "why", promotion]);
        text(&ran.json()["status"])
    }

    /// Enrols one more approver with a key of their own, and gives the key's path.
    pub fn enrol_approver(&self, name: &str) -> PathBuf {
        let (key, request) = (format!("{name}.key"), format!("{name}.json"));
        self.run(&["key", "generate", &key]).exits(0);
        self.run(&["key", "enrol", name, "--group", "approvers", "--key", &key, "--file", &request]).exits(0);
        self.run(&["invite", &request, "--as", "sam", "--yes"]).exits(0);
        self.file(&key)
    }

    /// The starter policy set in a directory, changed: each text, once in its file, by another.
    pub fn policy(&self, dir: &str, changes: &[(&str, &str, &str)]) {
        self.run(&["init", dir]).exits(0);
        // The set's own tests describe the starter, not what is made of it.
        fs::remove_dir_all(self.file(dir).join("tests")).unwrap();
        for (file, from, to) in changes {
            let path = self.file(dir).join(file);
            let before = fs::read_to_string(&path).unwrap();
            assert_eq!(before.matches(from).count(), 1, "{from} in {file}");
            fs::write(&path, before.replace(from, to)).unwrap();
        }
    }

    fn server(&self) -> Value {
        serde_json::from_slice(&fs::read(self.home.join("server.json")).unwrap()).unwrap()
    }

    /// The server's URL.
    pub fn url(&self) -> String {
        text(&self.server()["url"])
    }

    /// The server's address, without the scheme.
    pub fn address(&self) -> String {
        self.url().replace("http://", "")
    }

    /// What the home trusts.
    pub fn trust(&self) -> TrustFile {
        TrustFile::from_bytes(&fs::read(self.home.join("trust.json")).unwrap()).unwrap()
    }

    /// How many entries the ledger has.
    pub fn entries(&self) -> u64 {
        self.get("/v1/server", None).json()["entries"].as_u64().unwrap()
    }

    /// How many uploads are half done.
    pub fn staged(&self) -> usize {
        fs::read_dir(self.home.join("data/tmp")).unwrap().count()
    }

    /// The key file of a demo person.
    pub fn key(&self, person: &str) -> PathBuf {
        self.home.join("people").join(person)
    }

    /// Signs a demo person in over HTTP; the token is new each time.
    pub fn token(&self, person: &str) -> String {
        self.token_by(person, &self.key(person))
    }

    /// Signs anyone in with a key file.
    pub fn token_by(&self, person: &str, key: &Path) -> String {
        let reply = self.post("/v1/sessions", None, &self.answer(person, key));
        assert_eq!(reply.status, 200, "{reply:?}");
        text(&reply.json()["token"])
    }

    /// Asks for a challenge and answers it: the body of a sign-in.
    pub fn answer(&self, person: &str, key: &Path) -> Value {
        let asked = self.post("/v1/challenges", None, &json!({ "person": person })).json();
        let id: PersonId = person.parse().unwrap();
        let (ledger, challenge) = (text(&asked["ledger"]), text(&asked["challenge"]));
        let document = document_bytes(&ChallengeDocument::new(&ledger, &id, &challenge)).unwrap();
        let signature = FileSigner::load(key).unwrap().sign(NAMESPACE, &document).unwrap().to_armored();
        json!({ "person": person, "challenge": challenge, "signature": signature })
    }

    /// `GET`.
    pub fn get(&self, path: &str, token: Option<&str>) -> Reply {
        self.http("GET", path, token, &[], b"")
    }

    /// `POST` of a JSON document.
    pub fn post(&self, path: &str, token: Option<&str>, body: &Value) -> Reply {
        self.http("POST", path, token, &[], body.to_string().as_bytes())
    }

    /// One request of any form on a connection of its own.
    pub fn http(&self, method: &str, path: &str, token: Option<&str>, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
        if let Some(token) = token {
            head.push_str(&format!("Authorization: Bearer {token}\r\n"));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        self.raw(&[head.as_bytes(), body].concat())
    }

    /// Sends bytes as they are and reads one reply.
    pub fn raw(&self, request: &[u8]) -> Reply {
        let mut stream = self.connect();
        // A server that refuses a body by its length answers and closes without reading it.
        let _ = stream.write_all(request);
        Reply::read(&mut stream)
    }

    /// A connection to the server.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream
    }
}

/// A server's process that does not run.
pub struct Frozen(String);

impl Drop for Frozen {
    fn drop(&mut self) {
        // The instance notices when it stops the server.
        let _ = Command::new("kill").args(["-CONT", &self.0]).status();
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if self.running.get() {
            let ran = self.run(&["down"]);
            if !std::thread::panicking() {
                ran.exits(0);
            }
        }
        if std::thread::panicking() || self.tampered.get() || !self.home.join("data/ledger.db").exists() {
            return;
        }
        self.run(&["audit"]).exits(0).says("is sound");
    }
}

/// How a command ended.
#[derive(Debug)]
pub struct Ran {
    command: String,
    /// Its exit code; -1 when a signal ended it.
    pub code: i32,
    /// Its results.
    pub stdout: String,
    /// Its talk.
    pub stderr: String,
}

impl Ran {
    /// What a finished process left.
    pub fn of(arguments: &[&str], output: &Output) -> Self {
        Self {
            command: arguments.join(" "),
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// It ended with this exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self}");
        self
    }

    /// It ended with this exit code and this reason.
    #[track_caller]
    pub fn refused(self, code: i32, reason: &str) -> Self {
        let ran = self.exits(code);
        assert!(ran.stderr.contains(&format!("error[{reason}]: ")), "wanted {reason}: {ran}");
        ran
    }

    /// It says this, as a result or beside it.
    #[track_caller]
    pub fn says(self, words: &str) -> Self {
        assert!(self.stdout.contains(words) || self.stderr.contains(words), "wanted `{words}`: {self}");
        self
    }

    /// What it is about to sign is shown in these fields, in this order, a line each and none between.
    #[track_caller]
    pub fn asks_about(self, fields: &[&str]) -> Self {
        let shown = self.stderr.lines().skip_while(|line| !line.starts_with("You are about to "));
        let shown: Vec<&str> = shown.skip(1).take_while(|line| !line.starts_with("error[")).collect();
        assert_eq!(shown.len(), fields.len(), "wanted {fields:?}: {self}");
        for (line, field) in shown.iter().zip(fields) {
            assert!(line.starts_with(&format!("  {field:<10} ")), "wanted `{field}`: {self}");
        }
        self
    }

    /// What it printed, as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self}"))
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { command, code, stdout, stderr } = self;
        write!(f, "`lockgate {command}` ended with {code}\n--- stdout\n{stdout}--- stderr\n{stderr}")
    }
}

/// An HTTP reply.
#[derive(Debug)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// Its status line and headers.
    pub head: String,
    /// Its body.
    pub body: Vec<u8>,
}

impl Reply {
    /// Reads one reply: as long as it says, else until the server closes.
    pub fn read(stream: &mut TcpStream) -> Self {
        let mut bytes = Vec::new();
        let mut piece = vec![0u8; 64 * 1024];
        while !is_whole(&bytes) {
            match stream.read(&mut piece) {
                Ok(0) | Err(_) => break,
                Ok(count) => bytes.extend_from_slice(&piece[..count]),
            }
        }
        let end = head_end(&bytes).unwrap_or_else(|| panic!("no reply: {}", String::from_utf8_lossy(&bytes)));
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
        Self { status, head, body: bytes[end..].to_vec() }
    }

    /// Its body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The reason code of a problem body.
    #[track_caller]
    pub fn code(&self) -> String {
        text(&self.json()["code"])
    }

    /// It is this problem.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) {
        let found = String::from_utf8_lossy(&self.body);
        assert_eq!((self.status, self.code().as_str()), (status, code), "{found}");
    }
}

fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

fn is_whole(bytes: &[u8]) -> bool {
    let Some(end) = head_end(bytes) else { return false };
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    if head.contains("content-type: text/event-stream") {
        // It never ends by itself; whoever wants events reads on.
        return true;
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse::<usize>().ok());
    length.is_some_and(|length| bytes.len() >= end + length)
}

/// A JSON string.
#[track_caller]
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}")).to_owned()
}

/// The file name of a version's artifact.
pub fn artifact_name(version: &str) -> String {
    format!("app-{version}.tar.gz")
}

/// The bytes of a version's artifact.
pub fn artifact(version: &str) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..100_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
    bytes.extend_from_slice(version.as_bytes());
    bytes
}

/// Waits until something is so.
#[track_caller]
pub fn until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// Copies a directory with all that is in it.
pub fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_dir(&entry.path(), &target),
            false => {
                fs::copy(entry.path(), target).unwrap();
            }
        }
    }
}

/// Whether a skipped check is a failure: in continuous integration it is.
#[expect(clippy::disallowed_methods, reason = "the one switch between a laptop and continuous integration")]
pub fn skipped(what: &str) {
    let strict = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(!strict, "not checked: {what}");
    eprintln!("not checked: {what}");
}

/// A variable of the test's own environment.
#[expect(clippy::disallowed_methods, reason = "the test runner says where outside tools are")]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[expect(clippy::disallowed_methods, reason = "a sealed world keeps the search path alone")]
fn search_path() -> OsString {
    std::env::var_os("PATH").unwrap_or_default()
}
