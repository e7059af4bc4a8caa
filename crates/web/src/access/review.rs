//! The access review: who may do what, what lay idle, who looked at it last, and the form that signs a look at it.

use lockgate_api::Problem;
use lockgate_api::client::query_value;
use lockgate_api::wire::ReviewMade;
use lockgate_model::{Digest, UnixMillis};
use maud::{Markup, html};

use super::{Tab, person_link, refusal, scope, tabs, used};
use crate::Rights;
use crate::action::refused;
use crate::origin::entry;
use crate::policy::source::place;
use crate::signing::{self, hidden};
use crate::wording::{ago, command, digest, plural, visible};

/// How many days an access review is good for, and after how many a permission that nobody uses is marked.
pub const REVIEW_DAYS: u64 = 90;
const DAY_MILLIS: u64 = 86_400_000;

/// What is filtered by, as the address has it; what is empty filters nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// What a person, a permission or a role contains.
    pub text: String,
    /// Whether only what lies idle is shown.
    pub idle: bool,
    /// How many are passed over.
    pub from: usize,
}

impl Filter {
    /// Whether a line is what was asked for.
    pub fn keeps(&self, line: &ReviewLine) -> bool {
        let text = self.text.trim().to_lowercase();
        let says = |part: &String| part.to_lowercase().contains(&text);
        (!self.idle || line.idle) && [&line.person, &line.permission, &line.role].into_iter().any(says)
    }

    fn address(&self, from: usize) -> String {
        let mut pairs = Vec::new();
        if !self.text.is_empty() {
            pairs.push(format!("q={}", query_value(&self.text)));
        }
        if self.idle {
            pairs.push("idle=1".to_owned());
        }
        if from > 0 {
            pairs.push(format!("from={from}"));
        }
        format!("/access/review?{}", pairs.join("&"))
    }

    fn is_empty(&self) -> bool {
        self.text.trim().is_empty() && !self.idle
    }
}

/// One permission of one person, by one line of the policy set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReviewLine {
    /// Who.
    pub person: String,
    /// What.
    pub permission: String,
    /// For which services, as patterns; absent stands for all.
    pub services: Option<Vec<String>>,
    /// In which environments, as patterns; absent stands for all.
    pub environments: Option<Vec<String>>,
    /// Through which role.
    pub role: String,
    /// The file of the policy set that says so.
    pub file: String,
    /// Its line, from 1.
    pub line: u64,
    /// When it was last used; absent means never, or that using it leaves no trace.
    pub last_used: Option<UnixMillis>,
    /// Whether it has lain idle for [`REVIEW_DAYS`].
    pub idle: bool,
}

/// What a reviewer looks at.
#[derive(Debug, Clone)]
pub struct ReviewView {
    /// One page of the lines that fit.
    pub lines: Vec<ReviewLine>,
    /// How many fit.
    pub fitting: usize,
    /// How many the next page passes over, if there is one.
    pub next: Option<usize>,
    /// How many people and machines there are.
    pub people: usize,
    /// How many permissions of how many people lie idle.
    pub idle: usize,
    /// Who is enrolled and may do nothing, and whether that is because they are suspended.
    pub powerless: Vec<(String, bool)>,
    /// Permissions whose use writes nothing into the ledger.
    pub untraced: Vec<String>,
    /// The active policy set.
    pub policy: Digest,
    /// How many entries the ledger has.
    pub entries: u64,
    /// The digest of the people, bindings and policy set that are shown: the script signs no document about others.
    pub shown: Digest,
}

/// The page's content; `found` is a problem for whoever may not look at a review.
pub fn content(
    found: &Result<ReviewView, Problem>,
    last: Option<&ReviewMade>,
    filter: &Filter,
    rights: &Rights,
    now: UnixMillis,
) -> Markup {
    html! {
        (tabs(Tab::Review, rights))
        h1 { "Access review" }
        (last_review(last, now))
        @match found {
            Err(problem) => { (refusal(problem)) (command("cli-review", "lockgate access review")) },
            Ok(view) => {
                (summary(view))
                (form(filter))
                (table(view, filter, now))
                (powerless(view))
                (sign(view, rights))
            },
        }
    }
}

/// How the newest review stands: who looked, when, and whether that is too long ago.
pub fn last_review(last: Option<&ReviewMade>, now: UnixMillis) -> Markup {
    let late = |made: &ReviewMade| now.0.saturating_sub(made.time.0) > REVIEW_DAYS.saturating_mul(DAY_MILLIS);
    html! {
        @match last {
            Some(made) => {
                p {
                    @if late(made) {
                        span.state.warn { span.icon aria-hidden="true" { "!" } " older than " (REVIEW_DAYS) " days" }
                    } @else {
                        span.state.good { span.icon aria-hidden="true" { "✓" } " reviewed" }
                    }
                    " by " strong { (made.by.as_str()) } " " (ago(made.time, now)) ", " (entry(made.index))
                }
            },
            None => { p { span.state.warn { span.icon aria-hidden="true" { "!" } " nobody has reviewed who may do what" } } },
        }
    }
}

fn summary(view: &ReviewView) -> Markup {
    html! {
        p {
            (view.people) " " (plural(view.people as u64, "person or machine is", "people and machines are"))
            " enrolled, under the " a href="/policy" { "policy set" } " " (digest(&view.policy)) ". "
            @if view.idle == 0 {
                "Nothing has lain idle for " (REVIEW_DAYS) " days."
            } @else {
                a href="/access/review?idle=1" {
                    (view.idle) " " (plural(view.idle as u64, "permission has", "permissions have")) " lain idle"
                }
                " for " (REVIEW_DAYS) " days or longer."
            }
        }
    }
}

fn form(filter: &Filter) -> Markup {
    html! {
        form.filters method="get" action="/access/review" role="search" {
            div {
                label for="filter-q" { "Person, permission or role" }
                input id="filter-q" name="q" type="search" value=(visible(&filter.text)) maxlength="128" autocomplete="off";
            }
            div {
                label for="filter-idle" { "Used" }
                select id="filter-idle" name="idle" {
                    option value="" { "any" }
                    option value="1" selected[filter.idle] { "idle for " (REVIEW_DAYS) " days" }
                }
            }
            button type="submit" { "Filter" }
            @if !filter.is_empty() { a href="/access/review" { "Clear" } }
        }
    }
}

fn table(view: &ReviewView, filter: &Filter, now: UnixMillis) -> Markup {
    html! {
        @if view.lines.is_empty() {
            div.empty {
                p { "No permission fits. " @if !filter.is_empty() { a href="/access/review" { "Show all" } } }
            }
        } @else {
            div.scroll { table {
                caption.quiet { (view.fitting) " " (plural(view.fitting as u64, "line", "lines")) }
                thead { tr {
                    th scope="col" { "Who" } th scope="col" { "May" } th scope="col" { "Services" }
                    th scope="col" { "Environments" } th scope="col" { "Because" } th scope="col" { "Last used" }
                } }
                tbody {
                    @for (at, line) in view.lines.iter().enumerate() {
                        (row(filter.from.saturating_add(at), line, &view.untraced, now))
                    }
                }
            } }
        }
        @if let Some(next) = view.next { p { a.more rel="next" href=(filter.address(next)) { "More lines" } } }
        @if filter.from > 0 { p { a href=(filter.address(0)) { "Back to the first" } } }
    }
}

fn row(at: usize, line: &ReviewLine, untraced: &[String], now: UnixMillis) -> Markup {
    html! {
        tr id={ "line-" (at) } data-row {
            th scope="row" { a href=(person_link(&line.person)) { (visible(&line.person)) } }
            td { (visible(&line.permission)) }
            td { (scope(line.services.as_deref())) }
            td { (scope(line.environments.as_deref())) }
            td { "role " strong { (visible(&line.role)) } ", " (place(&line.file, line.line)) }
            td {
                (used(&line.permission, line.last_used, untraced, now))
                @if line.idle { " " span.state.warn { span.icon aria-hidden="true" { "!" } " idle" } }
            }
        }
    }
}

fn powerless(view: &ReviewView) -> Markup {
    html! {
        @if !view.powerless.is_empty() {
            details {
                summary { (view.powerless.len()) " may do nothing" }
                ul {
                    @for (person, suspended) in &view.powerless {
                        li { (visible(person)) @if *suspended { " " span.quiet { "suspended" } } }
                    }
                }
            }
        }
    }
}

/// Whoever may audit or manage keys signs what all pages of the review show together.
fn sign(view: &ReviewView, rights: &Rights) -> Markup {
    let fields = hidden("shown", &view.shown.to_string());
    html! {
        section aria-labelledby="sign-title" {
            h2 id="sign-title" { "Sign it" }
            p {
                "Who signs says to have looked at all of it, whatever is filtered: everyone who is enrolled, every line that \
                 gives a role, and what lay idle. It is logged, and good for " (REVIEW_DAYS) " days."
            }
            @if rights.may("audit") || rights.may("keys") {
                (signing::form("access-review", "review-sign", "Sign the review", &fields))
                (command("cli-review", "lockgate access review --sign"))
            } @else {
                (refused("Sign the review", rights, "audit"))
                (command("cli-review", "lockgate access review"))
            }
            p.quiet { "As the ledger stands at " (view.entries) " entries." }
        }
    }
}

#[cfg(test)]
#[path = "review_tests.rs"]
mod tests;
