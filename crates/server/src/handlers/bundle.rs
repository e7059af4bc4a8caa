//! Bundles: built as a whole in memory, so few at a time, and a large one has its place until its client has taken it.

use axum::http::StatusCode;
use axum::response::Response;
use lockgate_engine::authorise::check_promotion;
use lockgate_engine::{Fault, bundle as bundles};
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
    let place = call.app.bundles.enter(&person, "too many bundles are built and sent").await?;
    let build = move || -> Result<Response, Fault> {
        // What somebody may read can have changed while they waited.
        check()?;
        Ok(reply::typed(StatusCode::OK, "application/json", bundles::build(&engine, promotion)?))
    };
    whole::send(build, coding, place, whole::pace()).await
}
