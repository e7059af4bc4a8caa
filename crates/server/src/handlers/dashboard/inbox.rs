//! The inbox: what the person can decide now.

use axum::http::StatusCode;
use axum::response::Response;
use lockgate_engine::Fault;
use lockgate_model::{PersonId, PromotionId};
use lockgate_web::{Section, inbox as inbox_page};

use super::shell;
use crate::call::Call;
use crate::handlers::heavy;
use crate::handlers::inbox::inbox_reply;
use crate::handlers::pages::page;

/// `GET /inbox`.
pub async fn inbox(call: Call) -> Result<Response, Fault> {
    let (after, person): (Option<PromotionId>, PersonId) = (call.query("after")?, call.person()?);
    let app = call.app.clone();
    let text = heavy(move || {
        let shell = shell(&app, &person)?;
        let reply = inbox_reply(&app.engine, &person, after)?;
        Ok(shell.page(Some(Section::Inbox), "Needs you", &inbox_page::content(&reply, shell.now)))
    })
    .await?;
    Ok(page(StatusCode::OK, text))
}
