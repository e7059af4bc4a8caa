//! The target that is no reader: the command line of the real program, and the files of its home.
//!
//! In some rounds a valid command line is changed; in the others a file of the home is damaged, and a command that reads it
//! is run. Whatever it is, a command comes to an end in one of the ways that are published, and says why. What it is not
//! given, and what is not found, stands in `docs/fuzzing.md`.

mod bounds;
mod damage;
mod grammar;
mod judge;
mod lines;
mod process;
mod stage;
mod trial;

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use self::grammar::Grammar;
use self::process::{End, Ran};
use self::stage::Stage;
use self::trial::Trial;
use super::{CLI, corpus};
use crate::failure::Result;
use crate::faults::ground::Ground;
use crate::scratch::Scratch;

/// How many commands are run beside one server: some of them change what the others find.
const ROUNDS: u64 = 300;
/// One round in so many damages the home; the others change a command line.
const DAMAGED: usize = 3;
/// How much of what a command said a finding shows, in bytes.
const SHOWN_BYTES: usize = 600;

/// What came of it.
#[derive(Debug)]
pub struct Told {
    /// How many commands were run.
    pub commands: u64,
    /// How many answers differ, by command, exit code and reason code.
    pub answers: usize,
    /// What is wrong.
    pub findings: Vec<String>,
}

/// What is known so far.
#[derive(Debug, Default)]
struct Tally {
    commands: u64,
    answers: BTreeSet<(&'static str, Option<i32>, Option<String>)>,
    /// What is wrong, once for each sort.
    findings: BTreeMap<String, String>,
}

/// Tries commands on an instance of its own for some time.
///
/// # Errors
/// When the instance could not be made, or a command not be run.
pub fn run(binary: PathBuf, seed: u64, window: Duration) -> Result<Told> {
    let mut scratch = Scratch::new("fuzz-cli")?;
    let told = Ground::prepare(scratch.path(), binary, seed, true, 0).and_then(|ground| play(&ground, seed, window));
    if told.as_ref().map_or(true, |told| !told.findings.is_empty()) {
        scratch.keep();
        eprintln!("everything is left in {}", scratch.path().display());
    }
    told
}

fn play(ground: &Ground, seed: u64, window: Duration) -> Result<Told> {
    let (mut grammar, mut tally, started) = (Grammar::new(), Tally::default(), Instant::now());
    while started.elapsed() < window {
        let stage = Stage::set(ground)?;
        for _ in (0..ROUNDS).take_while(|_| started.elapsed() < window) {
            round(&stage, &mut grammar, seed, &mut tally)?;
        }
        if let Some(problem) = stage.end()? {
            tally.findings.insert("the server".to_owned(), problem);
        }
    }
    let Tally { commands, answers, findings } = tally;
    let findings = findings.into_iter().map(|(sort, told)| format!("{sort}: {told}")).collect();
    Ok(Told { commands, answers: answers.len(), findings })
}

/// Tries one command, which follows from the seed and its number.
fn round(stage: &Stage<'_>, grammar: &mut Grammar, seed: u64, tally: &mut Tally) -> Result<()> {
    grammar.begin(seed, tally.commands);
    let home = stage.freshen()?;
    let trial = match grammar.one_in(DAMAGED) {
        true => damage::damage(grammar, &home)?,
        false => grammar.line(),
    };
    let ran = stage.run(&trial)?;
    let wrong = stage.wrong(&trial, &ran);
    tally.note(seed, &trial, &ran, wrong)
}

impl Tally {
    /// Counts a command, and keeps what is wrong with it, where that is new.
    fn note(&mut self, seed: u64, trial: &Trial, ran: &Ran, wrong: Option<String>) -> Result<()> {
        let command = trial.line.split(' ').next().unwrap_or_default();
        let code = match ran.end {
            End::Code(code) => Some(code),
            End::Signal(_) | End::Late => None,
        };
        self.answers.insert((command, code, judge::reason(&ran.stderr)));
        let number = self.commands;
        self.commands += 1;
        let Some(wrong) = wrong else { return Ok(()) };
        let sort = format!("{command}: {wrong}");
        if let Entry::Vacant(place) = self.findings.entry(sort) {
            let content = trial.damage.as_ref().and_then(|damage| damage.content.as_ref());
            let kept = content.map(|content| corpus::finding(CLI, content)).transpose()?;
            let kept = kept.map(|path| format!(" ({path})")).unwrap_or_default();
            let told = format!("command {number} of seed {seed}: {trial}{kept}\n{}", said(ran));
            place.insert(told);
        }
        Ok(())
    }
}

/// The beginning of what a command printed and said.
fn said(ran: &Ran) -> String {
    let part = |bytes: &[u8]| bytes.get(..SHOWN_BYTES).unwrap_or(bytes).escape_ascii().to_string();
    format!("  {:?}\n  stdout  {}\n  stderr  {}", ran.end, part(&ran.stdout), part(&ran.stderr))
}

#[cfg(test)]
mod tests {
    use super::trial::{Damage, Demand};
    use super::*;

    #[test]
    fn a_finding_is_told_once_a_sort_with_what_repeats_it() {
        let damage = Damage { told: "`trust.json` of the home is empty".to_owned(), content: None };
        let words = grammar::words("verify x");
        let trial = Trial { line: "verify y", words, json: false, damage: Some(damage), demand: Demand::Ended };
        let ran = Ran { end: End::Code(3), stdout: Vec::new(), stderr: b"error[A_CODE]: \x1b".to_vec() };
        let mut tally = Tally::default();
        for wrong in [None, Some("a"), Some("a"), Some("b")] {
            tally.note(7, &trial, &ran, wrong.map(ToOwned::to_owned)).unwrap();
        }
        assert_eq!((tally.commands, tally.answers.len()), (4, 1));
        let sorts: Vec<&str> = tally.findings.keys().map(String::as_str).collect();
        assert_eq!(sorts, ["verify: a", "verify: b"]);
        let told = &tally.findings["verify: a"];
        let expected = "command 1 of seed 7: lockgate \"verify\" \"x\", where `trust.json` of the home is empty\n";
        assert!(told.starts_with(expected), "{told}");
        assert!(told.contains("Code(3)") && told.ends_with("error[A_CODE]: \\x1b"), "{told}");
    }
}
