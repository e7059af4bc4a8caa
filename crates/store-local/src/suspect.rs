//! The mark of a failed flush.
//!
//! After a flush has failed the kernel may call pages clean that never reached the disk, and a later flush succeeds
//! without them. Only a restart of the host forgets such pages, so until then nothing may be written behind the hole; or the
//! module `recheck` writes everything into new files, of which the kernel says anew whether they reached the disk.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use lockgate_store::{Result, StoreError};

use crate::fault;

/// Where Linux says which start of the host this is.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The fewest bytes of a mark that says which start it is from: a whole one has 36.
const LEAST_BYTES: usize = 16;

/// The path of the mark in a store.
pub(crate) fn path(dir: &Path) -> PathBuf {
    dir.join("SUSPECT")
}

/// The path of the mark that only has to be renamed.
fn prepared(dir: &Path) -> PathBuf {
    dir.join("SUSPECT.ready")
}

/// Writes the mark under another name, so that setting it takes no room on a disk that is full by then. Nothing is
/// flushed: the mark is for processes of this start of the host, and they see what the kernel holds.
pub(crate) fn prepare(dir: &Path) {
    let (path, now) = (prepared(dir), boot_id());
    if fs::read(&path).is_ok_and(|text| text == now.as_bytes()) {
        return;
    }
    if let Err(error) = fs::write(&path, now) {
        tracing::warn!(path = %path.display(), %error, "the mark of a failed flush could not be prepared");
    }
}

/// Sets the mark, as well as a failing disk allows, and says so where it does not.
pub(crate) fn set(dir: &Path) {
    let path = path(dir);
    if path.exists() || fs::rename(prepared(dir), &path).is_ok() {
        return;
    }
    let written = fs::File::create(&path).and_then(|mut file| {
        file.write_all(boot_id().as_bytes())?;
        file.sync_all()
    });
    match written {
        Ok(()) => {}
        // One that is not whole counts as well: see `is_from_earlier`.
        Err(_) if path.exists() => {}
        Err(error) => tracing::error!(
            path = %path.display(),
            %error,
            "a flush failed, and the mark of it could not be set: start no server here before the host has restarted"
        ),
    }
}

/// Refuses while the mark is from this start of the host, or does not say from which; removes an older one.
///
/// # Errors
/// `Fatal` while the host has not restarted; `ReadOnly`, `Io` when the mark cannot be removed.
pub(crate) fn check(dir: &Path) -> Result<()> {
    let path = path(dir);
    let is_earlier = match fs::read(&path) {
        Ok(mark) => is_from_earlier(&mark, &boot_id()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        // It is there.
        Err(_) => false,
    };
    match is_earlier {
        true => fs::remove_file(&path).map_err(|error| fault::file("remove", &path, &error)),
        false => Err(StoreError::Fatal(format!(
            "a flush failed since the host started, as `{}` says: see that the disk has room and is well, then restart \
             the host, or run `lockgate doctor --recheck`; a mark that is empty or damaged is ended by the recheck alone",
            path.display()
        ))),
    }
}

/// Whether a mark says that it is from another start of the host than `now`.
///
/// On a full disk a mark may be empty or cut short, and after a power cut it may be anything: that says nothing, and so
/// it counts as one of this start, which only a person removes.
fn is_from_earlier(mark: &[u8], now: &str) -> bool {
    let Ok(mark) = std::str::from_utf8(mark) else { return false };
    let mark = mark.trim();
    let is_whole = mark.len() >= LEAST_BYTES && !mark.chars().any(char::is_control);
    is_whole && !now.is_empty() && !now.starts_with(mark)
}

/// Which start of the host this is; empty where the system does not say, so that only a person removes the mark.
fn boot_id() -> String {
    fs::read_to_string(BOOT_ID).map(|text| text.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "0b0ffb6e-6d3c-4a3f-8a51-0c5a3b5f7d11";

    #[test]
    fn a_mark_that_does_not_say_of_which_start_it_is_counts_as_one_of_this() {
        let cut: [&[u8]; 5] = [b"", b"\n", b"0b0f", b"7f3e", b"0b0ffb6e-6d3c-4a3f-8a51"];
        for mark in cut.into_iter().chain([NOW.as_bytes(), &[0; 36], &[255; 36]]) {
            assert!(!is_from_earlier(mark, NOW), "{mark:?}");
        }
        let other = b"51c0a7de-9a4e-4c0c-93a6-7f5f5e1f2a00\n";
        assert!(is_from_earlier(other, NOW));
        assert!(!is_from_earlier(other, ""), "the system does not say");
    }

    #[test]
    fn an_empty_or_unreadable_mark_refuses_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(path(dir.path()), "").unwrap();
        assert!(check(dir.path()).unwrap_err().is_fatal());
        fs::remove_file(path(dir.path())).unwrap();
        // Nobody can read a directory as a file, not even root.
        fs::create_dir(path(dir.path())).unwrap();
        assert!(check(dir.path()).unwrap_err().is_fatal());
        assert!(path(dir.path()).exists());
    }

    #[test]
    fn a_mark_is_set_with_and_without_one_that_was_prepared() {
        for is_prepared in [true, false] {
            let dir = tempfile::tempdir().unwrap();
            if is_prepared {
                prepare(dir.path());
                assert!(prepared(dir.path()).exists());
                assert!(check(dir.path()).is_ok(), "it is none yet");
            }
            set(dir.path());
            set(dir.path());
            assert!(!prepared(dir.path()).exists());
            assert_eq!(fs::read_to_string(path(dir.path())).unwrap(), boot_id());
            assert!(check(dir.path()).unwrap_err().is_fatal());
        }
    }
}
