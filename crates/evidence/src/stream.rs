//! Documents of other tools, read in one pass and kept only as far as a reader wants them.
//!
//! A [`Shape`] says what to keep. Everything else is checked as strictly (duplicate keys, depth, counts, UTF-8) and
//! dropped, and the items of long lists are handed out one by one, so that a report of any length needs memory for one
//! item, for what its reader remembers of the others, and for the longest string.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, Read};

use lockgate_model::{JsonError, Limits};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::document::check_size;
use crate::error::EvidenceError;

/// What to keep of a value.
#[derive(Debug)]
pub(crate) enum Shape {
    /// All of it.
    Whole,
    /// Of an object, these keys.
    Fields(&'static [(&'static str, Shape)]),
    /// Of a list, this of every item.
    Each(&'static Shape),
    /// Of a list, nothing: this of every item is handed out, under the list's name.
    Stream(&'static str, &'static Shape),
}

/// Where a document comes from.
pub(crate) enum Source<'a> {
    /// Bytes in memory.
    Bytes(&'a [u8]),
    /// Bytes that are read as they are needed.
    Reader(&'a mut dyn Read),
    /// A part of a document that has been read strictly before.
    Value(&'a Value),
}

impl<'a> From<&'a Value> for Source<'a> {
    fn from(value: &'a Value) -> Self {
        Self::Value(value)
    }
}

impl<'a> From<&'a [u8]> for Source<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(bytes)
    }
}

/// One item of a list that is handed out.
pub(crate) struct Item<'a> {
    /// The list's name in the shape.
    pub(crate) list: &'static str,
    /// The positions in the lists on the way, the item's own last.
    pub(crate) path: &'a [usize],
    /// Where it stands, as a JSON pointer.
    pub(crate) pointer: &'a str,
    /// What was kept of it.
    pub(crate) value: Value,
}

/// What takes the items.
pub(crate) type Sink<'a> = &'a mut dyn FnMut(Item<'_>) -> Result<(), EvidenceError>;

/// What was kept of a document. Lists that were handed out are empty in it.
#[derive(Debug)]
pub(crate) struct Document {
    /// The document.
    pub(crate) value: Value,
    fault: Option<EvidenceError>,
}

impl Document {
    /// The first error of an item. It is held back until the reader has looked at the document itself, because in a
    /// version that is not read the items mean something else.
    pub(crate) fn check_items(&self) -> Result<(), EvidenceError> {
        match &self.fault {
            Some(fault) => Err(fault.clone()),
            None => Ok(()),
        }
    }
}

/// Reads a document in one pass.
///
/// # Errors
/// `EVIDENCE_TOO_LARGE`, `EVIDENCE_READ`, `DUPLICATE_KEY`, `JSON_TOO_DEEP`, `JSON_TOO_MANY` or `EVIDENCE_MALFORMED`.
pub(crate) fn read(
    source: Source<'_>,
    shape: &'static Shape,
    limits: &Limits,
    sink: Sink<'_>,
) -> Result<Document, EvidenceError> {
    let mut walk = Walk { limits, sink, fault: None, path: Vec::new(), pointer: String::new() };
    let seed = Seed { walk: &mut walk, want: Want::Keep(shape), depth: 0 };
    let value = match source {
        Source::Value(value) => seed.deserialize(value).map_err(from_serde)?,
        Source::Bytes(bytes) => {
            check_size(bytes, limits)?;
            whole(serde_json::Deserializer::from_slice(bytes), seed).map_err(from_serde)?
        }
        Source::Reader(reader) => {
            let mut counted = Counted { reader, left: limits.evidence_bytes, exceeded: false };
            let buffered = io::BufReader::with_capacity(64 * 1024, &mut counted);
            let read = whole(serde_json::Deserializer::from_reader(buffered), seed);
            if counted.exceeded {
                return Err(EvidenceError::new(
                    "EVIDENCE_TOO_LARGE",
                    format!("more bytes than the limit of {} for one piece of evidence", limits.evidence_bytes),
                ));
            }
            read.map_err(from_serde)?
        }
    };
    Ok(Document { value, fault: walk.fault })
}

fn whole<'de, R: serde_json::de::Read<'de>>(
    mut deserializer: serde_json::Deserializer<R>,
    seed: Seed<'_, '_>,
) -> Result<Value, serde_json::Error> {
    let value = seed.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

fn from_serde(error: serde_json::Error) -> EvidenceError {
    let text = error.to_string();
    if error.is_io() {
        return EvidenceError::new("EVIDENCE_READ", format!("the evidence cannot be read to its end: {text}"));
    }
    for code in ["DUPLICATE_KEY", "JSON_TOO_DEEP", "JSON_TOO_MANY"] {
        if let Some(message) = text.strip_prefix(code) {
            return JsonError { code, message: message.trim_start_matches(": ").to_owned() }.into();
        }
    }
    let code = if text.contains("recursion limit") { "JSON_TOO_DEEP" } else { "JSON_INVALID" };
    JsonError { code, message: text }.into()
}

/// A reader that ends in an error after so many bytes.
struct Counted<'a> {
    reader: &'a mut dyn Read,
    left: u64,
    exceeded: bool,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        match self.left.checked_sub(u64::try_from(count).unwrap_or(u64::MAX)) {
            Some(left) => {
                self.left = left;
                Ok(count)
            }
            None => {
                self.exceeded = true;
                Err(io::Error::other("too many bytes"))
            }
        }
    }
}

struct Walk<'a> {
    limits: &'a Limits,
    sink: Sink<'a>,
    fault: Option<EvidenceError>,
    path: Vec<usize>,
    pointer: String,
}

impl Walk<'_> {
    fn hand_out(&mut self, list: &'static str, value: Value) {
        if self.fault.is_some() {
            return;
        }
        let item = Item { list, path: &self.path, pointer: &self.pointer, value };
        if let Err(fault) = (self.sink)(item) {
            self.fault = Some(fault);
        }
    }

    fn enter_key(&mut self, key: &str) {
        self.pointer.push('/');
        match key.contains(['~', '/']) {
            true => self.pointer.push_str(&key.replace('~', "~0").replace('/', "~1")),
            false => self.pointer.push_str(key),
        }
    }

    fn enter_index(&mut self, index: usize) {
        self.path.push(index);
        let _ = write!(self.pointer, "/{index}");
    }
}

#[derive(Clone, Copy)]
enum Want {
    /// Check it and drop it.
    Skip,
    Keep(&'static Shape),
}

impl Want {
    /// What is wanted of a field, and whether its key is kept.
    ///
    /// A key that differs from a wanted one only in case is kept without its value, so that the reader refuses it.
    fn field(self, key: &str) -> (Self, bool) {
        match self {
            Self::Keep(Shape::Whole) => (self, true),
            Self::Keep(Shape::Fields(fields)) => {
                if let Some((_, shape)) = fields.iter().find(|(name, _)| *name == key) {
                    return (Self::Keep(shape), true);
                }
                (Self::Skip, fields.iter().any(|(name, _)| name.eq_ignore_ascii_case(key)))
            }
            _ => (Self::Skip, false),
        }
    }

    fn item(self) -> Self {
        match self {
            Self::Keep(Shape::Whole) => self,
            Self::Keep(Shape::Each(shape) | Shape::Stream(_, shape)) => Self::Keep(shape),
            _ => Self::Skip,
        }
    }

    /// Whether places below are worth a pointer.
    fn is_tracked(self) -> bool {
        matches!(self, Self::Keep(Shape::Fields(_) | Shape::Each(_) | Shape::Stream(..)))
    }
}

struct Seed<'s, 'w> {
    walk: &'s mut Walk<'w>,
    want: Want,
    depth: usize,
}

impl Seed<'_, '_> {
    fn deeper<E: serde::de::Error>(&self) -> Result<usize, E> {
        let limit = self.walk.limits.json_depth;
        match self.depth < limit {
            true => Ok(self.depth + 1),
            false => Err(E::custom(format!("JSON_TOO_DEEP: nested deeper than {limit}"))),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_, '_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_, '_> {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }
    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom(format!("{value} is not a JSON number")))
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        match self.want {
            Want::Skip => Ok(Value::Null),
            Want::Keep(_) => Ok(Value::String(value.to_owned())),
        }
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let depth = self.deeper()?;
        let Self { walk, want, .. } = self;
        let (mark, steps) = (walk.pointer.len(), walk.path.len());
        let limit = walk.limits.json_items;
        let mut kept = Vec::new();
        let mut count = 0;
        loop {
            if want.is_tracked() {
                walk.enter_index(count);
            }
            let next = access.next_element_seed(Seed { walk: &mut *walk, want: want.item(), depth })?;
            let Some(value) = next else { break };
            if count >= limit {
                return Err(A::Error::custom(format!("JSON_TOO_MANY: over {limit} items")));
            }
            match want {
                Want::Keep(Shape::Whole | Shape::Each(_)) => kept.push(value),
                Want::Keep(Shape::Stream(list, _)) => walk.hand_out(list, value),
                _ => {}
            }
            walk.pointer.truncate(mark);
            walk.path.truncate(steps);
            count += 1;
        }
        walk.pointer.truncate(mark);
        walk.path.truncate(steps);
        Ok(Value::Array(kept))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let depth = self.deeper()?;
        let Self { walk, want, .. } = self;
        let mark = walk.pointer.len();
        let limit = walk.limits.json_keys;
        let mut kept = Map::new();
        let mut keys = Keys::default();
        while let Some(key) = access.next_key_seed(Key)? {
            if keys.count >= limit {
                return Err(A::Error::custom(format!("JSON_TOO_MANY: over {limit} keys")));
            }
            let (wanted, is_kept) = want.field(&key);
            if want.is_tracked() && matches!(wanted, Want::Keep(_)) {
                walk.enter_key(&key);
            }
            let value = access.next_value_seed(Seed { walk: &mut *walk, want: wanted, depth })?;
            walk.pointer.truncate(mark);
            if is_kept {
                let value = match wanted {
                    Want::Skip => Value::Null,
                    Want::Keep(_) => value,
                };
                kept.insert(key.clone().into_owned(), value);
            }
            if let Err(key) = keys.insert(key) {
                return Err(A::Error::custom(format!("DUPLICATE_KEY: the key `{key}` stands twice in one object")));
            }
        }
        Ok(Value::Object(kept))
    }
}

/// The keys of one object so far.
#[derive(Default)]
struct Keys<'de> {
    few: Vec<Cow<'de, str>>,
    many: BTreeSet<Cow<'de, str>>,
    count: usize,
}

impl<'de> Keys<'de> {
    /// Up to here a list is faster than a tree.
    const FEW: usize = 16;

    /// Gives a key back that is there already.
    fn insert(&mut self, key: Cow<'de, str>) -> Result<(), Cow<'de, str>> {
        self.count += 1;
        if self.many.is_empty() && self.few.len() < Self::FEW {
            if self.few.contains(&key) {
                return Err(key);
            }
            if self.few.is_empty() {
                // Most objects have a few keys more than one; growing one by one would cost as much as reading them.
                self.few.reserve(Self::FEW / 2);
            }
            self.few.push(key);
            return Ok(());
        }
        self.many.extend(self.few.drain(..));
        match self.many.contains(&key) {
            true => Err(key),
            false => {
                self.many.insert(key);
                Ok(())
            }
        }
    }
}

/// Reads a key, borrowed where that is possible.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a key")
    }
    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(value))
    }
    fn visit_str<E>(self, value: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(value.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    static ITEM: Shape = Shape::Fields(&[("id", Shape::Whole)]);
    static SHAPE: Shape = Shape::Fields(&[
        ("version", Shape::Whole),
        ("runs", Shape::Each(&Shape::Fields(&[("results", Shape::Stream("result", &ITEM))]))),
    ]);

    fn walk(source: Source<'_>, limits: &Limits) -> Result<(Value, Vec<String>), EvidenceError> {
        let mut seen = Vec::new();
        let document = read(source, &SHAPE, limits, &mut |item| {
            seen.push(format!("{} {:?} {} {}", item.list, item.path, item.pointer, item.value));
            match item.value.get("id") {
                Some(Value::Null) => Err(EvidenceError::malformed("null")),
                _ => Ok(()),
            }
        })?;
        document.check_items()?;
        Ok((document.value, seen))
    }

    #[test]
    fn keeps_what_is_wanted_and_hands_out_items() {
        let text =
            r#"{"x":{"id":[1.5,"y"]},"runs":[{"results":[]},{"results":[{"id":1,"z":{}},{"id":2},3]}],"Version":0}"#;
        let expected = json!({"runs": [{"results": []}, {"results": []}], "Version": null});
        let value: Value = serde_json::from_str(text).unwrap();
        let mut reader = text.as_bytes();
        for source in [Source::Bytes(text.as_bytes()), Source::Reader(&mut reader), Source::Value(&value)] {
            let (kept, seen) = walk(source, &Limits::DEFAULT).unwrap();
            assert_eq!(kept, expected);
            assert_eq!(
                seen,
                [
                    r#"result [1, 0] /runs/1/results/0 {"id":1}"#,
                    r#"result [1, 1] /runs/1/results/1 {"id":2}"#,
                    "result [1, 2] /runs/1/results/2 3",
                ]
            );
        }
    }

    #[test]
    fn what_is_dropped_is_checked_all_the_same() {
        let check = |text: &str, code: &str| {
            let limits = Limits { json_items: 3, json_keys: 20, json_depth: 5, ..Limits::DEFAULT };
            let found = walk(Source::Bytes(text.as_bytes()), &limits).unwrap_err();
            assert_eq!(found.code, code, "{text}");
            let mut reader = text.as_bytes();
            assert_eq!(walk(Source::Reader(&mut reader), &limits).unwrap_err().code, code, "{text}");
        };
        check(r#"{"x":{"a":1,"a":1}}"#, "DUPLICATE_KEY");
        check(r#"{"x":1,"\u0078":1}"#, "DUPLICATE_KEY");
        check(r#"{"x":[[[[[1]]]]]}"#, "JSON_TOO_DEEP");
        check(r#"{"x":[1,2,3,4]}"#, "JSON_TOO_MANY");
        let many: Vec<String> = (0..21).map(|number| format!("\"k{number}\":1")).collect();
        check(&format!("{{\"x\":{{{}}}}}", many.join(",")), "JSON_TOO_MANY");
        let twice: Vec<String> = (0..19).chain([3]).map(|number| format!("\"k{number}\":1")).collect();
        check(&format!("{{\"x\":{{{}}}}}", twice.join(",")), "DUPLICATE_KEY");
        check(r#"{"x":"\ud800"}"#, "EVIDENCE_MALFORMED");
        check(r#"{"x":1e999}"#, "EVIDENCE_MALFORMED");
        check(r#"{"x":1} 2"#, "EVIDENCE_MALFORMED");
        check(r#"{"x":1"#, "EVIDENCE_MALFORMED");
        check("", "EVIDENCE_MALFORMED");
        check(r#"{"runs":[{"results":[{"id":null},{"id":1}]}]}"#, "EVIDENCE_MALFORMED");
        assert!(walk(Source::Bytes(b"{\"x\":\"\xff\"}"), &Limits::DEFAULT).is_err());
        let small = Limits { evidence_bytes: 3, ..Limits::DEFAULT };
        assert!(walk(Source::Reader(&mut b"{ }".as_slice()), &small).is_ok());
        assert_eq!(walk(Source::Reader(&mut b"{  }".as_slice()), &small).unwrap_err().code, "EVIDENCE_TOO_LARGE");
    }

    #[test]
    fn another_type_than_wanted_shows() {
        let check = |text: &str, expected: Value| {
            assert_eq!(walk(Source::Bytes(text.as_bytes()), &Limits::DEFAULT).unwrap().0, expected, "{text}");
        };
        check("[1,2]", json!([]));
        check(r#"{"runs":{"results":[{"id":1}]}}"#, json!({"runs": {}}));
        check(r#"{"runs":[["results"],null,"a"]}"#, json!({"runs": [[], null, "a"]}));
        check(r#"{"runs":[{"results":null}]}"#, json!({"runs": [{"results": null}]}));
    }
}
