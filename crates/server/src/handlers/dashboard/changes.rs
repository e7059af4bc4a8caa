//! Proposed changes of keys, people and policy: the list, and one of them.

use axum::http::StatusCode;
use axum::response::Response;
use lockgate_api::wire::ChangeRow;
use lockgate_engine::change::{self as changing, ChangeView};
use lockgate_engine::{Engine, Fault, Kind};
use lockgate_ledger::change::{read_draft, render};
use lockgate_ledger::code_words::code_words;
use lockgate_model::{ChangeId, Digest, PersonId};
use lockgate_web::Section;
use lockgate_web::changes::{self as changes_page, ChangePage, STATES};

use super::shell;
use crate::call::Call;
use crate::handlers::changes::{CHANGES_MAX, row};
use crate::handlers::heavy;
use crate::handlers::history::filled;
use crate::handlers::pages::page;

/// `GET /changes`.
pub async fn changes(call: Call) -> Result<Response, Fault> {
    let (state, person) = (filled::<String>(&call, "state")?.unwrap_or_default(), call.person()?);
    if !state.is_empty() && !STATES.contains(&state.as_str()) {
        return Err(Fault::invalid("QUERY_INVALID", format!("`state` is one of {}", STATES.join(", "))));
    }
    let app = call.app.clone();
    let text = heavy(move || {
        let shell = shell(&app, &person)?;
        let views = changing::list_for(&app.engine, &person, CHANGES_MAX)?;
        let fits = |row: &ChangeRow| state.is_empty() || row.status == state;
        let rows: Vec<ChangeRow> = views.iter().map(row).filter(fits).collect();
        let content = changes_page::list(&rows, &state, &person, shell.now);
        Ok(shell.page(Some(Section::Inbox), "Proposed changes", &content))
    })
    .await?;
    Ok(page(StatusCode::OK, text))
}

/// `GET /changes/{id}`.
pub async fn change(call: Call) -> Result<Response, Fault> {
    let (id, person): (ChangeId, PersonId) = (call.part("id")?, call.person()?);
    let app = call.app.clone();
    let text = heavy(move || {
        let shell = shell(&app, &person)?;
        let view = changing::show_for(&app.engine, &person, id)?;
        let content = changes_page::one(&change_page(&app.engine, &view, &person)?, &person, shell.now);
        Ok(shell.page(Some(Section::Inbox), &format!("{id}: {}", view.change.event), &content))
    })
    .await?;
    Ok(page(StatusCode::OK, text))
}

/// A change as its signers see it: the text is made from the draft, as the command line makes it.
fn change_page(engine: &Engine, view: &ChangeView, person: &PersonId) -> Result<ChangePage, Fault> {
    let governance = engine.governance()?;
    let event = read_draft(&view.draft)?;
    let demand = event
        .demand(governance.origin())?
        .ok_or_else(|| Fault::new(Kind::Bug, "CHANGE_INVALID", "nobody else has to sign this change"))?;
    let document = Digest::of(&demand.document);
    let mut may_sign: Vec<PersonId> = Vec::new();
    if view.status == "open" {
        let people = governance.people().map(|(id, _)| id);
        may_sign.extend(people.filter(|id| governance.could_sign(id, &view.change)).cloned());
    }
    let signed = view.change.signatures.iter().any(|one| one.by == *person);
    let ends = matches!(view.status, "open" | "stale");
    Ok(ChangePage {
        row: row(view),
        text: render(&event, &demand.document),
        document,
        words: code_words(&document),
        may_sign,
        may_reject: ends && (signed || governance.could_sign(person, &view.change)),
    })
}
