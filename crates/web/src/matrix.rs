//! The pipeline matrix: what runs where, and what is on its way.

use lockgate_api::client::query_value;
use lockgate_api::wire::{MatrixCell, MatrixColumn, MatrixOpen, MatrixReply, MatrixRow, RunningCell};
use lockgate_model::{ServiceName, UnixMillis};
use maud::{Markup, html};

use crate::wording::{command, plural, span, visible};

/// What a cell can be filtered by: the value in the address, and its words.
const STATES: [(&str, &str); 4] = [
    ("open", "a promotion is open"),
    ("frozen", "frozen"),
    ("behind", "behind where it comes from"),
    ("old", "older than so many days"),
];

/// Which rows to show and how, as the address has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// A part of the service's name.
    pub text: String,
    /// The only environment.
    pub environment: String,
    /// `open`, `frozen`, `behind` or `old`.
    pub state: String,
    /// How many days are old.
    pub days: u64,
    /// Whether rows are low.
    pub dense: bool,
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
        if self.state == "old" {
            pairs.push(format!("days={}", self.days));
        }
        if self.dense {
            pairs.push("dense=1".to_owned());
        }
        pairs.extend(after.map(|after| format!("after={}", query_value(after.as_str()))));
        match pairs.is_empty() {
            true => "/".to_owned(),
            false => format!("/?{}", pairs.join("&")),
        }
    }
}

/// The page's content; `waiting` is how many things wait for whoever looks.
pub fn content(matrix: &MatrixReply, filter: &Filter, waiting: u64, now: UnixMillis) -> Markup {
    html! {
        h1 { "Pipeline" }
        (summary(matrix, waiting))
        (filters(matrix, filter))
        @if matrix.services.is_empty() {
            (empty(matrix, filter))
        } @else {
            div.scroll {
                table.matrix.dense[filter.dense] id="matrix" {
                    caption.quiet { "What runs in each environment, in the order of the pipeline" }
                    thead { tr {
                        th scope="col" { "Service" }
                        @for column in &matrix.columns { th scope="col" { (column.environment.as_str()) } }
                    } }
                    (teams(matrix, now))
                }
            }
        }
        @if let Some(next) = &matrix.next {
            p { a.more href=(filter.address(Some(next))) {
                @if matrix.services.is_empty() { "Look on after " (next.as_str()) } @else { "More services" }
            } }
        }
        @if filter.after { p { a href=(filter.address(None)) { "Back to the first" } } }
        (command("cli-status", "lockgate status"))
    }
}

fn summary(matrix: &MatrixReply, waiting: u64) -> Markup {
    let more = if matrix.open_cut { "+" } else { "" };
    html! {
        ul.summary {
            li { a href="/inbox" { strong { (waiting) } (plural(waiting, " waits for you", " wait for you")) } }
            li { a href="/?state=open" { strong { (matrix.open) (more) } (plural(matrix.open, " open promotion", " open promotions")) } }
            li {
                a href="/?state=frozen" { strong { (matrix.freezes) } (plural(matrix.freezes, " freeze in force", " freezes in force")) }
                @if matrix.freezes > 0 { " " span.state.bad { span.icon aria-hidden="true" { "❄" } " frozen" } }
            }
            li {
                a href="/freeze" {
                    strong { (matrix.unreviewed) } (plural(matrix.unreviewed, " break-glass review due", " break-glass reviews due"))
                }
                @if matrix.unreviewed > 0 { " " span.state.warn { span.icon aria-hidden="true" { "!" } " due" } }
            }
            li { a href="/log" { strong { (matrix.entries) } " log entries" } }
        }
    }
}

fn filters(matrix: &MatrixReply, filter: &Filter) -> Markup {
    let columns = matrix.columns.iter().map(|column| column.environment.as_str());
    html! {
        form.filters method="get" action="/" role="search" {
            div {
                label for="q" { "Service or team" }
                input id="q" name="q" type="search" value=(visible(&filter.text)) maxlength="128" placeholder="any";
            }
            div {
                label for="filter-environment" { "Environment" }
                @if filter.environment.is_empty() {
                    select id="filter-environment" name="environment" {
                        option value="" { "all" }
                        @for name in columns { option value=(name) { (name) } }
                    }
                } @else {
                    // Only that one is known here; clearing brings the others back.
                    select id="filter-environment" name="environment" {
                        option value="" { "all" }
                        option value=(visible(&filter.environment)) selected { (visible(&filter.environment)) }
                    }
                }
            }
            div {
                label for="filter-state" { "State" }
                select id="filter-state" name="state" {
                    option value="" { "any" }
                    @for (value, words) in STATES { option value=(value) selected[filter.state == value] { (words) } }
                }
            }
            div {
                label for="filter-days" { "Days" }
                input id="filter-days" name="days" type="number" min="1" max="3650" value=(filter.days);
            }
            label.choice { input type="checkbox" name="dense" value="1" checked[filter.dense]; " dense" }
            button type="submit" { "Filter" }
            @if !filter.leaves_all_in() { a href="/" { "Clear" } }
        }
    }
}

fn empty(matrix: &MatrixReply, filter: &Filter) -> Markup {
    html! {
        div.empty {
            @if matrix.next.is_some() {
                p { "Nothing fits among the services that were looked at so far." }
            } @else if filter.leaves_all_in() && !filter.after {
                p { "Nothing was published yet. Hand in a first release:" }
                pre { code { "lockgate push app.tar.gz --service team/app --version 1.0.0 --tests junit.xml" } }
            } @else {
                p { "No service fits. " a href="/" { "Show all" } }
            }
        }
    }
}

/// The part of a service's name before the first `/`; none where it has only one.
fn team(service: &ServiceName) -> Option<&str> {
    service.as_str().split_once('/').map(|(team, _)| team)
}

/// The rows, grouped by team: services come in order of name, and those of one team stand together.
fn teams(matrix: &MatrixReply, now: UnixMillis) -> Markup {
    let groups = matrix.services.chunk_by(|one, next| team(&one.service) == team(&next.service));
    html! {
        @for group in groups {
            tbody {
                tr.team {
                    th scope="rowgroup" colspan=(matrix.columns.len() + 1) {
                        @match group.first().and_then(|row| team(&row.service)) {
                            Some(team) => { a href={ "/?q=" (team) "/" } { (team) } },
                            None => { span.quiet { "no team" } },
                        }
                        " " span.quiet { (group.len()) }
                    }
                }
                @for row in group { (service(row, &matrix.columns, now)) }
            }
        }
    }
}

fn service(row: &MatrixRow, columns: &[MatrixColumn], now: UnixMillis) -> Markup {
    let name = row.service.as_str();
    html! {
        tr id={ "row-" (name) } data-row {
            th scope="row" { a href={ "/services/" (name) } { (name) } }
            @for (column, one) in columns.iter().zip(&row.cells) { (cell(one, column, now)) }
        }
    }
}

/// One cell: what runs on the first line, how it stands on the second. Both are always there and never wrap, so that
/// rows keep their height whatever happens. They are lines and not boxes: a browser draws hundreds of cells at once.
fn cell(cell: &MatrixCell, column: &MatrixColumn, now: UnixMillis) -> Markup {
    html! {
        td.same[cell.same].behind[cell.behind] {
            @match &cell.running {
                Some(running) => { (version(running, now)) (marks(cell, column)) },
                None => { span.quiet { "nothing" } },
            }
            br;
            (standing(cell))
        }
    }
}

fn version(running: &RunningCell, now: UnixMillis) -> Markup {
    let age = span(now.0.saturating_sub(running.since.0));
    html! {
        a.version href={ "/promotions/" (running.promotion) } { (running.release.version.to_string()) }
        " " span.quiet title=(running.since.rfc3339_secs()) { (age) }
    }
}

fn marks(cell: &MatrixCell, column: &MatrixColumn) -> Markup {
    let after = column.after.as_ref().map(|after| after.as_str()).unwrap_or_default();
    html! {
        @if cell.same { span.mark title={ "the same as in " (after) } { "= same" } }
        @if cell.behind { span.mark title={ "older than in " (after) } { "↓ behind" } }
    }
}

/// The most urgent thing to say: a freeze, then what is open, then that it runs.
fn standing(cell: &MatrixCell) -> Markup {
    html! {
        @if cell.frozen { span.state.bad { span.icon aria-hidden="true" { "❄" } " frozen" } " " }
        @match &cell.open {
            Some(one) => { (open(one)) },
            None if cell.frozen => {},
            None if cell.running.is_some() => { span.state.good { span.icon aria-hidden="true" { "✓" } " runs" } },
            None => { span.state.plain { span.icon aria-hidden="true" { "·" } " nothing" } },
        }
    }
}

fn open(open: &MatrixOpen) -> Markup {
    let (icon, class, words) = match (open.outcome.as_deref(), open.needed) {
        (Some("deny"), _) => ("✗", "bad", "denied".to_owned()),
        (_, Some(needed)) => ("…", "wait", format!("waits {} of {needed}", open.approvals)),
        _ => ("…", "wait", "waits".to_owned()),
    };
    let gates = open.gates.join(", ");
    html! {
        a class={ "state " (class) } href={ "/promotions/" (open.promotion) } title={ (open.promotion) ": " (visible(&gates)) } {
            span.icon aria-hidden="true" { (icon) } " " (open.release.version.to_string()) " " (words)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix() -> MatrixReply {
        let running = |version: &str| RunningCell {
            release: format!("shop/web@{version}").parse().unwrap(),
            since: UnixMillis(0),
            promotion: "P-2".parse().unwrap(),
        };
        let open = MatrixOpen {
            promotion: "P-3".parse().unwrap(),
            release: "shop/web@1.5.0".parse().unwrap(),
            outcome: Some("pending".to_owned()),
            approvals: 1,
            needed: Some(2),
            gates: vec!["<b>approvals".to_owned()],
        };
        let column = |name: &str, after: Option<&str>| MatrixColumn {
            environment: name.parse().unwrap(),
            after: after.map(|after| after.parse().unwrap()),
        };
        let cells = vec![
            MatrixCell { running: Some(running("1.5.0")), ..MatrixCell::default() },
            MatrixCell { running: Some(running("1.4.2")), behind: true, open: Some(open), ..MatrixCell::default() },
            MatrixCell { frozen: true, ..MatrixCell::default() },
        ];
        let row = |name: &str, cells| MatrixRow { service: name.parse().unwrap(), cells };
        MatrixReply {
            columns: vec![
                column("staging", None),
                column("production", Some("staging")),
                column("island", Some("production")),
            ],
            services: vec![row("alone", Vec::new()), row("shop/api", Vec::new()), row("shop/web", cells)],
            next: Some("shop/web".parse().unwrap()),
            open: 1,
            open_cut: false,
            freezes: 1,
            unreviewed: 0,
            entries: 40,
        }
    }

    #[test]
    fn cells_say_in_words_what_they_are() {
        let text = content(&matrix(), &Filter::default(), 2, UnixMillis(172_800_000)).into_string();
        for wanted in [
            "1.4.2</a>",
            ">2 d<",
            "↓ behind",
            "older than in staging",
            "1.5.0 waits 1 of 2",
            " runs",
            " frozen",
            "<strong>2</strong> wait for you",
            "<strong>1</strong> open promotion<",
            "<strong>1</strong> freeze in force",
            "<strong>0</strong> break-glass reviews due",
            "id=\"row-shop/web\"",
            "href=\"/services/shop/web\"",
            "no team",
            "href=\"/?q=shop/\"",
            "href=\"/?after=shop%2Fweb\"",
        ] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
        assert!(text.contains("&lt;b&gt;approvals") && !text.contains("<b>"), "{text}");
        assert_eq!(text.matches("class=\"team\"").count(), 2, "one heading a team: {text}");
    }

    #[test]
    fn filters_stay_in_the_address_and_stay_text() {
        let filter = Filter {
            text: "\"><script>alert(1)</script>&after=x".to_owned(),
            environment: "production".to_owned(),
            state: "old".to_owned(),
            days: 14,
            dense: true,
            after: true,
        };
        let text = content(&matrix(), &filter, 0, UnixMillis(0)).into_string();
        assert!(
            text.contains("&amp;environment=production&amp;state=old&amp;days=14&amp;dense=1&amp;after=shop%2Fweb"),
            "{text}"
        );
        assert!(text.contains("Back to the first") && text.contains("matrix dense"), "{text}");
        assert!(!text.contains("<script") && !text.contains(" style="), "{text}");
    }

    #[test]
    fn an_empty_matrix_says_what_fills_it() {
        let check = |filter: &Filter, next: bool, wanted: &str| {
            let mut empty = matrix();
            empty.services.clear();
            empty.next = empty.next.filter(|_| next);
            let text = content(&empty, filter, 0, UnixMillis(0)).into_string();
            assert!(text.contains(wanted), "{wanted}: {text}");
        };
        let behind = Filter { state: "behind".to_owned(), ..Filter::default() };
        check(&Filter::default(), false, "lockgate push app.tar.gz");
        check(&behind, false, "No service fits");
        check(&behind, true, "Look on after shop/web");
    }
}
