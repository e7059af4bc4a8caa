//! Recheck: the way back after a failed flush that needs no restart of the host.
//!
//! What a failed flush leaves in doubt are pages that the kernel holds: they read as they were written, and may never
//! reach the disk, whatever a later flush of that file says. So nothing goes on with such a file. Its content is written
//! into a new one, which is flushed and takes the place of the old one. Blobs were flushed before they got their names;
//! each directory of theirs is changed, so that it is written anew, and then flushed.
//!
//! The mark stays until whoever rechecks has looked at what came of it, and says so with [`Recheck::clear`].

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use lockgate_store::Result;

use crate::practice::{self, copy_database};
use crate::store::{lock, sync_dir};
use crate::{fault, room, suspect};

/// A copy of the database that is not whole yet.
const PARTIAL: &str = "ledger.db.rewriting";
/// One that is whole and flushed; it takes the place of the database before anything opens that for writing.
const WHOLE: &str = "ledger.db.rewritten";
/// The name that a directory gets, and loses again, to be changed.
pub(crate) const TOUCH: &str = ".recheck";

/// A store in which a flush failed. No server can open it while this lives.
#[derive(Debug)]
pub struct Recheck {
    dir: PathBuf,
    _lock: File,
}

impl Recheck {
    /// Whether a flush has failed in a store, and nobody has rechecked it since.
    pub fn is_due(dir: &Path) -> bool {
        suspect::path(dir).exists()
    }

    /// Takes the writer's lock of a store.
    ///
    /// # Errors
    /// `Locked` when a server runs; `Practice`, `Io`.
    pub fn begin(dir: &Path) -> Result<Self> {
        practice::refuse(dir)?;
        Ok(Self { dir: dir.to_owned(), _lock: lock(dir)? })
    }

    /// Writes the database, and the directories of blobs, anew. It can be broken off at any moment, and begun again.
    ///
    /// # Errors
    /// `Full` where there is no room for a second copy of the database and `reserve_bytes`; `Fatal` when a flush fails
    /// again; `Schema`, `Corrupt`, `ReadOnly`, `Io`. After any of them the mark is there as before.
    pub fn rewrite(&self, reserve_bytes: u64) -> Result<()> {
        finish(&self.dir)?;
        lockgate_failpoint::point("recheck.begun");
        let (database, partial, whole) = (self.dir.join("ledger.db"), self.dir.join(PARTIAL), self.dir.join(WHOLE));
        let size = [database.clone(), self.dir.join("ledger.db-wal")]
            .iter()
            .filter_map(|file| fs::metadata(file).ok())
            .fold(reserve_bytes, |sum, facts| sum.saturating_add(facts.len()));
        remove_if_there(&partial)?;
        room::check(&self.dir, size)?;
        copy_database(&database, &partial)?;
        lockgate_failpoint::point("recheck.copied");
        let file = File::open(&partial).map_err(|error| fault::file("open", &partial, &error))?;
        file.sync_all().map_err(|error| fault::flush(&partial, &error))?;
        lockgate_failpoint::point("recheck.flushed");
        rename(&partial, &whole)?;
        sync_dir(&self.dir)?;
        lockgate_failpoint::point("recheck.whole");
        // Crash before this: the old database, and the mark. After: the copy takes its place, at the latest when it is
        // opened, and nothing has been written to either since.
        finish(&self.dir)?;
        let blobs = self.dir.join("blobs");
        if blobs.is_dir() {
            change_below(&blobs)?;
        }
        lockgate_failpoint::point("recheck.blobs-flushed");
        change(&self.dir)
    }

    /// Takes the mark away: the store may be written again.
    ///
    /// # Errors
    /// `ReadOnly`, `Io`, `Fatal`.
    pub fn clear(self) -> Result<()> {
        remove_if_there(&suspect::path(&self.dir))?;
        lockgate_failpoint::point("recheck.unmarked");
        sync_dir(&self.dir)
    }
}

/// Puts a whole copy of the database in its place, where one was left. The caller holds the lock of `dir`.
///
/// # Errors
/// `ReadOnly`, `Io`, `Fatal`.
pub(crate) fn finish(dir: &Path) -> Result<()> {
    let whole = dir.join(WHOLE);
    if !whole.is_file() {
        return Ok(());
    }
    // What the log of the old file holds is in the copy already, and must not be read into it: it goes first.
    for name in ["ledger.db-wal", "ledger.db-shm"] {
        remove_if_there(&dir.join(name))?;
    }
    sync_dir(dir)?;
    lockgate_failpoint::point("recheck.log-removed");
    rename(&whole, &dir.join("ledger.db"))?;
    lockgate_failpoint::point("recheck.in-place");
    sync_dir(dir)
}

/// Changes a directory and all below it, and flushes each.
fn change_below(dir: &Path) -> Result<()> {
    let failed = |error: io::Error| fault::file("list", dir, &error);
    for entry in fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            change_below(&path)?;
        }
    }
    change(dir)
}

fn change(dir: &Path) -> Result<()> {
    let touch = dir.join(TOUCH);
    File::create(&touch).map_err(|error| fault::file("make", &touch, &error))?;
    lockgate_failpoint::point("recheck.directory-changed");
    remove_if_there(&touch)?;
    sync_dir(dir)
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(|error| fault::file("rename", from, &error))
}

fn remove_if_there(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(fault::file("remove", path, &error)),
        _ => Ok(()),
    }
}
