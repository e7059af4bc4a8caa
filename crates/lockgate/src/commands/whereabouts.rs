//! Where: which releases something is in, and which environments run them.

use lockgate_api::Exit;
use lockgate_api::client::query_value;
use lockgate_api::wire::{WhereReply, WhereRow, WhereRun};

use crate::cli;
use crate::failure::Outcome;
use crate::terminal::table;
use crate::world::World;

/// How many releases with incomplete evidence are named.
const PARTIAL_NAMED: usize = 5;

/// `lockgate where`.
///
/// # Errors
/// `QUERY_INVALID`, or when the server cannot be reached.
pub fn find(world: &World, options: &cli::Where) -> Outcome {
    let client = world.signed_in()?;
    let mut path = format!("/v1/where?query={}&limit={}", query_value(&options.query), options.limit.max(1));
    if let Some(at) = options.at {
        path.push_str(&format!("&at={}", query_value(&at.to_string())));
    }
    if let Some(environment) = &options.environment {
        path.push_str(&format!("&environment={}", query_value(environment.as_str())));
    }
    let reply: WhereReply = client.get(&path)?;
    world.terminal.show(&reply, || shown(&reply))?;
    for note in notes(&reply) {
        world.terminal.say(note);
    }
    Ok(Exit::Done)
}

fn shown(reply: &WhereReply) -> String {
    if reply.unknown_key {
        return format!("{} is no person, machine or signer of the policy set, and no key of theirs", reply.query);
    }
    if reply.rows.is_empty() {
        return format!("nothing that you may read has {}", reply.query);
    }
    let when = match reply.at {
        Some(at) => format!("ran at {at}"),
        None => "runs in".to_owned(),
    };
    let rows = reply.rows.iter().map(|row| {
        vec![row.release.to_string(), row.matched.clone(), artifacts(row), via(row), detail(row), runs(row)]
    });
    table(&["release", "what", "artifact", "via", "detail", when.as_str()], rows)
}

fn artifacts(row: &WhereRow) -> String {
    let names: Vec<&str> = row.artifacts.iter().map(|artifact| artifact.name.as_str()).collect();
    names.join(", ")
}

fn via(row: &WhereRow) -> String {
    match (&row.via, &row.promotion) {
        (_, Some(promotion)) => format!("{} of {promotion}", row.kind),
        (Some(digest), None) => format!("{} {digest}", row.kind),
        (None, None) => row.kind.clone(),
    }
}

/// In words; what no trusted signature stands behind is told as such before anything else.
fn detail(row: &WhereRow) -> String {
    match row.unverified {
        true => format!("unverified: {}", row.detail),
        false => row.detail.clone(),
    }
}

fn runs(row: &WhereRow) -> String {
    let run = |run: &WhereRun| match run.until {
        Some(until) => format!("{} {}..{until} ({})", run.environment, run.since, run.promotion),
        None => format!("{} since {} ({})", run.environment, run.since, run.promotion),
    };
    match row.runs.is_empty() {
        true => "-".to_owned(),
        false => row.runs.iter().map(run).collect::<Vec<_>>().join(", "),
    }
}

/// What an answer does not cover.
fn notes(reply: &WhereReply) -> Vec<String> {
    let mut notes = Vec::new();
    if reply.left_out > 0 || reply.cut {
        let more = if reply.cut { "and more" } else { "in all" };
        notes.push(format!("note: {} rows are left out, {more}: ask for a version, or with --env", reply.left_out));
    }
    if !reply.partial.is_empty() {
        let named: Vec<String> = reply.partial.iter().take(PARTIAL_NAMED).map(ToString::to_string).collect();
        notes.push(format!(
            "note: evidence of {} releases is not indexed as a whole, and may hold more: {}",
            reply.partial.len(),
            named.join(", ")
        ));
    }
    if reply.query.starts_with("pkg:") || reply.query.starts_with("cve:") {
        notes.push(
            "note: this is what bills of materials and scans say; a release without them is not found".to_owned(),
        );
    }
    notes
}
