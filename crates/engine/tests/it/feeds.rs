//! Feeds: what waits for a snapshot is decided again when there is one, without a tick of the scheduler.

use lockgate_engine::{feeds, waive};
use lockgate_model::facts::FeedKind;
use lockgate_model::{PromotionId, UnixMillis};
use lockgate_policy::Outcome;
use lockgate_store::BlobStore;
use lockgate_store::memory::Spoil;

use crate::world::{World, person};

fn asking() -> World {
    World::new(|_, text| text.replace("fix_available_only = true", "fix_available_only = true\nkev = true"))
}

/// Records a catalogue of that day and gives how many promotions were decided again.
fn record(world: &World, day: &str) -> usize {
    let bytes = format!(
        r#"{{"catalogVersion":"1","dateReleased":"{day}T00:00:00Z","count":1,"vulnerabilities":[{{"cveID":"CVE-2098-1","dateAdded":"2026-01-02","knownRansomwareCampaignUse":"Unknown"}}]}}"#
    );
    let mut staged = world.store.stage().unwrap();
    staged.write(bytes.as_bytes()).unwrap();
    let (digest, _) = staged.commit(None).unwrap();
    let event = feeds::check(world.engine(), FeedKind::Kev, digest).unwrap();
    world.engine().run(feeds::record(person("sam"), event)).unwrap();
    feeds::decide_again(world.engine(), FeedKind::Kev)
}

fn outcomes(world: &World, promotion: PromotionId) -> Vec<Outcome> {
    let (_, _, asked) = lockgate_engine::why::slice(world.engine(), promotion).unwrap();
    asked.decisions.iter().map(|decision| decision.event.outcome).collect()
}

#[test]
fn a_snapshot_decides_what_waits_for_it() {
    let world = asking();
    world.push("shop/web@1.0.0");
    let (id, status) = world.promote("shop/web@1.0.0", "production").unwrap();
    assert_eq!((status.as_str(), outcomes(&world, id)), ("denied", vec![Outcome::Deny]));
    let now = UnixMillis(1_800_000_000_000).rfc3339_secs();
    assert_eq!(record(&world, &now[..10]), 1);
    assert_eq!(outcomes(&world, id), [Outcome::Deny, Outcome::Pending]);
    // Nothing changes the second time, so that nothing is written down.
    assert_eq!(feeds::decide_again(world.engine(), FeedKind::Kev), 1);
    assert_eq!(outcomes(&world, id), [Outcome::Deny, Outcome::Pending]);
    assert_eq!(feeds::decide_again(world.engine(), FeedKind::Epss), 0);
}

#[test]
fn a_snapshot_that_no_gate_asks_decides_nothing() {
    let world = World::starter();
    world.push("shop/web@1.0.0");
    world.promote("shop/web@1.0.0", "production").unwrap();
    assert_eq!(record(&world, "2027-01-14"), 0);
}

/// What is exploited is not known then; a snapshot that is damaged for good hides no waiver.
#[test]
fn waivers_are_not_judged_without_a_snapshot_that_cannot_be_read_now() {
    let mut world = asking();
    record(&world, "2027-01-14");
    let snapshot = world.engine().governance().unwrap().feed(FeedKind::Kev).unwrap().event.digest;
    // Afterwards nothing of it is in memory.
    world.reopen().unwrap();
    let told = || {
        let known = waive::waivers_for(world.engine(), &person("dana"));
        known.map(|known| known.len()).map_err(|fault| fault.code)
    };
    world.store.spoil(Spoil::BlobFails(snapshot));
    assert_eq!(told(), Err("STORE_FAILED"));
    world.store.spoil(Spoil::Nothing);
    assert!(world.store.blob_flip_bit(&snapshot, 0));
    assert_eq!(told(), Ok(0));
    assert!(world.store.blob_flip_bit(&snapshot, 0));
}
