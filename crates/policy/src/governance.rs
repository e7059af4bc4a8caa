//! Governance: how many people a change of the keys or of the policy set itself takes, in the table `[governance]`.

use serde::Deserialize;

/// The most people that a policy set may demand for one change.
const QUORUM_MAX: u64 = 16;

/// What `policy.toml` demands of changes to keys and to the policy set; the set that is active decides.
///
/// The ledger lowers the number to the people there are: see `Governance::effective_quorum`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GovernanceRules {
    /// How many different people sign a change, where there are so many.
    pub quorum: u64,
    /// Whether another policy set needs a backtest: a report on what it would have decided, whose digest is signed.
    pub backtest: bool,
}

impl Default for GovernanceRules {
    fn default() -> Self {
        Self { quorum: 1, backtest: false }
    }
}

impl GovernanceRules {
    /// Whether the number cannot work: nobody, or more than any change could carry.
    pub(crate) fn is_out_of_range(&self) -> bool {
        !(1..=QUORUM_MAX).contains(&self.quorum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_person_is_enough_unless_the_set_says_otherwise() {
        let read = |text: &str| toml::from_str::<GovernanceRules>(text);
        assert_eq!(read("").unwrap().quorum, 1);
        assert_eq!(read("quorum = 2").unwrap().quorum, 2);
        for (text, wrong) in
            [("quorum = 0", true), ("quorum = 1", false), ("quorum = 16", false), ("quorum = 17", true)]
        {
            assert_eq!(read(text).unwrap().is_out_of_range(), wrong, "{text}");
        }
        assert!(!read("").unwrap().backtest && read("backtest = true").unwrap().backtest);
        assert!(read("quorom = 2").is_err());
        assert!(read("quorum = -1").is_err());
    }
}
