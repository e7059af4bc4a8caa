//! Policy sets and the decision: what an environment demands, and whether a release meets it.
//!
//! A [`PolicySet`] is read from TOML files, checked as a whole, and named by one digest. [`decide()`] evaluates every
//! gate that applies to a promotion, on [`Facts`](lockgate_model::facts::Facts) and on nothing else. Everything here
//! is pure: no file, socket, clock, environment or randomness.

mod check;
pub mod decide;
pub mod decision;
pub mod environment;
pub mod error;
pub mod explain;
pub mod gate;
pub mod gates;
pub mod pattern;
pub mod people;
pub mod permission;
pub mod policy_set;
pub mod policy_test;
#[cfg(test)]
mod sample;
pub mod settings;
mod source;
pub mod starter;
mod suggestion;
pub mod trust;
mod wording;

pub use decide::decide;
pub use decision::{Decision, GateOutcome, GateResult, Outcome, Rule};
pub use environment::{Environment, Risk};
pub use error::PolicyError;
pub use explain::{REASONS, Reason};
pub use gate::Gate;
pub use gates::GateKind;
pub use gates::approvals::approver_objection;
pub use pattern::Pattern;
pub use people::Group;
pub use permission::Permission;
pub use policy_set::PolicySet;
pub use policy_test::{TestResult, run_tests};
pub use settings::Settings;
pub use starter::STARTERS;
pub use trust::{EvidenceKind, TrustedSigner};
