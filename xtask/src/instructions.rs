//! `instructions`: counts the instructions of hot pure functions under callgrind, and compares them with the table in
//! `docs/instructions.toml`.
//!
//! Instructions do not depend on what else the machine does, so that a small loss shows in one run. What is counted is a
//! call in a release build: each function is called N times, then 2 N times, in a process of its own, and the difference
//! is N calls without start, preparation and end. Callgrind's processor has no instructions for SHA, and it does not see
//! what the kernel does: neither the speed of hashing nor that of storing can be read off the table.

mod functions;
mod samples;
mod table;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::{Args, Subcommand};

use self::functions::{FUNCTIONS, Function};
use self::table::Table;
use crate::bench;
use crate::failure::{During as _, Failure, Result};
use crate::scratch::Scratch;
use crate::workspace;

/// The program that counts, a package of Debian.
const VALGRIND: &str = "valgrind";
/// The table.
const FILE: &str = "docs/instructions.toml";
/// How many times the instructions of the table are still the same: what differs are keys and signatures, which are made
/// anew in each run.
const TOLERANCE: f64 = 1.03;

/// `instructions`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Write the table instead of comparing with it
    #[arg(long, conflicts_with = "only")]
    update: bool,
    /// Count one function alone
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// What is counted, in a process of its own.
    #[command(subcommand)]
    call: Option<Call>,
}

/// What is counted.
#[derive(Debug, Subcommand)]
enum Call {
    /// Call one function again and again
    #[command(hide = true)]
    Run {
        /// Its name.
        name: String,
        /// How many times.
        times: u64,
        /// The file of samples.
        samples: PathBuf,
    },
}

/// Counts every function and compares; nothing is counted where valgrind is not installed.
///
/// # Errors
/// When a function takes more instructions than the table and the tolerance allow, or cannot be counted.
pub fn run(arguments: &Arguments) -> Result<()> {
    if let Some(Call::Run { name, times, samples }) = &arguments.call {
        return functions::call(name, *times, samples);
    }
    let Some(valgrind) = version(VALGRIND) else {
        println!("skipped: {VALGRIND} is not installed; `apt-get install valgrind` brings it");
        return Ok(());
    };
    if cfg!(debug_assertions) {
        return bench::again_in_release();
    }
    let compiler = version("rustc").ok_or_else(|| Failure::new("rustc does not say its version"))?;
    let scratch = Scratch::new("instructions")?;
    let samples = scratch.path().join("samples.json");
    samples::write(scratch.path(), &samples)?;
    let mut counted = Table { compiler, valgrind, ..Table::default() };
    for function in wanted(arguments.only.as_deref())? {
        eprintln!("counting: {}", function.name);
        counted.instructions.insert(function.name.to_owned(), count(function, scratch.path(), &samples)?);
    }
    if arguments.update {
        println!("{}", counted.beside(&Table::default()));
        return workspace::write(FILE, &counted.to_text());
    }
    let kept = match workspace::root().join(FILE).exists() {
        true => Table::parse(&workspace::read(FILE)?)?,
        false => return Err(Failure::new(format!("there is no {FILE} yet: run `cargo xtask instructions --update`"))),
    };
    println!("{}", counted.beside(&kept));
    let other = |what: &str, now: &str, then: &str| {
        if now != then {
            println!("note: the table was counted with another {what}, `{then}` and not `{now}`");
        }
    };
    other("compiler", &counted.compiler, &kept.compiler);
    other("valgrind", &counted.valgrind, &kept.valgrind);
    match counted.worse_than(&kept, TOLERANCE).as_slice() {
        [] => Ok(()),
        worse => Err(Failure::new(format!(
            "more instructions than {FILE} allows: {}; make it cheaper, or say in the change why it has to cost that and \
             run `cargo xtask instructions --update`",
            worse.join(", ")
        ))),
    }
}

fn wanted(only: Option<&str>) -> Result<Vec<&'static Function>> {
    let wanted: Vec<&Function> =
        FUNCTIONS.iter().filter(|function| only.is_none_or(|only| only == function.name)).collect();
    match wanted.is_empty() {
        false => Ok(wanted),
        true => {
            let names: Vec<&str> = FUNCTIONS.iter().map(|function| function.name).collect();
            Err(Failure::new(format!("there is no such function: the names are {}", names.join(", "))))
        }
    }
}

/// The first line of what a program says about its version; none where it is not installed.
fn version(program: &str) -> Option<String> {
    let output = Command::new(program).arg("--version").stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().next().filter(|_| output.status.success()).map(|line| line.trim().to_owned())
}

/// Instructions of one call.
fn count(function: &Function, folder: &Path, samples: &Path) -> Result<u64> {
    let once = total(function.name, function.times, folder, samples)?;
    let twice = total(function.name, function.times * 2, folder, samples)?;
    let calls = twice.checked_sub(once).and_then(|calls| calls.checked_div(function.times));
    calls.ok_or_else(|| Failure::new(format!("more calls of {} took fewer instructions", function.name)))
}

/// Instructions of a whole process that calls a function so many times.
fn total(name: &str, times: u64, folder: &Path, samples: &Path) -> Result<u64> {
    let file = folder.join(format!("{name}-{times}.callgrind"));
    let own = std::env::current_exe().during("find this program")?;
    let output = Command::new(VALGRIND)
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(own)
        .args(["instructions", "run", name, &times.to_string()])
        .arg(samples)
        .stdin(Stdio::null())
        .output()
        .during(format!("start {VALGRIND}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(Failure::new(format!("{name} under {VALGRIND} ended with {}:\n{said}", output.status)));
    }
    let bytes = fs::read(&file).during(format!("read what {VALGRIND} counted"))?;
    totals(&String::from_utf8_lossy(&bytes))
        .ok_or_else(|| Failure::new(format!("{VALGRIND} does not say how many instructions {name} took")))
}

/// The sum at the end of a callgrind file (Callgrind format specification, "totals").
fn totals(text: &str) -> Option<u64> {
    let line = text.lines().rev().find_map(|line| line.strip_prefix("totals:"))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_at_the_end() {
        let check = |text: &str, expected: Option<u64>| assert_eq!(totals(text), expected, "{text}");
        check("version: 1\nsummary: 7\nfn=(1)\n0 3\n\ntotals: 5509372\n", Some(5_509_372));
        check("summary: 7\n", None);
        check("totals: many\n", None);
    }

    #[test]
    fn functions_are_found_by_name() {
        assert_eq!(wanted(None).unwrap().len(), FUNCTIONS.len());
        assert_eq!(wanted(Some("json-read")).unwrap().len(), 1);
        assert!(wanted(Some("json")).is_err());
    }
}
