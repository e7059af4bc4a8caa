//! The pipeline: its matrix, and its graph for one that does not form a line.

use axum::http::StatusCode;
use axum::response::Response;
use lockgate_engine::matrix::{self as matrices, Wanted};
use lockgate_engine::{Engine, Fault};
use lockgate_model::PersonId;
use lockgate_web::graph::{Edge, Graph, Node};
use lockgate_web::matrix::{Filter, Moment};
use lockgate_web::{Section, Shell, graph, matrix};

use super::shell;
use crate::call::Call;
use crate::handlers::heavy;
use crate::handlers::matrix::{Asked, OLD_DAYS, matrix_reply, pins};
use crate::handlers::pages::page;

/// `GET /`.
pub async fn pipeline(call: Call) -> Result<Response, Fault> {
    match call.query.get("view").map(|view| view.trim()) {
        None | Some("" | "matrix") => {}
        Some("graph") => return as_graph(call).await,
        Some(_) => return Err(Fault::invalid("QUERY_INVALID", "`view` is matrix or graph")),
    }
    let (mut asked, person) = (Asked::of(&call)?, call.person()?);
    asked.filter.pinned = pins(&call)?.services();
    let filter = filter(&call, &asked);
    let app = call.app.clone();
    let text = heavy(move || {
        let shell = shell(&app, &person)?;
        let reply = matrix_reply(&app.engine, &person, &asked)?;
        let content = matrix::content(&reply, &filter, moment(&shell));
        Ok(shell.page(Some(Section::Pipeline), "Pipeline", &content))
    })
    .await?;
    Ok(page(StatusCode::OK, text))
}

/// `GET /?view=graph`: all environments, whatever else is filtered by.
async fn as_graph(call: Call) -> Result<Response, Fault> {
    let (app, person) = (call.app.clone(), call.person()?);
    let text = heavy(move || {
        let shell = shell(&app, &person)?;
        // For the summary alone, which counts all whatever the page has.
        let reply = matrix_reply(&app.engine, &person, &Asked::default())?;
        let content = graph::content(&drawn(&app.engine, &person)?, &reply, moment(&shell));
        Ok(shell.page(Some(Section::Pipeline), "Pipeline", &content))
    })
    .await?;
    Ok(page(StatusCode::OK, text))
}

fn moment(shell: &Shell) -> Moment {
    Moment { waiting: shell.waiting, signed: shell.signed, now: shell.now }
}

/// The graph as the page shows it.
fn drawn(engine: &Engine, person: &PersonId) -> Result<Graph, Fault> {
    let found = matrices::graph(engine, person)?;
    let node = |node: matrices::Node| Node {
        environment: node.environment,
        running: node.running,
        behind: node.behind,
        open: node.open,
    };
    let edge = |edge: matrices::Edge| Edge {
        from: edge.from,
        into: edge.into,
        comes: edge.comes,
        gates: edge.gates,
        behind: edge.behind,
    };
    Ok(Graph {
        nodes: found.nodes.into_iter().map(node).collect(),
        edges: found.edges.into_iter().map(edge).collect(),
        open_cut: found.open_cut,
    })
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
