//! Withdrawals of approvals: a person takes their own consent back, as long as nothing was granted on it.
//!
//! A withdrawal names the documents that it takes back, so that a server cannot use it again after the person has
//! approved anew.

use serde::{Deserialize, Serialize};

use lockgate_model::facts::SubjectKind;
use lockgate_model::{Digest, EntryIndex, Limits, PersonId, PromotionId, ReleaseName};

use crate::governance::{Governance, document_bytes};
use crate::release::PromotionState;
use crate::state::ApplyError;

/// The SSHSIG namespace of withdrawals of approvals.
pub const WITHDRAWAL_NAMESPACE: &str = "approval-withdrawal.v1@lockgate.dev";

/// Body of `approval.withdrawn`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalWithdrawn {
    /// Which promotion.
    pub promotion: PromotionId,
    /// Of which release.
    pub release: ReleaseName,
    /// Whose approvals, and who signs.
    pub approver: PersonId,
    /// The digests of the approval documents that are taken back.
    pub approvals: Vec<Digest>,
    /// Why; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The approver's signature over the [`WithdrawalDocument`] (SSHSIG, armored).
    pub signature: String,
}

/// What an approver signs to take approvals back.
#[derive(Debug, Serialize)]
pub struct WithdrawalDocument<'a> {
    /// Always `https://lockgate.dev/approval-withdrawal/v1`.
    pub schema: &'static str,
    /// The ledger's origin.
    pub ledger: &'a str,
    /// Which promotion.
    pub promotion: PromotionId,
    /// Of which release.
    pub release: &'a ReleaseName,
    /// Whose approvals.
    pub approver: &'a PersonId,
    /// The digests of the approval documents.
    pub approvals: &'a [Digest],
    /// Why.
    pub reason: &'a str,
}

impl<'a> WithdrawalDocument<'a> {
    /// The document of an event; its signature is not part of it.
    pub fn new(ledger: &'a str, event: &'a ApprovalWithdrawn) -> Self {
        Self {
            schema: "https://lockgate.dev/approval-withdrawal/v1",
            ledger,
            promotion: event.promotion,
            release: &event.release,
            approver: &event.approver,
            approvals: &event.approvals,
            reason: &event.reason,
        }
    }
}

/// The documents of a person's approvals of a promotion that still count, in ledger order.
pub fn withdrawable(promotion: &PromotionState, approver: &PersonId) -> Vec<Digest> {
    let theirs = promotion.approvals.iter().filter(|record| record.is_open_approval_by(approver));
    theirs.map(|record| record.event.document).collect()
}

impl ApprovalWithdrawn {
    /// Verifies the signature against the key directory; whether the key still counts is asked when it is handed in. A
    /// withdrawal can only make a promotion wait.
    ///
    /// # Errors
    /// `TEXT_TOO_LONG`, `SOD_ROBOT`, `KEY_UNKNOWN`, or those of [`Governance::verify_made`].
    pub fn verify(&self, governance: &Governance, index: EntryIndex) -> Result<(), ApplyError> {
        if self.reason.len() > Limits::DEFAULT.text_bytes {
            return Err(ApplyError::new(
                "TEXT_TOO_LONG",
                format!("a reason has at most {} bytes", Limits::DEFAULT.text_bytes),
            ));
        }
        if governance.person(&self.approver).is_some_and(|person| person.kind == SubjectKind::Machine) {
            return Err(ApplyError::new(
                "SOD_ROBOT",
                format!("`{}` is a machine; machines never approve", self.approver),
            ));
        }
        let document = document_bytes(&WithdrawalDocument::new(governance.origin(), self))?;
        let (key, _) = governance.verify_key(&self.approver, &self.signature, WITHDRAWAL_NAMESPACE, &document)?;
        match key.enrolled_at < index {
            true => Ok(()),
            false => Err(ApplyError::new("KEY_UNKNOWN", format!("the key {} was enrolled later", key.fingerprint))),
        }
    }
}
