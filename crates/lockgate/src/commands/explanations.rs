//! Explanations: what each reason code means, and what to do next; those of gates are in `lockgate_policy`, those of outside
//! signatures in [`super::signature`].
//!
//! One module a noun, each in order of code. Codes with one first word stand in one module.
//!
//! Each text says what the reader does now: a sentence that begins with something to do, or with a command.

mod command;
mod emergency;
mod evidence;
mod key;
mod ledger;
mod person;
mod policy;
mod promotion;
mod rehearsal;
mod release;
mod request;
mod server;
mod session;
mod store;
mod trust;

/// Each noun's codes and explanations.
const NOUNS: &[&[(&str, &str)]] = &[
    command::EXPLANATIONS,
    emergency::EXPLANATIONS,
    evidence::EXPLANATIONS,
    key::EXPLANATIONS,
    ledger::EXPLANATIONS,
    person::EXPLANATIONS,
    policy::EXPLANATIONS,
    promotion::EXPLANATIONS,
    rehearsal::EXPLANATIONS,
    release::EXPLANATIONS,
    request::EXPLANATIONS,
    server::EXPLANATIONS,
    session::EXPLANATIONS,
    store::EXPLANATIONS,
    trust::EXPLANATIONS,
];

/// Every code with its explanation.
pub fn explanations() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    NOUNS.iter().copied().flatten()
}

#[cfg(test)]
#[path = "explanations_tests.rs"]
mod tests;
