//! Whoever has the server's disk, its log key and its attestation key, but no person's key, cannot make a promotion
//! that the offline verifier accepts.
//!
//! The [`Forger`] has all of that. It edits a real history, makes everything fit again that it can (links, heads,
//! facts, decisions, proofs, the checkpoint's signature), and shows the result to the verifier.

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
use lockgate_sign::note::{NoteKeyKind, NoteSigner};
use lockgate_sign::ssh_signer::{FileSigner, SshSigner as _};
use lockgate_store::LedgerStore as _;
use lockgate_store_local::{LocalStore, Options};
use lockgate_tlog::checkpoint::Checkpoint;
use lockgate_tlog::hash::leaf_hash;
use lockgate_tlog::proof::{TileSource, prove_consistency, prove_inclusion};
use lockgate_tlog::tree::Tree;
use serde_json::{Value, json};

use crate::instance::{Instance, artifact, text};

/// A forgery: what it is, the reason it must be refused for, and how it is made.
type Forgery = (&'static str, &'static str, fn(&Forger) -> Bundle);

const FORGERIES: [Forgery; 34] = [
    ("a later revocation is shown", "KEY_REVOKED", later_revocation_shown),
    ("a later revocation is left out", "GOVERNANCE_GAP", later_revocation_left_out),
    ("the whole history again without the revocation", "APPROVAL_TARGET", shadow_chain),
    ("another requester under a real approval", "APPROVAL_TARGET", |forger| {
        forger.edited("promotion.requested", |entry| entry["actor"]["id"] = json!("ghost"))
    }),
    ("another reason under a real approval", "APPROVAL_TARGET", |forger| {
        forger.edited("promotion.requested", |entry| entry["event"]["body"]["reason"] = json!("something else"))
    }),
    ("a rollback under a real approval", "ROLLBACK_NEVER_RAN", |forger| {
        forger.edited("promotion.requested", |entry| entry["event"]["body"]["kind"] = json!("rollback"))
    }),
    ("a rollback under an approval of the promotion", "APPROVAL_TARGET", renewed_as_rollback),
    ("an approval moved to another promotion", "APPROVAL_TARGET", renewed),
    ("a grant for ever", "GRANT_UNFOUNDED", |forger| {
        forger.edited("grant.issued", |entry| entry["event"]["body"]["not_after"] = json!(9_007_199_254_740_991_u64))
    }),
    ("a grant of another manifest", "GRANT_UNFOUNDED", |forger| {
        forger.edited("grant.issued", |entry| entry["event"]["body"]["manifest"] = json!(Digest::of(b"other")))
    }),
    ("a grant into another environment", "GRANT_UNFOUNDED", |forger| {
        forger.edited("grant.issued", |entry| entry["event"]["body"]["environment"] = json!("staging"))
    }),
    ("a grant of another release", "NOT_GRANTED", |forger| {
        forger.edited("grant.issued", |entry| entry["event"]["body"]["release"] = json!("shop/web@9.9.9"))
    }),
    ("a staging decision that was never made", "REPLAY_FACTS", empty_staging_decision),
    ("evidence is missing for staging", "REPLAY_DECISION", |forger| forger.without("evidence.recorded")),
    ("the approval is missing", "REPLAY_DECISION", |forger| forger.without("approval.recorded")),
    ("a pending decision made an allow", "REPLAY_DECISION", pending_made_allow),
    ("other facts under their own digest", "REPLAY_FACTS", other_facts),
    ("a newcomer vouched for by nobody", "KEY_UNKNOWN", |forger| forger.newcomer(|_, _| ())),
    ("a newcomer with another's countersignature", "SIGNATURE_INVALID", |forger| {
        forger.newcomer(|theirs, own| own["sponsor"] = theirs["sponsor"].clone())
    }),
    ("a newcomer with the used one-time code", "SETUP_DONE", |forger| {
        let code = forger.history().entry(1)["event"]["body"]["sponsor"].clone();
        let mut history = forger.history();
        forger.invite(&mut history);
        history.edit(2, |entry| entry["event"]["body"]["sponsor"] = code);
        forger.approve(&mut history, "mallory");
        forger.bundle(&history)
    }),
    ("a further key that its owner did not sign", "KEY_UNKNOWN", further_key),
    ("an approval in another's name", "KEY_UNKNOWN", |forger| {
        let mut history = forger.history();
        forger.approve(&mut history, "sam");
        forger.bundle(&history)
    }),
    ("a policy set that nobody signed", "SIGNATURE_INVALID", made_up_policy),
    ("another first entry", "GENESIS_MISMATCH", |forger| {
        forger.edited("ledger.created", |entry| entry["event"]["body"]["software"] = json!("lockgate/forged"))
    }),
    ("another first owner", "ROOT_KEY_UNKNOWN", Forger::takeover),
    ("another artifact in the manifest", "APPROVAL_DIGEST", other_artifact),
    ("another scan under a real approval", "APPROVAL_DIGEST", other_scan),
    ("a past that reads the same to the rules", "ANCHOR_UNPROVEN", |forger| {
        forger.edited("evidence.recorded", |entry| entry["event"]["body"]["size_bytes"] = json!(1))
    }),
    ("two entries in the other order", "STREAM_BROKEN", |forger| {
        let mut history = forger.history();
        let at = history.last("evidence.recorded");
        history.leaves.swap(at - 1, at);
        forger.bundle(&history)
    }),
    ("another log key of the same name", "CHECKPOINT_INVALID", |forger| {
        forger.signed_by(&NoteSigner::from_seed(&forger.origin, NoteKeyKind::Ed25519, &[9; 32]).unwrap())
    }),
    ("a checkpoint of another ledger", "LOG_KEY_UNKNOWN", |forger| {
        forger.signed_by(&NoteSigner::from_seed("log1.other.example", NoteKeyKind::Ed25519, &[9; 32]).unwrap())
    }),
    ("a checkpoint of another tree", "INCLUSION_PROOF", |forger| {
        let (whole, mut bundle) = (forger.whole.clone(), forger.bundle(&forger.history()));
        bundle.checkpoint = forger.bundle(&whole).checkpoint;
        bundle
    }),
    ("the newest entry is missing", "BUNDLE_INCOMPLETE", |forger| {
        let mut history = forger.history();
        history.shown.pop();
        forger.bundle(&history)
    }),
    ("an anchor is not proven", "ANCHOR_UNPROVEN", |forger| {
        let mut bundle = forger.bundle(&forger.history());
        bundle.anchors.clear();
        bundle
    }),
];

#[test]
fn no_forgery_is_accepted() {
    let forger = Forger::new();
    forger.checks_itself();
    let mut wrong = Vec::new();
    for (what, code, forge) in FORGERIES {
        let bundle = forge(&forger);
        match forger.verdict(&bundle, &forger.trust) {
            Err((found, _)) if found == code => {}
            Err((found, message)) => wrong.push(format!("{what}: wanted {code}, got {found}: {message}")),
            Ok(()) => wrong.push(format!("{what}: ACCEPTED, wanted {code}")),
        }
    }
    assert!(wrong.is_empty(), "{} of {} are wrong:\n{}", wrong.len(), FORGERIES.len(), wrong.join("\n"));
}

#[test]
fn a_body_is_what_its_name_says() {
    let forger = Forger::new();
    let honest = forger.bundle(&forger.history());
    assert!(honest.bodies.len() > 8);
    for digest in honest.bodies.keys() {
        let mut bundle = honest.clone();
        bundle.bodies.insert(*digest, STANDARD.encode("other bytes"));
        assert_eq!(forger.verdict(&bundle, &forger.trust).unwrap_err().0, "DIGEST_MISMATCH", "{digest}");
    }
    let mut bundle = honest.clone();
    bundle.entries.swap(4, 5);
    assert_eq!(forger.verdict(&bundle, &forger.trust).unwrap_err().0, "BUNDLE_INVALID");
}

/// Leaves, which of them are shown to the verifier, and bodies.
#[derive(Clone)]
struct History {
    leaves: Vec<Vec<u8>>,
    shown: Vec<usize>,
    bodies: BodyMap,
    promotion: PromotionId,
}

impl History {
    fn entry(&self, at: usize) -> Value {
        serde_json::from_slice(&self.leaves[at]).unwrap()
    }

    fn body(&self, digest: &Value) -> Vec<u8> {
        let digest: Digest = text(digest).parse().unwrap();
        required(&self.bodies, &digest).unwrap().into_owned()
    }

    /// The last entry of this kind.
    fn last(&self, kind: &str) -> usize {
        self.nth_last(kind, 0)
    }

    fn nth_last(&self, kind: &str, skip: usize) -> usize {
        let fits = |at: &usize| self.entry(*at)["event"]["type"] == kind;
        (0..self.leaves.len()).rev().filter(fits).nth(skip).unwrap_or_else(|| panic!("no {kind}"))
    }

    fn edit(&mut self, at: usize, change: impl FnOnce(&mut Value)) {
        let mut entry = self.entry(at);
        change(&mut entry);
        self.leaves[at] = canonical::to_vec(&entry).unwrap();
    }

    fn insert(&mut self, at: usize, entry: &Value) {
        self.leaves.insert(at, canonical::to_vec(entry).unwrap());
        self.show_all();
    }

    fn remove(&mut self, at: usize) {
        self.leaves.remove(at);
        self.show_all();
    }

    fn show_all(&mut self) {
        self.shown = (0..self.leaves.len()).collect();
    }

    /// Writes another text for one, wherever it stands in the leaves.
    fn replace(&mut self, from: &str, to: &str) {
        for leaf in &mut self.leaves {
            *leaf = String::from_utf8(leaf.clone()).unwrap().replace(from, to).into_bytes();
        }
    }

    /// Makes what is shown fit again: links, heads, and facts and decisions that come out of the forged history. The
    /// outcomes stay as they are written.
    fn settle(&mut self) {
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
                        event.policy = again.decision.policy;
                        let line = |gate: &lockgate_policy::GateResult| GateLine {
                            gate: gate.gate.clone(),
                            outcome: gate.outcome,
                        };
                        event.gates = again.decision.gates.iter().map(line).collect();
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
struct Forger {
    origin: String,
    signer: NoteSigner,
    own: FileSigner,
    trust: TrustFile,
    artifact: Digest,
    /// Up to the grant of `P-3` and not further.
    honest: History,
    /// With what came later: the approver's key is revoked, and another release is published.
    whole: History,
    /// The leaves that the honest bundle shows.
    shown: Vec<usize>,
}

impl Forger {
    fn new() -> Self {
        let instance = Instance::granted();
        let reply = instance.get("/v1/promotions/P-3/bundle", Some(&instance.token("dana")));
        let taken = Bundle::from_bytes(&reply.body).unwrap();
        let size = usize::try_from(instance.entries()).unwrap();
        let fingerprint = FileSigner::load(&instance.key("sam")).unwrap().public_key().fingerprint();
        let revoke = ["key", "revoke", "sam", "--fingerprint", &fingerprint, "--compromised-since", "4"];
        instance.run(&[revoke.as_slice(), &["--reason", "stolen laptop", "--as", "sam"]].concat()).exits(0);
        instance.push("1.4.3", "trivy.json").exits(0);
        instance.stop();

        let store = LocalStore::open_read_only(&instance.home().join("data"), Options::default()).unwrap();
        let leaves = store.entries(EntryIndex(0), 10_000).unwrap();
        assert!(leaves.len() > size + 1);
        let key = fs::read_to_string(instance.home().join("keys/log.key")).unwrap();
        let [_, origin, seed] = key.split_whitespace().collect::<Vec<_>>()[..] else { panic!("not a log key") };
        let seed: [u8; 32] = STANDARD.decode(seed).unwrap().try_into().unwrap();
        let shown: Vec<usize> = taken.entries.iter().map(|entry| usize::try_from(entry.index.0).unwrap()).collect();
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
            shown,
        }
    }

    /// Nothing is refused because the forger is clumsy: what it makes without forging is accepted.
    fn checks_itself(&self) {
        let honest = self.history();
        assert_eq!(honest.shown, self.shown, "the bundle shows this whole ledger");
        assert_eq!(self.verdict(&self.bundle(&honest), &self.trust), Ok(()));
        let mut settled = honest.clone();
        settled.settle();
        assert!(settled.leaves == honest.leaves, "what fits is not changed");
        // A whole history of the forger's own is refused for its first owner alone.
        let trust = TrustFile { root_keys: vec![self.own.public_key().clone()], ..self.trust.clone() };
        assert_eq!(self.verdict(&self.takeover(), &trust), Ok(()));
    }

    fn history(&self) -> History {
        self.honest.clone()
    }

    /// What the verifier says, at the moment of the grant.
    fn verdict(&self, bundle: &Bundle, trust: &TrustFile) -> Result<(), (&'static str, String)> {
        let granted = self.honest.entry(self.honest.last("grant.issued"));
        let service: ServiceName = "shop/web".parse().unwrap();
        let environment: EnvName = "production".parse().unwrap();
        let now = UnixMillis(granted["time"].as_u64().unwrap());
        let query = Query { artifact: self.artifact, service: &service, environment: &environment, now };
        let verdict = verify(&bundle.to_bytes().unwrap(), trust, &query);
        verdict.map(drop).map_err(|refusal| (refusal.code, refusal.message))
    }

    /// A bundle of what the history shows, under a checkpoint of all of it.
    fn bundle(&self, history: &History) -> Bundle {
        let tiles = Tiles::over(&history.leaves);
        let entry = |at: &usize| {
            let index = EntryIndex(*at as u64);
            let path = prove_inclusion(index, tiles.size, &tiles).unwrap();
            BundleEntry { index, leaf: STANDARD.encode(&history.leaves[*at]), proof: encoded(&path) }
        };
        Bundle {
            schema: Bundle::SCHEMA.to_owned(),
            promotion: history.promotion,
            checkpoint: Checkpoint { origin: self.origin.clone(), size: tiles.size, root: tiles.root }
                .sign(&self.signer)
                .to_text(),
            entries: history.shown.iter().map(entry).collect(),
            anchors: anchors(history, &tiles),
            bodies: history.bodies.iter().map(|(digest, bytes)| (*digest, STANDARD.encode(bytes))).collect(),
        }
    }

    /// The honest history with its last entry of one kind edited.
    fn edited(&self, kind: &str, change: impl FnOnce(&mut Value)) -> Bundle {
        let mut history = self.history();
        let at = history.last(kind);
        history.edit(at, change);
        history.settle();
        self.bundle(&history)
    }

    /// The honest history without its last entry of one kind.
    fn without(&self, kind: &str) -> Bundle {
        let mut history = self.history();
        history.remove(history.last(kind));
        history.settle();
        self.bundle(&history)
    }

    /// The honest bundle under a checkpoint by another key.
    fn signed_by(&self, signer: &NoteSigner) -> Bundle {
        let history = self.history();
        let tiles = Tiles::over(&history.leaves);
        let checkpoint = Checkpoint { origin: signer.vkey().name().to_owned(), size: tiles.size, root: tiles.root };
        Bundle { checkpoint: checkpoint.sign(signer).to_text(), ..self.bundle(&history) }
    }

    fn sign(&self, namespace: &str, document: &[u8]) -> String {
        self.own.sign(namespace, document).unwrap().to_armored()
    }

    /// Signs an enrolment with the forger's key: for its sponsor, and as the newcomer's own key where `own`.
    fn enrol(&self, history: &mut History, at: usize, own: bool) {
        let body = history.entry(at)["event"]["body"].clone();
        let mut event: PersonEnrolled = serde_json::from_value(body).unwrap();
        if own {
            event.key = self.own.public_key().clone();
        }
        let document =
            EnrolmentDocument::new(&self.origin, &event.person, event.subject, &event.groups, &event.key);
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
    fn invite(&self, history: &mut History) {
        let mut entry = history.entry(2);
        entry["event"]["body"]["person"] = json!("mallory");
        entry["event"]["body"]["groups"] = json!(["owners", "approvers"]);
        history.insert(2, &entry);
        self.enrol(history, 2, true);
    }

    /// The approval is mallory's; `change` sees the next honest enrolment and mallory's.
    fn newcomer(&self, change: fn(&Value, &mut Value)) -> Bundle {
        let mut history = self.history();
        self.invite(&mut history);
        let theirs = history.entry(3)["event"]["body"].clone();
        history.edit(2, |entry| change(&theirs, &mut entry["event"]["body"]));
        self.approve(&mut history, "mallory");
        self.bundle(&history)
    }

    /// Puts an approval by the forger's key in the place of the real one, and settles the history around it.
    fn approve(&self, history: &mut History, person: &str) {
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
    fn takeover(&self) -> Bundle {
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
    let size = |entry: Value| {
        let document = ApprovalDocument::from_bytes(&history.body(&entry["event"]["body"]["document"])).unwrap();
        document.predicate.anchor.size
    };
    let proof = |size: TreeSize| {
        let path = prove_consistency(size, tiles.size, tiles).unwrap();
        BundleAnchor { size, proof: encoded(&path) }
    };
    approvals.map(size).filter(|size| *size <= tiles.size).map(proof).collect()
}

fn encoded(path: &[Digest]) -> Vec<String> {
    path.iter().map(|hash| STANDARD.encode(hash.as_bytes())).collect()
}

/// The tree over some leaves.
struct Tiles {
    size: TreeSize,
    root: Digest,
    tiles: BTreeMap<(u8, u64), Vec<u8>>,
}

impl Tiles {
    fn over(leaves: &[Vec<u8>]) -> Self {
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

fn later_revocation_shown(forger: &Forger) -> Bundle {
    let mut history = forger.whole.clone();
    let revoked = history.last("key.revoked");
    history.leaves.truncate(revoked + 1);
    history.show_all();
    forger.bundle(&history)
}

fn later_revocation_left_out(forger: &Forger) -> Bundle {
    let mut history = forger.whole.clone();
    history.shown = forger.honest.shown.clone();
    history.shown.push(history.leaves.len() - 1);
    forger.bundle(&history)
}

/// Nothing that was ever signed for is changed: the same entries stand once more at the end, without the revocation.
fn shadow_chain(forger: &Forger) -> Bundle {
    let mut history = forger.whole.clone();
    let size = history.leaves.len();
    history.leaves.extend_from_slice(&forger.honest.leaves[1..]);
    history.shown = std::iter::once(0).chain(size..history.leaves.len()).collect();
    history.settle();
    forger.bundle(&history)
}

fn renewed(forger: &Forger) -> Bundle {
    renew(forger, |_| ())
}

fn renewed_as_rollback(forger: &Forger) -> Bundle {
    renew(forger, |request| request["event"]["body"]["kind"] = json!("rollback"))
}

/// `P-4` asks for the same as `P-3`, and takes its approval, decision and grant.
fn renew(forger: &Forger, change: fn(&mut Value)) -> Bundle {
    let mut history = forger.history();
    let time = history.entry(history.last("grant.issued"))["time"].clone();
    for kind in ["promotion.requested", "approval.recorded", "decision.recorded", "grant.issued"] {
        let mut entry = forger.honest.entry(forger.honest.last(kind));
        entry["time"] = time.clone();
        entry["event"]["body"]["promotion"] = json!("P-4");
        if kind == "promotion.requested" {
            change(&mut entry);
        }
        let end = history.leaves.len();
        history.insert(end, &entry);
    }
    history.promotion = PromotionId(4);
    history.settle();
    forger.bundle(&history)
}

fn empty_staging_decision(forger: &Forger) -> Bundle {
    let mut history = forger.history();
    // The last two decisions are about production: pending, then allow.
    let staging = history.nth_last("decision.recorded", 2);
    history.edit(staging, |entry| {
        let body = &mut entry["event"]["body"];
        assert_eq!((&body["environment"], &body["outcome"]), (&json!("staging"), &json!("allow")));
        body["facts"] = json!(Digest::of(b"facts"));
        body["decision"] = json!(Digest::of(b"decision"));
        body["gates"] = json!([]);
        body["relied_on"] = json!([]);
    });
    forger.bundle(&history)
}

/// The approval never came; the grant follows on the decision that waited for it.
fn pending_made_allow(forger: &Forger) -> Bundle {
    let mut history = forger.history();
    let mut grant = history.entry(history.last("grant.issued"));
    let pending = history.nth_last("decision.recorded", 1);
    history.leaves.truncate(pending + 1);
    history.edit(pending, |entry| entry["event"]["body"]["outcome"] = json!("allow"));
    grant["time"] = history.entry(pending)["time"].clone();
    history.insert(pending + 1, &grant);
    history.settle();
    forger.bundle(&history)
}

fn other_facts(forger: &Forger) -> Bundle {
    let mut history = forger.history();
    let at = history.last("decision.recorded");
    let mut facts: Value =
        serde_json::from_slice(&history.body(&history.entry(at)["event"]["body"]["facts"])).unwrap();
    facts["promotion"]["requester"] = json!("ghost");
    let digest = history.bodies.insert(canonical::to_vec(&facts).unwrap());
    history.edit(at, |entry| entry["event"]["body"]["facts"] = json!(digest));
    // What stands after the decision names its place, not its bytes: nothing else has to change.
    forger.bundle(&history)
}

/// A second key for sam, proven by itself alone, and an approval with it.
fn further_key(forger: &Forger) -> Bundle {
    let mut history = forger.history();
    let mut entry = history.entry(2);
    let sam: PersonEnrolled = serde_json::from_value(history.entry(1)["event"]["body"].clone()).unwrap();
    let key = forger.own.public_key();
    let document = EnrolmentDocument::new(&forger.origin, &sam.person, sam.subject, &sam.groups, key);
    let signature = forger.sign(ENROLMENT_NAMESPACE, &document_bytes(&document).unwrap());
    entry["event"] = json!({
        "type": "key.added",
        "body": { "person": "sam", "key": key, "proof": signature, "by": "sam", "signature": signature },
    });
    history.insert(2, &entry);
    forger.approve(&mut history, "sam");
    forger.bundle(&history)
}

/// An activation with a real signature by the owner, made for something else.
fn made_up_policy(forger: &Forger) -> Bundle {
    let mut history = forger.history();
    let mut entry = history.entry(3);
    let signature = history.entry(history.last("approval.recorded"))["event"]["body"]["signature"].clone();
    entry["event"] = json!({
        "type": "policy.activated",
        "body": {
            "policy": Digest::of(b"no gates"),
            "previous": history.entry(0)["event"]["body"]["policy"],
            "previous_at": 0,
            "reason": "lighter gates",
            "by": "sam",
            "signature": signature,
        },
    });
    history.insert(4, &entry);
    history.settle();
    forger.bundle(&history)
}

/// The manifest, and everything that names the artifact, names another one.
fn other_artifact(forger: &Forger) -> Bundle {
    let mut history = forger.history();
    let manifest = history.entry(history.last("release.published"))["event"]["body"]["manifest"].clone();
    let (from, to) = (forger.artifact, Digest::of(b"a back door"));
    let body = String::from_utf8(history.body(&manifest)).unwrap().replace(&from.hex(), &to.hex());
    let digest = history.bodies.insert(body.into_bytes());
    history.replace(&from.hex(), &to.hex());
    history.replace(&text(&manifest), &digest.to_string());
    history.settle();
    forger.bundle(&history)
}

/// The report is another one that says the same to the gates.
fn other_scan(forger: &Forger) -> Bundle {
    let mut history = forger.history();
    let at = history.last("evidence.recorded");
    let scan = history.body(&history.entry(at)["event"]["body"]["evidence"]);
    let digest = history.bodies.insert([scan.as_slice(), b"\n"].concat());
    history.edit(at, |entry| entry["event"]["body"]["evidence"] = json!(digest));
    history.settle();
    forger.bundle(&history)
}
