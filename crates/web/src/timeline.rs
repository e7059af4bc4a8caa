//! The timeline: what happened, filtered by the server, a page at a time, by day, or as a sample.

mod views;

use lockgate_api::client::query_value;
use lockgate_api::wire::{HistoryItem, HistoryReply};
use lockgate_model::UnixMillis;
use lockgate_model::text::argument;
use maud::{Markup, html};

pub use self::views::{SAMPLE, View};
use crate::filter::field;
use crate::wording::{ago, command, visible};

/// The sorts of events that can be chosen: the first part of their names.
const EVENTS: [&str; 19] = [
    "release",
    "evidence",
    "promotion",
    "approval",
    "decision",
    "grant",
    "attestations",
    "waiver",
    "freeze",
    "break-glass",
    "delegation",
    "key",
    "person",
    "identity",
    "change",
    "policy",
    "access",
    "ci",
    "drill",
];

/// What can be chosen of how a decision or an approval came out.
const OUTCOMES: [&str; 5] = ["allow", "deny", "pending", "approve", "reject"];

/// What is filtered by, as the address has it; what is empty filters nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// One stream of the ledger.
    pub stream: String,
    /// A service.
    pub service: String,
    /// An artifact's digest.
    pub artifact: String,
    /// A person or machine.
    pub person: String,
    /// An environment.
    pub environment: String,
    /// An event, or the first part of its name.
    pub event: String,
    /// Words.
    pub text: String,
    /// From which day on.
    pub since: String,
    /// Until which day.
    pub until: String,
    /// How a decision or an approval came out.
    pub outcome: String,
    /// What the digest of the policy set begins with that decided or became active.
    pub policy: String,
    /// What the release's build is known by begins with: a commit, a run, or a builder.
    pub build: String,
    /// Before which number.
    pub before: Option<u64>,
    /// As what it is shown.
    pub view: View,
}

impl Filter {
    fn fields(&self) -> [(&'static str, &str); 12] {
        [
            ("stream", self.stream.as_str()),
            ("service", self.service.as_str()),
            ("artifact", self.artifact.as_str()),
            ("person", self.person.as_str()),
            ("environment", self.environment.as_str()),
            ("event", self.event.as_str()),
            ("text", self.text.as_str()),
            ("since", self.since.as_str()),
            ("until", self.until.as_str()),
            ("outcome", self.outcome.as_str()),
            ("policy", self.policy.as_str()),
            ("build", self.build.as_str()),
        ]
    }

    /// The filter as the query of an address, before another number.
    fn query(&self, before: Option<u64>) -> String {
        let filled = self.fields().into_iter().filter(|(_, value)| !value.is_empty());
        let mut pairs: Vec<String> = filled.map(|(name, value)| format!("{name}={}", query_value(value))).collect();
        pairs.extend(before.map(|before| format!("before={before}")));
        pairs.join("&")
    }

    /// The address of the page, before another number.
    fn address(&self, before: Option<u64>) -> String {
        let pairs: Vec<String> =
            self.view.query().into_iter().chain([self.query(before)]).filter(|part| !part.is_empty()).collect();
        format!("/timeline?{}", pairs.join("&"))
    }

    fn is_empty(&self) -> bool {
        self.fields().iter().all(|(_, value)| value.is_empty())
    }

    /// The same question on the command line, which follows one stream and then picks among its entries.
    fn command(&self) -> String {
        let streams = [
            ("--service", &self.service),
            ("--artifact", &self.artifact),
            ("--person", &self.person),
            ("--env", &self.environment),
        ];
        let one = streams.iter().find(|(_, value)| !value.is_empty());
        let stream =
            stream_flag(&self.stream).or_else(|| one.map(|(name, value)| format!("{name} {}", argument(value))));
        let picked = [
            ("--event", &self.event),
            ("--outcome", &self.outcome),
            ("--policy", &self.policy),
            ("--build", &self.build),
            ("--text", &self.text),
            ("--since", &self.since),
            ("--until", &self.until),
        ];
        let mut words = vec!["lockgate history".to_owned()];
        words.extend(stream);
        let filled = picked.iter().filter(|(_, value)| !value.is_empty());
        words.extend(filled.map(|(name, value)| format!("{name} {}", argument(value))));
        words.extend(self.before.map(|before| format!("--before {before}")));
        words.join(" ")
    }
}

/// The option of the command line that asks for a stream, where there is one.
fn stream_flag(stream: &str) -> Option<String> {
    let (kind, name) = stream.split_once(':').unwrap_or((stream, ""));
    let flag = match kind {
        "governance" => return Some("--governance".to_owned()),
        "release" => "--release",
        "promotion" => "--promotion",
        "service" => "--service",
        "environment" => "--env",
        "person" => "--person",
        "artifact" => "--artifact",
        _ => return None,
    };
    Some(format!("{flag} {}", argument(name)))
}

/// The page's content; `of` is how many entries a sample was drawn from.
pub fn content(history: &HistoryReply, of: usize, filter: &Filter, now: UnixMillis) -> Markup {
    html! {
        h1 { "Timeline" }
        (form(filter))
        (views::choice(filter, now))
        (views::sampled(history, of, filter))
        @if filter.view == View::Days && !history.items.is_empty() {
            (views::days(history, filter))
        } @else if history.items.is_empty() {
            (empty(filter))
        } @else {
            div.scroll { table.timeline id="timeline" {
                caption.quiet { "Newest first; ✓ is covered by the " a href="/log" { "newest signed checkpoint" } }
                thead { tr {
                    th.number scope="col" { "Entry" } th scope="col" { "When" } th scope="col" { "Who" }
                    th scope="col" { "What" } th scope="col" { "Event" }
                } }
                tbody { @for item in &history.items { (row(item, history.checkpoint_size, now)) } }
            } }
        }
        (further(history, filter))
        p {
            a href={ "/v1/history?" (filter.query(filter.before)) "&limit=200" } download="timeline.json" { "Export as JSON" } " "
            a id="export-csv" href={ "/timeline.csv?" (filter.query(filter.before)) } download="timeline.csv" { "Export as CSV" }
        }
        (command("cli-history", &filter.command()))
        (command("cli-history-csv", &format!("{} --limit 200 --csv", filter.command())))
    }
}

fn further(history: &HistoryReply, filter: &Filter) -> Markup {
    html! {
        @if let Some(next) = history.next.filter(|_| filter.view.goes_on()) {
            p {
                @if let Some(scanned) = history.scanned_to { span.quiet { "Looked through to entry " (scanned) ". " } }
                a.more rel="next" href=(filter.address(Some(next))) { "Go on" }
            }
        }
        @if filter.before.is_some() { p { a href=(filter.address(None)) { "Back to the newest" } } }
    }
}

fn form(filter: &Filter) -> Markup {
    html! {
        form.filters method="get" action="/timeline" role="search" {
            @if filter.view == View::Days { input type="hidden" name="view" value="days"; }
            (field("text", "Words", "search", &filter.text))
            (stream_field(&filter.stream))
            (field("service", "Service", "search", &filter.service))
            (field("environment", "Environment", "search", &filter.environment))
            (field("person", "Person", "search", &filter.person))
            (field("artifact", "Artifact", "search", &filter.artifact))
            (field("build", "Build: commit, run or builder", "search", &filter.build))
            (field("policy", "Policy set", "search", &filter.policy))
            (choice("event", "Event", &EVENTS, &filter.event))
            (choice("outcome", "Outcome", &OUTCOMES, &filter.outcome))
            (field("since", "From", "date", &filter.since))
            (field("until", "To", "date", &filter.until))
            button type="submit" { "Filter" }
            @if !filter.is_empty() { a href="/timeline" { "Clear" } }
        }
    }
}

/// A field that offers words; what the address has besides them is offered too.
fn choice(name: &str, label: &str, words: &[&str], chosen: &str) -> Markup {
    html! {
        div {
            label for={ "filter-" (name) } { (label) }
            select id={ "filter-" (name) } name=(name) {
                option value="" { "any" }
                @for word in words { option value=(word) selected[chosen == *word] { (word) } }
                @if !chosen.is_empty() && !words.contains(&chosen) {
                    option value=(visible(chosen)) selected { (visible(chosen)) }
                }
            }
        }
    }
}

/// A stream has a sort and mostly a name: what there is, is offered while one writes.
fn stream_field(stream: &str) -> Markup {
    html! {
        div {
            label for="filter-stream" { "Stream" }
            input id="filter-stream" name="stream" type="search" value=(visible(stream)) maxlength="256"
                autocomplete="off" list="streams" placeholder="all";
            datalist id="streams" {
                option value="governance" {}
                option value="promotions" {}
                @for sort in ["service:", "release:", "promotion:", "environment:", "person:", "artifact:"] {
                    option value=(sort) {}
                }
            }
        }
    }
}

fn empty(filter: &Filter) -> Markup {
    html! {
        div.empty {
            @if filter.is_empty() {
                p { "There is nothing before that." }
            } @else {
                p { "Nothing that was looked at fits. " a href="/timeline" { "Show all" } }
            }
            pre { code { "lockgate history --limit 100" } }
        }
    }
}

/// An icon for what changes who may do what, what goes back, and what is refused.
fn icon(item: &HistoryItem) -> &'static str {
    let said = |name: &str| item.entry.pointer(&format!("/event/body/{name}")).and_then(|value| value.as_str());
    let kind = said("kind");
    match item.event.split('.').next().unwrap_or_default() {
        "promotion" if kind == Some("rollback") => "↶",
        "key" | "person" | "identity" | "ci" | "delegation" => "⚿",
        "policy" | "change" => "§",
        "waiver" | "freeze" | "break-glass" => "!",
        "grant" => "▶",
        "approval" if said("verdict") == Some("reject") => "✗",
        "approval" => "✓",
        "decision" if said("outcome") == Some("deny") => "✗",
        _ => "·",
    }
}

fn row(item: &HistoryItem, checkpoint_size: u64, now: UnixMillis) -> Markup {
    let raw = format!("/v1/history?before={}&limit=1", item.index.saturating_add(1));
    html! {
        tr id={ "entry-" (item.index) } data-row {
            td.number { a href=(raw) title="the entry as JSON" { (item.index) } }
            td { (ago(item.time, now)) }
            td { (visible(&item.actor)) }
            td {
                span.icon aria-hidden="true" { (icon(item)) } " " (visible(&item.summary))
                @if let Some(link) = link(item) { " " a href=(link) { "open" } }
                @if let Some(suspect) = &item.suspect {
                    div.suspect { span.state.bad { span.icon aria-hidden="true" { "!" } " suspect" } " " (visible(suspect)) }
                }
            }
            td {
                code { (visible(&item.event)) }
                // Not which one: what is on the screen stays as it is when the next one is signed.
                div.quiet { @if item.index < checkpoint_size { "✓ in a checkpoint" } @else { "… in no checkpoint yet" } }
            }
        }
    }
}

/// The page of what an entry is about: only names that parse become part of an address.
fn link(item: &HistoryItem) -> Option<String> {
    let field = |name: &str| item.entry.pointer(&format!("/event/body/{name}")).and_then(|value| value.as_str());
    if let Some(id) = field("promotion").and_then(|id| id.parse::<lockgate_model::PromotionId>().ok()) {
        return Some(format!("/promotions/{id}"));
    }
    let release = field("release").and_then(|name| name.parse::<lockgate_model::ReleaseName>().ok())?;
    Some(format!("/releases/{release}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(index: u64, entry: serde_json::Value, summary: &str) -> HistoryItem {
        HistoryItem {
            index,
            time: UnixMillis(0),
            actor: "dana".to_owned(),
            event: "promotion.requested".to_owned(),
            summary: summary.to_owned(),
            suspect: Some("since entry 9".to_owned()),
            entry,
        }
    }

    #[test]
    fn filters_stay_in_the_address_and_nothing_becomes_markup() {
        let hostile = "\"><script>alert(1)</script>&before=0\u{202e}";
        let filter =
            Filter { text: hostile.to_owned(), person: "dana".to_owned(), before: Some(50), ..Filter::default() };
        let entry =
            serde_json::json!({ "event": { "body": { "promotion": "javascript:alert(1)", "release": hostile } } });
        let history = HistoryReply {
            items: vec![item(41, entry, hostile)],
            next: Some(41),
            scanned_to: Some(41),
            checkpoint_size: 41,
        };
        let text = content(&history, 1, &filter, UnixMillis(60_000)).into_string();
        assert!(text.contains("person=dana&amp;text=%22%3E%3Cscript") && text.contains("&amp;before=41"), "{text}");
        assert!(text.contains("Looked through to entry 41") && text.contains("suspect"), "{text}");
        assert!(text.contains("href=\"/timeline.csv?person=dana&amp;text=%22%3E%3Cscript"), "{text}");
        // The checkpoint has the entries before 41; the next one has this one too.
        assert!(text.contains("in no checkpoint yet") && !text.contains("in a checkpoint"), "{text}");
        let later =
            content(&HistoryReply { checkpoint_size: 42, ..history }, 1, &filter, UnixMillis(60_000)).into_string();
        assert!(later.contains("in a checkpoint") && !later.contains("in no checkpoint"), "{later}");
        for bad in ["<script", "\u{202e}", "href=\"javascript:"] {
            assert!(!text.contains(bad), "{bad}: {text}");
        }
    }

    #[test]
    fn a_stream_stays_in_the_address_and_in_the_command() {
        let check = |stream: &str, wanted: &str| {
            let filter = Filter { stream: stream.to_owned(), before: Some(9), ..Filter::default() };
            assert_eq!(filter.command(), wanted);
        };
        check("governance", "lockgate history --governance --before 9");
        check("release:shop/web@1.4.2", "lockgate history --release shop/web@1.4.2 --before 9");
        check("promotions", "lockgate history --before 9");
        let picked = Filter {
            service: "shop/web".to_owned(),
            outcome: "deny".to_owned(),
            text: "it's weekly; rm -rf /".to_owned(),
            build: "0123abcd".to_owned(),
            ..Filter::default()
        };
        let wanted =
            r"lockgate history --service shop/web --outcome deny --build 0123abcd --text 'it'\''s weekly; rm -rf /'";
        assert_eq!(picked.command(), wanted);
        assert_eq!(
            picked.query(None),
            "service=shop%2Fweb&text=it%27s%20weekly%3B%20rm%20-rf%20%2F&outcome=deny&build=0123abcd"
        );
        let filter = Filter { stream: "person:dana".to_owned(), ..Filter::default() };
        assert_eq!(filter.query(Some(3)), "stream=person%3Adana&before=3");
    }

    #[test]
    fn an_entry_leads_to_its_page_and_an_empty_timeline_to_a_command() {
        let about = |body: serde_json::Value| link(&item(1, serde_json::json!({ "event": { "body": body } }), ""));
        assert_eq!(
            about(serde_json::json!({ "promotion": "P-3", "release": "a@1.0.0" })).as_deref(),
            Some("/promotions/P-3")
        );
        assert_eq!(
            about(serde_json::json!({ "release": "shop/web@1.0.0" })).as_deref(),
            Some("/releases/shop/web@1.0.0")
        );
        assert_eq!(about(serde_json::json!({})), None);
        let empty = HistoryReply { items: Vec::new(), next: None, scanned_to: None, checkpoint_size: 0 };
        let text = content(&empty, 0, &Filter::default(), UnixMillis(0)).into_string();
        assert!(text.contains("lockgate history --limit 100"), "{text}");
    }
}
