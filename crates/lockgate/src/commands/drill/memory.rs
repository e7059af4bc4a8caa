//! Memory: what a home remembers of its ledger. It is what notices that an older state came back.
//!
//! It is read and never made up, so that a drill tells what this home would notice, and not what some home could.

use std::fs;
use std::path::{Path, PathBuf};

use lockgate_ledger::TrustFile;
use lockgate_ledger::audit::Anchor;
use lockgate_model::{Span, TreeSize, UnixMillis};

use super::attack::{Halt, TOO_SHORT};
use super::scene::Scene;
use crate::commands::audit::anchors;
use crate::failure::Failure;
use crate::serve::read_checkpoint;
use crate::world::World;

/// How far behind its ledger a server's mark may be: it is written every few seconds.
const LAG: Span = Span::from_secs(60);

/// What a home remembers.
pub struct Memory {
    /// Whether the home's own data is attacked, so that its server would start there.
    pub is_home: bool,
    /// Where a server of this home keeps the newest head that it has signed.
    pub high_water: PathBuf,
    /// How many entries that has; `None` where there is no such file.
    pub mark: Option<TreeSize>,
    /// All that an audit in this home compares with: `high-water`, and what was seen and verified here.
    pub anchors: Vec<Anchor>,
    /// When it was read.
    pub at: UnixMillis,
}

impl Memory {
    /// Reads what the home remembers, before a copy of `data` is made: a server that runs remembers more from moment to
    /// moment.
    ///
    /// # Errors
    /// When a file is there and does not read.
    pub fn read(world: &World, trust: Option<&TrustFile>, data: &Path) -> Result<Self, Failure> {
        let high_water = world.home.high_water();
        let at = world.now();
        let anchors = anchors(world, trust, &[])?;
        let mark = read_checkpoint(&high_water)?.map(|checkpoint| checkpoint.size);
        Ok(Self { is_home: is_same(data, &world.home.data()), high_water, mark, anchors, at })
    }

    /// The newest size that an audit in this home knows.
    pub fn newest(&self) -> Option<TreeSize> {
        self.anchors.iter().map(|anchor| anchor.size).max()
    }

    /// How many entries are brought back to a home that remembers `seen` of them: `size`, whether that is noticed or
    /// not, because what this home should remember and does not is what slips through. Only of the last moments nobody
    /// remembers anything yet, so that less is brought back then: one entry less than is remembered, or none at all.
    ///
    /// # Errors
    /// `Lacking` with what is `missing` and what to do, where this home does not have to remember; `Skipped` where an
    /// empty ledger is all that is remembered.
    pub fn outgrown(
        &self,
        scene: &Scene<'_>,
        size: u64,
        seen: Option<TreeSize>,
        missing: (&'static str, &str),
    ) -> Result<u64, Halt> {
        match seen {
            Some(seen) if seen.0 > size => Ok(size),
            Some(seen) if !self.is_home || !self.is_stale(scene, seen)? => {
                seen.0.checked_sub(1).ok_or_else(|| Halt::Skipped(TOO_SHORT.to_owned()))
            }
            None if !self.is_home => Err(Halt::Lacking { what: missing.0, why: missing.1.to_owned() }),
            Some(_) | None => Ok(size),
        }
    }

    /// Whether a server that runs would remember more than `seen` entries by now.
    fn is_stale(&self, scene: &Scene<'_>, seen: TreeSize) -> Result<bool, Halt> {
        let next = scene.time_from(seen.0)?;
        Ok(next.is_none_or(|time| time.plus(LAG) < self.at))
    }
}

/// Whether two names lead to one directory.
fn is_same(one: &Path, other: &Path) -> bool {
    let places = (fs::canonicalize(one), fs::canonicalize(other));
    one == other || matches!(places, (Ok(one), Ok(other)) if one == other)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_directory_is_the_same_by_another_name() {
        let folder = tempfile::tempdir().unwrap();
        let (data, other) = (folder.path().join("data"), folder.path().join("other"));
        fs::create_dir(&data).unwrap();
        fs::create_dir(&other).unwrap();
        symlink(&data, folder.path().join("link")).unwrap();
        assert!(is_same(&data, &data) && is_same(&folder.path().join("link"), &data));
        assert!(is_same(&folder.path().join("other/../data"), &data));
        assert!(!is_same(&other, &data) && !is_same(&folder.path().join("none"), &data));
    }
}
