//! The policy page: what the active policy set demands, where that is written, whether its own tests hold, what is
//! proposed instead of it, and what it would decide.

pub mod change;
pub mod checks;
pub mod exceptions;
pub mod source;
pub mod trial;

use lockgate_api::wire::{FeedRow, WaiverRow};
use lockgate_model::{Digest, EnvName, PersonId, UnixMillis};
use maud::{Markup, html};

use self::change::ProposedChange;
use self::checks::Checks;
use self::exceptions::Waivable;
use self::source::{Sources, place};
use self::trial::Trial;
use crate::Rights;
use crate::wording::{ago, command, exact, until, visible};

/// The active policy set and how it became active.
#[derive(Debug, Clone)]
pub struct Active {
    /// Its name.
    pub name: String,
    /// What it is for, in its author's words.
    pub description: String,
    /// Its digest.
    pub digest: Digest,
    /// The entry that made it active.
    pub at: u64,
    /// When, in ledger time.
    pub time: UnixMillis,
    /// Who signed that, in ledger order; empty for the set that the ledger began with.
    pub by: Vec<PersonId>,
    /// Why.
    pub reason: Option<String>,
    /// When it ends by itself.
    pub expires_at: Option<UnixMillis>,
}

/// One environment.
#[derive(Debug, Clone)]
pub struct EnvironmentLine {
    /// Its name.
    pub name: EnvName,
    /// What it is for.
    pub purpose: String,
    /// `low`, `medium` or `high`.
    pub risk: String,
    /// The groups that answer for it.
    pub owners: Vec<String>,
    /// What a release passes before.
    pub after: Vec<String>,
    /// How long a grant lasts, such as `90d`.
    pub grant_ttl: String,
    /// The line of `environments.toml`, from 1.
    pub line: u64,
}

/// Whether a gate blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blocks {
    /// Always.
    Always,
    /// From a moment on.
    From(UnixMillis),
    /// Never: it only warns.
    Never,
}

/// One gate.
#[derive(Debug, Clone)]
pub struct GateLine {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// Why it is there.
    pub description: Option<String>,
    /// The environments that demand it.
    pub environments: Vec<String>,
    /// For which services, as patterns; empty stands for all.
    pub services: Vec<String>,
    /// Whether it blocks.
    pub blocks: Blocks,
    /// The controls of frameworks that it answers to.
    pub controls: Vec<String>,
    /// The file that it is written in.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
    /// How many promotions it would have blocked while it only warned, of those that the person may read.
    pub warned: usize,
    /// Whether a finding of it can be waived.
    pub waivable: bool,
}

/// What the page shows.
#[derive(Debug, Clone)]
pub struct PolicyView {
    /// The active set.
    pub active: Active,
    /// Its environments, each after those that it comes after.
    pub environments: Vec<EnvironmentLine>,
    /// Its gates, in the order of file and line.
    pub gates: Vec<GateLine>,
    /// The entry from which on warnings are counted.
    pub warned_from: u64,
    /// Its files.
    pub sources: Sources,
    /// What was checked of it.
    pub checks: Checks,
    /// What is proposed instead, newest first.
    pub changes: Vec<ProposedChange>,
    /// Waivers that are in force or asked for, newest first.
    pub waivers: Vec<WaiverRow>,
    /// The newest snapshot of each feed.
    pub feeds: Vec<FeedRow>,
    /// What was asked of the playground.
    pub trial: Trial,
}

/// The page's content.
pub fn content(view: &PolicyView, rights: &Rights, person: &PersonId, now: UnixMillis) -> Markup {
    let environments: Vec<EnvName> = view.environments.iter().map(|line| line.name.clone()).collect();
    let gates: Vec<&str> = view.gates.iter().filter(|gate| gate.waivable).map(|gate| gate.name.as_str()).collect();
    let waivable = Waivable { gates: &gates, environments: &environments };
    html! {
        h1 { "Policy: " (visible(&view.active.name)) }
        (active(&view.active, now))
        nav aria-label="On this page" {
            p {
                @for (id, name) in [
                    ("gates-title", "Gates"), ("trial-title", "Playground"), ("changes-title", "Proposed changes"),
                    ("waivers-title", "Waivers"), ("feeds-title", "Feeds"), ("tests-title", "Tests"), ("lints-title", "Lints"),
                    ("source-title", "Source"),
                ] { a href={ "#" (id) } { (name) } " " }
            }
        }
        (environment_table(&view.environments))
        (gate_table(view, now))
        (trial::section(&view.trial, &environments))
        (change::section(&view.changes, rights, person, now))
        (exceptions::waivers(&view.waivers, waivable, rights, person, now))
        (exceptions::feeds(&view.feeds, now))
        (checks::section(&view.checks))
        (source::section(&view.sources))
    }
}

fn active(active: &Active, now: UnixMillis) -> Markup {
    let by: Vec<&str> = active.by.iter().map(PersonId::as_str).collect();
    html! {
        @if !active.description.is_empty() { p { (visible(&active.description)) } }
        dl.facts {
            dt { "Digest" } dd { code id="policy-digest" { (active.digest) } }
            dt { "Active since" }
            dd {
                a href={ "/timeline?before=" (active.at.saturating_add(1)) } { "entry " (active.at) } ", " (ago(active.time, now))
                @if by.is_empty() { ", with the ledger" } @else { ", signed by " (by.join(", ")) }
                @if let Some(reason) = &active.reason { ": " (visible(reason)) }
            }
            @if let Some(end) = active.expires_at {
                dt { "Ends" } dd { (until(end, now)) ", " (exact(end)) }
            }
        }
        (command("cli-show", "lockgate policy show"))
        p { a href="/v1/policy" download="policy-set.json" { "Download its document" } }
    }
}

fn environment_table(environments: &[EnvironmentLine]) -> Markup {
    html! {
        section aria-labelledby="environments-title" {
            h2 id="environments-title" { "Environments" }
            div.scroll { table {
                thead { tr {
                    th scope="col" { "Environment" } th scope="col" { "For" } th scope="col" { "Risk" } th scope="col" { "After" }
                    th scope="col" { "Owners" } th scope="col" { "A grant lasts" }
                } }
                tbody {
                    @for line in environments {
                        tr id={ "environment-" (line.name.as_str()) } data-row {
                            th scope="row" { (line.name.as_str()) " " (place("environments.toml", line.line)) }
                            td { (visible(&line.purpose)) }
                            td { (visible(&line.risk)) }
                            td { @if line.after.is_empty() { span.quiet { "nothing" } } @else { (visible(&line.after.join(", "))) } }
                            td { @if line.owners.is_empty() { span.quiet { "nobody" } } @else { (visible(&line.owners.join(", "))) } }
                            td { (visible(&line.grant_ttl)) }
                        }
                    }
                }
            } }
        }
    }
}

fn gate_table(view: &PolicyView, now: UnixMillis) -> Markup {
    html! {
        section aria-labelledby="gates-title" {
            h2 id="gates-title" { "Gates" }
            div.scroll { table {
                caption.quiet { "Warnings are counted from " a href={ "/timeline?before=" (view.warned_from.saturating_add(1)) } { "entry " (view.warned_from) } " on" }
                thead { tr {
                    th scope="col" { "Gate" } th scope="col" { "Kind" } th scope="col" { "Environments" }
                    th scope="col" { "Blocks" } th scope="col" { "Controls" } th scope="col" { "Written in" }
                } }
                tbody { @for gate in &view.gates { (gate_row(gate, now)) } }
            } }
        }
    }
}

fn gate_row(gate: &GateLine, now: UnixMillis) -> Markup {
    html! {
        tr id={ "gate-" (visible(&gate.name)) } data-row {
            th scope="row" {
                (visible(&gate.name))
                @if let Some(description) = &gate.description { br; span.quiet { (visible(description)) } }
            }
            td { (visible(&gate.kind)) }
            td {
                (visible(&gate.environments.join(", ")))
                @if !gate.services.is_empty() { br; span.quiet { "for " (visible(&gate.services.join(", "))) } }
            }
            td { (blocks(gate, now)) }
            td { (visible(&gate.controls.join(", "))) }
            td { (place(&gate.file, gate.line)) }
        }
    }
}

fn blocks(gate: &GateLine, now: UnixMillis) -> Markup {
    let warns = !matches!(gate.blocks, Blocks::Always) && !matches!(gate.blocks, Blocks::From(start) if start <= now);
    html! {
        @match gate.blocks {
            Blocks::From(start) if start > now => {
                span.state.wait { span.icon aria-hidden="true" { "…" } " announced" } " blocks " (until(start, now)) ", " (exact(start))
            },
            Blocks::From(start) => { span.state.good { span.icon aria-hidden="true" { "✓" } " yes" } " since " (exact(start)) },
            Blocks::Always => { span.state.good { span.icon aria-hidden="true" { "✓" } " yes" } },
            Blocks::Never => { span.state.warn { span.icon aria-hidden="true" { "!" } " only warns" } },
        }
        @if warns || gate.warned > 0 {
            br;
            "would have blocked " strong { (gate.warned) } @if gate.warned == 1 { " promotion" } @else { " promotions" }
        }
    }
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
