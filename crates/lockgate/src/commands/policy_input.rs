//! Policy input: the facts that gates saw, so that rules can be written about them.

use std::path::Path;

use lockgate_api::Exit;
use lockgate_model::{Limits, PromotionId, canonical};
use serde_json::Value;

use crate::commands::policy::read_policy;
use crate::failure::{Failure, Outcome};
use crate::world::World;

/// `lockgate policy input`: the document is the result, in JSON, whatever the form of output.
///
/// # Errors
/// `PROMOTION_UNKNOWN`, `POLICY_TEST_UNKNOWN`, or what does not load.
pub fn input(world: &World, promotion: Option<PromotionId>, dir: &Path, test: Option<&str>) -> Outcome {
    let facts = match promotion {
        Some(promotion) => {
            let bytes = world.signed_in()?.get_bytes(&format!("/v1/promotions/{promotion}/facts"))?;
            canonical::from_slice::<Value>(&bytes, &Limits::DEFAULT).map_err(|error| {
                Failure::new(Exit::Integrity, "FACTS_INVALID", format!("the facts do not read: {error}"))
            })?
        }
        None => of_test(dir, test)?,
    };
    world.terminal.json(&facts)?;
    Ok(Exit::Done)
}

/// The facts that a policy test makes: of the one with this name, or of the first.
fn of_test(dir: &Path, name: Option<&str>) -> Result<Value, Failure> {
    let set = read_policy(dir)?;
    let found = set.tests().iter().find(|test| name.is_none_or(|name| test.name == name));
    let test = found.ok_or_else(|| {
        let names: Vec<&str> = set.tests().iter().map(|test| test.name.as_str()).collect();
        let message = match name {
            Some(name) => format!("{} has no policy test `{name}`", dir.display()),
            None => format!("{} has no policy tests", dir.display()),
        };
        Failure::new(Exit::NotFound, "POLICY_TEST_UNKNOWN", message).hint(format!("there are: {}", names.join(", ")))
    })?;
    serde_json::to_value(test.facts(&set)).map_err(|error| Failure::new(Exit::Bug, "FACTS_INVALID", error.to_string()))
}
