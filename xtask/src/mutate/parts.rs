//! Parts: where the fields of a JSON document, or the lines of a text, stand in its bytes, so that one of them can be
//! changed while every other byte stays.

use std::collections::BTreeMap;
use std::ops::Range;

use super::inside;

/// How deep a document is looked into.
const DEPTH_MAX: usize = 64;

/// What a valid thing is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One JSON value.
    Json,
    /// Lines, each ended by a line feed.
    Lines,
    /// One JSON value, with what stands in it in base64 taken out.
    JsonInside,
    /// Lines, with what ends them in base64 taken out.
    LinesInside,
    /// Bytes that are looked at one by one.
    Bytes,
}

/// A field, an item, or a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its JSON pointer, with `#N` for a line of a text in it and `!` for what its base64 holds; or `#N` alone.
    pub name: String,
    /// Where it is, with its key.
    pub whole: Range<usize>,
    /// Where its value is.
    pub value: Range<usize>,
    /// What goes when it goes: it and a comma.
    pub gone: Range<usize>,
    /// Where the value of its neighbour is.
    pub next: Option<Range<usize>>,
    /// What stands between two of its kind.
    pub separator: &'static str,
    /// What says nothing in its place.
    pub nothing: &'static str,
}

/// Bytes with their parts.
#[derive(Debug, Clone)]
pub struct Document {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The parts; none of bytes that are not in that form.
    pub parts: Vec<Part>,
}

impl Document {
    /// Finds the parts of some bytes, of which the insides are taken out where the form has any.
    pub fn read(bytes: Vec<u8>, form: Form) -> Self {
        let parts = match form {
            Form::Json | Form::JsonInside => {
                Scanner { bytes: &bytes, at: 0, parts: Vec::new() }.document().unwrap_or_default()
            }
            Form::Lines | Form::LinesInside => lines("", &bytes, 0..bytes.len(), false),
            Form::Bytes => Vec::new(),
        };
        Self { bytes, parts }
    }

    /// The values by name.
    pub fn values(&self) -> BTreeMap<String, Vec<u8>> {
        let value = |part: &Part| (part.name.clone(), self.bytes.get(part.value.clone()).unwrap_or_default().to_vec());
        self.parts.iter().map(value).collect()
    }
}

/// A field or item of one object or array.
struct Sibling {
    name: String,
    whole: Range<usize>,
    value: Range<usize>,
}

/// The parts of one object, array or text, in its order.
fn parts_of(siblings: &[Sibling], separator: &'static str, nothing: &'static str) -> Vec<Part> {
    let part = |(at, own): (usize, &Sibling)| {
        let before = at.checked_sub(1).and_then(|at| siblings.get(at));
        let next = siblings.get(at + 1);
        let gone = match (next, before) {
            (Some(next), _) => own.whole.start..next.whole.start,
            (None, Some(before)) if !separator.is_empty() => before.whole.end..own.whole.end,
            _ => own.whole.clone(),
        };
        Part {
            name: own.name.clone(),
            whole: own.whole.clone(),
            value: own.value.clone(),
            gone,
            next: next.map(|next| next.value.clone()),
            separator,
            nothing,
        }
    };
    siblings.iter().enumerate().map(part).collect()
}

/// The lines within a range of bytes; `escaped` ones end with `\n` in two characters, as in a JSON text.
fn lines(name: &str, bytes: &[u8], range: Range<usize>, escaped: bool) -> Vec<Part> {
    let (mut siblings, mut start, mut at) = (Vec::new(), range.start, range.start);
    while at < range.end {
        let end = match (escaped, bytes.get(at), bytes.get(at + 1)) {
            (false, Some(b'\n'), _) => Some(at + 1),
            (true, Some(b'\\'), Some(b'n')) => Some(at + 2),
            _ => None,
        };
        let is_escape = escaped && bytes.get(at) == Some(&b'\\');
        at += if is_escape { 2 } else { 1 };
        if end.is_some() || at >= range.end {
            let whole = start..end.unwrap_or(range.end);
            start = whole.end;
            siblings.push(Sibling { name: format!("{name}#{}", siblings.len()), value: whole.clone(), whole });
        }
    }
    parts_of(&siblings, "", if escaped { "\\n" } else { "\n" })
}

/// Walks through JSON text that a parser would accept; gives up at any other.
struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    parts: Vec<Part>,
}

impl Scanner<'_> {
    fn document(mut self) -> Option<Vec<Part>> {
        let value = self.value("", DEPTH_MAX)?;
        self.space();
        let root = Sibling { name: String::new(), whole: value.clone(), value };
        self.parts.extend(parts_of(&[root], ",", "null"));
        (self.at == self.bytes.len()).then_some(self.parts)
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while self.peek().is_some_and(|byte| b" \t\r\n".contains(&byte)) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.peek() == Some(byte)).then(|| self.at += 1)
    }

    fn value(&mut self, name: &str, depth: usize) -> Option<Range<usize>> {
        self.space();
        let start = self.at;
        match self.peek()? {
            b'{' => self.siblings(name, b'}', depth.checked_sub(1)?)?,
            b'[' => self.siblings(name, b']', depth.checked_sub(1)?)?,
            inside::OPEN | inside::OPEN_BYTES => self.inside(name, depth.checked_sub(1)?)?,
            b'"' => {
                let text = self.text()?;
                let inner = lines(name, self.bytes, text, true);
                if inner.len() > 1 {
                    self.parts.extend(inner);
                }
            }
            _ => {
                while self.peek().is_some_and(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)) {
                    self.at += 1;
                }
            }
        }
        (self.at > start).then_some(start..self.at)
    }

    /// What was taken out of base64: JSON with its own parts, or bytes.
    fn inside(&mut self, name: &str, depth: usize) -> Option<()> {
        let is_json = self.peek()? == inside::OPEN;
        self.at += 1;
        let name = format!("{name}!");
        let value = if is_json {
            let value = self.value(&name, depth)?;
            self.space();
            value
        } else {
            let start = self.at;
            while self.peek()? != inside::CLOSE {
                self.at += if self.peek()? == inside::ESCAPE { 2 } else { 1 };
            }
            start..self.at
        };
        self.expect(inside::CLOSE)?;
        self.parts.extend(parts_of(&[Sibling { name, whole: value.clone(), value }], ",", "null"));
        Some(())
    }

    /// A text with its quotes; gives where it is without them.
    fn text(&mut self) -> Option<Range<usize>> {
        self.expect(b'"')?;
        let start = self.at;
        loop {
            match self.peek()? {
                b'"' => break,
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        Some(start..self.at - 1)
    }

    /// The fields of an object, or the items of an array, up to where it closes.
    fn siblings(&mut self, name: &str, close: u8, depth: usize) -> Option<()> {
        self.at += 1;
        let mut siblings = Vec::new();
        self.space();
        while self.peek()? != close {
            let start = self.at;
            let label = match close {
                b'}' => {
                    let key = self.text()?;
                    self.space();
                    self.expect(b':')?;
                    String::from_utf8_lossy(self.bytes.get(key)?).into_owned()
                }
                _ => siblings.len().to_string(),
            };
            let own = format!("{name}/{label}");
            let value = self.value(&own, depth)?;
            siblings.push(Sibling { name: own, whole: start..value.end, value });
            self.space();
            if self.peek()? == b',' {
                self.at += 1;
                self.space();
            }
        }
        self.at += 1;
        self.parts.extend(parts_of(&siblings, ",", "null"));
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, form: Form) -> Vec<(String, String)> {
        let document = Document::read(text.as_bytes().to_vec(), form);
        let value = |(name, value): (String, Vec<u8>)| (name, String::from_utf8(value).unwrap());
        document.values().into_iter().map(value).collect()
    }

    fn check(text: &str, form: Form, expected: &[(&str, &str)]) {
        let expected: Vec<_> = expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert_eq!(shown(text, form), expected, "{text}");
    }

    #[test]
    fn every_field_item_and_line_is_found() {
        let text = r#"{"a": [1, {"b":"x,}\""}], "c":null}"#;
        let inner = r#"[1, {"b":"x,}\""}]"#;
        let object = r#"{"b":"x,}\""}"#;
        let expected =
            [("", text), ("/a", inner), ("/a/0", "1"), ("/a/1", object), ("/a/1/b", r#""x,}\"""#), ("/c", "null")];
        check(text, Form::Json, &expected);
        let note = r#"{"n":"one\n\ntwo\\n\n"}"#;
        let text = r#""one\n\ntwo\\n\n""#;
        let expected = [("", note), ("/n", text), ("/n#0", r"one\n"), ("/n#1", r"\n"), ("/n#2", r"two\\n\n")];
        check(note, Form::Json, &expected);
        check("one\n\ntwo", Form::Lines, &[("#0", "one\n"), ("#1", "\n"), ("#2", "two")]);
    }

    #[test]
    fn what_is_not_in_the_form_has_no_parts() {
        for text in ["", "{", "{\"a\"}", "[1", "\"a", "{\"a\":1}x", "[[}", "\"a\\"] {
            check(text, Form::Json, &[]);
        }
        check(&"[".repeat(100_000), Form::Json, &[]);
        check("", Form::Lines, &[]);
    }

    #[test]
    fn a_comma_goes_with_what_it_separates() {
        let document = Document::read(b"[1,2]".to_vec(), Form::Json);
        let gone = |name: &str| {
            let part = document.parts.iter().find(|part| part.name == name).unwrap();
            String::from_utf8(document.bytes[part.gone.clone()].to_vec()).unwrap()
        };
        assert_eq!((gone("/0").as_str(), gone("/1").as_str()), ("1,", ",2"));
    }
}
