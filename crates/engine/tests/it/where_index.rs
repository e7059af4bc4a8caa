//! The index of what is where: made again when it is another version's, and gone on with where that was broken off.

use lockgate_engine::where_index::{STATE, WHERE};
use lockgate_store::{Batch, LedgerStore as _, Projection, ProjectionStore as _};

use crate::world::World;

const KEY: &str = "version";

fn rows(world: &World) -> Vec<(String, Vec<u8>)> {
    world.store.projections(WHERE, None, 10_000).unwrap()
}

fn state(world: &World) -> String {
    String::from_utf8(world.store.projection(STATE, KEY).unwrap().unwrap()).unwrap()
}

/// Takes a row away, and says that the index is made as far as `state` has it.
fn leave(world: &World, row: &str, state: Option<&str>) {
    let head = world.store.head().unwrap();
    let projections = vec![
        Projection { kind: WHERE, key: row.to_owned(), value: None },
        Projection { kind: STATE, key: KEY.to_owned(), value: state.map(|state| state.as_bytes().to_vec()) },
    ];
    world.store.commit(&Batch::of_projections(&head, projections)).unwrap();
}

#[test]
fn a_start_makes_it_again_or_goes_on_where_it_was_broken_off() {
    let mut world = World::starter();
    world.push("shop/web@1.0.0");
    let (whole, version, size) = (rows(&world), state(&world), world.size());
    let first = whole[0].0.clone();
    let mut check = |left: Option<&str>, again: bool| {
        leave(&world, &first, left);
        world.reopen().unwrap();
        let keys = |rows: &[(String, Vec<u8>)]| rows.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>();
        assert_eq!(keys(&rows(&world)) == keys(&whole), again, "{left:?}");
        assert_eq!(state(&world), version, "{left:?}");
    };
    check(Some("1"), true);
    check(None, true);
    check(Some(format!("{version} up to 0").as_str()), true);
    // What is marked as done is not made again.
    check(Some(format!("{version} up to {size}").as_str()), false);
    check(Some(format!("{version} up to {}", size + 1).as_str()), true);
    check(Some(format!("1 up to {size}").as_str()), true);
    check(Some(version.as_str()), false);
}
