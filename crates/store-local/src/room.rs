//! Room on the disk: writes are refused before it runs out, because a full disk inside a commit is fatal; and so they
//! are once the file system has become read-only, which is as fatal there.

use std::path::Path;

use lockgate_store::{Result, StoreError};
use rustix::fs::{StatVfs, StatVfsMountFlags};

/// Refuses when the file system of `dir` cannot be written, or has fewer than `reserve_bytes` free.
///
/// A file system that does not say is taken to have room: the write itself will tell.
///
/// # Errors
/// `ReadOnly`, `Full`.
pub(crate) fn check(dir: &Path, reserve_bytes: u64) -> Result<()> {
    let Ok(stat) = rustix::fs::statvfs(dir) else { return Ok(()) };
    judge(dir, reserve_bytes, &stat)
}

fn judge(dir: &Path, reserve_bytes: u64, stat: &StatVfs) -> Result<()> {
    if stat.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Err(StoreError::ReadOnly(format!("the file system of `{}` is", dir.display())));
    }
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    match free < reserve_bytes {
        false => Ok(()),
        true => Err(StoreError::Full(format!(
            "`{}` has {free} bytes left, and {reserve_bytes} are kept free for what is stored already",
            dir.display()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_and_a_read_only_one_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let mut stat = rustix::fs::statvfs(dir.path()).unwrap();
        assert!(judge(dir.path(), 0, &stat).is_ok());
        assert!(matches!(judge(dir.path(), u64::MAX, &stat), Err(StoreError::Full(_))));
        stat.f_flag |= StatVfsMountFlags::RDONLY;
        assert!(matches!(judge(dir.path(), 0, &stat), Err(StoreError::ReadOnly(_))));
    }
}
