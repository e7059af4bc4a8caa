//! Bindings: who holds a role, and where.
//!
//! `roles` of a group are bindings without a scope; `[[bindings]]` of `people.toml` bind a role to groups and named
//! people, for some services and environments alone.

use std::collections::{BTreeMap, BTreeSet};

use lockgate_model::{GroupName, PersonId, RoleName};
use serde::Deserialize;
use toml::Spanned;

use crate::access::{Holder, Object};
use crate::decision::Rule;
use crate::error::PolicyError;
use crate::pattern::Pattern;
use crate::permission::{Permission, Reach};
use crate::source::SourceFile;
use crate::suggestion::did_you_mean;
use crate::wording;

/// One role, held by some groups and people, in some places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The role.
    pub role: RoleName,
    /// What it permits.
    pub permissions: BTreeSet<Permission>,
    /// The groups that hold it.
    pub groups: Vec<GroupName>,
    /// The people that hold it, by name.
    pub people: Vec<Pattern>,
    /// The services that it is held for; `None` stands for all.
    pub services: Option<Vec<Pattern>>,
    /// The environments that it is held for; `None` stands for all.
    pub environments: Option<Vec<Pattern>>,
    /// Where it is written.
    pub rule: Rule,
}

/// A `[[bindings]]` table as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BindingEntry {
    role: RoleName,
    #[serde(default)]
    groups: Vec<GroupName>,
    #[serde(default)]
    people: Vec<Pattern>,
    #[serde(default)]
    services: Option<Vec<Pattern>>,
    #[serde(default)]
    environments: Option<Vec<Pattern>>,
}

impl Binding {
    /// Whether it is held for some services or environments alone.
    pub fn is_scoped(&self) -> bool {
        self.services.is_some() || self.environments.is_some()
    }

    /// Through which group or name somebody holds it, if they do.
    pub fn holder(&self, person: &PersonId, groups: &[GroupName]) -> Option<Holder> {
        let group = self.groups.iter().find(|group| groups.contains(group)).cloned().map(Holder::Group);
        group.or_else(|| {
            self.people.iter().find(|pattern| pattern.matches(person.as_str())).cloned().map(Holder::People)
        })
    }

    /// Whether it permits this on this object.
    ///
    /// An act on the ledger as a whole takes a binding without a scope, one on an environment a binding there for every
    /// service. Releases and evidence lie in no environment: for what is done to them, an environment scope does not
    /// matter.
    pub fn covers(&self, permission: Permission, object: Object<'_>) -> bool {
        let matches = |patterns: &Option<Vec<Pattern>>, name: &str| {
            patterns.as_ref().is_none_or(|patterns| patterns.iter().any(|pattern| pattern.matches(name)))
        };
        let fits = match object {
            Object::Anywhere => true,
            Object::Ledger => !self.is_scoped(),
            Object::Environment(environment) => {
                let every_service =
                    self.services.as_ref().is_none_or(|patterns| patterns.iter().any(Pattern::is_everything));
                every_service && matches(&self.environments, environment.as_str())
            }
            Object::Service(service) => {
                let no_environment = permission.reach() == Reach::Service || self.environments.is_none();
                no_environment && matches(&self.services, service.as_str())
            }
            Object::Target(service, environment) => {
                matches(&self.services, service.as_str()) && matches(&self.environments, environment.as_str())
            }
        };
        fits && self.permissions.contains(&permission)
    }

    /// Resolves the `[[bindings]]` tables of a file.
    pub(crate) fn resolve(
        source: SourceFile<'_>,
        entries: Vec<Spanned<BindingEntry>>,
        roles: &BTreeMap<RoleName, BTreeSet<Permission>>,
        groups: &BTreeSet<GroupName>,
    ) -> Result<Vec<Self>, Vec<PolicyError>> {
        let mut bindings = Vec::new();
        let mut errors = Vec::new();
        for entry in entries {
            let line = source.line(&entry.span());
            let entry = entry.into_inner();
            let role = &entry.role;
            let mut refuse = |message: String, hint: Option<String>| {
                errors.push(source.error(Some(line), format!("binding of `{role}`: {message}"), hint));
            };
            let Some(permissions) = roles.get(role) else {
                let hint = did_you_mean(role.as_str(), roles.keys().map(RoleName::as_str));
                refuse("there is no such role here".to_owned(), hint);
                continue;
            };
            for group in entry.groups.iter().filter(|group| !groups.contains(*group)) {
                let hint = did_you_mean(group.as_str(), groups.iter().map(GroupName::as_str));
                refuse(format!("there is no group `{group}` here"), hint);
            }
            for message in entry.problems(permissions) {
                refuse(message, None);
            }
            bindings.push(Self {
                permissions: permissions.clone(),
                rule: Rule { file: source.path.to_owned(), line },
                role: entry.role,
                groups: entry.groups,
                people: entry.people,
                services: entry.services,
                environments: entry.environments,
            });
        }
        if errors.is_empty() { Ok(bindings) } else { Err(errors) }
    }
}

impl BindingEntry {
    /// What can never be meant, whatever else the policy set says.
    fn problems(&self, permissions: &BTreeSet<Permission>) -> Vec<String> {
        let mut problems = Vec::new();
        if self.groups.is_empty() && self.people.is_empty() {
            problems.push("nobody holds it: name `groups` or `people`".to_owned());
        }
        for (key, patterns) in [("services", &self.services), ("environments", &self.environments)] {
            if patterns.as_ref().is_some_and(Vec::is_empty) {
                problems.push(format!("`{key}` is empty: leave it out, and the role is held everywhere"));
            }
        }
        let scoped = self.services.is_some() || self.environments.is_some();
        let whole: Vec<Permission> =
            permissions.iter().copied().filter(|permission| permission.reach() == Reach::Ledger).collect();
        if scoped && !whole.is_empty() {
            problems.push(format!(
                "it permits {}, which is about the whole ledger: bind it without `services` and `environments`, or make \
                 a role without",
                wording::all_of(&whole)
            ));
        }
        if permissions.contains(&Permission::Approve)
            && let Some(everyone) = self.people.iter().find(|pattern| pattern.is_everything())
        {
            problems.push(format!("`people = [\"{everyone}\"]` would let everyone who is enrolled approve: name them"));
        }
        problems
    }
}
