//! The ground: one stopped instance with something in it, and copies of it to break.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use lockgate_model::Digest;
use serde_json::Value;

use crate::failure::{During as _, Failure, Result};
use crate::random::Random;
use crate::server::Server;

/// The reports that the working directory holds.
const SAMPLES: [&str; 3] = ["junit.xml", "sbom.cdx.json", "trivy.json"];
/// The artifact of the release that is let into staging and waits for production.
pub const ARTIFACT: &str = "app-1.4.2.bin";
/// The bundle of its promotion into staging.
pub const BUNDLE: &str = "staging.bundle";
/// The newest checkpoint that anybody was told of while the instance was made.
pub const NOTE: &str = "ready.note";
/// Where the changed policy set lies.
pub const POLICY: &str = "policy";

/// How much of something is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// So many.
    Count(u64),
    /// As many as there is time for.
    Time(Duration),
}

/// Where everything takes place.
#[derive(Debug)]
pub struct Ground {
    /// The built binary.
    pub binary: PathBuf,
    /// The folder of this run.
    pub scratch: PathBuf,
    /// The home that is copied: a demo whose `P-3` waits for sam, stopped.
    pub ready: PathBuf,
    /// What random choices follow from.
    pub seed: u64,
    /// Whether a small sample is enough.
    pub quick: bool,
    /// How many bits are flipped in each kind of file.
    pub flips: u32,
    /// How many malformed requests are sent, or for how long, where somebody said so.
    pub requests: Option<Effort>,
}

impl Ground {
    /// Makes the instance, with two releases of which one waits for approval, and stops it.
    ///
    /// # Errors
    /// When any step does not end as it should.
    pub fn prepare(scratch: &Path, binary: PathBuf, seed: u64, quick: bool, flips: u32) -> Result<Self> {
        let ready = scratch.join("ready");
        let ground = Self { binary, scratch: scratch.to_owned(), ready, seed, quick, flips, requests: None };
        let work = ground.work();
        fs::create_dir_all(&work).during("make the working directory")?;
        for name in SAMPLES {
            let from = crate::workspace::root().join("crates/evidence/testdata").join(name);
            fs::copy(&from, work.join(name)).during(format!("copy `{}`", from.display()))?;
        }
        let mut random = Random::new(seed);
        for (name, length) in [(ARTIFACT, 3000), ("app-1.4.3.bin", 5000), ("app-1.5.0.bin", 700_000)] {
            fs::write(work.join(name), random.bytes(length)).during("write an artifact")?;
        }
        fs::write(work.join("more.xml"), crate::requests::junit("after the fault")).during("write a report")?;
        let server = Server::demo(&ground.binary, &ground.ready)?;
        let outcome = ground.fill(server.url());
        server.stop()?;
        outcome?;
        remove_if_there(&ground.ready.join("server.json"))?;
        Ok(ground)
    }

    fn fill(&self, url: &str) -> Result<()> {
        let must = |arguments: &[&str], code: i32| self.must(&self.ready, Some(url), arguments, code);
        must(&push("1.4.2", ARTIFACT), 0)?;
        must(&push("1.4.3", "app-1.4.3.bin"), 0)?;
        let promoted = must(&["promote", "shop/web@1.4.2", "--to", "production", "--reason", "weekly release"], 5)?;
        fs::write(self.work().join(NOTE), promoted.checkpoint().unwrap_or_default()).during("keep a checkpoint")?;
        must(&["bundle", "get", "P-2", "--file", BUNDLE], 0)?;
        must(&["init", POLICY], 0)?;
        let file = self.work().join(POLICY).join("policy.toml");
        let mut text = fs::read_to_string(&file).during("read the policy set")?;
        text.push_str("\n# Changed while something fails.\n");
        fs::write(&file, text).during("change the policy set")
    }

    /// The working directory of every command.
    pub fn work(&self) -> PathBuf {
        self.scratch.join("work")
    }

    /// A fresh copy of a home under a name of its own; what was there before is removed.
    ///
    /// # Errors
    /// When it cannot be copied.
    pub fn copy(&self, home: &Path, name: &str) -> Result<PathBuf> {
        let to = self.scratch.join(name);
        self.forget(&to)?;
        copy_tree(home, &to)?;
        Ok(to)
    }

    /// Removes a copied home, and the log of its server.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn forget(&self, home: &Path) -> Result<()> {
        remove_if_there(&home.with_extension("log"))?;
        match home.exists() {
            true => fs::remove_dir_all(home).during(format!("remove `{}`", home.display())),
            false => Ok(()),
        }
    }

    /// Starts the server of a home on a free port.
    ///
    /// # Errors
    /// When it refuses, with the end of its log.
    pub fn serve(&self, home: &Path) -> Result<Server> {
        remove_if_there(&home.with_extension("log"))?;
        Server::serve(&self.binary, home, "127.0.0.1:0")
    }

    /// Runs a command in a home to its end.
    ///
    /// # Errors
    /// When it does not start.
    pub fn run(&self, home: &Path, server: Option<&str>, arguments: &[&str]) -> Result<Ran> {
        let mut command = Command::new(&self.binary);
        command.args(["--quiet", "--output", "json"]);
        if let Some(server) = server {
            command.args(["--server", server]);
        }
        let output = command
            .args(arguments)
            .env("LOCKGATE_HOME", home)
            .current_dir(self.work())
            .stdin(Stdio::null())
            .output()
            .during(format!("start `lockgate {}`", arguments.join(" ")))?;
        Ok(Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// The same where only one exit code is right.
    ///
    /// # Errors
    /// When it ends in another way.
    pub fn must(&self, home: &Path, server: Option<&str>, arguments: &[&str], code: i32) -> Result<Ran> {
        let ran = self.run(home, server, arguments)?;
        match ran.code == code {
            true => Ok(ran),
            false => Err(Failure::new(format!(
                "`lockgate {}` ended with {}, not {code}: {}",
                arguments.join(" "),
                ran.code,
                ran.stderr
            ))),
        }
    }

    /// Audits the data of a home without a server.
    ///
    /// # Errors
    /// When the command does not start.
    pub fn audit(&self, home: &Path) -> Result<Ran> {
        self.run(home, None, &["audit"])
    }
}

/// The arguments that publish a release with its evidence.
pub fn push<'a>(version: &'a str, file: &'a str) -> [&'a str; 12] {
    let [tests, sbom, scan] = SAMPLES;
    ["push", file, "--service", "shop/web", "--version", version, "--tests", tests, "--sbom", sbom, "--scan", scan]
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Its exit code; -1 when a signal ended it.
    pub code: i32,
    /// Its result, as JSON.
    pub stdout: String,
    /// Its talk.
    pub stderr: String,
}

impl Ran {
    /// The reason code that it gave, if it gave one.
    pub fn reason(&self) -> Option<String> {
        reason_in(&self.stderr)
    }

    /// The first entry that it was told of, with its leaf hash.
    pub fn logged(&self) -> Option<(u64, Digest)> {
        let logged = serde_json::from_str::<Value>(&self.stdout).ok()?.get("logged").cloned()?;
        let index = logged.get("index")?.as_u64()?;
        let leaf = logged.get("leaf")?.as_str()?.parse().ok()?;
        Some((index, leaf))
    }

    /// The checkpoint that it was told of.
    pub fn checkpoint(&self) -> Option<String> {
        let logged = serde_json::from_str::<Value>(&self.stdout).ok()?.get("logged").cloned()?;
        Some(logged.get("checkpoint")?.as_str()?.to_owned())
    }

    /// The reason codes of the problems that an audit printed, or the one that the command ended with.
    pub fn problems(&self) -> Vec<String> {
        let report: Value = serde_json::from_str(&self.stdout).unwrap_or_default();
        let lists = [report.get("problems"), report.get("access").and_then(|access| access.get("problems"))];
        let mut codes: Vec<String> = lists
            .into_iter()
            .flatten()
            .filter_map(Value::as_array)
            .flatten()
            .filter_map(|problem| Some(problem.get("code")?.as_str()?.to_owned()))
            .collect();
        if codes.is_empty() {
            codes.extend(self.reason());
        }
        codes.sort();
        codes.dedup();
        codes
    }
}

/// The first reason code in a text: `error[CODE]`.
pub fn reason_in(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("error[")?;
    let (code, _) = rest.split_once(']')?;
    Some(code.to_owned())
}

/// All files below a directory, relative to it, in order.
///
/// # Errors
/// When a directory cannot be read.
pub fn files_below(root: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory).during(format!("list `{}`", directory.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                waiting.push(path);
            } else if let Ok(relative) = path.strip_prefix(root) {
                files.push(relative.to_owned());
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Copies files and directories, with the modes of the files.
fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).during(format!("make `{}`", to.display()))?;
    for entry in fs::read_dir(from).during(format!("list `{}`", from.display()))? {
        let path = entry?.path();
        let target = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            copy_tree(&path, &target)?;
        } else {
            fs::copy(&path, &target).during(format!("copy `{}`", path.display()))?;
        }
    }
    Ok(())
}

/// Removes a file that may be there.
///
/// # Errors
/// When it is there and cannot be removed.
pub fn remove_if_there(file: &Path) -> Result<()> {
    match file.exists() {
        true => fs::remove_file(file).during(format!("remove `{}`", file.display())),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(stdout: &str, stderr: &str) -> Ran {
        Ran { code: 9, stdout: stdout.to_owned(), stderr: stderr.to_owned() }
    }

    #[test]
    fn reasons_and_receipts_are_read_from_what_a_command_prints() {
        assert_eq!(ran("", "x\nerror[DISK_FULL]: no room").reason().as_deref(), Some("DISK_FULL"));
        assert_eq!(ran("", "all is well").reason(), None);
        let leaf = Digest::of(b"leaf");
        let receipt = format!(r#"{{"logged":{{"index":7,"leaf":"{leaf}","checkpoint":"note"}}}}"#);
        assert_eq!(ran(&receipt, "").logged(), Some((7, leaf)));
        assert_eq!(ran(&receipt, "").checkpoint().as_deref(), Some("note"));
        assert_eq!(ran("{}", "").logged(), None);
    }

    #[test]
    fn problems_of_both_logs_count() {
        let report = r#"{"problems":[{"code":"B"},{"code":"A"}],"access":{"problems":[{"code":"C"},{"code":"A"}]}}"#;
        assert_eq!(ran(report, "error[AUDIT_FAILED]: x").problems(), ["A", "B", "C"]);
        assert_eq!(ran("", "error[STORE_CORRUPT]: x").problems(), ["STORE_CORRUPT"]);
    }
}
