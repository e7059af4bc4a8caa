//! Drift: what ought to run, what was reported to run, and what to do where the two differ.

use lockgate_api::client::query_value;
use lockgate_api::wire::{DriftReply, DriftReport, DriftRow};
use lockgate_model::{ServiceName, UnixMillis};
use maud::{Markup, html};

use crate::service::release_link;
use crate::wording::{ago, command, visible};

/// How it can stand: the value in the address, its icon, the class that repeats it as a colour, and its words.
const STATES: [(&str, &str, &str, &str); 6] = [
    ("in-step", "✓", "good", "in step"),
    ("other-release", "≠", "bad", "another release runs"),
    ("no-grant", "✗", "bad", "reported without a grant"),
    ("not-running", "✗", "bad", "does not run"),
    ("not-reported", "·", "plain", "nothing reported"),
    ("report-old", "!", "warn", "report is old"),
];

/// Which rows to show, as the address has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// A part of the service's name.
    pub text: String,
    /// The only environment.
    pub environment: String,
    /// How it stands, such as `in-step`.
    pub state: String,
    /// After how many days a report is old.
    pub days: u64,
    /// Whether this is a later page.
    pub after: bool,
}

impl Filter {
    fn leaves_all_in(&self) -> bool {
        self.text.is_empty() && self.environment.is_empty() && self.state.is_empty()
    }

    /// The address of the page after a service, or of the first one.
    fn address(&self, after: Option<&ServiceName>) -> String {
        let fields = [("q", &self.text), ("environment", &self.environment), ("state", &self.state)];
        let filled = fields.iter().filter(|(_, value)| !value.is_empty());
        let mut pairs: Vec<String> = filled.map(|(name, value)| format!("{name}={}", query_value(value))).collect();
        pairs.push(format!("days={}", self.days));
        pairs.extend(after.map(|after| format!("after={}", query_value(after.as_str()))));
        format!("/drift?{}", pairs.join("&"))
    }

    /// The same question on the command line.
    fn command(&self) -> String {
        let flags = [("--text", &self.text), ("--env", &self.environment), ("--state", &self.state)];
        let filled = flags.iter().filter(|(_, value)| !value.is_empty());
        let flags: String = filled.map(|(flag, value)| format!(" {flag} {}", visible(value))).collect();
        format!("lockgate drift{flags} --old {}d", self.days)
    }
}

/// The page's content.
pub fn content(drift: &DriftReply, filter: &Filter, now: UnixMillis) -> Markup {
    html! {
        h1 { "Drift" }
        p.quiet { "What the ledger grants, compared with what was reported to run. Only a report from after the grant, by somebody who may deploy there, counts." }
        (filters(drift, filter))
        @if drift.rows.is_empty() {
            (empty(drift, filter))
        } @else {
            div.scroll { table.drift id="drift" {
                thead { tr {
                    th scope="col" { "Service" } th scope="col" { "Environment" } th scope="col" { "State" }
                    th scope="col" { "Ought to run" } th scope="col" { "Reported" } th scope="col" { "What to do" }
                } }
                tbody { @for one in &drift.rows { (row(one, now)) } }
            } }
        }
        @if let Some(next) = &drift.next {
            p { a.more rel="next" href=(filter.address(Some(next))) {
                @if drift.rows.is_empty() { "Look on after " (next.as_str()) } @else { "More services" }
            } }
        }
        @if filter.after { p { a href=(filter.address(None)) { "Back to the first" } } }
        (command("cli-drift", &filter.command()))
        (how())
    }
}

fn filters(drift: &DriftReply, filter: &Filter) -> Markup {
    html! {
        form.filters method="get" action="/drift" role="search" {
            div {
                label for="q" { "Service or team" }
                input id="q" name="q" type="search" value=(visible(&filter.text)) maxlength="128" placeholder="any";
            }
            div {
                label for="filter-environment" { "Environment" }
                select id="filter-environment" name="environment" {
                    option value="" { "all" }
                    @for name in &drift.environments {
                        option value=(name.as_str()) selected[filter.environment == name.as_str()] { (name.as_str()) }
                    }
                }
            }
            div {
                label for="filter-state" { "State" }
                select id="filter-state" name="state" {
                    option value="" { "any" }
                    @for (value, _, _, words) in STATES {
                        option value=(value) selected[filter.state == value] { (words) }
                    }
                }
            }
            div {
                label for="filter-days" { "Old after days" }
                input id="filter-days" name="days" type="number" min="1" max="3650" value=(filter.days);
            }
            button type="submit" { "Filter" }
            @if !filter.leaves_all_in() { a href="/drift" { "Clear" } }
        }
    }
}

fn empty(drift: &DriftReply, filter: &Filter) -> Markup {
    html! {
        div.empty {
            @if drift.next.is_some() {
                p { "Nothing fits among the services that were looked at so far." }
            } @else if filter.leaves_all_in() && !filter.after {
                p { "Nothing ought to run anywhere yet: nothing was granted. Ask for a promotion:" }
                (command("cli-none-drift", "lockgate promote team/app@1.0.0 --to dev --reason \"first release\""))
            } @else {
                p { "Nothing fits. " a href="/drift" { "Show all" } }
            }
        }
    }
}

fn state(word: &str) -> Markup {
    let known = STATES.iter().find(|(value, ..)| *value == word);
    let (_, icon, class, words) = known.copied().unwrap_or(("", "·", "plain", word));
    html! { span class={ "state " (class) } { span.icon aria-hidden="true" { (icon) } " " (visible(words)) } }
}

fn row(row: &DriftRow, now: UnixMillis) -> Markup {
    let (service, environment) = (row.service.as_str(), row.environment.as_str());
    html! {
        tr id={ "drift-" (service) "-" (environment) } data-row {
            th scope="row" { a href={ "/services/" (service) } { (service) } }
            td { (environment) }
            td { (state(&row.state)) }
            td {
                @match &row.granted {
                    Some(granted) => {
                        a href=(release_link(&granted.release)) { (granted.release.version.to_string()) }
                        " since " (ago(granted.since, now)) ", "
                        a href={ "/promotions/" (granted.promotion) } { (granted.promotion) }
                    },
                    None => { span.quiet { "nothing is granted" } },
                }
            }
            td { @match &row.reported { Some(report) => { (reported(report, now)) }, None => { span.quiet { "nothing" } }, } }
            td { @if let Some(fix) = &row.fix { (command(&format!("fix-{service}-{environment}"), &visible(fix))) } }
        }
    }
}

fn reported(report: &DriftReport, now: UnixMillis) -> Markup {
    html! {
        a href=(release_link(&report.release)) { (report.release.version.to_string()) }
        @match report.outcome.as_str() {
            "pass" => { " runs" },
            "warn" => { " runs, with warnings" },
            _ => { " does not run" },
        }
        ", " (ago(report.at, now)) " by " (visible(&report.by)) ", "
        a href={ "/evidence/" (report.evidence) } { "entry " (report.index) }
    }
}

/// How a deployer reports.
fn how() -> Markup {
    html! {
        details {
            summary { "How to report what runs" }
            p { "Hand in a named check about the release that runs: " code { "pass" } " or " code { "warn" }
                " says that it runs there, " code { "fail" } " that it does not. Whoever may " code { "deploy" }
                " the service in the environment may hand it in, and it counts from nobody else." }
            pre { code {
                "{\"schema\": \"https://lockgate.dev/check/v1\", \"name\": \"runs-in-production\",\n \"outcome\": \"pass\", \"checked_at\": \"2026-11-21T09:00:00Z\"}"
            } }
            (command("cli-report", "lockgate attest SERVICE@VERSION --report runs-in-production.json"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_api::wire::RunningCell;
    use lockgate_model::Digest;

    const DAY: u64 = 86_400_000;

    fn drift() -> DriftReply {
        let hostile = "<script>alert(1)</script>\u{202e}";
        let row = |environment: &str, state: &str, reported: bool| DriftRow {
            service: "shop/web".parse().unwrap(),
            environment: environment.parse().unwrap(),
            state: state.to_owned(),
            drift: reported,
            granted: Some(RunningCell {
                release: "shop/web@1.4.2".parse().unwrap(),
                since: UnixMillis(0),
                promotion: "P-3".parse().unwrap(),
            }),
            reported: reported.then(|| DriftReport {
                release: "shop/web@1.4.1".parse().unwrap(),
                outcome: "warn".to_owned(),
                at: UnixMillis(DAY),
                index: 41,
                by: hostile.to_owned(),
                evidence: Digest::of(b"report"),
            }),
            fix: reported.then(|| format!("lockgate rollback {hostile}")),
        };
        DriftReply {
            environments: vec!["dev".parse().unwrap(), "production".parse().unwrap()],
            rows: vec![row("dev", "not-reported", false), row("production", "other-release", true)],
            next: Some("shop/web".parse().unwrap()),
        }
    }

    #[test]
    fn rows_say_in_words_how_they_stand_and_stay_text() {
        let filter = Filter { days: 7, ..Filter::default() };
        let text = content(&drift(), &filter, UnixMillis(3 * DAY)).into_string();
        for wanted in [
            "nothing reported",
            "another release runs",
            "href=\"/promotions/P-3\"",
            "runs, with warnings",
            "2 d ago",
            "entry 41",
            "lockgate rollback",
            "href=\"/drift?days=7&amp;after=shop%2Fweb\"",
            "lockgate drift --old 7d",
        ] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
        assert!(!text.contains("<script") && !text.contains('\u{202e}') && !text.contains(" style="), "{text}");
    }

    #[test]
    fn filters_stay_in_the_address_and_every_state_has_words() {
        let filter = Filter {
            text: "\"><script>&after=x".to_owned(),
            environment: "production".to_owned(),
            state: "no-grant".to_owned(),
            days: 14,
            after: true,
        };
        let text = content(&drift(), &filter, UnixMillis(0)).into_string();
        assert!(
            text.contains("&amp;environment=production&amp;state=no-grant&amp;days=14&amp;after=shop%2Fweb"),
            "{text}"
        );
        assert!(text.contains("Back to the first") && !text.contains("<script"), "{text}");
        assert!(text.contains("<option value=\"production\" selected>"), "{text}");
        for (word, icon, _, words) in STATES {
            let text = state(word).into_string();
            assert!(text.contains(icon) && text.contains(words), "{text}");
        }
    }

    #[test]
    fn an_empty_page_says_what_fills_it() {
        let check = |filter: &Filter, next: bool, wanted: &str| {
            let mut empty = drift();
            empty.rows.clear();
            empty.next = empty.next.filter(|_| next);
            let text = content(&empty, filter, UnixMillis(0)).into_string();
            assert!(text.contains(wanted), "{wanted}: {text}");
        };
        let filtered = Filter { state: "in-step".to_owned(), ..Filter::default() };
        check(&Filter::default(), false, "lockgate promote team/app@1.0.0");
        check(&filtered, false, "Nothing fits.");
        check(&filtered, true, "Look on after shop/web");
    }
}
