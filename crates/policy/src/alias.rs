//! Aliases: which accounts and names belong to one person, so that duties are kept apart by person and not by account.

use std::collections::{BTreeMap, BTreeSet};

use lockgate_model::PersonId;
use serde::Deserialize;
use toml::Spanned;
use toml::de::DeValue;

use crate::error::PolicyError;
use crate::source::SourceFile;
use crate::wording;

/// The longest name that an alias may have.
const NAME_CHARS: usize = 320;

/// Who stands behind which name.
///
/// INVARIANT (a name is one person's): no name stands for two people, and no name stands for a person who is
/// themselves another's alias. What would break it is refused at load.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Aliases {
    by_name: BTreeMap<String, PersonId>,
    /// The same by names in lower case: of several that differ by case alone, everyone who has one.
    by_lower: BTreeMap<String, BTreeSet<PersonId>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AliasEntry {
    person: PersonId,
    names: Vec<String>,
}

impl Aliases {
    /// The file that aliases are read from: `[[aliases]]` tables; a policy set may go without it.
    pub(crate) const FILE: &'static str = "aliases.toml";

    /// The person behind an enrolled name: the account itself, unless it is an alias of somebody.
    pub fn person<'a>(&'a self, account: &'a PersonId) -> &'a PersonId {
        self.by_name.get(account.as_str()).unwrap_or(account)
    }

    /// The person behind a name that evidence gives, compared as a whole text: case and spaces count.
    pub fn named(&self, name: &str) -> Option<&PersonId> {
        self.by_name.get(name)
    }

    /// Everyone behind a name that evidence gives, compared as a whole text and without regard to case.
    pub(crate) fn in_any_case(&self, name: &str) -> impl Iterator<Item = &PersonId> {
        self.by_lower.get(&name.to_lowercase()).into_iter().flatten()
    }

    /// Reads all aliases.
    pub(crate) fn read(source: SourceFile<'_>) -> Result<Self, Vec<PolicyError>> {
        let mut errors = Vec::new();
        let mut by_name: BTreeMap<String, PersonId> = BTreeMap::new();
        let mut lines: Vec<(PersonId, usize)> = Vec::new();
        for entry in source.tables("aliases")? {
            let line = entry.line;
            let value = Spanned::new(entry.span, DeValue::Table(entry.table));
            let AliasEntry { person, names } = match source.read_value(value, &[]) {
                Ok(entry) => entry,
                Err(more) => {
                    errors.extend(more);
                    continue;
                }
            };
            if names.is_empty() {
                errors.push(source.error(Some(line), format!("`{person}` has no names: write at least one"), None));
            }
            for name in names {
                if name.trim().is_empty() || name.chars().count() > NAME_CHARS {
                    let message = format!("`{}` is no name: it is empty or too long", wording::shown(&name));
                    errors.push(source.error(Some(line), message, None));
                    continue;
                }
                match by_name.get(&name) {
                    Some(other) if *other != person => {
                        let message = format!("`{}` stands for `{other}` and for `{person}`", wording::shown(&name));
                        errors.push(source.error(Some(line), message, None));
                    }
                    _ => {
                        by_name.insert(name, person.clone());
                    }
                }
            }
            lines.push((person, line));
        }
        for (person, line) in lines {
            if let Some(other) = by_name.get(person.as_str()).filter(|other| **other != person) {
                let message = format!("`{person}` is an alias of `{other}`: write the names under `{other}`");
                errors.push(source.error(Some(line), message, None));
            }
        }
        let mut by_lower: BTreeMap<String, BTreeSet<PersonId>> = BTreeMap::new();
        for (name, person) in &by_name {
            by_lower.entry(name.to_lowercase()).or_default().insert(person.clone());
        }
        if errors.is_empty() { Ok(Self { by_name, by_lower }) } else { Err(errors) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Aliases, Vec<PolicyError>> {
        Aliases::read(SourceFile { path: Aliases::FILE, text })
    }

    #[test]
    fn names_are_compared_as_whole_texts() {
        let aliases = read(concat!(
            "[[aliases]]\nperson = \"dana\"\n",
            "names = [\"dana@example.com\", \"github:12345\", \"Dana Doe <d@x>\", \"dana-bot\"]\n",
            "[[aliases]]\nperson = \"sam\"\nnames = [\"sam2\"]\n",
        ))
        .unwrap();
        let check = |name: &str, expected: Option<&str>| {
            assert_eq!(aliases.named(name).map(PersonId::as_str), expected, "{name}");
        };
        check("github:12345", Some("dana"));
        check("Dana Doe <d@x>", Some("dana"));
        check("github:1234", None);
        check("DANA@example.com", None);
        check("dana", None);
        let in_any_case = aliases.in_any_case("DANA doe <D@x>").map(PersonId::as_str);
        assert_eq!(in_any_case.collect::<Vec<_>>(), ["dana"]);
        let person = |name: &str| aliases.person(&name.parse().unwrap()).to_string();
        assert_eq!(person("dana-bot"), "dana");
        assert_eq!(person("sam2"), "sam");
        assert_eq!(person("ines"), "ines");
        assert_eq!(read("").unwrap(), Aliases::default());
    }

    #[test]
    fn refuses_names_of_two_people_and_chains() {
        let check = |text: &str, part: &str| {
            let errors = read(text).unwrap_err();
            assert!(errors[0].message.contains(part), "{errors:?}");
            assert!(errors[0].line.is_some(), "{errors:?}");
        };
        let dana = "[[aliases]]\nperson = \"dana\"\nnames = [\"x\"]\n";
        check(&format!("{dana}[[aliases]]\nperson = \"sam\"\nnames = [\"x\"]\n"), "stands for `dana` and for `sam`");
        check(&format!("{dana}[[aliases]]\nperson = \"x\"\nnames = [\"y\"]\n"), "is an alias of `dana`");
        check("[[aliases]]\nperson = \"dana\"\nnames = []\n", "has no names");
        check("[[aliases]]\nperson = \"dana\"\nnames = [\" \"]\n", "is no name");
        check("[[aliases]]\nperson = \"dana\"\nname = [\"x\"]\n", "unknown field");
        check("[[alias]]\nperson = \"dana\"\n", "unknown key");
    }
}
