//! Lints: what a policy set may say, and probably does not mean. They are shown by `policy check` and refuse nothing.

use std::collections::BTreeSet;

use lockgate_model::PersonId;

use crate::binding::Binding;
use crate::error::PolicyError;
use crate::people::Group;
use crate::permission::Permission;
use crate::policy_set::PolicySet;

/// Every lint about who may do what. Whether a name in `people` is enrolled is only asked where `people` is given.
pub fn lints(policy: &PolicySet, people: Option<&BTreeSet<PersonId>>) -> Vec<PolicyError> {
    let mut lints: Vec<PolicyError> =
        policy.bindings().iter().flat_map(|binding| of_binding(binding, people)).collect();
    let bound = |role: &lockgate_model::RoleName| policy.bindings().iter().any(|binding| binding.role == *role);
    for role in policy.roles().filter(|role| !bound(role)) {
        lints.push(PolicyError {
            file: Group::FILE.to_owned(),
            line: None,
            message: format!("nobody holds the role `{role}`"),
            hint: Some("bind it in `[[bindings]]`, give it to a group, or remove it".to_owned()),
        });
    }
    lints
}

fn of_binding(binding: &Binding, people: Option<&BTreeSet<PersonId>>) -> Vec<PolicyError> {
    let lint = |message: String, hint: &str| PolicyError {
        file: binding.rule.file.clone(),
        line: Some(binding.rule.line),
        message,
        hint: Some(hint.to_owned()),
    };
    let mut lints = Vec::new();
    let every = |patterns: &Option<Vec<crate::Pattern>>| {
        patterns.as_ref().is_none_or(|patterns| patterns.iter().any(crate::Pattern::is_everything))
    };
    if binding.permissions.contains(&Permission::Approve) && every(&binding.services) && every(&binding.environments) {
        let message = format!("the role `{}` approves everything: every service, into every environment", binding.role);
        lints.push(lint(message, "once there are several teams, name `services` or `environments` in `[[bindings]]`"));
    }
    for pattern in &binding.people {
        let nobody = people.is_some_and(|people| !people.iter().any(|person| pattern.matches(person.as_str())));
        if nobody {
            let message = format!("nobody who is enrolled is called `{pattern}`");
            lints.push(lint(message, "whoever is enrolled under that name later would hold the role at once"));
        }
    }
    lints
}
