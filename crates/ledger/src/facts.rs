//! From state and evidence to facts.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Mutex;

use lockgate_evidence::report::{self, Format};
use lockgate_evidence::statement::Statement;
use lockgate_model::facts::{
    ApprovalFact, Artifact, Binding, Claim, EvidenceFact, Facts, Origin, PersonFact, PromotionFacts, ReleaseFacts,
    SignatureFact, SubjectKind, feed_names,
};
use lockgate_model::{
    Digest, EnvName, Limits, PersonId, PromotionId, ReleaseName, ServiceName, SignerName, UnixMillis,
};
use lockgate_policy::{PolicySet, Proof};
use lockgate_sign::dsse::Envelope;

use crate::approval::describes;
use crate::bodies::{Bodies, required, with_reader};
use crate::entry::{EvidenceForm, EvidenceRecorded};
use crate::feed::SnapshotCache;
use crate::foreign::{ForeignRead, broken, not_ahead};
use crate::governance::Governance;
use crate::release::{ApprovalRecord, EvidenceRecord, PromotionState, ReleaseState};
use crate::signed::reader_of;
use crate::state::{ApplyError, State};

/// How many read pieces of evidence are remembered.
const CACHE_ITEMS: usize = 1024;
/// How much of them, as JSON in bytes; in memory a claim takes about twice as much.
const CACHE_BYTES: usize = 32 * 1024 * 1024;
/// Up to this size a report is read from memory, which is faster.
const WHOLE_BYTES: u64 = 1024 * 1024;

/// Whether a report of this size is read as its bytes come, and not from memory. Every reader asks this: the words in
/// which a report is refused can tell one way from the other, and they are part of the facts.
pub fn is_streamed(format: Format, size_bytes: u64) -> bool {
    format.is_streamed() && size_bytes > WHOLE_BYTES
}

/// What was read from evidence before, by digest: reading is pure, so remembering is safe.
#[derive(Debug, Default)]
pub struct ClaimCache(Mutex<Remembered>, SnapshotCache);

impl ClaimCache {
    pub(crate) fn snapshots(&self) -> &SnapshotCache {
        &self.1
    }
}

/// What is remembered, and in which order it was read: the oldest is forgotten first, one at a time.
#[derive(Debug, Default)]
struct Remembered {
    reads: HashMap<ReadKey, Read>,
    /// With what each claim counts.
    order: VecDeque<(ReadKey, usize)>,
    bytes: usize,
}

/// The evidence, what it was read with (the policy set, for signatures), and as what.
type ReadKey = (Digest, Digest, Option<Format>);

/// What one piece of evidence says, before it is matched with a release.
#[derive(Debug, Clone)]
struct Read {
    signers: Vec<SignerName>,
    subjects: Vec<Digest>,
    claim: Claim,
    signature: Option<Box<SignatureFact>>,
}

/// Builds the facts for a promotion as the state stands, at ledger time `time`.
///
/// # Errors
/// [`ApplyError`] when the promotion is unknown or a body cannot be had: without all evidence nothing is decided.
pub fn facts_for(
    state: &State,
    promotion: PromotionId,
    time: UnixMillis,
    bodies: &dyn Bodies,
    cache: &ClaimCache,
) -> Result<Facts, ApplyError> {
    let governance = state.governance()?;
    let name = state.release_of(promotion).ok_or_else(|| {
        ApplyError::new("PROMOTION_UNKNOWN", format!("{promotion} is not a promotion of this ledger"))
    })?;
    let release = state.release(name)?;
    let asked = release.promotion(promotion)?;
    let artifacts = release.manifest.artifact_digests();
    let evidence = evidence_facts(release, governance, bodies, cache)?;
    let running = state.running(&asked.request.environment, &name.service).cloned();
    let compared = compared(state, &asked.request.environment, &name.service)?;
    let compared = compared.map(|compared| state.release(compared)).transpose()?;
    let (running_evidence, running_artifacts) = match compared {
        Some(compared) => (evidence_facts(compared, governance, bodies, cache)?, several_artifacts(compared)),
        None => (Vec::new(), Vec::new()),
    };
    let neighbours_since = governance.policy.neighbours_since(&asked.request.environment, &name.service);
    let neighbours = neighbours_since.map(|span| {
        let since = UnixMillis(time.0.saturating_sub(span.millis()));
        state.neighbours(&asked.request.environment, &name.service, since)
    });
    let waivers = governance.waivers_for(name, &artifacts, &asked.request.environment);
    let names = feed_names(&evidence, &waivers);
    let feeds = governance.feed_facts(&name.service, &asked.request.environment, &names, bodies, &cache.1)?;
    let approvals = asked
        .approvals
        .iter()
        .map(|record| ApprovalFact {
            misdescribed: !describes(&record.approval.predicate, &evidence, &waivers, running.as_ref()),
            ..approval_fact(record, governance)
        })
        .collect();
    Ok(Facts {
        schema: Facts::SCHEMA.to_owned(),
        time,
        promotion: promotion_facts(asked),
        release: release_facts(release),
        evidence,
        running,
        running_evidence,
        running_artifacts,
        neighbours,
        certified: release.certified(),
        approvals,
        waivers,
        feeds,
        delegations: governance.delegations_for(&name.service, &asked.request.environment, time),
        freezes: governance.freezes_for(&name.service, &asked.request.environment),
        break_glass: governance.break_glass_for(release, &asked.request.environment, time),
        people: people_facts(governance, time),
    })
}

/// The release that runs in an environment, where gates of the active policy set compare with it.
///
/// # Errors
/// `LEDGER_EMPTY`.
pub fn compared<'a>(
    state: &'a State,
    environment: &EnvName,
    service: &ServiceName,
) -> Result<Option<&'a ReleaseName>, ApplyError> {
    let compares = state.governance()?.policy.compares_with_running(environment, service);
    Ok(state.running(environment, service).filter(|_| compares).map(|running| &running.release))
}

/// What is known from one piece of evidence of a release, under the active policy set; for pages, not for decisions.
///
/// # Errors
/// [`ApplyError`] when its bytes cannot be had.
pub fn fact_of(
    record: &EvidenceRecord,
    release: &ReleaseState,
    governance: &Governance,
    bodies: &dyn Bodies,
    cache: &ClaimCache,
) -> Result<EvidenceFact, ApplyError> {
    let artifacts = release.manifest.artifact_digests();
    evidence_fact(record, &artifacts, &governance.policy, governance.policy_digest, bodies, cache)
}

/// Everything that is known about a release, in ledger order.
fn evidence_facts(
    release: &ReleaseState,
    governance: &Governance,
    bodies: &dyn Bodies,
    cache: &ClaimCache,
) -> Result<Vec<EvidenceFact>, ApplyError> {
    let artifacts = release.manifest.artifact_digests();
    let fact = |record: &std::sync::Arc<EvidenceRecord>| {
        evidence_fact(record, &artifacts, &governance.policy, governance.policy_digest, bodies, cache)
    };
    release.evidence.iter().map(fact).collect()
}

/// The artifacts of a release that has several; one alone needs no telling apart.
fn several_artifacts(release: &ReleaseState) -> Vec<Artifact> {
    let artifacts = &release.manifest.artifacts;
    if artifacts.len() > 1 { artifacts.clone() } else { Vec::new() }
}

/// Everyone enrolled; whoever has no key that counts at that time can be asked for nothing.
fn people_facts(governance: &Governance, time: UnixMillis) -> BTreeMap<PersonId, PersonFact> {
    let mut people = governance.people_facts();
    for (id, fact) in &mut people {
        fact.keyless = fact.kind == SubjectKind::Person && !governance.can_act(id, time);
    }
    people
}

fn promotion_facts(asked: &PromotionState) -> PromotionFacts {
    PromotionFacts {
        id: asked.request.promotion,
        environment: asked.request.environment.clone(),
        kind: asked.request.kind,
        requester: asked.requester.clone(),
        reason: asked.request.reason.clone(),
        requested_at: asked.requested_at,
    }
}

fn release_facts(release: &ReleaseState) -> ReleaseFacts {
    ReleaseFacts {
        name: release.name.clone(),
        manifest: release.manifest_digest,
        artifacts: release.manifest.artifacts.clone(),
        source: release.manifest.source.clone(),
        notes: release.manifest.notes,
        published_by: release.published_by.clone(),
        published_at: release.published_at,
    }
}

fn approval_fact(record: &ApprovalRecord, governance: &Governance) -> ApprovalFact {
    let predicate = &record.approval.predicate;
    let (person, key) = (&record.event.approver, &record.event.key);
    let key_valid = governance.approval_counts(person, key, record.index, record.time, &predicate.environment);
    ApprovalFact {
        person: record.event.approver.clone(),
        key: record.event.key.clone(),
        verdict: record.event.verdict,
        index: record.index,
        recorded_at: record.time,
        expires_at: predicate.expires_at,
        binds: Binding {
            promotion: predicate.promotion,
            manifest: predicate.manifest,
            environment: predicate.environment.clone(),
            policy: predicate.policy,
            replaces: predicate.replaces.as_ref().map(|replaced| replaced.manifest),
        },
        key_valid,
        review_seconds: record.approval.review_seconds(record.time),
        withdrawn: record.withdrawn.is_some(),
        misdescribed: false,
    }
}

fn evidence_fact(
    record: &EvidenceRecord,
    release_artifacts: &[Digest],
    policy: &PolicySet,
    policy_digest: Digest,
    bodies: &dyn Bodies,
    cache: &ClaimCache,
) -> Result<EvidenceFact, ApplyError> {
    let mut signature = None;
    let (artifacts, origin, claim) = match (reader_of(&record.event.form), &record.event.form) {
        (Some(reader), form) => {
            // Never the same key as the same bytes read in another way.
            let with = Digest::of(&[policy_digest.as_bytes().as_slice(), form.word().as_bytes()].concat());
            let key = (record.event.evidence, with, None);
            let read =
                cache.read(key, || Ok(read_foreign(reader(&required(bodies, &record.event.evidence)?, policy))))?;
            let about = release_artifacts.iter().filter(|artifact| read.subjects.contains(artifact)).copied().collect();
            let proof = read.signature.map(|proof| not_ahead(*proof, record.time));
            let counts = proof.as_ref().is_some_and(|proof| proof.class.proves_signer());
            signature = proof.map(Box::new);
            (about, Origin::Signed { signers: if counts { read.signers } else { Vec::new() } }, read.claim)
        }
        (None, EvidenceForm::Report { format, artifacts, .. }) => {
            let parsed = format.parse::<Format>().ok();
            let key = (record.event.evidence, record.event.evidence, parsed);
            let read = cache.read(key, || read_report(&record.event, parsed, format, bodies))?;
            let about = release_artifacts.iter().filter(|artifact| artifacts.contains(artifact)).copied().collect();
            (about, Origin::OnBehalf { by: record.by.clone() }, read.claim)
        }
        (None, _) => {
            let key = (record.event.evidence, policy_digest, None);
            let read = cache.read(key, || Ok(read_envelope(&required(bodies, &record.event.evidence)?, policy)))?;
            let about = release_artifacts.iter().filter(|artifact| read.subjects.contains(artifact)).copied().collect();
            signature = read.signature;
            (about, Origin::Signed { signers: read.signers }, read.claim)
        }
    };
    Ok(EvidenceFact {
        evidence: record.event.evidence,
        index: record.index,
        recorded_at: record.time,
        artifacts,
        origin,
        claim,
        signature,
    })
}

/// A signature that another tool made; see [`crate::foreign`] and [`crate::detached`].
fn read_foreign(read: ForeignRead) -> Read {
    let ForeignRead { signers, subjects, claim, signature } = read;
    Read { signers, subjects, claim, signature: Some(Box::new(signature)) }
}

/// Reads an envelope: which trusted signers' signatures verify, which artifacts it is about, what it says.
///
/// An envelope that does not parse, or that no trusted key signed, still yields a fact, so that a denial can say what
/// was found; it can satisfy nothing.
fn read_envelope(bytes: &[u8], policy: &PolicySet) -> Read {
    let malformed = |reason: String| Read {
        signers: Vec::new(),
        subjects: Vec::new(),
        claim: Claim::Malformed { reason },
        signature: None,
    };
    let envelope = match Envelope::parse(bytes, &Limits::DEFAULT) {
        Ok(envelope) => envelope,
        Err(error) => return malformed(error.to_string()),
    };
    if !is_statement_type(&envelope.payload_type) {
        return malformed(format!(
            "the payload type `{}` is not an in-toto statement",
            envelope.payload_type.escape_debug()
        ));
    }
    // A key that is pinned together with a trust root counts only where that root's log has its signature.
    let trusted: Vec<_> = policy
        .signers()
        .iter()
        .filter_map(|signer| match (&signer.proof, signer.root) {
            (Proof::Key(key), None) => Some((&signer.name, key.clone())),
            (Proof::Key(_), Some(_)) | (Proof::Minisign(_) | Proof::Identity(_), _) => None,
        })
        .collect();
    let keys: Vec<_> = trusted.iter().map(|(_, key)| key.clone()).collect();
    let signers: Vec<SignerName> =
        envelope.verify(&keys).into_iter().filter_map(|at| trusted.get(at)).map(|(name, _)| (*name).clone()).collect();
    // An envelope that somebody trusted signed counts, whatever else is on it.
    let signature = if signers.is_empty() { broken(&envelope, policy).map(Box::new) } else { None };
    match Statement::parse(&envelope.payload, &Limits::DEFAULT) {
        Err(error) => Read { signers, signature, ..malformed(error.message) },
        Ok(statement) => {
            let subjects = statement.subjects.iter().filter_map(|subject| subject.sha256).collect();
            Read { signers, subjects, claim: lockgate_evidence::claim_of(&statement, &Limits::DEFAULT), signature }
        }
    }
}

/// Whether a DSSE payload type announces an in-toto statement (attestation framework v1.2, envelope).
pub fn is_statement_type(payload_type: &str) -> bool {
    payload_type == "application/vnd.in-toto+json"
        || (payload_type.starts_with("application/vnd.in-toto.") && payload_type.ends_with("+json"))
}

/// Reads a report; a large one as its bytes come, so that memory does not have to hold them.
fn read_report(
    event: &EvidenceRecorded,
    format: Option<Format>,
    name: &str,
    bodies: &dyn Bodies,
) -> Result<Read, ApplyError> {
    let limits = &Limits::DEFAULT;
    let read = match format {
        None => {
            // Also what says nothing has to be there.
            with_reader(bodies, &event.evidence, |_| ())?;
            Err(format!("`{}` is not a report format that this version reads", name.escape_debug()))
        }
        Some(format) if is_streamed(format, event.size_bytes) => {
            let read = with_reader(bodies, &event.evidence, |reader| report::read_from(format, reader, limits))?;
            read.map_err(|error| error.message)
        }
        Some(format) => {
            report::read(format, &required(bodies, &event.evidence)?, limits).map_err(|error| error.message)
        }
    };
    let claim = read.unwrap_or_else(|reason| Claim::Malformed { reason });
    Ok(Read { signers: Vec::new(), subjects: Vec::new(), claim, signature: None })
}

impl ClaimCache {
    fn read(&self, key: ReadKey, read: impl FnOnce() -> Result<Read, ApplyError>) -> Result<Read, ApplyError> {
        let lock = || self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(known) = lock().reads.get(&key) {
            return Ok(known.clone());
        }
        let fresh = read()?;
        // Before the lock, because others wait for it.
        let bytes = json_bytes(&fresh.claim);
        lock().add(key, fresh.clone(), bytes);
        Ok(fresh)
    }
}

impl Remembered {
    /// Remembers one more, however large; the oldest ones make room.
    fn add(&mut self, key: ReadKey, read: Read, bytes: usize) {
        if self.reads.insert(key, read).is_none() {
            self.order.push_back((key, bytes));
            self.bytes += bytes;
        }
        while self.order.len() > CACHE_ITEMS || (self.bytes > CACHE_BYTES && self.order.len() > 1) {
            let Some((oldest, bytes)) = self.order.pop_front() else { break };
            self.reads.remove(&oldest);
            self.bytes = self.bytes.saturating_sub(bytes);
        }
    }
}

/// How long a claim is as JSON, without writing it down.
fn json_bytes(claim: &Claim) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    match serde_json::to_writer(&mut count, claim) {
        Ok(()) => count.0,
        Err(_) => CACHE_BYTES,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn large_claims_make_room_for_each_other() {
        let mut known = Remembered::default();
        let key = |number: usize| (Digest::of(&number.to_be_bytes()), Digest::of(b"policy"), None);
        let of = |bytes: usize| Read {
            signers: Vec::new(),
            subjects: Vec::new(),
            claim: Claim::Malformed { reason: "x".repeat(bytes) },
            signature: None,
        };
        let add = |known: &mut Remembered, number: usize, bytes: usize| known.add(key(number), of(bytes), bytes);
        add(&mut known, 0, 10);
        for number in 1..=5 {
            add(&mut known, number, CACHE_BYTES / 3 + 1);
        }
        assert_eq!((known.reads.len(), known.order.len()), (2, 2));
        assert!(known.bytes <= CACHE_BYTES && known.reads.contains_key(&key(5)) && !known.reads.contains_key(&key(0)));
        // What is too large by itself is remembered until the next one comes.
        add(&mut known, 6, 2 * CACHE_BYTES);
        assert_eq!(known.reads.keys().copied().collect::<Vec<_>>(), [key(6)]);
        add(&mut known, 7, 1);
        assert_eq!(known.reads.keys().copied().collect::<Vec<_>>(), [key(7)]);
    }

    #[test]
    fn all_evidence_of_a_release_is_read_once_and_the_oldest_is_forgotten_first() {
        let (cache, reads) = (ClaimCache::default(), Cell::new(0));
        let look = |number: usize| {
            let digest = Digest::of(&number.to_be_bytes());
            let read = || {
                reads.set(reads.get() + 1);
                let claim = Claim::Malformed { reason: number.to_string() };
                Ok(Read { signers: Vec::new(), subjects: Vec::new(), claim, signature: None })
            };
            cache.read((digest, digest, None), read).unwrap();
        };
        let most = Limits::DEFAULT.evidence_per_release;
        (0..most).chain(0..most).for_each(look);
        assert_eq!(reads.get(), most);
        (most..=CACHE_ITEMS).chain(1..=CACHE_ITEMS).for_each(look);
        assert_eq!(reads.get(), CACHE_ITEMS + 1, "one was forgotten, and not all");
        look(0);
        assert_eq!(reads.get(), CACHE_ITEMS + 2);
    }
}
