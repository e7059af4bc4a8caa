//! Turns: which target is run next, and for how long.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::record::Record;
use super::run::Tally;
use super::targets::Target;

/// The longest turn of a target that still has more to do than others: what one turn did is lost when it is interrupted.
const SLICE: Duration = Duration::from_secs(60);

/// One run of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// Its place among the targets.
    pub target: usize,
    /// For how long.
    pub window: Duration,
    /// What makes its inputs others than those of the turns before.
    pub offset: u64,
    /// What its target is short of before it, in time of a processor; nothing where turns are not counted.
    left: Duration,
}

/// The turns that nobody has taken yet.
#[derive(Debug)]
pub struct Turns(Mutex<VecDeque<Turn>>);

impl Turns {
    /// One turn for each target.
    pub fn once(targets: &[Target], window: Duration) -> Self {
        let turn = |target| Turn { target, window, offset: 0, left: Duration::ZERO };
        Self(Mutex::new((0..targets.len()).map(turn).collect()))
    }

    /// Turns for each target until its record has as much time of a processor as `time` says of it; who is shortest of it
    /// begins.
    pub fn up_to(time: impl Fn(&str) -> Duration, targets: &[Target], record: &Record) -> Self {
        let mut turns = Vec::new();
        for (target, name) in targets.iter().map(|target| target.name.as_str()).enumerate() {
            let row = record.row(name);
            let left = time(name).saturating_sub(Duration::from_millis(row.millis));
            turns.extend(Turn::of(target, left, row.inputs));
        }
        turns.sort_by_key(|turn: &Turn| std::cmp::Reverse(turn.left));
        Self(Mutex::new(turns.into()))
    }

    /// The next turn.
    pub fn next(&self) -> Option<Turn> {
        self.lock().pop_front()
    }

    /// A turn has ended: where time is left, the target waits for another one; not after a finding.
    pub fn ended(&self, turn: Turn, tally: &Tally) {
        if !turn.left.is_zero() && tally.findings.is_empty() {
            let left = turn.left.saturating_sub(tally.time);
            let offset = turn.offset.wrapping_add(tally.inputs);
            self.lock().extend(Turn::of(turn.target, left, offset));
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Turn>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// The next turn of a target that is short of so much; none where it is short of nothing.
    fn of(target: usize, left: Duration, offset: u64) -> Option<Self> {
        (!left.is_zero()).then(|| Self { target, window: left.min(SLICE), offset, left })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::outcome::Outcome;
    use crate::fuzz::record::Way;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn two() -> Vec<Target> {
        ["a", "b"].map(|name| Target::new(name, Vec::new(), |_| Outcome::accepted(&1))).into()
    }

    #[test]
    fn each_target_has_one_turn() {
        let turns = Turns::once(&two(), seconds(9));
        let taken: Vec<(usize, Duration)> = std::iter::from_fn(|| turns.next()).map(|t| (t.target, t.window)).collect();
        assert_eq!(taken, [(0, seconds(9)), (1, seconds(9))]);
    }

    #[test]
    fn turns_go_on_until_the_record_is_long_enough() {
        let scratch = crate::scratch::Scratch::new("fuzz-turns").unwrap();
        let mut record = Record::load_from(scratch.path().join("record.json"), Way::Chance).unwrap();
        let tally = |time: u64, findings: &[&str]| Tally {
            inputs: 10,
            time: seconds(time),
            findings: findings.iter().map(|&finding| finding.to_owned()).collect(),
            ..Tally::default()
        };
        record.add("a", &tally(95, &[])).unwrap();
        let turns = Turns::up_to(|_| seconds(100), &two(), &record);
        let [b, a] = [turns.next().unwrap(), turns.next().unwrap()];
        assert_eq!((b.target, b.window, b.offset), (1, SLICE, 0));
        assert_eq!((a.target, a.window, a.offset), (0, seconds(5), 10));
        assert_eq!(turns.next(), None);
        // A thread that had the processor for half of the time has the other half still to do.
        turns.ended(a, &tally(2, &[]));
        turns.ended(b, &tally(60, &["it panics"]));
        let a = turns.next().unwrap();
        assert_eq!((a.target, a.window, a.offset), (0, seconds(3), 20));
        turns.ended(a, &tally(3, &[]));
        assert_eq!(turns.next(), None);
    }
}
