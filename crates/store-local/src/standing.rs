//! Standing: whether the files that a process holds open are still those that lie at their names.
//!
//! A file that was removed, or whose directory was moved away, goes on to take writes that nobody finds again.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use lockgate_store::{Result, StoreError};

use crate::fault;

/// Files as they lay at their names when they were opened.
pub(crate) struct Standing(Vec<Place>);

struct Place {
    path: PathBuf,
    /// The device and the number of the file on it.
    file: (u64, u64),
}

impl Standing {
    /// These files, which are open.
    ///
    /// # Errors
    /// `Io` when one cannot be looked at.
    pub(crate) fn of(paths: &[PathBuf]) -> Result<Self> {
        let place = |path: &PathBuf| {
            let file = at(path).map_err(|error| fault::file("inspect", path, &error))?;
            Ok(Place { path: path.clone(), file })
        };
        Ok(Self(paths.iter().map(place).collect::<Result<_>>()?))
    }

    /// INVARIANT (what is written is found): nothing is committed to files that no longer lie at their names.
    ///
    /// # Errors
    /// `Fatal`.
    pub(crate) fn check(&self) -> Result<()> {
        let gone = self.0.iter().find(|place| !at(&place.path).is_ok_and(|file| file == place.file));
        match gone {
            None => Ok(()),
            Some(Place { path, .. }) => Err(StoreError::Fatal(format!(
                "`{}` is no longer the file that was opened: it was removed, moved or replaced",
                path.display()
            ))),
        }
    }
}

fn at(path: &Path) -> std::io::Result<(u64, u64)> {
    fs::metadata(path).map(|facts| (facts.dev(), facts.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_removed_moved_or_replaced_no_longer_stands() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let away = folder.path().join("away");
        fs::write(&path, "1").unwrap();
        let standing = Standing::of(std::slice::from_ref(&path)).unwrap();
        standing.check().unwrap();
        fs::write(&path, "22").unwrap();
        standing.check().unwrap();
        fs::rename(&path, &away).unwrap();
        assert!(matches!(standing.check(), Err(StoreError::Fatal(_))));
        fs::write(&path, "1").unwrap();
        assert!(matches!(standing.check(), Err(StoreError::Fatal(_))), "another file");
        fs::rename(&away, &path).unwrap();
        standing.check().unwrap();
    }
}
