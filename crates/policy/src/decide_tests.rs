//! Tests of the decision as a whole: fail closed, all reasons at once, and the same bytes every time.

use super::*;
use crate::sample::{
    approval, certified, evidence, facts, files, finding, gate, on_behalf, policy, provenance, sbom, scan, signed,
    tests,
};
use lockgate_model::facts::{Claim, EvidenceFact, Severity};
use lockgate_model::{Digest, Limits, canonical};

/// One gate of every kind; the names are their kinds.
fn every_gate() -> Vec<String> {
    let gates = [
        (
            "provenance",
            "signers = [\"ci\"]\nbuilder_ids = [\"https://ci.example/builder@v1\"]\nsource_repositories = [\"https://git.example/shop/good\"]\n",
        ),
        ("sbom", "complete = true\n"),
        ("tests", ""),
        ("vulnerabilities", "block = [\"critical\"]\n"),
        ("certified", ""),
        ("version", ""),
        ("release-notes", ""),
        ("approvals", "groups = [\"approvers\"]\n"),
    ];
    gates
        .iter()
        .map(|(kind, fields)| gate(&format!("kind = \"{kind}\"\n{fields}")).replace("\"g\"", &format!("\"{kind}\"")))
        .collect()
}

fn good_evidence() -> Vec<EvidenceFact> {
    vec![
        evidence(1, signed(&["ci"]), Claim::Provenance(provenance())),
        evidence(2, on_behalf("robot"), Claim::Sbom(sbom())),
        evidence(3, on_behalf("robot"), Claim::Tests(tests())),
        evidence(4, on_behalf("robot"), Claim::Vulnerabilities(scan("trivy", vec![]))),
    ]
}

/// Facts that satisfy [`every_gate`].
fn good_facts(policy: &PolicySet) -> Facts {
    let mut facts = facts();
    facts.evidence = good_evidence();
    facts.certified = vec![certified("staging", 0)];
    facts.release.notes = Some(Digest::of(b"notes"));
    facts.approvals = vec![approval(policy, &facts, "sam")];
    facts
}

fn reasons(decision: &Decision) -> Vec<&str> {
    decision.gates.iter().map(|gate| gate.reason.as_str()).collect()
}

#[test]
fn allows_only_when_every_gate_is_satisfied() {
    let policy = policy(&every_gate().concat());
    let facts = good_facts(&policy);
    let decision = decide(&policy, &facts);
    assert_eq!(decision.outcome, Outcome::Allow, "{decision:#?}");
    assert_eq!(decision.gates.len(), 8);
    let bytes = decision.to_bytes();
    assert_eq!(canonical::from_slice::<Decision>(&bytes, &Limits::DEFAULT).unwrap(), decision);
    assert_eq!(decide(&policy, &facts).to_bytes(), bytes);
}

#[test]
fn names_every_gate_that_fails_at_once() {
    let policy = policy(&every_gate().concat());
    let decision = decide(&policy, &facts());
    assert_eq!(decision.outcome, Outcome::Deny);
    let expected = [
        "PROVENANCE_MISSING",
        "SBOM_MISSING",
        "TESTS_MISSING",
        "SCAN_MISSING",
        "NOT_CERTIFIED",
        "SATISFIED",
        "RELEASE_NOTES_MISSING",
        "QUORUM_NOT_MET",
    ];
    assert_eq!(reasons(&decision), expected);
    assert!(
        decision.gates.iter().all(|gate| gate.reason == "SATISFIED" || (!gate.fix.is_empty() && !gate.who.is_empty()))
    );
}

#[test]
fn waits_for_people_when_nothing_fails() {
    let policy = policy(&every_gate().concat());
    let mut facts = good_facts(&policy);
    facts.approvals.clear();
    assert_eq!(decide(&policy, &facts).outcome, Outcome::Pending);
}

/// Every subset of the evidence that lacks one demanded kind denies, and so does evidence that nobody can read.
#[test]
fn never_allows_without_evidence_that_a_gate_demands() {
    let policy = policy(&every_gate().concat());
    let all = good_evidence();
    for subset in 0..1u32 << all.len() {
        let mut facts = good_facts(&policy);
        let kept = all.iter().enumerate().filter(|(bit, _)| subset & (1u32 << *bit) != 0);
        facts.evidence = kept.map(|(_, fact)| fact.clone()).collect();
        let complete = facts.evidence.len() == all.len();
        assert_eq!(decide(&policy, &facts).outcome == Outcome::Allow, complete, "{subset:b}");
    }
    let spoilt: [fn(&mut EvidenceFact); 3] = [
        |fact| fact.claim = Claim::Malformed { reason: "cut off".to_owned() },
        |fact| fact.claim = Claim::Unknown { predicate_type: "https://example.com/other".to_owned() },
        |fact| fact.artifacts = vec![Digest::of(b"another artifact")],
    ];
    for (position, spoil) in (0..all.len()).flat_map(|position| spoilt.map(|spoil| (position, spoil))) {
        let mut facts = good_facts(&policy);
        spoil(&mut facts.evidence[position]);
        assert_eq!(decide(&policy, &facts).outcome, Outcome::Deny, "{position}");
    }
}

#[test]
fn unknown_environments_services_and_schemas_deny() {
    let set = policy(&gate("kind = \"tests\"\nservices = [\"shop/*\"]\n"));
    let check = |change: fn(&mut Facts), reason: &str, part: &str| {
        let mut facts = good_facts(&set);
        change(&mut facts);
        let decision = decide(&set, &facts);
        assert_eq!((decision.outcome, reasons(&decision)), (Outcome::Deny, vec![reason]));
        assert_eq!(decision.gates[0].gate.as_str(), "policy");
        assert!(decision.gates[0].found.contains(part), "{decision:#?}");
    };
    check(|facts| facts.promotion.environment = "prod".parse().unwrap(), "ENVIRONMENT_UNKNOWN", "`prod` is not");
    check(
        |facts| facts.promotion.environment = "productoin".parse().unwrap(),
        "ENVIRONMENT_UNKNOWN",
        "did you mean `production`?",
    );
    check(|facts| facts.promotion.environment = "dev".parse().unwrap(), "NO_GATES", "no gate applies");
    check(|facts| facts.release.name.service = "workshop/web".parse().unwrap(), "NO_GATES", "workshop/web");
    check(|facts| facts.schema = "https://lockgate.dev/facts/v9".to_owned(), "FACTS_UNKNOWN", "v9");
}

/// the order of gates in files, and of files as they are handed in, changes no outcome and no byte.
#[test]
fn order_does_not_matter() {
    let split = |order: &[usize]| {
        let mut files: Vec<(String, String)> =
            files("").into_iter().filter(|(path, _)| path != "gates/test.toml").collect();
        let gates = every_gate();
        for position in order {
            files.push((format!("gates/{position}.toml"), gates[*position].clone()));
        }
        PolicySet::from_files(files.into_iter().collect()).unwrap()
    };
    let forward = split(&[0, 1, 2, 3, 4, 5, 6, 7]);
    let backward = split(&[7, 6, 5, 4, 3, 2, 1, 0]);
    assert_eq!(forward.digest(), backward.digest());
    let facts = good_facts(&forward);
    assert_eq!(decide(&forward, &facts).to_bytes(), decide(&backward, &facts).to_bytes());
    let mut gates = every_gate();
    let mut outcomes = Vec::new();
    for _ in 0..gates.len() {
        gates.rotate_left(1);
        let policy = policy(&gates.concat());
        let mut facts = good_facts(&policy);
        facts.evidence.remove(2);
        outcomes.push(decide(&policy, &facts).outcome);
    }
    assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Deny), "{outcomes:?}");
}

/// The order in which evidence, waivers and earlier grants stand in the facts changes no byte either.
#[test]
fn facts_are_read_by_their_places_in_the_ledger() {
    let policy = policy(&every_gate().concat());
    let facts = good_facts(&policy);
    let mut turned = facts.clone();
    turned.evidence.reverse();
    assert_eq!(decide(&policy, &turned).to_bytes(), decide(&policy, &facts).to_bytes());
}

#[test]
fn hostile_facts_do_not_panic_and_do_not_pass() {
    let policy = policy(&every_gate().concat());
    let mut facts = good_facts(&policy);
    facts.time = lockgate_model::UnixMillis(u64::MAX);
    facts.release.artifacts[0].name = "x\u{202e}\n".repeat(10_000);
    facts.evidence = vec![evidence(
        u64::MAX,
        on_behalf("robot"),
        Claim::Vulnerabilities(scan(
            &"s".repeat(10_000),
            (0..500).map(|n| finding(&format!("CVE-{n}"), Severity::Critical)).collect(),
        )),
    )];
    let decision = decide(&policy, &facts);
    assert_eq!(decision.outcome, Outcome::Deny);
    assert!(decision.to_bytes().len() < 16 * 1024, "{}", decision.to_bytes().len());
    let text = String::from_utf8(decision.to_bytes()).unwrap();
    assert!(!text.contains('\u{202e}') && text.contains("and 495 more"));
    facts.evidence.clear();
    facts.release.artifacts.clear();
    facts.people.clear();
    assert_eq!(decide(&policy, &facts).outcome, Outcome::Deny);
}
