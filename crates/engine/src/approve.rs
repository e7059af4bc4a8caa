//! Approve and reject: record a person's signature, and decide again in the same batch.

use lockgate_ledger::approval::{Anchor, Approval, ApprovalDocument, describes};
use lockgate_ledger::entry::{ApprovalRecorded, CloseCause};
use lockgate_ledger::governance::VerdictRight;
use lockgate_ledger::release::{PromotionState, ReleaseState};
use lockgate_ledger::{Actor, Event, Governance};
use lockgate_model::facts::{Facts, Verdict};
use lockgate_model::{Digest, Limits, PersonId, PromotionId, UnixMillis};
use lockgate_policy::{Object, Permission, approver_objection, review_objection};
use lockgate_sign::ssh::SshSignature;
use lockgate_tlog::proof::{ProveError, root_at};
use serde_json::json;

use crate::approvers::{self, Given};
use crate::authorise;
use crate::comparison;
use crate::engine::Inner;
use crate::evaluate::{Record, close, evaluate, status};
use crate::fault::{Fault, Kind};
use crate::recordable;
use crate::sequencer::Submission;
use crate::staging::Staging;
use crate::tiles::TileError;
use crate::where_index;

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
    let asked = release.promotion(event.promotion)?.clone();
    let permission = match event.verdict {
        Verdict::Approve => Permission::Approve,
        Verdict::Reject => Permission::Reject,
    };
    let target = Object::Target(&release.name.service, &asked.request.environment);
    let (service, environment) = (&release.name.service, &asked.request.environment);
    let right = governance.verdict_right(&event.approver, event.verdict, service, environment, staging.time());
    let lent = right == Ok(VerdictRight::Lent);
    if !lent {
        authorise::hide_promotion(&governance, &event.approver, permission, (service, environment), event.promotion)?;
    }
    if release.name != event.release {
        return Err(Fault::new(
            Kind::Denied,
            "APPROVAL_TARGET",
            format!("{} is about {}, not {}", event.promotion, release.name, event.release),
        ));
    }
    if event.verdict == Verdict::Approve {
        recordable::check_approvals(&governance, &asked, &event.approver)?;
    }
    let facts = match event.verdict {
        Verdict::Approve => Some(check_duties(&governance, &release, &asked, &event.approver, staging, inner)?),
        Verdict::Reject => None,
    };
    if !lent {
        authorise::permit(staging, &event.approver, permission, target, None)?;
    }
    let state = staging.slice(&release, &asked.request.environment)?;
    let approval = Approval::verify(&event, &document, &governance, staging.next_index())?;
    approval.check_current(&state, &asked, staging.time())?;
    check_anchor(inner, &approval.predicate.anchor)?;
    if let Some(facts) = &facts {
        check_shown(&governance, facts, &approval, staging.time())?;
    }
    governance.check_counts(&event.approver, &event.key, staging.next_index(), staging.time())?;
    governance.check_scope(&event.approver, &event.key, Some(&asked.request.environment))?;
    // A whole decision: only for what nothing else stands against.
    if let Some(facts) = &facts {
        check_gates(&governance, facts, &approval, staging)?;
    }
    lockgate_failpoint::point("approve.verified");
    let actor = Actor::Subject { id: event.approver.clone() };
    let digest = staging.document(document);
    let index = staging.append(actor.clone(), &[], Event::ApprovalRecorded(event.clone()))?;
    lockgate_failpoint::point("approve.recorded");
    where_index::remember_approval(staging, &event, index);
    match event.verdict {
        Verdict::Approve => {
            let given = Given {
                requester: asked.requester.clone(),
                approver: event.approver.clone(),
                promotion: event.promotion,
                index,
                review_seconds: approval.review_seconds(staging.time()),
                opened: approval.predicate.evidence_opened.len(),
                listed: approval.predicate.evidence.len(),
            };
            approvers::remember(staging, &given);
            evaluate(staging, inner, event.promotion, Record::Changes)?;
        }
        Verdict::Reject if lockgate_failpoint::planted("rejection-ignored") => {}
        Verdict::Reject => {
            let reason = approval.predicate.comment.unwrap_or_else(|| format!("rejected by {}", event.approver));
            close(staging, &asked, actor, CloseCause::Rejected, &reason)?;
        }
    }
    let status = status(staging, event.promotion)?;
    Ok(json!({ "promotion": event.promotion, "verdict": event.verdict, "status": status.as_str(), "document": digest }))
}

/// Says no at once where the policy set would not count the approval anyway: the same rule as the gate's.
fn check_duties(
    governance: &Governance,
    release: &ReleaseState,
    asked: &PromotionState,
    approver: &PersonId,
    staging: &mut Staging<'_>,
    inner: &Inner,
) -> Result<Facts, Fault> {
    let release = std::sync::Arc::new(release.clone());
    let state = staging.slice(&release, &asked.request.environment)?;
    let facts = lockgate_ledger::facts_for(&state, asked.request.promotion, staging.time(), staging, &inner.claims)?;
    match approver_objection(&governance.policy, &facts, approver) {
        None => Ok(facts),
        Some((reason, message)) => Err(Fault::new(Kind::Denied, reason.as_str(), message)
            .hint(format!("`lockgate why {}` says whose approval is needed", asked.request.promotion))),
    }
}

/// What the signed document says of evidence, waivers and the target has to be so, and looked at for long enough.
fn check_shown(governance: &Governance, facts: &Facts, approval: &Approval, now: UnixMillis) -> Result<(), Fault> {
    if !describes(&approval.predicate, &facts.evidence, &facts.waivers, facts.running.as_ref()) {
        return Err(Fault::new(
            Kind::Conflict,
            "APPROVAL_STALE",
            "what the document says of evidence or waivers is not what the ledger holds; look again and sign again",
        ));
    }
    match review_objection(&governance.policy, facts, approval.review_seconds(now)) {
        None => Ok(()),
        Some((reason, message)) => Err(Fault::new(Kind::Denied, reason.as_str(), message)
            .hint("read it with `lockgate approve --open`, and sign once the time has passed")),
    }
}

/// Compares the gates that the document names at this very moment: an audit decides again on the state just before the
/// entry. What was decided outside the sequencer does not do for that, since gates look at the clock too.
fn check_gates(
    governance: &Governance,
    facts: &Facts,
    approval: &Approval,
    staging: &mut Staging<'_>,
) -> Result<(), Fault> {
    let runs = match (&facts.running, approval.predicate.gates()) {
        (Some(running), Some(_)) => Some(staging.release(&running.release)?),
        _ => None,
    };
    comparison::check_gates(governance, facts, runs.as_deref(), &approval.predicate)
}

/// The tree head that the approver signed has to be one of this ledger.
fn check_anchor(inner: &Inner, anchor: &Anchor) -> Result<(), Fault> {
    match root_at(anchor.size, &inner.tiles()) {
        Ok(root) if root == anchor.root => Ok(()),
        Err(ProveError::Tile(TileError::Store(error))) => Err(error.into()),
        _ => Err(Fault::new(
            Kind::Denied,
            "APPROVAL_TARGET",
            format!("the signed document names a ledger of {} entries that this one did not grow from", anchor.size),
        )),
    }
}
