//! Drift: what is granted, compared with what was reported to run.

use axum::http::StatusCode;
use axum::response::Response;
use lockgate_engine::Fault;
use lockgate_engine::drift::Standing;
use lockgate_web::drift::Filter;
use lockgate_web::{Section, drift as drift_page};

use super::shell;
use crate::call::Call;
use crate::handlers::drift::{Asked, drift_reply};
use crate::handlers::heavy;
use crate::handlers::pages::page;

/// `GET /drift`.
pub async fn drift(call: Call) -> Result<Response, Fault> {
    let (asked, person) = (Asked::of(&call)?, call.person()?);
    let filter = Filter {
        text: asked.filter.text.trim().to_owned(),
        environment: asked.filter.environment.as_ref().map(ToString::to_string).unwrap_or_default(),
        state: asked.filter.standing.map(Standing::as_str).unwrap_or_default().to_owned(),
        days: asked.days,
        after: asked.after.is_some(),
    };
    let app = call.app.clone();
    let text = heavy(move || {
        let shell = shell(&app, &person)?;
        let reply = drift_reply(&app.engine, &person, &asked)?;
        let content = drift_page::content(&reply, &filter, shell.now);
        Ok(shell.page(Some(Section::Drift), "Drift", &content))
    })
    .await?;
    Ok(page(StatusCode::OK, text))
}
