//! Proposed changes of the policy set: what would be different, who has signed, and what history would have been.

use lockgate_api::wire::ChangeRow;
use lockgate_model::{Digest, PersonId, UnixMillis};
use maud::{Markup, html};

use crate::Rights;
use crate::wording::{ago, command, digest, outcome, until, visible};

/// One proposed change.
#[derive(Debug, Clone)]
pub struct ProposedChange {
    /// Where it stands.
    pub row: ChangeRow,
    /// Why, in the words of who proposed it.
    pub reason: String,
    /// The policy set that it would activate.
    pub policy: Digest,
    /// Whether another set became active since, so that it can never happen.
    pub stale: bool,
    /// What would mean something else.
    pub meaning: Vec<MeaningLine>,
    /// Whose rights would differ.
    pub rights: Vec<RightsLine>,
    /// The lines that would differ, file by file.
    pub lines: Vec<DiffLine>,
    /// How many lines more than are shown.
    pub more_lines: usize,
    /// The backtest that is signed with it.
    pub backtest: Option<Backtest>,
}

/// Something with a name that would be added, removed or changed.
#[derive(Debug, Clone)]
pub struct MeaningLine {
    /// What it is, such as `gate`.
    pub sort: &'static str,
    /// Its name.
    pub name: String,
    /// `added`, `removed` or `changed`.
    pub change: &'static str,
    /// What differs, as `field: before → after`.
    pub fields: Vec<String>,
}

/// What a role, group or person could do that they cannot now, and the other way round.
#[derive(Debug, Clone)]
pub struct RightsLine {
    /// Who.
    pub who: String,
    /// What is new.
    pub gained: Vec<String>,
    /// What is gone.
    pub lost: Vec<String>,
}

/// One line of the files that differs.
#[derive(Debug, Clone)]
pub struct DiffLine {
    /// The file.
    pub file: String,
    /// Whether it would be new.
    pub added: bool,
    /// Its number in its own file.
    pub line: u64,
    /// What it says.
    pub text: String,
}

/// What the new policy set would have decided, as its report says.
#[derive(Debug, Clone)]
pub struct Backtest {
    /// The digest of the report.
    pub digest: Digest,
    /// How many decisions were made again.
    pub decisions: u64,
    /// How many came out the same.
    pub unchanged: u64,
    /// How many could not be made.
    pub errors: usize,
    /// How many flips there are of each kind, such as `allow to deny`.
    pub totals: Vec<(String, u64)>,
    /// What gates would have blocked that only warn.
    pub would_block: Vec<WouldBlockLine>,
    /// The flips that are shown.
    pub flips: Vec<FlipLine>,
    /// How many flips more there are, or are about what the person may not read.
    pub more: usize,
}

/// What a gate would have blocked that only warns.
#[derive(Debug, Clone)]
pub struct WouldBlockLine {
    /// The gate.
    pub gate: String,
    /// How many decisions.
    pub decisions: u64,
    /// From when on it blocks; absent where it never does.
    pub enforced_from: Option<UnixMillis>,
}

/// A decision that would have come out differently.
#[derive(Debug, Clone)]
pub struct FlipLine {
    /// The promotion.
    pub promotion: String,
    /// Of what, into where.
    pub what: String,
    /// What it was.
    pub before: String,
    /// What it would have been.
    pub after: String,
    /// The gates that make the difference.
    pub gates: Vec<String>,
}

/// The part of the page with the changes that are open.
pub fn section(changes: &[ProposedChange], rights: &Rights, person: &PersonId, now: UnixMillis) -> Markup {
    html! {
        section aria-labelledby="changes-title" {
            h2 id="changes-title" { "Proposed changes" }
            @if changes.is_empty() {
                div.empty {
                    p { "No change of the policy set waits for signatures." }
                    pre { code { "lockgate policy activate DIR --reason REASON --backtest FILE" } }
                }
            }
            @for change in changes { (proposed(change, rights, person, now)) }
            h3 { "Backtest" }
            p.quiet { "It decides the whole history again under another policy set, on your own machine; its report is signed with the change." }
            (command("cli-backtest", "lockgate policy backtest DIR --report FILE"))
            (command("cli-policy-diff", "lockgate policy diff active DIR"))
            (command("cli-activate", "lockgate policy activate DIR --reason REASON --backtest FILE"))
        }
    }
}

fn proposed(change: &ProposedChange, rights: &Rights, person: &PersonId, now: UnixMillis) -> Markup {
    let id = change.row.change;
    let signers: Vec<&str> = change.row.signed_by.iter().map(PersonId::as_str).collect();
    html! {
        article id={ "change-" (id) } data-row {
            h3 { (id) ": " (visible(&change.reason)) }
            p {
                (outcome(&change.row.status)) " policy set " (digest(&change.policy)) ", proposed "
                (ago(change.row.proposed_at, now)) ", ends " (until(change.row.expires_at, now))
            }
            p {
                "signed by " (signers.join(", ")) "; " (change.row.missing) " more needed: "
                a href={ "/changes/" (id) } { "who may sign, and what they sign" }
            }
            @if change.stale {
                p { span.state.warn { span.icon aria-hidden="true" { "!" } " stale" } " Another policy set became active since; it can never happen." }
            }
            (meaning(change))
            (lines(change))
            (backtest(id.to_string().as_str(), change.backtest.as_ref(), now))
            @if change.row.signed_by.contains(person) {
                p.quiet { "You signed it; somebody else signs too." }
            } @else if rights.may("policy") {
                (command(&format!("cli-sign-{id}"), &format!("lockgate change sign {id}")))
            }
            @if rights.may("policy") {
                (command(&format!("cli-reject-{id}"), &format!("lockgate change reject {id} --reason REASON")))
            } @else {
                p.quiet { "Signing and rejecting is not for you: " (visible(&rights.who("policy"))) " (" code { "policy" } ")." }
            }
            (command(&format!("cli-show-{id}"), &format!("lockgate change show {id}")))
        }
    }
}

fn meaning(change: &ProposedChange) -> Markup {
    let mark = |word: &str| match word {
        "added" => ("+", "plain"),
        // What is not demanded any more makes the policy set weaker.
        "removed" => ("−", "warn"),
        _ => ("~", "plain"),
    };
    html! {
        @if !change.meaning.is_empty() {
            h4 { "What it means" }
            ul.plain {
                @for line in &change.meaning {
                    @let (icon, class) = mark(line.change);
                    li {
                        span class={ "state " (class) } { span.icon aria-hidden="true" { (icon) } " " (line.change) }
                        " " (line.sort) " " strong { (visible(&line.name)) }
                        @if !line.fields.is_empty() {
                            details {
                                summary { (line.fields.len()) " fields" }
                                ul { @for field in &line.fields { li { (visible(field)) } } }
                            }
                        }
                    }
                }
            }
        }
        @if !change.rights.is_empty() {
            h4 { "Who may do something else" }
            ul.plain {
                @for line in &change.rights {
                    @for gained in &line.gained {
                        li { strong { (visible(&line.who)) } " " span.state.warn { span.icon aria-hidden="true" { "+" } " may" } " " (visible(gained)) }
                    }
                    @for lost in &line.lost {
                        li { strong { (visible(&line.who)) } " " span.state.plain { span.icon aria-hidden="true" { "−" } " may no more" } " " (visible(lost)) }
                    }
                }
            }
        }
    }
}

fn lines(change: &ProposedChange) -> Markup {
    let mut file = "";
    let headed: Vec<(Option<&str>, &DiffLine)> = change
        .lines
        .iter()
        .map(|line| {
            let heading = (line.file != file).then_some(line.file.as_str());
            file = &line.file;
            (heading, line)
        })
        .collect();
    html! {
        @if headed.is_empty() {
            p.quiet { "No line differs." }
        } @else {
            details {
                summary { "Line by line" }
                div.scroll { table.diff {
                    thead { tr { th scope="col" { "Change" } th.number scope="col" { "Line" } th scope="col" { "Text" } } }
                    tbody {
                        @for (heading, line) in headed {
                            @if let Some(heading) = heading { tr { th colspan="3" scope="colgroup" { code { (visible(heading)) } } } }
                            tr {
                                td { @if line.added { span.state.good { "+ new" } } @else { span.state.bad { "− gone" } } }
                                td.number { (line.line) }
                                td { code { (visible(&line.text)) } }
                            }
                        }
                    }
                } }
                @if change.more_lines > 0 { p.quiet { (change.more_lines) " more lines; the command shows them." } }
            }
        }
    }
}

fn backtest(id: &str, backtest: Option<&Backtest>, now: UnixMillis) -> Markup {
    let Some(report) = backtest else {
        return html! { p.quiet { "No backtest is signed with it." } };
    };
    html! {
        h4 { "Backtest" }
        p {
            (report.decisions) " decisions made again: " (report.unchanged) " the same"
            @for (kind, count) in &report.totals { ", " strong { (count) " " (visible(kind)) } }
            @if report.errors > 0 { ", " (report.errors) " could not be made" }
            ". " a href={ "/v1/blobs/" (report.digest) } download={ "backtest-" (id) ".json" } { "The report" }
        }
        @if !report.would_block.is_empty() {
            ul.plain {
                @for line in &report.would_block {
                    li {
                        (line.decisions) " would be blocked by " strong { (visible(&line.gate)) }
                        @if let Some(start) = line.enforced_from { " once it enforces, " (until(start, now)) } @else { ", which only warns" }
                    }
                }
            }
        }
        @if !report.flips.is_empty() {
            details {
                summary { "What would have come out differently" }
                div.scroll { table {
                    thead { tr { th scope="col" { "Promotion" } th scope="col" { "What" } th scope="col" { "Was" } th scope="col" { "Would be" } th scope="col" { "By" } } }
                    tbody {
                        @for flip in &report.flips {
                            tr {
                                th scope="row" { a href={ "/promotions/" (visible(&flip.promotion)) } { (visible(&flip.promotion)) } }
                                td { (visible(&flip.what)) }
                                td { (outcome(&flip.before)) }
                                td { (outcome(&flip.after)) }
                                td { (visible(&flip.gates.join(", "))) }
                            }
                        }
                    }
                } }
            }
        }
        @if report.more > 0 { p.quiet { (report.more) " more that are not shown here." } }
    }
}
