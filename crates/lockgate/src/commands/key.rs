//! Keys and enrolment: every step is signed by whoever it concerns, on their own machine.

use std::path::Path;

use lockgate_api::Exit;
use lockgate_api::wire::{Acknowledged, Changed, Enrolment, NewKey, PersonRow, Revocation, ServerInfo};
use lockgate_ledger::code_words::code_words;
use lockgate_ledger::governance::{ENROLMENT_NAMESPACE, EnrolmentDocument, RevocationDocument, document_bytes};
use lockgate_model::facts::SubjectKind;
use lockgate_model::{Digest, EntryIndex, Limits, PersonId, json};
use lockgate_sign::ssh::SshPublicKey;

use crate::cli;
use crate::commands::push::logged_line;
use crate::commands::up::{enrolment, enrolment_bytes, generate};
use crate::failure::{Failure, Outcome};
use crate::home::{read_file, write_file};
use crate::keyring::sign;
use crate::terminal::table;
use crate::world::World;

/// `lockgate key`.
///
/// # Errors
/// What a key or the server refuses.
pub fn key(world: &World, options: &cli::Key) -> Outcome {
    match options {
        cli::Key::List => list(world),
        cli::Key::Generate { file, comment } => {
            generate(file, comment)?;
            world.terminal.say(format!("{0} and {0}.pub are written; the key has no passphrase", file.display()));
            Ok(Exit::Done)
        }
        cli::Key::Enrol { name, groups, machine, key, file } => {
            let subject = if *machine { SubjectKind::Machine } else { SubjectKind::Person };
            let info: ServerInfo = world.client()?.get("/v1/server")?;
            let mut context = world.context()?;
            let signer = match key {
                Some(path) => world.keyring.signer(&context, name, Some(path))?,
                None => world.keyring.own()?,
            };
            let request = enrolment(&info.origin, name, subject, groups, signer.as_ref())?;
            let file = file.clone().unwrap_or_else(|| format!("{name}.enrolment.json").into());
            write_json(&file, &request)?;
            context.keys.insert(name.clone(), world.keyring.entry(key.as_deref(), signer.public_key()));
            context.person = context.person.or_else(|| Some(name.clone()));
            world.home.write_context(&context)?;
            let code = code_words(&Digest::of(&enrolment_bytes(&info.origin, &request)?));
            world.terminal.say(format!("{} is written\n  code  {code}\n  next  an owner compares the code with you and runs `lockgate invite {}`", file.display(), file.display()));
            Ok(Exit::Done)
        }
        cli::Key::Add { name, key } => add(world, name, key),
        cli::Key::Revoke { name, fingerprint, compromised_since, reason } => {
            revoke(world, name, fingerprint, *compromised_since, reason)
        }
    }
}

fn write_json<T: serde::Serialize>(path: &Path, value: &T) -> Result<(), Failure> {
    let bytes = serde_json::to_vec_pretty(value)
        .map_err(|error| Failure::new(Exit::Bug, "OUTPUT_INVALID", error.to_string()))?;
    write_file(path, &bytes, 0o644)
}

fn list(world: &World) -> Outcome {
    let people: Vec<PersonRow> = world.signed_in()?.get("/v1/people")?;
    world.terminal.show(&people, || {
        let rows = people.iter().flat_map(|person| {
            person.keys.iter().map(move |key| {
                let kind = key.key.split(' ').next().unwrap_or_default().to_owned();
                let groups: Vec<&str> = person.groups.iter().map(lockgate_model::GroupName::as_str).collect();
                let state = key.invalid_from.map_or("valid".to_owned(), |from| format!("ended at entry {from}"));
                let subject = if person.subject == SubjectKind::Machine { "machine" } else { "person" };
                vec![
                    person.person.to_string(),
                    subject.to_owned(),
                    groups.join(","),
                    kind,
                    key.fingerprint.clone(),
                    format!("entry {}", key.enrolled_at),
                    state,
                ]
            })
        });
        table(&["name", "kind", "groups", "key", "fingerprint", "enrolled", "state"], rows)
    })?;
    Ok(Exit::Done)
}

/// `lockgate invite`.
///
/// # Errors
/// What the request, the key or the server refuses.
pub fn invite(world: &World, options: &cli::Invite) -> Outcome {
    let bytes = read_file(&options.request, Limits::DEFAULT.json_body_bytes as u64)?;
    let request: Enrolment = json::read_as(&bytes, &Limits::DEFAULT, json::Numbers::Integers).map_err(|error| {
        Failure::usage(
            error.code,
            format!("{} is not an enrolment request: {}", options.request.display(), error.message),
        )
    })?;
    let by = world.person()?;
    let client = world.signed_in_as(&by)?;
    let info: ServerInfo = client.get("/v1/server")?;
    let document = enrolment_bytes(&info.origin, &request)?;
    let groups: Vec<&str> = request.groups.iter().map(lockgate_model::GroupName::as_str).collect();
    let key: SshPublicKey = request.key.parse().map_err(|error| Failure::usage("KEY_INVALID", format!("{error}")))?;
    world.terminal.say(format!(
        "You are about to let in:\n  name       {}\n  groups     {}\n  key        {}\n  ledger     {}\n  code       {}",
        request.person,
        groups.join(", "),
        key.fingerprint(),
        info.origin,
        code_words(&Digest::of(&document))
    ));
    if !options.yes && !world.terminal.confirm("Countersign this?")? {
        return Err(Failure::new(Exit::Failed, "NOT_CONFIRMED", "nothing was signed"));
    }
    let signer = world.keyring.signer(&world.context()?, &by, None)?;
    let signature = sign(signer.as_ref(), ENROLMENT_NAMESPACE, &document)?;
    let person = request.person.clone();
    let request = Enrolment { code: None, by: Some(by), signature: Some(signature), ..request };
    let reply: Acknowledged<Changed> = client.post("/v1/people", &request, Some(&world.random_hex()?))?;
    world.terminal.show(&reply, || format!("{person} is enrolled\n{}", logged_line(reply.logged.as_ref())))?;
    Ok(Exit::Done)
}

fn person_row(client: &lockgate_api::Client, name: &PersonId) -> Result<PersonRow, Failure> {
    let people: Vec<PersonRow> = client.get("/v1/people")?;
    people
        .into_iter()
        .find(|row| row.person == *name)
        .ok_or_else(|| Failure::new(Exit::NotFound, "PERSON_UNKNOWN", format!("`{name}` is not enrolled")))
}

fn add(world: &World, name: &PersonId, path: &Path) -> Outcome {
    let by = world.person()?;
    let client = world.signed_in_as(&by)?;
    let info: ServerInfo = client.get("/v1/server")?;
    let row = person_row(&client, name)?;
    let context = world.context()?;
    let new = world.keyring.signer(&context, name, Some(path))?;
    let document =
        document_bytes(&EnrolmentDocument::new(&info.origin, name, row.subject, &row.groups, new.public_key()))?;
    let sponsor = world.keyring.signer(&context, &by, None)?;
    let request = NewKey {
        person: name.clone(),
        key: new.public_key().to_string(),
        proof: sign(new.as_ref(), ENROLMENT_NAMESPACE, &document)?,
        signature: sign(sponsor.as_ref(), ENROLMENT_NAMESPACE, &document)?,
        by,
    };
    let reply: Acknowledged<Changed> = client.post("/v1/keys", &request, Some(&world.random_hex()?))?;
    world.terminal.show(&reply, || {
        format!("{name} has a further key {}\n{}", new.public_key().fingerprint(), logged_line(reply.logged.as_ref()))
    })?;
    Ok(Exit::Done)
}

fn revoke(world: &World, name: &PersonId, fingerprint: &str, since: Option<u64>, reason: &str) -> Outcome {
    let by = world.person()?;
    let client = world.signed_in_as(&by)?;
    let info: ServerInfo = client.get("/v1/server")?;
    let document = document_bytes(&RevocationDocument {
        schema: "https://lockgate.dev/revocation/v1",
        ledger: &info.origin,
        person: name,
        key: fingerprint,
        compromised_since: since.map(EntryIndex),
        reason,
    })?;
    let signer = world.keyring.signer(&world.context()?, &by, None)?;
    let request = Revocation {
        person: name.clone(),
        key: fingerprint.to_owned(),
        compromised_since: since,
        reason: reason.to_owned(),
        signature: sign(signer.as_ref(), ENROLMENT_NAMESPACE, &document)?,
        by,
    };
    let reply: Acknowledged<Changed> = client.post("/v1/keys/revocations", &request, Some(&world.random_hex()?))?;
    world.terminal.show(&reply, || {
        format!("the key {fingerprint} of {name} has ended\n{}", logged_line(reply.logged.as_ref()))
    })?;
    Ok(Exit::Done)
}
