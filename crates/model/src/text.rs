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

/// The text as one argument of a shell's command (POSIX.1-2024, Shell Command Language, 2.2.2), as people are shown it.
pub fn argument(text: &str) -> String {
    let text = visible(text);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./_-".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_is_one_word_of_a_shell() {
        let check = |text: &str, expected: &str| assert_eq!(argument(text), expected);
        check("shop/web@1.4.2", "shop/web@1.4.2");
        check("a b", "'a b'");
        check("it's", r"'it'\''s'");
        check("$(id)", "'$(id)'");
        check("`id`", "'`id`'");
        check("~root", "'~root'");
        check("\u{202e}", r"'\u{202e}'");
        check("", "''");
    }

    #[test]
    fn what_could_imitate_other_text_is_escaped() {
        let check = |text: &str, expected: &str| assert_eq!(visible(text), expected);
        check("plain, schön, 日本", "plain, schön, 日本");
        check("a\u{2028}b\u{61c}c\u{e0041}d\u{ad}", "a\\u{2028}b\\u{61c}c\\u{e0041}d\\u{ad}");
        check("a\nb\u{202e}c\u{1b}[31m", "a\\u{a}b\\u{202e}c\\u{1b}[31m");
    }
}
