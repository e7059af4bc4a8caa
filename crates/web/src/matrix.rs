//! The pipeline matrix: what runs where, and what is on its way.

use std::collections::BTreeSet;

use lockgate_api::client::query_value;
use lockgate_api::wire::{MatrixCell, MatrixColumn, MatrixOpen, MatrixReply, MatrixRow, RunningCell};
use lockgate_model::{ServiceName, UnixMillis};
use maud::{Markup, html};

use crate::action::problem;
use crate::shell::Waiting;
use crate::wording::{ago, command, plural, span, visible};

/// What a cell can be filtered by: the value in the address, and its words.
const STATES: [(&str, &str); 6] = [
    ("mine", "waits for me"),
    ("open", "a promotion is open"),
    ("drift", "drift"),
    ("frozen", "frozen"),
    ("behind", "behind by more than so many releases"),
    ("old", "older than so many days"),
];

/// The least time that an open promotion is said to have left, in milliseconds.
const LEFT_LEAST: u64 = 60_000;

/// Which rows to show and how, as the address has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// A part of the service's name.
    pub text: String,
    /// The only environment.
    pub environment: String,
    /// `mine`, `open`, `drift`, `frozen`, `behind` or `old`.
    pub state: String,
    /// How many days are old.
    pub days: u64,
    /// By more than how many releases something is behind.
    pub releases: u64,
    /// The services that this browser shows first.
    pub pinned: BTreeSet<ServiceName>,
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
        if self.state == "behind" && self.releases > 0 {
            pairs.push(format!("releases={}", self.releases));
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

/// What the summary says beside the counts of the reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// How many things wait for whoever looks.
    pub waiting: Waiting,
    /// The ledger's time at its newest entry, after which the checkpoint that covers it was signed.
    pub signed: UnixMillis,
    /// When the page is made.
    pub now: UnixMillis,
}

/// The page's content.
pub fn content(matrix: &MatrixReply, filter: &Filter, moment: Moment) -> Markup {
    let now = moment.now;
    html! {
        h1 { "Pipeline" }
        (summary(matrix, moment))
        (filters(matrix, filter))
        @if matrix.services.is_empty() {
            (empty(matrix, filter))
        } @else {
            // The buttons that pin are in the rows, and what they do is here: one form, whatever the number of rows.
            form id="pins" data-act="/v1/pins" data-method="POST" method="post" { (problem()) }
            div.scroll {
                table.matrix.dense[filter.dense] id="matrix" {
                    caption.quiet { "What runs in each environment, in the order of the pipeline; = is the same release as where it comes from" }
                    thead { tr {
                        th scope="col" { "Service" }
                        @for column in &matrix.columns { th scope="col" { (column.environment.as_str()) } }
                    } }
                    (teams(matrix, &filter.pinned, now))
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

/// What is open, frozen and due, and how old the log is: each a link to where it is told in full.
pub(crate) fn summary(matrix: &MatrixReply, moment: Moment) -> Markup {
    let waiting = moment.waiting;
    let more = if matrix.open_cut { "+" } else { "" };
    html! {
        ul.summary {
            li { a href="/inbox" { strong { (waiting.to_string()) } (plural(waiting.count, " waits for you", " wait for you")) } }
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
            li {
                a href="/log" { strong { (matrix.entries) } (plural(matrix.entries, " log entry", " log entries")) }
                ", signed " (ago(moment.signed, moment.now))
            }
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
            div {
                label for="filter-releases" { "Releases" }
                input id="filter-releases" name="releases" type="number" min="0" max="999" value=(filter.releases);
            }
            label.choice { input type="checkbox" name="dense" value="1" checked[filter.dense]; " dense" }
            a href="/?view=graph" { "As a graph" }
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

/// The rows, grouped by team: services come in order of name, and those of one team stand together, after the pinned.
fn teams(matrix: &MatrixReply, pinned: &BTreeSet<ServiceName>, now: UnixMillis) -> Markup {
    let is_pinned = |row: &MatrixRow| pinned.contains(&row.service);
    let groups = matrix.services.chunk_by(|one, next| match (is_pinned(one), is_pinned(next)) {
        (true, true) => true,
        (false, false) => team(&one.service) == team(&next.service),
        _ => false,
    });
    html! {
        @for group in groups {
            @let first = group.first();
            @let pinned = first.is_some_and(is_pinned);
            tbody {
                tr.team {
                    th scope="rowgroup" colspan=(matrix.columns.len() + 1) {
                        @match first.and_then(|row| team(&row.service)) {
                            _ if pinned => { "Pinned" },
                            Some(team) => { a href={ "/?q=" (team) "/" } { (team) } },
                            None => { span.quiet { "no team" } },
                        }
                        " " span.quiet { (group.len()) }
                    }
                }
                @for row in group { (service(row, &matrix.columns, pinned, now)) }
            }
        }
    }
}

fn service(row: &MatrixRow, columns: &[MatrixColumn], pinned: bool, now: UnixMillis) -> Markup {
    let name = row.service.as_str();
    html! {
        tr id={ "row-" (name) } data-row {
            th scope="row" { a href={ "/services/" (name) } { (name) } (pin(name, pinned)) }
            @for (column, one) in columns.iter().zip(&row.cells) { (cell(one, name, column, now)) }
        }
    }
}

fn pin(name: &str, pinned: bool) -> Markup {
    let (act, word, icon) = if pinned { ("unpin", "Unpin", "★") } else { ("pin", "Pin", "☆") };
    html! {
        button.pin type="submit" form="pins" name=(act) value=(name) aria-label={ (word) " " (name) } title=(word) { (icon) }
    }
}

/// One cell: what runs on the first line, how it stands on the second. Neither ever wraps, so that rows keep their height
/// whatever happens. They are lines and not boxes, and of few parts: a browser draws hundreds of cells at once.
fn cell(cell: &MatrixCell, service: &str, column: &MatrixColumn, now: UnixMillis) -> Markup {
    let is_marked = cell.frozen || cell.break_glass || cell.drift.is_some();
    if cell.running.is_none() && cell.open.is_none() && !is_marked {
        return html! { td.quiet { "nothing" } };
    }
    html! {
        td.same[cell.same].behind[cell.behind] {
            @match &cell.running {
                Some(running) => { (version(running, now)) (marks(cell, column)) },
                None => { span.quiet { "nothing" } },
            }
            br;
            (standing(cell, service, column, now))
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
        @if cell.rollback {
            span.mark title="this came back by a rollback" { span.icon aria-hidden="true" { "↺" } " rollback" }
        }
        @if cell.same { span.mark title={ "the same as in " (after) } { "=" } }
        @if cell.behind {
            @match cell.behind_by {
                Some(by) => {
                    span.mark title={ "older than in " (after) ": " (by) (plural(by, " release", " releases")) } {
                        "-" (by) " behind"
                    }
                },
                None => { span.mark title={ "older than in " (after) } { "↓ behind" } },
            }
        }
    }
}

/// The most urgent things to say: a freeze, a break-glass, drift and what is open; where there is none of them, that it
/// runs.
fn standing(cell: &MatrixCell, service: &str, column: &MatrixColumn, now: UnixMillis) -> Markup {
    let is_marked = cell.frozen || cell.break_glass || cell.drift.is_some();
    html! {
        @if cell.frozen { span.state.bad { span.icon aria-hidden="true" { "❄" } " frozen" } " " }
        @if cell.break_glass { (let_past()) " " }
        @if let Some(drift) = &cell.drift { (differs(drift, service, column)) " " }
        @match &cell.open {
            Some(one) => { (open(one, now)) },
            // Its icon is drawn by the style sheet: nearly every cell has one.
            None if cell.running.is_some() && !is_marked => { span.state.good.runs { "runs" } },
            None => {},
        }
    }
}

/// That a break-glass is in use.
fn let_past() -> Markup {
    html! {
        a.state.bad href="/freeze" title="let past the gates by break-glass, and nobody has reviewed it" {
            span.icon aria-hidden="true" { "!" } " break-glass"
        }
    }
}

/// That something else was reported to run than what is granted.
fn differs(drift: &str, service: &str, column: &MatrixColumn) -> Markup {
    let environment = column.environment.as_str();
    let title = match drift {
        "other-release" => "another release was reported, which was granted before",
        "not-running" => "it was reported not to run",
        _ => "a release was reported that was never granted here",
    };
    let address = format!("/drift?q={}&environment={}", query_value(service), query_value(environment));
    html! {
        a.state.bad href=(address) title=(title) { span.icon aria-hidden="true" { "≠" } " drift" }
    }
}

fn open(open: &MatrixOpen, now: UnixMillis) -> Markup {
    let (icon, class, words) = match (open.outcome.as_deref(), open.needed) {
        (Some("deny"), _) => ("✗", "bad", "denied".to_owned()),
        (_, Some(needed)) => ("…", "wait", format!("waits {} of {needed}", open.approvals)),
        _ => ("…", "wait", "waits".to_owned()),
    };
    let gates = open.gates.join(", ");
    let ends = open.expires_at.map(|ends| format!(", ends {}", ends.rfc3339_secs())).unwrap_or_default();
    html! {
        a class={ "state " (class) } href={ "/promotions/" (open.promotion) } title={ (open.promotion) ": " (visible(&gates)) (ends) } {
            span.icon aria-hidden="true" { (icon) } " " (open.release.version.to_string()) " " (words)
            @if open.mine { " for you" }
            @if let Some(ends) = open.expires_at { ", " (left(ends, now)) }
        }
    }
}

/// How long something still stays open.
fn left(ends: UnixMillis, now: UnixMillis) -> String {
    match ends.0.checked_sub(now.0) {
        Some(left) if left > 0 => format!("{} left", span(left.max(LEFT_LEAST))),
        _ => "time is up".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(count: u64, now: u64) -> Moment {
        Moment {
            waiting: Waiting { count, more: false },
            signed: UnixMillis(now.saturating_sub(180_000)),
            now: UnixMillis(now),
        }
    }

    fn matrix() -> MatrixReply {
        let running = |version: &str| RunningCell {
            release: format!("shop/web@{version}").parse().unwrap(),
            since: UnixMillis(0),
            promotion: "P-2".parse().unwrap(),
        };
        let open = MatrixOpen {
            promotion: "P-3".parse().unwrap(),
            release: "shop/web@1.5.0".parse().unwrap(),
            mine: false,
            expires_at: Some(UnixMillis(3 * 86_400_000)),
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
        let text = content(&matrix(), &Filter::default(), moment(2, 172_800_000)).into_string();
        for wanted in [
            "1.4.2</a>",
            ">2 d<",
            "↓ behind",
            "older than in staging",
            "1.5.0 waits 1 of 2, 1 d left",
            ", ends 1970-01-04T00:00:00Z\"",
            ">runs<",
            " frozen",
            "<strong>2</strong> wait for you",
            "<strong>1</strong> open promotion<",
            "<strong>1</strong> freeze in force",
            "<strong>0</strong> break-glass reviews due",
            "<strong>40</strong> log entries</a>, signed <time",
            ">3 min ago</time>",
            "href=\"/?view=graph\"",
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

    /// One cell as markup.
    fn drawn(one: &MatrixCell, now: u64) -> String {
        let column =
            MatrixColumn { environment: "production".parse().unwrap(), after: Some("staging".parse().unwrap()) };
        cell(one, "shop/web", &column, UnixMillis(now)).into_string()
    }

    #[test]
    fn an_empty_cell_says_so_once_and_in_few_parts() {
        let count = |cell: &MatrixCell, word: &str| drawn(cell, 0).matches(word).count();
        assert_eq!(drawn(&MatrixCell::default(), 0), "<td class=\"quiet\">nothing</td>");
        let frozen = MatrixCell { frozen: true, ..MatrixCell::default() };
        assert_eq!((count(&frozen, "nothing"), count(&frozen, "frozen")), (1, 1));
        let mut cells = matrix().services.pop().unwrap().cells;
        // What runs and nothing else: the cell, the version, its age, the break and the word.
        assert_eq!((count(&cells[0], "<"), count(&cells[0], ">runs<")), (9, 1), "{}", drawn(&cells[0], 0));
        cells[1].running = None;
        assert_eq!(count(&cells[1], "nothing"), 1);
    }

    #[test]
    fn a_cell_tells_of_drift_of_how_far_it_is_behind_and_of_who_has_to_act() {
        let cells = matrix().services.pop().unwrap().cells;
        let check = |one: &MatrixCell, now: u64, wanted: &[&str], unwanted: &[&str]| {
            let text = drawn(one, now);
            wanted.iter().for_each(|word| assert!(text.contains(word), "{word}: {text}"));
            unwanted.iter().for_each(|word| assert!(!text.contains(word), "{word}: {text}"));
        };
        let drift = |word: &str| MatrixCell { drift: Some(word.to_owned()), ..cells[0].clone() };
        let link = "href=\"/drift?q=shop%2Fweb&amp;environment=production\"";
        check(&drift("not-running"), 0, &["≠", " drift<", link, "reported not to run", "1.5.0</a>"], &["runs<"]);
        check(&drift("other-release"), 0, &["granted before"], &[]);
        check(&MatrixCell { drift: Some("no-grant".to_owned()), ..MatrixCell::default() }, 0, &["never granted"], &[]);
        let behind = |by: u64| MatrixCell { behind_by: Some(by), ..cells[1].clone() };
        check(&behind(4), 0, &["-4 behind", "older than in staging: 4 releases"], &["↓"]);
        check(&behind(1), 0, &["-1 behind", ": 1 release\""], &[]);
        let mut mine = cells[1].clone();
        if let Some(open) = &mut mine.open {
            open.mine = true;
        }
        check(&mine, 3 * 86_400_000 - 1, &["waits 1 of 2 for you, 1 min left"], &[]);
        check(&mine, 3 * 86_400_000, &["for you, time is up"], &[" left"]);
    }

    #[test]
    fn what_came_back_and_what_was_let_past_is_marked_in_words() {
        let cells = matrix().services.pop().unwrap().cells;
        let back = drawn(&MatrixCell { rollback: true, ..cells[0].clone() }, 0);
        assert!(back.contains("</span> rollback</span>") && back.contains(">runs<"), "{back}");
        let past = drawn(&MatrixCell { break_glass: true, ..cells[0].clone() }, 0);
        assert!(past.contains("href=\"/freeze\"") && past.contains("</span> break-glass</a>"), "{past}");
        assert!(!past.contains(">runs<") && !past.contains("rollback"), "{past}");
        // Also where nothing runs yet.
        let alone = drawn(&MatrixCell { break_glass: true, ..MatrixCell::default() }, 0);
        assert!(alone.contains("nothing") && alone.contains(" break-glass</a>"), "{alone}");
        for plain in &cells {
            let text = drawn(plain, 0);
            assert!(!text.contains("rollback") && !text.contains("break-glass"), "{text}");
        }
    }

    #[test]
    fn what_is_pinned_stands_by_itself_and_can_be_let_go() {
        let mut reply = matrix();
        reply.services.rotate_right(1);
        let filter = Filter { pinned: BTreeSet::from(["shop/web".parse().unwrap()]), ..Filter::default() };
        let text = content(&reply, &filter, moment(0, 0)).into_string();
        assert_eq!(text.matches("class=\"team\"").count(), 3, "{text}");
        let (pinned, rest) = text.split_once("id=\"row-alone\"").unwrap();
        for wanted in [">Pinned <", "id=\"pins\"", "name=\"unpin\" value=\"shop/web\" aria-label=\"Unpin shop/web\""] {
            assert!(pinned.contains(wanted), "{wanted}: {text}");
        }
        assert!(rest.contains("name=\"pin\" value=\"shop/api\" aria-label=\"Pin shop/api\""), "{text}");
        assert!(!rest.contains("unpin"), "{text}");
    }

    #[test]
    fn how_far_behind_stays_in_the_address() {
        let filter = Filter { state: "behind".to_owned(), releases: 3, ..Filter::default() };
        let text = content(&matrix(), &filter, moment(0, 0)).into_string();
        assert!(text.contains("href=\"/?state=behind&amp;releases=3&amp;after=shop%2Fweb\""), "{text}");
        let mine = Filter { state: "mine".to_owned(), releases: 3, ..Filter::default() };
        let text = content(&matrix(), &mine, moment(0, 0)).into_string();
        assert!(text.contains("href=\"/?state=mine&amp;after=shop%2Fweb\""), "{text}");
        assert!(text.contains("<option value=\"mine\" selected>waits for me</option>"), "{text}");
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
            ..Filter::default()
        };
        let text = content(&matrix(), &filter, moment(0, 0)).into_string();
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
            let text = content(&empty, filter, moment(0, 0)).into_string();
            assert!(text.contains(wanted), "{wanted}: {text}");
        };
        let behind = Filter { state: "behind".to_owned(), ..Filter::default() };
        check(&Filter::default(), false, "lockgate push app.tar.gz");
        check(&behind, false, "No service fits");
        check(&behind, true, "Look on after shop/web");
    }
}
