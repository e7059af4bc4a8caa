//! Audit export: what was decided under each control, from a ledger that was audited here and now.

use std::fmt::Write as _;

use lockgate_api::Exit;
use lockgate_api::csv::{quoted, row};
use lockgate_engine::reader;
use lockgate_ledger::controls::{ControlLine, ControlReport, ControlSection, ControlState, Controls};
use lockgate_store_local::{LocalStore, Options};

use crate::cli::{self, ExportFormat};
use crate::commands::audit::{Scope, alarm, examine_all, first_problems};
use crate::commands::oscal;
use crate::failure::{Failure, Outcome};
use crate::home::write_file;
use crate::terminal::plain_json;
use crate::world::World;

/// `lockgate audit export`: nothing is written where anything is wrong with the ledger.
///
/// # Errors
/// `AUDIT_FAILED`, `CONTROL_UNKNOWN`, or when there is no ledger to read.
pub fn export(world: &World, options: &cli::AuditExport) -> Outcome {
    let data = options.data.clone().unwrap_or_else(|| world.home.data());
    let scope = Scope { data: &data, trust: options.trust.as_deref(), checkpoints: &options.checkpoint };
    let mut controls = Controls::new(options.since);
    let audited = examine_all(world, &scope, &mut |index, entry, decided| controls.observe(index, entry, decided))?;
    if let Some(failure) = alarm(&audited) {
        world.terminal.say(first_problems(&audited));
        let next = failure.hint.clone().unwrap_or_default();
        return Err(failure.hint(format!("`lockgate audit` names all problems, and nothing was exported; {next}")));
    }
    let store = LocalStore::open_read_only(&data, Options::default())?;
    let governance = reader::governance(&store)?
        .ok_or_else(|| Failure::new(Exit::NotFound, "LEDGER_EMPTY", "the ledger has no first entry"))?;
    let ledger = &audited.ledger;
    let read = (ledger.entries, ledger.root);
    let mut report = controls.finish(governance.origin(), &governance.policy, read, &ledger.suspects);
    if let Some(wanted) = &options.control {
        retain(&mut report, wanted)?;
    }
    let text = match options.format {
        ExportFormat::Json => pretty(&report)?,
        ExportFormat::Oscal => pretty(&oscal::assessment_results(&report))?,
        ExportFormat::Csv => csv(&report),
    };
    match &options.out {
        Some(path) => {
            write_file(path, text.as_bytes(), 0o644)?;
            let file = path.display().to_string();
            world.terminal.done(&serde_json::json!({ "file": file }), format!("{file}: {}", told(&report)))?;
        }
        None if options.format == ExportFormat::Csv => world.terminal.bytes(text.as_bytes())?,
        None => world.terminal.bytes(plain_json(&text).as_bytes())?,
    }
    if report.controls.is_empty() {
        world.terminal.say(
            "note: nothing is listed: no gate, now or in a decision, answers to a control; in a policy set `controls` \
             of a gate names those that it does, and the starter set `regulated` has them (`lockgate init DIR --starter regulated`)",
        );
    }
    Ok(Exit::Done)
}

fn pretty<T: serde::Serialize>(value: &T) -> Result<String, Failure> {
    let mut text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::new(Exit::Bug, "OUTPUT_INVALID", error.to_string()))?;
    text.push('\n');
    Ok(text)
}

/// Keeps one control, by its name or its id.
fn retain(report: &mut ControlReport, wanted: &str) -> Result<(), Failure> {
    let names: Vec<String> = report.controls.iter().map(|section| section.control.clone()).collect();
    let is_wanted =
        |control: &str| control.eq_ignore_ascii_case(wanted) || oscal::control_id(control).eq_ignore_ascii_case(wanted);
    report.controls.retain(|section| is_wanted(&section.control));
    match report.controls.is_empty() {
        false => Ok(()),
        true if names.is_empty() => {
            Err(unknown(wanted, "no gate answers to any control; those of `lockgate init DIR --starter regulated` do"))
        }
        true => Err(unknown(wanted, &format!("there are {}", names.join(", ")))),
    }
}

fn unknown(wanted: &str, hint: &str) -> Failure {
    let message = format!("no gate, now or in a decision, answers to the control `{wanted}`");
    Failure::new(Exit::NotFound, "CONTROL_UNKNOWN", message).hint(hint)
}

fn told(report: &ControlReport) -> String {
    let of = |wanted: ControlState| report.controls.iter().filter(|section| section.state == wanted).count();
    format!(
        "{} of {} decisions came under {} controls: {} satisfied, {} with waivers, {} not satisfied, {} not assessed",
        report.decisions_under_controls(),
        report.decisions,
        report.controls.len(),
        of(ControlState::Satisfied),
        of(ControlState::Waived),
        of(ControlState::NotSatisfied),
        of(ControlState::NotAssessed)
    )
}

const COLUMNS: [&str; 19] = [
    "control",
    "gate",
    "outcome",
    "reason",
    "found",
    "decided",
    "break_glass",
    "suspect",
    "promotion",
    "release",
    "environment",
    "time",
    "entry",
    "decision",
    "facts",
    "policy",
    "evidence",
    "approvers_and_waivers",
    "control_state",
];

/// One line for each gate of each decision (RFC 4180), and one without a decision for a control that has none.
fn csv(report: &ControlReport) -> String {
    let mut text = format!("{}\r\n", COLUMNS.join(","));
    for section in &report.controls {
        for line in &section.lines {
            text.push_str(&row(&cells(section, line)));
        }
        if section.lines.is_empty() {
            let gates: Vec<&str> = section.gates_now.iter().map(lockgate_model::GateName::as_str).collect();
            let mut cells = vec![quoted(&section.control), quoted(&gates.join(" ")), "not-assessed".to_owned()];
            cells.resize(COLUMNS.len() - 1, String::new());
            cells.push(section.state.as_str().to_owned());
            let _ = write!(text, "{}\r\n", cells.join(","));
        }
    }
    text
}

fn cells(section: &ControlSection, line: &ControlLine) -> [String; 19] {
    let evidence: Vec<String> = line.evidence.iter().map(ToString::to_string).collect();
    let approvers =
        line.approvers.iter().map(|one| format!("{} approved with {} (entry {})", one.person, one.key, one.entry));
    let waivers = line.waivers.iter().map(|one| {
        let finding = one.finding.as_deref().unwrap_or("everything");
        format!("{finding} waived by {} for {} (entry {})", one.granted_by, one.asked_by, one.entry)
    });
    let people: Vec<String> = approvers.chain(waivers).collect();
    [
        section.control.clone(),
        line.gate.to_string(),
        line.outcome.to_string(),
        line.reason.clone(),
        line.found.clone(),
        line.decided.to_string(),
        oscal::break_glass_text(line),
        line.suspect.to_string(),
        line.promotion.to_string(),
        line.release.to_string(),
        line.environment.to_string(),
        line.time.to_string(),
        line.entry.to_string(),
        line.decision.to_string(),
        line.facts.to_string(),
        line.policy.to_string(),
        evidence.join(" "),
        people.join("; "),
        section.state.as_str().to_owned(),
    ]
}
