//! Claims of reports: coverage, performance, rebuilds, tickets, named checks, secrets, configuration and flags.
//!
//! All numbers are integers: shares are basis points (hundredths of a percent), and a measured value is counted in
//! its unit. What a report does not say is absent, never zero.

use serde::{Deserialize, Serialize};

use crate::{Digest, UnixMillis};

/// Test coverage, recounted line by line; a stated rate is never believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Coverage {
    /// `cobertura` or `lcov`.
    pub format: String,
    /// How many files have at least one line that can be covered.
    pub files: u64,
    /// Lines that ran at least once.
    pub lines_covered: u64,
    /// Lines that can be covered.
    pub lines_valid: u64,
    /// Covered lines in basis points, rounded down; absent when there is no line at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line_basis_points: Option<u64>,
    /// Branches that were taken.
    pub branches_covered: u64,
    /// Branches that can be taken.
    pub branches_valid: u64,
    /// Taken branches in basis points, rounded down; absent when the report has no branches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch_basis_points: Option<u64>,
    /// The line rate that the report states, in basis points; only for showing a difference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stated_basis_points: Option<u64>,
    /// When it was measured, as the report says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured_at: Option<UnixMillis>,
}

/// Measured performance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Performance {
    /// `lockgate`, `criterion` or `k6`.
    pub format: String,
    /// What measured, where the report says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// What was measured, in the report's order; every name stands once.
    pub metrics: Vec<Metric>,
    /// The tool's own thresholds that were missed, such as `http_req_duration: p(95)<500`.
    pub missed_thresholds: Vec<String>,
    /// When it was measured, as the report says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured_at: Option<UnixMillis>,
}

impl Performance {
    /// The metric of exactly this name.
    pub fn metric(&self, name: &str) -> Option<&Metric> {
        self.metrics.iter().find(|metric| metric.name == name)
    }
}

/// One measured number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// Such as `http_req_duration.p95`.
    pub name: String,
    /// What `value` counts, such as `us`, `ps`, `bytes`, `1/s` or `bp`; values of two units are never compared.
    pub unit: String,
    /// The value.
    pub value: u64,
    /// Which direction is an improvement.
    pub better: Better,
}

/// Which direction of a metric is an improvement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Better {
    /// Smaller values are better: durations, sizes, failures.
    Lower,
    /// Larger values are better: throughput.
    Higher,
}

/// A second build of an artifact from the same source, and whether it came out the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rebuild {
    /// The artifact that was built again.
    pub artifact: Digest,
    /// Who built it again, as a URI such as a builder's id; independence is the policy's question.
    pub builder: String,
    /// Whether every byte came out the same.
    pub reproduced: bool,
    /// What came out, where the report says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rebuilt: Option<Digest>,
    /// Where the two differ; empty when they do not, or when nobody looked.
    pub divergences: Vec<Divergence>,
    /// The full commit id that it was built from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_commit: Option<String>,
    /// When it was built again, as the report says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rebuilt_at: Option<UnixMillis>,
}

/// One difference between an artifact and its rebuild.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Divergence {
    /// Where in the artifact.
    pub path: String,
    /// The digest of the text that explains it; a difference without one is unexplained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<Digest>,
}

/// A ticket of a change-management system, as it stood when it was handed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeTicket {
    /// Such as `servicenow` or `jira`.
    pub system: String,
    /// Such as `CHG0042`.
    pub id: String,
    /// Where people can read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// How far it has come.
    pub state: ChangeState,
    /// Who approved it there, in that system's names; these are no approvals in Lockgate.
    pub approved_by: Vec<String>,
    /// From when the change may be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opens_at: Option<UnixMillis>,
    /// Until when the change may be made, half open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closes_at: Option<UnixMillis>,
}

/// How far a change ticket has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeState {
    /// Written, not yet asked for.
    Draft,
    /// Asked for, not yet decided.
    Requested,
    /// May be made.
    Approved,
    /// Is being made.
    Implementing,
    /// Was made.
    Completed,
    /// Was refused.
    Rejected,
    /// Was given up.
    Cancelled,
}

impl ChangeState {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Requested => "requested",
            Self::Approved => "approved",
            Self::Implementing => "implementing",
            Self::Completed => "completed",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
        }
    }
}

/// The result of one named check, such as `accessibility` or `compatibility`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NamedCheck {
    /// Which check: 1 to 64 of `a-z`, `0-9` and `-`.
    pub name: String,
    /// How it came out.
    pub outcome: CheckOutcome,
    /// What to know about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_version: Option<String>,
    /// When, as the report says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked_at: Option<UnixMillis>,
}

impl NamedCheck {
    /// What follows `runs-in-` in the name, which should be an environment; `None` of a check that says nothing of what
    /// runs. Whoever may deploy may hand in such a check, so that it is no result of a check of the release.
    pub fn runs_in(&self) -> Option<&str> {
        self.name.strip_prefix("runs-in-")
    }
}

/// How a named check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CheckOutcome {
    /// All is well.
    Pass,
    /// Something should be looked at.
    Warn,
    /// It is not well.
    Fail,
    /// It did not run, and says nothing.
    NotRun,
}

impl CheckOutcome {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::NotRun => "not-run",
        }
    }
}

/// What a search for secrets found; never the secrets themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Secrets {
    /// `gitleaks` or `trufflehog`.
    pub tool: String,
    /// How many were found.
    pub found: u64,
    /// How many of them the tool saw working, where it tries that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<u64>,
    /// The first 20, each as `rule path:line`.
    pub places: Vec<String>,
}

/// A configuration, by name and digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    /// Which configuration.
    pub name: String,
    /// Its bytes.
    pub digest: Digest,
    /// Which environment it is for, where it is for one only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
}

/// The state of feature flags.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Flags {
    /// Which flag system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// Which environment it was read from, where the system has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The flags, in the report's order; every name stands once.
    pub flags: Vec<Flag>,
    /// When it was read, as the report says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_at: Option<UnixMillis>,
}

impl Flags {
    /// The flag of exactly this name.
    pub fn flag(&self, name: &str) -> Option<&Flag> {
        self.flags.iter().find(|flag| flag.name == name)
    }
}

/// One feature flag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Flag {
    /// What it is called.
    pub name: String,
    /// Whether it is on for anybody.
    pub enabled: bool,
    /// For which share of users, in basis points; absent when the system does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout_basis_points: Option<u64>,
}
