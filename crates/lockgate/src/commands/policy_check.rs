//! Policy check: every problem, and what a policy set probably does not mean.

use std::collections::BTreeSet;
use std::path::Path;

use lockgate_api::Exit;
use lockgate_api::wire::PersonRow;
use lockgate_model::PersonId;
use lockgate_model::text::argument;
use lockgate_policy::{Lint, LintLevel, PolicySet, expiry_lint, lints};
use serde_json::json;

use crate::commands::policy::read_policy;
use crate::failure::{Failure, Outcome};
use crate::world::World;

/// `lockgate policy check`.
///
/// # Errors
/// `POLICY_INVALID` with every problem; `POLICY_DOUBTFUL` for warnings, with `--strict`.
pub fn check(world: &World, dir: &Path, enrolled: bool, strict: bool) -> Outcome {
    let set = read_set(dir, "check")?;
    let people = if enrolled { Some(enrolled_people(world)?) } else { None };
    let mut found: Vec<Lint> = expiry_lint(&set, world.now()).into_iter().collect();
    found.extend(lints(&set, people.as_ref()));
    for lint in &found {
        let hint = lint.hint.as_ref().map_or(String::new(), |hint| format!("\n  next  {hint}"));
        world.terminal.say(format!("{}: {lint}{hint}", lint.level));
    }
    let warnings = found.iter().filter(|lint| lint.level == LintLevel::Warning).count();
    let (environments, gates) = (set.environments().len(), set.gates().len());
    let shown = json!({
        "digest": set.digest(), "environments": environments, "gates": gates, "warnings": warnings, "lints": found,
    });
    world.terminal.show(&shown, || {
        format!(
            "{} loads: {environments} environments, {gates} gates, {warnings} warnings\n  digest     {}",
            dir.display(),
            set.digest()
        )
    })?;
    match strict && warnings > 0 {
        false => Ok(Exit::Done),
        true => {
            Err(Failure::new(Exit::Failed, "POLICY_DOUBTFUL", format!("{warnings} warnings, and `--strict` was given"))
                .hint("`lockgate explain CODE` says what each is about"))
        }
    }
}

/// Reads the policy set in a directory. Where the one below it is meant, into which `lockgate init` writes, the command is
/// named that does the same there.
///
/// # Errors
/// `POLICY_MISSING`, or as [`read_policy`].
pub fn read_set(dir: &Path, command: &str) -> Result<PolicySet, Failure> {
    let below = dir.join("policy");
    if dir.join("policy.toml").exists() || !below.join("policy.toml").is_file() {
        return read_policy(dir);
    }
    let below = below.strip_prefix(".").unwrap_or(&below);
    let message = format!("{} has no policy.toml, and {} has one", dir.display(), below.display());
    let named = argument(&below.to_string_lossy());
    Err(Failure::new(Exit::NotFound, "POLICY_MISSING", message)
        .hint(format!("did you mean `lockgate policy {command} {named}`?")))
}

fn enrolled_people(world: &World) -> Result<BTreeSet<PersonId>, Failure> {
    let people: Vec<PersonRow> = world.signed_in()?.get("/v1/people")?;
    Ok(people.into_iter().map(|row| row.person).collect())
}
