//! Pages: wire types in, HTML out.
//!
//! Every page is a pure function of what the API gives for the same question, so that a page cannot say what the ledger
//! does not. No page has a script or a style inside it, but for the file that `bundle view` writes; the files that they
//! load are in [`assets`].

pub mod access;
pub mod action;
pub mod assets;
pub mod changes;
pub mod chart;
pub mod ci_trusts;
pub mod delegations;
pub mod diff;
pub mod drift;
pub mod evidence;
pub mod filter;
pub mod freeze;
pub mod graph;
pub mod inbox;
pub mod keys;
pub mod lanes;
pub mod log;
pub mod matrix;
pub mod metrics;
pub mod origin;
pub mod policy;
pub mod problem;
pub mod promotion;
pub mod release;
pub mod rights;
pub mod service;
pub mod shell;
pub mod signing;
pub mod timeline;
pub mod viewer;
pub mod wording;

pub use rights::Rights;
pub use shell::{Alarm, Section, Shell, Waiting};
