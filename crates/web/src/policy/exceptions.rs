//! What stands beside the gates: waivers, and the feeds that gates ask.

use lockgate_api::wire::{FeedRow, WaiverRow};
use lockgate_model::{EnvName, PersonId, UnixMillis};
use maud::{Markup, html};

use crate::Rights;
use crate::action::reason;
use crate::signing::{self, Span, hidden, lasts, line};
use crate::wording::{ago, command, digest, exact, until, visible};

/// How many waivers are shown.
const ROWS: usize = 100;
/// How long before its end a waiver is told of.
const SOON_MILLIS: u64 = 7 * 86_400_000;
/// How old a feed may be before that is told.
const STALE_MILLIS: u64 = 7 * 86_400_000;

/// How long a waiver can last; the policy set may allow less.
const SPANS: [Span; 4] = [("30d", "30 days"), ("7d", "7 days"), ("24h", "1 day"), ("90d", "90 days")];

/// What a waiver can be asked for: the gates of which findings can be waived, and the environments.
#[derive(Debug, Clone, Copy)]
pub struct Waivable<'a> {
    /// Names of gates.
    pub gates: &'a [&'a str],
    /// Environments, in the order of the policy set.
    pub environments: &'a [EnvName],
}

/// The part of the page with waivers that are open or asked for, newest first.
pub fn waivers(
    waivers: &[WaiverRow],
    waivable: Waivable<'_>,
    rights: &Rights,
    person: &PersonId,
    now: UnixMillis,
) -> Markup {
    html! {
        section aria-labelledby="waivers-title" {
            h2 id="waivers-title" { "Waivers" }
            @if waivers.is_empty() {
                div.empty {
                    p { "No finding is excepted from a gate, and nobody asks for that." }
                    (command("cli-none-waivers", "lockgate waive request --gate GATE --finding CVE --service SERVICE --env ENVIRONMENT --reason REASON"))
                }
            } @else {
                div.scroll { table {
                    thead { tr {
                        th scope="col" { "Waiver" } th scope="col" { "Excepts" } th scope="col" { "For" }
                        th scope="col" { "Owner" } th scope="col" { "Ends" } th scope="col" { "What to do" }
                    } }
                    tbody { @for row in waivers.iter().take(ROWS) { (waiver(row, rights, person, now)) } }
                } }
                @if waivers.len() > ROWS { p.quiet { "The newest " (ROWS) " are shown; the command prints all." } }
            }
            h3 { "Ask for a waiver" }
            (ask_anywhere(waivable))
            (command("cli-ask", "lockgate waive request --gate GATE --finding FINDING --release SERVICE@VERSION --env ENVIRONMENT --for 30d --reason REASON"))
            (command("cli-waivers", "lockgate waive list --all"))
        }
    }
}

/// Whoever may read of a service may ask; the server says where not.
fn ask_anywhere(waivable: Waivable<'_>) -> Markup {
    html! {
        @if waivable.gates.is_empty() {
            p.quiet { "No gate of the active policy set is of a kind whose findings can be waived." }
        } @else {
            (ask("waiver-ask", &html! {
                label for="waiver-ask-gate" { "Gate" }
                select id="waiver-ask-gate" name="gate" {
                    @for gate in waivable.gates { option value=(visible(gate)) { (visible(gate)) } }
                }
                (line("waiver-ask-service", "service", "Service", true))
                (line("waiver-ask-release", "release", "Release, as SERVICE@VERSION; left empty, every release", false))
                label for="waiver-ask-environment" { "Environment" }
                select id="waiver-ask-environment" name="environment" {
                    @for one in waivable.environments { option value=(one.as_str()) { (one.as_str()) } }
                }
            }))
        }
    }
}

/// A form that asks for a waiver; `place` are its fields that say of which gate, for what and where.
pub fn ask(id: &str, place: &Markup) -> Markup {
    let fields = html! {
        (place)
        (line(&format!("{id}-finding"), "finding", "Finding: a CVE, a licence, a result, a name", true))
        (lasts(&format!("{id}-lasts"), "For how long", &SPANS))
        (line(&format!("{id}-ticket"), "ticket", "Ticket, where the policy set wants one", false))
        (reason(&format!("{id}-reason")))
        p.quiet { "It counts once another person has granted it." }
    };
    signing::form("waiver-request", id, "Ask for a waiver", &fields)
}

fn grant(request: u64) -> Markup {
    let fields = hidden("request", &request.to_string());
    signing::form("waiver-grant", &format!("waiver-grant-{request}"), "Grant it", &fields)
}

fn revoke(entry: u64) -> Markup {
    let fields = html! {
        (hidden("waiver", &entry.to_string()))
        (reason(&format!("waiver-revoke-reason-{entry}")))
    };
    signing::form("waiver-revoke", &format!("waiver-revoke-{entry}"), "Revoke it", &fields)
}

/// What can be done with a waiver, and who may what the person may not: nobody grants what they asked for.
fn next_steps(row: &WaiverRow, rights: &Rights, person: &PersonId) -> Markup {
    let entry = row.waiver;
    let asked_it = row.asked.asked_by == *person;
    let own = asked_it || row.granted_by.as_ref() == Some(person);
    html! {
        @if row.state == "asked" {
            @if asked_it {
                p.quiet { "You asked for it; somebody else grants it." }
            } @else if rights.may("waive") {
                @if let Some(request) = row.request { (grant(request)) }
                (command(&format!("cli-grant-{entry}"), &format!("lockgate waive grant {entry}")))
            } @else {
                p.quiet { "not you: " (visible(&rights.who("waive"))) }
            }
        }
        @if own || rights.may("waive") || rights.may("keys") {
            details id={ "waiver-more-" (entry) } {
                summary { "Revoke it" }
                (revoke(entry))
            }
            (command(&format!("cli-revoke-{entry}"), &format!("lockgate waive revoke {entry} --reason REASON")))
        } @else {
            p.quiet { "Revoking it is not for you: " (row.asked.asked_by.as_str()) ", and " (visible(&rights.who("waive"))) }
        }
    }
}

fn waiver(row: &WaiverRow, rights: &Rights, person: &PersonId, now: UnixMillis) -> Markup {
    let asked = &row.asked;
    let soon = row.state == "open" && asked.expires_at.0.saturating_sub(now.0) <= SOON_MILLIS;
    html! {
        tr id={ "waiver-" (row.waiver) } data-row {
            th scope="row" {
                a href={ "/timeline?before=" (row.waiver.saturating_add(1)) } { "entry " (row.waiver) } " "
                @match row.state.as_str() {
                    "open" => { span.state.warn { span.icon aria-hidden="true" { "!" } " in force" } },
                    "void" => {
                        span.state.bad { span.icon aria-hidden="true" { "✗" } " does not count" } " "
                        span.quiet { (row.void.as_deref().unwrap_or_default()) }
                    },
                    _ => { span.state.wait { span.icon aria-hidden="true" { "…" } " asked for" } },
                }
            }
            td { strong { (visible(&asked.finding)) } " from the gate " (asked.gate.as_str()) }
            td {
                @match &asked.release { Some(release) => { (release) }, None => { (asked.service.as_str()) }, }
                " in " (asked.environment.as_str())
                @if let Some(artifact) = &asked.artifact { " " (digest(artifact)) }
            }
            td {
                strong { (asked.asked_by.as_str()) } ": " (visible(&asked.reason))
                @if let Some(by) = &row.granted_by { " " span.quiet { "granted by " (by.as_str()) } }
                @if let Some(ticket) = &asked.ticket { " " span.quiet { "ticket " (visible(ticket)) } }
            }
            td {
                (until(asked.expires_at, now)) ", " (exact(asked.expires_at))
                @if soon { " " span.state.bad { span.icon aria-hidden="true" { "!" } " ends soon" } }
            }
            td { (next_steps(row, rights, person)) }
        }
    }
}

/// The part of the page with the newest snapshot of each feed.
pub fn feeds(feeds: &[FeedRow], now: UnixMillis) -> Markup {
    html! {
        section aria-labelledby="feeds-title" {
            h2 id="feeds-title" { "Feeds" }
            @if feeds.is_empty() {
                div.empty {
                    p { "No snapshot of a feed of vulnerabilities is recorded." }
                    (command("cli-none-feeds", "lockgate feed update --kind kev --file known_exploited_vulnerabilities.json"))
                }
            } @else {
                div.scroll { table {
                    thead { tr {
                        th scope="col" { "Feed" } th scope="col" { "Its date" } th scope="col" { "Recorded" }
                        th.number scope="col" { "Vulnerabilities" } th scope="col" { "Snapshot" }
                    } }
                    tbody {
                        @for row in feeds {
                            tr id={ "feed-" (row.feed.as_str()) } data-row {
                                th scope="row" { (row.feed.as_str()) }
                                td {
                                    (exact(row.date)) ", " (ago(row.date, now))
                                    @if now.0.saturating_sub(row.date.0) > STALE_MILLIS {
                                        " " span.state.warn { span.icon aria-hidden="true" { "!" } " old" }
                                    }
                                }
                                td { (ago(row.recorded_at, now)) " by " (row.by.as_str()) ", entry " (row.index) }
                                td.number { (row.rows) }
                                td { (digest(&row.digest)) }
                            }
                        }
                    }
                } }
                (command("cli-feed", "lockgate feed update --kind kev --file FILE"))
            }
        }
    }
}
