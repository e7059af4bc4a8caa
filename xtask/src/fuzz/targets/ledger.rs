//! Readers of the ledger: entries, manifests, approvals, bundles, trust files, access logs, reports, questions.

use lockgate_engine::whereabouts::Query;
use lockgate_ledger::access_log::AccessEntry;
use lockgate_ledger::access_review::AccessReview;
use lockgate_ledger::backtest::{BacktestReport, WouldBlock};
use lockgate_ledger::change::{draft_bytes, read_draft};
use lockgate_ledger::drill::DrillReport;
use lockgate_ledger::{ApprovalDocument, Bundle, Leaf, Manifest, TrustFile, bundle};
use lockgate_model::{Digest, EntryIndex, Limits, TreeSize, canonical};
use serde_json::{Value, json};

use super::Target;
use crate::failure::Result;
use crate::fuzz::outcome::Outcome;
use crate::fuzz::samples::{Samples, texts};
use crate::fuzz::story::Story;

/// Every target.
///
/// # Errors
/// When a sample cannot be made.
pub fn targets(samples: &Samples, story: &Story) -> Result<Vec<Target>> {
    let bundles = [samples.attacks(&["bundle"]), story.bundles.clone()].concat();
    let trust = [story.trust.clone(), samples.attacks(&["trust"])].concat();
    let mut all = vec![
        Target::new("entry", story.entries.clone(), |input| {
            let read = Leaf::decode(input, &Limits::DEFAULT);
            Outcome::spelled(input, &read, |leaf| match leaf {
                Leaf::Entry(entry) => entry.to_leaf(&Limits::DEFAULT).map_err(|error| error.to_string()),
                // Rekor's own entry, of which only the digest is ours.
                Leaf::HashedRekord => Ok(input.to_vec()),
            })
        }),
        Target::new("manifest", story.bodies_with("https://lockgate.dev/manifest/v1"), |input| {
            let read = Manifest::from_bytes(input, &Limits::DEFAULT);
            Outcome::spelled(input, &read, |manifest| manifest.to_bytes(&Limits::DEFAULT))
        }),
        Target::new("approval", [story.approvals.clone(), samples.attacks(&["approval"])].concat(), |input| {
            Outcome::spelled(input, &ApprovalDocument::from_bytes(input), ApprovalDocument::to_bytes)
        }),
        Target::new("bundle", bundles.clone(), |input| {
            let read = Bundle::from_bytes(input);
            if let Ok(bundle) = &read {
                // What its bodies hold is for the next reader; that they are taken apart is for this one.
                drop(bundle.decode_bodies());
            }
            Outcome::of(&read)
        }),
        Target::new("trust-file", trust, |input| Outcome::of(&TrustFile::from_bytes(input))),
    ];
    if let Some(file) = story.trust.first() {
        let file = TrustFile::from_bytes(file)?;
        all.push(Target::new("bundle-verify", bundles, move |input| {
            let mut checks = Vec::new();
            let opened = bundle::open(input, &file, &mut checks);
            Outcome::of(&opened.map(|_| checks.len()))
        }));
    }
    all.extend(documents(story)?);
    all.push(Target::new(
        "where-query",
        texts(&[
            "pkg:npm/%40acme/log@5.2.1",
            "pkg:npm/acme*",
            "cve:CVE-2099-10001",
            "key:SHA256:abc",
            "builder:https://b/*",
        ]),
        |input| match std::str::from_utf8(input) {
            Ok(text) => Outcome::of(&text.parse::<Query>()),
            Err(_) => Outcome::no_text(),
        },
    ));
    Ok(all)
}

fn documents(story: &Story) -> Result<Vec<Target>> {
    let digest = Digest::of(b"a policy set");
    let report = BacktestReport {
        schema: BacktestReport::SCHEMA.to_owned(),
        ledger: "lockgate.example/log/1".to_owned(),
        base: digest,
        proposed: digest,
        engine: "lockgate".to_owned(),
        first_entry: EntryIndex(0),
        tree_size: TreeSize(9),
        root: digest,
        decisions: 2,
        unchanged: 2,
        totals: std::collections::BTreeMap::new(),
        would_block: Some(vec![WouldBlock { gate: "announced".parse()?, decisions: 2, enforced_from: None }]),
        flips: Vec::new(),
        errors: Vec::new(),
    };
    // An event stands in its entry under `event`, and a draft of a change is such an event alone.
    let entries = story.entries.iter().filter_map(|entry| serde_json::from_slice::<Value>(entry).ok());
    let events = entries.filter_map(|entry| canonical::to_vec(entry.get("event")?).ok()).collect::<Vec<_>>();
    let access = json!({
        "schema": AccessEntry::SCHEMA,
        "time": 1_800_000_000_000_u64,
        "principal": "dana",
        "address": "127.0.0.1",
        "action": "read",
        "object": "/v1/history",
        "outcome": "allowed",
        "status": 200,
    });
    let review = json!({
        "schema": AccessReview::SCHEMA,
        "ledger": "lockgate.example/log/1",
        "policy": digest,
        "people": [{ "person": "dana", "subject": "person", "groups": ["developers"] }],
        "bindings": [],
        "uses": [{ "person": "dana", "permission": "read", "index": 4, "time": 1_800_000_000_000_u64 }],
        "unused": [{ "person": "dana", "permission": "push" }],
        "reviewed_at_index": 9,
    });
    let drill = json!({
        "schema": DrillReport::SCHEMA,
        "ledger": "lockgate.example/log/1",
        "entries": 9,
        "root": digest,
        "ran_at": 1_800_000_000_000_u64,
        "took_ms": 800,
        "tool": "lockgate/0.1.0",
        "attacks": [
            { "name": "old-copy", "did": "an older state", "outcome": "caught", "wanted": ["ROLLBACK_DETECTED"],
              "check": "audit", "code": "ROLLBACK_DETECTED", "also": ["HISTORY_CHANGED"], "message": "fewer entries",
              "took_ms": 9 },
            { "name": "key-swapped", "did": "another key", "outcome": "missed", "wanted": ["SIGNATURE_INVALID"],
              "check": "audit", "code": "ROOT_MISMATCH", "took_ms": 9 },
            { "name": "deny-dropped", "did": "nothing was denied yet", "outcome": "skipped" },
            { "name": "bundle-forged", "did": "no key is here", "outcome": "skipped", "lacks": "a key" },
            { "name": "index-edited", "did": "no room", "outcome": "failed", "code": "DISK_FULL" },
        ],
    });
    Ok(vec![
        Target::new("drill-report", vec![canonical::to_vec(&drill)?], |input| {
            Outcome::spelled(input, &DrillReport::from_bytes(input), DrillReport::to_bytes)
        }),
        Target::new("backtest-report", vec![report.to_bytes()?], |input| {
            Outcome::spelled(input, &BacktestReport::from_bytes(input), BacktestReport::to_bytes)
        }),
        Target::new("change-draft", events, |input| Outcome::spelled(input, &read_draft(input), draft_bytes)),
        Target::new("access-entry", vec![canonical::to_vec(&access)?], |input| {
            Outcome::spelled(input, &AccessEntry::from_bytes(input), AccessEntry::to_bytes)
        }),
        Target::new("access-review", vec![canonical::to_vec(&review)?], |input| {
            Outcome::spelled(input, &AccessReview::from_bytes(input), AccessReview::to_bytes)
        }),
    ])
}
