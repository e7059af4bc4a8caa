//! The stage: a server, and the home and working directory of somebody who works with it, made anew for each command.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::judge::Judge;
use super::lines::REFUSED;
use super::process::{self, Ran};
use super::trial::Trial;
use crate::failure::{During as _, Failure, Result};
use crate::faults::ground::{Ground, remove_if_there};
use crate::server::Server;
use crate::workspace;

/// How long a command may take, in a debug build on a busy machine: a server that is overloaded is asked again.
const LIMIT: Duration = Duration::from_secs(20);
/// Where programs are found: `gpgv` is the only one that is run.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// The directory of the user, and the home in it, below the folder of the run.
const USER: &str = "cli-user";
const HOME: &str = "cli-user/.lockgate";
/// The working directory, so deep that nothing is found, or written, by climbing out of it a few times.
const OUTSIDE: &str = "cli-work";
const WORK: &str = "cli-work/1/2/3/4/5/6";
/// Reports that commands hand in, beside those that are there already.
const SAMPLES: [&str; 2] = ["gitleaks.json", "kev.json"];
/// What is there already, and larger than all else.
const LARGE: &str = "app-1.5.0.bin";
/// What fills the working directory, once.
const EQUIPMENT: [&str; 5] = [
    "key generate key",
    "key enrol newcomer --group developers --key key --file enrolment.json",
    "trust export --to pins",
    "access export access.log --as sam",
    "bundle extract staging.bundle --to parts",
];
/// What the last of it makes.
const LAST: &str = "parts";
/// What fills the home: sessions, a checkpoint, and what was verified.
const FILLING: [&str; 4] =
    ["whoami", "whoami --as sam", "whoami --as ci", "verify app-1.4.2.bin --service shop/web --env staging"];
/// How what is refused ends: the file is not what was granted.
const DENIED: i32 = 3;

/// A running server, and a home that knows it.
#[derive(Debug)]
pub struct Stage<'a> {
    ground: &'a Ground,
    server: Server,
    /// The home that is copied for each command.
    home: PathBuf,
    judge: Judge,
}

impl<'a> Stage<'a> {
    /// Starts a server on a copy of the instance, and lets real commands fill a home.
    ///
    /// # Errors
    /// When any of that does not end as it should.
    pub fn set(ground: &'a Ground) -> Result<Self> {
        let server = ground.serve(&ground.copy(&ground.ready, "cli-server")?)?;
        if !ground.work().join(LAST).exists() {
            equip(ground, server.url())?;
        }
        let home = ground.copy(&ground.ready, "cli-home")?;
        point(&home, server.url())?;
        for line in FILLING {
            ground.must(&home, None, &split(line), 0)?;
        }
        ground.must(&home, None, &split(REFUSED), DENIED)?;
        let judge = Judge::of(&home)?;
        match judge.secrets() {
            0 => Err(Failure::new("the home holds no secret that could be told")),
            _ => Ok(Self { ground, server, home, judge }),
        }
    }

    /// Gives the next command a home and a working directory as they were, and says where the home is.
    ///
    /// # Errors
    /// When they cannot be copied.
    pub fn freshen(&self) -> Result<PathBuf> {
        let Self { ground, home, .. } = self;
        for folder in [USER, OUTSIDE] {
            ground.forget(&ground.scratch.join(folder))?;
        }
        ground.copy(&ground.work(), WORK)?;
        ground.copy(home, HOME)
    }

    /// Runs a command to its end.
    ///
    /// # Errors
    /// When it does not start.
    pub fn run(&self, trial: &Trial) -> Result<Ran> {
        let scratch = &self.ground.scratch;
        let mut command = Command::new(&self.ground.binary);
        command
            .args(trial.arguments().map(OsStr::from_bytes))
            .env_clear()
            .env("PATH", PATH)
            .env("HOME", scratch.join(USER))
            .current_dir(scratch.join(WORK));
        process::run(&mut command, scratch, LIMIT).during(trial)
    }

    /// What is wrong with how a command ended, if anything is.
    pub fn wrong(&self, trial: &Trial, ran: &Ran) -> Option<String> {
        self.judge.wrong(trial, ran)
    }

    /// Stops the server, and says what is wrong with it, if anything is.
    ///
    /// # Errors
    /// When it does not stop.
    pub fn end(self) -> Result<Option<String>> {
        Ok(self.server.end()?.problem())
    }
}

/// Fills the working directory with what commands are given.
fn equip(ground: &Ground, url: &str) -> Result<()> {
    for name in SAMPLES {
        let from = workspace::root().join("crates/evidence/testdata").join(name);
        fs::copy(&from, ground.work().join(name)).during(format!("copy `{}`", from.display()))?;
    }
    remove_if_there(&ground.work().join(LARGE))?;
    for line in EQUIPMENT {
        ground.must(&ground.ready, Some(url), &split(line), 0)?;
    }
    Ok(())
}

/// Makes a home know the server at an address, in place of the one before.
fn point(home: &Path, url: &str) -> Result<()> {
    let file = home.join("context.toml");
    let text = fs::read_to_string(&file).during("read the context")?;
    let line = |line: &str| match line.starts_with("server = ") {
        true => format!("server = \"{url}\"\n"),
        false => format!("{line}\n"),
    };
    fs::write(&file, text.lines().map(line).collect::<String>()).during("write the context")
}

fn split(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}
