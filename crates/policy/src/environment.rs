//! Environments: the places that releases are deployed to, in the order in which releases rise through them.

use std::collections::{BTreeMap, BTreeSet};

use lockgate_model::{EnvName, GroupName, Span};
use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::error::PolicyError;
use crate::source::SourceFile;
use crate::suggestion::did_you_mean;
use crate::wording;

/// A place that releases are deployed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// What it is called.
    pub name: EnvName,
    /// What it is for.
    pub purpose: String,
    /// The groups that answer for it.
    pub owners: Vec<GroupName>,
    /// How much harm a bad release can do there.
    pub risk: Risk,
    /// The environments that a release has to come from.
    pub after: Vec<EnvName>,
    /// How long a grant for it is good.
    pub grant_ttl: Span,
    /// Where it is defined: a line of `environments.toml`, from 1.
    pub line: usize,
}

/// How much harm a bad release can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Risk {
    /// Little.
    Low,
    /// Some.
    Medium,
    /// Much.
    High,
}

impl Risk {
    /// The word that policies use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EnvironmentsFile {
    #[serde(default)]
    environment: BTreeMap<EnvName, Spanned<EnvironmentEntry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EnvironmentEntry {
    purpose: String,
    owners: Vec<GroupName>,
    risk: Risk,
    #[serde(default)]
    after: Vec<EnvName>,
    grant_ttl: Span,
}

impl Environment {
    /// The file that environments are read from.
    pub(crate) const FILE: &'static str = "environments.toml";

    /// Reads all environments, each after those that it names in `after`; among equals, as written.
    pub(crate) fn read(source: SourceFile<'_>) -> Result<Vec<Self>, Vec<PolicyError>> {
        let file: EnvironmentsFile = source.read()?;
        let mut environments: Vec<Self> = file
            .environment
            .into_iter()
            .map(|(name, entry)| {
                let line = source.line(&entry.span());
                let EnvironmentEntry { purpose, owners, risk, after, grant_ttl } = entry.into_inner();
                Self { name, purpose, owners, risk, after, grant_ttl, line }
            })
            .collect();
        environments.sort_by(|a, b| (a.line, &a.name).cmp(&(b.line, &b.name)));
        let errors = problems(source, &environments);
        if !errors.is_empty() {
            return Err(errors);
        }
        in_order(environments).map_err(|stuck| vec![cycle(source, &stuck)])
    }
}

fn problems(source: SourceFile<'_>, environments: &[Environment]) -> Vec<PolicyError> {
    if environments.is_empty() {
        let message = "no environment: write at least one `[environment.<name>]`, or nothing can be promoted anywhere";
        return vec![source.error(None, message.to_owned(), None)];
    }
    let known: BTreeSet<&EnvName> = environments.iter().map(|environment| &environment.name).collect();
    let mut errors = Vec::new();
    for environment in environments {
        let line = Some(environment.line);
        for unknown in environment.after.iter().filter(|name| !known.contains(name)) {
            let message = format!("`{}` comes after `{unknown}`, which is not an environment", environment.name);
            errors.push(source.error(
                line,
                message,
                did_you_mean(unknown.as_str(), known.iter().map(|name| name.as_str())),
            ));
        }
        if environment.grant_ttl.is_zero() {
            let message = format!("`grant_ttl` of `{}` is zero: no grant would ever be good", environment.name);
            errors.push(source.error(line, message, None));
        }
    }
    errors
}

/// Orders environments so that each stands after all that it names; gives back those of a cycle, and behind one.
fn in_order(mut waiting: Vec<Environment>) -> Result<Vec<Environment>, Vec<Environment>> {
    let mut placed: BTreeSet<EnvName> = BTreeSet::new();
    let mut ordered = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let ready = waiting.iter().position(|environment| environment.after.iter().all(|name| placed.contains(name)));
        let Some(ready) = ready else { return Err(waiting) };
        let environment = waiting.remove(ready);
        placed.insert(environment.name.clone());
        ordered.push(environment);
    }
    Ok(ordered)
}

fn cycle(source: SourceFile<'_>, stuck: &[Environment]) -> PolicyError {
    let names: Vec<String> = stuck.iter().map(|environment| format!("`{}`", environment.name)).collect();
    let message = format!("{} wait for each other: `after` must not lead back", wording::all_of(&names));
    source.error(stuck.first().map(|environment| environment.line), message, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(environments: &[(&str, &str)]) -> String {
        let one = |(name, after): &(&str, &str)| {
            format!(
                "[environment.{name}]\npurpose = \"p\"\nowners = [\"ops\"]\nrisk = \"low\"\nafter = [{after}]\ngrant_ttl = \"1d\"\n"
            )
        };
        environments.iter().map(one).collect()
    }

    fn read(text: &str) -> Result<Vec<Environment>, Vec<PolicyError>> {
        Environment::read(SourceFile { path: Environment::FILE, text })
    }

    #[test]
    fn stands_after_what_it_comes_after() {
        let check = |environments: &[(&str, &str)], expected: &str| {
            let names: Vec<String> =
                read(&text(environments)).unwrap().iter().map(|environment| environment.name.to_string()).collect();
            assert_eq!(names.join(" "), expected);
        };
        check(&[("dev", ""), ("staging", "\"dev\""), ("prod", "\"staging\"")], "dev staging prod");
        check(&[("prod", "\"staging\""), ("staging", "\"dev\""), ("dev", "")], "dev staging prod");
        check(&[("b", ""), ("a", "")], "b a");
        check(&[("c", "\"a\", \"b\""), ("b", ""), ("a", "")], "b a c");
    }

    #[test]
    fn refuses_cycles_unknown_names_and_nothing() {
        let check = |text: &str, part: &str, line: Option<usize>| {
            let errors = read(text).unwrap_err();
            assert_eq!(errors.len(), 1, "{errors:?}");
            assert!(errors[0].message.contains(part), "{errors:?}");
            assert_eq!(errors[0].line, line, "{errors:?}");
        };
        check("", "no environment", None);
        check(&text(&[("a", "\"a\"")]), "wait for each other", Some(1));
        check(&text(&[("a", "\"b\""), ("b", "\"a\"")]), "`a` and `b` wait", Some(1));
        check(&text(&[("dev", ""), ("prod", "\"dex\"")]), "`dex`, which is not", Some(7));
        check(&text(&[("dev", "")]).replace("risk", "rixk"), "unknown field", Some(4));
        check(&text(&[("dev", "")]).replace("\"low\"", "\"huge\""), "unknown variant", Some(4));
        check(&text(&[("dev", "")]).replace("\"1d\"", "\"0d\""), "zero", Some(1));
        check(&text(&[("DEV", "")]), "not an environment name", Some(1));
        check(&text(&[("dev", ""), ("dev", "")]), "duplicate", Some(7));
    }
}
