//! What stands beside the gates: waivers, and the feeds that gates ask.

use lockgate_api::wire::{FeedRow, WaiverRow};
use lockgate_model::UnixMillis;
use maud::{Markup, html};

use crate::Rights;
use crate::wording::{ago, command, digest, exact, until, visible};

/// How many waivers are shown.
const ROWS: usize = 100;
/// How long before its end a waiver is told of.
const SOON_MILLIS: u64 = 7 * 86_400_000;
/// How old a feed may be before that is told.
const STALE_MILLIS: u64 = 7 * 86_400_000;

/// The part of the page with waivers that are open or asked for, newest first.
pub fn waivers(waivers: &[WaiverRow], rights: &Rights, now: UnixMillis) -> Markup {
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
                    tbody { @for row in waivers.iter().take(ROWS) { (waiver(row, rights, now)) } }
                } }
                @if waivers.len() > ROWS { p.quiet { "The newest " (ROWS) " are shown; the command prints all." } }
            }
            (command("cli-waivers", "lockgate waive list --all"))
        }
    }
}

fn waiver(row: &WaiverRow, rights: &Rights, now: UnixMillis) -> Markup {
    let asked = &row.asked;
    let soon = row.state == "open" && asked.expires_at.0.saturating_sub(now.0) <= SOON_MILLIS;
    html! {
        tr id={ "waiver-" (row.waiver) } data-row {
            th scope="row" {
                a href={ "/timeline?before=" (row.waiver.saturating_add(1)) } { "entry " (row.waiver) } " "
                @match row.state.as_str() {
                    "open" => { span.state.warn { span.icon aria-hidden="true" { "!" } " in force" } },
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
            td {
                @if row.state == "asked" {
                    @if rights.may("waive") {
                        (command(&format!("cli-grant-{}", row.waiver), &format!("lockgate waive grant {}", row.waiver)))
                    } @else {
                        span.quiet { "not you: " (visible(&rights.who("waive"))) }
                    }
                }
                (command(&format!("cli-revoke-{}", row.waiver), &format!("lockgate waive revoke {} --reason REASON", row.waiver)))
            }
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
