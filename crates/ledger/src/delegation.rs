//! Delegations: a person lends another the right to approve, for a while, by a logged act that they signed.
//!
//! Nothing else about the delegate changes: they approve with their own key, under their own name. Whether a delegation
//! counts for a promotion is for the gate to say, each time anew; it never goes round separation of duties, and lender
//! and delegate count as one person.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use lockgate_model::facts::{DelegationFact, SubjectKind};
use lockgate_model::{Digest, EntryIndex, EnvName, GroupName, Limits, PersonId, ServiceName, Span, UnixMillis};
use lockgate_policy::access::object_of;
use lockgate_policy::{Permission, lends};

use crate::governance::{Governance, document_bytes};
use crate::state::ApplyError;

/// The SSHSIG namespace of delegations and of their end.
pub const DELEGATION_NAMESPACE: &str = "delegation.v1@lockgate.dev";
/// The longest that a delegation may last.
pub const DELEGATION_MAX: Span = Span::from_secs(30 * 86_400);

/// Body of `delegation.granted`. Empty lists mean all: of the lender's groups, of the environments, of the services.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DelegationGranted {
    /// Who lends.
    pub from: PersonId,
    /// Who may approve instead.
    pub to: PersonId,
    /// In which of the lender's groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupName>,
    /// For which environments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environments: Vec<EnvName>,
    /// For which services.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServiceName>,
    /// Until when, half open; at most [`DELEGATION_MAX`] ahead.
    pub expires_at: UnixMillis,
    /// Why.
    pub reason: String,
    /// The lender's signature over the [`DelegationDocument`] (SSHSIG, armored).
    pub signature: String,
}

/// Body of `delegation.ended`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DelegationEnded {
    /// The `delegation.granted` entry that ends.
    pub delegation: EntryIndex,
    /// Why.
    pub reason: String,
    /// The lender, the delegate, or someone who may manage keys.
    pub by: PersonId,
    /// Their signature over the [`DelegationEndDocument`] (SSHSIG, armored).
    pub signature: String,
}

/// What a lender signs.
#[derive(Debug, Serialize)]
pub struct DelegationDocument<'a> {
    /// Always `https://lockgate.dev/delegation/v1`.
    pub schema: &'static str,
    /// The ledger's origin.
    pub ledger: &'a str,
    /// Who lends.
    pub from: &'a PersonId,
    /// Who may approve instead.
    pub to: &'a PersonId,
    /// In which groups; empty means in all of the lender's.
    pub groups: &'a [GroupName],
    /// For which environments; empty means for all.
    pub environments: &'a [EnvName],
    /// For which services; empty means for all.
    pub services: &'a [ServiceName],
    /// Until when.
    pub expires_at: UnixMillis,
    /// Why.
    pub reason: &'a str,
}

impl<'a> DelegationDocument<'a> {
    /// The document of an event; its signature is not part of it.
    pub fn new(ledger: &'a str, event: &'a DelegationGranted) -> Self {
        Self {
            schema: "https://lockgate.dev/delegation/v1",
            ledger,
            from: &event.from,
            to: &event.to,
            groups: &event.groups,
            environments: &event.environments,
            services: &event.services,
            expires_at: event.expires_at,
            reason: &event.reason,
        }
    }
}

/// What is signed to end a delegation.
#[derive(Debug, Serialize)]
pub struct DelegationEndDocument<'a> {
    /// Always `https://lockgate.dev/delegation-end/v1`.
    pub schema: &'static str,
    /// The ledger's origin.
    pub ledger: &'a str,
    /// The entry that granted it.
    pub delegation: EntryIndex,
    /// Why.
    pub reason: &'a str,
}

impl<'a> DelegationEndDocument<'a> {
    /// The document for these fields.
    pub fn new(ledger: &'a str, delegation: EntryIndex, reason: &'a str) -> Self {
        Self { schema: "https://lockgate.dev/delegation-end/v1", ledger, delegation, reason }
    }
}

/// A delegation, ended or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delegation {
    /// What was lent.
    pub event: DelegationGranted,
    /// The entry.
    pub index: EntryIndex,
    /// When, in ledger time.
    pub time: UnixMillis,
    /// The lender's key that signed it.
    pub key: String,
    /// The entry that ended it, and who did.
    pub ended: Option<(EntryIndex, PersonId)>,
}

impl Delegation {
    /// Whether it is in force at a moment of ledger time.
    pub fn is_open(&self, time: UnixMillis) -> bool {
        self.ended.is_none() && time < self.event.expires_at
    }

    /// Whether it is for a service in an environment.
    pub(crate) fn covers(&self, service: &ServiceName, environment: &EnvName) -> bool {
        let event = &self.event;
        (event.services.is_empty() || event.services.contains(service))
            && (event.environments.is_empty() || event.environments.contains(environment))
    }
}

/// Every delegation ever, in ledger order, with the documents that were used up.
#[derive(Debug, Clone, Default)]
pub(crate) struct Delegations {
    all: Vec<Delegation>,
    documents: BTreeSet<Digest>,
}

impl Governance {
    /// Every delegation ever, in ledger order.
    pub fn delegations(&self) -> &[Delegation] {
        &self.delegations.all
    }

    /// Whether a delegation counts at a moment of ledger time.
    ///
    /// One whose key turned out to be in someone else's hands is none, and neither is that of a lender who is suspended,
    /// also where the policy set names the lender and not a group.
    pub fn is_in_force(&self, delegation: &Delegation, time: UnixMillis) -> bool {
        let key = self.key(&delegation.event.from, &delegation.key);
        let lends = self.person(&delegation.event.from).is_some_and(|from| !from.is_suspended());
        lends && delegation.is_open(time) && key.is_some_and(|key| key.valid_at(delegation.index))
    }

    /// The delegations in force for a service and environment, as facts.
    pub fn delegations_for(
        &self,
        service: &ServiceName,
        environment: &EnvName,
        time: UnixMillis,
    ) -> Vec<DelegationFact> {
        let counts =
            |delegation: &&Delegation| delegation.covers(service, environment) && self.is_in_force(delegation, time);
        let fact = |delegation: &Delegation| DelegationFact {
            from: delegation.event.from.clone(),
            to: delegation.event.to.clone(),
            groups: delegation.event.groups.clone(),
            expires_at: delegation.event.expires_at,
            index: delegation.index,
        };
        self.delegations.all.iter().filter(counts).map(fact).collect()
    }

    /// Whether somebody has been lent the right to approve for a service into an environment.
    pub fn lends_approval(
        &self,
        to: &PersonId,
        service: &ServiceName,
        environment: &EnvName,
        time: UnixMillis,
    ) -> bool {
        let object = object_of(Permission::Approve, service, environment);
        let aliases = self.policy.aliases();
        let active = self.person(to).is_some_and(|person| !person.is_suspended() && person.kind == SubjectKind::Person);
        let is_lent = |fact: &DelegationFact| {
            let Some(from) = self.person(&fact.from).filter(|from| !from.is_suspended()) else { return false };
            aliases.person(&fact.to) == aliases.person(to)
                && lends(&self.policy, &fact.from, &from.groups, &fact.groups, Permission::Approve, object)
        };
        active && self.delegations_for(service, environment, time).iter().any(is_lent)
    }

    /// Applies `delegation.granted`, recorded at ledger time `time`.
    ///
    /// # Errors
    /// `DELEGATION_SELF`, `SOD_ROBOT`, `DELEGATION_SCOPE`, `DELEGATION_EXPIRY`, `DELEGATION_REPLAYED`,
    /// `REASON_MISSING`, or those of [`Governance::verify_signature`]; nothing changes then.
    pub fn delegate(
        &mut self,
        event: &DelegationGranted,
        index: EntryIndex,
        time: UnixMillis,
    ) -> Result<(), ApplyError> {
        // 1. Two people, and neither a machine.
        let aliases = self.policy.aliases();
        if aliases.person(&event.from) == aliases.person(&event.to) {
            return Err(ApplyError::new("DELEGATION_SELF", "nobody lends a right to themselves".to_owned()));
        }
        for name in [&event.from, &event.to] {
            match self.person(name).map(|person| person.kind) {
                Some(SubjectKind::Person) => {}
                Some(SubjectKind::Machine) => {
                    return Err(ApplyError::new("SOD_ROBOT", format!("`{name}` is a machine; machines never approve")));
                }
                None => return Err(ApplyError::new("PERSON_UNKNOWN", format!("`{name}` is not enrolled"))),
            }
        }
        // 2. What is lent is there, and ends.
        self.check_lent(event)?;
        if event.expires_at <= time || event.expires_at > time.plus(DELEGATION_MAX) {
            return Err(ApplyError::new(
                "DELEGATION_EXPIRY",
                format!("a delegation ends within {} days, and not in the past", DELEGATION_MAX.days()),
            ));
        }
        check_reason(&event.reason)?;
        // 3. The lender signed it, for this ledger, with a key that counts for all of it, and it is used once.
        let document = document_bytes(&DelegationDocument::new(self.origin(), event))?;
        let key = self.verify_signature(&event.from, &event.signature, DELEGATION_NAMESPACE, &document, index)?;
        if event.environments.is_empty() {
            self.check_scope(&event.from, &key, None)?;
        }
        for environment in &event.environments {
            self.check_scope(&event.from, &key, Some(environment))?;
        }
        if !self.delegations.documents.insert(Digest::of(&document)) {
            return Err(ApplyError::new("DELEGATION_REPLAYED", "this very delegation was granted before".to_owned()));
        }
        self.vouch_delegation(&event.from, &event.to, &key, index);
        self.delegations.all.push(Delegation { event: event.clone(), index, time, key, ended: None });
        Ok(())
    }

    fn check_lent(&self, event: &DelegationGranted) -> Result<(), ApplyError> {
        let scope = |message: String| Err(ApplyError::new("DELEGATION_SCOPE", message));
        let own = self.person(&event.from).map(|person| person.groups.as_slice()).unwrap_or_default();
        if let Some(group) = event.groups.iter().find(|group| !own.contains(group)) {
            return scope(format!("`{}` is not in the group `{group}`, and cannot lend it", event.from));
        }
        if let Some(name) = event.environments.iter().find(|name| self.policy.environment(name).is_none()) {
            return scope(format!("the policy set has no environment `{name}`"));
        }
        Ok(())
    }

    /// Applies `delegation.ended`.
    ///
    /// # Errors
    /// `DELEGATION_UNKNOWN`, `DELEGATION_OVER`, `NOT_PERMITTED`, `REASON_MISSING`, or those of
    /// [`Governance::verify_signature`]; nothing changes then.
    pub fn end_delegation(&mut self, event: &DelegationEnded, index: EntryIndex) -> Result<(), ApplyError> {
        let known = self.delegations.all.iter().find(|known| known.index == event.delegation).ok_or_else(|| {
            ApplyError::new("DELEGATION_UNKNOWN", format!("entry {} grants no delegation", event.delegation))
        })?;
        if let Some((at, by)) = &known.ended {
            return Err(ApplyError::new("DELEGATION_OVER", format!("`{by}` ended it already, with entry {at}")));
        }
        let concerned = event.by == known.event.from || event.by == known.event.to;
        if !concerned && !self.may(&event.by, Permission::Keys) {
            return Err(ApplyError::new(
                "NOT_PERMITTED",
                format!("`{}` neither gave nor got this delegation, and may not manage keys", event.by),
            ));
        }
        check_reason(&event.reason)?;
        let document = document_bytes(&DelegationEndDocument::new(self.origin(), event.delegation, &event.reason))?;
        self.verify_signature(&event.by, &event.signature, DELEGATION_NAMESPACE, &document, index)?;
        for known in self.delegations.all.iter_mut().filter(|known| known.index == event.delegation) {
            known.ended = Some((index, event.by.clone()));
        }
        Ok(())
    }
}

fn check_reason(reason: &str) -> Result<(), ApplyError> {
    match !reason.trim().is_empty() && reason.len() <= Limits::DEFAULT.text_bytes {
        true => Ok(()),
        false => Err(ApplyError::new(
            "REASON_MISSING",
            format!("a reason is needed, of at most {} bytes", Limits::DEFAULT.text_bytes),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delegation(expires_at: u64, environments: &[&str], services: &[&str]) -> Delegation {
        Delegation {
            event: DelegationGranted {
                from: "sam".parse().unwrap(),
                to: "kim".parse().unwrap(),
                groups: vec![],
                environments: environments.iter().map(|name| name.parse().unwrap()).collect(),
                services: services.iter().map(|name| name.parse().unwrap()).collect(),
                expires_at: UnixMillis(expires_at),
                reason: "away".to_owned(),
                signature: String::new(),
            },
            index: EntryIndex(7),
            time: UnixMillis(0),
            key: "SHA256:sam".to_owned(),
            ended: None,
        }
    }

    #[test]
    fn ends_to_the_millisecond_and_covers_what_it_names() {
        let open = delegation(1000, &[], &[]);
        assert!(open.is_open(UnixMillis(999)) && !open.is_open(UnixMillis(1000)));
        let ended = Delegation { ended: Some((EntryIndex(9), "sam".parse().unwrap())), ..open.clone() };
        assert!(!ended.is_open(UnixMillis(0)));
        let check = |environments: &[&str], services: &[&str], expected: bool| {
            let one = delegation(1000, environments, services);
            let (service, environment) = ("shop/web".parse().unwrap(), "production".parse().unwrap());
            assert_eq!(one.covers(&service, &environment), expected, "{environments:?} {services:?}");
        };
        check(&[], &[], true);
        check(&["production"], &["shop/web"], true);
        check(&["staging"], &[], false);
        check(&[], &["shop"], false);
        check(&["staging", "production"], &["shop/api"], false);
    }

    #[test]
    fn documents_of_different_delegations_differ() {
        let bytes = |delegation: &Delegation| {
            document_bytes(&DelegationDocument::new("log1.lockgate.example", &delegation.event)).unwrap()
        };
        let one = delegation(1000, &[], &[]);
        for other in [delegation(1001, &[], &[]), delegation(1000, &["dev"], &[]), delegation(1000, &[], &["shop"])] {
            assert_ne!(bytes(&one), bytes(&other));
        }
        let end = document_bytes(&DelegationEndDocument::new("log1.lockgate.example", EntryIndex(7), "back")).unwrap();
        assert_ne!(bytes(&one), end);
    }
}
