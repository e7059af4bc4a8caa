//! SPDX licence expressions (SPDX 2.3, annex D): read with a parser of our own, and judged against lists of a policy.
//!
//! Ids are compared without regard to case (annex D.2). Which ids there are is said by the lists of SPDX that are built
//! in, and never by what an expression looks like.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use ::spdx::identifiers;
use serde::{Deserialize, Deserializer};

use crate::wording::shown;

/// The longest expression in bytes.
const EXPRESSION_MAX_BYTES: usize = 8192;
/// How deep parentheses may stand in each other.
const DEPTH_MAX: usize = 32;
/// Deprecated ids and what SPDX says that they stand for, where that is more than an end such as `+` (`obsoletedBy` and
/// notes of the SPDX licence list).
const OBSOLETE: &[(&str, &str)] = &[
    ("BSD-2-Clause-NetBSD", "BSD-2-Clause"),
    ("GPL-2.0-with-GCC-exception", "GPL-2.0-only WITH GCC-exception-2.0"),
    ("GPL-2.0-with-autoconf-exception", "GPL-2.0-only WITH Autoconf-exception-2.0"),
    ("GPL-2.0-with-bison-exception", "GPL-2.0-only WITH Bison-exception-2.2"),
    ("GPL-2.0-with-classpath-exception", "GPL-2.0-only WITH Classpath-exception-2.0"),
    ("GPL-2.0-with-font-exception", "GPL-2.0-only WITH Font-exception-2.0"),
    ("GPL-3.0-with-GCC-exception", "GPL-3.0-only WITH GCC-exception-3.1"),
    ("GPL-3.0-with-autoconf-exception", "GPL-3.0-only WITH Autoconf-exception-3.0"),
    ("Nunit", "zlib-acknowledgement"),
    ("StandardML-NJ", "SMLNJ"),
    ("bzip2-1.0.5", "bzip2-1.0.6"),
    ("eCos-2.0", "GPL-2.0-or-later WITH eCos-exception-2.0"),
    ("wxWindows", "GPL-2.0-or-later WITH WxWindows-exception-3.1"),
];

static LICENCES: LazyLock<List> = LazyLock::new(|| {
    let ids = identifiers::LICENSES.iter().map(|licence| licence.name);
    // There for parsers, and no licence: it says that nobody says.
    List::new("licence", ids.filter(|id| *id != "NOASSERTION"))
});
static EXCEPTIONS: LazyLock<List> =
    LazyLock::new(|| List::new("exception", identifiers::EXCEPTIONS.iter().map(|exception| exception.name)));

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

/// One licence, with an exception to it where there is one. A deprecated id is the licence that it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Licence {
    /// The id in lower case, without `+`, `-only` and `-or-later`.
    id: String,
    /// Whether any later version may be chosen too.
    or_later: bool,
    /// What stands after `WITH`, in lower case.
    exception: Option<String>,
    /// All of it, as written.
    text: String,
}

/// A list of ids that SPDX keeps, in the version that is built in.
pub(crate) struct List {
    /// What one of its ids is called in a sentence.
    pub(crate) noun: &'static str,
    /// The ids by their lower case.
    ids: BTreeMap<String, &'static str>,
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
    fn new(word: &str, exception: Option<&str>) -> Self {
        let text = exception.map_or_else(|| word.to_owned(), |exception| format!("{word} WITH {exception}"));
        let exception = exception.map(str::to_ascii_lowercase);
        let lower = word.to_ascii_lowercase();
        let bare = lower.strip_suffix('+').unwrap_or(&lower);
        let has_plus = bare.len() < lower.len();
        let obsolete = OBSOLETE.iter().find(|(old, _)| old.eq_ignore_ascii_case(bare));
        if let Some(meant) = obsolete.and_then(|(_, meant)| meant.parse::<Self>().ok()) {
            let (or_later, exception) = (has_plus || meant.or_later, exception.or(meant.exception));
            return Self { id: meant.id, or_later, exception, text };
        }
        let ends = ["-or-later", "-only"];
        let end = ends.into_iter().find(|end| bare.len() > end.len() && bare.ends_with(end)).unwrap_or("");
        let id = bare.strip_suffix(end).unwrap_or(bare).to_owned();
        Self { id, or_later: has_plus || end == "-or-later", exception, text }
    }

    /// Whether this entry of a list of accepted licences stands for `other`.
    ///
    /// An exception only adds permissions, so that an entry without one stands for the licence with any. Where `other`
    /// may be used under later versions, it is enough that the entry stands for one of them.
    pub fn stands_for(&self, other: &Self) -> bool {
        self.allows_exception(other) && self.covers_one(other)
    }

    /// Whether this entry of a list of denied licences stands for `other`: for the version that `other` names. A later
    /// one that somebody may choose, and need not, does not count.
    pub fn denies(&self, other: &Self) -> bool {
        self.allows_exception(other) && self.covers(other)
    }

    /// Whether it names the licence with the very exception.
    pub fn names(&self, other: &Self) -> bool {
        self.exception == other.exception && self.covers_one(other)
    }

    /// Whether both are written alike, in whatever case; an entry `LicenseRef-Expat` also stands for the bare `Expat`,
    /// which SPDX does not list.
    pub fn is_written_as(&self, other: &Self) -> bool {
        let (entry, other_text) = (self.text.to_ascii_lowercase(), other.text.to_ascii_lowercase());
        let is_bare = || entry.strip_prefix("licenseref-") == Some(other_text.as_str()) && other.unlisted().is_some();
        entry == other_text || is_bare()
    }

    /// Whether its id is on no list because somebody made it for documents of their own: `LicenseRef-`, `DocumentRef-`.
    pub fn is_reference(&self) -> bool {
        let lower = self.text.to_ascii_lowercase();
        ["licenseref-", "documentref-"].into_iter().any(|start| lower.starts_with(start))
    }

    /// The id or else the exception of it that its list does not have, with that list; nothing where SPDX lists both.
    pub(crate) fn unlisted(&self) -> Option<(&str, &'static List)> {
        let (id, exception) = match self.text.split_once(" WITH ") {
            Some((id, exception)) => (id, Some(exception)),
            None => (self.text.as_str(), None),
        };
        if !LICENCES.has(id.strip_suffix('+').unwrap_or(id)) {
            return Some((id, LazyLock::force(&LICENCES)));
        }
        let exception = exception.filter(|exception| !EXCEPTIONS.has(exception))?;
        Some((exception, LazyLock::force(&EXCEPTIONS)))
    }

    /// The exception after `WITH`, in lower case.
    pub fn exception(&self) -> Option<&str> {
        self.exception.as_deref()
    }

    fn allows_exception(&self, other: &Self) -> bool {
        self.exception.is_none() || self.exception == other.exception
    }

    /// Whether it stands for the version that `other` names.
    fn covers(&self, other: &Self) -> bool {
        let is_covered =
            |(version, named): (Vec<u32>, Vec<u32>)| named == version || (self.or_later && named > version);
        self.id == other.id || versions(self, other).is_some_and(is_covered)
    }

    /// Whether it stands for a version that `other` may be used under.
    fn covers_one(&self, other: &Self) -> bool {
        self.covers(other) || (other.or_later && versions(self, other).is_some_and(|(version, named)| version > named))
    }
}

impl List {
    fn new(noun: &'static str, ids: impl Iterator<Item = &'static str>) -> Self {
        Self { noun, ids: ids.map(|id| (id.to_ascii_lowercase(), id)).collect() }
    }

    fn has(&self, id: &str) -> bool {
        self.ids.contains_key(&id.to_ascii_lowercase())
    }

    /// The ids, as SPDX spells them.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &'static str> {
        self.ids.values().copied()
    }
}

/// The versions of two licences of one family.
fn versions(one: &Licence, other: &Licence) -> Option<(Vec<u32>, Vec<u32>)> {
    let ((family, version), (other_family, other_version)) = (split(&one.id), split(&other.id));
    if family != other_family {
        return None;
    }
    Some((version?, other_version?))
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
        f.write_str(&self.text)
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
                Some(Token::Word(exception)) if !exception.ends_with('+') => Some(exception),
                _ => return Err("an exception is missing after WITH"),
            },
        };
        Ok(Expression::Licence(Licence::new(word, exception)))
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
    fn denies_the_version_that_is_named() {
        let check = |entry: &str, licence: &str, expected: bool| {
            let (entry, other): (Licence, Licence) = (entry.parse().unwrap(), licence.parse().unwrap());
            assert_eq!(entry.denies(&other), expected, "{entry} {licence}");
        };
        check("GPL-3.0-only", "GPL-3.0-only", true);
        check("GPL-3.0-only", "GPL-3.0", true);
        check("GPL-3.0-only", "GPL-3.0+", true);
        check("GPL-3.0-only", "GPL-3.0-or-later", true);
        check("GPL-3.0-only", "GPL-3.0-only+", true);
        check("GPL-3.0-only", "GPL-2.0-or-later", false);
        check("GPL-3.0-or-later", "GPL-2.0-or-later", false);
        check("GPL-3.0-or-later", "GPL-2.0-only", false);
        check("GPL-2.0-only", "GPL-2.0-or-later", true);
        check("GPL-2.0-only", "GPL-3.0-only", false);
        check("GPL-2.0-or-later", "GPL-3.0-only", true);
        check("GPL-2.0-or-later", "GPL-3.0-or-later", true);
        check("GPL-2.0-only", "GPL-2.0-or-later WITH Classpath-exception-2.0", true);
        check("GPL-2.0-only WITH Classpath-exception-2.0", "GPL-2.0-only", false);
    }

    #[test]
    fn a_deprecated_id_is_the_licence_that_it_stands_for() {
        let same = |old: &str, meant: &str| {
            let (old, meant): (Licence, Licence) = (old.parse().unwrap(), meant.parse().unwrap());
            assert!(old.unlisted().is_none() && meant.unlisted().is_none(), "{old} {meant}");
            let parts = |licence: &Licence| (licence.id.clone(), licence.or_later, licence.exception.clone());
            assert_eq!(parts(&old), parts(&meant), "{old} {meant}");
        };
        for (old, meant) in OBSOLETE {
            same(old, meant);
            same(&old.to_ascii_uppercase(), meant);
        }
        same("GPL-2.0", "GPL-2.0-only");
        same("GPL-2.0+", "GPL-2.0-or-later");
        same("GPL-2.0-with-GCC-exception+", "GPL-2.0-or-later WITH GCC-exception-2.0");
        same("eCos-2.0+", "GPL-2.0+ WITH eCos-exception-2.0");
        for id in LICENCES.ids().filter(|id| id.contains("-with-")) {
            assert!(OBSOLETE.iter().any(|(old, _)| *old == id), "{id}");
        }
        // A decision shows it as it was written.
        let licence: Licence = "GPL-2.0-with-GCC-exception+".parse().unwrap();
        assert_eq!(licence.to_string(), "GPL-2.0-with-GCC-exception+");
    }

    #[test]
    fn knows_what_spdx_lists() {
        let check = |licence: &str, expected: Option<(&str, &str)>| {
            let licence: Licence = licence.parse().unwrap();
            assert_eq!(licence.unlisted().map(|(name, list)| (name, list.noun)), expected, "{licence}");
        };
        check("MIT", None);
        check("mit", None);
        check("Apache-2.0+", None);
        check("gpl-2.0-OR-LATER", None);
        check("AGPL-3.0", None);
        check("GPL-2.0-only with classpath-exception-2.0", None);
        check("GPLv3", Some(("GPLv3", "licence")));
        check("MIT-only", Some(("MIT-only", "licence")));
        check("EUPL-1", Some(("EUPL-1", "licence")));
        check("NOASSERTION", Some(("NOASSERTION", "licence")));
        check("none+", Some(("none+", "licence")));
        check("LicenseRef-ours", Some(("LicenseRef-ours", "licence")));
        check("MIT WITH Foo", Some(("Foo", "exception")));
        check("GPLv2 WITH Foo", Some(("GPLv2", "licence")));
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
