//! Verdicts: what the value of a rule says.

use regorus::Value;

use super::place::Place;

/// Why a module denies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Denial {
    /// What is wrong, in the module's words.
    pub(crate) message: String,
    /// A code of the module's own.
    pub(crate) code: Option<String>,
    /// What to do about it.
    pub(crate) fix: Option<String>,
}

/// What came of one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The rule has a value that can be read. In order, each once, so that the order in which they were found does not
    /// show; none at all is a pass.
    Denials(Vec<Denial>),
    /// The rule has no value.
    Undefined,
    /// The evaluation ended in an error, or in a value that says neither yes nor no.
    Failed {
        /// Where, when it is known more exactly than by the rule.
        place: Option<Place>,
        /// What is wrong.
        message: String,
    },
    /// The evaluation had too much of something.
    Exhausted {
        /// Where, when it is known more exactly than by the rule.
        place: Option<Place>,
        /// Of what.
        message: String,
    },
}

/// Reads the value of a rule: a set or an array of texts, or of objects with `msg` and perhaps `code` and `fix`.
pub(super) fn read(value: &Value) -> Answer {
    let denials: Result<Vec<Denial>, String> = match value {
        Value::Undefined => return Answer::Undefined,
        Value::Set(items) => items.iter().map(denial).collect(),
        Value::Array(items) => items.iter().map(denial).collect(),
        other => Err(format!("the rule gives {}, and not a set or an array of denials", noun(other))),
    };
    match denials {
        Ok(mut denials) => {
            denials.sort();
            denials.dedup();
            Answer::Denials(denials)
        }
        Err(message) => Answer::Failed { place: None, message },
    }
}

fn denial(value: &Value) -> Result<Denial, String> {
    let fields = match value {
        Value::String(text) => return Ok(Denial { message: text.to_string(), code: None, fix: None }),
        Value::Object(fields) => fields,
        other => return Err(format!("a denial is {}, and not a text or an object with `msg`", noun(other))),
    };
    let (mut message, mut code, mut fix) = (None, None, None);
    for (key, value) in fields.iter() {
        let (Value::String(key), Value::String(text)) = (key, value) else {
            return Err(format!("a field of a denial is {}, and not a text", noun(value)));
        };
        match &**key {
            "msg" => message = Some(text.to_string()),
            "code" => code = Some(text.to_string()),
            "fix" => fix = Some(text.to_string()),
            _ => return Err("a denial has a field that is none of `msg`, `code` and `fix`".to_owned()),
        }
    }
    let message = message.ok_or("a denial has no `msg`")?;
    Ok(Denial { message, code, fix })
}

fn noun(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(true) => "true",
        Value::Bool(false) => "false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Set(_) => "a set",
        Value::Object(_) => "an object",
        Value::Undefined => "nothing",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: &str) -> Answer {
        read(&Value::from_json_str(json).unwrap())
    }

    fn denied(message: &str) -> Denial {
        Denial { message: message.to_owned(), code: None, fix: None }
    }

    #[test]
    fn reads_denials_in_one_order() {
        assert_eq!(of("[]"), Answer::Denials(vec![]));
        assert_eq!(of(r#"["b", "a", "b"]"#), Answer::Denials(vec![denied("a"), denied("b")]));
        let full = Denial { message: "m".to_owned(), code: Some("C".to_owned()), fix: Some("f".to_owned()) };
        assert_eq!(of(r#"[{"msg": "m", "code": "C", "fix": "f"}, "a"]"#), Answer::Denials(vec![denied("a"), full]));
        assert_eq!(read(&Value::new_set()), Answer::Denials(vec![]));
        assert_eq!(read(&Value::Undefined), Answer::Undefined);
    }

    #[test]
    fn everything_else_says_nothing() {
        for json in [
            "true",
            "false",
            "null",
            "0",
            "\"\"",
            "{}",
            "[1]",
            "[[]]",
            "[{}]",
            r#"[{"msg": 1}]"#,
            r#"[{"msg": "", "x": ""}]"#,
        ] {
            assert!(matches!(of(json), Answer::Failed { .. }), "{json}");
        }
    }
}
