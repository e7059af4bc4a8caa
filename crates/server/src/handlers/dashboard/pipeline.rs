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
use crate::handlers::matrix::{Asked, OLD_DAYS, matrix_reply, pins};
use crate::handlers::pages::page;

/// `GET /`.
pub async fn pipeline(call: Call) -> Result<Response, Fault> {
    let (mut asked, person) = (Asked::of(&call)?, call.person()?);
    asked.filter.pinned = pins(&call)?.services();
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
    let (state, days, releases) = match asked.filter.wanted {
        None => ("", OLD_DAYS, 0),
        Some(Wanted::Open) => ("open", OLD_DAYS, 0),
        Some(Wanted::Mine) => ("mine", OLD_DAYS, 0),
        Some(Wanted::Frozen) => ("frozen", OLD_DAYS, 0),
        Some(Wanted::Drift) => ("drift", OLD_DAYS, 0),
        Some(Wanted::Behind(releases)) => ("behind", OLD_DAYS, releases),
        Some(Wanted::Old(span)) => ("old", span.days(), 0),
    };
    Filter {
        text: asked.filter.text.trim().to_owned(),
        environment: asked.filter.environment.as_ref().map(ToString::to_string).unwrap_or_default(),
        state: state.to_owned(),
        days,
        releases,
        pinned: asked.filter.pinned.clone(),
        dense: call.query.get("dense").is_some_and(|value| value == "1"),
        after: asked.after.is_some(),
    }
}
