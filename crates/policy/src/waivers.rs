//! Waivers: what `policy.toml` demands of them, in its table `[waivers]`.

use lockgate_model::{Span, UnixMillis};
use serde::Deserialize;

/// The most days that any policy set may let a waiver last; the ledger refuses longer ones under every set.
pub const WAIVER_DAYS_MAX: u64 = 90;

/// What the policy set demands of waivers. A set without the table demands what the ledger does on its own: two people
/// who both sign, one finding, an end.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WaiverRules {
    /// How many days a waiver may last at most, from its grant on; what lasts longer, by a millisecond, does not count
    /// either.
    pub max_days: u64,
    /// Whether a waiver has to be asked for in the ledger before somebody else grants it there. Both people sign in any
    /// case; this one says that nobody hands the request over outside of the ledger.
    pub two_people: bool,
    /// Whether a waiver may be for every release of its service; otherwise it names a release or an artifact.
    pub service_wide: bool,
    /// Whether a waiver has to name a ticket.
    pub ticket: bool,
    /// Whether a waiver ends once its vulnerability is known to be exploited (KEV).
    pub end_on_kev: bool,
}

impl Default for WaiverRules {
    fn default() -> Self {
        Self { max_days: WAIVER_DAYS_MAX, two_people: true, service_wide: false, ticket: false, end_on_kev: false }
    }
}

/// Whether a waiver that begins and ends then lasts longer than so many days, to the millisecond.
pub fn lasts_longer(days: u64, begins: UnixMillis, ends: UnixMillis) -> bool {
    ends > begins.plus(Span::from_secs(days.saturating_mul(86_400)))
}

impl WaiverRules {
    /// Whether the number of days cannot work: none, or more than the ledger lets through.
    pub(crate) fn is_out_of_range(&self) -> bool {
        !(1..=WAIVER_DAYS_MAX).contains(&self.max_days)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_compared_to_the_millisecond() {
        const DAY: u64 = 86_400_000;
        let check = |days: u64, millis: u64, longer: bool| {
            let begins = UnixMillis(1_700_000_000_123);
            assert_eq!(lasts_longer(days, begins, UnixMillis(begins.0 + millis)), longer, "{days} {millis}");
        };
        check(1, DAY - 1, false);
        check(1, DAY, false);
        check(1, DAY + 1, true);
        check(7, 8 * DAY - 1, true);
        check(90, 90 * DAY, false);
        check(u64::MAX, DAY, false);
        assert!(!lasts_longer(1, UnixMillis(2 * DAY), UnixMillis(DAY)));
    }

    #[test]
    fn the_table_is_strict_where_it_stands() {
        let read = |text: &str| toml::from_str::<WaiverRules>(text);
        assert_eq!(read("").unwrap(), WaiverRules::default());
        assert!(read("").unwrap().two_people && !read("").unwrap().service_wide);
        assert!(read("end_on_kev = true").unwrap().end_on_kev);
        for (text, wrong) in
            [("max_days = 0", true), ("max_days = 1", false), ("max_days = 90", false), ("max_days = 91", true)]
        {
            assert_eq!(read(text).unwrap().is_out_of_range(), wrong, "{text}");
        }
        assert!(read("max_day = 7").is_err());
        assert!(read("max_days = -1").is_err());
    }
}
