//! One promotion: the evidence checklist, why it is blocked, and what can be done about it.

pub mod background;

use std::collections::BTreeSet;

use lockgate_api::wire::{ApprovalRow, GateRow, PromotionReply};
use lockgate_model::facts::{PromotionKind, Verdict};
use lockgate_model::{PersonId, UnixMillis};
use maud::{Markup, html};

use crate::Rights;
use crate::action::{problem, refused};
use crate::origin::{entry, who};
use crate::policy::exceptions;
use crate::service::{diff_link, release_link};
use crate::signing::{self, hidden, line};
use crate::wording::{ago, command, digest, digest_in_link, outcome, promotion_kind, size, until, visible};

/// The page's content; `waivable` are the gates of the active policy set of which a finding can be waived.
pub fn content(
    promotion: &PromotionReply,
    waivable: &BTreeSet<String>,
    rights: &Rights,
    person: &PersonId,
    now: UnixMillis,
) -> Markup {
    let blocked: Vec<&GateRow> =
        promotion.gates.iter().filter(|gate| matches!(gate.outcome.as_str(), "fail" | "pending")).collect();
    html! {
        (header(promotion, now))
        div.columns {
            section aria-labelledby="gates-title" {
                h2 id="gates-title" { "Gates" }
                (gates(promotion))
                (approvals(&promotion.approvals, now))
                (artifacts(promotion))
            }
            section aria-labelledby="why-title" {
                (why(promotion, &blocked, waivable))
                (actions(promotion, rights, person))
            }
        }
    }
}

fn header(promotion: &PromotionReply, now: UnixMillis) -> Markup {
    let service = promotion.release.service.as_str();
    html! {
        p.crumbs { a href="/" { "Pipeline" } " / " a href={ "/services/" (service) } { (service) } }
        h1 { (promotion.promotion) ": " a href=(release_link(&promotion.release)) { (promotion.release) } " into " (promotion.environment.as_str()) }
        p {
            (outcome(&promotion.status))
            " · " (promotion_kind(promotion.kind)) " asked by " strong { (promotion.requester.as_str()) } " "
            (ago(promotion.requested_at, now)) ": " (visible(&promotion.reason))
        }
        @if let Some(closed) = &promotion.closed { p.quiet { (visible(closed)) } }
        dl.facts {
            dt { "Manifest" } dd { (digest(&promotion.manifest)) }
            dt { "Runs there now" }
            dd {
                @match &promotion.running {
                    Some(running) => {
                        a href=(release_link(&running.release)) { (running.release) } " since " (ago(running.since, now))
                        @if running.release != promotion.release {
                            ", " a href=(diff_link(&running.release, &promotion.release, Some(&promotion.environment))) {
                                "what would change"
                            }
                        }
                    },
                    None => { "nothing" },
                }
            }
            dt { "Decided" }
            dd {
                (ago(promotion.decided_at, now)) " under policy set " (digest(&promotion.policy))
                @for used in &promotion.feeds { ", with the feed " (used.feed) " " (digest(&used.digest)) }
                @if let Some(index) = promotion.decision_index {
                    ", entry " a href={ "/timeline?before=" (index + 1) } { (index) }
                } @else { ", looked at again just now" }
            }
            dt { "Ends" } dd { (until(promotion.expires_at, now)) }
            @if let Some(granted) = promotion.granted_until { dt { "Granted until" } dd { (until(granted, now)) } }
        }
        @if !promotion.suspects.is_empty() {
            div.problem role="alert" {
                p { strong { "Suspect." } " This rested on a key that was found compromised later:" }
                ul { @for suspect in &promotion.suspects { li { (visible(&suspect.why)) } } }
            }
        }
    }
}

/// Gates by what they mean for the promotion, the most pressing first; what is passed is folded away while something is
/// not.
fn gates(promotion: &PromotionReply) -> Markup {
    let (mut blocking, mut warned, mut passed) = (Vec::new(), Vec::new(), Vec::new());
    for gate in &promotion.gates {
        match gate.outcome.as_str() {
            "fail" | "pending" => blocking.push(gate),
            "pass" => passed.push(gate),
            // Waived, overridden, or no more than a warning.
            _ => warned.push(gate),
        }
    }
    let list = |gates: &[&GateRow]| html! { ul.gates { @for gate in gates { (gate_line(gate, promotion)) } } };
    html! {
        p.quiet id="gate-counts" {
            (blocking.len()) " blocking, " (warned.len()) " with a warning, " (passed.len()) " passed"
        }
        @if !blocking.is_empty() { h3 { "Blocking (" (blocking.len()) ")" } (list(&blocking)) }
        @if !warned.is_empty() { h3 { "Warned, waived or overridden (" (warned.len()) ")" } (list(&warned)) }
        @if !passed.is_empty() {
            details id="gates-passed" open[blocking.is_empty() && warned.is_empty()] {
                summary { "Passed (" (passed.len()) ")" }
                (list(&passed))
            }
        }
    }
}

fn gate_line(gate: &GateRow, promotion: &PromotionReply) -> Markup {
    html! {
        li id={ "gate-" (gate.gate) } data-row {
            div.gate {
                (outcome(&gate.outcome)) " "
                strong { (visible(&gate.gate)) } " "
                span.quiet { (visible(&gate.kind)) " · " code { (visible(&gate.file)) ":" (gate.line) } }
            }
            dl {
                dt { "needed" } dd { (visible(&gate.needed)) }
                dt { "found" } dd { (visible(&gate.found)) }
                @for one in &gate.evidence {
                    dt { "evidence" }
                    dd {
                        a href={ "/evidence/" (one) } { (digest_in_link(one)) }
                        @for source in promotion.sources.iter().filter(|source| source.evidence == *one) {
                            " " (visible(&source.claim)) ", " (who(source)) ", " (entry(source.index))
                        }
                    }
                }
            }
        }
    }
}

fn why(promotion: &PromotionReply, blocked: &[&GateRow], waivable: &BTreeSet<String>) -> Markup {
    html! {
        @if blocked.is_empty() {
            h2 id="why-title" { "Nothing stands against it" }
            p { "Every gate that blocks is passed." }
        } @else {
            h2 id="why-title" { "Why it is blocked" }
            ol.why {
                @for gate in blocked {
                    li {
                        p { code { (gate.reason) } " " (visible(&gate.found)) }
                        p.quiet { "needed: " (visible(&gate.needed)) }
                        @if !gate.who.is_empty() { p { "who: " (visible(&gate.who)) } }
                        @if !gate.fix.is_empty() {
                            (command(&format!("fix-{}-{}", promotion.promotion, gate.gate), &visible(&gate.fix)))
                        }
                        @if waivable.contains(&gate.gate) && matches!(promotion.status.as_str(), "pending" | "denied") {
                            (waive(promotion, &gate.gate))
                        }
                    }
                }
            }
        }
    }
}

/// Asks for a waiver of one finding, for this release and this environment.
fn waive(promotion: &PromotionReply, gate: &str) -> Markup {
    let (release, environment) = (promotion.release.to_string(), promotion.environment.as_str());
    let place = html! {
        (hidden("gate", gate))
        (hidden("service", promotion.release.service.as_str()))
        (hidden("release", &release))
        (hidden("environment", environment))
    };
    html! {
        details id={ "waive-more-" (gate) } {
            summary { "Ask for a waiver of one finding" }
            (exceptions::ask(&format!("waive-{gate}"), &place))
            (command(
                &format!("cli-waive-{gate}"),
                &format!("lockgate waive request --gate {gate} --finding FINDING --release {release} --env {environment} --reason REASON"),
            ))
            p.quiet { "What was asked for stands in " a href="/policy#waivers-title" { "Waivers" } ", where another person grants it." }
        }
    }
}

fn approvals(approvals: &[ApprovalRow], now: UnixMillis) -> Markup {
    html! {
        @if !approvals.is_empty() {
            h2 { "Approvals" }
            ul.approvals {
                @for approval in approvals {
                    li {
                        (outcome(if approval.verdict == Verdict::Approve { "approve" } else { "reject" }))
                        " " strong { (approval.person.as_str()) } " " (ago(approval.recorded_at, now))
                        ", entry " (approval.index)
                        @if approval.withdrawn { " " (outcome("withdrawn")) }
                        @if let Some(seconds) = approval.review_seconds { ", after " (seconds) " s of reading" }
                        ", opened " (approval.evidence_opened) " of " (approval.evidence_listed) " pieces of evidence"
                    }
                }
            }
        }
    }
}

fn artifacts(promotion: &PromotionReply) -> Markup {
    html! {
        h2 { "Artifacts" }
        ul.plain {
            @for artifact in &promotion.artifacts {
                li { (visible(&artifact.name)) " " span.quiet { (size(artifact.size_bytes)) } " " (digest(&artifact.digest)) }
            }
        }
    }
}

fn actions(promotion: &PromotionReply, rights: &Rights, person: &PersonId) -> Markup {
    let id = promotion.promotion;
    let (service, environment) = (promotion.release.service.as_str(), promotion.environment.as_str());
    html! {
        h2 { "What you can do" }
        @if matches!(promotion.status.as_str(), "pending" | "denied") {
            (decide(promotion, rights, person))
            (take_back(promotion, person))
            (withdraw(promotion, rights, person))
            (evaluate(promotion, rights))
        }
        (command("cli-why", &format!("lockgate why {id}")))
        (command("cli-bundle", &format!("lockgate bundle get {id}")))
        @if promotion.status == "granted" {
            (command("cli-verify", &format!("lockgate verify FILE --service {service} --env {environment}")))
        }
        p { a href={ "/v1/promotions/" (id) "/bundle" } download={ (id) ".lockgate" } { "Download the bundle" } }
        p { a href={ "/services/" (service) "#rollback-" (environment) } { "Go back to an earlier release" } }
    }
}

fn decide(promotion: &PromotionReply, rights: &Rights, person: &PersonId) -> Markup {
    let id = promotion.promotion;
    html! {
        @if rights.may("approve") || rights.may("reject") {
            @if promotion.requester == *person {
                p.quiet { "You asked for it, so your own approval does not count." }
            }
            p { a.button id="decide" href={ "/approve/" (id) } { "Read and decide" } }
        } @else {
            (refused("Read and decide", rights, "approve"))
        }
        (command("cli-approve", &format!("lockgate approve {id}")))
        (command("cli-reject", &format!("lockgate reject {id} --comment REASON")))
    }
}

/// Taking one's own approval back, as long as nothing was granted on it; for others, who may.
fn take_back(promotion: &PromotionReply, person: &PersonId) -> Markup {
    let id = promotion.promotion;
    let counted = |row: &&ApprovalRow| row.verdict == Verdict::Approve && !row.withdrawn;
    let people: BTreeSet<&str> =
        promotion.approvals.iter().filter(counted).map(|approval| approval.person.as_str()).collect();
    let names: Vec<&str> = people.iter().copied().collect();
    let fields = html! {
        (hidden("promotion", &id.to_string()))
        (hidden("release", &promotion.release.to_string()))
        (line("take-back-reason", "reason", "Why you take it back; may be left empty", false))
    };
    html! {
        @if people.contains(person.as_str()) {
            (signing::form("approval-withdraw", "take-back", "Take your approval back", &fields))
            (command("cli-take-back", &format!("lockgate approve {id} --withdraw --comment REASON")))
        } @else if !people.is_empty() {
            p.refused {
                button type="button" disabled { "Take the approval back" }
                " " span.quiet { "not you: " (names.join(", ")) " approved it, and may" }
            }
        }
    }
}

fn withdraw(promotion: &PromotionReply, rights: &Rights, person: &PersonId) -> Markup {
    let id = promotion.promotion;
    html! {
        @if promotion.requester != *person {
            p.refused {
                button type="button" disabled { "Withdraw it" }
                " " span.quiet { "not you: " (promotion.requester.as_str()) " asked for it, and may" }
            }
        } @else if rights.may("withdraw") {
            form.act data-act={ "/v1/promotions/" (id) "/withdrawal" } data-method="POST" method="post" {
                label for="withdraw-reason" { "Why it is withdrawn" }
                input id="withdraw-reason" name="reason" type="text" maxlength="1024" autocomplete="off";
                button.plain id="withdraw" type="submit" { "Withdraw it" }
                (problem())
            }
        } @else {
            (refused("Withdraw it", rights, "withdraw"))
        }
        (command("cli-withdraw", &format!("lockgate withdraw {id} --reason REASON")))
    }
}

/// Asking once more for what is open decides on it anew, and makes no second promotion.
fn evaluate(promotion: &PromotionReply, rights: &Rights) -> Markup {
    let (id, release, environment) =
        (promotion.promotion, promotion.release.to_string(), promotion.environment.as_str());
    let (permission, path, verb) = match promotion.kind {
        PromotionKind::Promotion => ("request", "/v1/promotions", "promote"),
        PromotionKind::Rollback => ("rollback", "/v1/rollbacks", "rollback"),
    };
    let reason = format!("evaluate {id} again");
    html! {
        @if rights.may(permission) {
            form.act data-act=(path) data-method="POST" method="post" {
                input type="hidden" name="release" value=(release);
                input type="hidden" name="environment" value=(environment);
                input type="hidden" name="reason" value=(reason);
                p.quiet { "Every gate looks again at what there is now; what already asked stays the same promotion." }
                button.plain id="evaluate" type="submit" { "Evaluate now" }
                (problem())
            }
        } @else {
            (refused("Evaluate now", rights, permission))
        }
        (command("cli-evaluate", &format!("lockgate {verb} {release} --to {environment} --reason \"{reason}\"")))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use lockgate_model::Digest;

    pub(super) fn promotion() -> PromotionReply {
        let hostile = "<script>alert(1)</script>\u{202e}";
        PromotionReply {
            promotion: "P-3".parse().unwrap(),
            release: "shop/web@1.4.2".parse().unwrap(),
            manifest: Digest::of(b"manifest"),
            artifacts: Vec::new(),
            environment: "production".parse().unwrap(),
            kind: PromotionKind::Promotion,
            requester: "dana".parse().unwrap(),
            reason: hostile.to_owned(),
            requested_at: UnixMillis(0),
            expires_at: UnixMillis(7_200_000),
            status: "pending".to_owned(),
            closed: None,
            running: None,
            replaced: None,
            outcome: "pending".to_owned(),
            policy: Digest::of(b"policy"),
            decided_at: UnixMillis(0),
            decision_index: None,
            feeds: Vec::new(),
            gates: vec![GateRow {
                gate: "people".to_owned(),
                kind: "approvals".to_owned(),
                outcome: "pending".to_owned(),
                reason: "QUORUM_NOT_MET".to_owned(),
                file: "gates.toml".to_owned(),
                line: 14,
                needed: hostile.to_owned(),
                found: "0 of 1".to_owned(),
                evidence: Vec::new(),
                who: "sam".to_owned(),
                fix: format!("lockgate approve P-3 {hostile}"),
            }],
            sources: Vec::new(),
            approvals: Vec::new(),
            approved_before: Vec::new(),
            firsts: Vec::new(),
            granted_until: None,
            suspects: Vec::new(),
        }
    }

    fn waivable() -> BTreeSet<String> {
        BTreeSet::from(["vulnerabilities".to_owned()])
    }

    #[test]
    fn a_waiver_is_asked_for_where_the_gate_knows_findings() {
        let shown = |gate: &str, status: &str| {
            let mut promotion = PromotionReply { status: status.to_owned(), ..promotion() };
            promotion.gates[0].gate = gate.to_owned();
            content(&promotion, &waivable(), &Rights::default(), &"sam".parse().unwrap(), UnixMillis(0)).into_string()
        };
        let text = shown("vulnerabilities", "denied");
        for wanted in
            ["data-sign=\"waiver-request\"", "name=\"release\" value=\"shop/web@1.4.2\"", "lockgate waive request"]
        {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
        for text in [shown("people", "denied"), shown("vulnerabilities", "granted")] {
            assert!(!text.contains("data-sign"), "{text}");
        }
    }

    #[test]
    fn controls_are_for_whom_they_are_and_say_who_may() {
        let mut rights = Rights { may: vec!["withdraw".to_owned()], ..Rights::default() };
        rights.others.insert("approve".to_owned(), "group approvers".to_owned());
        let dana = content(&promotion(), &waivable(), &rights, &"dana".parse().unwrap(), UnixMillis(0)).into_string();
        assert!(dana.contains("data-act=\"/v1/promotions/P-3/withdrawal\"") && dana.contains("group approvers may"));
        assert!(!dana.contains("href=\"/approve/P-3\""), "{dana}");
        let rights = Rights { may: vec!["approve".to_owned()], ..Rights::default() };
        let sam = content(&promotion(), &waivable(), &rights, &"sam".parse().unwrap(), UnixMillis(0)).into_string();
        assert!(sam.contains("href=\"/approve/P-3\"") && !sam.contains("data-act"), "{sam}");
        assert!(sam.contains("dana asked for it, and may"), "{sam}");
        for wanted in ["QUORUM_NOT_MET", "gates.toml", "0 of 1", "who: sam"] {
            assert!(sam.contains(wanted), "{wanted}: {sam}");
        }
        assert!(!sam.contains("<script") && !sam.contains('\u{202e}'), "{sam}");
    }

    #[test]
    fn an_approval_is_taken_back_by_who_gave_it_as_long_as_nothing_is_granted() {
        let approval = |person: &str, verdict: Verdict, withdrawn: bool| ApprovalRow {
            person: person.parse().unwrap(),
            verdict,
            key: "SHA256:key".to_owned(),
            document: Digest::of(person.as_bytes()),
            index: 9,
            recorded_at: UnixMillis(0),
            expires_at: UnixMillis(1),
            review_seconds: None,
            evidence_opened: 0,
            evidence_listed: 0,
            comment: None,
            withdrawn,
            rubber_stamp: None,
        };
        let check = |person: &str, status: &str, approvals: &[ApprovalRow], form: bool, refused: Option<&str>| {
            let promotion = PromotionReply { status: status.to_owned(), approvals: approvals.to_vec(), ..promotion() };
            let text = content(&promotion, &waivable(), &Rights::default(), &person.parse().unwrap(), UnixMillis(0));
            let text = text.into_string();
            assert_eq!(text.contains("data-sign=\"approval-withdraw\""), form, "{person}: {text}");
            assert_eq!(text.contains("lockgate approve P-3 --withdraw"), form, "{person}: {text}");
            let says = "disabled>Take the approval back</button>";
            assert_eq!(text.contains(says), refused.is_some(), "{person}: {text}");
            assert!(text.contains(refused.unwrap_or_default()), "{person}: {text}");
        };
        let given = [approval("sam", Verdict::Approve, false), approval("kim", Verdict::Approve, false)];
        let others = Some("not you: kim, sam approved it, and may");
        check("sam", "pending", &given, true, None);
        check("kim", "denied", &given, true, None);
        check("dana", "pending", &given, false, others);
        check("sam", "granted", &given, false, None);
        check("sam", "pending", &[approval("sam", Verdict::Approve, true)], false, None);
        check("sam", "pending", &[approval("sam", Verdict::Reject, false)], false, None);
        check("sam", "pending", &[], false, None);
    }

    #[test]
    fn gates_are_grouped_and_say_who_signed_what_they_saw() {
        let mut promotion = promotion();
        let base = promotion.gates[0].clone();
        let source = crate::origin::tests::source(&["builder"]);
        let passed = GateRow {
            gate: "built".to_owned(),
            outcome: "pass".to_owned(),
            evidence: vec![source.evidence],
            ..base.clone()
        };
        let warned = GateRow { gate: "licences".to_owned(), outcome: "warn".to_owned(), ..base };
        promotion.gates.extend([passed, warned]);
        promotion.sources = vec![source];
        let page = |promotion: &PromotionReply| {
            content(promotion, &waivable(), &Rights::default(), &"sam".parse().unwrap(), UnixMillis(0)).into_string()
        };
        let text = page(&promotion);
        for wanted in [
            "1 blocking, 1 with a warning, 1 passed",
            "<details id=\"gates-passed\"><summary>Passed (1)",
            "<strong>builder</strong>",
            "/timeline?before=8",
        ] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
        let at = |id: &str| text.find(&format!("id=\"gate-{id}\"")).unwrap();
        assert!(at("people") < at("licences") && at("licences") < at("built"), "{text}");
        // Where nothing else is to be seen, what is passed is not folded away.
        promotion.gates.retain(|gate| gate.outcome == "pass");
        assert!(page(&promotion).contains("<details id=\"gates-passed\" open>"));
    }

    #[test]
    fn what_is_open_is_evaluated_anew_by_who_may_ask_for_it() {
        let check = |kind: PromotionKind, permission: &str, status: &str, wanted: Option<&str>| {
            let rights = Rights { may: vec![permission.to_owned()], ..Rights::default() };
            let promotion = PromotionReply { kind, status: status.to_owned(), ..promotion() };
            let text = content(&promotion, &waivable(), &rights, &"sam".parse().unwrap(), UnixMillis(0)).into_string();
            assert_eq!(text.contains("id=\"evaluate\""), wanted.is_some(), "{text}");
            let act = wanted.map(|path| format!("data-act=\"{path}\"")).unwrap_or_default();
            assert!(text.contains(&act), "{act}: {text}");
        };
        check(PromotionKind::Promotion, "request", "pending", Some("/v1/promotions"));
        check(PromotionKind::Rollback, "rollback", "denied", Some("/v1/rollbacks"));
        check(PromotionKind::Rollback, "request", "pending", None);
        check(PromotionKind::Promotion, "request", "granted", None);
    }
}
