//! Check: what a verifier says to what it is shown. These are the functions that `lockgate audit`, `lockgate verify` and
//! the start of a server run, and nothing here helps them.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::Read;

use lockgate_api::Exit;
use lockgate_engine::audit::StoreSource;
use lockgate_ledger::audit::{AuditSource, Problem, audit};
use lockgate_ledger::backtest::History;
use lockgate_ledger::bodies::{Bodies, BodyError};
use lockgate_ledger::bundle::verify;
use lockgate_ledger::entry::StreamPosition;
use lockgate_model::{Digest, EntryIndex, StreamName, TreeSize};
use lockgate_store::Store;
use lockgate_store_local::LocalStore;

use super::attack::{Halt, Shown};
use super::scene::{Scene, reading};
use crate::serve::check_high_water;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The first reason code that is wanted, or else the first.
    pub code: String,
    /// The others, each once, in the order in which they came.
    pub also: Vec<String>,
    /// What the check said with the code.
    pub message: String,
}

/// Runs the check, which should come to one of the `wanted` codes; `None` when it has nothing to object to.
///
/// # Errors
/// When the check itself could not run: that is neither caught nor missed.
pub fn look(scene: &Scene<'_>, shown: &Shown, wanted: &[&str]) -> Result<Option<Found>, Halt> {
    let subject = scene.subject;
    match shown {
        Shown::Ledger { checkpoint, kept, artifact } => {
            let store = LocalStore::open_read_only(scene.copy.dir(), reading())?;
            let source = Source {
                checkpoint: checkpoint.as_deref(),
                hashed: Some(&subject.hashed),
                changed: *artifact,
                ..Source::new(&store)
            };
            let anchors = if *kept { subject.memory.anchors.clone() } else { Vec::new() };
            Ok(found(&audit(&source, Some(&subject.trust), anchors, |_, _| {}).problems, wanted))
        }
        Shown::Started => {
            let store = LocalStore::open_read_only(scene.copy.dir(), reading())?;
            match check_high_water(&subject.memory.high_water, &store, "LEDGER_ROLLED_BACK", "ledger") {
                Ok(()) => Ok(None),
                Err(failure) if failure.exit == Exit::Integrity => {
                    Ok(Some(Found { code: failure.code, also: Vec::new(), message: failure.message }))
                }
                Err(failure) => Err(failure.into()),
            }
        }
        Shown::Bundle { bytes, artifact, environment } => {
            let Ok(proof) = &subject.proof else { return Ok(None) };
            match verify(bytes, &subject.trust, &proof.query(*artifact, environment)) {
                Ok(_) => Ok(None),
                Err(refusal) => {
                    Ok(Some(Found { code: refusal.code.to_owned(), also: Vec::new(), message: refusal.message }))
                }
            }
        }
    }
}

/// What an audit found: the first problem that is wanted stands for it, or else the first of all.
pub fn found(problems: &[Problem], wanted: &[&str]) -> Option<Found> {
    let is_wanted = |problem: &&Problem| wanted.contains(&problem.code);
    let first = problems.iter().find(is_wanted).or_else(|| problems.first())?;
    let mut also: Vec<String> = Vec::new();
    for problem in problems.iter().filter(|problem| problem.code != first.code) {
        if !also.iter().any(|code| code == problem.code) {
            also.push(problem.code.to_owned());
        }
    }
    let place = first.index.map(|index| format!("entry {index}: ")).unwrap_or_default();
    Some(Found { code: first.code.to_owned(), also, message: format!("{place}{}", first.message) })
}

/// A store as an auditor's source, that may be shown another checkpoint than the stored one.
///
/// Artifacts are hashed when the sound copy is audited. Each further copy has the very same files, so that they are not
/// hashed again, but for one that was changed.
pub struct Source<'a> {
    store: StoreSource<'a>,
    checkpoint: Option<&'a [u8]>,
    hashed: Option<&'a BTreeSet<Digest>>,
    changed: Option<Digest>,
    seen: RefCell<BTreeSet<Digest>>,
}

impl<'a> Source<'a> {
    /// A store as it is.
    pub fn new(store: &'a dyn Store) -> Self {
        Self {
            store: StoreSource(store),
            checkpoint: None,
            hashed: None,
            changed: None,
            seen: RefCell::new(BTreeSet::new()),
        }
    }

    /// The artifacts that were found to be what their names say.
    pub fn into_hashed(self) -> BTreeSet<Digest> {
        self.seen.into_inner()
    }
}

impl Bodies for Source<'_> {
    fn body(&self, digest: &Digest) -> Result<Option<Cow<'_, [u8]>>, BodyError> {
        self.store.body(digest)
    }

    fn body_reader(&self, digest: &Digest) -> Result<Option<Box<dyn Read + '_>>, BodyError> {
        self.store.body_reader(digest)
    }
}

impl History for Source<'_> {
    fn size_and_root(&self) -> Result<(TreeSize, Digest), String> {
        self.store.size_and_root()
    }
    fn page(&self, first: EntryIndex, most: usize) -> Result<Vec<Vec<u8>>, String> {
        self.store.page(first, most)
    }
}

impl AuditSource for Source<'_> {
    fn checkpoint(&self) -> Result<Option<Vec<u8>>, String> {
        match self.checkpoint {
            Some(shown) => Ok(Some(shown.to_vec())),
            None => self.store.checkpoint(),
        }
    }
    fn tile(&self, level: u8, index: u64) -> Result<Option<Vec<u8>>, String> {
        self.store.tile(level, index)
    }
    fn stream(&self, stream: &StreamName, from_seq: u64, most: usize) -> Result<Vec<(u64, EntryIndex)>, String> {
        self.store.stream(stream, from_seq, most)
    }
    fn stream_heads(&self, after: Option<&StreamName>, most: usize) -> Result<Vec<StreamPosition>, String> {
        self.store.stream_heads(after, most)
    }
    fn artifact(&self, digest: &Digest) -> Result<bool, BodyError> {
        if self.changed != Some(*digest) && self.hashed.is_some_and(|hashed| hashed.contains(digest)) {
            return Ok(true);
        }
        let is_there = self.store.artifact(digest)?;
        if is_there {
            self.seen.borrow_mut().insert(*digest);
        }
        Ok(is_there)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_names_each_code_once_and_one_in_full() {
        let problem = |code, index: Option<u64>| Problem {
            code,
            index: index.map(EntryIndex),
            message: format!("{code} is wrong"),
        };
        assert_eq!(found(&[], &["KEY_UNKNOWN"]), None);
        let problems = [
            problem("KEY_UNKNOWN", Some(7)),
            problem("ROOT_MISMATCH", None),
            problem("KEY_UNKNOWN", Some(8)),
            problem("ROOT_MISMATCH", None),
        ];
        let check = |wanted: &[&str], code: &str, also: &str, message: &str| {
            let found = found(&problems, wanted).unwrap();
            assert_eq!((found.code.as_str(), found.also.join(" ").as_str()), (code, also));
            assert_eq!(found.message, message);
        };
        check(&[], "KEY_UNKNOWN", "ROOT_MISMATCH", "entry 7: KEY_UNKNOWN is wrong");
        check(&["TILE_MISMATCH"], "KEY_UNKNOWN", "ROOT_MISMATCH", "entry 7: KEY_UNKNOWN is wrong");
        check(&["TILE_MISMATCH", "ROOT_MISMATCH"], "ROOT_MISMATCH", "KEY_UNKNOWN", "ROOT_MISMATCH is wrong");
    }
}
