//! Tests of reports of backtests: what reads, and which change a report is about.

use super::*;

fn warned(gate: &str, decisions: u64) -> WouldBlock {
    WouldBlock { gate: gate.parse().unwrap(), decisions, enforced_from: Some(UnixMillis(7)) }
}

fn report() -> BacktestReport {
    BacktestReport {
        schema: BacktestReport::SCHEMA.to_owned(),
        ledger: "log.example".to_owned(),
        base: Digest::of(b"base"),
        proposed: Digest::of(b"proposed"),
        engine: Decision::zoned_engine(),
        first_entry: EntryIndex(0),
        tree_size: TreeSize(9),
        root: Digest::of(b"root"),
        decisions: 3,
        unchanged: 1,
        totals: BTreeMap::from([("allow to deny".to_owned(), 1)]),
        would_block: Some(vec![warned("announced", 2), warned("hint", 3)]),
        flips: vec![Flip {
            entry: EntryIndex(4),
            time: UnixMillis(5),
            promotion: PromotionId(1),
            release: "shop/web@1.0.0".parse().unwrap(),
            environment: "production".parse().unwrap(),
            before: Outcome::Allow,
            after: Outcome::Deny,
            gates: vec![],
        }],
        errors: vec![NotDecided {
            entry: EntryIndex(6),
            promotion: PromotionId(2),
            release: "shop/web@1.0.1".parse().unwrap(),
            environment: "gone".parse().unwrap(),
            before: Outcome::Pending,
            code: "ENVIRONMENT_UNKNOWN".to_owned(),
            message: "none".to_owned(),
        }],
    }
}

#[test]
fn reports_read_back_and_account_for_everything() {
    let bytes = report().to_bytes().unwrap();
    assert_eq!(BacktestReport::from_bytes(&bytes).unwrap(), report());
    let refused =
        |report: &BacktestReport| BacktestReport::from_bytes(&report.to_bytes().unwrap()).map(|_| ()).unwrap_err().code;
    assert_eq!(refused(&BacktestReport { decisions: 4, ..report() }), "BACKTEST_INVALID");
    assert_eq!(refused(&BacktestReport { schema: "other".to_owned(), ..report() }), "BACKTEST_INVALID");
    let totals = |rows: &[(&str, u64)]| {
        let totals = rows.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect();
        BacktestReport { totals, ..report() }
    };
    assert_eq!(totals(&[("allow to deny", 1)]), report());
    for wrong in [
        totals(&[]),
        totals(&[("allow to deny", 2)]),
        totals(&[("deny to allow", 1)]),
        totals(&[("allow to deny", 1), ("deny to allow", 0)]),
    ] {
        assert_eq!(refused(&wrong), "BACKTEST_INVALID", "{:?}", wrong.totals);
    }
    let mut same = BacktestReport { totals: BTreeMap::from([("allow to allow".to_owned(), 1)]), ..report() };
    same.flips[0].after = Outcome::Allow;
    assert_eq!(refused(&same), "BACKTEST_INVALID");
    let unordered = vec![warned("b", 1), warned("a", 1)];
    for wrong in [vec![warned("a", 0)], vec![warned("a", 4)], unordered, vec![warned("a", 1); 2]] {
        let report = BacktestReport { would_block: Some(wrong), ..report() };
        assert_eq!(refused(&report), "BACKTEST_INVALID", "{:?}", report.would_block);
    }
    // One from before this was counted.
    let old = BacktestReport { would_block: None, ..report() };
    assert_eq!(BacktestReport::from_bytes(&old.to_bytes().unwrap()).unwrap(), old);
    let spaced = [b" ".as_slice(), &bytes].concat();
    assert_eq!(BacktestReport::from_bytes(&spaced).unwrap_err().code, "BACKTEST_INVALID");
    let long = vec![b' '; BACKTEST_MAX_BYTES + 1];
    assert_eq!(BacktestReport::from_bytes(&long).unwrap_err().code, "BACKTEST_TOO_LARGE");
}

#[test]
fn a_report_is_about_one_change() {
    let check = |ledger: &str, proposed: &[u8], base: &[u8], fits: bool| {
        let checked = report().check(ledger, Digest::of(proposed), Digest::of(base));
        assert_eq!(checked.is_ok(), fits, "{ledger}");
        assert!(fits || checked.unwrap_err().code == "BACKTEST_STALE");
    };
    check("log.example", b"proposed", b"base", true);
    check("other.example", b"proposed", b"base", false);
    check("log.example", b"other", b"base", false);
    check("log.example", b"proposed", b"other", false);
}

#[test]
fn history_is_looked_at_from_a_point_on() {
    let check = |since: Since, expected: bool| {
        assert_eq!(since.includes(EntryIndex(7), UnixMillis(70)), expected, "{since:?}");
    };
    check(Since::Start, true);
    check(Since::Entry(EntryIndex(7)), true);
    check(Since::Entry(EntryIndex(8)), false);
    check(Since::Time(UnixMillis(70)), true);
    check(Since::Time(UnixMillis(71)), false);
}

/// It is sent as a text in JSON, beside the policy set.
#[test]
fn a_report_of_ten_thousand_flips_fits_a_request() {
    let gates = vec![FlippedGate {
        gate: "approvals".parse().unwrap(),
        before: Some(GateOutcome::Pass),
        after: Some(GateOutcome::Pending),
        reason: Some("QUORUM_NOT_MET".to_owned()),
        rule: Some(Rule { file: "gates/approvals.toml".to_owned(), line: 12 }),
    }];
    let flip = Flip { time: UnixMillis(1_800_000_000_000), gates, ..report().flips.remove(0) };
    let (flips, totals) = (vec![flip; 10_000], BTreeMap::from([("allow to deny".to_owned(), 10_000)]));
    let report = BacktestReport { decisions: 10_000, unchanged: 0, totals, flips, errors: Vec::new(), ..report() };
    let bytes = report.to_bytes().unwrap();
    assert!(BacktestReport::from_bytes(&bytes).is_ok(), "{}", bytes.len());
    let sent = serde_json::to_string(std::str::from_utf8(&bytes).unwrap()).unwrap().len();
    let most = Limits::DEFAULT.json_body_bytes * 4 - Limits::DEFAULT.policy_bytes;
    assert!(sent * BACKTEST_MAX_BYTES / bytes.len() <= most, "{sent} of {most}");
}
