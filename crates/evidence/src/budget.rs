//! Budget: how much may be read out of one report, so that a small report cannot become a large claim.
//!
//! Formats let one list stand for each item of another: the ids of a group for all of its findings, the names of a product
//! for every vulnerability that it has.
//!
//! INVARIANT (what is meant for many is counted for many): each further copy of what is written once is counted before it
//! is made; what is said once is bounded by the report itself.

use lockgate_model::Limits;
use serde::Serialize;

use crate::error::EvidenceError;

/// What a text takes beside its bytes.
const TEXT_BYTES: usize = 24;

/// What is left of `limits.claim_bytes`.
#[derive(Debug)]
pub(crate) struct Budget {
    left: usize,
    whole: usize,
}

impl Budget {
    /// Nothing has been read yet.
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { left: limits.claim_bytes, whole: limits.claim_bytes }
    }

    /// Takes so many bytes.
    ///
    /// # Errors
    /// `EVIDENCE_TOO_LARGE` when there are fewer.
    pub(crate) fn take(&mut self, bytes: usize) -> Result<(), EvidenceError> {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(EvidenceError::new(
                "EVIDENCE_TOO_LARGE",
                format!("what the report says would take more than {} bytes, said out for each item", self.whole),
            )),
        }
    }

    /// Takes what these texts take.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub(crate) fn take_texts<'a>(&mut self, texts: impl IntoIterator<Item = &'a str>) -> Result<(), EvidenceError> {
        self.take(texts.into_iter().fold(0, |sum, text| sum.saturating_add(text.len() + TEXT_BYTES)))
    }

    /// Takes what all but one of so many copies of a value take, by its length as JSON: whatever it holds counts.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub(crate) fn take_copies(&mut self, value: &impl Serialize, count: usize) -> Result<(), EvidenceError> {
        let more = count.saturating_sub(1);
        if more == 0 {
            return Ok(());
        }
        let bytes = serde_json::to_vec(value).map_or(usize::MAX, |json| json.len());
        self.take(bytes.saturating_mul(more))
    }
}

/// The texts of a list.
pub(crate) fn texts(list: &[String]) -> impl Iterator<Item = &str> {
    list.iter().map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_many_times_counts_each_time() {
        let limits = Limits { claim_bytes: 2 * (TEXT_BYTES + 3), ..Limits::DEFAULT };
        let mut budget = Budget::new(&limits);
        assert_eq!(budget.take_texts(["abc", "def"]), Ok(()));
        assert_eq!(budget.take(1).unwrap_err().code, "EVIDENCE_TOO_LARGE");
        let mut budget = Budget::new(&Limits::DEFAULT);
        assert_eq!(budget.take_copies(&"x", usize::MAX).unwrap_err().code, "EVIDENCE_TOO_LARGE");
        // What was refused takes nothing, and neither does what is said once.
        assert_eq!(budget.take_copies(&"x", Limits::DEFAULT.claim_bytes / 3), Ok(()));
        assert_eq!(Budget::new(&limits).take_copies(&"x".repeat(1000), 1), Ok(()));
    }
}
