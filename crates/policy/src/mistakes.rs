//! Mistakes: everything that is wrong with a TOML value, and not only what a reader stumbles over first.
//!
//! A reader ends at its first mistake. So what is wrong is taken out of a copy, and what is missing is filled in with
//! anything that reads there, until the copy reads or nothing more can be done. The copy is for finding mistakes alone:
//! nothing of it is ever believed.

use std::borrow::Cow;
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue, Error, ValueDeserializer};

/// The most mistakes that are looked for in one value.
const MISTAKES_MAX: usize = 32;
/// What a missing field is filled in with, until one of them reads: a name or a duration, a list, a table, a number, a
/// truth, a share.
const FILLERS: [&str; 6] = ["\"1d\"", "[]", "{}", "1", "true", "\"1%\""];
/// Where a filling stands: at no place of any file.
const NOWHERE: Range<usize> = usize::MAX..usize::MAX;

/// One thing that is wrong.
pub(crate) struct Mistake {
    /// What the reader says of it.
    pub(crate) error: Error,
    /// The table that it is in, by its bytes, and the field of it; `None` where that cannot be told.
    pub(crate) place: Option<(Range<usize>, String)>,
    /// Whether the field is not there at all.
    pub(crate) is_missing: bool,
}

/// Every mistake of a value, in the order in which they are found; `first` is the one that reading it ended with.
pub(crate) fn all<'a, T: Deserialize<'a>>(value: Spanned<DeValue<'a>>, first: Error) -> Vec<Mistake> {
    let mut found = Vec::new();
    let mut copy = value;
    let mut error = first;
    while found.len() < MISTAKES_MAX {
        let span = error.span().unwrap_or_else(|| copy.span());
        let missing = missing_field(error.message()).map(str::to_owned);
        let is_missing = missing.is_some();
        let (place, changed) = match missing {
            Some(field) => {
                let changed = filled::<T>(&copy, &span, &field);
                (Some((span, field)), changed)
            }
            None => {
                let place = take_out(&mut copy, &span);
                let changed = place.is_some().then(|| copy.clone());
                (place, changed)
            }
        };
        found.push(Mistake { error, place, is_missing });
        let Some(changed) = changed else { return found };
        copy = changed;
        match T::deserialize(ValueDeserializer::from(copy.clone())) {
            Ok(_) => return found,
            Err(next) => error = next,
        }
    }
    found
}

/// The field that a reader's message says is not there.
pub(crate) fn missing_field(message: &str) -> Option<&str> {
    message.strip_prefix("missing field `")?.strip_suffix('`')
}

/// Shows every table to `edit`, inner ones first, with its bytes, until it has edited one.
fn edit_table<'a>(
    value: &mut Spanned<DeValue<'a>>,
    edit: &mut dyn FnMut(&Range<usize>, &mut DeTable<'a>) -> bool,
) -> bool {
    let span = value.span();
    match value.get_mut() {
        DeValue::Table(table) => {
            for (_, inner) in table.iter_mut() {
                if edit_table(inner, edit) {
                    return true;
                }
            }
            edit(&span, table)
        }
        DeValue::Array(items) => {
            for item in items.iter_mut() {
                if edit_table(item, edit) {
                    return true;
                }
            }
            false
        }
        _ => false,
    }
}

/// Takes out the field whose key or value has these bytes, or the item of a list that has them; says where that was.
fn take_out(value: &mut Spanned<DeValue<'_>>, span: &Range<usize>) -> Option<(Range<usize>, String)> {
    let mut place = None;
    edit_table(value, &mut |at, table| {
        let field = table.iter().find(|(key, value)| key.span() == *span || value.span() == *span);
        if let Some(name) = field.map(|(key, _)| key.get_ref().to_string()) {
            table.remove(name.as_str());
            place = Some((at.clone(), name));
            return true;
        }
        for (key, value) in table.iter_mut() {
            if let DeValue::Array(items) = value.get_mut()
                && items.iter().any(|item| item.span() == *span)
            {
                let mut kept = DeArray::new();
                for item in items.iter().filter(|item| item.span() != *span) {
                    kept.push(item.clone());
                }
                *items = kept;
                place = Some((at.clone(), key.get_ref().to_string()));
                return true;
            }
        }
        false
    });
    place
}

/// The value with a field filled in, so that whatever else is missing is found; `None` where nothing reads there.
fn filled<'a, T: Deserialize<'a>>(
    value: &Spanned<DeValue<'a>>,
    table: &Range<usize>,
    field: &str,
) -> Option<Spanned<DeValue<'a>>> {
    FILLERS.into_iter().find_map(|text| {
        let filler = DeValue::parse(text).ok()?.into_inner();
        let mut changed = value.clone();
        let inserted = edit_table(&mut changed, &mut |at, fields| {
            let is_here = at == table && !fields.contains_key(field);
            if is_here {
                let key = Spanned::new(NOWHERE, Cow::Owned(field.to_owned()));
                fields.insert(key, Spanned::new(NOWHERE, filler.clone()));
            }
            is_here
        });
        let reads = match T::deserialize(ValueDeserializer::from(changed.clone())) {
            Ok(_) => true,
            Err(error) => error.span() != Some(NOWHERE),
        };
        (inserted && reads).then_some(changed)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Place {
        #[serde(rename = "purpose")]
        _purpose: String,
        #[serde(rename = "risk")]
        _risk: u64,
        #[serde(default, rename = "after")]
        _after: Vec<Word>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Word {
        Dev,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Places {
        #[serde(rename = "count")]
        _count: u64,
        #[serde(rename = "place")]
        _place: BTreeMap<String, Place>,
    }

    fn found(text: &str) -> Vec<String> {
        let root = DeTable::parse(text).unwrap();
        let value = Spanned::new(root.span(), DeValue::Table(root.into_inner()));
        match Places::deserialize(ValueDeserializer::from(value.clone())) {
            Ok(_) => Vec::new(),
            Err(first) => all::<Places>(value, first)
                .into_iter()
                .map(|mistake| mistake.error.message().split(',').next().unwrap_or_default().to_owned())
                .collect(),
        }
    }

    #[test]
    fn finds_what_is_behind_the_first_mistake() {
        let check = |text: &str, expected: &[&str]| assert_eq!(found(text), expected, "{text}");
        check("count = 1\n[place.a]\npurpose = \"x\"\nrisk = 1\n", &[]);
        check("count = 1\nplace = { a = {} }\n", &["missing field `purpose`", "missing field `risk`"]);
        check("", &["missing field `count`", "missing field `place`"]);
        check("coun = 1\n[place.a]\npurpose = \"x\"\nrisk = 1\n", &["unknown field `coun`", "missing field `count`"]);
        check(
            "count = 1\n[place.a]\nrisk = \"high\"\nafter = [\"dex\", \"dev\", \"def\"]\n[place.b]\npurpos = \"x\"\nrisk = 1\n",
            &[
                "unknown variant `dex`",
                "unknown variant `def`",
                "invalid type: string \"high\"",
                "missing field `purpose`",
                "missing field `risk`",
                "unknown field `purpos`",
                "missing field `purpose`",
            ],
        );
    }

    #[test]
    fn ends_somewhere() {
        let many: String = (0..100).map(|number| format!("x{number} = 1\n")).collect();
        assert_eq!(found(&many).len(), MISTAKES_MAX);
    }
}
