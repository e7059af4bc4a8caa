//! Exit codes: published, and one exhaustive mapping.

use crate::problem::ProblemKind;

/// How a command ends. Nothing but [`Exit::Done`] means success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exit {
    /// Done, allowed, verified.
    Done,
    /// Failed for a reason that has no code of its own.
    Failed,
    /// The command line or the input is not acceptable.
    Usage,
    /// Denied by policy, or not verified.
    Denied,
    /// Not signed in, or not permitted.
    NotPermitted,
    /// Pending: waits for approval, evidence or time.
    Pending,
    /// Not found.
    NotFound,
    /// Conflict or stale.
    Conflict,
    /// Unavailable: network, server, disk.
    Unavailable,
    /// Integrity alarm: what is stored or shown contradicts what was signed or seen.
    Integrity,
    /// A bug of ours.
    Bug,
}

impl Exit {
    /// Every way to end.
    pub const ALL: [Self; 11] = [
        Self::Done,
        Self::Failed,
        Self::Usage,
        Self::Denied,
        Self::NotPermitted,
        Self::Pending,
        Self::NotFound,
        Self::Conflict,
        Self::Unavailable,
        Self::Integrity,
        Self::Bug,
    ];

    /// The process exit code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Denied => 3,
            Self::NotPermitted => 4,
            Self::Pending => 5,
            Self::NotFound => 6,
            Self::Conflict => 7,
            Self::Unavailable => 8,
            Self::Integrity => 9,
            Self::Bug => 70,
        }
    }

    /// What the code means, for `lockgate help exit-codes`.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done, allowed, verified",
            Self::Failed => "failed",
            Self::Usage => "the command line or the input is not acceptable",
            Self::Denied => "denied by policy, or not verified",
            Self::NotPermitted => "not signed in, or not permitted",
            Self::Pending => "pending: waits for approval, evidence or time",
            Self::NotFound => "not found",
            Self::Conflict => "conflict or stale",
            Self::Unavailable => "unavailable: network, server, disk",
            Self::Integrity => "integrity alarm: tampering, fork or rollback",
            Self::Bug => "a bug of ours",
        }
    }
}

impl From<ProblemKind> for Exit {
    fn from(kind: ProblemKind) -> Self {
        match kind {
            ProblemKind::Invalid | ProblemKind::TooLarge | ProblemKind::Misdirected => Self::Usage,
            ProblemKind::Unauthenticated | ProblemKind::NotPermitted => Self::NotPermitted,
            ProblemKind::Denied => Self::Denied,
            ProblemKind::NotFound => Self::NotFound,
            ProblemKind::Conflict => Self::Conflict,
            ProblemKind::RateLimited | ProblemKind::Unavailable => Self::Unavailable,
            ProblemKind::Integrity => Self::Integrity,
            ProblemKind::Bug => Self::Bug,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_only_done_is_zero() {
        let mut codes: Vec<u8> = Exit::ALL.iter().map(|exit| exit.code()).collect();
        assert_eq!(codes.iter().filter(|code| **code == 0).count(), 1);
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 70]);
    }
}
