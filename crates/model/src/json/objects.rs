//! Objects: a struct is read from a JSON object alone.
//!
//! What serde derives for a struct takes a list too, field by field and without a name for any of them, so that one
//! document would have two spellings, and `deny_unknown_fields` nothing to deny. Enums that are told apart by a field
//! inside (`tag = ".."` without `content`) are buffered by serde before their variant is known, and are not covered:
//! whoever reads one compares what was read with what is written.

use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error as _, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};
use serde_json::Value;

/// Reads a value into a type, and each struct in it from an object.
///
/// # Errors
/// When the value has another shape than the type.
pub(crate) fn into_type<T: DeserializeOwned>(value: Value) -> Result<T, serde_json::Error> {
    T::deserialize(Objects(value))
}

/// Reads a text into a type, and each struct in it from an object. What the type leaves open, such as a key that stands
/// twice in a `Value`, is not looked at.
///
/// # Errors
/// When it is not JSON, or of another shape than the type.
pub(crate) fn from_text<T: DeserializeOwned>(text: &str) -> Result<T, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = T::deserialize(Objects(&mut deserializer))?;
    deserializer.end()?;
    Ok(value)
}

/// A deserializer, a seed or an access, whatever it leads to being read the same way.
struct Objects<T>(T);

/// A visitor; `is_struct` says that a list is none of its spellings.
struct Reading<V> {
    visitor: V,
    is_struct: bool,
}

fn any<V>(visitor: V) -> Reading<V> {
    Reading { visitor, is_struct: false }
}

macro_rules! forward {
    ($($method:ident($($argument:ident: $kind:ty),*);)*) => { $(
        fn $method<V: Visitor<'de>>(self, $($argument: $kind,)* visitor: V) -> Result<V::Value, D::Error> {
            self.0.$method($($argument,)* any(visitor))
        }
    )* };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Objects<D> {
    type Error = D::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_struct(name, fields, Reading { visitor, is_struct: true })
    }

    forward! {
        deserialize_any();
        deserialize_bool();
        deserialize_i8();
        deserialize_i16();
        deserialize_i32();
        deserialize_i64();
        deserialize_i128();
        deserialize_u8();
        deserialize_u16();
        deserialize_u32();
        deserialize_u64();
        deserialize_u128();
        deserialize_f32();
        deserialize_f64();
        deserialize_char();
        deserialize_str();
        deserialize_string();
        deserialize_bytes();
        deserialize_byte_buf();
        deserialize_option();
        deserialize_unit();
        deserialize_unit_struct(name: &'static str);
        deserialize_newtype_struct(name: &'static str);
        deserialize_seq();
        deserialize_tuple(length: usize);
        deserialize_tuple_struct(name: &'static str, length: usize);
        deserialize_map();
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
        deserialize_identifier();
        deserialize_ignored_any();
    }

    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }
}

macro_rules! visit {
    ($($method:ident($kind:ty);)*) => { $(
        fn $method<E: serde::de::Error>(self, value: $kind) -> Result<V::Value, E> {
            self.visitor.$method(value)
        }
    )* };
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Reading<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.visitor.expecting(f)
    }

    visit! {
        visit_bool(bool);
        visit_i64(i64);
        visit_i128(i128);
        visit_u64(u64);
        visit_u128(u128);
        visit_f64(f64);
        visit_str(&str);
        visit_borrowed_str(&'de str);
        visit_string(String);
        visit_bytes(&[u8]);
        visit_byte_buf(Vec<u8>);
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_none()
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_some(Objects(deserializer))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_newtype_struct(Objects(deserializer))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        match self.is_struct {
            true => Err(A::Error::invalid_type(Unexpected::Seq, &self.visitor)),
            false => self.visitor.visit_seq(Objects(access)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_map(Objects(access))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_enum(Objects(access))
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Objects<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(Objects(deserializer))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Objects<A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.0.next_element_seed(Objects(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Objects<A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        // A key is a text: nothing is read inside it.
        self.0.next_key_seed(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.0.next_value_seed(Objects(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: EnumAccess<'de>> EnumAccess<'de> for Objects<A> {
    type Error = A::Error;
    type Variant = Objects<A::Variant>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self::Variant), A::Error> {
        self.0.variant_seed(seed).map(|(name, variant)| (name, Objects(variant)))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Objects<A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.0.unit_variant()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        self.0.newtype_variant_seed(Objects(seed))
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, A::Error> {
        self.0.tuple_variant(length, any(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.0.struct_variant(fields, Reading { visitor, is_struct: true })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq, Eq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Point {
        x: u64,
        y: Option<i64>,
    }

    #[derive(Debug, PartialEq, Eq, Deserialize)]
    struct Wrapped(Point);

    #[derive(Debug, PartialEq, Eq, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Shape {
        Nothing,
        Dot(Point),
        Line { from: Point, to: Point },
        Pair(Point, u8),
    }

    #[derive(Debug, PartialEq, Eq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Everything {
        points: Vec<Point>,
        by_number: BTreeMap<u64, Point>,
        maybe: Option<Box<Point>>,
        wrapped: Wrapped,
        shapes: Vec<Shape>,
        pair: (u8, Point),
        free: Value,
        name: String,
        is_so: bool,
    }

    fn everything() -> Value {
        let point = json!({ "x": 1, "y": -2 });
        json!({
            "points": [point, { "x": 3 }],
            "by_number": { "7": point },
            "maybe": point,
            "wrapped": point,
            "shapes": ["nothing", { "dot": point }, { "line": { "from": point, "to": point } }, { "pair": [point, 1] }],
            "pair": [1, point],
            "free": [[1, 1.5], { "a": null }],
            "name": "x",
            "is_so": true,
        })
    }

    #[test]
    fn what_is_an_object_reads_as_it_does_without_this() {
        let plain: Everything = serde_json::from_value(everything()).unwrap();
        assert_eq!(into_type::<Everything>(everything()).unwrap(), plain);
        assert_eq!(from_text::<Everything>(&everything().to_string()).unwrap(), plain);
        let mut unknown = everything();
        unknown["more"] = json!(1);
        assert!(from_text::<Everything>(&unknown.to_string()).is_err());
        assert!(into_type::<Everything>(unknown).is_err());
        assert!(into_type::<Point>(json!({ "x": "1" })).is_err() && into_type::<Point>(json!({ "y": 1 })).is_err());
    }

    #[test]
    fn a_list_is_no_struct_wherever_it_stands() {
        let list = json!([1, -2]);
        assert!(serde_json::from_value::<Point>(list.clone()).is_ok(), "otherwise there is nothing to refuse");
        assert!(into_type::<Point>(list.clone()).unwrap_err().to_string().contains("sequence"));
        assert!(from_text::<Point>("[1,-2]").unwrap_err().to_string().contains("sequence"));
        for place in [
            "/points/0",
            "/by_number/7",
            "/maybe",
            "/wrapped",
            "/shapes/1/dot",
            "/shapes/2/line/from",
            "/shapes/3/pair/0",
            "/pair/1",
        ] {
            let mut value = everything();
            *value.pointer_mut(place).unwrap() = list.clone();
            assert!(serde_json::from_value::<Everything>(value.clone()).is_ok(), "{place}");
            assert!(from_text::<Everything>(&value.to_string()).is_err(), "{place}");
            assert!(into_type::<Everything>(value).is_err(), "{place}");
        }
    }
}
