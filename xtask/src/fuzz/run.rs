//! Runs: one target, for a time, with every property checked on every input.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use super::corpus::{self, Corpus};
use super::outcome::Outcome;
use super::targets::Target;
use super::watch::Watch;
use crate::failure::Result;
use crate::mutation::{INPUT_BYTES, Mutator, words};

/// How long one input may take.
pub const PATIENCE: Duration = Duration::from_secs(1);
/// How often a slow input is read again before that is a finding: a busy machine is slow once.
const SLOW_TURNS: usize = 3;
/// How many findings a target may have before its run ends.
const FINDINGS_MAX: usize = 5;
/// How many answers of one code are kept: messages that quote what they refuse would make nearly every input a new one.
const SHAPES_MAX: usize = 256;
/// How many codes are told apart: those of readers that have no codes are words out of their messages.
const CODES_MAX: usize = 1024;
/// How many words of its samples a target's mutations know.
const WORDS_MAX: usize = 400;
/// Words that no sample may have, and that fields of many documents are called.
const FIELDS: &[&str] = &[
    "schema",
    "notes",
    "source",
    "code",
    "session",
    "suspended",
    "expires_at",
    "environments",
    "services",
    "last_used",
    "before",
    "after",
    "reason",
    "rule",
    "governance",
    "comment",
    "countersigned",
    "url",
    "id",
    "name",
    "version",
];

thread_local! {
    /// What the last panic of this thread said, and where.
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// How a target is run.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// What the inputs follow from.
    pub seed: u64,
    /// For how long.
    pub window: Duration,
    /// How long one input may take.
    pub patience: Duration,
    /// Whether inputs with a new answer are written to the corpus.
    pub save: bool,
    /// Whether each input is written down before it is read.
    pub trace: bool,
}

/// What came of a run.
#[derive(Debug, Default)]
pub struct Tally {
    /// Inputs read.
    pub inputs: u64,
    /// The time of a processor that the run's thread took.
    pub time: Duration,
    /// Answers that differ.
    pub classes: usize,
    /// Inputs written to the corpus.
    pub kept: usize,
    /// What is wrong, each with the file that holds the input.
    pub findings: Vec<String>,
}

/// Keeps what a panic says for whoever catches it, instead of printing it.
pub fn quiet_panics() {
    std::panic::set_hook(Box::new(|info| {
        let text = info.to_string();
        PANIC.with(|last| {
            if let Ok(mut last) = last.try_borrow_mut() {
                *last = text;
            }
        });
    }));
}

/// One target's run.
struct Run<'a> {
    target: &'a Target,
    plan: Plan,
    watch: &'a Watch,
    corpus: Corpus,
    /// Inputs whose answer was new, from which others are made.
    pool: Vec<Vec<u8>>,
    /// The answers so far: the shapes of each code.
    seen: BTreeMap<String, BTreeSet<String>>,
    found: BTreeSet<String>,
    tally: Tally,
}

/// Reads the samples, what was kept, and then as many other inputs as there is time for.
///
/// # Errors
/// When a file cannot be read or written; a finding is no error.
pub fn run(target: &Target, plan: Plan, watch: &Watch) -> Result<Tally> {
    let (corpus, kept) = Corpus::load(&target.name)?;
    let (pool, seen, found) = (Vec::new(), BTreeMap::new(), BTreeSet::new());
    let mut run = Run { target, plan, watch, corpus, pool, seen, found, tally: Tally::default() };
    let mut samples = target.seeds.clone();
    samples.extend(kept);
    let mut known: Vec<Vec<u8>> = FIELDS.iter().map(|field| field.as_bytes().to_vec()).collect();
    known.extend(words(&samples, WORDS_MAX));
    for sample in samples {
        run.try_input(sample, false)?;
    }
    // An empty input has nothing to be made from, but is one too.
    run.try_input(Vec::new(), false)?;
    let mut mutator = Mutator::new(plan.seed ^ name_seed(&target.name), known);
    let (started, spent) = (Instant::now(), processor_time());
    while started.elapsed() < plan.window && run.tally.findings.len() < FINDINGS_MAX {
        let parent = mutator.pick_input(&run.pool);
        let other = mutator.pick_input(&run.pool);
        let input = mutator.mutate(parent, other);
        run.try_input(input, plan.save)?;
    }
    run.tally.time = processor_time().saturating_sub(spent);
    run.tally.classes = run.seen.values().map(BTreeSet::len).sum();
    Ok(run.tally)
}

/// The time of a processor that this thread took until now.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or_default(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// Another seed for each target, so that two of them do not get the same changes.
fn name_seed(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

impl Run<'_> {
    fn try_input(&mut self, input: Vec<u8>, save: bool) -> Result<()> {
        if self.plan.trace {
            corpus::trace(&self.target.name, &input)?;
        }
        self.tally.inputs += 1;
        self.watch.begin(&self.target.name, &input);
        let answer = self.answer(&input);
        self.watch.end();
        match answer {
            Ok(outcome) => {
                if input.len() <= INPUT_BYTES && self.is_new(outcome) {
                    if save && self.corpus.keep(&input)? {
                        self.tally.kept += 1;
                    }
                    self.pool.push(input);
                }
            }
            Err(problem) => self.report(&problem, &input)?,
        }
        Ok(())
    }

    /// Whether there was no such answer before; remembers it.
    fn is_new(&mut self, outcome: Outcome) -> bool {
        let Outcome { code, shape, .. } = outcome;
        let codes = self.seen.len();
        match self.seen.get_mut(&code) {
            Some(shapes) if shapes.len() >= SHAPES_MAX || shapes.contains(&shape) => false,
            Some(shapes) => shapes.insert(shape),
            None if codes >= CODES_MAX => false,
            None => self.seen.insert(code, BTreeSet::from([shape])).is_none(),
        }
    }

    /// Reads an input, and checks every property.
    fn answer(&self, input: &[u8]) -> std::result::Result<Outcome, String> {
        let patience = self.plan.patience;
        let started = Instant::now();
        let first = self.guarded(input)?;
        let mut fastest = started.elapsed();
        let mut turn = 1;
        while fastest > patience && turn < SLOW_TURNS {
            let again = Instant::now();
            self.guarded(input)?;
            fastest = fastest.min(again.elapsed());
            turn += 1;
        }
        if fastest > patience {
            return Err(format!("it takes {:.1} s to read", fastest.as_secs_f64()));
        }
        if let Some(broken) = &first.broken {
            return Err(broken.clone());
        }
        match self.guarded(input)? == first {
            true => Ok(first),
            false => Err("read twice, it gives two answers".to_owned()),
        }
    }

    fn guarded(&self, input: &[u8]) -> std::result::Result<Outcome, String> {
        catch_unwind(AssertUnwindSafe(|| self.target.read(input))).map_err(|_| {
            let text = PANIC.with(|last| last.try_borrow().map(|last| last.clone()).unwrap_or_default());
            format!("the reader panics: {}", text.lines().collect::<Vec<_>>().join(" "))
        })
    }

    /// Writes a finding down, unless one with the same words was found before.
    fn report(&mut self, problem: &str, input: &[u8]) -> Result<()> {
        let words: String = problem.chars().filter(|c| !c.is_ascii_digit()).take(80).collect();
        if self.found.insert(words) {
            let path = corpus::finding(&self.target.name, input)?;
            self.tally.findings.push(format!("{}: {problem} ({path})", self.target.name));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(read: impl Fn(&[u8]) -> Outcome + Send + Sync + 'static) -> Vec<String> {
        tally_within(PATIENCE, read)
    }

    fn tally_within(patience: Duration, read: impl Fn(&[u8]) -> Outcome + Send + Sync + 'static) -> Vec<String> {
        let target = Target::new("test-only", vec![b"seed 12".to_vec()], read);
        let plan = Plan { seed: 1, window: Duration::ZERO, patience, save: false, trace: false };
        let (corpus, _) = Corpus::load("test-only").unwrap();
        let (pool, seen, found) = (Vec::new(), BTreeMap::new(), BTreeSet::new());
        let watch = Watch::default();
        let run = Run { target: &target, plan, watch: &watch, corpus, pool, seen, found, tally: Tally::default() };
        target.seeds.iter().filter_map(|seed| run.answer(seed).err()).collect()
    }

    #[test]
    fn every_property_can_be_broken() {
        assert_eq!(tally(|input| Outcome::accepted(&input.len())), Vec::<String>::new());
        assert_eq!(tally_within(Duration::ZERO, |_| Outcome::accepted(&1)), ["it takes 0.0 s to read"]);
        assert!(tally(|_| panic!("on purpose")).concat().starts_with("the reader panics"));
        let count = std::sync::atomic::AtomicU64::new(0);
        let restless = move |_: &[u8]| Outcome::accepted(&count.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        assert_eq!(tally(restless), ["read twice, it gives two answers"]);
        let respelled = |input: &[u8]| {
            let read: std::result::Result<u8, std::num::ParseIntError> = Ok(1);
            Outcome::spelled(input, &read, |_| Ok::<_, String>(Vec::new()))
        };
        assert_eq!(tally(respelled), ["an accepted document is written in another spelling"]);
    }
}
