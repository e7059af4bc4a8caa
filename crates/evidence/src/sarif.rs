//! SARIF 2.1.0 (OASIS, errata 01): what analysis found.
//!
//! A tool is named in `tools` only when each of its runs came to an end with a list of results. A run without
//! `results`, or whose invocation says `executionSuccessful: false`, found nothing because it did not look: its tool is
//! named in `unfinished`. What it did find counts.
//!
//! Logs get large, so results are read one by one, and of each no more is remembered than is needed to give it a level
//! once the rules are known, which may stand behind it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use lockgate_model::facts::{AnalysisLevel, AnalysisResult, StaticAnalysis};
use lockgate_model::{Hasher, Limits};

use crate::document::Object;
use crate::error::{EvidenceError, excerpt};
use crate::sarif_rules::{Component, Level, RuleRef, own_level};
use crate::stream::{self, Item, Shape, Source};

/// The published schema; as a predicate type it says that the predicate is such a log.
pub(crate) const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json";
/// The same schema with errata 01.
pub(crate) const SCHEMA_ERRATA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

static LOG: Shape = Shape::Fields(&[("version", Shape::Whole), ("runs", Shape::Each(&RUN))]);

static RUN: Shape = Shape::Fields(&[
    ("tool", Shape::Fields(&[("driver", COMPONENT), ("extensions", Shape::Each(&COMPONENT))])),
    ("externalPropertyFileReferences", Shape::Fields(&[("results", Shape::Whole)])),
    ("invocations", Shape::Each(&Shape::Fields(&[("executionSuccessful", Shape::Whole)]))),
    ("results", Shape::Stream("result", &RESULT)),
]);

const COMPONENT: Shape = Shape::Fields(&[("name", Shape::Whole), ("rules", Shape::Stream("rule", &RULE))]);

const RULE: Shape =
    Shape::Fields(&[("id", Shape::Whole), ("defaultConfiguration", Shape::Fields(&[("level", Shape::Whole)]))]);

static RESULT: Shape = Shape::Fields(&[
    ("kind", Shape::Whole),
    ("level", Shape::Whole),
    ("ruleId", Shape::Whole),
    ("ruleIndex", Shape::Whole),
    (
        "rule",
        Shape::Fields(&[
            ("id", Shape::Whole),
            ("index", Shape::Whole),
            ("toolComponent", Shape::Fields(&[("index", Shape::Whole)])),
        ]),
    ),
    ("suppressions", Shape::Each(&Shape::Fields(&[("status", Shape::Whole)]))),
    ("fingerprints", Shape::Whole),
    ("partialFingerprints", Shape::Whole),
    ("message", Shape::Fields(&[("text", Shape::Whole), ("id", Shape::Whole)])),
    ("locations", Shape::Each(&LOCATION)),
]);

static LOCATION: Shape = Shape::Fields(&[(
    "physicalLocation",
    Shape::Fields(&[("artifactLocation", Shape::Fields(&[("uri", Shape::Whole)]))]),
)]);

/// Reads a whole log.
///
/// # Errors
/// `SARIF_VERSION`, `EVIDENCE_MALFORMED`, `TOO_MANY_FINDINGS`, `DUPLICATE_KEY`.
pub(crate) fn read<'a>(source: impl Into<Source<'a>>, limits: &Limits) -> Result<StaticAnalysis, EvidenceError> {
    let mut seen = Seen { limits, results: 0, rules: 0, runs: BTreeMap::new() };
    let document = stream::read(source.into(), &LOG, limits, &mut |item| seen.add(&item))?;
    let root = Object::root(&document.value)?;
    let version = root.required_text("version")?;
    if version != "2.1.0" {
        return Err(EvidenceError::new(
            "SARIF_VERSION",
            format!("SARIF `{}` is not read: have the tool write version 2.1.0, or convert the file", excerpt(version)),
        ));
    }
    let runs = root.required_list("runs")?;
    let mut analysis = StaticAnalysis::default();
    let mut counted: Vec<Counted> = Vec::new();
    let mut tools: BTreeMap<usize, String> = BTreeMap::new();
    let mut finished: BTreeSet<String> = BTreeSet::new();
    let mut unfinished: BTreeSet<String> = BTreeSet::new();
    for (position, run) in runs.objects().enumerate() {
        let run = run?;
        let (tool, has_results) = check_run(&run)?;
        if !has_results {
            unfinished.insert(tool);
            continue;
        }
        if let Some(known) = seen.runs.get(&position) {
            known.count(position, &mut analysis, &mut counted);
        }
        if ended_well(&run)? {
            finished.insert(tool.clone());
        } else {
            unfinished.insert(tool.clone());
        }
        tools.insert(position, tool);
    }
    analysis.tools = finished.difference(&unfinished).cloned().collect();
    analysis.unfinished = unfinished.into_iter().collect();
    document.check_items()?;
    counted.sort_unstable();
    analysis.results_left_out =
        u64::try_from(counted.len().saturating_sub(StaticAnalysis::RESULTS)).unwrap_or(u64::MAX);
    let kept = counted.iter().take(StaticAnalysis::RESULTS);
    analysis.results = kept.filter_map(|one| seen.runs.get(&one.run)?.result(one, tools.get(&one.run)?)).collect();
    Ok(analysis)
}

/// Checks a run's own fields. The tool's name, and whether there are results.
fn check_run(run: &Object<'_>) -> Result<(String, bool), EvidenceError> {
    let tool = run.required_object("tool")?;
    let driver = tool.required_object("driver")?;
    let name = driver.required_text("name")?;
    driver.list("rules")?;
    if let Some(extensions) = tool.list("extensions")? {
        for extension in extensions.objects() {
            extension?.list("rules")?;
        }
    }
    if let Some(external) = run.object("externalPropertyFileReferences")?
        && external.list("results")?.is_some_and(|list| !list.is_empty())
    {
        return Err(external.fault_at("results", "puts results into other files: have the tool write them inline"));
    }
    // Section 3.14.23: absent when the run was for something else, null when it could not start.
    if run.value("results")?.is_none_or(serde_json::Value::is_null) {
        return Ok((name.to_owned(), false));
    }
    run.required_list("results")?;
    Ok((name.to_owned(), true))
}

/// Whether no invocation says that the tool failed (section 3.20.14).
fn ended_well(run: &Object<'_>) -> Result<bool, EvidenceError> {
    let Some(invocations) = run.list("invocations")? else { return Ok(true) };
    for invocation in invocations.objects() {
        if invocation?.flag("executionSuccessful")? == Some(false) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What has been read of all runs.
struct Seen<'l> {
    limits: &'l Limits,
    results: usize,
    rules: usize,
    runs: BTreeMap<usize, Run>,
}

impl Seen<'_> {
    fn add(&mut self, item: &Item<'_>) -> Result<(), EvidenceError> {
        let object = Object::part(&item.value, item.pointer)?;
        let [run, rest @ ..] = item.path else { return Ok(()) };
        let limit = self.limits.findings_per_report;
        let too_many =
            |what: &str| EvidenceError::new("TOO_MANY_FINDINGS", format!("more than {limit} {what} in one log"));
        if item.list == "result" {
            self.results += 1;
            if self.results > limit {
                return Err(too_many("results"));
            }
            return self.runs.entry(*run).or_default().add_result(&object, rest.last().copied().unwrap_or_default());
        }
        self.rules += 1;
        if self.rules > limit {
            return Err(too_many("rules"));
        }
        let run = self.runs.entry(*run).or_default();
        match rest {
            [_] => run.driver.add(&object),
            [extension, ..] => run.extensions.entry(*extension).or_default().add(&object),
            [] => Ok(()),
        }
    }
}

/// What is remembered of one run.
#[derive(Debug, Default)]
struct Run {
    driver: Component,
    extensions: BTreeMap<usize, Component>,
    rules: Interned<RuleRef>,
    files: Interned<String>,
    results: Vec<Remembered>,
    suppressed: u64,
    /// Suppressed results of which only the rule says whether they have a level.
    suppressed_by_rule: Vec<u32>,
}

/// One result until its level is known.
#[derive(Debug)]
struct Remembered {
    position: u32,
    /// Its own level; none when its rule has to tell.
    level: Option<AnalysisLevel>,
    rule: u32,
    file: Option<u32>,
    /// What identifies it, apart from its rule.
    fingerprint: [u8; 16],
}

/// One result that counts; ordered by its level, worst first, and then by its place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Counted {
    level: Reverse<AnalysisLevel>,
    run: usize,
    /// Among the remembered ones of its run.
    number: usize,
}

impl Run {
    fn add_result(&mut self, result: &Object<'_>, position: usize) -> Result<(), EvidenceError> {
        let kind = result.text("kind")?.unwrap_or("fail");
        if !matches!(kind, "fail" | "pass" | "open" | "informational" | "notApplicable" | "review") {
            return Err(result.fault_at("kind", &format!("is `{}`, which is no result kind", excerpt(kind))));
        }
        // The result's own level, else none when its kind is not `fail`, else its rule's (section 3.27.10).
        let own = own_level(result)?;
        let level = match own {
            None if kind != "fail" => return Ok(()),
            Some(Level::None) => return Ok(()),
            Some(level) => level.counted(),
            None => None,
        };
        let rule = RuleRef::of(result)?;
        if is_suppressed(result)? {
            match level {
                Some(_) => self.suppressed += 1,
                None => self.suppressed_by_rule.push(self.rules.of(rule)),
            }
            return Ok(());
        }
        let file = first_file(result)?;
        let fingerprint = fingerprint_of(result, file)?;
        let remembered = Remembered {
            position: u32::try_from(position).unwrap_or(u32::MAX),
            level,
            rule: self.rules.of(rule),
            file: file.map(|file| self.files.of(file.to_owned())),
            fingerprint,
        };
        self.results.push(remembered);
        Ok(())
    }

    /// The level that a rule gives its results; a rule that cannot be found, or has none, gives `warning`.
    fn level_of(&self, rule: u32) -> Level {
        let found = self.rules.get(rule).and_then(|rule| rule.level(&self.driver, &self.extensions));
        found.unwrap_or(Level::Warning)
    }

    fn count(&self, run: usize, analysis: &mut StaticAnalysis, counted: &mut Vec<Counted>) {
        analysis.suppressed += self.suppressed;
        for rule in &self.suppressed_by_rule {
            analysis.suppressed += u64::from(self.level_of(*rule) != Level::None);
        }
        for (number, result) in self.results.iter().enumerate() {
            let Some(level) = result.level.or_else(|| self.level_of(result.rule).counted()) else { continue };
            *match level {
                AnalysisLevel::Error => &mut analysis.errors,
                AnalysisLevel::Warning => &mut analysis.warnings,
                AnalysisLevel::Note => &mut analysis.notes,
            } += 1;
            counted.push(Counted { level: Reverse(level), run, number });
        }
    }

    /// What is told of one result.
    fn result(&self, counted: &Counted, tool: &str) -> Option<AnalysisResult> {
        let result = self.results.get(counted.number)?;
        let rule = self.rules.get(result.rule).and_then(|rule| rule.id(&self.driver, &self.extensions));
        let mut hasher = Hasher::new();
        hasher.update(rule.unwrap_or_default().as_bytes());
        hasher.update(&[0]);
        hasher.update(&result.fingerprint);
        Some(AnalysisResult {
            tool: tool.to_owned(),
            rule: rule.map(str::to_owned),
            level: counted.level.0,
            fingerprint: hasher.finish().hex().chars().take(32).collect(),
            file: result.file.and_then(|file| self.files.get(file)).cloned(),
            pointer: format!("/runs/{}/results/{}", counted.run, result.position),
        })
    }
}

/// Values that stand in many results, each kept once.
#[derive(Debug)]
struct Interned<T> {
    numbers: BTreeMap<T, u32>,
    values: Vec<T>,
}

impl<T> Default for Interned<T> {
    fn default() -> Self {
        Self { numbers: BTreeMap::new(), values: Vec::new() }
    }
}

impl<T: Ord + Clone> Interned<T> {
    fn of(&mut self, value: T) -> u32 {
        if let Some(number) = self.numbers.get(&value) {
            return *number;
        }
        // There are at most as many as results, of which `limits.findings_per_report` allows fewer.
        let number = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        self.values.push(value.clone());
        self.numbers.insert(value, number);
        number
    }

    fn get(&self, number: u32) -> Option<&T> {
        self.values.get(usize::try_from(number).ok()?)
    }
}

/// Whether there are suppressions and every one of them is in force (sections 3.27.23 and 3.35.3).
fn is_suppressed(result: &Object<'_>) -> Result<bool, EvidenceError> {
    let Some(suppressions) = result.list("suppressions")? else { return Ok(false) };
    for suppression in suppressions.objects() {
        let suppression = suppression?;
        match suppression.text("status")? {
            None | Some("accepted") => {}
            Some("rejected" | "underReview") => return Ok(false),
            Some(other) => {
                return Err(
                    suppression.fault_at("status", &format!("is `{}`, which is no suppression status", excerpt(other)))
                );
            }
        }
    }
    Ok(!suppressions.is_empty())
}

/// The file of the first location, where it has a URI.
fn first_file<'a>(result: &'a Object<'_>) -> Result<Option<&'a str>, EvidenceError> {
    let first = result.value("locations")?.and_then(|locations| locations.get(0));
    let location = first.and_then(|location| location.get("physicalLocation"));
    Ok(location.and_then(|location| location.get("artifactLocation")?.get("uri")?.as_str()))
}

/// What stays the same when the same problem is found again: the tool's own fingerprints where it gives some (sections
/// 3.27.16 and 3.27.17), else the file and the message, without the line.
fn fingerprint_of(result: &Object<'_>, file: Option<&str>) -> Result<[u8; 16], EvidenceError> {
    let mut hasher = Hasher::new();
    let mut add = |part: &str| {
        hasher.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hasher.update(part.as_bytes());
    };
    let mut has_own = false;
    for key in ["fingerprints", "partialFingerprints"] {
        let own = result.any_object(key)?;
        for (name, value) in own.iter().flat_map(|own| own.fields()) {
            has_own = true;
            add(name);
            add(value.as_str().unwrap_or_default());
        }
        if has_own {
            break;
        }
    }
    if !has_own {
        add(file.unwrap_or_default());
        if let Some(message) = result.any_object("message")? {
            add(message.any_text("id")?.unwrap_or_default());
            add(message.any_text("text")?.unwrap_or_default());
        }
    }
    let digest = hasher.finish();
    let mut short = [0; 16];
    for (to, from) in short.iter_mut().zip(digest.as_bytes()) {
        *to = *from;
    }
    Ok(short)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn log(results: Value) -> Value {
        json!({"version": "2.1.0", "runs": [{
            "tool": {
                "driver": {"name": "lint", "rules": [
                    {"id": "E1", "defaultConfiguration": {"level": "error"}},
                    {"id": "N1", "defaultConfiguration": {"level": "note"}},
                    {"id": "D1"},
                ]},
                "extensions": [{"name": "plugin", "rules": [{"id": "X1", "defaultConfiguration": {"level": "error"}}]}],
            },
            "results": results,
        }]})
    }

    /// Errors, warnings, notes, suppressed.
    fn check(result: Value, expected: (u64, u64, u64, u64)) {
        let read = read(&log(json!([result.clone()])), &Limits::DEFAULT).unwrap();
        assert_eq!((read.errors, read.warnings, read.notes, read.suppressed), expected, "{result}");
        assert_eq!(read.tools, ["lint"]);
    }

    #[test]
    fn levels_come_from_the_result_then_the_rule_then_the_default() {
        check(json!({"level": "error"}), (1, 0, 0, 0));
        check(json!({"level": "note", "ruleId": "E1"}), (0, 0, 1, 0));
        check(json!({"level": "none", "ruleId": "E1"}), (0, 0, 0, 0));
        check(json!({"ruleId": "E1"}), (1, 0, 0, 0));
        check(json!({"ruleId": "E1/sub/case"}), (1, 0, 0, 0));
        check(json!({"ruleIndex": 1}), (0, 0, 1, 0));
        check(json!({"ruleIndex": 0, "ruleId": "N1"}), (1, 0, 0, 0));
        check(json!({"ruleIndex": -1, "ruleId": "N1"}), (0, 0, 1, 0));
        check(json!({"ruleIndex": 99, "ruleId": "N1"}), (0, 0, 1, 0));
        check(json!({"ruleIndex": 2}), (0, 1, 0, 0));
        check(json!({"ruleId": "other"}), (0, 1, 0, 0));
        check(json!({}), (0, 1, 0, 0));
        check(json!({"rule": {"id": "E1"}}), (1, 0, 0, 0));
        check(json!({"rule": {"index": 0, "toolComponent": {"index": 0}}}), (1, 0, 0, 0));
        check(json!({"ruleId": "X1"}), (1, 0, 0, 0));
    }

    #[test]
    fn other_kinds_count_only_with_a_level_of_their_own() {
        for kind in ["pass", "open", "informational", "notApplicable", "review"] {
            check(json!({"kind": kind, "ruleId": "E1"}), (0, 0, 0, 0));
            check(json!({"kind": kind, "level": "error"}), (1, 0, 0, 0));
        }
        check(json!({"kind": "fail", "ruleId": "E1"}), (1, 0, 0, 0));
    }

    #[test]
    fn a_suppression_counts_when_all_are_in_force() {
        check(json!({"level": "error", "suppressions": []}), (1, 0, 0, 0));
        check(json!({"level": "error", "suppressions": [{"kind": "inSource"}]}), (0, 0, 0, 1));
        check(json!({"level": "error", "suppressions": [{"kind": "external", "status": "accepted"}]}), (0, 0, 0, 1));
        check(json!({"level": "error", "suppressions": [{"status": "underReview"}]}), (1, 0, 0, 0));
        check(
            json!({"level": "error", "suppressions": [{"status": "accepted"}, {"status": "rejected"}]}),
            (1, 0, 0, 0),
        );
    }

    #[test]
    fn refuses_other_versions_and_wrong_types() {
        let code = |value: &Value| read(value, &Limits::DEFAULT).unwrap_err().code;
        for version in ["1.0.0", "2.0.0", "2.1.0-rtm.5", "2.2.0", "2.1"] {
            assert_eq!(code(&json!({"version": version, "runs": []})), "SARIF_VERSION");
        }
        for bad in [
            json!({}),
            json!("none"),
            json!([null]),
            json!([{"level": "Error"}]),
            json!([{"level": 3}]),
            json!([{"level": null}]),
            json!([{"kind": "failed"}]),
            json!([{"ruleIndex": "0"}]),
            json!([{"ruleIndex": 0.5}]),
            json!([{"level": "error", "suppressions": {}}]),
            json!([{"level": "error", "suppressions": [{"status": "done"}]}]),
        ] {
            assert_eq!(code(&log(bad.clone())), "EVIDENCE_MALFORMED", "{bad}");
        }
        assert_eq!(code(&json!({"version": "2.1.0"})), "EVIDENCE_MALFORMED");
        assert_eq!(code(&json!({"version": "2.1.0", "runs": [{"results": []}]})), "EVIDENCE_MALFORMED");
        let few = Limits { findings_per_report: 1, ..Limits::DEFAULT };
        assert_eq!(read(&log(json!([{}, {}])), &few).unwrap_err().code, "TOO_MANY_FINDINGS");
    }

    #[test]
    fn a_run_that_did_not_look_names_no_tool() {
        let check = |key: &str, replacement: Value, tools: usize| {
            let mut value = log(json!([]));
            value["runs"][0][key] = replacement.clone();
            let read = read(&value, &Limits::DEFAULT).unwrap();
            assert_eq!((read.tools.len(), read.unfinished.len()), (tools, 1 - tools), "{key} {replacement}");
        };
        check("results", json!([]), 1);
        check("results", json!(null), 0);
        check("invocations", json!([{"executionSuccessful": true}]), 1);
        check("invocations", json!([{"executionSuccessful": true}, {"executionSuccessful": false}]), 0);
        let mut value = log(json!([]));
        value["runs"][0].as_object_mut().unwrap().remove("results");
        let absent = read(&value, &Limits::DEFAULT).unwrap();
        assert!(absent.tools.is_empty());
        assert_eq!(absent.unfinished, ["lint"]);
        let none = read(&json!({"version": "2.1.0", "runs": []}), &Limits::DEFAULT).unwrap();
        assert!(none.tools.is_empty() && none.unfinished.is_empty());
        value["runs"][0]["externalPropertyFileReferences"] = json!({"results": [{"itemCount": 5}]});
        assert_eq!(read(&value, &Limits::DEFAULT).unwrap_err().code, "EVIDENCE_MALFORMED");
    }

    #[test]
    fn a_tool_with_one_run_that_failed_is_not_named() {
        let run = |tool: &str, more: Value| {
            let mut run = json!({"tool": {"driver": {"name": tool}}, "results": [{"level": "error"}]});
            for (key, value) in more.as_object().unwrap() {
                run[key] = value.clone();
            }
            run
        };
        let good = |tool: &str| run(tool, json!({}));
        let failed = |tool: &str| run(tool, json!({"invocations": [{"executionSuccessful": false}]}));
        let null = |tool: &str| run(tool, json!({"results": null}));
        let absent = |tool: &str| json!({"tool": {"driver": {"name": tool}}});
        for (runs, tools, unfinished, errors) in [
            (vec![good("a"), good("b")], "a b", "", 2),
            // In order, and each once.
            (vec![good("b"), good("a")], "a b", "", 2),
            (vec![good("a"), good("a")], "a", "", 2),
            // What was found counts, also where the tool did not come to its end.
            (vec![good("a"), failed("a"), good("b")], "b", "a", 3),
            (vec![failed("a"), good("a")], "", "a", 2),
            (vec![good("a"), null("a")], "", "a", 1),
            (vec![absent("a"), good("a"), good("b")], "b", "a", 2),
            (vec![good("a"), null("b")], "a", "b", 1),
            (vec![failed("b"), null("a"), failed("b"), good("c")], "c", "a b", 3),
        ] {
            let read = read(&json!({"version": "2.1.0", "runs": runs}), &Limits::DEFAULT).unwrap();
            let named = (read.tools.join(" "), read.unfinished.join(" "));
            assert_eq!((named.0.as_str(), named.1.as_str(), read.errors), (tools, unfinished, errors), "{runs:?}");
        }
    }

    #[test]
    fn nothing_is_said_of_unfinished_tools_where_there_are_none() {
        let said = |runs: Value| {
            let read = read(&json!({"version": "2.1.0", "runs": runs}), &Limits::DEFAULT).unwrap();
            serde_json::to_value(&read).unwrap().get("unfinished").cloned()
        };
        assert_eq!(said(json!([{"tool": {"driver": {"name": "a"}}, "results": []}])), None);
        assert_eq!(said(json!([{"tool": {"driver": {"name": "a"}}}])), Some(json!(["a"])));
    }

    #[test]
    fn results_are_told_one_by_one() {
        let results = json!([
            {"ruleIndex": 1, "message": {"text": "m"}},
            {"ruleId": "E1", "message": {"text": "a"}, "locations": [{"physicalLocation": {
                "artifactLocation": {"uri": "src/a.rs"}, "region": {"startLine": 3},
            }}]},
            {"ruleId": "E1", "message": {"text": "a"}, "locations": [{"physicalLocation": {
                "artifactLocation": {"uri": "src/a.rs"}, "region": {"startLine": 99},
            }}]},
            {"ruleId": "E1", "message": {"text": "a"}, "locations": [{"physicalLocation": {"artifactLocation": {"uri": "src/b.rs"}}}]},
            {"ruleId": "E1", "message": {"text": "x"}, "partialFingerprints": {"hash/v1": "1"}},
            {"ruleId": "E1", "message": {"text": "y"}, "partialFingerprints": {"hash/v1": "1"}},
            {"ruleId": "E1", "suppressions": [{"kind": "inSource"}]},
        ]);
        let read = read(&log(results), &Limits::DEFAULT).unwrap();
        let rows: Vec<(&str, AnalysisLevel, Option<&str>, &str)> = read
            .results
            .iter()
            .map(|one| (one.rule.as_deref().unwrap_or(""), one.level, one.file.as_deref(), one.pointer.as_str()))
            .collect();
        assert_eq!(rows[0], ("E1", AnalysisLevel::Error, Some("src/a.rs"), "/runs/0/results/1"));
        assert_eq!(rows[5], ("N1", AnalysisLevel::Note, None, "/runs/0/results/0"));
        let same = |a: usize, b: usize| read.results[a].fingerprint == read.results[b].fingerprint;
        assert!(same(0, 1) && !same(0, 2) && same(3, 4) && !same(2, 3));
        assert_eq!((read.results.len(), read.results_left_out, read.suppressed), (6, 0, 1));
    }

    #[test]
    fn the_order_of_keys_does_not_matter() {
        let before = r#"{"runs":[{"results":[{"ruleId":"E1"},{"ruleIndex":0,"suppressions":[{}]}],"tool":{"driver":{"rules":[{"id":"E1","defaultConfiguration":{"level":"error"}}],"name":"t"}}}],"version":"2.1.0"}"#;
        let after = r#"{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"t","rules":[{"id":"E1","defaultConfiguration":{"level":"error"}}]}},"results":[{"ruleId":"E1"},{"ruleIndex":0,"suppressions":[{}]}]}]}"#;
        let [a, b] = [before, after].map(|text| read(text.as_bytes(), &Limits::DEFAULT).unwrap());
        assert_eq!(a, b);
        assert_eq!((a.errors, a.suppressed), (1, 1));
    }
}
