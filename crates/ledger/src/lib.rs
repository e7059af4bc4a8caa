//! The auditor's kernel: entries, state, facts, replay, bundles.
//!
//! The ledger is the only source of truth. State is a pure fold over entries ([`State::apply`] verifies every
//! signature on the way), facts are a pure function of state and evidence ([`facts::facts_for`]), and a decision is a
//! pure function of policy and facts. The same code runs in the server, in the CLI and on an auditor's laptop; it
//! reads no clock, no file and no socket.

pub mod access_log;
pub mod access_review;
pub mod approval;
pub mod approval_text;
pub mod attestation;
pub mod audit;
pub mod backtest;
pub mod bodies;
pub mod break_glass;
pub mod bundle;
pub mod change;
pub mod ci_trust;
pub mod code_words;
pub mod contents;
pub mod controls;
pub mod delegation;
pub mod detached;
pub mod drill;
pub mod entry;
mod entry_names;
pub mod facts;
pub mod feed;
pub mod foreign;
pub mod freeze;
pub mod gate_changes;
pub mod governance;
pub mod identity;
pub mod manifest;
pub mod pace;
pub mod passkey;
pub mod release;
pub mod release_diff;
pub mod replay;
pub mod signed;
pub mod sigstore;
pub mod state;
pub mod suspect;
pub mod trust;
pub mod vsa;
pub mod waiver;
pub mod withdrawal;

pub use approval::{ApprovalDocument, ApprovalPredicate};
pub use bodies::{Bodies, BodyMap};
pub use bundle::{Bundle, Query, Refusal, Verified};
pub use entry::{Actor, Entry, Event, Leaf, Link};
pub use facts::{ClaimCache, facts_for};
pub use governance::Governance;
pub use manifest::Manifest;
pub use release::{PromotionState, PromotionStatus, ReleaseState};
pub use state::{ApplyError, State};
pub use trust::TrustFile;
