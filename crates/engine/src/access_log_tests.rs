//! Tests of the access log over the strict memory store.

use super::*;

use lockgate_ledger::access_log::{AccessReport, audit, verifier_of};
use lockgate_ledger::audit::Anchor;
use lockgate_model::TreeSize;
use lockgate_sign::note::NoteKeyKind;
use lockgate_store::{Faults, LedgerStore as _, MemoryStore};

use crate::audit::StoreSource;

const ORIGIN: &str = "log1.test.example";

fn signer(name: &str) -> NoteSigner {
    NoteSigner::from_seed(name, NoteKeyKind::Ed25519, &[5; 32]).unwrap()
}

fn open(store: &MemoryStore) -> (AccessLog, Arc<Mutex<Option<String>>>) {
    let fatal = Arc::new(Mutex::new(None));
    let told = fatal.clone();
    let parts = Parts {
        store: Arc::new(store.clone()),
        signer: signer("access.log1.test.example"),
        on_fatal: Box::new(move |reason| *told.lock().unwrap() = Some(reason)),
    };
    (AccessLog::open(parts).unwrap(), fatal)
}

fn entry(number: u64) -> AccessEntry {
    let refused = number.is_multiple_of(3);
    AccessEntry {
        schema: AccessEntry::SCHEMA.to_owned(),
        time: UnixMillis(1_000 + number),
        principal: if number.is_multiple_of(2) { "sam" } else { "-" }.to_owned(),
        address: "127.0.0.1".to_owned(),
        action: if refused { "promotions.approve" } else { "status" }.to_owned(),
        object: format!("P-{number}"),
        outcome: if refused { AccessOutcome::Refused } else { AccessOutcome::Allowed },
        status: if refused { 403 } else { 200 },
        code: refused.then(|| "NOT_PERMITTED".to_owned()),
        session: None,
    }
}

fn fill(log: &AccessLog, count: u64) {
    for number in 0..count {
        assert!(log.record(entry(number), Box::new(())));
    }
    log.flush().unwrap();
}

fn audited(store: &MemoryStore, anchors: Vec<Anchor>) -> AccessReport {
    let key = verifier_of(signer(ORIGIN).vkey()).unwrap();
    audit(&StoreSource(store), Some(&key), anchors)
}

#[track_caller]
fn sound(store: &MemoryStore, entries: u64) {
    let report = audited(store, Vec::new());
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    assert_eq!((report.entries, report.signed), (entries, true));
}

#[test]
fn what_was_queued_is_written_in_order_and_signed() {
    let store = MemoryStore::new();
    let (log, fatal) = open(&store);
    sound(&store, 0);
    fill(&log, 2_500);
    assert_eq!(log.head().size, TreeSize(2_500));
    let page = log.page(&Filter::default(), None, 3).unwrap();
    let objects: Vec<&str> = page.items.iter().map(|(_, entry)| entry.object.as_str()).collect();
    assert_eq!(objects, ["P-2499", "P-2498", "P-2497"]);
    log.close();
    assert!(!log.record(entry(1), Box::new(())), "after it was closed");
    sound(&store, 2_500);
    // The same store goes on where it ended; times go on too.
    let (log, _) = open(&store);
    log.record(AccessEntry { time: UnixMillis(1), ..entry(0) }, Box::new(()));
    drop(log);
    sound(&store, 2_501);
    let (log, _) = open(&store);
    assert_eq!(log.page(&Filter::default(), None, 1).unwrap().items[0].1.time, UnixMillis(1_000 + 2_499));
    assert_eq!(*fatal.lock().unwrap(), None);
}

#[test]
fn a_place_is_held_until_its_record_is_durable() {
    let store = MemoryStore::new();
    let (log, _) = open(&store);
    let place = Arc::new(());
    log.record(entry(0), Box::new(place.clone()));
    log.close();
    assert_eq!(Arc::strong_count(&place), 1);
    assert_eq!(store.head().unwrap().size, TreeSize(1));
}

#[test]
fn a_commit_that_failed_is_made_again_and_never_twice() {
    for faults in [
        Faults { fail_before: Some(1), fail_after: None },
        Faults { fail_before: None, fail_after: Some(1) },
        Faults { fail_before: Some(2), fail_after: None },
    ] {
        let store = MemoryStore::new();
        let (log, fatal) = open(&store);
        store.faults_set(faults);
        fill(&log, 10);
        fill(&log, 10);
        drop(log);
        sound(&store, 20);
        assert_eq!(*fatal.lock().unwrap(), None, "{faults:?}");
    }
}

#[test]
fn two_writers_do_not_go_on() {
    let store = MemoryStore::new();
    let ((one, _), (two, fatal)) = (open(&store), open(&store));
    fill(&one, 5);
    two.record(entry(0), Box::new(()));
    assert_eq!(two.flush().unwrap_err().code, "ACCESS_LOG_BEHIND");
    two.close();
    assert!(fatal.lock().unwrap().is_some());
    drop(one);
    sound(&store, 5);
}

/// Breaks whoever lets it go.
struct Breaks;

impl Drop for Breaks {
    fn drop(&mut self) {
        panic!("on purpose");
    }
}

/// Without its writer a server would go on to take requests until the queue is full, and then hang.
#[test]
fn a_defect_that_ends_the_writer_stops_the_process_and_nobody_waits() {
    let store = MemoryStore::new();
    let (log, fatal) = open(&store);
    log.record(entry(0), Box::new(Breaks));
    log.close();
    assert_eq!(fatal.lock().unwrap().as_deref(), Some("the access log's writer broke off"));
    assert!(!log.record(entry(1), Box::new(())));
    drop(log);
    sound(&store, 1);
}

/// The objects on all pages of a query, newest first.
fn all(log: &AccessLog, filter: &Filter, most: usize) -> Vec<u64> {
    let (mut found, mut before) = (Vec::new(), None);
    loop {
        let page = log.page(filter, before, most).unwrap();
        assert!(page.items.len() <= most);
        found.extend(page.items.iter().map(|(index, entry)| {
            assert_eq!(entry.object, format!("P-{index}"));
            index.0
        }));
        match page.next {
            Some(next) => before = Some(next),
            None => return found,
        }
    }
}

#[test]
fn pages_hold_what_fits_and_lead_to_the_end() {
    let store = MemoryStore::new();
    let (log, _) = open(&store);
    fill(&log, 700);
    let check = |filter: Filter, fits: &dyn Fn(u64) -> bool| {
        let expected: Vec<u64> = (0..700).rev().filter(|number| fits(*number)).collect();
        for most in [1, 7, 256, PAGE_MAX] {
            assert_eq!(all(&log, &filter, most), expected, "{filter:?}");
        }
    };
    check(Filter::default(), &|_| true);
    check(Filter { principal: Some("sam".to_owned()), ..Filter::default() }, &|number| number % 2 == 0);
    check(Filter { principal: Some("dana".to_owned()), ..Filter::default() }, &|_| false);
    check(Filter { action: Some("status".to_owned()), ..Filter::default() }, &|number| number % 3 != 0);
    check(Filter { action: Some("promotions.".to_owned()), ..Filter::default() }, &|number| number % 3 == 0);
    check(Filter { action: Some("promotions".to_owned()), ..Filter::default() }, &|_| false);
    check(Filter { outcome: Some(AccessOutcome::Refused), ..Filter::default() }, &|number| number % 3 == 0);
    let (since, until) = (Some(UnixMillis(1_100)), Some(UnixMillis(1_200)));
    check(Filter { since, until, ..Filter::default() }, &|number| (100..=200).contains(&number));
    let exported: Vec<Vec<u8>> = [(0, 300), (300, 300), (600, 300)]
        .iter()
        .flat_map(|(first, most)| log.export(*first, *most).unwrap())
        .collect();
    assert_eq!(exported.len(), 700);
    assert_eq!(AccessEntry::from_bytes(&exported[699]).unwrap(), entry(699));
    assert!(log.export(700, 10).unwrap().is_empty());
}

#[test]
fn an_audit_names_a_rollback_another_key_and_another_root() {
    let store = MemoryStore::new();
    let (log, _) = open(&store);
    fill(&log, 20);
    let head = log.head();
    let anchor = |size: u64, root| Anchor { source: "somebody".to_owned(), size: TreeSize(size), root };
    let codes = |anchors: Vec<Anchor>| -> Vec<&'static str> {
        audited(&store, anchors).problems.iter().map(|problem| problem.code).collect()
    };
    assert_eq!(codes(vec![anchor(20, head.root)]), [""; 0]);
    assert_eq!(codes(vec![anchor(21, head.root)]), ["ROLLBACK_DETECTED"]);
    assert_eq!(codes(vec![anchor(19, head.root)]), ["HISTORY_CHANGED"]);
    let other = verifier_of(signer("other.example").vkey()).unwrap();
    let report = audit(&StoreSource(&store), Some(&other), Vec::new());
    assert_eq!(report.problems.iter().map(|problem| problem.code).collect::<Vec<_>>(), ["CHECKPOINT_INVALID"]);
    assert!(!report.signed);
}
