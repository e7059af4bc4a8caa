//! The inbox: what the person can decide now, but for what this browser keeps folded at its end.

use axum::http::StatusCode;
use axum::response::Response;
use lockgate_engine::Fault;
use lockgate_model::{PersonId, PromotionId};
use lockgate_web::{Section, inbox as inbox_page};

use super::{rights_anywhere, shell};
use crate::call::Call;
use crate::handlers::heavy;
use crate::handlers::inbox::{inbox_reply, kept};
use crate::handlers::pages::page;

/// `GET /inbox`.
pub async fn inbox(call: Call) -> Result<Response, Fault> {
    let (after, person): (Option<PromotionId>, PersonId) = (call.query("after")?, call.person()?);
    let app = call.app.clone();
    let text = heavy(move || {
        let shell = shell(&app, &person)?;
        let rights = rights_anywhere(&app.engine, &person)?;
        let reply = inbox_reply(&app.engine, &person, after)?;
        let folded = kept(&call, shell.now)?.folded(&reply);
        let content = inbox_page::content(&reply, &folded, &rights, &person, shell.now);
        Ok(shell.page(Some(Section::Inbox), "Needs you", &content))
    })
    .await?;
    Ok(page(StatusCode::OK, text))
}
