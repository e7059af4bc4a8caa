//! Integrity: what this process has found to be other than what was signed or hashed, and what follows from it.
//!
//! Whoever reads goes on to be answered, each for itself; the server says that it is not ready, and does not append to a
//! ledger that is in doubt. Nothing ends that but a start, which reads what is stored anew.

use std::sync::OnceLock;

use lockgate_store::{DAMAGED, DIGEST_MISMATCH};

use crate::fault::{Fault, Kind};

/// Faults by which a log itself is in doubt. No input of a caller gives one of kind [`Kind::Integrity`].
const OF_LOG: [&str; 6] =
    ["ENTRY_CHANGED", "ENTRY_INVALID", "ENTRY_MISSING", "LEDGER_SHRUNK", "PROOF_FAILED", "STREAM_BROKEN"];
/// Faults by which something that is stored beside it is damaged.
const BESIDE: [&str; 3] = ["DIGEST_MISMATCH", "REPLY_DAMAGED", "STORE_CORRUPT"];

/// What is done about it, and where it stands in full.
const ADVICE: &str = "stop the server, keep a copy of its data, put back from a backup what `lockgate audit` names, and \
                      start again: docs/operations.md, \"Damaged data\"";

/// Which log a fault was met in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Log {
    /// The ledger, and what is stored with it.
    Ledger,
    /// The access log: the ledger is no worse for it.
    Access,
}

/// The first faults that were found.
#[derive(Debug, Default)]
pub struct Integrity {
    /// Of anything that is stored.
    found: OnceLock<&'static str>,
    /// Of the ledger itself.
    ledger: OnceLock<&'static str>,
}

impl Integrity {
    /// Remembers a fault, where it says that what is stored is damaged; others are somebody else's.
    pub fn note(&self, log: Log, fault: &Fault) {
        let is_of_log = OF_LOG.contains(&fault.code);
        // A body may also be unreadable because it is over a limit, which a caller can bring about.
        let is_damage = [DIGEST_MISMATCH, DAMAGED].iter().any(|word| fault.message.contains(word));
        let is_beside = BESIDE.contains(&fault.code) || (fault.code == "BODY_UNREADABLE" && is_damage);
        if fault.kind != Kind::Integrity || !(is_of_log || is_beside) {
            return;
        }
        // The operator needs the place, which the caller is not told.
        let found = fault.context.as_ref().unwrap_or(&fault.message);
        if self.found.set(fault.code).is_ok() {
            tracing::error!(code = fault.code, ?found, "what is stored is damaged: not ready any more");
        }
        if is_of_log && log == Log::Ledger && self.ledger.set(fault.code).is_ok() {
            tracing::error!(code = fault.code, ?found, "the ledger is in doubt: nothing is appended");
        }
    }

    /// Whether nothing was found: what `GET /readyz` says.
    ///
    /// # Errors
    /// The code of the first fault, of the ledger where there is one.
    pub fn check_ready(&self) -> Result<(), Fault> {
        match self.ledger.get().or(self.found.get()).copied() {
            None => Ok(()),
            Some(code) => {
                Err(Fault::new(Kind::Integrity, code, "what is stored was found damaged since the last start")
                    .hint(ADVICE))
            }
        }
    }

    /// INVARIANT (nothing is built on doubt): once the ledger was found damaged, no batch is committed, and no grant is
    /// found, since a freeze or a lost key could not be recorded any more.
    ///
    /// # Errors
    /// `LEDGER_DOUBTFUL`.
    pub fn check_ledger(&self) -> Result<(), Fault> {
        match self.ledger.get() {
            None => Ok(()),
            Some(code) => {
                let message =
                    format!("the ledger was found damaged ({code}): nothing is appended to it, nor granted from it");
                Err(Fault::new(Kind::Integrity, "LEDGER_DOUBTFUL", message).hint(
                    "whoever runs the server mends it as docs/operations.md says under \"Damaged data\"; proofs go on to be \
                     verified",
                ))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use lockgate_store::StoreError;

    use super::*;

    #[test]
    fn what_is_damaged_is_not_ready_and_a_doubtful_ledger_takes_nothing() {
        /// What a fault makes of readiness and of appending.
        fn check(log: Log, kind: Kind, code: &'static str, message: &str, ready: bool, appends: bool) {
            let integrity = Integrity::default();
            integrity.note(log, &Fault::new(kind, code, message));
            assert_eq!(integrity.check_ready().map_err(|fault| fault.code), if ready { Ok(()) } else { Err(code) });
            assert_eq!(integrity.check_ledger().is_ok(), appends, "{code}");
        }
        check(Log::Ledger, Kind::Integrity, "ENTRY_CHANGED", "", false, false);
        check(Log::Access, Kind::Integrity, "ENTRY_CHANGED", "", false, true);
        check(Log::Ledger, Kind::Integrity, "DIGEST_MISMATCH", "", false, true);
        check(Log::Ledger, Kind::Integrity, "BODY_UNREADABLE", "cannot read a: digest mismatch: b", false, true);
        let page = StoreError::Corrupt("a malformed page".to_owned()).to_string();
        check(Log::Ledger, Kind::Integrity, "BODY_UNREADABLE", &format!("cannot read a: {page}"), false, true);
        // What a caller may have brought about.
        check(Log::Ledger, Kind::Integrity, "BODY_UNREADABLE", "cannot read a: 9 bytes are over the limit", true, true);
        check(Log::Ledger, Kind::Integrity, "BACKTEST_DIFFERS", "", true, true);
        check(Log::Ledger, Kind::Invalid, "DIGEST_MISMATCH", "", true, true);
        check(Log::Ledger, Kind::Invalid, "ENTRY_MISSING", "", true, true);
    }

    #[test]
    fn doubt_of_the_ledger_is_told_before_what_was_found_first() {
        let integrity = Integrity::default();
        integrity.note(Log::Ledger, &Fault::new(Kind::Integrity, "DIGEST_MISMATCH", "bytes"));
        integrity.note(Log::Ledger, &Fault::new(Kind::Integrity, "STREAM_BROKEN", "links"));
        assert_eq!(integrity.check_ready().unwrap_err().code, "STREAM_BROKEN");
        let doubt = integrity.check_ledger().unwrap_err();
        assert!(doubt.code == "LEDGER_DOUBTFUL" && doubt.message.contains("STREAM_BROKEN"), "{doubt}");
    }
}
