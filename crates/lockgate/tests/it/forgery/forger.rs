//! The forger: a real history that can be edited, and everything that an intruder has to make it fit again.

use std::collections::BTreeMap;
use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_ledger::approval::{Anchor, NAMESPACE};
use lockgate_ledger::bodies::required;
use lockgate_ledger::bundle::{Bundle, BundleAnchor, BundleEntry, Query, verify};
use lockgate_ledger::entry::{GateLine, PersonEnrolled, Position, Sponsor, StreamPosition};
use lockgate_ledger::governance::{ENROLMENT_NAMESPACE, EnrolmentDocument, document_bytes};
use lockgate_ledger::replay::deliberate;
use lockgate_ledger::state::Slice;
use lockgate_ledger::{ApprovalDocument, BodyMap, ClaimCache, Event, Leaf, Link, State, TrustFile};
use lockgate_model::{
    Digest, EntryIndex, EnvName, Limits, PromotionId, ServiceName, StreamName, TreeSize, UnixMillis, canonical,
};
use lockgate_sign::note::{NoteKeyKind, NoteSignature, NoteSigner};
use lockgate_sign::ssh_signer::{FileSigner, SshSigner as _};
use lockgate_store::LedgerStore as _;
use lockgate_store_local::{LocalStore, Options};
use lockgate_tlog::checkpoint::Checkpoint;
use lockgate_tlog::hash::leaf_hash;
use lockgate_tlog::proof::{TileSource, prove_consistency, prove_inclusion};
use lockgate_tlog::tree::Tree;
use serde_json::{Value, json};

use crate::instance::{Instance, artifact, text};

/// Leaves, which of them are shown to the verifier, and bodies.
#[derive(Clone)]
pub struct History {
    /// Every leaf of the ledger, in order.
    pub leaves: Vec<Vec<u8>>,
    /// The indices of those that a bundle shows.
    pub shown: Vec<usize>,
    /// Everything that entries name.
    pub bodies: BodyMap,
    /// What the bundle is about.
    pub promotion: PromotionId,
}

impl History {
    /// One leaf as JSON.
    pub fn entry(&self, at: usize) -> Value {
        serde_json::from_slice(&self.leaves[at]).unwrap()
    }

    /// The body of a digest.
    pub fn body(&self, digest: &Value) -> Vec<u8> {
        let digest: Digest = text(digest).parse().unwrap();
        required(&self.bodies, &digest).unwrap().into_owned()
    }

    /// The last entry of this kind.
    pub fn last(&self, kind: &str) -> usize {
        self.nth_last(kind, 0)
    }

    /// The same, after skipping some.
    pub fn nth_last(&self, kind: &str, skip: usize) -> usize {
        let fits = |at: &usize| self.entry(*at)["event"]["type"] == kind;
        (0..self.leaves.len()).rev().filter(fits).nth(skip).unwrap_or_else(|| panic!("no {kind}"))
    }

    /// Changes one entry.
    pub fn edit(&mut self, at: usize, change: impl FnOnce(&mut Value)) {
        let mut entry = self.entry(at);
        change(&mut entry);
        self.leaves[at] = canonical::to_vec(&entry).unwrap();
    }

    /// Puts an entry before another one, and shows all.
    pub fn insert(&mut self, at: usize, entry: &Value) {
        self.leaves.insert(at, canonical::to_vec(entry).unwrap());
        self.show_all();
    }

    /// Takes an entry away, and shows all.
    pub fn remove(&mut self, at: usize) {
        self.leaves.remove(at);
        self.show_all();
    }

    /// Shows every leaf.
    pub fn show_all(&mut self) {
        self.shown = (0..self.leaves.len()).collect();
    }

    /// Writes another text for one, wherever it stands in the leaves.
    pub fn replace(&mut self, from: &str, to: &str) {
        for leaf in &mut self.leaves {
            *leaf = String::from_utf8(leaf.clone()).unwrap().replace(from, to).into_bytes();
        }
    }

    /// Makes what is shown fit again: links, heads, and facts and decisions that come out of the forged history. The
    /// outcomes stay as they are written.
    pub fn settle(&mut self) {
        let (mut state, mut sound, cache) = (State::default(), true, ClaimCache::default());
        let mut heads: BTreeMap<StreamName, StreamPosition> = BTreeMap::new();
        let mut decided: BTreeMap<PromotionId, EntryIndex> = BTreeMap::new();
        for at in self.shown.clone() {
            let index = EntryIndex(at as u64);
            let Leaf::Entry(boxed) = Leaf::decode(&self.leaves[at], &Limits::DEFAULT).unwrap() else { continue };
            let mut entry = *boxed;
            let time = entry.time;
            entry.governance =
                heads.get(&StreamName::governance()).map(|head| Position { seq: head.seq, index: head.index });
            let mut streams = entry.event.streams(&entry.actor);
            let artifacts = entry.streams.iter().filter(|link| link.stream.as_str().starts_with("artifact:"));
            streams.extend(artifacts.map(|link| link.stream.clone()));
            entry.streams = streams.iter().map(|stream| link_after(&heads, stream)).collect();
            match &mut entry.event {
                Event::DecisionRecorded(event) => {
                    for position in &mut event.relied_on {
                        if let Some(head) = heads.get(&position.stream) {
                            *position = head.clone();
                        }
                    }
                    decided.insert(event.promotion, index);
                    let again = deliberate(&state, event.promotion, time, &self.bodies, &cache);
                    if let (true, Ok(again)) = (sound, again) {
                        event.facts = self.bodies.insert(again.facts_bytes);
                        event.decision = self.bodies.insert(again.decision_bytes);
                        event.policy = state.governance().unwrap().policy_digest;
                        let gates = again.decision.gates.into_iter();
                        event.gates = gates.map(|gate| GateLine { gate: gate.gate, outcome: gate.outcome }).collect();
                    }
                }
                Event::GrantIssued(event) => {
                    event.decision = decided.get(&event.promotion).copied().unwrap_or(event.decision);
                }
                Event::AttestationsIssued(event) => {
                    event.decision = decided.get(&event.promotion).copied().unwrap_or(event.decision);
                }
                _ => {}
            }
            sound = sound && state.apply(index, &entry, &self.bodies, Slice::Partial).is_ok();
            for link in &entry.streams {
                let head = StreamPosition { stream: link.stream.clone(), seq: link.seq, index };
                heads.insert(link.stream.clone(), head);
            }
            self.leaves[at] = entry.to_leaf(&Limits::DEFAULT).unwrap();
        }
    }
}

fn link_after(heads: &BTreeMap<StreamName, StreamPosition>, stream: &StreamName) -> Link {
    match heads.get(stream) {
        None => Link { stream: stream.clone(), seq: 0, prev: None },
        Some(head) => Link { stream: stream.clone(), seq: head.seq + 1, prev: Some(head.index) },
    }
}

/// What an intruder takes from a server, and a key of their own.
pub struct Forger {
    /// The ledger's name.
    pub origin: String,
    signer: NoteSigner,
    /// The key of somebody who is not enrolled.
    pub own: FileSigner,
    /// What the verifier pins.
    pub trust: TrustFile,
    /// What is to run in production.
    pub artifact: Digest,
    /// Up to the grant of `P-3` and not further.
    pub honest: History,
    /// With what came later: the approver's key is revoked, and another release is published.
    pub whole: History,
    /// The bundle as the server gave it out after the grant.
    taken: Bundle,
}

impl Forger {
    /// Breaks into a server that has promoted, and later revoked and published.
    pub fn new() -> Self {
        Self::break_in(&Instance::granted())
    }

    /// The same with a server of the caller's choice that has granted `P-3`; it is stopped then.
    pub fn break_in(instance: &Instance) -> Self {
        let reply = instance.get("/v1/promotions/P-3/bundle", Some(&instance.token("dana")));
        let taken = Bundle::from_bytes(&reply.body).unwrap();
        let size = usize::try_from(instance.entries()).unwrap();
        let fingerprint = FileSigner::load(&instance.key("sam")).unwrap().public_key().fingerprint();
        let (finger, since) = ("--fingerprint", "--compromised-since");
        let key = [finger, fingerprint.as_str(), since, "4", "--reason", "stolen laptop", "--yes", "--as", "sam"];
        instance.run(&[["key", "revoke", "sam"].as_slice(), key.as_slice()].concat()).exits(0);
        instance.push("1.4.3", "trivy.json").exits(0);
        instance.stop();

        let store = LocalStore::open_read_only(&instance.home().join("data"), Options::default()).unwrap();
        let leaves = store.entries(EntryIndex(0), 10_000).unwrap();
        assert!(leaves.len() > size + 1);
        let key = fs::read_to_string(instance.home().join("keys/log.key")).unwrap();
        let mut words = key.split_whitespace().skip(1);
        let (origin, seed) = (words.next().unwrap(), words.next().unwrap());
        let seed: [u8; 32] = STANDARD.decode(seed).unwrap().try_into().unwrap();
        let whole = History {
            shown: (0..leaves.len()).collect(),
            leaves,
            bodies: taken.decode_bodies().unwrap(),
            promotion: taken.promotion,
        };
        let mut honest = whole.clone();
        honest.leaves.truncate(size);
        honest.show_all();
        Self {
            origin: origin.to_owned(),
            signer: NoteSigner::from_seed(origin, NoteKeyKind::Ed25519, &seed).unwrap(),
            own: FileSigner::ed25519_from_seed(&[7; 32], "mallory").unwrap(),
            trust: instance.trust(),
            artifact: Digest::of(&artifact("1.4.2")),
            honest,
            whole,
            taken,
        }
    }

    /// Nothing is refused because the forger is clumsy: what it makes without forging is accepted.
    pub fn checks_itself(&self) {
        let honest = self.history();
        assert_eq!(self.verdict(&self.bundle(&honest), &self.trust), Ok(()));
        let mut served = honest.clone();
        served.shown = self.taken.entries.iter().map(|entry| usize::try_from(entry.index.0).unwrap()).collect();
        assert!(self.bundle(&served) == self.taken, "the forger makes the bundle that the server made");
        let mut settled = honest.clone();
        settled.settle();
        assert!(settled.leaves == honest.leaves, "what fits is not changed");
        // A whole history of the forger's own is refused for its first owner alone.
        let trust = TrustFile { root_keys: vec![self.own.public_key().clone()], ..self.trust.clone() };
        assert_eq!(self.verdict(&self.takeover(), &trust), Ok(()));
    }

    /// The honest history, to be edited.
    pub fn history(&self) -> History {
        self.honest.clone()
    }

    /// What the verifier says, at the moment of the grant.
    pub fn verdict(&self, bundle: &Bundle, trust: &TrustFile) -> Result<(), (&'static str, String)> {
        let granted = self.honest.entry(self.honest.last("grant.issued"));
        let service: ServiceName = "shop/web".parse().unwrap();
        let environment: EnvName = "production".parse().unwrap();
        let now = UnixMillis(granted["time"].as_u64().unwrap());
        let query = Query { artifact: self.artifact, service: &service, environment: &environment, now };
        let verdict = verify(&bundle.to_bytes().unwrap(), trust, &query);
        verdict.map(drop).map_err(|refusal| (refusal.code, refusal.message))
    }

    /// A bundle of what the history shows, under a checkpoint of all of it.
    pub fn bundle(&self, history: &History) -> Bundle {
        let tiles = Tiles::over(&history.leaves);
        let entry = |at: &usize| {
            let index = EntryIndex(*at as u64);
            let path = prove_inclusion(index, tiles.size, &tiles).unwrap();
            BundleEntry { index, leaf: STANDARD.encode(&history.leaves[*at]), proof: encoded(&path) }
        };
        Bundle {
            schema: Bundle::SCHEMA.to_owned(),
            promotion: history.promotion,
            checkpoint: self.checkpoint(tiles.size, tiles.root),
            entries: history.shown.iter().map(entry).collect(),
            anchors: anchors(history, &tiles),
            bodies: history.bodies.iter().map(|(digest, bytes)| (*digest, STANDARD.encode(bytes))).collect(),
        }
    }

    /// A head, signed with the log's own key.
    pub fn checkpoint(&self, size: TreeSize, root: Digest) -> String {
        Checkpoint { origin: self.origin.clone(), size, root }.sign(&self.signer).to_text()
    }

    /// A line by the log's own key over any text.
    pub fn note_signature(&self, text: &str) -> NoteSignature {
        self.signer.sign_text(text)
    }

    /// The honest history with its last entry of one kind edited.
    pub fn edited(&self, kind: &str, change: impl FnOnce(&mut Value)) -> Bundle {
        let mut history = self.history();
        let at = history.last(kind);
        history.edit(at, change);
        history.settle();
        self.bundle(&history)
    }

    /// The honest history without one entry.
    pub fn without(&self, at: usize) -> Bundle {
        let mut history = self.history();
        history.remove(at);
        history.settle();
        self.bundle(&history)
    }

    /// The honest bundle under a checkpoint by another key.
    pub fn signed_by(&self, signer: &NoteSigner) -> Bundle {
        let history = self.history();
        let tiles = Tiles::over(&history.leaves);
        let checkpoint = Checkpoint { origin: signer.vkey().name().to_owned(), size: tiles.size, root: tiles.root };
        Bundle { checkpoint: checkpoint.sign(signer).to_text(), ..self.bundle(&history) }
    }

    /// Signs with the forger's own key.
    pub fn sign(&self, namespace: &str, document: &[u8]) -> String {
        self.own.sign(namespace, document).unwrap().to_armored()
    }

    /// Signs an enrolment with the forger's key: for its sponsor, and as the newcomer's own key where `own`.
    pub fn enrol(&self, history: &mut History, at: usize, own: bool) {
        let body = history.entry(at)["event"]["body"].clone();
        let mut event: PersonEnrolled = serde_json::from_value(body).unwrap();
        if own {
            event.key = self.own.public_key().clone();
        }
        let document = EnrolmentDocument::new(&self.origin, &event.person, event.subject, &event.groups, &event.key);
        let signature = self.sign(ENROLMENT_NAMESPACE, &document_bytes(&document).unwrap());
        if own {
            event.proof = signature.clone();
        }
        if let Sponsor::Countersigned { signature: theirs, .. } = &mut event.sponsor {
            *theirs = signature;
        }
        history.edit(at, |entry| entry["event"]["body"] = serde_json::to_value(&event).unwrap());
    }

    /// Enrols mallory as an approver just after the first owner, who did not sign that.
    pub fn invite(&self, history: &mut History) {
        let mut entry = history.entry(2);
        entry["event"]["body"]["person"] = json!("mallory");
        entry["event"]["body"]["groups"] = json!(["owners", "approvers"]);
        history.insert(2, &entry);
        self.enrol(history, 2, true);
    }

    /// The approval is mallory's; `change` sees the next honest enrolment and mallory's.
    pub fn newcomer(&self, change: fn(&Value, &mut Value)) -> Bundle {
        let mut history = self.history();
        self.invite(&mut history);
        let theirs = history.entry(3)["event"]["body"].clone();
        history.edit(2, |entry| change(&theirs, &mut entry["event"]["body"]));
        self.approve(&mut history, "mallory");
        self.bundle(&history)
    }

    /// Puts an approval by the forger's key in the place of the real one, and settles the history around it.
    pub fn approve(&self, history: &mut History, person: &str) {
        history.settle();
        let at = history.last("approval.recorded");
        let bytes = history.body(&history.entry(at)["event"]["body"]["document"]);
        let mut document = ApprovalDocument::from_bytes(&bytes).unwrap();
        let before = Tiles::over(&history.leaves[..at]);
        document.predicate.approver = person.parse().unwrap();
        document.predicate.anchor = Anchor { size: before.size, root: before.root };
        let bytes = document.to_bytes().unwrap();
        let signature = self.sign(NAMESPACE, &bytes);
        let digest = history.bodies.insert(bytes);
        history.edit(at, |entry| {
            entry["actor"]["id"] = json!(person);
            let body = &mut entry["event"]["body"];
            body["approver"] = json!(person);
            body["key"] = json!(self.own.public_key().fingerprint());
            body["document"] = json!(digest);
            body["signature"] = json!(signature);
        });
        history.settle();
    }

    /// Everything that sam signed is signed by the forger's key instead, from sam's own enrolment on.
    pub fn takeover(&self) -> Bundle {
        let mut history = self.history();
        self.enrol(&mut history, 1, true);
        self.enrol(&mut history, 2, false);
        self.enrol(&mut history, 3, false);
        self.approve(&mut history, "sam");
        self.bundle(&history)
    }
}

fn anchors(history: &History, tiles: &Tiles) -> Vec<BundleAnchor> {
    let entries = history.shown.iter().map(|at| history.entry(*at));
    let approvals = entries.filter(|entry| entry["event"]["type"] == "approval.recorded");
    // What is no approval document any more has no anchor.
    let size = |entry: Value| {
        let digest: Digest = entry["event"]["body"]["document"].as_str()?.parse().ok()?;
        let bytes = required(&history.bodies, &digest).ok()?;
        Some(ApprovalDocument::from_bytes(&bytes).ok()?.predicate.anchor.size)
    };
    let proof = |size: TreeSize| {
        let path = prove_consistency(size, tiles.size, tiles).unwrap();
        BundleAnchor { size, proof: encoded(&path) }
    };
    approvals.filter_map(size).filter(|size| *size <= tiles.size).map(proof).collect()
}

fn encoded(path: &[Digest]) -> Vec<String> {
    path.iter().map(|hash| STANDARD.encode(hash.as_bytes())).collect()
}

/// The tree over some leaves.
pub struct Tiles {
    /// How many there are.
    pub size: TreeSize,
    /// Their root.
    pub root: Digest,
    tiles: BTreeMap<(u8, u64), Vec<u8>>,
}

impl Tiles {
    /// The tree over these.
    pub fn over(leaves: &[Vec<u8>]) -> Self {
        let mut tree = Tree::empty();
        leaves.iter().for_each(|leaf| tree.append(leaf_hash(leaf)));
        let tiles = tree.take_tiles().into_iter().map(|tile| ((tile.level, tile.index), tile.hashes)).collect();
        Self { size: tree.size(), root: tree.root(), tiles }
    }
}

impl TileSource for Tiles {
    type Error = String;

    fn tile(&self, level: u8, index: u64, _width: u16) -> Result<Vec<u8>, String> {
        self.tiles.get(&(level, index)).cloned().ok_or_else(|| format!("no tile {level}/{index}"))
    }
}
