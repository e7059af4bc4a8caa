//! Windows: times by the clocks of one zone, from a start to an end that is not part of it, once or again and again.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, DateTime};
use lockgate_model::{Span, UnixMillis};
use serde::{Deserialize, Deserializer};

use crate::recurrence::{Recurrence, days_between, plus_days};
use crate::time_zone::Zone;

/// The longest window in days.
const DAYS_MAX: i64 = 366;
/// A day whose clocks do not change.
const DAY: Span = Span::from_secs(86_400);

/// A stretch of time that something is allowed or denied in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// When it starts, by the clocks of its zone.
    pub start: LocalTime,
    /// When it ends, by the same clocks, and is over.
    pub end: LocalTime,
    /// On which days it starts again; it happens once where it is left out.
    #[serde(default)]
    pub repeat: Option<Recurrence>,
    /// Why it is there, in the policy author's words.
    pub reason: String,
}

/// What clocks show, without a zone, such as `2026-12-20T18:00`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LocalTime(DateTime);

/// Why a text is no local time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a local time: write one without a zone, such as 2026-12-20T18:00")]
pub struct LocalTimeError(String);

/// What a window does. Where its ends can mean several moments, they are read so that less is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It lets something in.
    Allows,
    /// It lets nothing in.
    Denies,
}

/// One stretch of time, half open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Interval {
    /// Its first moment.
    pub(crate) start: UnixMillis,
    /// The first moment after it.
    pub(crate) end: UnixMillis,
}

impl Window {
    /// What can never work about it.
    pub(crate) fn problem(&self) -> Option<String> {
        let (start, end) = (self.start.0, self.end.0);
        let length = days_between(start.date(), end.date());
        if end <= start {
            return Some(format!("the window of {} ends before it starts, or at once", self.start));
        }
        if length > DAYS_MAX {
            return Some(format!("the window of {} is longer than {DAYS_MAX} days", self.start));
        }
        if self.reason.trim().is_empty() {
            return Some(format!("the window of {} has no reason: say why it is there", self.start));
        }
        let first = start.date();
        let rule = self.repeat.as_ref()?;
        match rule.days(first, first).next() {
            Some(day) if day == first => None,
            _ => Some(format!("the window starts on {first}, which is no day of its own `repeat`, `{rule}`")),
        }
    }

    /// The stretch that holds a moment; of several the one that ends last.
    pub(crate) fn covering(&self, zone: &Zone, effect: Effect, now: UnixMillis) -> Option<Interval> {
        let back = self.length_days().saturating_add(1);
        let holds = |interval: &Interval| interval.start <= now && now < interval.end;
        self.stretches(zone, effect, now, back)?
            .take_while(|interval| interval.start <= now)
            .filter(holds)
            .max_by_key(|it| it.end)
    }

    /// The first stretch that starts after a moment.
    pub(crate) fn next_after(&self, zone: &Zone, effect: Effect, now: UnixMillis) -> Option<Interval> {
        self.stretches(zone, effect, now, 1)?.find(|interval| interval.start > now)
    }

    /// The stretches that touch a span of time, in order; `from` is part of the span, `to` is not.
    ///
    /// One starts on a day at most, and none is longer than [`DAYS_MAX`], which bounds how many there are.
    pub(crate) fn between(&self, zone: &Zone, effect: Effect, from: UnixMillis, to: UnixMillis) -> Vec<Interval> {
        let back = self.length_days().saturating_add(1);
        let Some(stretches) = self.stretches(zone, effect, from, back) else { return Vec::new() };
        stretches.take_while(|interval| interval.start < to).filter(|interval| from < interval.end).collect()
    }

    fn length_days(&self) -> i64 {
        days_between(self.start.0.date(), self.end.0.date())
    }

    /// All stretches from some days before a moment on, in order.
    fn stretches<'a>(
        &'a self,
        zone: &'a Zone,
        effect: Effect,
        now: UnixMillis,
        back: i64,
    ) -> Option<impl Iterator<Item = Interval> + 'a> {
        let first = self.start.0.date();
        let from = plus_days(zone.local(now)?.date(), back.saturating_neg()).unwrap_or(first).max(first);
        let (once, again) = match &self.repeat {
            None => (Some(first), None),
            Some(rule) => (None, Some(rule.days(first, from))),
        };
        let last = self.repeat.as_ref().and_then(Recurrence::last_moment);
        let days = once.into_iter().chain(again.into_iter().flatten());
        let intervals = days.filter_map(move |day| self.on(zone, effect, day));
        Some(intervals.take_while(move |interval| last.is_none_or(|last| interval.start <= last)))
    }

    /// The stretch that starts on a day. Both ends are read off the clocks, so that a night with a change of the clocks
    /// is an hour shorter or longer; nothing where that leaves no time between them.
    fn on(&self, zone: &Zone, effect: Effect, day: Date) -> Option<Interval> {
        let start = day.to_datetime(self.start.0.time());
        let end = plus_days(day, self.length_days())?.to_datetime(self.end.0.time());
        let (start, end) = match effect {
            Effect::Denies => (earliest(zone, start)?, latest(zone, end)?),
            Effect::Allows => (latest(zone, start)?, earliest(zone, end)?),
        };
        (start < end).then_some(Interval { start, end })
    }
}

/// The first moment that a local time can mean: the first time that clocks show it, or the change that skips it.
fn earliest(zone: &Zone, local: DateTime) -> Option<UnixMillis> {
    let mut after = zone.moment(local)?;
    let skipped = zone.local(after)?.duration_since(local).as_millis();
    let mut before = UnixMillis(after.0.saturating_sub(u64::try_from(skipped).unwrap_or_default()));
    // Of a skipped time, clocks show less at `before` and more at `after`: the change is between them.
    while after.0 - before.0 > 1 {
        let middle = UnixMillis(before.0.midpoint(after.0));
        match zone.local(middle)? < local {
            true => before = middle,
            false => after = middle,
        }
    }
    Some(after)
}

/// The last moment that a local time can mean: the second time that clocks show it, or, where they skip it, when they
/// would have shown it without the change.
fn latest(zone: &Zone, local: DateTime) -> Option<UnixMillis> {
    let first = zone.moment(local)?;
    // Clocks that went back show it again just one day before the same time of the next day.
    let next = plus_days(local.date(), 1).and_then(|day| zone.moment(day.to_datetime(local.time())));
    let second = next.map(|next| UnixMillis(next.0.saturating_sub(DAY.millis())));
    Some(second.filter(|second| zone.local(*second) == Some(local)).unwrap_or(first))
}

impl FromStr for LocalTime {
    type Err = LocalTimeError;
    fn from_str(text: &str) -> Result<Self, LocalTimeError> {
        let error = || LocalTimeError(text.chars().take(64).collect());
        let (day, time) = text.split_once('T').ok_or_else(error)?;
        let plain =
            day.len() == 10 && matches!(time.len(), 5 | 8) && time.bytes().all(|b| b.is_ascii_digit() || b == b':');
        if !plain {
            return Err(error());
        }
        text.parse().map(Self).map_err(|_| error())
    }
}

impl<'de> Deserialize<'de> for LocalTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for LocalTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for LocalTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::Effect::{Allows, Denies};
    use super::*;

    fn window(start: &str, end: &str, repeat: Option<&str>) -> Window {
        Window {
            start: start.parse().unwrap(),
            end: end.parse().unwrap(),
            repeat: repeat.map(|rule| rule.parse().unwrap()),
            reason: "test".to_owned(),
        }
    }

    fn at(text: &str) -> UnixMillis {
        text.parse().unwrap()
    }

    #[test]
    fn holds_its_start_and_not_its_end() {
        let zone = Zone::utc();
        let once = window("2026-12-20T00:00", "2027-01-04T00:00", None);
        let check = |moment: UnixMillis, expected: bool| {
            assert_eq!(once.covering(&zone, Denies, moment).is_some(), expected, "{moment}");
        };
        let (start, end) = (at("2026-12-20T00:00:00Z"), at("2027-01-04T00:00:00Z"));
        check(UnixMillis(start.0 - 1), false);
        check(start, true);
        check(UnixMillis(end.0 - 1), true);
        check(end, false);
        assert_eq!(once.next_after(&zone, Denies, UnixMillis(start.0 - 1)), Some(Interval { start, end }));
        assert_eq!(once.next_after(&zone, Denies, start), None);
    }

    /// a nightly window across both changes of the clocks.
    #[test]
    fn follows_the_clocks_through_changes() {
        let berlin: Zone = "Europe/Berlin".parse().unwrap();
        let night = window("2026-01-01T22:00", "2026-01-02T06:00", Some("FREQ=DAILY"));
        let check = |moment: &str, start: &str, end: &str| {
            let found = night.covering(&berlin, Denies, at(moment)).unwrap();
            assert_eq!(found, Interval { start: at(start), end: at(end) }, "{moment}");
        };
        check("2026-02-01T23:00:00Z", "2026-02-01T21:00:00Z", "2026-02-02T05:00:00Z");
        check("2026-03-29T01:00:00Z", "2026-03-28T21:00:00Z", "2026-03-29T04:00:00Z");
        check("2026-10-25T04:59:59Z", "2026-10-24T20:00:00Z", "2026-10-25T05:00:00Z");
        assert_eq!(night.covering(&berlin, Denies, at("2026-03-29T04:00:00Z")), None);
        let next = night.next_after(&berlin, Denies, at("2026-03-29T04:00:00Z")).unwrap();
        assert_eq!(next.start, at("2026-03-29T20:00:00Z"));
        // A window inside the skipped hour is as long as on other days, an hour later by the clocks.
        let skipped = window("2026-01-01T02:00", "2026-01-01T02:30", Some("FREQ=DAILY"));
        let found = skipped.covering(&berlin, Denies, at("2026-03-29T01:15:00Z")).unwrap();
        assert_eq!(found, Interval { start: at("2026-03-29T01:00:00Z"), end: at("2026-03-29T01:30:00Z") });
    }

    /// of ends that clocks skip or show twice, what denies takes the wider side, and what allows the narrower.
    #[test]
    fn doubtful_ends_let_less_in() {
        let berlin: Zone = "Europe/Berlin".parse().unwrap();
        let check = |effect: Effect, start: &str, end: &str, day: &str, expected: Option<(&str, &str)>| {
            let window = window(&format!("2026-01-01T{start}"), &format!("2026-01-01T{end}"), Some("FREQ=DAILY"));
            let found = window.on(&berlin, effect, day.parse().unwrap());
            let expected = expected.map(|(start, end)| Interval { start: at(start), end: at(end) });
            assert_eq!(found, expected, "{effect:?} {start} {end} {day}");
        };
        // Clocks go from 02:00 to 03:00 at 01:00Z.
        let spring = "2026-03-29";
        check(Denies, "02:30", "03:30", spring, Some(("2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z")));
        check(Denies, "01:30", "02:30", spring, Some(("2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z")));
        check(Denies, "02:15", "02:30", spring, Some(("2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z")));
        check(Denies, "02:30", "03:00", spring, None);
        check(Allows, "02:30", "03:30", spring, None);
        check(Allows, "02:30", "04:00", spring, Some(("2026-03-29T01:30:00Z", "2026-03-29T02:00:00Z")));
        check(Allows, "01:30", "02:30", spring, Some(("2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z")));
        check(Allows, "02:15", "02:30", spring, None);
        // Clocks go from 03:00 back to 02:00 at 01:00Z.
        let autumn = "2026-10-25";
        check(Denies, "01:30", "02:30", autumn, Some(("2026-10-24T23:30:00Z", "2026-10-25T01:30:00Z")));
        check(Denies, "02:30", "03:30", autumn, Some(("2026-10-25T00:30:00Z", "2026-10-25T02:30:00Z")));
        check(Denies, "02:15", "02:30", autumn, Some(("2026-10-25T00:15:00Z", "2026-10-25T01:30:00Z")));
        check(Allows, "01:30", "02:30", autumn, Some(("2026-10-24T23:30:00Z", "2026-10-25T00:30:00Z")));
        check(Allows, "02:30", "03:30", autumn, Some(("2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z")));
        check(Allows, "02:15", "02:30", autumn, None);
        // At the very change, and on the days before, nothing is doubtful.
        for effect in [Allows, Denies] {
            check(effect, "01:00", "02:00", spring, Some(("2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z")));
            check(effect, "03:00", "04:00", spring, Some(("2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z")));
            check(effect, "03:00", "04:00", autumn, Some(("2026-10-25T02:00:00Z", "2026-10-25T03:00:00Z")));
            for (day, next) in [("2026-03-28", "01:30:00Z"), ("2026-10-24", "00:30:00Z")] {
                let (start, end) = (format!("{day}T{next}"), format!("{day}T{}", next.replace(":30", ":45")));
                check(effect, "02:30", "02:45", day, Some((start.as_str(), end.as_str())));
            }
        }
    }

    #[test]
    fn says_what_touches_a_span() {
        let berlin: Zone = "Europe/Berlin".parse().unwrap();
        let night = window("2026-01-01T22:00", "2026-01-02T06:00", Some("FREQ=DAILY"));
        let check = |window: &Window, from: &str, to: &str, expected: &[(&str, &str)]| {
            let expected: Vec<Interval> =
                expected.iter().map(|(start, end)| Interval { start: at(start), end: at(end) }).collect();
            assert_eq!(window.between(&berlin, Denies, at(from), at(to)), expected, "{from} {to}");
        };
        // The night that began before, and the one with the change of the clocks, which is an hour shorter.
        check(
            &night,
            "2026-03-28T01:00:00Z",
            "2026-03-29T20:00:00Z",
            &[("2026-03-27T21:00:00Z", "2026-03-28T05:00:00Z"), ("2026-03-28T21:00:00Z", "2026-03-29T04:00:00Z")],
        );
        // What ends as the span begins, or starts as it ends, is no part of it.
        check(&night, "2026-03-28T05:00:00Z", "2026-03-28T21:00:00Z", &[]);
        let once = window("2026-12-20T18:00", "2027-01-02T06:00", None);
        check(
            &once,
            "2026-12-31T00:00:00Z",
            "2027-01-01T00:00:00Z",
            &[("2026-12-20T17:00:00Z", "2027-01-02T05:00:00Z")],
        );
        check(&once, "2027-01-03T00:00:00Z", "2027-01-31T00:00:00Z", &[]);
        assert_eq!(night.between(&berlin, Denies, UnixMillis(u64::MAX), UnixMillis(u64::MAX)), Vec::new());
    }

    #[test]
    fn ends_with_its_rule() {
        let zone = Zone::utc();
        let daily = window("2026-01-05T09:00", "2026-01-05T17:00", Some("FREQ=DAILY;UNTIL=20260107T090000Z"));
        assert!(daily.covering(&zone, Denies, at("2026-01-07T10:00:00Z")).is_some());
        assert!(daily.covering(&zone, Denies, at("2026-01-08T10:00:00Z")).is_none());
        assert_eq!(daily.next_after(&zone, Denies, at("2026-01-07T10:00:00Z")), None);
    }

    #[test]
    fn says_what_can_never_work() {
        let check = |window: Window, part: &str| {
            let problem = window.problem().unwrap();
            assert!(problem.contains(part), "{problem}");
        };
        check(window("2026-01-05T09:00", "2026-01-05T09:00", None), "ends before it starts");
        check(window("2026-01-05T09:00", "2028-01-05T09:00", None), "longer than");
        check(window("2026-01-05T09:00", "2026-01-05T17:00", Some("FREQ=WEEKLY;BYDAY=TU")), "no day of its own");
        check(Window { reason: " ".to_owned(), ..window("2026-01-05T09:00", "2026-01-05T17:00", None) }, "no reason");
        assert_eq!(window("2026-01-05T09:00", "2026-01-05T17:00", Some("FREQ=WEEKLY")).problem(), None);
        for bad in
            ["2026-01-05", "2026-01-05T09:00Z", "2026-01-05T09:00+01:00", "2026-01-05 09:00", "T", "2026-13-05T09:00"]
        {
            assert!(bad.parse::<LocalTime>().is_err(), "{bad}");
        }
    }
}
