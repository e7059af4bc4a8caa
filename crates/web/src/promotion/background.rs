//! Background: what stands behind a promotion besides its gates: what changes against what runs, what deserves a second
//! look, what people wrote when they signed, and who approved the same the last times.

use lockgate_api::wire::{ApprovalRow, FirstRow, PastApprovalRow, PromotionReply};
use lockgate_model::facts::Verdict;
use lockgate_model::{ReleaseName, UnixMillis};
use maud::{Markup, html};

use crate::origin::entry;
use crate::service::{diff_link, release_link};
use crate::wording::{ago, command, outcome, plural, size, visible};

/// From which growth in percent on a size deserves a second look.
const GROWTH_PERCENT: u64 = 20;

/// What an open promotion would replace, as the manifests of both releases tell it; what evidence tells is a link away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Against {
    /// The release that runs in the target.
    pub release: ReleaseName,
    /// The commits that both were built from, as their publishers say.
    pub commits: (Option<String>, Option<String>),
    /// How large the artifacts of both are, in bytes.
    pub size_bytes: (u64, u64),
}

/// The page of a promotion with its background below; `against` is what runs in the target, where that is another
/// release.
pub fn below(content: &Markup, promotion: &PromotionReply, against: Option<&Against>, now: UnixMillis) -> Markup {
    html! {
        (content)
        (hints(promotion, against))
        @if let Some(against) = against { (changes(promotion, against)) }
        (words(&promotion.approvals, now))
        (before(promotion, now))
    }
}

/// Hints that something deserves a second look; each is something that the ledger or a manifest says.
fn hints(promotion: &PromotionReply, against: Option<&Against>) -> Markup {
    let service = promotion.release.service.as_str();
    let mut hints: Vec<String> = promotion.firsts.iter().map(|first| first_text(first, service)).collect();
    hints.extend(against.and_then(growth));
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

/// That the release is much larger than what it replaces.
fn growth(against: &Against) -> Option<String> {
    let (before, after) = against.size_bytes;
    let grown = u128::from(after.saturating_sub(before)) * 100;
    if before == 0 || grown < u128::from(before) * u128::from(GROWTH_PERCENT) {
        return None;
    }
    let percent = grown / u128::from(before);
    Some(format!("Its artifacts grew by {percent} %, from {} to {}.", size(before), size(after)))
}

/// What the manifests tell, with the comparison of all that is known a link away.
fn changes(promotion: &PromotionReply, against: &Against) -> Markup {
    let (environment, from, to) = (&promotion.environment, &against.release, &promotion.release);
    let commit = |commit: Option<&str>| {
        html! {
            @match commit { Some(commit) => { code { (visible(commit)) } }, None => { span.quiet { "not named" } }, }
        }
    };
    html! {
        section aria-labelledby="against-title" {
            h2 id="against-title" { "What changes against " a href=(release_link(from)) { (from) } }
            dl.facts {
                dt { "Source" }
                dd { (commit(against.commits.0.as_deref())) " → " (commit(against.commits.1.as_deref())) }
                dt { "Size" } dd { (size(against.size_bytes.0)) " → " (size(against.size_bytes.1)) }
            }
            p {
                a href=(diff_link(from, to, Some(environment))) { "All that changes" }
                ": components, findings, configurations, and what would happen"
            }
            (command("cli-against", &format!("lockgate diff {from} {to} --env {environment}")))
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
    use crate::promotion::tests::promotion;
    use lockgate_model::Digest;

    const HOSTILE: &str = "<script>alert(1)</script>\u{202e}";

    fn replacing(size_bytes: (u64, u64)) -> Against {
        Against { release: "shop/web@1.4.1".parse().unwrap(), commits: (None, None), size_bytes }
    }

    fn page(promotion: &PromotionReply, against: Option<&Against>) -> String {
        let text = below(&html! { p { "the page" } }, promotion, against, UnixMillis(0)).into_string();
        assert!(text.starts_with("<p>the page</p>"), "{text}");
        assert!(!text.contains("<script") && !text.contains('\u{202e}'), "{text}");
        text
    }

    #[test]
    fn what_is_not_known_is_not_said() {
        assert_eq!(page(&promotion(), None), "<p>the page</p>");
        let text = page(&promotion(), Some(&replacing((1024, 1024))));
        assert!(text.contains("not named") && !text.contains("second look"), "{text}");
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
    fn manifests_give_a_hint_and_the_comparison_is_a_link_away() {
        let check = |size_bytes: (u64, u64), hint: Option<&str>| {
            let text = page(&promotion(), Some(&replacing(size_bytes)));
            assert!(text.contains("/diff?from=") && text.contains("/releases/shop/web@1.4.1"), "{text}");
            assert_eq!(text.matches(" hint</span>").count(), hint.iter().count(), "{size_bytes:?}: {text}");
            assert!(hint.is_none_or(|hint| text.contains(hint)), "{size_bytes:?}: {text}");
        };
        check((1024, 2048), Some("Its artifacts grew by 100 %, from 1.0 KiB to 2.0 KiB."));
        for size_bytes in [(1000, 1199), (2000, 1000), (0, 1000), (u64::MAX, u64::MAX)] {
            check(size_bytes, None);
        }
        let hostile = Against { commits: (Some(HOSTILE.to_owned()), Some("c0ffee".to_owned())), ..replacing((1, 1)) };
        let text = page(&promotion(), Some(&hostile));
        assert!(text.contains("c0ffee") && text.contains("&lt;script&gt;"), "{text}");
    }
}
