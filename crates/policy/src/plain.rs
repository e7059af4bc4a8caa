//! TOML that versions 1.0 and 1.1 read alike, so that every reader of a policy set sees the same one.
//!
//! The reader here knows 1.1 and passes over a byte order mark; the readers of others know 1.0. What only 1.1 knows is
//! found in the text itself, which the reader has accepted before.

const BYTE_ORDER_MARK: &str = "the file begins with a byte order mark: save it without one";
const LINE_BREAK: &str = "not every TOML reader knows a line break inside `{ }`: write the table on one line";
const LAST_COMMA: &str = "not every TOML reader knows a comma before `}`: leave it out";
const NEW_ESCAPE: &str = "not every TOML reader knows the escapes `\\e` and `\\x`: write `\\u` and four digits";
const CARRIAGE: &str =
    "readers differ on a carriage return in a text of several lines: save the file with line feeds alone";

/// The first thing in a TOML text that version 1.0 does not know: the byte where it stands, and what to do.
///
/// Times without seconds are not looked for: no field of a policy set is a time.
pub(crate) fn objection(text: &str) -> Option<(usize, &'static str)> {
    if text.starts_with('\u{feff}') {
        return Some((0, BYTE_ORDER_MARK));
    }
    let mut scan = Scan { bytes: text.as_bytes(), at: 0 };
    let (mut open, mut comma) = (Vec::new(), false);
    while let Some(byte) = scan.take() {
        let at = scan.at.saturating_sub(1);
        let after_comma = std::mem::take(&mut comma);
        match byte {
            b'"' | b'\'' => {
                if let Some(found) = scan.pass_text(byte) {
                    return Some(found);
                }
            }
            b'[' | b'{' => open.push(byte),
            b'}' if after_comma => return Some((at, LAST_COMMA)),
            b']' | b'}' => {
                open.pop();
            }
            b',' => comma = true,
            b'\n' if open.last() == Some(&b'{') => return Some((at, LINE_BREAK)),
            b'#' => {
                scan.pass_comment();
                comma = after_comma;
            }
            b' ' | b'\t' | b'\r' | b'\n' => comma = after_comma,
            _ => {}
        }
    }
    None
}

/// A place in the bytes of a text.
struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    fn take(&mut self) -> Option<u8> {
        let byte = self.bytes.get(self.at).copied()?;
        self.at += 1;
        Some(byte)
    }

    fn take_if(&mut self, wanted: &[u8]) -> bool {
        let found = self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(wanted));
        if found {
            self.at += wanted.len();
        }
        found
    }

    /// Goes to the line feed that ends a comment.
    fn pass_comment(&mut self) {
        while self.bytes.get(self.at).is_some_and(|byte| *byte != b'\n') {
            self.at += 1;
        }
    }

    /// Goes past a text whose first quote has been taken; says where the first thing stands that not all readers read
    /// alike, and what to do.
    fn pass_text(&mut self, quote: u8) -> Option<(usize, &'static str)> {
        let several_lines = self.take_if(&[quote; 2]);
        let mut found = None;
        while let Some(byte) = self.take() {
            let at = self.at.saturating_sub(1);
            if byte == b'\r' && several_lines {
                found = found.or(Some((at, CARRIAGE)));
            } else if byte == b'\\' && quote == b'"' {
                match self.take() {
                    Some(b'e' | b'x') => found = found.or(Some((at, NEW_ESCAPE))),
                    Some(b'\r') if several_lines => found = found.or(Some((at + 1, CARRIAGE))),
                    _ => {}
                }
            } else if byte == quote && !several_lines {
                break;
            } else if byte == quote && self.take_if(&[quote; 2]) {
                // Up to two quotes before the three that end it are a part of the text.
                for _ in 0..2 {
                    self.take_if(&[quote]);
                }
                break;
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_both_versions_know_is_plain() {
        for text in [
            "",
            "a = 1 # {\n",
            "[a]\nb = { c = 1, d = [1,\n2,\n] }\n[[e]]\n",
            "a = { b = \"\"\"\n, }\"\"\", c = '''\n, }''' }\n",
            "a = \"\\\\e \\\\x \\u00e9 \\\" {\"\nb = '\\e'\nc = '''\\x41'''\n",
            "a = \"\"\nb = ''\nc = \"\"\"\"\"\"\nd = \"\"\"\"a\"\"\"\"\"\ne = { f = 1 }\n",
            "a = [{ b = 1 },\n { b = 2 },\n]\r\n",
            "a = { b = '#' } # , }\n",
            "a = \"\"\"\nb\"\"\"\r\n",
        ] {
            assert_eq!(objection(text), None, "{text}");
        }
        for (text, at, what) in [
            ("\u{feff}a = 1\n", 0, BYTE_ORDER_MARK),
            ("a = {\nb = 1 }\n", 5, LINE_BREAK),
            ("a = { b = 1\r\n}\n", 12, LINE_BREAK),
            ("a = [\n{ b = 1, # x\nc = 2 }]\n", 18, LINE_BREAK),
            ("a = { b = 1, }\n", 13, LAST_COMMA),
            ("a = { b = [1],}\n", 14, LAST_COMMA),
            ("a = \"\\e\"\n", 5, NEW_ESCAPE),
            ("a = \"\\\\\\x41\"\n", 7, NEW_ESCAPE),
            ("a = \"\"\"\n\\x41\"\"\"\n", 8, NEW_ESCAPE),
            ("\"\\x41\" = 1\n", 1, NEW_ESCAPE),
            ("a = \"\"\"b\r\nc\"\"\"\n", 8, CARRIAGE),
            ("a = \'\'\'\r\nb\'\'\'\n", 7, CARRIAGE),
            ("a = \"\"\"b\\\r\nc\"\"\"\n", 9, CARRIAGE),
        ] {
            assert_eq!(objection(text), Some((at, what)), "{text}");
        }
    }
}
