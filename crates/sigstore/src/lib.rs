//! Signatures that other tools made: Sigstore bundles 0.1 to 0.3, what cosign, GitHub, npm and PyPI wrap them in,
//! minisign, and what `gpgv` says of OpenPGP.
//!
//! Everything here works offline, on bytes that the caller hands in, with trust roots that the caller pins. An
//! [`Outcome`] is never a bare yes or no, and nothing here decides whom to trust: that is the policy's business. Only
//! `verifier.rs`, and `root.rs` for the roots that come with it, know the library that does the verification
//! (`docs/adr/0011-sigstore.md`).

mod blake2b;
pub mod bundle;
pub mod certificate;
pub mod container;
pub mod cosign;
pub mod minisign;
pub mod openpgp;
pub mod outcome;
mod pypi;
pub mod root;
pub mod verifier;

pub use bundle::{Bundle, Content, Material};
pub use certificate::{CertificateFacts, Identity};
pub use container::{Item, split};
pub use cosign::ImageSignature;
pub use outcome::{Outcome, Reason, Refusal, Signed};
pub use root::{Instance, TrustRoot};
pub use verifier::{BundleVerifier, Expected, OfflineVerifier, Subject, is_signed_by};

#[cfg(test)]
mod conformance_tests;
