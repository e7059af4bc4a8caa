//! Environments: those of the active policy set, by name.

use lockgate_model::EnvName;
use lockgate_policy::PolicySet;

use crate::fault::Fault;

/// Refuses a name that the policy set does not have.
///
/// # Errors
/// `ENVIRONMENT_UNKNOWN`, with the names that there are.
pub(crate) fn check(policy: &PolicySet, name: &EnvName) -> Result<(), Fault> {
    if policy.environment(name).is_some() {
        return Ok(());
    }
    let known: Vec<&str> = policy.environments().iter().map(|environment| environment.name.as_str()).collect();
    Err(Fault::not_found("ENVIRONMENT_UNKNOWN", format!("the active policy set has no environment `{name}`"))
        .hint(format!("it has {}", known.join(", "))))
}
