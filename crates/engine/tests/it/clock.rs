//! A clock that runs wrong: the ledger's time never goes back with it.

use crate::world::World;

#[test]
fn a_clock_that_goes_back_takes_nothing_back() {
    let world = World::starter();
    world.push("shop/web@1.0.0");
    let before = world.engine().published().time;
    world.turn_back("24h");
    world.push("shop/web@1.0.1");
    let after = world.engine().published().time;
    assert!(after >= before, "the ledger's time went back from {before} to {after}");
}
