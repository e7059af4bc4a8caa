//! `failpoints`: kills a test build at every named place, and checks that nothing acknowledged is lost or doubled.
//!
//! The same short story is played against the same instance again and again: push, evidence, promotion, waiver,
//! approval, freeze, feed, keys, rejection, another policy set, the scheduler, the access log, the end. Each time the
//! server is killed as it passes one place for the n-th time, started again in the same place, and asked again what it
//! did not answer. At the end journals, ledger and files are looked at without asking the server, and the whole ledger
//! is audited. A place that the story never passes is a failure of the test.
//!
//! For each event that can be asked for, the commit of that request is refused, lost and kept; and a server that was
//! killed in a request is killed once more at each place of the start that follows. Two instances are played on at a time.

mod cases;
pub mod places;
mod play;
pub mod remains;
mod stage;
mod story;
mod victim;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use clap::Args;
use lockgate_failpoint::When;

use self::cases::Case;
use self::play::{Ended, Play, Reference};
use self::stage::Stage;
use self::story::{DAYS, RARE, Story};
use self::victim::Fault;
use crate::crash::clock_seed;
use crate::failure::{During as _, Failure, Result};
use crate::random::Random;
use crate::scratch::Scratch;
use crate::server::{Server, in_place, log_file, panic_in};
use crate::workspace;

/// How often a place is passed before the server is killed there: once, twice, three times.
const PASSES: u64 = 3;
/// How many cases `--quick` tries.
const SAMPLE: usize = 12;
/// How many instances are played on at a time: most of a play is waiting for disks and processes.
const STAGES: usize = 2;
/// How long time may take to pass a place.
const TICK_LIMIT: Duration = Duration::from_secs(60);

/// `failpoints`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Try these cases alone
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Try a sample of the cases, places at their first pass
    #[arg(long)]
    quick: bool,
    /// Choose the sample of an earlier run [default: from the clock]
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Print every case and end
    #[arg(long)]
    list: bool,
}

/// What came of one case.
#[derive(Debug, Default)]
struct Row {
    /// How often it was tried, and how often the fault came about.
    tried: usize,
    fired: usize,
    /// Requests whose first outcome nobody was told, each repeated until it was known; and commands that were done
    /// unseen.
    unknown: usize,
    /// How often a start was tried again because the port was taken.
    retries: usize,
    problems: Vec<String>,
}

/// Runs a story once for each play of each case, and prints a row for each case.
///
/// # Errors
/// When something was lost or doubled, the audit found something, or a place is never passed.
pub fn run(arguments: &Arguments) -> Result<()> {
    if arguments.list {
        for case in Case::all() {
            println!("{}\t{}\t{}", case.name(), case.when(), case.says());
        }
        return Ok(());
    }
    let seed = arguments.seed.unwrap_or_else(clock_seed);
    println!("seed {seed}");
    let chosen = choose(arguments, seed)?;
    let binary = build()?;
    let mut scratch = Scratch::new("failpoints")?;
    let outcome = run_in(scratch.path(), binary, &chosen, if arguments.quick { 1 } else { PASSES });
    if outcome.is_err() {
        scratch.keep();
        eprintln!("the last home of every case that failed is left in {}", scratch.path().display());
    }
    outcome
}

/// Builds the binary with its faults, in a folder of its own, and says where it is.
///
/// # Errors
/// When the build fails.
pub fn build() -> Result<PathBuf> {
    let folder = faults_directory()?;
    let folder_text = folder.display().to_string();
    workspace::run(
        "cargo",
        &["build", "-q", "-p", "lockgate", "--features", "lockgate/faults", "--target-dir", &folder_text],
    )?;
    Ok(folder.join("debug").join("lockgate"))
}

/// Where builds with faults go: never beside those that are given to anybody.
///
/// # Errors
/// When `cargo metadata` fails.
pub fn faults_directory() -> Result<PathBuf> {
    Ok(workspace::target_directory()?.join("faults"))
}

/// The cases to try, in their order.
fn choose(arguments: &Arguments, seed: u64) -> Result<Vec<Case>> {
    let mut chosen = Case::all();
    if let Some(unknown) = arguments.only.iter().find(|name| chosen.iter().all(|case| case.name() != **name)) {
        return Err(Failure::new(format!(
            "`{unknown}` is not a failpoint: `cargo xtask failpoints --list` prints them"
        )));
    }
    chosen.retain(|case| arguments.only.is_empty() || arguments.only.contains(&case.name()));
    let mut random = Random::new(seed);
    while arguments.quick && chosen.len() > SAMPLE {
        let last = u64::try_from(chosen.len() - 1).unwrap_or_default();
        chosen.remove(usize::try_from(random.between(0, last)).unwrap_or_default());
    }
    Ok(chosen)
}

/// What plays without a fault come to.
#[derive(Debug)]
struct References {
    /// The passes of a first start.
    first: BTreeMap<String, u64>,
    /// The passes of a recheck.
    rechecked: BTreeMap<String, u64>,
    days: Reference,
    /// Only where a case is played in that story.
    rare: Option<Reference>,
}

impl References {
    /// Plays what the cases are compared with.
    fn of(stage: &Stage, chosen: &[Case]) -> Result<Self> {
        let is_rare = chosen.iter().any(|case| std::ptr::eq(case.story(), &RARE));
        Ok(Self {
            first: first_passes(stage)?,
            rechecked: recheck_passes(stage)?,
            days: reference(stage, &DAYS)?,
            rare: is_rare.then(|| reference(stage, &RARE)).transpose()?,
        })
    }

    /// How often a case's place is passed.
    fn passes(&self, case: &Case) -> u64 {
        let Case::Place(point) = case else { return 1 };
        let passes = match point.when {
            When::First => self.first.get(point.name),
            When::Recheck => self.rechecked.get(point.name),
            When::Start | When::Request | When::Tick | When::Stop => self.days.passes.get(point.name),
        };
        passes.copied().unwrap_or_default()
    }

    /// What the story of a case comes to.
    fn story(&self, case: &Case) -> &Reference {
        match &self.rare {
            Some(rare) if std::ptr::eq(case.story(), &RARE) => rare,
            _ => &self.days,
        }
    }
}

fn run_in(scratch: &Path, binary: PathBuf, chosen: &[Case], most: u64) -> Result<()> {
    let mut stages = Vec::new();
    for number in 0..STAGES.min(chosen.len()).max(1) {
        stages.push(Stage::set(binary.clone(), &scratch.join(number.to_string()))?);
    }
    let first = stages.first().ok_or_else(|| Failure::new("there is no stage"))?;
    let references = References::of(first, chosen)?;
    let rows = try_all(&stages, chosen, most, &references);
    close(chosen, &rows)
}

/// Tries every case, on each stage one at a time; gives what came of them, in their order.
fn try_all(stages: &[Stage], chosen: &[Case], most: u64, references: &References) -> Vec<Row> {
    let next = AtomicUsize::new(0);
    let (sender, rows) = channel();
    let mut done: BTreeMap<usize, Row> = BTreeMap::new();
    thread::scope(|scope| {
        for stage in stages {
            let (next, sender) = (&next, sender.clone());
            scope.spawn(move || {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = chosen.get(place) else { return };
                    // Whoever counts stays until all have been counted.
                    let _ = sender.send((place, try_case(stage, case, most, references)));
                }
            });
        }
        drop(sender);
        for (place, row) in rows {
            if let Some(case) = chosen.get(place) {
                println!("{}", line(case, &row));
                row.problems.iter().for_each(|problem| eprintln!("{}: {problem}", case.name()));
            }
            done.insert(place, row);
        }
    });
    done.into_values().collect()
}

/// Tries one case in all of its plays.
fn try_case(stage: &Stage, case: &Case, most: u64, references: &References) -> Row {
    let mut row = Row::default();
    let passes = references.passes(case);
    if passes == 0 {
        row.problems.push("the story never passes it: tell more, or drop the place".to_owned());
        return row;
    }
    for (number, (nth, faults)) in (1..).zip(case.plays(passes, most)) {
        row.tried += 1;
        let before = row.problems.len();
        let told: Vec<&str> = faults.iter().map(|fault| fault.variable.as_str()).collect();
        let told = told.join("`, then `");
        match play(stage, case, &faults, references) {
            Ok(played) => {
                row.fired += usize::from(played.fired);
                row.unknown += played.unknown;
                row.retries += played.retries;
                row.problems.extend(played.problems.into_iter().map(|problem| format!("`{told}`: {problem}")));
                // What is passed often in one run may be passed less often in a shorter one; the first pass is certain.
                if !played.fired && nth == 1 {
                    row.problems.push(format!("`{told}` did not come about"));
                }
            }
            Err(failure) => row.problems.push(format!("`{told}`: {failure}")),
        }
        if row.problems.len() > before {
            stage.keep(&format!("{}-{number}", case.name().replace('/', "-")));
        }
    }
    row
}

/// What came of one play.
#[derive(Debug, Default)]
struct Played {
    fired: bool,
    unknown: usize,
    retries: usize,
    problems: Vec<String>,
}

fn play(stage: &Stage, case: &Case, faults: &[Fault], references: &References) -> Result<Played> {
    let when = match case {
        Case::Place(point) => point.when,
        Case::Commit { .. } | Case::Recovery { .. } => When::Request,
    };
    match (when, faults) {
        (When::First, [fault]) => first_start(stage, fault),
        (When::Recheck, [fault]) => recheck(stage, fault),
        _ => {
            let mut play = Play::begin(stage, faults, case.story())?;
            play.perform()?;
            if let (When::Tick, [fault]) = (when, faults) {
                play.wait_for(fault.mark.as_deref().unwrap_or_default(), TICK_LIMIT)?;
            }
            let ended = play.close(Some(references.story(case)))?;
            let Ended { fired, unknown, retries, problems, .. } = ended;
            Ok(Played { fired, unknown, retries, problems })
        }
    }
}

/// Plays a story without a fault: which places are passed how often, and what the ledger holds at its end.
fn reference(stage: &Stage, story: &'static Story) -> Result<Reference> {
    let faults = [Fault::trace()];
    let mut play = Play::begin(stage, &faults, story)?;
    play.perform()?;
    if story.over_http {
        // The tick that finds something open; the stop below lets it end.
        play.wait_for("failpoint tick.decided passed", TICK_LIMIT)?;
        play.wait_for("failpoint tick.marks-kept passed", TICK_LIMIT)?;
    }
    let ended = play.close(None)?;
    match ended.problems.first() {
        None => Ok(Reference { passes: passes_of(&stage.log()), events: ended.events }),
        Some(problem) => Err(Failure::new(format!("the story fails without any fault: {problem}"))),
    }
}

/// Which places the first start in an empty home passes how often.
fn first_passes(stage: &Stage) -> Result<BTreeMap<String, u64>> {
    let home = stage.empty()?;
    let server = start_first(stage, &home, &Fault::trace())?;
    server.stop()?;
    Ok(passes_of(&fs::read_to_string(log_file(&home)).during("read the log of a first start")?))
}

/// Kills a first start, and lets `up` make an instance of what it left.
fn first_start(stage: &Stage, fault: &Fault) -> Result<Played> {
    let home = stage.empty()?;
    let ended = match start_first(stage, &home, fault) {
        Ok(server) => server.end()?.problem(),
        Err(failure) => Some(failure.to_string()),
    };
    let log = fs::read_to_string(log_file(&home)).unwrap_or_default();
    let fired = fault.mark.as_ref().is_some_and(|mark| log.contains(mark.as_str()));
    // One that the place did not kill starts and stops as any other.
    let mut problems: Vec<String> = ended.filter(|_| !fired).into_iter().collect();
    problems.extend(panic_in(&log).map(|line| format!("a first start panicked: {line}")));
    let server = Server::demo(&stage.binary, &home)?;
    server.stop()?;
    problems.extend(remains::leftovers(&home)?);
    problems.extend(remains::audit(&stage.binary, &home)?);
    Ok(Played { fired, problems, ..Played::default() })
}

/// Which places a recheck of both logs passes how often.
fn recheck_passes(stage: &Stage) -> Result<BTreeMap<String, u64>> {
    stage.fresh()?;
    stage.suspect()?;
    let output = stage.doctor(&Fault::trace())?;
    match output.status.success() {
        true => Ok(passes_of(&String::from_utf8_lossy(&output.stderr))),
        false => Err(Failure::new(format!("a recheck fails without any fault: {output:?}"))),
    }
}

/// Kills a recheck of both logs, and rechecks again; until then no server starts where a mark is left.
fn recheck(stage: &Stage, fault: &Fault) -> Result<Played> {
    stage.fresh()?;
    stage.suspect()?;
    let output = stage.doctor(fault)?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let fired = fault.mark.as_ref().is_some_and(|mark| said.contains(mark.as_str()));
    let mut problems = Vec::new();
    let start = || Server::serve(&stage.binary, &stage.home(), &stage.address);
    if stage.is_suspect() && in_place(start).is_ok() {
        problems.push("a server started beside a mark of a failed flush".to_owned());
    }
    let again = stage.doctor(&Fault::none())?;
    if !again.status.success() {
        problems.push(format!("a second recheck failed: {}", String::from_utf8_lossy(&again.stderr)));
    }
    if stage.is_suspect() {
        problems.push("a mark is left after a recheck that ended".to_owned());
    }
    let before = remains::events(&stage.template())?;
    let (server, retries) = in_place(start)?;
    server.stop()?;
    if remains::events(&stage.home())? != before {
        problems.push("the ledger holds something else than before".to_owned());
    }
    problems.extend(remains::leftovers(&stage.home())?);
    problems.extend(remains::audit(&stage.binary, &stage.home())?);
    Ok(Played { fired, unknown: 0, retries, problems })
}

fn start_first(stage: &Stage, home: &Path, fault: &Fault) -> Result<Server> {
    let arguments = ["serve", "--demo", "--listen", "127.0.0.1:0"];
    Server::start(&stage.binary, home, &arguments, &[("LOCKGATE_FAULT", fault.variable.as_str())])
}

/// How often each place was passed, as a log of `LOCKGATE_FAULT=trace` tells.
fn passes_of(log: &str) -> BTreeMap<String, u64> {
    let mut passes = BTreeMap::new();
    for line in log.lines() {
        let name = line.strip_prefix("failpoint ").and_then(|rest| rest.strip_suffix(" passed"));
        if let Some(name) = name {
            *passes.entry(name.to_owned()).or_default() += 1;
        }
    }
    passes
}

fn line(case: &Case, row: &Row) -> String {
    let verdict = match row.problems.len() {
        0 => "nothing lost or doubled".to_owned(),
        count => format!("{count} PROBLEMS"),
    };
    format!("| `{}` | {} | {} of {} | {} | {verdict} |", case.name(), case.when(), row.fired, row.tried, row.unknown)
}

fn close(chosen: &[Case], rows: &[Row]) -> Result<()> {
    println!("\n| case | passed at | fired | unknown outcomes, resolved | outcome |\n|---|---|---|---|---|");
    chosen.iter().zip(rows).for_each(|(case, row)| println!("{}", line(case, row)));
    let sum = |count: fn(&Row) -> usize| rows.iter().map(count).sum::<usize>();
    println!("\ncases    {}\nplays    {} whose faults came about", rows.len(), sum(|row| row.fired));
    println!(
        "unknown  {} (a request is repeated until known, a command is looked up in the ledger)",
        sum(|row| row.unknown)
    );
    println!("retries  {} (of a start whose port was taken)", sum(|row| row.retries));
    println!("problems {}", sum(|row| row.problems.len()));
    match rows.iter().filter(|row| !row.problems.is_empty()).count() {
        0 => Ok(()),
        count => Err(Failure::new(format!("{count} of {} cases have problems", rows.len()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_counted_and_other_lines_are_not() {
        let log = "failpoint a.b passed\n2026 INFO listening\nfailpoint a.b passed\nfailpoint c.d kills\n";
        assert_eq!(passes_of(log), BTreeMap::from([("a.b".to_owned(), 2)]));
    }

    #[test]
    fn a_sample_is_repeated_by_its_seed() {
        let arguments = |only: &[&str], quick| Arguments {
            only: only.iter().map(|name| (*name).to_owned()).collect(),
            quick,
            seed: None,
            list: false,
        };
        let names = |chosen: Vec<Case>| chosen.iter().map(Case::name).collect::<Vec<_>>();
        let chosen = |only: &[&str], quick| names(choose(&arguments(only, quick), 7).unwrap());
        assert_eq!(chosen(&[], true), chosen(&[], true));
        assert_eq!(chosen(&[], true).len(), SAMPLE);
        assert_eq!(chosen(&[], false), names(Case::all()));
        assert_eq!(chosen(&["blob.linked"], false), ["blob.linked"]);
        assert_eq!(chosen(&["commit/feed.recorded", "blob.linked"], false).len(), 2);
        assert!(choose(&arguments(&["nowhere"], false), 7).is_err());
    }
}
