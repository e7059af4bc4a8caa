//! Ids and positions: kinds differ by type and never convert silently.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The position of an entry in a log, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct EntryIndex(pub u64);

/// How many entries a tree holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct TreeSize(pub u64);

impl fmt::Display for EntryIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
impl fmt::Display for TreeSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A promotion's id, written `P-<number>`: the n-th promotion that the ledger holds, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PromotionId(pub u64);

/// Why a text is not a promotion id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a promotion: write P- and a number, such as P-3")]
pub struct PromotionIdError(String);

impl fmt::Display for PromotionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "P-{}", self.0)
    }
}

impl FromStr for PromotionId {
    type Err = PromotionIdError;
    fn from_str(text: &str) -> Result<Self, PromotionIdError> {
        let number = text.strip_prefix("P-").and_then(|digits| digits.parse::<u64>().ok());
        match number {
            Some(number) if number > 0 && format!("P-{number}") == text => Ok(Self(number)),
            _ => Err(PromotionIdError(text.chars().take(64).collect())),
        }
    }
}

crate::text_form!(PromotionId);

/// A governance change's id, written `C-<number>`: the n-th change that the ledger holds a proposal of, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChangeId(pub u64);

/// Why a text is not a change id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a change: write C- and a number, such as C-3")]
pub struct ChangeIdError(String);

impl fmt::Display for ChangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "C-{}", self.0)
    }
}

impl FromStr for ChangeId {
    type Err = ChangeIdError;
    fn from_str(text: &str) -> Result<Self, ChangeIdError> {
        let number = text.strip_prefix("C-").and_then(|digits| digits.parse::<u64>().ok());
        match number {
            Some(number) if number > 0 && format!("C-{number}") == text => Ok(Self(number)),
            _ => Err(ChangeIdError(text.chars().take(64).collect())),
        }
    }
}

crate::text_form!(ChangeId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promotion_ids_have_one_spelling() {
        assert_eq!("P-3".parse::<PromotionId>().unwrap().to_string(), "P-3");
        for bad in ["P-0", "P-03", "p-3", "3", "P-", "P--1", "P-3 "] {
            assert!(bad.parse::<PromotionId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn change_ids_have_one_spelling() {
        assert_eq!("C-12".parse::<ChangeId>().unwrap().to_string(), "C-12");
        for bad in ["C-0", "C-01", "c-1", "P-1", "C-", "C-+1"] {
            assert!(bad.parse::<ChangeId>().is_err(), "{bad:?}");
        }
    }
}
