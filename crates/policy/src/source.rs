//! Source files: TOML text with the lines that mistakes and rules are on.

use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use crate::error::PolicyError;
use crate::mistakes::{self, Mistake, missing_field};
use crate::plain;
use crate::suggestion::did_you_mean;

/// How many characters of a TOML reader's message are kept.
const MESSAGE_CHARS: usize = 400;

/// One file of a policy set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SourceFile<'a> {
    /// Relative to the policy set's directory, joined by `/`.
    pub(crate) path: &'a str,
    /// The whole text.
    pub(crate) text: &'a str,
}

/// One `[[name]]` table of a file.
pub(crate) struct TableEntry<'a> {
    /// The line of its header, from 1.
    pub(crate) line: usize,
    /// The bytes of its header.
    pub(crate) span: Range<usize>,
    /// Its fields.
    pub(crate) table: DeTable<'a>,
}

impl<'a> SourceFile<'a> {
    /// The line, from 1, on which a range of bytes starts.
    pub(crate) fn line(&self, span: &Range<usize>) -> usize {
        1 + self.text.bytes().take(span.start).filter(|byte| *byte == b'\n').count()
    }

    /// The line, from 1, that gives a top-level key its value.
    pub(crate) fn line_of(&self, key: &str) -> Option<usize> {
        let gives =
            |line: &str| line.trim_start().strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='));
        self.text.lines().position(gives).map(|position| position + 1)
    }

    /// A mistake in this file.
    pub(crate) fn error(&self, line: Option<usize>, message: String, hint: Option<String>) -> PolicyError {
        PolicyError { file: self.path.to_owned(), line, message, hint }
    }

    /// The whole file, in TOML that versions 1.0 and 1.1 read alike.
    fn root(&self) -> Result<Spanned<DeTable<'a>>, Vec<PolicyError>> {
        let root = DeTable::parse(self.text).map_err(|error| vec![self.toml_error(&error, &[])])?;
        match plain::objection(self.text) {
            None => Ok(root),
            Some((at, message)) => Err(vec![self.error(Some(self.line(&(at..at))), message.to_owned(), None)]),
        }
    }

    /// Reads the whole file into a type that refuses unknown fields.
    pub(crate) fn read<T: Deserialize<'a>>(&self) -> Result<T, Vec<PolicyError>> {
        let root = self.root()?;
        self.read_value(Spanned::new(root.span(), DeValue::Table(root.into_inner())), &[])
    }

    /// Reads one value, or says everything that is wrong with it, what the reader meets first before the rest; `more`
    /// are names that may stand for an unknown field besides the type's own.
    pub(crate) fn read_value<T: Deserialize<'a>>(
        &self,
        value: Spanned<DeValue<'a>>,
        more: &[&str],
    ) -> Result<T, Vec<PolicyError>> {
        T::deserialize(ValueDeserializer::from(value.clone()))
            .map_err(|first| self.told(mistakes::all::<T>(value, first), more))
    }

    /// The mistakes of a value, without those that follow from others: a field that was written wrongly, or under
    /// another name, is missing only because of that.
    fn told(&self, mistakes: Vec<Mistake>, more: &[&str]) -> Vec<PolicyError> {
        let mut written: Vec<(Range<usize>, String)> = Vec::new();
        let mut errors = Vec::new();
        for Mistake { error, place, is_missing } in mistakes {
            if is_missing && place.as_ref().is_some_and(|place| written.contains(place)) {
                continue;
            }
            let error = self.toml_error(&error, more);
            if let Some((table, field)) = place {
                written.extend(suggested(&error).map(|meant| (table.clone(), meant.to_owned())));
                written.push((table, field));
            }
            errors.push(error);
        }
        errors
    }

    /// Splits a file that may hold nothing but `[[key]]` tables, in the order in which they are written.
    pub(crate) fn tables(&self, key: &str) -> Result<Vec<TableEntry<'a>>, Vec<PolicyError>> {
        let root = self.root()?;
        let mut entries = Vec::new();
        let mut errors = Vec::new();
        for (name, value) in root.into_inner() {
            let line = Some(self.line(&name.span()));
            let word: &str = name.get_ref();
            if word != key {
                let message = format!("unknown key `{word}`: this file holds `[[{key}]]` tables and nothing else");
                errors.push(self.error(line, message, did_you_mean(word, [key])));
                continue;
            }
            let DeValue::Array(items) = value.into_inner() else {
                errors.push(self.error(line, format!("`{key}` is a list of tables: write `[[{key}]]`"), None));
                continue;
            };
            for item in items {
                let span = item.span();
                match item.into_inner() {
                    DeValue::Table(table) => entries.push(TableEntry { line: self.line(&span), span, table }),
                    _ => errors.push(self.error(line, format!("`{key}` is a list of tables: write `[[{key}]]`"), None)),
                }
            }
        }
        if errors.is_empty() { Ok(entries) } else { Err(errors) }
    }

    fn toml_error(&self, error: &toml::de::Error, more: &[&str]) -> PolicyError {
        let message: String = error.message().replace('\n', " ").chars().take(MESSAGE_CHARS).collect();
        let hint = unknown_word_hint(&message, more);
        self.error(error.span().map(|span| self.line(&span)), message, hint)
    }
}

/// The name that a mistake suggests.
fn suggested(error: &PolicyError) -> Option<&str> {
    error.hint.as_deref()?.strip_prefix("did you mean `")?.strip_suffix("`?")
}

/// The mistakes of two readings of parts of one table, without what is missing in the second only because it is
/// written under another name in the first.
pub(crate) fn together(first: Vec<PolicyError>, second: Vec<PolicyError>) -> Vec<PolicyError> {
    let follows = |error: &PolicyError| {
        missing_field(&error.message).is_some_and(|field| first.iter().any(|other| suggested(other) == Some(field)))
    };
    let second: Vec<PolicyError> = second.into_iter().filter(|error| !follows(error)).collect();
    first.into_iter().chain(second).collect()
}

/// Suggests a known name when the message is about an unknown one; both stand in backticks, the unknown one first.
fn unknown_word_hint(message: &str, more: &[&str]) -> Option<String> {
    if !message.starts_with("unknown field") && !message.starts_with("unknown variant") {
        return None;
    }
    let mut quoted = message.split('`').skip(1).step_by(2);
    let word = quoted.next()?;
    did_you_mean(word, quoted.chain(more.iter().copied()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Pair {
        #[serde(rename = "max_failed")]
        _max_failed: u64,
        #[serde(default, rename = "signed_by")]
        _signed_by: Vec<String>,
    }

    #[test]
    fn mistakes_name_their_line_and_a_suggestion() {
        let check = |text: &str, line: Option<usize>, hint: Option<&str>| {
            let source = SourceFile { path: "x.toml", text };
            let errors = source.read::<Pair>().unwrap_err();
            assert_eq!(errors.len(), 1);
            assert_eq!(errors[0].line, line, "{errors:?}");
            assert_eq!(errors[0].hint.as_deref(), hint, "{errors:?}");
        };
        check("\nmax_faild = 1\n", Some(2), Some("did you mean `max_failed`?"));
        check("max_failed = 1\n\nsubject_regexp = 1\n", Some(3), None);
        check("max_failed = \"1\"\n", Some(1), None);
        check("max_failed = 1\nmax_failed = 2\n", Some(2), None);
        // Read by TOML 1.1 alone.
        check("max_failed = 1\nsigned_by = [\"\\x63i\"]\n", Some(2), None);
    }

    #[test]
    fn every_mistake_of_a_value_is_told_once() {
        let source = SourceFile { path: "x.toml", text: "max_faild = 1\nnobody = 2\nsigned_by = 3\n" };
        let errors = source.read::<Pair>().unwrap_err();
        let lines: Vec<Option<usize>> = errors.iter().map(|error| error.line).collect();
        assert_eq!(lines, [Some(1), Some(2), Some(3)], "{errors:?}");
        // That `max_failed` is missing follows from its spelling; that it is missing here does not.
        let source = SourceFile { path: "x.toml", text: "nobody = 2\n" };
        let errors = source.read::<Pair>().unwrap_err();
        assert_eq!(errors.len(), 2, "{errors:?}");
        assert!(errors[1].message.starts_with("missing field `max_failed`"), "{errors:?}");
    }

    #[test]
    fn splits_tables_and_refuses_the_rest() {
        let read = |text| SourceFile { path: "x.toml", text }.tables("gate");
        let entries = read("# one\n[[gate]]\nname = 1\n\n[[gate]]\n").unwrap();
        assert_eq!(entries.iter().map(|entry| entry.line).collect::<Vec<_>>(), [2, 5]);
        assert!(read("").unwrap().is_empty());
        for bad in ["[gate]\n", "gate = 1\n", "gate = [1]\n", "[[gates]]\n", "x = 1\n", "[[gate]]\na = 1\na = 2\n"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
