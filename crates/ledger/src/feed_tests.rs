//! Tests of feeds in the ledger: who may record them, in which order, and what decisions are told of them.

use lockgate_policy::PolicySet;

use super::*;
use crate::bodies::BodyMap;
use crate::entry::LedgerCreated;

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

fn kev(date: &str, cves: &[&str]) -> Vec<u8> {
    let entries: Vec<String> =
        cves.iter().map(|cve| format!("{{\"cveID\":\"{cve}\",\"dateAdded\":\"2026-01-02\"}}")).collect();
    let head = format!("\"catalogVersion\":\"1\",\"dateReleased\":\"{date}T00:00:00Z\",\"count\":{}", cves.len());
    format!("{{{head},\"vulnerabilities\":[{}]}}", entries.join(",")).into_bytes()
}

fn event(bytes: &[u8]) -> FeedRecorded {
    let size_bytes = u64::try_from(bytes.len()).unwrap();
    Snapshot::read(FeedKind::Kev, bytes).unwrap().event(FeedKind::Kev, Digest::of(bytes), size_bytes)
}

/// A ledger whose policy set asks KEV in production, and lets nobody record it who is not enrolled.
fn governance() -> Governance {
    let mut files = PolicySet::starter("starter").unwrap();
    files.retain(|path, _| !path.starts_with("tests/"));
    let gates = files.entry("gates/evidence.toml".to_owned()).or_default();
    *gates = gates.replace("fix_available_only = true", "fix_available_only = true\nkev = true");
    let policy = PolicySet::from_files(files).unwrap_or_else(|errors| panic!("{errors:#?}"));
    let mut bodies = BodyMap::default();
    let created = LedgerCreated {
        origin: "log1.test.example".to_owned(),
        log_key: String::new(),
        attestation_key: String::new(),
        policy: bodies.insert(policy.document()),
        setup_code: Digest::of(b"code"),
        software: "a test".to_owned(),
    };
    Governance::create(&created, &bodies).unwrap()
}

/// The same with these snapshots, as if somebody who may had recorded them.
fn recorded(snapshots: &[&[u8]]) -> Governance {
    let mut governance = governance();
    for (bytes, index) in snapshots.iter().zip(5u64..) {
        let by = "sam".parse().unwrap();
        governance.feeds.0.push(Feed { event: event(bytes), index: EntryIndex(index), time: NOW, by });
    }
    governance
}

fn facts(governance: &Governance, names: &[&str], bodies: &BodyMap) -> Result<Vec<FeedFact>, ApplyError> {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    let (service, environment) = ("shop/web".parse().unwrap(), "production".parse().unwrap());
    governance.feed_facts(&service, &environment, &names, bodies, &SnapshotCache::default())
}

#[test]
fn nobody_records_a_feed_without_the_permission() {
    let event = event(&kev("2026-11-20", &["CVE-2026-1"]));
    let refused = governance().record_feed(&event, EntryIndex(5), NOW, &"eve".parse().unwrap());
    assert_eq!(refused.unwrap_err().code, "NOT_PERMITTED");
}

#[test]
fn facts_hold_the_rows_that_were_asked_for_from_the_newest_snapshot() {
    let (old, new) = (kev("2026-11-19", &["CVE-2026-1"]), kev("2026-11-20", &["CVE-2026-2", "CVE-2026-3"]));
    let mut bodies = BodyMap::default();
    let digest = bodies.insert(new.clone());
    let governance = recorded(&[&old, &new]);
    let facts = facts(&governance, &["CVE-2026-1", "CVE-2026-3"], &bodies).unwrap();
    assert_eq!((facts.len(), facts[0].digest, facts[0].index), (1, digest, EntryIndex(6)));
    assert_eq!(facts[0].kev.keys().map(String::as_str).collect::<Vec<_>>(), ["CVE-2026-3"]);
    let used = FeedUsed::of(&facts);
    assert_eq!((used[0].feed, used[0].digest, used[0].date), (FeedKind::Kev, digest, facts[0].date));
}

#[test]
fn a_snapshot_has_to_be_here_and_say_what_its_entry_says() {
    let bytes = kev("2026-11-20", &["CVE-2026-1"]);
    let mut bodies = BodyMap::default();
    assert!(facts(&governance(), &["CVE-2026-1"], &bodies).unwrap().is_empty(), "nothing is recorded");
    let mut governance = recorded(&[&bytes]);
    assert_eq!(facts(&governance, &["CVE-2026-1"], &bodies).unwrap_err().code, "BODY_MISSING");
    bodies.insert(bytes);
    assert!(facts(&governance, &["CVE-2026-1"], &bodies).is_ok());
    governance.feeds.0[0].event.rows = 2;
    assert_eq!(facts(&governance, &["CVE-2026-1"], &bodies).unwrap_err().code, "FEED_MISMATCH");
    governance.feeds.0[0].event.rows = 1;
    governance.feeds.0[0].event.date = NOW;
    assert_eq!(facts(&governance, &["CVE-2026-1"], &bodies).unwrap_err().code, "FEED_MISMATCH");
}

#[test]
fn what_is_no_snapshot_is_refused() {
    let check = |kind: FeedKind, bytes: &[u8], code: &str| {
        assert_eq!(Snapshot::read(kind, bytes).unwrap_err().code, code);
    };
    let good = kev("2026-11-20", &["CVE-2026-1"]);
    check(FeedKind::Epss, &good, "FEED_MALFORMED");
    check(FeedKind::Kev, b"{}", "FEED_MALFORMED");
    check(FeedKind::Kev, &good[..40], "FEED_MALFORMED");
}
