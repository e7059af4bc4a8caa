//! The audit: walk everything, trust nothing, name every discrepancy.
//!
//! The same fold, replay and proofs as everywhere else, over all entries instead of a slice; then the projections
//! (tiles, stream index, head, checkpoint) are compared with what the entries say.

mod stored;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use lockgate_model::facts::Verdict;
use lockgate_model::text::visible;
use lockgate_model::{Digest, EntryIndex, Limits, PersonId, ReleaseName, StreamName, TreeSize, UnixMillis, canonical};
use lockgate_policy::Outcome;
use lockgate_sign::dsse::Envelope;
use lockgate_sign::public_key::PublicKey;
use lockgate_tlog::hash::leaf_hash;
use lockgate_tlog::proof::{TileSource, root_at};
use lockgate_tlog::tree::Tree;

use crate::approval::ApprovalPredicate;
use crate::attestation::outcome_statements;
use crate::backtest::{BacktestReport, History};
use crate::bodies::{BodyError, required, with_reader};
use crate::contents::Contents;
use crate::entry::{
    ApprovalRecorded, AttestationsIssued, DecisionRecorded, Entry, Event, Leaf, PolicyActivated, StreamPosition,
};
use crate::facts::ClaimCache;
use crate::gate_changes;
use crate::pace::bursts;
use crate::release_diff::compare;
use crate::replay::{Deliberation, replay};
use crate::state::{ApplyError, Slice, State};
use crate::suspect::{self, Suspect};
use crate::trust::TrustFile;

/// How many entries are read at a time.
const PAGE: usize = 1024;
/// After how many problems the audit stops, and lists no more than the first of each further kind.
const MAX_PROBLEMS: usize = 100;

/// What an audit reads. Nothing that it returns is believed.
pub trait AuditSource: History {
    /// The stored checkpoint.
    ///
    /// # Errors
    /// A text for people.
    fn checkpoint(&self) -> Result<Option<Vec<u8>>, String>;
    /// A stored tile.
    ///
    /// # Errors
    /// A text for people.
    fn tile(&self, level: u8, index: u64) -> Result<Option<Vec<u8>>, String>;
    /// A stored page of a stream's index.
    ///
    /// # Errors
    /// A text for people.
    fn stream(&self, stream: &StreamName, from_seq: u64, most: usize) -> Result<Vec<(u64, EntryIndex)>, String>;
    /// The heads of up to `most` stored streams after `after`, in order of their names: what is stored as the newest entry
    /// of each.
    ///
    /// # Errors
    /// A text for people.
    fn stream_heads(&self, after: Option<&StreamName>, most: usize) -> Result<Vec<StreamPosition>, String>;
    /// Re-hashes an artifact without holding it in memory; `false` when it is missing.
    ///
    /// # Errors
    /// [`BodyError::Unreachable`] when it cannot be read now, and another when the bytes are others.
    fn artifact(&self, digest: &Digest) -> Result<bool, BodyError>;
}

/// An older tree head that someone kept: the ledger must have grown from it.
#[derive(Debug, Clone)]
pub struct Anchor {
    /// Where it comes from, for the report.
    pub source: String,
    /// Its size.
    pub size: TreeSize,
    /// Its root.
    pub root: Digest,
}

/// What an audit found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Entries read.
    pub entries: u64,
    /// The root that they have.
    pub root: Option<Digest>,
    /// Decisions that came out with the same bytes.
    pub decisions_replayed: u64,
    /// Of these, how many allowed.
    pub allowed: u64,
    /// Backtests of policy sets that came out with the same bytes.
    #[serde(skip_serializing_if = "is_zero")]
    pub backtests: u64,
    /// Signatures of people and of Lockgate that were verified.
    pub signatures: u64,
    /// Bodies that were read and hashed.
    pub bodies: u64,
    /// Artifacts that were read and hashed.
    pub artifacts: u64,
    /// Kept tree heads that the ledger grew from.
    pub anchors: u64,
    /// Whether the keys were compared with a pinned trust file.
    pub pinned: bool,
    /// Everything that is wrong.
    pub problems: Vec<Problem>,
    /// What is no fault, and worth a look: approvals that nobody can have read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Problem>,
    /// What rested on a key that was found compromised later: no fault of the ledger, but to be looked at again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub suspects: Vec<Suspect>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// One discrepancy.
#[derive(Debug, Clone, Serialize)]
pub struct Problem {
    /// A stable reason code.
    pub code: &'static str,
    /// The entry, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<EntryIndex>,
    /// What is wrong.
    pub message: String,
}

struct Audit<'a, S: AuditSource> {
    source: &'a S,
    state: State,
    tree: Tree,
    cache: ClaimCache,
    anchors: Vec<Anchor>,
    streams: BTreeMap<StreamName, Vec<EntryIndex>>,
    hashed_rekords: BTreeMap<EntryIndex, Vec<u8>>,
    /// What has to be signed about each decision: predicate types and payloads.
    statements: BTreeMap<EntryIndex, Vec<(&'static str, Vec<u8>)>>,
    /// When each person approved, in ledger order.
    approved: BTreeMap<PersonId, Vec<UnixMillis>>,
    /// The tree heads that approvers signed.
    seen: Vec<(EntryIndex, TreeSize, Digest)>,
    genesis: Option<Digest>,
    /// The stored checkpoint, read before the head: the ledger may grow while it is audited.
    checkpoint: Result<Option<Vec<u8>>, String>,
    size: TreeSize,
    report: Report,
    /// How many approvals name gates as each other engine decided them, and the first of these.
    undecided: BTreeMap<String, (u64, EntryIndex)>,
    /// What releases are made of, by manifest and number of entries known: what approvers compared.
    contents: BTreeMap<(Digest, TreeSize), Arc<Contents>>,
    observe: Observer<'a>,
}

/// Is told every entry that was applied, with the decision that was run again for it, if it records one.
pub type Observer<'a> = &'a mut dyn FnMut(EntryIndex, &Entry, Option<&Deliberation>);

/// How many releases' contents are remembered while approvals are compared.
const CONTENTS: usize = 64;

/// Audits a whole ledger. `progress` is called with the number of entries read so far.
pub fn audit<S: AuditSource>(
    source: &S,
    trust: Option<&TrustFile>,
    anchors: Vec<Anchor>,
    progress: impl FnMut(u64, u64),
) -> Report {
    audit_with(source, trust, anchors, progress, &mut |_, _, _| {})
}

/// The same, and tells `observe` of each entry as it is read: what is told counts only when the report names no problem.
pub fn audit_with<S: AuditSource>(
    source: &S,
    trust: Option<&TrustFile>,
    anchors: Vec<Anchor>,
    mut progress: impl FnMut(u64, u64),
    observe: Observer<'_>,
) -> Report {
    let anchors = if lockgate_failpoint::planted("older-heads-unchecked") { Vec::new() } else { anchors };
    let mut audit = Audit {
        source,
        state: State::default(),
        tree: Tree::empty(),
        cache: ClaimCache::default(),
        anchors,
        streams: BTreeMap::new(),
        hashed_rekords: BTreeMap::new(),
        statements: BTreeMap::new(),
        approved: BTreeMap::new(),
        seen: Vec::new(),
        genesis: None,
        checkpoint: source.checkpoint(),
        size: TreeSize(0),
        report: Report::default(),
        undecided: BTreeMap::new(),
        contents: BTreeMap::new(),
        observe,
    };
    let (size, root) = match source.size_and_root() {
        Ok(head) => head,
        Err(error) => {
            audit.problem("HEAD_UNREADABLE", None, error);
            return audit.report;
        }
    };
    audit.size = size;
    audit.check_stored_checkpoint();
    audit.check_anchors();
    while audit.report.entries < size.0 && audit.report.problems.len() < MAX_PROBLEMS {
        let first = EntryIndex(audit.report.entries);
        let leaves = match source.page(first, PAGE) {
            Ok(leaves) if !leaves.is_empty() => leaves,
            Ok(_) => {
                audit.problem(
                    "ENTRY_MISSING",
                    Some(first),
                    format!("entry {first} is missing, though the head counts {size}"),
                );
                break;
            }
            Err(error) => {
                audit.problem("ENTRY_UNREADABLE", Some(first), error);
                break;
            }
        };
        for leaf in leaves.into_iter().take(usize::try_from(size.0 - first.0).unwrap_or(PAGE)) {
            audit.leaf(leaf);
        }
        audit.check_tiles();
        progress(audit.report.entries, size.0);
    }
    audit.finish(size, root, trust);
    audit.report
}

impl<S: AuditSource> Audit<'_, S> {
    fn problem(&mut self, code: &'static str, index: Option<EntryIndex>, message: String) {
        let listed = &self.report.problems;
        if listed.len() < MAX_PROBLEMS || !listed.iter().any(|problem| problem.code == code) {
            self.report.problems.push(Problem { code, index, message });
        }
    }

    /// Whether the audit stopped before the ledger's end, because enough is wrong.
    fn is_broken_off(&self) -> bool {
        self.report.entries < self.size.0 && self.report.problems.len() >= MAX_PROBLEMS
    }

    fn leaf(&mut self, bytes: Vec<u8>) {
        let index = EntryIndex(self.report.entries);
        let hash = leaf_hash(&bytes);
        self.tree.append(hash);
        self.report.entries += 1;
        self.genesis = self.genesis.or(Some(hash));
        match Leaf::decode(&bytes, &Limits::DEFAULT) {
            Err(error) => self.problem("ENTRY_INVALID", Some(index), error.to_string()),
            Ok(Leaf::HashedRekord) => {
                self.hashed_rekords.insert(index, bytes);
            }
            Ok(Leaf::Entry(entry)) => self.entry(index, &entry),
        }
        self.check_anchors();
    }

    fn entry(&mut self, index: EntryIndex, entry: &Entry) {
        let mut decided = None;
        if let Event::DecisionRecorded(event) = &entry.event {
            match replay(&self.state, index, event, entry.time, self.source, &self.cache) {
                Ok(again) => {
                    self.report.decisions_replayed += 1;
                    self.report.allowed += u64::from(again.decision.outcome == Outcome::Allow);
                    self.expect_statements(index, event, &again, entry.time);
                    decided = Some(again);
                }
                Err(error) => self.problem(error.code, Some(index), error.message),
            }
        }
        if let Event::ApprovalRecorded(event) = &entry.event {
            match gate_changes::check(&self.state, event, entry.time, self.source, &self.cache) {
                Ok(None) => {}
                Ok(Some(engine)) => self.undecided.entry(engine).or_insert((0, index)).0 += 1,
                Err(error) => self.problem(error.code, Some(index), error.message),
            }
        }
        if let Err(error) = self.state.apply(index, entry, self.source, Slice::Whole) {
            self.problem(error.code, Some(index), format!("{}: {}", entry.event.name(), error.message));
        }
        if let Event::ApprovalRecorded(event) = &entry.event {
            self.see(index, event);
            if event.verdict == Verdict::Approve {
                self.approved.entry(event.approver.clone()).or_default().push(entry.time);
            }
        }
        (self.observe)(index, entry, decided.as_ref());
        if let Event::PolicyActivated(event) = &entry.event {
            self.see_backtest(index, event);
        }
        for link in &entry.streams {
            self.streams.entry(link.stream.clone()).or_default().push(index);
        }
        self.report.signatures += signatures_of(&entry.event);
        self.check_bodies(index, entry);
        if let Event::AttestationsIssued(event) = &entry.event
            && let Err(error) = self.attestations(event)
        {
            self.problem(error.code, Some(index), error.message);
        }
    }

    /// Remembers the tree head that an approver signed.
    fn see(&mut self, index: EntryIndex, event: &ApprovalRecorded) {
        let promotion =
            self.state.release(&event.release).ok().and_then(|release| release.promotions.get(&event.promotion));
        let Some(record) = promotion.and_then(|promotion| promotion.approvals.last()) else { return };
        let predicate = record.approval.predicate.clone();
        self.seen.push((index, predicate.anchor.size, predicate.anchor.root));
        if let Err(error) = self.check_changes(&predicate) {
            self.problem(error.code, Some(index), error.message);
        }
    }

    /// What an approver signed about the changes is what the two releases come to, with the evidence of that time.
    fn check_changes(&mut self, predicate: &ApprovalPredicate) -> Result<(), ApplyError> {
        let (Some(changes), Some(replaced)) = (&predicate.changes, &predicate.replaces) else { return Ok(()) };
        let known = predicate.anchor.size;
        let (from, to) = (self.contents_of(&replaced.release, known)?, self.contents_of(&predicate.release, known)?);
        match changes.counts(&compare(&from, &to)) {
            true => Ok(()),
            false => Err(ApplyError::new(
                "APPROVAL_CHANGES",
                format!("`{}` signed other changes than {} and {} have", predicate.approver, from.name, to.name),
            )),
        }
    }

    fn contents_of(&mut self, name: &ReleaseName, known: TreeSize) -> Result<Arc<Contents>, ApplyError> {
        let release = self.state.release(name)?.clone();
        let key = (release.manifest_digest, known);
        if let Some(contents) = self.contents.get(&key) {
            return Ok(contents.clone());
        }
        let contents = Arc::new(Contents::read(&release, known, self.source)?);
        if self.contents.len() >= CONTENTS {
            self.contents.clear();
        }
        self.contents.insert(key, contents.clone());
        Ok(contents)
    }

    /// Remembers the tree head that a backtest was about, and makes its report again, as long as that takes; one that
    /// does not read, or belongs to no change that was made, was told when it was applied.
    fn see_backtest(&mut self, index: EntryIndex, event: &PolicyActivated) {
        let bytes = event.backtest.and_then(|digest| required(self.source, &digest).ok());
        let Some(report) = bytes.and_then(|bytes| BacktestReport::from_bytes(&bytes).ok()) else { return };
        self.seen.push((index, report.tree_size, report.root));
        let active = self.state.governance().ok().filter(|governance| governance.policy_at == index);
        let Some(proposed) = active.map(|governance| governance.policy.clone()) else { return };
        match report.made_again(self.source, &proposed, |_, _| {}) {
            Ok(Some(_)) => self.report.backtests += 1,
            Ok(None) => {
                let message = format!("`{}` made the backtest, which this version cannot", visible(&report.engine));
                self.report.notes.push(Problem { code: "BACKTEST_ENGINE", index: Some(index), message });
            }
            Err(error) => self.problem(error.code, Some(index), error.message),
        }
    }

    /// Every approver's ledger is the beginning of this one, and so is that of every backtest.
    fn check_seen(&mut self) {
        for (index, size, root) in std::mem::take(&mut self.seen) {
            let known = root_at(size, &SourceTiles(self.source));
            if known.as_ref().ok() != Some(&root) || size.0 > self.report.entries {
                self.problem(
                    "HISTORY_CHANGED",
                    Some(index),
                    format!("what was signed in entry {index} is about another ledger of {size} entries"),
                );
            }
        }
    }

    /// Remembers what Lockgate has to have signed about a decision.
    fn expect_statements(
        &mut self,
        index: EntryIndex,
        event: &DecisionRecorded,
        again: &Deliberation,
        time: UnixMillis,
    ) {
        let (Ok(governance), Ok(release)) = (self.state.governance(), self.state.release(&event.release)) else {
            return;
        };
        let statements = outcome_statements(event, &again.facts, governance, release, index, time);
        let payload =
            |(kind, statement): &(&'static str, serde_json::Value)| Some((*kind, canonical::to_vec(statement).ok()?));
        if event.outcome != Outcome::Pending {
            self.statements.insert(index, statements.iter().filter_map(payload).collect());
        }
    }

    fn check_bodies(&mut self, index: EntryIndex, entry: &Entry) {
        let mut bodies = entry.event.bodies();
        // What no bundle carries and decisions count on all the same: snapshots of feeds, and a release's notes.
        match &entry.event {
            Event::FeedRecorded(event) => bodies.push(event.digest),
            Event::ReleasePublished(event) => {
                bodies.extend(self.state.release(&event.release).ok().and_then(|release| release.manifest.notes));
            }
            _ => {}
        }
        for digest in bodies {
            match with_reader(self.source, &digest, |_| ()) {
                Ok(()) => self.report.bodies += 1,
                Err(error) => {
                    let error = ApplyError::from(error);
                    self.problem(error.code, Some(index), error.message);
                }
            }
        }
        let Event::ReleasePublished(event) = &entry.event else { return };
        let Ok(release) = self.state.release(&event.release).cloned() else { return };
        for digest in release.manifest.artifact_digests() {
            match self.source.artifact(&digest) {
                Ok(true) => self.report.artifacts += 1,
                Ok(false) => self.problem(
                    "BLOB_MISSING",
                    Some(index),
                    format!("the artifact {digest} of {} is missing", release.name),
                ),
                // What cannot be read now may be sound.
                Err(error @ BodyError::Unreachable(..)) => {
                    let error = ApplyError::from(error);
                    self.problem(error.code, Some(index), error.message);
                }
                Err(error) => self.problem("DIGEST_MISMATCH", Some(index), error.to_string()),
            }
        }
    }

    /// Each attestation is signed by the ledger's attestation key, and its leaf is the one that its envelope gives.
    fn attestations(&mut self, event: &AttestationsIssued) -> Result<(), ApplyError> {
        let governance = self.state.governance()?.clone();
        let key = PublicKey::from_pem(&governance.identity.attestation_key)
            .map_err(|error| ApplyError::new("ATTESTATION_KEY_UNKNOWN", error.to_string()))?;
        let expected = self.statements.remove(&event.decision).unwrap_or_default();
        if expected.len() != event.issued.len() {
            return Err(ApplyError::new(
                "ATTESTATION_INVALID",
                format!("entry {} is no decision that these are about", event.decision),
            ));
        }
        for (issued, (kind, payload)) in event.issued.iter().zip(expected) {
            let bytes = required(self.source, &issued.envelope)?;
            let envelope = Envelope::parse(&bytes, &Limits::DEFAULT)
                .map_err(|error| ApplyError::new("ATTESTATION_INVALID", error.to_string()))?;
            if envelope.verify(std::slice::from_ref(&key)).is_empty() {
                return Err(ApplyError::new(
                    "ATTESTATION_INVALID",
                    format!("the attestation {} is not signed by the ledger's key", issued.envelope),
                ));
            }
            if issued.predicate_type != kind || envelope.payload != payload {
                return Err(ApplyError::new(
                    "ATTESTATION_INVALID",
                    format!(
                        "the attestation {} does not say what decision {} came to",
                        issued.envelope, event.decision
                    ),
                ));
            }
            self.report.signatures += 1;
            let expected = crate::sigstore::leaf_for(&envelope, &key)
                .map_err(|error| ApplyError::new("ATTESTATION_INVALID", error.to_string()))?;
            if self.hashed_rekords.remove(&issued.leaf).as_ref() != Some(&expected) {
                return Err(ApplyError::new(
                    "LOG_ENTRY_MISMATCH",
                    format!("leaf {} is not the one of attestation {}", issued.leaf, issued.envelope),
                ));
            }
        }
        Ok(())
    }

    fn finish(&mut self, size: TreeSize, root: Digest, trust: Option<&TrustFile>) {
        self.check_tiles();
        self.report.root = Some(self.tree.root());
        // What was not read would look as if it were missing.
        if !self.is_broken_off() {
            self.check_whole(size, root);
        }
        self.list_suspects();
        self.list_rubber_stamps();
        self.list_undecided();
        if let Err(error) = self.check_trust(size, trust) {
            self.problem(error.code, None, error.message);
        }
    }

    /// What can only be said once every entry was read.
    fn check_whole(&mut self, size: TreeSize, root: Digest) {
        self.check_seen();
        self.check_stream_heads();
        self.check_streams();
        let own = self.tree.root();
        if self.report.entries == size.0 && own != root {
            self.problem(
                "ROOT_MISMATCH",
                None,
                format!("the entries have the root {own}, but the stored head says {root}"),
            );
        }
        for index in std::mem::take(&mut self.statements).into_keys() {
            self.problem("ATTESTATION_MISSING", Some(index), "nothing attests what this decision came to".to_owned());
        }
        for (index, _) in std::mem::take(&mut self.hashed_rekords) {
            self.problem("LEAF_UNCLAIMED", Some(index), format!("leaf {index} belongs to no attestation"));
        }
        for anchor in std::mem::take(&mut self.anchors) {
            self.problem(
                "ROLLBACK_DETECTED",
                None,
                format!("{} has seen {} entries, but the ledger has {size}", anchor.source, anchor.size),
            );
        }
    }

    /// Notes where one person approved faster than anybody can read (attack A-51 of `tests/attacks`).
    fn list_rubber_stamps(&mut self) {
        for (person, times) in std::mem::take(&mut self.approved) {
            for burst in bursts(&times).into_iter().take(MAX_PROBLEMS) {
                let (approvals, first, last) = (burst.approvals, burst.first, burst.last);
                let message = format!("`{person}` gave {approvals} approvals between {first} and {last}");
                self.report.notes.push(Problem { code: "RUBBER_STAMP", index: None, message });
            }
        }
    }

    /// Notes which approvals name gates that cannot be decided again by the rules of this version.
    fn list_undecided(&mut self) {
        for (engine, (number, first)) in std::mem::take(&mut self.undecided).into_iter().take(MAX_PROBLEMS) {
            let message = format!(
                "{number} approvals name gates as `{}` decided, which this version cannot; the first is entry {first}",
                visible(&engine)
            );
            self.report.notes.push(Problem { code: "APPROVAL_ENGINE", index: Some(first), message });
        }
    }

    /// Lists what rested on keys that were found compromised, in ledger order.
    fn list_suspects(&mut self) {
        let Ok(governance) = self.state.governance() else { return };
        let mut suspects = suspect::in_governance(governance);
        for release in self.state.releases() {
            suspects.extend(suspect::in_release(governance, release));
        }
        suspects.sort_by_key(|suspect| suspect.index);
        self.report.suspects = suspects;
    }

    fn check_trust(&mut self, size: TreeSize, trust: Option<&TrustFile>) -> Result<(), ApplyError> {
        let governance = self.state.governance()?.clone();
        let genesis = self.genesis.unwrap_or_else(lockgate_tlog::hash::empty_root);
        let own = TrustFile::of(&governance, genesis);
        let trust = match (trust, &own) {
            (Some(trust), _) => {
                trust.check_governance(&governance, genesis)?;
                self.report.pinned = true;
                trust
            }
            (None, Ok(own)) => own,
            (None, Err(_)) => return Ok(()),
        };
        let stored =
            self.checkpoint.clone().map_err(|error| ApplyError::new("CHECKPOINT_UNREADABLE", error))?.ok_or_else(
                || ApplyError::new("CHECKPOINT_MISSING", "the ledger has no signed checkpoint".to_owned()),
            )?;
        let (signed, _) = trust.open_checkpoint(&stored)?;
        self.report.signatures += 1;
        // It is signed after the commit: after a crash it may be one batch behind, never ahead. Its root was compared
        // as an anchor on the way.
        match signed.checkpoint.size <= size {
            true => Ok(()),
            false => Err(ApplyError::new(
                "ROLLBACK_DETECTED",
                format!("the stored checkpoint counts {} entries, the ledger {size}", signed.checkpoint.size),
            )),
        }
    }
}

/// The stored tiles, for roots of older sizes; they have been compared with the entries.
struct SourceTiles<'a, S: AuditSource>(&'a S);

impl<S: AuditSource> TileSource for SourceTiles<'_, S> {
    type Error = String;
    fn tile(&self, level: u8, index: u64, _width: u16) -> Result<Vec<u8>, String> {
        self.0.tile(level, index)?.ok_or_else(|| format!("tile {index} of level {level} is missing"))
    }
}

fn signatures_of(event: &Event) -> u64 {
    match event {
        Event::PersonEnrolled(event) => 2 + event.countersigned.len() as u64,
        Event::KeyAdded(_) | Event::KeyRotated(_) | Event::WaiverGranted(_) => 2,
        Event::WaiverRequested(_) | Event::WaiverRevoked(_) => 1,
        Event::KeyRecovered(event) => 2 + event.countersigned.len() as u64,
        Event::KeyRevoked(event) => 1 + event.countersigned.len() as u64,
        Event::PolicyActivated(event) => 1 + event.countersigned.len() as u64,
        Event::PersonSuspended(event) | Event::PersonReinstated(event) => 1 + event.countersigned.len() as u64,
        Event::CiTrusted(event) => 1 + event.countersigned.len() as u64,
        Event::CiUntrusted(_) => 1,
        Event::DelegationGranted(_) | Event::DelegationEnded(_) | Event::ApprovalWithdrawn(_) => 1,
        Event::AccessReviewed(_) => 1,
        Event::FreezeOrdered(_) | Event::FreezeLifted(_) => 1,
        Event::BreakGlassOpened(_) | Event::BreakGlassSigned(_) | Event::BreakGlassReviewed(_) => 1,
        Event::ApprovalRecorded(_) | Event::ChangeProposed(_) | Event::ChangeSigned(_) | Event::ChangeRejected(_) => 1,
        Event::IdentityBound(_) | Event::IdentityUnbound(_) => 1,
        Event::LedgerCreated(_)
        | Event::FeedRecorded(_)
        | Event::DrillRecorded(_)
        | Event::ReleasePublished(_)
        | Event::EvidenceRecorded(_)
        | Event::PromotionRequested(_)
        | Event::PromotionClosed(_)
        | Event::DecisionRecorded(_)
        | Event::AttestationsIssued(_)
        | Event::GrantIssued(_) => 0,
    }
}
