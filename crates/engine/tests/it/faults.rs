//! Faults at commits, repeated requests, and requests that fail half-way.

use lockgate_engine::attest::{Evidence, Form, check};
use lockgate_engine::authorise::last_uses;
use lockgate_engine::bodies::Upload;
use lockgate_engine::integrity::Log;
use lockgate_engine::push::{Publish, publish};
use lockgate_engine::sequencer::request_digest;
use lockgate_engine::{Engine, Fault, Kind, Receipt, Submission, access, authorise, history, reader, services, why};
use lockgate_ledger::entry::EvidenceForm;
use lockgate_model::facts::Artifact;
use lockgate_model::{EntryIndex, Limits, StreamName, TreeSize};
use lockgate_policy::Permission;
use lockgate_sign::dsse::Envelope;
use lockgate_store::memory::{Faults, Spoil};
use lockgate_store::{BlobStore as _, LedgerStore as _};
use serde_json::json;

use crate::world::{JUNIT, World, person};

fn keyed(submission: Submission, key: &str) -> Submission {
    submission.keyed(Some((key.to_owned(), request_digest(&[key.as_bytes()]))))
}

#[test]
fn a_commit_that_fails_before_persisting_leaves_nothing() {
    let mut world = World::starter();
    let size = world.size();
    let submission = world.publication("shop/web@1.0.0");
    world.store.faults_set(Faults { fail_before: Some(1), fail_after: None });
    assert!(world.engine().run(submission).is_err());
    world.store.faults_set(Faults::default());
    assert_eq!(world.size(), size);
    world.reopen().unwrap();
    assert_eq!(world.size(), size);
    world.push("shop/web@1.0.0");
}

/// The store's head tells that it was kept, whatever the error says.
#[test]
fn a_commit_that_fails_after_persisting_is_acknowledged_and_found_again_by_its_key() {
    let mut world = World::starter();
    let size = world.size();
    let submission = keyed(world.publication("shop/web@1.0.0"), "once");
    world.store.faults_set(Faults { fail_before: None, fail_after: Some(1) });
    let receipt = world.engine().run(submission).unwrap();
    world.store.faults_set(Faults::default());
    assert_eq!((receipt.index, receipt.repeated, world.size()), (Some(EntryIndex(size)), false, size + 4));
    // The next batch goes on from there.
    world.push("shop/web@1.1.0");
    assert_eq!(*world.fatal.lock().unwrap(), None);
    world.reopen().unwrap();
    assert_eq!(world.size(), size + 8, "two releases, each with three pieces of evidence");
    let again = keyed(world.publication("shop/web@1.0.0"), "once");
    let receipt = world.engine().run(again).unwrap();
    assert!(receipt.repeated);
    assert_eq!((receipt.index.unwrap().0, world.size()), (size, size + 8));
}

/// Two processes on one store: who comes second must not go on from a tree that is not the store's.
#[test]
fn a_ledger_that_somebody_else_has_written_stops_the_process() {
    let mut world = World::starter();
    world.push("shop/web@1.0.0");
    let other = Engine::open(world.parts()).unwrap();
    other.run(world.publication("pay/api@1.0.0")).unwrap();
    let refused = world.engine().run(world.publication("shop/web@1.1.0"));
    assert_eq!(refused.unwrap_err().code, "CONFLICT");
    drop(other);
    // Whoever opens it again has waited until the thread has ended.
    world.reopen().unwrap();
    let reason = world.fatal.lock().unwrap().clone();
    assert!(reason.as_ref().is_some_and(|reason| reason.contains("entries now")), "{reason:?}");
    world.push("shop/web@1.1.0");
}

/// What it noted beside would be committed with somebody else's entry.
#[test]
fn a_push_that_appends_nothing_leaves_nothing_of_itself() {
    let mut world = World::starter();
    let first = EntryIndex(world.size());
    world.push("shop/web@1.0.0");
    let uses = |world: &World| last_uses(&world.store, &person("ci")).unwrap();
    let before = uses(&world);
    assert!(before.iter().any(|(used, index, _)| *used == Permission::Push && *index == first), "{before:?}");
    world.reopen_by_hand();
    world.wait("1m");
    // Both make one batch, and the second alone appends.
    let repeated = world.publication("shop/web@1.0.0");
    world.engine().submit(repeated, Box::new(|answer| assert_eq!(answer.unwrap().index, None)));
    let size = world.size();
    world.promote("shop/web@1.0.0", "production").unwrap();
    assert!(world.size() > size);
    assert_eq!(uses(&world), before);
    world.reopen().unwrap();
}

#[test]
fn a_store_that_fails_is_told_from_one_that_was_changed() {
    let mut world = World::starter();
    world.push("shop/web@1.0.0");
    let last = EntryIndex(world.size() - 1);
    for (spoil, code) in [
        (Spoil::TilesFail, "STORE_FAILED"),
        (Spoil::TileChanged, "HEAD_MISMATCH"),
        (Spoil::EntryChanged(last), "ENTRY_CHANGED"),
    ] {
        world.store.spoil(spoil);
        assert_eq!(world.reopen().unwrap_err().code, code, "{spoil:?}");
    }
    world.store.spoil(Spoil::Nothing);
    world.reopen().unwrap();
}

/// Nothing is built on a ledger that was read and is not what was signed, until a start finds it sound.
#[test]
fn a_changed_entry_ends_all_appending_until_the_next_start() {
    let mut world = World::starter();
    let published = EntryIndex(world.size());
    world.push("shop/web@1.0.0");
    let ready = |world: &World| world.engine().integrity().check_ready().map_err(|fault| fault.code);
    assert_eq!(ready(&world), Ok(()));
    let store = world.store.clone();
    let reads = Submission::new(move |_, _| {
        reader::entry(&store, published)?;
        Ok(json!({}))
    });
    world.store.spoil(Spoil::EntryChanged(published));
    assert_eq!(world.engine().run(reads).unwrap_err().code, "ENTRY_CHANGED");
    world.store.spoil(Spoil::Nothing);
    assert_eq!(ready(&world), Err("ENTRY_CHANGED"));
    let size = world.size();
    assert_eq!(world.engine().run(world.publication("shop/web@1.1.0")).unwrap_err().code, "LEDGER_DOUBTFUL");
    assert_eq!(world.size(), size);
    world.reopen().unwrap();
    assert_eq!(ready(&world), Ok(()));
    world.push("shop/web@1.1.0");
}

/// Whoever walks the ledger is not told what was edited in it.
#[test]
fn a_changed_entry_is_in_no_history() {
    let world = World::starter();
    let published = EntryIndex(world.size());
    world.push("shop/web@1.0.0");
    let whole = |world: &World| history::history(world.engine(), None, None, 4).map(|items| items.len());
    let walked = |world: &World| {
        let mut indices = Vec::new();
        let size = TreeSize(world.size());
        reader::each_entry(&world.store, EntryIndex(0), size, |index, _, _| {
            indices.push(index);
            Ok(())
        })
        .map_err(|fault| fault.code)
        .map(|()| indices.len() as u64)
    };
    assert_eq!(whole(&world).unwrap(), 4);
    assert_eq!(walked(&world), Ok(world.size()));
    world.store.spoil(Spoil::EntryChanged(published));
    assert_eq!(whole(&world).unwrap_err().code, "ENTRY_CHANGED");
    assert_eq!(walked(&world), Err("ENTRY_CHANGED"));
    world.store.spoil(Spoil::Nothing);
}

/// Who has already appended to a batch is not told that it was done, where another request of it finds the damage.
#[test]
fn a_batch_in_which_damage_is_found_is_not_kept() {
    let mut world = World::starter();
    world.reopen_by_hand();
    let size = world.size();
    let publication = world.publication("shop/web@1.0.0");
    world
        .engine()
        .submit(publication, Box::new(|answer| assert_eq!(answer.map(|_| ()).unwrap_err().code, "LEDGER_DOUBTFUL")));
    let damaged = Submission::new(|_, _| Err(Fault::new(Kind::Integrity, "STREAM_BROKEN", "as the fold says it")));
    assert_eq!(world.engine().run(damaged).unwrap_err().code, "STREAM_BROKEN");
    assert_eq!(world.size(), size);
    world.reopen().unwrap();
}

/// What was durable before stays done. What repeats another request of the same batch is as lost as that one.
#[test]
fn where_damage_is_found_only_what_was_kept_before_is_repeated() {
    let mut world = World::starter();
    world.reopen_by_hand();
    let index = world.engine().run(keyed(world.publication("shop/web@1.0.0"), "kept")).unwrap().index;
    let size = world.size();
    let kept = keyed(world.publication("shop/web@1.0.0"), "kept");
    let is_repeated = move |answer: Result<Receipt, Fault>| {
        let receipt = answer.unwrap();
        assert_eq!((receipt.repeated, receipt.index, receipt.head.size.0), (true, index, size));
    };
    world.engine().submit(kept, Box::new(is_repeated));
    for _ in 0..2 {
        let lost = keyed(world.publication("shop/web@1.1.0"), "lost");
        let is_refused = |answer: Result<Receipt, Fault>| assert_eq!(answer.unwrap_err().code, "LEDGER_DOUBTFUL");
        world.engine().submit(lost, Box::new(is_refused));
    }
    let damaged = Submission::new(|_, _| Err(Fault::new(Kind::Integrity, "STREAM_BROKEN", "as the fold says it")));
    assert_eq!(world.engine().run(damaged).unwrap_err().code, "STREAM_BROKEN");
    assert_eq!(world.size(), size);
    world.reopen().unwrap();
}

/// A store that fails for a moment hides nothing, and takes nothing away.
#[test]
fn what_cannot_be_read_now_is_neither_hidden_nor_gone() {
    let mut world = World::starter();
    world.push("shop/web@1.0.0");
    let (promotion, _) = world.promote("shop/web@1.0.0", "dev").unwrap();
    let (_, release, asked) = why::slice(world.engine(), promotion).unwrap();
    let (facts, evidence) = (asked.decisions.last().unwrap().event.facts, release.evidence[0].event.evidence);
    // Afterwards nothing of it is in memory.
    world.reopen().unwrap();
    let (engine, dana) = (world.engine(), person("dana"));
    let decided = || why::why(engine, promotion).map(|view| view.evidence.len()).map_err(|fault| fault.code);
    let listed =
        || services::release(engine, &dana, &release.name).map(|view| view.evidence.len()).map_err(|fault| fault.code);
    world.store.spoil(Spoil::DocumentFails(facts));
    assert_eq!(decided(), Err("STORE_FAILED"));
    world.store.spoil(Spoil::DocumentFails(evidence));
    assert_eq!(listed(), Err("STORE_FAILED"));
    // What is gone for good is left out.
    world.store.spoil(Spoil::DocumentLost(facts));
    assert_eq!(decided(), Ok(0));
    world.store.spoil(Spoil::DocumentLost(evidence));
    assert_eq!(listed(), Ok(2));
    world.store.spoil(Spoil::TilesFail);
    let stream = StreamName::promotion(promotion);
    assert_eq!(authorise::may_read_stream(engine, &dana, &stream).unwrap_err().code, "STORE_FAILED");
    let shown = access::of_person(engine, &person("ci")).unwrap().for_reader(engine, &dana);
    assert_eq!(shown.unwrap_err().code, "STORE_FAILED");
    world.store.spoil(Spoil::Nothing);
    assert_eq!((decided(), listed()), (Ok(3), Ok(3)));
    assert!(authorise::may_read_stream(engine, &dana, &stream).unwrap());
}

/// An artifact that cannot be opened for a moment is not told as one whose bytes are others.
#[test]
fn an_audit_tells_what_it_cannot_read_from_what_was_changed() {
    let world = World::starter();
    world.push("shop/web@1.0.0");
    let artifact = lockgate_model::Digest::of(b"the bytes of shop/web@1.0.0");
    let found = |code: &str| {
        let source = lockgate_engine::audit::StoreSource(&world.store);
        let report = lockgate_ledger::audit::audit(&source, None, Vec::new(), |_, _| {});
        report.problems.iter().any(|problem| problem.code == code)
    };
    world.store.spoil(Spoil::BlobFails(artifact));
    assert!(found("STORE_FAILED") && !found("DIGEST_MISMATCH"));
    world.store.spoil(Spoil::Nothing);
    assert!(world.store.blob_flip_bit(&artifact, 0));
    assert!(found("DIGEST_MISMATCH") && !found("STORE_FAILED"));
    assert!(world.store.blob_flip_bit(&artifact, 0));
}

#[test]
fn a_consistency_proof_from_changed_tiles_is_not_handed_out() {
    let world = World::starter();
    let proven = || {
        let head = world.engine().published().head;
        world.engine().consistency(TreeSize(3), &head).map(|_| ()).map_err(|fault| fault.code)
    };
    assert_eq!(proven(), Ok(()));
    // Another head, so that its tiles are read anew.
    world.push("shop/web@1.0.0");
    world.store.spoil(Spoil::TileChanged);
    assert_eq!(proven(), Err("PROOF_FAILED"));
    world.store.spoil(Spoil::Nothing);
}

/// A store that fails for a moment says nothing of the ledger.
#[test]
fn a_proof_that_cannot_be_made_now_is_no_damage() {
    let world = World::starter();
    world.push("shop/web@1.0.0");
    world.store.spoil(Spoil::TilesFail);
    let head = world.engine().published().head;
    let fault = world.engine().consistency(TreeSize(3), &head).unwrap_err();
    assert_eq!((fault.kind, fault.code), (Kind::Unavailable, "STORE_FAILED"));
    world.engine().integrity().note(Log::Ledger, &fault);
    world.engine().integrity().check_ready().unwrap();
    world.store.spoil(Spoil::Nothing);
    world.engine().consistency(TreeSize(3), &head).unwrap();
}

#[test]
fn the_same_key_gives_the_same_reply_and_refuses_another_request() {
    let world = World::starter();
    let first = world.engine().run(keyed(world.publication("shop/web@1.0.0"), "k")).unwrap();
    let second = world.engine().run(keyed(world.publication("shop/web@1.0.0"), "k")).unwrap();
    assert_eq!((first.index, first.value), (second.index, second.value));
    let other = world.publication("shop/web@1.0.1").keyed(Some(("k".to_owned(), request_digest(&[b"other"]))));
    assert_eq!(world.engine().run(other).unwrap_err().code, "IDEMPOTENCY_MISMATCH");
}

#[test]
fn a_request_that_fails_half_way_leaves_nothing_of_itself() {
    let world = World::starter();
    let size = world.size();
    let half = Submission::new(|staging, inner| {
        let plan = promote_unknown(staging, inner);
        plan.map(|()| json!({}))
    });
    assert_eq!(world.engine().run(half).unwrap_err().code, "TEST");
    assert_eq!(world.size(), size);
    world.push("shop/web@1.0.0");
    assert_eq!(world.size(), size + 4);
}

/// Without its sequencer a server would go on to answer, and never write again.
#[test]
fn a_defect_that_ends_the_sequencer_stops_the_process() {
    let mut world = World::starter();
    let broken = Submission::new(|_, _| panic!("on purpose"));
    assert_eq!(world.engine().run(broken).unwrap_err().code, "STOPPING");
    // Whoever opens it again has waited until the thread has ended.
    world.reopen().unwrap();
    assert_eq!(world.fatal.lock().unwrap().as_deref(), Some("the sequencer broke off"));
    world.push("shop/web@1.0.0");
}

/// Appends, and then fails.
fn promote_unknown(
    staging: &mut lockgate_engine::staging::Staging<'_>,
    _inner: &lockgate_engine::engine::Inner,
) -> Result<(), lockgate_engine::Fault> {
    staging.append_leaf(b"never seen".to_vec());
    staging.document(b"never kept".to_vec());
    staging.project("open-promotion", "production/shop/web/P-1".to_owned(), Some(b"shop/web@1.0.0".to_vec()));
    Err(lockgate_engine::Fault::invalid("TEST", "on purpose"))
}

#[test]
fn a_newer_checkpoint_that_was_kept_is_an_alarm() {
    let mut world = World::starter();
    world.push("shop/web@1.0.0");
    world.damaged();
    let report = lockgate_ledger::audit::audit(
        &lockgate_engine::audit::StoreSource(&world.store),
        None,
        vec![lockgate_ledger::audit::Anchor {
            source: "a checkpoint from tomorrow".to_owned(),
            size: lockgate_model::TreeSize(1000),
            root: lockgate_model::Digest::of(b"x"),
        }],
        |_, _| {},
    );
    assert!(report.problems.iter().any(|problem| problem.code == "ROLLBACK_DETECTED"), "{:?}", report.problems);
}

/// A publication of `shop/web@1.0.0` with this content and one report.
fn publication_of(world: &World, content: &str) -> Submission {
    let mut staged = world.store.stage().unwrap();
    staged.write(content.as_bytes()).unwrap();
    let (digest, size_bytes) = staged.commit(None).unwrap();
    let upload = Upload::Inline(JUNIT.as_bytes().to_vec());
    let evidence = Evidence { upload, form: Form::Report(None), expect: None };
    let request = Publish {
        release: "shop/web@1.0.0".parse().unwrap(),
        artifacts: vec![Artifact { digest, name: "app".to_owned(), size_bytes }],
        source: None,
        notes: None,
        evidence: vec![check(world.engine(), evidence).unwrap()],
    };
    publish(world.engine(), person("ci"), request).unwrap()
}

#[test]
fn a_report_is_signed_for_what_was_published_and_not_for_what_was_lost() {
    let world = World::starter();
    let (lost, kept) = (publication_of(&world, "never kept"), publication_of(&world, "kept"));
    let half = Submission::new(move |staging, inner| {
        (lost.plan)(staging, inner)?;
        Err(lockgate_engine::Fault::invalid("TEST", "on purpose"))
    });
    assert_eq!(world.engine().run(half).unwrap_err().code, "TEST");
    world.engine().run(kept).unwrap();
    let governance = world.engine().governance().unwrap();
    let name = "shop/web@1.0.0".parse().unwrap();
    let release = reader::release(&world.store, &governance, &name).unwrap().unwrap();
    let EvidenceForm::Report { statement, artifacts, .. } = &release.evidence[0].event.form else { panic!("a report") };
    let envelope = world.store.document(statement).unwrap().unwrap();
    let payload = Envelope::parse(&envelope, &Limits::DEFAULT).unwrap().payload;
    let payload = String::from_utf8(payload).unwrap();
    assert_eq!(artifacts.len(), 1);
    assert!(payload.contains(&artifacts[0].hex()), "{payload}");
}
