//! Commands: what whole processes cost, beside the cheapest process and a well-known verifier.

use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use lockgate_model::ReleaseName;
use lockgate_sign::ssh_signer::{FileSigner, SshSigner as _};

use super::report::Row;
use super::samples::median;
use crate::failure::{During as _, Failure, Result};
use crate::identity;
use crate::random::Random;
use crate::requests::{Request, junit, upload};

/// How large the verified file is, in bytes.
const FILE_BYTES: usize = 10 * 1024;
/// The SSHSIG namespace and name of the signature that `ssh-keygen` checks.
const NAMESPACE: &str = "file";
const SIGNER: &str = "bench";

/// A small file with a bundle of Lockgate's and a signature of SSH's.
#[derive(Debug)]
pub struct Commands {
    binary: PathBuf,
    home: PathBuf,
    file: PathBuf,
    bundle: PathBuf,
    allowed_signers: PathBuf,
    signature: PathBuf,
}

impl Commands {
    /// Publishes a small file, has it let into dev, and fetches the proof; and signs it with an SSH key.
    ///
    /// # Errors
    /// When the server refuses, or does not grant it.
    pub fn prepare(binary: &Path, home: &Path, url: &str, folder: &Path) -> Result<Self> {
        let bytes = Random::new(9).bytes(FILE_BYTES);
        let path = |name: &str| folder.join(name);
        let commands = Self {
            binary: binary.to_owned(),
            home: home.to_owned(),
            file: path("small.bin"),
            bundle: path("small.bundle.json"),
            allowed_signers: path("allowed_signers"),
            signature: path("small.bin.sig"),
        };
        fs::write(&commands.file, &bytes)?;
        fs::write(&commands.bundle, bundle(url, home, &bytes)?)?;
        let signer = FileSigner::generate_ed25519(SIGNER)?;
        fs::write(&commands.allowed_signers, format!("{SIGNER} {}\n", signer.public_key()))?;
        // `ssh-keygen` reads nothing that others may write.
        fs::set_permissions(&commands.allowed_signers, Permissions::from_mode(0o600))?;
        let signature = signer.sign(NAMESPACE, &bytes)?.to_armored();
        File::create(&commands.signature)?.write_all(signature.as_bytes())?;
        Ok(commands)
    }

    /// Runs each command once a round and compares the medians.
    ///
    /// # Errors
    /// When one of them fails.
    pub fn measure(&self, rounds: usize) -> Result<Vec<Row>> {
        let mut samples: [Vec<f64>; 4] = Default::default();
        for round in 0..=rounds {
            let times = [
                time_ms(&mut Command::new("true"))?,
                time_ms(&mut self.ssh_keygen()?)?,
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

    fn verify(&self) -> Command {
        let mut command = Command::new(&self.binary);
        command.arg("verify").arg(&self.file).args(["--service", "bench/small", "--env", "dev", "--bundle"]);
        command.arg(&self.bundle).env("LOCKGATE_HOME", &self.home);
        command
    }

    fn ssh_keygen(&self) -> Result<Command> {
        let mut command = Command::new("ssh-keygen");
        command.args(["-Y", "verify", "-I", SIGNER, "-n", NAMESPACE, "-f"]).arg(&self.allowed_signers);
        command.arg("-s").arg(&self.signature).stdin(File::open(&self.file)?);
        Ok(command)
    }
}

/// The bundle of a grant of these bytes into dev.
fn bundle(url: &str, home: &Path, bytes: &[u8]) -> Result<Vec<u8>> {
    let [name, _] = identity::NAMES;
    let client = identity::client_as(url, home, name)?;
    let release: ReleaseName = "bench/small@1.0.0".parse()?;
    let stored = upload(&client, bytes)?;
    Request::publish(&release, &stored).send(&client, "bench-small-publish")?;
    Request::attest(&release, &junit("small")).send(&client, "bench-small-attest")?;
    let reply = Request::promote(&release)?.send(&client, "bench-small-promote")?;
    match reply.granted() {
        Some(promotion) => client.get_bytes(&format!("/v1/promotions/{promotion}/bundle")).during("fetch the bundle"),
        None => Err(Failure::new(format!("the small release was not granted: {reply:?}"))),
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
