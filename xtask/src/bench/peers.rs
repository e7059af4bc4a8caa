//! Peers: what other programs of this machine need for the same work, in the same rounds.
//!
//! A program that is not installed has a row that says so. None of them does all of what stands beside it: each row says
//! what.

mod postgres;
mod registry;
pub mod verifiers;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use lockgate_api::Client;
use lockgate_api::wire::ServerInfo;
use lockgate_sign::note::VerifierKey;

use self::postgres::Postgres;
use self::registry::Registry;
use self::verifiers::Peer;
use super::append::{Appender, Until};
use super::commands::{Commands, time_ms};
use super::machine;
use super::push::{make_different, make_input, push_once};
use super::report::{Report, Row};
use super::samples::{median, quantile};
use crate::failure::{During as _, Result};
use crate::identity::{self, Identity};
use crate::scratch::Scratch;
use crate::server::Server;
use crate::workspace::{self, Profile};

/// How large the verified files are, in bytes.
const SMALL_BYTES: usize = 10 * 1024;
const LARGE_BYTES: usize = 100 << 20;
/// How many clients append at once, and what part of PostgreSQL's commits has to be reached there.
const APPENDERS: [(usize, f64); 3] = [(1, 0.45), (16, 0.50), (256, 0.70)];

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    /// Rounds that count; one more is run before them and thrown away.
    pub rounds: usize,
    /// How often each short command is run.
    pub commands: usize,
    /// How large the pushed file is, in bytes.
    pub file_bytes: u64,
    /// How long rows are appended in one round.
    pub window: Duration,
}

/// Measures everything beside its peers; the section of the report.
///
/// # Errors
/// When something does not build, start or answer; a peer that is missing is no error.
pub fn run(extent: Extent, command: &str) -> Result<Report> {
    let binary = workspace::build_lockgate(Profile::Release)?;
    let scratch = Scratch::new("bench-peers")?;
    let mut machine = machine::facts()?;
    machine.extend(versions());
    let home = scratch.path().join("home");
    let server = Server::demo(&binary, &home)?;
    let place = Place { binary: &binary, home: &home, folder: scratch.path(), extent };
    let mut rows = place.memory(&server)?;
    rows.extend(place.verification(&server)?);
    rows.extend(place.pushes()?);
    rows.extend(place.appends(&server)?);
    server.stop()?;
    Ok(Report { title: "Beside other programs", command: command.to_owned(), machine, rows })
}

/// Which versions of the peers there are, each as it says itself.
fn versions() -> Vec<String> {
    let asked: [(&str, &[&str]); 6] = [
        ("openssl", &["version"]),
        ("minisign", &["-v"]),
        ("gpgv", &["--version"]),
        ("ssh", &["-V"]),
        ("postgres", &["--version"]),
        ("docker-registry", &["--version"]),
    ];
    let said = asked.iter().filter_map(|(program, arguments)| {
        let output = Command::new(program).args(*arguments).output().ok()?;
        let text = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&text).lines().next().map(ToOwned::to_owned)
    });
    said.collect()
}

/// Whether a program can be started by its name; whatever it makes of the question.
fn is_installed(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok()
}

struct Place<'a> {
    binary: &'a Path,
    home: &'a Path,
    folder: &'a Path,
    extent: Extent,
}

impl Place<'_> {
    /// What an idle server holds, beside an idle registry.
    fn memory(&self, server: &Server) -> Result<Vec<Row>> {
        eprintln!("measuring: memory");
        let own = server.memory_kib("VmRSS")? as f64 / 1024.0;
        let what = "idle server, resident memory";
        let Some(registry) = Registry::start(&self.folder.join("registry-idle"))? else {
            return Ok(vec![Row::figure(what, own, "MiB"), Row::absent("docker-registry, idle")]);
        };
        let peer = registry.memory_kib()? as f64 / 1024.0;
        Ok(vec![
            Row::figure("docker-registry, idle, resident memory", peer, "MiB"),
            Row::at_most(what, own / peer, own, 1.2, "1.2 × docker-registry", "MiB"),
        ])
    }

    /// `verify` as a whole process, beside programs that check one signature over the same file.
    fn verification(&self, server: &Server) -> Result<Vec<Row>> {
        eprintln!("measuring: verification");
        let small = Commands::prepare(self.binary, self.home, server.url(), self.folder, SMALL_BYTES)?;
        let large = Commands::prepare(self.binary, self.home, server.url(), self.folder, LARGE_BYTES)?;
        let goals = [
            (verifiers::minisign(self.folder, small.file())?, "minisign -V", Some(2.0)),
            (verifiers::gpgv(self.folder, small.file())?, "gpgv", Some(0.6)),
            (verifiers::openssl(self.folder, small.file())?, "openssl dgst -verify", None),
            (Some(verifiers::ssh_keygen(self.folder, small.file())?), "ssh-keygen -Y verify", Some(0.4)),
        ];
        let mut rows = self.verify_beside("10 KiB", self.extent.commands, &small, goals)?;
        let hash = verifiers::openssl_hash(large.file());
        let goals = [(hash, "openssl dgst -sha256", Some(1.1))];
        rows.extend(self.verify_beside("100 MiB", self.extent.rounds.max(5), &large, goals)?);
        Ok(rows)
    }

    fn verify_beside<const N: usize>(
        &self,
        size: &str,
        rounds: usize,
        own: &Commands,
        peers: [(Option<Peer>, &str, Option<f64>); N],
    ) -> Result<Vec<Row>> {
        let mut own_ms = Vec::new();
        let mut peers_ms: [Vec<f64>; N] = std::array::from_fn(|_| Vec::new());
        for round in 0..=rounds {
            let millis = time_ms(&mut own.verify())?;
            if round > 0 {
                own_ms.push(millis);
            }
            for ((peer, _, _), samples) in peers.iter().zip(&mut peers_ms) {
                let Some(peer) = peer else { continue };
                let millis = time_ms(&mut peer.command()?)?;
                if round > 0 {
                    samples.push(millis);
                }
            }
        }
        let own = median(&own_ms);
        let what = format!("`lockgate verify --bundle` of {size}, whole process, offline");
        let mut rows = Vec::new();
        let mut goals = Vec::new();
        for ((peer, name, most), samples) in peers.into_iter().zip(&peers_ms) {
            let label = format!("`{name}` of {size}, whole process");
            if peer.is_none() {
                rows.push(Row::absent(&label));
                continue;
            }
            let theirs = median(samples);
            rows.push(Row::figure(&label, theirs, "ms"));
            if let Some(most) = most {
                goals.push(Row::at_most(&what, own / theirs, own, most, &format!("{most} × `{name}`"), "ms"));
            }
        }
        match goals.is_empty() {
            true => rows.push(Row::figure(&what, own, "ms")),
            false => rows.extend(goals),
        }
        Ok(rows)
    }

    /// A large file, stored durably under its digest.
    fn pushes(&self) -> Result<Vec<Row>> {
        eprintln!("measuring: push");
        let bytes = self.extent.file_bytes;
        let input: PathBuf = self.folder.join("large.bin");
        make_input(&input, bytes)?;
        let registry = Registry::start(&self.folder.join("registry"))?;
        let hash = verifiers::openssl_hash(&input);
        let (mut own, mut hashed, mut stored) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..=self.extent.rounds as u64 {
            make_different(&input, round)?;
            let mebibytes = bytes as f64 / (1 << 20) as f64;
            let seconds = mebibytes / push_once(self.binary, self.home, &input, round, bytes)?;
            let hash = hash.as_ref().map(|hash| time_ms(&mut hash.command()?)).transpose()?;
            let store = registry.as_ref().map(|registry| registry.push(&input)).transpose()?;
            if round > 0 {
                own.push(seconds);
                hashed.extend(hash.map(|millis| millis / 1000.0));
                stored.extend(store);
            }
        }
        std::fs::remove_file(&input)?;
        let own = median(&own);
        let size = format!("{} MiB", bytes >> 20);
        let what = format!("`lockgate push` of {size}");
        let mut rows = Vec::new();
        let peers = [
            (hashed, format!("`openssl dgst -sha256` of {size}, which stores nothing"), 2.0, "openssl dgst -sha256"),
            (stored, format!("docker-registry, POST and PUT of {size} with `curl`"), 0.4, "docker-registry"),
        ];
        for (samples, label, most, name) in peers {
            if samples.is_empty() {
                rows.push(Row::absent(&label));
                continue;
            }
            let theirs = median(&samples);
            rows.push(Row::figure(&label, theirs, "s"));
            rows.push(Row::at_most(&what, own / theirs, own, most, &format!("{most} × {name}"), "s"));
        }
        Ok(rows)
    }

    /// Durable appends with proof, beside one-row commits of PostgreSQL.
    fn appends(&self, server: &Server) -> Result<Vec<Row>> {
        eprintln!("measuring: appends");
        let info: ServerInfo = Client::new(server.url(), None).get("/v1/server")?;
        let log_key: VerifierKey = info.log_key.parse().during("the log's key")?;
        let [name, _] = identity::NAMES;
        let token = Identity::load(self.home, name)?.sign_in(&Client::new(server.url(), None))?;
        let postgres = Postgres::start(&self.folder.join("postgres"))?;
        let mut rows = Vec::new();
        for (phase, (clients, least)) in APPENDERS.into_iter().enumerate() {
            let appender = Appender { url: server.url(), token: &token, log_key: &log_key, clients };
            let (mut rates, mut peers, mut latencies) = (Vec::new(), Vec::new(), Vec::new());
            for round in 0..=self.extent.rounds {
                let run = u32::try_from(phase * 100 + round)?;
                let appended = appender.run(run, &Until::Elapsed(self.extent.window))?;
                let peer =
                    postgres.as_ref().map(|postgres| postgres.commits(clients, self.extent.window)).transpose()?;
                if round > 0 {
                    rates.push(appended.rate);
                    latencies.extend(appended.latencies_ms);
                    peers.extend(peer);
                }
            }
            let what = format!("durable appends with proof over HTTP, {clients} clients");
            let label = format!("PostgreSQL, one row of 400 bytes a commit, {clients} clients of `pgbench`");
            let rate = median(&rates);
            if peers.is_empty() {
                rows.extend([Row::absent(&label), Row::figure(&what, rate, "/s")]);
            } else {
                let theirs = median(&peers);
                rows.push(Row::figure(&label, theirs, "commits/s"));
                let goal = format!("{least} × PostgreSQL");
                rows.push(Row::at_least(&what, rate / theirs, rate, least, &goal, "acks/s"));
            }
            rows.push(Row::figure(&format!("{what}, p99"), quantile(&latencies, 0.99), "ms"));
        }
        Ok(rows)
    }
}
