//! Facts: what the gates of a promotion saw, or would see now.

use lockgate_ledger::bodies::required;
use lockgate_ledger::replay::deliberate;
use lockgate_model::PromotionId;

use crate::bodies::StoreBodies;
use crate::engine::Engine;
use crate::fault::Fault;
use crate::why::slice;

/// The canonical document of the facts about a promotion: of its last decision where it is settled, otherwise of a
/// decision made now.
///
/// # Errors
/// `PROMOTION_UNKNOWN`, or what the store says.
pub fn facts(engine: &Engine, promotion: PromotionId) -> Result<Vec<u8>, Fault> {
    let (state, _, asked) = slice(engine, promotion)?;
    let bodies = StoreBodies(engine.store());
    if let (false, Some(last)) = (asked.status().is_open(), asked.decisions.last()) {
        return Ok(required(&bodies, &last.event.facts)?.into_owned());
    }
    let now = engine.time();
    Ok(deliberate(&state, promotion, now, &bodies, &engine.inner().claims)?.facts_bytes)
}
