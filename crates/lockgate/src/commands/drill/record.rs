//! Record: the result of a drill becomes an entry of the ledger, where a server is there to write it.

use lockgate_api::wire::{Acknowledged, Changed, DrillRequest, HoldersReply};
use lockgate_ledger::drill::DrillReport;
use lockgate_model::Digest;
use serde::Serialize;

use crate::cli;
use crate::commands::feed::recorder;
use crate::failure::Failure;
use crate::world::World;

/// How many people are named who may record it.
const HOLDERS_NAMED: usize = 3;

/// Where the result stands, or why nowhere.
#[derive(Debug, Serialize)]
pub struct Recording {
    /// The digest of the report.
    digest: Option<Digest>,
    /// The entry that records it.
    recorded: Option<u64>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_recorded: Option<String>,
}

impl Recording {
    /// The same in a line.
    pub fn line(&self) -> String {
        match (self.recorded, &self.not_recorded) {
            (Some(index), _) => format!("recorded in entry {index} of the ledger"),
            (None, Some(why)) => format!("NOT RECORDED in the ledger: {why}"),
            (None, None) => "NOT RECORDED in the ledger".to_owned(),
        }
    }
}

/// Records the result unless it is not to be recorded. Where a server is known, that is asked for by itself: the failure
/// is given where it did not work out.
pub fn record(world: &World, options: &cli::Drill, report: &DrillReport) -> (Recording, Option<Failure>) {
    let bytes = match report.to_bytes() {
        Ok(bytes) => bytes,
        Err(error) => return (not_recorded(None, error.message.clone()), Some(error.into())),
    };
    let digest = Some(Digest::of(&bytes));
    let why_not = match options {
        cli::Drill { record: true, .. } => None,
        cli::Drill { no_record: true, .. } => Some("--no-record"),
        cli::Drill { data: Some(_), .. } => Some("--data names the data; --record records it all the same"),
        _ if report.tried() == 0 => Some("nothing was tried"),
        _ => match knows_server(world) {
            Ok(true) => None,
            Ok(false) => Some("no server is known here"),
            Err(failure) => return (not_recorded(digest, failure.message.clone()), Some(failure)),
        },
    };
    if let Some(why) = why_not {
        return (not_recorded(digest, why.to_owned()), None);
    }
    match send(world, bytes) {
        Ok((index, kept)) => (Recording { digest, recorded: Some(index), not_recorded: None }, kept.err()),
        Err(failure) => {
            let recording = not_recorded(digest, format!("{} ({})", failure.message, failure.code));
            let failure = match (failure.code == "NOT_PERMITTED").then(|| who_may(world)).flatten() {
                Some(who) => failure.hint(format!("{who}; `--no-record` runs the drill without recording it")),
                None => failure.or_hint("`--no-record` runs the drill without recording it"),
            };
            (recording, Some(failure))
        }
    }
}

fn not_recorded(digest: Option<Digest>, why: String) -> Recording {
    Recording { digest, recorded: None, not_recorded: Some(why) }
}

/// Who may record it, with the command; `None` where nobody is known.
fn who_may(world: &World) -> Option<String> {
    let client = world.signed_in_as(&recorder(world).ok()?).ok()?;
    let reply: HoldersReply = client.get("/v1/permissions/audit").ok()?;
    let names: Vec<&str> = reply.holders.iter().take(HOLDERS_NAMED).map(|holder| holder.person.as_str()).collect();
    let first = names.first()?;
    Some(format!("{} may: `lockgate drill --as {first}`", names.join(", ")))
}

fn knows_server(world: &World) -> Result<bool, Failure> {
    Ok(world.global.server.is_some() || world.context()?.server.is_some())
}

/// The entry, and what became of its receipt.
fn send(world: &World, bytes: Vec<u8>) -> Result<(u64, Result<(), Failure>), Failure> {
    let report = String::from_utf8(bytes)
        .map_err(|error| Failure::new(lockgate_api::Exit::Bug, "DRILL_INVALID", error.to_string()))?;
    let client = world.signed_in_as(&recorder(world)?)?;
    let key = world.random_hex()?;
    let reply: Acknowledged<Changed> = client.post("/v1/drills", &DrillRequest { report }, Some(&key))?;
    Ok((reply.result.index, world.keep_receipt(reply.logged.as_ref())))
}
