//! One service: what runs and ran where, its releases, going forward and back.

use axum::http::StatusCode;
use axum::response::Response;
use lockgate_engine::Fault;
use lockgate_model::{PersonId, ServiceName};
use lockgate_web::{Section, service as service_page};

use super::{rights, shell};
use crate::call::Call;
use crate::handlers::heavy;
use crate::handlers::pages::page;
use crate::handlers::services::service_reply;

/// `GET /services/{*name}`.
pub async fn service(call: Call) -> Result<Response, Fault> {
    let (name, person): (ServiceName, PersonId) = (call.part("name")?, call.person()?);
    let before: Option<u64> = call.query("before")?;
    let app = call.app.clone();
    let text = heavy(move || {
        let shell = shell(&app, &person)?;
        let reply = service_reply(&app.engine, &person, &name, before)?;
        let mut allowed = Vec::with_capacity(reply.environments.len());
        for row in &reply.environments {
            allowed.push(rights(&app.engine, &person, &name, &row.environment)?);
        }
        let content = service_page::content(&reply, &allowed, shell.now);
        Ok(shell.page(Some(Section::Pipeline), name.as_str(), &content))
    })
    .await?;
    Ok(page(StatusCode::OK, text))
}
