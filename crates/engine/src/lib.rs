//! Use cases, one file a verb, around one sequencer.
//!
//! A verb checks and verifies what it can outside the sequencer, then hands in a [`Submission`]; the sequencer takes
//! all that has queued, applies each to current state, commits once, signs the checkpoint, and answers everyone. No
//! request scans history without a bound: what a verb needs is read by stream, and costs what that release's own
//! history costs.

pub mod access;
pub mod access_log;
pub mod approve;
pub mod approvers;
pub mod attest;
pub mod audit;
pub mod authorise;
pub mod bodies;
pub mod break_glass;
pub mod bundle;
pub mod challenge;
pub mod change;
pub mod ci;
pub mod clock;
pub mod comparison;
pub mod consent;
pub mod delegate;
pub mod diff;
pub mod drift;
pub mod drills;
pub mod engine;
mod environment;
pub mod evaluate;
pub mod facts;
pub mod fault;
pub mod feeds;
pub mod freeze;
pub mod history;
pub mod identity;
pub mod inbox;
pub mod integrity;
pub mod issuer;
pub mod keys;
pub mod matrix;
pub mod metrics;
mod misplaced;
pub mod outbound;
pub mod passkeys;
pub mod people;
pub mod policy;
pub mod precedent;
mod projections;
pub mod promote;
pub mod push;
pub mod reader;
mod recordable;
pub mod runs;
pub mod scheduler;
pub mod sequencer;
pub mod services;
pub mod session;
pub mod setup;
pub mod sight;
pub mod staging;
pub mod status;
pub mod step_up;
pub mod suspects;
pub mod take_back;
mod tiles;
pub mod waive;
pub mod where_index;
pub mod whereabouts;
pub mod why;
pub mod withdraw;

pub use clock::{Clock, Entropy};
pub use engine::{Engine, TreeHead};
pub use fault::{Fault, Kind};
pub use keys::LedgerKeys;
pub use sequencer::{Receipt, Submission};
