//! The ballot: approvals that count, and for how many people.
//!
//! An approval counts for whoever gave it, or, where a delegation alone gives the right, for the lender: so that a
//! lender and their delegate are one person, and so are two delegates of one lender.

use std::collections::BTreeMap;

use lockgate_model::facts::ApprovalFact;
use lockgate_model::{GroupName, PersonId};
use lockgate_sign::quorum::{Signer, count_distinct_signers};

/// The most groups in `per_group`: all their subsets are looked at.
pub(super) const PER_GROUP_MAX: usize = 6;

/// Somebody whose right another may use.
#[derive(Debug, Clone)]
pub(super) struct Lender<'a> {
    /// The person behind the lender's account.
    pub(super) person: &'a PersonId,
    /// The groups that are lent.
    pub(super) groups: Vec<&'a GroupName>,
}

/// By what right somebody may approve.
#[derive(Debug, Clone)]
pub(super) struct Right<'a> {
    /// The person behind the account.
    pub(super) person: &'a PersonId,
    /// Their own groups, where those give the right.
    pub(super) own: Option<&'a [GroupName]>,
    /// Who has lent them theirs.
    pub(super) lenders: Vec<Lender<'a>>,
}

/// An approval that counts.
#[derive(Debug, Clone)]
pub(super) struct Vote<'a> {
    pub(super) fact: &'a ApprovalFact,
    pub(super) right: Right<'a>,
}

impl<'a> Vote<'a> {
    /// Whether it counts for whoever gave it, in one of these groups; `None` asks for any right at all.
    fn is_own(&self, groups: Option<&[&GroupName]>) -> bool {
        match (self.right.own, groups) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(own), Some(groups)) => own.iter().any(|group| groups.contains(&group)),
        }
    }

    /// For whom else it can count, in one of these groups.
    fn lenders(&self, groups: Option<&[&GroupName]>) -> impl Iterator<Item = &'a PersonId> {
        let fits = move |lender: &&Lender<'a>| {
            groups.is_none_or(|groups| lender.groups.iter().any(|group| groups.contains(group)))
        };
        self.right.lenders.iter().filter(fits).map(|lender| lender.person)
    }
}

/// Counts people, in these groups alone where some are given.
///
/// See [`count_distinct_signers`], the only place where signatures are counted.
pub(super) fn people(votes: &[Vote<'_>], groups: Option<&[&GroupName]>) -> u64 {
    let own = votes.iter().filter(|vote| vote.is_own(groups));
    let mut signers: Vec<Signer<'_>> =
        own.map(|vote| Signer { person: vote.right.person, key: &vote.fact.key }).collect();
    let mut delegates: Vec<&PersonId> = Vec::new();
    for vote in votes.iter().filter(|vote| !vote.is_own(groups)) {
        // One delegate fills one seat, whatever they have been lent and however often they sign: that of a lender who
        // is not represented yet, where there is one.
        if delegates.contains(&vote.right.person) {
            continue;
        }
        delegates.push(vote.right.person);
        let known: Vec<&PersonId> = signers.iter().map(|signer| signer.person).collect();
        let free = vote.lenders(groups).find(|person| !known.contains(person));
        let lender = free.or_else(|| vote.lenders(groups).next());
        signers.extend(lender.map(|person| Signer { person, key: &vote.fact.key }));
    }
    u64::try_from(count_distinct_signers(signers)).unwrap_or(u64::MAX)
}

/// Finds a group that does not send enough people of its own.
///
/// One person fills one seat, also when in several groups. By Hall's theorem all seats can be filled exactly when
/// for every set of groups there are at least as many people in any of them as they have seats together.
pub(super) fn group_that_is_short<'g>(
    votes: &[Vote<'_>],
    per_group: &'g BTreeMap<GroupName, u64>,
) -> Option<&'g GroupName> {
    let seats: Vec<(&GroupName, u64)> =
        per_group.iter().map(|(group, count)| (group, *count)).take(PER_GROUP_MAX).collect();
    // Small sets first, so that a group that is short by itself is the one that is named.
    let mut subsets: Vec<u32> = (1..1u32 << seats.len()).collect();
    subsets.sort_by_key(|subset| subset.count_ones());
    for subset in subsets {
        let chosen: Vec<(&'g GroupName, u64)> =
            seats.iter().enumerate().filter(|(bit, _)| subset & (1u32 << *bit) != 0).map(|(_, seat)| *seat).collect();
        let wanted = chosen.iter().fold(0u64, |sum, (_, count)| sum.saturating_add(*count));
        let groups: Vec<&GroupName> = chosen.iter().map(|(group, _)| *group).collect();
        if people(votes, Some(&groups)) < wanted {
            return chosen.last().map(|(group, _)| *group);
        }
    }
    None
}
