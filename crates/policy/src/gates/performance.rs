//! The `performance` gate: what was measured stays within its budget, and is not much worse than what runs.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use lockgate_model::facts::{Artifact, Better, Claim, EvidenceFact, Metric, Performance};
use lockgate_model::{SignerName, Span};
use serde::Deserialize;

use super::coverage::{Covered, Demand, Shortfall, every_artifact, together, together_by};
use super::{Assessment, Context, Problem, is_fresh, is_from_future, signer_problems};
use crate::explain::Reason;
use crate::permission::Permission;
use crate::policy_set::PolicySet;
use crate::share::Share;
use crate::trust::EvidenceKind;
use crate::wording::{age, few, shown};

/// Demands measurements of every artifact; of each metric the newest one counts, with those that were handed in together
/// with it. No report that counts may have missed a threshold: none that gives a metric, nor the newest of each tool.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PerformanceGate {
    /// What each metric may be, by its name.
    #[serde(default)]
    pub budget: BTreeMap<String, Budget>,
    /// Whether thresholds that the tool itself was given may be missed.
    #[serde(default)]
    pub allow_missed_thresholds: bool,
    /// How old a measurement may be, by its own time or else by when it was recorded.
    #[serde(default)]
    pub max_age: Option<Span>,
    /// Whose signature it needs; empty accepts unsigned reports too.
    #[serde(default)]
    pub signed_by: Vec<SignerName>,
}

/// What one metric may be.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// What it is counted in, such as `us`; a value in another unit is no value.
    pub unit: String,
    /// The largest value.
    #[serde(default)]
    pub max: Option<u64>,
    /// The smallest value.
    #[serde(default)]
    pub min: Option<u64>,
    /// By which share it may be worse than what runs, artifact by artifact.
    #[serde(default)]
    pub max_worse: Option<Share>,
}

type Measured<'a> = (&'a EvidenceFact, &'a Performance);

impl PerformanceGate {
    pub(super) fn problems(&self, policy: &PolicySet) -> Vec<Problem> {
        let mut problems = signer_problems(&self.signed_by, EvidenceKind::Performance, policy);
        if self.budget.is_empty() && self.allow_missed_thresholds {
            problems.push(Problem::new("demands nothing: write a `budget`, or leave `allow_missed_thresholds` out"));
        }
        for (name, budget) in &self.budget {
            if budget.max.is_none() && budget.min.is_none() && budget.max_worse.is_none() {
                problems
                    .push(Problem::new(format!("the budget of `{name}` is empty: write `max`, `min` or `max_worse`")));
            }
            if budget.max.zip(budget.min).is_some_and(|(max, min)| max < min) {
                problems.push(Problem::new(format!("the budget of `{name}` has a `max` below its `min`")));
            }
        }
        if self.max_age.is_some_and(Span::is_zero) {
            problems.push(Problem::new("`max_age` is zero: no measurement would ever be young enough"));
        }
        problems
    }

    pub(super) fn compares(&self) -> bool {
        self.budget.values().any(|budget| budget.max_worse.is_some())
    }

    fn demand(&self) -> Demand<'_> {
        Demand {
            kind: EvidenceKind::Performance,
            signed_by: &self.signed_by,
            noun: "performance report",
            missing: Reason::PerformanceMissing,
        }
    }

    pub(super) fn assess(&self, ctx: Context<'_>) -> Assessment {
        let result = every_artifact(ctx, |artifact| self.check(ctx, artifact));
        let who = || ctx.groups_that_may(Permission::Attest);
        Assessment::of_coverage(result, self.needed(), who, |reason| match reason {
            Reason::PerformanceOver | Reason::PerformanceWorse => {
                format!("make it faster or smaller, then: {}", ctx.push_next(""))
            }
            Reason::BaselineMissing => ctx.attest_running_report("performance.json"),
            Reason::PerformanceStale => self.demand().anew(ctx, "measure it again", "--report performance.json"),
            _ => self.demand().fix(ctx, reason, "--report performance.json"),
        })
    }

    fn needed(&self) -> String {
        let budgets = self.budget.iter().map(|(name, budget)| {
            let mut parts = Vec::new();
            parts.extend(budget.max.map(|max| format!("at most {max} {}", budget.unit)));
            parts.extend(budget.min.map(|min| format!("at least {min} {}", budget.unit)));
            parts.extend(budget.max_worse.map(|share| format!("at most {share} worse than what runs")));
            format!("{} {}", shown(name), parts.join(", "))
        });
        let budgets = few(budgets, "; ");
        let budgets = if budgets.is_empty() { "measurements".to_owned() } else { budgets };
        let missed = if self.allow_missed_thresholds { "" } else { ", no threshold missed" };
        let young = self.max_age.map(|age| format!(", not older than {age}")).unwrap_or_default();
        format!("{budgets}{missed}{young}{}", self.demand().signed_by_text())
    }

    fn check(&self, ctx: Context<'_>, artifact: &Artifact) -> Result<Covered, Shortfall> {
        let reports = self.demand().counted(ctx, artifact, performance)?;
        let now = ctx.facts.time;
        let short = |reason, text, fact: &EvidenceFact| Err(Shortfall { reason, text, evidence: vec![fact.evidence] });
        if let Some((fact, _)) = reports.iter().find(|(fact, report)| is_from_future(report.measured_at, fact, now)) {
            return short(Reason::EvidenceFromFuture, "a measurement from after it was recorded".to_owned(), fact);
        }
        let newest = together_by(reports.clone(), |report| (&report.format, &report.tool));
        let measured: BTreeMap<&String, Vec<Measured<'_>>> =
            self.budget.keys().map(|name| (name, measurements(&reports, name))).collect();
        let mut asked: Vec<Measured<'_>> = newest.iter().chain(measured.values().flatten()).copied().collect();
        asked.sort_by_key(|(fact, _)| Reverse(fact.index));
        let missed = |(_, report): &&Measured<'_>| !report.missed_thresholds.is_empty();
        if let Some((fact, report)) = asked.iter().find(missed).filter(|_| !self.allow_missed_thresholds) {
            let listed = few(report.missed_thresholds.iter().map(|text| shown(text)), ", ");
            return short(Reason::PerformanceOver, format!("missed {listed}"), fact);
        }
        let baseline = match self.compares() {
            true => self.demand().baseline(ctx, artifact, performance)?,
            false => None,
        };
        let mut evidence = Vec::new();
        let mut texts = Vec::new();
        if self.budget.is_empty() {
            evidence.extend(newest.iter().map(|(fact, _)| fact.evidence));
            texts.push("no threshold missed".to_owned());
        }
        for (name, budget) in &self.budget {
            let found = measured.get(name).map(Vec::as_slice).unwrap_or_default();
            if found.is_empty() {
                let text = format!("{} was not measured", shown(name));
                let evidence = reports.iter().map(|(fact, _)| fact.evidence).collect();
                return Err(Shortfall { reason: Reason::PerformanceMissing, text, evidence });
            }
            for (fact, report) in found.iter().copied() {
                let Some(metric) = report.metric(name) else { continue };
                if !is_fresh(report.measured_at, fact, self.max_age, now) {
                    let measured = report.measured_at.unwrap_or(fact.recorded_at);
                    let text = format!("{} was measured {measured}, {} ago", shown(name), age(now.since(measured)));
                    return short(Reason::PerformanceStale, text, fact);
                }
                match budget.judge(name, metric, baseline.as_deref()) {
                    Ok(text) => texts.push(text),
                    Err((reason, text)) => return short(reason, text, fact),
                }
                if !evidence.contains(&fact.evidence) {
                    evidence.push(fact.evidence);
                }
            }
        }
        Ok(Covered { text: few(texts, "; "), evidence, waived: false })
    }
}

/// The newest reports that give a metric; see [`together`].
fn measurements<'a>(reports: &[Measured<'a>], name: &str) -> Vec<Measured<'a>> {
    together(reports.iter().copied().filter(|(_, report)| report.metric(name).is_some()).collect())
}

fn performance(claim: &Claim) -> Option<&Performance> {
    match claim {
        Claim::Performance(performance) => Some(performance),
        _ => None,
    }
}

impl Budget {
    /// Says how a metric keeps its budget, or why it does not; `baseline` are measurements of what runs.
    fn judge(
        &self,
        name: &str,
        metric: &Metric,
        baseline: Option<&[Measured<'_>]>,
    ) -> Result<String, (Reason, String)> {
        let text = format!("{} is {} {}", shown(name), metric.value, shown(&metric.unit));
        if metric.unit != self.unit {
            return Err((Reason::PerformanceMissing, format!("{text}, which is not in {}", self.unit)));
        }
        let over = self.max.is_some_and(|max| metric.value > max) || self.min.is_some_and(|min| metric.value < min);
        if over {
            return Err((Reason::PerformanceOver, text));
        }
        let (Some(most), Some(baseline)) = (self.max_worse, baseline) else { return Ok(text) };
        let before = baseline
            .iter()
            .filter_map(|(fact, report)| Some((fact.index, report.metric(name)?)))
            .max_by_key(|(index, _)| *index);
        let Some((_, before)) = before.filter(|(_, before)| before.unit == metric.unit) else {
            return Err((Reason::BaselineMissing, format!("{text}, and was not measured in that unit for what runs")));
        };
        let text = format!("{text}, {} for what runs", before.value);
        // Who turns the direction around would make a setback an improvement.
        if metric.better != before.better {
            let (now, then) = (word(metric.better), word(before.better));
            let text = format!("{text}, and the reports disagree about what is better: {now} now, {then} then");
            return Err((Reason::PerformanceWorse, text));
        }
        match is_worse(metric, before.value, most) {
            true => Err((Reason::PerformanceWorse, text)),
            false => Ok(text),
        }
    }
}

const fn word(better: Better) -> &'static str {
    match better {
        Better::Lower => "lower",
        Better::Higher => "higher",
    }
}

/// Whether a value is worse than one before by more than a share of it; exact, without rounding.
fn is_worse(metric: &Metric, before: u64, most: Share) -> bool {
    const WHOLE: u128 = 10_000;
    let (now, before) = (u128::from(metric.value) * WHOLE, u128::from(before));
    let share = u128::from(most.basis_points());
    match metric.better {
        Better::Lower => now > before * (WHOLE + share),
        Better::Higher => now < before * WHOLE.saturating_sub(share),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::GateOutcome::{Fail, Pass};
    use crate::sample::{TIME, check, evidence, on_behalf, running};
    use lockgate_model::facts::Facts;
    use lockgate_model::{Digest, UnixMillis};

    fn report(value: u64, better: Better, missed: &[&str]) -> Claim {
        let metric = Metric { name: "p95".to_owned(), unit: "us".to_owned(), value, better };
        Claim::Performance(Performance {
            format: "k6".to_owned(),
            tool: None,
            metrics: vec![metric],
            missed_thresholds: missed.iter().map(|text| (*text).to_owned()).collect(),
            measured_at: None,
        })
    }

    #[test]
    fn keeps_its_budget_and_its_distance_from_what_runs() {
        use Better::{Higher, Lower};
        let row = |fields: &str, ours: Claim, theirs: Option<Option<Claim>>, outcome, reason| {
            let change = |_: &PolicySet, facts: &mut Facts| {
                facts.evidence = vec![evidence(2, on_behalf("robot"), ours)];
                facts.running = theirs.as_ref().map(|_| running("1.4.1"));
                let theirs = theirs.flatten().map(|claim| evidence(1, on_behalf("robot"), claim));
                facts.running_evidence = theirs.into_iter().collect();
            };
            check(&format!("kind = \"performance\"\n{fields}\n"), change, outcome, reason)
        };
        let of = |value| report(value, Lower, &[]);
        let runs = |value, better| Some(Some(report(value, better, &[])));
        let max = "budget = { p95 = { unit = \"us\", max = 500 } }";
        row(max, of(500), None, Pass, Reason::Satisfied);
        let result = row(max, of(501), None, Fail, Reason::PerformanceOver);
        assert_eq!(result.found, "app.tar.gz: p95 is 501 us");
        row("budget = { p95 = { unit = \"us\", min = 500 } }", of(499), None, Fail, Reason::PerformanceOver);
        row("budget = { p99 = { unit = \"us\", max = 500 } }", of(1), None, Fail, Reason::PerformanceMissing);
        row("budget = { p95 = { unit = \"ms\", max = 500 } }", of(1), None, Fail, Reason::PerformanceMissing);
        let worse = "budget = { p95 = { unit = \"us\", max_worse = \"5%\" } }";
        row(worse, of(1050), runs(1000, Lower), Pass, Reason::Satisfied);
        row(worse, of(1051), runs(1000, Lower), Fail, Reason::PerformanceWorse);
        row(worse, report(950, Higher, &[]), runs(1000, Higher), Pass, Reason::Satisfied);
        row(worse, report(949, Higher, &[]), runs(1000, Higher), Fail, Reason::PerformanceWorse);
        // The direction is the same on both sides, or nothing is said of better and worse.
        let result = row(worse, report(5000, Higher, &[]), runs(100, Lower), Fail, Reason::PerformanceWorse);
        let disagree = "100 for what runs, and the reports disagree about what is better: higher now, lower then";
        assert_eq!(result.found, format!("app.tar.gz: p95 is 5000 us, {disagree}"));
        row(worse, of(1000), runs(1000, Higher), Fail, Reason::PerformanceWorse);
        row(worse, report(1, Higher, &[]), None, Pass, Reason::Satisfied);
        row(worse, of(1051), None, Pass, Reason::Satisfied);
        row(worse, of(1051), Some(None), Fail, Reason::BaselineMissing);
        row("", of(1), None, Pass, Reason::Satisfied);
        let result = row("", report(1, Lower, &["p(95)<500"]), None, Fail, Reason::PerformanceOver);
        assert!(result.found.ends_with("missed p(95)<500"), "{}", result.found);
        row(&format!("{max}\nallow_missed_thresholds = true"), report(1, Lower, &["x"]), None, Pass, Reason::Satisfied);
        row(max, Claim::Tests(crate::sample::tests()), None, Fail, Reason::PerformanceMissing);
    }

    /// A report of some tool with some metrics, handed in so many seconds ago.
    fn of(index: u64, ago: u64, format: &str, metrics: &[(&str, u64)], missed: &[&str]) -> EvidenceFact {
        let metric = |(name, value): &(&str, u64)| Metric {
            name: (*name).to_owned(),
            unit: "us".to_owned(),
            value: *value,
            better: Better::Lower,
        };
        let claim = Claim::Performance(Performance {
            format: format.to_owned(),
            tool: None,
            metrics: metrics.iter().map(metric).collect(),
            missed_thresholds: missed.iter().map(|text| (*text).to_owned()).collect(),
            measured_at: None,
        });
        EvidenceFact { recorded_at: UnixMillis(TIME.0 - ago * 1000), ..evidence(index, on_behalf("robot"), claim) }
    }

    #[test]
    fn no_later_report_hides_a_missed_threshold_or_a_value() {
        let row = |fields: &str, facts: Vec<EvidenceFact>, outcome, reason| {
            check(&format!("kind = \"performance\"\n{fields}\n"), |_, known| known.evidence = facts, outcome, reason)
        };
        let max = "budget = { p95 = { unit = \"us\", max = 500 } }";
        let missed = || of(1, 9, "k6", &[("p95", 1)], &["p(95)<500"]);
        // It gives the metric, and a later report of another tool does not.
        let other = || of(2, 8, "criterion", &[("mean", 1)], &[]);
        let result = row(max, vec![missed(), other()], Fail, Reason::PerformanceOver);
        assert!(result.found.ends_with("missed p(95)<500"), "{}", result.found);
        row(&format!("{max}\nallow_missed_thresholds = true"), vec![missed(), other()], Pass, Reason::Satisfied);
        // It is the newest of its tool, also where another one gives the metric, and where there is no budget.
        let silent = of(1, 9, "k6", &[("rate", 1)], &["rate<1"]);
        row(max, vec![silent.clone(), of(2, 8, "criterion", &[("p95", 1)], &[])], Fail, Reason::PerformanceOver);
        row("", vec![silent, other()], Fail, Reason::PerformanceOver);
        // A newer one of the same tool with the same metric replaces it.
        row(max, vec![missed(), of(2, 8, "k6", &[("p95", 1)], &[])], Pass, Reason::Satisfied);
        row("", vec![missed(), of(2, 8, "k6", &[], &[])], Pass, Reason::Satisfied);
        // Of those that were handed in together each has to hold.
        for [first, second] in [[1, 501], [501, 1]] {
            let both = vec![of(1, 9, "k6", &[("p95", first)], &[]), of(2, 9, "k6", &[("p95", second)], &[])];
            row(max, both, Fail, Reason::PerformanceOver);
        }
        let result = row(
            &format!("{max}\nmax_age = \"1h\""),
            vec![of(1, 108_097, "k6", &[("p95", 1)], &[])],
            Fail,
            Reason::PerformanceStale,
        );
        assert!(result.found.ends_with(", 30 hours ago"), "{}", result.found);
        assert!(result.fix.starts_with("measure it again, then: lockgate attest "), "{}", result.fix);
    }

    #[test]
    fn an_artifact_is_compared_with_its_own_measurements() {
        let named = |name: &str, version: &str| Artifact {
            digest: Digest::of(format!("{name} {version}").as_bytes()),
            name: name.to_owned(),
            size_bytes: 1,
        };
        let about = |index, artifact: &Artifact, value| EvidenceFact {
            artifacts: vec![artifact.digest],
            ..evidence(index, on_behalf("robot"), report(value, Better::Lower, &[]))
        };
        let row = |web: u64, worker: u64, outcome, reason| {
            let change = |_: &PolicySet, facts: &mut Facts| {
                let [ours, theirs] =
                    ["1.4.2", "1.4.1"].map(|version| [named("web", version), named("worker", version)]);
                facts.evidence = vec![about(3, &ours[0], web), about(4, &ours[1], worker)];
                facts.release.artifacts = ours.to_vec();
                facts.running = Some(running("1.4.1"));
                facts.running_evidence = vec![about(1, &theirs[0], 100), about(2, &theirs[1], 10_000)];
                facts.running_artifacts = theirs.to_vec();
            };
            let worse = "budget = { p95 = { unit = \"us\", max_worse = \"10%\" } }";
            check(&format!("kind = \"performance\"\n{worse}\n"), change, outcome, reason)
        };
        row(110, 11_000, Pass, Reason::Satisfied);
        let result = row(5000, 10_000, Fail, Reason::PerformanceWorse);
        assert_eq!(result.found, "web: p95 is 5000 us, 100 for what runs");
        row(110, 11_001, Fail, Reason::PerformanceWorse);
    }

    #[test]
    fn large_values_do_not_overflow() {
        let metric = Metric { name: "n".to_owned(), unit: "ps".to_owned(), value: u64::MAX, better: Better::Lower };
        assert!(!is_worse(&metric, u64::MAX, Share::NONE));
        assert!(is_worse(&metric, u64::MAX - 1, Share::NONE));
    }
}
