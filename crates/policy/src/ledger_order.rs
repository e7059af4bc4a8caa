//! Ledger order: facts with everything that has a place in the ledger standing in that order.
//!
//! The ledger gathers facts in its order already. Whoever hands them over in another one gets the same decision, byte
//! for byte.

use std::borrow::Cow;

use lockgate_model::facts::Facts;

/// The facts in ledger order; borrowed where they stand in it already. What has the same place keeps its order.
pub(crate) fn in_ledger_order(facts: &Facts) -> Cow<'_, Facts> {
    let ordered = facts.evidence.is_sorted_by_key(|fact| fact.index)
        && facts.running_evidence.is_sorted_by_key(|fact| fact.index)
        && facts.freezes.is_sorted_by_key(|fact| fact.index)
        && facts.approvals.is_sorted_by_key(|fact| fact.index)
        && facts.waivers.is_sorted_by_key(|fact| fact.index)
        && facts.delegations.is_sorted_by_key(|fact| fact.index);
    if ordered {
        return Cow::Borrowed(facts);
    }
    let mut facts = facts.clone();
    facts.evidence.sort_by_key(|fact| fact.index);
    facts.running_evidence.sort_by_key(|fact| fact.index);
    facts.freezes.sort_by_key(|fact| fact.index);
    facts.approvals.sort_by_key(|fact| fact.index);
    facts.waivers.sort_by_key(|fact| fact.index);
    facts.delegations.sort_by_key(|fact| fact.index);
    Cow::Owned(facts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{evidence, facts, on_behalf, tests};
    use lockgate_model::facts::Claim;

    #[test]
    fn what_is_in_order_is_not_copied() {
        let mut given = facts();
        given.evidence = (1..=3).map(|index| evidence(index, on_behalf("robot"), Claim::Tests(tests()))).collect();
        assert!(matches!(in_ledger_order(&given), Cow::Borrowed(_)));
        let mut turned = given.clone();
        turned.evidence.reverse();
        let ordered = in_ledger_order(&turned);
        assert!(matches!(ordered, Cow::Owned(_)));
        assert_eq!(*ordered, given);
    }
}
