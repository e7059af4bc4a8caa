//! Trials: a command that is tried, and what is demanded of it.

use std::fmt;

/// How much of a word is shown, in bytes.
const SHOWN_BYTES: usize = 120;
/// What asks for JSON.
const JSON: [&[u8]; 2] = [b"-o", b"json"];

/// What is demanded of a command beyond what is demanded of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// Nothing.
    Ended,
    /// It is a valid command line.
    Understood,
    /// It does not succeed.
    Refused,
}

/// What was done to a file of the home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// In words, with the file.
    pub told: String,
    /// What the file holds since then, where that is not told.
    pub content: Option<Vec<u8>>,
}

/// One command that is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// The valid line that it was made from.
    pub line: &'static str,
    /// Its arguments.
    pub words: Vec<Vec<u8>>,
    /// Whether it is asked for JSON, before its arguments.
    pub json: bool,
    /// What was done to the home before.
    pub damage: Option<Damage>,
    /// What is demanded of it.
    pub demand: Demand,
}

impl Trial {
    /// All that the program is given.
    pub fn arguments(&self) -> impl Iterator<Item = &[u8]> {
        let json = JSON.into_iter().filter(move |_| self.json);
        json.chain(self.words.iter().map(Vec::as_slice))
    }

    /// Whether one of its arguments is one of these.
    pub fn has(&self, names: &[&str]) -> bool {
        self.words.iter().any(|word| names.iter().any(|name| word.as_slice() == name.as_bytes()))
    }

    /// Whether one of these is a part of one of its arguments.
    pub fn mentions(&self, texts: &[&str]) -> bool {
        let words: Vec<String> = self.words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect();
        words.iter().any(|word| texts.iter().any(|text| word.contains(*text)))
    }
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lockgate")?;
        for argument in self.arguments() {
            write!(f, " {}", shown(argument))?;
        }
        match &self.damage {
            Some(damage) => write!(f, ", where {}", damage.told),
            None => Ok(()),
        }
    }
}

/// A word in quotes, with all but plain characters escaped, and cut where it is long.
fn shown(word: &[u8]) -> String {
    match word.split_at_checked(SHOWN_BYTES) {
        Some((head, rest)) if !rest.is_empty() => format!("\"{}\" and {} more bytes", head.escape_ascii(), rest.len()),
        _ => format!("\"{}\"", word.escape_ascii()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_is_told_so_that_it_can_be_repeated() {
        let words = vec![b"why".to_vec(), b"\xff\n\"".to_vec(), b"x".repeat(SHOWN_BYTES + 3)];
        let damage = Damage { told: "`trust.json` is empty".to_owned(), content: None };
        let trial = Trial { line: "why P-3", words, json: true, damage: Some(damage), demand: Demand::Ended };
        let long = "x".repeat(SHOWN_BYTES);
        let expected =
            format!(r#"lockgate "-o" "json" "why" "\xff\n\"" "{long}" and 3 more bytes, where `trust.json` is empty"#);
        assert_eq!(trial.to_string(), expected);
        assert!(trial.has(&["drift", "why"]) && !trial.has(&["wh"]));
        assert!(trial.mentions(&["drift", "wh"]) && !trial.mentions(&["drift"]));
    }
}
