//! Pace: approvals given faster than anybody can read.

use lockgate_model::{Span, UnixMillis};

/// How many approvals by one person within [`STAMP_SPAN`] are a rubber stamp (attack A-51 of `tests/attacks`).
pub const STAMPS: usize = 20;
/// See [`STAMPS`]; both ends included.
pub const STAMP_SPAN: Span = Span::from_secs(10);

/// A stretch of time in which one person approved too fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Burst {
    /// The first approval of it.
    pub first: UnixMillis,
    /// The last.
    pub last: UnixMillis,
    /// How many there were.
    pub approvals: usize,
}

impl Burst {
    /// Whether an approval of that moment belongs to it.
    pub fn holds(&self, time: UnixMillis) -> bool {
        self.first <= time && time <= self.last
    }
}

/// Finds the bursts among one person's approvals, whose ledger times are given in order.
pub fn bursts(times: &[UnixMillis]) -> Vec<Burst> {
    let mut found: Vec<Burst> = Vec::new();
    for window in times.windows(STAMPS) {
        let (Some(first), Some(last)) = (window.first(), window.last()) else { continue };
        if last.0.saturating_sub(first.0) > STAMP_SPAN.millis() {
            continue;
        }
        match found.last_mut().filter(|burst| *first <= burst.last) {
            Some(burst) => burst.last = *last,
            None => found.push(Burst { first: *first, last: *last, approvals: 0 }),
        }
    }
    for burst in &mut found {
        burst.approvals = times.iter().filter(|time| burst.first <= **time && **time <= burst.last).count();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(first: u64, step: u64, count: u64) -> Vec<UnixMillis> {
        (0..count).map(|number| UnixMillis(first + step * number)).collect()
    }

    #[test]
    fn twenty_in_ten_seconds_are_a_burst() {
        let check = |times: &[UnixMillis], expected: &[(u64, u64, usize)]| {
            let found: Vec<_> =
                bursts(times).iter().map(|burst| (burst.first.0, burst.last.0, burst.approvals)).collect();
            assert_eq!(found, expected);
        };
        check(&[], &[]);
        check(&times(0, 0, 19), &[]);
        check(&times(5, 0, 20), &[(5, 5, 20)]);
        // 19 steps of 526 ms are 9,994 ms; of 527 ms they are 10,013.
        check(&times(0, 526, 20), &[(0, 9_994, 20)]);
        check(&times(0, 527, 20), &[]);
        check(&times(0, 500, 30), &[(0, 14_500, 30)]);
        let apart = [times(0, 100, 20), times(1_000_000, 100, 25)].concat();
        check(&apart, &[(0, 1_900, 20), (1_000_000, 1_002_400, 25)]);
        assert!(bursts(&apart)[1].holds(UnixMillis(1_000_100)));
        assert!(!bursts(&apart)[1].holds(UnixMillis(1_900)));
    }
}
