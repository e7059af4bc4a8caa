//! Decimal numbers as the C2SP formats write them: ASCII digits, no sign, no leading zero.

/// Reads the one spelling of a number; `None` for any other, and beyond `u64`.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if plain && (text == "0" || !text.starts_with('0')) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_spelling() {
        for (text, number) in [("0", 0), ("7", 7), ("100", 100), ("18446744073709551615", u64::MAX)] {
            assert_eq!(parse(text), Some(number), "{text}");
        }
        for bad in ["", "00", "07", "+7", "-0", " 7", "7 ", "７", "18446744073709551616", "1e3"] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }
}
