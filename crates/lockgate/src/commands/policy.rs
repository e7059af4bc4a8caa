//! Policy sets: check, test, show, activate.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use lockgate_api::Exit;
use lockgate_api::wire::{Acknowledged, Activation, Changed, PersonRow, ServerInfo};
use lockgate_ledger::governance::{ActivationDocument, POLICY_NAMESPACE, document_bytes};
use lockgate_model::{Digest, EntryIndex, Limits, PersonId};
use lockgate_policy::{Binding, Pattern, PolicyError, PolicySet, lints, run_tests};
use serde_json::json;

use crate::cli;
use crate::commands::change::outcome;
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
        cli::Policy::Check { dir, enrolled } => {
            let set = read_policy(dir)?;
            let people = if *enrolled { Some(enrolled_people(world)?) } else { None };
            let lints = lints(&set, people.as_ref());
            for lint in &lints {
                let hint = lint.hint.as_ref().map_or(String::new(), |hint| format!("\n  next  {hint}"));
                world.terminal.say(format!("note: {lint}{hint}"));
            }
            let noted: Vec<_> = lints
                .iter()
                .map(|lint| json!({ "file": lint.file, "line": lint.line, "message": lint.message, "hint": lint.hint }))
                .collect();
            let shown = json!({ "digest": set.digest(), "environments": set.environments().len(), "gates": set.gates().len(), "lints": noted });
            world.terminal.show(&shown, || {
                format!(
                    "{} loads: {} environments, {} gates\n  digest     {}",
                    dir.display(),
                    set.environments().len(),
                    set.gates().len(),
                    set.digest()
                )
            })?;
            Ok(Exit::Done)
        }
        cli::Policy::Test { dir } => test(world, dir),
        cli::Policy::Show { dir: Some(dir) } => show(world, &read_policy(dir)?),
        cli::Policy::Show { dir: None } => show(world, &active(world)?),
        cli::Policy::Activate { dir, reason } => activate(world, dir, reason),
    }
}

fn enrolled_people(world: &World) -> Result<BTreeSet<PersonId>, Failure> {
    let people: Vec<PersonRow> = world.signed_in()?.get("/v1/people")?;
    Ok(people.into_iter().map(|row| row.person).collect())
}

/// `lockgate init`.
///
/// # Errors
/// When the directory has files already.
pub fn init(world: &World, options: &cli::Init) -> Outcome {
    let files = PolicySet::starter(&options.starter).ok_or_else(|| {
        let known: Vec<&str> = lockgate_policy::STARTERS.iter().map(|(name, _)| *name).collect();
        Failure::usage("STARTER_UNKNOWN", format!("there is no starter policy set `{}`", options.starter))
            .hint(format!("there are {}", known.join(" and ")))
    })?;
    if fs::read_dir(&options.dir).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Failure::new(
            Exit::Conflict,
            "DIRECTORY_NOT_EMPTY",
            format!("{} is not empty", options.dir.display()),
        ));
    }
    for (path, text) in &files {
        write_file(&options.dir.join(path), text.as_bytes(), 0o644)?;
    }
    let dir = options.dir.display();
    world.terminal.say(format!("{} files of the `{}` policy set are in {dir}\n  next  edit them, then `lockgate policy test {dir}` and `lockgate up --policy {dir}`", files.len(), options.starter));
    Ok(Exit::Done)
}

/// Reads a policy set from a directory: `.toml` files, at most two levels deep.
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
        let kind = entry.file_type().map_err(|error| Failure::file(&entry.path(), &error))?;
        if name.starts_with('.') {
            continue;
        }
        if kind.is_dir() && prefix.is_empty() {
            collect(&entry.path(), &format!("{name}/"), files)?;
        } else if kind.is_file() && name.ends_with(".toml") {
            let bytes = read_file(&entry.path(), Limits::DEFAULT.policy_bytes as u64)?;
            let text = String::from_utf8(bytes)
                .map_err(|_| Failure::usage("POLICY_INVALID", format!("{} is not UTF-8", entry.path().display())))?;
            files.insert(format!("{prefix}{name}"), text);
        }
    }
    Ok(())
}

/// Every problem of a policy set in one failure.
pub fn invalid(errors: &[PolicyError]) -> Failure {
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    Failure::usage("POLICY_INVALID", format!("the policy set does not load:\n  {}", lines.join("\n  ")))
}

fn test(world: &World, dir: &Path) -> Outcome {
    let set = read_policy(dir)?;
    let results = run_tests(&set);
    let failed = results.iter().filter(|result| !result.passed).count();
    let shown: Vec<_> = results.iter().map(|result| json!({
        "name": result.name, "file": result.file, "line": result.line, "passed": result.passed, "expected": result.expected, "found": result.found, "detail": result.detail,
    })).collect();
    world.terminal.show(&shown, || {
        let row = |result: &lockgate_policy::TestResult| {
            vec![
                if result.passed { "pass" } else { "FAIL" }.to_owned(),
                format!("{}:{}", result.file, result.line),
                result.name.clone(),
                format!("expected {}, found {}", result.expected, result.found),
                if result.passed { String::new() } else { result.detail.clone() },
            ]
        };
        format!(
            "{}\n{} passed, {failed} failed",
            table(&["", "where", "test", "outcome", ""], results.iter().map(row)),
            results.len() - failed
        )
    })?;
    match (failed, results.is_empty()) {
        (0, false) => Ok(Exit::Done),
        (0, true) => Err(Failure::usage("POLICY_TESTS_MISSING", "the policy set has no tests")
            .hint("put some beside it, in tests/*.toml")),
        _ => Err(Failure::new(Exit::Denied, "POLICY_TESTS_FAILED", format!("{failed} policy tests fail"))),
    }
}

fn active(world: &World) -> Result<PolicySet, Failure> {
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
    let shown =
        json!({ "name": settings.name, "digest": set.digest(), "environments": environments, "groups": groups });
    world.terminal.show(&shown, || {
        let mut text = format!("{}  {}\n{}\n", settings.name, set.digest(), settings.description);
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

fn activate(world: &World, dir: &Path, reason: &str) -> Outcome {
    let set = read_policy(dir)?;
    let person = world.person()?;
    let client = world.signed_in_as(&person)?;
    let info: ServerInfo = client.get("/v1/server")?;
    world.check_ledger(&info.origin)?;
    let (previous, previous_at) = (info.policy, info.policy_at);
    let document = set.document();
    let signed = document_bytes(&ActivationDocument {
        schema: "https://lockgate.dev/policy-activation/v1",
        ledger: &info.origin,
        policy: Digest::of(&document),
        previous,
        previous_at: EntryIndex(previous_at),
        reason,
    })?;
    let signer = world.keyring.signer(&world.context()?, &person, None)?;
    let signature = sign(signer.as_ref(), POLICY_NAMESPACE, &signed)?;
    let document =
        String::from_utf8(document).map_err(|error| Failure::new(Exit::Bug, "DOCUMENT_INVALID", error.to_string()))?;
    let request = Activation { document, previous, previous_at, reason: reason.to_owned(), by: person, signature };
    let reply: Acknowledged<Changed> = client.post("/v1/policy", &request, Some(&world.random_hex()?))?;
    outcome(world, &reply, || format!("the policy set {} is active", set.digest()))
}
