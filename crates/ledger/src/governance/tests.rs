//! Each rule of governance on its own.

mod emergency;
mod identities;

use std::collections::BTreeMap;

use lockgate_model::facts::SubjectKind;
use lockgate_model::{ChangeId, Digest, EntryIndex, EnvName, GroupName, PersonId, UnixMillis};
use lockgate_policy::{Permission, PolicySet};
use lockgate_sign::ssh_signer::{FileSigner, SshSigner as _};

use super::{ENROLMENT_NAMESPACE, EnrolmentDocument, Governance, POLICY_NAMESPACE, document_bytes};
use crate::bodies::BodyMap;
use crate::change::{
    CHANGE_TTL, ChangeProposed, ChangeRejected, ChangeSigned, Countersignature, KeyRecovered, KeyRotated,
    REJECTION_NAMESPACE, StandingChanged, draft_bytes, read_draft, recovery_bytes, rejection_bytes, render,
    rotation_bytes, standing_bytes,
};
use crate::entry::{Event, KeyAdded, KeyRevoked, LedgerCreated, PersonEnrolled, PolicyActivated, Sponsor};
use crate::suspect;

const ORIGIN: &str = "log1.test.example";
const START: u64 = 1_800_000_000_000;

fn person(name: &str) -> PersonId {
    name.parse().unwrap()
}

/// The n-th key of somebody.
fn key(name: &str, number: u8) -> FileSigner {
    let mut seed = [number; 32];
    for (to, from) in seed.iter_mut().zip(name.bytes()) {
        *to = from;
    }
    FileSigner::ed25519_from_seed(&seed, name).unwrap()
}

fn fingerprint(name: &str, number: u8) -> String {
    key(name, number).public_key().fingerprint()
}

fn sign(name: &str, number: u8, namespace: &str, document: &[u8]) -> String {
    key(name, number).sign(namespace, document).unwrap().to_armored()
}

/// A governance chain that events are applied to.
struct Chain {
    governance: Governance,
    bodies: BodyMap,
    next: u64,
    time: u64,
}

type Applied = Result<EntryIndex, &'static str>;

fn policy(quorum: u64, description: &str) -> Vec<u8> {
    let files: BTreeMap<String, String> = PolicySet::starter("starter").unwrap();
    let edit = |(path, text): (String, String)| {
        let text = text
            .replace("quorum = 2", &format!("quorum = {quorum}"))
            .replace("A way up through dev and staging", description);
        (path, text)
    };
    PolicySet::from_files(files.into_iter().map(edit).collect()).unwrap().document()
}

impl Chain {
    /// sam is the first owner; the policy set asks for so many signatures.
    fn new(quorum: u64) -> Self {
        let mut bodies = BodyMap::default();
        let policy = bodies.insert(policy(quorum, "first"));
        let created = LedgerCreated {
            origin: ORIGIN.to_owned(),
            log_key: String::new(),
            attestation_key: String::new(),
            policy,
            setup_code: Digest::of(b"code"),
            software: "test".to_owned(),
        };
        let governance = Governance::create(&created, &bodies).unwrap();
        let mut chain = Self { governance, bodies, next: 1, time: START };
        let mut first = enrolment("sam", SubjectKind::Person, &["owners"], &["sam"]);
        first.sponsor = Sponsor::SetupCode { code: "code".to_owned() };
        chain.apply(&Event::PersonEnrolled(first)).unwrap();
        chain
    }

    /// sam and two more owners: kim, whom sam let in, and lee, whom both did.
    fn with_owners() -> Self {
        let mut chain = Self::new(2);
        chain.enrol("kim", &["owners"], &["sam"]).unwrap();
        chain.enrol("lee", &["owners"], &["sam", "kim"]).unwrap();
        chain
    }

    fn apply(&mut self, event: &Event) -> Applied {
        let (governance, index) = (&mut self.governance, EntryIndex(self.next));
        governance.advance(UnixMillis(self.time));
        let applied = match event {
            Event::PersonEnrolled(event) => governance.enrol(event, index),
            Event::KeyAdded(event) => governance.add_key(event, index),
            Event::KeyRevoked(event) => governance.revoke_key(event, index),
            Event::KeyRotated(event) => governance.rotate_key(event, index),
            Event::KeyRecovered(event) => governance.recover_key(event, index),
            Event::PersonSuspended(event) => governance.suspend(event, index),
            Event::PersonReinstated(event) => governance.reinstate(event, index),
            Event::PolicyActivated(event) => governance.activate(event, index, &self.bodies),
            Event::ChangeProposed(event) => governance.propose(event, index, &self.bodies),
            Event::ChangeSigned(event) => governance.sign_change(event, index),
            Event::ChangeRejected(event) => governance.reject_change(event, index),
            Event::IdentityBound(event) => governance.bind_identity(event, index),
            Event::IdentityUnbound(event) => governance.unbind_identity(event, index),
            Event::FreezeOrdered(event) => governance.freeze(event, index, UnixMillis(self.time)),
            Event::FreezeLifted(event) => governance.lift_freeze(event, index),
            Event::BreakGlassOpened(event) => governance.open_break_glass(event, index, UnixMillis(self.time)),
            Event::BreakGlassSigned(event) => governance.sign_break_glass(event, index, UnixMillis(self.time)),
            Event::BreakGlassReviewed(event) => governance.review_break_glass(event, index),
            other => panic!("{}", other.name()),
        };
        applied.map_err(|error| error.code)?;
        self.next += 1;
        Ok(index)
    }

    fn enrol(&mut self, name: &str, groups: &[&str], signers: &[&str]) -> Applied {
        self.apply(&Event::PersonEnrolled(enrolment(name, SubjectKind::Person, groups, signers)))
    }

    fn end(&mut self, name: &str, number: u8, since: Option<u64>, signers: &[&str]) -> Applied {
        let mut event = KeyRevoked {
            person: person(name),
            key: fingerprint(name, number),
            compromised_since: since.map(EntryIndex),
            reason: "a test".to_owned(),
            by: person(signers[0]),
            signature: String::new(),
            countersigned: Vec::new(),
        };
        let document = event.document(ORIGIN).unwrap();
        event.signature = sign(signers[0], 1, ENROLMENT_NAMESPACE, &document);
        event.countersigned = countersigned(&signers[1..], ENROLMENT_NAMESPACE, &document);
        self.apply(&Event::KeyRevoked(event))
    }

    fn standing(&self, name: &str, suspended: bool, signers: &[&str]) -> StandingChanged {
        let previous_at = self.governance.person(&person(name)).unwrap().standing_at;
        let document = standing_bytes(ORIGIN, &person(name), suspended, previous_at, "a test").unwrap();
        StandingChanged {
            person: person(name),
            previous_at,
            reason: "a test".to_owned(),
            by: person(signers[0]),
            signature: sign(signers[0], 1, ENROLMENT_NAMESPACE, &document),
            countersigned: countersigned(&signers[1..], ENROLMENT_NAMESPACE, &document),
        }
    }

    fn suspend(&mut self, name: &str, signers: &[&str]) -> Applied {
        self.apply(&Event::PersonSuspended(self.standing(name, true, signers)))
    }

    fn reinstate(&mut self, name: &str, signers: &[&str]) -> Applied {
        self.apply(&Event::PersonReinstated(self.standing(name, false, signers)))
    }

    /// Proposes an event that carries one signature.
    fn propose(&mut self, event: &Event) -> Applied {
        let demand = event.demand(ORIGIN).unwrap().unwrap();
        let proposed = ChangeProposed {
            change: self.governance.next_change(),
            draft: self.bodies.insert(draft_bytes(event).unwrap()),
            document: Digest::of(&demand.document),
            by: demand.by.clone(),
            signature: demand.signature.to_owned(),
            expires_at: UnixMillis(self.time).plus(CHANGE_TTL),
        };
        self.apply(&Event::ChangeProposed(proposed))
    }

    fn sign_change(&mut self, number: u64, event: &Event, name: &str) -> Applied {
        let demand = event.demand(ORIGIN).unwrap().unwrap();
        let signature = sign(name, 1, demand.namespace, &demand.document);
        self.apply(&Event::ChangeSigned(ChangeSigned { change: ChangeId(number), by: person(name), signature }))
    }

    fn reject(&mut self, number: u64, name: &str) -> Applied {
        let document = self.governance.change(ChangeId(number)).unwrap().document;
        let bytes = rejection_bytes(ORIGIN, ChangeId(number), document, "no").unwrap();
        let signature = sign(name, 1, REJECTION_NAMESPACE, &bytes);
        let (change, by) = (ChangeId(number), person(name));
        self.apply(&Event::ChangeRejected(ChangeRejected { change, reason: "no".to_owned(), by, signature }))
    }

    fn status(&self, number: u64) -> &'static str {
        self.governance.change(ChangeId(number)).unwrap().status_at(UnixMillis(self.time))
    }

    /// Why a signature by somebody's n-th key does not count now.
    fn refusal(&self, name: &str, number: u8) -> Option<&'static str> {
        let (person, index) = (person(name), EntryIndex(self.next));
        let fingerprint = fingerprint(name, number);
        self.governance.check_counts(&person, &fingerprint, index, UnixMillis(self.time)).err().map(|error| error.code)
    }
}

fn countersigned(names: &[&str], namespace: &str, document: &[u8]) -> Vec<Countersignature> {
    let one = |name: &&str| Countersignature { by: person(name), signature: sign(name, 1, namespace, document) };
    names.iter().map(one).collect()
}

/// An enrolment with the first key of everyone who vouches.
fn enrolment(name: &str, subject: SubjectKind, groups: &[&str], signers: &[&str]) -> PersonEnrolled {
    let mut event = PersonEnrolled {
        person: person(name),
        subject,
        groups: groups.iter().map(|group| group.parse().unwrap()).collect(),
        key: key(name, 1).public_key().clone(),
        proof: String::new(),
        sponsor: Sponsor::SetupCode { code: String::new() },
        countersigned: Vec::new(),
        expires_at: None,
        environments: Vec::new(),
    };
    resign(&mut event, signers);
    event
}

fn resign(event: &mut PersonEnrolled, signers: &[&str]) {
    let document = event.document(ORIGIN).unwrap();
    event.proof = sign(event.person.as_str(), 1, ENROLMENT_NAMESPACE, &document);
    let signature = sign(signers[0], 1, ENROLMENT_NAMESPACE, &document);
    event.sponsor = Sponsor::Countersigned { by: person(signers[0]), signature };
    event.countersigned = countersigned(&signers[1..], ENROLMENT_NAMESPACE, &document);
}

/// A further key, vouched for by an earlier one.
fn further(name: &str, groups: &[&str], number: u8, by: u8, environments: &[&str]) -> Event {
    let groups: Vec<GroupName> = groups.iter().map(|group| group.parse().unwrap()).collect();
    let environments: Vec<EnvName> = environments.iter().map(|name| name.parse().unwrap()).collect();
    let (id, new) = (person(name), key(name, number));
    let document = EnrolmentDocument::new(ORIGIN, &id, SubjectKind::Person, &groups, new.public_key());
    let document = document_bytes(&document.limited(None, &environments)).unwrap();
    Event::KeyAdded(KeyAdded {
        person: id.clone(),
        key: new.public_key().clone(),
        proof: sign(name, number, ENROLMENT_NAMESPACE, &document),
        by: id,
        signature: sign(name, by, ENROLMENT_NAMESPACE, &document),
        expires_at: None,
        environments,
    })
}

#[test]
fn the_quorum_is_lowered_to_the_people_there_are() {
    let mut chain = Chain::new(2);
    let check = |chain: &Chain, subject: Option<&str>, expected: usize| {
        let subject = subject.map(person);
        assert_eq!(chain.governance.effective_quorum(Permission::Keys, subject.as_ref()), expected, "{subject:?}");
    };
    check(&chain, None, 1);
    check(&chain, Some("sam"), 1);
    chain.enrol("dana", &["developers"], &["sam"]).unwrap();
    check(&chain, None, 1);
    chain.enrol("kim", &["owners"], &["sam"]).unwrap();
    check(&chain, None, 2);
    check(&chain, Some("kim"), 1);
    check(&chain, Some("dana"), 2);
    chain.enrol("lee", &["owners"], &["kim", "sam"]).unwrap();
    check(&chain, Some("kim"), 2);
    chain.suspend("lee", &["sam", "kim"]).unwrap();
    check(&chain, None, 2);
    check(&chain, Some("kim"), 1);
    assert_eq!(Chain::new(1).governance.effective_quorum(Permission::Policy, None), 1);
    // A machine is no person, whatever its groups.
    let mut chain = Chain::new(2);
    chain.apply(&Event::PersonEnrolled(enrolment("ci", SubjectKind::Machine, &["owners"], &["sam"]))).unwrap();
    check(&chain, None, 1);
}

#[test]
fn an_enrolment_takes_two_different_owners() {
    let mut chain = Chain::with_owners();
    chain.apply(&further("sam", &["owners"], 2, 1, &[])).unwrap();
    let machine = enrolment("ci", SubjectKind::Machine, &["owners"], &["sam", "kim"]);
    chain.apply(&Event::PersonEnrolled(machine)).unwrap();
    chain.enrol("dana", &["developers"], &["sam", "lee"]).unwrap();
    let mut check = |signers: &[&str], expected: &'static str| {
        assert_eq!(chain.enrol("eve", &["approvers"], signers), Err(expected), "{signers:?}");
    };
    check(&["sam"], "QUORUM_GOVERNANCE");
    check(&["sam", "sam"], "QUORUM_GOVERNANCE");
    check(&["sam", "dana"], "NOT_PERMITTED");
    check(&["sam", "ci"], "SOD_ROBOT");
    check(&["sam", "eve"], "NOT_PERMITTED");
    // Two keys of one person are one person.
    let mut twice = enrolment("eve", SubjectKind::Person, &["approvers"], &["sam"]);
    let document = twice.document(ORIGIN).unwrap();
    let again = Countersignature { by: person("sam"), signature: sign("sam", 2, ENROLMENT_NAMESPACE, &document) };
    twice.countersigned = vec![again];
    assert_eq!(chain.apply(&Event::PersonEnrolled(twice)), Err("QUORUM_GOVERNANCE"));
    // A signature under another document is none.
    let mut moved = enrolment("eve", SubjectKind::Person, &["approvers"], &["sam", "kim"]);
    moved.countersigned = countersigned(&["kim"], ENROLMENT_NAMESPACE, b"something else");
    assert_eq!(chain.apply(&Event::PersonEnrolled(moved)), Err("SIGNATURE_INVALID"));
    let most = vec!["kim"; 18];
    assert_eq!(chain.enrol("eve", &["approvers"], &most), Err("TOO_MANY_SIGNATURES"));
    chain.enrol("eve", &["approvers"], &["lee", "sam"]).unwrap();
}

#[test]
fn nobody_countersigns_the_first_owner() {
    let created = Chain::new(2).governance.identity;
    let mut bodies = BodyMap::default();
    bodies.insert(policy(2, "first"));
    let mut governance = Governance::create(&created, &bodies).unwrap();
    let mut first = enrolment("sam", SubjectKind::Person, &["owners"], &["sam", "kim"]);
    first.sponsor = Sponsor::SetupCode { code: "code".to_owned() };
    assert_eq!(governance.enrol(&first, EntryIndex(1)).unwrap_err().code, "SPONSOR_INVALID");
}

#[test]
fn another_policy_set_takes_two_different_owners() {
    let mut chain = Chain::with_owners();
    let next = chain.bodies.insert(policy(1, "second"));
    let event = |chain: &Chain, signers: &[&str]| {
        let mut event = PolicyActivated {
            policy: next,
            previous: chain.governance.policy_digest,
            previous_at: chain.governance.policy_at,
            reason: "a test".to_owned(),
            by: person(signers[0]),
            signature: String::new(),
            countersigned: Vec::new(),
            backtest: None,
        };
        let document = event.demand(ORIGIN).unwrap().document;
        event.signature = sign(signers[0], 1, POLICY_NAMESPACE, &document);
        event.countersigned = countersigned(&signers[1..], POLICY_NAMESPACE, &document);
        Event::PolicyActivated(event)
    };
    // The quorum is that of the set which is active, not of the one that is to come.
    let alone = event(&chain, &["sam"]);
    assert_eq!(chain.apply(&alone), Err("QUORUM_GOVERNANCE"));
    let both = event(&chain, &["sam", "lee"]);
    chain.apply(&both).unwrap();
    assert_eq!(
        (chain.governance.policy_digest, chain.governance.effective_quorum(Permission::Policy, None)),
        (next, 1)
    );
    assert_eq!(chain.apply(&both), Err("POLICY_STALE"));
}

#[test]
fn ones_own_keys_are_ones_own_business() {
    let mut chain = Chain::with_owners();
    chain.apply(&further("lee", &["owners"], 2, 1, &[])).unwrap();
    let before = EntryIndex(chain.next);
    chain.next += 1;
    chain.end("lee", 1, None, &["lee"]).unwrap();
    assert_eq!((chain.refusal("lee", 1), chain.refusal("lee", 2)), (Some("KEY_REVOKED"), None));
    let retired = chain.governance.key(&person("lee"), &fingerprint("lee", 1)).unwrap();
    assert!(retired.valid_at(before) && retired.voided_by(before).is_none());
    // Somebody else's take a quorum without that person.
    assert_eq!(chain.end("kim", 1, None, &["sam"]), Err("QUORUM_GOVERNANCE"));
    assert_eq!(chain.end("kim", 1, None, &["sam", "kim"]), Err("SOD_SELF"));
    // lee's first key has ended.
    assert_eq!(chain.end("kim", 1, None, &["sam", "lee"]), Err("KEY_REVOKED"));
    assert_eq!(chain.end("kim", 7, None, &["kim"]), Err("KEY_UNKNOWN"));
}

#[test]
fn a_rotation_is_signed_by_both_keys() {
    let mut chain = Chain::with_owners();
    assert_eq!(chain.apply(&rotation("kim", 1, 2)), Err("KEY_UNKNOWN"));
    assert_eq!(chain.apply(&rotation("kim", 7, 1)), Err("KEY_MISMATCH"));
    chain.apply(&rotation("kim", 1, 1)).unwrap();
    assert_eq!((chain.refusal("kim", 1), chain.refusal("kim", 2)), (Some("KEY_REVOKED"), None));
    assert_eq!(chain.apply(&rotation("kim", 1, 1)), Err("KEY_ALREADY_BOUND"));
}

#[test]
fn a_rotated_key_rests_on_the_one_that_it_replaces() {
    let mut chain = Chain::with_owners();
    chain.enrol("eve", &["approvers"], &["sam", "kim"]).unwrap();
    let rotated = chain.apply(&rotation("kim", 1, 1)).unwrap();
    // It stands when a key is found compromised that had nothing to do with it ...
    chain.end("eve", 1, Some(1), &["eve"]).unwrap();
    assert_eq!(chain.refusal("kim", 2), None);
    // ... and when the old key is, from after the rotation on, but not from the rotation on.
    chain.end("kim", 1, Some(rotated.0 + 1), &["sam", "lee"]).unwrap();
    assert_eq!(chain.refusal("kim", 2), None);
    chain.end("kim", 1, Some(rotated.0), &["sam", "lee"]).unwrap();
    assert_eq!(chain.refusal("kim", 2), Some("KEY_REVOKED"));
}

#[test]
fn a_chain_of_rotations_falls_whole() {
    let mut chain = Chain::with_owners();
    let first = chain.apply(&rotation("kim", 1, 1)).unwrap();
    (2..120).for_each(|number| _ = chain.apply(&rotation_to("kim", number, number, number + 1)).unwrap());
    assert_eq!(chain.refusal("kim", 120), None);
    chain.end("kim", 1, Some(first.0), &["sam", "lee"]).unwrap();
    assert!((1..=120).all(|number| chain.refusal("kim", number) == Some("KEY_REVOKED")));
    assert_eq!((chain.refusal("sam", 1), chain.refusal("lee", 1)), (None, None));
}

/// The second key of somebody, who says that it replaces one of theirs, signed by one of theirs.
fn rotation(name: &str, replaces: u8, signed_by: u8) -> Event {
    rotation_to(name, replaces, signed_by, 2)
}

fn rotation_to(name: &str, replaces: u8, signed_by: u8, to: u8) -> Event {
    let (id, new) = (person(name), key(name, to));
    let replaces = fingerprint(name, replaces);
    let document = rotation_bytes(ORIGIN, &id, new.public_key(), &replaces, None, &[]).unwrap();
    let proof = sign(name, to, ENROLMENT_NAMESPACE, &document);
    let signature = sign(name, signed_by, ENROLMENT_NAMESPACE, &document);
    let (expires_at, environments) = (None, Vec::new());
    let key = new.public_key().clone();
    Event::KeyRotated(KeyRotated { person: id, key, proof, replaces, signature, expires_at, environments })
}

fn recovery(name: &str, number: u8, signers: &[&str]) -> Event {
    let (id, new) = (person(name), key(name, number));
    let document = recovery_bytes(ORIGIN, &id, new.public_key(), "lost", None, &[]).unwrap();
    Event::KeyRecovered(KeyRecovered {
        person: id,
        key: new.public_key().clone(),
        proof: sign(name, number, ENROLMENT_NAMESPACE, &document),
        reason: "lost".to_owned(),
        by: person(signers[0]),
        signature: sign(signers[0], 1, ENROLMENT_NAMESPACE, &document),
        countersigned: countersigned(&signers[1..], ENROLMENT_NAMESPACE, &document),
        expires_at: None,
        environments: Vec::new(),
    })
}

#[test]
fn lost_keys_are_recovered_by_others() {
    let mut chain = Chain::with_owners();
    assert_eq!(chain.apply(&recovery("kim", 2, &["kim"])), Err("SOD_SELF"));
    assert_eq!(chain.apply(&recovery("kim", 2, &["sam"])), Err("QUORUM_GOVERNANCE"));
    assert_eq!(chain.apply(&recovery("ghost", 2, &["sam", "lee"])), Err("PERSON_UNKNOWN"));
    chain.apply(&recovery("kim", 2, &["sam", "lee"])).unwrap();
    assert_eq!((chain.refusal("kim", 1), chain.refusal("kim", 2)), (Some("KEY_REVOKED"), None));
    assert_eq!(chain.apply(&recovery("kim", 2, &["sam", "lee"])), Err("KEY_ALREADY_BOUND"));
}

#[test]
fn whoever_is_suspended_does_not_count_until_reinstated() {
    let mut chain = Chain::with_owners();
    assert_eq!(chain.suspend("kim", &["sam"]), Err("QUORUM_GOVERNANCE"));
    assert_eq!(chain.reinstate("kim", &["sam", "lee"]), Err("STANDING_SAME"));
    let before = EntryIndex(chain.next);
    chain.next += 1;
    let signed = chain.standing("kim", true, &["sam", "lee"]);
    chain.apply(&Event::PersonSuspended(signed.clone())).unwrap();
    assert_eq!(chain.refusal("kim", 1), Some("PERSON_SUSPENDED"));
    assert!(!chain.governance.may(&person("kim"), Permission::Keys));
    assert!(!chain.governance.can_act(&person("kim"), UnixMillis(START)));
    assert!(chain.governance.people_facts()[&person("kim")].groups.is_empty());
    // What was signed before stands.
    let time = UnixMillis(START);
    assert!(chain.governance.check_counts(&person("kim"), &fingerprint("kim", 1), before, time).is_ok());
    assert_eq!(chain.enrol("eve", &["approvers"], &["sam", "kim"]), Err("PERSON_SUSPENDED"));
    assert_eq!(chain.reinstate("kim", &["kim", "sam"]), Err("PERSON_SUSPENDED"));
    chain.reinstate("kim", &["lee", "sam"]).unwrap();
    assert_eq!(chain.refusal("kim", 1), None);
    // The old signatures are good for that one suspension.
    assert_eq!(chain.apply(&Event::PersonSuspended(signed)), Err("STANDING_STALE"));
}

#[test]
fn a_key_may_have_an_end_in_ledger_time() {
    let mut chain = Chain::new(1);
    let mut event = enrolment("kim", SubjectKind::Person, &["owners"], &["sam"]);
    event.expires_at = Some(UnixMillis(START + 1000));
    resign(&mut event, &["sam"]);
    chain.apply(&Event::PersonEnrolled(event)).unwrap();
    chain.time = START + 999;
    assert_eq!(chain.refusal("kim", 1), None);
    chain.enrol("eve", &["approvers"], &["kim"]).unwrap();
    chain.time = START + 1000;
    assert_eq!(chain.refusal("kim", 1), Some("KEY_EXPIRED"));
    assert!(!chain.governance.can_act(&person("kim"), UnixMillis(chain.time)));
    assert_eq!(chain.enrol("tom", &["approvers"], &["kim"]), Err("KEY_EXPIRED"));
}

#[test]
fn a_key_may_be_for_some_environments_alone() {
    let mut chain = Chain::new(1);
    chain.apply(&further("sam", &["owners"], 2, 1, &["staging"])).unwrap();
    let (sam, key, index) = (person("sam"), fingerprint("sam", 2), EntryIndex(chain.next));
    let counts = |environment: &str| {
        chain.governance.approval_counts(&sam, &key, index, UnixMillis(START), &environment.parse().unwrap())
    };
    assert!(counts("staging") && !counts("production"));
    // It signs for no change of governance, and cannot make a wider key.
    let mut event = enrolment("eve", SubjectKind::Person, &["approvers"], &["sam"]);
    let document = event.document(ORIGIN).unwrap();
    let signature = sign("sam", 2, ENROLMENT_NAMESPACE, &document);
    event.sponsor = Sponsor::Countersigned { by: person("sam"), signature };
    assert_eq!(chain.apply(&Event::PersonEnrolled(event)), Err("KEY_SCOPE"));
    for wider in [&[][..], &["production"], &["staging", "production"]] {
        assert_eq!(chain.apply(&further("sam", &["owners"], 3, 2, wider)), Err("KEY_SCOPE"), "{wider:?}");
    }
    chain.apply(&further("sam", &["owners"], 3, 2, &["staging"])).unwrap();
}

#[test]
fn documents_without_limits_keep_their_bytes() {
    let (sam, key) = (person("sam"), key("sam", 1));
    let groups = ["owners".parse().unwrap()];
    let document = EnrolmentDocument::new(ORIGIN, &sam, SubjectKind::Person, &groups, key.public_key());
    let expected = format!(
        "{{\"groups\":[\"owners\"],\"key\":\"{}\",\"ledger\":\"{ORIGIN}\",\"person\":\"sam\",\
         \"schema\":\"https://lockgate.dev/enrolment/v1\",\"subject\":\"person\"}}",
        key.public_key()
    );
    assert_eq!(String::from_utf8(document_bytes(&document).unwrap()).unwrap(), expected);
    let bytes =
        draft_bytes(&Event::PersonEnrolled(enrolment("sam", SubjectKind::Person, &["owners"], &["sam"]))).unwrap();
    let text = String::from_utf8(bytes.clone()).unwrap();
    for absent in ["countersigned\":[", "expires_at", "environments"] {
        assert!(!text.contains(absent), "{text}");
    }
    assert!(read_draft(&bytes).is_ok());
    assert_eq!(
        read_draft(text.replacen("{\"body\"", "{\"a\":1,\"body\"", 1).as_bytes()).unwrap_err().code,
        "CHANGE_INVALID"
    );
}

#[test]
fn a_compromised_key_takes_those_along_whom_it_enrolled() {
    let mut chain = Chain::new(1);
    let kim = chain.enrol("kim", &["owners"], &["sam"]).unwrap();
    let eve = chain.enrol("eve", &["approvers"], &["sam"]).unwrap();
    let more = chain.apply(&further("eve", &["approvers"], 2, 1, &[])).unwrap();
    let tom = chain.enrol("tom", &["approvers"], &["kim"]).unwrap();
    // Whoever was enrolled by the key cannot end it from before that.
    assert_eq!(chain.end("sam", 1, Some(kim.0), &["kim"]), Err("REVOCATION_UNDERCUT"));
    assert!(suspect::in_governance(&chain.governance).is_empty());
    let ended = chain.end("sam", 1, Some(eve.0), &["kim"]).unwrap();
    for (name, number, expected) in [
        ("sam", 1, Some("KEY_REVOKED")),
        ("kim", 1, None),
        ("eve", 1, Some("KEY_REVOKED")),
        ("eve", 2, Some("KEY_REVOKED")),
        ("tom", 1, None),
    ] {
        assert_eq!(chain.refusal(name, number), expected, "{name} {number}");
    }
    let found = suspect::in_governance(&chain.governance);
    let found: Vec<_> = found.iter().map(|suspect| (suspect.index, suspect.event, suspect.since)).collect();
    assert_eq!(found, [(eve, "person.enrolled", ended), (more, "key.added", ended)]);
    assert!(tom > more);
    // Reinstated, she is vouched for anew; sam is not.
    chain.reinstate("eve", &["kim"]).unwrap();
    assert_eq!((chain.refusal("eve", 1), chain.refusal("eve", 2)), (None, None));
    assert_eq!(chain.reinstate("sam", &["kim"]), Err("STANDING_SAME"));
    // And stays so when another key falls that had nothing to do with it.
    chain.enrol("ann", &["owners"], &["kim"]).unwrap();
    chain.end("tom", 1, Some(1), &["ann"]).unwrap();
    assert_eq!(chain.refusal("eve", 1), None);
}

#[test]
fn a_second_report_reaches_further_back_and_keeps_the_first() {
    let mut chain = Chain::new(1);
    chain.enrol("kim", &["owners"], &["sam"]).unwrap();
    chain.enrol("eve", &["approvers"], &["kim"]).unwrap();
    chain.next = 20;
    let first = chain.end("eve", 1, Some(10), &["kim"]).unwrap();
    let second = chain.end("eve", 1, Some(5), &["kim"]).unwrap();
    let key = chain.governance.key(&person("eve"), &fingerprint("eve", 1)).unwrap();
    let voided = |index: u64| key.voided_by(EntryIndex(index));
    assert_eq!((voided(4), voided(5), voided(9), voided(10)), (None, Some(second), Some(second), Some(first)));
    assert_eq!((voided(20), voided(21)), (Some(second), None));
    assert!(key.valid_at(EntryIndex(4)) && !key.valid_at(EntryIndex(5)));
}

#[test]
fn what_enough_others_signed_stands() {
    let mut chain = Chain::with_owners();
    let two = chain.enrol("eve", &["approvers"], &["sam", "kim"]).unwrap();
    chain.enrol("tom", &["approvers"], &["sam", "kim", "lee"]).unwrap();
    chain.end("kim", 1, Some(two.0), &["sam", "lee"]).unwrap();
    assert_eq!((chain.refusal("eve", 1), chain.refusal("tom", 1)), (Some("KEY_REVOKED"), None));
    let found: Vec<_> = suspect::in_governance(&chain.governance).iter().map(|suspect| suspect.index).collect();
    assert_eq!(found, [two]);
}

#[test]
fn a_proposal_gathers_signatures_and_closes_when_it_has_happened() {
    let mut chain = Chain::with_owners();
    let draft = Event::PersonEnrolled(enrolment("eve", SubjectKind::Person, &["approvers"], &["sam"]));
    chain.propose(&draft).unwrap();
    assert_eq!(chain.propose(&draft), Err("CHANGE_OPEN"));
    assert_eq!(chain.governance.missing_signatures(&chain.governance.changes()[0]), 1);
    assert_eq!(chain.sign_change(1, &draft, "sam"), Err("CHANGE_SIGNED"));
    assert_eq!(chain.sign_change(1, &draft, "eve"), Err("NOT_PERMITTED"));
    chain.sign_change(1, &draft, "lee").unwrap();
    assert_eq!(chain.governance.missing_signatures(&chain.governance.changes()[0]), 0);
    // Somebody whose signature was not gathered cannot slip in.
    let both = |name| Event::PersonEnrolled(enrolment("eve", SubjectKind::Person, &["approvers"], &["sam", name]));
    assert_eq!(chain.apply(&both("kim")), Err("CHANGE_UNSIGNED"));
    let at = chain.apply(&both("lee")).unwrap();
    assert_eq!(chain.status(1), "applied");
    assert!(at.0 > 0 && chain.governance.person(&person("eve")).is_some());
    assert_eq!(chain.sign_change(1, &draft, "kim"), Err("CHANGE_CLOSED"));
    assert_eq!(chain.reject(1, "kim"), Err("CHANGE_CLOSED"));
}

#[test]
fn signatures_of_a_proposal_that_ended_do_not_carry_over() {
    let mut chain = Chain::with_owners();
    let draft = Event::PersonEnrolled(enrolment("eve", SubjectKind::Person, &["approvers"], &["sam"]));
    let both = Event::PersonEnrolled(enrolment("eve", SubjectKind::Person, &["approvers"], &["sam", "kim"]));
    chain.propose(&draft).unwrap();
    assert_eq!(chain.apply(&both), Err("CHANGE_UNSIGNED"));
    chain.time += CHANGE_TTL.millis();
    assert_eq!(chain.status(1), "expired");
    assert_eq!(chain.sign_change(1, &draft, "kim"), Err("CHANGE_EXPIRED"));
    assert_eq!(chain.apply(&both), Err("CHANGE_EXPIRED"));
    chain.propose(&draft).unwrap();
    chain.sign_change(2, &draft, "kim").unwrap();
    chain.reject(2, "lee").unwrap();
    // What was signed under it is spent: the same bytes would carry the same signature.
    assert_eq!(chain.apply(&both), Err("CHANGE_CLOSED"));
    assert_eq!(chain.propose(&draft), Err("CHANGE_CLOSED"));
    let another = Event::PersonEnrolled(enrolment("eve", SubjectKind::Person, &["developers"], &["sam"]));
    chain.propose(&another).unwrap();
    chain.sign_change(3, &another, "kim").unwrap();
    let signed = enrolment("eve", SubjectKind::Person, &["developers"], &["sam", "kim"]);
    chain.apply(&Event::PersonEnrolled(signed)).unwrap();
    let statuses: Vec<_> = (1..=3).map(|number| chain.status(number)).collect();
    assert_eq!(statuses, ["expired", "rejected", "applied"]);
}

#[test]
fn nobody_rejects_or_signs_a_change_about_themselves() {
    let mut chain = Chain::with_owners();
    let draft = Event::PersonSuspended(chain.standing("kim", true, &["sam"]));
    chain.propose(&draft).unwrap();
    assert_eq!(chain.sign_change(1, &draft, "kim"), Err("SOD_SELF"));
    assert_eq!(chain.reject(1, "kim"), Err("SOD_SELF"));
    assert_eq!(chain.status(1), "open");
}

#[test]
fn a_proposal_is_what_its_draft_says() {
    let mut chain = Chain::with_owners();
    let event = Event::PersonEnrolled(enrolment("eve", SubjectKind::Person, &["approvers"], &["sam"]));
    let demand = event.demand(ORIGIN).unwrap().unwrap();
    let good = ChangeProposed {
        change: ChangeId(1),
        draft: chain.bodies.insert(draft_bytes(&event).unwrap()),
        document: Digest::of(&demand.document),
        by: person("sam"),
        signature: demand.signature.to_owned(),
        expires_at: UnixMillis(START).plus(CHANGE_TTL),
    };
    let two = Event::PersonEnrolled(enrolment("eve", SubjectKind::Person, &["approvers"], &["sam", "kim"]));
    let two = chain.bodies.insert(draft_bytes(&two).unwrap());
    let alone = chain.bodies.insert(draft_bytes(&further("sam", &["owners"], 2, 1, &[])).unwrap());
    let mut check = |change: fn(&mut ChangeProposed, Digest), digest: Digest, expected: &'static str| {
        let mut event = good.clone();
        change(&mut event, digest);
        assert_eq!(chain.apply(&Event::ChangeProposed(event)), Err(expected));
    };
    check(|event, _| event.change = ChangeId(2), two, "CHANGE_NUMBER");
    check(|event, _| event.expires_at = UnixMillis(START), two, "CHANGE_INVALID");
    check(|event, _| event.by = person("kim"), two, "CHANGE_INVALID");
    check(|event, digest| event.document = digest, two, "CHANGE_INVALID");
    check(|event, digest| event.draft = digest, two, "CHANGE_INVALID");
    check(|event, digest| event.draft = digest, alone, "CHANGE_INVALID");
    check(|event, digest| event.draft = digest, Digest::of(b"nothing"), "BODY_MISSING");
    chain.apply(&Event::ChangeProposed(good)).unwrap();
}

#[test]
fn a_change_is_shown_with_its_code_and_without_tricks() {
    let mut chain = Chain::with_owners();
    chain.next += 1;
    let mut standing = chain.standing("kim", true, &["sam"]);
    standing.reason = "fine\n  code        other\u{202e}".to_owned();
    let event = Event::PersonSuspended(standing);
    let document = event.demand(ORIGIN).unwrap().unwrap().document;
    let text = render(&event, &document);
    assert!(text.contains("SUSPEND kim"), "{text}");
    assert_eq!(text.matches("\n  code ").count(), 1, "{text}");
    assert!(text.contains(&crate::code_words::code_words(&Digest::of(&document))), "{text}");
}
