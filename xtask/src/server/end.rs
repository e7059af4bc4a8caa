//! The end of a server: what its exit status and its log say of it.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use lockgate_api::Exit;

/// The exit code of a program whose main thread panicked.
const PANICKED: i32 = 101;
/// What the standard library says of a panic, in whichever thread.
const PANIC: &str = "panicked at";
/// What a server says that stops because a write has failed.
const STOPPED: &str = "stopping at once";
/// The number of SIGKILL.
const KILL: i32 = 9;

/// How a server ended, and what it had said.
#[derive(Debug, Clone)]
pub struct End {
    /// How its process ended.
    pub status: ExitStatus,
    /// Its own part of the log.
    pub log: String,
}

impl End {
    /// Whether SIGKILL ended it.
    pub fn is_killed(&self) -> bool {
        self.status.signal() == Some(KILL)
    }

    /// The reason code with which it refused, or that it stopped because a write had failed.
    pub fn reason(&self) -> Option<&str> {
        let coded = self.log.split_once("error[").and_then(|(_, rest)| rest.split_once(']'));
        coded.map(|(code, _)| code).or_else(|| self.log.contains(STOPPED).then_some(STOPPED))
    }

    /// What is wrong with it under whatever is broken: a server may end then, but not by a bug, and not in silence.
    pub fn defect(&self) -> Option<String> {
        let status = self.status;
        if let Some(line) = panic_in(&self.log) {
            return Some(format!("the server panicked: {line}"));
        }
        match status.code() {
            Some(0) => None,
            Some(code) if code == PANICKED || code == i32::from(Exit::Bug.code()) => {
                Some(format!("the server ended with {status}, which is a bug"))
            }
            Some(_) if self.reason().is_some() => None,
            _ => Some(format!("the server ended with {status} and without a reason")),
        }
    }

    /// What is wrong with it where nothing was broken, and the server was asked to stop.
    pub fn problem(&self) -> Option<String> {
        let (status, reason) = (self.status, self.reason());
        let failed = || format!("the server was asked to stop, and ended with {status}, {reason:?}");
        self.defect().or_else(|| (!status.success()).then(failed))
    }
}

/// The first line of a log that tells of a panic.
pub fn panic_in(log: &str) -> Option<&str> {
    log.lines().find(|line| line.contains(PANIC))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that ended with this status, as `wait` gives it, and said this.
    #[track_caller]
    fn check(raw: i32, log: &str, defect: bool, problem: bool) {
        let end = End { status: ExitStatus::from_raw(raw), log: log.to_owned() };
        assert_eq!((end.defect().is_some(), end.problem().is_some()), (defect, problem), "{raw}, {log}");
    }

    #[test]
    fn an_orderly_end_is_well_and_a_panic_is_not() {
        check(0, "INFO stopping", false, false);
        check(0, "INFO listening\nthread 'tokio-runtime-worker' panicked at x.rs:1:2:\nINFO stopping", true, true);
        check(101 << 8, "", true, true);
        check(70 << 8, "error[BUG]: x", true, true);
        // SIGABRT and SIGTERM.
        check(6, "error[STORE_FAILED]: x", true, true);
        check(15, "INFO stopping", true, true);
    }

    #[test]
    fn whoever_ends_says_why() {
        check(8 << 8, "error[STORE_FAILED]: x", false, true);
        check(8 << 8, "ERROR lockgate::serve: stopping at once: what is on disk is read again", false, true);
        check(8 << 8, "INFO listening", true, true);
    }

    #[test]
    fn reasons_and_kills_are_read() {
        let end = |raw, log: &str| End { status: ExitStatus::from_raw(raw), log: log.to_owned() };
        assert!(end(9, "").is_killed() && !end(9 << 8, "").is_killed());
        assert_eq!(end(0, "stopping at once\nerror[DISK_FULL]: x").reason(), Some("DISK_FULL"));
        assert_eq!(end(0, "stopping at once: x").reason(), Some("stopping at once"));
        assert_eq!(end(0, "stopping").reason(), None);
    }
}
