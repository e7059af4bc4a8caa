//! One promotion.

use axum::http::StatusCode;
use axum::response::Response;
use lockgate_api::wire::{DiffReply, PromotionReply};
use lockgate_engine::authorise::may_read;
use lockgate_engine::{Engine, Fault};
use lockgate_model::{PersonId, PromotionId};
use lockgate_policy::Object;
use lockgate_web::promotion::background;
use lockgate_web::{Section, promotion as promotion_page};

use super::{rights, shell};
use crate::call::Call;
use crate::handlers::heavy;
use crate::handlers::pages::page;
use crate::handlers::promotions::promotion_reply;
use crate::handlers::reading::diff_reply;

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
        let against = against(&app.engine, &person, &reply)?;
        let content = background::below(&content, &reply, against.as_ref(), shell.now);
        Ok(shell.page(
            Some(Section::Pipeline),
            &format!("{id}: {} into {}", reply.release, reply.environment),
            &content,
        ))
    })
    .await?;
    Ok(page(StatusCode::OK, text))
}

/// The comparison of an open promotion with what runs in its target, where that is another release; what was decided is
/// not compared again. Whoever may read of the target, and not of the service, goes without.
fn against(engine: &Engine, person: &PersonId, reply: &PromotionReply) -> Result<Option<DiffReply>, Fault> {
    let is_open = matches!(reply.status.as_str(), "pending" | "denied");
    let governance = engine.governance()?;
    let is_readable = may_read(&governance, person, Object::Service(&reply.release.service));
    match &reply.running {
        Some(running) if is_open && is_readable && running.release != reply.release => {
            diff_reply(engine, person, &running.release, &reply.release, None).map(Some)
        }
        _ => Ok(None),
    }
}
