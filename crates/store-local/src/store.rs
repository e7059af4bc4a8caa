//! Opening a store: its directory, its lock, and what an earlier process left.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use lockgate_store::{Result, StoreError};

use crate::blob::BlobFiles;
use crate::database::Database;
use crate::halt::Halt;
use crate::seal::Mended;
use crate::{fault, practice, recheck, suspect};

/// How a local store behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Bytes kept free on the disk: below that, writes are refused and reads go on.
    pub reserve_bytes: u64,
    /// Connections that read; at least one.
    pub readers: usize,
    /// Databases up to this size are checked page by page when they are opened for writing.
    pub check_up_to_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { reserve_bytes: 64 * 1024 * 1024, readers: 4, check_up_to_bytes: 64 * 1024 * 1024 }
    }
}

/// The store of one machine: see the crate's text for the layout.
///
/// INVARIANT (one writer): the process that opened it for writing holds the lock of `<dir>/LOCK` until it is dropped.
pub struct LocalStore {
    // The database is closed before the lock is let go.
    pub(crate) database: Database,
    pub(crate) blobs: BlobFiles,
    halt: Halt,
    _lock: Option<File>,
}

impl LocalStore {
    /// Opens a store for writing; makes the directory and the schema where they are missing, and empties `tmp/`.
    ///
    /// # Errors
    /// `Practice` for a copy that a drill made; `Locked` when another process writes here; `Schema` when a newer version wrote it; `Fatal` when a flush failed
    /// since the host started; `Corrupt`, `Full`, `ReadOnly`, `Io`.
    pub fn open(dir: &Path, options: Options) -> Result<Self> {
        practice::refuse(dir)?;
        Self::open_any(dir, options)
    }

    /// As [`Self::open`], also for a copy that a drill made.
    pub(crate) fn open_any(dir: &Path, options: Options) -> Result<Self> {
        // Its name must be on the disk before anything in it is acknowledged.
        make_dir_flushed(dir)?;
        let lock = lock(dir)?;
        lockgate_failpoint::point("store.locked");
        suspect::check(dir)?;
        suspect::prepare(dir);
        let halt = Halt::new(dir);
        recheck::finish(dir).map_err(|error| halt.after(error))?;
        let blobs = BlobFiles::open(dir, options.reserve_bytes, halt.clone()).map_err(|error| halt.after(error))?;
        lockgate_failpoint::point("store.staging-emptied");
        let database = Database::open(dir, &options, halt.clone())?;
        lockgate_failpoint::point("store.database-opened");
        sync_dir(dir).map_err(|error| halt.after(error))?;
        Ok(Self { database, blobs, halt, _lock: Some(lock) })
    }

    /// Opens a store for reading, also while another process writes it. Takes no lock and stores nothing: every write
    /// is refused. (SQLite keeps its own shared-memory file beside the database.)
    ///
    /// # Errors
    /// `NotFound` when there is no store; `Schema` for any schema but the newest; `Corrupt`, `Io`.
    pub fn open_read_only(dir: &Path, options: Options) -> Result<Self> {
        if !dir.join("ledger.db").is_file() {
            return Err(StoreError::NotFound(format!(
                "a ledger in `{}`: name the directory of a store",
                dir.display()
            )));
        }
        let database = Database::open_read_only(dir, &options)?;
        Ok(Self { database, blobs: BlobFiles::open_read_only(dir), halt: Halt::new(dir), _lock: None })
    }

    /// What was taken out when the store was opened for writing, because it was not what was written; to be told.
    pub fn mended(&self) -> Mended {
        self.database.mended()
    }

    /// Names what happens when a commit or a flush fails for good, in whatever part of the store: the process has to
    /// stop, and `alarm` is called with the reason, before whoever asked for the write is told. The first one named stays.
    pub fn on_failure(&self, alarm: impl Fn(&str) + Send + Sync + 'static) {
        self.halt.tell(Box::new(alarm));
    }
}

/// Makes a directory that only its owner may enter, and its parents.
pub(crate) fn make_dir(path: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| fault::file("make the directory", path, &error))
}

/// The same where it is missing, with the name of each directory that is made flushed: that of the store's own, and of a
/// parent that the first start makes, too. A parent whose name is lost in a power cut takes the whole store with it.
fn make_dir_flushed(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    make_dir_flushed(parent)?;
    make_dir(path)?;
    sync_dir(parent)
}

/// Flushes the names in a directory.
pub(crate) fn sync_dir(path: &Path) -> Result<()> {
    let dir = File::open(path).map_err(|error| fault::file("open the directory", path, &error))?;
    dir.sync_all().map_err(|error| fault::flush(path, &error))
}

/// Removes the files in a directory.
pub(crate) fn empty_dir(path: &Path) -> Result<()> {
    let failed = |error: std::io::Error| fault::file("empty", path, &error);
    for entry in fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        fs::remove_file(&file).map_err(|error| fault::file("remove", &file, &error))?;
    }
    Ok(())
}

/// What the writer holds locked in the directory of its store.
pub(crate) const LOCK: &str = "LOCK";

/// Takes the writer's lock; it lives as long as the file, and ends with the process however that ends.
pub(crate) fn lock(dir: &Path) -> Result<File> {
    let path = dir.join(LOCK);
    let opened = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let file = opened.map_err(|error| fault::file("open", &path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked(format!(
            "another server writes to `{}`; stop it, or give this one a directory of its own",
            dir.display()
        ))),
        Err(TryLockError::Error(error)) => Err(fault::file("lock", &path, &error)),
    }
}
