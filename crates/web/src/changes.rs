//! Proposed changes of keys, people and policy: what each says, who signed it, who may still, and how.

use lockgate_api::wire::ChangeRow;
use lockgate_model::{Digest, PersonId, UnixMillis};
use maud::{Markup, html};

use crate::action::reason;
use crate::signing::{self, hidden};
use crate::wording::{ago, command, digest, outcome, until, visible};

/// How a change can stand, as the address has it.
pub const STATES: [&str; 5] = ["open", "stale", "applied", "rejected", "expired"];

/// One change, with what a signer needs.
#[derive(Debug, Clone)]
pub struct ChangePage {
    /// Where it stands.
    pub row: ChangeRow,
    /// What everyone signs, as text, the same that the command line shows.
    pub text: String,
    /// The digest of the document that everyone signs.
    pub document: Digest,
    /// Its code words.
    pub words: String,
    /// Who may still sign it; empty unless it is open.
    pub may_sign: Vec<PersonId>,
    /// Whether whoever looks at it may reject it.
    pub may_reject: bool,
}

/// The list, newest first; `state` is what it is filtered by, and empty for all.
pub fn list(rows: &[ChangeRow], state: &str, person: &PersonId, now: UnixMillis) -> Markup {
    html! {
        h1 { "Proposed changes" }
        p.quiet { "Changes of keys, people and policy that several people sign." }
        form.filters method="get" action="/changes" {
            div {
                label for="filter-state" { "State" }
                select id="filter-state" name="state" {
                    option value="" { "any" }
                    @for one in STATES { option value=(one) selected[state == one] { (one) } }
                }
            }
            button type="submit" { "Filter" }
            @if !state.is_empty() { a href="/changes" { "Clear" } }
        }
        @if rows.is_empty() {
            div.empty {
                @if state.is_empty() {
                    p { "Nothing was ever proposed. What takes more than one signature stands here until it has them, such as:" }
                    (command("cli-none-changes", "lockgate policy activate DIR --reason REASON --backtest FILE"))
                } @else {
                    p { "No change stands like that. " a href="/changes" { "Show all" } }
                }
            }
        } @else {
            div.scroll { table id="changes" {
                thead { tr {
                    th scope="col" { "Change" } th scope="col" { "What" } th scope="col" { "State" }
                    th scope="col" { "Signed by" } th scope="col" { "Missing" } th scope="col" { "Proposed" } th scope="col" { "Ends" }
                } }
                tbody { @for one in rows { (line(one, person, now)) } }
            } }
        }
        (command("cli-changes", "lockgate change list"))
    }
}

fn line(row: &ChangeRow, person: &PersonId, now: UnixMillis) -> Markup {
    html! {
        tr id={ "row-" (row.change) } data-row {
            th scope="row" { a href={ "/changes/" (row.change) } { (row.change) } }
            td { (visible(&row.event)) @if let Some(subject) = &row.subject { " of " strong { (subject.as_str()) } } }
            td { (outcome(&row.status)) }
            td {
                (names(&row.signed_by))
                @if row.signed_by.contains(person) { " " span.quiet { "(you too)" } }
            }
            td { @if row.status == "open" { (row.missing) } @else { span.quiet { "—" } } }
            td { (ago(row.proposed_at, now)) }
            td {
                @match &row.outcome {
                    Some(ended) => { (visible(ended)) },
                    None => { (until(row.expires_at, now)) },
                }
            }
        }
    }
}

fn names(people: &[PersonId]) -> String {
    people.iter().map(PersonId::as_str).collect::<Vec<_>>().join(", ")
}

/// One change.
pub fn one(change: &ChangePage, person: &PersonId, now: UnixMillis) -> Markup {
    let (row, id) = (&change.row, change.row.change);
    html! {
        p.crumbs { a href="/inbox" { "Needs you" } " / " a href="/changes" { "Proposed changes" } }
        h1 { (id) ": " (visible(&row.event)) @if let Some(subject) = &row.subject { " of " (subject.as_str()) } }
        p {
            (outcome(&row.status)) " proposed "
            @if let Some(by) = row.signed_by.first() { "by " strong { (by.as_str()) } " " }
            (ago(row.proposed_at, now))
            @if row.status == "open" { ", ends " (until(row.expires_at, now)) }
        }
        @if let Some(ended) = &row.outcome { p { (visible(ended)) } }
        h2 { "What everyone signs" }
        pre.note id="text" { (lines(&change.text)) }
        dl.facts {
            dt { "Document" } dd { (digest(&change.document)) }
            dt { "Code words" } dd { code { (change.words) } }
        }
        p.quiet { "The command line makes this text again from the draft, on your own machine; compare the words." }
        @if row.event == "policy.activated" && row.status == "open" {
            p { a href={ "/policy#change-" (id) } { "What it changes, line by line" } }
        }
        h2 { "Signatures" }
        (signatures(change, person))
        h2 { "What you can do" }
        (actions(change, person))
    }
}

/// Text line by line: what would make it look like other text is shown as what it is.
fn lines(text: &str) -> String {
    text.lines().map(visible).collect::<Vec<_>>().join("\n")
}

fn signatures(change: &ChangePage, person: &PersonId) -> Markup {
    let row = &change.row;
    html! {
        ul.plain id="signed" {
            @for by in &row.signed_by {
                li {
                    span.state.good { span.icon aria-hidden="true" { "✓" } " signed" } " " strong { (by.as_str()) }
                    @if by == person { " " span.quiet { "you" } }
                }
            }
            @for by in &change.may_sign {
                li {
                    span.state.wait { span.icon aria-hidden="true" { "…" } " may sign" } " " strong { (by.as_str()) }
                    @if by == person { " " span.quiet { "you" } }
                }
            }
        }
        @if row.status == "open" {
            p {
                strong { (row.missing) } " more " @if row.missing == 1 { "signature" } @else { "signatures" }
                " of people with the permission " code { (visible(&row.permission)) }
                @if change.may_sign.is_empty() { ": nobody is left who may sign it" }
            }
        }
    }
}

fn actions(change: &ChangePage, person: &PersonId) -> Markup {
    let (row, id) = (&change.row, change.row.change);
    let may = change.may_sign.contains(person);
    html! {
        @if row.status == "open" && may {
            (signing::form("change-sign", "sign", "Sign it", &hidden("change", &id.to_string())))
            (command("cli-sign", &format!("lockgate change sign {id}")))
        } @else if row.status == "open" && row.signed_by.contains(person) {
            p.quiet { "You signed it; others sign too." }
        } @else if row.status == "open" {
            p.refused {
                button type="button" disabled { "Sign it" }
                " " span.quiet {
                    "not you: "
                    @if change.may_sign.is_empty() { "nobody may" } @else { (names(&change.may_sign)) " may" }
                    " (" code { (visible(&row.permission)) } ")"
                }
            }
        }
        @if matches!(row.status.as_str(), "open" | "stale") {
            @if change.may_reject {
                (signing::form("change-reject", "reject", "Reject it", &html! {
                    (hidden("change", &id.to_string()))
                    (reason("reject-reason"))
                }))
            } @else {
                p.refused {
                    button type="button" disabled { "Reject it" }
                    " " span.quiet { "not you: others with the permission " code { (visible(&row.permission)) } " may" }
                }
            }
            (command("cli-reject", &format!("lockgate change reject {id} --reason REASON")))
        }
        (command("cli-show", &format!("lockgate change show {id}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(status: &str) -> ChangeRow {
        ChangeRow {
            change: "C-2".parse().unwrap(),
            event: "person.enrolled".to_owned(),
            permission: "keys".to_owned(),
            subject: Some("eve".parse().unwrap()),
            status: status.to_owned(),
            missing: 1,
            signed_by: vec!["sam".parse().unwrap()],
            proposed_at: UnixMillis(0),
            expires_at: UnixMillis(7_200_000),
            outcome: (status != "open").then(|| "<script>rejected".to_owned()),
        }
    }

    fn change(status: &str) -> ChangePage {
        ChangePage {
            row: row(status),
            text: "  change      ENROL eve\n  reason      <script>alert(1)</script>\u{202e}\n".to_owned(),
            document: Digest::of(b"document"),
            words: "acorn actor adult alarm album amber".to_owned(),
            may_sign: if status == "open" { vec!["ines".parse().unwrap()] } else { Vec::new() },
            may_reject: false,
        }
    }

    fn shown(status: &str, person: &str) -> String {
        let change = ChangePage { may_reject: person != "dana", ..change(status) };
        one(&change, &person.parse().unwrap(), UnixMillis(3_600_000)).into_string()
    }

    #[test]
    fn each_person_is_told_what_they_can_do() {
        let ines = shown("open", "ines");
        for wanted in [
            "data-sign=\"change-sign\"",
            "data-sign=\"change-reject\"",
            "C-2: person.enrolled of eve",
            "ENROL eve\n",
            "acorn actor",
            "lockgate change sign C-2",
            "in 1 h",
        ] {
            assert!(ines.contains(wanted), "{wanted}: {ines}");
        }
        let sam = shown("open", "sam");
        assert!(sam.contains("You signed it") && !sam.contains("change sign C-2"), "{sam}");
        assert!(sam.contains("data-sign=\"change-reject\"") && !sam.contains("data-sign=\"change-sign\""), "{sam}");
        let dana = shown("open", "dana");
        assert!(dana.contains("not you: ines may") && !dana.contains("change sign C-2"), "{dana}");
        assert!(dana.contains("disabled>Reject it</button>") && !dana.contains("data-sign"), "{dana}");
        let ended = shown("rejected", "ines");
        assert!(!ended.contains("change sign") && !ended.contains("change reject"), "{ended}");
        for text in [ines, ended] {
            assert!(!text.contains("<script") && !text.contains('\u{202e}') && !text.contains(" style="), "{text}");
        }
    }

    #[test]
    fn the_list_leads_to_each_and_an_empty_one_to_a_command() {
        let sam: PersonId = "sam".parse().unwrap();
        let text = list(&[row("open")], "open", &sam, UnixMillis(0)).into_string();
        for wanted in ["href=\"/changes/C-2\"", "(you too)", "<option value=\"open\" selected>", "person.enrolled"] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
        let none = list(&[], "", &sam, UnixMillis(0)).into_string();
        assert!(none.contains("lockgate policy activate"), "{none}");
        assert!(list(&[], "stale", &sam, UnixMillis(0)).into_string().contains("Show all"));
    }
}
