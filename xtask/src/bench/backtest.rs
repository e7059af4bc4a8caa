//! Backtest: a history of thousands of decisions, decided again under another policy set; every signature is verified.

use std::sync::Arc;
use std::time::Instant;

use lockgate_engine::audit::StoreSource;
use lockgate_ledger::backtest::{Since, backtest};

use super::history::{DECISIONS_EACH, History, policy};
use super::report::Row;
use crate::failure::{Failure, Result};

/// How many decisions are made again, of a full bench.
pub const DECISIONS: u64 = 10_000;
/// How many seconds that may take, on two cores.
const MOST_SECS: f64 = 20.0;

/// Backtests a history once: it reads and verifies everything, which leaves little to chance.
///
/// # Errors
/// When the proposed policy set does not load, or the history does not verify.
pub fn measure(history: &History) -> Result<Row> {
    // The scans of the history find what is medium: under this policy set production would have been refused.
    let stricter = policy(|path, text| match path {
        "gates/evidence.toml" => text.replace("block = [\"critical\", \"high\"]", "block = [\"medium\"]"),
        _ => text.to_owned(),
    })?;
    let started = Instant::now();
    let done = backtest(&StoreSource(&*history.store), &Arc::new(stricter), Since::Start, |_, _| {})?;
    let seconds = started.elapsed().as_secs_f64();
    let report = &done.report;
    let expected = history.extent.promotions * DECISIONS_EACH;
    if report.decisions < expected || !report.errors.is_empty() {
        let (decisions, errors) = (report.decisions, report.errors.len());
        return Err(Failure::new(format!(
            "{decisions} decisions of {expected} were made again, {errors} with an error"
        )));
    }
    let what = format!(
        "backtest of {} decisions in {} entries, {} of which come out differently",
        report.decisions,
        report.tree_size,
        report.flips.len()
    );
    // Where a short history is measured, the goal is as short.
    let most = MOST_SECS * report.decisions as f64 / DECISIONS as f64;
    Ok(Row::at_most(&what, seconds, seconds, most, &format!("{most:.1} s"), "s"))
}
