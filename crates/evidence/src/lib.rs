//! Evidence: in-toto statements and tool reports, read into typed claims.
//!
//! Bytes come in, a [`lockgate_model::facts::Claim`] goes out, and nothing else happens: no files, no clock, no
//! network, no signatures. A reader never guesses. A field of another type than the format says, a list that is cut
//! short, a level that no one defined: all of them are errors, because a count that is too low opens a gate.
//!
//! - [`statement`]: the in-toto statement that a DSSE envelope carries, and which artifacts it is about;
//! - [`claim`]: what a statement says, by its exact predicate type;
//! - [`report`]: reports that tools write without a statement around them;
//! - [`component`]: what a bill of materials lists, one by one;
//! - [`feed`]: what the world knows of vulnerabilities, by the day (KEV and EPSS).

mod attested;
mod budget;
mod build_details;
mod change;
mod check;
pub mod claim;
mod cobertura;
pub mod component;
mod configuration;
mod coverage;
mod criterion;
mod csaf;
mod cvss;
mod cyclonedx;
mod cyclonedx_vex;
mod document;
pub mod error;
pub mod feed;
mod flags;
mod grype;
mod junit;
mod k6;
mod lcov;
mod licence;
mod link;
mod openvex;
mod osv;
mod own;
mod performance;
mod provenance;
mod publication;
mod rebuild;
pub mod report;
mod sarif;
mod sarif_rules;
pub mod sbom;
mod scai;
mod secrets;
mod severity;
mod source;
mod spdx;
mod spdx3;
pub mod statement;
mod stream;
mod summary;
mod test_result;
mod trivy;
mod vex;
mod vulns;
mod xml;

pub use claim::claim_of;
pub use error::EvidenceError;
pub use report::{Format, components, detect, detect_from, read, read_from};
pub use sbom::Component;
pub use statement::{REPORT_PREDICATE, Statement, StatementVersion, Subject};
