//! Consent: what an approval says is checked field by field; it can be taken back, lent, and waited for.

use std::borrow::Cow;
use std::collections::BTreeSet;

use lockgate_engine::approve::{Approve, approve};
use lockgate_engine::attest::{Evidence, Form, attest, check};
use lockgate_engine::bodies::{StoreBodies, Upload};
use lockgate_engine::{
    Clock as _, Fault, Submission, access, approvers, comparison, consent, delegate, reader, scheduler, take_back, why,
};
use lockgate_ledger::approval::{NAMESPACE, Replaced, WaiverLine};
use lockgate_ledger::bodies::BodyError;
use lockgate_ledger::delegation::{
    DELEGATION_NAMESPACE, DelegationDocument, DelegationEndDocument, DelegationEnded, DelegationGranted,
};
use lockgate_ledger::entry::ApprovalRecorded;
use lockgate_ledger::gate_changes::{self, GateChanges};
use lockgate_ledger::governance::document_bytes;
use lockgate_ledger::withdrawal::{ApprovalWithdrawn, WITHDRAWAL_NAMESPACE, WithdrawalDocument, withdrawable};
use lockgate_ledger::{Actor, ApprovalDocument, Bodies, ClaimCache, Event};
use lockgate_model::facts::{PromotionKind, SubjectKind, Verdict};
use lockgate_model::{Digest, EntryIndex, PromotionId, Span, UnixMillis};
use lockgate_policy::Permission;
use lockgate_sign::ssh_signer::SshSigner as _;

use crate::world::{World, key_of, person};

const CRITICAL: &str = include_str!("../../../evidence/testdata/trivy-critical.json");
const ORIGIN: &str = "log1.test.example";

/// `shop/web@1.0.0` pending for production.
fn pending(world: &World) -> PromotionId {
    world.push("shop/web@1.0.0");
    let (promotion, status) = world.promote("shop/web@1.0.0", "production").unwrap();
    assert_eq!(status, "pending");
    promotion
}

/// An approval of this person's, without remarks.
fn review_by(name: &str) -> consent::Review {
    consent::Review {
        approver: person(name),
        verdict: Verdict::Approve,
        comment: None,
        opened_at: None,
        evidence_opened: Vec::new(),
    }
}

/// What this person would sign now, changed, and signed.
fn signed(world: &World, promotion: PromotionId, name: &str, change: impl FnOnce(&mut ApprovalDocument)) -> Approve {
    let mut document = consent::document(world.engine(), promotion, review_by(name)).unwrap();
    change(&mut document);
    Approve { promotion, ..signed_as_is(&document, name) }
}

/// This very document, signed.
fn signed_as_is(document: &ApprovalDocument, name: &str) -> Approve {
    let promotion = document.predicate.promotion;
    let document = document.to_bytes().unwrap();
    let signature = key_of(name).sign(NAMESPACE, &document).unwrap().to_armored();
    Approve { promotion, document, signature }
}

fn hand_in(world: &World, name: &str, request: Approve) -> Result<String, Fault> {
    let receipt = world.engine().run(approve(person(name), request)?)?;
    Ok(receipt.value["status"].as_str().unwrap().to_owned())
}

/// As the server does: what it says of changes is checked before it reaches the verb.
fn hand_in_checked(world: &World, name: &str, request: Approve) -> Result<String, Fault> {
    comparison::check(world.engine(), &person(name), &request.document)?;
    hand_in(world, name, request)
}

type Change = fn(&mut ApprovalDocument);

/// Every field in turn, with the code that it has to be refused with.
const CHANGES: &[(&str, Change, &str)] = &[
    ("_type", |document| document.statement_type.push('0'), "DOCUMENT_INVALID"),
    ("predicateType", |document| document.predicate_type.push('0'), "DOCUMENT_INVALID"),
    ("subject", |document| document.subject[0].name.push('x'), "APPROVAL_DIGEST"),
    ("subject", |document| document.subject[0].digest.sha256 = Digest::of(b"x").hex(), "APPROVAL_DIGEST"),
    ("subject", |document| document.subject.clear(), "APPROVAL_DIGEST"),
    ("ledger", |document| document.predicate.ledger.push('x'), "APPROVAL_TARGET"),
    ("promotion", |document| document.predicate.promotion = PromotionId(99), "APPROVAL_TARGET"),
    ("kind", |document| document.predicate.kind = PromotionKind::Rollback, "APPROVAL_TARGET"),
    ("release", |document| document.predicate.release = "shop/web@1.0.1".parse().unwrap(), "APPROVAL_TARGET"),
    ("manifest", |document| document.predicate.manifest = Digest::of(b"x"), "APPROVAL_DIGEST"),
    ("environment", |document| document.predicate.environment = "staging".parse().unwrap(), "APPROVAL_TARGET"),
    (
        "replaces",
        |document| {
            let release = "shop/web@0.9.0".parse().unwrap();
            document.predicate.replaces = Some(Replaced { release, manifest: Digest::of(b"x") });
        },
        "APPROVAL_STALE",
    ),
    ("policy", |document| document.predicate.policy = Digest::of(b"x"), "APPROVAL_STALE"),
    ("evidence", |document| drop(document.predicate.evidence.pop()), "APPROVAL_DIGEST"),
    ("evidence", |document| document.predicate.evidence[0].digest = Digest::of(b"x"), "APPROVAL_DIGEST"),
    ("evidence", |document| document.predicate.evidence[0].kind = "envelope".to_owned(), "APPROVAL_DIGEST"),
    ("evidence", |document| document.predicate.evidence[0].claim = Some("provenance".to_owned()), "APPROVAL_STALE"),
    ("evidence", |document| document.predicate.evidence[0].signers = vec!["ci".parse().unwrap()], "APPROVAL_STALE"),
    ("evidence", |document| document.predicate.evidence[0].by = None, "APPROVAL_STALE"),
    (
        "waivers",
        |document| {
            document.predicate.waivers.push(WaiverLine {
                gate: "vulnerabilities".parse().unwrap(),
                finding: None,
                granted_by: person("sam"),
                expires_at: UnixMillis(u64::from(u32::MAX)),
            });
        },
        "APPROVAL_STALE",
    ),
    ("requester", |document| document.predicate.requester = person("ci"), "APPROVAL_TARGET"),
    ("reason", |document| document.predicate.reason.push('x'), "APPROVAL_TARGET"),
    ("approver", |document| document.predicate.approver = person("dana"), "APPROVAL_TARGET"),
    ("openedAt", |document| document.predicate.opened_at = Some(UnixMillis(1)), "REVIEW_TIME"),
    (
        "openedAt",
        |document| {
            let opened = document.predicate.opened_at.unwrap();
            document.predicate.opened_at = Some(opened.plus(Span::from_secs(301)));
        },
        "REVIEW_TIME",
    ),
    ("evidenceOpened", |document| document.predicate.evidence_opened.push(Digest::of(b"x")), "APPROVAL_DIGEST"),
    (
        "evidenceOpened",
        |document| {
            let digest = document.predicate.evidence[0].digest;
            document.predicate.evidence_opened = vec![digest, digest];
        },
        "APPROVAL_DIGEST",
    ),
    ("expiresAt", |document| document.predicate.expires_at = UnixMillis(1), "APPROVAL_EXPIRED"),
    (
        "expiresAt",
        |document| document.predicate.expires_at = document.predicate.expires_at.plus(Span::from_secs(301)),
        "APPROVAL_EXPIRED",
    ),
    ("anchor", |document| document.predicate.anchor.size.0 = 1, "APPROVAL_TARGET"),
    ("anchor", |document| document.predicate.anchor.size.0 += 1, "APPROVAL_TARGET"),
    ("anchor", |document| document.predicate.anchor.root = Digest::of(b"x"), "APPROVAL_TARGET"),
];

#[test]
fn no_field_of_an_approval_can_be_changed() {
    let world = World::starter();
    let promotion = pending(&world);
    let size = world.size();
    let mut fields: BTreeSet<String> = BTreeSet::new();
    for (field, change, code) in CHANGES {
        let refused = hand_in(&world, "sam", signed(&world, promotion, "sam", change)).unwrap_err();
        assert_eq!(refused.code, *code, "{field}: {refused}");
        fields.insert((*field).to_owned());
    }
    assert_eq!(world.size(), size, "something that was refused was written");
    // Every field that is written was tried; the verdict and the comment are the approver's own to choose.
    let good = signed(&world, promotion, "sam", |_| ());
    let document: serde_json::Value = serde_json::from_slice(&good.document).unwrap();
    let written = document.as_object().unwrap().keys().chain(document["predicate"].as_object().unwrap().keys());
    for key in written.filter(|key| !matches!(key.as_str(), "predicate" | "verdict" | "comment")) {
        assert!(fields.contains(key), "`{key}` is never changed here");
    }
    assert_eq!(hand_in(&world, "sam", good).unwrap(), "granted");
}

/// `shop/web@1.1.0` pending for production, where 1.0.0 runs.
fn next(world: &World) -> PromotionId {
    let first = pending(world);
    assert_eq!(hand_in(world, "sam", signed(world, first, "sam", |_| ())).unwrap(), "granted");
    world.push("shop/web@1.1.0");
    let (promotion, status) = world.promote("shop/web@1.1.0", "production").unwrap();
    assert_eq!(status, "pending");
    promotion
}

/// A scan with a critical finding, for 1.1.0.
fn scan(world: &World) {
    let upload = Upload::Inline(CRITICAL.as_bytes().to_vec());
    let scan = check(world.engine(), Evidence { upload, form: Form::Report(None), expect: None }).unwrap();
    let submission = attest(world.engine(), person("ci"), "shop/web@1.1.0".parse().unwrap(), vec![scan]).unwrap();
    world.engine().run(submission).unwrap();
}

/// What a document says of gates.
fn gates(request: &Approve) -> Option<GateChanges> {
    ApprovalDocument::from_bytes(&request.document).unwrap().predicate.changes.unwrap().gates
}

#[test]
fn the_gates_that_change_are_signed_as_they_are_when_it_is_recorded() {
    let world = World::starter();
    let promotion = next(&world);
    let early = signed(&world, promotion, "sam", |_| ());
    assert_eq!(gates(&early), Some(GateChanges::default()));
    scan(&world);
    let size = world.size();
    assert_eq!(hand_in(&world, "sam", early).unwrap_err().code, "APPROVAL_STALE");
    // Nothing of it can be left out but all of it, as tools do that never compared gates.
    let less = signed(&world, promotion, "sam", |document| {
        document.predicate.changes.as_mut().unwrap().gates = Some(GateChanges::default());
    });
    assert_eq!(hand_in(&world, "sam", less).unwrap_err().code, "APPROVAL_STALE");
    // Nor can it be said that another engine decided it, which no audit could compare.
    let elsewhere = signed(&world, promotion, "sam", by_another_engine);
    assert_eq!(hand_in(&world, "sam", elsewhere).unwrap_err().code, "APPROVAL_STALE");
    assert_eq!(world.size(), size, "something that was refused was written");
    let now = signed(&world, promotion, "sam", |_| ());
    let told = gates(&now).unwrap();
    assert_eq!(told.lines(), ["gates newly failing: vulnerabilities"]);
    assert_eq!(hand_in(&world, "sam", now).unwrap(), "denied");
}

/// Names the gates as decided by an engine that this version does not have.
fn by_another_engine(document: &mut ApprovalDocument) {
    let gates = document.predicate.changes.as_mut().unwrap().gates.as_mut().unwrap();
    gates.engine = "lockgate-decide/0".to_owned();
}

#[test]
fn made_up_gates_never_reach_the_sequencer() {
    let world = World::starter();
    let promotion = next(&world);
    world.enrol("ines", SubjectKind::Person, &["approvers"]);
    let asked = |name: &str, request: &Approve| {
        comparison::check(world.engine(), &person(name), &request.document).map_err(|fault| fault.code)
    };
    let (first, late) = (signed(&world, promotion, "sam", |_| ()), signed(&world, promotion, "ines", |_| ()));
    assert_eq!(asked("ines", &late), Ok(()));
    assert_eq!(hand_in_checked(&world, "sam", first.clone()).unwrap(), "pending");
    scan(&world);
    assert_eq!(asked("ines", &late), Err("APPROVAL_STALE"));
    assert_eq!(asked("ines", &signed(&world, promotion, "ines", by_another_engine)), Err("APPROVAL_STALE"));
    assert_eq!(asked("ines", &signed(&world, promotion, "ines", |_| ())), Ok(()));
    // What is recorded was so: a request that is repeated is answered as before.
    assert_eq!(asked("sam", &first), Ok(()));
}

/// A policy set in which approvers read nothing, and guests neither read nor approve.
fn unread() -> World {
    const ROLE: &str = "permissions = [\"read\", \"approve\", \"reject\", \"waive\", \"freeze\", \"break-glass\"]";
    const GUESTS: &str = "\n[role.guest]\ndescription = \"Hands in evidence\"\npermissions = [\"attest\"]\n\n\
                          [group.guests]\ndescription = \"Those who visit\"\nroles = [\"guest\"]\n";
    World::new(|path, text| match path {
        "people.toml" => {
            assert!(text.contains(ROLE), "{text}");
            format!("{}{GUESTS}", text.replace(ROLE, "permissions = [\"approve\", \"reject\"]"))
        }
        path if path.starts_with("tests/") => String::new(),
        _ => text.to_owned(),
    })
}

/// What sam reads and would sign, signed by somebody who cannot read it.
fn unread_by(world: &World, promotion: PromotionId, name: &str, change: impl FnOnce(&mut ApprovalDocument)) -> Approve {
    let mut document = consent::document(world.engine(), promotion, review_by("sam")).unwrap();
    document.predicate.approver = person(name);
    change(&mut document);
    signed_as_is(&document, name)
}

/// Counts that are not so.
fn miscounted(document: &mut ApprovalDocument) {
    document.predicate.changes.as_mut().unwrap().configurations += 1;
}

/// A rejection, without gates, with counts that are not so.
fn miscounted_rejection(document: &mut ApprovalDocument) {
    document.predicate.verdict = Verdict::Reject;
    document.predicate.changes.as_mut().unwrap().gates = None;
    miscounted(document);
}

#[test]
fn who_may_approve_and_not_read_signs_no_false_counts() {
    let world = unread();
    let promotion = next(&world);
    world.enrol("kim", SubjectKind::Person, &["approvers"]);
    world.enrol("eve", SubjectKind::Person, &["guests"]);
    assert_eq!(consent::document(world.engine(), promotion, review_by("kim")).unwrap_err().code, "PROMOTION_UNKNOWN");
    let size = world.size();
    let code = |name: &str, change: Change| {
        hand_in_checked(&world, name, unread_by(&world, promotion, name, change)).unwrap_err().code
    };
    assert_eq!(code("kim", miscounted), "APPROVAL_CHANGES");
    assert_eq!(code("kim", miscounted_rejection), "APPROVAL_CHANGES");
    // Whoever may do neither learns nothing of whether the counts are right.
    assert_eq!(code("eve", miscounted), "PROMOTION_UNKNOWN");
    assert_eq!(code("eve", miscounted_rejection), "PROMOTION_UNKNOWN");
    assert_eq!(code("eve", |_| ()), "PROMOTION_UNKNOWN");
    assert_eq!(world.size(), size, "something that was refused was written");
    assert_eq!(hand_in_checked(&world, "kim", unread_by(&world, promotion, "kim", |_| ())).unwrap(), "pending");
    assert_eq!(hand_in_checked(&world, "sam", signed(&world, promotion, "sam", |_| ())).unwrap(), "granted");
}

#[test]
fn a_delegate_who_may_not_read_signs_no_false_counts() {
    let world = unread();
    let promotion = next(&world);
    world.enrol("kim", SubjectKind::Person, &["guests"]);
    let hand = |change: Change| hand_in_checked(&world, "kim", unread_by(&world, promotion, "kim", change));
    assert_eq!(hand(miscounted).unwrap_err().code, "PROMOTION_UNKNOWN");
    let event = delegation(&world, "sam", "kim", "1d");
    world.engine().run(delegate::grant(&person("sam"), event).unwrap()).unwrap();
    let size = world.size();
    assert_eq!(hand(miscounted).unwrap_err().code, "APPROVAL_CHANGES");
    // To approve is what was lent, and to reject is not.
    assert_eq!(hand(miscounted_rejection).unwrap_err().code, "PROMOTION_UNKNOWN");
    assert_eq!(world.size(), size, "something that was refused was written");
    assert_eq!(hand(|_| ()).unwrap(), "granted");
}

#[test]
fn a_rejection_counts_changes_and_names_no_gates() {
    let world = World::starter();
    let promotion = next(&world);
    scan(&world);
    let review = consent::Review { verdict: Verdict::Reject, ..review_by("sam") };
    let document = consent::document(world.engine(), promotion, review).unwrap();
    assert_eq!(gates(&signed_as_is(&document, "sam")), None);
    let mut named = document.clone();
    named.predicate.changes.as_mut().unwrap().gates = Some(GateChanges::default());
    let size = world.size();
    let refused = hand_in_checked(&world, "sam", signed_as_is(&named, "sam")).unwrap_err();
    assert_eq!(refused.code, "APPROVAL_DIGEST");
    assert!(refused.message.contains("leave `gates` out"), "{refused}");
    assert_eq!(world.size(), size, "something that was refused was written");
    assert_eq!(hand_in_checked(&world, "sam", signed_as_is(&document, "sam")).unwrap(), "rejected");
}

#[test]
fn an_approval_that_says_nothing_of_gates_is_as_good_as_ever() {
    let world = World::starter();
    let promotion = next(&world);
    let old = signed(&world, promotion, "sam", |document| {
        document.predicate.changes.as_mut().unwrap().gates = None;
    });
    assert!(!String::from_utf8_lossy(&old.document).contains("\"gates\""));
    assert_eq!(hand_in(&world, "sam", old).unwrap(), "granted");
}

/// The bodies of a store, and one document more.
struct With<'a>(StoreBodies<'a>, &'a [u8]);

impl Bodies for With<'_> {
    fn body(&self, digest: &Digest) -> Result<Option<Cow<'_, [u8]>>, BodyError> {
        match Digest::of(self.1) == *digest {
            true => Ok(Some(Cow::Borrowed(self.1))),
            false => self.0.body(digest),
        }
    }
}

/// A server that records what it should refuse is found out.
#[test]
fn an_audit_decides_again_which_gates_change() {
    let world = World::starter();
    let promotion = next(&world);
    scan(&world);
    let (mut state, release, _) = why::slice(world.engine(), promotion).unwrap();
    // An auditor has followed every release.
    let runs = "shop/web@1.0.0".parse().unwrap();
    let governance = world.engine().governance().unwrap();
    state.adopt_release(reader::release(&world.store, &governance, &runs).unwrap().unwrap());
    let audited = |verdict: Verdict, change: Change| {
        let request = signed(&world, promotion, "sam", |document| {
            document.predicate.verdict = verdict;
            change(document);
        });
        let event = ApprovalRecorded {
            promotion,
            release: release.name.clone(),
            verdict,
            approver: person("sam"),
            key: key_of("sam").public_key().fingerprint(),
            document: Digest::of(&request.document),
            signature: request.signature.clone(),
        };
        let bodies = With(StoreBodies(&world.store), &request.document);
        let found = gate_changes::check(&state, &event, world.hands.now(), &bodies, &ClaimCache::default());
        found.map_err(|error| error.code)
    };
    let nothing: Change = |document| {
        document.predicate.changes.as_mut().unwrap().gates = Some(GateChanges::default());
    };
    let unsaid: Change = |document| document.predicate.changes.as_mut().unwrap().gates = None;
    assert_eq!(audited(Verdict::Approve, |_| ()), Ok(None));
    assert_eq!(audited(Verdict::Approve, nothing), Err("APPROVAL_CHANGES"));
    assert_eq!(audited(Verdict::Approve, unsaid), Ok(None));
    assert_eq!(audited(Verdict::Reject, nothing), Ok(None));
    assert_eq!(audited(Verdict::Approve, by_another_engine), Ok(Some("lockgate-decide/0".to_owned())));
}

/// Records what somebody signed without a question, as a server of another version may have.
fn record(world: &World, name: &str, request: Approve) -> EntryIndex {
    let predicate = ApprovalDocument::from_bytes(&request.document).unwrap().predicate;
    let event = ApprovalRecorded {
        promotion: predicate.promotion,
        release: predicate.release,
        verdict: predicate.verdict,
        approver: person(name),
        key: key_of(name).public_key().fingerprint(),
        document: Digest::of(&request.document),
        signature: request.signature,
    };
    let submission = Submission::new(move |staging, _| {
        staging.document(request.document);
        let actor = Actor::Subject { id: event.approver.clone() };
        let index = staging.append(actor, &[], Event::ApprovalRecorded(event))?;
        Ok(serde_json::json!({ "index": index.0 }))
    });
    EntryIndex(world.engine().run(submission).unwrap().value["index"].as_u64().unwrap())
}

#[test]
fn gates_by_another_engine_are_a_remark_of_the_audit() {
    let mut world = World::starter();
    let promotion = next(&world);
    // On facts of which this engine says otherwise: who decided it is what counts.
    scan(&world);
    let elsewhere = signed(&world, promotion, "sam", |document| {
        document.predicate.changes.as_mut().unwrap().gates = Some(GateChanges::default());
        by_another_engine(document);
    });
    let first = record(&world, "sam", elsewhere);
    let report = world.audit();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    let notes = report.notes.iter().filter(|note| note.code == "APPROVAL_ENGINE");
    assert_eq!(notes.map(|note| note.index).collect::<Vec<_>>(), [Some(first)]);
    // By this engine it is false.
    let here = signed(&world, promotion, "sam", |document| {
        document.predicate.changes.as_mut().unwrap().gates = Some(GateChanges::default());
    });
    let second = record(&world, "sam", here);
    let report = world.audit();
    let found: Vec<_> = report.problems.iter().map(|problem| (problem.code, problem.index)).collect();
    assert_eq!(found, [("APPROVAL_CHANGES", Some(second))]);
    world.damaged();
}

#[test]
fn an_approval_can_be_taken_back_until_something_is_granted() {
    let world = World::starter();
    world.enrol("ines", SubjectKind::Person, &["approvers"]);
    let promotion = pending(&world);
    assert_eq!(hand_in(&world, "sam", signed(&world, promotion, "sam", |_| ())).unwrap(), "pending");
    let withdrawal = withdrawal(&world, promotion, "sam");
    let run = |name: &str, event: ApprovalWithdrawn| {
        take_back::take_back(&person(name), promotion, event).and_then(|submission| world.engine().run(submission))
    };
    // Nobody takes back what another person said, nor with another person's key.
    assert_eq!(run("ines", withdrawal.clone()).unwrap_err().code, "APPROVAL_TARGET");
    let mut forged = withdrawal.clone();
    forged.reason = "another".to_owned();
    assert_eq!(run("sam", forged).unwrap_err().code, "SIGNATURE_INVALID");
    run("sam", withdrawal.clone()).unwrap();
    let view = why::why(world.engine(), promotion).unwrap();
    assert!(view.promotion.approvals[0].withdrawn.is_some());
    let found = view.decision.gates.iter().map(|gate| gate.found.as_str()).collect::<Vec<_>>().join("\n");
    assert!(found.contains("sam does not count: withdrawn"), "{found}");
    assert_eq!(run("sam", withdrawal.clone()).unwrap_err().code, "APPROVAL_UNKNOWN");
    // ines alone is not enough; sam approves anew, and the old withdrawal takes nothing more back.
    assert_eq!(hand_in(&world, "ines", signed(&world, promotion, "ines", |_| ())).unwrap(), "pending");
    assert_eq!(hand_in(&world, "sam", signed(&world, promotion, "sam", |_| ())).unwrap(), "granted");
    assert_eq!(run("sam", withdrawal).unwrap_err().code, "PROMOTION_CLOSED");
}

/// The withdrawal of everything that somebody has approved.
fn withdrawal(world: &World, promotion: PromotionId, name: &str) -> ApprovalWithdrawn {
    let (_, release, asked) = why::slice(world.engine(), promotion).unwrap();
    let mut event = ApprovalWithdrawn {
        promotion,
        release: release.name.clone(),
        approver: person(name),
        approvals: withdrawable(&asked, &person(name)),
        reason: "found something".to_owned(),
        signature: String::new(),
    };
    let document = document_bytes(&WithdrawalDocument::new(ORIGIN, &event)).unwrap();
    event.signature = key_of(name).sign(WITHDRAWAL_NAMESPACE, &document).unwrap().to_armored();
    event
}

fn delegation(world: &World, from: &str, to: &str, lasts: &str) -> DelegationGranted {
    let mut event = DelegationGranted {
        from: person(from),
        to: person(to),
        groups: vec!["approvers".parse().unwrap()],
        environments: vec!["production".parse().unwrap()],
        services: vec![],
        expires_at: world.hands.now().plus(lasts.parse().unwrap()),
        reason: "away".to_owned(),
        signature: String::new(),
    };
    let document = document_bytes(&DelegationDocument::new(ORIGIN, &event)).unwrap();
    event.signature = key_of(from).sign(DELEGATION_NAMESPACE, &document).unwrap().to_armored();
    event
}

#[test]
fn a_delegate_approves_for_the_lender_while_it_lasts() {
    let world = World::starter();
    world.enrol("kim", SubjectKind::Person, &["developers"]);
    let promotion = pending(&world);
    let approve_as = |name: &str| hand_in(&world, name, signed(&world, promotion, name, |_| ()));
    let lend = |event: DelegationGranted| {
        delegate::grant(&event.from.clone(), event).and_then(|submission| world.engine().run(submission))
    };
    assert_eq!(approve_as("kim").unwrap_err().code, "APPROVER_UNSUITABLE");

    // What cannot be lent: to oneself, to a machine, a group that one is not in, for too long, by another's signature.
    let refused = |event: DelegationGranted, code: &str| assert_eq!(lend(event).unwrap_err().code, code);
    refused(delegation(&world, "sam", "sam", "1d"), "DELEGATION_SELF");
    refused(delegation(&world, "sam", "ci", "1d"), "SOD_ROBOT");
    refused(delegation(&world, "kim", "dana", "1d"), "DELEGATION_SCOPE");
    refused(delegation(&world, "sam", "kim", "31d"), "DELEGATION_EXPIRY");
    refused(delegation(&world, "sam", "kim", "0d"), "DELEGATION_EXPIRY");
    let mut forged = delegation(&world, "sam", "kim", "1d");
    forged.to = person("dana");
    refused(forged, "SIGNATURE_INVALID");

    // Whoever asked gains nothing by it.
    lend(delegation(&world, "sam", "dana", "1d")).unwrap();
    assert_eq!(approve_as("dana").unwrap_err().code, "SOD_SELF");

    let first = delegation(&world, "sam", "kim", "1d");
    let receipt = lend(first.clone()).unwrap();
    let index = EntryIndex(receipt.value["index"].as_u64().unwrap());
    let end = |by: &str| {
        let document = document_bytes(&DelegationEndDocument::new(ORIGIN, index, "back")).unwrap();
        let signature = key_of(by).sign(DELEGATION_NAMESPACE, &document).unwrap().to_armored();
        let event = DelegationEnded { delegation: index, reason: "back".to_owned(), by: person(by), signature };
        delegate::end(&person(by), event).and_then(|submission| world.engine().run(submission))
    };
    assert_eq!(end("dana").unwrap_err().code, "NOT_PERMITTED");
    end("kim").unwrap();
    assert_eq!(end("sam").unwrap_err().code, "DELEGATION_OVER");
    assert_eq!(approve_as("kim").unwrap_err().code, "APPROVER_UNSUITABLE");
    // The same signature does not bring it back.
    refused(first, "DELEGATION_REPLAYED");

    lend(delegation(&world, "sam", "kim", "2d")).unwrap();
    world.wait("2d");
    assert_eq!(approve_as("kim").unwrap_err().code, "APPROVER_UNSUITABLE");
    lend(delegation(&world, "sam", "kim", "2d")).unwrap();
    assert_eq!(approve_as("kim").unwrap(), "granted");
}

#[test]
fn a_lender_and_a_delegate_are_one_person() {
    let world = World::starter();
    world.enrol("ines", SubjectKind::Person, &["approvers"]);
    world.enrol("kim", SubjectKind::Person, &["developers"]);
    let promotion = pending(&world);
    let event = delegation(&world, "sam", "kim", "1d");
    world.engine().run(delegate::grant(&person("sam"), event).unwrap()).unwrap();
    let approve_as = |name: &str| hand_in(&world, name, signed(&world, promotion, name, |_| ())).unwrap();
    assert_eq!(approve_as("kim"), "pending");
    assert_eq!(approve_as("sam"), "pending");
    assert_eq!(approve_as("ines"), "granted");
}

#[test]
fn a_right_of_ones_own_is_used_before_a_lent_one() {
    let world = World::starter();
    world.enrol("ines", SubjectKind::Person, &["approvers"]);
    world.enrol("kim", SubjectKind::Person, &["developers"]);
    let promotion = pending(&world);
    for (name, own) in [("ines", true), ("kim", false)] {
        let event = delegation(&world, "sam", name, "1d");
        world.engine().run(delegate::grant(&person("sam"), event).unwrap()).unwrap();
        hand_in(&world, name, signed(&world, promotion, name, |_| ())).unwrap();
        let uses = access::of_person(world.engine(), &person(name)).unwrap().uses;
        assert_eq!(uses.contains_key(&Permission::Approve), own, "{name}");
    }
}

/// The starter policy set with one more line in its approvals gate.
fn with(line: &'static str) -> World {
    World::new(move |path, text| match path {
        "gates/approvals.toml" => text.replace("at_least = 1", &format!("at_least = 1\n{line}")),
        path if path.starts_with("tests/") => String::new(),
        _ => text.to_owned(),
    })
}

#[test]
fn a_deferral_ends_by_time_alone() {
    let world = with("not_before = \"1h\"");
    let promotion = pending(&world);
    assert_eq!(hand_in(&world, "sam", signed(&world, promotion, "sam", |_| ())).unwrap(), "pending");
    world.wait("3599s");
    scheduler::tick(world.engine()).unwrap();
    assert_eq!(world.status(promotion), "pending");
    world.wait("1s");
    scheduler::tick(world.engine()).unwrap();
    assert_eq!(world.status(promotion), "granted");
}

#[test]
fn a_window_closes_by_time_alone() {
    let world = with("window = \"1h\"");
    let promotion = pending(&world);
    world.wait("1h");
    scheduler::tick(world.engine()).unwrap();
    assert_eq!(world.status(promotion), "denied");
    assert_eq!(hand_in(&world, "sam", signed(&world, promotion, "sam", |_| ())).unwrap(), "denied");
}

#[test]
fn a_review_takes_the_time_that_is_demanded() {
    let world = with("min_review_seconds = 30");
    let promotion = pending(&world);
    let early = signed(&world, promotion, "sam", |_| ());
    assert_eq!(hand_in(&world, "sam", early.clone()).unwrap_err().code, "APPROVAL_TOO_FAST");
    let untimed = signed(&world, promotion, "sam", |document| document.predicate.opened_at = None);
    assert_eq!(hand_in(&world, "sam", untimed).unwrap_err().code, "APPROVAL_TOO_FAST");
    world.wait("30s");
    assert_eq!(hand_in(&world, "sam", early).unwrap(), "granted");
}

/// it counts, and everyone can see it.
#[test]
fn rubber_stamps_are_seen() {
    let mut world = World::starter();
    let mut last = None;
    for number in 0..20 {
        let release = format!("shop/s{number}@1.0.0");
        world.push(&release);
        let (promotion, _) = world.promote(&release, "production").unwrap();
        assert_eq!(hand_in(&world, "sam", signed(&world, promotion, "sam", |_| ())).unwrap(), "granted");
        last = Some(promotion);
    }
    let view = why::why(world.engine(), last.unwrap()).unwrap();
    assert_eq!(view.stamped.values().copied().collect::<Vec<_>>(), [20]);
    let paces = approvers::paces(world.engine()).unwrap();
    assert_eq!((paces.len(), paces[0].approvals, paces[0].hasty, paces[0].bursts.len()), (1, 20, 20, 1));
    let pairs = approvers::pairs(world.engine()).unwrap();
    assert_eq!((pairs.len(), pairs[0].approvals, pairs[0].of), (1, 20, 20));
    assert!(pairs[0].always && !pairs[0].mutual);
    let report = world.audit();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    assert_eq!(report.notes.iter().map(|note| note.code).collect::<Vec<_>>(), ["RUBBER_STAMP"]);
}
