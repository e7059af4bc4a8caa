//! Bundles: one file that proves one decision, offline.
//!
//! A bundle holds whole streams: the governance chain from entry 0, the release's own chain, and that of the release
//! that a gate compares with; the newest grants of what ran in the target and, where a gate asks for them, of its
//! neighbours there; each entry with an inclusion proof under one signed checkpoint; and every body that the decision
//! used. Nothing in it is trusted: [`verify`] needs a [`TrustFile`] from elsewhere.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use lockgate_model::facts::Running;
use lockgate_model::{
    Digest, EntryIndex, EnvName, Limits, PromotionId, ServiceName, StreamName, TreeSize, UnixMillis, canonical, json,
};
use lockgate_policy::{Decision, Outcome};
use lockgate_tlog::checkpoint::Checkpoint;
use lockgate_tlog::hash::leaf_hash;
use lockgate_tlog::proof::{verify_consistency, verify_inclusion};

use crate::bodies::{BodyError, BodyMap};
use crate::entry::{DecisionRecorded, Entry, Event, EvidenceForm, GrantIssued, Leaf, StreamPosition};
use crate::facts::ClaimCache;
use crate::passkey::presence_words;
use crate::release::{ApprovalRecord, GrantRecord, ReleaseState};
use crate::replay::replay;
use crate::state::{ApplyError, Slice, State};
use crate::suspect::{self, Suspect};
use crate::trust::TrustFile;

/// One decision with everything that it rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// Always [`Bundle::SCHEMA`].
    pub schema: String,
    /// The promotion that was decided.
    pub promotion: PromotionId,
    /// The signed checkpoint that all proofs lead to.
    pub checkpoint: String,
    /// The entries, in ledger order.
    pub entries: Vec<BundleEntry>,
    /// Proofs that the ledgers which the approvers saw grew into this one.
    pub anchors: Vec<BundleAnchor>,
    /// The bodies, by digest, base64.
    pub bodies: BTreeMap<Digest, String>,
}

/// A consistency proof from an older size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleAnchor {
    /// The older size.
    pub size: TreeSize,
    /// The consistency path, base64.
    pub proof: Vec<String>,
}

/// A leaf with its inclusion proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleEntry {
    /// Its index.
    pub index: EntryIndex,
    /// Its bytes, base64.
    pub leaf: String,
    /// The inclusion path, leaf side first, base64.
    pub proof: Vec<String>,
}

/// What a verifier asks.
#[derive(Debug, Clone)]
pub struct Query<'a> {
    /// The file's digest.
    pub artifact: Digest,
    /// What the file is supposed to be.
    pub service: &'a ServiceName,
    /// Where it is supposed to run.
    pub environment: &'a EnvName,
    /// The verifier's own clock.
    pub now: UnixMillis,
}

/// What a verified bundle proves.
#[derive(Debug, Clone)]
pub struct Verified {
    /// The release.
    pub release: std::sync::Arc<ReleaseState>,
    /// The promotion.
    pub promotion: PromotionId,
    /// The grant, if the decision was `allow`.
    pub grant: Option<GrantRecord>,
    /// The last decision, run again.
    pub decision: Decision,
    /// Where the ledger recorded it.
    pub decision_index: EntryIndex,
    /// The signed checkpoint, verbatim.
    pub checkpoint: String,
    /// The checkpoint's size.
    pub checkpoint_size: lockgate_model::TreeSize,
    /// The checkpoint's root.
    pub checkpoint_root: Digest,
    /// The state that the bundle's entries fold to.
    pub state: State,
    /// The governance stream: each entry with the hash of its leaf, in ledger order.
    pub governance_leaves: Vec<(EntryIndex, Digest)>,
    /// What rested on a key that was found compromised later, in ledger order; empty when the bundle is older.
    pub suspects: Vec<Suspect>,
    /// Every check that was made and passed, in order.
    pub checks: Vec<Check>,
}

/// A check that passed.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// What was checked.
    pub name: &'static str,
    /// What was found.
    pub found: String,
}

/// Why a bundle proves nothing, with the checks that had passed before.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// A stable reason code.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// The checks that passed.
    pub checks: Vec<Check>,
}

impl Bundle {
    /// The schema that this version knows.
    pub const SCHEMA: &'static str = "https://lockgate.dev/bundle/v1";

    /// The canonical bytes.
    ///
    /// # Errors
    /// When there is no canonical form.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ApplyError> {
        canonical::to_vec(self).map_err(|error| ApplyError::new("BUNDLE_INVALID", error.to_string()))
    }

    /// Reads a bundle's outer form; proves nothing yet.
    ///
    /// # Errors
    /// `BUNDLE_INVALID`.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ApplyError> {
        let invalid = |message: String| ApplyError::new("BUNDLE_INVALID", format!("not a bundle: {message}"));
        let limits = &Limits::DEFAULT;
        if bytes.len() > limits.bundle_bytes {
            return Err(invalid(format!("{} bytes are over the limit of {}", bytes.len(), limits.bundle_bytes)));
        }
        let value = json::read(bytes, limits, json::Numbers::Integers).map_err(|error| invalid(error.to_string()))?;
        // A list in the place of an object would be read too, field by field.
        let listed = |key: &str| {
            let items = value.get(key).and_then(serde_json::Value::as_array);
            items.is_some_and(|items| !items.iter().all(serde_json::Value::is_object))
        };
        if !value.is_object() || listed("entries") || listed("anchors") {
            return Err(invalid("a list stands where an object belongs".to_owned()));
        }
        let bundle: Self = serde_json::from_value(value).map_err(|error| invalid(error.to_string()))?;
        match bundle.schema == Self::SCHEMA {
            true => Ok(bundle),
            false => Err(invalid(format!("the schema `{}` is not known", bundle.schema.escape_debug()))),
        }
    }

    /// The decoded bodies, each checked against its name.
    ///
    /// # Errors
    /// `DIGEST_MISMATCH` or `BUNDLE_INVALID`.
    pub fn decode_bodies(&self) -> Result<BodyMap, ApplyError> {
        let mut bodies = BodyMap::default();
        for (digest, text) in &self.bodies {
            let bytes = decode(text)?;
            let found = match lockgate_failpoint::planted("body-digest-unchecked") {
                true => *digest,
                false => Digest::of(&bytes),
            };
            if found != *digest {
                return Err(BodyError::DigestMismatch { expected: *digest, found }.into());
            }
            bodies.insert_hashed(found, bytes);
        }
        Ok(bodies)
    }
}

fn decode(text: &str) -> Result<Vec<u8>, ApplyError> {
    STANDARD.decode(text).map_err(|error| ApplyError::new("BUNDLE_INVALID", format!("not base64: {error}")))
}

/// A leaf that is proven to be in the ledger.
#[derive(Debug)]
struct Proven {
    index: EntryIndex,
    hash: Digest,
    leaf: Leaf,
}

/// Verifies a bundle against pinned trust and answers whether the artifact may run in the environment.
///
/// # Errors
/// [`Refusal`] with the first thing that is wrong. There is no partial success.
pub fn verify(bytes: &[u8], trust: &TrustFile, query: &Query<'_>) -> Result<Verified, Refusal> {
    let mut checks = Vec::new();
    let refuse = |error: ApplyError, checks: Vec<Check>| Refusal { code: error.code, message: error.message, checks };
    let verified = match open(bytes, trust, &mut checks) {
        Ok(verified) => verified,
        Err(error) => return Err(refuse(error, checks)),
    };
    match check_not_suspect(&verified).and_then(|()| check_query(&verified, query, &mut checks)) {
        Ok(()) => Ok(Verified { checks, ..verified }),
        Err(error) => Err(refuse(error, checks)),
    }
}

/// Verifies a bundle against pinned trust, whatever was decided: for approvers and auditors.
///
/// # Errors
/// [`ApplyError`] with the first thing that is wrong; `checks` then holds those that passed.
pub fn open(bytes: &[u8], trust: &TrustFile, checks: &mut Vec<Check>) -> Result<Verified, ApplyError> {
    let mut pass = |name: &'static str, found: String| checks.push(Check { name, found });
    // 1. The file is a bundle, and each body is what its name says.
    let bundle = Bundle::from_bytes(bytes)?;
    let bodies = bundle.decode_bodies()?;
    // 2. The checkpoint is signed by the pinned log key and the witnesses that the pinned policy asks for.
    let (signed, log_key) = trust.open_checkpoint(bundle.checkpoint.as_bytes())?;
    let checkpoint = signed.checkpoint;
    pass("checkpoint", format!("{} signed {} entries", log_key.name(), checkpoint.size));
    // 3. Every entry is in that tree.
    let proven = prove(&bundle, &checkpoint)?;
    pass("inclusion", format!("{} entries are in the ledger", proven.len()));
    // The newest entry names the governance head; a batch never ends with the leaf of an attestation.
    let newest = proven.last().filter(|last| matches!(last.leaf, Leaf::Entry(_))).map(|last| last.index.0 + 1);
    if newest != Some(checkpoint.size.0) {
        return Err(ApplyError::new("BUNDLE_INCOMPLETE", "the ledger's newest entry is missing".to_owned()));
    }
    // 4. The governance chain starts at the pinned first entry.
    let genesis =
        proven.first().filter(|first| first.index == EntryIndex(0)).map(|first| first.hash).ok_or_else(|| {
            ApplyError::new("GENESIS_MISSING", "the bundle does not start with the ledger's first entry".to_owned())
        })?;
    // 5. Fold; every enrolment, policy change and approval is verified on the way, and the last decision replayed.
    let folded = fold(&proven, bundle.promotion, &bodies)?;
    let governance = folded.state.governance()?.clone();
    trust.check_governance(&governance, genesis)?;
    pass(
        "governance",
        format!("{} people and machines, each countersigned since the pinned first owner", governance.people().count()),
    );
    // 6. Nothing was left out of what the decision relied on.
    check_complete(&folded)?;
    pass("completeness", "every entry of the streams that the decision relied on is here".to_owned());
    pass(
        "replay",
        format!("decision {} comes out as {} again, byte for byte", folded.index, folded.replayed.outcome.as_str()),
    );
    let release = folded.state.release(&folded.decision.release)?.clone();
    let promotion = release.promotion(bundle.promotion)?;
    let suspects = suspect::in_release(&governance, &release);
    check_anchors(&bundle, &checkpoint, &promotion.approvals)?;
    let governs = |leaf: &Leaf| matches!(leaf, Leaf::Entry(entry) if entry.link(&StreamName::governance()).is_some());
    let governance_leaves =
        proven.iter().filter(|entry| governs(&entry.leaf)).map(|entry| (entry.index, entry.hash)).collect();
    for approval in &promotion.approvals {
        let void = suspects.iter().find(|suspect| suspect.index == approval.index);
        let void = void.map(|suspect| format!("; suspect since entry {}", suspect.since)).unwrap_or_default();
        let device = presence_words(&approval.event.signature);
        pass("approval", format!("{} signed with {}{device}{void}", approval.event.approver, approval.event.key));
    }
    Ok(Verified {
        promotion: bundle.promotion,
        grant: promotion.grant.clone(),
        decision: folded.replayed,
        decision_index: folded.index,
        checkpoint: bundle.checkpoint,
        checkpoint_size: checkpoint.size,
        checkpoint_root: checkpoint.root,
        release,
        state: folded.state,
        governance_leaves,
        suspects,
        checks: Vec::new(),
    })
}

fn prove(bundle: &Bundle, checkpoint: &Checkpoint) -> Result<Vec<Proven>, ApplyError> {
    let limits = &Limits::DEFAULT;
    let mut proven: Vec<Proven> = Vec::with_capacity(bundle.entries.len());
    for entry in &bundle.entries {
        if proven.last().is_some_and(|last| last.index >= entry.index) {
            return Err(ApplyError::new(
                "BUNDLE_INVALID",
                format!("entry {} is out of order or stands twice", entry.index),
            ));
        }
        let bytes = decode(&entry.leaf)?;
        let hash = leaf_hash(&bytes);
        let path = entry.proof.iter().map(|text| proof_hash(text)).collect::<Result<Vec<_>, _>>()?;
        verify_inclusion(entry.index, checkpoint.size, &hash, &path, &checkpoint.root).map_err(|error| {
            ApplyError::new(
                "INCLUSION_PROOF",
                format!("entry {} is not proven to be in the ledger: {error}", entry.index),
            )
        })?;
        let leaf = Leaf::decode(&bytes, limits)
            .map_err(|error| ApplyError::new("ENTRY_INVALID", format!("entry {}: {error}", entry.index)))?;
        proven.push(Proven { index: entry.index, hash, leaf });
    }
    Ok(proven)
}

fn proof_hash(text: &str) -> Result<Digest, ApplyError> {
    let bytes: [u8; 32] = decode(text)?
        .try_into()
        .map_err(|_| ApplyError::new("INCLUSION_PROOF", "a proof hash has another length than 32 bytes".to_owned()))?;
    Ok(Digest::from_bytes(bytes))
}

struct Folded {
    state: State,
    index: EntryIndex,
    decision: DecisionRecorded,
    replayed: Decision,
    /// What ran in the target just before the decision.
    ran: Option<StreamPosition>,
    /// The place of this promotion's own grant in the target's stream.
    granted: Option<u64>,
}

/// Folds the entries in order. The promotion's last decision is run again on the state just before it, and so is every
/// decision that allowed the same release anywhere: what is certified rests on them.
fn fold(proven: &[Proven], promotion: PromotionId, bodies: &BodyMap) -> Result<Folded, ApplyError> {
    let entries = || {
        proven.iter().filter_map(|proven| match &proven.leaf {
            Leaf::Entry(entry) => Some((proven.index, entry.as_ref())),
            Leaf::HashedRekord => None,
        })
    };
    let missing = || ApplyError::new("DECISION_MISSING", format!("the bundle holds no decision on {promotion}"));
    let mut last = entries().filter_map(|(index, entry)| match &entry.event {
        Event::DecisionRecorded(event) if event.promotion == promotion => Some((index, event.clone())),
        _ => None,
    });
    let (decision_index, decision) = last.next_back().ok_or_else(missing)?;
    let newest = proven.last().map(|last| last.index);
    let target = StreamName::running(&decision.environment, &decision.release.service);
    let cache = ClaimCache::default();
    let mut state = State::default();
    let (mut replayed, mut ran, mut granted) = (None, None, None);
    for (index, entry) in entries() {
        if let Event::DecisionRecorded(event) = &entry.event {
            let counts = index == decision_index || event.outcome == Outcome::Allow;
            if counts && event.release == decision.release {
                let again = replay(&state, index, event, entry.time, bodies, &cache)?;
                if index == decision_index {
                    ran = state.head(&target).cloned();
                    replayed = Some(again.decision);
                }
            }
        }
        match (&entry.event, entry.event.release()) {
            (_, None) => state.apply(index, entry, bodies, Slice::Partial)?,
            (event, Some(release)) if *release == decision.release => {
                state.apply(index, entry, bodies, Slice::Partial)?;
                if let Event::GrantIssued(grant) = event
                    && grant.promotion == promotion
                {
                    granted = entry.link(&target).map(|link| link.seq);
                }
            }
            (event, Some(release)) => {
                // What the decision compares with, of the same service, and what else was let in just now.
                let followed = release.service == decision.release.service && state.follow(index, entry, bodies)?;
                match event {
                    Event::GrantIssued(grant) => adopt_other(&mut state, index, entry, grant)?,
                    _ if followed => {}
                    _ if Some(index) == newest => state.check_governance_head(index, entry)?,
                    _ => {
                        let message = format!("entry {index} does not belong to this bundle");
                        return Err(ApplyError::new("BUNDLE_INVALID", message));
                    }
                }
            }
        }
    }
    let replayed = replayed.ok_or_else(missing)?;
    Ok(Folded { state, index: decision_index, decision, replayed, ran, granted })
}

/// Takes what runs in an environment from a grant of another release of the same service.
///
/// That grant's own decision is not in the bundle; it only says what would be replaced, and the full audit checks it.
fn adopt_other(state: &mut State, index: EntryIndex, entry: &Entry, grant: &GrantIssued) -> Result<(), ApplyError> {
    let stream = StreamName::running(&grant.environment, &grant.release.service);
    let foreign = || ApplyError::new("BUNDLE_INVALID", format!("entry {index} does not belong to this bundle"));
    let link = entry.link(&stream).filter(|_| entry.schema == crate::entry::SCHEMA).ok_or_else(foreign)?;
    state.check_governance_head(index, entry)?;
    if state.head(&stream).is_some_and(|head| link.seq <= head.seq) {
        return Err(foreign());
    }
    state.adopt_head(StreamPosition { stream, seq: link.seq, index });
    let running = Running {
        release: grant.release.clone(),
        manifest: grant.manifest,
        since: entry.time,
        promotion: grant.promotion,
    };
    state.adopt_running(grant.environment.clone(), running);
    Ok(())
}

/// Replay has compared every head that the decision names; here: that it names all that it had to, and that the
/// chains are here from their first entry, without a gap.
fn check_complete(folded: &Folded) -> Result<(), ApplyError> {
    let decision = &folded.decision;
    let incomplete = |stream: &StreamName| {
        let message = format!("the decision on {} does not rest on the whole of `{stream}`", decision.promotion);
        Err(ApplyError::new("BUNDLE_INCOMPLETE", message))
    };
    let named = |stream: &StreamName| decision.relied_on.iter().any(|position| position.stream == *stream);
    for stream in [StreamName::governance(), StreamName::release(&decision.release)] {
        if !named(&stream) || !folded.state.holds_whole(&stream) {
            return incomplete(&stream);
        }
    }
    // What ran in the target is named, or nothing had ever run there: then a grant is the first of its stream.
    let target = StreamName::running(&decision.environment, &decision.release.service);
    let first = folded.ran.is_none() && folded.granted.is_none_or(|seq| seq == 0);
    match named(&target) || first {
        true => Ok(()),
        false => incomplete(&target),
    }
}

/// The ledger that each approver verified before signing is the beginning of this one.
fn check_anchors(bundle: &Bundle, checkpoint: &Checkpoint, approvals: &[ApprovalRecord]) -> Result<(), ApplyError> {
    for approval in approvals {
        let anchor = &approval.approval.predicate.anchor;
        let proof = bundle.anchors.iter().find(|known| known.size == anchor.size);
        let path = proof.map(|known| known.proof.iter().map(|text| proof_hash(text)).collect::<Result<Vec<_>, _>>());
        let path = path.transpose()?.unwrap_or_default();
        verify_consistency(anchor.size, checkpoint.size, &path, &anchor.root, &checkpoint.root).map_err(|error| {
            let approver = &approval.event.approver;
            ApplyError::new(
                "ANCHOR_UNPROVEN",
                format!("the ledger that `{approver}` saw is not proven to be the beginning of this one: {error}"),
            )
        })?;
    }
    Ok(())
}

/// A decision that counted a signature which was found void later is not relied on any more.
fn check_not_suspect(verified: &Verified) -> Result<(), ApplyError> {
    match verified.suspects.iter().find(|suspect| suspect.index == verified.decision_index) {
        None => Ok(()),
        Some(suspect) => Err(ApplyError::new(
            "SUSPECT_KEY",
            format!("the decision on {} is suspect since entry {}: {}", verified.promotion, suspect.since, suspect.why),
        )),
    }
}

fn check_query(verified: &Verified, query: &Query<'_>, checks: &mut Vec<Check>) -> Result<(), ApplyError> {
    let mut pass = |name: &'static str, found: String| checks.push(Check { name, found });
    let release = &verified.release;
    if release.name.service != *query.service {
        return Err(ApplyError::new(
            "SERVICE_MISMATCH",
            format!("the bundle is about {}, not `{}`", release.name, query.service),
        ));
    }
    let artifact =
        release.manifest.artifacts.iter().find(|artifact| artifact.digest == query.artifact).ok_or_else(|| {
            ApplyError::new("DIGEST_NOT_GRANTED", format!("{} is no artifact of {}", query.artifact, release.name))
        })?;
    pass("artifact", format!("{} is {} of {}", query.artifact, artifact.name, release.name));
    let grant = verified.grant.as_ref().filter(|_| verified.decision.outcome == Outcome::Allow).ok_or_else(|| {
        ApplyError::new(
            "NOT_GRANTED",
            format!("{} was not granted: {}", verified.promotion, verified.decision.outcome.as_str()),
        )
    })?;
    if grant.event.environment != *query.environment {
        return Err(ApplyError::new(
            "ENVIRONMENT_MISMATCH",
            format!("{} was granted into {}, not {}", verified.promotion, grant.event.environment, query.environment),
        ));
    }
    if grant.event.not_after <= query.now && !lockgate_failpoint::planted("expired-grant-honoured") {
        return Err(ApplyError::new(
            "GRANT_EXPIRED",
            format!("the grant of {} ended at {}", verified.promotion, grant.event.not_after),
        ));
    }
    if grant.time > query.now.plus(lockgate_model::Span::from_secs(300)) {
        return Err(ApplyError::new(
            "CLOCK_BEHIND",
            format!("the grant is from {}, later than this machine's clock", grant.time),
        ));
    }
    // A bundle may hold a later grant of the same target: what governance or a decision needed of it.
    if let Some(running) = verified.state.running(query.environment, query.service)
        && running.promotion != verified.promotion
    {
        return Err(ApplyError::new(
            "GRANT_SUPERSEDED",
            format!("{} was replaced by {}, granted later", verified.promotion, running.promotion),
        ));
    }
    // The governance chain is here up to the checkpoint, so that a freeze from before it is known.
    let governance = verified.state.governance()?;
    let promotion = release.promotion(verified.promotion)?;
    governance.check_not_frozen(query.service, query.environment, promotion, query.now)?;
    pass("freeze", format!("no freeze stops it after {} entries", verified.checkpoint_size));
    if let Some(index) = verified.decision.break_glass {
        let opened = governance.break_glass(index)?;
        let signed: Vec<&str> = opened.signatures.iter().map(|signature| signature.by.as_str()).collect();
        let reviewed = if governance.review_of(opened).is_some() { "reviewed" } else { "NOT REVIEWED" };
        let text =
            format!("BREAK-GLASS of entry {index} by {}, {reviewed}: {}", signed.join(" and "), opened.event.reason);
        pass("break-glass", text);
    }
    pass(
        "grant",
        format!("{} lets it run in {} until {}", verified.promotion, grant.event.environment, grant.event.not_after),
    );
    Ok(())
}

/// The digests of every body that these entries name, each once.
pub fn bodies_of<'a>(entries: impl Iterator<Item = &'a Entry>) -> Vec<Digest> {
    let mut digests: Vec<Digest> = entries.flat_map(|entry| entry.event.bodies()).collect();
    digests.sort_unstable();
    digests.dedup();
    digests
}

impl Event {
    /// The digests of the bodies that this event names.
    pub fn bodies(&self) -> Vec<Digest> {
        match self {
            Self::LedgerCreated(event) => vec![event.policy],
            Self::PolicyActivated(event) => std::iter::once(event.policy).chain(event.backtest).collect(),
            Self::ReleasePublished(event) => vec![event.manifest],
            Self::EvidenceRecorded(event) => match &event.form {
                EvidenceForm::Envelope
                | EvidenceForm::Sigstore
                | EvidenceForm::Minisign
                | EvidenceForm::ImageSignature => vec![event.evidence],
                EvidenceForm::Report { statement, .. } => vec![event.evidence, *statement],
            },
            Self::ApprovalRecorded(event) => vec![event.document],
            Self::DecisionRecorded(event) => {
                let feeds = event.feeds.iter().map(|used| used.digest);
                [event.decision, event.facts].into_iter().chain(feeds).collect()
            }
            Self::AttestationsIssued(event) => event.issued.iter().map(|issued| issued.envelope).collect(),
            Self::ChangeProposed(event) => vec![event.draft],
            Self::AccessReviewed(event) => vec![event.review],
            Self::DrillRecorded(event) => vec![event.report],
            Self::PersonEnrolled(_)
            | Self::KeyAdded(_)
            | Self::KeyRevoked(_)
            | Self::KeyRotated(_)
            | Self::KeyRecovered(_)
            | Self::PersonSuspended(_)
            | Self::PersonReinstated(_)
            | Self::IdentityBound(_)
            | Self::IdentityUnbound(_)
            | Self::ChangeSigned(_)
            | Self::ChangeRejected(_)
            | Self::WaiverRequested(_)
            | Self::WaiverGranted(_)
            | Self::WaiverRevoked(_)
            // A decision names the snapshots that it used; the others are in no bundle.
            | Self::FeedRecorded(_)
            | Self::CiTrusted(_)
            | Self::CiUntrusted(_)
            | Self::DelegationGranted(_)
            | Self::DelegationEnded(_)
            | Self::FreezeOrdered(_)
            | Self::FreezeLifted(_)
            | Self::BreakGlassOpened(_)
            | Self::BreakGlassSigned(_)
            | Self::BreakGlassReviewed(_)
            | Self::ApprovalWithdrawn(_)
            | Self::PromotionRequested(_)
            | Self::PromotionClosed(_)
            | Self::GrantIssued(_) => Vec::new(),
        }
    }
}
