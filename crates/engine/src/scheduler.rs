//! The scheduler: what changes because time passes.

use lockgate_model::{PromotionId, Span, UnixMillis};
use serde_json::json;

use crate::engine::Engine;
use crate::evaluate::{Record, evaluate};
use crate::fault::Fault;
use crate::reader;
use crate::sequencer::Submission;
use crate::staging::OPEN_PROMOTIONS;

/// How long replies to repeatable requests are kept.
const REPLIES_KEPT: Span = Span::from_secs(48 * 3600);

/// Decides again on every open promotion: soak times end, approvals expire, requests run out.
///
/// Returns how many were looked at.
///
/// # Errors
/// What the store says; a promotion that cannot be decided is left as it is and logged.
pub fn tick(engine: &Engine) -> Result<usize, Fault> {
    lockgate_failpoint::point("tick.begun");
    let open: Vec<PromotionId> = reader::projections_under(engine.store(), OPEN_PROMOTIONS, "")?
        .iter()
        .filter_map(|(key, value)| reader::open_promotion(key, value))
        .map(|(promotion, _)| promotion)
        .collect();
    for promotion in open.iter().copied() {
        decide_again(engine, promotion);
        lockgate_failpoint::point("tick.decided");
    }
    let now = engine.inner().clock.now();
    engine.store().replies_expire(UnixMillis(now.0.saturating_sub(REPLIES_KEPT.millis())))?;
    lockgate_failpoint::point("tick.replies-expired");
    crate::session::tidy(engine)?;
    lockgate_failpoint::point("tick.tidied");
    Ok(open.len())
}

/// Decides again on one promotion, as a request of its own: where it cannot be decided, nothing else is held up.
pub(crate) fn decide_again(engine: &Engine, promotion: PromotionId) {
    let again = Submission::new(move |staging, inner| {
        evaluate(staging, inner, promotion, Record::Changes)?;
        Ok(json!({}))
    });
    if let Err(fault) = engine.run(again) {
        tracing::warn!(%promotion, code = fault.code, "an open promotion could not be decided again");
    }
}
