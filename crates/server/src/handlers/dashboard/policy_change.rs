//! Proposed changes of the policy set, for the policy page.

use std::collections::{BTreeMap, BTreeSet};

use lockgate_engine::authorise::may_read;
use lockgate_engine::change::{self as changing, ChangeView};
use lockgate_engine::{Engine, Fault};
use lockgate_ledger::backtest::{BacktestReport, Flip, WouldBlock};
use lockgate_ledger::change::read_draft;
use lockgate_ledger::{Event, Governance};
use lockgate_model::{Digest, GroupName, PersonId, UnixMillis};
use lockgate_policy::{
    Changed, FieldChange, ItemChange, Object, PolicyDiff, PolicySet, RightsChange, line_changes, policy_diff,
};
use lockgate_web::policy::change::{
    Backtest, DiffLine, FlipLine, MeaningLine, ProposedChange, RightsLine, WouldBlockLine,
};
use serde_json::Value;

use crate::handlers::changes;

/// How many open changes are shown.
const CHANGES: usize = 10;
/// How many lines that differ are shown of each.
const LINES: usize = 400;
/// How many roles, groups and people are shown whose rights differ.
const RIGHTS: usize = 100;
/// How many flips of a backtest are shown, and how many gates that only warn.
const FLIPS: usize = 50;

/// The changes of the policy set that wait for signatures, newest first.
pub fn proposed(engine: &Engine, person: &PersonId, now: UnixMillis) -> Result<Vec<ProposedChange>, Fault> {
    let governance = engine.governance()?;
    let open = governance
        .changes()
        .iter()
        .rev()
        .filter(|change| change.event == "policy.activated" && change.status_at(now) == "open")
        .take(CHANGES);
    let mut found = Vec::new();
    for change in open {
        let view = changing::show(engine, change.id)?;
        found.extend(one(engine, &governance, person, &view)?);
    }
    Ok(found)
}

fn one(
    engine: &Engine,
    governance: &Governance,
    person: &PersonId,
    view: &ChangeView,
) -> Result<Option<ProposedChange>, Fault> {
    let Event::PolicyActivated(event) = read_draft(&view.draft)? else { return Ok(None) };
    let mut change = ProposedChange {
        row: changes::row(view),
        reason: event.reason,
        policy: event.policy,
        stale: event.previous != governance.policy_digest || event.previous_at != governance.policy_at,
        meaning: Vec::new(),
        rights: Vec::new(),
        lines: Vec::new(),
        more_lines: 0,
        backtest: None,
    };
    // What does not load can never become active, and says nothing.
    if let Some(next) = view.policy.as_deref().and_then(|document| PolicySet::from_document(document).ok()) {
        let people: BTreeMap<PersonId, Vec<GroupName>> =
            governance.people().map(|(id, person)| (id.clone(), person.groups.clone())).collect();
        let diff = policy_diff(&governance.policy, &next, &people);
        change.meaning = meaning(&diff);
        change.rights =
            [&diff.roles, &diff.groups, &diff.people].into_iter().flatten().take(RIGHTS).map(rights).collect();
        let mut lines = differing(&governance.policy, &next);
        change.more_lines = lines.len().saturating_sub(LINES);
        lines.truncate(LINES);
        change.lines = lines;
    }
    if let Some(digest) = event.backtest {
        change.backtest = backtest(engine, governance, person, digest)?;
    }
    Ok(Some(change))
}

fn meaning(diff: &PolicyDiff) -> Vec<MeaningLine> {
    let items = [
        ("environment", &diff.environments),
        ("gate", &diff.gates),
        ("signer", &diff.signers),
        ("test", &diff.tests),
        ("file", &diff.files),
    ];
    let mut lines = Vec::new();
    for (sort, name, fields) in
        [("settings", "policy.toml", &diff.settings), ("aliases", "aliases.toml", &diff.aliases)]
    {
        if !fields.is_empty() {
            let fields = fields.iter().map(field).collect();
            lines.push(MeaningLine { sort, name: name.to_owned(), change: "changed", fields });
        }
    }
    let line = |sort: &'static str, item: &ItemChange| MeaningLine {
        sort,
        name: item.name.clone(),
        change: match item.change {
            Changed::Added => "added",
            Changed::Removed => "removed",
            Changed::Changed => "changed",
        },
        fields: item.fields.iter().map(field).collect(),
    };
    for (sort, items) in items {
        lines.extend(items.iter().map(|item| line(sort, item)));
    }
    lines
}

fn field(change: &FieldChange) -> String {
    let said = |value: &Option<Value>| value.as_ref().map_or_else(|| "nothing".to_owned(), Value::to_string);
    format!("{}: {} → {}", change.field, said(&change.before), said(&change.after))
}

fn rights(change: &RightsChange) -> RightsLine {
    RightsLine { who: change.who.clone(), gained: change.gained.clone(), lost: change.lost.clone() }
}

/// The lines of the files that differ, file by file.
fn differing(from: &PolicySet, to: &PolicySet) -> Vec<DiffLine> {
    let (before, after) = (from.files(), to.files());
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let mut lines = Vec::new();
    for name in names {
        let text = |files: &BTreeMap<String, String>| files.get(name).cloned().unwrap_or_default();
        let changes = line_changes(&text(&before), &text(&after)).into_iter();
        lines.extend(changes.map(|change| DiffLine {
            file: name.clone(),
            added: change.added,
            line: change.line as u64,
            text: change.text,
        }));
    }
    lines
}

/// The report that is signed with a change, as far as somebody may read it.
fn backtest(
    engine: &Engine,
    governance: &Governance,
    person: &PersonId,
    digest: Digest,
) -> Result<Option<Backtest>, Fault> {
    let Some(bytes) = engine.store().document(&digest)? else { return Ok(None) };
    let report = BacktestReport::from_bytes(&bytes)?;
    let readable =
        |flip: &&Flip| may_read(governance, person, Object::Target(&flip.release.service, &flip.environment));
    let flips: Vec<FlipLine> = report.flips.iter().filter(readable).take(FLIPS).map(flip_line).collect();
    Ok(Some(Backtest {
        digest,
        decisions: report.decisions,
        unchanged: report.unchanged,
        errors: report.errors.len(),
        more: report.flips.len().saturating_sub(flips.len()),
        totals: report.totals.into_iter().collect(),
        would_block: report.would_block.iter().flatten().take(FLIPS).map(would_block_line).collect(),
        flips,
    }))
}

fn would_block_line(row: &WouldBlock) -> WouldBlockLine {
    WouldBlockLine { gate: row.gate.to_string(), decisions: row.decisions, enforced_from: row.enforced_from }
}

fn flip_line(flip: &Flip) -> FlipLine {
    FlipLine {
        promotion: flip.promotion.to_string(),
        what: format!("{} into {}", flip.release, flip.environment),
        before: flip.before.as_str().to_owned(),
        after: flip.after.as_str().to_owned(),
        gates: flip.gates.iter().map(|gate| gate.gate.to_string()).collect(),
    }
}
