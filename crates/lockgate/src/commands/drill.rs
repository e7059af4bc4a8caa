//! Drill: attacks copies of the data on purpose, and says which check catches what, and how fast.
//!
//! The copy is of one moment, and a server that runs is not disturbed. Each attack has a fresh copy of its own; what is run
//! on it are the functions of `lockgate audit`, of `lockgate verify`, and of the start of a server, with what this home
//! remembers. First comes a control: the copy that nobody touched has to be sound, or the drill would prove nothing.
//!
//! An attack is caught when it is objected to for the reason that it was made for. One that could not be made, or was not
//! made for lack of something, is no success, and hides nothing of what came of the others.

mod attack;
mod bundles;
mod check;
mod control;
mod history;
mod log;
mod memory;
mod proof;
mod record;
mod scene;
mod survey;
mod workshop;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use lockgate_api::Exit;
use lockgate_ledger::drill::{DrillAttack, DrillOutcome, DrillReport};
use serde::Serialize;
use serde_json::json;

use self::attack::{ATTACKS, Attack, Halt};
use self::check::{Found, look};
use self::control::{CONTROL, Control, control};
use self::record::{Recording, record};
use self::scene::{Scene, Subject};
use self::workshop::Workshop;
use crate::cli;
use crate::failure::{Failure, Outcome};
use crate::home::write_file;
use crate::terminal::{counted, table};
use crate::world::World;

/// `lockgate drill`: exit 0 when each attack that was made was caught, and none was left out for lack of something; 9 when
/// one was not caught.
///
/// # Errors
/// `DRILL_MISSED`, `DRILL_UNSOUND`, `DRILL_FAILED`, `DRILL_SKIPPED`, `DRILL_NOTHING`, `DRILL_UNKNOWN`; when there is no
/// ledger to copy, or no room for the copies; when the result could not be written, or not recorded where it should be.
pub fn drill(world: &World, options: &cli::Drill) -> Outcome {
    let chosen = chosen(&options.only)?;
    if options.list {
        return list(world, &chosen);
    }
    let workshop = Workshop::new(world, options.keep.as_deref())?;
    let (ran_at, clock) = (world.now(), Instant::now());
    let control = control(world, options, &workshop)?;
    let attacks = match &control {
        Control::Sound(subject) => make(world, &chosen, subject, &workshop),
        Control::Unsound(unsound) => unsound.rows(&chosen),
    };
    let (origin, head) = control.ledger();
    let report = DrillReport {
        schema: DrillReport::SCHEMA.to_owned(),
        ledger: origin.to_owned(),
        entries: head.size,
        root: head.root,
        ran_at,
        took_ms: millis(clock),
        tool: concat!("lockgate/", env!("CARGO_PKG_VERSION")).to_owned(),
        attacks,
    };
    // However it came out, it is written, recorded and shown.
    let unwritten = options.report.as_deref().and_then(|path| write(path, &report).err());
    let (recording, unrecorded) = record(world, options, &report);
    show(world, &report, &recording)?;
    if let Some(failure) = &unwritten {
        world.terminal.say(format!("the report is NOT WRITTEN: {}", failure.message));
    }
    if let Control::Unsound(unsound) = &control {
        return Err(unsound.failure());
    }
    verdict(&report, options.allow_skips.unwrap_or_default())?;
    // What was missed is worse than what was not written or recorded.
    match unwritten.or(unrecorded) {
        None => Ok(Exit::Done),
        Some(failure) => Err(failure),
    }
}

fn write(path: &Path, report: &DrillReport) -> Result<(), Failure> {
    write_file(path, &report.to_bytes()?, 0o644)
}

/// The attacks that were asked for, in their own order; all without a name.
fn chosen(names: &[String]) -> Result<Vec<Attack>, Failure> {
    if let Some(name) = names.iter().find(|name| !ATTACKS.iter().any(|attack| attack.name == name.as_str())) {
        return Err(Failure::usage("DRILL_UNKNOWN", format!("there is no attack `{name}`"))
            .hint("`lockgate drill --list` names them all"));
    }
    let asked = |attack: &&Attack| names.is_empty() || names.iter().any(|name| name == attack.name);
    Ok(ATTACKS.iter().filter(asked).copied().collect())
}

fn list(world: &World, chosen: &[Attack]) -> Outcome {
    let listed = |attack: &Attack| json!({ "name": attack.name, "what": attack.what, "wanted": attack.wanted });
    let shown: Vec<_> = chosen.iter().map(listed).collect();
    let row = |attack: &Attack| vec![attack.name.to_owned(), attack.what.to_owned(), attack.wanted.join(" or ")];
    let header = ["attack", "what somebody who has the server does", "what has to notice it"];
    world.terminal.show(&shown, || table(&header, chosen.iter().map(row)))?;
    Ok(Exit::Done)
}

/// Makes the attacks, one after the other.
fn make(world: &World, chosen: &[Attack], subject: &Subject, workshop: &Workshop) -> Vec<DrillAttack> {
    let bar = world.terminal.progress("drilling", chosen.len() as u64, false);
    let mut attacks = Vec::with_capacity(chosen.len());
    for attack in chosen {
        attacks.push(attempt(attack, subject, workshop));
        bar.inc(1);
    }
    bar.finish_and_clear();
    attacks
}

/// Makes one attack on a copy of its own, and looks what is said to it. One that fails takes no other with it.
fn attempt(attack: &Attack, subject: &Subject, workshop: &Workshop) -> DrillAttack {
    let dir = workshop.dir.join(attack.name);
    let row = match committed(attack, subject, &dir) {
        Ok(row) => row,
        Err(Halt::Skipped(why)) => skipped(attack, why, None),
        Err(Halt::Lacking { what, why }) => skipped(attack, why, Some(what.to_owned())),
        Err(Halt::Copy(error)) => failed(attack, workshop.failure(error)),
        Err(Halt::Failed(failure)) => failed(attack, failure),
    };
    workshop.discard(&dir);
    row
}

fn committed(attack: &Attack, subject: &Subject, dir: &Path) -> Result<DrillAttack, Halt> {
    let scene = Scene { subject, copy: subject.base.again(dir)? };
    let made = (attack.commit)(&scene)?;
    let clock = Instant::now();
    let found = look(&scene, &made.shown, attack.wanted)?;
    Ok(judged(attack, made.did, made.shown.check(), found, millis(clock)))
}

fn millis(clock: Instant) -> u64 {
    u64::try_from(clock.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// An attack of which nothing is said yet.
fn blank(attack: &Attack, did: String, outcome: DrillOutcome) -> DrillAttack {
    DrillAttack {
        name: attack.name.to_owned(),
        did,
        outcome,
        wanted: Vec::new(),
        lacks: None,
        check: None,
        code: None,
        also: Vec::new(),
        message: None,
        took_ms: None,
    }
}

fn skipped(attack: &Attack, why: String, lacks: Option<String>) -> DrillAttack {
    DrillAttack { lacks, ..blank(attack, why, DrillOutcome::Skipped) }
}

fn failed(attack: &Attack, failure: Failure) -> DrillAttack {
    DrillAttack { code: Some(failure.code), ..blank(attack, failure.message, DrillOutcome::Failed) }
}

/// What came of an attack: it was caught when the check came to one of the codes that it was made for.
fn judged(attack: &Attack, did: String, check: &str, found: Option<Found>, took_ms: u64) -> DrillAttack {
    let is_caught = found.as_ref().is_some_and(|found| attack.wanted.contains(&found.code.as_str()));
    let outcome = if is_caught { DrillOutcome::Caught } else { DrillOutcome::Missed };
    let (code, also, message) = match found {
        Some(Found { code, also, message }) => (Some(code), also, Some(message)),
        None => (None, Vec::new(), None),
    };
    DrillAttack {
        wanted: attack.wanted.iter().map(|code| (*code).to_owned()).collect(),
        check: Some(check.to_owned()),
        code,
        also,
        message,
        took_ms: Some(took_ms),
        ..blank(attack, did, outcome)
    }
}

/// How the drill ends; `allowed` attacks may be skipped for lack of something.
fn verdict(report: &DrillReport, allowed: u64) -> Result<(), Failure> {
    let named = |outcome: DrillOutcome| {
        let attacks = report.attacks.iter().filter(|attack| attack.outcome == outcome);
        attacks.map(named_with_code).collect::<Vec<_>>().join(", ")
    };
    let (missed, failed) = (report.count(DrillOutcome::Missed), report.count(DrillOutcome::Failed));
    let (tried, lacking) = (report.tried(), report.lacking());
    if missed > 0 {
        let were = counted(tried, "attack was", "attacks were");
        let message = format!("{missed} of {were} NOT CAUGHT: {}", named(DrillOutcome::Missed));
        return Err(Failure::new(Exit::Integrity, "DRILL_MISSED", message)
            .hint("make the copy again with --only NAME --keep DIR, and look at it"));
    }
    if failed > 0 {
        let attacks = counted(tried, "attack", "attacks");
        let message = format!("{failed} of {attacks} could not be made: {}", named(DrillOutcome::Failed));
        return Err(Failure::new(Exit::Failed, "DRILL_FAILED", message)
            .hint("what the report says of each stood in the way; the data itself was not touched"));
    }
    if lacking > allowed {
        let were = counted(lacking, "attack was", "attacks were");
        let message = format!("{were} SKIPPED for lack of {}", lacks(report));
        return Err(Failure::new(Exit::Failed, "DRILL_SKIPPED", message).hint(format!(
            "the report says what to do; `--allow-skips {lacking}` accepts it, `--only NAME` makes some attacks alone"
        )));
    }
    match tried {
        0 => Err(Failure::new(Exit::Failed, "DRILL_NOTHING", "no attack was made: each one was skipped")
            .hint("a drill proves something once something was published, approved and granted")),
        _ => Ok(()),
    }
}

/// The name of an attack, and what was said instead of what is wanted.
fn named_with_code(attack: &DrillAttack) -> String {
    match (&attack.code, attack.outcome) {
        (None, _) => attack.name.clone(),
        (Some(code), DrillOutcome::Missed) => {
            format!("{} (by {code}, not by {})", attack.name, attack.wanted.join(" or "))
        }
        (Some(code), _) => format!("{} ({code})", attack.name),
    }
}

/// What was missing, each thing once.
fn lacks(report: &DrillReport) -> String {
    let missing: BTreeSet<&str> = report.attacks.iter().filter_map(|attack| attack.lacks.as_deref()).collect();
    missing.into_iter().collect::<Vec<_>>().join(", ")
}

/// The result for programs: the report, its counts, and where it is recorded.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    report: &'a DrillReport,
    tried: u64,
    caught: u64,
    missed: u64,
    failed: u64,
    skipped: u64,
    lacking: u64,
    #[serde(flatten)]
    recording: &'a Recording,
}

fn show(world: &World, report: &DrillReport, recording: &Recording) -> Result<(), Failure> {
    let shown = Shown {
        report,
        tried: report.tried(),
        caught: report.count(DrillOutcome::Caught),
        missed: report.count(DrillOutcome::Missed),
        failed: report.count(DrillOutcome::Failed),
        skipped: report.count(DrillOutcome::Skipped),
        lacking: report.lacking(),
        recording,
    };
    world.terminal.show(&shown, || {
        let rows = table(&["attack", "outcome", "by", "reason", "ms", "what was done"], report.attacks.iter().map(row));
        format!("{rows}\n\n{}", summary(&shown))
    })
}

/// The last lines: the counts, what they leave out, and where the result is recorded.
fn summary(shown: &Shown<'_>) -> String {
    let Shown { report, tried, caught, failed, skipped, lacking, recording, .. } = shown;
    let is_unsound = report.attacks.iter().any(|attack| attack.name == CONTROL);
    let made = match is_unsound {
        true => "no attack was made, because the copy was not sound before".to_owned(),
        false => format!("{caught} of {}", counted(*tried, "attack was caught", "attacks were caught")),
    };
    let mut text = format!(
        "  {made}, {}; a copy of {} entries, {} ms in all\n",
        counted(*skipped, "was skipped", "were skipped"),
        report.entries,
        report.took_ms
    );
    if report.attacks.iter().any(|attack| !attack.also.is_empty()) {
        text.push_str("  +N behind a reason: so many other reason codes came with it\n");
    }
    if *failed > 0 && !is_unsound {
        text.push_str(&format!("  {failed} COULD NOT BE MADE, and are neither caught nor missed\n"));
    }
    if *lacking > 0 {
        let skipped = counted(*lacking, "was SKIPPED", "were SKIPPED");
        text.push_str(&format!("  {skipped} FOR LACK of {}\n", lacks(report)));
    }
    format!("{text}  {}", recording.line())
}

fn row(attack: &DrillAttack) -> Vec<String> {
    let outcome = match attack.outcome {
        DrillOutcome::Caught => "caught",
        DrillOutcome::Missed => "NOT CAUGHT",
        DrillOutcome::Skipped if attack.lacks.is_some() => "SKIPPED",
        DrillOutcome::Skipped => "skipped",
        DrillOutcome::Failed => "FAILED",
    };
    let more = match attack.also.len() {
        0 => String::new(),
        count => format!(" +{count}"),
    };
    let instead = match attack.outcome {
        DrillOutcome::Missed => format!(", not {}", attack.wanted.join(" or ")),
        _ => String::new(),
    };
    vec![
        attack.name.clone(),
        outcome.to_owned(),
        attack.check.clone().unwrap_or_default(),
        attack.code.as_ref().map(|code| format!("{code}{more}{instead}")).unwrap_or_default(),
        attack.took_ms.map(|took_ms| took_ms.to_string()).unwrap_or_default(),
        attack.did.clone(),
    ]
}

#[cfg(test)]
mod tests {
    use lockgate_model::{Digest, TreeSize, UnixMillis};

    use super::*;

    fn report(attacks: Vec<DrillAttack>) -> DrillReport {
        DrillReport {
            schema: DrillReport::SCHEMA.to_owned(),
            ledger: "log1.test.example".to_owned(),
            entries: TreeSize(9),
            root: Digest::of(b"root"),
            ran_at: UnixMillis(5),
            took_ms: 7,
            tool: "lockgate/0".to_owned(),
            attacks,
        }
    }

    fn found(codes: &[&str]) -> Option<Found> {
        let (code, also) = codes.split_first()?;
        let also = also.iter().map(|code| (*code).to_owned()).collect();
        Some(Found { code: (*code).to_owned(), also, message: "something is wrong".to_owned() })
    }

    /// An attack that does nothing, that no check notices, or only another than the one that is tried, is what a drill is
    /// there to tell; so is what it could not try.
    #[test]
    fn a_drill_ends_as_badly_as_its_worst_attack() {
        let attack = ATTACKS.iter().find(|attack| attack.name == "approval-forged").unwrap();
        let judge = |codes: &[&str]| judged(attack, "nothing".to_owned(), "audit", found(codes), 3);
        let caught = || judge(&["KEY_UNKNOWN", "ROOT_MISMATCH"]);
        let otherwise = || judge(&["ROOT_MISMATCH", "TILE_MISMATCH"]);
        let nothing = || skipped(attack, "nothing there".to_owned(), None);
        let lacking = || skipped(attack, "no key".to_owned(), Some("the key".to_owned()));
        let broken = || failed(attack, Failure::new(Exit::Unavailable, "DISK_FULL", "no room"));
        let check = |attacks: Vec<DrillAttack>, allowed: u64, expected: Option<(u8, &str)>| {
            let report = report(attacks);
            let ended = verdict(&report, allowed).err();
            let ended = ended.as_ref().map(|failure| (failure.exit.code(), failure.code.as_str()));
            assert_eq!(ended, expected);
            assert_eq!(DrillReport::from_bytes(&report.to_bytes().unwrap()).unwrap(), report);
        };
        check(vec![caught()], 0, None);
        check(vec![caught(), nothing()], 0, None);
        check(vec![caught(), judge(&[])], 9, Some((9, "DRILL_MISSED")));
        check(vec![caught(), otherwise()], 9, Some((9, "DRILL_MISSED")));
        check(vec![broken(), lacking(), judge(&[]), nothing()], 9, Some((9, "DRILL_MISSED")));
        check(vec![broken(), caught()], 9, Some((1, "DRILL_FAILED")));
        check(vec![broken(), lacking(), caught()], 0, Some((1, "DRILL_FAILED")));
        check(vec![lacking(), caught(), lacking()], 1, Some((1, "DRILL_SKIPPED")));
        check(vec![lacking(), caught(), lacking()], 2, None);
        check(vec![lacking(), nothing()], 0, Some((1, "DRILL_SKIPPED")));
        check(vec![lacking(), nothing()], 1, Some((1, "DRILL_NOTHING")));
        check(vec![nothing()], 0, Some((1, "DRILL_NOTHING")));
        check(Vec::new(), 0, Some((1, "DRILL_NOTHING")));

        let told = |attacks: Vec<DrillAttack>| verdict(&report(attacks), 0).unwrap_err().message;
        assert!(told(vec![otherwise()]).ends_with(": approval-forged (by ROOT_MISMATCH, not by KEY_UNKNOWN)"));
        assert!(told(vec![judge(&[])]).ends_with(": approval-forged"));
        assert!(
            told(vec![broken(), caught()]).ends_with("1 of 2 attacks could not be made: approval-forged (DISK_FULL)")
        );
        assert!(told(vec![lacking()]).ends_with(" for lack of the key"));
    }

    #[test]
    fn a_row_says_what_counts_and_what_does_not() {
        let attack = ATTACKS.iter().find(|attack| attack.name == "approval-forged").unwrap();
        let judge = |codes: &[&str]| row(&judged(attack, "nothing".to_owned(), "audit", found(codes), 3));
        let check = |row: Vec<String>, outcome: &str, reason: &str| {
            assert_eq!((row[1].as_str(), row[3].as_str()), (outcome, reason), "{row:?}");
        };
        check(judge(&["KEY_UNKNOWN", "ROOT_MISMATCH"]), "caught", "KEY_UNKNOWN +1");
        check(judge(&["ROOT_MISMATCH", "TILE_MISMATCH"]), "NOT CAUGHT", "ROOT_MISMATCH +1, not KEY_UNKNOWN");
        check(judge(&[]), "NOT CAUGHT", "");
        check(row(&skipped(attack, "nothing there".to_owned(), None)), "skipped", "");
        check(row(&skipped(attack, "no key".to_owned(), Some("the key".to_owned()))), "SKIPPED", "");
        check(row(&failed(attack, Failure::new(Exit::Unavailable, "DISK_FULL", "no room"))), "FAILED", "DISK_FULL");
    }

    #[test]
    fn attacks_are_chosen_by_name_and_stay_in_order() {
        let names = |asked: &[&str]| {
            let asked: Vec<String> = asked.iter().map(|name| (*name).to_owned()).collect();
            chosen(&asked).map(|found| found.iter().map(|attack| attack.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&[]).unwrap().len(), ATTACKS.len());
        assert_eq!(names(&["old-copy", "deny-dropped", "old-copy"]).unwrap(), ["deny-dropped", "old-copy"]);
        assert_eq!(names(&["old-copy", "nothing"]).unwrap_err().code, "DRILL_UNKNOWN");
    }
}
