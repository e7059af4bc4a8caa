//! The table of failpoints: every place that has a name, and when it is passed.

/// A named place in the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// Its name: the part of the program, then what has just been done or comes next.
    pub name: &'static str,
    /// When it is passed.
    pub when: When,
    /// Whether the step behind it can also be made to fail.
    pub fails: bool,
    /// What a kill there leaves behind.
    pub says: &'static str,
}

/// When a place is passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// At the first start in an empty home alone.
    First,
    /// At every start.
    Start,
    /// When something is asked of the server.
    Request,
    /// When time passes.
    Tick,
    /// When the server is told to stop.
    Stop,
    /// When both logs are rechecked after a failed flush.
    Recheck,
}

impl When {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::First => "first start",
            Self::Start => "start",
            Self::Request => "request",
            Self::Tick => "tick",
            Self::Stop => "stop",
            Self::Recheck => "recheck",
        }
    }
}

const fn at(when: When, name: &'static str, says: &'static str) -> Point {
    Point { name, when, fails: false, says }
}

const fn failing(when: When, name: &'static str, says: &'static str) -> Point {
    Point { name, when, fails: true, says }
}

use When::{First, Recheck, Request, Start, Stop, Tick};

/// Every failpoint; `cargo xtask tidy` compares it with the calls in the source.
pub const POINTS: &[Point] = &[
    at(First, "keys.attestation-written", "one of two key files"),
    at(First, "keys.written", "both key files, and no ledger"),
    at(First, "begin.code-written", "a one-time code for no ledger"),
    at(First, "begin.ledger-created", "entry 0, and no mark that the keys have begun a ledger"),
    at(First, "begin.marked", "entry 0 and its mark"),
    at(First, "migration.before-commit", "a schema that is not committed"),
    at(First, "migration.committed", "an empty store with a schema"),
    at(Start, "start.begun", "nothing new"),
    at(Start, "start.store-opened", "an open store"),
    at(Start, "start.marks-checked", "a store that was compared with the high-water mark"),
    at(Start, "start.engine-opened", "a sequencer that runs"),
    at(Start, "start.access-log-opened", "both logs open"),
    at(Start, "start.announced", "an address in server.json that nobody answers"),
    at(Start, "file.written", "a temporary file beside the one that it was to replace"),
    at(Start, "file.renamed", "the new file, whose name may not be on the disk"),
    at(Start, "store.locked", "a lock that ends with the process"),
    at(Start, "store.staging-emptied", "an empty tmp/"),
    at(Start, "store.database-opened", "a database that was checked"),
    at(Start, "open.tree-restored", "a tree in memory"),
    at(Start, "open.governance-folded", "governance in memory"),
    at(Start, "open.index-ensured", "the index rows"),
    at(Start, "open.head-signed", "a head that was signed again and told nobody"),
    failing(Request, "blob.staging", "nothing; where it fails, the disk is said to be full"),
    at(Request, "blob.staged", "an empty file under tmp/"),
    at(Request, "blob.written", "part of a blob under tmp/"),
    at(Request, "blob.before-flush", "a whole blob under tmp/, perhaps not on the disk"),
    at(Request, "blob.flushed", "a whole blob under tmp/"),
    at(Request, "blob.shard-made", "the same, and its directory"),
    at(Request, "blob.linked", "the blob under both names"),
    at(Request, "blob.durable", "the blob under both names, on the disk"),
    at(Request, "upload.stored", "a blob that nobody was told of"),
    at(Request, "session.opened", "a session whose token nobody has"),
    at(Request, "push.published", "a staged release"),
    at(Request, "push.evaluated", "a staged release with its evidence"),
    at(Request, "evidence.recorded", "staged evidence"),
    at(Request, "promote.requested", "a staged request without a decision"),
    at(Request, "evaluate.decided", "a staged decision without what follows from it"),
    at(Request, "evaluate.attested", "a staged decision with its attestations, and no grant"),
    at(Request, "evaluate.granted", "a staged grant"),
    at(Request, "approve.verified", "nothing of the approval"),
    at(Request, "approve.recorded", "a staged approval without a new decision"),
    at(Request, "promotion.closed", "a staged end of a promotion"),
    at(Request, "policy.activated", "a staged change of the policy set"),
    at(Request, "key.added", "a staged further key"),
    at(Request, "key.revoked", "a staged end of a key"),
    at(Request, "waive.requested", "a staged request for a waiver"),
    at(Request, "waive.granted", "a staged waiver without new decisions"),
    at(Request, "freeze.ordered", "a staged freeze"),
    at(Request, "freeze.lifted", "a staged end of a freeze without new decisions"),
    at(Request, "feed.recorded", "a staged snapshot of a feed"),
    at(Request, "sequencer.taken", "requests that were taken from the queue"),
    at(Request, "sequencer.before-commit", "a whole batch in memory"),
    at(Request, "sequencer.committed", "a durable batch under a head that nobody has signed"),
    at(Request, "sequencer.signed", "a durable batch under a signed head that nobody has seen"),
    at(Request, "sequencer.published", "a durable batch that readers see and nobody was told of"),
    at(Request, "sequencer.answered", "a durable batch whose replies are on their way"),
    at(Request, "commit.begun", "an open transaction"),
    at(Request, "commit.entries-inserted", "entries without tiles in an open transaction"),
    at(Request, "commit.tiles-put", "tiles without bodies in an open transaction"),
    at(Request, "commit.rows-written", "everything but the head in an open transaction"),
    at(Request, "commit.written", "a durable batch, inside the store"),
    failing(Request, "transaction.before-commit", "an open transaction; where it fails, the disk is said to be full"),
    failing(
        Request,
        "transaction.committed",
        "a committed transaction; where it fails, the flush is said to have failed, and the process stops",
    ),
    at(Request, "checkpoint.before-save", "a signed head that is not stored"),
    at(Request, "checkpoint.saved", "a signed head that is stored"),
    at(Request, "reply.begun", "an acknowledged write without its proof"),
    at(Request, "reply.made", "a reply that nobody has read"),
    at(Request, "access-log.before-commit", "records of requests in memory"),
    at(Request, "access-log.committed", "durable records under a head that nobody has signed"),
    at(Request, "access-log.saved", "durable records under a stored head"),
    at(Tick, "tick.begun", "nothing new"),
    at(Tick, "tick.decided", "a promotion that was decided again"),
    at(Tick, "tick.replies-expired", "fewer old replies"),
    at(Tick, "tick.tidied", "fewer old sessions"),
    at(Tick, "tick.marks-kept", "new high-water marks"),
    at(Stop, "stop.told", "a server that still answers"),
    at(Stop, "stop.served", "a server without connections"),
    at(Stop, "stop.scheduler-ended", "a server without a scheduler"),
    at(Stop, "stop.access-log-closed", "an access log that is whole"),
    at(Stop, "stop.done", "a server that has stopped, all but its process"),
    at(Stop, "wal.before-copy", "a write-ahead log that is not copied into the database"),
    at(Stop, "wal.copied", "a write-ahead log that was copied"),
    at(Recheck, "recheck.begun", "nothing new, and the mark"),
    at(Recheck, "recheck.copied", "a copy of the database under another name, perhaps not on the disk"),
    at(Recheck, "recheck.flushed", "a whole copy of the database under another name"),
    at(Recheck, "recheck.whole", "the same, named as whole, beside the database"),
    at(Recheck, "recheck.log-removed", "the same, and the database without its write-ahead log"),
    at(Recheck, "recheck.in-place", "the copy in the place of the database; its name may not be on the disk"),
    at(Recheck, "recheck.directory-changed", "an empty file in a directory"),
    at(Recheck, "recheck.blobs-flushed", "everything written anew, and the mark"),
    at(Recheck, "recheck.unmarked", "no mark; that may not be on the disk"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_stands_once_and_there_are_enough() {
        let mut names: Vec<&str> = POINTS.iter().map(|point| point.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), POINTS.len());
        assert!(names.len() >= 40, "{}", names.len());
    }
}
