//! A ledger that somebody ended elsewhere: what an audit says of a decision whose attestations were never logged.

use std::borrow::Cow;

use lockgate_engine::audit::StoreSource;
use lockgate_ledger::audit::{AuditSource, audit};
use lockgate_ledger::backtest::History;
use lockgate_ledger::bodies::{Bodies, BodyError};
use lockgate_ledger::entry::StreamPosition;
use lockgate_ledger::{Event, Leaf};
use lockgate_model::{Digest, EntryIndex, Limits, StreamName, TreeSize};
use lockgate_store::LedgerStore as _;
use lockgate_tlog::tree::Tree;

use crate::world::World;

/// A store's first entries, under the head that they have.
struct Cut<'a> {
    whole: StoreSource<'a>,
    leaves: Vec<Vec<u8>>,
}

impl Cut<'_> {
    fn size(&self) -> u64 {
        self.leaves.len() as u64
    }
}

impl Bodies for Cut<'_> {
    fn body(&self, digest: &Digest) -> Result<Option<Cow<'_, [u8]>>, BodyError> {
        self.whole.body(digest)
    }
}

impl History for Cut<'_> {
    fn size_and_root(&self) -> Result<(TreeSize, Digest), String> {
        let mut tree = Tree::empty();
        for leaf in &self.leaves {
            tree.append(lockgate_tlog::hash::leaf_hash(leaf));
        }
        Ok((TreeSize(self.size()), tree.root()))
    }
    fn page(&self, first: EntryIndex, most: usize) -> Result<Vec<Vec<u8>>, String> {
        Ok(self.leaves.iter().skip(first.0 as usize).take(most).cloned().collect())
    }
}

impl AuditSource for Cut<'_> {
    fn checkpoint(&self) -> Result<Option<Vec<u8>>, String> {
        Ok(None)
    }
    fn tile(&self, level: u8, index: u64) -> Result<Option<Vec<u8>>, String> {
        let hashes = |tile: Vec<u8>| tile.into_iter().take(self.leaves.len() * 32).collect();
        Ok(self.whole.tile(level, index)?.map(hashes))
    }
    fn stream(&self, stream: &StreamName, from_seq: u64, most: usize) -> Result<Vec<(u64, EntryIndex)>, String> {
        let page = self.whole.stream(stream, from_seq, most)?;
        Ok(page.into_iter().filter(|(_, index)| index.0 < self.size()).collect())
    }
    fn stream_heads(&self, _: Option<&StreamName>, _: usize) -> Result<Vec<StreamPosition>, String> {
        Err("nobody has cut the heads of streams".to_owned())
    }
    fn artifact(&self, digest: &Digest) -> Result<bool, BodyError> {
        self.whole.artifact(digest)
    }
}

#[test]
fn a_decision_that_nothing_attests_is_named() {
    let world = World::starter();
    world.push("shop/web@1.0.0");
    world.promote("shop/web@1.0.0", "dev").unwrap();
    let leaves = world.store.entries(EntryIndex(0), usize::MAX).unwrap();
    let is_decision = |leaf: &Vec<u8>| match Leaf::decode(leaf, &Limits::DEFAULT).unwrap() {
        Leaf::Entry(entry) => matches!(entry.event, Event::DecisionRecorded(_)),
        Leaf::HashedRekord => false,
    };
    let decision = leaves.iter().rposition(is_decision).unwrap();
    let missing = |size: usize| {
        let cut = Cut { whole: StoreSource(&world.store), leaves: leaves.iter().take(size).cloned().collect() };
        let report = audit(&cut, None, Vec::new(), |_, _| {});
        let missing = report.problems.iter().filter(|problem| problem.code == "ATTESTATION_MISSING");
        assert!(!report.problems.iter().any(|problem| problem.code == "ROOT_MISMATCH"), "{:?}", report.problems);
        missing.map(|problem| problem.index).collect::<Vec<_>>()
    };
    assert_eq!(missing(decision), []);
    assert_eq!(missing(decision + 1), [Some(EntryIndex(decision as u64))]);
    assert_eq!(missing(leaves.len()), []);
}
