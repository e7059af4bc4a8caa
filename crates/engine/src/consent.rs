//! Consent: the document that somebody signs to approve or reject, as a page in a browser needs it.
//!
//! The command line builds the same document from entries that it verified itself, and does not ask for it here.

use lockgate_ledger::approval::{Anchor, ApprovalDocument, Consent, document_for};
use lockgate_ledger::{Governance, facts_for};
use lockgate_model::facts::{Facts, Verdict};
use lockgate_model::{Digest, PersonId, PromotionId, UnixMillis};
use lockgate_policy::{Object, Permission, approver_objection};

use crate::authorise::{authorise, check_promotion};
use crate::bodies::StoreBodies;
use crate::comparison;
use crate::engine::Engine;
use crate::fault::Fault;
use crate::why::slice;

/// What an approver decides, and how they came to it.
#[derive(Debug, Clone)]
pub struct Review {
    /// Who.
    pub approver: PersonId,
    /// Yes or no.
    pub verdict: Verdict,
    /// Their own words.
    pub comment: Option<String>,
    /// When they opened the document first; now, where that is not said or cannot be.
    pub opened_at: Option<UnixMillis>,
    /// Which evidence they opened.
    pub evidence_opened: Vec<Digest>,
}

/// A document to sign, and what stands against signing it.
#[derive(Debug, Clone)]
pub struct Offer {
    /// What would be signed.
    pub document: ApprovalDocument,
    /// Why the signature would be refused; `None` where nothing that is known now stands against it.
    pub objection: Option<Objection>,
}

/// Why somebody's signature would be refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Objection {
    /// A stable reason code.
    pub code: &'static str,
    /// In words.
    pub message: String,
}

/// Builds the document that the approver would sign now.
///
/// # Errors
/// As [`offer`].
pub fn document(engine: &Engine, promotion: PromotionId, review: Review) -> Result<ApprovalDocument, Fault> {
    offer(engine, promotion, review).map(|offer| offer.document)
}

/// The same, with what stands against it: advice, so that nobody signs in vain. Handing it in asks again.
///
/// # Errors
/// `PROMOTION_UNKNOWN`, also for a promotion that the approver may not read; those of [`document_for`], or what the
/// store says.
pub fn offer(engine: &Engine, promotion: PromotionId, review: Review) -> Result<Offer, Fault> {
    let Review { approver, verdict, comment, opened_at, evidence_opened } = review;
    check_promotion(engine, &approver, promotion)?;
    let (state, _, asked) = slice(engine, promotion)?;
    let governance = state.governance()?;
    // Read after the slice, so that the request stands in the tree that is named.
    let head = engine.published().head;
    let now = engine.time();
    let expires_at = now.plus(governance.policy.settings().approval_ttl);
    let anchor = Anchor { size: head.size, root: head.root };
    let document = document_for(&state, promotion, Consent { approver, verdict, comment, expires_at, anchor })?;
    let facts = facts_for(&state, promotion, now, &StoreBodies(engine.store()), &engine.inner().claims)?;
    let objection = objection(governance, &facts, &document.predicate.approver, verdict, now);
    let possible = |opened: &UnixMillis| (asked.requested_at..=now).contains(opened);
    let opened_at = opened_at.filter(possible).unwrap_or(now.max(asked.requested_at));
    let release = &document.predicate.release;
    let changes = comparison::against_running(engine, governance, &facts, release, head.size)?;
    let document = document.described(&facts).comparing(changes).reviewed(opened_at, &evidence_opened);
    Ok(Offer { document, objection })
}

/// What the verb would say no with: the duties that the gates keep apart, then the permission.
fn objection(
    governance: &Governance,
    facts: &Facts,
    person: &PersonId,
    verdict: Verdict,
    now: UnixMillis,
) -> Option<Objection> {
    let (service, environment) = (facts.release.service(), &facts.promotion.environment);
    let permission = match verdict {
        Verdict::Approve => {
            if let Some((reason, message)) = approver_objection(&governance.policy, facts, person) {
                return Some(Objection { code: reason.as_str(), message });
            }
            if governance.lends_approval(person, service, environment, now) {
                return None;
            }
            Permission::Approve
        }
        Verdict::Reject => Permission::Reject,
    };
    let refusal = authorise(governance, person, permission, Object::Target(service, environment)).err()?;
    let needed = refusal.needed;
    let message = format!("`{person}` has no role with the permission `{needed}` for {service} in {environment}");
    Some(Objection { code: "NOT_PERMITTED", message })
}
