//! Gates: the named demands of a policy set, as read from `gates/*.toml`.

use lockgate_model::{EnvName, GateName, ServiceName};
use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::decision::Rule;
use crate::error::PolicyError;
use crate::gates::GateKind;
use crate::pattern::Pattern;
use crate::source::{SourceFile, TableEntry};

/// One named demand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    /// What it is called; unique in its policy set.
    pub name: GateName,
    /// What it demands.
    pub kind: GateKind,
    /// The environments that demand it; never empty.
    pub environments: Vec<EnvName>,
    /// The services that it is demanded of; `None` stands for all.
    pub services: Option<Vec<Pattern>>,
    /// Why it is there, in the policy author's words.
    pub description: Option<String>,
    /// Where it is written.
    pub rule: Rule,
}

/// The fields that gates of every kind have, `kind` apart.
const SHARED_FIELDS: &[&str] = &["name", "environments", "services", "description"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SharedFields {
    name: GateName,
    environments: Vec<EnvName>,
    #[serde(default)]
    services: Option<Vec<Pattern>>,
    #[serde(default)]
    description: Option<String>,
}

impl Gate {
    /// Whether it is demanded of this service in this environment.
    pub fn applies_to(&self, environment: &EnvName, service: &ServiceName) -> bool {
        let of_service = |patterns: &Vec<Pattern>| patterns.iter().any(|pattern| pattern.matches(service.as_str()));
        self.environments.contains(environment) && self.services.as_ref().is_none_or(of_service)
    }

    /// Reads the gates of one file, in the order in which they are written.
    pub(crate) fn read_file(source: SourceFile<'_>) -> Result<Vec<Self>, Vec<PolicyError>> {
        let mut gates = Vec::new();
        let mut errors = Vec::new();
        for entry in source.tables("gate")? {
            match read_gate(source, entry) {
                Ok(gate) => gates.push(gate),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(gates) } else { Err(errors) }
    }
}

fn read_gate<'a>(source: SourceFile<'a>, entry: TableEntry<'a>) -> Result<Gate, PolicyError> {
    let TableEntry { line, span, mut table } = entry;
    let Some(kind) = table.remove("kind") else {
        let message = format!("a gate needs a `kind`: one of {}", GateKind::NAMES.join(", "));
        return Err(source.error(Some(line), message, None));
    };
    let kind: Spanned<String> = source.read_value(kind, &[])?;
    let mut shared = DeTable::new();
    for field in SHARED_FIELDS {
        if let Some((key, value)) = table.remove_entry(*field) {
            shared.insert(key, value);
        }
    }
    // What is left is the kind's own. It is read first, so that a mistyped shared field is reported as unknown, with
    // a suggestion, and not as missing.
    let own = Spanned::new(span.clone(), DeValue::Table(table));
    let kind = GateKind::read(source, &kind, own, SHARED_FIELDS)?;
    let shared: SharedFields = source.read_value(Spanned::new(span, DeValue::Table(shared)), &[])?;
    let SharedFields { name, environments, services, description } = shared;
    let rule = Rule { file: source.path.to_owned(), line };
    Ok(Gate { name, kind, environments, services, description, rule })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[[gate]]\nname = \"t\"\nkind = \"tests\"\nenvironments = [\"dev\"]\nmin_passed = 1\n";

    fn read(text: &str) -> Result<Vec<Gate>, Vec<PolicyError>> {
        Gate::read_file(SourceFile { path: "gates/a.toml", text })
    }

    #[test]
    fn applies_where_it_says() {
        let check = |services: &str, environment: &str, service: &str, expected: bool| {
            let gates = read(&format!("{GOOD}{services}\n")).unwrap();
            let applies = gates[0].applies_to(&environment.parse().unwrap(), &service.parse().unwrap());
            assert_eq!(applies, expected, "{services} {environment} {service}");
        };
        check("", "dev", "shop/web", true);
        check("", "production", "shop/web", false);
        check("services = [\"*\"]", "dev", "shop/web", true);
        check("services = [\"shop/*\"]", "dev", "shop/web", true);
        check("services = [\"shop/*\"]", "dev", "workshop/web", false);
        check("services = [\"pay/*\", \"shop/web\"]", "dev", "shop/web", true);
    }

    #[test]
    fn refuses_unknown_fields_and_kinds_with_a_suggestion() {
        let check = |from: &str, to: &str, line: Option<usize>, part: &str, hint: Option<&str>| {
            let text = GOOD.replace(from, to);
            assert_ne!(text, GOOD);
            let errors = read(&text).unwrap_err();
            let error = errors.first().unwrap();
            assert!(error.message.contains(part), "{error:?}");
            assert_eq!((error.line, error.hint.as_deref()), (line, hint), "{error:?}");
        };
        check("min_passed", "min_pased", Some(5), "unknown field", Some("did you mean `min_passed`?"));
        check("environments", "enviroments", Some(4), "unknown field", Some("did you mean `environments`?"));
        check("\"tests\"", "\"test\"", Some(3), "unknown kind", Some("did you mean `tests`?"));
        check("kind = \"tests\"\n", "", Some(1), "needs a `kind`", None);
        check("name = \"t\"\n", "", Some(1), "missing field `name`", None);
        check("\"t\"", "\"T\"", Some(2), "is not a gate name", None);
        check("min_passed = 1", "min_passed = -1", Some(5), "", None);
    }
}
