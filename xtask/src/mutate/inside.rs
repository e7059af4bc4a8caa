//! Inside: what stands in base64 within a valid thing, taken out of it, so that its own fields, bits and signatures can
//! be changed, and put back in base64 afterwards.
//!
//! Marks that no text of ours holds stand around what was taken out; where its bytes hold one, it is escaped. Whatever a
//! change makes of the marks, closing it gives some bytes, and those of an unchanged thing are the thing itself.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::parts::{Document, Form};

/// Before JSON that was taken out.
pub const OPEN: u8 = 1;
/// Behind what was taken out.
pub const CLOSE: u8 = 2;
/// Before a byte that is written with another bit, because it is a mark, or would end a line.
pub const ESCAPE: u8 = 3;
/// Before other bytes that were taken out; it differs from the other marks by more than one bit where that matters.
pub const OPEN_BYTES: u8 = 4;
/// The bit by which escaped bytes differ.
const ESCAPED: u8 = 0x40;
/// The shortest base64 that is looked into where it holds no JSON: a hash has 44 characters.
const SHORTEST: usize = 44;
/// How many times something may stand in base64 within something else.
const DEPTH_MAX: usize = 4;

/// The thing with what stands in base64 taken out; a form without insides stays as it is.
pub fn open(bytes: &[u8], form: Form) -> Vec<u8> {
    match form {
        Form::Json | Form::Lines | Form::Bytes => bytes.to_vec(),
        Form::JsonInside => open_json(bytes, DEPTH_MAX),
        Form::LinesInside => open_lines(bytes),
    }
}

/// The thing with everything put back.
pub fn close(bytes: Vec<u8>, form: Form) -> Vec<u8> {
    let quote: &[u8] = match form {
        Form::Json | Form::Lines | Form::Bytes => return bytes,
        Form::JsonInside => b"\"",
        Form::LinesInside => b"",
    };
    let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 2);
    let mut around: Vec<Vec<u8>> = Vec::new();
    let mut left = bytes.into_iter();
    while let Some(byte) = left.next() {
        match byte {
            OPEN | OPEN_BYTES => around.push(std::mem::take(&mut out)),
            CLOSE => match around.pop() {
                Some(before) => out = put_back(before, &out, quote),
                None => out.push(CLOSE),
            },
            ESCAPE => out.push(left.next().map_or(ESCAPE, |next| next ^ ESCAPED)),
            _ => out.push(byte),
        }
    }
    // What nothing closes any more goes to the end.
    while let Some(before) = around.pop() {
        out = put_back(before, &out, quote);
    }
    out
}

fn put_back(mut before: Vec<u8>, inner: &[u8], quote: &[u8]) -> Vec<u8> {
    before.extend_from_slice(quote);
    before.extend_from_slice(STANDARD.encode(inner).as_bytes());
    before.extend_from_slice(quote);
    before
}

/// Each text of a JSON document that is base64 of something, but for the names of fields.
fn open_json(bytes: &[u8], depth: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at).copied() {
        let text = if byte == b'"' { text_at(bytes, at + 1) } else { None };
        let Some(text) = text else {
            escape(&mut out, &[byte], false);
            at += 1;
            continue;
        };
        let after = text.end + 1;
        let is_name = bytes.get(after) == Some(&b':');
        match bytes.get(text).and_then(decoded).filter(|_| !is_name) {
            Some(inner) => take_out(&mut out, &inner, depth),
            None => escape(&mut out, bytes.get(at..after).unwrap_or_default(), false),
        }
        at = after;
    }
    out
}

/// The last word of each line that is base64 of something.
fn open_lines(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let start = text.iter().rposition(|byte| *byte == b' ').map_or(0, |space| space + 1);
        let (before, word) = text.split_at(start);
        escape(&mut out, before, false);
        match decoded(word) {
            Some(inner) => take_out(&mut out, &inner, 0),
            None => escape(&mut out, word, false),
        }
        out.extend_from_slice(line.get(text.len()..).unwrap_or_default());
    }
    out
}

/// Where the text is that begins at `start`, without its quotes.
fn text_at(bytes: &[u8], start: usize) -> Option<Range<usize>> {
    let mut at = start;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(start..at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// What a text holds that is the one spelling of something in base64, and worth looking into.
fn decoded(text: &[u8]) -> Option<Vec<u8>> {
    let inner = STANDARD.decode(text).ok()?;
    let is_worth_it = inner.starts_with(b"{") || text.len() >= SHORTEST;
    (is_worth_it && STANDARD.encode(&inner).as_bytes() == text).then_some(inner)
}

fn take_out(out: &mut Vec<u8>, inner: &[u8], depth: usize) {
    let is_json = inner.starts_with(b"{") && !Document::read(inner.to_vec(), Form::Json).parts.is_empty();
    match depth.checked_sub(1).filter(|_| is_json) {
        Some(depth) => {
            out.push(OPEN);
            out.extend(open_json(inner, depth));
        }
        None => {
            out.push(OPEN_BYTES);
            escape(out, inner, true);
        }
    }
    out.push(CLOSE);
}

fn escape(out: &mut Vec<u8>, bytes: &[u8], also_lines: bool) {
    for byte in bytes {
        match *byte {
            OPEN..=OPEN_BYTES => out.extend([ESCAPE, byte ^ ESCAPED]),
            b'\n' if also_lines => out.extend([ESCAPE, byte ^ ESCAPED]),
            _ => out.push(*byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let leaf = format!("{{\"a\":\"{}\"}}", STANDARD.encode(br#"{"deep":[1,2]}"#));
        let bytes: Vec<u8> = (0..64).collect();
        let (leaf, hash) = (STANDARD.encode(leaf), STANDARD.encode(bytes));
        format!("{{\"{hash}\":1,\"hash\":\"{hash}\",\"leaf\":\"{leaf}\",\"text\":\"a\\\"b\"}}").into_bytes()
    }

    #[test]
    fn what_is_taken_out_is_put_back() {
        let check = |bytes: &[u8], form: Form, changes: bool| {
            let opened = open(bytes, form);
            assert_eq!(opened != bytes, changes, "{form:?}");
            assert_eq!(close(opened, form), bytes, "{form:?}");
        };
        check(&sample(), Form::JsonInside, true);
        check(&sample(), Form::Json, false);
        check(&[1, 2, 3, 4, b'\n'], Form::Bytes, false);
        check(&[b'"', 1, 2, 3, 4, b'"'], Form::JsonInside, true);
        let every: Vec<u8> = (0..=255).collect();
        let line = format!("origin\n\n\u{2014} name {}\nno base64\nend", STANDARD.encode(every));
        check(line.as_bytes(), Form::LinesInside, true);
        check(line.as_bytes(), Form::Lines, false);
        assert_eq!(open(line.as_bytes(), Form::LinesInside).iter().filter(|byte| **byte == b'\n').count(), 4);
        check(b"", Form::JsonInside, false);
    }

    #[test]
    fn fields_within_fields_are_parts() {
        let document = Document::read(open(&sample(), Form::JsonInside), Form::JsonInside);
        let names: Vec<&str> = document.parts.iter().map(|part| part.name.as_str()).collect();
        for expected in ["/hash", "/hash!", "/leaf", "/leaf!", "/leaf!/a", "/leaf!/a!", "/leaf!/a!/deep/1", "/text", ""]
        {
            assert!(names.contains(&expected), "{expected}: {names:?}");
        }
    }

    #[test]
    fn every_bit_within_changes_the_thing() {
        let (sample, form) = (sample(), Form::JsonInside);
        let opened = open(&sample, form);
        for bit in 0..opened.len() * 8 {
            let mut changed = opened.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(close(changed, form), sample, "{bit}");
        }
        // A field two layers down is another, and everything around it stands.
        let at = opened.windows(5).position(|window| window == b"[1,2]").unwrap();
        let mut changed = opened;
        changed[at + 1] = b'7';
        let text = String::from_utf8(close(changed, form)).unwrap();
        let leaf = format!("{{\"a\":\"{}\"}}", STANDARD.encode(br#"{"deep":[7,2]}"#));
        assert!(text.contains(&STANDARD.encode(leaf)) && text.ends_with(r#""text":"a\"b"}"#), "{text}");
    }
}
