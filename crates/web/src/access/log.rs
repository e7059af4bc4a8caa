//! The access log: who asked for what, and what came of it, newest first, for auditors.

use lockgate_api::client::query_value;
use lockgate_api::wire::{AccessItem, AccessLogReply};
use lockgate_model::UnixMillis;
use lockgate_model::text::argument;
use maud::{Markup, html};

use super::{Tab, person_link, tabs};
use crate::Rights;
use crate::filter::field;
use crate::wording::{ago, command, visible};

/// How a request can end: the word in the log, its icon, and the class that repeats it as a colour.
const OUTCOMES: [(&str, &str, &str); 3] = [("allowed", "✓", "good"), ("refused", "✗", "bad"), ("failed", "!", "warn")];

/// What is filtered by, as the address has it; what is empty filters nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// A person or machine; `-` for requests without a session.
    pub person: String,
    /// One action, such as `promotions.approve`; one that ends with `.` stands for all that begin with it.
    pub action: String,
    /// `allowed`, `refused` or `failed`.
    pub outcome: String,
    /// From which day on, or not before which moment.
    pub since: String,
    /// Until which day, or not after which moment.
    pub until: String,
    /// Before which entry.
    pub before: Option<u64>,
}

impl Filter {
    fn fields(&self) -> [(&'static str, &str); 5] {
        [
            ("person", self.person.as_str()),
            ("action", self.action.as_str()),
            ("outcome", self.outcome.as_str()),
            ("since", self.since.as_str()),
            ("until", self.until.as_str()),
        ]
    }

    /// The first moment that fits, in RFC 3339; empty where none is asked for. A day begins at midnight, UTC.
    pub fn first_moment(&self) -> String {
        moment(&self.since, "T00:00:00Z")
    }

    /// The last moment that fits, likewise.
    pub fn last_moment(&self) -> String {
        moment(&self.until, "T23:59:59.999Z")
    }

    fn address(&self, before: Option<u64>) -> String {
        let filled = self.fields().into_iter().filter(|(_, value)| !value.is_empty());
        let mut pairs: Vec<String> = filled.map(|(name, value)| format!("{name}={}", query_value(value))).collect();
        pairs.extend(before.map(|before| format!("before={before}")));
        format!("/access/log?{}", pairs.join("&"))
    }

    fn is_empty(&self) -> bool {
        self.fields().iter().all(|(_, value)| value.is_empty())
    }

    /// The same question on the command line.
    fn command(&self) -> String {
        let (since, until) = (self.first_moment(), self.last_moment());
        let flags = [
            ("--person", self.person.as_str()),
            ("--action", self.action.as_str()),
            ("--outcome", self.outcome.as_str()),
            ("--since", since.as_str()),
            ("--until", until.as_str()),
        ];
        let filled = flags.iter().filter(|(_, value)| !value.is_empty());
        // With `=`, what begins with a hyphen is no flag.
        let flags: String = filled.map(|(flag, value)| format!(" {flag}={}", argument(value))).collect();
        let before = self.before.map(|before| format!(" --before {before}")).unwrap_or_default();
        format!("lockgate access log{flags}{before}")
    }
}

/// A day as the moment with this time, and a moment as it is.
fn moment(text: &str, time: &str) -> String {
    let is_day = text.len() == "2026-11-21".len();
    if is_day { format!("{text}{time}") } else { text.to_owned() }
}

/// The page's content.
pub fn content(reply: &AccessLogReply, filter: &Filter, rights: &Rights, now: UnixMillis) -> Markup {
    html! {
        (tabs(Tab::Log, rights))
        h1 { "Access log" }
        p.quiet {
            "Every request that was answered, refused ones too, in a log of its own with " (reply.entries) " entries and a "
            a href="/v1/access/checkpoint" download="access.checkpoint" { "signed checkpoint" } "."
        }
        (form(filter))
        @if reply.items.is_empty() {
            div.empty {
                p { "Nothing that was looked at fits. " @if !filter.is_empty() { a href="/access/log" { "Show all" } } }
            }
        } @else {
            div.scroll { table.timeline {
                caption.quiet { "Newest first" }
                thead { tr {
                    th.number scope="col" { "Entry" } th scope="col" { "When" } th scope="col" { "Who" }
                    th scope="col" { "Asked for" } th scope="col" { "About" } th scope="col" { "Outcome" } th scope="col" { "From" }
                } }
                tbody { @for item in &reply.items { (row(item, now)) } }
            } }
        }
        @if let Some(next) = reply.next { p { a.more rel="next" href=(filter.address(Some(next))) { "Older ones" } } }
        @if filter.before.is_some() { p { a href=(filter.address(None)) { "Back to the newest" } } }
        (command("cli-access-log", &filter.command()))
        h2 { "Take it along" }
        p { "An export holds every entry, with the checkpoint beside it; it is verified without the server." }
        (command("cli-access-export", "lockgate access export access.jsonl"))
        (command("cli-access-verify", "lockgate access verify access.jsonl"))
    }
}

fn form(filter: &Filter) -> Markup {
    html! {
        form.filters method="get" action="/access/log" role="search" {
            (field("person", "Person or machine; - for nobody", "search", &filter.person))
            (field("action", "Action, or its beginning with a dot", "search", &filter.action))
            div {
                label for="filter-outcome" { "Outcome" }
                select id="filter-outcome" name="outcome" {
                    option value="" { "any" }
                    @for (word, ..) in OUTCOMES { option value=(word) selected[filter.outcome == word] { (word) } }
                }
            }
            (field("since", "From", "date", &filter.since))
            (field("until", "To", "date", &filter.until))
            button type="submit" { "Filter" }
            @if !filter.is_empty() { a href="/access/log" { "Clear" } }
        }
    }
}

fn row(item: &AccessItem, now: UnixMillis) -> Markup {
    html! {
        tr id={ "access-" (item.index) } data-row {
            th.number scope="row" { (item.index) }
            td { (ago(item.time, now)) }
            td {
                @if item.principal == "-" {
                    span.quiet { "nobody signed in" }
                } @else {
                    a href=(person_link(&item.principal)) { (visible(&item.principal)) }
                    @if let Some(session) = &item.session { " " span.quiet { "session " code { (visible(session)) } } }
                }
            }
            td { code { (visible(&item.action)) } }
            td { (visible(&item.object)) }
            td { (outcome(item)) }
            td { (visible(&item.address)) }
        }
    }
}

fn outcome(item: &AccessItem) -> Markup {
    let known = OUTCOMES.into_iter().find(|(word, ..)| *word == item.outcome);
    let (_, icon, class) = known.unwrap_or(("", "·", "plain"));
    html! {
        span class={ "state " (class) } { span.icon aria-hidden="true" { (icon) } " " (visible(&item.outcome)) }
        " " span.quiet { (item.status) }
        @if let Some(code) = &item.code { " " code { (visible(code)) } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "\"><script>alert(1)</script>\u{202e}\u{1b}[2J";
    const NOW: UnixMillis = UnixMillis(3_600_000);

    fn item(index: u64, principal: &str, outcome: &str) -> AccessItem {
        AccessItem {
            index,
            time: UnixMillis(0),
            principal: principal.to_owned(),
            address: "127.0.0.1".to_owned(),
            action: "promotions.approve".to_owned(),
            object: HOSTILE.to_owned(),
            outcome: outcome.to_owned(),
            status: 403,
            code: Some("NOT_PERMITTED".to_owned()),
            session: Some("0123abcd".to_owned()),
        }
    }

    fn auditor() -> Rights {
        Rights { may: vec!["audit".to_owned()], ..Rights::default() }
    }

    #[test]
    fn lines_say_who_asked_for_what_and_stay_text() {
        let items = vec![item(9, "dana", "refused"), item(8, "-", "failed"), item(7, HOSTILE, HOSTILE)];
        let reply = AccessLogReply { items, next: Some(7), entries: 10 };
        let filter = Filter { person: HOSTILE.to_owned(), before: Some(10), ..Filter::default() };
        let text = content(&reply, &filter, &auditor(), NOW).into_string();
        for wanted in [
            "id=\"access-9\"",
            "href=\"/access?person=dana\"",
            "nobody signed in",
            "✗</span> refused",
            "!</span> failed",
            "NOT_PERMITTED",
            "0123abcd",
            "1 h ago",
            "10 entries",
            "before=7\"",
            "Back to the newest",
            "--before 10",
        ] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
        for bad in ["<script", "\u{202e}", "\u{1b}"] {
            assert!(!text.contains(bad), "{bad}: {text}");
        }
    }

    #[test]
    fn a_filter_is_an_address_and_a_command() {
        let check = |filter: Filter, address: &str, command: &str| {
            assert_eq!((filter.address(filter.before).as_str(), filter.command().as_str()), (address, command));
        };
        check(Filter::default(), "/access/log?", "lockgate access log");
        let filter = Filter {
            person: "-".to_owned(),
            action: "promotions.".to_owned(),
            outcome: "refused".to_owned(),
            since: "2026-11-21".to_owned(),
            until: "2026-11-21".to_owned(),
            before: Some(40),
        };
        check(
            filter,
            "/access/log?person=-&action=promotions.&outcome=refused&since=2026-11-21&until=2026-11-21&before=40",
            "lockgate access log --person=- --action=promotions. --outcome=refused --since=2026-11-21T00:00:00Z \
             --until=2026-11-21T23:59:59.999Z --before 40",
        );
        let exact = Filter { since: "2026-11-21T09:00:00Z".to_owned(), ..Filter::default() };
        check(exact, "/access/log?since=2026-11-21T09%3A00%3A00Z", "lockgate access log --since=2026-11-21T09:00:00Z");
    }

    #[test]
    fn nothing_that_fits_leads_back() {
        let reply = AccessLogReply { items: Vec::new(), next: None, entries: 10 };
        let filter = Filter { outcome: "failed".to_owned(), ..Filter::default() };
        let text = content(&reply, &filter, &auditor(), NOW).into_string();
        for wanted in ["Nothing that was looked at fits", "href=\"/access/log\"", "<option value=\"failed\" selected>"]
        {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
        assert!(!text.contains("rel=\"next\""), "{text}");
    }
}
