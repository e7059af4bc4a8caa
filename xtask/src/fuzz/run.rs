//! Runs: one target, for a time, with every property checked on every input.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::corpus::{self, Corpus};
use super::judge::judge;
use super::outcome::Outcome;
use super::targets::{self, Target};
use super::watch::Watch;
use crate::failure::Result;
use crate::mutation::{INPUT_BYTES, Mutator};

/// How many findings a target may have before its run ends.
const FINDINGS_MAX: usize = 5;
/// How many answers of one code are kept: messages that quote what they refuse would make nearly every input a new one.
const SHAPES_MAX: usize = 256;
/// How many codes are told apart: those of readers that have no codes are words out of their messages.
const CODES_MAX: usize = 1024;

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
    pub answers: usize,
    /// Branches that some input takes; zero where nobody counts them.
    pub branches: usize,
    /// Findings of before, which were read first.
    pub regressions: usize,
    /// Inputs written to the corpus.
    pub kept: usize,
    /// What is wrong, each with the file that holds the input.
    pub findings: Vec<String>,
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

/// Reads what was a finding once, the samples, what was kept, and then as many other inputs as there is time for.
///
/// # Errors
/// When a file cannot be read or written; a finding is no error.
pub fn run(target: &Target, plan: Plan, watch: &Watch) -> Result<Tally> {
    let (corpus, kept) = Corpus::load(&target.name)?;
    let (pool, seen, found) = (Vec::new(), BTreeMap::new(), BTreeSet::new());
    let mut run = Run { target, plan, watch, corpus, pool, seen, found, tally: Tally::default() };
    let mended = corpus::regressions(&target.name)?;
    run.tally.regressions = mended.len();
    let mut samples = target.seeds.clone();
    samples.extend(kept);
    let known = targets::words(&samples);
    for sample in mended.into_iter().chain(samples) {
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
    run.tally.answers = run.seen.values().map(BTreeSet::len).sum();
    Ok(run.tally)
}

/// The time of a processor that this thread took until now.
pub fn processor_time() -> Duration {
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
        let answer = judge(self.target, &input, self.plan.patience);
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
