//! Tests of the `vulnerabilities` gate.

use super::*;
use crate::decision::GateOutcome::{self, Fail, Pass, Waived};
use crate::decision::GateResult;
use crate::sample::{TIME, check, evidence, feed, finding, on_behalf, scan, signed, waiver};
use lockgate_model::facts::{Facts, FeedFact, Kev, Origin, Vex, VexStatus, WaiverFact};

const GATE: &str = "kind = \"vulnerabilities\"\nblock = [\"critical\", \"high\"]\n";
const DAY: u64 = 86_400_000;

fn row(more: &str, findings: Vec<Finding>, outcome: GateOutcome, reason: Reason) -> GateResult {
    let claim = Claim::Vulnerabilities(scan("trivy", findings));
    let gate = format!("{GATE}{more}\n");
    check(&gate, |_, facts| facts.evidence = vec![evidence(1, on_behalf("robot"), claim)], outcome, reason)
}

#[test]
fn blocks_by_severity_fix_and_leeway() {
    use Severity::{Critical, High, Low, Medium, Unknown};
    let with = |severity, fixed: Option<&str>, disclosed_at: Option<u64>| {
        let fixed = fixed.map(str::to_owned);
        let disclosed_at = disclosed_at.map(UnixMillis);
        vec![Finding { fixed, disclosed_at, ..finding("CVE-1", severity) }]
    };
    row("", vec![], Pass, Reason::Satisfied);
    row("", with(Critical, None, None), Fail, Reason::VulnerabilitiesFound);
    row("", with(High, None, None), Fail, Reason::VulnerabilitiesFound);
    row("", with(Medium, None, None), Pass, Reason::Satisfied);
    row("", with(Low, None, None), Pass, Reason::Satisfied);
    row("", with(Unknown, None, None), Fail, Reason::VulnerabilitiesFound);
    row("fix_available_only = true", with(Critical, None, None), Pass, Reason::Satisfied);
    let result =
        row("fix_available_only = true", with(Critical, Some("2.0.1"), None), Fail, Reason::VulnerabilitiesFound);
    assert_eq!(result.found, "app.tar.gz: 1 blocked finding: CVE-1 in example 2.0.0 (critical, fixed in 2.0.1)");
    assert_eq!(result.fix, "upgrade example to 2.0.1, then: lockgate push <file> --service shop/web --version <next>");
    let leeway = "leeway = { critical = \"0d\", high = \"7d\" }";
    row(leeway, with(High, None, Some(TIME.0 - 7 * DAY + 1)), Pass, Reason::Satisfied);
    row(leeway, with(High, None, Some(TIME.0 - 7 * DAY)), Fail, Reason::VulnerabilitiesFound);
    row(leeway, with(High, None, Some(TIME.0 + 1)), Fail, Reason::VulnerabilitiesFound);
    row(leeway, with(High, None, None), Fail, Reason::VulnerabilitiesFound);
    row(leeway, with(Critical, None, Some(TIME.0)), Fail, Reason::VulnerabilitiesFound);
}

#[test]
fn what_nobody_says_is_no_missing_fix() {
    let of = |fixed: Option<&str>, fix_unknown| {
        vec![Finding { fixed: fixed.map(str::to_owned), fix_unknown, ..finding("CVE-1", Severity::Critical) }]
    };
    let (only, found) = ("fix_available_only = true", Reason::VulnerabilitiesFound);
    row(only, of(None, false), Pass, Reason::Satisfied);
    row(only, of(Some("2.0.1"), false), Fail, found);
    for more in [only, ""] {
        let result = row(more, of(None, true), Fail, found);
        assert!(result.found.ends_with("CVE-1 in example 2.0.0 (critical, fix unknown)"), "{}", result.found);
    }
    let result = row("", of(None, false), Fail, found);
    assert!(result.found.ends_with("(critical, no fix)"), "{}", result.found);
    row("epss = \"10%\"\nfix_available_only = true", of(None, true), Fail, found);
    // Of two scanners one that says that there is none is believed, unless the other one names a fix.
    let two = |one: Vec<Finding>, other: Vec<Finding>, outcome, reason| {
        let of = |index, scanner: &str, findings| {
            evidence(index, on_behalf("robot"), Claim::Vulnerabilities(scan(scanner, findings)))
        };
        let facts = vec![of(1, "grype", one), of(2, "trivy", other)];
        check(&format!("{GATE}{only}\n"), |_, known| known.evidence = facts, outcome, reason);
    };
    two(of(None, true), of(None, true), Fail, found);
    two(of(None, true), of(None, false), Pass, Reason::Satisfied);
    two(of(None, true), of(Some("2.0.1"), false), Fail, found);
    two(of(None, false), of(Some("2.0.1"), false), Fail, found);
}

/// A signed statement may say less than the report of the same scanner.
#[test]
fn signed_and_plain_scans_do_not_replace_one_another() {
    let of = |index: u64, origin: Origin, findings| EvidenceFact {
        recorded_at: UnixMillis(TIME.0 - 60_000 + index * 1000),
        ..evidence(index, origin, Claim::Vulnerabilities(scan("trivy", findings)))
    };
    let bad = || vec![finding("CVE-1", Severity::Critical)];
    let (plain, by_scanner) = (|| on_behalf("robot"), || signed(&["scanner"]));
    let (found, satisfied) = (Reason::VulnerabilitiesFound, Reason::Satisfied);
    let rows = [
        ("", vec![of(1, plain(), bad()), of(2, by_scanner(), vec![])], Fail, found),
        ("", vec![of(1, by_scanner(), bad()), of(2, plain(), vec![])], Fail, found),
        ("", vec![of(1, plain(), bad()), of(2, by_scanner(), vec![]), of(3, plain(), vec![])], Pass, satisfied),
        ("", vec![of(1, by_scanner(), bad()), of(2, by_scanner(), vec![])], Pass, satisfied),
        ("signed_by = [\"scanner\"]", vec![of(1, plain(), bad()), of(2, by_scanner(), vec![])], Pass, satisfied),
    ];
    for (more, facts, outcome, reason) in rows {
        check(&format!("{GATE}{more}\n"), |_, known| known.evidence = facts, outcome, reason);
    }
}

#[test]
fn the_newest_scan_of_each_scanner_counts() {
    let bad = || vec![finding("CVE-1", Severity::Critical)];
    // Each is handed in by itself, a second after the one before.
    let of = |index: u64, scanner: &str, findings| EvidenceFact {
        recorded_at: UnixMillis(TIME.0 - 60_000 + index * 1000),
        ..evidence(index, on_behalf("robot"), Claim::Vulnerabilities(scan(scanner, findings)))
    };
    let rows = [
        (vec![of(1, "trivy", bad()), of(2, "trivy", vec![])], Pass, Reason::Satisfied),
        (vec![of(2, "trivy", vec![]), of(1, "trivy", bad())], Pass, Reason::Satisfied),
        (vec![of(1, "trivy", vec![]), of(2, "trivy", bad())], Fail, Reason::VulnerabilitiesFound),
        (vec![of(1, "grype", bad()), of(2, "trivy", vec![])], Fail, Reason::VulnerabilitiesFound),
        (vec![], Fail, Reason::ScanMissing),
    ];
    for (evidence, outcome, reason) in rows {
        check(GATE, |_, facts| facts.evidence = evidence, outcome, reason);
    }
}

#[test]
fn no_scan_hides_another_one_of_the_same_scanner_and_time() {
    let of = |index, id: &str| {
        let claim = Claim::Vulnerabilities(scan("trivy", vec![finding(id, Severity::Critical)]));
        evidence(index, on_behalf("robot"), claim)
    };
    let clean = |index| evidence(index, on_behalf("robot"), Claim::Vulnerabilities(scan("trivy", vec![])));
    let found = Reason::VulnerabilitiesFound;
    check(GATE, |_, facts| facts.evidence = vec![of(1, "CVE-1"), clean(2)], Fail, found);
    check(GATE, |_, facts| facts.evidence = vec![clean(1), of(2, "CVE-1")], Fail, found);
    let result = check(GATE, |_, facts| facts.evidence = vec![of(1, "CVE-1"), of(2, "CVE-2")], Fail, found);
    assert!(result.found.contains("2 blocked findings: CVE-1") && result.found.contains("CVE-2"), "{}", result.found);
    let result = check(GATE, |_, facts| facts.evidence = vec![clean(1), clean(2)], Pass, Reason::Satisfied);
    assert_eq!(result.found, "app.tar.gz: trivy: 0 findings, none blocked");
    assert_eq!(result.evidence.len(), 2);
}

#[test]
fn scans_age_and_come_not_from_the_future() {
    let gate = format!("{GATE}max_age = \"1d\"\n");
    let at = |recorded: u64, scanned: Option<u64>| {
        let mut claim = scan("trivy", vec![]);
        claim.scanned_at = scanned.map(UnixMillis);
        let mut fact = evidence(1, on_behalf("robot"), Claim::Vulnerabilities(claim));
        fact.recorded_at = UnixMillis(recorded);
        fact
    };
    let rows = [
        (at(TIME.0 - DAY + 1, None), Pass, Reason::Satisfied),
        (at(TIME.0 - DAY, None), Fail, Reason::ScanStale),
        (at(TIME.0, Some(TIME.0 - DAY)), Fail, Reason::ScanStale),
        (at(TIME.0 - DAY, Some(TIME.0)), Fail, Reason::EvidenceFromFuture),
    ];
    for (fact, outcome, reason) in rows {
        check(&gate, |_, facts| facts.evidence = vec![fact], outcome, reason);
    }
}

#[test]
fn waivers_except_one_finding_of_one_gate() {
    let row = |change: fn(&mut WaiverFact), findings: &[&str], outcome, reason| {
        let mut waiver = waiver("g", "CVE-1");
        change(&mut waiver);
        let findings = findings.iter().map(|id| finding(id, Severity::Critical)).collect();
        let claim = Claim::Vulnerabilities(scan("trivy", findings));
        let change = |_: &PolicySet, facts: &mut lockgate_model::facts::Facts| {
            facts.evidence = vec![evidence(1, on_behalf("robot"), claim)];
            facts.waivers = vec![waiver];
        };
        check(GATE, change, outcome, reason)
    };
    let found = Reason::VulnerabilitiesFound;
    let result = row(|_| {}, &["CVE-1"], Waived, Reason::Waived);
    assert!(result.found.contains("1 finding waived: CVE-1"), "{}", result.found);
    row(|_| {}, &["CVE-2"], Fail, found);
    row(|_| {}, &["CVE-1", "CVE-2"], Fail, found);
    row(|waiver| waiver.gate = "h".parse().unwrap(), &["CVE-1"], Fail, found);
    row(|waiver| waiver.finding = None, &["CVE-1"], Fail, found);
    row(|waiver| waiver.expires_at = TIME, &["CVE-1"], Fail, found);
    row(|waiver| waiver.asked_by = waiver.granted_by.clone(), &["CVE-1"], Fail, found);
    row(|waiver| waiver.granted_by = "eve".parse().unwrap(), &["CVE-1"], Fail, found);
    row(|waiver| waiver.granted_by = "robot".parse().unwrap(), &["CVE-1"], Fail, found);
    row(|waiver| waiver.granted_by = "kim".parse().unwrap(), &["CVE-1"], Fail, found);
}

/// A finding of low severity, so that only what is asked for besides makes it block.
fn low() -> Finding {
    finding("CVE-1", Severity::Low)
}

#[test]
fn what_is_exploited_or_likely_to_be_blocks_whatever_its_severity() {
    let found = Reason::VulnerabilitiesFound;
    let exploited = || vec![Finding { kev: Some(Kev { added_at: None, due_at: None, ransomware: false }), ..low() }];
    row("", exploited(), Pass, Reason::Satisfied);
    let result = row("kev = true\nfix_available_only = true", exploited(), Fail, found);
    assert!(result.found.ends_with("CVE-1 in example 2.0.0 (low, no fix, known to be exploited)"), "{}", result.found);
    let leeway = "kev = true\nleeway = { high = \"7d\" }";
    let fresh = Finding { severity: Severity::High, disclosed_at: Some(TIME), ..exploited().remove(0) };
    row(leeway, vec![fresh], Fail, found);
    let likely = |millionths| vec![Finding { epss_millionths: Some(millionths), ..low() }];
    row("epss = \"10%\"", likely(99_999), Pass, Reason::Satisfied);
    let result = row("epss = \"10%\"", likely(100_000), Fail, found);
    assert!(result.found.contains("EPSS 10%"), "{}", result.found);
    assert!(result.needed.contains("EPSS of 10% or more"), "{}", result.needed);
    row("epss = \"10%\"\nfix_available_only = true", likely(1_000_000), Pass, Reason::Satisfied);
    row("epss = \"10%\"", vec![low()], Pass, Reason::Satisfied);
}

fn statement(id: &str, status: VexStatus) -> VexStatement {
    VexStatement {
        vulnerability: id.to_owned(),
        aliases: vec![],
        products: vec![],
        subcomponents: vec![],
        status,
        justification: None,
        text: None,
        stated_at: None,
        pointer: String::new(),
    }
}

fn stated(at: u64, id: &str, status: VexStatus) -> VexStatement {
    VexStatement { stated_at: Some(UnixMillis(at)), ..statement(id, status) }
}

/// A scan with one finding, and VEX by somebody.
fn scan_and_vex(found: Finding, origin: Origin, statements: Vec<VexStatement>) -> Vec<EvidenceFact> {
    let vex = Vex { format: "openvex".to_owned(), statements, ..Vex::default() };
    let scan = Claim::Vulnerabilities(scan("trivy", vec![found]));
    vec![evidence(1, on_behalf("robot"), scan), evidence(2, origin, Claim::Vex(vex))]
}

#[test]
fn the_last_word_counts_and_then_the_worst() {
    use VexStatus::{Affected, Fixed, NotAffected};
    let gate = format!("{GATE}vex_signed_by = [\"scanner\"]\n");
    let row = |statements: [(VexStatus, Option<u64>); 2], outcome, reason| {
        let one = |(status, at): (VexStatus, Option<u64>)| VexStatement {
            stated_at: at.map(UnixMillis),
            ..statement("CVE-1", status)
        };
        let statements = statements.map(one).to_vec();
        let facts = scan_and_vex(finding("CVE-1", Severity::Critical), signed(&["scanner"]), statements);
        check(&gate, |_, known: &mut Facts| known.evidence = facts, outcome, reason);
    };
    let (satisfied, found) = (Reason::Satisfied, Reason::VulnerabilitiesFound);
    row([(NotAffected, Some(2)), (Affected, Some(1))], Pass, satisfied);
    row([(NotAffected, Some(1)), (Affected, Some(2))], Fail, found);
    row([(Affected, Some(1)), (NotAffected, Some(1))], Fail, found);
    // One without a time is older than any with one.
    row([(Fixed, Some(1)), (Affected, None)], Pass, satisfied);
    row([(Affected, None), (Fixed, None)], Fail, found);
}

#[test]
fn vex_is_honoured_from_named_signers_alone() {
    let check_vex = |more: &str, origin: Origin, statement: VexStatement, outcome, reason| {
        let facts = scan_and_vex(finding("CVE-1", Severity::Critical), origin, vec![statement]);
        check(&format!("{GATE}{more}\n"), |_, known: &mut Facts| known.evidence = facts, outcome, reason)
    };
    use VexStatus::{Affected, Fixed, NotAffected, UnderInvestigation};
    let found = Reason::VulnerabilitiesFound;
    let by = "vex_signed_by = [\"scanner\"]";
    let result = check_vex(by, signed(&["scanner"]), statement("CVE-1", NotAffected), Pass, Reason::Satisfied);
    assert!(result.found.contains("1 finding that VEX says does not matter"), "{}", result.found);
    assert_eq!(result.evidence.len(), 2);
    check_vex(by, signed(&["scanner"]), statement("CVE-1", Fixed), Pass, Reason::Satisfied);
    check_vex("", signed(&["scanner"]), statement("CVE-1", NotAffected), Fail, found);
    check_vex(by, signed(&["ci"]), statement("CVE-1", NotAffected), Fail, found);
    check_vex(by, signed(&[]), statement("CVE-1", NotAffected), Fail, found);
    check_vex(by, on_behalf("robot"), statement("CVE-1", NotAffected), Fail, found);
    check_vex(by, signed(&["scanner"]), statement("CVE-2", NotAffected), Fail, found);
    check_vex(by, signed(&["scanner"]), statement("CVE-1", Affected), Fail, found);
    check_vex(by, signed(&["scanner"]), statement("CVE-1", UnderInvestigation), Fail, found);
}

#[test]
fn vex_that_does_not_count_is_told_with_the_reason() {
    use VexStatus::{Affected, NotAffected};
    let own = || statement("CVE-1", NotAffected);
    let other = || VexStatement { products: vec!["pkg:deb/debian/zlib".to_owned()], ..own() };
    let by = "vex_signed_by = [\"scanner\"]";
    let row = |more: &str, vex: Vec<(Origin, VexStatement)>, expected: &str| {
        let mut facts = scan_and_vex(finding("CVE-1", Severity::Critical), signed(&["scanner"]), vec![]);
        facts.extend(vex.into_iter().zip(3..).map(|((origin, statement), index)| {
            let vex = Vex { format: "openvex".to_owned(), statements: vec![statement], ..Vex::default() };
            evidence(index, origin, Claim::Vex(vex))
        }));
        let gate = format!("{GATE}{more}\n");
        let result = check(&gate, |_, known| known.evidence = facts, Fail, Reason::VulnerabilitiesFound);
        let open = "app.tar.gz: 1 blocked finding: CVE-1 in example 2.0.0 (critical, no fix)";
        assert_eq!(result.found, format!("{open}{expected}"));
    };
    let (unsigned, untrusted) = ("one without a signature", "one signed by no signer that is trusted for it here");
    let (robot, ci, scanner) = (|| on_behalf("robot"), || signed(&["ci"]), || signed(&["scanner"]));
    let told = |why: &[&str]| format!("; VEX about CVE-1 does not count: {}", why.join(", "));
    row(by, vec![(robot(), own())], &told(&[unsigned]));
    row(by, vec![(ci(), own())], &told(&[untrusted]));
    row(by, vec![(signed(&[]), own())], &told(&[untrusted]));
    row(by, vec![(scanner(), other())], &told(&["one about another product"]));
    let all = vec![(scanner(), other()), (robot(), own()), (ci(), own()), (robot(), own())];
    row(by, all, &told(&[untrusted, unsigned, "one about another product"]));
    let aliased = VexStatement { aliases: vec!["cve-1".to_owned()], ..statement("GHSA-1", NotAffected) };
    row(by, vec![(robot(), aliased)], "; VEX about cve-1 does not count: one without a signature");
    // What would lower nothing, what is about something else, and VEX where nobody's is honoured.
    row(by, vec![(robot(), statement("CVE-1", Affected))], "");
    row(by, vec![(robot(), statement("CVE-2", NotAffected))], "");
    row(by, vec![(scanner(), statement("CVE-1", Affected))], "");
    row("", vec![(robot(), own())], "");
}

#[test]
fn vex_from_the_future_is_not_believed() {
    let row = |statements: Vec<VexStatement>, outcome, reason| {
        let facts = scan_and_vex(finding("CVE-1", Severity::Critical), signed(&["scanner"]), statements);
        let gate = format!("{GATE}vex_signed_by = [\"scanner\"]\n");
        check(&gate, |_, known: &mut Facts| known.evidence = facts, outcome, reason);
    };
    use VexStatus::{Affected, NotAffected, UnderInvestigation};
    let of = |after: u64, status| stated(TIME.0 + after, "CVE-1", status);
    let (tolerance, found) = (300_000, Reason::VulnerabilitiesFound);
    row(vec![of(0, Affected), of(3650 * DAY, NotAffected)], Fail, found);
    // A warning is not lost, and counts as the newest when it was recorded.
    row(vec![of(0, NotAffected), of(3650 * DAY, Affected)], Fail, found);
    row(vec![of(0, NotAffected), of(3650 * DAY, UnderInvestigation)], Fail, found);
    row(vec![of(tolerance + 1, Affected), of(tolerance, NotAffected)], Fail, found);
    row(vec![of(tolerance, NotAffected)], Pass, Reason::Satisfied);
    row(vec![of(tolerance + 1, NotAffected)], Fail, found);
    // What is said after it was recorded is newer.
    let later = |at: u64, outcome, reason| {
        let one = finding("CVE-1", Severity::Critical);
        let mut facts = scan_and_vex(one.clone(), signed(&["scanner"]), vec![of(3650 * DAY, Affected)]);
        facts[1].recorded_at = UnixMillis(TIME.0 - DAY);
        let vex = scan_and_vex(one, signed(&["scanner"]), vec![stated(at, "CVE-1", NotAffected)]).remove(1);
        facts.push(EvidenceFact { evidence: Digest::of(b"later"), index: lockgate_model::EntryIndex(3), ..vex });
        let gate = format!("{GATE}vex_signed_by = [\"scanner\"]\n");
        check(&gate, |_, known: &mut Facts| known.evidence = facts, outcome, reason);
    };
    later(TIME.0, Pass, Reason::Satisfied);
    later(TIME.0 - DAY, Fail, found);
}

/// A finding of some names, the first its own, under waivers of these names and these words of VEX, by time.
fn check_excused(
    names: &[&str],
    waived: &[&str],
    vex: &[(u64, &str, VexStatus)],
    outcome: GateOutcome,
    reason: Reason,
) -> GateResult {
    let aliases = names[1..].iter().map(|name| (*name).to_owned()).collect();
    let found = Finding { aliases, ..finding(names[0], Severity::Critical) };
    let statements = vex.iter().map(|(at, id, status)| stated(*at, id, *status)).collect();
    let change = |_: &PolicySet, facts: &mut Facts| {
        facts.evidence = scan_and_vex(found, signed(&["scanner"]), statements);
        facts.waivers = waived.iter().map(|id| waiver("g", id)).collect();
    };
    check(&format!("{GATE}vex_signed_by = [\"scanner\"]\n"), change, outcome, reason)
}

#[test]
fn an_advisory_about_several_cves_is_excused_as_a_whole_or_for_each() {
    use VexStatus::{Affected, Fixed, NotAffected, UnderInvestigation};
    const ELSA: &[&str] = &["ELSA-1", "CVE-1", "CVE-2", "GHSA-1"];
    let (found, satisfied) = (Reason::VulnerabilitiesFound, Reason::Satisfied);
    let result = check_excused(ELSA, &["CVE-1"], &[], Fail, found);
    assert!(result.found.ends_with("ELSA-1 in example 2.0.0 (critical, no fix, about CVE-1 and CVE-2)"), "{result:#?}");
    check_excused(ELSA, &["CVE-2"], &[], Fail, found);
    check_excused(ELSA, &["GHSA-1"], &[], Fail, found);
    check_excused(ELSA, &["GHSA-1", "CVE-1"], &[], Fail, found);
    check_excused(ELSA, &["cve-1", "CVE-2"], &[], Waived, Reason::Waived);
    check_excused(ELSA, &["elsa-1"], &[], Waived, Reason::Waived);
    check_excused(ELSA, &[], &[(1, "CVE-1", NotAffected)], Fail, found);
    check_excused(ELSA, &[], &[(2, "CVE-1", NotAffected), (1, "CVE-2", Affected)], Fail, found);
    check_excused(ELSA, &[], &[(2, "CVE-1", NotAffected), (1, "CVE-2", UnderInvestigation)], Fail, found);
    check_excused(ELSA, &[], &[(2, "CVE-1", NotAffected), (1, "CVE-2", Fixed)], Pass, satisfied);
    check_excused(ELSA, &[], &[(1, "ELSA-1", NotAffected)], Pass, satisfied);
    check_excused(ELSA, &[], &[(1, "ELSA-1", NotAffected), (2, "CVE-2", Affected)], Fail, found);
    check_excused(ELSA, &[], &[(2, "ELSA-1", NotAffected), (1, "CVE-2", Affected)], Pass, satisfied);
    check_excused(ELSA, &[], &[(1, "GHSA-1", NotAffected)], Fail, found);
    check_excused(ELSA, &[], &[(1, "ELSA-1", NotAffected), (2, "GHSA-1", Affected)], Fail, found);
    // Some by a waiver, and some by VEX.
    let result = check_excused(ELSA, &["CVE-1"], &[(1, "CVE-2", NotAffected)], Waived, Reason::Waived);
    assert_eq!(result.evidence.len(), 2);
    check_excused(ELSA, &["CVE-1"], &[(1, "CVE-1", NotAffected)], Fail, found);
    check_excused(ELSA, &["CVE-1"], &[(1, "CVE-2", Affected)], Fail, found);
    // Nor is a CVE with another one among its names a name of both.
    check_excused(&["CVE-1", "CVE-2"], &["CVE-1"], &[], Fail, found);
    check_excused(&["CVE-1", "CVE-2"], &["CVE-1", "CVE-2"], &[], Waived, Reason::Waived);
    check_excused(&["CVE-1", "CVE-2"], &[], &[(1, "CVE-1", NotAffected)], Fail, found);
    // Of one CVE, every name is a name of it.
    check_excused(&["GHSA-1", "CVE-1", "cve-1"], &["CVE-1"], &[], Waived, Reason::Waived);
    check_excused(&["CVE-1", "GHSA-1"], &[], &[(1, "GHSA-1", NotAffected)], Pass, satisfied);
}

#[test]
fn what_makes_an_advisory_worse_counts_under_any_name() {
    let row = |more: &str, outcome, reason| {
        let change = |_: &PolicySet, facts: &mut Facts| {
            let aliases = vec!["CVE-1".to_owned(), "CVE-2".to_owned()];
            let found = Finding { aliases, ..finding("ELSA-1", Severity::High) };
            facts.evidence = scan_and_vex(found, signed(&["scanner"]), vec![]);
            facts.waivers = vec![waiver("g", "ELSA-1")];
            let kev = Kev { added_at: None, due_at: None, ransomware: false };
            facts.feeds = vec![FeedFact { kev: BTreeMap::from([("CVE-2".to_owned(), kev)]), ..feed(FeedKind::Kev) }];
        };
        check(&format!("{GATE}{more}\n"), change, outcome, reason)
    };
    let result = row("kev = true", Waived, Reason::Waived);
    assert!(result.found.contains("known to be exploited"), "{}", result.found);
    row("waivers_end_with_kev = true", Fail, Reason::WaiverEndedKev);
}

/// What a report says of itself lowers nothing, whoever signed it.
#[test]
fn reports_do_not_lower_their_own_findings() {
    let own = Finding { vex: Some(VexStatus::NotAffected), ..finding("CVE-1", Severity::Critical) };
    row("vex_signed_by = [\"scanner\"]", vec![own], Fail, Reason::VulnerabilitiesFound);
}

#[test]
fn two_scanners_tell_one_finding_once() {
    let of = |index, scanner: &str, finding| {
        evidence(index, on_behalf("robot"), Claim::Vulnerabilities(scan(scanner, vec![finding])))
    };
    let facts = vec![
        of(1, "grype", Finding { aliases: vec!["CVE-1".to_owned()], ..finding("GHSA-1", Severity::Low) }),
        of(2, "trivy", finding("CVE-1", Severity::Critical)),
    ];
    let result = check(GATE, |_, known| known.evidence = facts, Fail, Reason::VulnerabilitiesFound);
    assert!(result.found.contains("1 blocked finding: CVE-1"), "{}", result.found);
    assert_eq!(result.evidence.len(), 2);
}

#[test]
fn waivers_may_end_when_a_finding_is_exploited() {
    let row = |more: &str, outcome, reason| {
        let kev = Some(Kev { added_at: None, due_at: None, ransomware: true });
        let claim = scan("trivy", vec![Finding { kev, ..finding("CVE-1", Severity::Critical) }]);
        let change = |_: &PolicySet, facts: &mut Facts| {
            facts.evidence = vec![evidence(1, on_behalf("robot"), Claim::Vulnerabilities(claim))];
            facts.waivers = vec![waiver("g", "CVE-1")];
        };
        check(&format!("{GATE}{more}\n"), change, outcome, reason);
    };
    row("kev = true", Waived, Reason::Waived);
    row("waivers_end_with_kev = true", Fail, Reason::WaiverEndedKev);
}

/// Whoever mends what one artifact is blocked for hears of the others, too.
#[test]
fn says_what_to_upgrade_in_every_artifact_whatever_else_is_wrong_with_its_scan() {
    let of = |package: &str| Finding {
        package: package.to_owned(),
        fixed: Some("2.0.1".to_owned()),
        ..finding("CVE-1", Severity::High)
    };
    let change = |_: &PolicySet, known: &mut Facts| {
        let second = Artifact { digest: Digest::of(b"second"), name: "second".to_owned(), size_bytes: 6 };
        let blocked = Claim::Vulnerabilities(scan("trivy", vec![of("one")]));
        let late = Vulnerabilities { scanned_at: Some(UnixMillis(TIME.0 + DAY)), ..scan("trivy", vec![of("two")]) };
        let late = EvidenceFact {
            artifacts: vec![second.digest],
            ..evidence(2, on_behalf("robot"), Claim::Vulnerabilities(late))
        };
        known.evidence = vec![evidence(1, on_behalf("robot"), blocked), late];
        known.release.artifacts.push(second);
    };
    let result = check(GATE, change, Fail, Reason::VulnerabilitiesFound);
    assert!(result.found.contains("second: a scan that says it is of"), "{}", result.found);
    assert!(result.fix.starts_with("upgrade one to 2.0.1, two to 2.0.1, then: "), "{}", result.fix);
}

#[test]
fn says_for_each_finding_what_may_be_done() {
    let findings = || {
        vec![
            Finding { fixed: Some("2.0.1".to_owned()), ..finding("CVE-1", Severity::High) },
            finding("CVE-2", Severity::High),
        ]
    };
    let remedies = "remedies = [\"patch\", \"replace\", \"waiver\"]";
    let result = row(remedies, findings(), Fail, Reason::VulnerabilitiesFound);
    let lines: Vec<&str> = result.fix.lines().collect();
    assert_eq!(lines.len(), 3, "{}", result.fix);
    assert!(lines[0].starts_with("CVE-1 in example 2.0.0: patch it to 2.0.1 or ask "), "{}", result.fix);
    assert!(lines[1].starts_with("CVE-2 in example 2.0.0: replace the package or ask "), "{}", result.fix);
    assert!(lines[2].starts_with("then: lockgate push "), "{}", result.fix);
}

#[test]
fn no_upgrade_goes_back() {
    let of = |fixes: &[&str]| Finding {
        version: "6.1.0".to_owned(),
        fixed: fixes.first().map(|fix| (*fix).to_owned()),
        fixed_versions: fixes.iter().map(|fix| (*fix).to_owned()).collect(),
        ..finding("CVE-1", Severity::High)
    };
    let found = Reason::VulnerabilitiesFound;
    let result = row("", vec![of(&["5.2.20", "6.2.0"])], Fail, found);
    assert!(result.found.ends_with("(high, fixed in 6.2.0)"), "{}", result.found);
    assert!(result.fix.starts_with("upgrade example to 6.2.0, then: lockgate push "), "{}", result.fix);
    let result = row("", vec![of(&["5.2.20", "5.3.1"])], Fail, found);
    assert!(result.found.ends_with("(high, fixed in 5.2.20, 5.3.1)"), "{}", result.found);
    let take = "take a version without it: example is fixed in 5.2.20, 5.3.1, then: lockgate push ";
    assert!(result.fix.starts_with(take), "{}", result.fix);
}

/// A waiver that can never count is no advice.
#[test]
fn nobody_is_sent_for_a_waiver_of_what_is_exploited() {
    let exploited = |id: &str| {
        let kev = Some(Kev { added_at: None, due_at: None, ransomware: false });
        Finding { kev, ..finding(id, Severity::Critical) }
    };
    let fix = |more: &str, findings| row(more, findings, Fail, Reason::VulnerabilitiesFound).fix;
    let ends = "waivers_end_with_kev = true";
    let all = fix(ends, vec![exploited("CVE-1")]);
    assert!(all.starts_with("no fix is known: replace the package, then: ") && !all.contains("waiver"), "{all}");
    let some = fix(ends, vec![exploited("CVE-1"), finding("CVE-2", Severity::Critical)]);
    assert!(some.ends_with("for a waiver of each finding that is not known to be exploited"), "{some}");
    let none = fix(ends, vec![finding("CVE-2", Severity::Critical)]);
    assert!(none.ends_with("for a waiver of each finding"), "{none}");
    assert!(fix("kev = true", vec![exploited("CVE-1")]).ends_with("for a waiver of each finding"));
    let listed = "remedies = [\"upgrade\", \"replace\", \"waiver\"]";
    let both = vec![exploited("CVE-1"), finding("CVE-2", Severity::Critical)];
    let lines = fix(&format!("{ends}\n{listed}"), both);
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines[0], "CVE-1 in example 2.0.0: replace the package");
    assert!(lines[1].starts_with("CVE-2 in example 2.0.0: replace the package or ask "), "{lines:?}");
}

#[test]
fn a_scan_is_old_in_days() {
    let old = EvidenceFact {
        recorded_at: UnixMillis(TIME.0 - 39_216_546_000),
        ..evidence(1, on_behalf("robot"), Claim::Vulnerabilities(scan("trivy", vec![])))
    };
    let gate = format!("{GATE}max_age = \"1d\"\n");
    let result = check(&gate, |_, facts| facts.evidence = vec![old], Fail, Reason::ScanStale);
    assert!(result.found.ends_with(", 453 days old"), "{}", result.found);
    assert_eq!(result.fix, "scan it again, then: lockgate attest shop/web@1.4.2 --scan trivy.json");
}
