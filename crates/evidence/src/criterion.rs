//! Criterion's `estimates.json`: the estimates of one benchmark, in nanoseconds.
//!
//! The file does not name its benchmark, only its folder does, so the metrics are `mean`, `median` and, where the
//! benchmark has one, `slope`. Values are picoseconds.

use lockgate_model::facts::{Better, Metric, Performance};
use serde_json::Value;

use crate::document::Object;
use crate::error::EvidenceError;
use crate::performance::scaled;

/// Reads a whole file.
///
/// # Errors
/// `EVIDENCE_MALFORMED`, `DUPLICATE_KEY`.
pub(crate) fn read(value: &Value) -> Result<Performance, EvidenceError> {
    let root = Object::root(value)?;
    let mut metrics =
        vec![metric("mean", &root.required_object("mean")?)?, metric("median", &root.required_object("median")?)?];
    if let Some(slope) = root.object_or_null("slope")? {
        metrics.push(metric("slope", &slope)?);
    }
    Ok(Performance {
        format: "criterion".to_owned(),
        tool: Some("criterion".to_owned()),
        metrics,
        missed_thresholds: Vec::new(),
        measured_at: None,
    })
}

fn metric(name: &str, estimate: &Object<'_>) -> Result<Metric, EvidenceError> {
    let nanoseconds = estimate.value("point_estimate")?.and_then(Value::as_f64);
    match nanoseconds.and_then(|number| scaled(number, 1000.0, Better::Lower)) {
        Some(value) => Ok(Metric { name: name.to_owned(), unit: "ps".to_owned(), value, better: Better::Lower }),
        None => Err(estimate.fault("has no `point_estimate` that is a duration in nanoseconds")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sample() -> Value {
        let estimate = |point: f64| {
            json!({
                "confidence_interval": {"confidence_level": 0.95, "lower_bound": point, "upper_bound": point},
                "point_estimate": point, "standard_error": 0.5,
            })
        };
        json!({
            "mean": estimate(1234.5678), "median": estimate(1200.0), "median_abs_dev": estimate(3.0),
            "slope": null, "std_dev": estimate(9.0),
        })
    }

    #[test]
    fn reads_picoseconds() {
        let claim = read(&sample()).unwrap();
        let rows: Vec<(&str, u64)> = claim.metrics.iter().map(|metric| (metric.name.as_str(), metric.value)).collect();
        assert_eq!(rows, [("mean", 1_234_568), ("median", 1_200_000)]);
        let mut value = sample();
        value["slope"] = value["mean"].clone();
        assert_eq!(read(&value).unwrap().metrics.len(), 3);
    }

    #[test]
    fn refuses_what_has_no_estimate() {
        for (key, bad) in [
            ("mean", json!(null)),
            ("mean", json!({})),
            ("median", json!({"point_estimate": "1"})),
            ("median", json!({"point_estimate": -1.0})),
            ("slope", json!({"point_estimate": null})),
            ("slope", json!([])),
        ] {
            let mut value = sample();
            value[key] = bad;
            assert_eq!(read(&value).unwrap_err().code, "EVIDENCE_MALFORMED", "{value}");
        }
    }
}
