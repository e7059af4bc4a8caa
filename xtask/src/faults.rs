//! `faults`: breaks what a server stands on, and checks that it stops, refuses or recovers, and that nothing
//! acknowledged is lost.
//!
//! Each part works on copies of the same instance, made once by the real binary, and on real files. What a part finds
//! is said with what repeats it: the seed, and the system call, offset or file.

mod answers;
mod crew;
mod damage;
mod database;
mod disk;
mod flips;
pub mod ground;
mod lost;
mod malformed;
mod outcome;
mod power;
mod slow;
mod strace;
mod syscalls;
mod torn;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};

use self::ground::{Effort, Ground};
use self::outcome::{Part, table};
use crate::crash::clock_seed;
use crate::failure::{During as _, Failure, Result};
use crate::scratch::Scratch;
use crate::workspace::{self, Profile};

/// The seed of `--quick`: what CI runs comes out the same each time.
const QUICK_SEED: u64 = 1;

/// `faults`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Run one part only
    #[arg(long, value_enum, value_name = "NAME")]
    only: Option<Name>,
    /// Run a small sample of each part, as CI does: about a minute on two cores
    #[arg(long)]
    quick: bool,
    /// How many bits are flipped in the databases, in blobs, and in key, trust and configuration files, each
    #[arg(long, value_name = "N", default_value_t = 1000)]
    flips: u32,
    /// How many malformed requests are sent
    #[arg(long, value_name = "N")]
    requests: Option<u64>,
    /// Repeat the random choices of an earlier run [default: from the clock; 1 with --quick]
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Use the release build
    #[arg(long, conflicts_with = "binary")]
    release: bool,
    /// Break what this program stands on instead of building one
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Also write what came out as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// A part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Name {
    /// Each system call fails
    Syscalls,
    /// Single bits are flipped in stored files
    Flips,
    /// The last bytes of databases and write-ahead logs are missing or garbled
    Torn,
    /// The power is cut: what was not flushed is gone, or half there
    Power,
    /// Each file is missing
    Lost,
    /// The disk is full or read-only
    Disk,
    /// A thousand clients are slow
    Slow,
    /// Requests are malformed in every way
    Malformed,
}

/// All parts, in the order in which they run.
const PARTS: [Name; 8] =
    [Name::Syscalls, Name::Flips, Name::Torn, Name::Power, Name::Lost, Name::Disk, Name::Slow, Name::Malformed];

/// Runs the parts, and prints a row for each.
///
/// # Errors
/// When anything was lost or found, or a part could not be run to its end.
pub fn run(arguments: &Arguments) -> Result<()> {
    let seed = arguments.seed.unwrap_or_else(|| if arguments.quick { QUICK_SEED } else { clock_seed() });
    println!("seed {seed}");
    let binary = match &arguments.binary {
        Some(binary) => std::path::absolute(binary)?,
        None => workspace::build_lockgate(if arguments.release { Profile::Release } else { Profile::Dev })?,
    };
    let mut scratch = Scratch::new("faults")?;
    let outcome = run_in(arguments, scratch.path(), binary, seed);
    if outcome.is_err() {
        scratch.keep();
        eprintln!("everything is left in {}", scratch.path().display());
    }
    outcome
}

fn run_in(arguments: &Arguments, scratch: &std::path::Path, binary: PathBuf, seed: u64) -> Result<()> {
    let mut ground = Ground::prepare(scratch, binary, seed, arguments.quick, arguments.flips)?;
    ground.requests = arguments.requests.map(Effort::Count);
    let mut parts = Vec::new();
    for name in PARTS {
        if arguments.only.is_some_and(|only| only != name) {
            continue;
        }
        let started = Instant::now();
        let mut part = run_part(name, &ground)?;
        part.seconds = started.elapsed().as_secs_f64();
        for finding in &part.findings {
            eprintln!("{}: {finding}", part.name);
        }
        parts.push(part);
    }
    println!("{}", table(&parts));
    if let Some(file) = &arguments.report {
        let mut text = serde_json::to_string_pretty(&serde_json::json!({ "seed": seed, "parts": parts }))?;
        text.push('\n');
        fs::write(file, text).during(format!("write `{}`", file.display()))?;
    }
    match parts.iter().map(Part::failures).sum::<usize>() {
        0 => Ok(()),
        count => Err(Failure::new(format!("{count} findings; repeat with --seed {seed}"))),
    }
}

/// What came of malformed requests, sent for some time.
#[derive(Debug)]
pub struct Malformed {
    /// How many came to an end.
    pub requests: usize,
    /// How many answers differ, by route, status and reason code.
    pub answers: usize,
    /// What is wrong.
    pub findings: Vec<String>,
}

/// Sends malformed requests to an instance of its own for some time.
///
/// # Errors
/// When the instance could not be made.
pub fn malformed(binary: PathBuf, seed: u64, window: Duration) -> Result<Malformed> {
    let mut scratch = Scratch::new("fuzz-http")?;
    let sent = Ground::prepare(scratch.path(), binary, seed, true, 0).and_then(|mut ground| {
        ground.requests = Some(Effort::Time(window));
        malformed::storm(&ground)
    });
    if sent.as_ref().map_or(true, |(part, _)| !part.findings.is_empty()) {
        scratch.keep();
        eprintln!("everything is left in {}", scratch.path().display());
    }
    let (part, answers) = sent?;
    Ok(Malformed { requests: part.fired, answers, findings: part.findings })
}

fn run_part(name: Name, ground: &Ground) -> Result<Part> {
    match name {
        Name::Syscalls => syscalls::run(ground),
        Name::Flips => flips::run(ground),
        Name::Torn => torn::run(ground),
        Name::Power => power::run(ground),
        Name::Lost => lost::run(ground),
        Name::Disk => disk::run(ground),
        Name::Slow => slow::run(ground),
        Name::Malformed => malformed::run(ground),
    }
}
