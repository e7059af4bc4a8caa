//! What changes between two releases.

use lockgate_api::markdown;
use lockgate_api::wire::{ArtifactRef, ComponentRow, DiffFinding, DiffReply, DiffTests, GateRow};
use lockgate_model::EnvName;
use maud::{Markup, html};

use crate::service::diff_link;
use crate::wording::{command, digest, outcome, size, visible};

/// How many components one page lists; the API has all.
const COMPONENTS: usize = 1_000;

/// The page's content; `environments` are those in which it can be asked what would happen.
pub fn content(diff: &DiffReply, environments: &[EnvName]) -> Markup {
    let service = diff.to.service.as_str();
    html! {
        p.crumbs { a href="/" { "Pipeline" } " / " a href={ "/services/" (service) } { (service) } }
        h1 { (diff.from) " → " (diff.to) }
        p {
            a href={ "/releases/" (diff.from) } { (diff.from) } " · " a href={ "/releases/" (diff.to) } { (diff.to) } " · "
            a href=(diff_link(&diff.to, &diff.from, diff.environment.as_ref())) { "the other way" }
        }
        dl.facts {
            dt { "Source" }
            dd { (commit(diff.commits.0.as_deref())) " → " (commit(diff.commits.1.as_deref())) }
            dt { "Size" }
            dd { (size(diff.size_bytes.0)) " → " (size(diff.size_bytes.1)) }
            dt { "Tests" }
            dd { (tests(diff.tests.0.as_ref())) " → " (tests(diff.tests.1.as_ref())) }
            dt { "Coverage" }
            dd { (share(diff.coverage.0)) " → " (share(diff.coverage.1)) }
        }
        (ask(diff, environments))
        (gates(diff))
        (supposed(diff))
        (findings(diff))
        (configurations(diff))
        (artifacts(diff))
        (components(diff))
        (command("cli-diff", &cli(diff)))
        (ticket(diff))
    }
}

fn cli(diff: &DiffReply) -> String {
    let environment = diff.environment.as_ref().map(|name| format!(" --env {name}")).unwrap_or_default();
    format!("lockgate diff {} {}{environment}", diff.from, diff.to)
}

/// The same as Markdown, to be pasted into a change ticket.
fn ticket(diff: &DiffReply) -> Markup {
    html! {
        section aria-labelledby="ticket-title" {
            h2 id="ticket-title" { "For a change ticket" }
            p { button.plain.copy type="button" data-copies="markdown" { "Copy as Markdown" } }
            details id="ticket" {
                summary { "What is copied" }
                pre.note id="markdown" role="group" tabindex="0" aria-labelledby="ticket-title" { (markdown::diff(diff)) }
            }
            (command("cli-markdown", &format!("{} --markdown", cli(diff))))
        }
    }
}

fn commit(commit: Option<&str>) -> Markup {
    html! { @match commit { Some(commit) => { code { (visible(commit)) } }, None => { span.quiet { "not named" } }, } }
}

fn tests(tests: Option<&DiffTests>) -> String {
    tests.map_or_else(
        || "none".to_owned(),
        |tests| format!("{} passed, {} failed, {} skipped", tests.passed, tests.failed, tests.skipped),
    )
}

/// A share in hundredths of a percent.
fn share(basis_points: Option<u64>) -> String {
    basis_points.map_or_else(|| "none".to_owned(), |share| format!("{}.{:02} %", share / 100, share % 100))
}

/// What the gates of an environment make of it.
fn gates(diff: &DiffReply) -> Markup {
    html! {
        @if let Some(environment) = &diff.environment {
            section aria-labelledby="gates-title" {
                h2 id="gates-title" { "Gates of " (environment.as_str()) }
                @if diff.gates.is_empty() {
                    p { "No gate answers otherwise." }
                } @else {
                    ul.gates {
                        @for gate in &diff.gates {
                            li {
                                strong { (visible(&gate.gate)) } " "
                                (outcome(gate.before.as_deref().unwrap_or("none"))) " → "
                                (outcome(gate.after.as_deref().unwrap_or("none"))) " "
                                code { (gate.reason) } " " (visible(&gate.found))
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Links to the same comparison with the gates of one environment.
fn ask(diff: &DiffReply, environments: &[EnvName]) -> Markup {
    html! {
        @if !environments.is_empty() {
            nav aria-label="What would happen" {
                p {
                    "What would happen in: "
                    @for one in environments {
                        a href=(diff_link(&diff.from, &diff.to, Some(one)))
                            aria-current=[(diff.environment.as_ref() == Some(one)).then_some("true")] { (one.as_str()) }
                        " "
                    }
                }
            }
        }
    }
}

/// What would be decided on the second release, gate by gate; what would pass is folded away.
fn supposed(diff: &DiffReply) -> Markup {
    let Some((environment, supposed)) = diff.environment.as_ref().zip(diff.supposed.as_ref()) else { return html! {} };
    let (objecting, passing) = supposed.objecting_and_passing();
    let line = |gate: &GateRow| {
        html! {
            li id={ "supposed-gate-" (visible(&gate.gate)) } data-row {
                (outcome(&gate.outcome)) " " strong { (visible(&gate.gate)) } " "
                code { (gate.reason) } " " (visible(&gate.found))
                @if !gate.who.is_empty() { p.quiet { "who: " (visible(&gate.who)) } }
            }
        }
    };
    html! {
        section aria-labelledby="supposed-title" {
            h2 id="supposed-title" { "What happens if " (diff.to) " is promoted into " (environment.as_str()) }
            p id="supposed-outcome" {
                (outcome(&supposed.outcome)) " as of now, before anybody has approved: "
                (passing.len()) " would pass, " (objecting.len()) " would not"
            }
            ul.gates { @for gate in &objecting { (line(gate)) } }
            @if !passing.is_empty() {
                details id="supposed-passing" {
                    summary { "Would pass (" (passing.len()) ")" }
                    ul.gates { @for gate in &passing { (line(gate)) } }
                }
            }
            (command("cli-supposed", &format!("lockgate promote {} --to {environment} --reason REASON", diff.to)))
        }
    }
}

fn findings(diff: &DiffReply) -> Markup {
    let rows = |mark: &str, word: &str, findings: &[DiffFinding]| {
        html! {
            @for finding in findings.iter().take(COMPONENTS) {
                tr {
                    td { span.state.plain { span.icon aria-hidden="true" { (mark) } " " (word) } }
                    th scope="row" { (visible(&finding.id)) }
                    td { (visible(&finding.severity)) }
                    td { (visible(&finding.package)) }
                    td { (visible(finding.fixed.as_deref().unwrap_or("—"))) }
                }
            }
        }
    };
    let are_same =
        diff.findings_added.is_empty() && diff.findings_fixed.is_empty() && diff.findings_unreported.is_empty();
    html! {
        section aria-labelledby="findings-title" {
            h2 id="findings-title" { "Findings" }
            @if !(diff.scans.0 && diff.scans.1) {
                p.quiet { "Not both were scanned: the list says nothing about what nobody looked for." }
            }
            @if are_same {
                p { "No finding differs." }
            } @else {
                div.scroll role="group" tabindex="0" aria-labelledby="findings-title" { table {
                    thead { tr {
                        th scope="col" { "Change" } th scope="col" { "Finding" } th scope="col" { "Severity" }
                        th scope="col" { "Package" } th scope="col" { "Fixed in" }
                    } }
                    tbody {
                        (rows("+", "new", &diff.findings_added)) (rows("−", "fixed", &diff.findings_fixed))
                        (rows("?", "no longer reported", &diff.findings_unreported))
                    }
                } }
                @if !diff.findings_unreported.is_empty() { p.quiet { (markdown::UNREPORTED) "." } }
            }
        }
    }
}

fn configurations(diff: &DiffReply) -> Markup {
    html! {
        @if !diff.configurations.is_empty() {
            section aria-labelledby="configuration-title" {
                h2 id="configuration-title" { "Configuration" }
                ul.plain {
                    @for one in &diff.configurations {
                        li {
                            (visible(&one.name)) " "
                            @match &one.before { Some(before) => (digest(before)), None => { "none" } }
                            " → "
                            @match &one.after { Some(after) => (digest(after)), None => { "none" } }
                        }
                    }
                }
            }
        }
    }
}

fn artifacts(diff: &DiffReply) -> Markup {
    let list = |mark: &str, word: &str, list: &[ArtifactRef]| {
        html! {
            @for artifact in list {
                li {
                    span.state.plain { span.icon aria-hidden="true" { (mark) } " " (word) } " "
                    (visible(&artifact.name)) " " span.quiet { (size(artifact.size_bytes)) } " " (digest(&artifact.digest))
                }
            }
        }
    };
    html! {
        section aria-labelledby="artifacts-title" {
            h2 id="artifacts-title" { "Artifacts" }
            @if diff.artifacts_added.is_empty() && diff.artifacts_removed.is_empty() {
                p { "The same bytes." }
            } @else {
                ul.plain {
                    (list("+", "new", &diff.artifacts_added))
                    (list("−", "gone", &diff.artifacts_removed))
                }
            }
        }
    }
}

fn components(diff: &DiffReply) -> Markup {
    html! {
        section aria-labelledby="components-title" {
            h2 id="components-title" { "Components" }
            @if !(diff.sboms.0 && diff.sboms.1) {
                p.quiet {
                    "No bill of materials of "
                    @if !diff.sboms.0 { (diff.from) } @if !diff.sboms.0 && !diff.sboms.1 { " and " } @if !diff.sboms.1 { (diff.to) }
                    ": the list says nothing about what is missing."
                }
                @if !diff.sboms.1 { (command("cli-none-sbom", &format!("lockgate attest {} --sbom sbom.cdx.json", diff.to))) }
            }
            @if diff.components.is_empty() {
                p { "No component differs." }
            } @else {
                p { (diff.components.len()) " differ." }
                div.scroll role="group" tabindex="0" aria-labelledby="components-title" { table {
                    thead { tr { th scope="col" { "Component" } th scope="col" { "Before" } th scope="col" { "After" } th scope="col" { "Change" } } }
                    tbody { @for (at, one) in diff.components.iter().take(COMPONENTS).enumerate() { (component(at, one)) } }
                } }
                @if diff.components.len() > COMPONENTS { p.quiet { "The first " (COMPONENTS) " are shown; the command prints all." } }
            }
        }
    }
}

fn component(at: usize, one: &ComponentRow) -> Markup {
    let (mark, word) = match (&one.before, &one.after) {
        (None, _) => ("+", "new"),
        (_, None) => ("−", "gone"),
        _ => ("~", "changed"),
    };
    html! {
        tr id={ "component-" (at) } data-row {
            th scope="row" {
                (visible(&one.name))
                @if one.licence_before != one.licence_after {
                    " " span.quiet {
                        (visible(one.licence_before.as_deref().unwrap_or("no licence"))) " → "
                        (visible(one.licence_after.as_deref().unwrap_or("no licence")))
                    }
                }
            }
            td { (visible(one.before.as_deref().unwrap_or("—"))) }
            td { (visible(one.after.as_deref().unwrap_or("—"))) }
            td { span.state.plain { span.icon aria-hidden="true" { (mark) } " " (word) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_api::wire::Supposed;

    /// A comparison by which the second release is as the first one.
    fn nothing_differs() -> DiffReply {
        DiffReply {
            from: "shop/web@1.4.1".parse().unwrap(),
            to: "shop/web@1.4.2".parse().unwrap(),
            repositories: (None, None),
            commits: (None, None),
            size_bytes: (1024, 1024),
            scans: (true, true),
            findings_added: Vec::new(),
            findings_fixed: Vec::new(),
            findings_unreported: Vec::new(),
            tests: (None, None),
            coverage: (None, None),
            configurations: Vec::new(),
            environment: None,
            gates: Vec::new(),
            supposed: None,
            artifacts_removed: Vec::new(),
            artifacts_added: Vec::new(),
            sboms: (true, true),
            components: Vec::new(),
        }
    }

    #[test]
    fn what_would_happen_is_told_gate_by_gate() {
        let hostile = "<script>alert(1)</script>\u{202e}";
        let gate = |name: &str, outcome: &str| GateRow {
            gate: name.to_owned(),
            kind: "approvals".to_owned(),
            outcome: outcome.to_owned(),
            reason: "QUORUM_NOT_MET".to_owned(),
            file: "gates.toml".to_owned(),
            line: 14,
            needed: hostile.to_owned(),
            found: hostile.to_owned(),
            evidence: Vec::new(),
            who: if outcome == "pass" { String::new() } else { format!("sam {hostile}") },
            fix: String::new(),
        };
        let gates =
            vec![gate("built", "pass"), gate("people", "pending"), gate("quiet", "warn"), gate(hostile, "fail")];
        let diff = DiffReply {
            environment: Some("production".parse().unwrap()),
            supposed: Some(Supposed { outcome: "deny".to_owned(), gates }),
            ..nothing_differs()
        };
        let environments: Vec<EnvName> = vec!["dev".parse().unwrap(), "production".parse().unwrap()];
        let text = content(&diff, &environments).into_string();
        for wanted in [
            "What happens if shop/web@1.4.2 is promoted into production",
            "2 would pass, 2 would not",
            "Would pass (2)",
            "who: sam",
            "&amp;environment=dev\">dev</a>",
            "&amp;environment=production\" aria-current=\"true\">production</a>",
            "lockgate promote shop/web@1.4.2 --to production",
        ] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
        let at = |id: &str| text.find(&format!("id=\"supposed-{id}\"")).unwrap();
        let folded = at("passing");
        assert!(at("gate-people") < folded && folded < at("gate-built") && folded < at("gate-quiet"), "{text}");
        assert!(!text.contains("<script") && !text.contains('\u{202e}'), "{text}");
        // Where no environment was asked for, nothing is supposed.
        let text = content(&nothing_differs(), &[]).into_string();
        assert!(!text.contains("supposed") && !text.contains("What would happen"), "{text}");
    }

    #[test]
    fn a_comparison_says_what_is_new_gone_and_changed() {
        let row = |name: &str, before: Option<&str>, after: Option<&str>| ComponentRow {
            name: name.to_owned(),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
            purl: None,
            licence_before: None,
            licence_after: after.map(|_| "MIT".to_owned()),
        };
        let diff = DiffReply {
            from: "shop/web@1.4.2".parse().unwrap(),
            to: "shop/web@1.5.0".parse().unwrap(),
            repositories: (None, None),
            commits: (None, Some("<b>abc</b>".to_owned())),
            size_bytes: (0, 2048),
            scans: (true, false),
            findings_added: vec![DiffFinding {
                id: "CVE-2026-1<b>".to_owned(),
                package: "pkg:npm/a".to_owned(),
                version: "1".to_owned(),
                severity: "high".to_owned(),
                fixed: None,
            }],
            findings_fixed: Vec::new(),
            findings_unreported: vec![DiffFinding {
                id: "CVE-2026-2".to_owned(),
                package: "pkg:npm/b".to_owned(),
                version: "1".to_owned(),
                severity: "low".to_owned(),
                fixed: None,
            }],
            tests: (None, Some(DiffTests { passed: 12, failed: 0, skipped: 1 })),
            coverage: (Some(8_050), None),
            configurations: Vec::new(),
            environment: None,
            gates: Vec::new(),
            supposed: None,
            artifacts_removed: Vec::new(),
            artifacts_added: Vec::new(),
            sboms: (true, false),
            components: vec![row("a", None, Some("1")), row("b", Some("1"), None), row("<i>", Some("1"), Some("2"))],
        };
        let text = content(&diff, &[]).into_string();
        for wanted in [
            " new",
            " gone",
            " changed",
            "3 differ",
            "The same bytes",
            "not named",
            "--sbom",
            "&lt;b&gt;abc",
            "80.50 %",
            "12 passed, 0 failed, 1 skipped",
            "no licence → MIT",
            "Not both were scanned",
            "no longer reported",
            "No longer reported is not fixed: no scanner",
            "&lt;i&gt;",
            "data-copies=\"markdown\"",
            "## `shop/web@1.4.2` → `shop/web@1.5.0`",
            "lockgate diff shop/web@1.4.2 shop/web@1.5.0 --markdown",
        ] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
        assert!(!text.contains("<b>") && !text.contains("<i>") && !text.contains("&amp;environment="), "{text}");
        let there = DiffReply { environment: Some("production".parse().unwrap()), ..diff };
        let text = content(&there, &[]).into_string();
        assert!(text.contains("&amp;environment=production") && text.contains("1.5.0 --env production"), "{text}");
    }
}
