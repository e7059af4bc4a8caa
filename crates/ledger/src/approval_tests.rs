//! Tests of approval documents: spelling, and what they say against what the ledger holds.

use super::*;
use crate::contents::TestCounts;
use crate::gate_changes::GateGroup;
use crate::release_diff::{CommitChange, CoverageChange, DependencyTally, FindingTally, Pair, Tally};
use lockgate_model::facts::{Claim, Severity, Tests};

fn changes() -> ChangeSummary {
    ChangeSummary {
        against: Digest::of(b"1.4.1"),
        artifacts: Tally { added: 1, removed: 1 },
        size_bytes: Pair { before: 10, after: 12 },
        commits: Some(CommitChange { before: Some("abc".to_owned()), after: Some("def".to_owned()) }),
        dependencies: Some(DependencyTally { added: 2, removed: 0, changed: 3, relicensed: 0 }),
        findings: Some(FindingTally { added: 1, fixed: 4, worst: Some(Severity::High) }),
        tests_before: None,
        tests_after: Some(TestCounts { passed: 5, failed: 0, skipped: 0 }),
        coverage: Some(CoverageChange { before: Some(8_000), after: Some(8_100) }),
        configurations: 0,
        gates: Some(GateChanges {
            fail: Some(GateGroup { count: 1, names: vec!["vulnerabilities".parse().unwrap()] }),
            ..GateChanges::default()
        }),
    }
}

/// A document with something in every field, for the tests of this crate.
pub(crate) fn sample() -> ApprovalDocument {
    let time = UnixMillis(1_767_225_600_000);
    let evidence = |kind: &str| EvidenceLine::new(kind.to_owned(), Digest::of(kind.as_bytes()));
    ApprovalDocument {
        statement_type: "https://in-toto.io/Statement/v1".to_owned(),
        subject: vec![Subject { name: "app.tar.gz".to_owned(), digest: DigestSet::of(&Digest::of(b"app")) }],
        predicate_type: PREDICATE_TYPE.to_owned(),
        predicate: ApprovalPredicate {
            ledger: "log1.lockgate.example".to_owned(),
            promotion: PromotionId(3),
            kind: PromotionKind::Promotion,
            release: "shop/web@1.4.2".parse().unwrap(),
            manifest: Digest::of(b"manifest"),
            environment: "production".parse().unwrap(),
            replaces: Some(Replaced { release: "shop/web@1.4.1".parse().unwrap(), manifest: Digest::of(b"1.4.1") }),
            changes: Some(changes()),
            policy: Digest::of(b"policy"),
            evidence: vec![
                EvidenceLine {
                    claim: Some("provenance".to_owned()),
                    signers: vec!["ci-builder".parse().unwrap()],
                    ..evidence("envelope")
                },
                EvidenceLine { claim: Some("tests".to_owned()), by: Some("ci".parse().unwrap()), ..evidence("junit") },
            ],
            waivers: vec![WaiverLine {
                gate: "vulnerabilities".parse().unwrap(),
                finding: Some("CVE-2099-1".to_owned()),
                granted_by: "sam".parse().unwrap(),
                expires_at: time.plus(Span::from_secs(3600)),
            }],
            requester: "dana".parse().unwrap(),
            reason: "weekly release".to_owned(),
            approver: "sam".parse().unwrap(),
            verdict: Verdict::Approve,
            comment: Some("looks good".to_owned()),
            opened_at: Some(time),
            evidence_opened: vec![Digest::of(b"envelope")],
            expires_at: time.plus(Span::from_secs(72 * 3600)),
            anchor: Anchor { size: TreeSize(8), root: Digest::of(b"root") },
        },
    }
}

#[test]
fn hidden_characters_are_shown() {
    assert_eq!(visible("a\u{202e}b\n\u{1b}[2J"), "a\\u{202e}b\\u{a}\\u{1b}[2J");
    assert_eq!(visible("weekly release – ok"), "weekly release – ok");
}

#[test]
fn fields_that_say_nothing_are_not_written() {
    let plain = |change: fn(&mut ApprovalPredicate)| {
        let mut document = sample();
        change(&mut document.predicate);
        String::from_utf8(document.to_bytes().unwrap()).unwrap()
    };
    let text = plain(|predicate| {
        predicate.opened_at = None;
        predicate.evidence_opened.clear();
        predicate.waivers.clear();
        predicate.changes = None;
    });
    for field in ["openedAt", "evidenceOpened", "waivers", "changes"] {
        assert!(!text.contains(field), "{text}");
    }
    assert!(ApprovalDocument::from_bytes(text.as_bytes()).is_ok());
    // The same document in another spelling is not the same bytes, and is refused.
    for (from, to) in
        [("\"expiresAt\"", "\"evidenceOpened\":[],\"expiresAt\""), ("\"policy\"", "\"openedAt\":null,\"policy\"")]
    {
        let other = text.replacen(from, to, 1);
        assert_ne!(other, text);
        assert_eq!(ApprovalDocument::from_bytes(other.as_bytes()).unwrap_err().code, "DOCUMENT_INVALID", "{other}");
    }
    let full = sample().to_bytes().unwrap();
    assert_eq!(ApprovalDocument::from_bytes(&full).unwrap(), sample());
    // A document from before gates were compared says nothing of them, and has the bytes that it always had.
    let text = plain(|predicate| predicate.changes = predicate.changes.take().map(|changes| changes.with_gates(None)));
    assert!(text.contains("\"changes\"") && !text.contains("\"gates\""), "{text}");
    let early = ApprovalDocument::from_bytes(text.as_bytes()).unwrap();
    assert_eq!(early.predicate.changes.map(|changes| changes.gates), Some(None));
}

#[test]
fn a_rejection_names_no_gates() {
    let check = |verdict: Verdict, named: bool| {
        let mut document = sample();
        document.predicate.verdict = verdict;
        assert_eq!(document.predicate.names_gates_in_vain(), verdict == Verdict::Reject);
        let document = document.comparing(Some(changes()));
        let found = document.predicate.changes.as_ref().unwrap();
        assert_eq!((found.gates.is_some(), found.configurations), (named, changes().configurations));
        assert!(!document.predicate.names_gates_in_vain());
    };
    check(Verdict::Approve, true);
    check(Verdict::Reject, false);
}

#[test]
fn what_is_shown_is_compared_with_the_facts() {
    let format = "junit".to_owned();
    let tests = Tests { format, passed: 1, failed: 0, skipped: 0, failed_names: vec![], finished_at: None };
    let facts = [EvidenceFact {
        evidence: Digest::of(b"junit"),
        index: EntryIndex(4),
        recorded_at: UnixMillis(0),
        artifacts: vec![],
        origin: Origin::OnBehalf { by: "ci".parse().unwrap() },
        claim: Claim::Tests(tests),
        signature: None,
    }];
    let waivers = [WaiverFact {
        gate: "vulnerabilities".parse().unwrap(),
        finding: Some("CVE-2099-1".to_owned()),
        asked_by: "dana".parse().unwrap(),
        granted_by: "sam".parse().unwrap(),
        expires_at: UnixMillis(1_767_225_600_000 + 3_600_000),
        index: EntryIndex(5),
        release: None,
        artifact: None,
        granted_at: None,
    }];
    let running = Running {
        release: "shop/web@1.4.1".parse().unwrap(),
        manifest: Digest::of(b"1.4.1"),
        since: UnixMillis(0),
        promotion: PromotionId(1),
    };
    let check = |change: fn(&mut ApprovalPredicate), expected: bool| {
        let mut predicate = sample().predicate;
        predicate.evidence.remove(0);
        change(&mut predicate);
        let found = describes(&predicate, &facts, &waivers, Some(&running));
        assert_eq!(found, expected, "{predicate:?}");
    };
    check(|_| (), true);
    check(|predicate| predicate.evidence[0].claim = None, false);
    check(|predicate| predicate.evidence[0] = EvidenceLine::new("junit".to_owned(), Digest::of(b"junit")), true);
    check(|predicate| predicate.evidence[0].claim = Some("provenance".to_owned()), false);
    check(|predicate| predicate.evidence[0].signers = vec!["ci-builder".parse().unwrap()], false);
    check(|predicate| predicate.evidence[0].by = Some("sam".parse().unwrap()), false);
    check(|predicate| predicate.waivers[0].finding = Some("CVE-2099-2".to_owned()), false);
    check(|predicate| predicate.waivers[0].expires_at.0 += 1, false);
    check(|predicate| predicate.waivers.clear(), true);
    check(|predicate| predicate.replaces.as_mut().unwrap().release = "shop/web@1.4.0".parse().unwrap(), false);
}
