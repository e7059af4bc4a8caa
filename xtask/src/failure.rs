//! Failures: why a task stopped, as one text for the console.

use std::error::Error;
use std::fmt;

/// The result of a step of a task.
pub type Result<T> = std::result::Result<T, Failure>;

/// Why a task stopped, in words for whoever started it.
///
/// It is not an [`Error`] itself, so that every error turns into it with `?`.
#[derive(Debug)]
pub struct Failure(String);

impl Failure {
    /// A failure with this text.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// Adds to an error what was being done.
pub trait During<T> {
    /// Puts `what` before the error's own text.
    ///
    /// # Errors
    /// The error that was there, with `what` before it.
    fn during(self, what: impl fmt::Display) -> Result<T>;
}

impl<T, E: fmt::Display> During<T> for std::result::Result<T, E> {
    fn during(self, what: impl fmt::Display) -> Result<T> {
        self.map_err(|error| Failure(format!("{what}: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_was_being_done() {
        let error = "x".parse::<u64>().during("read `x`").unwrap_err();
        assert_eq!(error.to_string(), "read `x`: invalid digit found in string");
        let nested: Result<()> = Err(Failure::new("inner"));
        assert_eq!(nested.during("outer").unwrap_err().to_string(), "outer: inner");
    }
}
