//! The verdict: journals against the store, without asking the server.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::path::Path;

use lockgate_ledger::{Event, Leaf};
use lockgate_model::{Digest, EntryIndex, EnvName, Limits, PromotionId, ReleaseName};
use lockgate_store::{BlobStore, LedgerStore as _};
use lockgate_store_local::{LocalStore, Options};
use lockgate_tlog::{Tree, leaf_hash};

use super::journal::{Ack, What};
use crate::failure::{During as _, Failure, Result};
use crate::receipt::Proven;

/// How many entries are read at a time.
const PAGE: usize = 512;
/// What the services of the writers begin with.
const SERVICES: &str = "crash/";
/// The status of a promotion that a grant stands for.
const GRANTED: &str = "granted";

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

/// What an entry says with which a writer's request begins.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Said {
    Published(ReleaseName),
    Attested(Digest),
    Promoted(PromotionId),
    Approved(PromotionId, Digest),
}

impl Said {
    /// Whether this is how something that was acknowledged begins.
    fn begins(&self, what: &What) -> bool {
        match (self, what) {
            (Self::Published(held), What::Published(told)) => held == told,
            (Self::Attested(held), What::Attested(told)) => held == told,
            (Self::Promoted(held), What::Promoted(told)) => told.first().is_some_and(|(first, _)| first == held),
            (Self::Approved(held, document), What::Approved(told, signed)) => (held, document) == (told, signed),
            _ => false,
        }
    }
}

/// What the ledger holds of the writers' doing.
#[derive(Debug, Default)]
struct Held {
    leaves: Vec<Digest>,
    /// What their entries say, by index.
    said: HashMap<u64, Said>,
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
            let index = held.leaves.len() as u64;
            held.leaves.push(leaf_hash(bytes));
            let leaf = Leaf::decode(bytes, &Limits::DEFAULT).during("decode an entry")?;
            if let Leaf::Entry(entry) = leaf {
                held.note(index, &entry.event);
            }
        }
    }
    Ok(held)
}

impl Held {
    fn note(&mut self, index: u64, event: &Event) {
        match event {
            Event::ReleasePublished(event) if is_ours(&event.release) => {
                self.said.insert(index, Said::Published(event.release.clone()));
                *self.published.entry(event.release.clone()).or_default() += 1;
            }
            Event::EvidenceRecorded(event) if is_ours(&event.release) => {
                self.said.insert(index, Said::Attested(event.evidence));
                *self.attested.entry(event.evidence).or_default() += 1;
            }
            Event::PromotionRequested(event) if is_ours(&event.release) => {
                self.said.insert(index, Said::Promoted(event.promotion));
                let place = (event.release.clone(), event.environment.clone());
                self.promoted.entry(event.promotion).or_default().push(place);
            }
            Event::ApprovalRecorded(event) if is_ours(&event.release) => {
                self.said.insert(index, Said::Approved(event.promotion, event.document));
                self.approved.entry(event.promotion).or_default().push(event.document);
            }
            Event::GrantIssued(event) if is_ours(&event.release) => {
                *self.granted.entry(event.promotion).or_default() += 1;
            }
            _ => {}
        }
    }

    /// What does not hold of a receipt. Its tree head covers all entries of the request, and they are the same ones as
    /// then where the first so many entries still have its root.
    fn receipt_problem(&self, proven: &Proven, what: &What, roots: &HashMap<u64, Digest>) -> Option<String> {
        let Proven { index, leaf, size, root } = proven;
        let found = usize::try_from(*index).ok().and_then(|index| self.leaves.get(index));
        if found != Some(leaf) {
            return Some(format!("was acknowledged at {index}, which does not hold its entry"));
        }
        let said = self.said.get(index);
        if said.is_none_or(|said| !said.begins(what)) {
            return Some(format!("was acknowledged at {index}, which says {said:?} and not {what:?}"));
        }
        match roots.get(size) == Some(root) {
            true => None,
            false => Some(format!("was acknowledged under a head of {size} entries, which are others now")),
        }
    }

    /// Whether what was acknowledged has left what it has to leave.
    fn has(&self, what: &What) -> bool {
        match what {
            What::Blob(_) => true,
            What::Published(release) => self.published.contains_key(release),
            What::Attested(digest) => self.attested.contains_key(digest),
            What::Promoted(told) => told.iter().all(|(id, status)| {
                self.promoted.contains_key(id) && (status != GRANTED || self.granted.contains_key(id))
            }),
            What::Approved(id, document) => {
                self.granted.contains_key(id) && self.approved.get(id).is_some_and(|held| held.contains(document))
            }
        }
    }
}

/// The roots of a tree of these leaves at these sizes, as far as it gets.
fn roots(leaves: &[Digest], sizes: &BTreeSet<u64>) -> HashMap<u64, Digest> {
    let mut tree = Tree::empty();
    let mut roots = HashMap::new();
    for leaf in leaves {
        tree.append(*leaf);
        if sizes.contains(&tree.size().0) {
            roots.insert(tree.size().0, tree.root());
        }
    }
    roots
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
    let roots = roots(&held.leaves, &acks.iter().filter_map(|ack| Some(ack.entry?.size)).collect());
    let (mut keys, mut indices) = (HashSet::new(), HashSet::new());
    for ack in acks {
        let key = &ack.key;
        if !keys.insert(key) {
            verdict.duplicated.push(format!("`{key}` was acknowledged twice"));
        }
        if let Some(proven) = &ack.entry {
            let index = proven.index;
            if !indices.insert(index) {
                verdict.duplicated.push(format!("entry {index} was acknowledged twice, the second time for `{key}`"));
            }
            let problem = held.receipt_problem(proven, &ack.what, &roots);
            verdict.lost.extend(problem.map(|problem| format!("`{key}` {problem}")));
            if places.get(&proven.leaf).is_some_and(|count| *count > 1) {
                verdict.duplicated.push(format!("the entry of `{key}` stands more than once"));
            }
        }
        if !held.has(&ack.what) {
            verdict.lost.push(format!("`{key}` was acknowledged and left nothing: {:?}", ack.what));
        }
    }
    doubled_and_unanswered(held, acks, &mut verdict);
    verdict
}

/// Every release, report, promotion and approval of the writers is asked for once, so each may stand once, and with it
/// its grant; and each is repeated until it is acknowledged, so none may stand without.
fn doubled_and_unanswered(held: &Held, acks: &[Ack], verdict: &mut Verdict) {
    let (mut published, mut attested) = (HashSet::new(), HashSet::new());
    let (mut promoted, mut approved) = (HashSet::<&PromotionId>::new(), HashSet::<&PromotionId>::new());
    let mut granted = HashSet::<&PromotionId>::new();
    for ack in acks {
        match &ack.what {
            What::Blob(_) => {}
            What::Published(release) => {
                published.insert(release);
            }
            What::Attested(digest) => {
                attested.insert(digest);
            }
            What::Promoted(told) => {
                promoted.extend(told.iter().map(|(id, _)| id));
                granted.extend(told.iter().filter(|(_, status)| status == GRANTED).map(|(id, _)| id));
            }
            What::Approved(id, _) => {
                approved.insert(id);
                granted.insert(id);
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
    let grants = held.granted.iter().map(|(id, count)| (format!("the grant of {id}"), *count, granted.contains(id)));
    for (what, count, answered) in releases.chain(reports).chain(promotions).chain(approvals).chain(grants) {
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

    fn leaf(number: u8) -> Digest {
        Digest::of(&[b'0' + number])
    }

    fn held() -> Held {
        Held {
            leaves: (0..5).map(leaf).collect(),
            said: HashMap::from([
                (1, Said::Published(release())),
                (2, Said::Attested(Digest::of(b"report"))),
                (3, Said::Promoted(PromotionId(1))),
                (4, Said::Approved(PromotionId(1), Digest::of(b"consent"))),
            ]),
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
        // Each was told at once, under the head that ends with its entry.
        let ack = |key: &str, what, index: u8| {
            let mut tree = Tree::empty();
            (0..=index).for_each(|number| tree.append(leaf(number)));
            let proven = Proven { index: index.into(), leaf: leaf(index), size: tree.size().0, root: tree.root() };
            Ack { key: key.to_owned(), what, entry: Some(proven) }
        };
        vec![
            ack("p", What::Published(release()), 1),
            ack("a", What::Attested(Digest::of(b"report")), 2),
            ack("g", What::Promoted(vec![(PromotionId(1), "pending".to_owned())]), 3),
            ack("c", What::Approved(PromotionId(1), Digest::of(b"consent")), 4),
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
        // Whoever was told under a later head misses it, too.
        held.leaves[1] = Digest::of(b"other");
        check(&held, &acks(), 5, 0, 0);
    }

    #[test]
    fn an_entry_behind_the_first_of_a_request_is_missed() {
        let mut other = held();
        other.leaves.push(leaf(5));
        let mut told = acks();
        let mut tree = Tree::empty();
        other.leaves.iter().for_each(|leaf| tree.append(*leaf));
        told[3].entry = told[3].entry.map(|proven| Proven { size: tree.size().0, root: tree.root(), ..proven });
        check(&other, &told, 0, 0, 0);
        other.leaves[5] = Digest::of(b"another grant");
        check(&other, &told, 1, 0, 0);
        other.leaves.truncate(5);
        check(&other, &told, 1, 0, 0);
    }

    #[test]
    fn an_entry_about_something_else_is_no_acknowledgement() {
        for (index, said) in [
            (1, Said::Published("crash/w0@1.0.2".parse().unwrap())),
            (2, Said::Attested(Digest::of(b"another report"))),
            (3, Said::Promoted(PromotionId(2))),
            (4, Said::Approved(PromotionId(1), Digest::of(b"another consent"))),
            (4, Said::Promoted(PromotionId(1))),
        ] {
            let mut other = held();
            other.said.insert(index, said);
            check(&other, &acks(), 1, 0, 0);
        }
        let mut other = held();
        other.said.clear();
        check(&other, &acks(), 4, 0, 0);
    }

    #[test]
    fn what_is_told_to_be_granted_needs_its_grant_and_a_grant_its_telling() {
        let mut told = acks();
        told.truncate(3);
        let mut other = held();
        other.granted.clear();
        other.approved.clear();
        check(&other, &told, 0, 0, 0);
        told[2].what = What::Promoted(vec![(PromotionId(1), "granted".to_owned())]);
        check(&other, &told, 1, 0, 0);
        other.granted.insert(PromotionId(1), 1);
        check(&other, &told, 0, 0, 0);
        other.granted.insert(PromotionId(1), 2);
        check(&other, &told, 0, 1, 0);
        other.granted.insert(PromotionId(1), 1);
        told[2].what = What::Promoted(vec![(PromotionId(1), "pending".to_owned())]);
        check(&other, &told, 0, 0, 1);
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
        twice.leaves.push(leaf(2));
        check(&twice, &acks(), 0, 1, 0);
        let mut again = acks();
        again.push(again[0].clone());
        check(&held(), &again, 0, 2, 0);
    }

    #[test]
    fn what_nobody_was_told_is_found() {
        let told: Vec<Ack> = acks().into_iter().take(1).collect();
        check(&held(), &told, 0, 0, 4);
    }
}
