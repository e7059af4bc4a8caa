//! Metrics: how long promotions take, what they wait for, who approves, what fails.

use lockgate_api::wire::{EnvironmentMetrics, MetricsReply};
use lockgate_model::{Span, UnixMillis};
use maud::{Markup, html};

use crate::chart::{self, Bar, Line};
use crate::wording::{command, plural, visible};

/// The stretches of time that can be chosen, in days.
const DAYS: [u64; 4] = [7, 30, 90, 365];
const DAY_SECS: u64 = 86_400;

/// The page's content.
pub fn content(metrics: &MetricsReply, since: Span, now: UnixMillis) -> Markup {
    html! {
        h1 { "Metrics" }
        (choice(since))
        (coverage(metrics, now))
        @if metrics.promotions == 0 {
            div.empty {
                p { "No promotion was decided in that time. Ask for one:" }
                (command("cli-none-metrics", "lockgate promote team/app@1.0.0 --to production --reason \"first release\""))
            }
        } @else {
            (summary(metrics))
            div.figures {
                (time_to_promotion(metrics))
                (over_time(metrics))
                (waiting(metrics))
                (refusals(metrics))
                (reasons(metrics))
                (failures(metrics))
                (recovery(metrics))
            }
        }
        (approvers(metrics))
        (command("cli-metrics", &format!("lockgate metrics --since {since}")))
    }
}

fn choice(since: Span) -> Markup {
    let chosen = since.days();
    html! {
        form.filters method="get" action="/metrics" {
            div {
                label for="since" { "How far back" }
                select id="since" name="since" {
                    @for days in DAYS { option value={ (days) "d" } selected[chosen == days] { (days) " days" } }
                    @if !DAYS.contains(&chosen) { option value=(since.to_string()) selected { (since.to_string()) } }
                }
            }
            button type="submit" { "Show" }
        }
    }
}

fn coverage(metrics: &MetricsReply, now: UnixMillis) -> Markup {
    let days = now.since(metrics.covered_from).days();
    html! {
        p.quiet {
            "Counted from " (metrics.entries) " entries of the ledger: " (metrics.promotions) " promotions that you may read. "
            @if !metrics.complete {
                span.state.warn { span.icon aria-hidden="true" { "!" } " not all of it" }
                " There is more than is counted at once; nothing is left out "
                @if days > 0 { "of the last " (days) (plural(days, " day", " days")) ", " }
                "since "
                time datetime=(metrics.covered_from.rfc3339_secs()) { (metrics.covered_from.rfc3339_secs()) } "."
            }
        }
    }
}

fn summary(metrics: &MetricsReply) -> Markup {
    let sum = |count: fn(&EnvironmentMetrics) -> u64| metrics.environments.iter().map(count).sum::<u64>();
    let (grants, rollbacks) = (sum(|row| row.grants), sum(|row| row.rollbacks));
    html! {
        ul.summary {
            li { strong { (grants) } " " (plural(grants, "grant", "grants")) }
            li { strong { (rollbacks) } " " (plural(rollbacks, "rollback", "rollbacks")) }
            li { strong { (metrics.refusals.denied) } " denied" }
            li { strong { (metrics.refusals.rejected) } " rejected" }
            li { a href="/freeze" { strong { (metrics.freezes) } " " (plural(metrics.freezes, "freeze", "freezes")) } }
            li { a href="/freeze" { strong { (metrics.break_glass) } " break-glass " (plural(metrics.break_glass, "use", "uses")) } }
        }
    }
}

/// A stretch of time as people say it; what took less than a second took some time all the same.
fn long(secs: u64) -> String {
    match secs {
        0 => "under 1 s".to_owned(),
        1..60 => format!("{secs} s"),
        60..3_600 => format!("{} min", secs / 60),
        3_600..DAY_SECS => format!("{}.{} h", secs / 3_600, secs % 3_600 / 360),
        _ => format!("{}.{} d", secs / DAY_SECS, secs % DAY_SECS / 8_640),
    }
}

/// A place on a scale of time, which begins at nothing.
fn scale(secs: u64) -> String {
    if secs == 0 { "0 s".to_owned() } else { long(secs) }
}

fn maybe(secs: Option<u64>) -> String {
    secs.map_or_else(|| "—".to_owned(), long)
}

fn time_to_promotion(metrics: &MetricsReply) -> Markup {
    let bars: Vec<Bar> = metrics
        .environments
        .iter()
        .filter(|row| row.grants > 0)
        .flat_map(|row| [("p50", row.p50_secs), ("p90", row.p90_secs)].map(|(name, secs)| (row, name, secs)))
        .map(|(row, name, secs)| Bar {
            label: format!("{} {name}", row.environment),
            value: secs.unwrap_or(0),
            words: maybe(secs),
        })
        .collect();
    let table = html! {
        table {
            thead { tr {
                th scope="col" { "Environment" } th.number scope="col" { "Grants" }
                th.number scope="col" { "p50" } th.number scope="col" { "p90" }
            } }
            tbody { @for row in &metrics.environments { tr {
                th scope="row" { (row.environment.as_str()) }
                td.number { (row.grants) } td.number { (maybe(row.p50_secs)) } td.number { (maybe(row.p90_secs)) }
            } } }
        }
    };
    chart::bars("time", "Time to promotion, from request to grant", &bars, &table)
}

fn over_time(metrics: &MetricsReply) -> Markup {
    let day = |time: UnixMillis| time.rfc3339_secs().chars().take("2026-11-21".len()).collect::<String>();
    let labels: Vec<String> = metrics.weeks.iter().map(|week| day(week.from)).collect();
    let half = Line { label: "p50".to_owned(), values: metrics.weeks.iter().map(|week| week.p50_secs).collect() };
    let table = html! {
        table {
            thead { tr {
                th scope="col" { "Week from" } th.number scope="col" { "Grants" }
                th.number scope="col" { "Rollbacks" } th.number scope="col" { "p50" }
            } }
            tbody { @for (week, label) in metrics.weeks.iter().zip(&labels) { tr {
                th scope="row" { (label) }
                td.number { (week.grants) } td.number { (week.rollbacks) } td.number { (maybe(week.p50_secs)) }
            } } }
        }
    };
    let line = |label: &str, values: Vec<Option<u64>>| Line { label: label.to_owned(), values };
    let counts = [
        line("grants", metrics.weeks.iter().map(|week| Some(week.grants)).collect()),
        line("rollbacks", metrics.weeks.iter().map(|week| Some(week.rollbacks)).collect()),
    ];
    html! {
        (chart::lines("weeks", "Time to promotion, week by week", &labels, &[half], scale, &table))
        (chart::lines("counts", "Grants and rollbacks, week by week", &labels, &counts, |value| value.to_string(), &table))
    }
}

fn waiting(metrics: &MetricsReply) -> Markup {
    let bar = |(cause, secs): (&str, u64)| Bar { label: cause.to_owned(), value: secs, words: long(secs) };
    let bars: Vec<Bar> = metrics.waiting.iter().map(|row| bar((row.cause.as_str(), row.secs))).collect();
    let table = html! {
        table {
            caption.quiet { "Of granted promotions; where several things were waited for at once, each has its share" }
            thead { tr {
                th scope="col" { "For" } th.number scope="col" { "In all" } th.number scope="col" { "Promotions" }
            } }
            tbody { @for row in &metrics.waiting { tr {
                th scope="row" { (row.cause) } td.number { (long(row.secs)) } td.number { (row.promotions) }
            } } }
        }
    };
    chart::bars("waiting", "Waiting, by cause", &bars, &table)
}

/// Bars of counts, with a table of the same.
fn counted(id: &str, title: &str, head: &str, rows: &[(String, u64)]) -> Markup {
    let bar = |(label, value): &(String, u64)| Bar { label: label.clone(), value: *value, words: value.to_string() };
    let bars: Vec<Bar> = rows.iter().map(bar).collect();
    let table = html! {
        table {
            thead { tr { th scope="col" { (head) } th.number scope="col" { "Promotions" } } }
            tbody { @for (label, count) in rows { tr {
                th scope="row" { (visible(label)) } td.number { (count) }
            } } }
        }
    };
    chart::bars(id, title, &bars, &table)
}

fn refusals(metrics: &MetricsReply) -> Markup {
    let counts = metrics.refusals;
    let rows = [
        ("denied by a gate", counts.denied),
        ("rejected by a person", counts.rejected),
        ("withdrawn", counts.withdrawn),
        ("expired", counts.expired),
        ("superseded", counts.superseded),
    ]
    .map(|(label, count)| (label.to_owned(), count));
    counted("refusals", "Not granted, or not at once", "What became of it", &rows)
}

fn reasons(metrics: &MetricsReply) -> Markup {
    let rows: Vec<(String, u64)> = metrics.reasons.iter().map(|row| (row.code.clone(), row.promotions)).collect();
    html! {
        (counted("reasons", "Why, most frequent first", "Reason", &rows))
        @if let Some(first) = metrics.reasons.first() {
            (command("cli-explain", &format!("lockgate explain {}", visible(&first.code))))
        }
    }
}

fn failures(metrics: &MetricsReply) -> Markup {
    let percent = |row: &EnvironmentMetrics| row.failed_percent.unwrap_or(0);
    let words = |row: &EnvironmentMetrics| {
        row.failed_percent
            .map_or_else(|| "—".to_owned(), |share| format!("{share} % ({} of {})", row.failed, row.grants))
    };
    let bar =
        |row: &EnvironmentMetrics| Bar { label: row.environment.to_string(), value: percent(row), words: words(row) };
    let bars: Vec<Bar> = metrics.environments.iter().map(bar).collect();
    let table = html! {
        table {
            thead { tr {
                th scope="col" { "Environment" } th.number scope="col" { "Failed" } th.number scope="col" { "Rollbacks" }
            } }
            tbody { @for row in &metrics.environments { tr {
                th scope="row" { (row.environment.as_str()) } td.number { (words(row)) } td.number { (row.rollbacks) }
            } } }
        }
    };
    chart::bars("failures", "Change failure rate: rolled back within 7 days", &bars, &table)
}

/// How long what had to be rolled back stood there.
fn recovery(metrics: &MetricsReply) -> Markup {
    let bar = |row: &EnvironmentMetrics| {
        let value = row.recovery_p50_secs?;
        Some(Bar { label: row.environment.to_string(), value, words: long(value) })
    };
    let bars: Vec<Bar> = metrics.environments.iter().filter_map(bar).collect();
    let table = html! {
        table {
            caption.quiet { "From the grant of what failed to the grant of the rollback, half of them at most" }
            thead { tr {
                th scope="col" { "Environment" } th.number scope="col" { "Failed" } th.number scope="col" { "p50" }
            } }
            tbody { @for row in &metrics.environments { tr {
                th scope="row" { (row.environment.as_str()) }
                td.number { (row.failed) } td.number { (maybe(row.recovery_p50_secs)) }
            } } }
        }
    };
    chart::bars("recovery", "Recovery time: from a failed change to its rollback", &bars, &table)
}

fn approvers(metrics: &MetricsReply) -> Markup {
    html! {
        section aria-labelledby="approvers-title" {
            h2 id="approvers-title" { "Approvals" }
            @match &metrics.approvers {
                None => { p.quiet { "Who approves how much is for those with the permission " code { "audit" } "." } },
                Some(rows) if rows.is_empty() => {
                    div.empty {
                        p { "Nobody approved anything in that time." }
                        (command("cli-none-approvers", "lockgate inbox"))
                    }
                },
                Some(rows) => {
                    div.scroll role="group" tabindex="0" aria-labelledby="approvers-title" { table {
                        thead { tr {
                            th scope="col" { "Approver" } th.number scope="col" { "Approvals" }
                            th.number scope="col" { "Median review" }
                        } }
                        tbody { @for row in rows { tr id={ "approver-" (row.person.as_str()) } data-row {
                            th scope="row" { (row.person.as_str()) }
                            td.number { (row.approvals) } td.number { (maybe(row.median_review_secs)) }
                        } } }
                    } }
                    (command("cli-approvers", "lockgate status --approvers"))
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_api::wire::{ApproverMetrics, ReasonMetrics, RefusalMetrics, WaitMetrics, WeekMetrics};

    fn metrics() -> MetricsReply {
        MetricsReply {
            since: UnixMillis(0),
            until: UnixMillis(10 * 86_400_000),
            covered_from: UnixMillis(3 * 86_400_000),
            complete: false,
            entries: 20_000,
            promotions: 7,
            environments: vec![EnvironmentMetrics {
                environment: "production".parse().unwrap(),
                grants: 4,
                rollbacks: 1,
                p50_secs: Some(5_400),
                p90_secs: Some(180_000),
                failed: 1,
                failed_percent: Some(25),
                recovery_p50_secs: Some(7_200),
            }],
            waiting: vec![WaitMetrics { cause: "approval".to_owned(), secs: 90, promotions: 3 }],
            refusals: RefusalMetrics { denied: 2, ..RefusalMetrics::default() },
            reasons: vec![ReasonMetrics { code: "<script>".to_owned(), promotions: 2 }],
            approvers: None,
            weeks: vec![
                WeekMetrics { from: UnixMillis(0), grants: 1, rollbacks: 0, p50_secs: None },
                WeekMetrics { from: UnixMillis(604_800_000), grants: 3, rollbacks: 1, p50_secs: Some(60) },
            ],
            freezes: 1,
            break_glass: 0,
        }
    }

    #[test]
    fn a_time_of_less_than_a_day_is_told_by_its_beginning() {
        let check = |days_later: u64, wanted: &str| {
            let reply = metrics();
            let now = UnixMillis(reply.covered_from.0 + days_later * 86_400_000);
            let text = coverage(&reply, now).into_string();
            assert!(text.contains(wanted), "{wanted}: {text}");
        };
        check(0, "nothing is left out since <time");
        check(1, "nothing is left out of the last 1 day, since <time");
        check(7, "nothing is left out of the last 7 days, since <time");
    }

    #[test]
    fn every_chart_has_its_table_and_says_what_is_covered() {
        let text = content(&metrics(), Span::from_secs(90 * DAY_SECS), UnixMillis(10 * 86_400_000)).into_string();
        assert_eq!(text.matches("As a table").count(), text.matches("class=\"figure\"").count(), "{text}");
        assert_eq!(text.matches("class=\"figure\"").count(), 8, "{text}");
        for wanted in [
            "not all of it",
            "the last 7 days",
            "production p50",
            "1.5 h",
            "2.0 d",
            "25 % (1 of 4)",
            "2.0 h",
            "1970-01-08",
            "&lt;script&gt;",
            "lockgate metrics --since 90d",
            "with the permission",
            "value=\"90d\" selected",
        ] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
        assert!(!text.contains("<script") && !text.contains(" style="), "{text}");
    }

    #[test]
    fn what_took_no_whole_second_is_drawn_and_said() {
        let mut quick = metrics();
        quick.environments[0].p50_secs = Some(0);
        quick.environments[0].p90_secs = Some(0);
        quick.waiting[0].secs = 0;
        let text = content(&quick, Span::from_secs(90 * DAY_SECS), UnixMillis(10 * 86_400_000)).into_string();
        assert!(text.matches("under 1 s").count() >= 3 && !text.contains("all of it is zero"), "{text}");
    }

    #[test]
    fn without_promotions_there_is_a_command_and_no_chart() {
        let mut none = metrics();
        none.promotions = 0;
        none.approvers = Some(Vec::new());
        let text = content(&none, Span::from_secs(5 * 3_600), UnixMillis(0)).into_string();
        assert!(text.contains("lockgate promote") && text.contains("lockgate inbox"), "{text}");
        assert!(text.contains("value=\"5h\" selected") && !text.contains("<svg"), "{text}");
        none.approvers =
            Some(vec![ApproverMetrics { person: "sam".parse().unwrap(), approvals: 3, median_review_secs: Some(59) }]);
        let text = content(&none, Span::from_secs(DAY_SECS), UnixMillis(0)).into_string();
        assert!(text.contains("id=\"approver-sam\"") && text.contains("59 s"), "{text}");
    }
}
