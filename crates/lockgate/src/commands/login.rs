//! Login, logout, whoami.

use lockgate_api::Exit;
use lockgate_api::client::query_value;
use lockgate_api::wire::{EndedSessions, SessionRow, Whoami};
use lockgate_model::PersonId;
use serde_json::json;

use crate::cli;
use crate::commands::oidc;
use crate::failure::{Failure, Outcome};
use crate::terminal::table;
use crate::world::World;

/// `lockgate login`.
///
/// # Errors
/// `SIGN_IN_FAILED`.
pub fn login(world: &World, options: &cli::Login) -> Outcome {
    let name = match &options.name {
        None if options.ci => return crate::commands::ci::login(world, options.audience.as_deref()),
        _ if options.oidc => return through_provider(world, options.name.as_ref()),
        None => return Err(Failure::usage("PERSON_UNKNOWN", "say who signs in: `lockgate login NAME`")),
        Some(name) => name,
    };
    let mut client = world.client()?;
    let (session, signer) = world.sign_in_by_key(&mut client, name, options.key.as_deref())?;
    let mut context = world.context()?;
    context.server = Some(client.base().to_owned());
    context.person = Some(name.clone());
    if options.key.is_some() || !context.keys.contains_key(name) {
        context.keys.insert(name.clone(), world.keyring.entry(options.key.as_deref(), signer.public_key()));
    }
    world.home.write_context(&context)?;
    let told = format!("signed in to {} as {} until {}", client.base(), session.person, session.expires_at);
    if options.bind_oidc {
        world.terminal.say(told);
        return oidc::bind(world, &client, name, signer.as_ref());
    }
    let shown = json!({ "server": client.base(), "person": session.person, "expires_at": session.expires_at });
    world.terminal.done(&shown, told)?;
    Ok(Exit::Done)
}

/// `lockgate login --oidc`.
fn through_provider(world: &World, wanted: Option<&PersonId>) -> Outcome {
    let mut client = world.client()?;
    let session = oidc::sign_in(world, &mut client)?;
    if let Some(wanted) = wanted.filter(|wanted| **wanted != session.person) {
        client.delete("/v1/sessions")?;
        return Err(Failure::new(
            Exit::NotPermitted,
            "SIGN_IN_FAILED",
            format!("the account is bound to `{}`, not to `{wanted}`; the session was ended", session.person),
        ));
    }
    let mut context = world.context()?;
    context.server = Some(client.base().to_owned());
    context.person = Some(session.person.clone());
    world.home.write_context(&context)?;
    let shown = json!({ "server": client.base(), "person": session.person, "expires_at": session.expires_at });
    let told = format!("signed in to {} as {} until {}", client.base(), session.person, session.expires_at);
    world.terminal.done(&shown, told)?;
    Ok(Exit::Done)
}

/// `lockgate logout`.
///
/// # Errors
/// When the server cannot be reached.
pub fn logout(world: &World) -> Outcome {
    let person = world.person()?;
    let client = world.signed_in_as(&person)?;
    client.delete("/v1/sessions")?;
    // Ended on the server; what is left here opens nothing.
    let _ = std::fs::remove_file(world.home.session(&person));
    world.terminal.done(&json!({ "person": person, "ended": true }), format!("the session of {person} has ended"))?;
    Ok(Exit::Done)
}

/// `lockgate session`.
///
/// # Errors
/// `SESSION_UNKNOWN`, `NOT_PERMITTED`, or when the server cannot be reached.
pub fn session(world: &World, options: &cli::Session) -> Outcome {
    let about = |of: &Option<PersonId>| {
        of.as_ref().map(|person| format!("?person={}", query_value(person.as_str()))).unwrap_or_default()
    };
    let client = world.signed_in()?;
    match options {
        cli::Session::List { of } => {
            let rows: Vec<SessionRow> = client.get(&format!("/v1/sessions{}", about(of)))?;
            world.terminal.show(&rows, || table(&SESSION_COLUMNS, rows.iter().map(cells)))?;
        }
        cli::Session::End { id, all: _, of } => {
            let id = id.as_deref().unwrap_or("all");
            let ended: EndedSessions = client.delete_for(&format!("/v1/sessions/{}{}", query_value(id), about(of)))?;
            world.terminal.show(&ended, || match ended.ended {
                1 => "one session has ended".to_owned(),
                count => format!("{count} sessions have ended"),
            })?;
        }
    }
    Ok(Exit::Done)
}

const SESSION_COLUMNS: [&str; 7] = ["id", "by", "strength", "began", "last used", "ends", ""];

fn cells(row: &SessionRow) -> Vec<String> {
    let note = match (row.current, row.stored) {
        (true, _) => "this one",
        (false, true) => "",
        (false, false) => "until the server stops",
    };
    vec![
        row.id.clone(),
        row.method.clone(),
        row.amr.join("+"),
        row.created.rfc3339_secs(),
        row.last_used.rfc3339_secs(),
        row.expires_at.rfc3339_secs(),
        note.to_owned(),
    ]
}

/// `lockgate whoami`.
///
/// # Errors
/// `SIGN_IN_NEEDED`.
pub fn whoami(world: &World) -> Outcome {
    let client = world.signed_in()?;
    let me: Whoami = client.get("/v1/whoami")?;
    world.terminal.show(&me, || {
        let groups: Vec<&str> = me.groups.iter().map(lockgate_model::GroupName::as_str).collect();
        format!(
            "{} at {}\n  groups     {}\n  may        {}",
            me.person,
            client.base(),
            groups.join(", "),
            me.permissions.join(", ")
        )
    })?;
    Ok(Exit::Done)
}
