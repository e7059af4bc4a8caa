//! The approval document as the text that people read before they sign.
//!
//! One pure function for the command line and for pages: what is shown is rendered from the very document whose bytes
//! are signed, and from nothing else. Two screens that show the same document show the same text and the same six words.

use std::fmt::Write as _;

use lockgate_model::Digest;
use lockgate_model::facts::{PromotionKind, Verdict};

use crate::approval::{ApprovalDocument, EvidenceLine, WaiverLine};
use crate::code_words::code_words;
use crate::release_diff::ChangeSummary;
use lockgate_model::text::visible;

/// Shows the document: what changes, from what runs now and in which counts, artifacts, evidence, waivers, policy set, people, end.
///
/// The last line is the code: six words derived from the digest of the document's canonical bytes. Control characters
/// and text direction marks in foreign text are shown as escapes, so that no line can imitate another.
pub fn approval_text(document: &ApprovalDocument) -> String {
    let predicate = &document.predicate;
    let verb = match (predicate.verdict, predicate.kind) {
        (Verdict::Approve, PromotionKind::Promotion) => "APPROVE",
        (Verdict::Approve, PromotionKind::Rollback) => "APPROVE THE ROLLBACK",
        (Verdict::Reject, PromotionKind::Promotion) => "REJECT",
        (Verdict::Reject, PromotionKind::Rollback) => "REJECT THE ROLLBACK",
    };
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "  {name:<11} {value}");
    };
    line("verdict", format!("{verb} {}", predicate.promotion));
    line("release", predicate.release.to_string());
    line("into", predicate.environment.to_string());
    line(
        "replaces",
        match &predicate.replaces {
            Some(replaced) => format!("{} (runs there now) {}", replaced.release, replaced.manifest),
            None => "nothing: the service does not run there yet".to_owned(),
        },
    );
    for change in predicate.changes.iter().flat_map(ChangeSummary::lines) {
        line("changes", visible(&change));
    }
    for subject in &document.subject {
        line("artifact", format!("{} sha256:{}", visible(&subject.name), visible(&subject.digest.sha256)));
    }
    line("manifest", predicate.manifest.to_string());
    if predicate.evidence.is_empty() {
        line("evidence", "none".to_owned());
    }
    for evidence in &predicate.evidence {
        line("evidence", evidence_text(evidence, predicate.evidence_opened.contains(&evidence.digest)));
    }
    for waiver in &predicate.waivers {
        line("waiver", waiver_text(waiver));
    }
    line("policy", predicate.policy.to_string());
    line("asked by", predicate.requester.to_string());
    line("reason", visible(&predicate.reason));
    line("signed by", predicate.approver.to_string());
    if let Some(comment) = &predicate.comment {
        line("comment", visible(comment));
    }
    if let Some(opened_at) = predicate.opened_at {
        line("opened", opened_at.to_string());
    }
    line("counts until", predicate.expires_at.to_string());
    line("ledger", format!("{} at {} entries", visible(&predicate.ledger), predicate.anchor.size));
    let code = document.to_bytes().map(|bytes| code_words(&Digest::of(&bytes)));
    // What has no canonical form cannot be signed, and has no code.
    line("code", code.unwrap_or_else(|error| format!("none: {}", visible(&error.message))));
    text
}

fn evidence_text(line: &EvidenceLine, opened: bool) -> String {
    let mut text = format!("{} {}", visible(&line.kind), line.digest);
    if let Some(claim) = &line.claim {
        text.push_str(&format!(", says {}", visible(claim)));
    }
    if !line.signers.is_empty() {
        let signers: Vec<&str> = line.signers.iter().map(lockgate_model::SignerName::as_str).collect();
        text.push_str(&format!(", signed by {}", signers.join(" and ")));
    }
    if let Some(by) = &line.by {
        text.push_str(&format!(", handed in unsigned by {by}"));
    }
    if line.claim.is_some() && line.signers.is_empty() && line.by.is_none() {
        text.push_str(", signed by nobody who is trusted");
    }
    if opened {
        text.push_str(" (opened)");
    }
    text
}

fn waiver_text(line: &WaiverLine) -> String {
    let finding = line.finding.as_deref().unwrap_or("everything");
    format!("{} of gate {}, granted by {} until {}", visible(finding), line.gate, line.granted_by, line.expires_at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::approval::tests::sample;

    #[test]
    fn every_line_comes_from_the_document() {
        let text = approval_text(&sample());
        let expected = [
            "verdict     APPROVE P-3",
            "release     shop/web@1.4.2",
            "into        production",
            "replaces    shop/web@1.4.1 (runs there now) sha256:",
            "changes     artifacts: 1 new, 1 gone; 10 -> 12 bytes",
            "changes     commit: abc -> def",
            "changes     dependencies: 2 new, 0 gone, 3 in another version",
            "changes     findings: 1 new (worst high), 4 fixed",
            "changes     tests: no report -> 5 passed",
            "changes     coverage: 80.00 % -> 81.00 %",
            "changes     gates newly failing: vulnerabilities",
            "artifact    app.tar.gz sha256:",
            "evidence    envelope sha256:",
            ", says provenance, signed by ci-builder (opened)",
            "evidence    junit sha256:",
            ", says tests, handed in unsigned by ci",
            "waiver      CVE-2099-1 of gate vulnerabilities, granted by sam until 2026-",
            "policy      sha256:",
            "asked by    dana",
            "reason      weekly release",
            "signed by   sam",
            "comment     looks good",
            "opened      2026-",
            "counts until 2026-",
            "ledger      log1.lockgate.example at 8 entries",
        ];
        for part in expected {
            assert!(text.contains(part), "{part}:\n{text}");
        }
        let code = text.lines().last().unwrap().trim().strip_prefix("code ").unwrap();
        assert_eq!(code.split_whitespace().count(), 6);
        assert_eq!(code.trim(), code_words(&Digest::of(&sample().to_bytes().unwrap())));
    }

    #[test]
    fn another_document_has_another_text_and_code() {
        let code = |text: &str| text.lines().last().map(str::to_owned).unwrap();
        let first = approval_text(&sample());
        let changes: [fn(&mut ApprovalDocument); 8] = [
            |document| document.predicate.changes = None,
            |document| document.predicate.changes.as_mut().unwrap().gates = None,
            |document| document.predicate.release = "shop/web@1.4.3".parse().unwrap(),
            |document| document.predicate.replaces = None,
            |document| document.predicate.waivers.clear(),
            |document| document.predicate.evidence_opened.clear(),
            |document| document.predicate.verdict = Verdict::Reject,
            |document| document.predicate.anchor.size.0 += 1,
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut other = sample();
            change(&mut other);
            let other = approval_text(&other);
            assert_ne!(other, first, "change {number}");
            assert_ne!(code(&other), code(&first), "change {number}");
        }
    }

    #[test]
    fn hostile_text_cannot_imitate_a_line() {
        let mut hostile = sample();
        hostile.predicate.reason = "ok\n  into        staging\u{202e}\u{1b}[2J".to_owned();
        hostile.predicate.comment = Some("\u{2066}x\r".to_owned());
        if let Some(subject) = hostile.subject.first_mut() {
            subject.name = "a\u{200b}b".to_owned();
        }
        let text = approval_text(&hostile);
        assert_eq!(text.lines().filter(|line| line.trim_start().starts_with("into ")).count(), 1, "{text}");
        for hidden in ['\u{202e}', '\u{1b}', '\u{2066}', '\r', '\u{200b}'] {
            assert!(!text.contains(hidden), "{hidden:?}:\n{text}");
        }
        assert!(text.contains("\\u{202e}") && text.contains("\\u{a}"), "{text}");
    }
}
