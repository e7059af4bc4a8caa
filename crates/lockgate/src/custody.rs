//! Custody: who else could write the file that says what to believe.
//!
//! Offline verification hangs on the trust file, so one that everybody could change or put another in the place of is
//! refused, as OpenSSH does with its files. A group and another owner are told and not refused: umasks of 002, deployers'
//! groups, and containers whose checkout is another user's are common. Directories further up are not looked at.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::process::geteuid;

use crate::failure::Failure;

const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;
/// In such a directory, nobody but their owners may move or remove files.
const STICKY: u32 = 0o1000;
const ROOT: u32 = 0;

/// Whether a trust file is in good hands; what is worth a remark, where there is something.
///
/// # Errors
/// `TRUST_WRITABLE`, or when the file cannot be looked at.
pub fn check(path: &Path) -> Result<Option<String>, Failure> {
    let file = fs::metadata(path).map_err(|error| Failure::file(path, &error))?;
    if file.mode() & OTHERS_WRITE != 0 {
        let message = format!("everybody on this machine may write {}, so that it pins nothing", path.display());
        return Err(writable(message, "take the right away: `chmod o-w FILE`"));
    }
    let own = geteuid().as_raw();
    let is_foreign = ![ROOT, own].contains(&file.uid());
    let mut by_group = group_writes(&file);
    // Where it is named, and where that leads to.
    let real = fs::canonicalize(path).ok();
    for directory in [Some(path), real.as_deref()].into_iter().flatten().map(directory_of) {
        // What has no directory, such as a pipe, has nobody else in it.
        let Ok(facts) = fs::metadata(directory) else { continue };
        if facts.mode() & OTHERS_WRITE != 0 {
            check_open(path, directory, facts.mode() & STICKY != 0, is_foreign)?;
        }
        by_group |= group_writes(&facts);
    }
    // Root in a container works on what is somebody's all the time.
    if is_foreign && own != ROOT {
        return Ok(Some(format!("{} belongs to another user, who decides by it what you believe", path.display())));
    }
    Ok(by_group.then(|| format!("a group of users may write {}, or put another in its place", path.display())))
}

/// A directory in which everybody may put files.
fn check_open(path: &Path, directory: &Path, is_sticky: bool, is_foreign: bool) -> Result<(), Failure> {
    let (path, directory) = (path.display(), directory.display());
    match (is_sticky, is_foreign) {
        (true, false) => Ok(()),
        (true, true) => Err(writable(
            format!("another user has put {path} where everybody may put files, so that it pins nothing"),
            "copy it into a directory of your own",
        )),
        (false, _) => Err(writable(
            format!("everybody on this machine may put another file in the place of {path}, so that it pins nothing"),
            &format!("take the right away: `chmod o-w {directory}`"),
        )),
    }
}

fn writable(message: String, then: &str) -> Failure {
    Failure::usage("TRUST_WRITABLE", message).hint(format!("compare what it says over another channel, and {then}"))
}

/// Whether others than the owner may write by their group. A user's own group has the number of the user.
fn group_writes(facts: &Metadata) -> bool {
    facts.mode() & GROUP_WRITES != 0 && facts.gid() != facts.uid()
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn set(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_everybody_may_write_or_replace_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (open, closed) = (dir.path().join("open"), dir.path().join("closed"));
        for directory in [&open, &closed] {
            fs::create_dir(directory).unwrap();
            fs::write(directory.join("trust.json"), "{}").unwrap();
        }
        let refused = |path: &Path| check(path).err().map(|failure| failure.code);
        let writable = Some("TRUST_WRITABLE".to_owned());
        for (directory_mode, mode, expected) in [
            (0o755, 0o644, None),
            (0o700, 0o600, None),
            (0o775, 0o664, None),
            (0o1777, 0o644, None),
            (0o777, 0o644, writable.clone()),
            (0o755, 0o646, writable.clone()),
            (0o1777, 0o666, writable.clone()),
        ] {
            set(&open, directory_mode);
            set(&open.join("trust.json"), mode);
            assert_eq!(refused(&open.join("trust.json")), expected, "{directory_mode:o} {mode:o}");
        }
        set(&closed.join("trust.json"), 0o644);
        // A link is no better than where it is, nor than where it leads to.
        set(&open, 0o777);
        set(&open.join("trust.json"), 0o644);
        set(&closed, 0o755);
        symlink(closed.join("trust.json"), open.join("link")).unwrap();
        symlink(open.join("trust.json"), closed.join("link")).unwrap();
        assert_eq!(refused(&open.join("link")), writable);
        assert_eq!(refused(&closed.join("link")), writable);
        assert_eq!(refused(&closed.join("trust.json")), None);
    }

    #[test]
    fn where_everybody_may_put_files_the_owner_counts() {
        let (path, directory) = (Path::new("/tmp/trust.json"), Path::new("/tmp"));
        assert!(check_open(path, directory, true, false).is_ok());
        for (is_sticky, is_foreign) in [(true, true), (false, false), (false, true)] {
            assert_eq!(check_open(path, directory, is_sticky, is_foreign).unwrap_err().code, "TRUST_WRITABLE");
        }
    }
}
