//! Promotions: races, supersession, time.

use lockgate_engine::scheduler;

use crate::world::World;

/// `shop/web@1.0.0` granted everywhere before production, pending there.
fn pending() -> (World, lockgate_model::PromotionId) {
    let world = World::starter();
    world.push("shop/web@1.0.0");
    let (promotion, status) = world.promote("shop/web@1.0.0", "production").unwrap();
    assert_eq!(status, "pending");
    (world, promotion)
}

#[test]
fn an_approval_of_another_person_grants_and_the_requesters_own_does_not() {
    let (world, promotion) = pending();
    assert_eq!(world.approve(promotion, "dana").unwrap_err().code, "SOD_SELF");
    assert_eq!(world.status(promotion), "pending");
    world.approve(promotion, "sam").unwrap();
    assert_eq!(world.status(promotion), "granted");
    assert_eq!(world.promote("shop/web@1.0.0", "production").unwrap_err().code, "ALREADY_RUNNING");
}

/// A grant that ends is renewed: in the last quarter of its term and after it, by a promotion like any other.
#[test]
fn what_runs_is_granted_anew_before_its_grant_ends() {
    let (world, first) = pending();
    world.approve(first, "sam").unwrap();
    // The set's grants count for 90 days.
    world.wait("67d");
    let refused = world.promote("shop/web@1.0.0", "production").unwrap_err();
    assert_eq!(refused.code, "ALREADY_RUNNING");
    assert!(refused.hint.unwrap_or_default().contains("anew from"), "it says when");
    for wait in ["1d", "91d"] {
        world.wait(wait);
        let (again, status) = world.promote("shop/web@1.0.0", "production").unwrap();
        assert_eq!(status, "pending", "its gates are asked again");
        world.approve(again, "sam").unwrap();
        assert_eq!(world.status(again), "granted");
        assert_eq!(world.promote("shop/web@1.0.0", "production").unwrap_err().code, "ALREADY_RUNNING");
    }
}

#[test]
fn two_promotions_into_one_environment_have_one_outcome() {
    let (world, first) = pending();
    world.push("shop/web@1.1.0");
    let (second, _) = world.promote("shop/web@1.1.0", "production").unwrap();
    let (one, other) = (world.approval(first, "sam"), world.approval(second, "sam"));
    let sam = || crate::world::person("sam");
    let results = std::thread::scope(|scope| {
        let run = |request| world.engine().run(lockgate_engine::approve::approve(sam(), request).unwrap());
        let (a, b) = (scope.spawn(move || run(one)), scope.spawn(move || run(other)));
        [a.join().unwrap(), b.join().unwrap()]
    });
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
    let mut states = [world.status(first), world.status(second)];
    states.sort();
    assert_eq!(states, ["granted", "superseded"]);
}

#[test]
fn a_service_does_not_supersede_another_whose_name_it_begins() {
    let (world, web) = pending();
    world.push("shop@1.0.0");
    let (shop, _) = world.promote("shop@1.0.0", "production").unwrap();
    world.approve(shop, "sam").unwrap();
    assert_eq!((world.status(shop), world.status(web)), ("granted".to_owned(), "pending".to_owned()));
}

#[test]
fn an_approval_is_void_once_something_else_runs_in_the_target() {
    let (world, first) = pending();
    let early = world.approval(first, "sam");
    world.push("shop/web@0.9.0");
    let (other, _) = world.promote("shop/web@0.9.0", "production").unwrap();
    world.approve(other, "sam").unwrap();
    let again = lockgate_engine::approve::approve(crate::world::person("sam"), early).unwrap();
    assert_eq!(world.engine().run(again).unwrap_err().code, "PROMOTION_CLOSED");
    let (second, _) = world.promote("shop/web@1.0.0", "production").unwrap();
    world.approve(second, "sam").unwrap();
    assert_eq!(world.status(second), "granted");
}

#[test]
fn time_lets_a_soak_pass_and_ends_what_nobody_answers() {
    let world = World::new(|path, text| match path.starts_with("gates/") {
        true => text.replace("kind = \"certified\"", "kind = \"certified\"\nsoak = \"1h\""),
        false => text.to_owned(),
    });
    world.push("shop/web@1.0.0");
    let (promotion, status) = world.promote("shop/web@1.0.0", "staging").unwrap();
    assert_eq!(status, "pending");
    scheduler::tick(world.engine()).unwrap();
    assert_eq!(world.status(promotion), "pending");
    world.wait("1h");
    scheduler::tick(world.engine()).unwrap();
    assert_eq!(world.status(promotion), "granted");
    let (production, _) = world.promote("shop/web@1.0.0", "production").unwrap();
    world.wait("31d");
    scheduler::tick(world.engine()).unwrap();
    assert_eq!(world.status(production), "expired");
    assert_eq!(scheduler::tick(world.engine()).unwrap(), 0);
}

#[test]
fn an_approval_counts_until_it_expires() {
    let world = World::new(|path, text| match path.starts_with("gates/") {
        true => text.replace("kind = \"certified\"", "kind = \"certified\"\nsoak = \"100h\""),
        false => text.to_owned(),
    });
    world.push("shop/web@1.0.0");
    world.promote("shop/web@1.0.0", "staging").unwrap();
    world.wait("100h");
    scheduler::tick(world.engine()).unwrap();
    let (production, status) = world.promote("shop/web@1.0.0", "production").unwrap();
    assert_eq!(status, "pending");
    world.approve(production, "sam").unwrap();
    world.wait("100h");
    scheduler::tick(world.engine()).unwrap();
    assert_eq!(world.status(production), "pending", "the approval lasted 72 h, the soak 100 h");
    world.approve(production, "sam").unwrap();
    assert_eq!(world.status(production), "granted");
}
