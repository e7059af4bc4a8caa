//! Who may do what: scopes, what is hidden, last uses and reviews.

use std::collections::BTreeSet;

use lockgate_engine::access::{of_person, review, review_for};
use lockgate_engine::attest::{Evidence, Form, attest, check};
use lockgate_engine::bodies::Upload;
use lockgate_engine::history::{Filter, Found, Item, Search, history_for};
use lockgate_engine::push::{Publish, publish};
use lockgate_engine::status::{open_promotions_for, services_for};
use lockgate_engine::{Fault, authorise};
use lockgate_model::facts::{Artifact, Source};
use lockgate_model::{Digest, PromotionId, StreamName};
use lockgate_policy::Permission;
use lockgate_store::BlobStore as _;

use crate::world::{World, person};

/// Developers see and ask for `shop/*` alone.
fn scoped() -> World {
    let binding = "\n[[bindings]]\nrole = \"developer\"\ngroups = [\"developers\"]\nservices = [\"shop/*\"]\n";
    World::new(|path, text| match path {
        "people.toml" => format!("{}{binding}", text.replace("roles = [\"developer\"]", "roles = []")),
        _ => text.to_owned(),
    })
}

fn told(fault: &Fault) -> (lockgate_engine::Kind, &'static str, String, Option<String>) {
    (fault.kind, fault.code, fault.message.clone(), fault.hint.clone())
}

#[test]
fn what_one_may_not_read_is_what_does_not_exist() {
    let world = scoped();
    world.push("shop/web@1.0.0");
    world.push("bank/api@1.0.0");
    let hidden = world.promote("bank/api@1.0.0", "dev").unwrap_err();
    let missing = world.promote("bank/api@9.9.9", "dev").unwrap_err();
    let (kind, code, message, hint) = told(&hidden);
    assert_eq!(code, "RELEASE_UNKNOWN");
    assert_eq!((kind, code, message.replace("1.0.0", "9.9.9"), hint), told(&missing));
    let (_, status) = world.promote("shop/web@1.0.0", "production").unwrap();
    assert_eq!(status, "pending");

    let dana = person("dana");
    let (rows, next) = services_for(world.engine(), &dana, None, 1).unwrap();
    let names: Vec<&str> = rows.iter().map(|row| row.service.as_str()).collect();
    assert_eq!(names, ["shop/web"]);
    assert!(next.is_none_or(|next| next.as_str() == "shop/web"));
    assert_eq!(open_promotions_for(world.engine(), &dana, 10).unwrap().len(), 1);
    let stream = StreamName::release(&"bank/api@1.0.0".parse().unwrap());
    assert!(history_for(world.engine(), &dana, Some(&stream), None, 1).unwrap().0.is_empty());
    assert!(!history_for(world.engine(), &person("sam"), Some(&stream), None, 1).unwrap().0.is_empty());
    let whole = history_for(world.engine(), &dana, None, None, 200).unwrap().0;
    assert!(!whole.is_empty());
    for item in whole {
        let text = serde_json::to_string(&item.entry.event).unwrap();
        assert!(!text.contains("bank/api"), "{text}");
    }
}

/// Publishes a release that was built from a commit, and gives the digest of its artifact.
fn push_from(world: &World, release: &str, commit: &str) -> Digest {
    let mut staged = world.store.stage().unwrap();
    staged.write(format!("the bytes of {release}").as_bytes()).unwrap();
    let (digest, size_bytes) = staged.commit(None).unwrap();
    let request = Publish {
        release: release.parse().unwrap(),
        artifacts: vec![Artifact { digest, name: "app".to_owned(), size_bytes }],
        source: Some(Source { repository: "https://git.example/acme/app".to_owned(), commit: commit.to_owned() }),
        notes: None,
        evidence: Vec::new(),
    };
    world.engine().run(publish(world.engine(), person("ci"), request).unwrap()).unwrap();
    digest
}

/// One page of what somebody looks for.
fn searched(world: &World, reader: &str, filter: &Filter, before: Option<u64>, most: usize) -> Found {
    let reader = person(reader);
    Search::of(world.engine(), &reader, filter).unwrap().page(world.engine(), |_| true, before, most).unwrap()
}

#[test]
fn where_a_search_stands_says_nothing_of_other_services() {
    let world = scoped();
    let (shared, secret) = ("5e".repeat(20), "c0ffee11".repeat(5));
    push_from(&world, "bank/api@1.0.0", &shared);
    push_from(&world, "shop/web@1.0.0", &shared);
    let hidden = push_from(&world, "bank/api@1.1.0", &secret);
    let look = |reader: &str, filter: Filter, before: Option<u64>| {
        let found = searched(&world, reader, &filter, before, 1);
        (found.items.first().map(|item| item.index.0), found.next, found.scanned_to.map(|index| index.0))
    };
    let built = |start: &str| Filter { build: Some(start.to_owned()), ..Filter::default() };
    // A commit of another service cannot be read out, whatever is tried for its beginning.
    assert_eq!(look("dana", built("c0ff"), None), look("dana", built("dead"), None));
    assert_eq!(look("dana", built("c0ff"), None), (None, None, None));
    assert!(look("sam", built("c0ff"), None).0.is_some());
    // Of a commit that both have, only the readable release is looked at.
    let (ours, next, scanned) = look("dana", built("5e5e"), None);
    assert!(ours.is_some());
    assert_eq!((next, scanned), (ours, ours));
    assert_eq!(look("dana", built("5e5e"), next), (None, None, None));
    assert!(look("sam", built("5e5e"), next).0.is_some());
    let granted = Filter { event: Some("grant".parse().unwrap()), ..built("5e5e") };
    assert_eq!(look("dana", granted, None), (None, None, ours));
    // A search of several pages finds out once which releases were built from it.
    let (sam, filter) = (person("sam"), built("5e5e"));
    let search = Search::of(world.engine(), &sam, &filter).unwrap();
    let later = push_from(&world, "shop/web@1.2.0", &shared);
    let page = |before: Option<u64>| search.page(world.engine(), |_| true, before, 1).unwrap();
    let first = page(None);
    let second = page(first.next);
    let indices = [&first, &second].map(|found| found.items.first().map(|item| item.index.0));
    assert_eq!(indices[0], ours);
    assert!(indices[1].is_some() && indices[1] < ours, "{indices:?}");
    assert!(look("sam", built("5e5e"), None).0 > ours, "{later} is found anew");

    // An artifact of another service is one that nobody has published, in a search and in a stream as it is.
    let reports = (0..20).map(|number| {
        let text = format!(r#"{{"schema":"https://lockgate.dev/check/v1","name":"check-{number}","outcome":"pass"}}"#);
        let evidence = Evidence { upload: Upload::Inline(text.into_bytes()), form: Form::Report(None), expect: None };
        check(world.engine(), evidence).unwrap()
    });
    let reports = reports.collect();
    let submission = attest(world.engine(), person("ci"), "bank/api@1.1.0".parse().unwrap(), reports).unwrap();
    world.engine().run(submission).unwrap();
    let stream = StreamName::artifact(&hidden);
    let of_artifact = |event: &str| Filter {
        streams: vec![stream.clone()],
        event: Some(event.parse().unwrap()),
        ..Filter::default()
    };
    assert_eq!(look("dana", of_artifact("release"), None), (None, None, None));
    assert!(look("sam", of_artifact("release"), None).0.is_some());
    let page = |reader: &str| {
        let (items, next) = history_for(world.engine(), &person(reader), Some(&stream), None, 1).unwrap();
        (items.len(), next.is_some())
    };
    assert_eq!((page("dana"), page("sam")), ((0, false), (1, true)));
}

#[test]
fn promotions_and_bytes_of_other_services_are_hidden() {
    let world = scoped();
    world.push("shop/web@1.0.0");
    world.push("bank/api@1.0.0");
    let request = lockgate_engine::promote::Promote {
        release: "bank/api@1.0.0".parse().unwrap(),
        environment: "dev".parse().unwrap(),
        reason: "a test".to_owned(),
    };
    world.engine().run(lockgate_engine::promote::promote(person("ci"), request).unwrap()).unwrap();
    let (dana, one) = (person("dana"), PromotionId(1));
    let hidden = authorise::check_promotion(world.engine(), &dana, one).unwrap_err();
    let missing = authorise::check_promotion(world.engine(), &dana, PromotionId(9)).unwrap_err();
    assert_eq!((hidden.code, hidden.kind), (missing.code, missing.kind));
    assert_eq!(hidden.message.replace("P-1", "P-9"), missing.message);
    assert!(authorise::check_promotion(world.engine(), &person("sam"), one).is_ok());
    let withdrawn = world.engine().run(lockgate_engine::withdraw::withdraw(dana.clone(), one, String::new()));
    assert_eq!(withdrawn.unwrap_err().code, "PROMOTION_UNKNOWN");

    let readable = |name: &str, bytes: &[u8]| {
        let digest = lockgate_model::Digest::of(bytes);
        authorise::may_read_blob(world.engine(), &person(name), &digest).unwrap()
    };
    assert!(readable("dana", b"the bytes of shop/web@1.0.0"));
    assert!(!readable("dana", b"the bytes of bank/api@1.0.0"));
    assert!(readable("sam", b"the bytes of bank/api@1.0.0"));
    // The same report was handed in for both services.
    assert!(readable("dana", crate::world::JUNIT.as_bytes()));
    assert!(!readable("dana", b"nobody has sent this"));
}

/// Who reads a service in one environment is told of no promotion into another, whatever they try with it.
#[test]
fn promotions_into_other_environments_are_hidden() {
    let binding = "\n[[bindings]]\nrole = \"developer\"\ngroups = [\"developers\"]\nenvironments = [\"dev\"]\n";
    let world = World::new(|path, text| match path {
        "people.toml" => format!("{}{binding}", text.replace("roles = [\"developer\"]", "roles = []")),
        _ => text.to_owned(),
    });
    world.push("shop/web@1.0.0");
    let request = lockgate_engine::promote::Promote {
        release: "shop/web@1.0.0".parse().unwrap(),
        environment: "production".parse().unwrap(),
        reason: "a test".to_owned(),
    };
    let submission = lockgate_engine::promote::promote(person("ci"), request).unwrap();
    let asked = world.engine().run(submission).unwrap();
    let last = asked.value["promotions"].as_array().unwrap().last().unwrap().clone();
    let promotion: PromotionId = last["promotion"].as_str().unwrap().parse().unwrap();
    let dana = person("dana");
    assert_eq!(authorise::check_promotion(world.engine(), &dana, promotion).unwrap_err().code, "PROMOTION_UNKNOWN");
    let withdraw = |promotion: PromotionId| {
        let fault = world.engine().run(lockgate_engine::withdraw::withdraw(dana.clone(), promotion, String::new()));
        told(&fault.unwrap_err())
    };
    let (hidden, missing) = (withdraw(promotion), withdraw(PromotionId(999)));
    assert_eq!((hidden.0, hidden.1), (missing.0, missing.1));
    assert_eq!(hidden.2.replace(&promotion.to_string(), "P-999"), missing.2);
    assert_eq!(hidden.3, missing.3);
    let approved = world.approve(promotion, "dana").unwrap_err();
    assert_eq!(approved.code, "PROMOTION_UNKNOWN");

    // Nor of what came of it, wherever it is looked for; what came of the one into dev they are told.
    world.approve(promotion, "sam").unwrap();
    let first = asked.value["promotions"].as_array().unwrap().first().unwrap().clone();
    let into_dev: PromotionId = first["promotion"].as_str().unwrap().parse().unwrap();
    let release = StreamName::release(&"shop/web@1.0.0".parse().unwrap());
    let by_sam = StreamName::person(&person("sam"));
    let names = |items: &[Item], id: PromotionId| -> BTreeSet<&'static str> {
        let about = |item: &&Item| serde_json::to_string(&item.entry.event).unwrap().contains(&format!("\"{id}\""));
        items.iter().filter(about).map(|item| item.entry.event.name()).collect()
    };
    let listed = |reader: &str, stream: Option<&StreamName>, most: usize| {
        history_for(world.engine(), &person(reader), stream, None, most).unwrap()
    };
    let found = |reader: &str| {
        let filter = Filter { service: Some("shop/web".parse().unwrap()), ..Filter::default() };
        searched(&world, reader, &filter, None, 200).items
    };
    for reader in ["dana", "sam"] {
        for items in [listed(reader, None, 200).0, listed(reader, Some(&release), 200).0, found(reader)] {
            let told = names(&items, promotion);
            assert_eq!(told.is_empty(), reader == "dana", "{reader}: {told:?}");
            assert_eq!(told.contains("approval.recorded"), reader == "sam", "{told:?}");
            assert!(names(&items, into_dev).contains("attestations.issued"), "{reader}");
        }
        let said = names(&listed(reader, Some(&by_sam), 200).0, promotion);
        assert_eq!(said.contains("approval.recorded"), reader == "sam", "{said:?}");
        // A page ends at an entry that its reader may read.
        let (items, next) = listed(reader, Some(&release), 1);
        assert_eq!(next, items.first().map(|item| item.seq), "{reader}");
        let access = of_person(world.engine(), &person("sam")).unwrap();
        let (access, hidden) = access.for_reader(world.engine(), &person(reader)).unwrap();
        assert_eq!(access.uses.contains_key(&Permission::Approve), reader == "sam");
        assert_eq!(hidden.contains(&Permission::Approve), reader == "dana");
    }
}

#[test]
fn when_somebody_acted_for_another_service_is_hidden() {
    let world = scoped();
    world.push("shop/web@1.0.0");
    let pushed = |reader: &str| {
        let access = of_person(world.engine(), &person("ci")).unwrap();
        let (access, hidden) = access.for_reader(world.engine(), &person(reader)).unwrap();
        (access.uses.contains_key(&Permission::Push), hidden.contains(&Permission::Push))
    };
    assert_eq!((pushed("dana"), pushed("sam")), ((true, false), (true, false)));
    world.push("bank/api@1.0.0");
    assert_eq!((pushed("dana"), pushed("sam")), ((false, true), (true, false)));
    assert_eq!(review_for(world.engine(), &person("dana")).map(|_| ()).unwrap_err().code, "NOT_PERMITTED");
    assert!(review_for(world.engine(), &person("sam")).is_ok());
}

#[test]
fn the_last_use_is_known_and_what_lies_idle_is_marked() {
    let world = World::starter();
    world.push("shop/web@1.0.0");
    let (promotion, _) = world.promote("shop/web@1.0.0", "production").unwrap();
    let late = world.approval(promotion, "sam");
    world.approve(promotion, "sam").unwrap();
    let used = |name: &str, permission: Permission| {
        of_person(world.engine(), &person(name)).unwrap().uses.get(&permission).copied()
    };
    let first = used("sam", Permission::Approve).unwrap();
    assert!(used("dana", Permission::Request).is_some() && used("ci", Permission::Push).is_some());
    assert!(used("sam", Permission::Keys).is_some(), "sam enrolled dana");
    assert_eq!(used("dana", Permission::Rollback), None);
    assert_eq!(review(world.engine()).unwrap().unused, []);
    // A refused verb leaves no use behind.
    let late = lockgate_engine::approve::approve(person("sam"), late).unwrap();
    assert_eq!(world.engine().run(late).unwrap_err().code, "PROMOTION_CLOSED");
    assert_eq!(used("sam", Permission::Approve), Some(first));

    world.wait("91d");
    world.push("shop/web@1.1.0");
    let review = review(world.engine()).unwrap();
    let unused = |name: &str, permission: Permission| {
        review.unused.iter().find(|right| right.person == person(name) && right.permission == permission).cloned()
    };
    assert_eq!(unused("sam", Permission::Approve).unwrap().last_used, Some(first.1));
    assert_eq!(unused("dana", Permission::Rollback).unwrap().last_used, None);
    assert_eq!(unused("ci", Permission::Push), None);
    assert_eq!(unused("dana", Permission::Read), None, "reading leaves no trace");
}
