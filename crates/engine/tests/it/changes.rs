//! Changes that several people sign: proposed, gathered, made once; and what a compromised key leaves behind.

use lockgate_engine::{Fault, Receipt, change, people, policy, suspects, why};
use lockgate_ledger::Event;
use lockgate_ledger::change::{ChangeRejected, REJECTION_NAMESPACE, StandingChanged, rejection_bytes, standing_bytes};
use lockgate_ledger::entry::{KeyRevoked, PersonEnrolled, PolicyActivated, Sponsor};
use lockgate_ledger::governance::{ENROLMENT_NAMESPACE, POLICY_NAMESPACE};
use lockgate_model::facts::SubjectKind;
use lockgate_model::{ChangeId, Digest, EntryIndex, StreamName};
use lockgate_policy::PolicySet;
use lockgate_sign::ssh_signer::SshSigner as _;

use crate::world::{World, key_of, person};

const ORIGIN: &str = "log1.test.example";

fn sign(name: &str, namespace: &str, document: &[u8]) -> String {
    key_of(name).sign(namespace, document).unwrap().to_armored()
}

/// Two owners, sam and kim.
fn two_owners() -> World {
    let world = World::starter();
    world.enrol("kim", SubjectKind::Person, &["owners"]);
    world
}

/// Three: lee needed both.
fn three_owners() -> World {
    let world = two_owners();
    enrol(&world, "lee", &["owners"], "sam").unwrap();
    sign_change(&world, 1, "kim").unwrap();
    assert_eq!(world.engine().governance().unwrap().people().count(), 5);
    world
}

fn enrolment(name: &str, groups: &[&str], by: &str) -> PersonEnrolled {
    let mut event = PersonEnrolled {
        person: person(name),
        subject: SubjectKind::Person,
        groups: groups.iter().map(|group| group.parse().unwrap()).collect(),
        key: key_of(name).public_key().clone(),
        proof: String::new(),
        sponsor: Sponsor::SetupCode { code: String::new() },
        countersigned: Vec::new(),
        expires_at: None,
        environments: Vec::new(),
    };
    let document = event.document(ORIGIN).unwrap();
    event.proof = sign(name, ENROLMENT_NAMESPACE, &document);
    event.sponsor = Sponsor::Countersigned { by: person(by), signature: sign(by, ENROLMENT_NAMESPACE, &document) };
    event
}

fn enrol(world: &World, name: &str, groups: &[&str], by: &str) -> Result<Receipt, Fault> {
    world.engine().run(people::enrol(&person(by), enrolment(name, groups, by))?)
}

/// What somebody signs for a change, from its draft.
fn signature(world: &World, number: u64, name: &str) -> String {
    let view = change::show(world.engine(), ChangeId(number)).unwrap();
    let event = lockgate_ledger::change::read_draft(&view.draft).unwrap();
    let demand = event.demand(ORIGIN).unwrap().unwrap();
    assert_eq!(Digest::of(&demand.document), view.change.document);
    sign(name, demand.namespace, &demand.document)
}

fn sign_change(world: &World, number: u64, name: &str) -> Result<Receipt, Fault> {
    let signature = signature(world, number, name);
    world.engine().run(change::sign(person(name), ChangeId(number), signature))
}

fn status(world: &World, number: u64) -> &'static str {
    change::show(world.engine(), ChangeId(number)).unwrap().status
}

fn activation(world: &World, description: &str, by: &str) -> (Vec<u8>, PolicyActivated) {
    let files = PolicySet::starter("starter").unwrap();
    let edit = |(path, text): (String, String)| (path, text.replace("A way up through dev and staging", description));
    let document = PolicySet::from_files(files.into_iter().map(edit).collect()).unwrap().document();
    let governance = world.engine().governance().unwrap();
    let mut event = PolicyActivated {
        policy: Digest::of(&document),
        previous: governance.policy_digest,
        previous_at: governance.policy_at,
        reason: "a test".to_owned(),
        by: person(by),
        signature: String::new(),
        countersigned: Vec::new(),
        backtest: None,
    };
    let signed = event.demand(ORIGIN).unwrap().document;
    event.signature = sign(by, POLICY_NAMESPACE, &signed);
    (document, event)
}

fn activate(world: &World, description: &str, by: &str) -> Result<Receipt, Fault> {
    let (document, event) = activation(world, description, by);
    world.engine().run(policy::activate(&person(by), document, event)?)
}

fn revoke(world: &World, name: &str, since: Option<u64>, by: &str) -> Result<Receipt, Fault> {
    let mut event = KeyRevoked {
        person: person(name),
        key: key_of(name).public_key().fingerprint(),
        compromised_since: since.map(EntryIndex),
        reason: "a test".to_owned(),
        by: person(by),
        signature: String::new(),
        countersigned: Vec::new(),
    };
    event.signature = sign(by, ENROLMENT_NAMESPACE, &event.document(ORIGIN).unwrap());
    world.engine().run(people::revoke_key(&person(by), event)?)
}

#[test]
fn one_signature_is_enough_while_there_is_one_owner() {
    let world = World::starter();
    let receipt = enrol(&world, "eve", &["approvers"], "sam").unwrap();
    assert_eq!(receipt.value["event"], "person.enrolled");
    assert!(receipt.value.get("change").is_none());
    assert_eq!(activate(&world, "another", "sam").unwrap().value["event"], "policy.activated");
}

#[test]
fn what_makes_no_sense_is_not_recorded() {
    let world = World::starter();
    let size = world.size();
    let mut over = enrolment("eve", &["approvers"], "sam");
    over.expires_at = Some(world.engine().published().time);
    let document = over.document(ORIGIN).unwrap();
    over.proof = sign("eve", ENROLMENT_NAMESPACE, &document);
    over.sponsor = Sponsor::Countersigned { by: person("sam"), signature: sign("sam", ENROLMENT_NAMESPACE, &document) };
    let refused = world.engine().run(people::enrol(&person("sam"), over).unwrap()).unwrap_err();
    assert_eq!((refused.code, refused.kind), ("KEY_EXPIRY", lockgate_engine::Kind::Invalid));
    let same = activate(&world, "A way up through dev and staging", "sam").unwrap_err();
    assert_eq!((same.code, same.kind), ("POLICY_SAME", lockgate_engine::Kind::Conflict));
    assert_eq!(revoke(&world, "dana", Some(size + 1), "sam").unwrap_err().code, "KEY_SINCE");
    let nobody = revoke(&world, "nobody", None, "sam").unwrap_err();
    assert_eq!((nobody.code, nobody.kind), ("PERSON_UNKNOWN", lockgate_engine::Kind::NotFound));
    assert_eq!(world.size(), size);
    revoke(&world, "dana", Some(size), "sam").unwrap();
}

#[test]
fn the_second_signature_makes_the_change() {
    let mut world = two_owners();
    let receipt = enrol(&world, "eve", &["approvers"], "sam").unwrap();
    assert_eq!(
        (receipt.value["event"].as_str(), receipt.value["missing"].as_u64()),
        (Some("change.proposed"), Some(1))
    );
    assert_eq!(receipt.value["change"], "C-1");
    assert!(world.engine().governance().unwrap().person(&person("eve")).is_none());
    // It survives a restart, and asking again changes nothing.
    world.reopen().unwrap();
    let size = world.size();
    assert_eq!(enrol(&world, "eve", &["approvers"], "sam").unwrap_err().code, "CHANGE_SIGNED");
    assert_eq!(sign_change(&world, 1, "sam").unwrap_err().code, "CHANGE_SIGNED");
    assert_eq!(sign_change(&world, 1, "dana").unwrap_err().code, "NOT_PERMITTED");
    let wrong = change::sign(person("kim"), ChangeId(1), sign("kim", ENROLMENT_NAMESPACE, b"something else"));
    assert_eq!(world.engine().run(wrong).unwrap_err().code, "SIGNATURE_INVALID");
    assert_eq!((world.size(), status(&world, 1)), (size, "open"));
    let receipt = sign_change(&world, 1, "kim").unwrap();
    assert_eq!(
        (receipt.value["event"].as_str(), receipt.value["change"].as_str()),
        (Some("person.enrolled"), Some("C-1"))
    );
    assert_eq!((world.size(), status(&world, 1)), (size + 2, "applied"));
    // The event holds all signatures by itself.
    let index = receipt.value["index"].as_u64().unwrap();
    let Event::PersonEnrolled(event) = lockgate_engine::reader::entry(&world.store, EntryIndex(index)).unwrap().event
    else {
        panic!("entry {index}")
    };
    assert_eq!(event.countersigned.iter().map(|one| one.by.as_str()).collect::<Vec<_>>(), ["kim"]);
    assert_eq!(sign_change(&world, 1, "kim").unwrap_err().code, "CHANGE_CLOSED");
}

#[test]
fn asking_for_what_is_proposed_signs_it() {
    let world = two_owners();
    enrol(&world, "eve", &["approvers"], "sam").unwrap();
    let receipt = enrol(&world, "eve", &["approvers"], "kim").unwrap();
    assert_eq!(
        (receipt.value["event"].as_str(), receipt.value["change"].as_str()),
        (Some("person.enrolled"), Some("C-1"))
    );
    assert_eq!(change::list(world.engine(), 10).unwrap().len(), 1);
}

#[test]
fn of_two_who_sign_at_once_one_makes_the_change() {
    let world = three_owners();
    enrol(&world, "eve", &["approvers"], "sam").unwrap();
    let (kim, lee) = (signature(&world, 2, "kim"), signature(&world, 2, "lee"));
    let results = std::thread::scope(|scope| {
        let run = |name, signature| world.engine().run(change::sign(person(name), ChangeId(2), signature));
        let (a, b) = (scope.spawn(move || run("kim", kim)), scope.spawn(move || run("lee", lee)));
        [a.join().unwrap(), b.join().unwrap()]
    });
    let made = results.iter().flatten().filter(|receipt| receipt.value["event"] == "person.enrolled").count();
    let refused: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).map(|fault| fault.code).collect();
    assert_eq!((made, refused), (1, vec!["CHANGE_CLOSED"]));
    let indices = lockgate_engine::reader::stream_indices(&world.store, &StreamName::governance()).unwrap();
    let is_eve = |index: &&EntryIndex| {
        let event = lockgate_engine::reader::entry(&world.store, **index).unwrap().event;
        matches!(event, Event::PersonEnrolled(event) if event.person == person("eve"))
    };
    assert_eq!(indices.iter().filter(is_eve).count(), 1);
}

#[test]
fn a_proposal_ends_by_rejection_or_time() {
    let world = three_owners();
    enrol(&world, "eve", &["approvers"], "sam").unwrap();
    let document = change::show(world.engine(), ChangeId(2)).unwrap().change.document;
    let bytes = rejection_bytes(ORIGIN, ChangeId(2), document, "not her").unwrap();
    let rejection = ChangeRejected {
        change: ChangeId(2),
        reason: "not her".to_owned(),
        by: person("lee"),
        signature: sign("lee", REJECTION_NAMESPACE, &bytes),
    };
    assert_eq!(change::reject(&person("kim"), rejection.clone()).map(|_| ()).unwrap_err().code, "NOT_PERMITTED");
    world.engine().run(change::reject(&person("lee"), rejection).unwrap()).unwrap();
    assert_eq!(sign_change(&world, 2, "kim").unwrap_err().code, "CHANGE_CLOSED");
    assert_eq!(enrol(&world, "eve", &["approvers"], "sam").unwrap_err().code, "CHANGE_CLOSED");
    enrol(&world, "eve", &["developers"], "sam").unwrap();
    world.wait("72h");
    assert_eq!(sign_change(&world, 3, "kim").unwrap_err().code, "CHANGE_EXPIRED");
    enrol(&world, "eve", &["developers"], "sam").unwrap();
    sign_change(&world, 4, "lee").unwrap();
    let statuses: Vec<_> = (1..=4).map(|number| status(&world, number)).collect();
    assert_eq!(statuses, ["applied", "rejected", "expired", "applied"]);
    let open = change::show(world.engine(), ChangeId(9)).unwrap_err();
    assert_eq!((open.kind, open.code), (lockgate_engine::Kind::NotFound, "CHANGE_UNKNOWN"));
}

#[test]
fn another_policy_set_is_shown_to_who_signs_it_and_a_stale_one_leaves_nothing() {
    let world = two_owners();
    assert_eq!(activate(&world, "one", "sam").unwrap().value["change"], "C-1");
    assert_eq!(activate(&world, "two", "sam").unwrap().value["change"], "C-2");
    let view = change::show(world.engine(), ChangeId(2)).unwrap();
    assert!(String::from_utf8(view.policy.unwrap()).unwrap().contains("two"));
    assert_eq!(sign_change(&world, 2, "kim").unwrap().value["event"], "policy.activated");
    let size = world.size();
    let stale = sign_change(&world, 1, "kim").unwrap_err();
    assert_eq!((stale.code, world.size(), status(&world, 1)), ("POLICY_STALE", size, "stale"));
    assert!(stale.hint.unwrap().contains("`lockgate change reject C-1 --reason stale`"));
}

#[test]
fn a_suspension_of_an_owner_takes_the_others() {
    let world = three_owners();
    let suspend = |by: &str| {
        let previous_at = world.engine().governance().unwrap().person(&person("kim")).unwrap().standing_at;
        let document = standing_bytes(ORIGIN, &person("kim"), true, previous_at, "left").unwrap();
        let event = StandingChanged {
            person: person("kim"),
            previous_at,
            reason: "left".to_owned(),
            by: person(by),
            signature: sign(by, ENROLMENT_NAMESPACE, &document),
            countersigned: Vec::new(),
        };
        world.engine().run(people::change_standing(&person(by), event, true).unwrap())
    };
    assert_eq!(suspend("kim").unwrap_err().code, "SOD_SELF");
    assert_eq!(suspend("sam").unwrap().value["event"], "change.proposed");
    let done = suspend("lee").unwrap();
    assert_eq!(
        (done.value["event"].as_str(), done.value["ends_sessions_of"].as_str()),
        (Some("person.suspended"), Some("kim"))
    );
    assert_eq!(enrol(&world, "eve", &["approvers"], "kim").unwrap_err().code, "PERSON_SUSPENDED");
    // The two who are left are enough, and both are needed.
    assert_eq!(enrol(&world, "eve", &["approvers"], "sam").unwrap().value["missing"], 1);
}

/// The starter policy set with another count of approvals.
fn approved_by(count: &'static str) -> World {
    World::new(|path, text| match path.starts_with("gates/approvals") {
        true => text.replace("at_least = 1\n", "").replace("count = 2\n", &format!("{count}\n")),
        false => text.to_owned(),
    })
}

#[test]
fn what_a_compromised_key_left_behind_is_listed() {
    let world = approved_by("count = 1");
    enrol(&world, "eve", &["approvers"], "sam").unwrap();
    world.push("shop/web@1.0.0");
    let (promotion, _) = world.promote("shop/web@1.0.0", "production").unwrap();
    let since = world.size();
    world.approve(promotion, "eve").unwrap();
    assert_eq!(world.status(promotion), "granted");
    assert!(suspects::suspects(world.engine(), None).unwrap().is_empty());
    let ended = revoke(&world, "eve", Some(since), "sam").unwrap();
    let ended = EntryIndex(ended.value["index"].as_u64().unwrap());
    let found = suspects::suspects(world.engine(), Some(ended)).unwrap();
    let events: Vec<_> = found.iter().map(|suspect| suspect.event).collect();
    assert_eq!(events, ["approval.recorded", "decision.recorded", "grant.issued"]);
    assert!(found.iter().all(|suspect| suspect.since == ended && suspect.index.0 >= since), "{found:?}");
    assert!(suspects::suspects(world.engine(), Some(EntryIndex(1))).unwrap().is_empty());
    let view = why::why(world.engine(), promotion).unwrap();
    assert_eq!(
        view.suspects.iter().map(|suspect| suspect.event).collect::<Vec<_>>(),
        ["approval.recorded", "decision.recorded"]
    );
    // What the key signed before it fell stays as it was.
    let world = approved_by("count = 1");
    enrol(&world, "eve", &["approvers"], "sam").unwrap();
    world.push("shop/web@1.0.0");
    let (promotion, _) = world.promote("shop/web@1.0.0", "production").unwrap();
    world.approve(promotion, "eve").unwrap();
    revoke(&world, "eve", Some(world.size()), "sam").unwrap();
    assert!(suspects::suspects(world.engine(), None).unwrap().is_empty());
}

#[test]
fn an_approval_that_fell_before_the_decision_makes_no_suspect() {
    let world = approved_by("count = 2");
    enrol(&world, "eve", &["approvers"], "sam").unwrap();
    enrol(&world, "tom", &["approvers"], "sam").unwrap();
    world.push("shop/web@1.0.0");
    let (promotion, _) = world.promote("shop/web@1.0.0", "production").unwrap();
    let since = world.size();
    world.approve(promotion, "eve").unwrap();
    revoke(&world, "eve", Some(since), "sam").unwrap();
    world.approve(promotion, "tom").unwrap();
    assert_eq!(world.status(promotion), "pending", "one good approval of two");
    world.approve(promotion, "sam").unwrap();
    assert_eq!(world.status(promotion), "granted");
    let found = suspects::suspects(world.engine(), None).unwrap();
    assert_eq!(found.iter().map(|suspect| suspect.event).collect::<Vec<_>>(), ["approval.recorded"]);
}
