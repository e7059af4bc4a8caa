//! Who may do what: scopes, what is hidden, last uses and reviews.

use lockgate_engine::access::{of_person, review, review_for};
use lockgate_engine::history::history_for;
use lockgate_engine::status::{open_promotions_for, services_for};
use lockgate_engine::{Fault, authorise};
use lockgate_model::{PromotionId, StreamName};
use lockgate_policy::Permission;

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
    assert_eq!(world.engine().run(late).unwrap_err().code, "APPROVAL_STALE");
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
