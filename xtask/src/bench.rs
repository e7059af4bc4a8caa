//! `bench`: measures the release build against limits of the same machine in the same run.
//!
//! A figure alone says more about the machine than about the product, so each row carries its ratio to a limit that
//! was measured beside it. Rows say whether they meet their goal, also when they do not.

mod append;
mod approvals;
mod backtest;
mod browser;
mod commands;
mod decide;
mod documents;
mod growth;
mod history;
mod large;
mod limits;
mod machine;
mod parse;
mod peers;
mod pictures;
mod push;
mod rego;
mod report;
mod restart;
mod results;
mod samples;
mod screen;
mod sigstore;
mod web;
mod whereabouts;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use lockgate_api::Client;
use lockgate_api::wire::ServerInfo;
use lockgate_sign::note::VerifierKey;

pub use self::decide::{facts, policy};
pub use self::documents::documents;
pub use self::history::{Extent, History};

use self::append::{Appender, CLIENTS, Until};
use self::commands::Commands;
use self::growth::Latencies;
use self::limits::Limits;
use self::push::Push;
use self::report::{Report, Row};
use self::samples::quantile;
use crate::failure::{During as _, Result};
use crate::identity::{self, Identity};
use crate::scratch::Scratch;
use crate::server::Server;
use crate::workspace::{self, Profile};

/// How large the file is that commands verify, in bytes.
const FILE_BYTES: usize = 10 * 1024;
/// At how many entries the small ledger's latencies are measured.
const SMALL_LEDGER: u64 = 1000;

/// `bench`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Measure something else instead, and write its own section of docs/benchmarks.md
    #[arg(value_enum, conflicts_with = "only")]
    what: Option<What>,
    /// Small sizes and few rounds: shows that it works, not how fast it is
    #[arg(long)]
    quick: bool,
    /// How many entries the ledger has [default: 100000, of web and large 1000000; with --quick 3000 and 10000]
    #[arg(long, value_name = "N")]
    entries: Option<u64>,
    /// Measure one part alone and print its table; docs/benchmarks.md stays as it is
    #[arg(long, value_enum)]
    only: Option<Part>,
    /// Of web and large: also take screenshots of the pages, into this folder
    #[arg(long, value_name = "FOLDER", requires = "what")]
    screens: Option<PathBuf>,
}

/// A bench of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// The dashboard, over 2,000 services x 8 environments and --entries entries, in a browser too.
    Web,
    /// The same, and how soon a server on that ledger restarts, and what it holds in memory.
    Large,
    /// What other programs of this machine need for the same work.
    Peers,
}

/// A part of the bench.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// `decide`.
    Decide,
    /// Gates that are Rego modules, beside the interpreter alone.
    Rego,
    /// Readers of report formats, beside readers that know nothing of the format.
    Parse,
    /// A history decided again.
    Backtest,
    /// Verification of Sigstore bundles.
    Sigstore,
    /// `where` over many services.
    Where,
    /// Verification of approvals.
    Approvals,
    /// Push, and commands as whole processes.
    Bytes,
    /// Durable appends by many clients.
    Appends,
    /// Latencies at two sizes of the ledger, and its audit.
    Growth,
}

/// How much is measured.
#[derive(Debug, Clone)]
pub struct Sizes {
    /// Rounds that count; one more is run before them and thrown away.
    pub rounds: usize,
    /// How large the pushed and the written file are.
    pub file_bytes: u64,
    /// How long one limit is measured in one round.
    pub limit_window: Duration,
    /// How long the clients append.
    pub append_window: Duration,
    /// How often a decision is made, and an approval verified.
    pub decisions: usize,
    /// How often each command is run.
    pub commands: usize,
    /// How many samples one latency has.
    pub latencies: usize,
    /// How many entries the audited ledger has.
    pub entries: u64,
    /// How many services are searched.
    pub services: u64,
    /// How many decisions are made again.
    pub past_decisions: u64,
}

impl Sizes {
    fn of(arguments: &Arguments) -> Self {
        match arguments.quick {
            true => Self {
                rounds: 2,
                file_bytes: 64 << 20,
                limit_window: Duration::from_millis(200),
                append_window: Duration::from_secs(2),
                decisions: 100,
                commands: 10,
                latencies: 20,
                entries: arguments.entries.unwrap_or(3000),
                services: 100,
                past_decisions: 600,
            },
            false => Self {
                rounds: 3,
                file_bytes: 1 << 30,
                limit_window: Duration::from_secs(1),
                append_window: Duration::from_secs(8),
                decisions: 1000,
                commands: 30,
                latencies: 100,
                entries: arguments.entries.unwrap_or(100_000),
                services: 2000,
                past_decisions: backtest::DECISIONS,
            },
        }
    }
}

/// Measures everything, prints the table and writes it down.
///
/// # Errors
/// When something does not build, start or answer; a goal that is missed is no error.
pub fn run(arguments: &Arguments) -> Result<()> {
    if cfg!(debug_assertions) {
        return again_in_release();
    }
    let sizes = Sizes::of(arguments);
    if arguments.what == Some(What::Peers) {
        let text = peers::run(peers_extent(&sizes), &command_line(arguments))?.to_markdown();
        println!("{text}");
        return results::write(&text);
    }
    if let Some(what) = arguments.what {
        let extent = large_extent(arguments, &sizes);
        return large::run(what == What::Large, extent, &command_line(arguments), arguments.screens.as_deref());
    }
    let binary = workspace::build_lockgate(Profile::Release)?;
    let scratch = Scratch::new("bench")?;
    let bench = Bench { binary, folder: scratch.path().to_owned(), sizes, only: arguments.only };
    let report = bench.measure(machine::facts()?, &command_line(arguments))?;
    let text = report.to_markdown();
    println!("{text}");
    match arguments.only {
        Some(_) => Ok(()),
        None => results::write(&text),
    }
}

fn peers_extent(sizes: &Sizes) -> peers::Extent {
    let Sizes { rounds, commands, file_bytes, append_window, .. } = *sizes;
    peers::Extent { rounds, commands, file_bytes, window: append_window }
}

fn large_extent(arguments: &Arguments, sizes: &Sizes) -> large::Extent {
    let (entries, turns, live) = match arguments.quick {
        true => (10_000, 5, Duration::from_secs(3)),
        false => (1_000_000, 20, Duration::from_secs(30)),
    };
    let entries = arguments.entries.unwrap_or(entries);
    large::Extent { services: sizes.services, entries, samples: sizes.latencies, turns, live }
}

/// Runs this command again as a release build: the measuring process hashes, decides and is the load.
///
/// # Errors
/// When the build or the command fails.
pub fn again_in_release() -> Result<()> {
    let own: Vec<String> = std::env::args().skip(1).collect();
    let mut arguments = vec!["run", "--release", "-q", "--bin", "xtask", "--"];
    arguments.extend(own.iter().map(String::as_str));
    workspace::run("cargo", &arguments)
}

fn command_line(arguments: &Arguments) -> String {
    let quick = if arguments.quick { " --quick" } else { "" };
    let entries = arguments.entries.map(|entries| format!(" --entries {entries}")).unwrap_or_default();
    let what = match arguments.what {
        None => "",
        Some(What::Web) => " web",
        Some(What::Large) => " large",
        Some(What::Peers) => " peers",
    };
    format!("cargo xtask bench{what}{quick}{entries}")
}

struct Bench {
    binary: PathBuf,
    folder: PathBuf,
    sizes: Sizes,
    only: Option<Part>,
}

impl Bench {
    fn wants(&self, part: Part) -> bool {
        self.only.is_none_or(|only| only == part)
    }

    fn measure(&self, machine: Vec<String>, command: &str) -> Result<Report> {
        let mut rows = Vec::new();
        say("limits");
        let limits = Limits::measure(&self.folder, &self.sizes)?;
        rows.extend(limits.rows());
        if self.wants(Part::Decide) {
            say("decisions");
            rows.push(decide::measure(self.sizes.decisions)?);
        }
        if self.wants(Part::Rego) {
            say("Rego");
            rows.extend(rego::measure(self.sizes.decisions)?);
        }
        if self.wants(Part::Parse) {
            say("report formats");
            rows.extend(parse::measure(self.sizes.rounds)?);
        }
        if self.wants(Part::Approvals) {
            say("approvals");
            rows.extend(approvals::measure(self.sizes.decisions)?);
        }
        if self.wants(Part::Sigstore) {
            say("Sigstore bundles");
            rows.extend(sigstore::measure(self.sizes.decisions)?);
        }
        if self.wants(Part::Backtest) || self.wants(Part::Where) {
            self.history(&mut rows)?;
        }
        if self.wants(Part::Bytes) {
            self.bytes_and_commands(&mut rows)?;
        }
        if self.wants(Part::Appends) || self.wants(Part::Growth) {
            self.entries(&limits, &mut rows)?;
        }
        Ok(Report { title: "The program", command: command.to_owned(), machine, rows })
    }

    /// Everything about a long history: a ledger without a server.
    fn history(&self, rows: &mut Vec<Row>) -> Result<()> {
        say("a history of many services");
        let services = self.sizes.services;
        let promotions = match self.wants(Part::Backtest) {
            true => self.sizes.past_decisions.div_ceil(history::DECISIONS_EACH).max(services),
            // Each service has to run somewhere.
            false => services,
        };
        let history = History::write(&self.folder.join("history"), Extent { services, promotions })?;
        if self.wants(Part::Backtest) {
            say("backtest");
            rows.push(backtest::measure(&history)?);
        }
        if self.wants(Part::Where) {
            say("where");
            rows.extend(whereabouts::measure(&history, self.sizes.latencies)?);
        }
        Ok(())
    }

    /// Everything about bytes and single commands: one instance.
    fn bytes_and_commands(&self, rows: &mut Vec<Row>) -> Result<()> {
        say("push");
        let home = self.folder.join("bytes");
        let server = Server::demo(&self.binary, &home)?;
        let idle_kib = server.memory_kib("VmRSS")?;
        let push = Push::measure(&self.binary, &home, &server, &self.folder, &self.sizes)?;
        rows.extend(push.rows(self.sizes.file_bytes));
        say("commands");
        let commands = Commands::prepare(&self.binary, &home, server.url(), &self.folder, FILE_BYTES)?;
        server.stop()?;
        rows.extend(commands.measure(self.sizes.commands)?);
        rows.push(Row::at_most("idle server, resident memory", mib(idle_kib), mib(idle_kib), 40.0, "40 MiB", "MiB"));
        Ok(())
    }

    /// Everything about entries: another instance, whose ledger grows.
    fn entries(&self, limits: &Limits, rows: &mut Vec<Row>) -> Result<()> {
        let home = self.folder.join("entries");
        let server = Server::demo(&self.binary, &home)?;
        let idle_kib = server.memory_kib("VmRSS")?;
        let info: ServerInfo = Client::new(server.url(), None).get("/v1/server")?;
        let log_key: VerifierKey = info.log_key.parse().during("the log's key")?;
        let [name, _] = identity::NAMES;
        let token = Identity::load(&home, name)?.sign_in(&Client::new(server.url(), None))?;
        let appender = Appender { url: server.url(), token: &token, log_key: &log_key, clients: CLIENTS };
        say("a small ledger");
        appender.run(1, &Until::Entries(SMALL_LEDGER))?;
        let small = Latencies::measure(&appender, 2, self.sizes.latencies)?;
        if self.wants(Part::Appends) {
            say("appends");
            let appended = appender.run(3, &Until::Elapsed(self.sizes.append_window))?;
            let floor = append::floor(server.url(), self.sizes.limit_window * 3)?;
            let what = format!("limit: the same {CLIENTS} clients and server with nothing to do (`GET /healthz`)");
            rows.push(Row::figure(&what, floor, "requests/s"));
            rows.extend(append_rows(&appended, limits));
        }
        if !self.wants(Part::Growth) {
            return server.stop();
        }
        say("a large ledger");
        let filled = appender.run(4, &Until::Entries(self.sizes.entries))?;
        let large = Latencies::measure(&appender, 5, self.sizes.latencies)?;
        let entries = Client::new(server.url(), None).get::<ServerInfo>("/v1/server")?.entries;
        rows.extend(small.rows(&large, SMALL_LEDGER, filled.entries));
        let full_kib = server.memory_kib("VmRSS")?;
        let growth = full_kib as f64 / idle_kib.max(1) as f64;
        let memory = format!("resident memory at {entries} entries, after the load");
        rows.push(Row::at_most(&memory, growth, mib(full_kib), 1.3, "1.3 × idle", "MiB"));
        server.stop()?;
        say("audit");
        rows.push(self.audit(&home, entries, limits)?);
        Ok(())
    }

    fn audit(&self, home: &Path, entries: u64, limits: &Limits) -> Result<Row> {
        let mut command = std::process::Command::new(&self.binary);
        command.arg("audit").arg("--data").arg(home.join("data")).env("LOCKGATE_HOME", home);
        let seconds = commands::time_ms(&mut command)? / 1000.0;
        let rate = entries as f64 / seconds;
        let what = format!(
            "audit of {entries} entries in {seconds:.1} s on one core, beside {:.0} Ed25519 and {:.0} P-256 \
             verifications/s a core and {:.0} MiB/s of SHA-256",
            limits.ed25519, limits.p256, limits.sha256_mib
        );
        Ok(Row::figure(&what, rate, "entries/s"))
    }
}

fn append_rows(appended: &append::Appended, limits: &Limits) -> Vec<Row> {
    let what = |figure: &str| format!("durable appends with proof, {CLIENTS} clients, {figure}");
    let rate = appended.rate;
    let (p50, p99) = (quantile(&appended.latencies_ms, 0.5), quantile(&appended.latencies_ms, 0.99));
    vec![
        Row::at_least(&what("rate"), rate / limits.sqlite, rate, 5.0, "5 × one-row SQLite commits", "acks/s"),
        Row::figure(&what("p50"), p50, "ms"),
        Row::at_most(&what("p99"), p99, p99, 60.0, "60 ms", "ms"),
    ]
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

/// Says on the console what is being measured; the table comes at the end.
fn say(what: &str) {
    eprintln!("measuring: {what}");
}
