//! Policy sets and the decision: what an environment demands, and whether a release meets it.
//!
//! A [`PolicySet`] is read from TOML files, checked as a whole, and named by one digest. [`decide()`] evaluates every
//! gate that applies to a promotion, on [`Facts`](lockgate_model::facts::Facts) and on nothing else. Everything here
//! is pure: no file, socket, clock, environment or randomness.

pub mod access;
pub mod alias;
pub mod binding;
mod check;
pub mod decide;
pub mod decision;
pub mod duties;
pub mod environment;
pub mod error;
pub mod explain;
pub mod gate;
pub mod gates;
pub mod governance;
pub mod lint;
pub mod passkeys;
pub mod pattern;
pub mod people;
pub mod permission;
pub mod policy_set;
pub mod policy_test;
#[cfg(test)]
mod sample;
pub mod settings;
pub mod sign_in;
mod source;
pub mod starter;
mod suggestion;
pub mod trust;
mod wording;

pub use access::{Because, Effective, Holder, Object, Permit, allows, effective, who_may};
pub use alias::Aliases;
pub use binding::Binding;
pub use decide::decide;
pub use decision::{Decision, GateOutcome, GateResult, Outcome, Rule};
pub use duties::Part;
pub use environment::{Environment, Risk};
pub use error::PolicyError;
pub use explain::{REASONS, Reason};
pub use gate::Gate;
pub use gates::GateKind;
pub use gates::approvals::{approver_objection, review_objection};
pub use governance::GovernanceRules;
pub use lint::lints;
pub use passkeys::PasskeyRules;
pub use pattern::Pattern;
pub use people::Group;
pub use permission::{Permission, Reach};
pub use policy_set::PolicySet;
pub use policy_test::{TestResult, run_tests};
pub use settings::Settings;
pub use sign_in::{Mfa, SignIn};
pub use starter::STARTERS;
pub use trust::{EvidenceKind, TrustedSigner};
