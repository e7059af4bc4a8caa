//! `ci`: what CI runs, run here.

use crate::failure::Result;
use crate::workspace;

/// Runs the one script that CI runs.
///
/// # Errors
/// When a step of it fails; the script says which.
pub fn run() -> Result<()> {
    workspace::run("bash", &[".ci/run"])
}
