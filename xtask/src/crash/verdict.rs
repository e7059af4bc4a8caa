//! The verdict: journals against the store, without asking the server.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;

use lockgate_ledger::{Event, Leaf};
use lockgate_model::{Digest, EntryIndex, EnvName, Limits, PromotionId, ReleaseName};
use lockgate_policy::Outcome;
use lockgate_store::{BlobStore, LedgerStore as _};
use lockgate_store_local::{LocalStore, Options};
use lockgate_tlog::leaf_hash;

use super::journal::{Ack, What};
use crate::failure::{During as _, Failure, Result};

/// How many entries are read at a time.
const PAGE: usize = 512;
/// What the services of the writers begin with.
const SERVICES: &str = "crash/";

/// What the comparison found; each problem in words.
#[derive(Debug, Default)]
pub struct Verdict {
    /// How many acknowledgements there are.
    pub acknowledgements: usize,
    /// How many of them are approvals.
    pub approvals: usize,
    /// Acknowledged and not there, or not the same.
    pub lost: Vec<String>,
    /// There twice.
    pub duplicated: Vec<String>,
    /// There, although no writer was ever told; every writer repeats until it is told.
    pub unanswered: Vec<String>,
}

impl Verdict {
    /// All problems.
    pub fn problems(&self) -> impl Iterator<Item = &str> {
        self.lost.iter().chain(&self.duplicated).chain(&self.unanswered).map(String::as_str)
    }
}

/// What is promoted where to.
type Place = (ReleaseName, EnvName);

/// What the ledger holds of the writers' doing.
#[derive(Debug, Default)]
struct Held {
    leaves: Vec<Digest>,
    published: HashMap<ReleaseName, usize>,
    attested: HashMap<Digest, usize>,
    promoted: HashMap<PromotionId, Vec<Place>>,
    approved: HashMap<PromotionId, Vec<Digest>>,
    granted: HashMap<PromotionId, usize>,
}

/// Compares what was acknowledged with what the store in `data` holds.
///
/// # Errors
/// When the store cannot be read, which says nothing about the acknowledgements.
pub fn judge(data: &Path, acks: &[Ack]) -> Result<Verdict> {
    let store = LocalStore::open_read_only(data, Options::default()).during("open the store")?;
    let held = read(&store)?;
    let mut verdict = compare(&held, acks);
    for ack in acks {
        if let What::Blob(digest) = &ack.what {
            verdict.lost.extend(blob_problem(&store, digest));
        }
    }
    Ok(verdict)
}

fn read(store: &LocalStore) -> Result<Held> {
    let size = store.head().during("read the ledger's head")?.size.0;
    let mut held = Held::default();
    while (held.leaves.len() as u64) < size {
        let first = EntryIndex(held.leaves.len() as u64);
        let page = store.entries(first, PAGE).during("read entries")?;
        if page.is_empty() {
            return Err(Failure::new(format!("the ledger of {size} entries ends at {first}")));
        }
        for bytes in &page {
            held.leaves.push(leaf_hash(bytes));
            let leaf = Leaf::decode(bytes, &Limits::DEFAULT).during("decode an entry")?;
            if let Leaf::Entry(entry) = leaf {
                held.note(&entry.event);
            }
        }
    }
    Ok(held)
}

impl Held {
    fn note(&mut self, event: &Event) {
        match event {
            Event::ReleasePublished(event) if is_ours(&event.release) => {
                *self.published.entry(event.release.clone()).or_default() += 1;
            }
            Event::EvidenceRecorded(event) if is_ours(&event.release) => {
                *self.attested.entry(event.evidence).or_default() += 1;
            }
            Event::PromotionRequested(event) if is_ours(&event.release) => {
                let place = (event.release.clone(), event.environment.clone());
                self.promoted.entry(event.promotion).or_default().push(place);
            }
            Event::ApprovalRecorded(event) if is_ours(&event.release) => {
                self.approved.entry(event.promotion).or_default().push(event.document);
            }
            Event::DecisionRecorded(event) if is_ours(&event.release) && event.outcome == Outcome::Allow => {
                *self.granted.entry(event.promotion).or_default() += 1;
            }
            _ => {}
        }
    }
}

fn is_ours(release: &ReleaseName) -> bool {
    release.service.as_str().starts_with(SERVICES)
}

fn compare(held: &Held, acks: &[Ack]) -> Verdict {
    let approvals = acks.iter().filter(|ack| matches!(ack.what, What::Approved(..))).count();
    let mut verdict = Verdict { acknowledgements: acks.len(), approvals, ..Verdict::default() };
    let mut places: HashMap<&Digest, usize> = HashMap::new();
    for leaf in &held.leaves {
        *places.entry(leaf).or_default() += 1;
    }
    let (mut keys, mut indices) = (HashSet::new(), HashSet::new());
    for ack in acks {
        let key = &ack.key;
        if !keys.insert(key) {
            verdict.duplicated.push(format!("`{key}` was acknowledged twice"));
        }
        if let Some((index, leaf)) = &ack.entry {
            if !indices.insert(*index) {
                verdict.duplicated.push(format!("entry {index} was acknowledged twice, the second time for `{key}`"));
            }
            let found = usize::try_from(*index).ok().and_then(|index| held.leaves.get(index));
            if found != Some(leaf) {
                verdict.lost.push(format!("`{key}` was acknowledged at {index}, which does not hold its entry"));
            }
            if places.get(leaf).is_some_and(|count| *count > 1) {
                verdict.duplicated.push(format!("the entry of `{key}` stands more than once"));
            }
        }
        let applied = match &ack.what {
            What::Blob(_) => true,
            What::Published(release) => held.published.contains_key(release),
            What::Attested(digest) => held.attested.contains_key(digest),
            What::Promoted(ids) => ids.iter().all(|id| held.promoted.contains_key(id)),
            What::Approved(id, document) => {
                held.granted.contains_key(id) && held.approved.get(id).is_some_and(|held| held.contains(document))
            }
        };
        if !applied {
            verdict.lost.push(format!("`{key}` was acknowledged and left nothing: {:?}", ack.what));
        }
    }
    doubled_and_unanswered(held, acks, &mut verdict);
    verdict
}

/// Every release, report, promotion and approval of the writers is asked for once, so each may stand once; and each is
/// repeated until it is acknowledged, so none may stand without.
fn doubled_and_unanswered(held: &Held, acks: &[Ack], verdict: &mut Verdict) {
    let (mut published, mut attested) = (HashSet::new(), HashSet::new());
    let (mut promoted, mut approved) = (HashSet::<&PromotionId>::new(), HashSet::<&PromotionId>::new());
    for ack in acks {
        match &ack.what {
            What::Blob(_) => {}
            What::Published(release) => {
                published.insert(release);
            }
            What::Attested(digest) => {
                attested.insert(digest);
            }
            What::Promoted(ids) => promoted.extend(ids),
            What::Approved(id, _) => {
                approved.insert(id);
            }
        }
    }
    let releases =
        held.published.iter().map(|(name, count)| (format!("the release {name}"), *count, published.contains(name)));
    let reports =
        held.attested.iter().map(|(digest, count)| (format!("the report {digest}"), *count, attested.contains(digest)));
    let promotions =
        held.promoted.iter().map(|(id, places)| (format!("the promotion {id}"), places.len(), promoted.contains(id)));
    let approvals =
        held.approved.iter().map(|(id, all)| (format!("the approval of {id}"), all.len(), approved.contains(id)));
    for (what, count, answered) in releases.chain(reports).chain(promotions).chain(approvals) {
        if count > 1 {
            verdict.duplicated.push(format!("{what} stands {count} times"));
        }
        if !answered {
            verdict.unanswered.push(format!("{what} stands, and nobody was told"));
        }
    }
    let mut places: HashMap<&Place, usize> = HashMap::new();
    held.promoted.values().flatten().for_each(|place| *places.entry(place).or_default() += 1);
    for ((release, environment), count) in places.into_iter().filter(|(_, count)| *count > 1) {
        verdict.duplicated.push(format!("{release} was let into {environment} by {count} promotions"));
    }
    for (id, count) in held.granted.iter().filter(|(_, count)| **count > 1) {
        verdict.duplicated.push(format!("{id} was granted {count} times"));
    }
}

fn blob_problem(store: &dyn BlobStore, digest: &Digest) -> Option<String> {
    match store.open(digest) {
        // The reader hashes on the way and fails at the end when the bytes are others.
        Ok(Some(mut reader)) => {
            io::copy(&mut reader, &mut io::sink()).err().map(|error| format!("the bytes {digest}: {error}"))
        }
        Ok(None) => Some(format!("the bytes {digest} were acknowledged and are not there")),
        Err(error) => Some(format!("the bytes {digest}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release() -> ReleaseName {
        "crash/w0@1.0.1".parse().unwrap()
    }

    fn held() -> Held {
        Held {
            leaves: (0..5).map(|number: u8| Digest::of(&[b'0' + number])).collect(),
            published: HashMap::from([(release(), 1)]),
            attested: HashMap::from([(Digest::of(b"report"), 1)]),
            promoted: HashMap::from([(PromotionId(1), vec![place()])]),
            approved: HashMap::from([(PromotionId(1), vec![Digest::of(b"consent")])]),
            granted: HashMap::from([(PromotionId(1), 1)]),
        }
    }

    fn place() -> Place {
        (release(), "production".parse().unwrap())
    }

    fn acks() -> Vec<Ack> {
        let ack = |key: &str, what, index: u64, leaf: &[u8]| Ack {
            key: key.to_owned(),
            what,
            entry: Some((index, Digest::of(leaf))),
        };
        vec![
            ack("p", What::Published(release()), 1, b"1"),
            ack("a", What::Attested(Digest::of(b"report")), 2, b"2"),
            ack("g", What::Promoted(vec![PromotionId(1)]), 3, b"3"),
            ack("c", What::Approved(PromotionId(1), Digest::of(b"consent")), 4, b"4"),
        ]
    }

    fn check(held: &Held, acks: &[Ack], lost: usize, duplicated: usize, unanswered: usize) {
        let verdict = compare(held, acks);
        let found = (verdict.lost.len(), verdict.duplicated.len(), verdict.unanswered.len());
        assert_eq!(found, (lost, duplicated, unanswered), "{verdict:#?}");
    }

    #[test]
    fn a_whole_ledger_has_no_problem() {
        check(&held(), &acks(), 0, 0, 0);
    }

    #[test]
    fn what_is_lost_is_found() {
        let mut held = held();
        held.leaves.truncate(3);
        held.promoted.clear();
        check(&held, &acks(), 3, 0, 0);
        held.leaves[1] = Digest::of(b"other");
        check(&held, &acks(), 4, 0, 0);
    }

    #[test]
    fn an_approval_is_lost_with_its_document_and_with_its_grant() {
        let mut other = held();
        other.approved.insert(PromotionId(1), vec![Digest::of(b"another consent")]);
        check(&other, &acks(), 1, 0, 0);
        let mut other = held();
        other.granted.clear();
        check(&other, &acks(), 1, 0, 0);
    }

    #[test]
    fn what_stands_twice_is_found() {
        let mut twice = held();
        twice.published.insert(release(), 2);
        twice.promoted.insert(PromotionId(2), vec![place()]);
        check(&twice, &acks(), 0, 2, 1);
        let mut twice = held();
        twice.approved.get_mut(&PromotionId(1)).unwrap().push(Digest::of(b"consent"));
        twice.granted.insert(PromotionId(1), 2);
        check(&twice, &acks(), 0, 2, 0);
        let mut twice = held();
        twice.leaves.push(Digest::of(b"2"));
        check(&twice, &acks(), 0, 1, 0);
        let mut again = acks();
        again.push(again[0].clone());
        check(&held(), &again, 0, 2, 0);
    }

    #[test]
    fn what_nobody_was_told_is_found() {
        let told: Vec<Ack> = acks().into_iter().take(1).collect();
        check(&held(), &told, 0, 0, 3);
    }
}
