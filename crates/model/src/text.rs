//! Text from outside, as people are shown it.

/// The text with control characters, line breaks and direction marks escaped, so that it cannot imitate other lines.
pub fn visible(text: &str) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    text.chars().fold(String::with_capacity(text.len()), |mut out, character| {
        match hidden(character) {
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
        check("a\nb\u{202e}c\u{1b}[31m", "a\\u{a}b\\u{202e}c\\u{1b}[31m");
    }
}
