//! Delegations: lend your right to approve, see who has, end it.

use lockgate_api::wire::{Acknowledged, Changed, DelegationRow, EndDelegation, NewDelegation, ServerInfo};
use lockgate_api::{Client, Exit};
use lockgate_ledger::code_words::code_words;
use lockgate_ledger::delegation::{DELEGATION_NAMESPACE, DelegationDocument, DelegationEndDocument, DelegationGranted};
use lockgate_ledger::governance::document_bytes;
use lockgate_model::text::visible;
use lockgate_model::{Digest, EntryIndex, GroupName};
use lockgate_policy::{GateKind, PolicySet};

use crate::cli;
use crate::commands::policy::invalid;
use crate::failure::{Failure, Outcome};
use crate::keyring::sign;
use crate::receipts::logged_line;
use crate::terminal::{fields, table};
use crate::world::World;

/// `lockgate delegate`.
///
/// # Errors
/// What the key or the server refuses.
pub fn delegate(world: &World, options: &cli::Delegate) -> Outcome {
    match options {
        cli::Delegate::Add { name, groups, environments, services, lasts, reason, yes } => {
            let event = DelegationGranted {
                from: world.person()?,
                to: name.clone(),
                groups: groups.clone(),
                environments: environments.clone(),
                services: services.clone(),
                expires_at: world.now().plus(*lasts),
                reason: reason.clone(),
                signature: String::new(),
            };
            add(world, event, *yes)
        }
        cli::Delegate::List { all } => list(world, *all),
        cli::Delegate::End { delegation, reason } => end(world, *delegation, reason),
    }
}

fn add(world: &World, event: DelegationGranted, yes: bool) -> Outcome {
    let client = world.signed_in_as(&event.from)?;
    let info: ServerInfo = client.get("/v1/server")?;
    world.check_ledger(&info.origin)?;
    for group in idle_groups(&client, &event)? {
        world
            .terminal
            .say(format!("warning: no gate asks for approvals by the group {group}; lending it lets nothing in"));
    }
    let document = document_bytes(&DelegationDocument::new(&info.origin, &event))?;
    world.terminal.say(format!(
        "You are about to lend your right to approve:\n{}",
        fields(&[
            ("to", &event.to),
            ("scope", &"where you may approve yourself, and of that"),
            ("groups", &listed(&event.groups, "all of yours")),
            ("into", &listed(&event.environments, "every environment")),
            ("services", &listed(&event.services, "every service")),
            ("until", &event.expires_at),
            ("reason", &event.reason),
            ("ledger", &info.origin),
            ("code", &code_words(&Digest::of(&document))),
        ])
    ));
    if !yes && !world.terminal.confirm("Sign this?")? {
        return Err(Failure::new(Exit::Failed, "NOT_CONFIRMED", "nothing was signed"));
    }
    let signer = world.keyring.signer(&world.context()?, &event.from, None)?;
    let request = NewDelegation {
        signature: sign(signer.as_ref(), DELEGATION_NAMESPACE, &document)?,
        from: event.from,
        to: event.to,
        groups: event.groups,
        environments: event.environments,
        services: event.services,
        expires_at: event.expires_at,
        reason: event.reason,
    };
    let reply: Acknowledged<Changed> = client.post("/v1/delegations", &request, Some(&world.random_hex()?))?;
    world.acknowledged(&reply, || {
        format!(
            "{} may approve instead of {} until {}\n{}  end         lockgate delegate end {} --reason ...",
            request.to,
            request.from,
            request.expires_at,
            logged_line(reply.logged.as_ref()),
            reply.result.index
        )
    })?;
    Ok(Exit::Done)
}

/// The lent groups that no approvals gate of the active policy set names, where every such gate names some.
fn idle_groups<'a>(client: &Client, event: &'a DelegationGranted) -> Result<Vec<&'a GroupName>, Failure> {
    if event.groups.is_empty() {
        return Ok(Vec::new());
    }
    let document = client.get_bytes("/v1/policy")?;
    let policy = PolicySet::from_document(&document).map_err(|errors| invalid(&errors))?;
    let asks = |group: &GroupName| {
        policy.gates().iter().any(|gate| match &gate.kind {
            GateKind::Approvals(gate) => {
                gate.groups.is_empty() || gate.groups.contains(group) || gate.per_group.contains_key(group)
            }
            _ => false,
        })
    };
    Ok(event.groups.iter().filter(|group| !asks(group)).collect())
}

fn listed<T: std::fmt::Display>(items: &[T], none: &str) -> String {
    match items.is_empty() {
        true => none.to_owned(),
        false => items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}

fn list(world: &World, all: bool) -> Outcome {
    let mut rows: Vec<DelegationRow> = world.signed_in()?.get("/v1/delegations")?;
    rows.retain(|row| all || row.open);
    world.terminal.show(&rows, || {
        if rows.is_empty() {
            return "nobody has lent anybody the right to approve".to_owned();
        }
        let line = |row: &DelegationRow| {
            let state = match (&row.ended_by, row.open) {
                (Some(by), _) => format!("ended by {by}"),
                (None, true) => format!("until {}", row.expires_at),
                (None, false) => format!("over since {}", row.expires_at),
            };
            vec![
                row.delegation.to_string(),
                row.from.to_string(),
                row.to.to_string(),
                listed(&row.groups, "all"),
                listed(&row.environments, "all"),
                listed(&row.services, "all"),
                state,
                visible(&row.reason),
            ]
        };
        table(&["entry", "from", "to", "groups", "into", "services", "state", "reason"], rows.iter().map(line))
    })?;
    Ok(Exit::Done)
}

fn end(world: &World, delegation: u64, reason: &str) -> Outcome {
    let by = world.person()?;
    let client = world.signed_in_as(&by)?;
    let info: ServerInfo = client.get("/v1/server")?;
    world.check_ledger(&info.origin)?;
    let document = document_bytes(&DelegationEndDocument::new(&info.origin, EntryIndex(delegation), reason))?;
    let signer = world.keyring.signer(&world.context()?, &by, None)?;
    let request = EndDelegation {
        delegation,
        reason: reason.to_owned(),
        signature: sign(signer.as_ref(), DELEGATION_NAMESPACE, &document)?,
        by,
    };
    let reply: Acknowledged<Changed> = client.post("/v1/delegations/ends", &request, Some(&world.random_hex()?))?;
    world.acknowledged(&reply, || {
        format!("the delegation of entry {delegation} has ended\n{}", logged_line(reply.logged.as_ref()))
    })?;
    Ok(Exit::Done)
}
