//! Login, logout, whoami.

use lockgate_api::Exit;
use lockgate_api::wire::Whoami;

use crate::cli;
use crate::failure::Outcome;
use crate::world::World;

/// `lockgate login`.
///
/// # Errors
/// `SIGN_IN_FAILED`.
pub fn login(world: &World, options: &cli::Login) -> Outcome {
    let mut client = world.client()?;
    let mut context = world.context()?;
    let signer = world.keyring.signer(&context, &options.name, options.key.as_deref())?;
    let session = world.sign_in(&mut client, &options.name, signer.as_ref())?;
    context.server = Some(client.base().to_owned());
    context.person = Some(options.name.clone());
    if options.key.is_some() || !context.keys.contains_key(&options.name) {
        context.keys.insert(options.name.clone(), world.keyring.entry(options.key.as_deref(), signer.public_key()));
    }
    world.home.write_context(&context)?;
    world.terminal.say(format!("signed in to {} as {} until {}", client.base(), session.person, session.expires_at));
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
    world.terminal.say(format!("the session of {person} has ended"));
    Ok(Exit::Done)
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
