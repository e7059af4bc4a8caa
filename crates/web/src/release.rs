//! One release: what it is made of, its evidence, where it is and was.

use lockgate_api::client::query_value;
use lockgate_api::wire::{DriftReport, EvidenceLine, EvidenceSource, PlaceRow, ReleaseReply};
use lockgate_model::UnixMillis;
use maud::{Markup, html};

use crate::origin::{entry, who};
use crate::service::{diff_link, promotions};
use crate::wording::{ago, command, digest, digest_in_link, outcome, size, until, visible};

/// The page's content.
pub fn content(release: &ReleaseReply, now: UnixMillis) -> Markup {
    let service = release.release.service.as_str();
    html! {
        p.crumbs { a href="/" { "Pipeline" } " / " a href={ "/services/" (service) } { (service) } }
        h1 { (release.release) }
        p { "published by " strong { (release.published_by.as_str()) } " " (ago(release.published_at, now)) ", entry "
            a href={ "/timeline?before=" (release.index.saturating_add(1)) } { (release.index) } }
        @if !release.suspects.is_empty() {
            div.problem role="alert" {
                p { strong { "Suspect." } " Some of this rested on a key that was found compromised later:" }
                ul { @for suspect in &release.suspects { li { (visible(&suspect.what)) ": " (visible(&suspect.why)) } } }
            }
        }
        div.columns {
            div {
                (artifacts(release))
                (evidence(release, now))
                (outline(release, now))
                (promotions(&release.promotions, now))
            }
            div {
                (places(release, now))
                (actions(release))
            }
        }
    }
}

fn artifacts(release: &ReleaseReply) -> Markup {
    html! {
        section aria-labelledby="artifacts-title" {
            h2 id="artifacts-title" { "Artifacts" }
            dl.facts {
                dt { "Manifest" } dd { (digest(&release.manifest)) }
                @if let Some(source) = &release.source {
                    dt { "Source, as the publisher says" }
                    dd { (visible(&source.repository)) " " code { (visible(&source.commit)) } }
                }
                @if let Some(notes) = &release.notes {
                    dt { "Release notes" } dd { a href={ "/evidence/" (notes) } { (digest_in_link(notes)) } }
                }
            }
            div.scroll { table {
                thead { tr { th scope="col" { "Name" } th.number scope="col" { "Size" } th scope="col" { "Digest" } th scope="col" { "More" } } }
                tbody {
                    @for artifact in &release.artifacts {
                        tr id={ "artifact-" (artifact.digest.short()) } data-row {
                            th scope="row" { (visible(&artifact.name)) }
                            td.number { (size(artifact.size_bytes)) }
                            td { (digest(&artifact.digest)) }
                            td {
                                a href={ "/v1/blobs/" (artifact.digest) } download=(visible(&artifact.name)) { "Download" } " "
                                a href={ "/timeline?artifact=" (query_value(&artifact.digest.to_string())) } { "History" }
                            }
                        }
                    }
                }
            } }
        }
    }
}

fn evidence(release: &ReleaseReply, now: UnixMillis) -> Markup {
    let line = |one: &EvidenceLine| {
        html! {
            tr id={ "evidence-" (one.index) } data-row {
                th scope="row" { a href={ "/evidence/" (one.digest) } { (visible(&one.form)) } }
                td { (digest(&one.digest)) }
                td.number { (size(one.size_bytes)) }
                td {
                    (ago(one.recorded_at, now)) " by " (one.by.as_str()) ", entry "
                    a href={ "/timeline?before=" (one.index.saturating_add(1)) } { (one.index) }
                }
                td {
                    @match release.sources.iter().find(|source| source.index == one.index) {
                        Some(source) => { (visible(&source.claim)) ", " (who(source)) },
                        None => { "cannot be read; " code { "lockgate audit" } " says why" },
                    }
                }
            }
        }
    };
    html! {
        section aria-labelledby="evidence-title" {
            h2 id="evidence-title" { "Evidence" }
            @if release.evidence.is_empty() {
                div.empty {
                    p { "None was handed in." }
                    (command("cli-none-evidence", &format!("lockgate attest {} --tests junit.xml --sbom sbom.cdx.json", release.release)))
                }
            } @else {
                div.scroll { table {
                    thead { tr {
                        th scope="col" { "Form" } th scope="col" { "Digest" } th.number scope="col" { "Size" }
                        th scope="col" { "Handed in" } th scope="col" { "Signed" }
                    } }
                    tbody { @for one in &release.evidence { (line(one)) } }
                } }
            }
        }
    }
}

/// From source to where it runs, each step inside the one that it came from.
fn outline(release: &ReleaseReply, now: UnixMillis) -> Markup {
    let built: Vec<&EvidenceSource> = release.sources.iter().filter(|source| source.builder.is_some()).collect();
    html! {
        section aria-labelledby="outline-title" {
            h2 id="outline-title" { "Where it comes from, and went" }
            ul.outline { li {
                "Source: "
                @match &release.source {
                    Some(source) => { (visible(&source.repository)) " " code { (visible(&source.commit)) } ", as the publisher says" },
                    None => { "the publisher names none" },
                }
                ul { li {
                    @if built.is_empty() {
                        "Build: no provenance says who built it"
                    } @else {
                        "Build: "
                        @for (at, source) in built.iter().enumerate() {
                            @if at > 0 { "; " }
                            (visible(source.builder.as_deref().unwrap_or_default()))
                            @if let Some(commit) = &source.commit { " from " code { (visible(commit)) } }
                            ", " (who(source)) ", " (entry(source.index))
                        }
                    }
                    ul { li {
                        "Artifacts: "
                        @for (at, artifact) in release.artifacts.iter().enumerate() {
                            @if at > 0 { ", " }
                            (visible(&artifact.name)) " " (digest_in_link(&artifact.digest))
                        }
                        ul {
                            @for row in &release.running { (reached(release, row, now)) }
                            @if release.running.iter().all(|row| row.promotion.is_none()) { li { "granted nowhere yet" } }
                        }
                    } }
                } }
            } }
        }
    }
}

/// One environment that it was granted into.
fn reached(release: &ReleaseReply, row: &PlaceRow, now: UnixMillis) -> Markup {
    let here = row.running.as_ref().is_some_and(|running| running.release == release.release);
    html! {
        @if let Some(promotion) = row.promotion {
            li {
                (row.environment.as_str()) " by " a href={ "/promotions/" (promotion) } { (promotion) }
                @if let Some(decision) = row.decision { ", decided by " (entry(decision)) }
                @if here { ", runs there now" }
                @match &row.reported {
                    Some(report) => { ul { li { (reported(report, now)) } } },
                    None if here => { ul { li.quiet { "nobody reported that it was deployed" } } },
                    None => {},
                }
            }
        }
    }
}

/// What a deployer says of it.
fn reported(report: &DriftReport, now: UnixMillis) -> Markup {
    html! {
        "Reported to " @if report.outcome == "fail" { strong { "not" } " " } "run, by " (visible(&report.by)) " "
        (ago(report.at, now)) ", " a href={ "/evidence/" (report.evidence) } { (digest_in_link(&report.evidence)) } ", "
        (entry(report.index))
    }
}

fn places(release: &ReleaseReply, now: UnixMillis) -> Markup {
    let standing = |row: &PlaceRow| {
        let here = row.running.as_ref().is_some_and(|running| running.release == release.release);
        html! {
            @if here {
                span.state.good { span.icon aria-hidden="true" { "▶" } " runs" }
            } @else if row.granted_at.is_some() {
                span.state.plain { span.icon aria-hidden="true" { "·" } " ran" }
                @if let Some(end) = row.replaced_at { " until " (ago(end, now)) }
            } @else {
                span.quiet { "never" }
            }
        }
    };
    html! {
        section aria-labelledby="places-title" {
            h2 id="places-title" { "Where it is and was" }
            div.scroll { table {
                thead { tr {
                    th scope="col" { "Environment" } th scope="col" { "Stands" } th scope="col" { "Granted" }
                    th scope="col" { "Runs there" } th scope="col" { "Evaluate" }
                } }
                tbody {
                    @for row in &release.running {
                        tr id={ "place-" (row.environment.as_str()) } data-row {
                            th scope="row" { (row.environment.as_str()) }
                            td { (standing(row)) }
                            td {
                                @if let Some(granted) = row.granted_at { (ago(granted, now)) " " }
                                @if let Some(promotion) = row.promotion { a href={ "/promotions/" (promotion) } { (promotion) } " " }
                                @if let Some(end) = row.granted_until { span.quiet { "lasts: " (until(end, now)) } }
                            }
                            td {
                                @if let Some(running) = row.running.as_ref().filter(|running| running.release != release.release) {
                                    a href={ "/releases/" (running.release) } { (running.release.version.to_string()) } " "
                                    a href=(diff_link(&running.release, &release.release, Some(&row.environment))) { "compare" }
                                }
                            }
                            td { a href=(trial_link(release, row)) aria-label={ "Evaluate now for " (row.environment.as_str()) } { "now" } }
                        }
                    }
                }
            } }
            @if release.running.is_empty() { p.quiet { "There is no environment that you may read." } }
        }
    }
}

/// Where the gates of an environment are evaluated without asking for anything.
fn trial_link(release: &ReleaseReply, row: &PlaceRow) -> String {
    let name = query_value(&release.release.to_string());
    format!("/policy?release={name}&environment={}#trial-title", query_value(row.environment.as_str()))
}

fn actions(release: &ReleaseReply) -> Markup {
    let service = release.release.service.as_str();
    let open = release.promotions.iter().find(|one| matches!(one.status.as_str(), "pending" | "denied"));
    html! {
        h2 { "What you can do" }
        @if let Some(open) = open {
            p { a href={ "/promotions/" (open.promotion) } { (open.promotion) " into " (open.environment.as_str()) } " " (outcome(&open.status)) }
        }
        p { a.button href={ "/services/" (service) } { "Promote" } }
        p.quiet { "Asking for a promotion evaluates every gate of the environment, and says what is missing; to evaluate writes nothing down." }
        (command("cli-promote", &format!("lockgate promote {} --to ENVIRONMENT --reason REASON", release.release)))
        (command("cli-attest", &format!("lockgate attest {} --scan trivy.json", release.release)))
        (command("cli-history", &format!("lockgate history --release {}", release.release)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_api::wire::{ArtifactRef, RunningCell, SourceRef};
    use lockgate_model::Digest;

    #[test]
    fn a_release_says_what_it_is_and_where_and_stays_text() {
        let hostile = "\"><script>alert(1)</script>\u{202e}";
        let release = ReleaseReply {
            release: "shop/web@1.4.2".parse().unwrap(),
            manifest: Digest::of(b"manifest"),
            published_by: "ci".parse().unwrap(),
            published_at: UnixMillis(0),
            index: 7,
            artifacts: vec![ArtifactRef { digest: Digest::of(b"a"), name: hostile.to_owned(), size_bytes: 2048 }],
            source: Some(SourceRef { repository: "javascript:alert(1)".to_owned(), commit: hostile.to_owned() }),
            notes: None,
            evidence: Vec::new(),
            sources: vec![EvidenceSource {
                builder: Some(hostile.to_owned()),
                commit: Some("0123abcd".to_owned()),
                ..crate::origin::tests::source(&["builder"])
            }],
            running: vec![PlaceRow {
                environment: "production".parse().unwrap(),
                running: Some(RunningCell {
                    release: "shop/web@1.4.1".parse().unwrap(),
                    since: UnixMillis(0),
                    promotion: "P-1".parse().unwrap(),
                }),
                granted_at: None,
                promotion: None,
                granted_until: None,
                decision: None,
                replaced_at: None,
                reported: None,
            }],
            promotions: Vec::new(),
            suspects: Vec::new(),
        };
        let text = content(&release, UnixMillis(60_000)).into_string();
        for wanted in ["shop/web@1.4.2", "2.0 KiB", "/timeline?before=8", "never", "lockgate attest shop/web@1.4.2"] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
        assert!(
            text.contains("/policy?release=shop%2Fweb%401.4.2&amp;environment=production#trial-title"),
            "it can be evaluated without asking: {text}"
        );
        assert!(text.contains("/diff?from=shop%2Fweb%401.4.1&amp;to=shop%2Fweb%401.4.2"), "{text}");
        for wanted in ["Where it comes from, and went", "<strong>builder</strong>", "from <code>0123abcd</code>"] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
        for bad in ["<script", "\u{202e}", "href=\"javascript:"] {
            assert!(!text.contains(bad), "{bad}: {text}");
        }

        let check = |replaced: Option<u64>, outcome: Option<&str>, words: &[&str], none: &[&str]| {
            let mut release = release.clone();
            let Some(row) = release.running.first_mut() else { panic!("a place") };
            row.promotion = Some("P-3".parse().unwrap());
            (row.granted_at, row.decision) = (Some(UnixMillis(0)), Some(40));
            row.replaced_at = replaced.map(UnixMillis);
            if let (None, Some(running)) = (replaced, &mut row.running) {
                running.release = release.release.clone();
            }
            row.reported = outcome.map(|outcome| DriftReport {
                release: release.release.clone(),
                outcome: outcome.to_owned(),
                at: UnixMillis(0),
                index: 44,
                by: hostile.to_owned(),
                evidence: Digest::of(b"report"),
            });
            let text = content(&release, UnixMillis(600_000)).into_string();
            for wanted in words {
                assert!(text.contains(wanted), "{wanted}: {text}");
            }
            for bad in none.iter().chain(&["<script", "\u{202e}"]) {
                assert!(!text.contains(bad), "{bad}: {text}");
            }
        };
        check(None, None, &["/timeline?before=41", "runs there now", "nobody reported"], &[" until "]);
        check(None, Some("pass"), &["Reported to run, by", "/timeline?before=45"], &["nobody reported"]);
        check(None, Some("fail"), &["Reported to <strong>not</strong> run, by"], &["nobody reported"]);
        check(Some(300_000), None, &[" ran</span> until ", "5 min ago"], &["nobody reported", "runs there now"]);
    }
}
