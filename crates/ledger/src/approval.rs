//! Approvals: a person's signed consent to, or refusal of, one promotion.
//!
//! The signed bytes are a canonical in-toto statement. [`document_for`] builds it from state, so that the approver's
//! own machine can build it from entries that it verified itself;
//! [`approval_text`](crate::approval_text::approval_text) is the one text that CLI and pages show.
//!
//! Every field of a document is checked again, and not only where it is handed in:
//!
//! | field | against what | when the entry is read, by whoever reads it |
//! |---|---|---|
//! | `_type`, `predicateType`, spelling | this version's | [`ApprovalDocument::from_bytes`] |
//! | `ledger`, `promotion`, `release`, `verdict`, `approver` | the entry, the ledger | [`Approval::verify`] |
//! | `kind`, `environment`, `requester`, `reason`, `manifest`, `subject` | the request, the manifest | [`Approval::check_binding`] |
//! | `evidence` | what is recorded: all that the approver's ledger held, and nothing else | [`Approval::check_binding`] |
//! | `openedAt`, `evidenceOpened` | request and entry; the listed evidence | [`Approval::check_review`] |
//! | `policy`, `replaces` (manifest), `expiresAt` | the facts, each time a decision is made | the gate, through [`Binding`](lockgate_model::facts::Binding) |
//! | claims, signers and `by` of `evidence`, `waivers`, `replaces` (release) | the facts | [`describes`], through `misdescribed` |
//! | `anchor` | the tree: a consistency proof, or the tiles | bundle and audit |
//! | `changes` (what it is against, sizes) | `replaces`, the manifest | [`Approval::check_binding`] |
//! | `changes` (all counts) | both releases, with the evidence that the approver's ledger held | hand-in and audit |
//! | `changes` (`gates`) of an approval | what is decided just before its entry, and what let in the release that runs | hand-in, and audit by the same engine |
//! | `changes` (`gates`) of a rejection | there are none | [`Approval::check_binding`] |
//!
//! `comment` is the approver's own. [`Approval::check_current`] asks all of it once more when an approval is handed in.

use serde::{Deserialize, Serialize};

use lockgate_model::facts::{EvidenceFact, Facts, Origin, PromotionKind, Running, SubjectKind, Verdict, WaiverFact};
use lockgate_model::text::visible;
use lockgate_model::{
    Digest, EntryIndex, EnvName, GateName, Limits, PersonId, PromotionId, ReleaseName, SignerName, Span, TreeSize,
    UnixMillis, canonical,
};

use crate::entry::ApprovalRecorded;
use crate::gate_changes::GateChanges;
use crate::governance::Governance;
use crate::release::{EvidenceRecord, PromotionState, ReleaseState};
use crate::release_diff::ChangeSummary;
use crate::state::{ApplyError, State};

/// The SSHSIG namespace of approvals.
pub const NAMESPACE: &str = "promotion-approval.v1@lockgate.dev";
/// The in-toto predicate type of an approval.
pub const PREDICATE_TYPE: &str = "https://lockgate.dev/approval/v1";

/// What an approver signs: an in-toto Statement v1 in canonical JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalDocument {
    /// Always `https://in-toto.io/Statement/v1`.
    #[serde(rename = "_type")]
    pub statement_type: String,
    /// The artifacts, by digest.
    pub subject: Vec<Subject>,
    /// Always [`PREDICATE_TYPE`].
    #[serde(rename = "predicateType")]
    pub predicate_type: String,
    /// What is consented to.
    pub predicate: ApprovalPredicate,
}

/// A subject of an in-toto statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// What people call it.
    pub name: String,
    /// What it is.
    pub digest: DigestSet,
}

/// An in-toto digest set with SHA-256 alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DigestSet {
    /// 64 lower-case hex digits.
    pub sha256: String,
}

impl DigestSet {
    /// The digest set of one digest.
    pub fn of(digest: &Digest) -> Self {
        Self { sha256: digest.hex() }
    }
}

/// What is consented to; every field is checked against the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ApprovalPredicate {
    /// The ledger's origin.
    pub ledger: String,
    /// Which promotion.
    pub promotion: PromotionId,
    /// Forward or back.
    pub kind: PromotionKind,
    /// What is to be let in.
    pub release: ReleaseName,
    /// Its manifest.
    pub manifest: Digest,
    /// Where to.
    pub environment: EnvName,
    /// What runs there now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Replaced>,
    /// What changes against what runs there; absent where nothing runs, or nobody compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<ChangeSummary>,
    /// The active policy set.
    pub policy: Digest,
    /// The evidence recorded so far.
    pub evidence: Vec<EvidenceLine>,
    /// The waivers in force.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waivers: Vec<WaiverLine>,
    /// Who asked.
    pub requester: PersonId,
    /// Why, in the requester's words.
    pub reason: String,
    /// Who signs.
    pub approver: PersonId,
    /// Yes or no.
    pub verdict: Verdict,
    /// The approver's own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// When the approver opened this document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened_at: Option<UnixMillis>,
    /// Which of the evidence the approver opened.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence_opened: Vec<Digest>,
    /// Until when the approval counts.
    pub expires_at: UnixMillis,
    /// A state of the ledger that existed when this was signed.
    pub anchor: Anchor,
}

impl ApprovalPredicate {
    /// The gates that come out otherwise, where the document names them.
    pub fn gates(&self) -> Option<&GateChanges> {
        self.changes.as_ref().and_then(|changes| changes.gates.as_ref())
    }

    /// Whether a rejection names gates that come out otherwise, which only an approval is held to.
    fn names_gates_in_vain(&self) -> bool {
        self.verdict == Verdict::Reject && self.gates().is_some()
    }
}

/// What runs in the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replaced {
    /// Which release.
    pub release: ReleaseName,
    /// Its manifest.
    pub manifest: Digest,
}

/// One piece of evidence, as the approver saw it listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvidenceLine {
    /// The report's format, or `envelope`.
    pub kind: String,
    /// Its digest.
    pub digest: Digest,
    /// What kind of thing it says, such as `provenance`; absent where nobody read it for the approver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<String>,
    /// Whose signatures on it the policy set trusts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signers: Vec<SignerName>,
    /// Who handed it in, where nobody signed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<PersonId>,
}

impl EvidenceLine {
    fn new(kind: String, digest: Digest) -> Self {
        Self { kind, digest, claim: None, signers: Vec::new(), by: None }
    }

    /// The same piece of evidence, whatever is said of it.
    fn is_about(&self, other: &Self) -> bool {
        self.kind == other.kind && self.digest == other.digest
    }

    /// The line with what the evidence says and who stands behind it.
    fn described(self, fact: &EvidenceFact) -> Self {
        let (signers, by) = match &fact.origin {
            Origin::Signed { signers } => (signers.clone(), None),
            Origin::OnBehalf { by } => (Vec::new(), Some(by.clone())),
        };
        Self { claim: Some(fact.claim.kind().to_owned()), signers, by, ..self }
    }
}

/// One waiver in force, as the approver saw it listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct WaiverLine {
    /// The gate it is for.
    pub gate: GateName,
    /// The finding it is for; absent for the whole gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finding: Option<String>,
    /// Who granted it.
    pub granted_by: PersonId,
    /// Until when.
    pub expires_at: UnixMillis,
}

impl WaiverLine {
    fn of(fact: &WaiverFact) -> Self {
        Self {
            gate: fact.gate.clone(),
            finding: fact.finding.clone(),
            granted_by: fact.granted_by.clone(),
            expires_at: fact.expires_at,
        }
    }
}

/// A tree head: "not before" for whoever doubts the clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anchor {
    /// How many entries.
    pub size: TreeSize,
    /// Their root.
    pub root: Digest,
}

/// What the approver adds to the state.
#[derive(Debug, Clone)]
pub struct Consent {
    /// Who signs.
    pub approver: PersonId,
    /// Yes or no.
    pub verdict: Verdict,
    /// Their own words.
    pub comment: Option<String>,
    /// Until when it counts.
    pub expires_at: UnixMillis,
    /// The tree head that the approver verified.
    pub anchor: Anchor,
}

/// Builds the document that an approver of `promotion` signs now.
///
/// # Errors
/// [`ApplyError`] when the promotion is unknown or closed, or a text is over the limit.
pub fn document_for(state: &State, promotion: PromotionId, consent: Consent) -> Result<ApprovalDocument, ApplyError> {
    let governance = state.governance()?;
    let name = state.release_of(promotion).ok_or_else(|| {
        ApplyError::new("PROMOTION_UNKNOWN", format!("{promotion} is not a promotion of this ledger"))
    })?;
    let release = state.release(name)?;
    let asked = release.promotion(promotion)?;
    asked.check_open()?;
    if consent.comment.as_ref().is_some_and(|comment| comment.len() > Limits::DEFAULT.text_bytes) {
        return Err(ApplyError::new(
            "TEXT_TOO_LONG",
            format!("a comment has at most {} bytes", Limits::DEFAULT.text_bytes),
        ));
    }
    let replaces = state
        .running(&asked.request.environment, &name.service)
        .map(|running| Replaced { release: running.release.clone(), manifest: running.manifest });
    let in_force = |waiver: &&WaiverFact| state.time().is_none_or(|time| time < waiver.expires_at);
    let artifacts = release.manifest.artifact_digests();
    let waivers = governance.waivers_for(name, &artifacts, &asked.request.environment);
    Ok(ApprovalDocument {
        statement_type: "https://in-toto.io/Statement/v1".to_owned(),
        subject: subjects(release),
        predicate_type: PREDICATE_TYPE.to_owned(),
        predicate: ApprovalPredicate {
            ledger: governance.origin().to_owned(),
            promotion,
            kind: asked.request.kind,
            release: name.clone(),
            manifest: release.manifest_digest,
            environment: asked.request.environment.clone(),
            replaces,
            changes: None,
            policy: governance.policy_digest,
            evidence: evidence_lines(release),
            waivers: waivers.iter().filter(in_force).map(WaiverLine::of).collect(),
            requester: asked.requester.clone(),
            reason: asked.request.reason.clone(),
            approver: consent.approver,
            verdict: consent.verdict,
            comment: consent.comment,
            opened_at: None,
            evidence_opened: Vec::new(),
            expires_at: consent.expires_at,
            anchor: consent.anchor,
        },
    })
}

/// The artifacts of a release as in-toto subjects.
pub fn subjects(release: &ReleaseState) -> Vec<Subject> {
    let subject = |artifact: &lockgate_model::facts::Artifact| Subject {
        name: artifact.name.clone(),
        digest: DigestSet::of(&artifact.digest),
    };
    release.manifest.artifacts.iter().map(subject).collect()
}

fn evidence_lines(release: &ReleaseState) -> Vec<EvidenceLine> {
    release.evidence.iter().map(|record| evidence_line(record)).collect()
}

fn evidence_line(record: &EvidenceRecord) -> EvidenceLine {
    EvidenceLine::new(record.event.form.word().to_owned(), record.event.evidence)
}

/// Whether what a document says of evidence, waivers and the target is what the facts say.
///
/// Only what the document says is compared: a line without a claim says nothing of it.
pub fn describes(
    predicate: &ApprovalPredicate,
    evidence: &[EvidenceFact],
    waivers: &[WaiverFact],
    running: Option<&Running>,
) -> bool {
    let true_line = |line: &EvidenceLine| {
        let bare = EvidenceLine::new(line.kind.clone(), line.digest);
        bare == *line
            || evidence.iter().any(|fact| fact.evidence == line.digest && bare.clone().described(fact) == *line)
    };
    // Where something else runs now, the approval does not count in any case; here only the name is compared.
    let named = match (&predicate.replaces, running) {
        (Some(replaced), Some(running)) => replaced.manifest != running.manifest || replaced.release == running.release,
        _ => true,
    };
    named
        && predicate.evidence.iter().all(true_line)
        && predicate.waivers.iter().all(|line| waivers.iter().any(|fact| WaiverLine::of(fact) == *line))
}

impl ApprovalDocument {
    /// The same document with what each piece of evidence says and who stands behind it, as the facts of the same
    /// promotion have it.
    #[must_use]
    pub fn described(mut self, facts: &Facts) -> Self {
        let lines = std::mem::take(&mut self.predicate.evidence);
        let described = |line: EvidenceLine| match facts.evidence.iter().find(|fact| fact.evidence == line.digest) {
            Some(fact) => line.described(fact),
            None => line,
        };
        self.predicate.evidence = lines.into_iter().map(described).collect();
        self
    }

    /// The same document with what changes against what runs in the target, where that was compared. A rejection names
    /// no gates: nothing is decided by it, so that nobody could check them.
    #[must_use]
    pub fn comparing(mut self, changes: Option<ChangeSummary>) -> Self {
        self.predicate.changes = match self.predicate.verdict {
            Verdict::Approve => changes,
            Verdict::Reject => changes.map(|changes| changes.with_gates(None)),
        };
        self
    }

    /// The same document with when it was opened, and which evidence the approver opened. What is not listed in the
    /// document cannot have been opened from it, and is left out.
    #[must_use]
    pub fn reviewed(mut self, opened_at: UnixMillis, opened: &[Digest]) -> Self {
        let mut listed: Vec<Digest> = self.predicate.evidence.iter().map(|line| line.digest).collect();
        listed.retain(|digest| opened.contains(digest));
        listed.sort_unstable();
        listed.dedup();
        self.predicate.opened_at = Some(opened_at);
        self.predicate.evidence_opened = listed;
        self
    }

    /// The canonical bytes: what is signed.
    ///
    /// # Errors
    /// `DOCUMENT_INVALID` when there is no canonical form.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ApplyError> {
        canonical::to_vec(self).map_err(|error| ApplyError::new("DOCUMENT_INVALID", error.to_string()))
    }

    /// Reads signed bytes; any other spelling of the same document is refused.
    ///
    /// # Errors
    /// `DOCUMENT_INVALID`.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ApplyError> {
        let document: Self = canonical::from_slice(bytes, &Limits::DEFAULT)
            .map_err(|error| ApplyError::new("DOCUMENT_INVALID", format!("not an approval document: {error}")))?;
        let known =
            document.statement_type == "https://in-toto.io/Statement/v1" && document.predicate_type == PREDICATE_TYPE;
        if !known {
            let found = visible(&document.predicate_type);
            return Err(ApplyError::new("DOCUMENT_INVALID", format!("`{found}` is not an approval")));
        }
        // An optional field that is written though it says nothing would be a second spelling of one document.
        match document.to_bytes()? == bytes {
            true => Ok(document),
            false => {
                let message = "not an approval document: it writes an empty field".to_owned();
                Err(ApplyError::new("DOCUMENT_INVALID", message))
            }
        }
    }
}

/// A verified approval.
///
/// INVARIANT (approval binds bytes): the entry's `document` digest names the bytes that the signature covers.
#[derive(Debug, Clone)]
pub struct Approval {
    /// The artifacts that were signed for.
    pub subject: Vec<Subject>,
    /// What was signed.
    pub predicate: ApprovalPredicate,
}

impl Approval {
    /// Verifies a recorded approval against the key directory as it stood at ledger index `index`.
    ///
    /// # Errors
    /// `DOCUMENT_MISMATCH`, `DOCUMENT_INVALID`, `APPROVAL_TARGET`, `SOD_ROBOT`, or those of
    /// [`Governance::verify_signature`].
    pub fn verify(
        event: &ApprovalRecorded,
        bytes: &[u8],
        governance: &Governance,
        index: EntryIndex,
    ) -> Result<Self, ApplyError> {
        // 1. The entry names these bytes.
        let unbound = lockgate_failpoint::planted("entry-unbound-to-document");
        if Digest::of(bytes) != event.document && !unbound {
            return Err(ApplyError::new("DOCUMENT_MISMATCH", "the approval names other bytes".to_owned()));
        }
        // 2. They are an approval document, and the entry repeats it truly.
        let document = ApprovalDocument::from_bytes(bytes)?;
        let ApprovalDocument { subject, predicate, .. } = document;
        let same = predicate.promotion == event.promotion
            && predicate.release == event.release
            && predicate.verdict == event.verdict
            && predicate.approver == event.approver;
        let same = same || unbound;
        if !same || predicate.ledger != governance.origin() {
            return Err(ApplyError::new(
                "APPROVAL_TARGET",
                "the signed document is for another promotion, person or ledger".to_owned(),
            ));
        }
        // 3. People approve, machines never do.
        match governance.person(&event.approver).map(|person| person.kind) {
            Some(SubjectKind::Person) => {}
            Some(SubjectKind::Machine) => {
                return Err(ApplyError::new(
                    "SOD_ROBOT",
                    format!("`{}` is a machine; machines never approve", event.approver),
                ));
            }
            None => return Err(ApplyError::new("PERSON_UNKNOWN", format!("`{}` is not enrolled", event.approver))),
        }
        // 4. The signature is theirs, over these bytes, for this purpose, by a key that was enrolled before. Whether the
        //    key counts is asked when the approval is handed in and when it is counted, whether the passkey does when the
        //    entry is recorded: a later finding or policy set must not make the entry unreadable.
        let (key, _) = governance.verify_key(&event.approver, &event.signature, NAMESPACE, bytes)?;
        if key.enrolled_at >= index {
            return Err(ApplyError::new("KEY_UNKNOWN", format!("the key {} was enrolled later", key.fingerprint)));
        }
        match key.fingerprint == event.key {
            true => Ok(Self { subject, predicate }),
            false => Err(ApplyError::new("KEY_MISMATCH", "the entry names another key than the signature".to_owned())),
        }
    }

    /// Checks that what was signed is what was asked: whenever the entry is read.
    ///
    /// INVARIANT (an approval fits its request): requester, reason, kind, target, artifacts and evidence in the signed
    /// document are those of the entries, and the request was in the ledger that the approver verified.
    ///
    /// # Errors
    /// `APPROVAL_TARGET` or `APPROVAL_DIGEST`.
    pub fn check_binding(&self, release: &ReleaseState, promotion: &PromotionState) -> Result<(), ApplyError> {
        let predicate = &self.predicate;
        let request = &promotion.request;
        let same_request = predicate.promotion == request.promotion
            && (predicate.environment == request.environment
                || lockgate_failpoint::planted("approval-unbound-environment"))
            && predicate.kind == request.kind
            && predicate.reason == request.reason
            && predicate.requester == promotion.requester;
        if !same_request {
            return Err(ApplyError::new(
                "APPROVAL_TARGET",
                "the signed document is for another target or request".to_owned(),
            ));
        }
        if predicate.anchor.size.0 <= promotion.requested_index.0 {
            return Err(ApplyError::new(
                "APPROVAL_TARGET",
                "the approver's ledger did not hold this request when the document was signed".to_owned(),
            ));
        }
        let known = evidence_lines(release);
        let seen = |record: &EvidenceRecord| {
            let line = evidence_line(record);
            record.index.0 >= predicate.anchor.size.0 || predicate.evidence.iter().any(|shown| shown.is_about(&line))
        };
        // Nothing that was there is left out, and nothing is made up.
        let same_bytes = predicate.manifest == request.manifest
            && self.subject == subjects(release)
            && release.evidence.iter().all(|record| seen(record))
            && predicate.evidence.iter().all(|line| known.iter().any(|other| line.is_about(other)));
        if !same_bytes {
            let message = "the signed document is for other bytes or evidence".to_owned();
            return Err(ApplyError::new("APPROVAL_DIGEST", message));
        }
        // What is compared is this release, with the one that the document says it replaces.
        let size_bytes = release.manifest.artifacts.iter().fold(0u64, |sum, one| sum.saturating_add(one.size_bytes));
        let fits = |changes: &ChangeSummary| {
            predicate.replaces.as_ref().is_some_and(|replaced| replaced.manifest == changes.against)
                && changes.size_bytes.after == size_bytes
        };
        if !predicate.changes.as_ref().is_none_or(fits) {
            return Err(ApplyError::new(
                "APPROVAL_DIGEST",
                "the signed document compares other releases than those that it is about".to_owned(),
            ));
        }
        match predicate.names_gates_in_vain() {
            true => Err(ApplyError::new(
                "APPROVAL_DIGEST",
                "the signed document rejects, and names gates: nobody checks those of a rejection; leave `gates` out"
                    .to_owned(),
            )),
            false => Ok(()),
        }
    }

    /// Checks what the document says of its own review, recorded at ledger time `time`: whenever the entry is read.
    ///
    /// Nobody opens a document before what it is about was asked, or after it was recorded. An approver's clock may be
    /// ahead by five minutes; that only makes the review shorter.
    ///
    /// # Errors
    /// `REVIEW_TIME` or `APPROVAL_DIGEST`.
    pub fn check_review(&self, promotion: &PromotionState, time: UnixMillis) -> Result<(), ApplyError> {
        let predicate = &self.predicate;
        let possible =
            |opened: UnixMillis| opened >= promotion.requested_at && opened <= time.plus(Span::from_secs(300));
        if predicate.opened_at.is_some_and(|opened| !possible(opened)) {
            return Err(ApplyError::new(
                "REVIEW_TIME",
                "the document was opened before the request, or after it was handed in".to_owned(),
            ));
        }
        let mut seen: Vec<&Digest> = Vec::with_capacity(predicate.evidence_opened.len());
        for digest in &predicate.evidence_opened {
            if seen.contains(&digest) || !predicate.evidence.iter().any(|line| line.digest == *digest) {
                return Err(ApplyError::new(
                    "APPROVAL_DIGEST",
                    format!("{digest} was opened, but is not listed once in the document"),
                ));
            }
            seen.push(digest);
        }
        Ok(())
    }

    /// How long the approver had the document open, in whole seconds, if it says so.
    pub fn review_seconds(&self, recorded_at: UnixMillis) -> Option<u64> {
        self.predicate.opened_at.map(|opened| recorded_at.since(opened).secs())
    }

    /// Checks that the document still says what the promotion is about: used when an approval is handed in.
    ///
    /// # Errors
    /// `PROMOTION_CLOSED`, `APPROVAL_TARGET`, `APPROVAL_DIGEST`, `REVIEW_TIME`, `APPROVAL_STALE`, `APPROVAL_EXPIRED`.
    pub fn check_current(&self, state: &State, promotion: &PromotionState, now: UnixMillis) -> Result<(), ApplyError> {
        let predicate = &self.predicate;
        let request = &promotion.request;
        // First: once it is granted, what runs in the target has changed as well.
        promotion.check_open()?;
        self.check_binding(state.release(&request.release)?, promotion)?;
        self.check_review(promotion, now)?;
        let governance = state.governance()?;
        if predicate.policy != governance.policy_digest {
            return Err(ApplyError::new(
                "APPROVAL_STALE",
                "the policy set has changed since this was shown; look again and sign again".to_owned(),
            ));
        }
        let running = state.running(&request.environment, &request.release.service);
        let running = running.map(|running| (&running.release, running.manifest));
        if predicate.replaces.as_ref().map(|replaced| (&replaced.release, replaced.manifest)) != running {
            return Err(ApplyError::new(
                "APPROVAL_STALE",
                "what runs in the target has changed since this was shown; look again and sign again".to_owned(),
            ));
        }
        let latest = now.plus(governance.policy.settings().approval_ttl);
        match predicate.expires_at > now && predicate.expires_at <= latest.plus(Span::from_secs(300)) {
            true => Ok(()),
            false => Err(ApplyError::new(
                "APPROVAL_EXPIRED",
                "the approval's end is past, or later than the policy set allows".to_owned(),
            )),
        }
    }
}

#[cfg(test)]
#[path = "approval_tests.rs"]
pub(crate) mod tests;
