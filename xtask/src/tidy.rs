//! `tidy`: the checks that no compiler makes.

mod dependencies;
mod sources;

use clap::Args;

use crate::codegen;
use crate::failpoints::places;
use crate::failure::{Failure, Result};
use crate::workspace;

/// `tidy`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Write what can be written: the generated files
    #[arg(long)]
    fix: bool,
}

/// Runs every check and names every problem.
///
/// # Errors
/// When there is a problem, or a check cannot be made.
pub fn run(arguments: &Arguments) -> Result<()> {
    if arguments.fix {
        codegen::run()?;
    }
    let metadata = workspace::metadata()?;
    let manifest = workspace::read("Cargo.toml")?;
    let mut problems = dependencies::rooms(&metadata.packages, workspace::root());
    problems.extend(dependencies::pure_rooms(&metadata.packages));
    problems.extend(dependencies::too_many(&workspace::read("Cargo.lock")?));
    problems.extend(dependencies::without_row(&manifest, &workspace::read("docs/dependencies.md")?));
    problems.extend(sources::problems()?);
    problems.extend(places::problems()?);
    problems.extend(stale(&codegen::generated()?));
    for problem in &problems {
        eprintln!("{problem}");
    }
    match problems.len() {
        0 => {
            println!("tidy");
            Ok(())
        }
        count => Err(Failure::new(format!("{count} to tidy"))),
    }
}

fn stale(generated: &[codegen::Generated]) -> Vec<String> {
    let differs = |file: &&codegen::Generated| !workspace::read(file.path).is_ok_and(|found| found == file.text);
    let problem =
        |file: &codegen::Generated| format!("{}: differs from the code; run `cargo xtask codegen`", file.path);
    generated.iter().filter(differs).map(problem).collect()
}
