//! Remains: what a play left, looked at without asking the server.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use lockgate_ledger::Leaf;
use lockgate_model::{EntryIndex, Limits};
use lockgate_store::LedgerStore as _;
use lockgate_store_local::{LocalStore, Options};

use crate::failure::{During as _, Failure, Result};

/// What a recheck makes beside a database and in directories, and takes away again.
const RECHECKS: [&str; 3] = ["ledger.db.rewriting", "ledger.db.rewritten", ".recheck"];
/// How many entries are read at a time.
const PAGE: usize = 512;

/// The events of the ledger, in order, each with its entry.
///
/// # Errors
/// When the store cannot be read.
pub fn events(home: &Path) -> Result<Vec<(u64, &'static str)>> {
    let store = LocalStore::open_read_only(&home.join("data"), Options::default()).during("open the store")?;
    let size = store.head().during("read the ledger's head")?.size.0;
    let mut events = Vec::new();
    let mut next = 0;
    while next < size {
        let page = store.entries(EntryIndex(next), PAGE).during("read entries")?;
        if page.is_empty() {
            return Err(Failure::new(format!("the ledger of {size} entries ends at {next}")));
        }
        for bytes in &page {
            if let Leaf::Entry(entry) = Leaf::decode(bytes, &Limits::DEFAULT).during("decode an entry")? {
                events.push((next, entry.event.name()));
            }
            next += 1;
        }
    }
    Ok(events)
}

/// How often each event stands in the ledger, without those that follow from the others.
pub fn counts(events: &[(u64, &'static str)]) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    // A decision that comes out the same again is recorded or not, depending on what else was in its batch.
    let asked = events.iter().filter(|(_, name)| !matches!(*name, "decision.recorded" | "attestations.issued"));
    for (_, name) in asked {
        *counts.entry(*name).or_default() += 1;
    }
    counts
}

/// Temporary files that are still there, although the server has been started again and has stopped.
///
/// # Errors
/// When a folder cannot be listed.
pub fn leftovers(home: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    look(home, false, &mut found)?;
    Ok(found)
}

fn look(folder: &Path, is_temporary: bool, found: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(folder).during(format!("list `{}`", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            look(&path, is_temporary || name == "tmp", found)?;
        } else if is_temporary || name.ends_with(".tmp") || RECHECKS.contains(&name.as_str()) {
            found.push(format!("the temporary file `{}` is left", path.display()));
        }
    }
    Ok(())
}

/// Audits the whole ledger with the binary, and says what it finds.
///
/// # Errors
/// When the audit does not start.
pub fn audit(binary: &Path, home: &Path) -> Result<Option<String>> {
    let mut command = Command::new(binary);
    command.args(["audit", "--data"]).arg(home.join("data")).env("LOCKGATE_HOME", home).env_remove("LOCKGATE_FAULT");
    let output = command.output().during("start the audit")?;
    if output.status.success() {
        return Ok(None);
    }
    let said = [output.stdout, output.stderr].concat();
    Ok(Some(format!("the audit ended with {}: {}", output.status, String::from_utf8_lossy(&said))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn temporary_files_are_found_wherever_they_lie() {
        let scratch = Scratch::new("remains-test").unwrap();
        let home = scratch.path();
        fs::create_dir_all(home.join("data/access/tmp")).unwrap();
        fs::create_dir_all(home.join("keys")).unwrap();
        fs::write(home.join("keys/log.key"), "x").unwrap();
        assert_eq!(leftovers(home).unwrap(), Vec::<String>::new());
        fs::write(home.join("data/access/tmp/7-0"), "x").unwrap();
        fs::write(home.join("keys/.begun.7.tmp"), "x").unwrap();
        fs::write(home.join("data/ledger.db.rewriting"), "x").unwrap();
        assert_eq!(leftovers(home).unwrap().len(), 3);
    }

    #[test]
    fn what_was_asked_for_is_counted() {
        let events = [(0, "ledger.created"), (1, "decision.recorded"), (2, "feed.recorded"), (3, "feed.recorded")];
        assert_eq!(counts(&events), BTreeMap::from([("feed.recorded", 2), ("ledger.created", 1)]));
    }
}
