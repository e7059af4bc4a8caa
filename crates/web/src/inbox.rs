//! The inbox: only what the person can decide now.

use lockgate_api::wire::{ChangeRow, InboxPromotion, InboxReply, SuspectRow};
use lockgate_model::UnixMillis;
use maud::{Markup, html};

use crate::wording::{ago, command, promotion_kind, until, visible};

/// The page's content.
pub fn content(inbox: &InboxReply, now: UnixMillis) -> Markup {
    let nothing = inbox.promotions.is_empty() && inbox.changes.is_empty();
    html! {
        h1 { "Needs you" }
        p.quiet { "Only what your own approval or signature would count for now." }
        @if !inbox.suspects.is_empty() { (alarms(&inbox.suspects)) }
        @if nothing {
            div.empty {
                p { "Nothing waits for you." }
                p.quiet { "What waits for others is on the " a href="/?state=open" { "pipeline" } ", or:" }
                (command("cli-status", "lockgate status"))
            }
        }
        @if !inbox.promotions.is_empty() {
            section aria-labelledby="promotions-title" {
                h2 id="promotions-title" { "Promotions" }
                ul.inbox { @for one in &inbox.promotions { (promotion(one, now)) } }
                @if let Some(next) = &inbox.next {
                    p { a.more href={ "/inbox?after=" (next) } { "More promotions" } }
                }
            }
        }
        @if !inbox.changes.is_empty() {
            section aria-labelledby="changes-title" {
                h2 id="changes-title" { "Changes of keys, people and policy" }
                ul.inbox { @for one in &inbox.changes { (change(one, now)) } }
            }
        }
        p { a href="/changes" { "All proposed changes" } }
        @if !nothing { (command("cli-inbox", "lockgate inbox")) }
    }
}

fn promotion(one: &InboxPromotion, now: UnixMillis) -> Markup {
    let id = one.promotion;
    html! {
        li id={ "row-" (id) } data-row {
            p.line {
                a href={ "/promotions/" (id) } { strong { (id) ": " (one.release) " into " (one.environment.as_str()) } }
                " " span.quiet { (promotion_kind(one.kind)) }
            }
            p {
                "asked by " strong { (one.requester.as_str()) } " " (ago(one.requested_at, now)) ": " (visible(&one.reason))
            }
            ul.missing { @for missing in &one.missing { li { "missing: " (visible(missing)) } } }
            p.quiet { "ends " (until(one.expires_at, now)) }
            p { a.button href={ "/promotions/" (id) } { "Open" } }
            (command(&format!("cli-{id}"), &format!("lockgate approve {id}")))
        }
    }
}

fn change(one: &ChangeRow, now: UnixMillis) -> Markup {
    let id = one.change;
    html! {
        li id={ "row-" (id) } data-row {
            p.line {
                a href={ "/changes/" (id) } { strong { (id) ": " (visible(&one.event)) } }
                @if let Some(subject) = &one.subject { " of " strong { (subject.as_str()) } }
            }
            p {
                @if let Some(by) = one.signed_by.first() { "proposed by " strong { (by.as_str()) } " " }
                (ago(one.proposed_at, now))
            }
            p { "missing: " (one.missing) " more " @if one.missing == 1 { "signature" } @else { "signatures" } }
            p.quiet { "ends " (until(one.expires_at, now)) }
            p { a.button href={ "/changes/" (id) } { "Open" } }
            (command(&format!("cli-show-{id}"), &format!("lockgate change show {id}")))
            (command(&format!("cli-{id}"), &format!("lockgate change sign {id}")))
        }
    }
}

fn alarms(suspects: &[SuspectRow]) -> Markup {
    html! {
        section.problem aria-labelledby="alarms-title" {
            h2 id="alarms-title" { span.icon aria-hidden="true" { "!" } " Suspect" }
            p { "This rested on keys that were found compromised later. Look at it, and promote again what should stand." }
            ul {
                @for suspect in suspects {
                    li id={ "suspect-" (suspect.index) } data-row {
                        a href={ "/timeline?before=" (suspect.index.saturating_add(1)) } { "entry " (suspect.index) }
                        " " (visible(&suspect.what)) ": " (visible(&suspect.why))
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_model::facts::PromotionKind;

    fn inbox() -> InboxReply {
        InboxReply { promotions: Vec::new(), changes: Vec::new(), suspects: Vec::new(), next: None }
    }

    #[test]
    fn an_empty_inbox_says_so_and_where_the_rest_is() {
        let text = content(&inbox(), UnixMillis(0)).into_string();
        assert!(text.contains("Nothing waits for you") && text.contains("lockgate status"), "{text}");
    }

    #[test]
    fn a_line_says_what_from_whom_why_and_what_is_missing_and_stays_text() {
        let hostile = "<script>alert(1)</script>\u{202e}";
        let mut inbox = inbox();
        inbox.next = Some("P-3".parse().unwrap());
        inbox.promotions.push(InboxPromotion {
            promotion: "P-3".parse().unwrap(),
            release: "shop/web@1.4.2".parse().unwrap(),
            environment: "production".parse().unwrap(),
            kind: PromotionKind::Promotion,
            requester: "dana".parse().unwrap(),
            reason: hostile.to_owned(),
            requested_at: UnixMillis(0),
            expires_at: UnixMillis(7_200_000),
            missing: vec![format!("people: {hostile}")],
        });
        inbox.suspects.push(SuspectRow {
            index: 7,
            event: "approval.recorded".to_owned(),
            what: hostile.to_owned(),
            why: "void".to_owned(),
            since: 9,
        });
        let text = content(&inbox, UnixMillis(3_600_000)).into_string();
        for wanted in [
            "P-3: shop/web@1.4.2 into production",
            "dana",
            "1 h ago",
            "in 1 h",
            "lockgate approve P-3",
            "/inbox?after=P-3",
            "/timeline?before=8",
        ] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
        assert!(!text.contains("<script") && !text.contains('\u{202e}'), "{text}");
    }
}
