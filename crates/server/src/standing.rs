//! Standing: how much waits for whom, and what is wrong, for the head of every page.
//!
//! It changes with entries and with time alone, so that it is counted once for each person and size of the ledger, and
//! no more often than every other second, however much is written and however many pages are looked at.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lockgate_engine::authorise::may_read;
use lockgate_engine::sight::Sight;
use lockgate_engine::{Engine, Fault, inbox, reader, suspects};
use lockgate_ledger::Governance;
use lockgate_ledger::break_glass::BreakGlass;
use lockgate_ledger::freeze::Freeze;
use lockgate_model::{PersonId, Span, UnixMillis};
use lockgate_policy::Object;
use lockgate_web::{Alarm, Waiting};

/// How long an answer is good whatever happens.
const FRESH: Span = Span::from_secs(2);
/// How long it is good while nothing happens.
const STALE: Span = Span::from_secs(30);
/// How many freezes the head of a page names.
const ALARMS_MAX: usize = 3;
/// How many people are remembered.
const KNOWN_MAX: usize = 1024;

/// What stands in the head of a page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// How many things wait for the person; of promotions, one page is counted.
    pub waiting: Waiting,
    /// What is wrong.
    pub alarms: Vec<Alarm>,
}

#[derive(Debug)]
struct Known {
    size: u64,
    at: UnixMillis,
    standing: Standing,
}

/// What was counted before.
#[derive(Debug, Default)]
pub struct Standings(Mutex<HashMap<PersonId, Known>>);

impl Standings {
    fn locked(&self) -> MutexGuard<'_, HashMap<PersonId, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it stands for somebody.
    ///
    /// # Errors
    /// What the store says.
    pub fn of(&self, engine: &Engine, person: &PersonId) -> Result<Standing, Fault> {
        let mut standing = self.counted(engine, person)?;
        let (governance, now) = (engine.governance()?, engine.time());
        // Told at once and never from memory: what is frozen is frozen now.
        let mut alarms = emergencies(&governance, person, now);
        alarms.append(&mut standing.alarms);
        standing.alarms = alarms;
        Ok(standing)
    }

    fn counted(&self, engine: &Engine, person: &PersonId) -> Result<Standing, Fault> {
        let (now, size) = (engine.inner().now(), engine.published().head.size.0);
        if let Some(known) = self.locked().get(person).filter(|known| known.is_good(size, now)) {
            return Ok(known.standing.clone());
        }
        let standing = count(engine, person)?;
        let mut all = self.locked();
        if all.len() >= KNOWN_MAX {
            all.clear();
        }
        all.insert(person.clone(), Known { size, at: now, standing: standing.clone() });
        Ok(standing)
    }
}

impl Known {
    fn is_good(&self, size: u64, now: UnixMillis) -> bool {
        let age = Span::from_secs(now.secs().saturating_sub(self.at.secs()));
        // A clock that went back makes nothing fresh.
        now >= self.at && (age < FRESH || (size == self.size && age < STALE))
    }
}

fn count(engine: &Engine, person: &PersonId) -> Result<Standing, Fault> {
    let (promotions, next) = inbox::promotions(engine, person, None, inbox::PAGE_MAX)?;
    let asked = inbox::changes(engine, person)?.len() + inbox::waivers(engine, person)?.len();
    let count = promotions.len() + asked + inbox::break_glasses(engine, person)?.len();
    let waiting = Waiting { count: count as u64, more: next.is_some() };
    let governance = engine.governance()?;
    let mut sight = Sight::new(engine.store(), &governance, person);
    let mut doubtful = 0_u64;
    for suspect in suspects::suspects(engine, None)? {
        let event = reader::entry(engine.store(), suspect.index)?.event;
        doubtful += u64::from(sight.event(&event)?);
    }
    let text = match doubtful {
        0 => None,
        1 => Some("1 entry rests on a key that was found compromised later; the timeline marks it".to_owned()),
        more => Some(format!("{more} entries rest on keys that were found compromised later; the timeline marks them")),
    };
    let alarms = text.map(lasting).into_iter().collect();
    Ok(Standing { waiting, alarms })
}

/// What people stopped or let past the gates, as far as somebody may know of it.
fn emergencies(governance: &Governance, person: &PersonId, now: UnixMillis) -> Vec<Alarm> {
    let known = |freeze: &&Freeze| {
        let service = freeze.event.service.as_ref();
        service.is_none_or(|service| may_read(governance, person, Object::Service(service)))
    };
    let frozen: Vec<&Freeze> =
        governance.freezes().iter().rev().filter(|one| governance.is_frozen_by(one, now)).filter(known).collect();
    let mut alarms: Vec<Alarm> = frozen.iter().take(ALARMS_MAX).map(|freeze| told(freeze)).collect();
    if let Some(more @ 1..) = frozen.len().checked_sub(ALARMS_MAX) {
        alarms.push(lasting(format!("{more} more freezes are in force; the page `/freeze` lists them")));
    }
    let readable = |opened: &&BreakGlass| {
        let target = Object::Target(&opened.event.release.service, &opened.event.environment);
        may_read(governance, person, target)
    };
    match governance.unreviewed().into_iter().filter(readable).collect::<Vec<_>>().as_slice() {
        [] => {}
        [one] => alarms.push(lasting(format!(
            "{} was let past the gates of {} by break-glass, entry {}, and nobody has reviewed it",
            one.event.release, one.event.environment, one.index
        ))),
        more => {
            alarms.push(lasting(format!("{} break-glasses have no review; the page `/freeze` lists them", more.len())));
        }
    }
    alarms
}

/// What does not end by itself.
fn lasting(text: String) -> Alarm {
    Alarm { text, ends: None }
}

fn told(freeze: &Freeze) -> Alarm {
    let until = match freeze.event.until {
        Some(end) => format!("until {}", end.rfc3339_secs()),
        None => "until it is lifted".to_owned(),
    };
    let text = format!("{} is frozen {until} by {}: {}", freeze.what(), freeze.event.by, freeze.event.reason);
    Alarm { text, ends: freeze.event.until }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_good_for_a_moment_and_longer_while_nothing_happens() {
        let known = Known { size: 5, at: UnixMillis(100_000), standing: Standing::default() };
        let check = |size, at, good| assert_eq!(known.is_good(size, UnixMillis(at)), good, "{size} {at}");
        check(6, 101_000, true);
        check(6, 102_000, false);
        check(5, 129_000, true);
        check(5, 130_000, false);
        check(5, 99_999, false);
    }
}
