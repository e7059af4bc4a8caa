//! The verdict: journals against the store, without asking the server.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;

use lockgate_ledger::{Event, Leaf};
use lockgate_model::{Digest, EntryIndex, Limits, PromotionId, ReleaseName};
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

/// What the ledger holds of the writers' doing.
#[derive(Debug, Default)]
struct Held {
    leaves: Vec<Digest>,
    published: HashMap<ReleaseName, usize>,
    attested: HashMap<Digest, usize>,
    promoted: HashMap<ReleaseName, Vec<PromotionId>>,
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
                self.promoted.entry(event.release.clone()).or_default().push(event.promotion);
            }
            _ => {}
        }
    }
}

fn is_ours(release: &ReleaseName) -> bool {
    release.service.as_str().starts_with(SERVICES)
}

fn compare(held: &Held, acks: &[Ack]) -> Verdict {
    let mut verdict = Verdict { acknowledgements: acks.len(), ..Verdict::default() };
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
            What::Promoted(release, id) => held.promoted.get(release).is_some_and(|ids| ids.contains(id)),
        };
        if !applied {
            verdict.lost.push(format!("`{key}` was acknowledged and left nothing: {:?}", ack.what));
        }
    }
    doubled_and_unanswered(held, acks, &mut verdict);
    verdict
}

/// Every release, report and promotion of the writers is asked for once, so each may stand once; and each is repeated
/// until it is acknowledged, so none may stand without.
fn doubled_and_unanswered(held: &Held, acks: &[Ack], verdict: &mut Verdict) {
    let (mut published, mut attested, mut promoted) = (HashSet::new(), HashSet::new(), HashSet::new());
    for ack in acks {
        match &ack.what {
            What::Blob(_) => {}
            What::Published(release) => {
                published.insert(release);
            }
            What::Attested(digest) => {
                attested.insert(digest);
            }
            What::Promoted(release, _) => {
                promoted.insert(release);
            }
        }
    }
    let releases =
        held.published.iter().map(|(name, count)| (format!("the release {name}"), *count, published.contains(name)));
    let reports =
        held.attested.iter().map(|(digest, count)| (format!("the report {digest}"), *count, attested.contains(digest)));
    let promotions = held
        .promoted
        .iter()
        .map(|(name, ids)| (format!("the promotion of {name}"), ids.len(), promoted.contains(name)));
    for (what, count, answered) in releases.chain(reports).chain(promotions) {
        if count > 1 {
            verdict.duplicated.push(format!("{what} stands {count} times"));
        }
        if !answered {
            verdict.unanswered.push(format!("{what} stands, and nobody was told"));
        }
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
            leaves: vec![Digest::of(b"0"), Digest::of(b"1"), Digest::of(b"2"), Digest::of(b"3")],
            published: HashMap::from([(release(), 1)]),
            attested: HashMap::from([(Digest::of(b"report"), 1)]),
            promoted: HashMap::from([(release(), vec![PromotionId(1)])]),
        }
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
            ack("g", What::Promoted(release(), PromotionId(1)), 3, b"3"),
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
        check(&held, &acks(), 2, 0, 0);
        held.leaves[1] = Digest::of(b"other");
        check(&held, &acks(), 3, 0, 0);
    }

    #[test]
    fn what_stands_twice_is_found() {
        let mut twice = held();
        twice.published.insert(release(), 2);
        twice.promoted.insert(release(), vec![PromotionId(1), PromotionId(2)]);
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
        check(&held(), &told, 0, 0, 2);
    }
}
