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

/// The path of the mark in a store.
pub(crate) fn path(dir: &Path) -> PathBuf {
    dir.join("SUSPECT")
}

/// Sets the mark, as well as a failing disk allows.
pub(crate) fn set(path: &Path) {
    // Nothing can be done about an error here: the process stops in any case.
    let _ = fs::File::create(path).and_then(|mut file| {
        file.write_all(boot_id().as_bytes())?;
        file.sync_all()
    });
}

/// Refuses while the mark is from this start of the host; removes an older one.
///
/// # Errors
/// `Fatal` while the host has not restarted; `Io` when the mark cannot be read or removed.
pub(crate) fn check(dir: &Path) -> Result<()> {
    let path = path(dir);
    let marked = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(fault::file("read", &path, &error)),
    };
    let now = boot_id();
    if now.is_empty() || marked.trim() == now {
        return Err(StoreError::Fatal(format!(
            "a flush failed since the host started, as `{}` says: see that the disk has room and is well, then restart \
             the host, or run `lockgate doctor --recheck`",
            path.display()
        )));
    }
    fs::remove_file(&path).map_err(|error| fault::file("remove", &path, &error))
}

/// Which start of the host this is; empty where the system does not say, so that only a person removes the mark.
fn boot_id() -> String {
    fs::read_to_string(BOOT_ID).map(|text| text.trim().to_owned()).unwrap_or_default()
}
