//! The inbox: only what the person can decide now, what of it this browser keeps folded, and who approves for whom.

use std::collections::BTreeMap;

use lockgate_api::wire::{BreakGlassRow, ChangeRow, DelegationRow, InboxPromotion, InboxReply, SuspectRow, WaiverRow};
use lockgate_model::{PersonId, UnixMillis};
use maud::{Markup, html};

use crate::Rights;
use crate::action::{problem, refused};
use crate::delegations;
use crate::wording::{ago, command, promotion_kind, until, visible};

/// How many delegations are listed; the page of the keys has all.
const DELEGATIONS: usize = 20;

/// The page's content. `folded` says which lines are snoozed, by what they are about, such as `P-3`, and until when.
pub fn content(
    inbox: &InboxReply,
    folded: &BTreeMap<String, UnixMillis>,
    rights: &Rights,
    person: &PersonId,
    now: UnixMillis,
) -> Markup {
    // These are never folded up.
    let none_unfoldable = inbox.waivers.is_empty() && inbox.break_glass.is_empty();
    let nothing = inbox.promotions.is_empty() && inbox.changes.is_empty() && none_unfoldable;
    let wakes = |id: String| folded.get(&id).copied();
    let (snoozed_promotions, promotions): (Vec<_>, Vec<_>) =
        inbox.promotions.iter().partition(|one| wakes(one.promotion.to_string()).is_some());
    let (snoozed_changes, changes): (Vec<_>, Vec<_>) =
        inbox.changes.iter().partition(|one| wakes(one.change.to_string()).is_some());
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
        } @else if promotions.is_empty() && changes.is_empty() && none_unfoldable {
            div.empty { p { "Whatever waits for you here is snoozed." } }
        }
        @if !inbox.break_glass.is_empty() {
            section aria-labelledby="glass-title" {
                h2 id="glass-title" { "Break-glass" }
                ul.inbox { @for one in &inbox.break_glass { (break_glass(one, now)) } }
            }
        }
        @if !promotions.is_empty() || inbox.next.is_some() {
            section aria-labelledby="promotions-title" {
                h2 id="promotions-title" { "Promotions" }
                ul.inbox { @for one in promotions { (promotion(one, None, person, now)) } }
                @if let Some(next) = &inbox.next {
                    p { a.more href={ "/inbox?after=" (next) } { "More promotions" } }
                }
            }
        }
        @if !changes.is_empty() {
            section aria-labelledby="changes-title" {
                h2 id="changes-title" { "Changes of keys, people and policy" }
                ul.inbox { @for one in changes { (change(one, None, now)) } }
            }
        }
        @if !inbox.waivers.is_empty() {
            section aria-labelledby="waivers-title" {
                h2 id="waivers-title" { "Waivers asked for" }
                ul.inbox { @for one in &inbox.waivers { (waiver(one, now)) } }
            }
        }
        p { a href="/changes" { "All proposed changes" } }
        @if !nothing { (command("cli-inbox", "lockgate inbox")) }
        (lent(&inbox.delegations, rights, person, now))
        @if !folded.is_empty() {
            details id="snoozed" {
                summary { "Snoozed (" (snoozed_promotions.len() + snoozed_changes.len()) ")" }
                p.quiet { "Folded up in this browser alone. It waits for you all the same, and is counted." }
                ul.inbox {
                    @for one in snoozed_promotions {
                        (promotion(one, wakes(one.promotion.to_string()), person, now))
                    }
                    @for one in snoozed_changes { (change(one, wakes(one.change.to_string()), now)) }
                }
            }
        }
    }
}

fn promotion(one: &InboxPromotion, wakes: Option<UnixMillis>, person: &PersonId, now: UnixMillis) -> Markup {
    let id = one.promotion;
    let (release, environment) = (&one.release, one.environment.as_str());
    let delegate = format!(
        "lockgate delegate add NAME --service {} --env {environment} --for 7d --reason REASON --as {person}",
        release.service
    );
    html! {
        li id={ "row-" (id) } data-row {
            p.line {
                a href={ "/promotions/" (id) } { strong { (id) ": " (release) " into " (environment) } }
                " " span.quiet { (promotion_kind(one.kind)) }
            }
            p {
                "asked by " strong { (one.requester.as_str()) } " " (ago(one.requested_at, now)) ": " (visible(&one.reason))
            }
            @for lent in &one.lent {
                p {
                    "here because " strong { (lent.from.as_str()) } " lent you the right to approve, in "
                    (entry_link(lent.delegation)) span.quiet { ", which ends " (until(lent.expires_at, now)) }
                }
            }
            ul.missing { @for missing in &one.missing { li { "missing: " (visible(missing)) } } }
            p.quiet { "ends " (until(one.expires_at, now)) }
            div.choices {
                a.button href={ "/promotions/" (id) } { "Open" }
                (snooze(&id.to_string(), wakes, now))
                // What is lent cannot be lent on.
                @if one.lent.is_empty() {
                    details id={ "delegate-" (id) } {
                        summary { "Delegate …" }
                        p.quiet { "Lends someone your right to approve for this service and environment." }
                        (delegations::lend(&format!("lend-{id}"), &delegations::one_place(release.service.as_str(), environment)))
                        (command(&format!("cli-delegate-{id}"), &delegate))
                    }
                }
            }
            (command(&format!("cli-{id}"), &format!("lockgate approve {id}")))
        }
    }
}

fn change(one: &ChangeRow, wakes: Option<UnixMillis>, now: UnixMillis) -> Markup {
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
            div.choices {
                a.button href={ "/changes/" (id) } { "Open" }
                (snooze(&id.to_string(), wakes, now))
            }
            (command(&format!("cli-show-{id}"), &format!("lockgate change show {id}")))
            (command(&format!("cli-{id}"), &format!("lockgate change sign {id}")))
        }
    }
}

fn waiver(one: &WaiverRow, now: UnixMillis) -> Markup {
    let (asked, entry) = (&one.asked, one.waiver);
    let place = asked.release.as_ref().map_or_else(|| asked.service.to_string(), ToString::to_string);
    html! {
        li id={ "row-waiver-" (entry) } data-row {
            p.line {
                strong { (visible(&asked.finding)) } " of the gate " strong { (asked.gate.as_str()) } " for "
                (place) " in " (asked.environment.as_str())
            }
            p { "asked by " strong { (asked.asked_by.as_str()) } ": " (visible(&asked.reason)) }
            p.quiet { "ends " (until(asked.expires_at, now)) }
            (command(&format!("cli-waiver-{entry}"), &format!("lockgate waive grant {entry}")))
        }
    }
}

fn break_glass(one: &BreakGlassRow, now: UnixMillis) -> Markup {
    let index = one.break_glass;
    let signers: Vec<&str> = one.signed_by.iter().map(PersonId::as_str).collect();
    let reviews = one.state == "unreviewed";
    html! {
        li id={ "row-glass-" (index) } data-row {
            p.line {
                a href={ "/freeze#glass-" (index) } { strong { (one.release) " into " (one.environment.as_str()) } }
                " " span.quiet { "past its gates" }
            }
            p {
                "signed by " strong { (signers.join(", ")) } ", opened " (ago(one.opened_at, now)) ": "
                (visible(&one.reason)) " " span.quiet { "ticket " (visible(&one.ticket)) }
            }
            @if reviews {
                p { "missing: a review by somebody who did not sign it; until then there is no next one" }
            } @else {
                p { "missing: signatures, " (signers.len()) " of " (one.needed) " are there" }
                p.quiet { "ends " (until(one.expires_at, now)) }
            }
            div.choices { a.button href={ "/freeze#glass-" (index) } { "Open" } }
            @if reviews {
                (command(&format!("cli-glass-{index}"), &format!("lockgate break-glass review {index} --finding FINDING")))
            } @else {
                (command(&format!("cli-glass-{index}"), &format!("lockgate break-glass sign {index}")))
            }
        }
    }
}

/// The buttons that fold a line up, or, where it is folded, the one that shows it again.
fn snooze(id: &str, wakes: Option<UnixMillis>, now: UnixMillis) -> Markup {
    let (act, method) = (format!("/v1/inbox/snoozes/{id}"), if wakes.is_some() { "DELETE" } else { "POST" });
    html! {
        form data-act=(act) data-method=(method) method="post" {
            @if let Some(wakes) = wakes {
                button.plain id={ "wake-" (id) } type="submit" aria-label={ "Wake " (id) } { "Wake" }
                span.quiet { "wakes " (until(wakes, now)) }
            } @else {
                @for (lasts, label) in [("day", "Snooze until tomorrow"), ("week", "Snooze for a week")] {
                    button.plain id={ "snooze-" (id) "-" (lasts) } type="submit" name="lasts" value=(lasts)
                        aria-label={ (label) ": " (id) } { (label) }
                }
            }
            (problem())
        }
    }
}

fn lent(rows: &[DelegationRow], rights: &Rights, person: &PersonId, now: UnixMillis) -> Markup {
    let more = rows.len().saturating_sub(DELEGATIONS);
    html! {
        section aria-labelledby="delegations-title" {
            h2 id="delegations-title" { "Delegations" }
            @if rows.is_empty() { p.quiet { "Nobody approves in your place, and you in nobody's." } }
            ul.inbox { @for one in rows.iter().take(DELEGATIONS) { (delegation(one, rights, person, now)) } }
            @if more > 0 { p.quiet { (more) " more are in force." } }
            @if rights.may("approve") {
                details id="delegate" {
                    summary { "Delegate …" }
                    p.quiet { "Lends someone your right to approve for a while, by a document that your key signs." }
                    (delegations::lend("lend", &delegations::any_place("lend")))
                    (command(
                        "cli-delegate",
                        &format!("lockgate delegate add NAME --for 7d --reason REASON --as {person}"),
                    ))
                }
            } @else {
                p.quiet { "You have no right to approve of your own that you could lend." }
                (refused("Lend it", rights, "approve"))
            }
            p { a href="/keys#delegations-title" { "All delegations" } }
        }
    }
}

fn delegation(one: &DelegationRow, rights: &Rights, person: &PersonId, now: UnixMillis) -> Markup {
    let you = |name: &PersonId| if name == person { "you".to_owned() } else { name.to_string() };
    html! {
        li id={ "delegation-" (one.delegation) } data-row {
            p {
                "from " strong { (you(&one.from)) } " to " strong { (you(&one.to)) } ", " (entry_link(one.delegation)) ": "
                (visible(&one.reason))
            }
            p.quiet {
                (all_or(&one.groups, "all groups")) "; " (all_or(&one.services, "all services")) "; "
                (all_or(&one.environments, "all environments")) "; ends " (until(one.expires_at, now))
            }
            (delegations::end(one, rights, person))
        }
    }
}

fn entry_link(index: u64) -> Markup {
    html! { a href={ "/timeline?before=" (index.saturating_add(1)) } { "entry " (index) } }
}

fn all_or<T: ToString>(names: &[T], all: &str) -> String {
    match names.is_empty() {
        true => all.to_owned(),
        false => names.iter().map(T::to_string).collect::<Vec<_>>().join(", "),
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
                        (entry_link(suspect.index)) " " (visible(&suspect.what)) ": " (visible(&suspect.why))
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_api::wire::{LentBy, WaiverRequest};
    use lockgate_model::Digest;
    use lockgate_model::facts::PromotionKind;

    fn inbox() -> InboxReply {
        InboxReply {
            promotions: Vec::new(),
            changes: Vec::new(),
            waivers: Vec::new(),
            break_glass: Vec::new(),
            suspects: Vec::new(),
            delegations: Vec::new(),
            next: None,
        }
    }

    fn waiting(id: &str, reason: &str) -> InboxPromotion {
        InboxPromotion {
            promotion: id.parse().unwrap(),
            release: "shop/web@1.4.2".parse().unwrap(),
            environment: "production".parse().unwrap(),
            kind: PromotionKind::Promotion,
            requester: "dana".parse().unwrap(),
            reason: reason.to_owned(),
            requested_at: UnixMillis(0),
            expires_at: UnixMillis(7_200_000),
            missing: vec![format!("people: {reason}")],
            lent: Vec::new(),
        }
    }

    fn proposed(id: &str) -> ChangeRow {
        ChangeRow {
            change: id.parse().unwrap(),
            event: "policy.activated".to_owned(),
            permission: "policy".to_owned(),
            subject: None,
            status: "open".to_owned(),
            missing: 1,
            signed_by: Vec::new(),
            proposed_at: UnixMillis(0),
            expires_at: UnixMillis(7_200_000),
            outcome: None,
        }
    }

    /// The page for sam, who may approve, an hour after 1970 began.
    fn page(inbox: &InboxReply, folded: &[&str]) -> String {
        let rights = Rights { may: vec!["approve".to_owned()], ..Rights::default() };
        let folded = folded.iter().map(|id| ((*id).to_owned(), UnixMillis(5_400_000))).collect();
        content(inbox, &folded, &rights, &"sam".parse().unwrap(), UnixMillis(3_600_000)).into_string()
    }

    #[test]
    fn an_empty_inbox_says_so_and_where_the_rest_is() {
        let text = page(&inbox(), &[]);
        assert!(text.contains("Nothing waits for you") && text.contains("lockgate status"), "{text}");
        assert!(!text.contains("Snoozed"), "{text}");
    }

    #[test]
    fn a_line_says_what_from_whom_why_and_what_is_missing_and_stays_text() {
        let hostile = "<script>alert(1)</script>\u{202e}";
        let mut inbox = inbox();
        inbox.next = Some("P-3".parse().unwrap());
        inbox.promotions.push(waiting("P-3", hostile));
        inbox.delegations.push(delegation_from("kim", hostile));
        inbox.waivers.push(WaiverRow {
            waiver: 9,
            request: Some(9),
            state: "asked".to_owned(),
            void: None,
            asked: WaiverRequest {
                gate: "vulnerabilities".parse().unwrap(),
                finding: "CVE-2099-10001".to_owned(),
                service: "shop/web".parse().unwrap(),
                environment: "production".parse().unwrap(),
                release: None,
                artifact: None,
                reason: hostile.to_owned(),
                ticket: None,
                expires_at: UnixMillis(7_200_000),
                asked_by: "kim".parse().unwrap(),
                signature: String::new(),
            },
            granted_by: None,
            granted_at: None,
            ended_by: None,
        });
        inbox.suspects.push(SuspectRow {
            index: 7,
            event: "approval.recorded".to_owned(),
            what: hostile.to_owned(),
            why: "void".to_owned(),
            since: 9,
        });
        let text = page(&inbox, &[]);
        for wanted in [
            "P-3: shop/web@1.4.2 into production",
            "dana",
            "1 h ago",
            "in 1 h",
            "lockgate approve P-3",
            "/inbox?after=P-3",
            "/timeline?before=8",
            "CVE-2099-10001",
            "lockgate waive grant 9",
        ] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
        assert!(!text.contains("<script") && !text.contains('\u{202e}'), "{text}");
    }

    #[test]
    fn a_snoozed_line_is_folded_at_the_end_and_whole() {
        let mut inbox = inbox();
        inbox.promotions.extend([waiting("P-3", "one"), waiting("P-6", "two")]);
        inbox.changes.push(proposed("C-2"));
        let all = page(&inbox, &[]);
        for wanted in ["snooze-P-3-day", "snooze-P-6-week", "snooze-C-2-day", "/v1/inbox/snoozes/C-2"] {
            assert!(all.contains(wanted), "{wanted}: {all}");
        }
        let text = page(&inbox, &["P-6", "C-2"]);
        let (awake, snoozed) = text.split_once("<details id=\"snoozed\"").unwrap();
        for (id, here, not_here) in [("P-3", awake, snoozed), ("P-6", snoozed, awake), ("C-2", snoozed, awake)] {
            assert!(here.contains(&format!("id=\"row-{id}\"")), "{id}: {text}");
            assert!(!not_here.contains(&format!("id=\"row-{id}\"")), "{id}: {text}");
        }
        for wanted in [
            "Snoozed (2)",
            "href=\"/promotions/P-6\"",
            "href=\"/changes/C-2\"",
            "wake-P-6",
            "data-method=\"DELETE\"",
            "in 30 min",
        ] {
            assert!(snoozed.contains(wanted), "{wanted}: {text}");
        }
        assert!(!snoozed.contains("snooze-P-6-day") && !awake.contains("is snoozed"), "{text}");
        let text = page(&inbox, &["P-3", "P-6", "C-2"]);
        assert!(text.contains("Whatever waits for you here is snoozed") && text.contains("Snoozed (3)"), "{text}");
        assert!(!text.contains("Nothing waits for you"), "{text}");
    }

    fn glass(index: u64, state: &str, reason: &str) -> BreakGlassRow {
        BreakGlassRow {
            break_glass: index,
            release: "shop/web@1.4.2".parse().unwrap(),
            manifest: Digest::of(b"manifest"),
            environment: "production".parse().unwrap(),
            reason: reason.to_owned(),
            ticket: reason.to_owned(),
            opened_at: UnixMillis(0),
            expires_at: UnixMillis(7_200_000),
            signed_by: vec!["kim".parse().unwrap()],
            needed: 2,
            state: state.to_owned(),
            used: false,
            reviewed_by: None,
            finding: None,
        }
    }

    #[test]
    fn a_break_glass_waits_for_a_signature_or_for_a_review() {
        let hostile = "<script>alert(1)</script>\u{202e}";
        let mut inbox = inbox();
        inbox.break_glass.extend([glass(8, "open", hostile), glass(7, "unreviewed", hostile)]);
        let text = page(&inbox, &[]);
        for wanted in [
            "lockgate break-glass sign 8",
            "1 of 2 are there",
            "lockgate break-glass review 7 --finding FINDING",
            "a review by somebody who did not sign it",
            "href=\"/freeze#glass-7\"",
            "<strong>kim</strong>",
        ] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
        assert!(!text.contains("Nothing waits for you") && !text.contains("is snoozed"), "{text}");
        assert!(!text.contains("<script") && !text.contains('\u{202e}'), "{text}");
    }

    fn delegation_from(from: &str, reason: &str) -> DelegationRow {
        DelegationRow {
            delegation: 12,
            from: from.parse().unwrap(),
            to: "sam".parse().unwrap(),
            groups: Vec::new(),
            environments: vec!["production".parse().unwrap()],
            services: Vec::new(),
            granted_at: UnixMillis(0),
            expires_at: UnixMillis(7_200_000),
            reason: reason.to_owned(),
            open: true,
            ended_by: None,
        }
    }

    #[test]
    fn what_is_lent_is_named_and_is_not_lent_on() {
        let mut inbox = inbox();
        inbox.promotions.push(waiting("P-3", "one"));
        let own = page(&inbox, &[]);
        let wanted = "lockgate delegate add NAME --service shop/web --env production --for 7d --reason REASON --as sam";
        assert!(own.contains(wanted) && own.contains("Nobody approves in your place"), "{own}");
        assert!(own.contains("id=\"lend-P-3\"") && own.contains("name=\"services\" value=\"shop/web\""), "{own}");
        inbox.delegations.push(delegation_from("kim", "away"));
        let lent = LentBy { delegation: 12, from: "kim".parse().unwrap(), expires_at: UnixMillis(7_200_000) };
        inbox.promotions.iter_mut().for_each(|one| one.lent.push(lent.clone()));
        let text = page(&inbox, &[]);
        for wanted in [
            "<strong>kim</strong> lent you the right to approve",
            "from <strong>kim</strong> to <strong>you</strong>",
            "all groups; all services; production; ends ",
            "lockgate delegate end 12 --reason REASON --as sam",
            "data-sign=\"delegation-end\"",
            "lockgate delegate add NAME --for 7d --reason REASON --as sam",
            "id=\"lend\"",
        ] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
        assert!(!text.contains("delegate-P-3") && !text.contains("lend-P-3"), "{text}");
        let mut rights = Rights::default();
        rights.others.insert("approve".to_owned(), "group approvers".to_owned());
        let nobody = content(&inbox, &BTreeMap::new(), &rights, &"sam".parse().unwrap(), UnixMillis(0)).into_string();
        for wanted in ["no right to approve of your own", "disabled>Lend it</button>", "not you: group approvers may"] {
            assert!(nobody.contains(wanted), "{wanted}: {nobody}");
        }
        assert!(!nobody.contains("data-sign=\"delegate\""), "{nobody}");
    }
}
