//! The few pieces of DER (X.690) that keys and signatures need: strict reading, and writing of one element.

/// The tag of INTEGER.
pub(crate) const INTEGER: u8 = 0x02;
/// The tag of BIT STRING.
pub(crate) const BIT_STRING: u8 = 0x03;
/// The tag of SEQUENCE.
pub(crate) const SEQUENCE: u8 = 0x30;

/// Reads elements one after another; every length must be in its shortest form.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Takes the content of the next element, which must have this tag.
    pub(crate) fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        if self.byte()? != tag {
            return None;
        }
        let length = match self.byte()? {
            short @ 0..=0x7f => usize::from(short),
            0x81 => {
                let length = usize::from(self.byte()?);
                (length >= 0x80).then_some(length)?
            }
            0x82 => {
                let length = usize::from(u16::from_be_bytes([self.byte()?, self.byte()?]));
                (length >= 0x100).then_some(length)?
            }
            _ => return None,
        };
        let (content, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(content)
    }

    /// Checks that nothing is left.
    pub(crate) fn end(&self) -> Option<()> {
        self.rest.is_empty().then_some(())
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }
}

/// The magnitude of a positive integer in shortest two's complement form, without leading zeros.
///
/// DER's INTEGER and SSH's mpint (RFC 4251, section 5) share this form. Zero, negative numbers and superfluous
/// leading zeros are refused.
pub(crate) fn positive(content: &[u8]) -> Option<&[u8]> {
    match content {
        [0, rest @ ..] => rest.first().is_some_and(|first| *first >= 0x80).then_some(rest),
        [first, ..] => (*first < 0x80).then_some(content),
        [] => None,
    }
}

/// The content of an INTEGER for a magnitude without leading zeros: the inverse of [`positive`].
pub(crate) fn unsigned(magnitude: &[u8]) -> Vec<u8> {
    let mut content = Vec::with_capacity(magnitude.len() + 1);
    if magnitude.first().is_some_and(|first| *first >= 0x80) {
        content.push(0);
    }
    content.extend_from_slice(magnitude);
    content
}

/// The number of bits of a magnitude without leading zeros.
pub(crate) fn bit_length(magnitude: &[u8]) -> usize {
    let leading = magnitude.first().map_or(0, |first| first.leading_zeros() as usize);
    (magnitude.len() * 8).saturating_sub(leading)
}

/// Appends one element.
pub(crate) fn put(out: &mut Vec<u8>, tag: u8, content: &[u8]) {
    out.push(tag);
    match u8::try_from(content.len()) {
        Ok(short @ 0..=0x7f) => out.push(short),
        _ => {
            let length = content.len().to_be_bytes();
            let digits: Vec<u8> = length.into_iter().skip_while(|byte| *byte == 0).collect();
            // At most eight digits, so that this never wraps.
            out.push(0x80 | digits.len() as u8);
            out.extend_from_slice(&digits);
        }
    }
    out.extend_from_slice(content);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_and_only_shortest_lengths() {
        for length in [0usize, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff] {
            let content = vec![7u8; length];
            let mut out = Vec::new();
            put(&mut out, SEQUENCE, &content);
            let mut reader = Reader::new(&out);
            assert_eq!(reader.take(SEQUENCE).unwrap(), content, "{length}");
            assert!(reader.end().is_some());
        }
        let bad_lengths: [&[u8]; 6] =
            [&[0x30, 0x81, 0x01, 0], &[0x30, 0x82, 0, 0x80], &[0x30, 0x80, 0, 0], &[0x30, 2, 0], &[0x30], &[]];
        for bad in bad_lengths {
            assert!(Reader::new(bad).take(SEQUENCE).is_none(), "{bad:?}");
        }
        assert!(Reader::new(&[0x02, 0]).take(SEQUENCE).is_none());
    }

    #[test]
    fn accepts_only_positive_shortest_integers() {
        assert_eq!(positive(&[0x00, 0x80]), Some(&[0x80][..]));
        assert_eq!(positive(&[0x7f]), Some(&[0x7f][..]));
        let not_positive: [&[u8]; 6] = [&[], &[0], &[0x80], &[0, 0x7f], &[0, 0, 0x80], &[0xff, 0x00]];
        for bad in not_positive {
            assert_eq!(positive(bad), None, "{bad:?}");
        }
        assert_eq!(bit_length(&[0x80, 0]), 16);
        assert_eq!(bit_length(&[0x01]), 1);
        assert_eq!(bit_length(&[]), 0);
    }
}
