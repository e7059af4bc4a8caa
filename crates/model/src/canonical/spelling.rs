//! Spelling: whether a text is canonical, and the canonical spelling of a text, each in one pass and without a tree.

use std::cmp::Ordering;
use std::ops::Range;

use crate::json::MAX_SAFE_INTEGER;
use crate::limits::Limits;

/// How deep `serde_json` reads, whatever the limits say.
const READER_DEPTH: usize = 127;
/// How many digits 2^53 - 1 has: more never fit, and so many never run over.
const INTEGER_DIGITS: usize = 16;

/// Whether a text is one JSON value in its canonical spelling and within `limits`, and nothing besides.
pub(super) fn is_canonical(text: &str, limits: &Limits) -> bool {
    let mut scan = Scan { rest: text.as_bytes() };
    scan.value(limits, 0).is_some() && scan.rest.is_empty()
}

/// Spells canonically what `serde_json` wrote: that has no white space and minimal escapes already, so members are put
/// into order, and numbers are checked. Of two equal keys the later one counts, as in a map.
///
/// # Errors
/// A text for people, when a number is not an integer within ±(2^53 - 1).
pub(super) fn canonical(text: &[u8]) -> Result<Vec<u8>, String> {
    let mut scan = Scan { rest: text };
    let mut out = Vec::with_capacity(text.len());
    scan.sort_value(&mut out)?;
    match scan.rest.is_empty() {
        true => Ok(out),
        false => Err(unwritten()),
    }
}

fn unwritten() -> String {
    "the value is not written as JSON".to_owned()
}

/// What stands between the quotes of a string.
#[derive(Clone, Copy)]
struct Text<'a> {
    raw: &'a [u8],
    is_escaped: bool,
}

impl Text<'_> {
    fn is_plain(&self) -> bool {
        !self.is_escaped && self.raw.is_ascii()
    }

    /// RFC 8785, section 3.2.3: keys are ordered by their UTF-16 code units; for ASCII that is the order of bytes.
    fn order(&self, other: &Self) -> Ordering {
        match self.is_plain() && other.is_plain() {
            true => self.raw.cmp(other.raw),
            false => self.meaning().encode_utf16().cmp(other.meaning().encode_utf16()),
        }
    }

    /// The text with its escapes resolved. Its form has been checked, so it always reads.
    fn meaning(&self) -> String {
        let quoted = [b"\"".as_slice(), self.raw, b"\"".as_slice()].concat();
        serde_json::from_slice(&quoted).unwrap_or_default()
    }
}

/// A place in a text: what is left of it. Whatever takes something gives `None` where something else stands.
struct Scan<'a> {
    rest: &'a [u8],
}

impl<'a> Scan<'a> {
    fn take(&mut self, expected: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(expected)?;
        Some(())
    }

    /// RFC 8785, section 3.2.2.2: nothing is escaped that need not be, and each escape has one form.
    fn string(&mut self) -> Option<Text<'a>> {
        self.take(b"\"")?;
        let begun = self.rest;
        let mut is_escaped = false;
        loop {
            let special = self.rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))?;
            let (_, found) = self.rest.split_at_checked(special)?;
            if let Some(rest) = found.strip_prefix(b"\"") {
                self.rest = rest;
                let raw = begun.get(..begun.len() - found.len())?;
                return Some(Text { raw, is_escaped });
            }
            self.rest = found.strip_prefix(b"\\")?;
            self.escape()?;
            is_escaped = true;
        }
    }

    /// What follows a backslash: a letter where JSON has one, `u00xx` for the other controls.
    fn escape(&mut self) -> Option<()> {
        let (letter, rest) = self.rest.split_first()?;
        self.rest = rest;
        match letter {
            b'"' | b'\\' | b'b' | b't' | b'n' | b'f' | b'r' => Some(()),
            b'u' => {
                let (digits, rest) = self.rest.split_at_checked(4)?;
                self.rest = rest;
                let is_minimal = match digits {
                    [b'0', b'0', b'0', last] => matches!(last, b'0'..=b'7' | b'b' | b'e' | b'f'),
                    [b'0', b'0', b'1', last] => matches!(last, b'0'..=b'9' | b'a'..=b'f'),
                    _ => false,
                };
                is_minimal.then_some(())
            }
            _ => None,
        }
    }

    fn scalar(&mut self) -> Option<()> {
        match self.rest.first()? {
            b'n' => self.take(b"null"),
            b't' => self.take(b"true"),
            b'f' => self.take(b"false"),
            _ => self.integer(),
        }
    }

    /// An integer within ±(2^53 - 1): no plus, no leading zero, and no minus before zero.
    fn integer(&mut self) -> Option<()> {
        let is_negative = self.take(b"-").is_some();
        let length = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = self.rest.split_at_checked(length)?;
        let is_spelled = match digits {
            [] => false,
            [b'0', more @ ..] => more.is_empty() && !is_negative,
            _ => digits.len() <= INTEGER_DIGITS,
        };
        if !is_spelled {
            return None;
        }
        let magnitude = digits.iter().fold(0u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
        self.rest = rest;
        (magnitude <= MAX_SAFE_INTEGER).then_some(())
    }

    /// A canonical value; `depth` counts the lists and objects that it stands in.
    fn value(&mut self, limits: &Limits, depth: usize) -> Option<()> {
        match self.rest.first()? {
            b'"' => self.string().map(drop),
            b'{' => self.object(limits, depth),
            b'[' => self.list(limits, depth),
            _ => self.scalar(),
        }
    }

    fn object(&mut self, limits: &Limits, depth: usize) -> Option<()> {
        self.take(b"{")?;
        if depth >= limits.json_depth.min(READER_DEPTH) {
            return None;
        }
        if self.take(b"}").is_some() {
            return Some(());
        }
        let mut last: Option<Text<'a>> = None;
        for _ in 0..limits.json_keys {
            let key = self.string()?;
            // A key that stands twice is not after itself.
            if last.is_some_and(|last| last.order(&key).is_ge()) {
                return None;
            }
            last = Some(key);
            self.take(b":")?;
            self.value(limits, depth + 1)?;
            if self.take(b"}").is_some() {
                return Some(());
            }
            self.take(b",")?;
        }
        None
    }

    fn list(&mut self, limits: &Limits, depth: usize) -> Option<()> {
        self.take(b"[")?;
        if depth >= limits.json_depth.min(READER_DEPTH) {
            return None;
        }
        if self.take(b"]").is_some() {
            return Some(());
        }
        for _ in 0..limits.json_items {
            self.value(limits, depth + 1)?;
            if self.take(b"]").is_some() {
                return Some(());
            }
            self.take(b",")?;
        }
        None
    }

    /// Takes what `take` takes, and writes it as it stands.
    fn copy<T>(&mut self, out: &mut Vec<u8>, take: impl FnOnce(&mut Self) -> Option<T>) -> Result<T, String> {
        let before = self.rest;
        let taken = take(self).ok_or_else(unwritten)?;
        out.extend_from_slice(before.get(..before.len() - self.rest.len()).unwrap_or_default());
        Ok(taken)
    }

    fn sort_value(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        match self.rest.first() {
            Some(b'"') => self.copy(out, Self::string).map(drop),
            Some(b'{') => self.sort_object(out),
            Some(b'[') => self.sort_list(out),
            _ => self.sort_scalar(out),
        }
    }

    fn sort_scalar(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        let end = self.rest.iter().position(|byte| matches!(byte, b',' | b']' | b'}')).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at_checked(end).ok_or_else(unwritten)?;
        let mut scan = Scan { rest: token };
        match scan.scalar().is_some() && scan.rest.is_empty() {
            true => {
                out.extend_from_slice(token);
                self.rest = rest;
                Ok(())
            }
            false => Err(format!("{} is not an integer within 2^53 - 1", String::from_utf8_lossy(token))),
        }
    }

    fn sort_list(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        self.copy(out, |scan| scan.take(b"["))?;
        if self.rest.first() != Some(&b']') {
            self.sort_value(out)?;
            while self.rest.first() == Some(&b',') {
                self.copy(out, |scan| scan.take(b","))?;
                self.sort_value(out)?;
            }
        }
        self.copy(out, |scan| scan.take(b"]"))
    }

    fn sort_object(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        self.copy(out, |scan| scan.take(b"{"))?;
        let start = out.len();
        // Each key, and where it was written with its value, counted from the start.
        let mut members: Vec<(Text<'a>, Range<usize>)> = Vec::new();
        while self.rest.first() != Some(&b'}') {
            if !members.is_empty() {
                self.copy(out, |scan| scan.take(b","))?;
            }
            let from = out.len() - start;
            let key = self.copy(out, Self::string)?;
            self.copy(out, |scan| scan.take(b":"))?;
            self.sort_value(out)?;
            members.push((key, from..out.len() - start));
        }
        if !members.is_sorted_by(|(a, _), (b, _)| a.order(b).is_lt()) {
            members.sort_by(|(a, _), (b, _)| a.order(b));
            let written = out.split_off(start);
            for (position, (key, place)) in members.iter().enumerate() {
                let is_replaced = members.get(position + 1).is_some_and(|(next, _)| next.order(key).is_eq());
                if is_replaced {
                    continue;
                }
                if out.len() > start {
                    out.push(b',');
                }
                out.extend_from_slice(written.get(place.clone()).unwrap_or_default());
            }
        }
        self.copy(out, |scan| scan.take(b"}"))
    }
}
