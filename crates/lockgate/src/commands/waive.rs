//! Waivers: asked for by one person, granted by another, for one finding, until a date.

use std::path::Path;

use lockgate_api::Exit;
use lockgate_api::wire::{Acknowledged, Changed, ServerInfo, Waiver};
use lockgate_ledger::code_words::code_words;
use lockgate_ledger::governance::{WAIVER_NAMESPACE, WaiverDocument, document_bytes};
use lockgate_model::{Digest, GateName, Limits, json};

use crate::cli;
use crate::commands::push::logged_line;
use crate::failure::{Failure, Outcome};
use crate::home::{read_file, write_file};
use crate::keyring::sign;
use crate::world::World;

/// `lockgate waive`.
///
/// # Errors
/// What the request, the key or the server refuses.
pub fn waive(world: &World, options: &cli::Waive) -> Outcome {
    match options {
        cli::Waive::Request { gate, finding, service, env, reason, lasts, file } => {
            let person = world.person()?;
            let request = Waiver {
                gate: gate.to_string(),
                finding: finding.clone(),
                service: service.clone(),
                environment: env.clone(),
                reason: reason.clone(),
                expires_at: world.now().plus(*lasts),
                asked_by: person.clone(),
                asked_signature: String::new(),
                granted_by: person.clone(),
                granted_signature: String::new(),
            };
            let info: ServerInfo = world.client()?.get("/v1/server")?;
            world.check_ledger(&info.origin)?;
            let bytes = document(&info.origin, &request)?;
            let signer = world.keyring.signer(&world.context()?, &person, None)?;
            let request = Waiver { asked_signature: sign(signer.as_ref(), WAIVER_NAMESPACE, &bytes)?, ..request };
            let text = serde_json::to_vec_pretty(&request)
                .map_err(|error| Failure::new(Exit::Bug, "OUTPUT_INVALID", error.to_string()))?;
            write_file(file, &text, 0o644)?;
            world.terminal.say(format!(
                "{0} asks for a waiver\n  next  another person runs `lockgate waive grant {0}`",
                file.display()
            ));
            Ok(Exit::Done)
        }
        cli::Waive::Grant { request, yes } => grant(world, request, *yes),
    }
}

fn document(origin: &str, request: &Waiver) -> Result<Vec<u8>, Failure> {
    let gate: GateName = request
        .gate
        .parse()
        .map_err(|error: lockgate_model::NameError| Failure::usage("NAME_INVALID", error.to_string()))?;
    Ok(document_bytes(&WaiverDocument {
        schema: "https://lockgate.dev/waiver/v1",
        ledger: origin,
        gate: &gate,
        finding: &request.finding,
        service: &request.service,
        environment: &request.environment,
        reason: &request.reason,
        expires_at: request.expires_at,
        asked_by: &request.asked_by,
    })?)
}

fn grant(world: &World, path: &Path, yes: bool) -> Outcome {
    let bytes = read_file(path, Limits::DEFAULT.json_body_bytes as u64)?;
    let request: Waiver = json::read_as(&bytes, &Limits::DEFAULT, json::Numbers::Integers).map_err(|error| {
        Failure::usage(error.code, format!("{} is not a waiver request: {}", path.display(), error.message))
    })?;
    let person = world.person()?;
    let client = world.signed_in_as(&person)?;
    let info: ServerInfo = client.get("/v1/server")?;
    world.check_ledger(&info.origin)?;
    let document = document(&info.origin, &request)?;
    world.terminal.say(format!(
        "You are about to waive:\n  finding    {}\n  gate       {}\n  for        {} in {}\n  until      {}\n  asked by   {}\n  reason     {}\n  code       {}",
        crate::terminal::printable(&request.finding), crate::terminal::printable(&request.gate), request.service, request.environment, request.expires_at, request.asked_by,
        crate::terminal::printable(&request.reason), code_words(&Digest::of(&document))
    ));
    if !yes && !world.terminal.confirm("Sign this waiver?")? {
        return Err(Failure::new(Exit::Failed, "NOT_CONFIRMED", "nothing was signed"));
    }
    let signer = world.keyring.signer(&world.context()?, &person, None)?;
    let request = Waiver {
        granted_signature: sign(signer.as_ref(), WAIVER_NAMESPACE, &document)?,
        granted_by: person,
        ..request
    };
    let reply: Acknowledged<Changed> = client.post("/v1/waivers", &request, Some(&world.random_hex()?))?;
    world.terminal.show(&reply, || {
        format!(
            "{} is waived until {}\n{}",
            crate::terminal::printable(&request.finding),
            request.expires_at,
            logged_line(reply.logged.as_ref())
        )
    })?;
    Ok(Exit::Done)
}
