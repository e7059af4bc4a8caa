//! Blobs as files, each named by its digest.
//!
//! A blob is written under `tmp/`, hashed on the way, flushed, and then linked to its final name. A link never replaces a
//! file, so that a blob, once there, stands.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use lockgate_model::{Digest, Limits};
use lockgate_store::{BlobReader, BlobStore, Result, StagedBlob, StoreError, VerifyingReader};

use crate::LocalStore;
use crate::halt::Halt;
use crate::hashing::Hashing;
use crate::recheck::TOUCH;
use crate::store::{empty_dir, make_dir, sync_dir};
use crate::{fault, room};

/// Bytes that are hashed and written at once.
const BUFFER_BYTES: usize = 256 * 1024;

/// After how many bytes the kernel is asked to start writing them to the disk, so that the final flush is short.
const WRITE_BACK_BYTES: u64 = 8 * 1024 * 1024;

/// Numbers the files under `tmp/` of this process.
static STAGED: AtomicU64 = AtomicU64::new(0);

/// Where blobs are. Clones share what is known about directories.
#[derive(Clone)]
pub(crate) struct BlobFiles {
    /// `<dir>/blobs/sha256`.
    root: PathBuf,
    /// `<dir>/tmp`; `None` when the store was opened for reading.
    staging: Option<PathBuf>,
    reserve_bytes: u64,
    /// Set once a flush has failed; nothing is written any more.
    halt: Halt,
    /// Directories below `root` whose own names are known to be on the disk.
    durable: Arc<Mutex<BTreeSet<PathBuf>>>,
}

impl BlobFiles {
    /// Makes the directories, and removes what an earlier process left half done. The caller holds the lock of `dir`.
    ///
    /// # Errors
    /// `Full`, `ReadOnly`, `Io`, `Fatal`.
    pub(crate) fn open(dir: &Path, reserve_bytes: u64, halt: Halt) -> Result<Self> {
        let staging = dir.join("tmp");
        let blobs = dir.join("blobs");
        let root = blobs.join("sha256");
        make_dir(&staging)?;
        make_dir(&root)?;
        empty_dir(&staging)?;
        sync_dir(&blobs)?;
        Ok(Self { root, staging: Some(staging), reserve_bytes, halt, durable: Arc::default() })
    }

    pub(crate) fn open_read_only(dir: &Path) -> Self {
        let root = dir.join("blobs").join("sha256");
        Self { root, staging: None, reserve_bytes: 0, halt: Halt::new(dir), durable: Arc::default() }
    }

    /// `ab/cd` and the full name below `root`.
    fn place(&self, digest: &Digest) -> Place {
        let name = digest.hex();
        let outer = self.root.join(name.get(..2).unwrap_or_default());
        let inner = outer.join(name.get(2..4).unwrap_or_default());
        let file = inner.join(name);
        Place { outer, inner, file }
    }

    /// Makes the two directories of a blob, and flushes their names before anything is put into them.
    fn make_shard(&self, place: &Place) -> Result<()> {
        // Held while flushing: a second thread must not use a directory whose name may still be lost.
        let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        // One that somebody has removed meanwhile is made again.
        let is_there = |path: &PathBuf| durable.contains(path) && path.is_dir();
        if is_there(&place.inner) {
            return Ok(());
        }
        let is_outer_there = is_there(&place.outer);
        make_dir(&place.inner)?;
        if !is_outer_there {
            sync_dir(&self.root)?;
            durable.insert(place.outer.clone());
        }
        sync_dir(&place.outer)?;
        durable.insert(place.inner.clone());
        Ok(())
    }

    /// Opens a blob's file with its size; `None` when there is none.
    fn file(&self, path: &Path) -> Result<Option<(File, u64)>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::Io(format!("cannot open `{}`: {error}", path.display()))),
        };
        let size = file.metadata().map_err(|error| fault::file("inspect", path, &error))?.len();
        Ok(Some((file, size)))
    }

    /// Reads a blob that exists already, and checks that it is the one named.
    fn verify(&self, path: &Path, digest: Digest, size: u64) -> Result<()> {
        let damaged = || StoreError::CorruptBlob(digest);
        let Some((file, found)) = self.file(path)? else { return Err(damaged()) };
        if found != size {
            return Err(damaged());
        }
        match io::copy(&mut VerifyingReader::new(file, digest, size), &mut io::sink()) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(damaged()),
            Err(error) => Err(fault::file("read", path, &error)),
        }
    }
}

struct Place {
    outer: PathBuf,
    inner: PathBuf,
    file: PathBuf,
}

impl BlobStore for LocalStore {
    fn stage(&self) -> Result<Box<dyn StagedBlob>> {
        let Some(staging) = &self.blobs.staging else {
            return Err(StoreError::ReadOnly("it was opened for reading; only the server writes".to_owned()));
        };
        self.blobs.halt.check()?;
        room::check(staging, self.blobs.reserve_bytes)?;
        if lockgate_failpoint::fails("blob.staging") {
            return Err(StoreError::Full("a planned fault".to_owned()));
        }
        loop {
            let number = STAGED.fetch_add(1, Ordering::Relaxed);
            let path = staging.join(format!("{}-{number}", std::process::id()));
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
                Ok(file) => {
                    lockgate_failpoint::point("blob.staged");
                    return Ok(Box::new(StagedFile::new(self.blobs.clone(), path, file)));
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(fault::file("make", &path, &error)),
            }
        }
    }

    fn open(&self, digest: &Digest) -> Result<Option<Box<dyn BlobReader>>> {
        let file = self.blobs.file(&self.blobs.place(digest).file)?;
        Ok(file.map(|(file, size)| Box::new(VerifyingReader::new(file, *digest, size)) as Box<dyn BlobReader>))
    }

    fn stat(&self, digest: &Digest) -> Result<Option<u64>> {
        let path = self.blobs.place(digest).file;
        match fs::metadata(&path) {
            Ok(file) => Ok(Some(file.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::Io(format!("cannot inspect `{}`: {error}", path.display()))),
        }
    }

    fn blobs(&self, after: Option<Digest>, most: usize) -> Result<Vec<(Digest, u64)>> {
        let after = after.map(|digest| digest.hex()).unwrap_or_default();
        let (after_outer, after_inner) = (after.get(..2).unwrap_or_default(), after.get(..4).unwrap_or_default());
        let mut found = Vec::new();
        for outer in names(&self.blobs.root)? {
            if outer.as_str() < after_outer {
                continue;
            }
            let outer_dir = self.blobs.root.join(&outer);
            for inner in names(&outer_dir)? {
                let shard = format!("{outer}{inner}");
                if shard.as_str() < after_inner {
                    continue;
                }
                let inner_dir = outer_dir.join(&inner);
                for name in names(&inner_dir)? {
                    if found.len() >= most {
                        return Ok(found);
                    }
                    if name > after {
                        found.push(listed(&inner_dir, &shard, &name)?);
                    }
                }
            }
        }
        Ok(found)
    }
}

/// A file's digest and size, by its name.
fn listed(dir: &Path, shard: &str, name: &str) -> Result<(Digest, u64)> {
    let path = dir.join(name);
    let digest = Digest::from_hex(name).ok().filter(|_| name.starts_with(shard));
    let Some(digest) = digest else {
        return Err(StoreError::Corrupt(format!("`{}` is not a blob's name", path.display())));
    };
    let file = fs::metadata(&path).map_err(|error| fault::file("inspect", &path, &error))?;
    Ok((digest, file.len()))
}

/// The names in a directory, in order; none when it is not there.
fn names(dir: &Path) -> Result<Vec<String>> {
    let failed = |error: io::Error| fault::file("list", dir, &error);
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        match entry.map_err(failed)?.file_name().into_string() {
            // Left by a recheck that was killed.
            Ok(name) if name == TOUCH => {}
            Ok(name) => names.push(name),
            Err(name) => {
                return Err(StoreError::Corrupt(format!("{name:?} in `{}` is not a blob's name", dir.display())));
            }
        }
    }
    names.sort();
    Ok(names)
}

/// A blob under `tmp/`. Dropping it removes the file there, whether it was linked to its final name or not.
struct StagedFile {
    files: BlobFiles,
    path: PathBuf,
    file: File,
    hashing: Hashing,
    buffer: Vec<u8>,
    /// Bytes taken so far, those in the buffer included.
    size: u64,
    /// Bytes that the kernel has.
    written: u64,
    /// Bytes that the kernel was asked to write to the disk.
    handed: u64,
}

impl StagedFile {
    fn new(files: BlobFiles, path: PathBuf, file: File) -> Self {
        Self { files, path, file, hashing: Hashing::new(), buffer: Vec::new(), size: 0, written: 0, handed: 0 }
    }

    /// Hashes and writes what is in the buffer; both at once when the blob is large.
    fn pass_on(&mut self) -> Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = Arc::new(std::mem::take(&mut self.buffer));
        self.hashing.update(&piece)?;
        if let Err(error) = self.file.write_all(&piece) {
            // The hash is ahead of the file now, so the blob must not be committed.
            self.hashing = Hashing::Ended;
            return Err(fault::file("write", &self.path, &error));
        }
        self.written = self.written.saturating_add(piece.len() as u64);
        lockgate_failpoint::point("blob.written");
        self.buffer = self.hashing.recycle(piece);
        self.start_write_back();
        Ok(())
    }

    /// Asks the kernel to start writing full stretches to the disk. Only advice: an error changes nothing.
    #[cfg(target_os = "linux")]
    fn start_write_back(&mut self) {
        let stretch = self.written.saturating_sub(self.handed);
        if stretch >= WRITE_BACK_BYTES {
            // Linux answers this advice by starting write-back of dirty pages, without waiting for it.
            let length = std::num::NonZeroU64::new(stretch);
            let _ = rustix::fs::fadvise(&self.file, self.handed, length, rustix::fs::Advice::DontNeed);
            self.handed = self.written;
        }
    }

    /// Elsewhere the final flush does it all.
    #[cfg(not(target_os = "linux"))]
    fn start_write_back(&mut self) {
        if self.written.saturating_sub(self.handed) >= WRITE_BACK_BYTES {
            self.handed = self.written;
        }
    }
}

impl StagedBlob for StagedFile {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let size = self.size.saturating_add(bytes.len() as u64);
        let most = Limits::DEFAULT.artifact_bytes;
        if size > most {
            self.hashing = Hashing::Ended;
            return Err(StoreError::TooLarge { what: "a blob", size, most });
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = BUFFER_BYTES.saturating_sub(self.buffer.len());
            let (now, later) = rest.split_at_checked(room).unwrap_or((rest, &[]));
            self.buffer.extend_from_slice(now);
            rest = later;
            if self.buffer.len() >= BUFFER_BYTES {
                self.pass_on()?;
            }
        }
        self.size = size;
        Ok(())
    }

    fn commit(mut self: Box<Self>, declared: Option<Digest>) -> Result<(Digest, u64)> {
        let halt = self.files.halt.clone();
        let kept = self.keep(declared).map_err(|error| halt.after(error))?;
        // A flush of another blob, or of rows, may have failed meanwhile, of a directory that both lie in.
        halt.check()?;
        Ok(kept)
    }
}

impl StagedFile {
    /// Gives the blob its final name, durably.
    fn keep(&mut self, declared: Option<Digest>) -> Result<(Digest, u64)> {
        self.pass_on()?;
        let found = std::mem::replace(&mut self.hashing, Hashing::Ended).finish()?;
        if let Some(expected) = declared
            && expected != found
        {
            return Err(StoreError::DigestMismatch { expected, found });
        }
        let sealed = self.file.set_permissions(Permissions::from_mode(0o444));
        sealed.map_err(|error| fault::file("seal", &self.path, &error))?;
        lockgate_failpoint::point("blob.before-flush");
        if !lockgate_failpoint::planted("blob-not-flushed") {
            self.file.sync_all().map_err(|error| fault::flush(&self.path, &error))?;
        }
        lockgate_failpoint::point("blob.flushed");
        // Crash here: a file under `tmp/`, which the next start removes.
        let place = self.files.place(&found);
        self.files.make_shard(&place)?;
        lockgate_failpoint::point("blob.shard-made");
        // INVARIANT (blobs stand): a link never replaces a file.
        match fs::hard_link(&self.path, &place.file) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.files.verify(&place.file, found, self.size)?
            }
            Err(error) => return Err(fault::file("link", &place.file, &error)),
        }
        lockgate_failpoint::point("blob.linked");
        // Crash here: the blob is there or not, whole in either case, and nobody was told. A blob that was there already
        // may have been linked a moment ago by a thread that has not flushed yet, so the flush is needed for both.
        if !lockgate_failpoint::planted("shard-not-flushed") {
            sync_dir(&place.inner)?;
        }
        lockgate_failpoint::point("blob.durable");
        Ok((found, self.size))
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        // What cannot be removed now is removed at the next start.
        let _ = fs::remove_file(&self.path);
    }
}
