//! Keys and enrolment: every step is signed by whoever it concerns, on their own machine.

use std::path::Path;

use lockgate_api::Exit;
use lockgate_api::wire::{Acknowledged, Changed, Enrolment, KeyRow, NewKey, PersonRow, Recovery, ServerInfo};
use lockgate_ledger::code_words::code_words;
use lockgate_ledger::governance::{ENROLMENT_NAMESPACE, EnrolmentDocument, document_bytes};
use lockgate_model::facts::SubjectKind;
use lockgate_model::text::argument;
use lockgate_model::{Digest, EnvName, Limits, PersonId, UnixMillis, json};
use lockgate_sign::ssh::SshPublicKey;

use crate::cli::{self, KeyLimits};
use crate::commands::expiry::{self, Expiry};
use crate::commands::up::{enrolment_bytes, generate, limited_enrolment};
use crate::commands::{change, key_life, passkey};
use crate::failure::{Failure, Outcome};
use crate::home::{read_file, write_file};
use crate::keyring::{public_of, sign};
use crate::receipts::logged_line;
use crate::terminal::{field, fields, table};
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
            let public = public_of(file);
            let told = format!("{} and {} are written; the key has no passphrase", file.display(), public.display());
            world.terminal.done(&serde_json::json!({ "file": file.display().to_string() }), told)?;
            Ok(Exit::Done)
        }
        cli::Key::Enrol { passkey: Some(_), limits, .. } | cli::Key::Add { passkey: Some(_), limits, .. }
            if !limits.is_empty() =>
        {
            Err(Failure::usage("KEY_LIMITS", "a passkey that was made in a browser has signed for no end and no scope")
                .hint("leave --expires and --only-for out"))
        }
        cli::Key::Enrol { name, groups, passkey: Some(code), file, yes, .. } => {
            passkey::enrol(world, name, groups, code, file.as_deref(), *yes)
        }
        cli::Key::Enrol { name, groups, machine, key, file, limits, .. } => {
            let subject = if *machine { SubjectKind::Machine } else { SubjectKind::Person };
            let client = world.client()?;
            let info: ServerInfo = client.get("/v1/server")?;
            world.check_ledger(&info.origin)?;
            let mut context = world.context()?;
            let signer = match key {
                Some(path) => world.keyring.signer(&context, name, Some(path))?,
                None => world.keyring.own()?,
            };
            let expires_at = limits.expires_at(world.now());
            let limits = (expires_at, limits.only_for.as_slice());
            let request = limited_enrolment(&info.origin, name, subject, groups, signer.as_ref(), limits)?;
            let file = file.clone().unwrap_or_else(|| format!("{name}.enrolment.json").into());
            write_json(&file, &request)?;
            context.keys.insert(name.clone(), world.keyring.entry(key.as_deref(), signer.public_key()));
            context.person = context.person.or_else(|| Some(name.clone()));
            context.server = context.server.or_else(|| Some(client.base().to_owned()));
            world.home.write_context(&context)?;
            let code = code_words(&Digest::of(&enrolment_bytes(&info.origin, &request)?));
            let told = format!(
                "{} is written\n  code  {code}\n  next  an owner compares the code with you and runs `lockgate invite {}`",
                file.display(),
                argument(&file.to_string_lossy())
            );
            world
                .terminal
                .done(&serde_json::json!({ "person": name, "file": file.display().to_string(), "code": code }), told)?;
            Ok(Exit::Done)
        }
        cli::Key::Add { name, passkey: Some(code), yes, .. } => passkey::add(world, name, code, *yes),
        cli::Key::Add { name, key: Some(key), limits, .. } => add(world, name, key, limits),
        cli::Key::Add { .. } => Err(Failure::usage("KEY_MISSING", "name the further key with --key or --passkey")),
        cli::Key::Rotate { key, limits } => key_life::rotate(world, key, limits),
        cli::Key::Retire { name, fingerprint, reason, yes } => {
            key_life::end(world, name, fingerprint, None, reason, *yes)
        }
        cli::Key::Compromised { name, fingerprint, since, reason, yes } => {
            key_life::end(world, name, fingerprint, Some(*since), reason, *yes)
        }
        cli::Key::Revoke { name, fingerprint, compromised_since, reason, yes } => {
            key_life::end(world, name, fingerprint, *compromised_since, reason, *yes)
        }
        cli::Key::Recover { name, key, limits, reason, file } => {
            key_life::recover(world, name, key, limits, reason, file.as_deref())
        }
        cli::Key::Suspend { name, reason, yes } => key_life::standing(world, name, true, reason, *yes),
        cli::Key::Reinstate { name, reason, yes } => key_life::standing(world, name, false, reason, *yes),
        cli::Key::ExportAllowedSigners => key_life::export_allowed_signers(world),
    }
}

/// Writes a request that someone else reads.
///
/// # Errors
/// When the file cannot be written.
pub fn write_json<T: serde::Serialize>(path: &Path, value: &T) -> Result<(), Failure> {
    let bytes = serde_json::to_vec_pretty(value)
        .map_err(|error| Failure::new(Exit::Bug, "OUTPUT_INVALID", error.to_string()))?;
    write_file(path, &bytes, 0o644)
}

fn list(world: &World) -> Outcome {
    let people: Vec<PersonRow> = world.signed_in()?.get("/v1/people")?;
    let now = world.now();
    for warning in expiry::warnings(&people, now) {
        world.terminal.say(format!("warning: {}", warning.text));
    }
    world.terminal.show(&people, || {
        let rows = people.iter().flat_map(|person| {
            person.keys.iter().map(move |key| {
                let kind = key.key.split(' ').next().unwrap_or_default().to_owned();
                let groups: Vec<&str> = person.groups.iter().map(lockgate_model::GroupName::as_str).collect();
                let state = state(person, key, now);
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

/// How a key stands.
fn state(person: &PersonRow, key: &KeyRow, now: UnixMillis) -> String {
    let mut state = match (key.ended.as_deref(), key.ended_at, key.invalid_from) {
        (Some("retired"), Some(at), _) => format!("ended at entry {at}"),
        (Some(word), _, Some(from)) => format!("ended at entry {from}, {word}"),
        _ if person.suspended_at.is_some() => "suspended".to_owned(),
        _ => match (key.expires_at, expiry::expiry(key.expires_at, now)) {
            (Some(end), Expiry::Past) => format!("ended at {end}"),
            (Some(end), _) => format!("valid until {end}"),
            (None, _) => "valid".to_owned(),
        },
    };
    if !key.environments.is_empty() {
        let only: Vec<&str> = key.environments.iter().map(EnvName::as_str).collect();
        state.push_str(&format!(", only for {}", only.join(", ")));
    }
    state
}

/// `lockgate invite`.
///
/// # Errors
/// What the request, the key or the server refuses.
pub fn invite(world: &World, options: &cli::Invite) -> Outcome {
    let bytes = read_file(&options.request, Limits::DEFAULT.json_body_bytes as u64)?;
    // A recovery has a reason, an enrolment has groups: neither reads as the other.
    if let Ok(recovery) = json::read_as::<Recovery>(&bytes, &Limits::DEFAULT, json::Numbers::Integers) {
        return key_life::countersign_recovery(world, recovery, options.yes);
    }
    let request: Enrolment = json::read_as(&bytes, &Limits::DEFAULT, json::Numbers::Integers).map_err(|error| {
        Failure::usage(
            error.code,
            format!("{} is not an enrolment request: {}", options.request.display(), error.message),
        )
    })?;
    countersign(world, request, options.yes)
}

/// Shows an enrolment, asks, and lets its person in with the caller's own signature.
///
/// # Errors
/// What the request, the key or the server refuses.
pub fn countersign(world: &World, request: Enrolment, yes: bool) -> Outcome {
    let by = world.person()?;
    let client = world.signed_in_as(&by)?;
    let info: ServerInfo = client.get("/v1/server")?;
    world.check_ledger(&info.origin)?;
    let document = enrolment_bytes(&info.origin, &request)?;
    let groups: Vec<&str> = request.groups.iter().map(lockgate_model::GroupName::as_str).collect();
    let kind = if request.subject == SubjectKind::Machine { "machine" } else { "person" };
    let key: SshPublicKey = request.key.parse().map_err(|error| {
        Failure::usage("KEY_INVALID", format!("{error}")).hint("have the request made again with `lockgate key enrol`")
    })?;
    world.terminal.say(format!(
        "You are about to let in:\n{}{}\n{}",
        fields(&[
            ("name", &request.person),
            ("as a", &kind),
            ("groups", &groups.join(", ")),
            ("key", &key.fingerprint()),
        ]),
        limits_text(request.expires_at, &request.environments),
        fields(&[("ledger", &info.origin), ("code", &code_words(&Digest::of(&document)))])
    ));
    if !yes && !world.terminal.confirm("Countersign this?")? {
        return Err(Failure::new(Exit::Failed, "NOT_CONFIRMED", "nothing was signed"));
    }
    let signer = world.keyring.signer(&world.context()?, &by, None)?;
    let signature = sign(signer.as_ref(), ENROLMENT_NAMESPACE, &document)?;
    let person = request.person.clone();
    let request = Enrolment { code: None, by: Some(by), signature: Some(signature), ..request };
    let reply: Acknowledged<Changed> = client.post("/v1/people", &request, Some(&world.random_hex()?))?;
    change::outcome(world, &reply, || format!("{person} is enrolled"))
}

/// How long a key counts and where, in lines of their own; nothing for one without an end that counts everywhere.
pub fn limits_text(expires_at: Option<UnixMillis>, environments: &[EnvName]) -> String {
    let mut text = expires_at.map(|end| format!("\n{}", field("until", end))).unwrap_or_default();
    if !environments.is_empty() {
        let only: Vec<&str> = environments.iter().map(EnvName::as_str).collect();
        text.push_str(&format!("\n{}", field("only for", only.join(", "))));
    }
    text
}

/// Someone as the server lists them.
///
/// # Errors
/// `PERSON_UNKNOWN`, or when the caller may not read.
pub fn person_row(client: &lockgate_api::Client, name: &PersonId) -> Result<PersonRow, Failure> {
    let people: Vec<PersonRow> = client.get("/v1/people")?;
    people.into_iter().find(|row| row.person == *name).ok_or_else(|| {
        Failure::new(Exit::NotFound, "PERSON_UNKNOWN", format!("`{name}` is not enrolled"))
            .hint("`lockgate key list` lists everyone")
    })
}

fn add(world: &World, name: &PersonId, path: &Path, limits: &KeyLimits) -> Outcome {
    let by = world.person()?;
    let client = world.signed_in_as(&by)?;
    let info: ServerInfo = client.get("/v1/server")?;
    world.check_ledger(&info.origin)?;
    let row = person_row(&client, name)?;
    let context = world.context()?;
    let new = world.keyring.signer(&context, name, Some(path))?;
    let expires_at = limits.expires_at(world.now());
    let document = EnrolmentDocument::new(&info.origin, name, row.subject, &row.groups, new.public_key());
    let document = document_bytes(&document.limited(expires_at, &limits.only_for))?;
    let sponsor = world.keyring.signer(&context, &by, None)?;
    let request = NewKey {
        person: name.clone(),
        key: new.public_key().to_string(),
        proof: sign(new.as_ref(), ENROLMENT_NAMESPACE, &document)?,
        signature: sign(sponsor.as_ref(), ENROLMENT_NAMESPACE, &document)?,
        by,
        expires_at,
        environments: limits.only_for.clone(),
    };
    hand_in(world, &client, &request, new.public_key())
}

/// Signs for a further key with an earlier one, and hands it in with its own signature `proof` over the same document.
///
/// # Errors
/// What the key or the server refuses.
pub fn vouch(
    world: &World,
    client: &lockgate_api::Client,
    by: PersonId,
    name: &PersonId,
    key: &SshPublicKey,
    proof: String,
    document: &[u8],
) -> Outcome {
    let sponsor = world.keyring.signer(&world.context()?, &by, None)?;
    let signature = sign(sponsor.as_ref(), ENROLMENT_NAMESPACE, document)?;
    let request = NewKey {
        person: name.clone(),
        key: key.to_string(),
        proof,
        signature,
        by,
        expires_at: None,
        environments: Vec::new(),
    };
    hand_in(world, client, &request, key)
}

fn hand_in(world: &World, client: &lockgate_api::Client, request: &NewKey, key: &SshPublicKey) -> Outcome {
    let name = &request.person;
    let reply: Acknowledged<Changed> = client.post("/v1/keys", request, Some(&world.random_hex()?))?;
    world.acknowledged(&reply, || {
        format!("{name} has a further key {}\n{}", key.fingerprint(), logged_line(reply.logged.as_ref()))
    })?;
    Ok(Exit::Done)
}
