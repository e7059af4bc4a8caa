//! Guided runs: libFuzzer chooses the inputs of a reader by the branches that they take.
//!
//! Branches are counted by a pass of LLVM that a stable compiler has as well: no sanitizer is asked for, because there is
//! no `unsafe` code for one to look at. The reader runs in a process of its own, so that its memory has a limit, too.

mod guide;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::guide::Guide;
use super::corpus;
use super::run::{Plan, Tally};
use super::targets::Target;
use crate::failure::{During as _, Failure, Result};
use crate::workspace;

/// The variable that names the reader.
const TARGET: &str = "LOCKGATE_FUZZ_TARGET";
/// The variable that says where the reader's files are.
const FOLDER: &str = "LOCKGATE_FUZZ_FOLDER";
/// In that folder: the inputs that libFuzzer keeps.
const FOUND: &str = "found";
/// In that folder: the samples to begin with.
const SEEDS: &str = "seeds";
/// In that folder: the words to change inputs with.
const WORDS: &str = "words";
/// In that folder: how far the run is.
const PROGRESS: &str = "progress.json";
/// In that folder: what libFuzzer says.
const LOG: &str = "log";
/// How the line begins that tells of a broken property.
const SAID: &str = "broken: ";
/// How libFuzzer's line begins that tells where the input of a finding is.
const WRITTEN: &str = "Test unit written to ";

/// The passes of LLVM that count branches and note what is compared, as libFuzzer reads them.
const PASSES: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cdebug-assertions",
];
/// The most memory that a reader may have, in MiB, with all samples and everything that libFuzzer keeps.
const MEMORY_MIB: usize = 1024;
/// After how many seconds libFuzzer gives up on an input.
const LOST_SECONDS: u64 = 60;

/// How far a run is, as it writes it down each second.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Progress {
    /// The time of a processor, in milliseconds.
    millis: u64,
    inputs: u64,
}

/// The program that counts its branches.
#[derive(Debug)]
pub struct Guided {
    program: PathBuf,
    /// Where the readers have their folders.
    folder: PathBuf,
}

impl Guided {
    /// Builds the program, which takes minutes the first time.
    ///
    /// # Errors
    /// When the build fails; it needs a C++ compiler.
    pub fn build() -> Result<Self> {
        let host = host()?;
        let folder = workspace::target_directory()?.join("guided");
        println!("building with branches counted, into {} (minutes, the first time)", folder.display());
        let mut cargo = Command::new("cargo");
        cargo.args(["build", "-q", "--release", "-p", "xtask", "--bin", "guided", "--features", "guided"]);
        // With a target named, build scripts and macros are built without the passes, which they could not run with.
        cargo.args(["--target", &host, "--target-dir"]).arg(&folder).current_dir(workspace::root());
        cargo.env("CARGO_ENCODED_RUSTFLAGS", PASSES.join("\u{1f}"));
        let status = cargo.status().during("start `cargo build`")?;
        match status.success() {
            true => Ok(Self { program: folder.join(&host).join("release/guided"), folder: folder.join("readers") }),
            false => Err(Failure::new(format!("`cargo build` ended with {status}; libFuzzer needs a C++ compiler"))),
        }
    }

    /// Lets libFuzzer drive one reader for a time; a finding ends the run.
    ///
    /// # Errors
    /// When a file cannot be read or written, or the program does not start; a finding is no error.
    pub fn run(&self, target: &Target, plan: Plan) -> Result<Tally> {
        let folder = self.folder.join(&target.name);
        fs::create_dir_all(folder.join(FOUND)).during(format!("make `{}`", folder.display()))?;
        fs::write(folder.join(PROGRESS), serde_json::to_vec(&Progress::default())?)?;
        let mut command = self.command(target, &folder.join(LOG))?;
        command.env(FOLDER, &folder);
        command.arg(format!("-seed={}", plan.seed % u64::from(u32::MAX) + 1));
        command.arg(format!("-max_total_time={}", plan.window.as_secs().max(1)));
        command.arg(format!("-dict={}", folder.join(WORDS).display()));
        command.args([folder.join(FOUND), folder.join(SEEDS)]).arg(corpus::folder(&target.name)?);
        let status = command.status().during(format!("start `{}`", self.program.display()))?;
        let log = String::from_utf8_lossy(&fs::read(folder.join(LOG))?).into_owned();
        let progress: Progress = serde_json::from_slice(&fs::read(folder.join(PROGRESS))?)?;
        let mut tally = Tally {
            inputs: progress.inputs,
            time: Duration::from_millis(progress.millis),
            branches: branches(&log),
            ..Tally::default()
        };
        if let Some(finding) = finding(status, &log) {
            tally.findings.push(format!("{}: {finding}; {}", target.name, folder.join(LOG).display()));
        } else if plan.save {
            tally.kept = self.keep(target, &folder)?;
        }
        Ok(tally)
    }

    /// Puts into the committed corpus few inputs that take, together, the branches which no sample takes.
    fn keep(&self, target: &Target, folder: &Path) -> Result<usize> {
        let chosen = folder.join("chosen");
        if chosen.is_dir() {
            fs::remove_dir_all(&chosen)?;
        }
        // What is in the first folder is there to stay: libFuzzer adds only what takes a branch that nothing in it takes.
        fs::create_dir_all(&chosen)?;
        let mut samples = Vec::new();
        for sample in fs::read_dir(folder.join(SEEDS))? {
            let sample = sample?;
            fs::copy(sample.path(), chosen.join(sample.file_name()))?;
            samples.push(sample.file_name());
        }
        let mut command = self.command(target, &folder.join("log-of-choice"))?;
        // Branches alone: how often one is taken would make for ten times as many inputs.
        command
            .args(["-set_cover_merge=1", "-use_counters=0"])
            .arg(&chosen)
            .arg(folder.join(FOUND))
            .arg(corpus::folder(&target.name)?);
        let status = command.status().during(format!("start `{}`", self.program.display()))?;
        if !status.success() {
            return Err(Failure::new(format!("{}: libFuzzer ended with {status} when it chose inputs", target.name)));
        }
        let mut inputs = Vec::new();
        for entry in fs::read_dir(&chosen)? {
            let entry = entry?;
            if !samples.contains(&entry.file_name()) {
                inputs.push((entry.metadata()?.modified()?, fs::read(entry.path())?));
            }
        }
        // They are written in the order in which they were chosen: what takes the most branches came first.
        inputs.sort();
        corpus::replace(&target.name, inputs.into_iter().map(|(_, input)| input))
    }

    fn command(&self, target: &Target, log: &Path) -> Result<Command> {
        let log = fs::File::create(log).during(format!("write `{}`", log.display()))?;
        let mut command = Command::new(&self.program);
        command.env(TARGET, &target.name).env_remove(FOLDER).current_dir(workspace::root());
        command.stdout(log.try_clone()?).stderr(log);
        command.arg(format!("-artifact_prefix={}", corpus::finding_prefix(&target.name)?));
        command.args([format!("-max_len={}", guide::SEED_BYTES), format!("-rss_limit_mb={MEMORY_MIB}")]);
        command.args([format!("-timeout={LOST_SECONDS}"), "-report_slow_units=60".to_owned()]);
        Ok(command)
    }
}

/// The triple of the machine that this runs on.
fn host() -> Result<String> {
    let about = String::from_utf8(workspace::output("rustc", &["-vV"])?)?;
    let host = about.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| Failure::new("`rustc -vV` names no host"))
}

/// How many branches libFuzzer says the inputs take.
fn branches(log: &str) -> usize {
    let counts = log.lines().filter_map(|line| line.split_once(" cov: ")?.1.split(' ').next()?.parse().ok());
    counts.max().unwrap_or_default()
}

/// What ended a run before its time; nothing when it ended well.
fn finding(status: ExitStatus, log: &str) -> Option<String> {
    if status.success() {
        return None;
    }
    let last = |start: &str| log.lines().rev().find_map(|line| Some(line.split_once(start)?.1.trim().to_owned()));
    let what = last(SAID).or_else(|| last("SUMMARY: libFuzzer: ")).unwrap_or_else(|| status.to_string());
    Some(match last(WRITTEN) {
        Some(path) => format!("{what} ({path})"),
        None => what,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt as _;

    #[test]
    fn what_libfuzzer_says_is_understood() {
        let log = "#2\tINITED cov: 120 ft: 130 corp: 1/1b exec/s: 0 rss: 40Mb\n#9\tNEW    cov: 125 ft: 1 corp: 2/2b\n";
        assert_eq!((branches(log), branches("")), (125, 0));
        assert_eq!(finding(ExitStatus::from_raw(0), log), None);
        let ended = ExitStatus::from_raw(77 << 8);
        let broken = "broken: the reader panics: x\nartifact_prefix='f/a-'; Test unit written to f/a-crash-1\n";
        assert_eq!(finding(ended, broken).unwrap(), "the reader panics: x (f/a-crash-1)");
        let memory = "SUMMARY: libFuzzer: out-of-memory\n";
        assert_eq!(finding(ended, memory).unwrap(), "out-of-memory");
        assert_eq!(finding(ended, "").unwrap(), "exit status: 77");
    }
}
