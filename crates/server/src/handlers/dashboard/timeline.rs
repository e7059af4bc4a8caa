//! The timeline: what happened, filtered.

use axum::http::StatusCode;
use axum::response::Response;
use lockgate_engine::Fault;
use lockgate_web::timeline::Filter;
use lockgate_web::{Section, timeline as timeline_page};

use super::shell;
use crate::call::Call;
use crate::handlers::heavy;
use crate::handlers::history::{Asked, history_reply};
use crate::handlers::pages::page;

/// How many entries one page shows.
const ENTRIES: usize = 100;

/// `GET /timeline`.
pub async fn timeline(call: Call) -> Result<Response, Fault> {
    let asked = Asked::of(&call, ENTRIES)?;
    let kept = |name: &str| call.query.get(name).map(|text| text.trim().to_owned()).unwrap_or_default();
    let filter = Filter {
        stream: kept("stream"),
        service: kept("service"),
        artifact: kept("artifact"),
        person: kept("person"),
        environment: kept("environment"),
        event: kept("event"),
        text: kept("text"),
        since: kept("since"),
        until: kept("until"),
        outcome: kept("outcome"),
        policy: kept("policy"),
        build: kept("build"),
        before: asked.before,
    };
    let person = call.person()?;
    let app = call.app.clone();
    let text = heavy(move || {
        let shell = shell(&app, &person)?;
        let reply = history_reply(&app.engine, &person, &asked)?;
        let content = timeline_page::content(&reply, &filter, shell.now);
        Ok(shell.page(Some(Section::Timeline), "Timeline", &content))
    })
    .await?;
    Ok(page(StatusCode::OK, text))
}
