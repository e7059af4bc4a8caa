//! Outcomes: what a reader made of an input, so that two readings can be compared and rare ones are kept.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use lockgate_model::Digest;

/// How many characters of a message tell one refusal from another.
const SHAPE_CHARS: usize = 60;
/// How many characters a code has at most.
const CODE_CHARS: usize = 48;
/// The code of what was accepted.
const ACCEPTED: &str = "ACCEPTED";

/// What a reader made of an input; code and shape tell its class, and an input whose class is new is worth keeping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The reason code, or `ACCEPTED`.
    pub code: String,
    /// What else tells it from others: the message without what it quotes, or how much was accepted.
    pub shape: String,
    /// The digest of everything that was read, or of the whole error.
    meaning: Digest,
    /// Which property the reader breaks.
    pub broken: Option<String>,
}

impl Outcome {
    /// What came of reading.
    pub fn of<T: Debug, E: Debug + Display>(result: &Result<T, E>) -> Self {
        match result {
            Ok(value) => Self::accepted(value),
            Err(error) => Self::refused(error),
        }
    }

    /// Something was read.
    pub fn accepted<T: Debug>(value: &T) -> Self {
        let text = format!("{value:?}");
        let shape = format!("about 2^{}", text.len().checked_ilog2().unwrap_or_default());
        Self { code: ACCEPTED.to_owned(), shape, meaning: Digest::of(text.as_bytes()), broken: None }
    }

    /// Nothing was read.
    pub fn refused<E: Debug + Display>(error: &E) -> Self {
        let text = format!("{error:?}");
        let shape = skeleton(&error.to_string());
        Self { code: code(&text), shape, meaning: Digest::of(text.as_bytes()), broken: None }
    }

    /// Something was read of which there is one spelling alone: what it writes has to be what was read.
    pub fn spelled<T, E, W>(input: &[u8], result: &Result<T, E>, write: impl FnOnce(&T) -> Result<Vec<u8>, W>) -> Self
    where
        T: Debug,
        E: Debug + Display,
        W: Display,
    {
        let mut outcome = Self::of(result);
        if let Ok(value) = result {
            outcome.broken = match write(value) {
                Ok(again) if again == input => None,
                Ok(_) => Some("an accepted document is written in another spelling".to_owned()),
                Err(error) => Some(format!("an accepted document cannot be written: {error}")),
            };
        }
        outcome
    }

    /// Something was read that has to be read as the same again after it was written, in whatever spelling.
    pub fn again<T, E>(input: &[u8], read: impl Fn(&[u8]) -> Result<T, E>, write: impl Fn(&T) -> Vec<u8>) -> Self
    where
        T: Debug,
        E: Debug + Display,
    {
        let result = read(input);
        let mut outcome = Self::of(&result);
        if let Ok(value) = &result {
            outcome.broken = match read(&write(value)) {
                Ok(again) if meaning(&again) == outcome.meaning => None,
                Ok(_) => Some("what was read and written is read as something else".to_owned()),
                Err(error) => Some(format!("what was read and written is refused: {error}")),
            };
        }
        outcome
    }

    /// A text was read whose display has to be read as the same.
    pub fn text<T>(input: &[u8]) -> Self
    where
        T: FromStr + Debug + Display,
        T::Err: Debug + Display,
    {
        let Ok(text) = std::str::from_utf8(input) else { return Self::no_text() };
        let result: Result<T, T::Err> = text.parse();
        let mut outcome = Self::of(&result);
        if let Ok(value) = &result {
            let shown = value.to_string();
            outcome.broken = match shown.parse::<T>() {
                Ok(again) if meaning(&again) == outcome.meaning => None,
                Ok(_) => Some(format!("`{}` is shown, and read as something else", shown.escape_debug())),
                Err(error) => Some(format!("`{}` is shown, and refused: {error}", shown.escape_debug())),
            };
        }
        outcome
    }

    /// The input is no text, and the reader takes texts alone.
    pub fn no_text() -> Self {
        let text = "the input is not UTF-8";
        Self { code: "NO_TEXT".to_owned(), shape: String::new(), meaning: Digest::of(text.as_bytes()), broken: None }
    }

    #[cfg(test)]
    /// Whether something was read.
    pub fn is_accepted(&self) -> bool {
        self.code == ACCEPTED
    }
}

/// Why a text was not read, or that it is none.
#[derive(Debug)]
pub struct NotRead(pub String);

impl Display for NotRead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a reader of texts makes of bytes.
///
/// # Errors
/// The reader's own, in words, or that the bytes are no text.
pub fn of_text<T, E: Display>(bytes: &[u8], read: impl Fn(&str) -> Result<T, E>) -> Result<T, NotRead> {
    let text = std::str::from_utf8(bytes).map_err(|error| NotRead(error.to_string()))?;
    read(text).map_err(|error| NotRead(error.to_string()))
}

/// The digest of everything that a value holds.
fn meaning<T: Debug>(value: &T) -> Digest {
    Digest::of(format!("{value:?}").as_bytes())
}

/// The reason code in an error's debug form: its field `code` or `reason`, or the name of its variant.
fn code(debug: &str) -> String {
    let field = |name: &str| debug.split_once(name).map(|(_, rest)| rest);
    let text = match (field("code: \""), field("reason: ")) {
        (Some(rest), _) => rest.split('"').next().unwrap_or_default(),
        (None, Some(rest)) => rest,
        (None, None) => debug,
    };
    let ends = |c: char| !(c.is_ascii_alphabetic() || c == '_' || c == '(');
    let name = text.split(ends).next().unwrap_or_default();
    name.trim_end_matches('(').chars().take(CODE_CHARS).collect()
}

/// A message without what it quotes and counts.
fn skeleton(message: &str) -> String {
    let unquoted: String = message.split('`').step_by(2).collect();
    unquoted.chars().filter(|c| !c.is_ascii_digit()).take(SHAPE_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_found_in_every_kind_of_error() {
        let check = |debug: &str, expected: &str| assert_eq!(code(debug), expected);
        check("EvidenceError { code: \"EVIDENCE_MALFORMED\", message: \"code: x\" }", "EVIDENCE_MALFORMED");
        check("Refusal { reason: Malformed, detail: \"x\" }", "Malformed");
        check("Json(JsonError { code: \"JSON_SYNTAX\", message: \"x\" })", "JSON_SYNTAX");
        check("TooLarge(17, 16)", "TooLarge");
        check("Note(Malformed(\"x\"))", "Note(Malformed");
        check("NotArmored", "NotArmored");
        assert_eq!(skeleton("line 17: `x 3` is no `y`, of 9"), "line :  is no , of ");
    }

    #[test]
    fn broken_properties_are_told() {
        let number = |input: &[u8]| Outcome::text::<u64>(input);
        assert_eq!(number(b"7").broken, None);
        assert_eq!((number(b"x").code.as_str(), number(b"\xff").code.as_str()), ("ParseIntError", "NO_TEXT"));
        let read: Result<u64, std::num::ParseIntError> = Ok(7);
        let spelled = |input: &[u8]| Outcome::spelled(input, &read, |n| Ok::<_, String>(n.to_string().into_bytes()));
        assert_eq!(spelled(b"7").broken, None);
        assert!(spelled(b"07").broken.is_some());
        assert!(Outcome::spelled(b"7", &read, |_| Err("no")).broken.is_some());
    }
}
