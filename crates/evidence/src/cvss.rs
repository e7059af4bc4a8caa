//! CVSS scores: as numbers, as texts, and computed from vectors of version 3.

use lockgate_model::facts::{Cvss, Severity};
use serde_json::Value;

use crate::severity;

/// A base score in tenths, of a number or a text; none outside 0 to 10.
pub(crate) fn tenths(value: &Value) -> Option<u8> {
    match value {
        Value::Number(number) => number.as_f64().and_then(tenths_of),
        Value::String(text) => text.trim().parse::<f64>().ok().and_then(tenths_of),
        _ => None,
    }
}

fn tenths_of(score: f64) -> Option<u8> {
    // At most 100 after the check of the range.
    (0.0..=10.0).contains(&score).then(|| (score * 10.0).round() as u8)
}

/// How bad a score in tenths is.
pub(crate) fn severity_of(tenths: u8) -> Severity {
    severity::from_score(f64::from(tenths) / 10.0)
}

/// A probability from 0 to 1 in millionths; none outside that.
pub(crate) fn millionths(probability: f64) -> Option<u32> {
    // At most a million after the check of the range.
    (0.0..=1.0).contains(&probability).then(|| (probability * 1_000_000.0).round() as u32)
}

/// A score with its vector and source; a vector of version 3 without a score is computed.
pub(crate) fn score(score_tenths: Option<u8>, vector: Option<&str>, source: Option<&str>) -> Option<Cvss> {
    let text = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    Some(Cvss {
        score_tenths: score_tenths.or_else(|| vector.and_then(base_score))?,
        vector: vector.and_then(text),
        source: source.and_then(text),
    })
}

/// The base score of a `CVSS:3.0` or `CVSS:3.1` vector in tenths (CVSS 3.1, sections 7.1 and 7.4); none for a vector of
/// another version, or one in which a base metric is missing, unknown, or given twice.
pub(crate) fn base_score(vector: &str) -> Option<u8> {
    let rest = vector.trim().strip_prefix("CVSS:3.1/").or_else(|| vector.trim().strip_prefix("CVSS:3.0/"))?;
    let value = |name: &str| {
        let mut found = rest.split('/').filter_map(|part| part.split_once(':')).filter(|(metric, _)| *metric == name);
        let (_, value) = found.next()?;
        found.next().is_none().then_some(value)
    };
    let changed = match value("S")? {
        "U" => false,
        "C" => true,
        _ => return None,
    };
    let weight = |name: &str, weights: &[(&str, f64)]| {
        let value = value(name)?;
        weights.iter().find(|(letter, _)| *letter == value).map(|(_, weight)| *weight)
    };
    let impact_weights = [("H", 0.56), ("L", 0.22), ("N", 0.0)];
    let privileges =
        if changed { [("N", 0.85), ("L", 0.68), ("H", 0.5)] } else { [("N", 0.85), ("L", 0.62), ("H", 0.27)] };
    let exploitability = 8.22
        * weight("AV", &[("N", 0.85), ("A", 0.62), ("L", 0.55), ("P", 0.2)])?
        * weight("AC", &[("L", 0.77), ("H", 0.44)])?
        * weight("PR", &privileges)?
        * weight("UI", &[("N", 0.85), ("R", 0.62)])?;
    let (c, i, a) = (weight("C", &impact_weights)?, weight("I", &impact_weights)?, weight("A", &impact_weights)?);
    let base = 1.0 - (1.0 - c) * (1.0 - i) * (1.0 - a);
    let impact = if changed {
        // The 15th power by multiplication, so that every machine gets the same bits.
        let power = (0..14).fold(base - 0.02, |product, _| product * (base - 0.02));
        7.52 * (base - 0.029) - 3.25 * power
    } else {
        6.42 * base
    };
    if impact <= 0.0 {
        return Some(0);
    }
    let sum = impact + exploitability;
    Some(rounded_up((if changed { 1.08 * sum } else { sum }).min(10.0)))
}

/// The smallest number of tenths that is not below a score, as CVSS 3.1, appendix A, defines it on integers.
fn rounded_up(score: f64) -> u8 {
    // A score is at most 10, so that a hundred thousand times it fits.
    let scaled = (score * 100_000.0).round() as u32;
    u8::try_from(scaled.div_ceil(10_000)).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn vectors_of_version_3_have_a_score() {
        for (vector, expected) in [
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", Some(98)),
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", Some(100)),
            ("CVSS:3.0/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", Some(61)),
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H", Some(75)),
            ("CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H", Some(78)),
            ("CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:U/C:H/I:N/A:N", Some(59)),
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", Some(0)),
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H", None),
            ("CVSS:3.1/AV:N/AV:P/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", None),
            ("CVSS:3.1/AV:X/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", None),
            ("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", None),
            ("AV:N/AC:L/Au:N/C:P/I:P/A:P", None),
            ("", None),
        ] {
            assert_eq!(base_score(vector), expected, "{vector}");
        }
    }

    #[test]
    fn numbers_become_integers() {
        for (value, expected) in [
            (json!(9.8), Some(98)),
            (json!(10), Some(100)),
            (json!(0), Some(0)),
            (json!("7.5"), Some(75)),
            (json!(10.1), None),
            (json!(-0.1), None),
            (json!("high"), None),
            (json!(null), None),
        ] {
            assert_eq!(tenths(&value), expected, "{value}");
        }
        assert_eq!((millionths(0.000_43), millionths(1.0), millionths(1.1)), (Some(430), Some(1_000_000), None));
        assert_eq!(
            (severity_of(90), severity_of(89), severity_of(0)),
            (Severity::Critical, Severity::High, Severity::Negligible)
        );
    }
}
