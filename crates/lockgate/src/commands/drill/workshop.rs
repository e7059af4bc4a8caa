//! Workshop: the directory that a drill works in, and what earlier drills that were killed have left behind.

use std::fs::{self, DirBuilder, File, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lockgate_api::Exit;
use lockgate_store::StoreError;

use crate::failure::Failure;
use crate::home::write_file;
use crate::world::World;

/// What the names of workshops start with, in the directory for temporary files.
const PREFIX: &str = "lockgate-drill-";
/// The file that says that a directory is a workshop; a drill that runs holds a lock on it.
const MARKER: &str = "LOCKGATE-DRILL";
/// After how long the workshop of an earlier drill is a leftover.
const LEFT_AFTER: Duration = Duration::from_secs(24 * 3600);

/// A directory of the drill's own; it is removed at the end, unless it is to be kept.
pub struct Workshop {
    /// Where it is.
    pub dir: PathBuf,
    /// Of a workshop that is not to be kept, the marker with its lock.
    marker: Option<File>,
}

impl Workshop {
    /// Makes one in the directory for temporary files, and removes what earlier drills left there; or takes the name of a
    /// directory that is to be made, and kept.
    ///
    /// # Errors
    /// `FILE_EXISTS`, `FILE_FAILED`.
    pub fn new(world: &World, kept: Option<&Path>) -> Result<Self, Failure> {
        match kept {
            Some(dir) if dir.exists() => Err(Failure::exists(dir)),
            Some(dir) => Ok(Self { dir: dir.to_owned(), marker: None }),
            None => {
                let temporary = std::env::temp_dir();
                let made = Self::in_directory(&temporary, &world.random_hex()?)?;
                made.leftovers_remove(&temporary);
                Ok(made)
            }
        }
    }

    fn in_directory(temporary: &Path, name: &str) -> Result<Self, Failure> {
        let dir = temporary.join(format!("{PREFIX}{name}"));
        // Not one that is there already, whoever made it.
        DirBuilder::new().mode(0o700).create(&dir).map_err(|error| Failure::file(&dir, &error))?;
        let place = dir.join(MARKER);
        write_file(&place, b"copies of a drill, which may be removed once it has ended\n", 0o600)?;
        let marker = File::open(&place).map_err(|error| Failure::file(&place, &error))?;
        // Where the file system has no locks, a drill of more than a day could lose its copies to another.
        let _ = marker.try_lock();
        Ok(Self { dir, marker: Some(marker) })
    }

    /// A copy in here could not be made, read or changed: no server and no server's disk has failed.
    pub fn failure(&self, error: StoreError) -> Failure {
        let place = self.dir.display();
        let away = |code: &str, message: String| Failure::new(Exit::Unavailable, code, message);
        match &error {
            StoreError::Full(text) => away("DISK_FULL", format!("no room for the drill's copies in `{place}`: {text}"))
                .hint("make room there, or choose another place: TMPDIR, or --keep DIR"),
            StoreError::ReadOnly(text) => {
                away("DISK_READ_ONLY", format!("the drill cannot write its copies in `{place}`: {text}"))
                    .hint("choose another place: TMPDIR, or --keep DIR")
            }
            StoreError::Io(text) | StoreError::Fatal(text) | StoreError::Contract(text) => {
                away("STORE_FAILED", format!("the drill's copies in `{place}` failed: {text}"))
            }
            _ => error.into(),
        }
    }

    /// Removes a copy that is done with, unless it is to be kept.
    pub fn discard(&self, dir: &Path) {
        if self.marker.is_some() {
            // It lies among files that may be lost, and links are removed without what they lead to.
            let _ = fs::remove_dir_all(dir);
        }
    }

    /// Removes the workshops that drills of the same user, which do not run any more, made a day ago or earlier. What
    /// cannot be looked at or removed stays.
    fn leftovers_remove(&self, temporary: &Path) {
        let Some(own) = self.marker.as_ref().and_then(|marker| marker.metadata().ok()) else { return };
        for entry in fs::read_dir(temporary).into_iter().flatten().flatten() {
            let is_named = entry.file_name().to_string_lossy().starts_with(PREFIX);
            if is_named && entry.path() != self.dir && is_leftover(&entry.path(), &own).unwrap_or(false) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        self.discard(&self.dir);
    }
}

/// Whether this is a workshop that was left behind, as seen from a marker that was written just now.
fn is_leftover(dir: &Path, own: &Metadata) -> io::Result<bool> {
    // Of the names themselves: a link is no workshop, wherever it leads.
    let (folder, marker) = (fs::symlink_metadata(dir)?, fs::symlink_metadata(dir.join(MARKER))?);
    let is_ours = folder.is_dir() && marker.is_file() && folder.uid() == own.uid() && marker.uid() == own.uid();
    let age = own.modified()?.duration_since(marker.modified()?).unwrap_or_default();
    // The lock of a drill that was killed went with it.
    Ok(is_ours && age >= LEFT_AFTER && File::open(dir.join(MARKER))?.try_lock().is_ok())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// Makes a directory like a workshop whose marker is so many hours old.
    fn left(temporary: &Path, name: &str, hours: u64) -> PathBuf {
        let made = Workshop::in_directory(temporary, "model").unwrap();
        let dir = temporary.join(name);
        fs::create_dir_all(dir.join("sound")).unwrap();
        fs::write(dir.join(MARKER), "x").unwrap();
        let now = made.marker.as_ref().unwrap().metadata().unwrap().modified().unwrap();
        let marker = File::options().write(true).open(dir.join(MARKER)).unwrap();
        marker.set_modified(now - Duration::from_secs(hours * 3600)).unwrap();
        dir
    }

    #[test]
    fn what_fails_in_a_workshop_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let workshop = Workshop::in_directory(folder.path(), "full").unwrap();
        let check = |error: StoreError, code: &str| {
            let failure = workshop.failure(error);
            assert_eq!((failure.exit, failure.code.as_str()), (Exit::Unavailable, code));
            let named = failure.message.contains(&workshop.dir.display().to_string());
            assert!(named && !failure.message.contains("server's"), "{}", failure.message);
        };
        check(StoreError::Full("no room".to_owned()), "DISK_FULL");
        check(StoreError::ReadOnly("no right".to_owned()), "DISK_READ_ONLY");
        check(StoreError::Io("a long name".to_owned()), "STORE_FAILED");
        // A ledger that is not there is no matter of the workshop.
        assert_eq!(workshop.failure(StoreError::NotFound("a ledger".to_owned())).code, "STORE_MISSING");
    }

    #[test]
    fn only_what_an_earlier_drill_left_a_day_ago_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let temporary = folder.path();
        let live = temporary.join("live");
        fs::create_dir(&live).unwrap();
        fs::write(live.join("blob"), "x").unwrap();
        let old = left(temporary, "lockgate-drill-old", 25);
        symlink(&live, old.join("sound/blobs")).unwrap();
        let stay = [
            left(temporary, "lockgate-drill-young", 1),
            left(temporary, "another-drill-old", 25),
            left(temporary, "lockgate-drill-unmarked", 25),
            left(temporary, "lockgate-drill-marked-by-a-link", 25),
            left(temporary, "lockgate-drill-running", 25),
            left(temporary, "elsewhere", 25),
        ];
        fs::remove_file(stay[2].join(MARKER)).unwrap();
        fs::remove_file(stay[3].join(MARKER)).unwrap();
        symlink(stay[1].join(MARKER), stay[3].join(MARKER)).unwrap();
        let running = File::open(stay[4].join(MARKER)).unwrap();
        running.try_lock().unwrap();
        symlink(&stay[5], temporary.join("lockgate-drill-link")).unwrap();
        let own = Workshop::in_directory(temporary, "own").unwrap();
        own.leftovers_remove(temporary);
        assert!(!old.exists() && live.join("blob").exists());
        for dir in &stay {
            assert!(dir.join("sound").is_dir(), "{}", dir.display());
        }
        assert!(own.dir.join(MARKER).exists());
        // A second one of that name is not made, and the first goes with its drill.
        assert!(Workshop::in_directory(temporary, "own").is_err());
        let dir = own.dir.clone();
        drop(own);
        assert!(!dir.exists());
        drop(running);
        Workshop::in_directory(temporary, "own").unwrap().leftovers_remove(temporary);
        assert!(!stay[4].exists() && stay[0].exists());
    }
}
