//! Order: whether what several clients were told could have happened one after the other.
//!
//! The search of Wing and Gong ("Testing and Verification of Concurrent Objects", 1993), with Lowe's memory of what was
//! tried: an operation may come next when no other that is left had ended before it was asked for. What is checked is one
//! place, a service in an environment, with the idempotency keys that were used there; places do not concern each other.

use std::collections::{BTreeMap, HashSet};

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// What runs.
    Read,
    /// That a release be let in, perhaps under a key that others use too.
    Promote {
        /// Which.
        release: u64,
        /// Under which key.
        key: Option<u64>,
    },
}

/// What was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// By which promotion something runs, if anything does.
    Runs(Option<u64>),
    /// It was granted by this promotion.
    Granted(u64),
    /// The same as to an earlier request under this key.
    Repeated(u64),
    /// It runs already.
    AlreadyRuns,
    /// The key stands for another request.
    OtherRequest,
}

/// One operation of one client; times are nanoseconds by one clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    /// Before it was sent.
    pub called: u64,
    /// After its answer was read.
    pub answered: u64,
    /// What was asked.
    pub asked: Asked,
    /// What was told.
    pub told: Told,
}

/// The model: what a place would say if everyone waited for everyone else.
#[derive(Debug, Clone, Default)]
struct Place {
    /// The promotion and the release that run.
    running: Option<(u64, u64)>,
    /// What each key stands for: release and promotion.
    keys: BTreeMap<u64, (u64, u64)>,
}

impl Place {
    /// The place after an operation, if this is what it would have told.
    fn after(&self, operation: &Operation) -> Option<Self> {
        let runs = self.running.map(|(promotion, _)| promotion);
        let (release, key) = match operation.asked {
            Asked::Read => return (operation.told == Told::Runs(runs)).then(|| self.clone()),
            Asked::Promote { release, key } => (release, key),
        };
        let known = key.and_then(|key| self.keys.get(&key).copied());
        let is_running = self.running.is_some_and(|(_, running)| running == release);
        match (operation.told, known) {
            (Told::Repeated(promotion), Some(known)) => (known == (release, promotion)).then(|| self.clone()),
            (Told::OtherRequest, Some((other, _))) => (other != release).then(|| self.clone()),
            (Told::AlreadyRuns, None) => is_running.then(|| self.clone()),
            (Told::Granted(promotion), None) if !is_running => {
                let mut next = self.clone();
                next.running = Some((promotion, release));
                next.keys.extend(key.map(|key| (key, (release, promotion))));
                Some(next)
            }
            _ => None,
        }
    }
}

/// The first operation without a place, those behind it that have one, and what runs.
type Tried = (usize, Vec<usize>, Option<(u64, u64)>);

/// The search: which operations have their place already.
struct Search<'a> {
    operations: &'a [Operation],
    placed: Vec<bool>,
    /// The first without a place.
    first: usize,
    place: Place,
    /// The order so far, each with the place before it.
    order: Vec<(usize, Place)>,
    /// What was tried. What the keys stand for follows from which operations have a place.
    tried: HashSet<Tried>,
}

/// Checks that there is one order of all operations in which each is told what it was told, and in which nothing comes
/// before what had ended before it began.
///
/// # Errors
/// When there is none: how many operations fit at most, and the first that does not.
pub fn check(mut operations: Vec<Operation>) -> Result<(), (usize, Option<Operation>)> {
    operations.sort_by_key(|operation| operation.called);
    let mut search = Search {
        placed: vec![false; operations.len()],
        operations: &operations,
        first: 0,
        place: Place::default(),
        order: Vec::new(),
        tried: HashSet::new(),
    };
    let (mut from, mut best) = (0, (0, operations.first().copied()));
    while search.order.len() < operations.len() {
        match search.choose(from) {
            Some((at, place)) => {
                search.put(at, place);
                from = 0;
                if search.order.len() > best.0 {
                    best = (search.order.len(), operations.get(search.first).copied());
                }
            }
            None => match search.take_back() {
                Some(at) => from = at + 1,
                None => return Err(best),
            },
        }
    }
    Ok(())
}

impl Search<'_> {
    /// The next operation, at or behind `from`, that may come now and was not tried here.
    fn choose(&mut self, from: usize) -> Option<(usize, Place)> {
        let (candidates, behind) = self.window();
        for at in candidates.into_iter().filter(|at| *at >= from) {
            let Some(place) = self.operations.get(at).and_then(|operation| self.place.after(operation)) else {
                continue;
            };
            let mut first = self.first;
            let mut rest: Vec<usize> = behind.iter().copied().chain([at]).collect();
            rest.sort_unstable();
            rest.retain(|placed| {
                let is_next = *placed == first;
                first += usize::from(is_next);
                !is_next
            });
            if self.tried.insert((first, rest, place.running)) {
                return Some((at, place));
            }
        }
        None
    }

    /// Those without a place that were asked for before any of them had ended, and those behind the first that have one.
    fn window(&self) -> (Vec<usize>, Vec<usize>) {
        let (mut candidates, mut behind) = (Vec::new(), Vec::new());
        let mut earliest = u64::MAX;
        for (at, operation) in self.operations.iter().enumerate().skip(self.first) {
            // Whatever has a place was once a candidate beside all that are left: it does not lie further on.
            if operation.called > earliest {
                break;
            }
            if self.placed.get(at) == Some(&false) {
                earliest = earliest.min(operation.answered);
                candidates.push(at);
            } else {
                behind.push(at);
            }
        }
        // One that was asked for after another had ended is none: that one stands behind it in this list.
        candidates.retain(|at| self.operations.get(*at).is_some_and(|operation| operation.called <= earliest));
        (candidates, behind)
    }

    fn put(&mut self, at: usize, place: Place) {
        self.order.push((at, std::mem::replace(&mut self.place, place)));
        self.mark(at, true);
        while self.placed.get(self.first) == Some(&true) {
            self.first += 1;
        }
    }

    fn take_back(&mut self) -> Option<usize> {
        let (at, before) = self.order.pop()?;
        self.place = before;
        self.mark(at, false);
        self.first = self.first.min(at);
        Some(at)
    }

    fn mark(&mut self, at: usize, is_placed: bool) {
        if let Some(placed) = self.placed.get_mut(at) {
            *placed = is_placed;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: Asked = Asked::Read;

    fn ask(release: u64) -> Asked {
        Asked::Promote { release, key: None }
    }

    fn keyed(release: u64, key: u64) -> Asked {
        Asked::Promote { release, key: Some(key) }
    }

    #[track_caller]
    fn check_history(history: &[(u64, u64, Asked, Told)], expected: bool) {
        let operation = |(called, answered, asked, told): &(u64, u64, Asked, Told)| Operation {
            called: *called,
            answered: *answered,
            asked: *asked,
            told: *told,
        };
        assert_eq!(check(history.iter().map(operation).collect()).is_ok(), expected, "{history:?}");
    }

    #[test]
    fn what_could_have_happened_is_found() {
        use Told::{AlreadyRuns, Granted, OtherRequest, Repeated, Runs};
        check_history(&[], true);
        check_history(&[(0, 9, ask(1), Granted(1)), (1, 8, READ, Runs(None)), (2, 7, READ, Runs(Some(1)))], true);
        // Both at once: whichever was first.
        check_history(&[(0, 9, ask(1), Granted(1)), (1, 8, ask(1), AlreadyRuns)], true);
        check_history(&[(0, 9, ask(1), AlreadyRuns), (1, 8, ask(1), Granted(1))], true);
        // The order of the answers says nothing while they overlap, and the place goes back and forth.
        check_history(
            &[
                (0, 20, ask(1), Granted(7)),
                (1, 3, ask(2), Granted(6)),
                (4, 5, READ, Runs(Some(6))),
                (6, 9, READ, Runs(Some(7))),
                (21, 30, ask(2), Granted(8)),
                (31, 32, READ, Runs(Some(8))),
            ],
            true,
        );
        check_history(
            &[
                (0, 9, keyed(1, 5), Repeated(1)),
                (1, 8, keyed(1, 5), Granted(1)),
                (2, 7, keyed(2, 5), OtherRequest),
                (10, 11, ask(2), Granted(2)),
                (12, 13, keyed(1, 5), Repeated(1)),
                (14, 15, READ, Runs(Some(2))),
            ],
            true,
        );
    }

    /// Each is what a server would tell that has one defect.
    #[test]
    fn what_cannot_have_happened_is_told() {
        use Told::{AlreadyRuns, Granted, OtherRequest, Repeated, Runs};
        // A read of what was, after the grant was told.
        check_history(&[(0, 1, ask(1), Granted(1)), (2, 3, READ, Runs(None))], false);
        // A grant that is lost; one that comes back.
        check_history(&[(0, 1, ask(1), Granted(1)), (2, 3, ask(1), Granted(2))], false);
        check_history(&[(0, 1, ask(1), Granted(1)), (2, 3, ask(2), Granted(2)), (4, 5, READ, Runs(Some(1)))], false);
        // Two readers who see two grants in two orders.
        check_history(
            &[
                (0, 99, ask(1), Granted(1)),
                (0, 99, ask(2), Granted(2)),
                (1, 2, READ, Runs(Some(1))),
                (3, 4, READ, Runs(Some(2))),
                (5, 6, READ, Runs(Some(1))),
            ],
            false,
        );
        // A key that is taken twice, answered with another promotion, or for another request.
        check_history(
            &[(0, 1, keyed(1, 5), Granted(1)), (2, 3, ask(2), Granted(2)), (4, 5, keyed(1, 5), Granted(3))],
            false,
        );
        check_history(&[(0, 1, keyed(1, 5), Granted(1)), (2, 3, keyed(1, 5), Repeated(2))], false);
        check_history(&[(0, 1, keyed(1, 5), Granted(1)), (2, 3, keyed(2, 5), Repeated(1))], false);
        check_history(&[(0, 1, keyed(1, 5), OtherRequest)], false);
        // Refused although nothing runs.
        check_history(&[(0, 1, ask(1), AlreadyRuns)], false);
    }

    #[test]
    fn long_histories_are_ordered_in_time() {
        // Four at a time; each answer comes when the next three have been asked for.
        let mut history = Vec::new();
        for number in 0..4000 {
            let told = Told::Granted(number + 1);
            let (called, answered) = (number * 10, number * 10 + 35);
            history.push(Operation { called, answered, asked: ask(number % 7), told });
        }
        assert_eq!(check(history.clone()), Ok(()));
        history[2000].told = Told::Repeated(9);
        assert_eq!(check(history).unwrap_err().0, 2003);
    }
}
