//! What the VEX formats have in common.

use std::collections::BTreeSet;

use lockgate_model::Limits;

use crate::document::Object;
use crate::error::EvidenceError;

/// How many characters of an explanation are kept; the whole stands in the original.
const TEXT: usize = 400;

/// The five reasons why a product is not affected (OpenVEX 0.2.0 and CSAF 2.0, section 3.2.3.5).
pub(crate) const JUSTIFICATIONS: [&str; 5] = [
    "component_not_present",
    "vulnerable_code_not_present",
    "vulnerable_code_not_in_execute_path",
    "vulnerable_code_cannot_be_controlled_by_adversary",
    "inline_mitigations_already_exist",
];

/// The beginning of an explanation.
pub(crate) fn shortened(text: &str) -> String {
    text.chars().take(TEXT).collect()
}

/// Refuses more statements than `limits.findings_per_report`.
///
/// # Errors
/// `TOO_MANY_FINDINGS`.
pub(crate) fn check_count(so_far: usize, limits: &Limits) -> Result<(), EvidenceError> {
    match so_far < limits.findings_per_report {
        true => Ok(()),
        false => Err(EvidenceError::new(
            "TOO_MANY_FINDINGS",
            format!("more than {} statements in one VEX document", limits.findings_per_report),
        )),
    }
}

/// The names of a product: package URLs and `sha256:` digests, and what else identifies it. An image whose package URL
/// has its digest as the version goes by that digest too.
#[derive(Debug, Default)]
pub(crate) struct Names {
    names: Vec<String>,
    known: BTreeSet<String>,
}

impl Names {
    /// Adds a name.
    pub(crate) fn add(&mut self, name: &str) {
        if name.is_empty() || !self.known.insert(name.to_owned()) {
            return;
        }
        self.names.push(name.to_owned());
        if name.starts_with("pkg:oci/") || name.starts_with("pkg:docker/") {
            let (_, version) = lockgate_model::facts::bare_purl(name);
            if let Some(digest) = version.and_then(|version| version.parse::<lockgate_model::Digest>().ok()) {
                self.add(&digest.to_string());
            }
        }
    }

    /// Adds a text field, where there is one.
    ///
    /// # Errors
    /// `EVIDENCE_MALFORMED` when it is no text.
    pub(crate) fn add_field(&mut self, object: &Object<'_>, key: &'static str) -> Result<(), EvidenceError> {
        if let Some(text) = object.text_or_empty(key)? {
            self.add(text);
        }
        Ok(())
    }

    /// Adds a SHA-256 hash in hex of either case; hashes of other algorithms identify nothing here.
    pub(crate) fn add_hash(&mut self, algorithm: &str, value: &str) {
        let is_sha256 = matches!(algorithm.to_ascii_lowercase().as_str(), "sha-256" | "sha256");
        if is_sha256 && let Ok(digest) = lockgate_model::Digest::from_hex(&value.to_ascii_lowercase()) {
            self.add(&digest.to_string());
        }
    }

    /// The names.
    pub(crate) fn into_vec(self) -> Vec<String> {
        self.names
    }
}
