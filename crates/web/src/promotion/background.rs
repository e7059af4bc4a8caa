//! Background: what stands behind a promotion besides its gates: what changes against what runs, what deserves a second
//! look, what people wrote when they signed, and who approved the same the last times.

use lockgate_api::wire::{ApprovalRow, DiffReply, FirstRow, PastApprovalRow, PromotionReply};
use lockgate_model::UnixMillis;
use lockgate_model::facts::Verdict;
use maud::{Markup, html};

use crate::origin::entry;
use crate::service::{diff_link, release_link};
use crate::wording::{ago, command, outcome, plural, size, visible};

/// From which growth in percent on a size deserves a second look.
const GROWTH_PERCENT: u64 = 20;

/// The page of a promotion with its background below; `against` is the comparison with what runs in the target, where
/// that is another release.
pub fn below(content: &Markup, promotion: &PromotionReply, against: Option<&DiffReply>, now: UnixMillis) -> Markup {
    html! {
        (content)
        (hints(promotion, against))
        @if let Some(diff) = against { (changes(promotion, diff)) }
        (words(&promotion.approvals, now))
        (before(promotion, now))
    }
}

/// Hints that something deserves a second look; each is something that the ledger or the comparison says.
fn hints(promotion: &PromotionReply, against: Option<&DiffReply>) -> Markup {
    let service = promotion.release.service.as_str();
    let mut hints: Vec<String> = promotion.firsts.iter().map(|first| first_text(first, service)).collect();
    hints.extend(against.map(growth).unwrap_or_default());
    html! {
        @if !hints.is_empty() {
            section aria-labelledby="hints-title" {
                h2 id="hints-title" { "Worth a second look" }
                ul.plain id="hints" {
                    @for hint in &hints {
                        li { span.state.warn { span.icon aria-hidden="true" { "!" } " hint" } " " (hint) }
                    }
                }
                p.quiet { "Hints only: no gate asks for them." }
            }
        }
    }
}

fn first_text(first: &FirstRow, service: &str) -> String {
    match first {
        FirstRow::Release {} => format!("It is the first release of {service}."),
        FirstRow::Publisher { by, among } => {
            let releases = plural(*among, "release", "releases");
            format!("{by} published it, and none of the {among} {releases} of {service} before it.")
        }
        FirstRow::Builder { builder } => {
            format!("No other release of {service} names the builder {}.", visible(builder))
        }
    }
}

/// What the comparison says that deserves a second look.
fn growth(diff: &DiffReply) -> Vec<String> {
    let mut hints = Vec::new();
    let new = diff.components.iter().filter(|one| one.before.is_none()).count() as u64;
    if new > 0 {
        hints.push(format!("It brings {new} new {}.", plural(new, "component", "components")));
    }
    if diff.sboms.0 && !diff.sboms.1 {
        hints.push(format!("{} has a bill of materials, and it has none.", diff.from));
    }
    if diff.scans.0 && !diff.scans.1 {
        hints.push(format!("{} was scanned, and it was not.", diff.from));
    }
    let found = diff.findings_added.len() as u64;
    if found > 0 {
        hints.push(format!("It brings {found} new {}.", plural(found, "finding", "findings")));
    }
    let (before, after) = diff.size_bytes;
    let grown = u128::from(after.saturating_sub(before)) * 100;
    if before > 0 && grown >= u128::from(before) * u128::from(GROWTH_PERCENT) {
        let percent = grown / u128::from(before);
        hints.push(format!("Its artifacts grew by {percent} %, from {} to {}.", size(before), size(after)));
    }
    hints
}

/// The comparison in numbers, with all of it a link away.
fn changes(promotion: &PromotionReply, diff: &DiffReply) -> Markup {
    let environment = &promotion.environment;
    let link = diff_link(&diff.from, &diff.to, Some(environment));
    let commit = |commit: Option<&str>| {
        html! {
            @match commit { Some(commit) => { code { (visible(commit)) } }, None => { span.quiet { "not named" } }, }
        }
    };
    let count = |is: fn(bool, bool) -> bool| {
        diff.components.iter().filter(|one| is(one.before.is_some(), one.after.is_some())).count()
    };
    html! {
        section aria-labelledby="against-title" {
            h2 id="against-title" { "What changes against " a href=(release_link(&diff.from)) { (diff.from) } }
            dl.facts {
                dt { "Source" } dd { (commit(diff.commits.0.as_deref())) " → " (commit(diff.commits.1.as_deref())) }
                dt { "Size" } dd { (size(diff.size_bytes.0)) " → " (size(diff.size_bytes.1)) }
                dt { "Components" }
                dd {
                    @if diff.sboms == (true, true) {
                        (count(|before, _| !before)) " new, " (count(|_, after| !after)) " gone, "
                        (count(|before, after| before && after)) " changed"
                    } @else {
                        "cannot be compared without a bill of materials of both"
                    }
                }
                dt { "Findings" }
                dd {
                    @if diff.scans == (true, true) {
                        (diff.findings_added.len()) " new, " (diff.findings_fixed.len()) " fixed"
                    } @else {
                        "cannot be compared without a scan of both"
                    }
                }
                dt { "Configurations" } dd { (diff.configurations.len()) " with another digest" }
            }
            p { a href=(link) { "All that changes, and what would happen" } }
            (command("cli-against", &format!("lockgate diff {} {} --environment {environment}", diff.from, diff.to)))
        }
    }
}

/// What people wrote to their approvals and rejections; it is part of what they signed.
fn words(approvals: &[ApprovalRow], now: UnixMillis) -> Markup {
    let said: Vec<(&ApprovalRow, &str)> =
        approvals.iter().filter_map(|one| one.comment.as_deref().map(|comment| (one, comment))).collect();
    html! {
        @if !said.is_empty() {
            section aria-labelledby="words-title" {
                h2 id="words-title" { "What people wrote to it" }
                ul.approvals id="words" {
                    @for (one, comment) in said {
                        li {
                            (outcome(if one.verdict == Verdict::Approve { "approve" } else { "reject" })) " "
                            strong { (one.person.as_str()) } " " (ago(one.recorded_at, now)) ", signed in " (entry(one.index))
                            @if one.withdrawn { " " (outcome("withdrawn")) }
                            p { (visible(comment)) }
                        }
                    }
                }
            }
        }
    }
}

fn before(promotion: &PromotionReply, now: UnixMillis) -> Markup {
    let row = |one: &PastApprovalRow| {
        html! {
            tr id={ "before-" (one.index) } data-row {
                th scope="row" { (one.person.as_str()) }
                td {
                    a href={ "/promotions/" (one.promotion) } { (one.promotion) } " "
                    a href=(release_link(&one.release)) { (one.release) }
                }
                td { (ago(one.recorded_at, now)) ", " (entry(one.index)) }
            }
        }
    };
    html! {
        @if !promotion.approved_before.is_empty() {
            section aria-labelledby="before-title" {
                h2 id="before-title" { "Who approved it before" }
                p.quiet {
                    (promotion.release.service.as_str()) " into " (promotion.environment.as_str())
                    ", the last times that it was granted there"
                }
                div.scroll { table {
                    thead { tr { th scope="col" { "Who" } th scope="col" { "What" } th scope="col" { "When" } } }
                    tbody { @for one in &promotion.approved_before { (row(one)) } }
                } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diff::tests::nothing_differs;
    use crate::promotion::tests::promotion;
    use lockgate_api::wire::ComponentRow;
    use lockgate_model::Digest;

    const HOSTILE: &str = "<script>alert(1)</script>\u{202e}";

    fn page(promotion: &PromotionReply, against: Option<&DiffReply>) -> String {
        let text = below(&html! { p { "the page" } }, promotion, against, UnixMillis(0)).into_string();
        assert!(text.starts_with("<p>the page</p>"), "{text}");
        assert!(!text.contains("<script") && !text.contains('\u{202e}'), "{text}");
        text
    }

    #[test]
    fn what_is_not_known_is_not_said() {
        assert_eq!(page(&promotion(), None), "<p>the page</p>");
        let text = page(&promotion(), Some(&nothing_differs()));
        assert!(text.contains("0 new, 0 gone, 0 changed") && !text.contains("second look"), "{text}");
    }

    #[test]
    fn firsts_words_and_earlier_approvals_are_told() {
        let mut promotion = promotion();
        promotion.firsts = vec![
            FirstRow::Publisher { by: "ci".parse().unwrap(), among: 1 },
            FirstRow::Builder { builder: HOSTILE.to_owned() },
        ];
        promotion.approved_before = vec![PastApprovalRow {
            person: "sam".parse().unwrap(),
            release: "shop/web@1.4.1".parse().unwrap(),
            promotion: "P-1".parse().unwrap(),
            recorded_at: UnixMillis(0),
            index: 7,
        }];
        let approval = ApprovalRow {
            person: "sam".parse().unwrap(),
            verdict: Verdict::Reject,
            key: "SHA256:x".to_owned(),
            document: Digest::of(b"document"),
            index: 9,
            recorded_at: UnixMillis(0),
            expires_at: UnixMillis(1),
            review_seconds: None,
            evidence_opened: 0,
            evidence_listed: 0,
            comment: Some(format!("not on a Friday {HOSTILE}")),
            withdrawn: false,
            rubber_stamp: None,
        };
        promotion.approvals = vec![ApprovalRow { comment: None, ..approval.clone() }, approval];
        let text = page(&promotion, None);
        for wanted in [
            "ci published it, and none of the 1 release of shop/web before it.",
            "No other release of shop/web names the builder &lt;script&gt;",
            "not on a Friday",
            "signed in entry <a href=\"/timeline?before=10\">9</a>",
            "href=\"/promotions/P-1\"",
        ] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
        assert_eq!(text.matches("signed in").count(), 1, "{text}");
    }

    #[test]
    fn a_comparison_gives_hints_from_its_own_numbers() {
        let component = |before: Option<&str>, after: Option<&str>| ComponentRow {
            name: HOSTILE.to_owned(),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
            purl: None,
            licence_before: None,
            licence_after: None,
        };
        let check = |diff: &DiffReply, wanted: &[&str]| {
            let text = page(&promotion(), Some(diff));
            for words in wanted {
                assert!(text.contains(words), "{words}: {text}");
            }
            assert_eq!(text.matches(" hint</span>").count(), growth(diff).len(), "{text}");
            growth(diff).len()
        };
        let base = nothing_differs();
        let components = vec![component(None, Some("1")), component(Some("1"), None), component(Some("1"), Some("2"))];
        let more = DiffReply { components, ..base.clone() };
        assert_eq!(check(&more, &["It brings 1 new component.", "1 new, 1 gone, 1 changed"]), 1);
        let grown = DiffReply { size_bytes: (1024, 2048), ..base.clone() };
        assert_eq!(check(&grown, &["Its artifacts grew by 100 %, from 1.0 KiB to 2.0 KiB."]), 1);
        for size_bytes in [(1000, 1199), (2000, 1000), (0, 1000), (u64::MAX, u64::MAX)] {
            assert_eq!(check(&DiffReply { size_bytes, ..base.clone() }, &[]), 0, "{size_bytes:?}");
        }
        let bare = DiffReply { sboms: (true, false), scans: (true, false), ..base };
        assert_eq!(check(&bare, &["and it has none", "and it was not", "cannot be compared without a scan"]), 2);
    }
}
