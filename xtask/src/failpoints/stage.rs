//! The stage: one instance that is made once, and put back as it was before each play.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use lockgate_api::Client;
use lockgate_api::wire::ServerInfo;
use lockgate_policy::PolicySet;
use lockgate_sign::note::VerifierKey;
use lockgate_sign::ssh_signer::{FileSigner, SshSigner as _};

use super::victim::Fault;
use crate::failure::{During as _, Failure, Result};
use crate::server::{Server, log_file};
use crate::workspace;

/// What the story hands in.
const FILES: &[&str] = &["junit.xml", "sbom.cdx.json", "trivy.json", "trivy-critical.json", "kev.json"];
/// The artifacts of the story.
const ARTIFACTS: &[&str] = &["app-1.0.0", "app-1.1.0", "app-1.2.0"];
/// Keys that the stories bring in.
const KEYS: &[&str] = &["extra.key", "eve.key", "ada.key", "kim.key", "kim2.key", "kim3.key"];
/// Who asks to be let in, into which group; nobody is in before a story says so.
const REQUESTS: &[(&str, &str)] = &[("eve", "approvers"), ("ada", "auditors"), ("kim", "owners")];
/// The one line that differs in the second policy set.
const OTHER_POLICY: (&str, &str) = ("approval_ttl = \"72h\"", "approval_ttl = \"24h\"");

/// Where plays take place.
#[derive(Debug)]
pub struct Stage {
    /// The binary with its faults.
    pub binary: PathBuf,
    /// Where the server listens, in every play.
    pub address: String,
    /// What its receipts are checked with.
    pub log_key: VerifierKey,
    /// The fingerprint of the key that the story adds and ends.
    pub extra_key: String,
    scratch: PathBuf,
}

impl Stage {
    /// Makes a demo instance, lets its people sign in once, and keeps it as it is then.
    ///
    /// # Errors
    /// When the instance cannot be made.
    pub fn set(binary: PathBuf, scratch: &Path) -> Result<Self> {
        let (home, work) = (scratch.join("home"), scratch.join("work"));
        fs::create_dir_all(&home).during("make the home")?;
        prepare(&work)?;
        let server = Server::demo(&binary, &home)?;
        let info: ServerInfo = Client::new(server.url(), None).get("/v1/server")?;
        let mut stage = Self {
            binary,
            address: server.address().to_owned(),
            log_key: info.log_key.parse::<VerifierKey>().during("the log's key")?,
            extra_key: String::new(),
            scratch: scratch.to_owned(),
        };
        for &key in KEYS {
            stage.expect(&["key", "generate", key])?;
        }
        for &(name, group) in REQUESTS {
            let (key, file) = (format!("{name}.key"), format!("{name}.json"));
            stage.expect(&["key", "enrol", name, "--group", group, "--key", &key, "--file", &file])?;
        }
        for name in ["sam", "dana", "ci"] {
            stage.expect(&["whoami", "--as", name])?;
        }
        stage.extra_key = FileSigner::load(&work.join("extra.key"))?.public_key().fingerprint();
        server.stop()?;
        fs::rename(&home, stage.template()).during("keep the instance")?;
        Ok(stage)
    }

    /// The home of the play that is on.
    pub fn home(&self) -> PathBuf {
        self.scratch.join("home")
    }

    /// The folder of its journal.
    pub fn journals(&self) -> PathBuf {
        self.scratch.join("journals")
    }

    /// The home as it is before each play.
    pub fn template(&self) -> PathBuf {
        self.scratch.join("template")
    }

    /// Puts everything back as it was.
    ///
    /// # Errors
    /// When it cannot be copied.
    pub fn fresh(&self) -> Result<()> {
        let home = self.home();
        for folder in [&home, &self.journals()] {
            if folder.exists() {
                fs::remove_dir_all(folder).during("clear the stage")?;
            }
        }
        remove_log(&home)?;
        fs::create_dir_all(self.journals()).during("make the folder of the journal")?;
        copy_folder(&self.template(), &home)
    }

    /// An empty home for a first start.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn empty(&self) -> Result<PathBuf> {
        let home = self.scratch.join("first");
        if home.exists() {
            fs::remove_dir_all(&home).during("clear the home of a first start")?;
        }
        remove_log(&home)?;
        fs::create_dir_all(&home).during("make the home of a first start")?;
        Ok(home)
    }

    /// What the servers of this play have said.
    pub fn log(&self) -> String {
        self.log_from(0)
    }

    /// What they have said from a place on, in bytes.
    pub fn log_from(&self, from: usize) -> String {
        let bytes = fs::read(log_file(&self.home())).unwrap_or_default();
        String::from_utf8_lossy(bytes.get(from..).unwrap_or_default()).into_owned()
    }

    /// How much they have said, in bytes; nothing where none has said anything yet.
    pub fn log_size(&self) -> usize {
        let size = fs::metadata(log_file(&self.home())).map(|file| file.len()).unwrap_or_default();
        usize::try_from(size).unwrap_or(usize::MAX)
    }

    /// Keeps what a failed play left, for someone to look at.
    pub fn keep(&self, name: &str) {
        for home in [self.home(), self.scratch.join("first")] {
            // What is not there was not played.
            let _ = fs::rename(log_file(&home), self.scratch.join(format!("failed-{name}.log")));
            let _ = fs::rename(&home, self.scratch.join(format!("failed-{name}")));
        }
    }

    /// Marks both logs as a failed flush does.
    ///
    /// # Errors
    /// When the marks cannot be written.
    pub fn suspect(&self) -> Result<()> {
        let boot =
            fs::read_to_string("/proc/sys/kernel/random/boot_id").during("read which start of the host this is")?;
        self.marks().iter().try_for_each(|mark| fs::write(mark, boot.trim()).during("mark a log"))
    }

    /// Whether one of the logs is marked.
    pub fn is_suspect(&self) -> bool {
        self.marks().iter().any(|mark| mark.exists())
    }

    fn marks(&self) -> [PathBuf; 2] {
        let data = self.home().join("data");
        [data.join("access").join("SUSPECT"), data.join("SUSPECT")]
    }

    /// Rechecks both logs, with a fault.
    ///
    /// # Errors
    /// When the program does not start.
    pub fn doctor(&self, fault: &Fault) -> Result<Output> {
        let mut command = self.command(&["doctor", "--recheck"]);
        command.env("LOCKGATE_FAULT", &fault.variable);
        command.output().during("start a recheck")
    }

    /// Runs a command of the program to its end, as one of the demo's people would.
    ///
    /// # Errors
    /// When it does not start.
    pub fn lockgate<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<Output> {
        self.command(arguments).output().during(format!("start `{}`", self.binary.display()))
    }

    fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(arguments).env("LOCKGATE_HOME", self.home()).env_remove("LOCKGATE_FAULT");
        command.env_remove("SSH_AUTH_SOCK").current_dir(self.scratch.join("work")).stdin(Stdio::null());
        command
    }

    fn expect(&self, arguments: &[&str]) -> Result<()> {
        let output = self.lockgate(arguments)?;
        match output.status.success() {
            true => Ok(()),
            false => {
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                Err(Failure::new(format!("`lockgate {}` ended with {}: {said}", arguments.join(" "), output.status)))
            }
        }
    }
}

/// Writes what the story hands in.
fn prepare(work: &Path) -> Result<()> {
    fs::create_dir_all(work).during("make the folder of the story")?;
    let samples = workspace::root().join("crates/evidence/testdata");
    for file in FILES {
        fs::copy(samples.join(file), work.join(file)).during(format!("copy `{file}`"))?;
    }
    for artifact in ARTIFACTS {
        fs::write(work.join(artifact), format!("the bytes of {artifact}")).during(format!("write `{artifact}`"))?;
    }
    let files = PolicySet::starter("starter").ok_or_else(|| Failure::new("there is no starter policy set"))?;
    let mut changed = 0;
    for (path, text) in files {
        let file = work.join("second").join(&path);
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder).during("make the folder of a policy set")?;
        }
        changed += text.matches(OTHER_POLICY.0).count();
        fs::write(&file, text.replace(OTHER_POLICY.0, OTHER_POLICY.1)).during(format!("write `{path}`"))?;
    }
    match changed {
        1 => Ok(()),
        _ => Err(Failure::new(format!("`{}` stands {changed} times in the starter policy set", OTHER_POLICY.0))),
    }
}

fn remove_log(home: &Path) -> Result<()> {
    let log = log_file(home);
    match log.exists() {
        true => fs::remove_file(&log).during("clear the log"),
        false => Ok(()),
    }
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).during(format!("make `{}`", to.display()))?;
    for entry in fs::read_dir(from).during(format!("list `{}`", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy_folder(&entry.path(), &target)?,
            false => {
                fs::copy(entry.path(), &target).during(format!("copy to `{}`", target.display()))?;
            }
        }
    }
    Ok(())
}
