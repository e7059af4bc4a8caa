//! Summaries of k6: what `handleSummary` is given, and what `--summary-export` writes.
//!
//! The first names each metric's type and what it contains, the second does not: there, only metrics whose meaning k6
//! defines are read. Times are microseconds, rates basis points recounted from passes and fails. Gauges, and numbers
//! below zero, are left out. In the export, a threshold's `true` means that it was missed; in `handleSummary` its `ok`
//! says whether it was kept.

use lockgate_model::Limits;
use lockgate_model::facts::{Better, Metric, Performance};
use serde_json::Value;

use crate::document::Object;
use crate::error::{EvidenceError, excerpt};
use crate::performance::{check_count, scaled, unique};

/// Reads a whole summary.
///
/// # Errors
/// `EVIDENCE_MALFORMED`, `DUPLICATE_KEY`, `TOO_MANY_METRICS`.
pub(crate) fn read(value: &Value, limits: &Limits) -> Result<Performance, EvidenceError> {
    let root = Object::root(value)?;
    let list = root.required_object("metrics")?;
    let mut summary = Summary::default();
    for (name, metric) in list.fields() {
        let named = |error: EvidenceError| {
            EvidenceError::new(error.code, format!("metric `{}`: {}", excerpt(name), error.message))
        };
        summary.add(name, &Object::root(metric).map_err(named)?).map_err(named)?;
        check_count(summary.metrics.len(), limits)?;
    }
    if summary.metrics.is_empty() {
        return Err(root.fault_at("metrics", "holds nothing that is read: nothing was measured"));
    }
    unique(&summary.metrics)?;
    Ok(Performance {
        format: "k6".to_owned(),
        tool: Some("k6".to_owned()),
        metrics: summary.metrics,
        missed_thresholds: summary.missed,
        measured_at: None,
    })
}

#[derive(Default)]
struct Summary {
    metrics: Vec<Metric>,
    missed: Vec<String>,
}

impl Summary {
    fn add(&mut self, name: &str, metric: &Object<'_>) -> Result<(), EvidenceError> {
        self.thresholds(name, metric)?;
        // Submetrics carry their tags: `http_req_duration{expected_response:true}`.
        let base = name.split('{').next().unwrap_or(name);
        match metric.object("values")? {
            Some(values) => {
                let contains = metric.text("contains")?.unwrap_or("default");
                match metric.required_text("type")? {
                    "trend" => self.trend(name, &values, contains),
                    "rate" => self.rate(name, base, &values),
                    "counter" => self.counter(name, base, &values, contains),
                    "gauge" => Ok(()),
                    other => Err(metric.fault_at("type", &format!("is `{}`, which is no metric type", excerpt(other)))),
                }
            }
            None if metric.fields().contains_key("passes") => self.rate(name, base, metric),
            None if metric.fields().contains_key("avg") && is_time(base) => self.trend(name, metric, "time"),
            None if metric.fields().contains_key("count") => {
                let contains = if matches!(base, "data_sent" | "data_received") { "data" } else { "default" };
                self.counter(name, base, metric, contains)
            }
            None => Ok(()),
        }
    }

    fn thresholds(&mut self, name: &str, metric: &Object<'_>) -> Result<(), EvidenceError> {
        let Some(thresholds) = metric.object("thresholds")? else { return Ok(()) };
        for (expression, result) in thresholds.fields() {
            let missed = match (result, result.get("ok")) {
                (Value::Bool(missed), _) => *missed,
                (Value::Object(_), Some(Value::Bool(ok))) => !ok,
                _ => return Err(thresholds.fault(&format!("does not say how `{}` came out", excerpt(expression)))),
            };
            if missed {
                self.missed.push(excerpt(&format!("{name}: {expression}")));
            }
        }
        Ok(())
    }

    /// Statistics such as `avg`, `med`, `p(95)`; of times in milliseconds, of data in bytes.
    fn trend(&mut self, name: &str, values: &Object<'_>, contains: &str) -> Result<(), EvidenceError> {
        let (unit, factor) = match contains {
            "time" => ("us", 1000.0),
            "data" => ("bytes", 1.0),
            _ => ("1/1000", 1000.0),
        };
        for (statistic, value) in values.fields() {
            if statistic == "thresholds" {
                continue;
            }
            let Some(number) = value.as_f64() else {
                return Err(values.fault(&format!("has no number as its `{}`", excerpt(statistic))));
            };
            if let Some(value) = scaled(number, factor, Better::Lower) {
                let statistic = statistic.replace(['(', ')'], "");
                self.push(name, &statistic, unit, value, Better::Lower);
            }
        }
        Ok(())
    }

    /// How often something was true, from the two counts; without a count there is no rate.
    fn rate(&mut self, name: &str, base: &str, values: &Object<'_>) -> Result<(), EvidenceError> {
        let (passes, fails) = (values.required_count("passes")?, values.required_count("fails")?);
        let total = u128::from(passes) + u128::from(fails);
        let (better, rounded_up) = match base {
            "checks" => (Better::Higher, 0),
            _ => (Better::Lower, total.saturating_sub(1)),
        };
        let basis_points = (u128::from(passes) * 10_000 + rounded_up).checked_div(total);
        if let Some(value) = basis_points.and_then(|value| u64::try_from(value).ok()) {
            self.push(name, "rate", "bp", value, better);
        }
        Ok(())
    }

    fn counter(&mut self, name: &str, base: &str, values: &Object<'_>, contains: &str) -> Result<(), EvidenceError> {
        let better = match base {
            "http_reqs" | "iterations" => Better::Higher,
            _ => Better::Lower,
        };
        let number = |key: &'static str| values.value(key).map(|value| value.and_then(Value::as_f64));
        let Some(count) = number("count")? else { return Err(values.fault("has no number as its `count`")) };
        let unit = if contains == "data" { "bytes" } else { "count" };
        if let Some(value) = scaled(count, 1.0, better) {
            self.push(name, "count", unit, value, better);
        }
        if let Some(value) = number("rate")?.and_then(|rate| scaled(rate, 1000.0, better)) {
            self.push(name, "rate", &format!("{unit}/1000s"), value, better);
        }
        Ok(())
    }

    fn push(&mut self, name: &str, statistic: &str, unit: &str, value: u64, better: Better) {
        self.metrics.push(Metric { name: format!("{name}.{statistic}"), unit: unit.to_owned(), value, better });
    }
}

/// Whether k6 itself defines a metric as a time.
fn is_time(name: &str) -> bool {
    matches!(
        name,
        "http_req_duration"
            | "http_req_blocked"
            | "http_req_connecting"
            | "http_req_tls_handshaking"
            | "http_req_sending"
            | "http_req_waiting"
            | "http_req_receiving"
            | "iteration_duration"
            | "group_duration"
            | "grpc_req_duration"
            | "ws_connecting"
            | "ws_session_duration"
            | "ws_ping"
            | "browser_http_req_duration"
            | "browser_web_vital_fcp"
            | "browser_web_vital_lcp"
            | "browser_web_vital_ttfb"
            | "browser_web_vital_inp"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row<'p>(claim: &'p Performance, name: &str) -> (&'p str, u64, Better) {
        let metric = claim.metric(name).unwrap_or_else(|| panic!("no {name}: {claim:?}"));
        (metric.unit.as_str(), metric.value, metric.better)
    }

    #[test]
    fn reads_what_handle_summary_is_given() {
        let claim = read(
            &json!({"root_group": {}, "metrics": {
                "http_req_duration": {"type": "trend", "contains": "time", "values": {"avg": 10.5, "p(95)": 41.0001}, "thresholds": {"p(95)<40": {"ok": false}, "avg<20": {"ok": true}}},
                "http_req_failed": {"type": "rate", "contains": "default", "values": {"rate": 0, "passes": 1, "fails": 2}},
                "checks": {"type": "rate", "contains": "default", "values": {"rate": 1, "passes": 2, "fails": 1}},
                "http_reqs": {"type": "counter", "contains": "default", "values": {"count": 3, "rate": 1.5}},
                "vus": {"type": "gauge", "contains": "default", "values": {"value": 1}},
                "empty": {"type": "rate", "contains": "default", "values": {"rate": 0, "passes": 0, "fails": 0}},
            }}),
            &Limits::DEFAULT,
        )
        .unwrap();
        assert_eq!(row(&claim, "http_req_duration.avg"), ("us", 10_500, Better::Lower));
        assert_eq!(row(&claim, "http_req_duration.p95"), ("us", 41_001, Better::Lower));
        assert_eq!(row(&claim, "http_req_failed.rate"), ("bp", 3334, Better::Lower));
        assert_eq!(row(&claim, "checks.rate"), ("bp", 6666, Better::Higher));
        assert_eq!(row(&claim, "http_reqs.count"), ("count", 3, Better::Higher));
        assert_eq!(row(&claim, "http_reqs.rate"), ("count/1000s", 1500, Better::Higher));
        assert_eq!(claim.metrics.len(), 6);
        assert_eq!(claim.missed_thresholds, ["http_req_duration: p(95)<40"]);
    }

    #[test]
    fn reads_what_the_export_writes() {
        let claim = read(
            &json!({"root_group": {}, "metrics": {
                "http_req_duration": {"avg": 1, "p(90)": 2, "thresholds": {"p(90)<5": false, "avg<1": true}},
                "my_own_trend": {"avg": 1, "max": 2},
                "http_req_failed": {"passes": 0, "fails": 4, "value": 0},
                "data_sent": {"count": 100, "rate": 10},
                "vus": {"value": 1, "min": 1, "max": 1},
            }}),
            &Limits::DEFAULT,
        )
        .unwrap();
        assert_eq!(row(&claim, "http_req_duration.p90"), ("us", 2000, Better::Lower));
        assert_eq!(row(&claim, "http_req_failed.rate"), ("bp", 0, Better::Lower));
        assert_eq!(row(&claim, "data_sent.count"), ("bytes", 100, Better::Lower));
        assert!(claim.metrics.iter().all(|metric| !metric.name.starts_with("my_own")));
        assert_eq!(claim.missed_thresholds, ["http_req_duration: avg<1"]);
    }

    #[test]
    fn refuses_what_it_cannot_read() {
        for bad in [
            json!({}),
            json!({"metrics": {}}),
            json!({"metrics": []}),
            json!({"metrics": {"vus": {"value": 1}}}),
            json!({"metrics": {"a": 1}}),
            json!({"metrics": {"a": {"type": "trend", "values": {"avg": "1"}}}}),
            json!({"metrics": {"a": {"type": "other", "values": {"avg": 1}}}}),
            json!({"metrics": {"a": {"values": {"avg": 1}}}}),
            json!({"metrics": {"checks": {"passes": 1}}}),
            json!({"metrics": {"checks": {"passes": -1, "fails": 0}}}),
            json!({"metrics": {"checks": {"passes": 1, "fails": 0, "thresholds": {"rate>0.9": "ok"}}}}),
            json!({"metrics": {"checks": {"passes": 1, "fails": 0, "thresholds": {"rate>0.9": {}}}}}),
        ] {
            assert_eq!(read(&bad, &Limits::DEFAULT).unwrap_err().code, "EVIDENCE_MALFORMED", "{bad}");
        }
    }
}
