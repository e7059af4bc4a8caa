//! Explain, completions, man pages, reference.

use std::path::Path;

use clap::CommandFactory;
use lockgate_api::Exit;
use serde_json::json;

use crate::cli::{self, Cli};
use crate::commands::explanations::explanations;
use crate::commands::signature;
use crate::failure::{Failure, Outcome};
use crate::home::write_file;
use crate::terminal::table;
use crate::world::World;

/// `lockgate explain`.
///
/// # Errors
/// `REASON_UNKNOWN`.
pub fn explain(world: &World, options: &cli::Explain) -> Outcome {
    if options.code == "exit-codes" {
        let codes: Vec<_> =
            Exit::ALL.iter().map(|exit| json!({ "code": exit.code(), "meaning": exit.meaning() })).collect();
        let rows = Exit::ALL.iter().map(|exit| vec![exit.code().to_string(), exit.meaning().to_owned()]);
        world.terminal.show(&codes, || table(&["code", "meaning"], rows))?;
        return Ok(Exit::Done);
    }
    let known = lockgate_policy::explain::REASONS
        .iter()
        .chain(explanations())
        .chain(lockgate_policy::LINTS)
        .chain(signature::REASONS)
        .find(|(code, _)| code.eq_ignore_ascii_case(&options.code));
    match known {
        Some((code, text)) => {
            world.terminal.show(&json!({ "code": code, "text": text }), || format!("{code}\n{text}"))?;
            Ok(Exit::Done)
        }
        None => Err(Failure::new(Exit::NotFound, "REASON_UNKNOWN", format!("`{}` has no page", options.code))
            .hint("codes stand in brackets behind `error`, and behind `reason` in `lockgate why`")),
    }
}

/// `lockgate completions`.
///
/// # Errors
/// When standard output is closed.
pub fn completions(world: &World, shell: clap_complete::Shell) -> Outcome {
    let mut bytes = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "lockgate", &mut bytes);
    world.terminal.bytes(&bytes)?;
    Ok(Exit::Done)
}

/// `lockgate man`.
///
/// # Errors
/// When a page cannot be written.
pub fn man(world: &World, dir: &Path) -> Outcome {
    let mut count = 0;
    pages(&Cli::command(), "lockgate", dir, &mut count)?;
    world.terminal.done(
        &json!({ "pages": count, "dir": dir.display().to_string() }),
        format!("{count} man pages are in {}", dir.display()),
    )?;
    Ok(Exit::Done)
}

fn pages(command: &clap::Command, name: &str, dir: &Path, count: &mut usize) -> Result<(), Failure> {
    let mut bytes = Vec::new();
    clap_mangen::Man::new(command.clone())
        .title(name)
        .render(&mut bytes)
        .map_err(|error| Failure::file(dir, &error))?;
    write_file(&dir.join(format!("{name}.1")), &bytes, 0o644)?;
    *count += 1;
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        pages(sub, &format!("{name}-{}", sub.get_name()), dir, count)?;
    }
    Ok(())
}

/// `lockgate help-all`: every command in one Markdown page.
///
/// # Errors
/// When standard output is closed.
pub fn reference(world: &World) -> Outcome {
    let mut text = String::from("# Command reference\n\nMade from the program itself by `cargo xtask codegen`.\n");
    describe(&mut Cli::command(), "lockgate", &mut text);
    text.push_str("\n## Exit codes\n\n| code | meaning |\n|---|---|\n");
    for exit in Exit::ALL {
        text.push_str(&format!("| {} | {} |\n", exit.code(), exit.meaning()));
    }
    text.push_str("\n## Reason codes of commands and server\n\n| code | meaning |\n|---|---|\n");
    let mut reasons: Vec<_> = explanations().chain(signature::REASONS).chain(lockgate_policy::LINTS).collect();
    reasons.sort();
    for (code, meaning) in reasons {
        text.push_str(&format!("| `{code}` | {meaning} |\n"));
    }
    world.terminal.bytes(text.as_bytes())?;
    Ok(Exit::Done)
}

fn describe(command: &mut clap::Command, name: &str, text: &mut String) {
    let help = command.clone().bin_name(name.to_owned()).term_width(100).render_long_help();
    text.push_str(&format!("\n## `{name}`\n\n```text\n{}\n```\n", help.to_string().trim()));
    let subs: Vec<clap::Command> = command.get_subcommands().filter(|sub| !sub.is_hide_set()).cloned().collect();
    for mut sub in subs {
        let sub_name = format!("{name} {}", sub.get_name());
        describe(&mut sub, &sub_name, text);
    }
}
