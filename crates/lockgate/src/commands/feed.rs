//! Feeds of vulnerabilities: record a snapshot, see which ones decisions use.

use std::fs::File;
use std::path::Path;

use lockgate_api::Exit;
use lockgate_api::wire::{Acknowledged, FeedReply, FeedRow};
use lockgate_model::facts::FeedKind;
use lockgate_model::{Limits, PersonId};

use crate::cli;
use crate::failure::{Failure, Outcome};
use crate::receipts::logged_line;
use crate::terminal::table;
use crate::world::World;

/// `lockgate feed`.
///
/// # Errors
/// What the file or the server refuses.
pub fn feed(world: &World, options: &cli::Feed) -> Outcome {
    match options {
        cli::Feed::Update { kind, file } => update(world, *kind, file),
        cli::Feed::List { all } => list(world, *all),
    }
}

fn update(world: &World, kind: FeedKind, path: &Path) -> Outcome {
    let fail = |error: std::io::Error| Failure::file(path, &error);
    let mut file = File::open(path).map_err(fail)?;
    let facts = file.metadata().map_err(fail)?;
    if !facts.is_file() || facts.len() == 0 {
        return Err(Failure::usage("FILE_EMPTY", format!("{} is empty, or not a file", path.display()))
            .hint("download the snapshot again: a download that broke off often leaves an empty file"));
    }
    if facts.len() > Limits::DEFAULT.feed_bytes {
        let most = Limits::DEFAULT.feed_bytes;
        return Err(Failure::usage("TOO_LARGE", format!("{} is over the limit of {most} bytes", path.display())));
    }
    let client = world.signed_in_as(&recorder(world)?)?;
    let reply: Acknowledged<FeedReply> = client.put(&format!("/v1/feeds/{kind}"), &mut file, facts.len())?;
    let recorded = &reply.result;
    world.acknowledged(&reply, || {
        let word = if recorded.repeated { "was recorded already" } else { "is recorded" };
        format!(
            "the snapshot of {kind} of {} {word}: {} vulnerabilities\n  digest     {}\n{}",
            recorded.date,
            recorded.rows,
            recorded.digest,
            logged_line(reply.logged.as_ref())
        )
    })?;
    Ok(Exit::Done)
}

/// Who records: whom `--as` names, else the context's person, else its machine.
///
/// # Errors
/// `SIGN_IN_NEEDED` when nothing says who.
pub fn recorder(world: &World) -> Result<PersonId, Failure> {
    match (world.person(), world.context()?.machine) {
        (Ok(person), _) => Ok(person),
        (Err(_), Some(machine)) => Ok(machine),
        (Err(failure), None) => Err(failure),
    }
}

fn list(world: &World, all: bool) -> Outcome {
    let mut rows: Vec<FeedRow> = world.signed_in()?.get("/v1/feeds")?;
    rows.retain(|row| all || row.newest);
    world.terminal.show(&rows, || {
        if rows.is_empty() {
            return "no snapshot of a feed is recorded\n  next  lockgate feed update --kind kev --file FILE".to_owned();
        }
        let line = |row: &FeedRow| {
            vec![
                row.index.to_string(),
                row.feed.to_string(),
                row.date.to_string(),
                row.rows.to_string(),
                row.by.to_string(),
                if row.newest { "in use".to_owned() } else { String::new() },
                row.digest.to_string(),
            ]
        };
        table(&["entry", "feed", "of", "vulnerabilities", "by", "", "digest"], rows.iter().map(line))
    })?;
    Ok(Exit::Done)
}
