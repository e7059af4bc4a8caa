//! A real server: the built binary, as a child process with a home of its own.

mod end;

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use lockgate_api::Client;
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

use crate::deadline::wait_until;
use crate::failure::{During as _, Failure, Result};
use crate::identity;

pub use self::end::{End, panic_in};

/// How long a start may take.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long a stop may take, running requests included.
const STOP_LIMIT: Duration = Duration::from_secs(30);
/// How often a start or a stop is looked at.
const STEP: Duration = Duration::from_millis(5);
/// How long another may hold the port of a server that is started again, and how often that is looked at.
const PORT_LIMIT: Duration = Duration::from_secs(10);
const PORT_STEP: Duration = Duration::from_millis(50);
/// What the program says then.
const PORT_TAKEN: &str = "error[PORT_TAKEN]";
/// Where a server says where it listens, in its home.
const ANNOUNCEMENT: &str = "server.json";
/// How much of the server's log a failure shows, in lines.
const LOG_LINES: usize = 20;

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub struct Server {
    child: Child,
    home: PathBuf,
    running: Running,
    /// Where its own words begin in the log of its home, in bytes.
    log_from: u64,
}

/// What the server writes to `server.json`; only what is used here.
#[derive(Debug, Default, Deserialize)]
struct Running {
    pid: u32,
    url: String,
}

impl Server {
    /// Makes a demo instance with `lockgate up --demo` in an empty home, and starts its server on a free port.
    ///
    /// # Errors
    /// When the binary does not start, or the demo people cannot sign in in time.
    pub fn demo(binary: &Path, home: &Path) -> Result<Self> {
        Self::demo_with(binary, home, &[])
    }

    /// The same with more arguments for `up`.
    ///
    /// # Errors
    /// As [`Server::demo`].
    pub fn demo_with(binary: &Path, home: &Path, more: &[&str]) -> Result<Self> {
        let up = ["up", "--demo", "--listen", "127.0.0.1:0"];
        let setting_up = Self::spawn(binary, home, &[up.as_slice(), more].concat())?;
        identity::wait_for_people(setting_up.url(), home)?;
        let address = setting_up.address().to_owned();
        // Whoever sets up may not have said everything yet, and says then that the server is gone.
        match setting_up.end()?.defect() {
            None => Self::serve(binary, home, &address),
            Some(defect) => Err(Failure::new(format!("`lockgate up`: {defect}"))),
        }
    }

    /// Starts the server of an instance that exists already; `listen` is an address and a port.
    ///
    /// # Errors
    /// When it ends, or is not healthy in time; the end of its log comes with it.
    pub fn serve(binary: &Path, home: &Path, listen: &str) -> Result<Self> {
        Self::spawn(binary, home, &serving(listen))
    }

    /// The same, and does not wait for anything: for whoever kills it on its way.
    ///
    /// # Errors
    /// When the binary does not start.
    pub fn set_off(binary: &Path, home: &Path, listen: &str) -> Result<Self> {
        Self::launch(binary, home, &serving(listen), &[])
    }

    fn spawn(binary: &Path, home: &Path, arguments: &[&str]) -> Result<Self> {
        Self::start(binary, home, arguments, &[])
    }

    /// Starts the binary with these arguments, which make it serve, and more variables in its environment.
    ///
    /// # Errors
    /// As [`Server::serve`].
    pub fn start(binary: &Path, home: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Result<Self> {
        let mut server = Self::launch(binary, home, arguments, environment)?;
        server.wait_until_healthy()?;
        Ok(server)
    }

    fn launch(binary: &Path, home: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Result<Self> {
        // What an earlier server wrote must not be taken for this one's.
        let announcement = home.join(ANNOUNCEMENT);
        if announcement.exists() {
            fs::remove_file(&announcement).during("remove the earlier server's address")?;
        }
        let log = OpenOptions::new().create(true).append(true).open(log_file(home)).during("open the server's log")?;
        let log_from = log.metadata().during("inspect the server's log")?.len();
        let child = Command::new(binary)
            .args(arguments)
            .env("LOCKGATE_HOME", home)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .during(format!("start `{}`", binary.display()))?;
        Ok(Self { child, home: home.to_owned(), running: Running::default(), log_from })
    }

    fn wait_until_healthy(&mut self) -> Result<()> {
        let Self { child, home, running, log_from } = self;
        let announcement = home.join(ANNOUNCEMENT);
        wait_until("a healthy server", START_LIMIT, STEP, || {
            if let Some(status) = child.try_wait()? {
                let log = tail(&said(home, *log_from));
                return Err(Failure::new(format!("the server ended with {status}; its log ends with:\n{log}")));
            }
            let Ok(bytes) = fs::read(&announcement) else { return Ok(None) };
            let Ok(announced) = serde_json::from_slice::<Running>(&bytes) else { return Ok(None) };
            // Known from here on, so that it is killed even when it never gets healthy.
            *running = announced;
            Ok(Client::new(&running.url, None).get_bytes("/healthz").is_ok().then_some(()))
        })
    }

    /// Its URL, such as `http://127.0.0.1:7430`.
    pub fn url(&self) -> &str {
        &self.running.url
    }

    /// Its address and port, to start it again in the same place.
    pub fn address(&self) -> &str {
        self.running.url.trim_start_matches("http://").trim_end_matches('/')
    }

    /// The serving process.
    pub fn process(&self) -> u32 {
        self.running.pid
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.status()?.is_none())
    }

    /// How its process ended, if it has ended.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn status(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().during("look at the server")
    }

    /// One figure of `/proc/<pid>/status` in KiB, such as `VmRSS`.
    ///
    /// # Errors
    /// When the process is gone or has no such figure.
    pub fn memory_kib(&self, figure: &str) -> Result<u64> {
        let status =
            fs::read_to_string(format!("/proc/{}/status", self.running.pid)).during("read the server's memory")?;
        let line = status.lines().find_map(|line| line.strip_prefix(figure)?.strip_prefix(':'));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        number.ok_or_else(|| Failure::new(format!("the server's status has no `{figure}`")))
    }

    /// How many files it has open, sockets among them.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn open_files(&self) -> Result<usize> {
        let folder = format!("/proc/{}/fd", self.running.pid);
        Ok(fs::read_dir(folder).during("count the server's open files")?.count())
    }

    /// Whether it has ended.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.status()?.is_some())
    }

    /// Kills it with SIGKILL: it gets no chance to tidy up.
    ///
    /// # Errors
    /// When the system refuses, or the server had panicked, or ended by itself, before.
    pub fn kill(&mut self) -> Result<()> {
        // One that something else started ends together with it, in one way or another.
        let is_child = self.running.pid == self.child.id();
        if let (Some(pid), false) = (self.pid(), is_child) {
            kill_process(pid, Signal::KILL).during("kill the server")?;
        }
        self.child.kill().during("kill the server")?;
        let status = self.child.wait().during("wait for the killed server")?;
        let end = self.ended_with(status);
        match panic_in(&end.log) {
            Some(line) => Err(Failure::new(format!("the server panicked before it was killed: {line}"))),
            None if is_child && !end.is_killed() => {
                Err(Failure::new(format!("the server ended by itself before it was killed: {status}")))
            }
            None => Ok(()),
        }
    }

    /// Kills with SIGKILL one that was only set off; says whether it had announced itself by then. It may have ended by
    /// itself before: how it ended, and what it said, is given too.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn kill_on_the_way(mut self) -> Result<(End, bool)> {
        let announced = self.home.join(ANNOUNCEMENT).exists();
        self.child.kill().during("kill the server")?;
        let status = self.child.wait().during("wait for the killed server")?;
        Ok((self.ended_with(status), announced))
    }

    /// Asks it to stop, waits until it has, and sees that it did so in order.
    ///
    /// # Errors
    /// When it does not stop in time, and is killed then; or ends in any other way than in order, or had panicked.
    pub fn stop(self) -> Result<()> {
        match self.end()?.problem() {
            None => Ok(()),
            Some(problem) => Err(Failure::new(problem)),
        }
    }

    /// Asks it to stop, waits until it has, and gives how: for whoever has broken something under it.
    ///
    /// # Errors
    /// When it does not stop in time; it is killed then.
    pub fn end(mut self) -> Result<End> {
        if let Some(pid) = self.pid() {
            kill_process(pid, Signal::TERM).during("stop the server")?;
        }
        let child = &mut self.child;
        let status = wait_until("the server's end", STOP_LIMIT, STEP, || Ok(child.try_wait()?))?;
        Ok(self.ended_with(status))
    }

    fn ended_with(&self, status: ExitStatus) -> End {
        End { status, log: said(&self.home, self.log_from) }
    }

    /// The serving process: the child itself, or one that it started.
    fn pid(&self) -> Option<Pid> {
        i32::try_from(self.running.pid).ok().and_then(Pid::from_raw)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A child that has ended already needs nothing.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.kill();
        }
    }
}

/// The arguments of a server that listens there. The load comes from one address and one person: what is measured is the
/// server, not its rate limits.
fn serving(listen: &str) -> [&str; 7] {
    ["serve", "--listen", listen, "--signed-in-rate", "1000000", "--anonymous-rate", "1000000"]
}

/// Where the output of the servers of a home goes.
pub fn log_file(home: &Path) -> PathBuf {
    home.with_extension("log")
}

/// Starts a server in the place of one that has just ended. Its port may be taken for a moment, by a client that looks
/// for it there: that alone is waited for. Says too how often the start was tried again.
///
/// # Errors
/// When the port stays taken, or the start fails for any other reason.
pub fn in_place<T>(mut start: impl FnMut() -> Result<T>) -> Result<(T, usize)> {
    let mut retries = 0;
    let started = wait_until("a free port", PORT_LIMIT, PORT_STEP, || match start() {
        Err(failure) if failure.to_string().contains(PORT_TAKEN) => {
            retries += 1;
            Ok(None)
        }
        outcome => outcome.map(Some),
    })?;
    Ok((started, retries))
}

/// What was said in the log of a home from a place on; nothing where there is no log.
fn said(home: &Path, from: u64) -> String {
    let mut bytes = Vec::new();
    // What came before may be the words of thousands of servers, and is not read again for each.
    let read = File::open(log_file(home)).and_then(|mut log| {
        log.seek(SeekFrom::Start(from))?;
        log.read_to_end(&mut bytes)
    });
    match read {
        Ok(_) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(_) => String::new(),
    }
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let shown: Vec<&str> = lines.into_iter().rev().take(LOG_LINES).collect();
    shown.into_iter().rev().collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn only_a_taken_port_is_waited_for() {
        let mut answers = vec![Ok(7), Err("error[PORT_TAKEN]: x"), Err("error[PORT_TAKEN]: x")];
        let next = || answers.pop().unwrap_or(Err("asked too often")).map_err(Failure::new);
        assert_eq!(in_place(next).unwrap(), (7, 2));
        let mut asked = 0;
        let refused = in_place(|| -> Result<()> {
            asked += 1;
            Err(Failure::new("the server ended with exit status: 9; its log ends with:\nerror[STORE_CORRUPT]: x"))
        });
        assert!(refused.is_err() && asked == 1);
    }

    #[test]
    fn the_words_of_an_earlier_server_are_not_this_ones() {
        let scratch = Scratch::new("server-test").unwrap();
        let home = scratch.path().join("home");
        fs::write(log_file(&home), "error[PORT_TAKEN]: x\nlistening\n").unwrap();
        assert_eq!(said(&home, 21), "listening\n");
        assert_eq!(said(&home, 99), "");
        assert_eq!(said(&scratch.path().join("nowhere"), 0), "");
    }
}
