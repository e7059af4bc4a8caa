//! Custody: who else could write the file that says what to believe.
//!
//! Offline verification hangs on the trust file, so one that everybody could change or put another in the place of is
//! refused, as OpenSSH does with its files. Every directory on the way counts: whoever may rename one of them may put
//! another in its place. A group and another owner are told and not refused: umasks of 002, deployers' groups, and
//! containers whose checkout is another user's are common.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use lockgate_model::text::argument;
use rustix::fs::{StatVfsMountFlags, statvfs};
use rustix::process::geteuid;

use crate::failure::Failure;

const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;
/// In such a directory, nobody but their owners may move or remove files.
const STICKY: u32 = 0o1000;
const ROOT: u32 = 0;
/// As many links as Linux follows.
const LINKS_MAX: usize = 40;

/// Whether a trust file is in good hands; what is worth a remark, where there is something.
///
/// # Errors
/// `TRUST_WRITABLE`, or when the file cannot be looked at.
pub fn check(path: &Path) -> Result<Option<String>, Failure> {
    check_as(path, geteuid().as_raw())
}

/// The same for a user, by number.
fn check_as(path: &Path, own: u32) -> Result<Option<String>, Failure> {
    let file = fs::metadata(path).map_err(|error| Failure::file(path, &error))?;
    let shown = path.display();
    if file.mode() & OTHERS_WRITE != 0 {
        let message = format!("everybody on this machine may write {shown}, so that it pins nothing");
        // A device or a pipe is everybody's for good reason.
        return Err(match file.is_file() {
            true => {
                let path = argument(&path.to_string_lossy());
                writable(message, &format!("take the right away: `chmod o-w {path}`"))
            }
            false => writable(message, "name a file of your own"),
        });
    }
    let is_ours = |facts: &Metadata| [ROOT, own].contains(&facts.uid());
    let mut by_group = group_writes(&file);
    let mut foreign =
        (!is_ours(&file)).then(|| format!("{shown} belongs to another user, who decides by it what you believe"));
    let ways = ways(path);
    let steps = ways.iter().flat_map(|way| way.ancestors().zip(way.ancestors().skip(1)));
    // Nobody can put another in the place of `..`.
    for (entry, directory) in steps.filter(|(entry, _)| entry.file_name().is_some()) {
        // What has no directory, such as a pipe, has nobody else in it.
        let Ok(facts) = fs::metadata(directory) else { continue };
        let is_sticky = facts.mode() & STICKY != 0;
        let is_foreign = !fs::symlink_metadata(entry).is_ok_and(|facts| is_ours(&facts));
        // As Kubernetes mounts a ConfigMap: open to everybody, and nobody can write there.
        let is_fixed = || statvfs(directory).is_ok_and(|facts| facts.f_flag.contains(StatVfsMountFlags::RDONLY));
        if facts.mode() & OTHERS_WRITE != 0 && !is_fixed() {
            check_open(entry, directory, is_sticky, is_foreign)?;
        }
        by_group |= group_writes(&facts) && (is_foreign || !is_sticky);
        if foreign.is_none() && !is_ours(&facts) {
            let directory = directory.display();
            let remark =
                format!("{directory} belongs to another user, who may put another file in the place of {shown}");
            foreign = Some(remark);
        }
    }
    // Root in a container works on what is somebody's all the time.
    let by_group = by_group.then(|| format!("a group of users may write {shown}, or put another in its place"));
    Ok(foreign.filter(|_| own != ROOT).or(by_group))
}

/// The path as it is named, and after each link on the way has been followed, up to where all of them lead.
fn ways(path: &Path) -> Vec<PathBuf> {
    let mut ways: Vec<PathBuf> = std::path::absolute(path).into_iter().collect();
    for _ in 0..LINKS_MAX {
        let Some(way) = ways.last() else { break };
        let mut steps: Vec<&Path> = way.ancestors().collect();
        steps.reverse();
        let next = steps.into_iter().find_map(|step| {
            let target = step.parent()?.join(fs::read_link(step).ok()?);
            let rest = way.strip_prefix(step).ok()?;
            Some(if rest.as_os_str().is_empty() { target } else { target.join(rest) })
        });
        match next {
            Some(next) => ways.push(next),
            None => break,
        }
    }
    ways.extend(fs::canonicalize(path));
    ways
}

/// A directory in which everybody may put files, and what is in it on the way to the trust file.
fn check_open(entry: &Path, directory: &Path, is_sticky: bool, is_foreign: bool) -> Result<(), Failure> {
    let (entry, directory) = (entry.display(), argument(&directory.to_string_lossy()));
    match (is_sticky, is_foreign) {
        (true, false) => Ok(()),
        (true, true) => Err(writable(
            format!("another user has put {entry} where everybody may put files, so that it pins nothing"),
            "copy the trust file into a directory of your own",
        )),
        (false, _) => Err(writable(
            format!("everybody on this machine may put another in the place of {entry}, so that it pins nothing"),
            &format!("take the right away: `chmod o-w {directory}`; or copy it into a directory of your own"),
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

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

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
    fn every_directory_on_the_way_counts() {
        let dir = tempfile::tempdir().unwrap();
        let (open, elsewhere) = (dir.path().join("open"), dir.path().join("elsewhere"));
        let path = open.join("a/b/trust.json");
        fs::create_dir_all(open.join("a/b")).unwrap();
        fs::write(&path, "{}").unwrap();
        fs::create_dir(&elsewhere).unwrap();
        symlink(open.join("a"), elsewhere.join("link")).unwrap();
        symlink(elsewhere.join("link/b/trust.json"), open.join("hop")).unwrap();
        // Neither end of this way shows that it leads through the open directory.
        let hidden = elsewhere.join("hidden.json");
        symlink(open.join("hop"), &hidden).unwrap();
        for directory in [open.join("a"), open.join("a/b"), elsewhere.clone()] {
            set(&directory, 0o755);
        }
        set(&path, 0o644);
        let ways = [path.clone(), elsewhere.join("link/b/trust.json"), elsewhere.join("../open/a/b/trust.json")];
        for (mode, is_refused) in [(0o755, false), (0o1777, false), (0o777, true)] {
            set(&open, mode);
            for way in &ways {
                let failure = check(way).err();
                assert_eq!(failure.is_some(), is_refused, "{mode:o} {}: {failure:?}", way.display());
                let hint = failure.and_then(|failure| failure.hint).unwrap_or_default();
                assert!(!is_refused || hint.contains("/open`; or copy"), "{hint}");
            }
        }
        let real = elsewhere.join("real.json");
        fs::write(&real, "{}").unwrap();
        set(&real, 0o644);
        fs::remove_file(open.join("hop")).unwrap();
        symlink(&real, open.join("hop")).unwrap();
        assert_eq!(check(&hidden).unwrap_err().code, "TRUST_WRITABLE");
        set(&open, 0o755);
        assert!(check(&hidden).is_ok());
        set(&path, 0o666);
        let hint = check(&path).unwrap_err().hint.unwrap();
        assert!(hint.contains(&format!("`chmod o-w {}`", path.display())), "{hint}");
    }

    #[test]
    fn the_command_that_mends_it_is_one_for_a_shell() {
        let dir = tempfile::tempdir().unwrap();
        let open = dir.path().join("it's $HOME");
        let path = open.join("trust file.json");
        fs::create_dir(&open).unwrap();
        fs::write(&path, "{}").unwrap();
        let told = |directory_mode: u32, mode: u32| {
            set(&open, directory_mode);
            set(&path, mode);
            check(&path).unwrap_err().hint.unwrap()
        };
        let file = told(0o755, 0o666);
        assert!(file.contains("`chmod o-w '/") && file.contains(r"/it'\''s $HOME/trust file.json'`"), "{file}");
        let directory = told(0o777, 0o644);
        assert!(directory.contains(r"/it'\''s $HOME'`; or copy"), "{directory}");
    }

    #[test]
    fn another_users_directory_is_told_and_not_to_root() {
        let dir = tempfile::tempdir().unwrap();
        let theirs = dir.path().join("theirs");
        let path = theirs.join("trust.json");
        fs::create_dir(&theirs).unwrap();
        fs::write(&path, "{}").unwrap();
        set(&theirs, 0o755);
        set(&path, 0o644);
        if chown(&theirs, Some(12_345), None).is_err() {
            return eprintln!("not checked: only root gives a directory to another user");
        }
        let told = check_as(&path, 12_346).unwrap().unwrap();
        assert!(told.starts_with(&format!("{} belongs to another user", theirs.display())), "{told}");
        assert_eq!(check_as(&path, 12_345).unwrap(), None);
        assert_eq!(check_as(&path, ROOT).unwrap(), None);
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
