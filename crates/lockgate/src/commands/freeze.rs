//! Emergency freezes: order one, see them, lift one.

use lockgate_api::Exit;
use lockgate_api::wire::{Acknowledged, Changed, FreezeLift, FreezeRow, NewFreeze, ServerInfo};
use lockgate_ledger::code_words::code_words;
use lockgate_ledger::freeze::{FREEZE_NAMESPACE, FreezeDocument, FreezeLiftDocument, FreezeLifted, FreezeOrdered};
use lockgate_ledger::governance::document_bytes;
use lockgate_model::text::visible;
use lockgate_model::{Digest, EntryIndex};

use crate::cli;
use crate::failure::{Failure, Outcome};
use crate::keyring::sign;
use crate::receipts::logged_line;
use crate::terminal::{fields, table};
use crate::world::World;

/// `lockgate freeze`.
///
/// # Errors
/// What the key or the server refuses.
pub fn freeze(world: &World, options: &cli::Freeze) -> Outcome {
    if let Some(cli::FreezeAct::List { all }) = &options.act {
        return list(world, *all);
    }
    let reason = options
        .reason
        .clone()
        .ok_or_else(|| Failure::usage("REASON_MISSING", "a freeze needs a reason").hint("add --reason \"...\""))?;
    let by = world.person()?;
    let client = world.signed_in_as(&by)?;
    let info: ServerInfo = client.get("/v1/server")?;
    world.check_ledger(&info.origin)?;
    let mut event = FreezeOrdered {
        service: options.service.clone(),
        environment: options.environment.clone(),
        reason,
        until: options.lasts.map(|lasts| world.now().plus(lasts)),
        spares_rollbacks: options.spare_rollbacks,
        nonce: world.random_hex()?,
        by,
        signature: String::new(),
    };
    let document = document_bytes(&FreezeDocument::new(&info.origin, &event))?;
    world.terminal.say(format!(
        "You are about to freeze:\n{}",
        fields(&[
            ("service", &event.service.as_ref().map_or("every service", lockgate_model::ServiceName::as_str)),
            ("in", &event.environment.as_ref().map_or("every environment", lockgate_model::EnvName::as_str)),
            ("until", &event.until.map_or_else(|| "it is lifted".to_owned(), |until| until.to_string())),
            ("rollbacks", &if event.spares_rollbacks { "let through" } else { "stopped too" }),
            ("reason", &event.reason),
            ("ledger", &info.origin),
            ("code", &code_words(&Digest::of(&document))),
        ])
    ));
    if !options.yes && !world.terminal.confirm("Sign this?")? {
        return Err(Failure::new(Exit::Failed, "NOT_CONFIRMED", "nothing was signed"));
    }
    let signer = world.keyring.signer(&world.context()?, &event.by, None)?;
    event.signature = sign(signer.as_ref(), FREEZE_NAMESPACE, &document)?;
    let request = NewFreeze {
        service: event.service,
        environment: event.environment,
        reason: event.reason,
        until: event.until,
        spares_rollbacks: event.spares_rollbacks,
        nonce: event.nonce,
        by: event.by,
        signature: event.signature,
    };
    let reply: Acknowledged<Changed> = client.post("/v1/freezes", &request, Some(&world.random_hex()?))?;
    world.acknowledged(&reply, || {
        format!(
            "FROZEN by {}: nothing is granted but under break-glass, and grants in use are refused\n{}  lift        lockgate unfreeze {} --reason ...",
            request.by,
            logged_line(reply.logged.as_ref()),
            reply.result.index
        )
    })?;
    Ok(Exit::Done)
}

fn list(world: &World, all: bool) -> Outcome {
    let mut rows: Vec<FreezeRow> = world.signed_in()?.get("/v1/freezes")?;
    rows.retain(|row| all || row.open);
    world.terminal.show(&rows, || {
        if rows.is_empty() {
            return "nothing is frozen".to_owned();
        }
        let line = |row: &FreezeRow| {
            vec![
                row.freeze.to_string(),
                visible(&row.what),
                state(row),
                if row.spares_rollbacks { "spared" } else { "stopped" }.to_owned(),
                row.by.to_string(),
                visible(&row.reason),
            ]
        };
        table(&["entry", "what", "state", "rollbacks", "by", "reason"], rows.iter().map(line))
    })?;
    Ok(Exit::Done)
}

fn state(row: &FreezeRow) -> String {
    match (&row.lifted_by, row.until, row.open) {
        (Some(by), ..) => format!("lifted by {by}"),
        (None, Some(until), true) => format!("until {until}"),
        (None, Some(until), false) => format!("over since {until}"),
        (None, None, _) => "until it is lifted".to_owned(),
    }
}

/// `lockgate unfreeze`.
///
/// # Errors
/// What the key or the server refuses.
pub fn unfreeze(world: &World, options: &cli::Unfreeze) -> Outcome {
    let by = world.person()?;
    let client = world.signed_in_as(&by)?;
    let info: ServerInfo = client.get("/v1/server")?;
    world.check_ledger(&info.origin)?;
    let event = FreezeLifted {
        freeze: EntryIndex(options.freeze),
        reason: options.reason.clone(),
        by,
        signature: String::new(),
    };
    let document = document_bytes(&FreezeLiftDocument::new(&info.origin, &event))?;
    let rows: Vec<FreezeRow> = client.get("/v1/freezes")?;
    let what = match rows.iter().find(|row| row.freeze == options.freeze) {
        Some(row) => format!("{} by {}: {} ({})", row.what, row.by, row.reason, state(row)),
        None => "not among the freezes that you may read".to_owned(),
    };
    world.terminal.say(format!(
        "You are about to lift a freeze:\n{}",
        fields(&[
            ("entry", &options.freeze),
            ("freeze", &what),
            ("reason", &event.reason),
            ("ledger", &info.origin),
            ("code", &code_words(&Digest::of(&document))),
        ])
    ));
    if !options.yes && !world.terminal.confirm("Sign this?")? {
        return Err(Failure::new(Exit::Failed, "NOT_CONFIRMED", "nothing was signed"));
    }
    let signer = world.keyring.signer(&world.context()?, &event.by, None)?;
    let request = FreezeLift {
        freeze: options.freeze,
        reason: event.reason,
        by: event.by,
        signature: sign(signer.as_ref(), FREEZE_NAMESPACE, &document)?,
    };
    let reply: Acknowledged<Changed> = client.post("/v1/freezes/lifts", &request, Some(&world.random_hex()?))?;
    world.acknowledged(&reply, || {
        format!("the freeze of entry {} is lifted\n{}", options.freeze, logged_line(reply.logged.as_ref()))
    })?;
    Ok(Exit::Done)
}
