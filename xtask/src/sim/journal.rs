//! Journal: what was acknowledged, by key; and what was never answered.

use std::collections::{BTreeMap, BTreeSet};

use lockgate_engine::Receipt;
use lockgate_model::{Digest, EntryIndex, UnixMillis};
use serde_json::Value;

use super::act::Intent;
use crate::failure::{Failure, Result};

/// An acknowledgement.
#[derive(Debug, Clone)]
struct Ack {
    request: Digest,
    value: Value,
    /// The first entry with its leaf; none where nothing had to be appended, and nothing is remembered.
    entry: Option<(EntryIndex, Digest)>,
    at: UnixMillis,
}

/// Everything that was acknowledged in one run.
#[derive(Debug, Default)]
pub struct Journal {
    acks: BTreeMap<String, Ack>,
    /// Keys of requests whose outcome was not told.
    unknown: BTreeSet<String>,
    /// What was handed in, to be handed in again.
    pub asked: Vec<Intent>,
    /// What was handed in and not answered, to be handed in again first.
    pub open: Vec<Intent>,
}

impl Journal {
    /// Each acknowledged entry with its leaf.
    pub fn entries(&self) -> impl Iterator<Item = (&str, EntryIndex, Digest)> {
        self.acks.iter().filter_map(|(key, ack)| ack.entry.map(|(index, leaf)| (key.as_str(), index, leaf)))
    }

    /// Writes down that a request was not answered: it may have happened.
    pub fn unanswered(&mut self, intent: &Intent) {
        self.unknown.insert(intent.key.clone());
        self.open.push(intent.clone());
    }

    /// Writes an acknowledgement down, at this ledger time; replies from before `forgotten` may be gone.
    ///
    /// # Errors
    /// When it contradicts an earlier one: two effects, another entry, another value.
    pub fn acknowledged(
        &mut self,
        intent: &Intent,
        receipt: &Receipt,
        at: UnixMillis,
        forgotten: UnixMillis,
    ) -> Result<()> {
        let key = &intent.key;
        let entry = receipt.index.zip(receipt.leaf);
        if let Some(known) = self.acks.get(key).filter(|known| known.entry.is_some() && known.at >= forgotten) {
            if known.request != intent.request {
                return Err(Failure::new(format!("the key {key} stood for two requests")));
            }
            let same = receipt.repeated && entry == known.entry && receipt.value == known.value;
            return match same {
                true => Ok(()),
                false => Err(Failure::new(format!("the key {key} was acknowledged in two ways"))),
            };
        }
        if receipt.repeated && !self.acks.contains_key(key) && !self.unknown.contains(key) {
            return Err(Failure::new(format!("the key {key} is said to be repeated, and was never used before")));
        }
        // A reply is kept for as long as it was made to be: saying it again does not make it younger, and of one whose
        // first time nobody heard it is not known how old it is.
        let at = match (receipt.repeated, self.acks.get(key)) {
            (false, _) => at,
            (true, Some(known)) => known.at,
            (true, None) => UnixMillis(0),
        };
        let ack = Ack { request: intent.request, value: receipt.value.clone(), entry, at };
        self.acks.insert(key.clone(), ack);
        Ok(())
    }

    /// Checks a refusal against what was acknowledged under the same key.
    ///
    /// # Errors
    /// When the same request was acknowledged, or a key is said to be taken that nobody used.
    pub fn refused(&self, intent: &Intent, code: &str, forgotten: UnixMillis) -> Result<()> {
        let known = self.acks.get(&intent.key);
        let lasting = known.filter(|known| known.entry.is_some() && known.at >= forgotten);
        let complaint = match lasting {
            Some(known) if known.request == intent.request => "was acknowledged before",
            None if code == "IDEMPOTENCY_MISMATCH" && known.is_none() && !self.unknown.contains(&intent.key) => {
                "was never used before"
            }
            _ => return Ok(()),
        };
        Err(Failure::new(format!("the key {} {complaint}, and is refused with {code}", intent.key)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use lockgate_engine::TreeHead;
    use lockgate_model::TreeSize;
    use serde_json::json;

    use super::*;
    use crate::sim::act::Act;

    fn intent(promotion: u64) -> Intent {
        let promotion = lockgate_model::PromotionId(promotion);
        Intent::new("k".to_owned(), Act::Withdraw { by: "dana".parse().unwrap(), promotion })
    }

    fn receipt(index: u64, repeated: bool) -> Receipt {
        let head = TreeHead { size: TreeSize(9), root: Digest::of(b""), checkpoint: String::new() };
        let leaf = Some(Digest::of(&index.to_be_bytes()));
        Receipt { value: json!({}), index: Some(EntryIndex(index)), leaf, head: Arc::new(head), repeated }
    }

    /// A second acknowledgement of the same request at time 5, after the first at time 4 with index 1.
    #[track_caller]
    fn check(second: (u64, bool), forgotten: u64, fine: bool) {
        let mut journal = Journal::default();
        journal.acknowledged(&intent(1), &receipt(1, false), UnixMillis(4), UnixMillis(0)).unwrap();
        let second_receipt = receipt(second.0, second.1);
        let again = journal.acknowledged(&intent(1), &second_receipt, UnixMillis(5), UnixMillis(forgotten));
        assert_eq!(again.is_ok(), fine, "{second:?}, {forgotten}");
    }

    #[test]
    fn one_key_has_one_effect_as_long_as_it_is_remembered() {
        check((1, true), 0, true);
        check((2, false), 0, false);
        check((2, true), 0, false);
        check((1, false), 0, false);
        check((2, false), 5, true);
    }

    #[test]
    fn a_refusal_does_not_contradict_an_acknowledgement() {
        let mut journal = Journal::default();
        assert!(journal.refused(&intent(1), "IDEMPOTENCY_MISMATCH", UnixMillis(0)).is_err());
        journal.acknowledged(&intent(1), &receipt(1, false), UnixMillis(4), UnixMillis(0)).unwrap();
        assert!(journal.refused(&intent(1), "PROMOTION_CLOSED", UnixMillis(0)).is_err());
        assert!(journal.refused(&intent(2), "IDEMPOTENCY_MISMATCH", UnixMillis(0)).is_ok());
        assert!(journal.acknowledged(&intent(2), &receipt(1, true), UnixMillis(4), UnixMillis(0)).is_err());
    }
}
