//! Practice: copies of a store that are damaged on purpose, beside a server that may run.
//!
//! A drill plays somebody who has the disk. Such a person is not held up by the guards of the database, and neither is
//! [`Damage`]. But it is had from a [`PracticeCopy`] alone, and that is always a directory that this process has made, so
//! that nothing here can write to a store that is in use.
//!
//! INVARIANT (practice leaves the original alone): the database of a copy is a file of its own. Its blobs are links to
//! directories and files of the original, and a link is replaced before anything is written in its place.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lockgate_model::{Digest, EntryIndex, StreamName};
use lockgate_store::{Head, NewEntry, Result, StoreError, TileWrite};
use rusqlite::{Connection, OpenFlags};

use crate::fault::{self, Fault, to_sql};
use crate::store::{LocalStore, Options, make_dir};
use crate::{durable, migration, room};

/// How long a busy database is waited for.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes that copying leaves free on the disk: a running server wants them.
const RESERVE_BYTES: u64 = 128 * 1024 * 1024;
/// How many copies of the database there are at most at one time: the first, one that is damaged, and its journal.
const COPIES: u64 = 3;
/// The levels of tiles that a tree can have.
const LEVELS: u8 = 8;
/// Bytes of a hash.
const HASH_BYTES: u64 = 32;

/// The file that says that a directory is a copy, wherever it is moved to.
const MARK: &str = "PRACTICE";
const MARK_TEXT: &str = "a copy that `lockgate drill` made: its blobs are links to those of the original\n";

/// Refuses to write to a copy as if it were the ledger: what a server adds to its blobs would land in the original.
///
/// # Errors
/// `Practice`; `Io` when it cannot be told.
pub(crate) fn refuse(dir: &Path) -> Result<()> {
    let mark = dir.join(MARK);
    match fs::symlink_metadata(&mark) {
        Ok(_) => Err(StoreError::Practice(dir.display().to_string())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(fault::file("look for", &mark, &error)),
    }
}

/// A copy of a store, to be damaged.
#[derive(Debug)]
pub struct PracticeCopy {
    dir: PathBuf,
    /// The blobs of the original.
    blobs: PathBuf,
}

/// The database of a copy, without its guards.
#[derive(Debug)]
pub struct Damage {
    connection: Connection,
}

impl PracticeCopy {
    /// Copies the store in `live` into the new directory `to`: one moment of it, also while a server writes there.
    ///
    /// # Errors
    /// `NotFound` when there is no store; `Schema`; `Full` when there is no room for what a drill needs; `Io`, `Corrupt`.
    pub fn take(live: &Path, to: &Path) -> Result<Self> {
        let database = live.join("ledger.db");
        let Ok(facts) = fs::metadata(&database) else {
            return Err(StoreError::NotFound(format!(
                "a ledger in `{}`: name the directory of a store",
                live.display()
            )));
        };
        make_dir(to)?;
        room::check(to, facts.len().saturating_mul(COPIES).saturating_add(RESERVE_BYTES))?;
        let original = fs::canonicalize(live).map_err(|error| fault::file("find", live, &error))?;
        copy_database(&database, &to.join("ledger.db"))?;
        Self { dir: to.to_owned(), blobs: original.join("blobs") }.linked()
    }

    /// A fresh copy of this one, in the new directory `to`.
    ///
    /// # Errors
    /// `Full`, `ReadOnly`, `Io`.
    pub fn again(&self, to: &Path) -> Result<Self> {
        make_dir(to)?;
        let (from, file) = (self.dir.join("ledger.db"), to.join("ledger.db"));
        fs::copy(&from, &file).map_err(|error| fault::file("copy", &from, &error))?;
        Self { dir: to.to_owned(), blobs: self.blobs.clone() }.linked()
    }

    fn linked(self) -> Result<Self> {
        let place = self.dir.join("blobs");
        symlink(&self.blobs, &place).map_err(|error| fault::file("link", &place, &error))?;
        let mark = self.dir.join(MARK);
        fs::write(&mark, MARK_TEXT).map_err(|error| fault::file("mark", &mark, &error))?;
        Ok(self)
    }

    /// Opens it for writing, as nothing but a drill does: [`LocalStore::open`] refuses a copy.
    ///
    /// # Errors
    /// As [`LocalStore::open`].
    pub fn open(&self) -> Result<LocalStore> {
        LocalStore::open_any(&self.dir, Options::default())
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Opens its database without the guards.
    ///
    /// # Errors
    /// `Io`, `Corrupt`.
    pub fn damage(&self) -> Result<Damage> {
        Ok(open_unguarded(&self.dir.join("ledger.db"))?)
    }

    /// Flips one bit of a blob.
    ///
    /// # Errors
    /// `NotFound` when there is no such blob; `Full`, `ReadOnly`, `Io`.
    pub fn blob_flip(&self, digest: &Digest) -> Result<()> {
        let place = self.blob_place(digest)?;
        let failed = |error: io::Error| fault::file("change", &place, &error);
        let original = fs::read_link(&place).map_err(failed)?;
        // INVARIANT (practice leaves the original alone): from here on the name leads to a file of the copy's own.
        fs::remove_file(&place).map_err(failed)?;
        let mut from = File::open(&original).map_err(failed)?;
        let mut to = OpenOptions::new().read(true).write(true).create_new(true).open(&place).map_err(failed)?;
        io::copy(&mut from, &mut to).map_err(failed)?;
        to.set_permissions(Permissions::from_mode(0o600)).map_err(failed)?;
        let mut byte = [0_u8; 1];
        to.rewind().and_then(|()| to.read_exact(&mut byte)).map_err(failed)?;
        let flipped = byte.map(|byte| byte ^ 1);
        to.seek(SeekFrom::Start(0)).and_then(|_| to.write_all(&flipped)).map_err(failed)
    }

    /// Takes a blob away.
    ///
    /// # Errors
    /// `NotFound` when there is no such blob; `ReadOnly`, `Io`.
    pub fn blob_remove(&self, digest: &Digest) -> Result<()> {
        let place = self.blob_place(digest)?;
        fs::remove_file(&place).map_err(|error| fault::file("remove", &place, &error))
    }

    /// The link that stands for a blob, in directories of the copy's own.
    fn blob_place(&self, digest: &Digest) -> Result<PathBuf> {
        let name = digest.hex();
        let (outer, inner) = (name.get(..2).unwrap_or_default(), name.get(2..4).unwrap_or_default());
        let mut place = self.dir.join("blobs");
        own(&place)?;
        for part in ["sha256", outer, inner] {
            place.push(part);
            own(&place)?;
        }
        place.push(&name);
        match place.is_symlink() {
            true => Ok(place),
            false => Err(StoreError::NotFound(format!("the blob `{digest}` in `{}`", self.dir.display()))),
        }
    }
}

/// Makes a directory of a link to one: what is in it is linked, one by one. A directory stays as it is.
fn own(path: &Path) -> Result<()> {
    let failed = |error: io::Error| fault::file("copy", path, &error);
    if !path.is_symlink() {
        return Ok(());
    }
    let original = fs::read_link(path).map_err(failed)?;
    fs::remove_file(path).map_err(failed)?;
    fs::create_dir(path).map_err(failed)?;
    for entry in fs::read_dir(&original).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        symlink(entry.path(), path.join(entry.file_name())).map_err(failed)?;
    }
    Ok(())
}

/// Copies what is committed, as of one moment. The original is read as by any other reader, and its writer waits for
/// nothing.
pub(crate) fn copy_database(from: &Path, to: &Path) -> Result<()> {
    let Some(name) = to.to_str() else {
        return Err(StoreError::Io(format!("the name `{}` is not UTF-8: choose another directory", to.display())));
    };
    if let Some(dir) = from.parent() {
        durable::check(dir)?;
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(from, flags).map_err(Fault::from)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(Fault::from)?;
    migration::check_newest(migration::version(&connection)?)?;
    connection.execute("VACUUM INTO ?1", [name]).map_err(Fault::from)?;
    Ok(())
}

fn open_unguarded(path: &Path) -> Result<Damage, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // What becomes of a copy in a crash does not matter.
    connection.execute_batch("PRAGMA synchronous = OFF")?;
    let guards: Vec<String> = {
        let mut select = connection.prepare("SELECT name FROM sqlite_master WHERE type = 'trigger'")?;
        let names = select.query_map([], |row| row.get(0))?;
        names.collect::<rusqlite::Result<_>>()?
    };
    for guard in guards {
        // INVARIANT (practice leaves the original alone): a name out of the database stays a name, whatever is in it.
        connection.execute_batch(&format!("DROP TRIGGER \"{}\"", guard.replace('"', "\"\"")))?;
    }
    Ok(Damage { connection })
}

impl Damage {
    /// Writes other bytes into the row of an entry, and leaves everything else as it was.
    ///
    /// # Errors
    /// `Contract` when there is no such row; `Full`, `Io`.
    pub fn entry_edit(&self, index: EntryIndex, bytes: &[u8]) -> Result<()> {
        let index = to_sql(index.0)?;
        self.change_one("UPDATE entry SET bytes = ?2 WHERE idx = ?1", (index, bytes))
    }

    /// Puts these entries in the place of all from `from` on, and makes the index of streams fit.
    ///
    /// # Errors
    /// `Contract`, `Full`, `Io`.
    pub fn entries_from(&self, from: EntryIndex, entries: &[NewEntry]) -> Result<()> {
        self.transaction(|connection| {
            let first = to_sql(from.0)?;
            connection.execute("DELETE FROM stream_entry WHERE idx >= ?1", [first])?;
            connection.execute("DELETE FROM entry WHERE idx >= ?1", [first])?;
            for (index, entry) in (from.0..).zip(entries) {
                entry_put(connection, to_sql(index)?, entry)?;
            }
            connection.execute_batch(
                "DELETE FROM stream WHERE NOT EXISTS (SELECT 1 FROM stream_entry WHERE stream_id = stream.id);
                 UPDATE stream SET (seq, idx) = (
                   SELECT newest.seq, newest.idx FROM stream_entry AS newest
                   WHERE newest.stream_id = stream.id ORDER BY newest.seq DESC LIMIT 1);",
            )?;
            Ok(())
        })
    }

    /// Makes the tree another one from the leaf at `from` on: cuts the tiles there, writes these, and sets the head.
    ///
    /// # Errors
    /// `Contract`, `Full`, `Io`.
    pub fn tree_from(&self, from: EntryIndex, tiles: &[TileWrite], head: &Head) -> Result<()> {
        self.transaction(|connection| {
            for level in 0..LEVELS {
                tiles_cut(connection, level, from.0)?;
            }
            let put = "INSERT INTO tile (level, idx, hashes) VALUES (?1, ?2, ?3)
                       ON CONFLICT (level, idx) DO UPDATE SET hashes = excluded.hashes";
            for tile in tiles {
                let row = (i64::from(tile.level), to_sql(tile.index)?, tile.hashes.as_slice());
                connection.prepare_cached(put)?.execute(row)?;
            }
            let row = (to_sql(head.size.0)?, head.root.as_bytes());
            connection.execute("UPDATE head SET size = ?1, root = ?2 WHERE one = 1", row)?;
            Ok(())
        })
    }

    /// Keeps bytes as a document under any name, also under one that is not theirs.
    ///
    /// # Errors
    /// `Full`, `Io`.
    pub fn document_put(&self, name: &Digest, bytes: &[u8]) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO document (digest, bytes) VALUES (?1, ?2)";
        self.change_one(sql, (name.as_bytes(), bytes))
    }

    /// Removes one row of the index of streams.
    ///
    /// # Errors
    /// `Contract` when there is no such row; `Full`, `Io`.
    pub fn stream_entry_remove(&self, stream: &StreamName, seq: u64) -> Result<()> {
        let sql = "DELETE FROM stream_entry WHERE stream_id = (SELECT id FROM stream WHERE name = ?1) AND seq = ?2";
        self.change_one(sql, (stream.as_str(), to_sql(seq)?))
    }

    /// A statement that has to change one row: damage that is none would be a drill that proves nothing.
    fn change_one(&self, sql: &str, values: impl rusqlite::Params) -> Result<()> {
        match self.connection.execute(sql, values).map_err(Fault::from)? {
            1 => Ok(()),
            count => Err(StoreError::Contract(format!("{count} rows were changed instead of one: {sql}"))),
        }
    }

    fn transaction(&self, work: impl FnOnce(&Connection) -> Result<(), Fault>) -> Result<()> {
        let run = || {
            self.connection.execute_batch("BEGIN")?;
            work(&self.connection)?;
            self.connection.execute_batch("COMMIT")?;
            Ok::<(), Fault>(())
        };
        // A copy that is damaged only by half is thrown away with the connection.
        Ok(run()?)
    }
}

fn entry_put(connection: &Connection, index: i64, entry: &NewEntry) -> Result<(), Fault> {
    let put = "INSERT INTO entry (idx, bytes) VALUES (?1, ?2)";
    connection.prepare_cached(put)?.execute((index, entry.bytes.as_slice()))?;
    for (stream, seq) in &entry.streams {
        let row = (stream.as_str(), to_sql(*seq)?, index);
        let head = "INSERT INTO stream (name, seq, idx) VALUES (?1, ?2, ?3)
                    ON CONFLICT (name) DO UPDATE SET seq = excluded.seq, idx = excluded.idx";
        connection.prepare_cached(head)?.execute(row)?;
        let place = "INSERT OR REPLACE INTO stream_entry (stream_id, seq, idx)
                     SELECT id, ?2, ?3 FROM stream WHERE name = ?1";
        connection.prepare_cached(place)?.execute(row)?;
    }
    Ok(())
}

/// Cuts the tiles of a level to what a tree of `size` entries has there.
fn tiles_cut(connection: &Connection, level: u8, size: u64) -> Result<(), Fault> {
    let hashes = size.checked_shr(8 * u32::from(level)).unwrap_or(0);
    let (index, width) = (to_sql(hashes / 256)?, hashes % 256);
    let level = i64::from(level);
    connection.execute("DELETE FROM tile WHERE level = ?1 AND idx > ?2", [level, index])?;
    match width {
        0 => connection.execute("DELETE FROM tile WHERE level = ?1 AND idx = ?2", [level, index])?,
        _ => connection.execute(
            "UPDATE tile SET hashes = substr(hashes, 1, ?3) WHERE level = ?1 AND idx = ?2",
            [level, index, to_sql(width.saturating_mul(HASH_BYTES))?],
        )?,
    };
    Ok(())
}
