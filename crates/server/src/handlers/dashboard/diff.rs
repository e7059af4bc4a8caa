//! What changes between two releases.

use axum::http::StatusCode;
use axum::response::Response;
use lockgate_engine::Fault;
use lockgate_engine::authorise::may_read;
use lockgate_model::{EnvName, ReleaseName};
use lockgate_policy::Object;
use lockgate_web::{Section, diff as diff_page};

use super::shell;
use crate::call::Call;
use crate::handlers::pages::page;
use crate::handlers::reading::diff_reply;
use crate::handlers::whole;

/// `GET /diff`.
pub async fn diff(call: Call) -> Result<Response, Fault> {
    let (from, to): (ReleaseName, ReleaseName) = (call.required_query("from")?, call.required_query("to")?);
    let environment: Option<EnvName> = call.query("environment")?;
    let person = call.person()?;
    let app = call.app.clone();
    let build = move || -> Result<Response, Fault> {
        let shell = shell(&app, &person)?;
        let reply = diff_reply(&app.engine, &person, &from, &to, environment.as_ref())?;
        let governance = app.engine.governance()?;
        let readable = |name: &EnvName| may_read(&governance, &person, Object::Target(&to.service, name));
        let names = governance.policy.environments().iter().map(|environment| environment.name.clone());
        let environments: Vec<EnvName> = names.filter(readable).collect();
        let content = diff_page::content(&reply, &environments);
        Ok(page(StatusCode::OK, shell.page(Some(Section::Pipeline), &format!("{from} to {to}"), &content)))
    };
    whole::shown(&call, build).await
}
