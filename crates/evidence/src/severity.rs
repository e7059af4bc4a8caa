//! Severities as scanners spell them.

use lockgate_model::facts::Severity;

/// Reads a severity word in any case; an empty one is [`Severity::Unknown`], a strange one is none.
pub(crate) fn from_word(word: &str) -> Option<Severity> {
    match word.trim().to_ascii_lowercase().as_str() {
        "negligible" | "none" => Some(Severity::Negligible),
        "low" => Some(Severity::Low),
        "medium" | "moderate" => Some(Severity::Medium),
        "high" | "important" => Some(Severity::High),
        "critical" => Some(Severity::Critical),
        "unknown" | "" => Some(Severity::Unknown),
        _ => None,
    }
}

/// Reads a CVSS base score by the rating scale of CVSS 3.1, section 5 (4.0, section 6, has the same bounds).
///
/// Anything outside 0 to 10 is [`Severity::Unknown`].
pub(crate) fn from_score(score: f64) -> Severity {
    match score {
        score if !(0.0..=10.0).contains(&score) => Severity::Unknown,
        score if score >= 9.0 => Severity::Critical,
        score if score >= 7.0 => Severity::High,
        score if score >= 4.0 => Severity::Medium,
        score if score > 0.0 => Severity::Low,
        _ => Severity::Negligible,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_scores() {
        for (word, expected) in [
            ("CRITICAL", Some(Severity::Critical)),
            ("High", Some(Severity::High)),
            ("medium", Some(Severity::Medium)),
            ("LOW", Some(Severity::Low)),
            ("Negligible", Some(Severity::Negligible)),
            ("UNKNOWN", Some(Severity::Unknown)),
            ("", Some(Severity::Unknown)),
            ("severe", None),
            ("critical!", None),
        ] {
            assert_eq!(from_word(word), expected, "{word}");
        }
        for (score, expected) in [
            (0.0, Severity::Negligible),
            (0.1, Severity::Low),
            (3.9, Severity::Low),
            (4.0, Severity::Medium),
            (6.9, Severity::Medium),
            (7.0, Severity::High),
            (9.0, Severity::Critical),
            (10.0, Severity::Critical),
            (10.1, Severity::Unknown),
            (-1.0, Severity::Unknown),
            (f64::NAN, Severity::Unknown),
        ] {
            assert_eq!(from_score(score), expected, "{score}");
        }
    }
}
