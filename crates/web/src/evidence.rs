//! One piece of evidence: what is read from it, and its bytes as text.

use lockgate_model::Digest;
use maud::{Markup, html};

use crate::wording::{command, size, visible};

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
    /// Whose signatures on it the active policy set trusts.
    pub signers: Vec<String>,
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
            @if evidence.form == "signed envelope" {
                dt { "Trusted signers" }
                dd { @if evidence.signers.is_empty() { "none that the active policy set knows" } @else { (visible(&evidence.signers.join(", "))) } }
            }
        }
        h2 { "What is read from it" }
        @match &evidence.claim {
            Some((kind, read)) => {
                p { "A claim of the kind " strong { (visible(kind)) } "." }
                details open { summary { "All of it" } pre.bytes { (lines(read)) } }
            },
            None => {
                div.empty {
                    p { "Nothing: it is no statement and no report of a known format, so no gate can rest on it." }
                    pre { code { "lockgate attest SERVICE@VERSION --tests junit.xml" } }
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
                signers: vec![hostile.to_owned()],
                text: format!("{hostile}\nsecond"),
                truncated: false,
            };
            let text = content(&evidence).into_string();
            for bad in ["<script", "<img", "\u{1b}", "\u{7}", "\u{202e}"] {
                assert!(!text.contains(bad), "{bad}");
            }
            assert_eq!((text.matches("<pre").count(), text.matches("</pre>").count()), (2, 2));
            assert!(text.contains("\nsecond"));
        }
    }
}
