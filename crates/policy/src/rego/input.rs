//! Input: facts as the interpreter's own value, without a text in between.
//!
//! Gives the same value as reading the facts' JSON. Names of fields are made once and shared, as most of what facts hold
//! are lists of objects with the same fields.

use std::collections::BTreeMap;
use std::fmt;

use regorus::Value;
use serde::ser::{
    Error as _, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::budget::INPUT_BYTES;

/// What a value costs beside its text, in bytes of the limit.
const VALUE_BYTES: usize = 4;

/// How many names of fields are kept to be shared; two with the same place take turns. A prime, so that names spread whose
/// distances have a factor in common.
const KEYS: usize = 251;

/// Why there is no input.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum InputError {
    /// More than [`INPUT_BYTES`].
    #[error("the facts are longer than the {INPUT_BYTES} bytes that a module is given")]
    TooLong,
    /// Something that JSON cannot say.
    #[error("the facts have no form in JSON: {0}")]
    NoForm(String),
}

impl serde::ser::Error for InputError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::NoForm(message.to_string())
    }
}

/// Makes the interpreter's value of something that JSON can say.
///
/// # Errors
/// [`InputError`].
pub(super) fn value_of<T: Serialize>(facts: &T) -> Result<Value, InputError> {
    facts.serialize(&mut Builder { left: INPUT_BYTES, keys: [const { None }; KEYS], nothing: Value::new_array() })
}

struct Builder {
    left: usize,
    /// The names of fields, each at a place that follows from its address in the program, which compares faster than a text.
    keys: [Option<(&'static str, Value)>; KEYS],
    /// The list without items, of which facts have many.
    nothing: Value,
}

impl Builder {
    fn charge(&mut self, bytes: usize) -> Result<(), InputError> {
        self.left = self.left.checked_sub(bytes.saturating_add(VALUE_BYTES)).ok_or(InputError::TooLong)?;
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<Value, InputError> {
        self.charge(text.len())?;
        Ok(Value::String(text.into()))
    }

    fn key(&mut self, name: &'static str) -> Result<Value, InputError> {
        self.charge(name.len())?;
        let place = self.keys.get_mut(name.as_ptr().addr() % KEYS);
        match place {
            Some(Some((known, key))) if std::ptr::eq(*known, name) => Ok(key.clone()),
            other => {
                let key = Value::String(name.into());
                if let Some(place) = other {
                    *place = Some((name, key.clone()));
                }
                Ok(key)
            }
        }
    }

    fn variant(&mut self, name: &'static str, value: Value) -> Result<Value, InputError> {
        Ok(Value::from(BTreeMap::from([(self.key(name)?, value)])))
    }
}

/// A list on its way.
struct List<'b> {
    builder: &'b mut Builder,
    items: Vec<Value>,
    variant: Option<&'static str>,
}

impl List<'_> {
    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), InputError> {
        self.items.push(value.serialize(&mut *self.builder)?);
        Ok(())
    }

    fn done(self) -> Result<Value, InputError> {
        let value = if self.items.is_empty() { self.builder.nothing.clone() } else { Value::from(self.items) };
        match self.variant {
            Some(name) => self.builder.variant(name, value),
            None => Ok(value),
        }
    }
}

/// An object on its way.
struct Fields<'b> {
    builder: &'b mut Builder,
    /// In the order in which they are written; the object is sorted in one go.
    fields: Vec<(Value, Value)>,
    /// The key whose value comes next.
    key: Option<Value>,
    variant: Option<&'static str>,
}

impl Fields<'_> {
    fn insert<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), InputError> {
        let key = self.builder.key(name)?;
        let value = value.serialize(&mut *self.builder)?;
        self.fields.push((key, value));
        Ok(())
    }

    fn done(mut self) -> Result<Value, InputError> {
        // Texts compare faster by themselves than as values, and what is in order is soon sorted again.
        self.fields.sort_by(|(one, _), (other, _)| match (one, other) {
            (Value::String(one), Value::String(other)) => one.cmp(other),
            _ => one.cmp(other),
        });
        let value = Value::from(self.fields.into_iter().collect::<BTreeMap<_, _>>());
        match self.variant {
            Some(name) => self.builder.variant(name, value),
            None => Ok(value),
        }
    }
}

impl<'b> Serializer for &'b mut Builder {
    type Ok = Value;
    type Error = InputError;
    type SerializeSeq = List<'b>;
    type SerializeTuple = List<'b>;
    type SerializeTupleStruct = List<'b>;
    type SerializeTupleVariant = List<'b>;
    type SerializeMap = Fields<'b>;
    type SerializeStruct = Fields<'b>;
    type SerializeStructVariant = Fields<'b>;

    fn serialize_bool(self, value: bool) -> Result<Value, InputError> {
        self.charge(0)?;
        Ok(Value::Bool(value))
    }
    fn serialize_i8(self, value: i8) -> Result<Value, InputError> {
        self.serialize_i64(value.into())
    }
    fn serialize_i16(self, value: i16) -> Result<Value, InputError> {
        self.serialize_i64(value.into())
    }
    fn serialize_i32(self, value: i32) -> Result<Value, InputError> {
        self.serialize_i64(value.into())
    }
    fn serialize_i64(self, value: i64) -> Result<Value, InputError> {
        self.charge(0)?;
        Ok(u64::try_from(value).map_or_else(|_| Value::from(value), Value::from))
    }
    fn serialize_u8(self, value: u8) -> Result<Value, InputError> {
        self.serialize_u64(value.into())
    }
    fn serialize_u16(self, value: u16) -> Result<Value, InputError> {
        self.serialize_u64(value.into())
    }
    fn serialize_u32(self, value: u32) -> Result<Value, InputError> {
        self.serialize_u64(value.into())
    }
    fn serialize_u64(self, value: u64) -> Result<Value, InputError> {
        self.charge(0)?;
        Ok(Value::from(value))
    }
    fn serialize_f32(self, value: f32) -> Result<Value, InputError> {
        self.serialize_f64(value.into())
    }
    fn serialize_f64(self, value: f64) -> Result<Value, InputError> {
        Err(InputError::custom(format!("{value} is not an integer")))
    }
    fn serialize_char(self, value: char) -> Result<Value, InputError> {
        self.text(value.encode_utf8(&mut [0; 4]))
    }
    fn serialize_str(self, value: &str) -> Result<Value, InputError> {
        self.text(value)
    }
    fn serialize_bytes(self, _: &[u8]) -> Result<Value, InputError> {
        Err(InputError::custom("bytes are no text"))
    }
    fn serialize_none(self) -> Result<Value, InputError> {
        self.serialize_unit()
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Value, InputError> {
        value.serialize(self)
    }
    fn serialize_unit(self) -> Result<Value, InputError> {
        self.charge(0)?;
        Ok(Value::Null)
    }
    fn serialize_unit_struct(self, _: &'static str) -> Result<Value, InputError> {
        self.serialize_unit()
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<Value, InputError> {
        self.key(variant)
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<Value, InputError> {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Value, InputError> {
        let value = value.serialize(&mut *self)?;
        self.variant(variant, value)
    }
    fn serialize_seq(self, len: Option<usize>) -> Result<List<'b>, InputError> {
        self.charge(0)?;
        Ok(List { builder: self, items: Vec::with_capacity(len.unwrap_or_default().min(INPUT_BYTES)), variant: None })
    }
    fn serialize_tuple(self, len: usize) -> Result<List<'b>, InputError> {
        self.serialize_seq(Some(len))
    }
    fn serialize_tuple_struct(self, _: &'static str, len: usize) -> Result<List<'b>, InputError> {
        self.serialize_seq(Some(len))
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<List<'b>, InputError> {
        Ok(List { variant: Some(variant), ..self.serialize_seq(Some(len))? })
    }
    fn serialize_map(self, len: Option<usize>) -> Result<Fields<'b>, InputError> {
        self.charge(0)?;
        let fields = Vec::with_capacity(len.unwrap_or_default().min(INPUT_BYTES));
        Ok(Fields { builder: self, fields, key: None, variant: None })
    }
    fn serialize_struct(self, _: &'static str, len: usize) -> Result<Fields<'b>, InputError> {
        self.serialize_map(Some(len))
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Fields<'b>, InputError> {
        Ok(Fields { variant: Some(variant), ..self.serialize_map(Some(len))? })
    }
}

impl SerializeSeq for List<'_> {
    type Ok = Value;
    type Error = InputError;
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), InputError> {
        self.push(value)
    }
    fn end(self) -> Result<Value, InputError> {
        self.done()
    }
}

impl SerializeTuple for List<'_> {
    type Ok = Value;
    type Error = InputError;
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), InputError> {
        self.push(value)
    }
    fn end(self) -> Result<Value, InputError> {
        self.done()
    }
}

impl SerializeTupleStruct for List<'_> {
    type Ok = Value;
    type Error = InputError;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), InputError> {
        self.push(value)
    }
    fn end(self) -> Result<Value, InputError> {
        self.done()
    }
}

impl SerializeTupleVariant for List<'_> {
    type Ok = Value;
    type Error = InputError;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), InputError> {
        self.push(value)
    }
    fn end(self) -> Result<Value, InputError> {
        self.done()
    }
}

impl SerializeMap for Fields<'_> {
    type Ok = Value;
    type Error = InputError;
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), InputError> {
        // JSON has texts for keys, and nothing else.
        self.key = match key.serialize(&mut *self.builder)? {
            text @ Value::String(_) => Some(text),
            _ => return Err(InputError::custom("a key is no text")),
        };
        Ok(())
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), InputError> {
        let value = value.serialize(&mut *self.builder)?;
        let key = self.key.take().ok_or_else(|| InputError::custom("a value has no key"))?;
        self.fields.push((key, value));
        Ok(())
    }
    fn end(self) -> Result<Value, InputError> {
        self.done()
    }
}

impl SerializeStruct for Fields<'_> {
    type Ok = Value;
    type Error = InputError;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), InputError> {
        self.insert(name, value)
    }
    fn end(self) -> Result<Value, InputError> {
        self.done()
    }
}

impl SerializeStructVariant for Fields<'_> {
    type Ok = Value;
    type Error = InputError;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), InputError> {
        self.insert(name, value)
    }
    fn end(self) -> Result<Value, InputError> {
        self.done()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::sample::facts;

    #[test]
    fn the_value_is_that_of_the_facts_json() {
        let check = |value: Value, text: &str| assert_eq!(value, Value::from_json_str(text).unwrap(), "{text}");
        let known = facts();
        check(value_of(&known).unwrap(), &serde_json::to_string(&known).unwrap());
        let other = json!({ "a": [1, -1, 0, true, null, "x", "\u{1f600}\""], "b": {}, "c": [], "": { "~/": 7 } });
        check(value_of(&other).unwrap(), &other.to_string());
        let map: BTreeMap<&str, Option<(u8, char)>> = BTreeMap::from([("one", Some((1, 'x'))), ("none", None)]);
        check(value_of(&map).unwrap(), &serde_json::to_string(&map).unwrap());
    }

    #[test]
    fn what_json_cannot_say_and_what_is_too_long_is_refused() {
        assert!(matches!(value_of(&1.5), Err(InputError::NoForm(_))));
        assert!(matches!(value_of(&BTreeMap::from([(1, 2)])), Err(InputError::NoForm(_))));
        assert_eq!(value_of(&"x".repeat(INPUT_BYTES)), Err(InputError::TooLong));
        assert_eq!(value_of(&vec![0u8; INPUT_BYTES / VALUE_BYTES]), Err(InputError::TooLong));
        assert!(value_of(&"x".repeat(INPUT_BYTES - VALUE_BYTES)).is_ok());
    }
}
