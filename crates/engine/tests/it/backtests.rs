//! Backtests: what a report counts, which one a change of policy may carry, and that an audit makes each again.

use std::collections::BTreeMap;
use std::sync::Arc;

use lockgate_engine::audit::StoreSource;
use lockgate_engine::{Fault, Receipt, policy};
use lockgate_ledger::backtest::{BacktestReport, Since, WouldBlock, backtest};
use lockgate_ledger::entry::PolicyActivated;
use lockgate_ledger::governance::POLICY_NAMESPACE;
use lockgate_model::{Digest, EntryIndex, TreeSize};
use lockgate_policy::{Decision, PolicySet};
use lockgate_sign::ssh_signer::SshSigner as _;

use crate::world::{World, key_of, person};

const ORIGIN: &str = "log1.test.example";
const TWO: (&str, &str, &str) = ("gates/approvals.toml", "at_least = 1", "at_least = 2");
const DEMANDED: (&str, &str, &str) = ("policy.toml", "quorum = 2\n", "quorum = 2\nbacktest = true\n");
/// One gate that is announced, and one that only warns; nothing meets them.
const WARNING: &str = "[[gate]]\nname = \"announced\"\nkind = \"tests\"\nenvironments = [\"production\"]\n\
                       min_passed = 1000\nenforce_from = \"2099-01-01\"\n\n\
                       [[gate]]\nname = \"hint\"\nkind = \"tests\"\nenvironments = [\"dev\"]\n\
                       min_passed = 1000\nmode = \"warn\"\n";

/// `shop/web@1.0.0` in production: decided on twice, and once in each environment before.
fn granted() -> World {
    let world = World::starter();
    world.push("shop/web@1.0.0");
    let (promotion, _) = world.promote("shop/web@1.0.0", "production").unwrap();
    world.approve(promotion, "sam").unwrap();
    world
}

/// The starter set without its own tests, changed: each text, once in its file, by another.
fn changed(changes: &[(&str, &str, &str)], gates: &str) -> Arc<PolicySet> {
    let mut files = PolicySet::starter("starter").unwrap();
    files.retain(|path, _| !path.starts_with("tests/"));
    for (path, from, to) in changes {
        let text = files.get_mut(*path).unwrap();
        assert_eq!(text.matches(from).count(), 1, "{from} in {path}");
        *text = text.replace(from, to);
    }
    if !gates.is_empty() {
        files.insert("gates/more.toml".to_owned(), gates.to_owned());
    }
    Arc::new(PolicySet::from_files(files).unwrap())
}

fn report(world: &World, set: &Arc<PolicySet>, since: Since) -> BacktestReport {
    backtest(&StoreSource(&world.store), set, since, |_, _| {}).unwrap().report
}

/// Activates a set with whatever report, signed by sam.
fn activate(world: &World, set: &PolicySet, report: Option<&BacktestReport>) -> Result<Receipt, Fault> {
    let bytes = report.map(|report| report.to_bytes().unwrap());
    let governance = world.engine().governance().unwrap();
    let mut event = PolicyActivated {
        policy: set.digest(),
        previous: governance.policy_digest,
        previous_at: governance.policy_at,
        reason: "a test".to_owned(),
        by: person("sam"),
        signature: String::new(),
        countersigned: Vec::new(),
        backtest: bytes.as_deref().map(Digest::of),
    };
    let signed = event.demand(ORIGIN).unwrap().document;
    event.signature = key_of("sam").sign(POLICY_NAMESPACE, &signed).unwrap().to_armored();
    world.engine().run(policy::activate_with(&person("sam"), set.document(), bytes, event)?)
}

#[test]
fn what_would_be_blocked_is_counted_gate_by_gate() {
    let world = granted();
    let report = report(&world, &changed(&[], WARNING), Since::Start);
    assert_eq!((report.unchanged, report.flips.len()), (report.decisions, 0));
    let rows = report.would_block.iter().flatten();
    let told = |row: &WouldBlock| {
        format!("{} {} {}", row.gate, row.decisions, row.enforced_from.map(|from| from.to_string()).unwrap_or_default())
    };
    assert_eq!(rows.map(told).collect::<Vec<_>>(), ["announced 2 2099-01-01T00:00:00Z", "hint 1 "]);
}

#[test]
fn an_audit_makes_every_report_again() {
    type Change = fn(BacktestReport) -> BacktestReport;
    let check = |since: Since, change: Change, wanted: (&[&str], &[&str], u64)| {
        let mut world = granted();
        let stricter = changed(&[TWO], WARNING);
        let given = change(report(&world, &stricter, since));
        activate(&world, &stricter, Some(&given)).unwrap();
        world.damaged();
        let audited = world.audit();
        let problems: Vec<&str> = audited.problems.iter().map(|problem| problem.code).collect();
        let notes: Vec<&str> = audited.notes.iter().map(|note| note.code).collect();
        assert_eq!((problems.as_slice(), notes.as_slice(), audited.backtests), wanted, "{:?}", audited.problems);
    };
    let same: Change = |report| report;
    let differs: (&[&str], &[&str], u64) = (&["BACKTEST_DIFFERS"], &[], 0);
    let forked: (&[&str], &[&str], u64) = (&["BACKTEST_DIFFERS", "HISTORY_CHANGED"], &[], 0);
    let fine: (&[&str], &[&str], u64) = (&[], &[], 1);
    check(Since::Start, same, fine);
    check(Since::Entry(EntryIndex(6)), same, fine);
    check(Since::Entry(EntryIndex(1_000)), same, fine);
    // Nothing flips, and nothing would be blocked.
    let quiet: Change = |report| {
        assert!(!report.flips.is_empty() && report.errors.is_empty());
        BacktestReport { unchanged: report.decisions, flips: Vec::new(), totals: BTreeMap::new(), ..report }
    };
    check(Since::Start, quiet, differs);
    check(Since::Start, |report| BacktestReport { would_block: Some(Vec::new()), ..report }, differs);
    check(Since::Entry(EntryIndex(1_000)), |report| BacktestReport { first_entry: EntryIndex(0), ..report }, differs);
    let shorter: Change = |report| BacktestReport { tree_size: TreeSize(report.tree_size.0 - 1), ..report };
    check(Since::Start, shorter, forked);
    // From before it was counted what only warns, and by another version of the time zone database.
    check(Since::Start, |report| BacktestReport { would_block: None, ..report }, fine);
    check(Since::Start, |report| BacktestReport { engine: format!("{}+tzdb-1999z", Decision::ENGINE), ..report }, fine);
    check(Since::Start, |report| BacktestReport { engine: Decision::ENGINE.to_owned(), ..report }, differs);
}

/// Nobody could say of such a report whether it is right.
#[test]
fn a_report_that_nobody_can_make_again_is_not_taken() {
    let world = granted();
    let next = changed(&[TWO], "");
    let given = report(&world, &next, Since::Start);
    let stale = |report: BacktestReport| {
        let fault = activate(&world, &next, Some(&report)).unwrap_err();
        assert_eq!(fault.code, "BACKTEST_STALE", "{}", fault.message);
    };
    stale(BacktestReport { engine: "lockgate-decide/0".to_owned(), ..given.clone() });
    activate(&world, &next, Some(&given)).unwrap();
}

#[test]
fn a_demand_is_met_by_the_whole_history_alone() {
    let world = granted();
    activate(&world, &changed(&[DEMANDED], ""), None).unwrap();
    let next = changed(&[DEMANDED, TWO], "");
    let refused = |given: Option<&BacktestReport>| activate(&world, &next, given).unwrap_err().code;
    assert_eq!(refused(None), "BACKTEST_MISSING");
    for first in [1, world.size()] {
        let part = report(&world, &next, Since::Entry(EntryIndex(first)));
        assert_eq!(refused(Some(&part)), "BACKTEST_MISSING", "from {first}");
    }
    activate(&world, &next, Some(&report(&world, &next, Since::Start))).unwrap();
}
