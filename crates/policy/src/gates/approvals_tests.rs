//! Tests of the `approvals` gate: who counts, for what, and together with whom.

use super::*;
use crate::decision::GateOutcome::{Fail, Pass, Pending};
use crate::decision::GateResult;
use crate::sample::{TIME, approval, check, evidence, on_behalf, provenance, running, signed};
use lockgate_model::facts::{Facts, PromotionKind};
use lockgate_model::{Digest, PromotionId, UnixMillis};

const GATE: &str = "kind = \"approvals\"\ngroups = [\"approvers\"]\n";
const TWO: &str = "kind = \"approvals\"\ncount = 2\n";

/// Approvals by these people, changed, with facts changed first.
fn row(
    gate: &str,
    people: &[&str],
    prepare: fn(&mut Facts),
    change: fn(&mut ApprovalFact),
    outcome: GateOutcome,
    reason: Reason,
) -> GateResult {
    let edit = |policy: &PolicySet, facts: &mut Facts| {
        prepare(facts);
        facts.approvals = people.iter().map(|person| approval(policy, facts, person)).collect();
        facts.approvals.iter_mut().for_each(change);
    };
    check(gate, edit, outcome, reason)
}

fn same(_: &mut Facts) {}

fn unchanged(_: &mut ApprovalFact) {}

#[test]
fn waits_until_enough_different_people_approve() {
    let wait = Reason::QuorumNotMet;
    let result = row(GATE, &[], same, unchanged, Pending, wait);
    assert_eq!(result.needed, "1 approval by group approvers, not by who asked for it, wrote it or built it");
    assert_eq!(result.found, "no approval that counts");
    assert_eq!(result.who, "ines or sam (group approvers)");
    assert_eq!(result.fix, "lockgate approve P-3");
    row(GATE, &["sam"], same, unchanged, Pass, Reason::Satisfied);
    row(TWO, &["sam"], same, unchanged, Pending, wait);
    row(TWO, &["sam", "ines"], same, unchanged, Pass, Reason::Satisfied);
    // the same person again, and with a second key.
    row(TWO, &["sam", "sam"], same, unchanged, Pending, wait);
    let edit = |policy: &PolicySet, facts: &mut Facts| {
        let mut second = approval(policy, facts, "sam");
        second.key = "SHA256:another".to_owned();
        facts.approvals = vec![approval(policy, facts, "sam"), second];
    };
    check(TWO, edit, Pending, wait);
    // one key under two names.
    row(TWO, &["sam", "ines"], same, |fact| fact.key = "SHA256:shared".to_owned(), Pending, wait);
}

#[test]
fn people_with_another_part_do_not_count() {
    let wait = Reason::QuorumNotMet;
    let any = "kind = \"approvals\"\n";
    // the requester, also with the approver's role.
    let asked: fn(&mut Facts) = |facts| facts.promotion.requester = "sam".parse().unwrap();
    let result = row(any, &["sam"], asked, unchanged, Pending, wait);
    assert!(result.found.contains("sam does not count: asked for this promotion"), "{}", result.found);
    assert!(!result.who.contains("sam"), "{}", result.who);
    row("kind = \"approvals\"\nexclude = [\"author\"]\n", &["sam"], asked, unchanged, Pass, Reason::Satisfied);
    // whom provenance names, in any spelling, even when nobody trusts it; who published; who handed in evidence.
    for author in ["sam", "Sam", "sam@shop.example", "Sam Doe <sam@shop.example>"] {
        let edit = |policy: &PolicySet, facts: &mut Facts| {
            let mut claim = provenance();
            claim.authors = vec![author.to_owned()];
            facts.evidence = vec![evidence(1, signed(&[]), Claim::Provenance(claim))];
            facts.approvals = vec![approval(policy, facts, "sam")];
        };
        check(any, edit, Pending, wait);
    }
    row(any, &["sam"], |facts| facts.release.published_by = "sam".parse().unwrap(), unchanged, Pending, wait);
    let handed_in: fn(&mut Facts) =
        |facts| facts.evidence = vec![evidence(1, on_behalf("sam"), Claim::Tests(crate::sample::tests()))];
    row(any, &["sam"], handed_in, unchanged, Pending, wait);
    row("kind = \"approvals\"\nexclude = [\"requester\"]\n", &["sam"], handed_in, unchanged, Pass, Reason::Satisfied);
    // machines, whatever their groups; people without the group, the permission or an enrolment.
    let result = row(any, &["robot"], same, unchanged, Pending, wait);
    assert!(result.found.contains("machines never approve"), "{}", result.found);
    row("kind = \"approvals\"\nexclude = []\n", &["robot"], same, unchanged, Pending, wait);
    row(GATE, &["pat"], same, unchanged, Pending, wait);
    row(any, &["kim"], same, unchanged, Pending, wait);
    row(any, &["eve"], same, unchanged, Pending, wait);
    // who has left the group.
    row(
        any,
        &["sam"],
        |facts| {
            facts.people.remove("sam".parse::<PersonId>().as_ref().unwrap());
        },
        unchanged,
        Pending,
        wait,
    );
}

#[test]
fn approvals_count_for_what_was_signed_and_nothing_else() {
    let wait = Reason::QuorumNotMet;
    let refused = |change: fn(&mut ApprovalFact), part: &str| {
        let result = row(GATE, &["sam"], same, change, Pending, wait);
        assert!(result.found.contains(part), "{}", result.found);
    };
    //
    refused(|fact| fact.binds.promotion = PromotionId(4), "another promotion");
    refused(|fact| fact.binds.environment = "staging".parse().unwrap(), "another environment");
    refused(|fact| fact.binds.manifest = Digest::of(b"rebuilt"), "another manifest");
    refused(|fact| fact.binds.policy = Digest::of(b"weaker"), "another policy set");
    refused(|fact| fact.binds.replaces = Some(Digest::of(b"1.4.1")), "ran something else");
    //
    refused(|fact| fact.key_valid = false, "a key that was not valid");
    // half-open intervals.
    refused(|fact| fact.expires_at = TIME, "expired");
    row(GATE, &["sam"], same, |fact| fact.expires_at = UnixMillis(TIME.0 + 1), Pass, Reason::Satisfied);
    let aged = "kind = \"approvals\"\nmax_age = \"1h\"\n";
    row(aged, &["sam"], same, |fact| fact.recorded_at = UnixMillis(TIME.0 - 3_600_000), Pending, wait);
    row(aged, &["sam"], same, |fact| fact.recorded_at = UnixMillis(TIME.0 - 3_599_999), Pass, Reason::Satisfied);
    // What runs is part of what was signed.
    let runs: fn(&mut Facts) = |facts| {
        facts.running = Some(running("1.4.1"));
        facts.promotion.kind = PromotionKind::Promotion;
    };
    row(GATE, &["sam"], runs, unchanged, Pass, Reason::Satisfied);
    row(GATE, &["sam"], runs, |fact| fact.binds.replaces = None, Pending, wait);
}

#[test]
fn a_valid_rejection_ends_it() {
    let reject: fn(&mut ApprovalFact) = |fact| fact.verdict = Verdict::Reject;
    let result = row(GATE, &["pat"], same, reject, Fail, Reason::Rejected);
    assert_eq!(result.found, "pat rejected this promotion");
    let edit = |policy: &PolicySet, facts: &mut Facts| {
        let mut no = approval(policy, facts, "ines");
        no.verdict = Verdict::Reject;
        facts.approvals = vec![no, approval(policy, facts, "sam"), approval(policy, facts, "ines")];
    };
    check(GATE, edit, Fail, Reason::Rejected);
    let late: fn(&mut ApprovalFact) = |fact| {
        fact.verdict = Verdict::Reject;
        fact.expires_at = UnixMillis(0);
        fact.binds.policy = Digest::of(b"before");
    };
    row(GATE, &["pat"], same, late, Fail, Reason::Rejected);
    // Who may not reject, or rejected something else, or with a bad key, ends nothing.
    row(GATE, &["kim"], same, reject, Pending, Reason::QuorumNotMet);
    row(GATE, &["robot"], same, reject, Pending, Reason::QuorumNotMet);
    let elsewhere: fn(&mut ApprovalFact) = |fact| {
        fact.verdict = Verdict::Reject;
        fact.binds.promotion = PromotionId(4);
    };
    row(GATE, &["pat"], same, elsewhere, Pending, Reason::QuorumNotMet);
    let forged: fn(&mut ApprovalFact) = |fact| {
        fact.verdict = Verdict::Reject;
        fact.key_valid = false;
    };
    row(GATE, &["pat"], same, forged, Pending, Reason::QuorumNotMet);
}

#[test]
fn groups_are_represented_by_people_of_their_own() {
    let gate = "kind = \"approvals\"\ncount = 2\nper_group = { approvers = 1, security = 1 }\n";
    let row = |people: &[&str], outcome, reason| row(gate, people, same, unchanged, outcome, reason);
    row(&["sam", "pat"], Pass, Reason::Satisfied);
    row(&["sam", "ines"], Pass, Reason::Satisfied);
    row(&["ines", "pat"], Pass, Reason::Satisfied);
    // One person in both groups fills one seat.
    row(&["ines"], Pending, Reason::QuorumNotMet);
    // two of one group, none of the other.
    let edit = |policy: &PolicySet, facts: &mut Facts| {
        facts.people.insert("max".parse().unwrap(), facts.people[&"sam".parse::<PersonId>().unwrap()].clone());
        facts.approvals = vec![approval(policy, facts, "sam"), approval(policy, facts, "max")];
    };
    let result = check(gate, edit, Pending, Reason::QuorumGroup);
    assert!(result.found.ends_with("group security is not represented enough"), "{}", result.found);
    assert_eq!(result.fix, "lockgate approve P-3");
}

#[test]
fn objections_are_known_before_anything_is_signed() {
    let fields = |groups: &str| format!("kind = \"approvals\"\ngroups = [\"{groups}\"]\n");
    let policy = crate::sample::policy(&crate::sample::gate(&fields("approvers")));
    let mut facts = crate::sample::facts();
    facts.promotion.requester = "ines".parse().unwrap();
    let check = |policy: &PolicySet, facts: &Facts, person: &str, expected: Option<Reason>| {
        let found = approver_objection(policy, facts, &person.parse().unwrap());
        assert_eq!(found.map(|(reason, _)| reason), expected, "{person}");
    };
    check(&policy, &facts, "sam", None);
    check(&policy, &facts, "ines", Some(Reason::SodSelf));
    check(&policy, &facts, "robot", Some(Reason::SodRobot));
    check(&policy, &facts, "kim", Some(Reason::ApproverUnsuitable));
    check(&policy, &facts, "eve", Some(Reason::ApproverUnsuitable));
    facts.evidence = vec![evidence(1, on_behalf("sam"), Claim::Tests(crate::sample::tests()))];
    check(&policy, &facts, "sam", Some(Reason::SodBuilder));
    facts.release.published_by = "sam".parse().unwrap();
    check(&policy, &facts, "sam", Some(Reason::SodAuthor));
    // With two gates, one that could count the approval is enough; with none there is nothing to object to.
    let two = format!(
        "{}{}",
        crate::sample::gate(&fields("approvers")),
        crate::sample::gate(&fields("security")).replace("\"g\"", "\"h\"")
    );
    let two = crate::sample::policy(&two);
    check(&two, &crate::sample::facts(), "pat", None);
    check(&two, &crate::sample::facts(), "dana", Some(Reason::SodSelf));
    let none = crate::sample::policy(&crate::sample::gate("kind = \"tests\"\n"));
    check(&none, &facts, "sam", None);
}
