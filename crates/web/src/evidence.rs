//! One piece of evidence: what is read from it, and its bytes as text.

use lockgate_model::Digest;
use maud::{Markup, html};

use crate::wording::{command, plural, size, visible};

/// One component of a bill of materials.
#[derive(Debug, Clone)]
pub struct ComponentLine {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: Option<String>,
    /// Its licence.
    pub licence: Option<String>,
    /// Its package URL.
    pub purl: Option<String>,
}

/// One finding of a scan.
#[derive(Debug, Clone)]
pub struct FindingLine {
    /// Such as `CVE-2024-1234`.
    pub id: String,
    /// How bad it is, in one word.
    pub severity: String,
    /// The package and its version.
    pub package: String,
    /// The first version without it.
    pub fixed: Option<String>,
    /// What is said of whether it matters (VEX), and that it is known to be exploited.
    pub remark: String,
}

/// What the evidence lists, as far as it was looked for.
#[derive(Debug, Clone, Default)]
pub struct Listed {
    /// The words that were looked for.
    pub words: String,
    /// Components and findings that there are.
    pub all: usize,
    /// Those with these words.
    pub fitting: usize,
    /// The first components of those.
    pub components: Vec<ComponentLine>,
    /// The first findings of those, the worst first.
    pub findings: Vec<FindingLine>,
}

/// What the page shows.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// Its digest.
    pub digest: Digest,
    /// How long it is.
    pub size_bytes: u64,
    /// Whether all of it was read and hashed to that digest.
    pub whole: bool,
    /// Such as `junit report` or `signed envelope`.
    pub form: String,
    /// What kind of claim it makes, and what is read from it, as JSON.
    pub claim: Option<(String, String)>,
    /// What it lists.
    pub listed: Listed,
    /// Whose signatures on it the active policy set trusts; `None` of what has none.
    pub signers: Option<Vec<String>>,
    /// The beginning of its text; of an envelope, that of its payload.
    pub text: String,
    /// Whether there is more.
    pub truncated: bool,
}

/// The page's content.
pub fn content(evidence: &Evidence) -> Markup {
    let id = evidence.digest.to_string();
    html! {
        p.crumbs { a href="/" { "Pipeline" } " / evidence" }
        h1 { "Evidence " code { (evidence.digest.short()) } }
        dl.facts {
            dt { "Digest" } dd { code id="digest" { (id) } }
            dt { "Size" } dd { (size(evidence.size_bytes)) }
            dt { "Form" } dd { (visible(&evidence.form)) }
            dt { "Checked" }
            dd {
                @if evidence.whole {
                    span.state.good { span.icon aria-hidden="true" { "✓" } " the bytes are what the digest names" }
                } @else {
                    span.state.warn { span.icon aria-hidden="true" { "!" } " too long to be read here; download it and hash it" }
                }
            }
            @if let Some(signers) = &evidence.signers {
                dt { "Trusted signers" }
                dd { @if signers.is_empty() { "none that the active policy set knows" } @else { (visible(&signers.join(", "))) } }
            }
        }
        (listed(&id, &evidence.listed))
        h2 { "What is read from it" }
        @match &evidence.claim {
            Some((kind, read)) => {
                p { "A claim of the kind " strong { (visible(kind)) } "." }
                details open[evidence.listed.all == 0] { summary { "What was read" } pre.bytes { (lines(read)) } }
            },
            None => {
                div.empty {
                    p { "Nothing: it is no statement and no report of a known format, so no gate can rest on it." }
                    (command("cli-none-evidence", "lockgate attest SERVICE@VERSION --tests junit.xml"))
                }
            },
        }
        h2 { "The text" }
        @if evidence.truncated { p.quiet { "Only the beginning is shown." } }
        pre.bytes id="bytes" tabindex="0" { (lines(&evidence.text)) }
        p { a href={ "/v1/blobs/" (id) } download=(id) { "Download it" } }
        (command("cli-artifact", &format!("lockgate history --artifact {id}")))
    }
}

fn listed(id: &str, listed: &Listed) -> Markup {
    let shown = listed.components.len().saturating_add(listed.findings.len());
    html! {
        @if listed.all > 0 {
            section aria-labelledby="listed-title" {
                h2 id="listed-title" { "What it lists" }
                form.filters method="get" action={ "/evidence/" (id) } role="search" {
                    div {
                        label for="listed-q" { "Name, version, licence or id" }
                        input id="listed-q" name="q" type="search" value=(visible(&listed.words)) maxlength="128" autocomplete="off";
                    }
                    button type="submit" { "Search" }
                    @if !listed.words.is_empty() { a href={ "/evidence/" (id) } { "Clear" } }
                }
                p.quiet role="status" {
                    (listed.fitting) " of " (listed.all) " " (plural(listed.all as u64, "line", "lines"))
                    @if shown < listed.fitting { ", the first " (shown) " of them here" }
                }
                @if !listed.findings.is_empty() { (findings(&listed.findings)) }
                @if !listed.components.is_empty() { (components(&listed.components)) }
            }
        }
    }
}

fn or_dash(text: Option<&str>) -> String {
    text.map_or_else(|| "—".to_owned(), visible)
}

fn findings(findings: &[FindingLine]) -> Markup {
    html! {
        div.scroll role="group" tabindex="0" aria-labelledby="listed-title" { table {
            caption.quiet { "Findings, the worst first" }
            thead { tr {
                th scope="col" { "Finding" } th scope="col" { "Severity" } th scope="col" { "Package" }
                th scope="col" { "Fixed in" } th scope="col" { "Remark" }
            } }
            tbody { @for (at, one) in findings.iter().enumerate() { tr id={ "finding-" (at) } data-row {
                th scope="row" { (visible(&one.id)) }
                td { (visible(&one.severity)) }
                td { (visible(&one.package)) }
                td { (or_dash(one.fixed.as_deref())) }
                td { (visible(&one.remark)) }
            } } }
        } }
    }
}

fn components(components: &[ComponentLine]) -> Markup {
    html! {
        div.scroll role="group" tabindex="0" aria-labelledby="listed-title" { table {
            caption.quiet { "Components" }
            thead { tr {
                th scope="col" { "Component" } th scope="col" { "Version" } th scope="col" { "Licence" } th scope="col" { "Package URL" }
            } }
            tbody { @for (at, one) in components.iter().enumerate() { tr id={ "component-" (at) } data-row {
                th scope="row" { (visible(&one.name)) }
                td { (or_dash(one.version.as_deref())) }
                td { (or_dash(one.licence.as_deref())) }
                td { @match &one.purl { Some(purl) => { code { (visible(purl)) } }, None => { "—" }, } }
            } } }
        } }
    }
}

/// Text line by line, without characters that could make it look like other text.
fn lines(text: &str) -> String {
    text.split('\n').map(|line| visible(line.strip_suffix('\r').unwrap_or(line))).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_bytes_stay_text() {
        let long = "A".repeat(1_000_000);
        for hostile in ["<script>alert(1)</script>", "\u{1b}]0;x\u{7}\u{202e}", "</pre><img src=x>", long.as_str()] {
            let evidence = Evidence {
                digest: Digest::of(hostile.as_bytes()),
                size_bytes: hostile.len() as u64,
                whole: true,
                form: "bytes".to_owned(),
                claim: Some(("malformed".to_owned(), hostile.to_owned())),
                listed: Listed {
                    words: hostile.to_owned(),
                    all: 3,
                    fitting: 2,
                    components: vec![ComponentLine {
                        name: hostile.to_owned(),
                        version: Some(hostile.to_owned()),
                        licence: None,
                        purl: Some(hostile.to_owned()),
                    }],
                    findings: Vec::new(),
                },
                signers: Some(vec![hostile.to_owned()]),
                text: format!("{hostile}\nsecond"),
                truncated: false,
            };
            let text = content(&evidence).into_string();
            for bad in ["<script", "<img", "\u{1b}", "\u{7}", "\u{202e}"] {
                assert!(!text.contains(bad), "{bad}");
            }
            assert_eq!((text.matches("<pre").count(), text.matches("</pre>").count()), (2, 2));
            assert!(text.contains("\nsecond"));
            assert!(text.contains("2 of 3 lines, the first 1 of them here"));
        }
    }
}
