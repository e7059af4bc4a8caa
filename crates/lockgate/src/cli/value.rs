//! What values of the command line have to be, beyond their type.

use lockgate_model::Span;

/// The longest time that a command line can name, in days: a hundred years.
const LASTING_MAX_DAYS: u64 = 36_500;

/// A length of time that is not nothing: what ends as it begins was never meant.
///
/// # Errors
/// What is wrong with it, in words.
pub fn lasting(text: &str) -> Result<Span, String> {
    if text.starts_with('-') {
        return Err("it has to end in the future: write a time from now on, such as 30d".to_owned());
    }
    match text.parse::<Span>() {
        Ok(span) if span.is_zero() => Err("it has to last: write at least 1s".to_owned()),
        Ok(span) if span > Span::from_secs(LASTING_MAX_DAYS * 86_400) => {
            Err(format!("that is too long: write at most {LASTING_MAX_DAYS}d"))
        }
        Ok(span) => Ok(span),
        Err(_) if text.len() > 10 && text.bytes().rev().skip(1).all(|byte| byte.is_ascii_digit()) => {
            Err(format!("that is too long: write at most {LASTING_MAX_DAYS}d"))
        }
        Err(error) => Err(error.to_string()),
    }
}

/// How many rows to print: at least one.
///
/// # Errors
/// What is wrong with it, in words.
pub fn count(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(0) | Err(_) => Err("write a number from 1 on".to_owned()),
        Ok(count) => Ok(count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_last_and_end() {
        let check = |text: &str, words: Option<&str>| match (lasting(text), words) {
            (Ok(_), None) => {}
            (Err(message), Some(words)) => assert!(message.contains(words), "{text}: {message}"),
            (found, _) => panic!("{text}: {found:?}"),
        };
        check("1s", None);
        check("36500d", None);
        check("0d", Some("at least 1s"));
        check("-5d", Some("in the future"));
        check("36501d", Some("at most 36500d"));
        check("9999999999999d", Some("at most 36500d"));
        check("soon", Some("is not a duration"));
    }

    #[test]
    fn at_least_one_row_is_asked_for() {
        assert_eq!(count("1"), Ok(1));
        assert!(count("0").is_err() && count("-1").is_err() && count("x").is_err());
    }
}
