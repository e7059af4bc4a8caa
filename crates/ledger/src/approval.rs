//! Approvals: a person's signed consent to, or refusal of, one promotion.
//!
//! The signed bytes are a canonical in-toto statement. [`document_for`] builds it from state, so that the approver's
//! own machine can build it from entries that it verified itself; [`render`] is the one text that CLI and pages show;
//! [`Approval::verify`] checks every field again when it is recorded, audited or carried in a bundle.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use lockgate_model::facts::{PromotionKind, SubjectKind, Verdict};
use lockgate_model::{
    Digest, EntryIndex, EnvName, Limits, PersonId, PromotionId, ReleaseName, TreeSize, UnixMillis, canonical,
};

use crate::code_words::code_words;
use crate::entry::ApprovalRecorded;
use crate::governance::Governance;
use crate::release::{PromotionState, ReleaseState};
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
    /// The active policy set.
    pub policy: Digest,
    /// The evidence recorded so far.
    pub evidence: Vec<EvidenceLine>,
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
    /// Until when the approval counts.
    pub expires_at: UnixMillis,
    /// A state of the ledger that existed when this was signed.
    pub anchor: Anchor,
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
    if !asked.status().is_open() {
        return Err(ApplyError::new("PROMOTION_CLOSED", format!("{promotion} is {} already", asked.status().as_str())));
    }
    if consent.comment.as_ref().is_some_and(|comment| comment.len() > Limits::DEFAULT.text_bytes) {
        return Err(ApplyError::new(
            "TEXT_TOO_LONG",
            format!("a comment has at most {} bytes", Limits::DEFAULT.text_bytes),
        ));
    }
    let replaces = state
        .running(&asked.request.environment, &name.service)
        .map(|running| Replaced { release: running.release.clone(), manifest: running.manifest });
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
            policy: governance.policy_digest,
            evidence: evidence_lines(release),
            requester: asked.requester.clone(),
            reason: asked.request.reason.clone(),
            approver: consent.approver,
            verdict: consent.verdict,
            comment: consent.comment,
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
    let line = |record: &std::sync::Arc<crate::release::EvidenceRecord>| EvidenceLine {
        kind: match &record.event.form {
            crate::entry::EvidenceForm::Envelope => "envelope".to_owned(),
            crate::entry::EvidenceForm::Report { format, .. } => format.clone(),
        },
        digest: record.event.evidence,
    };
    release.evidence.iter().map(line).collect()
}

impl ApprovalDocument {
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
        match known {
            true => Ok(document),
            false => {
                Err(ApplyError::new("DOCUMENT_INVALID", format!("`{}` is not an approval", document.predicate_type)))
            }
        }
    }
}

/// Shows the document as the text that people read before they sign; one function for CLI and pages.
///
/// Control characters and text direction marks in names and reasons are shown as escapes.
pub fn render(document: &ApprovalDocument, code: &Digest) -> String {
    let predicate = &document.predicate;
    let verb = match (predicate.verdict, predicate.kind) {
        (Verdict::Approve, PromotionKind::Promotion) => "APPROVE",
        (Verdict::Approve, PromotionKind::Rollback) => "APPROVE THE ROLLBACK",
        (Verdict::Reject, _) => "REJECT",
    };
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "  {name:<11} {value}");
    };
    line("verdict", format!("{verb} {}", predicate.promotion));
    line("release", predicate.release.to_string());
    line("into", predicate.environment.to_string());
    line(
        "replaces",
        match &predicate.replaces {
            Some(replaced) => format!("{} (runs there now)", replaced.release),
            None => "nothing: the service does not run there yet".to_owned(),
        },
    );
    for subject in &document.subject {
        line("artifact", format!("{} sha256:{}", visible(&subject.name), subject.digest.sha256));
    }
    line("manifest", predicate.manifest.to_string());
    for evidence in &predicate.evidence {
        line("evidence", format!("{} {}", visible(&evidence.kind), evidence.digest));
    }
    line("policy", predicate.policy.to_string());
    line("asked by", predicate.requester.to_string());
    line("reason", visible(&predicate.reason));
    line("signed by", predicate.approver.to_string());
    if let Some(comment) = &predicate.comment {
        line("comment", visible(comment));
    }
    line("counts until", predicate.expires_at.to_string());
    line("ledger", format!("{} at {} entries", visible(&predicate.ledger), predicate.anchor.size));
    line("code", code_words(code));
    text
}

/// The text with control characters, line breaks and direction marks escaped, so that it cannot imitate other lines.
pub fn visible(text: &str) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    text.chars().fold(String::with_capacity(text.len()), |mut out, character| {
        match hidden(character) {
            true => out.extend(character.escape_unicode()),
            false => out.push(character),
        }
        out
    })
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
        if Digest::of(bytes) != event.document {
            return Err(ApplyError::new("DOCUMENT_MISMATCH", "the approval names other bytes".to_owned()));
        }
        // 2. They are an approval document, and the entry repeats it truly.
        let document = ApprovalDocument::from_bytes(bytes)?;
        let ApprovalDocument { subject, predicate, .. } = document;
        let same = predicate.promotion == event.promotion
            && predicate.release == event.release
            && predicate.verdict == event.verdict
            && predicate.approver == event.approver;
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
        //    key counts is asked when the approval is handed in and when it is counted: a later finding that the key
        //    was stolen must not make the entry unreadable.
        let key = governance.verify_made(&event.approver, &event.signature, NAMESPACE, bytes)?;
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
            && predicate.environment == request.environment
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
        let same_bytes = predicate.manifest == request.manifest
            && self.subject == subjects(release)
            && predicate.evidence.iter().all(|line| known.contains(line));
        match same_bytes {
            true => Ok(()),
            false => {
                Err(ApplyError::new("APPROVAL_DIGEST", "the signed document is for other bytes or evidence".to_owned()))
            }
        }
    }

    /// Checks that the document still says what the promotion is about: used when an approval is handed in.
    ///
    /// # Errors
    /// `APPROVAL_TARGET`, `APPROVAL_DIGEST`, `APPROVAL_STALE`, `APPROVAL_EXPIRED`.
    pub fn check_current(&self, state: &State, promotion: &PromotionState, now: UnixMillis) -> Result<(), ApplyError> {
        let predicate = &self.predicate;
        let request = &promotion.request;
        self.check_binding(state.release(&request.release)?, promotion)?;
        let governance = state.governance()?;
        if predicate.policy != governance.policy_digest {
            return Err(ApplyError::new(
                "APPROVAL_STALE",
                "the policy set has changed since this was shown; look again and sign again".to_owned(),
            ));
        }
        let running = state.running(&request.environment, &request.release.service).map(|running| running.manifest);
        if predicate.replaces.as_ref().map(|replaced| replaced.manifest) != running {
            return Err(ApplyError::new(
                "APPROVAL_STALE",
                "what runs in the target has changed since this was shown; look again and sign again".to_owned(),
            ));
        }
        let latest = now.plus(governance.policy.settings().approval_ttl);
        match predicate.expires_at > now && predicate.expires_at <= latest.plus(lockgate_model::Span::from_secs(300)) {
            true => Ok(()),
            false => Err(ApplyError::new(
                "APPROVAL_EXPIRED",
                "the approval's end is past, or later than the policy set allows".to_owned(),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_characters_are_shown() {
        assert_eq!(visible("a\u{202e}b\n\u{1b}[2J"), "a\\u{202e}b\\u{a}\\u{1b}[2J");
        assert_eq!(visible("weekly release – ok"), "weekly release – ok");
    }
}
