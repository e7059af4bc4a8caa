//! One release: its manifest, evidence, promotions, decisions and grants, folded from its own stream.

use std::collections::BTreeMap;
use std::sync::Arc;

use lockgate_model::facts::{Certified, PromotionKind, Verdict};
use lockgate_model::{Digest, EntryIndex, EnvName, PersonId, PromotionId, ReleaseName, UnixMillis};
use lockgate_policy::Outcome;

use crate::approval::Approval;
use crate::entry::{
    ApprovalRecorded, AttestationsIssued, CloseCause, DecisionRecorded, EvidenceRecorded, GrantIssued,
    PromotionRequested,
};
use crate::manifest::Manifest;
use crate::state::ApplyError;
use crate::withdrawal::ApprovalWithdrawn;

/// The state of one release at one point of the ledger.
#[derive(Debug, Clone)]
pub struct ReleaseState {
    /// `service@version`.
    pub name: ReleaseName,
    /// The digest of its manifest.
    pub manifest_digest: Digest,
    /// Its manifest.
    pub manifest: Manifest,
    /// Who published it.
    pub published_by: PersonId,
    /// When, in ledger time.
    pub published_at: UnixMillis,
    /// Ledger index of the entry that published it.
    pub published_index: EntryIndex,
    /// Its evidence, in ledger order; shared, because a release is copied when it changes.
    pub evidence: Vec<Arc<EvidenceRecord>>,
    /// Its promotions.
    pub promotions: BTreeMap<PromotionId, PromotionState>,
    /// Its grants, in ledger order.
    pub grants: Vec<GrantRecord>,
}

/// Recorded evidence.
#[derive(Debug, Clone)]
pub struct EvidenceRecord {
    /// Ledger index of the entry.
    pub index: EntryIndex,
    /// Ledger time of the entry, in milliseconds.
    pub time: UnixMillis,
    /// Who handed it in.
    pub by: PersonId,
    /// Body of the entry's `evidence.recorded`.
    pub event: EvidenceRecorded,
}

/// A grant.
#[derive(Debug, Clone)]
pub struct GrantRecord {
    /// Ledger index of the entry.
    pub index: EntryIndex,
    /// Ledger time of the entry, in milliseconds.
    pub time: UnixMillis,
    /// Body of the entry's `grant.issued`.
    pub event: GrantIssued,
}

/// A decision.
#[derive(Debug, Clone)]
pub struct DecisionRecord {
    /// Ledger index of the entry.
    pub index: EntryIndex,
    /// Ledger time of the entry, in milliseconds.
    pub time: UnixMillis,
    /// Body of the entry's `decision.recorded`.
    pub event: DecisionRecorded,
}

/// An approval or rejection, verified.
#[derive(Debug, Clone)]
pub struct ApprovalRecord {
    /// Ledger index of the entry.
    pub index: EntryIndex,
    /// Ledger time of the entry, in milliseconds.
    pub time: UnixMillis,
    /// Body of the entry's `approval.recorded`.
    pub event: ApprovalRecorded,
    /// The document that was signed.
    pub approval: Approval,
    /// The entry by which the approver took it back.
    pub withdrawn: Option<EntryIndex>,
}

impl ApprovalRecord {
    /// Whether this is somebody's approval, and they have not taken it back.
    pub fn is_open_approval_by(&self, approver: &PersonId) -> bool {
        self.event.approver == *approver && self.event.verdict == Verdict::Approve && self.withdrawn.is_none()
    }
}

/// One promotion of the release.
#[derive(Debug, Clone)]
pub struct PromotionState {
    /// The request.
    pub request: PromotionRequested,
    /// The person or machine that asked.
    pub requester: PersonId,
    /// Ledger time of the request, in milliseconds.
    pub requested_at: UnixMillis,
    /// Ledger index of the request's entry.
    pub requested_index: EntryIndex,
    /// Approvals and rejections, in ledger order.
    pub approvals: Vec<ApprovalRecord>,
    /// Decisions, in ledger order.
    pub decisions: Vec<DecisionRecord>,
    /// The attestations of each decision.
    pub attestations: Vec<AttestationsIssued>,
    /// Why it ended without a grant, if it did.
    pub closed: Option<(CloseCause, String)>,
    /// The grant, if it was allowed.
    pub grant: Option<GrantRecord>,
}

/// Where a promotion stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PromotionStatus {
    /// Waiting for something that can still come.
    Pending,
    /// A gate fails; new evidence can still change that.
    Denied,
    /// Allowed: a grant was issued.
    Granted,
    /// Ended without a grant.
    Closed(CloseCause),
}

impl PromotionStatus {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Denied => "denied",
            Self::Granted => "granted",
            Self::Closed(CloseCause::Rejected) => "rejected",
            Self::Closed(CloseCause::Withdrawn) => "withdrawn",
            Self::Closed(CloseCause::Expired) => "expired",
            Self::Closed(CloseCause::Superseded) => "superseded",
        }
    }
    /// Whether a later event can still change the outcome.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::Denied)
    }
}

impl PromotionState {
    /// Checks that it has not ended.
    ///
    /// # Errors
    /// `PROMOTION_CLOSED`.
    pub fn check_open(&self) -> Result<(), ApplyError> {
        let (id, status) = (self.request.promotion, self.status());
        match status.is_open() {
            true => Ok(()),
            false => Err(ApplyError::new("PROMOTION_CLOSED", format!("{id} is {} already", status.as_str()))),
        }
    }

    /// Where it stands.
    pub fn status(&self) -> PromotionStatus {
        if self.grant.is_some() {
            return PromotionStatus::Granted;
        }
        if let Some((cause, _)) = &self.closed {
            return PromotionStatus::Closed(*cause);
        }
        match self.decisions.last().map(|decision| decision.event.outcome) {
            Some(Outcome::Deny) => PromotionStatus::Denied,
            _ => PromotionStatus::Pending,
        }
    }

    /// Whether it goes back to an earlier release.
    pub fn is_rollback(&self) -> bool {
        self.request.kind == PromotionKind::Rollback
    }
}

impl ReleaseState {
    /// The grants as facts, rollbacks included. What was let past its gates by break-glass is certified nowhere.
    pub fn certified(&self) -> Vec<Certified> {
        let fact = |grant: &GrantRecord| Certified {
            environment: grant.event.environment.clone(),
            promotion: grant.event.promotion,
            since: grant.time,
        };
        self.grants.iter().filter(|grant| !self.is_past_gates(grant)).map(fact).collect()
    }

    /// Whether a grant rests on a break-glass.
    pub fn is_past_gates(&self, grant: &GrantRecord) -> bool {
        let decisions = self.promotions.get(&grant.event.promotion).map(|promotion| promotion.decisions.as_slice());
        let decision = decisions.unwrap_or_default().iter().find(|decision| decision.index == grant.event.decision);
        decision.is_some_and(|decision| decision.event.break_glass.is_some())
    }

    /// Whether the release has ever been granted into this environment.
    pub fn ran_in(&self, environment: &EnvName) -> bool {
        self.grants.iter().any(|grant| grant.event.environment == *environment)
    }

    /// The open promotion into this environment, if there is one.
    pub fn open_promotion(&self, environment: &EnvName) -> Option<&PromotionState> {
        let fits =
            |promotion: &&PromotionState| promotion.request.environment == *environment && promotion.status().is_open();
        self.promotions.values().find(fits)
    }

    /// Finds a promotion.
    ///
    /// # Errors
    /// `PROMOTION_UNKNOWN`.
    pub fn promotion(&self, id: PromotionId) -> Result<&PromotionState, ApplyError> {
        self.promotions
            .get(&id)
            .ok_or_else(|| ApplyError::new("PROMOTION_UNKNOWN", format!("{id} is not a promotion of {}", self.name)))
    }

    /// The same release as if only this had been asked of it: for saying how a decision would come out that nobody asked
    /// for. Nothing of it is ever written down.
    ///
    /// # Errors
    /// As when it is asked for: `MANIFEST_MISMATCH`, `ROLLBACK_NEVER_RAN`.
    pub fn supposing(
        &self,
        event: &PromotionRequested,
        by: &PersonId,
        time: UnixMillis,
        index: EntryIndex,
    ) -> Result<Self, ApplyError> {
        let mut supposed = self.clone();
        supposed.promotions.clear();
        supposed.request(event, by, time, index)?;
        Ok(supposed)
    }

    pub(crate) fn open_promotion_mut(&mut self, id: PromotionId) -> Result<&mut PromotionState, ApplyError> {
        let name = self.name.clone();
        let promotion = self
            .promotions
            .get_mut(&id)
            .ok_or_else(|| ApplyError::new("PROMOTION_UNKNOWN", format!("{id} is not a promotion of {name}")))?;
        promotion.check_open()?;
        Ok(promotion)
    }

    pub(crate) fn request(
        &mut self,
        event: &PromotionRequested,
        by: &PersonId,
        time: UnixMillis,
        index: EntryIndex,
    ) -> Result<(), ApplyError> {
        if event.manifest != self.manifest_digest {
            return Err(ApplyError::new(
                "MANIFEST_MISMATCH",
                format!("{} asks for another manifest than the release has", event.promotion),
            ));
        }
        if event.kind == PromotionKind::Rollback && !self.ran_in(&event.environment) {
            return Err(ApplyError::new(
                "ROLLBACK_NEVER_RAN",
                format!("{} has never been granted into {}", self.name, event.environment),
            ));
        }
        if let Some(open) = self.open_promotion(&event.environment) {
            return Err(ApplyError::new(
                "PROMOTION_OPEN",
                format!("{} asks for the same and is open", open.request.promotion),
            ));
        }
        if self.promotions.contains_key(&event.promotion) {
            return Err(ApplyError::new("PROMOTION_EXISTS", format!("{} exists already", event.promotion)));
        }
        let state = PromotionState {
            request: event.clone(),
            requester: by.clone(),
            requested_at: time,
            requested_index: index,
            approvals: Vec::new(),
            decisions: Vec::new(),
            attestations: Vec::new(),
            closed: None,
            grant: None,
        };
        self.promotions.insert(event.promotion, state);
        Ok(())
    }

    pub(crate) fn approve(
        &mut self,
        event: &ApprovalRecorded,
        approval: Approval,
        time: UnixMillis,
        index: EntryIndex,
        limit: usize,
    ) -> Result<(), ApplyError> {
        let promotion = self.open_promotion_mut(event.promotion)?;
        // A rejection ends the promotion: nobody keeps it out by approving often.
        if event.verdict == Verdict::Approve && promotion.approvals.len() >= limit {
            return Err(ApplyError::new(
                "TOO_MANY_APPROVALS",
                format!("{} has {limit} approvals, which is the limit", event.promotion),
            ));
        }
        let repeated =
            |record: &ApprovalRecord| record.event.document == event.document && record.event.key == event.key;
        if promotion.approvals.iter().any(repeated) {
            return Err(ApplyError::new("APPROVAL_REPLAYED", "this very approval is recorded already".to_owned()));
        }
        promotion.approvals.push(ApprovalRecord { index, time, event: event.clone(), approval, withdrawn: None });
        Ok(())
    }

    pub(crate) fn take_back(&mut self, event: &ApprovalWithdrawn, index: EntryIndex) -> Result<(), ApplyError> {
        let promotion = self.open_promotion_mut(event.promotion)?;
        let mut taken: Vec<&Digest> = Vec::with_capacity(event.approvals.len());
        for document in &event.approvals {
            let known = promotion
                .approvals
                .iter()
                .any(|record| record.event.document == *document && record.is_open_approval_by(&event.approver));
            if !known || taken.contains(&document) {
                return Err(ApplyError::new(
                    "APPROVAL_UNKNOWN",
                    format!("{document} is no approval of {} by `{}` that counts", event.promotion, event.approver),
                ));
            }
            taken.push(document);
        }
        if taken.is_empty() {
            return Err(ApplyError::new(
                "APPROVAL_UNKNOWN",
                format!("`{}` has no approval of {} to take back", event.approver, event.promotion),
            ));
        }
        for record in &mut promotion.approvals {
            if record.is_open_approval_by(&event.approver) && event.approvals.contains(&record.event.document) {
                record.withdrawn = Some(index);
            }
        }
        Ok(())
    }

    pub(crate) fn decide(
        &mut self,
        event: &DecisionRecorded,
        time: UnixMillis,
        index: EntryIndex,
    ) -> Result<(), ApplyError> {
        let promotion = self.open_promotion_mut(event.promotion)?;
        if event.environment != promotion.request.environment {
            return Err(ApplyError::new(
                "DECISION_TARGET",
                format!("the decision on {} names another environment", event.promotion),
            ));
        }
        promotion.decisions.push(DecisionRecord { index, time, event: event.clone() });
        Ok(())
    }

    pub(crate) fn grant(&mut self, event: &GrantIssued, time: UnixMillis, index: EntryIndex) -> Result<(), ApplyError> {
        let manifest = self.manifest_digest;
        // INVARIANT (a grant rests on all that was known): no evidence, approval, rejection or withdrawal was recorded
        // between the decision and the grant, whatever the clock says of them.
        let known = |index: EntryIndex| index < event.decision;
        let evidence_known = self.evidence.iter().all(|record| known(record.index));
        let promotion = self.open_promotion_mut(event.promotion)?;
        let undisturbed = evidence_known
            && promotion.approvals.iter().all(|record| known(record.index) && record.withdrawn.is_none_or(known));
        let in_time = time < promotion.request.expires_at;
        let allowed = promotion.decisions.last().is_some_and(|decision| {
            decision.event.outcome == Outcome::Allow && decision.index == event.decision && decision.time == time
        });
        if !allowed
            || !undisturbed
            || !in_time
            || event.manifest != manifest
            || event.environment != promotion.request.environment
        {
            return Err(ApplyError::new(
                "GRANT_UNFOUNDED",
                format!("no decision allows what {} was granted", event.promotion),
            ));
        }
        let record = GrantRecord { index, time, event: event.clone() };
        promotion.grant = Some(record.clone());
        self.grants.push(record);
        Ok(())
    }
}
