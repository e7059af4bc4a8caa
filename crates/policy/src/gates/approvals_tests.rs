//! Tests of the `approvals` gate: who counts, for what, and together with whom.

use super::*;
use crate::decision::GateOutcome::{Fail, Pass, Pending};
use crate::decision::GateResult;
use crate::sample::{TIME, approval, check, evidence, on_behalf, provenance, running, signed};
use lockgate_model::facts::{Claim, Origin, PromotionKind};
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

#[test]
fn two_people_where_there_are_two() {
    let gate = "kind = \"approvals\"\ncount = 2\nat_least = 1\ngroups = [\"approvers\"]\n";
    let alone: fn(&mut Facts) = |facts| drop(facts.people.remove(&"ines".parse::<PersonId>().unwrap()));
    let result = row(gate, &[], alone, unchanged, Pending, Reason::QuorumNotMet);
    assert!(result.needed.starts_with("1 approval by group approvers, "), "{}", result.needed);
    assert!(result.needed.ends_with("(2 where as many people could approve)"), "{}", result.needed);
    row(gate, &["sam"], alone, unchanged, Pass, Reason::Satisfied);
    // sam and ines could: then it takes both.
    row(gate, &["sam"], same, unchanged, Pending, Reason::QuorumNotMet);
    row(gate, &["sam", "ines"], same, unchanged, Pass, Reason::Satisfied);
    // ines has lost her keys, and can be asked for nothing.
    let keyless: fn(&mut Facts) =
        |facts| facts.people.get_mut(&"ines".parse::<PersonId>().unwrap()).unwrap().keyless = true;
    let result = row(gate, &[], keyless, unchanged, Pending, Reason::QuorumNotMet);
    assert_eq!(result.who, "sam (group approvers)");
    row(gate, &["sam"], keyless, unchanged, Pass, Reason::Satisfied);
    // Nobody is left: then it still takes one.
    let asked: fn(&mut Facts) = |facts| {
        facts.people.remove(&"ines".parse::<PersonId>().unwrap());
        facts.promotion.requester = "sam".parse().unwrap();
    };
    let result = row(gate, &["sam"], asked, unchanged, Pending, Reason::QuorumNotMet);
    assert!(result.needed.starts_with("1 approval"), "{}", result.needed);
    // Who asked, or has no right, is not one of those who could.
    let asked: fn(&mut Facts) = |facts| facts.promotion.requester = "ines".parse().unwrap();
    row(gate, &["sam"], asked, unchanged, Pass, Reason::Satisfied);
}

/// whoever bars others by naming them does not make their own friend's approval enough.
#[test]
fn naming_others_does_not_make_one_approval_enough() {
    let gate = "kind = \"approvals\"\ncount = 2\nat_least = 1\ngroups = [\"approvers\"]\n";
    let named = |origin: Origin, outcome: GateOutcome, reason: Reason| {
        let edit = |policy: &PolicySet, facts: &mut Facts| {
            let mut claim = provenance();
            claim.authors = vec!["ines".to_owned()];
            facts.evidence = vec![evidence(1, origin, Claim::Provenance(claim))];
            facts.approvals = vec![approval(policy, facts, "sam")];
        };
        check(gate, edit, outcome, reason)
    };
    let result = named(signed(&[]), Pending, Reason::QuorumNotMet);
    assert!(result.needed.starts_with("2 approvals"), "{}", result.needed);
    // The scanner is believed about scans, and not about who wrote what.
    named(signed(&["scanner"]), Pending, Reason::QuorumNotMet);
    named(on_behalf("dana"), Pending, Reason::QuorumNotMet);
    named(signed(&["ci"]), Pass, Reason::Satisfied);
    // Who published and who handed in is the server's word.
    let handed_in: fn(&mut Facts) =
        |facts| facts.evidence = vec![evidence(1, on_behalf("ines"), Claim::Tests(crate::sample::tests()))];
    row(gate, &["sam"], handed_in, unchanged, Pending, Reason::QuorumNotMet);
    let published: fn(&mut Facts) = |facts| facts.release.published_by = "ines".parse().unwrap();
    row(gate, &["sam"], published, unchanged, Pending, Reason::QuorumNotMet);
}

#[test]
fn named_people_approve_themselves() {
    let gate = "kind = \"approvals\"\nrequired = [\"ines\"]\n";
    let result = row(gate, &["sam"], same, unchanged, Pending, Reason::ApproverRequired);
    assert_eq!(result.who, "ines");
    assert!(result.found.ends_with("nothing yet by ines"), "{}", result.found);
    row(gate, &["ines"], same, unchanged, Pass, Reason::Satisfied);
    row(gate, &["sam", "ines"], same, unchanged, Pass, Reason::Satisfied);
    row(gate, &[], same, unchanged, Pending, Reason::QuorumNotMet);
}

#[test]
fn windows_open_and_close_to_the_millisecond() {
    let window = "kind = \"approvals\"\nwindow = \"1h\"\n";
    let asked = |ago: u64| move |facts: &mut Facts| facts.promotion.requested_at = UnixMillis(TIME.0 - ago);
    let check_at = |gate: &str, ago: u64, recorded_ago: u64, outcome, reason| {
        let edit = |policy: &PolicySet, facts: &mut Facts| {
            asked(ago)(facts);
            facts.approvals = vec![approval(policy, facts, "sam")];
            facts.approvals[0].recorded_at = UnixMillis(TIME.0 - recorded_ago);
        };
        check(gate, edit, outcome, reason)
    };
    const HOUR: u64 = 3_600_000;
    check_at(window, HOUR, 1, Pass, Reason::Satisfied);
    let result = check_at(window, HOUR, 0, Fail, Reason::ApprovalWindowOver);
    assert!(result.found.contains("given after the window"), "{}", result.found);
    assert_eq!(result.fix, "lockgate promote shop/web@1.4.2 --to production");
    // Without enough approvals it waits until the window ends.
    check(window, |_, facts| asked(HOUR - 1)(facts), Pending, Reason::QuorumNotMet);
    check(window, |_, facts| asked(HOUR)(facts), Fail, Reason::ApprovalWindowOver);
    // A deferral lets approvals count, and lets nothing in before it ends.
    let later = "kind = \"approvals\"\nnot_before = \"1h\"\n";
    let result = check_at(later, HOUR - 1, 0, Pending, Reason::Deferred);
    assert!(result.found.starts_with("approved by sam; can pass at "), "{}", result.found);
    check_at(later, HOUR, 0, Pass, Reason::Satisfied);
    check(later, |_, facts| asked(HOUR - 1)(facts), Pending, Reason::QuorumNotMet);
}

#[test]
fn withdrawn_misdescribed_and_hasty_approvals_do_not_count() {
    let refused = |change: fn(&mut ApprovalFact), part: &str| {
        let result = row(GATE, &["sam"], same, change, Pending, Reason::QuorumNotMet);
        assert!(result.found.contains(part), "{}", result.found);
    };
    refused(|fact| fact.withdrawn = true, "sam does not count: withdrawn");
    refused(|fact| fact.misdescribed = true, "what was shown is not");
    // the policy can ask for time.
    let gate = "kind = \"approvals\"\nmin_review_seconds = 30\n";
    let result = row(gate, &["sam"], same, |fact| fact.review_seconds = Some(29), Pending, Reason::ApprovalTooFast);
    assert!(result.found.contains("reviewed for 29 seconds, of at least 30"), "{}", result.found);
    assert!(result.who.contains("sam"), "{}", result.who);
    row(gate, &["sam"], same, unchanged, Pending, Reason::ApprovalTooFast);
    row(gate, &["sam"], same, |fact| fact.review_seconds = Some(30), Pass, Reason::Satisfied);
    row(gate, &[], same, unchanged, Pending, Reason::QuorumNotMet);
    let policy = crate::sample::policy(&crate::sample::gate(gate));
    let facts = crate::sample::facts();
    assert!(review_objection(&policy, &facts, Some(30)).is_none());
    assert!(review_objection(&policy, &facts, None).is_some());
    let without = crate::sample::policy(&crate::sample::gate("kind = \"approvals\"\n"));
    assert!(review_objection(&without, &facts, None).is_none());
}

/// Facts in which `from` has lent `to` their groups, and these people have approved.
fn lent(
    gate: &str,
    pairs: &[(&str, &str)],
    people: &[&str],
    prepare: fn(&mut Facts),
    outcome: GateOutcome,
    reason: Reason,
) -> GateResult {
    let edit = |policy: &PolicySet, facts: &mut Facts| {
        facts.delegations = pairs
            .iter()
            .map(|(from, to)| DelegationFact {
                from: from.parse().unwrap(),
                to: to.parse().unwrap(),
                groups: vec![],
                expires_at: UnixMillis(TIME.0 + 1),
                index: EntryIndex(5),
            })
            .collect();
        prepare(facts);
        facts.approvals = people.iter().map(|person| approval(policy, facts, person)).collect();
    };
    check(gate, edit, outcome, reason)
}

#[test]
fn a_delegate_counts_for_the_lender_and_never_beside_them() {
    let wait = Reason::QuorumNotMet;
    // kim is a developer and may not approve.
    let result = lent(GATE, &[], &["kim"], same, Pending, wait);
    assert!(result.found.contains("kim does not count: not in approvers"), "{}", result.found);
    lent(GATE, &[("sam", "kim")], &["kim"], same, Pass, Reason::Satisfied);
    let two = "kind = \"approvals\"\ncount = 2\ngroups = [\"approvers\"]\n";
    lent(two, &[("sam", "kim")], &["sam", "kim"], same, Pending, wait);
    lent(two, &[("sam", "kim")], &["kim", "sam"], same, Pending, wait);
    lent(two, &[("sam", "kim")], &["ines", "kim"], same, Pass, Reason::Satisfied);
    // One delegate of two lenders is one person; two delegates of one lender are one, too.
    lent(two, &[("sam", "kim"), ("ines", "kim")], &["kim"], same, Pending, wait);
    lent(two, &[("sam", "kim"), ("ines", "kim")], &["kim", "sam"], same, Pass, Reason::Satisfied);
    lent(two, &[("sam", "kim"), ("sam", "pat")], &["kim", "pat"], same, Pending, wait);
    // The lender's group, and no other.
    let groups = "kind = \"approvals\"\ncount = 2\nper_group = { approvers = 1, security = 1 }\n";
    lent(groups, &[("pat", "kim")], &["sam", "kim"], same, Pass, Reason::Satisfied);
    lent(groups, &[("sam", "kim")], &["ines", "kim"], same, Pass, Reason::Satisfied);
    lent(groups, &[("pat", "kim")], &["pat", "kim"], same, Pending, wait);
    // A lender's name is not the delegate's to give.
    lent(
        "kind = \"approvals\"\nrequired = [\"sam\"]\n",
        &[("sam", "kim")],
        &["kim"],
        same,
        Pending,
        Reason::ApproverRequired,
    );
}

#[test]
fn a_delegation_ends_and_never_goes_round_duties() {
    let wait = Reason::QuorumNotMet;
    let pair = [("sam", "kim")];
    let refused = |prepare: fn(&mut Facts)| lent(GATE, &pair, &["kim"], prepare, Pending, wait);
    refused(|facts| facts.delegations[0].expires_at = TIME);
    refused(|facts| facts.delegations[0].groups = vec!["security".parse().unwrap()]);
    // It came after the approval.
    refused(|facts| facts.delegations[0].index = EntryIndex(10));
    // The lender, or the delegate, asked for it.
    refused(|facts| facts.promotion.requester = "sam".parse().unwrap());
    refused(|facts| facts.promotion.requester = "kim".parse().unwrap());
    refused(|facts| facts.release.published_by = "sam".parse().unwrap());
    // The lender has left the group, or was never there.
    refused(|facts| facts.people.get_mut(&"sam".parse::<PersonId>().unwrap()).unwrap().groups.clear());
    refused(|facts| drop(facts.people.remove(&"sam".parse::<PersonId>().unwrap())));
    // Machines neither lend nor borrow; nobody lends to themselves.
    lent(GATE, &[("robot", "kim")], &["kim"], same, Pending, wait);
    lent(GATE, &[("sam", "robot")], &["robot"], same, Pending, wait);
    lent(GATE, &[("kim", "kim")], &["kim"], same, Pending, wait);
    // It does not go on: kim cannot lend what sam has lent.
    lent(
        GATE,
        &[("sam", "kim"), ("kim", "dana")],
        &["dana"],
        |facts| facts.promotion.requester = "eve".parse().unwrap(),
        Pending,
        wait,
    );
}

#[test]
fn what_can_never_work_is_refused_at_load() {
    let refused = |fields: &str, part: &str| {
        let files = crate::sample::files(&crate::sample::gate(&format!("kind = \"approvals\"\n{fields}\n")));
        let errors = PolicySet::from_files(files).unwrap_err();
        assert!(errors[0].message.contains(part), "{errors:?}");
    };
    refused("count = 2\nat_least = 3", "`at_least` is more than `count`");
    refused("at_least = 0", "a count of 0");
    refused("window = \"0s\"", "`window` is zero");
    refused("not_before = \"0s\"", "`not_before` is zero");
    refused("min_review_seconds = 0", "`min_review_seconds` is 0");
    refused("exclude = [\"deploier\"]", "unknown variant");
}
