//! Recurrences: on which days something happens again, in a part of RFC 5545 (section 3.3.10).
//!
//! Read are `FREQ` of `DAILY`, `WEEKLY`, `MONTHLY` and `YEARLY`, `INTERVAL`, `BYMONTH`, `BYMONTHDAY`, `BYDAY`, `BYSETPOS`,
//! `WKST`, `UNTIL` and `COUNT`. Every other part is refused, because leaving it out would change the days.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use jiff::SignedDuration;
use jiff::civil::{Date, Weekday};
use lockgate_model::UnixMillis;
use serde::{Deserialize, Deserializer};

/// The longest rule in bytes.
const RULE_MAX_BYTES: usize = 256;
/// The largest `INTERVAL`.
const INTERVAL_MAX: i64 = 1000;
/// The largest `COUNT`: all days before the wanted one are counted each time.
const COUNT_MAX: u32 = 10_000;
const ALL_MONTHS: [i8; 12] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

/// A rule by which a day comes again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recurrence {
    text: String,
    frequency: Frequency,
    interval: i64,
    months: Vec<i8>,
    /// Days of a month: 1 is its first, -1 its last.
    month_days: Vec<i8>,
    days: Vec<RuleDay>,
    /// Which of the days of a period: 1 is the first, -1 the last; all where there is none.
    positions: Vec<i16>,
    week_start: Weekday,
    until: Option<Until>,
    count: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Frequency {
    Daily,
    Weekly,
    Monthly,
    Yearly,
}

impl Frequency {
    /// How many periods without any day are passed before a rule counts as over: the calendar comes again after 400 years.
    const fn empty_max(self) -> u32 {
        match self {
            // Days and weeks are left out by their months alone: a rule of every 365 days takes 1,350 to the next February.
            Self::Daily | Self::Weekly => 4000,
            Self::Monthly => 4800,
            Self::Yearly => 400,
        }
    }
}

/// One day of `BYDAY`: `MO`, or with a number the first, second or last (`-1`) of its month or year.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct RuleDay {
    nth: i8,
    weekday: Weekday,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Until {
    Day(Date),
    Moment(UnixMillis),
}

/// Why a text is no recurrence that is read here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a recurrence: {why}")]
pub struct RecurrenceError {
    text: String,
    why: String,
}

impl Recurrence {
    /// The rule as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The days on which it happens, in order and not before `from`; `first` is the first of them.
    pub(crate) fn days(&self, first: Date, from: Date) -> Days<'_> {
        let start = match self.count {
            // What is counted has to be counted from the beginning.
            Some(_) => 0,
            None => self.periods_between(first, from).saturating_sub(1).max(0),
        };
        Days { rule: self, first, from, period: start, found: Vec::new().into_iter(), left: self.count, empty: 0 }
    }

    /// The moment after which nothing starts any more, where the rule ends at a moment.
    pub(crate) fn last_moment(&self) -> Option<UnixMillis> {
        match self.until {
            Some(Until::Moment(moment)) => Some(moment),
            Some(Until::Day(_)) | None => None,
        }
    }

    /// How many whole periods lie between two days.
    fn periods_between(&self, first: Date, from: Date) -> i64 {
        let days = days_between(first, from);
        let years = i64::from(from.year()) - i64::from(first.year());
        let months = years * 12 + i64::from(from.month()) - i64::from(first.month());
        match self.frequency {
            Frequency::Daily => days / self.interval,
            Frequency::Weekly => days / 7 / self.interval,
            Frequency::Monthly => months / self.interval,
            Frequency::Yearly => years / self.interval,
        }
    }

    /// The days of one period, in order and not before `first`; nothing where the calendar ends.
    fn of_period(&self, first: Date, period: i64) -> Option<Vec<Date>> {
        let steps = period.checked_mul(self.interval)?;
        let mut days = match self.frequency {
            Frequency::Daily => {
                let day = plus_days(first, steps)?;
                let wanted = self.days.is_empty() || self.days.iter().any(|wanted| wanted.weekday == day.weekday());
                if wanted { vec![day] } else { Vec::new() }
            }
            Frequency::Weekly => {
                let into = |weekday: Weekday| i64::from(weekday.since(self.week_start));
                let start = plus_days(first, steps.checked_mul(7)?.checked_sub(into(first.weekday()))?)?;
                match self.days.is_empty() {
                    true => vec![plus_days(start, into(first.weekday()))?],
                    false => self.days.iter().filter_map(|day| plus_days(start, into(day.weekday))).collect(),
                }
            }
            Frequency::Monthly => {
                let months = i64::from(first.month()) - 1 + steps;
                let year = i16::try_from(i64::from(first.year()) + months.div_euclid(12)).ok()?;
                let month = i8::try_from(months.rem_euclid(12) + 1).ok()?;
                self.of_months(Date::new(year, month, 1).ok()?, &[month], first)
            }
            Frequency::Yearly => {
                let year = i16::try_from(i64::from(first.year()) + steps).ok()?;
                let months = match (self.months.as_slice(), self.month_days.is_empty(), self.days.is_empty()) {
                    ([], true, true) => &[first.month()],
                    ([], _, _) => ALL_MONTHS.as_slice(),
                    (months, _, _) => months,
                };
                self.of_months(Date::new(year, 1, 1).ok()?, months, first)
            }
        };
        days.retain(|day| self.months.is_empty() || self.months.contains(&day.month()));
        days.sort();
        days.dedup();
        if !self.positions.is_empty() {
            days = self.at_positions(&days);
        }
        days.retain(|day| *day >= first);
        Some(days)
    }

    /// The days in these months of the year of `start`: by their numbers, by their weekdays, or by both; by the number
    /// of `first` where the rule says neither.
    fn of_months(&self, start: Date, months: &[i8], first: Date) -> Vec<Date> {
        let starts = || months.iter().filter_map(|month| Date::new(start.year(), *month, 1).ok());
        let by_weekday = || -> Vec<Date> {
            // The second Monday of a year, unless the rule is about months.
            match self.frequency == Frequency::Yearly && self.months.is_empty() {
                true => self.weekdays_between(start, start.last_of_year()),
                false => starts().flat_map(|start| self.weekdays_between(start, start.last_of_month())).collect(),
            }
        };
        let by_number = |wanted: &[i8]| -> Vec<Date> {
            let days = |start: Date| wanted.iter().filter_map(move |day| day_of_month(start, *day)).collect::<Vec<_>>();
            starts().flat_map(days).collect()
        };
        match (self.month_days.is_empty(), self.days.is_empty()) {
            (true, true) => by_number(&[first.day()]),
            (true, false) => by_weekday(),
            (false, true) => by_number(&self.month_days),
            (false, false) => {
                let wanted = by_number(&self.month_days);
                by_weekday().into_iter().filter(|day| wanted.contains(day)).collect()
            }
        }
    }

    /// The wanted ones of a period's days, which are in order.
    fn at_positions(&self, days: &[Date]) -> Vec<Date> {
        let at = |position: i16| -> Option<Date> {
            let steps = usize::from(position.unsigned_abs()).checked_sub(1)?;
            match position > 0 {
                true => days.get(steps).copied(),
                false => days.iter().rev().nth(steps).copied(),
            }
        };
        let mut found: Vec<Date> = self.positions.iter().filter_map(|position| at(*position)).collect();
        found.sort();
        found.dedup();
        found
    }

    /// The days of `BYDAY` within a month or a year.
    fn weekdays_between(&self, start: Date, end: Date) -> Vec<Date> {
        let length = days_between(start, end);
        let mut days = Vec::new();
        for wanted in &self.days {
            let offset = i64::from(wanted.weekday.since(start.weekday()));
            let all: Vec<Date> = (0..)
                .map(|week| offset + week * 7)
                .take_while(|at| *at <= length)
                .filter_map(|at| plus_days(start, at))
                .collect();
            let nth = usize::from(wanted.nth.unsigned_abs());
            match wanted.nth {
                0 => days.extend(all),
                1.. => days.extend(all.get(nth.saturating_sub(1)).copied()),
                _ => days.extend(all.iter().rev().nth(nth.saturating_sub(1)).copied()),
            }
        }
        days
    }
}

/// A day of the month that begins at `start`; nothing where it has no such day.
fn day_of_month(start: Date, day: i8) -> Option<Date> {
    let day = if day < 0 { start.days_in_month().checked_add(day)?.checked_add(1)? } else { day };
    Date::new(start.year(), start.month(), day).ok()
}

/// The days of a recurrence.
pub(crate) struct Days<'a> {
    rule: &'a Recurrence,
    first: Date,
    from: Date,
    period: i64,
    found: std::vec::IntoIter<Date>,
    left: Option<u32>,
    empty: u32,
}

impl Iterator for Days<'_> {
    type Item = Date;

    fn next(&mut self) -> Option<Date> {
        loop {
            for day in self.found.by_ref() {
                if let Some(left) = &mut self.left {
                    *left = left.checked_sub(1)?;
                }
                if matches!(self.rule.until, Some(Until::Day(last)) if day > last) {
                    return None;
                }
                if day >= self.from {
                    return Some(day);
                }
            }
            if self.empty >= self.rule.frequency.empty_max() {
                return None;
            }
            let days = self.rule.of_period(self.first, self.period)?;
            self.period = self.period.checked_add(1)?;
            self.empty = if days.is_empty() { self.empty.saturating_add(1) } else { 0 };
            self.found = days.into_iter();
        }
    }
}

/// A day some days later, or earlier; nothing where the calendar ends.
pub(crate) fn plus_days(day: Date, days: i64) -> Option<Date> {
    // The calendar has fewer than ten million days: what is farther away is not in it.
    let hours = Some(days).filter(|days| days.abs() < 10_000_000)?.checked_mul(24)?;
    day.checked_add(SignedDuration::from_hours(hours)).ok()
}

/// How many days later `to` is than `from`.
pub(crate) fn days_between(from: Date, to: Date) -> i64 {
    to.duration_since(from).as_hours() / 24
}

impl FromStr for Recurrence {
    type Err = RecurrenceError;
    fn from_str(text: &str) -> Result<Self, RecurrenceError> {
        let error = |why: String| RecurrenceError { text: text.chars().take(160).collect(), why };
        if text.len() > RULE_MAX_BYTES || !text.is_ascii() {
            return Err(error(format!("use at most {RULE_MAX_BYTES} bytes of ASCII")));
        }
        let upper = text.to_ascii_uppercase();
        let mut parts = Parts::default();
        for part in upper.strip_prefix("RRULE:").unwrap_or(&upper).split(';') {
            let (name, value) = part
                .split_once('=')
                .ok_or_else(|| error("write parts such as `FREQ=WEEKLY`, joined by `;`".to_owned()))?;
            parts.take(name, value).map_err(&error)?;
        }
        parts.finish(text).map_err(error)
    }
}

#[derive(Default)]
struct Parts {
    frequency: Option<Frequency>,
    interval: Option<i64>,
    months: Option<Vec<i8>>,
    month_days: Option<Vec<i8>>,
    days: Option<Vec<RuleDay>>,
    positions: Option<Vec<i16>>,
    week_start: Option<Weekday>,
    until: Option<Until>,
    count: Option<u32>,
}

impl Parts {
    fn take(&mut self, name: &str, value: &str) -> Result<(), String> {
        let twice = || format!("`{name}` stands there twice");
        let wrong = |wanted: &str| format!("`{name}={value}`: write {wanted}");
        match name {
            "FREQ" => {
                let frequency = match value {
                    "DAILY" => Frequency::Daily,
                    "WEEKLY" => Frequency::Weekly,
                    "MONTHLY" => Frequency::Monthly,
                    "YEARLY" => Frequency::Yearly,
                    _ => return Err(wrong("DAILY, WEEKLY, MONTHLY or YEARLY")),
                };
                once(&mut self.frequency, frequency).ok_or_else(twice)
            }
            "INTERVAL" => {
                let interval = value.parse::<i64>().ok().filter(|interval| (1..=INTERVAL_MAX).contains(interval));
                once(&mut self.interval, interval.ok_or_else(|| wrong("a number from 1 to 1000"))?).ok_or_else(twice)
            }
            "COUNT" => {
                let count = value.parse::<u32>().ok().filter(|count| (1..=COUNT_MAX).contains(count));
                once(&mut self.count, count.ok_or_else(|| wrong("a number from 1 to 10000"))?).ok_or_else(twice)
            }
            "UNTIL" => {
                let until = read_until(value).ok_or_else(|| wrong("a day such as 20261231, or 20261231T230000Z"))?;
                once(&mut self.until, until).ok_or_else(twice)
            }
            "BYDAY" => {
                let days: Option<Vec<RuleDay>> = value.split(',').map(read_day).collect();
                let days = days.ok_or_else(|| wrong("days such as MO,TU or 1MO,-1FR"))?;
                once(&mut self.days, days).ok_or_else(twice)
            }
            "BYMONTH" => {
                let months = numbers(value, 1..=12).ok_or_else(|| wrong("months such as 1,12"))?;
                once(&mut self.months, months).ok_or_else(twice)
            }
            "BYMONTHDAY" => {
                let days: Option<Vec<i8>> = numbers(value, -31..=31).filter(|days| !days.contains(&0));
                let days = days.ok_or_else(|| wrong("days of a month such as 1,15 or -1"))?;
                once(&mut self.month_days, days).ok_or_else(twice)
            }
            "BYSETPOS" => {
                let positions: Option<Vec<i16>> = numbers(value, -366..=366).filter(|all| !all.contains(&0));
                let positions = positions.ok_or_else(|| wrong("positions such as 1 or -1"))?;
                once(&mut self.positions, positions).ok_or_else(twice)
            }
            "WKST" => {
                let day = read_day(value).filter(|day| day.nth == 0).ok_or_else(|| wrong("a day such as MO"))?;
                once(&mut self.week_start, day.weekday).ok_or_else(twice)
            }
            _ => Err(format!(
                "`{name}` is not read: use FREQ, INTERVAL, BYMONTH, BYMONTHDAY, BYDAY, BYSETPOS, WKST, UNTIL and COUNT"
            )),
        }
    }

    fn finish(self, text: &str) -> Result<Recurrence, String> {
        let frequency = self.frequency.ok_or("`FREQ` is missing: write one such as `FREQ=WEEKLY`")?;
        let days = self.days.unwrap_or_default();
        let months = self.months.unwrap_or_default();
        let month_days = self.month_days.unwrap_or_default();
        let positions = self.positions.unwrap_or_default();
        if self.until.is_some() && self.count.is_some() {
            return Err("`UNTIL` and `COUNT` cannot both be there".to_owned());
        }
        let of_days = matches!(frequency, Frequency::Daily | Frequency::Weekly);
        if of_days && days.iter().any(|day| day.nth != 0) {
            return Err("days with a number, such as 1MO, go with MONTHLY and YEARLY alone".to_owned());
        }
        if of_days && !month_days.is_empty() {
            return Err("`BYMONTHDAY` goes with MONTHLY and YEARLY alone".to_owned());
        }
        let of_a_month = frequency == Frequency::Monthly || !months.is_empty();
        if of_a_month && days.iter().any(|day| day.nth.unsigned_abs() > 5) {
            return Err("no month has more than five of a weekday".to_owned());
        }
        let longest = months.iter().map(|month| longest_month(*month)).max().unwrap_or(31);
        if !month_days.is_empty() && month_days.iter().all(|day| day.unsigned_abs() > longest) {
            return Err("none of these months has such a day".to_owned());
        }
        if !positions.is_empty() && days.is_empty() && months.is_empty() && month_days.is_empty() {
            return Err("`BYSETPOS` goes with `BYDAY`, `BYMONTHDAY` or `BYMONTH`".to_owned());
        }
        Ok(Recurrence {
            text: text.to_owned(),
            frequency,
            interval: self.interval.unwrap_or(1),
            months,
            month_days,
            days,
            positions,
            week_start: self.week_start.unwrap_or(Weekday::Monday),
            until: self.until,
            count: self.count,
        })
    }
}

/// How many days a month has at most.
const fn longest_month(month: i8) -> u8 {
    match month {
        2 => 29,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// A list of numbers within a range; some may have a sign.
fn numbers<T: FromStr + PartialOrd>(text: &str, range: RangeInclusive<T>) -> Option<Vec<T>> {
    text.split(',').map(|one| one.parse().ok().filter(|one| range.contains(one))).collect()
}

fn once<T>(slot: &mut Option<T>, value: T) -> Option<()> {
    slot.replace(value).is_none().then_some(())
}

fn read_day(text: &str) -> Option<RuleDay> {
    let (number, day) = text.split_at_checked(text.len().checked_sub(2)?)?;
    let weekday = match day {
        "MO" => Weekday::Monday,
        "TU" => Weekday::Tuesday,
        "WE" => Weekday::Wednesday,
        "TH" => Weekday::Thursday,
        "FR" => Weekday::Friday,
        "SA" => Weekday::Saturday,
        "SU" => Weekday::Sunday,
        _ => return None,
    };
    let nth = match number {
        "" => 0,
        number => number.parse::<i8>().ok().filter(|nth| *nth != 0 && nth.unsigned_abs() <= 53)?,
    };
    Some(RuleDay { nth, weekday })
}

fn read_until(text: &str) -> Option<Until> {
    let digits = |from: usize, to: usize| text.get(from..to).filter(|part| part.bytes().all(|b| b.is_ascii_digit()));
    let day = format!("{}-{}-{}", digits(0, 4)?, digits(4, 6)?, digits(6, 8)?);
    match text.get(8..)? {
        "" => day.parse().ok().map(Until::Day),
        rest if rest.len() == 8 && rest.starts_with('T') && rest.ends_with('Z') => {
            let time = format!("{}:{}:{}", digits(9, 11)?, digits(11, 13)?, digits(13, 15)?);
            format!("{day}T{time}Z").parse().ok().map(Until::Moment)
        }
        _ => None,
    }
}

impl<'de> Deserialize<'de> for Recurrence {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for Recurrence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(rule: &str, first: &str, from: &str, count: usize) -> String {
        let rule: Recurrence = rule.parse().unwrap();
        let days = rule.days(first.parse().unwrap(), from.parse().unwrap());
        days.take(count).map(|day| day.to_string()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn days_come_again() {
        let check = |rule: &str, first: &str, from: &str, expected: &str| {
            let count = expected.split_whitespace().count();
            assert_eq!(days(rule, first, from, count), expected, "{rule}");
        };
        let first = "2026-01-05"; // a Monday
        check("FREQ=DAILY", first, "2026-01-07", "2026-01-07 2026-01-08");
        check("FREQ=DAILY;INTERVAL=10", first, "2026-01-06", "2026-01-15 2026-01-25");
        check("FREQ=DAILY;BYDAY=MO,TU", first, "2026-01-06", "2026-01-06 2026-01-12");
        check("FREQ=WEEKLY", first, "2026-02-01", "2026-02-02 2026-02-09");
        check("FREQ=WEEKLY;BYDAY=TH,MO", first, first, "2026-01-05 2026-01-08 2026-01-12");
        check("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,FR", first, first, "2026-01-05 2026-01-09 2026-01-19 2026-01-23");
        check("FREQ=MONTHLY", "2026-01-31", "2026-01-31", "2026-01-31 2026-03-31 2026-05-31");
        check("FREQ=MONTHLY;BYDAY=1MO", first, first, "2026-01-05 2026-02-02 2026-03-02");
        check("FREQ=MONTHLY;BYDAY=-1FR", "2026-01-30", first, "2026-01-30 2026-02-27 2026-03-27");
        check(
            "FREQ=MONTHLY;BYDAY=2TU,2WE;INTERVAL=3",
            "2026-01-13",
            first,
            "2026-01-13 2026-01-14 2026-04-08 2026-04-14",
        );
        check("FREQ=YEARLY", "2024-02-29", "2025-01-01", "2028-02-29 2032-02-29");
        check("FREQ=YEARLY;BYDAY=-1SU", "2026-12-27", first, "2026-12-27 2027-12-26");
        check("FREQ=YEARLY;BYDAY=20MO", "1997-05-19", "1997-05-19", "1997-05-19 1998-05-18 1999-05-17");
        check("FREQ=MONTHLY;BYMONTHDAY=1,15", first, first, "2026-01-15 2026-02-01 2026-02-15");
        check("FREQ=MONTHLY;BYMONTHDAY=-1", first, first, "2026-01-31 2026-02-28 2026-03-31");
        check("FREQ=MONTHLY;BYMONTHDAY=31", first, first, "2026-01-31 2026-03-31 2026-05-31");
        check("FREQ=MONTHLY;BYMONTHDAY=13;BYDAY=FR", first, first, "2026-02-13 2026-03-13 2026-11-13");
        check("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", first, first, "2026-01-30 2026-02-27 2026-03-31");
        check("FREQ=MONTHLY;BYDAY=MO,TU;BYSETPOS=1,2", first, "2026-02-01", "2026-02-02 2026-02-03 2026-03-02");
        check("FREQ=DAILY;BYMONTH=12", first, first, "2026-12-01 2026-12-02");
        check("FREQ=WEEKLY;BYMONTH=12,1;BYDAY=FR", first, "2026-01-30", "2026-01-30 2026-12-04");
        check("FREQ=YEARLY;BYMONTH=11;BYDAY=4TH", first, first, "2026-11-26 2027-11-25");
        check("FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=24,31", first, first, "2026-12-24 2026-12-31 2027-12-24");
        check("FREQ=YEARLY;BYMONTH=3,6", "2026-01-31", first, "2026-03-31 2027-03-31");
        check("FREQ=YEARLY;BYMONTHDAY=31", first, "2026-04-01", "2026-05-31 2026-07-31");
        check("FREQ=YEARLY;BYDAY=MO;BYMONTHDAY=1", first, first, "2026-06-01 2027-02-01");
        check("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", first, "2095-01-01", "2096-02-29 2104-02-29");
        check("FREQ=DAILY;INTERVAL=365;BYMONTH=2", "2026-01-31", "2026-01-31", "3416-02-29 3417-02-28");
        // The example of RFC 5545 for what the week's first day changes.
        check("FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,SU;WKST=MO", "1997-08-05", first, "2026-01-13 2026-01-18 2026-01-27");
        let (monday, sunday) = ("1997-08-05 1997-08-10 1997-08-19", "1997-08-05 1997-08-17 1997-08-19");
        check("FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=MO", "1997-08-05", "1997-08-05", monday);
        check("FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=SU", "1997-08-05", "1997-08-05", sunday);
        check("rrule:freq=daily;count=3", first, "2026-01-07", "2026-01-07");
        // Far from its first day, what is not counted is not walked through either.
        check("FREQ=DAILY", "1990-01-01", "2400-02-29", "2400-02-29 2400-03-01");
    }

    #[test]
    fn rules_end() {
        let check =
            |rule: &str, expected: &str| assert_eq!(days(rule, "2026-01-05", "2026-01-05", 100), expected, "{rule}");
        check("FREQ=DAILY;COUNT=2", "2026-01-05 2026-01-06");
        check("FREQ=DAILY;UNTIL=20260107", "2026-01-05 2026-01-06 2026-01-07");
        check("FREQ=WEEKLY;BYDAY=MO,FR;COUNT=3", "2026-01-05 2026-01-09 2026-01-12");
        let rule: Recurrence = "FREQ=DAILY;UNTIL=20260107T090000Z".parse().unwrap();
        assert_eq!(rule.last_moment().map(|moment| moment.to_string()).as_deref(), Some("2026-01-07T09:00:00Z"));
        assert_eq!(days("FREQ=YEARLY;INTERVAL=1000", "9000-01-01", "9000-01-01", 9), "9000-01-01");
    }

    #[test]
    fn refuses_what_it_would_not_follow() {
        let check = |rule: &str, part: &str| {
            let error = rule.parse::<Recurrence>().unwrap_err().to_string();
            assert!(error.contains(part), "{rule}: {error}");
        };
        check("", "write parts");
        check("INTERVAL=2", "`FREQ` is missing");
        check("FREQ=HOURLY", "DAILY, WEEKLY");
        check("FREQ=DAILY;BYHOUR=9", "`BYHOUR` is not read");
        check("FREQ=MONTHLY;BYWEEKNO=1", "`BYWEEKNO` is not read");
        check("FREQ=DAILY;BYMONTHDAY=1", "MONTHLY and YEARLY alone");
        check("FREQ=MONTHLY;BYMONTHDAY=0", "1,15 or -1");
        check("FREQ=MONTHLY;BYMONTHDAY=32", "1,15 or -1");
        check("FREQ=YEARLY;BYMONTH=13", "1,12");
        check("FREQ=YEARLY;BYMONTH=", "1,12");
        check("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "none of these months");
        check("FREQ=YEARLY;BYMONTH=2,4;BYMONTHDAY=-31", "none of these months");
        check("FREQ=YEARLY;BYMONTH=2;BYDAY=6MO", "more than five");
        check("FREQ=MONTHLY;BYSETPOS=1", "goes with");
        check("FREQ=MONTHLY;BYDAY=MO;BYSETPOS=0", "1 or -1");
        check("FREQ=WEEKLY;WKST=1MO", "a day such as MO");
        check("FREQ=DAILY;FREQ=DAILY", "twice");
        check("FREQ=DAILY;INTERVAL=0", "1 to 1000");
        check("FREQ=DAILY;COUNT=10001", "1 to 10000");
        check("FREQ=DAILY;COUNT=1;UNTIL=20260101", "cannot both");
        check("FREQ=WEEKLY;BYDAY=1MO", "with a number");
        check("FREQ=MONTHLY;BYDAY=6MO", "more than five");
        check("FREQ=MONTHLY;BYDAY=XX", "MO,TU");
        check("FREQ=MONTHLY;BYDAY=0MO", "MO,TU");
        check("FREQ=DAILY;UNTIL=2026-01-01", "20261231");
        check("FREQ=DAILY;UNTIL=20260231", "20261231");
        check("FREQ=DAILY;UNTIL=20260101T000000", "20261231");
        check("FREQ=DAILY;", "write parts");
    }
}
