//! Guided runs: libFuzzer chooses the inputs of a reader by the branches that they take.
//!
//! Branches are counted by a pass of LLVM that a stable compiler has as well: no sanitizer is asked for, because there is
//! no `unsafe` code for one to look at. The reader runs in a process of its own, so that its stack and its memory have
//! limits, too.

mod guide;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, SystemTime};

use rustix::process::Signal;
use serde::{Deserialize, Serialize};

pub use self::guide::Guide;
use super::corpus::{self, Corpus};
use super::run::{Plan, Tally};
use super::story::Story;
use super::targets::{self, Target};
use crate::failure::{During as _, Failure, Result};
use crate::mutation::INPUT_BYTES;
use crate::workspace;

/// The variable that names the reader.
const TARGET: &str = "LOCKGATE_FUZZ_TARGET";
/// The variable that says where the readers have their folders.
const FOLDER: &str = "LOCKGATE_FUZZ_FOLDER";
/// The variable that has each input written down before it is read.
const TRACE: &str = "LOCKGATE_FUZZ_TRACE";
/// Beside the folders of the readers: what the real engine wrote, for all runs, because inputs are signed under its keys.
const STORY: &str = "story.json";
/// In a reader's folder: the inputs that libFuzzer keeps.
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
const BROKEN: &str = "broken: ";
/// How the line begins that tells of anything else that ended the program.
const FAILED: &str = "guided: ";
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
/// With which codes libFuzzer ends after a finding: an input that took too long, and one that ended the program.
const FINDINGS: [i32; 2] = [70, 77];
/// Which signals end a reader that libFuzzer cannot speak for any more: a stack that is used up, and its like.
const CRASHES: [Signal; 4] = [Signal::SEGV, Signal::BUS, Signal::ILL, Signal::ABORT];
/// After how many seconds libFuzzer gives up on an input.
const LOST_SECONDS: u64 = 60;
/// The longest word that libFuzzer is told of, in bytes; it knows none of more than 64.
const WORD_BYTES: usize = 48;

/// How far a run is, as it writes it down each second.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Progress {
    /// The time of a processor, in milliseconds.
    millis: u64,
    inputs: u64,
}

/// The program that counts its branches, and where its runs have their files.
#[derive(Debug)]
pub struct Guided {
    /// Where it is built.
    build: PathBuf,
    program: PathBuf,
    /// Where the readers have their folders.
    folder: PathBuf,
    host: String,
    /// Locked for as long as this runs: two runs would write the same files.
    _lock: File,
}

impl Guided {
    /// Takes the place where guided runs have their files.
    ///
    /// # Errors
    /// When another run has it, or it cannot be made.
    pub fn begin() -> Result<Self> {
        let about = String::from_utf8(workspace::output("rustc", &["-vV"])?)?;
        let host = about.lines().find_map(|line| line.strip_prefix("host: "));
        let host = host.ok_or_else(|| Failure::new("`rustc -vV` names no host"))?.to_owned();
        let build = workspace::target_directory()?.join("guided");
        let folder = build.join("readers");
        fs::create_dir_all(&folder).during(format!("make `{}`", folder.display()))?;
        let lock = File::create(build.join("lock"))?;
        lock.try_lock().during("another guided run has the same files")?;
        Ok(Self { program: build.join(&host).join("release/guided"), build, folder, host, _lock: lock })
    }

    /// What the real engine wrote for all guided runs.
    ///
    /// # Errors
    /// When it can neither be read nor made.
    pub fn story(&self) -> Result<Story> {
        story_of(&self.folder)
    }

    /// Builds the program, which takes minutes the first time.
    ///
    /// # Errors
    /// When the build fails; it needs a C++ compiler.
    pub fn build(&self) -> Result<()> {
        println!("building with branches counted, into {} (minutes, the first time)", self.build.display());
        let mut cargo = Command::new("cargo");
        cargo.args(["build", "-q", "--release", "-p", "xtask", "--bin", "guided", "--features", "guided"]);
        // With a target named, build scripts and macros are built without the passes, which they could not run with.
        cargo.args(["--target", &self.host, "--target-dir"]).arg(&self.build).current_dir(workspace::root());
        cargo.env("CARGO_ENCODED_RUSTFLAGS", PASSES.join("\u{1f}"));
        let status = cargo.status().during("start `cargo build`")?;
        match status.success() {
            true => Ok(()),
            false => Err(Failure::new(format!("`cargo build` ended with {status}; libFuzzer needs a C++ compiler"))),
        }
    }

    /// Lets libFuzzer drive one reader for a time; a finding ends the run.
    ///
    /// # Errors
    /// When a file cannot be read or written, or the program ends for a reason that is no finding.
    pub fn run(&self, target: &Target, plan: Plan) -> Result<Tally> {
        let folder = self.folder.join(&target.name);
        fs::create_dir_all(folder.join(FOUND)).during(format!("make `{}`", folder.display()))?;
        write_seeds(&folder.join(SEEDS), &target.seeds)?;
        fs::write(folder.join(WORDS), dictionary(&targets::words(&target.seeds)))?;
        fs::write(folder.join(PROGRESS), serde_json::to_vec(&Progress::default())?)?;
        let mut command = self.command(target, &folder.join(LOG))?;
        if plan.trace {
            command.env(TRACE, "1");
        }
        command.arg(format!("-seed={}", plan.seed % u64::from(u32::MAX) + 1));
        command.arg(format!("-max_total_time={}", plan.window.as_secs().max(1)));
        command.arg(format!("-dict={}", folder.join(WORDS).display()));
        command.args([folder.join(FOUND), folder.join(SEEDS)]).arg(corpus::folder(&target.name)?);
        command.args(corpus::regressions_folder(&target.name));
        let status = command.status().during(format!("start `{}`", self.program.display()))?;
        let log = String::from_utf8_lossy(&fs::read(folder.join(LOG))?).into_owned();
        let finding = finding(status, &log).during(format!("{}: see {}", target.name, folder.join(LOG).display()))?;
        let progress: Progress = serde_json::from_slice(&fs::read(folder.join(PROGRESS))?)?;
        let mut tally = Tally {
            inputs: progress.inputs,
            time: Duration::from_millis(progress.millis),
            branches: branches(&log),
            ..Tally::default()
        };
        if let Some(finding) = finding {
            tally.findings.push(format!("{}: {finding}; {}", target.name, folder.join(LOG).display()));
        } else if plan.save {
            tally.kept = self.keep(target, &folder)?;
        }
        Ok(tally)
    }

    /// Adds to the committed corpus what takes branches that neither a sample nor an input in it takes, as far as there is
    /// room: what takes the most of them first.
    fn keep(&self, target: &Target, folder: &Path) -> Result<usize> {
        let (chosen, offered) = (folder.join("chosen"), folder.join("offered"));
        for place in [&chosen, &offered] {
            if place.is_dir() {
                fs::remove_dir_all(place)?;
            }
            fs::create_dir_all(place)?;
        }
        // What is in the first folder is there to stay: libFuzzer adds only what takes a branch that nothing in it takes.
        copy(&folder.join(SEEDS), &chosen, INPUT_BYTES)?;
        copy(&corpus::folder(&target.name)?, &chosen, INPUT_BYTES)?;
        copy(&folder.join(FOUND), &offered, corpus::KEPT_BYTES)?;
        let known: BTreeSet<_> = entries(&chosen)?.into_iter().map(|(_, path)| path).collect();
        let mut command = self.command(target, &folder.join("log-of-choice"))?;
        // Branches alone: how often one is taken would make for ten times as many inputs.
        command.args(["-set_cover_merge=1", "-use_counters=0"]).args([&chosen, &offered]);
        let status = command.status().during(format!("start `{}`", self.program.display()))?;
        if !status.success() {
            return Err(Failure::new(format!("{}: libFuzzer ended with {status} when it chose inputs", target.name)));
        }
        // They are written in the order in which they were chosen.
        let mut fresh = entries(&chosen)?;
        fresh.retain(|(_, path)| !known.contains(path));
        fresh.sort();
        let (mut corpus, _) = Corpus::load(&target.name)?;
        let mut kept = 0;
        for (_, path) in fresh {
            kept += usize::from(corpus.keep(&fs::read(path)?)?);
        }
        Ok(kept)
    }

    fn command(&self, target: &Target, log: &Path) -> Result<Command> {
        let log = File::create(log).during(format!("write `{}`", log.display()))?;
        let mut command = Command::new(&self.program);
        command.env(TARGET, &target.name).env(FOLDER, &self.folder).env_remove(TRACE).current_dir(workspace::root());
        command.stdout(log.try_clone()?).stderr(log);
        command.arg(format!("-artifact_prefix={}", corpus::finding_prefix(&target.name)?));
        // Memory is limited where it is asked for: libFuzzer would look once a second, and blame what is read then.
        command.args([format!("-max_len={INPUT_BYTES}"), "-rss_limit_mb=0".to_owned()]);
        command.args([format!("-timeout={LOST_SECONDS}"), format!("-report_slow_units={LOST_SECONDS}")]);
        Ok(command)
    }
}

/// What the real engine wrote for all guided runs, which have their files in this folder.
fn story_of(folder: &Path) -> Result<Story> {
    Story::of_file(&folder.join(STORY))
}

/// Writes samples in place of those of the run before.
fn write_seeds(folder: &Path, seeds: &[Vec<u8>]) -> Result<()> {
    if folder.is_dir() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    for seed in seeds.iter().filter(|seed| seed.len() <= INPUT_BYTES) {
        fs::write(folder.join(corpus::short(seed)), seed)?;
    }
    Ok(())
}

/// Words in libFuzzer's form: one a line, in quotes, every byte escaped.
fn dictionary(words: &[Vec<u8>]) -> String {
    let fit = words.iter().filter(|word| !word.is_empty() && word.len() <= WORD_BYTES);
    fit.map(|word| {
        let escaped: String = word.iter().map(|byte| format!("\\x{byte:02x}")).collect();
        format!("\"{escaped}\"\n")
    })
    .collect()
}

/// The files of a folder, each with when it was written.
fn entries(folder: &Path) -> Result<Vec<(SystemTime, PathBuf)>> {
    let read = |entry: fs::DirEntry| Ok((entry.metadata()?.modified()?, entry.path()));
    let entries = fs::read_dir(folder)?.map(|entry| entry.and_then(read)).collect::<std::io::Result<_>>();
    entries.during(format!("read `{}`", folder.display()))
}

/// Copies the files of a folder that are no longer than that, in bytes.
fn copy(from: &Path, to: &Path, most: usize) -> Result<()> {
    for (_, path) in entries(from)? {
        if fs::metadata(&path)?.len() <= most as u64
            && let Some(name) = path.file_name()
        {
            fs::copy(&path, to.join(name))?;
        }
    }
    Ok(())
}

/// How many branches libFuzzer says the inputs take.
fn branches(log: &str) -> usize {
    let counts = log.lines().filter_map(|line| line.split_once(" cov: ")?.1.split(' ').next()?.parse().ok());
    counts.max().unwrap_or_default()
}

/// What the reader did wrong; nothing when the run ended well.
///
/// # Errors
/// When the program ended for a reason that says nothing about the reader.
fn finding(status: ExitStatus, log: &str) -> Result<Option<String>> {
    let last = |start: &str| log.lines().rev().find_map(|line| Some(line.split_once(start)?.1.trim().to_owned()));
    let own = log.lines().rev().find_map(|line| line.strip_prefix(FAILED));
    let crashed = status.signal().is_some_and(|signal| CRASHES.iter().any(|crash| crash.as_raw() == signal));
    let found = crashed || status.code().is_some_and(|code| FINDINGS.contains(&code));
    match (status.success(), own) {
        (true, _) => Ok(None),
        (false, Some(reason)) => Err(Failure::new(reason)),
        (false, None) if !found => Err(Failure::new(format!("libFuzzer ended with {status}"))),
        (false, None) => {
            let what = last(BROKEN).or_else(|| last("SUMMARY: libFuzzer: ")).unwrap_or_else(|| status.to_string());
            Ok(Some(match last(WRITTEN) {
                Some(path) => format!("{what} ({path})"),
                None => format!("{what} (no input was written: run it again with --trace)"),
            }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn what_libfuzzer_says_is_understood() {
        let log = "#2\tINITED cov: 120 ft: 130 corp: 1/1b exec/s: 0 rss: 40Mb\n#9\tNEW    cov: 125 ft: 1 corp: 2/2b\n";
        assert_eq!((branches(log), branches("")), (125, 0));
        let ended = |code: i32, log: &str| finding(ExitStatus::from_raw(code << 8), log);
        assert_eq!(ended(0, log).unwrap(), None);
        let broken = "broken: the reader panics: x\nartifact_prefix='f/a-'; Test unit written to f/a-crash-1\n";
        assert_eq!(ended(77, broken).unwrap().unwrap(), "the reader panics: x (f/a-crash-1)");
        let late = "SUMMARY: libFuzzer: timeout\nTest unit written to f/a-timeout-1\n";
        assert_eq!(ended(70, late).unwrap().unwrap(), "timeout (f/a-timeout-1)");
        let overflow = finding(ExitStatus::from_raw(Signal::SEGV.as_raw()), log).unwrap().unwrap();
        assert!(overflow.contains("SIGSEGV") && overflow.contains("--trace"), "{overflow}");
        // Somebody ended it, the disk is full, a sample cannot be read: nothing of that says anything about the reader.
        for code in [1, 2, 72] {
            assert!(ended(code, log).is_err(), "{code}");
        }
        assert!(finding(ExitStatus::from_raw(Signal::KILL.as_raw()), log).is_err());
        assert!(ended(77, "guided: write the progress: no space\nTest unit written to f/a-crash-1\n").is_err());
    }

    #[test]
    fn words_and_samples_are_written_as_libfuzzer_reads_them() {
        assert_eq!(dictionary(&[b"a\"".to_vec(), Vec::new(), vec![b'x'; WORD_BYTES + 1]]), "\"\\x61\\x22\"\n");
        let scratch = Scratch::new("fuzz-seeds").unwrap();
        let folder = scratch.path().join("seeds");
        write_seeds(&folder, &[b"old".to_vec()]).unwrap();
        write_seeds(&folder, &[b"a".to_vec(), b"bcd".to_vec(), vec![0; INPUT_BYTES + 1]]).unwrap();
        assert_eq!(entries(&folder).unwrap().len(), 2);
        copy(&folder, scratch.path(), 1).unwrap();
        assert!(scratch.path().join(corpus::short(b"a")).is_file());
        assert!(!scratch.path().join(corpus::short(b"bcd")).exists());
    }
}
