//! The administrator of the demo: whoever has the server's disk and its log key, but no person's key.
//!
//! They write an approval in someone's name, an `allow` and a grant into a copy of the data, continue the tree, sign
//! the new head with the real log key, and make a bundle of it. Nobody is asked on the way: what the server itself would
//! refuse to append is written all the same.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_api::Exit;
use lockgate_engine::audit::StoreSource;
use lockgate_ledger::approval::{Anchor, Consent, NAMESPACE, document_for};
use lockgate_ledger::bodies::required;
use lockgate_ledger::bundle::{Bundle, BundleAnchor, BundleEntry, bodies_of};
use lockgate_ledger::entry::{
    Actor, ApprovalRecorded, Entry, Event, GrantIssued, Leaf, Position, SCHEMA, StreamPosition,
};
use lockgate_ledger::state::{Slice, State};
use lockgate_ledger::{ApplyError, PromotionState};
use lockgate_model::facts::Verdict;
use lockgate_model::{Digest, EntryIndex, Limits, PersonId, PromotionId, ReleaseName, Span, StreamName, UnixMillis};
use lockgate_policy::{GateOutcome, Outcome};
use lockgate_sign::note::{NoteKeyKind, NoteSigner};
use lockgate_sign::ssh_signer::{FileSigner, SshSigner as _};
use lockgate_store::{Batch, Head, LedgerStore as _, NewEntry, TileWrite};
use lockgate_store_local::{LocalStore, Options};
use lockgate_tlog::checkpoint::Checkpoint;
use lockgate_tlog::hash::leaf_hash;
use lockgate_tlog::proof::{prove_consistency, prove_inclusion};
use lockgate_tlog::tree::Tree;

use crate::commands::audit::Tiles;
use crate::failure::Failure;
use crate::home::Home;
use crate::keyring::sign;
use crate::serve::log_seed;

/// How many entries of the demo's ledger are read at most.
const ENTRIES: usize = 100_000;

/// Forges, in the copy `data` of the data of `home`, that `approver` let `promotion` in, and gives a bundle of it.
///
/// # Errors
/// When the copy cannot be read or written; not because of anything that is forged.
pub fn forge(home: &Home, data: &Path, promotion: PromotionId, approver: &PersonId) -> Result<Vec<u8>, Failure> {
    let store = LocalStore::open(data, Options::default())?;
    let mut forgery = Forgery::begin(&store)?;
    forgery.approve_and_grant(promotion, approver)?;
    let checkpoint = forgery.sign_again(home)?;
    forgery.bundle(promotion, checkpoint)
}

struct Forgery<'a> {
    store: &'a LocalStore,
    /// The honest head.
    head: Head,
    state: State,
    /// Every leaf, the forged ones at the end.
    leaves: Vec<Leaf>,
    time: UnixMillis,
    entries: Vec<NewEntry>,
    documents: Vec<(Digest, Vec<u8>)>,
}

impl<'a> Forgery<'a> {
    /// Reads the whole honest ledger.
    fn begin(store: &'a LocalStore) -> Result<Self, Failure> {
        let mut state = State::default();
        let mut leaves = Vec::new();
        for (index, bytes) in (0..).map(EntryIndex).zip(store.entries(EntryIndex(0), ENTRIES)?) {
            let leaf = Leaf::decode(&bytes, &Limits::DEFAULT).map_err(failed)?;
            if let Leaf::Entry(entry) = &leaf {
                state.apply(index, entry, &StoreSource(store), Slice::Whole)?;
            }
            leaves.push(leaf);
        }
        let time = state.time().unwrap_or(UnixMillis(0));
        Ok(Self { store, head: store.head()?, state, leaves, time, entries: Vec::new(), documents: Vec::new() })
    }

    fn promotion(&self, promotion: PromotionId) -> Result<(ReleaseName, PromotionState), Failure> {
        let name = self.state.release_of(promotion).ok_or_else(|| failed("the promotion is unknown"))?;
        Ok((name.clone(), self.state.release(name)?.promotion(promotion)?.clone()))
    }

    /// An approval by a key of the administrator's own, the waiting decision made an `allow`, and a grant.
    fn approve_and_grant(&mut self, promotion: PromotionId, approver: &PersonId) -> Result<(), Failure> {
        let (release, asked) = self.promotion(promotion)?;
        let key = FileSigner::generate_ed25519("administrator").map_err(failed)?;
        let consent = Consent {
            approver: approver.clone(),
            verdict: Verdict::Approve,
            comment: None,
            expires_at: self.time.plus(Span::from_secs(3600)),
            anchor: Anchor { size: self.head.size, root: self.head.root },
        };
        let document = document_for(&self.state, promotion, consent)?.to_bytes()?;
        let approval = ApprovalRecorded {
            promotion,
            release: release.clone(),
            verdict: Verdict::Approve,
            approver: approver.clone(),
            key: key.public_key().fingerprint(),
            document: Digest::of(&document),
            signature: sign(&key, NAMESPACE, &document)?,
        };
        self.documents.push((approval.document, document));
        self.append(Actor::Subject { id: approver.clone() }, Event::ApprovalRecorded(approval))?;

        let mut decision = asked.decisions.last().ok_or_else(|| failed("nothing was decided"))?.event.clone();
        decision.outcome = Outcome::Allow;
        decision.gates.iter_mut().for_each(|line| line.outcome = GateOutcome::Pass);
        for position in &mut decision.relied_on {
            if let Some(head) = self.state.head(&position.stream) {
                *position = head.clone();
            }
        }
        let environment = decision.environment.clone();
        let decided = self.append(Actor::System, Event::DecisionRecorded(decision))?;
        let grant = GrantIssued {
            promotion,
            release,
            manifest: asked.request.manifest,
            environment,
            decision: decided,
            not_after: self.time.plus(Span::from_secs(3600)),
        };
        self.append(Actor::System, Event::GrantIssued(grant))?;
        Ok(())
    }

    /// Adds an entry with every link in its place; `State::apply`, which would refuse it, is not asked.
    fn append(&mut self, actor: Actor, event: Event) -> Result<EntryIndex, Failure> {
        let index = EntryIndex(self.leaves.len() as u64);
        let links = event.streams(&actor).iter().map(|stream| self.state.next_link(stream)).collect();
        let governance = self.state.head(&StreamName::governance());
        let governance = governance.map(|head| Position { seq: head.seq, index: head.index });
        let entry = Entry { schema: SCHEMA.to_owned(), time: self.time, actor, governance, streams: links, event };
        let bytes = entry.to_leaf(&Limits::DEFAULT).map_err(failed)?;
        for link in &entry.streams {
            self.state.adopt_head(StreamPosition { stream: link.stream.clone(), seq: link.seq, index });
        }
        let streams = entry.streams.iter().map(|link| (link.stream.clone(), link.seq)).collect();
        self.entries.push(NewEntry { leaf_hash: leaf_hash(&bytes), bytes, streams });
        self.leaves.push(Leaf::Entry(Box::new(entry)));
        Ok(index)
    }

    /// Writes it all down, and signs the new head with the log's own key.
    fn sign_again(&mut self, home: &Home) -> Result<String, Failure> {
        let edge = |level: u8, index: u64, _width: u16| self.store.tile(level, index);
        let mut tree = Tree::restore(self.head.size, edge).map_err(failed)?;
        self.entries.iter().for_each(|entry| tree.append(entry.leaf_hash));
        let tile = |tile: lockgate_tlog::tree::TileWrite| TileWrite {
            level: tile.level,
            index: tile.index,
            hashes: tile.hashes,
        };
        self.store.commit(&Batch {
            first: EntryIndex(self.head.size.0),
            entries: std::mem::take(&mut self.entries),
            tiles: tree.take_tiles().into_iter().map(tile).collect(),
            root: tree.root(),
            documents: std::mem::take(&mut self.documents),
            replies: Vec::new(),
            projections: Vec::new(),
        })?;
        let (origin, seed) = log_seed(home)?;
        let signer = NoteSigner::from_seed(&origin, NoteKeyKind::Ed25519, &seed).map_err(failed)?;
        let checkpoint = Checkpoint { origin, size: tree.size(), root: tree.root() }.sign(&signer).to_text();
        self.store.checkpoint_put(checkpoint.as_bytes())?;
        Ok(checkpoint)
    }

    /// A bundle as the server makes one: whole streams, proofs under the signed head, bodies.
    fn bundle(&self, promotion: PromotionId, checkpoint: String) -> Result<Vec<u8>, Failure> {
        let name = self.promotion(promotion)?.0;
        let (size, tiles) = (self.store.head()?.size, Tiles(self.store));
        let belongs = |event: &Event| match event {
            Event::GrantIssued(grant) => grant.release.service == name.service,
            other => other.release().is_none_or(|release| *release == name),
        };
        let shown: Vec<(EntryIndex, &Entry)> = (0..)
            .map(EntryIndex)
            .zip(&self.leaves)
            .filter_map(|(index, leaf)| match leaf {
                Leaf::Entry(entry) if belongs(&entry.event) => Some((index, entry.as_ref())),
                _ => None,
            })
            .collect();
        let mut entries = Vec::with_capacity(shown.len());
        for (index, entry) in &shown {
            let leaf = STANDARD.encode(entry.to_leaf(&Limits::DEFAULT).map_err(failed)?);
            let proof = encoded(&prove_inclusion(*index, size, &tiles).map_err(failed)?);
            entries.push(BundleEntry { index: *index, leaf, proof });
        }
        let mut bodies = BTreeMap::new();
        for digest in bodies_of(shown.iter().map(|(_, entry)| *entry)) {
            let bytes = required(&StoreSource(self.store), &digest).map_err(ApplyError::from)?.into_owned();
            bodies.insert(digest, STANDARD.encode(bytes));
        }
        let proof = encoded(&prove_consistency(self.head.size, size, &tiles).map_err(failed)?);
        let anchors = vec![BundleAnchor { size: self.head.size, proof }];
        let schema = Bundle::SCHEMA.to_owned();
        Ok(Bundle { schema, promotion, checkpoint, entries, anchors, bodies }.to_bytes()?)
    }
}

fn encoded(path: &[Digest]) -> Vec<String> {
    path.iter().map(|hash| STANDARD.encode(hash.as_bytes())).collect()
}

fn failed(error: impl Display) -> Failure {
    Failure::new(Exit::Failed, "DEMO_FAILED", format!("the forgery was not made: {error}"))
}
