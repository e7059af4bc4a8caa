//! `screens`: takes a screenshot of every page but that of one proposed change, in two widths, light and dark, into
//! `docs/screens/`.
//!
//! A test of the program does the work, because that is where the browser is driven from; nothing is taken where
//! Chromium is not installed.

use std::fs;
use std::process::Command;

use crate::failure::{During as _, Failure, Result};
use crate::workspace;

/// Where the pictures go, relative to the workspace's root.
const FOLDER: &str = "docs/screens";

/// Takes them all anew.
///
/// # Errors
/// When the program does not build, or a page does not load.
pub fn run() -> Result<()> {
    let folder = workspace::root().join(FOLDER);
    fs::create_dir_all(&folder).during(format!("make `{FOLDER}`"))?;
    for file in fs::read_dir(&folder).during(format!("read `{FOLDER}`"))? {
        let path = file?.path();
        if path.extension().is_some_and(|end| end == "png") {
            fs::remove_file(&path).during(format!("remove `{}`", path.display()))?;
        }
    }
    let status = Command::new("cargo")
        .args(["test", "-q", "-p", "lockgate", "--test", "it", "screens::", "--", "--nocapture"])
        .current_dir(workspace::root())
        .env("LOCKGATE_SCREENS", &folder)
        .status()
        .during("start `cargo`")?;
    match status.success() {
        true => Ok(()),
        false => Err(Failure::new(format!("the pages could not all be taken: {status}"))),
    }
}
