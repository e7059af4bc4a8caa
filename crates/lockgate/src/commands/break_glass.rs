//! Break-glass: let a release past the gates in an emergency, sign what somebody else opened, review it afterwards.

use lockgate_api::client::query_value;
use lockgate_api::wire::{
    Acknowledged, BreakGlassCountersignature, BreakGlassReply, BreakGlassReviewRequest, BreakGlassRow, Changed,
    FreezeRow, HistoryReply, NewBreakGlass, ServerInfo,
};
use lockgate_api::{Client, Exit};
use lockgate_ledger::break_glass::{
    BREAK_GLASS_NAMESPACE, BreakGlassDocument, BreakGlassOpened, BreakGlassReviewDocument, BreakGlassReviewed,
};
use lockgate_ledger::code_words::code_words;
use lockgate_ledger::governance::document_bytes;
use lockgate_model::text::visible;
use lockgate_model::{Digest, EntryIndex, PersonId, ReleaseName, StreamName};

use crate::cli;
use crate::commands::why::outcome_exit;
use crate::failure::{Failure, Outcome};
use crate::keyring::sign;
use crate::receipts::logged_line;
use crate::terminal::{fields, table};
use crate::world::World;

/// `lockgate break-glass`.
///
/// # Errors
/// What the key or the server refuses. It ends as the promotion stands; 5 while signatures are missing.
pub fn break_glass(world: &World, options: &cli::BreakGlass) -> Outcome {
    match &options.act {
        Some(cli::BreakGlassAct::List { all }) => list(world, *all),
        Some(cli::BreakGlassAct::Sign { break_glass, yes }) => countersign(world, *break_glass, *yes),
        Some(cli::BreakGlassAct::Review { break_glass, finding, yes }) => review(world, *break_glass, finding, *yes),
        None => open(world, options),
    }
}

fn open(world: &World, options: &cli::BreakGlass) -> Outcome {
    let missing =
        |what: &str, hint: &str| Failure::usage("ARGUMENT_MISSING", format!("break-glass needs {what}")).hint(hint);
    let usage = "lockgate break-glass RELEASE ENVIRONMENT --reason \"...\" --ticket INC-1";
    let release = options.release.clone().ok_or_else(|| missing("a release", usage))?;
    let environment = options.environment.clone().ok_or_else(|| missing("an environment", usage))?;
    let reason = options.reason.clone().ok_or_else(|| missing("a reason", usage))?;
    let ticket = options.ticket.clone().ok_or_else(|| missing("a ticket or incident", usage))?;
    let by = world.person()?;
    let client = world.signed_in_as(&by)?;
    let info: ServerInfo = client.get("/v1/server")?;
    world.check_ledger(&info.origin)?;
    let event = BreakGlassOpened {
        manifest: manifest_of(&client, &release)?,
        release,
        environment,
        reason,
        ticket,
        expires_at: world.now().plus(options.lasts),
        by,
        signature: String::new(),
    };
    let by = event.by.clone();
    let signature = signed(world, &info.origin, &event, &by, options.yes)?;
    let request = NewBreakGlass {
        release: event.release,
        manifest: event.manifest,
        environment: event.environment,
        reason: event.reason,
        ticket: event.ticket,
        expires_at: event.expires_at,
        by: event.by,
        signature,
    };
    let reply: Acknowledged<BreakGlassReply> = client.post("/v1/break-glass", &request, Some(&world.random_hex()?))?;
    told(world, &reply)
}

fn countersign(world: &World, break_glass: u64, yes: bool) -> Outcome {
    let by = world.person()?;
    let client = world.signed_in_as(&by)?;
    let info: ServerInfo = client.get("/v1/server")?;
    world.check_ledger(&info.origin)?;
    let rows: Vec<BreakGlassRow> = client.get("/v1/break-glass")?;
    let row = rows.into_iter().find(|row| row.break_glass == break_glass).ok_or_else(|| {
        Failure::new(Exit::NotFound, "BREAK_GLASS_UNKNOWN", format!("entry {break_glass} opens no break-glass"))
            .hint("`lockgate break-glass list --all` shows them")
    })?;
    let opened_by = row.signed_by.first().cloned().ok_or_else(|| {
        Failure::new(Exit::Failed, "SERVER_PROTOCOL", "the server answered with a break-glass that nobody opened")
    })?;
    // Rebuilt here from what is shown: whoever signs does not sign bytes that the server made.
    let event = BreakGlassOpened {
        release: row.release,
        manifest: row.manifest,
        environment: row.environment,
        reason: row.reason,
        ticket: row.ticket,
        expires_at: row.expires_at,
        by: opened_by,
        signature: String::new(),
    };
    let signature = signed(world, &info.origin, &event, &by, yes)?;
    let request = BreakGlassCountersignature { break_glass, by, signature };
    let reply: Acknowledged<BreakGlassReply> =
        client.post("/v1/break-glass/signatures", &request, Some(&world.random_hex()?))?;
    told(world, &reply)
}

/// Shows what is to be signed, asks, and signs it.
fn signed(world: &World, origin: &str, event: &BreakGlassOpened, by: &PersonId, yes: bool) -> Result<String, Failure> {
    let document = document_bytes(&BreakGlassDocument::new(origin, event))?;
    world.terminal.say(format!(
        "You are about to BREAK THE GLASS. It alarms until somebody else has reviewed it:\n{}",
        fields(&[
            ("release", &event.release),
            ("manifest", &event.manifest),
            ("into", &event.environment),
            ("until", &event.expires_at),
            ("opened by", &event.by),
            ("ticket", &event.ticket),
            ("reason", &event.reason),
            ("ledger", &origin),
            ("code", &code_words(&Digest::of(&document))),
        ])
    ));
    if !yes && !world.terminal.confirm("Sign this?")? {
        return Err(Failure::new(Exit::Failed, "NOT_CONFIRMED", "nothing was signed"));
    }
    let signer = world.keyring.signer(&world.context()?, by, None)?;
    sign(signer.as_ref(), BREAK_GLASS_NAMESPACE, &document)
}

fn told(world: &World, reply: &Acknowledged<BreakGlassReply>) -> Outcome {
    let result = &reply.result;
    world.acknowledged(reply, || {
        let logged = logged_line(reply.logged.as_ref());
        match (&result.promotion, &result.status) {
            (Some(promotion), Some(status)) => format!(
                "BREAK-GLASS of entry {}: {promotion} is {status}\n{logged}  review      lockgate break-glass review {} --finding ...",
                result.break_glass, result.break_glass
            ),
            _ => format!(
                "{} of {} people have signed it\n{logged}  sign        lockgate break-glass sign {}",
                result.signed, result.needed, result.break_glass
            ),
        }
    })?;
    Ok(result.status.as_deref().map_or(Exit::Pending, outcome_exit))
}

/// The manifest that a release was published with; a version never names other bytes.
fn manifest_of(client: &Client, release: &ReleaseName) -> Result<Digest, Failure> {
    let stream = StreamName::service(&release.service);
    let mut path = format!("/v1/history?limit=200&stream={}", query_value(stream.as_str()));
    loop {
        let page: HistoryReply = client.get(&path)?;
        let name = release.to_string();
        let published = page
            .items
            .iter()
            .filter_map(|item| item.entry.pointer("/event/body"))
            .find(|body| body.get("release").and_then(serde_json::Value::as_str) == Some(name.as_str()));
        let manifest = published.and_then(|body| body.get("manifest")).and_then(serde_json::Value::as_str);
        if let Some(manifest) = manifest {
            return manifest.parse().map_err(|_| {
                Failure::new(Exit::Failed, "SERVER_PROTOCOL", "the server answered with a manifest that is no digest")
            });
        }
        let Some(next) = page.next else { break };
        path = format!("/v1/history?limit=200&stream={}&before={next}", query_value(stream.as_str()));
    }
    Err(Failure::new(Exit::NotFound, "RELEASE_UNKNOWN", format!("no release {release} is published")))
}

fn list(world: &World, all: bool) -> Outcome {
    let mut rows: Vec<BreakGlassRow> = world.signed_in()?.get("/v1/break-glass")?;
    rows.retain(|row| all || matches!(row.state.as_str(), "open" | "unreviewed"));
    world.terminal.show(&rows, || {
        if rows.is_empty() {
            return "no break-glass waits for signatures or for its review".to_owned();
        }
        let line = |row: &BreakGlassRow| {
            vec![
                row.break_glass.to_string(),
                row.release.to_string(),
                row.environment.to_string(),
                state(row),
                names(&row.signed_by),
                visible(&row.ticket),
                visible(&row.reason),
            ]
        };
        table(&["entry", "release", "into", "state", "signed by", "ticket", "reason"], rows.iter().map(line))
    })?;
    Ok(Exit::Done)
}

fn names(people: &[PersonId]) -> String {
    people.iter().map(PersonId::as_str).collect::<Vec<_>>().join(", ")
}

fn state(row: &BreakGlassRow) -> String {
    let used = if row.used { "used" } else { "not used" };
    match (row.state.as_str(), &row.reviewed_by) {
        ("open", _) => format!("{} of {} signed, until {}", row.signed_by.len(), row.needed, row.expires_at),
        ("unreviewed", _) => format!("NOT REVIEWED, {used}"),
        ("reviewed", Some(by)) => format!("reviewed by {by}, {used}"),
        _ => format!("over since {}", row.expires_at),
    }
}

fn review(world: &World, break_glass: u64, finding: &str, yes: bool) -> Outcome {
    let by = world.person()?;
    let client = world.signed_in_as(&by)?;
    let info: ServerInfo = client.get("/v1/server")?;
    world.check_ledger(&info.origin)?;
    let event = BreakGlassReviewed {
        break_glass: EntryIndex(break_glass),
        finding: finding.to_owned(),
        by,
        signature: String::new(),
    };
    let document = document_bytes(&BreakGlassReviewDocument::new(&info.origin, &event))?;
    let rows: Vec<BreakGlassRow> = client.get("/v1/break-glass")?;
    let what = match rows.iter().find(|row| row.break_glass == break_glass) {
        Some(row) => format!(
            "{} into {}, signed by {}, {}: {} ({})",
            row.release,
            row.environment,
            names(&row.signed_by),
            state(row),
            row.reason,
            row.ticket
        ),
        None => "not among those that you may read".to_owned(),
    };
    world.terminal.say(format!(
        "You are about to sign the review of a break-glass, which ends its alarm:\n{}",
        fields(&[
            ("entry", &break_glass),
            ("break-glass", &what),
            ("finding", &event.finding),
            ("ledger", &info.origin),
            ("code", &code_words(&Digest::of(&document))),
        ])
    ));
    if !yes && !world.terminal.confirm("Sign this?")? {
        return Err(Failure::new(Exit::Failed, "NOT_CONFIRMED", "nothing was signed"));
    }
    let signer = world.keyring.signer(&world.context()?, &event.by, None)?;
    let request = BreakGlassReviewRequest {
        break_glass,
        finding: event.finding,
        by: event.by,
        signature: sign(signer.as_ref(), BREAK_GLASS_NAMESPACE, &document)?,
    };
    let reply: Acknowledged<Changed> = client.post("/v1/break-glass/reviews", &request, Some(&world.random_hex()?))?;
    world.acknowledged(&reply, || {
        format!("the break-glass of entry {break_glass} is reviewed\n{}", logged_line(reply.logged.as_ref()))
    })?;
    Ok(Exit::Done)
}

/// What is frozen, and which break-glass waits, in a line each.
pub fn alarms(freezes: &[FreezeRow], opened: &[BreakGlassRow]) -> Vec<String> {
    let frozen = |row: &FreezeRow| {
        format!(
            "FROZEN: {} by {} since {} (entry {}): {}",
            visible(&row.what),
            row.by,
            row.since,
            row.freeze,
            visible(&row.reason)
        )
    };
    let glass = |row: &BreakGlassRow| match row.state.as_str() {
        "unreviewed" => format!(
            "ALARM: break-glass of entry {} for {} into {} by {} is NOT REVIEWED: lockgate break-glass review {} --finding ...",
            row.break_glass,
            row.release,
            row.environment,
            names(&row.signed_by),
            row.break_glass
        ),
        _ => format!(
            "note: the break-glass of entry {} for {} into {} waits for signatures: lockgate break-glass sign {}",
            row.break_glass, row.release, row.environment, row.break_glass
        ),
    };
    freezes.iter().map(frozen).chain(opened.iter().map(glass)).collect()
}
