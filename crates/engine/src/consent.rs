//! Consent: the document that somebody signs to approve or reject, as a page in a browser needs it.
//!
//! The command line builds the same document from entries that it verified itself, and does not ask for it here.

use lockgate_ledger::approval::{Anchor, ApprovalDocument, Consent, document_for};
use lockgate_ledger::facts_for;
use lockgate_model::facts::Verdict;
use lockgate_model::{Digest, PersonId, PromotionId, UnixMillis};

use crate::authorise::check_promotion;
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

/// Builds the document that the approver would sign now.
///
/// # Errors
/// `PROMOTION_UNKNOWN`, also for a promotion that the approver may not read; those of [`document_for`], or what the
/// store says.
pub fn document(engine: &Engine, promotion: PromotionId, review: Review) -> Result<ApprovalDocument, Fault> {
    let Review { approver, verdict, comment, opened_at, evidence_opened } = review;
    check_promotion(engine, &approver, promotion)?;
    let (state, _, asked) = slice(engine, promotion)?;
    let governance = state.governance()?;
    // Read after the slice, so that the request stands in the tree that is named.
    let head = engine.published().head;
    let now = engine.inner().now().max(engine.published().time);
    let expires_at = now.plus(governance.policy.settings().approval_ttl);
    let anchor = Anchor { size: head.size, root: head.root };
    let document = document_for(&state, promotion, Consent { approver, verdict, comment, expires_at, anchor })?;
    let facts = facts_for(&state, promotion, now, &StoreBodies(engine.store()), &engine.inner().claims)?;
    let possible = |opened: &UnixMillis| (asked.requested_at..=now).contains(opened);
    let opened_at = opened_at.filter(possible).unwrap_or(now.max(asked.requested_at));
    let changes = match &document.predicate.replaces {
        Some(replaced) => comparison::summary(engine, &replaced.release, &document.predicate.release, head.size)?,
        None => None,
    };
    Ok(document.described(&facts).comparing(changes).reviewed(opened_at, &evidence_opened))
}
