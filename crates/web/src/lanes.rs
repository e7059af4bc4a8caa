//! Lanes: which release ran when, one lane an environment, drawn on the server; the table behind it is one click away.

use lockgate_api::wire::{EnvironmentRow, RanRow};
use lockgate_model::UnixMillis;
use maud::{Markup, html};

use crate::wording::ago;

/// How wide the drawing is, in its own units.
const WIDTH: u64 = 1000;
/// Where lanes begin, behind their names.
const LEFT: u64 = 120;
/// How high one lane is.
const HEIGHT: u64 = 28;
/// From which width on a bar carries its version.
const LABELLED: u64 = 60;

/// The drawing with its table; nothing where nothing ever ran.
pub fn lanes(environments: &[EnvironmentRow], now: UnixMillis) -> Markup {
    let first = environments.iter().flat_map(|row| &row.ran).map(|ran| ran.since).min();
    let Some(first) = first else { return html! {} };
    let height = HEIGHT * environments.len() as u64;
    html! {
        h2 { "Over time" }
        div.scroll {
            svg.lanes viewBox={ "0 0 " (WIDTH) " " (height) } role="group" aria-label="Which release ran when in each environment" {
                @for (place, row) in environments.iter().enumerate() {
                    @let top = HEIGHT * place as u64;
                    text.name x="0" y=(top + 19) { (row.environment.as_str()) }
                    line.rule x1=(LEFT) x2=(WIDTH) y1=(top + HEIGHT - 1) y2=(top + HEIGHT - 1) {}
                    @for ran in row.ran.iter().rev() { (bar(ran, first, now, top)) }
                }
            }
        }
        details {
            summary { "As a table" }
            div.scroll { table {
                thead { tr {
                    th scope="col" { "Environment" } th scope="col" { "Release" } th scope="col" { "From" }
                    th scope="col" { "To" } th scope="col" { "By" }
                } }
                tbody {
                    @for row in environments { @for ran in &row.ran {
                        tr {
                            th scope="row" { (row.environment.as_str()) }
                            td { a href={ "/releases/" (ran.release) } { (ran.release.version.to_string()) } }
                            td { (ago(ran.since, now)) }
                            td { @if let Some(until) = ran.until { (ago(until, now)) } @else { "now" } }
                            td { a href={ "/promotions/" (ran.promotion) } { (ran.promotion) } }
                        }
                    } }
                }
            } }
        }
    }
}

fn bar(ran: &RanRow, first: UnixMillis, now: UnixMillis, top: u64) -> Markup {
    let (from, to) = (place(ran.since, first, now), place(ran.until.unwrap_or(now), first, now));
    let width = to.saturating_sub(from).max(2);
    let version = ran.release.version.to_string();
    html! {
        a href={ "/promotions/" (ran.promotion) } {
            rect.bar.now[ran.until.is_none()] x=(from) y=(top + 4) width=(width) height=(HEIGHT - 8) rx="3" {
                title { (ran.release) " by " (ran.promotion) " from " (ran.since.rfc3339_secs()) }
            }
            @if width >= LABELLED { text.version x=(from + 6) y=(top + 19) { (version) } }
        }
    }
}

/// Where a moment lies, between the first and now.
fn place(time: UnixMillis, first: UnixMillis, now: UnixMillis) -> u64 {
    let whole = now.0.saturating_sub(first.0).max(1);
    let part = time.0.saturating_sub(first.0).min(whole);
    let across = u128::from(part) * u128::from(WIDTH - LEFT) / u128::from(whole);
    LEFT + u64::try_from(across).unwrap_or(WIDTH - LEFT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_lie_between_the_first_and_now() {
        let check = |time: u64, wanted: u64| {
            assert_eq!(place(UnixMillis(time), UnixMillis(1_000), UnixMillis(2_000)), wanted, "{time}");
        };
        check(1_000, 120);
        check(1_500, 560);
        check(2_000, 1_000);
        check(0, 120);
        check(9_000, 1_000);
        assert_eq!(place(UnixMillis(5), UnixMillis(5), UnixMillis(5)), 120);
    }

    #[test]
    fn nothing_ran_is_no_drawing() {
        assert_eq!(lanes(&[], UnixMillis(0)).into_string(), "");
    }
}
