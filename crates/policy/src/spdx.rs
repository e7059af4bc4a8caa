//! SPDX licence expressions (SPDX 2.3, annex D): read with a parser of our own, and judged against lists of a policy.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

use crate::wording::shown;

/// The longest expression in bytes.
const EXPRESSION_MAX_BYTES: usize = 8192;
/// How deep parentheses may stand in each other.
const DEPTH_MAX: usize = 32;

/// A licence expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expression {
    /// One licence.
    Licence(Licence),
    /// All of them hold at once.
    And(Vec<Expression>),
    /// Whoever uses it may choose one.
    Or(Vec<Expression>),
}

/// One licence, with an exception to it where there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Licence {
    /// The id, without `+`, `-only` and `-or-later`.
    id: String,
    /// Whether any later version may be chosen too.
    or_later: bool,
    /// What stands after `WITH`.
    exception: Option<String>,
    text: String,
}

/// Why a text is no licence expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an SPDX licence expression: {why}")]
pub struct ExpressionError {
    text: String,
    why: &'static str,
}

impl Expression {
    /// Whether somebody can use it under licences that all are acceptable: one side of every `OR`, both of every `AND`.
    pub fn is_satisfied_by(&self, acceptable: &dyn Fn(&Licence) -> bool) -> bool {
        match self {
            Self::Licence(licence) => acceptable(licence),
            Self::And(parts) => parts.iter().all(|part| part.is_satisfied_by(acceptable)),
            Self::Or(parts) => parts.iter().any(|part| part.is_satisfied_by(acceptable)),
        }
    }

    /// Every licence in it, as written.
    pub fn licences(&self) -> Vec<&Licence> {
        match self {
            Self::Licence(licence) => vec![licence],
            Self::And(parts) | Self::Or(parts) => parts.iter().flat_map(Self::licences).collect(),
        }
    }
}

impl Licence {
    /// Whether this entry of a list stands for `other`.
    ///
    /// An exception only adds permissions, so that an entry without one stands for the licence with any. Where `other`
    /// may be used under later versions, it is enough that the entry stands for one of them.
    pub fn stands_for(&self, other: &Self) -> bool {
        (self.exception.is_none() || same(&self.exception, &other.exception)) && self.covers(other)
    }

    /// Whether it names the licence with the very exception.
    pub fn names(&self, other: &Self) -> bool {
        same(&self.exception, &other.exception) && self.covers(other)
    }

    /// Whether there is a version that both stand for.
    fn covers(&self, other: &Self) -> bool {
        if self.id.eq_ignore_ascii_case(&other.id) {
            return true;
        }
        let ((family, version), (other_family, other_version)) = (split(&self.id), split(&other.id));
        let (Some(version), Some(other_version)) = (version, other_version) else { return false };
        family.eq_ignore_ascii_case(other_family)
            && (version == other_version
                || (self.or_later && other_version >= version)
                || (other.or_later && version >= other_version))
    }

    /// The exception after `WITH`.
    pub fn exception(&self) -> Option<&str> {
        self.exception.as_deref()
    }
}

fn same(a: &Option<String>, b: &Option<String>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.eq_ignore_ascii_case(b),
        (None, None) => true,
        _ => false,
    }
}

/// The name before a licence's version, and the version as numbers: `GPL-2.0` is `GPL` and 2, 0.
fn split(id: &str) -> (&str, Option<Vec<u32>>) {
    let Some((family, version)) = id.rsplit_once('-') else { return (id, None) };
    match version.split('.').map(|part| part.parse().ok()).collect::<Option<Vec<u32>>>() {
        Some(mut numbers) => {
            // `EUPL-1` and `EUPL-1.0` are one version.
            while numbers.len() > 1 && numbers.last() == Some(&0) {
                numbers.pop();
            }
            (family, Some(numbers))
        }
        None => (id, None),
    }
}

impl fmt::Display for Licence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        match &self.exception {
            Some(exception) => write!(f, " WITH {exception}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Expression {
    type Err = ExpressionError;
    fn from_str(text: &str) -> Result<Self, ExpressionError> {
        let error = |why| ExpressionError { text: shown(text), why };
        if text.len() > EXPRESSION_MAX_BYTES {
            return Err(error("it is longer than 8192 bytes"));
        }
        let tokens = tokens(text).map_err(error)?;
        let mut parser = Parser { tokens: tokens.into_iter().peekable() };
        let expression = parser.either(0).map_err(error)?;
        match parser.tokens.next() {
            None => Ok(expression),
            Some(_) => Err(error("something stands after its end: join licences by AND or OR")),
        }
    }
}

impl FromStr for Licence {
    type Err = ExpressionError;
    fn from_str(text: &str) -> Result<Self, ExpressionError> {
        match text.parse::<Expression>()? {
            Expression::Licence(licence) => Ok(licence),
            Expression::And(_) | Expression::Or(_) => {
                Err(ExpressionError { text: shown(text), why: "lists hold one licence an entry, without AND and OR" })
            }
        }
    }
}

impl<'de> Deserialize<'de> for Licence {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token<'a> {
    Open,
    Close,
    And,
    Or,
    With,
    Word(&'a str),
}

fn tokens(text: &str) -> Result<Vec<Token<'_>>, &'static str> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '(' | ')' => 1,
            _ => rest.find(|c: char| matches!(c, '(' | ')') || c.is_whitespace()).unwrap_or(rest.len()),
        };
        let Some((word, after)) = rest.split_at_checked(length) else { return Err("it cannot be read") };
        tokens.push(match word {
            "(" => Token::Open,
            ")" => Token::Close,
            "AND" | "and" => Token::And,
            "OR" | "or" => Token::Or,
            "WITH" | "with" => Token::With,
            word if is_id(word) => Token::Word(word),
            _ => return Err("ids are made of letters, digits, `.`, `-` and `:`, with `+` at their end"),
        });
        rest = after.trim_start();
    }
    Ok(tokens)
}

fn is_id(word: &str) -> bool {
    let bare = word.strip_suffix('+').unwrap_or(word);
    !bare.is_empty() && bare.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':'))
}

struct Parser<'a> {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token<'a>>>,
}

impl<'a> Parser<'a> {
    fn either(&mut self, depth: usize) -> Result<Expression, &'static str> {
        let mut parts = vec![self.all(depth)?];
        while self.tokens.next_if_eq(&Token::Or).is_some() {
            parts.push(self.all(depth)?);
        }
        Ok(joined(parts, Expression::Or))
    }

    fn all(&mut self, depth: usize) -> Result<Expression, &'static str> {
        let mut parts = vec![self.one(depth)?];
        while self.tokens.next_if_eq(&Token::And).is_some() {
            parts.push(self.one(depth)?);
        }
        Ok(joined(parts, Expression::And))
    }

    fn one(&mut self, depth: usize) -> Result<Expression, &'static str> {
        match self.tokens.next() {
            Some(Token::Open) if depth >= DEPTH_MAX => Err("its parentheses stand more than 32 deep"),
            Some(Token::Open) => {
                let inner = self.either(depth + 1)?;
                match self.tokens.next() {
                    Some(Token::Close) => Ok(inner),
                    _ => Err("a parenthesis is not closed"),
                }
            }
            Some(Token::Word(word)) => self.licence(word),
            Some(Token::Close) => Err("a parenthesis closes nothing"),
            Some(Token::And | Token::Or | Token::With) => Err("AND, OR and WITH stand between two names"),
            None => Err("a licence is missing"),
        }
    }

    fn licence(&mut self, word: &'a str) -> Result<Expression, &'static str> {
        let exception = match self.tokens.next_if_eq(&Token::With) {
            None => None,
            Some(_) => match self.tokens.next() {
                Some(Token::Word(exception)) if !exception.ends_with('+') => Some(exception.to_owned()),
                _ => return Err("an exception is missing after WITH"),
            },
        };
        let lower = word.to_ascii_lowercase();
        let ends = ["+", "-or-later", "-only"];
        let end = ends.into_iter().find(|end| lower.ends_with(end) && lower.len() > end.len()).unwrap_or("");
        let id = word.get(..word.len().saturating_sub(end.len())).unwrap_or(word).to_owned();
        let or_later = matches!(end, "+" | "-or-later");
        Ok(Expression::Licence(Licence { id, or_later, exception, text: word.to_owned() }))
    }
}

fn joined(mut parts: Vec<Expression>, join: fn(Vec<Expression>) -> Expression) -> Expression {
    match parts.len() {
        1 => parts.pop().unwrap_or_else(|| join(Vec::new())),
        _ => join(parts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(list: &[&str], expression: &str) -> bool {
        let list: Vec<Licence> = list.iter().map(|entry| entry.parse().unwrap()).collect();
        let expression: Expression = expression.parse().unwrap();
        expression.is_satisfied_by(&|licence| list.iter().any(|entry| entry.stands_for(licence)))
    }

    #[test]
    fn binds_as_the_specification_says() {
        let check = |list: &[&str], expression: &str, expected: bool| {
            assert_eq!(allowed(list, expression), expected, "{list:?} {expression}");
        };
        check(&["MIT"], "MIT", true);
        check(&["mit"], "MIT", true);
        check(&["MIT"], "Apache-2.0", false);
        check(&["MIT"], "MIT OR GPL-3.0-only", true);
        check(&["MIT"], "MIT AND GPL-3.0-only", false);
        // AND binds tighter than OR.
        check(&["MIT"], "MIT OR Apache-2.0 AND GPL-3.0-only", true);
        check(&["Apache-2.0"], "MIT OR Apache-2.0 AND GPL-3.0-only", false);
        check(&["Apache-2.0", "GPL-3.0-only"], "MIT OR Apache-2.0 AND GPL-3.0-only", true);
        check(&["MIT", "GPL-3.0-only"], "(MIT OR Apache-2.0) AND GPL-3.0-only", true);
        check(&["MIT"], "((MIT))", true);
        check(&["MIT"], "(mit or Apache-2.0)", true);
        check(&["LicenseRef-ours"], "LicenseRef-ours AND DocumentRef-x:LicenseRef-theirs", false);
    }

    #[test]
    fn later_versions_and_exceptions() {
        let check = |list: &[&str], expression: &str, expected: bool| {
            assert_eq!(allowed(list, expression), expected, "{list:?} {expression}");
        };
        check(&["GPL-3.0-only"], "GPL-2.0-or-later", true);
        check(&["GPL-3.0-only"], "GPL-2.0+", true);
        check(&["GPL-2.0-only"], "GPL-3.0-or-later", false);
        check(&["GPL-2.0-or-later"], "GPL-3.0-only", true);
        check(&["GPL-2.0-only"], "GPL-2.0", true);
        check(&["LGPL-3.0-only"], "GPL-2.0+", false);
        check(&["Apache-2.0"], "Apache-2.0+", true);
        check(&["EUPL-1.0"], "EUPL-1", true);
        check(&["GPL-2.0-only"], "GPL-2.0-only WITH Classpath-exception-2.0", true);
        check(&["GPL-2.0-only WITH Classpath-exception-2.0"], "GPL-2.0-only", false);
        check(&["GPL-2.0-only WITH Classpath-exception-2.0"], "GPL-2.0 WITH classpath-exception-2.0", true);
        check(&["GPL-2.0-only WITH Classpath-exception-2.0"], "GPL-2.0-only WITH LLVM-exception", false);
    }

    #[test]
    fn refuses_what_it_cannot_read() {
        let check = |text: &str, part: &str| {
            let error = text.parse::<Expression>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        };
        check("", "is missing");
        check("MIT Apache-2.0", "after its end");
        check("MIT AND", "is missing");
        check("AND MIT", "between two names");
        check("(MIT", "not closed");
        check("MIT)", "after its end");
        check(")", "closes nothing");
        check("MIT WITH", "exception is missing");
        check("MIT WITH Foo+", "exception is missing");
        check("MIT/Apache-2.0", "ids are made of");
        check("+", "ids are made of");
        check("MIT; rm", "ids are made of");
        check(&format!("{}MIT{}", "(".repeat(40), ")".repeat(40)), "32 deep");
        check(&"(".repeat(9000), "8192");
        assert!("MIT OR Apache-2.0".parse::<Licence>().is_err());
        let licence: Licence = "GPL-2.0+ WITH Classpath-exception-2.0".parse().unwrap();
        assert_eq!(licence.to_string(), "GPL-2.0+ WITH Classpath-exception-2.0");
    }
}
