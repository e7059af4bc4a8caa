//! Room on the disk: writes are refused before it runs out, because a full disk inside a commit is fatal.

use std::path::Path;

use lockgate_store::{Result, StoreError};

/// Refuses when fewer than `reserve_bytes` are free on the file system of `dir`.
///
/// A file system that does not say is taken to have room: the write itself will tell.
///
/// # Errors
/// `Full`.
pub(crate) fn check(dir: &Path, reserve_bytes: u64) -> Result<()> {
    let Ok(stat) = rustix::fs::statvfs(dir) else { return Ok(()) };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    match free < reserve_bytes {
        false => Ok(()),
        true => Err(StoreError::Full(format!(
            "`{}` has {free} bytes left, and {reserve_bytes} are kept free for what is stored already",
            dir.display()
        ))),
    }
}
