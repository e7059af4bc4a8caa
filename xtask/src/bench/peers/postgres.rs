//! PostgreSQL: a private cluster on a Unix socket, and how many one-row transactions it commits.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, geteuid, kill_process};

use super::is_installed;
use crate::deadline::wait_until;
use crate::failure::{During as _, Failure, Result};

/// Who runs it where this is root, as whom it does not start.
const ACCOUNT: &str = "postgres";
/// How long a start and a stop may take.
const LIMIT: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_millis(50);
/// How long `pgbench` runs at least: on a busy machine many clients need some seconds to connect.
const LEAST: Duration = Duration::from_secs(5);
/// The table and what one transaction does.
const TABLE: &str = "CREATE TABLE entry (id bigserial PRIMARY KEY, body text NOT NULL)";
const INSERT: &str = "INSERT INTO entry (body) VALUES (repeat('x', 400));\n";

/// A running cluster. Dropping it stops it.
#[derive(Debug)]
pub struct Postgres {
    server: Child,
    folder: PathBuf,
}

impl Postgres {
    /// Starts a new cluster; absent where it is not installed.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(folder: &Path) -> Result<Option<Self>> {
        if !["initdb", "postgres", "psql", "pgbench"].into_iter().all(is_installed) {
            return Ok(None);
        }
        fs::create_dir_all(folder).during("make the folder of PostgreSQL")?;
        fs::write(folder.join("insert.sql"), INSERT)?;
        if geteuid().is_root() {
            finish(Command::new("chown").arg("-R").arg(ACCOUNT).arg(folder))?;
        }
        let data = folder.join("data");
        finish(as_account("initdb", folder).args(["-A", "trust", "-N", "-D"]).arg(&data))?;
        let log = fs::File::create(folder.join("postgres.log"))?;
        let mut server = as_account("postgres", folder);
        server.arg("-D").arg(&data).arg("-k").arg(folder).args([
            "-c",
            "listen_addresses=",
            "-c",
            "max_connections=300",
        ]);
        let server = server.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn();
        let postgres = Self { server: server.during("start PostgreSQL")?, folder: folder.to_owned() };
        wait_until("PostgreSQL", LIMIT, STEP, || Ok(postgres.psql("SELECT 1").is_ok().then_some(())))?;
        postgres.psql(TABLE)?;
        Ok(Some(postgres))
    }

    /// One-row transactions a second, each flushed, by so many clients of `pgbench` with prepared statements.
    ///
    /// # Errors
    /// When `pgbench` fails, or says something else than a rate.
    pub fn commits(&self, clients: usize, window: Duration) -> Result<f64> {
        let mut command = as_account("pgbench", &self.folder);
        command.args(["-n", "-M", "prepared", "-f", "insert.sql", "-h"]).arg(&self.folder);
        command.args(["-c", &clients.to_string(), "-j", &clients.min(2).to_string()]);
        command.args(["-T", &window.max(LEAST).as_secs().to_string(), "postgres"]);
        let said = finish(&mut command)?;
        let rate = said.lines().find_map(|line| line.strip_prefix("tps = ")?.split_whitespace().next()?.parse().ok());
        rate.ok_or_else(|| Failure::new(format!("`pgbench` says no rate: {said}")))
    }

    fn psql(&self, statement: &str) -> Result<String> {
        let mut command = as_account("psql", &self.folder);
        finish(command.args(["-q", "-d", "postgres", "-c", statement, "-h"]).arg(&self.folder))
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SIGINT is a fast shutdown: it ends its clients and stops in order. What is gone already needs nothing.
        let stopped = i32::try_from(self.server.id()).ok().and_then(Pid::from_raw);
        let _ = stopped.map(|pid| kill_process(pid, Signal::INT));
        let _ = self.server.wait();
    }
}

/// A program that runs in a folder as whoever may run PostgreSQL; `setpriv` becomes the program itself.
fn as_account(program: &str, folder: &Path) -> Command {
    let mut command = match geteuid().is_root() {
        true => {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", ACCOUNT, "--regid", ACCOUNT, "--clear-groups", program]);
            command
        }
        false => Command::new(program),
    };
    command.current_dir(folder);
    command
}

/// Runs a command to its end and returns what it said.
fn finish(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().during(format!("start {:?}", command.get_program()))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            Err(Failure::new(format!("{command:?} ended with {}: {said}", output.status)))
        }
    }
}
