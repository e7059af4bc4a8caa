//! The pipeline matrix.

use axum::http::StatusCode;
use axum::response::Response;
use lockgate_engine::Fault;
use lockgate_engine::matrix::Wanted;
use lockgate_web::matrix::Filter;
use lockgate_web::{Section, matrix};

use super::shell;
use crate::call::Call;
use crate::handlers::heavy;
use crate::handlers::matrix::{Asked, OLD_DAYS, matrix_reply};
use crate::handlers::pages::page;

/// `GET /`.
pub async fn pipeline(call: Call) -> Result<Response, Fault> {
    let (asked, person) = (Asked::of(&call)?, call.person()?);
    let filter = filter(&call, &asked);
    let app = call.app.clone();
    let text = heavy(move || {
        let shell = shell(&app, &person)?;
        let reply = matrix_reply(&app.engine, &person, &asked)?;
        let content = matrix::content(&reply, &filter, shell.waiting, shell.now);
        Ok(shell.page(Some(Section::Pipeline), "Pipeline", &content))
    })
    .await?;
    Ok(page(StatusCode::OK, text))
}

/// The filter as the page shows it and keeps it in addresses.
fn filter(call: &Call, asked: &Asked) -> Filter {
    let (state, days) = match asked.filter.wanted {
        None => ("", OLD_DAYS),
        Some(Wanted::Open) => ("open", OLD_DAYS),
        Some(Wanted::Frozen) => ("frozen", OLD_DAYS),
        Some(Wanted::Behind) => ("behind", OLD_DAYS),
        Some(Wanted::Old(span)) => ("old", span.days()),
    };
    Filter {
        text: asked.filter.text.trim().to_owned(),
        environment: asked.filter.environment.as_ref().map(ToString::to_string).unwrap_or_default(),
        state: state.to_owned(),
        days,
        dense: call.query.get("dense").is_some_and(|value| value == "1"),
        after: asked.after.is_some(),
    }
}
