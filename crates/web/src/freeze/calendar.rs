//! The calendar: what the windows of the active policy set allow and deny in the next weeks, drawn on the server; the
//! table behind it is one click away.

use lockgate_model::{EnvName, UnixMillis};
use maud::{Markup, html};

use crate::wording::{exact, local, visible};

/// How wide the drawing is, in its own units.
const WIDTH: u64 = 1000;
/// Where lanes begin, behind their names.
const LEFT: u64 = 220;
/// How many characters of a name stand before its lane.
const NAME_CHARS: usize = 26;
/// How high one lane is, with what is around it.
const HEIGHT: u64 = 36;
/// How high one bar is: what is allowed is above, what is denied below.
const BAR: u64 = 12;
/// How much room the days have above the lanes.
const TOP: u64 = 22;
/// How many stretches the table has.
const ROWS_MAX: usize = 200;
/// Up to how many rows the table is open from the start.
const ROWS_OPEN: usize = 14;
const DAY_MILLIS: u64 = 86_400_000;
const WEEK_MILLIS: u64 = 7 * DAY_MILLIS;

/// The `windows` gates of the active policy set over a span of time.
#[derive(Debug, Clone)]
pub struct Calendar {
    /// Where it begins.
    pub from: UnixMillis,
    /// Where it ends.
    pub to: UnixMillis,
    /// Its gates, in the order of the policy set.
    pub lanes: Vec<Lane>,
    /// How many further gates there are.
    pub more_gates: usize,
}

/// One gate.
#[derive(Debug, Clone)]
pub struct Lane {
    /// What it is called.
    pub gate: String,
    /// The environments that demand it.
    pub environments: Vec<EnvName>,
    /// For which services, as patterns; empty stands for all.
    pub services: Vec<String>,
    /// Whether it is closed wherever nothing allows anything; otherwise it is open wherever nothing denies it.
    pub only_allowed: bool,
    /// When its windows begin and end, in order.
    pub stretches: Vec<Stretch>,
    /// Whether it has more of them.
    pub is_cut: bool,
}

/// One stretch of one window.
#[derive(Debug, Clone)]
pub struct Stretch {
    /// Whether something may be let in during it; otherwise nothing may.
    pub allows: bool,
    /// When it begins, with the time by the clocks of its zone where those differ from UTC.
    pub start: (UnixMillis, Option<String>),
    /// When it is over.
    pub end: (UnixMillis, Option<String>),
    /// Why, in the policy author's words.
    pub reason: String,
}

/// The part of the page with the calendar; nothing where no gate has a window.
pub(super) fn calendar(calendar: &Calendar) -> Markup {
    if calendar.lanes.is_empty() {
        return html! {};
    }
    let mut rows: Vec<(&Lane, &Stretch)> =
        calendar.lanes.iter().flat_map(|lane| lane.stretches.iter().map(move |one| (lane, one))).collect();
    rows.sort_by_key(|(_, one)| (one.start.0, one.end.0));
    html! {
        section aria-labelledby="calendar-title" {
            h2 id="calendar-title" { "The next four weeks" }
            p.quiet {
                "Of each gate, above when its windows allow something in, and below when they deny it, which wins. A gate \
                 without any that allow is open wherever none denies."
            }
            (drawing(calendar))
            @if calendar.more_gates > 0 {
                p.quiet { "The policy set has " (calendar.more_gates) " more gates with windows." }
            }
            details id="calendar-table" open[rows.len() <= ROWS_OPEN] {
                summary { "As a table: from when until when, by which clocks, and why" }
                (table(&rows, calendar))
            }
        }
    }
}

fn drawing(calendar: &Calendar) -> Markup {
    let height = TOP + HEIGHT * calendar.lanes.len() as u64;
    html! {
        // Reached by the keyboard, because what is wider than the screen holds nothing else to reach.
        div.scroll role="group" tabindex="0" aria-labelledby="calendar-title" {
            svg.lanes.calendar viewBox={ "0 0 " (WIDTH) " " (height) } role="group" aria-label="When windows allow and deny in the next four weeks" {
                @for day in weeks(calendar) {
                    @let x = place(day, calendar);
                    line.rule x1=(x) x2=(x) y1="0" y2=(height) {}
                    text.day x=(x + 4) y="14" { (day_of(day)) }
                }
                @for (at, lane) in calendar.lanes.iter().enumerate() {
                    @let top = TOP + HEIGHT * at as u64;
                    text.name x="0" y=(top + 22) { (name(&lane.gate)) }
                    line.rule x1="0" x2=(WIDTH) y1=(top + HEIGHT - 1) y2=(top + HEIGHT - 1) {}
                    @for one in &lane.stretches { (bar(one, top, calendar)) }
                }
            }
        }
    }
}

fn bar(one: &Stretch, top: u64, calendar: &Calendar) -> Markup {
    let (from, to) = (place(one.start.0, calendar), place(one.end.0, calendar));
    let (class, word, y) = match one.allows {
        true => ("allows", "allowed", top + 4),
        false => ("denies", "denied", top + 4 + BAR + 3),
    };
    html! {
        rect class={ "bar " (class) } x=(from) y=(y) width=(to.saturating_sub(from).max(2)) height=(BAR) {
            title { (word) " from " (one.start.0.rfc3339_secs()) " to " (one.end.0.rfc3339_secs()) ": " (visible(&one.reason)) }
        }
    }
}

fn table(rows: &[(&Lane, &Stretch)], calendar: &Calendar) -> Markup {
    html! {
        @if rows.is_empty() {
            p { "No window begins or ends in that time." }
        } @else {
            div.scroll role="group" tabindex="0" aria-labelledby="calendar-title" { table {
                thead { tr {
                    th scope="col" { "Gate" } th scope="col" { "Promotions are" } th scope="col" { "From" }
                    th scope="col" { "To" } th scope="col" { "By your clock" } th scope="col" { "Why" }
                } }
                tbody { @for (lane, one) in rows.iter().take(ROWS_MAX) { (row(lane, one, calendar.from)) } }
            } }
            @if rows.len() > ROWS_MAX { p.quiet { "The drawing has " (rows.len() - ROWS_MAX) " more." } }
        }
        @for lane in calendar.lanes.iter().filter(|lane| lane.is_cut) {
            p.quiet { (visible(&lane.gate)) " has more than " (lane.stretches.len()) " stretches; only the first are shown." }
        }
        @for lane in calendar.lanes.iter().filter(|lane| lane.only_allowed) {
            p.quiet { (visible(&lane.gate)) " is closed at all other times." }
        }
    }
}

fn row(lane: &Lane, one: &Stretch, now: UnixMillis) -> Markup {
    let environments: Vec<&str> = lane.environments.iter().map(EnvName::as_str).collect();
    let moment = |(time, zoned): &(UnixMillis, Option<String>)| {
        html! { (exact(*time)) @if let Some(zoned) = zoned { br; span.quiet { (visible(zoned)) } } }
    };
    html! {
        tr {
            th scope="row" {
                (visible(&lane.gate)) " " span.quiet {
                    "in " (environments.join(", "))
                    @if !lane.services.is_empty() { " for " (visible(&lane.services.join(", "))) }
                }
            }
            td {
                @if one.allows {
                    span.state.good { span.icon aria-hidden="true" { "✓" } " allowed" }
                } @else {
                    span.state.bad { span.icon aria-hidden="true" { "■" } " denied" }
                }
                @if one.start.0 <= now { " " span.quiet { "now" } }
            }
            td { (moment(&one.start)) }
            td { (moment(&one.end)) }
            td { (local(one.start.0)) br; (local(one.end.0)) }
            td { (visible(&one.reason)) }
        }
    }
}

/// Where a moment is in the drawing; what is outside of the calendar is at its edge.
fn place(time: UnixMillis, calendar: &Calendar) -> u64 {
    let (from, to) = (calendar.from.0, calendar.to.0);
    let passed = time.0.clamp(from, to.max(from)).saturating_sub(from);
    let part = u128::from(passed) * u128::from(WIDTH - LEFT) / u128::from(to.saturating_sub(from).max(1));
    LEFT + u64::try_from(part).unwrap_or(WIDTH - LEFT)
}

/// The first midnight of the calendar by UTC, and one each week after it.
fn weeks(calendar: &Calendar) -> Vec<UnixMillis> {
    let first = calendar.from.0.div_ceil(DAY_MILLIS).saturating_mul(DAY_MILLIS);
    let steps = (0..5_u64).map(|week| UnixMillis(first.saturating_add(week * WEEK_MILLIS)));
    steps.filter(|day| *day < calendar.to).collect()
}

fn day_of(time: UnixMillis) -> String {
    time.rfc3339_secs().chars().take("2026-12-20".len()).collect()
}

/// A name as far as there is room for it; all of it stands in the table.
fn name(gate: &str) -> String {
    let text = visible(gate);
    match text.chars().count() > NAME_CHARS {
        true => format!("{}…", text.chars().take(NAME_CHARS - 1).collect::<String>()),
        false => text,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;
    const HOSTILE: &str = "<script>alert(1)</script>\u{202e}\u{1b}[2J";

    fn stretch(allows: bool, start: u64, end: u64) -> Stretch {
        let moment = |time: u64| (UnixMillis(time), Some(format!("{} Europe/Berlin", UnixMillis(time + HOUR))));
        Stretch { allows, start: moment(start), end: moment(end), reason: HOSTILE.to_owned() }
    }

    /// Four weeks from an hour after midnight, with one gate that allows and denies.
    pub fn calendar() -> Calendar {
        Calendar {
            from: UnixMillis(HOUR),
            to: UnixMillis(HOUR + 4 * WEEK_MILLIS),
            lanes: vec![Lane {
                gate: "hours".to_owned(),
                environments: vec!["production".parse().unwrap()],
                services: vec![HOSTILE.to_owned()],
                only_allowed: true,
                stretches: vec![stretch(true, 0, 9 * HOUR), stretch(false, WEEK_MILLIS + HOUR, 5 * WEEK_MILLIS)],
                is_cut: false,
            }],
            more_gates: 2,
        }
    }

    fn text(view: &Calendar) -> String {
        super::calendar(view).into_string()
    }

    #[test]
    fn says_when_by_which_clocks_and_why_and_stays_text() {
        let text = text(&calendar());
        for wanted in [
            "✓</span> allowed</span> <span class=\"quiet\">now</span>",
            "■</span> denied</span></td>",
            "1970-01-01 09:00:00 UTC",
            "1970-01-01T10:00:00Z Europe/Berlin",
            "data-local=\"32400000\"",
            "has 2 more gates",
            "hours is closed at all other times",
            "<details id=\"calendar-table\" open>",
            ">1970-01-02</text>",
        ] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
        for bad in ["<script", "\u{202e}", "\u{1b}", " style="] {
            assert!(!text.contains(bad), "{bad}: {text}");
        }
    }

    #[test]
    fn bars_stay_inside_the_drawing() {
        let view = calendar();
        let check = |time: u64, expected: u64| assert_eq!(place(UnixMillis(time), &view), expected, "{time}");
        check(0, LEFT);
        check(HOUR, LEFT);
        check(HOUR + 2 * WEEK_MILLIS, LEFT + (WIDTH - LEFT) / 2);
        check(HOUR + 4 * WEEK_MILLIS, WIDTH);
        check(u64::MAX, WIDTH);
        // What allows is above what denies, and the second begins after a quarter.
        let text = text(&view);
        assert!(text.contains("<rect class=\"bar allows\" x=\"220\" y=\"26\""), "{text}");
        assert!(text.contains("<rect class=\"bar denies\" x=\"415\" y=\"41\" width=\"585\""), "{text}");
        let empty = Calendar { from: UnixMillis(u64::MAX), to: UnixMillis(u64::MAX), ..view };
        assert_eq!((place(UnixMillis(0), &empty), weeks(&empty)), (LEFT, Vec::new()));
    }

    #[test]
    fn a_table_has_an_end_and_says_so() {
        let mut view = calendar();
        let one = view.lanes[0].stretches[0].clone();
        view.lanes[0].stretches = vec![one; ROWS_MAX + 7];
        view.lanes[0].is_cut = true;
        let text = text(&view);
        assert!(text.contains("The drawing has 7 more.") && text.contains("has more than 207 stretches"), "{text}");
        assert_eq!(text.matches("data-local").count(), 2 * ROWS_MAX, "two a row");
        assert!(text.contains("<details id=\"calendar-table\"><summary>"), "{text}");
        view.lanes.clear();
        assert_eq!(super::calendar(&view).into_string(), "");
    }
}
