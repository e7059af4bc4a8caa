//! `fuzz`: every reader of bytes from outside, a whole server, or the command line, on inputs that nobody wrote.
//!
//! What was a finding once is read first. Then known inputs are changed by chance, and read; what a reader has never
//! answered before is kept and changed further.
//! With `--guided`, libFuzzer keeps what takes a branch that nothing took before. `docs/fuzzing.md` says what both find,
//! and what they do not.

mod cli;
mod corpus;
mod guided;
mod judge;
mod outcome;
mod parts;
mod record;
mod run;
mod samples;
mod story;
mod targets;
mod turns;
mod watch;

use std::num::NonZero;
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use clap::Args;

use self::cli::Told;
pub use self::guided::Guide;
use self::guided::Guided;
use self::record::{Record, Way};
use self::run::{Plan, Tally};
use self::story::Story;
use self::targets::Target;
use self::turns::Turns;
use self::watch::Watch;
use crate::failure::{Failure, Result};
use crate::faults::{self, Malformed};
use crate::workspace::{self, Profile};

/// The targets that are no readers: the HTTP surface of a real server, and the command line with the files of its home.
const HTTP: &str = "http";
const CLI: &str = "cli";
const PROGRAMS: [&str; 2] = [HTTP, CLI];
/// How often the threads are looked after.
const STEP: Duration = Duration::from_secs(1);

/// `fuzz`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Only targets whose name starts so; several, with commas between them, are run side by side
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    target: Vec<String>,
    /// For how long each target is run
    #[arg(long, value_name = "N", default_value_t = 10)]
    seconds: u64,
    /// Run each target until its record, fuzz/record.json, has as many seconds of a processor in this way without a finding
    #[arg(long, value_name = "N", conflicts_with_all = ["seconds", "trace"])]
    up_to: Option<u64>,
    /// Share these seconds evenly among the readers of one part of the plan, such as those of passkeys
    #[arg(long, requires = "up_to")]
    share: bool,
    /// Let libFuzzer choose inputs, by the branches that they take: builds a program of its own, with a C++ compiler
    #[arg(long)]
    guided: bool,
    /// How many targets are run at the same time [default: as many as there are processors]
    #[arg(long, value_name = "N")]
    jobs: Option<NonZero<usize>>,
    /// What the inputs follow from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Write inputs with an answer, or a branch, that is new to fuzz/corpus
    #[arg(long)]
    save: bool,
    /// Write each input to fuzz/findings before it is read: for a reader that takes the process with it
    #[arg(long)]
    trace: bool,
    /// List the targets, and run none
    #[arg(long)]
    list: bool,
    /// Say for each part of the plan how long its readers were run, and run none
    #[arg(long, conflicts_with = "list")]
    parts: bool,
    /// Use the release build of the program, for `http` and `cli`
    #[arg(long, conflicts_with = "binary")]
    release: bool,
    /// Use this program instead of building one, for `http` and `cli`
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
}

/// Runs the targets, and prints what came of each.
///
/// # Errors
/// When there is a finding, no such target, or a sample that cannot be read.
pub fn run(arguments: &Arguments) -> Result<()> {
    let prefixes = &arguments.target;
    let is_named = |name: &str| prefixes.iter().any(|prefix| name.starts_with(prefix.as_str()));
    let guided = arguments.guided.then(Guided::begin).transpose()?;
    let story = match &guided {
        Some(guided) => guided.story()?,
        None => Story::tell()?,
    };
    let all = targets::targets(&story)?;
    if arguments.parts {
        parts::table(&all, &Record::load(Way::Chance)?).iter().for_each(|row| println!("{row}"));
        return Ok(());
    }
    let names: Vec<String> = all.iter().map(|target| target.name.clone()).collect();
    let share = |seconds: u64, name: &str| match arguments.share {
        true => parts::share(Duration::from_secs(seconds), name, &names),
        false => Duration::from_secs(seconds),
    };
    let chosen: Vec<Target> = all.into_iter().filter(|target| prefixes.is_empty() || is_named(&target.name)).collect();
    // They take a build of the program, and `faults` does what `http` does: neither is run unless it is named.
    let is_wanted = |name: &&str| is_named(name) || (arguments.list && prefixes.is_empty());
    let programs: Vec<&str> = PROGRAMS.into_iter().filter(is_wanted).collect();
    if let (Some(_), Some(name)) = (arguments.up_to, programs.first()) {
        return Err(Failure::new(format!("`{name}` is no reader, and has no record: use --seconds")));
    }
    if chosen.is_empty() && programs.is_empty() {
        return Err(Failure::new(format!(
            "no target starts with `{}`; `cargo xtask fuzz --list` names them",
            prefixes.join("` or `")
        )));
    }
    if arguments.list {
        let names = chosen.iter().map(|target| target.name.as_str());
        names.chain(programs).for_each(|name| println!("{name}"));
        return Ok(());
    }
    let (seed, window) = (arguments.seed, Duration::from_secs(arguments.seconds));
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let jobs = arguments.jobs.map_or(processors, NonZero::get).min(chosen.len()).max(1);
    // Who shares a processor with others waits for them, too.
    let patience = judge::PATIENCE * u32::try_from(jobs.div_ceil(processors))?;
    let plan = Plan { seed, window, patience, save: arguments.save, trace: arguments.trace };
    let count = chosen.len() + programs.len();
    let (mut record, turns) = match arguments.up_to {
        Some(seconds) => {
            let record = Record::load(if arguments.guided { Way::Guided } else { Way::Chance })?;
            let turns = Turns::up_to(|name| share(seconds, name), &chosen, &record);
            println!("{count} targets up to {seconds} s each in {}, {jobs} at a time", record::FILE);
            (Some(record), turns)
        }
        None => {
            println!("{count} targets, {} s each, {jobs} at a time, seed {seed}", arguments.seconds);
            (None, Turns::once(&chosen, window))
        }
    };
    if let Some(guided) = &guided {
        guided.build()?;
    }
    judge::quiet_panics();
    let findings = match &guided {
        Some(guided) => {
            let one = |target: &Target, plan: Plan, _: &Watch| guided.run(target, plan);
            all_of(&Crew { targets: &chosen, plan, jobs, turns: &turns, one: &one }, record.as_mut())
        }
        None => all_of(&Crew { targets: &chosen, plan, jobs, turns: &turns, one: &run::run }, record.as_mut()),
    };
    // What is the matter with the command itself is printed as always.
    drop(std::panic::take_hook());
    let mut findings = findings?;
    for name in programs {
        let broken = |error: Failure| vec![format!("{name}: {error}")];
        findings.extend(whole(name, arguments).unwrap_or_else(broken));
    }
    for finding in &findings {
        eprintln!("{finding}");
    }
    match findings.len() {
        0 => Ok(()),
        count => Err(Failure::new(format!("{count} findings; the inputs of readers are in fuzz/findings"))),
    }
}

/// A target that is no reader but a whole program; by itself, after the others.
fn whole(name: &str, arguments: &Arguments) -> Result<Vec<String>> {
    let binary = match &arguments.binary {
        Some(binary) => std::path::absolute(binary)?,
        None => workspace::build_lockgate(if arguments.release { Profile::Release } else { Profile::Dev })?,
    };
    let (seed, window) = (arguments.seed, Duration::from_secs(arguments.seconds));
    let (inputs, answers, findings) = match name {
        CLI => {
            let Told { commands, answers, findings } = cli::run(binary, seed, window)?;
            (commands, answers, findings)
        }
        _ => {
            let Malformed { requests, answers, findings } = faults::malformed(binary, seed, window)?;
            (requests as u64, answers, findings)
        }
    };
    said(name, inputs, &format!("{answers:>3} answers"), findings.len());
    Ok(findings.iter().map(|finding| format!("{name}: {finding}")).collect())
}

fn said(name: &str, inputs: u64, more: &str, findings: usize) {
    println!("{name:24} {inputs:>9} inputs, {more}, {findings} findings");
}

/// What runs one target for a time.
type One<'a> = dyn Fn(&Target, Plan, &Watch) -> Result<Tally> + Sync + 'a;

/// Threads that take turns with targets.
struct Crew<'a> {
    targets: &'a [Target],
    plan: Plan,
    jobs: usize,
    turns: &'a Turns,
    one: &'a One<'a>,
}

/// Runs every target, so many at a time; returns every finding.
fn all_of(crew: &Crew<'_>, mut record: Option<&mut Record>) -> Result<Vec<String>> {
    let watches: Vec<Watch> = (0..crew.jobs).map(|_| Watch::default()).collect();
    let (sender, receiver) = channel();
    thread::scope(|scope| -> Result<Vec<String>> {
        for watch in &watches {
            let sender = sender.clone();
            scope.spawn(move || crew.work(watch, &sender));
        }
        drop(sender);
        let mut findings = Vec::new();
        loop {
            match receiver.recv_timeout(STEP) {
                Ok((name, tally)) => findings.extend(shown(name, tally, record.as_deref_mut())?),
                Err(RecvTimeoutError::Disconnected) => return Ok(findings),
                Err(RecvTimeoutError::Timeout) => watches.iter().try_for_each(give_up)?,
            }
        }
    })
}

/// What a thread says about one target.
type Said<'a> = (&'a str, Result<Tally>);

impl<'a> Crew<'a> {
    fn work(&self, watch: &Watch, sender: &Sender<Said<'a>>) {
        while let Some(turn) = self.turns.next() {
            let Some(target) = self.targets.get(turn.target) else { return };
            let plan = Plan { seed: self.plan.seed.wrapping_add(turn.offset), window: turn.window, ..self.plan };
            let tally = (self.one)(target, plan, watch);
            if let Ok(tally) = &tally {
                self.turns.ended(turn, tally);
            }
            if sender.send((target.name.as_str(), tally)).is_err() {
                return;
            }
        }
    }
}

fn shown(name: &str, tally: Result<Tally>, record: Option<&mut Record>) -> Result<Vec<String>> {
    let tally = tally?;
    let mut more = match tally.branches {
        0 => format!("{:>3} answers", tally.answers),
        branches => format!("{branches:>5} branches"),
    };
    if tally.regressions > 0 {
        more += &format!(", {} mended", tally.regressions);
    }
    if tally.kept > 0 {
        more += &format!(", {} kept", tally.kept);
    }
    if let Some(record) = record {
        let row = record.add(name, &tally)?;
        more += &format!(", {} s and {} inputs in all", row.millis / 1000, row.inputs);
    }
    said(name, tally.inputs, &more, tally.findings.len());
    Ok(tally.findings)
}

/// A reader that does not come to an end cannot be stopped: the process ends, and leaves the input behind.
fn give_up(watch: &Watch) -> Result<()> {
    let Some(reading) = watch.lost() else { return Ok(()) };
    let path = corpus::finding(&reading.target, &reading.input)?;
    eprintln!("{}: reading does not come to an end ({path})", reading.target);
    std::process::exit(1);
}
