//! The server's clock: the machine's, except that it never goes back while the server runs, nor behind its ledger.
//!
//! What has ended stays ended, whatever becomes of the machine's clock: sessions, tokens, challenges, grants. Where that
//! one is set back, the server's goes on from where it was, as fast as time really passes, until the machine's has caught
//! up. A server that is started again begins at the newest entry's time, at the earliest.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use lockgate_engine::clock::Clock;
use lockgate_model::UnixMillis;

use crate::world::SystemClock;

/// From how many milliseconds on it is told that the machine's clock was set back.
const TOLD_MILLIS: u64 = 1000;

/// The server's clock.
#[derive(Debug, Default)]
pub struct ServerClock(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    newest: Option<Reading>,
    /// Whether it was told that the machine's clock is behind.
    told: bool,
}

/// What the clock said, and when that was by a clock that nobody sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reading {
    time: UnixMillis,
    at: Instant,
}

impl Reading {
    /// What the clock says after `before`, when the machine's says `machine`.
    fn after(before: Option<Self>, machine: UnixMillis, at: Instant) -> Self {
        let Some(before) = before.filter(|before| machine < before.time) else { return Self { time: machine, at } };
        let passed = u64::try_from(at.saturating_duration_since(before.at).as_millis()).unwrap_or(u64::MAX);
        // What is left of a millisecond counts the next time, however often the clock is read.
        let counted = before.at.checked_add(Duration::from_millis(passed)).unwrap_or(at);
        Self { time: UnixMillis(before.time.0.saturating_add(passed)), at: counted }
    }
}

impl Clock for ServerClock {
    fn go_on_from(&self, time: UnixMillis) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.newest = Some(Reading::after(state.newest, time, Instant::now()));
    }

    fn now(&self) -> UnixMillis {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Read under the lock: of two threads, the later one does not come with the earlier reading.
        let machine = SystemClock.now();
        let reading = Reading::after(state.newest, machine, Instant::now());
        state.newest = Some(reading);
        let behind = reading.time.0.saturating_sub(machine.0) > TOLD_MILLIS;
        let news = behind && !state.told;
        state.told = behind;
        drop(state);
        if news {
            tracing::warn!(time = %reading.time, %machine, "the machine's clock was set back; the server's goes on");
        }
        reading.time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A clock whose machine says these times, each so many milliseconds after the one before.
    fn check(readings: &[(u64, u64, u64)]) {
        let mut at = Instant::now();
        let mut newest = None;
        for (passed, machine, expected) in readings {
            at += Duration::from_millis(*passed);
            let reading = Reading::after(newest, UnixMillis(*machine), at);
            assert_eq!(reading.time, UnixMillis(*expected), "{readings:?}");
            newest = Some(reading);
        }
    }

    #[test]
    fn it_follows_the_machine_forward_and_never_back() {
        const YEARS: u64 = 10 * 365 * 86_400_000;
        check(&[(0, 5000, 5000), (10, 5010, 5010), (10, 5020, 5020)]);
        // Ahead by ten years, and back again: it goes on, and is not overtaken before its time.
        check(&[(0, 5000, 5000), (10, YEARS, YEARS), (10, 5020, YEARS + 10), (90, 5110, YEARS + 100)]);
        // Back by a second: the machine's has caught up after it.
        check(&[(0, 5000, 5000), (100, 4100, 5100), (800, 4900, 5900), (1000, 6900, 6900)]);
        // Back and forth every second.
        check(&[(0, 9000, 9000), (1000, 2000, 10_000), (1000, 11_000, 11_000), (1000, 4000, 12_000)]);
        check(&[(0, u64::MAX, u64::MAX), (1000, 0, u64::MAX)]);
    }

    #[test]
    fn reading_it_often_does_not_stop_it() {
        let begun = Instant::now();
        let mut newest = Reading::after(None, UnixMillis(5000), begun);
        for micros in 1..=4000u64 {
            newest = Reading::after(Some(newest), UnixMillis(0), begun + Duration::from_micros(micros));
        }
        assert_eq!(newest.time, UnixMillis(5004));
    }

    #[test]
    fn it_goes_on_from_what_was_recorded_and_never_back_to_it() {
        let clock = ServerClock::default();
        let now = clock.now();
        clock.go_on_from(UnixMillis(5000));
        assert!(clock.now() >= now);
        let ahead = now.plus("12h".parse().unwrap());
        clock.go_on_from(ahead);
        assert!(clock.now() >= ahead);
    }

    #[test]
    fn it_is_the_machines_clock_where_nobody_sets_that_one() {
        let clock = ServerClock::default();
        let (before, now) = (SystemClock.now(), clock.now());
        assert!(before <= now && now <= clock.now());
    }
}
