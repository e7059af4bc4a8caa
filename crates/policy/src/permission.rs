//! Permissions: what a role lets its holders do.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One thing that someone may do. There is none that skips policy: break-glass is a decision of
/// its own, signed, for one release, and reviewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Permission {
    /// See releases, promotions and decisions.
    Read,
    /// Publish releases.
    Push,
    /// Hand in evidence.
    Attest,
    /// Ask for a promotion.
    Request,
    /// Approve a promotion.
    Approve,
    /// Reject a promotion, which ends it.
    Reject,
    /// Withdraw a promotion.
    Withdraw,
    /// Ask for a rollback.
    Rollback,
    /// Grant a waiver.
    Waive,
    /// Order an emergency freeze, and lift one.
    Freeze,
    /// Let a release past the gates in an emergency, together with another person where there is one.
    BreakGlass,
    /// Record snapshots of the feeds of vulnerabilities.
    Feeds,
    /// Report what was deployed under a grant.
    Deploy,
    /// Read and export the whole ledger.
    Audit,
    /// Enrol people and machines, and revoke keys.
    Keys,
    /// Change the policy set.
    Policy,
}

/// Why a text is not a permission.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a permission: use one of read, push, attest, request, approve, reject, withdraw, rollback, waive, freeze, break-glass, feeds, deploy, audit, keys, policy"
)]
pub struct PermissionError(String);

impl Permission {
    /// Every permission.
    pub const ALL: &'static [Self] = &[
        Self::Read,
        Self::Push,
        Self::Attest,
        Self::Request,
        Self::Approve,
        Self::Reject,
        Self::Withdraw,
        Self::Rollback,
        Self::Waive,
        Self::Freeze,
        Self::BreakGlass,
        Self::Feeds,
        Self::Deploy,
        Self::Audit,
        Self::Keys,
        Self::Policy,
    ];

    /// The word that policies use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Push => "push",
            Self::Attest => "attest",
            Self::Request => "request",
            Self::Approve => "approve",
            Self::Reject => "reject",
            Self::Withdraw => "withdraw",
            Self::Rollback => "rollback",
            Self::Waive => "waive",
            Self::Freeze => "freeze",
            Self::BreakGlass => "break-glass",
            Self::Feeds => "feeds",
            Self::Deploy => "deploy",
            Self::Audit => "audit",
            Self::Keys => "keys",
            Self::Policy => "policy",
        }
    }

    /// What it is about, and so by what it can be limited.
    pub const fn reach(self) -> Reach {
        match self {
            Self::Feeds | Self::Audit | Self::Keys | Self::Policy => Reach::Ledger,
            Self::Read | Self::Push | Self::Attest => Reach::Service,
            Self::Request
            | Self::Approve
            | Self::Reject
            | Self::Withdraw
            | Self::Rollback
            | Self::Waive
            | Self::Freeze
            | Self::BreakGlass
            | Self::Deploy => Reach::Target,
        }
    }

    /// Whether using it writes to the ledger, so that its last use is known; reading does not.
    pub const fn leaves_a_trace(self) -> bool {
        !matches!(self, Self::Read | Self::Audit)
    }
}

/// What a permission is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The ledger as a whole: nothing limits it.
    Ledger,
    /// A service, its releases and their evidence.
    Service,
    /// A service in an environment.
    Target,
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Permission {
    type Err = PermissionError;
    fn from_str(text: &str) -> Result<Self, PermissionError> {
        let found = Self::ALL.iter().find(|permission| permission.as_str() == text);
        found.copied().ok_or_else(|| PermissionError(text.chars().take(64).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_round_trip_and_agree_with_serde() {
        for permission in Permission::ALL {
            assert_eq!(permission.as_str().parse::<Permission>().unwrap(), *permission);
            assert_eq!(serde_json::to_value(permission).unwrap(), permission.as_str());
            assert!(PermissionError(String::new()).to_string().contains(permission.as_str()));
        }
        assert!("admin".parse::<Permission>().is_err());
        assert!("Read".parse::<Permission>().is_err());
    }
}
