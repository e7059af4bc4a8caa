//! Text from outside, as people are shown it.

/// Control characters, line breaks, direction marks (Unicode UAX #9, section 2), tags, and what takes no room: the same as in
/// the browser's `page.js` and `viewer.js`.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
                | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

/// The text with what does not show, or turns the direction of what does, escaped, so that it cannot imitate other lines.
pub fn visible(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, character| {
        match is_hidden(character) {
            true => out.extend(character.escape_unicode()),
            false => out.push(character),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_imitate_other_text_is_escaped() {
        let check = |text: &str, expected: &str| assert_eq!(visible(text), expected);
        check("plain, schön, 日本", "plain, schön, 日本");
        check("a\u{2028}b\u{61c}c\u{e0041}d\u{ad}", "a\\u{2028}b\\u{61c}c\\u{e0041}d\\u{ad}");
        check("a\nb\u{202e}c\u{1b}[31m", "a\\u{a}b\\u{202e}c\\u{1b}[31m");
    }
}
