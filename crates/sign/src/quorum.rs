//! Quorum: how many different people really signed.

use std::collections::BTreeSet;

use lockgate_model::PersonId;

/// One verified signature: who signed, and with which key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signer<'a> {
    /// The person to whom the key is enrolled.
    pub person: &'a PersonId,
    /// The fingerprint of the key.
    pub key: &'a str,
}

/// Counts the people among verified signers: the only place where signatures are counted.
///
/// Signers are taken in order. A signer counts unless its person or its key has appeared before, counted or not. So
/// one person with many keys counts once, one key under many names counts once, and neither more signatures by the
/// same people nor more names for the same keys raise the count.
///
/// INVARIANT (one person, one key, one vote): every counted person signed with a key that no signer before it used,
/// and no two counted signers share a person or a key.
///
/// It does not verify anything: hand in only signatures that verified.
pub fn count_distinct_signers<'a>(signers: impl IntoIterator<Item = Signer<'a>>) -> usize {
    if lockgate_failpoint::planted("quorum-counts-signatures") {
        return signers.into_iter().count();
    }
    let mut people = BTreeSet::new();
    let mut keys = BTreeSet::new();
    let mut count = 0;
    for signer in signers {
        // Both sets grow in any case: a signer that does not count must still use up its person and its key.
        let new_person = people.insert(signer.person);
        let new_key = keys.insert(signer.key);
        if new_person && new_key {
            count += 1;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn count(signers: &[(PersonId, String)]) -> usize {
        count_distinct_signers(signers.iter().map(|(person, key)| Signer { person, key }))
    }

    fn signers(pairs: &[(&str, &str)]) -> Vec<(PersonId, String)> {
        pairs.iter().map(|(person, key)| (person.parse().unwrap(), (*key).to_owned())).collect()
    }

    #[test]
    fn counts_people_and_not_signatures() {
        let check = |pairs: &[(&str, &str)], expected: usize| assert_eq!(count(&signers(pairs)), expected, "{pairs:?}");
        check(&[], 0);
        check(&[("dana", "k1")], 1);
        check(&[("dana", "k1"), ("sam", "k2")], 2);
        check(&[("dana", "k1"), ("dana", "k1")], 1);
        check(&[("dana", "k1"), ("dana", "k2")], 1);
        check(&[("dana", "k1"), ("sam", "k1")], 1);
        check(&[("dana", "k1"), ("dana", "k2"), ("sam", "k2")], 1);
        check(&[("dana", "k1"), ("sam", "k1"), ("sam", "k2")], 1);
        check(&[("dana", "k1"), ("dana", "k2"), ("sam", "k3")], 2);
    }

    fn some_signers() -> impl Strategy<Value = Vec<(PersonId, String)>> {
        prop::collection::vec(("[a-d]", "k[1-4]"), 0..12)
            .prop_map(|pairs| pairs.into_iter().map(|(person, key)| (person.parse().unwrap(), key)).collect())
    }

    proptest! {
        #[test]
        fn never_more_than_people_or_keys(signers in some_signers()) {
            let people: BTreeSet<_> = signers.iter().map(|(person, _)| person).collect();
            let keys: BTreeSet<_> = signers.iter().map(|(_, key)| key).collect();
            prop_assert!(count(&signers) <= people.len().min(keys.len()));
            prop_assert_eq!(count(&signers) == 0, signers.is_empty());
        }

        #[test]
        fn repeating_signers_changes_nothing(signers in some_signers()) {
            let twice: Vec<_> = signers.iter().chain(signers.iter().rev()).cloned().collect();
            prop_assert_eq!(count(&twice), count(&signers));
        }

        #[test]
        fn one_more_key_for_a_known_person_changes_nothing(signers in some_signers(), at in any::<prop::sample::Index>()) {
            prop_assume!(!signers.is_empty());
            let person = at.get(&signers).0.clone();
            let mut more = signers.clone();
            more.push((person, "fresh".to_owned()));
            prop_assert_eq!(count(&more), count(&signers));
        }

        #[test]
        fn a_known_key_under_a_new_name_changes_nothing(signers in some_signers(), at in any::<prop::sample::Index>()) {
            prop_assume!(!signers.is_empty());
            let key = at.get(&signers).1.clone();
            let mut more = signers.clone();
            more.push(("fresh".parse().unwrap(), key));
            prop_assert_eq!(count(&more), count(&signers));
        }

        #[test]
        fn a_new_person_with_a_new_key_counts(signers in some_signers()) {
            let mut more = signers.clone();
            more.push(("fresh".parse().unwrap(), "fresh".to_owned()));
            prop_assert_eq!(count(&more), count(&signers) + 1);
        }
    }
}
