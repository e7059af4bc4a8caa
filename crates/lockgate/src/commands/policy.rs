//! Policy sets: read, show, activate.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use lockgate_api::Exit;
use lockgate_api::wire::{Acknowledged, Activation, Changed, ServerInfo};
use lockgate_ledger::Event;
use lockgate_ledger::backtest::{BACKTEST_MAX_BYTES, BacktestReport};
use lockgate_ledger::entry::PolicyActivated;
use lockgate_ledger::governance::POLICY_NAMESPACE;
use lockgate_model::text::argument;
use lockgate_model::{Digest, EntryIndex, Limits};
use lockgate_policy::{Binding, Pattern, PolicyError, PolicySet};
use serde_json::json;

use crate::cli;
use crate::commands::change::{backtest_lines, confirm_with, outcome, policy_differences};
use crate::commands::policy_test::TestOptions;
use crate::commands::{policy_backtest, policy_check, policy_diff, policy_explain, policy_input, policy_test};
use crate::failure::{Failure, Outcome};
use crate::home::{read_file, write_file};
use crate::keyring::sign;
use crate::terminal::table;
use crate::world::World;

/// `lockgate policy`.
///
/// # Errors
/// What does not load, does not pass, or is refused.
pub fn policy(world: &World, options: &cli::Policy) -> Outcome {
    match options {
        cli::Policy::Check { dir, enrolled, strict } => policy_check::check(world, dir, *enrolled, *strict),
        cli::Policy::Test { dir, min_coverage, update } => {
            policy_test::test(world, dir, TestOptions { min_coverage: *min_coverage, update: *update })
        }
        cli::Policy::Show { dir: Some(dir) } => show(world, &read_policy(dir)?),
        cli::Policy::Show { dir: None } => show(world, &active(world)?),
        cli::Policy::Diff { from, to, enrolled } => policy_diff::diff(world, from, to, *enrolled),
        cli::Policy::Explain { promotion, width } => policy_explain::explain(world, *promotion, *width),
        cli::Policy::Input { promotion, dir, test } => policy_input::input(world, *promotion, dir, test.as_deref()),
        cli::Policy::Backtest(options) => policy_backtest::backtest(world, options),
        cli::Policy::Activate { dir, reason, backtest, yes } => activate(world, dir, reason, backtest.as_deref(), *yes),
    }
}

/// `lockgate init`.
///
/// # Errors
/// When the directory has files already.
pub fn init(world: &World, options: &cli::Init) -> Outcome {
    if options.list {
        return list_starters(world);
    }
    let files = PolicySet::starter(&options.starter).ok_or_else(|| {
        let known: Vec<&str> = lockgate_policy::STARTERS.iter().map(|(name, _)| *name).collect();
        Failure::usage("STARTER_UNKNOWN", format!("there is no starter policy set `{}`", options.starter))
            .hint(format!("there are {}", known.join(", ")))
    })?;
    if fs::read_dir(&options.dir).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Failure::new(
            Exit::Conflict,
            "DIRECTORY_NOT_EMPTY",
            format!("{} is not empty", options.dir.display()),
        )
        .hint("name a directory that is empty, or is not there yet: `lockgate init DIR`"));
    }
    for (path, text) in &files {
        write_file(&options.dir.join(path), text.as_bytes(), 0o644)?;
    }
    let (dir, named) = (options.dir.display(), argument(&options.dir.to_string_lossy()));
    let told = format!(
        "{} files of the `{}` policy set are in {dir}\n  next  edit them, then `lockgate policy test {named}` and `lockgate up --policy {named}`",
        files.len(),
        options.starter
    );
    world.terminal.done(&json!({ "dir": dir.to_string(), "starter": options.starter, "files": files.len() }), told)?;
    Ok(Exit::Done)
}

fn list_starters(world: &World) -> Outcome {
    let row = |(name, description): &(&str, &str)| json!({ "name": name, "description": description });
    let rows: Vec<_> = lockgate_policy::STARTERS.iter().map(row).collect();
    world.terminal.show(&rows, || {
        let row = |(name, description): &(&str, &str)| vec![(*name).to_owned(), (*description).to_owned()];
        table(&["name", "for"], lockgate_policy::STARTERS.iter().map(row))
    })?;
    Ok(Exit::Done)
}

/// Reads a policy set from a directory: `.toml` files, at most two levels deep, the trust roots in `roots/` and the
/// modules in `rego/`.
///
/// # Errors
/// `POLICY_INVALID` with every problem, or what cannot be read.
pub fn read_policy(dir: &Path) -> Result<PolicySet, Failure> {
    let mut files = BTreeMap::new();
    if !dir.is_dir() {
        return Err(Failure::new(Exit::NotFound, "POLICY_MISSING", format!("{} is no directory", dir.display()))
            .hint("`lockgate init` writes a starter policy set"));
    }
    collect(dir, "", &mut files)?;
    PolicySet::from_files(files).map_err(|errors| invalid(&errors))
}

fn collect(dir: &Path, prefix: &str, files: &mut BTreeMap<String, String>) -> Result<(), Failure> {
    let entries = fs::read_dir(dir).map_err(|error| Failure::file(dir, &error))?;
    for entry in entries {
        let entry = entry.map_err(|error| Failure::file(dir, &error))?;
        let name = entry
            .file_name()
            .into_string()
            .map_err(|_| Failure::usage("NAME_INVALID", format!("a name in {} is not UTF-8", dir.display())))?;
        if name.starts_with('.') {
            continue;
        }
        // Links are followed: that is how Kubernetes mounts a ConfigMap.
        let kind = fs::metadata(entry.path()).map_err(|error| Failure::file(&entry.path(), &error))?;
        if kind.is_dir() && prefix.is_empty() {
            collect(&entry.path(), &format!("{name}/"), files)?;
        } else if let Some(why) = left_out(prefix, &name, &kind) {
            // INVARIANT (no part is left out): what looks like a part of a policy set is one, or is refused.
            return Err(Failure::usage("POLICY_INVALID", format!("{} {why}", entry.path().display()))
                .hint("move it out of the folder of the policy set, or make it a part"));
        } else if is_part(prefix, &name) {
            let bytes = read_file(&entry.path(), Limits::DEFAULT.policy_bytes as u64)?;
            let text = String::from_utf8(bytes)
                .map_err(|_| Failure::usage("POLICY_INVALID", format!("{} is not UTF-8", entry.path().display())))?;
            files.insert(format!("{prefix}{name}"), text);
        }
    }
    Ok(())
}

/// The folders of a policy set.
const FOLDERS: [&str; 4] = ["gates/", "rego/", "roots/", "tests/"];

/// Why something in a folder of a policy set is no part of it, though whoever put it there may think that it is.
fn left_out(folder: &str, name: &str, kind: &fs::Metadata) -> Option<&'static str> {
    if kind.is_dir() {
        return FOLDERS.contains(&folder).then_some("is a folder within a folder, and nothing in it would be read");
    }
    if is_part(folder, name) {
        return (!kind.is_file()).then_some("is no file");
    }
    is_part(folder, &name.to_ascii_lowercase()).then_some("has capitals in its ending, and would not be read")
}

/// Whether a file of this name in this folder is part of a policy set.
fn is_part(folder: &str, name: &str) -> bool {
    name.ends_with(".toml")
        || (folder == "roots/" && name.ends_with(".json"))
        || (folder == "rego/" && name.ends_with(".rego"))
}

/// Every problem of a policy set in one failure.
pub fn invalid(errors: &[PolicyError]) -> Failure {
    let line = |error: &PolicyError| match &error.hint {
        Some(hint) => format!("{error}; {hint}"),
        None => error.to_string(),
    };
    let lines: Vec<String> = errors.iter().map(line).collect();
    Failure::usage("POLICY_INVALID", format!("the policy set does not load:\n  {}", lines.join("\n  ")))
}

/// The server's active policy set.
///
/// # Errors
/// When the server cannot be reached, or what it sends does not load.
pub fn active(world: &World) -> Result<PolicySet, Failure> {
    let document = world.signed_in()?.get_bytes("/v1/policy")?;
    PolicySet::from_document(&document).map_err(|errors| invalid(&errors))
}

fn show(world: &World, set: &PolicySet) -> Outcome {
    let environments: Vec<_> = set.environments().iter().map(|environment| {
        let gates: Vec<_> = set.gates().iter().filter(|gate| gate.environments.contains(&environment.name))
            .map(|gate| json!({ "gate": gate.name, "kind": gate.kind.name(), "file": gate.rule.file, "line": gate.rule.line, "description": gate.description }))
            .collect();
        json!({ "environment": environment.name, "purpose": environment.purpose, "risk": environment.risk.as_str(), "after": environment.after, "owners": environment.owners, "gates": gates })
    }).collect();
    let groups: BTreeMap<String, Vec<String>> = set
        .groups()
        .iter()
        .map(|(name, group)| {
            (name.to_string(), group.permissions.iter().map(|permission| permission.as_str().to_owned()).collect())
        })
        .collect();
    let settings = set.settings();
    let shown = json!({
        "name": settings.name, "digest": set.digest(), "expires_at": settings.expires_at,
        "environments": environments, "groups": groups,
    });
    world.terminal.show(&shown, || {
        let mut text = format!("{}  {}\n{}\n", settings.name, set.digest(), settings.description);
        if let Some(end) = settings.expires_at {
            text.push_str(&format!("ends at {end}: from then on everything is denied\n"));
        }
        for environment in set.environments() {
            let after: Vec<&str> = environment.after.iter().map(lockgate_model::EnvName::as_str).collect();
            let after = if after.is_empty() { String::new() } else { format!(", after {}", after.join(", ")) };
            text.push_str(&format!("\n{} (risk {}{after})\n", environment.name, environment.risk.as_str()));
            for gate in set.gates().iter().filter(|gate| gate.environments.contains(&environment.name)) {
                text.push_str(&format!(
                    "  {:<24} {:<16} {}:{}\n",
                    gate.name,
                    gate.kind.name(),
                    gate.rule.file,
                    gate.rule.line
                ));
            }
        }
        text.push('\n');
        for (group, permissions) in &groups {
            text.push_str(&format!("{group:<12} may {}\n", permissions.join(", ")));
        }
        for binding in set.bindings().iter().filter(|binding| binding.is_scoped() || !binding.people.is_empty()) {
            text.push_str(&bound(binding));
        }
        text
    })?;
    Ok(Exit::Done)
}

/// A binding in one line, with where it is written.
fn bound(binding: &Binding) -> String {
    let names = |patterns: &[Pattern]| patterns.iter().map(Pattern::as_str).collect::<Vec<_>>().join(", ");
    let mut holders: Vec<String> = binding.groups.iter().map(|group| format!("group {group}")).collect();
    if !binding.people.is_empty() {
        holders.push(names(&binding.people));
    }
    let services = binding.services.as_deref().map_or("every service".to_owned(), names);
    let environments = binding.environments.as_deref().map_or("every environment".to_owned(), names);
    let (role, holders) = (&binding.role, holders.join(", "));
    format!("{holders}: {role} for {services} in {environments} ({})\n", binding.rule)
}

fn activate(world: &World, dir: &Path, reason: &str, backtest: Option<&Path>, yes: bool) -> Outcome {
    let set = read_policy(dir)?;
    let backtest = backtest.map(|path| read_file(path, BACKTEST_MAX_BYTES as u64)).transpose()?;
    let person = world.person()?;
    let client = world.signed_in_as(&person)?;
    let info: ServerInfo = client.get("/v1/server")?;
    world.check_ledger(&info.origin)?;
    let (previous, previous_at) = (info.policy, info.policy_at);
    let report = backtest.as_deref().map(BacktestReport::from_bytes).transpose()?;
    if let Some(report) = &report {
        report.check(&info.origin, set.digest(), previous)?;
    }
    let document = set.document();
    if Digest::of(&document) == previous {
        return Err(Failure::new(Exit::Conflict, "POLICY_SAME", "this policy set is the active one already")
            .hint("nothing was signed; `lockgate policy show` prints the active policy set"));
    }
    let event = PolicyActivated {
        policy: Digest::of(&document),
        previous,
        previous_at: EntryIndex(previous_at),
        reason: reason.to_owned(),
        backtest: backtest.as_deref().map(Digest::of),
        by: person.clone(),
        signature: String::new(),
        countersigned: Vec::new(),
    };
    let signed = event.demand(&info.origin)?.document;
    let differs = policy_differences(&client, previous, &set)?;
    let tested = match &report {
        Some(report) => backtest_lines(&policy_backtest::checked_summary(world, &client, report, &set)?),
        None => String::new(),
    };
    let more = format!("  ledger      {}\n{tested}{differs}", info.origin);
    confirm_with(world, &Event::PolicyActivated(event), &signed, &more, yes)?;
    let signer = world.keyring.signer(&world.context()?, &person, None)?;
    let signature = sign(signer.as_ref(), POLICY_NAMESPACE, &signed)?;
    let text = |bytes: Vec<u8>| {
        String::from_utf8(bytes).map_err(|error| Failure::new(Exit::Bug, "DOCUMENT_INVALID", error.to_string()))
    };
    let request = Activation {
        document: text(document)?,
        previous,
        previous_at,
        reason: reason.to_owned(),
        by: person,
        signature,
        backtest: backtest.map(text).transpose()?,
    };
    let reply: Acknowledged<Changed> = client.post("/v1/policy", &request, Some(&world.random_hex()?))?;
    outcome(world, &reply, || format!("the policy set {} is active", set.digest()))
}
