//! Patterns: anchored globs over names that are joined by `/`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

/// The longest pattern, and the longest text that one is matched with, in bytes.
const PATTERN_MAX_BYTES: usize = 256;

/// An anchored glob: `*` stands for any run of characters within one part, a last part `**` for one or more parts,
/// and `*` alone for everything. Nothing else is special, and the whole text has to match, case and all.
///
/// A text that could be read in two ways (`//`, `.` or `..` as a part, `%`, `\`, anything that is not printable
/// ASCII) matches no pattern at all (attack A-88 of `tests/attacks`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
}

/// Why a text is not a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a pattern: {why}")]
pub struct PatternError {
    text: String,
    why: &'static str,
}

impl Pattern {
    /// Whether the whole of `text` matches.
    pub fn matches(&self, text: &str) -> bool {
        if !is_plain(text) {
            return false;
        }
        if self.is_everything() {
            return true;
        }
        let mut wanted = self.text.split('/');
        let mut given = text.split('/');
        loop {
            match (wanted.next(), given.next()) {
                (None, None) | (Some("**"), Some(_)) => return true,
                (Some(pattern), Some(part)) if part_matches(pattern, part) => {}
                _ => return false,
            }
        }
    }

    /// Whether it matches every text, and so says nothing.
    pub fn is_everything(&self) -> bool {
        self.text == "*" || self.text == "**"
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Whether a text has only one reading; any other matches no pattern.
pub(crate) fn is_plain(text: &str) -> bool {
    text.len() <= PATTERN_MAX_BYTES
        && text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'%' | b'\\'))
        && text.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

fn part_matches(pattern: &str, part: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(mut rest) = pieces.next().and_then(|first| part.strip_prefix(first)) else { return false };
    let mut pieces: Vec<&str> = pieces.collect();
    let Some(last) = pieces.pop() else { return rest.is_empty() };
    for piece in pieces {
        match rest.split_once(piece) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Pattern {
    type Err = PatternError;
    fn from_str(text: &str) -> Result<Self, PatternError> {
        let error = |why| Err(PatternError { text: text.chars().take(160).collect(), why });
        if text.bytes().any(|b| matches!(b, b'?' | b'[' | b']' | b'{' | b'}' | b'(' | b')' | b'|' | b'^' | b'$')) {
            return error("only `*` is special, so that `?`, brackets, `|`, `^` and `$` cannot be meant");
        }
        if !is_plain(text) {
            return error(
                "write 1 to 256 printable ASCII characters in parts joined by `/`, without `.` or `..` as a part",
            );
        }
        let mut parts = text.split('/').peekable();
        while let Some(part) = parts.next() {
            if part == ".*" {
                return error("`.*` is a regular expression; write `*`");
            }
            if part.contains("**") && (part != "**" || parts.peek().is_some()) {
                return error("`**` has to be the whole last part");
            }
        }
        Ok(Self { text: text.to_owned() })
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_whole_texts_only() {
        let check = |pattern: &str, text: &str, expected: bool| {
            assert_eq!(pattern.parse::<Pattern>().unwrap().matches(text), expected, "{pattern} on {text}");
        };
        check("*", "shop/web", true);
        check("shop/*", "shop/web", true);
        check("shop/*", "shop/web/eu", false);
        check("shop/*", "shop", false);
        check("shop/*", "workshop/web", false);
        check("shop/**", "shop/web/eu", true);
        check("shop/**", "shop", false);
        check("shop/web", "shop/web-evil", false);
        check("refs/heads/release-*", "refs/heads/release-1.4", true);
        check("refs/heads/main", "refs/heads/main/x", false);
        check("refs/heads/main", "refs/heads/Main", false);
        check("refs/tags/v*.*", "refs/tags/v1.4", true);
        check("refs/tags/v*.*", "refs/tags/v1", false);
        check("a*b*c", "axxbyyc", true);
        check("a*b*c", "axxcyyb", false);
        check("ab*ba", "aba", false);
        check("a.b", "axb", false);
    }

    #[test]
    fn ambiguous_texts_match_nothing() {
        let everything: Pattern = "*".parse().unwrap();
        for text in
            ["shop//web", "shop/../web", "shop/./web", "/shop", "shop/", "shop%2fweb", "shop\\web", "sh\u{43e}p", ""]
        {
            assert!(!everything.matches(text), "{text:?}");
        }
    }

    #[test]
    fn refuses_what_is_no_pattern() {
        for bad in
            ["", "a//b", "../a", "a/", "a/**/b", "a**", ".*", "refs/.*", "a?", "[ab]", "(a|b)", "^a$", "a b", "é"]
        {
            assert!(bad.parse::<Pattern>().is_err(), "{bad:?}");
        }
    }
}
