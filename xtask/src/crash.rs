//! `crash`: kills a real server again and again under load, and checks that nothing acknowledged is lost or doubled.
//!
//! Eight writers, who have some of their releases approved, put every acknowledgement into journals of their own before
//! they ask for the next one. The server is killed with SIGKILL at random moments, while it starts too, and started again
//! in the same place; a request whose outcome is unknown is repeated under its idempotency key until the outcome is known,
//! and once more to see that it stays. At the end the journals and the store are compared, without asking the server, and
//! the whole ledger is audited.

mod arena;
pub mod journal;
mod lives;
pub mod verdict;
mod writer;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use lockgate_api::Client;
use lockgate_api::wire::ServerInfo;
use lockgate_sign::note::VerifierKey;
use serde_json::Value;

use self::arena::{ABANDONED, Arena};
use self::lives::{Life, Lives, SHORTEST_MILLIS};
use self::verdict::Verdict;
use self::writer::{Tally, Writer};
use crate::failure::{During as _, Failure, Result};
use crate::pace::Pace;
use crate::random::Random;
use crate::scratch::Scratch;
use crate::server::{Server, in_place, panic_in};
use crate::workspace::{self, Profile};

/// How many threads write at the same time.
const WRITERS: u64 = 8;
/// How long a restart may take of a release build, after docs/benchmarks.md; and of any other, of which nothing is
/// promised: so long that no other work on a machine of two cores makes a sound one late.
const RESTART_LIMIT_RELEASE: Duration = Duration::from_secs(2);
const RESTART_LIMIT: Duration = Duration::from_secs(10);
/// What is said when a writer has stopped by itself; it says why.
const GAVE_UP: &str = "a writer gave up";
/// How long a start takes, as long as none has been seen.
const USUAL_START: Duration = Duration::from_millis(100);

/// `crash`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// How often the server is killed
    #[arg(long, value_name = "N", default_value_t = 25)]
    kills: u32,
    /// Repeat the random choices of an earlier run; timing still differs [default: from the clock]
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// How long the longest lives are before the kill, in milliseconds; most are shorter, and some end on the way to ready
    #[arg(long, value_name = "MS", default_value_t = 2000, value_parser = clap::value_parser!(u64).range(SHORTEST_MILLIS..))]
    longest_life: u64,
    /// Use the release build
    #[arg(long, conflicts_with = "binary")]
    release: bool,
    /// Kill this program instead of building one
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
}

/// Where a run takes place.
#[derive(Debug)]
pub struct Ground {
    /// The built binary.
    pub binary: PathBuf,
    /// The server's home.
    pub home: PathBuf,
    /// The folder of the journals.
    pub journals: PathBuf,
    /// The server's URL, the same after each start.
    pub url: String,
    /// What its receipts are checked with.
    pub log_key: VerifierKey,
    /// What the random choices follow from.
    pub seed: u64,
}

/// How the server came back.
#[derive(Debug)]
struct Restarts {
    /// How long one may take.
    limit: Duration,
    /// How long the slowest took, from the start of the process until it was healthy.
    slowest: Duration,
    /// How long the one before took.
    newest: Duration,
    /// How often a start was tried again because the port was taken.
    retries: usize,
    /// How many kills fell before the server was ready, and how many after.
    kills_before_ready: u32,
    kills_after_ready: u32,
}

impl Restarts {
    fn within(limit: Duration) -> Self {
        let (slowest, newest) = (Duration::ZERO, USUAL_START);
        Self { limit, slowest, newest, retries: 0, kills_before_ready: 0, kills_after_ready: 0 }
    }

    fn note(&mut self, took: Duration, retries: usize) {
        self.slowest = self.slowest.max(took);
        self.newest = took;
        self.retries += retries;
    }

    fn note_kill(&mut self, was_ready: bool) {
        self.kills_after_ready += u32::from(was_ready);
        self.kills_before_ready += u32::from(!was_ready);
    }

    /// Whether one took too long, in words.
    fn problem(&self) -> Option<String> {
        let (slowest, limit) = (self.slowest.as_millis(), self.limit.as_millis());
        (slowest > limit).then(|| format!("a restart took {slowest} ms, and {limit} ms are the limit"))
    }
}

/// Runs the kill test and prints the closing table.
///
/// # Errors
/// When something was lost or doubled, a restart took too long, the audit found something, or the run could not be
/// ended.
pub fn run(arguments: &Arguments) -> Result<()> {
    let seed = arguments.seed.unwrap_or_else(clock_seed);
    println!("seed {seed}");
    let binary = match &arguments.binary {
        Some(binary) => std::path::absolute(binary)?,
        None => workspace::build_lockgate(if arguments.release { Profile::Release } else { Profile::Dev })?,
    };
    let mut scratch = Scratch::new("crash")?;
    let outcome = run_in(scratch.path(), binary, seed, arguments);
    if outcome.is_err() {
        scratch.keep();
        eprintln!("everything is left in {}", scratch.path().display());
    }
    outcome
}

fn run_in(scratch: &Path, binary: PathBuf, seed: u64, arguments: &Arguments) -> Result<()> {
    let home = scratch.join("home");
    let mut server = Server::demo(&binary, &home)?;
    let info: ServerInfo = Client::new(server.url(), None).get("/v1/server")?;
    let log_key = info.log_key.parse::<VerifierKey>().during("the log's key")?;
    let journals = scratch.join("journals");
    std::fs::create_dir_all(&journals)?;
    let url = server.url().to_owned();
    let ground = Ground { binary, home, journals, url, log_key, seed };
    let (tally, restarts) = storm(&ground, &mut server, arguments)?;
    server.stop()?;
    let verdict = verdict::judge(&ground.home.join("data"), &journal::read_all(&ground.journals)?)?;
    let audit = audit(&ground)?;
    close(&ground, arguments.kills, &tally, &restarts, &verdict, &audit)
}

/// Lets the writers write while the server is killed; returns what they did, and how it came back.
fn storm(ground: &Ground, server: &mut Server, arguments: &Arguments) -> Result<(Tally, Restarts)> {
    let arena = Arena::default();
    let arena = &arena;
    thread::scope(|scope| {
        // Held until the end, so that waiting on the other side means waiting.
        let (alarm, alarms) = mpsc::channel::<()>();
        let mut writers = Vec::new();
        for number in 0..WRITERS {
            let alarm = alarm.clone();
            writers.push(scope.spawn(move || {
                let outcome = Writer::open(ground, arena, number).and_then(Writer::run);
                if outcome.is_err() {
                    // The other side may have stopped listening; then it knows already.
                    let _ = alarm.send(());
                }
                outcome
            }));
        }
        let killed = kill_again_and_again(ground, arena, server, arguments, &alarms);
        match &killed {
            Ok(_) => arena.finish(),
            Err(_) => arena.abandon(),
        }
        let mut tally = Tally::default();
        let mut failures = Vec::new();
        for writer in writers {
            match writer.join().unwrap_or_else(|_| Err(Failure::new("a writer panicked"))) {
                Ok(one) => tally.add(&one),
                Err(failure) => failures.push(failure.to_string()),
            }
        }
        // A writer that was stopped tells nothing new.
        match (killed, failures.into_iter().find(|failure| failure != ABANDONED)) {
            (_, Some(failure)) => Err(Failure::new(failure)),
            (Err(failure), None) => Err(failure),
            (Ok(restarts), None) => Ok((tally, restarts)),
        }
    })
}

fn kill_again_and_again(
    ground: &Ground,
    arena: &Arena,
    server: &mut Server,
    arguments: &Arguments,
    alarms: &Receiver<()>,
) -> Result<Restarts> {
    let lives = Lives::of(arguments.kills, arguments.longest_life);
    let mut random = Random::new(ground.seed);
    let address = server.address().to_owned();
    let mut restarts = Restarts::within(if arguments.release { RESTART_LIMIT_RELEASE } else { RESTART_LIMIT });
    let mut pace = Pace::begin();
    let mut is_up = true;
    for killed in 0..arguments.kills {
        if pace.is_due() {
            println!("{killed} of {} kills, slowest restart {} ms", arguments.kills, restarts.slowest.as_millis());
        }
        let life = match lives.draw(&mut random) {
            Life::Starting(percent) if !is_up => {
                let life = restarts.newest * percent / 100;
                let (was_ready, retries) = in_place(|| die_on_the_way(ground, &address, life, alarms))?;
                restarts.retries += retries;
                restarts.note_kill(was_ready);
                continue;
            }
            // The first server is up already.
            Life::Starting(_) => Duration::from_millis(SHORTEST_MILLIS),
            Life::Up(life) => life,
        };
        if !is_up {
            come_back(ground, arena, server, &address, &mut restarts)?;
        }
        if alarms.recv_timeout(life).is_ok() {
            return Err(Failure::new(GAVE_UP));
        }
        arena.set_up(false);
        server.kill()?;
        restarts.note_kill(true);
        is_up = false;
    }
    if !is_up {
        come_back(ground, arena, server, &address, &mut restarts)?;
    }
    Ok(restarts)
}

/// Starts the server again, and lets the writers go on.
fn come_back(
    ground: &Ground,
    arena: &Arena,
    server: &mut Server,
    address: &str,
    restarts: &mut Restarts,
) -> Result<()> {
    let ((started, took), retries) = in_place(|| start_again(ground, address))?;
    *server = started;
    restarts.note(took, retries);
    arena.set_up(true);
    Ok(())
}

/// Sets the server off and kills it on its way; whether it had said where it listens by then.
fn die_on_the_way(ground: &Ground, address: &str, life: Duration, alarms: &Receiver<()>) -> Result<bool> {
    let server = Server::set_off(&ground.binary, &ground.home, address)?;
    if alarms.recv_timeout(life).is_ok() {
        return Err(Failure::new(GAVE_UP));
    }
    let (end, was_ready) = server.kill_on_the_way()?;
    let (status, log) = (end.status, &end.log);
    match panic_in(log) {
        Some(line) => Err(Failure::new(format!("the server panicked before it was killed: {line}"))),
        None if end.is_killed() => Ok(was_ready),
        None => Err(Failure::new(format!("the server ended with {status} on its way to ready; it said:\n{log}"))),
    }
}

/// Starts the server once; says too how long that took.
fn start_again(ground: &Ground, address: &str) -> Result<(Server, Duration)> {
    let started = Instant::now();
    let server = Server::serve(&ground.binary, &ground.home, address)?;
    Ok((server, started.elapsed()))
}

/// Audits the whole ledger with the binary; returns its problems, at least one when it does not exit with 0.
fn audit(ground: &Ground) -> Result<Vec<String>> {
    let mut command = Command::new(&ground.binary);
    command.args(["--output", "json", "audit", "--data"]).arg(ground.home.join("data"));
    let output = command.env("LOCKGATE_HOME", &ground.home).output().during("start the audit")?;
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let mut problems: Vec<String> = report
        .get("problems")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|problem| format!("audit: {problem}"))
        .collect();
    if !output.status.success() && problems.is_empty() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        problems.push(format!("the audit ended with {}: {said}", output.status));
    }
    Ok(problems)
}

fn close(
    ground: &Ground,
    kills: u32,
    tally: &Tally,
    restarts: &Restarts,
    verdict: &Verdict,
    audit: &[String],
) -> Result<()> {
    let late = restarts.problem();
    for problem in verdict.problems().chain(audit.iter().map(String::as_str)).chain(late.as_deref()) {
        eprintln!("{problem}");
    }
    println!("kills            {kills}");
    println!("before ready     {}", restarts.kills_before_ready);
    println!("after ready      {}", restarts.kills_after_ready);
    println!("acknowledgements {}", verdict.acknowledgements);
    println!("of approvals     {}", verdict.approvals);
    println!("unknown outcomes {} (each repeated until known)", tally.unknown);
    println!("slowest restart  {} ms, of at most {}", restarts.slowest.as_millis(), restarts.limit.as_millis());
    println!("port was taken   {} times", restarts.retries);
    println!("lost             {}", verdict.lost.len());
    println!("duplicated       {}", verdict.duplicated.len());
    println!("never answered   {}", verdict.unanswered.len());
    println!("audit problems   {}", audit.len());
    println!("seed             {}", ground.seed);
    if tally.acknowledged != verdict.acknowledgements {
        return Err(Failure::new("the journals do not hold what the writers wrote: the test itself is broken"));
    }
    match verdict.problems().count() + audit.len() + usize::from(late.is_some()) {
        0 => Ok(()),
        count => Err(Failure::new(format!("{count} problems after {kills} kills; repeat with --seed {}", ground.seed))),
    }
}

/// A seed that nobody chose, for a run that nobody asked to repeat.
pub fn clock_seed() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "only a seed, and printed; nothing that is tested reads this clock")]
    let now = std::time::SystemTime::now();
    let since = now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_that_takes_too_long_is_a_problem() {
        let mut restarts = Restarts::within(RESTART_LIMIT_RELEASE);
        restarts.note(RESTART_LIMIT_RELEASE, 2);
        restarts.note(Duration::from_millis(40), 1);
        assert_eq!((restarts.slowest, restarts.retries), (RESTART_LIMIT_RELEASE, 3));
        assert_eq!(restarts.newest, Duration::from_millis(40));
        assert_eq!(restarts.problem(), None);
        restarts.note(RESTART_LIMIT_RELEASE + Duration::from_millis(1), 0);
        assert!(restarts.problem().is_some_and(|problem| problem.contains("2001 ms")));
    }
}
