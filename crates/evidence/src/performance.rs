//! Performance results: Lockgate's own small format (`https://lockgate.dev/performance/v1`), and what all formats share.

use std::collections::BTreeSet;

use lockgate_model::Limits;
use lockgate_model::facts::{Better, Metric, Performance};
use serde_json::Value;

use crate::document::Object;
use crate::error::{EvidenceError, excerpt};
use crate::own;

/// 2^53 - 1: the largest integer that a claim may hold.
const LARGEST: f64 = 9_007_199_254_740_991.0;

/// Reads a document of Lockgate's own.
///
/// # Errors
/// `REPORT_VERSION`, `EVIDENCE_MALFORMED`, `EVIDENCE_TIME`, `TOO_MANY_METRICS`.
pub(crate) fn read(value: &Value, limits: &Limits) -> Result<Performance, EvidenceError> {
    let root = own::open(value, own::PERFORMANCE, &["tool", "metrics", "missed_thresholds", "measured_at"])?;
    let list = root.required_list("metrics")?;
    if list.is_empty() {
        return Err(root.fault_at("metrics", "is empty: nothing was measured"));
    }
    let mut metrics = Vec::new();
    for item in list.objects() {
        metrics.push(metric(&item?)?);
        check_count(metrics.len(), limits)?;
    }
    unique(&metrics)?;
    Ok(Performance {
        format: "lockgate".to_owned(),
        tool: root.label("tool")?.map(str::to_owned),
        metrics,
        missed_thresholds: root.labels("missed_thresholds")?,
        measured_at: root.moment("measured_at")?,
    })
}

fn metric(item: &Object<'_>) -> Result<Metric, EvidenceError> {
    item.only(&["name", "unit", "value", "better"])?;
    let better = match item.required_text("better")? {
        "lower" => Better::Lower,
        "higher" => Better::Higher,
        other => return Err(item.fault_at("better", &format!("is `{}`, not lower or higher", excerpt(other)))),
    };
    Ok(Metric {
        name: item.required_label("name")?.to_owned(),
        unit: item.required_label("unit")?.to_owned(),
        value: item.required_count("value")?,
        better,
    })
}

/// Refuses more metrics than a report may have findings.
pub(crate) fn check_count(count: usize, limits: &Limits) -> Result<(), EvidenceError> {
    match count <= limits.findings_per_report {
        true => Ok(()),
        false => Err(EvidenceError::new(
            "TOO_MANY_METRICS",
            format!("more than {} metrics in one report", limits.findings_per_report),
        )),
    }
}

/// Refuses a name that stands twice: two readers could take two values.
pub(crate) fn unique(metrics: &[Metric]) -> Result<(), EvidenceError> {
    let mut seen = BTreeSet::new();
    match metrics.iter().find(|metric| !seen.insert(metric.name.as_str())) {
        None => Ok(()),
        Some(twice) => Err(EvidenceError::malformed(format!("the metric `{}` stands twice", excerpt(&twice.name)))),
    }
}

/// A measured number in a finer unit, as an integer: rounded to the worse side, so that rounding passes no budget.
///
/// None when it is negative, not finite, or too large.
pub(crate) fn scaled(number: f64, factor: f64, better: Better) -> Option<u64> {
    let scaled = number * factor;
    let rounded = match better {
        Better::Lower => scaled.ceil(),
        Better::Higher => scaled.floor(),
    };
    (0.0..=LARGEST).contains(&rounded).then_some(rounded as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sample() -> Value {
        json!({
            "schema": "https://lockgate.dev/performance/v1", "tool": "bench 3",
            "metrics": [
                {"name": "checkout.p95", "unit": "us", "value": 41_000, "better": "lower"},
                {"name": "orders", "unit": "1/s", "value": 900, "better": "higher"},
            ],
            "measured_at": "2026-11-20T10:00:00Z",
        })
    }

    #[test]
    fn reads_metrics() {
        let claim = read(&sample(), &Limits::DEFAULT).unwrap();
        assert_eq!(claim.metric("checkout.p95").unwrap().value, 41_000);
        assert_eq!(claim.metric("orders").unwrap().better, Better::Higher);
        assert_eq!(claim.metric("other"), None);
    }

    #[test]
    fn refuses_what_is_no_measurement() {
        let check = |pointer: &str, replacement: Value, code: &str| {
            let mut value = sample();
            *value.pointer_mut(pointer).unwrap() = replacement.clone();
            assert_eq!(read(&value, &Limits::DEFAULT).unwrap_err().code, code, "{pointer} {replacement}");
        };
        check("/schema", json!("https://lockgate.dev/performance/v2"), "REPORT_VERSION");
        check("/metrics", json!([]), "EVIDENCE_MALFORMED");
        check("/metrics", json!(null), "EVIDENCE_MALFORMED");
        check("/metrics/0/value", json!(-1), "EVIDENCE_MALFORMED");
        check("/metrics/0/value", json!(1.5), "EVIDENCE_MALFORMED");
        check("/metrics/0/value", json!("1"), "EVIDENCE_MALFORMED");
        check("/metrics/0/value", json!(9_007_199_254_740_992_u64), "EVIDENCE_MALFORMED");
        check("/metrics/0/name", json!("orders"), "EVIDENCE_MALFORMED");
        check("/metrics/0/name", json!(""), "EVIDENCE_MALFORMED");
        check("/metrics/0/name", json!("a\nb"), "EVIDENCE_MALFORMED");
        check("/metrics/0/unit", json!(null), "EVIDENCE_MALFORMED");
        check("/metrics/0/better", json!("Lower"), "EVIDENCE_MALFORMED");
        check(
            "/metrics/0",
            json!({"name": "a", "unit": "s", "value": 1, "better": "lower", "limit": 2}),
            "EVIDENCE_MALFORMED",
        );
        check("/measured_at", json!("yesterday"), "EVIDENCE_TIME");
        let few = Limits { findings_per_report: 1, ..Limits::DEFAULT };
        assert_eq!(read(&sample(), &few).unwrap_err().code, "TOO_MANY_METRICS");
    }

    #[test]
    fn rounds_to_the_worse_side() {
        assert_eq!(scaled(1.0001, 1000.0, Better::Lower), Some(1001));
        assert_eq!(scaled(1.0009, 1000.0, Better::Higher), Some(1000));
        assert_eq!(scaled(0.0, 1000.0, Better::Lower), Some(0));
        for bad in [-1.0, f64::NAN, f64::INFINITY, 1e16] {
            assert_eq!(scaled(bad, 1.0, Better::Lower), None, "{bad}");
        }
    }
}
