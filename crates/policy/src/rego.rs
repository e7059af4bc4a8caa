//! Rego: custom gates in the language of Open Policy Agent, evaluated by the interpreter `regorus`.
//!
//! Modules are files of the policy set, in `rego/`. A gate asks one rule of one of them, on the facts, and the answer is
//! a list of denials. There is no clock, network, chance, environment or output, and no evaluation without an end
//! (`docs/adr/0012-rego.md`). Does not check what a module means: its policy tests do.

mod allowed;
mod budget;
mod evaluate;
mod input;
mod input_fields;
mod place;
mod verdict;
mod walk;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::{Builder, scope};

use lockgate_model::GateName;
use lockgate_model::facts::Facts;

use crate::error::PolicyError;
use crate::gate::Gate;
use crate::gates::GateKind;
use crate::policy_set::PolicySet;

pub(crate) use evaluate::Question;
use evaluate::{Pending, Prepared};
use input::InputError;
pub(crate) use verdict::{Answer, Denial};

/// The folder of modules in a policy set.
pub(crate) const FOLDER: &str = "rego/";

/// The longest module in bytes.
const MODULE_BYTES: usize = 64 * 1024;
/// The most rules in all modules together: how deep rules can rest on each other.
const RULES_MAX: usize = 500;
/// The stack of a thread that reads or evaluates modules: enough for the longest chain of rules and functions.
const STACK_BYTES: usize = 128 * 1024 * 1024;
/// The name of such a thread.
const THREAD: &str = "rego";

/// The modules of a policy set, read and checked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Modules {
    files: BTreeMap<String, String>,
    prepared: Option<Arc<Prepared>>,
    contents: Contents,
}

/// What the modules of a policy set hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Contents {
    /// The package of each module, such as `data.lockgate`, by the module's path.
    packages: BTreeMap<String, String>,
    /// Every rule, by its module's path and its own, such as `data.lockgate.deny`.
    rules: BTreeMap<(String, String), Declared>,
}

/// A rule, where it is written first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Declared {
    /// From 1.
    pub(crate) line: usize,
    /// What it gives.
    pub(crate) shape: Shape,
}

/// What a rule gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A value, or a set that several rules add to.
    Value,
    /// `true`, or nothing.
    Truth,
    /// A value for arguments.
    Function,
}

impl Modules {
    /// Reads the modules among the files of a policy set.
    pub(crate) fn read(files: &BTreeMap<String, String>) -> Result<Self, Vec<PolicyError>> {
        let own = files.iter().filter(|(path, _)| path.starts_with(FOLDER));
        let own: BTreeMap<String, String> = own.map(|(path, text)| (path.clone(), text.clone())).collect();
        if own.is_empty() {
            return Ok(Self::default());
        }
        let broke_off = || {
            let message = "the modules could not be read: the reader broke off".to_owned();
            Err(vec![PolicyError { file: FOLDER.to_owned(), line: None, message, hint: None }])
        };
        let (contents, prepared) = scope(|scope| {
            let reader = Builder::new().name(THREAD.to_owned()).stack_size(STACK_BYTES);
            let reader = reader.spawn_scoped(scope, || {
                let contents = walk::examine(&own)?;
                Ok((contents, Prepared::new(&own)))
            });
            reader.ok().and_then(|reader| reader.join().ok()).unwrap_or_else(broke_off)
        })?;
        Ok(Self { files: own, prepared: Some(Arc::new(prepared)), contents })
    }

    /// The paths of all modules.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// The paths of the rules of one module.
    pub(crate) fn rules(&self, module: &str) -> impl Iterator<Item = &str> {
        let own = self.contents.rules.keys().filter(move |(file, _)| file == module);
        own.map(|(_, rule)| rule.as_str())
    }

    /// The package of one module, such as `data.lockgate`.
    pub(crate) fn package(&self, module: &str) -> Option<&str> {
        self.contents.packages.get(module).map(String::as_str)
    }

    /// One rule of one module.
    pub(crate) fn rule(&self, module: &str, rule: &str) -> Option<Declared> {
        self.contents.rules.get(&(module.to_owned(), rule.to_owned())).copied()
    }
}

/// Questions of gates that are being answered.
#[derive(Debug)]
pub(crate) struct Asked {
    names: Vec<GateName>,
    pending: Pending,
}

impl Asked {
    /// Waits for every answer.
    pub(crate) fn answers(self) -> Answers {
        Answers(self.names.into_iter().zip(self.pending.answers()).collect())
    }
}

/// The answers to the questions of gates.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Answers(BTreeMap<GateName, Answer>);

impl Answers {
    /// Begins to ask for every gate of kind `rego`, in order and in one go; for no such gate nothing is done.
    pub(crate) fn begin(policy: &PolicySet, gates: &[&Gate], facts: &Facts) -> Asked {
        let mut names = Vec::new();
        let mut questions = Vec::new();
        for gate in gates {
            if let GateKind::Rego(config) = &gate.kind {
                names.push(gate.name.clone());
                questions.push(config.question(policy.modules()));
            }
        }
        let failed = |message: String| Pending::all(names.len(), Answer::Failed { place: None, message });
        let pending = match (&policy.modules().prepared, names.is_empty()) {
            (_, true) => failed("nothing was asked".to_owned()),
            (None, _) => failed("the policy set has no modules".to_owned()),
            (Some(prepared), _) => evaluate::ask(prepared, questions, || {
                input::value_of(facts).map_err(|error| match error {
                    InputError::TooLong => Answer::Exhausted { place: None, message: error.to_string() },
                    InputError::NoForm(_) => Answer::Failed { place: None, message: error.to_string() },
                })
            }),
        };
        Asked { names, pending }
    }

    /// The answer to one gate's question.
    pub(crate) fn get(&self, gate: &GateName) -> Option<&Answer> {
        self.0.get(gate)
    }
}

#[cfg(test)]
#[path = "rego/tests.rs"]
mod tests;
