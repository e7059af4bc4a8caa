//! Metrics, with charts.

use axum::http::StatusCode;
use axum::response::Response;
use lockgate_engine::Fault;
use lockgate_web::{Section, metrics as metrics_page};

use super::shell;
use crate::call::Call;
use crate::handlers::heavy;
use crate::handlers::metrics::{metrics_reply, since};
use crate::handlers::pages::page;

/// `GET /metrics`.
pub async fn metrics(call: Call) -> Result<Response, Fault> {
    let (since, person) = (since(&call)?, call.person()?);
    let app = call.app.clone();
    let text = heavy(move || {
        let shell = shell(&app, &person)?;
        let reply = metrics_reply(&app, &person, since)?;
        Ok(shell.page(Some(Section::Metrics), "Metrics", &metrics_page::content(&reply, since, shell.now)))
    })
    .await?;
    Ok(page(StatusCode::OK, text))
}
