//! Rights: what the active policy set lets whom do, where. Whoever is suspended may do nothing.

use lockgate_model::facts::Verdict;
use lockgate_model::{EnvName, PersonId, ServiceName, UnixMillis};
use lockgate_policy::access::{Refusal, object_of};
use lockgate_policy::{Object, Permission, Permit, allows, who_may};

use super::Governance;
use crate::approval::ApprovalPredicate;
use crate::state::ApplyError;

/// By which right somebody says yes or no to a promotion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerdictRight {
    /// By a role of their own.
    Own,
    /// By the right to approve that another person lent them.
    Lent,
}

impl Governance {
    /// Whether the active policy set lets this person do something to an object.
    ///
    /// # Errors
    /// [`Refusal`] with who may.
    pub fn allows(&self, id: &PersonId, permission: Permission, object: Object<'_>) -> Result<Permit, Refusal> {
        match self.people.get(id).filter(|person| !person.is_suspended()) {
            Some(person) => allows(&self.policy, id, &person.groups, permission, object),
            None => Err(Refusal { needed: permission, who_may: who_may(&self.policy, permission, object) }),
        }
    }

    /// Whether the active policy set gives this person the permission for one service in one environment.
    pub fn may_for(&self, id: &PersonId, permission: Permission, service: &ServiceName, environment: &EnvName) -> bool {
        self.allows(id, permission, object_of(permission, service, environment)).is_ok()
    }

    /// As [`Self::may_for`].
    ///
    /// # Errors
    /// `NOT_PERMITTED`.
    pub(crate) fn require_for(
        &self,
        id: &PersonId,
        permission: Permission,
        service: &ServiceName,
        environment: &EnvName,
    ) -> Result<(), ApplyError> {
        match self.may_for(id, permission, service, environment) {
            true => Ok(()),
            false => Err(ApplyError::new(
                "NOT_PERMITTED",
                format!("`{id}` has no role with the permission `{permission}` for {service} in {environment}"),
            )),
        }
    }

    /// By which right somebody may say yes or no to a promotion of a service into an environment, at a moment of ledger
    /// time: their own, and only where they have none, one that was lent to them.
    ///
    /// # Errors
    /// `NOT_PERMITTED`.
    pub fn verdict_right(
        &self,
        by: &PersonId,
        verdict: Verdict,
        service: &ServiceName,
        environment: &EnvName,
        time: UnixMillis,
    ) -> Result<VerdictRight, ApplyError> {
        let permission = match verdict {
            Verdict::Approve => Permission::Approve,
            Verdict::Reject => Permission::Reject,
        };
        let is_lent = || verdict == Verdict::Approve && self.lends_approval(by, service, environment, time);
        match self.require_for(by, permission, service, environment) {
            Ok(()) => Ok(VerdictRight::Own),
            Err(_) if is_lent() => Ok(VerdictRight::Lent),
            Err(refusal) => Err(refusal),
        }
    }

    /// Whether an approver may say what they signed, by whichever right, at a moment of ledger time.
    ///
    /// # Errors
    /// `NOT_PERMITTED`.
    pub(crate) fn require_verdict(&self, signed: &ApprovalPredicate, time: UnixMillis) -> Result<(), ApplyError> {
        let (service, environment) = (&signed.release.service, &signed.environment);
        self.verdict_right(&signed.approver, signed.verdict, service, environment, time).map(|_| ())
    }
}
