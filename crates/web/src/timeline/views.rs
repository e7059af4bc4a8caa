//! The views of the timeline besides the list: counts by day, and a sample that anybody can draw again.

use lockgate_api::client::query_value;
use lockgate_api::wire::HistoryReply;
use lockgate_model::UnixMillis;
use maud::{Markup, html};

use super::Filter;
use crate::chart::{Bar, bars};
use crate::wording::{plural, visible};

/// How many entries a sample has.
pub const SAMPLE: usize = 25;
/// How many days are drawn; the table has them all.
const BARS_MAX: usize = 31;
/// The longest seed in characters.
const SEED_CHARS: usize = 64;

/// As what the entries that fit are shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum View {
    /// One by one.
    #[default]
    List,
    /// How many on each day.
    Days,
    /// Some of them, drawn with this seed.
    Sample(String),
}

impl View {
    /// The view that an address asks for; whatever is unknown, or has no seed, is the list.
    pub fn of(view: &str, seed: &str) -> Self {
        let seed = seed.trim();
        match view {
            "days" => Self::Days,
            "sample" if !seed.is_empty() => Self::Sample(seed.chars().take(SEED_CHARS).collect()),
            _ => Self::List,
        }
    }

    /// Whether it has further pages.
    pub(super) fn goes_on(&self) -> bool {
        match self {
            Self::List | Self::Days => true,
            Self::Sample(_) => false,
        }
    }

    /// Its part of an address.
    pub(super) fn query(&self) -> Option<String> {
        match self {
            Self::List => None,
            Self::Days => Some("view=days".to_owned()),
            Self::Sample(seed) => Some(format!("view=sample&seed={}", query_value(seed))),
        }
    }
}

/// The links and the form that change the view, and leave the filter as it is.
pub(super) fn choice(filter: &Filter, now: UnixMillis) -> Markup {
    let address = |view: View| Filter { view, ..filter.clone() }.address(None);
    let seed = if let View::Sample(seed) = &filter.view { seed.as_str() } else { "" };
    // What is drawn from has to have an end: it would be another one with each new entry.
    let end = if filter.until.is_empty() { now.rfc3339_secs() } else { filter.until.clone() };
    html! {
        form.filters id="sample" method="get" action="/timeline" aria-label="View" {
            a href=(address(View::List)) aria-current=[(filter.view == View::List).then_some("true")] { "List" }
            a href=(address(View::Days)) aria-current=[(filter.view == View::Days).then_some("true")] { "By day" }
            input type="hidden" name="view" value="sample";
            @for (name, value) in filter.fields().into_iter().filter(|(name, value)| *name != "until" && !value.is_empty()) {
                input type="hidden" name=(name) value=(visible(value));
            }
            input type="hidden" name="until" value=(visible(&end));
            @if let Some(before) = filter.before { input type="hidden" name="before" value=(before); }
            div {
                label for="sample-seed" { "Seed" }
                input id="sample-seed" name="seed" type="search" value=(visible(seed)) maxlength=(SEED_CHARS) autocomplete="off" required;
            }
            button type="submit" { "Sample " (SAMPLE) }
        }
    }
}

/// What a sample is of, and how it is drawn again.
pub(super) fn sampled(history: &HistoryReply, of: usize, filter: &Filter) -> Markup {
    let View::Sample(seed) = &filter.view else { return html! {} };
    html! {
        p {
            "A sample of " strong { (history.items.len()) } " of the " (of) " newest entries that fit, drawn with the seed "
            code { (visible(seed)) } ": this address draws the same ones again."
            @if let Some(next) = history.next { " There are older ones, before number " (next) ", that it was not drawn from." }
        }
        p.quiet {
            "Drawn are the entries with the lowest SHA-256 of " code { "INDEX:SEED" } ", such as "
            code { "41:" (visible(seed)) } ", written in hexadecimal."
        }
    }
}

/// How many entries there are on each day, newest day first, as bars and as a table.
pub(super) fn days(history: &HistoryReply, filter: &Filter) -> Markup {
    let mut counts: Vec<(String, u64)> = Vec::new();
    for item in &history.items {
        let day: String = item.time.rfc3339_secs().chars().take("2026-12-20".len()).collect();
        match counts.last_mut() {
            Some((last, count)) if *last == day => *count += 1,
            _ => counts.push((day, 1)),
        }
    }
    let words = |count: u64| format!("{count} {}", plural(count, "entry", "entries"));
    let bar = |(day, count): &(String, u64)| Bar { label: day.clone(), value: *count, words: words(*count) };
    let drawn: Vec<Bar> = counts.iter().take(BARS_MAX).map(bar).collect();
    let of_day = |day: &str| {
        let (since, until) = (day.to_owned(), day.to_owned());
        Filter { since, until, before: None, view: View::List, ..filter.clone() }.address(None)
    };
    let table = html! {
        table {
            thead { tr { th scope="col" { "Day, by UTC" } th.number scope="col" { "Entries" } } }
            tbody {
                @for (day, count) in &counts {
                    tr { th scope="row" { a href=(of_day(day)) { (day) } } td.number { (count) } }
                }
            }
        }
    };
    html! {
        (bars("days", "Entries by day", &drawn, &table))
        @if counts.len() > drawn.len() { p.quiet { "The table has " (counts.len() - drawn.len()) " more days." } }
        @if history.next.is_some() {
            p.quiet { "Counted are the " (history.items.len()) " newest entries that fit; the last day may have more." }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::content;
    use super::*;
    use lockgate_api::wire::HistoryItem;

    const DAY: u64 = 86_400_000;
    const HOSTILE: &str = "\"><script>alert(1)</script>&before=0\u{202e}";

    fn history(times: &[u64], next: Option<u64>) -> HistoryReply {
        let item = |(at, time): (usize, &u64)| HistoryItem {
            index: (times.len() - at) as u64,
            time: UnixMillis(*time),
            actor: "dana".to_owned(),
            event: "promotion.requested".to_owned(),
            summary: "asked".to_owned(),
            suspect: None,
            entry: serde_json::Value::Null,
        };
        HistoryReply { items: times.iter().enumerate().map(item).collect(), next, scanned_to: None, checkpoint_size: 9 }
    }

    #[test]
    fn days_are_counted_and_lead_to_their_entries() {
        let filter = Filter { person: "dana".to_owned(), view: View::Days, ..Filter::default() };
        let reply = history(&[2 * DAY + 5, 2 * DAY, DAY - 1], Some(7));
        let text = content(&reply, 3, &filter, UnixMillis(3 * DAY)).into_string();
        for wanted in [
            "1970-01-03 2 entries, 1970-01-01 1 entry",
            "href=\"/timeline?person=dana&amp;since=1970-01-03&amp;until=1970-01-03\">1970-01-03</a></th><td class=\"number\">2</td>",
            "Counted are the 3 newest entries that fit",
            "href=\"/timeline?view=days&amp;person=dana&amp;before=7\"",
            "aria-current=\"true\">By day</a>",
        ] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
        assert!(!text.contains("id=\"timeline\""), "{text}");
        let many: Vec<u64> = (0..40).rev().map(|day| day * DAY).collect();
        let text = content(&history(&many, None), 40, &filter, UnixMillis(40 * DAY)).into_string();
        assert!(text.contains("The table has 9 more days.") && !text.contains("Counted are"), "{text}");
    }

    #[test]
    fn a_sample_says_how_it_is_drawn_again() {
        let view = View::of("sample", HOSTILE);
        let filter = Filter { service: "shop/web".to_owned(), view, ..Filter::default() };
        let text = content(&history(&[DAY, 0], Some(7)), 900, &filter, UnixMillis(DAY)).into_string();
        for wanted in [
            "<strong>2</strong> of the 900 newest entries",
            "older ones, before number 7",
            "name=\"until\" value=\"1970-01-02T00:00:00Z\"",
            "name=\"service\" value=\"shop/web\"",
            "id=\"entry-2\"",
        ] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
        assert!(!text.contains("Go on"), "{text}");
        for bad in ["<script", "\u{202e}"] {
            assert!(!text.contains(bad), "{bad}: {text}");
        }
    }

    #[test]
    fn what_is_no_view_is_the_list() {
        let check =
            |view: &str, seed: &str, expected: View| assert_eq!(View::of(view, seed), expected, "{view} {seed}");
        check("", "", View::List);
        check("days", "x", View::Days);
        check("sample", " q4 ", View::Sample("q4".to_owned()));
        check("sample", " ", View::List);
        check("sample", &"s".repeat(100), View::Sample("s".repeat(SEED_CHARS)));
        check("weeks", "x", View::List);
    }
}
