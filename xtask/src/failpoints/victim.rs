//! The victim: the server of one play, which is killed as planned and started again, perhaps to be killed once more.

use std::process::ExitStatus;
use std::slice::Iter;
use std::time::Duration;

use lockgate_api::{ClientError, Exit};

use super::stage::Stage;
use crate::caller::Recovery;
use crate::deadline::wait_until;
use crate::failure::{Failure, Result};
use crate::server::{Server, in_place, panic_in};

/// How long a process may take to be gone.
const END_LIMIT: Duration = Duration::from_secs(20);
/// How often something is looked at.
const STEP: Duration = Duration::from_millis(5);
/// The places whose failure stops the process.
const STOPPING: [&str; 1] = ["transaction.committed"];

/// What the server is told to do, and the words by which its log says that it did.
#[derive(Debug)]
pub struct Fault {
    /// The value of `LOCKGATE_FAULT`.
    pub variable: String,
    /// Absent where nothing happens.
    pub mark: Option<String>,
    then: Then,
}

/// What becomes of the process once its fault has come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// It goes on.
    GoesOn,
    /// It is killed.
    Dies,
    /// It stops by itself: nothing may be built on a flush that failed.
    Stops,
}

impl Then {
    /// Whether a process that ended so did what was planned.
    fn is_end(self, status: ExitStatus) -> bool {
        match self {
            Self::GoesOn => false,
            Self::Dies => status.code().is_none(),
            Self::Stops => status.code() == Some(i32::from(Exit::Unavailable.code())),
        }
    }
}

impl Fault {
    /// Only tells which places are passed.
    pub fn trace() -> Self {
        Self { variable: "trace".to_owned(), mark: None, then: Then::GoesOn }
    }

    /// Nothing happens.
    pub fn none() -> Self {
        Self { variable: String::new(), mark: None, then: Then::GoesOn }
    }

    /// Kills the server at the n-th pass of a place.
    pub fn kill(name: &str, nth: u64) -> Self {
        let mark = Some(format!("failpoint {name} kills"));
        Self { variable: format!("{name}:kill@{nth}"), mark, then: Then::Dies }
    }

    /// Lets the step behind a place fail at its n-th pass.
    pub fn error(name: &str, nth: u64) -> Self {
        let then = if STOPPING.contains(&name) { Then::Stops } else { Then::GoesOn };
        let mark = Some(format!("failpoint {name} fails"));
        Self { variable: format!("{name}:error@{nth}"), mark, then }
    }

    /// The same, counted from when an entry with this event is staged, in the thread that commits it.
    #[must_use]
    pub fn behind(self, event: &str) -> Self {
        let variable = format!("{}/{event}", self.variable);
        Self { variable, ..self }
    }

    fn ends_process(&self) -> bool {
        self.then != Then::GoesOn
    }
}

/// What came of a server with faults.
#[derive(Debug)]
pub struct Closed {
    /// Whether every fault came about.
    pub fired: bool,
    /// How often a start was tried again because the port was taken.
    pub retries: usize,
    /// Everything that is wrong, in words.
    pub problems: Vec<String>,
}

/// The lives of a server: each start gets the next fault, until there is none left.
struct Lives<'a> {
    stage: &'a Stage,
    faults: Iter<'a, Fault>,
    /// The fault of the process that runs now, or of the one that ran last.
    current: Option<&'a Fault>,
    /// Where the words of that process begin in the log.
    from: usize,
    /// How many faults of earlier processes have come about.
    fired: usize,
    /// How often a start was tried again because the port was taken.
    retries: usize,
}

impl<'a> Lives<'a> {
    /// Starts the next process; where its fault ends the start, the one after it.
    fn begin(&mut self) -> Result<Server> {
        loop {
            self.current = self.faults.next();
            self.from = self.stage.log_size();
            let variable = self.current.map_or("", |fault| fault.variable.as_str());
            match serve(self.stage, variable) {
                Ok((server, retries)) => {
                    self.retries += retries;
                    return Ok(server);
                }
                Err(_) if self.has_fired() => self.fired += 1,
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Whether the fault of this process has come about.
    fn has_fired(&self) -> bool {
        let mark = self.current.and_then(|fault| fault.mark.as_deref());
        mark.is_some_and(|mark| self.stage.log_from(self.from).contains(mark))
    }

    /// Whether the fault of this process has come about, and ends it.
    fn is_ending(&self) -> bool {
        self.current.is_some_and(Fault::ends_process) && self.has_fired()
    }
}

/// A server with faults.
pub struct Victim<'a> {
    /// Where it lives.
    pub stage: &'a Stage,
    lives: Lives<'a>,
    /// How many faults there are.
    planned: usize,
    /// The process that runs now.
    pub server: Server,
    /// Everything that is wrong, in words.
    problems: Vec<String>,
}

impl<'a> Victim<'a> {
    /// Starts a server with the first of its faults; where that ends the start, starts it again with the next one, and
    /// without any once there is none left.
    ///
    /// # Errors
    /// When it does not start for another reason.
    pub fn start(stage: &'a Stage, faults: &'a [Fault]) -> Result<Self> {
        let mut lives = Lives { stage, faults: faults.iter(), current: None, from: 0, fired: 0, retries: 0 };
        let server = lives.begin()?;
        Ok(Self { stage, lives, planned: faults.len(), server, problems: Vec::new() })
    }

    /// Its URL, the same after each start.
    pub fn url(&self) -> &str {
        self.server.url()
    }

    /// Something is wrong with the server, or with what it did.
    pub fn blame(&mut self, problem: String) {
        self.problems.push(problem);
    }

    /// Stops the server, and starts and stops it once more: what a kill on the way out left is read by the next start.
    /// Says whether the faults have come about by then, and what is wrong.
    ///
    /// # Errors
    /// When the server does not stop, or does not start again.
    pub fn close(self) -> Result<Closed> {
        let Self { stage, lives, planned, server, mut problems } = self;
        let end = server.end()?;
        let has_fired = lives.has_fired();
        // A place on the way out ends the server while it stops.
        let is_planned = has_fired && lives.current.is_some_and(|fault| fault.then.is_end(end.status));
        let problem = end.problem().filter(|_| !is_planned);
        problems.extend(problem);
        let (last, more) = serve(stage, "")?;
        problems.extend(last.end()?.problem());
        // Those that were killed on the way have said something, too.
        problems.extend(panic_in(&stage.log()).map(|line| format!("a server panicked: {line}")));
        let fired = lives.fired + usize::from(has_fired) == planned;
        Ok(Closed { fired, retries: lives.retries + more, problems })
    }

    /// After something failed: the server ended as planned and is started again, or a planned failure came about; else it
    /// failed for a reason of its own.
    ///
    /// # Errors
    /// That reason, or that the server does not start again.
    pub fn recover_or(&mut self, text: &str) -> Result<()> {
        match self.recover()? || self.lives.fired > 0 || self.lives.has_fired() {
            true => Ok(()),
            false => Err(Failure::new(format!("it failed without a fault: {text}"))),
        }
    }

    /// Starts the server again, with the next fault if there is one, where it has ended; whether it had.
    ///
    /// # Errors
    /// When it does not start.
    pub fn recover(&mut self) -> Result<bool> {
        if self.lives.is_ending() {
            // The log is written before the process ends.
            let server = &mut self.server;
            wait_until("the end of the killed server", END_LIMIT, STEP, || Ok(server.has_ended()?.then_some(())))?;
        }
        if !self.server.has_ended()? {
            return Ok(false);
        }
        if !self.lives.is_ending() {
            self.problems.push("the server ended by itself".to_owned());
        }
        self.lives.fired += usize::from(self.lives.has_fired());
        self.server = self.lives.begin()?;
        Ok(true)
    }
}

impl Recovery for Victim<'_> {
    fn request_failed(&mut self, error: &ClientError) -> Result<()> {
        self.recover_or(&error.to_string())
    }

    fn sign_in_failed(&mut self, error: &ClientError) -> Result<()> {
        self.recover_or(&error.to_string())
    }
}

/// Starts the server in its place; says too how often that was tried again because the port was taken.
///
/// # Errors
/// When it does not start, as planned or for a reason of its own.
fn serve(stage: &Stage, fault: &str) -> Result<(Server, usize)> {
    let place = ["serve", "--listen", stage.address.as_str()];
    let rates = ["--signed-in-rate", "1000000", "--anonymous-rate", "1000000"];
    let arguments = [place.as_slice(), rates.as_slice()].concat();
    in_place(|| Server::start(&stage.binary, &stage.home(), &arguments, &[("LOCKGATE_FAULT", fault)]))
}
