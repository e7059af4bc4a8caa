//! Commands: what whole processes cost, beside the cheapest process and a well-known verifier.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use lockgate_model::ReleaseName;

use super::peers::verifiers;
use super::report::Row;
use super::samples::median;
use crate::failure::{During as _, Failure, Result};
use crate::identity;
use crate::random::Random;
use crate::requests::{Request, junit, upload};

/// A file with a bundle of Lockgate's.
#[derive(Debug)]
pub struct Commands {
    binary: PathBuf,
    home: PathBuf,
    file: PathBuf,
    bundle: PathBuf,
    service: String,
}

impl Commands {
    /// Publishes a file of so many bytes, has it let into dev, and fetches the proof.
    ///
    /// # Errors
    /// When the server refuses, or does not grant it.
    pub fn prepare(binary: &Path, home: &Path, url: &str, folder: &Path, size: usize) -> Result<Self> {
        let bytes = Random::new(9).bytes(size);
        let commands = Self {
            binary: binary.to_owned(),
            home: home.to_owned(),
            file: folder.join(format!("verified-{size}.bin")),
            bundle: folder.join(format!("verified-{size}.bundle.json")),
            service: format!("bench/verified-{size}"),
        };
        fs::write(&commands.file, &bytes)?;
        fs::write(&commands.bundle, bundle(url, home, &commands.service, &bytes)?)?;
        Ok(commands)
    }

    /// The file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Runs each command once a round and compares the medians.
    ///
    /// # Errors
    /// When one of them fails.
    pub fn measure(&self, rounds: usize) -> Result<Vec<Row>> {
        let folder = self.file.parent().unwrap_or(&self.file);
        let ssh_keygen = verifiers::ssh_keygen(folder, &self.file)?;
        let mut samples: [Vec<f64>; 4] = Default::default();
        for round in 0..=rounds {
            let times = [
                time_ms(&mut Command::new("true"))?,
                time_ms(&mut ssh_keygen.command()?)?,
                time_ms(&mut self.verify())?,
                time_ms(Command::new(&self.binary).arg("--version").env("LOCKGATE_HOME", &self.home))?,
            ];
            for (samples, time) in samples.iter_mut().zip(times) {
                if round > 0 {
                    samples.push(time);
                }
            }
        }
        let [spawn, ssh_keygen, verify, version] = samples.map(|samples| median(&samples));
        let what = "`lockgate verify --bundle` of 10 KiB, whole process, offline";
        Ok(vec![
            Row::figure("limit: start and end of `true`", spawn, "ms"),
            Row::figure("limit: `ssh-keygen -Y verify` of 10 KiB, whole process", ssh_keygen, "ms"),
            Row::at_most(what, verify / ssh_keygen, verify, 3.0, "3 × `ssh-keygen -Y verify`", "ms"),
            Row::at_most("`lockgate --version`, whole process", version, version, 10.0, "10 ms", "ms"),
        ])
    }

    /// Verifies the file with the bundle, offline.
    pub fn verify(&self) -> Command {
        let mut command = Command::new(&self.binary);
        command.arg("verify").arg(&self.file).args(["--service", &self.service, "--env", "dev", "--bundle"]);
        command.arg(&self.bundle).env("LOCKGATE_HOME", &self.home);
        command
    }
}

/// The bundle of a grant of these bytes into dev.
fn bundle(url: &str, home: &Path, service: &str, bytes: &[u8]) -> Result<Vec<u8>> {
    let [name, _] = identity::NAMES;
    let client = identity::client_as(url, home, name)?;
    let release: ReleaseName = format!("{service}@1.0.0").parse()?;
    let stored = upload(&client, bytes)?;
    Request::publish(&release, &stored).send(&client, &format!("{service}-publish"))?;
    Request::attest(&release, &junit(service)).send(&client, &format!("{service}-attest"))?;
    let reply = Request::promote(&release)?.send(&client, &format!("{service}-promote"))?;
    match reply.granted() {
        Some(promotion) => client.get_bytes(&format!("/v1/promotions/{promotion}/bundle")).during("fetch the bundle"),
        None => Err(Failure::new(format!("{release} was not granted: {reply:?}"))),
    }
}

/// Runs a command to its end and returns how long that took, in milliseconds; it reads nothing unless it was given a file.
///
/// # Errors
/// When it does not start, or does not exit with 0; what it said comes with it.
pub fn time_ms(command: &mut Command) -> Result<f64> {
    let started = Instant::now();
    let output = command.stdout(Stdio::null()).stderr(Stdio::piped()).output();
    let elapsed = started.elapsed();
    let program = command.get_program().to_string_lossy().into_owned();
    let output = output.during(format!("start `{program}`"))?;
    match output.status.success() {
        true => Ok(elapsed.as_secs_f64() * 1000.0),
        false => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            Err(Failure::new(format!("`{program}` ended with {}: {said}", output.status)))
        }
    }
}
