//! `planted`: puts each deliberate defect into a test build, and checks that the tests catch it.
//!
//! A suite that passes says little of itself; one that fails for each of these defects says what it would notice. Each
//! defect takes away a whole defence, at every place where it stands, so that it would be a defect and not a blemish.
//! First the same tests pass without any.

mod table;

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use clap::Args;
use lockgate_failpoint::{PLANTS, Plant};

use self::table::{CATCHES, Catch};
use crate::failpoints::{build, faults_directory};
use crate::failure::{During as _, Failure, Result};
use crate::workspace;

/// The exit code of `cargo nextest` when tests failed, in contrast to a build that did.
const TESTS_FAILED_NEXTEST: i32 = 100;
/// The same of `cargo test`.
const TESTS_FAILED_CARGO: i32 = 101;
/// How the lines of `cargo nextest` begin that name a test which did not pass.
const FAILED_WORDS: &[&str] = &["FAIL", "TIMEOUT", "ABORT", "SIGABRT", "SIGSEGV", "SIGKILL", "LEAK-FAIL"];

/// `planted`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Plant these defects alone
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Print every defect and what has to catch it, and end
    #[arg(long)]
    list: bool,
}

/// What came of one defect.
struct Row {
    plant: &'static Plant,
    /// What caught it; absent when nothing did.
    caught_by: Option<String>,
    took: Duration,
}

/// Plants each defect, and prints what caught it.
///
/// # Errors
/// When one is not caught, or the tests fail without any.
pub fn run(arguments: &Arguments) -> Result<()> {
    let chosen = choose(&arguments.only)?;
    if arguments.list {
        for (plant, catch) in chosen {
            println!("{}\t{}\t{}", plant.name, plant.says, catch.text());
        }
        return Ok(());
    }
    let runner = Runner::find()?;
    control(&runner, &chosen)?;
    let mut rows = Vec::with_capacity(chosen.len());
    for (plant, catch) in chosen {
        let began = Instant::now();
        let caught_by = match catch {
            Catch::Tests(names) => runner.failing(names, Some(plant.name))?,
            Catch::Failpoint(point) => killed_at(point, plant.name)?,
            Catch::Faults(part) => broken_under(part, plant.name)?,
        };
        println!("{}: {}", plant.name, caught_by.as_deref().unwrap_or("NOT CAUGHT"));
        rows.push(Row { plant, caught_by, took: began.elapsed() });
    }
    close(&rows)
}

/// The defects to plant, each with what has to catch it.
fn choose(only: &[String]) -> Result<Vec<(&'static Plant, Catch)>> {
    if let Some(unknown) = only.iter().find(|name| PLANTS.iter().all(|plant| plant.name != name.as_str())) {
        return Err(Failure::new(format!(
            "`{unknown}` is not a planted bug: `cargo xtask planted --list` prints them"
        )));
    }
    let mut chosen = Vec::new();
    for plant in PLANTS.iter().filter(|plant| only.is_empty() || only.iter().any(|name| name == plant.name)) {
        let Some((_, catch)) = CATCHES.iter().find(|(name, _)| *name == plant.name) else {
            return Err(Failure::new(format!("xtask/src/planted/table.rs: no row says what catches `{}`", plant.name)));
        };
        chosen.push((plant, *catch));
    }
    Ok(chosen)
}

/// Without a defect nothing may fail: else a failure says nothing.
fn control(runner: &Runner, chosen: &[(&'static Plant, Catch)]) -> Result<()> {
    let (mut names, mut parts): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    for (_, catch) in chosen {
        match catch {
            Catch::Tests(tests) => names.extend(*tests),
            Catch::Failpoint(_) => {}
            Catch::Faults(part) => parts.push(*part),
        }
    }
    names.sort_unstable();
    names.dedup();
    if !names.is_empty()
        && let Some(failed) = runner.failing(&names, None)?
    {
        return Err(Failure::new(format!("`{failed}` fails without any planted bug: mend that first")));
    }
    println!("control: {} tests pass without a planted bug", names.len());
    parts.sort_unstable();
    parts.dedup();
    for part in parts {
        let output = faults_of(part, None)?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        if !output.status.success() || is_skipped(&said, part) {
            return Err(Failure::new(format!(
                "the faults of `{part}` fail without any planted bug, or are skipped: {said}"
            )));
        }
    }
    Ok(())
}

/// What runs the tests.
struct Runner {
    nextest: bool,
    /// Where builds with faults go.
    folder: String,
}

impl Runner {
    fn find() -> Result<Self> {
        let nextest = Command::new("cargo").args(["nextest", "--version"]).output();
        let nextest = nextest.is_ok_and(|output| output.status.success());
        Ok(Self { nextest, folder: faults_directory()?.display().to_string() })
    }

    /// Runs the tests of these names with a planted bug, and gives the first that did not pass.
    fn failing(&self, names: &[&str], plant: Option<&str>) -> Result<Option<String>> {
        let mut command = Command::new("cargo");
        match self.nextest {
            true => command.args(["nextest", "run"]),
            false => command.args(["test", "--lib", "--bins", "--tests"]),
        };
        command.args(["--workspace", "--features", "lockgate/faults", "--target-dir", self.folder.as_str()]);
        match self.nextest {
            true => {
                let filter: Vec<String> = names.iter().map(|name| format!("test({name})")).collect();
                command.args(["--color", "never", "--status-level", "fail", "--final-status-level", "none"]);
                command.args(["--failure-output", "never", "--show-progress", "none", "-E", &filter.join(" + ")]);
            }
            false => {
                command.arg("--").args(names);
            }
        }
        command.env_remove("LOCKGATE_FAULT").env_remove("LOCKGATE_PLANT").current_dir(workspace::root());
        command.envs(plant.map(|plant| ("LOCKGATE_PLANT", plant)));
        let output = command.output().during("start the tests")?;
        self.read(&output)
    }

    fn read(&self, output: &Output) -> Result<Option<String>> {
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let failed = if self.nextest { TESTS_FAILED_NEXTEST } else { TESTS_FAILED_CARGO };
        let name = match self.nextest {
            true => err.lines().find_map(failed_in_nextest),
            false => out.lines().find_map(failed_in_cargo),
        };
        match (output.status.success(), name) {
            (true, _) => Ok(None),
            (false, Some(name)) if output.status.code() == Some(failed) => Ok(Some(name)),
            // A build that fails, or a filter that fits nothing, catches nothing.
            (false, _) => Err(Failure::new(format!("the tests ended with {}:\n{out}\n{err}", output.status))),
        }
    }
}

/// The binary and the test of a line such as `FAIL [   0.004s] (1/9) lockgate-engine::it faults::a_test`.
fn failed_in_nextest(line: &str) -> Option<String> {
    let (word, rest) = line.trim_start().split_once(' ')?;
    let named = FAILED_WORDS.contains(&word) && rest.trim_start().starts_with('[');
    let mut words = rest.split_whitespace().rev();
    let (test, binary) = (words.next()?, words.next()?);
    named.then(|| format!("{binary} {test}"))
}

/// The test of a line such as `test faults::a_test ... FAILED`.
fn failed_in_cargo(line: &str) -> Option<String> {
    line.strip_prefix("test ")?.strip_suffix(" ... FAILED").map(ToOwned::to_owned)
}

/// Runs the kill test at one place with a planted bug, and says whether it fails there.
fn killed_at(point: &str, plant: &str) -> Result<Option<String>> {
    let own = std::env::current_exe().during("find this program")?;
    let control = failpoints_at(&own, point, None)?;
    if !control.status.success() {
        let said = String::from_utf8_lossy(&control.stderr).into_owned();
        return Err(Failure::new(format!("the kill test at `{point}` fails without any planted bug: {said}")));
    }
    let planted = failpoints_at(&own, point, Some(plant))?;
    let said = [planted.stdout, planted.stderr].concat();
    // It got as far as the place, and found a problem there.
    let found = String::from_utf8_lossy(&said).lines().any(|line| line.starts_with(&format!("{point}: ")));
    Ok((!planted.status.success() && found).then(|| format!("cargo xtask failpoints --only {point}")))
}

fn failpoints_at(own: &std::path::Path, point: &str, plant: Option<&str>) -> Result<Output> {
    let mut command = Command::new(own);
    command.args(["failpoints", "--only", point]).env_remove("LOCKGATE_PLANT").current_dir(workspace::root());
    command.envs(plant.map(|plant| ("LOCKGATE_PLANT", plant)));
    command.output().during("start the kill test")
}

/// Runs a part of the faults with a planted bug, and says whether something acknowledged is gone there.
fn broken_under(part: &str, plant: &str) -> Result<Option<String>> {
    let output = faults_of(part, Some(plant))?;
    let said = [output.stdout, output.stderr].concat();
    let found = has_lost(&String::from_utf8_lossy(&said), part);
    Ok((!output.status.success() && found).then(|| format!("cargo xtask faults --quick --only {part}")))
}

fn faults_of(part: &str, plant: Option<&str>) -> Result<Output> {
    let own = std::env::current_exe().during("find this program")?;
    let mut command = Command::new(own);
    command.args(["faults", "--quick", "--only", part, "--binary"]).arg(build()?);
    command.env_remove("LOCKGATE_FAULT").env_remove("LOCKGATE_PLANT").current_dir(workspace::root());
    command.envs(plant.map(|plant| ("LOCKGATE_PLANT", plant)));
    command.output().during("start the faults")
}

/// Whether a part of the faults says that something acknowledged is not there, and not merely that it could not run.
fn has_lost(said: &str, part: &str) -> bool {
    let finding = format!("{part}: ");
    said.lines().any(|line| line.starts_with(&finding) && line.contains("was acknowledged"))
}

/// Whether a part of the faults says that it did not run.
fn is_skipped(said: &str, part: &str) -> bool {
    let skipped = format!("{part}: skipped: ");
    said.lines().any(|line| line.starts_with(&skipped))
}

fn close(rows: &[Row]) -> Result<()> {
    println!("\n| planted bug | what is wrong with it | caught by | seconds |\n|---|---|---|---|");
    for row in rows {
        let caught_by = row.caught_by.as_ref().map_or_else(|| "**nothing**".to_owned(), |name| format!("`{name}`"));
        println!("| `{}` | {} | {caught_by} | {:.1} |", row.plant.name, row.plant.says, row.took.as_secs_f64());
    }
    let missed = rows.iter().filter(|row| row.caught_by.is_none()).count();
    println!("\ncaught {} of {}", rows.len() - missed, rows.len());
    match missed {
        0 => Ok(()),
        count => Err(Failure::new(format!("{count} planted bugs are not caught"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_planted_bug_has_one_row() {
        assert_eq!(choose(&[]).unwrap().len(), PLANTS.len());
        assert_eq!(CATCHES.len(), PLANTS.len());
        assert!(choose(&["nothing".to_owned()]).is_err());
    }

    #[test]
    fn what_the_faults_found_is_told_from_what_kept_them_from_running() {
        let lost = "power: cut at line 7, Strict, 9, 2 changes missing: entry 5 was acknowledged, and is not there";
        assert!(has_lost(&format!("seed 1\n{lost}\nxtask: 1 findings"), "power"));
        assert!(!has_lost(lost, "torn"));
        assert!(!has_lost("power: cut at line 7: the start ends without a reason", "power"));
        assert!(!has_lost("xtask: entry 5 was acknowledged", "power"));
        assert!(is_skipped("power: skipped: no strace that may trace", "power") && !is_skipped(lost, "power"));
    }

    #[test]
    fn lines_of_failed_tests_are_read() {
        let check = |line: &str, expected: Option<&str>| {
            assert_eq!(failed_in_nextest(line).as_deref(), expected, "{line}");
        };
        let named = Some("lockgate-engine::it faults::a_test");
        check("        FAIL [   0.004s] (1/9) lockgate-engine::it faults::a_test", named);
        check("        FAIL [   0.004s] lockgate-engine::it faults::a_test", named);
        check("     SIGABRT [   0.004s] lockgate-engine::it faults::a_test", named);
        check("        PASS [   0.004s] lockgate-engine::it faults::a_test", None);
        check("     Summary [   0.004s] 1 test run: 0 passed, 1 failed", None);
        assert_eq!(failed_in_cargo("test a::b ... FAILED").as_deref(), Some("a::b"));
        assert_eq!(failed_in_cargo("test a::b ... ok"), None);
    }
}
