//! Processes: a command that is run to its end, or killed when that does not come.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::deadline::wait_until;
use crate::failure::{During as _, Result};

/// How often it is looked at.
const STEP: Duration = Duration::from_millis(2);

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// Not by itself within the time that it had.
    Late,
}

/// A process that has ended, and what it printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// How it ended.
    pub end: End,
    /// Its result.
    pub stdout: Vec<u8>,
    /// Its talk.
    pub stderr: Vec<u8>,
}

impl From<ExitStatus> for End {
    fn from(status: ExitStatus) -> Self {
        match status.code() {
            Some(code) => Self::Code(code),
            None => Self::Signal(status.signal().unwrap_or_default()),
        }
    }
}

/// Runs a command that is told nothing, with what it prints in two files of a folder; one that takes longer than it may
/// is killed.
///
/// # Errors
/// When it does not start, or its output cannot be kept.
pub fn run(command: &mut Command, folder: &Path, limit: Duration) -> Result<Ran> {
    let outputs = [folder.join("stdout"), folder.join("stderr")];
    let [stdout, stderr] = &outputs;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(File::create(stdout).during("keep what is printed")?)
        .stderr(File::create(stderr).during("keep what is said")?)
        .spawn()
        .during("start a command")?;
    let end = match wait_until("the command's end", limit, STEP, || Ok(child.try_wait()?)) {
        Ok(status) => End::from(status),
        Err(_) => {
            child.kill().during("kill a command")?;
            child.wait().during("wait for a killed command")?;
            End::Late
        }
    };
    Ok(Ran {
        end,
        stdout: fs::read(stdout).during("read what was printed")?,
        stderr: fs::read(stderr).during("read what was said")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn processes_end_in_three_ways() {
        let scratch = Scratch::new("process-test").unwrap();
        let check = |script: &str, limit: Duration, end: End, stdout: &str| {
            let ran = run(Command::new("sh").args(["-c", script]), scratch.path(), limit).unwrap();
            assert_eq!((ran.end, ran.stdout.as_slice()), (end, stdout.as_bytes()), "{script}");
        };
        let minute = Duration::from_secs(60);
        check("echo one; echo two >&2; exit 3", minute, End::Code(3), "one\n");
        check("kill -9 $$", minute, End::Signal(9), "");
        check("exec tail -f /dev/null", Duration::ZERO, End::Late, "");
    }
}
