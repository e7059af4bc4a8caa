//! Queries: the part of an address behind `?`, as names with one value each.

use std::collections::BTreeMap;

use lockgate_engine::Fault;

/// The most names in one query.
const NAMES_MAX: usize = 32;

/// Reads a query: each name at most once, percent-decoded UTF-8.
///
/// # Errors
/// `QUERY_INVALID`.
pub fn parse(text: &str) -> Result<BTreeMap<String, String>, Fault> {
    let invalid = || Fault::invalid("QUERY_INVALID", "the query is not `name=value&...`, each name once");
    let mut query = BTreeMap::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or_else(invalid)?;
        let name = decode(name).ok_or_else(invalid)?;
        let value = decode(value).ok_or_else(invalid)?;
        if query.insert(name, value).is_some() || query.len() > NAMES_MAX {
            return Err(invalid());
        }
    }
    Ok(query)
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                u8::try_from(digit(rest.next())? * 16 + digit(rest.next())?).ok()?
            }
            b'+' => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_have_each_name_once() {
        let query = parse("a=1&b=x%2Fy+z").unwrap();
        assert_eq!((query["a"].as_str(), query["b"].as_str()), ("1", "x/y z"));
        for bad in ["a=1&a=2", "a", "a=%zz", "a=%ff", "a=%4"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        let many = |count: usize| (0..count).map(|number| format!("n{number}=1&")).collect::<String>();
        assert!(parse(&many(NAMES_MAX)).is_ok() && parse(&many(NAMES_MAX + 1)).is_err());
    }
}
