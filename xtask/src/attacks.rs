//! `attacks`: every attack of `tests/attacks` through every door that it has, as a table.
//!
//! The test of the corpus tries them; this runs it, and prints the table that it leaves.

use std::fs;
use std::process::{Command, Stdio};

use crate::failure::{During as _, Failure, Result};
use crate::scratch::Scratch;
use crate::workspace;

/// The test, by name.
const TEST: &str = "every_attack_gets_its_answer";
/// Where the test writes the table.
const TABLE: &str = "LOCKGATE_ATTACKS_TABLE";

/// Runs the corpus, and prints its table.
///
/// # Errors
/// When an answer is not the expected one, or the test does not come to its table.
pub fn run() -> Result<()> {
    let scratch = Scratch::new("attacks")?;
    let path = scratch.path().join("table.txt");
    let output = Command::new("cargo")
        .args(["test", "--quiet", "-p", "lockgate", "--test", "it", TEST])
        .env(TABLE, &path)
        .current_dir(workspace::root())
        .stderr(Stdio::inherit())
        .output()
        .during("start `cargo test`")?;
    if !output.status.success() {
        // What went otherwise stands in what the test says.
        print!("{}", String::from_utf8_lossy(&output.stdout));
    }
    let table = fs::read_to_string(&path).during(format!("read what `{TEST}` has written"))?;
    print!("{table}");
    match output.status.success() {
        true => Ok(()),
        false => Err(Failure::new("attacks got other answers than expected, or are missing")),
    }
}
