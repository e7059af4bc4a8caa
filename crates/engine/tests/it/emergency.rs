//! Freezes and break-glass inside the sequencer: what they stop, what they let past, and what is told.

use lockgate_engine::where_index::{WHERE, rebuild};
use lockgate_engine::whereabouts::{self, Question};
use lockgate_engine::{
    Clock as _, Fault, Receipt, break_glass, bundle, freeze, metrics, reader, scheduler, waive, why,
};
use lockgate_ledger::break_glass::{
    BREAK_GLASS_NAMESPACE, BreakGlassDocument, BreakGlassOpened, BreakGlassReviewDocument, BreakGlassReviewed,
    BreakGlassSigned,
};
use lockgate_ledger::entry::WaiverGranted;
use lockgate_ledger::freeze::{FREEZE_NAMESPACE, FreezeDocument, FreezeLiftDocument, FreezeLifted, FreezeOrdered};
use lockgate_ledger::governance::{WAIVER_NAMESPACE, WaiverDocument, document_bytes};
use lockgate_ledger::waiver::WaiverRequested;
use lockgate_model::facts::SubjectKind;
use lockgate_model::{Digest, EntryIndex, PromotionId, ReleaseName, Span, StreamName, UnixMillis};
use lockgate_policy::GateOutcome;
use lockgate_sign::ssh_signer::SshSigner as _;
use lockgate_store::memory::Spoil;
use lockgate_store::{ProjectionStore as _, StreamStore as _};

use crate::world::{World, key_of, person};

const ORIGIN: &str = "log1.test.example";

fn order(world: &World, by: &str, service: Option<&str>, nonce: &str) -> Result<EntryIndex, Fault> {
    order_for(world, by, (service, None), nonce)
}

/// Orders a freeze of a service, or of all, in an environment, or everywhere.
fn order_for(
    world: &World,
    by: &str,
    (service, environment): (Option<&str>, Option<&str>),
    nonce: &str,
) -> Result<EntryIndex, Fault> {
    let mut event = FreezeOrdered {
        service: service.map(|name| name.parse().unwrap()),
        environment: environment.map(|name| name.parse().unwrap()),
        reason: "incident".to_owned(),
        until: None,
        spares_rollbacks: false,
        nonce: nonce.to_owned(),
        by: person(by),
        signature: String::new(),
    };
    let document = document_bytes(&FreezeDocument::new(ORIGIN, &event)).unwrap();
    event.signature = key_of(by).sign(FREEZE_NAMESPACE, &document).unwrap().to_armored();
    let receipt = world.engine().run(freeze::order(&person(by), event)?)?;
    Ok(EntryIndex(receipt.value["index"].as_u64().unwrap()))
}

fn lift(world: &World, by: &str, index: EntryIndex) -> Result<Receipt, Fault> {
    let mut event = FreezeLifted { freeze: index, reason: "over".to_owned(), by: person(by), signature: String::new() };
    let document = document_bytes(&FreezeLiftDocument::new(ORIGIN, &event)).unwrap();
    event.signature = key_of(by).sign(FREEZE_NAMESPACE, &document).unwrap().to_armored();
    world.engine().run(freeze::lift(&person(by), event)?)
}

fn found(world: &World, release: &str) -> Result<PromotionId, Fault> {
    let artifact = Digest::of(format!("the bytes of {release}").as_bytes());
    bundle::find_grant(world.engine(), &artifact, &"shop/web".parse().unwrap(), &"production".parse().unwrap())
}

#[test]
fn a_freeze_stops_decisions_and_grants_in_use() {
    let world = World::starter();
    world.push("shop/web@1.0.0");
    let (promotion, status) = world.promote("shop/web@1.0.0", "production").unwrap();
    assert_eq!(status, "pending");
    assert_eq!(order(&world, "dana", None, "0").unwrap_err().code, "NOT_PERMITTED");
    assert_eq!(order(&world, "sam", Some("shop/wep"), "0").unwrap_err().code, "SERVICE_UNKNOWN");
    let first = order(&world, "sam", Some("shop/web"), "1").unwrap();
    world.approve(promotion, "sam").unwrap();
    assert_eq!(world.status(promotion), "denied");
    let view = why::why(world.engine(), promotion).unwrap();
    assert!(view.decision.gates.iter().any(|gate| gate.reason == "FROZEN"), "{:#?}", view.decision.gates);
    // Lifted, it is decided again at once.
    assert_eq!(lift(&world, "dana", first).unwrap_err().code, "NOT_PERMITTED");
    lift(&world, "sam", first).unwrap();
    assert_eq!(world.status(promotion), "granted");
    assert_eq!(found(&world, "shop/web@1.0.0").unwrap(), promotion);
    let second = order(&world, "sam", None, "2").unwrap();
    assert_eq!(found(&world, "shop/web@1.0.0").unwrap_err().code, "FROZEN");
    lift(&world, "sam", second).unwrap();
    assert_eq!(found(&world, "shop/web@1.0.0").unwrap(), promotion);
}

#[test]
fn whoever_may_freeze_all_of_an_environment_does_and_nothing_else() {
    let role = "[role.oncall]\npermissions = [\"read\", \"freeze\"]\n";
    let binding = "[[bindings]]\nrole = \"oncall\"\npeople = [\"otto\"]\nenvironments = [\"production\"]\n";
    let world = World::new(|path, text| match path {
        "people.toml" => format!("{text}\n{role}{binding}"),
        _ => text.to_owned(),
    });
    world.enrol("otto", SubjectKind::Person, &["auditors"]);
    world.push("shop/web@1.0.0");
    let (promotion, _) = world.promote("shop/web@1.0.0", "production").unwrap();
    world.approve(promotion, "sam").unwrap();
    let refused = |by: &str, what: (Option<&str>, Option<&str>), place: &str| {
        let fault = order_for(&world, by, what, "0").unwrap_err();
        let message = format!("`{by}` has no role with the permission `freeze`{place}");
        assert_eq!((fault.code, fault.message), ("NOT_PERMITTED", message), "{what:?}");
    };
    refused("otto", (None, None), " for all of this");
    refused("otto", (None, Some("staging")), " for all of this");
    refused("otto", (Some("shop/web"), None), " for shop/web");
    refused("otto", (Some("shop/web"), Some("staging")), " for shop/web in staging");
    refused("dana", (None, Some("production")), "");
    assert_eq!(found(&world, "shop/web@1.0.0").unwrap(), promotion);
    let frozen = order_for(&world, "otto", (None, Some("production")), "1").unwrap();
    assert_eq!(found(&world, "shop/web@1.0.0").unwrap_err().code, "FROZEN");
    // It is lifted by the same rule.
    let everything = order(&world, "sam", None, "2").unwrap();
    for (by, index) in [("otto", everything), ("dana", frozen)] {
        assert_eq!(lift(&world, by, index).unwrap_err().code, "NOT_PERMITTED", "{by}");
    }
    lift(&world, "sam", everything).unwrap();
    assert_eq!(found(&world, "shop/web@1.0.0").unwrap_err().code, "FROZEN");
    lift(&world, "otto", frozen).unwrap();
    assert_eq!(found(&world, "shop/web@1.0.0").unwrap(), promotion);
}

#[test]
fn a_damaged_release_holds_up_itself_and_not_the_lift_of_a_freeze() {
    let mut world = World::starter();
    let damaged: ReleaseName = "pay/api@1.0.0".parse().unwrap();
    for release in ["pay/api@1.0.0", "shop/web@1.0.0"] {
        world.push(release);
    }
    world.promote("pay/api@1.0.0", "production").unwrap();
    let (promotion, _) = world.promote("shop/web@1.0.0", "production").unwrap();
    let index = order(&world, "sam", None, "1").unwrap();
    world.approve(promotion, "sam").unwrap();
    assert_eq!(world.status(promotion), "denied");
    let governance = world.engine().governance().unwrap();
    let manifest = reader::release(&world.store, &governance, &damaged).unwrap().unwrap().manifest_digest;
    // Afterwards nothing of it is in memory.
    world.reopen().unwrap();
    world.store.spoil(Spoil::DocumentLost(manifest));
    lift(&world, "sam", index).unwrap();
    assert_eq!(world.status(promotion), "granted");
    world.store.spoil(Spoil::Nothing);
}

#[test]
fn metrics_read_a_promotion_of_many_entries_to_its_end() {
    let world = World::starter();
    world.push("shop/web@1.0.0");
    let (promotion, _) = world.promote("shop/web@1.0.0", "production").unwrap();
    // Each time it is denied, and pending again.
    for number in 0..35 {
        let index = order(&world, "sam", Some("shop/web"), &number.to_string()).unwrap();
        scheduler::tick(world.engine()).unwrap();
        lift(&world, "sam", index).unwrap();
    }
    world.approve(promotion, "sam").unwrap();
    let entries = world.store.stream_page(&StreamName::promotion(promotion), 0, 1_000).unwrap().len();
    assert!(entries > 64, "{entries}");
    let gathered = metrics::gather(world.engine(), UnixMillis(0)).unwrap();
    let figures = metrics::figures(world.engine(), &person("sam"), &gathered).unwrap();
    assert!(figures.complete);
    let production = figures.environments.iter().find(|row| row.environment.as_str() == "production");
    assert_eq!(production.map(|row| row.grants), Some(1));
}

fn opened(world: &World, by: &str, release: &str, lasts: &str) -> BreakGlassOpened {
    let name: ReleaseName = release.parse().unwrap();
    let governance = world.engine().governance().unwrap();
    let known = reader::release(world.engine().store(), &governance, &name).unwrap().unwrap();
    let lasts: Span = lasts.parse().unwrap();
    let mut event = BreakGlassOpened {
        release: name,
        manifest: known.manifest_digest,
        environment: "production".parse().unwrap(),
        reason: "payments are down".to_owned(),
        ticket: "INC-1".to_owned(),
        expires_at: world.hands.now().plus(lasts),
        by: person(by),
        signature: String::new(),
    };
    resign(&mut event);
    event
}

fn resign(event: &mut BreakGlassOpened) {
    let document = document_bytes(&BreakGlassDocument::new(ORIGIN, event)).unwrap();
    event.signature = key_of(event.by.as_str()).sign(BREAK_GLASS_NAMESPACE, &document).unwrap().to_armored();
}

fn open(world: &World, event: BreakGlassOpened) -> Result<Receipt, Fault> {
    world.engine().run(break_glass::open(&event.by.clone(), event)?)
}

fn countersign(world: &World, by: &str, event: &BreakGlassOpened, index: EntryIndex) -> Receipt {
    let document = document_bytes(&BreakGlassDocument::new(ORIGIN, event)).unwrap();
    let signature = key_of(by).sign(BREAK_GLASS_NAMESPACE, &document).unwrap().to_armored();
    let second = BreakGlassSigned { break_glass: index, by: person(by), signature };
    world.engine().run(break_glass::sign(&person(by), second).unwrap()).unwrap()
}

fn review(world: &World, by: &str, index: EntryIndex) -> Result<Receipt, Fault> {
    let mut event = BreakGlassReviewed {
        break_glass: index,
        finding: "it was needed".to_owned(),
        by: person(by),
        signature: String::new(),
    };
    let document = document_bytes(&BreakGlassReviewDocument::new(ORIGIN, &event)).unwrap();
    event.signature = key_of(by).sign(BREAK_GLASS_NAMESPACE, &document).unwrap().to_armored();
    world.engine().run(break_glass::review(&person(by), event)?)
}

#[test]
fn break_glass_lets_one_release_past_the_gates_and_is_reviewed() {
    let world = World::starter();
    world.enrol("ines", SubjectKind::Person, &["approvers"]);
    world.enrol("eve", SubjectKind::Person, &["auditors"]);
    world.push("shop/web@1.0.0");
    world.push("shop/web@1.1.0");
    order(&world, "sam", None, "1").unwrap();
    // Another manifest than the release has, and another person's session.
    let mut other = opened(&world, "sam", "shop/web@1.0.0", "1h");
    other.manifest = Digest::of(b"other");
    resign(&mut other);
    assert_eq!(open(&world, other).unwrap_err().code, "BREAK_GLASS_TARGET");
    let event = opened(&world, "sam", "shop/web@1.0.0", "1h");
    assert_eq!(break_glass::open(&person("ines"), event.clone()).err().map(|fault| fault.code), Some("NOT_PERMITTED"));

    let receipt = open(&world, event.clone()).unwrap();
    let index = EntryIndex(receipt.value["index"].as_u64().unwrap());
    assert_eq!((receipt.value["needed"].as_u64(), receipt.value["status"].as_str()), (Some(2), None));
    let receipt = countersign(&world, "ines", &event, index);
    assert_eq!(receipt.value["status"], "granted", "{}", receipt.value);
    let promotion: PromotionId = receipt.value["promotion"].as_str().unwrap().parse().unwrap();
    let view = why::why(world.engine(), promotion).unwrap();
    assert_eq!(view.decision.break_glass, Some(index));
    let overridden = view.decision.gates.iter().filter(|gate| gate.outcome == GateOutcome::Overridden);
    let reasons: Vec<&str> = overridden.map(|gate| gate.reason.as_str()).collect();
    assert!(reasons.contains(&"FROZEN") && reasons.contains(&"QUORUM_NOT_MET"), "{reasons:?}");
    // What it gives does not outlast it, and goes past the freeze that was known, not past a later one.
    assert_eq!(view.promotion.grant.unwrap().event.not_after, event.expires_at);
    assert_eq!(found(&world, "shop/web@1.0.0").unwrap(), promotion);
    order(&world, "sam", None, "2").unwrap();
    assert_eq!(found(&world, "shop/web@1.0.0").unwrap_err().code, "FROZEN");

    let next = || opened(&world, "sam", "shop/web@1.1.0", "1h");
    assert_eq!(open(&world, next()).unwrap_err().code, "BREAK_GLASS_UNREVIEWED");
    assert_eq!(review(&world, "ines", index).unwrap_err().code, "SOD_SELF");
    review(&world, "eve", index).unwrap();
    open(&world, next()).unwrap();
    let states: Vec<&str> =
        break_glass::list(world.engine(), &person("sam")).unwrap().iter().map(|view| view.state).collect();
    assert_eq!(states, ["open", "reviewed"]);
}

/// dana asks for a waiver for one release, and sam grants it.
fn waived(world: &World, release: &str) {
    let mut asked = WaiverRequested {
        gate: "vulnerabilities".parse().unwrap(),
        finding: "CVE-2099-1".to_owned(),
        service: "shop/web".parse().unwrap(),
        environment: "production".parse().unwrap(),
        release: Some(release.parse().unwrap()),
        artifact: None,
        reason: "not reachable".to_owned(),
        ticket: None,
        expires_at: world.hands.now().plus("1d".parse().unwrap()),
        asked_by: person("dana"),
        signature: String::new(),
    };
    let document = document_bytes(&WaiverDocument::new(ORIGIN, &asked)).unwrap();
    let sign = |name: &str| key_of(name).sign(WAIVER_NAMESPACE, &document).unwrap().to_armored();
    asked.signature = sign("dana");
    let receipt = world.engine().run(waive::request(&person("dana"), asked.clone()).unwrap()).unwrap();
    let granted = WaiverGranted {
        gate: asked.gate,
        finding: asked.finding,
        service: asked.service,
        environment: asked.environment,
        reason: asked.reason,
        expires_at: asked.expires_at,
        asked_by: asked.asked_by,
        asked_signature: asked.signature,
        granted_by: person("sam"),
        granted_signature: sign("sam"),
        request: receipt.value["index"].as_u64().map(EntryIndex),
        release: asked.release,
        artifact: None,
        ticket: None,
    };
    world.engine().run(waive::waive(&person("sam"), granted).unwrap()).unwrap();
}

/// Who may read of one environment alone.
const GUESTS: &str = "
[role.guest]
permissions = [\"read\"]
[group.guests]
roles = []
[[bindings]]
role = \"guest\"
groups = [\"guests\"]
environments = [\"staging\"]
";

#[test]
fn who_let_a_release_past_its_gates_is_found_by_name_and_key() {
    let world = World::new(|path, text| match path {
        "people.toml" => format!("{text}{GUESTS}"),
        _ => text.to_owned(),
    });
    world.enrol("ines", SubjectKind::Person, &["approvers"]);
    world.enrol("otto", SubjectKind::Person, &["guests"]);
    world.push("shop/web@1.0.0");
    waived(&world, "shop/web@1.0.0");
    let event = opened(&world, "sam", "shop/web@1.0.0", "1h");
    let receipt = open(&world, event.clone()).unwrap();
    let index = EntryIndex(receipt.value["index"].as_u64().unwrap());
    assert_eq!(countersign(&world, "ines", &event, index).value["status"], "granted");
    let ask = |asker: &str, key: &str| {
        let question = Question { query: format!("key:{key}").parse().unwrap(), at: None, environment: None, most: 10 };
        whereabouts::find(world.engine(), &person(asker), &question).unwrap()
    };
    let check = |name: &str, wanted: &[&str]| {
        let fingerprint = key_of(name).public_key().fingerprint();
        let wanted: Vec<String> = wanted.iter().map(|what| format!("{name} {what} with {fingerprint}")).collect();
        for key in [name, fingerprint.as_str()] {
            let answer = ask("sam", key);
            assert!(answer.hits.iter().all(|hit| hit.release == event.release && hit.runs.len() == 1), "{key}");
            let mut found: Vec<String> = answer.hits.iter().map(|hit| hit.detail.clone()).collect();
            found.sort();
            assert_eq!(found, wanted, "{key}");
            // The release is readable in another environment, what let it into this one is not.
            assert!(ask("otto", key).hits.is_empty(), "{key}");
        }
    };
    check("sam", &["granted a waiver of CVE-2099-1 in production", "opened a break-glass into production"]);
    check("ines", &[format!("signed the break-glass of entry {index} into production").as_str()]);
    check("dana", &["asked for a waiver of CVE-2099-1 in production"]);
    let keys = [("sam", false), ("ci", false), ("sams", true), ("SHA256:AAAA", true), ("https://git.example/x", false)];
    for (key, unknown) in keys {
        assert_eq!(ask("dana", key).unknown_key, unknown, "{key}");
    }
    // A rebuild makes the same rows again.
    let rows = || {
        let mut rows = world.store.projections(WHERE, None, 10_000).unwrap();
        rows.retain(|(key, _)| key.starts_with("key:"));
        rows
    };
    let before = rows();
    rebuild(&world.store, &world.engine().governance().unwrap()).unwrap();
    assert_eq!(rows(), before);
}

#[test]
fn what_was_signed_too_late_lets_nothing_past() {
    let world = World::starter();
    world.push("shop/web@1.0.0");
    let event = opened(&world, "sam", "shop/web@1.0.0", "1h");
    world.wait("1h");
    assert_eq!(open(&world, event).unwrap_err().code, "BREAK_GLASS_EXPIRY");
    let event = opened(&world, "sam", "shop/web@1.0.0", "6h");
    assert_eq!(open(&world, event).unwrap_err().code, "BREAK_GLASS_EXPIRY");
    assert!(world.engine().governance().unwrap().break_glasses().is_empty());
}
