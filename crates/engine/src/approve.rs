//! Approve and reject: record a person's signature, and decide again in the same batch.

use lockgate_ledger::approval::{Approval, ApprovalDocument};
use lockgate_ledger::entry::{ApprovalRecorded, CloseCause};
use lockgate_ledger::release::{PromotionState, ReleaseState};
use lockgate_ledger::{Actor, Event, Governance};
use lockgate_model::facts::Verdict;
use lockgate_model::{Digest, Limits, PersonId, PromotionId};
use lockgate_policy::{Permission, approver_objection};
use lockgate_sign::ssh::SshSignature;
use serde_json::json;

use crate::engine::Inner;
use crate::evaluate::{Record, close, evaluate, status};
use crate::fault::{Fault, Kind};
use crate::sequencer::Submission;
use crate::staging::Staging;

/// A signed approval or rejection.
#[derive(Debug, Clone)]
pub struct Approve {
    /// Which promotion the caller means.
    pub promotion: PromotionId,
    /// The exact bytes that were signed.
    pub document: Vec<u8>,
    /// The signature (SSHSIG, armored).
    pub signature: String,
}

/// Records an approval or rejection. A session alone can never approve: the signature is what counts.
///
/// The value is `{"promotion", "verdict", "status", "document"}`.
///
/// # Errors
/// `DOCUMENT_INVALID`, `APPROVAL_TARGET` or `SIGNATURE_MALFORMED`; the rest comes with the receipt.
pub fn approve(by: PersonId, request: Approve) -> Result<Submission, Fault> {
    if request.document.len() > Limits::DEFAULT.json_body_bytes {
        return Err(Fault::new(Kind::TooLarge, "TOO_LARGE", "the approval document is too large"));
    }
    let document = ApprovalDocument::from_bytes(&request.document)?;
    let predicate = document.predicate;
    if predicate.promotion != request.promotion {
        return Err(Fault::new(
            Kind::Denied,
            "APPROVAL_TARGET",
            format!("the signed document is for {}, not {}", predicate.promotion, request.promotion),
        ));
    }
    if predicate.approver != by {
        return Err(Fault::new(
            Kind::Denied,
            "APPROVAL_TARGET",
            format!("the signed document names `{}`, but `{by}` is signed in", predicate.approver),
        ));
    }
    let signature = SshSignature::parse_armored(&request.signature)
        .map_err(|error| Fault::invalid("SIGNATURE_MALFORMED", format!("the signature does not parse: {error}")))?;
    let event = ApprovalRecorded {
        promotion: predicate.promotion,
        release: predicate.release,
        verdict: predicate.verdict,
        approver: by,
        key: signature.public_key().fingerprint(),
        document: Digest::of(&request.document),
        signature: request.signature,
    };
    Ok(Submission::new(move |staging, inner| record(staging, inner, event, request.document)))
}

fn record(
    staging: &mut Staging<'_>,
    inner: &Inner,
    event: ApprovalRecorded,
    document: Vec<u8>,
) -> Result<serde_json::Value, Fault> {
    let governance = staging.governance()?.clone();
    let release = staging.release_of(event.promotion)?;
    if release.name != event.release {
        return Err(Fault::new(
            Kind::Denied,
            "APPROVAL_TARGET",
            format!("{} is about {}, not {}", event.promotion, release.name, event.release),
        ));
    }
    let asked = release.promotion(event.promotion)?.clone();
    if event.verdict == Verdict::Approve {
        check_duties(&governance, &release, &asked, &event.approver, staging, inner)?;
    }
    check_right(&governance, &event)?;
    let state = staging.slice(&release, &asked.request.environment)?;
    let approval = Approval::verify(&event, &document, &governance, staging.next_index())?;
    approval.check_current(&state, &asked, staging.time())?;
    let key = governance.key(&event.approver, &event.key);
    if !key.is_some_and(|key| key.valid_at(staging.next_index())) {
        return Err(Fault::new(
            Kind::Denied,
            "KEY_REVOKED",
            format!("the key {} of `{}` does not count any more", event.key, event.approver),
        ));
    }
    let actor = Actor::Subject { id: event.approver.clone() };
    let digest = staging.document(document);
    staging.append(actor.clone(), &[], Event::ApprovalRecorded(event.clone()))?;
    match event.verdict {
        Verdict::Approve => {
            evaluate(staging, inner, event.promotion, Record::Changes)?;
        }
        Verdict::Reject => {
            let reason = approval.predicate.comment.unwrap_or_else(|| format!("rejected by {}", event.approver));
            close(staging, &asked, actor, CloseCause::Rejected, &reason)?;
        }
    }
    let status = status(staging, event.promotion)?;
    Ok(json!({ "promotion": event.promotion, "verdict": event.verdict, "status": status.as_str(), "document": digest }))
}

fn check_right(governance: &Governance, event: &ApprovalRecorded) -> Result<(), Fault> {
    let permission = match event.verdict {
        Verdict::Approve => Permission::Approve,
        Verdict::Reject => Permission::Reject,
    };
    match governance.may(&event.approver, permission) {
        true => Ok(()),
        false => Err(Fault::new(
            Kind::NotPermitted,
            "NOT_PERMITTED",
            format!("`{}` has no role with the permission `{}`", event.approver, permission.as_str()),
        )
        .hint("`lockgate policy show` lists roles and groups")),
    }
}

/// Says no at once where the policy set would not count the approval anyway: the same rule as the gate's.
fn check_duties(
    governance: &Governance,
    release: &ReleaseState,
    asked: &PromotionState,
    approver: &PersonId,
    staging: &Staging<'_>,
    inner: &Inner,
) -> Result<(), Fault> {
    let release = std::sync::Arc::new(release.clone());
    let state = staging.slice(&release, &asked.request.environment)?;
    let facts = lockgate_ledger::facts_for(&state, asked.request.promotion, staging.time(), staging, &inner.claims)?;
    match approver_objection(&governance.policy, &facts, approver) {
        None => Ok(()),
        Some((reason, message)) => Err(Fault::new(Kind::Denied, reason.as_str(), message)
            .hint(format!("`lockgate why {}` says whose approval is needed", asked.request.promotion))),
    }
}
