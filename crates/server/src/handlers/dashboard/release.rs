//! One release: what it is made of, its evidence, where it is and was.

use axum::http::StatusCode;
use axum::response::Response;
use lockgate_engine::Fault;
use lockgate_model::{PersonId, ReleaseName};
use lockgate_web::{Section, release as release_page};

use super::shell;
use crate::call::Call;
use crate::handlers::pages::page;
use crate::handlers::services::release_reply;
use crate::handlers::whole;

/// `GET /releases/{*name}`.
pub async fn release(call: Call) -> Result<Response, Fault> {
    let (name, person): (ReleaseName, PersonId) = (call.part("name")?, call.person()?);
    let app = call.app.clone();
    let build = move || -> Result<Response, Fault> {
        let shell = shell(&app, &person)?;
        let reply = release_reply(&app.engine, &person, &name)?;
        let content = release_page::content(&reply, shell.now);
        Ok(page(StatusCode::OK, shell.page(Some(Section::Pipeline), &name.to_string(), &content)))
    };
    whole::shown(&call, build).await
}
