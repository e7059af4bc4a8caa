//! The policy page.

use axum::http::StatusCode;
use axum::response::Response;
use lockgate_engine::{Engine, Fault, Kind, diff as diffs, reader};
use lockgate_ledger::{Event, Governance};
use lockgate_model::{EnvName, PersonId, ReleaseName, UnixMillis};
use lockgate_policy::gate::Enforcement;
use lockgate_policy::{Decision, Environment, Gate, PolicySet, expiry_lint};
use lockgate_web::Section;
use lockgate_web::policy::checks::Checks;
use lockgate_web::policy::source::{SourceFile, Sources};
use lockgate_web::policy::trial::{Found, Trial};
use lockgate_web::policy::{self as policy_page, Active, Blocks, EnvironmentLine, GateLine, PolicyView};

use super::freeze::services;
use super::{policy_change, rights_anywhere, shell};
use crate::app::App;
use crate::call::Call;
use crate::handlers::feeds::feeds_reply;
use crate::handlers::heavy;
use crate::handlers::pages::page;
use crate::handlers::promotions::gate_row;
use crate::handlers::waivers::waivers_reply;
use crate::policy_report::{PolicyReport, lint_line};
use crate::reply::problem_of;

/// How many lines of source are shown unless one file is asked for.
const LINES: usize = 1_500;
/// The promotion that a trial supposes: none has this number.
const SUPPOSED: &str = "P-0";

/// What the address asks for beside the page.
struct Asked {
    file: String,
    release: String,
    environment: String,
}

/// `GET /policy`.
pub async fn policy(call: Call) -> Result<Response, Fault> {
    let person: PersonId = call.person()?;
    let text_of = |name: &str| call.query.get(name).map(|text| text.trim().to_owned()).unwrap_or_default();
    let asked = Asked { file: text_of("file"), release: text_of("release"), environment: text_of("environment") };
    let app = call.app.clone();
    let text = heavy(move || {
        let shell = shell(&app, &person)?;
        let rights = rights_anywhere(&app.engine, &person)?;
        let view = view(&app, &person, asked, shell.now)?;
        let content = policy_page::content(&view, &rights, &person, shell.now);
        Ok(shell.page(Some(Section::Policy), "Policy", &content))
    })
    .await?;
    Ok(page(StatusCode::OK, text))
}

fn view(app: &App, person: &PersonId, asked: Asked, now: UnixMillis) -> Result<PolicyView, Fault> {
    let engine = &app.engine;
    let governance = engine.governance()?;
    let policy = &governance.policy;
    let report = app.policy_reports.of(engine, person)?;
    let mut waivers = waivers_reply(engine, person)?;
    waivers.retain(|row| matches!(row.state.as_str(), "open" | "asked" | "void"));
    let mut feeds = feeds_reply(engine)?;
    feeds.retain(|row| row.newest);
    Ok(PolicyView {
        active: active(engine, &governance)?,
        environments: policy.environments().iter().map(environment).collect(),
        gates: policy.gates().iter().map(|gate| gate_line(gate, &report)).collect(),
        warned_from: report.warned_from,
        sources: sources(policy, &asked.file),
        checks: checks(policy, &report, now),
        changes: policy_change::proposed(engine, person, now)?,
        waivers,
        feeds,
        trial: trial(engine, person, asked.release, asked.environment)?,
    })
}

fn active(engine: &Engine, governance: &Governance) -> Result<Active, Fault> {
    let settings = governance.policy.settings();
    let entry = reader::entry(engine.store(), governance.policy_at)?;
    let (by, reason) = match entry.event {
        Event::PolicyActivated(event) => {
            let more = event.countersigned.into_iter().map(|signature| signature.by);
            (std::iter::once(event.by).chain(more).collect::<Vec<PersonId>>(), Some(event.reason))
        }
        _ => (Vec::new(), None),
    };
    Ok(Active {
        name: settings.name.clone(),
        description: settings.description.clone(),
        digest: governance.policy_digest,
        at: governance.policy_at.0,
        time: entry.time,
        by,
        reason,
        expires_at: settings.expires_at,
    })
}

fn environment(environment: &Environment) -> EnvironmentLine {
    EnvironmentLine {
        name: environment.name.clone(),
        purpose: environment.purpose.clone(),
        risk: environment.risk.as_str().to_owned(),
        owners: environment.owners.iter().map(ToString::to_string).collect(),
        after: environment.after.iter().map(ToString::to_string).collect(),
        grant_ttl: environment.grant_ttl.to_string(),
        line: environment.line as u64,
    }
}

fn gate_line(gate: &Gate, report: &PolicyReport) -> GateLine {
    GateLine {
        name: gate.name.to_string(),
        kind: gate.kind.name().to_owned(),
        description: gate.description.clone(),
        environments: gate.environments.iter().map(ToString::to_string).collect(),
        services: services(gate),
        blocks: match gate.enforcement {
            Enforcement::Always => Blocks::Always,
            Enforcement::From(start) => Blocks::From(start),
            Enforcement::Never => Blocks::Never,
        },
        controls: gate.controls.clone(),
        file: gate.rule.file.clone(),
        line: gate.rule.line as u64,
        warned: report.warned.get(&gate.name).copied().unwrap_or(0),
        waivable: gate.kind.can_be_waived(),
    }
}

/// One file that is asked for, or all of them where that is not much.
fn sources(policy: &PolicySet, file: &str) -> Sources {
    let files = policy.files();
    let names: Vec<(String, usize)> = files.iter().map(|(path, text)| (path.clone(), text.lines().count())).collect();
    let all: usize = names.iter().map(|(_, lines)| lines).sum();
    let shown = |path: &String| if files.contains_key(file) { path == file } else { all <= LINES };
    let chosen = files.iter().filter(|(path, _)| shown(path));
    let shown = chosen.map(|(path, text)| SourceFile { path: path.clone(), text: text.clone() }).collect();
    Sources { names, shown }
}

/// What was checked once, with what only time tells.
fn checks(policy: &PolicySet, report: &PolicyReport, now: UnixMillis) -> Checks {
    let mut checks = Checks::clone(&report.checks);
    if let Some(lint) = expiry_lint(policy, now) {
        checks.lints.insert(0, lint_line(lint));
    }
    checks
}

/// What would be decided; what is wrong with the question is told beside it.
fn trial(engine: &Engine, person: &PersonId, release: String, environment: String) -> Result<Trial, Fault> {
    if release.is_empty() {
        return Ok(Trial { release, environment, found: None });
    }
    let found = match tried(engine, person, &release, &environment) {
        Ok(decision) => Ok(found(decision)),
        Err(fault) if matches!(fault.kind, Kind::Invalid | Kind::NotFound | Kind::NotPermitted) => {
            Err(problem_of(&fault))
        }
        Err(fault) => return Err(fault),
    };
    Ok(Trial { release, environment, found: Some(found) })
}

fn tried(engine: &Engine, person: &PersonId, release: &str, environment: &str) -> Result<Decision, Fault> {
    let release = release.parse::<ReleaseName>().map_err(|error| invalid("release", &error))?;
    let environment = environment.parse::<EnvName>().map_err(|error| invalid("environment", &error))?;
    diffs::supposed(engine, person, &release, &environment)
}

fn invalid(name: &str, error: &dyn std::fmt::Display) -> Fault {
    Fault::invalid("QUERY_INVALID", format!("`{name}`: {error}"))
}

fn found(decision: Decision) -> Found {
    let mut gates: Vec<_> = decision.gates.into_iter().map(gate_row).collect();
    for gate in &mut gates {
        // A command about a promotion that nobody asked for leads nowhere.
        if gate.fix.split_whitespace().any(|word| word == SUPPOSED) {
            gate.fix.clear();
        }
    }
    Found { outcome: decision.outcome.as_str().to_owned(), would_block: decision.would_block, gates }
}
