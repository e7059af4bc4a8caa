//! Waivers: asked for by one person, granted by another, for one finding, until a date.

use std::path::Path;

use lockgate_api::Exit;
use lockgate_api::wire::{Acknowledged, Changed, ServerInfo, Waiver, WaiverEnd, WaiverRequest, WaiverRow};
use lockgate_ledger::code_words::code_words;
use lockgate_ledger::governance::{WAIVER_NAMESPACE, WaiverDocument, document_bytes};
use lockgate_ledger::waiver::{WaiverEndDocument, WaiverRequested};
use lockgate_model::text::{argument, visible};
use lockgate_model::{Digest, EntryIndex, Limits, UnixMillis, json};

use crate::cli;
use crate::failure::{Failure, Outcome};
use crate::home::{read_file, write_file};
use crate::keyring::sign;
use crate::receipts::logged_line;
use crate::terminal::{field, fields, table};
use crate::world::World;

/// How many days before its end a waiver is warned about.
const WARNING_DAYS: u64 = 30;
/// Milliseconds of a day.
const DAY: u64 = 86_400_000;

/// `lockgate waive`.
///
/// # Errors
/// What the request, the key or the server refuses.
pub fn waive(world: &World, options: &cli::Waive) -> Outcome {
    match options {
        cli::Waive::Request(asked) => {
            let cli::waive::WaiverRequest {
                gate,
                finding,
                release,
                service,
                artifact,
                env,
                reason,
                ticket,
                lasts,
                file,
            } = asked.as_ref();
            let service = release.as_ref().map(|release| release.service.clone()).or_else(|| service.clone());
            let asked = WaiverRequested {
                gate: gate.clone(),
                finding: finding.clone(),
                service: service.ok_or_else(|| Failure::usage("SCOPE_MISSING", "name a release or a service"))?,
                environment: env.clone(),
                release: release.clone(),
                artifact: *artifact,
                reason: reason.clone(),
                ticket: ticket.clone(),
                expires_at: world.now().plus(*lasts),
                asked_by: world.person()?,
                signature: String::new(),
            };
            request(world, asked, file.as_deref())
        }
        cli::Waive::Grant { request, yes } => grant(world, request, *yes),
        cli::Waive::List { all } => list(world, *all),
        cli::Waive::Revoke { waiver, reason } => revoke(world, *waiver, reason),
    }
}

fn request(world: &World, asked: WaiverRequested, file: Option<&Path>) -> Outcome {
    let info: ServerInfo = world.client()?.get("/v1/server")?;
    world.check_ledger(&info.origin)?;
    let document = document_bytes(&WaiverDocument::new(&info.origin, &asked))?;
    let signer = world.keyring.signer(&world.context()?, &asked.asked_by, None)?;
    let signature = sign(signer.as_ref(), WAIVER_NAMESPACE, &document)?;
    let asked = WaiverRequested { signature, ..asked };
    if let Some(file) = file {
        let text = serde_json::to_vec_pretty(&handed_over(&asked))
            .map_err(|error| Failure::new(Exit::Bug, "OUTPUT_INVALID", error.to_string()))?;
        write_file(file, &text, 0o644)?;
        let named = argument(&file.to_string_lossy());
        let told =
            format!("{} asks for a waiver\n  next  another person runs `lockgate waive grant {named}`", file.display());
        world.terminal.done(&serde_json::json!({ "file": file.display().to_string() }), told)?;
        return Ok(Exit::Done);
    }
    let client = world.signed_in_as(&asked.asked_by)?;
    let body = on_the_wire(&asked);
    let reply: Acknowledged<Changed> = client.post("/v1/waivers/requests", &body, Some(&world.random_hex()?))?;
    // It is recorded, whatever becomes of this question.
    let rows: Vec<WaiverRow> = client.get("/v1/waivers").unwrap_or_default();
    let void = rows.into_iter().find(|row| row.request == Some(reply.result.index)).and_then(|row| row.void);
    world.acknowledged(&reply, || {
        format!(
            "entry {0} asks to waive {1} until {2}\n{3}{4}  next       another person runs `lockgate waive grant {0}`",
            reply.result.index,
            visible(&asked.finding),
            asked.expires_at,
            logged_line(reply.logged.as_ref()),
            counts_line(void.as_deref())
        )
    })?;
    Ok(Exit::Done)
}

/// A line that says why a waiver would not count if it were granted now; none where it would.
fn counts_line(void: Option<&str>) -> String {
    let line = |void: &str| field("counts", format!("no: {void}, see `lockgate explain {void}`")) + "\n";
    void.map(line).unwrap_or_default()
}

/// The request as a file that is handed over; whoever grants fills in the rest.
fn handed_over(asked: &WaiverRequested) -> Waiver {
    Waiver {
        gate: asked.gate.to_string(),
        finding: asked.finding.clone(),
        service: asked.service.clone(),
        environment: asked.environment.clone(),
        reason: asked.reason.clone(),
        expires_at: asked.expires_at,
        asked_by: asked.asked_by.clone(),
        asked_signature: asked.signature.clone(),
        granted_by: asked.asked_by.clone(),
        granted_signature: String::new(),
        request: None,
        release: asked.release.clone(),
        artifact: asked.artifact,
        ticket: asked.ticket.clone(),
    }
}

fn on_the_wire(asked: &WaiverRequested) -> WaiverRequest {
    WaiverRequest {
        gate: asked.gate.clone(),
        finding: asked.finding.clone(),
        service: asked.service.clone(),
        environment: asked.environment.clone(),
        release: asked.release.clone(),
        artifact: asked.artifact,
        reason: asked.reason.clone(),
        ticket: asked.ticket.clone(),
        expires_at: asked.expires_at,
        asked_by: asked.asked_by.clone(),
        signature: asked.signature.clone(),
    }
}

fn from_the_wire(asked: WaiverRequest) -> WaiverRequested {
    WaiverRequested {
        gate: asked.gate,
        finding: asked.finding,
        service: asked.service,
        environment: asked.environment,
        release: asked.release,
        artifact: asked.artifact,
        reason: asked.reason,
        ticket: asked.ticket,
        expires_at: asked.expires_at,
        asked_by: asked.asked_by,
        signature: asked.signature,
    }
}

fn from_file(path: &Path) -> Result<WaiverRequested, Failure> {
    let bytes = read_file(path, Limits::DEFAULT.json_body_bytes as u64)?;
    let request: Waiver = json::read_as(&bytes, &Limits::DEFAULT, json::Numbers::Integers).map_err(|error| {
        Failure::usage(error.code, format!("{} is not a waiver request: {}", path.display(), error.message))
    })?;
    let gate = request
        .gate
        .parse()
        .map_err(|error: lockgate_model::NameError| Failure::usage("NAME_INVALID", error.to_string()))?;
    Ok(WaiverRequested {
        gate,
        finding: request.finding,
        service: request.service,
        environment: request.environment,
        release: request.release,
        artifact: request.artifact,
        reason: request.reason,
        ticket: request.ticket,
        expires_at: request.expires_at,
        asked_by: request.asked_by,
        signature: request.asked_signature,
    })
}

fn grant(world: &World, request: &str, yes: bool) -> Outcome {
    let person = world.person()?;
    let client = world.signed_in_as(&person)?;
    let info: ServerInfo = client.get("/v1/server")?;
    world.check_ledger(&info.origin)?;
    let (entry, asked, void) = match request.parse::<u64>() {
        Ok(entry) => {
            let rows: Vec<WaiverRow> = client.get("/v1/waivers")?;
            let row = rows.into_iter().find(|row| row.request == Some(entry)).ok_or_else(|| {
                Failure::new(Exit::NotFound, "WAIVER_UNKNOWN", format!("entry {entry} asks for no waiver"))
                    .hint("`lockgate waive list` shows what was asked for")
            })?;
            (Some(entry), from_the_wire(row.asked), row.void)
        }
        Err(_) => (None, from_file(Path::new(request))?, None),
    };
    let document = document_bytes(&WaiverDocument::new(&info.origin, &asked))?;
    let shown = fields(&[
        ("finding", &asked.finding),
        ("gate", &asked.gate),
        ("for", &format!("{} in {}", scope(&asked), asked.environment)),
        ("until", &asked.expires_at),
        ("asked by", &asked.asked_by),
        ("reason", &asked.reason),
        ("ticket", &asked.ticket.as_deref().unwrap_or("none")),
        ("code", &code_words(&Digest::of(&document))),
    ]);
    let counts = counts_line(void.as_deref());
    world.terminal.say(format!("You are about to waive:\n{shown}\n{counts}").trim_end());
    if !yes && !world.terminal.confirm("Sign this waiver?")? {
        return Err(Failure::new(Exit::Failed, "NOT_CONFIRMED", "nothing was signed"));
    }
    let signer = world.keyring.signer(&world.context()?, &person, None)?;
    let body = Waiver {
        granted_signature: sign(signer.as_ref(), WAIVER_NAMESPACE, &document)?,
        granted_by: person,
        request: entry,
        ..handed_over(&asked)
    };
    let reply: Acknowledged<Changed> = client.post("/v1/waivers", &body, Some(&world.random_hex()?))?;
    world.acknowledged(&reply, || {
        format!(
            "{} is waived until {}\n{}{}  end        lockgate waive revoke {} --reason ...",
            visible(&asked.finding),
            asked.expires_at,
            logged_line(reply.logged.as_ref()),
            counts_line(void.as_deref()),
            reply.result.index
        )
    })?;
    Ok(Exit::Done)
}

fn scope(asked: &WaiverRequested) -> String {
    scope_text(asked.release.as_ref(), &asked.service, asked.artifact.as_ref())
}

fn scope_text(
    release: Option<&lockgate_model::ReleaseName>,
    service: &lockgate_model::ServiceName,
    artifact: Option<&Digest>,
) -> String {
    let what = release.map_or_else(|| format!("every release of {service}"), ToString::to_string);
    match artifact {
        Some(artifact) => format!("{artifact} of {what}"),
        None => what,
    }
}

fn list(world: &World, all: bool) -> Outcome {
    let mut rows: Vec<WaiverRow> = world.signed_in()?.get("/v1/waivers")?;
    rows.retain(|row| all || matches!(row.state.as_str(), "asked" | "open" | "void"));
    world.terminal.show(&rows, || {
        if rows.is_empty() {
            return "nothing is waived, and nobody asks for it".to_owned();
        }
        let line = |row: &WaiverRow| {
            let asked = &row.asked;
            let state = match (row.state.as_str(), &row.granted_by, &row.ended_by) {
                ("asked", ..) => format!("asked by {}", asked.asked_by),
                ("open", Some(by), _) => format!("granted by {by}"),
                ("void", ..) => format!("does not count: {}", row.void.as_deref().unwrap_or_default()),
                ("revoked", _, Some(by)) => format!("revoked by {by}"),
                (state, ..) => state.to_owned(),
            };
            vec![
                row.waiver.to_string(),
                visible(&asked.finding),
                asked.gate.to_string(),
                scope_text(asked.release.as_ref(), &asked.service, asked.artifact.as_ref()),
                asked.environment.to_string(),
                asked.expires_at.to_string(),
                state,
                asked.ticket.as_deref().map(visible).unwrap_or_default(),
                visible(&asked.reason),
            ]
        };
        table(&["entry", "finding", "gate", "for", "in", "until", "state", "ticket", "reason"], rows.iter().map(line))
    })?;
    for warning in ending_soon(&rows, world.now()) {
        world.terminal.say(format!("warning: {warning}"));
    }
    Ok(Exit::Done)
}

fn revoke(world: &World, waiver: u64, reason: &str) -> Outcome {
    let by = world.person()?;
    let client = world.signed_in_as(&by)?;
    let info: ServerInfo = client.get("/v1/server")?;
    world.check_ledger(&info.origin)?;
    let document = document_bytes(&WaiverEndDocument::new(&info.origin, EntryIndex(waiver), reason))?;
    let signer = world.keyring.signer(&world.context()?, &by, None)?;
    let body = WaiverEnd {
        waiver,
        reason: reason.to_owned(),
        signature: sign(signer.as_ref(), WAIVER_NAMESPACE, &document)?,
        by,
    };
    let reply: Acknowledged<Changed> = client.post("/v1/waivers/ends", &body, Some(&world.random_hex()?))?;
    world.acknowledged(&reply, || {
        format!("the waiver of entry {waiver} has ended\n{}", logged_line(reply.logged.as_ref()))
    })?;
    Ok(Exit::Done)
}

/// The waivers that count and end within 30 days, in words, those first that end first.
pub fn ending_soon(rows: &[WaiverRow], now: UnixMillis) -> Vec<String> {
    let mut soon: Vec<(u64, &WaiverRow)> = rows
        .iter()
        .filter(|row| row.state == "open")
        .map(|row| (row.asked.expires_at.0.saturating_sub(now.0), row))
        .filter(|(left, _)| *left <= WARNING_DAYS * DAY)
        .collect();
    soon.sort_by_key(|(left, row)| (*left, row.waiver));
    let text = |(left, row): &(u64, &WaiverRow)| {
        let asked = &row.asked;
        let days = left.div_ceil(DAY);
        let word = if days == 1 { "day" } else { "days" };
        format!(
            "the waiver of {} of gate {} for {} in {} ends within {days} {word}: fix the finding, or ask anew",
            visible(&asked.finding),
            asked.gate,
            scope_text(asked.release.as_ref(), &asked.service, asked.artifact.as_ref()),
            asked.environment
        )
    };
    soon.iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(waiver: u64, state: &str, expires_at: u64) -> WaiverRow {
        WaiverRow {
            waiver,
            request: Some(1),
            state: state.to_owned(),
            void: None,
            asked: WaiverRequest {
                gate: "vulnerabilities".parse().unwrap(),
                finding: "CVE-2026-1".to_owned(),
                service: "shop/web".parse().unwrap(),
                environment: "production".parse().unwrap(),
                release: None,
                artifact: None,
                reason: "a test".to_owned(),
                ticket: None,
                expires_at: UnixMillis(expires_at),
                asked_by: "dana".parse().unwrap(),
                signature: String::new(),
            },
            granted_by: Some("sam".parse().unwrap()),
            granted_at: Some(UnixMillis(0)),
            ended_by: None,
        }
    }

    #[test]
    fn waivers_are_warned_about_thirty_days_before_their_end() {
        let now = UnixMillis(1000);
        let check = |state: &str, expires_at: u64, expected: Option<&str>| {
            let warnings = ending_soon(&[row(7, state, expires_at)], now);
            assert_eq!(warnings.len(), usize::from(expected.is_some()), "{state} {expires_at}");
            assert!(expected.is_none_or(|part| warnings[0].contains(part)), "{warnings:?}");
        };
        check("open", 1000 + 30 * DAY, Some("ends within 30 days"));
        check("open", 1000 + 30 * DAY + 1, None);
        check("open", 1001, Some("ends within 1 day:"));
        check("asked", 1001, None);
        check("revoked", 1001, None);
        let both = ending_soon(&[row(7, "open", 1000 + 9 * DAY), row(8, "open", 1000 + 2 * DAY)], now);
        assert!(both[0].contains("2 days") && both[1].contains("9 days"), "{both:?}");
    }
}
