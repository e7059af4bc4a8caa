//! Access: who may do what, where, and by which line of the policy set.
//!
//! [`allows`] is the one rule; everything that asks whether somebody may do something comes here, the gates included.

use lockgate_model::{EnvName, GroupName, PersonId, RoleName, ServiceName};

use crate::binding::Binding;
use crate::decision::Rule;
use crate::pattern::Pattern;
use crate::permission::{Permission, Reach};
use crate::policy_set::PolicySet;

/// What something is done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Object<'a> {
    /// Anything at all: whether the permission is held in at least one place.
    Anywhere,
    /// The ledger as a whole: people, keys, the policy set.
    Ledger,
    /// Every service in an environment.
    Environment(&'a EnvName),
    /// A service, its releases and their evidence.
    Service(&'a ServiceName),
    /// A service in an environment.
    Target(&'a ServiceName, &'a EnvName),
}

impl<'a> Object<'a> {
    /// The service, if it is about one.
    pub fn service(self) -> Option<&'a ServiceName> {
        match self {
            Self::Anywhere | Self::Ledger | Self::Environment(_) => None,
            Self::Service(service) | Self::Target(service, _) => Some(service),
        }
    }
}

/// Through what somebody holds a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// As a member of a group.
    Group(GroupName),
    /// By name.
    People(Pattern),
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Group(group) => write!(f, "group {group}"),
            Self::People(pattern) => write!(f, "{pattern}"),
        }
    }
}

/// Why somebody may do something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Because {
    /// The role that permits it.
    pub role: RoleName,
    /// Through what the role is held.
    pub holder: Holder,
    /// Where that is written.
    pub rule: Rule,
}

/// One permission that somebody has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// What it permits.
    pub permission: Permission,
    /// For which services; `None` stands for all.
    pub services: Option<Vec<Pattern>>,
    /// In which environments; `None` stands for all.
    pub environments: Option<Vec<Pattern>>,
    /// Why.
    pub because: Because,
}

/// The proof that somebody may do something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit {
    /// Why.
    pub because: Because,
}

/// Somebody may not do something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What it takes.
    pub needed: Permission,
    /// Who has it, for the same object; groups first.
    pub who_may: Vec<Holder>,
}

/// Every permission that a person with these groups has, in the order of permission, file and line.
pub fn effective(policy: &PolicySet, person: &PersonId, groups: &[GroupName]) -> Vec<Effective> {
    let mut found: Vec<Effective> = Vec::new();
    for binding in policy.bindings() {
        let Some(holder) = binding.holder(person, groups) else { continue };
        let because = Because { role: binding.role.clone(), holder, rule: binding.rule.clone() };
        found.extend(binding.permissions.iter().map(|permission| Effective {
            permission: *permission,
            services: binding.services.clone(),
            environments: binding.environments.clone(),
            because: because.clone(),
        }));
    }
    found.sort_by_key(|a| (a.permission, a.because.rule.line));
    found
}

/// Whether a person with these groups may do something to an object.
///
/// # Errors
/// [`Refusal`] with who may.
pub fn allows(
    policy: &PolicySet,
    person: &PersonId,
    groups: &[GroupName],
    permission: Permission,
    object: Object<'_>,
) -> Result<Permit, Refusal> {
    let covering = policy.bindings().iter().filter(|binding| binding.covers(permission, object));
    let mut held = covering.filter_map(|binding| binding.holder(person, groups).map(|holder| (binding, holder)));
    match held.next() {
        Some((binding, holder)) => {
            Ok(Permit { because: Because { role: binding.role.clone(), holder, rule: binding.rule.clone() } })
        }
        None => Err(Refusal { needed: permission, who_may: who_may(policy, permission, object) }),
    }
}

/// Whether somebody has a permission to lend: all that they have where `lent` is empty, else what the groups in it give
/// those who are in them. What a person holds by name is not a group's.
pub fn lends(
    policy: &PolicySet,
    lender: &PersonId,
    groups: &[GroupName],
    lent: &[GroupName],
    permission: Permission,
    object: Object<'_>,
) -> bool {
    let mut covering = policy.bindings().iter().filter(|binding| binding.covers(permission, object));
    covering.any(|binding| is_lent(binding, lender, groups, lent))
}

/// Whether somebody has a permission to lend for any object at all, as [`lends`] tells it for one.
pub fn lends_anything(
    policy: &PolicySet,
    lender: &PersonId,
    groups: &[GroupName],
    lent: &[GroupName],
    permission: Permission,
) -> bool {
    let mut permitting = policy.bindings().iter().filter(|binding| binding.permissions.contains(&permission));
    permitting.any(|binding| is_lent(binding, lender, groups, lent))
}

fn is_lent(binding: &Binding, lender: &PersonId, groups: &[GroupName], lent: &[GroupName]) -> bool {
    match lent.is_empty() {
        true => binding.holder(lender, groups).is_some(),
        false => binding.groups.iter().any(|group| lent.contains(group) && groups.contains(group)),
    }
}

/// Who may do something to an object: groups in order of name, then people as written.
pub fn who_may(policy: &PolicySet, permission: Permission, object: Object<'_>) -> Vec<Holder> {
    let covering = || policy.bindings().iter().filter(move |binding| binding.covers(permission, object));
    let mut groups: Vec<&GroupName> = covering().flat_map(|binding| &binding.groups).collect();
    groups.sort();
    groups.dedup();
    let mut holders: Vec<Holder> = groups.into_iter().cloned().map(Holder::Group).collect();
    for pattern in covering().flat_map(|binding| &binding.people) {
        let holder = Holder::People(pattern.clone());
        if !holders.contains(&holder) {
            holders.push(holder);
        }
    }
    holders
}

/// The object that a permission is asked about, for a service in an environment: releases and evidence lie in none.
pub fn object_of<'a>(permission: Permission, service: &'a ServiceName, environment: &'a EnvName) -> Object<'a> {
    match permission.reach() {
        Reach::Ledger => Object::Ledger,
        Reach::Service => Object::Service(service),
        Reach::Target => Object::Target(service, environment),
    }
}

#[cfg(test)]
#[path = "access_tests.rs"]
mod tests;
