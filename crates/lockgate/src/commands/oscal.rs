//! OSCAL assessment results (NIST OSCAL 1.1.2, assessment-results model, JSON) of a control report.
//!
//! Ids are derived from the ledger and the place in the report, so that the same ledger gives the same document. What
//! gates cannot see is said in the remarks: a document like this is a part of an assessment, and not all of it.

use std::collections::BTreeMap;

use lockgate_ledger::controls::{ControlLine, ControlReport, ControlSection, ControlState};
use lockgate_model::{Digest, PersonId, UnixMillis};
use serde_json::{Value, json};

/// The version of the format.
const VERSION: &str = "1.1.2";
/// The namespace of Lockgate's own properties.
const NS: &str = "https://lockgate.dev/oscal";
/// The families of NIST SP 800-53, release 5.2.0, the catalogue that is published in OSCAL, with their last controls.
const FAMILIES: [(&str, u16); 20] = [
    ("ac", 25),
    ("at", 6),
    ("au", 16),
    ("ca", 9),
    ("cm", 14),
    ("cp", 13),
    ("ia", 13),
    ("ir", 10),
    ("ma", 7),
    ("mp", 8),
    ("pe", 23),
    ("pl", 11),
    ("pm", 32),
    ("ps", 9),
    ("pt", 8),
    ("ra", 10),
    ("sa", 24),
    ("sc", 51),
    ("si", 23),
    ("sr", 12),
];
const SCOPE: &str = "Only what release gates decided is covered: which evidence there was, who approved, what was \
                     waived, and what was let in. Whether a control is met as a whole takes more than that.";

/// The id of a control in the OSCAL catalogue of NIST SP 800-53, such as `cm-3.2` for `NIST 800-53 CM-03(02)`.
///
/// None for what is no control there, and for other frameworks, which publish no OSCAL catalogue.
pub fn catalogue_id(control: &str) -> Option<String> {
    let last = control.rsplit([' ', ':', '/']).next()?.to_ascii_lowercase();
    let (family, rest) = last.split_once('-')?;
    let (_, last) = FAMILIES.iter().find(|(name, _)| *name == family)?;
    let plain = rest.replace('(', ".").replace(')', "");
    let number = |part: &str| {
        let digits = (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| part.parse::<u16>().ok())?.filter(|number| *number > 0)
    };
    let numbers: Vec<u16> = plain.split('.').map(number).collect::<Option<_>>()?;
    match numbers.as_slice() {
        [control] if control <= last => Some(format!("{family}-{control}")),
        [control, enhancement] if control <= last => Some(format!("{family}-{control}.{enhancement}")),
        _ => None,
    }
}

/// The id by which the document names a control: of the catalogue, else its name as an OSCAL token.
pub fn control_id(control: &str) -> String {
    catalogue_id(control).unwrap_or_else(|| {
        let token: String = control
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_') { c.to_ascii_lowercase() } else { '-' })
            .collect();
        match token.starts_with(|c: char| c.is_ascii_lowercase()) {
            true => token,
            false => format!("control-{token}"),
        }
    })
}

/// A UUID of the form of version 5, from SHA-256 instead of SHA-1.
fn uuid(parts: &[&str]) -> String {
    let mut bytes = b"https://lockgate.dev/oscal".to_vec();
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    let hash = Digest::of(&bytes);
    let mut id = [0u8; 16];
    for (to, from) in id.iter_mut().zip(hash.as_bytes()) {
        *to = *from;
    }
    let [a0, a1, a2, a3, b0, b1, c0, c1, d0, d1, e0, e1, e2, e3, e4, e5] = id;
    let (c0, d0) = ((c0 & 0x0f) | 0x50, (d0 & 0x3f) | 0x80);
    format!(
        "{a0:02x}{a1:02x}{a2:02x}{a3:02x}-{b0:02x}{b1:02x}-{c0:02x}{c1:02x}-{d0:02x}{d1:02x}-{e0:02x}{e1:02x}{e2:02x}{e3:02x}{e4:02x}{e5:02x}"
    )
}

/// A time with whole seconds and a zone, as OSCAL's `dateTime-with-timezone`.
fn time(moment: UnixMillis) -> String {
    moment.rfc3339_secs()
}

fn prop(name: &str, value: &str) -> Value {
    json!({ "name": name, "ns": NS, "value": text(value) })
}

/// A property's value or a title: on one line and never empty.
fn text(value: &str) -> String {
    let line = value.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.is_empty() { "none".to_owned() } else { line }
}

/// The document.
pub fn assessment_results(report: &ControlReport) -> Value {
    let root = report.root.map(|root| root.to_string()).unwrap_or_default();
    let id = |kind: &str, key: &str| uuid(&[report.ledger.as_str(), root.as_str(), kind, key]);
    let (results, policy) = (id("result", "all"), id("resource", "policy"));
    // Two names of one control are one finding.
    let mut by_id: BTreeMap<String, Vec<&ControlSection>> = BTreeMap::new();
    let mut observations = Vec::new();
    for section in &report.controls {
        observations.extend(section.lines.iter().map(|line| observation(&id, section, line)));
        by_id
            .entry(catalogue_id(&section.control).unwrap_or_else(|| section.control.clone()))
            .or_default()
            .push(section);
    }
    let findings: Vec<Value> = by_id.values().filter_map(|sections| finding(&id, sections)).collect();
    let mut result = json!({
        "uuid": results,
        "title": "Decisions of release gates, by control",
        "description": format!(
            "{} decisions in a ledger of {} entries, each run again with the same outcome.", report.decisions, report.entries
        ),
        "start": time(report.since.unwrap_or(first_time(report))),
        "end": time(report.until),
        "props": [prop("ledger-root", &root), prop("policy-set", &report.policy.to_string())],
        "reviewed-controls": reviewed(report),
        "remarks": remarks(report),
    });
    // Lists of the model have at least one item, or are left out.
    if let Some(result) = result.as_object_mut() {
        for (name, list) in [("observations", observations), ("findings", findings)] {
            if !list.is_empty() {
                result.insert(name.to_owned(), Value::Array(list));
            }
        }
    }
    json!({ "assessment-results": {
        "uuid": id("document", "all"),
        "metadata": {
            "title": format!("Release gates of {}", text(&report.ledger)),
            "last-modified": time(report.until),
            "version": report.entries.to_string(),
            "oscal-version": VERSION,
            "remarks": SCOPE,
        },
        "import-ap": { "href": format!("#{policy}"), "remarks": "The active policy set is the plan: no other was written in OSCAL." },
        "results": [result],
        "back-matter": { "resources": [{
            "uuid": policy,
            "title": "The active policy set",
            "description": "The gates, as named by digest in the ledger; `lockgate policy show` prints it.",
            "props": [prop("digest", &report.policy.to_string())],
        }] },
    } })
}

fn first_time(report: &ControlReport) -> UnixMillis {
    let lines = report.controls.iter().flat_map(|section| &section.lines);
    lines.map(|line| line.time).min().unwrap_or(report.until)
}

fn reviewed(report: &ControlReport) -> Value {
    let mut ids: Vec<String> = report.controls.iter().map(|section| control_id(&section.control)).collect();
    ids.sort();
    ids.dedup();
    let controls: Vec<Value> = ids.iter().map(|id| json!({ "control-id": id })).collect();
    match controls.is_empty() {
        true => json!({ "control-selections": [{ "remarks": "No gate of the policy set answers to a control." }] }),
        false => json!({ "control-selections": [{ "include-controls": controls }] }),
    }
}

/// What the document does not cover.
fn remarks(report: &ControlReport) -> String {
    let mut remarks = vec![SCOPE.to_owned()];
    let unassessed: Vec<&str> = report
        .controls
        .iter()
        .filter(|section| section.state == ControlState::NotAssessed)
        .map(|section| section.control.as_str())
        .collect();
    if !unassessed.is_empty() {
        remarks.push(format!("Not assessed, because nothing was let in under them: {}.", unassessed.join(", ")));
    }
    let foreign: Vec<&str> = report
        .controls
        .iter()
        .map(|section| section.control.as_str())
        .filter(|control| catalogue_id(control).is_none())
        .collect();
    if !foreign.is_empty() {
        remarks.push(format!(
            "Not in an OSCAL catalogue, so that their ids are made from their names: {}.",
            foreign.join(", ")
        ));
    }
    if !report.gates_without_controls.is_empty() {
        let gates: Vec<&str> = report.gates_without_controls.iter().map(lockgate_model::GateName::as_str).collect();
        remarks.push(format!("Gates that answer to no control: {}.", gates.join(", ")));
    }
    remarks.join("\n\n")
}

fn key_of(section: &ControlSection, line: &ControlLine) -> String {
    format!("{}\n{}\n{}", section.control, line.entry, line.gate)
}

fn observation(id: &dyn Fn(&str, &str) -> String, section: &ControlSection, line: &ControlLine) -> Value {
    let mut props = vec![
        prop("control", &section.control),
        prop("gate", line.gate.as_str()),
        prop("gate-outcome", line.outcome.as_str()),
        prop("reason", &line.reason),
        prop("decision-outcome", line.decided.as_str()),
        prop("promotion", &line.promotion.to_string()),
        prop("release", &line.release.to_string()),
        prop("environment", line.environment.as_str()),
        prop("ledger-entry", &line.entry.to_string()),
        prop("policy-set", &line.policy.to_string()),
        prop("break-glass", &break_glass_text(line)),
        prop("suspect", if line.suspect { "yes" } else { "no" }),
    ];
    props.extend(
        line.approvers
            .iter()
            .map(|one| prop("approver", &format!("{} with {} in entry {}", one.person, one.key, one.entry))),
    );
    props.extend(line.waivers.iter().map(|one| {
        let finding = one.finding.as_deref().unwrap_or("everything");
        prop(
            "waiver",
            &format!(
                "{finding} by {} for {} until {} in entry {}",
                one.granted_by, one.asked_by, one.expires_at, one.entry
            ),
        )
    }));
    let document = |digest: &Digest, what: &str| json!({ "href": digest.to_string(), "description": what });
    let mut evidence = vec![
        document(&line.decision, "The decision document, as recorded."),
        document(&line.facts, "The facts that it was made on."),
    ];
    evidence.extend(line.evidence.iter().map(|digest| document(digest, "Evidence that the gate looked at.")));
    json!({
        "uuid": id("observation", &key_of(section, line)),
        "title": text(&format!("{} on {} into {}", line.gate, line.release, line.environment)),
        "description": text(&format!("The gate came out as {}: {}", line.outcome, line.found)),
        "props": props,
        "methods": ["TEST"],
        "types": ["control-objective"],
        "relevant-evidence": evidence,
        "collected": time(line.time),
    })
}

/// Who broke the glass for a line, and who reviewed it; `no` where nobody did.
pub fn break_glass_text(line: &ControlLine) -> String {
    let names = |people: &[PersonId]| people.iter().map(PersonId::as_str).collect::<Vec<_>>().join(" and ");
    match &line.break_glass {
        None => "no".to_owned(),
        Some(broken) => {
            let reviewed = match broken.reviewed_by.is_empty() {
                true => "not reviewed".to_owned(),
                false => format!("reviewed by {}", names(&broken.reviewed_by)),
            };
            format!("entry {} by {} for {}, {reviewed}", broken.entry, names(&broken.signed_by), broken.ticket)
        }
    }
}

fn finding(id: &dyn Fn(&str, &str) -> String, sections: &[&ControlSection]) -> Option<Value> {
    let control = control_id(&sections.first()?.control);
    let lines = || sections.iter().flat_map(|section| section.lines.iter().map(move |line| (*section, line)));
    let (state, reason, remarks) = match ControlState::of(lines().map(|(_, line)| line)) {
        ControlState::Satisfied => ("satisfied", "pass", "Each gate passed wherever a release was let in."),
        ControlState::Waived => {
            ("satisfied", "other", "Where a release was let in, each gate passed or was waived; see the waivers.")
        }
        ControlState::NotSatisfied => {
            let remarks =
                "A release was let in although a gate objected, or on a signature that was found compromised later.";
            ("not-satisfied", "fail", remarks)
        }
        ControlState::NotAssessed => return None,
    };
    let related: Vec<Value> = lines()
        .map(|(section, line)| json!({ "observation-uuid": id("observation", &key_of(section, line)) }))
        .collect();
    let names = text(&sections.iter().map(|section| section.control.as_str()).collect::<Vec<_>>().join(", "));
    Some(json!({
        "uuid": id("finding", &sections.iter().map(|section| section.control.as_str()).collect::<Vec<_>>().join("\n")),
        "title": names,
        "description": format!("What release gates did under {names}."),
        "target": {
            "type": "statement-id",
            "target-id": format!("{control}_smt"),
            "status": { "state": state, "reason": reason, "remarks": remarks },
        },
        "related-observations": related,
    }))
}

#[cfg(test)]
#[path = "oscal_tests.rs"]
mod schema_tests;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_those_of_the_catalogue_where_there_is_one() {
        let check = |control: &str, id: &str, listed: bool| {
            assert_eq!((control_id(control).as_str(), catalogue_id(control).is_some()), (id, listed), "{control}");
        };
        check("NIST 800-53 CM-3", "cm-3", true);
        check("NIST-800-53 CM-3(2)", "cm-3.2", true);
        check("nist-800-53:sr-4", "sr-4", true);
        check("AC-6.1", "ac-6.1", true);
        check("RA-05", "ra-5", true);
        check("CM-03(02)", "cm-3.2", true);
        check("CM-999", "cm-999", false);
        check("CM-0", "cm-0", false);
        check("SOC2 CC8.1", "soc2-cc8.1", false);
        check("ISO27001 A.8.32", "iso27001-a.8.32", false);
        check("PCI-DSS 6.5.1", "pci-dss-6.5.1", false);
        check("8.32", "control-8.32", false);
        check("xx-1", "xx-1", false);
    }

    #[test]
    fn uuids_have_the_form_and_are_the_same_again() {
        let id = uuid(&["a", "b"]);
        assert_eq!(id, uuid(&["a", "b"]));
        assert_ne!(id, uuid(&["ab", ""]));
        let parts: Vec<&str> = id.split('-').collect();
        assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
        assert!(parts[2].starts_with('5') && parts[3].starts_with(['8', '9', 'a', 'b']), "{id}");
    }

    #[test]
    fn an_empty_report_is_still_a_document() {
        let report = ControlReport {
            schema: ControlReport::SCHEMA,
            ledger: "log1.example".to_owned(),
            entries: 4,
            root: None,
            policy: Digest::of(b"p"),
            since: None,
            until: UnixMillis(1_767_225_600_000),
            decisions: 0,
            controls: vec![ControlSection::new("SOC2 CC8.1".to_owned(), vec![], vec![])],
            gates_without_controls: vec![],
        };
        let document = assessment_results(&report);
        let result = &document["assessment-results"]["results"][0];
        assert_eq!(
            result["reviewed-controls"]["control-selections"][0]["include-controls"][0]["control-id"],
            "soc2-cc8.1"
        );
        assert!(result.get("observations").is_none() && result.get("findings").is_none());
        assert!(result["remarks"].as_str().unwrap().contains("Not assessed"));
        assert_eq!(document["assessment-results"]["metadata"]["last-modified"], "2026-01-01T00:00:00Z");
    }
}
