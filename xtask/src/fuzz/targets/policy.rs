//! Readers of policy sets: every kind of file, the whole document, and the texts in them; what loads is decided with.

use std::collections::BTreeMap;

use lockgate_model::facts::Facts;
use lockgate_policy::pattern::Pattern;
use lockgate_policy::recurrence::Recurrence;
use lockgate_policy::share::Share;
use lockgate_policy::spdx::Expression;
use lockgate_policy::time_zone::Zone;
use lockgate_policy::{PolicyError, PolicySet, STARTERS, decide, run_tests};

use super::Target;
use crate::bench;
use crate::failure::{Failure, Result};
use crate::fuzz::outcome::Outcome;
use crate::fuzz::samples::{Samples, folder, texts};
use crate::fuzz::story::Story;

/// The files that a policy set has one of, and the target that reads each.
const FILES: [(&str, &str); 5] = [
    ("policy-settings", "policy.toml"),
    ("policy-environments", "environments.toml"),
    ("policy-people", "people.toml"),
    ("policy-trust", "trust.toml"),
    ("policy-aliases", "aliases.toml"),
];
/// A gate that asks the module which a target makes.
const REGO_GATE: &str =
    "[[gate]]\nname = \"rego\"\nkind = \"rego\"\nenvironments = [\"production\"]\nmodule = \"rego/fuzz.rego\"\n";
/// A module that looks at the facts.
const MODULE: &str = "package lockgate.fuzz\n\ndeny contains message if {\n\tsome fact in input.evidence\n\
                      \tfact.claim.kind == \"tests\"\n\tfact.claim.passed < 1\n\tmessage := sprintf(\"%d passed\", [fact.claim.passed])\n}\n";

/// The files of a policy set.
pub(super) type Files = BTreeMap<String, String>;

/// Every target.
///
/// # Errors
/// When a sample cannot be read.
pub fn targets(samples: &Samples, story: &Story) -> Result<Vec<Target>> {
    let base = starter("starter")?;
    let mut all = Vec::new();
    for (name, file) in FILES {
        let seeds = [written(|path| path == file)?, samples.attacks(&["policy"])].concat();
        let seeds = if file == "aliases.toml" { [texts(&[ALIASES]), seeds].concat() } else { seeds };
        let base = base.clone();
        all.push(Target::new(name, seeds, move |input| with_file(&base, file, input, |set| set.digest())));
    }
    let top: Files = base.clone().into_iter().filter(|(path, _)| !path.contains('/')).collect();
    let gates = [written(|path| path.starts_with("gates/"))?, samples.attacks(&["policy", "facts"])].concat();
    let facts = bench::facts()?;
    let (with, known) = (top.clone(), facts.clone());
    all.push(Target::new("policy-gates", gates, move |input| {
        with_file(&with, "gates/fuzz.toml", input, |set| decide(set, &known))
    }));
    let tests = written(|path| path.starts_with("tests/"))?;
    let with: Files = base.clone().into_iter().filter(|(path, _)| !path.starts_with("tests/")).collect();
    all.push(Target::new("policy-tests", tests, move |input| with_file(&with, "tests/fuzz.toml", input, run_tests)));
    let mut with = top;
    with.insert("gates/rego.toml".to_owned(), REGO_GATE.to_owned());
    let (modules, known) = (texts(&[MODULE, &documented_module()?]), facts);
    all.push(Target::new("policy-rego", modules, move |input| {
        with_file(&with, "rego/fuzz.rego", input, |set| decide(set, &known))
    }));
    let document = PolicySet::from_files(base).map_err(|errors| Failure::new(Refused(errors).to_string()))?.document();
    let documents = [vec![document], story.bodies_with("https://lockgate.dev/policy-set/v1")].concat();
    all.push(Target::new("policy-document", documents, |input| {
        let read = PolicySet::from_document(input).map_err(Refused);
        let write = |set: &PolicySet| Ok::<_, String>(set.document());
        Outcome::spelled(input, &read, write)
    }));
    all.push(facts_target(samples)?);
    all.extend(words());
    Ok(all)
}

/// Accounts that belong to a person.
const ALIASES: &str = "[[aliases]]\nperson = \"dana\"\nnames = [\"dana@example.com\", \"dana-bot\"]\n";

fn words() -> Vec<Target> {
    vec![
        Target::new(
            "licence-expression",
            texts(&[
                "MIT OR Apache-2.0",
                "GPL-2.0-or-later WITH Classpath-exception-2.0",
                "(MIT AND (BSD-3-Clause OR ISC))",
            ]),
            |input| match std::str::from_utf8(input) {
                Ok(text) => Outcome::of(&text.parse::<Expression>()),
                Err(_) => Outcome::no_text(),
            },
        ),
        Target::new(
            "recurrence",
            texts(&["FREQ=WEEKLY;BYDAY=MO,TU", "FREQ=YEARLY;INTERVAL=2;COUNT=3", "FREQ=MONTHLY;BYDAY=-1FR"]),
            Outcome::text::<Recurrence>,
        ),
        Target::new("time-zone", texts(&["UTC", "Europe/Berlin", "America/New_York"]), Outcome::text::<Zone>),
        Target::new("pattern", texts(&["*", "shop/*", "https://git.example/**"]), Outcome::text::<Pattern>),
        Target::new("share", texts(&["80%", "99.95%", "0%"]), Outcome::text::<Share>),
    ]
}

/// Facts are read as they were recorded, and decided about: that has to give a decision, whatever they say.
fn facts_target(samples: &Samples) -> Result<Target> {
    let recorded = lockgate_model::canonical::to_vec(&bench::facts()?)?;
    let seeds = [folder("tests/attacks/base", "facts.json")?, vec![recorded], samples.attacks(&["facts"])].concat();
    let set = PolicySet::from_files(starter("starter")?).map_err(Refused);
    let set = set.map_err(|refused| Failure::new(refused.to_string()))?;
    Ok(Target::new("facts", seeds, move |input| {
        let facts = serde_json::from_slice::<Facts>(input);
        Outcome::of(&facts.map(|facts| decide(&set, &facts)))
    }))
}

/// Every mistake in a policy set.
#[derive(Debug)]
pub(super) struct Refused(pub(super) Vec<PolicyError>);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.first() {
            Some(first) => f.write_str(&first.message),
            None => f.write_str("refused without a reason"),
        }
    }
}

/// What is made of a policy set with one file replaced.
pub(super) fn with_file<T: std::fmt::Debug>(
    base: &Files,
    file: &str,
    input: &[u8],
    then: impl Fn(&PolicySet) -> T,
) -> Outcome {
    let Ok(text) = std::str::from_utf8(input) else { return Outcome::no_text() };
    let mut files = base.clone();
    files.insert(file.to_owned(), text.to_owned());
    let read = PolicySet::from_files(files).map_err(Refused);
    Outcome::of(&read.map(|set| then(&set)))
}

/// The files of a starter policy set.
///
/// # Errors
/// When there is none with this name.
pub(super) fn starter(name: &str) -> Result<Files> {
    PolicySet::starter(name).ok_or_else(|| Failure::new(format!("there is no starter policy set `{name}`")))
}

/// The files of every starter policy set whose path is wanted, and those of the starter first: they fit what they are
/// read with.
///
/// # Errors
/// As [`starter`].
pub(super) fn written(wanted: impl Fn(&str) -> bool) -> Result<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    for (name, _) in STARTERS {
        let files = starter(name)?.into_iter().filter(|(path, _)| wanted(path));
        found.extend(files.map(|(_, text)| text.into_bytes()));
    }
    Ok(found)
}

/// The first module of `docs/rego.md`.
fn documented_module() -> Result<String> {
    let text = crate::workspace::read("docs/rego.md")?;
    let module = text.split_once("```rego\n").and_then(|(_, rest)| rest.split_once("```")).map(|(module, _)| module);
    Ok(module.unwrap_or_default().to_owned())
}
