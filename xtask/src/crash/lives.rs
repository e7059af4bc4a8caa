//! Lives: how long each server of a run lives before it is killed.
//!
//! Some are killed on their way to ready: also by a start that follows on such a kill, so that recovery is broken off
//! again and again. Most of the others are short, because a kill shows the most in the first moments; a few are long, so
//! that there is more to lose, and so that what happens now and then happens before a kill, too.

use std::time::Duration;

use crate::random::Random;

/// The shortest life of a server that gets ready, in milliseconds.
pub const SHORTEST_MILLIS: u64 = 5;
/// The longest of the short lives, in milliseconds.
const SHORT_MILLIS: u64 = 180;
/// How many kills of a hundred fall on the way to ready.
const STARTING: u64 = 20;
/// The longest time until such a kill, in hundredths of what the start before took: now and then it is ready by then.
const STARTING_PERCENT: u64 = 110;
/// How many lives of a hundred are long where there are thousands, and where there are few; and how many long ones a run
/// has in between.
const LONG: (u64, u64) = (5, 60);
const LONG_LIVES: u64 = 50;

/// How a server lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// It is killed after so many hundredths of the time that a start takes.
    Starting(u32),
    /// It is killed so long after it was ready.
    Up(Duration),
}

/// The lives of one run.
#[derive(Debug)]
pub struct Lives {
    longest: u64,
    /// How many of a hundred are long.
    long: u64,
}

impl Lives {
    /// The lives of a run of so many kills, none of them longer than so many milliseconds.
    pub fn of(kills: u32, longest: u64) -> Self {
        let share = (LONG_LIVES * 100).checked_div(u64::from(kills)).unwrap_or(LONG.1);
        Self { longest, long: share.clamp(LONG.0, LONG.1) }
    }

    /// The next one.
    pub fn draw(&self, random: &mut Random) -> Life {
        let short = SHORT_MILLIS.min(self.longest);
        let kind = random.between(1, 100);
        if kind <= STARTING {
            return Life::Starting(u32::try_from(random.between(0, STARTING_PERCENT)).unwrap_or_default());
        }
        let millis = match kind <= STARTING + self.long {
            true => random.between(short, self.longest),
            false => random.between(SHORTEST_MILLIS, short),
        };
        Life::Up(Duration::from_millis(millis))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(kills: u32, longest: u64) -> Vec<Life> {
        let (lives, mut random) = (Lives::of(kills, longest), Random::new(7));
        (0..10_000).map(|_| lives.draw(&mut random)).collect()
    }

    /// How many of ten thousand lives end before they are ready, how many are long, and how long all the others take.
    #[track_caller]
    fn check(kills: u32, longest: u64, starting: (usize, usize), long: (usize, usize), seconds: (u64, u64)) {
        let lives = drawn(kills, longest);
        let times: Vec<u64> = lives
            .iter()
            .filter_map(|life| match life {
                Life::Up(time) => u64::try_from(time.as_millis()).ok(),
                Life::Starting(_) => None,
            })
            .collect();
        let found = (lives.len() - times.len(), times.iter().filter(|time| **time > SHORT_MILLIS).count());
        assert!((starting.0..starting.1).contains(&found.0) && (long.0..long.1).contains(&found.1), "{found:?}");
        let all = times.iter().sum::<u64>() / 1000;
        assert!((seconds.0..seconds.1).contains(&all), "{all} s");
        assert!(times.iter().all(|time| (SHORTEST_MILLIS..=longest.max(SHORTEST_MILLIS)).contains(time)));
    }

    #[test]
    fn lives_are_a_mix_and_ten_thousand_take_bounded_time() {
        check(10_000, 2000, (1800, 2200), (400, 600), (1000, 1500));
        check(25, 2000, (1800, 2200), (5500, 6500), (5000, 8000));
        check(10_000, 180, (1800, 2200), (0, 1), (600, 900));
        check(10_000, 5, (1800, 2200), (0, 1), (30, 50));
    }

    #[test]
    fn a_seed_draws_the_same_lives() {
        assert_eq!(drawn(1000, 2000), drawn(1000, 2000));
    }
}
