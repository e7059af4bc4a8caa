//! The life of a key after its enrolment: rotated, ended, recovered; and people suspended and reinstated.

use std::path::{Path, PathBuf};

use lockgate_api::wire::{
    Acknowledged, Changed, PersonRow, Recovery, Revocation, Rotation, ServerInfo, Standing, SuspectRow,
};
use lockgate_api::{Client, Exit};
use lockgate_ledger::Event;
use lockgate_ledger::approval::NAMESPACE;
use lockgate_ledger::change::{StandingChanged, recovery_bytes, rotation_bytes, standing_bytes};
use lockgate_ledger::code_words::code_words;
use lockgate_ledger::entry::KeyRevoked;
use lockgate_ledger::governance::ENROLMENT_NAMESPACE;
use lockgate_model::facts::SubjectKind;
use lockgate_model::text::{argument, visible};
use lockgate_model::{Digest, EntryIndex, PersonId};
use lockgate_sign::ssh::SshPublicKey;

use crate::cli::KeyLimits;
use crate::commands::change::{confirm, outcome};
use crate::commands::key::{limits_text, person_row, write_json};
use crate::failure::{Failure, Outcome};
use crate::keyring::sign;
use crate::receipts::logged_line;
use crate::terminal::{field, fields, table};
use crate::world::World;

/// A client signed in as whoever acts, with the name and the ledger's origin, which is the pinned one.
fn acting(world: &World) -> Result<(PersonId, Client, String), Failure> {
    let by = world.person()?;
    let client = world.signed_in_as(&by)?;
    let info: ServerInfo = client.get("/v1/server")?;
    world.check_ledger(&info.origin)?;
    Ok((by, client, info.origin))
}

/// `lockgate key rotate`: from then on this machine signs with the new key.
///
/// # Errors
/// What a key or the server refuses.
pub fn rotate(world: &World, path: &Path, limits: &KeyLimits) -> Outcome {
    let (by, client, origin) = acting(world)?;
    let mut context = world.context()?;
    let old = world.keyring.signer(&context, &by, None)?;
    let new = world.keyring.signer(&context, &by, Some(path))?;
    let replaces = old.public_key().fingerprint();
    let expires_at = limits.expires_at(world.now());
    let document = rotation_bytes(&origin, &by, new.public_key(), &replaces, expires_at, &limits.only_for)?;
    let request = Rotation {
        person: by.clone(),
        key: new.public_key().to_string(),
        proof: sign(new.as_ref(), ENROLMENT_NAMESPACE, &document)?,
        replaces: replaces.clone(),
        signature: sign(old.as_ref(), ENROLMENT_NAMESPACE, &document)?,
        expires_at,
        environments: limits.only_for.clone(),
    };
    let reply: Acknowledged<Changed> = client.post("/v1/keys/rotations", &request, Some(&world.random_hex()?))?;
    context.keys.insert(by.clone(), world.keyring.entry(Some(path), new.public_key()));
    world.home.write_context(&context)?;
    world.acknowledged(&reply, || {
        format!(
            "{by} signs with {} now; {replaces} has ended\n{}",
            new.public_key().fingerprint(),
            logged_line(reply.logged.as_ref())
        )
    })?;
    Ok(Exit::Done)
}

/// `lockgate key retire` and `key compromised`: ends a key, and lists what rested on it where it was compromised.
///
/// # Errors
/// What a key or the server refuses.
pub fn end(world: &World, name: &PersonId, fingerprint: &str, since: Option<u64>, reason: &str, yes: bool) -> Outcome {
    let (by, client, origin) = acting(world)?;
    // What cannot be is told before anybody is asked to sign it.
    let row = person_row(&client, name)?;
    let key = row.keys.iter().find(|key| key.fingerprint == fingerprint).ok_or_else(|| {
        Failure::new(Exit::NotFound, "KEY_UNKNOWN", format!("`{name}` has no key `{fingerprint}`"))
            .hint("`lockgate key list` lists everyone's fingerprints")
    })?;
    // That an ended key was compromised is news; that it ends is none.
    if since.is_none()
        && key.ended.as_deref().is_some_and(|word| word != "suspect")
        && let Some(at) = key.ended_at
    {
        let message = format!("the key {fingerprint} of `{name}` has ended already, with entry {at}");
        return Err(Failure::new(Exit::Denied, "KEY_REVOKED", message)
            .hint("where somebody else had it, say so with `lockgate key compromised`"));
    }
    let event = KeyRevoked {
        person: name.clone(),
        key: fingerprint.to_owned(),
        compromised_since: since.map(EntryIndex),
        reason: reason.to_owned(),
        by: by.clone(),
        signature: String::new(),
        countersigned: Vec::new(),
    };
    let document = event.document(&origin)?;
    confirm(world, &Event::KeyRevoked(event), &document, &origin, yes)?;
    let signer = world.keyring.signer(&world.context()?, &by, None)?;
    let request = Revocation {
        person: name.clone(),
        key: fingerprint.to_owned(),
        compromised_since: since,
        reason: reason.to_owned(),
        signature: sign(signer.as_ref(), ENROLMENT_NAMESPACE, &document)?,
        by: by.clone(),
    };
    let reply: Acknowledged<Changed> = client.post("/v1/keys/revocations", &request, Some(&world.random_hex()?))?;
    let exit = outcome(world, &reply, || format!("the key {fingerprint} of {name} has ended"))?;
    if exit == Exit::Done && since.is_some() {
        // Whoever ends the key that they signed in with has no session any more.
        match by == *name {
            true => {
                world.terminal.say("  next        sign in with another key, and see `lockgate history --governance`")
            }
            false => print_suspects(world, &client, reply.result.index)?,
        }
    }
    Ok(exit)
}

/// Prints what a compromised key leaves behind: approvals, decisions, grants, and keys that it enrolled.
///
/// # Errors
/// When the server cannot be reached.
pub fn print_suspects(world: &World, client: &Client, since: u64) -> Result<(), Failure> {
    let rows: Vec<SuspectRow> = client.get(&format!("/v1/suspects?since={since}"))?;
    if rows.is_empty() {
        world.terminal.say("  suspect     nothing that is recorded rested on it");
        return Ok(());
    }
    let row = |row: &SuspectRow| {
        vec![format!("entry {}", row.index), visible(&row.event), visible(&row.what), visible(&row.why)]
    };
    let text = table(&["suspect", "event", "what", "why"], rows.iter().map(row));
    world
        .terminal
        .say(format!("{text}\n  {} entries are suspect; look at each, and decide again where it matters", rows.len()));
    Ok(())
}

/// `lockgate key recover`: writes a request that somebody who may manage keys countersigns.
///
/// # Errors
/// What the key refuses, or when the file cannot be written.
pub fn recover(
    world: &World,
    name: &PersonId,
    path: &Path,
    limits: &KeyLimits,
    reason: &str,
    file: Option<&Path>,
) -> Outcome {
    let info: ServerInfo = world.client()?.get("/v1/server")?;
    world.check_ledger(&info.origin)?;
    let mut context = world.context()?;
    let new = world.keyring.signer(&context, name, Some(path))?;
    let expires_at = limits.expires_at(world.now());
    let document = recovery_bytes(&info.origin, name, new.public_key(), reason, expires_at, &limits.only_for)?;
    let request = Recovery {
        person: name.clone(),
        key: new.public_key().to_string(),
        proof: sign(new.as_ref(), ENROLMENT_NAMESPACE, &document)?,
        reason: reason.to_owned(),
        by: None,
        signature: None,
        expires_at,
        environments: limits.only_for.clone(),
    };
    let file: PathBuf = file.map_or_else(|| PathBuf::from(format!("{name}.recovery.json")), Path::to_owned);
    write_json(&file, &request)?;
    context.keys.insert(name.clone(), world.keyring.entry(Some(path), new.public_key()));
    context.person = context.person.or_else(|| Some(name.clone()));
    world.home.write_context(&context)?;
    let code = code_words(&Digest::of(&document));
    let told = format!(
        "{0} is written\n  code  {code}\n  next  an owner compares the code with you and runs `lockgate invite {1}`\n  note  this home signs as {name} with the new key now; until the owner has done that, it is KEY_UNKNOWN",
        file.display(),
        argument(&file.to_string_lossy())
    );
    world
        .terminal
        .done(&serde_json::json!({ "person": name, "file": file.display().to_string(), "code": code }), told)?;
    Ok(Exit::Done)
}

/// Shows a recovery, asks, and countersigns it.
///
/// # Errors
/// What the request, the key or the server refuses.
pub fn countersign_recovery(world: &World, request: Recovery, yes: bool) -> Outcome {
    let (by, client, origin) = acting(world)?;
    let key: SshPublicKey = request.key.parse().map_err(|error| {
        Failure::usage("KEY_INVALID", format!("{error}"))
            .hint("have the request made again with `lockgate key recover`")
    })?;
    let document =
        recovery_bytes(&origin, &request.person, &key, &request.reason, request.expires_at, &request.environments)?;
    let scope = limits_text(request.expires_at, &request.environments);
    world.terminal.say(format!(
        "You are about to give {} a new key, and to end all earlier ones:\n{}{scope}\n{}",
        request.person,
        fields(&[("key", &key.fingerprint()), ("reason", &request.reason), ("ledger", &origin)]),
        field("code", code_words(&Digest::of(&document)))
    ));
    if !yes && !world.terminal.confirm("Have you made sure that it is them, and do you countersign this?")? {
        return Err(Failure::new(Exit::Failed, "NOT_CONFIRMED", "nothing was signed"));
    }
    let signer = world.keyring.signer(&world.context()?, &by, None)?;
    let signature = sign(signer.as_ref(), ENROLMENT_NAMESPACE, &document)?;
    let person = request.person.clone();
    let request = Recovery { by: Some(by), signature: Some(signature), ..request };
    let reply: Acknowledged<Changed> = client.post("/v1/keys/recoveries", &request, Some(&world.random_hex()?))?;
    outcome(world, &reply, || format!("{person} has the key {} and no other", key.fingerprint()))
}

/// `lockgate key suspend` and `key reinstate`.
///
/// # Errors
/// What a key or the server refuses.
pub fn standing(world: &World, name: &PersonId, suspended: bool, reason: &str, yes: bool) -> Outcome {
    let (by, client, origin) = acting(world)?;
    let previous_at = person_row(&client, name)?.standing_at;
    let document = standing_bytes(&origin, name, suspended, EntryIndex(previous_at), reason)?;
    let event = StandingChanged {
        person: name.clone(),
        previous_at: EntryIndex(previous_at),
        reason: reason.to_owned(),
        by: by.clone(),
        signature: String::new(),
        countersigned: Vec::new(),
    };
    let event = if suspended { Event::PersonSuspended(event) } else { Event::PersonReinstated(event) };
    confirm(world, &event, &document, &origin, yes)?;
    let signer = world.keyring.signer(&world.context()?, &by, None)?;
    let request = Standing {
        person: name.clone(),
        previous_at,
        reason: reason.to_owned(),
        signature: sign(signer.as_ref(), ENROLMENT_NAMESPACE, &document)?,
        by,
    };
    let (path, word) = match suspended {
        true => ("/v1/people/suspensions", "suspended"),
        false => ("/v1/people/reinstatements", "reinstated"),
    };
    let reply: Acknowledged<Changed> = client.post(path, &request, Some(&world.random_hex()?))?;
    outcome(world, &reply, || format!("{name} is {word}"))
}

/// `lockgate key export-allowed-signers`: for `ssh-keygen -Y verify`, on standard output.
///
/// # Errors
/// When the server cannot be reached, or standard output is closed.
pub fn export_allowed_signers(world: &World) -> Outcome {
    let people: Vec<PersonRow> = world.signed_in()?.get("/v1/people")?;
    let lines = allowed_signers(&people);
    world.terminal.show(&lines, || lines.join("\n"))?;
    Ok(Exit::Done)
}

/// One `allowed_signers` line for each key that counts for approvals. Machines never approve.
pub fn allowed_signers(people: &[PersonRow]) -> Vec<String> {
    let approve = |person: &&PersonRow| person.subject == SubjectKind::Person && person.suspended_at.is_none();
    let lines = people.iter().filter(approve).flat_map(|person| {
        let good = person.keys.iter().filter(|key| key.invalid_from.is_none());
        good.map(move |key| format!("{} namespaces=\"{NAMESPACE}\" {}", person.person, key.key))
    });
    lines.collect()
}
