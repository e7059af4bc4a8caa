//! Strict JSON reading: duplicate keys, depth and size are refused before anything is understood.
//!
//! `serde_json::Value` on its own keeps the last of two equal keys, which lets two readers see two documents.

use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Number, Value};

use crate::limits::Limits;

pub(crate) mod objects;

/// The largest integer that every JSON reader agrees on: 2^53 - 1 (RFC 8785, section 3.2.2.3 with RFC 7493).
pub const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// Which numbers a document may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbers {
    /// Only integers within ±(2^53 - 1), as in Lockgate's own documents.
    Integers,
    /// Any JSON number, as in other tools' reports.
    Any,
}

/// Why bytes are not an acceptable JSON document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct JsonError {
    /// A stable reason code, such as `DUPLICATE_KEY`.
    pub code: &'static str,
    /// What is wrong and where.
    pub message: String,
}

/// Reads one JSON document strictly: UTF-8, no duplicate keys at any depth, within `limits`, nothing after it.
///
/// # Errors
/// [`JsonError`] with code `JSON_INVALID`, `DUPLICATE_KEY`, `JSON_TOO_DEEP`, `JSON_TOO_MANY` or `JSON_NUMBER`.
pub fn read(bytes: &[u8], limits: &Limits, numbers: Numbers) -> Result<Value, JsonError> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| JsonError { code: "JSON_INVALID", message: format!("not UTF-8: {error}") })?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let seed = Strict { limits, numbers, depth: 0 };
    let value = seed.deserialize(&mut deserializer).map_err(from_serde)?;
    deserializer.end().map_err(from_serde)?;
    Ok(value)
}

/// Reads a strict document into a type, each struct from an object and never from a list; unknown fields are the type's
/// own business (`deny_unknown_fields`).
///
/// # Errors
/// As [`read`], or `JSON_FIELD` when the document has another shape than the type.
pub fn read_as<T: DeserializeOwned>(bytes: &[u8], limits: &Limits, numbers: Numbers) -> Result<T, JsonError> {
    let value = read(bytes, limits, numbers)?;
    objects::into_type(value).map_err(|error| JsonError { code: "JSON_FIELD", message: error.to_string() })
}

/// Reads bytes straight into a type that denies fields that it does not know, each struct from an object. What the type
/// ignores is passed over, and may hold what [`read`] refuses, such as numbers that nobody can hold.
///
/// # Errors
/// `JSON_FIELD` when they are not UTF-8, not JSON, or of another shape than the type.
pub fn typed<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, JsonError> {
    let text = std::str::from_utf8(bytes);
    checked_as(text.map_err(|error| JsonError { code: "JSON_FIELD", message: error.to_string() })?)
}

/// Reads a text whose keys, depth and numbers have been checked straight into a type, each struct from an object.
///
/// # Errors
/// `JSON_FIELD`, as [`read_as`]: it names the field, and not where that stands in the text.
pub(crate) fn checked_as<T: DeserializeOwned>(text: &str) -> Result<T, JsonError> {
    objects::from_text(text).map_err(|error| {
        let (message, place) = (error.to_string(), format!(" at line {} column {}", error.line(), error.column()));
        let message = message.strip_suffix(place.as_str()).unwrap_or(&message).to_owned();
        JsonError { code: "JSON_FIELD", message }
    })
}

fn from_serde(error: serde_json::Error) -> JsonError {
    let text = error.to_string();
    let codes = ["DUPLICATE_KEY", "JSON_TOO_DEEP", "JSON_TOO_MANY", "JSON_NUMBER"];
    for code in codes {
        if let Some(message) = text.strip_prefix(code) {
            return JsonError { code, message: message.trim_start_matches(": ").to_owned() };
        }
    }
    match text.contains("recursion limit") {
        true => JsonError { code: "JSON_TOO_DEEP", message: text },
        false => JsonError { code: "JSON_INVALID", message: text },
    }
}

#[derive(Clone, Copy)]
struct Strict<'a> {
    limits: &'a Limits,
    numbers: Numbers,
    depth: usize,
}

impl Strict<'_> {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        match self.depth < self.limits.json_depth {
            true => Ok(Self { depth: self.depth + 1, ..self }),
            false => Err(E::custom(format!("JSON_TOO_DEEP: nested deeper than {}", self.limits.json_depth))),
        }
    }

    fn integer<E: serde::de::Error>(self, magnitude: u64, number: Number) -> Result<Value, E> {
        match self.numbers == Numbers::Any || magnitude <= MAX_SAFE_INTEGER {
            true => Ok(Value::Number(number)),
            false => Err(E::custom(format!("JSON_NUMBER: {number} is beyond 2^53 - 1"))),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        self.integer(value, value.into())
    }
    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        self.integer(value.unsigned_abs(), value.into())
    }
    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        match (self.numbers, Number::from_f64(value)) {
            (Numbers::Any, Some(number)) => Ok(Value::Number(number)),
            _ => Err(E::custom(format!("JSON_NUMBER: {value} is not an integer"))),
        }
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }
    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(inner)? {
            if items.len() >= self.limits.json_items {
                return Err(A::Error::custom(format!("JSON_TOO_MANY: over {} items", self.limits.json_items)));
            }
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            if map.len() >= self.limits.json_keys {
                return Err(A::Error::custom(format!("JSON_TOO_MANY: over {} keys", self.limits.json_keys)));
            }
            match map.entry(key) {
                Entry::Vacant(place) => {
                    place.insert(access.next_value_seed(inner)?);
                }
                Entry::Occupied(place) => {
                    let key = place.key();
                    return Err(A::Error::custom(format!("DUPLICATE_KEY: the key `{key}` stands twice in one object")));
                }
            }
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> &'static str {
        read(text.as_bytes(), &Limits::DEFAULT, Numbers::Integers).unwrap_err().code
    }

    #[test]
    fn refuses_what_two_readers_could_read_differently() {
        assert_eq!(code(r#"{"a":1,"a":2}"#), "DUPLICATE_KEY");
        assert_eq!(code(r#"{"subject":1,"\u0073ubject":2}"#), "DUPLICATE_KEY");
        assert_eq!(code(r#"[{"x":[{"a":1,"a":1}]}]"#), "DUPLICATE_KEY");
        assert_eq!(code("1.5"), "JSON_NUMBER");
        assert_eq!(code("9007199254740992"), "JSON_NUMBER");
        assert_eq!(code("1e3"), "JSON_NUMBER");
        assert_eq!(code("NaN"), "JSON_INVALID");
        assert_eq!(code(""), "JSON_INVALID");
        assert_eq!(code("{} {}"), "JSON_INVALID");
        assert_eq!(code("\u{feff}{}"), "JSON_INVALID");
        assert_eq!(code(r#""\ud800""#), "JSON_INVALID");
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(read(nested(64).as_bytes(), &Limits::DEFAULT, Numbers::Integers).is_ok());
        assert_eq!(code(&nested(65)), "JSON_TOO_DEEP");
        assert_eq!(code(&nested(100_000)), "JSON_TOO_DEEP");
        assert_eq!(read(b"\"\xff\"", &Limits::DEFAULT, Numbers::Any).unwrap_err().code, "JSON_INVALID");
    }

    #[test]
    fn a_struct_is_an_object_and_never_a_list() {
        #[derive(Debug, serde::Deserialize)]
        struct Request {
            person: String,
        }
        let read = |text: &str| read_as::<Request>(text.as_bytes(), &Limits::DEFAULT, Numbers::Integers);
        assert_eq!(read(r#"{"person":"sam"}"#).unwrap().person, "sam");
        assert_eq!(read(r#"["sam"]"#).unwrap_err().code, "JSON_FIELD");
    }

    #[test]
    fn stops_at_the_limit_and_not_before() {
        let limits = Limits { json_items: 3, json_keys: 2, ..Limits::DEFAULT };
        assert!(read(b"[1,2,3]", &limits, Numbers::Any).is_ok());
        assert_eq!(read(b"[1,2,3,4]", &limits, Numbers::Any).unwrap_err().code, "JSON_TOO_MANY");
        assert!(read(br#"{"a":1,"b":2}"#, &limits, Numbers::Any).is_ok());
        assert_eq!(read(br#"{"a":1,"b":2,"c":3}"#, &limits, Numbers::Any).unwrap_err().code, "JSON_TOO_MANY");
    }
}
