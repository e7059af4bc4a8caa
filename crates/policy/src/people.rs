//! Roles, groups and bindings: what a policy set lets whom do, and where. Who is in a group is enrolled in the ledger,
//! not written here.

use std::collections::{BTreeMap, BTreeSet};

use lockgate_model::{GroupName, RoleName};
use serde::Deserialize;
use toml::Spanned;

use crate::binding::{Binding, BindingEntry};
use crate::decision::Rule;
use crate::error::PolicyError;
use crate::permission::Permission;
use crate::source::SourceFile;
use crate::suggestion::did_you_mean;

/// A set of people, and what its roles let them do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// What it is called.
    pub name: GroupName,
    /// Who belongs in it; may be empty.
    pub description: String,
    /// Its roles.
    pub roles: Vec<RoleName>,
    /// What its roles permit, together.
    pub permissions: BTreeSet<Permission>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PeopleFile {
    #[serde(default)]
    role: BTreeMap<RoleName, RoleEntry>,
    #[serde(default)]
    group: BTreeMap<GroupName, Spanned<GroupEntry>>,
    #[serde(default)]
    bindings: Vec<Spanned<BindingEntry>>,
}

/// What `people.toml` says.
#[derive(Debug, Clone)]
pub(crate) struct People {
    /// The groups.
    pub(crate) groups: BTreeMap<GroupName, Group>,
    /// Who holds which role where, in the order of lines: the groups' own roles, and those of `[[bindings]]`.
    pub(crate) bindings: Vec<Binding>,
    /// What each role permits.
    pub(crate) roles: BTreeMap<RoleName, BTreeSet<Permission>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RoleEntry {
    #[serde(default, rename = "description")]
    _description: String,
    permissions: BTreeSet<Permission>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupEntry {
    #[serde(default)]
    roles: Vec<RoleName>,
    #[serde(default)]
    description: String,
}

impl Group {
    /// The file that roles and groups are read from.
    pub(crate) const FILE: &'static str = "people.toml";
}

impl People {
    /// Reads all groups, roles and bindings, resolved.
    pub(crate) fn read(source: SourceFile<'_>) -> Result<Self, Vec<PolicyError>> {
        let PeopleFile { role, group, bindings: written } = source.read()?;
        let role: BTreeMap<RoleName, BTreeSet<Permission>> =
            role.into_iter().map(|(name, entry)| (name, entry.permissions)).collect();
        let mut errors = Vec::new();
        let mut groups = BTreeMap::new();
        let mut bindings = Vec::new();
        for (name, entry) in group {
            let at = source.line(&entry.span());
            let line = Some(at);
            let GroupEntry { roles, description } = entry.into_inner();
            let mut permissions = BTreeSet::new();
            for wanted in &roles {
                match role.get(wanted) {
                    Some(found) => {
                        permissions.extend(found.iter().copied());
                        bindings.push(Binding {
                            role: wanted.clone(),
                            permissions: found.clone(),
                            groups: vec![name.clone()],
                            people: Vec::new(),
                            services: None,
                            environments: None,
                            rule: Rule { file: source.path.to_owned(), line: at },
                        });
                    }
                    None => {
                        let message = format!("group `{name}` has the role `{wanted}`, which is not defined here");
                        errors.push(source.error(
                            line,
                            message,
                            did_you_mean(wanted.as_str(), role.keys().map(RoleName::as_str)),
                        ));
                    }
                }
            }
            groups.insert(name.clone(), Group { name, description, roles, permissions });
        }
        if groups.is_empty() {
            let message = "no group: write at least one `[group.<name>]`, or nobody may do anything".to_owned();
            errors.push(source.error(None, message, None));
        }
        let names: BTreeSet<GroupName> = groups.keys().cloned().collect();
        match Binding::resolve(source, written, &role, &names) {
            Ok(more) => bindings.extend(more),
            Err(more) => errors.extend(more),
        }
        bindings.sort_by_key(|binding| binding.rule.line);
        if errors.is_empty() { Ok(Self { groups, bindings, roles: role }) } else { Err(errors) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<BTreeMap<GroupName, Group>, Vec<PolicyError>> {
        People::read(SourceFile { path: Group::FILE, text }).map(|people| people.groups)
    }

    #[test]
    fn groups_get_what_their_roles_permit() {
        let groups = read(concat!(
            "[role.reader]\npermissions = [\"read\"]\n[role.approver]\npermissions = [\"approve\", \"reject\"]\n",
            "[group.sec]\nroles = [\"reader\", \"approver\"]\n[group.all]\nroles = [\"reader\"]\n",
        ))
        .unwrap();
        let shown: Vec<String> =
            groups.values().map(|group| format!("{} {:?}", group.name, group.permissions)).collect();
        assert_eq!(shown, ["all {Read}", "sec {Read, Approve, Reject}"]);
    }

    #[test]
    fn refuses_what_is_not_defined() {
        let check = |text: &str, part: &str, hint: Option<&str>| {
            let errors = read(text).unwrap_err();
            assert!(errors[0].message.contains(part), "{errors:?}");
            assert_eq!(errors[0].hint.as_deref(), hint, "{errors:?}");
        };
        let role = "[role.dev]\npermissions = [\"read\"]\n";
        check(role, "no group", None);
        check(&format!("{role}[group.all]\nroles = [\"dex\"]\n"), "`dex`", Some("did you mean `dev`?"));
        check("[role.dev]\npermissions = [\"reed\"]\n", "unknown variant", Some("did you mean `read`?"));
        check(&format!("{role}[group.all]\nroles = []\nmembers = [\"dana\"]\n"), "unknown field `members`", None);
    }
}
