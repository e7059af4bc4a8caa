//! Origin: who stands behind a piece of evidence, and where the ledger says so.

use lockgate_api::wire::EvidenceSource;
use maud::{Markup, html};

use crate::wording::visible;

/// Who signed it and how that ended, or who handed it in where nobody did.
pub fn who(source: &EvidenceSource) -> Markup {
    let named: Vec<String> = source.signers.iter().map(|name| visible(name)).collect();
    html! {
        @if let Some(by) = &source.by {
            span.state.plain { span.icon aria-hidden="true" { "·" } " not signed by its maker" }
            ", handed in by " (by.as_str())
        } @else if named.is_empty() {
            span.state.warn { span.icon aria-hidden="true" { "!" } " no trusted signer" }
        } @else {
            span.state.good { span.icon aria-hidden="true" { "✓" } " signed" } " by " strong { (named.join(", ")) }
        }
        @if let Some(class) = &source.class { ", signature " code { (visible(class)) } }
        @if let Some(identity) = &source.identity {
            ", as " (visible(identity))
            @if let Some(issuer) = &source.issuer { " (" (visible(issuer)) ")" }
        }
    }
}

/// A link to an entry of the ledger, among those before it.
pub fn entry(index: u64) -> Markup {
    html! { "entry " a href={ "/timeline?before=" (index.saturating_add(1)) } { (index) } }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use lockgate_model::Digest;

    pub(crate) fn source(signers: &[&str]) -> EvidenceSource {
        EvidenceSource {
            evidence: Digest::of(b"evidence"),
            index: 7,
            claim: "provenance".to_owned(),
            signers: signers.iter().map(|name| (*name).to_owned()).collect(),
            by: None,
            class: None,
            identity: None,
            issuer: None,
            builder: None,
            commit: None,
        }
    }

    #[test]
    fn signed_unsigned_and_signed_by_nobody_known_read_differently() {
        let check = |source: &EvidenceSource, wanted: &str, unwanted: &str| {
            let text = who(source).into_string();
            assert!(text.contains(wanted) && !text.contains(unwanted), "{text}");
        };
        check(&source(&["builder"]), "<strong>builder</strong>", "no trusted signer");
        check(&source(&[]), "no trusted signer", " signed<");
        let report = EvidenceSource { by: Some("ci".parse().unwrap()), ..source(&[]) };
        check(&report, "handed in by ci", "no trusted signer");
        let hostile = "<script>\u{202e}";
        let bundle = EvidenceSource {
            class: Some("without-time".to_owned()),
            identity: Some(hostile.to_owned()),
            issuer: Some(hostile.to_owned()),
            ..source(&[hostile])
        };
        check(&bundle, "without-time", "<script");
        check(&bundle, "&lt;script&gt;\\u{202e}", "\u{202e}");
    }

    #[test]
    fn an_entry_is_the_first_of_its_page() {
        assert_eq!(entry(7).into_string(), r#"entry <a href="/timeline?before=8">7</a>"#);
    }
}
