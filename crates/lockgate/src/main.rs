//! The `lockgate` binary: command line, configuration and wiring. The only composition root.

mod access_log;
mod cli;
mod commands;
mod failure;
mod hashed_read;
mod home;
mod keyring;
mod serve;
mod terminal;
mod world;

use std::process::ExitCode;

use clap::Parser;
use lockgate_api::Exit;

use crate::cli::{Cli, Command};
use crate::failure::Outcome;
use crate::world::World;

fn main() -> ExitCode {
    // A panic is a bug of ours, told by the standard hook; it must never look like any other outcome.
    std::panic::catch_unwind(command).unwrap_or_else(|_| ExitCode::from(Exit::Bug.code()))
}

fn command() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are results; everything else is a usage error.
            let code = if error.use_stderr() { Exit::Usage } else { Exit::Done };
            return match error.print() {
                Ok(()) => ExitCode::from(code.code()),
                Err(_) => ExitCode::from(Exit::Failed.code()),
            };
        }
    };
    let world = match World::new(cli.global) {
        Ok(world) => world,
        Err(failure) => {
            eprintln!("error[{}]: {}", failure.code, failure.message);
            return ExitCode::from(failure.exit.code());
        }
    };
    match run(&world, cli.command) {
        Ok(exit) => ExitCode::from(exit.code()),
        Err(failure) => {
            world.terminal.failure(&failure);
            ExitCode::from(failure.exit.code())
        }
    }
}

fn run(world: &World, command: Command) -> Outcome {
    match command {
        Command::Up(options) => commands::up::up(world, &options),
        Command::Down => commands::up::down(world),
        Command::Serve(options) => serve::serve(world, &options),
        Command::Init(options) => commands::policy::init(world, &options),
        Command::Demo(options) => commands::demo::demo(world, &options),
        Command::Push(options) => commands::push::push(world, &options),
        Command::Attest(options) => commands::push::attest(world, &options),
        Command::Promote(options) => commands::promote::promote(world, &options),
        Command::Rollback(options) => commands::promote::rollback(world, &options),
        Command::Withdraw(options) => commands::promote::withdraw(world, &options),
        Command::Approve(options) => commands::approve::approve(world, &options),
        Command::Delegate(options) => commands::delegate::delegate(world, &options),
        Command::Reject(options) => commands::approve::reject(world, &options),
        Command::Why(options) => commands::why::why(world, &options),
        Command::Status(options) => commands::reading::status(world, &options),
        Command::Diff(options) => commands::diff::diff(world, &options),
        Command::Where(options) => commands::whereabouts::find(world, &options),
        Command::History(options) => commands::reading::history(world, &options),
        Command::Verify(options) => commands::verify::verify(world, &options),
        Command::Bundle(options) => commands::bundle::bundle(world, &options),
        Command::Audit(options) => commands::audit::audit(world, &options),
        Command::Policy(options) => commands::policy::policy(world, &options),
        Command::Key(options) => commands::key::key(world, &options),
        Command::Invite(options) => commands::key::invite(world, &options),
        Command::Change(options) => commands::change::change(world, &options),
        Command::Freeze(options) => commands::freeze::freeze(world, &options),
        Command::Unfreeze(options) => commands::freeze::unfreeze(world, &options),
        Command::BreakGlass(options) => commands::break_glass::break_glass(world, &options),
        Command::Waive(options) => commands::waive::waive(world, &options),
        Command::Feed(options) => commands::feed::feed(world, &options),
        Command::Access(cli::Access::Show { name }) => commands::access::show(world, name.as_ref()),
        Command::Access(cli::Access::Who { permission, service, environment }) => {
            commands::access::who(world, permission, service.as_ref(), environment.as_ref())
        }
        Command::Access(cli::Access::Review { sign, yes }) => commands::access::review(world, sign, yes),
        Command::Access(cli::Access::Log(options)) => commands::access_log::log(world, &options),
        Command::Access(cli::Access::Export { file }) => commands::access_log::export(world, &file),
        Command::Access(cli::Access::Verify { file, trust }) => {
            commands::access_log::verify(world, &file, trust.as_deref())
        }
        Command::Ci(options) => commands::ci::ci(world, &options),
        Command::Login(options) => commands::login::login(world, &options),
        Command::Logout => commands::login::logout(world),
        Command::Session(options) => commands::login::session(world, &options),
        Command::Identity(options) => commands::oidc::identity(world, &options),
        Command::Whoami => commands::login::whoami(world),
        Command::Trust(options) => commands::trust::trust(world, &options),
        Command::Signature(options) => commands::signature::signature(world, &options),
        Command::Conformance(options) => commands::conformance::conformance(world, &options),
        Command::Doctor(options) => commands::doctor::doctor(world, &options),
        Command::Explain(options) => commands::help::explain(world, &options),
        Command::Completions { shell } => commands::help::completions(world, shell),
        Command::Man { dir } => commands::help::man(world, &dir),
        Command::HelpAll => commands::help::reference(world),
    }
}
