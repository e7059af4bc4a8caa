//! Licences as bills of materials write them, made into one SPDX licence expression a component.

use std::collections::BTreeSet;

/// Text of a licence field that names no licence.
const NONE: [&str; 3] = ["", "NOASSERTION", "NONE"];

/// The texts that stand for licences, joined into one expression: all of them hold.
///
/// A text that is an expression stays as it is, in brackets where it needs them; any other text is a licence that has
/// only a name, and becomes `LicenseRef-<the name>`. None when no text names a licence.
pub(crate) fn all_of<'a>(texts: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let mut parts: Vec<String> = Vec::new();
    let mut seen = BTreeSet::new();
    for text in texts {
        let text = text.trim();
        if NONE.contains(&text) {
            continue;
        }
        let part = if is_expression(text) { text.to_owned() } else { named(text) };
        if seen.insert(part.clone()) {
            parts.push(part);
        }
    }
    match parts.as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        several => {
            let bracketed = |part: &String| match part.contains(' ') {
                true => format!("({part})"),
                false => part.clone(),
            };
            Some(several.iter().map(bracketed).collect::<Vec<_>>().join(" AND "))
        }
    }
}

/// A licence that has only a name, as an SPDX reference (SPDX 2.3, annex D: letters, digits, `-` and `.`).
pub(crate) fn named(name: &str) -> String {
    let mut id = String::from("LicenseRef-");
    for character in name.trim().chars().take(100) {
        match character.is_ascii_alphanumeric() || character == '.' {
            true => id.push(character),
            false if !id.ends_with('-') => id.push('-'),
            false => {}
        }
    }
    id.trim_end_matches('-').to_owned()
}

/// Whether a text has the form of an SPDX expression: ids, `AND`, `OR`, `WITH`, brackets, and nothing else. Whether the
/// ids are known is for the policy to say.
fn is_expression(text: &str) -> bool {
    let spaced = text.replace('(', " ( ").replace(')', " ) ");
    let mut depth = 0usize;
    // Whether an id or an opening bracket comes next, or an operator or a closing one.
    let mut wants_id = true;
    for word in spaced.split_whitespace() {
        match (word, wants_id) {
            ("(", true) => depth += 1,
            (")", false) if depth > 0 => depth -= 1,
            ("AND" | "OR" | "WITH" | "and" | "or" | "with", false) => wants_id = true,
            (id, true) if is_id(id) => wants_id = false,
            _ => return false,
        }
    }
    depth == 0 && !wants_id
}

fn is_id(word: &str) -> bool {
    let word = word.strip_suffix('+').unwrap_or(word);
    let is_operator = matches!(word.to_ascii_uppercase().as_str(), "AND" | "OR" | "WITH");
    let fits = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '.' | ':');
    !word.is_empty() && !is_operator && word.chars().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_one_expression() {
        let check = |texts: &[&str], expected: Option<&str>| {
            assert_eq!(all_of(texts.iter().copied()).as_deref(), expected, "{texts:?}");
        };
        check(&[], None);
        check(&["", "NOASSERTION", " NONE "], None);
        check(&["MIT"], Some("MIT"));
        check(&["MIT", "MIT"], Some("MIT"));
        check(&["MIT", "Apache-2.0"], Some("MIT AND Apache-2.0"));
        check(&["MIT OR Apache-2.0", "ISC"], Some("(MIT OR Apache-2.0) AND ISC"));
        check(&["GPL-2.0-only WITH Classpath-exception-2.0"], Some("GPL-2.0-only WITH Classpath-exception-2.0"));
        check(&["(MIT AND (ISC OR 0BSD))"], Some("(MIT AND (ISC OR 0BSD))"));
        check(&["DocumentRef-a:LicenseRef-b"], Some("DocumentRef-a:LicenseRef-b"));
        check(&["GPL-2.0+"], Some("GPL-2.0+"));
        check(&["Apache License, Version 2.0"], Some("LicenseRef-Apache-License-Version-2.0"));
        check(&["MIT OR"], Some("LicenseRef-MIT-OR"));
        check(&["MIT) OR (ISC"], Some("LicenseRef-MIT-OR-ISC"));
        check(&["MIT Apache-2.0"], Some("LicenseRef-MIT-Apache-2.0"));
    }
}
