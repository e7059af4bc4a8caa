//! Status, history.

use lockgate_api::client::query_value;
use lockgate_api::wire::{ChangeRow, HistoryReply, PersonRow, StatusReply, WaiverRow};
use lockgate_api::{Client, Exit};
use lockgate_model::StreamName;
use lockgate_policy::{PolicySet, expiry_lint};

use crate::cli;
use crate::commands::approvers::approvers;
use crate::commands::break_glass::alarms;
use crate::commands::expiry::warnings;
use crate::commands::waive::ending_soon;
use crate::failure::Outcome;
use crate::terminal::table;
use crate::world::World;

/// `lockgate status`.
///
/// # Errors
/// When the server cannot be reached.
pub fn status(world: &World, options: &cli::Status) -> Outcome {
    if options.approvers {
        return approvers(world);
    }
    let client = world.signed_in()?;
    let query = options
        .service
        .as_ref()
        .map(|service| format!("?service={}", query_value(service.as_str())))
        .unwrap_or_default();
    let mut reply: StatusReply = client.get(&format!("/v1/status{query}"))?;
    while let Some(after) = reply.next.take() {
        let page: StatusReply = client.get(&format!("/v1/status?after={}", query_value(after.as_str())))?;
        reply.services.extend(page.services);
        reply.next = page.next;
    }
    let alarms = alarms(&reply.freezes, &reply.break_glass);
    world.terminal.show(&reply, || {
        if reply.services.is_empty() {
            return "nothing is published yet\n  next  lockgate push FILE --service NAME --version 1.0.0 --tests junit.xml".to_owned();
        }
        let mut header = vec!["service"];
        header.extend(reply.environments.iter().map(lockgate_model::EnvName::as_str));
        let rows = reply.services.iter().map(|row| {
            let cell = |cell: &Option<lockgate_api::wire::RunningCell>| cell.as_ref().map_or("-".to_owned(), |cell| format!("{} ({})", cell.release.version, cell.promotion));
            std::iter::once(row.service.to_string()).chain(row.running.iter().map(cell)).collect()
        });
        let mut text = table(&header, rows);
        if !reply.open.is_empty() {
            let rows = reply.open.iter().map(|open| vec![open.promotion.to_string(), open.release.to_string(), format!("into {}", open.environment), format!("lockgate why {}", open.promotion)]);
            text.push_str(&format!("\n\n{}", table(&["open", "release", "", ""], rows)));
        }
        text
    })?;
    for alarm in alarms {
        world.terminal.say(alarm);
    }
    remind(world, &client);
    Ok(Exit::Done)
}

/// Says in a line each what waits for somebody's signature, and which keys end soon.
fn remind(world: &World, client: &Client) {
    // Reminders are a courtesy: what was asked for has been printed.
    let people: Vec<PersonRow> = client.get("/v1/people").unwrap_or_default();
    let warnings = warnings(&people, world.now());
    if let Some(first) = warnings.first() {
        let more = match warnings.len() - 1 {
            0 => String::new(),
            more => format!(" (and {more} more: lockgate key list)"),
        };
        world.terminal.say(format!("warning: {}{more}", first.text));
    }
    let document = client.get_bytes("/v1/policy").unwrap_or_default();
    let ending = PolicySet::from_document(&document).ok().and_then(|policy| expiry_lint(&policy, world.now()));
    if let Some(lint) = ending {
        world.terminal.say(format!("warning: {}; {}", lint.message, lint.hint.unwrap_or_default()));
    }
    let waivers: Vec<WaiverRow> = client.get("/v1/waivers").unwrap_or_default();
    let ending = ending_soon(&waivers, world.now());
    if let Some(first) = ending.first() {
        let more = match ending.len() - 1 {
            0 => String::new(),
            more => format!(" (and {more} more: lockgate waive list)"),
        };
        world.terminal.say(format!("warning: {first}{more}"));
    }
    let changes: Vec<ChangeRow> = client.get("/v1/changes").unwrap_or_default();
    let open: Vec<String> =
        changes.iter().filter(|row| row.status == "open").map(|row| row.change.to_string()).collect();
    if !open.is_empty() {
        world.terminal.say(format!("note: {} wait for signatures: lockgate change list", open.join(", ")));
    }
}

/// `lockgate history`.
///
/// # Errors
/// When the server cannot be reached.
pub fn history(world: &World, options: &cli::History) -> Outcome {
    let client = world.signed_in()?;
    let filter = &options.filter;
    let stream = filter
        .release
        .as_ref()
        .map(StreamName::release)
        .or_else(|| filter.promotion.map(StreamName::promotion))
        .or_else(|| filter.env.as_ref().map(StreamName::environment))
        .or_else(|| filter.person.as_ref().map(StreamName::person))
        .or_else(|| filter.service.as_ref().map(StreamName::service))
        .or_else(|| filter.artifact.as_ref().map(StreamName::artifact))
        .or_else(|| filter.governance.then(StreamName::governance));
    let mut path = format!("/v1/history?limit={}", options.limit);
    if let Some(stream) = stream {
        path.push_str(&format!("&stream={}", query_value(stream.as_str())));
    }
    if let Some(before) = options.before {
        path.push_str(&format!("&before={before}"));
    }
    let reply: HistoryReply = client.get(&path)?;
    world.terminal.show(&reply, || {
        let rows = reply.items.iter().map(|item| {
            vec![
                item.index.to_string(),
                item.time.to_string(),
                item.actor.clone(),
                item.event.clone(),
                match &item.suspect {
                    Some(why) => format!("{} (SUSPECT {why})", item.summary),
                    None => item.summary.clone(),
                },
            ]
        });
        let mut text = table(&["entry", "time", "who", "event", "what"], rows);
        if let Some(next) = reply.next {
            text.push_str(&format!("\n  older      --before {next}"));
        }
        text
    })?;
    Ok(Exit::Done)
}
