//! The database: one connection that writes, a few that read, and what happens when a flush fails.

use std::iter;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use lockgate_model::Hasher;
use lockgate_store::{Result, StoreError};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _, TransactionBehavior};

use crate::durable::{self, Note};
use crate::fault::{self, Fault};
use crate::halt::Halt;
use crate::seal::Mended;
use crate::standing::Standing;
use crate::store::LOCK;
use crate::{Options, migration, room, seal};

/// SQLite before 3.51.3 can lose pages when the write-ahead log restarts (its "WAL-reset" bug).
const SQLITE_LEAST: i32 = 3_051_003;

/// After how many commits the write-ahead log is copied into the database.
const CHECKPOINT_COMMITS: u32 = 128;

/// After how many changed rows the write-ahead log is copied into the database.
const CHECKPOINT_ROWS: u64 = 4096;

const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const CLOSE_TIMEOUT: Duration = Duration::from_millis(250);
const CACHED_STATEMENTS: usize = 64;

/// When a write must be on the disk.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flush {
    /// Before the write returns.
    Now,
    /// No later than the next write that is flushed at once.
    Later,
}

/// The open database.
pub(crate) struct Database {
    // Readers stand before the writer, so that they are closed first.
    reader: Mutex<Connection>,
    more_readers: Vec<Mutex<Connection>>,
    next_reader: AtomicUsize,
    /// `None` when the store was opened for reading.
    writer: Option<Mutex<Writer>>,
    /// Set once a commit or a flush has failed; nothing is written any more.
    halt: Halt,
    dir: PathBuf,
    reserve_bytes: u64,
    mended: Mended,
}

struct Writer {
    connection: Connection,
    commits: u32,
    rows: u64,
    note: Note,
    standing: Standing,
}

impl Database {
    /// Opens for writing, and makes or migrates the database. The caller holds the lock of `dir`.
    ///
    /// # Errors
    /// `Schema`, `Corrupt`, `Full`, `ReadOnly`, `Io`; `Fatal` when a write or a flush fails, as later on: what was
    /// mended or migrated may be in the kernel's memory alone, and nothing may be written behind it.
    pub(crate) fn open(dir: &Path, options: &Options, halt: Halt) -> Result<Self> {
        let path = dir.join("ledger.db");
        // Before SQLite takes in the log, and may begin it anew.
        let dropped = durable::check(dir)?;
        if dropped > 0 {
            tracing::warn!(
                dir = %dir.display(),
                frames = dropped,
                "the write-ahead log ends in a transaction that was not finished, or is not whole, as after a kill or \
                 a power cut; it is left out"
            );
        }
        let mut connection = open_writer(&path).map_err(|error| halt.after(error))?;
        let is_checked = std::fs::metadata(&path).is_ok_and(|file| file.len() <= options.check_up_to_bytes);
        let checked = if is_checked { check_rows(&mut connection) } else { Ok(Mended::default()) };
        let mended = checked.map_err(|error| halt.after(error))?;
        migration::check_shape(&connection)?;
        check_head(&connection)?;
        let rows = connection.total_changes();
        let note = Note::open(dir, &connection);
        let standing = Standing::of(&[dir.join(LOCK), path])?;
        let writer = Some(Mutex::new(Writer { connection, commits: 0, rows, note, standing }));
        let mut database = Self::with_readers(dir, options, writer, halt)?;
        database.mended = mended;
        database.copy_what_was_left()?;
        Ok(database)
    }

    /// What was taken out when it was opened.
    pub(crate) fn mended(&self) -> Mended {
        self.mended
    }

    /// Opens for reading beside a writer.
    ///
    /// # Errors
    /// `Schema`, `Corrupt`, `Io`.
    pub(crate) fn open_read_only(dir: &Path, options: &Options) -> Result<Self> {
        check_library()?;
        durable::check(dir)?;
        let database = Self::with_readers(dir, options, None, Halt::new(dir))?;
        let found = migration::version(&database.reader())?;
        migration::check_newest(found)?;
        Ok(database)
    }

    fn with_readers(dir: &Path, options: &Options, writer: Option<Mutex<Writer>>, halt: Halt) -> Result<Self> {
        let path = dir.join("ledger.db");
        let reader = Mutex::new(open_reader(&path)?);
        let mut more_readers = Vec::new();
        for _ in 1..options.readers {
            more_readers.push(Mutex::new(open_reader(&path)?));
        }
        Ok(Self {
            reader,
            more_readers,
            next_reader: AtomicUsize::new(0),
            writer,
            halt,
            dir: dir.to_owned(),
            reserve_bytes: options.reserve_bytes,
            mended: Mended::default(),
        })
    }

    /// Runs a read on a connection that is free, or waits for one.
    ///
    /// # Errors
    /// Whatever `work` returns.
    pub(crate) fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T> {
        let connection = self.reader();
        Ok(work(&connection)?)
    }

    fn reader(&self) -> MutexGuard<'_, Connection> {
        for reader in iter::once(&self.reader).chain(&self.more_readers) {
            match reader.try_lock() {
                Ok(connection) => return connection,
                Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        let turn = self.next_reader.fetch_add(1, Ordering::Relaxed) % (self.more_readers.len() + 1);
        let reader = self.more_readers.get(turn).unwrap_or(&self.reader);
        reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a write in a transaction: all of it is kept, or nothing.
    ///
    /// # Errors
    /// Whatever `work` returns, and then nothing is kept; `ReadOnly`; `Full` before anything is tried; `Fatal` when the
    /// commit, a write or the copying of the write-ahead log fails, and for every write after that.
    pub(crate) fn write<T>(&self, flush: Flush, work: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T> {
        let Some(writer) = &self.writer else {
            return Err(StoreError::ReadOnly("it was opened for reading; only the server writes".to_owned()));
        };
        let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
        self.halt.check()?;
        writer.standing.check().map_err(|error| self.halt.halt(error, false))?;
        room::check(&self.dir, self.reserve_bytes)?;
        let flush = if lockgate_failpoint::planted("wal-not-flushed") { Flush::Later } else { flush };
        let value = match flush {
            Flush::Now => self.transaction(&mut writer.connection, work)?,
            Flush::Later => {
                writer.connection.execute_batch("PRAGMA synchronous = NORMAL").map_err(Fault::from)?;
                let outcome = self.transaction(&mut writer.connection, work);
                // Without this the next commit would be acknowledged before it is durable.
                let back = writer.connection.execute_batch("PRAGMA synchronous = FULL");
                back.map_err(|error| self.stop("turn flushing on again", &error))?;
                outcome?
            }
        };
        let Writer { connection, note, .. } = &mut *writer;
        note.committed(connection, flush == Flush::Now);
        self.checkpoint_when_due(&mut writer)?;
        Ok(value)
    }

    fn transaction<T>(
        &self,
        connection: &mut Connection,
        work: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T> {
        let begun = connection.transaction_with_behavior(TransactionBehavior::Immediate);
        let transaction = begun.map_err(Fault::from)?;
        // An error here drops the transaction, which rolls it back.
        let value = work(&transaction).map_err(|fault| self.halt.after(fault.into()))?;
        if lockgate_failpoint::fails("transaction.before-commit") {
            return Err(StoreError::Full("a planned fault".to_owned()));
        }
        // INVARIANT (commit is all). Crash before this: nothing of the batch. After: all of it.
        transaction.commit().map_err(|error| self.stop("commit", &error))?;
        if lockgate_failpoint::fails("transaction.committed") {
            let failed = StoreError::Fatal("a planned fault: whether the commit was kept is not known".to_owned());
            return Err(self.halt.halt(failed, false));
        }
        Ok(value)
    }

    /// Copies the write-ahead log into the database now and then, on the writer's thread.
    ///
    /// SQLite's own automatic copying swallows errors, and after a failed flush it would drop the log although the
    /// database lacks the pages; so it is off, and done here.
    fn checkpoint_when_due(&self, writer: &mut Writer) -> Result<()> {
        writer.commits += 1;
        let rows = writer.connection.total_changes();
        if writer.commits < CHECKPOINT_COMMITS && rows.saturating_sub(writer.rows) < CHECKPOINT_ROWS {
            return Ok(());
        }
        writer.commits = 0;
        writer.rows = rows;
        self.checkpoint(&writer.connection, "PRAGMA wal_checkpoint(PASSIVE)")
    }

    /// Copies what the process before left in the write-ahead log: one that is killed again and again before its own turn
    /// comes would let the log grow without an end, and every start read all of it.
    fn copy_what_was_left(&self) -> Result<()> {
        let Some(writer) = &self.writer else { return Ok(()) };
        let writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
        self.checkpoint(&writer.connection, "PRAGMA wal_checkpoint(PASSIVE)")
    }

    fn checkpoint(&self, connection: &Connection, pragma: &str) -> Result<()> {
        lockgate_failpoint::point("wal.before-copy");
        match connection.query_row(pragma, [], |row| row.get::<_, i64>(0)) {
            Ok(_) => {
                lockgate_failpoint::point("wal.copied");
                Ok(())
            }
            // A reader in the way or a full disk only delays: the log stays.
            Err(error)
                if matches!(
                    error.sqlite_error_code(),
                    Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::DiskFull)
                ) =>
            {
                Ok(())
            }
            Err(error) => Err(self.stop("copy the write-ahead log", &error)),
        }
    }

    /// Notes that nothing may be written any more, on disk too when the device failed.
    fn stop(&self, what: &str, error: &rusqlite::Error) -> StoreError {
        self.halt.halt(StoreError::Fatal(format!("cannot {what}: {error}")), fault::is_device_failure(error))
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if self.halt.is_halted() {
            return;
        }
        let Some(writer) = &self.writer else { return };
        let writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
        // Both only tidy up: what was acknowledged is in the write-ahead log already.
        let _ = writer.connection.busy_timeout(CLOSE_TIMEOUT);
        let _ = self.checkpoint(&writer.connection, "PRAGMA wal_checkpoint(TRUNCATE)");
    }
}

fn check_library() -> Result<()> {
    let found = rusqlite::version_number();
    match found >= SQLITE_LEAST {
        true => Ok(()),
        false => Err(StoreError::Io(format!("SQLite {found} can lose data, build with {SQLITE_LEAST} or newer"))),
    }
}

fn open_writer(path: &Path) -> Result<Connection> {
    check_library()?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(Fault::from)?;
    migration::check_known(migration::version(&connection)?)?;
    set_up_writer(&connection)?;
    migration::apply(&mut connection)?;
    Ok(connection)
}

fn set_up_writer(connection: &Connection) -> Result<(), Fault> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    connection.execute_batch("PRAGMA page_size = 8192")?;
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(Fault::Store(StoreError::Io(format!(
            "SQLite offers journal mode `{mode}` only: use a local file system"
        ))));
    }
    connection.execute_batch(
        "PRAGMA synchronous = FULL;
         PRAGMA fullfsync = ON;
         PRAGMA checkpoint_fullfsync = ON;
         PRAGMA foreign_keys = ON;
         PRAGMA trusted_schema = OFF;
         PRAGMA cell_size_check = ON;
         PRAGMA temp_store = MEMORY;
         PRAGMA wal_autocheckpoint = 0;
         PRAGMA journal_size_limit = 67108864;",
    )?;
    // Closing must not copy the log behind our back; see `checkpoint_when_due`.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(())
}

fn open_reader(path: &Path) -> Result<Connection, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    connection.execute_batch("PRAGMA query_only = ON; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;")?;
    Ok(connection)
}

/// Compares rows with their seals and takes out what can be done without, then checks the pages, entries and streams; what
/// was taken out is kept only where nothing else is wrong.
fn check_rows(connection: &mut Connection) -> Result<Mended> {
    let transaction = connection.transaction().map_err(Fault::from)?;
    let mended = seal::mend(&transaction)?;
    check_pages(&transaction)?;
    check_entries(&transaction)?;
    check_streams(&transaction)?;
    match mended.is_nothing() {
        true => transaction.rollback().map_err(Fault::from)?,
        false => transaction.commit().map_err(Fault::from)?,
    }
    Ok(mended)
}

/// Checks the structure of the database file, and that its indexes say what its tables say.
fn check_pages(connection: &Connection) -> Result<()> {
    let read = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0));
    let found = read.map_err(Fault::from)?;
    match found.as_str() {
        "ok" => Ok(()),
        _ => Err(StoreError::Corrupt(format!("SQLite says `{found}` about the ledger"))),
    }
}

/// Checks that every entry is there, and is what its leaf hash in the tree says.
fn check_entries(connection: &Connection) -> Result<(), Fault> {
    let mut select = connection.prepare(
        "SELECT entry.idx, bytes, substr(hashes, 1 + 32 * (entry.idx % 256), 32)
         FROM entry LEFT JOIN tile ON level = 0 AND tile.idx = entry.idx / 256 ORDER BY entry.idx",
    )?;
    let mut rows = select.query([])?;
    let mut expected = 0;
    while let Some(row) = rows.next()? {
        if row.get::<_, i64>(0)? != expected {
            return Err(fault::damaged(&format!("entry {expected}, which is missing,")).into());
        }
        expected += 1;
        let mut hasher = Hasher::new();
        // A leaf, not a node (RFC 6962, section 2.1).
        hasher.update(&[0]);
        hasher.update(row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?);
        if row.get_ref(2)?.as_blob_or_null().map_err(rusqlite::Error::from)? != Some(hasher.finish().as_bytes()) {
            return Err(fault::damaged(&format!("entry {}, or its hash in the tree,", row.get::<_, i64>(0)?)).into());
        }
    }
    Ok(())
}

/// Checks that the head of every stream is its newest entry, and that none before it is missing.
fn check_streams(connection: &Connection) -> Result<(), Fault> {
    let holes = "SELECT name FROM stream JOIN
                 (SELECT stream_id, count(*) AS found, max(seq) AS newest FROM stream_entry GROUP BY stream_id)
                 ON stream_id = stream.id WHERE found <> newest + 1";
    if let Some(name) = connection.query_row(holes, [], |row| row.get::<_, String>(0)).optional()? {
        return Err(fault::damaged(&format!("the stream `{name}`, of which entries are missing,")).into());
    }
    let moved = "SELECT name FROM stream WHERE (seq, idx) IS NOT
                 (SELECT seq, idx FROM stream_entry WHERE stream_id = stream.id ORDER BY seq DESC LIMIT 1)";
    match connection.query_row(moved, [], |row| row.get::<_, String>(0)).optional()? {
        Some(name) => Err(fault::damaged(&format!("the head of the stream `{name}`")).into()),
        None => Ok(()),
    }
}

/// Checks that the head counts the entries.
fn check_head(connection: &Connection) -> Result<()> {
    let sql = "SELECT (SELECT size FROM head WHERE one = 1), (SELECT coalesce(max(idx) + 1, 0) FROM entry)";
    let read = connection.query_row(sql, [], |row| Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, i64>(1)?)));
    let (size, entries) = read.map_err(Fault::from)?;
    match size == Some(entries) {
        true => Ok(()),
        false => Err(StoreError::Corrupt(format!(
            "the head counts {} entries, the ledger holds {entries}",
            size.unwrap_or(0)
        ))),
    }
}
