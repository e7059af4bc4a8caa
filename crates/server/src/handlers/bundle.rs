//! Bundles: built as a whole in memory, so few at a time, and a large one has its place until its client has taken it.

use axum::http::StatusCode;
use axum::response::Response;
use lockgate_engine::authorise::check_promotion;
use lockgate_engine::{Fault, Kind, bundle as bundles};
use lockgate_model::PromotionId;

use super::{heavy, whole};
use crate::call::Call;
use crate::{compression, reply};

/// `GET /v1/promotions/{id}/bundle`.
pub async fn get(call: Call) -> Result<Response, Fault> {
    let promotion: PromotionId = call.part("id")?;
    let (engine, person, scope) = (call.engine().clone(), call.person()?, call.scope().cloned());
    let coding = compression::of_reply(call.route, &call.headers);
    let check = {
        let (engine, person) = (engine.clone(), person.clone());
        move || -> Result<(), Fault> {
            check_promotion(&engine, &person, promotion)?;
            scope.as_ref().map_or(Ok(()), |scope| scope.check_promotion(&engine, promotion))
        }
    };
    // Whoever may not read it is told so at once, and takes nobody's place.
    heavy(check.clone()).await?;
    let place = call.app.bundles.take(&person, whole::WAIT).await.ok_or_else(overloaded)?;
    let build = move || -> Result<Response, Fault> {
        // What somebody may read can have changed while they waited.
        check()?;
        Ok(reply::typed(StatusCode::OK, "application/json", bundles::build(&engine, promotion)?))
    };
    whole::send(build, coding, place, whole::pace()).await
}

fn overloaded() -> Fault {
    Fault::new(Kind::Unavailable, "OVERLOADED", "too many bundles are built and sent").hint("try again in a moment")
}

#[cfg(test)]
mod tests {
    use axum::http::header;

    use super::*;

    #[test]
    fn whoever_finds_no_place_is_told_when_to_come_again() {
        assert_eq!(reply::problem(&overloaded()).headers()[header::RETRY_AFTER], "1");
    }
}
