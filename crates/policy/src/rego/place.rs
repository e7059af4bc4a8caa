//! Places: the file, line and column that a mistake in a module is told with.

use std::fmt;

use super::FOLDER;

/// Where something stands in a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The module's path in the policy set.
    pub(crate) file: String,
    /// From 1.
    pub(crate) line: usize,
    /// From 1, in characters.
    pub(crate) column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// Splits a message of the interpreter into the place that it names first, if that is in a module, and its one line of
/// text.
///
/// The interpreter writes `--> file:line:column`, some lines of source, and `error: text`; what a built-in function says
/// stands nested in that.
pub(super) fn split(message: &str) -> (Option<Place>, String) {
    let place = message.lines().find_map(|line| line.trim_start().strip_prefix("--> ")).and_then(read);
    let text = message
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("error: "))
        .or_else(|| message.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with("-->")))
        .unwrap_or("no reason given");
    (place.filter(|place| place.file.starts_with(FOLDER)), text.trim().trim_end_matches('.').to_owned())
}

fn read(text: &str) -> Option<Place> {
    let (rest, column) = text.trim_end().rsplit_once(':')?;
    let (file, line) = rest.rsplit_once(':')?;
    Some(Place { file: file.to_owned(), line: line.parse().ok()?, column: column.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_place_and_the_last_reason() {
        let check = |message: &str, place: Option<&str>, text: &str| {
            let (found, words) = split(message);
            assert_eq!((found.map(|place| place.to_string()).as_deref(), words.as_str()), (place, text), "{message}");
        };
        check(
            "\n--> rego/a.rego:3:7\n  |\n3 | x\n  |   ^\nerror: no such thing.",
            Some("rego/a.rego:3:7"),
            "no such thing",
        );
        let nested =
            "\n--> rego/a.rego:3:7\n  |\n3 | x\n  | ^\nerror: \n--> builtin:1:1\n  |\n1 | \n  | ^\nerror: inner";
        check(nested, Some("rego/a.rego:3:7"), "inner");
        check("\n--> builtin:1:1\nerror: x", None, "x");
        check("not a valid rule path", None, "not a valid rule path");
        check("", None, "no reason given");
    }
}
