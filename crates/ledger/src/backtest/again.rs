//! Again: a report that somebody has signed, or is about to sign, is made once more and compared.

use std::borrow::Cow;
use std::io::Read;
use std::sync::Arc;

use lockgate_model::{Digest, EntryIndex, TreeSize};
use lockgate_policy::{Decision, PolicySet};

use super::{BacktestReport, Backtested, History, Since, backtest, stale};
use crate::bodies::{Bodies, BodyError};
use crate::state::ApplyError;

impl BacktestReport {
    /// Makes the report again from the entries that it is about, and compares everything; `None` where the rules of
    /// another version made it, by which this one cannot decide.
    ///
    /// Where another version of the time zone database is all that differs, it is still compared, but for that
    /// version's name; what only warned is compared where the report has it. That `source` itself is the ledger in
    /// question is for the caller to check.
    ///
    /// # Errors
    /// `BACKTEST_DIFFERS`; `BACKTEST_STALE` where the source has fewer entries; `BODY_MISSING` where a decision cannot
    /// be made for want of a body, and could be for the report; or as [`backtest`].
    pub fn made_again<S: History>(
        &self,
        source: &S,
        proposed: &Arc<PolicySet>,
        progress: impl FnMut(u64, u64),
    ) -> Result<Option<Backtested>, ApplyError> {
        // 1. By the same rules.
        if self.engine.split('+').next() != Some(Decision::ENGINE) {
            return Ok(None);
        }
        // 2. From the same entries.
        let (size, _) = source.size_and_root().map_err(|why| ApplyError::new("ENTRY_UNREADABLE", why))?;
        if size < self.tree_size {
            return Err(stale("it counts entries that the ledger does not have"));
        }
        let (since, first) = (Since::Entry(self.first_entry), self.tree_size);
        let beginning = Beginning { source, size: first, root: self.root };
        let mut done = backtest(&beginning, proposed, since, progress).map_err(|error| match error.code {
            "ROOT_MISMATCH" => differs(&format!("the first {first} entries have another root")),
            _ => error,
        })?;
        // 3. What could not be read here is no difference.
        let unread = done.report.errors.iter().find(|error| {
            matches!(error.code.as_str(), "BODY_MISSING" | "BODY_UNREADABLE" | "STORE_FAILED")
                && !self.errors.contains(error)
        });
        if let Some(error) = unread {
            return Err(ApplyError::new("BODY_MISSING", format!("decision {}: {}", error.entry, error.message)));
        }
        // 4. The same comes out.
        if self.engine.starts_with(&format!("{}+tzdb-", Decision::ENGINE)) {
            done.report.engine.clone_from(&self.engine);
        }
        let counted = done.report.would_block.clone().filter(|_| self.would_block.is_some());
        let again = Self { would_block: counted, ..done.report.clone() };
        match again == *self {
            true => Ok(Some(done)),
            false => Err(differs(&format!("{}, and it says {}", told(&again), told(self)))),
        }
    }
}

fn differs(why: &str) -> ApplyError {
    ApplyError::new("BACKTEST_DIFFERS", format!("the backtest is not what comes out when it is made again: {why}"))
}

/// What a report comes to, in words.
fn told(report: &BacktestReport) -> String {
    let (flips, errors) = (report.flips.len(), report.errors.len());
    format!("{flips} flips and {errors} errors in {} decisions", report.decisions)
}

/// The first entries of a history.
struct Beginning<'a, S> {
    source: &'a S,
    size: TreeSize,
    root: Digest,
}

impl<S: History> Bodies for Beginning<'_, S> {
    fn body(&self, digest: &Digest) -> Result<Option<Cow<'_, [u8]>>, BodyError> {
        self.source.body(digest)
    }

    fn body_reader(&self, digest: &Digest) -> Result<Option<Box<dyn Read + '_>>, BodyError> {
        self.source.body_reader(digest)
    }
}

impl<S: History> History for Beginning<'_, S> {
    fn size_and_root(&self) -> Result<(TreeSize, Digest), String> {
        Ok((self.size, self.root))
    }

    fn page(&self, first: EntryIndex, most: usize) -> Result<Vec<Vec<u8>>, String> {
        self.source.page(first, most)
    }
}
