//! Textual armor: base64 between `-----BEGIN` and `-----END` lines (RFC 7468, and OpenSSH's variants of it).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Writes `bytes` as one armored block with lines of at most `columns` characters, ending in a line feed.
pub(crate) fn encode(label: &str, bytes: &[u8], columns: usize) -> String {
    let body = STANDARD.encode(bytes);
    let mut text = String::with_capacity(body.len() + body.len() / columns.max(1) + 2 * label.len() + 40);
    text.push_str(&format!("-----BEGIN {label}-----\n"));
    for (position, character) in body.chars().enumerate() {
        if position > 0 && position.is_multiple_of(columns.max(1)) {
            text.push('\n');
        }
        text.push(character);
    }
    text.push_str(&format!("\n-----END {label}-----\n"));
    text
}

/// Reads exactly one armored block; nothing but white space may stand around it.
///
/// The width of the lines is not checked: a caller that wants one spelling encodes again and compares.
pub(crate) fn decode(label: &str, text: &str) -> Option<Vec<u8>> {
    let begin = format!("-----BEGIN {label}-----");
    let end = format!("-----END {label}-----");
    let mut lines = text.trim_ascii().lines();
    if lines.next()? != begin {
        return None;
    }
    let mut body = String::with_capacity(text.len());
    loop {
        let line = lines.next()?;
        if line == end {
            break;
        }
        if line.is_empty() {
            return None;
        }
        body.push_str(line);
    }
    match lines.next() {
        Some(_) => None,
        None => STANDARD.decode(body).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_what_is_not_exactly_one_block() {
        let block = encode("X", b"some bytes that need two lines", 20);
        assert_eq!(block, "-----BEGIN X-----\nc29tZSBieXRlcyB0aGF0\nIG5lZWQgdHdvIGxpbmVz\n-----END X-----\n");
        assert!(decode("X", &block).is_some());
        assert!(decode("X", &block.replace('\n', "\r\n")).is_some());
        for bad in [
            String::new(),
            format!("{block}{block}"),
            format!("text\n{block}"),
            block.replace("BEGIN X", "BEGIN Y"),
            block.replace("-----END X-----\n", ""),
            block.replace("\nIG", "\n\nIG"),
            block.replace("\nIG", "\n IG"),
            block.replace("Vz\n", "V\n"),
        ] {
            assert!(decode("X", &bad).is_none(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn round_trips(bytes in prop::collection::vec(any::<u8>(), 1..300), columns in 1usize..80) {
            prop_assert_eq!(decode("X", &encode("X", &bytes, columns)).unwrap(), bytes);
        }
    }
}
