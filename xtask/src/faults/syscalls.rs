//! Each system call fails: one of each operation is traced, and run again on a fresh copy for each call that it made,
//! with that call failing or the server killed in it.
//!
//! Afterwards, without the server: the ledger is sound, begins with what it held before, and holds every entry that was
//! acknowledged. Then the server starts again in the same place, the operation is asked for again, and the same holds
//! once more. A flush that failed stops the server at once, and no server starts there until the host has.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use lockgate_api::Client;
use lockgate_model::Digest;
use serde_json::Value;

use super::crew::work_through;
use super::database::leaves;
use super::ground::{Ground, POLICY, Ran, push, reason_in, remove_if_there};
use super::outcome::{Case, Part};
use super::strace::{Call, Fault, Program, Strace, available, calls, fired};
use crate::deadline::wait_until;
use crate::failure::{Failure, Result};
use crate::random::Random;
use crate::server::{End, Server, panic_in};

/// How many cases `--quick` runs.
const QUICK_CASES: usize = 28;
/// How many cases are run at most: reads of the database alone are several hundred, and one is much like the next.
const CASES: usize = 3000;
/// How long a server may take to stop by itself after a flush has failed.
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// How long a start under strace may take.
const START_LIMIT: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_millis(5);
/// What is wrong where a server does not stop at all.
const NO_END: &str = "the server does not stop";
/// The directories of the two stores.
const STORES: [&str; 2] = ["data", "data/access"];
/// The exit code of a bug of ours.
const BUG: i32 = 70;
/// How long a server may take to stop that was asked to.
const END_LIMIT: Duration = Duration::from_secs(40);

/// What is done while a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Operation {
    Start,
    Push,
    Evidence,
    Promote,
    Approve,
    Policy,
    Stop,
}

/// All operations. Each ends with a stop, so that what is written late is written under the fault, too.
const OPERATIONS: [Operation; 7] = [
    Operation::Start,
    Operation::Push,
    Operation::Evidence,
    Operation::Promote,
    Operation::Approve,
    Operation::Policy,
    Operation::Stop,
];

impl Operation {
    /// What a person types for it; for a start and a stop, what shows afterwards that writing works.
    fn arguments(self) -> Vec<&'static str> {
        match self {
            Self::Push => push("1.5.0", "app-1.5.0.bin").to_vec(),
            Self::Start | Self::Stop | Self::Evidence => vec!["attest", "shop/web@1.4.2", "--tests", "more.xml"],
            Self::Promote => vec!["promote", "shop/web@1.4.3", "--to", "dev", "--reason", "while something fails"],
            Self::Approve => vec!["approve", "P-3", "--as", "sam", "--yes"],
            Self::Policy => {
                vec!["policy", "activate", POLICY, "--reason", "while something fails", "--as", "sam", "--yes"]
            }
        }
    }

    fn is_asked_for(self) -> bool {
        !matches!(self, Self::Start | Self::Stop)
    }
}

/// One run.
#[derive(Debug, Clone)]
struct Try {
    operation: Operation,
    call: Call,
    fault: Fault,
}

impl Try {
    fn named(&self) -> String {
        let Call { name, file, nth } = &self.call;
        format!("{:?}: {name} {nth} of {file} with {:?}", self.operation, self.fault)
    }
}

/// Runs the part.
///
/// # Errors
/// When a run could not be made or judged.
pub fn run(ground: &Ground) -> Result<Part> {
    let mut part = Part::new("syscalls");
    if !available() {
        part.skipped.push("no strace that may trace; Debian's package `strace` has it".to_owned());
        return Ok(part);
    }
    let traced = work_through(&OPERATIONS, |worker, operation| trace(ground, worker, *operation))?;
    let all: usize = traced.iter().map(|(_, calls)| calls.len()).sum();
    let tries = choose(ground, traced);
    part.notes.push(format!("{all} calls on the home in {} operations; {} runs", OPERATIONS.len(), tries.len()));
    let before = leaves(&ground.ready.join("data"))?;
    for case in work_through(&tries, |worker, one| try_one(ground, worker, one, &before))? {
        part.count(&case);
    }
    Ok(part)
}

/// Runs an operation untroubled, and lists its calls.
fn trace(ground: &Ground, worker: usize, operation: Operation) -> Result<(Operation, Vec<Call>)> {
    let home = ground.copy(&ground.ready, &format!("trace-{worker}"))?;
    let output = ground.scratch.join(format!("trace-{worker}.strace"));
    let subject = Subject::begin(ground, &home, operation, &output, None)?;
    if operation.is_asked_for() {
        ground.run(&home, Some(&subject.url), &operation.arguments())?;
    }
    let pid = subject.pid;
    let end = subject.stop(&home)?;
    if let Some(problem) = end.as_ref().map_or(Some(NO_END.to_owned()), End::problem) {
        return Err(Failure::new(format!("untroubled: {problem}")));
    }
    let found = calls(&String::from_utf8_lossy(&fs::read(&output)?), &home, pid);
    let directories: BTreeSet<String> =
        found.iter().filter(|call| home.join(&call.file).is_dir()).map(|call| call.file.clone()).collect();
    ground.forget(&home)?;
    // While the server starts, files that carry its process id cannot be named to strace beforehand.
    let nameable = |call: &Call| operation != Operation::Start || !call.file.contains("{pid}");
    // The standard library ends a thread whose directory cannot be closed; no file system fails that.
    let closes_directory = |call: &Call| call.name == "close" && directories.contains(&call.file);
    let usable = |call: &Call| !call.file.contains("server.json") && nameable(call) && !closes_directory(call);
    Ok((operation, found.into_iter().filter(usable).collect()))
}

/// Which calls fail, and how: in turn one of each kind of call, fault and operation, at random within the kind.
fn choose(ground: &Ground, traced: Vec<(Operation, Vec<Call>)>) -> Vec<Try> {
    let mut kinds: BTreeMap<(String, u8, Operation), Vec<Try>> = BTreeMap::new();
    for (operation, calls) in traced {
        for call in calls {
            let faults: &[Fault] = match call.is_write() {
                true => &[Fault::Error("EIO"), Fault::Error("ENOSPC"), Fault::Kill],
                false => &[Fault::Error("EIO"), Fault::Kill],
            };
            for (turn, fault) in (0u8..).zip(faults) {
                let one = Try { operation, call: call.clone(), fault: *fault };
                kinds.entry((call.name.clone(), turn, operation)).or_default().push(one);
            }
        }
    }
    let mut random = Random::new(ground.seed);
    let rank = |tries: &Vec<Try>, random: &mut Random| match tries.first() {
        // A failed flush of each operation always comes first.
        Some(one) if one.call.is_flush() && one.fault != Fault::Kill => 0,
        _ => random.draw(),
    };
    let mut kinds: Vec<(u64, Vec<Try>)> = kinds.into_values().map(|tries| (rank(&tries, &mut random), tries)).collect();
    kinds.sort_by_key(|(rank, _)| *rank);
    let most = if ground.quick { QUICK_CASES } else { CASES };
    let mut chosen = Vec::new();
    while chosen.len() < most && !kinds.is_empty() {
        for (_, tries) in &mut kinds {
            let place = usize::try_from(random.between(0, tries.len().saturating_sub(1) as u64)).unwrap_or_default();
            if chosen.len() < most && place < tries.len() {
                chosen.push(tries.swap_remove(place));
            }
        }
        kinds.retain(|(_, tries)| !tries.is_empty());
    }
    chosen
}

/// What an operation under a fault left behind.
#[derive(Debug, Default)]
struct Left {
    fired: bool,
    /// What was acknowledged: indices and leaf hashes.
    acks: Vec<(u64, Digest)>,
    /// The reason with which something was refused.
    refused: Option<String>,
    /// What is wrong already.
    problem: Option<String>,
}

fn try_one(ground: &Ground, worker: usize, one: &Try, before: &[Digest]) -> Result<Case> {
    let home = ground.copy(&ground.ready, &format!("fault-{worker}"))?;
    let output = ground.scratch.join(format!("fault-{worker}.strace"));
    remove_if_there(&output)?;
    let mut left = under_fault(ground, &home, one, &output)?;
    let judged = match left.problem.take() {
        Some(problem) => Some(Case::Found(problem)),
        None => afterwards(ground, &home, one, before, &mut left)?,
    };
    let case = match (judged, left.refused) {
        (Some(Case::Found(what)), _) => Case::Found(format!("{}: {what}", one.named())),
        (Some(Case::Lost(what)), _) => Case::Lost(format!("{}: {what}", one.named())),
        (Some(other), _) => other,
        (None, _) if !left.fired => Case::NotFired,
        (None, Some(reason)) => Case::Detected(reason),
        (None, None) => Case::Harmless,
    };
    ground.forget(&home)?;
    Ok(case)
}

/// Runs the operation with the fault.
fn under_fault(ground: &Ground, home: &Path, one: &Try, output: &Path) -> Result<Left> {
    let mut left = Left::default();
    let mut subject = match Subject::begin(ground, home, one.operation, output, Some((&one.call, one.fault))) {
        Ok(subject) => subject,
        Err(failure) => return Ok(Left { problem: Some(failure.to_string()), ..left }),
    };
    if one.operation.is_asked_for() {
        left.note(&ground.run(home, Some(&subject.url), &one.operation.arguments())?);
        if must_stop(&one.call) && one.fault != Fault::Kill && fired(output) > 0 {
            let ends = wait_until("the end", STOP_LIMIT, STEP, || Ok(subject.ended()?.map(|_| ())));
            if ends.is_err() {
                left.problem.get_or_insert("the server goes on after a failed flush".to_owned());
            }
        }
    }
    let end = subject.stop(home)?;
    // What was written while the server stopped counts, too.
    left.fired = fired(output) > 0;
    let problem = end.as_ref().map_or(Some(NO_END.to_owned()), |end| end_problem(one, left.fired, end));
    left.problem = left.problem.take().or(problem);
    if !one.operation.is_asked_for() {
        left.refused = end.and_then(|end| reason_in(&end.log));
    }
    Ok(left)
}

/// What is wrong with how the server ended. Whatever fails under it, it goes on until it is asked to stop, or says why
/// it does not; and where what failed is a flush of what is acknowledged, it never ends as if nothing had been.
fn end_problem(one: &Try, has_fired: bool, end: &End) -> Option<String> {
    match end.defect() {
        // The trace may not say so yet.
        Some(_) if one.fault == Fault::Kill && end.is_killed() => {
            panic_in(&end.log).map(|line| format!("the server panicked before it was killed: {line}"))
        }
        Some(defect) => Some(defect),
        None => {
            let unseen = one.fault != Fault::Kill && has_fired && must_stop(&one.call) && end.status.success();
            unseen.then(|| "the server ends as if no flush had failed".to_owned())
        }
    }
}

/// Whether the server has to stop when this call of an operation fails: a flush of what is acknowledged. A start is
/// refused then, and a stop says so with its exit code.
fn must_stop(call: &Call) -> bool {
    // The marks beside the data are made anew each time, so that a failed flush of one of them is only a warning.
    let of_data = call.is_flush() && call.file.starts_with("data");
    // SQLite flushes the names beside its log once more with its first commit, and ignores how that ends. The store has
    // flushed them when it opened, which is tried with the start.
    of_data && !STORES.contains(&call.file.as_str())
}

impl Left {
    /// Keeps what a command was told.
    fn note(&mut self, ran: &Ran) {
        match (ran.code, ran.reason()) {
            (0 | 5, _) => self.acks.extend(ran.logged()),
            (code, Some(reason)) if code != BUG => self.refused = self.refused.take().or(Some(reason)),
            (code, _) => {
                let problem = format!("the command ended with {code} and without a reason: {}", ran.stderr);
                self.problem = self.problem.take().or(Some(problem));
            }
        }
    }
}

/// What holds afterwards: `None` when all is well, else how the case ended.
fn afterwards(ground: &Ground, home: &Path, one: &Try, before: &[Digest], left: &mut Left) -> Result<Option<Case>> {
    if let Some(case) = check(ground, home, before, &left.acks, "before the restart")? {
        return Ok(Some(case));
    }
    let mut detected = None;
    let marks = ["data/SUSPECT", "data/access/SUSPECT"].map(|mark| home.join(mark));
    if marks.iter().any(|mark| mark.exists()) {
        match ground.serve(home) {
            Ok(_) => return Ok(Some(Case::Found("a server starts after a failed flush".to_owned()))),
            Err(failure) => detected = reason_in(&failure.to_string()),
        }
        // As the host would be after its next start.
        for mark in marks.iter().filter(|mark| mark.exists()) {
            fs::write(mark, "another start of the host")?;
        }
    }
    let server = match ground.serve(home) {
        Ok(server) => server,
        Err(failure) => return Ok(Some(Case::Found(format!("no restart: {failure}")))),
    };
    let again = ground.run(home, Some(server.url()), &one.operation.arguments())?;
    if let Some(problem) = server.end()?.problem() {
        return Ok(Some(Case::Found(format!("after the restart: {problem}"))));
    }
    match again.code {
        0 | 5 => left.acks.extend(again.logged()),
        // It had been done the first time, though nobody was told.
        7 => {}
        code => {
            let what = format!("asked again after the restart: {code}, {}", again.stderr);
            return Ok(Some(Case::Found(what)));
        }
    }
    if let Some(case) = check(ground, home, before, &left.acks, "after the restart")? {
        return Ok(Some(case));
    }
    Ok(detected.map(Case::Detected))
}

/// The ledger is sound, begins as before, and holds what was acknowledged.
fn check(ground: &Ground, home: &Path, before: &[Digest], acks: &[(u64, Digest)], when: &str) -> Result<Option<Case>> {
    let audit = ground.audit(home)?;
    if audit.code != 0 {
        return Ok(Some(Case::Found(format!("{when} the audit ends with {}: {:?}", audit.code, audit.problems()))));
    }
    let now = leaves(&home.join("data"))?;
    if !now.starts_with(before) {
        return Ok(Some(Case::Lost(format!("{when} the ledger no longer begins with what it held"))));
    }
    for (index, leaf) in acks {
        let found = usize::try_from(*index).ok().and_then(|index| now.get(index));
        if found != Some(leaf) {
            return Ok(Some(Case::Lost(format!("{when} entry {index} was acknowledged, and is not there"))));
        }
    }
    Ok(None)
}

/// The server under strace.
struct Subject {
    // Dropped first, so that the server is let go of before it is killed.
    strace: Strace,
    server: Option<Server>,
    pid: u32,
    url: String,
}

impl Subject {
    /// Starts the server, under strace from the beginning when its start is what is looked at.
    fn begin(
        ground: &Ground,
        home: &Path,
        operation: Operation,
        output: &Path,
        fault: Option<(&Call, Fault)>,
    ) -> Result<Self> {
        if operation != Operation::Start {
            let server = ground.serve(home)?;
            let (pid, url) = (server.process(), server.url().to_owned());
            let strace = Strace::attach(pid, home, output, fault)?;
            return Ok(Self { strace, server: Some(server), pid, url });
        }
        let log = home.with_extension("log");
        let arguments = ["serve", "--listen", "127.0.0.1:0"];
        let program = Program { binary: &ground.binary, arguments: &arguments, home, log: &log };
        let strace = Strace::start(&program, output, fault)?;
        let mut subject = Self { strace, server: None, pid: 0, url: String::new() };
        wait_until("a start under strace", START_LIMIT, STEP, || {
            if subject.strace.ended()?.is_some() {
                return Ok(Some(()));
            }
            let announced = fs::read(home.join("server.json")).unwrap_or_default();
            let announced: Value = serde_json::from_slice(&announced).unwrap_or_default();
            let (Some(pid), Some(url)) = (announced.get("pid"), announced.get("url")) else { return Ok(None) };
            subject.pid = pid.as_u64().and_then(|pid| u32::try_from(pid).ok()).unwrap_or_default();
            url.as_str().unwrap_or_default().clone_into(&mut subject.url);
            Ok(Client::new(&subject.url, None).get_bytes("/healthz").is_ok().then_some(()))
        })?;
        Ok(subject)
    }

    /// How the server ended, if it has; a strace that started it ends with it, and in the same way.
    fn ended(&mut self) -> Result<Option<ExitStatus>> {
        match &mut self.server {
            Some(server) => server.status(),
            None => self.strace.ended(),
        }
    }

    /// Ends the server if it has not ended, and gives how it did; `None` when it does not end.
    fn stop(mut self, home: &Path) -> Result<Option<End>> {
        if self.ended()?.is_none() {
            // A server that ends in this moment needs no signal.
            self.signal(rustix::process::Signal::TERM);
        }
        let Ok(status) = wait_until("the end", END_LIMIT, STEP, || self.ended()) else { return Ok(None) };
        let log = fs::read(home.with_extension("log")).unwrap_or_default();
        Ok(Some(End { status, log: String::from_utf8_lossy(&log).into_owned() }))
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.pid).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process(pid, signal);
        }
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        // The server under a strace that started it is nobody's child here.
        if self.server.is_none() && matches!(self.strace.ended(), Ok(None)) {
            self.signal(rustix::process::Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    /// A call on a file fails or kills; the server ends with this status, as `wait` gives it, and has said this.
    #[track_caller]
    fn check((name, file, fault): (&str, &str, Fault), raw: i32, log: &str, fine: bool) {
        let call = Call { name: name.to_owned(), file: file.to_owned(), nth: 1 };
        let one = Try { operation: Operation::Stop, call, fault };
        let end = End { status: ExitStatus::from_raw(raw), log: log.to_owned() };
        assert_eq!(end_problem(&one, true, &end).is_none(), fine, "{one:?}, {end:?}");
    }

    #[test]
    fn whatever_fails_a_server_ends_with_a_reason_and_without_a_panic() {
        let read = ("pread64", "data/ledger.db", Fault::Error("EIO"));
        check(read, 0, "stopping", true);
        check(read, 8 << 8, "error[STORE_FAILED]: x", true);
        check(read, 8 << 8, "listening", false);
        check(read, 70 << 8, "error[BUG]: x", false);
        check(read, 6, "", false);
        check(read, 9, "", false);
        check(read, 0, "thread 'sequencer' panicked at x", false);
    }

    #[test]
    fn a_planned_kill_ends_it_and_no_other_signal_does() {
        let kill = ("pwrite64", "data/ledger.db-wal", Fault::Kill);
        check(kill, 9, "listening", true);
        check(kill, 6, "listening", false);
        check(kill, 9, "thread 'sequencer' panicked at x", false);
    }

    #[test]
    fn a_failed_flush_of_the_data_is_never_passed_over() {
        let flush = ("fdatasync", "data/ledger.db-wal", Fault::Error("EIO"));
        check(flush, 0, "stopping", false);
        check(flush, 8 << 8, "stopping at once", true);
        check(("fsync", "data", Fault::Error("EIO")), 0, "stopping", true);
        check(("fsync", "high-water", Fault::Error("EIO")), 0, "stopping", true);
    }
}
