//! Charts: bars and lines, drawn on the server as SVG, each with the table behind it one click away.
//!
//! A chart never says more than its table, and nothing in it is told by colour alone: bars carry their value, and lines
//! their name. What differs in colour differs by class; no drawing has a style of its own.

use maud::{Markup, html};

use crate::wording::visible;

/// How wide a drawing is, in its own units.
const WIDTH: u64 = 720;
/// Where bars and lines begin, behind the names or the scale.
const LEFT: u64 = 160;
/// Where bars begin at most, behind long names.
const LEFT_MAX: u64 = 300;
/// How wide one character of a name is at most, on average.
const CHARACTER: u64 = 8;
/// How much room a value has behind its bar.
const RIGHT: u64 = 120;
/// How high one bar is, with what is around it.
const BAR: u64 = 28;
/// How high the drawing area of lines is.
const HEIGHT: u64 = 180;
/// How much room is above and below it.
const EDGE: u64 = 24;
/// How many steps the scale has.
const STEPS: u64 = 4;
/// How many classes of colour there are.
const COLOURS: usize = 4;

/// One bar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bar {
    /// What it is about.
    pub label: String,
    /// How long it is.
    pub value: u64,
    /// Its value in words.
    pub words: String,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What it is about.
    pub label: String,
    /// Its value at each point; none where there is nothing to say.
    pub values: Vec<Option<u64>>,
}

/// A chart of bars, under a heading of its own; `id` begins the ids of its parts.
///
/// A reader of the screen hears the title and each bar's words.
pub fn bars(id: &str, title: &str, bars: &[Bar], table: &Markup) -> Markup {
    let most = bars.iter().map(|bar| bar.value).max().unwrap_or(0);
    let height = BAR * bars.len() as u64;
    let left = left_of(bars);
    let words: Vec<String> = bars.iter().map(|bar| format!("{} {}", bar.label, bar.words)).collect();
    framed(
        id,
        title,
        table,
        &html! {
            @if bars.is_empty() { p.quiet { "Nothing to draw yet." } } @else {
                svg.chart viewBox={ "0 0 " (WIDTH) " " (height) } role="img" aria-labelledby={ (id) "-title " (id) "-words" } {
                    title id={ (id) "-words" } { (visible(&words.join(", "))) }
                    line.axis x1=(left) x2=(left) y1="0" y2=(height) {}
                    @for (place, bar) in bars.iter().enumerate() {
                        @let top = BAR * place as u64;
                        @let width = scaled(bar.value, most, WIDTH - left - RIGHT);
                        text.name x=(left - 8) y=(top + 19) { (visible(&bar.label)) }
                        rect.bar x=(left) y=(top + 5) width=(width) height=(BAR - 10) rx="2" {}
                        text.value x=(left + width + 6) y=(top + 19) { (visible(&bar.words)) }
                    }
                }
            }
        },
    )
}

/// A chart of lines over points in time; `scale` writes a value of the scale, and `labels` names the points.
pub fn lines(
    id: &str,
    title: &str,
    labels: &[String],
    lines: &[Line],
    scale: impl Fn(u64) -> String,
    table: &Markup,
) -> Markup {
    let most = lines.iter().flat_map(|line| &line.values).flatten().copied().max();
    // Of a scale with whole steps.
    let top = most.unwrap_or(0).div_ceil(STEPS).max(1).saturating_mul(STEPS);
    framed(
        id,
        title,
        table,
        &html! {
            @if most.is_none() { p.quiet { "Nothing to draw yet." } } @else {
                svg.chart viewBox={ "0 0 " (WIDTH) " " (HEIGHT + 2 * EDGE) } role="img" aria-labelledby={ (id) "-title " (id) "-words" } {
                    title id={ (id) "-words" } { (visible(&said(labels, lines, &scale))) }
                    @for step in 0..=STEPS {
                        @let value = top / STEPS * step;
                        @let y = height_of(value, top);
                        line.rule x1=(LEFT) x2=(WIDTH) y1=(y) y2=(y) {}
                        text.name x=(LEFT - 8) y=(y + 4) { (scale(value)) }
                    }
                    @for (place, line) in lines.iter().enumerate() { (drawn(line, place, labels.len(), top)) }
                    (ends(labels))
                }
                ul.legend { @for (place, line) in lines.iter().enumerate() {
                    li { span class={ "swatch " (colour(place)) } aria-hidden="true" { (mark(place)) } " " (visible(&line.label)) }
                } }
            }
        },
    )
}

/// The heading, the drawing, and the table behind it.
pub(crate) fn framed(id: &str, title: &str, table: &Markup, drawing: &Markup) -> Markup {
    html! {
        section.figure aria-labelledby={ (id) "-title" } {
            h2 id={ (id) "-title" } { (title) }
            // Reached by the keyboard, because what is wider than the screen holds nothing else to reach.
            div.scroll role="group" tabindex="0" aria-labelledby={ (id) "-title" } { (drawing) }
            details {
                summary { "As a table" }
                div.scroll role="group" tabindex="0" aria-labelledby={ (id) "-title" } { (table) }
            }
        }
    }
}

/// The highest and the newest value of each line, in words.
fn said(labels: &[String], lines: &[Line], scale: &impl Fn(u64) -> String) -> String {
    let said = |line: &Line| {
        let known: Vec<(usize, u64)> =
            line.values.iter().enumerate().filter_map(|(place, value)| value.map(|value| (place, value))).collect();
        let at = |place: usize| labels.get(place).map(String::as_str).unwrap_or_default();
        match (known.iter().max_by_key(|(_, value)| *value), known.last()) {
            (Some((high_at, high)), Some((last_at, last))) => format!(
                "{}: highest {} at {}, newest {} at {}",
                line.label,
                scale(*high),
                at(*high_at),
                scale(*last),
                at(*last_at)
            ),
            _ => format!("{}: nothing", line.label),
        }
    };
    lines.iter().map(said).collect::<Vec<_>>().join("; ")
}

/// A line through its values, with a mark at each; it is broken where there is none.
fn drawn(line: &Line, place: usize, points: usize, top: u64) -> Markup {
    let position = |(at, value): (usize, &Option<u64>)| value.map(|value| (along(at, points), height_of(value, top)));
    let places: Vec<Option<(u64, u64)>> = line.values.iter().enumerate().map(position).collect();
    let runs: Vec<String> = places
        .split(Option::is_none)
        .filter(|run| run.len() > 1)
        .map(|run| run.iter().flatten().map(|(x, y)| format!("{x},{y}")).collect::<Vec<_>>().join(" "))
        .collect();
    html! {
        g class=(colour(place)) {
            @for run in &runs { polyline.line points=(run) {} }
            @for (x, y) in places.iter().flatten() { text.point x=(x) y=(y + 5) { (mark(place)) } }
        }
    }
}

/// The names of the first and the last point.
fn ends(labels: &[String]) -> Markup {
    let y = HEIGHT + 2 * EDGE - 4;
    html! {
        @if let Some(first) = labels.first() { text.end x=(LEFT) y=(y) { (visible(first)) } }
        @if let (Some(last), true) = (labels.last(), labels.len() > 1) {
            text.end.last x=(WIDTH) y=(y) { (visible(last)) }
        }
    }
}

/// Where bars begin: behind the longest of their names.
fn left_of(bars: &[Bar]) -> u64 {
    let longest = bars.iter().map(|bar| bar.label.chars().count() as u64).max().unwrap_or(0);
    longest.saturating_mul(CHARACTER).saturating_add(16).clamp(LEFT, LEFT_MAX)
}

/// A value as a part of a length.
fn scaled(value: u64, most: u64, length: u64) -> u64 {
    let part = u128::from(value.min(most)) * u128::from(length) / u128::from(most.max(1));
    u64::try_from(part).unwrap_or(length)
}

fn height_of(value: u64, top: u64) -> u64 {
    EDGE + HEIGHT - scaled(value, top, HEIGHT)
}

fn along(at: usize, points: usize) -> u64 {
    // Marks at both ends have room.
    LEFT + 8 + scaled(at as u64, points.saturating_sub(1) as u64, WIDTH - LEFT - 16)
}

/// The class of the colour of the n-th line.
fn colour(place: usize) -> &'static str {
    ["c0", "c1", "c2", "c3"].get(place % COLOURS).copied().unwrap_or("c0")
}

/// Its mark, which tells it from others without any colour.
fn mark(place: usize) -> &'static str {
    ["●", "▲", "■", "◆"].get(place % COLOURS).copied().unwrap_or("●")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_say_their_values_and_stay_in_the_drawing() {
        let bar = |label: &str, value: u64| Bar { label: label.to_owned(), value, words: format!("{value} h") };
        let text =
            bars("a", "Waits", &[bar("<b>\u{202e}", u64::MAX), bar("none", 0)], &html! { table {} }).into_string();
        assert!(text.contains("width=\"440\"") && text.contains("width=\"0\""), "{text}");
        assert!(
            text.contains("0 h") && text.contains("<details>") && text.contains("aria-labelledby=\"a-title a-words\"")
        );
        for bad in ["<b>", "\u{202e}", " style="] {
            assert!(!text.contains(bad), "{bad}: {text}");
        }
        // What is known to be nothing is said; only what is not known is not drawn.
        let zero = bars("a", "Waits", &[bar("none", 0)], &html! {}).into_string();
        assert!(zero.contains("0 h") && zero.contains("<svg"), "{zero}");
        assert!(bars("a", "Waits", &[], &html! {}).into_string().contains("Nothing to draw yet"));
        // Long names have room.
        let label = |length: usize| left_of(&[bar(&"X".repeat(length), 1)]);
        assert_eq!((label(3), label(21), label(500)), (160, 184, 300));
    }

    #[test]
    fn a_line_is_broken_where_nothing_is_known() {
        let line = Line { label: "half".to_owned(), values: vec![Some(1), Some(4), None, Some(2)] };
        let labels: Vec<String> = ["w1", "w2", "w3", "w4"].map(str::to_owned).to_vec();
        let text = lines("l", "Time", &labels, &[line], |value| format!("{value} s"), &html! {}).into_string();
        assert_eq!((text.matches("<polyline").count(), text.matches("class=\"point\"").count()), (1, 3), "{text}");
        assert!(text.contains("half: highest 4 s at w2, newest 2 s at w4"), "{text}");
        let flat = Line { label: "flat".to_owned(), values: vec![Some(0), Some(0)] };
        let text = lines("l", "Time", &labels, &[flat], |value| format!("{value} s"), &html! {}).into_string();
        assert!(text.contains("<polyline") && text.contains(">4 s<"), "{text}");
        let unknown = Line { label: "unknown".to_owned(), values: vec![None] };
        let text = lines("l", "Time", &labels, &[unknown], |value| format!("{value} s"), &html! {}).into_string();
        assert!(text.contains("Nothing to draw yet"), "{text}");
        // The highest value stands at the top of the drawing, and zero at its bottom.
        assert_eq!((height_of(4, 4), height_of(0, 4)), (EDGE, EDGE + HEIGHT));
        assert_eq!((along(0, 1), along(3, 4)), (168, 712));
    }
}
