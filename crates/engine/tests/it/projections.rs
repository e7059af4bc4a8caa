//! Projections: made again where the store says that some were damaged.

use lockgate_engine::authorise::BLOB_OF;
use lockgate_engine::reader;
use lockgate_engine::staging::OPEN_PROMOTIONS;
use lockgate_engine::where_index::{WHERE, rebuild_store};
use lockgate_ledger::Event;
use lockgate_model::EntryIndex;
use lockgate_store::memory::Spoil;
use lockgate_store::projection::DAMAGED;
use lockgate_store::{Batch, LedgerStore as _, Projection, ProjectionStore as _};

use crate::world::World;

const KINDS: [&str; 3] = [OPEN_PROMOTIONS, BLOB_OF, WHERE];

/// The rows of each kind, of the index the keys alone.
fn rows(world: &World) -> Vec<Vec<(String, Vec<u8>)>> {
    let of_kind = |kind: &str| {
        let mut rows = world.store.projections(kind, None, 10_000).unwrap();
        if kind == WHERE {
            rows.iter_mut().for_each(|(_, value)| value.clear());
        }
        rows
    };
    KINDS.into_iter().map(of_kind).collect()
}

fn write(world: &World, projections: Vec<Projection>) {
    let head = world.store.head().unwrap();
    world.store.commit(&Batch::of_projections(&head, projections)).unwrap();
}

/// Takes every row away, and puts one in that no entry gives.
fn lose(world: &World) {
    let mut gone = Vec::new();
    for (kind, rows) in KINDS.into_iter().zip(rows(world)) {
        gone.extend(rows.into_iter().map(|(key, _)| Projection { kind, key, value: None }));
    }
    let invented = "production/shop/web/P-99".to_owned();
    gone.push(Projection { kind: OPEN_PROMOTIONS, key: invented, value: Some(b"shop/web@9.9.9".to_vec()) });
    write(world, gone);
}

#[test]
fn what_was_taken_out_is_made_again_from_the_ledger() {
    let mut world = World::starter();
    for release in ["shop/web@1.0.0", "shop/web@1.1.0", "pay/api@1.0.0"] {
        world.push(release);
        // It waits for approvals there, once it has passed the others.
        world.promote(release, "production").unwrap();
    }
    let whole = rows(&world);
    assert!(whole.iter().all(|rows| rows.len() > 1), "{whole:?}");
    lose(&world);
    world.reopen().unwrap();
    assert_ne!(rows(&world), whole, "nothing says that anything is damaged");
    let (kind, key) = DAMAGED;
    write(&world, vec![Projection { kind, key: key.to_owned(), value: Some(Vec::new()) }]);
    world.reopen().unwrap();
    assert_eq!(rows(&world), whole);
    assert_eq!(world.store.projection(kind, key).unwrap(), None);
    // `lockgate doctor --rebuild` asks nobody whether anything is damaged.
    lose(&world);
    rebuild_store(&world.store).unwrap();
    assert_eq!(rows(&world), whole);
}

/// What cannot be had for a moment is not left out for good.
#[test]
fn a_store_that_fails_while_rows_are_made_has_them_made_at_the_next_start() {
    let mut world = World::starter();
    let published = EntryIndex(world.size());
    world.push("shop/web@1.0.0");
    let whole = rows(&world);
    let Event::ReleasePublished(release) = reader::entry(&world.store, published).unwrap().event else {
        panic!("entry {published} publishes nothing")
    };
    lose(&world);
    let (kind, key) = DAMAGED;
    write(&world, vec![Projection { kind, key: key.to_owned(), value: Some(Vec::new()) }]);
    world.store.spoil(Spoil::DocumentFails(release.manifest));
    assert_eq!(rebuild_store(&world.store).unwrap_err().code, "STORE_FAILED");
    assert_eq!(world.reopen().unwrap_err().code, "STORE_FAILED");
    world.store.spoil(Spoil::Nothing);
    world.reopen().unwrap();
    assert_eq!(rows(&world), whole);
}
