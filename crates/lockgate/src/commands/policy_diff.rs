//! Policy diff: what changes between two policy sets, by meaning.

use std::collections::BTreeMap;
use std::path::Path;

use lockgate_api::Exit;
use lockgate_api::wire::PersonRow;
use lockgate_model::{Digest, GroupName, PersonId};
use lockgate_policy::{Changed, FieldChange, ItemChange, PolicyDiff, PolicySet, RightsChange, STARTERS, policy_diff};
use serde_json::Value;

use crate::commands::policy::{active, invalid, read_policy};
use crate::failure::{Failure, Outcome};
use crate::world::World;

/// A policy set, and whether the server gave it.
struct Named {
    set: PolicySet,
    remote: bool,
}

/// `lockgate policy diff`.
///
/// # Errors
/// What does not load, or is not known.
pub fn diff(world: &World, from: &str, to: &str, enrolled: bool) -> Outcome {
    let (from, to) = (named(world, from)?, named(world, to)?);
    let people = match enrolled || from.remote || to.remote {
        true => enrolled_groups(world)?,
        false => BTreeMap::new(),
    };
    let diff = policy_diff(&from.set, &to.set, &people);
    world.terminal.show(&diff, || text(&diff))?;
    Ok(Exit::Done)
}

/// Finds a policy set by what people call it: `active`, a digest, a directory, or a starter set.
fn named(world: &World, name: &str) -> Result<Named, Failure> {
    if name == "active" {
        return Ok(Named { set: active(world)?, remote: true });
    }
    if let Ok(digest) = name.parse::<Digest>() {
        return Ok(Named { set: by_digest(world, digest)?, remote: true });
    }
    let dir = Path::new(name);
    let starter = if dir.is_dir() { None } else { PolicySet::starter(name) };
    let set = match starter {
        Some(files) => PolicySet::from_files(files).map_err(|errors| invalid(&errors))?,
        None => read_policy(dir).map_err(|failure| match failure.code == "POLICY_MISSING" {
            true => unknown(name),
            false => failure,
        })?,
    };
    Ok(Named { set, remote: false })
}

fn unknown(name: &str) -> Failure {
    let starters: Vec<&str> = STARTERS.iter().map(|(name, _)| *name).collect();
    Failure::new(Exit::NotFound, "POLICY_UNKNOWN", format!("`{name}` is neither a directory nor a policy set"))
        .hint(format!("write a directory, `active`, a digest, or one of {}", starters.join(", ")))
}

fn by_digest(world: &World, digest: Digest) -> Result<PolicySet, Failure> {
    let bytes = world.signed_in()?.blob(&digest).map_err(|error| match error.code() == "BLOB_UNKNOWN" {
        true => Failure::new(Exit::NotFound, "POLICY_UNKNOWN", format!("the ledger has no policy set {digest}")),
        false => Failure::from(error),
    })?;
    if Digest::of(&bytes) != digest {
        return Err(Failure::new(
            Exit::Integrity,
            "DIGEST_MISMATCH",
            format!("the server sent other bytes than {digest}"),
        ));
    }
    PolicySet::from_document(&bytes).map_err(|errors| invalid(&errors))
}

fn enrolled_groups(world: &World) -> Result<BTreeMap<PersonId, Vec<GroupName>>, Failure> {
    let people: Vec<PersonRow> = world.signed_in()?.get("/v1/people")?;
    Ok(people.into_iter().map(|row| (row.person, row.groups)).collect())
}

fn text(diff: &PolicyDiff) -> String {
    let mut text = format!("{} -> {}\n", diff.from, diff.to);
    if diff.is_empty() {
        let same = if diff.from == diff.to { "the same policy set" } else { "nothing differs but spelling" };
        text.push_str(&format!("  {same}\n"));
        return text;
    }
    fields(&mut text, "settings", &diff.settings);
    items(&mut text, "environments", &diff.environments);
    items(&mut text, "gates", &diff.gates);
    items(&mut text, "signers", &diff.signers);
    fields(&mut text, "aliases", &diff.aliases);
    rights(&mut text, "roles", &diff.roles);
    rights(&mut text, "groups", &diff.groups);
    rights(&mut text, "people", &diff.people);
    items(&mut text, "tests", &diff.tests);
    items(&mut text, "files", &diff.files);
    text
}

fn fields(text: &mut String, title: &str, changes: &[FieldChange]) {
    if changes.is_empty() {
        return;
    }
    text.push_str(&format!("\n{title}\n"));
    for change in changes {
        text.push_str(&format!("  ~ {}\n", field(change)));
    }
}

fn field(change: &FieldChange) -> String {
    let shown = |value: &Option<Value>| value.as_ref().map_or("nothing".to_owned(), Value::to_string);
    match (&change.before, &change.after) {
        (None, Some(after)) => format!("{} = {after}", change.field),
        (before, after) => format!("{}: {} -> {}", change.field, shown(before), shown(after)),
    }
}

fn items(text: &mut String, title: &str, changes: &[ItemChange]) {
    if changes.is_empty() {
        return;
    }
    text.push_str(&format!("\n{title}\n"));
    for change in changes {
        let (mark, with_fields) = match change.change {
            Changed::Added => ('+', true),
            Changed::Removed => ('-', false),
            Changed::Changed => ('~', true),
        };
        text.push_str(&format!("  {mark} {}\n", change.name));
        for one in change.fields.iter().filter(|_| with_fields) {
            text.push_str(&format!("      {}\n", field(one)));
        }
    }
}

fn rights(text: &mut String, title: &str, changes: &[RightsChange]) {
    if changes.is_empty() {
        return;
    }
    text.push_str(&format!("\n{title}\n"));
    for change in changes {
        text.push_str(&format!("  ~ {}\n", change.who));
        for right in &change.gained {
            text.push_str(&format!("      + may {right}\n"));
        }
        for right in &change.lost {
            text.push_str(&format!("      - may {right}\n"));
        }
    }
}
