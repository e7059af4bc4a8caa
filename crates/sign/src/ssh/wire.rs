//! SSH's binary encoding (RFC 4251, section 5): byte, uint32, string and mpint.

use crate::der;

/// Reads fields one after another; `None` means that the bytes end too early.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    pub(crate) fn uint32(&mut self) -> Option<u32> {
        let (digits, rest) = self.rest.split_first_chunk::<4>()?;
        self.rest = rest;
        Some(u32::from_be_bytes(*digits))
    }

    pub(crate) fn string(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.uint32()?).ok()?;
        let (content, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(content)
    }

    /// A string that must be UTF-8.
    pub(crate) fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.string()?).ok()
    }

    /// The magnitude of a positive mpint in its shortest form, without leading zeros.
    pub(crate) fn mpint(&mut self) -> Option<&'a [u8]> {
        der::positive(self.string()?)
    }

    /// What has not been read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Checks that nothing is left.
    pub(crate) fn end(&self) -> Option<()> {
        self.rest.is_empty().then_some(())
    }
}

/// Appends a string; nothing here ever comes near the 4 GiB that its length field can express.
pub(crate) fn put_string(out: &mut Vec<u8>, content: &[u8]) {
    put_uint32(out, u32::try_from(content.len()).unwrap_or(u32::MAX));
    out.extend_from_slice(content);
}

/// Appends a uint32.
pub(crate) fn put_uint32(out: &mut Vec<u8>, number: u32) {
    out.extend_from_slice(&number.to_be_bytes());
}

/// Appends a positive big-endian number as an mpint; leading zeros are dropped.
pub(crate) fn put_mpint(out: &mut Vec<u8>, number: &[u8]) {
    let mut content: Vec<u8> = number.iter().copied().skip_while(|byte| *byte == 0).collect();
    if content.first().is_some_and(|first| *first >= 0x80) {
        content.insert(0, 0);
    }
    put_string(out, &content);
}

/// Turns an ECDSA signature of fixed width, `r || s`, into `mpint r, mpint s` (RFC 5656, section 3.1.2).
pub(crate) fn ecdsa_numbers(fixed: &[u8]) -> Option<Vec<u8>> {
    let (r, s) = fixed.split_at_checked(fixed.len() / 2)?;
    let mut numbers = Vec::with_capacity(fixed.len() + 10);
    put_mpint(&mut numbers, r);
    put_mpint(&mut numbers, s);
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_and_refuses_short_input() {
        let mut out = Vec::new();
        put_uint32(&mut out, 7);
        put_string(&mut out, b"abc");
        put_mpint(&mut out, &[0, 0, 0x80, 1]);
        put_mpint(&mut out, &[0, 0x7f]);
        let mut reader = Reader::new(&out);
        assert_eq!(reader.uint32(), Some(7));
        assert_eq!(reader.text(), Some("abc"));
        assert_eq!(reader.mpint(), Some(&[0x80, 1][..]));
        assert_eq!(reader.mpint(), Some(&[0x7f][..]));
        assert!(reader.end().is_some());
        assert_eq!(reader.byte(), None);
        assert_eq!(Reader::new(&[0, 0, 0, 2, 1]).string(), None);
        assert_eq!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 1]).string(), None);
        assert_eq!(Reader::new(&[0, 0, 0]).uint32(), None);
    }
}
