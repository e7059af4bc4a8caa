//! Gates: the named demands of a policy set, as read from `gates/*.toml`.

use lockgate_model::{EnvName, GateName, ServiceName, UnixMillis};
use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::decision::Rule;
use crate::error::PolicyError;
use crate::gates::GateKind;
use crate::moment::Moment;
use crate::pattern::Pattern;
use crate::source::{SourceFile, TableEntry, together};
use crate::wording;

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
    /// Whether it blocks, and from when on.
    pub enforcement: Enforcement,
    /// The controls of frameworks that it answers to, such as `SOC2 CC8.1`.
    pub controls: Vec<String>,
    /// Where it is written.
    pub rule: Rule,
}

/// Whether a gate blocks, and from when on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enforcement {
    /// Always.
    Always,
    /// From this moment on; until then it only warns, and says so.
    From(UnixMillis),
    /// Never: it only warns.
    Never,
}

impl Enforcement {
    /// Whether it only warns at this moment.
    pub fn only_warns(self, now: UnixMillis) -> bool {
        match self {
            Self::Always => false,
            Self::From(start) => now < start,
            Self::Never => true,
        }
    }
}

/// The fields that gates of every kind have, `kind` apart.
const SHARED_FIELDS: &[&str] = &["name", "environments", "services", "description", "mode", "enforce_from", "controls"];

/// The longest name of a control in characters.
const CONTROL_MAX_CHARS: usize = 64;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    #[default]
    Enforce,
    Warn,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SharedFields {
    name: GateName,
    environments: Vec<EnvName>,
    #[serde(default)]
    services: Option<Vec<Pattern>>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    mode: Mode,
    #[serde(default)]
    enforce_from: Option<Moment>,
    #[serde(default)]
    controls: Vec<String>,
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
                Err(more) => errors.extend(more),
            }
        }
        if errors.is_empty() { Ok(gates) } else { Err(errors) }
    }
}

fn read_gate<'a>(source: SourceFile<'a>, entry: TableEntry<'a>) -> Result<Gate, Vec<PolicyError>> {
    let TableEntry { line, span, mut table } = entry;
    let Some(kind) = table.remove("kind") else {
        let message = format!("a gate needs a `kind`: one of {}", GateKind::NAMES.join(", "));
        return Err(vec![source.error(Some(line), message, None)]);
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
    let kind = GateKind::read(source, &kind, own, SHARED_FIELDS);
    let shared = source.read_value::<SharedFields>(Spanned::new(span, DeValue::Table(shared)), &[]);
    let (kind, shared) = match (kind, shared) {
        (Ok(kind), Ok(shared)) => (kind, shared),
        (kind, shared) => {
            return Err(together(kind.err().unwrap_or_default(), shared.err().unwrap_or_default()));
        }
    };
    let SharedFields { name, environments, services, description, mode, enforce_from, controls } = shared;
    let rule = Rule { file: source.path.to_owned(), line };
    let wrong = |message: String| vec![source.error(Some(line), format!("gate `{name}`: {message}"), None)];
    let enforcement = match (mode, enforce_from) {
        (Mode::Enforce, None) => Enforcement::Always,
        (Mode::Enforce, Some(start)) => Enforcement::From(start.0),
        (Mode::Warn, None) => Enforcement::Never,
        (Mode::Warn, Some(_)) => {
            let message = "`mode = \"warn\"` never blocks, so `enforce_from` cannot be meant: remove one of both";
            return Err(wrong(message.to_owned()));
        }
    };
    let is_bad = |control: &&String| {
        control.trim().is_empty()
            || control.chars().count() > CONTROL_MAX_CHARS
            || control.chars().any(char::is_control)
    };
    if let Some(control) = controls.iter().find(is_bad) {
        let message = format!("`{}` is no name of a control: write one such as `SOC2 CC8.1`", wording::shown(control));
        return Err(wrong(message));
    }
    Ok(Gate { name, kind, environments, services, description, enforcement, controls, rule })
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
        check("min_passed = 1", "mode = \"wern\"", Some(5), "unknown variant", Some("did you mean `warn`?"));
        check("min_passed = 1", "enforce_from = \"soon\"", Some(5), "is not a day", None);
        check("min_passed = 1", "mode = \"warn\"\nenforce_from = \"2026-12-01\"", Some(1), "remove one of both", None);
        check("min_passed = 1", "controls = [\" \"]", Some(1), "is no name of a control", None);
    }

    #[test]
    fn says_all_that_is_wrong_with_a_gate_and_with_the_next() {
        let text = "[[gate]]\nkind = \"tests\"\nenviroments = [\"dev\"]\nmin_passed = \"many\"\n\
                    [[gate]]\nname = \"u\"\nkind = \"test\"\nenvironments = [\"Dev\"]\n";
        let errors = read(text).unwrap_err();
        let found: Vec<(Option<usize>, &str)> = errors
            .iter()
            .map(|error| (error.line, error.message.split(['`', ':']).next().unwrap_or_default().trim()))
            .collect();
        let expected = [
            (Some(3), "unknown field"),
            (Some(4), "invalid type"),
            (Some(1), "missing field"),
            (Some(7), "unknown kind"),
            (Some(8), ""),
        ];
        assert_eq!(found, expected, "{errors:#?}");
        assert!(errors[2].message.contains("`name`"), "{errors:#?}");
    }

    #[test]
    fn says_when_it_blocks() {
        let check = |fields: &str, at: &str, expected: bool| {
            let gates = read(&format!("{GOOD}{fields}\n")).unwrap();
            assert_eq!(gates[0].enforcement.only_warns(at.parse().unwrap()), expected, "{fields} at {at}");
        };
        check("", "2026-01-01T00:00:00Z", false);
        check("mode = \"enforce\"", "2026-01-01T00:00:00Z", false);
        check("mode = \"warn\"", "2099-01-01T00:00:00Z", true);
        check("enforce_from = \"2026-12-01\"", "2026-11-30T23:59:59.999Z", true);
        check("enforce_from = \"2026-12-01\"", "2026-12-01T00:00:00Z", false);
        check("enforce_from = \"2026-12-01T09:00:00+01:00\"", "2026-12-01T07:59:59Z", true);
        check("enforce_from = \"2026-12-01T09:00:00+01:00\"", "2026-12-01T08:00:00Z", false);
    }
}
