//! Damage: a file of the home is no longer what the program wrote.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use super::bounds::nearby;
use super::grammar::{Grammar, words};
use super::lines::{READERS, REFUSED};
use super::trial::{Damage, Demand, Trial};
use crate::failure::{During as _, Failure, Result};
use crate::faults::ground::files_below;

/// The file that names a server.
const CONTEXT: &str = "context.toml";

/// How a file is damaged.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// It holds something else.
    Changed,
    /// It holds nothing.
    Emptied,
    /// A directory is in its place.
    Directory,
    /// A link to itself is in its place.
    Loop,
    /// Nobody may read it, but for root.
    Closed,
    /// Everybody may write it.
    Open,
}

/// What is done, each as often as it stands here.
const KINDS: &[Kind] = &[
    Kind::Changed,
    Kind::Changed,
    Kind::Changed,
    Kind::Changed,
    Kind::Changed,
    Kind::Changed,
    Kind::Emptied,
    Kind::Directory,
    Kind::Loop,
    Kind::Closed,
    Kind::Open,
];

/// Damages one file of a home, and gives a command that reads it.
///
/// # Errors
/// When the home lacks such a file, or it cannot be damaged.
pub fn damage(grammar: &mut Grammar, home: &Path) -> Result<Trial> {
    let (place, lines) = grammar.one(READERS).unwrap_or_default();
    let all = files_below(home)?;
    let files: Vec<&PathBuf> = all.iter().filter(|file| is_read(file, place)).collect();
    let file = grammar.one(&files).ok_or_else(|| Failure::new(format!("the home has no file of `{place}`")))?;
    let (kind, line) = (grammar.one(KINDS).unwrap_or(Kind::Emptied), grammar.one(lines).unwrap_or_default());
    let damage = apply(grammar, kind, home, file).during(format!("damage `{}`", file.display()))?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    Ok(Trial {
        line,
        words: words(&line.replace("{name}", &name)),
        json: grammar.one_in(2),
        damage: Some(damage),
        demand: if line == REFUSED { Demand::Refused } else { Demand::Ended },
    })
}

/// Whether a command reads a file of some place; the public half of a key is there for people.
fn is_read(file: &Path, place: &str) -> bool {
    file.to_string_lossy().starts_with(place) && file.extension().is_none_or(|end| end != "pub")
}

fn apply(grammar: &mut Grammar, kind: Kind, home: &Path, file: &Path) -> Result<Damage> {
    let path = home.join(file);
    let mut content = None;
    match kind {
        Kind::Changed => {
            let changed = grammar.mutate(&fs::read(&path)?);
            // Nobody but this machine is asked.
            let changed = if file == Path::new(CONTEXT) { nearby(&changed) } else { changed };
            fs::write(&path, &changed)?;
            content = Some(changed);
        }
        Kind::Emptied => fs::write(&path, b"")?,
        Kind::Directory => {
            fs::remove_file(&path)?;
            fs::create_dir(&path)?;
        }
        Kind::Loop => {
            fs::remove_file(&path)?;
            symlink(&path, &path)?;
        }
        Kind::Closed => fs::set_permissions(&path, Permissions::from_mode(0o000))?,
        Kind::Open => fs::set_permissions(&path, Permissions::from_mode(0o666))?,
    }
    let what = match kind {
        Kind::Changed => "holds something else",
        Kind::Emptied => "is empty",
        Kind::Directory => "is a directory",
        Kind::Loop => "is a link to itself",
        Kind::Closed => "cannot be read",
        Kind::Open => "can be written by everybody",
    };
    Ok(Damage { told: format!("`{}` of the home {what}", file.display()), content })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn every_damage_is_done_and_told() {
        let scratch = Scratch::new("damage-test").unwrap();
        let (home, file) = (scratch.path(), Path::new(CONTEXT));
        let path = home.join(file);
        let mut grammar = Grammar::new();
        for kind in KINDS {
            let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
            fs::write(&path, "server = \"http://127.0.0.1:7430\"\n").unwrap();
            let damage = apply(&mut grammar, *kind, home, file).unwrap();
            assert!(damage.told.starts_with("`context.toml` of the home "), "{damage:?}");
            let facts = fs::symlink_metadata(&path).unwrap();
            let (is_file, mode) = (facts.is_file(), facts.permissions().mode() & 0o777);
            match kind {
                Kind::Changed => assert_eq!(damage.content, Some(fs::read(&path).unwrap())),
                Kind::Emptied => assert!(is_file && facts.len() == 0),
                Kind::Directory => assert!(facts.is_dir()),
                Kind::Loop => assert!(facts.is_symlink() && !path.exists()),
                Kind::Closed => assert_eq!((is_file, mode), (true, 0o000)),
                Kind::Open => assert_eq!((is_file, mode), (true, 0o666)),
            }
        }
    }

    #[test]
    fn files_that_are_read_are_found_by_where_they_lie() {
        let check =
            |file: &str, place: &str, expected: bool| assert_eq!(is_read(Path::new(file), place), expected, "{file}");
        check("people/dana", "people/", true);
        check("people/dana.pub", "people/", false);
        check("checkpoints/log1.lockgate.internal", "checkpoints/", true);
        check("access-high-water", "high-water", false);
        check("trust.json", "context.toml", false);
    }
}
