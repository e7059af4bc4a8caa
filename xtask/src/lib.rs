//! Project commands: what CI runs, the checks that no compiler makes, generated files, measuring, and everything that
//! breaks things on purpose.

mod attacks;
mod bench;
mod caller;
mod ci;
mod codegen;
mod crash;
mod deadline;
mod failpoints;
mod failure;
mod faults;
mod fuzz;
mod identity;
mod instructions;
mod mutate;
mod mutation;
mod pace;
mod planted;
mod races;
mod random;
mod receipt;
mod requests;
mod scratch;
mod screens;
mod server;
mod sim;
mod tidy;
mod vectors;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::failure::Result;
pub use crate::fuzz::Guide;

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
    /// Play engine, failing store, clock and people from seeds, and check the ledger after every step
    Sim(sim::Arguments),
    /// Let many clients race for the same few things, and look for a serial order that tells them the same
    Races(races::Arguments),
    /// Kill a test build at every named place, and check that nothing acknowledged is lost or doubled
    Failpoints(failpoints::Arguments),
    /// Put each deliberate defect into a test build, and check that the tests catch it
    Planted(planted::Arguments),
    /// Break what a server stands on: system calls, bits, files, the disk, its clients; nothing acknowledged may be lost
    Faults(faults::Arguments),
    /// Measure, and write docs/benchmarks.md
    Bench(bench::Arguments),
    /// Count the instructions of hot functions under valgrind, and compare them with docs/instructions.toml
    Instructions(instructions::Arguments),
    /// Take a screenshot of every page, into docs/screens/
    Screens,
    /// Read inputs that nobody wrote with every reader, or give them to a server or the command line; none may panic or hang
    Fuzz(fuzz::Arguments),
    /// Change valid things bit by bit and field by field; no verifier may accept one of them
    Mutate(mutate::Arguments),
    /// Try every attack of tests/attacks through every door that it has, and print the table
    Attacks,
    /// Run the tests over other projects' vectors, and write docs/vectors.md
    Vectors,
}

/// Does what the command line asks for, and says what went wrong on the console.
pub fn main() -> ExitCode {
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
        Task::Sim(arguments) => sim::run(arguments),
        Task::Races(arguments) => races::run(arguments),
        Task::Failpoints(arguments) => failpoints::run(arguments),
        Task::Planted(arguments) => planted::run(arguments),
        Task::Faults(arguments) => faults::run(arguments),
        Task::Bench(arguments) => bench::run(arguments),
        Task::Instructions(arguments) => instructions::run(arguments),
        Task::Screens => screens::run(),
        Task::Fuzz(arguments) => fuzz::run(arguments),
        Task::Mutate(arguments) => mutate::run(arguments),
        Task::Attacks => attacks::run(),
        Task::Vectors => vectors::run(),
    }
}
