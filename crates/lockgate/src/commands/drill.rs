//! Drill: attacks copies of the data on purpose, and says which check catches what, and how fast.
//!
//! The copy is of one moment, and a server that runs is not disturbed. Each attack has a fresh copy of its own; what is run
//! on it are the functions of `lockgate audit`, of `lockgate verify`, and of the start of a server. First comes a control:
//! the copy that nobody touched has to be sound, or the drill would prove nothing.

mod attack;
mod bundles;
mod check;
mod control;
mod history;
mod log;
mod proof;
mod record;
mod scene;
mod survey;
mod workshop;

use std::time::Instant;

use lockgate_api::Exit;
use lockgate_ledger::drill::{DrillAttack, DrillOutcome, DrillReport};
use serde::Serialize;
use serde_json::json;

use self::attack::{ATTACKS, Attack, Halt};
use self::check::{Found, look};
use self::record::Recording;
use self::scene::{Scene, Subject};
use self::workshop::Workshop;
use crate::cli;
use crate::failure::{Failure, Outcome};
use crate::home::write_file;
use crate::terminal::table;
use crate::world::World;

/// `lockgate drill`: exit 0 when each attack that was made was caught, 9 when one was not.
///
/// # Errors
/// `DRILL_MISSED`, `DRILL_UNSOUND`, `DRILL_NOTHING`, `DRILL_UNKNOWN`, `DRILL_FAILED`; when there is no ledger to copy, or
/// no room for the copies; with `--record`, when the result could not be recorded.
pub fn drill(world: &World, options: &cli::Drill) -> Outcome {
    let chosen = chosen(&options.only)?;
    if options.list {
        return list(world, &chosen);
    }
    let workshop = Workshop::new(world, options.keep.as_deref())?;
    let (ran_at, clock) = (world.now(), Instant::now());
    let subject = control::subject(world, options, &workshop.dir)?;
    let bar = world.terminal.progress("drilling", chosen.len() as u64, false);
    let mut attacks = Vec::with_capacity(chosen.len());
    for attack in &chosen {
        attacks.push(attempt(attack, &subject, &workshop)?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let report = DrillReport {
        schema: DrillReport::SCHEMA.to_owned(),
        ledger: subject.origin.clone(),
        entries: subject.head.size,
        root: subject.head.root,
        ran_at,
        took_ms: millis(clock),
        tool: concat!("lockgate/", env!("CARGO_PKG_VERSION")).to_owned(),
        attacks,
    };
    if let Some(path) = &options.report {
        write_file(path, &report.to_bytes()?, 0o644)?;
    }
    let (recording, unrecorded) = record::record(world, options, &report);
    show(world, &report, &recording)?;
    // What was missed is worse than what was not recorded.
    verdict(&report)?;
    match unrecorded {
        None => Ok(Exit::Done),
        Some(failure) => Err(failure),
    }
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
    let shown: Vec<_> = chosen.iter().map(|attack| json!({ "name": attack.name, "what": attack.what })).collect();
    let rows = chosen.iter().map(|attack| vec![attack.name.to_owned(), attack.what.to_owned()]);
    world.terminal.show(&shown, || table(&["attack", "what somebody who has the server does"], rows))?;
    Ok(Exit::Done)
}

/// Makes one attack on a copy of its own, and looks what is said to it.
fn attempt(attack: &Attack, subject: &Subject, workshop: &Workshop) -> Result<DrillAttack, Failure> {
    let scene = Scene { subject, copy: subject.base.again(&workshop.dir.join(attack.name))? };
    let row = match (attack.commit)(&scene) {
        Err(Halt::Failed(failure)) => return Err(failure.or_hint(format!("it was the attack `{}`", attack.name))),
        Err(Halt::Skipped(why)) => skipped(attack, why),
        Ok(made) => {
            let clock = Instant::now();
            let found = look(&scene, &made.shown)?;
            judged(attack, made.did, made.shown.check(), found, millis(clock))
        }
    };
    workshop.discard(scene.copy.dir());
    Ok(row)
}

fn millis(clock: Instant) -> u64 {
    u64::try_from(clock.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn skipped(attack: &Attack, why: String) -> DrillAttack {
    DrillAttack {
        name: attack.name.to_owned(),
        did: why,
        outcome: DrillOutcome::Skipped,
        check: None,
        code: None,
        also: Vec::new(),
        message: None,
        took_ms: None,
    }
}

/// What came of an attack: it was caught when the check found something, and not otherwise.
fn judged(attack: &Attack, did: String, check: &str, found: Option<Found>, took_ms: u64) -> DrillAttack {
    let name = attack.name.to_owned();
    let (check, took_ms) = (Some(check.to_owned()), Some(took_ms));
    match found {
        Some(Found { code, also, message }) => DrillAttack {
            name,
            did,
            outcome: DrillOutcome::Caught,
            check,
            code: Some(code),
            also,
            message: Some(message),
            took_ms,
        },
        None => DrillAttack {
            name,
            did,
            outcome: DrillOutcome::Missed,
            check,
            code: None,
            also: Vec::new(),
            message: None,
            took_ms,
        },
    }
}

/// How the drill ends.
fn verdict(report: &DrillReport) -> Result<(), Failure> {
    let missed = report.attacks.iter().filter(|attack| attack.outcome == DrillOutcome::Missed);
    let missed: Vec<&str> = missed.map(|attack| attack.name.as_str()).collect();
    if !missed.is_empty() {
        let message = format!("{} of {} attacks were NOT CAUGHT: {}", missed.len(), report.tried(), missed.join(", "));
        return Err(Failure::new(Exit::Integrity, "DRILL_MISSED", message)
            .hint("make the copy again with --only NAME --keep DIR, and look at it"));
    }
    match report.tried() {
        0 => Err(Failure::new(Exit::Failed, "DRILL_NOTHING", "no attack was made: each one was skipped")
            .hint("a drill proves something once something was published, approved and granted")),
        _ => Ok(()),
    }
}

/// The result for programs: the report, its counts, and where it is recorded.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    report: &'a DrillReport,
    tried: u64,
    caught: u64,
    skipped: u64,
    #[serde(flatten)]
    recording: &'a Recording,
}

fn show(world: &World, report: &DrillReport, recording: &Recording) -> Result<(), Failure> {
    let (caught, skipped) = (report.count(DrillOutcome::Caught), report.count(DrillOutcome::Skipped));
    let shown = Shown { report, tried: report.tried(), caught, skipped, recording };
    world.terminal.show(&shown, || {
        let rows = table(&["attack", "outcome", "by", "reason", "ms", "what was done"], report.attacks.iter().map(row));
        format!(
            "{rows}\n\n  {caught} of {} attacks were caught, {skipped} were skipped; a copy of {} entries, {} ms in all\n  {}",
            report.tried(),
            report.entries,
            report.took_ms,
            recording.line()
        )
    })
}

fn row(attack: &DrillAttack) -> Vec<String> {
    let outcome = match attack.outcome {
        DrillOutcome::Caught => "caught",
        DrillOutcome::Missed => "NOT CAUGHT",
        DrillOutcome::Skipped => "skipped",
    };
    let more = match attack.also.len() {
        0 => String::new(),
        count => format!(" +{count}"),
    };
    vec![
        attack.name.clone(),
        outcome.to_owned(),
        attack.check.clone().unwrap_or_default(),
        attack.code.as_ref().map(|code| format!("{code}{more}")).unwrap_or_default(),
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

    fn found() -> Option<Found> {
        Some(Found { code: "KEY_UNKNOWN".to_owned(), also: Vec::new(), message: "no such key".to_owned() })
    }

    /// An attack that does nothing, or that no check notices, is what a drill is there to tell.
    #[test]
    fn what_no_check_objects_to_is_not_caught_and_ends_with_9() {
        let attack = &ATTACKS[0];
        let judge = |found| judged(attack, "nothing".to_owned(), "audit", found, 3);
        let check = |attacks: Vec<DrillAttack>, expected: Option<(u8, &str)>| {
            let report = report(attacks);
            let ended = verdict(&report).err();
            let ended = ended.as_ref().map(|failure| (failure.exit.code(), failure.code.as_str()));
            assert_eq!(ended, expected);
            assert_eq!(DrillReport::from_bytes(&report.to_bytes().unwrap()).unwrap(), report);
        };
        check(vec![judge(found())], None);
        check(vec![judge(found()), skipped(attack, "nothing there".to_owned())], None);
        check(vec![judge(found()), judge(None)], Some((9, "DRILL_MISSED")));
        check(vec![judge(None), skipped(attack, "nothing there".to_owned())], Some((9, "DRILL_MISSED")));
        check(vec![skipped(attack, "nothing there".to_owned())], Some((1, "DRILL_NOTHING")));
        check(Vec::new(), Some((1, "DRILL_NOTHING")));
        assert_eq!(row(&judge(None))[1], "NOT CAUGHT");
        assert!(row(&judge(found())).contains(&"KEY_UNKNOWN".to_owned()));
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
