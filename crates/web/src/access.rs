//! Access: who may do what, where, and by which line of the policy set.

pub mod log;
pub mod review;

use lockgate_api::Problem;
use lockgate_api::client::query_value;
use lockgate_api::wire::{AccessReply, BecauseRow, HolderRow, HoldersReply, RightRow};
use lockgate_model::facts::SubjectKind;
use lockgate_model::text::argument;
use lockgate_model::{EnvName, UnixMillis};
use maud::{Markup, html};

use crate::Rights;
use crate::origin::entry;
use crate::policy::source::place;
use crate::wording::{ago, command, visible};

/// The pages about keys and access, which lead to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tab {
    /// Keys and signers.
    Keys,
    /// Who may do what.
    Access,
    /// The access review.
    Review,
    /// The access log.
    Log,
}

impl Tab {
    const ALL: [Self; 4] = [Self::Keys, Self::Access, Self::Review, Self::Log];

    fn link(self) -> (&'static str, &'static str) {
        match self {
            Self::Keys => ("Keys and signers", "/keys"),
            Self::Access => ("Who may do what", "/access"),
            Self::Review => ("Access review", "/access/review"),
            Self::Log => ("Access log", "/access/log"),
        }
    }
}

/// The links between these pages; whoever may not read the access log is told who may.
pub fn tabs(here: Tab, rights: &Rights) -> Markup {
    html! {
        nav.tabs aria-label="Keys and access" {
            ul {
                @for tab in Tab::ALL {
                    @let (name, address) = tab.link();
                    li {
                        @if tab == Tab::Log && !rights.may("audit") {
                            span.quiet { (name) ": not you: " (visible(&rights.who("audit"))) " (" code { "audit" } ")" }
                        } @else {
                            a href=(address) aria-current=[(tab == here).then_some("page")] { (name) }
                        }
                    }
                }
            }
        }
    }
}

/// What is asked, as the address has it; what is empty asks nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// Whose permissions are shown; without it, those of who looks at the page.
    pub person: String,
    /// Whose holders are shown.
    pub permission: String,
    /// For which service they hold it.
    pub service: String,
    /// In which environment they hold it.
    pub environment: String,
}

impl Asked {
    fn is_empty(&self) -> bool {
        [&self.person, &self.permission, &self.service, &self.environment].into_iter().all(String::is_empty)
    }

    /// What the permission is asked about, in words.
    fn place(&self) -> String {
        let mut words = String::new();
        for (before, value) in [(" for ", &self.service), (" in ", &self.environment)] {
            if !value.is_empty() {
                words.push_str(&format!("{before}{}", visible(value)));
            }
        }
        words
    }

    fn command(&self) -> String {
        let mut text = format!("lockgate access who {}", argument(&self.permission));
        for (flag, value) in [("--service", &self.service), ("--env", &self.environment)] {
            if !value.is_empty() {
                text.push_str(&format!(" {flag} {}", argument(value)));
            }
        }
        text
    }
}

/// What the page shows.
#[derive(Debug, Clone)]
pub struct AccessView {
    /// Whose permissions are shown, as it was asked.
    pub person: String,
    /// What they may do.
    pub of_person: Result<AccessReply, Problem>,
    /// Who has the permission; absent where none was asked about.
    pub holders: Option<Result<HoldersReply, Problem>>,
    /// Every permission, in the order of the policy set's documentation.
    pub permissions: Vec<String>,
    /// Those whose use writes nothing into the ledger.
    pub untraced: Vec<String>,
    /// The environments of the policy set, in its order.
    pub environments: Vec<EnvName>,
}

/// The page's content.
pub fn content(view: &AccessView, asked: &Asked, rights: &Rights, now: UnixMillis) -> Markup {
    html! {
        (tabs(Tab::Access, rights))
        h1 { "Who may do what" }
        p.quiet { "What the active policy set permits, as every request is judged, with the line that says so." }
        (form(view, asked))
        @if let Some(found) = &view.holders { (holders(found, asked)) }
        (person(view, now))
    }
}

fn form(view: &AccessView, asked: &Asked) -> Markup {
    html! {
        form.filters method="get" action="/access" role="search" {
            div {
                label for="filter-person" { "Person or machine" }
                input id="filter-person" name="person" type="search" value=(visible(&asked.person)) maxlength="128" autocomplete="off";
            }
            div {
                label for="filter-permission" { "Who may" }
                select id="filter-permission" name="permission" {
                    option value="" { "—" }
                    @for one in &view.permissions { option value=(one) selected[asked.permission == *one] { (one) } }
                }
            }
            div {
                label for="filter-service" { "For the service" }
                input id="filter-service" name="service" type="search" value=(visible(&asked.service)) maxlength="128" autocomplete="off";
            }
            div {
                label for="filter-environment" { "In the environment" }
                select id="filter-environment" name="environment" {
                    option value="" { "—" }
                    @for one in &view.environments {
                        option value=(one.as_str()) selected[asked.environment == one.as_str()] { (one.as_str()) }
                    }
                }
            }
            button type="submit" { "Show" }
            @if !asked.is_empty() { a href="/access" { "Clear" } }
        }
    }
}

fn holders(found: &Result<HoldersReply, Problem>, asked: &Asked) -> Markup {
    html! {
        section aria-labelledby="who-title" {
            h2 id="who-title" { "Who may " (visible(&asked.permission)) (asked.place()) }
            @match found {
                Err(problem) => { (refusal(problem)) },
                Ok(reply) => {
                    @if !asked.person.is_empty() { (answer(reply, asked)) }
                    @if reply.holders.is_empty() {
                        div.empty { p { "Nobody who is enrolled may." } }
                    } @else {
                        div.scroll { table {
                            thead { tr { th scope="col" { "Who" } th scope="col" { "Because" } } }
                            tbody { @for one in &reply.holders { (holder(one)) } }
                        } }
                    }
                    @if reply.permission == "approve" {
                        p.quiet { "Who was lent the right to approve stands under " a href="/keys#delegations-title" { "delegations" } "." }
                    }
                },
            }
            (command("cli-who", &asked.command()))
        }
    }
}

/// Whether the one person that was asked about has the permission, and why.
fn answer(reply: &HoldersReply, asked: &Asked) -> Markup {
    let held = reply.holders.iter().find(|one| one.person.as_str() == asked.person);
    html! {
        p id="answer" role="status" {
            @match held {
                Some(one) => {
                    span.state.good { span.icon aria-hidden="true" { "✓" } " " (one.person.as_str()) " may" }
                    ": " (because(&one.because))
                },
                None => {
                    span.state.bad { span.icon aria-hidden="true" { "✗" } " " (visible(&asked.person)) " may not" }
                    ": no line of the policy set gives it to them there"
                },
            }
        }
    }
}

fn holder(one: &HolderRow) -> Markup {
    html! {
        tr id={ "holder-" (one.person.as_str()) } data-row {
            th scope="row" { a href=(person_link(one.person.as_str())) { (one.person.as_str()) } }
            td { (because(&one.because)) }
        }
    }
}

/// The address of what somebody may do.
pub fn person_link(person: &str) -> String {
    format!("/access?person={}", query_value(person))
}

/// The address of who has a permission.
fn permission_link(permission: &str) -> String {
    format!("/access?permission={}", query_value(permission))
}

fn because(because: &BecauseRow) -> Markup {
    html! {
        "role " strong { (because.role.as_str()) }
        @match (&because.group, &because.named) {
            (Some(group), _) => { " through group " (group.as_str()) },
            (None, Some(named)) => { " named as " code { (visible(named)) } },
            (None, None) => {},
        }
        ", " (place(&because.file, because.line))
    }
}

fn person(view: &AccessView, now: UnixMillis) -> Markup {
    html! {
        section aria-labelledby="person-title" {
            h2 id="person-title" { "What " (visible(&view.person)) " may do" }
            @match &view.of_person {
                Err(problem) => { (refusal(problem)) },
                Ok(reply) => { (rights_of(reply, &view.untraced, now)) },
            }
            (command("cli-show", &format!("lockgate access show {}", argument(&view.person))))
        }
    }
}

fn rights_of(reply: &AccessReply, untraced: &[String], now: UnixMillis) -> Markup {
    let groups: Vec<&str> = reply.groups.iter().map(|group| group.as_str()).collect();
    let kind = match reply.subject {
        SubjectKind::Person => "A person",
        SubjectKind::Machine => "A machine",
    };
    html! {
        p {
            (kind) @if groups.is_empty() { " in no group" } @else { " in " (groups.join(", ")) }
            "." @if reply.suspended {
                " " span.state.bad { span.icon aria-hidden="true" { "■" } " suspended" } ", and so may do nothing."
            }
        }
        @if reply.rights.is_empty() {
            @if !reply.suspended { div.empty { p { "No role is bound to them or to their groups: they may do nothing." } } }
        } @else {
            div.scroll { table {
                thead { tr {
                    th scope="col" { "May" } th scope="col" { "Services" } th scope="col" { "Environments" }
                    th scope="col" { "Because" } th scope="col" { "Last used" }
                } }
                tbody { @for (at, right) in reply.rights.iter().enumerate() { (right_row(at, right, untraced, now)) } }
            } }
        }
    }
}

fn right_row(at: usize, right: &RightRow, untraced: &[String], now: UnixMillis) -> Markup {
    html! {
        tr id={ "right-" (at) } data-row {
            th scope="row" { a href=(permission_link(&right.permission)) { (visible(&right.permission)) } }
            td { (scope(right.services.as_deref())) }
            td { (scope(right.environments.as_deref())) }
            td { (because(&right.because)) }
            td {
                @if right.last_use_hidden {
                    span.quiet { "where you may not read" }
                } @else {
                    (used(&right.permission, right.last_used, untraced, now))
                    @if let Some(index) = right.last_index { ", " (entry(index)) }
                }
            }
        }
    }
}

/// The patterns that a role is held for; none stands for all.
fn scope(patterns: Option<&[String]>) -> Markup {
    html! {
        @match patterns {
            None => { "all" },
            Some(patterns) => {
                @for (at, pattern) in patterns.iter().enumerate() { @if at > 0 { ", " } code { (visible(pattern)) } }
            },
        }
    }
}

/// When a permission was last used; what leaves no trace in the ledger is never called unused.
fn used(permission: &str, last: Option<UnixMillis>, untraced: &[String], now: UnixMillis) -> Markup {
    html! {
        @match last {
            Some(time) => { (ago(time, now)) },
            None if untraced.iter().any(|one| one == permission) => {
                span.quiet title="Using it writes nothing into the ledger" { "—" }
            },
            None => { span.quiet { "never" } },
        }
    }
}

/// A question that has no answer, and why.
fn refusal(problem: &Problem) -> Markup {
    html! {
        div.problem role="alert" {
            p { strong { "That has no answer. " } code { (visible(&problem.code)) } }
            p { (visible(&problem.detail)) }
            @if let Some(hint) = &problem.hint { p { (visible(hint)) } }
        }
    }
}

#[cfg(test)]
#[path = "access_tests.rs"]
mod tests;
