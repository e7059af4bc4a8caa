//! Canonical JSON: RFC 8785 restricted to integers, so that one document has one spelling and one digest.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::json::{self, JsonError, MAX_SAFE_INTEGER, Numbers};
use crate::limits::Limits;

/// Why a value has no canonical form, or bytes are not in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CanonicalError {
    /// The bytes are not acceptable JSON at all.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// The bytes are JSON, but not the one canonical spelling of it.
    #[error("not canonical JSON (RFC 8785): keys must be sorted, without white space, with minimal escapes")]
    NotCanonical,
    /// A value holds a number that is not an integer within 2^53 - 1, or cannot be serialised.
    #[error("no canonical form: {0}")]
    NoForm(String),
}

/// Serialises a value to its canonical bytes.
///
/// # Errors
/// [`CanonicalError::NoForm`] for a fraction, or an integer beyond 2^53 - 1.
pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CanonicalError> {
    let value = serde_json::to_value(value).map_err(|error| CanonicalError::NoForm(error.to_string()))?;
    let mut bytes = Vec::with_capacity(512);
    write(&value, &mut bytes)?;
    Ok(bytes)
}

/// Reads bytes that must be the canonical spelling of a `T`, each struct being an object and never a list.
///
/// # Errors
/// [`CanonicalError::Json`] when they are not JSON of that shape, [`CanonicalError::NotCanonical`] when they are
/// another spelling of it.
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8], limits: &Limits) -> Result<T, CanonicalError> {
    let value = json::read(bytes, limits, Numbers::Integers)?;
    let mut again = Vec::with_capacity(bytes.len());
    write(&value, &mut again)?;
    if again != bytes {
        return Err(CanonicalError::NotCanonical);
    }
    json::objects::into_type(value).map_err(|error| JsonError { code: "JSON_FIELD", message: error.to_string() }.into())
}

fn write(value: &Value, out: &mut Vec<u8>) -> Result<(), CanonicalError> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => {
            let magnitude = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
            match magnitude {
                Some(magnitude) if magnitude <= MAX_SAFE_INTEGER => {
                    out.extend_from_slice(number.to_string().as_bytes())
                }
                _ => return Err(CanonicalError::NoForm(format!("{number} is not an integer within 2^53 - 1"))),
            }
        }
        Value::String(text) => write_string(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                write(item, out)?;
            }
            out.push(b']');
        }
        Value::Object(map) => {
            let mut members: Vec<(&String, &Value)> = map.iter().collect();
            // RFC 8785, section 3.2.3: keys are ordered by their UTF-16 code units; for ASCII that is the order of bytes,
            // in which the map has them already.
            if !members.iter().all(|(key, _)| key.is_ascii()) || !members.is_sorted_by_key(|(key, _)| *key) {
                members.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            }
            out.push(b'{');
            for (position, (key, value)) in members.into_iter().enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                write_string(key, out);
                out.push(b':');
                write(value, out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

/// RFC 8785, section 3.2.2.2: two-character escapes where JSON has them, `\u00xx` for other controls, nothing else.
fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let plain = |byte: &u8| *byte >= 0x20 && *byte != b'"' && *byte != b'\\';
    if text.as_bytes().iter().all(plain) {
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
        return;
    }
    for character in text.chars() {
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\u{8}' => out.extend_from_slice(b"\\b"),
            '\t' => out.extend_from_slice(b"\\t"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\u{c}' => out.extend_from_slice(b"\\f"),
            '\r' => out.extend_from_slice(b"\\r"),
            control if (control as u32) < 0x20 => {
                out.extend_from_slice(format!("\\u{:04x}", control as u32).as_bytes());
            }
            other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn sorts_by_utf16_and_escapes_minimally() {
        // The key order of RFC 8785, section 3.2.3.
        let value = json!({"\u{20ac}": 1, "\r": 2, "\u{fb33}": 3, "1": 4, "\u{1f600}": 5, "\u{80}": 6, "\u{f6}": 7});
        let text = String::from_utf8(to_vec(&value).unwrap()).unwrap();
        assert_eq!(text, "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"\u{f6}\":7,\"\u{20ac}\":1,\"\u{1f600}\":5,\"\u{fb33}\":3}");
        assert_eq!(to_vec("\u{1}\u{1f}\u{7f}/\u{2028}").unwrap(), "\"\\u0001\\u001f\u{7f}/\u{2028}\"".as_bytes());
        assert!(to_vec(&json!(1.5)).is_err());
        assert!(to_vec(&json!(1u64 << 53)).is_err());
    }

    #[test]
    fn reads_only_the_canonical_spelling() {
        let read = |text: &str| from_slice::<Value>(text.as_bytes(), &Limits::DEFAULT);
        assert!(read(r#"{"a":1,"b":[true,null,"x"]}"#).is_ok());
        for other in [r#"{"b":1,"a":2}"#, r#"{ "a":1}"#, r#"{"a":"\u0061"}"#, r#"{"a":"\/"}"#, r#"{"a":-0}"#] {
            assert!(read(other).is_err(), "{other}");
        }
    }

    fn document() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-9_007_199_254_740_991i64..=9_007_199_254_740_991).prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(".{0,6}", inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn canonical_bytes_read_back_to_the_same_value(value in document()) {
            let bytes = to_vec(&value).unwrap();
            prop_assert_eq!(from_slice::<Value>(&bytes, &Limits::DEFAULT).unwrap(), value);
        }
    }
}
