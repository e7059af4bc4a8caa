//! Rights: what the person may do with what a page shows, and who may what they may not.

use std::collections::BTreeMap;

/// The answers of the one function that authorises; every request is authorised again, whatever a page offers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rights {
    /// The permissions that the person has here, such as `request`.
    pub may: Vec<String>,
    /// For each permission that they have not: who has it, in words; empty when nobody has.
    pub others: BTreeMap<String, String>,
}

impl Rights {
    /// Whether the person has a permission here.
    pub fn may(&self, permission: &str) -> bool {
        self.may.iter().any(|held| held == permission)
    }

    /// Who has a permission that the person has not.
    pub fn who(&self, permission: &str) -> String {
        match self.others.get(permission).map(String::as_str) {
            Some("") | None => "nobody may".to_owned(),
            Some(who) => format!("{who} may"),
        }
    }
}
