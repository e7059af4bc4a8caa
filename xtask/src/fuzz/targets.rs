//! Targets: every reader of bytes from outside, one target each.

mod evidence;
mod identities;
mod ledger;
mod log;
mod nouns;
mod policy;
mod policy_texts;
mod replies;
mod server;
mod signatures;
mod state;

use super::outcome::Outcome;
use super::samples::Samples;
use super::story::Story;
use crate::failure::Result;
use crate::mutation;

/// How many words of its samples a target's mutations know.
const WORDS_MAX: usize = 400;
/// Words that no sample may have, and that fields of many documents are called.
const FIELDS: &[&str] = &[
    "schema",
    "notes",
    "source",
    "code",
    "session",
    "suspended",
    "expires_at",
    "environments",
    "services",
    "last_used",
    "before",
    "after",
    "reason",
    "rule",
    "governance",
    "comment",
    "countersigned",
    "url",
    "id",
    "name",
    "version",
];

/// What reads the bytes of one target.
type Reader = Box<dyn Fn(&[u8]) -> Outcome + Send + Sync>;

/// One reader, with the inputs to begin with.
pub struct Target {
    /// Its name, also of its folder under `fuzz/corpus`.
    pub name: String,
    /// The inputs to begin with.
    pub seeds: Vec<Vec<u8>>,
    read: Reader,
}

impl Target {
    /// A reader with its samples.
    pub fn new(name: &str, seeds: Vec<Vec<u8>>, read: impl Fn(&[u8]) -> Outcome + Send + Sync + 'static) -> Self {
        Self { name: name.to_owned(), seeds, read: Box::new(read) }
    }

    /// What the reader makes of an input.
    pub fn read(&self, input: &[u8]) -> Outcome {
        (self.read)(input)
    }
}

/// The words that mutations of these inputs know: those of the inputs, and names of fields.
pub fn words(inputs: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut known: Vec<Vec<u8>> = FIELDS.iter().map(|field| field.as_bytes().to_vec()).collect();
    known.extend(mutation::words(inputs, WORDS_MAX));
    known
}

/// Every target, in the order of the rooms.
///
/// # Errors
/// When a sample cannot be read or made.
pub fn targets(story: &Story) -> Result<Vec<Target>> {
    let samples = Samples::load()?;
    let mut all = nouns::targets(&samples)?;
    all.extend(signatures::targets(&samples, story)?);
    all.extend(identities::targets(story)?);
    all.extend(log::targets(&samples, story)?);
    all.extend(evidence::targets(&samples)?);
    all.extend(policy::targets(&samples, story)?);
    all.extend(policy_texts::targets(&samples)?);
    all.extend(ledger::targets(&samples, story)?);
    all.extend(state::targets(story)?);
    all.extend(server::targets()?);
    all.extend(replies::targets(story)?);
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    use crate::fuzz::corpus;

    #[test]
    fn every_target_has_a_name_of_its_own_and_reads_its_samples_twice_alike() {
        let all = targets(&Story::tell().unwrap()).unwrap();
        let names: BTreeSet<&str> = all.iter().map(|target| target.name.as_str()).collect();
        assert_eq!(names.len(), all.len());
        for target in &all {
            assert!(!target.seeds.is_empty(), "{}", target.name);
            assert!(target.name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'), "{}", target.name);
            let accepted = target.seeds.iter().filter(|seed| {
                let outcome = target.read(seed);
                assert_eq!(outcome, target.read(seed), "{}", target.name);
                assert_eq!(outcome.broken, None, "{}", target.name);
                outcome.is_accepted()
            });
            // A target that only ever refuses would test nothing behind its first check.
            assert!(accepted.count() > 0, "{}: no sample is accepted", target.name);
            for input in corpus::regressions(&target.name).unwrap() {
                assert_eq!(target.read(&input).broken, None, "{}: a finding of before", target.name);
            }
        }
        // What is kept under another name would never be read again.
        for name in corpus::folders().unwrap() {
            assert!(names.contains(name.as_str()), "{name}");
        }
    }
}
