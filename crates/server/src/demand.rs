//! Demands: what a route asks of a session beyond being one: a second factor, a person who is there.

use lockgate_api::step_up::step_up;
use lockgate_api::{Access, Route, StepUp};
use lockgate_engine::session::{Caller, check_factors as factors};
use lockgate_engine::{Engine, Fault, step_up as rule};
use lockgate_model::json::{self, Numbers};
use lockgate_model::{EntryIndex, Limits};
use serde_json::Value;

/// Checks that a session has the factors that the policy set demands for this route.
///
/// Reading takes none, nor does ending sessions: whoever finds a stranger's must be able to.
///
/// # Errors
/// `MFA_REQUIRED`.
pub fn check_factors(engine: &Engine, route: &Route, caller: &Caller) -> Result<(), Fault> {
    let beyond_reading = match route.access {
        Access::Public | Access::Permission("read") => false,
        Access::Permission(_) | Access::AnyOf(_) => true,
        Access::SignedIn => step_up(route.name).is_some(),
    };
    match beyond_reading {
        true => factors(&*engine.governance()?, caller),
        false => Ok(()),
    }
}

/// Checks that the person is there for what a session alone is not enough for.
///
/// # Errors
/// `STEP_UP_REQUIRED`.
pub fn check_step_up(engine: &Engine, route: &Route, caller: &Caller, body: &[u8]) -> Result<(), Fault> {
    let Some(asks) = step_up(route.name) else { return Ok(()) };
    // A body that does not read carries no signature; the handler says what is wrong with it.
    let body = match asks {
        StepUp::Signed(_) => json::read(body, &Limits::DEFAULT, Numbers::Integers).unwrap_or(Value::Null),
        StepUp::FreshSignIn => Value::Null,
    };
    let fields = match asks {
        StepUp::Signed(fields) => fields,
        StepUp::FreshSignIn => &[],
    };
    let signatures: Vec<&str> = fields.iter().filter_map(|field| body.get(field)?.as_str()).collect();
    let published = engine.published();
    let next = EntryIndex(published.head.size.0);
    // Keys end in ledger time, which is never earlier than the newest entry's.
    let now = engine.inner().now().max(published.time);
    rule::check(&*engine.governance()?, caller, &signatures, next, now)
}
