//! What differs between two policy sets, by meaning: settings, environments, gates, signers, and who may do what.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use lockgate_model::{Digest, GroupName, PersonId};
use serde::Serialize;
use serde_json::Value;
use toml::de::{DeTable, DeValue};

use crate::access::effective;
use crate::alias::Aliases;
use crate::environment::Environment;
use crate::error::PolicyError;
use crate::gate::Gate;
use crate::lint::files;
use crate::pattern::Pattern;
use crate::people::Group;
use crate::policy_set::PolicySet;
use crate::settings::Settings;
use crate::source::SourceFile;
use crate::trust::TrustedSigner;

/// How often files are read again at most, to tell which fields say their default.
const READINGS_MAX: usize = 128;

/// What differs between two policy sets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolicyDiff {
    /// The first set.
    pub from: Digest,
    /// The second set.
    pub to: Digest,
    /// What `policy.toml` says differently.
    pub settings: Vec<FieldChange>,
    /// Environments, by name.
    pub environments: Vec<ItemChange>,
    /// Gates, by name.
    pub gates: Vec<ItemChange>,
    /// Trusted signers, by name.
    pub signers: Vec<ItemChange>,
    /// What `aliases.toml` says differently.
    pub aliases: Vec<FieldChange>,
    /// What each role permits, gained and lost.
    pub roles: Vec<RightsChange>,
    /// What each group may do and where, gained and lost.
    pub groups: Vec<RightsChange>,
    /// What each person may do and where, gained and lost: those who are named, and those who were asked about.
    pub people: Vec<RightsChange>,
    /// Policy tests, by file and name.
    pub tests: Vec<ItemChange>,
    /// Other files, such as trust roots, by path and digest.
    pub files: Vec<ItemChange>,
}

/// Something with a name that was added, removed or changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ItemChange {
    /// Its name.
    pub name: String,
    /// Which of the three.
    pub change: Changed,
    /// What differs; of something new or gone, everything.
    pub fields: Vec<FieldChange>,
}

/// What happened to something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Changed {
    /// It is only in the second set.
    Added,
    /// It is only in the first set.
    Removed,
    /// It is in both, and differs.
    Changed,
}

/// One value that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldChange {
    /// Where it stands, joined by `.`.
    pub field: String,
    /// What it was; absent where it was not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What it is; absent where it is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// What somebody may do that they could not, and the other way round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RightsChange {
    /// A role, group or person.
    pub who: String,
    /// What is new, such as `approve for shop/* in production`.
    pub gained: Vec<String>,
    /// What is gone.
    pub lost: Vec<String>,
}

impl PolicyDiff {
    /// Whether nothing differs but spelling: comments, order, white space.
    pub fn is_empty(&self) -> bool {
        let fields = self.settings.is_empty() && self.aliases.is_empty();
        let items = [&self.environments, &self.gates, &self.signers, &self.tests, &self.files];
        let rights = [&self.roles, &self.groups, &self.people];
        fields && items.iter().all(|items| items.is_empty()) && rights.iter().all(|rights| rights.is_empty())
    }
}

/// Compares two policy sets. `people` are those whose rights are compared, with their groups; people whom a binding of
/// either set names in full are compared besides.
pub fn policy_diff(from: &PolicySet, to: &PolicySet, people: &BTreeMap<PersonId, Vec<GroupName>>) -> PolicyDiff {
    let (before, after) = (files(from), files(to));
    let of_file = |path: &str| field_changes(&flat(&parsed(&before, path)), &flat(&parsed(&after, path)));
    let of_lists = |folder: &str, key: &str, with_file: bool| {
        item_changes(&listed(&before, folder, key, with_file), &listed(&after, folder, key, with_file))
    };
    let meaning = Meaning { before: &before, after: &after, readings: Cell::new(0) };
    let environments = |files| tables(files, Environment::FILE, "environment");
    let environments = item_changes(&environments(&before), &environments(&after));
    PolicyDiff {
        from: from.digest(),
        to: to.digest(),
        settings: meaning.of_fields(of_file(Settings::FILE), Settings::FILE, None, Settings::read),
        environments: meaning.of_items(environments, Environment::FILE, "environment", Environment::read),
        gates: meaning.of_items(of_lists("gates/", "gate", false), "gates/", "gate", Gate::read_file),
        signers: meaning.of_items(
            of_lists(TrustedSigner::FILE, "signer", false),
            TrustedSigner::FILE,
            "signer",
            TrustedSigner::read,
        ),
        aliases: of_file(Aliases::FILE),
        roles: rights_changes(&roles(&before), &roles(&after)),
        groups: rights_changes(&rights_of_groups(from), &rights_of_groups(to)),
        people: rights_of_people(from, to, people),
        tests: of_lists("tests/", "test", true),
        files: item_changes(&other_files(&before), &other_files(&after)),
    }
}

/// A value as the names and values of its leaves; a list is one leaf.
type Flat = BTreeMap<String, Value>;

fn parsed(files: &BTreeMap<String, String>, path: &str) -> Value {
    // INVARIANT (a policy set loads): its files parse.
    files.get(path).and_then(|text| toml::from_str::<Value>(text).ok()).unwrap_or(Value::Null)
}

fn flat(value: &Value) -> Flat {
    let mut leaves = Flat::new();
    flatten("", value, &mut leaves);
    leaves
}

fn flatten(at: &str, value: &Value, leaves: &mut Flat) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, member) in members {
                let path = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
                flatten(&path, member, leaves);
            }
        }
        Value::Null => {}
        leaf => {
            leaves.insert(at.to_owned(), leaf.clone());
        }
    }
}

fn field_changes(before: &Flat, after: &Flat) -> Vec<FieldChange> {
    let fields: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    fields
        .into_iter()
        .filter(|field| before.get(*field) != after.get(*field))
        .map(|field| FieldChange {
            field: field.clone(),
            before: before.get(field).cloned(),
            after: after.get(field).cloned(),
        })
        .collect()
}

fn item_changes(before: &BTreeMap<String, Flat>, after: &BTreeMap<String, Flat>) -> Vec<ItemChange> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let nothing = Flat::new();
    let mut changes = Vec::new();
    for name in names {
        let (old, new) = (before.get(name), after.get(name));
        let change = match (old, new) {
            (None, _) => Changed::Added,
            (_, None) => Changed::Removed,
            (Some(old), Some(new)) if old == new => continue,
            (Some(_), Some(_)) => Changed::Changed,
        };
        let fields = field_changes(old.unwrap_or(&nothing), new.unwrap_or(&nothing));
        changes.push(ItemChange { name: name.clone(), change, fields });
    }
    changes
}

/// How a file of a policy set is read.
type Read<T> = fn(SourceFile<'_>) -> Result<T, Vec<PolicyError>>;

/// One item of a file: `[key.<name>]`, or the `[[key]]` that is called so.
#[derive(Clone, Copy)]
struct Item<'a> {
    key: &'a str,
    name: &'a str,
}

/// What a change of spelling means: nothing, where one side leaves out what the other writes at its default.
///
/// What is the default is asked of the reader itself: without such a field, its file reads the same.
struct Meaning<'a> {
    before: &'a BTreeMap<String, String>,
    after: &'a BTreeMap<String, String>,
    /// How often files were read again.
    readings: Cell<usize>,
}

impl Meaning<'_> {
    /// The items that differ by meaning, in what does.
    fn of_items<T: PartialEq>(
        &self,
        changes: Vec<ItemChange>,
        place: &str,
        key: &str,
        read: Read<T>,
    ) -> Vec<ItemChange> {
        let meant = |change: ItemChange| {
            if change.change != Changed::Changed {
                return Some(change);
            }
            let ItemChange { name, change, fields } = change;
            let fields = self.of_fields(fields, place, Some(Item { key, name: &name }), read);
            (!fields.is_empty()).then_some(ItemChange { name, change, fields })
        };
        changes.into_iter().filter_map(meant).collect()
    }

    /// The fields that differ by meaning, of one item or of a whole file.
    fn of_fields<T: PartialEq>(
        &self,
        changes: Vec<FieldChange>,
        place: &str,
        item: Option<Item<'_>>,
        read: Read<T>,
    ) -> Vec<FieldChange> {
        let gone: Vec<&str> = changes.iter().filter(|one| one.after.is_none()).map(|one| one.field.as_str()).collect();
        let new: Vec<&str> = changes.iter().filter(|one| one.before.is_none()).map(|one| one.field.as_str()).collect();
        let mut same = self.defaults(&gone, (self.before, self.after), place, item, read);
        same.extend(self.defaults(&new, (self.after, self.before), place, item, read));
        changes.into_iter().filter(|change| !same.contains(&change.field)).collect()
    }

    /// Those of the fields, which only one side writes, that say their default there.
    fn defaults<T: PartialEq>(
        &self,
        fields: &[&str],
        (written, other): (&BTreeMap<String, String>, &BTreeMap<String, String>),
        place: &str,
        item: Option<Item<'_>>,
        read: Read<T>,
    ) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        if fields.is_empty() || self.readings.get() >= READINGS_MAX {
            return found;
        }
        let Some((path, text)) = written.iter().find(|(path, text)| path.starts_with(place) && has(text, item)) else {
            return found;
        };
        let other: Vec<&String> =
            other.iter().filter(|(path, _)| path.starts_with(place)).map(|(_, text)| text).collect();
        let parse = |text: &str| {
            self.readings.set(self.readings.get().saturating_add(1));
            read(SourceFile { path, text }).ok()
        };
        let Some(meant) = parse(text) else { return found };
        let mut text = text.clone();
        for field in fields {
            if self.readings.get() >= READINGS_MAX {
                break;
            }
            // A table that stands may mean something, also an empty one.
            let table = field.rsplit_once('.').map(|(table, _)| table);
            let stands = table.is_some_and(|table| other.iter().any(|text| field_at(text, item, table).is_some()));
            let shorter = without(&text, item, field, !stands);
            if let Some(shorter) = shorter.filter(|shorter| parse(shorter).is_some_and(|same| same == meant)) {
                text = shorter;
                found.insert((*field).to_owned());
            }
        }
        found
    }
}

/// Whether a file has an item; without one, it is about the whole file.
fn has(text: &str, item: Option<Item<'_>>) -> bool {
    DeTable::parse(text).is_ok_and(|root| table_of(root.get_ref(), item).is_some())
}

fn table_of<'t, 'i>(root: &'t DeTable<'i>, item: Option<Item<'_>>) -> Option<&'t DeTable<'i>> {
    let Some(Item { key, name }) = item else { return Some(root) };
    match root.get(key)?.get_ref() {
        DeValue::Table(tables) => tables.get(name)?.get_ref().as_table(),
        DeValue::Array(items) => {
            let mut tables = items.iter().filter_map(|item| item.get_ref().as_table());
            tables.find(|table| table.get("name").and_then(|value| value.get_ref().as_str()) == Some(name))
        }
        _ => None,
    }
}

/// Where a field stands: the bytes of its key and value, and those of the table around it if nothing else is in there.
type Where = (std::ops::Range<usize>, Option<std::ops::Range<usize>>);

fn field_at(text: &str, item: Option<Item<'_>>, field: &str) -> Option<Where> {
    let root = DeTable::parse(text).ok()?.into_inner();
    let mut table = table_of(&root, item)?;
    let (mut around, mut steps) = (None, field.split('.').peekable());
    while let Some(step) = steps.next() {
        let (key, value) = table.get_key_value(step)?;
        if steps.peek().is_none() {
            let alone = around.filter(|_| table.len() == 1);
            return Some((key.span().start..value.span().end, alone));
        }
        around = Some(value.span());
        table = value.get_ref().as_table()?;
    }
    None
}

/// A text without one field: there are blanks where it stood, so that each line stays where it is. A table that would be
/// empty then goes too, where it is to.
fn without(text: &str, item: Option<Item<'_>>, field: &str, with_table: bool) -> Option<String> {
    let (own, around) = field_at(text, item, field)?;
    let mut bytes = text.as_bytes().to_vec();
    for hole in [Some(own), around.filter(|_| with_table)].into_iter().flatten() {
        bytes.get_mut(hole)?.iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
    }
    String::from_utf8(bytes).ok()
}

/// The tables `[key.<name>]` of a file, by name.
fn tables(files: &BTreeMap<String, String>, path: &str, key: &str) -> BTreeMap<String, Flat> {
    let value = parsed(files, path);
    let members = value.get(key).and_then(Value::as_object);
    members.into_iter().flatten().map(|(name, table)| (name.clone(), flat(table))).collect()
}

/// The tables `[[key]]` of a file, or of every file of a folder, by name.
fn listed(files: &BTreeMap<String, String>, place: &str, key: &str, with_file: bool) -> BTreeMap<String, Flat> {
    let mut found = BTreeMap::new();
    for path in files.keys().filter(|path| path.starts_with(place) && path.ends_with(".toml")) {
        let value = parsed(files, path);
        for (at, item) in value.get(key).and_then(Value::as_array).into_iter().flatten().enumerate() {
            let name = item.get("name").and_then(Value::as_str).map_or_else(|| at.to_string(), str::to_owned);
            let name = if with_file { format!("{path}: {name}") } else { name };
            let mut fields = flat(item);
            fields.remove("name");
            found.insert(name, fields);
        }
    }
    found
}

/// Files that no other part of a comparison reads, each with its digest.
fn other_files(files: &BTreeMap<String, String>) -> BTreeMap<String, Flat> {
    let read = [Settings::FILE, Environment::FILE, Group::FILE, TrustedSigner::FILE, Aliases::FILE];
    let is_read = |path: &str| {
        read.contains(&path) || (path.ends_with(".toml") && (path.starts_with("gates/") || path.starts_with("tests/")))
    };
    let digest =
        |text: &String| Flat::from([("digest".to_owned(), Value::from(Digest::of(text.as_bytes()).to_string()))]);
    files.iter().filter(|(path, _)| !is_read(path)).map(|(path, text)| (path.clone(), digest(text))).collect()
}

type Rights = BTreeMap<String, BTreeSet<String>>;

fn roles(files: &BTreeMap<String, String>) -> Rights {
    let value = parsed(files, Group::FILE);
    let roles = value.get("role").and_then(Value::as_object);
    let permissions = |role: &Value| {
        let listed = role.get("permissions").and_then(Value::as_array);
        listed.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    roles.into_iter().flatten().map(|(name, role)| (name.clone(), permissions(role))).collect()
}

fn rights_of_groups(policy: &PolicySet) -> Rights {
    let mut rights = Rights::new();
    for name in policy.groups().keys() {
        let held = rights.entry(name.to_string()).or_default();
        for binding in policy.bindings().iter().filter(|binding| binding.groups.contains(name)) {
            for permission in &binding.permissions {
                held.insert(right(permission.as_str(), binding.services.as_deref(), binding.environments.as_deref()));
            }
        }
    }
    rights
}

fn rights_of_people(
    from: &PolicySet,
    to: &PolicySet,
    people: &BTreeMap<PersonId, Vec<GroupName>>,
) -> Vec<RightsChange> {
    let mut everyone = people.clone();
    let patterns = from.bindings().iter().chain(to.bindings()).flat_map(|binding| &binding.people);
    for name in patterns.filter_map(|pattern| pattern.as_str().parse::<PersonId>().ok()) {
        everyone.entry(name).or_default();
    }
    let rights = |policy: &PolicySet| -> Rights {
        let held = |(person, groups): (&PersonId, &Vec<GroupName>)| {
            let found = effective(policy, person, groups);
            let rights = found
                .iter()
                .map(|one| right(one.permission.as_str(), one.services.as_deref(), one.environments.as_deref()));
            (person.to_string(), rights.collect())
        };
        everyone.iter().map(held).collect()
    };
    rights_changes(&rights(from), &rights(to))
}

/// A permission and where it is held, as a text that is compared.
fn right(permission: &str, services: Option<&[Pattern]>, environments: Option<&[Pattern]>) -> String {
    let listed = |patterns: &[Pattern]| {
        let mut names: Vec<&str> = patterns.iter().map(Pattern::as_str).collect();
        names.sort_unstable();
        names.join(", ")
    };
    let services = services.map(|patterns| format!(" for {}", listed(patterns))).unwrap_or_default();
    let environments = environments.map(|patterns| format!(" in {}", listed(patterns))).unwrap_or_default();
    format!("{permission}{services}{environments}")
}

fn rights_changes(before: &Rights, after: &Rights) -> Vec<RightsChange> {
    let nothing = BTreeSet::new();
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let change = |who: &String| {
        let (old, new) = (before.get(who).unwrap_or(&nothing), after.get(who).unwrap_or(&nothing));
        RightsChange {
            who: who.clone(),
            gained: new.difference(old).cloned().collect(),
            lost: old.difference(new).cloned().collect(),
        }
    };
    names.into_iter().map(change).filter(|change| !change.gained.is_empty() || !change.lost.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{files as sample_files, gate};
    use serde_json::json;

    const TESTS: &str = "kind = \"tests\"\nmax_age = \"1h\"\n";

    fn diff(change: impl FnOnce(&mut BTreeMap<String, String>)) -> PolicyDiff {
        let mut changed = sample_files(&gate(TESTS));
        let read = |files| PolicySet::from_files(files).unwrap_or_else(|errors| panic!("{errors:#?}"));
        let from = read(changed.clone());
        change(&mut changed);
        let people = BTreeMap::from([("dana".parse().unwrap(), vec!["developers".parse().unwrap()])]);
        policy_diff(&from, &read(changed), &people)
    }

    fn edit(files: &mut BTreeMap<String, String>, path: &str, from: &str, to: &str) {
        let text = files.get_mut(path).unwrap();
        assert_eq!(text.matches(from).count(), 1, "{from} in {path}");
        *text = text.replace(from, to);
    }

    #[test]
    fn spelling_is_no_difference() {
        let same = diff(|files| {
            edit(files, "gates/test.toml", "max_age = \"1h\"", "# an hour\nmax_age    = '1h'");
        });
        assert!(same.is_empty() && same.from != same.to, "{same:#?}");
    }

    #[test]
    fn what_says_its_default_is_no_difference() {
        let same = diff(|files| {
            edit(files, "gates/test.toml", "max_age", "max_failed = 0\nmode = \"enforce\"\nmax_age");
            files.get_mut("policy.toml").unwrap().push_str("expiry_warning = \"30d\"\n\n[governance]\nquorum = 1\n");
            edit(files, "environments.toml", "purpose = \"try\"", "purpose = \"try\"\nafter = []");
        });
        assert!(same.is_empty() && same.from != same.to, "{same:#?}");
        let other = diff(|files| edit(files, "gates/test.toml", "max_age", "max_failed = 1\nmax_age"));
        assert_eq!(other.gates[0].fields.len(), 1, "{other:#?}");
        // A table that stands means something, also where all of it is at its defaults; a field of it alone does not.
        let table = |text: &str| {
            let diff = diff(|files| files.get_mut("policy.toml").unwrap().push_str(text));
            diff.settings.into_iter().map(|change| change.field).collect::<Vec<_>>()
        };
        assert_eq!(table("\n[waivers]\ntwo_people = true\n"), ["waivers.two_people"]);
        assert_eq!(table("\n[waivers]\nticket = true\ntwo_people = true\n"), ["waivers.ticket"]);
    }

    #[test]
    fn gates_are_compared_by_name_and_field() {
        let diff = diff(|files| {
            edit(files, "gates/test.toml", "1h", "2h");
            let other = gate("kind = \"sbom\"\n").replace("\"g\"", "\"h\"");
            files.insert("gates/more.toml".to_owned(), other);
        });
        let [changed, added] = <[ItemChange; 2]>::try_from(diff.gates.clone()).unwrap();
        assert_eq!((changed.name.as_str(), changed.change), ("g", Changed::Changed));
        let field = FieldChange { field: "max_age".to_owned(), before: Some(json!("1h")), after: Some(json!("2h")) };
        assert_eq!(changed.fields, [field]);
        assert_eq!((added.name.as_str(), added.change, added.fields.len()), ("h", Changed::Added, 2));
        assert!(diff.settings.is_empty() && diff.environments.is_empty() && diff.people.is_empty(), "{diff:#?}");
    }

    #[test]
    fn rights_are_told_by_person_group_and_role() {
        let diff = diff(|files| {
            edit(files, "people.toml", "\"request\", \"withdraw\", \"rollback\"", "\"request\", \"deploy\"");
        });
        let [person] = <[RightsChange; 1]>::try_from(diff.people.clone()).unwrap();
        assert_eq!((person.who.as_str(), person.gained.join(" ")), ("dana", "deploy".to_owned()));
        assert_eq!(person.lost, ["rollback", "withdraw"]);
        assert_eq!(diff.groups.iter().map(|group| group.who.as_str()).collect::<Vec<_>>(), ["developers"]);
        assert_eq!(diff.roles.iter().map(|role| role.who.as_str()).collect::<Vec<_>>(), ["developer"]);
    }

    #[test]
    fn people_whom_a_binding_names_are_compared_too() {
        let diff = diff(|files| {
            let binding =
                "\n[[bindings]]\nrole = \"approver\"\npeople = [\"ines\", \"rel-*\"]\nservices = [\"shop/*\"]\n";
            files.get_mut("people.toml").unwrap().push_str(binding);
        });
        assert_eq!(diff.people.len(), 1, "{diff:#?}");
        assert!(diff.people[0].gained.contains(&"approve for shop/*".to_owned()), "{diff:#?}");
    }

    #[test]
    fn settings_environments_signers_and_tests_are_compared() {
        let diff = diff(|files| {
            edit(files, "policy.toml", "72h", "24h");
            files.get_mut("policy.toml").unwrap().push_str("\n[governance]\nquorum = 2\n");
            edit(files, "environments.toml", "risk = \"high\"", "risk = \"low\"");
            edit(files, "trust.toml", "name = \"scanner\"", "name = \"scan\"");
            let test = "[[test]]\nname = \"t\"\nenvironment = \"production\"\nexpect = \"deny\"\n";
            files.insert("tests/a.toml".to_owned(), test.to_owned());
        });
        let fields: Vec<&str> = diff.settings.iter().map(|change| change.field.as_str()).collect();
        assert_eq!(fields, ["approval_ttl", "governance.quorum"]);
        assert_eq!(diff.environments.len(), 1);
        let signers: Vec<(&str, Changed)> = diff.signers.iter().map(|item| (item.name.as_str(), item.change)).collect();
        assert_eq!(signers, [("scan", Changed::Added), ("scanner", Changed::Removed)]);
        assert_eq!(diff.tests.first().map(|test| test.name.as_str()), Some("tests/a.toml: t"));
    }
}
