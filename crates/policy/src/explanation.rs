//! Explanations of whole decisions, as text that a test can pin.

use crate::decision::Decision;

/// What a decision says, gate by gate, without digests and line numbers: it changes only where an answer changes.
///
/// The first line is the outcome. Each gate follows with its outcome, name and reason code, and below it what it
/// needed and found, who can help, and what to do, as far as it says so.
pub fn explanation(decision: &Decision) -> String {
    let mut text = format!("{}\n", decision.outcome);
    for gate in &decision.gates {
        text.push_str(&format!("{} {} {}\n", gate.outcome, gate.gate, gate.reason));
        for (name, value) in [("needed", &gate.needed), ("found", &gate.found), ("who", &gate.who), ("do", &gate.fix)] {
            if !value.is_empty() {
                text.push_str(&format!("  {name:<6} {}\n", value.replace('\n', "\n         ")));
            }
        }
    }
    text
}

/// Whether two texts have the same lines, apart from white space at the ends of lines and empty lines around them.
pub fn same_lines(one: &str, other: &str) -> bool {
    let lines = |text: &str| -> Vec<String> { text.trim().lines().map(|line| line.trim_end().to_owned()).collect() };
    lines(one) == lines(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide;
    use crate::sample::{facts, gate, policy};

    #[test]
    fn says_what_each_gate_needed_and_found() {
        let text = explanation(&decide(&policy(&gate("kind = \"tests\"\n")), &facts()));
        let mut lines = text.lines();
        assert_eq!((lines.next(), lines.next()), (Some("deny"), Some("fail g TESTS_MISSING")), "{text}");
        for name in ["  needed ", "  found  ", "  who    ", "  do     "] {
            assert!(text.contains(name), "{name}: {text}");
        }
        assert!(!text.contains("sha256:"), "{text}");
    }

    #[test]
    fn white_space_around_does_not_count() {
        let check = |one: &str, other: &str, expected: bool| {
            assert_eq!(same_lines(one, other), expected, "{one:?} {other:?}");
        };
        check("deny\n", "\n\ndeny", true);
        check("deny  \nfail g X", "deny\nfail g X\n", true);
        check("deny", "allow", false);
        check("deny\n\nfail", "deny\nfail", false);
    }
}
