//! Diff: what changes between two releases, or between what two environments run.

use lockgate_api::client::query_value;
use lockgate_api::markdown::{self, UNREPORTED};
use lockgate_api::wire::{ComponentRow, DiffFinding, DiffReply, DiffTests, StatusReply};
use lockgate_api::{Client, Exit};
use lockgate_ledger::release_diff::percent;
use lockgate_model::text::visible;
use lockgate_model::{EnvName, ReleaseName, ServiceName};

use crate::cli;
use crate::commands::reading::environment_unknown;
use crate::failure::{Failure, Outcome};
use crate::terminal::table;
use crate::world::World;

/// How environments are compared, for whoever names them as if they were releases.
const BETWEEN: &str = "between what two environments run: lockgate diff shop/web --from production --to staging";

/// `lockgate diff`.
///
/// # Errors
/// `RELEASE_UNKNOWN`, `ENVIRONMENT_UNKNOWN`, `NOTHING_RUNS`, or a name that is none.
pub fn diff(world: &World, options: &cli::Diff) -> Outcome {
    let client = world.signed_in()?;
    let (from, to, there) = releases(&client, options)?;
    let mut query = format!("from={}&to={}", query_value(&from.to_string()), query_value(&to.to_string()));
    if let Some(environment) = options.environment.as_ref().or(there.as_ref()) {
        query.push_str(&format!("&environment={}", query_value(environment.as_str())));
    }
    let reply: DiffReply = client.get(&format!("/v1/diff?{query}"))?;
    match options.markdown {
        true => world.terminal.result(markdown::diff(&reply).trim_end())?,
        false => world.terminal.show(&reply, || shown(&reply))?,
    }
    Ok(Exit::Done)
}

/// The two releases, and where the gates are asked if nothing else is said: the last environment where the first one
/// runs, or the later one of the two that are named.
fn releases(client: &Client, options: &cli::Diff) -> Result<(ReleaseName, ReleaseName, Option<EnvName>), Failure> {
    let status_of = |service: &ServiceName| -> Result<StatusReply, Failure> {
        Ok(client.get(&format!("/v1/status?service={}", query_value(service.as_str())))?)
    };
    let parse = |text: &str| {
        text.parse::<ReleaseName>().map_err(|error| Failure::usage("RELEASE_INVALID", error.to_string()).hint(BETWEEN))
    };
    if let (Some(from), Some(to)) = (&options.from, &options.to) {
        let service: ServiceName = options.first.parse().map_err(|error: lockgate_model::NameError| {
            Failure::usage("SERVICE_INVALID", error.to_string()).hint(
                "with --from and --to, name the service alone: lockgate diff shop/web --from production --to staging",
            )
        })?;
        let status = status_of(&service)?;
        let (first, second) = (running(&status, &service, from)?, running(&status, &service, to)?);
        let later = status.environments.iter().rev().find(|name| [from, to].contains(name)).cloned();
        return Ok((first, second, later));
    }
    match &options.second {
        Some(second) => {
            let (first, second) = (parse(&options.first)?, parse(second)?);
            let status = status_of(&first.service)?;
            let runs = |name: &&EnvName| running(&status, &first.service, name).is_ok_and(|release| release == first);
            let there = status.environments.iter().rev().find(runs).cloned();
            Ok((first, second, there))
        }
        None => Err(Failure::usage("RELEASE_MISSING", "a diff needs two releases, or a service with --from and --to")
            .hint(BETWEEN)),
    }
}

fn running(status: &StatusReply, service: &ServiceName, environment: &EnvName) -> Result<ReleaseName, Failure> {
    let environments = &status.environments;
    let at = environments.iter().position(|known| known == environment);
    let at = at.ok_or_else(|| environment_unknown(environment, environments))?;
    let row = status.services.iter().find(|row| row.service == *service);
    let cell = row.and_then(|row| row.running.get(at)).and_then(Option::as_ref);
    cell.map(|cell| cell.release.clone()).ok_or_else(|| {
        Failure::new(Exit::NotFound, "NOTHING_RUNS", format!("{service} does not run in {environment}"))
            .hint("`lockgate status` shows what runs where")
    })
}

fn shown(reply: &DiffReply) -> String {
    let mut text = format!("{} -> {}\n", reply.from, reply.to);
    let mut line = |name: &str, value: String| text.push_str(&format!("  {name:<11}{}\n", visible(&value)));
    let word = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".to_owned());
    if reply.repositories.0 != reply.repositories.1 {
        line("repository", format!("{} -> {}", word(&reply.repositories.0), word(&reply.repositories.1)));
    }
    if reply.commits.0.is_some() || reply.commits.1.is_some() {
        line("commit", format!("{} -> {}", word(&reply.commits.0), word(&reply.commits.1)));
    }
    line("size", format!("{} -> {} bytes", reply.size_bytes.0, reply.size_bytes.1));
    for artifact in &reply.artifacts_removed {
        line("- artifact", format!("{}  {} ({} bytes)", artifact.digest, artifact.name, artifact.size_bytes));
    }
    for artifact in &reply.artifacts_added {
        line("+ artifact", format!("{}  {} ({} bytes)", artifact.digest, artifact.name, artifact.size_bytes));
    }
    if reply.tests.0.is_some() || reply.tests.1.is_some() {
        line("tests", format!("{} -> {}", tests(reply.tests.0), tests(reply.tests.1)));
    }
    if reply.coverage.0.is_some() || reply.coverage.1.is_some() {
        let share = |share: Option<u64>| share.map_or("no report".to_owned(), percent);
        line("coverage", format!("{} -> {}", share(reply.coverage.0), share(reply.coverage.1)));
    }
    for change in &reply.configurations {
        let digest =
            |digest: Option<lockgate_model::Digest>| digest.map_or("none".to_owned(), |digest| digest.to_string());
        let place = change.environment.as_ref().map(|name| format!(" for {name}")).unwrap_or_default();
        line("config", format!("{}{place}: {} -> {}", change.name, digest(change.before), digest(change.after)));
    }
    text.push_str(&findings(reply));
    text.push_str(&components(reply));
    text.push_str(&gates(reply));
    text.push_str(&supposed(reply));
    text
}

fn tests(counts: Option<DiffTests>) -> String {
    match counts {
        Some(counts) => format!("{} passed, {} failed, {} skipped", counts.passed, counts.failed, counts.skipped),
        None => "no report".to_owned(),
    }
}

fn findings(reply: &DiffReply) -> String {
    if reply.scans != (true, true) {
        return "  findings cannot be compared: a release has no vulnerability scan\n".to_owned();
    }
    if reply.findings_added.is_empty() && reply.findings_fixed.is_empty() && reply.findings_unreported.is_empty() {
        return "  the findings are the same\n".to_owned();
    }
    let row = |mark: &str, finding: &DiffFinding| {
        vec![
            format!("  {mark}"),
            finding.id.clone(),
            finding.severity.clone(),
            finding.package.clone(),
            finding.version.clone(),
            finding.fixed.clone().unwrap_or_default(),
        ]
    };
    let added = reply.findings_added.iter().map(|finding| row("+", finding));
    let fixed = reply.findings_fixed.iter().map(|finding| row("-", finding));
    let unreported = reply.findings_unreported.iter().map(|finding| row("?", finding));
    let rows = added.chain(fixed).chain(unreported);
    let mut text = format!("{}\n", table(&["", "finding", "severity", "package", "version", "fixed in"], rows));
    if !reply.findings_unreported.is_empty() {
        text.push_str(&format!("  ? {UNREPORTED}\n"));
    }
    text
}

fn components(reply: &DiffReply) -> String {
    match reply.sboms {
        (true, true) if reply.components.is_empty() => return "  the components are the same\n".to_owned(),
        (true, true) => {}
        _ => return "  components cannot be compared: a release has no SBOM\n".to_owned(),
    }
    let row = |change: &ComponentRow| {
        let mark = match (&change.before, &change.after) {
            (None, _) => "+",
            (_, None) => "-",
            _ => "~",
        };
        let licence = match (&change.licence_before, &change.licence_after) {
            (Some(before), Some(after)) if before != after => format!("{before} -> {after}"),
            (before, after) => after.clone().or_else(|| before.clone()).unwrap_or_default(),
        };
        vec![
            format!("  {mark}"),
            change.name.clone(),
            change.before.clone().unwrap_or_default(),
            change.after.clone().unwrap_or_default(),
            licence,
        ]
    };
    format!("{}\n", table(&["", "component", "before", "after", "licence"], reply.components.iter().map(row)))
}

/// What would be decided on the second release, in one line.
fn supposed(reply: &DiffReply) -> String {
    let Some((environment, supposed)) = reply.environment.as_ref().zip(reply.supposed.as_ref()) else {
        return String::new();
    };
    let (objecting, passing) = supposed.objecting_and_passing();
    let names: Vec<&str> = objecting.iter().map(|gate| gate.gate.as_str()).collect();
    let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let (outcome, pass) = (&supposed.outcome, passing.len());
    let text =
        format!("{} into {environment} now: {outcome}; gates that would object: {names}; pass: {pass}", reply.to);
    format!("\n  {}\n", visible(&text))
}

fn gates(reply: &DiffReply) -> String {
    let Some(environment) = &reply.environment else {
        return format!("  gates were not asked: {} runs nowhere, and no --env is named\n", reply.from);
    };
    if reply.gates.is_empty() {
        return format!("  every gate of {environment} comes out the same\n");
    }
    let word = |outcome: &Option<String>| outcome.clone().unwrap_or_else(|| "-".to_owned());
    let rows = reply.gates.iter().map(|gate| {
        vec![gate.gate.clone(), word(&gate.before), word(&gate.after), gate.reason.clone(), gate.found.clone()]
    });
    let title = format!("gate in {environment}");
    table(&[title.as_str(), "before", "after", "reason", "found"], rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_longer_reported_is_not_told_as_fixed() {
        let finding = DiffFinding {
            id: "CVE-2026-1".to_owned(),
            package: "pkg:npm/a".to_owned(),
            version: "1".to_owned(),
            severity: "high".to_owned(),
            fixed: None,
        };
        let reply = |fixed: Vec<DiffFinding>, unreported: Vec<DiffFinding>| DiffReply {
            from: "shop/web@1.3.0".parse().unwrap(),
            to: "shop/web@1.5.0".parse().unwrap(),
            repositories: (None, None),
            commits: (None, None),
            artifacts_removed: Vec::new(),
            artifacts_added: Vec::new(),
            size_bytes: (0, 0),
            sboms: (true, true),
            components: Vec::new(),
            scans: (true, true),
            findings_added: Vec::new(),
            findings_fixed: fixed,
            findings_unreported: unreported,
            tests: (None, None),
            coverage: (None, None),
            configurations: Vec::new(),
            environment: None,
            gates: Vec::new(),
            supposed: None,
        };
        let check = |reply: &DiffReply, mark: &str, is_told: bool| {
            let text = findings(reply);
            let line = text.lines().find(|line| line.contains("CVE-2026-1")).unwrap();
            assert!(line.trim_start().starts_with(mark), "{text}");
            assert_eq!(text.contains(UNREPORTED), is_told, "{text}");
        };
        check(&reply(vec![finding.clone()], Vec::new()), "-", false);
        check(&reply(Vec::new(), vec![finding.clone()]), "?", true);
        assert!(findings(&reply(Vec::new(), Vec::new())).contains("the same"));
    }
}
