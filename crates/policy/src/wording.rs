//! Wording: how foreign text and long lists are shown in a decision.

use std::fmt::{Display, Write as _};

use lockgate_model::Span;

/// How many items of a list are written out.
const LISTED: usize = 5;
/// How many characters of a foreign text are shown.
const SHOWN_CHARS: usize = 96;

/// Shows text that came from outside: cut, on one line, without characters that change how the rest is read.
pub(crate) fn shown(text: &str) -> String {
    // Nearly everything: nothing to look at one by one.
    if text.len() <= SHOWN_CHARS && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        return text.to_owned();
    }
    let mut shown: String = text.chars().take(SHOWN_CHARS).map(|c| if misleads(c) { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(SHOWN_CHARS).is_some() {
        shown.push('…');
    }
    shown
}

/// Control characters, and those that reorder or hide text (Unicode UAX #9, section 2).
fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Joins the first five items and says how many more there are; the rest is counted, not formatted.
pub(crate) fn few<T: Display>(items: impl IntoIterator<Item = T>, separator: &str) -> String {
    let mut items = items.into_iter();
    let mut text = String::new();
    for (position, item) in items.by_ref().take(LISTED).enumerate() {
        if position > 0 {
            text.push_str(separator);
        }
        // Writing to a text does not fail.
        let _ = write!(text, "{item}");
    }
    match items.count() {
        0 => text,
        more => format!("{text}{separator}and {more} more"),
    }
}

/// The first five of `all` foreign names in brackets, and how many more there are; empty where none is known.
pub(crate) fn named<'a>(names: impl IntoIterator<Item = &'a String>, all: u64) -> String {
    let told: Vec<String> = names.into_iter().take(LISTED).map(|name| shown(name)).collect();
    let more = all.saturating_sub(u64::try_from(told.len()).unwrap_or(u64::MAX));
    match (told.is_empty(), more) {
        (true, _) => String::new(),
        (false, 0) => format!(" ({})", told.join(", ")),
        (false, more) => format!(" ({}, and {more} more)", told.join(", ")),
    }
}

/// Joins names as prose does: `a`, `a and b`, `a, b and c`.
pub(crate) fn all_of<T: Display>(items: &[T]) -> String {
    joined(items, "and")
}

/// Joins alternatives as prose does: `a`, `a or b`, `a, b or c`.
pub(crate) fn one_of<T: Display>(items: &[T]) -> String {
    joined(items, "or")
}

fn joined<T: Display>(items: &[T], word: &str) -> String {
    match items.split_last() {
        None => String::new(),
        Some((last, [])) => last.to_string(),
        Some((last, rest)) => {
            let rest: Vec<String> = rest.iter().map(ToString::to_string).collect();
            format!("{} {word} {last}", rest.join(", "))
        }
    }
}

/// A number with its noun, such as `1 approval` or `2 approvals`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}

/// How old something is, in the largest unit of which it has at least two, rounded down: `453 days`, `30 hours`.
pub(crate) fn age(span: Span) -> String {
    const UNITS: [(u64, &str); 3] = [(86_400, "day"), (3600, "hour"), (60, "minute")];
    let secs = span.secs();
    match UNITS.into_iter().find(|(size, _)| secs / size >= 2) {
        Some((size, noun)) => counted(secs / size, noun),
        None => counted(secs, "second"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_and_cleans() {
        assert_eq!(shown("plain é"), "plain é");
        assert_eq!(shown("a\nb\u{202e}c\u{1b}"), "a\u{fffd}b\u{fffd}c\u{fffd}");
        assert_eq!(shown(&"x".repeat(200)).chars().count(), SHOWN_CHARS + 1);
    }

    #[test]
    fn joins_lists() {
        assert_eq!(few(["a", "b"], ", "), "a, b");
        assert_eq!(few(1..=7, ", "), "1, 2, 3, 4, 5, and 2 more");
        assert_eq!(all_of(&["a"]), "a");
        assert_eq!(all_of(&["a", "b", "c"]), "a, b and c");
        assert_eq!(one_of(&["a", "b"]), "a or b");
        assert_eq!(counted(1, "test"), "1 test");
        assert_eq!(counted(0, "test"), "0 tests");
    }

    #[test]
    fn names_a_few_of_all() {
        let names: Vec<String> = ["a", "b\n", "c", "d", "e", "f"].map(str::to_owned).to_vec();
        assert_eq!(named(&names, 6), " (a, b\u{fffd}, c, d, e, and 1 more)");
        assert_eq!(named(&names, 90), " (a, b\u{fffd}, c, d, e, and 85 more)");
        assert_eq!(named(names.iter().take(1), 1), " (a)");
        assert_eq!(named(&[], 3), "");
    }

    #[test]
    fn ages_are_told_in_units_that_people_use() {
        let check = |secs: u64, expected: &str| assert_eq!(age(Span::from_secs(secs)), expected);
        check(39_216_546, "453 days");
        check(108_097, "30 hours");
        check(172_800, "2 days");
        check(172_799, "47 hours");
        check(7200, "2 hours");
        check(7199, "119 minutes");
        check(120, "2 minutes");
        check(119, "119 seconds");
        check(1, "1 second");
        check(0, "0 seconds");
    }
}
