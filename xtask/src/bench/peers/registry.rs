//! The registry: Debian's `docker-registry`, with its files in a folder of this machine.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::is_installed;
use crate::deadline::wait_until;
use crate::failure::{During as _, Failure, Result};

/// How long a start may take.
const LIMIT: Duration = Duration::from_secs(30);
const STEP: Duration = Duration::from_millis(20);

/// A running registry. Dropping it kills it.
#[derive(Debug)]
pub struct Registry {
    server: Child,
    url: String,
}

impl Registry {
    /// Starts an empty one; absent where it or `curl` is not installed.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(folder: &Path) -> Result<Option<Self>> {
        if !["docker-registry", "curl", "sha256sum"].into_iter().all(is_installed) {
            return Ok(None);
        }
        fs::create_dir_all(folder).during("make the folder of the registry")?;
        // Free until it is taken again at once.
        let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        let configuration = folder.join("config.yml");
        let storage = folder.join("data");
        fs::write(
            &configuration,
            format!(
                "version: 0.1\nlog: {{ level: error, accesslog: {{ disabled: true }} }}\n\
                 storage: {{ filesystem: {{ rootdirectory: '{}' }} }}\nhttp: {{ addr: '{address}' }}\n",
                storage.display()
            ),
        )?;
        let log = fs::File::create(folder.join("registry.log"))?;
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&configuration).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let registry =
            Self { server: command.spawn().during("start docker-registry")?, url: format!("http://{address}") };
        let asked = format!("{}/v2/", registry.url);
        wait_until("docker-registry", LIMIT, STEP, || {
            let mut command = Command::new("curl");
            Ok(curl(command.args(["-sf", "-o", "/dev/null", &asked])).is_ok().then_some(()))
        })?;
        Ok(Some(registry))
    }

    /// Uploads a file as one blob; the seconds of both requests. Its digest is computed before.
    ///
    /// # Errors
    /// When it is refused.
    pub fn push(&self, file: &Path) -> Result<f64> {
        let output = Command::new("sha256sum").arg(file).output()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let digest = said.split_whitespace().next().unwrap_or_default();
        let begun = Instant::now();
        let uploads = format!("{}/v2/bench/blobs/uploads/", self.url);
        let heads = curl(Command::new("curl").args(["-sf", "-X", "POST", "-D", "-", "-o", "/dev/null", &uploads]))?;
        let location = heads.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("location").then(|| value.trim().to_owned())
        });
        let location = location.ok_or_else(|| Failure::new(format!("docker-registry names no upload: {heads}")))?;
        let mark = if location.contains('?') { '&' } else { '?' };
        let mut put = Command::new("curl");
        put.args(["-sf", "-H", "Content-Type: application/octet-stream", "-H", "Expect:", "-T"]).arg(file);
        curl(put.arg(format!("{location}{mark}digest=sha256:{digest}")))?;
        Ok(begun.elapsed().as_secs_f64())
    }

    /// Its resident memory, in KiB.
    ///
    /// # Errors
    /// When it is gone.
    pub fn memory_kib(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.server.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        number.ok_or_else(|| Failure::new("docker-registry's status has no `VmRSS`"))
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // One that has ended already needs nothing.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn curl(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().during("start curl")?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(Failure::new(format!("{command:?} ended with {}", output.status))),
    }
}
