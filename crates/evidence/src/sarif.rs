//! SARIF 2.1.0 (OASIS, errata 01): what static analysis found.
//!
//! A tool is named only when one of its runs came to an end with a list of results: a run without `results`, or whose
//! invocation says `executionSuccessful: false`, found nothing because it did not look.

use std::collections::BTreeMap;

use lockgate_model::Limits;
use lockgate_model::facts::StaticAnalysis;
use serde_json::Value;

use crate::document::Object;
use crate::error::{EvidenceError, excerpt};

/// How bad a result is (section 3.27.10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    None,
    Note,
    Warning,
    Error,
}

/// Reads a whole log.
///
/// # Errors
/// `SARIF_VERSION`, `EVIDENCE_MALFORMED`, `TOO_MANY_FINDINGS`, `DUPLICATE_KEY`.
pub(crate) fn read(value: &Value, limits: &Limits) -> Result<StaticAnalysis, EvidenceError> {
    let root = Object::root(value)?;
    let version = root.required_text("version")?;
    if version != "2.1.0" {
        return Err(EvidenceError::new(
            "SARIF_VERSION",
            format!("SARIF `{}` is not read: have the tool write version 2.1.0, or convert the file", excerpt(version)),
        ));
    }
    let mut analysis = StaticAnalysis { tools: Vec::new(), errors: 0, warnings: 0, notes: 0, suppressed: 0 };
    let mut seen = 0usize;
    let runs = root.required_list("runs")?;
    for run in runs.objects() {
        read_run(&run?, &mut analysis, &mut seen, limits)?;
    }
    Ok(analysis)
}

fn read_run(
    run: &Object<'_>,
    analysis: &mut StaticAnalysis,
    seen: &mut usize,
    limits: &Limits,
) -> Result<(), EvidenceError> {
    let rules = Rules::of(run)?;
    if let Some(external) = run.object("externalPropertyFileReferences")?
        && external.list("results")?.is_some_and(|list| !list.is_empty())
    {
        return Err(external.fault_at("results", "puts results into other files: have the tool write them inline"));
    }
    let results = match run.value("results")? {
        // Section 3.14.23: absent when the run was for something else, null when it could not start.
        None | Some(Value::Null) => return Ok(()),
        Some(_) => run.required_list("results")?,
    };
    *seen = seen.saturating_add(results.len());
    if *seen > limits.findings_per_report {
        return Err(EvidenceError::new(
            "TOO_MANY_FINDINGS",
            format!("more than {} results in one log", limits.findings_per_report),
        ));
    }
    for result in results.objects() {
        let result = result?;
        let level = level_of(&result, &rules)?;
        let counter = match level {
            Level::None => continue,
            _ if is_suppressed(&result)? => &mut analysis.suppressed,
            Level::Error => &mut analysis.errors,
            Level::Warning => &mut analysis.warnings,
            Level::Note => &mut analysis.notes,
        };
        *counter += 1;
    }
    if ended_well(run)? {
        analysis.tools.push(rules.tool);
    }
    Ok(())
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

/// The result's own level, else none when its kind is not `fail`, else its rule's, else `warning` (section 3.27.10).
fn level_of(result: &Object<'_>, rules: &Rules) -> Result<Level, EvidenceError> {
    let kind = result.text("kind")?.unwrap_or("fail");
    if !matches!(kind, "fail" | "pass" | "open" | "informational" | "notApplicable" | "review") {
        return Err(result.fault_at("kind", &format!("is `{}`, which is no result kind", excerpt(kind))));
    }
    if let Some(level) = own_level(result)? {
        return Ok(level);
    }
    match kind {
        "fail" => Ok(rules.level_for(result)?.unwrap_or(Level::Warning)),
        _ => Ok(Level::None),
    }
}

fn own_level(holder: &Object<'_>) -> Result<Option<Level>, EvidenceError> {
    match holder.text("level")? {
        None => Ok(None),
        Some("none") => Ok(Some(Level::None)),
        Some("note") => Ok(Some(Level::Note)),
        Some("warning") => Ok(Some(Level::Warning)),
        Some("error") => Ok(Some(Level::Error)),
        Some(other) => Err(holder.fault_at("level", &format!("is `{}`, which is no level", excerpt(other)))),
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

/// The default levels of the rules of one tool component, by position and by id.
#[derive(Debug, Default)]
struct Component {
    levels: Vec<Option<Level>>,
    by_id: BTreeMap<String, usize>,
}

impl Component {
    fn of(component: &Object<'_>) -> Result<Self, EvidenceError> {
        let mut read = Self::default();
        let Some(rules) = component.list("rules")? else { return Ok(read) };
        for rule in rules.objects() {
            let rule = rule?;
            let level = match rule.object("defaultConfiguration")? {
                Some(configuration) => own_level(&configuration)?,
                None => None,
            };
            if let Some(id) = rule.text("id")? {
                read.by_id.entry(id.to_owned()).or_insert(read.levels.len());
            }
            read.levels.push(level);
        }
        Ok(read)
    }

    /// Finds a rule by id; `CA1000/1` is a case of rule `CA1000` (section 3.27.5).
    fn position(&self, id: &str) -> Option<usize> {
        let mut id = id;
        loop {
            if let Some(position) = self.by_id.get(id) {
                return Some(*position);
            }
            id = id.rsplit_once('/')?.0;
        }
    }
}

/// The rules of one run: those of its driver, and those of its extensions.
#[derive(Debug)]
struct Rules {
    tool: String,
    driver: Component,
    extensions: Vec<Component>,
}

impl Rules {
    fn of(run: &Object<'_>) -> Result<Self, EvidenceError> {
        let tool = run.required_object("tool")?;
        let driver = tool.required_object("driver")?;
        let mut extensions = Vec::new();
        if let Some(list) = tool.list("extensions")? {
            for extension in list.objects() {
                extensions.push(Component::of(&extension?)?);
            }
        }
        Ok(Self { tool: driver.required_text("name")?.to_owned(), driver: Component::of(&driver)?, extensions })
    }

    /// The default level of the rule that a result names, by index first and by id next (sections 3.27.5 to 3.27.7).
    /// A rule that cannot be found has none.
    fn level_for(&self, result: &Object<'_>) -> Result<Option<Level>, EvidenceError> {
        let mut component = Some(&self.driver);
        let mut position = result.position("ruleIndex")?;
        let mut id = result.text("ruleId")?;
        if let Some(reference) = result.object("rule")? {
            if let Some(named) = reference.object("toolComponent")?
                && let Some(extension) = named.position("index")?
            {
                component = self.extensions.get(extension);
            }
            position = reference.position("index")?.or(position);
            id = reference.text("id")?.or(id);
        }
        let by_index = |component: &Component, at: usize| component.levels.get(at).copied();
        if let (Some(component), Some(at)) = (component, position)
            && let Some(level) = by_index(component, at)
        {
            return Ok(level);
        }
        let Some(id) = id else { return Ok(None) };
        let all = component.into_iter().chain([&self.driver]).chain(&self.extensions);
        for candidate in all {
            if let Some(at) = candidate.position(id) {
                return Ok(by_index(candidate, at).flatten());
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
            assert_eq!(read(&value, &Limits::DEFAULT).unwrap().tools.len(), tools, "{key} {replacement}");
        };
        check("results", json!([]), 1);
        check("results", json!(null), 0);
        check("invocations", json!([{"executionSuccessful": true}]), 1);
        check("invocations", json!([{"executionSuccessful": true}, {"executionSuccessful": false}]), 0);
        let mut value = log(json!([]));
        value["runs"][0].as_object_mut().unwrap().remove("results");
        assert!(read(&value, &Limits::DEFAULT).unwrap().tools.is_empty());
        value["runs"][0]["externalPropertyFileReferences"] = json!({"results": [{"itemCount": 5}]});
        assert_eq!(read(&value, &Limits::DEFAULT).unwrap_err().code, "EVIDENCE_MALFORMED");
    }
}
