//! `sim`: engine, sequencer, a store that fails, a clock and a dozen people in one thread, all of it from one seed.
//!
//! After every step the ledger is compared with a model of its own, what was acknowledged with what is there, and what
//! was told with what is so. A seed that finds something goes to `xtask/seeds.txt`, whose seeds are played first in
//! every run. `docs/simulation.md` says what is played and what is checked.

mod act;
mod actors;
mod cast;
mod journal;
mod model;
mod own;
mod refusals;
mod replies;
mod shaky;
mod shape;
mod trace;
mod world;

use std::fmt;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;

use self::cast::Cast;
use self::shaky::Defect;
use self::trace::Trace;
use self::world::{Counts, Played, World};
use crate::failure::{During as _, Failure, Result};
use crate::pace::Pace;

/// The seeds that are always played.
const KNOWN: &str = include_str!("../seeds.txt");
/// Every so many seeds, one is played twice: it has to come out the same.
const TWICE: usize = 50;
/// How often it is looked whether there is something to say.
const STEP: Duration = Duration::from_secs(1);

/// `sim`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// How many seeds are played
    #[arg(long, value_name = "N", default_value_t = 500)]
    seeds: u64,
    /// The first of them
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// How many steps each of them takes
    #[arg(long, value_name = "K", default_value_t = 24)]
    steps: u64,
    /// How many are played at a time; as many as there are cores where it is left out
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Break the store on purpose: then the run has to fail
    #[arg(long, value_enum)]
    defect: Option<Defect>,
    /// Print what happens in each step
    #[arg(long)]
    trace: bool,
}

/// One run to be played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Plan {
    seed: u64,
    steps: u64,
    twice: bool,
}

/// Something that must not be, and how it came to it.
#[derive(Debug)]
struct Broken {
    plan: Plan,
    step: u64,
    what: String,
    trace: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan { seed, steps, .. } = self.plan;
        writeln!(f, "{}", self.trace)?;
        writeln!(f, "seed {seed}, step {}: {}", self.step, self.what)?;
        writeln!(f, "repeat it: cargo xtask sim --seeds 1 --seed {seed} --steps {steps} --trace")?;
        write!(f, "keep it: a line `{seed} {steps} what it found` in xtask/seeds.txt")
    }
}

type Outcome = std::result::Result<Played, Box<Broken>>;

/// Plays the seeds, and prints what happened in numbers.
///
/// # Errors
/// When a seed finds something, or everyone cannot be enrolled.
pub fn run(arguments: &Arguments) -> Result<()> {
    let plans = plans(arguments, known()?);
    let cast = Cast::new()?;
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let threads = if arguments.trace { 1 } else { arguments.threads.unwrap_or(cores) };
    let threads = threads.clamp(1, plans.len().max(1));
    println!("{} runs of {} steps, {threads} at a time", plans.len(), arguments.steps);
    let began = Instant::now();
    let (counts, broken) = play_all(&cast, &plans, threads, arguments, began);
    table(&counts, began.elapsed());
    match broken {
        None => Ok(()),
        Some(broken) => {
            eprintln!("{broken}");
            Err(Failure::new(format!("seed {} found something", broken.plan.seed)))
        }
    }
}

/// What is played, in this order: the known seeds, then the ones that were asked for.
fn plans(arguments: &Arguments, known: Vec<Plan>) -> Vec<Plan> {
    let asked = arguments.seed..arguments.seed.saturating_add(arguments.seeds);
    // A seed that is looked at alone, and a store that is broken on purpose, need no others.
    let alone = arguments.seeds == 1 || arguments.defect.is_some();
    let mut plans = if alone { Vec::new() } else { known };
    let steps = arguments.steps;
    plans.extend(asked.enumerate().map(|(place, seed)| Plan { seed, steps, twice: place.is_multiple_of(TWICE) }));
    plans
}

/// The seeds of `xtask/seeds.txt`.
fn known() -> Result<Vec<Plan>> {
    let lines = KNOWN.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(known_line).collect()
}

fn known_line(line: &str) -> Result<Plan> {
    let mut words = line.split_whitespace();
    let mut number = || words.next().unwrap_or_default().parse::<u64>().during(format!("xtask/seeds.txt, `{line}`"));
    let (seed, steps) = (number()?, number()?);
    match words.next() {
        Some(_) => Ok(Plan { seed, steps, twice: true }),
        None => Err(Failure::new(format!("xtask/seeds.txt, `{line}`: it does not say what the seed found"))),
    }
}

/// Plays every plan, several at a time, until one finds something.
fn play_all(
    cast: &Cast,
    plans: &[Plan],
    threads: usize,
    arguments: &Arguments,
    began: Instant,
) -> (Counts, Option<Box<Broken>>) {
    let (next, halted) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (sender, receiver) = channel();
    thread::scope(|scope| {
        for _ in 0..threads {
            let (next, halted, sender) = (&next, &halted, sender.clone());
            scope.spawn(move || work(cast, plans, arguments, next, halted, &sender));
        }
        drop(sender);
        collect(&receiver, plans.len(), &halted, began)
    })
}

fn work(
    cast: &Cast,
    plans: &[Plan],
    arguments: &Arguments,
    next: &AtomicUsize,
    halted: &AtomicBool,
    sender: &Sender<Outcome>,
) {
    while !halted.load(Ordering::Relaxed) {
        let Some(plan) = plans.get(next.fetch_add(1, Ordering::Relaxed)) else { return };
        if sender.send(play(cast, *plan, arguments.defect, arguments.trace)).is_err() {
            return;
        }
    }
}

fn collect(
    receiver: &Receiver<Outcome>,
    all: usize,
    halted: &AtomicBool,
    began: Instant,
) -> (Counts, Option<Box<Broken>>) {
    let (mut counts, mut broken) = (Counts::default(), None);
    let mut pace = Pace::begin();
    loop {
        match receiver.recv_timeout(STEP) {
            Ok(Ok(played)) => counts.add(&played.counts),
            Ok(Err(found)) => {
                halted.store(true, Ordering::Relaxed);
                broken = broken.or(Some(found));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return (counts, broken),
        }
        if pace.is_due() {
            println!("{} of {all} runs, {:.1} a second", counts.seeds, rate(&counts, began.elapsed()));
        }
    }
}

fn rate(counts: &Counts, elapsed: Duration) -> f64 {
    counts.seeds as f64 / elapsed.as_secs_f64().max(0.001)
}

/// Plays one plan, once or twice.
fn play(cast: &Cast, plan: Plan, defect: Option<Defect>, aloud: bool) -> Outcome {
    let first = play_once(cast, plan, defect, aloud)?;
    if plan.twice && play_once(cast, plan, defect, false)? != first {
        let what = "the same seed comes out in two ways".to_owned();
        return Err(Box::new(Broken { plan, step: plan.steps, what, trace: String::new() }));
    }
    Ok(first)
}

fn play_once(cast: &Cast, plan: Plan, defect: Option<Defect>, aloud: bool) -> Outcome {
    let mut trace = Trace::new(aloud);
    let played = catch_unwind(AssertUnwindSafe(|| World::play(cast, plan.seed, plan.steps, defect, &mut trace)));
    let what = match played {
        Ok(Ok(played)) => return Ok(played),
        Ok(Err(failure)) => failure.to_string(),
        Err(_) => "a panic".to_owned(),
    };
    Err(Box::new(Broken { plan, step: trace.step(), what, trace: trace.text() }))
}

fn table(counts: &Counts, elapsed: Duration) {
    let (seconds, rate) = (elapsed.as_secs_f64(), rate(counts, elapsed));
    println!("seeds            {} in {seconds:.1} s, {rate:.1} a second", counts.seeds);
    println!("steps            {}", counts.steps);
    println!("acknowledgements {} ({} of them repeated)", counts.acks, counts.repeated);
    println!("refusals         {}", counts.refusals);
    println!("failed commits   {}", counts.faults);
    println!("failed reads     {} (or checkpoints that were not stored)", counts.missed);
    println!("crashes          {} ({} starts after them failed)", counts.crashes, counts.starts);
    println!("entries          {}", counts.entries);
    println!("grants           {}", counts.grants);
    println!("decisions replayed {}", counts.replayed);
    println!("bundles verified {}", counts.bundles);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(seed: u64) -> Plan {
        Plan { seed, steps: 40, twice: false }
    }

    #[test]
    fn the_same_seed_comes_out_the_same_and_another_does_not() {
        let cast = Cast::new().unwrap();
        let played = |seed| play(&cast, plan(seed), None, false).unwrap_or_else(|broken| panic!("{broken}"));
        let shapes = [7, 7, 8].map(played);
        assert_eq!(shapes[0], shapes[1]);
        assert_ne!(shapes[0].shape, shapes[2].shape);
        // Another cast has other keys for attestations, and nothing else is different.
        let other = play(&Cast::new().unwrap(), plan(7), None, false).unwrap_or_else(|broken| panic!("{broken}"));
        assert_eq!(other, shapes[0]);
    }

    #[test]
    fn runs_do_what_they_are_for() {
        let cast = Cast::new().unwrap();
        let mut counts = Counts::default();
        for seed in 1..=10 {
            let played = play(&cast, plan(seed), None, false).unwrap_or_else(|broken| panic!("{broken}"));
            counts.add(&played.counts);
        }
        let Counts { acks, repeated, refusals, faults, missed, crashes, grants, bundles, .. } = counts;
        for count in [acks, repeated, refusals, faults, missed, crashes, grants, bundles] {
            assert!(count > 0, "{counts:?}");
        }
    }

    /// A store with a defect has to be found out within a few seeds: the test of the test.
    #[track_caller]
    fn check(defect: Defect, words: &[&str]) {
        let cast = Cast::new().unwrap();
        let found = (1..=20).find_map(|seed| play(&cast, plan(seed), Some(defect), false).err());
        let found = found.unwrap_or_else(|| panic!("{defect:?} was not found out"));
        assert!(words.iter().any(|words| found.what.contains(words)), "{found}");
        assert!(!found.trace.is_empty() && found.to_string().contains("cargo xtask sim --seeds 1 --seed"));
    }

    #[test]
    fn an_acknowledgement_before_the_commit_is_durable_is_found_out() {
        check(Defect::LosesTheLastBatch, &["are left"]);
    }

    #[test]
    fn an_entry_that_is_dropped_is_found_out() {
        check(Defect::HidesAnEntry, &["is missing", "is not what it was", "ENTRY_MISSING"]);
    }

    #[test]
    fn keys_that_are_forgotten_are_found_out() {
        let words = ["in two ways", "of its own accord", "happened twice", "CONFLICT", "acknowledged before"];
        check(Defect::ForgetsReplies, &words);
    }

    #[test]
    fn known_seeds_are_read_and_played_first() {
        assert_eq!(known_line("7 40 an entry was lost").unwrap(), Plan { seed: 7, steps: 40, twice: true });
        for bad in ["7", "7 40", "x 40 words", "7 x words"] {
            assert!(known_line(bad).is_err(), "{bad}");
        }
        assert!(known().is_ok());
        let arguments = |seeds| Arguments { seeds, seed: 3, steps: 9, threads: None, defect: None, trace: false };
        let first = known_line("7 40 an entry was lost").unwrap();
        let seeds: Vec<u64> = plans(&arguments(2), vec![first]).iter().map(|plan| plan.seed).collect();
        assert_eq!(seeds, [7, 3, 4]);
        assert_eq!(plans(&arguments(1), vec![first]).len(), 1);
    }
}
