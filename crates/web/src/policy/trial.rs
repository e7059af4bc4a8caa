//! The playground: what would be decided on a release now, without asking for it.

use lockgate_api::Problem;
use lockgate_api::wire::GateRow;
use lockgate_model::EnvName;
use maud::{Markup, html};

use super::source::place;
use crate::wording::{command, digest_in_link, outcome, visible};

/// What was asked, as the address has it, and what came of it.
#[derive(Debug, Clone, Default)]
pub struct Trial {
    /// The release.
    pub release: String,
    /// The environment.
    pub environment: String,
    /// What would be decided; absent where nothing was asked.
    pub found: Option<Result<Found, Problem>>,
}

/// What would be decided.
#[derive(Debug, Clone)]
pub struct Found {
    /// `allow`, `deny` or `pending`.
    pub outcome: String,
    /// How many gates only warn where they would block.
    pub would_block: u64,
    /// Every gate.
    pub gates: Vec<GateRow>,
}

/// The part of the page with the playground.
pub fn section(trial: &Trial, environments: &[EnvName]) -> Markup {
    html! {
        section aria-labelledby="trial-title" {
            h2 id="trial-title" { "Playground" }
            p.quiet { "What the active policy set would decide now, if somebody asked. Nothing is written down, and nobody has approved." }
            form.filters method="get" action="/policy#trial-title" {
                div {
                    label for="trial-release" { "Release" }
                    input id="trial-release" name="release" type="search" required maxlength="256" autocomplete="off"
                        placeholder="shop/web@1.4.2" value=(visible(&trial.release));
                }
                div {
                    label for="trial-environment" { "Into" }
                    select id="trial-environment" name="environment" {
                        @for one in environments {
                            option value=(one.as_str()) selected[trial.environment == one.as_str()] { (one.as_str()) }
                        }
                    }
                }
                button type="submit" { "Explain" }
            }
            @match &trial.found {
                None => {},
                Some(Err(problem)) => {
                    div.problem role="alert" {
                        p { strong { "That cannot be explained. " } code { (visible(&problem.code)) } }
                        p { (visible(&problem.detail)) }
                        @if let Some(hint) = &problem.hint { p { (visible(hint)) } }
                    }
                },
                Some(Ok(found)) => { (tree(trial, found)) },
            }
        }
    }
}

fn tree(trial: &Trial, found: &Found) -> Markup {
    html! {
        p id="trial-outcome" role="status" {
            (outcome(&found.outcome)) " " strong { (visible(&trial.release)) } " into " strong { (visible(&trial.environment)) }
            @if found.would_block > 0 { "; " (found.would_block) " gates only warn, and would have blocked" }
        }
        ul.gates {
            @for gate in &found.gates {
                li id={ "trial-gate-" (visible(&gate.gate)) } data-row {
                    details open[!matches!(gate.outcome.as_str(), "pass" | "waived")] {
                        summary {
                            (outcome(&gate.outcome)) " " strong { (visible(&gate.gate)) } " "
                            span.quiet { (visible(&gate.kind)) } " " code { (visible(&gate.reason)) }
                        }
                        dl {
                            dt { "rule" } dd { (place(&gate.file, gate.line)) }
                            dt { "needed" } dd { (visible(&gate.needed)) }
                            dt { "found" } dd { (visible(&gate.found)) }
                            @if !gate.evidence.is_empty() {
                                dt { "evidence" }
                                dd { @for one in &gate.evidence { a href={ "/evidence/" (one) } { (digest_in_link(one)) } " " } }
                            }
                            @if !gate.who.is_empty() { dt { "who" } dd { (visible(&gate.who)) } }
                        }
                        @if !gate.fix.is_empty() { (command(&format!("cli-trial-{}", visible(&gate.gate)), &visible(&gate.fix))) }
                    }
                }
            }
        }
        (command("cli-trial", &format!("lockgate promote {} --to {} --reason REASON", visible(&trial.release), visible(&trial.environment))))
    }
}
