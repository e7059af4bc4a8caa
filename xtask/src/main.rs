//! Project commands: what CI runs, the checks that no compiler makes, generated files, the kill test, the bench, and
//! fuzzing.

mod bench;
mod ci;
mod codegen;
mod crash;
mod deadline;
mod failure;
mod fuzz;
mod identity;
mod random;
mod receipt;
mod requests;
mod scratch;
mod screens;
mod server;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::failure::Result;

/// Project commands
#[derive(Debug, Parser)]
#[command(name = "xtask", bin_name = "cargo xtask")]
struct Cli {
    /// What to do.
    #[command(subcommand)]
    task: Task,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Task {
    /// Run what CI runs
    Ci,
    /// Check what no compiler checks: rooms, generated files, dependencies, sizes, leftovers
    Tidy(tidy::Arguments),
    /// Write the generated files under docs/
    Codegen,
    /// Kill the server again and again under load, and check that nothing acknowledged is lost or doubled
    Crash(crash::Arguments),
    /// Measure, and write docs/benchmarks.md
    Bench(bench::Arguments),
    /// Take a screenshot of every page, into docs/screens/
    Screens,
    /// Read inputs that nobody wrote with every reader; no reader may panic, hang, or answer in two ways
    Fuzz(fuzz::Arguments),
}

fn main() -> ExitCode {
    match run(&Cli::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: &Task) -> Result<()> {
    match task {
        Task::Ci => ci::run(),
        Task::Tidy(arguments) => tidy::run(arguments),
        Task::Codegen => codegen::run(),
        Task::Crash(arguments) => crash::run(arguments),
        Task::Bench(arguments) => bench::run(arguments),
        Task::Screens => screens::run(),
        Task::Fuzz(arguments) => fuzz::run(arguments),
    }
}
