//! Freezes, break-glass and windows.

use axum::http::StatusCode;
use axum::response::Response;
use lockgate_engine::{Engine, Fault};
use lockgate_model::{PersonId, Span, UnixMillis};
use lockgate_policy::gates::WindowsGate;
use lockgate_policy::{Gate, GateKind, Pattern};
use lockgate_web::Section;
use lockgate_web::freeze::calendar::{Calendar, Lane, Stretch};
use lockgate_web::freeze::{self as freeze_page, Filter, FreezeView, WindowLine};

use super::{rights_anywhere, shell};
use crate::call::Call;
use crate::handlers::emergency::{break_glass_rows, freeze_rows};
use crate::handlers::heavy;
use crate::handlers::pages::page;

/// How many rows of each list one page shows.
const ROWS: usize = 50;
/// How far the calendar looks ahead.
const CALENDAR_DAYS: u64 = 28;
/// How many gates it shows.
const LANES_MAX: usize = 30;
/// How many stretches of one gate it shows: four a day.
const STRETCHES_MAX: usize = 112;

/// `GET /freeze`.
pub async fn freeze(call: Call) -> Result<Response, Fault> {
    let person: PersonId = call.person()?;
    let filter = Filter {
        all: call.query.get("all").is_some_and(|value| value == "1"),
        freezes_from: call.query("freezes")?.unwrap_or(0),
        glass_from: call.query("glass")?.unwrap_or(0),
    };
    let app = call.app.clone();
    let text = heavy(move || {
        let shell = shell(&app, &person)?;
        let rights = rights_anywhere(&app.engine, &person)?;
        let view = view(&app.engine, &person, filter, shell.now)?;
        let content = freeze_page::content(&view, filter, &rights, &person, shell.now);
        Ok(shell.page(Some(Section::Emergency), "Freeze and break-glass", &content))
    })
    .await?;
    Ok(page(StatusCode::OK, text))
}

fn view(engine: &Engine, person: &PersonId, filter: Filter, now: UnixMillis) -> Result<FreezeView, Fault> {
    let mut freezes = freeze_rows(engine, person)?;
    freezes.retain(|row| filter.all || row.open);
    let mut break_glass = break_glass_rows(engine, person)?;
    break_glass.retain(|row| filter.all || matches!(row.state.as_str(), "open" | "unreviewed"));
    let (freezes, more_freezes) = paged(freezes, filter.freezes_from);
    let (break_glass, more_glass) = paged(break_glass, filter.glass_from);
    let governance = engine.governance()?;
    let environments = governance.policy.environments().iter().map(|environment| environment.name.clone()).collect();
    let (windows, calendar) = (windows(engine, now)?, calendar(engine, now)?);
    Ok(FreezeView { freezes, more_freezes, break_glass, more_glass, windows, calendar, environments })
}

/// One page of rows, and how many the next one passes over.
fn paged<T>(rows: Vec<T>, from: usize) -> (Vec<T>, Option<usize>) {
    let next = from.saturating_add(ROWS);
    let more = (rows.len() > next).then_some(next);
    (rows.into_iter().skip(from).take(ROWS).collect(), more)
}

/// Every `windows` gate in every environment, and how it stands now.
fn windows(engine: &Engine, now: UnixMillis) -> Result<Vec<WindowLine>, Fault> {
    let governance = engine.governance()?;
    let mut lines = Vec::new();
    for environment in governance.policy.environments() {
        for gate in governance.policy.gates().iter().filter(|gate| gate.environments.contains(&environment.name)) {
            let GateKind::Windows(config) = &gate.kind else { continue };
            let state = config.state_at(now);
            let told = |moment: Option<UnixMillis>| moment.map(|moment| (moment, config.local(moment)));
            lines.push(WindowLine {
                environment: environment.name.clone(),
                gate: gate.name.to_string(),
                file: gate.rule.file.clone(),
                line: gate.rule.line as u64,
                services: services(gate),
                open: state.open,
                warns_only: gate.enforcement.only_warns(now),
                spares_rollbacks: config.spare_rollbacks,
                reason: state.reason,
                changes: told(state.changes_at),
                changes_back: told(state.changes_back_at),
            });
        }
    }
    Ok(lines)
}

/// What the `windows` gates of the active policy set allow and deny in the next weeks.
fn calendar(engine: &Engine, now: UnixMillis) -> Result<Calendar, Fault> {
    let governance = engine.governance()?;
    let to = now.plus(Span::from_secs(CALENDAR_DAYS * 86_400));
    let (mut lanes, mut more_gates) = (Vec::new(), 0);
    for gate in governance.policy.gates() {
        let GateKind::Windows(config) = &gate.kind else { continue };
        if lanes.len() < LANES_MAX {
            lanes.push(lane(gate, config, now, to));
        } else {
            more_gates += 1;
        }
    }
    Ok(Calendar { from: now, to, lanes, more_gates })
}

fn lane(gate: &Gate, config: &WindowsGate, from: UnixMillis, to: UnixMillis) -> Lane {
    let mut found = config.stretches(from, to, STRETCHES_MAX + 1);
    let is_cut = found.len() > STRETCHES_MAX;
    found.truncate(STRETCHES_MAX);
    let mut stretches = Vec::new();
    for one in found {
        stretches.push(Stretch {
            allows: one.allows,
            start: (one.start, config.local(one.start)),
            end: (one.end, config.local(one.end)),
            reason: one.reason,
        });
    }
    Lane {
        gate: gate.name.to_string(),
        environments: gate.environments.clone(),
        services: services(gate),
        only_allowed: !config.allow.is_empty(),
        stretches,
        is_cut,
    }
}

/// For which services a gate is, as patterns; empty stands for all.
pub(super) fn services(gate: &Gate) -> Vec<String> {
    let text = |pattern: &Pattern| pattern.as_str().to_owned();
    gate.services.iter().flatten().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_on_each_other() {
        let rows: Vec<usize> = (0..120).collect();
        let check = |from: usize, first: Option<usize>, count: usize, next: Option<usize>| {
            let (page, more) = paged(rows.clone(), from);
            assert_eq!((page.first().copied(), page.len(), more), (first, count, next), "{from}");
        };
        check(0, Some(0), 50, Some(50));
        check(70, Some(70), 50, None);
        check(100, Some(100), 20, None);
        check(usize::MAX, None, 0, None);
    }
}
