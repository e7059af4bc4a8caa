//! One promotion.

use axum::http::StatusCode;
use axum::response::Response;
use lockgate_engine::Fault;
use lockgate_model::{PersonId, PromotionId};
use lockgate_web::{Section, promotion as promotion_page};

use super::{rights, shell};
use crate::call::Call;
use crate::handlers::heavy;
use crate::handlers::pages::page;
use crate::handlers::promotions::promotion_reply;

/// `GET /promotions/{id}`.
pub async fn promotion(call: Call) -> Result<Response, Fault> {
    let (id, person): (PromotionId, PersonId) = (call.part("id")?, call.person()?);
    let app = call.app.clone();
    let text = heavy(move || {
        let shell = shell(&app, &person)?;
        let reply = promotion_reply(&app.engine, &person, id)?;
        let rights = rights(&app.engine, &person, &reply.release.service, &reply.environment)?;
        let governance = app.engine.governance()?;
        let gates = governance.policy.gates().iter().filter(|gate| gate.kind.can_be_waived());
        let waivable = gates.map(|gate| gate.name.to_string()).collect();
        let content = promotion_page::content(&reply, &waivable, &rights, &person, shell.now);
        Ok(shell.page(
            Some(Section::Pipeline),
            &format!("{id}: {} into {}", reply.release, reply.environment),
            &content,
        ))
    })
    .await?;
    Ok(page(StatusCode::OK, text))
}
