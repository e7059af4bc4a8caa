//! Policy: activate another policy set.

use lockgate_ledger::Event;
use lockgate_ledger::backtest::BacktestReport;
use lockgate_ledger::entry::PolicyActivated;
use lockgate_model::{Digest, PersonId};
use lockgate_policy::{Decision, PolicySet, run_tests};

use crate::change;
use crate::fault::{Fault, Kind};
use crate::sequencer::Submission;

/// Activates a policy set that loads and whose own tests pass, or proposes it where several people have to sign. Open
/// promotions are decided again by the scheduler;
/// approvals given under the old set do not count under the new one.
///
/// # Errors
/// `POLICY_INVALID`, `POLICY_TESTS_FAILED`, `POLICY_MISMATCH` or `NOT_PERMITTED`.
pub fn activate(by: &PersonId, document: Vec<u8>, event: PolicyActivated) -> Result<Submission, Fault> {
    activate_with(by, document, None, event)
}

/// The same, with the backtest that the event names by digest.
///
/// # Errors
/// As [`activate`]; the ledger refuses a backtest that is missing, unreadable or of another policy set:
/// `BACKTEST_MISSING`, `BACKTEST_INVALID`, `BACKTEST_STALE`. It is not made again here: whoever signs does that. So one
/// that nobody could make again is refused.
pub fn activate_with(
    by: &PersonId,
    document: Vec<u8>,
    backtest: Option<Vec<u8>>,
    event: PolicyActivated,
) -> Result<Submission, Fault> {
    if event.by != *by {
        return Err(Fault::new(
            Kind::NotPermitted,
            "NOT_PERMITTED",
            format!("this was signed by `{}`, but `{by}` is signed in", event.by),
        ));
    }
    let set = PolicySet::from_document(&document).map_err(|errors| {
        let all: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Fault::invalid("POLICY_INVALID", all.join("\n")).hint("`lockgate policy check DIR` shows each problem")
    })?;
    if Digest::of(&document) != event.policy {
        return Err(Fault::new(
            Kind::Denied,
            "POLICY_MISMATCH",
            "the signature is for another policy set than the one handed in",
        ));
    }
    let failed = run_tests(&set).into_iter().filter(|test| !test.passed).count();
    if failed > 0 {
        return Err(Fault::invalid("POLICY_TESTS_FAILED", format!("{failed} of the policy set's own tests fail"))
            .hint("`lockgate policy test DIR` shows them"));
    }
    if let Some(report) = &backtest {
        check_report(&BacktestReport::from_bytes(report)?)?;
    }
    let documents = std::iter::once(document).chain(backtest).collect();
    Ok(change::submit(by.clone(), Event::PolicyActivated(event), documents))
}

/// Whether others can make a report again: by these rules, and with every body at hand.
fn check_report(report: &BacktestReport) -> Result<(), Fault> {
    let stale = |why: String| {
        Err(Fault::new(Kind::Conflict, "BACKTEST_STALE", format!("nobody can make this backtest again: {why}"))
            .hint("run `lockgate policy backtest DIR --report FILE` again, with this version"))
    };
    if report.engine.split('+').next() != Some(Decision::ENGINE) {
        return stale(format!("`{}` made it", report.engine.escape_debug()));
    }
    match report
        .errors
        .iter()
        .find(|error| matches!(error.code.as_str(), "BODY_MISSING" | "BODY_UNREADABLE" | "STORE_FAILED"))
    {
        Some(error) => stale(format!("what decision {} rests on could not be read", error.entry)),
        None => Ok(()),
    }
}
