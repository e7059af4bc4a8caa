//! Rights: what the user who runs this may not read or write, and the command that gives it back.
//!
//! What cannot be looked at is not taken for absent: a home whose keys are closed to this user is no empty one.

use std::fs;
use std::io::{Error, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use lockgate_model::text::argument;
use rustix::fs::{Access, access};
use rustix::process::geteuid;

use crate::access_log;
use crate::failure::Failure;
use crate::home::Home;
use crate::serve::DATABASE;

/// To read a file, or the names in a directory.
pub const READ: Access = Access::READ_OK;
/// To read what is in a directory.
pub const ENTER: Access = Access::READ_OK.union(Access::EXEC_OK);
/// To change a file.
const CHANGE: Access = Access::READ_OK.union(Access::WRITE_OK);
/// To change what is in a directory.
const FILL: Access = ENTER.union(Access::WRITE_OK);

/// Whether something is there.
///
/// # Errors
/// `FILE_FAILED` where it cannot be looked at.
pub fn is_there(home: &Path, path: &Path) -> Result<bool, Failure> {
    path.try_exists().map_err(|error| refused(home, path, &error))
}

/// Checks that this user has the rights to what is there; what is absent or on a read-only disk is told elsewhere.
///
/// # Errors
/// `FILE_FAILED`.
pub fn check(home: &Path, path: &Path, needed: Access) -> Result<(), Failure> {
    match access(path, needed).map_err(Error::from) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(refused(home, path, &error)),
        _ => Ok(()),
    }
}

/// The same for a store that is read.
///
/// # Errors
/// As [`check`].
pub fn check_store(home: &Path, data: &Path) -> Result<(), Failure> {
    check(home, data, ENTER)?;
    check(home, &data.join(DATABASE), READ)
}

/// The same for what a server of a home works with.
///
/// # Errors
/// As [`check`].
pub fn check_server(home: &Home) -> Result<(), Failure> {
    let (path, keys, data) = (home.path(), home.keys(), home.data());
    check(path, path, FILL)?;
    check(path, &keys, ENTER)?;
    for name in ["log.key", "attestation.key"] {
        check(path, &keys.join(name), READ)?;
    }
    for store in [access_log::directory(&data), data] {
        check(path, &store, FILL)?;
        check(path, &store.join(DATABASE), CHANGE)?;
    }
    Ok(())
}

/// A file of a home that cannot be read or written; for want of a right, with whose it is and what gives it back.
pub fn refused(home: &Path, path: &Path, error: &Error) -> Failure {
    let failure = Failure::file(path, error);
    if error.kind() != ErrorKind::PermissionDenied {
        return failure;
    }
    let place = bar(path);
    let owner = fs::symlink_metadata(place).map_or("another user".to_owned(), |facts| format!("user {}", facts.uid()));
    let whose = format!("{} belongs to {owner}, and this runs as user {}", place.display(), geteuid().as_raw());
    failure.hint(match place.starts_with(home) {
        true => format!(
            "find out what changed it, such as a command that root ran here, and give it back: as its owner or root, \
             `{} {}`; or run this as the user whose it is ({whose})",
            giving_back(&[place]),
            argument(&place.to_string_lossy())
        ),
        false => format!("run this as the user whose it is, or name another place ({whose})"),
    })
}

/// What gives places back to the user who runs this, with all that is in them: a command, up to the places.
pub fn giving_back(places: &[&Path]) -> String {
    let own = geteuid().as_raw();
    let is_ours = |place: &&Path| !fs::symlink_metadata(place).is_ok_and(|facts| facts.uid() != own);
    match places.iter().all(is_ours) {
        true => "chmod -R u+rwX".to_owned(),
        false => format!("chown -R {own}"),
    }
}

/// What bars the way to a path: the first directory behind which nothing can be looked at, else the path itself, or the
/// directory where it would be.
fn bar(path: &Path) -> &Path {
    let is_hidden =
        |step: &Path| fs::symlink_metadata(step).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied);
    let steps = path.ancestors().zip(path.ancestors().skip(1));
    if let Some((_, directory)) = steps.filter(|(step, _)| is_hidden(step)).last() {
        return directory;
    }
    match fs::symlink_metadata(path) {
        Ok(_) => path,
        Err(_) => path.parent().unwrap_or(path),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use lockgate_api::Exit;

    use super::*;
    use crate::serve::{begun_marker, is_begun, log_seed};

    /// What looks at something of a home.
    type Look<'a> = &'a dyn Fn() -> Result<(), Failure>;

    /// A home with keys and a store in it; every file is empty.
    fn home(folder: &Path) -> Home {
        let home = Home::find(Some(folder.join("my home")), None).unwrap();
        for directory in [home.keys(), access_log::directory(&home.data())] {
            fs::create_dir_all(directory).unwrap();
        }
        let keys = ["log.key", "attestation.key"].map(|name| home.keys().join(name));
        let stores = [home.data(), access_log::directory(&home.data())].map(|store| store.join(DATABASE));
        let context = home.path().join("context.toml");
        for file in keys.into_iter().chain(stores).chain([begun_marker(&home), context]) {
            fs::write(file, "").unwrap();
        }
        home
    }

    #[test]
    fn what_bars_the_way_is_told_with_whose_it_is_and_what_gives_it_back() {
        let folder = tempfile::tempdir().unwrap();
        let home = home(folder.path());
        let denied = Error::from(ErrorKind::PermissionDenied);
        let failure = refused(home.path(), &home.keys().join("log.key"), &denied);
        assert_eq!((failure.exit, failure.code.as_str()), (Exit::Usage, "FILE_FAILED"));
        let hint = failure.hint.unwrap();
        assert!(hint.contains(&format!("`chmod -R u+rwX '{}/log.key'`", home.keys().display())), "{hint}");
        assert!(hint.contains(&format!("this runs as user {})", geteuid().as_raw())), "{hint}");
        // What is to be made is barred by where it would be.
        let hint = refused(home.path(), &home.path().join("listen"), &denied).hint.unwrap();
        assert!(hint.contains(&format!("`chmod -R u+rwX '{}'`", home.path().display())), "{hint}");
        // What is no part of the home is not changed for its sake.
        let hint = refused(home.path(), folder.path(), &denied).hint.unwrap();
        assert!(!hint.contains("chmod"), "{hint}");
        let missing = refused(home.path(), folder.path(), &ErrorKind::NotFound.into());
        assert_eq!(missing.exit, Exit::NotFound);
    }

    #[test]
    fn what_cannot_be_looked_at_is_not_taken_for_absent() {
        let folder = tempfile::tempdir().unwrap();
        let home = home(folder.path());
        assert!(is_begun(&home).unwrap() && check_server(&home).is_ok());
        assert!(is_there(home.path(), &home.keys().join("log.key/below")).is_err(), "a file has nothing in it");
        let set = |path: &Path, mode: u32| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        set(&home.keys(), 0o000);
        if fs::read_dir(home.keys()).is_ok() {
            return eprintln!("not checked: root may read everything");
        }
        let barred = |outcome: Result<(), Failure>, path: &Path| {
            let failure = outcome.unwrap_err();
            let place = argument(&path.to_string_lossy());
            assert_eq!(failure.code, "FILE_FAILED", "{failure:?}");
            assert!(failure.hint.as_ref().unwrap().contains(&format!("u+rwX {place}`")), "{failure:?}");
        };
        barred(is_begun(&home).map(drop), &home.keys());
        barred(check_server(&home), &home.keys());
        set(&home.keys(), 0o700);
        let (log_key, context) = (home.keys().join("log.key"), home.path().join("context.toml"));
        let (data, database) = (home.data(), home.data().join(DATABASE));
        let server = || check_server(&home);
        let store = || check_store(home.path(), &home.data());
        let cases: [(&Path, u32, Look<'_>); 6] = [
            (&log_key, 0o600, &|| log_seed(&home).map(drop)),
            (&log_key, 0o600, &server),
            (&data, 0o700, &server),
            (&data, 0o700, &store),
            (&database, 0o600, &store),
            (&context, 0o600, &|| home.context().map(drop)),
        ];
        for (path, mode, look) in cases {
            set(path, 0o000);
            barred(look(), path);
            set(path, mode);
        }
        set(home.path(), 0o500);
        barred(check_server(&home), home.path());
        set(home.path(), 0o700);
    }
}
