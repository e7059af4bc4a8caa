//! A power cut: what was not flushed may be gone, in any order, and half of it may be there.
//!
//! A server works under strace, which writes down each change of its files. Then, for many lines of that record, its home
//! is made as a disk may hold it when the power was cut there; a server starts on it, and whatever was acknowledged
//! before that line has to be there. No power is cut: what a disk may do is taken from what a flush promises.

mod history;
mod recording;
mod remains;
mod trace;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use lockgate_model::Digest;
use lockgate_store::BlobStore;
use lockgate_store_local::{LocalStore, Options};

use self::history::Change;
use self::recording::{Ack, Recording, What};
use self::remains::{Cut, Reading};
use super::crew::work_through;
use super::database::leaves;
use super::ground::{Ground, reason_in, remove_if_there};
use super::outcome::{Case, Part};
use super::strace::available;
use crate::failure::{During as _, Result};
use crate::random::Random;

/// How many cuts `--quick` makes.
const QUICK_CASES: usize = 24;
/// How many lines between flushes are cut at, besides every flush and every answer.
const BETWEEN: usize = 200;
/// The code under which a server tells that it took damaged rows out.
const MENDED: &str = "STORE_MENDED";
/// What is asked for after the power is back.
const AFTERWARDS: [&str; 4] = ["attest", "shop/web@1.4.2", "--tests", "more.xml"];

/// Runs the part.
///
/// # Errors
/// When the recording, or a case, could not be made or judged.
pub fn run(ground: &Ground) -> Result<Part> {
    let mut part = Part::new("power");
    if !available() {
        part.skipped.push("no strace that may trace; Debian's package `strace` has it".to_owned());
        return Ok(part);
    }
    let recording = Recording::make(ground)?;
    let cuts = choose(ground, &recording);
    let flushes = recording.history.steps.iter().filter(|step| step.change == Change::Flush).count();
    part.notes.push(format!(
        "{} changes and {flushes} flushes, {} acknowledgements, {} cuts",
        recording.history.steps.len() - flushes,
        recording.acks.len(),
        cuts.len()
    ));
    for case in work_through(&cuts, |worker, cut| try_one(ground, &recording, worker, cut))? {
        part.count(&case);
    }
    // Whoever judges has to see a loss where there is one.
    let blind = Cut { line: recording.history.lines, reading: Reading::Nothing, seed: ground.seed };
    match try_one(ground, &recording, 0, &blind)? {
        Case::Lost(_) => {}
        other => part.findings.push(format!("a disk that lost everything is judged as {other:?}")),
    }
    Ok(part)
}

/// Where the power is cut: before and after each flush returns, once each answer has begun, and between; by both
/// readings. With `--quick` a few of them.
fn choose(ground: &Ground, recording: &Recording) -> Vec<Cut> {
    let mut random = Random::new(ground.seed);
    let mut lines = BTreeSet::new();
    for step in recording.history.steps.iter().filter(|step| step.change == Change::Flush) {
        lines.extend([step.end, step.end + 1]);
    }
    lines.extend(recording.acks.iter().map(|ack| ack.line + 1));
    for _ in 0..BETWEEN {
        lines.extend(usize::try_from(random.between(0, recording.history.lines as u64)));
    }
    let mut cuts: Vec<Cut> = Vec::new();
    for line in lines {
        for reading in [Reading::Strict, Reading::Ordered] {
            cuts.push(Cut { line, reading, seed: random.draw() });
        }
    }
    let mut chosen = Vec::new();
    while ground.quick && chosen.len() < QUICK_CASES && !cuts.is_empty() {
        let place = usize::try_from(random.between(0, cuts.len() as u64 - 1)).unwrap_or_default();
        chosen.push(cuts.swap_remove(place));
    }
    if ground.quick { chosen } else { cuts }
}

/// Cuts the power once, starts a server on what is left, and judges it.
fn try_one(ground: &Ground, recording: &Recording, worker: usize, cut: &Cut) -> Result<Case> {
    let home = ground.scratch.join(format!("cut-{worker}"));
    ground.forget(&home)?;
    let missing = cut.make(&recording.history, &home)?;
    let due: Vec<&Ack> = recording.acks.iter().filter(|ack| ack.line < cut.line).collect();
    let case = match judge(ground, recording, &home, &due)? {
        Case::Harmless if missing == 0 => Case::NotFired,
        other => other,
    };
    ground.forget(&home)?;
    let Cut { line, reading, seed } = cut;
    if matches!(case, Case::Lost(_) | Case::Found(_)) && *reading != Reading::Nothing {
        // As it was before a server started there, for someone to look at.
        cut.make(&recording.history, &ground.scratch.join(format!("cut-{line}-{reading:?}-{seed}")))?;
    }
    let named = |what: String| format!("cut at line {line}, {reading:?}, {seed}, {missing} changes missing: {what}");
    Ok(match case {
        Case::Lost(what) => Case::Lost(named(what)),
        Case::Found(what) => Case::Found(named(what)),
        other => other,
    })
}

/// A server starts there and goes on; what is due is there; and the audit finds nothing.
fn judge(ground: &Ground, recording: &Recording, home: &Path, due: &[&Ack]) -> Result<Case> {
    // What the earlier server said of itself is not this one's.
    remove_if_there(&home.join("server.json"))?;
    let mut refused = None;
    let mut wrong = None;
    match ground.serve(home) {
        Err(failure) => match reason_in(&failure.to_string()) {
            Some(reason) => refused = Some(reason),
            None => wrong = Some(format!("the start ends without a reason: {failure}")),
        },
        Ok(server) => {
            let ran = ground.run(home, Some(server.url()), &AFTERWARDS)?;
            wrong = server.end()?.problem();
            if !matches!(ran.code, 0 | 5 | 7) {
                wrong = Some(format!("asked after the restart: {}, {}", ran.code, ran.stderr));
            }
            // No row is half written by a cut: each is whole, or was never there.
            if fs::read_to_string(home.with_extension("log")).is_ok_and(|log| log.contains(MENDED)) {
                wrong = Some("the start took damaged rows out".to_owned());
            }
        }
    }
    if let Some(what) = lost(recording, &home.join("data"), due) {
        return Ok(Case::Lost(match refused {
            Some(reason) => format!("{what}; the start is refused with {reason}"),
            None => what,
        }));
    }
    if let Some(what) = wrong {
        return Ok(Case::Found(what));
    }
    let audit = ground.audit(home)?;
    Ok(settled(refused.as_deref(), audit.code, &audit.problems()))
}

/// How a case ends in which nothing that was acknowledged is missing: `refused` is why no server started there.
fn settled(refused: Option<&str>, audit: i32, problems: &[String]) -> Case {
    match (audit, refused) {
        (0, None) => Case::Harmless,
        // A cut damages nothing that a flush has covered: there is no reason to refuse.
        (0, Some(reason)) => Case::Found(format!("the audit finds nothing, and the start is refused with {reason}")),
        (code, Some(reason)) => {
            Case::Found(format!("the audit ends with {code}: {problems:?}; the start is refused with {reason}"))
        }
        (code, None) => Case::Found(format!("the audit ends with {code}: {problems:?}")),
    }
}

/// What is due and not there.
fn lost(recording: &Recording, data: &Path, due: &[&Ack]) -> Option<String> {
    let now = match leaves(data) {
        Ok(now) => now,
        Err(failure) => return Some(format!("the ledger cannot be read: {failure}")),
    };
    if !now.starts_with(&recording.before) {
        return Some("the ledger no longer begins with what it held".to_owned());
    }
    due.iter().find_map(|ack| match &ack.what {
        What::Entry(index, leaf) => {
            let found = usize::try_from(*index).ok().and_then(|index| now.get(index));
            (found != Some(leaf)).then(|| format!("entry {index} was acknowledged, and is not there"))
        }
        What::Blob(digest) => {
            let problem = read_blob(data, digest).err()?;
            Some(format!("the blob {digest} was acknowledged: {problem}"))
        }
    })
}

/// Reads a blob to its end, where the reader compares its digest.
fn read_blob(data: &Path, digest: &Digest) -> Result<()> {
    let options = Options { readers: 1, ..Options::default() };
    let store = LocalStore::open_read_only(data, options).during("open the store")?;
    match BlobStore::open(&store, digest).during("open it")? {
        Some(mut reader) => io::copy(&mut reader, &mut io::sink()).map(|_| ()).during("read it"),
        None => Err(crate::failure::Failure::new("it is not there")),
    }
}

#[cfg(test)]
mod tests {
    use super::history::{History, Step};
    use super::*;

    #[test]
    fn a_start_that_is_refused_is_a_finding_whatever_the_audit_says() {
        assert_eq!(settled(None, 0, &[]), Case::Harmless);
        for (refused, audit) in [(Some("STORE_CORRUPT"), 0), (Some("STORE_CORRUPT"), 9), (None, 9)] {
            let case = settled(refused, audit, &["HEAD_MISMATCH".to_owned()]);
            assert!(matches!(case, Case::Found(_)), "{refused:?}, {audit}: {case:?}");
        }
    }

    #[test]
    fn each_flush_and_each_answer_is_cut_at_by_both_readings() {
        let flush = Step { begin: 10, end: 14, object: 0, change: Change::Flush };
        let history = History { objects: Vec::new(), steps: vec![flush], sent: Vec::new(), lines: 40 };
        let acks = vec![Ack { line: 20, what: What::Blob(Digest::of(b"blob")) }];
        let recording = Recording { history, acks, before: Vec::new() };
        let mut ground = Ground {
            binary: Default::default(),
            scratch: Default::default(),
            ready: Default::default(),
            seed: 1,
            quick: false,
            flips: 0,
            requests: None,
        };
        let cuts = choose(&ground, &recording);
        for line in [14, 15, 21] {
            for reading in [Reading::Strict, Reading::Ordered] {
                assert!(cuts.iter().any(|cut| cut.line == line && cut.reading == reading), "{line} {reading:?}");
            }
        }
        assert!(cuts.iter().all(|cut| cut.line <= 40));
        assert_eq!(cuts, choose(&ground, &recording));
        ground.quick = true;
        assert_eq!(choose(&ground, &recording).len(), QUICK_CASES);
    }
}
