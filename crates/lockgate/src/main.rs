//! The `lockgate` binary: command line, configuration and wiring. The only composition root.

mod access_log;
mod cli;
mod commands;
mod custody;
mod failure;
mod hashed_read;
mod home;
mod keyring;
mod receipts;
mod rights;
mod serve;
mod server_clock;
mod terminal;
mod world;

use std::process::ExitCode;

use clap::Parser;
use lockgate_api::Exit;

use crate::cli::{Cli, Command, Format};
use crate::failure::{Failure, Outcome};
use crate::terminal::{Terminal, printable};
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
            if error.use_stderr() {
                return misused(&error);
            }
            return match error.print() {
                Ok(()) => ExitCode::from(Exit::Done.code()),
                Err(_) => ExitCode::from(Exit::Failed.code()),
            };
        }
    };
    let format = cli.global.output;
    let world = match World::new(cli.global) {
        Ok(world) => world,
        Err(failure) => {
            Terminal { format, quiet: false, colour: false }.failure(&failure);
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

/// Tells what is wrong with a command line. It quotes the command line, which may come from elsewhere: what steers a
/// terminal is escaped, and what is endless is cut. Programs get it as JSON, like every other failure.
fn misused(error: &clap::Error) -> ExitCode {
    let text = error.render().to_string();
    if json_wanted() {
        let message = text.trim().strip_prefix("error: ").unwrap_or(text.trim());
        let failure = Failure::usage("COMMAND_LINE", cut(message));
        Terminal { format: Format::Json, quiet: false, colour: false }.failure(&failure);
    } else if text.len() <= MISUSE_MAX_BYTES && printable(&text) == text {
        // What nobody hears is no failure of its own; the exit code says it too.
        let _ = error.print();
    } else {
        eprintln!("{}", printable(&cut(text.trim_end())));
    }
    ExitCode::from(Exit::Usage.code())
}

/// How much of a usage error is shown.
const MISUSE_MAX_BYTES: usize = 4096;

/// The beginning of a text that is too long to be read.
fn cut(text: &str) -> String {
    match text.char_indices().nth(MISUSE_MAX_BYTES).and_then(|(at, _)| text.get(..at)) {
        Some(beginning) => format!("{beginning}..."),
        None => text.to_owned(),
    }
}

/// Whether a command line that does not parse asks for JSON.
fn json_wanted() -> bool {
    let arguments: Vec<_> = std::env::args_os().skip(1).take_while(|argument| argument != "--").collect();
    let after = |name: &str| arguments.windows(2).any(|pair| matches!(pair, [a, b] if a == name && b == "json"));
    after("--output")
        || after("-o")
        || arguments.iter().any(|argument| argument == "--output=json" || argument == "-ojson" || argument == "-o=json")
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
        Command::Inbox => commands::inbox::inbox(world),
        Command::Dashboard(options) => commands::dashboard::dashboard(world, &options),
        Command::Diff(options) => commands::diff::diff(world, &options),
        Command::Where(options) => commands::whereabouts::find(world, &options),
        Command::Drift(options) => commands::drift::drift(world, &options),
        Command::Metrics(options) => commands::metrics::metrics(world, &options),
        Command::History(options) => commands::reading::history(world, &options),
        Command::Verify(options) => commands::verify::verify(world, &options),
        Command::Bundle(options) => commands::bundle::bundle(world, &options),
        Command::Audit(options) => commands::audit::audit(world, &options),
        Command::Drill(options) => commands::drill::drill(world, &options),
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
