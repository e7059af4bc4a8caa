//! The document against what NIST's JSON Schema of OSCAL 1.1.2 for assessment results demands of the fields that are used.

use lockgate_ledger::controls::{ControlApproval, ControlBreakGlass, ControlWaiver};
use lockgate_model::{EntryIndex, PromotionId};
use lockgate_policy::{GateOutcome, Outcome};

use super::*;

/// What each object has to have, and what it may have besides.
const OBJECTS: &[(&str, &[&str], &[&str])] = &[
    ("assessment-results", &["uuid", "metadata", "import-ap", "results"], &["back-matter"]),
    ("metadata", &["title", "last-modified", "version", "oscal-version"], &["remarks"]),
    ("import-ap", &["href"], &["remarks"]),
    (
        "results",
        &["uuid", "title", "description", "start", "reviewed-controls"],
        &["end", "props", "remarks", "observations", "findings"],
    ),
    ("reviewed-controls", &["control-selections"], &[]),
    ("control-selections", &[], &["include-controls", "remarks"]),
    ("include-controls", &["control-id"], &[]),
    (
        "observations",
        &["uuid", "description", "methods", "collected"],
        &["title", "props", "types", "relevant-evidence"],
    ),
    ("relevant-evidence", &["description"], &["href"]),
    ("findings", &["uuid", "title", "description", "target"], &["related-observations"]),
    ("target", &["type", "target-id", "status"], &[]),
    ("status", &["state"], &["reason", "remarks"]),
    ("related-observations", &["observation-uuid"], &[]),
    ("back-matter", &[], &["resources"]),
    ("resources", &["uuid"], &["title", "description", "props"]),
    ("props", &["name", "value"], &["ns"]),
];

fn is_uuid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    lengths == [8, 4, 4, 4, 12]
        && parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit()))
        && parts[2].starts_with(['4', '5'])
        && parts[3].starts_with(['8', '9', 'a', 'b'])
}

/// A date and a time with a zone: `2026-01-01T00:00:00Z`.
fn is_moment(text: &str) -> bool {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    shape == "0000-00-00T00:00:00Z" && text.parse::<UnixMillis>().is_ok()
}

fn is_token(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_alphabetic() || c.is_numeric() || matches!(c, '.' | '-' | '_'))
}

fn is_line(text: &str) -> bool {
    !text.is_empty() && text.trim() == text && !text.contains(['\n', '\r'])
}

/// Walks the document; `key` is the name under which a value stands, also for the items of a list.
fn walk(key: &str, value: &Value, seen: &mut Vec<String>) {
    match value {
        Value::Array(items) => {
            assert!(!items.is_empty(), "the list `{key}` is empty");
            items.iter().for_each(|item| walk(key, item, seen));
        }
        Value::Object(fields) => {
            let (_, needed, optional) =
                OBJECTS.iter().find(|(name, ..)| *name == key).unwrap_or_else(|| panic!("no object is called `{key}`"));
            for name in *needed {
                assert!(fields.contains_key(*name), "`{key}` has no `{name}`: {value}");
            }
            for (name, inner) in fields {
                assert!(needed.contains(&name.as_str()) || optional.contains(&name.as_str()), "`{name}` in `{key}`");
                walk(name, inner, seen);
            }
        }
        Value::String(text) => {
            let holds = match key {
                "uuid" | "observation-uuid" => is_uuid(text),
                "last-modified" | "start" | "end" | "collected" => is_moment(text),
                "name" | "control-id" | "target-id" | "type" | "state" | "reason" => is_token(text),
                "value" | "version" | "oscal-version" | "methods" | "types" | "href" | "ns" => is_line(text),
                _ => !text.is_empty(),
            };
            assert!(holds, "`{key}` is `{text}`");
            if key == "uuid" {
                seen.push(text.clone());
            }
        }
        other => panic!("`{key}` is {other}"),
    }
}

fn line(entry: u64, decided: Outcome, outcome: GateOutcome) -> ControlLine {
    ControlLine {
        entry: EntryIndex(entry),
        time: UnixMillis(1_767_225_600_123),
        promotion: PromotionId(entry),
        release: "shop/web@1.0.0".parse().unwrap(),
        environment: "production".parse().unwrap(),
        decided,
        break_glass: Some(ControlBreakGlass {
            entry: EntryIndex(3),
            ticket: "INC-9\n".to_owned(),
            signed_by: vec!["sam".parse().unwrap(), "alice".parse().unwrap()],
            reviewed_by: Vec::new(),
        }),
        decision: Digest::of(b"decision"),
        facts: Digest::of(b"facts"),
        policy: Digest::of(b"policy"),
        gate: "tests".parse().unwrap(),
        outcome,
        reason: "SATISFIED".to_owned(),
        found: " two\n  lines ".to_owned(),
        evidence: vec![Digest::of(b"evidence")],
        approvers: vec![ControlApproval {
            person: "sam".parse().unwrap(),
            key: "SHA256:abc".to_owned(),
            entry: EntryIndex(1),
        }],
        waivers: vec![ControlWaiver {
            finding: Some("\n  ".to_owned()),
            asked_by: "dana".parse().unwrap(),
            granted_by: "sam".parse().unwrap(),
            expires_at: UnixMillis(1_767_225_600_000),
            entry: EntryIndex(2),
        }],
        suspect: false,
    }
}

fn report(controls: Vec<ControlSection>) -> ControlReport {
    ControlReport {
        schema: ControlReport::SCHEMA,
        ledger: "log1.example".to_owned(),
        entries: 4,
        root: Some(Digest::of(b"root")),
        policy: Digest::of(b"policy"),
        since: Some(UnixMillis(1_767_225_600_999)),
        until: UnixMillis(1_767_225_600_001),
        decisions: 3,
        controls,
        gates_without_controls: vec!["version".parse().unwrap()],
    }
}

#[test]
fn every_field_has_the_form_of_the_schema() {
    let section = |control: &str, lines: Vec<ControlLine>| {
        ControlSection::new(control.to_owned(), vec!["tests".parse().unwrap()], lines)
    };
    let check = |controls: Vec<ControlSection>, findings: usize| {
        let document = assessment_results(&report(controls));
        let mut seen = Vec::new();
        walk("assessment-results", &document["assessment-results"], &mut seen);
        let mut once = seen.clone();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), seen.len(), "one id for two things");
        let result = &document["assessment-results"]["results"][0];
        assert_eq!(result["findings"].as_array().map_or(0, Vec::len), findings);
    };
    let (allow, deny) = (Outcome::Allow, Outcome::Deny);
    check(vec![], 0);
    check(vec![section("NIST 800-53 CM-3(2)", vec![])], 0);
    check(
        vec![
            section("NIST 800-53 CM-3(2)", vec![line(4, allow, GateOutcome::Pass), line(5, deny, GateOutcome::Fail)]),
            section("RA-5", vec![line(4, allow, GateOutcome::Pass)]),
            section("NIST 800-53 RA-05", vec![line(4, allow, GateOutcome::Overridden)]),
            section("8.32", vec![line(4, allow, GateOutcome::Waived)]),
            section("Übung 7", vec![line(4, allow, GateOutcome::Overridden)]),
            section(" ", vec![line(5, deny, GateOutcome::Fail)]),
        ],
        4,
    );
}

#[test]
fn two_names_of_one_control_are_one_finding_of_the_worst_state() {
    let section = |control: &str, outcome| {
        ControlSection::new(control.to_owned(), vec![], vec![line(4, Outcome::Allow, outcome)])
    };
    let sections = vec![section("RA-5", GateOutcome::Pass), section("NIST 800-53 RA-05", GateOutcome::Overridden)];
    let document = assessment_results(&report(sections));
    let result = &document["assessment-results"]["results"][0];
    let finding = &result["findings"][0];
    assert_eq!(finding["target"]["target-id"], "ra-5_smt");
    assert_eq!(finding["target"]["status"]["state"], "not-satisfied");
    assert_eq!(finding["related-observations"].as_array().unwrap().len(), 2);
    let props = result["observations"][0]["props"].as_array().unwrap();
    let broken = props.iter().find(|prop| prop["name"] == "break-glass").unwrap();
    assert_eq!(broken["value"], "entry 3 by sam and alice for INC-9 , not reviewed");
}

#[test]
fn the_forms_are_told_from_others() {
    let check = |holds: fn(&str) -> bool, good: &str, bad: &[&str]| {
        assert!(holds(good), "{good}");
        bad.iter().for_each(|bad| assert!(!holds(bad), "{bad}"));
    };
    check(is_uuid, "e858914f-729d-5801-b0f7-1814704b717f", &["", "e858914f-729d-1801-b0f7-1814704b717f", "x"]);
    check(is_moment, "2026-01-01T00:00:00Z", &["2026-01-01T00:00:00", "2026-13-01T00:00:00Z", "2026-01-01"]);
    check(is_token, "cm-3.2_smt", &["8.32", "a b", ""]);
    check(is_line, "a b", &["", " a", "a\nb"]);
}
