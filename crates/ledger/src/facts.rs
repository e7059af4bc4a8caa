//! From state and evidence to facts.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use lockgate_evidence::report::{self, Format};
use lockgate_evidence::statement::Statement;
use lockgate_model::facts::{
    ApprovalFact, Binding, Claim, EvidenceFact, Facts, Origin, PersonFact, PromotionFacts, ReleaseFacts, SubjectKind,
};
use lockgate_model::{Digest, Limits, PersonId, PromotionId, SignerName, UnixMillis};
use lockgate_policy::PolicySet;
use lockgate_sign::dsse::Envelope;

use crate::approval::describes;
use crate::bodies::{Bodies, required};
use crate::entry::EvidenceForm;
use crate::governance::Governance;
use crate::release::{ApprovalRecord, EvidenceRecord, PromotionState, ReleaseState};
use crate::state::{ApplyError, State};

/// How many read pieces of evidence are remembered.
const CACHE_ITEMS: usize = 512;

/// What was read from evidence before, by digest: reading is pure, so remembering is safe.
#[derive(Debug, Default)]
pub struct ClaimCache(Mutex<HashMap<ReadKey, Read>>);

/// The evidence, what it was read with (the policy set, for signatures), and as what.
type ReadKey = (Digest, Digest, Option<Format>);

/// What one piece of evidence says, before it is matched with a release.
#[derive(Debug, Clone)]
struct Read {
    signers: Vec<SignerName>,
    subjects: Vec<Digest>,
    claim: Claim,
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
    let evidence = release
        .evidence
        .iter()
        .map(|record| evidence_fact(record, &artifacts, &governance.policy, governance.policy_digest, bodies, cache))
        .collect::<Result<Vec<_>, _>>()?;
    let running = state.running(&asked.request.environment, &name.service).cloned();
    let waivers = governance.waivers_for(&name.service, &asked.request.environment);
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
        certified: release.certified(),
        approvals,
        waivers,
        delegations: governance.delegations_for(&name.service, &asked.request.environment, time),
        people: people_facts(governance, time),
    })
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
    let (artifacts, origin, claim) = match &record.event.form {
        EvidenceForm::Envelope => {
            let key = (record.event.evidence, policy_digest, None);
            let read = cache.read(key, || Ok(read_envelope(&required(bodies, &record.event.evidence)?, policy)))?;
            let about = release_artifacts.iter().filter(|artifact| read.subjects.contains(artifact)).copied().collect();
            (about, Origin::Signed { signers: read.signers }, read.claim)
        }
        EvidenceForm::Report { format, artifacts, .. } => {
            let parsed = format.parse::<Format>().ok();
            let key = (record.event.evidence, record.event.evidence, parsed);
            let read =
                cache.read(key, || Ok(read_report(&required(bodies, &record.event.evidence)?, parsed, format)))?;
            let about = release_artifacts.iter().filter(|artifact| artifacts.contains(artifact)).copied().collect();
            (about, Origin::OnBehalf { by: record.by.clone() }, read.claim)
        }
    };
    Ok(EvidenceFact {
        evidence: record.event.evidence,
        index: record.index,
        recorded_at: record.time,
        artifacts,
        origin,
        claim,
    })
}

/// Reads an envelope: which trusted signers' signatures verify, which artifacts it is about, what it says.
///
/// An envelope that does not parse, or that no trusted key signed, still yields a fact, so that a denial can say what
/// was found; it can satisfy nothing.
fn read_envelope(bytes: &[u8], policy: &PolicySet) -> Read {
    let malformed =
        |reason: String| Read { signers: Vec::new(), subjects: Vec::new(), claim: Claim::Malformed { reason } };
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
    let trusted = policy.signers();
    let keys: Vec<_> = trusted.iter().map(|signer| signer.key.clone()).collect();
    let signers =
        envelope.verify(&keys).into_iter().filter_map(|at| trusted.get(at)).map(|signer| signer.name.clone()).collect();
    match Statement::parse(&envelope.payload, &Limits::DEFAULT) {
        Err(error) => Read { signers, ..malformed(error.message) },
        Ok(statement) => {
            let subjects = statement.subjects.iter().filter_map(|subject| subject.sha256).collect();
            Read { signers, subjects, claim: lockgate_evidence::claim_of(&statement, &Limits::DEFAULT) }
        }
    }
}

/// Whether a DSSE payload type announces an in-toto statement (attestation framework v1.2, envelope).
pub fn is_statement_type(payload_type: &str) -> bool {
    payload_type == "application/vnd.in-toto+json"
        || (payload_type.starts_with("application/vnd.in-toto.") && payload_type.ends_with("+json"))
}

fn read_report(bytes: &[u8], format: Option<Format>, name: &str) -> Read {
    let claim = match format {
        None => Claim::Malformed {
            reason: format!("`{}` is not a report format that this version reads", name.escape_debug()),
        },
        Some(format) => report::read(format, bytes, &Limits::DEFAULT)
            .unwrap_or_else(|error| Claim::Malformed { reason: error.message }),
    };
    Read { signers: Vec::new(), subjects: Vec::new(), claim }
}

impl ClaimCache {
    fn read(&self, key: ReadKey, read: impl FnOnce() -> Result<Read, ApplyError>) -> Result<Read, ApplyError> {
        let lock = || self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(known) = lock().get(&key) {
            return Ok(known.clone());
        }
        let fresh = read()?;
        let mut known = lock();
        if known.len() >= CACHE_ITEMS {
            known.clear();
        }
        known.insert(key, fresh.clone());
        Ok(fresh)
    }
}
