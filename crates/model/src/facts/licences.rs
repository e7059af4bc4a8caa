//! Licences, as a bill of materials gives them.

use serde::{Deserialize, Serialize};

/// One licence expression, and what has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LicenceUse {
    /// An SPDX licence expression; a licence that has only a name stands in it as `LicenseRef-<the name>`.
    pub expression: String,
    /// How many components have it.
    pub components: u64,
    /// The first 20 of these, by name and version.
    pub names: Vec<String>,
}

impl LicenceUse {
    /// How many components are named.
    pub const NAMES: usize = 20;
}
