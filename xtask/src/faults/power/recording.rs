//! A recording: a server at work under strace, what it did to its home, and what it acknowledged when.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lockgate_api::Client;
use lockgate_model::{Digest, ReleaseName};
use serde_json::Value;

use super::super::database::leaves;
use super::super::ground::{Ground, POLICY, push};
use super::super::strace::{Program, Strace};
use super::history::History;
use super::trace;
use crate::deadline::wait_until;
use crate::failure::{During as _, Failure, Result};
use crate::identity::client_as;
use crate::random::Random;
use crate::requests::{Request, junit, upload};
use crate::server::End;

/// How many reports are handed in: so many that the write-ahead log is copied into the database, and begins anew.
const REPORTS: usize = 80;
/// The same with `--quick`.
const QUICK_REPORTS: usize = 3;
/// The sizes of the blobs that are uploaded by themselves: less than a sector, a few, and several writes.
const BLOBS: [usize; 3] = [100, 5000, 600_000];
/// How long a start or a stop under strace may take.
const LIMIT: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_millis(5);

/// What was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// An entry at an index, by its leaf hash.
    Entry(u64, Digest),
    /// A blob.
    Blob(Digest),
}

/// An acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// The line of the trace on which the server began to say so.
    pub line: usize,
    /// What.
    pub what: What,
}

/// What a server did, from its start to its stop.
#[derive(Debug)]
pub struct Recording {
    /// What became of its files.
    pub history: History,
    /// What it acknowledged.
    pub acks: Vec<Ack>,
    /// The leaf hashes of the ledger before it started.
    pub before: Vec<Digest>,
}

impl Recording {
    /// Starts a server on a copy of the instance, asks it for one of each operation, and stops it.
    ///
    /// # Errors
    /// When it refuses any of them, or its trace cannot be followed.
    pub fn make(ground: &Ground) -> Result<Self> {
        let before = leaves(&ground.ready.join("data"))?;
        // Compared with the paths that the kernel gives.
        let home = fs::canonicalize(ground.copy(&ground.ready, "recorded")?).during("name the copy")?;
        // What a client keeps lies on another machine.
        let client = ground.copy(&ground.ready, "recorded-client")?;
        let output = ground.scratch.join("recorded.strace");
        let mut watched = Watched::begin(ground, &home, &output)?;
        let told = operate(ground, &watched.url, &client)?;
        watched.stop()?;
        let opened = File::open(&output).during("open the trace")?;
        let calls = trace::read(BufReader::new(opened))?;
        let history = History::read(&calls, &home, &ground.ready)?;
        let mut acks = Vec::new();
        for what in told {
            let named = match &what {
                What::Entry(_, leaf) => leaf.to_string(),
                What::Blob(digest) => digest.to_string(),
            };
            let Some(line) = history.told(named.as_bytes()) else {
                return Err(Failure::new(format!("no answer with {named} was recorded")));
            };
            acks.push(Ack { line, what });
        }
        for home in [&home, &client] {
            ground.forget(home)?;
        }
        Ok(Self { history, acks, before })
    }
}

/// Asks for one of each operation, and for many reports; returns what was acknowledged.
fn operate(ground: &Ground, url: &str, home: &Path) -> Result<Vec<What>> {
    let mut told = Vec::new();
    let reports = if ground.quick { QUICK_REPORTS } else { REPORTS };
    let ci = client_as(url, home, "ci")?;
    let mut random = Random::new(ground.seed);
    for size in BLOBS {
        told.push(What::Blob(upload(&ci, &random.bytes(size)).map_err(said)?.digest));
    }
    let asked: [&[&str]; 4] = [
        &push("1.5.0", "app-1.5.0.bin"),
        &["promote", "shop/web@1.4.3", "--to", "dev", "--reason", "before the power cut"],
        &["approve", "P-3", "--as", "sam", "--yes"],
        &["policy", "activate", POLICY, "--reason", "before the power cut", "--as", "sam", "--yes"],
    ];
    for arguments in asked {
        let ran = ground.must(home, Some(url), arguments, 0)?;
        let Some((index, leaf)) = ran.logged() else {
            return Err(Failure::new(format!("`{}` gave no receipt: {}", arguments.join(" "), ran.stdout)));
        };
        told.push(What::Entry(index, leaf));
    }
    let release: ReleaseName = "shop/web@1.4.2".parse()?;
    for number in 0..reports {
        let report = junit(&format!("before the power cut {number}"));
        let reply = Request::attest(&release, &report).send(&ci, &format!("power-{number}")).map_err(said)?;
        let Some(logged) = reply.logged else {
            return Err(Failure::new(format!("report {number} was acknowledged without an entry")));
        };
        told.push(What::Entry(logged.index, logged.leaf));
    }
    Ok(told)
}

fn said(error: lockgate_api::ClientError) -> Failure {
    Failure::new(error.to_string())
}

/// A server that strace started. Dropping it kills it.
struct Watched {
    strace: Strace,
    pid: u32,
    url: String,
    log: PathBuf,
}

impl Watched {
    fn begin(ground: &Ground, home: &Path, output: &Path) -> Result<Self> {
        let log: PathBuf = home.with_extension("log");
        let rates = ["--signed-in-rate", "1000000", "--anonymous-rate", "1000000"];
        let arguments = [&["serve", "--listen", "127.0.0.1:0"], rates.as_slice()].concat();
        let program = Program { binary: &ground.binary, arguments: &arguments, home, log: &log };
        let strace = Strace::record(&program, output)?;
        let mut watched = Self { strace, pid: 0, url: String::new(), log };
        wait_until("a start under strace", LIMIT, STEP, || {
            if watched.strace.ended()?.is_some() {
                return Err(Failure::new(format!("the server under strace ended: {}", watched.said())));
            }
            let announced = fs::read(home.join("server.json")).unwrap_or_default();
            let announced: Value = serde_json::from_slice(&announced).unwrap_or_default();
            let (Some(pid), Some(url)) = (announced.get("pid"), announced.get("url")) else { return Ok(None) };
            watched.pid = pid.as_u64().and_then(|pid| u32::try_from(pid).ok()).unwrap_or_default();
            url.as_str().unwrap_or_default().clone_into(&mut watched.url);
            Ok(Client::new(&watched.url, None).get_bytes("/healthz").is_ok().then_some(()))
        })?;
        Ok(watched)
    }

    /// Ends the server, waits until all of its trace is written, and sees that it ended in order.
    fn stop(&mut self) -> Result<()> {
        self.signal(rustix::process::Signal::TERM);
        let status = wait_until("the end under strace", LIMIT, STEP, || self.strace.ended())?;
        match (End { status, log: self.said() }).problem() {
            None => Ok(()),
            Some(problem) => Err(Failure::new(format!("the server under strace: {problem}"))),
        }
    }

    /// What the server has said.
    fn said(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.pid).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            // A server that ends in this moment needs no signal.
            let _ = rustix::process::kill_process(pid, signal);
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // It is nobody's child here, and would outlive its strace.
        if matches!(self.strace.ended(), Ok(None)) {
            self.signal(rustix::process::Signal::KILL);
        }
    }
}
