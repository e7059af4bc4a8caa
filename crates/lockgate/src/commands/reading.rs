//! Status, history.

use std::path::Path;

use lockgate_api::client::query_value;
use lockgate_api::wire::{ChangeRow, HistoryReply, PersonRow, StatusReply, WaiverRow, Whoami};
use lockgate_api::{Client, Exit, csv};
use lockgate_model::text::argument;
use lockgate_model::{EnvName, ServiceName, StreamName};
use lockgate_policy::{PolicySet, expiry_lint};

use crate::cli::{self, Global, HistoryFilter};
use crate::commands::approvers::approvers;
use crate::commands::break_glass::alarms;
use crate::commands::change::needs;
use crate::commands::expiry::warnings;
use crate::commands::key::person_row;
use crate::commands::waive::ending_soon;
use crate::failure::{Failure, Outcome};
use crate::terminal::table;
use crate::world::{World, variable};

/// `lockgate status`.
///
/// # Errors
/// `SERVICE_UNKNOWN`, or when the server cannot be reached.
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
    if let (true, Some(service)) = (reply.services.is_empty(), &options.service) {
        return Err(service_unknown(service));
    }
    let alarms = alarms(&reply.freezes, &reply.break_glass);
    world.terminal.show(&reply, || {
        if reply.services.is_empty() {
            return "nothing is published yet\n  next  lockgate push FILE --service NAME --version 1.0.0 --tests junit.xml".to_owned();
        }
        let mut header = vec!["service"];
        header.extend(reply.environments.iter().map(EnvName::as_str));
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

fn service_unknown(service: &ServiceName) -> Failure {
    let message = format!("nothing of `{service}` is published that you may read");
    Failure::new(Exit::NotFound, "SERVICE_UNKNOWN", message)
        .hint("`lockgate status` lists every service that you may read")
}

/// That the active policy set has no environment of this name, but those that are `known`.
pub fn environment_unknown(name: &EnvName, known: &[EnvName]) -> Failure {
    let known: Vec<&str> = known.iter().map(EnvName::as_str).collect();
    let message = format!("the active policy set has no environment `{name}`");
    Failure::new(Exit::NotFound, "ENVIRONMENT_UNKNOWN", message).hint(format!("it has {}", known.join(", ")))
}

/// Whether what a history without entries was asked about is there at all.
fn check_known(client: &Client, filter: &HistoryFilter) -> Result<(), Failure> {
    let unknown = |code: &str, message: String, hint: &str| Err(Failure::new(Exit::NotFound, code, message).hint(hint));
    if let Some(environment) = &filter.env {
        let status: StatusReply = client.get("/v1/status")?;
        if !status.environments.contains(environment) {
            return Err(environment_unknown(environment, &status.environments));
        }
    }
    if let Some(service) = &filter.service {
        return Err(service_unknown(service));
    }
    if let Some(release) = &filter.release {
        let message = format!("no release {release} is published that you may read");
        return unknown("RELEASE_UNKNOWN", message, "`lockgate history --service NAME` lists a service's releases");
    }
    if let Some(promotion) = filter.promotion {
        let message = format!("{promotion} is no promotion that you may read");
        return unknown("PROMOTION_UNKNOWN", message, "see `lockgate status`");
    }
    if let Some(name) = &filter.person {
        person_row(client, name)?;
    }
    Ok(())
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
    let me = client.get::<Whoami>("/v1/whoami").ok();
    let named = |rows: Vec<&ChangeRow>| rows.iter().map(|row| row.change.to_string()).collect::<Vec<_>>().join(", ");
    let open = changes.iter().filter(|row| row.status == "open");
    let (yours, others): (Vec<&ChangeRow>, Vec<&ChangeRow>) =
        open.partition(|row| me.as_ref().is_some_and(|me| needs(row, me)));
    if !yours.is_empty() {
        world.terminal.say(format!("note: {} needs you: lockgate change list", named(yours)));
    }
    if !others.is_empty() {
        world.terminal.say(format!("note: {} waits for others to sign", named(others)));
    }
}

/// `lockgate history`.
///
/// # Errors
/// `ENVIRONMENT_UNKNOWN`, `SERVICE_UNKNOWN`, `RELEASE_UNKNOWN`, `PROMOTION_UNKNOWN` or `PERSON_UNKNOWN` where there is
/// nothing of that name, or when the server cannot be reached.
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
    let mut asked = String::new();
    if let Some(stream) = stream {
        asked.push_str(&format!("&stream={}", query_value(stream.as_str())));
    }
    for (name, value) in options.only.pairs() {
        asked.push_str(&format!("&{name}={}", query_value(value)));
    }
    let mut path = format!("/v1/history?limit={}{asked}", options.limit);
    if let Some(before) = options.before {
        path.push_str(&format!("&before={before}"));
    }
    let reply: HistoryReply = client.get(&path)?;
    let asked_for_all = options.before.is_none() && options.only.pairs().next().is_none();
    if reply.items.is_empty() && reply.next.is_none() && asked_for_all {
        check_known(&client, filter)?;
    }
    if options.csv {
        world.terminal.bytes(csv::history(&reply).as_bytes())?;
        return Ok(Exit::Done);
    }
    let is_newest = match (options.before, reply.items.first()) {
        (Some(_), Some(first)) => {
            let newest = client.get::<HistoryReply>(&format!("/v1/history?limit=1{asked}"));
            newest.is_ok_and(|newest| newest.items.first().is_some_and(|item| item.index == first.index))
        }
        _ => false,
    };
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
            text.push_str(&format!("\n  older      {}", older(world, options, next)));
        }
        text
    })?;
    if is_newest {
        world
            .terminal
            .say("note: these are the newest: `--before` leaves none out; take the number that `older` prints");
    }
    Ok(Exit::Done)
}

/// The command that shows the next page, as a line for a shell.
fn older(world: &World, options: &cli::History, next: u64) -> String {
    let mut command = "lockgate history".to_owned();
    let mut add = |name: &str, value: &str| command.push_str(&format!(" --{name} {}", argument(value)));
    if let Some((name, value)) = options.filter.pair() {
        add(name, &value);
    }
    for (name, value) in options.only.pairs() {
        add(name, value);
    }
    if options.limit != cli::HISTORY_LIMIT {
        add("limit", &options.limit.to_string());
    }
    for (name, value) in given(&world.global, variable("LOCKGATE_HOME").as_deref()) {
        add(name, &value);
    }
    add("before", &next.to_string());
    if options.filter.governance {
        command.push_str(" --governance");
    }
    command
}

/// The options of every command that were given and that the next one needs too. The home that the environment names
/// is named for that one as well.
fn given(global: &Global, named: Option<&str>) -> Vec<(&'static str, String)> {
    let home = global.home.as_deref().filter(|home| Some(*home) != named.map(Path::new));
    let home = home.map(|home| ("home", home.to_string_lossy().into_owned()));
    let server = global.server.clone().map(|server| ("server", server));
    let person = global.person.as_ref().map(|person| ("as", person.to_string()));
    [home, server, person].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Format;

    #[test]
    fn the_next_command_has_the_options_that_this_one_was_given() {
        let check = |home: Option<&str>, server: Option<&str>, named: Option<&str>, expected: &[(&str, &str)]| {
            let global = Global {
                home: home.map(Into::into),
                server: server.map(str::to_owned),
                person: None,
                output: Format::Table,
                quiet: false,
                verbose: 0,
            };
            let found = given(&global, named);
            let found: Vec<_> = found.iter().map(|(name, value)| (*name, value.as_str())).collect();
            assert_eq!(found, expected);
        };
        check(None, None, None, &[]);
        check(
            Some("/srv/a b"),
            Some("https://l.example"),
            None,
            &[("home", "/srv/a b"), ("server", "https://l.example")],
        );
        check(Some("/srv/own"), None, Some("/srv/own"), &[]);
        check(Some("/srv/own"), None, Some("/srv/other"), &[("home", "/srv/own")]);
    }
}
