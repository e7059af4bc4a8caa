//! Evidence: in-toto statements and tool reports, read into typed claims.
//!
//! Bytes come in, a [`lockgate_model::facts::Claim`] goes out, and nothing else happens: no files, no clock, no
//! network, no signatures. A reader never guesses. A field of another type than the format says, a list that is cut
//! short, a level that no one defined: all of them are errors, because a count that is too low opens a gate.
//!
//! - [`statement`]: the in-toto statement that a DSSE envelope carries, and which artifacts it is about;
//! - [`claim`]: what a statement says, by its exact predicate type;
//! - [`report`]: reports that tools write without a statement around them.

pub mod claim;
mod cyclonedx;
mod document;
pub mod error;
mod grype;
mod junit;
mod provenance;
pub mod report;
mod sarif;
pub mod sbom;
mod severity;
mod spdx;
pub mod statement;
mod test_result;
mod trivy;
mod vulns;

pub use claim::claim_of;
pub use error::EvidenceError;
pub use report::{Format, components, detect, read};
pub use sbom::Component;
pub use statement::{REPORT_PREDICATE, Statement, StatementVersion, Subject};
