//! Scratch directories: under the build's own folder, so that they share its file system.

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::{During as _, Result};
use crate::workspace;

/// A directory that is removed when it is dropped, unless it was kept.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    kept: bool,
}

impl Scratch {
    /// Makes an empty directory for one task and this process.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(task: &str) -> Result<Self> {
        let path = workspace::target_directory()?.join("xtask").join(format!("{task}-{}", std::process::id()));
        fs::create_dir_all(&path).during(format!("make `{}`", path.display()))?;
        Ok(Self { path, kept: false })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves it on the disk, for someone to look at.
    pub fn keep(&mut self) {
        self.kept = true;
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.kept {
            // What is left over lies in the build's folder, where `cargo clean` removes it.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}
