//! Policy sets and the decision: what an environment demands, and whether a release meets it.
//!
//! A [`PolicySet`] is read from TOML files, checked as a whole, and named by one digest. [`decide()`] evaluates every
//! gate that applies to a promotion, on [`Facts`](lockgate_model::facts::Facts) and on nothing else. Everything here
//! is pure: no file, socket, clock, environment or randomness.

pub mod access;
pub mod alias;
pub mod binding;
pub mod break_glass;
mod check;
pub mod decide;
pub mod decision;
#[cfg(test)]
mod determinism_tests;
#[cfg(test)]
mod docs_tests;
pub mod duties;
#[cfg(test)]
mod enforcement_tests;
pub mod environment;
pub mod error;
pub mod explain;
pub mod explanation;
pub mod gate;
pub mod gates;
pub mod governance;
mod ledger_order;
pub mod line_diff;
pub mod lint;
mod mistakes;
mod moment;
pub mod passkeys;
pub mod pattern;
pub mod people;
pub mod permission;
mod plain;
pub mod policy_diff;
pub mod policy_set;
pub mod policy_test;
pub mod recurrence;
mod rego;
#[cfg(test)]
mod sample;
pub mod settings;
pub mod share;
pub mod sign_in;
mod source;
pub mod spdx;
pub mod starter;
mod suggestion;
pub mod test_coverage;
pub mod time_zone;
pub mod trust;
pub mod trusted_identity;
pub mod waivers;
pub mod window;
mod wording;

pub use access::{Because, Effective, Holder, Object, Permit, allows, effective, lends, lends_anything, who_may};
pub use alias::Aliases;
pub use binding::Binding;
pub use break_glass::BreakGlassRules;
pub use decide::decide;
pub use decision::{Decision, GateOutcome, GateResult, Outcome, Rule};
pub use duties::Part;
pub use environment::{Environment, Risk};
pub use error::PolicyError;
pub use explain::{REASONS, Reason};
pub use explanation::{explanation, same_lines};
pub use gate::Gate;
pub use gates::GateKind;
pub use gates::approvals::{approver_objection, review_objection};
pub use governance::GovernanceRules;
pub use line_diff::{LineChange, line_changes};
pub use lint::{LINTS, Lint, LintLevel, expiry_lint, lints};
pub use passkeys::PasskeyRules;
pub use pattern::Pattern;
pub use people::Group;
pub use permission::{Permission, Reach};
pub use policy_diff::{Changed, FieldChange, ItemChange, PolicyDiff, RightsChange, policy_diff};
pub use policy_set::PolicySet;
pub use policy_test::{TestResult, run_tests};
pub use settings::Settings;
pub use sign_in::{Mfa, SignIn};
pub use starter::STARTERS;
pub use test_coverage::{Coverage, GateCoverage, coverage};
pub use trust::{EvidenceKind, TrustedSigner};
pub use trusted_identity::{Proof, TrustedIdentity};
pub use waivers::{WAIVER_DAYS_MAX, WaiverRules, lasts_longer};
