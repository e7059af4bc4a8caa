//! Torn writes: the last bytes of a database, or of the write-ahead log of a killed server, are missing or garbled.
//!
//! What was acknowledged before the damaged bytes were written stays. What was in them may be gone, as a disk that loses
//! flushed bytes takes them; then the ledger is a shorter one that was once true, and whoever holds a later receipt sees
//! that it is.

use std::fs;
use std::path::{Path, PathBuf};

use lockgate_model::Digest;

use super::answers::alarm;
use super::crew::work_through;
use super::damage::{DATABASES, Untouched, replace};
use super::database::leaves;
use super::ground::{Ground, push, reason_in};
use super::outcome::{Case, Part};
use crate::failure::{During as _, Failure, Result};
use crate::random::Random;

/// The step in which more and more bytes are damaged.
const STEP: usize = 512;
/// How far from the end of a write-ahead log the damage begins at most: several commits.
const DEEPEST: usize = 64 * 1024;
/// The same for a database, and for a log with `--quick`.
const DEEP: usize = 4096;

/// How bytes are damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// They are cut off.
    Cut,
    /// They are zeros.
    Zeros,
    /// They are others.
    Noise,
}

/// One case.
#[derive(Debug, Clone)]
struct Tear {
    /// Relative to the home.
    file: String,
    /// How many of the last bytes are damaged.
    last: usize,
    how: How,
}

/// Something that was acknowledged, with what was on the disk then.
#[derive(Debug, Clone)]
struct Ack {
    index: u64,
    leaf: Digest,
    /// The length of the ledger's write-ahead log once the answer was there.
    log_bytes: u64,
    /// A file with the checkpoint of the answer.
    note: PathBuf,
}

/// An instance whose server was killed after some work.
#[derive(Debug)]
pub struct Killed {
    /// Its home.
    pub home: PathBuf,
    leaves: Vec<Digest>,
    acks: Vec<Ack>,
}

impl Killed {
    /// Starts a server, asks it for a few things, and kills it.
    ///
    /// # Errors
    /// When it refuses any of them.
    pub fn make(ground: &Ground, name: &str) -> Result<Self> {
        let home = ground.copy(&ground.ready, name)?;
        let mut server = ground.serve(&home)?;
        let asked: [&[&str]; 3] = [
            &push("1.5.0", "app-1.5.0.bin"),
            &["attest", "shop/web@1.4.2", "--tests", "more.xml"],
            &["promote", "shop/web@1.4.3", "--to", "dev", "--reason", "before the kill"],
        ];
        let mut acks = Vec::new();
        for arguments in asked {
            let ran = ground.must(&home, Some(server.url()), arguments, 0)?;
            let log_bytes = fs::metadata(home.join("data/ledger.db-wal")).during("inspect the log")?.len();
            let (Some((index, leaf)), Some(text)) = (ran.logged(), ran.checkpoint()) else {
                return Err(Failure::new(format!("`{}` gave no receipt: {}", arguments.join(" "), ran.stdout)));
            };
            let note = ground.work().join(format!("{name}-{index}.note"));
            fs::write(&note, text).during("keep a checkpoint")?;
            acks.push(Ack { index, leaf, log_bytes, note });
        }
        server.kill()?;
        // Opening a store touches it, so that a copy is read.
        let copy = ground.copy(&home, &format!("{name}-read"))?;
        let leaves = leaves(&copy.join("data"))?;
        ground.forget(&copy)?;
        Ok(Self { home, leaves, acks })
    }

    /// The checkpoint of the last answer.
    pub fn note(&self) -> PathBuf {
        self.acks.last().map(|ack| ack.note.clone()).unwrap_or_default()
    }

    /// Judges a copy in which a write-ahead log was damaged behind its first `sound` bytes; `file` is relative to the
    /// home. What was acknowledged before they were longer has to be there; of anything later, its receipt tells.
    ///
    /// # Errors
    /// When a command could not be run.
    pub fn judge(&self, ground: &Ground, copy: &Path, file: &str, sound: u64) -> Result<Case> {
        if let Some(case) = alarm(&ground.audit(copy)?) {
            return Ok(case);
        }
        let now = leaves(&copy.join("data"))?;
        if !self.leaves.starts_with(&now) {
            return Ok(Case::Found("the ledger holds what was never written".to_owned()));
        }
        let mut outcome = Case::Harmless;
        for ack in &self.acks {
            let found = usize::try_from(ack.index).ok().and_then(|index| now.get(index));
            if found == Some(&ack.leaf) {
                continue;
            }
            if !file.starts_with("data/ledger.db") || ack.log_bytes <= sound {
                return Ok(Case::Lost(format!("entry {} was acknowledged before the damaged bytes", ack.index)));
            }
            let receipt = ack.note.display().to_string();
            match alarm(&ground.run(copy, None, &["audit", "--checkpoint", &receipt])?) {
                Some(case @ Case::Detected(_)) => outcome = case,
                _ => return Ok(Case::Lost(format!("entry {} is gone, and its receipt does not tell", ack.index))),
            }
        }
        match ground.serve(copy) {
            Err(failure) => Ok(match reason_in(&failure.to_string()) {
                Some(reason) => Case::Detected(reason),
                None => Case::Found(format!("the start ends without a reason: {failure}")),
            }),
            Ok(server) => {
                if let Some(defect) = server.end()?.defect() {
                    return Ok(Case::Found(defect));
                }
                Ok(match alarm(&ground.audit(copy)?) {
                    None => outcome,
                    Some(case) => Case::Found(format!("sound before the start, and not after it: {case:?}")),
                })
            }
        }
    }
}

/// Runs the part.
///
/// # Errors
/// When a case could not be made or judged.
pub fn run(ground: &Ground) -> Result<Part> {
    let mut part = Part::new("torn");
    let killed = Killed::make(ground, "killed")?;
    let untouched = Untouched::read(ground, ground.ready.clone())?;
    let tears = choose(ground, &killed.home)?;
    let cases = work_through(&tears, |worker, tear| {
        let from = if tear.file.ends_with("-wal") { &killed.home } else { &untouched.home };
        let copy = ground.copy(from, &format!("torn-{worker}"))?;
        damage(&copy.join(&tear.file), tear, ground.seed)?;
        let case = match tear.file.ends_with("-wal") {
            true => {
                let length = fs::metadata(killed.home.join(&tear.file)).during("inspect the log")?.len();
                killed.judge(ground, &copy, &tear.file, length.saturating_sub(tear.last as u64))?
            }
            false => untouched.judge(ground, &copy, &tear.file)?,
        };
        let named = |what: String| format!("the last {} bytes of {}, {:?}: {what}", tear.last, tear.file, tear.how);
        Ok(match case {
            Case::Found(what) => Case::Found(named(what)),
            Case::Lost(what) => Case::Lost(named(what)),
            other => other,
        })
    })?;
    for case in &cases {
        part.count(case);
    }
    Ok(part)
}

fn choose(ground: &Ground, killed: &Path) -> Result<Vec<Tear>> {
    let mut tears = Vec::new();
    for database in DATABASES {
        let log = format!("{database}-wal");
        let log_bytes = usize::try_from(fs::metadata(killed.join(&log)).during("inspect the log")?.len())?;
        let deepest = if ground.quick { DEEP } else { DEEPEST.min(log_bytes) };
        for (file, deepest) in [(log, deepest), (database.to_owned(), DEEP)] {
            let all = std::iter::once(1).chain((STEP..=deepest).step_by(STEP));
            // With `--quick` every third of them.
            for last in all.step_by(if ground.quick { 3 } else { 1 }) {
                let how: &[How] =
                    if ground.quick { &[How::Cut, How::Noise] } else { &[How::Cut, How::Zeros, How::Noise] };
                tears.extend(how.iter().map(|how| Tear { file: file.clone(), last, how: *how }));
            }
        }
    }
    Ok(tears)
}

fn damage(file: &Path, tear: &Tear, seed: u64) -> Result<()> {
    let mut bytes = fs::read(file).during("read a file")?;
    let sound = bytes.len().saturating_sub(tear.last);
    match tear.how {
        How::Cut => bytes.truncate(sound),
        How::Zeros | How::Noise => {
            let tail = bytes.get_mut(sound..).unwrap_or_default();
            match tear.how {
                How::Noise => Random::new(seed).fill(tail),
                How::Cut | How::Zeros => tail.fill(0),
            }
        }
    }
    replace(file, &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    fn check(how: How, last: usize, expected: impl Fn(&[u8]) -> bool) {
        let scratch = Scratch::new(&format!("torn-test-{how:?}-{last}")).unwrap();
        let file = scratch.path().join("file");
        fs::write(&file, [7; 10]).unwrap();
        damage(&file, &Tear { file: String::new(), last, how }, 1).unwrap();
        let found = fs::read(&file).unwrap();
        assert!(expected(&found), "{how:?} {last}: {found:?}");
    }

    #[test]
    fn only_the_last_bytes_are_damaged() {
        check(How::Cut, 3, |found| found == [7; 7]);
        check(How::Zeros, 2, |found| found == [7, 7, 7, 7, 7, 7, 7, 7, 0, 0]);
        check(How::Noise, 8, |found| found.len() == 10 && found.starts_with(&[7, 7]) && found != [7; 10]);
        check(How::Cut, 11, <[u8]>::is_empty);
    }
}
