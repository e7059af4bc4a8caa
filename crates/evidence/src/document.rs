//! JSON documents of other tools, read field by field.
//!
//! Every read says what type it expects, and every error says where, as a JSON pointer (RFC 6901). A key that
//! differs from the wanted one only in case is refused: some JSON readers would take it for the same key, and then
//! two readers would see two documents.

use std::fmt;

use lockgate_model::json::{self, MAX_SAFE_INTEGER, Numbers};
use lockgate_model::{Digest, Limits, UnixMillis};
use serde_json::{Map, Value};

use crate::error::{EvidenceError, excerpt};

/// Reads bytes as one strict JSON document within `limits`.
///
/// # Errors
/// `EVIDENCE_TOO_LARGE`, `DUPLICATE_KEY`, `JSON_TOO_DEEP`, `JSON_TOO_MANY` or `EVIDENCE_MALFORMED`.
pub(crate) fn parse(bytes: &[u8], limits: &Limits) -> Result<Value, EvidenceError> {
    check_size(bytes, limits)?;
    Ok(json::read(bytes, limits, Numbers::Any)?)
}

/// Refuses more bytes than `limits.evidence_bytes`.
///
/// # Errors
/// `EVIDENCE_TOO_LARGE`.
pub(crate) fn check_size(bytes: &[u8], limits: &Limits) -> Result<(), EvidenceError> {
    let fits = u64::try_from(bytes.len()).is_ok_and(|length| length <= limits.evidence_bytes);
    match fits {
        true => Ok(()),
        false => Err(EvidenceError::new(
            "EVIDENCE_TOO_LARGE",
            format!(
                "{} bytes are more than the limit of {} for one piece of evidence",
                bytes.len(),
                limits.evidence_bytes
            ),
        )),
    }
}

/// How long a label may be.
const LABEL_BYTES: usize = 512;

fn is_label(text: &str) -> bool {
    !text.trim().is_empty() && text.len() <= LABEL_BYTES && !text.chars().any(char::is_control)
}

/// One step from a value to a value inside it.
#[derive(Clone, Copy)]
enum Step<'a> {
    /// Where the walk begins, as a JSON pointer; empty for a whole document.
    Root(&'a str),
    Key(&'static str),
    Index(usize),
}

/// Where a value stands; shown as a JSON pointer.
#[derive(Clone, Copy)]
struct Place<'a> {
    parent: Option<&'a Place<'a>>,
    step: Step<'a>,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match self.step {
            Step::Root(pointer) => f.write_str(pointer),
            Step::Key(key) => write!(f, "/{key}"),
            Step::Index(index) => write!(f, "/{index}"),
        }
    }
}

fn at(place: &Place<'_>, message: &str) -> EvidenceError {
    let pointer = place.to_string();
    match pointer.is_empty() {
        true => EvidenceError::malformed(format!("the document {message}")),
        false => EvidenceError::malformed(format!("`{pointer}` {message}")),
    }
}

fn wrong(place: &Place<'_>, wanted: &str, found: &Value) -> EvidenceError {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    at(place, &format!("must be {wanted}, not {found}"))
}

/// A JSON object and where it stands.
#[derive(Clone, Copy)]
pub(crate) struct Object<'a> {
    fields: &'a Map<String, Value>,
    place: Place<'a>,
    /// Every key is a known one, so that none differs from another only in case.
    is_closed: bool,
}

impl<'a> Object<'a> {
    /// Takes a whole document, which must be an object.
    pub(crate) fn root(value: &'a Value) -> Result<Self, EvidenceError> {
        Self::part(value, "")
    }

    /// Takes a part of a document that stands at a JSON pointer, and must be an object.
    pub(crate) fn part(value: &'a Value, pointer: &'a str) -> Result<Self, EvidenceError> {
        Self::new(value, Place { parent: None, step: Step::Root(pointer) })
    }

    /// Where it stands, as a JSON pointer.
    pub(crate) fn pointer(&self) -> String {
        self.place.to_string()
    }

    fn new(value: &'a Value, place: Place<'a>) -> Result<Self, EvidenceError> {
        match value {
            Value::Object(fields) => Ok(Self { fields, place, is_closed: false }),
            other => Err(wrong(&place, "an object", other)),
        }
    }

    fn inside(&self, key: &'static str) -> Place<'_> {
        Place { parent: Some(&self.place), step: Step::Key(key) }
    }

    /// An error about this object; `message` goes on after its place.
    pub(crate) fn fault(&self, message: &str) -> EvidenceError {
        at(&self.place, message)
    }

    /// An error about one of its fields; `message` goes on after the field's place.
    pub(crate) fn fault_at(&self, key: &'static str, message: &str) -> EvidenceError {
        at(&self.inside(key), message)
    }

    /// All fields, for objects whose keys are data.
    pub(crate) fn fields(&self) -> &'a Map<String, Value> {
        self.fields
    }

    /// A field of any type.
    pub(crate) fn value(&self, key: &'static str) -> Result<Option<&'a Value>, EvidenceError> {
        let is_twin = |other: &&String| other.eq_ignore_ascii_case(key) && other.as_str() != key;
        let twin = if self.is_closed { None } else { self.fields.keys().find(is_twin) };
        match twin {
            None => Ok(self.fields.get(key)),
            Some(twin) => Err(EvidenceError::new(
                "DUPLICATE_KEY",
                self.fault(&format!("has a key `{twin}`, which differs from `{key}` only in case")).message,
            )),
        }
    }

    /// A string.
    pub(crate) fn text(&self, key: &'static str) -> Result<Option<&'a str>, EvidenceError> {
        match self.value(key)? {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(other) => Err(wrong(&self.inside(key), "a string", other)),
        }
    }

    /// A string in which an empty one stands for none.
    pub(crate) fn text_or_empty(&self, key: &'static str) -> Result<Option<&'a str>, EvidenceError> {
        Ok(self.text(key)?.map(str::trim).filter(|text| !text.is_empty()))
    }

    /// A string that must be there and must not be empty.
    pub(crate) fn required_text(&self, key: &'static str) -> Result<&'a str, EvidenceError> {
        match self.text(key)? {
            Some(text) if !text.trim().is_empty() => Ok(text),
            Some(_) => Err(self.fault_at(key, "must not be empty")),
            None => Err(self.fault(&format!("has no `{key}`"))),
        }
    }

    /// A short text that is compared or shown as it is: at most 512 bytes, no control characters, not empty.
    pub(crate) fn label(&self, key: &'static str) -> Result<Option<&'a str>, EvidenceError> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        match is_label(text) {
            true => Ok(Some(text)),
            false => {
                Err(self.fault_at(key, &format!("must be 1 to {LABEL_BYTES} bytes of text without control characters")))
            }
        }
    }

    /// A label that must be there.
    pub(crate) fn required_label(&self, key: &'static str) -> Result<&'a str, EvidenceError> {
        self.label(key)?.ok_or_else(|| self.fault(&format!("has no `{key}`")))
    }

    /// A list of labels; an absent one is empty.
    pub(crate) fn labels(&self, key: &'static str) -> Result<Vec<String>, EvidenceError> {
        let Some(list) = self.list(key)? else { return Ok(Vec::new()) };
        let mut labels = Vec::new();
        for text in list.texts() {
            let text = text?;
            if !is_label(text) {
                return Err(self.fault_at(key, &format!("must hold texts of 1 to {LABEL_BYTES} bytes")));
            }
            labels.push(text.to_owned());
        }
        Ok(labels)
    }

    /// A whole number from 0 to 2^53 - 1.
    pub(crate) fn count(&self, key: &'static str) -> Result<Option<u64>, EvidenceError> {
        let Some(value) = self.value(key)? else { return Ok(None) };
        match value.as_u64() {
            Some(number) if number <= MAX_SAFE_INTEGER => Ok(Some(number)),
            _ if value.is_number() => {
                Err(self.fault_at(key, &format!("must be a whole number from 0 to {MAX_SAFE_INTEGER}")))
            }
            _ => Err(wrong(&self.inside(key), "a whole number", value)),
        }
    }

    /// A whole number that must be there.
    pub(crate) fn required_count(&self, key: &'static str) -> Result<u64, EvidenceError> {
        self.count(key)?.ok_or_else(|| self.fault(&format!("has no `{key}`")))
    }

    /// A digest as `sha256:` and 64 lower-case hex digits.
    pub(crate) fn digest(&self, key: &'static str) -> Result<Option<Digest>, EvidenceError> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        match text.parse::<Digest>() {
            Ok(digest) => Ok(Some(digest)),
            Err(_) => Err(self.fault_at(key, "must be `sha256:` and 64 lower-case hex digits")),
        }
    }

    /// A digest that must be there.
    pub(crate) fn required_digest(&self, key: &'static str) -> Result<Digest, EvidenceError> {
        self.digest(key)?.ok_or_else(|| self.fault(&format!("has no `{key}`")))
    }

    /// Refuses fields other than these: in documents of Lockgate's own a field that nobody reads is a mistake.
    pub(crate) fn only(&self, known: &[&str]) -> Result<(), EvidenceError> {
        match self.fields.keys().find(|key| !known.contains(&key.as_str())) {
            None => Ok(()),
            Some(other) => Err(self.fault(&format!(
                "has a field `{}` that the format does not have: use {}",
                excerpt(other),
                known.join(", ")
            ))),
        }
    }

    /// The same object, of which no field but these is left to look for; of these no two differ only in case.
    ///
    /// # Errors
    /// As [`Self::only`].
    pub(crate) fn closed(self, known: &[&str]) -> Result<Self, EvidenceError> {
        self.only(known)?;
        Ok(Self { is_closed: true, ..self })
    }

    /// A boolean.
    pub(crate) fn flag(&self, key: &'static str) -> Result<Option<bool>, EvidenceError> {
        match self.value(key)? {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(other) => Err(wrong(&self.inside(key), "a boolean", other)),
        }
    }

    /// A position in a list; -1 stands for none, as in SARIF 2.1.0.
    pub(crate) fn position(&self, key: &'static str) -> Result<Option<usize>, EvidenceError> {
        let Some(value) = self.value(key)? else { return Ok(None) };
        match value.as_i64() {
            Some(-1) => Ok(None),
            Some(number) => match usize::try_from(number) {
                Ok(position) => Ok(Some(position)),
                Err(_) => Err(self.fault_at(key, "must not be below -1")),
            },
            None => Err(wrong(&self.inside(key), "an integer", value)),
        }
    }

    /// A list.
    pub(crate) fn list(&self, key: &'static str) -> Result<Option<List<'_>>, EvidenceError> {
        match self.value(key)? {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(List { items: items.as_slice(), place: self.inside(key) })),
            Some(other) => Err(wrong(&self.inside(key), "a list", other)),
        }
    }

    /// A list where null stands for an empty one: in in-toto field types, and as programs in Go write it.
    pub(crate) fn list_or_null(&self, key: &'static str) -> Result<Option<List<'_>>, EvidenceError> {
        match self.value(key)? {
            Some(Value::Null) => Ok(None),
            _ => self.list(key),
        }
    }

    /// A list that must be there.
    pub(crate) fn required_list(&self, key: &'static str) -> Result<List<'_>, EvidenceError> {
        self.list(key)?.ok_or_else(|| self.fault(&format!("has no `{key}`")))
    }

    /// An object.
    pub(crate) fn object(&self, key: &'static str) -> Result<Option<Object<'_>>, EvidenceError> {
        self.value(key)?.map(|value| Object::new(value, self.inside(key))).transpose()
    }

    /// An object where null stands for an empty one: in in-toto field types, and as programs in Go write it.
    pub(crate) fn object_or_null(&self, key: &'static str) -> Result<Option<Object<'_>>, EvidenceError> {
        match self.value(key)? {
            Some(Value::Null) => Ok(None),
            _ => self.object(key),
        }
    }

    /// An object that must be there.
    pub(crate) fn required_object(&self, key: &'static str) -> Result<Object<'_>, EvidenceError> {
        self.object(key)?.ok_or_else(|| self.fault(&format!("has no `{key}`")))
    }

    /// An object in a place where a format leaves the type open; none when it is of another type.
    pub(crate) fn any_object(&self, key: &'static str) -> Result<Option<Object<'_>>, EvidenceError> {
        match self.value(key)? {
            Some(Value::Object(fields)) => Ok(Some(Object { fields, place: self.inside(key), is_closed: false })),
            _ => Ok(None),
        }
    }

    /// A string in a place where a format leaves the type open; none when it is of another type, or empty.
    pub(crate) fn any_text(&self, key: &'static str) -> Result<Option<&'a str>, EvidenceError> {
        Ok(self.value(key)?.and_then(Value::as_str).filter(|text| !text.is_empty()))
    }

    /// A moment in RFC 3339 with a zone.
    ///
    /// # Errors
    /// `EVIDENCE_TIME` when the text is not one, or lies before 1970.
    pub(crate) fn moment(&self, key: &'static str) -> Result<Option<UnixMillis>, EvidenceError> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        match text.parse::<UnixMillis>() {
            Ok(moment) => Ok(Some(moment)),
            Err(_) => Err(EvidenceError::new(
                "EVIDENCE_TIME",
                self.fault_at(key, &format!("is `{}`, not a time in RFC 3339 with a zone", excerpt(text))).message,
            )),
        }
    }

    /// A moment as programs in Go write it: an empty text or the year 1 stand for none.
    pub(crate) fn moment_or_zero(&self, key: &'static str) -> Result<Option<UnixMillis>, EvidenceError> {
        match self.text(key)? {
            Some("" | "0001-01-01T00:00:00Z") => Ok(None),
            _ => self.moment(key),
        }
    }

    /// The end of a stretch of time whose start, where it is given, must not be later.
    ///
    /// # Errors
    /// `EVIDENCE_TIME` when a time does not parse, or the end lies before the start.
    pub(crate) fn end_of(&self, start: &'static str, end: &'static str) -> Result<Option<UnixMillis>, EvidenceError> {
        let (started, ended) = (self.moment(start)?, self.moment(end)?);
        match (started, ended) {
            (Some(started), Some(ended)) if ended < started => Err(EvidenceError::new(
                "EVIDENCE_TIME",
                self.fault_at(end, &format!("is {ended}, before `{start}`, which is {started}")).message,
            )),
            _ => Ok(ended),
        }
    }
}

/// A JSON list and where it stands.
#[derive(Clone, Copy)]
pub(crate) struct List<'a> {
    items: &'a [Value],
    place: Place<'a>,
}

impl<'a> List<'a> {
    /// Takes a whole document, which must be a list.
    pub(crate) fn root(value: &'a Value) -> Result<Self, EvidenceError> {
        let place = Place { parent: None, step: Step::Root("") };
        match value {
            Value::Array(items) => Ok(Self { items: items.as_slice(), place }),
            other => Err(wrong(&place, "a list", other)),
        }
    }
}

impl List<'_> {
    /// How many items it has.
    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether it has none.
    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    fn inside(&self, index: usize) -> Place<'_> {
        Place { parent: Some(&self.place), step: Step::Index(index) }
    }

    /// Its items, each of which must be an object.
    pub(crate) fn objects(&self) -> impl Iterator<Item = Result<Object<'_>, EvidenceError>> {
        self.items.iter().enumerate().map(move |(index, item)| Object::new(item, self.inside(index)))
    }

    /// Its items, each of which must be a string.
    pub(crate) fn texts(&self) -> impl Iterator<Item = Result<&str, EvidenceError>> {
        self.items.iter().enumerate().map(move |(index, item)| match item {
            Value::String(text) => Ok(text.as_str()),
            other => Err(wrong(&self.inside(index), "a string", other)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn errors_say_where() {
        let value = json!({"a": [{"b": 1}]});
        let root = Object::root(&value).unwrap();
        let list = root.required_list("a").unwrap();
        let item = list.objects().next().unwrap().unwrap();
        assert_eq!(item.text("b").unwrap_err().message, "`/a/0/b` must be a string, not a number");
        assert_eq!(item.required_text("c").unwrap_err().message, "`/a/0` has no `c`");
        assert_eq!(root.required_text("c").unwrap_err().message, "the document has no `c`");
        assert_eq!(Object::root(&json!([])).err().unwrap().message, "the document must be an object, not a list");
    }

    #[test]
    fn keys_that_differ_only_in_case_are_refused() {
        let value = json!({"subject": 1, "Subject": 2});
        assert_eq!(Object::root(&value).unwrap().value("subject").unwrap_err().code, "DUPLICATE_KEY");
        let value = json!({"SUBJECT": 2});
        assert_eq!(Object::root(&value).unwrap().value("subject").unwrap_err().code, "DUPLICATE_KEY");
    }

    #[test]
    fn times_need_a_zone_and_an_order() {
        let check = |start: &str, end: &str| {
            let value = json!({"start": start, "end": end});
            Object::root(&value).unwrap().end_of("start", "end").map_err(|error| error.code)
        };
        assert!(check("2026-11-21T09:00:00Z", "2026-11-21T09:00:00Z").unwrap().is_some());
        assert_eq!(check("2026-11-21T09:00:01Z", "2026-11-21T09:00:00Z"), Err("EVIDENCE_TIME"));
        assert_eq!(check("2026-11-21T09:00:00", "2026-11-21T09:00:00Z"), Err("EVIDENCE_TIME"));
        assert_eq!(check("2026-11-21T09:00:00Z", "soon"), Err("EVIDENCE_TIME"));
    }

    #[test]
    fn size_is_checked_before_anything_else() {
        let limits = Limits { evidence_bytes: 3, ..Limits::DEFAULT };
        assert!(parse(b"{ }", &limits).is_ok());
        assert_eq!(parse(b"{  }", &limits).unwrap_err().code, "EVIDENCE_TOO_LARGE");
    }
}
