//! Bit flips: one bit of one file of a stopped instance, or of the write-ahead log of a killed one, is turned over,
//! and that is noticed, or makes no difference.
//!
//! For a database, no difference means: SQLite finds nothing wrong, every row of every table is the same, and the
//! audit says the same. For a log it means: everything that was acknowledged is there, and the audit finds nothing.
//! For a key, the trust file or the configuration it means that every answer is the same.

use std::fs;
use std::path::{Path, PathBuf};

use lockgate_model::ReleaseName;

use super::answers::{Answers, ask};
use super::crew::work_through;
use super::damage::{DATABASES, Untouched, replace};
use super::ground::{Ground, NOTE, files_below};
use super::outcome::{Case, Part};
use super::torn::Killed;
use crate::failure::{During as _, Failure, Result};
use crate::identity::client_as;
use crate::random::Random;
use crate::requests::{Request, junit, upload};

/// How many releases the instance gets, each with a blob, a report and a promotion: about eight entries.
const RELEASES: u32 = 100;
/// The same for `--quick`.
const QUICK_RELEASES: u32 = 25;
/// How many bits `--quick` turns over in databases, logs, blobs and small files.
const QUICK: [u32; 4] = [24, 12, 12, 10];

/// A kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Database,
    /// The write-ahead log of a database.
    Log,
    Blob,
    /// Keys, trust, configuration and marks.
    Small,
}

/// One flip.
#[derive(Debug, Clone)]
struct Flip {
    kind: Kind,
    /// Relative to the home.
    file: PathBuf,
    offset: usize,
    bit: u8,
}

/// Runs the part.
///
/// # Errors
/// When the instance could not be made, or a case not be judged.
pub fn run(ground: &Ground) -> Result<Part> {
    let mut part = Part::new("flips");
    let untouched = Untouched::read(ground, fill(ground)?)?;
    let asked = ground.copy(&untouched.home, "flips-asked")?;
    let answers = ask(ground, &asked, Path::new(NOTE))?;
    if !answers.all_well() {
        return Err(Failure::new(format!("the untouched instance does not answer: {answers:?}")));
    }
    let killed = Killed::make(ground, "flips-killed")?;
    let flips = choose(ground, &untouched.home, &killed.home)?;
    let cases = work_through(&flips, |worker, flip| match flip.kind {
        Kind::Log => try_log(ground, worker, flip, &killed),
        _ => try_one(ground, worker, flip, &untouched, &answers),
    })?;
    for kind in [Kind::Database, Kind::Log, Kind::Blob, Kind::Small] {
        let of_kind = || flips.iter().zip(&cases).filter(move |(flip, _)| flip.kind == kind).map(|(_, case)| case);
        let detected = of_kind().filter(|case| matches!(case, Case::Detected(_))).count();
        let harmless = of_kind().filter(|case| **case == Case::Harmless).count();
        let all = of_kind().count();
        part.notes.push(format!("{kind:?}: {all} flips, {detected} detected, {harmless} without any difference"));
    }
    for case in &cases {
        part.count(case);
    }
    Ok(part)
}

/// An instance with some hundred entries and blobs, stopped.
fn fill(ground: &Ground) -> Result<PathBuf> {
    let home = ground.copy(&ground.ready, "flips")?;
    let server = ground.serve(&home)?;
    let ci = client_as(server.url(), &home, "ci")?;
    let dana = client_as(server.url(), &home, "dana")?;
    let mut random = Random::new(ground.seed);
    let releases = if ground.quick { QUICK_RELEASES } else { RELEASES };
    for number in 0..releases {
        let release: ReleaseName = format!("flip/s{}@1.0.{number}", number % 10).parse()?;
        let length = usize::try_from(random.between(1000, 9000)).unwrap_or_default();
        let artifact = upload(&ci, &random.bytes(length))?;
        let requests = [
            (&ci, Request::publish(&release, &artifact)),
            (&ci, Request::attest(&release, &junit(&format!("n{number}")))),
            (&dana, Request::promote(&release)?),
        ];
        for (step, (client, request)) in (0u32..).zip(requests) {
            request.send(client, &format!("flip-{number}-{step}")).during("fill the instance")?;
        }
    }
    server.stop()?;
    Ok(home)
}

fn choose(ground: &Ground, home: &Path, killed: &Path) -> Result<Vec<Flip>> {
    let all = files_below(home)?;
    let blobs: Vec<PathBuf> = all.iter().filter(|file| file.starts_with("data/blobs")).cloned().collect();
    let small = |file: &&PathBuf| {
        !file.starts_with("data") && !file.starts_with("sessions") && file.extension().is_none_or(|end| end != "log")
    };
    let small: Vec<PathBuf> = all.iter().filter(small).cloned().collect();
    let [ledger, access] = DATABASES.map(PathBuf::from);
    // Three flips in the ledger's database to one in the access log's.
    let databases = vec![ledger.clone(), ledger.clone(), ledger, access];
    let logs: Vec<PathBuf> = databases.iter().map(|file| file.with_extension("db-wal")).collect();
    let mut random = Random::new(ground.seed ^ 0xf11b);
    let mut flips = Vec::new();
    let kinds = [
        (Kind::Database, home, databases),
        (Kind::Log, killed, logs),
        (Kind::Blob, home, blobs),
        (Kind::Small, home, small),
    ];
    for ((kind, home, files), quick) in kinds.into_iter().zip(QUICK) {
        let count = if ground.quick { quick } else { ground.flips };
        for _ in 0..count {
            let file = pick(&mut random, files.len()).and_then(|place| files.get(place));
            let file = file.ok_or_else(|| Failure::new(format!("there is no file of the kind {kind:?}")))?.clone();
            let length = fs::metadata(home.join(&file)).during("inspect a file")?.len();
            let Some(offset) = pick(&mut random, usize::try_from(length)?) else { continue };
            let bit = u8::try_from(random.between(0, 7))?;
            flips.push(Flip { kind, file, offset, bit });
        }
    }
    Ok(flips)
}

/// A place in a list of this length; none in an empty one.
fn pick(random: &mut Random, length: usize) -> Option<usize> {
    let last = length.checked_sub(1)?;
    usize::try_from(random.between(0, last as u64)).ok()
}

/// Turns a bit of a killed server's log over. Everything in it that was acknowledged had been flushed.
fn try_log(ground: &Ground, worker: usize, flip: &Flip, killed: &Killed) -> Result<Case> {
    let home = ground.copy(&killed.home, &format!("flip-{worker}"))?;
    spoil(&home, flip)?;
    Ok(named(flip, killed.judge(ground, &home, &flip.file.display().to_string(), u64::MAX)?))
}

fn try_one(ground: &Ground, worker: usize, flip: &Flip, untouched: &Untouched, answers: &Answers) -> Result<Case> {
    let home = ground.copy(&untouched.home, &format!("flip-{worker}"))?;
    spoil(&home, flip)?;
    let case = match flip.kind {
        Kind::Small => ask(ground, &home, Path::new(NOTE))?.against(answers),
        Kind::Database | Kind::Log | Kind::Blob => untouched.judge(ground, &home, &flip.file.display().to_string())?,
    };
    Ok(named(flip, case))
}

/// A case with what repeats it.
fn named(flip: &Flip, case: Case) -> Case {
    let named = |what: String| format!("bit {} of byte {} of {}: {what}", flip.bit, flip.offset, flip.file.display());
    match case {
        Case::Found(what) => Case::Found(named(what)),
        Case::Lost(what) => Case::Lost(named(what)),
        other => other,
    }
}

fn spoil(home: &Path, flip: &Flip) -> Result<()> {
    let file = home.join(&flip.file);
    let mut bytes = fs::read(&file).during("read a file")?;
    turn(&mut bytes, flip.offset, flip.bit);
    replace(&file, &bytes)
}

fn turn(bytes: &mut [u8], offset: usize, bit: u8) {
    if let Some(byte) = bytes.get_mut(offset) {
        *byte ^= 1u8.checked_shl(u32::from(bit)).unwrap_or(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bit_is_turned_and_back() {
        let mut bytes = vec![0, 0, 0];
        turn(&mut bytes, 1, 7);
        assert_eq!(bytes, [0, 128, 0]);
        turn(&mut bytes, 1, 7);
        turn(&mut bytes, 3, 0);
        assert_eq!(bytes, [0, 0, 0]);
        assert_eq!(pick(&mut Random::new(1), 0), None);
        assert_eq!(pick(&mut Random::new(1), 1), Some(0));
    }
}
